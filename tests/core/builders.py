"""Small values for the tests of the core. Instants without an offset are UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import holidays

from monitor.core.book import Book
from monitor.core.downtime import Series
from monitor.core.endpoint import Cadence, Endpoint, Environment, Service
from monitor.core.fact import Fact
from monitor.core.holdername import Holdername, Serving
from monitor.core.interval import Interval
from monitor.core.rules import NoticeCalendar, Rules
from monitor.core.timeline import Span, State
from monitor.core.verdict import DEFAULTS, Observation, Reason, Result

LONDON = ZoneInfo("Europe/London")
UTC_ZONE = ZoneInfo("UTC")
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday morning in winter, when UK time is UTC."""
SECOND, MINUTE, HOUR, DAY = (
    timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days")
)
TICK = timedelta(microseconds=1)
RESULTS = {"u": Result.UP, "i": Result.IMPAIRED, "d": Result.DOWN, "l": Result.LOCAL}
STATES = {"u": State.UP, "c": State.UNCONFIRMED, "i": State.IMPAIRED, "d": State.DOWN}
STATES["?"] = State.UNKNOWN
REASONS = {
    Result.UP: Reason.OK,
    Result.IMPAIRED: Reason.SLOW,
    Result.DOWN: Reason.CONNECT_REFUSED,
    Result.LOCAL: Reason.LOCAL_NETWORK,
}
GUID = "816f82b5-8e4f-407b-8c54-afb179c4af5a"
OTHER = "11111111-2222-4333-8444-555555555555"
SUBDIVISIONS = {
    NoticeCalendar.ANY_UK: ("ENG", "WLS", "SCT", "NIR"),
    NoticeCalendar.ENGLAND_AND_WALES: ("ENG", "WLS"),
    NoticeCalendar.SCOTLAND: ("SCT",),
    NoticeCalendar.NORTHERN_IRELAND: ("NIR",),
}


def at(text: str) -> datetime:
    """An instant; without an offset it is UTC."""
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def after(**duration: float) -> datetime:
    """So long after START."""
    return START + timedelta(**duration)


def span(start: str, end: str) -> Interval:
    return Interval(at(start), at(end))


def minutes(start: float, end: float) -> Interval:
    """From so many to so many minutes after START."""
    return Interval(after(minutes=start), after(minutes=end))


def cadence(**changes: Any) -> Cadence:
    """Every 30 s; silent for more than 75 s is a gap; 3 confirm an outage, 2 its end."""
    usual = Cadence(30 * SECOND, 15 * SECOND, 5 * SECOND, 3, 2, 75 * SECOND)
    return replace(usual, **changes)


def endpoint(name: str = "view", service: Service = Service.VIEW, **changes: Any) -> Endpoint:
    """Live and connected since January 2026, on a host of its own group."""
    usual = Endpoint(
        id=name,
        service=service,
        url=f"https://{name}.example/x",
        environment=Environment.LIVE,
        identity="live",
        group="west",
        cadence=cadence(),
        expectation=DEFAULTS[service],
        connected_from=date(2026, 1, 1),
    )
    return replace(usual, **changes)


def holdername(guid: str, *served: str, start: str = "2026-01-01", until: str | None = None) -> Any:
    """A holdername with one row of the mapping."""
    ends = None if until is None else date.fromisoformat(until)
    return Holdername(guid, "A Scheme", (Serving(served, date.fromisoformat(start), ends),))


@cache
def bank_holidays(calendar: NoticeCalendar) -> frozenset[date]:
    """The bank holidays of 2025 to 2030."""
    years = range(2025, 2031)
    days: set[date] = set()
    for subdivision in SUBDIVISIONS[calendar]:
        days |= set(holidays.country_holidays("GB", subdiv=subdivision, years=years))
    return frozenset(days)


def rules(calendar: NoticeCalendar = NoticeCalendar.ANY_UK, **changes: Any) -> Rules:
    """The default rules, with real bank holidays."""
    usual = Rules(bank_holidays=bank_holidays(calendar), notice_calendar=calendar)
    return replace(usual, **changes)


def book(
    *endpoints: Endpoint,
    holdernames: Iterable[Holdername] = (),
    rules: Rules = rules(),  # noqa: B008
) -> Book:
    """A Book of these endpoints, or of the usual one."""
    return Book(rules, endpoints or (endpoint(),), holdernames)


def seen(
    result: str, instant: datetime, name: str = "view", reason: Reason | None = None
) -> Observation:
    """One observation; `result` is one of u, i, d, l."""
    known = RESULTS[result]
    return Observation(name, instant, known, REASONS[known] if reason is None else reason)


def run(
    results: str, start: datetime = START, name: str = "view", step: timedelta = 30 * SECOND
) -> list[Observation]:
    """Observations a step apart, one a letter; a space is a slot without one."""
    return [
        seen(letter, start + place * step, name)
        for place, letter in enumerate(results)
        if letter != " "
    ]


def watch(
    known: Book,
    results: str,
    start: datetime = START,
    name: str = "view",
    step: timedelta = 30 * SECOND,
) -> datetime:
    """Let the book observe a run; answers with the instant one step after it."""
    for observation in run(results, start, name, step):
        known.observe(observation)
    return start + len(results) * step


def spans(text: str, start: datetime = START, step: timedelta = 30 * SECOND) -> list[Span]:
    """Merged spans from one letter a step: u, c, i, d, or ? for unknown."""
    found: list[Span] = []
    for place, letter in enumerate(text):
        begun = start + place * step
        if found and found[-1].state is STATES[letter]:
            found[-1] = Span(found[-1].start, begun + step, STATES[letter])
        else:
            found.append(Span(begun, begun + step, STATES[letter]))
    return found


def fact(kind: str, instant: datetime, /, **body: Any) -> Fact:
    """A fact; instants in its body are written out."""
    written = {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in body.items()
    }
    return Fact(instant, kind, written)


def declaration(instant: datetime, window: Interval, /, **body: Any) -> Fact:
    """D-1, planned, told to MaPS when recorded, unless the body says otherwise."""
    usual = {
        "id": "D-1",
        "notified_at": instant,
        "start": window.start,
        "end": window.end,
        "ticket": "T-1",
        "author": "ops",
    }
    return fact("declaration", instant, **{**usual, **body})


def assertion(instant: datetime, start: datetime, end: datetime | None, **body: Any) -> Fact:
    """A-1 about GUID, every service, unless the body says otherwise."""
    usual = {"id": "A-1", "start": start, "end": end, "holdernames": [GUID], "author": "ops"}
    return fact("assertion", instant, **{**usual, **body})


def series(name: str = "view", service: Service = Service.VIEW) -> Series:
    """The series of an endpoint."""
    return Series(service, endpoint=name)


def series_of(guid: str = GUID, service: Service = Service.VIEW) -> Series:
    """The series of a holdername and a service."""
    return Series(service, holdername=guid)
