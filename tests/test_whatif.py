"""The same facts under two configurations: from the store or a file, the difference side by side."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.store import SqliteStore
from monitor.cli.replay import _bar
from monitor.core.interval import Interval
from monitor.core.verdict import Observation, Reason, Result
from monitor.ports import Change, Sample, SpanRow
from tests.cli_place import CONFIG, Place
from tests.core.builders import DAY, HOUR, MINUTE, SECOND, at, declaration, fact

START = at("2026-03-10T09:00")
UNTIL = ("--until", "2026-03-12T00:00Z")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A day of view-main: an outage of four minutes, and one of an hour in a declared window."""
    found = Place.make(tmp_path)
    results = "u" * 10 + "d" * 8 + "u" * 10 + "d" * 120 + "u" * 10
    samples = [
        Sample(
            Observation(
                "view-main",
                START + n * 30 * SECOND,
                Result.UP if letter == "u" else Result.DOWN,
                Reason.OK if letter == "u" else Reason.STATUS_5XX,
            ),
            1,
            400,
        )
        for n, letter in enumerate(results)
    ]
    told = START - 10 * DAY
    window = Interval(START + 14 * MINUTE, START + 2 * HOUR)
    facts = [
        declaration(told, window),
        fact("configuration", told, digest="x"),
        fact("notice", told, once="x"),
        fact("incident.opened", START, id="I-1"),
    ]
    with SqliteStore.open(found.store) as store:
        asyncio.run(store.commit(Change(samples=samples, facts=facts)))
    return found


def new(place: Place, text: str) -> str:
    path = place.folder / "new.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def stricter(place: Place) -> str:
    """Twelve failures confirm an outage, and ten working days of notice are needed."""
    return new(place, CONFIG + "defaults: {confirm_down: 12}\nslo: {notice_days: 10}\n")


def row_of(document: Any, name: str = "view-main") -> Any:
    (found,) = [row for row in document["months"] if row["series"] == {"endpoint": name}]
    return found


def test_the_stores_own_facts(place: Place) -> None:
    """`--from-store` gives the account that an export of it gives."""
    path = place.folder / "facts.jsonl"
    assert place.run("ledger", "export", str(path)).exit_code == 0
    lines = [line for line in path.read_text().splitlines() if '"incident.' not in line]
    lines = [line for line in lines if '"type":"configuration"' not in line]
    path.write_text("\n".join(lines))
    of_store = place.ask("replay", "--from-store", *UNTIL)
    assert of_store.pop("warnings") == []
    assert of_store == place.ask("replay", str(path), *UNTIL)
    assert row_of({"months": [m for m in of_store["months"] if m["month"] == "2026-03"]})["down_s"]


def test_other_thresholds_and_rules(place: Place) -> None:
    """Old and new side by side, with the difference in seconds per class and in incidents."""
    found = place.ask(
        "replay", "--from-store", "--config-new", stricter(place), "--month", "2026-03", *UNTIL
    )
    assert found["changed"] is True
    row = row_of(found)
    assert row["old"]["by_class"] == {
        "declared": 3600,
        "declared_short_notice": 0,
        "overrun": 0,
        "undeclared": 240,
    }
    assert row["difference"]["by_class"] == {
        "declared": -3600,
        "declared_short_notice": 3600,
        "overrun": 0,
        "undeclared": -240,
    }
    assert row["difference"]["unconfirmed_s"] == 240
    assert row["difference"]["unavailable_s"] == row["new"]["unavailable_s"] - 3840
    incidents = found["incidents"]
    assert (incidents["old"], incidents["new"]) == (1, 1)
    assert [one["kind"] for one in incidents["only_old"]] == ["outage"]
    assert [one["kind"] for one in incidents["only_new"]] == ["emergency_fix"]
    assert found["old_configuration"]["digest"] != found["new_configuration"]["digest"]


def test_each_side_is_what_a_replay_gives(place: Place) -> None:
    """The new figures are those of `replay` under the new configuration."""
    fresh = stricter(place)
    found = place.ask("replay", "--from-store", "--config-new", fresh, *UNTIL)
    for side, config in (("old", str(place.config)), ("new", fresh)):
        alone = place.run("replay", "--from-store", "--json", "-c", config, *UNTIL)
        months = json.loads(alone.stdout)["months"]
        assert [
            {"month": row["month"], "series": row["series"], **row[side]}
            for row in sorted(found["months"], key=lambda row: json.dumps(row["series"]))
        ] == sorted(
            sorted(months, key=lambda row: row["month"]), key=lambda row: json.dumps(row["series"])
        )


