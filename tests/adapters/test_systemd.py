"""sd_notify, over real datagram sockets."""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.adapters.systemd import notify, reloading, watchdog_interval


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """A service manager's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address)
        channel.settimeout(5)
        yield channel


def test_a_state_reaches_the_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is notified arrives as one datagram."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with manager(path) as channel:
        assert notify("READY=1\nSTATUS=3 endpoints are watched") is True
        assert channel.recv(4096) == b"READY=1\nSTATUS=3 endpoints are watched"


def test_an_abstract_socket_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading @ stands for the zero byte of an abstract address."""
    name = f"monitor-test-{uuid.uuid4()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with manager(f"\0{name}") as channel:
        assert notify("WATCHDOG=1") is True
        assert channel.recv(4096) == b"WATCHDOG=1"


def test_a_reload_is_told_with_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RELOADING=1 carries the monotonic time in microseconds, which Type=notify-reload asks for."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with manager(path) as channel:
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert reloading() is True
        first, second = channel.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) < before + 60_000_000


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1234", "/nowhere/at/all"])
def test_without_a_manager_nothing_is_sent(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No manager, or none that can be reached, is no error."""
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert notify("READY=1") is False


def test_a_manager_that_does_not_read_never_holds_us_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full socket is given up at once."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with manager(path):
        assert not all(notify("STATUS=" + "x" * 1000) for _ in range(2000))


@pytest.mark.parametrize(
    ("microseconds", "interval"),
    [("30000000", 15.0), (None, None), ("", None), ("0", None), ("soon", None)],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(
    microseconds: str | None, interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of WATCHDOG_USEC, in seconds; None when nobody watches."""
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if microseconds is not None:
        monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    assert watchdog_interval() == interval


def test_a_watchdog_meant_for_another_process_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """WATCHDOG_PID names who is watched."""
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_interval() == 0.5
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert watchdog_interval() is None
