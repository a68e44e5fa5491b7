"""One change at a time: judge, record, correlate, step the incidents, queue alerts.

A change is worked out on a branch of the Book, made durable in one transaction with everything it
causes, and only then becomes visible. What was seen while the store cannot be written waits in bounded
memory and is written when it can be.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from monitor.core import alert
from monitor.core.alert import Event, Notice
from monitor.core.attribution import Comparison
from monitor.core.book import Book
from monitor.core.endpoint import Endpoint
from monitor.core.fact import Fact
from monitor.core.month import Month, show_instant
from monitor.core.outage import Class
from monitor.core.verdict import Evidence, Observation, Reason, Result, Verdict, judge
from monitor.errors import StoreUnwritable
from monitor.ports import Change, Clock, Ledger, OutageRow, Sample, SpanRow, Telemetry

SPOOL = 200_000
"""Observations kept while the store cannot be written; then the oldest are lost, and counted."""
HOUSEKEEPING = timedelta(minutes=1)
"""How often reminders, budgets and burn rates are looked at."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to say what; from the configuration's `alerts`."""

    receivers: tuple[str, ...] = ()
    upcoming: timedelta = timedelta(hours=24)
    completion_after: timedelta = timedelta(hours=2)
    report_reminder: timedelta = timedelta(hours=1)


@dataclass(slots=True)
class _Waits:
    """What the passing of time alone has yet to bring."""

    swept: datetime
    housekept: datetime
    withheld: set[str] = field(default_factory=set)
    boundaries: list[datetime] = field(default_factory=list)


