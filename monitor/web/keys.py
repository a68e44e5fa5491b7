"""Where handlers find what they need."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

from monitor.ports import Receipt
from monitor.snapshot import Document


class Ask(Protocol):
    """`operations.perform` at the daemon's desk: operation, arguments, author, and once only."""

    def __call__(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        author: str,
        *,
        receipt: Receipt | None = None,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Awaitable[Document]: ...


ASK = web.AppKey[Ask]("ask")

FRAME = web.AppKey[Callable[[], Document]]("frame")
"""What every page says around its own: `snapshot.summary_document`, `organisation` and `not_ready`."""

ROOM = web.AppKey("room", asyncio.Semaphore)
"""Room for probes on demand."""
