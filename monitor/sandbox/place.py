"""Where one sandbox lives: its folder, its ports, and the configuration that watches it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from monitor.core.endpoint import Service
from monitor.errors import StoreLocked, UsageError
from monitor.sandbox.access import TOKENS_FILE, token_files
from monitor.sandbox.answers import NAMESPACE, PATHS
from monitor.sandbox.endpoints import listen
from monitor.sandbox.pki import write

LOOPBACK = "127.0.0.1"
DEFAULT_BASE = 18440
CONTROL = "control"
ENDPOINTS: Mapping[str, Service] = {
    "find-main": Service.FIND,
    "view-main": Service.VIEW,
    "pat-main": Service.PAT_REFRESH,
}
OFFSETS = {CONTROL: 0, "find-main": 3, "view-main": 4, "pat-main": 5}
"""Port of each server, counted from the base port."""
HOLDERNAMES = (
    (str(uuid.uuid5(NAMESPACE, "holdername one")), "Sandbox Pension Scheme"),
    (str(uuid.uuid5(NAMESPACE, "holdername two")), "Sandbox Retirement Plan"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """What a sandbox keeps from start to start; `connected_from` is a UK date."""

    ports: Mapping[str, int]
    metrics_asked: str
    metrics_listen: str
    connected_from: date

    def document(self) -> dict[str, object]:
        return {
            "ports": dict(self.ports),
            "metrics_asked": self.metrics_asked,
            "metrics_listen": self.metrics_listen,
            "connected_from": self.connected_from.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a daemon elsewhere, such as in another container, and this sandbox reach each other.

    `control`: the address that control listens on. `store`: the URL of the daemon's store.
    `alertmanager`: a base URL that is told alerts instead of the webhook receiver here, which only
    a daemon on this machine reaches.
    """

    control: str = LOOPBACK
    store: str = "sqlite:monitor.db"
    alertmanager: str | None = None


HERE = Wiring()


