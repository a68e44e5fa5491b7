"""Why an instant is what it is: everything the deciding functions say, side by side."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from monitor.core.book import Book
from monitor.core.downtime import Series
from monitor.core.endpoint import Environment, Service
from monitor.core.explain import explain, look_back
from monitor.core.notice import day_by_day, notice
from monitor.core.verdict import Observation
from tests.core.builders import (
    DAY,
    GUID,
    HOUR,
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
    series,
    series_of,
    span,
)

DAYS_BEFORE = START - 20 * DAY


def watched(results: str, known: Book | None = None) -> tuple[Book, list[Observation], datetime]:
    """A book that saw a run, the observations, and the instant after them."""
    known = known or book()
    seen = run(results)
    for one in seen:
        known.observe(one)
    now = START + len(results) * 30 * SECOND
    known.correlate(now, {"west"})
    return known, seen, now


def told(results: str, place: float, known: Book | None = None, **given: Any) -> dict[str, Any]:
    """The explanation of an instant so many steps after START."""
    known, seen, now = watched(results, known)
    which: Series = given.get("which", series())
    return explain(known, which, START + place * 30 * SECOND, given.get("now", now), seen)


def test_each_observation_says_what_it_did() -> None:
    """Counts as the timeline has them, from the first failure to the recovery."""
    found = told("uudldduduuu", 8)
    effects = [row["effect"] for row in found["endpoints"][0]["observations"]]
    assert effects == [
        "up",
        "up",
        "failing 1 of 3 that confirm an outage",
        "our own fault: neither advances nor resets a count",
        "failing 2 of 3 that confirm an outage",
        "confirms the outage (3 of 3)",
        "up 1 of 2 that end the outage",
        "fails again: the outage never stopped",
        "up 1 of 2 that end the outage",
        "confirms the recovery (2 of 2)",
        "up",
    ]
    blip = told("uduudddd", 2)["endpoints"][0]["observations"]
    assert blip[2]["effect"] == "ends the suspect run without an outage: a blip"
    assert blip[7]["effect"] == "the outage goes on"


@pytest.mark.parametrize(
    ("results", "place", "state"),
    [
        ("uuu", 1, "up"),
        ("uduu", 1.5, "unconfirmed"),
        ("uiii", 2, "impaired"),
        ("udddd", 3, "down"),
        ("ulu", 1, "unknown"),
    ],
)
def test_the_state_is_that_of_the_account(results: str, place: float, state: str) -> None:
    """State and span are those that the book answers, with a reason."""
    found = told(results, place)["state"]
    assert (found["state"], bool(found["why"])) == (state, True)


def test_what_holds_and_how_long() -> None:
    """To the next observation; across a gap one interval, and then nothing holds."""
    close = told("uuuu", 1.5)["endpoints"][0]["holding"]
    assert (close["holds"], close["gap"], close["holds_until"]) == (True, False, close["next_at"])
    inside, beyond = (told("u        u", place)["endpoints"][0]["holding"] for place in (0.5, 4))
    assert (inside["holds"], inside["gap"]) == (True, True)
    assert (beyond["holds"], beyond["holds_until"]) == (False, "2026-03-02T09:00:30Z")
    assert "gap_after" in beyond["why"]
    assert told("u        u", 4)["state"]["state"] == "unknown"


def test_the_last_observation_holds_until_now() -> None:
    """With nothing after it, the end is now; at its own instant it has only begun."""
    known, seen, now = watched("uu")
    found = explain(known, series(), now - SECOND, now, seen)["endpoints"][0]["holding"]
    assert (found["next_at"], found["holds"]) == (None, True)
    (last,) = seen[-1:]
    same = explain(known, series(), last.at, last.at, [last])["endpoints"][0]["holding"]
    assert same["holds"] is False


def test_before_any_observation() -> None:
    """Nothing holds, and the time is unknown."""
    found = told("uu", -3)
    assert found["endpoints"][0]["holding"] is None
    assert found["endpoints"][0]["phase"] is None
    assert found["state"]["state"] == "unknown"
    assert found["class"] is None


def test_a_later_look_knows_that_an_outage_goes_on() -> None:
    """Observations read from the midst of an outage on are counted as within it."""
    known, seen, now = watched("u" + "d" * 40 + "uu")
    for later in (20, 41):
        late = explain(known, series(), START + 20.5 * 30 * SECOND, now, seen[later:])
        rows = late["endpoints"][0]["observations"]
        expected = ["the outage goes on", "up 1 of 2 that end the outage"]
        assert rows[0]["effect"] == expected[later == 41]
    fresh = explain(known, series(), START, now, [])
    assert fresh["endpoints"][0]["observations"] == []


def test_time_that_is_not_accounted() -> None:
    """Before the connection date there is neither state nor budget; a test endpoint has a state."""
    known, seen, now = watched("ddddd")
    early = explain(known, series(), at("2025-12-01"), now, seen)
    assert (early["state"], early["budget"]) == (None, None)
    tested = book(endpoint(environment=Environment.TEST))
    found = told("ddddd", 2, tested)
    assert (found["state"]["state"], found["class"], found["budget"]) == ("down", None, None)


def test_a_span_longer_than_the_look_says_so() -> None:
    """What began before, or goes on after, is cut and named as such."""
    known = book()
    first = START - 60 * DAY
    seen = []
    while first < START + 60 * DAY:
        seen += run("u", first)
        known.observe(seen[-1])
        first += MINUTE
    found = explain(known, series(), START, first, [])
    assert found["state"]["cut_at"] == ["start", "end"]


# --- declarations -------------------------------------------------------------------------------

WINDOW = minutes(0, 60)


def considered(known: Book, place: float = 3, which: Series | None = None) -> list[dict[str, Any]]:
    found = told("dddddddd", place, known, which=which or series())
    rows: list[dict[str, Any]] = found["declarations"]
    return rows


def learned(*facts: Any, **given: Any) -> Book:
    known = book(**given)
    for one in facts:
        known.learn(one)
    return known


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"notified_at": None}, "draft"),
        ({"notified_at": after(minutes=30)}, "told to MaPS only at"),
        ({"services": ["find"]}, "out of scope by services"),
        ({"endpoints": ["find"]}, "out of scope by endpoints"),
        ({"holdernames": [OTHER]}, "out of scope by holdernames: not every one"),
        ({"start": after(minutes=30)}, "begins only at"),
        ({"start": after(hours=-3), "end": after(hours=-2)}, "was over at"),
    ],
)
def test_why_a_version_does_not_count(body: dict[str, Any], why: str) -> None:
    """Each reason by name; the instant is then undeclared."""
    known = learned(
        declaration(DAYS_BEFORE, WINDOW, **body), holdernames=[holdername(GUID, "view")]
    )
    (found,) = considered(known)
    assert (found["counts"], found["cover"]) == (False, None)
    assert any(why in reason for reason in found["why"]), found["why"]


def test_a_record_too_late_does_not_count() -> None:
    """Entered during the outage, it excuses nothing that is past."""
    known = learned(declaration(after(minutes=30), WINDOW, notified_at=DAYS_BEFORE))
    (found,) = considered(known)
    assert "recorded only at" in found["why"][0]


def test_a_holdername_that_is_not_named() -> None:
    """For a holdername's own series the GUID itself is missing."""
    known = learned(
        declaration(DAYS_BEFORE, WINDOW, holdernames=[OTHER]),
        holdernames=[holdername(GUID, "view")],
    )
    (found,) = considered(known, which=series_of())
    assert found["why"] == ["out of scope by holdernames: this one is not among those named"]


