"""Every query of the dashboards, asked of a real Prometheus that scrapes a real daemon.

What each must show is held by `test_hour.py`; this shows that nothing there was made up: the
labels, the names, the daemon's own counters and the machine's.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from grafana.prometheus import Prometheus, prometheus
from monitor.adapters.socket import call, socket_path
from tests.e2e.processes import LONGEST, Daemon, Sandbox, daemon, sandbox, wait_for
from tests.grafana.panels import substituted
from tests.grafana.test_hour import CLASSES, COLUMNS, EVERY_QUERY, title
from tests.tools import free_port, need

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "prometheus" / "prometheus.yaml"
MAY_BE_EMPTY = {"Trouble with wall-clock jobs A"}
"""There is nothing to show while nothing is wrong."""
RATE = "10s"


def configuration(place: Sandbox, running: Daemon) -> str:
    """The shipped example and its rules, fast enough for a test, with the sandbox's own token."""
    document = YAML(typ="safe").load(SHIPPED.read_text(encoding="utf-8"))
    (job,) = (one for one in document["scrape_configs"] if one["job_name"] == "monitor")
    job["authorization"]["credentials_file"] = str(place.folder / "token")
    job["static_configs"][0]["targets"] = [running.url.removeprefix("http://")]
    return json.dumps(
        {
            "global": dict.fromkeys(document["global"], "1s"),
            "rule_files": [str(SHIPPED.parent / name) for name in document["rule_files"]],
            "scrape_configs": [job],
        }
    )


def now() -> datetime:
    return datetime.now(UTC)


def value(asked: Prometheus, expr: str) -> float | None:
    """A single number, if there is one now."""
    found = asked.at(expr, now())
    return found[0].value if found else None


def declare(place: Sandbox, name: str, endpoint: str, start: datetime, end: datetime) -> None:
    """A declared window for an emergency, of which MaPS was told just now."""
    window = {
        "id": name,
        "endpoints": [endpoint],
        "start": start.isoformat(),
        "end": end.isoformat(),
        "kind": "emergency",
        "reason": "a certificate ran out",
        "notified_at": now().isoformat(),
        "ticket": "PDP-1",
    }
    call(socket_path(place.folder / "monitor.db"), "downtime.declare", window, "ops")


def still_empty(asked: Prometheus, month: str) -> list[str]:
    """The queries that find nothing finite, once there are none or patience is at its end."""
    until = time.monotonic() + LONGEST
    while (found := empty(asked, month)) and time.monotonic() < until:
        time.sleep(0.5)
    return found


def empty(asked: Prometheus, month: str) -> list[str]:
    """The queries that find nothing now, or something that is no number."""
    found = []
    for query in EVERY_QUERY:
        if title(query) in MAY_BE_EMPTY:
            continue
        answer = asked.at(substituted(query.expr, month=month, rate=RATE), now())
        if not answer or not all(series.finite for series in answer):
            found.append(str(query))
    return found


def break_one(place: Sandbox, asked: Prometheus) -> None:
    """view-main is down and known to be; pat-main is in a declared window; another is to come."""
    declare(place, "D-1", "pat-main", now(), now() + timedelta(minutes=10))
    declare(place, "D-2", "pat-main", now() + timedelta(days=9), now() + timedelta(days=9.1))
    place.fail("view-main", "refuse")
    wait_for(
        "an open incident in Prometheus",
        lambda: value(asked, 'monitor_incidents{state="open"}') == 1,
    )


def shown(asked: Prometheus, month: str) -> dict[str, float]:
    """Figures of view-main's month that no longer change, by the names that `slo` has for them."""
    exprs = dict(zip(COLUMNS, (q.expr for q in EVERY_QUERY if q.panel.startswith("The month, as")),
                     strict=True))  # fmt: skip
    exprs = {name: exprs[name] for name in ("unavailable_s", "budget_s", "remaining_s")}
    lost = [query.expr for query in EVERY_QUERY if query.panel == "Classes of lost time"]
    exprs.update(zip(CLASSES, lost, strict=True))
    answers = {
        name: asked.at(substituted(expr, month=month, endpoint="view-main"), now())
        for name, expr in exprs.items()
    }
    return {name: series.value for name, (series,) in answers.items()}


def printed(running: Daemon, month: str) -> dict[str, float]:
    """The same of what the command prints."""
    (row,) = (
        row
        for row in running.ask("slo", "--month", month)["months"]
        if row["series"] == {"endpoint": "view-main"}
    )
    kept: dict[str, Any] = {
        name: row[name] for name in ("unavailable_s", "budget_s", "remaining_s")
    }
    return {**kept, **row["by_class"]}


def test_every_query_finds_what_a_real_daemon_tells(tmp_path: Path) -> None:
    """Through a real outage every panel has something to show; its month equals `slo` afterwards."""
    need("prometheus")
    month = f"{now().astimezone(ZoneInfo('Europe/London')):%Y-%m}"
    with (
        sandbox(tmp_path) as place,
        daemon(place.config) as running,
        prometheus(
            tmp_path / "tsdb",
            free_port(),
            configuration=configuration(place, running),
            lookback="5m",
        ) as asked,
    ):
        wait_for("a scrape", lambda: value(asked, 'monitor_incidents{state="open"}') is not None)
        break_one(place, asked)
        assert still_empty(asked, month) == []
        place.heal("view-main")
        wait_for(
            "the end of the incident",
            lambda: value(asked, 'monitor_incidents{state="restored"}') == 1,
        )
        lost = printed(running, month)
        assert lost["undeclared"] > 0
        assert shown(asked, month) == lost
