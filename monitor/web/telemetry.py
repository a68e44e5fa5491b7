"""What the daemon counts about itself and its probes (ports.Telemetry), for Prometheus.

What there is once, or once per service, is held by the library. What there is per endpoint is held
as plain numbers and written by hand: `probed` runs once per probe, and must cost next to nothing.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from monitor import __version__
from monitor.core.endpoint import Endpoint, Service
from monitor.core.verdict import Evidence, Phases, Reason, Result, TlsFacts, Verdict
from monitor.web.exposition import Family, label

DURATION = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 30.0)
LATENESS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
LAG = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
WRITE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of the buckets, in seconds."""

PROBE_DURATION = Family(
    "monitor_probe_duration_seconds", "histogram", ("service",), "Time a whole probe took."
)
PROBE_LATENESS = Family(
    "monitor_probe_lateness_seconds", "histogram", (), "How late after its slot a probe started."
)
PROBE_SLOTS = Family(
    "monitor_probe_slots_total",
    "counter",
    ("outcome",),
    "Slots of the probing schedule: started, or missed because the last probe still ran.",
)
LOOP_LAG = Family(
    "monitor_event_loop_lag_seconds", "histogram", (), "How late the event loop woke."
)
CLOCK_STEP = Family(
    "monitor_clock_step_seconds_total",
    "counter",
    (),
    "Seconds by which the wall clock was stepped, forwards or backwards.",
)
STORE_WRITE = Family(
    "monitor_store_write_seconds", "histogram", (), "Time a commit to the store took."
)
STORE_CHANGES = Family(
    "monitor_store_changes_total", "counter", (), "Changes committed to the store."
)
STORE_FAILING = Family(
    "monitor_store_failing", "gauge", (), "1 while the store cannot be written, else 0."
)
STORE_SPOOLED = Family(
    "monitor_store_spooled_observations",
    "gauge",
    (),
    "Observations that wait in memory for the store.",
)
STORE_LOST = Family(
    "monitor_store_lost_observations",
    "gauge",
    (),
    "Observations lost for want of room since the store began to fail.",
)
DELIVERIES = Family(
    "monitor_alert_deliveries_total",
    "counter",
    ("receiver", "outcome"),
    "Attempts to deliver an alert: accepted, retry, rejected or expired.",
)
RELOADED = Family(
    "monitor_config_last_reload_successful",
    "gauge",
    (),
    "1 if the last reading of the configuration and identities was taken over, else 0.",
)
HEARTBEAT = Family(
    "monitor_heartbeat_timestamp_seconds", "gauge", (), "When the daemon last did its rounds."
)
JOB_TROUBLE = Family(
    "monitor_job_troubles_total",
    "counter",
    ("job", "what"),
    "Wall-clock jobs that failed (error), were missed, or ran into the next run (overrun).",
)
BUILD = Family(
    "monitor_build_info", "gauge", ("version", "python"), "Always 1; the labels say what runs."
)
REGISTERED = (
    PROBE_DURATION,
    PROBE_LATENESS,
    PROBE_SLOTS,
    LOOP_LAG,
    CLOCK_STEP,
    STORE_WRITE,
    STORE_CHANGES,
    STORE_FAILING,
    STORE_SPOOLED,
    STORE_LOST,
    DELIVERIES,
    RELOADED,
    HEARTBEAT,
    JOB_TROUBLE,
    BUILD,
)
"""What the library's registry holds."""

PROBE_RESULTS = Family(
    "monitor_probe_results_total",
    "counter",
    ("endpoint", "service", "result", "reason"),
    "Probes by result (up, impaired, down, local) and reason.",
)
PROBE_PHASE = Family(
    "monitor_probe_phase_seconds",
    "gauge",
    ("endpoint", "phase"),
    "Time of each phase of the last probe: dns, connect, tls, ttfb, transfer; only those reached.",
)
TLS_INFO = Family(
    "monitor_tls_info",
    "gauge",
    ("endpoint", "version", "cipher"),
    "Always 1; the labels say what the last TLS handshake agreed on.",
)
PER_ENDPOINT = (PROBE_RESULTS, PROBE_PHASE, TLS_INFO)
"""What is written by hand, in this order."""


_NO_PHASES = Phases()
_NO_TLS = TlsFacts()


@dataclass(slots=True)
class _Seen:
    """What the probes of one endpoint showed: counts since the start, and the last of the rest."""

    service: Service
    observe: Callable[[float], None]
    counts: dict[tuple[Result, Reason], int] = field(default_factory=dict)
    last: Evidence | None = None
    tls: TlsFacts = _NO_TLS

    @property
    def phases(self) -> Phases:
        return _NO_PHASES if self.last is None else self.last.phases


