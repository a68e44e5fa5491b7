"""Incidents derived from outages, and our records about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.fact import Fact
from monitor.core.incident import (
    HUMAN_STEPS,
    Incident,
    IncidentKind,
    IncidentState,
    Location,
    Need,
    Record,
    advance,
    derive,
    incident_body,
    opened,
    overdue,
    reconcile,
    require,
    view_of,
)
from monitor.core.outage import Class
from monitor.errors import IllegalStep
from tests.core.builders import GUID, HOUR, MINUTE, OTHER, START, TICK, after, fact

QUIET = 10 * MINUTE
TARGET = 2 * HOUR
MARKS = (60 * MINUTE, 90 * MINUTE)
OPEN, RESTORED, CLOSED = IncidentState


def need(
    start: float,
    end: float | None,
    name: str = "view",
    cause: str = "west",
    /,
    **changes: Any,
) -> Need:
    """An undeclared outage from so many to so many minutes after START, confirmed a minute on."""
    usual = Need(
        member=f"{name}@{start:g}",
        cause=cause,
        asserted=False,
        start=after(minutes=start),
        end=None if end is None else after(minutes=end),
        confirmed_at=after(minutes=start + 1),
        cls=Class.UNDECLARED,
        declaration=None,
        endpoints=frozenset({name}),
        holdernames=frozenset(),
    )
    return replace(usual, **changes)


def spans_of(*needs: Need) -> list[tuple[datetime, datetime | None]]:
    return [(one.started_at, one.restored_at) for one in derive(needs, QUIET)]


# --- derived from outages (accounting 7.1 to 7.3) ---


def test_exactly_the_quiet_period_apart_is_one() -> None:
    """Outages of a group at most `quiet_period` apart are one incident, a moment more are two."""
    assert spans_of(need(0, 5), need(15, 20)) == [(START, after(minutes=20))]
    late = need(15, 20, start=after(minutes=15) + TICK)
    assert spans_of(need(0, 5), late) == [
        (START, after(minutes=5)),
        (late.start, after(minutes=20)),
    ]


def test_a_long_outage_holds_short_ones_together() -> None:
    """The gap is counted from the latest end, not from that of the outage before."""
    assert spans_of(need(0, 60), need(1, 2, "find"), need(65, 70, "find")) == [
        (START, after(minutes=70))
    ]


def test_nothing_follows_an_open_outage() -> None:
    """While an outage lasts all that its group suffers is one incident."""
    (one,) = derive([need(0, None), need(300, 301, "find"), need(900, 901, "find")], QUIET)
    assert (one.state, one.restored_at) == (OPEN, None)
    assert one.endpoints == ("find", "view")
    assert one.members == {"view@0", "find@300", "find@900"}


def test_groups_are_apart() -> None:
    """Endpoints of different groups are different incidents, in order of detection."""
    found = derive([need(2, 9, "find", "east"), need(0, 9, confirmed_at=after(minutes=9))], QUIET)
    assert [(one.group, one.detected_at) for one in found] == [
        ("east", after(minutes=3)),
        ("west", after(minutes=9)),
    ]


def test_assertions_are_grouped_by_their_id() -> None:
    """An assertion is one incident, however far apart its needs, and never with probed outages."""
    asserted = {"asserted": True, "cls": Class.OVERRUN, "declaration": "D-1"}
    found = derive(
        [
            need(0, 1, "x", "A-1", holdernames=frozenset({GUID}), **asserted),
            need(600, 700, "y", "A-1", holdernames=frozenset({OTHER}), **asserted),
            need(0, 1, "view", "A-1"),
        ],
        QUIET,
    )
    probed, whole = sorted(found, key=lambda one: one.asserted)
    assert (probed.asserted, probed.restored_at) == (False, after(minutes=1))
    assert (whole.asserted, whole.restored_at) == (True, after(minutes=700))
    assert (whole.declaration, whole.holdernames) == ("D-1", (OTHER, GUID))


def test_kind() -> None:
    """An incident that begins with short notice is an emergency fix; others are outages."""
    short = need(0, 5, cls=Class.SHORT_NOTICE, declaration="D-1")
    (one,) = derive([short, need(1, 9, "find")], QUIET)
    assert (one.kind, one.declaration) == (IncidentKind.EMERGENCY_FIX, "D-1")
    (other,) = derive([need(0, 9), replace(short, start=after(minutes=1))], QUIET)
    assert (other.kind, other.declaration) == (IncidentKind.OUTAGE, None)


def test_detected_when_known() -> None:
    """Detection is the later of the start and the confirmation (7.3)."""
    assert need(0, 5).detected_at == after(minutes=1)
    assert need(10, 15, confirmed_at=START).detected_at == after(minutes=10)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 90),
            st.one_of(st.none(), st.integers(1, 20)),
            st.sampled_from("ab"),
            st.sampled_from(["east", "west"]),
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_order_changes_nothing_and_nothing_is_lost(
    given: list[tuple[int, int | None, str, str]], rng: Any
) -> None:
    """Incidents of a group lie more than the quiet period apart and hold every outage once."""
    needs = {
        one.member: one
        for start, length, name, cause in given
        for one in [need(start, None if length is None else start + length, name + cause, cause)]
    }
    found = derive(needs.values(), QUIET)
    shuffled = list(needs.values())
    rng.shuffle(shuffled)
    assert derive(shuffled, QUIET) == found
    assert sorted(member for one in found for member in one.members) == sorted(needs)
    for one in found:
        for other in found:
            if one.group == other.group and one.started_at < other.started_at:
                assert one.restored_at is not None
                assert other.started_at - one.restored_at > QUIET


# --- records ---


def facts_of(records: dict[str, Record], needs: list[Need], now: datetime) -> list[Fact]:
    return reconcile(records, derive(needs, QUIET), now, len(records) + 1)


def step(records: dict[str, Record], *needs: Need, minute: float) -> list[str]:
    """Bring records up to date; answers with `type id` of each fact."""
    found = facts_of(records, list(needs), after(minutes=minute))
    for one in found:
        name = one.body["id"]
        new = one.type == "incident.opened"
        records[name] = opened(one) if new else advance(records[name], one)
    return [f"{one.type.removeprefix('incident.')} {one.body['id']}" for one in found]


def test_life_of_a_record() -> None:
    """Opened, joined, restored, re-opened within the quiet period; no news, no fact (7.4)."""
    records: dict[str, Record] = {}
    assert step(records, need(0, None), minute=1) == ["opened I-1"]
    assert step(records, need(0, None), minute=2) == []
    both = (need(0, None), need(2, None, "find"))
    assert step(records, *both, minute=3) == ["changed I-1"]
    assert records["I-1"].view.endpoints == ("find", "view")
    over = (need(0, 6), need(2, 7, "find"))
    assert step(records, *over, minute=8) == ["restored I-1"]
    assert records["I-1"].state is RESTORED
    again = (*over, need(15, None))
    assert step(records, *again, minute=16) == ["reopened I-1"]
    assert records["I-1"].state is OPEN
    assert step(records, *over, need(15, 18), minute=19) == ["restored I-1"]
    assert step(records, *over, need(15, 18), need(40, None), minute=41) == ["opened I-2"]


def test_over_before_anyone_looked() -> None:
    """A short outage that has ended still stands, as restored (7.5)."""
    records: dict[str, Record] = {}
    assert step(records, need(0, 2), minute=3) == ["opened I-1", "restored I-1"]
    assert records["I-1"].state is RESTORED
    assert records["I-1"].view.restored_at == after(minutes=2)
    assert "report to MaPS (monitor incident report)" in records["I-1"].missing()


def test_restored_otherwise_is_a_change() -> None:
    """What only changes in detail is neither restored nor re-opened again."""
    records: dict[str, Record] = {}
    step(records, need(0, 2), minute=3)
    assert step(records, need(0, 2), need(1, 3, "find"), minute=4) == ["changed I-1"]
    assert records["I-1"].state is RESTORED


def test_records_are_merged() -> None:
    """When an outage joins two incidents the younger is merged into the older (7.2)."""
    records: dict[str, Record] = {}
    step(records, need(0, 2), minute=3)
    step(records, need(0, 2), need(20, 22), minute=23)
    assert set(records) == {"I-1", "I-2"}
    between = (need(0, 2), need(20, 22), need(10, 14, "find"))
    assert step(records, *between, minute=24) == ["changed I-1", "merged I-2"]
    assert records["I-2"].merged_into == "I-1"
    assert not records["I-2"].standing
    assert step(records, *between, minute=25) == []


def test_record_is_voided() -> None:
    """When no outage needs it any more, say because an assertion was withdrawn, it is void."""
    records: dict[str, Record] = {}
    step(records, need(0, 2), minute=3)
    assert step(records, minute=4) == ["voided I-1"]
    assert (records["I-1"].standing, "no longer" in str(records["I-1"].voided)) == (False, True)
    assert step(records, minute=5) == []
    assert step(records, need(0, 2), minute=6) == ["opened I-2", "restored I-2"]


def test_record_is_split() -> None:
    """When what was one incident becomes two, the record goes on as the first of them."""
    records: dict[str, Record] = {}
    step(records, need(0, 5), need(6, 30, "find"), minute=31)
    split = (need(0, 5), need(6, 30, "find", start=after(minutes=20)))
    assert step(records, *split, minute=32) == ["changed I-1", "opened I-2", "restored I-2"]
    assert (records["I-1"].members, records["I-2"].members) == ({"view@0"}, {"find@6"})
    assert step(records, *split, minute=33) == []


def test_body_comes_back_as_it_was() -> None:
    """A view written into a fact is read back the same."""
    (lasting,) = derive([need(0, None)], QUIET)
    (over,) = derive([need(0, 5, declaration="D-1")], QUIET)
    for view in (lasting, over):
        assert view_of(incident_body("I-1", view)) == view


# --- steps of people, and the clock ---


def record(*steps: Fact, lasts: bool = False) -> Record:
    """I-1, from START; restored after ten minutes unless it lasts."""
    (view,) = derive([need(0, None if lasts else 10)], QUIET)
    first, *rest = reconcile({}, [view], after(minutes=11), 1)
    found = opened(first)
    for one in (*rest, *steps):
        found = advance(found, one)
    return found


def taken(step: str, minute: float = 12, **body: Any) -> Fact:
    return fact(f"incident.{step}", after(minutes=minute), id="I-1", author="ops", **body)


REPORTED = taken("reported", ticket="T-9", reported_at=after(minutes=11))
CAUSE = taken("updated", cause="disk full", location="own")
ATTESTED = taken("attested")


def test_facts_in_any_order() -> None:
    """What people add are facts with author and time, in any order (7.4)."""
    found = record(ATTESTED, CAUSE, REPORTED, taken("acknowledged", 13))
    assert found.attested == (after(minutes=12), "ops")
    assert found.reported == (after(minutes=11), "T-9", "ops")
    assert (found.cause, found.location) == ("disk full", Location.OWN)
    assert found.acknowledged == (after(minutes=13), "ops")
    assert found.missing() == []
    assert [one.type for one in found.steps[-2:]] == ["incident.reported", "incident.acknowledged"]


def test_updates() -> None:
    """An update has a text and a time of the next; it keeps cause and location unless named."""
    found = record(CAUSE, taken("updated", 14, text="half", next_update_at=after(minutes=44)))
    assert [one.text for one in found.updates] == ["", "half"]
    assert [one.next_update_at for one in found.updates] == [None, after(minutes=44)]
    assert (found.cause, found.location) == ("disk full", Location.OWN)
    assert record(CAUSE, taken("updated", location="maps")).location is Location.MAPS


def test_what_closing_needs() -> None:
    """Closing needs: restored, reported, cause, attestation; what is missing is told (7.4)."""
    assert [line.split(" (")[0] for line in record(lasts=True).missing()] == [
        "service restored",
        "report to MaPS",
        "cause",
        "attestation that no acknowledged data was lost",
    ]
    with pytest.raises(IllegalStep, match="still missing: cause"):
        require(record(REPORTED, ATTESTED), "closed")
    require(record(REPORTED, ATTESTED, CAUSE), "closed")


def test_closed_takes_no_steps_until_reopened() -> None:
    """A closed incident takes no more steps, unless a failure re-opens it (7.4)."""
    closed = record(REPORTED, CAUSE, ATTESTED, taken("closed", 13))
    assert (closed.state, closed.closed_at) == (CLOSED, after(minutes=13))
    for name in HUMAN_STEPS:
        with pytest.raises(IllegalStep, match="was closed at 2026-03-02T09:13:00Z"):
            require(closed, name)
    records = {"I-1": closed}
    assert step(records, need(0, 10), need(19, None), minute=20) == ["reopened I-1"]
    assert records["I-1"].state is OPEN
    require(records["I-1"], "updated")


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (taken("merged", into="I-0"), "was merged into I-0; take the step there"),
        (taken("voided", reason="withdrawn"), "is void: withdrawn"),
    ],
)
def test_what_no_longer_stands_takes_no_steps(ending: Fact, text: str) -> None:
    """A merged or void incident refuses steps and says why."""
    with pytest.raises(IllegalStep, match=text):
        require(record(ending), "acknowledged")


def test_told_lately() -> None:
    """Joining waits ten seconds after opening and a minute after anything later."""
    fresh = record(lasts=True)
    begun = after(minutes=11)
    assert fresh.told_lately(begun + 10 * timedelta(seconds=1) - TICK)
    assert not fresh.told_lately(begun + 10 * timedelta(seconds=1))
    later = record(taken("acknowledged", 12), lasts=True)
    assert later.told_lately(after(minutes=13) - TICK)
    assert not later.told_lately(after(minutes=13))


def clock(found: Record, minute: float, moment: timedelta = timedelta()) -> list[str]:
    now = after(minutes=minute) + moment
    return [
        f"{one.type.removeprefix('incident.')} {one.body.get('after_s', one.body.get('deadline'))}"
        for one in overdue(found, now, target=TARGET, at_risk_after=(*MARKS, 3 * HOUR))
    ]


def test_restoration_clock() -> None:
    """At risk from 60 and 90 minutes after the start; breached past two hours (7.3)."""
    found = record(lasts=True)
    assert found.deadline(TARGET) == START + TARGET
    assert clock(found, 60, -TICK) == []
    assert clock(found, 60) == ["at_risk 3600"]
    assert clock(found, 90) == ["at_risk 3600", "at_risk 5400"]
    assert clock(found, 120) == ["at_risk 3600", "at_risk 5400"]
    assert clock(found, 120, TICK)[0] == "breached 2026-03-02T11:00:00Z"
    said = record(
        taken("at_risk", 60, after_s=3600), taken("at_risk", 90, after_s=5400), lasts=True
    )
    assert clock(said, 100) == []


def test_breach_is_for_good() -> None:
    """A breach is recorded once, and also if found out after the restoration."""
    (view,) = derive([need(0, 121)], QUIET)
    late = replace(record(), view=view)
    assert clock(late, 300) == ["breached 2026-03-02T11:00:00Z"]
    told = advance(late, taken("breached", 300, deadline=START + TARGET))
    assert told.breached_at == after(minutes=300)
    assert clock(told, 400) == []
    assert clock(record(), 400) == []
    assert clock(record(taken("voided", reason="gone"), lasts=True), 400) == []


def test_states_of_a_view() -> None:
    """A derived incident is open while any of its outages lasts, else restored (7.4)."""
    found: list[Incident] = derive([need(0, 5), need(2, None, "find")], QUIET)
    assert [one.state for one in found] == [OPEN]
    assert derive([need(0, 5)], QUIET)[0].state is RESTORED
