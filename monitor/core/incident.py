"""Incidents: one per cause, derived from outages; and our record about each (accounting 7).

`derive` says which incidents the outages known now make up. A `Record` is what we said and did about
one: facts `incident.*`, in order, applied by `advance`. `reconcile` compares the two and answers with
the facts that are due. Human steps are checked by `require`; an illegal one raises and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from monitor.core.fact import Fact
from monitor.core.interval import FOREVER
from monitor.core.month import show_instant
from monitor.core.outage import Class
from monitor.errors import IllegalStep

FIRST_CHANGE = timedelta(seconds=10)
"""How long endpoints may join a new incident before that is told."""
LATER_CHANGES = timedelta(minutes=1)
"""How often further joining is told: a storm is one incident and few messages."""


class IncidentKind(StrEnum):
    """`emergency_fix`: downtime told too late, or told as an emergency (seed-000)."""

    OUTAGE = "outage"
    EMERGENCY_FIX = "emergency_fix"


class IncidentState(StrEnum):
    """Where an incident stands (accounting 7.4)."""

    OPEN = "open"
    RESTORED = "restored"
    CLOSED = "closed"


class Location(StrEnum):
    """Where the cause lay."""

    OWN = "own"
    FEDERATED = "federated"
    MAPS = "maps"


@dataclass(frozen=True, slots=True)
class Need:
    """An outage that needs an incident, from the first instant that does (accounting 7.1).

    `member` names the outage for ever: endpoint and start, or the assertion's id. `end` is None
    while it lasts. `cause` is the endpoint's group, or the assertion's id.
    """

    member: str
    cause: str
    asserted: bool
    start: datetime
    end: datetime | None
    confirmed_at: datetime
    cls: Class
    declaration: str | None
    endpoints: frozenset[str]
    holdernames: frozenset[str]

    @property
    def detected_at(self) -> datetime:
        return max(self.start, self.confirmed_at)


@dataclass(frozen=True, slots=True)
class Incident:
    """Outages of one cause, as known at one instant. `restored_at` is None while any lasts."""

    group: str
    kind: IncidentKind
    asserted: bool
    started_at: datetime
    detected_at: datetime
    restored_at: datetime | None
    endpoints: tuple[str, ...]
    holdernames: tuple[str, ...]
    declaration: str | None
    members: frozenset[str]

    @property
    def state(self) -> IncidentState:
        return IncidentState.OPEN if self.restored_at is None else IncidentState.RESTORED


def derive(needs: Iterable[Need], quiet_period: timedelta) -> list[Incident]:
    """One incident per cause: spans that overlap or lie at most `quiet_period` apart (accounting 7.2).

    In order of detection, then start, then group.
    """
    causes: dict[tuple[bool, str], list[Need]] = {}
    for need in needs:
        causes.setdefault((need.asserted, need.cause), []).append(need)
    found = [
        _incident(run)
        for members in causes.values()
        for run in _runs(sorted(members, key=lambda need: (need.start, need.member)), quiet_period)
    ]
    return sorted(found, key=lambda item: (item.detected_at, item.started_at, item.group))


def _runs(needs: Sequence[Need], quiet_period: timedelta) -> Iterator[list[Need]]:
    """Needs of one cause, in order of start, in runs. Those of one assertion are one run."""
    run: list[Need] = []
    end = needs[0].start
    for need in needs:
        if run and not need.asserted and end is not FOREVER and need.start - end > quiet_period:
            yield run
            run = []
        run.append(need)
        end = FOREVER if need.end is None else max(end, need.end)
    yield run


def _incident(run: Sequence[Need]) -> Incident:
    first = run[0]
    ends = [need.end for need in run]
    emergency = first.cls is Class.SHORT_NOTICE
    return Incident(
        group=first.cause,
        kind=IncidentKind.EMERGENCY_FIX if emergency else IncidentKind.OUTAGE,
        asserted=first.asserted,
        started_at=first.start,
        detected_at=min(need.detected_at for need in run),
        restored_at=None if None in ends else max(end for end in ends if end is not None),
        endpoints=tuple(sorted(frozenset().union(*(need.endpoints for need in run)))),
        holdernames=tuple(sorted(frozenset().union(*(need.holdernames for need in run)))),
        declaration=first.declaration,
        members=frozenset(need.member for need in run),
    )


@dataclass(frozen=True, slots=True)
class Update:
    """A note on an incident: text, and when the next one is due."""

    at: datetime
    author: str
    text: str
    next_update_at: datetime | None


@dataclass(frozen=True, slots=True)
class Record:
    """Our record about an incident: everything its facts say.

    `view` is the incident as last derived, `announced` the state last told to anyone.
    """

    id: str
    view: Incident
    opened_at: datetime
    announced: IncidentState = IncidentState.OPEN
    acknowledged: tuple[datetime, str] | None = None
    reported: tuple[datetime, str, str] | None = None
    updates: tuple[Update, ...] = ()
    cause: str | None = None
    location: Location | None = None
    attested: tuple[datetime, str] | None = None
    closed_at: datetime | None = None
    at_risk: tuple[int, ...] = ()
    breached_at: datetime | None = None
    merged_into: str | None = None
    voided: str | None = None
    steps: tuple[Fact, ...] = ()

    @property
    def state(self) -> IncidentState:
        return IncidentState.CLOSED if self.closed_at is not None else self.announced

    @property
    def standing(self) -> bool:
        """Whether it still counts as an incident of its own."""
        return self.merged_into is None and self.voided is None

    @property
    def members(self) -> frozenset[str]:
        return self.view.members

    def told_lately(self, now: datetime) -> bool:
        """Whether a change was told so lately that a mere joining of endpoints can wait."""
        last = self.steps[-1]
        pause = FIRST_CHANGE if last.type == "incident.opened" else LATER_CHANGES
        return now - last.at < pause

    def deadline(self, target: timedelta) -> datetime:
        """By when service should be restored (CoCo 2.1.4); runs from `started_at`."""
        return self.view.started_at + target

    @property
    def next_update_at(self) -> datetime | None:
        """When MaPS was promised to hear more; None once a later note has told more."""
        for update in reversed(self.updates):
            if update.next_update_at is not None or update.text:
                return update.next_update_at
        return None

    def missing(self) -> list[str]:
        """What closing still needs (accounting 7.4)."""
        lacking = []
        if self.announced is not IncidentState.RESTORED:
            lacking.append("service restored")
        if self.reported is None:
            lacking.append("report to MaPS (monitor incident report)")
        if self.cause is None:
            lacking.append("cause (monitor incident update --cause)")
        if self.attested is None:
            lacking.append(
                "attestation that no acknowledged data was lost (monitor incident attest)"
            )
        return lacking


def incident_body(identifier: str, view: Incident, **more: Any) -> dict[str, Any]:
    """The body of a fact that says how an incident stands."""
    return {
        "id": identifier,
        "kind": view.kind.value,
        "group": view.group,
        "asserted": view.asserted,
        "started_at": show_instant(view.started_at),
        "detected_at": show_instant(view.detected_at),
        "restored_at": None if view.restored_at is None else show_instant(view.restored_at),
        "endpoints": list(view.endpoints),
        "holdernames": list(view.holdernames),
        "declaration": view.declaration,
        "members": sorted(view.members),
        **more,
    }


def view_of(body: Mapping[str, Any]) -> Incident:
    """The incident that a fact's body describes."""
    restored = body["restored_at"]
    return Incident(
        group=body["group"],
        kind=IncidentKind(body["kind"]),
        asserted=body["asserted"],
        started_at=datetime.fromisoformat(body["started_at"]),
        detected_at=datetime.fromisoformat(body["detected_at"]),
        restored_at=None if restored is None else datetime.fromisoformat(restored),
        endpoints=tuple(body["endpoints"]),
        holdernames=tuple(body["holdernames"]),
        declaration=body["declaration"],
        members=frozenset(body["members"]),
    )


