"""Pacing: every endpoint on its own grid, one probe each, on a loop whose time leaps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from monitor.core.endpoint import Endpoint
from monitor.core.verdict import Evidence
from monitor.pacer import Pacer
from tests.core.builders import SECOND, cadence, endpoint
from tests.fakes import LoopClock, NullTelemetry, ScriptedProber, in_no_time, stall

Work = Callable[["Place"], Awaitable[None]]


@dataclass
class Place:
    """A pacer at work."""

    pacer: Pacer
    prober: ScriptedProber
    telemetry: NullTelemetry
    clock: LoopClock
    seen: list[Evidence] = field(default_factory=list)

    def since(self, start: float, name: str) -> list[float]:
        """When probes of an endpoint began, from an instant on, in seconds after it."""
        return [at - start for at in self.prober.starts(name) if at >= start]


def many(count: int, host: str = "", **changes: timedelta) -> list[Endpoint]:
    found = []
    for number in range(count):
        name = f"e{number}"
        url = f"https://{host or name}.example/x"
        found.append(endpoint(name, url=url, cadence=cadence(**changes)))
    return found


@asynccontextmanager
async def place(
    endpoints: Iterable[Endpoint], *, most: int = 100, per_host: int = 100
) -> AsyncIterator[Place]:
    clock, telemetry = LoopClock(), NullTelemetry()
    prober = ScriptedProber(clock)

    async def deliver(_: Endpoint, evidence: Evidence) -> None:
        here.seen.append(evidence)

    pacer = Pacer(prober, clock, telemetry, deliver, most=most, most_per_host=per_host)
    here = Place(pacer, prober, telemetry, clock)
    pacer.set_endpoints(endpoints)
    task = asyncio.create_task(pacer.run())
    try:
        yield here
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_every_endpoint_is_probed_once_an_interval() -> None:
    """In ten intervals each endpoint is probed ten times, exactly an interval apart."""

    async def work() -> None:
        async with place(many(20)) as here:
            await asyncio.sleep(299.9)
            for number in range(20):
                starts = here.prober.starts(f"e{number}")
                assert len(starts) == 10
                assert all(b - a == pytest.approx(30, abs=1e-3) for a, b in pairwise(starts))
            assert here.telemetry.outcomes("missed") == 0

    in_no_time(work())


def test_probes_are_spread_over_the_interval() -> None:
    """Thirty endpoints of one interval never begin together: no gap is longer than three shares."""

    async def work() -> None:
        async with place(many(30)) as here:
            await asyncio.sleep(29.9)
            starts = sorted(at for at, _ in here.prober.started)
            assert len(starts) == 30
            apart = [b - a for a, b in pairwise(starts)]
            assert min(apart) > 0.3
            assert max(apart) < 3

    in_no_time(work())


def test_one_probe_is_in_flight_per_endpoint_and_missed_slots_are_counted() -> None:
    """While a probe hangs, its endpoint's slots pass unused, are counted, and then go on as before."""

    async def work() -> None:
        async with place([endpoint("slow")]) as here:
            here.prober.hang("slow")
            await asyncio.sleep(95)  # slots at 0, 30, 60 and 90
            assert here.prober.starts("slow") == [pytest.approx(1000)]
            assert here.telemetry.outcomes("missed") == 3
            here.prober.release("slow")
            await asyncio.sleep(30)
            assert here.since(1001, "slow") == [pytest.approx(119, abs=1e-3)]
            assert here.prober.most["slow"] == 1

    in_no_time(work())


def test_a_host_that_hangs_delays_no_other() -> None:
    """With its own limit full of hanging probes, a host leaves the others' slots alone."""

    async def work() -> None:
        stuck = many(40, host="stuck")
        others = [endpoint(f"free{number}") for number in range(5)]
        async with place([*stuck, *others], most=20, per_host=4) as here:
            here.prober.hang(*(one.id for one in stuck))
            await asyncio.sleep(299)
            assert here.prober.most["stuck.example"] == 4
            assert {len(here.prober.starts(one.id)) for one in others} == {10}
            late = [lateness for outcome, lateness in here.telemetry.slots if outcome == "started"]
            assert max(late) < 0.001

    in_no_time(work())


def test_no_more_probes_run_at_once_than_allowed_and_lateness_is_told() -> None:
    """Beyond the overall limit probes wait their turn, and telemetry learns how late they began."""

    async def work() -> None:
        async with place(many(6), most=2) as here:
            here.prober.hang(*(f"e{number}" for number in range(6)))
            await asyncio.sleep(29)
            assert here.prober.most["all"] == 2
            for number in range(6):
                here.prober.release(f"e{number}")
            await asyncio.sleep(0.01)
            assert len(here.prober.started) == 6
            assert max(late for _, late in here.telemetry.slots) > 5

    in_no_time(work())


def test_an_endpoint_in_a_hurry_is_probed_after_its_recheck_interval() -> None:
    """A hurried endpoint is probed once more in between, and its grid stays as it was."""

    async def work() -> None:
        async with place([endpoint()]) as here:
            await asyncio.sleep(1)
            here.pacer.hurry("view")
            here.pacer.hurry("view")
            here.pacer.hurry("nobody")
            await asyncio.sleep(60)
            starts = [at - 1000 for at in here.prober.starts("view")]
            assert starts == pytest.approx([0, 6, 30, 60], abs=1e-3)

    in_no_time(work())


def test_a_hurry_never_puts_a_slot_off() -> None:
    """When the next slot comes sooner than the recheck, the slot serves."""

    async def work() -> None:
        async with place([endpoint()]) as here:
            await asyncio.sleep(28)
            here.pacer.hurry("view")
            await asyncio.sleep(25)
            assert here.since(1001, "view") == [pytest.approx(29, abs=1e-3)]

    in_no_time(work())


