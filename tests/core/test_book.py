"""Everything known as of one instant, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.book import Book
from monitor.core.downtime import Series
from monitor.core.endpoint import Environment, Service
from monitor.core.fact import BadFact, Fact
from monitor.core.holdername import Holdername, Serving
from monitor.core.incident import IncidentKind, IncidentState
from monitor.core.interval import BEGINNING, Interval, IntervalSet
from monitor.core.month import Month
from monitor.core.outage import Class, Source
from monitor.core.rules import LateRecords
from monitor.core.slo import Verdict
from monitor.core.timeline import Span, State, Track
from monitor.core.verdict import Observation
from monitor.errors import IllegalStep, UnknownName
from tests.core.builders import (
    DAY,
    GUID,
    HOUR,
    LONDON,
    MINUTE,
    OTHER,
    SECOND,
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
    run,
    seen,
    series,
    series_of,
    span,
    spans,
    watch,
)

MARCH = Month(2026, 3, LONDON)
VIEW, FIND = Service.VIEW, Service.FIND
WHOLE = Interval(BEGINNING, at("2027-01-01"))
EVERY_MINUTE = cadence(interval=MINUTE, gap_after=2 * MINUTE + 15 * SECOND)


def minutely(*names: str, holdernames: tuple[Holdername, ...] = (), **choice: Any) -> Book:
    """A Book of endpoints probed once a minute."""
    made = [endpoint(name, cadence=EVERY_MINUTE) for name in names or ("view",)]
    return book(*made, holdernames=holdernames, rules=rules(**choice))


def look(known: Book, results: str, name: str = "view", start: datetime = START) -> datetime:
    return watch(known, results, start, name, MINUTE)


def parts(known: Book, now: datetime, about: Any = None) -> list[tuple[Class | None, Interval]]:
    about = series() if about is None else about
    return [(part.cls, part.interval) for one in known.outages(about, now) for part in one.parts]


def names(facts: list[Fact]) -> list[str]:
    return [f"{one.type} {one.body['id']}" for one in facts]


# --- learning ---


def test_unheard_of() -> None:
    """A name that nobody knows is refused, with where to look."""
    known = book()
    nowhere: list[tuple[str, Callable[[], object]]] = [
        ("endpoint", lambda: known.observe(seen("u", START, "nobody"))),
        ("endpoint", lambda: known.branch().track("nobody")),
        ("endpoint", lambda: known.endpoint_series("nobody")),
        ("declaration", lambda: known.learn(fact("cancellation", START, id="nobody"))),
        ("declaration", lambda: known.learn(fact("amendment", START, id="nobody"))),
        ("declaration", lambda: known.learn(fact("completion", START, id="nobody"))),
        ("assertion", lambda: known.learn(fact("withdrawal", START, id="nobody"))),
        ("incident", lambda: known.learn(fact("incident.closed", START, id="nobody"))),
    ]
    for what, attempt in nowhere:
        with pytest.raises(UnknownName, match=f'there is no {what} "nobody"'):
            attempt()
    assert known.endpoint_series("view") == series()


def test_a_declaration_is_made_once() -> None:
    """A second declaration of one id is refused; it is to be amended."""
    known = book()
    known.learn(declaration(START, minutes(60, 90)))
    with pytest.raises(UnknownName, match="exists already; amend it"):
        known.learn(declaration(START, minutes(60, 90)))


def test_bad_facts_teach_nothing() -> None:
    """A fact that cannot be read leaves the Book as it was."""
    known = book()
    known.learn(declaration(START, minutes(60, 90)))
    before = known.declaration("D-1")
    with pytest.raises(BadFact):
        known.learn(fact("amendment", START, id="D-1", end=START - DAY))
    assert known.declaration("D-1") is before


def test_facts_that_decide_nothing_are_left_alone() -> None:
    """A fact of another type changes no judgement."""
    known = book()
    known.learn(fact("note", START, text="x"))
    assert known.boundaries() == book().boundaries()


def test_cadence_of_a_configuration_holds_from_its_fact() -> None:
    """A configuration's cadences count from when it was put in force."""
    slow = cadence(interval=5 * MINUTE, gap_after=11 * MINUTE)
    known = book(endpoint(cadence=slow))
    known.restore("view", [], [], Track(((BEGINNING, cadence()),)))
    known.learn(fact("configuration", after(minutes=1)))
    expected = ((BEGINNING, cadence()), (after(minutes=1), slow))
    assert known.track("view").cadences == expected


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("opened", {}),
        ("restored", {"started_at": START}),
        ("reported", {"author": "ops", "ticket": "T-1", "reported_at": "soon"}),
        ("updated", {"author": "ops", "location": "moon"}),
        ("stepped", {}),
    ],
)
def test_unreadable_step_of_an_incident(kind: str, body: dict[str, Any]) -> None:
    """A step that cannot be read is refused and the record stays as it was."""
    known = minutely()
    known.correlate(look(known, "ddd"), {"west"})
    before = known.record("I-1")
    with pytest.raises(BadFact, match=f"incident.{kind}: cannot be read"):
        known.learn(fact(f"incident.{kind}", after(hours=1), id="I-1", **body))
    assert known.record("I-1") is before


