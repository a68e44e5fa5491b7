"""What is asked in a dashboard's JSON, and Grafana's variables put to values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from monitor.web.exposition import Family

RATE = "65s"
"""Holds the five scrapes of a minute, whether or not its first instant counts: Prometheus 2 says
it does, Prometheus 3 that it does not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of a dashboard: whose it is, and whether it asks for one instant or a range."""

    dashboard: str
    panel: str
    number: str
    expr: str
    instant: bool
    kind: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} {self.number}"


def panels(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, without the headings of rows."""
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def queries(document: dict[str, Any], dashboard: str = "") -> Iterator[Asked]:
    """What the panels ask."""
    for panel in panels(document):
        for target in panel["targets"]:
            yield Asked(
                dashboard,
                panel["title"],
                target["refId"],
                target["expr"],
                target.get("instant", False),
                panel["type"],
            )


def asked(dashboard: str, document: dict[str, Any]) -> Iterator[Asked]:
    """What panels and annotations ask."""
    yield from queries(document, dashboard)
    for one in document["annotations"]["list"]:
        yield Asked(dashboard, f"annotation {one['name']}", "", one["expr"], False, "annotation")


def substituted(expr: str, *, month: str, endpoint: str = ".*", rate: str = RATE) -> str:
    """The query as Grafana sends it: all endpoints, one month, the last hour."""
    for name, value in (
        ("$__rate_interval", rate),
        ("$__range", "1h"),
        ("$endpoint", endpoint),
        ("$month", month),
    ):
        expr = expr.replace(name, value)
    return expr


def labelled(catalogue: Iterable[Family]) -> dict[str, set[str]]:
    """Every series name that Prometheus knows of ours, to its labels."""
    known = {}
    for family in catalogue:
        if family.kind == "histogram":
            for part in ("_bucket", "_sum", "_count"):
                known[family.name + part] = {*family.labels, "le"}
        else:
            known[family.name] = set(family.labels)
    return known
