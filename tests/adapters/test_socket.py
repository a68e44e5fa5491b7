"""The control socket: who may speak, what is refused, what an error becomes on the other side."""

import asyncio
import contextlib
import json
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.socket import (
    LARGEST_REQUEST,
    ControlServer,
    NobodyListens,
    call,
    socket_path,
)
from monitor.core.fact import BadFact
from monitor.errors import (
    BadInstant,
    ConfigError,
    DaemonUnreachable,
    Fault,
    IllegalStep,
    MonitorError,
    StoreError,
    StoreLocked,
    StoreUnwritable,
    UnknownName,
    UsageError,
)

FAULT = Fault("monitor.yaml", 3, 5, "endpoints[0].url", "ends in a slash", "write it without")
RAISED: dict[str, Exception] = {
    "usage": UsageError("say it differently"),
    "instant": BadInstant("no such time"),
    "name": UnknownName("nobody knows it"),
    "step": IllegalStep("not now"),
    "unwritable": StoreUnwritable("disk full"),
    "fact": BadFact("a subclass from elsewhere"),
    "config": ConfigError([FAULT]),
    "bug": ZeroDivisionError("secret detail"),
}


async def handler(operation: str, arguments: Mapping[str, Any], author: str) -> dict[str, Any]:
    if operation == "slow":
        await asyncio.sleep(float(arguments["seconds"]))
    if operation in RAISED:
        raise RAISED[operation]
    return {"operation": operation, "arguments": dict(arguments), "author": author}


@contextlib.asynccontextmanager
async def listening(path: Path, **options: float) -> AsyncIterator[ControlServer]:
    server = ControlServer(path, handler, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return socket_path(tmp_path / "monitor.db")


def mode(path: Path) -> int | None:
    """Permissions of the file, or None if there is none."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def ask(path: Path, operation: str, timeout: float = 10.0, **arguments: Any) -> Any:
    """The client, off the loop on which the server runs."""
    return asyncio.to_thread(call, path, operation, arguments, "ops", timeout)


async def raw(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 22)
    try:
        writer.write(b"".join(lines))
        await writer.drain()
        return [json.loads(await reader.readline()) for _ in lines]
    finally:
        writer.close()


async def test_a_request_is_answered(path: Path) -> None:
    """Operation, arguments and author arrive whole; the document comes back."""
    async with listening(path):
        said = await ask(path, "downtime.declare", reason="Übung\n", endpoints=["view-main"])
    assert said == {
        "operation": "downtime.declare",
        "arguments": {"reason": "Übung\n", "endpoints": ["view-main"]},
        "author": "ops",
    }


async def test_many_clients_at_once(path: Path) -> None:
    """A slow request holds up no other."""
    async with listening(path):
        slow = asyncio.create_task(ask(path, "slow", seconds=0.3))
        await asyncio.gather(*(ask(path, "status") for _ in range(20)))
        assert not slow.done()
        assert (await slow)["operation"] == "slow"


async def test_one_connection_carries_several_requests(path: Path) -> None:
    """Answers follow the order of the requests."""
    lines = [
        json.dumps({"operation": f"o{number}", "author": "ops"}).encode() + b"\n"
        for number in range(3)
    ]
    async with listening(path):
        answers = await raw(path, *lines)
    assert [answer["document"]["operation"] for answer in answers] == ["o0", "o1", "o2"]


async def test_the_socket_is_its_owners_only(path: Path) -> None:
    """Mode 0600 whatever the umask, which stays as it was."""
    before = os.umask(0)
    try:
        async with listening(path):
            assert mode(path) == 0o600
            after = os.umask(0)
    finally:
        os.umask(before)
    assert after == 0


async def test_another_user_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is neither the owner nor root gets no answer, even where the file lets them connect."""
    with tempfile.TemporaryDirectory() as folder:
        path = socket_path(Path(folder) / "monitor.db")
        os.chmod(folder, 0o755)
        async with listening(path):
            os.chmod(path, 0o666)
            with socket.socket(socket.AF_UNIX) as stranger:
                if os.geteuid() == 0:
                    os.seteuid(65534)
                    try:
                        stranger.connect(str(path))
                    finally:
                        os.seteuid(0)
                else:
                    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
                    stranger.connect(str(path))
                stranger.settimeout(10)
                assert await asyncio.to_thread(stranger.recv, 100) == b""


async def test_closing_removes_the_socket(path: Path) -> None:
    """After an orderly end nothing is left, and a client learns that nobody listens."""
    async with listening(path):
        pass
    assert mode(path) is None
    with pytest.raises(NobodyListens, match="monitor run"):
        await ask(path, "status")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("usage", UsageError),
        ("instant", BadInstant),
        ("name", UnknownName),
        ("step", IllegalStep),
        ("unwritable", StoreUnwritable),
        ("fact", UsageError),
    ],
)
async def test_an_error_arrives_as_its_class(
    path: Path, name: str, kind: type[MonitorError]
) -> None:
    """A MonitorError of the daemon is raised again in the client, with its text."""
    async with listening(path):
        with pytest.raises(kind) as caught:
            await ask(path, name)
    assert type(caught.value) is kind
    assert str(caught.value) == str(RAISED[name])


