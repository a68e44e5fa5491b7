"""A stretch of a worked example: probes, states, windows, classes and incidents, one under another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.core.interval import Interval
from monitor.core.month import show_instant
from monitor.core.outage import Part
from scripts.drawings.examples import Example, example
from scripts.drawings.paper import INK, WIDTH, Paper

LEFT, RIGHT, ROW = 104, 24, 22


@dataclass(frozen=True, slots=True)
class Scene:
    """What to show: the example, from when to when (UTC, on the day of its end), a line every `step` min."""

    vector: str
    start: str
    end: str
    step: int
    title: str


@dataclass(frozen=True, slots=True)
class _Axis:
    """Instants to places on the sheet."""

    span: Interval

    def x(self, at: datetime) -> float:
        whole = self.span.end - self.span.start
        share = (min(max(at, self.span.start), self.span.end) - self.span.start) / whole
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def timeline(scene: Scene) -> str:
    """The drawing of a scene."""
    known = example(scene.vector)
    day = known.until.date().isoformat()
    span = Interval(_at(day, scene.start), _at(day, scene.end))
    axis = _Axis(span)
    paper = Paper(scene.title, " ".join(_said(known, span)))
    paper.text(8, 20, scene.title, size=14, weight="600")
    top = _rows(paper, known, axis, 34)
    _clock(paper, axis, top + 4, scene.step)
    paper.text(
        LEFT,
        top + 38,
        f"UTC, {day}; ring: up, cross: down, triangle: impaired, dot: could not tell",
        size=10,
    )
    return paper.svg()


def _at(day: str, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}:00Z")


def _rows(paper: Paper, known: Example, axis: _Axis, top: float) -> float:
    """Draw the rows of each endpoint, then the incidents; the height reached."""
    many = len(known.settings.endpoints) > 1
    for endpoint in known.settings.endpoints:
        prefix = f"{endpoint.id.partition('-')[0]}: " if many else ""
        top = _probes(paper, known, axis, endpoint.id, prefix, top)
        top = _states(paper, known, axis, endpoint.id, prefix, top)
        top = _classes(paper, known, axis, endpoint.id, prefix, top)
        top += 6 if many else 0
    top = _windows(paper, known, axis, top)
    return _incidents(paper, known, axis, top)


def _label(paper: Paper, top: float, words: str) -> None:
    paper.text(LEFT - 8, top + 15, words, anchor="end", size=11)


def _probes(paper: Paper, known: Example, axis: _Axis, name: str, prefix: str, top: float) -> float:
    _label(paper, top, f"{prefix}probes")
    for seen in known.observations:
        if seen.endpoint == name and axis.span.start <= seen.at <= axis.span.end:
            paper.mark(axis.x(seen.at), top + 11, seen.result.value)
    return top + ROW


def _states(paper: Paper, known: Example, axis: _Axis, name: str, prefix: str, top: float) -> float:
    _label(paper, top, f"{prefix}state")
    for span in known.book.endpoint_states(name, axis.span, known.until):
        word = span.state.value
        paper.bar(
            axis.x(span.start), top, axis.x(span.end) - axis.x(span.start), ROW - 4, word, word
        )
    return top + ROW


def _classes(
    paper: Paper, known: Example, axis: _Axis, name: str, prefix: str, top: float
) -> float:
    outages = list(_outages(known, name, axis.span))
    if not outages:
        return top
    _label(paper, top, f"{prefix}class")
    for outage in outages:
        for part in outage:
            shown = part.interval.clip(axis.span)
            if shown is not None and part.cls is not None:
                word = part.cls.value
                wide = axis.x(shown.end) - axis.x(shown.start)
                short = word.replace("declared_short_notice", "short notice")
                paper.bar(axis.x(shown.start), top, wide, ROW - 4, word, short)
    return top + ROW


def _outages(known: Example, name: str, span: Interval) -> Iterator[tuple[Part, ...]]:
    series = known.book.endpoint_series(name)
    for outage in known.book.outages(series, known.until, span):
        yield outage.parts


def _windows(paper: Paper, known: Example, axis: _Axis, top: float) -> float:
    for declaration in known.book.calendar.declarations.values():
        for number, version in enumerate(declaration.versions, 1):
            shown = version.window.clip(axis.span)
            if shown is None:
                continue
            count = f", version {number}" if len(declaration.versions) > 1 else ""
            _label(paper, top, f"{declaration.id}{count}")
            wide = axis.x(shown.end) - axis.x(shown.start)
            told = (
                "MaPS not told"
                if version.notified_at is None
                else f"told {version.notified_at:%d %b %H:%M}"
            )
            paper.bar(axis.x(shown.start), top, wide, ROW - 4, "window", told)
            top += ROW
    return top


def _incidents(paper: Paper, known: Example, axis: _Axis, top: float) -> float:
    for number, view in enumerate(known.book.incidents(known.until), 1):
        end = axis.span.end if view.restored_at is None else view.restored_at
        _label(paper, top, f"incident I-{number}")
        x1, x2 = axis.x(view.started_at), axis.x(end)
        paper.bar(x1, top + 5, x2 - x1, 8, "incident")
        knew = axis.x(view.detected_at)
        paper.line(knew, top + 1, knew, top + 24, fill=INK, wide=2)
        paper.text(knew + 5, top + 25, f"known {view.detected_at:%H:%M:%S}", size=10)
        top += ROW + 8
    return top


def _clock(paper: Paper, axis: _Axis, y: float, step: int) -> None:
    paper.line(LEFT, y, WIDTH - RIGHT, y)
    at, every = axis.span.start, timedelta(minutes=step)
    at += (every - (at - at.replace(hour=0, minute=0)) % every) % every
    while at <= axis.span.end:
        paper.line(axis.x(at), y, axis.x(at), y + 4)
        paper.text(axis.x(at), y + 16, f"{at:%H:%M}", anchor="middle", size=10)
        at += every


def _said(known: Example, span: Interval) -> Iterator[str]:
    """The drawing in words: states, classes, incidents."""
    for endpoint in known.settings.endpoints:
        for one in known.book.endpoint_states(endpoint.id, span, known.until):
            yield f"{endpoint.id} {one.state.value} from {one.start:%H:%M:%S} to {one.end:%H:%M:%S}."
        for outage in _outages(known, endpoint.id, span):
            for part in outage:
                word = "unknown" if part.cls is None else part.cls.value
                yield f"{endpoint.id} {word} from {part.interval.start:%H:%M:%S} to {part.interval.end:%H:%M:%S}."
    for number, view in enumerate(known.book.incidents(known.until), 1):
        yield f"Incident I-{number} from {show_instant(view.started_at)}."
