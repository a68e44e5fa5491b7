"""Planning downtime: change windows, freezes, both ways to count notice (domain.md section 5).

None of this changes how unavailable time counts (accounting 4.6): it is advice, but for a freeze,
which refuses a declaration unless it is overridden with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from monitor.core.interval import Interval, IntervalSet
from monitor.core.month import Month, civil, midnight, months_between
from monitor.core.notice import Notice, latest_notification, notice
from monitor.core.rules import NoticeCalendar, NoticeMethod, Rules

_DAY = timedelta(days=1)
_FORTNIGHT = timedelta(days=14)
_MONDAY, _TUESDAY, _THURSDAY = 0, 1, 3


class Reading(StrEnum):
    """What "Tuesday in the first and third weeks of the month" is taken to mean."""

    NTH_TUESDAY = "nth_tuesday"
    WEEK_CONTAINING_FIRST = "week_containing_first"
    FIRST_FULL_WEEK = "first_full_week"
    ISO_MAJORITY = "iso_majority"


@dataclass(frozen=True, slots=True)
class Freeze:
    """A stretch of each year without changes: (month, day) of its first and of its last day.

    UK dates, both included; a last day that comes before the first lies in the next year.
    """

    first: tuple[int, int]
    last: tuple[int, int]

    def of(self, year: int) -> tuple[date, date]:
        """The first and last day of the freeze that begins in a year."""
        begins = _day_of(year, self.first)
        return begins, _day_of(year + (self.last < self.first), self.last)


def _day_of(year: int, day: tuple[int, int]) -> date:
    """A day of a year; 29 February is the 28th where there is none."""
    try:
        return date(year, *day)
    except ValueError:
        return date(year, 2, 28)


CHRISTMAS = Freeze((12, 24), (1, 2))


@dataclass(frozen=True, slots=True)
class Planning:
    """When changes are welcome and when they are not.

    `dates`, if there are any, are the only days with a change window, whatever the reading.
    `holidays` are the bank holidays of each calendar by which notice is counted for comparison.
    """

    reading: Reading = Reading.NTH_TUESDAY
    opens: time = time(0)
    closes: time = time(10)
    dates: frozenset[date] = frozenset()
    freezes: tuple[Freeze, ...] = (CHRISTMAS,)
    holidays: Mapping[NoticeCalendar, frozenset[date]] = field(default_factory=dict)


# -- change windows --------------------------------------------------------------------------------


def window_days(month: Month, reading: Reading) -> tuple[date, date]:
    """The Tuesdays of a month's first and third week; they may lie in the month before.

    >>> from zoneinfo import ZoneInfo
    >>> january = Month(2026, 1, ZoneInfo("Europe/London"))
    >>> [str(day) for day in window_days(january, Reading.NTH_TUESDAY)]
    ['2026-01-06', '2026-01-20']
    >>> [str(day) for day in window_days(january, Reading.ISO_MAJORITY)]
    ['2025-12-30', '2026-01-13']
    """
    first = month.first
    if reading is Reading.NTH_TUESDAY:
        tuesday = _on_or_after(first, _TUESDAY)
    elif reading is Reading.WEEK_CONTAINING_FIRST:
        tuesday = first - first.weekday() * _DAY + _DAY
    elif reading is Reading.FIRST_FULL_WEEK:
        tuesday = _on_or_after(first, _MONDAY) + _DAY
    else:
        tuesday = _on_or_after(first, _THURSDAY) - 2 * _DAY
    return tuesday, tuesday + _FORTNIGHT


def _on_or_after(day: date, weekday: int) -> date:
    return day + (weekday - day.weekday()) % 7 * _DAY


def change_windows(within: Interval, planning: Planning, zone: ZoneInfo) -> Iterator[Interval]:
    """The change windows that touch a stretch of time, in order."""
    for day in _days(within, planning, zone):
        opens = datetime.combine(day, planning.opens, tzinfo=zone).astimezone(UTC)
        closes = datetime.combine(day, planning.closes, tzinfo=zone).astimezone(UTC)
        if opens < within.end and closes > within.start:
            yield Interval(opens, closes)


def _days(within: Interval, planning: Planning, zone: ZoneInfo) -> list[date]:
    if planning.dates:
        return sorted(planning.dates)
    # A reading may put a month's first window into the month before.
    months = months_between(within.start, within.end + 7 * _DAY, zone)
    return sorted({day for month in months for day in window_days(month, planning.reading)})


def change_window(window: Interval, planning: Planning, zone: ZoneInfo) -> Interval | None:
    """The change window that holds a window of downtime whole."""
    for found in change_windows(window, planning, zone):
        if found.clip(window) == window:
            return found
    return None


_WORDS = {
    Reading.NTH_TUESDAY: "first and third Tuesday of the month",
    Reading.WEEK_CONTAINING_FIRST: "Tuesday of the week of the 1st, and a fortnight later",
    Reading.FIRST_FULL_WEEK: "Tuesday of the first and third full week of the month",
    Reading.ISO_MAJORITY: "Tuesday of the first and third week with its Thursday in the month",
}


def windows_text(planning: Planning) -> str:
    """Which change windows there are, in words."""
    which = "the dates configured" if planning.dates else _WORDS[planning.reading]
    return f"{which}, {planning.opens:%H:%M} to {planning.closes:%H:%M} UK time"


# -- freezes ---------------------------------------------------------------------------------------


def frozen(window: Interval, planning: Planning, zone: ZoneInfo) -> tuple[date, date] | None:
    """The first and last day of the first freeze that any part of a window touches."""
    return min(
        (days for days in _frozen_days(window, planning, zone) if _touches(days, window, zone)),
        default=None,
    )


def _touches(days: tuple[date, date], window: Interval, zone: ZoneInfo) -> bool:
    return window.clip(_whole(days, zone)) is not None


def _whole(days: tuple[date, date], zone: ZoneInfo) -> Interval:
    return Interval(midnight(days[0], zone), midnight(days[1] + _DAY, zone))


def _frozen_days(
    window: Interval, planning: Planning, zone: ZoneInfo
) -> Iterator[tuple[date, date]]:
    first, last = civil(window.start, zone).year - 1, civil(window.end, zone).year
    for year in range(first, last + 1):
        for freeze in planning.freezes:
            yield freeze.of(year)


def freezes(within: Interval, planning: Planning, zone: ZoneInfo) -> IntervalSet:
    """All frozen time of a stretch."""
    days = _frozen_days(within, planning, zone)
    return IntervalSet(_whole(each, zone) for each in days).clip(within)


# -- notice, however it is counted -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Count:
    """The notice of a window by one calendar and method; tell MaPS before `notify_before`."""

    calendar: NoticeCalendar
    method: NoticeMethod
    notice: Notice
    notify_before: datetime


def counts(told: datetime, start: datetime, rules: Rules, planning: Planning) -> tuple[Count, ...]:
    """The notice of a start by every calendar and method, that of the rules first.

    Neither the calendar nor the method is defined by MaPS (domain.md section 5).
    """
    calendars = {rules.notice_calendar: rules.bank_holidays}
    for calendar, days in planning.holidays.items():
        calendars.setdefault(calendar, days)
    methods = sorted(NoticeMethod, key=lambda method: method is not rules.notice_method)
    return tuple(
        _count(told, start, replace(
            rules, notice_calendar=calendar, notice_method=method, bank_holidays=days
        ))
        for calendar, days in calendars.items()
        for method in methods
    )  # fmt: skip


def _count(told: datetime, start: datetime, rules: Rules) -> Count:
    return Count(
        rules.notice_calendar,
        rules.notice_method,
        notice(told, start, rules),
        latest_notification(start, rules),
    )


def agree(found: Iterable[Count]) -> bool:
    """Whether all ways to count say the same of a window: enough, or too short."""
    return len({count.notice.enough for count in found}) <= 1


# -- candidates ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change window to come, and the time in it that would do; None: there is `why` none."""

    change_window: Interval
    window: Interval | None
    why: str | None = None


