"""`/discovery/status` and `/discovery/outages`: is it up, in the shape dashboards may know already.

The shape, names and headers are those of the Australian Consumer Data Right (Consumer Data Standards,
common API, Get Status and Get Outages, version 1). Open to all, so nothing names an endpoint, a URL, a
holdername or a reason; worked out at most every few seconds however often it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from time import monotonic
from typing import Any

from aiohttp import hdrs, web

from monitor.core.book import Book
from monitor.core.downtime import Declaration, Kind, Version, in_scope
from monitor.core.lifecycle import lifecycle
from monitor.core.month import show_instant
from monitor.core.verdict import Result
from monitor.snapshot import Document
from monitor.web.guard import needs
from monitor.web.problem import Handler

VERSION = 1
"""The version of both answers that we speak."""
KEPT_FOR = 5
"""Seconds that an answer is good for, here and in any cache."""
_ERROR = "urn:au-cds:error:cds-all:"
_SAID = re.compile(r"[0-9]{1,9}")


class Status(StrEnum):
    """What the standards let one say."""

    OK = "OK"
    PARTIAL_FAILURE = "PARTIAL_FAILURE"
    UNAVAILABLE = "UNAVAILABLE"
    SCHEDULED_OUTAGE = "SCHEDULED_OUTAGE"


_EXPLAINED = {
    Status.PARTIAL_FAILURE: "Some pensions data cannot be reached at the moment.",
    Status.UNAVAILABLE: "Pensions data cannot be reached at the moment.",
    Status.SCHEDULED_OUTAGE: "Planned maintenance is under way.",
}


# -- what is so ------------------------------------------------------------------------------------


def status(book: Book, now: datetime) -> Document | None:
    """How the connection stands; None: nothing is known of it at the moment, which is never OK.

    Only connected live endpoints count. Down is what a confirmed outage or an assertion says.
    """
    names = _connected(book, now)
    known = [name for name in names if _is_known(book, name, now)]
    if names and not known:
        return None
    undeclared = list(_undeclared(book, known, now))
    asserted = [
        one.latest.recorded_at
        for one in book.assertions.values()
        if one.withdrawn_at is None and one.is_open(now) and one.latest.start <= now
    ]
    windows = [version.window for _, version in _windows(book, now) if now in version.window]
    found: Document = {"status": Status.OK.value}
    if undeclared or asserted:
        every = bool(undeclared) and len(undeclared) == len(known)
        found["status"] = Status.UNAVAILABLE if every else Status.PARTIAL_FAILURE
        found["detectionTime"] = show_instant(min([*undeclared, *asserted]))
    elif windows:
        found["status"] = Status.SCHEDULED_OUTAGE
        found["expectedResolutionTime"] = show_instant(max(window.end for window in windows))
    elif any(book.track(name).outage is not None for name in known):
        found["status"] = (
            Status.SCHEDULED_OUTAGE
        )  # MaPS' own downtime: when it ends is theirs to say
    if found["status"] != Status.OK:
        found["status"] = str(found["status"])
        found["explanation"] = _EXPLAINED[Status(found["status"])]
    return {**found, "updateTime": show_instant(now.replace(microsecond=0))}


def _connected(book: Book, now: datetime) -> list[str]:
    return [
        endpoint.id
        for endpoint in book.register.endpoints.values()
        if lifecycle(endpoint, now, book.register).connected
    ]


def _is_known(book: Book, name: str, now: datetime) -> bool:
    """Whether the last observation of an endpoint still says something."""
    track = book.track(name)
    last = track.last
    if last is None or last.result is Result.LOCAL:
        return False
    return now - last.at <= track.cadence.gap_after


def _undeclared(book: Book, names: list[str], now: datetime) -> Iterator[datetime]:
    """When each outage of now that nobody declared was confirmed."""
    for name in names:
        outage = book.track(name).outage
        if outage is not None:
            covers = book.calendar.covers(book.endpoint_series(name))
            if not any(now in cover.interval for cover in covers):
                yield outage.confirmed_at


def _windows(book: Book, now: datetime) -> Iterator[tuple[Declaration, Version]]:
    """Downtime of ours that MaPS was told of and that is not over."""
    for declaration in book.calendar.declarations.values():
        if declaration.cancelled_at is not None or declaration.completion is not None:
            continue
        version = declaration.version_at(now, book.rules)
        if version is not None and version.kind is not Kind.MAPS and version.window.end > now:
            yield declaration, version


def outages(book: Book, now: datetime) -> list[Document]:
    """The windows that are scheduled, those under way among them, in order of start."""
    names = _connected(book, now)
    found = sorted(_windows(book, now), key=lambda item: (item[1].window.start, item[0].id))
    return [_outage(book, version, names) for _, version in found]


def _outage(book: Book, version: Version, names: list[str]) -> Document:
    window = version.window
    whole = all(
        window.start in in_scope(book.endpoint_series(name), version.scope, window, book.register)
        for name in names
    )
    urgent = version.kind is Kind.EMERGENCY
    return {
        "outageTime": show_instant(window.start),
        "duration": duration(window.duration),
        "isPartial": not whole,
        "explanation": "Emergency maintenance." if urgent else "Planned maintenance.",
    }


def duration(length: timedelta) -> str:
    """A length of time as ISO 8601 writes it; seconds are rounded up.

    >>> duration(timedelta(hours=4)), duration(timedelta(days=1, minutes=90, seconds=5))
    ('PT4H', 'P1DT1H30M5S')
    """
    rest = -(-length // timedelta(seconds=1))
    days, rest = divmod(rest, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    time = "".join(
        f"{count}{unit}" for count, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if count
    )
    return f"P{f'{days}D' if days else ''}{f'T{time}' if time or not days else ''}"


# -- who asks for which version --------------------------------------------------------------------


def _versions(request: web.Request) -> web.Response | None:
    """The refusal of a request for a version that we do not speak; None: ours will do."""
    wanted, least = request.headers.get("x-v"), request.headers.get("x-min-v")
    if wanted is None:
        return _refusal(HTTPStatus.BAD_REQUEST, "Header/Missing", "Missing Required Header", "x-v")
    for name, said in (("x-v", wanted), ("x-min-v", least)):
        if said is not None and (not _SAID.fullmatch(said) or int(said) < 1):
            return _refusal(
                HTTPStatus.BAD_REQUEST, "Header/InvalidVersion", "Invalid Version", name
            )
    most = int(wanted)
    lowest = most if least is None or int(least) >= most else int(least)
    if lowest <= VERSION <= most:
        return None
    return _refusal(
        HTTPStatus.NOT_ACCEPTABLE,
        "Header/UnsupportedVersion",
        "Unsupported Version",
        f"version {VERSION} is spoken here",
    )


def _refusal(status_: HTTPStatus, code: str, title: str, detail: str) -> web.Response:
    error = {"code": f"{_ERROR}{code}", "title": title, "detail": detail}
    return web.json_response({"errors": [error]}, status=status_)


# -- the addresses ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feed:
    """What is known, when, whether anybody may hear it, and under which address people reach us."""

    book: Book
    now: datetime
    public: bool
    address: str | None


@dataclass(slots=True)
class _Kept:
    """What was worked out last, and until when it is good (monotonic)."""

    said: Any = None
    until: float = 0.0


def add_discovery(app: web.Application, look: Callable[[], Feed]) -> None:
    """Serve the feed."""
    app.router.add_get("/discovery/status", _answering(look, status))
    app.router.add_get("/discovery/outages", _answering(look, _listed))


def _listed(book: Book, now: datetime) -> Document:
    return {"outages": outages(book, now)}


def _answering(
    look: Callable[[], Feed], work: Callable[[Book, datetime], Document | None]
) -> Handler:
    """What answers with the work, done at most every few seconds."""
    kept = _Kept()

    @needs(None)
    async def handle(request: web.Request) -> web.StreamResponse:
        feed = look()
        if not feed.public:
            raise web.HTTPNotFound
        refusal = _versions(request)
        if refusal is not None:
            return refusal
        if monotonic() >= kept.until:
            kept.said, kept.until = work(feed.book, feed.now), monotonic() + KEPT_FOR
        if kept.said is None:
            return _refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Service/Unavailable",
                "Service Unavailable",
                "how the service stands is not known at the moment",
            )
        return _good(kept.said, f"{feed.address or request.url.origin()}{request.path}")

    return handle


def _good(data: Document, link: str) -> web.Response:
    headers = {
        "x-v": str(VERSION),
        hdrs.CACHE_CONTROL: f"public, max-age={KEPT_FOR}",
        hdrs.VARY: "x-v, x-min-v",
    }
    return web.json_response({"data": data, "links": {"self": link}, "meta": {}}, headers=headers)
