"""Probes per CPU-second of the whole daemon, beside openssl and the blackbox exporter.

One nginx on one core demands a client certificate; on the other core the probers take turns. A
probe is a fresh TCP connection, a full handshake with a client certificate, one GET, the answer
read. Rounds alternate and medians are shown: only ratios of one run mean anything.

    python -m benchmarks.probes                     # flat out: both key types, four rounds
    python -m benchmarks.probes --paced 1000        # percent of a core and memory at 30 s each
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.common import (
    ANSWER,
    HOST,
    PATH,
    Cores,
    Daemon,
    Material,
    Nginx,
    Plan,
    cpu_seconds,
    daemon,
    event_loop_factory,
    free_port,
    machine,
    median,
    nginx,
    print_table,
    resident_bytes,
    running,
    sample_sum,
    say,
    tool,
    wait_until,
)

OPENSSL, BLACKBOX = "openssl s_time -new", "blackbox exporter"
BARE, DAEMON = "prober alone (no judge, no store)", "monitor run"

AT_ONCE = 64
"""Probes in flight: enough that no prober waits for the server."""
S_TIMES = 4
"""Processes of `openssl s_time`, which has one connection at a time."""
WARM_UP = 3.0
BUSY, TRIES = 0.8, 2
"""A prober that used less of its core was kept waiting: it is measured again, at most so often."""


@dataclass(frozen=True, slots=True)
class Lab:
    """Where one key type is measured."""

    folder: Path
    material: Material
    server: Nginx
    cores: Cores
    seconds: float
    endpoints: int


@dataclass(frozen=True, slots=True)
class Window:
    """What one prober did in one stretch of time."""

    probes: int
    cpu: float
    wall: float

    @property
    def rate(self) -> float:
        """Probes per CPU-second."""
        return self.probes / self.cpu

    @property
    def busy(self) -> float:
        """The part of a core that was used."""
        return self.cpu / self.wall


def watch(
    pid: int, server: Nginx, seconds: float, halfway: Callable[[], object] = lambda: None
) -> Window:
    """Let a prober run for so many seconds; the server counts its probes."""
    began, cpu, probes = time.monotonic(), cpu_seconds(pid), server.requests()
    time.sleep(seconds / 2)
    halfway()
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    cpu, probes = cpu_seconds(pid) - cpu, server.requests() - probes
    return Window(probes, cpu, time.monotonic() - began)


# --- openssl -----------------------------------------------------------------------------------


def openssl(lab: Lab) -> Window:
    """Several `openssl s_time -new` at once, so that the core is never idle."""
    command = [
        *(tool("taskset"), "-c", str(lab.cores.prober), tool("openssl"), "s_time", "-new"),
        *("-connect", f"{HOST}:{lab.server.port}", "-www", PATH, "-time", f"{lab.seconds:.0f}"),
        *("-cert", lab.material.file("client.pem"), "-key", lab.material.file("client.key")),
        *("-CAfile", str(lab.material.root), "-verify", "3"),
    ]
    began, before = time.monotonic(), lab.server.requests()
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(S_TIMES)
    ]
    cpu, counted = 0.0, 0
    for process in processes:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        found = re.search(r"^(\d+) connections in \d+ real seconds, (\d+) bytes", output, re.M)
        if process.returncode != 0 or found is None or int(found[2]) < 100:
            sys.exit(f"openssl s_time read no answers:\n{output}")
        counted += int(found[1])
        cpu += usage.ru_utime + usage.ru_stime
    probes = lab.server.requests() - before
    _expect_alike(OPENSSL, counted, probes, slack=S_TIMES)
    return Window(probes, cpu, time.monotonic() - began)


# --- The blackbox exporter ---------------------------------------------------------------------

_BLACKBOX = """
modules:
  mtls:
    prober: http
    timeout: 5s
    http:
      method: GET
      valid_status_codes: [{answer}]
      follow_redirects: false
      fail_if_not_ssl: true
      preferred_ip_protocol: ip4
      headers: {{Accept-Encoding: identity}}
      tls_config:
        ca_file: {root}
        cert_file: {certificate}
        key_file: {key}
