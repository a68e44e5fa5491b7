"""What an id names, for `explain`: an endpoint, a holdername's service, an incident and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from monitor.core.assertion import Assertion
from monitor.core.book import Book
from monitor.core.downtime import Series, in_scope
from monitor.core.endpoint import Service
from monitor.core.explain import endpoints_at, explain, look_back
from monitor.core.interval import MICROSECOND, Interval
from monitor.core.month import show_instant
from monitor.core.rules import RULES_VERSION
from monitor.core.verdict import Observation
from monitor.declare import Given, nearest
from monitor.errors import BadInstant, UnknownName, UsageError
from monitor.snapshot import Document, all_series

MOST = 25
"""Series explained at once; an incident of a storm names many."""

FIRST_YEAR = 2000

Seen = Callable[[str, datetime, datetime], list[Observation]]
"""The observations of an endpoint in a span."""


def explanation(book: Book, given: Given, now: datetime, seen: Seen) -> Document:
    """Why an instant is what it is, for every series that an id names (at most `MOST`).

    Raises UnknownName, UsageError or BadInstant.
    """
    name, at = given.needed("id"), given.instant("at")
    if at is None:
        raise UsageError("at: is missing; give an instant such as 2026-03-17T00:00")
    if at >= now:
        raise BadInstant(f"at: {show_instant(at)} is not past; nothing is known of it yet")
    if at.year < FIRST_YEAR:
        raise BadInstant(f"at: {show_instant(at)} is before anything was known")
    kind, series = subjects(book, name, given.choice("service", Service), at)
    return {
        "rules": RULES_VERSION,
        "until": show_instant(now),
        "id": name,
        "kind": kind,
        "at": show_instant(at),
        "explanations": [
            explain(book, one, at, now, _observations(book, one, at, now, seen))
            for one in series[:MOST]
        ],
        "left_out": max(0, len(series) - MOST),
    }


def _observations(
    book: Book, series: Series, at: datetime, now: datetime, seen: Seen
) -> Iterator[Observation]:
    for name in endpoints_at(book, series, at):
        around = look_back(book, name)
        end = min(at + around, now) + timedelta(microseconds=1)
        yield from seen(name, at - around, end)


def subjects(
    book: Book, name: str, service: Service | None, at: datetime
) -> tuple[str, list[Series]]:
    """What sort of thing an id names, and the series concerned. Raises UnknownName or UsageError."""
    guid = name.lower()
    if guid in book.register.holdernames:
        found = [one for one in all_series(book) if one.holdername == guid]
        if service is None and len(found) != 1:
            raise UsageError(
                f"service: say which service of holdername {guid} is meant: find, view or"
                " pat-refresh"
            )
        chosen = [one for one in found if service in (None, one.service)]
        if not chosen:
            raise UsageError(f"service: holdername {guid} is not served by {service}")
        return "holdername", chosen
    if service is not None:
        raise UsageError("service: goes with a holdername GUID only; leave it out")
    if name in book.register.endpoints:
        return "endpoint", [book.endpoint_series(name)]
    if name in book.records:
        record = book.records[name]
        if record.view.asserted:
            return "incident", _asserted(book, book.assertion(record.view.group))
        known = [one for one in record.view.endpoints if one in book.register.endpoints]
        return "incident", [book.endpoint_series(one) for one in known]
    if name in book.assertions:
        return "assertion", _asserted(book, book.assertions[name])
    if name in book.calendar.declarations:
        return "declaration", _declared(book, name, at)
    every = [
        *book.register.endpoints,
        *book.register.holdernames,
        *book.records,
        *book.assertions,
        *book.calendar.declarations,
    ]
    raise UnknownName(f'id: nothing is called "{name}"; {nearest(name, every)}')


def _asserted(book: Book, one: Assertion) -> list[Series]:
    return [
        series
        for series in book.accounted_holdernames()
        if series.holdername is not None and one.concerns(series.holdername, series.service)
    ]


def _declared(book: Book, name: str, at: datetime) -> list[Series]:
    """The endpoints that the latest version names; if none of them, the holdernames it does."""
    scope = book.calendar.declarations[name].latest.scope
    moment = Interval.lasting(at, MICROSECOND)

    def within(every: list[Series]) -> list[Series]:
        return [one for one in every if in_scope(one, scope, moment, book.register)]

    return within(book.accounted_endpoints()) or within(book.accounted_holdernames())