def test_notices_are_given_once() -> None:
    """A notice given is known in the Book and in every branch."""
    known = book()
    known.learn(fact("notice", START, once="slo.burn view"))
    upper = known.branch()
    assert upper.was_noticed("slo.burn view")
    upper.learn(fact("notice", START, once="other"))
    assert not known.was_noticed("other")
    known.adopt(upper)
    assert known.was_noticed("other")


def test_seals_are_kept_in_order() -> None:
    """A month's seal and its restatements are kept one after another."""
    known = book()
    facts = [
        fact("seal", START, month="2026-02"),
        fact("restatement", after(days=1), month="2026-02"),
    ]
    for one in facts:
        known.learn(one)
    assert known.seals == {"2026-02": tuple(facts)}


# --- states and accounts of an endpoint ---


def test_states_partition_eligible_time() -> None:
    """Before the first observation, and in silence, time is unknown (2.1)."""
    known = minutely()
    now = look(known, "uud")
    assert known.states(series(), minutes(-1, 3), now) == spans("?uuc", after(minutes=-1), MINUTE)
    assert known.states(series(), span("2025-12-01", "2025-12-31"), now) == []
    assert known.settled("view") == minutes(0, 2)
    assert minutely().settled("view") is None


def test_only_eligible_time_counts() -> None:
    """Pending and retired time is outside, never 100 % (6)."""
    known = book(endpoint(connected_from=date(2026, 3, 3), disconnected_on=date(2026, 3, 5)))
    account = known.account(series(), MARCH, at("2026-03-10"))
    assert (account.eligible, account.whole) == (2 * DAY, 2 * DAY)
    assert not account.closed
    assert account.tally.of(State.UNKNOWN) == 2 * DAY
    running = known.account(series(), MARCH, at("2026-03-04"))
    assert (running.eligible, running.whole) == (DAY, 2 * DAY)
    assert known.account(series(), MARCH, at("2026-03-02")).verdict is Verdict.NO_DATA
    assert known.account(series(), MARCH, at("2026-02-02")).eligible == timedelta()


def test_pending_and_test_endpoints_have_no_eligible_time() -> None:
    """A pending endpoint is listed with nothing; a test endpoint is not accounted (1, 6)."""
    pending = endpoint("pending", connected_from=None)
    trial = endpoint("trial", environment=Environment.TEST)
    known = book(pending, trial)
    assert [one.endpoint for one in known.accounted_endpoints()] == ["pending"]
    assert known.eligible(series("pending")) == IntervalSet()
    now = watch(known, "ddd", name="trial")
    assert watch(known, "ddd", name="pending") == now
    assert known.outages(series("pending"), now) == []
    assert known.incidents(now) == []
    assert known.months(series("pending"), now) == [MARCH]


def test_outage_across_the_connection_counts_from_it() -> None:
    """An outage that began before the connection date counts from 00:00 UK (6)."""
    known = book(endpoint(connected_from=date(2026, 3, 3), cadence=EVERY_MINUTE))
    now = look(known, "d" * 20, start=at("2026-03-02T23:50"))
    assert parts(known, now) == [(Class.UNDECLARED, span("2026-03-03", "2026-03-03T00:10"))]
    (incident,) = known.incidents(now)
    assert (incident.started_at, incident.detected_at) == (at("2026-03-03"), at("2026-03-03"))


def test_outage_ends_with_the_connection() -> None:
    """A disconnected endpoint's outage is over; what comes later is not counted (6)."""
    known = book(endpoint(disconnected_on=date(2026, 3, 3), cadence=EVERY_MINUTE))
    now = look(known, "d" * 20, start=at("2026-03-02T23:50"))
    (outage,) = known.outages(series(), now)
    assert (outage.open, outage.interval) == (False, span("2026-03-02T23:50", "2026-03-03"))
    assert known.outages(series(), now, Interval(at("2026-03-03"), now)) == []


def test_outages_within_bounds_come_whole() -> None:
    """Outages that reach into the bounds are listed whole, others not."""
    known = minutely()
    now = look(known, "ddduuudddd")
    first, second = known.outages(series(), now)
    assert (first.interval, first.open) == (minutes(0, 3), False)
    assert (second.interval, second.open) == (minutes(6, 10), True)
    assert known.outages(series(), now, minutes(2, 4)) == [first]
    assert known.outages(series(), now, minutes(3, 6)) == []
    assert known.outages(series(), now, minutes(7, 9)) == [second]
    assert known.outages(series(), now, minutes(20, 30)) == []


