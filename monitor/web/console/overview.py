"""The overview: how each endpoint stands."""

from __future__ import annotations

from aiohttp import web

from monitor.web.guard import VISITOR
from monitor.web.keys import ASK
from monitor.web.pages import page


async def overview(request: web.Request) -> web.Response:
    """`/`."""
    status = await request.app[ASK]("status", {}, request[VISITOR].name)
    return page(request, "overview.html.j2", {"status": status})
