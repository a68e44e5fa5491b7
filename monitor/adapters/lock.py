"""One process at a time: the lock that whoever writes the store holds."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from monitor.errors import StoreError, StoreLocked


class StoreLock:
    """An advisory lock on `<store>.lock`, holding the owner's process id as text.

    The kernel lets go of it when the process ends, however it ends. The file itself stays: were it
    removed, two processes could each lock a file of that name.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self.path = store.with_name(store.name + ".lock")
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def acquire(self) -> None:
        """Take the lock, or raise StoreLocked at once, naming the process that holds it."""
        if self._fd is not None:
            raise StoreLocked(f"{self._store}: this process already holds the lock")
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be opened ({error.strerror});"
                " the store's directory must exist and be writable by this user"
            ) from error
        try:
            self._lock(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Let go of the lock; nothing happens if it is not held."""
        if self._fd is None:
            return
        # The id is wiped first, so that it never names a process that no longer holds the lock.
        os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = None

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreLocked(
                f"{self._store}: {self._owner(fd)} holds the lock {self.path};"
                " act through the running daemon, or stop it first"
            ) from None
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be locked ({error.strerror});"
                " keep the store on a local file system"
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    @staticmethod
    def _owner(fd: int) -> str:
        pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        return f"process {pid}" if pid.isdigit() else "another process"

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