class PrometheusTelemetry:
    """Implements `ports.Telemetry`, with the daemon's own hooks beside it.

    Made and called on the event loop, but for `wrote`, which the store's writer thread calls, and
    the reading methods, which a rendering thread does.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._seen: dict[str, _Seen] = {}
        self._duration = _histogram(PROBE_DURATION, self.registry, DURATION)
        self._by_service = {
            service: self._duration.labels(service.value).observe for service in Service
        }
        self._late = _histogram(PROBE_LATENESS, self.registry, LATENESS)
        slots = _counter(PROBE_SLOTS, self.registry)
        self._slots = {outcome: slots.labels(outcome) for outcome in ("started", "missed")}
        self._lag = _histogram(LOOP_LAG, self.registry, LAG)
        self._steps = _counter(CLOCK_STEP, self.registry)
        self._write = _histogram(STORE_WRITE, self.registry, WRITE)
        self._changes = _counter(STORE_CHANGES, self.registry)
        self._failing = _gauge(STORE_FAILING, self.registry)
        self._spooled = _gauge(STORE_SPOOLED, self.registry)
        self._lost = _gauge(STORE_LOST, self.registry)
        self._deliveries = _counter(DELIVERIES, self.registry)
        self._reloaded = _gauge(RELOADED, self.registry)
        self._heartbeat = _gauge(HEARTBEAT, self.registry)
        self._jobs = _counter(JOB_TROUBLE, self.registry)
        _gauge(BUILD, self.registry).labels(__version__, platform.python_version()).set(1)
        self._reloaded.set(1)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    # -- what the cycle, the pacer and the watches say -------------------------------------------

    def probed(self, endpoint: Endpoint, evidence: Evidence, verdict: Verdict) -> None:
        """A probe was judged."""
        seen = self._seen.get(endpoint.id)
        if seen is None or seen.service is not endpoint.service:
            seen = _Seen(endpoint.service, self._by_service[endpoint.service])
            self._seen[endpoint.id] = seen
        key = (verdict.result, verdict.reason)
        seen.counts[key] = seen.counts.get(key, 0) + 1
        seen.last = evidence
        if evidence.tls.version is not None or evidence.tls.chain:
            seen.tls = evidence.tls
        seen.observe(evidence.duration)

    def slot(self, outcome: str, lateness: float) -> None:
        """A probe slot came: `started` (so many seconds late) or `missed`."""
        self._slots[outcome].inc()
        if outcome == "started":
            self._late.observe(lateness)

    def loop_lag(self, seconds: float) -> None:
        """How late the event loop woke."""
        self._lag.observe(seconds)

    def clock_stepped(self, seconds: float) -> None:
        """The wall clock stepped by so many seconds, signed."""
        self._steps.inc(abs(seconds))

    def store_failing(self, failing: bool, spooled: int, lost: int) -> None:
        """Whether the store can be written; observations waiting, and lost for want of room."""
        self._failing.set(failing)
        self._spooled.set(spooled)
        self._lost.set(lost)

    # -- what other parts of the daemon say ------------------------------------------------------

    def wrote(self, seconds: float, items: int) -> None:
        """A commit took so long and held so many changes; called in the writer's thread."""
        self._write.observe(seconds)
        self._changes.inc(items)

    def delivered(self, receiver: str, outcome: str) -> None:
        """An attempt to deliver ended: accepted, retry, rejected or expired."""
        self._deliveries.labels(receiver, outcome).inc()

    def reloaded(self, ok: bool) -> None:
        """The configuration or an identity was read again, and taken over or not."""
        self._reloaded.set(ok)

    def heartbeat(self, now: datetime) -> None:
        """The daemon did its rounds."""
        self._heartbeat.set(now.timestamp())

    def job_trouble(self, name: str, what: str) -> None:
        """A wall-clock job came to grief: error, missed or overrun."""
        self._jobs.labels(name, what).inc()

    def forget(self, endpoints: Iterable[str]) -> None:
        """Drop all that was counted of endpoints taken out of the configuration."""
        for name in endpoints:
            self._seen.pop(name, None)

    # -- reading, from any thread ----------------------------------------------------------------

    def lines(self) -> Iterator[tuple[Family, list[str]]]:
        """The samples that are written by hand, family by family."""
        seen = [(label("endpoint", name), one) for name, one in list(self._seen.items())]
        yield PROBE_RESULTS, [line for name, one in seen for line in _results(name, one)]
        yield PROBE_PHASE, [line for name, one in seen for line in _phases(name, one.phases)]
        yield TLS_INFO, [_tls(name, one.tls) for name, one in seen if one.tls.version is not None]

    def last(self, endpoint: str) -> Evidence | None:
        """The last probe of an endpoint, with the TLS of its last handshake; None: none yet."""
        seen = self._seen.get(endpoint)
        if seen is None or seen.last is None:
            return None
        return replace(seen.last, tls=seen.tls)

    def server_certificates(self) -> list[tuple[str, datetime]]:
        """When the certificate that each endpoint last showed of itself runs out."""
        return [
            (name, one.tls.chain[0].not_after)
            for name, one in list(self._seen.items())
            if one.tls.chain
        ]


def _counter(family: Family, registry: CollectorRegistry) -> Counter:
    return Counter(family.name, family.help, family.labels, registry=registry)


def _gauge(family: Family, registry: CollectorRegistry) -> Gauge:
    return Gauge(family.name, family.help, family.labels, registry=registry)


def _histogram(
    family: Family, registry: CollectorRegistry, buckets: tuple[float, ...]
) -> Histogram:
    return Histogram(family.name, family.help, family.labels, registry=registry, buckets=buckets)


def _results(name: str, seen: _Seen) -> Iterator[str]:
    known = f'monitor_probe_results_total{{{name},service="{seen.service.value}"'
    for (result, reason), count in list(seen.counts.items()):
        yield f'{known},result="{result.value}",reason="{reason.value}"}} {count}\n'


def _phases(name: str, phases: Phases) -> Iterator[str]:
    for phase, seconds in (
        ("dns", phases.dns),
        ("connect", phases.connect),
        ("tls", phases.tls),
        ("ttfb", phases.ttfb),
        ("transfer", phases.transfer),
    ):
        if seconds is not None:
            yield f'monitor_probe_phase_seconds{{{name},phase="{phase}"}} {seconds:.6f}\n'


def _tls(name: str, tls: TlsFacts) -> str:
    agreed = f"{label('version', tls.version or '')},{label('cipher', tls.cipher or '')}"
    return f"monitor_tls_info{{{name},{agreed}}} 1\n"
