"""The month: what spent its budget, best and worst; and the two days on which the clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from monitor.core.interval import Interval
from monitor.core.month import Month, midnight
from monitor.core.outage import Class
from monitor.core.slo import Account
from monitor.core.timeline import State
from monitor.report.words import percent
from monitor.snapshot import ratio
from scripts.drawings.examples import example
from scripts.drawings.paper import INK, PALE, WIDTH, Paper

LEFT, FULL, ROW = 16, 560, 74
BUDGETS = {
    "window-within-outage": "Half an hour each before, in and after a declared window",
    "gap-within-outage": "40 minutes down, and 50 that nobody saw",
    "exactly-the-objective": "Exactly the budget of a month that is over",
    "one-second-past-the-objective": "One second more",
}
LONDON = ZoneInfo("Europe/London")
HOUR = timedelta(hours=1)


def budget() -> str:
    """What spent the budget of four examples: all of it counts, declared or not."""
    accounts = {name: _account(name) for name in BUDGETS}
    words = "; ".join(f"{BUDGETS[name]}: {_figures(one)}" for name, (_, one) in accounts.items())
    paper = Paper("What spends a month's budget", words)
    paper.text(8, 20, "What spends a month's budget", size=14, weight="600")
    top = 44.0
    for name, (month, account) in accounts.items():
        _bar(paper, top, BUDGETS[name], month, account)
        top += ROW
    return paper.svg()


def _account(name: str) -> tuple[Month, Account]:
    """The account of the first endpoint's month."""
    known = example(name)
    series = known.book.accounted_endpoints()[0]
    (month,) = known.book.months(series, known.until)
    return month, known.book.account(series, month, known.until)


def _bar(paper: Paper, top: float, words: str, month: Month, account: Account) -> None:
    scale = FULL / float(account.budget)
    paper.text(LEFT, top, f"{words} ({month})", size=12)
    paper.bar(LEFT, top + 8, FULL, 20, "left")
    x: float = LEFT
    for cls in Class:
        lost = account.tally.in_class(cls) / timedelta(microseconds=1)
        if lost:
            short = cls.value.replace("declared_short_notice", "short notice")
            paper.bar(x, top + 8, lost * scale, 20, cls.value, short)
            x += lost * scale
    unseen = account.tally.of(State.UNKNOWN) / timedelta(microseconds=1)
    if unseen:
        paper.bar(x, top + 8, unseen * scale, 20, "unknown", "unknown")
    paper.line(LEFT + FULL, top + 4, LEFT + FULL, top + 32, fill=INK, wide=2)
    paper.text(LEFT + FULL + 8, top + 22, f"budget {account.budget / 1_000_000} s", size=11)
    paper.text(LEFT, top + 44, _figures(account), size=11, fill=PALE)


def _figures(account: Account) -> str:
    spent = account.unavailable // timedelta(seconds=1)
    assert account.measured is not None
    return (
        f"spent {spent} s; best {_percent(account.best)}, worst {_percent(account.worst)}, "
        f"measured {_percent(account.measured)}: {account.verdict.value}"
    )


def _percent(exact: Fraction) -> str:
    return percent(ratio(exact))


def clocks() -> str:
    """29 March and 25 October 2026 hour by hour, and the months that they make."""
    days = {date(2026, 3, 29): Month(2026, 3, LONDON), date(2026, 10, 25): Month(2026, 10, LONDON)}
    words = " ".join(_said(day, month) for day, month in days.items())
    paper = Paper("The clocks change", words)
    paper.text(8, 20, "The days on which the clocks change, in UK time", size=14, weight="600")
    for row, (day, month) in enumerate(days.items()):
        top = 44 + row * 92
        paper.text(LEFT, top, _said(day, month), size=12)
        width = (WIDTH - 2 * LEFT) / 25
        for place, local in enumerate(_hours(day)):
            odd = place in (1, 2)
            paper.bar(LEFT + place * width, top + 8, width, 30, "window" if odd else "left")
            x = LEFT + (place + 0.5) * width
            paper.text(x, top + 22, f"{local:%H}", anchor="middle", size=11)
            paper.text(x, top + 34, local.tzname() or "", anchor="middle", size=8, fill=PALE)
    return paper.svg()


def _hours(day: date) -> Iterator[datetime]:
    """The starts of the hours that a UK day really has, as civil time."""
    span = _day(day)
    at = span.start
    while at < span.end:
        yield at.astimezone(LONDON)
        at += HOUR


def _day(day: date) -> Interval:
    return Interval(
        midnight(day, LONDON).astimezone(UTC),
        midnight(day + timedelta(days=1), LONDON).astimezone(UTC),
    )


def _said(day: date, month: Month) -> str:
    hours = _day(day).duration // HOUR
    whole = month.interval.duration
    allowed = whole / 200 // timedelta(seconds=1)
    return (
        f"{day:%d %B %Y} has {hours} hours; {day:%B} {whole // HOUR} h ="
        f" {whole // timedelta(seconds=1)} s, of which 0.5 % is {allowed} s."
    )
