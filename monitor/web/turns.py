"""Long work on the event loop in short turns, so that probes are not late for a page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

SLICE = 0.003
"""Seconds of work after which others get their turn."""

_T = TypeVar("_T")
_R = TypeVar("_R")


async def worked(items: Iterable[_T], work: Callable[[_T], _R]) -> list[_R]:
    """What the work makes of each item."""
    found: list[_R] = []
    rested = time.perf_counter()
    for item in items:
        found.append(work(item))
        if time.perf_counter() - rested > SLICE:
            await asyncio.sleep(0)
            rested = time.perf_counter()
    return found


async def joined(pieces: Iterable[str]) -> str:
    """The pieces, which take time to make, as one text."""
    return "".join(await worked(pieces, str))
