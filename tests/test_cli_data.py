"""The data commands: through a daemon, and without one on a real store."""

import asyncio
import json
import socket
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.lock import StoreLock
from monitor.adapters.socket import socket_path
from monitor.adapters.store import SqliteStore
from monitor.cli import reach, show
from monitor.core.alert import Event
from monitor.core.month import show_instant
from monitor.core.verdict import Observation, Reason, Result
from monitor.errors import IllegalStep, StoreUnwritable
from monitor.ports import Change, Sample
from tests.cli_place import GUID, Place

LATER = datetime.now(UTC).replace(microsecond=0, second=0, minute=0) + timedelta(days=60)
START, END = show_instant(LATER), show_instant(LATER + timedelta(minutes=30))
WINDOW = ("--start", START, "--end", END, "--reason", "upgrade")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def an_hour_down(place: Place) -> datetime:
    """A store in which view-main was up, then down since an hour ago; when that was."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=60)
    results = [(Result.UP, Reason.OK), (Result.UP, Reason.OK)]
    results += [(Result.DOWN, Reason.CONNECT_REFUSED)] * 120
    first = start - timedelta(seconds=60)
    samples = [
        Sample(Observation("view-main", first + timedelta(seconds=30 * n), *seen), 1000, None)
        for n, seen in enumerate(results)
    ]
    with StoreLock(place.store), SqliteStore.open(place.store) as store:
        asyncio.run(store.commit(Change(samples=samples)))
    return start


# --- without a daemon ---------------------------------------------------------------------------


def test_the_life_of_a_declaration(place: Place) -> None:
    """Declared as a draft, notified, amended, shown with its versions, cancelled."""
    made = place.ask("downtime", "declare", *WINDOW, "--endpoints", "view-main,find-main")
    assert (made["id"], made["state"]) == ("D-1", "draft")
    assert made["scope"]["endpoints"] == ["find-main", "view-main"]
    assert place.ask("downtime", "notify", "D-1", "--ticket", "T-1")["state"] == "notified"
    later = show_instant(LATER + timedelta(minutes=20))
    place.ask("downtime", "amend", "D-1", "--end", later, "--endpoints", "")
    shown = place.ask("downtime", "show", "D-1")
    assert [version["author"] for version in shown["versions"]] == ["ops"] * 3
    assert shown["versions"][-1]["scope"]["endpoints"] is None
    assert shown["versions"][-1]["window"]["end"] == later
    (listed,) = place.ask("downtime", "list")["declarations"]
    assert listed["id"] == "D-1"
    assert place.ask("downtime", "cancel", "D-1", "--reason", "not now")["ok"] is True
    assert place.ask("downtime", "list")["declarations"] == []
    assert len(place.ask("downtime", "list", "--all")["declarations"]) == 1


def test_a_declaration_for_people(place: Place) -> None:
    """Aligned text in UK time; no colour off a terminal."""
    done = place.run("downtime", "declare", *WINDOW, "--author", "sam")
    assert done.exit_code == 0
    assert done.stdout.startswith("D-1: draft, planned, ")
    assert "Warning: D-1 is a draft" in done.stdout
    for command in (["downtime", "list"], ["downtime", "show", "D-1"], ["status"]):
        done = place.run(*command)
        assert done.exit_code == 0
        assert "D-1" in done.stdout
        assert "\x1b" not in done.stdout
        assert show.local(LATER) in done.stdout
    assert "sam" in place.run("downtime", "show", "D-1").stdout


def test_too_short_notice_is_recorded_and_not_good(place: Place) -> None:
    """Exit code 1, with the declaration on standard output."""
    now = datetime.now(UTC)
    start, end = (show_instant(now + timedelta(hours=hours)) for hours in (2, 3))
    told = ["--notified-at", show_instant(now), "--ticket", "T-1"]
    given = ["--start", start, "--end", end, "--reason", "urgent", *told]
    made = place.ask("downtime", "declare", *given, code=1)
    assert (made["ok"], made["notice"]["enough"]) == (False, False)
    assert len(place.ask("downtime", "list")["declarations"]) == 1


def test_the_life_of_an_assertion(place: Place) -> None:
    """Asserted for a holdername, seen in outages and incidents, corrected, withdrawn."""
    an_hour_down(place)
    now = datetime.now(UTC)
    start = show_instant(now - timedelta(minutes=30))
    given = ["--holdernames", GUID, "--services", "view", "--start", start, "--reason", "back end"]
    made = place.ask("outage", "assert", *given)
    assert (made["id"], made["state"]) == ("A-1", "open")
    listed = place.ask("outage", "list", "--by", "holdername")
    assert listed["assertions"][0]["id"] == "A-1"
    assert "A-1" in place.run("outage", "list").stdout
    end = show_instant(now - timedelta(minutes=10))
    assert place.ask("outage", "assert", *given, "--id", "A-1", "--end", end)["state"] == "ended"
    assert place.ask("outage", "withdraw", "A-1")["state"] == "withdrawn"


def test_the_life_of_an_incident(place: Place) -> None:
    """Opened by what is known, acknowledged, reported, updated, attested; closed when restored."""
    start = an_hour_down(place)
    begun = show_instant(start - timedelta(minutes=5))
    until = show_instant(start - timedelta(minutes=4))
    span = ["--start", begun, "--end", until]
    opened = place.ask("outage", "assert", "--holdernames", GUID, *span, "--reason", "x")
    (identifier,) = opened["incidents"]
    assert identifier in place.run("incident", "list").stdout
    assert "missing" in place.run("incident", "show", identifier).stdout
    refused = place.run("incident", "close", identifier)
    assert refused.exit_code == 2
    assert "missing" in refused.stderr
    assert place.run("incident", "acknowledge", identifier).exit_code == 0
    assert place.run("incident", "report", identifier, "--ticket", "T-9").exit_code == 0
    told = ["--cause", "disk", "--location", "federated", "--text", "mended"]
    assert place.run("incident", "update", identifier, *told).exit_code == 0
    assert place.run("incident", "attest", identifier).exit_code == 0
    closed = place.ask("incident", "close", identifier)
    assert (closed["state"], closed["missing"]) == ("closed", [])
    listed = place.ask("incident", "list", "--state", "closed")["incidents"]
    assert [one["id"] for one in listed] == [identifier]
    assert "ticket T-9" in place.run("incident", "show", identifier).stdout


def test_figures_agree_with_a_replay_of_the_export(place: Place) -> None:
    """What `slo` says of the store, `replay` says of its exported facts as of the same instant."""
    an_hour_down(place)
    place.ask("downtime", "declare", *WINDOW)
    said = place.ask("slo")
    facts = place.folder / "facts.jsonl"
    assert place.run("ledger", "export", str(facts)).exit_code == 0
    replayed = place.ask("replay", str(facts), "--until", said["until"])
    by_series = {json.dumps([row["month"], row["series"]]): row for row in replayed["months"]}
    assert said["months"]
    for row in said["months"]:
        expected = by_series[json.dumps([row["month"], row["series"]])]
        assert {key: row[key] for key in expected} == expected
    assert place.ask("slo", "--by", "holdername")["months"][0]["series"]["holdername"] == GUID


def test_status_and_slo_for_people(place: Place) -> None:
    """A glance: states, budgets, percentages rounded down."""
    an_hour_down(place)
    status = place.run("status")
    assert "no daemon runs" in status.stdout
    assert "view-main  down" in status.stdout
    slo = place.run("slo")
    assert "view-main" in slo.stdout
    assert " %" in slo.stdout
    assert place.run("outage", "list", "--endpoint", "view-main").stdout.count("undeclared") == 1


def test_dead_alerts_are_listed_and_sent_again(place: Place) -> None:
    """By id or all; what is not dead is refused."""

    async def kill(store: SqliteStore) -> None:
        now = datetime.now(UTC)
        event = Event(now, "test", "test", {})
        await store.commit(Change(events=[event], receivers=["ops"]))
        (delivery,) = await store.due("ops", now + timedelta(seconds=1), 10)
        await store.failed(delivery, now, error="410 Gone", retry_at=None)

    with StoreLock(place.store), SqliteStore.open(place.store) as store:
        asyncio.run(kill(store))
    (row,) = place.ask("alerts", "dead")["dead"]
    assert "410 Gone" in place.run("alerts", "dead").stdout
    assert place.run("alerts", "resend", str(row["id"] + 1)).exit_code == 2
    assert place.ask("alerts", "resend", str(row["id"]))["resent"] == 1
    assert place.run("alerts", "dead").stdout == "No dead alerts.\n"
    assert place.run("alerts", "resend", "--all").stdout == "0 to be sent again.\n"


# --- wrong input --------------------------------------------------------------------------------

REFUSED = [
    # usage that click itself refuses
    (["downtime", "declare"], "--start"),
    (["downtime", "declare", *WINDOW, "--kind", "later"], "--kind"),
    (["downtime", "notify", "D-1"], "--ticket"),
    (["downtime", "show"], "ID"),
    (["outage", "assert", "--start", START, "--reason", "x"], "--holdernames"),
    (["outage", "list", "--by", "colour"], "--by"),
    (["incident", "list", "--state", "gone"], "--state"),
    (["incident", "update", "I-1"], "--text"),
    (["incident", "update", "I-1", "--location", "mars"], "--location"),
    (["incident", "report", "I-1"], "--ticket"),
    (["alerts", "resend"], "--all"),
    (["alerts", "resend", "1", "--all"], "--all"),
    (["alerts", "resend", "first"], "first"),
    (["status", "--log-level", "loud"], "--log-level"),
    # what the rules refuse
    (["downtime", "declare", "--start", END, "--end", START, "--reason", "x"], "end"),
    (["downtime", "declare", "--start", "soon", "--end", END, "--reason", "x"], "start"),
    (
        ["downtime", "declare", "--start", "2027-03-28T01:30", "--end", END, "--reason", "x"],
        "does not exist",
    ),
    (
        ["downtime", "declare", "--start", "2027-10-31T01:30", "--end", END, "--reason", "x"],
        "occurs twice",
    ),
    (["downtime", "declare", *WINDOW, "--endpoints", "view-mian"], 'did you mean "view-main"'),
    (["downtime", "declare", *WINDOW, "--services", "look"], "service"),
    (["downtime", "declare", *WINDOW, "--holdernames", "816f"], "holdername"),
    (["downtime", "declare", *WINDOW, "--id", "a b"], "id"),
    (["downtime", "amend", "D-1", "--reason", "x"], "D-1"),
    (["downtime", "cancel", "D-1"], "D-1"),
    (["downtime", "complete", "D-1"], "D-1"),
    (["outage", "withdraw", "A-1"], "A-1"),
    (["outage", "assert", "--holdernames", "", "--start", START, "--reason", "x"], "holdernames"),
    (["incident", "acknowledge", "I-1"], "I-1"),
    (["incident", "attest", "I-1"], "I-1"),
    (["incident", "close", "I-1"], "I-1"),
    (["alerts", "test"], "alerts.webhooks"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED, ids=[" ".join(a) for a, _ in REFUSED])
def test_wrong_input_is_exit_code_2(place: Place, arguments: list[str], said: str) -> None:
    """Refused on standard error with what and how to mend; nothing is recorded."""
    done = place.run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    if place.store.exists():
        with SqliteStore.open(place.store, read_only=True) as store:
            assert list(store.facts()) == []


ASKED_WRONGLY = [
    (["slo", "--month", "2026-13"], "2026-13"),
    (["slo", "--endpoint", "gone"], "gone"),
    (["outage", "list", "--month", "May"], "May"),
    (["downtime", "show", "D-7"], "D-7"),
    (["incident", "show", "I-7"], "I-7"),
]


@pytest.mark.parametrize(("arguments", "said"), ASKED_WRONGLY)
def test_a_wrong_question_is_exit_code_2(place: Place, arguments: list[str], said: str) -> None:
    """A name or month that cannot be is refused, and named."""
    an_hour_down(place)
    done = place.run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["slo"], ["downtime", "list"], ["outage", "list"], ["incident", "list"]],
)
def test_without_a_store_there_is_nothing_to_read(place: Place, arguments: list[str]) -> None:
    """Exit code 3, and no store is made by reading."""
    done = place.run(*arguments)
    assert (done.exit_code, done.stdout) == (3, "")
    assert "no store yet" in done.stderr
    assert not place.store.exists()


def test_a_file_that_is_no_store_is_exit_code_3(place: Place) -> None:
    """For reading and for writing."""
    place.store.write_text("not a database, but long enough to be looked at " * 20)
    assert place.run("status").exit_code == 3
    assert place.run("downtime", "declare", *WINDOW).exit_code == 3


# --- through a daemon ---------------------------------------------------------------------------


def test_a_running_daemon_is_asked(place: Place) -> None:
    """Operation, what was given, and author arrive; what was not given is left out."""
    calls: list[tuple[str, Mapping[str, Any], str]] = []

    async def handler(operation: str, arguments: Mapping[str, Any], author: str) -> dict[str, Any]:
        calls.append((operation, arguments, author))
        return {"rules": 1, "until": START, "declarations": [], "dead": []}

    with place.daemon(handler):
        assert place.ask("downtime", "list")["until"] == START
        place.ask("downtime", "list", "--all")
        place.ask("downtime", "declare", *WINDOW, "--endpoints", "a, b", "--endpoints", "c")
        place.ask("downtime", "notify", "D-1", "--ticket", "T", "--author", "sam")
        place.ask("alerts", "resend", "4", "5")
    window = {"start": START, "end": END, "reason": "upgrade"}
    assert calls == [
        ("downtime.list", {}, "ops"),
        ("downtime.list", {"all": True}, "ops"),
        ("downtime.declare", {**window, "endpoints": ["a", "b", "c"]}, "ops"),
        ("downtime.notify", {"id": "D-1", "ticket": "T"}, "sam"),
        ("alerts.resend", {"ids": [4, 5]}, "ops"),
    ]
    assert not place.store.exists()


@pytest.mark.parametrize(
    ("error", "code"), [(IllegalStep("not now"), 2), (StoreUnwritable("disk full"), 3)]
)
def test_a_daemons_refusal_is_said_as_such(place: Place, error: Exception, code: int) -> None:
    """Its text on standard error, the exit code of its class."""

    async def handler(operation: str, arguments: Mapping[str, Any], author: str) -> dict[str, Any]:
        raise error

    with place.daemon(handler):
        done = place.run("incident", "close", "I-1", "--json")
    assert (done.exit_code, done.stdout, done.stderr) == (code, "", f"Error: {error}\n")


def test_what_is_not_good_is_exit_code_1(place: Place) -> None:
    """An answer that says so is printed, then reported to the caller."""

    async def handler(operation: str, arguments: Mapping[str, Any], author: str) -> dict[str, Any]:
        return {"ok": False, "id": "I-1", "state": "open", "missing": ["cause (see help)"]}

    with place.daemon(handler):
        assert place.ask("incident", "attest", "I-1", code=1)["ok"] is False
        done = place.run("incident", "attest", "I-1")
    assert (done.exit_code, done.stdout) == (1, "I-1: open; missing: cause (see help)\n")


def test_a_daemon_that_holds_the_store_but_is_deaf(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write is exit code 3, with the process that holds the store; a read shows the store."""
    monkeypatch.setattr(reach, "PATIENCE", 0.2)
    an_hour_down(place)
    with StoreLock(place.store):
        done = place.run("downtime", "declare", *WINDOW)
        assert (done.exit_code, done.stdout) == (3, "")
        assert "holds the lock" in done.stderr
        assert str(socket_path(place.store)) in done.stderr
        assert place.run("status").exit_code == 0


def test_a_store_held_for_a_moment_is_waited_for(place: Place) -> None:
    """Two commands at once do not fail each other."""
    lock = StoreLock(place.store)
    lock.acquire()
    release = threading.Timer(0.3, lock.release)
    release.start()
    try:
        assert place.run("downtime", "declare", *WINDOW).exit_code == 0
    finally:
        release.join()


def test_a_dead_daemons_socket_is_no_daemon(place: Place) -> None:
    """What a killed daemon left does not keep commands from the store."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_path(place.store)))
    assert place.run("downtime", "declare", *WINDOW).exit_code == 0


def test_facts_of_the_contract_come_out_in_its_shape(place: Place) -> None:
    """An exported declaration has the keys of the contract, and its author."""
    place.ask("downtime", "declare", *WINDOW, "--endpoints", "view-main", "--ticket", "T-1")
    (line,) = place.run("ledger", "export", "-").stdout.splitlines()
    fact = json.loads(line)
    wanted = ["type", "at", "id", "kind", "notified_at", "start", "end", "endpoints", "reason"]
    assert set(wanted) | {"ticket", "author"} <= set(fact)
    assert (fact["type"], fact["start"], fact["end"]) == ("declaration", START, END)
