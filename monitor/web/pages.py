"""How a page is made: templates, what every page shows, and static files.

Server-rendered, nothing from outside, nothing inline (the content security policy forbids it). What a
page shows are the documents of `operations.py`, the same as command line and API print.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import hdrs, web
from jinja2 import Environment, PackageLoader, StrictUndefined

from monitor import __version__
from monitor.report import words
from monitor.web.guard import VISITOR, needs

NAVIGATION = (("/", "Overview"),)
"""Address and name of the pages that every page links."""
ZONE = ZoneInfo("Europe/London")
"""Instants are shown as UK clocks show them."""
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_GOOD = "public, max-age=31536000, immutable"
"""How long static files may be kept: their address changes with their content."""


@cache
def environment() -> Environment:
    """The templates, with escaping on and undefined names refused."""
    made = Environment(
        loader=PackageLoader("monitor.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        percent=words.percent,
        duration=words.duration,
        names=words.names,
        local=lambda instant: words.local(instant, ZONE),
    )
    made.globals.update(version=__version__, static=static_address)
    return made


def page(
    request: web.Request,
    template: str,
    context: Mapping[str, Any],
    *,
    status: HTTPStatus = HTTPStatus.OK,
) -> web.Response:
    """A page of one template."""
    text = (
        environment()
        .get_template(template)
        .render(visitor=request.get(VISITOR), path=request.path, navigation=NAVIGATION, **context)
    )
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


# -- static files ----------------------------------------------------------------------------------


@cache
def _static_files() -> Mapping[str, tuple[bytes, str, str]]:
    """Name to content, type and digest."""
    found = {}
    for file in files("monitor.web").joinpath("static").iterdir():
        kind = TYPES.get(f".{file.name.rpartition('.')[2]}")
        if kind is not None:
            content = file.read_bytes()
            found[file.name] = (content, kind, hashlib.sha256(content).hexdigest()[:16])
    return found


def static_address(name: str) -> str:
    """The address of a static file, with the digest of its content. Raises KeyError."""
    return f"/static/{name}?v={_static_files()[name][2]}"


@needs(None)
async def static(request: web.Request) -> web.Response:
    """`/static/NAME`: style, script and icons; open to all, for they say nothing."""
    known = _static_files().get(request.match_info["name"])
    if known is None:
        raise web.HTTPNotFound
    content, kind, _ = known
    return web.Response(body=content, content_type=kind, headers={hdrs.CACHE_CONTROL: FOR_GOOD})
