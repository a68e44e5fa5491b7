"""Facts files: read line by line, told in order of time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.core.book import Book
from monitor.core.fact import Fact
from monitor.core.interval import Interval
from monitor.core.verdict import Observation
from monitor.errors import FactError
from monitor.replay import MOST_FAULTS, read_facts, replay
from tests.core.builders import MINUTE, after, book, cadence, endpoint, series, spans

OBSERVATION = {"type": "observation", "endpoint": "view", "result": "up", "reason": "ok"}
FAR = after(days=1)


def line(minute: float, **body: Any) -> dict[str, Any]:
    """A line of a facts file; an observation unless its type says otherwise."""
    usual = {} if "type" in body else OBSERVATION
    return {"at": after(minutes=minute).isoformat(), **usual, **body}


def failing(minute: float, **body: Any) -> dict[str, Any]:
    return line(minute, result="down", reason="connect_refused", **body)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the facts file is."""
    return tmp_path / "facts.jsonl"


def write(path: Path, lines: Iterable[object]) -> Path:
    texts = (one if isinstance(one, str) else json.dumps(one) for one in lines)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def told(path: Path, until: datetime = FAR) -> Book:
    known = book(endpoint(cadence=cadence(interval=MINUTE, gap_after=3 * MINUTE)))
    replay(known, path, read_facts(path), until)
    return known


def faults(path: Path, until: datetime = FAR) -> list[str]:
    with pytest.raises(FactError) as caught:
        told(path, until)
    assert all(fault.file == str(path) for fault in caught.value.faults)
    return [f"{fault.line}: {fault.what}" for fault in caught.value.faults]


def test_lines_are_numbered_and_counted(path: Path) -> None:
    """Each fact comes with its line; blank lines are passed over; progress is told every byte."""
    write(path, [line(0), "", "   ", {"type": "note", "at": after().isoformat(), "x": 1}])
    sizes: list[int] = []
    found = list(read_facts(path, progress=sizes.append))
    assert [number for number, _ in found] == [1, 4]
    assert [type(one) for _, one in found] == [Observation, Fact]
    assert sum(sizes) == path.stat().st_size


def test_missing_file(path: Path) -> None:
    """A file that cannot be opened is a fault without a line."""
    (fault,) = faults(path)
    assert fault == "None: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ("{", "Expecting property name"),
        ("[1]", "is not a JSON object"),
        ('"x"', "is not a JSON object"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", "type: is missing"),
        ('{"type": "seal"}', "seal: at: must be an instant with an offset"),
        (line(0, endpoint=None), "observation: endpoint: must be the id"),
        (line(0, result=["up"]), "observation: result: must be one of"),
        (line(0, reason={}), "observation: reason: is not in the list"),
        (line(0, at="2026-03-02"), "observation: at: must be an instant"),
        (line(0, at="0001-01-01T00:00:00+14:00"), "observation: at: must be an instant"),
    ],
)
def test_unreadable_line(path: Path, bad: object, text: str) -> None:
    """A line that cannot be read is a fault with its number, what is wrong and the cure."""
    (fault,) = faults(write(path, [line(0), bad, line(1)]))
    assert fault.startswith("2: ")
    assert text in fault


def test_bytes_that_are_no_text(path: Path) -> None:
    """A line that is not UTF-8 is a fault like any other."""
    path.write_bytes(b'{"type": "\xff"}\n')
    (fault,) = faults(path)
    assert fault.startswith("1: ")


def test_all_faults_at_once(path: Path) -> None:
    """Every fault is told, up to a number."""
    assert len(faults(write(path, [line(0), "{", line(1), "{"]))) == 2
    assert len(faults(write(path, ["{"] * (MOST_FAULTS + 5)))) == MOST_FAULTS


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (line(0, endpoint="nobody"), 'there is no endpoint "nobody"'),
        (line(0, type="amendment", id="D-9"), 'there is no declaration "D-9"'),
        (line(0, type="withdrawal", id="A-9"), 'there is no assertion "A-9"'),
        (line(0, type="declaration", id="D-1"), "start: is missing"),
        (line(0, type="incident.opened", id="I-1"), "incident.opened: cannot be read"),
        (line(0, type="incident.closed", id="I-9"), 'there is no incident "I-9"'),
    ],
)
def test_fact_that_cannot_be(path: Path, bad: dict[str, Any], text: str) -> None:
    """A fact that the ones before it do not allow is a fault with its line."""
    (fault,) = faults(write(path, [line(0), bad]))
    assert fault.startswith("2: ")
    assert text in fault


def test_faults_of_learning_all_at_once(path: Path) -> None:
    """Faults found while replaying are told together too, up to a number."""
    assert len(faults(write(path, [line(0, endpoint="x"), line(1), line(2, endpoint="y")]))) == 2
    many = [line(0, endpoint=f"x{number}") for number in range(MOST_FAULTS + 5)]
    assert len(faults(write(path, many))) == MOST_FAULTS


def test_order_in_the_file_does_not_matter(path: Path) -> None:
    """Facts are told in order of time, whatever their order in the file."""
    lines = [line(0), failing(1), failing(2), failing(3), line(4), line(5)]
    expected = spans("uddduu", step=MINUTE)
    for order in (lines, lines[::-1], [*lines[::2], *lines[1::2], *lines]):
        known = told(write(path, order))
        found = known.states(series(), Interval(after(), after(minutes=6)), after(minutes=6))
        assert found == expected


def test_facts_of_one_instant_keep_their_order(path: Path) -> None:
    """Of facts of one instant the one that stands first in the file is told first."""
    window = {"start": after(minutes=9).isoformat(), "end": after(minutes=12).isoformat()}
    declared = line(0, type="declaration", id="D-1", **window)
    known = told(write(path, [declared, line(0, type="cancellation", id="D-1")]))
    assert known.declaration("D-1").cancelled_at == after()
    assert faults(write(path, [line(0, type="cancellation", id="D-1"), declared])) == [
        '1: there is no declaration "D-1"; `monitor downtime list` shows them'
    ]


def test_until(path: Path) -> None:
    """What was learned later than `until` is not told; what was learned at it is."""
    write(path, [line(0), line(1), failing(2), line(3, endpoint="nobody")])
    last = told(path, after(minutes=2)).track("view").last
    assert last is not None
    assert last.at == after(minutes=2)
    assert len(faults(path, after(minutes=3))) == 1
