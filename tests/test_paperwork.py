"""Packs and returns through their operations: a month with everything in it, sealed and restated."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.core.month import show_instant
from monitor.errors import UsageError
from monitor.jobs import seal_months
from monitor.operations import perform
from monitor.snapshot import Document
from tests.core.builders import at
from tests.desks import ANNA, BERT, CARL, Place, read_settings
from tests.fakes import MemoryStore
from tests.returns_schema import BODY

DIGEST = "f" * 64
MINUTE = timedelta(minutes=1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(read_settings(tmp_path), MemoryStore())


async def do(place: Place, name: str, **arguments: Any) -> Document:
    found = await perform(place.desk, name, arguments, author="ann")
    assert json.loads(json.dumps(found)) == found
    return found


async def outage(place: Place, name: str, start: datetime, minutes: int) -> None:
    """Up for two minutes, down from a time on for so many, up for two."""
    place.clock.time = start - 2 * MINUTE
    await place.see(name, "up", start)
    await place.see(name, "down", start + minutes * MINUTE)
    await place.see(name, "up", start + (minutes + 2) * MINUTE)


async def declared(place: Place, told: str, start: str, end: str) -> None:
    place.clock.time = at(told)
    await do(
        place,
        "downtime.declare",
        start=start,
        end=end,
        reason="upgrade (phase 1)",
        notified_at=told + "Z",
        ticket="T-1",
        services=["view"],
    )


async def march(place: Place) -> None:
    """An overrun, work at short notice on clock-change Sunday, a back end asserted down, an outage
    over the end of the month; between them nothing was probed.
    """
    await declared(place, "2026-03-02T09:00", "2026-03-17T00:00Z", "2026-03-17T00:30Z")
    await declared(place, "2026-03-27T09:00", "2026-03-29T00:30Z", "2026-03-29T03:00Z")
    await outage(place, "view-main", at("2026-03-17T00:10"), 40)
    await outage(place, "view-main", at("2026-03-29T00:50"), 60)
    await outage(place, "view-main", at("2026-03-31T22:50"), 20)
    place.clock.time = at("2026-04-01T09:00")
    await do(
        place,
        "outage.assert",
        start="2026-03-20T10:00Z",
        end="2026-03-20T11:00Z",
        holdernames=[BERT],
        services=["view"],
        reason="back end",
    )


def lost(document: Document) -> dict[tuple[str, str], tuple[float, float]]:
    """(GUID, service) to the seconds returned, and those of them that were scheduled."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for name, body in document["bodies"].items():
        for item in body["items"]:
            rows = [] if isinstance(item, str) else next(iter(item.values()))
            guid = item if isinstance(item, str) else next(iter(item))
            spans = [
                (
                    datetime.fromisoformat(row["end_date_ts"])
                    - datetime.fromisoformat(row["start_date_ts"]),
                    row["unavail_scheduled"],
                )
                for row in rows
            ]
            every = sum(span.total_seconds() for span, _ in spans)
            scheduled = sum(span.total_seconds() for span, was in spans if was)
            found[guid, name.partition("-")[0]] = (every, scheduled)
    return found


async def test_returns_and_slo_agree_on_a_month_with_everything(place: Place) -> None:
    """Every holdername and service: the seconds returned are those of `slo`, by class."""
    await march(place)
    document = await do(place, "returns", month="2026-03")
    for body in document["bodies"].values():
        jsonschema.Draft202012Validator(BODY).validate(body)
    slo = await do(place, "slo", month="2026-03", by="holdername")
    figures = {
        (row["series"]["holdername"], row["series"]["service"]): (
            row["unavailable_s"],
            row["by_class"]["declared"],
        )
        for row in slo["months"]
        if row["eligible_s"]
    }
    assert lost(document) == figures
    assert figures[ANNA, "view"] == (30 * 60 + 10 * 60 + 10 * 60 + 60 * 60, 20 * 60)
    assert figures[BERT, "view"][0] == figures[ANNA, "view"][0] + 3600
    assert (CARL, "find") not in figures


async def test_a_restatement_is_returned_as_a_correction(place: Place) -> None:
    """What was learned after sealing is sent again for its service, with ids of its own."""
    await march(place)
    place.clock.time = at("2026-04-20T09:00")
    await seal_months(place.cycle, DIGEST, place.clock.time)
    first = await do(place, "returns", month="2026-03")
    assert not any("not sealed" in text for text in first["manifest"]["warnings"])
    late = {"start": "2026-03-21T10:00Z", "end": "2026-03-21T11:00Z", "reason": "found later"}
    await do(place, "outage.assert", holdernames=[ANNA], services=["view"], **late)
    await seal_months(place.cycle, DIGEST, place.clock.time)
    again = await do(place, "returns", month="2026-03")
    assert await do(place, "returns", month="2026-03") == again
    find, view = again["bodies"]["find-001.json"], again["bodies"]["view-001.json"]
    assert find == first["bodies"]["find-001.json"]
    assert (view["submission_reason"], view["submission_status"]) == ("resubmission", "correction")
    assert view["record_id"] != first["bodies"]["view-001.json"]["record_id"]
    assert lost(again)[ANNA, "view"][0] == lost(first)[ANNA, "view"][0] + 3600


async def test_packs_agree_with_what_was_observed(place: Place) -> None:
    """The completion of an overrun has the times of the outage; short notice the emergency route."""
    await march(place)
    pack = await do(place, "downtime.pack", id="D-1")
    [completion] = pack["comments"]
    assert (completion["kind"], completion["due"]) == ("completion", True)
    assert "Actual start: 2026-03-17 00:10:00 GMT" in completion["text"]
    assert "Actual end: 2026-03-17 00:50:00 GMT" in completion["text"]
    assert {row["service"] for row in pack["guids"]} == {"view"}
    assert "emergency-fix route" in (await do(place, "downtime.pack", id="D-2"))["action"]
    incidents = (await do(place, "incident.list", all=True))["incidents"]
    actions = {
        one["kind"]: (await do(place, "incident.pack", id=one["id"]))["action"]
        for one in incidents
        if one["declaration"] is not None
    }
    assert "overrun of declaration D-1: comment on ticket T-1" in actions["outage"]
    assert "This is an emergency fix" in actions["emergency_fix"]
    asserted = [one for one in incidents if one["group"].startswith("A-")]
    [rows] = [(await do(place, "incident.pack", id=one["id"]))["guids"] for one in asserted]
    assert [(row["holdername_guid"], row["service"]) for row in rows] == [(BERT, "view")]


async def test_packs_say_when_service_is_expected_back(place: Place) -> None:
    """The time given stands in the drafted comment."""
    await declared(place, "2026-03-02T09:00", "2026-03-17T00:00Z", "2026-03-17T00:30Z")
    place.clock.time = at("2026-03-17T00:08")
    await place.see("view-main", "up", at("2026-03-17T00:10"))
    await place.see("view-main", "down", at("2026-03-17T00:40"))
    when = show_instant(at("2026-03-17T02:00"))
    [overrun] = (await do(place, "downtime.pack", id="D-1", expected_resolution=when))["comments"]
    assert overrun["kind"] == "overrun"
    assert "Expected resolution: 2026-03-17 02:00:00 GMT" in overrun["text"]


@pytest.mark.parametrize(
    ("month", "text"), [("2026-03", "is not over"), ("2030-01", "is not over"), ("x", "YYYY-MM")]
)
async def test_a_month_without_returns_is_refused(place: Place, month: str, text: str) -> None:
    """The running month, one to come, and what is no month."""
    with pytest.raises(UsageError, match=text):
        await do(place, "returns", month=month)
