"""The account of a period: availability at best and at worst, error budget, verdict (accounting 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction

from monitor.core.interval import MICROSECOND, Interval
from monitor.core.outage import Class, Part
from monitor.core.timeline import Span, State
from monitor.errors import EmptyPeriod

ZERO = timedelta()


class Verdict(StrEnum):
    """What can be said of a month against the objective."""

    MET = "met"
    MISSED = "missed"
    INDETERMINATE = "indeterminate"
    RUNNING = "running"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Tally:
    """Exact time by state, and of the unavailable time by class. States sum to the eligible time."""

    states: Mapping[State, timedelta] = field(default_factory=dict)
    classes: Mapping[Class, timedelta] = field(default_factory=dict)

    def of(self, state: State) -> timedelta:
        return self.states.get(state, ZERO)

    def in_class(self, cls: Class) -> timedelta:
        return self.classes.get(cls, ZERO)

    @property
    def unavailable(self) -> timedelta:
        """Impaired, down and asserted, whatever the class: declared downtime counts (CoCo 2.1.5)."""
        return self.of(State.IMPAIRED) + self.of(State.DOWN)

    @property
    def total(self) -> timedelta:
        return sum(self.states.values(), ZERO)


def tally(bounds: Interval, states: Iterable[Span], parts: Iterable[Part]) -> Tally:
    """Sum spans and outage parts that lie inside bounds; each is clipped to them."""
    by_state: dict[State, timedelta] = {}
    for span in states:
        start, end = max(span.start, bounds.start), min(span.end, bounds.end)
        if start < end:
            by_state[span.state] = by_state.get(span.state, ZERO) + (end - start)
    by_class: dict[Class, timedelta] = {}
    for part in parts:
        inside = part.interval.clip(bounds)
        if inside is not None and part.cls is not None:
            by_class[part.cls] = by_class.get(part.cls, ZERO) + inside.duration
    return Tally(by_state, by_class)


def added(one: Tally, other: Tally) -> Tally:
    """Two tallies of time that does not overlap, as one."""
    states = {state: one.of(state) + other.of(state) for state in State}
    classes = {cls: one.in_class(cls) + other.in_class(cls) for cls in Class}
    return Tally(states, classes)


@dataclass(frozen=True, slots=True)
class Account:
    """A period's figures. `eligible` runs up to now, `whole` to the period's end.

    Ratios are exact Fractions; they are rounded only to be printed, and then downwards.
    """

    tally: Tally
    eligible: timedelta
    whole: timedelta
    objective: Fraction
    closed: bool

    @property
    def unavailable(self) -> timedelta:
        return self.tally.unavailable

    @property
    def unknown(self) -> timedelta:
        return self.tally.of(State.UNKNOWN)

    @property
    def unconfirmed(self) -> timedelta:
        return self.tally.of(State.UNCONFIRMED)

    def _share(self, lost: timedelta, of: timedelta) -> Fraction:
        if of <= ZERO:
            raise EmptyPeriod("nothing was eligible in this period, so there is no ratio")
        return 1 - Fraction(lost // MICROSECOND, of // MICROSECOND)

    @property
    def best(self) -> Fraction:
        """Unknown and unconfirmed time taken as up. Raises EmptyPeriod."""
        return self._share(self.unavailable, self.eligible)

    @property
    def worst(self) -> Fraction:
        """Unknown and unconfirmed time taken as down. Raises EmptyPeriod."""
        return self._share(self.unavailable + self.unconfirmed + self.unknown, self.eligible)

    @property
    def measured(self) -> Fraction | None:
        """The headline: of the time that was measured. None if none was."""
        seen = self.eligible - self.unknown
        return self._share(self.unavailable, seen) if seen > ZERO else None

    @property
    def excluding_declared(self) -> Fraction | None:
        """Informational, never the headline: declared downtime taken out on both sides."""
        declared = self.tally.in_class(Class.DECLARED)
        seen = self.eligible - self.unknown - declared
        return self._share(self.unavailable - declared, seen) if seen > ZERO else None

    @property
    def budget(self) -> Fraction:
        """Allowed unavailable time of the whole period, in microseconds, exact."""
        return (1 - self.objective) * (self.whole // MICROSECOND)

    @property
    def remaining(self) -> Fraction:
        """Budget not yet spent, in microseconds; may be negative."""
        return self.budget - self.unavailable // MICROSECOND

    @property
    def verdict(self) -> Verdict:
        """Exactly on the objective is met. No data never reads as met."""
        if self.eligible <= ZERO:
            return Verdict.NO_DATA
        if not self.closed:
            return Verdict.MISSED if self.remaining < 0 else Verdict.RUNNING
        if self.worst >= self.objective:
            return Verdict.MET
        return Verdict.MISSED if self.best < self.objective else Verdict.INDETERMINATE


def burn_rate(unavailable: timedelta, window: timedelta, objective: Fraction) -> Fraction:
    """How fast the budget goes: 1 spends exactly the budget if it lasts (accounting 6)."""
    return Fraction(unavailable // MICROSECOND, window // MICROSECOND) / (1 - objective)
