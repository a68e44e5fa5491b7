"""What a request says: the members of its query or of its JSON body, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NoReturn

from aiohttp import hdrs, web

from monitor.operations import Argument, Sort
from monitor.web.api.faults import Refused

DEEPEST = 32
"""How deep a body may be nested; no document of ours comes near."""


def query(
    request: web.Request, arguments: Mapping[str, Argument], more: Mapping[str, Argument]
) -> dict[str, Any]:
    """The members of a query as JSON values. Raises Refused for one that cannot be read."""
    known = {**arguments, **more}
    found: dict[str, Any] = {}
    for name in request.query:
        given = request.query.getall(name)
        sort = known[name].sort if name in known else Sort.TEXT
        if any("\ufffd" in text or not _is_text(text) for text in given):
            raise _parameter(name, "is not UTF-8 text")
        if sort is Sort.NAMES:
            found[name] = given
        elif len(given) > 1:
            raise _parameter(name, "is given more than once; give it once")
        else:
            found[name] = _value(name, sort, given[0])
    return found


def _value(name: str, sort: Sort, text: str) -> Any:
    if sort is Sort.FLAG:
        if text not in ("true", "false"):
            raise _parameter(name, "must be true or false")
        return text == "true"
    if sort is Sort.COUNT:
        if not (text.isascii() and text.isdigit() and len(text) < 17):
            raise _parameter(name, "must be a whole number, 0 or more")
        return int(text)
    return text


def _parameter(name: str, what: str) -> Refused:
    errors = [{"parameter": name, "detail": what}]
    return Refused("invalid-request", HTTPStatus.BAD_REQUEST, f"{name}: {what}", errors=errors)


async def body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a body; none is an empty one.

    Raises Refused, or HTTPRequestEntityTooLarge.
    """
    raw = await request.read()
    if not raw and hdrs.CONTENT_TYPE not in request.headers:
        return {}
    if request.content_type != "application/json" or _charset(request) != "utf-8":
        raise Refused(
            "unsupported-media-type",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "send the body as Content-Type: application/json, in UTF-8",
            headers={"Accept-Post": "application/json"},
        )
    if not raw:
        return {}
    return _object(raw)


def _charset(request: web.Request) -> str:
    return (request.charset or "utf-8").lower().replace("utf8", "utf-8")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
        found = json.loads(text, object_pairs_hook=_pairs, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise _malformed("the body is not UTF-8") from None
    except RecursionError:
        raise _malformed("the body is nested too deeply") from None
    except ValueError as error:
        raise _malformed(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise _malformed("the body is not a JSON object")
    _check_texts(found, DEEPEST)
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'"{twice[:64]}" stands twice in an object')
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _check_texts(value: Any, deep: int) -> None:
    """Raise Refused for half characters, which no file could hold, and for deep nesting."""
    if isinstance(value, str):
        if not _is_text(value):
            raise _malformed("the body holds half of a UTF-16 pair, which is no text")
    elif isinstance(value, list | dict):
        if deep == 0:
            raise _malformed("the body is nested too deeply")
        members = value if isinstance(value, list) else [*value, *value.values()]
        for one in members:
            _check_texts(one, deep - 1)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _malformed(detail: str) -> Refused:
    return Refused("malformed-body", HTTPStatus.BAD_REQUEST, detail)
