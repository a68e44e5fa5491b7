"""Working days and notice, by the examples of domain.md section 5."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.notice import (
    Notice,
    counted_day,
    counting_days,
    enough,
    is_working_day,
    latest_notification,
    next_working_day,
    notice,
    working_days_after,
)
from monitor.core.rules import NoticeCalendar, NoticeMethod
from tests.core.builders import HOUR, LONDON, TICK, at, rules

ANY_UK, ENGLAND = NoticeCalendar.ANY_UK, NoticeCalendar.ENGLAND_AND_WALES
CLEAR, INCLUSIVE = NoticeMethod.CLEAR, NoticeMethod.INCLUSIVE_START


def uk(text: str) -> datetime:
    """UK time."""
    return datetime.fromisoformat(text).replace(tzinfo=LONDON).astimezone(at("2026-01-01").tzinfo)


WORKED = [
    # Easter: Friday 3 and Monday 6 April 2026.
    ("2026-04-07", ANY_UK, CLEAR, "2026-03-26"),
    ("2026-04-07", ENGLAND, CLEAR, "2026-03-26"),
    ("2026-04-07", ANY_UK, INCLUSIVE, "2026-03-27"),
    # Early May: Monday 4 May 2026.
    ("2026-05-05", ANY_UK, CLEAR, "2026-04-24"),
    ("2026-05-05", ANY_UK, INCLUSIVE, "2026-04-27"),
    ("2026-05-05", ENGLAND, INCLUSIVE, "2026-04-27"),
    # Christmas and New Year; 2 January is a Scottish bank holiday.
    ("2026-01-06", ENGLAND, CLEAR, "2025-12-24"),
    ("2026-01-06", ANY_UK, CLEAR, "2025-12-23"),
    # St Patrick's Day, a Northern Irish one: Tuesday 17 March 2026.
    ("2026-03-18", ENGLAND, CLEAR, "2026-03-10"),
    ("2026-03-18", ANY_UK, CLEAR, "2026-03-09"),
]


@pytest.mark.parametrize(("day", "calendar", "method", "last"), WORKED)
def test_worked_examples(
    day: str, calendar: NoticeCalendar, method: NoticeMethod, last: str
) -> None:
    """Notice is enough up to 17:00 UK time of the day the domain sheet names, and not at 17:00."""
    choice = rules(calendar, notice_method=method)
    start, cutoff = uk(f"{day}T00:00"), uk(f"{last}T17:00")
    assert latest_notification(start, choice) == cutoff
    assert enough(cutoff - TICK, start, choice)
    assert not enough(cutoff, start, choice)
    assert notice(cutoff - TICK, start, choice).days == 5
    assert notice(cutoff, start, choice) == Notice(4, 5)


def test_working_days() -> None:
    """A working day is Monday to Friday and no bank holiday of the calendar (accounting 4.3)."""
    assert not is_working_day(date(2026, 1, 2), rules(ANY_UK))
    assert not is_working_day(date(2026, 1, 2), rules(NoticeCalendar.SCOTLAND))
    assert is_working_day(date(2026, 1, 2), rules(ENGLAND))
    assert is_working_day(date(2026, 1, 2), rules(NoticeCalendar.NORTHERN_IRELAND))
    assert not is_working_day(date(2026, 1, 3), rules())
    assert next_working_day(date(2026, 4, 2), rules()) == date(2026, 4, 7)
    assert next_working_day(date(2026, 3, 2), rules()) == date(2026, 3, 3)


def test_cut_off() -> None:
    """From 17:00 UK time, and on a day off, a notification counts on the next working day."""
    assert counted_day(uk("2026-09-03T16:59:59"), rules()) == date(2026, 9, 3)
    assert counted_day(uk("2026-09-03T17:00"), rules()) == date(2026, 9, 4)
    assert counted_day(uk("2026-09-04T17:00"), rules()) == date(2026, 9, 7)
    assert counted_day(uk("2026-09-05T10:00"), rules()) == date(2026, 9, 7)
    assert counted_day(uk("2026-09-03T00:00"), rules()) == date(2026, 9, 3)


def test_notice_is_counted_in_uk_days() -> None:
    """A window at 00:00 UK time in summer starts that day, though it is the day before in UTC."""
    found = counting_days(uk("2026-09-04T10:00"), at("2026-09-14T23:00"), rules())
    assert list(found) == [date(2026, 9, day) for day in (7, 8, 9, 10, 11, 14)]


def test_no_days_asked() -> None:
    """With `notice_days: 0` it is enough to tell before the start."""
    choice = rules(notice_days=0)
    start = at("2026-09-05T10:00")
    assert enough(start, start, choice)
    assert not enough(start + TICK, start, choice)


def test_late_notice_has_no_days() -> None:
    """A notification after the start has no working days at all."""
    assert notice(at("2026-09-10T10:00"), at("2026-09-01T00:00"), rules()) == Notice(0, 5)


def test_days_after_a_month() -> None:
    """Working days after a day are counted from that day on, whole."""
    assert working_days_after(date(2026, 4, 1), 0, rules()) == date(2026, 4, 1)
    assert working_days_after(date(2026, 4, 1), 5, rules()) == date(2026, 4, 10)


@given(
    st.datetimes(at("2025-06-01").replace(tzinfo=None), at("2027-06-01").replace(tzinfo=None)),
    st.integers(0, 30 * 24),
    st.sampled_from(list(NoticeCalendar)),
    st.sampled_from(list(NoticeMethod)),
    st.integers(1, 10),
)
def test_enough_agrees_with_counting(
    told: datetime, hours: int, calendar: NoticeCalendar, method: NoticeMethod, needed: int
) -> None:
    """Stopping early gives the same answer as counting every day, one by one."""
    choice = rules(calendar, notice_method=method, notice_days=needed)
    notified = told.replace(tzinfo=LONDON).astimezone(at("2026-01-01").tzinfo)
    start = notified + hours * HOUR
    day = notified.astimezone(LONDON).date()
    local = notified.astimezone(LONDON).time()
    if local >= choice.notice_cutoff or day.weekday() >= 5 or day in choice.bank_holidays:
        day = next_working_day(day, choice)
    last = start.astimezone(LONDON).date() - (1 if method is CLEAR else 0) * timedelta(days=1)
    days = [day + timedelta(days=n) for n in range(1, 60) if day + timedelta(days=n) <= last]
    counted = sum(is_working_day(one, choice) for one in days)
    assert notice(notified, start, choice).days == counted
    assert enough(notified, start, choice) == (counted >= needed) == Notice(counted, needed).enough


@given(
    st.dates(date(2025, 6, 1), date(2027, 6, 1)),
    st.sampled_from(list(NoticeCalendar)),
    st.sampled_from(list(NoticeMethod)),
)
def test_the_last_moment_is_the_last(
    day: date, calendar: NoticeCalendar, method: NoticeMethod
) -> None:
    """Just before the last moment notice is enough; from it on it is not."""
    choice = rules(calendar, notice_method=method)
    start = uk(f"{day}T00:00")
    last = latest_notification(start, choice)
    assert enough(last - TICK, start, choice)
    assert not enough(last, start, choice)
