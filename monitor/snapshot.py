"""The read side: states, outages, incidents and accounts as of one instant, as plain documents.

API, status page, metrics and command line all print these; they cannot disagree. Seconds are
numbers with at most microseconds; ratios are exact decimal texts, rounded down to nine places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from monitor.core import seal
from monitor.core.assertion import Assertion
from monitor.core.book import Book
from monitor.core.downtime import Declaration, Kind, Scope, Series, Version
from monitor.core.endpoint import Endpoint, Service
from monitor.core.fact import Fact, fact_document
from monitor.core.holdername import Holdername, Period, Register
from monitor.core.incident import Incident, IncidentKind, Record
from monitor.core.interval import BEGINNING, MICROSECOND, Interval
from monitor.core.lifecycle import holdername_lifecycle, lifecycle
from monitor.core.maps import Taken
from monitor.core.month import Month, show_instant
from monitor.core.notice import Notice, NoticeDay
from monitor.core.outage import Class, SeriesOutage
from monitor.core.planning import EVIDENCE
from monitor.core.reconcile import Found
from monitor.core.rules import RULES_VERSION, Rules
from monitor.core.security import finding_document
from monitor.core.slo import Account, Verdict
from monitor.core.timeline import Span, State, tail
from monitor.core.verdict import Evidence, evidence_document, judge
from monitor.ports import Delivery, Sample

Document = dict[str, Any]
PLACES = 9


def seconds(duration: timedelta | Fraction) -> int | float:
    """A duration, or exact microseconds, as seconds: rounded down to the microsecond."""
    exact = duration // MICROSECOND if isinstance(duration, timedelta) else duration // 1
    whole, rest = divmod(exact, 1_000_000)
    return whole if rest == 0 else exact / 1_000_000


def ratio(value: Fraction | None) -> str | None:
    """A ratio as decimal text, rounded down to nine places: 99.4996 % never reads 99.50."""
    if value is None:
        return None
    scaled = value.numerator * 10**PLACES // value.denominator
    sign = "-" if scaled < 0 else ""
    whole, rest = divmod(abs(scaled), 10**PLACES)
    digits = f"{rest:0{PLACES}d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def series_document(series: Series) -> Document:
    """Which series: an endpoint, or a holdername GUID and a service."""
    if series.endpoint is not None:
        return {"endpoint": series.endpoint}
    return {"holdername": series.holdername, "service": series.service.value}


def account_document(account: Account) -> Document:
    """The figures of one account (contract, "Facts file")."""
    some = account.verdict is not Verdict.NO_DATA
    spent = account.tally
    return {
        "eligible_s": seconds(account.eligible),
        **{f"{state.value}_s": seconds(spent.of(state)) for state in _STATES},
        "unavailable_s": seconds(account.unavailable),
        "by_class": {cls.value: seconds(spent.in_class(cls)) for cls in Class},
        "budget_s": seconds(account.budget),
        "remaining_s": seconds(account.remaining),
        "best": ratio(account.best) if some else None,
        "worst": ratio(account.worst) if some else None,
        "measured": ratio(account.measured),
        "excluding_declared": ratio(account.excluding_declared),
        "verdict": account.verdict.value,
    }


_STATES = (State.UP, State.IMPAIRED, State.DOWN, State.UNCONFIRMED, State.UNKNOWN)


def month_document(series: Series, month: Month, account: Account) -> Document:
    """One row of `months`."""
    return {"month": str(month), "series": series_document(series), **account_document(account)}


def outage_document(series: Series, outage: SeriesOutage) -> Document:
    """One row of `outages`: parts follow one another and sum to the outage."""
    parts: list[Document] = []
    for part in outage.parts:
        name = "unknown" if part.cls is None else part.cls.value
        if parts and parts[-1]["class"] == name:
            parts[-1]["end"] = show_instant(part.interval.end)
        else:
            start, end = show_instant(part.interval.start), show_instant(part.interval.end)
            parts.append({"class": name, "start": start, "end": end})
    if outage.open:
        parts[-1]["end"] = None
    return {
        "series": series_document(series),
        "source": outage.source.value,
        "start": show_instant(outage.interval.start),
        "end": None if outage.open else show_instant(outage.interval.end),
        "parts": parts,
    }


def incident_document(identifier: str, view: Incident) -> Document:
    """One row of `incidents`, as derived from the outages."""
    return {
        "id": identifier,
        "kind": view.kind.value,
        "state": view.state.value,
        "group": view.group,
        "started_at": show_instant(view.started_at),
        "detected_at": show_instant(view.detected_at),
        "restored_at": None if view.restored_at is None else show_instant(view.restored_at),
        "endpoints": list(view.endpoints),
        "holdernames": list(view.holdernames),
        "declaration": view.declaration,
    }


def all_series(book: Book) -> list[Series]:
    """Every accounted series: endpoints as configured, then holdernames in order."""
    return [*book.accounted_endpoints(), *book.accounted_holdernames()]


def month_rows(book: Book, which: Iterable[Series], now: datetime) -> list[Document]:
    """Every month of every series, by month and then in the order of the series."""
    rows = [
        (str(month), place, series, month)
        for place, series in enumerate(which)
        for month in book.months(series, now)
    ]
    return [
        month_document(series, month, book.account(series, month, now))
        for _, _, series, month in sorted(rows, key=lambda row: row[:2])
    ]


def outage_rows(book: Book, which: Iterable[Series], now: datetime) -> list[Document]:
    """Every outage of every series, in order of start within a series."""
    return [
        outage_document(series, outage) for series in which for outage in book.outages(series, now)
    ]


def replay_document(book: Book, until: datetime) -> Document:
    """What `replay` prints: the account of all that the book knows, as of `until`."""
    which = all_series(book)
    return {
        "rules": RULES_VERSION,
        "until": show_instant(until),
        "months": month_rows(book, which, until),
        "outages": outage_rows(book, which, until),
        "incidents": [
            incident_document(f"I-{number}", view)
            for number, view in enumerate(book.incidents(until), 1)
        ],
    }


# -- the months, sealed or running -----------------------------------------------------------------


def slo_rows(book: Book, which: Iterable[Series], month: Month, now: datetime) -> list[Document]:
    """The rows of one month, each with `sealed`; of a sealed month the figures are the sealed ones.

    A sealed row has the number of restatements in `restatement`; where the figures of today differ
    from it, those in `recomputed`; and better ones that wait for approval in `proposed`.
    """
    return MonthRows(book, month, now).of(which)


class MonthRows:
    """The rows of one month, for many series bit by bit: what they share is worked out once."""

    def __init__(self, book: Book, month: Month, now: datetime) -> None:
        self._book, self._month, self._now = book, month, now
        self._standing = seal.standing(book.seals.get(str(month), ()))
        known = self._standing
        self._kept = {} if known is None else {_key(row): row for row in known.rows}
        changes = () if known is None else known.proposals
        self._proposed = {_key(change["now"]): change["now"] for change in changes}
        self._accounts: dict[object, Account] = {}

    def of(self, which: Iterable[Series]) -> list[Document]:
        """The rows of some series, as `slo_rows` has them."""
        live = self.live(which)
        standing = self._standing
        if standing is None:
            return [{**row, "sealed": False} for row in live]
        return [
            _sealed_row(self._kept.get(key), row, self._proposed.get(key), standing.restatements)
            for row in live
            for key in [_key(row)]
        ]

    def live(self, which: Iterable[Series]) -> list[Document]:
        """The rows as they follow from what is known now; alike series are worked out once."""
        rows = []
        for series in which:
            likeness = self._book.likeness(series)
            account = self._accounts.get(likeness)
            if account is None:
                account = self._book.account(series, self._month, self._now)
                self._accounts[likeness] = account
            rows.append(month_document(series, self._month, account))
        return rows


def _key(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(row["series"].items()))


def _sealed_row(
    kept: Mapping[str, Any] | None,
    live: Document,
    proposed: Mapping[str, Any] | None,
    restatements: int,
) -> Document:
    if kept is None:
        return {**live, "sealed": False}
    shown: Document = {**kept, "sealed": True, "restatement": restatements}
    if kept != live:
        shown["recomputed"] = _figures(live)
    if proposed is not None:
        shown["proposed"] = _figures(proposed)
    return shown


def _figures(row: Mapping[str, Any]) -> Document:
    return {key: value for key, value in row.items() if key not in ("month", "series")}


# -- endpoints -------------------------------------------------------------------------------------

_LOOK_BACK = (timedelta(days=1), timedelta(days=32))


def state_now(book: Book, endpoint: str, now: datetime) -> tuple[State, datetime | None]:
    """The state of an endpoint at `now` and since when; None: it was never otherwise."""
    for reach in _LOOK_BACK:
        span = _last_state(book, endpoint, now - reach, now)
        if span.start > now - reach:
            return span.state, span.start
    span = _last_state(book, endpoint, BEGINNING, now)
    return span.state, None if span.start == BEGINNING else span.start


def _last_state(book: Book, endpoint: str, start: datetime, now: datetime) -> Span:
    return book.endpoint_states(endpoint, Interval(start, now), now)[-1]


def endpoint_document(
    book: Book, endpoint: str, now: datetime, account: Account | None = None
) -> Document:
    """How an endpoint stands now, and its running month (None for one that is never accounted).

    `account`: that of the running month, where it is known already.
    """
    known, track = book.register.endpoints[endpoint], book.track(endpoint)
    state, since = state_now(book, endpoint, now)
    last = track.last
    return {
        "id": known.id,
        "service": known.service.value,
        "environment": known.environment.value,
        "lifecycle": lifecycle(known, now, book.register).value,
        "group": known.group,
        "state": state.value,
        "phase": track.phase.value,
        "since": _shown(since),
        "outage_since": None if track.outage is None else show_instant(track.outage.start),
        "last": None
        if last is None
        else {
            "at": show_instant(last.at),
            "result": last.result.value,
            "reason": last.reason.value,
        },
        "month": _running_month(book, endpoint, now, account) if known.live else None,
        "findings": [finding_document(found) for found in book.security.standing(endpoint)],
    }


def _running_month(book: Book, endpoint: str, now: datetime, account: Account | None) -> Document:
    month = Month.of(now, book.rules.zone)
    found = account or book.account(book.endpoint_series(endpoint), month, now)
    figures = account_document(found)
    kept = ("measured", "worst", "budget_s", "remaining_s", "verdict")
    return {"month": str(month), **{key: figures[key] for key in kept}}


def configured_document(book: Book, endpoint: str, now: datetime) -> Document:
    """An endpoint as it is configured, with the holdername GUIDs that it serves at `now`."""
    known = book.register.endpoints[endpoint]
    cadence, expectation = known.cadence, known.expectation
    return {
        "url": known.url,
        "identity": known.identity,
        "connected_from": _day(known.connected_from),
        "disconnected_on": _day(known.disconnected_on),
        "cadence": {
            "interval_s": seconds(cadence.interval),
            "timeout_s": seconds(cadence.timeout),
            "recheck_interval_s": seconds(cadence.recheck_interval),
            "gap_after_s": seconds(cadence.gap_after),
            "confirm_down": cadence.confirm_down,
            "confirm_up": cadence.confirm_up,
        },
        "expect": {
            "method": expectation.method,
            "status": sorted(expectation.statuses),
            "impaired_above_s": seconds(expectation.impaired_above),
        },
        "holdernames": book.register.guids_at([endpoint], Interval.lasting(now, MICROSECOND)),
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def span_document(span: Span) -> Document:
    """A span of one state."""
    start, end = show_instant(span.start), show_instant(span.end)
    return {"state": span.state.value, "start": start, "end": end}


def probe_document(
    endpoint: Endpoint, evidence: Evidence, shown: Mapping[str, Any] | None
) -> Document:
    """One probe and its verdict, with the identity that was shown, if that is known."""
    found: Document = evidence_document(evidence, judge(evidence, endpoint.expectation))
    certificates = [] if shown is None else [shown["certificate"], *shown["chain"]]
    return {**found, "shown": {"identity": endpoint.identity, "chain": certificates}}


def holdername_document(holdername: Holdername, register: Register, at: datetime) -> Document:
    """A holdername, where it stands at an instant, and which endpoints serve it then."""
    serving = {
        service.value: sorted(name for period in found for name in period.names)
        for service in Service
        if (found := _at(register.serving(holdername.guid, service), at))
    }
    return {
        "guid": holdername.guid,
        "name": holdername.name,
        "lifecycle": holdername_lifecycle(holdername.guid, at, register).value,
        "endpoints": serving,
    }


def reconciled_document(day: str, compared: int, found: Sequence[Found]) -> Document:
    """How the mapping differs from the register; `ok` if it does not."""
    return {
        "ok": not found,
        "at": day,
        "compared": compared,
        "differences": [
            {
                "kind": one.kind.value,
                "guid": one.guid,
                "name": one.name,
                "service": one.service.value,
                "configured": list(one.configured),
                "registered": list(one.registered),
            }
            for one in found
        ],
    }


def _at(periods: Iterable[Period], instant: datetime) -> list[Period]:
    return [period for period in periods if instant in period.interval]


def sealing_document(book: Book, month: Month, now: datetime) -> Document:
    """Where a month stands: running, closed or sealed; restatements, and what waits for approval."""
    known = seal.standing(book.seals.get(str(month), ()))
    closed = "closed" if month.interval.end <= now else "running"
    proposed = None if known is None else known.proposed
    return {
        "month": str(month),
        "start": show_instant(month.interval.start),
        "end": show_instant(month.interval.end),
        "state": closed if known is None else "sealed",
        "seals_at": show_instant(seal.seals_at(month, book.rules)),
        "sealed_at": None if known is None else show_instant(known.sealed_at),
        "settled_at": None if known is None else show_instant(known.settled_at),
        "restatements": 0 if known is None else known.restatements,
        "proposed": None
        if proposed is None
        else {
            "at": show_instant(proposed.at),
            "reason": proposed.body["reason"],
            "authors": list(proposed.body["authors"]),
            "series": len(proposed.body["changes"]),
        },
    }


def link_document(number: int, fact: Fact, hashed: str) -> Document:
    """A fact with its place in the chain; `data` is its body."""
    return {
        "seq": number,
        "hash": hashed,
        "at": show_instant(fact.at),
        "type": fact.type,
        "data": dict(fact.body),
    }


def sample_document(sample: Sample) -> Document:
    """An observation as it is kept."""
    seen = sample.observation
    return {
        "at": show_instant(seen.at),
        "result": seen.result.value,
        "reason": seen.reason.value,
        "status": sample.status,
        "duration_s": seconds(timedelta(microseconds=sample.duration_us)),
    }


# -- at a glance -----------------------------------------------------------------------------------


def summary_document(book: Book, now: datetime) -> Document:
    """Connected endpoints by state, and the incidents not closed; for what is asked often.

    `incidents` are those open, and then those that are restored and wait to be closed.
    """
    states: dict[str, list[str]] = {state.value: [] for state in _STATES}
    for name, endpoint in book.register.endpoints.items():
        if lifecycle(endpoint, now, book.register).connected:
            states[_state_at_a_glance(book, name, now).value].append(name)
    current = [one for one in book.records.values() if one.standing and one.closed_at is None]
    current.sort(key=lambda one: (one.view.restored_at is not None, one.view.started_at, one.id))
    return {
        "now": show_instant(now),
        "states": states,
        "incidents": [
            {
                "id": one.id,
                "state": one.state.value,
                "deadline": show_instant(one.deadline(book.rules.restoration_target)),
                "breached": one.breached_at is not None,
            }
            for one in current
        ],
    }


def _state_at_a_glance(book: Book, endpoint: str, now: datetime) -> State:
    """The same as `state_now` says, from what the last observation left open."""
    unsettled = tail(book.track(endpoint), now)
    return unsettled[-1].state if unsettled else state_now(book, endpoint, now)[0]


# -- incidents -------------------------------------------------------------------------------------


def record_document(record: Record, rules: Rules, now: datetime) -> Document:
    """All that we know and owe about an incident."""
    view = record.view
    until = now if view.restored_at is None else view.restored_at
    return {
        **incident_document(record.id, view),
        "state": record.state.value,
        "opened_at": show_instant(record.opened_at),
        "deadline": show_instant(record.deadline(rules.restoration_target)),
        "elapsed_s": seconds(until - view.started_at),
        "at_risk": list(record.at_risk),
        "breached_at": _shown(record.breached_at),
        "acknowledged": _step(record.acknowledged),
        "reported": _report(record),
        "updates": [
            {
                "at": show_instant(update.at),
                "author": update.author,
                "text": update.text,
                "next_update_at": _shown(update.next_update_at),
            }
            for update in record.updates
        ],
        "cause": record.cause,
        "location": None if record.location is None else record.location.value,
        "attested": _step(record.attested),
        "closed_at": _shown(record.closed_at),
        "missing": [] if record.closed_at is not None else record.missing(),
        "merged_into": record.merged_into,
        "voided": record.voided,
        "suggested_action": _suggested(view),
    }


def timeline_document(record: Record) -> list[Document]:
    """Every step of an incident in order: when, what, and what it said."""
    return [_timeline_step(fact) for fact in record.steps]


def _timeline_step(fact: Fact) -> Document:
    left_out = ("id", "members", "asserted", "group", "holdernames")
    return {key: value for key, value in fact_document(fact).items() if key not in left_out}


def _suggested(view: Incident) -> str:
    """What to tell MaPS: an overrun on its declaration's ticket (domain.md section 6)."""
    if view.kind is IncidentKind.EMERGENCY_FIX:
        return "report an incident: an emergency fix, with its reasons"
    if view.declaration is not None:
        return f"comment on the ticket of {view.declaration}, which it overran"
    return "report an incident"


