"""Pictures of the dashboards for the docs: their own queries, drawn by hand. They are not Grafana.

`python -m grafana.pictures`, or `make dashboard-pictures`, lives through the scripted hour, puts it into a
Prometheus, asks it what each panel of `dashboards/` asks, and draws the answers where the panel
stands. The same each time: what differs from machine to machine is left out, which is said.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from grafana.generate import BOARDS, FOLDER
from grafana.hour import END, MONTH, SCRAPE, START, lived
from grafana.parts import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from grafana.prometheus import Prometheus, Series, filled, prometheus

PICTURES = FOLDER.parents[1] / "docs" / "pictures"
LONDON = ZoneInfo("Europe/London")
COLUMN, ROW, GAP = 50, 30, 8
"""Pixels of one of the 24 columns, of one row, and between panels."""
BANNER = 54
INK, PALE, FRAME = "#1a1a1a", "#666666", "#bbbbbb"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, GREY)
NOT_DRAWN = {
    "A commit to the store takes",
    "Alert deliveries, since the daemon started",
    "Changes stored a second",
    "Memory",
    "Processor",
    "What runs",
}
"""Panels that show another thing on every machine, or with each release."""
VARIABLES = {
    "$__rate_interval": "65s",
    "$__range": "1h",
    "$endpoint": ".*",
    "$month": MONTH,
}
"""Grafana's variables, and what stands for them here."""
WARNING = (
    "Drawn from the dashboard's own queries, asked of a Prometheus that holds a scripted hour."
    " This is not Grafana."
)


def substituted(expr: str, values: Mapping[str, str] = VARIABLES) -> str:
    """A query as Grafana would send it."""
    for name, value in values.items():
        expr = expr.replace(name, value)
    return expr


