"""What the daemon asks of the world, as protocols; adapters answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from monitor.core.alert import Event, takes
from monitor.core.endpoint import Endpoint
from monitor.core.fact import Fact
from monitor.core.verdict import Evidence, Observation, Verdict


class Clock(Protocol):
    """Wall clock and monotonic clock."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never steps."""
        ...


class Telemetry(Protocol):
    """What the daemon counts about itself and its probes; nothing here may block or fail."""

    def probed(self, endpoint: Endpoint, evidence: Evidence, verdict: Verdict) -> None:
        """A probe was judged."""
        ...

    def slot(self, outcome: str, lateness: float) -> None:
        """A probe slot came: `started` (so many seconds late) or `missed`."""
        ...

    def loop_lag(self, seconds: float) -> None:
        """How late the event loop woke."""
        ...

    def clock_stepped(self, seconds: float) -> None:
        """The wall clock stepped by so many seconds, signed."""
        ...

    def store_failing(self, failing: bool, spooled: int, lost: int) -> None:
        """Whether the store can be written; observations waiting, and lost for want of room."""
        ...


class Ledger(Protocol):
    """Where changes are made durable."""

    async def commit(self, change: Change) -> None:
        """Returns when the change is on disk. Raises StoreUnwritable, and then nothing was kept."""
        ...


class Prober(Protocol):
    """Asks one endpoint once."""

    async def probe(self, endpoint: Endpoint) -> Evidence:
        """What the endpoint answered. A failing endpoint is evidence, never an exception."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """An observation with what is kept beside it: duration in microseconds, HTTP status if any."""

    observation: Observation
    duration_us: int
    status: int | None


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A settled span of an endpoint: state is one of up, unconfirmed, impaired, down, unknown."""

    endpoint: str
    start: datetime
    end: datetime
    state: str


@dataclass(frozen=True, slots=True)
class OutageRow:
    """An outage of an endpoint, keyed (endpoint, start); `end` is None while it lasts."""

    endpoint: str
    start: datetime
    confirmed_at: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """That a request was done, so that it is not done twice: kept with the change it caused.

    `key` is a hash of the caller's key, `fingerprint` one of all that was asked. `facts` are those
    that the request itself recorded; `answer` is what it was answered with, once that is known.
    """

    key: str
    fingerprint: str
    at: datetime
    facts: Sequence[Fact] = ()
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction: what was learned and everything it caused. All or nothing.

    `receivers` are the names of those that `events` are to be delivered to; `wants` has the types
    that a receiver asked for, if not all.
    """

    samples: Sequence[Sample] = ()
    facts: Sequence[Fact] = ()
    spans: Sequence[SpanRow] = ()
    outages: Sequence[OutageRow] = ()
    events: Sequence[Event] = ()
    receivers: Sequence[str] = ()
    wants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    receipt: Receipt | None = None

    def takers(self, event: Event) -> list[str]:
        """The receivers of one of the events."""
        return [name for name in self.receivers if takes(self.wants.get(name, ("*",)), event.type)]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one receiver. `attempts` counts those already made."""

    id: int
    receiver: str
    webhook_id: str
    event: Event
    attempts: int
    first_at: datetime
    state: str
    last_error: str | None


class Outbox(Protocol):
    """Undelivered events, kept in the store."""

    async def due(self, receiver: str, now: datetime, limit: int) -> list[Delivery]:
        """Pending deliveries whose time has come, oldest first, at most one per key: the head of it."""
        ...

    async def next_due(self, receiver: str) -> datetime | None:
        """When the next pending delivery of the receiver falls due; None if none is pending."""
        ...

    async def delivered(self, delivery: Delivery, now: datetime) -> None:
        """Record that the receiver accepted it."""
        ...

    async def failed(
        self, delivery: Delivery, now: datetime, *, error: str, retry_at: datetime | None
    ) -> None:
        """Record a failed attempt; without `retry_at` the delivery is dead."""
        ...

    async def dead(self) -> list[Delivery]:
        """All dead deliveries, oldest first."""
        ...

    async def resend(
        self, ids: Sequence[int], now: datetime, receipt: Receipt | None = None
    ) -> int:
        """Make these dead deliveries pending again at once; how many were."""
        ...
