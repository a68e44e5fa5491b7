"""Sealing of months, restatements, and what needs a second person."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.fact import Fact
from monitor.core.month import Month
from monitor.core.seal import (
    Row,
    Standing,
    Why,
    approved,
    betters,
    restated,
    sealed,
    seals_at,
    standing,
)
from monitor.errors import UsageError
from tests.core.builders import LONDON, after, at, rules

MARCH = Month(2026, 3, LONDON)
CLASSES = ("declared", "declared_short_notice", "overrun", "undeclared")
LATE = Why("learned since it was sealed: A-1", ("alice",))


def row(name: str, lost: float = 0, **changes: Any) -> Row:
    """A row of March with so many undeclared seconds lost of a hundred thousand."""
    ratio = f"{1 - lost / 100_000:.9f}"
    return {
        "month": "2026-03",
        "series": {"endpoint": name},
        "unavailable_s": lost,
        "unconfirmed_s": 0,
        "unknown_s": 0,
        "by_class": {**dict.fromkeys(CLASSES, 0), "undeclared": lost},
        "remaining_s": 13374 - lost,
        **dict.fromkeys(("best", "worst", "measured", "excluding_declared"), ratio),
        "verdict": "met",
        **changes,
    }


def seal(*rows: Row) -> Fact:
    return sealed(MARCH, rows, "digest", after(days=40))


def known(*facts: Fact) -> Standing:
    found = standing(facts)
    assert found is not None
    return found


def due(rows: list[Row], *facts: Fact, why: Why = LATE) -> list[Fact]:
    return restated(MARCH, known(*facts), rows, "digest", why, after(days=50))


def approve(rows: list[Row], *facts: Fact, author: str = "carol", by: str = "bob") -> Fact:
    return approved(MARCH, standing(facts), rows, author=author, approved_by=by, now=after(days=51))


def test_when_a_month_is_sealed() -> None:
    """A month is sealed five working days after its end, Easter left out (accounting 6)."""
    assert seals_at(MARCH, rules()) == at("2026-04-09T23:00")
    assert seals_at(Month(2026, 1, LONDON), rules(seal_after=1)) == at("2026-02-03T00:00")


def test_sealed_figures_stand() -> None:
    """A seal keeps the rows, the rules version and the configuration."""
    first = seal(row("view"))
    assert (first.type, first.body["rules"]) == ("seal", 1)
    assert (first.body["configuration"], first.body["month"]) == ("digest", "2026-03")
    assert known(first) == Standing((row("view"),), 0, after(days=40), after(days=40))
    assert known(first).proposals == ()
    assert standing([]) is None


def test_a_later_fact_that_worsens_a_figure_restates() -> None:
    """It is numbered and says why and what changed, beside the original (accounting 6)."""
    first = seal(row("view"), row("find"))
    assert due([row("view"), row("find")], first) == []
    (worse,) = due([row("view", 60), row("find")], first)
    assert (worse.type, worse.body["number"]) == ("restatement", 1)
    assert (worse.body["reason"], worse.body["authors"]) == (LATE.reason, ["alice"])
    assert worse.body["changes"] == [{"was": row("view"), "now": row("view", 60)}]
    (second,) = due([row("view", 60), row("find"), row("new", 5)], first, worse)
    assert second.body["number"] == 2
    assert second.body["changes"] == [{"was": None, "now": row("new", 5)}]
    found = known(first, worse, second)
    assert found.rows == (row("view", 60), row("find"), row("new", 5))
    assert (found.restatements, found.settled_at) == (2, after(days=50))


def test_a_better_figure_is_only_proposed() -> None:
    """Until somebody approves the sealed figures stand; the proposal is made once."""
    first = seal(row("view", 60))
    (proposal,) = due([row("view")], first)
    assert proposal.type == "restatement_proposed"
    found = known(first, proposal)
    assert (found.rows, found.restatements) == ((row("view", 60),), 0)
    assert found.proposals == ({"was": row("view", 60), "now": row("view")},)
    assert due([row("view")], first, proposal) == []


def test_what_worsens_does_not_wait_for_what_betters() -> None:
    """Of two series that changed, the worse one is restated at once and the better one proposed."""
    facts = due([row("view"), row("find", 9)], seal(row("view", 60), row("find")))
    assert [fact.type for fact in facts] == ["restatement", "restatement_proposed"]
    assert known(seal(row("view", 60), row("find")), *facts).rows == (
        row("view", 60),
        row("find", 9),
    )


def test_a_proposal_follows_the_figures() -> None:
    """Another figure is proposed in its place; none, and it is taken back."""
    first = seal(row("view", 60))
    (proposal,) = due([row("view")], first)
    (other,) = due([row("view", 30)], first, proposal)
    assert known(first, proposal, other).proposals[0]["now"] == row("view", 30)
    (empty,) = due([row("view", 60)], first, proposal, other)
    assert known(first, proposal, other, empty).proposed is None


def test_approval_by_another_makes_it_count() -> None:
    """The restatement says whose facts caused it, who recorded the approval and who approved."""
    first = seal(row("view", 60))
    (proposal,) = due([row("view")], first)
    fact = approve([row("view")], first, proposal)
    assert (fact.type, fact.body["number"]) == ("restatement", 1)
    assert (fact.body["authors"], fact.body["author"]) == (["alice"], "carol")
    assert (fact.body["approved_by"], fact.body["reason"]) == ("bob", LATE.reason)
    found = known(first, proposal, fact)
    assert (found.rows, found.proposed, found.restatements) == ((row("view"),), None, 1)


@pytest.mark.parametrize(
    ("authors", "author"), [(("alice", "Bob"), "carol"), ((), "bob")], ids=["facts", "nobody"]
)
def test_whoever_caused_it_cannot_approve(authors: tuple[str, ...], author: str) -> None:
    """Nor, where no facts but the configuration caused it, whoever records the approval."""
    first = seal(row("view", 60))
    (proposal,) = due([row("view")], first, why=Why("the configuration", authors))
    with pytest.raises(UsageError, match="bob caused this change"):
        approve([row("view")], first, proposal, author=author)


def test_only_what_was_shown_can_be_approved() -> None:
    """Nothing proposed, nothing sealed, or other figures by now: refused."""
    first = seal(row("view", 60))
    for facts in ([], [first]):
        with pytest.raises(UsageError, match="no restatement waits"):
            approve([row("view")], *facts)
    (proposal,) = due([row("view")], first)
    with pytest.raises(UsageError, match="have changed since"):
        approve([row("view", 30)], first, proposal)


def by_class(**seconds: float) -> dict[str, float]:
    return {**dict.fromkeys(CLASSES, 0), **seconds}


@pytest.mark.parametrize(
    ("was", "now", "better"),
    [
        ({}, {}, False),
        ({"worst": "0.99"}, {"worst": "0.990000001"}, True),
        ({"worst": "0.99"}, {"worst": "0.98"}, False),
        ({"measured": None}, {"measured": "0.5"}, True),
        ({"measured": "0.5"}, {"measured": None}, False),
        ({"unknown_s": 3.5}, {"unknown_s": 0}, False),
        ({"remaining_s": -5}, {"remaining_s": 5}, True),
        ({"verdict": "missed"}, {"verdict": "indeterminate"}, True),
        ({"verdict": "met"}, {"verdict": "no_data"}, False),
        ({"by_class": by_class(undeclared=60)}, {"by_class": by_class(overrun=60)}, True),
        ({"by_class": by_class(declared=60)}, {"by_class": by_class(undeclared=60)}, False),
        ({"by_class": by_class(overrun=9)}, {"by_class": by_class(overrun=9, declared=5)}, False),
    ],
)
def test_what_betters_a_figure(was: dict[str, Any], now: dict[str, Any], better: bool) -> None:
    """A higher ratio, less time lost, a milder class of it, or a better verdict."""
    assert betters(row("view", **was), row("view", **now)) is better