def test_earlier_now_sees_less() -> None:
    """Asked as of an earlier instant, an outage reaches no further than that."""
    known = minutely()
    now = look(known, "ddddduuu")
    assert parts(known, now) == [(Class.UNDECLARED, minutes(0, 5))]
    assert parts(known, after(minutes=4)) == [(Class.UNDECLARED, minutes(0, 4))]
    assert parts(known, START) == []


def test_month_boundary() -> None:
    """An outage across midnight UK spends the budget of both months (6)."""
    known = minutely()
    now = look(known, "u" * 60 + "d" * 60 + "uu", start=at("2026-03-31T22:00"))
    april = Month(2026, 4, LONDON)
    for month, lost in ((MARCH, 0), (april, 60)):
        account = known.account(series(), month, now)
        assert account.unavailable == lost * MINUTE
        assert account.tally.in_class(Class.UNDECLARED) == lost * MINUTE
    again = minutely()
    now = look(again, "d" * 90 + "uu", start=at("2026-03-31T22:00"))
    assert again.account(series(), MARCH, now).unavailable == 60 * MINUTE
    assert again.account(series(), april, now).unavailable == 30 * MINUTE
    assert [str(month) for month in again.months(series(), now)] == [
        "2026-01",
        "2026-02",
        "2026-03",
        "2026-04",
    ]


def test_months_of_time_that_counts() -> None:
    """Listed are the months that eligible time touches, the running one even if it is to come."""
    rows = (
        Serving(("view",), date(2026, 1, 5), date(2026, 1, 9)),
        Serving(("view",), date(2026, 3, 20)),
    )
    known = book(holdernames=[Holdername(GUID, "A Scheme", rows)])
    listed = [str(month) for month in known.months(series_of(), START)]
    assert listed == ["2026-01", "2026-03"]
    assert [str(month) for month in known.months(series_of(), at("2026-02-10"))] == ["2026-01"]


def test_burn_rate() -> None:
    """Three minutes down in ten burn sixty times the allowed rate (6)."""
    known = minutely()
    now = look(known, "u" * 7 + "ddd")
    assert known.burn_rate(series(), 10 * MINUTE, now) == Fraction(3, 10) / Fraction(5, 1000)
    assert known.burn_rate(series(), MINUTE, now) == 200


# --- classes ---


def test_before_through_and_past_a_window() -> None:
    """An outage before, through and past a window has three parts (5)."""
    window = span("2026-03-24T00:00", "2026-03-24T00:10")
    known = minutely()
    known.learn(declaration(START, window))
    begun = window.start - 5 * MINUTE
    now = look(known, "d" * 20 + "uu", start=begun)
    assert parts(known, now) == [
        (Class.UNDECLARED, Interval(begun, window.start)),
        (Class.DECLARED, window),
        (Class.OVERRUN, Interval(window.end, window.end + 5 * MINUTE)),
    ]
    account = known.account(series(), MARCH, now)
    assert account.unavailable == 20 * MINUTE == sum(account.tally.classes.values(), timedelta())
    (incident,) = known.incidents(now)
    assert (incident.started_at, incident.declaration) == (begun, None)


def test_accepted_late_the_past_is_asked_again() -> None:
    """With `late_records: accept` a declaration may take an incident back that stands (4.1)."""
    window = span("2026-03-24T00:00", "2026-03-24T01:00")
    known = minutely(late_records=LateRecords.ACCEPT, holdernames=(holdername(GUID, "view"),))
    known.learn(assertion(window.start, window.start, window.start + MINUTE))
    now = look(known, "ddduu", start=window.start)
    known.correlate(now, {"west", "A-1"})
    upper = known.branch()
    upper.learn(declaration(now, window, notified_at=START))
    assert upper.touched == {"west", "A-1"}
    facts = upper.correlate(now, upper.touched)
    assert names(facts) == ["incident.voided I-1", "incident.voided I-2"]


def test_wholly_declared_needs_no_incident() -> None:
    """An outage wholly inside a declared window opens none; a blip opens none (7.1)."""
    window = span("2026-03-24T00:00", "2026-03-24T01:00")
    known = minutely()
    known.learn(declaration(START, window))
    now = look(known, "ddduuuddu", start=window.start)
    assert known.incidents(now) == []
    assert known.account(series(), MARCH, now).unconfirmed == 2 * MINUTE


