"""A real Prometheus that scrapes, and what it answers once it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.tools import find, free_port


@asynccontextmanager
async def prometheus_on(configuration: Path, data: Path) -> AsyncIterator[str]:
    """A Prometheus on a configuration, ended on the way out; its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(find("prometheus")),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def result(session: aiohttp.ClientSession, url: str, query: str) -> list[Any]:
    """What an instant query finds, once it finds something; the caller limits the time."""
    while True:
        with suppress(aiohttp.ClientConnectionError):
            async with session.get(f"{url}/api/v1/query", params={"query": query}) as answer:
                if answer.status == 200:
                    found: list[Any] = (await answer.json())["data"]["result"]
                    if found:
                        return found
        await asyncio.sleep(0.1)
