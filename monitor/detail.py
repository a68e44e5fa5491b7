"""One endpoint closely: what its last probe showed, how long probes took, its outages and budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil

from monitor import glance, snapshot
from monitor.core.book import Book
from monitor.core.interval import BEGINNING, MICROSECOND, Interval
from monitor.core.month import Month, show_instant
from monitor.core.outage import SeriesOutage
from monitor.core.verdict import Evidence, evidence_document, judge
from monitor.glance import Memory
from monitor.ports import Sample
from monitor.snapshot import Document

DAY = timedelta(days=1)
BUCKET = timedelta(minutes=15)
"""How finely a day's durations are told."""
LATEST = 25
"""Outages shown of an endpoint: so many of the latest."""


def detail(
    book: Book,
    memory: Memory,
    endpoint: str,
    now: datetime,
    *,
    last: Evidence | None,
    samples: Sequence[Sample],
) -> Document:
    """All there is to say of an endpoint beside its configuration.

    `last`: the last probe as it was seen, with the TLS of the last handshake; None: none yet since
    the start, for phases and certificates are not stored. `samples` are those of the last day.
    """
    known = book.register.endpoints[endpoint]
    month = Month.of(now - MICROSECOND, book.rules.zone)
    outages = _outages(book, endpoint, now)
    return {
        "endpoint": endpoint,
        "now": show_instant(now),
        "standing": glance.row_document(book, memory, endpoint, now),
        "last": None if last is None else evidence_document(last, judge(last, known.expectation)),
        "timings": timings(samples, now),
        "outages": outages[:LATEST],
        "outages_left_out": len(outages) - len(outages[:LATEST]),
        "account": glance.least_document(book, endpoint, month, now) if known.live else None,
    }


# -- durations -------------------------------------------------------------------------------------


def timings(samples: Sequence[Sample], now: datetime) -> Document:
    """How long the probes of the day up to now took, by quarter of an hour, and why they failed.

    Percentiles are those of a sample that was seen: the smallest that so many do not exceed. A quarter
    without a probe is left out. `reasons` are counted over the whole day.
    """
    start = now - DAY
    buckets: dict[int, list[Sample]] = {}
    for sample in samples:
        place = (sample.observation.at - start) // BUCKET
        buckets.setdefault(place, []).append(sample)
    reasons = Counter(sample.observation.reason.value for sample in samples)
    return {
        "start": show_instant(start),
        "end": show_instant(now),
        "bucket_s": snapshot.seconds(BUCKET),
        "all": None if not samples else _quantiles(samples),
        "buckets": [
            {"at": show_instant(start + place * BUCKET), **_quantiles(buckets[place])}
            for place in sorted(buckets)
        ],
        "reasons": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    }


def _quantiles(samples: Sequence[Sample]) -> Document:
    found = sorted(sample.duration_us for sample in samples)
    failed = sum(1 for sample in samples if sample.observation.result.failing)

    def quantile(share: float) -> float:
        return found[ceil(share * len(found)) - 1] / 1_000_000

    return {
        "probes": len(found),
        "failed": failed,
        "median_s": quantile(0.5),
        "p95_s": quantile(0.95),
        "max_s": found[-1] / 1_000_000,
    }


# -- outages ---------------------------------------------------------------------------------------


def _outages(book: Book, endpoint: str, now: datetime) -> list[Document]:
    """The outages of an endpoint, the latest first, with their parts and incidents."""
    members = {
        member: record.id
        for record in book.records.values()
        if record.standing
        for member in record.members
    }
    if not book.register.endpoints[endpoint].live:
        return [
            _plain(one.start, one.end, now) for one in reversed(book.endpoint_outages(endpoint))
        ]
    found = book.outages(book.endpoint_series(endpoint), now, Interval(BEGINNING, now))
    begun = {
        show_instant(one.confirmed_at): f"{endpoint}@{show_instant(one.start)}"
        for one in book.endpoint_outages(endpoint)
    }
    return [
        _outage(one, members.get(begun.get(show_instant(one.confirmed_at), "")))
        for one in reversed(found)
    ]


def _plain(start: datetime, end: datetime | None, now: datetime) -> Document:
    """An outage that does not count: in no class, of no incident."""
    return {
        "start": show_instant(start),
        "end": None if end is None else show_instant(end),
        "seconds": snapshot.seconds((now if end is None else end) - start),
        "incident": None,
        "parts": [],
    }


def _outage(outage: SeriesOutage, incident: str | None) -> Document:
    return {
        "start": show_instant(outage.interval.start),
        "end": None if outage.open else show_instant(outage.interval.end),
        "seconds": snapshot.seconds(outage.interval.duration),
        "incident": incident,
        "parts": [
            {
                "class": "unknown" if part.cls is None else part.cls.value,
                "declaration": part.declaration,
                "start": show_instant(part.interval.start),
                "end": show_instant(part.interval.end),
                "seconds": snapshot.seconds(part.interval.duration),
            }
            for part in outage.parts
        ],
    }
