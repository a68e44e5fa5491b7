"""How an endpoint stood over a stretch of time, run by run; what the pictures of the pages draw.

States are those of the Book, classes those of the outages' parts; here they are only put side by
side. A *kind* is the class of unavailable time that counts, else the state, else `outside`: before
the first observation of time that does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from monitor import snapshot
from monitor.core.book import Book
from monitor.core.downtime import Calendar
from monitor.core.interval import MICROSECOND, Interval
from monitor.core.month import Month, civil, midnight, show_instant
from monitor.core.outage import Part
from monitor.core.slo import Account
from monitor.core.timeline import Span, State
from monitor.snapshot import Document

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAYS = 90
"""Civil days of the long ribbon, today among them."""
OUTSIDE = "outside"
KINDS = (
    *("undeclared", "overrun", "declared_short_notice", "declared"),
    *("down", "impaired", "unknown", "unconfirmed", "up", OUTSIDE),
)
"""From worst to best: what a day is named after."""
_RANK = {kind: place for place, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of one state, and of one class where it is unavailable and counts."""

    start: datetime
    end: datetime
    state: str
    cls: str | None = None
    declaration: str | None = None

    @property
    def kind(self) -> str:
        return self.cls or self.state


def stretches(book: Book, endpoint: str, bounds: Interval, now: datetime) -> list[Stretch]:
    """A partition of bounds, which end at `now` or before. Raises UnknownName."""
    begun = _first_known(book, endpoint, now)
    spans = book.endpoint_states(endpoint, bounds, now)
    found: list[Stretch] = []
    parts: Sequence[Part] | None = None
    for span in spans:
        if span.state.unavailable:
            if parts is None:
                parts = _parts(book, endpoint, bounds, now)
            found += _classed(span, parts)
        elif span.state is State.UNKNOWN and span.start < begun:
            found += _begun(span, begun)
        else:
            found.append(Stretch(span.start, span.end, span.state.value))
    return found


def _first_known(book: Book, endpoint: str, now: datetime) -> datetime:
    """From when on time of an endpoint counts or was observed."""
    counts, settled = book.register.eligible(endpoint), book.settled(endpoint)
    last = book.track(endpoint).last
    marks = [now]
    if counts is not None:
        marks.append(counts.start)
    if settled is not None:
        marks.append(settled.start)
    elif last is not None:
        marks.append(last.at)
    return min(marks)


def _begun(span: Span, begun: datetime) -> Iterator[Stretch]:
    yield Stretch(span.start, min(begun, span.end), OUTSIDE)
    if begun < span.end:
        yield Stretch(begun, span.end, span.state.value)


def _parts(book: Book, endpoint: str, bounds: Interval, now: datetime) -> list[Part]:
    """The parts in a class of the outages inside bounds, in order; none of what does not count."""
    if not book.register.endpoints[endpoint].live:
        return []
    outages = book.outages(book.endpoint_series(endpoint), now, bounds)
    return [part for outage in outages for part in outage.parts if part.cls is not None]


def _classed(span: Span, parts: Iterable[Part]) -> Iterator[Stretch]:
    """An unavailable span cut by class; what lies in no part does not count."""
    at, state = span.start, span.state.value
    for part in parts:
        inside = part.interval.clip(Interval(span.start, span.end))
        if inside is None or part.cls is None:
            continue
        if at < inside.start:
            yield Stretch(at, inside.start, state)
        yield Stretch(inside.start, inside.end, state, part.cls.value, part.declaration)
        at = inside.end
    if at < span.end:
        yield Stretch(at, span.end, state)


def stretch_document(one: Stretch) -> Document:
    """One row of `strip`."""
    return {
        "start": show_instant(one.start),
        "end": show_instant(one.end),
        "seconds": snapshot.seconds(one.end - one.start),
        "state": one.state,
        "class": one.cls,
        "declaration": one.declaration,
    }


# -- ribbons ---------------------------------------------------------------------------------------


def ribbon(found: Sequence[Stretch], length: timedelta, now: datetime) -> Document:
    """The last `length` of stretches up to now as runs of (kind, seconds), with sums by kind."""
    bounds = Interval(now - length, now)
    runs: list[tuple[str, timedelta]] = []
    for one in found:
        inside = one.end - max(one.start, bounds.start)
        if one.end <= bounds.start:
            continue
        if runs and runs[-1][0] == one.kind:
            runs[-1] = (one.kind, runs[-1][1] + inside)
        else:
            runs.append((one.kind, inside))
    return {
        "start": show_instant(bounds.start),
        "end": show_instant(bounds.end),
        "runs": [[kind, snapshot.seconds(length)] for kind, length in runs],
        "sums": _sums(runs),
    }


