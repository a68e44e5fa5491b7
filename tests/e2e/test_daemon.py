"""The daemon as a process: nginx as the endpoint nobody here wrote, reload, full disk, stop."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from monitor.sandbox.pki import prepare
from tests.e2e.processes import Daemon, daemon, end, run, sandbox, wait_for
from tests.nginx import Nginx, nginx_server
from tests.tools import free_port


def endpoint(name: str, url: str, identity: str = "live", **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "service": "view",
        "url": url,
        "environment": "test",
        "identity": identity,
        **more,
    }


def configuration(folder: Path, nginx: Nginx) -> Path:
    """Every way in which an nginx can disappoint, each an endpoint of its own."""
    trust = str(nginx.folder / "root.pem")
    document = {
        "organisation": {"name": "Example", "connection": "federated"},
        "identities": {
            name: {"pack": str(nginx.folder / name), "trust": trust}
            for name in ("live", "foreign-pack")
        },
        "defaults": {
            "interval": "2s",
            "timeout": "1s",
            "impaired_above": "100ms",
            "recheck_interval": "1s",
        },
        "endpoints": [
            endpoint("up", nginx.url("/view"), impaired_above="900ms"),
            endpoint("refused", nginx.url("/view"), "foreign-pack"),
            endpoint("expired", nginx.url("/view", "expired")),
            endpoint("wrong-name", nginx.url("/view", "wrong")),
            endpoint("untrusted", nginx.url("/view", "untrusted")),
            endpoint("nobody", f"https://127.0.0.1:{free_port()}/view"),
            endpoint("silent", nginx.url("/silent")),
            endpoint("broken", nginx.url("/broken")),
            endpoint("slow", nginx.url("/slow")),
        ],
        "store": {"url": "sqlite:monitor.db"},
        "http": {"listen": f"127.0.0.1:{free_port()}"},
    }
    path = folder / "monitor.yaml"
    with path.open("w") as stream:
        YAML(typ="safe").dump(document, stream)
    return path


REASONS = {
    "up": ("up", "ok"),
    "refused": ("down", "tls_refused"),
    "expired": ("down", "tls_certificate"),
    "wrong-name": ("down", "tls_certificate"),
    "untrusted": ("down", "tls_certificate"),
    "nobody": ("down", "connect_refused"),
    "silent": ("down", "response_timeout"),
    "broken": ("down", "status_5xx"),
    "slow": ("impaired", "slow"),
}


def test_a_real_nginx_is_told_apart(tmp_path: Path) -> None:
    """Pointed at nginx with a pack made by openssl, the daemon names each trouble."""
    with nginx_server(tmp_path) as nginx:
        config = configuration(tmp_path, nginx)
        with daemon(config) as running:
            seen = wait_for("every endpoint probed", lambda: judged(running))
            assert seen == REASONS
        printed = run("probe", "-c", str(config), "--json")
        assert printed.returncode == 1
        found = {
            one["endpoint"]: (one["result"], one["reason"]) for one in json.loads(printed.stdout)
        }
        assert found == REASONS


def judged(running: Daemon) -> dict[str, tuple[str, str]] | None:
    endpoints = running.ask("status")["endpoints"]
    found = {
        one["id"]: (one["last"]["result"], one["last"]["reason"])
        for one in endpoints
        if one["last"] is not None
    }
    return found if len(found) == len(REASONS) else None


def test_a_changed_file_is_taken_over_whole_or_not_at_all(tmp_path: Path) -> None:
    """A faulty change is refused and said; a good one is in force without a restart."""
    with sandbox(tmp_path) as place:
        config = place.rewrite(lambda settings: None)
        with daemon(config) as running:
            name = "monitor_config_last_reload_successful"
            good = config.read_text()
            config.write_text(good.replace("view-main", "VIEW MAIN"))
            os.kill(running.process.pid, signal.SIGHUP)
            wait_for("the refusal", lambda: running.metrics()[name] == 0)
            assert "reload_refused" in running.log.read_text()
            assert any('endpoint="view-main"' in sample for sample in running.metrics())
            told = running.run("status")
            assert told.returncode == 2
            assert "endpoints[1].id" in told.stderr
            changed = place.rewrite(lambda settings: drop_last(settings))
            assert changed == config
            wait_for("the change", lambda: len(running.ask("status")["endpoints"]) == 2)
            assert running.metrics()[name] == 1


def drop_last(settings: Any) -> None:
    """Take the last endpoint out, and out of the mapping."""
    gone = settings["endpoints"].pop()["id"]
    for holdername in settings["holdernames"]:
        for row in holdername["serves"]:
            row["endpoints"].remove(gone)


def test_a_rotated_identity_is_taken_over_as_a_pair(tmp_path: Path) -> None:
    """A new pack is used without a restart; half of one is not, and probing goes on."""
    with sandbox(tmp_path) as place, daemon(place.config) as running:
        wait_for("probing", lambda: running.get("/readyz")[0] == 200)
        pack = place.folder / "pack"
        key, certificate = pack / "certPrivateKey", pack / "certificate"
        first = certificate.read_bytes()
        key.write_text("not a key")
        wait_for("the refusal", lambda: "identity_refused" in running.log.read_text())
        before = probes(running)
        wait_for("more good probes", lambda: probes(running) > before + 3)
        assert "identity_reloaded" not in running.log.read_text()
        prepare(place.folder, "localhost")  # issues a new pair, as the key is none
        assert certificate.read_bytes() != first
        wait_for("the new pair", lambda: "identity_reloaded" in running.log.read_text())
        after = probes(running)
        wait_for("good probes with it", lambda: probes(running) > after + 3)
        assert running.metrics()["monitor_config_last_reload_successful"] == 1
        assert running.ask("incident", "list", "--all")["incidents"] == []


def probes(running: Daemon) -> float:
    """Good probes so far."""
    return sum(
        value
        for name, value in running.metrics().items()
        if name.startswith("monitor_probe_results_total{") and 'result="up"' in name
    )


def test_a_full_disk_is_our_own_fault(tmp_path: Path) -> None:
    """While the store cannot grow nothing is judged down; what was seen is written afterwards."""
    with sandbox(tmp_path) as place, daemon(place.config) as running:
        wait_for("a first probe", lambda: probes(running) > 0)
        store = place.folder / "monitor.db"
        limits = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
        wait_for("it to say so", lambda: running.get("/readyz")[0] == 503)
        refused = running.run("outage", "assert", *asserted(place), "--json")
        assert refused.returncode == 3, refused.stdout
        assert running.get("/metrics")[0] == 200
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, limits)
        wait_for("it to recover", lambda: running.get("/readyz")[0] == 200)
        wait_for("the alert", lambda: place.messages("monitor.local_fault"))
        assert running.ask("incident", "list", "--all")["incidents"] == []
        assert store.exists()
        for row in running.ask("slo")["months"]:
            assert row["unavailable_s"] == 0


def asserted(place: Any) -> list[str]:
    guid = place.settings()["holdernames"][0]["guid"]
    return ["--holdernames", guid, "--start", "2026-11-20T00:00Z", "--reason", "back end down"]


def test_a_stop_is_orderly_even_while_probes_hang(tmp_path: Path) -> None:
    """SIGTERM ends the daemon within ten seconds, whatever its endpoints do."""
    with sandbox(tmp_path) as place:
        for name in ("find-main", "view-main", "pat-main"):
            place.fail(name, "hang")
        with daemon(place.config) as running:
            time.sleep(1.0)
            began = time.monotonic()
            assert end(running.process) == 0
            assert time.monotonic() - began < 10
        assert not (place.folder / "monitor.db.sock").exists()


def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    """One store has one daemon; the second says who holds it, and exits 3."""
    with sandbox(tmp_path) as place, daemon(place.config) as running:
        second = run("run", "-c", str(place.config))
        assert second.returncode == 3
        assert str(running.process.pid) in second.stderr


def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    """A missing identity is one sentence with the file and the cure, and exit 2."""
    with sandbox(tmp_path) as place:
        config = place.rewrite(lambda settings: settings["identities"]["sandbox"].update(pack="no"))
        told = run("run", "-c", str(config))
        assert told.returncode == 2
        assert "no" in told.stderr
        assert "Traceback" not in told.stderr
        checked = run("check", "-c", str(config), "--json")
        assert checked.returncode == 1
        assert json.loads(checked.stdout)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_signals_stop(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT stop the daemon alike."""
    with sandbox(tmp_path) as place, daemon(place.config) as running:
        assert end(running.process, number) == 0
