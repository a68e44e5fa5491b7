"""Which notices a change calls for."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from monitor.core.alert import (
    BURN_RULES,
    Notice,
    budget_notice,
    burn_notice,
    downtime_notices,
    expiry_notice,
    incident_event,
    report_due,
    update_due,
)
from monitor.core.downtime import Declaration, complete, declare
from monitor.core.incident import Record, advance
from monitor.core.month import Month
from tests.core.builders import (
    DAY,
    HOUR,
    LONDON,
    MINUTE,
    START,
    TICK,
    after,
    book,
    cadence,
    declaration,
    endpoint,
    fact,
    minutes,
    rules,
    seen,
    series,
    watch,
)

TARGET = 2 * HOUR
PATIENT = cadence(gap_after=30 * DAY)
WINDOW = minutes(60, 120)


def record(*steps: tuple[str, dict[str, Any]]) -> Record:
    """The record of an outage that lasts, after these steps."""
    known = book()
    now = watch(known, "uddd")
    known.correlate(now, {"west"})
    found = known.record("I-1")
    for step, body in steps:
        found = advance(found, fact(f"incident.{step}", now, **{"id": "I-1", **body}))
    return found


# --- incidents ---


@pytest.mark.parametrize(
    ("step", "body", "event"),
    [
        ("closed", {"author": "ops"}, "incident.closed"),
        ("updated", {"author": "ops", "text": "disk"}, "incident.updated"),
        ("at_risk", {"after_s": 3600}, "incident.restoration_at_risk"),
        ("breached", {"deadline": START}, "incident.restoration_breached"),
        ("voided", {"reason": "gone"}, "incident.closed"),
        ("merged", {"into": "I-0"}, "incident.closed"),
        ("acknowledged", {"author": "ops"}, None),
        ("attested", {"author": "ops"}, None),
        ("reported", {"author": "ops", "ticket": "T-1", "reported_at": START}, None),
    ],
)
def test_events_of_steps(step: str, body: dict[str, Any], event: str | None) -> None:
    """Each step has the event that the contract names, or none."""
    known = record((step, body))
    found = incident_event(known.steps[-1], known, target=TARGET)
    assert (None if found is None else found.type) == event


def test_what_an_incident_event_says() -> None:
    """An event says how the incident stands, by when it should be restored, and the step taken."""
    known = record(
        ("reported", {"author": "ops", "ticket": "T-1", "reported_at": START}),
        ("updated", {"author": "ops", "text": "disk"}),
    )
    found = incident_event(known.steps[-1], known, target=TARGET)
    assert found is not None
    assert (found.key, found.type) == ("I-1", "incident.updated")
    assert found.data["deadline"] == "2026-03-02T11:00:30Z"
    assert (found.data["ticket"], found.data["state"]) == ("T-1", "open")
    assert found.data["step"] == {"author": "ops", "text": "disk"}
    assert "members" not in found.data
    opened = incident_event(known.steps[0], record(), target=TARGET)
    assert opened is not None
    assert (opened.data["ticket"], "step" in opened.data) == (None, False)


def test_report_is_due_until_made() -> None:
    """It is said at opening and every so often until a reference is recorded."""
    known = record()
    at_once = report_due(known, known.opened_at, every=HOUR)
    later = report_due(known, known.opened_at + 90 * MINUTE, every=HOUR)
    assert at_once is not None
    assert later is not None
    assert (at_once.once, later.once) == ("report_due I-1 0", "report_due I-1 1")
    assert "monitor incident report I-1" in later.event.data["advice"]


@pytest.mark.parametrize(
    "step",
    [
        ("reported", {"author": "ops", "ticket": "T-1", "reported_at": START}),
        ("closed", {"author": "ops"}),
        ("voided", {"reason": "gone"}),
        ("merged", {"into": "I-0"}),
    ],
)
def test_report_is_not_due(step: tuple[str, dict[str, Any]]) -> None:
    """A reported, closed, void or merged incident calls for no report."""
    assert report_due(record(step), after(hours=1), every=HOUR) is None


def promised(minutes_after: float, **more: Any) -> tuple[str, dict[str, Any]]:
    """A note that promises to tell more at a time."""
    at = after(minutes=minutes_after).isoformat()
    return "updated", {"author": "ops", "next_update_at": at, **more}


def test_update_is_due_at_its_time_and_asked_for_again() -> None:
    """Once the time of the next update has passed it is due, and said again every so often."""
    known = record(
        ("reported", {"author": "ops", "ticket": "T-1", "reported_at": START}), promised(30)
    )
    assert update_due(known, after(minutes=30) - TICK, every=HOUR) is None
    first = update_due(known, after(minutes=30), every=HOUR)
    again = update_due(known, after(minutes=95), every=HOUR)
    assert first is not None
    assert again is not None
    assert first.event.type == "incident.update_due"
    assert first.event.data["ticket"] == "T-1"
    assert "monitor incident update I-1" in first.event.data["advice"]
    assert first.once == "update_due I-1 2026-03-02T09:30:00Z 0"
    assert again.once == "update_due I-1 2026-03-02T09:30:00Z 1"


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [promised(30), ("updated", {"author": "ops", "text": "mended"})],
        [promised(30), promised(300, text="a new disk comes")],
        [promised(30), ("closed", {"author": "ops"})],
        [promised(30), ("voided", {"reason": "gone"})],
    ],
)
def test_update_is_not_due(steps: list[tuple[str, dict[str, Any]]]) -> None:
    """Without a promise, once more was told, and on what is closed or void nothing is due."""
    assert update_due(record(*steps), after(hours=2), every=HOUR) is None


def test_a_cause_alone_keeps_no_promise() -> None:
    """A note that only names the cause tells MaPS nothing: the update is still due."""
    known = record(promised(30), ("updated", {"author": "ops", "cause": "disk"}))
    found = update_due(known, after(hours=2), every=HOUR)
    assert found is not None
    assert found.event.data["ticket"] is None


# --- downtime ---


def due(now: datetime, known: Declaration, *failing: str) -> list[Notice]:
    return list(
        downtime_notices(
            known,
            now,
            rules(),
            upcoming=30 * MINUTE,
            completion_after=2 * HOUR,
            failing=failing,
        )
    )


def kinds(found: list[Notice]) -> list[str]:
    return [notice.event.type for notice in found]


def test_life_of_a_window() -> None:
    """Upcoming, started, ended, and completion due, each at its time."""
    known = declare(declaration(START, WINDOW, reason="upgrade"))
    assert kinds(due(WINDOW.start - 30 * MINUTE - TICK, known)) == []
    (soon,) = due(WINDOW.start - 30 * MINUTE, known)
    assert soon.event.type == "downtime.upcoming"
    assert soon.once == "downtime.upcoming D-1 2026-03-02T10:00:00Z"
    assert soon.event.data["reason"] == "upgrade"
    assert kinds(due(WINDOW.start, known)) == ["downtime.started"]
    assert kinds(due(WINDOW.end, known)) == ["downtime.ended"]
    assert kinds(due(WINDOW.end + 2 * HOUR, known)) == [
        "downtime.ended",
        "downtime.completion_due",
    ]


def test_overrun_names_who_still_fails() -> None:
    """Past the end, endpoints still failing are told, with what to do."""
    known = declare(declaration(START, WINDOW))
    ended, overran = due(WINDOW.end, known, "view", "find")
    assert (ended.event.type, overran.event.type) == ("downtime.ended", "downtime.overrun")
    assert overran.event.data["endpoints"] == ["find", "view"]
    assert "comment on the ticket" in overran.event.data["advice"]


def test_learned_of_too_late() -> None:
    """A window over before it was learned of only calls for its completion."""
    known = declare(declaration(after(hours=3), WINDOW))
    assert kinds(due(after(hours=5), known)) == ["downtime.completion_due"]


def test_completion_is_chased_every_day() -> None:
    """A completion that is due is asked for once a day until it is recorded."""
    known = declare(declaration(START, WINDOW))
    asked = [due(WINDOW.end + hours * HOUR, known)[-1].once for hours in (2, 25, 26, 49, 50)]
    first = "downtime.completion_due D-1 2026-03-02T11:00:00Z"
    assert asked == [first, first, f"{first} 1", f"{first} 1", f"{first} 2"]


def test_completion_is_not_chased() -> None:
    """Neither of what is completed nor of MaPS' own downtime is a completion due."""
    later = WINDOW.end + 3 * HOUR
    done = complete(declare(declaration(START, WINDOW)), fact("completion", later, id="D-1"))
    assert kinds(due(later, done)) == ["downtime.ended"]
    theirs = declare(declaration(START, WINDOW, kind="maps"))
    assert kinds(due(later, theirs)) == ["downtime.ended"]


