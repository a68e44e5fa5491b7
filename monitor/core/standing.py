"""What stands at an instant and somebody should know of, as alerts for an Alertmanager: plain data.

An alert is known by its labels, so these never change while it stands; text that may goes beside
them. An event (`alert.py`) is told once, what stands is told again and again until it is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.core.alert import COMPLETION_AFTER
from monitor.core.book import Book
from monitor.core.downtime import Declaration, Kind
from monitor.core.incident import IncidentState, Record
from monitor.core.month import Month, show_instant
from monitor.core.rules import Rules
from monitor.core.verdict import CertificateFacts, Result

ORIGIN = ("origin", "monitor")
"""The label of everything told from here, by which it is known from Prometheus' own alerts."""
LISTED = 10
"""Names that a text lists before it only counts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One alert. `labels` are its identity; `since` None: it is not known since when.

    `page` is a path of the status page. `ended_at` is set on what is over, and told for the last time.
    """

    labels: tuple[tuple[str, str], ...]
    summary: str
    description: str
    since: datetime | None = None
    page: str = "/"
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """An alert as it is told: it stands from `start` to `end`, which is past once it is over."""

    alert: Standing
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for one receiver of alerts; `oldest` None: nothing does."""

    pending: int
    oldest: datetime | None
    dead: int


@dataclass(frozen=True, slots=True)
class Own:
    """How the daemon itself stands, beside what the Book knows.

    `ours` are the certificates of each client identity, its own first; `servers` those last shown by
    endpoints. `refused` are the readings that were refused (configuration, identities), since when.
    """

    ours: Mapping[str, Sequence[CertificateFacts]] = field(default_factory=dict)
    servers: Mapping[str, CertificateFacts] = field(default_factory=dict)
    identity_days: int = 60
    certificate_days: int = 21
    store_failing_since: datetime | None = None
    unready: Sequence[str] = ()
    refused: Mapping[str, datetime] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long something may last before it is told, and how long after its end it is still told."""

    queue: timedelta = timedelta(minutes=15)
    completion: timedelta = COMPLETION_AFTER
    ended: timedelta = timedelta(minutes=30)


_PATIENCE = Patience()


def standing(book: Book, own: Own, now: datetime, patience: Patience = _PATIENCE) -> list[Standing]:
    """Everything that stands at `now`, and incidents restored so lately that it is still told."""
    found: list[Standing] = []
    for record in book.records.values():
        found.extend(_incident(record, book.rules, now, patience.ended))
    for declaration in book.calendar.declarations.values():
        found.extend(_completion_due(declaration, book.rules, now, patience.completion))
    found.extend(_budgets(book, now))
    found.extend(_findings(book))
    found.extend(_own_faults(book))
    found.extend(_certificates(own, now))
    found.extend(_health(own, now, patience.queue))
    return found


def _labels(alertname: str, severity: str, /, **more: str) -> tuple[tuple[str, str], ...]:
    return (("alertname", alertname), *sorted(more.items()), ORIGIN, ("severity", severity))


def _listed(names: Iterable[str]) -> str:
    """Names in order, or the first of them and how many more.

    >>> _listed(["b", "a"])
    'a, b'
    """
    every = sorted(names)
    rest = len(every) - LISTED
    return ", ".join(every[:LISTED]) + (f" and {rest} more" if rest > 0 else "")


# -- incidents -------------------------------------------------------------------------------------


def _incident(record: Record, rules: Rules, now: datetime, still: timedelta) -> Iterator[Standing]:
    view = record.view
    if not record.standing:
        return
    known = {"incident": record.id, "group": view.group}
    page = f"/incidents/{record.id}"
    what = _listed(view.endpoints) or view.group
    deadline = show_instant(record.deadline(rules.restoration_target))
    restored = view.restored_at if record.state is not IncidentState.OPEN else None
    if restored is None or now - restored < still:
        yield Standing(
            _labels("MonitorIncident", "critical", **known),
            f"Incident {record.id}: {what} unavailable",
            f"Unavailable since {show_instant(view.started_at)}; restore by {deadline}, and report it"
            f" to MaPS (monitor incident pack {record.id} --out DIR).",
            view.started_at,
            page,
            restored,
        )
    if record.state is IncidentState.OPEN:
        yield from _restoration(record, known, deadline, page)
    if record.closed_at is None:
        yield from _owed(record, known, now, page)


