"""Civil months as exact intervals, and instants read and shown."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.month import (
    Month,
    civil,
    midnight,
    months_between,
    read_instant,
    show_instant,
)
from monitor.errors import BadInstant
from tests.core.builders import HOUR, LONDON, TICK, at

ZONES = st.sampled_from(
    [LONDON, ZoneInfo("UTC"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")]
)
MONTHS = st.builds(Month, st.integers(1990, 2090), st.integers(1, 12), ZONES)


@pytest.mark.parametrize(("number", "hours"), [(3, 743), (4, 720), (10, 745), (12, 744), (2, 672)])
def test_length_of_a_month(number: int, hours: int) -> None:
    """March has 743 hours and October 745 (accounting 6)."""
    assert Month(2026, number, LONDON).interval.duration == hours * HOUR


def test_summer_months_begin_before_midnight_utc() -> None:
    """A month begins at 00:00 in the zone, which in summer is 23:00 UTC the day before."""
    may = Month(2026, 5, LONDON).interval
    assert (may.start, may.end) == (at("2026-04-30T23:00"), at("2026-05-31T23:00"))
    assert midnight(date(2026, 1, 1), LONDON) == at("2026-01-01T00:00")
    assert Month.of(at("2026-04-30T23:00"), LONDON) == Month(2026, 5, LONDON)
    assert Month.of(at("2026-04-30T22:59:59"), LONDON) == Month(2026, 4, LONDON)


def test_neighbours() -> None:
    """December is followed by January of the next year."""
    december, january = Month(2026, 12, LONDON), Month(2027, 1, LONDON)
    assert (december.next(), january.previous()) == (january, december)
    assert (january.next(), Month(2027, 2, LONDON).previous()) == (Month(2027, 2, LONDON), january)
    assert december.first == date(2026, 12, 1)


@given(MONTHS)
def test_months_follow_without_a_gap(month: Month) -> None:
    """One month ends where the next begins, in every zone."""
    assert month.interval.end == month.next().interval.start
    assert month.next().previous() == month
    assert Month.parse(str(month), month.zone) == month


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)), ZONES)  # noqa: DTZ001
def test_agrees_with_the_calendar_on_the_wall(instant: datetime, zone: ZoneInfo) -> None:
    """An instant is of the month that the zone's clocks show, and inside its interval."""
    shown = instant.astimezone(zone)
    month = Month.of(instant, zone)
    assert (month.year, month.number) == (shown.year, shown.month)
    assert instant in month.interval
    assert civil(instant, zone) == shown


@given(MONTHS)
def test_edges_are_where_the_calendar_turns(month: Month) -> None:
    """A microsecond before a month it is the month before, by the zone's clocks."""
    start, end = month.interval.start, month.interval.end
    for instant, expected in (
        (start, month),
        (start - TICK, month.previous()),
        (end, month.next()),
    ):
        shown = instant.astimezone(month.zone)
        assert (shown.year, shown.month) == (expected.year, expected.number)


def test_months_touched() -> None:
    """A span touches the months it has an instant of; its end is not one."""
    touched = months_between(at("2026-01-31T23:59"), at("2026-04-01T00:00"), ZoneInfo("UTC"))
    assert [str(month) for month in touched] == ["2026-01", "2026-02", "2026-03"]
    assert list(months_between(at("2026-01-01"), at("2026-01-01"), LONDON)) == []


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-3", "March", "0000-01", "9999-12", ""]
)
def test_unreadable_month(text: str) -> None:
    """A month that cannot be read is refused with the form to write."""
    with pytest.raises(BadInstant, match="YYYY-MM"):
        Month.parse(text, LONDON)


def test_read_instant() -> None:
    """With an offset an instant is as written, without one it is UK time."""
    assert read_instant("2026-07-01T10:00:00+02:00", LONDON) == at("2026-07-01T08:00")
    assert read_instant(" 2026-07-01T10:00 ", LONDON) == at("2026-07-01T09:00")
    assert read_instant("2026-01-01", LONDON) == at("2026-01-01T00:00")


def test_time_that_occurs_twice() -> None:
    """In the hour that comes twice a time without an offset is refused with both readings."""
    with pytest.raises(BadInstant, match="occurs twice") as caught:
        read_instant("2026-10-25T01:30", LONDON)
    assert "2026-10-25T01:30:00+01:00 (00:30Z)" in str(caught.value)
    assert "2026-10-25T01:30:00+00:00 (01:30Z)" in str(caught.value)
    assert read_instant("2026-10-25T01:30+01:00", LONDON) == at("2026-10-25T00:30")


def test_time_that_does_not_exist() -> None:
    """In the hour that is left out a time without an offset is refused with both readings."""
    with pytest.raises(BadInstant, match="does not exist") as caught:
        read_instant("2026-03-29T01:30", LONDON)
    assert "2026-03-29T02:30:00+01:00 (01:30Z)" in str(caught.value)
    assert "2026-03-29T00:30:00+00:00 (00:30Z)" in str(caught.value)


def test_unreadable_instant() -> None:
    """What is no time at all is refused with the form to write."""
    with pytest.raises(BadInstant, match="ISO 8601"):
        read_instant("tomorrow", LONDON)


def test_show_instant() -> None:
    """Instants are shown in UTC with a Z, microseconds only where there are any."""
    assert show_instant(at("2026-07-01T10:00+01:00")) == "2026-07-01T09:00:00Z"
    assert show_instant(at("2026-07-01T10:00") + timedelta(microseconds=5)).endswith("00.000005Z")
