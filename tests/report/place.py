"""A month worth a report: planned work that overran, short notice, an assertion, gaps, DST."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from monitor.adapters.store import SqliteStore
from monitor.core.fact import Fact
from monitor.core.timeline import Phase
from monitor.core.verdict import Observation, Reason, Result
from monitor.jobs import seal_months
from monitor.ports import Change, OutageRow, Sample, SpanRow
from monitor.recovery import configuration_fact
from tests.desks import ANNA, CONFIGURATION, Place, read_settings

TEXT = (
    CONFIGURATION.replace("2026-01-01", "2026-03-05").replace("2026-02-01", "2026-03-20")
    + 'store: {url: "sqlite:monitor.db"}\n'
)
MARCH = datetime(2026, 3, 5, tzinfo=UTC)
END = datetime(2026, 3, 31, 23, tzinfo=UTC)
SEALED = datetime(2026, 4, 10, 1, tzinfo=UTC)
STEP = timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


DOWN = {
    "view-main": [
        ("2026-03-17T23:58", "2026-03-18T03:30", Reason.STATUS_5XX),
        ("2026-03-20T10:00", "2026-03-20T10:45", Reason.CONNECT_REFUSED),
        ("2026-03-29T00:30", "2026-03-29T01:40", Reason.RESPONSE_TIMEOUT),
        ("2026-03-12T12:00", "2026-03-12T12:01", Reason.DNS),
    ],
    "find-main": [("2026-03-25T08:00", "2026-03-25T08:30", Reason.TLS_CERTIFICATE)],
}
LOCAL = [("2026-03-08T02:00", "2026-03-08T05:00")]
SILENT = [("2026-03-14T09:00", "2026-03-14T11:00")]


def _within(spans: list[Any], instant: datetime) -> Any:
    return next((span for span in spans if at(span[0]) <= instant < at(span[1])), None)


def _seen(endpoint: str, instant: datetime) -> Observation | None:
    if _within(SILENT, instant) is not None:
        return None
    if _within(LOCAL, instant) is not None:
        return Observation(endpoint, instant, Result.LOCAL, Reason.LOCAL_NETWORK)
    down = _within(DOWN[endpoint], instant)
    if down is not None:
        return Observation(endpoint, instant, Result.DOWN, down[2])
    return Observation(endpoint, instant, Result.UP, Reason.OK)


def a_fact(kind: str, instant: str, /, **body: Any) -> Fact:
    return Fact(at(instant), kind, {"author": "ops", **body})


FACTS = [
    a_fact(
        *("declaration", "2026-03-09T10:00"),
        id="D-1",
        notified_at="2026-03-09T10:00:00+00:00",
        start="2026-03-18T00:00:00+00:00",
        end="2026-03-18T03:00:00+00:00",
        endpoints=["view-main"],
        reason="=HYPERLINK(upgrade)",
        ticket="T-1",
        warnings=[],
    ),
    a_fact(
        *("declaration", "2026-03-19T10:00"),
        id="D-2",
        notified_at="2026-03-19T10:00:00+00:00",
        start="2026-03-20T10:00:00+00:00",
        end="2026-03-20T11:00:00+00:00",
        endpoints=["view-main"],
        reason="emergency <fix> & more",
        kind="emergency",
        ticket="T-2",
        warnings=[],
    ),
    *(
        a_fact(
            *("certificate.seen", instant),
            endpoint="view-main",
            sha256=digest * 32,
            issuer="CN=Example CA",
            subject="CN=one.example",
            names=["one.example"],
            key_sha256=None,
            not_after="2026-09-01T00:00:00Z",
            change=change,
            reference=None,
        )
        for instant, digest, change in (
            ("2026-03-06T10:00", "ab", "first"),
            ("2026-03-21T10:00", "cd", "renewal"),
        )
    ),
    a_fact(
        *("assertion", "2026-03-22T10:00"),
        id="A-1",
        start="2026-03-22T08:00:00+00:00",
        end="2026-03-22T09:00:00+00:00",
        holdernames=[ANNA],
        services=["view"],
        reason="back end away",
    ),
]


async def sealed_march(folder: Path, text: str = TEXT, facts: Iterable[Fact] = FACTS) -> Place:
    """March 2026 probed each minute, sealed, then restated for the worse; stored in `folder`."""
    settings = read_settings(folder, text)
    store = SqliteStore.open(settings.store.path)
    place = Place(settings, store, receivers=())
    place.clock.time = MARCH
    await place.cycle.learn([configuration_fact(settings, MARCH)])
    waiting = sorted(facts, key=lambda fact: fact.at)
    instant = MARCH
    while instant < END + timedelta(minutes=5):
        day = min(instant + timedelta(days=1), END + timedelta(minutes=5))
        if waiting and waiting[0].at < day:
            day = max(waiting[0].at, instant)
        await _watch(place, instant, day)
        place.clock.time = instant = day
        while waiting and waiting[0].at <= instant:
            await place.cycle.learn([waiting.pop(0)])
    place.clock.time = SEALED
    await seal_months(place.cycle, settings.digest, SEALED)
    late = SEALED + timedelta(days=1)
    place.clock.time = late
    await place.cycle.learn(
        [
            a_fact(
                *("assertion", late.replace(tzinfo=None).isoformat()),
                id="A-2",
                start="2026-03-30T08:00:00+00:00",
                end="2026-03-30T09:30:00+00:00",
                holdernames=[ANNA],
                services=["find"],
                reason="found in the logs",
            )
        ]
    )
    await seal_months(place.cycle, settings.digest, late)
    return place


async def _watch(place: Place, start: datetime, end: datetime) -> None:
    """Probe both live endpoints each minute, oftener while one is suspect, and store it."""
    upper = place.book.branch()
    samples: list[Sample] = []
    spans: list[SpanRow] = []
    outages: dict[tuple[str, datetime], OutageRow] = {}
    for endpoint in DOWN:
        instant = start
        while instant < end:
            seen = _seen(endpoint, instant)
            if seen is not None:
                samples.append(Sample(seen, 12_500, 200))
                settled = upper.observe(seen)
                spans += [SpanRow(endpoint, s.start, s.end, s.state.value) for s in settled.spans]
                if (out := settled.outage) is not None:
                    key = (endpoint, out.start)
                    outages[key] = OutageRow(endpoint, out.start, out.confirmed_at, out.end)
            steady = upper.track(endpoint).phase in (Phase.STEADY, Phase.OUTAGE)
            instant += STEP if steady else timedelta(seconds=10)
    caused = upper.correlate(end, upper.touched)
    await place.store.commit(Change(samples, caused, spans, list(outages.values())))
    place.book.adopt(upper)