def lock(directory: Path) -> int:
    """Hold the folder for this process, until the descriptor returned is closed.

    Raises StoreLocked if another sandbox runs in it, UsageError if it cannot be made or written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(directory / "sandbox.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UsageError(
            f"--dir: {directory} cannot be written ({error.strerror});"
            " give a folder that this user may write"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise StoreLocked(
            f"{directory}: another sandbox runs here; stop it, or give --dir another folder"
        ) from None
    return handle


def remembered(directory: Path) -> Place | None:
    """What the last start in this folder settled, or None if nothing can be read."""
    try:
        found: dict[str, Any] = json.loads((directory / "sandbox.json").read_text("utf-8"))
        ports = {name: int(found["ports"][name]) for name in OFFSETS}
        if not all(0 < port < 65536 for port in ports.values()):
            return None
        since = date.fromisoformat(found["connected_from"])
        return Place(ports, str(found["metrics_asked"]), str(found["metrics_listen"]), since)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def bind(
    host: str,
    base_port: int | None,
    before: Place | None,
    taken: ExitStack,
    control: str = LOOPBACK,
) -> dict[str, socket.socket]:
    """A listening socket for each server, by name; `taken` closes them.

    A `base_port` is taken at its word: UsageError if one of its ports is not free; 0 takes any free
    ports. Without it: the ports of the last start, else the usual ones, each replaced by a free one
    where something else listens. `control` is the address of the control server.
    """
    sockets = {}
    for name, offset in OFFSETS.items():
        address = control if name == CONTROL else host
        if base_port is None:
            port = before.ports[name] if before else DEFAULT_BASE + offset
        else:
            port = base_port + offset if base_port else 0
        sockets[name] = _bind_one(address, port, exact=bool(base_port))
        taken.callback(sockets[name].close)
    return sockets


def _bind_one(host: str, port: int, *, exact: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return listen(family, (host, port))
    except (OSError, OverflowError) as error:
        if exact or isinstance(error, OverflowError):
            raise UsageError(
                f"--port: {host}:{port} cannot be listened on ({error}); give another port,"
                " or none to let the sandbox choose"
            ) from error
    try:
        return listen(family, (host, 0))
    except OSError as error:
        raise UsageError(
            f"--host: {host} cannot be listened on ({error}); give an address of this machine"
        ) from error


def settle(
    sockets: Mapping[str, socket.socket], metrics_asked: str, before: Place | None, now: datetime
) -> Place:
    """What this start decides: ports, where the daemon shall listen, and since when it counts.

    The daemon's address and the connection date stay as they were: a running daemon holds the one,
    and its history hangs on the other.
    """
    ports = {name: int(sock.getsockname()[1]) for name, sock in sockets.items()}
    if before and before.metrics_asked == metrics_asked:
        metrics = before.metrics_listen
    else:
        metrics = _free_address(metrics_asked)
    yesterday = now.astimezone(ZoneInfo("Europe/London")).date() - timedelta(days=1)
    since = before.connected_from if before else yesterday
    return Place(ports, metrics_asked, metrics, since)


def _free_address(asked: str) -> str:
    host, _, port = asked.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        raise UsageError(f'the address for metrics is "{asked}"; write HOST:PORT')
    bare = host.strip("[]")
    with _bind_one(bare, int(port), exact=False) as sock:
        return f"{host}:{sock.getsockname()[1]}"


def url_host(host: str) -> str:
    """The name by which the endpoints are asked; the server certificate holds it."""
    if host in (LOOPBACK, "localhost", "0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def endpoint_url(host: str, name: str, place: Place) -> str:
    return f"https://{url_host(host)}:{place.ports[name]}{PATHS[ENDPOINTS[name]]}"


def configuration(host: str, place: Place, wiring: Wiring = HERE) -> str:
    """The YAML that watches this sandbox. Every path is relative to the file's own folder."""
    since = place.connected_from.isoformat()
    endpoints = "".join(
        f"  - id: {name}\n"
        f"    service: {service.value}\n"
        f'    url: "{endpoint_url(host, name, place)}"\n'
        "    environment: live\n"
        "    identity: sandbox\n"
        f"    connected_from: {since}\n"
        for name, service in ENDPOINTS.items()
    )
    holdernames = "".join(
        f"  - guid: {guid}\n"
        f"    name: {name}\n"
        f"    serves: [{{endpoints: [{', '.join(ENDPOINTS)}], from: {since}}}]\n"
        for guid, name in HOLDERNAMES
    )
    return f"""\
# Written by `monitor sandbox` at every start: copy this file before you change it.
organisation: {{name: Sandbox Administration Ltd, connection: federated}}
slo: {{objective: 0.995, zone: Europe/London}}
identities:
  sandbox: {{pack: pack, trust: server-ca.pem}}
# Short, so that an outage shows within seconds.
defaults:
  interval: 3s
  timeout: 2s
  impaired_above: 1s
  recheck_interval: 1s
  confirm_down: 3
  confirm_up: 2
endpoints:
{endpoints}holdernames:
{holdernames}store: {{url: "{wiring.store}"}}
http: {{listen: "{place.metrics_listen}", tokens_file: {TOKENS_FILE}}}
alerts:
{_receivers(place, wiring)}"""


def _receivers(place: Place, wiring: Wiring) -> str:
    if wiring.alertmanager is not None:
        return f'  alertmanager: [{{url: "{wiring.alertmanager}", silences: true}}]\n'
    return f"""\
  webhooks:
    - name: sandbox
      url: "{control_url(place)}/hook"
      secret_file: hook.secret
"""


def control_url(place: Place) -> str:
    return f"http://{LOOPBACK}:{place.ports[CONTROL]}"


def page_url(place: Place) -> str:
    """Where the daemon's pages are, once it runs."""
    host, _, port = place.metrics_listen.rpartition(":")
    return f"http://{'localhost' if host in ('0.0.0.0', '[::]') else host}:{port}/"


def save(directory: Path, host: str, place: Place, wiring: Wiring = HERE) -> Path:
    """Write `sandbox.json`, `monitor.yaml` and the tokens, each whole; the path of the second."""
    token_files(directory)
    document = json.dumps(place.document(), indent=2)
    write(directory / "sandbox.json", f"{document}\n".encode())
    path = directory / "monitor.yaml"
    write(path, configuration(host, place, wiring).encode())
    return path