def reconcile(
    records: Mapping[str, Record], derived: Iterable[Incident], now: datetime, next_number: int
) -> list[Fact]:
    """The facts that make the records agree with what the outages say now (accounting 7.1 to 7.5).

    `records` are those that the derived incidents may continue; a standing one among them that no
    derived incident continues is voided. Of several that could continue one, the first does. New ones
    are numbered from `next_number`.
    """
    owner = {
        member: record
        for record in records.values()
        if record.standing
        for member in record.members
    }
    facts: list[Fact] = []
    continued: set[str] = set()
    for view in derived:
        owners = [owner[member] for member in view.members if member in owner]
        known = {record.id: record for record in owners if record.id not in continued}
        if not known:
            facts.extend(_opened(f"I-{next_number}", view, now))
            next_number += 1
            continue
        oldest = min(known.values(), key=lambda record: (record.opened_at, record.id))
        continued |= set(known)
        facts.extend(_changed(oldest, view, now))
        for other in sorted(set(known) - {oldest.id}):
            facts.append(Fact(now, "incident.merged", {"id": other, "into": oldest.id}))
    for record in records.values():
        if record.standing and record.id not in continued:
            body = {"id": record.id, "reason": "the facts no longer show an outage that needs one"}
            facts.append(Fact(now, "incident.voided", body))
    return facts


def _opened(identifier: str, view: Incident, now: datetime) -> Iterator[Fact]:
    """An incident over before anyone looked still stands, as restored (accounting 7.5)."""
    yield Fact(now, "incident.opened", incident_body(identifier, replace(view, restored_at=None)))
    if view.restored_at is not None:
        yield Fact(now, "incident.restored", incident_body(identifier, view))


