"""Calendars of MaPS' own downtime, as iCalendar (RFC 5545) and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Calendar

from monitor.core.interval import Interval
from monitor.core.maps import Event
from monitor.core.month import midnight, read_instant
from monitor.errors import BadInstant, UsageError

COLUMNS = ("uid", "start", "end", "summary")
"""What a CSV must have; `status` may stand beside them, and says CANCELLED."""
_REPEATS = ("RRULE", "RDATE", "RECURRENCE-ID")


class Format(StrEnum):
    """How a calendar is written."""

    ICS = "ics"
    CSV = "csv"


class _Fault(Exception):
    """Something wrong with one event."""


def read_calendar(text: str, form: Format, zone: ZoneInfo) -> list[Event]:
    """The events of a calendar, whole or not at all.

    Times without a zone are civil time of `zone` in CSV, and refused in iCalendar; whole days are
    days of `zone`. Raises UsageError with every fault.
    """
    faults: list[str] = []
    events: list[Event] = []
    rows = _ics(text) if form is Format.ICS else _csv(text)
    for where, read in rows:
        try:
            events.append(read(zone))
        except (_Fault, BadInstant) as trouble:
            faults.append(f"{where}: {trouble}")
    for uid, times in Counter(event.uid for event in events).items():
        if times > 1:
            faults.append(f'UID "{uid}" stands {times} times; a UID names one event')
    if faults:
        raise UsageError("\n".join(["the calendar cannot be used, nothing was taken:", *faults]))
    return events


def _event(uid: str, start: datetime, end: datetime, summary: str, status: str) -> Event:
    if start >= end:
        raise _Fault("does not end after its start; give an end that is later")
    words = " ".join(summary.split()) or "downtime of MaPS"
    return Event(uid, Interval(start, end), words, status.strip().upper() == "CANCELLED")


# -- iCalendar -------------------------------------------------------------------------------------


def _ics(text: str) -> Iterator[tuple[str, Callable[[ZoneInfo], Event]]]:
    try:
        calendar = Calendar.from_ical(text)
    except (ValueError, IndexError, KeyError) as trouble:
        raise UsageError(f"the calendar is no iCalendar file: {trouble}; export it anew") from None
    for place, component in enumerate(calendar.walk("VEVENT"), 1):
        yield f"event {place}", partial(_component, component)


def _component(found: Any, zone: ZoneInfo) -> Event:
    broken = [f"{name}: {trouble}" for name, trouble in found.errors]
    if broken:
        raise _Fault("; ".join(broken))
    uid = str(found.get("UID", "")).strip()
    if not uid:
        raise _Fault("has no UID, by which it would be known again")
    repeats = [name for name in _REPEATS if name in found]
    if repeats:
        raise _Fault(f"repeats ({', '.join(repeats)}); export single events")
    start = _edge(found, "DTSTART", zone)
    if start is None:
        raise _Fault("has no DTSTART")
    summary, status = str(found.get("SUMMARY", "")), str(found.get("STATUS", ""))
    return _event(uid, start, _end(found, start, zone), summary, status)


def _end(found: Any, start: datetime, zone: ZoneInfo) -> datetime:
    """Its end, its start and duration, or for a whole day the next midnight."""
    end = _edge(found, "DTEND", zone)
    if end is not None:
        return end
    whole_day = not isinstance(found["DTSTART"].dt, datetime)
    length: timedelta | None = found["DURATION"].dt if "DURATION" in found else None
    if whole_day:
        days = timedelta(days=1) if length is None else length
        return midnight(found["DTSTART"].dt + days, zone)
    if length is None:
        raise _Fault("has neither DTEND nor DURATION")
    return start + length


def _edge(found: Any, name: str, zone: ZoneInfo) -> datetime | None:
    value = found.get(name)
    if value is None:
        return None
    if isinstance(value, list):
        raise _Fault(f"has {name} more than once")
    at: date = value.dt
    if not isinstance(at, datetime):
        return midnight(at, zone)
    if at.tzinfo is None:
        named = value.params.get("TZID")
        if named:
            raise _Fault(f'{name}: the time zone "{named}" is not known; use UTC (with a Z)')
        raise _Fault(f"{name}: has no time zone; write UTC (with a Z) or a TZID")
    return at.astimezone(UTC)


# -- CSV -------------------------------------------------------------------------------------------


def _csv(text: str) -> Iterator[tuple[str, Callable[[ZoneInfo], Event]]]:
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    names = {name.strip().lower(): name for name in rows.fieldnames or ()}
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UsageError(
            f"the calendar has no column {', '.join(missing)}; its first line must name"
            f" {', '.join(COLUMNS)}, and may name status"
        )
    for row in rows:
        cells = {name: (row.get(column) or "").strip() for name, column in names.items()}
        if any(cells.values()):
            yield f"line {rows.line_num}", partial(_row, cells)


def _row(cells: dict[str, str], zone: ZoneInfo) -> Event:
    empty = [name for name in COLUMNS if name != "summary" and not cells[name]]
    if empty:
        raise _Fault(f"{', '.join(empty)}: is empty")
    start, end = (read_instant(cells[name], zone) for name in ("start", "end"))
    return _event(cells["uid"], start, end, cells["summary"], cells.get("status", ""))
