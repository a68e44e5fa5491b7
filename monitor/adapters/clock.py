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


class SteadyClock:
    """A wall clock that never goes back, whatever is done to the machine's.

    When the machine's clock is set back, what was recorded stays in the past: time stands still, a
    microsecond a reading, until the machine's clock has caught up. Observations then still follow
    one another, and no span is ever negative. Steps are recorded by whoever watches for them.
    """

    def __init__(self, clock: SystemClock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._last = datetime.min.replace(tzinfo=UTC)

    def not_before(self, instant: datetime) -> None:
        """Never answer an instant before this one: the end of what the store already knows."""
        self._last = max(self._last, instant)

    def now(self) -> datetime:
        """The present instant, later than every one answered before."""
        self._last = max(self._clock.now(), self._last + timedelta(microseconds=1))
        return self._last

    def monotonic(self) -> float:
        """Seconds on a clock that never steps."""
        return self._clock.monotonic()
