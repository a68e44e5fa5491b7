"""Would this window do? Everything that speaks for and against one, and better ones (domain.md 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from monitor import declare, snapshot
from monitor.core import downtime
from monitor.core.book import Book
from monitor.core.downtime import Declaration, Version
from monitor.core.fact import Fact
from monitor.core.interval import Interval, IntervalSet
from monitor.core.month import Month, civil, midnight, months_between, show_instant
from monitor.core.notice import is_working_day, notice
from monitor.core.planning import (
    Candidate,
    Count,
    Planning,
    agree,
    candidates,
    change_window,
    change_windows,
    counts,
    frozen,
    windows_text,
)
from monitor.declare import Budgets, Given, Spending
from monitor.errors import BadInstant

Document = dict[str, Any]

LOOK_AHEAD = timedelta(days=183)
"""How far ahead better windows are looked for."""
MOST_OFFERED = 5
AT_ONCE = 20
"""Series worked through before others get their turn."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a plan is made with: the Book, what is reserved of budgets, and the instant."""

    book: Book
    planning: Planning
    budgets: Budgets
    now: datetime
    known: dict[Interval, list[tuple[Month, list[Spending]]]] = field(default_factory=dict)

    def spendings(self, asked: Declaration) -> list[tuple[Month, list[Spending]]]:
        """What a window takes of each month and series, worked out once."""
        window = asked.latest.window
        if window not in self.known:
            self.known[window] = list(declare.spendings(asked, self.budgets))
        return self.known[window]

    def counts(self, window: Interval) -> tuple[Count, ...]:
        return counts(self.now, window.start, self.book.rules, self.planning)

    def away(self) -> list[tuple[Declaration, Interval]]:
        return declare.maps_downtime(self.book, self.now)


async def plan(book: Book, given: Given, planning: Planning, *, now: datetime) -> Document:
    """Judge a window of planned downtime as if MaPS were told of it now; nothing is recorded.

    `ok` is false if anything stands in `objections`: notice, freeze, MaPS' own downtime, budget.
    A window outside the change windows is only warned of. Raises UsageError.
    """
    desk = _Desk(book, planning, Budgets(book, now), now)
    asked = _asked(book, given, now)
    version = asked.latest
    objections = list(_objections(desk, asked))
    good, passed_over = await _others(desk, asked)
    return {
        "ok": not objections,
        "now": show_instant(now),
        "window": _window(version.window),
        "scope": snapshot.scope_document(version.scope),
        **_notice_documents(desk, version.window),
        "change_window": _change_window_document(desk, version.window),
        "freeze": _freeze_document(desk, version.window),
        "maps_downtime": [
            {"id": one.id, "reason": one.latest.reason, **_window(away)}
            for one, away in desk.away()
            if away.clip(version.window) is not None
        ],
        "budget": _budget_documents(desk, asked),
        "objections": objections,
        "warnings": list(_warnings(desk, asked)),
        "alternatives": good,
        "passed_over": passed_over,
    }


def _asked(book: Book, given: Given, now: datetime) -> Declaration:
    """The window as a declaration of which MaPS is told now. Raises UsageError."""
    start, end = given.instant("start"), given.instant("end")
    assert start is not None
    assert end is not None
    if end <= start:
        raise BadInstant(
            f"end: {show_instant(end)} is not after the start {show_instant(start)}; give an end"
            " that is later"
        )
    if end > now + declare.FAR_OFF:
        raise BadInstant(
            f"end: {show_instant(end)} is more than {declare.FAR_OFF.days} days ahead; check the"
            " year"
        )
    body = {
        "id": "PLAN",
        "notified_at": show_instant(now),
        "start": show_instant(start),
        "end": show_instant(end),
        **declare.scope_of(book, given),
    }
    return downtime.declare(Fact(now, "declaration", body))


# -- for and against -------------------------------------------------------------------------------


def _objections(desk: _Desk, asked: Declaration) -> Iterator[str]:
    """Why a window would not do."""
    window, zone = asked.latest.window, desk.book.rules.zone
    if window.start < desk.now:
        yield f"the window began at {show_instant(window.start)}: it excuses nothing that is past"
    decisive = desk.counts(window)[0]
    if not decisive.notice.enough:
        yield (
            f"notice too short: {decisive.notice.days} of {decisive.notice.needed} working days if"
            f" MaPS is told now; it had to be told before {show_instant(decisive.notify_before)}"
        )
    days = frozen(window, desk.planning, zone)
    if days is not None:
        yield (
            f"the change freeze of {days[0].isoformat()} to {days[1].isoformat()}: it is refused"
            " without --override-freeze REASON"
        )
    for one, away in desk.away():
        if away.clip(window) is not None:
            yield (
                f"MaPS' own downtime {one.id}, {show_instant(away.start)} to"
                f" {show_instant(away.end)}: stay out of its way"
            )
    for month, found in desk.spendings(asked):
        yield from declare.overspent_warnings(month, found)


