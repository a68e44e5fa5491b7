"""The pages of months: what each came to, and one of them closely."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web
from markupsafe import Markup

from monitor.report import svg
from monitor.report.tables import figures
from monitor.web import pictures
from monitor.web.console.asking import asked
from monitor.web.pages import long_page, page
from monitor.web.turns import worked

ROWS = 50
CLASSES = ("declared", "declared_short_notice", "overrun", "undeclared")
SERVICES = ("find", "view", "pat-refresh")
MOST_OUTAGES = 150
"""Outages of all endpoints that one page lists."""


async def show_months(request: web.Request) -> web.Response:
    """`/months`: every month of the account, the latest first."""
    found = await asked(request, "month.list")
    return page(request, "months.html.j2", {"months": list(reversed(found["months"]))})


async def show_month(request: web.Request) -> web.Response:
    """`/months/YYYY-MM`: `endpoint` is drawn, else that with the least budget left."""
    month = request.match_info["month"]
    account = await asked(request, "slo", {"month": month})
    rows = _worst_first(account["months"])
    chosen = request.query.get("endpoint") or _least(rows)
    arguments = {"month": month} if chosen is None else {"month": month, "endpoint": chosen}
    detail = await asked(request, "month.detail", arguments)
    holdernames = await asked(request, "slo", {"month": month, "by": "holdername"})
    number = _number(request.query.get("page", ""))
    return await long_page(
        request,
        "month.html.j2",
        {
            "month": month,
            "detail": detail,
            "until": account["until"],
            "rows": rows[(number - 1) * ROWS : number * ROWS],
            "all": len(rows),
            "number": number,
            "last": max(1, -(-len(rows) // ROWS)),
            "chosen": None if detail["endpoint"] is None else _drawn(detail),
            "outages": await _listed(detail, chosen),
            "all_outages": len(detail["outages"]),
            "alike": _alike(holdernames["months"]),
            "services": SERVICES,
            "classes": CLASSES,
            "kinds": pictures.WORDS,
            "legend": svg.legend(),
            "elsewhere": lambda **more: _address(month, request.query, more),
            "explained": _explained,
            "verdicts": _verdicts(rows),
        },
    )


def _number(text: str) -> int:
    good = text.isascii() and text.isdigit() and len(text) < 6
    return max(1, int(text)) if good else 1


def _address(month: str, query: Mapping[str, str], more: Mapping[str, Any]) -> str:
    """This page with something else asked of it."""
    kept = {key: value for key, value in query.items() if key in ("endpoint", "page")}
    return f"/months/{quote(month, safe='')}?{urlencode({**kept, **more})}"


def _explained(name: str, instant: str) -> str:
    return f"/endpoints/{quote(name, safe='')}/explain?{urlencode({'at': instant})}"


def _worst_first(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows with the least budget left first, those without data last."""
    return sorted(rows, key=lambda row: (row["verdict"] == "no_data", row["remaining_s"]))


def _least(rows: list[Mapping[str, Any]]) -> str | None:
    """The endpoint to draw unless another is asked for."""
    return rows[0]["series"]["endpoint"] if rows else None


def _verdicts(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """How many rows have which verdict, the gravest first."""
    found: dict[str, int] = {}
    for row in rows:
        found[row["verdict"]] = found.get(row["verdict"], 0) + 1
    order = ("missed", "indeterminate", "running", "met", "no_data")
    return [(name, found[name]) for name in order if name in found]


def _drawn(detail: Mapping[str, Any]) -> dict[str, Any]:
    """The pictures of one endpoint's month."""
    one = detail["endpoint"]
    some = one["row"]["verdict"] != "no_data"
    return {
        "id": one["id"],
        "row": one["row"],
        "some": some,
        "burn": pictures.large_budget(one["id"], one["burn"]) if some else None,
        "words": pictures.budget_words(one["burn"]),
        "waterfall": svg.waterfall(one["row"], one["waterfall"], "w") if some else None,
        "strip": _strip(detail) if some else None,
    }


def _strip(detail: Mapping[str, Any]) -> Markup:
    """Every minute of the month, linked to the rows of the outages on this page."""
    one = detail["endpoint"]
    links = [
        (_at(outage["start"]), None if outage["end"] is None else _at(outage["end"]), number)
        for outage in detail["outages"]
        if outage["series"].get("endpoint") == one["id"] and (number := outage["number"])
    ]
    return svg.strip(one, detail["days"], links, "s")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def _listed(detail: Mapping[str, Any], chosen: str | None) -> list[dict[str, Any]]:
    """The outages of the month with their incidents: all of them, or if they are many those of the
    endpoint that is drawn.
    """
    outages = detail["outages"]
    if len(outages) > MOST_OUTAGES:
        outages = [one for one in outages if one["series"].get("endpoint") == chosen]

    def linked(outage: Mapping[str, Any]) -> dict[str, Any]:
        incidents = [one["id"] for one in detail["incidents"] if _concerns(one, outage)]
        return {**outage, "name": outage["series"].get("endpoint"), "incidents": incidents}

    return await worked(outages, linked)


def _concerns(incident: Mapping[str, Any], outage: Mapping[str, Any]) -> bool:
    """Whether an incident is about an outage: the same endpoint or holdername, at the same time."""
    series = outage["series"]
    named = series.get("endpoint") in incident["endpoints"] or (
        series.get("holdername") in incident["holdernames"]
    )
    begun = outage["end"] is None or incident["started_at"] < outage["end"]
    ended = incident["restored_at"]
    return named and begun and (ended is None or ended > outage["start"])


def _alike(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The holdername series, those of one service with the same figures together, as in the report."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = (row["series"]["service"], *figures(row))
        group = found.setdefault(key, {"row": row, "members": []})
        group["members"].append(row["series"]["holdername"])
    return sorted(found.values(), key=lambda one: one["row"]["remaining_s"])