async def test_all_faults_of_an_error_arrive(path: Path) -> None:
    """Faults keep their place, what is wrong, and the cure."""
    async with listening(path):
        with pytest.raises(ConfigError) as caught:
            await ask(path, "config")
    assert caught.value.faults == (FAULT,)


async def test_a_fault_of_the_program_shows_nothing(path: Path) -> None:
    """The client learns that the daemon failed and where to look, not the exception's text."""
    async with listening(path):
        with pytest.raises(MonitorError, match="its log says why") as caught:
            await ask(path, "bug")
        assert "secret" not in str(caught.value)
        assert (await ask(path, "status"))["operation"] == "status"


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b"[1, 2]\n",
        b"\xff\xfe\n",
        b"{}\n",
        b'{"operation": 1, "author": "ops"}\n',
        b'{"operation": "status", "arguments": [], "author": "ops"}\n',
        b'{"operation": "status", "arguments": {}}\n',
        b'{"operation": "status", "arguments": {}, "author": ""}\n',
        b"[" * 100_000 + b"\n",
    ],
)
async def test_a_malformed_request_is_refused(path: Path, line: bytes) -> None:
    """What is no request is answered with a UsageError, and the connection goes on."""
    good = b'{"operation": "status", "author": "ops"}\n'
    async with listening(path):
        refused, answered = await raw(path, line, good)
    assert refused["ok"] is False
    assert refused["error"]["kind"] == "UsageError"
    assert answered["ok"] is True


async def test_a_request_too_long_is_refused(path: Path) -> None:
    """A mebibyte is the most; the client does not even send more."""
    async with listening(path):
        (refused,) = await raw(path, b"x" * (LARGEST_REQUEST + 10) + b"\n")
        assert "longer than" in refused["error"]["message"]
        with pytest.raises(UsageError, match="longer than"):
            await ask(path, "status", text="x" * LARGEST_REQUEST)


async def test_a_silent_client_is_hung_up_on(path: Path) -> None:
    """Half a request holds a connection only so long."""
    async with listening(path, idle=0.1):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"operation": ')
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_the_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    """A socket file without a process behind it is no hindrance."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with listening(path):
        assert (await ask(path, "status"))["operation"] == "status"


async def test_a_living_daemon_is_left_alone(path: Path) -> None:
    """Who comes second is refused; the first goes on, and keeps its socket."""
    async with listening(path):
        second = ControlServer(path, handler)
        with pytest.raises(StoreLocked, match="stop it first"):
            await second.start()
        await second.close()
        assert (await ask(path, "status"))["operation"] == "status"


def test_another_file_in_its_place_is_kept(path: Path) -> None:
    """What is not a socket is never removed."""
    path.write_text("mine")
    with pytest.raises(StoreError, match="move it away"):
        asyncio.run(ControlServer(path, handler).start())
    assert path.read_text() == "mine"


async def test_a_folder_open_to_all_is_refused(path: Path) -> None:
    """Where anybody could put another socket, none is made."""
    path.parent.chmod(0o777)
    with pytest.raises(StoreError, match="chmod o-w"):
        await ControlServer(path, handler).start()


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The store's folder must be there first."""
    with pytest.raises(StoreError, match="make the store's directory"):
        await ControlServer(tmp_path / "none" / "monitor.db.sock", handler).start()


async def test_a_path_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    """Deep folders are no hindrance to either side."""
    folder = tmp_path / ("d" * 60) / ("e" * 60)
    folder.mkdir(parents=True)
    path = socket_path(folder / "monitor.db")
    async with listening(path):
        assert (await ask(path, "status"))["operation"] == "status"
        with pytest.raises(StoreLocked):
            await ControlServer(path, handler).start()
    assert mode(path) is None


async def test_closing_lets_a_request_end(path: Path) -> None:
    """What was begun is answered; idle connections are cut at once."""
    async with listening(path) as server:
        reader, writer = await asyncio.open_unix_connection(path)
        slow = asyncio.create_task(ask(path, "slow", seconds=0.2))
        await asyncio.sleep(0.1)
        await server.close()
        assert (await slow)["operation"] == "slow"
        assert await reader.read() == b""
        writer.close()


async def test_closing_waits_only_so_long(path: Path) -> None:
    """A request that outlasts the grace is given up, and the client told so."""
    async with listening(path, grace=0.1) as server:
        slow = asyncio.create_task(ask(path, "slow", seconds=30))
        await asyncio.sleep(0.1)
        await asyncio.wait_for(server.close(), 5)
        with pytest.raises(DaemonUnreachable, match="without an answer"):
            await slow


async def test_a_daemon_that_hangs_is_not_waited_for(path: Path) -> None:
    """After the time-out the client says that the request may still be carried out."""
    async with listening(path, grace=0.1):
        with pytest.raises(DaemonUnreachable, match=r"may still be done"):
            await ask(path, "slow", timeout=0.1, seconds=30)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400\r\n", b"[]\n", b'{"ok": false}\n', b"{}\n"])
async def test_something_else_that_answers_is_not_believed(path: Path, answer: bytes) -> None:
    """An answer of another shape is DaemonUnreachable, never a document."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        with pytest.raises(DaemonUnreachable, match=r"no daemon of this program"):
            await ask(path, "status")
    finally:
        server.close()
