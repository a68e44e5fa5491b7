"""A place with a past: months of states of every kind, of every class, in a real store.

Observations are sparse, and hold because `gap_after` is long, so that a season costs a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from monitor.adapters.store import SqliteStore
from monitor.config import load
from monitor.core.verdict import Evidence, Observation, Reason, Result
from monitor.jobs import seal_months
from monitor.operations import perform
from monitor.ports import Change, OutageRow, Sample, SpanRow
from monitor.recovery import configuration_fact
from monitor.snapshot import Document
from monitor.web.app import Health, build_app
from monitor.web.metrics import Metrics
from monitor.web.telemetry import PrometheusTelemetry
from tests.desks import Place, book_of
from tests.web.world import Identities, evidence

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
BEGUN = datetime(2026, 8, 20, tzinfo=UTC)
SPARSE = timedelta(hours=6)
SOON = timedelta(seconds=5)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GUID = "816f82b5-8e4f-407b-8c54-{:012x}"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bad:
    """A stretch that was not plainly up; `end` None: it goes on. `what` is a Result, or `blip`."""

    endpoint: str
    start: datetime
    end: datetime | None
    what: str = "down"
    reason: Reason = Reason.STATUS_5XX


EVENTS = (
    Bad(
        "view-main", at("2026-09-14T08:10"), at("2026-09-14T09:02"), "down", Reason.CONNECT_REFUSED
    ),
    Bad("view-main", at("2026-10-06T22:00"), at("2026-10-06T23:40")),
    Bad("view-main", at("2026-11-10T21:50"), at("2026-11-10T22:20")),
    Bad("view-main", at("2026-11-18T23:55"), at("2026-11-19T01:10")),
    Bad("view-main", at("2026-11-26T08:12"), None, "down", Reason.TLS_REFUSED),
    Bad("find-main", at("2026-11-03T10:00"), at("2026-11-03T13:50"), "impaired", Reason.SLOW),
    Bad("find-main", at("2026-11-21T02:00"), at("2026-11-21T02:20"), "local", Reason.LOCAL_NETWORK),
    Bad("find-main", at("2026-11-26T08:40"), at("2026-11-26T08:52"), "impaired", Reason.SLOW),
    Bad("pat-main", at("2026-11-25T16:00"), at("2026-11-25T16:00:40"), "blip", Reason.DNS),
    Bad("pat-main", at("2026-11-26T09:10"), None, "local", Reason.LOCAL_DNS),
    Bad("view-west", at("2026-11-26T09:05"), None, "impaired", Reason.SLOW),
    Bad("view-test", at("2026-11-25T20:00"), None, "down", Reason.TLS_CERTIFICATE),
)
"""What befell the endpoints that the configuration always has."""


def configuration(more: int = 0, test: int = 1) -> str:
    """Four live endpoints, `more` that are always up, and some test ones."""
    live = [("find-main", "find", "one"), ("view-main", "view", "one")]
    live += [("pat-main", "pat-refresh", "one"), ("view-west", "view", "west")]
    live += [(f"view-{number:03d}", "view", f"dc-{number % 7}") for number in range(more)]
    lines = [
        "organisation: {name: Example Administration Ltd, connection: federated}",
        "identities:",
        "  live: {pack: live}",
        "defaults: {gap_after: 13h}",
        'store: {url: "sqlite:monitor.db"}',
        "endpoints:",
    ]
    lines += [
        f'  - {{id: {name}, service: {service}, url: "https://{group}.example/{service}/{name}",'
        f" identity: live, connected_from: 2026-09-01, group: {group}}}"
        for name, service, group in live
    ]
    lines += [
        f'  - {{id: {name}, service: view, url: "https://test.example/{name}", identity: live,'
        " environment: test, group: test}"
        for name in ["view-test", *(f"test-{number}" for number in range(1, test))][:test]
    ]
    lines.append("holdernames:")
    lines += [
        f"  - {{guid: {GUID.format(number)}, name: Scheme {number}, serves: [{{endpoints:"
        " [find-main, view-main, pat-main], from: 2026-09-01}]}"
        for number in range(1, 6)
    ]
    return "\n".join(lines) + "\n"


@dataclass
class Past:
    """A place whose clock is taken from one event to the next."""

    place: Place
    events: Sequence[Bad]
    _told: dict[str, datetime] = field(default_factory=dict)

    async def until(self, end: datetime) -> None:
        """Let everything be observed up to `end`."""
        for start in _days(self.place.clock.time, end):
            stop = min(start + DAY, end)
            await self._observe(stop)
            self.place.clock.time = stop
            await self.place.cycle.sweep()

    async def ask(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        """Do something by hand, now."""
        return await perform(self.place.desk, operation, arguments, author="ann")

    async def _observe(self, end: datetime) -> None:
        book = self.place.book
        upper = book.branch()
        samples: list[Sample] = []
        spans: list[SpanRow] = []
        outages: dict[tuple[str, datetime], OutageRow] = {}
        for name in book.register.endpoints:
            for seen in self._seen(name, self._told.get(name, BEGUN), end):
                up = seen.result is Result.UP
                samples.append(Sample(seen, 180_000 if up else 9_000, 401 if up else None))
                settled = upper.observe(seen)
                spans += [SpanRow(name, s.start, s.end, s.state.value) for s in settled.spans]
                if (out := settled.outage) is not None:
                    outages[name, out.start] = OutageRow(name, out.start, out.confirmed_at, out.end)
            self._told[name] = end
        caused = upper.correlate(end, upper.touched)
        await self.place.store.commit(Change(samples, caused, spans, list(outages.values())))
        book.adopt(upper)

    def _seen(self, name: str, start: datetime, end: datetime) -> list[Observation]:
        marks: dict[datetime, tuple[Result, Reason]] = {}
        instant = BEGUN + (max(start, BEGUN) - BEGUN) // SPARSE * SPARSE
        while instant < end:
            marks[instant] = (Result.UP, Reason.OK)
            instant += SPARSE
        recent = NOW - HOUR  # the last hour is watched more closely
        while recent < min(end, NOW):
            marks[recent] = (Result.UP, Reason.OK)
            recent += 2 * MINUTE
        for bad in self.events:
            if bad.endpoint == name:
                _befall(marks, bad, end)
        return [
            Observation(name, when, *marks[when]) for when in sorted(marks) if start <= when < end
        ]


def _befall(marks: dict[datetime, tuple[Result, Reason]], bad: Bad, end: datetime) -> None:
    over = end if bad.end is None else bad.end
    for when in [when for when in marks if bad.start <= when < over]:
        del marks[when]
    result = Result("down" if bad.what == "blip" else bad.what)
    if bad.what == "blip":
        marks[bad.start] = (result, bad.reason)
        marks[over] = (Result.UP, Reason.OK)
        return
    instant, step = bad.start, SOON
    while instant < over:
        marks[instant] = (result, bad.reason)
        step = SOON if instant < bad.start + 2 * SOON else 10 * MINUTE
        instant += step
    if bad.end is not None:
        marks[over] = marks[over + SOON] = (Result.UP, Reason.OK)


def _last_seen(endpoint: str) -> Evidence | None:
    """The last probe of the endpoints named -main; of the others there was none."""
    return evidence(endpoint) if endpoint.endswith("-main") else None


def _days(start: datetime, end: datetime) -> list[datetime]:
    found = []
    while start < end:
        found.append(start)
        start += DAY
    return found


async def eventful(
    folder: Path,
    *,
    more: int = 0,
    test: int = 1,
    events: Sequence[Bad] = EVENTS,
    deeds: bool = True,
) -> Past:
    """A season up to NOW, with declared windows and incidents of every kind, stored in `folder`.

    `deeds`: also what people did meanwhile; without, nothing was declared, reported or closed.
    """
    path = folder / "monitor.yaml"
    path.write_text(configuration(more, test), encoding="utf-8")
    settings = load(path, environ={}, bank_holidays=lambda _: frozenset({date(2026, 8, 31)}))
    place = Place(settings, SqliteStore.open(settings.store.path), receivers=())
    place.cycle.book = book_of(settings)
    place.desk = replace(place.desk, seen=_last_seen)
    place.clock.time = BEGUN
    await place.cycle.learn([configuration_fact(settings, BEGUN)])
    past = Past(place, events)
    if deeds:
        await _deeds(past)
    await past.until(NOW)
    return past


async def _close(past: Past, incident: str, ticket: str) -> None:
    await past.ask("incident.report", id=incident, ticket=ticket)
    await past.ask("incident.update", id=incident, cause="listener crashed", location="own")
    await past.ask("incident.attest", id=incident)
    await past.ask("incident.close", id=incident)


async def _deeds(past: Past) -> None:
    await past.until(at("2026-09-14T10:00"))
    await _close(past, "I-1", "M-1")
    # Told in good time, and kept to.
    await past.until(at("2026-09-20T10:00"))
    window = {"start": "2026-10-06T22:00Z", "end": "2026-10-06T23:45Z", "endpoints": ["view-main"]}
    await past.ask(
        "downtime.declare", **window, reason="database upgrade", notified_at="2026-09-20T10:00Z"
    )
    await past.until(at("2026-10-07T09:00"))
    await past.ask("downtime.complete", id="D-1")
    # Too late told, begun too early.
    await past.until(at("2026-11-03T15:00"))
    await _close(past, "I-2", "M-2")
    await past.until(at("2026-11-09T10:00"))
    window = {"start": "2026-11-10T22:00Z", "end": "2026-11-10T23:00Z", "endpoints": ["view-main"]}
    await past.ask(
        "downtime.declare", **window, reason="certificate", notified_at="2026-11-09T10:00Z"
    )
    await past.until(at("2026-11-11T09:00"))
    await past.ask("downtime.complete", id="D-2")
    # In good time told, and overrun; nobody has told MaPS so.
    window = {"start": "2026-11-19T00:00Z", "end": "2026-11-19T00:45Z", "endpoints": ["view-main"]}
    await past.ask(
        "downtime.declare", **window, reason="new release", notified_at="2026-11-11T09:00Z"
    )
    await past.until(at("2026-11-25T12:00"))
    window = {"start": "2026-12-08T22:00Z", "end": "2026-12-09T02:00Z", "services": ["view"]}
    await past.ask("downtime.declare", **window, reason="move to another data centre")
    await _restate(past)
    await past.until(at("2026-11-26T08:50"))
    await past.ask("incident.acknowledge", id=max(past.place.book.records, key=_number))


async def _restate(past: Past) -> None:
    """Seal two months; restate one for the worse, and have it proposed for the better."""
    place = past.place
    digest = place.settings.digest
    await seal_months(place.cycle, digest, place.clock.time)
    late = {"start": "2026-10-20T08:00Z", "end": "2026-10-20T09:30Z", "reason": "found in the logs"}
    await past.ask("outage.assert", **late, holdernames=[GUID.format(2)], services=["find"])
    await seal_months(place.cycle, digest, place.clock.time)
    await _close(past, "I-5", "M-5")
    await past.ask("outage.withdraw", id="A-1", reason="another's")
    await seal_months(place.cycle, digest, place.clock.time)


def _number(identifier: str) -> int:
    return int(identifier.removeprefix("I-"))


def app_of(past: Past) -> web.Application:
    """The application over a place with a past; without tokens, so read only."""
    desk = past.place.desk

    async def ask(operation: str, arguments: Mapping[str, Any], author: str) -> Document:
        return await perform(desk, operation, arguments, author=author)

    metrics = Metrics(desk, PrometheusTelemetry(), Identities())
    return build_app(desk, metrics, Health(), None, ask)
