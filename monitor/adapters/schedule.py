"""What belongs to the wall clock: month rollover, daily and hourly work, reminders.

APScheduler 3, run in UTC, with the settings that lose nothing: no grace after which a late job is
dropped, several missed runs made one, one instance at a time. Probes are not scheduled here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_REMOVED,
    JobEvent,
)
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

Job = Callable[[], Awaitable[None]]

TROUBLE = {
    EVENT_JOB_ERROR: "error",
    EVENT_JOB_MISSED: "missed",
    EVENT_JOB_MAX_INSTANCES: "overrun",
}
LONDON = ZoneInfo("Europe/London")
DAILY_HOURS = range(3, 7)  # outside them a clock change makes an hour vanish, or come twice

log = structlog.get_logger(__name__)


class Schedule:
    """Jobs by name; giving a name again replaces its job. Made and used on the event loop.

    `on_trouble` is told (job's name, "error" | "missed" | "overrun"). A job's exception is logged,
    and the job runs again when next due.
    """

    def __init__(self, on_trouble: Callable[[str, str], None] | None = None) -> None:
        self._on_trouble = on_trouble
        self._triggers: dict[str, Callable[[], BaseTrigger]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._scheduler.add_listener(self._trouble, sum(TROUBLE))
        self._scheduler.add_listener(self._removed, EVENT_JOB_REMOVED)

    def start(self) -> None:
        """Begin to run jobs."""
        self._scheduler.start()

    async def stop(self, drain: timedelta = timedelta(seconds=5)) -> None:
        """Start no more jobs, give the running ones `drain` to end, then cancel them."""
        if not self._scheduler.running:
            return
        self._scheduler.pause()
        if self._running:
            # APScheduler's own shutdown would cancel them at once.
            await asyncio.wait(set(self._running), timeout=drain.total_seconds())
        self._scheduler.shutdown()
        await asyncio.sleep(0)  # it acts in the loop's next turn

    def hourly(self, name: str, job: Job) -> None:
        """Run at each full hour, UTC."""
        self._add(name, job, lambda: CronTrigger(minute=0, timezone=UTC))

    def daily(self, name: str, hour: int, job: Job, zone: ZoneInfo = LONDON) -> None:
        """Run every day at `hour` (3 to 6) in `zone`, UK local time by default: once, whatever the
        clocks do that night."""
        if hour not in DAILY_HOURS:
            raise ValueError(
                f"daily job {name}: hour {hour} may not exist or come twice; use 3 to 6"
            )
        self._add(name, job, lambda: CronTrigger(hour=hour, timezone=zone))

    def monthly(self, name: str, job: Job, zone: ZoneInfo = LONDON) -> None:
        """Run as each month begins in `zone`."""
        self._add(name, job, lambda: month_trigger(zone, datetime.now(zone).date()))

    def at(self, name: str, instant: datetime, job: Job) -> None:
        """Run once at `instant` (aware); at once if it is past."""
        self._add(name, job, lambda: DateTrigger(instant, timezone=UTC))

    def cancel(self, name: str) -> None:
        """Forget a job, if it is still to come."""
        while (job := self._scheduler.get_job(name)) is not None:
            job.remove()

    def next_run(self, name: str) -> datetime | None:
        """When a job runs next, UTC; None if it is not to run again, or before `start`."""
        job = self._scheduler.get_job(name)
        at: datetime | None = getattr(job, "next_run_time", None)
        return None if at is None else at.astimezone(UTC)

    def revive(self) -> None:
        """Work out every job's next run again, after the wall clock was stepped.

        Set back, the scheduler would wait the whole step out. A run that is already due, because
        the clock leapt over it, is kept, and made once.
        """
        now = datetime.now(UTC)
        for job in self._scheduler.get_jobs():
            due = self.next_run(job.id)
            if due is not None and due > now:
                job.reschedule(self._triggers[job.id]())
        if self._scheduler.running:
            self._scheduler.wakeup()

    def _add(self, name: str, job: Job, trigger: Callable[[], BaseTrigger]) -> None:
        self._triggers[name] = trigger

        async def run() -> None:
            if (task := asyncio.current_task()) is not None:
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            await job()

        self._scheduler.add_job(
            run,
            trigger(),
            id=name,
            name=name,
            replace_existing=True,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    def _removed(self, event: JobEvent) -> None:
        self._triggers.pop(event.job_id, None)

    def _trouble(self, event: JobEvent) -> None:
        what = TROUBLE[event.code]
        error = getattr(event, "exception", None)
        log.error("job_trouble", job=event.job_id, what=what, exc_info=error)
        if self._on_trouble is not None:
            self._on_trouble(event.job_id, what)


def month_trigger(zone: ZoneInfo, today: date) -> CalendarIntervalTrigger:
    """Fires at 00:00 on the 1st of each month in `zone`, from the month after `today` on.

    Not a cron trigger: asked in March, `day=1, hour=0` in London answers 1 May. And the start has
    to be a 1st still to come: without one it is today's day of the month, and a past one is due at
    once.
    """
    first = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return CalendarIntervalTrigger(months=1, hour=0, timezone=zone, start_date=first)
