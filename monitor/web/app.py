"""The HTTP face: status page, metrics, health, one probe on demand.

Errors are problem documents (RFC 9457). Nothing here changes what is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from aiohttp import hdrs, web

from monitor import snapshot
from monitor.core.book import Book
from monitor.core.verdict import Evidence, judge
from monitor.errors import UnknownName
from monitor.web.api.errands import Where
from monitor.web.api.serve import add_api
from monitor.web.blackbox import exposition
from monitor.web.calendar import add_calendar
from monitor.web.console.routes import add_pages
from monitor.web.discovery import Feed, add_discovery
from monitor.web.exposition import unhurried
from monitor.web.guard import TOKENS, WAYS, Way, by_basic, by_bearer, by_certificate, guard, needs
from monitor.web.keys import ASK, FRAME, ROOM, Ask
from monitor.web.metrics import Metrics, Watching
from monitor.web.pages import readable
from monitor.web.problem import problem, problems
from monitor.web.server import HEADERS as HEADERS
from monitor.web.server import WebServer as WebServer
from monitor.web.sessions import SESSIONS, Sessions, by_session
from monitor.web.tokens import Tokens

PROBES = 8
"""Probes on demand that may be under way at once; each is a full handshake with an endpoint."""
LARGEST_REQUEST = 1 << 20


class _HasName(Protocol):
    @property
    def name(self) -> str: ...


class _HasPath(Protocol):
    @property
    def path(self) -> Path: ...


class _HttpSettings(Protocol):
    @property
    def discovery(self) -> bool: ...

    @property
    def public_url(self) -> str | None: ...


class _Settings(Protocol):
    """The part of the configuration that these pages need."""

    @property
    def organisation(self) -> _HasName: ...

    @property
    def path(self) -> Path: ...

    @property
    def http(self) -> _HttpSettings: ...

    @property
    def store(self) -> _HasPath: ...


class Desk(Watching, Protocol):
    """The part of `desk.Desk` that these pages need."""

    @property
    def settings(self) -> Callable[[], _Settings]: ...
    @property
    def probe(self) -> Callable[[str], Awaitable[Evidence]] | None: ...


def _no_reasons() -> Sequence[str]:
    return ()


@dataclass(slots=True)
class Health:
    """Whether the daemon probes and stores: `ready`, and no reason against it at the moment."""

    reasons: Callable[[], Sequence[str]] = _no_reasons
    ready: bool = True

    def against(self) -> list[str]:
        """Why it is not ready; empty when it is."""
        reasons = [] if self.ready else ["not started yet"]
        return [*reasons, *self.reasons()]


DESK = web.AppKey[Desk]("desk")
METRICS = web.AppKey("metrics", Metrics)
HEALTH = web.AppKey("health", Health)


def build_app(
    desk: Desk, metrics: Metrics, health: Health, tokens: Tokens | None, ask: Ask
) -> web.Application:
    """The application. Without `tokens` everything may be read: the listener must be loopback."""
    app = web.Application(middlewares=[readable, problems, guard], client_max_size=LARGEST_REQUEST)
    app[DESK], app[METRICS], app[HEALTH] = desk, metrics, health
    app[TOKENS], app[ASK] = tokens, ask
    ways: list[Way] = [by_basic, by_bearer, by_certificate, by_session]
    app[WAYS] = ways
    app[SESSIONS] = Sessions(tokens)
    app[FRAME] = lambda: _frame(desk, health)
    app[ROOM] = asyncio.Semaphore(PROBES)
    add_pages(app)
    add_api(app, lambda: _where(desk))
    add_discovery(app, lambda: _seen(desk))
    add_calendar(app, lambda: (*_known(desk), desk.settings().organisation.name))
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/probe", probe, allow_head=False)  # each is a probe
    app.on_response_prepare.append(_add_headers)
    app.on_cleanup.append(_close)
    return app


def _where(desk: Desk) -> Where:
    settings = desk.settings()
    return Where(settings.path, settings.store.path.parent)


def _known(desk: Desk) -> tuple[Book, datetime]:
    return desk.cycle.book, desk.clock.now()


def _seen(desk: Desk) -> Feed:
    http = desk.settings().http
    return Feed(*_known(desk), http.discovery, http.public_url)


def _frame(desk: Desk, health: Health) -> snapshot.Document:
    return {
        "organisation": desk.settings().organisation.name,
        "not_ready": health.against(),
        **snapshot.summary_document(desk.cycle.book, desk.clock.now()),
    }


# -- around every request --------------------------------------------------------------------------


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    kept = response.headers.get(hdrs.CACHE_CONTROL)
    response.headers.update(HEADERS)
    if kept is not None:
        response.headers[hdrs.CACHE_CONTROL] = kept


async def _close(app: web.Application) -> None:
    await app[METRICS].close()


# -- pages -----------------------------------------------------------------------------------------


async def show_metrics(request: web.Request) -> web.StreamResponse:
    """`/metrics`: everything, in the format and coding asked for."""
    rendered = await request.app[METRICS].render(
        request.headers.get(hdrs.ACCEPT, ""), request.headers.get(hdrs.ACCEPT_ENCODING, "")
    )
    response = web.StreamResponse(headers=rendered.headers)
    response.content_length = sum(len(piece) for piece in rendered.pieces)
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        async for piece in unhurried(rendered.pieces):
            await response.write(piece)
    await response.write_eof()
    return response


@needs(None)
async def healthz(request: web.Request) -> web.Response:
    """`/healthz`: that this answers at all is the answer."""
    return web.Response(text="alive\n")


async def readyz(request: web.Request) -> web.Response:
    """`/readyz`: 200 while probing and storing, else 503 with the reasons."""
    reasons = request.app[HEALTH].against()
    if reasons:
        detail = "; ".join(reasons)
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, ready=False, reasons=reasons)
    return web.json_response({"ready": True, "reasons": []})


async def probe(request: web.Request) -> web.StreamResponse:
    """`/probe?endpoint=ID`: one probe now, of which nothing is recorded."""
    name = request.query.get("endpoint")
    if name is None:
        return problem(HTTPStatus.BAD_REQUEST, _what_to_probe(request))
    desk, room = request.app[DESK], request.app[ROOM]
    endpoint = desk.cycle.book.register.endpoints.get(name)
    if endpoint is None:
        detail = f'there is no endpoint "{name[:200]}" in the configuration'
        return problem(HTTPStatus.NOT_FOUND, detail)
    if desk.probe is None:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "no daemon runs here that could probe")
    if room.locked():
        detail = f"{PROBES} probes on demand are under way; try again in a few seconds"
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={hdrs.RETRY_AFTER: "5"})
    async with room:
        try:
            evidence = await desk.probe(name)
        except UnknownName as gone:  # taken out of the configuration just now
            return problem(HTTPStatus.NOT_FOUND, str(gone))
    verdict = judge(evidence, endpoint.expectation)
    body, content_type = exposition(evidence, verdict, request.headers.get(hdrs.ACCEPT, ""))
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


def _what_to_probe(request: web.Request) -> str:
    if "target" in request.query or "module" in request.query:
        return (
            "only configured endpoints are probed, not any target or module;"
            " name one as /probe?endpoint=ID"
        )
    return "name the endpoint to probe, as /probe?endpoint=ID"