def _restoration(
    record: Record, known: Mapping[str, str], deadline: str, page: str
) -> Iterator[Standing]:
    if record.breached_at is not None:
        yield Standing(
            _labels("MonitorRestorationBreached", "critical", **known),
            f"Incident {record.id}: not restored in time",
            f"It should have been restored by {deadline} (CoCo 2.1.4). Restore service, and tell MaPS"
            " when that is to be.",
            record.breached_at,
            page,
        )
    elif record.at_risk:
        yield Standing(
            _labels("MonitorRestorationAtRisk", "warning", **known),
            f"Incident {record.id}: restoration in time is at risk",
            f"To be restored by {deadline} (CoCo 2.1.4). Escalate now.",
            record.view.started_at + timedelta(seconds=min(record.at_risk)),
            page,
        )


def _owed(record: Record, known: Mapping[str, str], now: datetime, page: str) -> Iterator[Standing]:
    """What MaPS is owed about an incident not closed."""
    if record.reported is None:
        yield Standing(
            _labels("MonitorIncidentUnreported", "warning", **known),
            f"Incident {record.id}: not reported to MaPS",
            f"Report it, then: monitor incident report {record.id} --ticket REF",
            record.opened_at,
            page,
        )
    promised = record.next_update_at
    if promised is not None and promised <= now:
        yield Standing(
            _labels("MonitorIncidentUpdateDue", "warning", **known),
            f"Incident {record.id}: the update promised to MaPS is due",
            f"Promised for {show_instant(promised)}. Comment on the ticket, then: monitor incident"
            f" update {record.id} --text TEXT --next-update-at TIME",
            promised,
            page,
        )


# -- declarations, budgets, findings ----------------------------------------------------------------


def _completion_due(
    declaration: Declaration, rules: Rules, now: datetime, after: timedelta
) -> Iterator[Standing]:
    version = declaration.version_at(now, rules)
    if version is None or declaration.completion is not None or version.kind is Kind.MAPS:
        return
    due = version.window.end + after
    if due <= now:
        yield Standing(
            _labels("MonitorDowntimeCompletionDue", "warning", declaration=declaration.id),
            f"Downtime {declaration.id}: the completion comment is due",
            f"Its window ended at {show_instant(version.window.end)}. Comment actual start and end on"
            f" the ticket, then: monitor downtime complete {declaration.id}",
            due,
            f"/downtime/{declaration.id}",
        )


def _budgets(book: Book, now: datetime) -> Iterator[Standing]:
    """Budgets spent; of those the notice was given, so that only they need be worked out."""
    month = Month.of(now, book.rules.zone)
    for series in book.accounted_endpoints():
        name = series.endpoint
        assert name is not None
        if not book.was_noticed(f"slo.budget_exhausted {name} {month}"):
            continue
        remaining = book.account(series, month, now).remaining
        if remaining >= 0:
            continue
        over = int(-remaining / 60_000_000)
        yield Standing(
            _labels("MonitorBudgetSpent", "critical", endpoint=name, service=series.service.value),
            f"{name}: the error budget of {month} is spent",
            f"Overspent by {over} min: the month cannot be met any more (CoCo 2.1.5). Put off planned"
            f" downtime of {name}; `monitor slo --month {month}` shows what spent it.",
            page=f"/endpoints/{name}",
        )


def _findings(book: Book) -> Iterator[Standing]:
    for (name, check), finding in book.security.findings.items():
        endpoint = book.register.endpoints.get(name)
        if endpoint is None:
            continue
        yield Standing(
            _labels(
                "MonitorSecurityFinding",
                "warning",
                endpoint=name,
                service=endpoint.service.value,
                check=check.value,
            ),
            f"{name}: {finding.text}",
            "Look into it; a change that MaPS knows of is settled by: monitor endpoint"
            f" acknowledge-change {name} --reference REF",
            finding.since,
            f"/endpoints/{name}",
        )


