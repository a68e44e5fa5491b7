"""Observations of one endpoint to spans of one state (accounting 2).

A `Track` is all that has to be remembered of an endpoint between two observations. `observe` answers
with the next Track and with what can no longer be judged otherwise; `tail` says how the rest reads
if nothing more is ever observed. Both are pure, so a change that cannot be stored is simply not kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from monitor.core.endpoint import Cadence
from monitor.core.verdict import Observation, Result


class State(StrEnum):
    """Every instant of an accounted series is exactly one of these (accounting 2.8)."""

    UP = "up"
    UNCONFIRMED = "unconfirmed"
    IMPAIRED = "impaired"
    DOWN = "down"
    UNKNOWN = "unknown"

    @property
    def unavailable(self) -> bool:
        return self is State.IMPAIRED or self is State.DOWN


class Phase(StrEnum):
    """Where an endpoint stands between confirmations."""

    STEADY = "steady"
    SUSPECT = "suspect"
    OUTAGE = "outage"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one state."""

    start: datetime
    end: datetime
    state: State


@dataclass(frozen=True, slots=True)
class Outage:
    """A confirmed outage of an endpoint; `end` is None while it lasts (accounting 2.3, 2.4)."""

    start: datetime
    confirmed_at: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What an observation made final: spans in order, and an outage that began or ended."""

    spans: tuple[Span, ...] = ()
    outage: Outage | None = None


NOTHING = Settled()
_STATE = {Result.UP: State.UP, Result.IMPAIRED: State.IMPAIRED, Result.DOWN: State.DOWN}
_STATE[Result.LOCAL] = State.UNKNOWN


@dataclass(frozen=True, slots=True)
class Track:
    """What an endpoint's past leaves open.

    `cadences` are (in force from, cadence), the first in force at the last observation. `pending` are
    spans whose state waits for a confirmation: as the observations said, to be judged. `count` is the
    number of observations towards the confirmation; `since` the first of them; `failing` the state
    that the last failing observation of the outage said.
    """

    cadences: tuple[tuple[datetime, Cadence], ...]
    last: Observation | None = None
    phase: Phase = Phase.STEADY
    pending: tuple[Span, ...] = ()
    count: int = 0
    since: datetime | None = None
    failing: State = State.DOWN
    outage: Outage | None = None

    @property
    def cadence(self) -> Cadence:
        return self.cadences[-1][1]

    @property
    def hurried(self) -> bool:
        """Whether the endpoint is to be re-probed soon (accounting 2.7)."""
        return self.phase is Phase.SUSPECT or self.phase is Phase.RECOVERING

    def with_cadence(self, start: datetime, cadence: Cadence) -> Track:
        """The same track with another cadence for observations from `start` on."""
        if self.cadence == cadence:
            return self
        return replace(self, cadences=(*self.cadences, (start, cadence)))


@dataclass(slots=True)
class _Draft:
    """A Track in the making; lives for one call of `observe`."""

    phase: Phase
    pending: tuple[Span, ...]
    count: int
    since: datetime | None
    failing: State
    outage: Outage | None
    spans: list[Span] = field(default_factory=list)
    changed: Outage | None = None


def held(last: Observation, until: datetime, cadence: Cadence) -> tuple[Span, ...]:
    """How far a result holds: to the next observation, or one interval if that is too far off.

    `until` is the next observation, or now after the last one (accounting 2.1).
    """
    if until <= last.at:
        return ()
    state = _STATE[last.result]
    if until - last.at <= cadence.gap_after:
        return (Span(last.at, until, state),)
    end = min(last.at + cadence.interval, until)
    if end == until:
        return (Span(last.at, until, state),)
    return (Span(last.at, end, state), Span(end, until, State.UNKNOWN))


def observe(track: Track, seen: Observation) -> tuple[Track, Settled]:
    """Take in one observation. One that is not later than the last is ignored."""
    last = track.last
    if last is not None and seen.at <= last.at:
        return track, NOTHING
    cadences = track.cadences
    spans = held(last, seen.at, cadences[0][1]) if last is not None else ()
    while len(cadences) > 1 and cadences[1][0] <= seen.at:
        cadences = cadences[1:]
    if track.phase is Phase.STEADY and not seen.result.failing:
        return replace(track, cadences=cadences, last=seen), Settled(spans)
    draft = _Draft(
        track.phase, track.pending, track.count, track.since, track.failing, track.outage
    )
    if track.phase is Phase.STEADY or track.phase is Phase.OUTAGE:
        draft.spans.extend(spans)
    else:
        draft.pending += spans
    if seen.result is not Result.LOCAL:
        _STEPS[draft.phase](draft, seen, cadences[0][1])
    next_track = Track(
        cadences,
        seen,
        draft.phase,
        draft.pending,
        draft.count,
        draft.since,
        draft.failing,
        draft.outage,
    )
    return next_track, Settled(tuple(draft.spans), draft.changed)


def _steady(draft: _Draft, seen: Observation, cadence: Cadence) -> None:
    draft.phase, draft.count, draft.since = Phase.SUSPECT, 0, seen.at
    _suspect(draft, seen, cadence)


def _suspect(draft: _Draft, seen: Observation, cadence: Cadence) -> None:
    if not seen.result.failing:
        draft.spans.extend(judged(draft.pending, unconfirmed=True))
        draft.phase, draft.pending, draft.count, draft.since = Phase.STEADY, (), 0, None
        return
    draft.count += 1
    if draft.count >= cadence.confirm_down:
        assert draft.since is not None
        draft.spans.extend(draft.pending)
        draft.outage = draft.changed = Outage(draft.since, seen.at)
        draft.phase, draft.pending, draft.count, draft.since = Phase.OUTAGE, (), 0, None
        draft.failing = _STATE[seen.result]


def _outage(draft: _Draft, seen: Observation, cadence: Cadence) -> None:
    if seen.result.failing:
        draft.failing = _STATE[seen.result]
        return
    draft.phase, draft.count, draft.since = Phase.RECOVERING, 0, seen.at
    _recovering(draft, seen, cadence)


def _recovering(draft: _Draft, seen: Observation, cadence: Cadence) -> None:
    if seen.result.failing:
        draft.spans.extend(judged(draft.pending, swallowed=draft.failing))
        draft.phase, draft.pending, draft.count, draft.since = Phase.OUTAGE, (), 0, None
        draft.failing = _STATE[seen.result]
        return
    draft.count += 1
    if draft.count >= cadence.confirm_up:
        assert draft.outage is not None
        draft.spans.extend(draft.pending)
        draft.changed = replace(draft.outage, end=draft.since)
        draft.outage = None
        draft.phase, draft.pending, draft.count, draft.since = Phase.STEADY, (), 0, None


_STEPS = {
    Phase.STEADY: _steady,
    Phase.SUSPECT: _suspect,
    Phase.OUTAGE: _outage,
    Phase.RECOVERING: _recovering,
}


def judged(
    pending: Iterable[Span], *, unconfirmed: bool = False, swallowed: State | None = None
) -> list[Span]:
    """Pending spans as a blip (`unconfirmed`) or as a swallowed recovery; unknown stays unknown."""
    result = []
    for span in pending:
        state = span.state
        if unconfirmed and state.unavailable:
            state = State.UNCONFIRMED
        elif swallowed is not None and state is State.UP:
            state = swallowed
        result.append(Span(span.start, span.end, state))
    return result


def tail(track: Track, now: datetime) -> list[Span]:
    """The spans not yet settled, up to `now`, as they read if nothing more is observed."""
    if track.last is None:
        return []
    spans = [*track.pending, *held(track.last, now, track.cadences[0][1])]
    if track.phase is Phase.SUSPECT:
        return judged(spans, unconfirmed=True)
    if track.phase is Phase.RECOVERING:
        return judged(spans, swallowed=track.failing)
    return spans


def append(spans: list[Span], more: Iterable[Span]) -> None:
    """Add settled spans at the end, merging those that continue the last one."""
    for span in more:
        if spans and spans[-1].end == span.start and spans[-1].state is span.state:
            spans[-1] = Span(spans[-1].start, span.end, span.state)
        else:
            spans.append(span)


def fold(track: Track, seen: Iterable[Observation]) -> tuple[Track, list[Span], list[Outage]]:
    """Take in many observations: the track, the merged settled spans, and the outages."""
    spans: list[Span] = []
    outages: dict[datetime, Outage] = {}
    for observation in seen:
        track, settled = observe(track, observation)
        append(spans, settled.spans)
        if settled.outage is not None:
            outages[settled.outage.start] = settled.outage
    return track, spans, list(outages.values())
