"""One change at a time: judge, record, correlate, step the incidents, queue alerts.

A change is worked out on a branch of the Book, made durable in one transaction with everything it
causes, and only then becomes visible. What was seen while the store cannot be written waits in
bounded memory and is written when it can be.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from monitor.core import alert
from monitor.core.alert import Event, Notice
from monitor.core.attribution import Comparison
from monitor.core.book import Book
from monitor.core.endpoint import Endpoint
from monitor.core.fact import Fact
from monitor.core.lifecycle import not_ready
from monitor.core.month import Month, show_instant
from monitor.core.outage import Class
from monitor.core.verdict import Evidence, Observation, Reason, Result, Verdict, judge
from monitor.errors import StoreUnwritable
from monitor.ports import Change, Clock, Ledger, OutageRow, Receipt, Sample, SpanRow, Telemetry

T = TypeVar("T")

SPOOL = 200_000
"""Observations kept while the store cannot be written; then the oldest are lost, and counted."""
BATCH = 2_000
"""Observations in one change at most, so that a full spool never holds up the event loop."""
HOUSEKEEPING = timedelta(minutes=1)
"""How often reminders, budgets and burn rates are looked at."""
LATELY = timedelta(hours=1)
"""How long after an outage its endpoint's budget is still looked at."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to say what, and to whom: `wants` has the types of events of a receiver that wants not all."""

    receivers: tuple[str, ...] = ()
    wants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    upcoming: timedelta = timedelta(hours=24)
    completion_after: timedelta = alert.COMPLETION_AFTER
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
        `sealing` is held by whoever seals months, as that takes many turns of the loop.
        """
        self.book = book
        self.policy = policy
        self._ledger = ledger
        self._clock = clock
        self._telemetry = telemetry
        self.on_change = on_change
        self.hurry = hurry
        self._turn = asyncio.Lock()
        self.sealing = asyncio.Lock()
        self._spool: deque[Sample] = deque()
        self._untold: dict[str, Notice] = {}
        self._lost = 0
        self._failing_since: datetime | None = None
        beginning = datetime.min.replace(tzinfo=UTC)
        self._waits = _Waits(beginning, beginning, _standing_causes(book))
        self._comparisons: dict[str, Comparison] = {}
        self._held: dict[tuple[str, datetime], Sample] = {}
        self._witnesses = witnesses
        self._compare()

    @property
    def store_failing_since(self) -> datetime | None:
        """Since when the store cannot be written; None while it can."""
        return self._failing_since

    # -- observations --------------------------------------------------------------------------

    def _compare(self) -> None:
        """Prepare to compare the endpoints of each identity; nothing is held back any more."""
        members: dict[str, list[Endpoint]] = {}
        for endpoint in self.book.register.endpoints.values():
            members.setdefault(endpoint.identity, []).append(endpoint)
        self._comparisons = {
            identity: Comparison.of(group, has_witness=identity in self._witnesses)
            for identity, group in members.items()
        }
        self._held = {}

    def witness_wanted(self) -> list[tuple[str, Reason]]:
        """(identity, reason) of the failures about which a witness should be asked now."""
        return [
            (identity, reason)
            for identity, comparison in self._comparisons.items()
            if (reason := comparison.wants_witness) is not None
        ]

    async def testify(self, identity: str, *, alike: bool) -> None:
        """Take in what a witness showed; of an identity no longer used it is worth nothing."""
        comparison = self._comparisons.get(identity)
        if comparison is not None:
            await self._record(self._released(comparison.testify(alike=alike)))

    async def take(self, seen: Iterable[tuple[Endpoint, Evidence]]) -> None:
        """Judge and record what probes saw, in order of arrival."""
        ready: list[Sample] = []
        findings: list[tuple[Endpoint, Evidence, Verdict]] = []
        for endpoint, evidence in seen:
            known = self.book.register.endpoints.get(endpoint.id)
            if known is None:
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
            comparison = self._comparisons[known.identity]
            ready.extend(self._released(comparison.offer(sample.observation)))
        await self._record(ready, [_finding(*item, self._clock.now()) for item in findings])

    def _released(self, decided: Iterable[Observation]) -> list[Sample]:
        """The samples of decided observations; those found to be our own fault say so."""
        return [
            replace(self._held.pop((seen.endpoint, seen.at)), observation=seen) for seen in decided
        ]

    async def _record(self, samples: Iterable[Sample], notices: Iterable[Notice] = ()) -> None:
        """Spool these, and write unless the store is known to refuse: then `sweep` tries again."""
        self._spool.extend(samples)
        for notice in notices:
            self._untold.setdefault(notice.once, notice)
        async with self._turn:
            if self._failing_since is None:
                await _to_the_end(self._drain())
            else:
                self._refused()

    async def _drain(self) -> None:
        """Write what is spooled, if the store can be written."""
        try:
            await self._write_spooled()
        except StoreUnwritable:
            self._refused()

    def _refused(self) -> None:
        """Keep what waits, as far as there is room, and say that the store cannot be written."""
        self._failing_since = self._failing_since or self._clock.now()
        while len(self._spool) > SPOOL:
            self._spool.popleft()
            self._lost += 1
        self._telemetry.store_failing(True, len(self._spool), self._lost)

    async def _write_spooled(self) -> None:
        """Write what is spooled, in order, and that the store failed if it did.

        Raises StoreUnwritable; what was not written is still spooled then.
        """
        while self._spool or self._untold or self._failing_since is not None:
            batch = tuple(islice(self._spool, BATCH))
            told = dict(self._untold) if len(batch) == len(self._spool) else {}
            notices = [*self._own_faults(batch), *told.values()]
            recovers = self._failing_since is not None and len(batch) == len(self._spool)
            if recovers:
                notices.append(self._recovery())
            await self._apply(samples=batch, notices=notices)
            for _ in batch:
                self._spool.popleft()
            for once in told:
                del self._untold[once]
            if recovers:
                self._telemetry.store_failing(False, 0, self._lost)
                self._failing_since, self._lost = None, 0
            self._hurry(batch)

    def _hurry(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            name = sample.observation.endpoint
            if name in self.book.register.endpoints and self.book.track(name).hurried:
                self.hurry(name)

    def _recovery(self) -> Notice:
        """That the store could not be written, since when, and what was lost by it."""
        assert self._failing_since is not None
        since = show_instant(self._failing_since)
        data = {"reason": Reason.LOCAL_STORE.value, "since": since, "lost": self._lost}
        event = Event(self._clock.now(), "monitor.local_fault", "monitor", data)
        return Notice(f"local_store {since}", event)

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

    async def learn(
        self,
        facts: Sequence[Fact],
        events: Sequence[Event] = (),
        receipt: Receipt | None = None,
    ) -> list[Fact]:
        """Record facts with all they cause; answers with those. Visible once kept.

        The receipt of the request that told them is kept with them.
        Raises UsageError (then nothing changed) or StoreUnwritable (then nothing was kept).
        """
        async with self._turn:
            return await _to_the_end(self._apply(facts=facts, events=events, receipt=receipt))

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Queue notices that were not given before. Raises StoreUnwritable."""
        async with self._turn:
            await _to_the_end(self._apply(notices=notices))

    async def replace_book(
        self, book: Book, facts: Sequence[Fact], witnesses: Collection[str] = ()
    ) -> None:
        """Go on with a Book of another configuration; `facts` record the change.

        They are dated when it is made. Raises StoreUnwritable; the old Book then stays.
        """
        async with self._turn:
            await _to_the_end(self._replace_book(book, facts, witnesses))

    async def _replace_book(
        self, book: Book, facts: Sequence[Fact], witnesses: Collection[str]
    ) -> None:
        await self._settle()
        now = self._clock.now()
        book.inherit(self.book, now)
        await self._ledger.commit(Change(facts=[replace(fact, at=now) for fact in facts]))
        self.book = book
        self._witnesses = witnesses
        self._compare()
        self._waits.boundaries = []
        self._waits.withheld |= _standing_causes(book)

    async def _settle(self) -> None:
        """Record all that was seen, and what was still being compared as it was seen."""
        self._spool.extend(sorted(self._held.values(), key=lambda sample: sample.observation.at))
        self._compare()
        await self._write_spooled()

    async def flush(self) -> None:
        """Before an orderly end: record all that was seen. Raises StoreUnwritable."""
        async with self._turn:
            await _to_the_end(self._settle())

    # -- time ----------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Do what the passing of time calls for; to be called about once a second."""
        now = self._clock.now()
        for comparison in self._comparisons.values():
            self._spool.extend(self._released(comparison.lapse(now)))
        async with self._turn:
            await _to_the_end(self._sweep(now))

    async def _sweep(self, now: datetime) -> None:
        await self._drain()
        if self._failing_since is not None:
            return
        crossed = self._crossed(now)
        thorough = crossed or now - self._waits.housekept >= HOUSEKEEPING
        causes = set(self._waits.withheld) | (self.book.causes_open(now) if crossed else set())
        try:
            await self._apply(causes=causes, thorough=thorough)
        except StoreUnwritable:
            self._refused()
            return
        self._waits.swept = now
        if thorough:
            self._waits.housekept = now

    def _crossed(self, now: datetime) -> bool:
        """Whether some judgement may have changed since the last sweep by time alone.

        A boundary is crossed once time is beyond it: only then is there an instant after it.
        """
        marks = self._waits.boundaries
        if not marks:
            marks = self._waits.boundaries = self.book.boundaries()
        return bisect_left(marks, now) > bisect_left(marks, self._waits.swept)

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
        receipt: Receipt | None = None,
    ) -> list[Fact]:
        """Work out one change on a branch, make it durable, then adopt it."""
        now = self._clock.now()
        upper = self.book.branch()
        samples, spans, outages = _observed(upper, samples)
        for fact in facts:
            upper.learn(fact)
        caused = upper.correlate(now, upper.touched | (causes or set()))
        if causes is not None:  # a sweep, which is when time alone is looked at
            caused += upper.overdue(now)
        told = [*events, *self._incident_events(upper, [*facts, *caused])]
        due = [*notices, *(self._due(upper, now) if thorough else ())]
        for notice in due:
            if not upper.was_noticed(notice.once):
                body = {"once": notice.once, "event": notice.event.type}
                caused.append(Fact(now, "notice", body))
                upper.learn(caused[-1])
                told.append(notice.event)
        if receipt is not None:
            receipt = replace(receipt, facts=tuple(facts))
        every = [*facts, *caused]
        receivers, wants = self.policy.receivers, self.policy.wants
        change = Change(samples, every, spans, outages, told, receivers, wants, receipt)
        if samples or change.facts or told or receipt:
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
            for due in (alert.report_due, alert.update_due):
                notice = due(record, now, every=self.policy.report_reminder)
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
        found.extend(not_ready(book, now))
        return found


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await work that must not be left half done; a cancellation is raised once it is over.

    Whoever stops waiting for the store cannot know whether it kept the change.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        task.exception()  # what was not written is still known to be so
        raise


