"""A civil month in the SLO's zone, made an exact interval here and only here (accounting 6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from monitor.core.interval import Interval
from monitor.errors import BadInstant

_MONTH = re.compile(r"(\d{4})-(\d{2})")


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """00:00 of a civil day in the zone, as UTC."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def civil(instant: datetime, zone: ZoneInfo) -> datetime:
    """The instant as the zone's clocks show it."""
    return instant.astimezone(zone)


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of a zone.

    >>> from datetime import timedelta
    >>> london = ZoneInfo("Europe/London")
    >>> [Month(2026, m, london).interval.duration // timedelta(hours=1) for m in (3, 4, 10)]
    [743, 720, 745]
    """

    year: int
    number: int
    zone: ZoneInfo

    @classmethod
    def of(cls, instant: datetime, zone: ZoneInfo) -> Month:
        """The month in which the instant lies."""
        local = civil(instant, zone)
        return cls(local.year, local.month, zone)

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> Month:
        """Read `YYYY-MM`; raises BadInstant."""
        match = _MONTH.fullmatch(text)
        if match is None or not (1 <= int(match[2]) <= 12 and 1 <= int(match[1]) < 9999):
            raise BadInstant(f'month "{text}" cannot be read; write it as YYYY-MM, such as 2026-03')
        return cls(int(match[1]), int(match[2]), zone)

    @property
    def first(self) -> date:
        return date(self.year, self.number, 1)

    @property
    def interval(self) -> Interval:
        """From the first midnight of the month to that of the next, as UTC."""
        return Interval(midnight(self.first, self.zone), midnight(self.next().first, self.zone))

    def next(self) -> Month:
        if self.number == 12:
            return Month(self.year + 1, 1, self.zone)
        return Month(self.year, self.number + 1, self.zone)

    def previous(self) -> Month:
        if self.number == 1:
            return Month(self.year - 1, 12, self.zone)
        return Month(self.year, self.number - 1, self.zone)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


def months_between(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[Month]:
    """The months that `[start, end)` touches, in order."""
    month = Month.of(start, zone)
    while month.interval.start < end:
        yield month
        month = month.next()


def read_instant(text: str, zone: ZoneInfo) -> datetime:
    """Read ISO 8601; without an offset it is civil time of the zone. Returns UTC.

    Raises BadInstant for a time that does not exist or occurs twice, with both readings shown.
    """
    try:
        value = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInstant(
            f'"{text}" is not a time; write it as ISO 8601, such as 2026-03-17T00:00 (UK time)'
            " or 2026-03-17T00:00Z"
        ) from None
    if value.tzinfo is not None:
        return value.astimezone(UTC)
    earlier = value.replace(tzinfo=zone, fold=0)
    later = value.replace(tzinfo=zone, fold=1)
    first, second = earlier.astimezone(UTC), later.astimezone(UTC)
    if first == second:
        return first
    readings = (
        f"{first.astimezone(zone).isoformat()} ({first:%H:%MZ})"
        f" or {second.astimezone(zone).isoformat()} ({second:%H:%MZ})"
    )
    if first.astimezone(zone).replace(tzinfo=None) == value:
        raise BadInstant(f'"{text}" occurs twice as the clocks go back; write {readings}')
    raise BadInstant(f'"{text}" does not exist as the clocks go forward; write {readings}')


def show_instant(instant: datetime) -> str:
    """ISO 8601 in UTC with a `Z`, microseconds only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
