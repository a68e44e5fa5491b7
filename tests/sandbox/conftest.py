"""A sandbox on free ports, and clients that hold its pack."""

import asyncio
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from monitor.sandbox import serve


@dataclass
class Running:
    """A sandbox that runs in the test's loop; `said` is the document it announced."""

    directory: Path
    said: dict[str, Any]
    session: aiohttp.ClientSession
    stopping: asyncio.Event
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """End the sandbox, which it must within 2 seconds."""
        self.stopping.set()
        await asyncio.wait_for(self.task, 2)

    def url(self, endpoint: str) -> str:
        return next(each["url"] for each in self.said["endpoints"] if each["id"] == endpoint)

    def port(self, endpoint: str) -> int:
        return int(self.url(endpoint).split(":")[2].split("/")[0])

    @property
    def hook(self) -> str:
        return str(self.said["sink"])

    async def set(self, endpoint: str, **body: object) -> dict[str, Any]:
        url = f"{self.said['control']}/{endpoint}"
        async with self.session.post(url, json=body) as response:
            assert response.status == 200, await response.text()
            document: dict[str, Any] = await response.json()
            return document

    async def heal(self) -> None:
        async with self.session.delete(self.said["control"]) as response:
            assert response.status == 200

    async def state(self) -> dict[str, Any]:
        async with self.session.get(self.said["control"]) as response:
            document: dict[str, Any] = await response.json()
            return document

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the state that the control URL shows is as it should be."""
        async with asyncio.timeout(5):
            for _ in itertools.count():
                if holds(await self.state()):
                    return
                await asyncio.sleep(0.02)

    def context(self, *, pack: bool = True) -> ssl.SSLContext:
        """A client's context that trusts the sandbox, and shows its pack unless told not to."""
        context = ssl.create_default_context(cafile=str(self.directory / "server-ca.pem"))
        if pack:
            context.load_cert_chain(*self.client_files(), password="")
        return context

    def client_files(self) -> tuple[Path, Path]:
        """Leaf and chain in one PEM file, and the key."""
        pack = self.directory / "pack"
        both = self.directory / "client.pem"
        both.write_bytes(
            (pack / "certificate").read_bytes() + (pack / "certificateChain").read_bytes()
        )
        return both, pack / "certPrivateKey"

    async def ask(
        self, method: str, url: str, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers in lower case, body."""
        sent = {"X-Request-ID": str(uuid4())} if headers is None else headers
        async with self.session.request(
            method,
            url,
            headers=sent,
            ssl=self.context(),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=5),
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return response.status, found, await response.read()


@asynccontextmanager
async def started(directory: Path, **options: Any) -> AsyncIterator[Running]:
    """Run a sandbox for the length of the block; it must stop within 2 seconds."""
    said: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    given = {"base_port": 0, "metrics_listen": "127.0.0.1:0", **options}
    running = asyncio.create_task(
        serve(directory, announce=said.put_nowait, as_json=True, stop=stop, **given)
    )
    first = asyncio.create_task(said.get())
    done, _ = await asyncio.wait({running, first}, return_when=asyncio.FIRST_COMPLETED)
    if running in done:
        first.cancel()
        await running
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        sandbox = Running(directory, json.loads(await first), session, stop, running)
        try:
            yield sandbox
        finally:
            await sandbox.stop()


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for many sandboxes, one after the other: keys are made once."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture
async def sandbox(directory: Path) -> AsyncIterator[Running]:
    async with started(directory) as running:
        yield running


@pytest.fixture
def start() -> Any:
    """`started`, for a test that needs a folder or options of its own."""
    return started