def _step(taken: tuple[datetime, str] | None) -> Document | None:
    return None if taken is None else {"at": show_instant(taken[0]), "author": taken[1]}


def _report(record: Record) -> Document | None:
    if record.reported is None:
        return None
    at, ticket, author = record.reported
    return {"at": show_instant(at), "ticket": ticket, "author": author}


# -- declarations and assertions -------------------------------------------------------------------


def declaration_state(declaration: Declaration, rules: Rules, now: datetime) -> str:
    """draft, notified, active, completion_due, completed, cancelled or ended.

    A draft whose window is over, and MaPS' own downtime once over, has ended: nothing is due.
    """
    if declaration.cancelled_at is not None:
        return "cancelled"
    if declaration.completion is not None:
        return "completed"
    version = declaration.version_at(now, rules)
    if version is None:
        if declaration.latest.window.end <= now:
            return "ended"
        return "draft" if declaration.latest.notified_at is None else "notified"
    if now < version.window.start:
        return "notified"
    if now < version.window.end:
        return "active"
    return "ended" if version.kind is Kind.MAPS else "completion_due"


def declaration_document(declaration: Declaration, rules: Rules, now: datetime) -> Document:
    """A declaration with every version; what holds now stands in `window`, `scope`, `kind`.

    That is the version in force, or the latest one where none is.
    """
    current = declaration.version_at(now, rules) or declaration.latest
    done = declaration.completion
    shown = version_document(current, rules)
    return {
        "id": declaration.id,
        "state": declaration_state(declaration, rules, now),
        **{key: shown[key] for key in ("kind", "window", "scope", "notified_at")},
        "ticket": current.ticket,
        "reason": current.reason,
        **change_document(current),
        "cancelled_at": _shown(declaration.cancelled_at),
        "completion": None
        if done is None
        else {
            "recorded_at": show_instant(done.recorded_at),
            "actual_start": _shown(done.actual_start),
            "actual_end": _shown(done.actual_end),
            "author": done.author,
        },
        "versions": [version_document(version, rules) for version in declaration.versions],
    }


