"""Packs: what people paste into MaPS' portal about downtime and incidents (domain.md 5 and 6).

Form fields, the list of holdername GUIDs, the comments that are due and the timeline, drafted from
the facts. Nothing is submitted, and the same facts give the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.core.book import Book
from monitor.core.downtime import Declaration, Kind, Scope, Series, Version, in_scope
from monitor.core.endpoint import Service
from monitor.core.fact import Fact
from monitor.core.incident import IncidentKind, IncidentState, Location, Record
from monitor.core.interval import Interval, IntervalSet
from monitor.core.month import civil, show_instant
from monitor.core.outage import SeriesOutage
from monitor.errors import IllegalStep

HEADINGS = ("holdername_guid", "scheme_name", "service", "endpoint_url")
"""Columns of the list of GUIDs (domain.md section 11, item 15)."""
INVESTIGATED = "Being investigated"


@dataclass(frozen=True, slots=True, order=True)
class GuidRow:
    """One line of the list of affected schemes; service and URL empty where no mapping says them."""

    holdername_guid: str
    scheme_name: str
    service: str
    endpoint_url: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment for a ticket. `due`: to be made now; else it is there for the record."""

    kind: str
    due: bool
    ticket: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Pack:
    """Everything to paste about one declaration or incident; `action` says what to do with it."""

    id: str
    title: str
    action: str
    ticket: str | None
    form: tuple[tuple[str, str], ...]
    guids: tuple[GuidRow, ...]
    comments: tuple[Comment, ...]
    timeline: tuple[tuple[datetime, str], ...] = ()
    next_update_at: datetime | None = None


def texts(pack: Pack, book: Book) -> dict[str, str]:
    """The files of a pack that are text, by name."""
    fields = "".join(f"\n{name}:\n{value}\n" for name, value in pack.form)
    head = f"{pack.title}\n\nWhat to do: {pack.action}\n"
    found = {"form.txt": f"{head}\nFields of the form\n------------------\n{fields}"}
    if pack.comments:
        found["comments.txt"] = "\n".join(_comment_text(comment) for comment in pack.comments)
    if pack.timeline:
        lines = [f"{_short(at, book)}  {what}" for at, what in pack.timeline]
        found["timeline.txt"] = "\n".join([f"Timeline of {pack.id}", "", *lines, ""])
    return found


def _comment_text(comment: Comment) -> str:
    when = "due now" if comment.due else "for the record"
    where = "the original ticket" if comment.ticket is None else f"ticket {comment.ticket}"
    title = f"{comment.kind.capitalize()} ({when}), on {where}"
    return f"{title}\n{'-' * len(title)}\n{comment.text}\n"


def _short(at: datetime, book: Book) -> str:
    return f"{civil(at, book.rules.zone):%Y-%m-%d %H:%M:%S %Z}"


def _time(at: datetime, book: Book) -> str:
    """An instant as the UK's clocks show it, and in UTC."""
    return f"{_short(at, book)} ({show_instant(at)})"


# -- holdername GUIDs ------------------------------------------------------------------------------


def affected(book: Book, scope: Scope, during: Interval) -> list[GuidRow]:
    """Whom a scope concerns at any instant of a span, by the mapping in force then, sorted."""
    register = book.register
    found = set()
    for guid, service in register.holdername_series():
        if scope.holdernames is not None and guid not in scope.holdernames:
            continue
        if scope.services is not None and service not in scope.services:
            continue
        for period in register.serving(guid, service):
            if period.interval.clip(during) is None:
                continue
            for name in period.names:
                if scope.endpoints is None or name in scope.endpoints:
                    found.add(_guid_row(book, guid, service, name))
    return sorted(found)


def _guid_row(book: Book, guid: str, service: Service, endpoint: str) -> GuidRow:
    known, where = book.register.holdernames[guid], book.register.endpoints[endpoint]
    return GuidRow(guid, known.name, service.value, where.url)


