"""The routes of the table, served: who asks what is checked, done, and answered as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

from monitor.errors import MonitorError
from monitor.snapshot import Document
from monitor.web.api import answers, bodies, once, paging
from monitor.web.api.downloads import DOWNLOADS, handled
from monitor.web.api.errands import ERRANDS, Errands, Where
from monitor.web.api.faults import Refused, of_error, wrong
from monitor.web.api.fields import faults
from monitor.web.api.openapi import describe
from monitor.web.api.table import PREFIX, ROUTES, Route
from monitor.web.guard import VISITOR, needs
from monitor.web.keys import ASK, ROOM
from monitor.web.problem import KINDS, Handler
from monitor.web.tokens import Scope

log = structlog.get_logger(__name__)


def add_api(app: web.Application, where: Callable[[], Where]) -> None:
    """Serve the API, its description, and the pages of its problems.

    `where` says what commands that run beside the daemon read, and where they write.
    """
    app[ERRANDS] = Errands(where)
    app.on_startup.append(_clean)
    app[once.UNDER_WAY] = set()
    for route in ROUTES:
        add = app.router.add_get if route.method == hdrs.METH_GET else app.router.add_post
        add(PREFIX + route.path, _refusing(route.scope, route.path, partial(_handled, route=route)))
    for download in DOWNLOADS:
        run = partial(handled, download=download)
        handler = _refusing(download.scope, download.path, run)
        app.router.add_route(download.method, PREFIX + download.path, handler)
    app.router.add_get(f"{PREFIX}/openapi.json", describe)
    app.router.add_get("/problems/{kind}", show_problem)


def _refusing(scope: Scope, path: str, run: Handler) -> Handler:
    """A handler that answers a refusal, and logs it."""

    @needs(scope)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await run(request)
        except Refused as refused:
            log.info(
                "request_refused",
                method=request.method,
                path=path,
                author=request[VISITOR].author,
                status=refused.status.value,
                why=refused.detail,
            )
            return refused.answer()

    return handle


async def _handled(request: web.Request, route: Route) -> web.Response:
    in_body = route.method != hdrs.METH_GET
    known = route.arguments
    more = paging.PARAMETERS if route.paging is not None else {}
    given = await bodies.body(request) if in_body else bodies.query(request, known, more)
    if in_body and request.query:
        raise _no_query(request)
    pages = {name: given.pop(name) for name in list(given) if name in more}
    found = faults(route.operation, known, given)
    if found:
        raise wrong(found, in_body=in_body)
    if route.paging is not None:
        return await _page(request, route, given, pages)
    async with _room(request, route):
        document = await ask(request, route, given)
    status = HTTPStatus.CREATED if route.created else HTTPStatus.OK
    headers: dict[str, str] = {}
    if route.created:
        headers[hdrs.LOCATION] = f"{PREFIX}{route.path}/{document['id']}"
    body = await answers.dumps(document)
    tag = None if in_body else answers.tag(document, body)
    return await answers.answer(request, body, present=tag, status=status, headers=headers)


@asynccontextmanager
async def _room(request: web.Request, route: Route) -> AsyncIterator[None]:
    """Wait for nobody: so many probes on demand at once, and no more. Raises Refused."""
    if route.operation != "endpoint.probe":
        yield
        return
    room = request.app[ROOM]
    if room.locked():
        raise Refused(
            "busy",
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too many probes on demand are under way; try again in a few seconds",
            headers={hdrs.RETRY_AFTER: "5"},
        )
    async with room:
        yield


def _no_query(request: web.Request) -> Refused:
    name = next(iter(request.query))
    what = "is a parameter where none is taken; put it into the body"
    errors = [{"parameter": name, "detail": what}]
    return Refused("invalid-request", HTTPStatus.BAD_REQUEST, f"{name}: {what}", errors=errors)


async def ask(request: web.Request, route: Route, given: Mapping[str, Any]) -> Document:
    """Do the operation of a route. Raises Refused."""
    in_path = {route.rename.get(name, name): request.match_info[name] for name in route.names}
    visitor = request[VISITOR].author
    named = {} if route.by_visitor is None else {route.by_visitor: visitor}
    arguments = {**given, **route.fixed, **in_path, **named}
    receipt = once.receipt_of(request, visitor, given) if route.writes else None
    try:
        with once.under_way(request, receipt):
            return await request.app[ASK](
                route.operation, arguments, visitor, receipt=receipt, before=_before(request, route)
            )
    except MonitorError as error:
        raise of_error(error, given, in_body=route.method != hdrs.METH_GET) from error


def _before(request: web.Request, route: Route) -> Callable[[], Awaitable[None]] | None:
    """What must hold before a write: that the declaration is the one that was read (If-Match)."""
    header, name = request.headers.get(hdrs.IF_MATCH), route.if_match
    if header is None or name is None:
        return None

    async def unchanged() -> None:
        document = await request.app[ASK](name, {"id": request.match_info["id"]}, "")
        present = answers.tag(document, await answers.dumps(document))
        if not answers.matches(header, present, strongly=True):
            raise Refused(
                "precondition-failed",
                HTTPStatus.PRECONDITION_FAILED,
                "If-Match: it was changed since it was read; read it again, then decide",
                headers={hdrs.ETAG: present},
            )

    return unchanged


async def _page(
    request: web.Request, route: Route, given: dict[str, Any], pages: Mapping[str, Any]
) -> web.Response:
    """One page of a list."""
    assert route.paging is not None
    limit, after = paging.limit_of(pages), None
    if "cursor" in pages:
        after = paging.read_cursor(request.path, given, pages["cursor"])
    asked = dict(given)
    if route.paging.pushed is not None:
        asked["limit"] = (
            limit + 2
        )  # the row of the cursor itself, and one to see whether more follow
        if after is not None:
            asked[route.paging.pushed] = paging.resumed(route.paging, after)
    document = await ask(request, route, asked)
    last = await paging.cut(document, route.paging, after, limit)
    following = None if last is None else paging.cursor(request.path, given, last)
    document["next"] = following
    if "truncated" in document:
        document["truncated"] = following is not None
    headers: dict[str, str] = {}
    if following is not None:
        url = request.rel_url.update_query(cursor=following)
        headers[hdrs.LINK] = f'<{url}>; rel="next"'
    body = await answers.dumps(document, route.paging.rows)
    tag = answers.tag(document, body)
    return await answers.answer(request, body, present=tag, headers=headers)


async def _clean(app: web.Application) -> None:
    await app[ERRANDS].clean()


@needs(None)
async def show_problem(request: web.Request) -> web.Response:
    """`/problems/KIND`: what a type of problem means, and what to do about it."""
    found = KINDS.get(request.match_info["kind"])
    if found is None:
        raise web.HTTPNotFound
    return web.Response(text=f"{found[0]}\n\n{found[1]}\n")
