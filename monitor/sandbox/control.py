"""The control URL, by which endpoints are made to fail, and the webhook sink beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from aiohttp import web

from monitor.errors import UsageError
from monitor.sandbox.endpoints import EndpointServer
from monitor.sandbox.modes import MODES, NOT_BY_A_SERVER, SINK_MODES, Switch, table
from monitor.sandbox.sink import Sink

BODY_LIMIT = 1024 * 1024
SINK = "sink"
ALL = "all"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """The HTTP faces over the endpoints and the sink. `summary` is what `/` says, as text."""

    def __init__(self, endpoints: Mapping[str, EndpointServer], sink: Sink, summary: str) -> None:
        self._endpoints = endpoints
        self._sink = sink
        self._summary = summary

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_problems], client_max_size=BODY_LIMIT)
        app.add_routes(
            [
                web.get("/", self._root),
                web.get("/control", self._overview),
                web.delete("/control", self._heal_everything),
                web.get("/control/{name}", self._show),
                web.post("/control/{name}", self._set),
                web.delete("/control/{name}", self._heal),
                web.post("/control/{name}/{mode}", self._set_by_path),
                web.post("/hook", self._hook),
                web.get("/hook", self._messages),
                web.delete("/hook", self._clear),
            ]
        )
        return app

    async def _root(self, request: web.Request) -> web.Response:
        return web.Response(text=self._summary)

    async def _overview(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "endpoints": {name: each.document() for name, each in self._endpoints.items()},
                "sink": self._sink.document(),
                "modes": table(MODES),
                "sink_modes": list(SINK_MODES),
                "not_by_a_server": [reason.value for reason in NOT_BY_A_SERVER],
            }
        )

    def _documents(self, name: str) -> dict[str, object]:
        """State of what a name stands for: itself, or of `all` each by its id."""
        if name == ALL:
            return {key: each.document() for key, each in self._endpoints.items()}
        return self._sink.document() if name == SINK else self._endpoints[name].document()

    def _switches(self, request: web.Request) -> list[Switch]:
        name = request.match_info["name"]
        if name == ALL:
            return [each.switch for each in self._endpoints.values()]
        if name == SINK:
            return [self._sink.switch]
        if name in self._endpoints:
            return [self._endpoints[name].switch]
        known = ", ".join([*self._endpoints, SINK, ALL])
        raise web.HTTPNotFound(text=f'there is no "{name}"; there are {known}')

    async def _show(self, request: web.Request) -> web.Response:
        self._switches(request)
        return web.json_response(self._documents(request.match_info["name"]))

    async def _set(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.text())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise UsageError('the body must be a JSON object such as {"mode": "refuse"}')
        return self._switch_to(request, body)

    async def _set_by_path(self, request: web.Request) -> web.Response:
        return self._switch_to(request, {**request.query, "mode": request.match_info["mode"]})

    def _switch_to(self, request: web.Request, body: Mapping[str, object]) -> web.Response:
        for switch in self._switches(request):
            switch.set(body)
        return web.json_response(self._documents(request.match_info["name"]))

    async def _heal(self, request: web.Request) -> web.Response:
        for switch in self._switches(request):
            switch.heal()
        return web.json_response(self._documents(request.match_info["name"]))

    async def _heal_everything(self, request: web.Request) -> web.Response:
        for endpoint in self._endpoints.values():
            endpoint.switch.heal()
        self._sink.switch.heal()
        return await self._overview(request)

    async def _hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        setting = self._sink.switch.setting
        status = 204
        match setting.mode:
            case "hang":
                self._sink.failed += 1
                await asyncio.Event().wait()  # until they hang up, or we stop
            case "slow":
                await asyncio.sleep(setting.options["delay"])
            case "status":
                status = setting.options["code"]
        if not 200 <= status < 300:
            self._sink.failed += 1
            headers = {}
            if status in (429, 503):
                headers["Retry-After"] = str(setting.options["retry_after"])
            return web.Response(status=status, headers=headers)
        headers = {name.lower(): value for name, value in request.headers.items()}
        message = self._sink.receive(headers, body, datetime.now(UTC))
        if message.problem is not None:
            return _problem(401, message.problem)
        return web.Response(status=status)

    async def _messages(self, request: web.Request) -> web.Response:
        return web.json_response({"messages": self._sink.messages(request.query.get("type"))})

    async def _clear(self, request: web.Request) -> web.Response:
        self._sink.clear()
        return web.Response(status=204)


def _problem(status: int, detail: str) -> web.Response:
    return web.json_response(
        {"type": "about:blank", "status": status, "detail": detail},
        status=status,
        content_type="application/problem+json",
    )


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say every error as a problem document (RFC 9457)."""
    try:
        return await handler(request)
    except UsageError as error:
        return _problem(400, str(error))
    except web.HTTPException as error:
        return _problem(error.status, error.text or error.reason)