# -- words for numbers -----------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """The two largest parts of a time.

    >>> duration(6720), duration(-90), duration(0.15), duration(0)
    ('1 h 52 min', '1 min 30 s ago', '150 ms', '0 s')
    """
    if seconds < 0:
        return f"{duration(-seconds)} ago"
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    parts, left = [], seconds
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        many = int(left // length)
        left -= many * length
        if many:
            parts.append(f"{many} {name}")
    return " ".join(parts[:2]) or "0 s"


def said(value: float, unit: str, decimals: int | None) -> str:
    """A number in its unit."""
    if unit == "percentunit":
        return f"{value * 100:.{2 if decimals is None else decimals}f} %"
    if unit in ("s", "dtdurations"):
        return duration(value)
    if unit == "dateTimeAsIso":
        return f"{datetime.fromtimestamp(value / 1000, LONDON):%d %b %H:%M:%S}"
    if unit == "dateTimeFromNow":
        return f"in {duration(value / 1000 - END.timestamp())}"
    return f"{value:g}" if abs(value) < 1e5 else f"{value:.0f}"


@dataclass(frozen=True, slots=True)
class Looks:
    """How a value is shown: of a panel, or of one series or column of it."""

    unit: str
    decimals: int | None
    steps: Sequence[Mapping[str, Any]]
    words: Mapping[str, Mapping[str, Any]]
    color: str | None = None
    dashed: bool = False

    def text(self, value: float) -> str:
        """Its word if it has one, else the number in its unit."""
        return str(self._word(value).get("text") or said(value, self.unit, self.decimals))

    def painted(self, value: float) -> str:
        """The colour of its word, or of the highest threshold that it reaches."""
        if color := self._word(value).get("color"):
            return str(color)
        reached = [s["color"] for s in self.steps if s["value"] is None or value >= s["value"]]
        return str(reached[-1])

    def _word(self, value: float) -> Mapping[str, Any]:
        return self.words.get(f"{value:g}", {})


def looks(panel: Mapping[str, Any], name: str = "") -> Looks:
    """Those of the panel, with the overrides for what has this name."""
    defaults = panel["fieldConfig"]["defaults"]
    known = {
        "unit": defaults["unit"],
        "decimals": defaults.get("decimals"),
        "thresholds": defaults["thresholds"],
        "mappings": defaults.get("mappings") or [],
    }
    for override in panel["fieldConfig"]["overrides"]:
        if _matches(override["matcher"], name):
            known |= {one["id"]: one["value"] for one in override["properties"]}
    words = known["mappings"][0]["options"] if known["mappings"] else {}
    return Looks(
        known["unit"],
        known["decimals"],
        known["thresholds"]["steps"],
        words,
        known.get("color", {}).get("fixedColor"),
        "custom.lineStyle" in known,
    )


def _matches(matcher: Mapping[str, Any], name: str) -> bool:
    pattern = str(matcher["options"])
    if matcher["id"] == "byName":
        return pattern == name
    return re.search(pattern.strip("/"), name) is not None


# -- answers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """One series under the name that the legend gives it."""

    name: str
    series: Series


class Asking:
    """Asks what panels ask, as of END and over the hour."""

    def __init__(self, source: Prometheus, document: Mapping[str, Any]) -> None:
        self._source = source
        self.marks = [
            (mark["name"], mark["iconColor"], self._over(mark["expr"]))
            for mark in document["annotations"]["list"]
            if not mark["useValueForTime"]
        ]

    def _over(self, expr: str) -> list[Series]:
        return self._source.over(substituted(expr), START + SCRAPE, END, SCRAPE)

    def course(self, panel: Mapping[str, Any]) -> list[Answer]:
        """Each series of a panel over the hour, by name."""
        return [
            Answer(_named(target, series), series)
            for target in panel["targets"]
            for series in sorted(self._over(target["expr"]), key=_order)
        ]

    def now(self, panel: Mapping[str, Any]) -> list[list[Answer]]:
        """For each query of a panel, its series at the end of the hour, by label."""
        return [
            [
                Answer(_named(target, series), series)
                for series in sorted(self._source.at(substituted(target["expr"]), END), key=_order)
            ]
            for target in panel["targets"]
        ]


def _order(series: Series) -> list[tuple[str, str]]:
    return sorted(series.labels.items())


def _named(target: Mapping[str, Any], series: Series) -> str:
    legend: str = target.get("legendFormat") or ""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: series.labels.get(found[1], ""), legend)


# -- drawing ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Box:
    """Where something is drawn, in pixels."""

    x: float
    y: float
    width: float
    height: float

    def across(self, at: float) -> float:
        """Where an instant of the hour lies, in seconds since 1970."""
        return self.x + (at - START.timestamp()) / (END - START).total_seconds() * self.width


def text(
    x: float, y: float, words: str, *, size: float = 11, color: str = INK, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{color}"'
        f' text-anchor="{anchor}">{escape(words)}</text>'
    )


def bar(x: float, y: float, width: float, height: float, color: str, opacity: float = 1) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
        f' fill="{color}" fill-opacity="{opacity:g}"/>'
    )


def path(points: Sequence[tuple[float, float]], color: str, *, dashed: bool = False) -> str:
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<polyline points="{drawn}" fill="none" stroke="{color}" stroke-width="1.6"{dash}/>'


def shortened(words: str, width: float, size: float = 11) -> str:
    """As much of it as fits."""
    most = max(int(width / (size * 0.58)), 4)
    return words if len(words) <= most else f"{words[: most - 1]}…"


def hours(box: Box) -> Iterator[str]:
    """The time axis below a box."""
    for quarter in range(5):
        at = START + quarter * (END - START) / 4
        x = box.across(at.timestamp())
        yield f'<path d="M{x:.1f},{box.y:.1f} v{box.height:.1f}" stroke="#e4e4e4"/>'
        anchor = ("start", "middle", "middle", "middle", "end")[quarter]
        yield text(x, box.y + box.height + 12, f"{at.astimezone(LONDON):%H:%M}", size=9,
                   color=PALE, anchor=anchor)  # fmt: skip


def marks(box: Box, asking: Asking, opacity: float = 0.15) -> Iterator[str]:
    """Open incidents and declared windows, as bands."""
    for _, color, found in asking.marks:
        for series in found:
            held = [at for at, value in series.points if float(value) > 0]
            x = box.across(held[0])
            yield bar(x, box.y, box.across(held[-1]) - x, box.height, color, opacity)


def legend(box: Box, names: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names in their colours, as many as one line holds."""
    x = box.x
    for name, color in names:
        if x + 13 + len(name) * 5.6 > box.x + box.width - 10:
            yield text(x, box.y, "…", size=9)
            return
        yield bar(x, box.y - 8, 10, 8, color)
        yield text(x + 13, box.y, name, size=9)
        x += 26 + len(name) * 5.6


