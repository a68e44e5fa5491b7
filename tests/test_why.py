"""`explain`: from an id to the series concerned, over a store; the operation and the command."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.store import SqliteStore
from monitor.core.month import show_instant
from monitor.core.verdict import Observation, Reason, Result
from monitor.errors import BadInstant, UnknownName, UsageError
from monitor.operations import perform
from monitor.ports import Change, Sample
from tests import cli_place
from tests.desks import ANNA, BERT, START, Place, read_settings
from tests.fakes import MemoryStore

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def worked(tmp_path: Path) -> Place:
    """Half an hour of view-main down, declared too late, asserted for Anna, and back."""
    place = Place(read_settings(tmp_path), MemoryStore())
    await place.see("view-main", "up", START + 5 * MINUTE)
    await place.see("view-main", "down", START + 35 * MINUTE)
    await place.see("view-main", "up", START + HOUR)
    when = {"start": show_instant(START), "end": show_instant(START + HOUR), "reason": "x"}
    await do(place, "downtime.declare", **when, ticket="T-1", notified_at=show_instant(START))
    await do(place, "outage.assert", **when, holdernames=[ANNA])
    return place


async def do(place: Place, operation: str, **arguments: Any) -> Any:
    return await perform(place.desk, operation, arguments, author="ops")


async def why(place: Place, name: str, minutes: float = 20, **given: Any) -> Any:
    at = show_instant(START + minutes * MINUTE)
    return await do(place, "explain", id=name, at=at, **given)


async def test_an_endpoint_is_explained(tmp_path: Path) -> None:
    """State, class and incident are those that the lists print."""
    place = await worked(tmp_path)
    found = await why(place, "view-main")
    assert (found["kind"], found["left_out"]) == ("endpoint", 0)
    (one,) = found["explanations"]
    assert (one["state"]["state"], one["class"]["class"]) == ("down", "undeclared")
    assert "recorded only at" in one["declarations"][0]["why"][0]
    assert one["endpoints"][0]["phase"] == "outage"
    listed = (await do(place, "outage.list", endpoint="view-main"))["outages"]
    assert [part["class"] for part in one["outage"]["parts"]] == [
        part["class"] for part in listed[0]["parts"]
    ]
    incidents = (await do(place, "incident.list"))["incidents"]
    assert one["incidents"][0]["id"] in {each["id"] for each in incidents}


async def test_every_instant_agrees_with_the_account(tmp_path: Path) -> None:
    """The states explained, minute by minute, are those of the Book."""
    place = await worked(tmp_path)
    for minute in range(0, 60, 3):
        (found,) = (await why(place, "view-main", minute))["explanations"]
        down = 5 <= minute < 35
        assert found["state"]["state"] == ("down" if down else "up")
        assert (found["class"] is not None) is down


async def test_what_an_id_may_name(tmp_path: Path) -> None:
    """Holdername, incident, assertion and declaration lead to the series concerned."""
    place = await worked(tmp_path)
    by = {
        "holdername": (
            ANNA.upper(),
            {"service": "view"},
            [{"holdername": ANNA, "service": "view"}],
        ),
        "incident": ("I-1", {}, [{"endpoint": "view-main"}]),
        "assertion": (
            "A-1",
            {},
            [{"holdername": ANNA, "service": name} for name in ("find", "view")],
        ),
        "declaration": ("D-1", {}, [{"endpoint": "find-main"}, {"endpoint": "view-main"}]),
    }
    for kind, (name, given, wanted) in by.items():
        found = await why(place, name, **given)
        assert found["kind"] == kind
        assert [one["series"] for one in found["explanations"]] == wanted
    (asserted,) = [
        record for record in place.book.records.values() if record.view.asserted and record.standing
    ]
    found = await why(place, asserted.id)
    assert {one["series"]["holdername"] for one in found["explanations"]} == {ANNA}
    assert (await why(place, BERT))["explanations"][0]["series"]["service"] == "view"


async def test_a_declaration_of_holdernames_leads_to_them(tmp_path: Path) -> None:
    """No endpoint is wholly in its scope, so the holdernames named are explained."""
    place = await worked(tmp_path)
    later = START + 30 * timedelta(days=1)
    when = {"start": show_instant(later), "end": show_instant(later + HOUR), "reason": "x"}
    await do(place, "downtime.declare", **when, holdernames=[BERT], id="D-7")
    found = await why(place, "D-7")
    assert {one["series"]["holdername"] for one in found["explanations"]} == {BERT}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"id": "view-mian"}, UnknownName, 'did you mean "view-main"'),
        ({"id": ANNA}, UsageError, "service: say which"),
        ({"id": BERT, "service": "find"}, UsageError, "not served by find"),
        ({"id": ANNA, "service": "look"}, UsageError, "service"),
        ({"id": "view-main", "service": "view"}, UsageError, "leave it out"),
        ({"at": "soon"}, BadInstant, "soon"),
        ({"at": "2026-03-29T01:30"}, BadInstant, "does not exist"),
        ({"at": "2027-01-01T00:00Z"}, BadInstant, "is not past"),
        ({"at": "0001-01-01T00:00Z"}, BadInstant, "before anything was known"),
        ({"at": None}, UsageError, "at: is missing"),
        ({"at": ""}, UsageError, "at"),
        ({"id": ""}, UsageError, "id"),
        ({"when": "now"}, UsageError, "when"),
    ],
)
async def test_wrong_questions_are_refused(
    tmp_path: Path, given: dict[str, Any], error: type[Exception], said: str
) -> None:
    """With what is wrong and how to mend it."""
    place = await worked(tmp_path)
    usual = {"id": "view-main", "at": show_instant(START)}
    with pytest.raises(error, match=said):
        await do(place, "explain", **{**usual, **given})


def test_the_command_says_it_for_people(tmp_path: Path) -> None:
    """Without a daemon, on the store itself: every section, in UK time; wrong use is exit code 2."""
    place = cli_place.Place.make(tmp_path)
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=60)
    results = [Result.UP] * 4 + [Result.DOWN] * 20 + [Result.UP] * 4
    samples = [
        Sample(
            Observation("view-main", first + n * timedelta(seconds=30), result, Reason.OK), 1, None
        )
        for n, result in enumerate(results)
    ]
    with SqliteStore.open(place.store) as store:
        asyncio.run(store.commit(Change(samples=samples)))
    at = show_instant(first + timedelta(minutes=5))
    start, end = (show_instant(first + timedelta(minutes=n)) for n in (-600, 600))
    told = ["--notified-at", start, "--ticket", "T-1", "--reason", "x"]
    place.run("downtime", "declare", "--start", start, "--end", end, *told)
    span = ["--start", show_instant(first), "--reason", "back end"]
    place.run("outage", "assert", "--holdernames", cli_place.GUID, *span)
    done = place.run("explain", "view-main", "--at", at)
    assert done.exit_code == 0
    for said in ("State: down", "failing 1 of 3", "Declaration D-1", "Class: undeclared", "Budget"):
        assert said in done.stdout, done.stdout
    document = place.ask("explain", "view-main", "--at", at)
    assert document["explanations"][0]["class"]["class"] == "undeclared"
    asserted = place.run("explain", cli_place.GUID, "--service", "view", "--at", at).stdout
    assert "Assertion A-1: counts" in asserted
    later = show_instant(datetime.now(UTC) - timedelta(seconds=1))
    now = place.run("explain", "D-1", "--at", later).stdout
    assert "no longer holds" in now
    assert place.run("explain", "view-main", "--at", "2025-12-01").stdout.count("none") >= 1
    for wrong in (["nobody", "--at", at], ["view-main", "--at", "soon"], ["view-main"]):
        refused = place.run("explain", *wrong)
        assert (refused.exit_code, refused.stdout) == (2, "")
