"""The main story, end to end: break, detect, tell, heal, account. All in real processes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.e2e.processes import daemon, run, sandbox, wait_for


def states(metrics: dict[str, float]) -> dict[str, str]:
    """Each endpoint's state, from /metrics."""
    found = {}
    for name, value in metrics.items():
        if name.startswith("monitor_endpoint_state{") and value == 1:
            labels = dict(
                part.split("=", 1) for part in name[name.index("{") + 1 : -1].split(",") if part
            )
            found[labels["endpoint"].strip('"')] = labels["state"].strip('"')
    return found


ALL_UP = dict.fromkeys(("find-main", "view-main", "pat-main"), "up")


def test_an_outage_from_the_first_failed_probe_to_the_month(tmp_path: Path) -> None:
    """An endpoint is broken and healed: the incident, the verified alerts and the figures agree."""
    with sandbox(tmp_path) as place, daemon(place.config) as running:
        wait_for("three endpoints up", lambda: states(running.metrics()) == ALL_UP)
        place.fail("view-main", "refuse")
        opened = wait_for("the alert", lambda: place.messages("incident.opened"))[0]
        assert opened["verified"] is True
        assert states(running.metrics())["view-main"] == "down"
        (incident,) = running.ask("incident", "list")["incidents"]
        assert incident["state"] == "open"
        assert incident["endpoints"] == ["view-main"]
        assert len(incident["holdernames"]) == 2
        assert running.ask("status")["incidents"][0]["id"] == incident["id"]

        place.heal("view-main")
        restored = wait_for("the end", lambda: place.messages("incident.restored"))[0]
        (ended,) = running.ask("incident", "list", "--all")["incidents"]
        assert ended["state"] == "restored"
        assert restored["body"]["data"]["restored_at"] == ended["restored_at"]

        (outage,) = running.ask("outage", "list", "--endpoint", "view-main")["outages"]
        assert (outage["start"], outage["end"]) == (ended["started_at"], ended["restored_at"])
        lost = datetime.fromisoformat(outage["end"]) - datetime.fromisoformat(outage["start"])
        month = outage["start"][:7]
        row = next(
            row
            for row in running.ask("slo", "--month", month)["months"]
            if row["series"] == {"endpoint": "view-main"}
        )
        assert row["unavailable_s"] == lost / timedelta(seconds=1)
        assert row["by_class"]["undeclared"] == row["unavailable_s"]
        name = f'monitor_slo_unavailable_seconds{{class="undeclared",endpoint="view-main",month="{month}"}}'
        assert _figure(running.metrics(), name) == row["unavailable_s"]


def _figure(metrics: dict[str, float], wanted: str) -> float:
    """A sample by its labels, in whatever order they are printed."""

    def key(name: str) -> tuple[str, frozenset[str]]:
        head, _, labels = name.rstrip("}").partition("{")
        return head, frozenset(labels.split(","))

    return next(value for name, value in metrics.items() if key(name) == key(wanted))


