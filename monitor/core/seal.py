"""Sealing of months: figures that become immutable, and restatements beside them (accounting 6).

Rows are plain documents, as the faces print them; a restatement names every row that changed, with
what it said before and what it says now.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.core.fact import Fact
from monitor.core.month import Month, midnight
from monitor.core.notice import working_days_after
from monitor.core.rules import RULES_VERSION, Rules

Row = Mapping[str, Any]


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


def _key(row: Row) -> str:
    return json.dumps(row["series"], sort_keys=True)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a sealed month says now: the rows after all restatements, and how many there were."""

    rows: tuple[Row, ...]
    restatements: int
    sealed_at: datetime


def standing(facts: Iterable[Fact]) -> Standing | None:
    """Put together a month's seal and its restatements, in order; None if it is not sealed."""
    rows: dict[str, Row] = {}
    restatements = 0
    sealed_at: datetime | None = None
    for fact in facts:
        if fact.type == "seal":
            rows = {_key(row): row for row in fact.body["rows"]}
            sealed_at = fact.at
        else:
            restatements = fact.body["number"]
            rows.update({_key(change["now"]): change["now"] for change in fact.body["changes"]})
    if sealed_at is None:
        return None
    return Standing(tuple(rows.values()), restatements, sealed_at)


def restated(
    month: Month,
    known: Standing,
    rows: Sequence[Row],
    configuration: str,
    reason: str,
    now: datetime,
) -> Fact | None:
    """The restatement that is due because figures differ from the sealed ones; None if none does."""
    before = {_key(row): row for row in known.rows}
    changes = [
        {"was": dict(was) if (was := before.get(_key(row))) is not None else None, "now": dict(row)}
        for row in rows
        if before.get(_key(row)) != row
    ]
    if not changes:
        return None
    body = {
        "month": str(month),
        "number": known.restatements + 1,
        "rules": RULES_VERSION,
        "configuration": configuration,
        "reason": reason,
        "changes": changes,
    }
    return Fact(now, "restatement", body)
