"""For people: aligned tables, UK local times, percentages rounded down, durations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from monitor.cli.common import plain
from monitor.report.words import NOTHING as NOTHING
from monitor.report.words import percent as percent

UK = ZoneInfo("Europe/London")

_COLOURS = {
    "up": "green",
    "met": "green",
    "impaired": "yellow",
    "unknown": "yellow",
    "local": "yellow",
    "indeterminate": "yellow",
    "down": "red",
    "missed": "red",
    "open": "red",
}


def local(instant: datetime | str | None, *, none: str = NOTHING) -> str:
    """An instant, also as ISO 8601 text, as UK clocks show it, to the second, with the zone.

    >>> local("2026-06-01T08:30:00Z"), local("2026-01-01T08:30:00.25Z"), local(None)
    ('2026-06-01 09:30:00 BST', '2026-01-01 08:30:00 GMT', '-')
    """
    if instant is None:
        return none
    at = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return f"{at.astimezone(UK):%Y-%m-%d %H:%M:%S %Z}"


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds, whole seconds rounded down.

    >>> duration(13374), duration(59.9), duration(-60), duration(0), duration(None)
    ('3h 42m 54s', '59s', '-1m 00s', '0s', '-')
    """
    if seconds is None:
        return NOTHING
    whole = int(seconds // 1)
    sign, whole = ("-", -whole) if whole < 0 else ("", whole)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{sign}{hours}h {minutes:02d}m {left:02d}s"
    return f"{sign}{minutes}m {left:02d}s" if minutes else f"{sign}{left}s"


def milliseconds(seconds: float | None) -> str:
    """A phase of a probe; one that was not reached is nothing."""
    return NOTHING if seconds is None else f"{seconds * 1000:.1f} ms"


def names(values: Iterable[str] | None, *, none: str = NOTHING) -> str:
    """A list on one line; an empty one is said as such."""
    return ", ".join(values or ()) or none


def some(values: Iterable[str], most: int = 3) -> str:
    """The first of a list that may be long, for a table, and how many more there are.

    >>> some(["a", "b", "c"]), some(["a", "b", "c", "d", "e"]), some([])
    ('a, b, c', 'a, b, c and 2 more', '-')
    """
    listed = list(values)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return names(listed[:most]) + more


def series(document: dict[str, Any]) -> str:
    """The endpoint, or the holdername GUID and service, that a row is about."""
    if "endpoint" in document:
        return str(document["endpoint"])
    return f"{document['holdername']} {document['service']}"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, none: str) -> str:
    """Rows in aligned columns; `none` is said when there are no rows. Numbers stand right.

    >>> print(table(["id", "n"], [["a", 5], ["bcd", 12]], none="none"))
    id    n
    a     5
    bcd  12
    """
    kept = [list(row) for row in rows]
    if not kept:
        return none
    cells = [[_cell(value) for value in row] for row in kept]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    right = [all(_is_number(row[place]) for row in kept) for place in range(len(headings))]
    lines = [_line(headings, widths, right, colours=False)]
    lines += [_line(row, widths, right, colours=True) for row in cells]
    return "\n".join(lines)


def fields(rows: Iterable[tuple[str, object]]) -> str:
    """Names and values under one another; what has no value is left out.

    >>> print(fields([("id", "D-1"), ("ticket", None), ("reason", "upgrade")]))
    id      D-1
    reason  upgrade
    """
    kept = [(name, _cell(value)) for name, value in rows if value not in (None, "", NOTHING)]
    width = max((len(name) for name, _ in kept), default=0)
    indent = "\n" + " " * (width + 2)
    return "\n".join(
        f"{name.ljust(width)}  {_coloured(value).replace(chr(10), indent)}" for name, value in kept
    )


def _cell(value: object) -> str:
    return NOTHING if value is None else plain(str(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and value.endswith(" %"))


def _coloured(text: str) -> str:
    colour = _COLOURS.get(text)
    return text if colour is None else click.style(text, fg=colour)


def _line(
    values: Sequence[str], widths: Sequence[int], right: Sequence[bool], *, colours: bool
) -> str:
    cells = []
    for value, width, number in zip(values, widths, right, strict=True):
        text = value.replace("\n", " ")
        padding = " " * (width - len(text))
        shown = _coloured(text) if colours else text
        cells.append(padding + shown if number else shown + padding)
    return "  ".join(cells).rstrip()
