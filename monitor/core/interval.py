"""Half-open spans of time, and sets of them that are sorted and merged from birth."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MICROSECOND = timedelta(microseconds=1)
FOREVER = datetime.max.replace(tzinfo=UTC)
"""Stands for an end that has not come; later than every instant that is ever met."""
BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """`[start, end)`, aware and UTC, never empty."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"an interval ends after its start: {self.start} to {self.end}")

    @classmethod
    def lasting(cls, start: datetime, duration: timedelta) -> Interval:
        return cls(start, start + duration)

    @property
    def duration(self) -> timedelta:
        return self.end - self.start

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def clip(self, other: Interval) -> Interval | None:
        """The part inside `other`, or None."""
        start = max(self.start, other.start)
        end = min(self.end, other.end)
        return Interval(start, end) if start < end else None


class IntervalSet:
    """A set of instants: disjoint intervals in order, touching ones merged.

    >>> from datetime import datetime, UTC
    >>> t = [datetime(2026, 3, 1, h, tzinfo=UTC) for h in range(4)]
    >>> IntervalSet([Interval(t[1], t[2]), Interval(t[0], t[1])]) == IntervalSet([Interval(t[0], t[2])])
    True
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Interval] = ()) -> None:
        merged: list[Interval] = []
        for item in sorted(items):
            if merged and item.start <= merged[-1].end:
                if item.end > merged[-1].end:
                    merged[-1] = Interval(merged[-1].start, item.end)
            else:
                merged.append(item)
        self._items = tuple(merged)

    def __iter__(self) -> Iterator[Interval]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __bool__(self) -> bool:
        return bool(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalSet) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"IntervalSet({list(self._items)!r})"

    def __contains__(self, instant: datetime) -> bool:
        place = bisect_right(self._items, instant, key=lambda item: item.start)
        return place > 0 and instant < self._items[place - 1].end

    @property
    def duration(self) -> timedelta:
        """Exact total length."""
        return sum((item.duration for item in self._items), timedelta())

    def __or__(self, other: IntervalSet) -> IntervalSet:
        return IntervalSet((*self._items, *other._items))

    def __and__(self, other: IntervalSet) -> IntervalSet:
        found: list[Interval] = []
        mine, theirs = list(self._items), list(other._items)
        i = j = 0
        while i < len(mine) and j < len(theirs):
            part = mine[i].clip(theirs[j])
            if part is not None:
                found.append(part)
            if mine[i].end <= theirs[j].end:
                i += 1
            else:
                j += 1
        return IntervalSet(found)

    def __sub__(self, other: IntervalSet) -> IntervalSet:
        left: list[Interval] = []
        for item in self._items:
            start = item.start
            for hole in other._items:
                if hole.end <= start:
                    continue
                if hole.start >= item.end:
                    break
                if hole.start > start:
                    left.append(Interval(start, hole.start))
                start = hole.end
            if start < item.end:
                left.append(Interval(start, item.end))
        return IntervalSet(left)

    def clip(self, bounds: Interval) -> IntervalSet:
        """The part inside `bounds`."""
        return IntervalSet(part for item in self._items if (part := item.clip(bounds)) is not None)
