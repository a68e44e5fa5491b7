"""Which address shows which page."""

from __future__ import annotations

from aiohttp import web

from monitor.web.console.access import log_in, log_out, show_login
from monitor.web.console.overview import overview
from monitor.web.pages import static


def add_pages(app: web.Application) -> None:
    """The pages, and what they are styled with."""
    app.router.add_get("/", overview)
    app.router.add_get("/login", show_login)
    app.router.add_post("/login", log_in)
    app.router.add_post("/logout", log_out)
    app.router.add_get("/static/{name}", static)
