"""Documents as answers: JSON made in slices, entity tags, compression."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

from aiohttp import hdrs, web

from monitor.snapshot import Document
from monitor.web.api.threads import in_thread

AT_ONCE = 100
"""Rows that are written as JSON before probes get their turn again."""
WORTH_COMPRESSING = 16_384
PASSING = ("until", "now")
"""Members that change with every look; a tag that leaves them out is a weak one."""
KEPT_FOR = "private, no-cache"
"""An answer may be kept, if one asks each time whether it is still good."""

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


async def dumps(document: Document, rows: str | None = None) -> bytes:
    """The document as JSON; the list `rows` in slices, so that no long one holds up the loop."""
    if rows is None or len(document[rows]) <= AT_ONCE:
        return json.dumps(document, separators=(",", ":")).encode()
    parts = []
    for place in range(0, len(document[rows]), AT_ONCE):
        some = json.dumps(document[rows][place : place + AT_ONCE], separators=(",", ":"))
        parts.append(some[1:-1])
        await asyncio.sleep(0)
    left = {name: value for name, value in document.items() if name != rows}
    head = json.dumps(left, separators=(",", ":"))[:-1]
    comma = "," if left else ""
    return f"{head}{comma}{json.dumps(rows)}:[{','.join(parts)}]}}".encode()


def tag(document: Document, body: bytes) -> str:
    """The entity tag of a document: strong, or weak where it leaves out the instant of the look."""
    passing = [name for name in PASSING if name in document]
    for name in passing:
        body = body.replace(f'"{name}":{json.dumps(document[name])}'.encode(), b"", 1)
    found = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return f"W/{found}" if passing else found


def matches(header: str | None, present: str, *, strongly: bool) -> bool:
    """Whether an If-Match or If-None-Match names a tag."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    listed = [one.replace('-gzip"', '"') for one in _TAG.findall(header)]
    if strongly:
        return not present.startswith("W/") and present in listed
    return present.removeprefix("W/") in [one.removeprefix("W/") for one in listed]


async def answer(
    request: web.Request,
    body: bytes,
    *,
    present: str | None = None,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The body as an answer: 304 to who has it already, compressed if it is large and may be."""
    sent = {hdrs.VARY: "Accept-Encoding, Authorization, Cookie", **(headers or {})}
    if present is not None:
        sent |= {hdrs.ETAG: present, hdrs.CACHE_CONTROL: KEPT_FOR}
        if matches(request.headers.get(hdrs.IF_NONE_MATCH), present, strongly=False):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=sent)
    if len(body) >= WORTH_COMPRESSING and _takes_gzip(request):
        body = await in_thread(partial(gzip.compress, body, 5, mtime=0))
        sent[hdrs.CONTENT_ENCODING] = "gzip"
        if present is not None:
            sent[hdrs.ETAG] = present[:-1] + '-gzip"'
    return web.Response(body=body, status=status, headers=sent, content_type="application/json")


def _takes_gzip(request: web.Request) -> bool:
    for part in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower().split(","):
        name, _, rest = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", rest)
    return False