def test_superseded_and_cancelled() -> None:
    """The version in force counts, the one before it not; after cancellation none does."""
    first = declaration(DAYS_BEFORE, WINDOW)
    amended = fact("amendment", DAYS_BEFORE + DAY, id="D-1", notified_at=DAYS_BEFORE + DAY)
    old, new = considered(learned(first, amended))
    assert old["why"] == ["superseded by a later version in force"]
    assert (old["counts"], new["counts"]) == (False, True)
    cancelled = fact("cancellation", DAYS_BEFORE + DAY, id="D-1")
    (gone,) = considered(learned(first, cancelled))
    assert gone["why"][0].startswith("cancelled at")


def test_notice_day_by_day() -> None:
    """The days that count are those that the notice counted; the others say why not."""
    window = span("2026-04-08T09:00", "2026-04-08T12:00")
    (found,) = explain(
        learned(declaration(at("2026-03-31T17:30"), window)),
        series(),
        at("2026-04-08T10:00"),
        at("2026-04-09"),
        [],
    )["declarations"]
    cover = found["cover"]
    assert (cover["class"], cover["notice"]["enough"]) == ("declared_short_notice", False)
    days = {one["day"]: (one["counts"], one["why"]) for one in cover["notice"]["day_by_day"]}
    assert days["2026-03-31"] == (
        False,
        "told at or after the cut-off: counts as told on 2026-04-01",
    )
    assert days["2026-04-01"] == (False, "counts as the day of notification")
    assert days["2026-04-02"] == (True, "working day")
    assert days["2026-04-03"] == (False, "bank holiday")
    assert days["2026-04-04"] == (False, "weekend")
    assert days["2026-04-06"] == (False, "bank holiday")
    assert days["2026-04-07"] == (True, "working day")
    assert days["2026-04-08"] == (False, "day of the start")
    assert sum(counts for counts, _ in days.values()) == cover["notice"]["days"] == 2


