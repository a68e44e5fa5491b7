"""Every operation over a real Book and cycle, over the fake store and the real one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor import snapshot
from monitor.adapters.store import SqliteStore
from monitor.core import seal
from monitor.core.fact import Fact
from monitor.core.month import Month, show_instant
from monitor.errors import StoreUnwritable, UsageError
from monitor.jobs import seal_months
from monitor.operations import OPERATIONS, perform
from monitor.snapshot import Document
from tests.desks import ANNA, BERT, CARL, START, Place, read_settings
from tests.fakes import MemoryStore

MINUTE = timedelta(minutes=1)
WINDOW = {"start": "2026-03-24T00:00", "end": "2026-03-24T01:00", "reason": "upgrade"}
TOLD = "2026-03-10T09:00"


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        yield Place(read_settings(tmp_path), MemoryStore())
        return
    with SqliteStore.open(tmp_path / "store.db") as store:
        yield Place(read_settings(tmp_path), store)


@pytest.fixture
def memory(tmp_path: Path) -> Place:
    return Place(read_settings(tmp_path), MemoryStore())


async def do(place: Place, name: str, *, author: str = "ann", **arguments: Any) -> Document:
    """Perform an operation; its result must be JSON, and no document may hold anything else."""
    found = await perform(place.desk, name, arguments, author=author)
    assert json.loads(json.dumps(found)) == found
    return found


async def refused(place: Place, name: str, *, author: str = "ann", **arguments: Any) -> str:
    """The text of a refusal, which changed nothing."""
    before = list(place.store.facts())
    with pytest.raises(UsageError) as caught:
        await perform(place.desk, name, arguments, author=author)
    assert list(place.store.facts()) == before
    return str(caught.value)


async def broken(place: Place) -> str:
    """Let view-main fail for twenty minutes after five good ones; the incident's id."""
    await place.see("view-main", "up", START + 5 * MINUTE)
    await place.see("view-main", "down", START + 25 * MINUTE)
    [incident] = place.book.records
    return incident


async def healed(place: Place) -> str:
    incident = await broken(place)
    await place.see("view-main", "up", START + 30 * MINUTE)
    return incident


# -- the table -------------------------------------------------------------------------------------


def test_the_table_names_what_can_be_asked_and_done() -> None:
    """Every operation is there, says whether it writes, and has a summary."""
    reads = {name for name, operation in OPERATIONS.items() if not operation.write}
    assert reads == {
        "status",
        "overview",
        "slo",
        "downtime.list",
        "downtime.calendar",
        "downtime.plan",
        "downtime.show",
        "downtime.pack",
        "outage.list",
        "incident.list",
        "incident.show",
        "incident.pack",
        "returns",
        "alerts.dead",
        *(f"endpoint.{what}" for what in ("list", "show", "spans", "strip", "detail", "findings")),
        "endpoint.probe",
        "assertion.list",
        "endpoint.observations",
        "month.list",
        "month.detail",
        "slo.months",
        "identity.list",
        "service",
        *(f"holdername.{what}" for what in ("list", "import", "reconcile")),
        "config.schema",
        "ledger.head",
        "ledger.facts",
        "explain",
    }
    assert {name for name in OPERATIONS if name not in reads} == {
        *(f"downtime.{step}" for step in ("declare", "notify", "amend", "cancel", "complete")),
        "downtime.import",
        "outage.assert",
        "outage.withdraw",
        *(f"incident.{step}" for step in ("acknowledge", "report", "update", "attest", "close")),
        "slo.approve",
        "endpoint.acknowledge_change",
        "alerts.test",
        "alerts.resend",
    }
    assert all(operation.summary for operation in OPERATIONS.values())


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("stauts", {}, 'there is no operation "stauts"; did you mean "status"?'),
        ("slo", {"mnth": "x"}, 'slo: there is no argument "mnth"; did you mean "month"?'),
        ("status", {"id": "x"}, 'status: there is no argument "id"; there are none'),
        ("slo", {"month": 3}, "slo: month: must be a text"),
        ("downtime.list", {"all": "yes"}, "downtime.list: all: must be a true or false"),
        ("alerts.resend", {"ids": [True]}, "alerts.resend: ids: must be a list of whole numbers"),
        ("downtime.show", {"id": None}, "downtime.show: id: is missing; give it"),
        ("downtime.show", {"id": " "}, "id: must be a text that is not empty"),
        (
            "downtime.declare",
            {**WINDOW, "endpoints": "view-main"},
            "downtime.declare: endpoints: must be a list of texts",
        ),
        (
            "slo",
            {"month": "2026-3"},
            'month "2026-3" cannot be read; write it as YYYY-MM, such as 2026-03',
        ),
        ("slo", {"by": "scheme"}, 'by: "scheme" is not one of endpoint, holdername'),
        (
            "slo",
            {"endpoint": "view-mian"},
            'endpoint: there is no endpoint "view-mian" in the configuration; did you mean'
            ' "view-main"?',
        ),
        (
            "slo",
            {"endpoint": "view-test"},
            "endpoint: view-test is in the test environment: it is watched, never counted; name a"
            " live endpoint",
        ),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    memory: Place, name: str, arguments: dict[str, Any], text: str
) -> None:
    """An unknown name gets the nearest, a wrong or missing value its cure."""
    assert await refused(memory, name, **arguments) == text


