"""What the pages ask, with a real Book and real telemetry, filled by observations."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from monitor.config import Settings
from monitor.core.book import Book
from monitor.core.endpoint import Cadence, Endpoint, Environment, Expectation, Service
from monitor.core.fact import Fact
from monitor.core.rules import Rules
from monitor.core.verdict import (
    CertificateFacts,
    Evidence,
    Observation,
    Phases,
    Reason,
    Result,
    TlsFacts,
    judge,
)
from monitor.desk import Desk
from monitor.errors import StoreError
from monitor.operations import perform
from monitor.snapshot import Document
from monitor.web.metrics import Metrics
from monitor.web.telemetry import PrometheusTelemetry
from tests.rig import settings_of

EVERY = timedelta(seconds=30)
CADENCE = Cadence(EVERY, timedelta(seconds=15), timedelta(seconds=5), 3, 2, timedelta(seconds=75))
EXPECTATION = Expectation("GET", frozenset({400, 401, 404}), timedelta(seconds=10), ())
START = datetime(2026, 11, 2, tzinfo=UTC)


def endpoint(
    name: str,
    service: Service = Service.VIEW,
    environment: Environment = Environment.LIVE,
    connected_from: date | None = date(2026, 9, 1),
) -> Endpoint:
    return Endpoint(
        name,
        service,
        f"https://{name.lower()}.example/path",
        environment,
        "live",
        f"{name.lower()}.example",
        CADENCE,
        EXPECTATION,
        connected_from,
    )


def certificate(not_after: datetime) -> CertificateFacts:
    return CertificateFacts("CN=a", "CN=b", "01", START, not_after, ("a.example",), "00" * 32)


LEAF = certificate(datetime(2027, 1, 1, tzinfo=UTC))
ISSUER = certificate(datetime(2026, 12, 1, tzinfo=UTC))


def evidence(name: str, status: int | None = 404, failure: Reason | None = None) -> Evidence:
    if failure is not None:
        return Evidence(name, START, 0.02, failure, "no", phases=Phases(dns=0.002, connect=0.018))
    return Evidence(
        name,
        START,
        0.05,
        status=status,
        phases=Phases(0.002, 0.003, 0.02, 0.024, 0.001),
        tls=TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", (LEAF, ISSUER)),
    )


@dataclass
class SetClock:
    """A clock that stands where it is set."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@dataclass
class Queue:
    """What waits for delivery; with `trouble` it cannot be read."""

    stats: dict[str, tuple[int, datetime | None, int]] = field(default_factory=dict)
    trouble: StoreError | None = None

    def queue_stats(self) -> dict[str, tuple[int, datetime | None, int]]:
        if self.trouble is not None:
            raise self.trouble
        return self.stats


@dataclass(eq=False)
class HeldBook:
    book: Book


@dataclass
class Shown:
    """An identity in use."""

    name: str
    leaf: CertificateFacts
    chain: tuple[CertificateFacts, ...]


@dataclass
class Identities:
    identities: Sequence[Shown] = (Shown("live", LEAF, (ISSUER,)),)


@dataclass
class World:
    """What the pages ask, with a real Book and real telemetry."""

    cycle: HeldBook
    clock: SetClock
    store: Queue
    telemetry: PrometheusTelemetry
    started_at: datetime = START
    probe: Callable[[str], Awaitable[Evidence]] | None = None
    contexts: Identities = field(default_factory=Identities)

    @property
    def book(self) -> Book:
        return self.cycle.book

    def settings(self) -> Settings:
        return settings_of(self.book.register.endpoints.values())

    async def ask(
        self, operation: str, arguments: Mapping[str, Any], author: str, **more: Any
    ) -> Document:
        """What the pages are made of: the real operations, at a desk over this world."""
        desk: Any = Desk(
            self.cycle,  # type: ignore[arg-type]
            self.clock,
            self.settings,
            self.store,  # type: ignore[arg-type]
            True,
            self.started_at,
        )
        return await perform(desk, operation, arguments, author=author, **more)

    def metrics(self) -> Metrics:
        return Metrics(self, self.telemetry, self.contexts)

    def observe(self, name: str, results: str, start: datetime | None = None) -> None:
        """One observation every 30 s: `u` up, `i` impaired, `d` down, `l` local."""
        at = start or self.clock.at
        upper = self.book.branch()
        for letter in results:
            upper.observe(Observation(name, at, *LETTERS[letter]))
            at += EVERY
        self.book.adopt(upper)
        self.clock.at = max(self.clock.at, at)

    def learn(self, type_: str, at: datetime, /, **body: Any) -> None:
        upper = self.book.branch()
        upper.learn(Fact(at, type_, body))
        self.book.adopt(upper)

    def correlate(self) -> None:
        upper = self.book.branch()
        upper.correlate(self.clock.at, {one.group for one in upper.register.endpoints.values()})
        self.book.adopt(upper)

    def probed(self, name: str, seen: Evidence) -> None:
        known = self.book.register.endpoints[name]
        self.telemetry.probed(known, seen, judge(seen, known.expectation))


LETTERS = {
    "u": (Result.UP, Reason.OK),
    "i": (Result.IMPAIRED, Reason.SLOW),
    "d": (Result.DOWN, Reason.CONNECT_REFUSED),
    "l": (Result.LOCAL, Reason.LOCAL_DNS),
}


def make_world(endpoints: Sequence[Endpoint], rules: Rules | None = None) -> World:
    book = Book(rules or Rules(), endpoints, [])
    return World(HeldBook(book), SetClock(START), Queue(), PrometheusTelemetry())
