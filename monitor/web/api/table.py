"""Which request does what: routes, request checks and the OpenAPI document come from this table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from monitor.core.interval import MICROSECOND
from monitor.core.month import show_instant
from monitor.operations import OPERATIONS, Argument
from monitor.web.api.fields import arguments_of
from monitor.web.tokens import Scope

PREFIX = "/api/v1"

Row = Mapping[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Paging:
    """Which list of a document is given page by page, and what orders its rows for good.

    `key` tells rows apart and never changes, so that a cursor is good as long as its row was ever
    there. `pushed`: the operation itself is asked for the rows from that argument on, which is made
    of a key by `resume`.
    """

    rows: str
    key: Callable[[Row], list[Any]]
    pushed: str | None = None
    resume: Callable[[list[Any]], Any] = lambda key: key[0]


@dataclass(frozen=True, slots=True)
class Route:
    """One request: method, path below the prefix, operation, scope, and what it answers with.

    `fixed` are arguments that the caller has no say in, `path` gives arguments other names.
    """

    method: str
    path: str
    operation: str
    answer: str
    tag: str
    scope: Scope
    paging: Paging | None = None
    created: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)
    by_visitor: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    if_match: str | None = None

    @property
    def names(self) -> list[str]:
        """The parameters of the path."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def writes(self) -> bool:
        """Whether it records something."""
        return OPERATIONS[self.operation].write

    @property
    def summary(self) -> str:
        said = OPERATIONS[self.operation].summary
        return said[0].upper() + said[1:]

    @property
    def arguments(self) -> dict[str, Argument]:
        """The arguments that query or body may give."""
        taken = [self.rename.get(name, name) for name in self.names]
        paged = ["limit"] if self.paging is not None else []
        if self.paging is FACTS:
            paged.append("after")  # which the cursor says
        named = [] if self.by_visitor is None else [self.by_visitor]
        return arguments_of(self.operation, *taken, *self.fixed, *named, *paged)


def _series(row: Row) -> list[str]:
    series = row["series"]
    if "endpoint" in series:
        return ["endpoint", series["endpoint"], ""]
    return ["holdername", series["holdername"], series["service"]]


def _us(instant: str) -> int:
    """An instant as a number: texts with and without a fraction do not compare as time does."""
    return (datetime.fromisoformat(instant) - EPOCH) // MICROSECOND


def _instant(key: list[Any]) -> str:
    return show_instant(EPOCH + key[0] * MICROSECOND)


def _by(rows: str, *names: str) -> Paging:
    return Paging(rows, lambda row: [row[name] for name in names])


ENDPOINTS = _by("endpoints", "id")
OBSERVATIONS = Paging("observations", lambda row: [_us(row["at"])], "start", _instant)
OUTAGES = Paging("outages", lambda row: [_us(row["start"]), *_series(row)])
INCIDENTS = Paging("incidents", lambda row: [int(row["id"].removeprefix("I-"))])
DECLARATIONS = Paging(
    "declarations", lambda row: [_us(row["versions"][0]["recorded_at"]), row["id"]]
)
MONTH_ROWS = Paging("months", lambda row: [row["month"], *_series(row)])
HOLDERNAMES = _by("holdernames", "guid")
FACTS = Paging("facts", lambda row: [row["seq"]], "after")

READ, DECLARE, ADMIN = Scope.READ, Scope.DECLARE, Scope.ADMIN
_E, _I, _D, _M = "/endpoints", "/incidents", "/declarations", "/months"


def _get(path: str, operation: str, answer: str, tag: str, **more: Any) -> Route:
    more.setdefault("scope", READ)
    return Route("GET", path, operation, answer, tag, **more)


def _post(path: str, operation: str, answer: str, tag: str, **more: Any) -> Route:
    more.setdefault("scope", DECLARE)
    return Route("POST", path, operation, answer, tag, **more)


def _step(path: str, operation: str) -> Route:
    return _post(f"{_I}/{{id}}/{path}", operation, "IncidentStepped", "Incidents")


def _change(path: str, operation: str) -> Route:
    return _post(f"{_D}/{{id}}/{path}", operation, "Declared", "Downtime", if_match="downtime.show")


