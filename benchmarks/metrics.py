"""Time of a scrape of /metrics, and how long the event loop is blocked meanwhile.

The daemon runs as it does in service, with a task beside it that looks every two milliseconds how
late the event loop is. Every endpoint has been probed before the first scrape, and goes on being.

    python -m benchmarks.metrics
    python -m benchmarks.metrics --months 13    # a year of months to show for each endpoint
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.common import (
    HOST,
    Cores,
    Daemon,
    Material,
    Plan,
    cpu_seconds,
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
    wait_until,
)

LOOK = 0.002
"""Seconds between two looks at the event loop."""
WORTH_NOTING = 0.004
QUIET = 10.0
"""Seconds without a scrape, to compare with."""


# --- Inside the daemon's process ---------------------------------------------------------------


def run_watched(path: Path, lags: Path) -> int:
    """Run the daemon; write (monotonic seconds, lateness) of each late wake-up to `lags`."""
    from monitor.daemon import run

    watching: list[asyncio.Task[None]] = []

    def ready() -> None:
        watching.append(asyncio.get_running_loop().create_task(_watch_loop(lags)))

    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        return runner.run(run(path, environ=os.environ, ready=ready))


async def _watch_loop(lags: Path) -> None:
    with lags.open("w", buffering=1) as file:
        while True:
            due = time.monotonic() + LOOK
            await asyncio.sleep(LOOK)
            now = time.monotonic()
            if now - due > WORTH_NOTING:
                file.write(f"{now} {now - due}\n")


# --- Outside -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: wall and CPU seconds, bytes, and the longest that the loop was blocked."""

    wall: float
    cpu: float
    size: int
    lag: float


def worst_lag(lags: Path, began: float, ended: float) -> float:
    """The longest time that the event loop was blocked between two instants, seconds."""
    found = [0.0]
    for line in lags.read_text().splitlines():
        at, late = map(float, line.split())
        if at > began and at - late < ended:
            found.append(late)
    return max(found)


def scrape(watched: Daemon, lags: Path, gzip: bool) -> Scrape:
    """Fetched by a process of its own, so that reading does not count as rendering."""
    command = [sys.executable, "-m", "benchmarks.metrics", "--fetch", str(watched.port)]
    if gzip:
        command.append("--gzip")
    before = cpu_seconds(watched.pid)
    fetched = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu = cpu_seconds(watched.pid) - before
    began, ended, size = fetched.split()
    time.sleep(0.1)
    return Scrape(
        float(ended) - float(began), cpu, int(size), worst_lag(lags, float(began), float(ended))
    )


def fetch(port: int, gzip: bool) -> None:
    """What the process of `scrape` does: print when it began, when it ended, and the bytes."""
    import http.client

    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    coding = {"Accept-Encoding": "gzip" if gzip else "identity"}
    began = time.monotonic()
    connection.request("GET", "/metrics", headers=coding)
    response = connection.getresponse()
    size = 0
    while piece := response.read(1 << 20):
        size += len(piece)
    print(began, time.monotonic(), size)
    if response.status != 200:
        sys.exit(f"/metrics answered {response.status}")


@contextlib.contextmanager
def watched_daemon(
    folder: Path,
    plan: Plan,
    material: Material,
    url: str,
    core: int,
    *,
    prepare: Callable[[Path], None] = lambda _: None,
) -> Iterator[tuple[Daemon, Path]]:
    """The daemon with its loop watched; every endpoint has been probed.

    `prepare` is given the configuration before the daemon starts, to fill its store.
    """
    folder.mkdir()
    port, lags, log = free_port(), folder / "lags", folder / "monitor.log"
    path = plan.write(folder, material, url, port)
    prepare(path)
    command = [sys.executable, "-m", "benchmarks.metrics", "--inside", str(path), str(lags)]
    with running(core, log, *command) as process:
        watched = Daemon(process.pid, port, folder)

        def probed() -> bool:
            if process.poll() is not None:
                sys.exit(f"the daemon ended:\n{log.read_text()[-4000:]}")
            return watched.ready() and watched.stored() >= plan.endpoints

        wait_until(probed, "probing every endpoint once", 300)
        yield watched, lags


def connected_months_ago(months: int) -> str:
    """The first of the month in which an endpoint with so many months to show was connected."""
    first = datetime.now(UTC).replace(day=1)
    for _ in range(months - 1):
        first = (first - timedelta(days=1)).replace(day=1)
    return f"{first:%Y-%m-%d}"


def measure(
    arguments: argparse.Namespace, folder: Path, cores: Cores, count: int
) -> tuple[object, ...]:
    material = Material.make(folder / f"material-{count}", "EC")
    plan = Plan(
        count,
        interval=arguments.interval,
        connected_from=connected_months_ago(arguments.months),
    )
    with (
        nginx(folder / f"nginx-{count}", material, cores.server, "TLSv1.3") as server,
        watched_daemon(folder / f"daemon-{count}", plan, material, server.url, cores.prober) as (
            watched,
            lags,
        ),
    ):
        time.sleep(2)
        began, cpu = time.monotonic(), cpu_seconds(watched.pid)
        time.sleep(QUIET)
        quiet = worst_lag(lags, began, time.monotonic())
        idle = (cpu_seconds(watched.pid) - cpu) / QUIET
        first = scrape(watched, lags, arguments.gzip)
        later = [scrape(watched, lags, arguments.gzip) for _ in range(arguments.scrapes)]
        series = len([line for line in watched.scrape().splitlines() if not line.startswith("#")])
        up = sample_sum(watched.scrape(), "monitor_endpoint_state", state="up")
        memory = resident_bytes(watched.pid, "VmHWM")
    if up < count:
        say(f"only {up:.0f} of {count} endpoints were up")
    wall = median(one.wall for one in later)
    # Of the CPU used meanwhile, probing had its usual part.
    cpu_each = median(one.cpu - idle * one.wall for one in later)
    return (
        f"{count:,}",
        f"{series:,}",
        f"{median(one.size for one in later) / 1e6:.1f}",
        f"{first.wall:.2f}",
        f"{wall:.2f}",
        f"{cpu_each:.2f}",
        f"{1000 * max(first.lag, *(one.lag for one in later)):.0f}",
        f"{1000 * quiet:.0f}",
        f"{memory / 1e6:.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.metrics", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--endpoints", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--interval", default="60s", help="of probing (default: 60s)")
    parser.add_argument("--months", type=int, default=1, help="to show for each (default: 1)")
    parser.add_argument("--scrapes", type=int, default=5, help="(default: 5)")
    parser.add_argument("--gzip", action="store_true", help="ask for compressed text")
    parser.add_argument("--nice", type=int, default=0, help="priority of all parts (default: 0)")
    parser.add_argument("--inside", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--fetch", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside is not None:
        sys.exit(run_watched(*arguments.inside))
    if arguments.fetch is not None:
        fetch(arguments.fetch, arguments.gzip)
        return
    print(f"{machine()}\n")
    rows = []
    with (
        Cores.shared_out(arguments.nice) as cores,
        tempfile.TemporaryDirectory(prefix="benchmark-") as name,
    ):
        for count in arguments.endpoints:
            rows.append(measure(arguments, Path(name), cores, count))
            say(" ".join(map(str, rows[-1])))
    coding = "gzip" if arguments.gzip else "plain"
    print(f"/metrics, {coding}, while all are probed every {arguments.interval}:\n")
    head = ("endpoints", "series", "MB", "first s", "s", "CPU s")
    print_table((*head, "loop blocked ms", "without scrape ms", "most MB of memory"), rows)


if __name__ == "__main__":
    main()
