"""Real processes for end-to-end tests: the sandbox, the daemon, commands against them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML

T = TypeVar("T")

LONGEST = 60.0
"""Seconds that anything waited for may take on a busy machine."""


def monitor(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "monitor", *arguments]


def get(url: str, token: str | None = None, *, timeout: float = 10.0) -> tuple[int, str]:
    """Status and text of a GET; status 0 while nobody listens."""
    request = urllib.request.Request(url)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def send(method: str, url: str, document: Any = None) -> Any:
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data=body, method=method)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """What `look` finds as soon as it finds something; fails loudly after LONGEST."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {LONGEST:.0f} s in vain for {what}")


def end(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> int:
    """Signal a process we started and wait for its end; its exit status."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=5)
        raise


@dataclass
class Sandbox:
    """A running sandbox and the configuration that it wrote."""

    folder: Path
    control: str
    hook: str

    @property
    def config(self) -> Path:
        return self.folder / "monitor.yaml"

    @property
    def token(self) -> str:
        """The secret with which the pages of its daemon may be read and written."""
        return (self.folder / "token").read_text().strip()

    def settings(self) -> Any:
        return YAML(typ="safe").load(self.config.read_text())

    def rewrite(self, change: Callable[[Any], None]) -> Path:
        """A copy of the configuration with a change; the sandbox overwrites its own."""
        settings = self.settings()
        change(settings)
        copy = self.folder / "changed.yaml"
        with copy.open("w") as stream:
            YAML(typ="safe").dump(settings, stream)
        return copy

    def fail(self, endpoint: str, mode: str, **options: Any) -> None:
        send("POST", f"{self.control}/{endpoint}", {"mode": mode, **options})

    def heal(self, endpoint: str) -> None:
        send("DELETE", f"{self.control}/{endpoint}")

    def messages(self, kind: str | None = None) -> list[Any]:
        found: list[Any] = send("GET", self.hook)["messages"]
        return [one for one in found if kind is None or one["type"] == kind]


@contextmanager
def sandbox(folder: Path) -> Iterator[Sandbox]:
    """A sandbox on free ports, in its own process."""
    log = (folder / "sandbox.log").open("w")
    place = folder / "sandbox"
    process = subprocess.Popen(
        monitor(
            *("sandbox", "--dir", str(place), "--port", "0"),
            *("--metrics-listen", "127.0.0.1:0", "--json"),
        ),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield Sandbox(place, said["control"], said["sink"])
    finally:
        end(process)
        if process.stdout is not None:
            process.stdout.close()
        log.close()


@dataclass
class Daemon:
    """A running daemon. `url` is its web server, `token` one that may do everything there."""

    process: subprocess.Popen[str]
    config: Path
    url: str
    log: Path
    token: str | None = None

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page; status 0 while nobody listens."""
        return get(f"{self.url}{path}", self.token)

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels, as Prometheus sees it."""
        status, text = self.get("/metrics")
        assert status == 200, text
        lines = (line for line in text.splitlines() if line and not line.startswith("#"))
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command against the same configuration."""
        return run(*arguments, "-c", str(self.config))

    def ask(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        done = self.run(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        monitor(*arguments), capture_output=True, text=True, timeout=LONGEST, check=False
    )


@contextmanager
def daemon(config: Path, *, stop: int = signal.SIGTERM) -> Iterator[Daemon]:
    """A daemon on a configuration, once it is ready; ended by the signal `stop`."""
    log = config.parent / "daemon.log"
    http = YAML(typ="safe").load(config.read_text())["http"]
    # The sandbox keeps the secret of its token beside the configuration.
    token = (config.parent / "token").read_text().strip() if "tokens_file" in http else None
    with log.open("a") as stream:
        process = subprocess.Popen(
            monitor("run", "-c", str(config)),
            stdout=subprocess.DEVNULL,
            stderr=stream,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        running = Daemon(process, config, f"http://{http['listen']}", log, token)
        try:
            wait_for("the daemon to be ready", lambda: _ready(running))
            yield running
        finally:
            status = end(process, stop)
            if stop == signal.SIGTERM:
                assert status == 0, log.read_text()[-3000:]


def _ready(running: Daemon) -> bool:
    assert running.process.poll() is None, running.log.read_text()[-3000:]
    return running.get("/readyz")[0] == 200
