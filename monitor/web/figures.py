"""The Book's figures as plain rows, worked out so that a scrape of many endpoints costs little.

The numbers are those of `snapshot.py`. What can no longer change is worked out once: settled time
is only ever added to, and closed months are remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from sys import intern

from monitor.core import seal
from monitor.core.alert import COMPLETION_AFTER
from monitor.core.book import Book
from monitor.core.downtime import Calendar, Kind, Series
from monitor.core.endpoint import Endpoint
from monitor.core.fact import Fact
from monitor.core.interval import BEGINNING, FOREVER, MICROSECOND, Interval
from monitor.core.month import Month
from monitor.core.outage import Class
from monitor.core.rules import LateRecords
from monitor.core.timeline import State
from monitor.snapshot import Document, account_document, ratio

MONTHS = 13
"""The running month and the twelve before it."""
SHOWN = ("up", "impaired", "down", "unknown")
BASES = ("measured", "best", "worst", "excluding_declared")
CLASSES = tuple(cls.value for cls in Class)
SECONDS = ("eligible_s", "unknown_s", "budget_s", "remaining_s")
FIELDS = (*SECONDS, *CLASSES, *BASES, "verdict")
WINDOWS = (
    ("5m", timedelta(minutes=5)),
    ("30m", timedelta(minutes=30)),
    ("1h", timedelta(hours=1)),
    ("2h", timedelta(hours=2)),
    ("6h", timedelta(hours=6)),
    ("1d", timedelta(days=1)),
    ("3d", timedelta(days=3)),
)
"""Of burn rates."""


# -- rows ----------------------------------------------------------------------------------------


Figures = tuple[str, ...]
"""A month's figures as they are printed, in the order of FIELDS; empty: there is no such figure.

