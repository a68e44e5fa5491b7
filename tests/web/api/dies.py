"""A served API whose process is killed after a change is on disk and before it is answered.

`python -m tests.web.api.dies FOLDER`: prints its port, and dies of the next write.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitor.web.app import WebServer
from monitor.web.tokens import Tokens
from tests.web.api.place import app_of, place_at


class Dying:
    """In place of `answered`: the change is committed, the answer is not yet known."""

    async def __call__(self, key: str, answer: Mapping[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


async def serve(folder: Path) -> None:
    place = place_at(folder)
    place.store.answered = Dying()  # type: ignore[method-assign]
    server = WebServer(app_of(place, Tokens(folder / "tokens.yaml")), "127.0.0.1", 0)
    await server.start()
    print(server.port, flush=True)
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
