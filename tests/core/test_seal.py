"""Sealing of months and restatements."""

from __future__ import annotations

from typing import Any

from monitor.core.month import Month
from monitor.core.seal import Row, restated, sealed, seals_at, standing
from tests.core.builders import LONDON, after, at, rules

MARCH = Month(2026, 3, LONDON)


def row(name: str, down: int) -> Row:
    return {"month": "2026-03", "series": {"endpoint": name}, "down_s": down}


def test_when_a_month_is_sealed() -> None:
    """A month is sealed five working days after its end, Easter left out (accounting 6)."""
    assert seals_at(MARCH, rules()) == at("2026-04-09T23:00")
    assert seals_at(Month(2026, 1, LONDON), rules(seal_after=1)) == at("2026-02-03T00:00")


def test_sealed_figures_stand() -> None:
    """A seal keeps the rows, the rules version and the configuration."""
    seal = sealed(MARCH, [row("view", 0)], "digest", after(days=40))
    assert (seal.type, seal.body["rules"]) == ("seal", 1)
    assert (seal.body["configuration"], seal.body["month"]) == ("digest", "2026-03")
    found = standing([seal])
    assert found is not None
    assert (found.rows, found.restatements, found.sealed_at) == (
        (row("view", 0),),
        0,
        after(days=40),
    )
    assert standing([]) is None


def change(rows: list[Row], *facts: Any, reason: str = "late assertion") -> Any:
    known = standing(facts)
    assert known is not None
    return restated(MARCH, known, rows, "digest", reason, after(days=50))


def test_a_later_fact_makes_a_restatement() -> None:
    """It is numbered and says why and what changed, beside the original (accounting 6)."""
    seal = sealed(MARCH, [row("view", 0), row("find", 0)], "digest", after(days=40))
    assert change([row("view", 0), row("find", 0)], seal) is None
    first = change([row("view", 60), row("find", 0)], seal)
    assert (first.body["number"], first.body["reason"]) == (1, "late assertion")
    assert first.body["changes"] == [{"was": row("view", 0), "now": row("view", 60)}]
    second = change([row("view", 60), row("find", 0), row("new", 5)], seal, first)
    assert second.body["number"] == 2
    assert second.body["changes"] == [{"was": None, "now": row("new", 5)}]
    found = standing([seal, first, second])
    assert found is not None
    assert found.rows == (row("view", 60), row("find", 0), row("new", 5))
    assert found.restatements == 2
