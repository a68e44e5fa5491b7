"""The read side: states, outages, incidents and accounts as of one instant, as plain documents.

API, status page, metrics and command line all print these; they cannot disagree. Seconds are numbers
with at most microseconds; ratios are exact decimal texts, rounded down to nine places.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from monitor.core.book import Book
from monitor.core.downtime import Series
from monitor.core.incident import Incident
from monitor.core.interval import MICROSECOND
from monitor.core.month import Month, show_instant
from monitor.core.outage import Class, SeriesOutage
from monitor.core.rules import RULES_VERSION
from monitor.core.slo import Account, Verdict
from monitor.core.timeline import State

Document = dict[str, Any]
PLACES = 9


def seconds(duration: timedelta | Fraction) -> int | float:
    """A duration, or exact microseconds, as seconds: rounded down to the microsecond."""
    exact = duration // MICROSECOND if isinstance(duration, timedelta) else duration // 1
    whole, rest = divmod(exact, 1_000_000)
    return whole if rest == 0 else exact / 1_000_000


def ratio(value: Fraction | None) -> str | None:
    """A ratio as decimal text, rounded down to nine places: 99.4996 % never reads 99.50."""
    if value is None:
        return None
    scaled = value.numerator * 10**PLACES // value.denominator
    sign = "-" if scaled < 0 else ""
    whole, rest = divmod(abs(scaled), 10**PLACES)
    digits = f"{rest:0{PLACES}d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def series_document(series: Series) -> Document:
    """Which series: an endpoint, or a holdername GUID and a service."""
    if series.endpoint is not None:
        return {"endpoint": series.endpoint}
    return {"holdername": series.holdername, "service": series.service.value}


def account_document(account: Account) -> Document:
    """The figures of one account (contract, "Facts file")."""
    some = account.verdict is not Verdict.NO_DATA
    spent = account.tally
    return {
        "eligible_s": seconds(account.eligible),
        **{f"{state.value}_s": seconds(spent.of(state)) for state in _STATES},
        "unavailable_s": seconds(account.unavailable),
        "by_class": {cls.value: seconds(spent.in_class(cls)) for cls in Class},
        "budget_s": seconds(account.budget),
        "remaining_s": seconds(account.remaining),
        "best": ratio(account.best) if some else None,
        "worst": ratio(account.worst) if some else None,
        "measured": ratio(account.measured),
        "excluding_declared": ratio(account.excluding_declared),
        "verdict": account.verdict.value,
    }


_STATES = (State.UP, State.IMPAIRED, State.DOWN, State.UNCONFIRMED, State.UNKNOWN)


def month_document(series: Series, month: Month, account: Account) -> Document:
    """One row of `months`."""
    return {"month": str(month), "series": series_document(series), **account_document(account)}


def outage_document(series: Series, outage: SeriesOutage) -> Document:
    """One row of `outages`: parts follow one another and sum to the outage."""
    parts: list[Document] = []
    for part in outage.parts:
        name = "unknown" if part.cls is None else part.cls.value
        if parts and parts[-1]["class"] == name:
            parts[-1]["end"] = show_instant(part.interval.end)
        else:
            start, end = show_instant(part.interval.start), show_instant(part.interval.end)
            parts.append({"class": name, "start": start, "end": end})
    if outage.open:
        parts[-1]["end"] = None
    return {
        "series": series_document(series),
        "source": outage.source.value,
        "start": show_instant(outage.interval.start),
        "end": None if outage.open else show_instant(outage.interval.end),
        "parts": parts,
    }


def incident_document(identifier: str, view: Incident) -> Document:
    """One row of `incidents`, as derived from the outages."""
    return {
        "id": identifier,
        "kind": view.kind.value,
        "state": view.state.value,
        "group": view.group,
        "started_at": show_instant(view.started_at),
        "detected_at": show_instant(view.detected_at),
        "restored_at": None if view.restored_at is None else show_instant(view.restored_at),
        "endpoints": list(view.endpoints),
        "holdernames": list(view.holdernames),
        "declaration": view.declaration,
    }


def all_series(book: Book) -> list[Series]:
    """Every accounted series: endpoints as configured, then holdernames in order."""
    return [*book.accounted_endpoints(), *book.accounted_holdernames()]


def month_rows(book: Book, which: Iterable[Series], now: datetime) -> list[Document]:
    """Every month of every series, by month and then in the order of the series."""
    rows = [
        (str(month), place, series, month)
        for place, series in enumerate(which)
        for month in book.months(series, now)
    ]
    return [
        month_document(series, month, book.account(series, month, now))
        for _, _, series, month in sorted(rows, key=lambda row: row[:2])
    ]


def outage_rows(book: Book, which: Iterable[Series], now: datetime) -> list[Document]:
    """Every outage of every series, in order of start within a series."""
    return [
        outage_document(series, outage) for series in which for outage in book.outages(series, now)
    ]


def replay_document(book: Book, until: datetime) -> Document:
    """What `replay` prints: the account of all that the book knows, as of `until`."""
    which = all_series(book)
    return {
        "rules": RULES_VERSION,
        "until": show_instant(until),
        "months": month_rows(book, which, until),
        "outages": outage_rows(book, which, until),
        "incidents": [
            incident_document(f"I-{number}", view)
            for number, view in enumerate(book.incidents(until), 1)
        ],
    }
