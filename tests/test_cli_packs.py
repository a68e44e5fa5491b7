"""`downtime pack`, `incident pack` and `returns` on a real store: the files that people send."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import openpyxl
import pytest

from monitor.adapters.lock import StoreLock
from monitor.adapters.store import SqliteStore
from monitor.core.month import Month, show_instant
from monitor.core.verdict import Observation, Reason, Result
from monitor.ports import Change, Sample
from tests.cli_place import CONFIG, GUID, Place
from tests.core.builders import LONDON
from tests.returns_schema import BODY

NOW = datetime.now(UTC).replace(microsecond=0)
LAST = Month.of(NOW, LONDON).previous()
HEADINGS = ("holdername_guid", "scheme_name", "service", "endpoint_url")
IDLE = "11111111-2222-4333-8444-555555555555"
MORE = f"""\
  - guid: {IDLE}
    name: =cmd|Idle
    serves: [{{endpoints: [find-main], from: 2026-01-01}}]
store:"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(
        tmp_path,
        CONFIG.replace("2026-01-01", "2024-01-01").replace(
            "store:", MORE.replace("2026-01-01", "2024-01-01")
        ),
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "pack"


def seen(place: Place, start: datetime, endpoint: str = "view-main") -> None:
    """A store in which an endpoint was up, then down for twenty minutes, then up for two."""
    results = [(Result.UP, Reason.OK)] * 4 + [(Result.DOWN, Reason.CONNECT_REFUSED)] * 40
    results += [(Result.UP, Reason.OK)] * 4
    first = start - timedelta(minutes=2)
    samples = [
        Sample(Observation(endpoint, first + timedelta(seconds=30 * n), *each), 1000, None)
        for n, each in enumerate(results)
    ]
    with StoreLock(place.store), SqliteStore.open(place.store) as store:
        asyncio.run(store.commit(Change(samples=samples)))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def declared(place: Place) -> tuple[str, ...]:
    """A declaration in two months' time."""
    start = NOW.replace(minute=0, second=0) + timedelta(days=60)
    window = ("--start", show_instant(start), "--end", show_instant(start + timedelta(hours=1)))
    return (*window, "--reason", "upgrade", "--notified-at", show_instant(NOW), "--ticket", "T-1")


# --- packs --------------------------------------------------------------------------------------


