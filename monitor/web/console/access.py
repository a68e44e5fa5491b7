"""Logging in and out."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web

from monitor.errors import UsageError
from monitor.web.guard import TOKENS, needs
from monitor.web.pages import page
from monitor.web.problem import problem
from monitor.web.sessions import (
    SESSION,
    SESSIONS,
    delete_cookie,
    read_person,
    session_id,
    set_cookie,
)
from monitor.web.tokens import Scope, Token, Tokens

log = structlog.get_logger(__name__)


@needs(None)
async def show_login(request: web.Request) -> web.Response:
    """`/login`: the form, or on to `next` for somebody who is logged in already."""
    onward = local_path(request.query.get("next"))
    if await request.app[SESSIONS].known(session_id(request)) is not None:
        return _see(onward)
    return _form(request, onward)


@needs(None)
async def log_in(request: web.Request) -> web.Response:
    """`/login`, with a token: a new session. Wrong tokens count towards the limit of all failures."""
    tokens = request.app[TOKENS]
    if tokens is None:
        return problem(HTTPStatus.FORBIDDEN, "there are no tokens here to log in with")
    form = await request.post()
    secret, person, onward = (str(form.get(name, "")) for name in ("token", "person", "next"))
    onward = local_path(onward)
    try:
        person = read_person(person)
    except UsageError as wrong:
        return _form(request, onward, wrong=("person", str(wrong)), person=person)
    token = await tokens.holder(secret.strip())
    if token is None:
        return _refused(request, tokens, onward, person)
    return _opened(request, token, person, onward)


def _opened(request: web.Request, token: Token, person: str, onward: str) -> web.Response:
    """A new id at each login: one that somebody planted before is worth nothing."""
    sessions = request.app[SESSIONS]
    sessions.close(session_id(request))
    made, _ = sessions.open(token, person)
    log.info("session_opened", token=token.name, person=person, peer=request.remote)
    response = _see(onward)
    set_cookie(request, response, made)
    return response


def _refused(request: web.Request, tokens: Tokens, onward: str, person: str) -> web.Response:
    wait = tokens.failed(request.remote or "")
    if wait is not None:
        detail = "too many requests without a valid token; try again later"
        return problem(
            HTTPStatus.TOO_MANY_REQUESTS, detail, headers={hdrs.RETRY_AFTER: str(int(wait) + 1)}
        )
    log.warning("token_refused", peer=request.remote, path=request.path, given=True)
    wrong = ("token", "this token is not known here; make one with monitor token create")
    return _form(request, onward, wrong=wrong, person=person)


@needs(Scope.READ)
async def log_out(request: web.Request) -> web.Response:
    """`/logout`: the session is over."""
    session = request.get(SESSION)
    if session is not None:
        request.app[SESSIONS].close(session_id(request))
        log.info("session_closed", token=session.token.name, person=session.person)
    response = _see("/login")
    delete_cookie(request, response)
    return response


def _form(
    request: web.Request,
    onward: str,
    *,
    wrong: tuple[str, str] | None = None,
    person: str = "",
) -> web.Response:
    """The form; `wrong` is the field that was wrong, and why."""
    status = HTTPStatus.OK if wrong is None else HTTPStatus.UNPROCESSABLE_ENTITY
    if wrong is not None and wrong[0] == "token":
        status = HTTPStatus.UNAUTHORIZED
    context = {"next": onward, "wrong": dict([wrong] if wrong else []), "person": person}
    shown = page(request, "login.html.j2", context, status=status)
    if status is HTTPStatus.UNAUTHORIZED:
        shown.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="monitor"'
    return shown


def _see(address: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: address})


def local_path(text: str | None) -> str:
    """A path on this server, as it was given; / for anything else.

    >>> [local_path(one) for one in ("/incidents?x=1", "//evil.example", "/\\\\evil.example", None)]
    ['/incidents?x=1', '/', '/', '/']
    """
    if not text or not text.isprintable() or "\\" in text:
        return "/"
    parts = urlsplit(text)
    plain = text.startswith("/") and not text.startswith("//")
    if parts.scheme or parts.netloc or not plain or parts.path in ("/login", "/logout"):
        return "/"
    return text
