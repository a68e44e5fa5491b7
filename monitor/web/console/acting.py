"""Writing from a page: who may, what a form says, and why it was refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

from monitor.errors import StoreError, UnknownName, UsageError
from monitor.snapshot import Document
from monitor.web.guard import VISITOR, By
from monitor.web.keys import ASK
from monitor.web.pages import when_words

Faults = dict[str, str]
"""Field of a form to what is wrong with it; the field "" is the form as a whole."""

_NAMED = re.compile(r"(?:[a-z]+\.[a-z_]+: )?([a-z_]+): ")
_COMMAND = re.compile(r"[,;]? (?:\(monitor [^()]*(?:\([^()]*\))?\)|[a-z ]+: monitor .*)")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_OPTION = re.compile(r" (?:without --override-freeze REASON|\(--override-freeze REASON\))")

log = structlog.get_logger(__name__)


def writer(request: web.Request) -> str:
    """The author of what this request writes. Raises HTTPForbidden for one without a session.

    Forms are for people who are logged in, whose intent is checked; programs have the API.
    """
    visitor = request[VISITOR]
    if visitor.by is not By.SESSION:
        raise web.HTTPForbidden(reason="log in to write on the pages; programs use the API")
    return visitor.author


async def done(
    request: web.Request, operation: str, arguments: Mapping[str, Any], fields: Collection[str]
) -> tuple[Document, Faults]:
    """Do a write as who is logged in: its document, or what is wrong with the form of these fields.

    Raises HTTPNotFound for the name of something that is not there, HTTPServiceUnavailable if nothing
    can be kept at the moment.
    """
    author = writer(request)
    try:
        return await request.app[ASK](operation, arguments, author), {}
    except UsageError as wrong:
        why = str(wrong)
        log.info("request_refused", operation=operation, author=author, why=why)
        named = _NAMED.match(why)
        if named is not None and named[1] in fields:
            return {}, {named[1]: _of_field(plainly(why[named.end() :]))}
        if isinstance(wrong, UnknownName):
            raise web.HTTPNotFound from None
        return {}, {"": plainly(why)}
    except StoreError as trouble:
        log.warning("request_refused", operation=operation, author=author, why=str(trouble))
        reason = " ".join(str(trouble).split())
        raise web.HTTPServiceUnavailable(reason=f"{reason}; nothing was kept") from trouble


def _of_field(what: str) -> str:
    """A fault as it stands beside its field, which it need not name."""
    return f"this {what}" if what.startswith(("is ", "must ")) else what


def plainly(text: str) -> str:
    """A message without advice about the command line, and its instants as UK clocks show them.

    >>> plainly("cause (monitor incident update --cause)")
    'cause'
    >>> plainly("attach guids.xlsx, then: monitor incident report I-1 --ticket REF")
    'attach guids.xlsx'
    >>> plainly("before 2026-06-01T16:00:00Z")
    'before 1 Jun 2026, 17:00:00 BST'
    """
    text = _OPTION.sub("", _COMMAND.sub("", text))
    return _INSTANT.sub(lambda found: when_words(found[0]), text)


async def form_of(request: web.Request, fields: Collection[str]) -> dict[str, str]:
    """What a form says in these fields; a field that is missing is empty. Raises HTTPBadRequest."""
    try:
        given = await request.post()
    except ValueError as error:
        raise web.HTTPBadRequest(reason="the form cannot be read") from error
    found = {}
    for name in fields:
        value = given.get(name, "")
        found[name] = value.replace("\r\n", "\n") if isinstance(value, str) else ""
    return found


def filled(form: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of an operation that a form gives: empty fields are not given."""
    return {name: value for name, value in form.items() if value.strip()}


def see(address: str) -> web.Response:
    """What follows a form that was taken: a page that may be reloaded."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: address})
