"""Stand-ins that keep the promises of the real parts; the contract suites run over both."""

import asyncio
import selectors
import uuid
from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from monitor.core.alert import Event
from monitor.core.endpoint import Endpoint
from monitor.core.fact import Fact
from monitor.core.verdict import Evidence, Reason, Verdict
from monitor.errors import StoreUnwritable
from monitor.ports import Change, Clock, Delivery, OutageRow, Receipt, Sample, SpanRow

T = TypeVar("T")
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
STATES = {"up", "unconfirmed", "impaired", "down", "unknown"}


class MemoryStore:
    """The store's reading and writing, in memory. Set `broken` and it cannot be written."""

    def __init__(self) -> None:
        self.broken = False
        self.changes: list[Change] = []
        self._samples: dict[str, list[Sample]] = {}
        self._facts: list[Fact] = []
        self._spans: dict[str, list[SpanRow]] = {}
        self._outages: dict[tuple[str, datetime], OutageRow] = {}
        self._events: list[Event] = []
        self._deliveries: dict[int, Delivery] = {}
        self._due: dict[int, datetime] = {}
        self._receipts: dict[str, Receipt] = {}

    def close(self) -> None:
        """Nothing to close."""

    # Writing

    async def commit(self, change: Change) -> None:
        self._writable()
        spans = {endpoint: list(rows) for endpoint, rows in self._spans.items()}
        for span in change.spans:
            _put_span(spans, span)
        self._spans = spans
        for sample in change.samples:
            rows = self._samples.setdefault(sample.observation.endpoint, [])
            place = bisect_left(rows, sample.observation.at, key=_at)
            if place == len(rows) or _at(rows[place]) != sample.observation.at:
                rows.insert(place, sample)
        self._facts += change.facts
        for outage in change.outages:
            self._outages[outage.endpoint, outage.start] = outage
        for event in change.events:
            self._put_event(event, change.takers(event))
        if change.receipt is not None:
            self._receipts[change.receipt.key] = change.receipt
        self.changes.append(change)

    async def replace_derived(self, spans: Iterable[SpanRow], outages: Iterable[OutageRow]) -> None:
        self._writable()
        fresh: dict[str, list[SpanRow]] = {}
        for span in sorted(spans, key=lambda span: (span.endpoint, span.start)):
            _put_span(fresh, span)
        self._spans = fresh
        self._outages = {(outage.endpoint, outage.start): outage for outage in outages}

    def _put_event(self, event: Event, receivers: Sequence[str]) -> None:
        self._events.append(event)
        name = f"msg_{uuid.uuid4().hex}"
        for receiver in receivers:
            number = len(self._deliveries) + 1
            self._deliveries[number] = Delivery(
                number, receiver, name, event, 0, event.at, "pending", None
            )
            self._due[number] = event.at

    def _writable(self) -> None:
        if self.broken:
            raise StoreUnwritable("the store in memory was told to refuse writes; clear `broken`")

    # Reading

    def facts(self, after: int = 0) -> Iterator[tuple[int, Fact]]:
        yield from list(enumerate(self._facts, start=1))[after:]

    def observations(self, endpoint: str, start: datetime, end: datetime) -> list[Sample]:
        rows = self._samples.get(endpoint, [])
        return rows[bisect_left(rows, start, key=_at) : bisect_left(rows, end, key=_at)]

    def first_observations(
        self, endpoint: str, start: datetime, end: datetime, limit: int
    ) -> list[Sample]:
        return self.observations(endpoint, start, end)[:limit]

    def receipt(self, key: str) -> Receipt | None:
        return self._receipts.get(key)

    async def answered(self, key: str, answer: Mapping[str, Any]) -> None:
        self._writable()
        self._receipts[key] = replace(self._receipts[key], answer=answer)

    def links(self, after: int, limit: int) -> list[tuple[int, Fact, str]]:
        found = [(number, fact, _hash(number)) for number, fact in self.facts(after)]
        return found[:limit]

    def head(self) -> tuple[int, str]:
        return len(self._facts), _hash(len(self._facts))

    def observations_since(self, starts: Mapping[str, datetime]) -> list[Sample]:
        found: list[Sample] = []
        for endpoint, start in starts.items():
            for sample in self._samples.get(endpoint, []):
                if _at(sample) >= start:
                    insort(found, sample, key=_order)
        return found

    def iter_observations(
        self, start: datetime | None = None, end: datetime | None = None
    ) -> Iterator[Sample]:
        every = sorted((row for rows in self._samples.values() for row in rows), key=_order)
        for sample in every:
            if (start is None or start <= _at(sample)) and (end is None or _at(sample) < end):
                yield sample

    def spans(self, start: datetime | None = None) -> Iterator[SpanRow]:
        for _, rows in sorted(self._spans.items()):
            yield from (row for row in rows if start is None or row.end > start)

    def outages(self) -> Iterator[OutageRow]:
        for _, outage in sorted(self._outages.items()):
            yield outage

    def frontiers(self) -> dict[str, datetime]:
        return {endpoint: rows[-1].end for endpoint, rows in sorted(self._spans.items())}

    # The outbox

    async def due(self, receiver: str, now: datetime, limit: int) -> list[Delivery]:
        heads = self._heads(receiver)
        return [delivery for delivery in heads if self._due[delivery.id] <= now][:limit]

    async def next_due(self, receiver: str) -> datetime | None:
        return min((self._due[head.id] for head in self._heads(receiver)), default=None)

    async def delivered(self, delivery: Delivery, now: datetime) -> None:
        self._writable()
        stored = self._deliveries[delivery.id]
        if stored.state != "delivered":
            self._deliveries[delivery.id] = replace(
                stored, state="delivered", attempts=stored.attempts + 1
            )

    async def failed(
        self, delivery: Delivery, now: datetime, *, error: str, retry_at: datetime | None
    ) -> None:
        self._writable()
        stored = self._deliveries[delivery.id]
        if stored.state == "pending":
            state = "dead" if retry_at is None else "pending"
            self._deliveries[delivery.id] = replace(
                stored, state=state, attempts=stored.attempts + 1, last_error=error
            )
            self._due[delivery.id] = now if retry_at is None else retry_at

    async def dead(self) -> list[Delivery]:
        return [delivery for delivery in self._deliveries.values() if delivery.state == "dead"]

    async def resend(
        self, ids: Sequence[int], now: datetime, receipt: Receipt | None = None
    ) -> int:
        self._writable()
        dead = [number for number in ids if self._state(number) == "dead"]
        for number in dead:
            self._deliveries[number] = replace(
                self._deliveries[number], state="pending", attempts=0, first_at=now
            )
            self._due[number] = now
        if receipt is not None:
            told = Fact(now, "resent", {"resent": len(dead)})
            self._receipts[receipt.key] = replace(receipt, facts=(told,))
        return len(dead)

    def queue_stats(self) -> dict[str, tuple[int, datetime | None, int]]:
        stats = {}
        for receiver in sorted({delivery.receiver for delivery in self._deliveries.values()}):
            own = [row for row in self._deliveries.values() if row.receiver == receiver]
            pending = [row.first_at for row in own if row.state == "pending"]
            dead = sum(row.state == "dead" for row in own)
            if pending or dead:
                stats[receiver] = (len(pending), min(pending, default=None), dead)
        return stats

    def _heads(self, receiver: str) -> list[Delivery]:
        heads: dict[str, Delivery] = {}
        for delivery in self._deliveries.values():
            if delivery.receiver == receiver and delivery.state == "pending":
                heads.setdefault(delivery.event.key, delivery)
        return list(heads.values())

    def _state(self, number: int) -> str | None:
        found = self._deliveries.get(number)
        return None if found is None else found.state


