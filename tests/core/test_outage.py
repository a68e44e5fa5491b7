"""Outages cut by class, and partitions laid over one another."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.downtime import Cover, Covered, Kind
from monitor.core.interval import Interval
from monitor.core.outage import Class, Part, cut, filled, overlay, worst
from monitor.core.timeline import Span, State
from tests.core.builders import MINUTE, START, after, minutes, spans

DECLARED, SHORT, OVERRUN, UNDECLARED = Class


def states(text: str) -> list[Span]:
    return spans(text, step=MINUTE)


def cover(start: int, end: int, name: str = "D-1", grade: Cover = Cover.DECLARED) -> Covered:
    return Covered(minutes(start, end), grade, name, Kind.PLANNED, START, after(minutes=start))


def test_before_through_and_past_a_window() -> None:
    """Such an outage has three parts: undeclared, declared, overrun (accounting 5)."""
    assert cut(states("dddddd"), [cover(2, 4)]) == (
        Part(minutes(0, 2), UNDECLARED),
        Part(minutes(2, 4), DECLARED, "D-1"),
        Part(minutes(4, 6), OVERRUN, "D-1"),
    )


def test_enough_notice_goes_before_short_notice() -> None:
    """Of two covers enough notice counts; of two alike the smaller id (accounting 5)."""
    short = cover(0, 4, "D-0", Cover.SHORT_NOTICE)
    assert cut(states("dddd"), [short, cover(1, 3, "D-9"), cover(1, 2, "D-2")]) == (
        Part(minutes(0, 1), SHORT, "D-0"),
        Part(minutes(1, 2), DECLARED, "D-2"),
        Part(minutes(2, 3), DECLARED, "D-9"),
        Part(minutes(3, 4), SHORT, "D-0"),
    )


def test_unknown_time_is_in_no_class() -> None:
    """What we could not tell is a part of its own (accounting 5)."""
    assert cut(states("d??id"), []) == (
        Part(minutes(0, 1), UNDECLARED),
        Part(minutes(1, 3), None),
        Part(minutes(3, 5), UNDECLARED),
    )


def test_overrun_even_if_covered_time_was_unknown() -> None:
    """An earlier instant that was covered makes it overrun, known or not (accounting 5)."""
    assert cut(states("d??d"), [cover(1, 2)])[-1] == Part(minutes(3, 4), OVERRUN, "D-1")


def test_overrun_of_the_declaration_passed_last() -> None:
    """Overrun names the declaration that covered last, the smallest of several."""
    found = cut(states("dddddd"), [cover(0, 2, "D-1"), cover(3, 5, "D-3"), cover(3, 5, "D-2")])
    assert [(part.cls, part.declaration) for part in found] == [
        (DECLARED, "D-1"),
        (OVERRUN, "D-1"),
        (DECLARED, "D-2"),
        (OVERRUN, "D-2"),
    ]


@pytest.mark.parametrize(
    ("cls", "needs"), [(DECLARED, False), (SHORT, True), (OVERRUN, True), (UNDECLARED, True)]
)
def test_only_enough_notice_spares_an_incident(cls: Class, needs: bool) -> None:
    """Undeclared, overrun and short notice need an incident (accounting 7.1)."""
    assert cls.needs_incident is needs


def test_fill() -> None:
    """Where no span is, it is unknown; spans outside the bounds are left out."""
    given = [*states("uu"), Span(after(minutes=3), after(minutes=9), State.DOWN)]
    assert filled(given, minutes(1, 5)) == [
        Span(after(minutes=1), after(minutes=2), State.UP),
        Span(after(minutes=2), after(minutes=3), State.UNKNOWN),
        Span(after(minutes=3), after(minutes=5), State.DOWN),
    ]
    assert filled([], minutes(0, 1)) == states("?")
    assert filled(given, minutes(-5, -1)) == [
        Span(after(minutes=-5), after(minutes=-1), State.UNKNOWN)
    ]


def test_worst_state_counts() -> None:
    """Of several endpoints the worst counts: down, impaired, unknown, unconfirmed, up (5)."""
    assert worst([states("uuuuu")]) == states("uuuuu")
    assert worst([states("ucuud"), states("uu?ic"), states("uuuuu")]) == states("uc?id")


TEXT = st.text("ucid?", min_size=1, max_size=15)
COVERS = st.lists(
    st.tuples(st.integers(-3, 15), st.integers(1, 8), st.sampled_from("AB"), st.booleans()),
    max_size=5,
)


def grade(covers: list[tuple[int, int, str, bool]]) -> list[Covered]:
    return [
        cover(start, start + length, name, Cover.DECLARED if ample else Cover.SHORT_NOTICE)
        for start, length, name, ample in covers
    ]


@given(st.text("di?", min_size=1, max_size=15), COVERS)
def test_parts_sum_to_the_outage(text: str, given: list[tuple[int, int, str, bool]]) -> None:
    """Parts follow one another without a gap and sum to the outage (accounting 5)."""
    parts = cut(states(text), grade(given))
    assert parts[0].interval.start == START
    assert parts[-1].interval.end == START + len(text) * MINUTE
    for one, two in pairwise(parts):
        assert one.interval.end == two.interval.start
        assert (one.cls, one.declaration) != (two.cls, two.declaration)
    known = sum((part.interval.duration for part in parts if part.cls), timedelta())
    assert known == (len(text) - text.count("?")) * MINUTE


@given(st.text("di?", min_size=1, max_size=15), COVERS)
def test_class_of_each_instant(text: str, given: list[tuple[int, int, str, bool]]) -> None:
    """Minute by minute the class is the first of the table that holds (accounting 5)."""
    parts = cut(states(text), grade(given))
    covered_before = False
    for minute, letter in enumerate(text):
        here = [ample for start, length, _, ample in given if start <= minute < start + length]
        expected: Class | None = UNDECLARED
        if letter == "?":
            expected = None
        elif any(here):
            expected = DECLARED
        elif here:
            expected = SHORT
        elif covered_before:
            expected = OVERRUN
        covered_before = covered_before or bool(here)
        found = next(part for part in parts if after(minutes=minute) in part.interval)
        assert found.cls is expected


@given(st.lists(st.text("ucid?", min_size=6, max_size=6), min_size=1, max_size=4))
def test_worst_of_each_instant(texts: list[str]) -> None:
    """Minute by minute the worst of the endpoints' states counts (accounting 5)."""
    expected = "".join(max(letters, key="uc?id".index) for letters in zip(*texts, strict=True))
    assert worst([states(text) for text in texts]) == states(expected)


@given(TEXT, st.lists(st.tuples(st.integers(0, 14), st.integers(1, 5)), max_size=4))
def test_overlay_of_each_instant(text: str, tops: list[tuple[int, int]]) -> None:
    """Minute by minute the top is seen where there is one, and the rest elsewhere."""
    over: list[Span] = []
    for start, length in sorted(tops):
        begun, end = START + start * MINUTE, START + min(start + length, len(text)) * MINUTE
        if begun < end and (not over or over[-1].end <= begun):
            over.append(Span(begun, end, State.DOWN))
    found = overlay(states(text), over)
    assert sum((span.end - span.start for span in found), timedelta()) == len(text) * MINUTE
    for minute, state in enumerate(text):
        instant = after(minutes=minute)
        here = [span.state for span in found if instant in Interval(span.start, span.end)]
        covered = any(instant in Interval(span.start, span.end) for span in over)
        assert here == [State.DOWN if covered else states(state)[0].state]
