"""What may go wrong with a request, and the problem document that says so (RFC 9457)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from monitor.errors import (
    BadInstant,
    FaultsError,
    IllegalStep,
    KeyReused,
    MonitorError,
    StoreError,
    StoreUnwritable,
    UnknownName,
    UsageError,
)
from monitor.web.api.fields import Wrong
from monitor.web.problem import problem

RETRY = "5"
"""Seconds after which a store that could not be written may be again."""

_NAMED = re.compile(r"(?:[a-z.]+_?[a-z]*: )?([a-z_]+): ")


class Refused(Exception):
    """A request that is not answered: kind of problem, status, what is wrong and how to mend it."""

    def __init__(
        self,
        kind: str,
        status: HTTPStatus,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.kind, self.status, self.detail = kind, status, detail
        self.headers, self.more = headers, more

    def answer(self) -> web.Response:
        return problem(self.status, self.detail, kind=self.kind, headers=self.headers, **self.more)


def wrong(found: Iterable[Wrong], *, in_body: bool) -> Refused:
    """All that is wrong with the members of a request, at once."""
    listed = list(found)
    errors = [{**_place(one.name, in_body=in_body), "detail": one.what} for one in listed]
    detail = "; ".join(f"{one.name[:64]}: {one.what}" for one in listed)
    if in_body:
        return Refused("invalid-argument", HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)
    return Refused("invalid-request", HTTPStatus.BAD_REQUEST, detail, errors=errors)


def _place(name: str, *, in_body: bool) -> dict[str, str]:
    if not in_body:
        return {"parameter": name}
    return {"pointer": "#/" + name.replace("~", "~0").replace("/", "~1")}


def of_error(error: MonitorError, members: Collection[str], *, in_body: bool) -> Refused:
    """The refusal that an error of an operation means; `members` are those of the request."""
    if isinstance(error, StoreUnwritable):
        return Refused(
            "store-unwritable",
            HTTPStatus.SERVICE_UNAVAILABLE,
            str(error),
            headers={hdrs.RETRY_AFTER: RETRY},
        )
    if isinstance(error, StoreError):
        return Refused("store-unusable", HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    if isinstance(error, FaultsError):
        faults = [asdict(fault) for fault in error.faults]
        return Refused("faults", HTTPStatus.UNPROCESSABLE_ENTITY, "it has faults", faults=faults)
    if not isinstance(error, UsageError):
        return Refused("not-possible", HTTPStatus.CONFLICT, str(error))
    match = _NAMED.match(str(error))
    named = match is not None and match[1] in members
    more: dict[str, Any] = {}
    if match is not None and named:
        place = _place(match[1], in_body=in_body)
        more["errors"] = [{**place, "detail": str(error)[match.end() :]}]
    if isinstance(error, KeyReused):
        return Refused("idempotency-key-reused", HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
    if isinstance(error, IllegalStep):
        return Refused("illegal-step", HTTPStatus.CONFLICT, str(error), **more)
    if isinstance(error, UnknownName) and not named:
        return Refused("unknown-name", HTTPStatus.NOT_FOUND, str(error))
    kind = "invalid-argument"
    if isinstance(error, BadInstant):
        kind = "bad-instant"
    elif isinstance(error, UnknownName):
        kind = "unknown-name"
    return Refused(kind, HTTPStatus.UNPROCESSABLE_ENTITY, str(error), **more)
