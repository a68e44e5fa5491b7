"""Packs: what people paste into MaPS' portal."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from monitor.core.book import Book
from monitor.core.downtime import Scope
from monitor.core.endpoint import Service
from monitor.core.fact import Fact
from monitor.core.reporting import Comment, Pack, affected, downtime_pack, incident_pack, texts
from monitor.errors import IllegalStep
from tests.core.builders import (
    DAY,
    GUID,
    MINUTE,
    OTHER,
    assertion,
    at,
    book,
    cadence,
    declaration,
    endpoint,
    fact,
    holdername,
    span,
    watch,
)

TOLD = at("2026-03-02T09:00")
WINDOW = span("2026-03-17T00:00", "2026-03-17T01:00")
AFTER = at("2026-03-17T09:00")
ORGANISATION = "Example Administration Ltd"


def known(*facts: Fact) -> Book:
    """Find and view on hosts of their own; one scheme at both, another that moved to view in April."""
    patient = cadence(interval=MINUTE, gap_after=400 * DAY)
    found = book(
        endpoint("view", cadence=patient),
        endpoint("find", Service.FIND, cadence=patient, group="east"),
        holdernames=[
            holdername(GUID, "view", "find"),
            holdername(OTHER, "view", start="2026-04-01"),
        ],
    )
    for each in facts:
        found.learn(each)
    for name in ("view", "find"):
        watch(found, "uu", at("2026-02-01"), name)
    return found


def planned(**body: Any) -> Fact:
    return declaration(TOLD, WINDOW, reason="upgrade", **body)


def down(found: Book, start: str, minutes: int, *, ends: bool = True, name: str = "view") -> None:
    watch(found, "d" * minutes + ("uu" if ends else ""), at(start), name, MINUTE)


def packed(found: Book, now: datetime = AFTER, **more: Any) -> Pack:
    options = {"too_short": False, **more}
    return downtime_pack(found, found.declaration("D-1"), ORGANISATION, now, **options)


def comments(pack: Pack) -> dict[str, Comment]:
    return {comment.kind: comment for comment in pack.comments}


# --- planned downtime ---


def test_a_notification_has_every_field_of_the_form() -> None:
    """Organisation, schemes, date, start, end and reason stand there, in UK time and UTC."""
    summer = span("2026-07-06T23:00", "2026-07-07T02:00")
    found = known(declaration(TOLD, summer, reason="upgrade", notified_at=None, ticket=None))
    pack = packed(found, TOLD)
    assert dict(pack.form) == {
        "Organisation": ORGANISATION,
        "Affected schemes": "2 holdername GUIDs: attach guids.xlsx (guids.csv lists the same)",
        "Date of the downtime": "Tuesday 07 July 2026",
        "Planned start": "2026-07-07 00:00:00 BST (2026-07-06T23:00:00Z)",
        "Planned end": "2026-07-07 03:00:00 BST (2026-07-07T02:00:00Z)",
        "Reason": "upgrade",
    }
    assert "monitor downtime notify D-1 --ticket REF" in pack.action
    assert (pack.comments, pack.ticket) == ((), None)
    written = texts(pack, found)
    assert list(written) == ["form.txt"]
    assert "Planned start:\n2026-07-07 00:00:00 BST" in written["form.txt"]


def test_guids_are_those_of_the_window() -> None:
    """The mapping in force during the window decides, not that of today."""
    row = [(GUID, "find", "https://find.example/x"), (GUID, "view", "https://view.example/x")]
    pack = packed(known(planned()))
    assert [(r.holdername_guid, r.service, r.endpoint_url) for r in pack.guids] == row
    assert {r.scheme_name for r in pack.guids} == {"A Scheme"}
    april = known(declaration(TOLD, span("2026-04-07T00:00", "2026-04-08T02:00")))
    pack = packed(april)
    assert [(r.holdername_guid, r.service) for r in pack.guids] == [
        (OTHER, "view"),
        (GUID, "find"),
        (GUID, "view"),
    ]
    assert (
        dict(pack.form)["Date of the downtime"]
        == "Tuesday 07 April 2026 to Wednesday 08 April 2026"
    )


@pytest.mark.parametrize(
    ("scope", "services"),
    [
        (Scope(services=frozenset({Service.VIEW})), ["view"]),
        (Scope(endpoints=frozenset({"find"})), ["find"]),
        (Scope(holdernames=frozenset({OTHER})), []),
        (Scope(holdernames=frozenset({GUID}), services=frozenset({Service.FIND})), ["find"]),
    ],
)
def test_a_scope_narrows_whom_it_concerns(scope: Scope, services: list[str]) -> None:
    """Endpoints, holdernames and services each narrow the list."""
    assert [row.service for row in affected(known(), scope, WINDOW)] == services


def test_one_scheme_or_none_is_said_so() -> None:
    """The form counts GUIDs, not lines, and says when there is none."""
    one = packed(known(planned()))
    none = packed(known(planned(holdernames=[OTHER])))
    assert dict(one.form)["Affected schemes"].startswith("1 holdername GUID:")
    assert dict(none.form)["Affected schemes"].startswith("None")


def test_too_little_notice_takes_the_emergency_route() -> None:
    """Short notice, or an emergency, is to be reported as an incident when the fix happens."""
    assert "emergency-fix route" in packed(known(planned()), too_short=True).action
    assert "emergency-fix route" in packed(known(planned(kind="emergency"))).action


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"technical_change": "TC-7"}, "upgrade\nTechnical change: TC-7"),
        (
            {"technical_change": "TC-7", "change_class": "minor"},
            "upgrade\nTechnical change: TC-7 (minor)",
        ),
    ],
)
def test_a_technical_change_is_named(change: dict[str, str], expected: str) -> None:
    """The change that needs the downtime stands with the reason."""
    assert dict(packed(known(planned(**change))).form)["Reason"] == expected


def test_nothing_is_submitted_about_downtime_of_maps() -> None:
    """MaPS' own downtime has no pack."""
    with pytest.raises(IllegalStep, match="nothing to submit"):
        packed(known(planned(kind="maps")))