def test_drafts_call_for_nothing() -> None:
    """A declaration without a version in force has no notices."""
    assert due(WINDOW.start, declare(declaration(START, WINDOW, notified_at=None))) == []


# --- certificates, budgets ---


def expiry(left: timedelta) -> str | None:
    found = expiry_notice(
        "certificate.expiring", "view", "ab", START + left, START, days=(30, 14, 7)
    )
    return None if found is None else found.once


def test_expiry_is_said_once_a_mark() -> None:
    """A certificate that runs out is told at each number of days, and when it has."""
    assert expiry(30 * DAY + TICK) is None
    assert expiry(30 * DAY) == "certificate.expiring view ab 30"
    assert expiry(7 * DAY) == "certificate.expiring view ab 7"
    assert expiry(TICK) == "certificate.expiring view ab 7"
    assert expiry(timedelta()) == expiry(-DAY) == "certificate.expiring view ab 0"
    found = expiry_notice("identity.expiring", "live", "ab", START + DAY, START, days=(30,))
    assert found is not None
    assert found.event.data["days_left"] == 1


def test_budget_is_spent() -> None:
    """It is told when the month's budget is below nothing, and not before (CoCo 2.1.5)."""
    march = Month(2026, 3, LONDON)
    budget = march.interval.duration * 5 / 1000
    known = book(endpoint(connected_from=None), endpoint("once", cadence=PATIENT))
    for minute in range(5):
        known.observe(seen("d", after(minutes=minute), "once"))
    spent = known.account(series("once"), march, START + budget)
    assert spent.remaining == 0
    assert budget_notice("once", march, spent, START + budget) is None
    now = START + budget + TICK
    found = budget_notice("once", march, known.account(series("once"), march, now), now)
    assert found is not None
    assert found.once == "slo.budget_exhausted once 2026-03"
    assert found.event.data["remaining_s"] == -1e-06
    assert budget_notice("view", march, known.account(series(), march, now), now) is None


