"""The content of a month's report: the figures of `slo`, and everything they rest on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from monitor.core.month import Month
from monitor.operations import perform
from monitor.report.content import build, waterfall
from tests.desks import ANNA, Place
from tests.report.place import SEALED, sealed_march

MONTH = "2026-03"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = asyncio.run(sealed_march(tmp_path_factory.mktemp("march")))
    assert not isinstance(made.store, dict)
    yield made
    made.store.close()  # type: ignore[union-attr]


def content_of(place: Place, month: str = MONTH, **changes: Any) -> Document:
    chosen = Month.parse(month, place.settings.rules.zone)
    return build(place.settings, place.book, place.store, chosen, place.clock.now(), **changes)


@pytest.fixture(scope="module")
def content(place: Place) -> Document:
    return content_of(place)


def endpoint(content: Document, name: str) -> Document:
    found: Document = next(one for one in content["endpoints"] if one["id"] == name)
    return found


async def test_figures_are_those_of_slo(place: Place, content: Document) -> None:
    """Every row of `slo`, by endpoint and by holdername, to the last digit."""
    rows = []
    for by in ("endpoint", "holdername"):
        found = await perform(place.desk, "slo", {"month": MONTH, "by": by}, author="ops")
        rows += found["months"]
    assert content["months"] == rows
    assert [row["series"].get("endpoint") for row in rows[:2]] == ["find-main", "view-main"]


def test_the_parts_of_outages_and_the_strip_sum_to_the_figures(content: Document) -> None:
    """By class, of each endpoint, to the microsecond; so does unknown time."""
    for row in content["months"][:2]:
        name = row["series"]["endpoint"]
        sums = dict.fromkeys(row["by_class"], 0.0)
        unknown = 0.0
        for one in content["outages"]:
            for part in one["parts"] if one["series"] == row["series"] else ():
                sums[part["class"]] += part["seconds"]
        assert sums == row["by_class"]
        strip = dict.fromkeys(row["by_class"], 0.0)
        for one in endpoint(content, name)["strip"]:
            if one["class"] is not None:
                strip[one["class"]] += one["seconds"]
            else:
                unknown += one["seconds"]
        assert strip == row["by_class"]
        assert unknown == row["unknown_s"]


def test_the_waterfall_ends_at_the_figure(content: Document) -> None:
    """From 743 hours, less what did not count, was unknown or lost, to the time available."""
    steps = endpoint(content, "view-main")["waterfall"]
    row = content["months"][1]
    assert (steps[0]["step"], steps[0]["left_s"]) == ("month", 743 * 3600)
    assert steps[1]["seconds"] == 96 * 3600
    assert steps[-1]["left_s"] == row["up_s"] + row["unconfirmed_s"]
    assert steps[-1]["left_s"] == row["eligible_s"] - row["unknown_s"] - row["unavailable_s"]


def test_the_waterfall_keeps_microseconds() -> None:
    """A sum of parts of a second is exact."""
    classes = {"declared": 0.1, "declared_short_notice": 0.2, "overrun": 0, "undeclared": 0.3}
    row = {"eligible_s": 10, "unknown_s": 0.000001, "by_class": classes}
    assert waterfall(row, 10)[-1]["left_s"] == 9.399999


def test_time_unknown_says_why(content: Document) -> None:
    """Our own fault by its reason; a silence as nothing observed."""
    unknown = endpoint(content, "find-main")["unknown"]
    assert [one["reasons"] for one in unknown] == [["local_network"], ["not_observed"]]


def test_declarations_stand_with_versions_and_notice(content: Document) -> None:
    """Planned work with enough notice, and the emergency without."""
    planned, emergency = content["declarations"]
    assert (planned["id"], planned["notice"]["enough"]) == ("D-1", True)
    assert (emergency["id"], emergency["notice"]["enough"]) == ("D-2", False)
    assert [len(one["versions"]) for one in content["declarations"]] == [1, 1]


def test_incidents_say_whether_the_target_was_met(content: Document) -> None:
    """Three and a half hours missed two; the others met it. Each has its timeline."""
    met = {one["started_at"]: one["target_met"] for one in content["incidents"]}
    assert met["2026-03-17T23:58:00Z"] is False
    assert met["2026-03-29T00:30:00Z"] is True
    assert all(one["timeline"][0]["type"] == "incident.opened" for one in content["incidents"])


def test_the_seal_stands_with_its_restatements(place: Place, content: Document) -> None:
    """When sealed, under what, what was restated and why."""
    sealing = content["sealing"]
    assert sealing["sealed_at"] == "2026-04-10T01:00:00Z"
    assert sealing["configuration"] == place.settings.digest
    (one,) = sealing["restatements"]
    assert (one["number"], one["reason"]) == (1, "learned since it was sealed: A-2")
    assert one["changes"][0]["now"]["series"] == {"holdername": ANNA, "service": "find"}
    assert content["configuration"]["recorded"][0]["digest"] == place.settings.digest


def test_a_sealed_month_does_not_depend_on_when(place: Place, content: Document) -> None:
    """A hundred days later the content is the same; its time is that of the last restatement."""
    before = place.clock.time
    place.clock.time = before + timedelta(days=100)
    try:
        assert content_of(place) == content
    finally:
        place.clock.time = before
    assert content["until"] == "2026-04-11T01:00:00Z"
    assert before == SEALED + timedelta(days=1)


def test_a_running_month_says_that_it_is(place: Place) -> None:
    """April so far: not sealed, as of now, and only the time that is over is there to be judged."""
    april = content_of(place, "2026-04")
    assert (april["sealing"], april["until"]) == (None, "2026-04-11T01:00:00Z")
    assert april["months"][0]["verdict"] == "running"
    assert endpoint(april, "find-main")["eligible"][0]["end"] == "2026-04-11T01:00:00Z"


def test_a_month_before_anything_counted(place: Place) -> None:
    """February: connected in March, so there are no figures, no strip and no unknown time."""
    content = content_of(place, "2026-02")
    assert {row["verdict"] for row in content["months"]} == {"no_data"}
    assert endpoint(content, "find-main")["eligible"] == []
    assert (content["outages"], content["incidents"]) == ([], [])


def test_each_endpoint_is_a_step_of_progress(place: Place) -> None:
    """So that a bar can go along."""
    steps: list[int] = []
    content_of(place, progress=lambda: steps.append(1))
    assert len(steps) == 2


def test_server_certificates_are_those_shown_in_the_month(place: Place, content: Document) -> None:
    """Each one seen in March; in April, the one in use as it began."""
    shown = [one for one in content["certificates"] if one["role"] == "server"]
    assert [(one["name"], one["sha256"][:2]) for one in shown] == [
        ("view-main", "ab"),
        ("view-main", "cd"),
    ]
    april = content_of(place, "2026-04")["certificates"]
    assert [one["sha256"][:2] for one in april] == ["cd"]