def test_overrun_opens_an_incident_when_the_window_ends() -> None:
    """An incident starts at the first instant that needs one: the end of the window (7.1)."""
    window = span("2026-03-24T00:00", "2026-03-24T00:10")
    known = minutely()
    known.learn(declaration(START, window))
    now = look(known, "d" * 12, start=window.start)
    (incident,) = known.incidents(now)
    assert (incident.started_at, incident.detected_at) == (window.end, window.end)
    assert (incident.declaration, incident.kind) == ("D-1", IncidentKind.OUTAGE)
    assert known.correlate(window.end - MINUTE, {"west"}) == []


def test_short_notice_is_an_emergency_fix() -> None:
    """Short notice opens an incident of kind emergency fix (7.1)."""
    known = minutely()
    known.learn(declaration(START, minutes(0, 60)))
    now = look(known, "dddd")
    (incident,) = known.incidents(now)
    assert (incident.kind, incident.declaration) == (IncidentKind.EMERGENCY_FIX, "D-1")


def test_amendment_recounts_what_it_covers() -> None:
    """A cancellation during an outage makes the rest overrun; what is past stays (4.1)."""
    window = span("2026-03-24T00:00", "2026-03-24T00:10")
    known = minutely()
    known.learn(declaration(START, window))
    now = look(known, "d" * 8 + "uu", start=window.start)
    assert [cls for cls, _ in parts(known, now)] == [Class.DECLARED]
    known.learn(fact("cancellation", window.start + 4 * MINUTE, id="D-1"))
    assert [cls for cls, _ in parts(known, now)] == [Class.DECLARED, Class.OVERRUN]


# --- holdernames ---


def test_holdername_follows_its_endpoint() -> None:
    """A holdername is unavailable when its endpoint is (1)."""
    known = minutely(holdernames=(holdername(GUID, "view"),))
    now = look(known, "udddduu")
    assert known.accounted_holdernames() == [series_of()]
    assert known.states(series_of(), minutes(0, 7), now) == spans("udddduu", step=MINUTE)
    (outage,) = known.outages(series_of(), now)
    assert (outage.interval, outage.open, outage.source) == (minutes(1, 5), False, Source.PROBE)
    (incident,) = known.incidents(now)
    assert incident.holdernames == (GUID,)


def test_worst_of_several_endpoints() -> None:
    """With several endpoints for one service the worst state counts; outages are merged (5)."""
    known = minutely("view", "spare", holdernames=(holdername(GUID, "view", "spare"),))
    look(known, "dddduuuu")
    now = look(known, "uuiiiiuu", "spare")
    assert known.states(series_of(), minutes(0, 8), now) == spans("ddddiiuu", step=MINUTE)
    (outage,) = known.outages(series_of(), now)
    assert (outage.interval, outage.confirmed_at) == (minutes(0, 6), after(minutes=2))


def test_mapping_moves_in_an_outage() -> None:
    """A holdername moved to a good endpoint at midnight is available from then on (1)."""
    rows = (Serving(("view",), date(2026, 1, 1)), Serving(("spare",), date(2026, 3, 3)))
    known = minutely("view", "spare", holdernames=(Holdername(GUID, "A Scheme", rows),))
    start = at("2026-03-02T23:50")
    look(known, "d" * 20, start=start)
    now = look(known, "u" * 20, "spare", start)
    (outage,) = known.outages(series_of(), now)
    assert (outage.open, outage.interval) == (False, Interval(start, at("2026-03-03")))
    assert known.outages(series_of(), now, Interval(at("2026-03-03"), now)) == []


def test_outage_before_the_mapping_is_not_the_holdernames() -> None:
    """What an endpoint suffered before it served a holdername does not count for it (1)."""
    known = minutely(holdernames=(holdername(GUID, "view", start="2026-03-03"),))
    now = look(known, "dddduu")
    later = look(known, "u" * 5, start=at("2026-03-03"))
    assert len(known.outages(series(), now)) == 1
    assert known.outages(series_of(), later) == []


def test_asserted_time_is_down() -> None:
    """An assertion is an outage of those series, whatever the probe says (3)."""
    known = minutely(holdernames=(holdername(GUID, "view"), holdername(OTHER, "view")))
    now = look(known, "u" * 10)
    known.learn(assertion(after(minutes=8), after(minutes=2), after(minutes=6), services=["view"]))
    assert known.states(series_of(), minutes(0, 10), now) == spans("uudddduuuu", step=MINUTE)
    assert known.states(series_of(OTHER), minutes(0, 10), now) == spans("u" * 10, step=MINUTE)
    (outage,) = known.outages(series_of(), now)
    assert (outage.source, outage.confirmed_at) == (Source.ASSERTED, after(minutes=8))
    (incident,) = known.incidents(now)
    assert (incident.group, incident.asserted, incident.detected_at) == (
        "A-1",
        True,
        after(minutes=8),
    )
    assert (incident.endpoints, incident.holdernames) == (("view",), (GUID,))
    known.learn(fact("withdrawal", after(minutes=9), id="A-1"))
    assert known.outages(series_of(), now) == known.incidents(now) == []


