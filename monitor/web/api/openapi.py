"""The OpenAPI 3.1 document of the API, made from the table of routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from aiohttp import web

from monitor import __version__
from monitor.operations import Argument, Sort
from monitor.web.api import answers, paging, schemas
from monitor.web.api.downloads import DOWNLOADS, Download
from monitor.web.api.fields import Meaning, bare, meaning, schema_of
from monitor.web.api.once import PATTERN
from monitor.web.api.table import PREFIX, ROUTES, Route
from monitor.web.guard import needs

DESCRIPTION = """\
Everything that the command line can ask or do. The documents are those that its `--json` prints.

* **Instants** are ISO 8601; in requests one without an offset is UK time, in answers all are UTC with a `Z`.
* **Seconds** are numbers with at most microseconds, ratios exact decimal texts rounded down.
* **Lists** come page by page: follow `next` (or the `Link` header) with `cursor`. A cursor stays good
  while rows are added; no row is told twice or left out.
* **Errors** are problem documents (RFC 9457); the page at their `type` says what to do.
* **Reading** sends an `ETag`; send it back in `If-None-Match` and an unchanged answer is 304.
* **Writing** needs the scope `declare`, some the scope `admin`; who holds the token is the author of
  the fact. Send an `Idempotency-Key` to repeat a write safely, also after the connection broke.
"""
SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"tokenAsPassword": []}]
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "stands for this request for ever: repeated with it, nothing is done twice",
    "schema": {"type": "string", "pattern": PATTERN},
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "the `ETag` of the declaration as it was read: refused if it was changed since",
    "schema": {"type": "string"},
}


@cache
def openapi() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route)
    for download in DOWNLOADS:
        said = _download(download)
        paths.setdefault(PREFIX + download.path, {})[download.method.lower()] = said
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "monitor",
            "version": __version__,
            "summary": "Availability of a UK pensions dashboards connection",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": SECURITY,
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in ROUTES)],
        "paths": paths,
        "components": {
            "schemas": schemas.COMPONENTS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "tokenAsPassword": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "any user name, and the token as password",
                },
            },
            "responses": {
                "Problem": {
                    "description": "refused; nothing was changed",
                    "content": {"application/problem+json": {"schema": schemas.ref("Problem")}},
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": f"Needs the scope `{route.scope}`.",
        "tags": [route.tag],
        "parameters": [*_in_path(route), *_in_query(route), *_in_headers(route)],
        "responses": _responses(route),
    }
    if route.method != "GET":
        found["requestBody"] = _body(route)
    return found


def operation_id(route: Route) -> str:
    """A name for the request, of its own: the command line's words, in one."""
    words = route.operation.replace(".", " ").replace("_", " ").split()
    return words[0] + "".join(word.capitalize() for word in words[1:])


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [_parameter(route, name) for name in route.names]


def _parameter(route: Route, name: str) -> dict[str, Any]:
    said = _PATH.get(name) or meaning(route.operation, name)
    schema = bare(said, Sort.TEXT)
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": said.text,
        "schema": {**schema, "examples": [said.example]},
    }


