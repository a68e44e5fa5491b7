"""The content as one page of HTML: no script, nothing fetched, and it prints well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from monitor import __version__
from monitor.report import svg, words
from monitor.report.tables import Row, figures, said

GENERATOR = f"pensions-monitor {__version__}"
CONTENTS = (
    ("endpoints", "Endpoints"),
    ("month", "The month, minute by minute"),
    ("outages", "Outages"),
    ("incidents", "Incidents"),
    ("declarations", "Declarations of downtime"),
    ("unknown", "Time unknown, and why"),
    ("holdernames", "Holdernames and services"),
    ("restatements", "Seal and restatements"),
    ("basis", "What the figures rest on"),
)
_WHY = {"not_observed": "nothing was observed: the monitor did not run, or was late"}


def render(content: Mapping[str, Any]) -> str:
    """The whole report as HTML."""
    rows = {
        row["series"]["endpoint"]: row for row in content["months"] if "endpoint" in row["series"]
    }
    links = _links(content)
    endpoints = []
    for number, known in enumerate(content["endpoints"], 1):
        row, days = rows[known["id"]], content["days"]
        endpoints.append(
            {
                "known": known,
                "row": row,
                "waterfall": svg.waterfall(row, known["waterfall"], f"w{number}"),
                "strip": svg.strip(known, days, links.get(known["id"], []), f"s{number}"),
            }
        )
    template = _environment(ZoneInfo(content["zone"])).get_template("report.html.j2")
    return template.render(
        report=content,
        endpoints=endpoints,
        holdernames=_alike(content),
        classes=("declared", "declared_short_notice", "overrun", "undeclared"),
        contents=CONTENTS,
        legend=svg.legend(),
        generator=GENERATOR,
    )


def _alike(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The holdername series, those of one service with the same figures together.

    Thousands of holdernames share a few endpoints, and so their figures.
    """
    found: dict[Row, dict[str, Any]] = {}
    for row in content["months"]:
        guid = row["series"].get("holdername")
        if guid is not None:
            key = (row["series"]["service"], *figures(row))
            group = found.setdefault(key, {"row": row, "members": []})
            group["members"].append((content["holdernames"][guid], guid))
    return list(found.values())


def _links(content: Mapping[str, Any]) -> dict[str, list[tuple[datetime, datetime | None, int]]]:
    """Of each endpoint, where its outages begin and end, and their numbers."""
    found: dict[str, list[tuple[datetime, datetime | None, int]]] = {}
    for one in content["outages"]:
        name = one["series"].get("endpoint")
        if name is not None:
            end = None if one["end"] is None else datetime.fromisoformat(one["end"])
            start = datetime.fromisoformat(one["start"])
            found.setdefault(name, []).append((start, end, one["number"]))
    return found


def _environment(zone: ZoneInfo) -> Environment:
    made = Environment(
        loader=PackageLoader("monitor.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )

    def local(instant: str | None, none: str = words.NOTHING) -> str:
        return words.local(instant, zone, none)

    made.filters.update(
        percent=words.percent,
        duration=words.duration,
        names=words.names,
        local=local,
        said=said,
        word=lambda name: words.STATES[name],
        why=lambda reason: _WHY.get(reason, reason.replace("_", " ")),
    )
    return made
