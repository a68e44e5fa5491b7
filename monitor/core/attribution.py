"""Whose fault a failure is: theirs, or ours, and then we could not tell (accounting 8).

Some reasons may point at us: no name resolves, no route, our certificate refused. Such observations of
one client identity are held back, at most for one interval and time-out, until it is clear whether
every endpoint fails alike (ours: `local`) or not (theirs: as seen). Other observations pass at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from monitor.core.endpoint import Endpoint
from monitor.core.verdict import Observation, Reason, Result

POINTING = {
    Reason.DNS: Reason.LOCAL_DNS,
    Reason.NO_ROUTE: Reason.LOCAL_NETWORK,
    Reason.TLS_REFUSED: Reason.LOCAL_IDENTITY,
}
"""Reasons that may be our own fault, and what they are then called."""


def as_local(seen: Observation, reason: Reason) -> Observation:
    """The same observation as our own fault."""
    return replace(seen, result=Result.LOCAL, reason=reason)


@dataclass(slots=True)
class Comparison:
    """Compares the endpoints probed with one client identity. Mutable, one per identity.

    `ours` is the reason we have found to be our own fault and which still lasts. With endpoints on
    one host only, comparison says nothing; a witness does, if there is one (`has_witness`).
    """

    hosts: dict[str, str]
    patience: timedelta
    has_witness: bool = False
    ours: Reason | None = None
    _held: list[Observation] = field(default_factory=list)
    _alike: set[str] = field(default_factory=set)
    _witness_alike: bool | None = None

    @classmethod
    def of(cls, endpoints: Iterable[Endpoint], *, has_witness: bool = False) -> Comparison:
        """For the endpoints of one identity; `patience` is their longest interval and time-out."""
        members = list(endpoints)
        longest = max(
            (one.cadence.interval + one.cadence.timeout for one in members), default=timedelta()
        )
        return cls({one.id: one.host for one in members}, longest, has_witness)

    @property
    def comparable(self) -> bool:
        """Whether there are endpoints on different hosts to compare."""
        return len(set(self.hosts.values())) > 1

    @property
    def wants_witness(self) -> Reason | None:
        """The reason about which a witness should be asked now."""
        if self._held and self.has_witness and self._witness_alike is None:
            return self._held[0].reason
        return None

    @property
    def holding(self) -> bool:
        return bool(self._held)

    def offer(self, seen: Observation) -> list[Observation]:
        """Take one observation; answers with those now decided, in order of arrival."""
        local = POINTING.get(seen.reason) if seen.result.failing else None
        if seen.result is Result.LOCAL or (local is None and self._before_hold(seen)):
            return self._in_turn(seen)
        if local is None:
            return [*self._let_go(), seen]
        if self.ours is local:
            return self._in_turn(as_local(seen, local))
        if not (self.comparable or self.has_witness):
            return [seen]
        released: list[Observation] = []
        if self._held and self._held[0].reason is not seen.reason:
            released = self._let_go()
        self._held.append(seen)
        self._alike.add(seen.endpoint)
        return [*released, *self._decide()]

    def _in_turn(self, seen: Observation) -> list[Observation]:
        """What is decided, unless an earlier observation of the endpoint is held back still."""
        if seen.endpoint in self._alike:
            self._held.append(seen)
            return []
        return [seen]

    def _before_hold(self, seen: Observation) -> bool:
        """Whether a good answer is older than the trouble, and so says nothing about it."""
        return bool(self._held) and seen.at < self._held[0].at

    def testify(self, *, alike: bool) -> list[Observation]:
        """What the witness showed: it fails alike (ours), or it does not (theirs)."""
        if not self._held:
            return []
        self._witness_alike = alike
        return self._decide() if alike else self._let_go()

    def lapse(self, now: datetime) -> list[Observation]:
        """Decide as theirs what has waited too long for a comparison."""
        if self._held and now - self._held[0].at > self.patience:
            return self._let_go()
        return []

    def _decide(self) -> list[Observation]:
        everyone = self.comparable and self._alike >= set(self.hosts)
        if not everyone and not self._witness_alike:
            return []
        local = POINTING[self._held[0].reason]
        released = [
            seen if POINTING.get(seen.reason) is None else as_local(seen, local)
            for seen in self._held
        ]
        self._clear()
        self.ours = local
        return released

    def _let_go(self) -> list[Observation]:
        released = list(self._held)
        self._clear()
        self.ours = None
        return released

    def _clear(self) -> None:
        self._held, self._alike, self._witness_alike = [], set(), None
