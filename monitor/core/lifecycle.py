"""Where an endpoint or a holdername stands between its test and its disconnection.

Source: domain.md section 10; seed-003 (hypercare), seed-002 and CoCo 3.1.13 (readiness).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from monitor.core.alert import Event, Notice
from monitor.core.book import Book
from monitor.core.endpoint import Endpoint, Environment, Service
from monitor.core.holdername import Register
from monitor.core.month import civil, midnight, show_instant
from monitor.core.timeline import Phase
from monitor.core.verdict import Result

READY_BEFORE = timedelta(days=14)
"""From how long before its connection date an endpoint that is not up is warned of, each day."""
TELL_BEFORE = timedelta(days=7)
"""MaPS must hear this long before the date that a connection will slip (seed-002)."""


class Lifecycle(StrEnum):
    """`ready`: live, with no connection date yet. Only `hypercare` and `live` are accounted."""

    TEST = "test"
    READY = "ready"
    LIVE_PENDING = "live_pending"
    HYPERCARE = "hypercare"
    LIVE = "live"
    DISCONNECTED = "disconnected"

    @property
    def connected(self) -> bool:
        return self is Lifecycle.HYPERCARE or self is Lifecycle.LIVE


def lifecycle(endpoint: Endpoint, now: datetime, register: Register) -> Lifecycle:
    """Where an endpoint stands at an instant; dates begin at midnight in the register's zone."""
    if endpoint.environment is Environment.TEST:
        return Lifecycle.TEST
    if endpoint.connected_from is None:
        return Lifecycle.READY
    zone = register.zone
    if endpoint.disconnected_on is not None and now >= midnight(endpoint.disconnected_on, zone):
        return Lifecycle.DISCONNECTED
    start = midnight(endpoint.connected_from, zone)
    if now < start:
        return Lifecycle.LIVE_PENDING
    # Whole civil days: hypercare ends at a midnight, also over a change of the clocks.
    if now < midnight(endpoint.connected_from + endpoint.hypercare, zone):
        return Lifecycle.HYPERCARE
    return Lifecycle.LIVE


def holdername_lifecycle(guid: str, now: datetime, register: Register) -> Lifecycle:
    """Where a holdername stands: by its earliest serving, over all services.

    `ready`: no live endpoint is to serve it. `disconnected`: none does or will any more.
    """
    periods = [period for service in Service for period in register.serving(guid, service)]
    if not periods:
        return Lifecycle.READY
    first = min(periods, key=lambda period: period.interval.start)
    start = first.interval.start
    if now < start:
        return Lifecycle.LIVE_PENDING
    if all(period.interval.end <= now for period in periods):
        return Lifecycle.DISCONNECTED
    days = max(register.endpoints[name].hypercare for name in first.names)
    end = midnight(civil(start, register.zone).date() + days, register.zone)
    return Lifecycle.HYPERCARE if now < end else Lifecycle.LIVE


def paced(endpoints: Iterable[Endpoint], now: datetime, register: Register) -> tuple[Endpoint, ...]:
    """The endpoints as they are to be probed now: in hypercare more often, never less.

    Only the pace changes. The cadence by which observations are judged stays as configured, so the
    account needs to know nothing of it: a result holds as long as ever, a gap is as long as ever.
    """
    return tuple(_paced(endpoint, now, register) for endpoint in endpoints)


def _paced(endpoint: Endpoint, now: datetime, register: Register) -> Endpoint:
    tighter, cadence = endpoint.hypercare_interval, endpoint.cadence
    if tighter is None or tighter >= cadence.interval:
        return endpoint
    if lifecycle(endpoint, now, register) is not Lifecycle.HYPERCARE:
        return endpoint
    return replace(endpoint, cadence=replace(cadence, interval=tighter))


def not_ready(book: Book, now: datetime) -> Iterator[Notice]:
    """Endpoints that are to connect soon and are not up: said once a day for each (seed-002).

    One that was never probed yet is not spoken of.
    """
    for endpoint in book.register.endpoints.values():
        if endpoint.connected_from is None:
            continue
        if lifecycle(endpoint, now, book.register) is not Lifecycle.LIVE_PENDING:
            continue
        zone = book.register.zone
        if now < midnight(endpoint.connected_from - READY_BEFORE, zone):
            continue
        track = book.track(endpoint.id)
        if track.last is None or (track.phase is Phase.STEADY and track.last.result is Result.UP):
            continue
        connects = midnight(endpoint.connected_from, zone)
        tell = midnight(endpoint.connected_from - TELL_BEFORE, zone)
        data = {
            "endpoint": endpoint.id,
            "connected_from": endpoint.connected_from.isoformat(),
            "days_left": (connects - now) // timedelta(days=1),
            "result": track.last.result.value,
            "reason": track.last.reason.value,
            "observed_at": show_instant(track.last.at),
            "advice": f"mend it; if the connection will slip, MaPS must know by {show_instant(tell)}",
        }
        day = civil(now, zone).date().isoformat()
        event = Event(now, "endpoint.not_ready", endpoint.id, data)
        yield Notice(f"endpoint.not_ready {endpoint.id} {day}", event)
