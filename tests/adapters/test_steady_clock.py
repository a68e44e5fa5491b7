"""The wall clock that never goes back."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitor.adapters.clock import SteadyClock, SystemClock

START = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Machine(SystemClock):
    """A machine whose clock an administrator sets."""

    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        return self.instant


def test_it_tells_the_machines_time() -> None:
    """While the machine's clock goes forward, that is the time."""
    machine = Machine()
    clock = SteadyClock(machine)
    assert clock.now() == START
    machine.instant += timedelta(hours=1)
    assert clock.now() == machine.instant


def test_it_stands_still_while_the_machine_catches_up() -> None:
    """Set back an hour, it goes on a microsecond a reading until the machine is past it."""
    machine = Machine()
    clock = SteadyClock(machine)
    clock.now()
    machine.instant -= timedelta(hours=1)
    assert [clock.now() for _ in range(3)] == [START + n * MICROSECOND for n in (1, 2, 3)]
    machine.instant = START + timedelta(seconds=1)
    assert clock.now() == machine.instant


def test_what_the_store_knows_stays_in_the_past() -> None:
    """A restart on a clock set back never dates anything before what is already recorded."""
    machine = Machine()
    clock = SteadyClock(machine)
    known = START + timedelta(minutes=10)
    clock.not_before(known)
    clock.not_before(known - timedelta(minutes=5))
    assert clock.now() == known + MICROSECOND


@given(st.lists(st.integers(-7_200_000_000, 7_200_000_000), max_size=50))
def test_every_instant_is_later_than_the_one_before(steps: list[int]) -> None:
    """However the machine's clock is set about, no two readings are equal or in the wrong order."""
    machine = Machine()
    clock = SteadyClock(machine)
    read = [clock.now()]
    for step in steps:
        machine.instant += step * MICROSECOND
        read.append(clock.now())
    assert all(earlier < later for earlier, later in pairwise(read))
    assert read[-1] >= machine.instant


def test_its_monotonic_clock_is_the_machines() -> None:
    """Durations come from the clock that cannot be set, and that is aware of no zone."""
    before = SystemClock().monotonic()
    clock = SteadyClock()
    assert before <= clock.monotonic() <= SystemClock().monotonic()
    assert clock.now().tzinfo is UTC
