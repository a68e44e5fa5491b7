"""Checks what is kept: the chain of facts, the observations in it, and every sealed figure.

Both a store and an export can be checked, offline. Sealed figures are worked out again from the facts
known when they were sealed, under the configuration in force then, by the code that seals them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from heapq import merge
from pathlib import Path
from typing import Any

from monitor.adapters import chain as stored
from monitor.adapters.store import VERDICT_CODES, SqliteStore, from_us, to_us
from monitor.config import accounting_from_document, bank_holidays_digest
from monitor.core import seal
from monitor.core.book import Book
from monitor.core.fact import Fact, read_fact, read_observation
from monitor.core.ledger import UPKEEP, Chain, Finding, Row, canonical, digest, hour_of
from monitor.core.month import Month, show_instant
from monitor.core.rules import NoticeCalendar
from monitor.core.verdict import Observation
from monitor.errors import FactError, Fault, MonitorError, UsageError
from monitor.snapshot import Document, all_series, month_document

Told = Callable[[int], None]
Line = tuple[int, dict[str, Any], object]
"""Number, line of a facts file without number and hash, hash."""
Holidays = Callable[[NoticeCalendar], frozenset[date]]
MOST = 100
"""Findings that are listed; all are counted."""


@dataclass(slots=True)
class Source:
    """Where facts and observations come from; `digests` is given where pruning ended."""

    name: str
    facts: Iterable[Line]
    digests: Callable[[Mapping[str, int]], Iterable[tuple[str, int, int, str]]]
    observations: Callable[[], Iterable[Observation]]
    rows: int
    findings: list[Finding] = field(default_factory=list)


def verify(
    source: Source,
    bank_holidays: Holidays,
    *,
    head: str | None = None,
    progress: Told = lambda _: None,
) -> Document:
    """Everything that is not as it was chained or sealed; `ok` if nothing is.

    `head` is a hash that was kept elsewhere and must be in the chain. `progress` is told of rows.
    """
    chain = Chain(wanted=frozenset({head} if head else ()))
    facts: list[Line] = []
    for line in source.facts:
        chain.take(*line)
        if line[1].get("type") not in UPKEEP:
            facts.append(line)
    chain.compare(_counting(source.digests(chain.pruned), progress))
    findings = [*source.findings, *chain.findings]
    if head and head not in chain.hashes:
        what = f"the chain has no fact of hash {head}: it was cut off or made anew since"
        findings.insert(0, Finding(what))
    seals = _Seals(bank_holidays, chain.pruned)
    if any(line[1].get("type") == "seal" for line in facts):
        seals.run(facts, source.observations())
    findings += seals.findings
    return {
        "ok": not findings,
        "source": source.name,
        "facts": chain.seq,
        "blocks": len(chain.blocks),
        "observations": source.rows,
        "head": {"seq": chain.seq, "hash": chain.head},
        "chained_until": None if chain.until is None else show_instant(from_us(chain.until)),
        "first_broken": _finding(findings[0]) if findings else None,
        "findings": [_finding(each) for each in findings[:MOST]],
        "found": len(findings),
        "seals": seals.seen,
    }


def _finding(found: Finding) -> Document:
    named = ("seq", "type", "at", "endpoint", "hour", "what")
    document = {key: getattr(found, key) for key in named}
    return {**{k: v for k, v in document.items() if v is not None}, "text": str(found)}


def _counting(
    found: Iterable[tuple[str, int, int, str]], progress: Told
) -> Iterator[tuple[str, int, int, str]]:
    for block in found:
        progress(block[2])
        yield block


# --- The store ------------------------------------------------------------------------------------


@contextmanager
def of_store(store: SqliteStore) -> Iterator[Source]:
    """The store as it is now, whatever is written meanwhile."""
    with store.frozen() as connection:
        source = Source(
            str(store.path),
            (),
            lambda pruned: stored.digests(connection, pruned),
            lambda: (sample.observation for sample in store.iter_observations()),
            connection.execute("SELECT count(*) FROM observations").fetchone()[0],
        )
        source.facts = _stored_facts(stored.links(connection), source.findings)
        yield source


def _stored_facts(
    rows: Iterable[tuple[int, int, str, str, str]], findings: list[Finding]
) -> Iterator[Line]:
    for seq, at, kind, body, hashed in rows:
        try:
            read = json.loads(body)
            document = stored.fact_document(at, kind, read)
            if canonical(read) != body:
                raise ValueError("is not written as the ledger writes")
        except (ValueError, TypeError, OverflowError, RecursionError) as trouble:
            findings.append(Finding(f"cannot be read: {trouble}", seq, kind, str(at)))
            document = {"type": kind, "at": str(at), "body": body}
        yield seq, document, hashed


# --- An export ------------------------------------------------------------------------------------


def of_export(path: Path, progress: Told = lambda _: None) -> Source:
    """A file of `ledger export`. `progress` is told bytes. Raises FactError if it cannot be read."""
    facts: list[Line] = []
    rows: dict[tuple[str, int], list[Row]] = {}
    seen: list[Observation] = []
    findings: list[Finding] = []
    try:
        with path.open("rb") as lines:
            for number, text in enumerate(lines, 1):
                progress(len(text))
                if text.strip():
                    try:
                        _take(json.loads(text), facts, rows, seen)
                    except (MonitorError, ValueError, TypeError, KeyError, AttributeError) as why:
                        findings.append(Finding(f"line {number}: cannot be read: {why}"))
    except OSError as trouble:
        what = f"cannot be read: {trouble.strerror}"
        raise FactError([Fault(str(path), None, None, "", what, "")]) from None
    if not facts and not seen and not findings:
        raise UsageError(f"{path}: holds no facts; give a file written by `monitor ledger export`")
    facts.sort(key=lambda line: line[0])

    def digests(_: Mapping[str, int]) -> Iterator[tuple[str, int, int, str]]:
        for (name, hour), found in sorted(rows.items()):
            yield name, hour, *digest(sorted(found))

    return Source(str(path), facts, digests, lambda: seen, len(seen), findings)


def _take(
    document: Any,
    facts: list[Line],
    rows: dict[tuple[str, int], list[Row]],
    seen: list[Observation],
) -> None:
    if document.get("type") == "observation":
        one = read_observation(document)
        t, us, status = to_us(one.at), document["duration_us"], document["status"]
        code = VERDICT_CODES[one.result, one.reason]
        rows.setdefault((one.endpoint, hour_of(t)), []).append((t, code, us, status))
        seen.append(one)
        return
    seq = document.pop("seq")
    if not isinstance(seq, int):
        raise ValueError("seq must be a whole number")
    facts.append((seq, document, document.pop("hash", None)))


# --- Sealed figures -------------------------------------------------------------------------------


class _Seals:
    """Tells the facts again, in order, and compares the figures at each seal and restatement."""

    def __init__(self, bank_holidays: Holidays, pruned: Mapping[str, int]) -> None:
        self.findings: list[Finding] = []
        self.seen: list[Document] = []
        self._bank_holidays = bank_holidays
        self._pruned = max(pruned.values(), default=None)
        self._book: Book | None = None
        self._strange = ""

    def run(self, facts: Iterable[Line], observations: Iterable[Observation]) -> None:
        for at, _, item in merge(_in_time(facts), _seen_in_time(observations), key=_order):
            if isinstance(item, Observation):
                if self._book is not None and item.endpoint in self._book.register.endpoints:
                    self._book.observe(item)
            else:
                self._learn(at, *item)

    def _learn(self, at: datetime, seq: int, document: Mapping[str, Any]) -> None:
        try:
            fact = read_fact(document)
            if fact.type == "configuration":
                self._configure(fact)
            if self._book is None:
                if fact.type == "seal":
                    self._skip(fact, seq, "no configuration was recorded before it")
                return
            if fact.type in ("seal", "restatement", "restatement_proposed"):
                self._compare(self._book, fact, seq)
            self._book.learn(fact)
        except (MonitorError, KeyError, TypeError, ValueError) as trouble:
            what = f"cannot be learned: {trouble}"
            kind, told = str(document.get("type")), str(document.get("at"))
            self.findings.append(Finding(what, seq, kind, told))

    def _configure(self, fact: Fact) -> None:
        """Go on under the configuration that was put in force."""
        accounting = fact.body["accounting"]
        days = self._bank_holidays(NoticeCalendar(accounting["rules"]["notice_calendar"]))
        known = bank_holidays_digest(days) == accounting["rules"]["bank_holidays_digest"]
        self._strange = "" if known else "the bank holidays of then are not those of this version"
        book = Book(*accounting_from_document(accounting, days))
        if self._book is not None:
            book.inherit(self._book, fact.at)
        self._book = book

    def _skip(self, fact: Fact, seq: int, why: str) -> None:
        row = {"month": fact.body["month"], "type": fact.type, "seq": seq}
        self.seen.append({**row, "checked": False, "why": why})

    def _compare(self, book: Book, fact: Fact, seq: int) -> None:
        month = Month.parse(fact.body["month"], book.rules.zone)
        if self._strange:
            self._skip(fact, seq, self._strange)
            return
        if self._pruned is not None and from_us(self._pruned) > month.interval.start:
            self._skip(fact, seq, "observations of the month were taken away by retention")
            return
        claimed = {_series(row): row for row in _claimed(fact)}
        given = {
            _series(row): row
            for series in all_series(book)
            if book.eligible(series).clip(month.interval)
            for row in [month_document(series, month, book.account(series, month, fact.at))]
        }
        # A restatement tells of what changed only; a seal of every series.
        wanted = given.keys() | claimed.keys() if fact.type == "seal" else claimed.keys()
        known = seal.standing(book.seals.get(str(month), ()))
        differing = [
            (claimed.get(name), given.get(name))
            for name in sorted(wanted)
            if claimed.get(name) != given.get(name)
        ]
        differing += [
            (row, None) for row in _replaced(fact) if known is None or row not in known.rows
        ]
        for said, right in differing:
            self._differs(fact, seq, said, right)
        good = not differing
        self.seen.append(
            {"month": str(month), "type": fact.type, "seq": seq, "checked": True, "ok": good}
        )

    def _differs(
        self,
        fact: Fact,
        seq: int,
        claimed: Mapping[str, Any] | None,
        given: Mapping[str, Any] | None,
    ) -> None:
        """Name a row that is said but not given by the facts, given but not said, or another."""
        row = claimed or given or {}
        name = " ".join(str(part) for part in row["series"].values())
        if claimed is None:
            text = "is not among the sealed figures"
        elif given is None:
            text = "is not what the facts before it give"
        else:
            keys = [key for key in given if given[key] != claimed.get(key)]
            text = "; ".join(
                f"{key}: sealed {claimed.get(key)}, facts give {given[key]}" for key in keys
            )
        what = f"{fact.body['month']}, {name}: {text}"
        self.findings.append(Finding(what, seq, fact.type, show_instant(fact.at)))


def _claimed(fact: Fact) -> list[Mapping[str, Any]]:
    """The rows that a seal, a restatement or a proposal of one says."""
    if fact.type == "seal":
        return list(fact.body["rows"])
    return [change["now"] for change in fact.body["changes"]]


def _replaced(fact: Fact) -> list[Mapping[str, Any]]:
    """The sealed rows that a restatement says it replaces."""
    changes = fact.body.get("changes", ())
    return [change["was"] for change in changes if change["was"] is not None]


def _series(row: Mapping[str, Any]) -> str:
    return json.dumps(row["series"], sort_keys=True)


_Item = tuple[datetime, int, Any]
_BEFORE = datetime.min.replace(tzinfo=UTC)


def _in_time(facts: Iterable[Line]) -> Iterator[_Item]:
    """Facts in the order recorded; one dated before its predecessor is told with it."""
    last = _BEFORE
    for seq, document, _ in facts:
        with suppress(KeyError, TypeError, ValueError):  # it is named where it is learned
            last = max(last, datetime.fromisoformat(document["at"]))
        yield last, 0, (seq, document)


def _seen_in_time(observations: Iterable[Observation]) -> Iterator[_Item]:
    return ((one.at, 1, one) for one in observations)


def _order(item: _Item) -> tuple[datetime, int]:
    return item[:2]
