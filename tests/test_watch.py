"""Our own trouble: what a late loop or a stepped clock excuses, and what it does not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from monitor.core.verdict import Evidence, Reason
from monitor.watch import OwnTrouble, every
from tests.core.builders import cadence, endpoint
from tests.fakes import FakeClock, LoopClock, NullTelemetry, in_no_time, stall

VIEW = endpoint(cadence=cadence(timeout=timedelta(seconds=15)))


def good(clock: FakeClock | LoopClock, duration: float = 0.2) -> Evidence:
    return Evidence("view", clock.now(), duration, status=400)


def failed(clock: FakeClock | LoopClock, duration: float = 0.2) -> Evidence:
    return Evidence("view", clock.now(), duration, failure=Reason.RESPONSE_TIMEOUT)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def trouble(clock: FakeClock) -> OwnTrouble:
    return OwnTrouble(clock, NullTelemetry())


def test_without_trouble_evidence_stays(clock: FakeClock, trouble: OwnTrouble) -> None:
    """Nothing of ours went wrong, so what was seen is what was seen."""
    for seen in (good(clock), good(clock, 12.0), failed(clock)):
        assert trouble.excuse(VIEW, seen) is seen


@pytest.mark.parametrize("duration", [0.2, 12.0])
def test_a_probe_during_a_step_of_the_clock_is_ours(
    clock: FakeClock, trouble: OwnTrouble, duration: float
) -> None:
    """Good or bad, what was seen while the clock was stepped cannot be dated."""
    clock.forward(timedelta(seconds=duration / 2))
    trouble.stepped()
    clock.forward(timedelta(seconds=duration / 2))
    for seen in (good(clock, duration), failed(clock, duration)):
        assert trouble.excuse(VIEW, seen).failure is Reason.LOCAL_CLOCK


def test_a_probe_well_after_a_step_is_judged(clock: FakeClock, trouble: OwnTrouble) -> None:
    """Two seconds after the step was noticed, probes count again."""
    trouble.stepped()
    clock.forward(timedelta(seconds=2.3))
    seen = failed(clock)
    assert trouble.excuse(VIEW, seen) is seen


def test_a_late_loop_excuses_a_failure_it_may_have_caused() -> None:
    """A delay longer than the time-out, during the probe, is our overload."""

    async def work() -> None:
        clock, telemetry = LoopClock(), NullTelemetry()
        trouble = OwnTrouble(clock, telemetry)
        task = asyncio.create_task(trouble.watch_loop())
        await asyncio.sleep(1.05)
        stall(20.0)
        await asyncio.sleep(0.5)
        for seen in (failed(clock, 21.0), good(clock, 21.0)):
            excused = trouble.excuse(VIEW, seen)
            assert excused.failure is Reason.LOCAL_OVERLOAD
            assert "19.8 s late" in excused.detail
        quick = good(clock)
        assert trouble.excuse(VIEW, quick) is quick
        assert max(telemetry.lags) == pytest.approx(19.8, abs=0.01)
        task.cancel()

    in_no_time(work())


def test_a_probe_that_wakes_before_the_watch_is_excused_too() -> None:
    """The delay counts although the watch has not had its turn to measure it."""

    async def work() -> None:
        clock = LoopClock()
        trouble = OwnTrouble(clock, NullTelemetry())
        task = asyncio.create_task(trouble.watch_loop())
        await asyncio.sleep(1.05)
        stall(20.0)
        assert trouble.excuse(VIEW, failed(clock, 21.0)).failure is Reason.LOCAL_OVERLOAD
        task.cancel()

    in_no_time(work())


@pytest.mark.parametrize(("delay", "after"), [(10.0, 0.0), (20.0, 60.0)])
def test_a_short_or_past_delay_excuses_nothing(delay: float, after: float) -> None:
    """A delay within the time-out, or over before the probe began, leaves a failure theirs."""

    async def work() -> None:
        clock = LoopClock()
        trouble = OwnTrouble(clock, NullTelemetry())
        task = asyncio.create_task(trouble.watch_loop())
        await asyncio.sleep(1.05)
        stall(delay)
        await asyncio.sleep(0.5 + after)
        seen = failed(clock, 15.0)
        assert trouble.excuse(VIEW, seen) is seen
        task.cancel()

    in_no_time(work())


def test_a_job_is_done_again_and_again() -> None:
    """`every` does its job at once and then with a pause between, until cancelled."""

    async def work() -> None:
        times: list[float] = []
        clock = LoopClock()

        async def job() -> None:
            times.append(clock.monotonic() - 1000)

        task = asyncio.create_task(every(5.0, job))
        await asyncio.sleep(12)
        task.cancel()
        assert times == pytest.approx([0, 5, 10], abs=1e-3)

    in_no_time(work())
