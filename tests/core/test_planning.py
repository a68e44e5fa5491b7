"""Planning downtime: change windows in every reading, freezes, notice however it is counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from monitor.core.interval import Interval, IntervalSet
from monitor.core.month import Month
from monitor.core.planning import (
    CHRISTMAS,
    EVIDENCE,
    Candidate,
    ChangeClass,
    Freeze,
    Planning,
    Reading,
    agree,
    candidates,
    change_window,
    change_windows,
    counts,
    freezes,
    frozen,
    must_be_told,
    window_days,
    windows_text,
)
from monitor.core.rules import NoticeCalendar, NoticeMethod, Rules
from tests.core.builders import HOUR, LONDON, bank_holidays, span

ANY, ENGLISH = NoticeCalendar.ANY_UK, NoticeCalendar.ENGLAND_AND_WALES
CLEAR, INCLUSIVE = NoticeMethod.CLEAR, NoticeMethod.INCLUSIVE_START
USUAL = Planning()


def _days(text: str) -> frozenset[date]:
    return frozenset(date.fromisoformat(day) for day in text.split())


ENGLAND_AND_WALES = _days(
    "2024-12-25 2024-12-26"
    " 2025-01-01 2025-04-18 2025-04-21 2025-05-05 2025-05-26 2025-08-25 2025-12-25 2025-12-26"
    " 2026-01-01 2026-04-03 2026-04-06 2026-05-04 2026-05-25 2026-08-31 2026-12-25 2026-12-28"
    " 2027-01-01 2027-03-26 2027-03-29 2027-05-03 2027-05-31 2027-08-30 2027-12-27 2027-12-28"
    " 2028-01-03"
)
ANY_UK = ENGLAND_AND_WALES | _days(
    "2025-01-02 2025-03-17 2025-07-14 2025-08-04 2025-12-01"
    " 2026-01-02 2026-03-17 2026-06-15 2026-07-13 2026-08-03 2026-11-30"
    " 2027-01-04 2027-03-17 2027-07-12 2027-08-02 2027-11-30 2028-01-04"
)
"""The days of GOV.UK's list, typed: those of Scotland and of Northern Ireland added."""
BOTH = replace(USUAL, holidays={ANY: ANY_UK, ENGLISH: ENGLAND_AND_WALES})
RULES = Rules(bank_holidays=ANY_UK)


def london(day: str, at: time = time(0)) -> datetime:
    return datetime.combine(date.fromisoformat(day), at, tzinfo=LONDON).astimezone(UTC)


# -- notice: worked cases --------------------------------------------------------------------------

