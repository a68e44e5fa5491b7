"""The same facts under two configurations, side by side: what other thresholds or rules would change.

Each configuration is taken for the whole time. What the daemon concluded then (incidents, notices,
seals) is left out: it is derived anew under each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from pathlib import Path
from typing import Any, Protocol

from monitor.core.book import Book
from monitor.core.fact import Fact
from monitor.core.month import Month, show_instant
from monitor.core.rules import RULES_VERSION
from monitor.core.verdict import Observation
from monitor.errors import FactError, Fault, MonitorError
from monitor.ports import Sample
from monitor.replay import read_facts
from monitor.snapshot import Document, replay_document

TOLD = frozenset(
    ("declaration", "amendment", "cancellation", "completion", "assertion", "withdrawal")
)
"""The facts that people told; all else follows from them and from the observations."""

Item = tuple[datetime, int, Fact | Observation]
"""When it was learned, its number in the file or the store (observations: 0), and what it is."""


class Stored(Protocol):
    """What is read of a store."""

    def facts(self, after: int = 0) -> Iterator[tuple[int, Fact]]: ...
    def iter_observations(
        self, start: datetime | None = None, end: datetime | None = None
    ) -> Iterator[Sample]: ...


def of_store(store: Stored) -> Iterator[Item]:
    """What a store knows, in order of time; of one instant, facts first."""
    told = sorted(((fact.at, seq, fact) for seq, fact in store.facts()), key=lambda item: item[:2])
    seen = ((sample.observation.at, 0, sample.observation) for sample in store.iter_observations())
    return merge(told, seen, key=lambda item: item[0])


def of_file(path: Path, progress: Callable[[int], None] = lambda size: None) -> Iterator[Item]:
    """What a file of facts tells, in order of time. Raises FactError."""
    items = [(one.at, number, one) for number, one in read_facts(path, progress=progress)]
    return iter(sorted(items, key=lambda item: item[:2]))


def feed(
    books: Sequence[Book],
    items: Iterable[Item],
    until: datetime,
    source: str,
    progress: Callable[[int], None] = lambda count: None,
) -> None:
    """Let each book learn what was known by `until`.

    Observations of endpoints that a book has not configured are passed over. `progress` is told how
    many observations were taken. Raises FactError naming the fact that cannot be learned.
    """
    for at, number, item in items:
        if at > until:
            return
        if isinstance(item, Observation):
            for book in books:
                if item.endpoint in book.register.endpoints:
                    book.observe(item)
            progress(1)
        elif item.type in TOLD:
            _learn(books, item, number, source)


def _learn(books: Iterable[Book], fact: Fact, number: int, source: str) -> None:
    try:
        for book in books:
            book.learn(fact)
    except MonitorError as trouble:
        raise FactError([Fault(source, number, None, "", str(trouble), "")]) from None


# --- The comparison -------------------------------------------------------------------------------


def compared(old: Book, new: Book, until: datetime, month: Month | None = None) -> Document:
    """The accounts of both, and the difference: new less old, in seconds; a month, or all."""
    before, after = replay_document(old, until), replay_document(new, until)
    months = [
        row
        for row in _months(before["months"], after["months"])
        if month is None or row["month"] == str(month)
    ]
    incidents = _incidents(before["incidents"], after["incidents"], month)
    return {
        "rules": RULES_VERSION,
        "until": show_instant(until),
        "months": months,
        "incidents": incidents,
        "changed": bool(
            incidents["only_old"]
            or incidents["only_new"]
            or any(row["old"] != row["new"] for row in months)
        ),
    }


def _months(old: list[Document], new: list[Document]) -> Iterator[Document]:
    """Every row that either has, by month, old ones first."""
    both: dict[tuple[str, tuple[Any, ...]], list[Document | None]] = {}
    for place, rows in enumerate((old, new)):
        for row in rows:
            key = (row["month"], tuple(sorted(row["series"].items())))
            both.setdefault(key, [None, None])[place] = row
    for month, name in sorted(both, key=lambda key: key[0]):
        before, after = both[month, name]
        yield {
            "month": month,
            "series": dict(name),
            "old": _figures(before),
            "new": _figures(after),
            "difference": _difference(before, after),
        }


def _figures(row: Document | None) -> Document | None:
    if row is None:
        return None
    return {key: value for key, value in row.items() if key not in ("month", "series")}


def _difference(old: Document | None, new: Document | None) -> Document | None:
    """New less old of everything in seconds; None if only one of them has the series."""
    if old is None or new is None:
        return None
    found: Document = {key: _less(new[key], old[key]) for key in old if key.endswith("_s")}
    found["by_class"] = {
        name: _less(new["by_class"][name], old["by_class"][name]) for name in old["by_class"]
    }
    return found


def _less(one: float, other: float) -> float:
    return round(one - other, 6)


def _incidents(old: list[Document], new: list[Document], month: Month | None) -> Document:
    """How many there are, and those that only one side has: the same cause, kind and start."""

    def within(rows: list[Document]) -> dict[tuple[str, ...], Document]:
        return {
            (row["group"], row["kind"], row["started_at"]): row
            for row in rows
            if month is None or datetime.fromisoformat(row["started_at"]) in month.interval
        }

    before, after = within(old), within(new)
    return {
        "old": len(before),
        "new": len(after),
        "only_old": [row for key, row in before.items() if key not in after],
        "only_new": [row for key, row in after.items() if key not in before],
    }
