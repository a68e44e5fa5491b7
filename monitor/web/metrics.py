"""What `/metrics` says: the figures of the Book, and the telemetry, as one text.

The Book belongs to the event loop, so plain rows are gathered there in short slices, as of one
instant; a thread of our own then makes text of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from monitor.core.book import Book
from monitor.core.endpoint import Endpoint
from monitor.core.incident import IncidentState
from monitor.core.lifecycle import lifecycle
from monitor.core.security import shown
from monitor.core.slo import Verdict
from monitor.core.verdict import CertificateFacts
from monitor.errors import StoreError
from monitor.ports import Clock
from monitor.snapshot import ratio
from monitor.web.exposition import EOF, Family, accepts_gzip, label, packed, unhurried
from monitor.web.figures import (
    BASES,
    CLASSES,
    FIELDS,
    SHOWN,
    WINDOWS,
    Figures,
    Gathered,
    MonthFigures,
    OpenIncident,
    Row,
    SettledTime,
    burning,
    completions,
    downtime,
    judged_to,
    shown_state,
    unavailable_class,
)
from monitor.web.telemetry import PER_ENDPOINT, REGISTERED, PrometheusTelemetry

K = TypeVar("K")
V = TypeVar("V")

STATE = Family(
    "monitor_endpoint_state",
    "gauge",
    ("endpoint", "service", "environment", "state"),
    "1 for the state an endpoint is in: up, impaired, down or unknown; failures that wait for"
    " confirmation are unknown.",
)
LIFECYCLE = Family(
    "monitor_endpoint_lifecycle",
    "gauge",
    ("endpoint", "lifecycle"),
    "1 for where an endpoint stands: test, ready, live_pending, hypercare, live or disconnected;"
    " the others are absent.",
)
UNAVAILABLE_NOW = Family(
    "monitor_endpoint_unavailable",
    "gauge",
    ("endpoint", "service", "environment", "class"),
    "1 while an accounted endpoint is unavailable, by class: declared, declared_short_notice, overrun,"
    " undeclared; absent otherwise.",
)
FINDING = Family(
    "monitor_security_finding",
    "gauge",
    ("endpoint", "check"),
    "1 while a finding stands, 0 if a check found nothing: url_change, certificate_change,"
    " client_certificate, tls_1_1, tls_fallback; absent where none was made or could tell.",
)
TIME = Family(
    "monitor_time_seconds_total",
    "counter",
    ("endpoint", "service", "environment", "state", "class"),
    "Time watched, by state and by class of unavailable time; only what can no longer be judged"
    " otherwise.",
)
OBJECTIVE = Family(
    "monitor_slo_objective_ratio", "gauge", (), "Availability that a month must reach."
)
AVAILABILITY = Family(
    "monitor_slo_availability_ratio",
    "gauge",
    ("endpoint", "month", "basis"),
    "Availability in a month, rounded down to 9 places: measured (the headline), best, worst,"
    " excluding_declared.",
)
MONTH_START = Family(
    "monitor_month_start_timestamp_seconds",
    "gauge",
    ("month",),
    "When a month starts, in the SLO's zone.",
)
MONTH_END = Family(
    "monitor_month_end_timestamp_seconds",
    "gauge",
    ("month",),
    "When a month ends, in the SLO's zone; the running month is the one whose end is to come.",
)
ELIGIBLE = Family(
    "monitor_slo_eligible_seconds",
    "gauge",
    ("endpoint", "month"),
    "Time of a month that counts, up to now.",
)
UNAVAILABLE = Family(
    "monitor_slo_unavailable_seconds",
    "gauge",
    ("endpoint", "month", "class"),
    "Unavailable time of a month by class: declared, declared_short_notice, overrun, undeclared.",
)
UNKNOWN = Family(
    "monitor_slo_unknown_seconds",
    "gauge",
    ("endpoint", "month"),
    "Time of a month in which we could not tell.",
)
BUDGET = Family(
    "monitor_slo_error_budget_seconds",
    "gauge",
    ("endpoint", "month"),
    "Unavailable time that the objective allows in a whole month.",
)
REMAINING = Family(
    "monitor_slo_error_budget_remaining_seconds",
    "gauge",
    ("endpoint", "month"),
    "Error budget of a month not yet spent; negative once overspent.",
)
VERDICT = Family(
    "monitor_slo_verdict",
    "gauge",
    ("endpoint", "month", "verdict"),
    "1 for what can be said of a month: met, missed, indeterminate, running or no_data.",
)
BURN_RATE = Family(
    "monitor_slo_burn_rate",
    "gauge",
    ("endpoint", "window"),
    "How fast the error budget went over a window; 1 spends exactly the budget if it lasts.",
)
INCIDENTS = Family(
    "monitor_incidents", "gauge", ("state",), "Incidents that are open, restored or closed."
)
INCIDENT_START = Family(
    "monitor_incident_start_timestamp_seconds",
    "gauge",
    ("incident", "group"),
    "Since when service is unavailable; open incidents only.",
)
DEADLINE = Family(
    "monitor_incident_restoration_deadline_timestamp_seconds",
    "gauge",
    ("incident", "group"),
    "By when service is to be restored; open incidents only.",
)
UNREPORTED = Family(
    "monitor_incident_unreported_timestamp_seconds",
    "gauge",
    ("incident", "group"),
    "Since when an incident, open or restored, waits to be reported to MaPS; absent once it is.",
)
COMPLETION = Family(
    "monitor_downtime_completion_due_timestamp_seconds",
    "gauge",
    ("declaration",),
    "From when the completion comment of a declared window is due; absent once it is made.",
)
DOWNTIME = Family(
    "monitor_downtime_active",
    "gauge",
    ("declaration", "kind"),
    "1 while a declared window is in force; absent otherwise.",
)
DOWNTIME_END = Family(
    "monitor_downtime_end_timestamp_seconds",
    "gauge",
    ("declaration", "kind"),
    "When a declared window that is in force ends; absent otherwise.",
)
NEXT_DOWNTIME = Family(
    "monitor_downtime_next_start_timestamp_seconds",
    "gauge",
    (),
    "When the next declared window starts; absent if none is to come.",
)
EXPIRY = Family(
    "monitor_certificate_expiry_timestamp_seconds",
    "gauge",
    ("role", "name"),
    "When a certificate runs out: client and client_ca (first of its chain to do so) by identity,"
    " server by endpoint.",
)
QUEUE = Family(
    "monitor_alert_queue_length", "gauge", (), "Alerts not yet delivered, over all receivers."
)
OLDEST = Family(
    "monitor_alert_oldest_seconds",
    "gauge",
    (),
    "Age of the oldest alert not yet delivered; 0 if none waits.",
)
DEAD = Family(
    "monitor_alert_dead_letters",
    "gauge",
    (),
    "Alerts given up: rejected or expired, and not sent again.",
)
FIGURES = (
    STATE,
    LIFECYCLE,
    UNAVAILABLE_NOW,
    FINDING,
    TIME,
    OBJECTIVE,
    MONTH_START,
    MONTH_END,
    AVAILABILITY,
    ELIGIBLE,
    UNAVAILABLE,
    UNKNOWN,
    BUDGET,
    REMAINING,
    VERDICT,
    BURN_RATE,
    INCIDENTS,
    INCIDENT_START,
    DEADLINE,
    UNREPORTED,
    COMPLETION,
    DOWNTIME,
    DOWNTIME_END,
    NEXT_DOWNTIME,
    EXPIRY,
    QUEUE,
    OLDEST,
    DEAD,
)
CATALOGUE = (*REGISTERED, *PER_ENDPOINT, *FIGURES)
"""Every metric of ours; the libraries add `process_*` and `python_info`."""

PLAIN = (
    (ELIGIBLE, "eligible_s"),
    (UNKNOWN, "unknown_s"),
    (BUDGET, "budget_s"),
    (REMAINING, "remaining_s"),
)
"""Metrics that are one figure of a month each."""
VERDICTS = tuple(verdict.value for verdict in Verdict)

QueueStats = Mapping[str, tuple[int, datetime | None, int]]
Samples = tuple[Family, Iterable[str]]

log = structlog.get_logger(__name__)


# -- what is asked of others ---------------------------------------------------------------------


class HasBook(Protocol):
    """Owns what is known (`cycle.Cycle`)."""

    book: Book


class HasQueue(Protocol):
    """Knows what waits for delivery (`adapters.store.SqliteStore`)."""

    def queue_stats(self) -> dict[str, tuple[int, datetime | None, int]]:
        """Per receiver: pending deliveries, since when the oldest waits, and dead ones."""
        ...


class Watching(Protocol):
    """The part of `desk.Desk` that figures need."""

    @property
    def cycle(self) -> HasBook: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def store(self) -> HasQueue: ...


class Presented(Protocol):
    """A client identity in use (`adapters.identity.Identity`)."""

    @property
    def name(self) -> str: ...
    @property
    def leaf(self) -> CertificateFacts: ...
    @property
    def chain(self) -> tuple[CertificateFacts, ...]: ...


class Presenting(Protocol):
    """Holds the identities in use (`adapters.tls.Contexts`)."""

    @property
    def identities(self) -> Sequence[Presented]: ...


# -- from rows to text ---------------------------------------------------------------------------


def _row_samples(rows: Sequence[Row]) -> Iterator[Samples]:
    yield (
        STATE,
        (
            f'monitor_endpoint_state{{{row.labels},state="{state}"}} {int(state == row.state)}\n'
            for row in rows
            for state in SHOWN
        ),
    )
    yield (
        LIFECYCLE,
        (f'{LIFECYCLE.name}{{{row.endpoint},lifecycle="{row.lifecycle}"}} 1\n' for row in rows),
    )
    yield (
        UNAVAILABLE_NOW,
        (
            f'{UNAVAILABLE_NOW.name}{{{row.labels},class="{row.unavailable}"}} 1\n'
            for row in rows
            if row.unavailable
        ),
    )
    yield (
        FINDING,
        (
            f'{FINDING.name}{{{row.endpoint},check="{check}"}} {value}\n'
            for row in rows
            for check, value in row.findings
        ),
    )
    yield (
        TIME,
        (
            f'monitor_time_seconds_total{{{row.labels},state="{state}",class="{cls}"}} '
            f"{us / 1_000_000}\n"
            for row in rows
            for (state, cls), us in row.time
        ),
    )
    yield (
        BURN_RATE,
        (
            f'monitor_slo_burn_rate{{{row.endpoint},window="{window}"}} {rate}\n'
            for row in rows
            for (window, _), rate in zip(WINDOWS, row.burning, strict=False)
        ),
    )


def _month_samples(names: Sequence[str], rows: Sequence[Row]) -> Iterator[Samples]:
    known: list[str] = []
    figures: list[Figures] = []
    for row in rows:
        for name, found in zip(names, row.months, strict=False):
            if found is not None:
                known.append(f'{row.endpoint},month="{name}"')
                figures.append(found)
    for family, field in PLAIN:
        place = FIELDS.index(field)
        yield (
            family,
            (
                f"{family.name}{{{of}}} {each[place]}\n"
                for of, each in zip(known, figures, strict=True)
            ),
        )
    for family, values in ((AVAILABILITY, BASES), (UNAVAILABLE, CLASSES)):
        yield family, _by_label(family, values, known, figures)
    place = FIELDS.index("verdict")
    yield (
        VERDICT,
        (
            f'{VERDICT.name}{{{of},verdict="{verdict}"}} {int(verdict == each[place])}\n'
            for of, each in zip(known, figures, strict=True)
            for verdict in VERDICTS
        ),
    )


def _by_label(
    family: Family, values: Sequence[str], known: Sequence[str], figures: Sequence[Figures]
) -> Iterator[str]:
    """The samples of a metric whose last label says which figure it is."""
    places = [(FIELDS.index(value), f'{family.labels[-1]}="{value}"') for value in values]
    for of, each in zip(known, figures, strict=True):
        for place, which in places:
            if each[place]:
                yield f"{family.name}{{{of},{which}}} {each[place]}\n"


def _other_samples(seen: Gathered, stats: QueueStats | None) -> Iterator[Samples]:
    yield OBJECTIVE, [f"{OBJECTIVE.name} {seen.objective}\n"]
    for family, bounds in (
        (MONTH_START, [(name, interval.start) for name, interval in seen.months]),
        (MONTH_END, [(name, interval.end) for name, interval in seen.months]),
    ):
        yield family, [f'{family.name}{{month="{name}"}} {_epoch(at)}\n' for name, at in bounds]
    yield (
        INCIDENTS,
        [f'{INCIDENTS.name}{{state="{state}"}} {n}\n' for state, n in seen.incidents.items()],
    )
    troubles = [
        (f"{label('incident', one.name)},{label('group', one.group)}", one) for one in seen.open
    ]
    yield (
        INCIDENT_START,
        [f"{INCIDENT_START.name}{{{of}}} {_epoch(one.start)}\n" for of, one in troubles],
    )
    yield DEADLINE, [f"{DEADLINE.name}{{{of}}} {_epoch(one.deadline)}\n" for of, one in troubles]
    windows = [
        (f'{label("declaration", name)},kind="{kind}"', end) for name, kind, end in seen.active
    ]
    yield DOWNTIME, [f"{DOWNTIME.name}{{{of}}} 1\n" for of, _ in windows]
    yield DOWNTIME_END, [f"{DOWNTIME_END.name}{{{of}}} {_epoch(end)}\n" for of, end in windows]
    yield (
        UNREPORTED,
        [
            f"{UNREPORTED.name}{{{label('incident', name)},{label('group', group)}}} {_epoch(at)}\n"
            for name, group, at in seen.unreported
        ],
    )
    yield (
        COMPLETION,
        [
            f"{COMPLETION.name}{{{label('declaration', name)}}} {_epoch(at)}\n"
            for name, at in seen.completions
        ],
    )
    upcoming = seen.next_downtime
    yield (
        NEXT_DOWNTIME,
        [] if upcoming is None else [f"{NEXT_DOWNTIME.name} {_epoch(upcoming)}\n"],
    )
    yield (
        EXPIRY,
        [
            f'{EXPIRY.name}{{role="{role}",{label("name", name)}}} {_epoch(at)}\n'
            for role, name, at in seen.expiry
        ],
    )
    if stats is not None:
        oldest = min((since for _, since, _ in stats.values() if since is not None), default=None)
        age = 0.0 if oldest is None else max(0.0, (seen.now - oldest).total_seconds())
        yield QUEUE, [f"{QUEUE.name} {sum(pending for pending, _, _ in stats.values())}\n"]
        yield OLDEST, [f"{OLDEST.name} {age}\n"]
        yield DEAD, [f"{DEAD.name} {sum(dead for *_, dead in stats.values())}\n"]


def _epoch(instant: datetime) -> float:
    return instant.timestamp()


# -- the whole -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer to a scrape: its body in pieces, and the headers that describe it."""

    pieces: tuple[bytes, ...]
    headers: Mapping[str, str]


