"""The API served on a free port by a thread of its own, for clients that are no coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monitor.web.app import WebServer
from monitor.web.tokens import Tokens
from tests.desks import Place
from tests.web.api.place import app_of, lived, place_at, tokens_file


@dataclass
class Served:
    """A served place: its address, and the secrets by scope."""

    url: str
    secrets: dict[str, str]
    place: Place
    folder: Path


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """The place of `lived`, with a token of each scope."""
    started = threading.Event()
    found: list[Served] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        place = place_at(folder)
        await lived(place)
        path, secrets = tokens_file(folder)
        server = WebServer(app_of(place, Tokens(path)), "127.0.0.1", 0)
        await server.start()
        found.append(Served(f"http://127.0.0.1:{server.port}", secrets, place, folder))
        started.set()
        await stop.wait()
        await server.stop()
        place.store.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="served")
    thread.start()
    try:
        assert started.wait(30)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
