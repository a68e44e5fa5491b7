"""The composition root: builds every part, starts them in order, stops them in order.

A stop is an event. Every task has a name; one that ends before the stop ends the process, loudly.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from monitor import __version__
from monitor.adapters import systemd
from monitor.adapters.alertmanager import Alertmanager, Login
from monitor.adapters.apprise import AppriseNotifier, AppriseUrl, prepare
from monitor.adapters.clock import SteadyClock, StepDetector, SystemClock
from monitor.adapters.dead_man import DeadMan
from monitor.adapters.holidays import bank_holidays
from monitor.adapters.identity import identity_document
from monitor.adapters.listener import Listener, ListenerSpec
from monitor.adapters.lock import StoreLock
from monitor.adapters.probe import AiohttpProber, Limits
from monitor.adapters.schedule import Schedule
from monitor.adapters.security import SecurityProber
from monitor.adapters.socket import HEALTH, ControlServer, socket_path
from monitor.adapters.store import SqliteStore
from monitor.adapters.tls import Contexts
from monitor.adapters.webhook import SecretFiles, WebhookNotifier
from monitor.config import Settings, differences, fingerprint, load
from monitor.core.alert import Event, Notice
from monitor.core.book import Book
from monitor.core.delivery import Outcome, counted
from monitor.core.endpoint import Endpoint
from monitor.core.fact import Fact
from monitor.core.ledger import head_notice
from monitor.core.lifecycle import paced
from monitor.core.month import show_instant
from monitor.core.silence import wanted
from monitor.core.standing import Own, Queue, Standing, standing
from monitor.core.verdict import CertificateFacts, Evidence, Reason
from monitor.cycle import SPOOL, Cycle
from monitor.desk import Desk, Upkeep
from monitor.dispatch import Dispatcher
from monitor.errors import ConfigError, Fault, IdentityError, MonitorError, StoreError, StoreLocked
from monitor.findings import Guard
from monitor.jobs import expiry_notices, seal_months
from monitor.leases import Leases
from monitor.operations import perform
from monitor.pacer import Pacer
from monitor.ports import Receipt
from monitor.recovery import configuration_fact, load_book, policy_of
from monitor.watch import OwnTrouble, every
from monitor.web import pages
from monitor.web.app import Health, WebServer, build_app
from monitor.web.metrics import Metrics
from monitor.web.telemetry import PrometheusTelemetry
from monitor.web.tokens import Tokens

log = structlog.get_logger(__name__)

Receiver: TypeAlias = WebhookNotifier | AppriseNotifier

STOP_WITHIN = 8.0
"""Seconds that an orderly stop may take; systemd and containers give ten."""
GATHER = 0.05
"""Seconds for which observations are gathered, so that many share one durable commit."""
LOCK_WITHIN = 5.0
"""Seconds to wait for a command that holds the store."""
IDLE = 5.0
"""Seconds between two looks whether something is configured after all."""
STALE = timedelta(seconds=30)
"""A heartbeat older than this means that we are not probing."""


def read_settings(path: Path, environ: Mapping[str, str], today: date) -> Settings:
    """The configuration with the bank holidays of its calendar. Raises ConfigError."""
    settings = load(path, environ=environ, bank_holidays=bank_holidays, today=today)
    if settings.alerts.apprise:
        with suppress(ImportError):  # then told with its cure, when it is used
            prepare()
    return settings


def identity_uses(settings: Settings) -> list[tuple[str, str | None]]:
    """Which identity is used with which trust."""
    return [(endpoint.identity, endpoint.trust) for endpoint in settings.endpoints]


def _receivers(settings: Settings) -> tuple[object, ...]:
    """What the delivery of alerts depends on."""
    alerts = settings.alerts
    return alerts.webhooks, alerts.apprise, settings.http.public_url, settings.rules.zone


def witnesses_of(settings: Settings) -> frozenset[str]:
    """The identities for which a witness is configured."""
    return frozenset(witness.identity for witness in settings.witness)


async def run(
    path: Path, *, environ: Mapping[str, str], ready: Callable[[], None] = lambda: None
) -> int:
    """Run the daemon until SIGTERM or SIGINT; the exit code. `ready` is called once it probes.

    Raises ConfigError, IdentityError or StoreError if it cannot start.
    """
    today = datetime.now(UTC).date()
    settings = await asyncio.to_thread(read_settings, path, environ, today)
    async with AsyncExitStack() as stack:
        daemon = await Daemon.open(settings, environ, stack)
        return await daemon.serve(ready)


def _settle_memory() -> None:
    """Leave what stays for good out of garbage collection: with many endpoints it stalls the loop."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def _locked(store: Path) -> StoreLock:
    """The store's lock, held; a command that holds it for a moment is waited for."""
    deadline = time.monotonic() + LOCK_WITHIN
    while True:
        lock = StoreLock(store)
        try:
            lock.acquire()
        except StoreLocked:
            if time.monotonic() >= deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return lock


