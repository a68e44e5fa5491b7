"""The machine's clocks, and a watch on the one that can be set."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The clocks of this machine (`ports.Clock`)."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that never steps. It stands still while the machine sleeps."""
        return time.monotonic()


class StepDetector:
    """Tells a step of the wall clock from its ordinary slewing.

    Fed both clocks each second, it compares how far each went since the last reading. A clock being
    slewed gains or loses at most half a millisecond per second, so `threshold` is only passed by a
    step, or by a machine that slept.
    """

    def __init__(self, threshold: timedelta = timedelta(seconds=2)) -> None:
        self._threshold = threshold
        self._last: tuple[datetime, float] | None = None

    def observe(self, wall: datetime, monotonic: float) -> timedelta | None:
        """The step since the last reading if longer than the threshold: negative when set back.

        `wall` is an aware instant, `monotonic` in seconds, both read at the same moment.
        """
        last, self._last = self._last, (wall, monotonic)
        if last is None:
            return None
        step = (wall - last[0]) - timedelta(seconds=monotonic - last[1])
        return step if abs(step) > self._threshold else None