"""


@dataclass(slots=True)
class Driver:
    """Asks an exporter's /probe over kept connections, from threads of this process.

    Flat out without a `rate`, else so many probes a second in all.
    """

    port: int
    target: str
    rate: float | None = None
    good: int = 0
    bad: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def driving(self, threads: int) -> Iterator[Driver]:
        crew = [
            threading.Thread(target=self._drive, args=(number, threads), daemon=True)
            for number in range(threads)
        ]
        for thread in crew:
            thread.start()
        try:
            yield self
        finally:
            self.stop.set()
            for thread in crew:
                thread.join(15)

    def _drive(self, number: int, threads: int) -> None:
        request = (
            f"GET /probe?module=mtls&target={self.target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        ).encode()
        due = time.monotonic() + (number / self.rate if self.rate else 0.0)
        with socket.create_connection((HOST, self.port), timeout=15) as connection:
            while not self.stop.is_set():
                if self.rate:
                    if self.stop.wait(max(0.0, due - time.monotonic())):
                        return
                    due += threads / self.rate
                connection.sendall(request)
                success = b"\nprobe_success 1" in _answer(connection)
                with self._lock:
                    self.good += success
                    self.bad += not success


def _answer(connection: socket.socket) -> bytes:
    """One whole HTTP answer, chunked or of known length."""
    data = bytearray()
    while True:
        piece = connection.recv(65536)
        if not piece:
            raise OSError("the exporter hung up")
        data += piece
        head, found, body = bytes(data).partition(b"\r\n\r\n")
        if not found:
            continue
        length = re.search(rb"(?im)^content-length: (\d+)", head)
        if body.endswith(b"0\r\n\r\n") if length is None else len(body) >= int(length[1]):
            return bytes(data)


@contextlib.contextmanager
def exporter(lab: Lab) -> Iterator[tuple[int, Driver]]:
    """A running exporter: its process id, and a driver for it."""
    folder = Path(tempfile.mkdtemp(dir=lab.folder))
    port = free_port()
    configuration = folder / "blackbox.yml"
    configuration.write_text(
        _BLACKBOX.format(
            answer=ANSWER,
            root=lab.material.root,
            certificate=lab.material.file("client-chain.pem"),
            key=lab.material.file("client.key"),
        )
    )
    command = [tool("prometheus-blackbox-exporter"), f"--config.file={configuration}"]
    command += [f"--web.listen-address={HOST}:{port}", "--log.level=error"]
    with running(lab.cores.prober, folder / "blackbox.log", *command) as process:
        driver = Driver(port, f"https://{HOST}:{lab.server.port}{PATH}")
        wait_until(lambda: _open(port), "the exporter's start", 15)
        yield process.pid, driver


def _open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def blackbox(lab: Lab) -> Window:
    with exporter(lab) as (pid, driver), driver.driving(16):
        time.sleep(WARM_UP)
        good, before = driver.good, lab.server.requests()
        window = watch(pid, lab.server, lab.seconds)
        _expect_alike(BLACKBOX, driver.good - good, lab.server.requests() - before, slack=40)
        if driver.bad:
            sys.exit(f"{driver.bad} probes of the blackbox exporter failed")
    return window


# --- Ours --------------------------------------------------------------------------------------


def bare(lab: Lab) -> Window:
    """The prober in a process of its own, in a loop; nothing is judged, kept or shown."""
    folder = Path(tempfile.mkdtemp(dir=lab.folder))
    path = Plan(1).write(folder, lab.material, lab.server.url, free_port())
    command = [sys.executable, "-m", "benchmarks.probes", "--bare", str(path)]
    log = folder / "bare.log"
    with running(lab.cores.prober, log, *command) as process:
        wait_until(lambda: b"probing" in log.read_bytes(), "the prober's start", 30)
        time.sleep(WARM_UP)
        window = watch(process.pid, lab.server, lab.seconds)
        if process.poll() is not None:
            sys.exit(f"the prober ended:\n{log.read_text()}")
    return window


async def probe_for_ever(path: Path) -> None:
    """What the process of `bare` does."""
    from monitor.adapters.clock import SteadyClock
    from monitor.adapters.holidays import bank_holidays
    from monitor.adapters.probe import AiohttpProber
    from monitor.adapters.tls import Contexts
    from monitor.config import load

    today = datetime.now(UTC).date()
    settings = load(path, environ={}, bank_holidays=bank_holidays, today=today)
    contexts, clock = Contexts(), SteadyClock()
    endpoint = settings.endpoints[0]
    uses = [(endpoint.identity, endpoint.trust)]
    await contexts.replace(settings.identities.values(), uses, now=clock.now())
    prober = AiohttpProber(contexts, clock, user_agent="benchmark")
    await prober.start()

    async def again_and_again() -> None:
        while True:
            evidence = await prober.probe(endpoint)
            if evidence.failure is not None or evidence.status != ANSWER:
                raise RuntimeError(f"a probe failed: {evidence}")

    say("probing")
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(again_and_again())


def whole(lab: Lab) -> Window:
    """The daemon, with more probes due than it can do; /metrics is scraped once meanwhile."""
    folder = Path(tempfile.mkdtemp(dir=lab.folder)) / "daemon"
    plan = Plan(lab.endpoints, interval="500ms", per_host=AT_ONCE)
    before = lab.server.requests()
    with daemon(folder, plan, lab.material, lab.server.url, lab.cores.prober) as watched:
        time.sleep(WARM_UP + 1)
        window = watch(watched.pid, lab.server, lab.seconds, watched.scrape)
        _check_daemon(watched, lab.server.requests() - before)
    return window


def _check_daemon(watched: Daemon, asked: int) -> None:
    """Everything the server was asked is judged good in the metrics, and durable in the store."""
    metrics = watched.scrape()
    judged = int(sample_sum(metrics, "monitor_probe_results_total"))
    good = int(sample_sum(metrics, "monitor_probe_results_total", result="up", reason="ok"))
    if judged != good:
        sys.exit(f"{judged - good} of {judged} probes of the daemon were not up")
    stored = watched.stored()
    # It went on probing between the questions.
    _expect_alike("monitor_probe_results_total", judged, asked, slack=1500)
    _expect_alike("observations stored", stored, judged, slack=1500)


def _expect_alike(what: str, counted: int, expected: int, *, slack: int) -> None:
    if abs(counted - expected) > slack:
        sys.exit(f"{what}: counted {counted}, though the server answered {expected}")


# --- Flat out ----------------------------------------------------------------------------------

PROBERS: dict[str, Callable[[Lab], Window]] = {
    OPENSSL: openssl,
    BLACKBOX: blackbox,
    BARE: bare,
    DAEMON: whole,
}


@contextlib.contextmanager
def laboratory(arguments: argparse.Namespace, kind: str) -> Iterator[Lab]:
    """A folder, certificates of the key type, and an nginx that shows them."""
    with (
        Cores.shared_out(arguments.nice) as cores,
        tempfile.TemporaryDirectory(prefix="benchmark-") as name,
    ):
        folder = Path(name)
        material = Material.make(folder / "material", kind)
        with nginx(folder / "nginx", material, cores.server, arguments.protocol) as server:
            yield Lab(folder, material, server, cores, arguments.seconds, arguments.endpoints)


def flat_out(arguments: argparse.Namespace, kind: str) -> dict[str, list[Window]]:
    """All probers in turn, round by round; another goes first in each."""
    names = list(PROBERS)
    found: dict[str, list[Window]] = {name: [] for name in names}
    with laboratory(arguments, kind) as lab:
        for number in range(arguments.rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                window = busy_window(name, PROBERS[name], lab)
                found[name].append(window)
                say(
                    f"{kind}, round {number + 1}, {name}: {window.rate:.0f} probes/CPU-s"
                    f" ({window.probes} probes, {window.busy:.0%} of a core)"
                )
    return found


def busy_window(name: str, prober: Callable[[Lab], Window], lab: Lab) -> Window:
    """A window in which the prober was truly flat out: an idle one pays for waking up.

    Something else that runs on the server's core starves the prober; then it is asked again.
    """
    window = prober(lab)
    for _ in range(TRIES):
        if window.busy >= BUSY:
            break
        say(f"{name}: the prober was idle ({window.busy:.0%} of a core); once more")
        window = prober(lab)
    return window


def show(kind: str, protocol: str, found: dict[str, list[Window]]) -> None:
    """Medians; a ratio is the median of those of each round, which share the machine's mood."""
    print(f"{kind} leaf and issuing CA, {protocol}, probes per CPU-second:\n")
    rates = {name: [window.rate for window in windows] for name, windows in found.items()}

    def ratio(name: str, peer: str) -> str:
        pairs = zip(rates[name], rates[peer], strict=True)
        return f"{median(ours / theirs for ours, theirs in pairs):.2f}"

    print_table(
        ("prober", "probes/CPU-s", "lowest-highest", "core", "to openssl", "to blackbox"),
        (
            (
                name,
                f"{median(values):.0f}",
                f"{min(values):.0f}-{max(values):.0f}",
                f"{median(window.busy for window in found[name]):.0%}",
                ratio(name, OPENSSL),
                ratio(name, BLACKBOX),
            )
            for name, values in rates.items()
        ),
    )