def _sums(runs: Iterable[tuple[str, timedelta]]) -> Document:
    """Seconds of each kind, the worst first."""
    found: dict[str, timedelta] = {}
    for kind, length in runs:
        before = found.get(kind)
        found[kind] = length if before is None else before + length
    return {kind: snapshot.seconds(found[kind]) for kind in KINDS if kind in found}


# -- days ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """What a civil day held: exact time by kind."""

    day: date
    kind: str
    """The worst of it."""
    sums: tuple[tuple[str, timedelta], ...]


@dataclass(slots=True)
class DayMemory:
    """Days of endpoints that can no longer change: at most DAYS of each, dropped with another past."""

    _past: tuple[Book, Calendar] | None = None
    _known: dict[str, tuple[Day, ...]] = field(default_factory=dict)

    def of(self, book: Book, endpoint: str, now: datetime) -> tuple[Day, ...]:
        """The last DAYS civil days, today the last of them, up to now."""
        if self._past is None or self._past[0] is not book or self._past[1] is not book.calendar:
            self._past, self._known = (book, book.calendar), {}
        today = civil(now - MICROSECOND, book.rules.zone).date()
        first = today - timedelta(days=DAYS - 1)
        known = tuple(one for one in self._known.get(endpoint, ()) if one.day >= first)
        if known and known[0].day != first:  # the clock was put back
            known = ()
        since = known[-1].day + DAY if known else first
        fresh = _days(book, endpoint, since, now)
        settled = book.settled(endpoint)
        over = today if settled is None else civil(settled.end, book.rules.zone).date()
        every = known + fresh
        self._known[endpoint] = tuple(one for one in every if one.day < min(over, today))
        return every


def _days(book: Book, endpoint: str, first: date, now: datetime) -> tuple[Day, ...]:
    """The civil days from `first` on, up to now."""
    zone = book.rules.zone
    edges = [midnight(first, zone)]
    days: list[date] = []
    while edges[-1] < now:
        days.append(first + timedelta(days=len(days)))
        edges.append(midnight(days[-1] + DAY, zone))
    if not days:
        return ()
    found: list[dict[str, timedelta]] = [{} for _ in days]
    place = 0
    for one in stretches(book, endpoint, Interval(edges[0], now), now):
        while edges[place + 1] <= one.start:
            place += 1
        at = place
        while at < len(days) and edges[at] < one.end:
            inside = min(edges[at + 1], one.end) - max(edges[at], one.start)
            found[at][one.kind] = found[at].get(one.kind, timedelta()) + inside
            at += 1
    return tuple(
        Day(day, min(sums, key=_RANK.__getitem__), tuple(sums.items()))
        for day, sums in zip(days, found, strict=True)
        if sums
    )


def days_document(days: Sequence[Day]) -> Document:
    """The days as runs of (kind, number), what each day that was not plainly up held, and the sums."""
    runs: list[list[str | int]] = []
    for one in days:
        if runs and runs[-1][0] == one.kind:
            runs[-1] = [one.kind, int(runs[-1][1]) + 1]
        else:
            runs.append([one.kind, 1])
    return {
        "first": days[0].day.isoformat(),
        "last": days[-1].day.isoformat(),
        "runs": runs,
        "days": [
            {"day": one.day.isoformat(), "kind": one.kind, "sums": _sums(one.sums)}
            for one in days
            if one.kind not in ("up", OUTSIDE)
        ],
        "sums": _sums(item for one in days for item in one.sums),
    }


# -- the budget as it was spent --------------------------------------------------------------------


_Point = tuple[datetime, Fraction]


def burn_down(
    book: Book, endpoint: str, month: Month, now: datetime, account: Account | None = None
) -> Document:
    """What was left of a month's budget, as points between which it runs straight.

    It begins with the whole budget and ends, now or with the month, at `remaining_s` of the account
    of the month, which may be given where it is known already.
    """
    series = book.endpoint_series(endpoint)
    account = account or book.account(series, month, now)
    end = min(now, month.interval.end)
    left = account.budget
    points = [(month.interval.start, left)]
    if month.interval.start < end:
        lost = Interval(month.interval.start, end) if account.unavailable else None
        for span in () if lost is None else book.states(series, lost, now):
            if span.state.unavailable:
                points.append((span.start, left))
                left -= (span.end - span.start) // MICROSECOND
                points.append((span.end, left))
        points.append((end, left))
    return {
        "start": show_instant(month.interval.start),
        "end": show_instant(month.interval.end),
        "budget_s": snapshot.seconds(account.budget),
        "remaining_s": snapshot.seconds(account.remaining),
        "points": [
            {"at": show_instant(at), "remaining_s": snapshot.seconds(level)}
            for at, level in _without_repeats(points)
        ],
    }


def _without_repeats(points: Sequence[_Point]) -> list[_Point]:
    """The points without those that say again what the one before them said."""
    return [points[0], *(after for before, after in pairwise(points) if after != before)]
