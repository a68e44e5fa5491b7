"""Unavailable spans of a series, cut by class (accounting 5).

`SeriesOutage` is a span with its states; `cut` gives its parts. Parts of an outage sum to the outage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from monitor.core.downtime import Cover, Covered
from monitor.core.interval import Interval
from monitor.core.timeline import Span, State, append


class Class(StrEnum):
    """Why an unavailable instant was unavailable, in order of precedence (accounting 5)."""

    DECLARED = "declared"
    SHORT_NOTICE = "declared_short_notice"
    OVERRUN = "overrun"
    UNDECLARED = "undeclared"

    @property
    def needs_incident(self) -> bool:
        """Only enough notice spares an incident (accounting 7.1)."""
        return self is not Class.DECLARED


class Source(StrEnum):
    """Who says that the series was unavailable."""

    PROBE = "probe"
    ASSERTED = "asserted"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an outage. `cls` None: we could not tell, so it is in no class.

    `declaration` is the one that covers it or was overrun; None if undeclared or unknown.
    """

    interval: Interval
    cls: Class | None
    declaration: str | None = None


@dataclass(frozen=True, slots=True)
class SeriesOutage:
    """An outage of a series as known at one instant; `open` means that it had not ended by then."""

    interval: Interval
    open: bool
    source: Source
    confirmed_at: datetime
    parts: tuple[Part, ...]


def overlay(spans: Iterable[Span], over: Iterable[Span]) -> list[Span]:
    """`spans` with `over` laid on top; both in order and without overlaps of their own."""
    result: list[Span] = []
    tops = list(over)
    place = 0
    for span in spans:
        start = span.start
        while place < len(tops) and tops[place].end <= start:
            place += 1
        at = place
        while at < len(tops) and tops[at].start < span.end:
            if tops[at].start > start:
                result.append(Span(start, tops[at].start, span.state))
            start = max(start, tops[at].end)
            at += 1
        if start < span.end:
            result.append(Span(start, span.end, span.state))
    return sorted([*result, *tops], key=lambda item: item.start)


def filled(spans: Iterable[Span], bounds: Interval) -> list[Span]:
    """The spans inside bounds, with `unknown` wherever there is none: a partition of bounds."""
    result: list[Span] = []
    at = bounds.start
    for span in spans:
        if span.end <= at:
            continue
        if span.start >= bounds.end:
            break
        if span.start > at:
            result.append(Span(at, span.start, State.UNKNOWN))
            at = span.start
        end = min(span.end, bounds.end)
        result.append(Span(at, end, span.state))
        at = end
    if at < bounds.end:
        result.append(Span(at, bounds.end, State.UNKNOWN))
    return result


def _pieces(
    states: Sequence[Span], covers: Sequence[Covered]
) -> Iterator[tuple[Interval, State, list[Covered]]]:
    """The states cut again wherever coverage changes, with what covers each piece."""
    for span in states:
        whole = Interval(span.start, span.end)
        near = [cover for cover in covers if cover.interval.clip(whole) is not None]
        marks = {span.start, span.end}
        for cover in near:
            marks |= {
                mark
                for mark in (cover.interval.start, cover.interval.end)
                if span.start < mark < span.end
            }
        edges = sorted(marks)
        for start, end in pairwise(edges):
            over = [cover for cover in near if start in cover.interval]
            yield Interval(start, end), span.state, over


def _best(covers: list[Covered]) -> Covered:
    """The cover that counts: enough notice before short notice, then the smallest id."""
    return min(covers, key=lambda cover: (cover.cover is not Cover.DECLARED, cover.declaration))


def cut(states: Sequence[Span], covers: Sequence[Covered]) -> tuple[Part, ...]:
    """The parts of one outage, whose states (impaired, down, unknown) leave no gap.

    Covered with enough notice, else covered, else overrun if an earlier instant of the outage was
    covered (unknown or not), else undeclared. Unknown time is a part in no class.
    """
    parts: list[Part] = []
    overran: str | None = None
    for interval, state, over in _pieces(states, covers):
        best = _best(over) if over else None
        if state is State.UNKNOWN:
            part = Part(interval, None)
        elif best is not None:
            part = Part(interval, Class(best.cover.value), best.declaration)
        elif overran is not None:
            part = Part(interval, Class.OVERRUN, overran)
        else:
            part = Part(interval, Class.UNDECLARED)
        if over:
            overran = min(cover.declaration for cover in over)
        _extend(parts, part)
    return tuple(parts)


def _extend(parts: list[Part], part: Part) -> None:
    last = parts[-1] if parts else None
    if last is not None and (last.cls, last.declaration) == (part.cls, part.declaration):
        whole = Interval(last.interval.start, part.interval.end)
        parts[-1] = Part(whole, part.cls, part.declaration)
    else:
        parts.append(part)


_BADNESS = (State.UP, State.UNCONFIRMED, State.UNKNOWN, State.IMPAIRED, State.DOWN)


def worst(partitions: Sequence[Sequence[Span]]) -> list[Span]:
    """Several partitions of the same bounds as one: at each instant the worst state counts.

    Down, then impaired, unknown, unconfirmed and up (accounting 5, last sentence).
    """
    if len(partitions) == 1:
        return list(partitions[0])
    edges = sorted({span.start for spans in partitions for span in spans})
    end = max(spans[-1].end for spans in partitions)
    places = [0] * len(partitions)
    result: list[Span] = []
    for start, until in zip(edges, [*edges[1:], end], strict=True):
        states = []
        for which, spans in enumerate(partitions):
            while spans[places[which]].end <= start:
                places[which] += 1
            states.append(spans[places[which]].state)
        append(result, [Span(start, until, max(states, key=_BADNESS.index))])
    return result
