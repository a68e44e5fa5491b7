"""How a page is made: templates, what every page shows, and static files.

Server-rendered, nothing from outside, nothing inline (the content security policy forbids it). What a
page shows are the documents of `operations.py`, the same as command line and API print.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import hdrs, web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monitor import __version__
from monitor.core.month import civil
from monitor.report import words
from monitor.snapshot import Document
from monitor.web.guard import SAFE, TOKENS, VISITOR, needs
from monitor.web.keys import FRAME
from monitor.web.problem import PROBLEM, Handler, asks_for_page
from monitor.web.sessions import SESSION
from monitor.web.tokens import Scope
from monitor.web.turns import joined

NAVIGATION = (
    ("/", "Overview"),
    ("/incidents", "Incidents"),
    ("/downtime", "Downtime"),
    ("/months", "Months"),
    ("/service", "Service"),
)
"""Address and name of the pages that every page links."""
ZONE = ZoneInfo("Europe/London")
"""Instants are shown as UK clocks show them."""
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_AROUND = web.RequestKey[Document]("around")
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
        when=when,
        moment=moment,
        date=date_words,
        lasting=lasting,
        month=month_words,
        span=span,
    )
    made.globals.update(
        version=__version__,
        static=static_address,
        some=some,
        sentence=sentence,
        seconds_between=seconds_between,
    )
    return made


def prepare() -> None:
    """Read and compile every template, which takes time, before anybody asks for a page."""
    made = environment()
    for name in made.list_templates(extensions=["j2"]):
        made.get_template(name)


def when(instant: str | None, none: str = words.NOTHING) -> Markup:
    """An instant as UK clocks show it, with UTC where the pointer rests."""
    if instant is None:
        return Markup(none)
    utc = f"{datetime.fromisoformat(instant):%Y-%m-%d %H:%M:%S}"
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        instant, utc, when_words(instant)
    )


def moment(instant: str | None, none: str = words.NOTHING) -> Markup:
    """The same for a table: without the zone, which a UK time has from its date.

    >>> moment("2026-06-01T08:30:00Z").striptags()
    '1 Jun 2026 09:30:00'
    """
    if instant is None:
        return Markup(none)
    at = datetime.fromisoformat(instant)
    shown = civil(at, ZONE)
    return Markup('<time datetime="{}" title="{} {}; {} UTC">{} {}</time>').format(
        instant,
        f"{shown:%H:%M:%S}",
        f"{shown:%Z}",
        f"{at:%Y-%m-%d %H:%M:%S}",
        shown.day,
        f"{shown:%b %Y %H:%M:%S}",
    )


def when_words(instant: str) -> str:
    """An instant as UK clocks show it.

    >>> when_words("2026-06-01T08:30:00Z")
    '1 Jun 2026, 09:30:00 BST'
    """
    shown = civil(datetime.fromisoformat(instant), ZONE)
    return f"{shown.day} {shown:%b %Y, %H:%M:%S %Z}"


def lasting(seconds: int) -> str:
    """Whole seconds in words; of more than two days, days and hours. `monitor.js` says the same.

    >>> lasting(59), lasting(7260), lasting(180_000)
    ('59s', '2h 01m 00s', '2 days 2h')
    """
    if seconds < 2 * 86_400:
        return words.duration(seconds)
    return f"{seconds // 86_400} days {seconds // 3600 % 24}h"


def month_words(month: str) -> str:
    """A month, as `2026-06`, in words.

    >>> month_words("2026-06")
    'June 2026'
    """
    return f"{date.fromisoformat(f'{month}-01'):%B %Y}"


def date_words(day: str) -> str:
    """A UK date, as `2026-06-01`, in words.

    >>> date_words("2026-06-01")
    'Mon 1 Jun 2026'
    """
    shown = date.fromisoformat(day)
    return f"{shown:%a} {shown.day} {shown:%b %Y}"


def span(window: Mapping[str, str]) -> Markup:
    """A window as UK clocks show it; of one day, that day is told once.

    >>> span({"start": "2026-06-01T08:30:00Z", "end": "2026-06-01T10:00:00Z"}).striptags()
    'Mon 1 Jun 2026, 09:30 to 11:00 BST'
    """
    start, end = (civil(datetime.fromisoformat(window[key]), ZONE) for key in ("start", "end"))
    zone = "" if start.tzname() == end.tzname() else f" {start:%Z}"
    last = "" if start.date() == end.date() else f"{date_words(end.date().isoformat())}, "
    return Markup('<time datetime="{}">{}, {}</time> to <time datetime="{}">{}</time>').format(
        window["start"],
        date_words(start.date().isoformat()),
        f"{start:%H:%M}{zone}",
        window["end"],
        f"{last}{end:%H:%M %Z}",
    )


def seconds_between(start: str, end: str) -> int:
    """Whole seconds from one instant to another, rounded down; negative if it comes before."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)) // timedelta(seconds=1)


