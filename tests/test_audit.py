"""`ledger verify`: every changed fact and observation is found and named; seals are worked out again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from monitor import audit
from monitor.adapters.chain import AT_ONCE, fact_document
from monitor.adapters.migrations import migrations
from monitor.adapters.store import SqliteStore, to_us
from monitor.cli.ledger import _bar
from monitor.core.ledger import link
from monitor.core.rules import NoticeCalendar
from monitor.core.verdict import Observation, Reason, Result
from monitor.errors import FactError, UsageError
from monitor.jobs import seal_months
from monitor.ports import Change, Sample, SpanRow
from tests.cli_place import Place
from tests.core.builders import (
    DAY,
    GUID,
    HOUR,
    MINUTE,
    assertion,
    at,
    bank_holidays,
    cadence,
    endpoint,
    fact,
    holdername,
    rules,
)
from tests.fakes import START
from tests.rig import Rig, settings_of

TRIGGERS = ("DROP TRIGGER facts_no_update", "DROP TRIGGER facts_no_delete")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def samples(
    names: Iterable[str], count: int, step: timedelta = 5 * MINUTE, start: datetime = START
) -> list[Sample]:
    return [
        Sample(Observation(name, start + n * step, Result.UP, Reason.OK), 1000 + n, 400)
        for n in range(count)
        for name in names
    ]


def fill(path: Path) -> None:
    """Five hours of two endpoints, and three facts."""
    with SqliteStore.open(path) as store:
        for sample in samples(["view-main", "find-main"], 60):
            asyncio.run(store.commit(Change(samples=[sample])))
        for n in range(3):
            asyncio.run(store.commit(Change(facts=[fact("note", START + n * HOUR, n=n)])))


def tamper(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*TRIGGERS, *statements):
            connection.execute(statement)


def verified(path: Path, **given: Any) -> dict[str, Any]:
    with SqliteStore.open(path, read_only=True) as store, audit.of_store(store) as source:
        return audit.verify(source, bank_holidays, **given)


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


# --- what is good -------------------------------------------------------------------------------


def test_a_store_as_written_is_good(place: Place) -> None:
    """Settled hours stand in the chain; the facts of the ledger itself are not among those told."""
    fill(place.store)
    found = verified(place.store)
    assert (found["ok"], found["findings"], found["first_broken"]) == (True, [], None)
    assert (found["blocks"], found["observations"]) == (8, 120)
    assert found["chained_until"] == "2026-03-02T13:00:00Z"
    with SqliteStore.open(place.store, read_only=True) as store:
        assert [one.type for _, one in store.facts()] == ["note"] * 3
        assert store.head() == (found["head"]["seq"], found["head"]["hash"])
    told: list[int] = []
    verified(place.store, progress=told.append)
    assert sum(told) == 120


def test_an_empty_store_is_good(tmp_path: Path) -> None:
    """Nothing was told, so nothing is wrong; the head is zeros."""
    path = tmp_path / "m.db"
    SqliteStore.open(path).close()
    found = verified(path)
    assert (found["ok"], found["head"]) == (True, {"seq": 0, "hash": "0" * 64})


def test_what_comes_late_is_chained_again(place: Place) -> None:
    """An observation of a chained hour is told as such, also after a restart."""
    fill(place.store)
    late = samples(["view-main", "new"], 1, start=START + 7 * MINUTE)
    with SqliteStore.open(place.store) as store:
        asyncio.run(store.commit(Change(samples=late)))
    assert verified(place.store)["ok"] is True
    tamper(place.store, f"DELETE FROM observations WHERE t = {to_us(START + 7 * MINUTE)}")
    assert {each["endpoint"] for each in verified(place.store)["findings"]} == {"view-main", "new"}


def test_many_endpoints_and_long_silences(tmp_path: Path) -> None:
    """Blocks are written a few at a time, over restarts, and hours without rows cost nothing."""
    names = [f"e{n}" for n in range(2 * AT_ONCE + 3)]
    path = tmp_path / "m.db"
    for start in (START, START + 400 * DAY):
        for hour in range(4):
            with SqliteStore.open(path) as store:
                for batch in batches(names, start + hour * HOUR):
                    asyncio.run(store.commit(Change(samples=batch)))
    found = verified(path)
    assert found["ok"] is True
    assert found["blocks"] >= 3 * len(names)
    most = max(len(json.loads(body)["blocks"]) for (body,) in rows(path, _BLOCKS))
    assert most <= AT_ONCE


def batches(names: list[str], start: datetime) -> list[list[Sample]]:
    """An hour of commits, each with one observation of every endpoint."""
    return [samples(names, 1, start=start + n * 5 * MINUTE) for n in range(12)]


_BLOCKS = "SELECT body FROM facts WHERE type = 'observations'"


def test_a_rolled_back_write_leaves_the_chain_whole(place: Place) -> None:
    """A change that fails takes its blocks with it; the next one writes them."""
    fill(place.store)
    bad = SpanRow("view-main", START, START + HOUR, "no such state")
    with SqliteStore.open(place.store) as store:
        later = samples(["view-main"], 30, start=START + 6 * HOUR)
        with pytest.raises(KeyError):
            asyncio.run(store.commit(Change(samples=later, spans=[bad])))
        asyncio.run(store.commit(Change(samples=later)))
    found = verified(place.store)
    assert (found["ok"], found["observations"]) == (True, 150)


def test_pruning_breaks_nothing(place: Place) -> None:
    """What retention takes away is told in the chain; what is kept is still checked."""
    fill(place.store)
    with SqliteStore.open(place.store) as store:
        up = SpanRow("view-main", START, START + 4 * HOUR, "up")
        asyncio.run(store.commit(Change(spans=[up])))
        assert asyncio.run(store.prune_observations(START + 130 * MINUTE, chunk=5)) == 26
        assert asyncio.run(store.prune_observations(START + 140 * MINUTE, chunk=5)) == 2
    assert verified(place.store)["ok"] is True
    kept = to_us(START + 150 * MINUTE)
    tamper(place.store, f"UPDATE observations SET status = 401 WHERE t = {kept} AND endpoint = 1")
    (finding,) = verified(place.store)["findings"]
    assert (finding["endpoint"], finding["hour"]) == ("view-main", "2026-03-02T11:00:00Z")


def test_an_older_store_is_chained_in_place(tmp_path: Path) -> None:
    """A store of the schema before is brought on: its facts keep their numbers, its hours a block."""
    path = tmp_path / "m.db"
    with closing(sqlite3.connect(path)) as connection:
        migrations.apply(Database(connection, execute_plugins=False), stop_before="0006_chain")
        connection.execute("INSERT INTO endpoints (id, pruned) VALUES ('view', ?)", (to_us(START),))
        connection.execute("INSERT INTO endpoints (id) VALUES ('find')")
        seen = [(key, to_us(START + n * MINUTE), 0, n, 400) for key in (1, 2) for n in range(200)]
        connection.executemany("INSERT INTO observations VALUES (?, ?, ?, ?, ?)", seen)
        told = [(n, "note", f'{{"n":{n}}}') for n in range(4)]
        connection.executemany("INSERT INTO facts (at, type, body) VALUES (?, ?, ?)", told)
        connection.commit()
    assert SqliteStore.migrate(path) == ["0006_chain", "0007_receipts"]
    found = verified(path)
    assert (found["ok"], found["blocks"], found["observations"]) == (True, 6, 400)
    with SqliteStore.open(path) as store:
        assert [(seq, one.body["n"]) for seq, one in store.facts()] == [
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 3),
        ]
        asyncio.run(store.commit(Change(facts=[fact("note", START)])))
        assert store.check() == []
    assert verified(path)["ok"] is True
    with pytest.raises(sqlite3.IntegrityError), closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM facts")


# --- what was changed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "body = replace(body, '1', '3')",
        "body = body || ' '",
        "body = '{'",
        "at = at ^ 1",
        "at = 1 << 62",
        "type = 'nota'",
        "hash = 'f' || substr(hash, 2)",
        "hash = replace(hash, substr(hash, 9, 1), 'g')",
    ],
)
def test_one_flipped_bit_of_a_fact_is_named(place: Place, change: str) -> None:
    """Whatever column it is in: the fact is named, the first that is broken first."""
    fill(place.store)
    (seq,) = rows(place.store, "SELECT seq FROM facts WHERE type = 'note' AND body = '{\"n\":1}'")[
        0
    ]
    # The triggers refuse this; whoever wants to cheat takes them away first.
    tamper(place.store, f"UPDATE facts SET {change.replace('^', '-')} WHERE seq = {seq}")
    found = verified(place.store)
    assert found["ok"] is False
    assert found["first_broken"]["seq"] == seq
    assert f"fact {seq} (" in found["first_broken"]["text"]


@pytest.mark.parametrize("column", ["t", "verdict", "duration_us", "status", "endpoint"])
def test_one_flipped_bit_of_an_observation_is_named(place: Place, column: str) -> None:
    """Each bit of each column: endpoint and hour are named."""
    fill(place.store)
    t = to_us(START + 65 * MINUTE)
    for bit in (0, 1, 4) if column != "endpoint" else (0,):
        value = f"({column} | {1 << bit}) - ({column} & {1 << bit})"
        if column == "endpoint":
            value = "3 - endpoint"
            tamper(place.store, f"DELETE FROM observations WHERE t = {t} AND endpoint = 2")
        tamper_again(place.store, f"UPDATE observations SET {column} = {value} WHERE t = {t}")
        findings = verified(place.store)["findings"]
        assert {each["hour"] for each in findings} == {"2026-03-02T10:00:00Z"}
        assert {each["endpoint"] for each in findings} <= {"view-main", "find-main"}
        back = f"({column} | {1 << bit}) - ({column} & {1 << bit})"
        where = f"t = {t}" if column != "t" else f"t = {t ^ (1 << bit)}"
        tamper_again(place.store, f"UPDATE observations SET {column} = {back} WHERE {where}")


def tamper_again(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_fact_taken_out_or_put_in_is_named(place: Place) -> None:
    """Also with its number closed up."""
    fill(place.store)
    last = verified(place.store)["head"]["seq"]
    tamper(
        place.store,
        f"DELETE FROM facts WHERE seq = {last - 1}",
        f"UPDATE facts SET seq = {last - 1} WHERE seq = {last}",
    )
    assert verified(place.store)["first_broken"]["seq"] == last - 1


def test_a_chain_that_was_cut_off_lacks_the_head_kept_elsewhere(place: Place) -> None:
    """What no chain can tell by itself: the head of before is asked for."""
    fill(place.store)
    head = verified(place.store)["head"]
    assert verified(place.store, head=head["hash"])["ok"] is True
    tamper(place.store, f"DELETE FROM facts WHERE seq = {head['seq']}")
    assert verified(place.store)["ok"] is True
    found = verified(place.store, head=head["hash"])
    assert "cut off" in found["first_broken"]["text"]


# --- the export ---------------------------------------------------------------------------------


def exported(place: Place) -> Path:
    fill(place.store)
    path = place.folder / "facts.jsonl"
    assert place.run("ledger", "export", str(path)).exit_code == 0
    return path


def test_an_export_is_checked_without_store_or_configuration(place: Place) -> None:
    """The same account as of the store; nothing else is needed."""
    path = exported(place)
    of_store = place.ask("ledger", "verify")
    place.config.unlink()
    of_file = place.ask("ledger", "verify", str(path), "--head", of_store["head"]["hash"])
    assert {**of_file, "source": ""} == {**of_store, "source": ""}
    said = place.run("ledger", "verify", str(path)).stdout
    assert "all good" in said
    assert of_store["head"]["hash"] in said


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"n":1', '"n":2', "fact "),
        ('"duration_us":1014', '"duration_us":1015', "in the hour from 2026-03-02T10:00:00Z"),
        ('"result":"up"', '"result":"down"', "in the hour from 2026-03-02T09:00:00Z"),
        ('"status":400', '"stotus":400', "cannot be read: 'status'"),
        ('"seq":1,', '"seq":"1",', "cannot be read: seq"),
        ('"type"', "", "line 1: cannot be read"),
    ],
)
def test_a_changed_export_is_not_good(place: Place, old: str, new: str, what: str) -> None:
    """Exit code 1; fact, hour or line is named."""
    path = exported(place)
    path.write_text(path.read_text().replace(old, new, 1))
    found = place.ask("ledger", "verify", str(path), code=1)
    assert any(what in each["text"] for each in found["findings"])
    done = place.run("ledger", "verify", str(path))
    assert done.exit_code == 1
    assert what in done.stdout


def test_an_export_of_before_has_no_hashes(place: Place) -> None:
    """It is named as such, up to a number of lines."""
    path = place.folder / "old.jsonl"
    line = {"type": "note", "at": "2026-03-02T09:00:00Z"}
    path.write_text("".join(f"{json.dumps({**line, 'seq': n})}\n" for n in range(1, 203)))
    found = place.ask("ledger", "verify", str(path), code=1)
    assert (found["found"], len(found["findings"])) == (202, audit.MOST)
    assert "and 102 more" in place.run("ledger", "verify", str(path)).stdout


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, and only where there is something to do."""
    for terminal, length, shown in ((True, 500, True), (False, 500, False), (True, 0, False)):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        with _bar(length, "verifying") as progress:
            progress(length)
        said = capsys.readouterr()
        assert said.out == ""
        assert ("verifying" in said.err) is shown


