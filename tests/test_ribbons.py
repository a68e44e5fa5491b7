"""Ribbons, days and budgets as they are spent: what the Book says, run by run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from monitor import ribbons, snapshot
from monitor.core.interval import Interval
from monitor.core.month import Month
from monitor.ribbons import DAYS, DayMemory
from tests.web.history import BEGUN, DAY, HOUR, MINUTE, NOW, Past, at, eventful


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One for all that only read."""
    made = asyncio.run(eventful(tmp_path_factory.mktemp("past")))
    yield made
    made.place.store.close()


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Past]:
    """One to go on with."""
    made = await eventful(tmp_path)
    yield made
    made.place.store.close()


async def test_stretches_are_a_partition_that_sums_to_the_account(past: Past) -> None:
    """Run by run a month is covered without a gap, and its kinds sum to the month's figures."""
    book, month = past.place.book, Month.of(NOW, past.place.book.rules.zone)
    bounds = Interval(month.interval.start, NOW)
    for series in book.accounted_endpoints():
        assert series.endpoint is not None
        found = ribbons.stretches(book, series.endpoint, bounds, NOW)
        assert (found[0].start, found[-1].end) == (bounds.start, bounds.end)
        assert all(one.end == next_.start for one, next_ in pairwise(found))
        account = snapshot.account_document(book.account(series, month, NOW))
        sums: dict[str, timedelta] = {}
        for one in found:
            sums[one.kind] = sums.get(one.kind, timedelta()) + (one.end - one.start)
        for cls, lost in account["by_class"].items():
            assert snapshot.seconds(sums.get(cls, timedelta())) == lost
        for state in ("up", "unconfirmed", "unknown"):
            assert snapshot.seconds(sums.get(state, timedelta())) == account[f"{state}_s"]


async def test_an_outage_is_shown_by_class_with_its_declaration(past: Past) -> None:
    """What began before its window and outlasted it has three classes, one after the other."""
    bounds = Interval(at("2026-11-18T23:00"), at("2026-11-19T02:00"))
    found = ribbons.stretches(past.place.book, "view-main", bounds, NOW)
    assert [(one.kind, one.declaration, one.end - one.start) for one in found] == [
        ("up", None, 55 * MINUTE),
        ("undeclared", None, 5 * MINUTE),
        ("declared", "D-3", 45 * MINUTE),
        ("overrun", "D-3", 25 * MINUTE),
        ("up", None, 50 * MINUTE),
    ]


async def test_time_that_does_not_count_has_its_state(past: Past) -> None:
    """A test endpoint is down without a class, and before it was watched there is nothing."""
    book = past.place.book
    found = ribbons.stretches(book, "view-test", Interval(BEGUN - HOUR, NOW), NOW)
    assert [one.kind for one in found] == ["outside", "up", "down"]
    assert found[0].end == BEGUN
    # Watched before its connection date: neither outside nor counted.
    before = ribbons.stretches(book, "view-main", Interval(BEGUN - DAY, BEGUN + DAY), NOW)
    assert [one.kind for one in before] == ["outside", "up"]


async def test_a_ribbon_is_as_long_as_it_says(past: Past) -> None:
    """The runs of a ribbon sum to its length, its sums to the runs."""
    for name in past.place.book.register.endpoints:
        day = ribbons.stretches(past.place.book, name, Interval(NOW - DAY, NOW), NOW)
        for length, seconds in ((ribbons.DAY, 86_400), (ribbons.HOUR, 3_600)):
            found = ribbons.ribbon(day, length, NOW)
            assert sum(length for _, length in found["runs"]) == seconds
            assert sum(found["sums"].values()) == seconds


async def test_a_day_is_named_after_its_worst(past: Past) -> None:
    """Ninety civil days, the last one today; the day of an outage says how long it lasted."""
    found = ribbons.days_document(DayMemory().of(past.place.book, "view-main", NOW))
    assert (found["last"], sum(count for _, count in found["runs"])) == ("2026-11-26", DAYS)
    days = {one["day"]: one for one in found["days"]}
    assert days["2026-11-19"] == {
        "day": "2026-11-19",
        "kind": "overrun",
        "sums": {"overrun": 1500, "declared": 2700, "up": 82_200},
    }
    assert days["2026-11-18"]["kind"] == "undeclared"
    assert "2026-11-17" not in days


async def test_days_remembered_are_the_days_worked_out_anew(own: Past) -> None:
    """However the clock went on and whatever was declared since, memory changes no day."""
    book, memory = own.place.book, DayMemory()
    instants: list[datetime] = [NOW, NOW + DAY / 2, NOW + 3 * DAY, NOW - 5 * DAY, NOW + 4 * DAY]
    for instant in instants:
        for name in book.register.endpoints:
            assert memory.of(book, name, instant) == DayMemory().of(book, name, instant)
    own.place.clock.time = NOW + 4 * DAY
    await own.ask(
        "downtime.declare",
        start="2026-12-20T00:00Z",
        end="2026-12-20T01:00Z",
        reason="x",
        notified_at="2026-11-30T09:00Z",
    )
    for name in book.register.endpoints:
        again = memory.of(book, name, NOW + 4 * DAY)
        assert again == DayMemory().of(book, name, NOW + 4 * DAY)


async def test_days_are_as_long_as_the_clocks_make_them(past: Past) -> None:
    """The day on which clocks go back has 25 hours."""
    days = DayMemory().of(past.place.book, "view-west", NOW)
    long = next(one for one in days if one.day.isoformat() == "2026-10-25")
    assert dict(long.sums) == {"up": 25 * HOUR}


async def test_a_budget_burns_down_to_what_is_left(past: Past) -> None:
    """It begins whole, never rises, and ends at the remaining seconds of the account."""
    book, month = past.place.book, Month.of(NOW, past.place.book.rules.zone)
    for series in book.accounted_endpoints():
        assert series.endpoint is not None
        found = ribbons.burn_down(book, series.endpoint, month, NOW)
        account = snapshot.account_document(book.account(series, month, NOW))
        levels = [point["remaining_s"] for point in found["points"]]
        assert (levels[0], levels[-1]) == (account["budget_s"], account["remaining_s"])
        assert levels == sorted(levels, reverse=True)
        assert found["points"][-1]["at"] == "2026-11-26T09:30:00Z"


async def test_a_month_to_come_has_its_whole_budget(past: Past) -> None:
    """Of a month that has not begun there is one point."""
    book = past.place.book
    month = Month.of(NOW, book.rules.zone).next()
    found = ribbons.burn_down(book, "view-main", month, NOW)
    assert [point["remaining_s"] for point in found["points"]] == [found["budget_s"]]
