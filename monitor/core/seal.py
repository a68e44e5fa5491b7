"""Sealing of months: figures that become immutable, and restatements beside them (accounting 6).

Rows are plain documents, as the faces print them; a restatement names every row that changed, with
what it said before and what it says now. What would better a figure is only proposed: it counts once
a second person approves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import accumulate
from typing import Any

from monitor.core.fact import Fact
from monitor.core.month import Month, midnight, show_instant
from monitor.core.notice import working_days_after
from monitor.core.outage import Class
from monitor.core.rules import RULES_VERSION, Rules
from monitor.errors import UsageError

Row = Mapping[str, Any]
Change = dict[str, Any]
"""`was` and `now`: a row before (None: there was none) and after."""

_RATIOS = ("best", "worst", "measured", "excluding_declared", "remaining_s")
"""More of these is better."""
_FROM_THE_WORST = (Class.UNDECLARED, Class.OVERRUN, Class.SHORT_NOTICE, Class.DECLARED)
_VERDICTS = ("no_data", "missed", "indeterminate", "met")


def seals_at(month: Month, rules: Rules) -> datetime:
    """When a month is sealed: `seal_after` working days after its end."""
    return midnight(working_days_after(month.next().first, rules.seal_after, rules), month.zone)


def sealed(month: Month, rows: Sequence[Row], configuration: str, now: datetime) -> Fact:
    """The fact that seals a month: its figures, the rules version and the configuration's digest."""
    body = {
        "month": str(month),
        "rules": RULES_VERSION,
        "configuration": configuration,
        "rows": [dict(row) for row in rows],
    }
    return Fact(now, "seal", body)


def _key(row: Row) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(row["series"].items()))


@dataclass(frozen=True, slots=True)
class Standing:
    """What a sealed month says now: the rows after all restatements, and how many there were.

    `proposed` is the restatement that waits for approval; `settled_at` is when the figures last
    became what they are.
    """

    rows: tuple[Row, ...]
    restatements: int
    sealed_at: datetime
    settled_at: datetime
    proposed: Fact | None = None

    @property
    def proposals(self) -> tuple[Change, ...]:
        """The changes that wait for approval."""
        return () if self.proposed is None else tuple(self.proposed.body["changes"])


def waiting(facts: Iterable[Fact]) -> Fact | None:
    """The restatement of a month that waits for approval, of its facts in order; None: none does.

    A proposal takes the place of the one before it, and an empty one takes it back.
    """
    proposed: Fact | None = None
    for fact in facts:
        if fact.type == "restatement_proposed":
            proposed = fact if fact.body["changes"] else None
        elif fact.type == "restatement" and "approved_by" in fact.body:
            proposed = None
    return proposed


def standing(facts: Sequence[Fact]) -> Standing | None:
    """Put together a month's seal and its restatements, in order; None if it is not sealed."""
    rows: dict[tuple[tuple[str, str], ...], Row] = {}
    restatements = 0
    sealed_at = settled_at = None
    for fact in facts:
        if fact.type == "restatement_proposed":
            continue
        settled_at = fact.at
        if fact.type == "seal":
            rows = {_key(row): row for row in fact.body["rows"]}
            sealed_at = fact.at
        else:
            restatements = fact.body["number"]
            rows.update({_key(change["now"]): change["now"] for change in fact.body["changes"]})
    if sealed_at is None or settled_at is None:
        return None
    return Standing(tuple(rows.values()), restatements, sealed_at, settled_at, waiting(facts))


def betters(was: Row, now: Row) -> bool:
    """Whether any figure of a row would look better: a ratio, time lost, its class or the verdict.

    A ratio that was absent and now is there is better. Less unknown time is not by itself: what was
    unknown and is known to have been down betters nothing.
    """
    gains = any(_more(was[key], now[key]) for key in _RATIOS)
    milder = any(
        after < before for before, after in zip(_by_class(was), _by_class(now), strict=True)
    )
    return gains or milder or _rank(now) > _rank(was)


def _more(one: str | float | None, other: str | float | None) -> bool:
    """Whether `other` is more than `one`, exactly; nothing is less than anything."""
    if one is None or other is None:
        return one is None and other is not None
    return Fraction(str(other)) > Fraction(str(one))


def _by_class(row: Row) -> list[Fraction]:
    """Time in the worst class, in the two worst, and so on: less of any is better."""
    classes = row["by_class"]
    return list(accumulate(Fraction(str(classes[cls.value])) for cls in _FROM_THE_WORST))


def _rank(row: Row) -> int:
    return _VERDICTS.index(row["verdict"])


def _holder(author: str) -> str:
    """Who an author is: `ops` of `ops (Jane Doe)`, for whoever holds a token may say any name."""
    return author.partition(" (")[0].casefold()


def _changes(known: Standing, rows: Sequence[Row]) -> tuple[list[Change], list[Change]]:
    """What differs from the sealed rows: what counts at once, and what betters a figure."""
    before = {_key(row): row for row in known.rows}
    at_once: list[Change] = []
    better: list[Change] = []
    for row in rows:
        was = before.get(_key(row))
        if was == row:
            continue
        found = better if was is not None and betters(was, row) else at_once
        found.append({"was": None if was is None else dict(was), "now": dict(row)})
    return at_once, better


@dataclass(frozen=True, slots=True)
class Why:
    """Why figures differ from the sealed ones, and whose facts made them differ."""

    reason: str
    authors: tuple[str, ...] = ()


def restated(
    month: Month,
    known: Standing,
    rows: Sequence[Row],
    configuration: str,
    why: Why,
    now: datetime,
) -> list[Fact]:
    """The facts that are due because figures differ from the sealed ones; none if all is said.

    What betters no figure is restated at once. What does is proposed, once, and proposed anew when it
    changes; a proposal that nothing calls for any longer is taken back by an empty one.
    """
    at_once, better = _changes(known, rows)
    body = {
        "month": str(month),
        "rules": RULES_VERSION,
        "configuration": configuration,
        "reason": why.reason,
        "authors": list(why.authors),
    }
    facts = []
    if at_once:
        number = known.restatements + 1
        facts.append(Fact(now, "restatement", {**body, "number": number, "changes": at_once}))
    if tuple(better) != known.proposals:
        facts.append(Fact(now, "restatement_proposed", {**body, "changes": better}))
    return facts


def approved(
    month: Month,
    known: Standing | None,
    rows: Sequence[Row],
    *,
    author: str,
    approved_by: str,
    now: datetime,
) -> Fact:
    """The restatement that a second person's approval makes of what is proposed.

    `rows` are the figures of now: an approval is of what was shown, so they must still be those
    proposed. Raises UsageError.
    """
    if known is None or known.proposed is None:
        raise UsageError(f"{month}: no restatement waits for approval; monitor slo shows what does")
    proposal = known.proposed.body
    _, better = _changes(known, rows)
    if tuple(better) != known.proposals:
        raise UsageError(
            f"{month}: the figures have changed since they were proposed at"
            f" {show_instant(known.proposed.at)}; look at them again once they are proposed anew,"
            " which the daemon does every hour"
        )
    first = proposal["authors"] or [author]
    if _holder(approved_by) in {_holder(name) for name in first}:
        raise UsageError(
            f"approved_by: {approved_by} caused this change; whoever approves it must be another"
            f" than {', '.join(first)}"
        )
    body = {
        **proposal,
        "number": known.restatements + 1,
        "proposed_at": show_instant(known.proposed.at),
        "author": author,
        "approved_by": approved_by,
    }
    return Fact(now, "restatement", body)
