"""The API of a real daemon, over HTTPS with tokens: once for all, renewed, and beside probing."""

from __future__ import annotations

import http.client
import io
import json
import signal
import ssl
import subprocess
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from ruamel.yaml import YAML

from tests.e2e.processes import Sandbox, end, monitor, run, sandbox, wait_for
from tests.servers import Pki, private
from tests.tools import free_port
from tests.web.api.place import tokens_file

WINDOW = {"start": "2027-02-02T00:00", "end": "2027-02-02T03:00", "reason": "upgrade"}
KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


@dataclass
class Site:
    """Where the daemon of a configuration answers, and to whom."""

    config: Path
    port: int
    pki: Pki
    secrets: dict[str, str]

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str = "admin",
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body; 0 while nobody answers. The token is sent as a password."""
        context = ssl.create_default_context(cadata=self.pki.root.cert_pem.bytes().decode())
        basic = b64encode(f"x:{self.secrets[token]}".encode()).decode()
        sent = {"Authorization": f"Basic {basic}", **(headers or {})}
        data = None if body is None else json.dumps(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=context, timeout=60
        )
        with closing(connection):
            try:
                connection.request(method, path, data, sent)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except OSError:
                return 0, b""

    def shown(self) -> str:
        """The certificate that is shown now, as PEM."""
        return ssl.get_server_certificate(("127.0.0.1", self.port), timeout=10)

    @contextmanager
    def daemon(self, stop: int = signal.SIGTERM) -> Iterator[subprocess.Popen[bytes]]:
        log = self.config.parent / "daemon.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                monitor("run", "-c", str(self.config)), stdout=subprocess.DEVNULL, stderr=stream
            )
        try:
            wait_for("the daemon to be ready", lambda: self.ask("GET", "/readyz")[0] == 200)
            yield process
        finally:
            end(process, stop)


def put(folder: Path, leaf: trustme.LeafCert) -> None:
    private(folder / "k.pem", leaf.private_key_pem.bytes())
    private(folder / "c.pem", b"".join(blob.bytes() for blob in leaf.cert_chain_pems))


def site(place: Sandbox, folder: Path) -> Site:
    """The configuration of a sandbox, served over HTTPS with tokens."""
    pki, port = Pki(), free_port()
    path, secrets = tokens_file(folder)
    put(folder, pki.leaf())

    def change(settings: Any) -> None:
        settings["http"] = {
            "listen": f"127.0.0.1:{port}",
            "tokens_file": str(path),
            "tls": {
                "certificate": str(folder / "c.pem"),
                "private_key_file": str(folder / "k.pem"),
            },
        }

    config = place.rewrite(change)
    assert "tls" in YAML(typ="safe").load(config.read_text())["http"]
    return Site(config, port, pki, secrets)


def test_a_daemon_answers_once_renews_itself_and_makes_reports(tmp_path: Path) -> None:
    """A declaration survives a kill under its key; a renewed certificate is shown; files are made."""
    with sandbox(tmp_path) as place:
        there = site(place, tmp_path)
        with there.daemon(signal.SIGKILL):
            first = there.ask("POST", "/api/v1/declarations", body=WINDOW, headers=KEY)
            assert first[0] == 201
        with there.daemon():
            again = there.ask("POST", "/api/v1/declarations", body=WINDOW, headers=KEY)
            assert again == first
            _, body = there.ask("GET", "/api/v1/declarations", token="read")
            assert [one["id"] for one in json.loads(body)["declarations"]] == ["D-1"]
            _renewed(there, tmp_path)
            _made(there)
            assert run("ledger", "verify", "-c", str(there.config)).returncode == 0
            assert there.ask("GET", "/discovery/status", headers={"x-v": "1"})[0] == 200
            assert there.ask("POST", "/api/v1/declarations", token="read", body=WINDOW)[0] == 403


def _renewed(there: Site, folder: Path) -> None:
    """A new pair is taken up; a faulty one is not, and is told of."""
    before = there.shown()
    put(folder, there.pki.leaf())
    wait_for("the new certificate", lambda: there.shown() != before)
    good = there.shown()
    (folder / "k.pem").write_text("no key")

    def told() -> bool:
        _, text = there.ask("GET", "/metrics")
        return b"monitor_config_last_reload_successful 0" in text

    wait_for("the fault to be told", told)
    assert there.shown() == good


def _made(there: Site) -> None:
    """A report of this month, and a backup, while the daemon probes on."""
    _, body = there.ask("GET", "/api/v1/months", token="read")
    month = json.loads(body)["months"][-1]["month"]
    status, body = there.ask("GET", f"/api/v1/months/{month}/report.zip?format=json")
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as zipped:
        assert any(name.endswith("report.json") for name in zipped.namelist())
    status, body = there.ask("GET", "/api/v1/store/backup")
    assert (status, body[:15]) == (200, b"SQLite format 3")
    assert there.ask("GET", "/readyz")[0] == 200