async def test_a_write_needs_an_author(memory: Place) -> None:
    """Nobody writes without a name; reading needs none."""
    text = await refused(memory, "downtime.declare", author=" ", **WINDOW)
    assert text == "downtime.declare: author: is missing; say who does this"
    await do(memory, "downtime.list", author="")


async def test_nothing_is_visible_that_was_not_kept(memory: Place) -> None:
    """A store that cannot be written leaves the Book as it was."""
    assert isinstance(memory.store, MemoryStore)
    memory.store.broken = True
    with pytest.raises(StoreUnwritable):
        await do(memory, "downtime.declare", **WINDOW)
    with pytest.raises(StoreUnwritable):
        await do(memory, "alerts.test")
    memory.store.broken = False
    assert (await do(memory, "downtime.list", all=True))["declarations"] == []


async def test_writes_at_once_take_different_numbers(place: Place) -> None:
    """Declarations made at the same time do not fight for the next number."""
    made = await asyncio.gather(*(do(place, "downtime.declare", **WINDOW) for _ in range(5)))
    assert sorted(one["id"] for one in made) == ["D-1", "D-2", "D-3", "D-4", "D-5"]
    assert place.woken == 5


# -- status and figures ----------------------------------------------------------------------------


async def test_status_says_what_is_known_now(place: Place) -> None:
    """Endpoints, open incidents, downtime, budget, queue and warnings, at one instant."""
    await do(place, "downtime.declare", **WINDOW)
    await do(place, "downtime.declare", start="2026-03-10T09:00", end="2026-03-10T10:00",
             reason="now", notified_at=TOLD, endpoints=["find-main"])  # fmt: skip
    done = await do(place, "downtime.declare", **WINDOW)
    await do(place, "downtime.cancel", id=done["id"])
    await broken(place)
    await do(place, "alerts.test", receiver="ops")
    found = await do(place, "status")
    assert found["organisation"] == {
        "name": "Example Administration Ltd",
        "connection": "federated",
    }
    assert (found["now"], found["live"], found["since"]) == (
        "2026-03-10T09:25:00Z",
        True,
        "2026-03-10T09:00:00Z",
    )
    assert found["warnings"][-1] == "the moon is full"
    assert [one["id"] for one in found["endpoints"]] == ["find-main", "view-main", "view-test"]
    unseen, view, test = found["endpoints"]
    assert (unseen["state"], unseen["since"], unseen["last"]) == ("unknown", None, None)
    assert test["month"] is None
    assert view == {
        "id": "view-main",
        "service": "view",
        "environment": "live",
        "lifecycle": "live",
        "group": "one",
        "state": "down",
        "phase": "outage",
        "since": "2026-03-10T09:05:00Z",
        "outage_since": "2026-03-10T09:05:00Z",
        "last": {"at": "2026-03-10T09:24:30Z", "result": "down", "reason": "status_5xx"},
        "month": {
            "month": "2026-03",
            "measured": "0.2",
            "worst": "0.000369685",
            "budget_s": 13374,
            "remaining_s": 12174,
            "verdict": "running",
        },
        "findings": [],
    }
    [incident] = found["incidents"]
    assert (incident["id"], incident["deadline"], incident["elapsed_s"]) == (
        "I-1",
        "2026-03-10T11:05:00Z",
        1200,
    )
    assert len(incident["missing"]) == 4
    downtime = found["downtime"]
    assert [one["id"] for one in downtime["active"]] == ["D-2"]
    assert [(one["id"], one["state"]) for one in downtime["upcoming"]] == [("D-1", "draft")]
    assert downtime["completion_due"] == []
    assert {row["receiver"]: row["pending"] for row in found["alerts"]}["ops"] >= 1


