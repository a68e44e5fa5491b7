"""Time of the pages with 1,000 endpoints and a year of history, and how long the loop is blocked.

A year of outages of every class, of declared windows, of incidents and of sealed months is written
through the real store (spans and outages, not 10^9 observations), and the real daemon starts on it and
probes on. Beside its pages the same bytes are served by nginx as a file, and `/metrics` by the daemon.

    python -m benchmarks.web
    python -m benchmarks.web --endpoints 100 1000 --requests 50
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.common import (
    HOST,
    Cores,
    Material,
    Plan,
    free_port,
    get,
    machine,
    median,
    nginx,
    print_table,
    resident_bytes,
    running,
    say,
    tool,
    wait_until,
)
from benchmarks.metrics import connected_months_ago, watched_daemon, worst_lag

GROUPS = 10
"""As `Plan` shares endpoints out."""
EVERY = timedelta(days=9)
"""About how often a group fails."""
SEED = 4


# --- A year --------------------------------------------------------------------------------------


async def write_year(path: Path, now: datetime) -> int:
    """Fill the store of a configuration with a year up to `now`; how many outages."""
    from monitor.adapters.store import SqliteStore
    from monitor.daemon import read_settings
    from monitor.jobs import seal_months
    from monitor.ports import Change
    from monitor.recovery import configuration_fact, load_book

    settings = read_settings(path, {}, now.date())
    begun = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=366)
    year = _Year(random.Random(SEED), begun, now)
    with SqliteStore.open(settings.store.path) as store:
        facts = [configuration_fact(settings, begun), *year.declared()]
        await store.commit(Change(facts=facts))
        for endpoint in settings.endpoints:
            spans, outages = year.of(endpoint.id, endpoint.group)
            await store.commit(Change(spans=spans, outages=outages))
        book = load_book(settings, store).book
        upper = book.branch()
        groups = {endpoint.group for endpoint in settings.endpoints}
        opened = upper.correlate(now, groups)
        await store.commit(Change(facts=[*opened, *_closing(opened, now)]))
        cycle = _cycle(load_book(settings, store).book, store, now)
        await seal_months(cycle, settings.digest, now)
    return year.outages


class _Year:
    """Outages by group, so that each is one incident, with some blips and gaps of single endpoints."""

    def __init__(self, chance: random.Random, begun: datetime, now: datetime) -> None:
        self.chance, self.begun, self.now, self.outages = chance, begun, now, 0
        self.windows: list[tuple[str, datetime, datetime]] = []
        self.troubles = {f"dc-{number}": self._troubles(f"dc-{number}") for number in range(GROUPS)}

    def _troubles(self, group: str) -> list[tuple[datetime, datetime, str]]:
        found = []
        at = self.begun + EVERY * self.chance.random()
        while at < self.now - timedelta(days=1):
            end = at + timedelta(seconds=self.chance.randint(40, 2400))
            found.append((at, end, self.chance.choice(("down", "down", "impaired"))))
            if self.chance.random() < 0.4:
                self.windows.append((group, at + (end - at) / 4, end))
            at = end + EVERY * (0.5 + self.chance.random())
        return found

    def declared(self) -> list[object]:
        from monitor.core.fact import Fact
        from monitor.core.month import show_instant

        numbers = {f"dc-{place}": place for place in range(GROUPS)}
        windows = sorted(self.windows, key=lambda one: one[1])
        done = [
            Fact(
                end + timedelta(hours=1),
                "completion",
                {
                    "id": f"D-{number}",
                    "actual_start": show_instant(start),
                    "actual_end": show_instant(end),
                    "author": "ops",
                    "warnings": [],
                },
            )
            for number, (_, start, end) in enumerate(windows, 1)
        ]
        declared = [
            Fact(
                start - timedelta(days=30),
                "declaration",
                {
                    "id": f"D-{number}",
                    "kind": "planned",
                    "notified_at": show_instant(start - timedelta(days=30)),
                    "start": show_instant(start),
                    "end": show_instant(end),
                    "endpoints": [f"view-{numbers[group] + GROUPS * k}" for k in range(3)],
                    "reason": "upgrade",
                    "ticket": f"T-{number}",
                    "author": "ops",
                    "warnings": [],
                },
            )
            for number, (group, start, end) in enumerate(windows, 1)
        ]
        return sorted([*declared, *done], key=lambda fact: fact.at)

    def of(self, endpoint: str, group: str) -> tuple[list[object], list[object]]:
        """The spans and outages of an endpoint."""
        from monitor.ports import OutageRow, SpanRow

        extra = [(at, at + timedelta(seconds=30), "unconfirmed") for at in self._some(12)]
        extra += [(at, at + timedelta(seconds=300), "unknown") for at in self._some(4)]
        bad = sorted([*self.troubles[group], *extra])
        spans, outages, at = [], [], self.begun
        for start, end, state in bad:
            if start <= at or end >= self.now:
                continue
            spans.append(SpanRow(endpoint, at, start, "up"))
            spans.append(SpanRow(endpoint, start, end, state))
            if state in ("down", "impaired"):
                outages.append(OutageRow(endpoint, start, start + timedelta(seconds=10), end))
            at = end
        spans.append(SpanRow(endpoint, at, self.now, "up"))
        self.outages += len(outages)
        return spans, outages

    def _some(self, most: int) -> list[datetime]:
        whole = (self.now - self.begun).total_seconds() - 3600
        return [
            self.begun + timedelta(seconds=int(self.chance.random() * whole)) for _ in range(most)
        ]


def _closing(opened: Sequence[object], now: datetime) -> list[object]:
    """The steps by which all incidents but the last few are closed."""
    from monitor.core.fact import Fact
    from monitor.core.month import show_instant

    found = []
    names = dict.fromkeys(fact.body["id"] for fact in opened)  # type: ignore[attr-defined]
    for name in list(names)[:-3]:
        for step, body in (
            ("reported", {"ticket": f"M-{name}", "reported_at": show_instant(now)}),
            ("updated", {"cause": "listener crashed", "location": "own", "text": ""}),
            ("attested", {}),
            ("closed", {}),
        ):
            found.append(Fact(now, f"incident.{step}", {"id": name, "author": "ops", **body}))
    return found


def _cycle(book: object, store: object, now: datetime) -> object:
    from monitor.cycle import Cycle, Policy

    class Clock:
        def now(self) -> datetime:
            return now

        def monotonic(self) -> float:
            return time.monotonic()

    class Deaf:
        def __getattr__(self, name: str) -> object:
            return lambda *given: None

    return Cycle(book, store, Clock(), Deaf(), Policy(receivers=()))  # type: ignore[arg-type]


# --- Measuring -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Timed:
    """Requests of one page: seconds of each, bytes, and the longest that the loop was blocked."""

    path: str
    seconds: tuple[float, ...]
    size: int
    lag: float

    @property
    def first(self) -> float:
        return self.seconds[0]

    @property
    def worst(self) -> float:
        """The 99th percentile of those after the first; with fewer than a hundred the longest."""
        found = sorted(self.seconds[1:])
        return found[max(0, -(-99 * len(found) // 100) - 1)]


def request(port: int, path: str) -> tuple[float, bytes]:
    """Seconds from asking to the last byte, and the body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    with contextlib.closing(connection):
        connection.connect()
        began = time.monotonic()
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        took = time.monotonic() - began
    if response.status != 200:
        sys.exit(f"{path} answered {response.status}: {body[:500]!r}")
    return took, body


