"""The defaults are the values in brackets of accounting.md."""

from __future__ import annotations

from datetime import time, timedelta
from fractions import Fraction

from monitor.core.rules import RULES_VERSION, LateRecords, NoticeCalendar, NoticeMethod, Rules


def test_defaults() -> None:
    """Nothing configured means the choices that the rules recommend."""
    rules = Rules()
    assert RULES_VERSION == 1
    assert rules.objective == Fraction(199, 200)
    assert rules.zone.key == "Europe/London"
    assert (rules.notice_days, rules.notice_method) == (5, NoticeMethod.CLEAR)
    assert (rules.notice_cutoff, rules.notice_calendar) == (time(17), NoticeCalendar.ANY_UK)
    assert rules.late_records is LateRecords.REJECT
    assert rules.quiet_period == timedelta(minutes=10)
    assert rules.restoration_target == timedelta(hours=2)
    assert rules.at_risk_after == (timedelta(minutes=60), timedelta(minutes=90))
    assert rules.seal_after == 5
