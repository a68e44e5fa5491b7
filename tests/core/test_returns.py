"""Monthly returns of unavailability."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.book import Book
from monitor.core.endpoint import Service
from monitor.core.fact import Fact
from monitor.core.interval import Interval
from monitor.core.month import Month
from monitor.core.outage import Class
from monitor.core.returns import (
    MOST_BYTES,
    MOST_ITEMS,
    MOST_ROWS,
    Row,
    active,
    at_most,
    bodies,
    check_month,
    corrected,
    manifest,
    reason_text,
    rendered,
    rows,
    stable_id,
    warnings,
)
from monitor.errors import BadInstant
from tests.core.builders import (
    DAY,
    GUID,
    HOUR,
    LONDON,
    MINUTE,
    OTHER,
    SECOND,
    assertion,
    at,
    book,
    cadence,
    declaration,
    endpoint,
    fact,
    holdername,
    series_of,
    span,
    watch,
)
from tests.returns_schema import BODY

IDLE = "99999999-2222-4333-8444-555555555555"
MILLISECOND = timedelta(milliseconds=1)
MARCH, APRIL = Month(2026, 3, LONDON), Month(2026, 4, LONDON)
LATER = at("2026-06-01")
STEP = MINUTE
VALIDATOR = jsonschema.Draft202012Validator(BODY)


def known(*facts: Fact) -> Book:
    """Find and view, two holdernames, silent endpoints that were last seen up."""
    patient = cadence(interval=STEP, gap_after=400 * DAY)
    found = book(
        endpoint("view", cadence=patient),
        endpoint("find", Service.FIND, cadence=patient),
        holdernames=[holdername(GUID, "view", "find"), holdername(OTHER, "view")],
    )
    for each in facts:
        found.learn(each)
    watch(found, "u", at("2026-01-01"), "find", STEP)
    return found


def down(found: Book, start: str, minutes: int, name: str = "view") -> None:
    """Fail from a time for so many minutes, then be up."""
    begun = at(start)
    watch(found, "d" * minutes + "uu", begun, name, STEP)


def told(found: Book, service: Service = Service.VIEW, month: Month = MARCH) -> list[Any]:
    return [
        (row.interval, row.scheduled, row.reason)
        for row in rows(found, GUID, service, month, LATER)
    ]


# --- reasons and ids ---


@given(st.text(max_size=400), st.lists(st.sampled_from(["Continued", "3 merged"]), max_size=2))
def test_a_reason_is_always_allowed(text: str, suffixes: list[str]) -> None:
    """Whatever was typed, a reason has 1 to 255 letters, digits, underscores, spaces and stops."""
    found = reason_text(text, *suffixes)
    assert re.fullmatch(r"[A-Za-z0-9_ .]{1,255}", found)
    assert all(suffix in found for suffix in suffixes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Disk-failure: row 3/4 (west)", "Disk failure row 3 4 west"),
        ("Café à Zürich.", "Cafe a Zurich"),
        ("  ", "Unavailable"),
        ("更新", "Unavailable"),
        ("x" * 300, "x" * 254),
    ],
)
def test_reasons(text: str, expected: str) -> None:
    """Accents go, other characters become spaces, and what is too long is cut."""
    assert reason_text(text) == expected


@given(st.lists(st.text(), max_size=3))
def test_an_id_is_a_version_4_uuid(parts: list[str]) -> None:
    """Every id has the shape of a UUID version 4."""
    found = UUID(stable_id(*parts))
    assert (found.version, found.variant) == (4, "specified in RFC 4122")


# --- rows ---


def test_unavailability_is_returned_as_accounted() -> None:
    """Rows of a month sum to the unavailable seconds of the account, and are unscheduled."""
    found = known()
    watch(found, "u", at("2026-02-01"), "view", STEP)
    down(found, "2026-03-10T10:00", 20)
    assert told(found) == [
        (
            span("2026-03-10T10:00", "2026-03-10T10:20"),
            False,
            "Unplanned outage. cause not yet established",
        )
    ]
    lost = found.account(series_of(), MARCH, LATER).unavailable
    assert lost == 20 * MINUTE
    assert told(found, Service.FIND) == []


def test_an_overrun_is_split() -> None:
    """The declared part is scheduled, what came before and after it is not."""
    window = span("2026-03-17T00:00", "2026-03-17T00:30")
    found = known(
        declaration(at("2026-03-02T09:00"), window, reason="upgrade"),
    )
    watch(found, "u", at("2026-02-01"), "view", STEP)
    down(found, "2026-03-16T23:50", 60)
    assert told(found) == [
        (
            span("2026-03-16T23:50", "2026-03-17T00:00"),
            False,
            "Unplanned outage. cause not yet established",
        ),
        (window, True, "Planned downtime. upgrade"),
        (
            span("2026-03-17T00:30", "2026-03-17T00:50"),
            False,
            "Overrun of planned downtime. upgrade",
        ),
    ]
    by_class = found.account(series_of(), MARCH, LATER).tally
    assert by_class.in_class(Class.DECLARED) == 30 * MINUTE


@pytest.mark.parametrize(
    ("kind", "when", "scheduled", "reason"),
    [
        ("emergency", "2026-03-02", False, "Emergency fix. upgrade"),
        ("planned", "2026-03-16T10:00", False, "Emergency fix. upgrade"),
        ("planned", "2026-03-02", True, "Planned downtime. upgrade"),
        ("maps", "2026-03-16T10:00", True, "MaPS downtime. upgrade"),
    ],
)
def test_scheduled_means_enough_notice(kind: str, when: str, scheduled: bool, reason: str) -> None:
    """Only work told with enough notice, and MaPS' own, is scheduled."""
    window = span("2026-03-17T00:00", "2026-03-17T01:00")
    found = known(declaration(at(when), window, reason="upgrade", kind=kind))
    watch(found, "u", at("2026-02-01"), "view", STEP)
    down(found, "2026-03-17T00:10", 20)
    assert [(was, why) for _, was, why in told(found)] == [(scheduled, reason)]