def test_no_budget_without_data() -> None:
    """Where nothing was eligible nothing is told."""
    known = book(endpoint(connected_from=date(2026, 4, 1)))
    march = Month(2026, 3, LONDON)
    assert budget_notice("view", march, known.account(series(), march, START), START) is None


def rates(short: int, long: int, rule: int) -> dict[timedelta, Fraction]:
    found = {window: Fraction(0) for one in BURN_RULES for window in one[:2]}
    return {**found, BURN_RULES[rule][0]: Fraction(short), BURN_RULES[rule][1]: Fraction(long)}


def test_fast_burn() -> None:
    """It is told once an outage when a short and a long window both burn fast."""
    assert burn_notice("view", rates(200, 0, 0), after(hours=1), START) is None
    assert burn_notice("view", rates(0, 200, 0), after(hours=1), START) is None
    fast = burn_notice("view", rates(15, 15, 0), after(hours=1), START)
    slow = burn_notice("view", rates(6, 6, 1), after(hours=1), START)
    assert fast is not None
    assert slow is not None
    assert fast.once == "slo.burn view 2026-03-02T09:00:00Z 3600"
    assert slow.once == "slo.burn view 2026-03-02T09:00:00Z 21600"
    assert (slow.event.data["burn_rate"], slow.event.data["threshold"]) == (6.0, 6.0)