def _standing_causes(book: Book) -> set[str]:
    """The causes of incidents not closed: what was withheld about them is asked for again."""
    return {
        record.view.group
        for record in book.records.values()
        if record.standing and record.closed_at is None
    }


def _observed(
    book: Book, samples: Iterable[Sample]
) -> tuple[list[Sample], list[SpanRow], list[OutageRow]]:
    """Let a book observe: the samples that are to be kept, and the rows of what they settled.

    Not kept is what would be ignored: of an endpoint that was taken out of the configuration
    meanwhile, or not later than its last observation. So what is kept always derives what is known.
    """
    kept: list[Sample] = []
    spans: list[SpanRow] = []
    outages: dict[tuple[str, datetime], OutageRow] = {}
    for sample in samples:
        name = sample.observation.endpoint
        if name not in book.register.endpoints:
            continue
        last = book.track(name).last
        if last is not None and sample.observation.at <= last.at:
            continue
        kept.append(sample)
        settled = book.observe(sample.observation)
        for span in settled.spans:
            spans.append(SpanRow(name, span.start, span.end, span.state.value))
        found = settled.outage
        if found is not None:
            row = OutageRow(name, found.start, found.confirmed_at, found.end)
            outages[name, found.start] = row
    return kept, spans, list(outages.values())


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
    """Budgets spent and budgets burning fast, of endpoints that fail now or did lately."""
    found: list[Notice | None] = []
    month = Month.of(now, book.rules.zone)
    windows = {window for rule in alert.BURN_RULES for window in rule[:2]}
    for series in book.accounted_endpoints():
        assert series.endpoint is not None
        outages = book.endpoint_outages(series.endpoint)
        if not outages or (outages[-1].end or now) < now - LATELY:
            continue
        account = book.account(series, month, now)
        found.append(alert.budget_notice(series.endpoint, month, account, now))
        if outages[-1].end is None:
            rates = {window: book.burn_rate(series, window, now) for window in windows}
            found.append(alert.burn_notice(series.endpoint, rates, now, outages[-1].start))
    return [notice for notice in found if notice is not None]