def test_a_completion_says_what_was_observed() -> None:
    """Actual start and end are those of the outages inside the window."""
    found = known(planned())
    down(found, "2026-03-17T00:05", 10)
    down(found, "2026-03-17T00:30", 10)
    assert packed(found, WINDOW.start).comments == ()
    done = comments(packed(found))["completion"]
    assert (done.due, done.ticket) == (True, "T-1")
    assert "Actual start: 2026-03-17 00:05:00 GMT (2026-03-17T00:05:00Z)" in done.text
    assert "Actual end: 2026-03-17 00:40:00 GMT (2026-03-17T00:40:00Z)" in done.text
    assert done.text.count("\n- ") == 2
    assert "before the window" not in done.text
    written = texts(packed(found), found)["comments.txt"]
    assert written.startswith("Completion (due now), on ticket T-1\n---")


def test_an_outage_that_began_before_the_window_is_told_apart() -> None:
    """The actual start is inside the window; that it failed before is said beside it."""
    found = known(planned())
    down(found, "2026-03-16T23:50", 30)
    text = comments(packed(found))["completion"].text
    assert "Actual start: 2026-03-17 00:00:00 GMT" in text
    assert "It was unavailable before the window too, since 2026-03-16 23:50:00 GMT" in text


def test_a_completion_without_any_outage() -> None:
    """Nothing seen: that is said, and it is still to be commented; outages elsewhere do not count."""
    found = known(planned(endpoints=["view"]))
    down(found, "2026-03-17T00:05", 10, name="find")
    done = comments(packed(found))["completion"]
    assert done.due
    assert "no unavailability was observed" in done.text


def test_a_completion_that_was_recorded_is_not_due() -> None:
    """What was recorded of the work stands beside what was observed."""
    times = {"actual_start": at("2026-03-17T00:01"), "actual_end": at("2026-03-17T00:50")}
    found = known(planned(), fact("completion", AFTER, id="D-1", author="ops", **times))
    done = comments(packed(found))["completion"]
    assert not done.due
    assert "Work began: 2026-03-17 00:01:00 GMT" in done.text
    assert "Work ended: 2026-03-17 00:50:00 GMT" in done.text
    assert "(for the record)" in texts(packed(found), found)["comments.txt"]
    bare = known(planned(), fact("completion", AFTER, id="D-1", author="ops"))
    assert "Work" not in comments(packed(bare))["completion"].text