def _incident_guids(book: Book, record: Record, now: datetime) -> list[GuidRow]:
    """Whom an incident concerns while it lasts; none that its record names is left out."""
    view = record.view
    until = max(now, view.started_at) if view.restored_at is None else view.restored_at
    during = Interval(view.started_at, until) if until > view.started_at else None
    services = None
    if view.asserted and (one := book.assertions.get(view.group)) is not None:
        services = one.latest.services
    holdernames = frozenset(view.holdernames) if view.asserted else None
    scope = Scope(frozenset(view.endpoints), holdernames, services)
    rows = [] if during is None else affected(book, scope, during)
    listed = {row.holdername_guid for row in rows}
    names = book.register.holdernames
    rows += [
        GuidRow(guid, names[guid].name if guid in names else "", "", "")
        for guid in view.holdernames
        if guid not in listed
    ]
    return sorted(rows)


def _schemes(rows: Iterable[GuidRow]) -> str:
    count = len({row.holdername_guid for row in rows})
    if count == 0:
        return "None: no holdername is served by what is named"
    noun = "GUID" if count == 1 else "GUIDs"
    return f"{count} holdername {noun}: attach guids.xlsx (guids.csv lists the same)"


# -- planned downtime ------------------------------------------------------------------------------


def downtime_pack(
    book: Book,
    declaration: Declaration,
    organisation: str,
    now: datetime,
    *,
    too_short: bool,
    expected: datetime | None = None,
) -> Pack:
    """What to submit about a declaration, and what to comment on its ticket.

    `too_short`: its notice does not suffice. `expected` is when an overrun should be over.
    Raises IllegalStep for MaPS' own downtime.
    """
    version = declaration.version_at(now, book.rules) or declaration.latest
    latest = declaration.latest
    if latest.kind is Kind.MAPS:
        raise IllegalStep(f"{declaration.id} is MaPS' own downtime: there is nothing to submit")
    rows = affected(book, latest.scope, latest.window)
    ticket = latest.ticket or version.ticket
    emergency = too_short or latest.kind is Kind.EMERGENCY
    return Pack(
        id=declaration.id,
        title=f"Planned downtime notification of {declaration.id}",
        action=_downtime_action(declaration, ticket, emergency=emergency),
        ticket=ticket,
        form=(
            ("Organisation", organisation),
            ("Affected schemes", _schemes(rows)),
            ("Date of the downtime", _dates(latest.window, book)),
            ("Planned start", _time(latest.window.start, book)),
            ("Planned end", _time(latest.window.end, book)),
            ("Reason", _planned_reason(latest)),
        ),
        guids=tuple(rows),
        comments=tuple(_downtime_comments(book, declaration, version, ticket, now, expected)),
    )


def _planned_reason(version: Version) -> str:
    """Why, and the technical change that needs the downtime (seed-004)."""
    if version.technical_change is None:
        return version.reason
    sort = "" if version.change_class is None else f" ({version.change_class.value})"
    return f"{version.reason}\nTechnical change: {version.technical_change}{sort}"


def _downtime_action(declaration: Declaration, ticket: str | None, *, emergency: bool) -> str:
    name = declaration.id
    if declaration.cancelled_at is not None:
        return f"{name} is cancelled. Submit nothing new; see comments.txt for its ticket, if any."
    if emergency:
        return (
            "The notice is too short for planned downtime. Take the emergency-fix route: when the fix"
            " happens choose 'Report an incident' in the technical support portal and state the"
            " reasons; the incident that opens has its own pack (monitor incident pack ID)."
        )
    if ticket is not None:
        return f"Submitted as ticket {ticket}. Comment there; see comments.txt."
    return (
        "In the technical support portal choose 'Planned downtime notification', paste the fields,"
        f" attach guids.xlsx, then: monitor downtime notify {name} --ticket REF"
    )


def _dates(window: Interval, book: Book) -> str:
    start, end = civil(window.start, book.rules.zone), civil(window.end, book.rules.zone)
    first, last = f"{start:%A %d %B %Y}", f"{end:%A %d %B %Y}"
    return first if first == last else f"{first} to {last}"


