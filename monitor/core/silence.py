"""Silences for declared windows: what should be there, and what to make and withdraw for it.

A silence mutes what names an endpoint of the window, while the window lasts. An incident is never
muted, nor a finding: matchers ask for alerts without those labels. Nothing is muted past the window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.core.book import Book
from monitor.core.downtime import Series, in_scope
from monitor.core.interval import Interval, IntervalSet
from monitor.core.month import show_instant

HEARD = ("check", "incident")
"""Labels whose bearers are never muted."""


@dataclass(frozen=True, slots=True, order=True)
class Matcher:
    """A condition on a label; `regex` is anchored at both ends."""

    name: str
    value: str
    regex: bool = False
    equal: bool = True


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence as it should be. `comment` and `matchers` together say which it is."""

    window: Interval
    matchers: frozenset[Matcher]
    comment: str


@dataclass(frozen=True, slots=True)
class Found:
    """A silence of ours that an Alertmanager holds; `over`: expired, by time or by hand."""

    id: str
    matchers: frozenset[Matcher]
    comment: str
    over: bool


def wanted(book: Book, now: datetime) -> list[Silence]:
    """The silences of the windows that are in force and not over, cancelled or completed."""
    found = []
    for declaration in book.calendar.declarations.values():
        version = declaration.version_at(now, book.rules)
        if version is None or declaration.completion is not None or version.window.end <= now:
            continue
        names = [
            endpoint.id
            for endpoint in book.register.endpoints.values()
            if in_scope(
                Series(endpoint.service, endpoint=endpoint.id),
                version.scope,
                version.window,
                book.register,
            )
            == IntervalSet([version.window])
        ]
        if names:
            window = version.window
            times = f"{show_instant(window.start)} to {show_instant(window.end)}"
            comment = f"Declared downtime {declaration.id}, {times}: {version.reason}"
            found.append(Silence(window, matchers(names), comment))
    return found


def matchers(endpoints: Sequence[str]) -> frozenset[Matcher]:
    """What a silence of these endpoints asks of an alert."""
    heard = {Matcher(name, "") for name in HEARD}
    if len(endpoints) == 1:
        return frozenset({Matcher("endpoint", endpoints[0]), *heard})
    either = "|".join(name.replace(".", r"\.") for name in sorted(endpoints))
    return frozenset({Matcher("endpoint", either, regex=True), *heard})


def due(wanted: Iterable[Silence], found: Iterable[Found]) -> tuple[list[Silence], list[str]]:
    """(silences to make, ids to expire) so that what is wanted is there, and nothing else of ours.

    One that a person expired is left so: it is known by its comment. To be made first, so that a
    moved window is muted throughout.
    """
    found = list(found)
    known = {(one.comment, one.matchers) for one in found}
    right = {(one.comment, one.matchers) for one in wanted}
    make = [one for one in wanted if (one.comment, one.matchers) not in known]
    expire = [one.id for one in found if not one.over and (one.comment, one.matchers) not in right]
    return make, expire