def test_what_is_asserted_counts_as_observed() -> None:
    """Downtime of a federated back end is observed by what is asserted of its holdernames."""
    begun, ended = at("2026-03-17T00:10"), at("2026-03-17T00:20")
    found = known(planned(holdernames=[GUID]), assertion(ended, begun, ended, services=["view"]))
    assert "Actual end: 2026-03-17 00:20:00 GMT" in comments(packed(found))["completion"].text
    everyone = known(planned(), assertion(ended, begun, ended, services=["view"]))
    text = comments(packed(everyone))["completion"].text
    assert "Actual end: 2026-03-17 00:20:00 GMT" in text


def test_an_overrun_says_the_issue_and_when_it_should_be_over() -> None:
    """While it is still down after the end, an overrun is due and no completion."""
    found = known(planned())
    down(found, "2026-03-17T00:05", 65, ends=False)
    now = at("2026-03-17T01:10")
    plain = comments(packed(found, now))
    assert list(plain) == ["overrun"]
    assert plain["overrun"].due
    assert "Issue: Being investigated\nExpected resolution: not known yet" in plain["overrun"].text
    found.correlate(now, {"west"})
    assert comments(packed(found, now))["overrun"].text == plain["overrun"].text
    body = {"id": "I-1", "author": "ops", "text": "slow copy"}
    found.learn(fact("incident.updated", now, **body, next_update_at=at("2026-03-17T02:00")))
    text = comments(packed(found, now))["overrun"].text
    assert "Issue: slow copy" in text
    assert "not known yet; next update at 2026-03-17 02:00:00 GMT" in text
    expected = comments(packed(found, now, expected=at("2026-03-17T03:00")))["overrun"].text
    assert "Expected resolution: 2026-03-17 03:00:00 GMT" in expected


def amendment(**body: Any) -> Fact:
    return fact("amendment", at("2026-03-03T09:00"), id="D-1", author="ops", **body)


def test_a_change_of_information_lists_what_changed() -> None:
    """New times, reason and scope are for a comment on the same ticket, due until MaPS was told."""
    change = {"start": at("2026-03-17T00:30"), "end": at("2026-03-17T02:00")}
    found = known(planned(), amendment(**change, reason="move", endpoints=["view"]))
    pack = packed(found, TOLD + DAY)
    changed = comments(pack)["change of information"]
    assert changed.due
    assert changed.text.splitlines() == [
        "Updated:",
        "- Planned start: 2026-03-17 00:30:00 GMT (2026-03-17T00:30:00Z)"
        " (was 2026-03-17 00:00:00 GMT (2026-03-17T00:00:00Z))",
        "- Planned end: 2026-03-17 02:00:00 GMT (2026-03-17T02:00:00Z)"
        " (was 2026-03-17 01:00:00 GMT (2026-03-17T01:00:00Z))",
        "- Reason: move (was upgrade)",
        "- Affected schemes: as in the attached guids.xlsx",
    ]
    assert dict(pack.form)["Reason"] == "move"
    again = known(planned(), amendment(**change, notified_at=at("2026-03-03T09:00")))
    assert not comments(packed(again, TOLD + DAY))["change of information"].due
    same = known(planned(), amendment(notified_at=at("2026-03-03T09:00")))
    assert packed(same, TOLD + DAY).comments == ()


def test_a_new_date_asks_to_close_the_ticket() -> None:
    """Another day needs a new notification (seed-000)."""
    change = {"start": at("2026-03-18T00:00"), "end": at("2026-03-18T01:00")}
    found = known(planned(), amendment(**change))
    text = comments(packed(found, TOLD + DAY))["new date"].text
    assert "Wednesday 18 March 2026 instead of Tuesday 17 March 2026" in text
    assert "Please close this ticket" in text


def test_a_cancellation_asks_to_close_the_ticket() -> None:
    """Once MaPS was told, a cancellation is to be commented; of a draft nothing is."""
    gone = fact("cancellation", TOLD + DAY, id="D-1", author="ops")
    pack = packed(known(planned(), gone))
    assert list(comments(pack)) == ["cancellation"]
    assert "is cancelled" in pack.action
    assert packed(known(planned(notified_at=None), gone)).comments == ()


def test_a_comment_without_a_ticket_names_the_original_one() -> None:
    """Where no reference was recorded the comment goes to the original ticket."""
    found = known(planned(ticket=None))
    assert "on the original ticket" in texts(packed(found), found)["comments.txt"]


# --- incidents ---

FAILED = "2026-03-10T10:00"
NOW = at("2026-03-10T11:00")