async def test_slo_prints_the_month_by_endpoint_or_by_holdername(place: Place) -> None:
    """The running month unless said otherwise; rows as `replay` prints them."""
    await broken(place)
    found = await do(place, "slo")
    assert (found["rules"], found["until"]) == (1, "2026-03-10T09:25:00Z")
    replayed = snapshot.replay_document(place.book, place.clock.time)["months"]
    for row in found["months"]:
        assert row.pop("sealed") is False
        assert row in replayed
    assert [row["series"]["endpoint"] for row in found["months"]] == ["find-main", "view-main"]
    by = await do(place, "slo", by="holdername", endpoint="view-main")
    assert {row["series"]["holdername"] for row in by["months"]} == {ANNA, BERT}
    assert {row["down_s"] for row in by["months"]} == {1200}
    every = await do(place, "slo", by="holdername", month="2026-01")
    assert len(every["months"]) == 4
    [one] = (await do(place, "slo", month="2025-12", endpoint="view-main"))["months"]
    assert (one["verdict"], one["measured"]) == ("no_data", None)


async def test_a_better_figure_counts_once_a_second_person_approves(place: Place) -> None:
    """What is proposed is approved by another than its author; the slo then prints it."""
    month = Month(2026, 2, place.book.rules.zone)
    rows = (await do(place, "slo", month="2026-02"))["months"]
    for row in rows:
        del row["sealed"]
    kept = [{**rows[0], "unavailable_s": 60, "by_class": {**rows[0]["by_class"], "overrun": 60}}]
    await place.cycle.learn([seal.sealed(month, kept, "digest", place.clock.time)])
    await seal_months(place.cycle, "digest", place.clock.time)
    row = (await do(place, "slo", month="2026-02"))["months"][0]
    assert (row["unavailable_s"], row["proposed"]["unavailable_s"]) == (60, 0)
    refused = {"month": "2026-02", "approved_by": "ann"}
    with pytest.raises(UsageError, match="ann caused this change"):
        await do(place, "slo.approve", **refused)
    done = await do(place, "slo.approve", month="2026-02", approved_by="bob")
    assert (done["ok"], done["approved_by"], done["author"]) == (True, "bob", "ann")
    row = (await do(place, "slo", month="2026-02"))["months"][0]
    assert (row["unavailable_s"], row["restatement"]) == (0, done["number"])


async def test_a_sealed_month_prints_what_was_sealed(place: Place) -> None:
    """A sealed figure stays; today's stands beside it where it differs, and restatements count."""
    month = Month(2026, 2, place.book.rules.zone)
    rows = (await do(place, "slo", month="2026-02"))["months"]
    for row in rows:
        del row["sealed"]
    kept = [{**rows[0], "up_s": 1}, rows[1]]
    await place.cycle.learn([seal.sealed(month, kept, "digest", place.clock.time)])
    first, second = (await do(place, "slo", month="2026-02"))["months"]
    assert (first["sealed"], first["restatement"], first["up_s"]) == (True, 0, 1)
    assert (first["recomputed"]["up_s"], "series" in first["recomputed"]) == (0, False)
    assert (second["sealed"], "recomputed" in second) == (True, False)
    standing = seal.standing(place.book.seals["2026-02"])
    assert standing is not None
    why = seal.Why("late facts")
    (again,) = seal.restated(month, standing, rows, "digest", why, place.clock.time)
    await place.cycle.learn([again])
    first, _ = (await do(place, "slo", month="2026-02"))["months"]
    assert (first["restatement"], first["up_s"], "recomputed" in first) == (1, 0, False)
    unsealed = await do(place, "slo", month="2026-02", by="holdername")
    assert {row["sealed"] for row in unsealed["months"]} == {False}