def test_outages_are_clipped_at_the_ends_of_the_period() -> None:
    """An outage over the month's end (23:00Z in summer) is in both months, and says so."""
    found = known()
    watch(found, "u", at("2026-02-01"), "view", STEP)
    down(found, "2026-03-31T22:30", 60)
    cause = "Unplanned outage. cause not yet established."
    assert told(found) == [
        (
            span("2026-03-31T22:30", "2026-03-31T23:00"),
            False,
            f"{cause} Continues in the next period",
        )
    ]
    assert told(found, month=APRIL) == [
        (
            span("2026-03-31T23:00", "2026-03-31T23:30"),
            False,
            f"{cause} Continued from the period before",
        )
    ]


def test_time_we_could_not_tell_is_not_returned() -> None:
    """Local trouble inside an outage leaves a hole between two rows."""
    found = known()
    watch(found, "u", at("2026-02-01"), "view", STEP)
    watch(found, "ddddlllldddduu", at("2026-03-10T10:00"), "view", STEP)
    assert [interval for interval, *_ in told(found)] == [
        span("2026-03-10T10:00", "2026-03-10T10:04"),
        span("2026-03-10T10:08", "2026-03-10T10:12"),
    ]


def test_the_cause_of_the_incident_is_the_reason() -> None:
    """What was recorded as the cause of an incident is what is returned."""
    found = known()
    watch(found, "u", at("2026-02-01"), "view", STEP)
    down(found, "2026-03-10T10:00", 20)
    now = at("2026-03-10T11:00")
    found.correlate(now, {"west"})
    found.learn(fact("incident.updated", now, id="I-1", author="ops", cause="disk: full"))
    assert [why for *_, why in told(found)] == ["Unplanned outage. disk full"]
    down(found, "2026-03-20T10:00", 20)
    found.correlate(at("2026-03-20T11:00"), {"west"})
    assert [why for *_, why in told(found)][1] == "Unplanned outage. cause not yet established"


def test_what_was_asserted_is_returned() -> None:
    """An asserted outage concerns the holdernames and services it names, with its reason."""
    begun, ended = at("2026-03-10T10:00"), at("2026-03-10T12:00")
    found = known(
        assertion(ended, begun, ended, id="A-0", holdernames=[OTHER], services=["find"]),
        assertion(ended, begun, ended, services=["view"], reason="back end of Smith & Co"),
        assertion(ended, at("2026-05-10"), at("2026-05-11"), id="A-2", reason="later"),
    )
    watch(found, "u", at("2026-02-01"), "view", STEP)
    assert told(found) == [
        (Interval(begun, ended), False, "Unplanned outage. back end of Smith Co")
    ]
    assert rows(found, OTHER, Service.VIEW, MARCH, LATER) == []