def _downtime_comments(
    book: Book,
    declaration: Declaration,
    version: Version,
    ticket: str | None,
    now: datetime,
    expected: datetime | None,
) -> Iterator[Comment]:
    if all(one.notified_at is None for one in declaration.versions):
        return
    if declaration.cancelled_at is not None:
        text = "We cancel this planned downtime. Please close this ticket."
        yield Comment("cancellation", True, ticket, text)
        return
    if (change := _change(book, declaration, ticket, now)) is not None:
        yield change
    if now < version.window.end:
        return
    seen = observed(book, version, now)
    if any(outage.open for outage in seen):
        yield _overrun(book, declaration, version, ticket, expected)
    else:
        due = declaration.completion is None
        text = _completion_text(book, declaration, version, seen)
        yield Comment("completion", due, ticket, text)


def _change(
    book: Book, declaration: Declaration, ticket: str | None, now: datetime
) -> Comment | None:
    """What the latest version changes of the one MaPS was last told of before."""
    latest = declaration.latest
    told = [one for one in declaration.versions[:-1] if one.notified_at is not None]
    lines = list(_differences(book, told[-1], latest)) if told else []
    if not lines:
        return None
    before = told[-1]
    due = latest.notified_at in (None, before.notified_at) and now < latest.window.end
    zone = book.rules.zone
    was, then = civil(before.window.start, zone).date(), civil(latest.window.start, zone).date()
    if was != then:
        text = (
            f"A new date is required: {_dates(latest.window, book)} instead of"
            f" {_dates(before.window, book)}. Please close this ticket; a new planned downtime"
            " notification follows."
        )
        return Comment("new date", due, ticket, text)
    return Comment("change of information", due, ticket, "\n".join(["Updated:", *lines]))


def _differences(book: Book, before: Version, after: Version) -> Iterator[str]:
    pairs = (
        ("Planned start", _time(before.window.start, book), _time(after.window.start, book)),
        ("Planned end", _time(before.window.end, book), _time(after.window.end, book)),
        ("Reason", before.reason, after.reason),
    )
    for name, was, now in pairs:
        if was != now:
            yield f"- {name}: {now} (was {was})"
    if before.scope != after.scope:
        yield "- Affected schemes: as in the attached guids.xlsx"


def observed(book: Book, version: Version, now: datetime) -> list[SeriesOutage]:
    """The outages, as seen, of what a version names, that reach into its window; in order of start."""
    found: dict[Interval, SeriesOutage] = {}
    for series in _candidates(book, version):
        if in_scope(series, version.scope, version.window, book.register):
            for outage in book.outages(series, now, version.window):
                found.setdefault(outage.interval, outage)
    return [found[interval] for interval in sorted(found)]


def _candidates(book: Book, version: Version) -> Iterator[Series]:
    """Endpoints, and holdernames that are named or of which more is asserted."""
    yield from book.accounted_endpoints()
    named = version.scope.holdernames or frozenset()
    standing = [one for one in book.assertions.values() if one.withdrawn_at is None]
    for series in book.accounted_holdernames():
        assert series.holdername is not None
        guid = series.holdername
        if guid in named or any(one.concerns(guid, series.service) for one in standing):
            yield series


def _completion_text(
    book: Book, declaration: Declaration, version: Version, seen: list[SeriesOutage]
) -> str:
    window = version.window
    lines = ["The planned downtime is complete."]
    if seen:
        whole = list(IntervalSet(outage.interval for outage in seen))
        spans = [Interval(max(span.start, window.start), span.end) for span in whole]
        lines += [
            f"Actual start: {_time(spans[0].start, book)}",
            f"Actual end: {_time(spans[-1].end, book)}",
        ]
        if len(spans) > 1:
            lines.append("The service was unavailable in these spans:")
            lines += [f"- {_time(span.start, book)} to {_time(span.end, book)}" for span in spans]
        if whole[0].start < window.start:
            lines.append(
                f"It was unavailable before the window too, since {_time(whole[0].start, book)}."
            )
    else:
        start, end = _time(window.start, book), _time(window.end, book)
        lines.append(f"Actual start and end: no unavailability was observed from {start} to {end}.")
    lines += _as_recorded(book, declaration)
    return "\n".join(lines)


def _as_recorded(book: Book, declaration: Declaration) -> Iterator[str]:
    """What was recorded of the work itself, beside what was observed."""
    done = declaration.completion
    if done is not None and done.actual_start is not None:
        yield f"Work began: {_time(done.actual_start, book)}"
    if done is not None and done.actual_end is not None:
        yield f"Work ended: {_time(done.actual_end, book)}"


