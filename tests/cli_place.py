"""What the tests of the command line share: a place to work in, and ways to run the program."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from click.testing import CliRunner, Result

from monitor.adapters.socket import ControlServer, Handler, socket_path
from monitor.cli import cli

ROOT = Path(__file__).resolve().parent.parent
GUID = "816f82b5-8e4f-407b-8c54-afb179c4af5a"

CONFIG = f"""\
organisation: {{name: Example Administration Ltd, connection: federated}}
identities:
  live: {{pack: pack, trust: root.pem}}
endpoints:
  - id: view-main
    service: view
    url: https://127.0.0.1:9/view
    identity: live
    connected_from: 2026-01-01
  - id: find-main
    service: find
    url: https://127.0.0.1:9/find
    identity: live
    connected_from: 2026-01-01
holdernames:
  - guid: {GUID}
    name: Example Pension Scheme
    serves: [{{endpoints: [view-main, find-main], from: 2026-01-01}}]
store: {{url: "sqlite:monitor.db"}}
http: {{listen: "127.0.0.1:0"}}
"""


@dataclass
class Place:
    """A folder with a configuration and, once something was written, a store."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, text: str = CONFIG) -> Place:
        place = cls(folder)
        place.config.write_text(text, encoding="utf-8")
        return place

    @property
    def config(self) -> Path:
        return self.folder / "monitor.yaml"

    @property
    def store(self) -> Path:
        return self.folder / "monitor.db"

    def run(self, *arguments: str, **environ: str) -> Result:
        """The command on this place's configuration, in this process."""
        return run(*arguments, environ={"MONITOR_CONFIG": str(self.config), **environ})

    def ask(self, *arguments: str, code: int = 0) -> Any:
        """The JSON document that the command prints."""
        done = self.run(*arguments, "--json")
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    @contextmanager
    def daemon(self, handler: Handler) -> Iterator[None]:
        """A control socket in place of a daemon's, served from another thread."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        server = ControlServer(socket_path(self.store), handler, grace=0.1)
        try:
            asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
            yield
        finally:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


def run(
    *arguments: str, environ: Mapping[str, str] | None = None, terminal: bool = False
) -> Result:
    """The command in this process, with its logging undone; an unforeseen error is raised."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    env = {"MONITOR_AUTHOR": "ops", "NO_COLOR": None, **(environ or {})}
    try:
        done = CliRunner().invoke(cli, arguments, env=env, color=terminal)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
        structlog.reset_defaults()
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def spawn(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    """The program as a process, standard output and error apart."""
    return subprocess.Popen(
        [sys.executable, "-m", "monitor", *arguments],
        cwd=ROOT,
        env={**os.environ, "MONITOR_AUTHOR": "ops", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the program as a process."""
    with spawn(*arguments, **environ) as process:
        try:
            out, err = process.communicate(timeout=60)
        except BaseException:
            process.kill()
            raise
    return process.returncode, out, err
