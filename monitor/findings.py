"""Watches for changes nobody explained, and has endpoints asked what they must refuse.

Nothing of it touches availability: what is found becomes facts and events of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from monitor.core.alert import Event
from monitor.core.book import Book
from monitor.core.downtime import in_scope
from monitor.core.endpoint import Endpoint
from monitor.core.fact import Fact
from monitor.core.lifecycle import lifecycle
from monitor.core.security import (
    CHANGES,
    Checked,
    Known,
    Told,
    certificate_changed,
    fallback,
    taken_in,
    url_changed,
)
from monitor.core.verdict import CertificateFacts
from monitor.cycle import Cycle
from monitor.declare import Given, known_endpoint
from monitor.errors import IllegalStep
from monitor.ports import Clock

SPREAD = timedelta(minutes=10)
"""After a start the first checks are spread over this long, or over `every` if that is shorter."""
AT_ONCE = 50
"""Facts recorded in one change, so that the first look at many endpoints stalls nothing."""
GOLDEN = 0.6180339887498949


class Checker(Protocol):
    """Makes the checks of one endpoint (`adapters.security.SecurityProber`)."""

    async def check(self, endpoint: Endpoint) -> tuple[str | None, tuple[Checked, ...]]:
        """The TLS version an ordinary handshake settled on, and what the checks showed."""
        ...


class Guard:
    """What the daemon calls now and then; each call writes what it finds, at once."""

    def __init__(self, cycle: Cycle, clock: Clock, checker: Checker) -> None:
        self._cycle = cycle
        self._clock = clock
        self._checker = checker
        self._due: dict[str, float] = {}

    async def watch(self, servers: Mapping[str, CertificateFacts]) -> None:
        """Record URLs and server certificates that changed. Raises StoreUnwritable: try again.

        `servers` are the certificates of good handshakes, by endpoint.
        """
        book, now = self._cycle.book, self._clock.now()
        facts: list[Fact] = []
        events: list[Event] = []
        for endpoint in book.register.endpoints.values():
            leaf = servers.get(endpoint.id)
            if not _news(book.security, endpoint, leaf):
                continue
            told = _changes(book, endpoint, leaf, now)
            facts, events = facts + told[0], events + told[1]
            if len(facts) >= AT_ONCE:
                await self._cycle.learn(facts, events)
                facts, events = [], []
        if facts:
            await self._cycle.learn(facts, events)

    async def probe_due(self) -> None:
        """Check the endpoints whose time has come, one after another. Raises StoreUnwritable."""
        wanted = [
            endpoint
            for endpoint in self._cycle.book.register.endpoints.values()
            if endpoint.security_every is not None
        ]
        self._due = {one.id: self._due[one.id] for one in wanted if one.id in self._due}
        for place, endpoint in enumerate(wanted, 1):
            assert endpoint.security_every is not None
            now = self._clock.monotonic()
            share = (place * GOLDEN) % 1.0
            first = now + share * min(SPREAD, endpoint.security_every).total_seconds()
            if self._due.setdefault(endpoint.id, first) <= now:
                self._due[endpoint.id] = now + endpoint.security_every.total_seconds()
                await self.probe(endpoint)

    async def probe(self, endpoint: Endpoint) -> None:
        """Check one endpoint now, and record what that showed. Raises StoreUnwritable."""
        version, results = await self._checker.check(endpoint)
        book, now = self._cycle.book, self._clock.now()
        if endpoint.id not in book.register.endpoints:
            return  # taken out of the configuration while it was asked
        results = (*results, fallback(book.security, endpoint.id, version))
        facts, events = taken_in(book.security, endpoint.id, results, now)
        if facts:
            await self._cycle.learn(facts, events)


def _news(known: Known, endpoint: Endpoint, leaf: CertificateFacts | None) -> bool:
    """Whether the URL or the certificate is another one than is known."""
    if known.urls.get(endpoint.id, endpoint.url) != endpoint.url:
        return True
    return leaf is not None and leaf.sha256 not in known.leaves.get(endpoint.id, ())


def _changes(book: Book, endpoint: Endpoint, leaf: CertificateFacts | None, now: datetime) -> Told:
    """What to record of an endpoint's URL and certificate."""
    known, name = book.security, endpoint.id
    live = lifecycle(endpoint, now, book.register).connected
    reference = reference_at(book, name, now) if live else None
    facts, events = url_changed(known, name, endpoint.url, now, live=live, reference=reference)
    if leaf is not None:
        more = certificate_changed(known, name, leaf, now, live=live, reference=reference)
        facts, events = facts + more[0], events + more[1]
    return facts, events


def reference_at(book: Book, endpoint: str, now: datetime) -> str | None:
    """The technical-change reference of a declared window that holds the endpoint now."""
    series = book.endpoint_series(endpoint)
    for declaration in book.calendar.declarations.values():
        version = declaration.version_at(now, book.rules)
        if version is None or not version.technical_change or now not in version.window:
            continue
        if now in in_scope(series, version.scope, version.window, book.register):
            return version.technical_change
    return None


def acknowledged(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """The fact that a found change of an endpoint has a technical-change reference after all.

    Raises UnknownName, UsageError, or IllegalStep if no change of it was found.
    """
    name = known_endpoint(book, given.needed("id"))
    reference = given.needed("reference")
    checks = [found.check for found in book.security.standing(name) if found.check in CHANGES]
    if not checks:
        raise IllegalStep(
            f"no unexplained change of {name} stands; for a change to come, declare its window"
            " with --technical-change"
        )
    body = {
        "endpoint": name,
        "reference": reference,
        "checks": [check.value for check in checks],
        "author": author,
    }
    return Fact(now, "change.acknowledged", body)