def test_the_same_configuration_changes_nothing(place: Place) -> None:
    """No difference, and it is said."""
    same = new(place, CONFIG)
    found = place.ask("replay", "--from-store", "--config-new", same, *UNTIL)
    assert found["changed"] is False
    assert (
        row_of({"months": [m for m in found["months"] if m["month"] == "2026-03"]})["difference"][
            "down_s"
        ]
        == 0
    )
    said = place.run("replay", "--from-store", "--config-new", same, *UNTIL).stdout
    assert "No figure of any month differs." in said


def test_for_people(place: Place) -> None:
    """A row for each figure that differs, and the incidents of one side only."""
    said = place.run("replay", "--from-store", "--config-new", stricter(place), *UNTIL).stdout
    assert "declared_short_notice" in said
    assert "+3600 s" in said
    assert "-240 s" in said
    assert "only under the old: outage of 127.0.0.1" in said
    assert "only under the new: emergency_fix" in said


def test_endpoints_of_one_side_only(place: Place) -> None:
    """Their rows stand alone; observations of what is not configured are passed over."""
    text = CONFIG.replace("view-main", "view-other")
    fresh = new(place, text)
    found = place.ask("replay", "--from-store", "--config-new", fresh, *UNTIL)
    gone = [row for row in found["months"] if row["series"] == {"endpoint": "view-main"}]
    assert gone
    assert {(row["new"], row["difference"]) for row in gone} == {(None, None)}
    said = place.run("replay", "--from-store", "--config-new", fresh, *UNTIL).stdout
    assert "only under the new" in said


def test_a_file_of_facts_may_be_compared_too(place: Place) -> None:
    """With FACTS in place of the store, which then is not needed."""
    path = place.folder / "facts.jsonl"
    assert place.run("ledger", "export", str(path)).exit_code == 0
    fresh = stricter(place)
    of_store = place.ask("replay", "--from-store", "--config-new", fresh, *UNTIL)
    place.store.unlink()
    of_file = place.ask("replay", str(path), "--config-new", fresh, *UNTIL)
    assert of_file == of_store


def test_what_was_pruned_is_said(place: Place) -> None:
    """A warning on standard error and in the document."""
    with SqliteStore.open(place.store) as store:
        up = SpanRow("view-main", START, START + 5 * MINUTE, "up")
        asyncio.run(store.commit(Change(spans=[up])))
        assert asyncio.run(store.prune_observations(START + 4 * MINUTE)) > 0
    done = place.run("replay", "--from-store", *UNTIL)
    assert "taken away by retention" in done.stderr
    (warning,) = place.ask("replay", "--from-store", *UNTIL)["warnings"]
    assert "reads as unknown" in warning


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either FACTS"),
        (["facts.jsonl", "--from-store"], "either FACTS"),
        (["--from-store", "--month", "2026-03"], "--config-new"),
        (["--from-store", "--config-new", "none.yaml"], "none.yaml"),
        (["--from-store", "--config-new", "CONFIG", "--month", "May"], "May"),
        (["--from-store", "--until", "soon"], "soon"),
        (["none.jsonl", "--config-new", "CONFIG"], "none.jsonl"),
    ],
)
def test_wrong_use_is_refused(place: Place, arguments: list[str], said: str) -> None:
    """Exit code 2 with the reason, nothing on standard output."""
    given = [str(place.config) if each == "CONFIG" else each for each in arguments]
    done = place.run("replay", *given)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_fact_that_cannot_be_is_named(place: Place) -> None:
    """By file and line; exit code 2. Without a store it is exit code 3."""
    path = place.folder / "bad.jsonl"
    path.write_text('{"type":"amendment","at":"2026-03-01T00:00:00Z","id":"D-9"}\n')
    done = place.run("replay", str(path), "--config-new", str(place.config))
    assert done.exit_code == 2
    assert f"{path}:1" in done.stderr
    place.store.unlink()
    assert place.run("replay", "--from-store").exit_code == 3


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And only where it takes long enough."""
    for terminal, quiet, shown in ((True, False, True), (True, True, False), (False, False, False)):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        with _bar(10_000, "replaying", quiet) as progress:
            progress(10_000)
        assert ("replaying" in capsys.readouterr().err) is shown