def test_wrong_use_is_refused(place: Place) -> None:
    """A file that is not there or empty is exit code 2; a store that is not there, 3."""
    missing, empty = place.folder / "none.jsonl", place.folder / "empty.jsonl"
    empty.write_text("\n")
    for path in (missing, empty):
        done = place.run("ledger", "verify", str(path))
        assert (done.exit_code, done.stdout) == (2, "")
        assert str(path) in done.stderr
    assert place.run("ledger", "verify").exit_code == 3
    with pytest.raises(FactError):
        audit.of_export(missing)
    with pytest.raises(UsageError):
        audit.of_export(empty)


# --- seals --------------------------------------------------------------------------------------


async def sealed(path: Path) -> None:
    """March with an outage, sealed in April, and restated for an assertion learned later."""
    served = settings_of([endpoint()], [holdername(GUID, "view")])
    with SqliteStore.open(path) as store:
        rig = await Rig(served, store=store).start()
        await rig.watch(view="uu" + "d" * 60 + "uu")
        rig.clock.set(at("2026-04-20"))
        await seal_months(rig.cycle, "f" * 64, rig.clock.now())
        start = START + 10 * DAY
        await rig.learn(assertion(rig.clock.now() + HOUR, start, start + HOUR))
        rig.clock.forward(2 * HOUR)
        await seal_months(rig.cycle, "f" * 64, rig.clock.now())


