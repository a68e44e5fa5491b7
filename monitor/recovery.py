"""From the store to a Book: what was known is known again after a restart.

Facts are learned in the order recorded; settled spans and outages are taken as stored; what was not
settled (suspect runs, recoveries) is observed anew from the raw observations. `derived` works spans
and outages out again from the observations alone: they are no second truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from monitor.config import Settings, accounting_document, accounting_from_document
from monitor.core.book import Book
from monitor.core.endpoint import Cadence
from monitor.core.fact import Fact
from monitor.core.interval import BEGINNING
from monitor.core.timeline import Outage, Phase, Span, State, Track, append, observe
from monitor.cycle import Policy
from monitor.ports import OutageRow, Sample, SpanRow

Cadences = tuple[tuple[datetime, Cadence], ...]


class Stored(Protocol):
    """What is read of a store."""

    def facts(self, after: int = 0) -> Iterator[tuple[int, Fact]]: ...
    def spans(self, start: datetime | None = None) -> Iterator[SpanRow]: ...
    def outages(self) -> Iterator[OutageRow]: ...
    def frontiers(self) -> dict[str, datetime]: ...
    def observations_since(self, starts: Mapping[str, datetime]) -> list[Sample]: ...
    def iter_observations(
        self, start: datetime | None = None, end: datetime | None = None
    ) -> Iterator[Sample]: ...


@dataclass(frozen=True, slots=True)
class Recovered:
    """A Book as the store has it, and the configuration last recorded there (None: none yet)."""

    book: Book
    configuration: Mapping[str, Any] | None


def policy_of(settings: Settings) -> Policy:
    """When to say what, and to whom."""
    given = settings.alerts.receivers
    return Policy(
        receivers=tuple(one.name for one in given),
        wants={one.name: one.events for one in given},
        upcoming=settings.alerts.upcoming,
    )


def configuration_fact(settings: Settings, now: datetime) -> Fact:
    """The fact that this configuration is in force from now on.

    Beside what the accounting depends on stand the URLs, whose changes must be explained.
    """
    body = {
        "digest": settings.digest,
        "accounting": accounting_document(settings),
        "urls": {endpoint.id: endpoint.url for endpoint in settings.endpoints},
    }
    return Fact(now, "configuration", body)


def load_book(settings: Settings, store: Stored) -> Recovered:
    """The Book of a store, under the configuration given. Raises StoreError."""
    book = Book(settings.rules, settings.endpoints, settings.holdernames)
    history = _learn_all(book, store)
    _observe_rest(book, store, _cadences(history, settings))
    return Recovered(book, history[-1].body if history else None)


def _learn_all(book: Book, store: Stored) -> list[Fact]:
    """Learn every fact; the configurations there were, in order."""
    history = []
    for _, fact in store.facts():
        if fact.type == "configuration":
            history.append(fact)
        book.learn(fact)
    return history


def _cadences(history: Iterable[Fact], settings: Settings) -> dict[str, Cadences]:
    """The cadences of each endpoint through time, the first one reaching back for ever."""
    found: dict[str, list[tuple[datetime, Cadence]]] = {}
    for fact in history:
        for endpoint in accounting_from_document(fact.body["accounting"], frozenset())[1]:
            known = found.setdefault(endpoint.id, [])
            if not known:
                known.append((BEGINNING, endpoint.cadence))
            elif known[-1][1] != endpoint.cadence:
                known.append((fact.at, endpoint.cadence))
    for endpoint in settings.endpoints:
        found.setdefault(endpoint.id, [(BEGINNING, endpoint.cadence)])
    return {name: tuple(known) for name, known in found.items()}


def _in_force(cadences: Cadences, start: datetime) -> Cadences:
    """The cadences from the one in force at an instant on."""
    past = [place for place, (since, _) in enumerate(cadences) if since <= start]
    return cadences[past[-1] if past else 0 :]


def _observe_rest(book: Book, store: Stored, cadences: Mapping[str, Cadences]) -> None:
    """Take over what was settled; observe the rest. Also of endpoints that may come back."""
    spans: dict[str, list[Span]] = {name: [] for name in cadences}
    outages: dict[str, list[Outage]] = {name: [] for name in cadences}
    for row in store.spans():
        if row.endpoint in spans:
            append(spans[row.endpoint], [Span(row.start, row.end, State(row.state))])
    for found in store.outages():
        if found.endpoint in outages:
            outages[found.endpoint].append(Outage(found.start, found.confirmed_at, found.end))
    frontiers = dict.fromkeys(cadences, BEGINNING)
    for name, known in spans.items():
        if known:
            frontiers[name] = known[-1].end
        track = _track_at(known, outages[name], _in_force(cadences[name], frontiers[name]))
        book.restore(name, known, outages[name], track)
    for sample in store.observations_since(frontiers):
        book.observe(sample.observation)


def _track_at(spans: list[Span], outages: list[Outage], cadences: Cadences) -> Track:
    """The track as it was before the observation at which the settled spans end."""
    running = next((outage for outage in outages if outage.end is None), None)
    if running is None:
        return Track(cadences)
    failing = next((span.state for span in reversed(spans) if span.state.unavailable), State.DOWN)
    return Track(cadences, phase=Phase.OUTAGE, failing=failing, outage=running)


def derived(settings: Settings, store: Stored) -> tuple[Iterator[SpanRow], Iterator[OutageRow]]:
    """Spans and outages of all stored observations, worked out anew under the cadences of then."""
    history = [fact for _, fact in store.facts() if fact.type == "configuration"]
    cadences = _cadences(history, settings)
    tracks: dict[str, Track] = {}
    spans: dict[str, list[Span]] = {}
    outages: dict[str, dict[datetime, Outage]] = {}
    for sample in store.iter_observations():
        seen = sample.observation
        if seen.endpoint not in cadences:
            continue
        track = tracks.get(seen.endpoint) or Track(cadences[seen.endpoint])
        tracks[seen.endpoint], settled = observe(track, seen)
        append(spans.setdefault(seen.endpoint, []), settled.spans)
        if settled.outage is not None:
            outages.setdefault(seen.endpoint, {})[settled.outage.start] = settled.outage
    return (
        (
            SpanRow(name, span.start, span.end, span.state.value)
            for name, known in spans.items()
            for span in known
        ),
        (
            OutageRow(name, outage.start, outage.confirmed_at, outage.end)
            for name, known in outages.items()
            for outage in known.values()
        ),
    )
