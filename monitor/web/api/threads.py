"""Threads of the API's own: hung name look-ups fill the loop's default executor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")

_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="api")


async def in_thread(call: Callable[[], _T]) -> _T:
    """What the call answers, off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, call)
