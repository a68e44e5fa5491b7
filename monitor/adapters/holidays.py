"""UK bank holidays as plain dates, computed offline by the `holidays` library."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache

from holidays import country_holidays

from monitor.core.rules import NoticeCalendar

YEARS = range(2020, 2051)
"""Years that `bank_holidays` covers; fixed, so that no digest depends on the day."""

PUBLISHED_UNTIL = 2028
"""Last year whose bank holidays the government has published; later ones are computed."""

# Without a subdivision the library drops Easter Monday and the August holiday.
_SUBDIVISIONS = {
    NoticeCalendar.ENGLAND_AND_WALES: ("ENG", "WLS"),
    NoticeCalendar.SCOTLAND: ("SCT",),
    NoticeCalendar.NORTHERN_IRELAND: ("NIR",),
    NoticeCalendar.ANY_UK: ("ENG", "WLS", "SCT", "NIR"),
}


def bank_holidays(calendar: NoticeCalendar, years: Iterable[int] = YEARS) -> frozenset[date]:
    """The bank holidays of a calendar: substitute days and one-offs included.

    A holiday that falls on a weekend is listed beside its substitute day; neither is a working day.
    """
    wanted = tuple(years)
    return frozenset[date]().union(
        *(_of_subdivision(subdivision, wanted) for subdivision in _SUBDIVISIONS[calendar])
    )


@cache
def _of_subdivision(subdivision: str, years: tuple[int, ...]) -> frozenset[date]:
    return frozenset(country_holidays("GB", subdiv=subdivision, years=years))


def horizon(today: date) -> str | None:
    """A warning when notice is about to be counted with computed bank holidays; else None."""
    if today.year < PUBLISHED_UNTIL:
        return None
    return (
        f"bank holidays after {PUBLISHED_UNTIL} are computed, not published; compare them with "
        "GOV.UK and correct them under slo.bank_holidays (add, remove), or update monitor"
    )
