"""`/calendar.ics`: declared downtime as a calendar to subscribe to (RFC 5545 and 7986)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from aiohttp import hdrs, web
from icalendar import Calendar, Event

from monitor import __version__, declare, snapshot
from monitor.core.book import Book
from monitor.core.downtime import Declaration, Kind
from monitor.core.month import show_instant
from monitor.web.api import answers
from monitor.web.api.threads import in_thread
from monitor.web.guard import needs
from monitor.web.tokens import Scope

LOOK_BACK = timedelta(days=400)
"""Windows that ended earlier are left out."""
REFRESH = timedelta(minutes=15)
AT_ONCE = 20
"""Declarations that are judged before probes get their turn again."""

_STATES = {"draft": "TENTATIVE", "cancelled": "CANCELLED"}
_TITLES = {
    Kind.PLANNED: "Planned downtime",
    Kind.EMERGENCY: "Emergency downtime",
    Kind.MAPS: "MaPS downtime",
}

Look = Callable[[], tuple[Book, datetime, str]]
"""What is known, the instant, and the organisation's name."""


def add_calendar(app: web.Application, look: Look) -> None:
    """Serve the calendar to who may read; calendar programs send the token as a password."""

    @needs(Scope.READ)
    async def show(request: web.Request) -> web.StreamResponse:
        book, now, organisation = look()
        events: list[Event] = []
        for number, declaration in enumerate(book.calendar.declarations.values(), 1):
            events += _events(book, declaration, now)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        body = await in_thread(partial(_written, events, organisation))
        answer = await answers.answer(request, body, present=answers.tag({}, body))
        if answer.body is not None:
            answer.content_type, answer.charset = "text/calendar", "utf-8"
            answer.headers[hdrs.CONTENT_DISPOSITION] = 'inline; filename="downtime.ics"'
        return answer

    app.router.add_get("/calendar.ics", show)


def _written(events: list[Event], organisation: str) -> bytes:
    calendar = Calendar()
    calendar.add("prodid", f"-//monitor//{__version__}//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    name = f"Downtime of {organisation}" if organisation else "Downtime"
    calendar.add("name", name)
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", REFRESH, parameters={"value": "DURATION"})
    calendar.add("x-published-ttl", f"PT{REFRESH // timedelta(minutes=1)}M")
    for event in events:
        calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written


def _events(book: Book, declaration: Declaration, now: datetime) -> Iterator[Event]:
    """A declaration's window, and until when MaPS must be told of it if that is to come."""
    state = snapshot.declaration_state(declaration, book.rules, now)
    version = declaration.version_at(now, book.rules) or declaration.latest
    if version.window.end < now - LOOK_BACK:
        return
    title = f"{_TITLES[version.kind]}: {version.reason}"
    judged = declare.judged(book, declaration, now)
    lines = [
        f"{declaration.id}: {state.replace('_', ' ')}",
        f"Scope: {_scope(snapshot.scope_document(version.scope))}",
        f"MaPS' reference: {version.ticket}" if version.ticket else "",
        "Too little notice: it counts as short notice" if judged.too_short else "",
    ]
    said = "\n".join(line for line in lines if line)
    status = _STATES.get(state, "CONFIRMED")
    window = version.window
    yield _event(declaration, "", window.start, window.end, title, said, status)
    if state == "draft" and version.kind is Kind.PLANNED and judged.notify_before > now:
        title = f"Tell MaPS of {declaration.id} before this"
        said = f"Later than this, {version.reason} has too little notice."
        yield _event(declaration, "-notice", judged.notify_before, None, title, said, "CONFIRMED")


def _event(
    declaration: Declaration,
    suffix: str,
    start: datetime,
    end: datetime | None,
    title: str,
    said: str,
    status: str,
) -> Event:
    """An event that keeps its UID for ever, and counts up with every version."""
    first, changed = declaration.versions[0], declaration.latest.recorded_at
    sequence = len(declaration.versions) - 1
    if declaration.cancelled_at is not None:
        changed, sequence = declaration.cancelled_at, sequence + 1
    elif declaration.completion is not None:
        changed, sequence = declaration.completion.recorded_at, sequence + 1
    named = f"{declaration.id} {show_instant(first.recorded_at)}"
    uid = f"{hashlib.sha256(named.encode()).hexdigest()[:32]}{suffix}@monitor"
    event = Event()
    event.add("uid", uid)
    event.add("dtstamp", changed.replace(microsecond=0))
    event.add("last-modified", changed.replace(microsecond=0))
    event.add("sequence", sequence)
    event.add("dtstart", start)
    if end is not None:
        event.add("dtend", end)
    event.add("summary", title)
    event.add("description", said)
    event.add("status", status)
    event.add("transp", "TRANSPARENT" if suffix else "OPAQUE")
    event.add("categories", ["MaPS" if declaration.latest.kind is Kind.MAPS else "Downtime"])
    return event


def _scope(scope: snapshot.Document) -> str:
    """What a declaration is about, in a line."""
    parts = [f"{key} {', '.join(names)}" for key, names in scope.items() if names is not None]
    return "; ".join(parts) or "everything"
