"""How the report's faces write a number, a duration and an instant."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from zoneinfo import ZoneInfo

from monitor.core.month import civil

NOTHING = "-"
STATES = {
    "declared": "declared",
    "declared_short_notice": "declared, short notice",
    "overrun": "overrun",
    "undeclared": "undeclared",
    "unconfirmed": "unconfirmed",
    "unknown": "unknown",
}
"""Classes of unavailable time, and time that is not plainly up, as people read them."""
LETTERS = {
    "declared": "D",
    "declared_short_notice": "S",
    "overrun": "O",
    "undeclared": "U",
    "unconfirmed": "B",
    "unknown": "?",
}
"""The same in one letter each, for what must be read without colour."""


def percent(ratio: str | None) -> str:
    """A ratio in exact decimal text as a percentage, rounded down to four places.

    >>> percent("0.994999999"), percent("0.995"), percent("1"), percent(None)
    ('99.4999 %', '99.5000 %', '100.0000 %', '-')
    """
    if ratio is None:
        return NOTHING
    value = (Decimal(ratio) * 100).quantize(Decimal("0.0001"), ROUND_FLOOR)
    return f"{value} %"


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds; a fraction of a second is kept.

    >>> duration(13374), duration(59.25), duration(-60), duration(0), duration(None)
    ('3h 42m 54s', '59.25s', '-1m 00s', '0s', '-')
    """
    if seconds is None:
        return NOTHING
    exact = Decimal(str(seconds))
    sign, exact = ("-", -exact) if exact < 0 else ("", exact)
    whole = int(exact)
    fraction = f"{(exact - whole).normalize():f}"[1:] if exact != whole else ""
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{sign}{hours}h {minutes:02d}m {left:02d}{fraction}s"
    return f"{sign}{minutes}m {left:02d}{fraction}s" if minutes else f"{sign}{left}{fraction}s"


def local(instant: str | None, zone: ZoneInfo, none: str = NOTHING) -> str:
    """An instant as the zone's clocks show it, to the second, with the zone's name.

    >>> local("2026-06-01T08:30:00Z", ZoneInfo("Europe/London"))
    '2026-06-01 09:30:00 BST'
    """
    if instant is None:
        return none
    return f"{civil(datetime.fromisoformat(instant), zone):%Y-%m-%d %H:%M:%S %Z}"


def names(values: Iterable[str] | None, none: str = NOTHING) -> str:
    """A list on one line."""
    return ", ".join(values or ()) or none


def roughly(seconds: float) -> str:
    """Seconds for reading at a glance, rounded down to minutes; from two days on, to hours.

    >>> roughly(59), roughly(2880), roughly(7500), roughly(7200), roughly(200_000)
    ('less than a minute', '48 min', '2 h 05 min', '2 h', '2 days 7 h')
    """
    minutes = int(seconds) // 60
    if minutes < 1:
        return "less than a minute"
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        days, left = divmod(hours, 24)
        return f"{days} days {left} h" if left else f"{days} days"
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest:02d} min" if rest else f"{hours} h"


def brief(seconds: float) -> str:
    """Seconds for reading at a glance: exact to the second, without the units that are zero.

    >>> brief(12960), brief(4680), brief(4685), brief(40), brief(-60), brief(0.5)
    ('3h 36m', '1h 18m', '1h 18m 05s', '40s', '-1m', '0.5s')
    """
    text = duration(int(seconds) if abs(seconds) >= 1 else seconds)
    return text.removesuffix(" 00s").removesuffix(" 00m")
