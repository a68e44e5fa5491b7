"""Events as texts for people: what, since when, by when, what next; and which level it is."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.alert import EVENT_TYPES, Event, incident_event, report_due
from monitor.core.message import LISTED, Level, Message, message
from tests.core.builders import HOUR, LONDON, START, UTC_ZONE, book, fact, watch

INCIDENT = {
    "id": "I-1",
    "group": "west",
    "endpoints": ["view-main"],
    "holdernames": ["a", "b"],
    "started_at": "2026-07-02T01:14:00Z",
    "restored_at": None,
    "deadline": "2026-07-02T03:14:00Z",
    "ticket": None,
}
WINDOW = {"start": "2026-03-17T00:00:00Z", "end": "2026-03-17T04:00:00Z", "reason": "upgrade"}


def told(kind: str, key: str = "I-1", link: str | None = None, **data: Any) -> Message:
    return message(Event(START, kind, key, data), LONDON, link)


def test_an_incident_says_what_since_when_by_when_and_what_next() -> None:
    """Times are those of UK clocks, also in summer; the last line is the page."""
    seen = told("incident.opened", link="https://m.example", **INCIDENT)
    assert seen.title == "Incident I-1: view-main unavailable"
    assert seen.level is Level.FAILURE
    assert seen.body.splitlines() == [
        "Since: 02:14 on Thu 2 July 2026, UK time",
        "Restore by: 04:14 on Thu 2 July 2026, UK time",
        "Holdernames: 2",
        "Next: restore service and report it to MaPS (monitor incident pack I-1 --out DIR)",
        "https://m.example/incidents/I-1",
    ]


def test_another_zone_is_named() -> None:
    """Times of a zone that is not London's say whose they are."""
    seen = message(Event(START, "incident.opened", "I-1", INCIDENT), UTC_ZONE)
    assert seen.body.startswith("Since: 01:14 on Thu 2 July 2026, UTC\n")


def test_a_reported_incident_asks_for_a_comment() -> None:
    """With a ticket what comes next is to comment on it."""
    seen = told("incident.opened", **{**INCIDENT, "ticket": "T-1", "holdernames": []})
    assert seen.body.splitlines()[-2:] == [
        "Ticket: T-1",
        "Next: restore service and comment on ticket T-1",
    ]


def test_an_end_is_a_success_without_a_deadline() -> None:
    """What is restored need not be restored by any time."""
    data = {**INCIDENT, "restored_at": "2026-07-02T01:44:00Z"}
    seen = told("incident.restored", **data)
    assert seen.level is Level.SUCCESS
    assert "Restored: 02:44" in seen.body
    assert "Restore by" not in seen.body
    assert told("incident.closed", **data).body.splitlines()[-1] == "Holdernames: 2"


def test_a_note_is_passed_on() -> None:
    """The text of an update stands in its message."""
    seen = told("incident.updated", **INCIDENT, step={"text": "disk replaced"})
    assert "Note: disk replaced" in seen.body
    assert seen.level is Level.INFO


def test_an_incident_of_no_endpoint_is_named_by_its_group() -> None:
    """An assertion about what no endpoint serves now."""
    assert told("incident.reopened", **{**INCIDENT, "endpoints": []}).title == (
        "Incident I-1 again: west unavailable"
    )


def test_many_endpoints_are_cut() -> None:
    """A pager has little room."""
    names = [f"e{number:02}" for number in range(LISTED + 3)]
    assert (
        "e09 and 3 more unavailable"
        in told("incident.opened", **INCIDENT | {"endpoints": names}).title
    )


