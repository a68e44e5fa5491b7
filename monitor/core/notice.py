"""Working days and notice (accounting 4.3; CoCo 2.2.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice

from monitor.core.month import civil
from monitor.core.rules import NoticeMethod, Rules

_DAY = timedelta(days=1)


def is_working_day(day: date, rules: Rules) -> bool:
    """Monday to Friday and not a bank holiday of the calendar in use."""
    return day.weekday() < 5 and day not in rules.bank_holidays


def next_working_day(day: date, rules: Rules) -> date:
    """The first working day after `day`."""
    day += _DAY
    while not is_working_day(day, rules):
        day += _DAY
    return day


def counted_day(notified_at: datetime, rules: Rules) -> date:
    """The day that counts as the notification day: at or after the cut-off it is the next working day."""
    local = civil(notified_at, rules.zone)
    day = local.date()
    if is_working_day(day, rules) and local.time() < rules.notice_cutoff:
        return day
    return next_working_day(day, rules)


def counting_days(notified_at: datetime, start: datetime, rules: Rules) -> Iterator[date]:
    """The working days of notice, in order, lazily: those that count between notification and start."""
    day = counted_day(notified_at, rules) + _DAY
    last = civil(start, rules.zone).date()
    if rules.notice_method is NoticeMethod.CLEAR:
        last -= _DAY
    while day <= last:
        if is_working_day(day, rules):
            yield day
        day += _DAY


@dataclass(frozen=True, slots=True)
class Notice:
    """How much notice a window has: `days` counted working days of the `needed` ones."""

    days: int
    needed: int

    @property
    def enough(self) -> bool:
        return self.days >= self.needed


def notice(notified_at: datetime, start: datetime, rules: Rules) -> Notice:
    """All working days of notice that a start has."""
    return Notice(sum(1 for _ in counting_days(notified_at, start, rules)), rules.notice_days)


@lru_cache(maxsize=4096)
def enough(notified_at: datetime, start: datetime, rules: Rules) -> bool:
    """Whether the notice suffices; stops counting as soon as it does."""
    if rules.notice_days <= 0:
        return notified_at <= start
    counted = islice(counting_days(notified_at, start, rules), rules.notice_days)
    return sum(1 for _ in counted) == rules.notice_days


@dataclass(frozen=True, slots=True)
class NoticeDay:
    """One civil day between notification and start: whether it counts, and why."""

    day: date
    counts: bool
    why: str


def day_by_day(notified_at: datetime, start: datetime, rules: Rules) -> list[NoticeDay]:
    """How the notice was counted: each day from the notification to the start, both included."""
    told = civil(notified_at, rules.zone).date()
    first, last = counted_day(notified_at, rules), civil(start, rules.zone).date()
    counted = set(counting_days(notified_at, start, rules))
    found = []
    day = told
    while day <= last:
        found.append(NoticeDay(day, day in counted, _why(day, told, first, last, counted, rules)))
        day += _DAY
    return found


def _why(day: date, told: date, first: date, last: date, counted: set[date], rules: Rules) -> str:
    if day in counted:
        return "working day"
    if day == first:
        return "counts as the day of notification"
    if day == told:
        on = "at or after the cut-off" if is_working_day(day, rules) else "on a non-working day"
        return f"told {on}: counts as told on {first.isoformat()}"
    if day.weekday() >= 5:
        return "weekend"
    if not is_working_day(day, rules):
        return "bank holiday"
    return "day of the start" if day == last else f"before the counted day {first.isoformat()}"


def latest_notification(start: datetime, rules: Rules) -> datetime:
    """The instant before which MaPS must be told so that `start` has enough notice.

    It is the cut-off of the last notification day that leaves enough working days.
    """
    day = civil(start, rules.zone).date()
    while True:
        cutoff = datetime.combine(day, rules.notice_cutoff, tzinfo=rules.zone).astimezone(UTC)
        if is_working_day(day, rules) and enough(cutoff - timedelta(microseconds=1), start, rules):
            return cutoff
        day -= _DAY


def working_days_after(day: date, count: int, rules: Rules) -> date:
    """The day on which `count` whole working days from `day` on (included) are over."""
    while count > 0:
        if is_working_day(day, rules):
            count -= 1
        day += _DAY
    return day
