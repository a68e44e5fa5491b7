"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


def problem(
    status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> web.Response:
    """A problem document; `more` are its extension members."""
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
