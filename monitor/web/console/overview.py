"""The overview: is anything down, since when, what is owed, and how each endpoint stands and stood."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from monitor.core.month import civil
from monitor.report.words import percent, roughly
from monitor.web import pictures
from monitor.web.console.asking import asked
from monitor.web.pages import ZONE, long_page
from monitor.web.turns import worked

HOUR_WIDTH, DAY_WIDTH = 120, 192
"""Pixels of the ribbons of an hour and of a day: two a minute, eight an hour."""
ROWS = 50
FEW = 20
"""Test endpoints shown beside the live ones."""
FIELDS = ("text", "service", "state", "environment")
_SERVICES = ("find", "view", "pat-refresh")
_STATES = ("trouble", "down", "impaired", "unknown", "unconfirmed", "up")


async def overview(request: web.Request) -> web.Response:
    """`/`: filtered by `text`, `service`, `state` and `environment`; `page` counts from 1."""
    given = {key: request.query.get(key, "").strip()[:200] for key in FIELDS}
    given["environment"] = given["environment"] or "live"
    number = _number(request.query.get("page", ""))
    wanted = {key: value for key, value in given.items() if value}
    place = {"offset": (number - 1) * ROWS, "limit": ROWS}
    found = await asked(request, "overview", {**wanted, **place})
    test = None
    if given["environment"] == "live" and found["counts"]["test"]["all"]:
        test = await asked(request, "overview", {**wanted, "environment": "test", "limit": FEW})
    return await long_page(
        request,
        "overview.html.j2",
        {
            "found": found,
            "answer": answer(found),
            "first": first_thing(found),
            "owed": [{**one, "clock": _clock(one, found["now"])} for one in found["owed"]],
            "budget": _budget(found["month"]),
            "rows": await worked(found["endpoints"], row),
            "test": None if test is None else await worked(test["endpoints"], row),
            "test_all": found["counts"]["test"]["all"],
            "asked": given,
            "services": _SERVICES,
            "states": _STATES,
            "places": _places(given, found, number),
            "defs": pictures.defs(),
            "legend": pictures.legend(),
            "clock": clock,
            "address_of": _address,
        },
    )


def _address(one: Mapping[str, Any]) -> str:
    """The page of what something is owed about: an incident, a declaration or a month."""
    folder = {"complete": "downtime", "notify": "downtime", "approve": "months"}
    return f"/{folder.get(one['what'], 'incidents')}/{one['about']}"


def _number(text: str) -> int:
    """A page's number; anything else is the first."""
    good = text.isascii() and text.isdigit() and len(text) < 6
    return max(1, int(text)) if good else 1


# -- the answer in words ---------------------------------------------------------------------------


def answer(found: Mapping[str, Any]) -> dict[str, str]:
    """Whether anything is down and since when: `tone` is the worst state, `text` the sentence."""
    live = found["counts"]["live"]
    whole = _endpoints(live["all"])
    if not live["all"]:
        return {"tone": "unknown", "text": "No live endpoint is configured."}
    parts = [
        f"{live[state]} {word}"
        for state, word in (
            ("down", "down"),
            ("impaired", "impaired"),
            ("unknown", "unknown"),
            ("unconfirmed", "failing, not confirmed yet"),
        )
        if live[state]
    ]
    if not parts:
        return {"tone": "up", "text": f"All {whole} {'are' if live['all'] > 1 else 'is'} up."}
    tone = next(state for state in ("down", "impaired", "unknown", "unconfirmed") if live[state])
    since = found["unavailable_since"]
    told = f"; unavailable since {clock(since, found['now'])}" if since else ""
    return {"tone": tone, "text": f"Of {whole}, {_listed(parts)}{told}."}