# --- Paced -------------------------------------------------------------------------------------


def paced(arguments: argparse.Namespace, kind: str) -> None:
    """Live endpoints at their usual pace: part of a core, memory, and how late probes start."""
    rows = []
    with laboratory(arguments, kind) as lab:
        for count in arguments.paced:
            folder = Path(tempfile.mkdtemp(dir=lab.folder)) / "daemon"
            plan = Plan(count, interval=arguments.interval)
            with daemon(folder, plan, lab.material, lab.server.url, lab.cores.prober) as watched:
                time.sleep(arguments.settle)
                window = watch(watched.pid, lab.server, arguments.window, watched.scrape)
                memory = resident_bytes(watched.pid), resident_bytes(watched.pid, "VmHWM")
                late = lateness(watched.scrape())
            rows.append(_paced_row(DAEMON, count, window, memory, late))
            say(" ".join(map(str, rows[-1])))
            rate = window.probes / window.wall
            with exporter(lab) as (pid, driver):
                driver.rate = rate
                with driver.driving(8):
                    time.sleep(WARM_UP)
                    window = watch(pid, lab.server, arguments.window / 2)
                    memory = resident_bytes(pid), resident_bytes(pid, "VmHWM")
            rows.append(_paced_row(BLACKBOX, count, window, memory, "-"))
            say(" ".join(map(str, rows[-1])))
    print(f"{kind}, {arguments.protocol}, one probe every {arguments.interval} each:\n")
    head = ("prober", "endpoints", "probes/s", "of a core", "ms CPU each", "MB", "most MB", "late")
    print_table(head, rows)


