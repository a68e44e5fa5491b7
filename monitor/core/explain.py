"""Why an instant of a series is what it is: what was seen, what was declared, and what follows.

Everything is asked of the functions that decide; here it is only put side by side. Documents are plain
data: instants in UTC with a `Z`, durations in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from monitor.core.book import Book
from monitor.core.downtime import Considered, Covered, Series, considered
from monitor.core.incident import Record
from monitor.core.interval import BEGINNING, MICROSECOND, Interval
from monitor.core.month import Month, show_instant
from monitor.core.notice import day_by_day, notice
from monitor.core.outage import Class, Part, SeriesOutage
from monitor.core.slo import Verdict
from monitor.core.timeline import (
    Phase,
    Span,
    State,
    Track,
    held,
    observe,
)
from monitor.core.verdict import Observation, Result

Document = dict[str, Any]

BEFORE, AFTER = 10, 5
"""Observations shown before and after the instant."""
REACH = timedelta(days=32)
"""How far from the instant its span is looked for."""


def look_back(book: Book, endpoint: str) -> timedelta:
    """How far before an instant observations must be known for their counts to be right."""
    return max(timedelta(hours=1), 12 * book.track(endpoint).cadence.gap_after)


def explain(
    book: Book, series: Series, at: datetime, now: datetime, seen: Iterable[Observation]
) -> Document:
    """Why the state and class of a series at an instant are what they are.

    `seen` are the observations of the endpoints concerned, from `look_back` before the instant on.
    """
    known = list(seen)
    names = endpoints_at(book, series, at)
    outage = _outage_at(book, series, at, now)
    part = None if outage is None else next(p for p in outage.parts if at in p.interval)
    return {
        "series": _series(series),
        "at": show_instant(at),
        "endpoints": [
            _endpoint(book, name, at, now, [one for one in known if one.endpoint == name])
            for name in names
        ],
        "state": _state(book, series, at, now),
        "assertions": _assertions(book, series, at, now),
        "declarations": [
            _declaration(book, name, found)
            for name, declaration in book.calendar.declarations.items()
            for found in considered(declaration, series, at, book.register, book.rules)
        ],
        "outage": None if outage is None else _outage(outage),
        "class": None if outage is None or part is None else _class(book, series, at, part),
        "incidents": _incidents(book, series, at, outage),
        "budget": _budget(book, series, at, now, outage),
    }


def endpoints_at(book: Book, series: Series, at: datetime) -> list[str]:
    """The endpoints whose probes decide an instant of a series."""
    if series.endpoint is not None:
        return [series.endpoint]
    assert series.holdername is not None
    for period in book.register.serving(series.holdername, series.service):
        if at in period.interval:
            return sorted(period.names)
    return []


def _series(series: Series) -> Document:
    if series.endpoint is not None:
        return {"endpoint": series.endpoint}
    return {"holdername": series.holdername, "service": series.service.value}


# -- observations and states -----------------------------------------------------------------------


def _endpoint(
    book: Book, name: str, at: datetime, now: datetime, seen: Sequence[Observation]
) -> Document:
    cadence = book.track(name).cadences[0][1]
    rows = _steps(_track_before(book, name, seen), seen)
    place = sum(1 for one in seen if one.at <= at)
    holding = _holding(seen, place, at, now, cadence_of=book.track(name))
    return {
        "id": name,
        "cadence": {
            "interval_s": cadence.interval.total_seconds(),
            "gap_after_s": cadence.gap_after.total_seconds(),
            "confirm_down": cadence.confirm_down,
            "confirm_up": cadence.confirm_up,
        },
        "observations": rows[max(0, place - BEFORE) : place + AFTER],
        "holding": holding,
        "phase": rows[place - 1]["phase"] if place else None,
    }


def _track_before(book: Book, name: str, seen: Sequence[Observation]) -> Track:
    """The track of an endpoint before the first of some observations: in an outage, or steady."""
    cadences = book.track(name).cadences[:1]
    first = seen[0].at if seen else BEGINNING
    for outage in book.endpoint_outages(name):
        if outage.confirmed_at < first and (outage.end is None or outage.end >= first):
            return Track(cadences, phase=Phase.OUTAGE, outage=outage)
    return Track(cadences)


def _steps(track: Track, seen: Iterable[Observation]) -> list[Document]:
    """Each observation with what it did to the count, as `timeline.observe` says."""
    rows = []
    for one in seen:
        before = track
        track, settled = observe(track, one)
        rows.append(
            {
                "at": show_instant(one.at),
                "result": one.result.value,
                "reason": one.reason.value,
                "phase": track.phase.value,
                "count": track.count,
                "effect": _effect(before, track, one, settled.outage is not None),
            }
        )
    return rows


def _effect(before: Track, after: Track, seen: Observation, confirmed: bool) -> str:
    cadence = after.cadences[0][1]
    if seen.result is Result.LOCAL:
        return "our own fault: neither advances nor resets a count"
    if confirmed and after.phase is Phase.OUTAGE:
        return f"confirms the outage ({cadence.confirm_down} of {cadence.confirm_down})"
    if confirmed:
        return f"confirms the recovery ({cadence.confirm_up} of {cadence.confirm_up})"
    if after.phase is Phase.SUSPECT:
        return f"failing {after.count} of {cadence.confirm_down} that confirm an outage"
    if after.phase is Phase.RECOVERING:
        return f"up {after.count} of {cadence.confirm_up} that end the outage"
    if after.phase is Phase.OUTAGE:
        swallowed = before.phase is Phase.RECOVERING
        return "fails again: the outage never stopped" if swallowed else "the outage goes on"
    if before.phase is Phase.SUSPECT:
        return "ends the suspect run without an outage: a blip"
    return "up"


def _holding(
    seen: Sequence[Observation], place: int, at: datetime, now: datetime, *, cadence_of: Track
) -> Document | None:
    """Which observation holds at the instant and until when (accounting 2.1); None: none came before."""
    if not place:
        return None
    last = seen[place - 1]
    following = seen[place].at if place < len(seen) else None
    spans = held(last, now if following is None else following, cadence_of.cadences[0][1])
    holds = spans[0].end if spans else last.at
    inside = at < holds
    return {
        "observed_at": show_instant(last.at),
        "result": last.result.value,
        "reason": last.reason.value,
        "next_at": None if following is None else show_instant(following),
        "holds_until": show_instant(holds),
        "holds": inside,
        "gap": len(spans) > 1,
        "why": "holds until the next observation"
        if len(spans) < 2
        else "silence longer than gap_after: it holds for one interval, the rest is unknown",
    }


def _state(book: Book, series: Series, at: datetime, now: datetime) -> Document | None:
    """The span in which the instant lies; None: the time is not accounted."""
    bounds = Interval(at - REACH, min(at + REACH, now))
    if series.endpoint is not None and not book.register.endpoints[series.endpoint].live:
        spans = book.endpoint_states(series.endpoint, bounds, now)
    else:
        spans = book.states(series, bounds, now)
    found = next((span for span in spans if span.start <= at < span.end), None)
    if found is None:
        return None
    return {
        "state": found.state.value,
        "start": show_instant(found.start),
        "end": None if found.end == now else show_instant(found.end),
        "why": _WHY[found.state],
        "cut_at": _cut(found, bounds, now),
    }


def _cut(span: Span, bounds: Interval, now: datetime) -> list[str]:
    """At which ends the span reaches further than was looked."""
    return [
        *(["start"] if span.start == bounds.start else []),
        *(["end"] if span.end == bounds.end != now else []),
    ]


_WHY = {
    State.UP: "the observations in force say up, outside every outage",
    State.UNCONFIRMED: "failing, but too few in a row to confirm an outage (so far): not"
    " unavailable, but in the worst case",
    State.IMPAIRED: "in a confirmed outage, and the last failing observation said impaired",
    State.DOWN: "in a confirmed outage (or asserted), and the last failing observation said down",
    State.UNKNOWN: "we could not tell: no observation holds, or it was our own fault",
}


def _assertions(book: Book, series: Series, at: datetime, now: datetime) -> list[Document]:
    """The assertions about a holdername's service, and whether they count at the instant."""
    if series.holdername is None:
        return []
    found = []
    for one in book.assertions.values():
        span = one.span(now)
        if not one.concerns(series.holdername, series.service):
            why = "about other holdernames or services"
        elif one.withdrawn_at is not None:
            why = f"withdrawn at {show_instant(one.withdrawn_at)}"
        elif span is None or at not in span:
            why = "about another time"
        else:
            why = ""
        found.append({"id": one.id, "counts": not why, "why": why or "asserts this instant"})
    return found


