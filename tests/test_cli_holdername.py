"""`holdername` and `endpoint`: the mapping from tables, and what people say of changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from monitor.adapters.store import SqliteStore
from monitor.config import load
from monitor.core.fact import Fact
from monitor.ports import Change
from tests.cli_place import CONFIG, GUID, Place
from tests.core.builders import START

OTHER = "0d4ef3b2-6f0e-4f65-9d0c-5a4c6a0a1b2c"
VIEW, FIND = "https://127.0.0.1:9/view", "https://127.0.0.1:9/find"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def table(place: Place, *lines: str) -> str:
    path = place.folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_an_imported_mapping_can_be_included(place: Place) -> None:
    """What is printed is a file that the configuration takes in."""
    file = table(place, "guid,name,endpoints,from", f"{OTHER},B: #1,view-main;find-main,2026-02-01")
    done = place.run("holdername", "import", file)
    assert done.exit_code == 0
    (place.folder / "more.yaml").write_text(done.stdout, encoding="utf-8")
    place.config.write_text("include: [more.yaml]\n" + CONFIG, encoding="utf-8")
    found = load(place.config, environ={}, bank_holidays=lambda _: frozenset())
    assert [one.name for one in found.holdernames] == ["Example Pension Scheme", "B: #1"]


def test_every_fault_of_a_table_is_printed(place: Place) -> None:
    """Each on its line, and the exit code is that of a wrong configuration."""
    file = table(place, "guid,name,endpoints,from", f"{GUID},A,veiw-main,x", "y,B,,2026-01-01")
    done = place.run("holdername", "import", file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == ["2", "2", "2", "3", "3"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_table_that_cannot_be_read_is_said_so(place: Place, content: bytes | None) -> None:
    """A file that is not there, and one that is not text."""
    path = place.folder / "table.csv"
    if content is not None:
        path.write_bytes(content)
    done = place.run("holdername", "reconcile", str(path))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {path}: ")


def test_a_register_that_agrees_is_good(place: Place) -> None:
    """Exit code 0, and one sentence."""
    file = table(place, "guid,service,endpoint_url", f"{GUID},view,{VIEW}", f"{GUID},find,{FIND}")
    done = place.run("holdername", "reconcile", file, "--at", "2026-03-01")
    assert done.exit_code == 0
    assert done.stdout == "No differences in 2 lines, as of 2026-03-01.\n"


def test_a_register_that_differs_is_not(place: Place) -> None:
    """Exit code 1, and each difference with both sides."""
    file = table(
        place,
        "guid,name,service,endpoint_url,status",
        f"{GUID},A,view,https://else.example/view,Active",
        f"{OTHER},B,view,{VIEW},Active",
    )
    found = place.ask("holdername", "reconcile", file, code=1)
    assert found["ok"] is False
    assert found["compared"] == 2
    assert found["differences"] == [
        {
            "kind": "missing",
            "guid": OTHER,
            "name": "B",
            "service": "view",
            "configured": [],
            "registered": [VIEW],
        },
        {
            "kind": "wrong_endpoint",
            "guid": GUID,
            "name": "Example Pension Scheme",
            "service": "view",
            "configured": [VIEW],
            "registered": ["https://else.example/view"],
        },
    ]
    text = place.run("holdername", "reconcile", file).stdout
    assert "wrong_endpoint" in text
    assert "https://else.example/view" in text


def test_holdernames_are_listed_as_of_a_date(place: Place) -> None:
    """Pending before the first serving, in hypercare for two weeks, then live."""
    stood = []
    for day in ("2025-12-31", "2026-01-01", "2026-01-14", "2026-01-15"):
        found = place.ask("holdername", "list", "--at", day)
        assert found["at"] == day
        stood += [one["lifecycle"] for one in found["holdernames"]]
    assert stood == ["live_pending", "hypercare", "hypercare", "live"]
    assert GUID in place.run("holdername", "list").stdout
    assert place.run("holdername", "list", "--at", "soon").exit_code == 2


def test_a_change_is_acknowledged_without_a_daemon(place: Place) -> None:
    """Only one that was found; the store then has the reference."""
    words = ("endpoint", "acknowledge-change", "view-main", "--reference", "TC-1")
    assert place.run(*words).exit_code == 2
    body = {"endpoint": "view-main", "check": "url_change", "finding": "f", "evidence": {}}
    with SqliteStore.open(place.store) as store:
        asyncio.run(store.commit(Change(facts=[Fact(START, "security.finding", body)])))
    (shown,) = [one for one in place.ask("status")["endpoints"] if one["id"] == "view-main"]
    assert [one["check"] for one in shown["findings"]] == ["url_change"]
    assert "Security findings" in place.run("status").stdout
    done = place.run(*words)
    assert done.stdout == "view-main: url_change explained by TC-1\n"
    assert "Security findings" not in place.run("status").stdout