async def test_many_series_leave_room_for_others(
    memory: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long account pauses between series, and is the same account."""
    whole = await do(memory, "slo", by="holdername")
    monkeypatch.setattr("monitor.operations.AT_ONCE", 1)
    monkeypatch.setattr("monitor.operations.SLICE", 0.0)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    assert await do(memory, "slo", by="holdername") == whole
    beside.cancel()
    assert turns >= len(whole["months"])


# -- declarations ----------------------------------------------------------------------------------


async def test_a_declaration_lives_from_draft_to_completion(place: Place) -> None:
    """Declared, notified, amended, active, completion due, completed: each a version or a fact."""
    made = await do(place, "downtime.declare", **WINDOW, endpoints=["view-main"])
    assert (made["ok"], made["id"], made["state"]) == (True, "D-1", "draft")
    assert made["warnings"][0].startswith("D-1 is a draft: MaPS has not been told of it")
    told = await do(place, "downtime.notify", id="D-1", ticket="T-1")
    assert (told["state"], told["ticket"], told["notified_at"]) == (
        "notified",
        "T-1",
        "2026-03-10T09:00:00Z",
    )
    assert told["notice"] == {
        "days": 9,
        "needed": 5,
        "enough": True,
        "notify_before": "2026-03-16T17:00:00Z",
    }
    longer = await do(place, "downtime.amend", id="D-1", end="2026-03-24T02:00", author="bob")
    assert (longer["state"], longer["window"]["end"]) == ("notified", "2026-03-24T01:00:00Z")
    assert longer["warnings"][0].startswith("D-1 is a draft: MaPS has not been told of its latest")
    await do(place, "downtime.notify", id="D-1", ticket="T-1", at="2026-03-10T08:30")
    place.clock.time = START + timedelta(days=13, hours=15, minutes=30)
    assert (await do(place, "downtime.show", id="D-1"))["state"] == "active"
    place.clock.time += timedelta(hours=2)
    assert (await do(place, "downtime.show", id="D-1"))["state"] == "completion_due"
    assert [one["id"] for one in (await do(place, "downtime.list"))["declarations"]] == ["D-1"]
    done = await do(
        place,
        "downtime.complete",
        id="D-1",
        actual_start="2026-03-24T00:05",
        actual_end="2026-03-24T01:45",
    )
    assert (done["ok"], done["state"], done["warnings"]) == (True, "completed", [])
    assert done["completion"] == {
        "recorded_at": "2026-03-24T02:30:00Z",
        "actual_start": "2026-03-24T00:05:00Z",
        "actual_end": "2026-03-24T01:45:00Z",
        "author": "ann",
    }
    assert [version["author"] for version in done["versions"]] == ["ann", "ann", "bob", "ann"]
    assert [version["effective_at"] for version in done["versions"]] == [
        None,
        "2026-03-10T09:00:00Z",
        None,
        "2026-03-10T09:00:00Z",
    ]
    assert (await do(place, "downtime.list"))["declarations"] == []
    assert len((await do(place, "downtime.list", all=True))["declarations"]) == 1


async def test_too_short_a_notice_is_recorded_but_not_good(place: Place) -> None:
    """The declaration stands, `ok` is false, and the warning says how to mend it."""
    late = {"start": "2026-03-17T00:00", "end": "2026-03-17T01:00", "reason": "patch"}
    found = await do(place, "downtime.declare", **late, notified_at=TOLD)
    assert (found["ok"], found["state"]) == (False, "notified")
    assert found["warnings"] == [
        "notice too short: 4 of 5 clear working days; MaPS had to be told before"
        " 2026-03-09T17:00:00Z; the time counts as declared_short_notice: choose a later window,"
        " or take the emergency route (an incident of kind emergency_fix opens when it begins:"
        " report that to MaPS)",
        "whether the notice is enough depends on how it is counted: enough by any-uk"
        " inclusive_start, england-and-wales inclusive_start; too short by any-uk clear,"
        " england-and-wales clear",
    ]
    [(_, fact)] = place.store.facts()
    assert (fact.type, fact.body["warnings"]) == ("declaration", found["warnings"])
    assert (await do(place, "downtime.show", id="D-1"))["warnings"] == found["warnings"]
    cancelled = await do(place, "downtime.cancel", id="D-1", reason="put off")
    assert (cancelled["ok"], cancelled["state"]) == (True, "cancelled")


async def test_a_window_covers_the_outage_it_announced(place: Place) -> None:
    """Declared downtime opens no incident; what overruns it suggests a comment on its ticket."""
    place.clock.time = START - timedelta(days=10)
    await do(place, "downtime.declare", start="2026-03-10T09:05", end="2026-03-10T09:15",
             reason="x", notified_at="2026-02-28T09:00", endpoints=["view-main"])  # fmt: skip
    place.clock.time = START
    incident = await broken(place)
    found = await do(place, "incident.show", id=incident)
    assert (found["started_at"], found["declaration"]) == ("2026-03-10T09:15:00Z", "D-1")
    assert found["suggested_action"] == "comment on the ticket of D-1, which it overran"
    [outage] = (await do(place, "outage.list"))["outages"]
    assert [part["class"] for part in outage["parts"]] == ["declared", "overrun"]


# -- outages ---------------------------------------------------------------------------------------


async def test_outages_are_listed_by_endpoint_and_by_holdername(place: Place) -> None:
    """The same rows as `replay`; narrowed by month, endpoint and series."""
    await healed(place)
    replayed = snapshot.replay_document(place.book, place.clock.time)["outages"]
    [row] = (await do(place, "outage.list"))["outages"]
    assert row in replayed
    assert row["end"] == "2026-03-10T09:25:00Z"
    by = (await do(place, "outage.list", by="holdername", month="2026-03"))["outages"]
    assert {one["series"]["holdername"] for one in by} == {ANNA, BERT}
    assert (await do(place, "outage.list", month="2026-02"))["outages"] == []
    assert (await do(place, "outage.list", endpoint="find-main"))["outages"] == []


async def test_an_asserted_outage_is_an_outage_until_it_is_ended(place: Place) -> None:
    """It opens an incident at once; the same id again ends it; withdrawn, it counts no more."""
    made = await do(
        place, "outage.assert", holdernames=[ANNA.upper()], services=["view"],
        start="2026-03-10T08:00", reason="database down",
    )  # fmt: skip
    assert (made["ok"], made["id"], made["state"]) == (True, "A-1", "open")
    assert (made["incidents"], made["warnings"]) == (["I-1"], [])
    [row] = (await do(place, "outage.list"))["outages"]
    assert row["series"] == {"holdername": ANNA, "service": "view"}
    assert (row["source"], row["end"]) == ("asserted", None)
    ended = await do(
        place, "outage.assert", id="A-1", holdernames=[ANNA], services=["view"],
        start="2026-03-10T08:00", end="2026-03-10T08:30", reason="database down",
    )  # fmt: skip
    assert (ended["state"], ended["versions"]) == ("ended", 2)
    assert ended["warnings"] == ["replaces what A-1 said since 2026-03-10T09:00:00Z"]
    assert (await do(place, "incident.show", id="I-1"))["state"] == "restored"
    gone = await do(place, "outage.withdraw", id="A-1", reason="a mistake")
    assert gone["state"] == "withdrawn"
    found = await do(place, "outage.list")
    assert (found["outages"], len(found["assertions"])) == ([], 1)
    assert (await do(place, "incident.list"))["incidents"] == []
    [void] = (await do(place, "incident.list", all=True))["incidents"]
    assert void["voided"] == "the facts no longer show an outage that needs one"
    second = await do(place, "outage.assert", holdernames=[BERT], start=TOLD, reason="x")
    assert second["id"] == "A-2"


# -- incidents -------------------------------------------------------------------------------------


async def test_an_incident_is_worked_through_to_its_end(place: Place) -> None:
    """Every step is recorded with its author; closing is refused until nothing is missing."""
    name = await healed(place)
    text = await refused(place, "incident.close", id=name)
    assert text == (
        "I-1 cannot be closed yet; still missing: report to MaPS (monitor incident report); cause"
        " (monitor incident update --cause); attestation that no acknowledged data was lost"
        " (monitor incident attest)"
    )
    seen = await do(place, "incident.acknowledge", id=name, author="bob")
    assert seen["acknowledged"] == {"at": "2026-03-10T09:30:00Z", "author": "bob"}
    told = await do(place, "incident.report", id=name, ticket="M-1", at="2026-03-10T09:20")
    assert told["reported"] == {"at": "2026-03-10T09:20:00Z", "ticket": "M-1", "author": "ann"}
    await do(place, "incident.update", id=name, text="looking", next_update_at="2026-03-10T10:00")
    noted = await do(place, "incident.update", id=name, cause="full disk", location="own")
    assert noted["updates"] == [
        {
            "at": "2026-03-10T09:30:00Z",
            "author": "ann",
            "text": "looking",
            "next_update_at": "2026-03-10T10:00:00Z",
        },
        {"at": "2026-03-10T09:30:00Z", "author": "ann", "text": "", "next_update_at": None},
    ]
    assert (noted["cause"], noted["location"]) == ("full disk", "own")
    assert noted["suggested_action"] == "report an incident"
    await do(place, "incident.attest", id=name)
    [listed] = (await do(place, "incident.list", state="restored"))["incidents"]
    assert listed["missing"] == []
    done = await do(place, "incident.close", id=name)
    assert (done["ok"], done["state"], done["elapsed_s"]) == (True, "closed", 1200)
    assert [step["type"] for step in done["timeline"]] == [
        "incident.opened",
        "incident.restored",
        "incident.acknowledged",
        "incident.reported",
        "incident.updated",
        "incident.updated",
        "incident.attested",
        "incident.closed",
    ]
    assert (await do(place, "incident.list"))["incidents"] == []
    assert len((await do(place, "incident.list", state="closed"))["incidents"]) == 1
    assert (await do(place, "incident.list", state="open", all=True))["incidents"] == []
    assert await refused(place, "incident.attest", id=name) == (
        "I-1 was closed at 2026-03-10T09:30:00Z; a closed incident takes no further steps unless a"
        " new failure re-opens it"
    )


async def test_steps_that_others_wait_for_are_told(memory: Place) -> None:
    """An update is queued as `incident.updated`, with what it said."""
    name = await healed(memory)
    await do(memory, "incident.update", id=name, cause="full disk")
    assert isinstance(memory.store, MemoryStore)
    [event] = memory.store.changes[-1].events
    assert (event.type, event.data["step"]) == (
        "incident.updated",
        {"cause": "full disk", "author": "ann"},
    )


# -- alerts ----------------------------------------------------------------------------------------


async def test_a_test_goes_to_the_receiver_named_or_to_all(place: Place) -> None:
    """The event is queued durably and the dispatcher woken."""
    assert (await do(place, "alerts.test"))["queued"] == ["ops", "boss"]
    assert (await do(place, "alerts.test", receiver="boss")) == {
        "ok": True,
        "queued": ["boss"],
        "warnings": [],
    }
    assert {name: row[0] for name, row in place.store.queue_stats().items()} == {
        "ops": 1,
        "boss": 2,
    }
    assert place.woken == 2
    [first] = await place.store.due("ops", place.clock.time, 5)
    assert (first.event.type, first.event.data["author"]) == ("test", "ann")
    assert await refused(place, "alerts.test", receiver="bos") == (
        'receiver: there is no receiver "bos" in the configuration; did you mean "boss"?'
    )


async def test_without_daemon_or_receiver_a_test_says_so(tmp_path: Path) -> None:
    """A queued alert waits for the daemon; with no receiver there is nothing to test."""
    idle = Place(read_settings(tmp_path), MemoryStore(), live=False)
    found = await do(idle, "alerts.test", receiver="ops")
    assert found["warnings"] == ["no daemon runs: delivered once one does (monitor run)"]
    alone = Place(read_settings(tmp_path), MemoryStore(), receivers=())
    assert await refused(alone, "alerts.test") == (
        "no receiver of alerts is configured; add one under alerts.webhooks, with name, url and"
        " secret_file, or under alerts.apprise"
    )


async def test_dead_alerts_are_listed_and_sent_again(place: Place) -> None:
    """By id or all of them; an id that is not dead is refused whole."""
    await do(place, "alerts.test")
    for receiver in ("ops", "boss"):
        [delivery] = await place.store.due(receiver, place.clock.time, 1)
        await place.store.failed(delivery, place.clock.time, error="410 gone", retry_at=None)
    dead = (await do(place, "alerts.dead"))["dead"]
    assert [(one["receiver"], one["type"], one["last_error"]) for one in dead] == [
        ("ops", "test", "410 gone"),
        ("boss", "test", "410 gone"),
    ]
    first, second = (one["id"] for one in dead)
    assert await refused(place, "alerts.resend", ids=[first, 999]) == (
        "ids: 999: not among the dead alerts; `monitor alerts dead` shows them"
    )
    for wrong in ({}, {"ids": []}, {"ids": [first], "all": True}):
        assert await refused(place, "alerts.resend", **wrong) == (
            "alerts.resend: give either ids or all; `monitor alerts dead` shows what there is"
        )
    assert (await do(place, "alerts.resend", ids=[first, first]))["resent"] == 1
    assert [one["id"] for one in (await do(place, "alerts.dead"))["dead"]] == [second]
    assert (await do(place, "alerts.resend", all=True))["resent"] == 1
    assert (await do(place, "alerts.resend", all=True))["resent"] == 0


# -- observations ----------------------------------------------------------------------------------


async def test_observations_of_an_endpoint_are_the_newest_of_the_span(place: Place) -> None:
    """An hour unless said otherwise, in order, the newest where there are too many."""
    await broken(place)
    found = await do(place, "endpoint.observations", endpoint="view-main")
    assert (found["start"], found["end"]) == ("2026-03-10T08:25:00Z", "2026-03-10T09:25:00Z")
    assert (len(found["observations"]), found["truncated"]) == (50, False)
    assert found["observations"][0] == {
        "at": "2026-03-10T09:00:00Z",
        "result": "up",
        "reason": "ok",
        "status": 200,
        "duration_s": 0.0125,
    }
    few = await do(place, "endpoint.observations", endpoint="view-main", limit=2)
    assert (few["observations"], few["truncated"]) == (found["observations"][-2:], True)
    span = await do(
        place, "endpoint.observations", endpoint="view-main",
        start="2026-03-10T09:01", end="2026-03-10T09:02",
    )  # fmt: skip
    assert [one["at"] for one in span["observations"]] == [
        "2026-03-10T09:01:00Z",
        "2026-03-10T09:01:30Z",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"endpoint": "viewmain"},
            'endpoint: there is no endpoint "viewmain" in the configuration; did you mean'
            ' "view-main"?',
        ),
        ({"endpoint": "view-main", "limit": 0}, "limit: must be from 1 to 10000"),
        (
            {"endpoint": "view-main", "start": "2026-03-11T00:00"},
            "end: 2026-03-10T09:00:00Z is not after the start 2026-03-11T00:00:00Z; give an end"
            " that is later",
        ),
        (
            {"endpoint": "view-main", "start": "2026-01-11T00:00"},
            "start: asks for more than 31 days; ask for less at a time",
        ),
        (
            {"endpoint": "view-main", "start": "yesterday"},
            'start: "yesterday" is not a time; write it as ISO 8601, such as 2026-03-17T00:00 (UK'
            " time) or 2026-03-17T00:00Z",
        ),
    ],
)
async def test_a_wrong_look_at_observations_is_told_why(
    memory: Place, arguments: dict[str, Any], text: str
) -> None:
    """Endpoint, limit and span are checked before the store is asked."""
    assert await refused(memory, "endpoint.observations", **arguments) == text


# -- facts alone give the same documents -----------------------------------------------------------

MOMENTS = st.integers(0, 40).map(
    lambda steps: show_instant(START + timedelta(hours=12 * (steps - 6)))
)
IDS = st.sampled_from(["D-1", "D-2", "A-1", "A-2", "I-1", "I-2"])
NAMES = st.lists(st.sampled_from(["view-main", "find-main"]), max_size=2)
GUIDS = st.lists(st.sampled_from([ANNA, BERT, CARL]), max_size=2)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": IDS,
    "endpoints": NAMES,
    "holdernames": GUIDS,
    "services": st.lists(st.sampled_from(["view", "find"]), max_size=1),
    "kind": st.sampled_from(["planned", "emergency", "maps"]),
    "location": st.sampled_from(["own", "maps"]),
    "ticket": st.sampled_from(["T-1", "T-2"]),
    "reason": st.just("because"),
    "text": st.just("words"),
    "cause": st.just("disk"),
}
STEPS = sorted(
    name
    for name, operation in OPERATIONS.items()
    if operation.write and not name.startswith("alerts.")
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any], int]:
    name = draw(st.sampled_from(STEPS))
    arguments = {
        key: draw(VALUES.get(key, MOMENTS))
        for key, argument in OPERATIONS[name].arguments.items()
        if argument.required or draw(st.booleans())
    }
    return name, arguments, draw(st.integers(0, 36))


async def documents(place: Place) -> list[Document]:
    return [
        await do(place, "downtime.list", all=True),
        await do(place, "incident.list", all=True),
        await do(place, "outage.list"),
        await do(place, "slo", by="holdername"),
        await do(place, "status"),
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(requests(), max_size=14))
async def test_the_facts_alone_give_the_same_documents(
    tmp_path: Path, asked: list[tuple[str, dict[str, Any], int]]
) -> None:
    """Whatever was asked, a Book rebuilt from what the store kept prints the same."""
    place = Place(read_settings(tmp_path), MemoryStore())
    await broken(place)
    for name, arguments, hours in asked:
        place.clock.time += timedelta(hours=hours)
        with contextlib.suppress(UsageError):
            await do(place, name, **arguments)
    before = await documents(place)
    place.cycle.book = place.rebuilt()
    assert await documents(place) == before


async def test_the_real_store_gives_the_same_documents(tmp_path: Path) -> None:
    """A whole life written to SQLite reads back the same after a restart."""
    with SqliteStore.open(tmp_path / "store.db") as store:
        place = Place(read_settings(tmp_path), store)
        name = await healed(place)
        await do(place, "downtime.declare", **WINDOW, notified_at=TOLD)
        await do(place, "downtime.amend", id="D-1", end="2026-03-24T02:00", notified_at=TOLD)
        await do(place, "outage.assert", holdernames=[ANNA], start=TOLD, reason="x")
        await do(place, "incident.report", id=name, ticket="M-1")
        before = await documents(place)
    with SqliteStore.open(tmp_path / "store.db") as store:
        again = Place(read_settings(tmp_path), store)
        again.clock.time = place.clock.time
        again.cycle.book = again.rebuilt()
        assert await documents(again) == before


async def test_a_fact_of_another_hand_is_taken_as_it_is(memory: Place) -> None:
    """What a facts file says in the contract's shapes prints like what was typed."""
    await memory.cycle.learn(
        [
            Fact(START, "declaration", {
                "id": "W", "kind": "planned", "notified_at": "2026-03-10T09:00:00Z",
                "start": "2026-03-24T00:00:00Z", "end": "2026-03-24T01:00:00Z",
                "endpoints": ["view-main"], "reason": "upgrade", "ticket": "T-1", "author": "ops",
            }),
        ]
    )  # fmt: skip
    found = await do(memory, "downtime.show", id="W")
    assert (found["state"], found["ticket"]) == ("notified", "T-1")
    assert (await do(memory, "downtime.declare", **WINDOW))["id"] == "D-1"