def _own_faults(book: Book) -> Iterator[Standing]:
    """Faults of ours by reason, while the last probe of some endpoint shows them."""
    by_reason: dict[str, list[str]] = {}
    for name in book.register.endpoints:
        last = book.track(name).last
        if last is not None and last.result is Result.LOCAL:
            by_reason.setdefault(last.reason.value, []).append(name)
    for reason, names in sorted(by_reason.items()):
        yield Standing(
            _labels("MonitorLocalFault", "critical", reason=reason),
            f"Own fault {reason}: {len(names)} endpoints cannot be judged",
            f"Their time is unknown meanwhile: {_listed(names)}. `monitor probe` shows what is wrong.",
        )


# -- the daemon itself ------------------------------------------------------------------------------


def _certificates(own: Own, now: datetime) -> Iterator[Standing]:
    """Certificates that have run out or soon will, by role; of a chain the first to do so."""
    for name, (leaf, *chain) in own.ours.items():
        days = timedelta(days=own.identity_days)
        yield from _expiring("client", name, leaf.not_after, now, days)
        if chain:
            first = min(one.not_after for one in chain)
            yield from _expiring("client_ca", name, first, now, days)
    for name, one in own.servers.items():
        days = timedelta(days=own.certificate_days)
        yield from _expiring("server", name, one.not_after, now, days)


def _expiring(
    role: str, name: str, not_after: datetime, now: datetime, before: timedelta
) -> Iterator[Standing]:
    if now < not_after - before:
        return
    whose = f"the certificate of {name}" if role == "server" else f"our certificate {name}"
    cure = {
        "server": "Have it renewed where the endpoint is served.",
        "client": "Ask for new material now, and put it where the identity is configured.",
        "client_ca": "Of its chain; ask for new material now.",
    }[role]
    over = not_after <= now
    yield Standing(
        _labels(
            "MonitorCertificateExpired" if over else "MonitorCertificateExpiring",
            "critical" if over else "warning",
            role=role,
            name=name,
        ),
        f"{whose} {'has run out' if over else 'runs out soon'}",
        f"Valid until {show_instant(not_after)}. {cure}",
        not_after if over else not_after - before,
        f"/endpoints/{name}" if role == "server" else "/",
    )


def _health(own: Own, now: datetime, patience: timedelta) -> Iterator[Standing]:
    if own.store_failing_since is not None:
        yield Standing(
            _labels("MonitorStoreFailing", "critical"),
            "The store cannot be written",
            "What is seen waits in memory. See to the disk: space, permissions, errors in the log.",
            own.store_failing_since,
        )
    elif own.unready:
        yield Standing(
            _labels("MonitorNotReady", "critical"),
            "The daemon is not probing",
            f"{'; '.join(own.unready)}. See its log; restart it if it does not recover.",
        )
    for what, since in sorted(own.refused.items()):
        yield Standing(
            _labels("MonitorReloadRefused", "warning", what=what),
            f"Changed {what} refused",
            "What was in force still is. `monitor check` says what is wrong.",
            since,
        )
    for receiver, queue in sorted(own.queues.items()):
        yield from _queue(receiver, queue, now, patience)


def _queue(receiver: str, queue: Queue, now: datetime, patience: timedelta) -> Iterator[Standing]:
    if queue.oldest is not None and now - queue.oldest >= patience:
        yield Standing(
            _labels("MonitorAlertQueueStuck", "warning", receiver=receiver),
            f"{queue.pending} alerts wait for {receiver}",
            f"The oldest since {show_instant(queue.oldest)}. See whether the receiver answers; the log"
            " says what it said.",
            queue.oldest + patience,
        )
    if queue.dead:
        yield Standing(
            _labels("MonitorAlertDeadLetters", "warning", receiver=receiver),
            f"{queue.dead} alerts to {receiver} were given up",
            "`monitor alerts dead` shows them, `monitor alerts resend --all` sends them again.",
        )