def test_two_declarations_with_one_reason_are_one_row() -> None:
    """Rows that only go on with the one before are joined."""
    found = known(
        declaration(at("2026-03-02"), span("2026-03-17T00:00", "2026-03-17T00:30")),
        declaration(at("2026-03-02"), span("2026-03-17T00:30", "2026-03-17T01:00"), id="D-2"),
    )
    watch(found, "u", at("2026-02-01"), "view", STEP)
    down(found, "2026-03-17T00:10", 40)
    assert [interval for interval, *_ in told(found)] == [
        span("2026-03-17T00:10", "2026-03-17T00:50")
    ]


@given(
    st.text("udil", min_size=5, max_size=60),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60), st.integers(1, 12)), max_size=3),
    st.one_of(st.none(), st.tuples(st.integers(0, 300), st.integers(1, 120))),
)
def test_returns_agree_with_the_account(
    results: str, windows: list[tuple[int, int, int]], asserted: tuple[int, int] | None
) -> None:
    """Whatever happened, rows sum to the unavailable time, the scheduled ones to the declared."""
    begun = at("2026-03-16T22:00")
    found = known()
    watch(found, "u", at("2026-02-01"), "view", STEP)
    for number, (start, length, days) in enumerate(windows):
        window = Interval.lasting(begun + start * MINUTE, length * MINUTE)
        told_at = begun - days * DAY
        found.learn(declaration(told_at, window, id=f"D-{number}", reason=f"work {number}"))
    if asserted is not None:
        start, end = begun + asserted[0] * MINUTE, begun + sum(asserted) * MINUTE
        found.learn(assertion(LATER, start, end))
    watch(found, results + "uu", begun, "view", 5 * MINUTE)
    for service in (Service.FIND, Service.VIEW):
        listed = rows(found, GUID, service, MARCH, LATER)
        figures = found.account(series_of(GUID, service), MARCH, LATER)
        total = sum((row.interval.duration for row in listed), timedelta())
        scheduled = (row.interval.duration for row in listed if row.scheduled)
        assert total == figures.unavailable
        assert sum(scheduled, timedelta()) == figures.tally.in_class(Class.DECLARED)


def test_more_intervals_than_are_allowed_are_merged() -> None:
    """Of 130 short outages the nearest are merged; the rows say so and cover all of them."""
    found = known()
    watch(found, "u", at("2026-02-01"), "view", STEP)
    starts = []
    moment = at("2026-03-02")
    for number in range(130):
        starts.append(moment)
        watch(found, "ddduu", moment, "view", STEP)
        moment += (10 if number % 10 else 60) * MINUTE
    listed = rows(found, GUID, Service.VIEW, MARCH, LATER)
    assert len(listed) == MOST_ROWS
    assert all(any(start in row.interval for row in listed) for start in starts)
    merged = [row for row in listed if "intervals merged into one" in row.reason]
    assert sum(int(row.reason.split(". ")[-1].split()[0]) - 1 for row in merged) == 30
    assert sorted(row.interval for row in listed) == [row.interval for row in listed]


def test_merging_never_calls_unscheduled_time_scheduled() -> None:
    """Rows of one sort are merged first; where both sorts must be, the whole is unscheduled."""
    begun = at("2026-03-02")
    many = [
        Row(Interval.lasting(begun + 2 * n * HOUR, HOUR), n not in (2, 3), "x") for n in range(5)
    ]
    assert at_most(many, 5) == many
    assert [row.scheduled for row in at_most(many, 3)] == [True, False, True]
    [whole] = at_most(many, 1)
    assert whole.interval == Interval(begun, begun + 9 * HOUR)
    assert not whole.scheduled
    assert whole.reason == "x. 5 intervals merged into one"


# --- months ---


def test_a_month_that_is_not_over_is_refused() -> None:
    """Neither the running month nor one to come has returns."""
    found = known()
    for now in ("2026-03-31T22:59:59", "2026-01-01"):
        with pytest.raises(BadInstant, match=r"2026-03 is not over before 2026-03-31T23:00:00Z"):
            check_month(found, MARCH, at(now))
    check_month(found, MARCH, at("2026-03-31T23:00"))


def test_a_month_before_any_connection_is_refused() -> None:
    """A month in which nobody was connected has no returns."""
    with pytest.raises(BadInstant, match="after the connection date"):
        check_month(known(), Month(2025, 12, LONDON), LATER)