_PATH = {
    "id": Meaning("its id", "I-1", longest=256),
    "month": Meaning("a calendar month", "2026-02", pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$"),
    "file": Meaning("the name of a file of the report", "report.json", longest=64),
}


def _in_query(route: Route) -> Iterable[dict[str, Any]]:
    if route.method != "GET":
        return
    for name, argument in route.arguments.items():
        yield _query(name, argument, meaning(route.operation, name))
    if route.paging is not None:
        limit = {"type": "integer", "minimum": 1, "maximum": paging.MOST, "default": paging.USUAL}
        cursor = {
            "type": "string",
            "maxLength": paging.LONGEST,
            "pattern": "^[A-Za-z0-9_-]*$",
        }
        yield {"name": "limit", "in": "query", "description": "rows of a page", "schema": limit}
        yield {
            "name": "cursor",
            "in": "query",
            "description": "the `next` of the page before",
            "schema": cursor,
        }


def _query(name: str, argument: Argument, said: Meaning) -> dict[str, Any]:
    schema = bare(said, argument.sort)
    if said.example is not None:
        schema["examples"] = [said.example]
    return {
        "name": name,
        "in": "query",
        "required": argument.required,
        "description": said.text,
        "schema": schema,
    }


def _in_headers(route: Route) -> list[dict[str, Any]]:
    found = []
    if route.writes:
        found.append(_KEY)
    if route.if_match is not None:
        found.append(_IF_MATCH)
    return found


def _body(route: Route) -> dict[str, Any]:
    members = {
        name: schema_of(route.operation, name, argument)
        for name, argument in route.arguments.items()
    }
    needed = [name for name, argument in route.arguments.items() if argument.required]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": members,
        "additionalProperties": False,
    }
    if needed:
        schema["required"] = needed
    return {"required": bool(needed), "content": {"application/json": {"schema": schema}}}


def _responses(route: Route) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if route.method == "GET":
        headers["ETag"] = {"schema": {"type": "string"}}
    if route.paging is not None:
        headers["Link"] = {"schema": {"type": "string"}, "description": 'rel="next"'}
    if route.created:
        headers["Location"] = {"schema": {"type": "string"}}
    good: dict[str, Any] = {
        "description": f"a {route.answer}",
        "content": {"application/json": {"schema": schemas.ref(route.answer)}},
    }
    if headers:
        good["headers"] = headers
    found = {"201" if route.created else "200": good}
    if route.method == "GET":
        found["304"] = {"description": "as it was, by `If-None-Match`"}
    for status in _refusals(route):
        found[str(status)] = {"$ref": "#/components/responses/Problem"}
    return found


_COMMON = (400, 401, 403, 404, 409, 414, 421, 422, 429, 431, 500, 503)


def _refusals(route: Route) -> list[int]:
    """The statuses that a refusal may have."""
    found = set(_COMMON)
    if route.method != "GET":
        found |= {413, 415}
    if route.if_match is not None:
        found.add(412)
    return sorted(found)


def _download(download: Download) -> dict[str, Any]:
    words = re.findall(r"[a-z]+", re.sub(r"{\w+}", "", download.path))
    schema = schemas.ref(download.answer) if download.answer else _FILE
    statuses = [*_COMMON, *([413, 415] if download.method == "POST" else []), 501]
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH[name].text,
            "schema": {**bare(_PATH[name], Sort.TEXT), "examples": [_PATH[name].example]},
        }
        for name in download.names
    ]
    found: dict[str, Any] = {
        "operationId": "download" + "".join(word.capitalize() for word in words),
        "summary": download.summary,
        "description": f"Needs the scope `{download.scope}`.",
        "tags": [download.tag],
        "parameters": parameters,
        "responses": {
            "200": {"description": "it", "content": {download.media: {"schema": schema}}},
            **{
                str(status): {"$ref": "#/components/responses/Problem"}
                for status in sorted(statuses)
            },
        },
    }
    members = download.arguments.items()
    if download.method == "GET":
        found["parameters"] = [
            *parameters,
            *(_query(name, one, meaning(download.operation, name)) for name, one in members),
        ]
    else:
        properties = {name: schema_of(download.operation, name, one) for name, one in members}
        body = {"type": "object", "properties": properties, "additionalProperties": False}
        found["requestBody"] = {
            "required": False,
            "content": {"application/json": {"schema": body}},
        }
    return found


_FILE: dict[str, Any] = {}
"""What a file holds is no matter of this document."""


@cache
def _described() -> bytes:
    return json.dumps(openapi(), indent=1).encode()


@needs(None)
async def describe(request: web.Request) -> web.Response:
    """`/api/v1/openapi.json`: open to all, for it says nothing of what is watched."""
    body = _described()
    return await answers.answer(request, body, present=answers.tag({}, body))
