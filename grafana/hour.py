"""One scripted hour, lived by the real parts of the monitor under a clock that is moved by hand.

Configuration, store, cycle, operations, dispatcher, telemetry and web server are those of the
daemon; only what probes see is made up. Every 15 s of the hour `/metrics` is fetched over HTTP, as
Prometheus would, and kept with its instant, so that a real Prometheus can be filled with the hour.
For tests and pictures of the dashboards.

What happens, in minutes from START, the first of a month in London:

* find-main fails once at 5:00 (a blip); its window D-1 lasts from 35 to 45, and it is down from 36
  to 48: nine minutes are declared, three are an overrun;
* view-main refuses connections from 10 to 30, and answers 503 from 52 on: an incident restored, and
  one open at the end;
* pat-main asks for fewer requests (429) from 20 to 24, and a fault of ours hides it from 40 to 42;
* view-test answers 503 from 15 to 25. It is watched, never counted.

find-main and pat-main are connected since May. Then find-main was probed for 22 minutes, and down for
20 of them; nothing else is known of that month.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from monitor.adapters.holidays import bank_holidays
from monitor.adapters.store import SqliteStore
from monitor.config import Settings, load
from monitor.core.delivery import Accepted, Outcome
from monitor.core.endpoint import Endpoint
from monitor.core.verdict import CertificateFacts, Evidence, Phases, Reason, TlsFacts
from monitor.cycle import Cycle
from monitor.desk import Desk
from monitor.dispatch import Dispatcher
from monitor.operations import perform
from monitor.ports import Delivery
from monitor.recovery import configuration_fact, load_book, policy_of
from monitor.snapshot import Document
from monitor.web.app import Health, WebServer, build_app
from monitor.web.metrics import Metrics
from monitor.web.telemetry import PrometheusTelemetry

START = datetime(2026, 5, 31, 23, tzinfo=UTC)
"""Midnight in London, the first of June."""
LASTS = timedelta(hours=1)
END = START + LASTS
SCRAPE = timedelta(seconds=15)
PROBE = timedelta(seconds=30)
TAKES = timedelta(milliseconds=200)
TOLD = datetime(2026, 5, 15, 9, tzinfo=UTC)
"""When MaPS was told of D-1: eleven working days before, as one is a bank holiday."""
MONTH = "2026-06"
EXPIRES = {
    ("client", "live"): datetime(2026, 6, 20, tzinfo=UTC),
    ("client_ca", "live"): datetime(2027, 6, 1, tzinfo=UTC),
    ("server", ""): datetime(2026, 8, 1, tzinfo=UTC),
}
"""When certificates run out, by role; those of servers are alike."""

CONFIGURATION = """\
organisation: {name: Example Administration Ltd, connection: federated}
identities:
  live: {pack: live}
defaults: {interval: 30s, recheck_interval: 30s}
endpoints:
  - {id: find-main, service: find, url: "https://north.example/find", identity: live,
     connected_from: 2026-05-01}
  - {id: view-main, service: view, url: "https://west.example/view", identity: live,
     connected_from: 2026-06-01}
  - {id: pat-main, service: pat-refresh, url: "https://east.example/pat", identity: live,
     connected_from: 2026-05-01}
  - {id: view-test, service: view, url: "https://test.example/view", identity: live,
     environment: test}
store: {url: sqlite:monitor.db}
http: {listen: "127.0.0.1:9464"}
alerts:
  webhooks:
    - {name: ops, url: "https://hooks.example/x", secret_file: hook.secret}
