"""Care for a newly connected endpoint, by a real daemon: pace, label, and a change nobody explained."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.e2e.processes import daemon, sandbox, wait_for
from tests.tools import free_port

URL_CHANGE = 'monitor_security_finding{endpoint="view-main",check="url_change"}'
STARTED = 'monitor_probe_slots_total{outcome="started"}'


def test_a_new_endpoint_is_probed_closely_and_its_changes_are_asked_about(tmp_path: Path) -> None:
    """In hypercare the pace is the tighter one; a changed URL is told until it is acknowledged."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()

    def newly_connected(settings: Any) -> None:
        settings["http"]["listen"] = f"127.0.0.1:{free_port()}"
        settings["hypercare"] = {"interval": "1s"}
        settings["defaults"].update(interval="1h", gap_after="3h")
        for one in settings["endpoints"]:
            one["connected_from"] = yesterday

    with sandbox(tmp_path) as box, daemon(box.rewrite(newly_connected)) as running:
        # Three endpoints an hour apart would be probed three times at most.
        wait_for("the tighter pace", lambda: running.metrics().get(STARTED, 0) > 6)
        now = running.metrics()
        assert now['monitor_endpoint_lifecycle{endpoint="view-main",lifecycle="hypercare"}'] == 1
        assert now[URL_CHANGE] == 0

        settings = YAML(typ="safe").load(running.config.read_text())
        for one in settings["endpoints"]:
            if one["id"] == "view-main":
                one["url"] = f"{one['url']}/v2"
        with running.config.open("w") as stream:
            YAML(typ="safe").dump(settings, stream)
        running.process.send_signal(signal.SIGHUP)
        (told,) = wait_for("the finding", lambda: box.messages("security.finding"))
        assert told["verified"]
        assert told["body"]["data"]["check"] == "url_change"
        assert running.metrics()[URL_CHANGE] == 1

        done = running.run("endpoint", "acknowledge-change", "view-main", "--reference", "TC-1")
        assert done.returncode == 0, done.stderr
        assert running.metrics()[URL_CHANGE] == 0
