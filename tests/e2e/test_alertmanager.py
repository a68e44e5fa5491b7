"""Two real Alertmanagers told by a real daemon: an incident and its end, a silence, a sudden death."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from ruamel.yaml import YAML

from tests.alertmanagers import Running, Sink, alertmanager, sink
from tests.e2e.processes import Daemon, daemon, sandbox, wait_for
from tests.tools import free_port

EVERY = "1s"


def post_alert(member: Running, **labels: str) -> None:
    """An alert as Prometheus would send it."""
    request = Request(
        f"{member.url}/api/v2/alerts",
        data=json.dumps([{"labels": labels}]).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=10):
        pass


def state(member: Running, name: str) -> str | None:
    found = [one for one in member.alerts() if one["labels"]["alertname"] == name]
    return found[0]["status"]["state"] if found else None


def declared(running: Daemon) -> str:
    """A window of MaPS' own, of one endpoint, that begins at once."""
    now = datetime.now(UTC)
    done = running.run(
        "downtime", "declare", "--json", "--endpoints", "find-main", "--reason", "upgrade",
        "--start", (now + timedelta(seconds=2)).isoformat(),
        "--end", (now + timedelta(hours=1)).isoformat(),
        "--notified-at", (now - timedelta(days=30)).isoformat(), "--kind", "maps",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    identifier: str = json.loads(done.stdout)["id"]
    return identifier


def test_alertmanagers_are_told_what_stands(tmp_path: Path) -> None:
    """An incident fires at every member and is resolved with its end; a window is silenced until
    it is cancelled; what a killed daemon had told runs out; a dead member delays nothing."""
    with ExitStack() as stack:
        hooks = [stack.enter_context(sink()) for _ in range(2)]
        one, two = (
            stack.enter_context(alertmanager(tmp_path / f"am{number}", hook.url))
            for number, hook in enumerate(hooks)
        )
        box = stack.enter_context(sandbox(tmp_path))
        dead = f"http://127.0.0.1:{free_port()}"

        def connect(settings: Any) -> None:
            settings["http"]["listen"] = f"127.0.0.1:{free_port()}"
            settings["http"]["public_url"] = "https://monitor.example"
            settings["alerts"]["alertmanager"] = [
                {"url": dead, "resend_every": EVERY},
                {"url": one.url, "resend_every": EVERY, "silences": True},
                {"url": two.url, "resend_every": EVERY},
            ]

        config = box.rewrite(connect)
        with daemon(config, stop=signal.SIGKILL) as running:
            box.fail("view-main", "refuse")
            for hook in hooks:
                wait_for("the incident", lambda hook=hook: fired(hook))
            (seen,) = (a for a in one.alerts() if a["labels"]["alertname"] == "MonitorIncident")
            assert seen["generatorURL"] == "https://monitor.example/incidents/I-1"
            assert seen["labels"]["origin"] == "monitor"
            box.heal("view-main")
            for hook in hooks:
                wait_for("its end", lambda hook=hook: resolved(hook))
            outcomes = running.metrics()
            assert told(outcomes, one, "accepted") > 0
            assert told(outcomes, two, "accepted") > 0
            name = f"alertmanager:{dead.removeprefix('http://')}"
            assert outcomes[deliveries(name, "retry")] > 0

            identifier = declared(running)
            wait_for("the silence", lambda: active(one) == [identifier])
            assert two.silences() == {}
            post_alert(one, alertname="MonitorEndpointDown", endpoint="find-main")
            post_alert(one, alertname="MonitorIncident", endpoint="find-main", incident="I-9")
            post_alert(one, alertname="Other", endpoint="view-main")
            wait_for(
                "the window to be muted",
                lambda: state(one, "MonitorEndpointDown") == "suppressed",
            )
            assert state(one, "MonitorIncident") == "active"
            assert state(one, "Other") == "active"
            assert running.run("downtime", "cancel", identifier).returncode == 0
            wait_for("the silence to be withdrawn", lambda: active(one) == [])
            assert state(one, "MonitorEndpointDown") == "active"

            # Another list of members needs no restart.
            settings = YAML(typ="safe").load(config.read_text())
            del settings["alerts"]["alertmanager"][0]
            with config.open("w") as stream:
                YAML(typ="safe").dump(settings, stream)
            running.process.send_signal(signal.SIGHUP)
            wait_for("the reload", lambda: "reloaded" in running.log.read_text())
            assert running.metrics()["monitor_config_last_reload_successful"] == 1
            assert state(two, "MonitorIncidentUnreported") == "active"
        # Killed: nobody takes anything back, and nothing is told any more.
        wait_for("the lease to run out", lambda: state(two, "MonitorIncidentUnreported") is None)


def fired(hook: Sink) -> bool:
    return ("MonitorIncident", "firing") in hook.alerts(incident="I-1")


def resolved(hook: Sink) -> bool:
    return ("MonitorIncident", "resolved") in hook.alerts(incident="I-1")


def active(member: Running) -> list[str]:
    """The declarations that are silenced."""
    return [
        comment.split(",")[0].removeprefix("Declared downtime ")
        for comment, held in member.silences().items()
        if held == "active"
    ]


def deliveries(name: str, outcome: str) -> str:
    return f'monitor_alert_deliveries_total{{outcome="{outcome}",receiver="{name}"}}'


def told(outcomes: dict[str, float], member: Running, outcome: str) -> float:
    return outcomes.get(deliveries(member.name, outcome), 0)