def test_assertion_and_probe_merge_into_one_outage() -> None:
    """Both sources of one span are mixed; its incidents stay apart (5, 7.2)."""
    known = minutely(holdernames=(holdername(GUID, "view"),))
    now = look(known, "uddddduu")
    known.learn(assertion(START, after(minutes=3), None))
    (outage,) = known.outages(series_of(), now)
    assert (outage.source, outage.open) == (Source.MIXED, True)
    assert outage.interval == minutes(1, 8)
    found = known.incidents(now)
    assert [(one.group, one.state) for one in found] == [
        ("west", IncidentState.RESTORED),
        ("A-1", IncidentState.OPEN),
    ]


def test_assertion_under_a_declaration() -> None:
    """An asserted outage wholly declared needs no incident (7.1)."""
    window = span("2026-03-24T00:00", "2026-03-24T01:00")
    known = minutely(holdernames=(holdername(GUID, "view"),))
    known.learn(declaration(START, window, holdernames=[GUID]))
    known.learn(assertion(window.start, window.start, window.end))
    assert known.incidents(window.end) == []
    known.learn(assertion(window.end, window.start, window.end + MINUTE))
    (incident,) = known.incidents(window.end + HOUR)
    assert (incident.started_at, incident.declaration) == (window.end, "D-1")


def test_assertion_outside_served_time_is_nothing() -> None:
    """What is asserted of time at which nobody serves the holdername does not count (6)."""
    known = minutely(holdernames=(holdername(GUID, "view", start="2026-04-01"),))
    known.learn(assertion(START, START, after(minutes=5)))
    assert known.outages(series_of(), after(hours=1)) == []
    assert known.incidents(after(hours=1)) == []
    known.learn(assertion(START, after(days=40), None, id="A-2", services=["find"]))
    assert known.needs(after(days=50)) == []


# --- our records ---


def test_correlate_opens_and_restores() -> None:
    """Correlation learns the facts that bring the records up to date, once (7)."""
    known = minutely()
    now = look(known, "uddd")
    assert known.touched == {"west"}
    assert known.correlate(now, set()) == []
    assert names(known.correlate(now, {"west"})) == ["incident.opened I-1"]
    assert known.correlate(now, {"west"}) == []
    now = look(known, "uu", start=now)
    assert names(known.correlate(now, {"west"})) == ["incident.restored I-1"]
    assert known.record("I-1").state is IncidentState.RESTORED
    assert known.settled_causes == {"west"}


def test_a_storm_is_one_message() -> None:
    """Endpoints that join a new incident wait a little, and are then told together."""
    known = minutely("a", "b", "c")
    now = look(known, "ddd", "a")
    known.correlate(now, {"west"})
    look(known, "ddd", "b")
    look(known, "ddd", "c")
    assert known.correlate(now + 9 * SECOND, {"west"}) == []
    assert known.withheld == {"west"}
    assert names(known.correlate(now + 10 * SECOND, {"west"})) == ["incident.changed I-1"]
    assert known.record("I-1").view.endpoints == ("a", "b", "c")
    assert known.withheld == set()


def test_causes_do_not_disturb_each_other() -> None:
    """Records of causes that were not asked about stay as they are."""
    known = book(
        endpoint("a", cadence=EVERY_MINUTE), endpoint("b", cadence=EVERY_MINUTE, group="east")
    )
    now = look(known, "ddd", "a")
    look(known, "ddd", "b")
    assert names(known.correlate(now, {"west"})) == ["incident.opened I-1"]
    assert names(known.correlate(now, {"east"})) == ["incident.opened I-2"]
    assert known.record("I-1").standing


def test_withdrawn_assertion_voids_its_record() -> None:
    """A withdrawal takes the incident back (3)."""
    known = minutely(holdernames=(holdername(GUID, "view"),))
    now = look(known, "uuu")
    known.learn(assertion(START, START, None))
    assert known.touched == {"A-1"}
    assert names(known.correlate(now, {"A-1"})) == ["incident.opened I-1"]
    known.learn(fact("withdrawal", now, id="A-1"))
    assert names(known.correlate(now, {"A-1"})) == ["incident.voided I-1"]


def test_overdue_is_learned_once() -> None:
    """At risk, then breached, each once and for good (7.3)."""
    known = minutely()
    known.correlate(look(known, "ddd"), {"west"})
    assert known.overdue(after(minutes=59)) == []
    assert names(known.overdue(after(minutes=60))) == ["incident.at_risk I-1"]
    assert known.overdue(after(minutes=61)) == []
    assert names(known.overdue(after(minutes=121))) == [
        "incident.breached I-1",
        "incident.at_risk I-1",
    ]
    assert known.overdue(after(minutes=122)) == []
    now = look(known, "uu", start=after(minutes=123))
    assert names(known.correlate(now, {"west"})) == ["incident.restored I-1"]
    assert known.overdue(now) == []
    known.learn(fact("incident.voided", now, id="I-1", reason="withdrawn"))
    assert known.overdue(now) == []