def version_document(version: Version, rules: Rules) -> Document:
    """One version of a declaration; `effective_at` None: a draft, which has no effect."""
    return {
        "recorded_at": show_instant(version.recorded_at),
        "notified_at": _shown(version.notified_at),
        "effective_at": _shown(version.effective_at(rules)),
        "window": {
            "start": show_instant(version.window.start),
            "end": show_instant(version.window.end),
        },
        "scope": scope_document(version.scope),
        "kind": version.kind.value,
        "ticket": version.ticket,
        "reason": version.reason,
        "author": version.author,
        **change_document(version),
    }


def change_document(version: Version) -> Document:
    """The technical change that needs the downtime, the evidence its class needs, and an override."""
    change = version.change_class
    return {
        "technical_change": version.technical_change,
        "change_class": None if change is None else change.value,
        "evidence": [] if change is None else list(EVIDENCE[change]),
        "freeze_override": version.freeze_override,
    }


def scope_document(scope: Scope) -> Document:
    """What a declaration names; None does not narrow."""
    return {
        "endpoints": None if scope.endpoints is None else sorted(scope.endpoints),
        "holdernames": None if scope.holdernames is None else sorted(scope.holdernames),
        "services": None if scope.services is None else sorted(scope.services),
    }


def notice_document(notice: Notice, enough: bool, notify_before: datetime) -> Document:
    """How much notice a window has; MaPS had to be told before `notify_before`."""
    return {
        "days": notice.days,
        "needed": notice.needed,
        "enough": enough,
        "notify_before": show_instant(notify_before),
    }


