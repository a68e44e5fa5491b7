"""What became of an attempt to deliver."""

from __future__ import annotations

from monitor.core.delivery import Accepted, Rejected, Retry
from tests.core.builders import MINUTE


def test_outcomes_are_values() -> None:
    """Equal outcomes are equal; a retry may say how long the receiver asked to wait."""
    assert Accepted() == Accepted()
    assert Retry("busy") == Retry("busy", after=None)
    assert Retry("busy", after=MINUTE) != Retry("busy")
    assert Rejected("gone").error == "gone"
