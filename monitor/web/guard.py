"""Who asks, and whether they may (contract, "HTTP").

Without tokens the listener is loopback: everybody may read and nobody may write. With tokens every
request needs a visitor whose scope includes what the handler `needs`, known by one of the ways.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web

from monitor.web.problem import Handler, asks_for_page, problem
from monitor.web.tokens import Scope, Tokens

SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
"""Methods that change nothing (RFC 9110 9.2.1)."""
_NEEDS = "__monitor_needs__"

_H = TypeVar("_H", bound=Handler)

log = structlog.get_logger(__name__)


class By(StrEnum):
    """How a visitor is known."""

    LOOPBACK = "loopback"
    TOKEN = "token"
    CERTIFICATE = "certificate"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: the name is the token's; that of loopback is empty.

    `person` is what somebody who logged in called themselves: not verified, so never without the name.
    """

    name: str
    scope: Scope
    by: By
    person: str = ""

    @property
    def author(self) -> str:
        """The author of what they write: `ops`, or `ops (Jane Doe)`; no token's name holds a bracket."""
        return f"{self.name} ({self.person})" if self.person else self.name


class Unrecognised(Exception):
    """The request shows credentials that are not good here."""


class NotAllowed(Exception):
    """The credentials are good, but whoever holds them may not have meant this request."""


Way = Callable[[web.Request], Awaitable[Visitor | None]]
"""Tells a visitor from a request; None if it shows nothing of this kind.

Raises Unrecognised or NotAllowed."""

TOKENS = web.AppKey[Tokens | None]("tokens")
WAYS = web.AppKey[list[Way]]("ways")
VISITOR = web.RequestKey("visitor", Visitor)
LISTEN = web.AppKey("listen", str)
"""The host that we listen on."""

_HOST = re.compile(r"[A-Za-z0-9.\-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")


def needs(scope: Scope | None) -> Callable[[_H], _H]:
    """Mark a handler with the scope it needs; None: open to all.

    One that is not marked needs `read`, and `declare` for a method that may change something.
    """

    def mark(handler: _H) -> _H:
        setattr(handler, _NEEDS, scope)
        return handler

    return mark


def needed(request: web.Request) -> Scope | None:
    """The scope that a request needs; None: none."""
    if request.match_info.http_exception is not None:
        return Scope.READ  # there is no such page, or not by this method: nothing can change
    by_method = Scope.READ if request.method in SAFE else Scope.DECLARE
    found: Scope | None = getattr(request.match_info.handler, _NEEDS, by_method)
    return found


async def by_bearer(request: web.Request) -> Visitor | None:
    """A bearer token (RFC 6750)."""
    tokens, header = request.app[TOKENS], request.headers.get(hdrs.AUTHORIZATION)
    if tokens is None or header is None:
        return None
    scheme, _, secret = header.partition(" ")
    if scheme.lower() == "basic":
        return None
    known = scheme.lower() == "bearer" and secret.strip()
    holder = await tokens.holder(secret.strip()) if known else None
    if holder is None:
        raise Unrecognised
    return Visitor(holder.name, holder.scope, By.TOKEN)


async def by_basic(request: web.Request) -> Visitor | None:
    """A token as the password of HTTP Basic (RFC 7617), for calendar programs and scrapers."""
    tokens, header = request.app[TOKENS], request.headers.get(hdrs.AUTHORIZATION)
    if tokens is None or header is None or header.partition(" ")[0].lower() != "basic":
        return None
    try:
        _, _, secret = b64decode(header[6:].strip(), validate=True).decode().partition(":")
    except ValueError:
        raise Unrecognised from None
    holder = await tokens.holder(secret)
    if holder is None:
        raise Unrecognised
    return Visitor(holder.name, holder.scope, By.TOKEN)


