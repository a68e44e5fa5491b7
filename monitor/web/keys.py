"""Where handlers find what they need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from monitor.snapshot import Document

Ask = Callable[[str, Mapping[str, Any], str], Awaitable[Document]]
"""`operations.perform` at the daemon's desk: operation, arguments, author."""

ASK = web.AppKey[Ask]("ask")

FRAME = web.AppKey[Callable[[], Document]]("frame")
"""What every page says around its own: `snapshot.summary_document`, `organisation` and `not_ready`."""