def _changed(record: Record, view: Incident, now: datetime) -> Iterator[Fact]:
    if view == record.view:
        return
    if view.restored_at is None and record.announced is IncidentState.RESTORED:
        yield Fact(now, "incident.reopened", incident_body(record.id, view))
    elif view.restored_at is not None and record.announced is IncidentState.OPEN:
        yield Fact(now, "incident.restored", incident_body(record.id, view))
    else:
        yield Fact(now, "incident.changed", incident_body(record.id, view))


def overdue(
    record: Record, now: datetime, *, target: timedelta, at_risk_after: Sequence[timedelta]
) -> list[Fact]:
    """Restoration at risk and breached, each recorded once and for good (accounting 7.3)."""
    if not record.standing:
        return []
    view = record.view
    until = now if view.restored_at is None else view.restored_at
    elapsed = until - view.started_at
    facts = []
    if record.breached_at is None and elapsed > target:
        body = {"id": record.id, "deadline": show_instant(record.deadline(target))}
        facts.append(Fact(now, "incident.breached", body))
    if view.restored_at is None:
        for mark in at_risk_after:
            seconds = mark // timedelta(seconds=1)
            if mark <= elapsed and seconds not in record.at_risk and mark < target:
                facts.append(Fact(now, "incident.at_risk", {"id": record.id, "after_s": seconds}))
    return facts


def opened(fact: Fact) -> Record:
    """The record that an `incident.opened` fact begins."""
    return Record(fact.body["id"], view_of(fact.body), fact.at, steps=(fact,))


def advance(record: Record, fact: Fact) -> Record:
    """The record after one more fact about it."""
    step = fact.type.removeprefix("incident.")
    record = replace(record, steps=(*record.steps, fact))
    return _ADVANCE[step](record, fact)


def _viewed(record: Record, fact: Fact) -> Record:
    return replace(record, view=view_of(fact.body))


def _restored(record: Record, fact: Fact) -> Record:
    return replace(_viewed(record, fact), announced=IncidentState.RESTORED)


def _reopened(record: Record, fact: Fact) -> Record:
    return replace(_viewed(record, fact), announced=IncidentState.OPEN, closed_at=None)


def _acknowledged(record: Record, fact: Fact) -> Record:
    return replace(record, acknowledged=(fact.at, fact.body["author"]))


def _reported(record: Record, fact: Fact) -> Record:
    told = datetime.fromisoformat(fact.body["reported_at"])
    return replace(record, reported=(told, fact.body["ticket"], fact.body["author"]))


def _updated(record: Record, fact: Fact) -> Record:
    body = fact.body
    next_at = body.get("next_update_at")
    update = Update(
        fact.at,
        body["author"],
        body.get("text", ""),
        None if next_at is None else datetime.fromisoformat(next_at),
    )
    location = body.get("location")
    return replace(
        record,
        updates=(*record.updates, update),
        cause=body.get("cause", record.cause),
        location=record.location if location is None else Location(location),
    )


def _attested(record: Record, fact: Fact) -> Record:
    return replace(record, attested=(fact.at, fact.body["author"]))


def _closed(record: Record, fact: Fact) -> Record:
    return replace(record, closed_at=fact.at)


def _at_risk(record: Record, fact: Fact) -> Record:
    return replace(record, at_risk=(*record.at_risk, fact.body["after_s"]))


def _breached(record: Record, fact: Fact) -> Record:
    return replace(record, breached_at=fact.at)


def _merged(record: Record, fact: Fact) -> Record:
    return replace(record, merged_into=fact.body["into"])


def _voided(record: Record, fact: Fact) -> Record:
    return replace(record, voided=fact.body["reason"])


_ADVANCE = {
    "changed": _viewed,
    "restored": _restored,
    "reopened": _reopened,
    "acknowledged": _acknowledged,
    "reported": _reported,
    "updated": _updated,
    "attested": _attested,
    "closed": _closed,
    "at_risk": _at_risk,
    "breached": _breached,
    "merged": _merged,
    "voided": _voided,
}

HUMAN_STEPS = ("acknowledged", "reported", "updated", "attested", "closed")


def require(record: Record, step: str) -> None:
    """Raise IllegalStep, saying why and what to do, if a human step is not allowed now."""
    if record.merged_into is not None:
        raise IllegalStep(
            f"{record.id} was merged into {record.merged_into}; take the step there instead"
        )
    if record.voided is not None:
        raise IllegalStep(f"{record.id} is void: {record.voided}")
    if record.closed_at is not None:
        raise IllegalStep(
            f"{record.id} was closed at {show_instant(record.closed_at)}; a closed incident takes no"
            " further steps unless a new failure re-opens it"
        )
    if step == "closed" and (missing := record.missing()):
        raise IllegalStep(f"{record.id} cannot be closed yet; still missing: {'; '.join(missing)}")
