"""Spans of time and sets of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import portion
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.interval import Interval, IntervalSet
from tests.core.builders import START, TICK, after, minutes

PAIRS = st.tuples(st.integers(0, 40), st.integers(1, 12))
SETS = st.lists(PAIRS, max_size=8)


def instant(number: int) -> datetime:
    return START + number * timedelta(seconds=1)


def interval_set(pairs: list[tuple[int, int]]) -> IntervalSet:
    return IntervalSet(Interval(instant(s), instant(s + length)) for s, length in pairs)


def naive(pairs: list[tuple[int, int]]) -> set[int]:
    return {number for s, length in pairs for number in range(s, s + length)}


def seconds_in(found: IntervalSet) -> set[int]:
    return {number for number in range(80) if instant(number) in found}


def test_half_open() -> None:
    """An interval has its start and not its end (accounting 1)."""
    one = minutes(0, 5)
    assert one.start in one
    assert one.end - TICK in one
    assert one.end not in one
    assert one.duration == timedelta(minutes=5)
    assert Interval.lasting(START, timedelta(minutes=5)) == one


@pytest.mark.parametrize("end", [START, START - TICK])
def test_never_empty(end: datetime) -> None:
    """An interval that does not end after its start is refused."""
    with pytest.raises(ValueError, match="ends after its start"):
        Interval(START, end)


def test_clip_of_neighbours_is_nothing() -> None:
    """Intervals that only touch have nothing in common."""
    assert minutes(0, 5).clip(minutes(5, 9)) is None
    assert minutes(0, 5).clip(minutes(4, 9)) == minutes(4, 5)


def test_touching_spans_are_merged() -> None:
    """Spans of a set are merged where they touch or overlap (accounting 1)."""
    found = IntervalSet([minutes(4, 6), minutes(0, 2), minutes(2, 4), minutes(1, 3)])
    assert list(found) == [minutes(0, 6)]
    assert (len(found), bool(found), bool(IntervalSet())) == (1, True, False)
    assert found.duration == timedelta(minutes=6)


def test_equal_sets_are_equal_values() -> None:
    """Sets of the same instants are equal and hash alike, and show what they hold."""
    one = IntervalSet([minutes(0, 1), minutes(1, 2)])
    other = IntervalSet([minutes(0, 2)])
    assert one == other
    assert hash(one) == hash(other)
    assert one != "something else"
    assert repr(other) == f"IntervalSet([{minutes(0, 2)!r}])"


def test_instants_outside() -> None:
    """An instant before, between or after the spans is not in the set."""
    found = IntervalSet([minutes(1, 2), minutes(3, 4)])
    inside = [after(minutes=m) in found for m in (0, 1, 2, 3, 4)]
    assert inside == [False, True, False, True, False]


@given(SETS, SETS)
def test_agrees_with_a_set_of_seconds(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    """Union, intersection, difference and length are those of naive sets of seconds."""
    mine, theirs = interval_set(one), interval_set(other)
    assert seconds_in(mine) == naive(one)
    assert seconds_in(mine | theirs) == naive(one) | naive(other)
    assert seconds_in(mine & theirs) == naive(one) & naive(other)
    assert seconds_in(mine - theirs) == naive(one) - naive(other)
    assert mine.duration == timedelta(seconds=len(naive(one)))


@given(SETS, SETS, PAIRS)
def test_agrees_with_portion(
    one: list[tuple[int, int]], other: list[tuple[int, int]], bounds: tuple[int, int]
) -> None:
    """The same spans come out as of the `portion` library, normal form included."""

    def theirs(pairs: list[tuple[int, int]]) -> portion.Interval:
        return portion.Interval(*(portion.closedopen(s, s + length) for s, length in pairs))

    def expected(found: portion.Interval) -> list[Interval]:
        return [Interval(instant(p.lower), instant(p.upper)) for p in found if not p.empty]

    a, b = interval_set(one), interval_set(other)
    assert list(a | b) == expected(theirs(one) | theirs(other))
    assert list(a & b) == expected(theirs(one) & theirs(other))
    assert list(a - b) == expected(theirs(one) - theirs(other))
    within = Interval(instant(bounds[0]), instant(sum(bounds)))
    assert list(a.clip(within)) == expected(theirs(one) & theirs([bounds]))


@given(st.permutations([(0, 3), (3, 2), (9, 4), (10, 1), (20, 5)]), st.integers(1, 3))
def test_order_and_repeats_change_nothing(pairs: list[tuple[int, int]], times: int) -> None:
    """A set does not depend on the order or the number of times its spans were given."""
    assert interval_set(pairs * times) == interval_set([(0, 5), (9, 4), (20, 5)])
