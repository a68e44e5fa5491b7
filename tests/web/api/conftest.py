"""An API over a desk that has lived through a morning."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from monitor.web.tokens import Tokens
from tests.web.api.place import Api, app_of, lived, place_at, tokens_file


@pytest.fixture
async def api(aiohttp_client: Any, tmp_path: Path) -> AsyncIterator[Api]:
    """With a token of each scope."""
    place = place_at(tmp_path)
    await lived(place)
    path, secrets = tokens_file(tmp_path)
    client = await aiohttp_client(app_of(place, Tokens(path)))
    yield Api(client, place, secrets)
    place.store.close()


@pytest.fixture
async def loopback(aiohttp_client: Any, tmp_path: Path) -> AsyncIterator[Api]:
    """Without tokens."""
    place = place_at(tmp_path)
    await lived(place)
    client = await aiohttp_client(app_of(place, None))
    yield Api(client, place)
    place.store.close()