"""


@dataclass(frozen=True, slots=True)
class Trouble:
    """From and to so many minutes after START, probes of an endpoint fail like this."""

    endpoint: str
    start: float
    end: float
    failure: Reason | None = None
    status: int | None = None


MAY = (TOLD - START) / timedelta(minutes=1)
SCRIPT = (
    Trouble("find-main", MAY + 1, MAY + 21, Reason.CONNECT_REFUSED),
    Trouble("find-main", 5, 5.5, Reason.CONNECT_RESET),
    Trouble("find-main", 36, 48, status=503),
    Trouble("view-main", 10, 30, Reason.CONNECT_REFUSED),
    Trouble("view-main", 52, 60, status=503),
    Trouble("view-test", 15, 25, status=503),
    Trouble("pat-main", 20, 24, status=429),
    Trouble("pat-main", 40, 42, Reason.LOCAL_OVERLOAD),
)
REACHED = Phases(dns=0.002, connect=0.01, tls=0.03, ttfb=0.15, transfer=0.008)
REFUSED = Phases(dns=0.002, connect=0.01)
QUICK = replace(REACHED, ttfb=0.05)
"""pat-main's."""


class Clock:
    """Stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


class Receiver:
    """A webhook that takes everything, and counts."""

    name = "ops"

    def __init__(self) -> None:
        self.taken = 0

    async def send(self, delivery: Delivery) -> Outcome:
        self.taken += 1
        return Accepted()


def certificate(role: str, name: str) -> CertificateFacts:
    """One that runs out as EXPIRES says."""
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    ends = EXPIRES[role, name]
    return CertificateFacts(f"CN={role}", "CN=issuer", "01", begins, ends, (), "00" * 32)


@dataclass(frozen=True, slots=True)
class Identity:
    """A client identity in use."""

    name: str
    leaf: CertificateFacts
    chain: tuple[CertificateFacts, ...]


class Identities:
    """The identities in use."""

    identities: Sequence[Identity] = (
        Identity("live", certificate("client", "live"), (certificate("client_ca", "live"),)),
    )


def seen(endpoint: Endpoint, at: datetime) -> Evidence:
    """What a probe of an endpoint that begins then sees, as SCRIPT says."""
    minutes = (at - START) / timedelta(minutes=1)
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", (certificate("server", ""),))
    phases = QUICK if endpoint.id == "pat-main" else REACHED
    usual = Evidence(endpoint.id, at, TAKES.total_seconds(), status=401, phases=phases, tls=tls)
    for trouble in SCRIPT:
        if trouble.endpoint == endpoint.id and trouble.start <= minutes < trouble.end:
            if trouble.failure is None:
                return replace(usual, status=trouble.status)
            return replace(
                usual, failure=trouble.failure, status=None, phases=REFUSED, tls=TlsFacts()
            )
    return usual


class Hour:
    """The parts of one daemon in a folder. Live through it with `play`."""

    def __init__(
        self, settings: Settings, store: SqliteStore, telemetry: PrometheusTelemetry
    ) -> None:
        self.settings = settings
        self.clock = Clock(TOLD)
        self.telemetry = telemetry
        self.store = store
        self.cycle = Cycle(
            load_book(settings, store).book,
            store,
            self.clock,
            self.telemetry,
            policy_of(settings),
        )
        self.desk = Desk(self.cycle, self.clock, lambda: settings, store, True, START)
        self.receiver = Receiver()
        self.dispatcher = Dispatcher(
            store, [self.receiver], self.clock, on_outcome=self.telemetry.delivered
        )

    async def ask(
        self, operation: str, arguments: Mapping[str, Any], author: str, **more: Any
    ) -> Document:
        """One of the operations that the command line and the API are made of."""
        return await perform(self.desk, operation, arguments, author=author, **more)

    async def play(self, path: Path, look: Look | None = None) -> None:
        """Live through the hour; what is scraped goes into a file, fit for promtool."""
        await self.cycle.learn([configuration_fact(self.settings, self.clock.now())])
        await self._declare()
        await self._see_may()
        metrics = Metrics(self.desk, self.telemetry, Identities())
        app = build_app(self.desk, metrics, Health(), None, self.ask)
        server = WebServer(app, "127.0.0.1", 0)
        await server.start()
        delivering = asyncio.create_task(self.dispatcher.run())
        url = f"http://127.0.0.1:{server.port}/metrics"
        try:
            async with aiohttp.ClientSession() as session:
                with path.open("w", encoding="utf-8") as file:
                    await self._live(session, url, file.write, look)
                    file.write("# EOF\n")
        finally:
            self.dispatcher.stop()
            await delivering
            await server.stop()

    async def _declare(self) -> None:
        """D-1, told in time, and another window later in the month."""
        for start, end in (
            (START + timedelta(minutes=35), START + timedelta(minutes=45)),
            (START + timedelta(days=19), START + timedelta(days=19, hours=2)),
        ):
            told = await self.ask(
                "downtime.declare",
                {
                    "start": start.isoformat(),
                    "end": end.isoformat(),
                    "reason": "database upgrade",
                    "endpoints": ["find-main"],
                },
                "ops",
            )
            await self.ask("downtime.notify", {"id": told["id"], "ticket": "PDP-1"}, "ops")

    async def _see_may(self) -> None:
        """Twenty-two minutes of find-main, and nobody was told of it yet."""
        (find,) = (one for one in self.settings.endpoints if one.id == "find-main")
        for slot in range(45):
            begins = TOLD + slot * PROBE
            self.clock.at = begins + TAKES
            await self.cycle.take([(find, seen(find, begins))])
            await self.cycle.sweep()

    async def _live(
        self,
        session: aiohttp.ClientSession,
        url: str,
        write: Callable[[str], object],
        look: Look | None,
    ) -> None:
        self.telemetry.job_trouble("month-close", "missed")
        for tick in range(LASTS // SCRAPE + 1):
            now = self.clock.at = START + tick * SCRAPE
            if tick:
                await self._settle(now)
                if look is not None:
                    await look(now, self)
                async with session.get(url) as answer:
                    write("".join(stamped(await answer.text(), now)))
            if tick % (PROBE // SCRAPE) == 0 and now < END:
                await self._probe(now)

    async def _settle(self, now: datetime) -> None:
        """What the daemon does beside probing: its rounds, and deliveries."""
        self.telemetry.heartbeat(now)
        self.telemetry.loop_lag(0.002)
        await self.cycle.sweep()
        self.dispatcher.wake()
        async with asyncio.timeout(10):
            # The dispatcher tells nobody when it is done.
            while any(waiting for waiting, _, _ in self.store.queue_stats().values()):  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def _probe(self, now: datetime) -> None:
        endpoints = self.settings.endpoints
        for _ in endpoints:
            self.telemetry.slot("started", 0.003)
        self.clock.at = now + TAKES
        await self.cycle.take([(endpoint, seen(endpoint, now)) for endpoint in endpoints])


Look = Callable[[datetime, Hour], Awaitable[None]]
"""Called at each scrape with its instant, just before it."""


def stamped(text: str, at: datetime) -> Iterator[str]:
    """The samples of a scrape as Prometheus stores them: with its own labels and their instant.

    A label `job` of ours becomes `exported_job`.
    """
    where = 'instance="monitor:9464",job="monitor"'
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        series, _, value = line.rpartition(" ")
        name, brace, labels = series.partition("{")
        labels = re.sub(r'(^|,)job="', r'\1exported_job="', labels.removesuffix("}"))
        known = f"{labels},{where}" if brace else where
        yield f"{name}{{{known}}} {value} {at.timestamp():.3f}\n"
    yield f"up{{{where}}} 1 {at.timestamp():.3f}\n"


async def lived(folder: Path, look: Look | None = None) -> Path:
    """Live through the hour in an empty folder; the file of what was scraped.

    `monitor.yaml` and its store stay there, as the daemon would leave them at END.
    """
    path = folder / "monitor.yaml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    settings = load(path, environ={}, bank_holidays=bank_holidays)
    async with AsyncExitStack() as stack:
        telemetry = PrometheusTelemetry()
        store = SqliteStore.open(settings.store.path, on_write=telemetry.wrote)
        stack.push_async_callback(asyncio.to_thread, store.close)
        await Hour(settings, store, telemetry).play(folder / "hour.txt", look)
    return folder / "hour.txt"
