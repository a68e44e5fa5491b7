"""A backup is the record up to its moment: taken under load, restored elsewhere, nothing differs."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

from monitor.adapters.socket import call, socket_path
from tests.docs.walk import tuesday
from tests.e2e.processes import daemon, run, sandbox, wait_for

SETTLED = timedelta(seconds=4)
"""A probe is recorded at most this long after it began: the time-out is 2 s."""
GAP = timedelta(seconds=10)
"""Longer than the silence after which the sandbox's endpoints count as not watched."""
START = datetime.combine(tuesday(datetime.now(UTC).date()), clock(2), UTC)  # in no freeze
WINDOW = {"start": START.isoformat(), "end": (START + timedelta(hours=1)).isoformat()}


@contextmanager
def declaring(store: Path) -> Iterator[list[str]]:
    """Somebody who declares without pause; what was acknowledged so far."""
    done: list[str] = []
    enough = threading.Event()

    def declare() -> None:
        while not enough.is_set():
            name = f"LOAD-{len(done)}"
            given = {"id": name, **WINDOW, "endpoints": ["find-main"], "reason": "load"}
            call(socket_path(store), "downtime.declare", given, "load")
            done.append(name)

    thread = threading.Thread(target=declare)
    thread.start()
    try:
        yield done
    finally:
        enough.set()
        thread.join(timeout=30)


def account(config: Path, until: datetime) -> Any:
    """All figures, outages and incidents as of an instant, by the rules alone."""
    done = run("replay", "--from-store", "--until", until.isoformat(), "--json", "-c", str(config))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def restored(place: Path, copy: Path, folder: Path) -> Path:
    """A fresh directory with the configuration, what it names, and the backup as its store."""
    folder.mkdir(mode=0o700)
    for name in ("monitor.yaml", "server-ca.pem", "hook.secret", "tokens.yaml", "token"):
        shutil.copy(place / name, folder)
    shutil.copytree(place / "pack", folder / "pack")
    shutil.copy(copy, folder / "monitor.db")
    return folder / "monitor.yaml"


def test_a_backup_under_load_restores_to_the_same_figures(tmp_path: Path) -> None:
    """Taken while all is written to; elsewhere it is whole, says the same, and is carried on."""
    copy = tmp_path / "backup.db"
    with sandbox(tmp_path) as place:
        with daemon(place.config) as running:
            place.fail("view-main", "refuse")
            wait_for("an incident", lambda: running.ask("incident", "list")["incidents"])
            place.heal("view-main")
            time.sleep(SETTLED.total_seconds())
            with declaring(place.folder / "monitor.db") as before:
                wait_for("some load", lambda: len(before) > 20)
                acknowledged, moment = list(before), datetime.now(UTC)
                taken = running.run("store", "backup", str(copy))
                assert taken.returncode == 0, taken.stderr
                assert len(before) > len(acknowledged), "nothing was written meanwhile"
            again = running.run("store", "backup", str(copy))
            assert again.returncode == 2
            assert "exists already" in again.stderr
            then = account(place.config, moment - SETTLED)
        silent_from = time.monotonic()
        config = restored(place.folder, copy, tmp_path / "restored")
        for command in (("check",), ("store", "check"), ("ledger", "verify")):
            done = run(*command, "-c", str(config))
            assert done.returncode == 0, done.stdout + done.stderr
        assert account(config, moment - SETTLED) == then
        assert [one["endpoints"] for one in then["incidents"]] == [["view-main"]]
        listed = json.loads(run("downtime", "list", "--all", "--json", "-c", str(config)).stdout)
        assert set(acknowledged) <= {one["id"] for one in listed["declarations"]}
        time.sleep(max(0.0, silent_from + GAP.total_seconds() - time.monotonic()))
        with daemon(config) as running:
            (gap,) = wait_for("the gap", lambda: place.messages("monitor.gap"))
            assert gap["body"]["data"]["since"] < gap["body"]["data"]["until"]
            wait_for("probing", lambda: all(up["state"] == "up" for up in endpoints(running)))
        verified = run("ledger", "verify", "-c", str(config))
        assert verified.returncode == 0, verified.stdout


def endpoints(running: Any) -> list[Any]:
    return list(running.ask("status")["endpoints"])


def test_a_damaged_backup_is_not_believed(tmp_path: Path) -> None:
    """A backup in which a fact was altered is told by the chain; a torn one by the check."""
    copy = tmp_path / "backup.db"
    with sandbox(tmp_path) as place:
        with daemon(place.config) as running:
            window = ["--start", WINDOW["start"], "--end", WINDOW["end"]]
            said = ["--reason", "a new load balancer"]
            running.run("downtime", "declare", *window, *said, "--author", "ops")
            assert running.run("store", "backup", str(copy)).returncode == 0
        config = restored(place.folder, copy, tmp_path / "restored")
        store = config.parent / "monitor.db"
        whole = store.read_bytes()
        assert whole.count(b"a new load balancer") >= 1
        store.write_bytes(whole.replace(b"a new load balancer", b"a new loud balancer"))
        verified = run("ledger", "verify", "-c", str(config))
        assert verified.returncode == 1, verified.stdout + verified.stderr
        store.write_bytes(whole[: len(whole) // 2])
        checked = run("store", "check", "-c", str(config))
        assert checked.returncode in (1, 3), checked.stdout + checked.stderr
