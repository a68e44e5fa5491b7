"""Notice counted over Easter 2026, day by day."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from monitor.core.notice import NoticeDay, day_by_day, latest_notification
from monitor.core.rules import Rules
from scripts.drawings.examples import Example, example
from scripts.drawings.paper import INK, Paper

BOX, GAP, LEFT = 52, 3, 12


def easter() -> str:
    """Both declarations of the example: told a minute before the cut-off, and at it."""
    known = example("notice-over-easter")
    told = [one.latest for one in known.book.calendar.declarations.values()]
    start = told[0].window.start
    rules = known.settings.rules
    paper = Paper("Notice over Easter 2026", _said(known, start))
    paper.text(8, 20, "Notice for a window on Tuesday 7 April 2026", size=14, weight="600")
    for row, version in enumerate(told):
        assert version.notified_at is not None
        days = day_by_day(version.notified_at, start, rules)
        _strip(paper, days, 40 + row * 104, version.notified_at, rules)
    last = latest_notification(start, rules)
    local = last.astimezone(ZoneInfo("Europe/London"))
    paper.text(LEFT, 252, f"MaPS must be told before {local:%A %d %B %Y, %H:%M} UK time.", size=12)
    return paper.svg()


def _said(known: Example, start: datetime) -> str:
    parts = []
    for one in known.book.calendar.declarations.values():
        assert one.latest.notified_at is not None
        days = day_by_day(one.latest.notified_at, start, known.settings.rules)
        told = ", ".join(f"{day.day:%d %B}: {day.why}" for day in days)
        parts.append(f"{one.id} told {one.latest.notified_at:%d %B %H:%M} UTC. {told}.")
    return " ".join(parts)


def _strip(paper: Paper, days: list[NoticeDay], top: float, told: datetime, rules: Rules) -> None:
    counted = [one for one in days if one.counts]
    enough = "enough: declared" if len(counted) >= rules.notice_days else "too short: short notice"
    local = told.astimezone(rules.zone)
    paper.text(
        LEFT,
        top,
        f"Told {local:%A %d %B, %H:%M} UK time: {len(counted)} of {rules.notice_days} clear working days, {enough}",
        size=12,
    )
    for place, one in enumerate(days):
        x = LEFT + place * (BOX + GAP)
        kind = "declared" if one.counts else "left"
        paper.bar(x, top + 10, BOX, 58, kind)
        paper.text(x + BOX / 2, top + 26, f"{one.day:%a}", anchor="middle", size=11)
        paper.text(x + BOX / 2, top + 42, f"{one.day:%d %b}", anchor="middle", size=11)
        number = f"{counted.index(one) + 1}" if one.counts else _short(one)
        paper.text(x + BOX / 2, top + 60, number, anchor="middle", size=9, fill=INK)


def _short(one: NoticeDay) -> str:
    """A few letters for why a day does not count."""
    for words, short in (
        ("counts as the day", "told"),
        ("told", "told late"),
        ("weekend", "weekend"),
        ("bank holiday", "holiday"),
        ("day of the start", "start"),
    ):
        if one.why.startswith(words):
            return short
    return ""
