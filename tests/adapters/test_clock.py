"""The system's clocks, and the detection of steps."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from monitor.adapters.clock import StepDetector, SystemClock

START = datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC)


def test_the_system_clock_tells_utc() -> None:
    """`now` is the present, aware, in UTC; `monotonic` never goes back."""
    clock = SystemClock()
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


def test_monotonic_time_does_not_follow_a_set_clock() -> None:
    """Setting the wall clock leaves the monotonic one alone."""
    clock = SystemClock()
    before = clock.monotonic()
    with time_machine.travel(START, tick=True):
        assert clock.now() - START < timedelta(minutes=1)
        assert clock.monotonic() - before < 60


def test_a_steady_clock_has_no_steps() -> None:
    """A minute across a change to summer time, read each second, shows nothing."""
    detector = StepDetector()
    seen = [detector.observe(START + timedelta(seconds=n), 5000.0 + n) for n in range(60)]
    assert set(seen) == {None}


@pytest.mark.parametrize("seconds", [3600, 2.5, -2.5, -86400 * 3650])
def test_a_step_is_told_once_with_its_sign(seconds: float) -> None:
    """The step is told when it is seen, and the clock is trusted from there."""
    detector, step = StepDetector(), timedelta(seconds=seconds)
    assert detector.observe(START, 10.0) is None
    assert detector.observe(START + step + timedelta(seconds=1), 11.0) == step
    assert detector.observe(START + step + timedelta(seconds=2), 12.0) is None


@pytest.mark.parametrize("seconds", [2, -2, 0.4])
def test_small_steps_are_not_told(seconds: float) -> None:
    """Two seconds are within what is put up with."""
    detector = StepDetector()
    detector.observe(START, 10.0)
    assert detector.observe(START + timedelta(seconds=1 + seconds), 11.0) is None


def test_slewing_is_no_step() -> None:
    """A clock drawn towards the right time for hours never shows a step."""
    detector = StepDetector()
    slew = timedelta(seconds=1, microseconds=500)
    assert {detector.observe(START + n * slew, float(n)) for n in range(8000)} == {None}


def test_a_late_reading_is_no_step() -> None:
    """A reading that comes minutes late compares both clocks over those minutes."""
    detector = StepDetector()
    detector.observe(START, 10.0)
    assert detector.observe(START + timedelta(minutes=5), 310.0) is None
