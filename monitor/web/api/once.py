"""Writes that are done once however often they are sent (`Idempotency-Key`, the IETF's draft).

The key is kept with the change that it caused, in the same transaction: it is good across a lost
connection, a restart and a kill.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web

from monitor.ports import Receipt
from monitor.web.api.faults import Refused

HEADER = "Idempotency-Key"
UNDER_WAY = web.AppKey[set[str]]("under_way")
"""The keys of requests that are being worked on."""

PATTERN = r'^("[!#-~]{1,255}"|[!#-~]{1,255})$'
"""A key as the draft has it, in quotes, or bare as most send it."""


def receipt_of(request: web.Request, author: str, given: Mapping[str, Any]) -> Receipt | None:
    """What to keep of a request that shows a key; None: it shows none. Raises Refused."""
    shown = request.headers.getall(HEADER, [])
    if not shown:
        return None
    match = re.fullmatch(PATTERN, shown[0]) if len(shown) == 1 else None
    if match is None:
        raise Refused(
            "idempotency-key-invalid",
            HTTPStatus.BAD_REQUEST,
            f"{HEADER}: must be one of 1 to 255 visible ASCII characters, best a new random UUID",
        )
    key = match[0].strip('"')
    asked = json.dumps([request.method, request.path, given], sort_keys=True)
    return Receipt(_hash(f"{author}\0{key}"), _hash(asked), datetime.now(UTC))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def under_way(request: web.Request, receipt: Receipt | None) -> Iterator[None]:
    """Hold a key while its request is worked on. Raises Refused if it is held already."""
    if receipt is None:
        yield
        return
    held = request.app[UNDER_WAY]
    if receipt.key in held:
        raise Refused(
            "idempotency-in-flight",
            HTTPStatus.CONFLICT,
            f"a request with this {HEADER} is being worked on; send it again in a moment",
        )
    held.add(receipt.key)
    try:
        yield
    finally:
        held.discard(receipt.key)
