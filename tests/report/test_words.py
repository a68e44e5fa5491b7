"""How the report writes numbers, durations and instants."""

from __future__ import annotations

import doctest

from monitor.report import words


def test_the_examples_hold() -> None:
    """Percentages rounded down, durations exact, instants in UK time."""
    found = doctest.testmod(words)
    assert (found.failed, found.attempted > 0) == (0, True)
