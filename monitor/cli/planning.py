"""`downtime plan` for people, and `downtime import`: what they read, and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from monitor.cli import show
from monitor.cli.common import Document, plain
from monitor.errors import UsageError

FORMATS = ("ics", "csv")


def plan_text(document: Document) -> str:
    """The verdict with its reasons, the figures behind it, and the next windows that would do."""
    verdict = "would do" if document["ok"] else "would not do"
    blocks = [
        f"{_span(document['window'])}: this window {verdict}.",
        _marked("Against:", "red", document["objections"]),
        _marked("Warning:", "yellow", document["warnings"]),
        _facts(document),
        "" if document["counts_agree"] else _counts(document["counts"]),
        _budget(document["budget"]),
        _alternatives(document["alternatives"]),
        _passed_over(document["passed_over"]),
    ]
    return "\n\n".join(block for block in blocks if block)


def _span(window: Document) -> str:
    return f"{show.local(window['start'])} to {show.local(window['end'])}"


def _marked(mark: str, colour: str, texts: Iterable[str]) -> str:
    return "\n".join(f"{click.style(mark, fg=colour)} {plain(text)}" for text in texts)


def _facts(document: Document) -> str:
    notice, inside, freeze = document["notice"], document["change_window"], document["freeze"]
    away = [f"{one['id']} {_span(one)}" for one in document["maps_downtime"]]
    return show.fields(
        [
            ("notice if told now", f"{notice['days']} of {notice['needed']} working days"),
            ("tell MaPS before", show.local(notice["notify_before"])),
            ("change window", _span(inside["window"]) if inside["inside"] else "outside"),
            ("freeze", f"{freeze['from']} to {freeze['to']}" if freeze else "none"),
            ("MaPS' own downtime", "; ".join(away) or "none"),
        ]
    )


def _counts(counts: Iterable[Document]) -> str:
    return show.table(
        ["calendar", "method", "days", "enough", "tell MaPS before"],
        [
            [
                row["calendar"],
                row["method"],
                row["days"],
                "yes" if row["enough"] else "no",
                show.local(row["notify_before"]),
            ]
            for row in counts
        ],
        none="",
    )


def _budget(rows: Iterable[Document]) -> str:
    return show.table(
        ["month", "series", "left now", "this window", "other windows", "left after", "forecast"],
        [
            [
                row["month"],
                show.series(row["series"]),
                show.duration(row["remaining_s"]),
                show.duration(row["planned_s"]),
                show.duration(row["reserved_s"]),
                show.duration(row["after_s"]),
                show.duration(row["forecast_s"]),
            ]
            for row in rows
        ],
        none="No budget is touched.",
    )


def _alternatives(rows: list[Document]) -> str:
    if not rows:
        return "No change window of the next half year would do for so long a time."
    lines = ["Windows that would do, best first:"]
    for number, row in enumerate(rows, 1):
        lines.append(f"{number}. {_span(row['window'])}")
        lines += [f"   {plain(reason)}" for reason in row["why"]]
    return "\n".join(lines)


def _passed_over(rows: list[Document]) -> str:
    if not rows:
        return ""
    lines = ["Change windows passed over:"]
    lines += [f"{_span(row['change_window'])}: {plain('; '.join(row['why']))}" for row in rows]
    return "\n".join(lines)


def calendar_text(file: Path) -> str:
    """What a calendar says. Raises UsageError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is not UTF-8 text; export the calendar anew") from None
    except OSError as trouble:
        raise UsageError(f"{file}: {trouble.strerror}") from None


def format_of(file: Path) -> str:
    """The format that a name ends in. Raises UsageError."""
    ending = file.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise UsageError(f"{file}: ends in neither .ics nor .csv; say which with --format")
    return ending


def imported_text(document: Document) -> str:
    """What became of each event."""
    return show.table(
        ["id", "outcome", "from", "to", "reason", "why"],
        [
            [
                row["id"],
                row["outcome"],
                show.local(row["window"]["start"]),
                show.local(row["window"]["end"]),
                row["reason"],
                row["why"],
            ]
            for row in document["events"]
        ],
        none="The calendar has no events.",
    )
