"""A desk to work at: a real Book, cycle and store under a clock that goes where it is put."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from monitor.adapters.store import SqliteStore
from monitor.config import Settings, load
from monitor.core.book import Book
from monitor.core.endpoint import Endpoint
from monitor.core.verdict import Evidence, Observation, Reason, Result, Verdict
from monitor.cycle import Cycle, Policy
from monitor.desk import Desk
from monitor.ports import Change, OutageRow, Sample, SpanRow
from tests.fakes import MemoryStore

Store = MemoryStore | SqliteStore

ANNA = "816f82b5-8e4f-407b-8c54-afb179c4af5a"
BERT = "0d4ef3b2-6f0e-4f65-9d0c-5a4c6a0a1b2c"
CARL = "5b2f1c44-35a1-4c57-8a43-fd7b2f0f9a10"
START = datetime(2026, 3, 10, 9, tzinfo=UTC)
"""A Tuesday, 09:00 in London too."""

CONFIGURATION = f"""\
organisation: {{name: Example Administration Ltd, connection: federated}}
identities:
  live: {{pack: live}}
endpoints:
  - {{id: find-main, service: find, url: "https://one.example/find", identity: live,
     connected_from: 2026-01-01, group: one}}
  - {{id: view-main, service: view, url: "https://one.example/view", identity: live,
     connected_from: 2026-01-01, group: one}}
  - {{id: view-test, service: view, url: "https://test.example/view", identity: live,
     environment: test, group: test}}
holdernames:
  - {{guid: {ANNA}, name: Anna, serves: [{{endpoints: [find-main, view-main], from: 2026-01-01}}]}}
  - {{guid: {BERT}, name: Bert, serves: [{{endpoints: [view-main], from: 2026-01-01}}]}}
  - {{guid: {CARL}, name: Carl, serves: [{{endpoints: [find-main], from: 2026-01-01,
     until: 2026-02-01}}]}}
alerts:
  webhooks:
    - {{name: ops, url: "https://hooks.example/x", secret_file: hook.secret}}
    - {{name: boss, url: "https://hooks.example/y", secret_file: hook.secret}}
"""


class SetClock:
    """A clock that goes where it is put."""

    def __init__(self, now: datetime = START) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


class Deaf:
    """Telemetry that counts nothing."""

    def probed(self, endpoint: Endpoint, evidence: Evidence, verdict: Verdict) -> None: ...

    def slot(self, outcome: str, lateness: float) -> None: ...

    def loop_lag(self, seconds: float) -> None: ...

    def clock_stepped(self, seconds: float) -> None: ...

    def store_failing(self, failing: bool, spooled: int, lost: int) -> None: ...


def read_settings(folder: Path, text: str = CONFIGURATION) -> Settings:
    path = folder / "monitor.yaml"
    path.write_text(text, encoding="utf-8")
    easter = frozenset({date(2026, 4, 3), date(2026, 4, 6)})
    return load(path, environ={}, bank_holidays=lambda _: easter)


def book_of(settings: Settings) -> Book:
    return Book(settings.rules, settings.endpoints, settings.holdernames)


class Place:
    """A desk with all that stands behind it."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        live: bool = True,
        receivers: tuple[str, ...] = ("ops", "boss"),
    ) -> None:
        self.settings, self.store, self.clock = settings, store, SetClock()
        self.woken = 0
        policy = Policy(receivers=receivers)
        self.cycle = Cycle(book_of(settings), store, self.clock, Deaf(), policy)
        self.desk = Desk(
            self.cycle,
            self.clock,
            lambda: self.settings,
            store,
            live,
            START,
            wake=self._wake,
            warnings=lambda: ["the moon is full"],
        )

    def _wake(self) -> None:
        self.woken += 1

    @property
    def book(self) -> Book:
        return self.cycle.book

    async def see(self, endpoint: str, result: str, until: datetime) -> None:
        """Let an endpoint be probed every 30 s, from now to `until`, the clock going along."""
        samples: list[Sample] = []
        spans: list[SpanRow] = []
        outages: list[OutageRow] = []
        reason = Reason.OK if result == "up" else Reason.STATUS_5XX
        upper = self.book.branch()
        while self.clock.time < until:
            seen = Observation(endpoint, self.clock.time, Result(result), reason)
            samples.append(Sample(seen, 12_500, 200 if result == "up" else 503))
            settled = upper.observe(seen)
            spans.extend(
                SpanRow(endpoint, span.start, span.end, span.state.value) for span in settled.spans
            )
            if settled.outage is not None:
                found = settled.outage
                outages.append(OutageRow(endpoint, found.start, found.confirmed_at, found.end))
            self.clock.time += timedelta(seconds=30)
        last = {(row.endpoint, row.start): row for row in outages}
        caused = upper.correlate(self.clock.time, upper.touched)
        await self.store.commit(Change(samples, caused, spans, list(last.values())))
        self.book.adopt(upper)

    def rebuilt(self) -> Book:
        """A Book that knows only what the store kept."""
        book = book_of(self.settings)
        for sample in self.store.iter_observations():
            book.observe(sample.observation)
        for _, fact in self.store.facts():
            book.learn(fact)
        return book
