"""What systemd asks of the daemon: notifications, a watchdog, credentials. By real processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from ruamel.yaml import YAML

from monitor.web.tokens import create_token
from tests.e2e.processes import Daemon, Sandbox, daemon, end, get, monitor, run, sandbox, wait_for
from tests.tools import free_port

PASSWORD = b"correct horse"


class Manager:
    """A service manager's end of the notification socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def hears(self, within: float = 30.0) -> str:
        """The next notification; fails if none comes in time."""
        self._channel.settimeout(within)
        return self._channel.recv(4096).decode()

    def hears_not(self, state: str, within: float) -> bool:
        """Whether this state stays away for so many seconds."""
        until = time.monotonic() + within
        while (left := until - time.monotonic()) > 0:
            try:
                if self.hears(left) == state:
                    return False
            except TimeoutError:
                return True
        return True

    def waits_for(self, state: str) -> str:
        """The next notification that begins so, past signs of life."""
        while not (heard := self.hears()).startswith(state):
            assert heard == "WATCHDOG=1"
        return heard


@contextmanager
def manager(
    folder: Path, monkeypatch: pytest.MonkeyPatch, watchdog: float | None = None
) -> Iterator[Manager]:
    """A service manager for the processes that are started; `watchdog` in seconds."""
    path = str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        if watchdog is not None:
            monkeypatch.setenv("WATCHDOG_USEC", str(int(watchdog * 1e6)))
        yield Manager(channel)


def quiet(settings: Any) -> None:
    """On a port of its own, and probing seldom: these tests are about something else."""
    settings["http"]["listen"] = f"127.0.0.1:{free_port()}"


def test_systemd_is_told_of_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY, signs of life in time, each reload with its beginning and end, STOPPING; then nothing."""
    with (
        sandbox(tmp_path) as place,
        manager(tmp_path, monkeypatch, watchdog=4.0) as systemd,
        daemon(place.rewrite(quiet)) as running,
    ):
        assert systemd.hears() == "READY=1"
        for _ in range(3):
            assert systemd.hears(within=4.0) == "WATCHDOG=1"
        good = running.config.read_text()
        for text in (f"{good}faulty: yes\n", good):
            running.config.write_text(text)
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            running.process.send_signal(signal.SIGHUP)
            begun = systemd.waits_for("RELOADING=1").split("\n")
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            assert begun[0] == "RELOADING=1"
            assert before <= int(begun[1].removeprefix("MONOTONIC_USEC=")) <= after
            assert systemd.waits_for("READY=1") == "READY=1"
            # A faulty file is refused, and whoever would restart us is not alarmed.
            assert run("healthcheck", "-c", str(running.config)).returncode == 0
        assert end(running.process) == 0
        assert systemd.waits_for("STOPPING=1") == "STOPPING=1"
        with pytest.raises(BlockingIOError):
            systemd.hears(within=0)


HANGING = """
import asyncio, datetime, pathlib, sys
from monitor import daemon
from monitor.cli import main
from monitor.cycle import Cycle
mark, sweep = pathlib.Path(sys.argv.pop(1)), Cycle.sweep
async def hang(cycle):
    if mark.exists():
        await asyncio.Event().wait()
    await sweep(cycle)
