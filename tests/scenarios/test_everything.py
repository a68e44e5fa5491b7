"""A month in which everything happens: the report, the returns and the packs say what `slo` says.

Two outages in the week of the clock change, a window with enough notice that overran, a short-notice
fix, a federated back end asserted down for three of two hundred GUIDs, and a gap of the monitor.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.cli_place import run
from tests.report.place import DOWN, FACTS, TEXT, a_fact, sealed_march

MONTH = "2026-03"
GUIDS = [str(uuid.uuid5(uuid.NAMESPACE_DNS, f"scheme-{number}.example")) for number in range(197)]
FEDERATED = GUIDS[3:6]
SCHEMES = "".join(
    f"  - {{guid: {guid}, name: Scheme {number},"
    " serves: [{endpoints: [find-main, view-main], from: 2026-01-01}]}\n"
    for number, guid in enumerate(GUIDS)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of two hundred GUIDs and the store of its March."""
    place = tmp_path_factory.mktemp("everything")
    text = TEXT.replace("alerts:\n", f"{SCHEMES}alerts:\n", 1)
    federated = a_fact(
        *("assertion", "2026-03-23T09:00"),
        id="A-3",
        start="2026-03-23T07:15:00+00:00",
        end="2026-03-23T08:45:30+00:00",
        holdernames=FEDERATED,
        services=["view"],
        reason="federated back end down",
    )
    made = asyncio.run(sealed_march(place, text, [*FACTS, federated]))
    made.store.close()  # type: ignore[union-attr]
    return place


def ask(folder: Path, *arguments: str) -> Any:
    done = run(*arguments, "--json", environ={"MONITOR_CONFIG": str(folder / "monitor.yaml")})
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def figures(rows: list[Any]) -> dict[tuple[str, str], Any]:
    """The rows of holdername series by GUID and service."""
    return {
        (row["series"]["holdername"], row["series"]["service"]): row
        for row in rows
        if row["month"] == MONTH and "holdername" in row["series"]
    }


@pytest.fixture(scope="module")
def slo(folder: Path) -> dict[tuple[str, str], Any]:
    return figures(ask(folder, "slo", "--month", MONTH, "--by", "holdername")["months"])


def test_the_month_has_everything(folder: Path, slo: dict[tuple[str, str], Any]) -> None:
    """Each class of time occurs, unknown time too, and just three schemes lost their back end."""
    row = slo[GUIDS[0], "view"]
    assert all(row["by_class"][name] > 0 for name in row["by_class"])
    assert row["unknown_s"] > 0
    assert len(slo) >= 2 * len(GUIDS)
    more = {
        guid
        for guid in GUIDS
        if slo[guid, "view"]["unavailable_s"] > slo[GUIDS[0], "view"]["unavailable_s"]
    }
    assert more == set(FEDERATED)
    lost = slo[FEDERATED[0], "view"]["unavailable_s"] - row["unavailable_s"]
    assert lost == 90 * 60 + 30
    changed = [span for span in DOWN["view-main"] if span[0].startswith("2026-03-29")]
    assert changed, "an outage while the clocks change"


def test_the_report_says_what_slo_says(
    folder: Path, slo: dict[tuple[str, str], Any], tmp_path: Path
) -> None:
    """To the last digit, in JSON and in the workbook, GUIDs as text."""
    ask(folder, "report", MONTH, "--out", str(tmp_path / "r"), "--format", "json,xlsx,csv")
    written = json.loads((tmp_path / "r" / "report.json").read_text("utf-8"))
    assert figures(written["months"]) == slo
    book = openpyxl.load_workbook(tmp_path / "r" / "report.xlsx")
    cells = {
        (cell.value, cell.data_type)
        for sheet in book
        for line in sheet.iter_rows()
        for cell in line
        if cell.value in GUIDS
    }
    assert cells == {(guid, "s") for guid in GUIDS}


def test_the_returns_say_what_slo_says(
    folder: Path, slo: dict[tuple[str, str], Any], tmp_path: Path
) -> None:
    """What is returned of each GUID sums to its unavailable time; declared time is scheduled."""
    ask(folder, "returns", MONTH, "--out", str(tmp_path))
    for service in ("find", "view"):
        spent: dict[str, float] = {}
        scheduled: dict[str, float] = {}
        silent: set[str] = set()
        for path in tmp_path.glob(f"{service}-*.json"):
            for item in json.loads(path.read_text("utf-8"))["items"]:
                if isinstance(item, str):
                    silent.add(item)
                    continue
                for guid, rows in item.items():
                    spent[guid] = spent.get(guid, 0.0) + sum(map(lasting, rows))
                    planned = [row for row in rows if row["unavail_scheduled"]]
                    scheduled[guid] = scheduled.get(guid, 0.0) + sum(map(lasting, planned))
        for guid in GUIDS:
            row = slo[guid, service]
            assert (guid in silent) == (row["unavailable_s"] == 0)
            assert spent.get(guid, 0) == pytest.approx(row["unavailable_s"], abs=1e-6)
            assert scheduled.get(guid, 0) == pytest.approx(row["by_class"]["declared"], abs=1e-6)


def lasting(row: Any) -> float:
    start, end = row["start_date_ts"], row["end_date_ts"]
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def test_the_pack_of_the_assertion_lists_its_three_schemes(folder: Path, tmp_path: Path) -> None:
    """The incident of the federated back end names just those GUIDs."""
    incidents = ask(folder, "incident", "list", "--all")["incidents"]
    (federated,) = [one for one in incidents if one["group"] == "A-3"]
    assert sorted(federated["holdernames"]) == sorted(FEDERATED)
    ask(folder, "incident", "pack", federated["id"], "--out", str(tmp_path))
    listed = (tmp_path / "guids.csv").read_text("utf-8").splitlines()[1:]
    assert {line.split(",")[0].strip('"') for line in listed} == set(FEDERATED)


def test_the_ledger_of_the_month_verifies(folder: Path) -> None:
    """The chain holds, and the sealed figures follow from the facts."""
    said = ask(folder, "ledger", "verify")
    assert said["findings"] == []