def sentence(text: str) -> str:
    """A message of the program as a sentence: `id: is missing` becomes `Id: is missing.`"""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?", "!")) else ".")


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few of a list, and how many more there are.

    >>> some(["a", "b"]), some(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c and 2 more')
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def frame_of(request: web.Request) -> Document:
    """What stands around the page; worked out once a request, however often it is asked for."""
    found = request.get(_AROUND)
    if found is None:
        found = request[_AROUND] = request.app[FRAME]()
    return found


def page(
    request: web.Request,
    template: str,
    context: Mapping[str, Any],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    address: str | None = None,
    section: str | None = None,
) -> web.Response:
    """A page of one template. `address`: where it can be had again, if not from where it was asked;
    `section`: the address of the page to which it belongs, if its own does not say so.

    Around it stand the frame and, for somebody who logged in, the token of their forms. Visitors who
    are not known yet see neither.
    """
    around = _around(request, context, address, section)
    text = environment().get_template(template).render(around)
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


async def long_page(
    request: web.Request, template: str, context: Mapping[str, Any], *, section: str | None = None
) -> web.Response:
    """The same for a page of many rows, rendered in turns."""
    made = environment().get_template(template)
    text = await joined(made.generate(_around(request, context, None, section)))
    return web.Response(text=text, content_type="text/html", charset="utf-8")


def _around(
    request: web.Request, context: Mapping[str, Any], address: str | None, section: str | None
) -> dict[str, Any]:
    """What a page is about, with what stands around it."""
    visitor, session = request.get(VISITOR), request.get(SESSION)
    return {
        "visitor": visitor,
        "session": session,
        "may_write": session is not None and session.token.scope.includes(Scope.DECLARE),
        "tokens_known": request.app[TOKENS] is not None,
        "frame": None if visitor is None else frame_of(request),
        "path": request.path,
        "address": address or request.path_qs,
        "section": section or f"/{request.path.split('/')[1]}",
        "navigation": NAVIGATION,
        **context,
    }


def fragment(template: str, context: Mapping[str, Any]) -> web.Response:
    """A part of a page, for a page to take in."""
    text = environment().get_template(template).render(**context)
    return web.Response(text=text, content_type="text/html", charset="utf-8")


# -- problems --------------------------------------------------------------------------------------


@web.middleware
async def readable(request: web.Request, handler: Handler) -> web.StreamResponse:
    """To a browser a problem is a page, and the lack of a login the way to it."""
    response = await handler(request)
    if response.content_type != PROBLEM or not asks_for_page(request):
        return response
    assert isinstance(response, web.Response)
    told = json.loads(response.text or "{}")
    status = HTTPStatus(response.status)
    if status is HTTPStatus.UNAUTHORIZED and request.method in SAFE:
        return _to_login(request)
    shown = page(request, "problem.html.j2", {"problem": told}, status=status)
    for name in (hdrs.ALLOW, hdrs.RETRY_AFTER, hdrs.WWW_AUTHENTICATE):
        if name in response.headers:
            shown.headers[name] = response.headers[name]
    return shown


def _to_login(request: web.Request) -> web.StreamResponse:
    """Where to log in. A link from another site brings no cookie (SameSite=Strict): a step on a page of
    our own does, so such a visitor is first sent once more to where they wanted."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return page(request, "arrival.html.j2", {})
    location = f"/login?{urlencode({'next': request.path_qs})}"
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: location})


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