def single(panel: Mapping[str, Any], box: Box, asking: Asking) -> Iterator[str]:
    """One value, or one a name."""
    (found,) = asking.now(panel)
    x, y = box.x + box.width / 2, box.y + box.height / 2 + 12
    if not found:
        nothing = panel["fieldConfig"]["defaults"]["noValue"]
        yield text(x, y, nothing, size=18, color=PALE, anchor="middle")
    for answer in found:
        look = looks(panel, answer.name)
        value = answer.series.value
        words = f"{look.text(value)} {answer.name}".strip()
        color = look.color or look.painted(value)
        yield text(x, y, words, size=24, color=color, anchor="middle")


def ribbon(panel: Mapping[str, Any], box: Box, asking: Asking) -> Iterator[str]:
    """A line for each series, a bar for each stretch of one value, with its word if it fits."""
    found = asking.course(panel)
    look = looks(panel)
    inner = Box(box.x + 90, box.y, box.width - 90, box.height - 34)
    yield from hours(inner)
    strip = 6
    height = (inner.height - strip) / max(len(found), 1)
    for place, answer in enumerate(found):
        y = inner.y + place * height + 3
        yield text(inner.x - 8, y + height / 2, answer.name, anchor="end")
        for start, end, value in stretches(answer.series):
            x = inner.across(start)
            width = inner.across(end) - x
            yield bar(x, y, width, height - 6, look.painted(value), 0.85)
            word = look.text(value)
            if width > len(word) * 7:
                yield text(x + width / 2, y + height / 2 + 2, word, anchor="middle")
    below = Box(inner.x, inner.y + inner.height - strip, inner.width, strip)
    yield from marks(below, asking, 0.5)
    names = [(str(one["text"]), str(one["color"])) for one in look.words.values()]
    names += [(f"below: {name.lower()}", color) for name, color, _ in asking.marks]
    yield from legend(Box(inner.x, box.y + box.height - 2, inner.width, 0), names)


def stretches(series: Series) -> Iterator[tuple[float, float, float]]:
    """(from, to, value): a value holds until the next scrape."""
    start, value = series.points[0]
    for at, other in series.points[1:]:
        if other != value:
            yield start, at, float(value)
            start, value = at, other
    yield start, END.timestamp(), float(value)


def lines(panel: Mapping[str, Any], box: Box, asking: Asking) -> Iterator[str]:
    """Values over time."""
    found = asking.course(panel)
    if not found:
        yield text(box.x, box.y + 20, panel["fieldConfig"]["defaults"]["noValue"], color=PALE)
        return
    inner = Box(box.x + 70, box.y + 4, box.width - 76, box.height - 44)
    custom = panel["fieldConfig"]["defaults"]["custom"]
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    colors = [looks(panel, one.name).color or SERIES[place % len(SERIES)]
              for place, one in enumerate(found)]  # fmt: skip
    tops = list(_tops(found, stacked=stacked))
    low, high = _bounds(tops, panel["fieldConfig"]["defaults"])
    yield from hours(inner)
    for quarter in range(5):
        value = low + (high - low) * quarter / 4
        y = inner.y + inner.height * (1 - quarter / 4)
        yield f'<path d="M{inner.x:.1f},{y:.1f} h{inner.width:.1f}" stroke="#e4e4e4"/>'
        yield text(inner.x - 6, y + 3, _tick(panel, value), size=9, color=PALE, anchor="end")
    yield from marks(inner, asking)
    for answer, top, color in reversed(list(zip(found, tops, colors, strict=True))):
        points = [
            (inner.across(at), inner.y + inner.height * (1 - (value - low) / (high - low)))
            for at, value in _bends(top)
        ]
        if stacked:
            floor = f"{points[-1][0]:.1f},{inner.y + inner.height:.1f} {points[0][0]:.1f},"
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            area = f"{drawn} {floor}{inner.y + inner.height:.1f}"
            yield f'<polygon points="{area}" fill="{color}"/>'
        else:
            yield path(points, color, dashed=looks(panel, answer.name).dashed)
    names = [(one.name, color) for one, color in zip(found, colors, strict=True)]
    yield from legend(Box(box.x + 8, box.y + box.height - 2, box.width - 8, 0), names)


def _tops(found: Sequence[Answer], *, stacked: bool) -> Iterator[list[tuple[float, float]]]:
    """The points to draw: stacked, each on the sum of those before it."""
    below: dict[float, float] = {}
    for answer in found:
        points = []
        for at, value in answer.series.points:
            top = float(value) + (below.get(at, 0) if stacked else 0)
            below[at] = top
            points.append((at, top))
        yield points