def test_a_step_is_checked_in_its_turn() -> None:
    """A step of people that the record does not allow is refused, and nothing changes (7.4)."""
    known = minutely()
    now = look(known, "ddd")
    known.correlate(now, {"west"})
    before = known.record("I-1")
    with pytest.raises(IllegalStep, match="I-1 cannot be closed yet"):
        known.learn(fact("incident.closed", now, id="I-1", author="ops"))
    assert known.record("I-1") is before


def test_causes_open() -> None:
    """What lasts, or ended lately, may still change by time alone."""
    known = minutely(holdernames=(holdername(GUID, "view"),))
    assert known.causes_open(START) == set()
    now = look(known, "ddd")
    assert known.causes_open(now) == {"west"}
    known.learn(assertion(now, START, after(minutes=5)))
    assert known.causes_open(now) == {"west", "A-1"}
    assert known.causes_open(after(days=2)) == {"west"}


def test_boundaries() -> None:
    """Windows, assertions and dates of connection are instants at which judgements may change."""
    known = book(endpoint(disconnected_on=date(2026, 12, 1)), endpoint("x", connected_from=None))
    known.learn(declaration(START, minutes(60, 90)))
    known.learn(assertion(START, after(minutes=5), after(minutes=9)))
    known.learn(assertion(START, after(minutes=7), None, id="A-2"))
    marks = known.boundaries()
    assert marks == sorted(marks)
    assert {after(minutes=m) for m in (5, 7, 9, 60, 90)} <= set(marks)
    assert {at("2026-01-01"), at("2026-12-01")} <= set(marks)


# --- another configuration ---


def test_inherit() -> None:
    """A Book of a new configuration takes over all that is known; cadences change from then on."""
    older = minutely("view", "gone")
    now = look(older, "uddd")
    older.learn(declaration(START, minutes(60, 90)))
    older.learn(fact("notice", START, once="x"))
    older.correlate(now, {"west"})
    slow = cadence(interval=5 * MINUTE, gap_after=11 * MINUTE)
    newer = book(endpoint("new"), endpoint(cadence=slow))
    newer.inherit(older, now)
    assert newer.states(series(), minutes(0, 4), now) == spans("uddd", step=MINUTE)
    assert newer.track("view").cadence == slow
    assert newer.track("new").last is None
    assert (newer.was_noticed("x"), set(newer.records)) == (True, {"I-1"})
    assert newer.declaration("D-1") == older.declaration("D-1")
    assert newer.correlate(now, {"west"}) == []


def test_an_endpoint_taken_out_may_come_back() -> None:
    """What was seen of it is kept, also what comes in late, and counts again when it is back."""
    older = minutely("gone")
    now = look(older, "uddd", "gone")
    without = minutely()
    without.inherit(older, now)
    now = look(without, "uu", "gone", now)
    assert without.touched == set()
    with pytest.raises(UnknownName):
        without.track("gone")
    again = minutely("gone")
    again.inherit(without, now)
    assert parts(again, now, series("gone")) == [(Class.UNDECLARED, minutes(1, 4))]


def test_an_endpoint_taken_out_takes_nothing_back() -> None:
    """Records of endpoints that are no longer configured are left alone."""
    older = minutely("gone")
    now = look(older, "ddd", "gone")
    older.correlate(now, {"west"})
    newer = minutely()
    newer.inherit(older, now)
    assert newer.correlate(now, {"west"}) == []
    assert newer.record("I-1").standing


def test_a_record_goes_on_without_an_endpoint_taken_out() -> None:
    """Of a shared incident the rest goes on: not opened twice, and restored in its time."""
    lonely = endpoint("long-gone", cadence=EVERY_MINUTE, group="east")
    rest = (endpoint(name, cadence=EVERY_MINUTE) for name in ("gone", "view"))
    older = book(lonely, *rest)
    look(older, "ddd", "gone")
    now = look(older, "udddd")
    older.correlate(now, {"west"})
    alone = look(older, "ddd", "long-gone")
    assert names(older.correlate(alone, {"east"})) == ["incident.opened I-2"]
    newer = minutely()
    newer.inherit(older, now)
    assert newer.correlate(now, {"west"}) == []
    now = look(newer, "uu", start=now)
    assert names(newer.correlate(now, {"west"})) == ["incident.restored I-1"]
    view = newer.record("I-1").view
    assert (view.started_at, view.endpoints) == (START, ("gone", "view"))
    assert newer.correlate(now, {"west"}) == []