def _hash(number: int) -> str:
    """Where the store has a chain, the fake has only numbers."""
    return f"{number:064x}"


def _put_span(spans: dict[str, list[SpanRow]], span: SpanRow) -> None:
    if span.state not in STATES:
        raise KeyError(span.state)
    rows = spans.setdefault(span.endpoint, [])
    if rows and rows[-1].end > span.start:
        raise ValueError(f"span of {span.endpoint} overlaps the one before")
    if rows and (rows[-1].end, rows[-1].state) == (span.start, span.state):
        rows[-1] = replace(rows[-1], end=span.end)
    else:
        rows.append(span)


def _at(sample: Sample) -> datetime:
    return sample.observation.at


def _order(sample: Sample) -> tuple[datetime, str]:
    return sample.observation.at, sample.observation.endpoint


@dataclass(slots=True)
class FakeClock:
    """Stands still until it is stepped by hand."""

    instant: datetime = START
    ticks: float = 1000.0

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.ticks

    def forward(self, duration: timedelta) -> None:
        """Let time pass on both clocks."""
        self.instant += duration
        self.ticks += duration.total_seconds()

    def set(self, instant: datetime) -> None:
        """Set the wall clock alone, as an administrator does."""
        self.instant = instant


class _LeapingSelector(selectors.DefaultSelector):
    """Never waits: the time it was to wait for has passed."""

    elapsed = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # A little passes at every look, as it does on a real clock.
        self.elapsed += 1e-9 + max(timeout or 0.0, 0.0)
        return super().select(None if timeout is None else 0)