def candidates(
    lasting: timedelta, within: Interval, planning: Planning, zone: ZoneInfo, taken: IntervalSet
) -> Iterator[Candidate]:
    """The change windows of a stretch, in order, with the first time of such a length in each.

    `taken` is time to stay out of: MaPS' own downtime.
    """
    ice = freezes(within, planning, zone)
    for opening in change_windows(within, planning, zone):
        inside = opening.clip(within)
        assert inside is not None
        free = IntervalSet([inside])
        yield Candidate(opening, *_fit(lasting, free, ice, taken))


def _fit(
    lasting: timedelta, free: IntervalSet, ice: IntervalSet, taken: IntervalSet
) -> tuple[Interval | None, str | None]:
    reasons = (
        (IntervalSet(), "it is too short for this work"),
        (ice, "the change freeze takes it"),
        (taken, "MaPS' own downtime leaves too little of it"),
    )
    for away, why in reasons:
        free -= away
        if not any(part.duration >= lasting for part in free):
            return None, why
    first = next(part for part in free if part.duration >= lasting)
    return Interval.lasting(first.start, lasting), None


# -- technical changes -----------------------------------------------------------------------------


class ChangeClass(StrEnum):
    """How much a technical change may affect (domain.md section 10; seed-004)."""

    MINIMAL = "minimal"
    MINOR = "minor"
    MODERATE = "moderate"
    SIGNIFICANT = "significant"


_OAT = "operational acceptance testing, if MaPS asks for it"
_ACCEPTANCE = (
    "service acceptance",
    "internal IT acceptance evidence: one file of at most 25 MB, JPEG, PNG or PDF",
)
_TESTED = ("prerequisites", "integration testing", *_ACCEPTANCE)

EVIDENCE: Mapping[ChangeClass, tuple[str, ...]] = {
    ChangeClass.MINIMAL: (_OAT,),
    ChangeClass.MINOR: (*_ACCEPTANCE, _OAT),
    ChangeClass.MODERATE: (*_TESTED, _OAT),
    ChangeClass.SIGNIFICANT: (*_TESTED, "IT health check", _OAT),
}
"""What MaPS asks for with a technical change of each class (domain.md section 10)."""


def must_be_told(change: ChangeClass) -> bool:
    """Whether a technical change must be submitted: minor and above (CoCo 2.2.2)."""
    return change is not ChangeClass.MINIMAL