class Cycle:
    """Owns the Book. Every change of what is known goes through here, one after another."""

    def __init__(
        self,
        book: Book,
        ledger: Ledger,
        clock: Clock,
        telemetry: Telemetry,
        policy: Policy,
        *,
        on_change: Callable[[], None] = lambda: None,
        hurry: Callable[[str], None] = lambda endpoint: None,
        witnesses: Collection[str] = (),
    ) -> None:
        """`on_change` is called after each commit that changed a judgement or queued an alert;
        `hurry` for endpoints to be re-probed soon. `witnesses` are the identities that have one.
        """
        self.book = book
        self.policy = policy
        self._ledger = ledger
        self._clock = clock
        self._telemetry = telemetry
        self.on_change = on_change
        self.hurry = hurry
        self._turn = asyncio.Lock()
        self._spool: deque[Sample] = deque()
        self._lost = 0
        self._failing_since: datetime | None = None
        beginning = datetime.min.replace(tzinfo=UTC)
        self._waits = _Waits(beginning, beginning)
        self._comparisons: dict[str, Comparison] = {}
        self._held: dict[tuple[str, datetime], Sample] = {}
        self._compare(witnesses)

    @property
    def store_failing_since(self) -> datetime | None:
        """Since when the store cannot be written; None while it can."""
        return self._failing_since

    # -- observations --------------------------------------------------------------------------

    def _compare(self, witnesses: Collection[str]) -> None:
        """Prepare to compare the endpoints of each identity."""
        members: dict[str, list[Endpoint]] = {}
        for endpoint in self.book.register.endpoints.values():
            members.setdefault(endpoint.identity, []).append(endpoint)
        self._comparisons = {
            identity: Comparison.of(group, has_witness=identity in witnesses)
            for identity, group in members.items()
        }

    def witness_wanted(self) -> list[tuple[str, Reason]]:
        """(identity, reason) of the failures about which a witness should be asked now."""
        return [
            (identity, reason)
            for identity, comparison in self._comparisons.items()
            if (reason := comparison.wants_witness) is not None
        ]

    async def testify(self, identity: str, *, alike: bool) -> None:
        """Take in what a witness showed."""
        await self._record(self._released(self._comparisons[identity].testify(alike=alike)))

    async def take(self, seen: Iterable[tuple[Endpoint, Evidence]]) -> None:
        """Judge and record what probes saw, in order of arrival."""
        ready: list[Sample] = []
        findings: list[tuple[Endpoint, Evidence, Verdict]] = []
        for endpoint, evidence in seen:
            if endpoint.id not in self.book.register.endpoints:
                continue  # taken out of the configuration while it was probed
            verdict = judge(evidence, endpoint.expectation)
            self._telemetry.probed(endpoint, evidence, verdict)
            if verdict.finding is not None:
                findings.append((endpoint, evidence, verdict))
            sample = Sample(
                Observation(endpoint.id, evidence.at, verdict.result, verdict.reason),
                round(evidence.duration * 1_000_000),
                evidence.status,
            )
            self._held[endpoint.id, evidence.at] = sample
            comparison = self._comparisons[endpoint.identity]
            ready.extend(self._released(comparison.offer(sample.observation)))
        await self._record(ready, [_finding(*item, self._clock.now()) for item in findings])

    def _released(self, decided: Iterable[Observation]) -> list[Sample]:
        """The samples of decided observations; those found to be our own fault say so."""
        return [
            replace(self._held.pop((seen.endpoint, seen.at)), observation=seen) for seen in decided
        ]

    async def _record(self, samples: Sequence[Sample], notices: Sequence[Notice] = ()) -> None:
        async with self._turn:
            self._spool.extend(samples)
            while len(self._spool) > SPOOL:
                self._spool.popleft()
                self._lost += 1
            if not self._spool and not notices:
                return
            waiting = tuple(self._spool)
            try:
                await self._apply(samples=waiting, notices=[*notices, *self._own_faults(waiting)])
            except StoreUnwritable:
                self._failing_since = self._failing_since or self._clock.now()
                self._telemetry.store_failing(True, len(self._spool), self._lost)
                return
            self._spool.clear()
            if self._failing_since is not None:
                await self._say_store_recovered()
        for sample in waiting:
            name = sample.observation.endpoint
            if name in self.book.register.endpoints and self.book.track(name).hurried:
                self.hurry(name)

    async def _say_store_recovered(self) -> None:
        assert self._failing_since is not None
        since, lost = self._failing_since, self._lost
        self._failing_since, self._lost = None, 0
        self._telemetry.store_failing(False, 0, lost)
        data = {"reason": Reason.LOCAL_STORE.value, "since": show_instant(since), "lost": lost}
        event = Event(self._clock.now(), "monitor.local_fault", "monitor", data)
        notice = Notice(f"local_store {show_instant(since)}", event)
        await self._apply(notices=[notice])

    def _own_faults(self, samples: Iterable[Sample]) -> list[Notice]:
        """Own faults are told once an hour for each reason."""
        found: dict[str, Notice] = {}
        for sample in samples:
            seen = sample.observation
            if seen.result is Result.LOCAL:
                hour = show_instant(seen.at.replace(minute=0, second=0, microsecond=0))
                since = show_instant(seen.at)
                data = {"reason": seen.reason.value, "endpoint": seen.endpoint, "since": since}
                event = Event(self._clock.now(), "monitor.local_fault", "monitor", data)
                once = f"local_fault {seen.reason.value} {hour}"
                found.setdefault(once, Notice(once, event))
        return list(found.values())

    # -- facts ---------------------------------------------------------------------------------

    async def learn(self, facts: Sequence[Fact], events: Sequence[Event] = ()) -> list[Fact]:
        """Record facts with all they cause; answers with those. Nothing is visible before it is kept.

        Raises UsageError (then nothing changed) or StoreUnwritable (then nothing was kept).
        """
        async with self._turn:
            return await self._apply(facts=facts, events=events)

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Queue notices that were not given before."""
        async with self._turn:
            await self._apply(notices=notices)

    async def replace_book(
        self, book: Book, facts: Sequence[Fact], witnesses: Collection[str] = ()
    ) -> None:
        """Go on with a Book of another configuration; `facts` record the change."""
        async with self._turn:
            await self._flush_held()
            book.inherit(self.book, self._clock.now())
            await self._ledger.commit(Change(facts=facts))
            self.book = book
            self._compare(witnesses)
            self._waits.boundaries = []

    async def _flush_held(self) -> None:
        """Record what was still being compared, as it was seen."""
        if self._held:
            waiting = sorted(self._held.values(), key=lambda sample: sample.observation.at)
            await self._apply(samples=[*self._spool, *waiting])
            self._held.clear()
            self._spool.clear()

    async def flush(self) -> None:
        """Before an orderly end: record all that was seen. Raises StoreUnwritable."""
        async with self._turn:
            await self._flush_held()
            if self._spool:
                await self._apply(samples=tuple(self._spool))
                self._spool.clear()

    # -- time ----------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Do what the passing of time calls for; to be called about once a second."""
        now = self._clock.now()
        for comparison in self._comparisons.values():
            await self._record(self._released(comparison.lapse(now)))
        if self._spool:
            await self._record(())
        async with self._turn:
            crossed = self._crossed(now)
            thorough = crossed or now - self._waits.housekept >= HOUSEKEEPING
            causes = self.book.causes_open(now) if crossed else set(self._waits.withheld)
            try:
                await self._apply(causes=causes, thorough=thorough)
            except StoreUnwritable:
                return
            self._waits.swept = now
            if thorough:
                self._waits.housekept = now

    def _crossed(self, now: datetime) -> bool:
        """Whether some judgement may have changed since the last sweep by time alone."""
        marks = self._waits.boundaries
        if not marks:
            marks = self._waits.boundaries = self.book.boundaries()
        return bisect_right(marks, now) > bisect_right(marks, self._waits.swept)

    # -- the change itself ---------------------------------------------------------------------

    async def _apply(
        self,
        *,
        samples: Sequence[Sample] = (),
        facts: Sequence[Fact] = (),
        events: Sequence[Event] = (),
        notices: Sequence[Notice] = (),
        causes: set[str] | None = None,
        thorough: bool = False,
    ) -> list[Fact]:
        """Work out one change on a branch, make it durable, then adopt it."""
        now = self._clock.now()
        upper = self.book.branch()
        spans, outages = _observed(upper, samples)
        for fact in facts:
            upper.learn(fact)
        caused = upper.correlate(now, upper.touched | (causes or set()))
        caused += upper.overdue(now)
        told = [*events, *self._incident_events(upper, [*facts, *caused])]
        due = [*notices, *(self._due(upper, now) if thorough else ())]
        for notice in due:
            if not upper.was_noticed(notice.once):
                body = {"once": notice.once, "event": notice.event.type}
                caused.append(Fact(now, "notice", body))
                upper.learn(caused[-1])
                told.append(notice.event)
        change = Change(samples, [*facts, *caused], spans, outages, told, self.policy.receivers)
        if samples or change.facts or told:
            await self._ledger.commit(change)
        self.book.adopt(upper)
        self._waits.withheld = (self._waits.withheld - upper.settled_causes) | upper.withheld
        if facts:
            self._waits.boundaries = []
        if change.facts or outages or told:
            self.on_change()
        return caused

    def _incident_events(self, book: Book, facts: Iterable[Fact]) -> list[Event]:
        target = book.rules.restoration_target
        found = []
        for fact in facts:
            if fact.type.startswith("incident."):
                record = book.record(fact.body["id"])
                event = alert.incident_event(fact, record, target=target)
                if event is not None:
                    found.append(event)
        return found

    def _due(self, book: Book, now: datetime) -> list[Notice]:
        """The notices that time calls for: reminders, windows, budgets, burn rates."""
        found: list[Notice] = []
        for record in book.records.values():
            notice = alert.report_due(record, now, every=self.policy.report_reminder)
            if notice is not None:
                found.append(notice)
        overrunning = _overrunning(book, now)
        for declaration in book.calendar.declarations.values():
            found.extend(
                alert.downtime_notices(
                    declaration,
                    now,
                    book.rules,
                    upcoming=self.policy.upcoming,
                    completion_after=self.policy.completion_after,
                    failing=overrunning.get(declaration.id, ()),
                )
            )
        found.extend(_spending(book, now))
        return found


