"""A real daemon tells a chat through Apprise, and pings while it is ready and no longer."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from tests.alertmanagers import sink
from tests.e2e.processes import Daemon, daemon, sandbox, wait_for
from tests.tools import free_port


def test_a_chat_is_told_and_pings_stop_with_the_store(tmp_path: Path) -> None:
    """Of all events the chat gets those it asked for; a daemon that cannot store does not ping."""
    with sink() as chat, sink() as pings, sandbox(tmp_path) as box:
        chat_url, ping_url = tmp_path / "chat.url", tmp_path / "ping.url"
        chat_url.write_text(f"{chat.url.replace('http', 'json')}/chat")
        ping_url.write_text(f"{pings.url}/s3cr3t")

        def connect(settings: Any) -> None:
            settings["http"]["listen"] = f"127.0.0.1:{free_port()}"
            settings["http"]["public_url"] = "https://monitor.example"
            settings["alerts"]["apprise"] = [
                {"name": "chat", "url_file": str(chat_url), "events": ["incident.opened"]}
            ]
            settings["alerts"]["dead_man"] = {"url_file": str(ping_url), "every": "200ms"}

        with daemon(box.rewrite(connect)) as running:
            assert running.run("alerts", "test", "--receiver", "chat").returncode == 0
            box.fail("view-main", "refuse")
            wait_for("the incident", lambda: len(chat.got) >= 2)
            box.heal("view-main")
            wait_for("its end at the webhook", lambda: box.messages("incident.restored"))
            assert [one["title"] for one in chat.got] == [
                "A test of monitor",
                "Incident I-1: view-main unavailable",
            ]
            assert chat.got[1]["message"].endswith("https://monitor.example/incidents/I-1")

            wait_for("pings", lambda: len(pings.paths) >= 3)
            # No file of the daemon may grow any more: to SQLite, a full disk.
            number, hard = running.process.pid, resource.RLIM_INFINITY
            resource.prlimit(number, resource.RLIMIT_FSIZE, (1, hard))
            wait_for("not ready", lambda: running.get("/readyz")[0] == 503)
            stopped_at = len(pings.paths) + 1  # one may be under way
            failing = running.metrics()["monitor_store_failing"]
            assert failing == 1
            wait_a_little(running)
            assert len(pings.paths) <= stopped_at
            resource.prlimit(number, resource.RLIMIT_FSIZE, (hard, hard))
            wait_for("pings again", lambda: len(pings.paths) > stopped_at + 1)
            assert set(pings.paths) == {"/s3cr3t"}
            pings.status = 500
            name = 'monitor_alert_deliveries_total{outcome="retry",receiver="dead-man"}'
            wait_for("failures counted", lambda: running.metrics().get(name, 0) >= 3)
            log = running.log.read_text()
    assert log.count("dead_man_not_pinged") == 1
    assert "s3cr3t" not in log


def wait_a_little(running: Daemon) -> None:
    """Some rounds in which a ready daemon would have pinged several times."""
    looks = iter(range(10))
    wait_for("ten looks", lambda: running.get("/readyz")[0] == 503 and next(looks) == 9)
