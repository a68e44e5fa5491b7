"""What an operation works with: the cycle, the settings and the reading side of the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from monitor.config import Settings
from monitor.core.fact import Fact
from monitor.core.verdict import Evidence
from monitor.cycle import Cycle
from monitor.ports import Clock, Ledger, Outbox, Receipt, Sample


class Store(Ledger, Outbox, Protocol):
    """What operations ask of the store beside what the cycle does."""

    def observations(self, endpoint: str, start: datetime, end: datetime) -> list[Sample]:
        """The samples of an endpoint in `[start, end)`, in order."""
        ...

    def first_observations(
        self, endpoint: str, start: datetime, end: datetime, limit: int
    ) -> list[Sample]:
        """The first so many samples of an endpoint in `[start, end)`, in order."""
        ...

    def receipt(self, key: str) -> Receipt | None:
        """The receipt of a request that was done, by the hash of its key."""
        ...

    async def answered(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a request was answered with."""
        ...

    def links(self, after: int, limit: int) -> list[tuple[int, Fact, str]]:
        """Number, fact and hash of facts numbered above `after`, at most so many, in order."""
        ...

    def head(self) -> tuple[int, str]:
        """Number and hash of the last fact."""
        ...

    def queue_stats(self) -> dict[str, tuple[int, datetime | None, int]]:
        """Per receiver: pending deliveries, the oldest of them, and dead ones."""
        ...


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What became of changed files: when the configuration was last taken over (None: not since the
    start), and since when a change of what is refused (`configuration`, `identities`)."""

    taken_over_at: datetime | None = None
    refused: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything an operation may touch. `live` says whether a daemon probes behind it.

    `probe` asks one configured endpoint now, without recording anything; None where nothing can probe.
    `settings` answers the settings in force now; `wake` tells the dispatcher that something is queued.
    `seen` answers the last probe of an endpoint, with the TLS of its last handshake; None: none yet.
    `identities` are documents of the client material in use (`identity.identity_document`).
    """

    cycle: Cycle
    clock: Clock
    settings: Callable[[], Settings]
    store: Store
    live: bool
    started_at: datetime
    wake: Callable[[], None] = lambda: None
    probe: Callable[[str], Awaitable[Evidence]] | None = None
    warnings: Callable[[], Sequence[str]] = tuple
    seen: Callable[[str], Evidence | None] = lambda _: None
    identities: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    upkeep: Callable[[], Upkeep] = Upkeep
