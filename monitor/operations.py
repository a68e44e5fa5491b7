"""What the command line and the HTTP API can ask and do: one table of operations on plain data.

Arguments and results are JSON values. Instants in arguments are texts, ISO 8601; without an offset
they are UK local time (the zone of the SLO). Instants in results are UTC with a `Z`. A write
answers with what it changed and `ok`; it is durable before it is visible.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from monitor import (
    __version__,
    declare,
    detail,
    findings,
    glance,
    paperwork,
    planning,
    ribbons,
    snapshot,
    why,
)
from monitor.core import returns
from monitor.core.alert import Event
from monitor.core.book import Book
from monitor.core.downtime import Declaration, Series
from monitor.core.endpoint import Environment, Service
from monitor.core.fact import Fact
from monitor.core.incident import IncidentState, Record
from monitor.core.interval import BEGINNING, MICROSECOND, Interval
from monitor.core.maps import take
from monitor.core.month import Month, civil, midnight, months_between, show_instant
from monitor.core.planning import Planning
from monitor.core.rules import RULES_VERSION
from monitor.core.security import finding_document
from monitor.core.timeline import State
from monitor.core.verdict import Observation
from monitor.cycle import Cycle
from monitor.declare import Budgets, Given, nearest
from monitor.desk import Desk
from monitor.errors import BadInstant, KeyReused, StoreError, UnknownName, UsageError
from monitor.jobs import approve_restatement
from monitor.ports import Change, Receipt
from monitor.snapshot import Document

__all__ = ["OPERATIONS", "Argument", "Document", "Operation", "Sort", "perform"]

_T = TypeVar("_T")
_R = TypeVar("_R")

AT_ONCE = 8
"""Series worked through between two looks at the time."""
SLICE = 0.003
"""Seconds of work after which probes get their turn again."""
LIMIT = 1_000
MOST_OBSERVATIONS = 10_000
ROWS = 50
MOST_ROWS = 200
"""Endpoints listed by `overview`: unless said otherwise, and at most."""
LONGEST_LOOK = timedelta(days=31)
LONGEST_SPANS = timedelta(days=400)
WEEKS, MOST_WEEKS = 8, 53
OVER = ("completed", "cancelled", "ended")
"""States of declarations that `downtime.list` shows only with `all`."""
PENDING = ("draft", "notified", "active")
"""States of declarations that can still be mended: only those carry warnings."""


class Sort(StrEnum):
    """What sort of JSON value an argument is."""

    TEXT = "text"
    NAMES = "list of texts"
    FLAG = "true or false"
    COUNT = "whole number"
    NUMBERS = "list of whole numbers"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument; None and absent are the same, and refused if `required`."""

    sort: Sort
    required: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way: the arguments as they came, and read.

    `receipt` is to be kept with what it records. `done`: it was done before, recorded those facts,
    and its answer was lost: it is answered again, and nothing is recorded.
    """

    desk: Desk
    now: datetime
    author: str
    arguments: Mapping[str, Any]
    given: Given = field(repr=False)
    receipt: Receipt | None = None
    done: Receipt | None = None

    @property
    def book(self) -> Book:
        return self.desk.cycle.book


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked or done. `write`: it records something."""

    name: str
    write: bool
    summary: str
    arguments: Mapping[str, Argument]
    run: Callable[[Call], Awaitable[Document]]


OPERATIONS: dict[str, Operation] = {}

TEXT, NAMES, FLAG = Argument(Sort.TEXT), Argument(Sort.NAMES), Argument(Sort.FLAG)
NEEDED, NEEDED_NAMES = Argument(Sort.TEXT, True), Argument(Sort.NAMES, True)
COUNT, NUMBERS = Argument(Sort.COUNT), Argument(Sort.NUMBERS)

_Run = Callable[[Call], Awaitable[Document]]


def _operation(
    name: str, summary: str, *, write: bool = False, **arguments: Argument
) -> Callable[[_Run], _Run]:
    def enter(run: _Run) -> _Run:
        OPERATIONS[name] = Operation(name, write, summary, arguments, run)
        return run

    return enter


_READERS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="operations")
"""Hung name look-ups fill the loop's default executor; reading the store must not wait for them."""
_TURNS: WeakKeyDictionary[Cycle, asyncio.Lock] = WeakKeyDictionary()
"""Writes of one cycle one after another, so that no two take the same next id."""


_MEMORIES: WeakKeyDictionary[Cycle, glance.Memory] = WeakKeyDictionary()
"""What the overviews of one cycle need not work out again."""


async def perform(
    desk: Desk,
    name: str,
    arguments: Mapping[str, Any],
    *,
    author: str,
    receipt: Receipt | None = None,
    before: Callable[[], Awaitable[None]] | None = None,
) -> Document:
    """Do one operation; the result is a JSON object.

    A write whose `receipt` is known already is answered as it was, and not done again. `before` is
    awaited when no other write can come between; what it raises stops the write. Raises UsageError
    (nothing was changed), StoreUnwritable (nothing was kept) or StoreError.
    """
    operation = OPERATIONS.get(name)
    if operation is None:
        hint = nearest(name, OPERATIONS)
        raise UnknownName(f'there is no operation "{name}"; {hint}')
    _check(operation, arguments)
    if not operation.write:
        return await operation.run(_call(desk, arguments, author))
    if not author.strip():
        raise UsageError(f"{name}: author: is missing; say who does this")
    async with _TURNS.setdefault(desk.cycle, asyncio.Lock()):
        try:
            return await _write(operation, _call(desk, arguments, author.strip()), receipt, before)
        finally:
            desk.wake()


