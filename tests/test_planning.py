"""Would this window do: what speaks for and against it, and which windows would."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitor import declare, planning
from monitor.core.book import Book
from monitor.core.planning import Planning
from monitor.core.rules import NoticeCalendar
from monitor.core.verdict import Observation, Reason, Result
from monitor.declare import Given
from monitor.errors import BadInstant, UnknownName
from tests.desks import ANNA, START, book_of, read_settings

LONDON = ZoneInfo("Europe/London")
EASTER = frozenset({date(2026, 4, 3), date(2026, 4, 6)})
BOTH = Planning(
    holidays={NoticeCalendar.ANY_UK: EASTER, NoticeCalendar.ENGLAND_AND_WALES: frozenset()}
)
GOOD = ("2026-04-07T00:00", "2026-04-07T02:00")


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return book_of(read_settings(tmp_path))


def plan(
    book: Book,
    start: str = GOOD[0],
    end: str = GOOD[1],
    *,
    now: datetime = START,
    policy: Planning = BOTH,
    **scope: Any,
) -> dict[str, Any]:
    given = Given({"start": start, "end": end, **scope}, LONDON)
    return asyncio.run(planning.plan(book, given, policy, now=now))


def declared(book: Book, start: str, end: str, **more: Any) -> None:
    given = {"start": start, "end": end, "reason": "x", "notified_at": "2026-03-10T08:59", **more}
    book.learn(declare.declared(book, Given(given, LONDON), now=START, author="ann"))


def starts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["window"]["start"] for row in rows]


def test_a_window_that_would_do(book: Book) -> None:
    """Everything is told, also where nothing is against it; the Book learns nothing."""
    found = plan(book)
    assert (found["ok"], found["objections"], found["warnings"]) == (True, [], [])
    assert found["window"] == {"start": "2026-04-06T23:00:00Z", "end": "2026-04-07T01:00:00Z"}
    assert found["notice"] == {
        "days": 17,
        "needed": 5,
        "enough": True,
        "notify_before": "2026-03-26T17:00:00Z",
    }
    assert [
        (row["calendar"], row["method"], row["days"], row["notify_before"])
        for row in found["counts"]
    ] == [
        ("any-uk", "clear", 17, "2026-03-26T17:00:00Z"),
        ("any-uk", "inclusive_start", 18, "2026-03-27T17:00:00Z"),
        ("england-and-wales", "clear", 19, "2026-03-30T16:00:00Z"),
        ("england-and-wales", "inclusive_start", 20, "2026-03-31T16:00:00Z"),
    ]
    assert found["counts_agree"] is True
    assert found["change_window"] == {
        "inside": True,
        "window": {"start": "2026-04-06T23:00:00Z", "end": "2026-04-07T09:00:00Z"},
        "rule": "first and third Tuesday of the month, 00:00 to 10:00 UK time",
    }
    assert (found["freeze"], found["maps_downtime"]) == (None, [])
    assert found["budget"][0] == {
        "month": "2026-04",
        "series": {"endpoint": "find-main"},
        "remaining_s": 12960,
        "planned_s": 7200,
        "reserved_s": 0,
        "after_s": 5760,
        "forecast_s": 5760,
    }
    assert book.calendar.declarations == {}


def test_windows_that_would_do_are_offered_soonest_first(book: Book) -> None:
    """With why; those that would not are named before, and the one asked for is not offered."""
    found = plan(book)
    assert starts(found["alternatives"]) == [
        "2026-04-20T23:00:00Z",
        "2026-05-04T23:00:00Z",
        "2026-05-18T23:00:00Z",
        "2026-06-01T23:00:00Z",
        "2026-06-15T23:00:00Z",
    ]
    assert found["alternatives"][0]["why"] == [
        "27 working days of notice, enough however it is counted; tell MaPS before Mon 13 Apr 17:00",
        "a change window, no freeze, no downtime of MaPS",
        "leaves 1 h 36 min of the budget of find-main",
    ]
    assert found["passed_over"] == [
        {
            "change_window": {"start": "2026-03-17T00:00:00Z", "end": "2026-03-17T10:00:00Z"},
            "why": [
                "notice too short: 4 of 5 working days if MaPS is told now; it had to be told before"
                " 2026-03-09T17:00:00Z"
            ],
        }
    ]


def test_notice_that_depends_on_the_count_ranks_lower(book: Book) -> None:
    """Enough by the count in use, too short by another: offered, after those beyond doubt."""
    lax = Book(replace(book.rules, bank_holidays=frozenset()), book.register.endpoints.values(), ())
    policy = replace(BOTH, holidays={NoticeCalendar.ENGLAND_AND_WALES: EASTER})
    now = datetime(2026, 3, 30, 9, tzinfo=UTC)
    found = plan(lax, now=now, policy=policy)
    assert (found["ok"], found["counts_agree"]) == (True, False)
    assert found["warnings"] == [
        "whether the notice is enough depends on how it is counted: enough by any-uk clear, any-uk"
        " inclusive_start; too short by england-and-wales clear, england-and-wales inclusive_start"
    ]
    other = plan(lax, "2026-04-21T00:00", "2026-04-21T02:00", now=now, policy=policy)
    assert starts(other["alternatives"])[-1] == "2026-04-06T23:00:00Z"
    assert "not by every other" in other["alternatives"][-1]["why"][0]


def test_what_is_against_a_window_is_told_all_at_once(book: Book) -> None:
    """Freeze, MaPS' own downtime, notice and budget; outside the windows is only a warning."""
    declared(book, "2026-12-29T00:00", "2026-12-29T10:00", kind="maps")
    found = plan(
        book, "2026-12-29T00:00", "2026-12-29T12:00", now=datetime(2026, 12, 28, tzinfo=UTC)
    )
    assert found["ok"] is False
    kinds = [text.split(":")[0] for text in found["objections"]]
    assert kinds[0] == "notice too short"
    assert found["objections"][1] == (
        "the change freeze of 2026-12-24 to 2027-01-02: it is refused without --override-freeze"
        " REASON"
    )
    assert found["objections"][2].startswith("MaPS' own downtime D-1, 2026-12-29T00:00:00Z")
    assert found["objections"][3].startswith("12 h of this window fall in 2026-12, but only")
    assert len(found["objections"]) == 4
    assert found["freeze"] == {"from": "2026-12-24", "to": "2027-01-02"}
    assert [row["id"] for row in found["maps_downtime"]] == ["D-1"]
    assert found["warnings"][0].startswith("outside the recommended change windows")
    assert found["alternatives"] == []
    assert found["passed_over"][0]["why"] == ["it is too short for this work"]


