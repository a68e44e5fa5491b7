"""The documents that operations answer with: endpoints, incidents, declarations, sealed months."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import snapshot
from monitor.core import seal
from monitor.core.alert import Event
from monitor.core.book import Book
from monitor.core.fact import Fact
from monitor.core.interval import BEGINNING, Interval
from monitor.core.month import Month, show_instant
from monitor.core.notice import Notice
from monitor.core.timeline import State
from monitor.core.verdict import Observation, Reason, Result
from monitor.ports import Delivery, Sample
from tests.desks import ANNA, START, book_of, read_settings

STEP = timedelta(seconds=30)
DAY = timedelta(days=1)
RESULTS = {
    "u": (Result.UP, Reason.OK),
    "i": (Result.IMPAIRED, Reason.SLOW),
    "d": (Result.DOWN, Reason.STATUS_5XX),
    "l": (Result.LOCAL, Reason.LOCAL_DNS),
}


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return book_of(read_settings(tmp_path))


def see(book: Book, results: str, start: datetime = START) -> datetime:
    """Let view-main be seen every 30 s; the instant of the probe that would be next."""
    for result in results:
        book.observe(Observation("view-main", start, *RESULTS[result]))
        start += STEP
    return start


def declare(book: Book, **changes: Any) -> None:
    """D-1: tomorrow at this time, for an hour."""
    body = {
        "id": "D-1",
        "kind": "planned",
        "notified_at": show_instant(START),
        "start": show_instant(START + DAY),
        "end": show_instant(START + DAY + timedelta(hours=1)),
        "endpoints": ["view-main"],
        "reason": "upgrade",
        "ticket": None,
        "author": "ann",
    }
    book.learn(Fact(START, "declaration", {**body, **changes}))


def state(book: Book, now: datetime) -> str:
    return snapshot.declaration_state(book.declaration("D-1"), book.rules, now)


# -- endpoints -------------------------------------------------------------------------------------


def test_an_endpoint_never_seen_is_unknown_since_ever(book: Book) -> None:
    """There is no last observation, and no beginning of what is not known."""
    assert snapshot.state_now(book, "view-main", START) == (State.UNKNOWN, None)


@pytest.mark.parametrize(
    ("results", "expected", "since"),
    [
        ("uuuu", State.UP, 0),
        ("uuud", State.UNCONFIRMED, 3),
        ("uuuddd", State.DOWN, 3),
        ("uuudddi", State.IMPAIRED, 6),
        ("uuudddu", State.DOWN, 3),
        ("uuuddduu", State.UP, 6),
        ("uuul", State.UNKNOWN, 3),
    ],
)
def test_the_state_now_is_dated_from_its_first_instant(
    book: Book, results: str, expected: State, since: int
) -> None:
    """Suspect time is unconfirmed, swallowed recoveries are not up, own faults are unknown."""
    now = see(book, results)
    assert snapshot.state_now(book, "view-main", now) == (expected, START + since * STEP)


@pytest.mark.parametrize("before", [timedelta(hours=23), 2 * DAY, 40 * DAY])
def test_a_state_that_lasts_long_keeps_its_beginning(book: Book, before: timedelta) -> None:
    """However far back a state began, it is found."""
    began = see(book, "uuuu", START - before)
    assert snapshot.state_now(book, "view-main", START) == (
        State.UNKNOWN,
        # The last result holds for one interval, the rest is unknown.
        began,
    )


@given(results=st.text(alphabet="uidl", min_size=1, max_size=30))
def test_the_state_now_agrees_with_the_whole_history(
    tmp_path_factory: pytest.TempPathFactory, results: str
) -> None:
    """Looking back no further than needed finds what the whole history says."""
    book = book_of(read_settings(tmp_path_factory.getbasetemp()))
    now = see(book, results)
    last = book.endpoint_states("view-main", Interval(BEGINNING, now), now)[-1]
    since = None if last.start == BEGINNING else last.start
    assert snapshot.state_now(book, "view-main", now) == (last.state, since)


def test_an_endpoint_shows_outage_phase_and_month(book: Book) -> None:
    """Recovering is a phase of the outage, which began when it began."""
    now = see(book, "uuudddiu")
    found = snapshot.endpoint_document(book, "view-main", now)
    assert (found["state"], found["phase"]) == ("impaired", "recovering")
    assert found["since"] == "2026-03-10T09:03:00Z"
    assert found["outage_since"] == "2026-03-10T09:01:30Z"
    assert found["last"] == {"at": "2026-03-10T09:03:30Z", "result": "up", "reason": "ok"}
    row = snapshot.account_document(
        book.account(book.endpoint_series("view-main"), Month.of(now, book.rules.zone), now)
    )
    assert found["month"] == {
        "month": "2026-03",
        **{key: row[key] for key in ("measured", "worst", "budget_s", "remaining_s", "verdict")},
    }


def test_a_test_endpoint_has_no_month(book: Book) -> None:
    """It is watched, never counted."""
    assert snapshot.endpoint_document(book, "view-test", START)["month"] is None


def test_a_sample_prints_its_duration_in_seconds() -> None:
    """Microseconds are kept; a probe without an answer has no status."""
    seen = Observation("view-main", START, Result.DOWN, Reason.CONNECT_REFUSED)
    assert snapshot.sample_document(Sample(seen, 1_250_001, None)) == {
        "at": "2026-03-10T09:00:00Z",
        "result": "down",
        "reason": "connect_refused",
        "status": None,
        "duration_s": 1.250001,
    }


# -- declarations ----------------------------------------------------------------------------------


def test_a_declaration_goes_through_its_states(book: Book) -> None:
    """Notified, active from its start, completion due from its end, completed."""
    declare(book)
    start = START + DAY
    end = start + timedelta(hours=1)
    tick = timedelta(microseconds=1)
    for now, expected in (
        (START, "notified"),
        (start - tick, "notified"),
        (start, "active"),
        (end - tick, "active"),
        (end, "completion_due"),
    ):
        assert state(book, now) == expected
    book.learn(Fact(end, "completion", {"id": "D-1", "author": "ann"}))
    assert state(book, end) == "completed"


def test_a_draft_has_ended_when_its_window_has(book: Book) -> None:
    """Nothing is due of what never had an effect."""
    declare(book, notified_at=None)
    assert state(book, START) == "draft"
    assert state(book, START + 2 * DAY) == "ended"


def test_maps_own_downtime_is_not_ours_to_complete(book: Book) -> None:
    """It ends, and that is that."""
    declare(book, kind="maps")
    assert state(book, START + 2 * DAY) == "ended"


def test_a_notification_of_the_next_minutes_is_a_notification(book: Book) -> None:
    """A version that takes effect in a moment is no draft."""
    declare(book, notified_at=show_instant(START + timedelta(minutes=3)))
    assert state(book, START) == "notified"


def test_a_cancelled_declaration_stays_cancelled(book: Book) -> None:
    """Whatever time it is."""
    declare(book)
    book.learn(Fact(START, "cancellation", {"id": "D-1", "author": "ann"}))
    assert {state(book, START + days * DAY) for days in range(4)} == {"cancelled"}


def test_what_holds_now_is_the_version_in_force(book: Book) -> None:
    """A draft amendment is listed among the versions, and changes nothing above them."""
    declare(book)
    later = show_instant(START + DAY + timedelta(hours=5))
    book.learn(Fact(START, "amendment", {"id": "D-1", "end": later, "author": "bob"}))
    found = snapshot.declaration_document(book.declaration("D-1"), book.rules, START)
    assert found["window"]["end"] == "2026-03-11T10:00:00Z"
    assert found["scope"] == {"endpoints": ["view-main"], "holdernames": None, "services": None}
    assert [version["window"]["end"] for version in found["versions"]] == [
        "2026-03-11T10:00:00Z",
        "2026-03-11T14:00:00Z",
    ]
    assert found["versions"][1] == {
        "recorded_at": "2026-03-10T09:00:00Z",
        "notified_at": None,
        "effective_at": None,
        "window": {"start": "2026-03-11T09:00:00Z", "end": "2026-03-11T14:00:00Z"},
        "scope": {"endpoints": ["view-main"], "holdernames": None, "services": None},
        "kind": "planned",
        "ticket": None,
        "reason": "upgrade",
        "author": "bob",
        "technical_change": None,
        "change_class": None,
        "evidence": [],
        "freeze_override": None,
    }


def test_notice_prints_days_and_the_last_moment() -> None:
    """The verdict is given: an emergency with days to spare is still not enough."""
    assert snapshot.notice_document(Notice(9, 5), False, START) == {
        "days": 9,
        "needed": 5,
        "enough": False,
        "notify_before": "2026-03-10T09:00:00Z",
    }


@pytest.mark.parametrize(
    ("end", "hours", "expected"),
    [(None, -1, "pending"), (None, 1, "open"), (2, 1, "open"), (2, 3, "ended")],
)
def test_an_assertion_says_how_it_stands(
    book: Book, end: int | None, hours: int, expected: str
) -> None:
    """Pending before its start, open while it lasts, then ended; withdrawn for good."""
    body = {
        "id": "A-1",
        "start": show_instant(START),
        "end": None if end is None else show_instant(START + timedelta(hours=end)),
        "holdernames": [ANNA],
        "services": ["view"],
        "author": "ann",
    }
    book.learn(Fact(START, "assertion", body))
    now = START + timedelta(hours=hours)
    found = snapshot.assertion_document(book.assertion("A-1"), now)
    assert (found["state"], found["services"], found["versions"]) == (expected, ["view"], 1)
    book.learn(Fact(now, "withdrawal", {"id": "A-1", "author": "ann"}))
    found = snapshot.assertion_document(book.assertion("A-1"), now)
    assert (found["state"], found["withdrawn_at"]) == ("withdrawn", show_instant(now))


# -- incidents -------------------------------------------------------------------------------------


def steps(book: Book, now: datetime, *named: tuple[str, dict[str, Any]]) -> None:
    for name, body in named:
        book.learn(Fact(now, f"incident.{name}", {"id": "I-1", "author": "ann", **body}))


def test_an_incident_shows_what_happened_and_what_is_owed(book: Book) -> None:
    """As derived, with deadline, marks passed, steps taken and what is missing."""
    now = see(book, "ddd" + "d" * 300)
    book.correlate(now, {"one"})
    book.overdue(now)
    found = snapshot.record_document(book.record("I-1"), book.rules, now)
    assert {key: found[key] for key in snapshot.incident_document("I-1", book.record("I-1").view)}
    assert (found["state"], found["elapsed_s"], found["restored_at"]) == ("open", 9090, None)
    assert found["deadline"] == "2026-03-10T11:00:00Z"
    assert found["at_risk"] == [3600, 5400]
    assert found["breached_at"] == show_instant(now)
    assert len(found["missing"]) == 4
    healed = see(book, "uu", now)
    book.correlate(healed, {"one"})
    steps(
        book,
        healed,
        ("reported", {"ticket": "M-1", "reported_at": show_instant(now)}),
        ("updated", {"cause": "disk", "location": "own"}),
        ("attested", {}),
        ("closed", {}),
    )
    done = snapshot.record_document(book.record("I-1"), book.rules, healed + DAY)
    assert (done["state"], done["elapsed_s"], done["missing"]) == ("closed", 9090, [])
    assert done["closed_at"] == show_instant(healed)
    assert done["reported"] == {"at": show_instant(now), "ticket": "M-1", "author": "ann"}
    assert done["attested"] == {"at": show_instant(healed), "author": "ann"}
    assert (done["cause"], done["location"]) == ("disk", "own")


def test_a_timeline_tells_each_step_once_and_briefly(book: Book) -> None:
    """What, when and by whom; names of what never changes are left out."""
    now = see(book, "ddd")
    book.correlate(now, {"one"})
    steps(book, now, ("acknowledged", {}))
    opened, acknowledged = snapshot.timeline_document(book.record("I-1"))
    assert opened["type"] == "incident.opened"
    assert not {"id", "members", "group", "holdernames"} & set(opened)
    assert acknowledged == {
        "type": "incident.acknowledged",
        "at": show_instant(now),
        "author": "ann",
    }


@pytest.mark.parametrize(
    ("window", "kind", "action"),
    [
        (None, None, "report an incident"),
        ((-60, 30), "planned", "comment on the ticket of D-1, which it overran"),
        ((-60, 3600), "emergency", "report an incident: an emergency fix, with its reasons"),
    ],
)
def test_only_an_overrun_is_a_comment_on_the_planned_ticket(
    book: Book, window: tuple[int, int] | None, kind: str | None, action: str
) -> None:
    """An undeclared outage and an emergency fix are reported as incidents."""
    if window is not None:
        long_ago = START - 30 * DAY
        start, end = (show_instant(START + timedelta(seconds=edge)) for edge in window)
        body = {
            "id": "D-1",
            "kind": kind,
            "notified_at": show_instant(long_ago),
            "start": start,
            "end": end,
            "author": "ann",
        }
        book.learn(Fact(long_ago, "declaration", body))
    now = see(book, "ddddd")
    book.correlate(now, {"one"})
    found = snapshot.record_document(book.record("I-1"), book.rules, now)
    assert found["suggested_action"] == action


# -- months and alerts -----------------------------------------------------------------------------


@given(changed=st.sets(st.sampled_from([0, 1])), kept=st.sets(st.sampled_from([0, 1])))
def test_a_sealed_row_never_hides_that_it_differs(
    tmp_path_factory: pytest.TempPathFactory, changed: Iterable[int], kept: Iterable[int]
) -> None:
    """`recomputed` is there exactly where today's figures are not the sealed ones."""
    book = book_of(read_settings(tmp_path_factory.getbasetemp()))
    month = Month(2026, 2, book.rules.zone)
    which = book.accounted_endpoints()
    live = [
        snapshot.month_document(series, month, book.account(series, month, START))
        for series in which
    ]
    rows = [
        {**live[place], "down_s": 1} if place in set(changed) else live[place]
        for place in sorted(kept)
    ]
    book.learn(seal.sealed(month, rows, "digest", START))
    for place, row in enumerate(snapshot.slo_rows(book, which, month, START)):
        assert row["sealed"] is (place in set(kept))
        assert ("recomputed" in row) is (place in set(kept) & set(changed))
        assert row["down_s"] == int(place in set(kept) & set(changed))
        if "recomputed" in row:
            figures = dict(live[place])
            del figures["month"], figures["series"]
            assert row["recomputed"] == figures


def test_a_queue_and_a_delivery_print_no_data_of_their_events() -> None:
    """What waits, since when; what was given up, and why."""
    assert snapshot.queue_document({"ops": (2, START, 0), "boss": (0, None, 1)}) == [
        {"receiver": "boss", "pending": 0, "oldest_at": None, "dead": 1},
        {"receiver": "ops", "pending": 2, "oldest_at": "2026-03-10T09:00:00Z", "dead": 0},
    ]
    event = Event(START, "incident.opened", "I-1", {"secret": "no"})
    delivery = Delivery(7, "ops", "msg_1", event, 3, START, "dead", "410 gone")
    assert snapshot.delivery_document(delivery) == {
        "id": 7,
        "receiver": "ops",
        "webhook_id": "msg_1",
        "type": "incident.opened",
        "key": "I-1",
        "at": "2026-03-10T09:00:00Z",
        "attempts": 3,
        "state": "dead",
        "last_error": "410 gone",
    }
