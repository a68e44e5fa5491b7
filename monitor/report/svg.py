"""The report's pictures as SVG: readable without colour, by hatching, letters and labels.

Colours are attributes, which paper and a report file need; each also has a class (`m-...`), by which
the style of a page may choose others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from monitor.report.words import LETTERS, STATES, duration, percent

WIDTH = 900
INK = "#1a1a1a"
FONT = 'font-family="DejaVu Sans, sans-serif" fill="#1a1a1a" class="m-text"'

_PATTERNS = {
    "declared": ("#cfe3f5", "#0b4f8a", '<path d="M-2,2 L2,-2 M0,8 L8,0 M6,10 L10,6"/>', 1.0),
    "declared_short_notice": (
        "#f2d9a6",
        "#5c3d00",
        '<path d="M-2,6 L2,10 M0,0 L8,8 M6,-2 L10,2 M0,4 L4,8 M4,0 L8,4"/>',
        1.2,
    ),
    "overrun": ("#e6b8a2", "#4a1500", '<path d="M0,0 L8,8 M0,8 L8,0"/>', 1.6),
    "undeclared": ("#2b2b2b", "#2b2b2b", "", 0),
    "unconfirmed": ("#ffffff", "#555555", '<path d="M0,2 H8 M0,6 H8"/>', 1.0),
    "unknown": ("#ffffff", "#555555", '<path d="M1,2 h2 M5,6 h2"/>', 2.0),
}
"""Kind of time to background, colour, strokes and stroke width of its hatching on 8 by 8."""


def _fill(kind: str, prefix: str) -> str:
    """The filling of a kind, as attributes: solid where there is no hatching, tiles show seams."""
    paint = f"url(#{prefix}-{kind})" if _PATTERNS[kind][2] else _PATTERNS[kind][0]
    return f'fill="{paint}" class="m-bar m-{kind}"'


GROUND = 'fill="#ffffff" class="m-bar m-ground"'
OUTSIDE = 'fill="#d9d9d9" class="m-bar m-outside"'
LOST = 'fill="#2b2b2b" class="m-bar m-lost"'


def hatchings(prefix: str, kinds: Iterable[str] = STATES) -> Markup:
    """The hatchings of some kinds, by the ids `PREFIX-KIND`, which must be new in their page."""
    found = []
    for kind in kinds:
        ground, stroke, strokes, width = _PATTERNS[kind]
        if not strokes:
            continue
        found.append(
            f'<pattern id="{prefix}-{kind}" width="8" height="8" patternUnits="userSpaceOnUse">'
            f'<rect width="8" height="8" fill="{ground}" class="m-{kind}-ground"/>'
            f'<g stroke="{stroke}" stroke-width="{width}" fill="none" class="m-{kind}-strokes">'
            f"{strokes}</g></pattern>"
        )
    return Markup(f"<defs>{''.join(found)}</defs>")


def _picture(label: str, height: float, body: Iterable[str], *, role: str = "img") -> Markup:
    """`role` is `group` for a picture that holds links, of which an image has none."""
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" role="{role}" viewBox="0 0 {WIDTH} {height:g}"'
        f' width="{WIDTH}" height="{height:g}" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{''.join(body)}</svg>"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: float = 11) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" {FONT}>'
        f"{escape(text)}</text>"
    )


def _bar(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:g}" width="{width:.2f}" height="{height:g}" {fill}'
        f' stroke="{INK}" stroke-width="0.7"/>'
    )


# -- legend ----------------------------------------------------------------------------------------


def legend() -> Markup:
    """What each hatching and letter means."""
    body: list[str] = [hatchings("legend", STATES)]
    for place, (kind, word) in enumerate(STATES.items()):
        x, y = 4 + place % 3 * 300, 4 + place // 3 * 22
        body.append(_bar(x, y, 34, 14, _fill(kind, "legend")))
        body.append(_text(x + 42, y + 11, f"{LETTERS[kind]}  {word}", size=12))
    return _picture("Legend of the hatchings and letters", 48, body)


# -- waterfall -------------------------------------------------------------------------------------

_LEFT, _BARS, _ROW = 210, 430, 16


@dataclass(frozen=True, slots=True)
class _Step:
    """One bar of a waterfall, from and to so many seconds."""

    label: str
    start: float
    end: float
    fill: str
    text: str


def waterfall(row: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], prefix: str) -> Markup:
    """From the length of the month to the figure, and from the budget to what is left of it."""
    month = list(_month_steps(row, steps, prefix))
    budget = list(_budget_steps(row, prefix))
    body: list[str] = [hatchings(prefix, STATES)]
    body.append(_text(0, 12, "From the length of the month to the figure", size=12))
    body += _drawn(month, 20)
    below = 20 + len(month) * _ROW + 24
    body.append(_text(0, below - 8, "The error budget and what it was spent on", size=12))
    body += _drawn(budget, below)
    name = " ".join(row["series"].values())
    label = f"{name}: budget waterfall, measured {percent(row['measured'])}"
    return _picture(label, below + len(budget) * _ROW + 4, body)


def _month_steps(
    row: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], prefix: str
) -> Iterator[_Step]:
    left = {step["step"]: step["left_s"] for step in steps}
    taken = {step["step"]: step["seconds"] for step in steps}
    end = steps[-1]["left_s"]
    yield _Step("Length of the month", 0, left["month"], GROUND, duration(left["month"]))
    outside = duration(-taken["outside"])
    yield _Step("less not connected or to come", left["outside"], left["month"], OUTSIDE, outside)
    unknown = duration(-taken["unknown"])
    fill = _fill("unknown", prefix)
    yield _Step("less unknown", left["unknown"], left["outside"], fill, unknown)
    yield _Step("= measured", 0, left["unknown"], GROUND, duration(left["unknown"]))
    lost = duration(-row["unavailable_s"])
    yield _Step("less unavailable", end, left["unknown"], LOST, lost)
    figure = f"{duration(end)} = {percent(row['measured'])}"
    yield _Step("= available", 0, end, GROUND, figure)


def _budget_steps(row: Mapping[str, Any], prefix: str) -> Iterator[_Step]:
    left = row["budget_s"]
    yield _Step("Budget of the month", 0, left, GROUND, duration(left))
    for kind, seconds in row["by_class"].items():
        after = left - seconds
        text = duration(-seconds)
        yield _Step(f"less {STATES[kind]}", after, left, _fill(kind, prefix), text)
        left = after
    word = "= left" if row["remaining_s"] >= 0 else "= overspent"
    yield _Step(word, 0, row["remaining_s"], GROUND, duration(row["remaining_s"]))


def _drawn(steps: Sequence[_Step], top: float) -> Iterator[str]:
    low = min(0, *(min(step.start, step.end) for step in steps))
    high = max(1, *(max(step.start, step.end) for step in steps))
    scale = _BARS / (high - low)
    zero = _LEFT + (0 - low) * scale
    height = len(steps) * _ROW
    yield f'<path d="M{zero:.2f},{top:g} v{height:g}" stroke="{INK}" stroke-width="0.7" class="m-line"/>'
    for place, step in enumerate(steps):
        y = top + place * _ROW
        yield _text(_LEFT - 8, y + 12, step.label, anchor="end")
        start, end = sorted((step.start, step.end))
        if start < end:
            width = max((end - start) * scale, 1.5)
            yield _bar(
                min(_LEFT + (start - low) * scale, _LEFT + _BARS - width),
                y + 2,
                width,
                13,
                step.fill,
            )
        yield _text(_LEFT + _BARS + 10, y + 12, step.text)


# -- strip -----------------------------------------------------------------------------------------

_DAY_LEFT, _DAY_TOP, _DAY_ROW = 92, 18, 11
_PER_MINUTE = 0.44
_NARROWEST = 2.0


def strip(
    endpoint: Mapping[str, Any],
    days: Sequence[Mapping[str, Any]],
    links: Sequence[tuple[datetime, datetime | None, int]],
    prefix: str,
) -> Markup:
    """Every minute of the month, a line for each civil day; `links` are the outages to link to.

    A link is (start, end or None, number of the outage).
    """
    stretches = [(_at(one["start"]), _at(one["end"]), one) for one in endpoint["strip"]]
    eligible = [(_at(one["start"]), _at(one["end"])) for one in endpoint["eligible"]]
    kinds = dict.fromkeys(_kind(one) for _, _, one in stretches)
    body: list[str] = [hatchings(prefix, kinds), *_hours(len(days))]
    for place, day in enumerate(days):
        line = _Day(_at(day["start"]), _at(day["end"]), _DAY_TOP + place * _DAY_ROW)
        body.append(_text(_DAY_LEFT - 8, line.y + 9, _weekday(day["day"]), anchor="end", size=9))
        for start, end in eligible:
            body += line.bar(start, end, GROUND, 0)
        inside = [item for item in stretches if item[0] < line.end and item[1] > line.start]
        for start, end, one in inside:
            drawn = "".join(line.bar(start, end, _fill(_kind(one), prefix), _NARROWEST))
            body.append(_linked(drawn, start, one, links))
        if inside:
            x = _DAY_LEFT + 1500 * _PER_MINUTE + 8
            body.append(_text(x, line.y + 9, _sums(line, inside), size=8))
    label = (
        f"{endpoint['id']}: every minute of the month, {len(endpoint['strip'])} stretches not up"
    )
    return _picture(label, _DAY_TOP + len(days) * _DAY_ROW + 4, body, role="group")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _kind(one: Mapping[str, Any]) -> str:
    kind: str = one["class"] or one["state"]
    return kind


def _weekday(day: str) -> str:
    return f"{datetime.fromisoformat(day):%a %d %b}"


def _hours(days: int) -> Iterator[str]:
    height = days * _DAY_ROW
    for hour in range(0, 25, 3):
        x = _DAY_LEFT + hour * 60 * _PER_MINUTE
        yield _text(x, 11, f"{hour:02d}h", anchor="middle", size=9)
        yield f'<path d="M{x:g},14 v{height + 4:g}" stroke="#999999" stroke-width="0.5" class="m-hair"/>'


@dataclass(frozen=True, slots=True)
class _Day:
    """One line of a strip: minutes run from the day's first, as the clock of a stopwatch would."""

    start: datetime
    end: datetime
    y: float

    def bar(self, start: datetime, end: datetime, fill: str, narrowest: float) -> list[str]:
        start, end = max(start, self.start), min(end, self.end)
        if start >= end:
            return []
        x = _DAY_LEFT + (start - self.start).total_seconds() / 60 * _PER_MINUTE
        width = max((end - start).total_seconds() / 60 * _PER_MINUTE, narrowest)
        return [_bar(x, self.y + 1, width, _DAY_ROW - 3, fill)]


def _linked(
    drawn: str,
    start: datetime,
    one: Mapping[str, Any],
    links: Sequence[tuple[datetime, datetime | None, int]],
) -> str:
    title = f"{STATES[_kind(one)]}: {one['start']} to {one['end']}, {duration(one['seconds'])}"
    named = f"<g><title>{escape(title)}</title>{drawn}</g>"
    for begun, ended, number in links:
        if begun <= start and (ended is None or start < ended):
            return f'<a href="#outage-{number}">{named}</a>'
    return named


def _sums(day: _Day, inside: Iterable[tuple[datetime, datetime, Mapping[str, Any]]]) -> str:
    """Letters and times of one day, so that it reads in black and white: `U 12m 30s`."""
    sums: dict[str, float] = {}
    for start, end, one in inside:
        seconds = (min(end, day.end) - max(start, day.start)).total_seconds()
        sums[_kind(one)] = round(sums.get(_kind(one), 0) + seconds, 6)
    return "  ".join(
        f"{LETTERS[kind]} {duration(_short(sums[kind]))}" for kind in STATES if kind in sums
    )


def _short(seconds: float) -> float:
    return int(seconds) if seconds >= 1 else seconds