CASES = [
    # window,      any-uk clear, inclusive,    England clear, inclusive
    # Easter: Good Friday and Easter Monday are holidays in both.
    ("2025-04-22", "2025-04-10", "2025-04-11", "2025-04-10", "2025-04-11"),
    ("2026-04-07", "2026-03-26", "2026-03-27", "2026-03-26", "2026-03-27"),
    ("2027-03-30", "2027-03-18", "2027-03-19", "2027-03-18", "2027-03-19"),
    ("2027-04-06", "2027-03-25", "2027-03-30", "2027-03-25", "2027-03-30"),
    # Early May.
    ("2025-05-06", "2025-04-25", "2025-04-28", "2025-04-25", "2025-04-28"),
    ("2026-05-05", "2026-04-24", "2026-04-27", "2026-04-24", "2026-04-27"),
    ("2027-05-04", "2027-04-23", "2027-04-26", "2027-04-23", "2027-04-26"),
    # The Scottish second of January; in 2027 its substitute on the 4th, in 2028 on the 4th.
    ("2025-01-07", "2024-12-24", "2024-12-27", "2024-12-27", "2024-12-30"),
    ("2026-01-06", "2025-12-23", "2025-12-24", "2025-12-24", "2025-12-29"),
    ("2027-01-05", "2026-12-22", "2026-12-23", "2026-12-23", "2026-12-24"),
    ("2028-01-04", "2027-12-22", "2027-12-22", "2027-12-22", "2027-12-23"),
    # St Patrick's Day, a Monday, a Tuesday (the window's own) and a Wednesday.
    ("2025-03-18", "2025-03-07", "2025-03-10", "2025-03-10", "2025-03-11"),
    ("2026-03-17", "2026-03-09", "2026-03-09", "2026-03-09", "2026-03-10"),
    ("2027-03-23", "2027-03-12", "2027-03-15", "2027-03-15", "2027-03-16"),
    # Christmas, with substitutes in 2026 (28th) and 2027 (27th and 28th).
    ("2025-12-30", "2025-12-18", "2025-12-19", "2025-12-18", "2025-12-19"),
    ("2026-12-29", "2026-12-17", "2026-12-18", "2026-12-17", "2026-12-18"),
    ("2027-12-29", "2027-12-17", "2027-12-20", "2027-12-17", "2027-12-20"),
]
WAYS = [(ANY, CLEAR), (ANY, INCLUSIVE), (ENGLISH, CLEAR), (ENGLISH, INCLUSIVE)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_notice_of_worked_cases(case: tuple[str, ...]) -> None:
    """Told before 17:00 of the last day is enough by each calendar and method, at 17:00 too late."""
    start = london(case[0])
    for (calendar, method), last in zip(WAYS, case[1:], strict=True):
        cutoff = london(last, time(17))
        for told, suffices in ((cutoff - timedelta(microseconds=1), True), (cutoff, False)):
            (found,) = (
                count
                for count in counts(told, start, RULES, BOTH)
                if (count.calendar, count.method) == (calendar, method)
            )
            assert found.notify_before == cutoff
            assert found.notice.enough is suffices


@pytest.mark.parametrize(("calendar", "typed"), [(ANY, ANY_UK), (ENGLISH, ENGLAND_AND_WALES)])
def test_the_worked_cases_use_the_days_of_the_library(
    calendar: NoticeCalendar, typed: frozenset[date]
) -> None:
    """On working days of 2025 to 2027 the typed bank holidays are the library's."""

    def chosen(days: Iterable[date]) -> set[date]:
        return {day for day in days if 2025 <= day.year <= 2027 and day.weekday() < 5}

    assert chosen(bank_holidays(calendar)) == chosen(typed)


def test_the_way_of_the_rules_comes_first() -> None:
    """The count that decides is the first; others follow, each once."""
    rules = replace(
        RULES,
        notice_calendar=ENGLISH,
        notice_method=INCLUSIVE,
        bank_holidays=ENGLAND_AND_WALES,
    )
    found = counts(london("2025-12-24"), london("2026-01-06"), rules, BOTH)
    assert [(count.calendar, count.method) for count in found] == [
        (ENGLISH, INCLUSIVE),
        (ENGLISH, CLEAR),
        (ANY, INCLUSIVE),
        (ANY, CLEAR),
    ]
    assert [count.notice.days for count in found] == [6, 5, 5, 4]


def test_ways_that_say_the_same_agree() -> None:
    """They differ only if one finds the notice enough that another finds too short."""
    window = london("2026-01-06")
    assert agree(counts(london("2025-12-23", time(9)), window, RULES, BOTH))
    assert not agree(counts(london("2025-12-24", time(9)), window, RULES, BOTH))
    assert agree(counts(london("2025-12-30", time(9)), window, RULES, BOTH))


# -- change windows --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("month", "reading", "days"),
    [
        ("2026-01", Reading.NTH_TUESDAY, "2026-01-06 2026-01-20"),
        ("2026-01", Reading.WEEK_CONTAINING_FIRST, "2025-12-30 2026-01-13"),
        ("2026-01", Reading.FIRST_FULL_WEEK, "2026-01-06 2026-01-20"),
        ("2026-01", Reading.ISO_MAJORITY, "2025-12-30 2026-01-13"),
        ("2026-09", Reading.NTH_TUESDAY, "2026-09-01 2026-09-15"),
        ("2026-09", Reading.WEEK_CONTAINING_FIRST, "2026-09-01 2026-09-15"),
        ("2026-09", Reading.FIRST_FULL_WEEK, "2026-09-08 2026-09-22"),
        ("2026-09", Reading.ISO_MAJORITY, "2026-09-01 2026-09-15"),
        ("2026-11", Reading.NTH_TUESDAY, "2026-11-03 2026-11-17"),
        ("2026-11", Reading.WEEK_CONTAINING_FIRST, "2026-10-27 2026-11-10"),
        ("2026-11", Reading.FIRST_FULL_WEEK, "2026-11-03 2026-11-17"),
        ("2026-11", Reading.ISO_MAJORITY, "2026-11-03 2026-11-17"),
    ],
)
def test_readings_of_first_and_third_week(month: str, reading: Reading, days: str) -> None:
    """The examples of 2026 in domain.md section 5."""
    assert set(window_days(Month.parse(month, LONDON), reading)) == _days(days)


