"""Asking for the documents of a page; what cannot be asked is the visitor's mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from monitor.errors import UnknownName, UsageError
from monitor.snapshot import Document
from monitor.web.guard import VISITOR
from monitor.web.keys import ASK


async def asked(
    request: web.Request, operation: str, arguments: Mapping[str, Any] | None = None
) -> Document:
    """The document of an operation. Raises HTTPNotFound for an unknown name, else HTTPBadRequest."""
    try:
        return await request.app[ASK](operation, arguments or {}, request[VISITOR].name)
    except UnknownName:
        raise web.HTTPNotFound from None
    except UsageError as trouble:
        raise web.HTTPBadRequest(reason=" ".join(str(trouble).split())) from None