def timed(port: int, path: str, times: int, lags: Path | None) -> tuple[Timed, bytes]:
    began = time.monotonic()
    found, body = [], b""
    for _ in range(times):
        took, body = request(port, path)
        found.append(took)
        time.sleep(0.05)
    lag = 0.0 if lags is None else worst_lag(lags, began, time.monotonic())
    return Timed(path, tuple(found), len(body), lag), body


_STATIC = """
daemon off;
master_process off;
pid {folder}/static.pid;
error_log {folder}/static-error.log warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/static-body;
    proxy_temp_path {folder}/static-proxy;
    fastcgi_temp_path {folder}/static-fastcgi;
    uwsgi_temp_path {folder}/static-uwsgi;
    scgi_temp_path {folder}/static-scgi;
    server {{ listen {host}:{port}; root {root}; }}
}}
"""


@contextlib.contextmanager
def static(folder: Path, core: int, body: bytes) -> Iterator[int]:
    """nginx that serves these bytes as `/`."""
    folder.mkdir()
    folder.chmod(0o755)
    root = folder / "root"
    root.mkdir()
    (root / "index.html").write_bytes(body)
    port = free_port()
    path = folder / "static.conf"
    path.write_text(_STATIC.format(folder=folder, root=root, host=HOST, port=port))
    with running(core, folder / "static.log", tool("nginx"), "-c", str(path)):

        def answers() -> bool:
            with contextlib.suppress(OSError):
                get(port, "/")
                return True
            return False

        wait_until(answers, "nginx's start", 10)
        yield port


