"""The read side: numbers, and the rows of months, outages and incidents."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import snapshot
from monitor.core.book import Book
from monitor.core.month import Month
from tests.core.builders import (
    GUID,
    HOUR,
    LONDON,
    MINUTE,
    START,
    book,
    cadence,
    declaration,
    endpoint,
    holdername,
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


def test_a_month_not_sealed() -> None:
    """The rows of a month that is not sealed are those of now, and say so."""
    known = minutely()
    now = look(known, "ddduu")
    found = snapshot.slo_rows(known, [series(), series_of()], MARCH, now)
    assert [(row["down_s"], row["sealed"]) for row in found] == [(180, False)] * 2