@pytest.mark.parametrize("method_days", range(0, 28, 3))
def test_the_days_listed_are_those_counted(method_days: int) -> None:
    """Whenever MaPS is told, the list agrees with the count."""
    told_at = at("2026-03-20T18:00") + method_days * DAY
    start = at("2026-04-20T09:00")
    listed = day_by_day(told_at, start, rules())
    assert sum(one.counts for one in listed) == notice(told_at, start, rules()).days


def test_told_on_a_weekend() -> None:
    """It counts as told on Monday; the Sunday between is not yet counted."""
    listed = day_by_day(at("2026-03-07T09:00"), at("2026-03-11T09:00"), rules())
    assert [one.why for one in listed][:3] == [
        "told on a non-working day: counts as told on 2026-03-09",
        "weekend",
        "counts as the day of notification",
    ]


# --- class, incident, budget --------------------------------------------------------------------


def test_classes_and_why() -> None:
    """Undeclared, declared and overrun of one outage, each with its reason."""
    known = learned(declaration(DAYS_BEFORE, minutes(1, 3)))
    undeclared, declared, overrun = (told("d" * 12, place, known) for place in (1, 3, 8))
    assert [one["class"]["class"] for one in (undeclared, declared, overrun)] == [
        "undeclared",
        "declared",
        "overrun",
    ]
    assert declared["class"]["covering"] == [{"id": "D-1", "class": "declared"}]
    assert "by D-1" in overrun["class"]["why"]
    assert [part["class"] for part in overrun["outage"]["parts"]] == [
        "undeclared",
        "declared",
        "overrun",
    ]
    (incident,) = overrun["incidents"]
    assert (incident["id"], incident["state"], incident["restored_at"]) == ("I-1", "open", None)


def test_unknown_time_of_an_outage_is_in_no_class() -> None:
    """It is a part of the outage all the same."""
    found = told("dddldd", 3.5)
    assert found["class"]["class"] == "unknown"
    assert found["outage"]["end"] is None


def test_effect_on_the_budget() -> None:
    """What the outage took of the month, and what would be left without it."""
    found = told("u" + "d" * 10 + "uuu", 5)
    budget = found["budget"]
    assert (budget["month"], budget["this_outage_s"]) == ("2026-03", 300)
    assert budget["remaining_without_it_s"] - budget["remaining_s"] == 300
    assert told("uuu", 1)["budget"]["this_outage_s"] == 0
    before = told("u" + "d" * 10 + "uuu", 5, which=series())["incidents"]
    assert before[0]["restored_at"] is not None


def test_an_outage_over_the_end_of_a_month_takes_its_part_of_each() -> None:
    """Only what lies in the month is counted against its budget."""
    known = book()
    start = at("2026-03-31T22:59:00")
    seen = run("udddddd", start)
    for one in seen:
        known.observe(one)
    found = explain(known, series(), start + 2 * MINUTE, start + 3.5 * MINUTE, seen)
    assert found["budget"]["month"] == "2026-04"
    assert found["budget"]["this_outage_s"] == 150


def test_a_holdername_and_its_assertions() -> None:
    """Endpoints that serve it, and each assertion with why it does or does not count."""
    known = book(
        endpoint(),
        endpoint("find", Service.FIND),
        holdernames=[holdername(GUID, "view", "find")],
    )
    known.learn(assertion(START, after(minutes=1), after(minutes=2)))
    known.learn(assertion(START, after(minutes=1), None, id="A-2", services=["find"]))
    known.learn(assertion(START, after(minutes=-9), after(minutes=-8), id="A-3"))
    known.learn(assertion(START, after(minutes=1), None, id="A-4"))
    known.learn(fact("withdrawal", after(minutes=1), id="A-4", author="ops"))
    found = told("uuuuuuuu", 3, known, which=series_of())
    assert [one["id"] for one in found["endpoints"]] == ["view"]
    assert {one["id"]: one["counts"] for one in found["assertions"]} == {
        "A-1": True,
        "A-2": False,
        "A-3": False,
        "A-4": False,
    }
    assert (found["state"]["state"], found["outage"]["source"]) == ("down", "asserted")
    early = explain(known, series_of(), at("2025-06-01"), after(hours=1), [])
    assert (early["endpoints"], early["state"]) == ([], None)


def test_how_far_to_look_back() -> None:
    """An hour, or more for an endpoint that is probed seldom."""
    assert look_back(book(), "view") == HOUR
    slow = book(endpoint(cadence=cadence(gap_after=2 * HOUR)))
    assert look_back(slow, "view") == DAY