async def _write(
    operation: Operation,
    call: Call,
    receipt: Receipt | None,
    before: Callable[[], Awaitable[None]] | None,
) -> Document:
    """Do a write, once for each receipt."""
    store = call.desk.store
    done = None if receipt is None else await _in_thread(partial(store.receipt, receipt.key))
    if done is not None and receipt is not None:
        if done.fingerprint != receipt.fingerprint:
            raise KeyReused(
                "this key was used for another request; give every request a key of its own"
            )
        if done.answer is not None:
            return dict(done.answer)
    elif before is not None:
        await before()
    document = await operation.run(replace(call, receipt=receipt, done=done))
    if receipt is not None:
        # What was done is kept; should this fail, it is only answered from the facts again.
        with suppress(StoreError):
            await store.answered(receipt.key, document)
    return document


def _memory(call: Call) -> glance.Memory:
    return _MEMORIES.setdefault(call.desk.cycle, glance.Memory())


def _call(desk: Desk, arguments: Mapping[str, Any], author: str) -> Call:
    given = Given(arguments, desk.cycle.book.rules.zone)
    return Call(desk, desk.clock.now(), author, arguments, given)


def _check(operation: Operation, arguments: Mapping[str, Any]) -> None:
    """Raise UsageError for an argument that is unknown, missing or of the wrong sort."""
    for key, value in arguments.items():
        known = operation.arguments.get(key)
        if known is None:
            hint = nearest(key, operation.arguments)
            raise UsageError(f'{operation.name}: there is no argument "{key}"; {hint}')
        if value is not None and not _FITS[known.sort](value):
            raise UsageError(f"{operation.name}: {key}: must be a {known.sort.value}")
    for key, known in operation.arguments.items():
        if known.required and arguments.get(key) is None:
            raise UsageError(f"{operation.name}: {key}: is missing; give it")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_FITS: Mapping[Sort, Callable[[object], bool]] = {
    Sort.TEXT: lambda value: isinstance(value, str),
    Sort.NAMES: lambda value: (
        isinstance(value, list) and all(isinstance(item, str) for item in value)
    ),
    Sort.FLAG: lambda value: isinstance(value, bool),
    Sort.COUNT: _is_count,
    Sort.NUMBERS: lambda value: isinstance(value, list) and all(map(_is_count, value)),
}


class _Build(Protocol):
    """A function of `declare` that makes the fact of a write."""

    def __call__(self, book: Book, given: Given, *, now: datetime, author: str) -> Fact: ...


class _BuildPlanned(Protocol):
    """A function of `declare` that also looks at change windows and freezes."""

    def __call__(
        self, book: Book, given: Given, *, now: datetime, author: str, planning: Planning
    ) -> Fact: ...


async def _record(call: Call, build: _Build) -> Fact:
    """Build the fact of a write and record it."""
    if call.done is not None:
        return call.done.facts[0]
    fact = build(call.book, call.given, now=call.now, author=call.author)
    await call.desk.cycle.learn([fact], receipt=call.receipt)
    return fact