Cycle.sweep = hang
daemon.STALE = datetime.timedelta(seconds=1.5)
main()
"""
"""The daemon, but its sweep hangs once a file is there; and that counts after 1.5 s, not 30."""


def test_a_dead_sweep_is_left_to_the_watchdog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the daemon has stopped to look it gives no sign of life, and is not ready."""
    mark = tmp_path / "hang"
    with (
        sandbox(tmp_path) as place,
        manager(tmp_path, monkeypatch, watchdog=1.0) as systemd,
    ):
        config = place.rewrite(quiet)
        process = subprocess.Popen(
            [sys.executable, "-c", HANGING, str(mark), "run", "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            systemd.waits_for("READY=1")
            assert systemd.hears() == "WATCHDOG=1"
            mark.touch()
            wait_for("the silence", lambda: systemd.hears_not("WATCHDOG=1", within=2.0))
            listen = YAML(typ="safe").load(config.read_text())["http"]["listen"]
            status, why = get(f"http://{listen}/readyz", place.token)
            assert (status, "no sweep since" in why) == (503, True)
            assert run("healthcheck", "-c", str(config)).returncode == 0
            assert run("healthcheck", "--ready", "-c", str(config)).returncode == 1
        finally:
            end(process)


def test_every_secret_may_be_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all secrets among systemd's credentials the daemon checks, probes, alerts and refuses."""
    with sandbox(tmp_path) as place:
        secret = credentials(tmp_path / "credentials", place)
        config = place.rewrite(by_name)
        without = run("check", "-c", str(config))
        assert without.returncode == 1
        assert "live.key" in without.stdout + without.stderr
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
        checked = run("check", "-c", str(config))
        assert checked.returncode == 0, checked.stdout + checked.stderr
        listen = YAML(typ="safe").load(config.read_text())["http"]["listen"]
        with open_daemon(config, f"http://{listen}") as running:
            wait_for("a good probe", lambda: probed_up(running))
            running.run("alerts", "test", "--author", "ops")
            (told,) = wait_for("the alert", lambda: place.messages("test"))
            assert told["verified"]
            assert get(f"{running.url}/metrics")[0] == 401
            request = urllib.request.Request(f"{running.url}/metrics")
            request.add_header("Authorization", f"Bearer {secret}")
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200


def guarded(settings: Any) -> None:
    """A listener that takes no connection without a client certificate."""
    quiet(settings)
    settings["http"]["tls"] = {
        "certificate": "pki/server-good.pem",
        "private_key_file": "pki/server.key",
        "client_ca": "server-ca.pem",
        "client_certificates": "required",
    }


def test_health_needs_no_certificate_and_no_token(tmp_path: Path) -> None:
    """A daemon that lets nobody in without a certificate is known to be well, and logs nothing of it."""
    with sandbox(tmp_path) as place:
        config = place.rewrite(guarded)
        log = tmp_path / "daemon.log"
        with log.open("w") as stream:
            process = subprocess.Popen(monitor("run", "-c", str(config)), stderr=stream)
        try:
            asked = ("healthcheck", "--ready", "-c", str(config))
            wait_for("it to be well", lambda: run(*asked).returncode == 0)
        finally:
            assert end(process) == 0
        assert [line for line in log.read_text().splitlines() if '"info"' not in line] == []
        assert run(*asked).returncode == 1


def credentials(folder: Path, place: Sandbox) -> str:
    """What systemd would put into $CREDENTIALS_DIRECTORY, with its modes; a token's secret."""
    folder.mkdir()
    key = load_pem_private_key((place.folder / "pack" / "certPrivateKey").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD))
    (folder / "live.key").write_bytes(locked)
    (folder / "live.password").write_bytes(PASSWORD + b"\n")
    shutil.copy(place.folder / "hook.secret", folder / "ops.secret")
    shutil.copy(place.folder / "hook.secret", folder / "ops.secret.old")
    secret, entry = create_token("prometheus", "read")
    with (folder / "tokens").open("w") as stream:
        YAML(typ="safe").dump([entry], stream)
    for path in folder.iterdir():
        path.chmod(0o440)  # the group bit is the mask of systemd's access list
    return secret


def by_name(settings: Any) -> None:
    """Every secret by a bare name, as a unit with LoadCredential= has it."""
    quiet(settings)
    settings["http"]["tokens_file"] = "tokens"
    settings["identities"]["sandbox"] = {
        "certificate": "pack/certificate",
        "chain": "pack/certificateChain",
        "private_key_file": "live.key",
        "password_file": "live.password",
        "trust": "server-ca.pem",
    }
    hook = settings["alerts"]["webhooks"][0]
    hook.update(secret_file="ops.secret", previous_secret_file="ops.secret.old")


@contextmanager
def open_daemon(config: Path, url: str) -> Iterator[Daemon]:
    """A daemon whose pages need a token, once it lives."""
    log = config.parent / "daemon.log"
    with log.open("w") as stream:
        command = [sys.executable, "-m", "monitor", "run", "-c", str(config)]
        process = subprocess.Popen(command, stderr=stream, text=True, env={**os.environ})
        try:
            wait_for("a sign of life", lambda: get(f"{url}/healthz")[0] == 200)
            yield Daemon(process, config, url, log)
        finally:
            assert end(process) == 0, log.read_text()[-3000:]


def probed_up(running: Daemon) -> bool:
    """Whether every endpoint has answered well."""
    return all(
        one["last"] and one["last"]["result"] == "up" for one in running.ask("status")["endpoints"]
    )
