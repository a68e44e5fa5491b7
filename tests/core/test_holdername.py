"""The effective-dated mapping of holdernames to endpoints."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.endpoint import Endpoint, Environment, Service
from monitor.core.holdername import Holdername, Period, Register, Serving, eligible, periods
from monitor.core.interval import FOREVER, Interval
from tests.core.builders import GUID, LONDON, OTHER, START, at, endpoint, holdername, minutes, span

FIND, VIEW = Service.FIND, Service.VIEW


def register(*holdernames: Holdername, endpoints: tuple[Endpoint, ...] = ()) -> Register:
    usual = (endpoint("find", FIND), endpoint("view"), endpoint("spare"))
    return Register(endpoints or usual, holdernames, LONDON)


def test_eligible_from_connection_to_disconnection() -> None:
    """Time counts from 00:00 UK of the connection date to that of disconnection (accounting 6)."""
    one = endpoint(connected_from=date(2026, 7, 1), disconnected_on=date(2026, 12, 1))
    assert eligible(one, LONDON) == span("2026-06-30T23:00", "2026-12-01T00:00")
    lasting = eligible(endpoint(connected_from=date(2026, 7, 1)), LONDON)
    assert lasting == Interval(at("2026-06-30T23:00"), FOREVER)


def test_never_eligible() -> None:
    """Test endpoints, pending ones and those disconnected at once have no time that counts."""
    assert eligible(endpoint(environment=Environment.TEST), LONDON) is None
    assert eligible(endpoint(connected_from=None), LONDON) is None
    same = date(2026, 7, 1)
    assert eligible(endpoint(connected_from=same, disconnected_on=same), LONDON) is None
    assert register().eligible("unheard-of") is None


def test_a_later_row_of_the_service_ends_the_one_before() -> None:
    """A row holds until a later one of the holdername names an endpoint of the same service."""
    rows = (Serving(("find", "view"), date(2026, 2, 1)), Serving(("spare",), date(2026, 3, 1)))
    found = register(Holdername(GUID, "A Scheme", rows))
    february, march = at("2026-02-01"), at("2026-03-01")
    assert found.serving(GUID, VIEW) == (
        Period(Interval(february, march), frozenset({"view"})),
        Period(Interval(march, FOREVER), frozenset({"spare"})),
    )
    assert found.serving(GUID, FIND) == (Period(Interval(february, FOREVER), frozenset({"find"})),)
    assert found.serving(GUID, Service.PAT_REFRESH) == ()


def test_a_row_may_end_by_itself() -> None:
    """A row holds until its own end, that day excluded, if that comes first."""
    found = register(holdername(GUID, "view", start="2026-02-01", until="2026-02-10"))
    (period,) = found.serving(GUID, VIEW)
    assert period.interval == span("2026-02-01", "2026-02-10")
    empty = register(holdername(GUID, "view", start="2026-02-01", until="2026-02-01"))
    assert empty.serving(GUID, VIEW) == ()


def test_only_eligible_time_is_served() -> None:
    """A row before the endpoint's connection serves from the connection on (accounting 6)."""
    view = endpoint(connected_from=date(2026, 3, 1), disconnected_on=date(2026, 4, 1))
    trial = endpoint("trial", environment=Environment.TEST)
    found = register(
        holdername(GUID, "view", "trial", start="2026-02-01"),
        holdername(OTHER, "view", start="2026-05-01"),
        endpoints=(view, trial),
    )
    assert found.serving(GUID, VIEW) == (
        Period(span("2026-03-01", "2026-03-31T23:00"), frozenset({"view"})),
    )
    assert found.serving(OTHER, VIEW) == ()
    assert found.active("trial") == ()
    assert found.holdername_series() == [(OTHER, VIEW), (GUID, VIEW)]


def test_series_of_test_endpoints_are_not_listed() -> None:
    """What only a test endpoint serves is no series (accounting 1)."""
    trial = endpoint("trial", environment=Environment.TEST)
    assert register(holdername(GUID, "trial"), endpoints=(trial,)).holdername_series() == []


def test_who_is_active() -> None:
    """An endpoint's active holdernames change with the mapping."""
    found = register(
        holdername(GUID, "view", start="2026-02-01"), holdername(OTHER, "view", start="2026-03-01")
    )
    assert [(period.interval.start, period.names) for period in found.active("view")] == [
        (at("2026-02-01"), {GUID}),
        (at("2026-03-01"), {GUID, OTHER}),
    ]
    assert found.guids_at(["view", "spare"], span("2026-02-01", "2026-02-02")) == [GUID]
    assert found.guids_at(["view"], span("2026-02-28", "2026-03-02")) == [OTHER, GUID]
    assert found.guids_at(["view"], span("2026-01-01", "2026-02-01")) == []


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.integers(1, 9)), max_size=8)
)
def test_periods_agree_with_asking_each_instant(parts: list[tuple[str, int, int]]) -> None:
    """At every instant the period there, if any, has exactly the names whose spans hold it."""
    found = periods((name, minutes(start, start + length)) for name, start, length in parts)
    for minute in range(32):
        instant = START + timedelta(minutes=minute)
        expected = {name for name, start, length in parts if start <= minute < start + length}
        names = [period.names for period in found if instant in period.interval]
        assert names == ([expected] if expected else [])
