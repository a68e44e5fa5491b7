"""What a month's report says, as plain data: every file of the report prints this.

Figures are those of `monitor slo`. Of a sealed month nothing depends on when the report is made: it
is as of the instant at which its figures were sealed or last restated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from monitor import declare, snapshot
from monitor.config import Settings, bank_holidays_digest
from monitor.core import seal
from monitor.core.book import Book
from monitor.core.downtime import Series
from monitor.core.fact import Fact
from monitor.core.incident import Record
from monitor.core.interval import FOREVER, Interval, IntervalSet
from monitor.core.month import Month, midnight, show_instant
from monitor.core.outage import Class, SeriesOutage
from monitor.core.rules import RULES_VERSION
from monitor.core.timeline import Span, State
from monitor.core.verdict import Result
from monitor.ports import Sample
from monitor.snapshot import Document

FORMAT = 1
"""Version of the shape of this content."""
LOOK = timedelta(days=1)
"""How far into a stretch of unknown time its observations are looked at for reasons."""
_MICRO = 1_000_000


class Stored(Protocol):
    """What is read of the store beside the Book."""

    def facts(self, after: int = 0) -> Iterator[tuple[int, Fact]]: ...
    def observations(self, endpoint: str, start: datetime, end: datetime) -> list[Sample]: ...


def build(
    settings: Settings,
    book: Book,
    store: Stored,
    month: Month,
    now: datetime,
    *,
    certificates: Sequence[Mapping[str, Any]] = (),
    progress: Callable[[], None] = lambda: None,
) -> Document:
    """The content of the report. `progress` is called once for each accounted endpoint.

    `certificates` are those of the identities configured, as documents; those that the endpoints
    showed are known from the facts.
    """
    facts = book.seals.get(str(month), ())
    standing = seal.standing(facts)
    until = now if standing is None else standing.settled_at
    endpoints = book.accounted_endpoints()
    rows = snapshot.slo_rows(book, endpoints, month, now)
    holdernames = snapshot.slo_rows(book, book.accounted_holdernames(), month, now)
    details = []
    for series, row in zip(endpoints, rows, strict=True):
        details.append(_endpoint(book, store, series, row, month, now))
        progress()
    return {
        "report": FORMAT,
        "month": str(month),
        "start": show_instant(month.interval.start),
        "end": show_instant(month.interval.end),
        "length_s": snapshot.seconds(month.interval.duration),
        "zone": month.zone.key,
        "days": days(month),
        "until": show_instant(until),
        "rules": RULES_VERSION,
        "objective": snapshot.ratio(book.rules.objective),
        "organisation": {
            "name": settings.organisation.name,
            "connection": None
            if settings.organisation.connection is None
            else settings.organisation.connection.value,
        },
        "sealing": sealing(facts, standing),
        "configuration": _configuration(settings, store, month),
        "bank_holidays": _bank_holidays(settings, month),
        "months": [*rows, *holdernames],
        "endpoints": details,
        "holdernames": {one.guid: one.name for one in book.register.holdernames.values()},
        "outages": outages(book, [*endpoints, *_asserted(book)], month, now),
        "assertions": _assertions(book, month, until),
        "declarations": _declarations(book, month, until),
        "incidents": incidents(book, month, until),
        "certificates": [
            *(dict(each) for each in certificates),
            *_server_certificates(store, month, until),
        ],
    }


def _server_certificates(store: Stored, month: Month, until: datetime) -> list[Document]:
    """The certificates that endpoints showed in the month: as it began, and each new one in it."""
    seen: dict[str, list[Document]] = {}
    for _, fact in store.facts():
        if fact.type != "certificate.seen" or fact.at >= min(month.interval.end, until):
            continue
        body = fact.body
        shown = {
            "role": "server",
            "name": body["endpoint"],
            "subject": body["subject"],
            "issuer": body["issuer"],
            "not_before": None,
            "not_after": body["not_after"],
            "sha256": body["sha256"],
            "seen_at": show_instant(fact.at),
        }
        if fact.at < month.interval.start:
            seen[body["endpoint"]] = [shown]
        else:
            seen.setdefault(body["endpoint"], []).append(shown)
    return [shown for name in sorted(seen) for shown in seen[name]]


def days(month: Month) -> list[Document]:
    """The civil days of the month, with their exact length: 23 or 25 hours when clocks change."""
    found = []
    day = month.first
    while day < month.next().first:
        after = day + timedelta(days=1)
        start, end = midnight(day, month.zone), midnight(after, month.zone)
        found.append(
            {
                "day": day.isoformat(),
                "start": show_instant(start),
                "end": show_instant(end),
                "minutes": (end - start) // timedelta(minutes=1),
            }
        )
        day = after
    return found


# -- endpoints -------------------------------------------------------------------------------------


def _endpoint(
    book: Book, store: Stored, series: Series, row: Document, month: Month, now: datetime
) -> Document:
    assert series.endpoint is not None
    known = book.register.endpoints[series.endpoint]
    states = book.states(series, month.interval, now)
    return {
        "id": known.id,
        "service": known.service.value,
        "url": known.url,
        "group": known.group,
        "connected_from": _iso(known.connected_from),
        "disconnected_on": _iso(known.disconnected_on),
        "interval_s": snapshot.seconds(known.cadence.interval),
        "waterfall": waterfall(row, snapshot.seconds(month.interval.duration)),
        "eligible": [
            {"start": show_instant(part.start), "end": show_instant(part.end)}
            for part in counted(book, series, month, now)
        ],
        "strip": strip(states, book.outages(series, now, month.interval)),
        "unknown": [
            _unknown(store, known.id, span) for span in states if span.state is State.UNKNOWN
        ],
    }


def counted(book: Book, series: Series, month: Month, now: datetime) -> IntervalSet:
    """The eligible time of the month that is over."""
    if now <= month.interval.start:
        return IntervalSet()
    return book.eligible(series).clip(Interval(month.interval.start, min(now, month.interval.end)))


def waterfall(row: Mapping[str, Any], length_s: float) -> list[Document]:
    """From the length of the month to the figure, step by step; each `left_s` is exact.

    A step takes its `seconds` from what was left before it; what is left at the end is the time
    that was measured and available, over measured time the headline figure.
    """
    left = _us(length_s)
    steps = [_step("month", 0, left)]
    lost = {
        "outside": left - _us(row["eligible_s"]),
        "unknown": _us(row["unknown_s"]),
        **{cls.value: _us(row["by_class"][cls.value]) for cls in Class},
    }
    for name, taken in lost.items():
        left -= taken
        steps.append(_step(name, taken, left))
    return steps


def _step(name: str, taken: int, left: int) -> Document:
    return {"step": name, "seconds": _seconds(taken), "left_s": _seconds(left)}


def _us(seconds: float) -> int:
    return int(Decimal(str(seconds)) * _MICRO)


def _seconds(microseconds: int) -> int | float:
    return snapshot.seconds(timedelta(microseconds=microseconds))


def strip(states: Sequence[Span], outages: Sequence[SeriesOutage]) -> list[Document]:
    """What is not plainly up, in order: unavailable time by class, unconfirmed and unknown time."""
    found: list[Document] = []
    parts = [part for outage in outages for part in outage.parts if part.cls is not None]
    for span in states:
        if span.state is State.UP:
            continue
        if not span.state.unavailable:
            found.append(_stretch(span.start, span.end, span.state.value, None, None))
            continue
        whole = Interval(span.start, span.end)
        for part in parts:
            inside = part.interval.clip(whole)
            if inside is not None and part.cls is not None:
                state, cls = span.state.value, part.cls.value
                found.append(_stretch(inside.start, inside.end, state, cls, part.declaration))
    return found


def _stretch(
    start: datetime, end: datetime, state: str, cls: str | None, declaration: str | None
) -> Document:
    return {
        "start": show_instant(start),
        "end": show_instant(end),
        "seconds": snapshot.seconds(end - start),
        "state": state,
        "class": cls,
        "declaration": declaration,
    }


def _unknown(store: Stored, endpoint: str, span: Span) -> Document:
    """A stretch that nobody can judge, and why: what the observations in it said of ourselves."""
    seen = store.observations(endpoint, span.start, min(span.end, span.start + LOOK))
    reasons = sorted(
        {
            sample.observation.reason.value
            for sample in seen
            if sample.observation.result is Result.LOCAL
        }
    )
    return {
        "start": show_instant(span.start),
        "end": show_instant(span.end),
        "seconds": snapshot.seconds(span.end - span.start),
        "reasons": reasons or ["not_observed"],
    }


# -- outages and what was said about them ----------------------------------------------------------


def _asserted(book: Book) -> list[Series]:
    """The holdername series of which more is said than a probe sees."""
    return [
        series
        for series in book.accounted_holdernames()
        if series.holdername is not None
        and any(
            one.withdrawn_at is None and one.concerns(series.holdername, series.service)
            for one in book.assertions.values()
        )
    ]


def outages(book: Book, which: Iterable[Series], month: Month, now: datetime) -> list[Document]:
    """Outages that reach into the month: whole start and end, the parts inside the month."""
    found = []
    for series in which:
        for outage in book.outages(series, now, month.interval):
            shown = snapshot.outage_document(series, outage)
            inside = list(_inside(outage, month))
            shown["parts"] = inside
            shown["in_month_s"] = _seconds(sum(_us(part["seconds"]) for part in inside))
            shown["confirmed_at"] = show_instant(outage.confirmed_at)
            found.append(shown)
    found.sort(key=lambda one: one["start"])
    for number, one in enumerate(found, 1):
        one["number"] = number
    return found


def _inside(outage: SeriesOutage, month: Month) -> Iterator[Document]:
    for part in outage.parts:
        inside = part.interval.clip(month.interval)
        if inside is not None:
            yield {
                "class": "unknown" if part.cls is None else part.cls.value,
                "declaration": part.declaration,
                "start": show_instant(inside.start),
                "end": show_instant(inside.end),
                "seconds": snapshot.seconds(inside.duration),
            }


def _assertions(book: Book, month: Month, until: datetime) -> list[Document]:
    return [
        snapshot.assertion_document(one, until)
        for one in book.assertions.values()
        if one.latest.start < month.interval.end
        and (one.latest.end is None or one.latest.end > month.interval.start)
    ]


def _declarations(book: Book, month: Month, until: datetime) -> list[Document]:
    """Declarations of which any version concerns the month, each with every version."""
    found = []
    for one in book.calendar.declarations.values():
        if any(version.window.clip(month.interval) is not None for version in one.versions):
            judged = declare.judged(book, one, until)
            notice = snapshot.notice_document(judged.notice, judged.enough, judged.notify_before)
            shown = snapshot.declaration_document(one, book.rules, until)
            found.append({**shown, "notice": notice})
    return found


def incidents(book: Book, month: Month, until: datetime) -> list[Document]:
    """Incidents that went on in the month, each with its timeline and whether the target was met."""
    found = []
    for record in sorted(book.records.values(), key=lambda one: (one.view.started_at, one.id)):
        ended = record.view.restored_at or FOREVER
        if record.view.started_at < month.interval.end and ended > month.interval.start:
            shown = snapshot.record_document(record, book.rules, until)
            shown["target_s"] = snapshot.seconds(book.rules.restoration_target)
            shown["target_met"] = _target_met(record, book, until)
            shown["timeline"] = snapshot.timeline_document(record)
            found.append(shown)
    return found


def _target_met(record: Record, book: Book, until: datetime) -> bool | None:
    """Whether service was restored within the target (CoCo 2.1.4); None: it still may be."""
    view, target = record.view, book.rules.restoration_target
    if view.restored_at is not None:
        return view.restored_at - view.started_at <= target
    return None if until - view.started_at <= target else False


# -- what the figures rest on ----------------------------------------------------------------------


def sealing(facts: Iterable[Fact], standing: seal.Standing | None) -> Document | None:
    """The seal of the month, its restatements and what is proposed; None: not sealed."""
    if standing is None:
        return None
    seals = [fact for fact in facts if fact.type == "seal"]
    return {
        "sealed_at": show_instant(standing.sealed_at),
        "rules": seals[-1].body["rules"],
        "configuration": seals[-1].body["configuration"],
        "restatements": [_said(fact) for fact in facts if fact.type == "restatement"],
        "proposed": None if standing.proposed is None else _said(standing.proposed),
    }


def _said(fact: Fact) -> Document:
    return {"at": show_instant(fact.at), **fact.body}


def _configuration(settings: Settings, store: Stored, month: Month) -> Document:
    """The digest in force now, and those recorded up to the end of the month that ruled in it."""
    recorded = [fact for _, fact in store.facts() if fact.type == "configuration"]
    ruled = [fact for fact in recorded if fact.at < month.interval.end]
    before = [place for place, fact in enumerate(ruled) if fact.at <= month.interval.start]
    return {
        "digest": settings.digest,
        "rules_digest": settings.rules_digest,
        "recorded": [
            {"at": show_instant(fact.at), "digest": fact.body["digest"]}
            for fact in ruled[before[-1] if before else 0 :]
        ],
    }


def _bank_holidays(settings: Settings, month: Month) -> Document:
    """The days of the calendar in use, of the month's year and the years beside it."""
    rules = settings.rules
    near = range(month.year - 1, month.year + 2)
    return {
        "calendar": rules.notice_calendar.value,
        "digest": bank_holidays_digest(rules.bank_holidays),
        "days": sorted(day.isoformat() for day in rules.bank_holidays if day.year in near),
    }


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
