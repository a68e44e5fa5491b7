"""Tasks that watch the daemon itself: its event loop, its clocks, its files.

Each is a plain coroutine that runs until cancelled; none of them depends on another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from monitor.core.endpoint import Endpoint
from monitor.core.verdict import Evidence, Reason
from monitor.ports import Clock, Telemetry

LAG_EVERY = 0.25
"""Seconds between two looks at the event loop's lateness."""
KEPT = 400
"""Looks remembered: longer than any probe's time-out."""


@dataclass(slots=True)
class OwnTrouble:
    """Remembers when our own process or clock was in trouble, to judge probes of that time.

    Accounting 8: an event loop late beyond the time-out, or a clock stepped, is our own fault.
    """

    clock: Clock
    telemetry: Telemetry
    _lags: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))
    _stepped_at: float = float("-inf")
    _wakes_at: float = float("inf")

    async def watch_loop(self) -> None:
        """Measure how late the event loop wakes."""
        while True:
            self._wakes_at = self.clock.monotonic() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            now = self.clock.monotonic()
            lag = max(0.0, now - self._wakes_at)
            self.telemetry.loop_lag(lag)
            if lag > LAG_EVERY:
                self._lags.append((now, lag))

    def stepped(self) -> None:
        """The wall clock stepped just now."""
        self._stepped_at = self.clock.monotonic()

    def excuse(self, endpoint: Endpoint, evidence: Evidence) -> Evidence:
        """The evidence, as our own fault if the trouble was ours.

        A good answer in time stays good, unless the clock that dates it was stepped.
        """
        ended = self.clock.monotonic()
        started = ended - evidence.duration
        if started <= self._stepped_at + 1.0 and ended >= self._stepped_at:
            detail = "the wall clock was stepped during the probe"
            return replace(evidence, failure=Reason.LOCAL_CLOCK, detail=detail)
        slow = evidence.duration > endpoint.expectation.impaired_above.total_seconds()
        if evidence.failure is None and not slow:
            return evidence
        limit = endpoint.cadence.timeout.total_seconds()
        # A probe may wake before the watch does after the same delay.
        worst = max((lag for at, lag in self._lags if at >= started), default=0.0)
        worst = max(worst, ended - self._wakes_at)
        if worst > limit:
            detail = f"our event loop was {worst:.1f} s late during the probe"
            return replace(evidence, failure=Reason.LOCAL_OVERLOAD, detail=detail)
        return evidence


async def every(seconds: float, job: Callable[[], Awaitable[None]]) -> None:
    """Do a job again and again, with a pause between."""
    while True:
        await job()
        await asyncio.sleep(seconds)