def _overrun(
    book: Book,
    declaration: Declaration,
    version: Version,
    ticket: str | None,
    expected: datetime | None,
) -> Comment:
    """The issue and the expected resolution, on the ticket of the planned work (seed-000)."""
    records = [
        record
        for record in book.records.values()
        if record.standing
        and record.view.declaration == declaration.id
        and record.state is IncidentState.OPEN
    ]
    issue = next((_issue(record) for record in records), INVESTIGATED)
    if expected is not None:
        when = _time(expected, book)
    else:
        promised = [at for record in records if (at := record.next_update_at) is not None]
        when = "not known yet"
        if promised:
            when += f"; next update at {_time(max(promised), book)}"
    text = (
        "The planned downtime takes longer than expected.\n"
        f"Planned end: {_time(version.window.end, book)}\n"
        f"Issue: {issue}\n"
        f"Expected resolution: {when}"
    )
    return Comment("overrun", True, ticket, text)


# -- incidents -------------------------------------------------------------------------------------


def _issue(record: Record) -> str:
    """What is known of the cause: as recorded, else the last note."""
    notes = [update.text for update in record.updates if update.text]
    return record.cause or (notes[-1] if notes else INVESTIGATED)


def overran(record: Record) -> bool:
    """Whether the incident began as the overrun of a declaration."""
    return record.view.kind is IncidentKind.OUTAGE and record.view.declaration is not None


def incident_pack(
    book: Book,
    record: Record,
    organisation: str,
    now: datetime,
    *,
    expected: datetime | None = None,
) -> Pack:
    """What to submit about an incident, what to comment on its ticket, and what happened when."""
    view = record.view
    rows = _incident_guids(book, record, now)
    declaration = None if view.declaration is None else book.declaration(view.declaration)
    return Pack(
        id=record.id,
        title=f"Incident report of {record.id}",
        action=_incident_action(record, declaration),
        ticket=None if record.reported is None else record.reported[1],
        form=(
            ("Organisation", organisation),
            ("Incident location", _LOCATIONS[record.location]),
            ("Affected schemes", _schemes(rows)),
            ("Status", _status(book, record)),
            ("Estimated start", _time(view.started_at, book)),
            ("Time of next update", _next_update(book, record)),
            ("Reason for downtime", _reason(book, record, declaration)),
        ),
        guids=tuple(rows),
        comments=tuple(_incident_comments(book, record, declaration, now, expected)),
        timeline=tuple((fact.at, _step_text(book, fact)) for fact in record.steps),
        next_update_at=record.next_update_at,
    )


_LOCATIONS = {
    None: "Our service (not yet established)",
    Location.OWN: "Our own service",
    Location.FEDERATED: "A federated service behind ours",
    Location.MAPS: "MaPS",
}


def _incident_action(record: Record, declaration: Declaration | None) -> str:
    if not record.standing:
        return f"Nothing: {record.id} no longer stands as an incident of its own."
    if record.reported is not None:
        return f"Reported as ticket {record.reported[1]}. Comment there; see comments.txt."
    if overran(record) and declaration is not None:
        ticket = declaration.latest.ticket
        where = "the ticket of its notification" if ticket is None else f"ticket {ticket}"
        return (
            f"This is the overrun of declaration {declaration.id}: comment on {where} (see"
            f" comments.txt), then: monitor incident report {record.id} --ticket {ticket or 'REF'}"
        )
    after = f"then: monitor incident report {record.id} --ticket REF"
    if record.view.kind is IncidentKind.EMERGENCY_FIX:
        return (
            "This is an emergency fix, told at too short notice: choose 'Report an incident' in the"
            f" technical support portal, paste the fields with the reasons, attach guids.xlsx, {after}"
        )
    return (
        "In the technical support portal choose 'Report an incident', paste the fields, attach"
        f" guids.xlsx, {after}"
    )


def _status(book: Book, record: Record) -> str:
    if record.view.restored_at is None:
        return "Open: the service is unavailable"
    closed = "Closed: " if record.state is IncidentState.CLOSED else "Restored: "
    return f"{closed}the service is available again since {_time(record.view.restored_at, book)}"