def reseal(path: Path, change: str, *, again: bool = False) -> None:
    """Change a seal and make the whole chain anew, as somebody would who holds the store."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for trigger in () if again else TRIGGERS:
            connection.execute(trigger)
        connection.execute(f"UPDATE facts SET body = {change} WHERE type = 'seal'")
        told = connection.execute("SELECT seq, at, type, body FROM facts ORDER BY seq").fetchall()
        previous = "0" * 64
        for seq, when, kind, body in told:
            document = fact_document(when, kind, json.loads(body))
            previous = link(previous, seq, document)
            connection.execute("UPDATE facts SET hash = ? WHERE seq = ?", (previous, seq))


async def test_sealed_figures_are_worked_out_again(tmp_path: Path) -> None:
    """Seals and restatements agree with the facts; a changed one is named with what differs."""
    path = tmp_path / "m.db"
    await sealed(path)
    found = verified(path)
    assert found["ok"] is True, found["findings"]
    checked = [(each["month"], each["type"]) for each in found["seals"] if each["checked"]]
    assert ("2026-03", "seal") in checked
    assert ("2026-03", "restatement") in checked
    reseal(path, """replace(body, '"down_s":1800', '"down_s":900')""")
    found = verified(path)
    assert found["found"] >= 1
    assert found["first_broken"]["type"] == "seal"
    assert "down_s: sealed 900, facts give 1800" in found["first_broken"]["text"]


async def test_a_series_left_out_or_put_in_is_found(tmp_path: Path) -> None:
    """Of a seal, and of a restatement that says another figure before it."""
    path = tmp_path / "m.db"
    await sealed(path)
    reseal(path, """replace(body, '{"endpoint":"view"}', '{"endpoint":"ghost"}')""")
    said = [each["text"] for each in verified(path)["findings"]]
    assert any("ghost: is not what the facts before it give" in text for text in said)
    assert any("2026-03, view: is not among the sealed figures" in text for text in said)
    reseal(path, """replace(body, '"down_s":1800', '"down_s":1801')""", again=True)
    said = [each["text"] for each in verified(path)["findings"]]
    assert any("(restatement" in text and "is not what the facts" in text for text in said)


async def test_a_seal_that_makes_no_sense_is_found(tmp_path: Path) -> None:
    """It is named, and the rest is still checked."""
    path = tmp_path / "m.db"
    await sealed(path)
    reseal(path, "json_remove(body, '$.rows')")
    assert "cannot be learned" in verified(path)["first_broken"]["text"]


async def test_a_seal_before_any_configuration_is_not_checked(tmp_path: Path) -> None:
    """There is nothing to work it out with, which is said."""
    path = tmp_path / "m.db"
    with SqliteStore.open(path) as store:
        told = [fact("seal", START, month="2026-02", rows=[]), fact("note", START)]
        await store.commit(Change(facts=told))
    found = verified(path)
    assert found["ok"] is True
    assert "no configuration" in found["seals"][0]["why"]


async def test_proposals_are_checked_too(tmp_path: Path) -> None:
    """What would better a sealed figure waits for a second person; it is worked out again alike."""
    path = tmp_path / "m.db"
    await sealed(path)
    served = settings_of([endpoint()], [holdername(GUID, "view")])
    with SqliteStore.open(path) as store:
        rig = await Rig(served, store=store).start()
        rig.clock.set(at("2026-04-22"))
        await rig.learn(fact("withdrawal", rig.clock.now(), id="A-1", author="ops"))
        rig.clock.forward(HOUR)
        facts = await seal_months(rig.cycle, "f" * 64, rig.clock.now())
        slower = settings_of(
            [endpoint(cadence=cadence(confirm_down=9))], [holdername(GUID, "view")]
        )
        await rig.reconfigure(slower)
    assert [one.type for one in facts] == ["restatement_proposed"]
    found = verified(path)
    assert found["ok"] is True, found["findings"]
    assert found["seals"][-1]["type"] == "restatement_proposed"


async def test_what_cannot_be_worked_out_again_is_said(tmp_path: Path) -> None:
    """Other bank holidays than those of then, or observations pruned: not checked, and why."""
    path = tmp_path / "m.db"
    await sealed(path)

    def none(calendar: NoticeCalendar) -> frozenset[Any]:
        return frozenset()

    with SqliteStore.open(path, read_only=True) as store, audit.of_store(store) as source:
        found = audit.verify(source, none)
    assert found["ok"] is True
    assert {each["checked"] for each in found["seals"]} == {False}
    with SqliteStore.open(path) as store:
        asyncio.get_running_loop()
        await store.prune_observations(at("2026-03-03"))
    found = verified(path)
    assert found["ok"] is True
    assert [each["why"] for each in found["seals"] if not each["checked"]]


def test_rules_of_then_are_used() -> None:
    """The bank holidays of the tests are those that the configuration of the tests names."""
    assert bank_holidays(rules().notice_calendar) == rules().bank_holidays