def live_a_year(configuration: Path) -> None:
    """Fill the store of a configuration with a year of history."""
    began = time.monotonic()
    outages = asyncio.run(write_year(configuration, datetime.now(UTC)))
    say(f"a year with {outages:,} outages written in {time.monotonic() - began:.0f} s")


def pages(plan: Plan) -> list[str]:
    now = datetime.now(UTC)
    last = now.replace(day=1) - timedelta(days=3)
    at = (now - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        "/",
        f"/?page={max(1, plan.endpoints // 100)}",
        "/?state=trouble",
        "/endpoints/view-1",
        f"/endpoints/view-1/explain?at={at}",
        "/months",
        f"/months/{now:%Y-%m}",
        f"/months/{last:%Y-%m}",
        "/metrics",
    ]


def measure(
    arguments: argparse.Namespace, folder: Path, cores: Cores, count: int
) -> list[tuple[object, ...]]:
    material = Material.make(folder / f"material-{count}", "EC")
    plan = Plan(count, interval=arguments.interval, connected_from=connected_months_ago(12))
    rows: list[tuple[object, ...]] = []
    with (
        nginx(folder / f"nginx-{count}", material, cores.server, "TLSv1.3") as server,
        watched_daemon(
            folder / f"daemon-{count}",
            plan,
            material,
            server.url,
            cores.prober,
            prepare=live_a_year,
        ) as (
            watched,
            lags,
        ),
    ):
        time.sleep(arguments.settle)
        began = time.monotonic()
        time.sleep(10)
        quiet = worst_lag(lags, began, time.monotonic())
        for path in pages(plan):
            found, body = timed(watched.port, path, arguments.requests, lags)
            with static(folder / f"static-{count}-{len(rows)}", cores.driver, body) as port:
                peer, _ = timed(port, "/", arguments.requests, None)
            rows.append(_row(count, found, replace(peer, path=path), quiet))
            say(" ".join(map(str, rows[-1])))
        memory = resident_bytes(watched.pid, "VmHWM")
        say(f"most memory {memory / 1e6:.0f} MB")
    return rows


def _row(count: int, found: Timed, peer: Timed, quiet: float) -> tuple[object, ...]:
    return (
        f"{count:,}",
        found.path.partition("?at=")[0],
        f"{found.size / 1000:.0f}",
        f"{1000 * found.first:.0f}",
        f"{1000 * median(found.seconds[1:]):.0f}",
        f"{1000 * found.worst:.0f}",
        f"{1000 * found.lag:.0f}",
        f"{1000 * quiet:.0f}",
        f"{median(found.seconds[1:]) / median(peer.seconds[1:]):.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.web", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--endpoints", type=int, nargs="+", default=[1000])
    parser.add_argument("--interval", default="60s", help="of probing (default: 60s)")
    parser.add_argument("--requests", type=int, default=30, help="of each page (default: 30)")
    parser.add_argument("--settle", type=float, default=70.0, help="seconds before (default: 70)")
    parser.add_argument("--nice", type=int, default=0, help="priority of all parts (default: 0)")
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    rows: list[tuple[object, ...]] = []
    with (
        Cores.shared_out(arguments.nice) as cores,
        tempfile.TemporaryDirectory(prefix="benchmark-") as name,
    ):
        Path(name).chmod(0o755)
        for count in arguments.endpoints:
            rows += measure(arguments, Path(name), cores, count)
    print(f"Pages, while all are probed every {arguments.interval}:\n")
    head = ("endpoints", "page", "kB", "first ms", "median ms", "p99 ms")
    print_table((*head, "loop blocked ms", "without requests ms", "times nginx"), rows)


if __name__ == "__main__":
    main()