def test_readings_differ_as_often_as_they_should() -> None:
    """Over 28 years the first windows differ from the first Tuesday in 240, 48 and 96 months."""
    months = [Month(year, number, LONDON) for year in range(2026, 2054) for number in range(1, 13)]
    usual = [window_days(month, Reading.NTH_TUESDAY)[0] for month in months]
    differing = {
        reading: sum(
            window_days(month, reading)[0] != day for month, day in zip(months, usual, strict=True)
        )
        for reading in Reading
    }
    assert differing == {
        Reading.NTH_TUESDAY: 0,
        Reading.WEEK_CONTAINING_FIRST: 240,
        Reading.FIRST_FULL_WEEK: 48,
        Reading.ISO_MAJORITY: 96,
    }


@pytest.mark.parametrize("reading", Reading)
def test_change_windows_are_ten_real_hours_on_tuesdays(reading: Reading) -> None:
    """Clocks change on Sundays, so every window of every reading is ten hours long."""
    found = list(change_windows(span("2026-01-01", "2028-01-01"), Planning(reading), LONDON))
    assert 47 <= len(found) <= 49
    assert found == sorted(found)
    for window in found:
        assert window.duration == 10 * HOUR
        assert window.start.astimezone(LONDON).weekday() == 1


def test_a_window_of_the_next_month_is_not_missed() -> None:
    """A reading that puts January's first window into December finds it in December."""
    planning = Planning(Reading.ISO_MAJORITY)
    found = list(change_windows(span("2025-12-20", "2025-12-31"), planning, LONDON))
    assert found == [span("2025-12-30T00:00", "2025-12-30T10:00")]


@pytest.mark.parametrize(
    ("start", "end", "inside"),
    [
        ("2026-04-06T23:00", "2026-04-07T09:00", True),
        ("2026-04-06T23:00", "2026-04-07T09:01", False),
        ("2026-04-06T22:59", "2026-04-07T01:00", False),
        ("2026-04-13T23:00", "2026-04-14T01:00", False),
        ("2026-04-21T04:00", "2026-04-21T05:00", True),
        ("2026-04-28T04:00", "2026-04-28T05:00", False),
        ("2026-04-07T00:00", "2026-04-08T00:00", False),
        ("2026-03-31T23:00", "2026-04-25T00:00", False),
    ],
)
def test_a_window_must_lie_whole_in_a_change_window(start: str, end: str, inside: bool) -> None:
    """In summer the change window is from Monday 23:00 to Tuesday 09:00 UTC."""
    assert (change_window(span(start, end), USUAL, LONDON) is not None) is inside


def test_dates_given_are_the_only_change_windows() -> None:
    """An explicit list overrides the reading, at the hours configured."""
    planning = Planning(
        dates=_days("2026-04-16 2026-04-01"), opens=time(22), closes=time(23, 30)
    )  # fmt: skip
    assert list(change_windows(span("2026-03-01", "2026-06-01"), planning, LONDON)) == [
        span("2026-04-01T21:00", "2026-04-01T22:30"),
        span("2026-04-16T21:00", "2026-04-16T22:30"),
    ]
    assert change_window(span("2026-04-07T01:00", "2026-04-07T02:00"), planning, LONDON) is None
    assert windows_text(planning) == "the dates configured, 22:00 to 23:30 UK time"


def test_change_windows_are_told_in_words() -> None:
    """Every reading has its words."""
    assert windows_text(USUAL) == "first and third Tuesday of the month, 00:00 to 10:00 UK time"
    assert len({windows_text(Planning(reading)) for reading in Reading}) == 4


# -- freezes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "year"),
    [
        ("2026-12-23T23:00", "2026-12-24T00:00", None),
        ("2026-12-23T23:00", "2026-12-24T00:01", 2026),
        ("2027-01-02T23:59", "2027-01-03T01:00", 2026),
        ("2027-01-03T00:00", "2027-01-03T01:00", None),
        ("2026-12-01T00:00", "2027-02-01T00:00", 2026),
        ("2026-06-01T00:00", "2026-07-01T00:00", None),
        ("2029-01-02T00:00", "2029-01-02T10:00", 2028),
        ("2030-01-01T00:00", "2030-01-01T10:00", 2029),
    ],
)
def test_the_freeze_runs_over_the_new_year(start: str, end: str, year: int | None) -> None:
    """24 December to 2 January, both included, over the whole window and not its start alone."""
    expected = None if year is None else (date(year, 12, 24), date(year + 1, 1, 2))
    assert frozen(span(start, end), USUAL, LONDON) == expected