def test_a_hurry_during_a_probe_holds_for_the_next() -> None:
    """Asked while a probe is in flight, the recheck comes once that has ended."""

    async def work() -> None:
        async with place([endpoint()]) as here:
            here.prober.hang("view")
            await asyncio.sleep(2)
            here.pacer.hurry("view")
            await asyncio.sleep(1)
            here.prober.release("view")
            await asyncio.sleep(20)
            assert here.since(1001, "view") == [pytest.approx(6, abs=1e-3)]

    in_no_time(work())


def test_endpoints_are_added_and_removed_without_disturbing_the_others() -> None:
    """Those that stay keep their slots; one removed is probed no more; a new one begins at once."""

    async def work() -> None:
        first, second, third = endpoint("a"), endpoint("b"), endpoint("c")
        async with place([first, second]) as here:
            await asyncio.sleep(65)
            before = here.prober.starts("a")
            here.pacer.set_endpoints([first, third])
            await asyncio.sleep(60)
            assert here.prober.starts("a")[: len(before)] == before
            assert all(
                b - a == pytest.approx(30, abs=1e-3) for a, b in pairwise(here.prober.starts("a"))
            )
            assert here.since(1065.1, "b") == []
            assert len(here.prober.starts("c")) == 2
            here.pacer.set_endpoints([])
            count = len(here.prober.started)
            await asyncio.sleep(60)
            assert len(here.prober.started) == count

    in_no_time(work())


def test_a_shorter_interval_holds_at_once() -> None:
    """After a change from 30 s to 10 s the next probes come 10 s apart."""

    async def work() -> None:
        async with place([endpoint()]) as here:
            await asyncio.sleep(1)
            here.pacer.set_endpoints([endpoint(cadence=cadence(interval=10 * SECOND))])
            await asyncio.sleep(35)
            assert here.since(1000.5, "view") == pytest.approx([10.5, 20.5, 30.5], abs=1e-3)

    in_no_time(work())


def test_a_longer_interval_keeps_the_slot_that_was_due() -> None:
    """After a change from 30 s to 60 s the slot already due is kept; from there on 60 s apart."""

    async def work() -> None:
        async with place([endpoint()]) as here:
            await asyncio.sleep(1)
            here.pacer.set_endpoints([endpoint(cadence=cadence(interval=60 * SECOND))])
            await asyncio.sleep(100)
            assert here.since(1000.5, "view") == pytest.approx([29.5, 89.5], abs=1e-3)

    in_no_time(work())


def test_a_changed_endpoint_is_probed_as_it_is_now() -> None:
    """A new URL is asked from the next slot on, under the limits of its new host."""

    async def work() -> None:
        async with place([endpoint()]) as here:
            await asyncio.sleep(1)
            here.pacer.set_endpoints([endpoint(url="https://moved.example/x")])
            await asyncio.sleep(30)
            assert here.prober.most["moved.example"] == 1
            assert len(here.seen) == 2

    in_no_time(work())


def test_the_wall_clock_does_not_matter() -> None:
    """Set back a day and on a year, the wall clock moves no slot."""

    async def work() -> None:
        async with place([endpoint()]) as here:
            await asyncio.sleep(31)
            here.clock.stepped = timedelta(days=-1)
            await asyncio.sleep(30)
            here.clock.stepped = timedelta(days=365)
            await asyncio.sleep(30)
            starts = [at - 1000 for at in here.prober.starts("view")]
            assert starts == pytest.approx([0, 30, 60, 90], abs=1e-3)

    in_no_time(work())


def test_slots_that_passed_while_nothing_ran_are_missed() -> None:
    """After the process slept through three slots, they are counted, and the grid goes on."""

    async def work() -> None:
        async with place([endpoint()]) as here:
            await asyncio.sleep(1)
            stall(100)
            await asyncio.sleep(30)
            assert here.since(1001, "view") == pytest.approx([100, 119], abs=0.01)
            assert here.telemetry.outcomes("missed") == 2
            late = [lateness for outcome, lateness in here.telemetry.slots if outcome == "started"]
            assert max(late) == pytest.approx(71, abs=0.01)

    in_no_time(work())


def test_cancelling_ends_the_probes_in_flight() -> None:
    """When the pacer is cancelled, nothing it started is left behind."""

    async def work() -> None:
        async with place(many(5)) as here:
            here.prober.hang(*(f"e{number}" for number in range(5)))
            await asyncio.sleep(29)
            assert here.prober.running["all"] == 5
        await asyncio.sleep(0)
        assert here.prober.running["all"] == 0

    in_no_time(work())


class BrokenProber(ScriptedProber):
    """Makes a mistake of its own when asked for `e0`."""

    async def probe(self, endpoint: Endpoint) -> Evidence:
        answer = await super().probe(endpoint)
        if endpoint.id == "e0":
            raise RuntimeError("a bug")
        return answer


def test_a_probe_that_breaks_inside_is_told_and_the_others_go_on() -> None:
    """A mistake of our own in one probe is an error in the log, and its endpoint is tried again."""

    async def work() -> None:
        clock = LoopClock()
        prober = BrokenProber(clock)
        seen: list[str] = []

        async def deliver(_: Endpoint, evidence: Evidence) -> None:
            seen.append(evidence.endpoint)

        pacer = Pacer(prober, clock, NullTelemetry(), deliver, most=9, most_per_host=9)
        pacer.set_endpoints(many(2))
        with capture_logs() as logged:
            task = asyncio.create_task(pacer.run())
            await asyncio.sleep(65)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert len(prober.starts("e0")) == 3
        assert set(seen) == {"e1"}
        assert [one["event"] for one in logged] == ["probe_failed_inside"] * 3

    in_no_time(work())
