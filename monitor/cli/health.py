"""`healthcheck`: how the daemon is, for whoever restarts it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import click

from monitor.cli.common import Common, Document, common, finish
from monitor.errors import MonitorError

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""An address that stands for all of them, to one that can be connected to."""
ASKER = "healthcheck"


@click.command()
@click.option(
    "--ready", is_flag=True, help="exit with 0 only while the daemon also probes and stores"
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 60),
    default=4.0,
    metavar="SECONDS",
    help="how long the daemon may take to answer (default: 4)",
)
@common()
def healthcheck(shared: Common, ready: bool, timeout: float) -> None:
    """Exit with 0 if the daemon of this configuration lives, else with 1.

    It lives if it answers on its control socket and its listener takes a connection; so neither a
    port, nor TLS, nor a token need be known. Only the store's place is read from the configuration:
    a faulty change, which the daemon refuses, does not make it look dead.
    """
    finish(shared, _ask(shared.config, ready=ready, timeout=timeout), _text)


def _ask(config: Path, *, ready: bool, timeout: float) -> Document:
    """The answer: `ok`, whether it is `alive` and `ready`, and the `reasons` against either."""
    from monitor.adapters.socket import HEALTH, call, socket_path
    from monitor.config_place import find_store

    control = socket_path(find_store(config, environ=os.environ))
    try:
        said = call(control, HEALTH, {}, ASKER, timeout)
    except MonitorError as error:
        return _answer(ok=False, alive=False, ready=False, reasons=[str(error)])
    deaf = _deaf(said["host"], said["port"], timeout)
    if deaf is not None:
        return _answer(ok=False, alive=False, ready=False, reasons=[deaf, *said["reasons"]])
    good = said["ready"] or not ready
    return _answer(ok=good, alive=True, ready=said["ready"], reasons=said["reasons"])


def _answer(**said: Any) -> Document:
    return said


def _deaf(host: str, port: int | None, timeout: float) -> str | None:
    """Why the listener takes no connection; None if it does."""
    if port is None:
        return "the daemon does not listen yet; try again in a moment"
    try:
        with socket.create_connection((ANY.get(host, host), port), timeout):
            return None
    except OSError as error:
        why = error.strerror or "it timed out"
        return f"{host} port {port} takes no connection ({why}); see the log, restart the daemon"


def _text(document: Document) -> str:
    state = "dead" if not document["alive"] else "ready" if document["ready"] else "alive"
    return "\n".join([state, *(f"  {reason}" for reason in document["reasons"])])
