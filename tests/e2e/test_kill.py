"""Kill -9 at any moment, under load: nothing acknowledged is lost, nothing is told twice.

Six kills in an ordinary run. All fifty, by hand:
`MONITOR_KILLS=50 pytest tests/e2e/test_kill.py -o faulthandler_timeout=0`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.processes import (
    Daemon,
    Sandbox,
    daemon,
    monitor,
    run,
    sandbox,
    wait_for,
)

KILLS = int(os.environ.get("MONITOR_KILLS", "6"))
MODES = ("refuse", "reset", "hang", "slow", "status", "ok", "ok")


class Load(threading.Thread):
    """Breaks and heals endpoints, and declares downtime; keeps what was acknowledged."""

    def __init__(self, place: Sandbox, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self.place = place
        self.rng = rng
        self.stopped = threading.Event()
        self.acknowledged: list[str] = []
        self.count = 0
        self.window = datetime.now(UTC).replace(microsecond=0) + timedelta(days=300)
        self.window_end = self.window + timedelta(hours=1)

    def run(self) -> None:
        while not self.stopped.is_set():
            endpoint = self.rng.choice(("find-main", "view-main", "pat-main"))
            mode = self.rng.choice(MODES)
            if mode == "ok":
                self.place.heal(endpoint)
            else:
                self.place.fail(endpoint, mode)
            self.count += 1
            self.declare(f"D-load-{self.count}", endpoint)

    def declare(self, identifier: str, endpoint: str) -> None:
        """One declaration through the daemon, or past it while none runs."""
        done = subprocess.run(
            monitor(
                *("downtime", "declare", "-c", str(self.place.config), "--id", identifier),
                *("--start", self.window.isoformat(), "--end", self.window_end.isoformat()),
                *("--endpoints", endpoint, "--reason", "load", "--json"),
            ),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode in (0, 1) and done.stdout:
            self.acknowledged.append(identifier)


def rows(store: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def test_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Whatever the moment of the kill: facts, incidents and alerts are whole afterwards."""
    rng = random.Random(20261121)
    with sandbox(tmp_path) as place:
        load = Load(place, rng)
        load.start()
        for _ in range(KILLS):
            killed_under_load(place, rng)
        load.stopped.set()
        load.join(timeout=40)
        assert not load.is_alive()
        for endpoint in ("find-main", "view-main", "pat-main"):
            place.heal(endpoint)
        # The kills may have come too soon for any incident: one more is killed while it is open.
        place.fail("view-main", "refuse")
        with daemon(place.config, stop=signal.SIGKILL) as running:
            wait_for("an incident", lambda: running.ask("incident", "list")["incidents"])
        place.heal("view-main")
        with daemon(place.config) as running:
            settled(running, place)
        store = place.folder / "monitor.db"
        assert load.acknowledged, "the load acknowledged nothing"
        check_facts(store, load.acknowledged)
        check_incidents(store)
        check_alerts(store, place)
        check_unwatched_time(place)
        checked = run("store", "check", "-c", str(place.config))
        assert checked.returncode == 0, checked.stdout + checked.stderr


def killed_under_load(place: Sandbox, rng: random.Random) -> None:
    with daemon(place.config, stop=signal.SIGKILL):
        time.sleep(rng.uniform(0.0, 4.0))


def settled(running: Daemon, place: Sandbox) -> None:
    """All endpoints up, all incidents restored, all alerts delivered."""
    wait_for(
        "every incident to be restored",
        lambda: all(
            one["state"] != "open" for one in running.ask("incident", "list", "--all")["incidents"]
        ),
    )
    wait_for(
        "the queue to be empty",
        lambda: (
            not rows(
                place.folder / "monitor.db", "SELECT 1 FROM deliveries WHERE state = 'pending'"
            )
        ),
    )
    assert running.get("/readyz")[0] == 200


def check_facts(store: Path, acknowledged: list[str]) -> None:
    """Every declaration that a command said was recorded is there, once."""
    found = Counter(
        json.loads(body)["id"]
        for (body,) in rows(store, "SELECT body FROM facts WHERE type = 'declaration'")
    )
    missing = [identifier for identifier in acknowledged if found[identifier] != 1]
    assert not missing


def check_incidents(store: Path) -> None:
    """No outage belongs to two standing incidents; every outage that needs one has one."""
    gone: set[str] = set()
    members: dict[str, set[str]] = {}
    for kind, body in rows(store, "SELECT type, body FROM facts ORDER BY seq"):
        document = json.loads(body)
        if kind in ("incident.merged", "incident.voided"):
            gone.add(document["id"])
        elif "members" in document:
            assert kind != "incident.opened" or document["id"] not in members
            members[document["id"]] = set(document["members"])
    owners = Counter(
        member for name, known in members.items() if name not in gone for member in known
    )
    assert [member for member, count in owners.items() if count > 1] == []
    outages = {
        f"{name}@{start}"
        for name, start in rows(
            store,
            "SELECT e.id, strftime('%Y-%m-%dT%H:%M:%S', o.start / 1000000, 'unixepoch')"
            " FROM outages o JOIN endpoints e ON e.key = o.endpoint",
        )
    }
    assert {member.split(".")[0].removesuffix("Z") for member in owners} == outages


def check_alerts(store: Path, place: Sandbox) -> None:
    """Every stored event reached the receiver, verified."""
    stored = {name for (name,) in rows(store, "SELECT webhook_id FROM events")}
    received = {message["id"] for message in place.messages() if message["verified"]}
    assert stored
    assert stored <= received
    opened = Counter(m["body"]["data"]["id"] for m in place.messages("incident.opened"))
    assert [name for name, count in opened.items() if count > 1] == []


def check_unwatched_time(place: Sandbox) -> None:
    """Time in which no daemon ran is unknown: gaps are never up and never down."""
    said = json.loads(run("slo", "--json", "-c", str(place.config)).stdout)
    for row in said["months"]:
        assert row["unknown_s"] > 0
        states = ("up_s", "impaired_s", "down_s", "unconfirmed_s", "unknown_s")
        assert abs(sum(row[state] for state in states) - row["eligible_s"]) < 1e-5
    gaps = [message["body"]["data"] for message in place.messages("monitor.gap")]
    for gap in gaps:
        assert datetime.fromisoformat(gap["since"]) < datetime.fromisoformat(gap["until"])
