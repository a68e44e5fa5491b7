"""Where endpoints and holdernames stand, how often they are probed, and who is not ready."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from monitor.core.book import Book
from monitor.core.endpoint import Endpoint, Environment
from monitor.core.holdername import Holdername, Register, Serving
from monitor.core.lifecycle import Lifecycle, holdername_lifecycle, lifecycle, not_ready, paced
from tests.core.builders import (
    GUID,
    LONDON,
    OTHER,
    SECOND,
    at,
    book,
    endpoint,
    holdername,
    rules,
    seen,
)

MARCH = date(2026, 3, 20)
"""Hypercare from here goes over the change of the clocks on 29 March."""


def register(*endpoints: Endpoint, holdernames: Any = ()) -> Register:
    return Register(endpoints, holdernames, LONDON)


@pytest.mark.parametrize(
    ("instant", "stands"),
    [
        ("2026-03-19T23:59:59", Lifecycle.LIVE_PENDING),
        ("2026-03-20T00:00", Lifecycle.HYPERCARE),
        ("2026-04-02T22:59:59", Lifecycle.HYPERCARE),
        ("2026-04-02T23:00", Lifecycle.LIVE),
        ("2026-06-30T22:59:59", Lifecycle.LIVE),
        ("2026-06-30T23:00", Lifecycle.DISCONNECTED),
    ],
)
def test_each_change_comes_at_a_uk_midnight(instant: str, stands: Lifecycle) -> None:
    """Pending, fourteen civil days of hypercare, live, disconnected: half open, in UK time."""
    one = endpoint(connected_from=MARCH, disconnected_on=date(2026, 7, 1))
    assert lifecycle(one, at(instant), register(one)) is stands
    assert stands.connected == (stands in (Lifecycle.HYPERCARE, Lifecycle.LIVE))


def test_test_endpoints_stay_in_test_and_live_ones_without_a_date_are_ready() -> None:
    """A date means nothing for a test endpoint; a live one waits for its date."""
    tested = endpoint(environment=Environment.TEST, connected_from=MARCH)
    waiting = endpoint(connected_from=None)
    now = at("2026-03-25")
    assert lifecycle(tested, now, register(tested)) is Lifecycle.TEST
    assert lifecycle(waiting, now, register(waiting)) is Lifecycle.READY


def test_no_days_of_hypercare_is_none() -> None:
    """With `days: 0` an endpoint is live from its connection on."""
    one = endpoint(connected_from=MARCH, hypercare=timedelta())
    assert lifecycle(one, at("2026-03-20"), register(one)) is Lifecycle.LIVE


@pytest.mark.parametrize(
    ("instant", "stands"),
    [
        ("2026-03-19", Lifecycle.LIVE_PENDING),
        ("2026-03-21", Lifecycle.HYPERCARE),
        ("2026-04-10", Lifecycle.LIVE),
        ("2026-08-01", Lifecycle.DISCONNECTED),
    ],
)
def test_a_holdername_goes_by_its_earliest_serving(instant: str, stands: Lifecycle) -> None:
    """Moving to another endpoint later does not begin hypercare anew."""
    first = endpoint("first", connected_from=date(2026, 1, 1))
    second = endpoint("second", connected_from=date(2026, 1, 1))
    moved = Holdername(
        GUID,
        "A Scheme",
        (
            Serving(("first",), MARCH),
            Serving(("second",), date(2026, 4, 8), date(2026, 8, 1)),
        ),
    )
    known = register(first, second, holdernames=[moved])
    assert holdername_lifecycle(GUID, at(instant), known) is stands


def test_a_holdername_that_nobody_is_to_serve_is_ready() -> None:
    """Registered, and no live endpoint named for it."""
    known = register(endpoint(), holdernames=[holdername(OTHER, "view")])
    assert holdername_lifecycle(GUID, at("2026-03-21"), known) is Lifecycle.READY


def test_only_hypercare_is_probed_more_often_and_never_less() -> None:
    """The interval is the shorter one while it lasts; everything else of the endpoint stays."""
    tight = {"connected_from": MARCH, "hypercare_interval": 15 * SECOND}
    one, slow = endpoint("one", **tight), endpoint("slow", connected_from=MARCH)
    wide = endpoint("wide", connected_from=MARCH, hypercare_interval=60 * SECOND)
    known = register(one, slow, wide)
    faster = replace(one, cadence=replace(one.cadence, interval=15 * SECOND))
    assert paced([one, slow, wide], at("2026-03-21"), known) == (faster, slow, wide)
    assert paced([one, slow, wide], at("2026-04-21"), known) == (one, slow, wide)


# Readiness


def pending(results: str, instant: datetime) -> Book:
    known = book(endpoint(connected_from=MARCH), rules=rules())
    for place, letter in enumerate(results):
        known.observe(seen(letter, instant - (len(results) - place) * 30 * SECOND))
    return known


def once(results: str, instant: str) -> list[str]:
    now = at(instant)
    return [notice.once for notice in not_ready(pending(results, now), now)]


def test_a_pending_endpoint_that_is_down_is_told_of_once_a_uk_day() -> None:
    """From fourteen days before its date to the date; with the day MaPS must be told by."""
    assert once("dddd", "2026-03-05T23:59") == []
    assert once("dddd", "2026-03-06T00:00") == ["endpoint.not_ready view 2026-03-06"]
    assert once("dddd", "2026-03-12T09:00") == once("i", "2026-03-12T23:00")
    assert once("dddd", "2026-03-19T23:59") == ["endpoint.not_ready view 2026-03-19"]
    assert once("dddd", "2026-03-20T00:00") == []


def test_what_is_told_says_how_long_is_left_and_what_to_do() -> None:
    """Whole days to the connection, the last result, and the advice."""
    now = at("2026-03-12T09:00")
    (notice,) = not_ready(pending("ud", now), now)
    assert notice.event.type == "endpoint.not_ready"
    data = notice.event.data
    assert (data["endpoint"], data["days_left"], data["reason"]) == ("view", 7, "connect_refused")
    assert data["connected_from"] == "2026-03-20"
    assert "2026-03-13T00:00:00Z" in data["advice"]


@pytest.mark.parametrize("results", ["u", "uuu", ""])
def test_one_that_is_up_or_was_never_probed_is_not_spoken_of(results: str) -> None:
    """Only what was seen to fail."""
    assert once(results, "2026-03-12T09:00") == []


def test_an_endpoint_that_recovers_is_not_yet_ready() -> None:
    """One good observation after an outage confirms nothing."""
    assert once("dddddu", "2026-03-12T09:00") != []


def test_neither_test_endpoints_nor_connected_ones_nor_those_without_a_date_are_told_of() -> None:
    """Readiness is about a date to come."""
    known = book(
        endpoint("tested", environment=Environment.TEST, connected_from=MARCH),
        endpoint("connected"),
        endpoint("waiting", connected_from=None),
    )
    now = at("2026-03-12")
    for name in ("tested", "connected", "waiting"):
        known.observe(seen("d", now - SECOND, name))
    assert list(not_ready(known, now)) == []
