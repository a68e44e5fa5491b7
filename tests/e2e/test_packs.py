"""Packs through a running daemon: an incident from its report to its restoration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl

from tests.e2e.processes import daemon, sandbox, wait_for


def up(status: dict[str, Any]) -> bool:
    return all(endpoint["state"] == "up" for endpoint in status["endpoints"])


def test_packs_of_an_incident_as_it_goes_on(tmp_path: Path) -> None:
    """The pack asks for a report, then for an update, then for the news that service is restored."""
    out = tmp_path / "pack"
    with sandbox(tmp_path) as place, daemon(place.config) as running:
        wait_for("three endpoints up", lambda: up(running.ask("status")))
        place.fail("view-main", "refuse")
        wait_for("the incident", lambda: running.ask("incident", "list")["incidents"])
        found = running.ask("incident", "pack", "I-1", "--out", str(out))
        assert "choose 'Report an incident'" in found["action"]
        assert found["comments"] == []
        sheet = openpyxl.load_workbook(out / "guids.xlsx").active
        assert [row[0].value for row in sheet.iter_rows(min_row=2)] == sorted(
            row["holdername_guid"] for row in found["guids"]
        )
        running.ask("incident", "report", "I-1", "--ticket", "T-1")
        [update] = running.ask("incident", "pack", "I-1", "--out", str(out))["comments"]
        assert (update["kind"], update["due"], update["ticket"]) == ("update", False, "T-1")
        place.heal("view-main")
        wait_for("the end", lambda: place.messages("incident.restored"))
        [news] = running.ask("incident", "pack", "I-1", "--out", str(out))["comments"]
        assert (news["kind"], news["due"]) == ("restoration", True)
        timeline = (out / "timeline.txt").read_text(encoding="utf-8").splitlines()
        assert [line.split("  ")[1].split(":")[0] for line in timeline[2:]] == [
            "opened",
            "reported to MaPS",
            "service restored",
        ]
