"""Which notices a change calls for: plain data, delivered by others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

from monitor.core.downtime import Declaration, Kind
from monitor.core.fact import Fact
from monitor.core.incident import Record, incident_body
from monitor.core.month import Month, show_instant
from monitor.core.rules import Rules
from monitor.core.slo import Account, Verdict

EVENT_TYPES = (
    "incident.opened",
    "incident.updated",
    "incident.restored",
    "incident.reopened",
    "incident.closed",
    "incident.restoration_at_risk",
    "incident.restoration_breached",
    "incident.report_due",
    "incident.update_due",
    "downtime.upcoming",
    "downtime.started",
    "downtime.ended",
    "downtime.overrun",
    "downtime.completion_due",
    "slo.burn",
    "slo.budget_exhausted",
    "slo.month_sealed",
    "identity.expiring",
    "certificate.expiring",
    "endpoint.not_ready",
    "ledger.head",
    "monitor.local_fault",
    "monitor.gap",
    "security.finding",
    "test",
)
"""Every type of event there is; docs/reference/alerts.md says when each is told."""
COMPLETION_AFTER = timedelta(hours=2)
"""How long after a window its completion comment is due (seed-000)."""
CHASE = timedelta(days=1)
"""How often a completion that is due is asked for again: MaPS chases it too (seed-000)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One notice. Stored in the transaction of the change that caused it.

    `key` orders: events of one key reach a receiver in the order they were stored (an incident's or a
    declaration's id). `data` holds JSON values only. `type` is one of the contract's event names.
    """

    at: datetime
    type: str
    key: str
    data: Mapping[str, Any]


def takes(globs: Iterable[str], kind: str) -> bool:
    """Whether a receiver that asked for these types gets an event; a test goes to everyone.

    >>> takes(["incident.*", "slo.burn"], "incident.opened"), takes(["incident.*"], "slo.burn")
    (True, False)
    """
    return kind == "test" or any(fnmatchcase(kind, glob) for glob in globs)


@dataclass(frozen=True, slots=True)
class Notice:
    """An event that is due once: `once` names it for ever."""

    once: str
    event: Event


_INCIDENT_EVENTS = {
    "incident.opened": "incident.opened",
    "incident.changed": "incident.updated",
    "incident.restored": "incident.restored",
    "incident.reopened": "incident.reopened",
    "incident.updated": "incident.updated",
    "incident.closed": "incident.closed",
    "incident.at_risk": "incident.restoration_at_risk",
    "incident.breached": "incident.restoration_breached",
    "incident.voided": "incident.closed",
    "incident.merged": "incident.closed",
}


def incident_event(fact: Fact, record: Record, *, target: timedelta) -> Event | None:
    """The event that a fact about an incident calls for, if any."""
    kind = _INCIDENT_EVENTS.get(fact.type)
    if kind is None:
        return None
    data = {
        **incident_body(record.id, record.view),
        "state": record.state.value,
        "deadline": show_instant(record.deadline(target)),
        "ticket": None if record.reported is None else record.reported[1],
    }
    data.pop("members")
    if fact.type in ("incident.updated", "incident.at_risk", "incident.merged", "incident.voided"):
        data["step"] = {key: value for key, value in fact.body.items() if key != "id"}
    return Event(fact.at, kind, record.id, data)


def report_due(record: Record, now: datetime, *, every: timedelta) -> Notice | None:
    """A standing incident must be reported at once; said at opening and then `every` so often."""
    if not record.standing or record.reported is not None or record.closed_at is not None:
        return None
    times = (now - record.opened_at) // every
    data = {
        "id": record.id,
        "group": record.view.group,
        "started_at": show_instant(record.view.started_at),
        "state": record.state.value,
        "advice": f"report it to MaPS, then: monitor incident report {record.id} --ticket REF",
    }
    event = Event(now, "incident.report_due", record.id, data)
    return Notice(f"report_due {record.id} {times}", event)


def update_due(record: Record, now: datetime, *, every: timedelta) -> Notice | None:
    """The time of the next update has passed (seed-000); said then, and again `every` so often."""
    promised = record.next_update_at
    if not record.standing or record.closed_at is not None or promised is None or now < promised:
        return None
    data = {
        "id": record.id,
        "group": record.view.group,
        "state": record.state.value,
        "next_update_at": show_instant(promised),
        "ticket": None if record.reported is None else record.reported[1],
        "advice": f"comment on the ticket (monitor incident pack {record.id} --out DIR), then:"
        f" monitor incident update {record.id} --text TEXT --next-update-at TIME",
    }
    event = Event(now, "incident.update_due", record.id, data)
    times = (now - promised) // every
    return Notice(f"update_due {record.id} {show_instant(promised)} {times}", event)


def downtime_notices(
    declaration: Declaration,
    now: datetime,
    rules: Rules,
    *,
    upcoming: timedelta,
    completion_after: timedelta,
    failing: Iterable[str],
) -> Iterator[Notice]:
    """What is due about one declaration: upcoming, started, ended, overrun, completion due.

    `failing` are the endpoints unavailable now because they overran this declaration. A window that
    was over before it was learned of calls for nothing but its completion.
    """
    version = declaration.version_at(now, rules)
    if version is None:
        return
    window = version.window
    data = {
        "id": declaration.id,
        "kind": version.kind.value,
        "start": show_instant(window.start),
        "end": show_instant(window.end),
        "reason": version.reason,
        "ticket": version.ticket,
    }

    def notice(kind: str, at: datetime, **more: Any) -> Notice:
        once = f"{kind} {declaration.id} {show_instant(at)}"
        return Notice(once, Event(now, kind, declaration.id, {**data, **more}))

    if now < window.start <= now + upcoming:
        yield notice("downtime.upcoming", window.start)
    if now in window:
        yield notice("downtime.started", window.start)
    if window.end <= now and version.recorded_at < window.end:
        yield notice("downtime.ended", window.end)
        overran = sorted(failing)
        if overran:
            advice = "comment on the ticket: the issue and the expected time of resolution"
            yield notice("downtime.overrun", window.end, endpoints=overran, advice=advice)
    done = declaration.completion is not None or version.kind is Kind.MAPS
    if window.end + completion_after <= now and not done:
        advice = (
            f"comment actual start and end (monitor downtime pack {declaration.id} --out DIR),"
            f" then: monitor downtime complete {declaration.id}"
        )
        due = notice("downtime.completion_due", window.end, advice=advice)
        times = (now - window.end - completion_after) // CHASE
        yield due if times == 0 else replace(due, once=f"{due.once} {times}")


def expiry_notice(
    kind: str, name: str, fingerprint: str, not_after: datetime, now: datetime, days: Iterable[int]
) -> Notice | None:
    """A certificate that runs out: said once at each of these numbers of days before, and after."""
    left = not_after - now
    passed = [mark for mark in days if left <= timedelta(days=mark)]
    if not passed:
        return None
    data = {
        "name": name,
        "sha256": fingerprint,
        "not_after": show_instant(not_after),
        "days_left": left // timedelta(days=1),
    }
    mark = 0 if left <= timedelta() else min(passed)
    return Notice(f"{kind} {name} {fingerprint} {mark}", Event(now, kind, name, data))


def budget_notice(endpoint: str, month: Month, account: Account, now: datetime) -> Notice | None:
    """The month's error budget is spent (CoCo 2.1.5)."""
    if account.remaining >= 0 or account.verdict is Verdict.NO_DATA:
        return None
    data = {
        "endpoint": endpoint,
        "month": str(month),
        "budget_s": float(account.budget / 1_000_000),
        "remaining_s": float(account.remaining / 1_000_000),
    }
    event = Event(now, "slo.budget_exhausted", endpoint, data)
    return Notice(f"slo.budget_exhausted {endpoint} {month}", event)


BURN_RULES = (
    (timedelta(minutes=5), timedelta(hours=1), Fraction(144, 10)),
    (timedelta(minutes=30), timedelta(hours=6), Fraction(6)),
)
"""(short window, long window, rate): both windows burning faster call for a notice."""


def burn_notice(
    endpoint: str,
    rates: Mapping[timedelta, Fraction],
    now: datetime,
    since: datetime,
) -> Notice | None:
    """The budget burns fast over a short and a long window; said once per outage (`since`)."""
    for short, long, limit in BURN_RULES:
        if rates[short] >= limit and rates[long] >= limit:
            data = {
                "endpoint": endpoint,
                "window_s": int(long.total_seconds()),
                "burn_rate": float(rates[long]),
                "threshold": float(limit),
            }
            once = f"slo.burn {endpoint} {show_instant(since)} {int(long.total_seconds())}"
            return Notice(once, Event(now, "slo.burn", endpoint, data))
    return None