def test_another_group_keeps_the_history() -> None:
    """An endpoint whose URL, and so group, changes keeps its incidents: none is opened twice."""
    older = minutely()
    now = look(older, "ddduuu" + "u" * 20 + "ddd")
    older.correlate(now, {"west"})
    assert set(older.records) == {"I-1", "I-2"}
    newer = book(endpoint(cadence=EVERY_MINUTE, group="east"))
    newer.inherit(older, now)
    now = look(newer, "uu", start=now)
    assert newer.touched == {"east"}
    assert names(newer.correlate(now, {"east"})) == ["incident.restored I-2"]
    assert newer.record("I-2").view.group == "west"
    now = look(newer, "u" * 20 + "ddd", start=now)
    assert newer.correlate(now, {"west"}) == []
    assert names(newer.correlate(now, {"east"})) == ["incident.opened I-3"]
    assert newer.record("I-3").view.group == "east"


# --- branches ---


def test_a_branch_changes_nothing_below() -> None:
    """What a branch learns shows only there until it is adopted."""
    known = minutely(holdernames=(holdername(GUID, "view"),))
    now = look(known, "udd")
    upper = known.branch()
    later = look(upper, "dddduu", start=now)
    upper.learn(declaration(START, minutes(0, 60)))
    upper.learn(assertion(START, START, None))
    upper.correlate(later, {"west"})
    assert known.outages(series(), now) == []
    assert (known.records, known.assertions, dict(known.calendar.declarations)) == ({}, {}, {})
    assert known.states(series(), minutes(0, 3), now) == spans("ucc", step=MINUTE)
    (outage,) = upper.outages(series(), later)
    assert outage.interval == minutes(1, 7)


def test_a_branch_given_up_leaves_no_trace() -> None:
    """What was seen on a branch that could not be stored is not remembered below."""
    known = minutely()
    now = look(known, "ddd")
    lost = known.branch()
    later = look(lost, "uuu", start=now)
    assert parts(lost, later) == [(Class.UNDECLARED, minutes(0, 3))]
    later = look(known, "duu", start=now)
    assert parts(known, later) == [(Class.UNDECLARED, minutes(0, 4))]


LETTERS = st.text("uuddil ", min_size=1, max_size=25)


def everything(known: Book, now: datetime) -> list[Any]:
    about = [*known.accounted_endpoints(), *known.accounted_holdernames()]
    return [
        [known.states(one, WHOLE, now) for one in about],
        [known.outages(one, now) for one in about],
        [known.account(one, month, now) for one in about for month in known.months(one, now)],
        known.incidents(now),
        known.boundaries(),
        known.causes_open(now),
    ]


def two() -> Book:
    return minutely("view", "spare", holdernames=(holdername(GUID, "view", "spare"),))


def scripted(view: str, spare: str) -> list[Observation | Fact]:
    script: list[Observation | Fact] = [
        *run(view, name="view", step=MINUTE),
        *run(spare, name="spare", step=MINUTE),
        declaration(after(minutes=2), minutes(4, 9), endpoints=["view"]),
        fact(
            "amendment",
            after(minutes=6),
            id="D-1",
            notified_at=after(minutes=6),
            end=after(minutes=8),
        ),
        assertion(after(minutes=7), after(minutes=3), after(minutes=12)),
    ]
    return sorted(script, key=lambda one: one.at)


def tell(known: Book, script: list[Observation | Fact]) -> None:
    for one in script:
        if isinstance(one, Observation):
            known.observe(one)
        else:
            known.learn(one)


@settings(max_examples=60)
@given(LETTERS, LETTERS, st.lists(st.integers(0, 60), max_size=4))
def test_branch_and_adopt_equal_doing_it_directly(view: str, spare: str, cuts: list[int]) -> None:
    """However the changes are cut into branches, the Book says the same in the end, and before."""
    script, now = scripted(view, spare), after(minutes=30)
    direct, stepwise = two(), two()
    tell(direct, script)
    marks = sorted({0, *(cut for cut in cuts if cut < len(script)), len(script)})
    for begin, end in pairwise(marks):
        upper = stepwise.branch()
        tell(upper, script[begin:end])
        shown = everything(upper, now)
        stepwise.adopt(upper)
        assert everything(stepwise, now) == shown
    assert everything(stepwise, now) == everything(direct, now)


@settings(max_examples=60)
@given(LETTERS, LETTERS, st.randoms(use_true_random=False))
def test_order_and_repeats_change_nothing(view: str, spare: str, rng: Any) -> None:
    """Observations told twice, and those of different endpoints in any order, change nothing."""
    script, now = scripted(view, spare), after(minutes=30)
    facts = [one for one in script if isinstance(one, Fact)]
    direct, mixed = two(), two()
    tell(direct, script)
    waiting = {
        name: run(text, name=name, step=MINUTE) for name, text in (("view", view), ("spare", spare))
    }
    queue = [one for name in rng.sample(sorted(waiting), 2) for one in waiting[name] for _ in "ab"]
    tell(mixed, [*facts, *queue])
    assert everything(mixed, now) == everything(direct, now)