def test_only_connected_guids_are_active() -> None:
    """A GUID that connects later, or not for this service, is left out."""
    found = book(
        endpoint("view"),
        holdernames=[holdername(GUID, "view"), holdername(OTHER, "view", start="2026-05-01")],
    )
    assert active(found, Service.VIEW, MARCH) == [GUID]
    assert active(found, Service.FIND, MARCH) == []
    assert active(found, Service.VIEW, Month(2026, 5, LONDON)) == [OTHER, GUID]


def test_a_restatement_makes_a_correction_of_its_service() -> None:
    """Only holdernames' figures of the service that were restated call for a correction."""
    changes = [{"now": {"series": {"endpoint": "view"}}}]
    body: dict[str, Any] = {"month": "2026-03", "rows": []}
    found = known(Fact(LATER, "seal", body))
    assert not corrected(found, Service.VIEW, MARCH)
    found.learn(Fact(LATER, "restatement", {**body, "number": 1, "changes": changes}))
    assert not corrected(found, Service.VIEW, MARCH)
    changes = [{"now": {"series": {"holdername": GUID, "service": "view"}}}]
    found.learn(Fact(LATER, "restatement", {**body, "number": 2, "changes": changes}))
    assert corrected(found, Service.VIEW, MARCH)
    assert not corrected(found, Service.FIND, MARCH)


def sealed_row(guid: str, service: str, lost: float, unknown: float = 0) -> dict[str, Any]:
    series = {"holdername": guid, "service": service}
    return {"series": series, "unavailable_s": lost, "unknown_s": unknown}


def seal_of(*listed: dict[str, Any]) -> Fact:
    return Fact(LATER, "seal", {"month": "2026-03", "rows": list(listed)})


def test_returns_before_sealing_are_warned_of() -> None:
    """Until the month is sealed its figures may change."""
    [text] = warnings(known(), MARCH, {Service.VIEW: {GUID: []}})
    assert "2026-03 is not sealed yet" in text


def test_sealed_figures_that_agree_call_for_no_warning() -> None:
    """Rows that sum to the sealed figure, to the microsecond, are as they should be."""
    endpoint_row = {"series": {"endpoint": "view"}, "unavailable_s": 9, "unknown_s": 9}
    refresh = sealed_row(GUID, "pat-refresh", 5, 5)
    found = known(
        seal_of(endpoint_row, refresh, sealed_row(GUID, "view", 1.5), sealed_row(IDLE, "view", 3))
    )
    row = Row(Interval.lasting(at("2026-03-02"), 1500 * MILLISECOND), False, "x")
    assert warnings(found, MARCH, {Service.FIND: {}, Service.VIEW: {GUID: [row]}}) == []


def test_sealed_figures_that_differ_are_warned_of() -> None:
    """What differs from the seal, waits for approval or is unknown is said, the first three by name."""
    guids = [f"0000000{n}-0000-4000-8000-000000000000" for n in range(5)]
    found = known(seal_of(*(sealed_row(guid, "view", 60, 30) for guid in guids)))
    body = {"month": "2026-03", "changes": [{"now": {}}]}
    found.learn(Fact(LATER, "restatement_proposed", body))
    waits, differs, unknown = warnings(found, MARCH, {Service.VIEW: {guid: [] for guid in guids}})
    assert "waits for approval" in waits
    assert differs.startswith("other than the sealed figures")
    assert differs.endswith(f"{guids[2]} view and 2 more")
    assert unknown.startswith("some time is unknown")


# --- bodies ---


def some_rows(count: int, reason: str = "disk") -> list[Row]:
    begun = MARCH.interval.start
    return [
        Row(Interval.lasting(begun + number * MINUTE, SECOND), False, reason)
        for number in range(count)
    ]


def checked(drafted: Iterable[Any]) -> None:
    """Each body fits the schema and is short enough."""
    for body in drafted:
        VALIDATOR.validate(body)
        assert len(rendered(body)) < MOST_BYTES


def test_a_month_with_and_without_unavailability() -> None:
    """GUIDs that failed have rows; every other active one is in a null submission."""
    drafted = bodies(MARCH, Service.FIND, {GUID: some_rows(1), OTHER: []})
    checked(drafted.values())
    assert list(drafted) == ["find-001.json", "find-002.json"]
    full, null = drafted.values()
    assert full["items"] == [
        {
            GUID: [
                {
                    "start_date_ts": "2026-03-01T00:00:00Z",
                    "end_date_ts": "2026-03-01T00:00:01Z",
                    "unavail_scheduled": False,
                    "unavail_reason": "disk",
                }
            ]
        }
    ]
    assert (null["items"], null["submission_id"]) == ([OTHER], None)
    assert [body["submission_reason"] for body in drafted.values()] == [
        "initial submission",
        "null submission",
    ]
    assert {body["submission_status"] for body in drafted.values()} == {"on time"}
    assert {body["reporting_period_start"] for body in drafted.values()} == {"2026-03-01T00:00:00Z"}


