"""Small pictures as SVG, drawn from documents: ribbons of states, and budgets as they are spent.

Colours come from `pictures.css`, so that they follow the scheme; each kind has a hatching of its own
too, and the text beside a picture says what it shows. The hatchings stand once in a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from math import floor, log10
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from monitor.report.svg import hatchings
from monitor.report.words import LETTERS, STATES, brief

HEIGHT = 20
NARROWEST = 2.0
"""What is not plainly up is drawn at least so wide."""
DAY_WIDTH = 3
WORDS = {"up": "up", **STATES, "down": "down", "impaired": "impaired", "outside": "not watched"}
SHORT = {**LETTERS, "down": "X", "impaired": "I"}
"""Letters of kinds; `down` and `impaired` are those of time that does not count."""
QUIET = ("up", "outside")


def defs() -> Markup:
    """The hatchings that the pictures of a page refer to; once in each page, before them."""
    return Markup(
        '<svg class="hatchings" width="0" height="0" aria-hidden="true" focusable="false">'
        f"{hatchings('k')}</svg>"
    )


def legend() -> Markup:
    """What each filling and letter means, as a list."""
    items = []
    for kind, word in WORDS.items():
        letter = f" <b>{SHORT[kind]}</b>" if kind in SHORT else ""
        sample = (
            '<svg class="sample" width="28" height="14" viewBox="0 0 28 14" aria-hidden="true">'
            f'<path{filling(kind)} d="M0 0h28v14h-28z"/></svg>'
        )
        items.append(f"<li>{sample}{letter} {escape(word)}</li>")
    return Markup(f'<ul class="legend">{"".join(items)}</ul>')


def filling(kind: str) -> str:
    """Class and hatching of a kind, as attributes."""
    if kind in HATCHED:
        return f' class="k-{kind}" fill="url(#k-{kind})"'
    return f' class="k-{kind}"'


HATCHED = frozenset({"declared", "declared_short_notice", "overrun", "unconfirmed", "unknown"})


def said(sums: Mapping[str, float], *, none: str = "up throughout") -> str:
    """What a ribbon shows that is not plainly up, in words."""
    return ", ".join(_spoken(sums)) or none


def _spoken(sums: Mapping[str, float]) -> Iterator[str]:
    for kind, seconds in sums.items():
        if seconds and kind not in QUIET:
            yield f"{WORDS[kind]} {brief(seconds)}"


def letters(sums: Mapping[str, float]) -> str:
    """The same in letters, to stand beside the picture: `U 12m 30s · B 40s`."""
    return " · ".join(
        f"{SHORT[kind]} {brief(seconds)}" for kind, seconds in sums.items() if kind not in QUIET
    )


# -- ribbons ---------------------------------------------------------------------------------------


def ribbon(label: str, document: Mapping[str, Any], width: int) -> Markup:
    """Runs of (kind, seconds) from left to right; what is not up is never too narrow to be seen."""
    total = sum(seconds for _, seconds in document["runs"]) or 1
    paths: dict[str, list[str]] = {}
    at = 0.0
    for kind, seconds in document["runs"]:
        x, length = at / total * width, seconds / total * width
        if kind not in QUIET:
            length = max(length, NARROWEST)
            x = min(x, width - length)
        paths.setdefault(kind, []).append(f"M{x:.4g} 0h{length:.4g}v{HEIGHT}h-{length:.4g}z")
        at += seconds
    return _ribbon(f"{label}: {said(document['sums'])}", width, paths)


def days(document: Mapping[str, Any]) -> Markup:
    """A bar for each day, named after the worst of it."""
    paths: dict[str, list[str]] = {}
    place = 0
    for kind, count in document["runs"]:
        bars = "".join(
            f"M{(place + each) * DAY_WIDTH} 0h{DAY_WIDTH - 1}v{HEIGHT}h-{DAY_WIDTH - 1}z"
            for each in range(count)
        )
        paths.setdefault(kind, []).append(bars)
        place += count
    bad = len(document["days"])
    label = f"{place} days to {_day(document['last'])}: {said(document['sums'])}"
    if bad:
        label += (
            f"; on {bad} day{'s' if bad > 1 else ''}, last on {_day(document['days'][-1]['day'])}"
        )
    return _ribbon(label, place * DAY_WIDTH, paths)


def _ribbon(label: str, width: float, paths: Mapping[str, Sequence[str]]) -> Markup:
    # What is up first, so that a short failure made wider is drawn over it.
    order = sorted(paths, key=lambda kind: kind not in QUIET)
    drawn = "".join(f'<path{filling(kind)} d="{"".join(paths[kind])}"/>' for kind in order)
    return _svg(label, "ribbon", width, HEIGHT, [drawn])


def _svg(label: str, cls: str, width: float, height: float, body: Iterable[str]) -> Markup:
    text = escape(label)
    return Markup(
        f'<svg class="{cls}" role="img" width="{width:g}" height="{height:g}"'
        f' viewBox="0 0 {width:g} {height:g}" aria-label="{text}"><title>{text}</title>'
        f"{''.join(body)}</svg>"
    )


def _day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day.day} {day:%b}"


# -- budgets ---------------------------------------------------------------------------------------

SMALL = (128, 34)
LARGE = (680, 230)
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 14, 26


class _Field:
    """Instants and seconds of budget to places in a picture."""

    def __init__(
        self, burn: Mapping[str, Any], box: tuple[float, float, float, float], low: float
    ) -> None:
        self.left, self.top, self.width, self.height = box
        self.start, end = _at(burn["start"]), _at(burn["end"])
        self.length = (end - self.start) / timedelta(seconds=1)
        self.low, self.high = low, burn["budget_s"] or 1

    def x(self, instant: datetime) -> float:
        return self.left + (instant - self.start).total_seconds() / self.length * self.width

    def y(self, seconds: float) -> float:
        return self.top + (self.high - seconds) / (self.high - self.low) * self.height

    def line(self, points: Iterable[tuple[datetime, float]]) -> str:
        return "M" + "L".join(f"{self.x(at):.1f} {self.y(level):.1f}" for at, level in points)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _points(burn: Mapping[str, Any]) -> list[tuple[datetime, float]]:
    return [(_at(one["at"]), one["remaining_s"]) for one in burn["points"]]


def _drawn(burn: Mapping[str, Any], field: _Field) -> list[str]:
    """The pace that would spend it evenly, the zero line, what was left, and where it stands."""
    points = _points(burn)
    line = field.line(points)
    (begun, _), (now, left) = points[0], points[-1]
    zero = field.y(0)
    area = f"{line}L{field.x(now):.1f} {zero:.1f}L{field.x(begun):.1f} {zero:.1f}z"
    pace = field.line([(field.start, burn["budget_s"]), (_at(burn["end"]), 0)])
    over = " over" if left < 0 else ""
    return [
        f'<path class="area{over}" d="{area}"/>',
        f'<path class="pace" d="{pace}"/>',
        f'<path class="zero" d="M{field.left:g} {zero:.1f}h{field.width:g}"/>',
        f'<path class="left{over}" d="{line}"/>',
        f'<circle class="left{over}" cx="{field.x(now):.1f}" cy="{field.y(left):.1f}" r="2.5"/>',
    ]


def small_budget(name: str, burn: Mapping[str, Any]) -> Markup:
    """A budget of the month at a glance: what is left of it, beside spending it evenly."""
    width, height = SMALL
    lost = burn["budget_s"] - burn["remaining_s"]
    low = min(0, burn["remaining_s"])
    field = _Field(burn, (3, 3, width - 6, height - 6), max(low, -burn["budget_s"]))
    label = f"{name}: {budget_words(burn)}, {brief(lost)} spent"
    return _svg(label, "burn", width, height, _drawn(_floored(burn), field))


def _floored(burn: Mapping[str, Any]) -> Mapping[str, Any]:
    """A budget overspent more than once is drawn down to the edge of the picture."""
    floor = -burn["budget_s"]
    points = [{**one, "remaining_s": max(one["remaining_s"], floor)} for one in burn["points"]]
    return {**burn, "points": points}


def budget_words(burn: Mapping[str, Any]) -> str:
    """`1h 12m of 3h 36m left`, or by how much it is overspent."""
    left, budget = burn["remaining_s"], brief(burn["budget_s"])
    if left == burn["budget_s"]:
        return f"all of {budget} left"
    if left < 0:
        return f"overspent by {brief(-left)} of {budget}"
    return f"{brief(left)} of {budget} left"


def large_budget(name: str, burn: Mapping[str, Any]) -> Markup:
    """A budget of the month with its scales: days across, time left up."""
    width, height = LARGE
    low = min(0, burn["remaining_s"])
    field = _Field(burn, (_LEFT, _TOP, width - _LEFT - _RIGHT, height - _TOP - _BOTTOM), low)
    body = [*_days_scale(burn, field, height), *_budget_scale(field), *_drawn(burn, field)]
    body.append(
        f'<text class="note" x="{field.x(_at(burn["end"])) - 4:.1f}" y="{field.y(0) - 6:.1f}"'
        ' text-anchor="end">spent evenly</text>'
    )
    now, left = _points(burn)[-1]
    side, shift = ("end", -7) if field.x(now) > width * 0.7 else ("start", 7)
    body.append(
        f'<text class="mark" x="{field.x(now) + shift:.1f}" y="{field.y(left) - 7:.1f}"'
        f' text-anchor="{side}">{escape(brief(left))}</text>'
    )
    return _svg(f"{name}: {budget_words(burn)}", "burn broad", width, height, body)


def _days_scale(burn: Mapping[str, Any], field: _Field, height: float) -> Iterator[str]:
    """A line and a number every fifth day of the month, UK time near enough for a picture."""
    length = round(field.length / 86_400)
    for day in (1, *range(5, length + 1, 5)):
        x = field.x(field.start + timedelta(days=day - 1))
        yield f'<path class="grid" d="M{x:.1f} {field.top:g}V{height - _BOTTOM:g}"/>'
        yield f'<text x="{x:.1f}" y="{height - 9:g}" text-anchor="middle">{day}</text>'


_STEPS = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800)


def _budget_scale(field: _Field) -> Iterator[str]:
    """Lines at round times, about five of them."""
    reach = field.high - field.low
    step = next((one for one in _STEPS if reach / one <= 6), 2_592_000)
    level = -(-field.low // step) * step
    while level <= field.high:
        y = field.y(level)
        yield f'<path class="grid" d="M{field.left:g} {y:.1f}h{field.width:g}"/>'
        yield (
            f'<text x="{field.left - 8:g}" y="{y + 4:.1f}" text-anchor="end">{_scale(level)}</text>'
        )
        level += step


def _scale(seconds: float) -> str:
    hours, rest = divmod(abs(int(seconds)), 3600)
    sign = "-" if seconds < 0 else ""
    return f"{sign}{hours}h {rest // 60:02d}m" if rest else f"{sign}{hours}h"


# -- a day, hour by hour ---------------------------------------------------------------------------

_CELL_LEFT, _CELL_TOP, _CELL_ROW, _MINUTE = 54, 20, 17, 12.5
CELL = 5
"""Minutes of a cell that can be asked why."""


def day_strip(
    label: str,
    start: datetime,
    end: datetime,
    zone: ZoneInfo,
    strip: Sequence[Mapping[str, Any]],
    address: Callable[[datetime], str],
    now: datetime,
) -> Markup:
    """A civil day as a line for each hour; `address` is where an instant is explained.

    The cells are for the pointer; the same is told in words beside the picture.
    """
    hours = round((end - start) / timedelta(hours=1))
    width, height = _CELL_LEFT + 60 * _MINUTE + 14, _CELL_TOP + hours * _CELL_ROW + 4
    body = []
    for minute in range(0, 61, 10):
        x = _CELL_LEFT + minute * _MINUTE
        body.append(f'<text x="{x:g}" y="13" text-anchor="middle">:{minute:02d}</text>')
    paths: dict[str, list[str]] = {"outside": []}
    for hour in range(hours):
        begun, y = start + timedelta(hours=hour), _CELL_TOP + hour * _CELL_ROW
        shown = begun.astimezone(zone)
        body.append(
            f'<text x="{_CELL_LEFT - 8}" y="{y + 12}" text-anchor="end">{shown:%H:%M}</text>'
        )
        paths["outside"].append(_bar(_CELL_LEFT, y, 60 * _MINUTE))
    for one in strip:
        for hour in range(hours):
            begun = start + timedelta(hours=hour)
            bar = _in_hour(begun, _at(one["start"]), _at(one["end"]), hour, _kind(one))
            if bar:
                paths.setdefault(_kind(one), []).append(bar)
    order = sorted(paths, key=lambda kind: kind not in QUIET)
    body += [f'<path{filling(kind)} d="{"".join(paths[kind])}"/>' for kind in order]
    body += _cells(start, hours, address, now)
    return Markup(
        f'<svg class="chart" role="group" aria-label="{escape(label)}" width="{width:g}"'
        f' height="{height:g}" viewBox="0 0 {width:g} {height:g}">{"".join(body)}</svg>'
    )


def _kind(one: Mapping[str, Any]) -> str:
    kind: str = one["class"] or one["state"]
    return kind


def _bar(x: float, y: float, width: float) -> str:
    return f"M{x:.5g} {y + 1:g}h{width:.4g}v{_CELL_ROW - 3}h-{width:.4g}z"


def _in_hour(begun: datetime, start: datetime, end: datetime, hour: int, kind: str) -> str:
    """The part of a stretch that lies in an hour, as a bar; empty if there is none."""
    first, last = max(start, begun), min(end, begun + timedelta(hours=1))
    if first >= last:
        return ""
    x = _CELL_LEFT + (first - begun).total_seconds() / 60 * _MINUTE
    width = (last - first).total_seconds() / 60 * _MINUTE
    if kind not in QUIET:
        width = max(width, NARROWEST)
    return _bar(x, _CELL_TOP + hour * _CELL_ROW, width)


def _cells(
    start: datetime, hours: int, address: Callable[[datetime], str], now: datetime
) -> Iterator[str]:
    """What the pointer finds: every five minutes that are past, linked to why they are what they are."""
    width, height = CELL * _MINUTE, _CELL_ROW - 3
    for place in range(hours * 60 // CELL):
        instant = start + timedelta(minutes=place * CELL)
        if instant >= now:
            return
        hour, minute = divmod(place * CELL, 60)
        x, y = _CELL_LEFT + minute * _MINUTE, _CELL_TOP + hour * _CELL_ROW + 1
        yield (
            f'<a href="{escape(address(instant))}" tabindex="-1" aria-hidden="true">'
            f'<rect class="cell" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"/></a>'
        )


# -- how long probes took --------------------------------------------------------------------------

TIMES = (680, 190)


def times(document: Mapping[str, Any]) -> Markup:
    """Median, 95th percentile and longest of each quarter of an hour, and where probes failed."""
    width, height = TIMES
    start, end = _at(document["start"]), _at(document["end"])
    field = (_LEFT, _TOP, width - _LEFT - _RIGHT, height - _TOP - _BOTTOM)
    top = max((one["max_s"] for one in document["buckets"]), default=1.0) or 1.0
    step = _nice(top / 4)

    def x(instant: datetime) -> float:
        return field[0] + (instant - start) / (end - start) * field[2]

    def y(seconds: float) -> float:
        return field[1] + (1 - seconds / (step * 4.25)) * field[3]

    body = [
        f'<path class="grid" d="M{field[0]:g} {y(step * n):.1f}h{field[2]:g}"/>'
        f'<text x="{field[0] - 8:g}" y="{y(step * n) + 4:.1f}" text-anchor="end">'
        f"{short_time(step * n)}</text>"
        for n in range(5)
    ]
    body += _clock_scale(start, end, x, height)
    middle = timedelta(seconds=document["bucket_s"] / 2)
    for key, cls in (("p95_s", "p95"), ("median_s", "median")):
        body += [f'<path class="{cls}" d="{line}"/>' for line in _runs(document, key, x, y, middle)]
    for one in document["buckets"]:
        at = x(min(_at(one["at"]) + middle, end))
        body.append(f'<circle class="max" cx="{at:.1f}" cy="{y(one["max_s"]):.1f}" r="1.6"/>')
        if one["failed"]:
            body.append(
                f'<rect class="fail" x="{at - 3:.1f}" y="{height - _BOTTOM:g}" width="6" height="5"/>'
            )
    whole = document["all"]
    label = "How long probes took in the last day: " + (
        "there was none"
        if whole is None
        else f"{whole['probes']} probes, median {short_time(whole['median_s'])},"
        f" 95 of 100 within {short_time(whole['p95_s'])}, longest {short_time(whole['max_s'])}"
    )
    return _svg(label, "chart", width, height, body)


def _runs(
    document: Mapping[str, Any],
    key: str,
    x: Callable[[datetime], float],
    y: Callable[[float], float],
    middle: timedelta,
) -> Iterator[str]:
    """Lines through the quarters, broken where a quarter has no probe."""
    points: list[str] = []
    last: datetime | None = None
    for one in document["buckets"]:
        at = _at(one["at"])
        if last is not None and at - last > middle * 2:
            yield "M" + "L".join(points)
            points = []
        points.append(f"{x(min(at + middle, _at(document['end']))):.1f} {y(one[key]):.1f}")
        last = at
    if points:
        yield "M" + "L".join(points if len(points) > 1 else [points[0], points[0]])


def _clock_scale(
    start: datetime, end: datetime, x: Callable[[datetime], float], height: float
) -> Iterator[str]:
    """Every third hour."""
    hour = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    while hour < end:
        local = hour.astimezone(_LONDON)
        if local.hour % 3 == 0:
            yield f'<path class="grid" d="M{x(hour):.1f} {_TOP}V{height - _BOTTOM:g}"/>'
            yield (
                f'<text x="{x(hour):.1f}" y="{height - 7:g}" text-anchor="middle">{local:%H:%M}</text>'
            )
        hour += timedelta(hours=1)


_LONDON = ZoneInfo("Europe/London")


def _nice(seconds: float) -> float:
    """The next round number of seconds: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(seconds))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= seconds * 0.999999)


def short_time(seconds: float) -> str:
    """A short time for reading: `12.5 ms` or `1.25 s`.

    >>> short_time(0.0125), short_time(1.25), short_time(0)
    ('12.5 ms', '1.25 s', '0 ms')
    """
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
