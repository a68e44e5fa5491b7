"""How an operation is done: by the running daemon, or without one on the store itself."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import Common, Document, author_of, read_settings
from monitor.errors import DaemonUnreachable, StoreError, StoreLocked, UsageError

if TYPE_CHECKING:
    from monitor.adapters.store import SqliteStore
    from monitor.config import Settings
    from monitor.core.endpoint import Endpoint
    from monitor.core.verdict import Evidence, Verdict

PATIENCE = 10.0
"""Seconds that another command, or a daemon that starts or stops, may hold the store."""
PAUSE = 0.1
NOBODY = "nobody"


def perform(
    shared: Common, operation: str, arguments: Mapping[str, Any], author: str | None = None
) -> Document:
    """Do an operation; its document. Arguments that were not given are left out.

    Raises whatever the operation raises, StoreError, and DaemonUnreachable.
    """
    from monitor.adapters.socket import NobodyListens, call, socket_path

    settings = read_settings(shared.config)
    who = _who(author or os.environ.get("MONITOR_AUTHOR"), operation)
    given = _given(arguments)
    until = time.monotonic() + PATIENCE
    socket = socket_path(settings.store.path)
    while True:
        with contextlib.suppress(NobodyListens):
            return call(socket, operation, given, who)
        try:
            return _without_daemon(settings, operation, given, who)
        except StoreLocked as locked:
            if time.monotonic() > until:
                raise DaemonUnreachable(
                    f"{locked}. Nobody answers on {socket}: if the daemon is starting or stopping,"
                    " try again in a moment; if it hangs, restart it"
                ) from locked
        time.sleep(PAUSE)


def _who(given: str | None, operation: str) -> str:
    """Who asks. Reading leaves no fact: it needs no name, which a container's user does not have."""
    from monitor.operations import OPERATIONS

    try:
        return author_of(given)
    except UsageError:
        if OPERATIONS[operation].write:
            raise
        return NOBODY


def _given(arguments: Mapping[str, Any]) -> Document:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in arguments.items()
        if value not in (None, (), False)
    }


def _without_daemon(
    settings: Settings, operation: str, arguments: Document, author: str
) -> Document:
    """On the store itself: under the daemon's lock to write, else for reading only."""
    import asyncio

    from monitor.adapters.lock import StoreLock
    from monitor.adapters.store import SqliteStore
    from monitor.operations import OPERATIONS

    path = settings.store.path
    if OPERATIONS[operation].write:
        with StoreLock(path), SqliteStore.open(path) as store:
            return asyncio.run(_perform_on(settings, store, operation, arguments, author))
    if not path.exists():
        raise StoreError(
            f"{path}: there is no store yet; start the daemon (monitor run), or declare something"
        )
    with SqliteStore.open(path, read_only=True) as store:
        click.echo("No daemon answers: this is what the store holds.", err=True)
        return asyncio.run(_perform_on(settings, store, operation, arguments, author))


async def _perform_on(
    settings: Settings, store: SqliteStore, operation: str, arguments: Document, author: str
) -> Document:
    from monitor.adapters.clock import SteadyClock
    from monitor.cycle import Cycle
    from monitor.desk import Desk
    from monitor.operations import perform
    from monitor.recovery import load_book, policy_of

    clock = SteadyClock()
    for instant in store.frontiers().values():
        clock.not_before(instant)
    book = load_book(settings, store).book
    cycle = Cycle(book, store, clock, _Unheard(), policy_of(settings))
    desk = Desk(
        cycle,
        clock,
        lambda: settings,
        store,
        False,
        clock.now(),
        warnings=lambda: settings.warnings,
    )
    return await perform(desk, operation, arguments, author=author)


class _Unheard:
    """Telemetry of a process that is gone before anybody could read it (`ports.Telemetry`)."""

    def probed(self, endpoint: Endpoint, evidence: Evidence, verdict: Verdict) -> None: ...
    def slot(self, outcome: str, lateness: float) -> None: ...
    def loop_lag(self, seconds: float) -> None: ...
    def clock_stepped(self, seconds: float) -> None: ...
    def store_failing(self, failing: bool, spooled: int, lost: int) -> None: ...