def _warnings(desk: _Desk, asked: Declaration) -> Iterator[str]:
    """What is worth knowing of a window that may do all the same."""
    version, zone = asked.latest, desk.book.rules.zone
    if change_window(version.window, desk.planning, zone) is None:
        yield (
            f"outside the recommended change windows ({windows_text(desk.planning)}); advice only"
        )
    found = desk.counts(version.window)
    if not agree(found):
        yield declare.counting_text(found)
    for month, spent in desk.spendings(asked):
        yield from declare.risk_warnings(month, spent)
    yield from declare.scope_warnings(desk.book, version)


# -- better windows --------------------------------------------------------------------------------


async def _others(desk: _Desk, asked: Declaration) -> tuple[list[Document], list[Document]]:
    """The next change windows that would do, best first, and those before that would not.

    Best is what suffices however notice is counted and even if an outage of now goes on; of these,
    the soonest. Between two windows others get their turn: there may be thousands of series.
    """
    ranked: list[tuple[tuple[bool, bool, datetime], Document]] = []
    passed_over: list[Document] = []
    for candidate in _candidates(desk, asked.latest):
        if len(ranked) == MOST_OFFERED:
            break
        await asyncio.sleep(0)
        window = candidate.window
        if window == asked.latest.window:
            continue
        reasons = [candidate.why] if candidate.why else []
        if window is not None:
            moved = _moved(asked, window)
            reasons = list(_objections(desk, moved))
            if not reasons:
                ranked.append((_rank(desk, moved), _offer(desk, moved, candidate)))
                continue
        passed_over.append({"change_window": _window(candidate.change_window), "why": reasons})
    ranked.sort(key=lambda item: item[0])
    return [document for _, document in ranked], passed_over


def _candidates(desk: _Desk, version: Version) -> Iterable[Candidate]:
    away = IntervalSet(window for _, window in desk.away())
    within = Interval.lasting(desk.now, LOOK_AHEAD)
    zone = desk.book.rules.zone
    return candidates(version.window.duration, within, desk.planning, zone, away)


def _moved(asked: Declaration, window: Interval) -> Declaration:
    return replace(asked, versions=(replace(asked.latest, window=window),))


def _rank(desk: _Desk, moved: Declaration) -> tuple[bool, bool, datetime]:
    window = moved.latest.window
    spent = [one for _, found in desk.spendings(moved) for one in found]
    risky = any(one.forecast < 0 for one in spent)
    return risky, not agree(desk.counts(window)), window.start


def _offer(desk: _Desk, moved: Declaration, candidate: Candidate) -> Document:
    window = moved.latest.window
    found = desk.counts(window)
    spent = [one for _, each in desk.spendings(moved) for one in each]
    worst = min(spent, key=lambda one: one.after, default=None)
    return {
        "window": _window(window),
        "change_window": _window(candidate.change_window),
        "notice": _count_document(found[0]),
        "after_s": None if worst is None else snapshot.seconds(worst.after),
        "why": list(_reasons(desk, found, worst)),
    }


def _reasons(desk: _Desk, found: tuple[Count, ...], worst: Spending | None) -> Iterator[str]:
    """Why a window would do."""
    first = found[0]
    last = civil(first.notify_before, desk.book.rules.zone)
    extent = "however it is counted" if agree(found) else "by the count in use, not by every other"
    yield (
        f"{first.notice.days} working days of notice, enough {extent}; tell MaPS before"
        f" {last:%a %d %b %H:%M}"
    )
    yield "a change window, no freeze, no downtime of MaPS"
    if worst is not None:
        rest = f"leaves {_lasting(worst.after)} of the budget of {worst}"
        risk = "; not if the present outage goes on" if worst.forecast < 0 else ""
        yield rest + risk


def _lasting(microseconds: Fraction) -> str:
    return declare.lasting(timedelta(microseconds=int(microseconds)))


# -- the weeks to come -----------------------------------------------------------------------------