# -- declarations ----------------------------------------------------------------------------------


def _declaration(book: Book, name: str, found: Considered) -> Document:
    version = found.version
    return {
        "id": name,
        "version_recorded_at": show_instant(version.recorded_at),
        "notified_at": None if version.notified_at is None else show_instant(version.notified_at),
        "effective_at": None if found.effective_at is None else show_instant(found.effective_at),
        "kind": version.kind.value,
        "window": {
            "start": show_instant(version.window.start),
            "end": show_instant(version.window.end),
        },
        "counts": found.covers is not None,
        "why": list(found.against) or ["in force, in its window and in scope"],
        "cover": None if found.covers is None else _cover(book, found.covers),
    }


def _cover(book: Book, cover: Covered) -> Document:
    rules = book.rules
    counted = notice(cover.notified_at, cover.counted_to, rules)
    return {
        "class": cover.cover.value,
        "start": show_instant(cover.interval.start),
        "end": show_instant(cover.interval.end),
        "late": cover.late,
        "notice": {
            "notified_at": show_instant(cover.notified_at),
            "counted_to": show_instant(cover.counted_to),
            "method": rules.notice_method.value,
            "days": counted.days,
            "needed": counted.needed,
            "enough": counted.enough,
            "day_by_day": [
                {"day": one.day.isoformat(), "counts": one.counts, "why": one.why}
                for one in day_by_day(cover.notified_at, cover.counted_to, rules)
            ],
        },
    }


