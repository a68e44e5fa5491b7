"""What the measurements share: cores, processes, certificates, the nginx, the daemon, tables.

Everything listens on free ports of 127.0.0.1, lives in a temporary folder, and is ended by its
process id. CPU seconds are the kernel's: user and system time of all threads of one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import http.client
import os
import platform
import re
import shutil
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trustme

HOST = "127.0.0.1"
ANSWER = 401
"""What the server answers to a request without a token: up, for a View endpoint."""
PATH = "/view"

_TICK = os.sysconf("SC_CLK_TCK")


# --- Cores and processes -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core runs the server, which the prober, and which whatever drives them."""

    server: int
    prober: int
    driver: int

    @classmethod
    @contextlib.contextmanager
    def shared_out(cls, nice: int = 0) -> Iterator[Cores]:
        """The last core is the prober's alone; with two, this process sits beside the server.

        `nice` below 0 puts all of it before other work of the machine; that takes root.
        """
        free = sorted(os.sched_getaffinity(0))
        if len(free) < 2:
            sys.exit("two cores are needed: one for the server, one for the prober")
        cores = cls(server=free[0], prober=free[-1], driver=free[-2])
        before = os.getpriority(os.PRIO_PROCESS, 0)
        os.sched_setaffinity(0, {cores.driver})
        os.setpriority(os.PRIO_PROCESS, 0, before + nice)
        try:
            yield cores
        finally:
            os.setpriority(os.PRIO_PROCESS, 0, before)
            os.sched_setaffinity(0, free)


def tool(name: str) -> str:
    """Path of a program, looked for where servers are installed, too."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    found = shutil.which(name, path=places)
    if found is None:
        sys.exit(f"{name} is not installed; run scripts/install-tools.sh")
    return found


@contextlib.contextmanager
def running(core: int, log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process pinned to a core; its output goes to `log`; ended, and waited for, at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [tool("taskset"), "-c", str(core), *command], stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads, those that ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_bytes(pid: int, key: str = "VmRSS") -> int:
    """Resident memory of a process; `VmHWM` is the most it ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
    return 0 if found is None else int(found[1]) * 1024


def free_port() -> int:
    """A TCP port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until(done: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Ask again and again; ends the program if that takes too long."""
    limit = time.monotonic() + seconds
    while not done():
        if time.monotonic() > limit:
            sys.exit(f"{what} took more than {seconds:g} s")
        time.sleep(0.1)


def get(port: int, path: str, timeout: float = 120.0) -> bytes:
    """The body of an answer with status 200; raises OSError otherwise."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"{path}: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise OSError(f"{path}: status {response.status}")
    return body


# --- Certificates ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Material:
    """Files of one PKI: root, issuing CA, a server's leaf and a client's, all of one key type."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, kind: str) -> Material:
        """`kind` is EC (P-256) or RSA (2048); the issued pack is there too."""
        key = trustme.KeyType.ECDSA if kind == "EC" else trustme.KeyType.RSA
        folder.mkdir()
        root = trustme.CA(key_type=key)
        issuing = root.create_child_ca(key_type=key)
        made = cls(folder)
        made.root.write_bytes(root.cert_pem.bytes())
        made.issuers.write_bytes(issuing.cert_pem.bytes() + root.cert_pem.bytes())
        for name, subject in (("server", HOST), ("client", "monitor.example")):
            leaf = issuing.issue_cert(subject, key_type=key)
            blobs = [blob.bytes() for blob in leaf.cert_chain_pems]
            (folder / f"{name}.pem").write_bytes(blobs[0])
            (folder / f"{name}-chain.pem").write_bytes(b"".join(blobs))
            _write_private(folder / f"{name}.key", leaf.private_key_pem.bytes())
        made.pack.mkdir()
        shutil.copy(folder / "client.pem", made.pack / "certificate")
        shutil.copy(made.issuers, made.pack / "certificateChain")
        _write_private(made.pack / "certPrivateKey", (folder / "client.key").read_bytes())
        return made

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    @property
    def issuers(self) -> Path:
        return self.folder / "issuers.pem"

    @property
    def pack(self) -> Path:
        return self.folder / "pack"

    def file(self, name: str) -> str:
        return str(self.folder / name)


def _write_private(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)


# --- The server --------------------------------------------------------------------------------

