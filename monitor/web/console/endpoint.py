"""The page of one endpoint, and why an instant of it is what it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from monitor.core.month import civil, midnight, show_instant
from monitor.report.words import percent
from monitor.web import pictures
from monitor.web.console.asking import asked
from monitor.web.console.overview import row
from monitor.web.pages import ZONE, long_page, page

RECENT = 40
"""Observations listed."""
PHASES = (
    ("dns", "name resolved"),
    ("connect", "connected"),
    ("tls", "TLS handshake"),
    ("ttfb", "first byte"),
    ("transfer", "transferred"),
)


async def show_endpoint(request: web.Request) -> web.Response:
    """`/endpoints/ID`, with the strip of `day` (a UK date; today unless given)."""
    name = request.match_info["id"]
    shown = await asked(request, "endpoint.show", {"endpoint": name})
    detail = await asked(request, "endpoint.detail", {"endpoint": name})
    seen = await asked(request, "endpoint.observations", {"endpoint": name, "limit": RECENT})
    now = datetime.fromisoformat(detail["now"])
    day = _day(request.query.get("day", ""), now)
    strip = await _strip(request, name, day, now)
    account = detail["account"]
    return await long_page(
        request,
        "endpoint.html.j2",
        {
            "shown": shown,
            "detail": detail,
            "now": detail["now"],
            "row": row(detail["standing"]),
            "budget": None if account is None else _budget(name, account),
            "times": pictures.times(detail["timings"]),
            "phases": _phases(detail["last"]),
            "strip": strip,
            "seen": list(reversed(seen["observations"])),
            "explained": lambda instant: explained(name, instant),
            "short": pictures.short_time,
            "kinds": pictures.WORDS,
            "defs": pictures.defs(),
            "legend": pictures.legend(),
        },
        section="/",
    )


def explained(name: str, instant: str) -> str:
    """Where an instant of an endpoint is explained."""
    return f"/endpoints/{quote(name, safe='')}/explain?{urlencode({'at': instant})}"


def _day(text: str, now: datetime) -> date:
    """The day asked for; today if there is none, or it is none that has begun."""
    today = civil(now, ZONE).date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return today
    return day if date(2000, 1, 1) <= day <= today else today


async def _strip(request: web.Request, name: str, day: date, now: datetime) -> dict[str, Any]:
    """The picture of a day, its stretches that were not plainly up, and the days beside it."""
    start, end = midnight(day, ZONE), midnight(day + timedelta(days=1), ZONE)
    arguments = {"endpoint": name, "start": show_instant(start), "end": show_instant(end)}
    found = (await asked(request, "endpoint.strip", arguments))["strip"]
    bad = [one for one in found if one["state"] not in pictures.QUIET]
    label = f"{name} on {day:%A}, {day.day} {day:%B %Y}, hour by hour"
    picture = pictures.day_strip(
        label, start, end, ZONE, found, lambda at: explained(name, show_instant(at)), now
    )
    today = civil(now, ZONE).date()
    return {
        "picture": picture,
        "day": day.isoformat(),
        "title": f"{day:%A}, {day.day} {day:%B %Y}",
        "bad": bad,
        "before": (day - timedelta(days=1)).isoformat(),
        "after": (day + timedelta(days=1)).isoformat() if day < today else None,
        "today": today.isoformat(),
    }


def _budget(name: str, account: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "large": pictures.large_budget(name, account["burn"]),
        "words": pictures.budget_words(account["burn"]),
        "share": percent(account["left"]),
        "spent": pictures.said(account["by_class"], none="nothing"),
        "exact": account["remaining_s"],
    }


def _phases(last: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The phases that the last probe reached, with their times."""
    if last is None:
        return []
    return [
        (word, pictures.short_time(last["phases"][name]))
        for name, word in PHASES
        if last["phases"][name] is not None
    ]


async def explain(request: web.Request) -> web.Response:
    """`/endpoints/ID/explain?at=T`: what was seen and declared, and what follows."""
    name, at = request.match_info["id"], request.query.get("at", "")[:64]
    if not at:
        raise web.HTTPBadRequest(reason="say which instant, as ?at=2026-03-17T00:00")
    shown = await asked(request, "endpoint.show", {"endpoint": name})
    found = await asked(request, "explain", {"id": name, "at": at})
    return page(
        request,
        "explain.html.j2",
        {
            "shown": shown,
            "found": found,
            "why": found["explanations"][0],
            "at": found["at"],
            "explained": lambda instant: explained(name, instant),
            "around": _around(found["at"], found["until"]),
            "kinds": pictures.WORDS,
        },
        section="/",
    )


def _around(at: str, until: str) -> list[tuple[str, str]]:
    """Instants near this one, with their names."""
    here, now = datetime.fromisoformat(at), datetime.fromisoformat(until)
    steps = (
        ("1 hour before", -60),
        ("1 minute before", -1),
        ("1 minute after", 1),
        ("1 hour after", 60),
    )
    found = [(word, here + timedelta(minutes=minutes)) for word, minutes in steps]
    return [(word, show_instant(instant)) for word, instant in found if instant < now]