def _bends(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The points without those that lie level between two others."""
    for place, (at, value) in enumerate(points):
        around = points[max(place - 1, 0) : place + 2]
        if len(around) < 3 or any(other != value for _, other in around):
            yield at, value


def _bounds(
    tops: Sequence[Sequence[tuple[float, float]]], limits: Mapping[str, Any]
) -> tuple[float, float]:
    """From the least to the greatest value with a little room, or to the panel's own limits."""
    values = [value for points in tops for _, value in points]
    room = (max(values) - min(values)) * 0.08 or max(abs(max(values)), 1.0)
    return limits.get("min", min(values) - room), limits.get("max", max(values) + room)


def _tick(panel: Mapping[str, Any], value: float) -> str:
    look = looks(panel)
    if look.unit == "percentunit":
        return f"{value * 100:.1f} %"
    if look.unit == "s":
        return f"{value:.0f} s" if abs(value) >= 10 else f"{value:.3g} s"
    return f"{value:.3g}"


def gauges(panel: Mapping[str, Any], box: Box, asking: Asking) -> Iterator[str]:
    """A bar for each series, from nothing to all."""
    (found,) = asking.now(panel)
    height = min(box.height / max(len(found), 1), 60)
    for place, answer in enumerate(found):
        y = box.y + place * height
        value, look = answer.series.value, looks(panel, answer.name)
        whole = box.width - 190
        yield text(box.x + 82, y + height / 2 + 4, answer.name, anchor="end")
        yield bar(box.x + 92, y + 6, whole, height - 12, "#eeeeee")
        yield bar(box.x + 92, y + 6, whole * value, height - 12, look.painted(value))
        yield text(box.x + box.width - 90, y + height / 2 + 4, look.text(value))


def chart(panel: Mapping[str, Any], box: Box, asking: Asking) -> Iterator[str]:
    """A stacked bar for each value of the label that joins the queries."""
    rows = _rows(panel, asking)
    names = [name for name in _columns(panel) if name != panel["options"]["xField"]]
    most = max((sum(row[n] for n in names if n in row) for row in rows.values()), default=0) or 1
    inner = Box(box.x + 90, box.y, box.width - 190, box.height - 24)
    height = min(inner.height / max(len(rows), 1), 60)
    colors = [looks(panel, name).color or SERIES[place] for place, name in enumerate(names)]
    for place, ((key, *_), row) in enumerate(rows.items()):
        y, x = inner.y + place * height, inner.x
        yield text(inner.x - 8, y + height / 2 + 4, key, anchor="end")
        for name, color in zip(names, colors, strict=True):
            width = inner.width * row.get(name, 0) / most
            yield bar(x, y + 6, width, height - 12, color)
            x += width
        yield text(x + 6, y + height / 2 + 4, duration(sum(row.get(name, 0) for name in names)))
    below = Box(box.x + 8, box.y + box.height - 2, box.width - 8, 0)
    yield from legend(below, list(zip(names, colors, strict=True)))


def _transformed(panel: Mapping[str, Any], name: str) -> Any:
    return next((t["options"] for t in panel["transformations"] if t["id"] == name), None)


def _columns(panel: Mapping[str, Any]) -> list[str]:
    """Labels, then the names of the queries."""
    options = _transformed(panel, "organize")
    order = sorted(options["indexByName"], key=options["indexByName"].__getitem__)
    return [options["renameByName"].get(name, name) for name in order]


def _rows(panel: Mapping[str, Any], asking: Asking) -> dict[tuple[str, ...], dict[str, float]]:
    """The rows of joined queries: by the labels that the first query gives, the values by column."""
    columns = _columns(panel)
    queries = asking.now(panel)
    named = list(_transformed(panel, "organize")["renameByName"].values())
    labels = [name for name in columns if name not in named]
    rows: dict[tuple[str, ...], dict[str, float]] = {}
    for name, found in zip(named or [""], queries, strict=True):
        for answer in found:
            key = answer.series.labels[labels[0]]
            whole = tuple(answer.series.labels.get(label, "") for label in labels)
            if len(queries) > 1:
                whole = next((known for known in rows if known[0] == key), whole)
            rows.setdefault(whole, {})[name] = answer.series.value
    for order in panel["options"].get("sortBy") or ():
        name, falling = order["displayName"], order.get("desc", False)
        ranked = sorted(rows.items(), key=lambda row: row[1].get(name, 0), reverse=falling)
        rows = dict(ranked)
    return rows


def table(panel: Mapping[str, Any], box: Box, asking: Asking) -> Iterator[str]:
    """Rows and columns; of many rows the first that fit."""
    grouped = _transformed(panel, "groupingToMatrix")
    if grouped is None:
        columns = _columns(panel)
        rows = _rows(panel, asking)
    else:
        columns, rows = _matrix(grouped, asking.now(panel)[0])
    if not rows:
        yield text(box.x, box.y + 20, panel["fieldConfig"]["defaults"]["noValue"], color=PALE)
        return
    labels = len(next(iter(rows)))
    width = box.width / len(columns)
    for place, name in enumerate(columns):
        yield text(box.x + place * width, box.y + 10, shortened(name, width), color=PALE)
    for line, (known, values) in enumerate(rows.items()):
        y = box.y + 30 + line * 18
        if y > box.y + box.height:
            break
        for place, name in enumerate(columns):
            look = looks(panel, name)
            if place < labels:
                word = look.words.get(known[place], {})
                words, color = word.get("text") or known[place], word.get("color") or INK
            elif name in values:
                value = values[name]
                plain = len(look.steps) == 1 and not look.words
                words, color = look.text(value), INK if plain else look.painted(value)
            else:
                continue
            yield text(box.x + place * width, y, shortened(words, width - 4), color=color)


def _matrix(
    options: Mapping[str, str], found: Sequence[Answer]
) -> tuple[list[str], dict[tuple[str, ...], dict[str, float]]]:
    row, column = options["rowField"], options["columnField"]
    names = list(dict.fromkeys(answer.series.labels[column] for answer in found))
    rows: dict[tuple[str, ...], dict[str, float]] = {}
    for answer in found:
        labels = answer.series.labels
        rows.setdefault((labels[row],), {})[labels[column]] = answer.series.value
    return [f"{row}\\{column}", *names], rows


KINDS = {
    "stat": single,
    "state-timeline": ribbon,
    "timeseries": lines,
    "bargauge": gauges,
    "barchart": chart,
    "table": table,
}


def drawn(document: Mapping[str, Any], source: Prometheus) -> str:
    """A dashboard as a picture of SVG."""
    asking = Asking(source, document)
    body = [
        text(GAP, 20, document["title"], size=16),
        text(GAP, 40, WARNING, size=12, color=VERMILION),
    ]
    bottom = 0.0
    for panel in document["panels"]:
        at = panel["gridPos"]
        box = Box(at["x"] * COLUMN + GAP / 2, BANNER + at["y"] * ROW,
                  at["w"] * COLUMN - GAP, at["h"] * ROW - GAP)  # fmt: skip
        bottom = max(bottom, box.y + box.height)
        body += _framed(panel, box, asking)
    width, height = 24 * COLUMN, math.ceil(bottom) + GAP
    label = escape(f"{document['title']}. {WARNING}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}"'
        f' font-family="DejaVu Sans, sans-serif" aria-label="{label}">\n'
        f"<title>{label}</title>\n{bar(0, 0, width, height, '#ffffff')}\n"
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _framed(panel: Mapping[str, Any], box: Box, asking: Asking) -> Iterator[str]:
    if panel["type"] == "row":
        yield text(box.x, box.y + 15, panel["title"], size=13)
        return
    yield (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        f' rx="3" fill="none" stroke="{FRAME}"/>'
    )
    yield text(box.x + 8, box.y + 17, shortened(panel["title"], box.width - 12, 12), size=12)
    inner = Box(box.x + 10, box.y + 28, box.width - 20, box.height - 36)
    if panel["title"] in NOT_DRAWN:
        words = "not drawn: differs from machine to machine, or with each release"
        yield text(inner.x, inner.y + 20, shortened(words, inner.width), color=PALE)
    else:
        yield from KINDS[panel["type"]](panel, inner, asking)


# -- all of them -----------------------------------------------------------------------------------


def pictures(source: Prometheus) -> Iterator[tuple[str, str]]:
    """File name and text of each picture."""
    for name in BOARDS:
        document = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        yield f"grafana-{name}.svg", drawn(document, source)


def main() -> None:
    """Live through the hour and draw it into the docs."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, socket.create_server(("127.0.0.1", 0)) as free:
        folder, port = Path(place), free.getsockname()[1]
        free.close()
        filled(asyncio.run(lived(folder)), folder / "tsdb")
        with prometheus(folder / "tsdb", port) as source:
            for name, picture in pictures(source):
                (PICTURES / name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
