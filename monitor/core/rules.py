"""The configurable choices of the accounting rules: the keys in brackets of accounting.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, time, timedelta
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

RULES_VERSION = 1
"""Version of the accounting rules; every stored figure carries it."""


class NoticeMethod(StrEnum):
    """How working days of notice are counted (accounting 4.3)."""

    CLEAR = "clear"
    INCLUSIVE_START = "inclusive_start"


class NoticeCalendar(StrEnum):
    """Whose bank holidays are not working days (accounting 4.3)."""

    ANY_UK = "any-uk"
    ENGLAND_AND_WALES = "england-and-wales"
    SCOTLAND = "scotland"
    NORTHERN_IRELAND = "northern-ireland"


class LateRecords(StrEnum):
    """Whether a declaration recorded late may excuse time already past (accounting 4.1)."""

    REJECT = "reject"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class Rules:
    """One set of choices. `bank_holidays` are UK civil dates that are not working days."""

    objective: Fraction = Fraction(995, 1000)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/London"))
    notice_days: int = 5
    notice_method: NoticeMethod = NoticeMethod.CLEAR
    notice_cutoff: time = time(17, 0)
    notice_calendar: NoticeCalendar = NoticeCalendar.ANY_UK
    bank_holidays: frozenset[date] = frozenset()
    late_records: LateRecords = LateRecords.REJECT
    quiet_period: timedelta = timedelta(minutes=10)
    restoration_target: timedelta = timedelta(hours=2)
    at_risk_after: tuple[timedelta, ...] = (timedelta(minutes=60), timedelta(minutes=90))
    seal_after: int = 5
