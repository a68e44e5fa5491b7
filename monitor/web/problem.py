"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

PROBLEM = "application/problem+json"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KINDS: Mapping[str, tuple[str, str]] = {
    "invalid-request": (
        "The query is wrong",
        "A parameter of the query is unknown, missing, given twice or not written as it must be."
        " `errors` names each; the OpenAPI document says what is allowed.",
    ),
    "invalid-cursor": (
        "The cursor is not one of ours",
        "`cursor` must be the `next` of an earlier answer of the same list, unchanged. Start again"
        " without one.",
    ),
    "malformed-body": (
        "The body is not the JSON that is wanted",
        "A body is one JSON object in UTF-8; no name stands twice in it, NaN and Infinity are no"
        " numbers, and it is nested at most 32 deep.",
    ),
    "unsupported-media-type": (
        "The body is not JSON",
        "Send bodies as `Content-Type: application/json`.",
    ),
    "invalid-argument": (
        "What was asked cannot be done so",
        "A member of the request is unknown, missing or of a value that will not do. Nothing was"
        " changed. `errors` points to each.",
    ),
    "bad-instant": (
        "A time cannot be taken",
        "It cannot be read, does not exist or occurs twice as the clocks change, or lies where it"
        " makes no sense; `detail` says which, with both readings. Nothing was changed.",
    ),
    "unknown-name": (
        "Nobody knows this name",
        "There is no such endpoint, holdername, incident, declaration, assertion or receiver; `detail`"
        " says which names come near.",
    ),
    "illegal-step": (
        "The present state does not allow this step",
        "Such as closing an incident that is not restored. Nothing was changed; `detail` says what is"
        " missing.",
    ),
    "not-possible": ("This cannot be done now", "`detail` says why. Nothing was changed."),
    "faults": (
        "What was given has faults",
        "`faults` lists each with its line and its cure. Nothing was changed.",
    ),
    "store-unwritable": (
        "The store cannot be written at the moment",
        "The disk is full, read-only or failing. Nothing was kept: send the same again later.",
    ),
    "store-unusable": ("The store could not be used", "`detail` says why; look at the log too."),
    "precondition-failed": (
        "It was changed meanwhile",
        "`If-Match` names another version than the present one: read it again, then decide.",
    ),
    "idempotency-key-invalid": (
        "The Idempotency-Key cannot be used",
        "Send 1 to 255 visible ASCII characters, best a new random UUID in quotes for each request.",
    ),
    "idempotency-key-reused": (
        "The Idempotency-Key was used for another request",
        "A key stands for one request for ever. Send another request with another key.",
    ),
    "idempotency-in-flight": (
        "The same request is being worked on",
        "A request with this Idempotency-Key has not been answered yet: wait, then send it again.",
    ),
    "busy": (
        "Something of the kind is being made already",
        "Reports and checks of the whole store are made one at a time, beside the probes. Try again"
        " after the seconds of `Retry-After`.",
    ),
    "not-installed": (
        "An optional part is not installed here",
        "PDF and XLSX need the extra `reports`: pip install 'pensions-monitor[reports]'.",
    ),
    "failed": ("It could not be made", "`detail` and the log say why."),
    "misdirected": (
        "This is not the host that was asked",
        "Without tokens only requests to this machine by a loopback name or address are answered, so"
        " that no web page can reach the listener under a name of its own.",
    ),
    "cross-site": (
        "Another site's page sent this",
        "What changes something is taken from programs and from pages of this listener alone.",
    ),
}
"""Kind of problem to its title and what to do about it; `/problems/KIND` shows them."""

log = structlog.get_logger(__name__)


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> web.Response:
    """A problem document; `more` are its extension members.

    `kind` is one of `KINDS`; None: the status says all there is to say.
    """
    body = {
        "type": "about:blank" if kind is None else f"/problems/{kind}",
        "title": status.phrase if kind is None else KINDS[kind][0],
        "status": status.value,
        "detail": detail,
        **more,
    }
    return web.json_response(body, status=status, headers=headers, content_type=PROBLEM)


def asks_for_page(request: web.Request) -> bool:
    """Whether a browser asks, which shows its user what comes back; the API answers programs."""
    html = "text/html" in request.headers.get(hdrs.ACCEPT, "")
    return html and not request.path.startswith("/api/")


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
