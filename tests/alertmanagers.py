"""A real Alertmanager in its own process, and what it delivered to a webhook."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from ruamel.yaml import YAML

from tests.tools import find, free_port, need

EXAMPLE = Path(__file__).resolve().parent.parent / "config" / "alertmanager.yaml"
LONGEST = 30.0


@dataclass
class Sink:
    """A webhook receiver. `got` are the bodies in order of arrival, `paths` what was asked for."""

    url: str = ""
    got: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 200

    def alerts(self, **labels: str) -> list[tuple[str, str]]:
        """(alert name, status) of each alert delivered, in order, of those with these labels."""
        return [
            (one["labels"]["alertname"], one["status"])
            for body in self.got
            for one in body["alerts"]
            if labels.items() <= one["labels"].items()
        ]


@contextmanager
def sink() -> Iterator[Sink]:
    """A receiver of JSON on loopback, in a thread."""
    seen = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.paths.append(self.path)
            if body:
                seen.got.append(json.loads(body))
            self._answer()

        def do_GET(self) -> None:
            seen.paths.append(self.path)
            self._answer()

        def _answer(self) -> None:
            self.send_response(seen.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configuration(folder: Path, hook: str) -> Path:
    """The configuration that is shipped, delivering to `hook` without delay."""
    settings = YAML(typ="safe").load(EXAMPLE)
    settings["route"].update(group_wait="50ms", group_interval="200ms")
    settings["receivers"][0]["webhook_configs"][0]["url"] = hook
    path = folder / "alertmanager.yml"
    path.write_text(json.dumps(settings))
    return path


@dataclass
class Running:
    """A running Alertmanager. `url` is its base."""

    url: str

    @property
    def name(self) -> str:
        """How the daemon's metrics name it."""
        return f"alertmanager:{self.url.removeprefix('http://')}"

    def get(self, path: str) -> Any:
        with urlopen(f"{self.url}/api/v2/{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def alerts(self) -> list[Any]:
        return list(self.get("alerts"))

    def silences(self) -> dict[str, str]:
        """Comment to state of every silence."""
        return {one["comment"]: one["status"]["state"] for one in self.get("silences")}


@contextmanager
def alertmanager(folder: Path, hook: str) -> Iterator[Running]:
    """An Alertmanager alone, on a free port."""
    need("prometheus-alertmanager")
    folder.mkdir(exist_ok=True)
    port = free_port()
    process = subprocess.Popen(
        [
            str(find("prometheus-alertmanager")),
            f"--config.file={configuration(folder, hook)}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running = Running(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: _ready(running))
        yield running
    finally:
        process.terminate()
        process.wait(timeout=10)


def _ready(running: Running) -> bool:
    try:
        running.get("status")
    except OSError:
        return False
    return True


def wait_until(look: Callable[[], object], within: float = LONGEST) -> None:
    deadline = time.monotonic() + within
    while not look():
        assert time.monotonic() < deadline, f"waited {within:.0f} s in vain"
        time.sleep(0.05)
