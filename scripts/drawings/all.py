"""Which drawings there are, and what makes each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from scripts.drawings.month import budget, clocks
from scripts.drawings.notice import easter
from scripts.drawings.timeline import Scene, timeline

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"

SCENES = {
    "blip": Scene("blip", "03:57", "04:09", 1, "Two failures are no outage: a blip"),
    "confirm": Scene(
        "swallowed-recovery",
        "03:56",
        "04:50",
        5,
        "Confirmed by the third failure, dated from the first",
    ),
    "gap": Scene(
        "gap-within-outage", "03:40", "05:50", 10, "A silence within an outage is unknown"
    ),
    "overrun": Scene(
        "window-within-outage", "03:40", "05:50", 10, "Before the window, in it and after it"
    ),
    "extended": Scene(
        "amendment-extends",
        "03:40",
        "05:50",
        10,
        "A window extended while it runs: only the old part is declared",
    ),
    "incidents": Scene(
        "one-incident-per-cause",
        "03:55",
        "04:56",
        5,
        "One incident per cause: ten minutes apart, and eleven",
    ),
}

DRAWINGS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        **{f"{name}.svg": partial(timeline, scene) for name, scene in SCENES.items()},
        "notice.svg": easter,
        "budget.svg": budget,
        "clocks.svg": clocks,
    }
)
"""File to what makes its text."""
