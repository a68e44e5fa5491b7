"""Facts: what happened and when we learned it. Appended, never changed.

A stored fact is plain data: `type` names its shape, `body` carries it. The shapes of the facts file
(contract, "Facts file") and those that only the daemon writes share this one form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from monitor.core.endpoint import Service
from monitor.core.month import show_instant
from monitor.core.verdict import Observation, Reason, Result
from monitor.errors import UsageError

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Fact:
    """`at` is when we learned of it; `body` holds JSON values only, `at` and `type` excluded."""

    at: datetime
    type: str
    body: Mapping[str, Any]


class BadFact(UsageError):
    """A fact whose body cannot be read; the text names the key, what is wrong and the cure."""


class Body:
    """Reads the keys of a fact's body, each with its check; raises BadFact."""

    def __init__(self, fact: Fact) -> None:
        self._fact = fact
        self._body = fact.body

    def _bad(self, key: str, what: str) -> BadFact:
        return BadFact(f"{self._fact.type}: {key}: {what}")

    def names(self, key: str) -> bool:
        """Whether the key is there at all."""
        return key in self._body

    def text(self, key: str, default: str | None = None) -> str:
        value = self._body.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self._bad(key, "must be a text that is not empty")
        return value

    def optional_text(self, key: str) -> str | None:
        value = self._body.get(key)
        if value is not None and not isinstance(value, str):
            raise self._bad(key, "must be a text or null")
        return value or None

    def instant(self, key: str) -> datetime:
        value = self.optional_instant(key)
        if value is None:
            raise self._bad(key, "is missing; give an instant such as 2026-03-17T00:00:00Z")
        return value

    def optional_instant(self, key: str) -> datetime | None:
        value = self._body.get(key)
        if value is None:
            return None
        return parse_instant(value, f"{self._fact.type}: {key}")

    def optional_names(self, key: str) -> frozenset[str] | None:
        value = self._body.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._bad(key, "must be a list of names, or null for all")
        return frozenset(value)

    def choice(self, key: str, kind: type[_Choice], default: str | None = None) -> _Choice:
        value = self._body.get(key, default)
        try:
            return kind(value)
        except ValueError:
            allowed = ", ".join(item.value for item in kind)
            raise self._bad(key, f"must be one of {allowed}") from None

    def services(self) -> frozenset[Service] | None:
        names = self.optional_names("services")
        if names is None:
            return None
        try:
            return frozenset(Service(name) for name in names)
        except ValueError:
            raise self._bad("services", "must be among find, view, pat-refresh") from None


def parse_instant(value: object, where: str) -> datetime:
    """Read an ISO 8601 instant with an offset; returns UTC. Raises BadFact."""
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
        if instant is not None and instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadFact(f"{where}: must be an instant with an offset, such as 2026-03-17T00:00:00Z")


_RESULTS = {result.value: result for result in Result}
_REASONS = {reason.value: reason for reason in Reason}


def read_observation(document: Mapping[str, Any]) -> Observation:
    """One `observation` line of a facts file. Raises BadFact."""
    name = document.get("endpoint")
    result = _RESULTS.get(str(document.get("result")))
    reason = _REASONS.get(str(document.get("reason")))
    if not isinstance(name, str) or not name:
        raise BadFact("observation: endpoint: must be the id of an endpoint")
    if result is None:
        raise BadFact(f"observation: result: must be one of {', '.join(_RESULTS)}")
    if reason is None:
        raise BadFact("observation: reason: is not in the list of reasons")
    return Observation(name, parse_instant(document.get("at"), "observation: at"), result, reason)


_AROUND = ("at", "type", "seq", "hash")


def read_fact(document: Mapping[str, Any]) -> Fact:
    """One line of a facts file as a Fact, its place in the ledger left out. Raises BadFact."""
    kind = document.get("type")
    if not isinstance(kind, str) or not kind:
        raise BadFact("type: is missing; every fact says its type")
    at = parse_instant(document.get("at"), f"{kind}: at")
    return Fact(at, kind, {k: v for k, v in document.items() if k not in _AROUND})


def fact_document(fact: Fact) -> dict[str, Any]:
    """A fact as one line of a facts file."""
    return {"type": fact.type, "at": show_instant(fact.at), **fact.body}


def observation_document(seen: Observation) -> dict[str, Any]:
    """An observation as one line of a facts file."""
    return {
        "type": "observation",
        "at": show_instant(seen.at),
        "endpoint": seen.endpoint,
        "result": seen.result.value,
        "reason": seen.reason.value,
    }