def test_declared_downtime_opens_no_incident_and_spends_the_budget(tmp_path: Path) -> None:
    """With enough notice an outage is declared; with too little it opens an incident at once."""
    with sandbox(tmp_path) as place, daemon(place.config) as running:
        wait_for("three endpoints up", lambda: states(running.metrics()) == ALL_UP)
        now = datetime.now(UTC)
        start, end = now.isoformat(), (now + timedelta(hours=1)).isoformat()
        told = running.run(
            *("downtime", "declare", "--start", start, "--end", end, "--endpoints", "find-main"),
            *("--notified-at", now.isoformat(), "--ticket", "T-1", "--reason", "urgent fix"),
            "--json",
        )
        assert told.returncode == 1, told.stderr
        assert json.loads(told.stdout)["ok"] is False
        maps = running.run(
            *("downtime", "declare", "--kind", "maps", "--start", start, "--end", end),
            *("--endpoints", "view-main", "--reason", "MaPS maintenance", "--json"),
        )
        assert maps.returncode == 0, maps.stderr
        place.fail("find-main", "hang")
        place.fail("view-main", "status", code=503)
        wait_for("the short-notice incident", lambda: place.messages("incident.opened"))
        wait_for("view-main down", lambda: states(running.metrics()).get("view-main") == "down")
        (incident,) = running.ask("incident", "list")["incidents"]
        assert incident["kind"] == "emergency_fix"
        assert incident["endpoints"] == ["find-main"]
        rows = {row["series"]["endpoint"]: row for row in running.ask("slo")["months"]}
        assert rows["view-main"]["by_class"]["declared"] == rows["view-main"]["unavailable_s"] > 0
        assert rows["view-main"]["remaining_s"] < rows["view-main"]["budget_s"]
        assert rows["find-main"]["by_class"]["declared_short_notice"] > 0


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """An open incident survives a stop; the time not watched is unknown, and said."""
    with sandbox(tmp_path) as place:
        with daemon(place.config) as running:
            wait_for("three endpoints up", lambda: states(running.metrics()) == ALL_UP)
            place.fail("view-main", "reset")
            wait_for("the incident", lambda: running.ask("incident", "list")["incidents"])
            (before,) = running.ask("incident", "list")["incidents"]
        without = json.loads(run("incident", "list", "--json", "-c", str(place.config)).stdout)[
            "incidents"
        ]
        assert [one["id"] for one in without] == [before["id"]]
        wait_for("a gap", lambda: datetime.now(UTC).second % 10 == 0)
        with daemon(place.config) as running:
            wait_for(
                "it failing again", lambda: states(running.metrics()).get("view-main") == "down"
            )
            (after,) = running.ask("incident", "list")["incidents"]
            assert (after["id"], after["started_at"]) == (before["id"], before["started_at"])
            place.heal("view-main")
            wait_for("the end", lambda: place.messages("incident.restored"))
        assert len(place.messages("incident.opened")) == 1
        ledger = run("ledger", "export", "-", "-c", str(place.config))
        assert ledger.returncode == 0, ledger.stderr
        assert json.loads(ledger.stdout.splitlines()[0])["type"]


def test_the_ledger_replays_to_the_same_account(tmp_path: Path) -> None:
    """What the daemon recorded, exported and replayed, gives the figures that it printed."""
    with sandbox(tmp_path) as place:
        with daemon(place.config) as running:
            wait_for("three endpoints up", lambda: states(running.metrics()) == ALL_UP)
            place.fail("pat-main", "status", code=500)
            wait_for("the incident", lambda: place.messages("incident.opened"))
            place.heal("pat-main")
            wait_for("the end", lambda: place.messages("incident.restored"))
        facts = tmp_path / "facts.jsonl"
        config = ("-c", str(place.config))
        assert run("ledger", "export", str(facts), *config).returncode == 0
        said = json.loads(run("outage", "list", "--json", *config).stdout)
        again = json.loads(
            run("replay", str(facts), "--until", said["until"], "--json", *config).stdout
        )
        endpoints = [row for row in again["outages"] if "endpoint" in row["series"]]
        assert endpoints == [row for row in said["outages"] if "endpoint" in row["series"]]
        months = json.loads(run("slo", "--json", *config).stdout)["months"]
        spent = {row["series"]["endpoint"]: row["unavailable_s"] for row in months}
        assert spent == {
            row["series"]["endpoint"]: row["unavailable_s"]
            for row in again["months"]
            if "endpoint" in row["series"] and row["month"] == months[0]["month"]
        }
        assert spent["pat-main"] > 0


def test_health_tells_probing_from_being_there(tmp_path: Path) -> None:
    """`/healthz` and `/readyz` answer 200 while the daemon probes and stores."""
    with sandbox(tmp_path) as place, daemon(place.config) as running:
        assert running.get("/healthz")[0] == 200
        assert running.get("/readyz")[0] == 200
        status, text = running.get("/probe?endpoint=view-main")
        assert status == 200
        assert "probe_success 1" in text
        assert running.get("/probe?endpoint=nobody")[0] == 404