def test_other_declared_windows_of_the_month_are_reserved(book: Book) -> None:
    """What they take is not to be spent twice; MaPS' own downtime takes nothing."""
    declared(book, "2026-04-21T00:00", "2026-04-21T02:00", endpoints=["view-main"])
    declared(book, "2026-04-28T00:00", "2026-04-28T10:00", kind="maps")
    found = plan(book, endpoints=["view-main"])
    assert [(row["reserved_s"], row["after_s"]) for row in found["budget"]] == [(7200, -1440)]
    assert found["objections"] == [
        "2 h of this window fall in 2026-04, with 2 h declared elsewhere, but only 3 h 36 min are"
        " left of the budget of view-main: declared downtime counts against the objective"
    ]
    assert plan(book, endpoints=["find-main"])["ok"] is True


def test_maps_downtime_moves_what_is_offered(book: Book) -> None:
    """A change window that it takes in part is offered for the time after."""
    declared(book, "2026-04-21T00:00", "2026-04-21T06:00", kind="maps")
    assert starts(plan(book)["alternatives"])[0] == "2026-04-21T05:00:00Z"


def test_an_outage_that_goes_on_is_forecast(book: Book) -> None:
    """What would be left if it lasted until the window starts; such windows rank last."""
    for place in range(30):
        moment = START + timedelta(seconds=30 * place)
        book.observe(Observation("view-main", moment, Result.DOWN, Reason.STATUS_5XX))
    now = START + timedelta(minutes=15)
    found = plan(book, "2026-03-31T00:00", "2026-03-31T01:00", now=now, endpoints=["view-main"])
    [row] = found["budget"]
    assert row["after_s"] == 13374 - 900 - 3600
    start = datetime(2026, 3, 30, 23, tzinfo=UTC)
    assert row["forecast_s"] == row["after_s"] - (start - now).total_seconds()
    assert found["warnings"][-1].startswith("if the present outage of view-main goes on")
    assert found["ok"] is True
    assert "not if the present outage goes on" in found["alternatives"][0]["why"][2]


def test_a_window_that_has_begun_does_not_do(book: Book) -> None:
    """What is past is never excused."""
    found = plan(book, "2026-03-10T08:00", "2026-03-10T10:00")
    assert found["objections"][0] == (
        "the window began at 2026-03-10T08:00:00Z: it excuses nothing that is past"
    )


def test_a_scope_of_nothing_accounted_is_said(book: Book) -> None:
    """A test endpoint has no budget to spend."""
    found = plan(book, endpoints=["view-test"])
    assert (found["ok"], found["budget"]) == (True, [])
    assert found["warnings"][0] == "view-test: watched in the test environment, never counted"
    assert found["alternatives"][0]["after_s"] is None


def test_holdernames_have_budgets_of_their_own(book: Book) -> None:
    """Where no endpoint is wholly in scope, each listed holdername and service is looked at."""
    found = plan(book, holdernames=[ANNA], services=["view"])
    assert [row["series"] for row in found["budget"]] == [{"holdername": ANNA, "service": "view"}]


@pytest.mark.parametrize(
    ("start", "end", "error", "text"),
    [
        (GOOD[1], GOOD[0], BadInstant, "is not after the start"),
        (GOOD[0], "2029-01-01T00:00", BadInstant, "check the year"),
        ("2026-03-29T01:30", GOOD[1], BadInstant, "does not exist as the clocks go forward"),
    ],
)
def test_a_window_that_cannot_be_is_refused(
    book: Book, start: str, end: str, error: type[Exception], text: str
) -> None:
    """As in a declaration."""
    with pytest.raises(error, match=text):
        plan(book, start, end)


def test_an_unknown_name_is_refused(book: Book) -> None:
    """With the nearest one."""
    with pytest.raises(UnknownName, match='did you mean "view-main"'):
        plan(book, endpoints=["view-mian"])
