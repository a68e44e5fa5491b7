"""Commands of this program run beside the daemon: what takes long must not hold up probing.

A child process reads the store itself, at a lower priority, one at a time and for a bounded time. Its
files lie in a folder beside the store that goes with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog
from aiohttp import hdrs, web

from monitor.web.api.faults import Refused
from monitor.web.api.threads import in_thread

NICE = 15
"""How much the child gives way to the daemon: 0 not at all, 19 as much as there is."""
LONGEST = 900.0
"""Seconds after which a child is ended."""
MOMENT = 1.0
"""Seconds for which one waits: who has the last byte of a download may ask before its folder is gone."""
AGAIN = "15"
"""Seconds after which one who was told that we are busy may ask again."""
SAID = 65_536
"""Bytes of a child's standard error that are kept."""
PREFIX = ".errand-"

GOOD, NOT_GOOD, WRONG_USE, NO_STORE = 0, 1, 2, 3
"""Exit codes (contract, "Command line")."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Where:
    """The configuration that a child reads, and the folder in which it may write."""

    config: Path
    folder: Path


class Errands:
    """Runs one command at a time."""

    def __init__(self, where: Callable[[], Where], *, longest: float = LONGEST) -> None:
        self._where = where
        self._longest = longest
        self._turn = asyncio.Lock()

    async def clean(self) -> None:
        """Remove what a daemon that was killed left behind."""
        await in_thread(partial(_clean, self._where().folder))

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """A new empty folder, removed afterwards; nobody else has one meanwhile. Raises Refused."""
        try:
            async with asyncio.timeout(MOMENT):
                await self._turn.acquire()
        except TimeoutError:
            raise Refused(
                "busy",
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"a report or a check of the store is being made; try again in {AGAIN} seconds",
                headers={hdrs.RETRY_AFTER: AGAIN},
            ) from None
        try:
            made = await in_thread(partial(_make, self._where().folder))
            try:
                yield made
            finally:
                await in_thread(partial(shutil.rmtree, made, ignore_errors=True))
        finally:
            self._turn.release()

    async def run(self, *arguments: str) -> bytes:
        """What a command printed. Raises Refused if it fails; 1, "not good", is no failure."""
        async with self.started(*arguments) as process:
            said, _ = await asyncio.gather(process.read_all(), process.process.wait())
        process.check()
        return said

    async def document(self, *arguments: str) -> Any:
        """The JSON document that a command prints. Raises Refused."""
        async with self.folder():
            return json.loads(await self.run(*arguments, "--json"))

    @asynccontextmanager
    async def started(self, *arguments: str) -> AsyncIterator[Child]:
        """A running command, ended if it takes too long or nobody waits for it any more."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "monitor", *arguments, "-c", str(self._where().config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        # It may have ended already; or whoever confines us does not let us give way.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        child = Child(arguments, process, asyncio.ensure_future(_said(process)))
        try:
            async with asyncio.timeout(self._longest):
                yield child
                await process.wait()
            child.errors = await child.saying
        except TimeoutError:
            log.error("errand_took_too_long", command=arguments[:2], seconds=self._longest)
            raise _failed("it took too long; the log says how long it may") from None
        finally:
            await _end(process, child.saying)


@dataclass(slots=True)
class Child:
    """A command on its way; `errors` are what it said of its troubles, once it is over."""

    arguments: Sequence[str]
    process: asyncio.subprocess.Process
    saying: asyncio.Future[bytes]
    errors: bytes = b""

    async def read(self, size: int = 65_536) -> bytes:
        """The next bytes it prints; none at the end."""
        assert self.process.stdout is not None
        return await self.process.stdout.read(size)

    async def read_all(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self.read():
            yield chunk

    def check(self) -> None:
        """Raise Refused if it failed."""
        code = self.process.returncode
        if code in (GOOD, NOT_GOOD) and not (code == NOT_GOOD and b"Traceback" in self.errors):
            return
        said = self.errors.decode(errors="replace").strip().removeprefix("Error: ")
        log.warning("errand_failed", command=list(self.arguments[:2]), code=code, why=said[-2000:])
        if code == WRONG_USE:
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            raise Refused("invalid-argument", status, said or "it cannot be done so")
        if code == NO_STORE:
            raise Refused("store-unusable", HTTPStatus.SERVICE_UNAVAILABLE, said)
        raise _failed("the command failed; the log says why")


def _failed(detail: str) -> Refused:
    return Refused("failed", HTTPStatus.INTERNAL_SERVER_ERROR, detail)


async def _said(process: asyncio.subprocess.Process) -> bytes:
    """The last that a child says on standard error, read so that it never waits for us."""
    assert process.stderr is not None
    kept = b""
    while chunk := await process.stderr.read(SAID):
        kept = (kept + chunk)[-SAID:]
    return kept


async def _end(process: asyncio.subprocess.Process, saying: asyncio.Future[bytes]) -> None:
    """End a child that still runs, with all that it started."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if not saying.done():
        saying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await saying


def _make(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))


def _clean(folder: Path) -> None:
    for left in folder.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


ERRANDS = web.AppKey("errands", Errands)
