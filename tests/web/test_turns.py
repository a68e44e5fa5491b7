"""Long work in turns: nothing is lost, and others are let in between."""

import asyncio
import time

import pytest

from monitor.web.turns import joined, worked


async def test_long_work_lets_others_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a thousand items are worked through, something else goes on, and all come out in order."""
    monkeypatch.setattr("monitor.web.turns.SLICE", 0.0)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    assert await worked(range(1000), lambda number: number + 1) == list(range(1, 1001))
    beside.cancel()
    assert turns >= 1000


async def test_short_work_is_not_held_up() -> None:
    """What takes no time is done in one turn, and no pieces make an empty text."""
    began = time.perf_counter()
    assert await joined(str(number) for number in range(10)) == "0123456789"
    assert await joined([]) == ""
    assert time.perf_counter() - began < 1