def test_freezes_are_uk_days() -> None:
    """A freeze in summer begins at midnight of UK time; the first one touched is named."""
    planning = Planning(freezes=(Freeze((8, 1), (8, 3)), Freeze((7, 1), (7, 1))))
    assert frozen(span("2026-06-30T22:00", "2026-06-30T23:00"), planning, LONDON) is None
    july = (date(2026, 7, 1), date(2026, 7, 1))
    assert frozen(span("2026-06-30T23:00", "2026-06-30T23:01"), planning, LONDON) == july
    assert frozen(span("2026-06-01", "2026-09-01"), planning, LONDON) == july
    assert frozen(span("2026-06-01", "2026-09-01"), Planning(freezes=()), LONDON) is None
    assert freezes(span("2026-07-01", "2026-08-02"), planning, LONDON) == IntervalSet(
        [span("2026-07-01T00:00", "2026-07-01T23:00"), span("2026-07-31T23:00", "2026-08-02")]
    )


def test_a_freeze_may_touch_a_leap_day() -> None:
    """29 February is the 28th in years that have none."""
    freeze = Freeze((2, 29), (3, 1))
    assert freeze.of(2028) == (date(2028, 2, 29), date(2028, 3, 1))
    assert freeze.of(2027) == (date(2027, 2, 28), date(2027, 3, 1))
    assert CHRISTMAS.of(2026) == (date(2026, 12, 24), date(2027, 1, 2))


# -- candidates ------------------------------------------------------------------------------------


def test_candidates_take_the_first_time_that_is_free() -> None:
    """After MaPS' own downtime, never before what is asked from, and none where none fits."""
    taken = IntervalSet(
        [span("2028-11-21T00:00", "2028-11-21T03:00"), span("2028-12-05T01:00", "2028-12-05T09:00")]
    )
    within = span("2028-11-07T02:00", "2029-01-20T00:00")
    found = list(candidates(2 * HOUR, within, USUAL, LONDON, taken))
    assert found == [
        Candidate(
            span("2028-11-07T00:00", "2028-11-07T10:00"),
            span("2028-11-07T02:00", "2028-11-07T04:00"),
        ),
        Candidate(
            span("2028-11-21T00:00", "2028-11-21T10:00"),
            span("2028-11-21T03:00", "2028-11-21T05:00"),
        ),
        Candidate(
            span("2028-12-05T00:00", "2028-12-05T10:00"),
            None,
            "MaPS' own downtime leaves too little of it",
        ),
        Candidate(
            span("2028-12-19T00:00", "2028-12-19T10:00"),
            span("2028-12-19T00:00", "2028-12-19T02:00"),
        ),
        Candidate(span("2029-01-02T00:00", "2029-01-02T10:00"), None, "the change freeze takes it"),
        Candidate(
            span("2029-01-16T00:00", "2029-01-16T10:00"),
            span("2029-01-16T00:00", "2029-01-16T02:00"),
        ),
    ]


def test_work_longer_than_a_change_window_fits_none() -> None:
    """It is said of each of them."""
    within = Interval.lasting(london("2026-04-01"), timedelta(days=30))
    found = list(candidates(11 * HOUR, within, USUAL, LONDON, IntervalSet()))
    assert [(one.window, one.why) for one in found] == [
        (None, "it is too short for this work"),
        (None, "it is too short for this work"),
    ]


# -- technical changes -----------------------------------------------------------------------------


def test_each_class_asks_for_more_evidence_than_the_one_before() -> None:
    """The table of domain.md section 10; from minor on MaPS must be told."""
    for less, more in zip(list(ChangeClass), list(ChangeClass)[1:], strict=False):
        assert set(EVIDENCE[less]) < set(EVIDENCE[more])
    assert "service acceptance" in EVIDENCE[ChangeClass.MINOR]
    assert "integration testing" in EVIDENCE[ChangeClass.MODERATE]
    assert "IT health check" in EVIDENCE[ChangeClass.SIGNIFICANT]
    assert [must_be_told(each) for each in ChangeClass] == [False, True, True, True]
