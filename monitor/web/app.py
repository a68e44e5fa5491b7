"""The HTTP face: status page, metrics, health, one probe on demand.

Errors are problem documents (RFC 9457). Nothing here changes what is known.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from http import HTTPStatus
from typing import Any, Protocol

import structlog
from aiohttp import hdrs, web

from monitor import __version__
from monitor.core.month import show_instant
from monitor.core.verdict import Evidence, judge
from monitor.errors import UnknownName, UsageError
from monitor.web.blackbox import exposition
from monitor.web.exposition import unhurried
from monitor.web.figures import shown_state
from monitor.web.metrics import Metrics, Watching
from monitor.web.tokens import Scope, Tokens

PROBES = 8
"""Probes on demand that may be under way at once; each is a full handshake with an endpoint."""
OPEN_TO_ALL = frozenset({"/healthz"})
"""What answers without a token."""
LARGEST_REQUEST = 1 << 20
SHUTDOWN = 2.0
"""Seconds that requests under way get when the server stops."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "monitor",
}
"""Sent with every answer."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


class Desk(Watching, Protocol):
    """The part of `desk.Desk` that these pages need."""

    @property
    def started_at(self) -> datetime: ...
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
TOKENS = web.AppKey[Tokens | None]("tokens")
ROOM = web.AppKey("room", asyncio.Semaphore)


def build_app(
    desk: Desk, metrics: Metrics, health: Health, tokens: Tokens | None
) -> web.Application:
    """The application. Without `tokens` everything may be read: the listener must be loopback."""
    app = web.Application(middlewares=[problems, guard], client_max_size=LARGEST_REQUEST)
    app[DESK], app[METRICS], app[HEALTH], app[TOKENS] = desk, metrics, health, tokens
    app[ROOM] = asyncio.Semaphore(PROBES)
    app.router.add_get("/", index)
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/probe", probe, allow_head=False)  # each is a probe
    app.on_response_prepare.append(_add_headers)
    app.on_cleanup.append(_close)
    return app


class WebServer:
    """Serves an application on one address."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        """`port` 0 takes any free one; `port` says which, once started."""
        self.host = host
        self.port = port
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN
        )

    async def start(self) -> None:
        """Listen. Raises UsageError if the address cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(
                f"cannot listen on {self.host} port {self.port}: {error.strerror or error};"
                " end the program that holds it, or set http.listen to another address"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Take no more requests, give those under way a moment, then close."""
        await self._runner.cleanup()


# -- around every request --------------------------------------------------------------------------


def problem(
    status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> web.Response:
    """A problem document (RFC 9457)."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        **more,
    }
    return web.json_response(
        body, status=status, headers=headers, content_type="application/problem+json"
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error becomes a problem document; unexpected ones show an id, and the log the rest."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        allowed = error.headers.get(hdrs.ALLOW)
        kept: dict[str, str] = {} if allowed is None else {hdrs.ALLOW: allowed}
        return problem(HTTPStatus(error.status), _said(error, request), headers=kept)
    except ConnectionError:
        raise  # the client went away: nobody is left to be told
    except Exception:
        name = uuid.uuid4()
        log.exception("request_failed", id=str(name), method=request.method, path=request.path)
        detail = "something went wrong here; the log says what, under this instance"
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail, instance=name.urn)


def _said(error: web.HTTPException, request: web.Request) -> str:
    if error.status == HTTPStatus.NOT_FOUND:
        return "there is no such page; / lists those there are"
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.method} is not allowed here"
    return error.reason


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Where there are tokens, all but a sign of life needs one."""
    tokens = request.app[TOKENS]
    if tokens is None or request.path in OPEN_TO_ALL:
        return await handler(request)
    scheme, _, secret = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    bearer = scheme.lower() == "bearer" and bool(secret.strip())
    holder = await tokens.holder(secret.strip()) if bearer else None
    if holder is not None and holder.scope.includes(Scope.READ):
        return await handler(request)
    return _refused(request, tokens, bearer=bearer)


def _refused(request: web.Request, tokens: Tokens, *, bearer: bool) -> web.Response:
    wait = tokens.failed(request.remote or "")
    if wait is not None:
        detail = "too many requests without a valid token; try again later"
        return problem(
            HTTPStatus.TOO_MANY_REQUESTS, detail, headers={hdrs.RETRY_AFTER: str(int(wait) + 1)}
        )
    log.warning("token_refused", peer=request.remote, path=request.path, given=bearer)
    challenge = 'Bearer realm="monitor"'
    if not bearer:
        detail = "this needs a token; send it as Authorization: Bearer TOKEN"
        return problem(HTTPStatus.UNAUTHORIZED, detail, headers={hdrs.WWW_AUTHENTICATE: challenge})
    detail = "the token is not known here; make one, or correct http.tokens_file"
    challenge += ', error="invalid_token"'
    return problem(HTTPStatus.UNAUTHORIZED, detail, headers={hdrs.WWW_AUTHENTICATE: challenge})


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


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


async def index(request: web.Request) -> web.Response:
    """`/`: what runs here, and how each endpoint stands."""
    desk = request.app[DESK]
    book, now = desk.cycle.book, desk.clock.now()
    rows = []
    async for endpoint in unhurried(tuple(book.register.endpoints.values())):
        state = shown_state(book, endpoint.id, now)
        cells = (endpoint.id, endpoint.service.value, endpoint.environment.value, state)
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>\n")
    page = _PAGE.format(
        version=escape(__version__),
        now=show_instant(now.replace(microsecond=0)),
        started=show_instant(desk.started_at.replace(microsecond=0)),
        rows="".join(rows),
    )
    return web.Response(text=page, content_type="text/html")


_PAGE = """<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>monitor</title>
</head>
<body>
<h1>monitor {version}</h1>
<p>Watching since {started}; as of {now}.</p>
<ul>
<li><a href="/metrics">Metrics</a></li>
<li><a href="/readyz">Ready: probing and storing</a></li>
<li><a href="/healthz">Alive</a></li>
</ul>
<table>
<caption>Endpoints</caption>
<thead>
<tr><th scope="col">Endpoint</th><th scope="col">Service</th>\
<th scope="col">Environment</th><th scope="col">State</th></tr>
</thead>
<tbody>
{rows}</tbody>
</table>
</body>
</html>
"""
