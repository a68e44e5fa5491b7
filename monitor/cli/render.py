"""The documents of operations, for people: short tables, then what to warn of."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from monitor.cli import show
from monitor.cli.common import Document, plain

_ADVICE = re.compile(r" \([^)]*\)")  # which command helps: too much for a table

# --- Months, outages, incidents -----------------------------------------------------------------


def account_text(document: Document) -> str:
    """Months, outages and incidents as of one instant."""
    incidents = show.table(
        ["incident", "kind", "state", "group", "started", "restored", "endpoints", "declaration"],
        [
            [
                row["id"],
                row["kind"],
                row["state"],
                row["group"],
                show.local(row["started_at"]),
                show.local(row["restored_at"]),
                show.some(row["endpoints"]),
                row["declaration"],
            ]
            for row in document["incidents"]
        ],
        none="No incidents.",
    )
    return "\n\n".join(
        [_as_of(document), _months(document["months"]), _outages(document["outages"]), incidents]
    )


def _as_of(document: Document) -> str:
    return f"As of {show.local(document['until'])}, by rules version {document['rules']}"


def slo_text(document: Document) -> str:
    """One line for each series of the month."""
    return f"{_as_of(document)}\n\n{_months(document['months'])}"


def _months(months: Iterable[Document]) -> str:
    return show.table(
        [
            *("month", "series", "verdict", "measured", "best", "worst"),
            *("unavailable", "unknown", "budget left", "sealed"),
        ],
        [
            [
                row["month"],
                show.series(row["series"]),
                row["verdict"],
                show.percent(row["measured"]),
                show.percent(row["best"]),
                show.percent(row["worst"]),
                show.duration(row["unavailable_s"]),
                show.duration(row["unknown_s"]),
                show.duration(row["remaining_s"]),
                _sealed(row),
            ]
            for row in months
        ],
        none="Nothing is accounted for.",
    )


def _sealed(row: Document) -> str | None:
    if not row.get("sealed"):
        return None
    if "proposed" not in row:
        return "yes"
    measured = show.percent(row["proposed"]["measured"])
    return f"yes; {measured} proposed (monitor slo approve)"


def approved_text(document: Document) -> str:
    """What an approval did."""
    return (
        f"{document['month']}: restatement {document['number']} counts,"
        f" {len(document['changes'])} changed, approved by {document['approved_by']}"
    )


def outages_text(document: Document) -> str:
    """One line for each part of an outage, and the assertions."""
    assertions = document["assertions"]
    texts = [_outages(document["outages"])]
    if assertions:
        texts.append(_assertions(assertions))
    return "\n\n".join(texts)


def _outages(outages: Iterable[Document]) -> str:
    return show.table(
        ["series", "source", "from", "to", "class"],
        [
            [
                show.series(row["series"]),
                row["source"],
                show.local(part["start"]),
                show.local(part["end"], none="goes on"),
                part["class"],
            ]
            for row in outages
            for part in row["parts"]
        ],
        none="No outages.",
    )


def _assertions(assertions: Iterable[Document]) -> str:
    return show.table(
        ["assertion", "state", "from", "to", "services", "holdernames", "reason"],
        [
            [
                row["id"],
                row["state"],
                show.local(row["start"]),
                show.local(row["end"], none="goes on"),
                show.names(row["services"], none="all"),
                show.some(row["holdernames"]),
                row["reason"],
            ]
            for row in assertions
        ],
        none="No assertions.",
    )


def incidents_text(document: Document) -> str:
    """One line for each incident."""
    return _incidents(document["incidents"])


def _incidents(incidents: Iterable[Document]) -> str:
    return show.table(
        ["incident", "state", "group", "started", "lasted", "restore by", "endpoints", "missing"],
        [
            [
                row["id"],
                row["state"],
                row["group"],
                show.local(row["started_at"]),
                show.duration(row["elapsed_s"]),
                show.local(row["deadline"]),
                show.some(row["endpoints"]),
                show.names(_ADVICE.sub("", missing) for missing in row["missing"]),
            ]
            for row in incidents
        ],
        none="No incidents.",
    )


def incident_text(document: Document) -> str:
    """All about one incident, with its timeline."""
    reported = document["reported"]
    head = show.fields(
        [
            ("incident", document["id"]),
            ("kind", document["kind"]),
            ("state", document["state"]),
            ("group", document["group"]),
            ("endpoints", show.names(document["endpoints"])),
            ("holdernames", show.names(document["holdernames"])),
            ("declaration", document["declaration"]),
            ("started", show.local(document["started_at"])),
            ("detected", show.local(document["detected_at"])),
            ("restored", show.local(document["restored_at"])),
            ("lasted", show.duration(document["elapsed_s"])),
            ("restore by", show.local(document["deadline"])),
            ("breached", show.local(document["breached_at"])),
            ("acknowledged", _step(document["acknowledged"])),
            ("reported", reported and f"{_step(reported)}, ticket {reported['ticket']}"),
            ("cause", document["cause"]),
            ("location", document["location"]),
            ("attested", _step(document["attested"])),
            ("closed", show.local(document["closed_at"])),
            ("merged into", document["merged_into"]),
            ("missing", show.names(document["missing"])),
            ("suggested", document["suggested_action"]),
        ]
    )
    steps = show.table(
        ["at", "step", "author", "what"],
        [
            [show.local(step["at"]), step["type"], step.get("author"), _said(step)]
            for step in document["timeline"]
        ],
        none="No steps.",
    )
    return f"{head}\n\n{steps}"


def _step(step: Document | None) -> str | None:
    return None if step is None else f"{show.local(step['at'])} by {step['author']}"


def _said(step: Document) -> str:
    """What a step said beside when and who."""
    left = {key: value for key, value in step.items() if key not in ("at", "type", "author")}
    return ", ".join(
        f"{key.replace('_', ' ')}: {value}"
        for key, value in left.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    )


# --- Declarations -------------------------------------------------------------------------------


def declarations_text(document: Document) -> str:
    """One line for each declaration."""
    return _declarations(document["declarations"])


def _declarations(declarations: Iterable[Document]) -> str:
    return show.table(
        ["id", "state", "kind", "from", "to", "scope", "notice", "ticket", "reason"],
        [
            [
                row["id"],
                row["state"],
                row["kind"],
                show.local(row["window"]["start"]),
                show.local(row["window"]["end"]),
                _scope(row["scope"]),
                _notice(row["notice"]),
                row["ticket"],
                row["reason"],
            ]
            for row in declarations
        ],
        none="No declarations.",
    )


def _scope(scope: Document) -> str:
    named = [show.some(names) for names in scope.values() if names is not None]
    return " in ".join(named) or "everything"


def _notice(notice: Document) -> str:
    days = f"{notice['days']} of {notice['needed']} days"
    return days if notice["enough"] else f"{days}, too short"


def declaration_text(document: Document) -> str:
    """A declaration with every version, and what to warn of."""
    done = document["completion"]
    head = show.fields(
        [
            ("declaration", document["id"]),
            ("state", document["state"]),
            ("kind", document["kind"]),
            ("from", show.local(document["window"]["start"])),
            ("to", show.local(document["window"]["end"])),
            ("scope", _scope(document["scope"])),
            ("reason", document["reason"]),
            ("ticket", document["ticket"]),
            ("notified", show.local(document["notified_at"], none="not yet: a draft")),
            ("notice", _notice(document["notice"])),
            ("notify before", show.local(document["notice"]["notify_before"])),
            ("technical change", document["technical_change"]),
            ("change class", document["change_class"]),
            ("evidence needed", document["change_class"] and "; ".join(document["evidence"])),
            ("freeze overridden", document["freeze_override"]),
            ("cancelled", show.local(document["cancelled_at"])),
            ("completed", done and f"{show.local(done['recorded_at'])} by {done['author']}"),
            ("actual start", done and show.local(done["actual_start"])),
            ("actual end", done and show.local(done["actual_end"])),
        ]
    )
    versions = show.table(
        ["version", "recorded", "author", "from", "to", "scope", "notified", "ticket"],
        [
            [
                number,
                show.local(version["recorded_at"]),
                version["author"],
                show.local(version["window"]["start"]),
                show.local(version["window"]["end"]),
                _scope(version["scope"]),
                show.local(version["notified_at"]),
                version["ticket"],
            ]
            for number, version in enumerate(document["versions"], 1)
        ],
        none="No versions.",
    )
    return _with_warnings(f"{head}\n\n{versions}", document)


# --- What a write answers -----------------------------------------------------------------------


def declared_text(document: Document) -> str:
    """A declaration as it stands after a write."""
    window = document["window"]
    text = (
        f"{document['id']}: {document['state']}, {document['kind']},"
        f" {show.local(window['start'])} to {show.local(window['end'])},"
        f" {_scope(document['scope'])}; notice {_notice(document['notice'])}"
    )
    return _with_warnings(plain(text), document)


def asserted_text(document: Document) -> str:
    """An assertion as it stands after a write."""
    end = show.local(document["end"], none="it goes on")
    opened = show.names(document["incidents"], none="none")
    text = (
        f"{document['id']}: {document['state']}, {show.local(document['start'])} to {end};"
        f" incidents: {opened}"
    )
    return _with_warnings(plain(text), document)


def stepped_text(document: Document) -> str:
    """An incident as it stands after a step, and what is missing to close it."""
    missing = show.names(document["missing"])
    rest = "" if missing == show.NOTHING else f"; missing: {missing}"
    return _with_warnings(plain(f"{document['id']}: {document['state']}{rest}"), document)


def queued_text(document: Document) -> str:
    """To whom a test goes."""
    return _with_warnings(f"Queued for {show.names(document['queued'])}.", document)


def resent_text(document: Document) -> str:
    """How many dead alerts are under way again."""
    return _with_warnings(f"{document['resent']} to be sent again.", document)


def _with_warnings(text: str, document: Document) -> str:
    return "\n".join([text, *_warnings(document)])


def _warnings(document: Document) -> list[str]:
    return [
        click.style("Warning:", fg="yellow") + f" {plain(warning)}"
        for warning in document.get("warnings", [])
    ]


# --- Now ----------------------------------------------------------------------------------------


def status_text(document: Document) -> str:
    """Everything an operator wants at a glance; what is empty is left out."""
    since = show.local(document["since"])
    state = f"the daemon runs since {since}" if document["live"] else "no daemon runs"
    downtime = document["downtime"]
    texts = [f"{show.local(document['now'])}: {state}", _endpoints(document["endpoints"])]
    if document["incidents"]:
        texts.append(_incidents(document["incidents"]))
    else:
        texts.append("No open incidents.")
    for title, rows in (
        ("Downtime in force", downtime["active"]),
        ("Downtime to come", downtime["upcoming"]),
        ("Downtime to be completed", downtime["completion_due"]),
    ):
        if rows:
            texts.append(f"{title}\n{_declarations(rows)}")
    findings = [one for row in document["endpoints"] for one in row["findings"]]
    if findings:
        texts.append(f"Security findings\n{_findings(findings)}")
    if document["alerts"]:
        texts.append(_queues(document["alerts"]))
    if document.get("warnings"):
        texts.append("\n".join(_warnings(document)))
    return "\n\n".join(texts)


def _endpoints(endpoints: Iterable[Document]) -> str:
    rows = []
    for row in endpoints:
        last, month = row["last"] or {}, row["month"] or {}
        rows.append(
            [
                row["id"],
                row["state"],
                row["lifecycle"],
                show.local(row["since"]),
                last.get("reason"),
                show.local(last.get("at")),
                show.percent(month.get("measured")),
                show.duration(month.get("remaining_s")),
                month.get("verdict"),
            ]
        )
    return show.table(
        [
            *("endpoint", "state", "lifecycle", "since", "reason", "last probe"),
            *("month", "budget left", "verdict"),
        ],
        rows,
        none="No endpoints.",
    )


def _findings(findings: Iterable[Document]) -> str:
    return show.table(
        ["endpoint", "check", "since", "finding"],
        [
            [row["endpoint"], row["check"], show.local(row["since"]), row["finding"]]
            for row in findings
        ],
        none="No findings.",
    )


def _queues(queues: Iterable[Document]) -> str:
    return show.table(
        ["receiver", "pending", "oldest", "dead"],
        [
            [row["receiver"], row["pending"], show.local(row["oldest_at"]), row["dead"]]
            for row in queues
        ],
        none="No alerts wait.",
    )


def dead_text(document: Document) -> str:
    """One line for each dead alert."""
    return show.table(
        ["id", "receiver", "type", "about", "at", "attempts", "last error"],
        [
            [
                row["id"],
                row["receiver"],
                row["type"],
                row["key"],
                show.local(row["at"]),
                row["attempts"],
                row["last_error"],
            ]
            for row in document["dead"]
        ],
        none="No dead alerts.",
    )