def test_a_pack_of_downtime_is_files_to_submit(place: Place, out: Path) -> None:
    """Form, GUIDs as CSV and XLSX with GUIDs as text; the same facts are the same bytes."""
    place.ask("downtime", "declare", *declared(place))
    done = place.run("downtime", "pack", "D-1", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "Submitted as ticket T-1" in done.stdout
    assert f"Written: {out / 'form.txt'}" in done.stdout
    first = digests(out)
    assert sorted(first) == ["form.txt", "guids.csv", "guids.xlsx"]
    form = (out / "form.txt").read_text(encoding="utf-8")
    assert "Organisation:\nExample Administration Ltd\n" in form
    sheet = openpyxl.load_workbook(out / "guids.xlsx").active
    cells = list(sheet.iter_rows())
    assert tuple(cell.value for cell in cells[0]) == HEADINGS
    assert {(row[0].value, row[2].value) for row in cells[1:]} == {
        (GUID, "find"),
        (GUID, "view"),
        (IDLE, "find"),
    }
    assert {cell.data_type for row in cells for cell in row} == {"s"}
    with open(out / "guids.csv", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["scheme_name"] for row in rows} == {"Example Pension Scheme", "'=cmd|Idle"}
    assert place.run("downtime", "pack", "D-1", "--out", str(out)).exit_code == 0
    assert digests(out) == first


def test_a_pack_of_an_incident_has_its_timeline(place: Place, out: Path) -> None:
    """An outage that is over: form, GUIDs, timeline, and once reported the comment that is due."""
    seen(place, NOW - timedelta(hours=1))
    place.ask("outage", "assert", "--holdernames", GUID, "--services", "view", "--start",
              show_instant(NOW - timedelta(hours=1)), "--reason", "back end")  # fmt: skip
    [incident] = place.ask("incident", "list", "--all")["incidents"]
    shown = place.ask("incident", "pack", incident["id"], "--out", str(out))
    assert sorted(path.name for path in out.iterdir()) == [
        "form.txt",
        "guids.csv",
        "guids.xlsx",
        "timeline.txt",
    ]
    assert shown["files"] == sorted(str(path) for path in out.iterdir())
    assert [row["holdername_guid"] for row in shown["guids"]] == [GUID]
    place.ask("incident", "report", incident["id"], "--ticket", "T-9")
    done = place.run("incident", "pack", incident["id"], "--out", str(out))
    assert "Reported as ticket T-9" in done.stdout
    assert "on ticket T-9" in (out / "comments.txt").read_text(encoding="utf-8")


def test_what_an_earlier_run_left_goes(place: Place, out: Path) -> None:
    """A file that no longer belongs to a pack is removed; files of others stay."""
    place.ask("downtime", "declare", *declared(place))
    out.mkdir(parents=True)
    (out / "comments.txt").write_text("old", encoding="utf-8")
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    place.ask("downtime", "pack", "D-1", "--out", str(out))
    assert sorted(path.name for path in out.iterdir()) == [
        "form.txt",
        "guids.csv",
        "guids.xlsx",
        "notes.txt",
    ]


def test_without_the_spreadsheet_library_the_rest_is_written(
    place: Place, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text and CSV are there, the error says how to install the extra, and the exit code is 1."""
    place.ask("downtime", "declare", *declared(place))
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    done = place.run("downtime", "pack", "D-1", "--out", str(out))
    assert done.exit_code == 1
    assert "pip install 'pensions-monitor[reports]'" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["form.txt", "guids.csv"]


# --- returns ------------------------------------------------------------------------------------


def test_returns_of_a_month(place: Place, out: Path) -> None:
    """Bodies fit the schema, null submissions included, and agree with `slo` to the second."""
    seen(place, LAST.interval.start + timedelta(days=3))
    done = place.run("returns", str(LAST), "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "POST /service-availability/view" in done.stdout
    first = digests(out)
    assert sorted(first) == ["find-001.json", "manifest.json", "view-001.json"]
    bodies = {name: json.loads((out / name).read_bytes()) for name in first}
    manifest = bodies.pop("manifest.json")
    for body in bodies.values():
        jsonschema.Draft202012Validator(BODY).validate(body)
    assert bodies["find-001.json"]["items"] == [IDLE, GUID]
    assert bodies["find-001.json"]["submission_id"] is None
    [[row]] = [item[GUID] for item in bodies["view-001.json"]["items"]]
    start, end = (datetime.fromisoformat(row[key]) for key in ("start_date_ts", "end_date_ts"))
    months = place.ask("slo", "--month", str(LAST), "--by", "holdername")["months"]
    [lost] = [m["unavailable_s"] for m in months if m["unavailable_s"]]
    assert (end - start).total_seconds() == lost == 1200
    assert {entry["file"]: entry["sha256"] for entry in manifest["bodies"]} == {
        name: first[name] for name in bodies
    }
    (out / "view-002.json").write_text("{}", encoding="utf-8")
    assert place.run("returns", str(LAST), "--out", str(out)).exit_code == 0
    assert digests(out) == first


def test_returns_sent_late(place: Place) -> None:
    """`--late` is said in every body."""
    seen(place, LAST.interval.start + timedelta(days=3))
    found = place.ask("returns", str(LAST), "--late")
    assert {body["submission_status"] for body in found["bodies"].values()} == {"late"}


# --- wrong use ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("returns", "2026-13", "--out", "x"), "write it as YYYY-MM"),
        (("returns", "March", "--json"), "write it as YYYY-MM"),
        (("returns", str(LAST.next()), "--json"), "is not over before"),
        (("returns", "2099-01", "--json"), "is not over before"),
        (("returns", "2020-01", "--json"), "name a month after the connection date"),
        (("returns", str(LAST)), "Give --out DIR, or --json."),
        (("downtime", "pack", "D-1"), "Give --out DIR, or --json."),
        (("downtime", "pack", "D-7", "--json"), 'there is no declaration "D-7"'),
        (("incident", "pack", "I-7", "--json"), 'there is no incident "I-7"'),
        (("downtime", "pack", "D-1", "--json", "--expected-resolution", "x"), "is not a time"),
    ],
)
def test_wrong_use_says_what_to_do(place: Place, arguments: tuple[str, ...], text: str) -> None:
    """A wrong month, name, instant or a missing folder: exit code 2, with the cure."""
    place.ask("downtime", "declare", *declared(place))
    done = place.run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert text in done.stderr


@pytest.mark.parametrize("command", [("downtime", "pack", "D-1"), ("returns", str(LAST))])
def test_a_file_in_place_of_the_folder(
    place: Place, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """An output folder that is a file, or lies under one, is refused and left as it was."""
    place.ask("downtime", "declare", *declared(place))
    file = tmp_path / "there"
    file.write_text("kept", encoding="utf-8")
    for where in (file, file / "below"):
        done: Any = place.run(*command, "--out", str(where))
        assert done.exit_code == 2
        assert "--out: " in done.stderr
    assert file.read_text(encoding="utf-8") == "kept"