def test_reminders_carry_their_advice() -> None:
    """What the core advises is what comes next."""
    seen = told(
        "incident.update_due",
        id="I-1",
        next_update_at="2026-07-02T01:14:00Z",
        advice="x",
        group="west",
    )
    assert seen.body.splitlines() == ["Due: 02:14 on Thu 2 July 2026, UK time", "Next: x"]


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("upcoming", "Downtime D-1 begins soon"),
        ("started", "Downtime D-1 has begun"),
        ("ended", "Downtime D-1 is over"),
        ("overrun", "Downtime D-1 overran: view still unavailable"),
        ("completion_due", "Downtime D-1: the completion comment is due"),
        ("else", "Downtime D-1: else"),
    ],
)
def test_downtime_says_its_window(kind: str, title: str) -> None:
    """From when, until when, and for what."""
    more = {"endpoints": ["view"], "ticket": "T-1"} if kind == "overrun" else {}
    seen = told(f"downtime.{kind}", "D-1", "https://m.example", **WINDOW, **more)
    assert seen.title == title
    lines = seen.body.splitlines()
    assert lines[0] == "From: 00:00 on Tue 17 March 2026, UK time"
    assert lines[2] == "For: upgrade"
    assert ("Ticket: T-1" in lines) == (kind == "overrun")
    assert lines[-1] == "https://m.example/downtime/D-1"
    assert "For:" not in told(f"downtime.{kind}", "D-1", **{**WINDOW, "reason": ""}).body


@pytest.mark.parametrize(
    ("kind", "data", "title"),
    [
        ("slo.burn", {"endpoint": "v", "window_s": 3600, "burn_rate": 20.04},
         "v: error budget burning 20.0 times too fast"),
        ("slo.budget_exhausted", {"endpoint": "v", "month": "2026-03", "remaining_s": -150.0},
         "v: the error budget of 2026-03 is spent"),
        ("slo.month_sealed", {"month": "2026-03", "reason": None}, "slo.month_sealed"),
        ("identity.expiring", {"name": "live", "days_left": 7, "not_after": "2026-03-09T09:00:00Z"},
         "live: our certificate runs out in 7 days"),
        ("certificate.expiring",
         {"name": "v", "days_left": -1, "not_after": "2026-03-01T09:00:00Z"},
         "v: its certificate has run out"),
        ("endpoint.not_ready",
         {"endpoint": "v", "days_left": 3, "connected_from": "2026-03-05", "result": "down",
          "reason": "dns", "advice": "mend it"},
         "v: not up, and due to connect in 3 days"),
        ("monitor.gap", {"since": "2026-03-02T08:00:00Z", "until": "2026-03-02T09:00:00Z"},
         "monitor was not running"),
        ("monitor.local_fault", {"reason": "local_clock", "step_s": -4.2},
         "monitor: the clock was stepped by -4 s"),
        ("monitor.local_fault", {"reason": "local_store", "since": "2026-03-02T08:00:00Z", "lost": 3},
         "monitor: its store can be written again"),
        ("monitor.local_fault",
         {"reason": "local_dns", "since": "2026-03-02T08:00:00Z", "endpoint": "v"},
         "monitor: own fault local_dns, endpoints cannot be judged"),
        ("security.finding",
         {"endpoint": "v", "finding": "TLS 1.1 is accepted", "observed_at": "2026-03-02T08:00:00Z"},
         "v: TLS 1.1 is accepted"),
        ("ledger.head", {"day": "2026-03-02", "hash": "ab"}, "ledger.head"),
        ("test", {"author": None}, "A test of monitor"),
        ("incident.else", INCIDENT, "Incident I-1: else"),
    ],
)  # fmt: skip
def test_every_other_event_has_a_text(kind: str, data: dict[str, Any], title: str) -> None:
    """A title of its own or its name, and a line for each thing to know."""
    seen = told(kind, "I-1", **data)
    assert seen.title == title
    assert seen.body
    assert "None" not in seen.body


def test_every_type_has_a_level_and_none_is_without_text() -> None:
    """Even an event whose data says nothing more than it must has a title."""
    known = book()
    now = watch(known, "ddd")
    (opened,) = known.correlate(now, {"west"})
    record = known.record("I-1")
    event = incident_event(opened, record, target=2 * HOUR)
    assert event is not None
    assert message(event, LONDON).title == "Incident I-1: view unavailable"
    due = report_due(record, now, every=HOUR)
    assert due is not None
    assert "monitor incident report I-1 --ticket REF" in message(due.event, LONDON).body
    for kind in EVENT_TYPES:
        family = kind.partition(".")[0]
        if family in ("incident", "test", "ledger"):
            assert told(kind, **INCIDENT).title


def test_a_voided_incident_is_told_as_closed() -> None:
    """Its reason stands in the step, which holds no text."""
    seen = told("incident.closed", **INCIDENT, step=fact("x", START, reason="no outage").body)
    assert seen.title == "Incident I-1 closed"