async def calendar(book: Book, planning: Planning, weeks: int, *, now: datetime) -> Document:
    """The days of some weeks, from the Monday of this one: what speaks for and against each.

    `earliest` is the first day with enough notice if MaPS is told now. `budget` has the endpoint to
    which least would be left of each month that is touched, with all that is declared.
    """
    zone = book.rules.zone
    today = civil(now, zone).date()
    first = today - timedelta(days=today.weekday())
    days = [first + timedelta(days=number) for number in range(7 * weeks)]
    whole = Interval(midnight(first, zone), midnight(days[-1] + timedelta(days=1), zone))
    declared = _declared_between(book, whole, now)
    ahead = (day for day in days if day >= today)
    earliest = next(
        (day for day in ahead if notice(now, midnight(day, zone), book.rules).enough), None
    )
    return {
        "now": show_instant(now),
        "today": today.isoformat(),
        "earliest": None if earliest is None else earliest.isoformat(),
        "rule": windows_text(planning),
        "days": [_day_document(book, planning, day, declared) for day in days],
        "budget": await _outlook(book, Interval(now, whole.end), now),
    }


def _declared_between(
    book: Book, whole: Interval, now: datetime
) -> list[tuple[Declaration, Version, str]]:
    """The declarations of a stretch that are not taken back, with what holds of each and its state."""
    found = []
    for one in book.calendar.declarations.values():
        version = one.version_at(now, book.rules) or one.latest
        if one.cancelled_at is None and version.window.clip(whole) is not None:
            found.append((one, version, snapshot.declaration_state(one, book.rules, now)))
    return sorted(found, key=lambda item: (item[1].window, item[0].id))


def _day_document(
    book: Book,
    planning: Planning,
    day: date,
    declared: list[tuple[Declaration, Version, str]],
) -> Document:
    zone = book.rules.zone
    whole = Interval(midnight(day, zone), midnight(day + timedelta(days=1), zone))
    return {
        "day": day.isoformat(),
        "working": is_working_day(day, book.rules),
        "bank_holiday": day in book.rules.bank_holidays,
        "frozen": frozen(whole, planning, zone) is not None,
        "change_windows": [
            _window(opening)
            for opening in change_windows(whole, planning, zone)
            if opening.start >= whole.start
        ],
        "downtime": [
            {"id": one.id, "kind": version.kind.value, "state": state, **_window(version.window)}
            for one, version, state in declared
            if version.window.clip(whole) is not None
        ],
    }


async def _outlook(book: Book, ahead: Interval, now: datetime) -> list[Document]:
    """Per month the endpoint to which least would be left; others get their turn in between."""
    budgets, found = Budgets(book, now), []
    for month in months_between(ahead.start, ahead.end, book.rules.zone):
        least: Spending | None = None
        for number, series in enumerate(book.accounted_endpoints()):
            spending = budgets.outlook(series, month)
            if spending is not None and (least is None or spending.after < least.after):
                least = spending
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        if least is not None:
            found.append(_spending_document(month, least))
    return found


# -- documents -------------------------------------------------------------------------------------


def _window(window: Interval) -> Document:
    return {"start": show_instant(window.start), "end": show_instant(window.end)}


def _count_document(count: Count) -> Document:
    return snapshot.notice_document(count.notice, count.notice.enough, count.notify_before)


def _notice_documents(desk: _Desk, window: Interval) -> Document:
    """The count that decides, and every way to count."""
    found = desk.counts(window)
    return {
        "notice": _count_document(found[0]),
        "counts": [
            {
                "calendar": count.calendar.value,
                "method": count.method.value,
                **_count_document(count),
            }
            for count in found
        ],
        "counts_agree": agree(found),
    }


def _change_window_document(desk: _Desk, window: Interval) -> Document:
    inside = change_window(window, desk.planning, desk.book.rules.zone)
    return {
        "inside": inside is not None,
        "window": None if inside is None else _window(inside),
        "rule": windows_text(desk.planning),
    }


def _freeze_document(desk: _Desk, window: Interval) -> Document | None:
    days = frozen(window, desk.planning, desk.book.rules.zone)
    return None if days is None else {"from": days[0].isoformat(), "to": days[1].isoformat()}


def _budget_documents(desk: _Desk, asked: Declaration) -> list[Document]:
    """Per month and series: what is left now, what is planned and reserved, what would be left."""
    return [
        _spending_document(month, spending)
        for month, found in desk.spendings(asked)
        for spending in found
    ]


def _spending_document(month: Month, spending: Spending) -> Document:
    return {
        "month": str(month),
        "series": snapshot.series_document(spending.series),
        "remaining_s": snapshot.seconds(spending.remaining),
        "planned_s": snapshot.seconds(spending.planned),
        "reserved_s": snapshot.seconds(spending.reserved),
        "after_s": snapshot.seconds(spending.after),
        "forecast_s": snapshot.seconds(spending.forecast),
    }
