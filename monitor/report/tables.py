"""The content as tables of plain cells: what CSV and XLSX hold. Instants stay UTC, ISO 8601."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | int | float | None
Row = Sequence[Cell]
_FIGURES = (
    *("eligible_s", "up_s", "unconfirmed_s", "impaired_s", "down_s", "unknown_s"),
    *("unavailable_s", "budget_s", "remaining_s"),
)
_CLASSES = ("declared", "declared_short_notice", "overrun", "undeclared")
_RATIOS = ("measured", "best", "worst", "excluding_declared")
FIGURES = (
    "verdict",
    *_RATIOS,
    *_FIGURES,
    *(f"{name}_s" for name in _CLASSES),
    *("sealed", "restatement"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """One table: `name` is its file and sheet name."""

    name: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]


def tables(content: Mapping[str, Any]) -> list[Table]:
    """Every table of the report, in order."""
    return [
        Table("summary", ("what", "value"), tuple(_summary(content))),
        Table("endpoints", ("endpoint", "service", "group", *FIGURES), tuple(_endpoints(content))),
        Table("holdernames", ("guid", "name", "service", *FIGURES), tuple(_holdernames(content))),
        Table("outages", _OUTAGES, tuple(_outages(content))),
        Table("unknown", ("endpoint", "start", "end", "seconds", "why"), tuple(_unknown(content))),
        Table("declarations", _VERSIONS, tuple(_versions(content))),
        Table("incidents", _INCIDENTS, tuple(_incidents(content))),
        Table("timelines", ("incident", "at", "step", "said"), tuple(_timelines(content))),
        Table("assertions", _ASSERTIONS, tuple(_assertions(content))),
        Table("restatements", _RESTATEMENTS, tuple(_restatements(content))),
        Table("certificates", _CERTIFICATES, tuple(_certificates(content))),
        Table("bank-holidays", ("day",), tuple((day,) for day in content["bank_holidays"]["days"])),
    ]


def _summary(content: Mapping[str, Any]) -> Iterator[Row]:
    sealing = content["sealing"]
    yield from (
        ("organisation", content["organisation"]["name"]),
        ("connection", content["organisation"]["connection"]),
        *((key, content[key]) for key in ("month", "start", "end", "length_s", "zone", "until")),
        ("objective", content["objective"]),
        ("rules", content["rules"]),
        ("sealed_at", None if sealing is None else sealing["sealed_at"]),
        ("restatements", 0 if sealing is None else len(sealing["restatements"])),
        ("configuration_digest", content["configuration"]["digest"]),
        ("bank_holiday_calendar", content["bank_holidays"]["calendar"]),
        ("bank_holidays_digest", content["bank_holidays"]["digest"]),
    )


def figures(row: Mapping[str, Any]) -> Row:
    """The cells of one account, in the order of FIGURES."""
    return (
        row["verdict"],
        *(row[key] for key in _RATIOS),
        *(row[key] for key in _FIGURES),
        *(row["by_class"][name] for name in _CLASSES),
        "yes" if row["sealed"] else "no",
        row.get("restatement"),
    )


def _endpoints(content: Mapping[str, Any]) -> Iterator[Row]:
    known = {each["id"]: each for each in content["endpoints"]}
    for row in content["months"]:
        name = row["series"].get("endpoint")
        if name is not None:
            yield (name, known[name]["service"], known[name]["group"], *figures(row))


def _holdernames(content: Mapping[str, Any]) -> Iterator[Row]:
    names = content["holdernames"]
    for row in content["months"]:
        guid = row["series"].get("holdername")
        if guid is not None:
            yield (guid, names.get(guid), row["series"]["service"], *figures(row))


_OUTAGES = (
    *("outage", "endpoint", "holdername", "service", "source", "outage_start", "outage_end"),
    *("class", "declaration", "start", "end", "seconds"),
)


def _outages(content: Mapping[str, Any]) -> Iterator[Row]:
    for one in content["outages"]:
        series = one["series"]
        whole = (
            *(one["number"], series.get("endpoint"), series.get("holdername")),
            *(series.get("service"), one["source"], one["start"], one["end"]),
        )
        for part in one["parts"]:
            yield (
                *whole,
                *(part[key] for key in ("class", "declaration", "start", "end", "seconds")),
            )


def _unknown(content: Mapping[str, Any]) -> Iterator[Row]:
    for endpoint in content["endpoints"]:
        for one in endpoint["unknown"]:
            yield endpoint["id"], one["start"], one["end"], one["seconds"], _list(one["reasons"])


_VERSIONS = (
    *("declaration", "state", "version", "recorded_at", "notified_at", "effective_at"),
    *("start", "end", "kind", "endpoints", "holdernames", "services", "ticket", "reason"),
    *("author", "notice_days", "notice_enough", "actual_start", "actual_end"),
)


def _versions(content: Mapping[str, Any]) -> Iterator[Row]:
    for one in content["declarations"]:
        done = one["completion"] or {}
        for number, version in enumerate(one["versions"], 1):
            scope = version["scope"]
            yield (
                *(one["id"], one["state"], number),
                *(version[key] for key in ("recorded_at", "notified_at", "effective_at")),
                *(version["window"]["start"], version["window"]["end"], version["kind"]),
                *(_list(scope[key]) for key in ("endpoints", "holdernames", "services")),
                *(version[key] for key in ("ticket", "reason", "author")),
                one["notice"]["days"],
                "yes" if one["notice"]["enough"] else "no",
                *(done.get("actual_start"), done.get("actual_end")),
            )


_INCIDENTS = (
    *("incident", "kind", "state", "group", "started_at", "detected_at", "restored_at"),
    *("elapsed_s", "target_s", "target_met", "ticket", "reported_at", "cause", "location"),
    *("attested_by", "closed_at", "declaration", "endpoints", "holdernames", "missing"),
)
_MET = {True: "met", False: "missed", None: "running"}


def _incidents(content: Mapping[str, Any]) -> Iterator[Row]:
    for one in content["incidents"]:
        reported, attested = one["reported"] or {}, one["attested"] or {}
        yield (
            one["id"],
            *(one[key] for key in _INCIDENTS[1:9]),
            _MET[one["target_met"]],
            *(reported.get("ticket"), reported.get("at")),
            *(one["cause"], one["location"], attested.get("author"), one["closed_at"]),
            one["declaration"],
            *(_list(one[key]) for key in ("endpoints", "holdernames", "missing")),
        )


def _timelines(content: Mapping[str, Any]) -> Iterator[Row]:
    for one in content["incidents"]:
        for step in one["timeline"]:
            yield one["id"], step["at"], step["type"].removeprefix("incident."), said(step)


def said(step: Mapping[str, Any]) -> str:
    """What a step of a timeline says beyond its time and type, on one line."""
    return "; ".join(
        f"{key}: {_list(value) if isinstance(value, list) else value}"
        for key, value in step.items()
        if key not in ("at", "type") and value not in (None, "", [])
    )


_ASSERTIONS = (
    *("assertion", "state", "start", "end", "services", "holdernames", "reason", "author"),
    *("recorded_at", "withdrawn_at"),
)


def _assertions(content: Mapping[str, Any]) -> Iterator[Row]:
    for one in content["assertions"]:
        yield (
            *(one["id"], one["state"], one["start"], one["end"]),
            *(_list(one["services"]), _list(one["holdernames"])),
            *(one[key] for key in ("reason", "author", "recorded_at", "withdrawn_at")),
        )


_RESTATEMENTS = (
    *("restatement", "at", "reason", "series", "unavailable_before_s", "unavailable_now_s"),
    *("measured_before", "measured_now", "authors", "approved_by"),
)


def _restatements(content: Mapping[str, Any]) -> Iterator[Row]:
    sealing = content["sealing"]
    if sealing is None:
        return
    waiting = [] if sealing["proposed"] is None else [sealing["proposed"]]
    for one in [*sealing["restatements"], *waiting]:
        for change in one["changes"]:
            was, now = change["was"] or {}, change["now"]
            yield (
                *(one.get("number", "proposed"), one["at"], one["reason"]),
                " ".join(now["series"].values()),
                *(was.get("unavailable_s"), now["unavailable_s"]),
                *(was.get("measured"), now["measured"]),
                *(_list(one.get("authors")), one.get("approved_by")),
            )


_CERTIFICATES = ("role", "name", "subject", "issuer", "not_before", "not_after", "sha256")


def _certificates(content: Mapping[str, Any]) -> Iterator[Row]:
    for one in content["certificates"]:
        yield tuple(one[key] for key in _CERTIFICATES)


def _list(values: Iterable[str] | None) -> str | None:
    return None if values is None else ", ".join(values)