def _observed(book: Book, samples: Iterable[Sample]) -> tuple[list[SpanRow], list[OutageRow]]:
    """Let a book observe; the rows of what that settled."""
    spans: list[SpanRow] = []
    outages: dict[tuple[str, datetime], OutageRow] = {}
    for sample in samples:
        name = sample.observation.endpoint
        settled = book.observe(sample.observation)
        for span in settled.spans:
            spans.append(SpanRow(name, span.start, span.end, span.state.value))
        found = settled.outage
        if found is not None:
            row = OutageRow(name, found.start, found.confirmed_at, found.end)
            outages[name, found.start] = row
    return spans, list(outages.values())


def _finding(endpoint: Endpoint, evidence: Evidence, verdict: Verdict, now: datetime) -> Notice:
    """A security finding is told once a day for each endpoint."""
    day = evidence.at.date().isoformat()
    data = {
        "endpoint": endpoint.id,
        "finding": verdict.finding,
        "status": evidence.status,
        "request_id": evidence.request_id,
        "observed_at": show_instant(evidence.at),
    }
    event = Event(now, "security.finding", endpoint.id, data)
    return Notice(f"security.finding {endpoint.id} {verdict.reason.value} {day}", event)


def _overrunning(book: Book, now: datetime) -> dict[str, list[str]]:
    """The endpoints whose running outage has overrun a declaration, by declaration."""
    found: dict[str, list[str]] = {}
    for series in book.accounted_endpoints():
        assert series.endpoint is not None
        if book.track(series.endpoint).outage is None:
            continue
        for outage in book.outages(series, now):
            last = outage.parts[-1]
            if outage.open and last.cls is Class.OVERRUN and last.declaration is not None:
                found.setdefault(last.declaration, []).append(series.endpoint)
    return found


def _spending(book: Book, now: datetime) -> list[Notice]:
    """Budgets spent and budgets burning fast, of endpoints that are failing now."""
    found: list[Notice] = []
    month = Month.of(now, book.rules.zone)
    for series in book.accounted_endpoints():
        assert series.endpoint is not None
        outage = book.track(series.endpoint).outage
        if outage is None:
            continue
        spent = alert.budget_notice(series.endpoint, month, book.account(series, month, now), now)
        windows = {window for rule in alert.BURN_RULES for window in rule[:2]}
        rates = {window: book.burn_rate(series, window, now) for window in windows}
        burning = alert.burn_notice(series.endpoint, rates, now, outage.start)
        found.extend(notice for notice in (spent, burning) if notice is not None)
    return found
