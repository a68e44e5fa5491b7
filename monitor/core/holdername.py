"""Which holdername GUIDs an endpoint serves, by effective date (domain.md section 10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from monitor.core.endpoint import Endpoint, Service
from monitor.core.interval import FOREVER, Interval
from monitor.core.month import midnight


@dataclass(frozen=True, slots=True)
class Serving:
    """One row of the mapping: these endpoints serve the holdername from a UK date on.

    It holds until `until` (that day excluded), or until a later row of the same holdername names an
    endpoint of the same service.
    """

    endpoints: tuple[str, ...]
    start: date
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Holdername:
    """One holdername GUID: the unit in which downtime is notified and reported (seed-000).

    `scheme_year_end` is (month, day); records are kept six years from it (SI 2022/1220 reg 28).
    """

    guid: str
    name: str
    serves: tuple[Serving, ...]
    scheme_year_end: tuple[int, int] = (12, 31)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time with the names that hold throughout it."""

    interval: Interval
    names: frozenset[str]


def eligible(endpoint: Endpoint, zone: ZoneInfo) -> Interval | None:
    """The time that counts: connection date to disconnection, live endpoints only (accounting 6)."""
    if not endpoint.live or endpoint.connected_from is None:
        return None
    start = midnight(endpoint.connected_from, zone)
    end = FOREVER
    if endpoint.disconnected_on is not None:
        end = midnight(endpoint.disconnected_on, zone)
    return Interval(start, end) if start < end else None


def _rows(
    holdername: Holdername, endpoints: Mapping[str, Endpoint], zone: ZoneInfo
) -> Iterator[tuple[Service, str, Interval]]:
    """(service, endpoint, when) for each row, ended by a later row that names the same service."""
    starts: dict[Service, set[date]] = {}
    for row in holdername.serves:
        for name in row.endpoints:
            starts.setdefault(endpoints[name].service, set()).add(row.start)
    for row in holdername.serves:
        for name in row.endpoints:
            service = endpoints[name].service
            ends = [day for day in starts[service] if day > row.start]
            if row.until is not None:
                ends.append(row.until)
            start = midnight(row.start, zone)
            end = midnight(min(ends), zone) if ends else FOREVER
            counts = eligible(endpoints[name], zone)
            if start < end and counts is not None:
                part = Interval(start, end).clip(counts)
                if part is not None:
                    yield service, name, part


def periods(parts: Iterable[tuple[str, Interval]]) -> tuple[Period, ...]:
    """Named spans as stretches over which the set of names does not change; empty ones left out."""
    marks: dict[datetime, tuple[list[str], list[str]]] = {}
    for name, interval in parts:
        marks.setdefault(interval.start, ([], []))[0].append(name)
        marks.setdefault(interval.end, ([], []))[1].append(name)
    found: list[Period] = []
    held: Counter[str] = Counter()
    since: datetime | None = None
    for instant in sorted(marks):
        if held and since is not None:
            found.append(Period(Interval(since, instant), frozenset(held)))
        begins, ends = marks[instant]
        held.subtract(ends)
        held.update(begins)
        held = +held
        since = instant
    return tuple(found)


class Register:
    """Who serves whom and when: endpoints, holdernames and the mapping between them."""

    def __init__(
        self, endpoints: Iterable[Endpoint], holdernames: Iterable[Holdername], zone: ZoneInfo
    ) -> None:
        self.zone = zone
        self.endpoints = {endpoint.id: endpoint for endpoint in endpoints}
        self.holdernames = {holdername.guid: holdername for holdername in holdernames}
        self._eligible = {
            endpoint.id: eligible(endpoint, zone) for endpoint in self.endpoints.values()
        }
        serving: dict[tuple[str, Service], list[tuple[str, Interval]]] = {}
        active: dict[str, list[tuple[str, Interval]]] = {}
        for holdername in self.holdernames.values():
            for service, name, interval in _rows(holdername, self.endpoints, zone):
                serving.setdefault((holdername.guid, service), []).append((name, interval))
                active.setdefault(name, []).append((holdername.guid, interval))
        self._series = sorted(
            {
                (holdername.guid, self.endpoints[name].service)
                for holdername in self.holdernames.values()
                for row in holdername.serves
                for name in row.endpoints
                if self.endpoints[name].live
            }
        )
        self._serving = {key: periods(parts) for key, parts in serving.items()}
        self._active = {key: periods(parts) for key, parts in active.items()}

    def eligible(self, endpoint: str) -> Interval | None:
        """The time of an endpoint that counts; None: none of it ever does."""
        return self._eligible.get(endpoint)

    def serving(self, guid: str, service: Service) -> tuple[Period, ...]:
        """Which endpoints serve a (holdername, service), stretch by stretch; eligible time only."""
        return self._serving.get((guid, service), ())

    def active(self, endpoint: str) -> tuple[Period, ...]:
        """Which holdername GUIDs are active at an endpoint, stretch by stretch."""
        return self._active.get(endpoint, ())

    def holdername_series(self) -> list[tuple[str, Service]]:
        """Every (holdername GUID, service) that a live endpoint is to serve, in order."""
        return self._series

    def guids_at(self, endpoints: Iterable[str], during: Interval) -> list[str]:
        """The GUIDs active at any of the endpoints at any instant of the span, sorted."""
        found: set[str] = set()
        for endpoint in endpoints:
            for period in self.active(endpoint):
                if period.interval.clip(during) is not None:
                    found |= period.names
        return sorted(found)