def _paced_row(
    name: str, count: int, window: Window, memory: tuple[int, int], late: str
) -> tuple[object, ...]:
    return (
        name,
        count,
        f"{window.probes / window.wall:.1f}",
        f"{window.busy:.1%}",
        f"{1000 * window.cpu / window.probes:.2f}",
        *(f"{size / 1e6:.0f}" for size in memory),
        late,
    )


def lateness(metrics: str) -> str:
    """The bucket of `monitor_probe_lateness_seconds` in which 99 % of the probes are."""
    pattern = r'^monitor_probe_lateness_seconds_bucket\{.*?le="([^"]+)".*?\} (\S+)$'
    buckets = [(float(le), float(n)) for le, n in re.findall(pattern, metrics, re.MULTILINE)]
    if not buckets:
        return "-"
    buckets.sort()
    return f"p99 <= {next(le for le, n in buckets if n >= 0.99 * buckets[-1][1]):g} s"


# --- The program -------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.probes", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=4, help="flat out (default: 4)")
    parser.add_argument("--seconds", type=float, default=8.0, help="each, flat out (default: 8)")
    parser.add_argument("--endpoints", type=int, default=500, help="flat out (default: 500)")
    parser.add_argument("--keys", nargs="+", choices=("EC", "RSA"), default=["EC", "RSA"])
    parser.add_argument("--protocol", choices=("TLSv1.2", "TLSv1.3"), default="TLSv1.3")
    parser.add_argument("--paced", type=int, nargs="+", metavar="ENDPOINTS", help="pace instead")
    parser.add_argument("--interval", default="30s", help="paced (default: 30s)")
    parser.add_argument("--settle", type=float, default=35.0, help="paced (default: 35 s)")
    parser.add_argument("--window", type=float, default=60.0, help="paced (default: 60 s)")
    parser.add_argument("--json", type=Path, help="write what was measured to this file, too")
    parser.add_argument("--nice", type=int, default=0, help="priority of all parts (default: 0)")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare is not None:
        _run_loop(arguments.bare)
        return
    print(f"{machine()}\n")
    kept = {}
    for kind in arguments.keys:
        if arguments.paced:
            paced(arguments, kind)
            continue
        found = flat_out(arguments, kind)
        show(kind, arguments.protocol, found)
        kept[kind] = {name: [window.rate for window in each] for name, each in found.items()}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(kept, indent=1) + "\n")


def _run_loop(path: Path) -> None:
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(probe_for_ever(path))


if __name__ == "__main__":
    main()