async def by_certificate(request: web.Request) -> Visitor | None:
    """A client certificate that was verified in the handshake, and that an entry names."""
    tokens, transport = request.app[TOKENS], request.transport
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    if tokens is None or connection is None:
        return None
    shown = connection.getpeercert(binary_form=True)
    holder = None if shown is None else await tokens.holder_of(shown)
    return None if holder is None else Visitor(holder.name, holder.scope, By.CERTIFICATE)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through who may; `request[VISITOR]` says who it is."""
    astray = _astray(request)
    if astray is not None:
        return astray
    wanted = needed(request)
    if wanted is None:
        return await handler(request)
    try:
        visitor = await _visitor(request)
    except Unrecognised:
        return _refused(request, given=True)
    except NotAllowed as refused:
        log.warning("request_forged", peer=request.remote, path=request.path, why=str(refused))
        return problem(HTTPStatus.FORBIDDEN, str(refused))
    if visitor is None:
        return _refused(request, given=False)
    request[VISITOR] = visitor
    if not visitor.scope.includes(wanted):
        return _forbidden(request, visitor, wanted)
    return await handler(request)


def _astray(request: web.Request) -> web.Response | None:
    """The refusal of a request that some web page made a browser send; None: it may go on.

    Without tokens a name of the page's own that leads here (DNS rebinding) would open everything.
    """
    if request.app[TOKENS] is None and not _is_ours(request.host, request.app.get(LISTEN, "")):
        detail = (
            "without tokens only requests to 127.0.0.1, [::1] or localhost are answered; to be asked"
            " by another name, set http.tokens_file"
        )
        status, kind = HTTPStatus.MISDIRECTED_REQUEST, "misdirected"
    elif request.method not in SAFE and _is_cross_site(request):
        detail = "a page of another site sent this; nothing was changed"
        status, kind = HTTPStatus.FORBIDDEN, "cross-site"
    else:
        return None
    log.warning(
        "request_astray", peer=request.remote, path=request.path, host=request.host, kind=kind
    )
    return problem(status, detail, kind=kind)


def _is_ours(host: str, listen: str) -> bool:
    """Whether a Host header names this machine's loopback, or what we listen on."""
    name = urlsplit(f"//{host}").hostname or "" if _HOST.fullmatch(host) else ""
    try:
        return ip_address(name).is_loopback or name == listen
    except ValueError:
        return name == "localhost" or (name != "" and name == listen.lower())


def _is_cross_site(request: web.Request) -> bool:
    """What a browser says of the page that sent a request; a program says nothing."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    origin = request.headers.get(hdrs.ORIGIN)
    return origin is not None and origin.partition("://")[2].lower() != request.host.lower()


async def _visitor(request: web.Request) -> Visitor | None:
    if request.app[TOKENS] is None:
        return Visitor("", Scope.READ, By.LOOPBACK)
    for way in request.app[WAYS]:
        visitor = await way(request)
        if visitor is not None:
            return visitor
    return None


def _refused(request: web.Request, *, given: bool) -> web.Response:
    """Nobody we know; `given`: credentials were shown. A browser without any is sent to log in."""
    tokens = request.app[TOKENS]
    guessed = given or request.method not in SAFE or not asks_for_page(request)
    wait = tokens.failed(request.remote or "") if tokens is not None and guessed else None
    if wait is not None:
        detail = "too many requests without a valid token; try again later"
        return problem(
            HTTPStatus.TOO_MANY_REQUESTS, detail, headers={hdrs.RETRY_AFTER: str(int(wait) + 1)}
        )
    if guessed:
        log.warning("token_refused", peer=request.remote, path=request.path, given=given)
    challenge = _challenge(request)
    if not given:
        detail = "this needs a token; send it as Authorization: Bearer TOKEN"
        return problem(HTTPStatus.UNAUTHORIZED, detail, headers={hdrs.WWW_AUTHENTICATE: challenge})
    detail = "the token is not known here; make one, or correct http.tokens_file"
    challenge = challenge.replace('realm="monitor"', 'realm="monitor", error="invalid_token"', 1)
    return problem(HTTPStatus.UNAUTHORIZED, detail, headers={hdrs.WWW_AUTHENTICATE: challenge})


def _challenge(request: web.Request) -> str:
    """How to show who one is. Who wants a page is not asked by Basic: browsers would ask for it."""
    challenge = 'Bearer realm="monitor"'
    if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        challenge += ', Basic realm="monitor", charset="UTF-8"'
    return challenge


def _forbidden(request: web.Request, visitor: Visitor, wanted: Scope) -> web.Response:
    """Somebody we know, who may not do this."""
    log.warning(
        "visitor_forbidden",
        visitor=visitor.name,
        scope=visitor.scope.value,
        needed=wanted.value,
        method=request.method,
        path=request.path,
    )
    if visitor.by is By.LOOPBACK:
        detail = (
            "writing is off while there are no tokens: make one with `monitor token create` and set"
            " http.tokens_file"
        )
    else:
        detail = (
            f"the token of {visitor.name} has the scope {visitor.scope.value}, and this needs"
            f" {wanted.value}; use another, or make one with `monitor token create`"
        )
    return problem(HTTPStatus.FORBIDDEN, detail)
