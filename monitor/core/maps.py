"""MaPS' own downtime as its calendar tells it: an event becomes a declaration of kind `maps`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from monitor.core.downtime import Declaration, Kind
from monitor.core.fact import Fact
from monitor.core.interval import Interval
from monitor.core.month import show_instant


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a calendar. `uid` names it for ever, through every change."""

    uid: str
    window: Interval
    summary: str
    cancelled: bool = False


class Outcome(StrEnum):
    """What became of an event."""

    DECLARED = "declared"
    AMENDED = "amended"
    CANCELLED = "cancelled"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Taken:
    """An event, the declaration it is, and the fact that makes it so; `why` it was skipped."""

    event: Event
    id: str
    outcome: Outcome
    fact: Fact | None = None
    why: str | None = None


def identifier(uid: str) -> str:
    """The id of the declaration of an event: the same for the same UID, so that nothing doubles.

    >>> identifier("release-7@maps.example")
    'M-49404d56d357'
    """
    return f"M-{sha256(uid.encode()).hexdigest()[:12]}"


def take(event: Event, known: Mapping[str, Declaration], *, now: datetime, author: str) -> Taken:
    """What to record of an event. It is MaPS' word, so it counts as notified now."""
    name = identifier(event.uid)
    before = known.get(name)
    if before is None:
        return _new(event, name, now, author)
    if before.cancelled_at is not None:
        if event.cancelled:
            return Taken(event, name, Outcome.UNCHANGED)
        return _skipped(event, name, "was cancelled here; declare it by hand if it is on again")
    if event.cancelled:
        body = {"reason": "cancelled in the calendar of MaPS", "author": author, "warnings": []}
        fact = Fact(now, "cancellation", {"id": name, **body})
        return Taken(event, name, Outcome.CANCELLED, fact)
    if (before.latest.window, before.latest.reason) == (event.window, event.summary):
        return Taken(event, name, Outcome.UNCHANGED)
    if max(before.latest.window.end, event.window.end) <= now:
        return _skipped(event, name, "is over: it can be changed no more")
    fact = Fact(now, "amendment", {"id": name, **_said(event, now, author)})
    return Taken(event, name, Outcome.AMENDED, fact)


def _new(event: Event, name: str, now: datetime, author: str) -> Taken:
    if event.cancelled:
        return _skipped(event, name, "is cancelled, and was never known here")
    if event.window.end <= now:
        return _skipped(event, name, "is over: recorded now it would excuse nothing")
    scope = {"endpoints": None, "holdernames": None, "services": None, "ticket": None}
    body = {"id": name, "uid": event.uid, **scope, **_said(event, now, author)}
    return Taken(event, name, Outcome.DECLARED, Fact(now, "declaration", body))


def _skipped(event: Event, name: str, why: str) -> Taken:
    return Taken(event, name, Outcome.SKIPPED, why=why)


def _said(event: Event, now: datetime, author: str) -> dict[str, object]:
    return {
        "kind": Kind.MAPS.value,
        "notified_at": show_instant(now),
        "start": show_instant(event.window.start),
        "end": show_instant(event.window.end),
        "reason": event.summary,
        "author": author,
        "warnings": [],
    }