class _LeapingLoop(asyncio.SelectorEventLoop):
    """An event loop on which nobody sleeps: time leaps to whatever is due next."""

    def __init__(self) -> None:
        self.leaping = _LeapingSelector()
        super().__init__(self.leaping)

    def time(self) -> float:
        return self.leaping.elapsed


class LoopClock:
    """Both clocks as the running loop has them; `stepped` puts the wall clock off."""

    def __init__(self) -> None:
        self.stepped = timedelta()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.monotonic() - 1000.0) + self.stepped

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def in_no_time(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a loop whose time is not real: an hour of sleep takes none."""
    with asyncio.Runner(loop_factory=_LeapingLoop) as runner:
        return runner.run(work)


def stall(seconds: float) -> None:
    """Hold up the loop of `in_no_time`, as a long computation would."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _LeapingLoop)
    loop.leaping.elapsed += seconds


@dataclass(slots=True)
class ScriptedProber:
    """Answers as told: per endpoint what comes next, else an answer that reads as up.

    A step is a status, or the reason why there was no answer. A probe of an endpoint in `hanging`
    waits until it is taken out by `release`, or cancelled. `most` says how many ran at once: by
    endpoint, by host, and of `all`.
    """

    clock: Clock
    steps: dict[str, deque[int | Reason]] = field(default_factory=lambda: defaultdict(deque))
    hanging: dict[str, asyncio.Event] = field(default_factory=dict)
    started: list[tuple[float, str]] = field(default_factory=list)
    running: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    most: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def hang(self, *endpoints: str) -> None:
        for name in endpoints:
            self.hanging[name] = asyncio.Event()

    def release(self, *endpoints: str) -> None:
        for name in endpoints:
            self.hanging.pop(name).set()

    async def probe(self, endpoint: Endpoint) -> Evidence:
        at, begun = self.clock.now(), self.clock.monotonic()
        self.started.append((begun, endpoint.id))
        self._count(endpoint, 1)
        try:
            if endpoint.id in self.hanging:
                await self.hanging[endpoint.id].wait()
        finally:
            self._count(endpoint, -1)
        step = self.steps[endpoint.id].popleft() if self.steps[endpoint.id] else 400
        duration = self.clock.monotonic() - begun
        if isinstance(step, Reason):
            return Evidence(endpoint.id, at, duration, failure=step)
        return Evidence(endpoint.id, at, duration, status=step)

    def _count(self, endpoint: Endpoint, change: int) -> None:
        for name in (endpoint.id, endpoint.host, "all"):
            self.running[name] += change
            self.most[name] = max(self.most[name], self.running[name])

    def starts(self, endpoint: str) -> list[float]:
        """When probes of an endpoint began, in seconds of the monotonic clock."""
        return [at for at, name in self.started if name == endpoint]


@dataclass(slots=True)
class NullTelemetry:
    """Counts nothing; remembers what it was told."""

    verdicts: list[tuple[str, Verdict]] = field(default_factory=list)
    slots: list[tuple[str, float]] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    store: list[tuple[bool, int, int]] = field(default_factory=list)

    def probed(self, endpoint: Endpoint, evidence: Evidence, verdict: Verdict) -> None:
        self.verdicts.append((endpoint.id, verdict))

    def slot(self, outcome: str, lateness: float) -> None:
        self.slots.append((outcome, lateness))

    def loop_lag(self, seconds: float) -> None:
        self.lags.append(seconds)

    def clock_stepped(self, seconds: float) -> None:
        self.steps.append(seconds)

    def store_failing(self, failing: bool, spooled: int, lost: int) -> None:
        self.store.append((failing, spooled, lost))

    def outcomes(self, outcome: str) -> int:
        """How many slots came out so."""
        return sum(1 for name, _ in self.slots if name == outcome)
