"""Lists page by page: opaque cursors that stay good while rows are added."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from heapq import nsmallest
from http import HTTPStatus
from typing import Any

from monitor.operations import Argument, Sort
from monitor.snapshot import Document
from monitor.web.api.faults import Refused
from monitor.web.api.table import Paging

USUAL = 1_000
MOST = 5_000
AT_ONCE = 500
"""Rows that are looked at before probes get their turn again."""
LONGEST = 1_024
"""Characters of a cursor; ours are shorter."""

PARAMETERS: Mapping[str, Argument] = {
    "limit": Argument(Sort.COUNT),
    "cursor": Argument(Sort.TEXT),
}
"""The query parameters of every list."""

Key = list[Any]


def limit_of(given: Mapping[str, Any]) -> int:
    """How many rows a page may have. Raises Refused."""
    limit: int = given.get("limit", USUAL)
    if not 1 <= limit <= MOST:
        what = f"must be from 1 to {MOST}"
        errors = [{"parameter": "limit", "detail": what}]
        raise Refused("invalid-request", HTTPStatus.BAD_REQUEST, f"limit: {what}", errors=errors)
    return limit


def cursor(path: str, filters: Mapping[str, Any], key: Key) -> str:
    """Where the next page of a list begins: after the row of that key."""
    text = json.dumps([_list(path, filters), key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(path: str, filters: Mapping[str, Any], text: str) -> Key:
    """The key in a cursor. Raises Refused for one that this list did not give."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        padded = text + "=" * (-len(text) % 4)
        of, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if of != _list(path, filters) or not isinstance(key, list):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise _invalid() from None
    return key


def _invalid() -> Refused:
    detail = (
        "cursor: is not the `next` of an earlier answer of this list with the same filters; start"
        " again without one"
    )
    errors = [{"parameter": "cursor", "detail": "is not one of this list"}]
    return Refused("invalid-cursor", HTTPStatus.BAD_REQUEST, detail, errors=errors)


def resumed(paging: Paging, key: Key) -> Any:
    """From where on the operation is asked for rows. Raises Refused for a cursor made by hand."""
    try:
        return paging.resume(key)
    except (ValueError, TypeError, OverflowError, IndexError):
        raise _invalid() from None


def _list(path: str, filters: Mapping[str, Any]) -> str:
    """A list with its filters, in few characters: a cursor of one is none of another."""
    said = json.dumps([path, filters], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


async def cut(document: Document, paging: Paging, after: Key | None, limit: int) -> Key | None:
    """Leave one page of the rows in the document; the key to go on after, None at the end."""
    rows, keyed = document[paging.rows], []
    for place in range(0, len(rows), AT_ONCE):
        some = [(paging.key(row), row) for row in rows[place : place + AT_ONCE]]
        keyed += [item for item in some if after is None or _follows(item[0], after)]
        await asyncio.sleep(0)
    page = nsmallest(limit + 1, keyed, key=lambda item: item[0])
    document[paging.rows] = [row for _, row in page[:limit]]
    return page[limit - 1][0] if len(page) > limit else None


def _follows(key: Key, after: Key) -> bool:
    try:
        return key > after
    except TypeError:  # a cursor made by hand, of other sorts of values
        return False
