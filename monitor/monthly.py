"""A month closely: seal and restatements, outages and incidents, and one endpoint minute by minute.

Of each the report says the same; the figures themselves are those of `slo`.
"""

from __future__ import annotations

from datetime import datetime

from monitor import ribbons, snapshot
from monitor.core import seal
from monitor.core.book import Book
from monitor.core.downtime import Series
from monitor.core.month import Month, show_instant
from monitor.report import content
from monitor.snapshot import Document


def numbered(found: list[Document]) -> list[Document]:
    """Outages of many series as one list, in order of start."""
    found.sort(key=lambda one: one["start"])
    return [{**one, "number": number} for number, one in enumerate(found, 1)]


def detail(
    book: Book, month: Month, endpoint: Series | None, now: datetime, found: list[Document]
) -> Document:
    """The month, and of one accounted endpoint (None: none) how its time and budget went."""
    facts = book.seals.get(str(month), ())
    standing = seal.standing(facts)
    until = now if standing is None else standing.settled_at
    return {
        **snapshot.sealing_document(book, month, now),
        "now": show_instant(now),
        "length_s": snapshot.seconds(month.interval.duration),
        "objective": snapshot.ratio(book.rules.objective),
        "days": content.days(month),
        "sealing": content.sealing(facts, standing),
        "incidents": content.incidents(book, month, until),
        "outages": found,
        "endpoint": None if endpoint is None else _endpoint(book, month, endpoint, now),
    }


def _endpoint(book: Book, month: Month, series: Series, now: datetime) -> Document:
    assert series.endpoint is not None
    (row,) = snapshot.slo_rows(book, [series], month, now)
    states = book.states(series, month.interval, now)
    cut = book.outages(series, now, month.interval)
    return {
        "id": series.endpoint,
        "row": row,
        "waterfall": content.waterfall(row, snapshot.seconds(month.interval.duration)),
        "eligible": [
            {"start": show_instant(part.start), "end": show_instant(part.end)}
            for part in content.counted(book, series, month, now)
        ],
        "strip": content.strip(states, cut),
        "burn": ribbons.burn_down(book, series.endpoint, month, now),
    }