def first_thing(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """The open incident that must be restored first, and what else is owed about it; None: none is."""
    clocks = [one for one in found["owed"] if one["what"] == "restore"]
    if not clocks:
        return None
    first = clocks[0]
    also = [
        one["text"]
        for one in found["owed"]
        if one["about"] == first["about"]
        and one["what"] != "restore"
        and (one["what"] == "report" or one["overdue"])
    ]
    return {
        "id": first["about"],
        "deadline": first["due"],
        "overdue": first["overdue"],
        "clock": _clock(first, found["now"]),
        "also": also,
        "more": len(clocks) - 1,
    }


def _endpoints(count: int) -> str:
    return f"{count:,} live endpoint{'' if count == 1 else 's'}"


def _listed(parts: list[str]) -> str:
    first, *rest = parts
    verb = "is" if first.startswith("1 ") else "are"
    count, _, word = first.partition(" ")
    text = f"{count} {verb} {word}"
    return text if not rest else f"{text}, {', '.join(rest)}"


def clock(instant: str, now: str) -> str:
    """An instant as UK clocks show it: the time alone, if it is of today."""
    at, today = civil(datetime.fromisoformat(instant), ZONE), civil(_at(now), ZONE)
    if at.date() == today.date():
        return f"{at:%H:%M}"
    year = "" if at.year == today.year else f" {at.year}"
    return f"{at.day} {at:%b}{year}, {at:%H:%M}"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _clock(one: Mapping[str, Any], now: str) -> str:
    """How long until something is due, or since it was."""
    if one["due"] is None:
        return ""
    left = (_at(one["due"]) - _at(now)).total_seconds()
    return f"{roughly(left)} left" if left >= 0 else f"{roughly(-left)} over"


def _budget(month: Mapping[str, Any]) -> dict[str, Any] | None:
    """The endpoint with the least budget left, in words and large; None: nothing is spent."""
    if not month["least"]:
        return None
    worst = month["least"][0]
    return {
        "name": worst["series"]["endpoint"],
        "words": pictures.budget_words(worst["burn"]),
        "share": percent(worst["left"]),
        "spent": pictures.said(worst["by_class"], none="nothing"),
        "large": pictures.large_budget(worst["series"]["endpoint"], worst["burn"]),
        "others": [
            {
                "name": one["series"]["endpoint"],
                "words": pictures.budget_words(one["burn"]),
                "picture": pictures.small_budget(one["series"]["endpoint"], one["burn"]),
                "exact": one["remaining_s"],
            }
            for one in month["least"][1:]
        ],
        "exact": worst["remaining_s"],
    }


# -- rows ------------------------------------------------------------------------------------------


def row(one: Mapping[str, Any]) -> dict[str, Any]:
    """An endpoint with its pictures, and what they say in letters."""
    ribbons = one["ribbons"]
    return {
        "one": one,
        "hour": pictures.ribbon("Last hour", ribbons["hour"], HOUR_WIDTH),
        "day": pictures.ribbon("Last day", ribbons["day"], DAY_WIDTH),
        "days": pictures.days(ribbons["days"]),
        "letters": {key: pictures.letters(ribbons[key]["sums"]) for key in ribbons},
        "budget": None if one["burn"] is None else pictures.small_budget(one["id"], one["burn"]),
        "left": None if one["burn"] is None else pictures.budget_words(one["burn"]),
    }


def _places(given: Mapping[str, str], found: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Where in the list this page is, and the addresses of the pages beside it."""

    def address(page: int) -> str:
        query = {key: value for key, value in given.items() if value and value != "live"}
        return "/?" + urlencode({**query, "page": page}) + "#endpoints"

    first = found["offset"] + 1
    last = found["offset"] + len(found["endpoints"])
    pages = max(1, -(-found["matched"] // found["limit"]))
    return {
        "first": first if found["endpoints"] else 0,
        "last": last if found["endpoints"] else 0,
        "all": found["matched"],
        "number": number,
        "pages": pages,
        "before": address(min(number - 1, pages)) if number > 1 else None,
        "after": address(number + 1) if last < found["matched"] and number < pages else None,
    }
