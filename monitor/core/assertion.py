"""Outages that an edge probe cannot see, asserted by a person or another system (accounting 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from monitor.core.endpoint import Service
from monitor.core.fact import BadFact, Body, Fact
from monitor.core.interval import Interval
from monitor.core.month import show_instant


@dataclass(frozen=True, slots=True)
class AssertionVersion:
    """What was asserted, and when we learned it. `end` None: it has not ended."""

    recorded_at: datetime
    start: datetime
    end: datetime | None
    holdernames: frozenset[str]
    services: frozenset[Service] | None
    reason: str
    author: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """Versions under one id; the last one counts, unless it was withdrawn."""

    id: str
    versions: tuple[AssertionVersion, ...]
    withdrawn_at: datetime | None = None
    withdrawn_by: str = ""

    @property
    def latest(self) -> AssertionVersion:
        return self.versions[-1]

    @property
    def learned_at(self) -> datetime:
        """When we first learned of it."""
        return self.versions[0].recorded_at

    def span(self, now: datetime) -> Interval | None:
        """The asserted time up to now; None if withdrawn or still to come."""
        version = self.latest
        if self.withdrawn_at is not None:
            return None
        end = now if version.end is None else min(version.end, now)
        return Interval(version.start, end) if version.start < end else None

    def is_open(self, now: datetime) -> bool:
        """Whether it goes on at `now`."""
        end = self.latest.end
        return self.withdrawn_at is None and (end is None or end > now)

    def concerns(self, holdername: str, service: Service) -> bool:
        version = self.latest
        return holdername in version.holdernames and (
            version.services is None or service in version.services
        )


def _version(fact: Fact) -> AssertionVersion:
    body = Body(fact)
    start, end = body.instant("start"), body.optional_instant("end")
    if end is not None and start >= end:
        raise BadFact(f"assertion: end: {show_instant(end)} is not after the start")
    guids = body.optional_names("holdernames")
    if not guids:
        raise BadFact("assertion: holdernames: name at least one holdername GUID")
    return AssertionVersion(
        recorded_at=fact.at,
        start=start,
        end=end,
        holdernames=frozenset(guid.lower() for guid in guids),
        services=body.services(),
        reason=body.text("reason", ""),
        author=body.text("author", ""),
    )


def assert_outage(known: Assertion | None, fact: Fact) -> Assertion:
    """A new assertion, or a later one that replaces what the same id said. Raises BadFact."""
    if known is None:
        return Assertion(Body(fact).text("id"), (_version(fact),))
    versions = (*known.versions, _version(fact))
    return replace(known, versions=versions, withdrawn_at=None, withdrawn_by="")


def withdraw(assertion: Assertion, fact: Fact) -> Assertion:
    """The assertion, counting no more."""
    author = Body(fact).text("author", "")
    return replace(assertion, withdrawn_at=fact.at, withdrawn_by=author)