def notice_days_document(days: Iterable[NoticeDay]) -> list[Document]:
    """How notice was counted: each day, whether it counts, and why."""
    return [{"day": one.day.isoformat(), "counts": one.counts, "why": one.why} for one in days]


def taken_document(taken: Taken) -> Document:
    """An event of MaPS' calendar and what became of it; `id` is that of its declaration."""
    event = taken.event
    return {
        "uid": event.uid,
        "id": taken.id,
        "outcome": taken.outcome.value,
        "why": taken.why,
        "window": {
            "start": show_instant(event.window.start),
            "end": show_instant(event.window.end),
        },
        "reason": event.summary,
    }


def assertion_document(assertion: Assertion, now: datetime) -> Document:
    """An asserted outage as it stands; `state` is pending, open, ended or withdrawn."""
    latest = assertion.latest
    if assertion.withdrawn_at is not None:
        state = "withdrawn"
    elif latest.start > now:
        state = "pending"
    else:
        state = "open" if assertion.is_open(now) else "ended"
    return {
        "id": assertion.id,
        "state": state,
        "start": show_instant(latest.start),
        "end": _shown(latest.end),
        "holdernames": sorted(latest.holdernames),
        "services": None if latest.services is None else sorted(latest.services),
        "reason": latest.reason,
        "author": latest.author,
        "recorded_at": show_instant(latest.recorded_at),
        "withdrawn_at": _shown(assertion.withdrawn_at),
        "versions": len(assertion.versions),
    }


# -- alerts ----------------------------------------------------------------------------------------


def queue_document(stats: Mapping[str, tuple[int, datetime | None, int]]) -> list[Document]:
    """Per receiver: what waits, since when, and what is dead."""
    return [
        {"receiver": receiver, "pending": pending, "oldest_at": _shown(oldest), "dead": dead}
        for receiver, (pending, oldest, dead) in sorted(stats.items())
    ]


def delivery_document(delivery: Delivery) -> Document:
    """One delivery, without the data of its event."""
    return {
        "id": delivery.id,
        "receiver": delivery.receiver,
        "webhook_id": delivery.webhook_id,
        "type": delivery.event.type,
        "key": delivery.event.key,
        "at": show_instant(delivery.event.at),
        "attempts": delivery.attempts,
        "state": delivery.state,
        "last_error": delivery.last_error,
    }


def _shown(instant: datetime | None) -> str | None:
    return None if instant is None else show_instant(instant)