def _next_update(book: Book, record: Record) -> str:
    if record.view.restored_at is not None:
        return "None: the service is restored"
    if record.next_update_at is None:
        return "To be confirmed"
    return _time(record.next_update_at, book)


def _reason(book: Book, record: Record, declaration: Declaration | None) -> str:
    lines = []
    if declaration is not None:
        latest = declaration.latest
        if overran(record):
            ticket = f" (ticket {latest.ticket})" if latest.ticket else ""
            lines.append(f"Overrun of planned downtime {declaration.id}{ticket}: {latest.reason}")
        else:
            lines.append(f"Emergency fix {declaration.id}: {latest.reason}")
    if record.view.asserted and (one := book.assertions.get(record.view.group)) is not None:
        lines.append(one.latest.reason)
    if not lines or record.cause is not None:
        lines.append(_issue(record))
    return "\n".join(lines)


def _incident_comments(
    book: Book,
    record: Record,
    declaration: Declaration | None,
    now: datetime,
    expected: datetime | None,
) -> Iterator[Comment]:
    view, told = record.view, record.reported
    ticket = None if told is None else told[1]
    closed = record.state is IncidentState.CLOSED or not record.standing
    if overran(record) and declaration is not None:
        ticket = declaration.latest.ticket or ticket
        if view.restored_at is None:
            yield _overrun(book, declaration, declaration.latest, ticket, expected)
    elif told is None:
        return
    if view.restored_at is not None:
        due = not (closed or _told_since_restored(record))
        yield Comment("restoration", due, ticket, _restored_text(book, record))
        return
    promised = record.next_update_at
    due = promised is not None and promised <= now and not closed
    text = [
        f"Update on the incident that began at {_time(view.started_at, book)}.",
        f"Status: {_status(book, record)}",
        f"Issue: {_issue(record)}",
    ]
    if expected is not None:
        text.append(f"Expected resolution: {_time(expected, book)}")
    yield Comment("update", due, ticket, "\n".join(text))


def _told_since_restored(record: Record) -> bool:
    """Whether a note was made after we knew that service was restored."""
    kinds = [fact.type for fact in record.steps]
    since = len(kinds) - kinds[::-1].index("incident.restored")
    return any(
        fact.type == "incident.updated" and fact.body.get("text") for fact in record.steps[since:]
    )


def _restored_text(book: Book, record: Record) -> str:
    view = record.view
    assert view.restored_at is not None
    lines = [
        "The service is restored.",
        f"Start: {_time(view.started_at, book)}",
        f"End: {_time(view.restored_at, book)}",
        f"Cause: {record.cause or 'still being investigated'}",
    ]
    if record.attested is not None:
        lines.append("No data that had been acknowledged was lost.")
    return "\n".join(lines)


_STEPS = {
    "opened": "opened",
    "changed": "changed",
    "restored": "service restored",
    "reopened": "failed again, re-opened",
    "acknowledged": "acknowledged",
    "reported": "reported to MaPS",
    "updated": "noted",
    "attested": "attested that no acknowledged data was lost",
    "closed": "closed",
    "at_risk": "restoration at risk",
    "breached": "restoration target missed",
    "merged": "merged",
    "voided": "void",
}
_DETAILS = {
    "author": "by",
    "ticket": "ticket",
    "reported_at": "told at",
    "started_at": "unavailable since",
    "restored_at": "restored at",
    "text": "note:",
    "cause": "cause:",
    "location": "location",
    "next_update_at": "next update at",
    "deadline": "to be restored by",
    "into": "into",
    "reason": "because",
}


def _step_text(book: Book, fact: Fact) -> str:
    """One step of an incident on one line."""
    known = fact.body
    details = [
        f"{label} {_detail(book, key, known[key])}"
        for key, label in _DETAILS.items()
        if known.get(key)
    ]
    step = _STEPS[fact.type.removeprefix("incident.")]
    return f"{step}: {', '.join(details)}" if details else step


def _detail(book: Book, key: str, value: Any) -> str:
    if key.endswith("_at") or key == "deadline":
        return _short(datetime.fromisoformat(value), book)
    return " ".join(str(value).split())