def test_the_period_starts_at_a_local_midnight() -> None:
    """In summer a month of the United Kingdom starts at 23:00Z."""
    [body] = bodies(APRIL, Service.VIEW, {GUID: []}).values()
    assert body["reporting_period_start"] == "2026-03-31T23:00:00Z"


def test_the_same_facts_give_the_same_ids() -> None:
    """Ids differ between bodies, services, months and facts, and are otherwise the same."""
    first = bodies(MARCH, Service.VIEW, {GUID: some_rows(1), OTHER: []})
    assert bodies(MARCH, Service.VIEW, {GUID: some_rows(1), OTHER: []}) == first
    others = [
        first,
        bodies(MARCH, Service.FIND, {GUID: some_rows(1), OTHER: []}),
        bodies(APRIL, Service.VIEW, {GUID: some_rows(1), OTHER: []}),
        bodies(MARCH, Service.VIEW, {GUID: some_rows(2), OTHER: []}, correction=True),
    ]
    ids = [body["record_id"] for drafted in others for body in drafted.values()]
    assert len(set(ids)) == len(ids)
    submissions = {drafted[next(iter(drafted))]["submission_id"] for drafted in others}
    assert len(submissions) == 4


@pytest.mark.parametrize(
    ("correction", "late", "reason", "status"),
    [
        (False, True, "initial submission", "late"),
        (True, False, "resubmission", "correction"),
        (True, True, "resubmission", "correction"),
    ],
)
def test_what_a_correction_says(correction: bool, late: bool, reason: str, status: str) -> None:
    """A correction is a resubmission, late or not; a null submission keeps its reason."""
    given = {GUID: some_rows(1), OTHER: []}
    drafted = bodies(MARCH, Service.VIEW, given, correction=correction, late=late)
    checked(drafted.values())
    full, null = drafted.values()
    assert (full["submission_reason"], full["submission_status"]) == (reason, status)
    assert (null["submission_reason"], null["submission_status"]) == ("null submission", status)


def test_many_guids_are_split() -> None:
    """No body has more than 667 items; together they name every GUID once, in order."""
    guids = sorted(str(uuid4()) for _ in range(1500))
    drafted = bodies(MARCH, Service.VIEW, {guid: [] for guid in guids})
    checked(drafted.values())
    assert [len(body["items"]) for body in drafted.values()] == [MOST_ITEMS, MOST_ITEMS, 166]
    assert [guid for body in drafted.values() for guid in body["items"]] == guids


def test_long_bodies_are_split_before_a_mebibyte() -> None:
    """GUIDs with a hundred long reasons each do not make a body of a mebibyte."""
    guids = sorted(str(uuid4()) for _ in range(60))
    drafted = bodies(MARCH, Service.VIEW, {guid: some_rows(100, "x" * 255) for guid in guids})
    checked(drafted.values())
    assert len(drafted) == 3
    assert [guid for body in drafted.values() for item in body["items"] for guid in item] == guids
    assert len({body["submission_id"] for body in drafted.values()}) == 1
    entries = manifest(MARCH, drafted)["bodies"]
    assert sum(entry["rows"] for entry in entries) == 6000
    assert max(entry["bytes"] for entry in entries) > MOST_BYTES - 64 * 1024


def test_the_manifest_says_what_to_send_where() -> None:
    """Each body stands there with its request, its ids and its sums."""
    drafted = bodies(MARCH, Service.FIND, {GUID: some_rows(2), OTHER: []})
    found = manifest(MARCH, drafted)
    assert (found["month"], found["rules"]) == ("2026-03", 1)
    assert found["period"]["end"] == "2026-03-31T23:00:00Z"
    first, second = found["bodies"]
    assert first["request"] == "POST /service-availability/find"
    assert (first["guids"], first["rows"], second["guids"], second["rows"]) == (1, 2, 1, 0)
    assert first["bytes"] == len(rendered(drafted["find-001.json"]))
    assert first["record_id"] == drafted["find-001.json"]["record_id"]