@settings(max_examples=60)
@given(LETTERS, LETTERS, st.sampled_from(list(LateRecords)), st.booleans())
def test_records_follow_what_is_derived(
    view: str, spare: str, late: LateRecords, withdrawn: bool
) -> None:
    """Brought up to date minute by minute, the records say in the end what the outages say."""
    guids = (holdername(GUID, "view", "spare"),)
    known = minutely("view", "spare", holdernames=guids, late_records=late, quiet_period=2 * MINUTE)
    script = scripted(view, spare)
    if withdrawn:
        script.append(fact("withdrawal", after(minutes=20), id="A-1"))
    waiting: set[str] = set()
    for minute in range(40):
        now = after(minutes=minute)
        upper = known.branch()
        tell(upper, [one for one in script if now - MINUTE < one.at <= now])
        causes = upper.touched | waiting | upper.causes_open(now)
        upper.correlate(now, causes)
        waiting = (waiting - upper.settled_causes) | upper.withheld
        known.adopt(upper)
    now = after(hours=2)
    known.correlate(now, {"west", "A-1"})
    assert known.correlate(now, {"west", "A-1"}) == []
    standing = [one.view for one in known.records.values() if one.standing]
    assert sorted(standing, key=str) == sorted(known.incidents(now), key=str)
    for record in known.records.values():
        assert not record.standing or record.state is record.view.state


@settings(max_examples=60)
@given(LETTERS, LETTERS)
def test_sums(view: str, spare: str) -> None:
    """States sum to the eligible time, classes of a month to the unavailable (2.8, 5)."""
    known, now = two(), after(minutes=30)
    tell(known, scripted(view, spare))
    for about in (series("view"), series("spare"), series_of()):
        account = known.account(about, MARCH, now)
        assert account.tally.total == account.eligible
        assert sum(account.tally.classes.values(), timedelta()) == account.unavailable
        states = known.states(about, WHOLE, now)
        assert all(one.end == two.start for one, two in pairwise(states))
        for outage in known.outages(about, now):
            lengths = [part.interval.duration for part in outage.parts]
            assert sum(lengths, timedelta()) == outage.interval.duration


def test_restored_from_the_store() -> None:
    """Spans, outages and a track that the store kept are taken over as they are."""
    known, again = minutely(), minutely()
    now = look(known, "udddduud")
    again.restore(
        "view",
        [Span(one.start, one.end, one.state) for one in spans("udddduu", step=MINUTE)],
        known.endpoint_outages("view"),
        replace(known.track("view")),
    )
    assert everything(again, now) == everything(known, now)


# Likeness


def many_alike(now: datetime) -> Book:
    """Eight holdernames: pairs that differ in mapping, assertions or the declarations naming them."""
    guids = [f"{place}1111111-2222-4333-8444-555555555555" for place in range(8)]
    served = [("view",), ("view",), ("view", "east"), ("view", "east"), *[("view",)] * 4]
    known = book(
        endpoint(),
        endpoint("east"),
        holdernames=[holdername(guid, *names) for guid, names in zip(guids, served, strict=True)],
    )
    watch(known, "uuddd" + "d" * 55 + "uu")
    watch(known, "uuuu" + "i" * 80 + "uu", name="east")
    known.learn(assertion(now, after(hours=1), after(hours=2), holdernames=guids[4:6]))
    window = minutes(10, 50)
    known.learn(declaration(START, window, kind="emergency", holdernames=guids[6:]))
    known.learn(declaration(START, minutes(5, 15), id="D-2", kind="emergency", services=["view"]))
    return known


def test_series_of_one_likeness_have_one_account() -> None:
    """What is alike has equal states, outages and account; here four sorts of two each."""
    now = after(hours=3)
    known = many_alike(now)
    groups: dict[object, list[Series]] = {}
    for one in known.accounted_holdernames():
        groups.setdefault(known.likeness(one), []).append(one)
    assert [len(group) for group in groups.values()] == [2, 2, 2, 2]
    accounts = []
    for one, other in groups.values():
        account = known.account(one, MARCH, now)
        assert account == known.account(other, MARCH, now)
        assert known.outages(one, now) == known.outages(other, now)
        assert known.states(one, MARCH.interval, now) == known.states(other, MARCH.interval, now)
        accounts.append(account)
    assert all(one != other for one, other in pairwise(accounts))
    assert known.likeness(series()) != known.likeness(series("east"))
