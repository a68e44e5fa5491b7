"""The chain of facts: each carries the hash of the one before it, so that none can be changed alone.

The hash of a fact is SHA-256 over the hash before it (64 hex digits; zeros before the first), a line
feed, and the fact's line of a facts file in canonical JSON: with `seq`, without `hash`. Observations
are chained in blocks, one for each endpoint and UTC hour: a fact `observations` carries the number
of rows and SHA-256 over them. What retention takes away, a fact `pruned` says. So whoever holds a
later hash can check all that was before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from monitor.core.alert import Event, Notice
from monitor.core.fact import BadFact, parse_instant
from monitor.core.month import show_instant

GENESIS = "0" * 64
"""What stands for the hash before the first fact."""
HOUR = 3_600_000_000
"""Microseconds of an hour, the length of a block."""
OBSERVATIONS, PRUNED = "observations", "pruned"
UPKEEP = (OBSERVATIONS, PRUNED)
"""Facts that the ledger writes about itself; nothing is judged by them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
Row = tuple[int, int, int, int | None]
"""An observation as hashed: microseconds since the epoch, verdict code, duration in microseconds,
HTTP status if any."""


def canonical(value: Mapping[str, Any]) -> str:
    """JSON in which equal values are equal text: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def link(previous: str, seq: int, document: Mapping[str, Any]) -> str:
    """The hash of a fact, given as a line of a facts file, after the fact of hash `previous`."""
    line = canonical({**document, "seq": seq})
    return sha256(f"{previous}\n{line}".encode("utf-8", "surrogatepass")).hexdigest()


def digest(rows: Iterable[Row]) -> tuple[int, str]:
    """Number and SHA-256 of the observations of one endpoint, in order: a line `t,verdict,us,status` each."""
    lines = [
        f"{t},{verdict},{us},{'' if status is None else status}" for t, verdict, us, status in rows
    ]
    return len(lines), sha256("\n".join(lines).encode()).hexdigest()


def hour_of(microseconds: int) -> int:
    """The start of the UTC hour of an instant, both in microseconds since the epoch."""
    return microseconds - microseconds % HOUR


def _shown(microseconds: int) -> str:
    return show_instant(_EPOCH + microseconds * _MICROSECOND)


def blocks_body(
    hour: int, blocks: Mapping[str, tuple[int, str]], until: int | None = None
) -> dict[str, Any]:
    """The body of a fact `observations`; `until`: every hour before it now stands in the chain."""
    body: dict[str, Any] = {
        "hour": _shown(hour),
        "blocks": {name: list(block) for name, block in sorted(blocks.items())},
    }
    return body if until is None else {**body, "until": _shown(until)}


def pruned_body(endpoint: str, before: int, kept: tuple[int, str]) -> dict[str, Any]:
    """The body of a fact `pruned`: what is `kept` of the hour in which `before` lies."""
    return {"endpoint": endpoint, "before": _shown(before), "kept": list(kept)}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as the chain says; `seq`, `type` and `at` name the fact concerned."""

    what: str
    seq: int | None = None
    type: str | None = None
    at: str | None = None
    endpoint: str | None = None
    hour: str | None = None

    def __str__(self) -> str:
        if self.endpoint is not None:
            return f"observations of {self.endpoint} in the hour from {self.hour}: {self.what}"
        if self.seq is None:
            return self.what
        return f"fact {self.seq} ({self.type}, {self.at}): {self.what}"


@dataclass(slots=True)
class Chain:
    """Checks facts, in order of `seq`, then the observations against the blocks."""

    findings: list[Finding] = field(default_factory=list)
    head: str = GENESIS
    seq: int = 0
    hashes: set[str] = field(default_factory=set)
    blocks: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)
    pruned: dict[str, int] = field(default_factory=dict)
    until: int | None = None
    wanted: frozenset[str] = frozenset()

    def take(self, seq: int, document: Mapping[str, Any], stored: object) -> None:
        """Check the next fact, a line of a facts file without `seq` and `hash`; `stored` is its hash."""
        kind, at = str(document.get("type")), str(document.get("at"))
        if seq != self.seq + 1:
            what = f"the fact before it has the number {self.seq}: facts are missing or doubled"
            self.findings.append(Finding(what, seq, kind, at))
        expected = link(self.head, seq, document)
        if not isinstance(stored, str):
            self.findings.append(Finding("has no hash", seq, kind, at))
        elif stored != expected:
            what = f"its hash is {stored}, but the chain gives {expected}"
            self.findings.append(Finding(what, seq, kind, at))
        # Going on from what is stored names only the links that are broken themselves.
        self.head, self.seq = (stored if isinstance(stored, str) else expected), seq
        if self.head in self.wanted:
            self.hashes.add(self.head)
        if kind in UPKEEP:
            try:
                self._upkeep(kind, document)
            except (BadFact, KeyError, TypeError, ValueError, AttributeError):
                self.findings.append(Finding("cannot be read", seq, kind, at))

    def _upkeep(self, kind: str, body: Mapping[str, Any]) -> None:
        if kind == OBSERVATIONS:
            hour = _us(body["hour"])
            for name, (count, hashed) in body["blocks"].items():
                self.blocks[name, hour] = (count, hashed)
            if body.get("until") is not None:
                self.until = _us(body["until"])
            return
        name, before = body["endpoint"], _us(body["before"])
        count, hashed = body["kept"]
        self.pruned[name] = before
        if (name, hour_of(before)) in self.blocks:
            self.blocks[name, hour_of(before)] = (count, hashed)

    def compare(self, found: Iterable[tuple[str, int, int, str]]) -> None:
        """Check (endpoint, hour, rows, digest) of the observations there are against the blocks.

        Of an hour in which pruning ended they are those at and after that instant.
        """
        seen: set[tuple[str, int]] = set()
        for name, hour, count, hashed in found:
            block = self.blocks.get((name, hour))
            seen.add((name, hour))
            if block is None:
                if self.until is not None and hour < self.until:
                    self._differs(name, hour, f"{count} rows that no fact of the chain tells of")
            elif block != (count, hashed):
                change = "was changed" if count == block[0] else f"has {count} rows of {block[0]}"
                self._differs(name, hour, f"the block {change} since it was chained")
        for name, hour in sorted(self.blocks.keys() - seen):
            gone = self.pruned.get(name)
            if self.blocks[name, hour][0] and (gone is None or hour >= hour_of(gone)):
                self._differs(name, hour, f"all {self.blocks[name, hour][0]} rows are missing")

    def _differs(self, name: str, hour: int, what: str) -> None:
        self.findings.append(Finding(what, endpoint=name, hour=_shown(hour)))


def _us(text: object) -> int:
    return (parse_instant(text, "ledger") - _EPOCH) // _MICROSECOND


def head_notice(seq: int, head: str, now: datetime) -> Notice | None:
    """The head of the chain, told once a day so that it is held elsewhere; None: no fact yet."""
    if seq == 0:
        return None
    day = now.date().isoformat()
    advice = f"keep it; later: monitor ledger verify --head {head}"
    data = {"day": day, "seq": seq, "hash": head, "advice": advice}
    return Notice(f"ledger.head {day}", Event(now, "ledger.head", "ledger", data))
