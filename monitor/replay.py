"""The same rules over a file of facts, on a simulated clock. Needs no network, store or identity."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from monitor.core.book import Book
from monitor.core.fact import Fact, read_fact, read_observation
from monitor.core.verdict import Observation
from monitor.errors import FactError, Fault, MonitorError

MOST_FAULTS = 20


def read_facts(
    path: Path, *, progress: Callable[[int], None] = lambda size: None
) -> Iterator[tuple[int, Observation | Fact]]:
    """(line number, fact) of each line, in file order. Blank lines are passed over.

    `progress` is told how many bytes each line took. Raises FactError with up to twenty faults.
    """
    faults: list[Fault] = []
    try:
        lines = path.open("rb")
    except OSError as trouble:
        what = f"cannot be read: {trouble.strerror}"
        raise FactError([Fault(str(path), None, None, "", what, "")]) from None
    with lines:
        for number, line in enumerate(lines, 1):
            progress(len(line))
            if not line.strip():
                continue
            try:
                yield number, _read(line)
            except (MonitorError, ValueError) as trouble:
                faults.append(_fault(path, number, trouble))
                if len(faults) >= MOST_FAULTS:
                    break
    if faults:
        raise FactError(faults)


def _read(line: bytes) -> Observation | Fact:
    try:
        document = json.loads(line)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    if document.get("type") == "observation":
        return read_observation(document)
    return read_fact(document)


def _fault(path: Path, number: int, trouble: Exception) -> Fault:
    cure = "write one JSON object per line" if isinstance(trouble, ValueError) else ""
    return Fault(str(path), number, None, "", str(trouble), cure)


def replay(
    book: Book, path: Path, facts: Iterable[tuple[int, Observation | Fact]], until: datetime
) -> None:
    """Feed the facts known by `until` to the book, in order of time.

    Facts of one instant keep their order in the file. Raises FactError naming the line.
    """
    known = [(fact.at, number, fact) for number, fact in facts if fact.at <= until]
    known.sort(key=lambda item: item[:2])
    faults: list[Fault] = []
    for _, number, fact in known:
        try:
            if isinstance(fact, Observation):
                book.observe(fact)
            else:
                book.learn(fact)
        except MonitorError as trouble:
            faults.append(_fault(path, number, trouble))
            if len(faults) >= MOST_FAULTS:
                break
    if faults:
        raise FactError(faults)
