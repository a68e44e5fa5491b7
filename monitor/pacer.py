"""When to probe what: a heap of due times on the clock that never steps.

Each endpoint has a grid of slots, spread over its interval so that they do not align. One probe is
in flight per endpoint; a slot that comes meanwhile is missed, and counted. Hosts and the whole have
limits; a host's own limit keeps its slow endpoints from starving others.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from monitor.core.endpoint import Endpoint
from monitor.core.verdict import Evidence
from monitor.ports import Clock, Prober, Telemetry

log = structlog.get_logger(__name__)

GOLDEN = 0.6180339887498949


@dataclass(slots=True)
class _Entry:
    """One endpoint's place on the grid; `due` is the slot now on the heap (monotonic seconds)."""

    endpoint: Endpoint
    grid: float
    due: float
    in_flight: bool = False
    again_at: float | None = None


class Pacer:
    """Probes endpoints on time, one probe each, until stopped."""

    def __init__(
        self,
        prober: Prober,
        clock: Clock,
        telemetry: Telemetry,
        deliver: Callable[[Endpoint, Evidence], Awaitable[None]],
        *,
        most: int,
        most_per_host: int,
    ) -> None:
        """`deliver` is given what each probe saw. At most `most` probes at once, per host fewer."""
        self._prober = prober
        self._clock = clock
        self._telemetry = telemetry
        self._deliver = deliver
        self._room = asyncio.Semaphore(most)
        self._most_per_host = most_per_host
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[float, str]] = []
        self._probes: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def set_endpoints(self, endpoints: Iterable[Endpoint]) -> None:
        """Probe these from now on. Those known already keep their slots and probes in flight."""
        now = self._clock.monotonic()
        wanted: Mapping[str, Endpoint] = {endpoint.id: endpoint for endpoint in endpoints}
        for gone in self._entries.keys() - wanted.keys():
            del self._entries[gone]
        for place, endpoint in enumerate(wanted.values()):
            entry = self._entries.get(endpoint.id)
            interval = endpoint.cadence.interval.total_seconds()
            if entry is None:
                first = now + interval * ((place * GOLDEN) % 1.0)
                self._entries[endpoint.id] = _Entry(endpoint, first, first)
                heapq.heappush(self._heap, (first, endpoint.id))
            else:
                entry.endpoint = endpoint
                entry.grid = min(entry.grid, now + interval)
                self._move(entry, min(entry.due, entry.grid))
        self._hosts = {
            host: self._hosts.get(host) or asyncio.Semaphore(self._most_per_host)
            for host in {endpoint.host for endpoint in wanted.values()}
        }
        self._changed.set()

    def hurry(self, endpoint: str) -> None:
        """Probe an endpoint again after its recheck interval, if that is sooner than its slot."""
        entry = self._entries.get(endpoint)
        if entry is None:
            return
        soon = self._clock.monotonic() + entry.endpoint.cadence.recheck_interval.total_seconds()
        if entry.in_flight:
            entry.again_at = soon
        elif soon < entry.due:
            self._move(entry, soon)

    def _move(self, entry: _Entry, due: float) -> None:
        """Put an endpoint on the heap at another time; what stood there before is now stale."""
        if due != entry.due:
            entry.due = due
            heapq.heappush(self._heap, (due, entry.endpoint.id))
            self._changed.set()

    async def run(self) -> None:
        """Probe until cancelled; then the probes in flight are cancelled too."""
        try:
            while True:
                pause = self._start_due()
                self._changed.clear()
                try:
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._probes:
                task.cancel()

    def _start_due(self) -> float | None:
        """Start what is due; seconds until the next slot, None if there is none."""
        while self._heap:
            due, name = self._heap[0]
            now = self._clock.monotonic()
            if due > now:
                return due - now
            heapq.heappop(self._heap)
            entry = self._entries.get(name)
            if entry is not None and entry.due == due:
                self._slot(entry, now)
        return None

    def _slot(self, entry: _Entry, now: float) -> None:
        due = entry.due
        self._next(entry, now)
        if entry.in_flight:
            self._telemetry.slot("missed", 0.0)
            return
        entry.in_flight = True
        task = asyncio.create_task(self._probe(entry, due))
        self._probes.add(task)
        task.add_done_callback(self._probed)

    def _probed(self, task: asyncio.Task[None]) -> None:
        """A probe that fails by our own mistake is told; its endpoint's time becomes unknown."""
        self._probes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("probe_failed_inside", exc_info=error)

    def _next(self, entry: _Entry, now: float) -> None:
        """The next slot of the grid; slots that are past already are missed."""
        interval = entry.endpoint.cadence.interval.total_seconds()
        grid = entry.grid
        if grid <= now:
            grid += interval
        while grid <= now:
            grid += interval
            self._telemetry.slot("missed", 0.0)
        entry.grid = entry.due = grid
        heapq.heappush(self._heap, (grid, entry.endpoint.id))

    async def _probe(self, entry: _Entry, due: float) -> None:
        endpoint = entry.endpoint
        host = self._hosts.setdefault(endpoint.host, asyncio.Semaphore(self._most_per_host))
        try:
            async with host, self._room:
                self._telemetry.slot("started", self._clock.monotonic() - due)
                evidence = await self._prober.probe(endpoint)
        finally:
            entry.in_flight = False
        await self._deliver(endpoint, evidence)
        if entry.again_at is not None:
            again, entry.again_at = entry.again_at, None
            if again < entry.due:
                self._move(entry, again)
