"""Wall-clock jobs: the calendar's traps, and a clock that is set."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from apscheduler.triggers.cron import CronTrigger
from structlog.testing import capture_logs

from monitor.adapters.schedule import Schedule, month_trigger

LONDON = ZoneInfo("Europe/London")


class Runs:
    """A job that counts itself."""

    def __init__(self) -> None:
        self.count = 0
        self.ran = asyncio.Event()

    async def __call__(self) -> None:
        self.count += 1
        self.ran.set()

    async def wait(self) -> None:
        async with asyncio.timeout(10):
            await self.ran.wait()
        self.ran.clear()


@pytest.fixture
async def schedule() -> AsyncIterator[Schedule]:
    schedule = Schedule()
    schedule.start()
    yield schedule
    await schedule.stop()


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_the_trap_is_still_there() -> None:
    """A plain cron trigger loses 1 April in London; when it no longer does, ours may go."""
    trap = CronTrigger(day=1, hour=0, timezone=LONDON)
    asked = datetime(2026, 3, 15, tzinfo=LONDON)
    assert trap.get_next_fire_time(None, asked) == datetime(2026, 5, 1, tzinfo=LONDON)


@pytest.mark.parametrize("today", [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 31)])
def test_every_month_begins_once(today: date) -> None:
    """From 2026 to 2032 each 1st at 00:00 UK time is hit, April and November included."""
    trigger = month_trigger(LONDON, today)
    at = trigger.get_next_fire_time(None, datetime(2026, 1, 1, tzinfo=LONDON))
    first = 1 if today.year == 2025 else 2
    for n in range(first - 1, 84):
        assert at.astimezone(LONDON).replace(tzinfo=None) == datetime(  # noqa: DTZ001 UK reading
            2026 + n // 12, n % 12 + 1, 1
        )
        at = trigger.get_next_fire_time(at, at)


@pytest.mark.parametrize(
    ("now", "next_run"),
    [
        (utc(2026, 3, 15, 12), utc(2026, 3, 31, 23)),
        (utc(2026, 3, 31, 22, 59, 59), utc(2026, 3, 31, 23)),
        (utc(2026, 3, 31, 23, 30), utc(2026, 4, 30, 23)),
        (utc(2026, 10, 25, 0, 30), utc(2026, 11, 1)),
        (utc(2026, 12, 31, 23, 59), utc(2027, 1, 1)),
    ],
)
async def test_the_month_rolls_over_in_uk_time(now: datetime, next_run: datetime) -> None:
    """Whenever it is set up, the next rollover is the next 1st: not now, not a month later."""
    with time_machine.travel(now, tick=True):
        schedule = Schedule()
        schedule.start()
        schedule.monthly("rollover", Runs())
        assert schedule.next_run("rollover") == next_run
        await schedule.stop()


@pytest.mark.parametrize("hour", [3, 4, 5, 6])
async def test_daily_jobs_run_once_a_day_whatever_the_clocks_do(hour: int) -> None:
    """Across both clock changes each UK day has one run, at that hour."""
    for start in (utc(2026, 3, 26, 12), utc(2026, 10, 22, 12)):
        days = []
        for n in range(7):
            with time_machine.travel(start + timedelta(days=n), tick=False):
                schedule = Schedule()
                schedule.start()
                schedule.daily("seal", hour, Runs())
                at = schedule.next_run("seal")
                await schedule.stop()
            assert at is not None
            local = at.astimezone(LONDON)
            assert local.hour == hour
            days.append(local.date())
        assert days == [start.date() + timedelta(days=n + 1) for n in range(7)]


@pytest.mark.parametrize("hour", [0, 1, 2, 7, 24])
async def test_a_daily_job_near_a_clock_change_is_refused(hour: int, schedule: Schedule) -> None:
    """Hours that may not exist or come twice are no time for a daily job."""
    with pytest.raises(ValueError, match="use 3 to 6"):
        schedule.daily("seal", hour, Runs())


async def test_an_hourly_job_runs_at_the_full_hour() -> None:
    """The next run is the next full hour of UTC, and it runs then."""
    runs = Runs()
    with time_machine.travel(utc(2026, 6, 1, 9, 59, 59, 900_000), tick=True):
        schedule = Schedule()
        schedule.start()
        schedule.hourly("close", runs)
        assert schedule.next_run("close") == utc(2026, 6, 1, 10)
        await runs.wait()
        assert schedule.next_run("close") == utc(2026, 6, 1, 11)
        await schedule.stop()


async def test_a_past_instant_runs_at_once(schedule: Schedule) -> None:
    """A reminder whose time went by while the daemon was down is still given, however late."""
    runs = Runs()
    schedule.at("reminder", datetime.now(UTC) - timedelta(days=3), runs)
    await runs.wait()
    assert schedule.next_run("reminder") is None


async def test_a_job_added_before_the_start_runs() -> None:
    """Jobs may be set up before the scheduler runs, replaced and cancelled too."""
    early, replaced, cancelled = Runs(), Runs(), Runs()
    other = Schedule()
    other.at("a", datetime.now(UTC), replaced)
    other.at("a", datetime.now(UTC), early)
    other.at("b", datetime.now(UTC), cancelled)
    other.cancel("b")
    other.start()
    await early.wait()
    await other.stop()
    assert (early.count, replaced.count, cancelled.count) == (1, 0, 0)


async def test_a_name_given_again_replaces_its_job(schedule: Schedule) -> None:
    """An amended window moves its reminder instead of adding one."""
    first, second = Runs(), Runs()
    instant = datetime.now(UTC) + timedelta(hours=1)
    schedule.at("D-1", instant, first)
    assert schedule.next_run("D-1") == instant
    schedule.at("D-1", instant - timedelta(hours=2), second)
    await second.wait()
    assert first.count == 0


async def test_a_cancelled_job_does_not_run(schedule: Schedule) -> None:
    """A cancelled job is forgotten; cancelling what is not there is no error."""
    runs = Runs()
    schedule.at("D-1", datetime.now(UTC) + timedelta(milliseconds=30), runs)
    schedule.cancel("D-1")
    schedule.cancel("D-1")
    await asyncio.sleep(0.06)
    assert runs.count == 0
    assert schedule.next_run("D-1") is None


async def test_a_clock_set_back_stops_jobs_until_revived() -> None:
    """After a step back of a day the next full hour is an hour away again, once revived."""
    hourly, reminder = Runs(), Runs()
    with time_machine.travel(utc(2026, 6, 2, 9, 59, 59, 500_000), tick=True) as traveller:
        schedule = Schedule()
        schedule.start()
        schedule.hourly("close", hourly)
        schedule.monthly("rollover", Runs())
        schedule.at("reminder", utc(2026, 6, 2, 10), reminder)
        traveller.move_to(utc(2026, 5, 1, 9, 59, 59, 800_000))
        assert schedule.next_run("close") == utc(2026, 6, 2, 10)  # a month to wait
        schedule.revive()
        assert schedule.next_run("close") == utc(2026, 5, 1, 10)
        assert schedule.next_run("rollover") == utc(2026, 5, 31, 23)
        assert schedule.next_run("reminder") == utc(2026, 6, 2, 10)
        await hourly.wait()
        assert reminder.count == 0
        await schedule.stop()


async def test_a_clock_set_forward_runs_what_it_leapt_over_once() -> None:
    """Three full hours leapt over are one run, at once."""
    hourly, reminder = Runs(), Runs()
    with time_machine.travel(utc(2026, 6, 2, 9, 30), tick=True) as traveller:
        schedule = Schedule()
        schedule.start()
        schedule.hourly("close", hourly)
        schedule.at("reminder", utc(2026, 6, 2, 11), reminder)
        traveller.move_to(utc(2026, 6, 2, 12, 30))
        schedule.revive()
        await hourly.wait()
        await reminder.wait()
        assert schedule.next_run("close") == utc(2026, 6, 2, 13)
        await schedule.stop()
    assert (hourly.count, reminder.count) == (1, 1)


async def test_a_failing_job_is_logged_counted_and_run_again() -> None:
    """An exception is told with its traceback, and the job stays."""
    told: list[tuple[str, str]] = []
    done = asyncio.Event()

    def trouble(job: str, what: str) -> None:
        told.append((job, what))
        done.set()

    async def fail() -> None:
        raise ZeroDivisionError("boom")

    with capture_logs() as logs, time_machine.travel(utc(2026, 6, 1, 9, 59, 59, 950_000)):
        schedule = Schedule(trouble)
        schedule.start()
        schedule.hourly("close", fail)
        async with asyncio.timeout(10):
            await done.wait()
        assert schedule.next_run("close") == utc(2026, 6, 1, 11)
        await schedule.stop()
    assert told == [("close", "error")]
    assert logs[0]["event"] == "job_trouble"
    assert (logs[0]["job"], logs[0]["what"]) == ("close", "error")
    assert isinstance(logs[0]["exc_info"], ZeroDivisionError)


async def test_an_overrun_is_counted() -> None:
    """A job still running when next due is not run twice at once, and that is told."""
    told: list[tuple[str, str]] = []
    release, started, missed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def trouble(job: str, what: str) -> None:
        told.append((job, what))
        missed.set()

    async def slow() -> None:
        started.set()
        await release.wait()

    with time_machine.travel(utc(2026, 6, 1, 9, 59, 59, 950_000), tick=True) as traveller:
        schedule = Schedule(trouble)
        schedule.start()
        schedule.hourly("close", slow)
        await asyncio.wait_for(started.wait(), 10)
        traveller.move_to(utc(2026, 6, 1, 11, 0, 1))
        schedule.revive()
        await asyncio.wait_for(missed.wait(), 10)
        release.set()
        await schedule.stop()
    assert told == [("close", "overrun")]


async def test_stop_lets_a_running_job_end() -> None:
    """What runs at the stop gets the time to end; nothing new starts."""
    started, ended = asyncio.Event(), asyncio.Event()
    later = Runs()

    async def job() -> None:
        started.set()
        await asyncio.sleep(0.03)
        ended.set()

    schedule = Schedule()
    schedule.start()
    schedule.at("now", datetime.now(UTC), job)
    schedule.at("later", datetime.now(UTC) + timedelta(milliseconds=20), later)
    await started.wait()
    await schedule.stop()
    assert ended.is_set()
    assert later.count == 0
    await schedule.stop()


async def test_stop_does_not_wait_for_ever() -> None:
    """A job that does not end in time is cancelled."""
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def job() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    schedule = Schedule()
    schedule.start()
    schedule.at("now", datetime.now(UTC), job)
    await started.wait()
    await schedule.stop(timedelta(milliseconds=10))
    await asyncio.wait_for(cancelled.wait(), 5)