def broken(
    *steps: tuple[str, dict[str, Any]], found: Book | None = None, ends: bool = False
) -> Book:
    """View fails from ten to a quarter past ten, and maybe is up again; then these steps."""
    failed = known() if found is None else found
    down(failed, FAILED, 15 if ends else 60, ends=ends)
    failed.correlate(NOW, {"west"})
    for step, body in steps:
        failed.learn(fact(f"incident.{step}", NOW, id="I-1", author="ops", **body))
    return failed


REPORTED = ("reported", {"ticket": "T-9", "reported_at": at("2026-03-10T10:05")})


def incident(found: Book, now: datetime = NOW, **more: Any) -> Pack:
    return incident_pack(found, found.record("I-1"), ORGANISATION, now, **more)


def test_a_report_has_every_field_of_the_form() -> None:
    """Organisation, location, schemes, status, start, next update and reason stand there."""
    pack = incident(broken())
    assert dict(pack.form) == {
        "Organisation": ORGANISATION,
        "Incident location": "Our service (not yet established)",
        "Affected schemes": "1 holdername GUID: attach guids.xlsx (guids.csv lists the same)",
        "Status": "Open: the service is unavailable",
        "Estimated start": "2026-03-10 10:00:00 GMT (2026-03-10T10:00:00Z)",
        "Time of next update": "To be confirmed",
        "Reason for downtime": "Being investigated",
    }
    assert "choose 'Report an incident'" in pack.action
    assert pack.comments == ()
    assert [(row.holdername_guid, row.service) for row in pack.guids] == [(GUID, "view")]


def test_what_is_known_of_an_incident_is_in_its_report() -> None:
    """Cause, location, next update and ticket are those recorded."""
    note = {"cause": "disk", "location": "federated", "next_update_at": at("2026-03-10T12:00")}
    pack = incident(broken(REPORTED, ("updated", note)))
    fields = dict(pack.form)
    assert fields["Incident location"] == "A federated service behind ours"
    assert fields["Time of next update"].startswith("2026-03-10 12:00:00 GMT")
    assert fields["Reason for downtime"] == "disk"
    assert (pack.ticket, pack.next_update_at) == ("T-9", at("2026-03-10T12:00"))
    assert pack.action.startswith("Reported as ticket T-9")


def test_an_update_is_due_when_its_time_has_come() -> None:
    """The update is drafted once reported, and due from the time promised."""
    found = broken(REPORTED, ("updated", {"next_update_at": at("2026-03-10T12:00")}))
    assert not comments(incident(found))["update"].due
    late = comments(incident(found, at("2026-03-10T12:00"), expected=at("2026-03-10T13:00")))
    assert late["update"].due
    assert late["update"].text.endswith(
        "Expected resolution: 2026-03-10 13:00:00 GMT (2026-03-10T13:00:00Z)"
    )


def test_a_restoration_is_due_until_it_was_told() -> None:
    """Once restored the comment gives start, end and cause; a note after that settles it."""
    found = broken(REPORTED, ends=True)
    pack = incident(found)
    told = comments(pack)["restoration"]
    assert told.due
    assert "End: 2026-03-10 10:15:00 GMT" in told.text
    assert "Cause: still being investigated" in told.text
    assert dict(pack.form)["Status"].startswith("Restored: ")
    assert dict(pack.form)["Time of next update"] == "None: the service is restored"
    more = (("updated", {"text": "told MaPS", "cause": "disk"}), ("attested", {}))
    told = comments(incident(broken(REPORTED, *more, ends=True)))["restoration"]
    assert not told.due
    assert "No data that had been acknowledged was lost." in told.text
    closed = incident(
        broken(REPORTED, ("updated", {"cause": "x"}), ("attested", {}), ("closed", {}), ends=True)
    )
    assert not comments(closed)["restoration"].due
    assert dict(closed.form)["Status"].startswith("Closed: ")


def test_a_timeline_has_every_step() -> None:
    """Each step is one line, in order, with who took it and what it said."""
    found = broken(
        REPORTED,
        ("updated", {"text": "a\ndisk", "location": "own"}),
        ("at_risk", {"after_s": 3600}),
    )
    lines = texts(incident(found), found)["timeline.txt"].splitlines()
    assert lines[0] == "Timeline of I-1"
    assert [line.split("  ", 1)[1] for line in lines[2:]] == [
        "opened: unavailable since 2026-03-10 10:00:00 GMT",
        "reported to MaPS: by ops, ticket T-9, told at 2026-03-10 10:05:00 GMT",
        "noted: by ops, note: a disk, location own",
        "restoration at risk: by ops",
    ]
    bare = broken()
    bare.learn(Fact(NOW, "incident.at_risk", {"id": "I-1", "after_s": 3600}))
    assert incident(bare).timeline[-1][1] == "restoration at risk"


