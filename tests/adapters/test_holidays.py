"""Bank holidays, against the list that GOV.UK publishes."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from govuk_bank_holidays.bank_holidays import BankHolidays

from monitor.adapters.holidays import PUBLISHED_UNTIL, bank_holidays, horizon
from monitor.core.rules import NoticeCalendar

DIVISIONS = {
    NoticeCalendar.ENGLAND_AND_WALES: BankHolidays.ENGLAND_AND_WALES,
    NoticeCalendar.SCOTLAND: BankHolidays.SCOTLAND,
    NoticeCalendar.NORTHERN_IRELAND: BankHolidays.NORTHERN_IRELAND,
}

# Days on which the oracle's copy of the list is stale, with the reason.
STALE = {
    NoticeCalendar.SCOTLAND: {date(2026, 6, 15)},  # proclaimed in February 2026 for the World Cup
}


@pytest.fixture(scope="module")
def published() -> BankHolidays:
    return BankHolidays(use_cached_holidays=True)


@pytest.mark.parametrize("calendar", DIVISIONS)
def test_weekdays_agree_with_the_published_list(
    calendar: NoticeCalendar, published: BankHolidays
) -> None:
    """Weekday holidays of 2012 to 2028 are those that GOV.UK published, but for named ones."""
    theirs = {each["date"] for each in published.get_holidays(DIVISIONS[calendar])}
    ours = bank_holidays(calendar, range(2012, PUBLISHED_UNTIL + 1))
    weekdays = {day for day in ours if day.weekday() < 5}
    assert weekdays - theirs == STALE.get(calendar, set())
    assert theirs - weekdays == set()


def test_any_uk_is_the_union() -> None:
    """A bank holiday in any part of the UK is one of `any-uk`."""
    parts = frozenset[date]().union(*(bank_holidays(calendar) for calendar in DIVISIONS))
    assert bank_holidays(NoticeCalendar.ANY_UK) == parts


@pytest.mark.parametrize(
    ("day", "calendars"),
    [
        (date(2026, 1, 2), {NoticeCalendar.SCOTLAND}),
        (date(2026, 3, 17), {NoticeCalendar.NORTHERN_IRELAND}),
        (
            date(2026, 4, 6),
            {NoticeCalendar.ENGLAND_AND_WALES, NoticeCalendar.NORTHERN_IRELAND},
        ),
        (date(2026, 5, 4), set(DIVISIONS)),
        (date(2026, 6, 15), {NoticeCalendar.SCOTLAND}),
        (date(2026, 12, 28), set(DIVISIONS)),
    ],
)
def test_days_that_differ(day: date, calendars: set[NoticeCalendar]) -> None:
    """Easter Monday, 2 January, St Patrick's Day and substitutes fall where they should."""
    assert {calendar for calendar in DIVISIONS if day in bank_holidays(calendar)} == calendars


def test_the_days_reach_far_ahead() -> None:
    """The built-in list does not run out within a decade of the last published year."""
    last = max(bank_holidays(NoticeCalendar.ANY_UK))
    assert last > date(PUBLISHED_UNTIL, 12, 31) + timedelta(days=3652)


def test_the_horizon_is_announced() -> None:
    """A year before notice can reach computed years there is a warning, and none before that."""
    assert horizon(date(PUBLISHED_UNTIL - 1, 12, 31)) is None
    warning = horizon(date(PUBLISHED_UNTIL, 1, 1))
    assert warning is not None
    assert "slo.bank_holidays" in warning
