"""The control socket beside the store: commands go through the running daemon, its owner's only.

A Unix stream socket, newline-delimited JSON. A request is `{"operation", "arguments", "author"}`,
the answer `{"ok": true, "document": ...}` or `{"ok": false, "error": {"kind", "message"}}`, where
`kind` names a class of `errors.py` and `faults` are added if it has some. The server runs on the
event loop; the client blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import pwd
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from monitor import errors
from monitor.errors import (
    DaemonUnreachable,
    Fault,
    FaultsError,
    MonitorError,
    StoreError,
    StoreLocked,
    UsageError,
)

Document = dict[str, Any]
Handler = Callable[[str, Mapping[str, Any], str], Awaitable[Document]]

HEALTH = "health"
"""What the daemon answers about itself; every other request is an operation."""
LARGEST_REQUEST = 1 << 20
LARGEST_ANSWER = 1 << 30
IDLE = 30.0
"""Seconds that a connection may stay without a whole request, or leave an answer unread."""
GRACE = 5.0
"""Seconds that requests under way get to end when the server closes."""
_LONGEST_PATH = 100  # the kernel takes 107 bytes

log = structlog.get_logger(__name__)


class NobodyListens(DaemonUnreachable):
    """There is no socket, or no process behind it: no daemon runs, or it is still starting."""


def socket_path(store: Path) -> Path:
    """Where the daemon of a store listens."""
    return store.with_name(store.name + ".sock")


class ControlServer:
    """Answers requests of this user's, and of root's, processes until it is closed."""

    def __init__(
        self, path: Path, handler: Handler, *, idle: float = IDLE, grace: float = GRACE
    ) -> None:
        """`handler` is given operation, arguments and author, and answers with a document.

        A MonitorError it raises reaches the client as what it is; any other error is logged, and
        the client learns only that there was one.
        """
        self._path = path
        self._handler = handler
        self._idle = idle
        self._grace = grace
        self._server: asyncio.Server | None = None
        self._inode: int | None = None
        self._waiting: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket that a dead daemon left is replaced.

        Raises StoreLocked if a living process listens there, StoreError if none can be made.
        """
        listener = _bind(self._path)
        self._inode = os.stat(self._path).st_ino
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=LARGEST_REQUEST
        )

    async def close(self) -> None:
        """Stop listening, let requests under way end (at most for the grace), remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:
                self._path.unlink()
        for task in self._waiting:
            task.cancel()
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=self._grace)
        left = self._waiting | self._busy
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            if _trusted(writer.get_extra_info("socket")):
                await self._converse(task, reader, writer)
        except (OSError, TimeoutError):
            pass  # the client has gone, or sleeps: there is nobody to tell
        except asyncio.CancelledError:
            if self._server is not None:
                raise  # not ours: only `close` ends conversations
        finally:
            self._waiting.discard(task)
            self._busy.discard(task)
            writer.close()

    async def _converse(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        whole = True
        while whole and self._server is not None:
            try:
                async with asyncio.timeout(self._idle):
                    line = await reader.readline()
            except ValueError:  # longer than the limit; what follows is no request
                whole, line = False, b""
            if whole and not line.endswith(b"\n"):
                return
            self._waiting.discard(task)
            self._busy.add(task)
            answer = await self._answer(line) if whole else _refusal(_TOO_LONG)
            writer.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
            async with asyncio.timeout(self._idle):
                await writer.drain()
            self._busy.discard(task)
            self._waiting.add(task)

    async def _answer(self, line: bytes) -> Document:
        try:
            operation, arguments, author = _request(line)
            return {"ok": True, "document": await self._handler(operation, arguments, author)}
        except MonitorError as error:
            return _refusal(error)
        except Exception:
            log.exception("control_request_failed")
            return _refusal(MonitorError("the daemon failed at this; its log says why"))


_TOO_LONG = UsageError(f"the request is longer than {LARGEST_REQUEST} bytes; ask for less at once")


def _request(line: bytes) -> tuple[str, Mapping[str, Any], str]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError("the request is not JSON; send one object on one line") from None
    if not isinstance(document, dict):
        raise UsageError("the request is not a JSON object; send one object on one line")
    operation, author = document.get("operation"), document.get("author")
    arguments = document.get("arguments", {})
    if not (isinstance(operation, str) and operation and isinstance(arguments, dict)):
        raise UsageError("the request must name an operation (text) and arguments (an object)")
    if not (isinstance(author, str) and author):
        raise UsageError("the request must name its author")
    return operation, arguments, author


def _refusal(error: MonitorError) -> Document:
    """The error as the nearest class of `errors.py`, which the client raises again."""
    kind = next(each for each in type(error).__mro__ if each.__module__ == errors.__name__)
    said: Document = {"kind": kind.__name__, "message": str(error)}
    if isinstance(error, FaultsError):
        said["faults"] = [asdict(fault) for fault in error.faults]
    return {"ok": False, "error": said}


def _trusted(peer: socket.socket) -> bool:
    """Whether the process at the other end is of this user or of root."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(peer.fileno())) as own:
        _, uid, _ = struct.unpack("3i", own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid in (os.geteuid(), 0):
        return True
    log.warning("control_connection_refused", uid=uid)
    return False


# --- The socket file ----------------------------------------------------------------------------


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """An address of the path short enough for the kernel, valid within the block."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _bind(path: Path) -> socket.socket:
    _check_folder(path)
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # the file is its owner's only from the moment it is there
    try:
        with _address(path) as address:
            listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise StoreError(
            f"{path}: the control socket cannot be made ({error.strerror or error});"
            " the store's directory must be writable by this user"
        ) from error
    finally:
        os.umask(before)
    return listener


def _check_folder(path: Path) -> None:
    """Where anybody may put files in place of ours, nobody can know whom they talk to."""
    try:
        found = path.parent.stat()
    except OSError as error:
        raise StoreError(
            f"{path.parent}: cannot be used ({error.strerror}); make the store's directory first"
        ) from error
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise StoreError(
            f"{path.parent}: anybody may write in it, so the control socket would not be safe;"
            f" run: chmod o-w {path.parent}"
        )


def _clear(path: Path) -> None:
    """Remove the socket of a daemon that died."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StoreError(f"{path}: is in the place of the control socket; move it away")
    try:
        with contextlib.closing(_connect(path, 1.0)):
            pass
    except NobodyListens:
        path.unlink(missing_ok=True)
    except DaemonUnreachable as error:
        raise StoreLocked(f"{path}: cannot be taken over: {error}") from error
    else:
        raise StoreLocked(f"{path}: another daemon listens here; stop it first")


# --- The client ---------------------------------------------------------------------------------


def call(
    path: Path,
    operation: str,
    arguments: Mapping[str, Any],
    author: str,
    timeout: float = 60.0,
) -> Document:
    """Ask the daemon that listens at `path`; its document. Blocks, at most `timeout` seconds.

    Raises the MonitorError that the daemon raised, NobodyListens if none is there, and
    DaemonUnreachable if it does not answer.
    """
    request = {"operation": operation, "arguments": dict(arguments), "author": author}
    line = json.dumps(request).encode() + b"\n"
    if len(line) > LARGEST_REQUEST:
        raise _TOO_LONG
    with contextlib.closing(_connect(path, timeout)) as connection:
        try:
            connection.sendall(line)
            with connection.makefile("rb") as answers:
                answer = answers.readline(LARGEST_ANSWER)
        except OSError as error:
            raise _silent(path, timeout, error) from error
    return _document(path, answer)


def _connect(path: Path, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        with _address(path) as address:
            connection.connect(address)
    except OSError as error:
        connection.close()
        if error.errno in (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR):
            raise NobodyListens(f"{path}: no daemon listens here; start it: monitor run") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise DaemonUnreachable(
                f"{path}: only the user who runs the daemon, and root, may speak to it;"
                f" use that user: sudo -u {_owner(path)} monitor ..."
            ) from error
        raise _silent(path, timeout, error) from error
    return connection


def _owner(path: Path) -> str:
    """The name or number of whoever owns the file, or failing that, its folder."""
    for place in (path, path.parent):
        with contextlib.suppress(OSError):
            uid = place.stat().st_uid
            try:
                return pwd.getpwuid(uid).pw_name
            except KeyError:
                return f"#{uid}"
    return "USER"


def _silent(path: Path, timeout: float, error: OSError) -> DaemonUnreachable:
    if isinstance(error, TimeoutError):
        return DaemonUnreachable(
            f"{path}: the daemon did not answer within {timeout:g} s; what was asked may still be"
            " done: look before you repeat it (monitor status; the daemon's log)"
        )
    return DaemonUnreachable(
        f"{path}: the connection to the daemon broke ({error.strerror or error}); what was asked"
        " may have been done: look before you repeat it"
    )


def _document(path: Path, answer: bytes) -> Document:
    if not answer.endswith(b"\n"):
        raise DaemonUnreachable(
            f"{path}: the daemon hung up without an answer; it may be stopping, or not know this"
            " user: try again, and look at its log"
        )
    try:
        said = json.loads(answer)
        if said["ok"]:
            document: Document = said["document"]
            return document
        raise _error(said["error"])
    except (ValueError, KeyError, TypeError):
        raise DaemonUnreachable(
            f"{path}: what answers here is no daemon of this program; check store.url"
        ) from None


def _error(said: Mapping[str, Any]) -> MonitorError:
    """The error that the daemon told of, as an exception of its class."""
    kind = getattr(errors, str(said["kind"]), None)
    if not (isinstance(kind, type) and issubclass(kind, MonitorError)):
        kind = MonitorError
    if issubclass(kind, FaultsError):
        return kind([Fault(**fault) for fault in said["faults"]])
    return kind(str(said["message"]))
