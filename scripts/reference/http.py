"""docs/reference/http.md, from the OpenAPI document that the API serves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from monitor.web.api.commands import NONE, REQUESTS
from monitor.web.api.openapi import openapi
from monitor.web.problem import KINDS
from scripts.reference.tables import WRITTEN, table

HEAD = f"""\
# HTTP API

{WRITTEN}
The API describes itself as OpenAPI 3.1 at `/api/v1/openapi.json`: every parameter, body and answer with its schema. Here
is all of it at a glance. To begin with: [how-to/api.md](../how-to/api.md).

"""
TAIL = """
Lists take `limit` (1 to 5000, by default 1000) and `cursor`. A change of a declaration takes `If-Match` with the `ETag` of
the declaration as it was read: it is refused with 412 if it was changed since. What a request takes beside these stands
below.
"""
BESIDE = """
## Beside the API

* `GET /discovery/status` and `GET /discovery/outages` are open to all and name nothing: status and scheduled windows in the
  shape of the Australian Consumer Data Right (Consumer Data Standards, common API, version 1), so a dashboard can show a
  shutter during downtime. They need the header `x-v: 1` (`x-min-v` widens what will do); errors carry the codes of those
  standards. An answer is good for five seconds. `503` means that the monitor does not know, which never reads as `OK`.
  `http.discovery: off` takes them away.
* `GET /calendar.ics` needs the scope `read`: declared downtime as a calendar (RFC 5545) to subscribe to. Calendar programs
  send the token as a password. A draft is tentative and brings the instant until which MaPS must be told of it.
* `/metrics`, `/healthz`, `/readyz` and `/probe` are for Prometheus and whoever restarts the daemon.
"""
PROBLEMS = """
## Problems

Errors are problem documents (RFC 9457, `application/problem+json`). `type` is an address here, with a page that says the same
as this table. `errors` points to each member at fault: `pointer` into the body, or `parameter` of the query.

"""
COMMANDS = """
## Commands and requests

"""
COMMON = ("limit", "cursor", "Idempotency-Key", "If-Match")
"""What many requests take, explained once, at the top."""
_METHODS = ("get", "post", "put", "patch", "delete")


def http() -> str:
    """The page: what holds for all, then the requests of each part."""
    described = openapi()
    parts = [_part(described, tag["name"]) for tag in described["tags"]]
    return HEAD + described["info"]["description"] + TAIL + "".join(parts) + BESIDE + _problems()


def _problems() -> str:
    """Every type of problem, as its page says."""
    rows = [(f"`/problems/{kind}`", title, advice) for kind, (title, advice) in KINDS.items()]
    rows.append(("`about:blank`", "The status says all there is to say", "Look it up: RFC 9110."))
    return PROBLEMS + table(("type", "title", "what to do"), rows) + _commands()


def _commands() -> str:
    """Which request does what a command does."""
    rows = [(f"`monitor {name}`", f"`{said}`") for name, said in REQUESTS.items()]
    rows += [(f"`monitor {name}`", f"none: {why}") for name, why in NONE.items()]
    return COMMANDS + table(("command", "request below `/api/v1`"), rows)


def _part(described: Mapping[str, Any], tag: str) -> str:
    some = [one for one in requests(described) if tag in one[2]["tags"]]
    rows = [
        (f"`{method} {path}`", _sentence(asked["summary"]), _scope(asked), _answer(asked))
        for method, path, asked in some
    ]
    heads = ("request", "does", "scope", "answer")
    given = "".join(_given(method, path, asked) for method, path, asked in some)
    return f"\n## {tag}\n\n" + table(heads, rows) + given


def requests(described: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(method, path, operation) of every request, in the order of the document."""
    for path, asked in described["paths"].items():
        for method in _METHODS:
            if method in asked:
                yield method.upper(), path, asked[method]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _scope(asked: Mapping[str, Any]) -> str:
    found = re.search(r"scope `(\w+)`", asked.get("description", ""))
    return f"`{found[1]}`" if found else "none"


def _answer(asked: Mapping[str, Any]) -> str:
    """The name of the answer's schema, or its kind of file."""
    good = next(said for status, said in asked["responses"].items() if status.startswith("2"))
    ((kind, content),) = list(good["content"].items())[:1]
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return f"`{name}`" if name else f"`{kind}`"


def _given(method: str, path: str, asked: Mapping[str, Any]) -> str:
    """What may be given with a request beside its path, as a table; nothing if nothing may."""
    rows = [
        (f"`{one['name']}`", one["in"], _form(one["schema"]), one.get("description", ""))
        for one in asked.get("parameters", ())
        if one["in"] != "path" and one["name"] not in COMMON
    ]
    body = asked.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = body.get("schema", {})
    needed = schema.get("required", ())
    rows += [
        (
            f"`{name}`",
            "body, needed" if name in needed else "body",
            _form(one),
            one.get("description", ""),
        )
        for name, one in schema.get("properties", {}).items()
    ]
    if not rows:
        return ""
    return f"\n`{method} {path}` takes:\n\n" + table(("name", "in", "form", "meaning"), rows)


def _form(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"] if one is not None)
    kinds = schema.get("type", "text")
    kinds = [kinds] if isinstance(kinds, str) else [one for one in kinds if one != "null"]
    if kinds == ["array"]:
        return f"list of {_form(schema['items'])}"
    if kinds == ["integer"]:
        return f"integer from {schema.get('minimum', 0)}"
    return "text" if kinds == ["string"] else " or ".join(kinds)
