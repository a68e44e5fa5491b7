"""The monitor itself: whether it is ready, its alerts, material, findings, configuration and visitors."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import structlog
from aiohttp import web

from monitor.snapshot import Document
from monitor.web.console.acting import Faults, done, form_of, see, writer
from monitor.web.console.asking import asked
from monitor.web.guard import TOKENS, VISITOR
from monitor.web.pages import page
from monitor.web.sessions import SESSION, SESSIONS
from monitor.web.tokens import Scope

SOON = 30 * 86_400
"""Seconds before its end in which a certificate is pointed out; 7 days before, loudly."""
LOUD = 7 * 86_400

STEPS: Mapping[str, tuple[str, Scope, tuple[str, ...]]] = {
    "acknowledge": ("endpoint.acknowledge_change", Scope.DECLARE, ("id", "reference")),
    "resend": ("alerts.resend", Scope.ADMIN, ("id",)),
    "test": ("alerts.test", Scope.ADMIN, ("receiver",)),
}
"""Step to its operation, the scope it needs, and the fields of its form."""

log = structlog.get_logger(__name__)


async def show_service(request: web.Request) -> web.Response:
    """`/service`; `done` names the step that was just taken."""
    return await _service(request, taken=request.query.get("done", ""))


async def _service(
    request: web.Request,
    *,
    taken: str = "",
    form: Mapping[str, str] | None = None,
    wrong: Faults | None = None,
) -> web.Response:
    service = await asked(request, "service")
    identities = (await asked(request, "identity.list"))["identities"]
    return page(
        request,
        "service.html.j2",
        {
            "service": service,
            "now": service["now"],
            "certificates": [
                {"identity": one["name"], "role": role, **certificate}
                for one in identities
                for role, certificate in _certificates(one)
            ],
            "soon": SOON,
            "loud": LOUD,
            "dead": (await asked(request, "alerts.dead"))["dead"],
            "findings": (await asked(request, "endpoint.findings"))["findings"],
            "tokens": await _tokens(request),
            "sessions": _sessions(request),
            "may_care": SESSION in request and request[VISITOR].scope.includes(Scope.ADMIN),
            "taken": taken if taken in STEPS else "",
            "form": dict(form or {}),
            "wrong": wrong or {},
        },
        status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK,
        address="/service",
    )


def _certificates(identity: Document) -> list[tuple[str, Document]]:
    """The certificates of an identity: its own, then those of its issuers."""
    own = ("ours", identity["certificate"])
    return [own, *(("issuer", certificate) for certificate in identity["chain"])]


async def _tokens(request: web.Request) -> list[dict[str, str]]:
    """Name and scope of the tokens in force; never a hash."""
    tokens = request.app[TOKENS]
    known = () if tokens is None else await tokens.current()
    return [{"name": one.name, "scope": one.scope.value} for one in known]


def _sessions(request: web.Request) -> list[dict[str, Any]]:
    """Who is logged in, and since when."""
    own = request.get(SESSION)
    return [
        {
            "author": one.visitor.author,
            "scope": one.token.scope.value,
            "since": one.opened_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "own": one is own,
        }
        for one in request.app[SESSIONS].listed()
    ]


async def take_step(request: web.Request) -> web.Response:
    """`/service/STEP`, a form: the step, or the page again with what is wrong."""
    author = writer(request)
    known = STEPS.get(request.match_info["step"])
    if known is None:
        raise web.HTTPNotFound
    operation, scope, fields = known
    if not request[VISITOR].scope.includes(scope):
        log.warning("visitor_forbidden", visitor=author, needed=scope.value, path=request.path)
        raise web.HTTPForbidden(reason=f"this needs a token of the scope {scope.value}")
    form = await form_of(request, fields)
    _, wrong = await done(request, operation, _arguments(operation, form), fields)
    if wrong:  # each form has one field to fill in: the fault stands above them all
        return await _service(request, form=form, wrong={"": next(iter(wrong.values()))})
    return see(f"/service?{urlencode({'done': request.match_info['step']})}")


def _arguments(operation: str, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form gives. Raises HTTPBadRequest for the number of an alert that is none."""
    if operation != "alerts.resend":
        return {key: value for key, value in form.items() if value.strip()}
    number = form["id"]
    if number == "all":
        return {"all": True}
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise web.HTTPBadRequest(reason="this is not the number of an alert")
    return {"ids": [int(number)]}
