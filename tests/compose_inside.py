"""Starts what compose.yaml starts, without containers, in a network of its own; prints what is seen.

Run by tests/test_compose.py under unshare, with every service's name an address of loopback.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.compose import services, translated
from tests.e2e.processes import end, get, monitor, send, wait_for
from tests.tools import find

SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
PROGRAMS = {"prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}


def main(folder: Path) -> dict[str, Any]:
    """Everything running: what is healthy, scraped and told, and an incident while it is open."""
    raise_loopback()
    found = services({})
    with ExitStack() as running:
        for name in ("sandbox", "monitor", "alertmanager", "prometheus"):
            running.enter_context(started(name, found[name], folder))
            wait_for(f"{name} to be healthy", lambda name=name: healthy(found[name], folder))
        send("POST", "http://sandbox:18440/control/view-main", {"mode": "refuse"})
        return {
            "healthy": sorted(name for name in found if healthy(found[name], folder)),
            "told": wait_for("an incident to be told", told),
            "targets": wait_for("every target", targets),
            "open": wait_for("the incident in Prometheus", incidents),
            "alertmanagers": wait_for("Prometheus to find it", alertmanagers),
            "rules": len(prometheus("rules")["groups"]),
        }


def raise_loopback() -> None:
    """A new network has its loopback down."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


@contextmanager
def started(name: str, service: Mapping[str, Any], folder: Path) -> Iterator[None]:
    """One service as a process, with the arguments it has there."""
    given = [translated(word, service, folder) for word in service.get("command", [])]
    if name == "monitor":
        given = ["run", "-c", translated("/etc/monitor/monitor.yaml", service, folder)]
    if name == "prometheus":
        given = [_quicker(word, service, folder) for word in given]
    program = [str(find(PROGRAMS[name]))] if name in PROGRAMS else monitor()
    for word in ("data", name):
        (folder / word).mkdir(exist_ok=True)
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen([*program, *given], stdout=log, stderr=log)
        try:
            yield
        finally:
            end(process)


def _quicker(word: str, service: Mapping[str, Any], folder: Path) -> str:
    """The option with the configuration: a copy that has the paths here, and scrapes each second."""
    option, _, path = word.partition("=")
    if option != "--config.file":
        return word
    text = translated(Path(path).read_text(encoding="utf-8"), service, folder)
    copy = folder / "prometheus.yaml"
    copy.write_text(text.replace("15s", "1s"), encoding="utf-8")
    return f"{option}={copy}"


def healthy(service: Mapping[str, Any], folder: Path) -> bool:
    """What the health check of a service says; a `wget` is done in its place."""
    _, program, *words = service["healthcheck"]["test"]
    if program == "wget":
        return get(words[-1])[0] == 200
    command = [translated(word, service, folder) for word in words]
    if program == "monitor":
        config = translated("/etc/monitor/monitor.yaml", service, folder)
        return succeeds(*monitor(*command), "-c", config)
    return succeeds(sys.executable, *command)


def succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def prometheus(path: str) -> Any:
    return json.loads(get(f"http://prometheus:9090/api/v1/{path}")[1])["data"]


def targets() -> dict[str, str] | None:
    """Job to health, once every target has been scraped well."""
    active = prometheus("targets")["activeTargets"]
    found = {one["labels"]["job"]: one["health"] for one in active}
    return found if set(found.values()) == {"up"} else None


def alertmanagers() -> list[str]:
    return [one["url"] for one in prometheus("alertmanagers")["activeAlertmanagers"]]


def incidents() -> str | None:
    """How many incidents are open, as Prometheus has scraped it."""
    query = quote('monitor_incidents{state="open"} > 0')
    result = prometheus(f"query?query={query}")["result"]
    return result[0]["value"][1] if result else None


def told() -> list[str] | None:
    """The names of what stands at the Alertmanager, once the incident does."""
    alerts = json.loads(get("http://alertmanager:9093/api/v2/alerts")[1])
    names = sorted({one["labels"]["alertname"] for one in alerts})
    return names if "MonitorIncident" in names else None


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
