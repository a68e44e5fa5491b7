"""The read side: plain documents as of one instant."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import snapshot
from monitor.core import seal
from monitor.core.alert import Event
from monitor.core.assertion import assert_outage, withdraw
from monitor.core.book import Book
from monitor.core.downtime import amend, cancel, complete, declare
from monitor.core.endpoint import Environment
from monitor.core.month import Month
from monitor.core.notice import notice
from monitor.core.timeline import State
from monitor.ports import Delivery, Sample
from tests.core.builders import (
    DAY,
    GUID,
    HOUR,
    LONDON,
    MINUTE,
    OTHER,
    START,
    after,
    assertion,
    at,
    book,
    cadence,
    declaration,
    endpoint,
    fact,
    holdername,
    minutes,
    rules,
    seen,
    series,
    series_of,
    span,
    watch,
)

MARCH = Month(2026, 3, LONDON)
EVERY_MINUTE = cadence(interval=MINUTE, gap_after=3 * MINUTE)


def minutely(**changes: Any) -> Book:
    """A Book of one endpoint probed once a minute, serving GUID."""
    return book(endpoint(cadence=EVERY_MINUTE, **changes), holdernames=[holdername(GUID, "view")])


def look(known: Book, results: str, start: datetime = START) -> datetime:
    return watch(known, results, start, "view", MINUTE)


# --- numbers ---


def test_seconds() -> None:
    """Seconds are whole where they are whole, else have at most microseconds, rounded down."""
    assert [snapshot.seconds(timedelta(seconds=s)) for s in (0, 90, 1.5)] == [0, 90, 1.5]
    assert isinstance(snapshot.seconds(HOUR), int)
    assert snapshot.seconds(Fraction(3, 2)) == 1e-06
    assert snapshot.seconds(Fraction(-3, 2)) == -2e-06
    assert snapshot.seconds(timedelta(microseconds=-1)) == -1e-06


@given(st.integers(-(10**13), 10**13))
def test_seconds_lose_nothing(microseconds: int) -> None:
    """A number of seconds, written as JSON, reads back as the same microseconds."""
    written = json.dumps(snapshot.seconds(timedelta(microseconds=microseconds)))
    assert int(Decimal(written) * 1_000_000) == microseconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (Fraction(1), "1"),
        (Fraction(0), "0"),
        (Fraction(199, 200), "0.995"),
        (Fraction(994999999999, 10**12), "0.994999999"),
        (Fraction(2, 3), "0.666666666"),
        (Fraction(-1, 2), "-0.5"),
        (Fraction(-2), "-2"),
        (Fraction(-1, 3), "-0.333333334"),
    ],
)
def test_ratio(value: Fraction | None, text: str | None) -> None:
    """A ratio is decimal text of at most nine places, always rounded down."""
    assert snapshot.ratio(value) == text


@given(st.fractions(-2, 2))
def test_ratio_agrees_with_decimal(value: Fraction) -> None:
    """The text is the exact ratio rounded down to nine places."""
    scaled = Decimal(value.numerator * 10**9 // value.denominator).to_integral(ROUND_FLOOR)
    text = snapshot.ratio(value)
    assert text is not None
    assert Decimal(text) * 10**9 == scaled
    assert Fraction(text) <= value


# --- rows ---


def test_month_row() -> None:
    """A row of the month has the keys and the figures of the contract."""
    known = minutely()
    now = look(known, "u" * 20 + "dddd" + "uu" + "d" + "uu")
    (row,) = snapshot.month_rows(minutely(connected_from=date(2026, 3, 2)), [series()], START)
    assert row["verdict"] == "running"
    found = snapshot.month_document(series(), MARCH, known.account(series(), MARCH, now))
    assert {key: found[key] for key in ("month", "series", "down_s", "unconfirmed_s")} == {
        "month": "2026-03",
        "series": {"endpoint": "view"},
        "down_s": 240,
        "unconfirmed_s": 60,
    }
    assert found["by_class"] == {
        "declared": 0,
        "declared_short_notice": 0,
        "overrun": 0,
        "undeclared": 240,
    }
    assert (found["budget_s"], found["remaining_s"]) == (13374, 13134)
    assert found["eligible_s"] == sum(
        found[f"{state}_s"] for state in ("up", "impaired", "down", "unconfirmed", "unknown")
    )


def test_no_data_has_no_ratios() -> None:
    """Without eligible time there are no ratios, and the verdict says so."""
    known = minutely(connected_from=date(2026, 4, 1))
    found = snapshot.account_document(known.account(series(), MARCH, START))
    assert (found["best"], found["worst"], found["measured"]) == (None, None, None)
    assert (found["excluding_declared"], found["verdict"]) == (None, "no_data")


def test_outage_row() -> None:
    """Parts of one class and different declarations read as one part; an open end is null."""
    window = span("2026-03-24T00:00", "2026-03-24T00:05")
    known = minutely()
    known.learn(declaration(START, window))
    known.learn(declaration(START, span("2026-03-24T00:05", "2026-03-24T00:08"), id="D-2"))
    now = look(known, "d" * 10, window.start)
    (row,) = snapshot.outage_rows(known, [series()], now)
    assert row == {
        "series": {"endpoint": "view"},
        "source": "probe",
        "start": "2026-03-24T00:00:00Z",
        "end": None,
        "parts": [
            {"class": "declared", "start": "2026-03-24T00:00:00Z", "end": "2026-03-24T00:08:00Z"},
            {"class": "overrun", "start": "2026-03-24T00:08:00Z", "end": None},
        ],
    }
    now = look(known, "uu", now)
    (row,) = snapshot.outage_rows(known, [series_of()], now)
    assert row["series"] == {"holdername": GUID, "service": "view"}
    assert (row["end"], row["parts"][-1]["end"]) == ("2026-03-24T00:10:00Z",) * 2


def test_unknown_part() -> None:
    """Time of an outage in which we could not tell is a part `unknown`."""
    known = minutely()
    now = look(known, "dddllduu")
    (row,) = snapshot.outage_rows(known, [series()], now)
    assert [part["class"] for part in row["parts"]] == ["undeclared", "unknown", "undeclared"]


def test_replay_document() -> None:
    """It has months, outages and incidents of every series, in order (contract)."""
    known = minutely()
    now = look(known, "udddu")
    found = snapshot.replay_document(known, now)
    assert json.loads(json.dumps(found)) == found
    assert (found["rules"], found["until"]) == (1, "2026-03-02T09:05:00Z")
    assert [row["month"] for row in found["months"]] == ["2026-01"] * 2 + ["2026-02"] * 2 + [
        "2026-03"
    ] * 2
    assert found["incidents"] == [
        {
            "id": "I-1",
            "kind": "outage",
            "state": "open",
            "group": "west",
            "started_at": "2026-03-02T09:01:00Z",
            "detected_at": "2026-03-02T09:03:00Z",
            "restored_at": None,
            "endpoints": ["view"],
            "holdernames": [GUID],
            "declaration": None,
        }
    ]


# --- sealed months ---


def test_sealed_rows() -> None:
    """A sealed month prints what was sealed, and beside it what would be said today."""
    known = minutely()
    now = look(known, "ddduu")
    (running,) = snapshot.slo_rows(known, [series()], MARCH, now)
    assert running["sealed"] is False
    row = snapshot.month_document(series(), MARCH, known.account(series(), MARCH, now))
    known.learn(seal.sealed(MARCH, [row], "digest", now))
    (same,) = snapshot.slo_rows(known, [series()], MARCH, now)
    assert same == {**row, "sealed": True, "restatement": 0}
    later = look(known, "ddduu", now)
    (shown, unsealed) = snapshot.slo_rows(known, [series(), series_of()], MARCH, later)
    assert (shown["down_s"], shown["recomputed"]["down_s"]) == (180, 360)
    assert "month" not in shown["recomputed"]
    assert unsealed["sealed"] is False


# --- endpoints ---


def test_state_now() -> None:
    """The state now and since when, however long ago that was."""
    known = minutely()
    assert snapshot.state_now(known, "view", START) == (State.UNKNOWN, None)
    now = look(known, "uuddd")
    assert snapshot.state_now(known, "view", now) == (State.DOWN, after(minutes=2))
    patient = book(endpoint(cadence=cadence(gap_after=400 * DAY)))
    look(patient, "uddd")
    assert snapshot.state_now(patient, "view", after(days=5)) == (State.DOWN, after(minutes=1))
    assert snapshot.state_now(patient, "view", after(days=90)) == (State.DOWN, after(minutes=1))


def test_endpoint_document() -> None:
    """How an endpoint stands: state, phase, last observation, and its running month."""
    known = minutely()
    fresh = snapshot.endpoint_document(known, "view", START)
    assert (fresh["state"], fresh["since"], fresh["last"]) == ("unknown", None, None)
    now = look(known, "uddd")
    found = snapshot.endpoint_document(known, "view", now)
    assert (found["state"], found["phase"]) == ("down", "outage")
    assert found["outage_since"] == found["since"] == "2026-03-02T09:01:00Z"
    assert found["last"]["reason"] == "connect_refused"
    assert found["month"]["month"] == "2026-03"
    trial = snapshot.endpoint_document(minutely(environment=Environment.TEST), "view", START)
    assert trial["month"] is None


def test_sample_document() -> None:
    """An observation with what is kept beside it."""
    found = snapshot.sample_document(Sample(seen("u", START), 1500, 401))
    assert found == {
        "at": "2026-03-02T09:00:00Z",
        "result": "up",
        "reason": "ok",
        "status": 401,
        "duration_s": 0.0015,
    }


# --- incidents ---


def test_record_document() -> None:
    """Everything known and owed about an incident, and then nothing more is missing."""
    known = minutely()
    now = look(known, "ddd")
    known.correlate(now, {"west"})
    fresh = snapshot.record_document(known.record("I-1"), rules(), now)
    assert (fresh["state"], fresh["deadline"]) == ("open", "2026-03-02T11:00:00Z")
    assert (fresh["elapsed_s"], len(fresh["missing"])) == (180, 4)
    assert (fresh["reported"], fresh["acknowledged"], fresh["location"]) == (None, None, None)
    assert fresh["suggested_action"] == "report an incident"
    now = look(known, "uu", now)
    known.correlate(now, {"west"})
    for step, body in (
        ("acknowledged", {}),
        ("reported", {"ticket": "T-9", "reported_at": START}),
        ("updated", {"text": "disk", "cause": "disk", "location": "own", "next_update_at": now}),
        ("attested", {}),
        ("closed", {}),
    ):
        known.learn(fact(f"incident.{step}", now, id="I-1", author="ops", **body))
    done = snapshot.record_document(known.record("I-1"), rules(), now)
    assert (done["state"], done["missing"], done["elapsed_s"]) == ("closed", [], 180)
    assert done["reported"] == {"at": "2026-03-02T09:00:00Z", "ticket": "T-9", "author": "ops"}
    assert done["attested"] == {"at": "2026-03-02T09:05:00Z", "author": "ops"}
    assert (done["location"], done["updates"][0]["text"]) == ("own", "disk")
    timeline = snapshot.timeline_document(known.record("I-1"))
    assert [step["type"] for step in timeline][:2] == ["incident.opened", "incident.restored"]
    assert all("members" not in step and "id" not in step for step in timeline)


def test_overrun_is_told_on_the_planned_ticket() -> None:
    """An overrun names its declaration and suggests a comment there (domain.md section 6)."""
    window = span("2026-03-24T00:00", "2026-03-24T00:05")
    known = minutely()
    known.learn(declaration(START, window))
    now = look(known, "d" * 8, window.start)
    known.correlate(now, {"west"})
    found = snapshot.record_document(known.record("I-1"), rules(), now)
    assert found["suggested_action"] == "comment on the planned ticket"


# --- declarations and assertions ---


def state_of(*facts: Any, now: datetime) -> str:
    steps = {"amendment": amend, "cancellation": cancel, "completion": complete}
    first, *more = facts
    known = declare(first)
    for one in more:
        known = steps[one.type](known, one)
    shown = snapshot.declaration_document(known, rules(), now)
    assert len(shown["versions"]) == len(known.versions)
    return str(shown["state"])


def test_life_of_a_declaration() -> None:
    """Draft, notified, active, completion due, completed, cancelled or ended."""
    told, draft = declaration(START, minutes(60, 90)), declaration(START, minutes(60, 90))
    draft = replace(draft, body={**draft.body, "notified_at": None})
    assert state_of(draft, now=START) == "draft"
    assert state_of(draft, now=after(minutes=90)) == "ended"
    assert state_of(told, now=START - HOUR) == "notified"
    assert state_of(told, now=START) == "notified"
    assert state_of(told, now=after(minutes=60)) == "active"
    assert state_of(told, now=after(minutes=90)) == "completion_due"
    done = fact("completion", after(hours=3), id="D-1", actual_start=START)
    assert state_of(told, done, now=after(hours=3)) == "completed"
    stop = fact("cancellation", after(hours=3), id="D-1")
    assert state_of(told, done, stop, now=after(hours=3)) == "cancelled"
    theirs = declaration(START, minutes(60, 90), kind="maps")
    assert state_of(theirs, now=after(hours=2)) == "ended"


def test_declaration_document() -> None:
    """What holds now stands in front, every version behind it."""
    first = declare(
        declaration(START, minutes(60, 90), endpoints=["view"], holdernames=[OTHER, GUID])
    )
    known = amend(first, fact("amendment", after(minutes=5), id="D-1", services=["view"]))
    found = snapshot.declaration_document(known, rules(), after(minutes=10))
    assert found["window"] == {"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T10:30:00Z"}
    assert found["scope"] == {
        "endpoints": ["view"],
        "holdernames": [OTHER, GUID],
        "services": None,
    }
    assert (found["completion"], found["cancelled_at"]) == (None, None)
    draft = found["versions"][1]
    assert (draft["effective_at"], draft["scope"]["services"]) == (None, ["view"])
    done = complete(known, fact("completion", after(hours=3), id="D-1", actual_end=START))
    shown = snapshot.declaration_document(done, rules(), after(hours=3))["completion"]
    assert (shown["actual_start"], shown["actual_end"]) == (None, "2026-03-02T09:00:00Z")


def test_notice_document() -> None:
    """How much notice there is, and by when it had to be given."""
    start = at("2026-03-24")
    found = notice(START, start, rules())
    assert snapshot.notice_document(found, found.enough, start) == {
        "days": 14,
        "needed": 5,
        "enough": True,
        "notify_before": "2026-03-24T00:00:00Z",
    }


def test_assertion_document() -> None:
    """An assertion is pending, open, ended or withdrawn."""
    lasting = assert_outage(None, assertion(START, after(minutes=5), None, services=["view"]))
    over = assert_outage(lasting, assertion(START, after(minutes=5), after(minutes=9)))
    gone = withdraw(over, fact("withdrawal", after(minutes=20), id="A-1"))

    def state(known: Any, minute: int) -> str:
        return str(snapshot.assertion_document(known, after(minutes=minute))["state"])

    assert [state(lasting, 4), state(lasting, 5)] == ["pending", "open"]
    assert [state(over, 8), state(over, 9), state(gone, 30)] == ["open", "ended", "withdrawn"]
    found = snapshot.assertion_document(lasting, START)
    assert (found["services"], found["end"], found["versions"]) == (["view"], None, 1)
    shown = snapshot.assertion_document(gone, START)
    assert (shown["services"], shown["versions"]) == (None, 2)
    assert shown["withdrawn_at"] == "2026-03-02T09:20:00Z"


# --- alerts ---


def test_queue_and_delivery() -> None:
    """Receivers in order with what waits and what is dead; a delivery without its data."""
    assert snapshot.queue_document({"b": (0, None, 2), "a": (3, START, 0)}) == [
        {"receiver": "a", "pending": 3, "oldest_at": "2026-03-02T09:00:00Z", "dead": 0},
        {"receiver": "b", "pending": 0, "oldest_at": None, "dead": 2},
    ]
    event = Event(START, "test", "k", {"secret": "x"})
    found = snapshot.delivery_document(
        Delivery(7, "ops", "msg_1", event, 2, START, "dead", "status 410")
    )
    assert "secret" not in json.dumps(found)
    assert (found["id"], found["type"], found["attempts"]) == (7, "test", 2)