# -- outage, class, incident, budget ---------------------------------------------------------------


def _outage_at(book: Book, series: Series, at: datetime, now: datetime) -> SeriesOutage | None:
    moment = Interval.lasting(at, MICROSECOND)
    return next((o for o in book.outages(series, now, moment) if at in o.interval), None)


def _outage(outage: SeriesOutage) -> Document:
    return {
        "source": outage.source.value,
        "start": show_instant(outage.interval.start),
        "end": None if outage.open else show_instant(outage.interval.end),
        "confirmed_at": show_instant(outage.confirmed_at),
        "parts": [
            {
                "class": "unknown" if part.cls is None else part.cls.value,
                "start": show_instant(part.interval.start),
                "end": show_instant(part.interval.end),
                "declaration": part.declaration,
            }
            for part in outage.parts
        ],
    }


_CLASS = {
    None: "we could not tell, so the time is in no class",
    Class.DECLARED: "covered with enough notice by {0} (or MaPS' own downtime): comes first",
    Class.SHORT_NOTICE: "covered by {0}, with too little notice or as an emergency; nothing covers"
    " it with enough",
    Class.OVERRUN: "nothing covers it, but an earlier instant of the same outage was covered, by {0}",
    Class.UNDECLARED: "nothing covers it, nor an earlier instant of the same outage",
}


def _class(book: Book, series: Series, at: datetime, part: Part) -> Document:
    covering = [cover for cover in book.calendar.covers(series) if at in cover.interval]
    return {
        "class": "unknown" if part.cls is None else part.cls.value,
        "declaration": part.declaration,
        "why": _CLASS[part.cls].format(part.declaration),
        "precedence": [cls.value for cls in Class],
        "covering": [{"id": cover.declaration, "class": cover.cover.value} for cover in covering],
        "start": show_instant(part.interval.start),
        "end": show_instant(part.interval.end),
    }


def _incidents(
    book: Book, series: Series, at: datetime, outage: SeriesOutage | None
) -> list[Document]:
    """The standing records that the outage belongs to."""
    if outage is None:
        return []
    members = {
        f"{name}@{show_instant(one.start)}"
        for name in endpoints_at(book, series, at)
        for one in book.endpoint_outages(name)
        if one.start < outage.interval.end and (one.end is None or one.end > outage.interval.start)
    }
    members |= {
        one.id
        for one in book.assertions.values()
        if series.holdername is not None and one.concerns(series.holdername, series.service)
    }
    return [
        _incident(record)
        for record in book.records.values()
        if record.standing and not members.isdisjoint(record.members)
    ]


def _incident(record: Record) -> Document:
    view = record.view
    return {
        "id": record.id,
        "kind": view.kind.value,
        "state": record.state.value,
        "group": view.group,
        "started_at": show_instant(view.started_at),
        "restored_at": None if view.restored_at is None else show_instant(view.restored_at),
    }


def _budget(
    book: Book, series: Series, at: datetime, now: datetime, outage: SeriesOutage | None
) -> Document | None:
    """The month's budget, and what of it this outage took; None: nothing of the month is accounted."""
    month = Month.of(at, book.rules.zone)
    account = book.account(series, month, now)
    if account.verdict is Verdict.NO_DATA:
        return None
    taken = timedelta()
    for part in () if outage is None else outage.parts:
        inside = part.interval.clip(month.interval)
        if inside is not None and part.cls is not None:
            taken += inside.duration
    remaining = float(account.remaining / 1_000_000)
    return {
        "month": str(month),
        "budget_s": float(account.budget / 1_000_000),
        "unavailable_s": account.unavailable.total_seconds(),
        "remaining_s": remaining,
        "this_outage_s": taken.total_seconds(),
        "remaining_without_it_s": remaining + taken.total_seconds(),
        "verdict": account.verdict.value,
    }
