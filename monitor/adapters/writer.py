"""The thread that owns the store's only read-write connection, and commits in groups.

Two connections that write or checkpoint at once can corrupt a database of SQLite before 3.51.3 (the
WAL-reset bug), so there is one. Whatever waits when it becomes free is committed together: one sync
of the disk for all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from monitor.errors import StoreError, StoreUnwritable

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
OnWrite = Callable[[float, int], None]

# Enough that a sync of the disk costs nothing per item; few enough that none waits long.
GROUP_LIMIT = 1000

_CURES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_READONLY: "it is read-only; check the mount and the owner of the file",
    sqlite3.SQLITE_PERM: "it is read-only; check the mount and the owner of the file",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check its directory and owner",
    sqlite3.SQLITE_IOERR: "reading or writing failed; check the disk and the quota",
    sqlite3.SQLITE_BUSY: "another program keeps it locked; end that program",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked; end that program",
    sqlite3.SQLITE_PROTOCOL: "another program keeps it locked; end that program",
    sqlite3.SQLITE_NOMEM: "memory ran out; free some",
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: BaseException) -> int:
    # The low byte is the primary code; the driver's own errors carry none.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """SQLite's error as ours: StoreUnwritable if trying again later may help."""
    cure = _CURES.get(_code(error))
    if cure is not None:
        return StoreUnwritable(f"{path}: {cure} ({error})")
    if _code(error) in _DAMAGED:
        return StoreError(
            f"{path}: is damaged or not a store ({error}); keep the file, restore a backup"
        )
    return StoreError(f"{path}: the database refused this ({error})")


@dataclass(slots=True)
class _Job:
    work: Work
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception


class Writer:
    """Runs work on the connection, in order, each item all or nothing, and durably.

    `undone` is called whenever work was rolled back: what it remembered of the database is void.
    `on_write` is called in the writer's thread after each commit with its seconds and its items.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        undone: Callable[[], None],
        on_write: OnWrite | None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._undone = undone
        self._on_write = on_write
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._file = _identity(path)
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` answered, once its transaction is on disk.

        Raises StoreUnwritable if it could not be written now; nothing of it was. An error of the
        work itself is raised here alone and undoes only this work. Cancelling the wait does not
        withdraw the work.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        with self._gate:
            if self._closed:
                raise StoreError(f"{self._path}: the store is closed")
            self._jobs.put(job)
        result: T = await job.done
        return result

    def close(self, seconds: float) -> None:
        """Write what waits, then close. Raises StoreUnwritable if that takes over `seconds`."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise StoreUnwritable(
                f"{self._path}: what waits was not written within {seconds:g} s; check the disk"
            )

    def _run(self) -> None:
        group: list[_Job] = []
        last = False
        try:
            while not last:
                group, last = self._next_group()
                if group:
                    self._commit(group)
        finally:
            # After an orderly end nobody is left; after a failure nobody may wait for ever.
            with self._gate:
                self._closed = True
            self._connection.close()
            self._refuse(group + self._rest())

    def _next_group(self) -> tuple[list[_Job], bool]:
        """The jobs that wait, at least one unless the end was reached, and whether it was."""
        group: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == GROUP_LIMIT:
                return group, False
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _commit(self, group: list[_Job]) -> None:
        began = time.perf_counter()
        if _identity(self._path) != self._file:
            # SQLite would go on, and sync, into a file that nobody will ever find.
            text = f"{self._path}: the file was moved or replaced; put it back, or restart"
            _settle(group, [_Failure(StoreUnwritable(text)) for _ in group])
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._one(job.work) for job in group]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            _settle(group, [_Failure(store_error(self._path, error)) for _ in group])
            return
        seconds = time.perf_counter() - began
        _settle(group, outcomes)
        if self._on_write is not None:
            self._on_write(seconds, len(group))

    def _one(self, work: Work) -> Any:
        """What the work answered, or its own failure; trouble with the disk is raised."""
        self._connection.execute("SAVEPOINT item")
        try:
            outcome = work(self._connection)
        except Exception as error:
            if _code(error) in _CURES or _code(error) in _DAMAGED:
                raise
            # SQLite may have ended the transaction itself; then this raises for the whole group.
            self._connection.execute("ROLLBACK TO item")
            self._undone()
            outcome = _Failure(
                store_error(self._path, error) if isinstance(error, sqlite3.Error) else error
            )
        self._connection.execute("RELEASE item")
        return outcome

    def _roll_back(self) -> None:
        self._undone()
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _rest(self) -> list[_Job]:
        rest: list[_Job] = []
        with contextlib.suppress(Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    rest.append(job)
        return rest

    def _refuse(self, jobs: list[_Job]) -> None:
        """Fail whatever was not answered yet."""
        text = f"{self._path}: the store's writer has stopped"
        _settle(jobs, [_Failure(StoreError(text)) for _ in jobs])


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file the path names at the moment, if any."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _settle(group: list[_Job], outcomes: list[Any]) -> None:
    """Wake each waiting loop once for all its jobs of the group."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]]
    by_loop = defaultdict(list)
    for job, outcome in zip(group, outcomes, strict=True):
        by_loop[job.loop].append((job.done, outcome))
    for loop, settled in by_loop.items():
        # A loop that is closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_answer, settled)


def _answer(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in settled:
        if future.done():
            continue
        if isinstance(outcome, _Failure):
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome)