ROUTES: tuple[Route, ...] = (
    _get("/status", "status", "Status", "Status"),
    _get("/overview", "overview", "Overview", "Status"),
    _get(_E, "endpoint.list", "Endpoints", "Endpoints", paging=ENDPOINTS),
    _get(f"{_E}/{{endpoint}}", "endpoint.show", "EndpointShown", "Endpoints"),
    _get(
        f"{_E}/{{endpoint}}/observations",
        "endpoint.observations",
        "Observations",
        "Endpoints",
        paging=OBSERVATIONS,
        fixed={"oldest": True},
    ),
    _get(f"{_E}/{{endpoint}}/spans", "endpoint.spans", "Spans", "Endpoints"),
    _get(f"{_E}/{{endpoint}}/detail", "endpoint.detail", "Detail", "Endpoints"),
    _get(f"{_E}/{{endpoint}}/strip", "endpoint.strip", "Strip", "Endpoints"),
    _get(f"{_E}/{{endpoint}}/months", "slo.months", "Account", "Endpoints", paging=MONTH_ROWS),
    _post(f"{_E}/{{endpoint}}/probe", "endpoint.probe", "Probe", "Endpoints", scope=READ),
    _post(
        f"{_E}/{{endpoint}}/acknowledge-change",
        "endpoint.acknowledge_change",
        "ChangeAcknowledged",
        "Endpoints",
        rename={"endpoint": "id"},
    ),
    _get(
        "/findings",
        "endpoint.findings",
        "Findings",
        "Endpoints",
        paging=_by("findings", "endpoint", "check"),
    ),
    _get("/outages", "outage.list", "Outages", "Outages", paging=OUTAGES),
    _get("/assertions", "assertion.list", "Assertions", "Outages", paging=_by("assertions", "id")),
    _post("/assertions", "outage.assert", "Asserted", "Outages", created=True),
    _post("/assertions/{id}/withdraw", "outage.withdraw", "Asserted", "Outages"),
    _get(_I, "incident.list", "Incidents", "Incidents", paging=INCIDENTS),
    _get(f"{_I}/{{id}}", "incident.show", "IncidentShown", "Incidents"),
    _step("acknowledge", "incident.acknowledge"),
    _step("report", "incident.report"),
    _step("update", "incident.update"),
    _step("attest", "incident.attest"),
    _step("close", "incident.close"),
    _get(f"{_I}/{{id}}/pack", "incident.pack", "Pack", "Incidents"),
    _get("/calendar", "downtime.calendar", "Calendar", "Downtime"),
    _get(_D, "downtime.list", "Declarations", "Downtime", paging=DECLARATIONS),
    _post(_D, "downtime.declare", "Declared", "Downtime", created=True),
    _post(f"{_D}/plan", "downtime.plan", "Plan", "Downtime", scope=READ),
    _post(f"{_D}/import", "downtime.import", "Imported", "Downtime"),
    _get(f"{_D}/{{id}}", "downtime.show", "DeclarationShown", "Downtime"),
    _change("notify", "downtime.notify"),
    _change("amend", "downtime.amend"),
    _change("cancel", "downtime.cancel"),
    _change("complete", "downtime.complete"),
    _get(f"{_D}/{{id}}/pack", "downtime.pack", "Pack", "Downtime"),
    _get(_M, "month.list", "Months", "Months", paging=_by("months", "month")),
    _get(f"{_M}/{{month}}", "slo", "Account", "Months", paging=MONTH_ROWS),
    _get(f"{_M}/{{month}}/detail", "month.detail", "MonthDetail", "Months"),
    _get(f"{_M}/{{month}}/returns", "returns", "Returns", "Months"),
    _post(
        f"{_M}/{{month}}/approve",
        "slo.approve",
        "Approved",
        "Months",
        scope=ADMIN,
        by_visitor="approved_by",
    ),
    _get("/explain", "explain", "Explained", "Status"),
    _get("/alerts/dead", "alerts.dead", "DeadAlerts", "Alerts", paging=_by("dead", "id")),
    _post("/alerts/test", "alerts.test", "AlertsQueued", "Alerts", scope=ADMIN),
    _post("/alerts/resend", "alerts.resend", "AlertsResent", "Alerts", scope=ADMIN),
    _get("/holdernames", "holdername.list", "Holdernames", "Holdernames", paging=HOLDERNAMES),
    _post("/holdernames/import", "holdername.import", "MappingRead", "Holdernames", scope=READ),
    _post(
        "/holdernames/reconcile",
        "holdername.reconcile",
        "Reconciled",
        "Holdernames",
        scope=READ,
    ),
    _get("/service", "service", "Service", "Care"),
    _get("/identities", "identity.list", "Identities", "Care"),
    _get("/configuration/schema", "config.schema", "JsonSchema", "Care"),
    _get("/ledger/head", "ledger.head", "LedgerHead", "Care"),
    _get("/ledger/facts", "ledger.facts", "Facts", "Care", paging=FACTS),
)
