"""What became of an attempt to deliver."""

from __future__ import annotations

from monitor.core.delivery import Accepted, Rejected, Retry, counted
from tests.core.builders import MINUTE


def test_outcomes_are_values() -> None:
    """Equal outcomes are equal; a retry may say how long the receiver asked to wait."""
    assert Accepted() == Accepted()
    assert Retry("busy") == Retry("busy", after=None)
    assert Retry("busy", after=MINUTE) != Retry("busy")
    assert Rejected("gone").error == "gone"


def test_outcomes_are_counted_by_a_word_and_told_by_their_trouble() -> None:
    """Each outcome has the word of the metrics; all but the good one have a trouble."""
    assert counted(Accepted()) == ("accepted", "")
    assert counted(Rejected("gone")) == ("rejected", "gone")
    assert counted(Retry("busy", MINUTE)) == ("retry", "busy")