@dataclass(slots=True)
class _Task:
    name: str
    job: Callable[[], Coroutine[Any, Any, None]]


class Daemon:
    """All parts of a running daemon."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        store: SqliteStore,
        contexts: Contexts,
        telemetry: PrometheusTelemetry,
        clock: SteadyClock,
        cycle: Cycle,
    ) -> None:
        self.settings = settings
        self.cycle = cycle
        self.clock = clock
        self.telemetry = telemetry
        self.started_at = clock.now()
        self._environ = environ
        self._store = store
        self._contexts = contexts
        self._wall = SystemClock()
        self._trouble = OwnTrouble(clock, telemetry)
        self._stop = asyncio.Event()
        self._web: WebServer | None = None
        self._listener: Listener | None = None
        self._seen: deque[tuple[Endpoint, Evidence]] = deque(maxlen=SPOOL)
        self._news = asyncio.Event()
        self._heartbeat = self.started_at
        self._swept_at = time.monotonic()
        self._servers: dict[str, CertificateFacts] = {}
        self._witnesses: dict[str, asyncio.Task[None]] = {}
        self._refused: tuple[Fault, ...] = ()
        self._refusals: dict[str, datetime] = {}
        self._taken_over_at: datetime | None = None
        self._fingerprint = ""
        self._reload = asyncio.Event()
        self._secrets: dict[str, SecretFiles] = {}
        agent = settings.probing.user_agent or f"pensions-monitor/{__version__}"
        self._guard = Guard(cycle, clock, SecurityProber(contexts, user_agent=agent))
        self._paced: tuple[Endpoint, ...] = ()
        self._prober = AiohttpProber(
            contexts,
            clock,
            user_agent=agent,
            # The pacer keeps to the configured limits, the web server to its own.
            limits=Limits(concurrent=None, per_host=None, body=settings.probing.max_body),
        )
        self._pacer = Pacer(
            self._prober,
            clock,
            telemetry,
            self._deliver,
            most=settings.probing.max_concurrent,
            most_per_host=settings.probing.per_host,
        )
        self._dispatching = self._new_dispatcher(settings)
        # Of its own: hung name look-ups fill the loop's default executor.
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="leases")
        self._leasing = self._new_leases(settings)
        self._schedule = Schedule(telemetry.job_trouble)
        self._desk = Desk(
            cycle,
            clock,
            lambda: self.settings,
            store,
            True,
            self.started_at,
            wake=lambda: self._dispatching[0].wake(),
            probe=self._probe_now,
            warnings=self._warnings,
            seen=telemetry.last,
            identities=lambda: [identity_document(one) for one in self._contexts.identities],
            upkeep=lambda: Upkeep(self._taken_over_at, dict(self._refusals)),
        )

    @classmethod
    async def open(
        cls, settings: Settings, environ: Mapping[str, str], stack: AsyncExitStack
    ) -> Daemon:
        """Take the store, load the identities, know again what was known."""
        clock = SteadyClock()
        telemetry = PrometheusTelemetry()
        lock = await _locked(settings.store.path)
        stack.callback(lock.release)
        store = SqliteStore.open(settings.store.path, on_write=telemetry.wrote)
        stack.push_async_callback(asyncio.to_thread, store.close)
        contexts = Contexts()
        specs = settings.identities.values()
        await contexts.replace(specs, identity_uses(settings), now=clock.now())
        recovered = await asyncio.to_thread(load_book, settings, store)
        _settle_memory()
        for name in recovered.book.register.endpoints:
            last = recovered.book.track(name).last
            if last is not None:
                clock.not_before(last.at)
        cycle = Cycle(
            recovered.book,
            store,
            clock,
            telemetry,
            policy_of(settings),
            witnesses=witnesses_of(settings),
        )
        daemon = cls(settings, environ, store, contexts, telemetry, clock, cycle)
        cycle.on_change = daemon._on_change
        cycle.hurry = daemon._pacer.hurry
        await daemon._record_start(recovered.configuration)
        return daemon

    def _on_change(self) -> None:
        """A judgement changed, or an alert was queued."""
        self._dispatching[0].wake()
        self._leasing[0].wake()

    async def _record_start(self, last: Mapping[str, Any] | None) -> None:
        """Record the configuration if it is another, and how long nobody watched."""
        now = self.clock.now()
        fact = configuration_fact(self.settings, now)
        if last != fact.body:
            await self.cycle.learn([fact])
        frontiers = self._store.frontiers()
        since = max(frontiers.values(), default=None)
        longest = max((e.cadence.gap_after for e in self.settings.endpoints), default=timedelta())
        if since is not None and now - since > longest:
            data = {"since": show_instant(since), "until": show_instant(now)}
            event = Event(now, "monitor.gap", "monitor", data)
            await self.cycle.notify([Notice(f"monitor.gap {show_instant(since)}", event)])
            log.warning("not_watched", since=data["since"], until=data["until"])

    # -- life ----------------------------------------------------------------------------------

    async def serve(self, ready: Callable[[], None]) -> int:
        """Probe and serve until stopped."""
        self._install_signals()
        self._fingerprint = fingerprint(self.settings)
        await self._prober.start()
        web = self._web = await self._start_web()
        control = ControlServer(socket_path(self.settings.store.path), self._control)
        await control.start()
        self._start_jobs()
        self._pace()
        tasks = {
            asyncio.create_task(task.job(), name=task.name): task.name for task in self._tasks()
        }
        log.info(
            "started",
            version=__version__,
            endpoints=len(self.settings.endpoints),
            listen=f"{self.settings.http.host}:{web.port}",
            store=str(self.settings.store.path),
        )
        systemd.notify("READY=1")
        ready()
        died = await self._until_stopped(tasks)
        systemd.notify("STOPPING=1")
        try:
            async with asyncio.timeout(STOP_WITHIN):
                await self._stop_all(tasks, control, web)
        except TimeoutError:
            log.error("stop_took_too_long", seconds=STOP_WITHIN)
            return 1
        log.info("stopped")
        return 1 if died else 0

    def _tasks(self) -> list[_Task]:
        watchdog = systemd.watchdog_interval()
        fed = [] if watchdog is None else [_Task("watchdog", lambda: every(watchdog, self._feed))]
        return [
            _Task("pacer", self._pacer.run),
            _Task("recorder", self._record),
            _Task("sweeper", lambda: every(1.0, self._sweep)),
            _Task("loop-watch", self._trouble.watch_loop),
            _Task("clock-watch", self._watch_clock),
            _Task("reloader", self._watch_files),
            _Task("dispatcher", self._dispatch),
            _Task("leases", self._keep_leases),
            _Task("dead-man", self._dead_man),
            _Task("care", lambda: every(10.0, self._care)),
            _Task("security", lambda: every(60.0, self._check_security)),
            *fed,
        ]

    async def _until_stopped(self, tasks: Mapping[asyncio.Task[None], str]) -> bool:
        """Wait for the stop, or for a task that ends before it; whether one did."""
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        dead = [task for task in tasks if task.done()]
        for task in dead:
            error = None if task.cancelled() else task.exception()
            log.critical("task_died", task=tasks[task], exc_info=error)
        stop.cancel()
        return bool(dead)

    async def _stop_all(
        self, tasks: Mapping[asyncio.Task[None], str], control: ControlServer, web: WebServer
    ) -> None:
        """Ask nothing more, record what was seen, deliver what is under way, close."""
        await control.close()
        await web.stop()
        by_name = {name: task for task, name in tasks.items()}
        dispatcher = by_name.pop("dispatcher")
        self._dispatching[0].stop()
        ended = [*by_name.values(), *self._witnesses.values()]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)
        try:
            await self._take_seen()
            await self.cycle.flush()
        except StoreError as trouble:
            log.error("not_recorded_at_stop", why=str(trouble))
        await asyncio.gather(
            dispatcher, self._schedule.stop(timedelta(seconds=2)), return_exceptions=True
        )
        await self._prober.close()
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    def _on_stop_signal(self) -> None:
        """The first stops in order; the second forces."""
        if self._stop.is_set():
            log.critical("forced_stop")
            os._exit(130)
        log.info("stopping")
        self._stop.set()

    async def _start_web(self) -> WebServer:
        http = self.settings.http
        tokens = None if http.tokens_file is None else Tokens(http.tokens_file)
        metrics = Metrics(self._desk, self.telemetry, self._contexts)
        health = Health(self._unready)
        if http.tls is not None:
            spec = ListenerSpec(*dataclasses.astuple(http.tls))
            self._listener = Listener(spec)
        tls = None if self._listener is None else await self._listener.open(self.clock.now())
        app = build_app(self._desk, metrics, health, tokens, self._ask)
        web = WebServer(app, http.host, http.port, tls)
        await web.start()
        return web

    def _unready(self) -> list[str]:
        """Why we are not ready; empty when probing and storing."""
        reasons = []
        if self._sweep_is_late():
            reasons.append(f"no sweep since {show_instant(self._heartbeat)}")
        if self.cycle.store_failing_since is not None:
            reasons.append(
                f"the store cannot be written since {show_instant(self.cycle.store_failing_since)}"
            )
        return reasons

    # -- probing -------------------------------------------------------------------------------

    async def _deliver(self, endpoint: Endpoint, evidence: Evidence) -> None:
        evidence = self._trouble.excuse(endpoint, evidence)
        if evidence.tls.chain and evidence.failure is None:
            self._servers[endpoint.id] = evidence.tls.chain[0]
        self._seen.append((endpoint, evidence))
        self._news.set()

    async def _record(self) -> None:
        """Record what was seen, all that has arrived at once."""
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER)
            self._news.clear()
            await self._take_seen()

    async def _take_seen(self) -> None:
        seen = list(self._seen)
        self._seen.clear()
        await self.cycle.take(seen)

    async def _probe_now(self, name: str) -> Evidence:
        """One probe on demand; nothing of it is recorded. Raises UnknownName."""
        self.cycle.book.track(name)
        return await self._prober.probe(self.cycle.book.register.endpoints[name])

    async def _sweep(self) -> None:
        await self.cycle.sweep()
        for identity, reason in self.cycle.witness_wanted():
            if identity not in self._witnesses:
                asking = asyncio.create_task(self._ask_witness(identity, reason))
                self._witnesses[identity] = asking
        self._heartbeat, self._swept_at = self._wall.now(), time.monotonic()
        self.telemetry.heartbeat(self._heartbeat)

    def _sweep_is_late(self) -> bool:
        """Whether we have stopped to look, whatever the wall clock does."""
        return time.monotonic() - self._swept_at > STALE.total_seconds()

    def _pace(self) -> None:
        """Probe as often as is due now: in hypercare more often."""
        register = self.cycle.book.register
        fresh = paced(self.settings.endpoints, self.clock.now(), register)
        if fresh != self._paced:
            self._paced = fresh
            self._pacer.set_endpoints(fresh)

    async def _care(self) -> None:
        """Keep the pace that is due; record URLs and server certificates that changed."""
        self._pace()
        await self._insist(lambda: self._guard.watch(self._servers))

    async def _check_security(self) -> None:
        """Ask endpoints what they must refuse, where that is configured."""
        await self._insist(self._guard.probe_due)

    async def _ask_witness(self, identity: str, reason: Reason) -> None:
        """Probe the witness of an identity once, and tell the cycle whether it fails alike."""
        try:
            witness = next(one for one in self.settings.witness if one.identity == identity)
            model = next(one for one in self.settings.endpoints if one.identity == identity)
            host = f"[{witness.host}]" if ":" in witness.host else witness.host
            asked = replace(model, id="witness", url=f"https://{host}:{witness.port}/witness")
            evidence = await self._prober.probe(asked)
            await self.cycle.testify(identity, alike=evidence.failure is reason)
        finally:
            del self._witnesses[identity]

    # -- watching ------------------------------------------------------------------------------

    async def _watch_clock(self) -> None:
        detector = StepDetector()
        while True:
            step = detector.observe(self._wall.now(), self._wall.monotonic())
            if step is not None:
                await self._on_clock_step(step)
            await asyncio.sleep(1.0)

    async def _on_clock_step(self, step: timedelta) -> None:
        """Record the step, let the jobs know the new time, excuse probes under way."""
        seconds = step.total_seconds()
        self._trouble.stepped()
        self.telemetry.clock_stepped(seconds)
        self._schedule.revive()
        log.warning("clock_stepped", seconds=seconds)
        now = self.clock.now()
        event = Event(
            now, "monitor.local_fault", "monitor", {"reason": "local_clock", "step_s": seconds}
        )
        await self._insist(
            lambda: self.cycle.learn([Fact(now, "clock_step", {"seconds": seconds})], [event])
        )

    async def _insist(self, write: Callable[[], Awaitable[object]]) -> None:
        """Write something of our own; a store that cannot be written now only loses this."""
        try:
            await write()
        except StoreError as trouble:
            log.error("not_recorded", why=str(trouble))

    async def _feed(self) -> None:
        """Tell systemd that we live; a full disk is no reason to be restarted, a dead sweep is."""
        if not self._sweep_is_late():
            systemd.notify("WATCHDOG=1")

    async def _dead_man(self) -> None:
        """Ping a service that raises the alarm when the pings stop; only while we are ready."""
        trouble = ""
        while True:
            given = self.settings.alerts.dead_man
            if given is None:
                await asyncio.sleep(IDLE)
                continue
            dead_man = DeadMan(given.url, given.url_file, timeout=given.timeout)
            try:
                while given == self.settings.alerts.dead_man:
                    if not self._unready():
                        trouble = self._pinged(await dead_man.ping(), trouble)
                    await asyncio.sleep(given.every.total_seconds())
            finally:
                await dead_man.close()

    def _pinged(self, outcome: Outcome, before: str) -> str:
        """Count a ping, and log it if it went otherwise than the one before; its trouble, if any."""
        word, trouble = counted(outcome)
        self.telemetry.delivered("dead-man", word)
        if trouble and trouble != before:
            log.error("dead_man_not_pinged", why=trouble)
        elif before and not trouble:
            log.info("dead_man_pinged_again")
        return trouble

    # -- alerts --------------------------------------------------------------------------------

    def _new_dispatcher(self, settings: Settings) -> tuple[Dispatcher, list[Receiver]]:
        """Who delivers alerts, and to whom. Raises ConfigError."""
        hooks = settings.alerts.webhooks
        notifiers: list[Receiver] = [
            AppriseNotifier(
                one.name,
                AppriseUrl(one.url, one.url_file),
                zone=settings.rules.zone,
                timeout=one.timeout,
                public_url=settings.http.public_url,
            )
            for one in settings.alerts.apprise
        ]
        for hook in hooks:
            files = [file for file in (hook.secret_file, hook.previous_secret_file) if file]
            keys = SecretFiles(files) if files else None
            seconds = hook.timeout
            notifiers.append(
                WebhookNotifier(hook.name, hook.url, clock=self.clock, keys=keys, timeout=seconds)
            )
        dispatcher = Dispatcher(
            self._store,
            notifiers,
            self.clock,
            expire_after={one.name: one.expire_after for one in settings.alerts.receivers},
            on_outcome=self.telemetry.delivered,
            drain=timedelta(seconds=3),
        )
        return dispatcher, notifiers

    async def _dispatch(self) -> None:
        """Deliver alerts; with new receivers after a reload."""
        while True:
            dispatcher, notifiers = self._dispatching
            await dispatcher.run()
            for notifier in notifiers:
                await notifier.close()
            if self._stop.is_set() or dispatcher is self._dispatching[0]:
                return

    def _new_leases(self, settings: Settings) -> tuple[Leases, list[Alertmanager]]:
        """Who keeps the Alertmanagers up to date. Raises ConfigError."""
        members = [
            Alertmanager(
                given.url,
                resend_every=given.resend_every,
                timeout=given.timeout,
                silences=given.silences,
                created_by=given.created_by,
                login=Login(given.username, given.password_file, given.bearer_token_file),
                ca_file=given.ca_file,
                public_url=settings.http.public_url,
            )
            for given in settings.alerts.alertmanager
        ]
        leases = Leases(
            members,
            self._standing,
            lambda: wanted(self.cycle.book, self.clock.now()),
            self._wall,
            on_outcome=self.telemetry.delivered,
        )
        return leases, members

    async def _keep_leases(self) -> None:
        """Tell the Alertmanagers what stands; others after a reload."""
        while True:
            leases, members = self._leasing
            try:
                await leases.run()
            finally:
                for member in members:
                    await member.close()
            if leases is self._leasing[0]:
                return

    async def _standing(self) -> list[Standing]:
        """What stands now, of all that is known here."""
        alerts, endpoints = self.settings.alerts, self.cycle.book.register.endpoints
        loop = asyncio.get_running_loop()
        try:
            stats = await loop.run_in_executor(self._reader, self._store.queue_stats)
        except StoreError:
            stats = {}
        own = Own(
            ours={one.name: (one.leaf, *one.chain) for one in self._contexts.identities},
            servers={name: one for name, one in self._servers.items() if name in endpoints},
            identity_days=max(alerts.identity_expiry_days, default=0),
            certificate_days=max(alerts.certificate_expiry_days, default=0),
            store_failing_since=self.cycle.store_failing_since,
            unready=self._unready(),
            refused=dict(self._refusals),
            queues={receiver: Queue(*numbers) for receiver, numbers in stats.items()},
        )
        return standing(self.cycle.book, own, self.clock.now())

    # -- reload --------------------------------------------------------------------------------

    async def _watch_files(self) -> None:
        """Pick up a changed configuration or identity, whole or not at all."""
        while True:
            try:
                async with asyncio.timeout(5.0):
                    await self._reload.wait()
            except TimeoutError:
                pass
            asked = self._reload.is_set()
            self._reload.clear()
            now = await asyncio.to_thread(fingerprint, self.settings)
            if asked or now != self._fingerprint:
                self._fingerprint = now
                systemd.reloading()
                await self._reload_settings()
                systemd.notify("READY=1")
            await self._refresh_identities()

    async def _reload_settings(self) -> None:
        today = self._wall.now().date()
        try:
            fresh = await asyncio.to_thread(read_settings, self.settings.path, self._environ, today)
            if fresh != self.settings:
                await self._adopt(fresh)
                self._taken_over_at = self.clock.now()
        except (ConfigError, IdentityError, StoreError) as trouble:
            self._reloaded("configuration", False)
            log.error("reload_refused", why=str(trouble), kept="the configuration in force")
            return
        self._reloaded("configuration", True)

    def _reloaded(self, what: str, ok: bool) -> None:
        """What changed was taken over or not; as long as either was not, that is told."""
        if ok:
            self._refusals.pop(what, None)
        else:
            self._refusals.setdefault(what, self.clock.now())
        self.telemetry.reloaded(not self._refusals)

    async def _adopt(self, fresh: Settings) -> None:
        """Take over a new configuration. Raises, and then nothing has changed."""
        changes = differences(self.settings, fresh)
        needs_restart = list(changes.restart)
        if fresh.probing != self.settings.probing:
            needs_restart.append("probing")
        uses = identity_uses(fresh)
        await self._contexts.replace(fresh.identities.values(), uses, now=self.clock.now())
        book = Book(fresh.rules, fresh.endpoints, fresh.holdernames)
        fact = configuration_fact(fresh, self.clock.now())
        old = configuration_fact(self.settings, fact.at)
        rewired = _receivers(fresh) != _receivers(self.settings)
        readdressed = (fresh.alerts.alertmanager, fresh.http.public_url) != (
            self.settings.alerts.alertmanager,
            self.settings.http.public_url,
        )
        dispatching, leasing = self._dispatching, self._leasing
        fresh_dispatching = self._new_dispatcher(fresh) if rewired else dispatching
        fresh_leasing = self._new_leases(fresh) if readdressed else leasing
        facts = [fact] if fact.body != old.body else []
        await self.cycle.replace_book(book, facts, witnesses_of(fresh))
        self.settings = fresh
        self._dispatching, self._leasing = fresh_dispatching, fresh_leasing
        _settle_memory()
        self.cycle.policy = policy_of(fresh)
        self._pace()
        self.telemetry.forget(changes.removed)
        if rewired:
            dispatching[0].stop()
        if readdressed:
            leasing[0].stop()
        log.info(
            "reloaded",
            added=len(changes.added),
            removed=len(changes.removed),
            changed=len(changes.changed),
            needs_restart=needs_restart,
        )

    async def _refresh_identities(self) -> None:
        refreshed = await self._contexts.refresh(self.clock.now())
        for name in refreshed.changed:
            log.info("identity_reloaded", identity=name)
        if refreshed.faults != self._refused:
            self._refused = refreshed.faults
            for fault in refreshed.faults:
                log.error("identity_refused", why=str(fault), kept="the identity in force")
            self._reloaded("identities", not refreshed.faults)
        if self._listener is not None:
            await self._refresh_listener(self._listener)

    async def _refresh_listener(self, listener: Listener) -> None:
        """Take up a renewed certificate of our own listener; a faulty one leaves the old in force."""
        try:
            if await listener.refresh(self.clock.now()):
                log.info("listener_reloaded")
                self._reloaded("listener", True)
        except IdentityError as trouble:
            for fault in trouble.faults:
                log.error("listener_refused", why=str(fault), kept="the certificate in force")
            self._reloaded("listener", False)

    # -- jobs ----------------------------------------------------------------------------------

    def _start_jobs(self) -> None:
        now = self._wall.now() + timedelta(seconds=1)
        self._schedule.hourly("seal-months", self._seal)
        self._schedule.monthly("month-rollover", self._seal)
        self._schedule.daily("expiry", 4, self._expiry)
        self._schedule.daily("retention", 5, self._retention)
        self._schedule.daily("ledger-head", 6, self._ledger_head)
        self._schedule.at("seal-at-start", now, self._seal)
        self._schedule.at("overview-at-start", now, self._look)
        self._schedule.at("expiry-at-start", now + timedelta(minutes=1), self._expiry)
        self._schedule.at("settle-memory", now + timedelta(minutes=1), self._settle_memory)
        self._schedule.start()

    async def _settle_memory(self) -> None:
        """Once more when every endpoint has been probed, and has its place in memory."""
        _settle_memory()

    async def _look(self) -> None:
        """Do what the pages remember once before anybody asks, so that the first visitor waits less."""
        await asyncio.to_thread(pages.prepare)
        await self._ask("overview", {}, "")

    async def _seal(self) -> None:
        await seal_months(self.cycle, self.settings.digest, self.clock.now())

    async def _expiry(self) -> None:
        alerts = self.settings.alerts
        ours = {one.name: (one.leaf, *one.chain) for one in self._contexts.identities}
        notices = expiry_notices(
            ours,
            self._servers,
            self.clock.now(),
            identity_days=alerts.identity_expiry_days,
            certificate_days=alerts.certificate_expiry_days,
        )
        await self.cycle.notify(notices)

    async def _retention(self) -> None:
        before = self.clock.now() - self.settings.store.retain_observations
        pruned = await self._store.prune_observations(before)
        if pruned:
            log.info("observations_pruned", count=pruned, before=show_instant(before))

    async def _ledger_head(self) -> None:
        """Send the head of the chain away, so that it is held elsewhere too."""
        notice = head_notice(*await asyncio.to_thread(self._store.head), self.clock.now())
        if notice is not None:
            await self.cycle.notify([notice])

    def _warnings(self) -> Sequence[str]:
        found = list(self.settings.warnings)
        for one in self._contexts.identities:
            found.extend(str(fault) for fault in one.warnings)
        if self._listener is not None:
            found.extend(str(fault) for fault in self._listener.warnings)
        return found

    async def _ask(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        author: str,
        *,
        receipt: Receipt | None = None,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> dict[str, Any]:
        """One request of a page or of the API."""
        return await perform(
            self._desk, operation, arguments, author=author, receipt=receipt, before=before
        )

    async def _control(
        self, operation: str, arguments: Mapping[str, Any], author: str
    ) -> dict[str, Any]:
        """One request over the control socket."""
        if operation == HEALTH:
            return self._health()
        try:
            return await self._ask(operation, arguments, author)
        except MonitorError as trouble:
            log.info("request_refused", operation=operation, author=author, why=str(trouble))
            raise

    def _health(self) -> dict[str, Any]:
        """How we are, for `healthcheck`: where we listen, and what speaks against being ready."""
        reasons = self._unready()
        web = self._web
        return {
            "version": __version__,
            "host": self.settings.http.host if web is None else web.host,
            "port": None if web is None else web.port,
            "ready": not reasons,
            "reasons": reasons,
        }