A plain tuple of shared texts: of these there are hundreds of thousands, and the garbage collector,
which stops the event loop, need not look at them again and again.
"""


def figures_of(document: Document) -> Figures:
    """The same numbers as every face prints (`snapshot.account_document`)."""
    every = {**document, **document["by_class"]}
    return tuple("" if (value := every[field]) is None else intern(str(value)) for field in FIELDS)


@dataclass(frozen=True, slots=True)
class Row:
    """What there is to say of one endpoint; `months` and `burning` are empty if it never counts.

    `time` is in microseconds by (state, class). `unavailable` is the class of unavailable time that the
    endpoint is in now, if any. `months` go with those of `Gathered`; None: the
    month has nothing to do with the endpoint.
    """

    endpoint: str
    labels: str
    state: str
    time: tuple[tuple[tuple[str, str], int], ...]
    months: tuple[Figures | None, ...]
    burning: tuple[str, ...]
    lifecycle: str
    findings: tuple[tuple[str, int], ...]
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An incident whose outage lasts: its id, its group, since when, and by when to restore."""

    name: str
    group: str
    start: datetime
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that is known as of `now`, as plain data.

    `months` are (name, bounds), the running one first; `active` are (declaration, kind, end) of the
    windows in force, `unreported` (incident, group, opened) of incidents that MaPS was not told of,
    `completions` (declaration, due) of windows whose completion comment is missing; `expiry` (role,
    name, instant) of certificates.
    """

    now: datetime
    objective: str
    months: Sequence[tuple[str, Interval]]
    rows: Sequence[Row]
    incidents: Mapping[str, int]
    open: Sequence[OpenIncident]
    active: Sequence[tuple[str, str, datetime]]
    unreported: Sequence[tuple[str, str, datetime]]
    completions: Sequence[tuple[str, datetime]]
    next_downtime: datetime | None
    expiry: Sequence[tuple[str, str, datetime]]


def shown_state(book: Book, endpoint: str, now: datetime) -> str:
    """up, impaired, down or unknown.

    What waits for confirmation is unknown: until then it counts as such in the best and the worst
    case (accounting 6), and it must not pass for up.
    """
    state = book.endpoint_states(endpoint, Interval(now - MICROSECOND, now), now)[-1].state
    return State.UNKNOWN.value if state is State.UNCONFIRMED else state.value


# -- time that can no longer be judged otherwise -------------------------------------------------


@dataclass(slots=True)
class _Sum:
    """Microseconds by (state, class), and up to where unavailable time and the rest are counted."""

    unavailable_to: datetime
    rest_to: datetime
    us: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, state: State, cls: str, duration: timedelta) -> None:
        key = (state.value, cls)
        self.us[key] = self.us.get(key, 0) + duration // MICROSECOND


class SettledTime:
    """Sums of settled time per endpoint. They only ever grow.

    Unavailable time has its class from the outage's parts. Where a late record may still excuse it
    (`late_records: accept`) it waits until its month is sealed.
    """

    def __init__(self) -> None:
        self._sums: dict[str, _Sum] = {}

    def counted(
        self, book: Book, endpoint: Endpoint, now: datetime, judged_to: datetime
    ) -> tuple[tuple[tuple[str, str], int], ...]:
        """Microseconds by (state, class). No class changes any more before `judged_to`."""
        settled = book.settled(endpoint.id)
        if settled is None:
            return ()
        known = self._sums.get(endpoint.id)
        if known is None:
            known = self._sums[endpoint.id] = _Sum(settled.start, settled.start)
        now = max(now, settled.end)
        if known.rest_to < settled.end:
            for span in book.endpoint_states(
                endpoint.id, Interval(known.rest_to, settled.end), now
            ):
                if not span.state.unavailable:
                    known.add(span.state, "", span.end - span.start)
            known.rest_to = settled.end
        until = min(settled.end, judged_to) if endpoint.live else settled.end
        if known.unavailable_to < until:
            self._count_unavailable(
                book, endpoint, known, Interval(known.unavailable_to, until), now
            )
            known.unavailable_to = until
        return tuple(known.us.items())

    def _count_unavailable(
        self, book: Book, endpoint: Endpoint, known: _Sum, bounds: Interval, now: datetime
    ) -> None:
        lost = [
            span
            for span in book.endpoint_states(endpoint.id, bounds, now)
            if span.state.unavailable
        ]
        if not lost:
            return
        outages = book.outages(book.endpoint_series(endpoint.id), now, bounds)
        parts = [part for outage in outages for part in outage.parts if part.cls is not None]
        for span in lost:
            rest = span.end - span.start
            for part in parts:
                inside = part.interval.clip(Interval(span.start, span.end))
                if inside is not None and part.cls is not None:
                    known.add(span.state, part.cls.value, inside.duration)
                    rest -= inside.duration
            if rest:  # outside eligible time nothing has a class
                known.add(span.state, "", rest)

    def keep(self, endpoints: Mapping[str, Endpoint]) -> None:
        """Forget endpoints that are not among these."""
        for name in self._sums.keys() - endpoints.keys():
            del self._sums[name]


def judged_to(book: Book) -> datetime:
    """Up to where no class can change any more, whatever is still recorded."""
    if book.rules.late_records is LateRecords.REJECT:
        return FOREVER
    last = max(book.seals, default=None)
    return BEGINNING if last is None else Month.parse(last, book.rules.zone).interval.end


# -- months --------------------------------------------------------------------------------------


Sealed = Mapping[str, Figures]
"""The sealed figures of a month, by endpoint."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """A month of the list: its name, its bounds, and what is sealed of it."""

    name: str
    interval: Interval
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class _Past:
    """What closed months follow from; the same object of each: nothing in them has changed."""

    book: Book
    calendar: Calendar
    seals: Mapping[str, tuple[Fact, ...]]
    months: tuple[str, ...]

    def same(self, other: _Past | None) -> bool:
        return (
            other is not None
            and self.book is other.book
            and self.calendar is other.calendar
            and self.seals is other.seals
            and self.months == other.months
        )


class MonthFigures:
    """The figures of the listed months per endpoint; what can no longer change is remembered."""

    def __init__(self) -> None:
        self._months: tuple[_Listed, ...] = ()
        self._past: _Past | None = None
        self._seals: dict[str, tuple[tuple[Fact, ...], Sealed]] = {}
        self._closed: dict[str, tuple[Figures | None, ...]] = {}

    @property
    def listed(self) -> tuple[tuple[str, Interval], ...]:
        """The listed months and their bounds, the running one first."""
        return tuple((month.name, month.interval) for month in self._months)

    async def prepare(self, book: Book, now: datetime, thread: Executor) -> None:
        """Before a round of `of`: list the months, and drop what was remembered of another past."""
        months = [Month.of(now - MICROSECOND, book.rules.zone)]
        while len(months) < MONTHS:
            months.append(months[-1].previous())
        past = _Past(book, book.calendar, book.seals, tuple(str(month) for month in months))
        if past.same(self._past):
            return
        listed = [
            _Listed(str(month), month.interval, await self._sealed(past, str(month), thread))
            for month in months
        ]
        self._past, self._months, self._closed = past, tuple(listed), {}

    async def _sealed(self, past: _Past, month: str, thread: Executor) -> Sealed:
        facts = past.seals.get(month, ())
        known = self._seals.get(month)
        if known is None or known[0] is not facts:
            loop = asyncio.get_running_loop()
            known = (facts, await loop.run_in_executor(thread, _sealed_figures, facts))
            self._seals[month] = known
        return known[1]

    def of(self, book: Book, endpoint: str, now: datetime) -> tuple[Figures | None, ...]:
        """The figures of the listed months; None for those that touch no eligible time.

        The running month is there, with no data, if no month ever does.
        """
        series, (running, *closed) = book.endpoint_series(endpoint), self._months
        counts = book.register.eligible(endpoint)
        if counts is None or counts.start >= running.interval.end:
            return (_figures(book, series, running, now), *[None] * len(closed))
        before = self._closed.get(endpoint)
        if before is None:
            before = tuple(
                _figures(book, series, month, now) if touches(counts, month.interval) else None
                for month in closed
            )
            if self._final(book, endpoint, counts):
                self._closed[endpoint] = before
        ongoing = touches(counts, running.interval)
        return (_figures(book, series, running, now) if ongoing else None, *before)

    def _final(self, book: Book, endpoint: str, counts: Interval) -> bool:
        """Whether no observation can change a closed month any more."""
        last = self._months[1]
        if endpoint in last.sealed or not touches(counts, last.interval):
            return True
        settled = book.settled(endpoint)
        return settled is not None and settled.end >= min(last.interval.end, counts.end)


def touches(one: Interval, other: Interval) -> bool:
    """Whether two intervals have an instant in common."""
    return one.start < other.end and other.start < one.end


def _figures(book: Book, series: Series, month: _Listed, now: datetime) -> Figures:
    """The sealed figures of a month, or those that follow from what is known now."""
    assert series.endpoint is not None
    sealed = month.sealed.get(series.endpoint)
    if sealed is not None:
        return sealed
    return figures_of(account_document(book.account_of(series, month.interval, now)))


def _sealed_figures(facts: tuple[Fact, ...]) -> Sealed:
    standing = seal.standing(facts)
    return {
        row["series"]["endpoint"]: figures_of(dict(row))
        for row in (() if standing is None else standing.rows)
        if "endpoint" in row["series"]
    }


def burning(book: Book, series: Series, now: datetime) -> tuple[str, ...]:
    """Burn rates over WINDOWS, as decimal texts rounded down."""
    assert series.endpoint is not None
    outages = book.endpoint_outages(series.endpoint)
    ends = [now if outage.end is None else outage.end for outage in outages]
    last = max(ends, default=BEGINNING)
    return tuple(
        # Only an outage makes time unavailable, and most windows hold none.
        "0" if last <= now - window else ratio(book.burn_rate(series, window, now)) or "0"
        for _, window in WINDOWS
    )


def downtime(book: Book, now: datetime) -> tuple[list[tuple[str, str, datetime]], datetime | None]:
    """(declaration, kind, end) of the windows in force now, and the start of the next one."""
    active: list[tuple[str, str, datetime]] = []
    upcoming: list[datetime] = []
    for declaration in book.calendar.declarations.values():
        version = declaration.version_at(now, book.rules)
        if version is None:
            continue
        if now in version.window:
            active.append((declaration.id, version.kind.value, version.window.end))
        elif version.window.start > now:
            upcoming.append(version.window.start)
    return active, min(upcoming, default=None)


def completions(book: Book) -> list[tuple[str, datetime]]:
    """(declaration, due) of the windows whose completion comment is to be made; also those to come."""
    found = []
    for declaration in book.calendar.declarations.values():
        version = declaration.latest
        standing = declaration.cancelled_at is None and version.notified_at is not None
        if standing and declaration.completion is None and version.kind is not Kind.MAPS:
            found.append((declaration.id, version.window.end + COMPLETION_AFTER))
    return found


def unavailable_class(book: Book, endpoint: Endpoint, now: datetime) -> str:
    """The class of unavailable time that an accounted endpoint is in now; empty if in none."""
    if not endpoint.live or book.track(endpoint.id).outage is None:
        return ""
    moment = Interval(now - MICROSECOND, now)
    outages = book.outages(book.endpoint_series(endpoint.id), now, moment)
    cls = outages[-1].parts[-1].cls if outages else None
    return "" if cls is None else cls.value
