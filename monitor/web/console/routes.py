"""Which address shows which page."""

from __future__ import annotations

from aiohttp import web

from monitor.web.console.access import log_in, log_out, show_login
from monitor.web.console.downtime import (
    declare,
    judge,
    judge_form,
    show_declaration,
    show_downtime,
    show_form,
    take_calendar,
)
from monitor.web.console.downtime import take_step as take_declaration_step
from monitor.web.console.endpoint import explain, show_endpoint
from monitor.web.console.incidents import show_incident, show_incidents, take_step
from monitor.web.console.months import show_month, show_months
from monitor.web.console.overview import overview
from monitor.web.console.packs import pack_file_of
from monitor.web.console.service import show_service
from monitor.web.console.service import take_step as take_service_step
from monitor.web.pages import static


def add_pages(app: web.Application) -> None:
    """The pages, and what they are styled with."""
    app.router.add_get("/", overview)
    app.router.add_get("/endpoints/{id}", show_endpoint)
    app.router.add_get("/endpoints/{id}/explain", explain)
    app.router.add_get("/months", show_months)
    app.router.add_get("/months/{month}", show_month)
    app.router.add_get("/login", show_login)
    app.router.add_post("/login", log_in)
    app.router.add_post("/logout", log_out)
    app.router.add_get("/incidents", show_incidents)
    app.router.add_get("/incidents/{id}", show_incident)
    app.router.add_post("/incidents/{id}/{step}", take_step)
    app.router.add_get("/downtime", show_downtime)
    app.router.add_get("/downtime/{id}", show_declaration)
    app.router.add_post("/downtime/{id}/{step}", take_declaration_step)
    app.router.add_get("/declare", show_form)
    app.router.add_post("/declare", declare)
    app.router.add_get("/declare/judge", judge)
    app.router.add_post("/declare/judge", judge_form)
    app.router.add_post("/declare/import", take_calendar)
    app.router.add_get("/service", show_service)
    app.router.add_post("/service/{step}", take_service_step)
    for folder, operation in (("incidents", "incident.pack"), ("downtime", "downtime.pack")):
        app.router.add_get(f"/{folder}/{{id}}/pack/{{name}}", pack_file_of(operation))
    app.router.add_get("/static/{name}", static)