class Flights(Generic[K, V]):
    """Work under way, shared by all who ask for the same meanwhile."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[V]] = {}

    async def join(self, key: K, start: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What the work under this key answers; it is begun unless it is under way.

        One who gives up waiting takes nothing from the others.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(start(), name="metrics")
            task.add_done_callback(partial(self._landed, key))
        return await asyncio.shield(task)

    def _landed(self, key: K, task: asyncio.Task[V]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # told to whoever waits; if nobody does, it is no news

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Metrics:
    """Answers scrapes. Made and asked on the event loop; close it at the end."""

    def __init__(
        self, desk: Watching, telemetry: PrometheusTelemetry, contexts: Presenting
    ) -> None:
        self._desk = desk
        self._telemetry = telemetry
        self._contexts = contexts
        self._time = SettledTime()
        self._months = MonthFigures()
        self._gathering: Flights[None, Gathered] = Flights()
        self._rendering: Flights[tuple[str, bool], Rendered] = Flights()
        # Of our own: hung name look-ups fill the loop's default executor.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")

    async def render(self, accept: str = "", accept_encoding: str = "") -> Rendered:
        """The answer to a scrape with these headers. Those who ask at once share one answer."""
        encode, content_type = choose_encoder(accept)
        gzip = accepts_gzip(accept_encoding)
        return await self._rendering.join(
            (content_type, gzip), lambda: self._render(encode, content_type, gzip=gzip)
        )

    async def close(self) -> None:
        """Give up what is under way."""
        await self._rendering.close()
        await self._gathering.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _render(
        self, encode: Callable[[CollectorRegistry], bytes], content_type: str, *, gzip: bool
    ) -> Rendered:
        seen = await self._gathering.join(None, self.gather)
        openmetrics = content_type.startswith("application/openmetrics-text")
        # The thread lets go of the rows too: with many endpoints even that takes a while.
        rows = [seen]
        del seen

        def work() -> tuple[bytes, ...]:
            text = self._text(rows.pop(), encode, openmetrics=openmetrics)
            return packed(text, gzip=gzip)

        pieces = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if gzip:
            headers["Content-Encoding"] = "gzip"
        return Rendered(pieces, headers)

    async def gather(self) -> Gathered:
        """Rows of everything, as of now; the event loop gets its turn in between."""
        book, now = self._desk.cycle.book, self._desk.clock.now()
        await self._months.prepare(book, now, self._thread)
        self._time.keep(book.register.endpoints)
        limit = judged_to(book)
        rows = []
        async for endpoint in unhurried(tuple(book.register.endpoints.values())):
            rows.append(self._row(book, endpoint, now, limit))
        incidents = dict.fromkeys((state.value for state in IncidentState), 0)
        troubles, unreported = [], []
        async for record in unhurried(tuple(book.records.values())):
            if record.standing:
                incidents[record.state.value] += 1
                if record.state is IncidentState.OPEN:
                    due = record.deadline(book.rules.restoration_target)
                    began = record.view.started_at
                    troubles.append(OpenIncident(record.id, record.view.group, began, due))
                if record.reported is None and record.closed_at is None:
                    unreported.append((record.id, record.view.group, record.opened_at))
        active, upcoming = downtime(book, now)
        return Gathered(
            now=now,
            objective=ratio(book.rules.objective) or "",
            months=self._months.listed,
            rows=rows,
            incidents=incidents,
            open=troubles,
            active=active,
            unreported=unreported,
            completions=completions(book),
            next_downtime=upcoming,
            expiry=self._expiry(),
        )

    def _row(self, book: Book, endpoint: Endpoint, now: datetime, limit: datetime) -> Row:
        name = label("endpoint", endpoint.id)
        series = book.endpoint_series(endpoint.id)
        service, environment = endpoint.service.value, endpoint.environment.value
        stands = lifecycle(endpoint, now, book.register)
        return Row(
            endpoint=name,
            labels=f'{name},service="{service}",environment="{environment}"',
            state=shown_state(book, endpoint.id, now),
            time=self._time.counted(book, endpoint, now, limit),
            months=self._months.of(book, endpoint.id, now) if endpoint.live else (),
            burning=burning(book, series, now) if endpoint.live else (),
            lifecycle=stands.value,
            findings=tuple(shown(book.security, endpoint.id, live=stands.connected)),
            unavailable=unavailable_class(book, endpoint, now),
        )

    def _expiry(self) -> list[tuple[str, str, datetime]]:
        found = []
        for identity in self._contexts.identities:
            found.append(("client", identity.name, identity.leaf.not_after))
            if identity.chain:
                first = min(issuer.not_after for issuer in identity.chain)
                found.append(("client_ca", identity.name, first))
        servers = self._telemetry.server_certificates()
        return found + [("server", name, not_after) for name, not_after in servers]

    def _text(
        self, seen: Gathered, encode: Callable[[CollectorRegistry], bytes], *, openmetrics: bool
    ) -> Iterator[str]:
        """The whole text in pieces; runs in the thread."""
        yield encode(self._telemetry.registry).decode().removesuffix(EOF)
        for family, lines in self._samples(seen):
            yield family.header(openmetrics=openmetrics)
            yield from lines
        if openmetrics:
            yield EOF

    def _samples(self, seen: Gathered) -> Iterator[Samples]:
        yield from self._telemetry.lines()
        yield from _row_samples(seen.rows)
        yield from _month_samples([name for name, _ in seen.months], seen.rows)
        yield from _other_samples(seen, self._queue_stats())

    def _queue_stats(self) -> QueueStats | None:
        """None while the store cannot be read: then the figures are absent, not wrong."""
        try:
            return self._desk.store.queue_stats()
        except StoreError as trouble:
            log.warning("queue_not_read", why=str(trouble))
            return None