def overrun(**body: Any) -> Book:
    """Planned work that goes on after its end, with its incident."""
    found = known(planned(**body))
    down(found, "2026-03-17T00:05", 65, ends=False)
    found.correlate(at("2026-03-17T01:10"), {"west"})
    return found


def test_an_overrun_is_told_on_the_ticket_of_its_declaration() -> None:
    """The pack names the declaration and its ticket, and drafts the comment for it."""
    pack = incident(overrun(), at("2026-03-17T01:10"))
    assert "overrun of declaration D-1: comment on ticket T-1" in pack.action
    drafted = comments(pack)["overrun"]
    assert (drafted.due, drafted.ticket) == (True, "T-1")
    assert dict(pack.form)["Reason for downtime"] == (
        "Overrun of planned downtime D-1 (ticket T-1): upgrade"
    )
    bare = incident(overrun(ticket=None), at("2026-03-17T01:10"))
    assert "comment on the ticket of its notification" in bare.action
    assert bare.action.endswith("--ticket REF")
    assert dict(bare.form)["Reason for downtime"] == "Overrun of planned downtime D-1: upgrade"


def test_an_overrun_that_is_over_is_told_as_restored() -> None:
    """Once service is back, the ticket of the planned work hears of it."""
    found = overrun()
    watch(found, "uu", at("2026-03-17T01:10"), "view", MINUTE)
    found.correlate(AFTER, {"west"})
    assert [(c.kind, c.ticket) for c in incident(found, AFTER).comments] == [("restoration", "T-1")]


def test_short_notice_is_reported_as_an_emergency_fix() -> None:
    """Work told too late is an emergency fix, with its reasons."""
    window = span("2026-03-10T09:30", "2026-03-10T12:00")
    late = declaration(at("2026-03-10T09:00"), window, reason="patch")
    pack = incident(broken(("updated", {"cause": "flaw in TLS library"}), found=known(late)))
    assert "This is an emergency fix" in pack.action
    assert dict(pack.form)["Reason for downtime"] == "Emergency fix D-1: patch\nflaw in TLS library"


def test_an_asserted_incident_lists_whom_it_names() -> None:
    """Only the GUIDs and services asserted are listed; the reason is the one asserted."""
    begun = at(FAILED)
    found = known(assertion(begun, begun, None, services=["find"], reason="back end down"))
    found.correlate(NOW, {"A-1"})
    pack = incident(found)
    assert [(row.holdername_guid, row.service) for row in pack.guids] == [(GUID, "find")]
    assert dict(pack.form)["Reason for downtime"] == "back end down"


def test_a_guid_without_a_mapping_is_still_listed() -> None:
    """What the record names is listed, though the configuration no longer says where it was."""
    found = broken()
    gone = "99999999-2222-4333-8444-555555555555"
    record = found.record("I-1")
    view = replace(record.view, holdernames=(GUID, OTHER, gone))
    pack = incident_pack(found, replace(record, view=view), ORGANISATION, NOW)
    assert [(row.scheme_name, row.service) for row in pack.guids] == [
        ("A Scheme", ""),
        ("A Scheme", "view"),
        ("", ""),
    ]


def test_an_incident_of_this_instant_lists_its_guids() -> None:
    """At the very start there is no span yet, but the record's GUIDs are listed."""
    found = broken()
    pack = incident(found, at(FAILED))
    assert [row.holdername_guid for row in pack.guids] == [GUID]


def test_a_void_incident_calls_for_nothing() -> None:
    """What was merged or voided is not reported."""
    found = broken(REPORTED, ("voided", {"reason": "withdrawn"}), ends=True)
    pack = incident(found)
    assert pack.action.startswith("Nothing: I-1 no longer stands")
    assert not any(comment.due for comment in pack.comments)


def test_the_same_facts_give_the_same_text() -> None:
    """Two Books that learned the same say the same, to the letter."""
    first, second = overrun(), overrun()
    now = at("2026-03-17T01:10")
    assert texts(incident(first, now), first) == texts(incident(second, now), second)
    assert texts(packed(first, now), first) == texts(packed(second, now), second)