async def _in_thread(read: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(_READERS, read)


async def _gently(
    items: Sequence[_T], work: Callable[[Sequence[_T]], list[_R]], *, at_once: int | None = None
) -> list[_R]:
    """Work through many items with pauses, so that probes are not late for it."""
    found: list[_R] = []
    step = at_once or AT_ONCE
    rested = time.perf_counter()
    for place in range(0, len(items), step):
        found += work(items[place : place + step])
        if time.perf_counter() - rested > SLICE:
            await asyncio.sleep(0)
            rested = time.perf_counter()
    return found


def _listed(call: Call, **rows: Any) -> Document:
    return {"rules": RULES_VERSION, "until": show_instant(call.now), **rows}


# -- status and figures ----------------------------------------------------------------------------


@_operation("status", "what is known now: endpoints, incidents, downtime, budget, alerts")
async def _status(call: Call) -> Document:
    desk, book, now = call.desk, call.book, call.now
    settings = desk.settings()
    queue = await _in_thread(desk.store.queue_stats)
    endpoints = await _gently(
        list(book.register.endpoints),
        lambda some: [snapshot.endpoint_document(book, name, now) for name in some],
    )
    return {
        **_standing_document(call),
        "endpoints": endpoints,
        "alerts": snapshot.queue_document(queue),
        "warnings": list(dict.fromkeys([*settings.warnings, *desk.warnings()])),
    }


def _standing_document(call: Call) -> Document:
    """Whose monitor it is, since when it watches, open incidents, and downtime that is not over."""
    desk, book, now = call.desk, call.book, call.now
    organisation = desk.settings().organisation
    connection = organisation.connection
    open_ones = [record for record in book.records.values() if _is_current(record)]
    declared = [
        _declaration(book, one, now)
        for one in book.calendar.declarations.values()
        if snapshot.declaration_state(one, book.rules, now) not in OVER
    ]
    return {
        "organisation": {
            "name": organisation.name,
            "connection": None if connection is None else connection.value,
        },
        "now": show_instant(now),
        "live": desk.live,
        "since": show_instant(desk.started_at),
        "incidents": [
            snapshot.record_document(record, book.rules, now) for record in _in_order(open_ones)
        ],
        "downtime": {
            "active": [one for one in declared if one["state"] == "active"],
            "upcoming": [one for one in declared if one["state"] in ("draft", "notified")],
            "completion_due": [one for one in declared if one["state"] == "completion_due"],
        },
    }


class _Standing(StrEnum):
    """How an endpoint may stand to be listed: one state, or any but up."""

    TROUBLE = "trouble"
    UP = "up"
    UNCONFIRMED = "unconfirmed"
    IMPAIRED = "impaired"
    DOWN = "down"
    UNKNOWN = "unknown"

    def includes(self, state: State) -> bool:
        return state is not State.UP if self is _Standing.TROUBLE else state == self.value


@_operation(
    "overview",
    "at a glance: what is down, what is owed, the month's budget, and endpoints, troubled first",
    service=TEXT,
    environment=TEXT,
    state=TEXT,
    text=TEXT,
    offset=COUNT,
    limit=COUNT,
)
async def _overview(call: Call) -> Document:
    book, now, memory = call.book, call.now, _memory(call)
    call.given.choice("service", Service)
    call.given.choice("environment", Environment)
    wanted = call.given.choice("state", _Standing)
    standings = await _gently(
        list(book.register.endpoints),
        lambda some: [memory.standing(book, name, now) for name in some],
    )
    live = [one for one in standings if one.verdict is not None]
    listed = sorted(
        (
            one
            for one in standings
            if (wanted is None or wanted.includes(one.state))
            and glance.matches(book, one.endpoint, call.arguments)
        ),
        key=glance.by_trouble,
    )
    offset, limit = _page(call)
    names = [one.endpoint for one in listed[offset : offset + limit]]
    rows = await _gently(
        names,
        lambda some: [glance.row_document(book, memory, name, now) for name in some],
        at_once=1,
    )
    since = glance.troubled_since(book, live, now)
    month = glance.month_document(book, live, now)
    return {
        "rules": RULES_VERSION,
        **_standing_document(call),
        "counts": {
            "live": glance.counts(live),
            "test": glance.counts(one for one in standings if one.verdict is None),
        },
        "unavailable_since": None if since is None else show_instant(since),
        "owed": glance.owed(book, now),
        "month": month,
        "matched": len(listed),
        "offset": offset,
        "limit": limit,
        "endpoints": rows,
    }


def _page(call: Call) -> tuple[int, int]:
    """The place of the first row asked for, and how many."""
    offset, limit = call.arguments.get("offset") or 0, call.arguments.get("limit")
    limit = ROWS if limit is None else limit
    if offset < 0:
        raise UsageError("offset: must be 0 or more")
    if not 1 <= limit <= MOST_ROWS:
        raise UsageError(f"limit: must be from 1 to {MOST_ROWS}")
    return offset, limit


@_operation("slo", "the account of a month", month=TEXT, by=TEXT, endpoint=TEXT)
async def _slo(call: Call) -> Document:
    month = _month(call) or Month.of(call.now, call.book.rules.zone)
    by = _by(call) or By.ENDPOINT
    book = call.book
    rows = await _gently(_which(call, by), snapshot.MonthRows(book, month, call.now).of)
    return _listed(call, months=rows)


@_operation(
    "slo.approve",
    "let a restatement that betters a sealed month count, as a second person",
    write=True,
    month=NEEDED,
    approved_by=NEEDED,
)
async def _approve(call: Call) -> Document:
    month = Month.parse(call.given.needed("month"), call.book.rules.zone)
    if call.done is not None:
        fact = call.done.facts[0]
    else:
        fact = await approve_restatement(
            call.desk.cycle,
            month,
            author=call.author,
            approved_by=call.given.needed("approved_by").strip(),
            now=call.now,
            receipt=call.receipt,
        )
    return {"ok": True, "at": show_instant(fact.at), **fact.body}


class By(StrEnum):
    """Whose figures: the endpoints', or those of each holdername and service."""

    ENDPOINT = "endpoint"
    HOLDERNAME = "holdername"


def _by(call: Call) -> By | None:
    return call.given.choice("by", By)


def _month(call: Call) -> Month | None:
    text = call.given.text("month")
    return None if text is None else Month.parse(text, call.book.rules.zone)


def _endpoint(call: Call) -> str | None:
    name = call.given.text("endpoint")
    if name is not None and name not in call.book.register.endpoints:
        hint = nearest(name, call.book.register.endpoints)
        raise UnknownName(f'endpoint: there is no endpoint "{name}" in the configuration; {hint}')
    return name


def _which(call: Call, by: By) -> list[Series]:
    """The accounted series asked for; of an endpoint, or of the holdernames it ever serves."""
    book, endpoint = call.book, _endpoint(call)
    if endpoint is not None and not book.register.endpoints[endpoint].live:
        raise UsageError(
            f"endpoint: {endpoint} is in the test environment: it is watched, never counted;"
            " name a live endpoint"
        )
    if by is By.ENDPOINT:
        every = book.accounted_endpoints()
        return [series for series in every if endpoint in (None, series.endpoint)]
    every = book.accounted_holdernames()
    if endpoint is None:
        return every
    service = book.register.endpoints[endpoint].service
    served = {guid for period in book.register.active(endpoint) for guid in period.names}
    return [series for series in every if series.service is service and series.holdername in served]


@_operation("month.list", "every month of the account: running, closed, sealed or restated")
async def _months(call: Call) -> Document:
    book = call.book
    starts = [part.start for series in snapshot.all_series(book) for part in book.eligible(series)]
    first = min([call.now, *starts])
    listed = months_between(first, call.now + MICROSECOND, book.rules.zone)
    rows = await _gently(
        list(listed),
        lambda some: [snapshot.sealing_document(book, month, call.now) for month in some],
        at_once=1,
    )
    return _listed(call, months=rows)


@_operation("slo.months", "the account of every month of an endpoint", endpoint=NEEDED, by=TEXT)
async def _slo_months(call: Call) -> Document:
    book, which = call.book, _which(call, _by(call) or By.ENDPOINT)
    months = {str(month): month for series in which[:1] for month in book.months(series, call.now)}
    rows: list[Document] = []
    for month in months.values():
        rows += await _gently(which, snapshot.MonthRows(book, month, call.now).of)
    return _listed(call, months=rows)


@_operation(
    "month.detail",
    "a month closely: seal, outages, incidents, and one endpoint minute by minute",
    month=NEEDED,
    endpoint=TEXT,
)
async def _month_detail(call: Call) -> Document:
    from monitor import monthly
    from monitor.report import content  # seldom needed

    book, now = call.book, call.now
    month = Month.parse(call.given.needed("month"), book.rules.zone)
    endpoint = _endpoint(call)
    chosen = None if endpoint is None else _which(call, By.ENDPOINT)[0]
    rows = await _gently(
        _every_outage_series(book), lambda some: content.outages(book, some, month, now)
    )
    return monthly.detail(book, month, chosen, now, monthly.numbered(rows))


# -- declarations of downtime ----------------------------------------------------------------------


def _declaration(book: Book, declaration: Declaration, now: datetime) -> Document:
    """A declaration with its notice; without warnings."""
    found = declare.judged(book, declaration, now)
    return {
        **snapshot.declaration_document(declaration, book.rules, now),
        "notice": snapshot.notice_document(found.notice, found.enough, found.notify_before),
    }


def _advised(call: Call, declaration: Declaration, budgets: Budgets) -> Document:
    """A declaration with, while it can still be mended, what to warn of."""
    book, now = call.book, call.now
    shown = _declaration(book, declaration, now)
    mendable = shown["state"] in PENDING
    policy = call.desk.settings().planning
    found = declare.advice(book, declaration, now, budgets, policy) if mendable else []
    return {**shown, "warnings": found}


async def _declarations(call: Call, *, everything: bool = False) -> list[Document]:
    book, now = call.book, call.now
    budgets = Budgets(book, now)
    chosen = [
        one
        for one in book.calendar.declarations.values()
        if everything or snapshot.declaration_state(one, book.rules, now) not in OVER
    ]
    return await _gently(
        chosen, lambda some: [_advised(call, one, budgets) for one in some], at_once=1
    )


async def _declared(call: Call, build: _BuildPlanned) -> Document:
    """Record a version of a declaration; not `ok` if its notice is too short."""
    shown = await _ended(call, partial(build, planning=call.desk.settings().planning))
    declaration = call.book.declaration(shown["id"])
    too_short = declare.judged(call.book, declaration, call.now).too_short
    return {**shown, "ok": not too_short}


async def _ended(call: Call, build: _Build) -> Document:
    """Record a step of a declaration; the warnings are those recorded with it."""
    fact = await _record(call, build)
    shown = _declaration(call.book, call.book.declaration(fact.body["id"]), call.now)
    return {"ok": True, **shown, "warnings": fact.body["warnings"]}


_SCOPE = {"endpoints": NAMES, "holdernames": NAMES, "services": NAMES}
_WINDOW = {
    **_SCOPE,
    "kind": TEXT,
    "notified_at": TEXT,
    "ticket": TEXT,
    "technical_change": TEXT,
    "change_class": TEXT,
    "override_freeze": TEXT,
}


@_operation(
    "downtime.plan",
    "would this window do? and which ones would",
    write=False,
    start=NEEDED,
    end=NEEDED,
    **_SCOPE,
)
async def _plan(call: Call) -> Document:
    policy = call.desk.settings().planning
    return await planning.plan(call.book, call.given, policy, now=call.now)


@_operation(
    "downtime.calendar",
    "the weeks to come: change windows, freeze, bank holidays, budget left; all that is declared",
    weeks=COUNT,
)
async def _calendar(call: Call) -> Document:
    weeks = call.arguments.get("weeks")
    weeks = WEEKS if weeks is None else weeks
    if not 1 <= weeks <= MOST_WEEKS:
        raise UsageError(f"weeks: must be from 1 to {MOST_WEEKS}")
    book, policy = call.book, call.desk.settings().planning
    shown = await planning.calendar(book, policy, weeks, now=call.now)
    declared = await _gently(
        list(book.calendar.declarations.values()),
        lambda some: [_declaration(book, one, call.now) for one in some],
    )
    return {**shown, "declarations": declared}


@_operation(
    "downtime.declare",
    "declare downtime: planned, emergency, or MaPS' own",
    write=True,
    start=NEEDED,
    end=NEEDED,
    reason=NEEDED,
    id=TEXT,
    **_WINDOW,
)
async def _declare(call: Call) -> Document:
    return await _declared(call, declare.declared)


@_operation(
    "downtime.notify",
    "record that MaPS was told of a draft, and its ticket reference",
    write=True,
    id=NEEDED,
    ticket=NEEDED,
    at=TEXT,
)
async def _notify(call: Call) -> Document:
    return await _declared(call, declare.notified)


@_operation(
    "downtime.amend",
    "change a declaration: what is given is changed, the rest kept",
    write=True,
    id=NEEDED,
    start=TEXT,
    end=TEXT,
    reason=TEXT,
    **_WINDOW,
)
async def _amend(call: Call) -> Document:
    return await _declared(call, declare.amended)


@_operation("downtime.cancel", "take a declaration back", write=True, id=NEEDED, reason=TEXT)
async def _cancel(call: Call) -> Document:
    return await _ended(call, declare.cancelled)


@_operation(
    "downtime.complete",
    "record that the work is done, with its actual start and end",
    write=True,
    id=NEEDED,
    actual_start=TEXT,
    actual_end=TEXT,
)
async def _complete(call: Call) -> Document:
    return await _ended(call, declare.completed)


@_operation(
    "downtime.import",
    "take MaPS' own downtime from its calendar; again and again, nothing doubles",
    write=True,
    calendar=NEEDED,
    format=NEEDED,
)
async def _import(call: Call) -> Document:
    from monitor.adapters.calendars import Format, read_calendar  # slow, and seldom needed

    form = call.given.choice("format", Format)
    assert form is not None
    text, zone = call.arguments["calendar"], call.book.rules.zone
    events = await _in_thread(partial(read_calendar, text, form, zone))
    known = call.book.calendar.declarations
    taken = [take(event, known, now=call.now, author=call.author) for event in events]
    if call.done is None:
        facts = [one.fact for one in taken if one.fact is not None]
        await call.desk.cycle.learn(facts, receipt=call.receipt)
    return {"ok": True, "events": [snapshot.taken_document(one) for one in taken]}


@_operation("downtime.list", "declarations that are not over, or all", all=FLAG)
async def _downtimes(call: Call) -> Document:
    everything = bool(call.arguments.get("all"))
    return _listed(call, declarations=await _declarations(call, everything=everything))


@_operation("downtime.show", "one declaration with every version", id=NEEDED)
async def _downtime(call: Call) -> Document:
    known = declare.known_declaration(call.book, call.given.needed("id"))
    shown = _advised(call, known, Budgets(call.book, call.now))
    counted = declare.noticed(call.book, known, call.now)
    return {**shown, "notice_days": snapshot.notice_days_document(counted)}


@_operation(
    "downtime.pack",
    "what to submit to MaPS about a declaration: form, GUIDs, comments due",
    id=NEEDED,
    expected_resolution=TEXT,
)
async def _downtime_pack(call: Call) -> Document:
    known = declare.known_declaration(call.book, call.given.needed("id"))
    return paperwork.downtime_pack(call.book, known, *_pack_arguments(call))


def _pack_arguments(call: Call) -> tuple[str, datetime, datetime | None]:
    name = call.desk.settings().organisation.name
    return name, call.now, call.given.instant("expected_resolution")


# -- endpoints --------------------------------------------------------------------------------------


@_operation("endpoint.list", "how every endpoint stands now")
async def _endpoints(call: Call) -> Document:
    rows = await _gently(
        list(call.book.register.endpoints),
        lambda some: [snapshot.endpoint_document(call.book, name, call.now) for name in some],
    )
    return _listed(call, endpoints=rows)


@_operation(
    "endpoint.show", "how an endpoint stands now, and how it is configured", endpoint=NEEDED
)
async def _show_endpoint(call: Call) -> Document:
    name = _endpoint(call)
    assert name is not None
    shown = snapshot.endpoint_document(call.book, name, call.now)
    return _listed(call, **shown, **snapshot.configured_document(call.book, name, call.now))


@_operation(
    "endpoint.spans",
    "the states of an endpoint, span by span; the last day unless said otherwise",
    endpoint=NEEDED,
    start=TEXT,
    end=TEXT,
)
async def _spans(call: Call) -> Document:
    name = _endpoint(call)
    assert name is not None
    start, end = _span(call, timedelta(days=1), LONGEST_SPANS)
    known = min(end, call.now)
    spans = (
        call.book.endpoint_states(name, Interval(start, known), call.now) if start < known else []
    )
    return {
        "endpoint": name,
        "start": show_instant(start),
        "end": show_instant(end),
        "spans": [snapshot.span_document(span) for span in spans],
    }


@_operation("endpoint.probe", "one probe now; nothing of it is recorded", endpoint=NEEDED)
async def _probe(call: Call) -> Document:
    name, ask = _endpoint(call), call.desk.probe
    assert name is not None
    if ask is None:
        raise UsageError("no daemon runs that could probe: use monitor probe, or monitor run")
    known = call.book.register.endpoints[name]
    shown = {one["name"]: one for one in call.desk.identities()}
    return snapshot.probe_document(known, await ask(name), shown.get(known.identity))


@_operation("endpoint.findings", "findings about changes and security that stand")
async def _findings(call: Call) -> Document:
    names = call.book.register.endpoints
    found = [one for name in names for one in call.book.security.standing(name)]
    return _listed(call, findings=[finding_document(one) for one in found])


@_operation("identity.list", "the client material in use: subjects, issuers, dates; never keys")
async def _identities(call: Call) -> Document:
    return {"identities": [dict(one) for one in call.desk.identities()]}


@_operation("holdername.list", "the holdernames, where each stands, and who serves it", at=TEXT)
async def _holdernames(call: Call) -> Document:
    register = call.book.register
    day, instant = _day(call)
    rows = await _gently(
        list(register.holdernames.values()),
        lambda some: [snapshot.holdername_document(one, register, instant) for one in some],
    )
    return {"at": day, "holdernames": rows}


@_operation(
    "holdername.import", "a table of holdernames as YAML for the configuration", mapping=NEEDED
)
async def _import_holdernames(call: Call) -> Document:
    from monitor.core.reconcile import mapping_yaml, read_mapping

    register, text = call.book.register, call.arguments["mapping"]
    found = await _in_thread(
        partial(read_mapping, text, "mapping", register.endpoints, register.holdernames)
    )
    return {"ok": True, "holdernames": len(found), "yaml": mapping_yaml(found)}


@_operation(
    "holdername.reconcile",
    "compare the mapping with an export of the register",
    register=NEEDED,
    at=TEXT,
)
async def _reconcile(call: Call) -> Document:
    from monitor.core.reconcile import read_register, reconcile

    day, instant = _day(call)
    entries = await _in_thread(partial(read_register, call.arguments["register"], "register"))
    found = await _in_thread(partial(reconcile, call.book.register, entries, instant))
    return snapshot.reconciled_document(day, len(entries), found)


def _day(call: Call) -> tuple[str, datetime]:
    """A UK date and its first instant; today's date and this instant if none is given."""
    text, zone = call.given.text("at"), call.book.rules.zone
    if text is None:
        return civil(call.now, zone).date().isoformat(), call.now
    try:
        return text, midnight(date.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        raise BadInstant(f'at: "{text}" is not a date; write it as YYYY-MM-DD') from None


@_operation("config.schema", "the JSON Schema of the configuration")
async def _config_schema(call: Call) -> Document:
    from monitor.config import json_schema

    return json_schema()


# -- the ledger ------------------------------------------------------------------------------------


@_operation("service", "how the monitor itself fares: alerts, configuration, store, ledger")
async def _service(call: Call) -> Document:
    desk, settings = call.desk, call.desk.settings()
    upkeep = desk.upkeep()
    queue = await _in_thread(desk.store.queue_stats)
    number, hashed = await _in_thread(desk.store.head)
    return {
        "now": show_instant(call.now),
        "version": __version__,
        "live": desk.live,
        "since": show_instant(desk.started_at),
        "alerts": snapshot.queue_document(queue),
        "configuration": {
            "digest": settings.digest,
            "rules_digest": settings.rules_digest,
            "taken_over_at": _shown(upkeep.taken_over_at),
            "refused": [
                {"what": what, "since": show_instant(since)}
                for what, since in sorted(upkeep.refused.items())
            ],
        },
        "store": {
            "path": str(settings.store.path),
            "retain_observations_s": snapshot.seconds(settings.store.retain_observations),
        },
        "ledger": {"seq": number, "hash": hashed},
        "warnings": list(dict.fromkeys([*settings.warnings, *desk.warnings()])),
    }


def _shown(at: datetime | None) -> str | None:
    return None if at is None else show_instant(at)


@_operation("ledger.head", "number and hash of the last fact")
async def _ledger_head(call: Call) -> Document:
    number, hashed = await _in_thread(call.desk.store.head)
    return {"seq": number, "hash": hashed}


@_operation("ledger.facts", "facts as they are chained, from a number on", after=COUNT, limit=COUNT)
async def _ledger_facts(call: Call) -> Document:
    after, limit = call.arguments.get("after") or 0, _limit(call)
    if not 0 <= after < 1 << 62:
        raise UsageError("after: must be the number of a fact, or 0 for the first")
    kept = await _in_thread(partial(call.desk.store.links, after, limit))
    return {"facts": [snapshot.link_document(*one) for one in kept]}


# -- acknowledging ---------------------------------------------------------------------------------


@_operation(
    "endpoint.acknowledge_change",
    "explain a change of an endpoint that was found, by its technical-change reference",
    write=True,
    id=NEEDED,
    reference=NEEDED,
)
async def _acknowledge_change(call: Call) -> Document:
    fact = await _record(call, findings.acknowledged)
    return {"ok": True, "at": show_instant(fact.at), **fact.body}


# -- outages ---------------------------------------------------------------------------------------


@_operation(
    "outage.list",
    "outages, those asserted among them",
    month=TEXT,
    endpoint=TEXT,
    by=TEXT,
)
async def _outages(call: Call) -> Document:
    book, now, month = call.book, call.now, _month(call)
    bounds = Interval(BEGINNING, now) if month is None else month.interval
    rows = await _gently(
        _outage_series(call),
        lambda some: [
            snapshot.outage_document(series, outage)
            for series in some
            for outage in book.outages(series, now, bounds)
        ],
    )
    assertions = [snapshot.assertion_document(one, now) for one in book.assertions.values()]
    return _listed(call, outages=rows, assertions=assertions)


def _outage_series(call: Call) -> list[Series]:
    """Without `by`: the endpoints, and the holdernames of which more is asserted."""
    by = _by(call)
    if by is not None:
        return _which(call, by)
    if "endpoint" in call.given:
        return _which(call, By.ENDPOINT)
    return _every_outage_series(call.book)


def _every_outage_series(book: Book) -> list[Series]:
    """The endpoints, and the holdernames of which more is asserted."""
    asserted = [
        series
        for series in book.accounted_holdernames()
        if series.holdername is not None
        and any(
            one.withdrawn_at is None and one.concerns(series.holdername, series.service)
            for one in book.assertions.values()
        )
    ]
    return [*book.accounted_endpoints(), *asserted]


@_operation("assertion.list", "outages that were asserted, with those withdrawn")
async def _assertions(call: Call) -> Document:
    rows = [snapshot.assertion_document(one, call.now) for one in call.book.assertions.values()]
    return _listed(call, assertions=rows)


@_operation(
    "outage.assert",
    "say that holdernames are unavailable, which no probe can see",
    write=True,
    holdernames=NEEDED_NAMES,
    services=NAMES,
    start=NEEDED,
    end=TEXT,
    reason=NEEDED,
    id=TEXT,
)
async def _assert(call: Call) -> Document:
    return await _asserted(call, declare.asserted)


@_operation("outage.withdraw", "take an assertion back", write=True, id=NEEDED, reason=TEXT)
async def _withdraw(call: Call) -> Document:
    return await _asserted(call, declare.withdrawn)


async def _asserted(call: Call, build: _Build) -> Document:
    fact = await _record(call, build)
    known = call.book.assertion(fact.body["id"])
    incidents = [
        record.id for record in call.book.records.values() if _is_of_assertion(record, known.id)
    ]
    return {
        "ok": True,
        **snapshot.assertion_document(known, call.now),
        "incidents": incidents,
        "warnings": fact.body["warnings"],
    }


def _is_of_assertion(record: Record, identifier: str) -> bool:
    return record.view.asserted and record.view.group == identifier


# -- incidents -------------------------------------------------------------------------------------


def _is_current(record: Record) -> bool:
    return record.standing and record.state is not IncidentState.CLOSED


def _in_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: int(record.id.removeprefix("I-")))


def _incident(call: Call, record: Record) -> Document:
    return {
        **snapshot.record_document(record, call.book.rules, call.now),
        "timeline": snapshot.timeline_document(record),
    }


@_operation("incident.list", "incidents not closed, of one state, or all", state=TEXT, all=FLAG)
async def _incidents(call: Call) -> Document:
    state = call.given.choice("state", IncidentState)
    everything = bool(call.arguments.get("all"))
    chosen = [
        record
        for record in _in_order(call.book.records.values())
        if state in (None, record.state)
        and (everything or (record.standing and (state is not None or _is_current(record))))
    ]
    rows = await _gently(chosen, lambda some: [_incident(call, record) for record in some])
    return _listed(call, incidents=rows)


@_operation("incident.show", "one incident: what happened, and what is owed", id=NEEDED)
async def _show_incident(call: Call) -> Document:
    return _incident(call, declare.known_record(call.book, call.given.needed("id")))


@_operation(
    "incident.pack",
    "what to submit to MaPS about an incident: form, GUIDs, comments due, timeline",
    id=NEEDED,
    expected_resolution=TEXT,
)
async def _incident_pack(call: Call) -> Document:
    known = declare.known_record(call.book, call.given.needed("id"))
    return paperwork.incident_pack(call.book, known, *_pack_arguments(call))


async def _stepped(call: Call, build: _Build) -> Document:
    fact = await _record(call, build)
    return {"ok": True, **_incident(call, call.book.record(fact.body["id"]))}


@_operation("incident.acknowledge", "say that somebody looks after it", write=True, id=NEEDED)
async def _acknowledge(call: Call) -> Document:
    return await _stepped(call, declare.acknowledged)


@_operation(
    "incident.report",
    "record that MaPS was told, and its ticket reference",
    write=True,
    id=NEEDED,
    ticket=NEEDED,
    at=TEXT,
)
async def _report(call: Call) -> Document:
    return await _stepped(call, declare.reported)


@_operation(
    "incident.update",
    "note something: text, time of the next update, cause, location (own, federated, maps)",
    write=True,
    id=NEEDED,
    text=TEXT,
    next_update_at=TEXT,
    cause=TEXT,
    location=TEXT,
)
async def _update(call: Call) -> Document:
    return await _stepped(call, declare.updated)


@_operation("incident.attest", "attest that no acknowledged data was lost", write=True, id=NEEDED)
async def _attest(call: Call) -> Document:
    return await _stepped(call, declare.attested)


@_operation("incident.close", "close it, once nothing is missing", write=True, id=NEEDED)
async def _close(call: Call) -> Document:
    return await _stepped(call, declare.closed)


# -- returns ---------------------------------------------------------------------------------------


@_operation(
    "returns",
    "a month's returns of unavailability: bodies for the reporting API, find and view apart",
    month=NEEDED,
    late=FLAG,
)
async def _returns(call: Call) -> Document:
    book, now = call.book, call.now
    month = Month.parse(call.given.needed("month"), book.rules.zone)
    returns.check_month(book, month, now)
    given: dict[Service, dict[str, list[returns.Row]]] = {}
    for service in returns.SERVICES:
        guids = returns.active(book, service, month)
        given[service] = {guid: [] for guid in guids}
        for guid in guids:
            given[service][guid] = returns.rows(book, guid, service, month, now)
            await asyncio.sleep(0)
    late = bool(call.arguments.get("late"))
    return await _in_thread(partial(paperwork.returns_document, book, month, given, late=late))


# -- alerts ----------------------------------------------------------------------------------------


@_operation(
    "alerts.test", "send a test to one receiver of alerts, or to all", write=True, receiver=TEXT
)
async def _test_alerts(call: Call) -> Document:
    known = call.desk.cycle.policy.receivers
    if not known:
        raise UsageError(
            "no receiver of alerts is configured; add one under alerts.webhooks, with name, url"
            " and secret_file, or under alerts.apprise"
        )
    chosen = call.given.text("receiver")
    if chosen is not None and chosen not in known:
        raise UnknownName(
            f'receiver: there is no receiver "{chosen}" in the configuration;'
            f" {nearest(chosen, known)}"
        )
    receivers = known if chosen is None else (chosen,)
    event = Event(call.now, "test", "test", {"author": call.author, "receivers": list(receivers)})
    # The Book has no part in it, so it goes to the store without a turn of the cycle.
    if call.done is None:
        change = Change(events=[event], receivers=receivers, receipt=call.receipt)
        await call.desk.store.commit(change)
    return {"ok": True, "queued": list(receivers), "warnings": _undelivered(call)}


def _undelivered(call: Call) -> list[str]:
    return [] if call.desk.live else ["no daemon runs: delivered once one does (monitor run)"]


@_operation("alerts.dead", "alerts that were given up")
async def _dead(call: Call) -> Document:
    rows = [snapshot.delivery_document(one) for one in await call.desk.store.dead()]
    return _listed(call, dead=rows)


@_operation(
    "alerts.resend", "send dead alerts again: some by id, or all", write=True, ids=NUMBERS, all=FLAG
)
async def _resend(call: Call) -> Document:
    store = call.desk.store
    if call.done is not None:
        return {"ok": True, **call.done.facts[0].body, "warnings": _undelivered(call)}
    wanted, everything = call.arguments.get("ids"), bool(call.arguments.get("all"))
    if bool(wanted) == everything:
        raise UsageError(
            "alerts.resend: give either ids or all; `monitor alerts dead` shows what there is"
        )
    dead = [delivery.id for delivery in await store.dead()]
    missing = sorted(set(wanted or ()) - set(dead))
    if missing:
        raise UnknownName(
            f"ids: {', '.join(map(str, missing))}: not among the dead alerts;"
            " `monitor alerts dead` shows them"
        )
    chosen = dead if everything else sorted(set(wanted or ()))
    resent = await store.resend(chosen, call.now, call.receipt)
    return {"ok": True, "resent": resent, "warnings": _undelivered(call) if resent else []}


# -- why -------------------------------------------------------------------------------------------


@_operation(
    "explain",
    "why the state and class at an instant are what they are",
    id=NEEDED,
    at=NEEDED,
    service=TEXT,
)
async def _explain(call: Call) -> Document:
    def seen(endpoint: str, start: datetime, end: datetime) -> list[Observation]:
        samples = call.desk.store.observations(endpoint, start, end)
        return [sample.observation for sample in samples]

    return why.explanation(call.book, call.given, call.now, seen)


# -- observations ----------------------------------------------------------------------------------


@_operation(
    "endpoint.observations",
    "what probes of an endpoint saw; the last hour unless said otherwise",
    endpoint=NEEDED,
    start=TEXT,
    end=TEXT,
    limit=COUNT,
    oldest=FLAG,
)
async def _observations(call: Call) -> Document:
    endpoint = _endpoint(call)
    assert endpoint is not None
    start, end = _span(call, timedelta(hours=1), LONGEST_LOOK)
    limit = _limit(call)
    store = call.desk.store
    if call.arguments.get("oldest"):
        read = partial(store.first_observations, endpoint, start, end, limit + 1)
        samples = await _in_thread(read)
        kept = samples[:limit]
    else:
        samples = await _in_thread(partial(store.observations, endpoint, start, end))
        kept = samples[-limit:]
    return {
        "endpoint": endpoint,
        "start": show_instant(start),
        "end": show_instant(end),
        "truncated": len(samples) > limit,
        "observations": [snapshot.sample_document(sample) for sample in kept],
    }


@_operation(
    "endpoint.detail",
    "one endpoint closely: its last probe, durations of the last day, outages and budget",
    endpoint=NEEDED,
)
async def _detail(call: Call) -> Document:
    endpoint = _endpoint(call)
    assert endpoint is not None
    look = partial(call.desk.store.observations, endpoint, call.now - detail.DAY, call.now)
    samples = await _in_thread(look)
    last = call.desk.seen(endpoint)
    book, memory = call.book, _memory(call)
    return detail.detail(book, memory, endpoint, call.now, last=last, samples=samples)


@_operation(
    "endpoint.strip",
    "an endpoint's time run by run, by state and class; the last hour unless said otherwise",
    endpoint=NEEDED,
    start=TEXT,
    end=TEXT,
)
async def _strip(call: Call) -> Document:
    endpoint = _endpoint(call)
    assert endpoint is not None
    start, end = _span(call, timedelta(hours=1), LONGEST_LOOK)
    known = Interval(start, min(end, call.now)) if start < call.now else None
    found = [] if known is None else ribbons.stretches(call.book, endpoint, known, call.now)
    return {
        "endpoint": endpoint,
        "start": show_instant(start),
        "end": show_instant(end),
        "strip": [ribbons.stretch_document(one) for one in found],
    }


def _limit(call: Call) -> int:
    """How many rows are wanted at most. Raises UsageError."""
    given = call.arguments.get("limit")
    limit: int = LIMIT if given is None else given
    if not 1 <= limit <= MOST_OBSERVATIONS:
        raise UsageError(f"limit: must be from 1 to {MOST_OBSERVATIONS}")
    return limit


def _span(call: Call, usual: timedelta, longest: timedelta) -> tuple[datetime, datetime]:
    """The span asked for: the usual length up to its end, which is now unless said otherwise."""
    end = call.given.instant("end") or call.now
    start = call.given.instant("start")
    if start is None:
        start = end - usual if end - BEGINNING > usual else BEGINNING
    if start >= end:
        raise BadInstant(
            f"end: {show_instant(end)} is not after the start {show_instant(start)};"
            " give an end that is later"
        )
    if end - start > longest:
        raise UsageError(f"start: asks for more than {longest.days} days; ask for less at a time")
    return start, end