# No log, no sessions, no keep-alive: every request is a full handshake. It knows the issuing CA, so
# that clients which send their leaf alone (openssl s_time) are believed too.
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port} ssl backlog=4096;
        ssl_certificate {material}/server-chain.pem;
        ssl_certificate_key {material}/server.key;
        ssl_protocols {protocol};
        ssl_session_cache off;
        ssl_session_tickets off;
        ssl_client_certificate {material}/issuers.pem;
        ssl_verify_client on;
        ssl_verify_depth 3;
        location / {{ return {answer} "who are you"; }}
    }}
    server {{
        listen {host}:{status};
        location / {{ stub_status; }}
    }}
}}
"""


@dataclass(slots=True)
class Nginx:
    """A running nginx that demands a client certificate, and counts the requests it was sent."""

    port: int
    status_port: int
    asked: int = 0

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}{PATH}"

    def requests(self) -> int:
        """Requests answered over TLS so far; asking for the number does not count."""
        self.asked += 1
        counts = re.findall(r"\d+", get(self.status_port, "/").decode())
        return int(counts[3]) - self.asked


@contextlib.contextmanager
def nginx(folder: Path, material: Material, core: int, protocol: str) -> Iterator[Nginx]:
    """One nginx process on one core."""
    server = Nginx(free_port(), free_port())
    folder.mkdir()
    text = _NGINX.format(
        folder=folder,
        material=material.folder,
        host=HOST,
        port=server.port,
        status=server.status_port,
        protocol=protocol,
        answer=ANSWER,
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    with running(core, folder / "nginx.log", tool("nginx"), "-c", str(configuration)):
        wait_until(lambda: _listens(server.port), "nginx's start", 10)
        wait_until(lambda: _listens(server.status_port), "nginx's start", 10)
        # The two looks at its ports that did not ask anything are no requests.
        yield server


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


# --- The daemon --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What a daemon is to watch: so many live View endpoints, all of one server."""

    endpoints: int
    interval: str = "30s"
    timeout: str = "15s"
    per_host: int = 64
    connected_from: str = field(
        default_factory=lambda: f"{datetime.datetime.now(datetime.UTC):%Y-%m}-01"
    )

    def write(self, folder: Path, material: Material, url: str, port: int) -> Path:
        """The configuration as a file in `folder`; the store will be beside it."""
        lines = [
            "organisation: {name: Benchmark, connection: federated}",
            "identities:",
            f"  live: {{pack: '{material.pack}', trust: '{material.root}'}}",
            f"defaults: {{interval: {self.interval}, timeout: {self.timeout}}}",
            "store: {url: 'sqlite:monitor.db'}",
            f'http: {{listen: "{HOST}:{port}"}}',
            f"probing: {{max_concurrent: {self.per_host}, per_host: {self.per_host}}}",
            "endpoints:",
        ]
        lines += [
            f"  - {{id: view-{number}, service: view, url: '{url}', identity: live,"
            f" connected_from: {self.connected_from}, group: dc-{number % 10}}}"
            for number in range(self.endpoints)
        ]
        path = folder / "monitor.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path


@dataclass(slots=True)
class Daemon:
    """A running `monitor run`."""

    pid: int
    port: int
    folder: Path

    def scrape(self) -> str:
        """What /metrics answers."""
        return get(self.port, "/metrics").decode()

    def stored(self) -> int:
        """Observations in its store."""
        store = sqlite3.connect(f"{(self.folder / 'monitor.db').as_uri()}?mode=ro", uri=True)
        with contextlib.closing(store):
            count: int = store.execute("SELECT count(*) FROM observations").fetchone()[0]
        return count

    def ready(self) -> bool:
        """Whether it probes and stores."""
        with contextlib.suppress(OSError):
            get(self.port, "/readyz", timeout=5)
            return True
        return False


@contextlib.contextmanager
def daemon(folder: Path, plan: Plan, material: Material, url: str, core: int) -> Iterator[Daemon]:
    """`monitor run` on one core, ready."""
    folder.mkdir()
    port = free_port()
    path = plan.write(folder, material, url, port)
    log = folder / "monitor.log"
    command = [sys.executable, "-m", "monitor", "run", "-c", str(path)]
    with running(core, log, *command) as process:
        watched = Daemon(process.pid, port, folder)

        def up() -> bool:
            if process.poll() is not None:
                sys.exit(f"monitor run ended:\n{log.read_text()}")
            return watched.ready()

        wait_until(up, "the daemon's start")
        yield watched


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop that `monitor run` uses: uvloop's when it is installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def sample_sum(metrics: str, name: str, **labels: str) -> float:
    """Sum of the samples of a metric whose labels have these values."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith((f"{name}{{", f"{name} ")) and all(text in line for text in wanted)
    )


# --- Results -----------------------------------------------------------------------------------


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A Markdown table, to be pasted into docs/benchmarks.md."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    rule = ["-" * width for width in widths]
    for row in (texts[0], rule, *texts[1:]):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"| {' | '.join(cells)} |", flush=True)
    print(flush=True)


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def machine() -> str:
    """The machine and the programs, in one line; figures mean nothing without it."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    parts = [
        f"{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        f"load {load}",
        f"Python {platform.python_version()}",
        ssl.OPENSSL_VERSION.rsplit(" ", 3)[0],
        f"SQLite {sqlite3.sqlite_version}",
    ]
    return "; ".join(parts)
