"""The sandbox as a whole: made, started, announced, and stopped in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from monitor.sandbox import place as places
from monitor.sandbox.access import TOKEN_FILE
from monitor.sandbox.answers import REGISTERED_ASSET
from monitor.sandbox.control import Control
from monitor.sandbox.endpoints import EndpointServer, contexts
from monitor.sandbox.pki import prepare
from monitor.sandbox.place import HERE, Place, Wiring
from monitor.sandbox.sink import Sink, secret_file

SHUTDOWN = 0.5
"""Seconds the control server gives its requests when it stops."""


async def serve(
    directory: Path,
    *,
    host: str = places.LOOPBACK,
    base_port: int | None = None,
    metrics_listen: str = "127.0.0.1:9464",
    wiring: Wiring = HERE,
    announce: Callable[[str], None],
    as_json: bool = False,
    stop: asyncio.Event | None = None,
) -> None:
    """Run a sandbox in `directory` until SIGTERM or SIGINT, or until `stop` if it is given.

    `announce` gets what standard output shall say, once everything listens and `monitor.yaml` is
    written: a summary, then the line `ready`; with `as_json` one JSON document. `base_port`: the
    control port, the endpoints' follow at 3, 4 and 5 above it; 0 for any free ports, None for those
    of the last start or the usual ones. `wiring` is for a daemon elsewhere. Raises UsageError for a
    port or address that cannot be had, StoreLocked if another sandbox runs in the folder.
    """
    with ExitStack() as held:
        held.callback(os.close, await asyncio.to_thread(places.lock, directory))
        before = await asyncio.to_thread(places.remembered, directory)
        sockets = places.bind(host, base_port, before, held, wiring.control)
        place = places.settle(sockets, metrics_listen, before, datetime.now(UTC))
        ended = held.enter_context(_stopping(stop))
        async with _running(directory, host, place, sockets):
            path = await asyncio.to_thread(places.save, directory, host, place, wiring)
            announce(_document(path, host, place) if as_json else _summary(path, host, place))
            if not as_json:
                announce("ready")
            await ended.wait()


@contextmanager
def _stopping(stop: asyncio.Event | None) -> Iterator[asyncio.Event]:
    """The caller's own event, or without one an event that SIGTERM and SIGINT set."""
    loop = asyncio.get_running_loop()
    taken = (signal.SIGTERM, signal.SIGINT) if stop is None else ()
    ended = stop or asyncio.Event()
    for number in taken:
        loop.add_signal_handler(number, ended.set)
    try:
        yield ended
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _running(
    directory: Path, host: str, place: Place, sockets: Mapping[str, socket.socket]
) -> AsyncIterator[None]:
    """The endpoints and the control server, all listening, until the end of the block."""
    pki = await asyncio.to_thread(prepare, directory, host)
    made = await asyncio.to_thread(contexts, pki)
    sink = Sink(await asyncio.to_thread(secret_file, directory / "hook.secret"))
    servers = {
        name: EndpointServer(name, service, made, sockets[name])
        for name, service in places.ENDPOINTS.items()
    }
    control = Control(servers, sink, _summary(directory / "monitor.yaml", host, place))
    runner = web.AppRunner(
        control.app(), access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN
    )
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, sockets[places.CONTROL]).start()
        for server in servers.values():
            server.start()
            stack.push_async_callback(server.stop)
        yield


def _summary(path: Path, host: str, place: Place) -> str:
    control = places.control_url(place)
    urls = [f"  {name:<10} {places.endpoint_url(host, name, place)}" for name in places.ENDPOINTS]
    return "\n".join(
        [
            "A stand-in for the pensions dashboards ecosystem, on this machine alone.",
            *urls,
            f"  control    {control}/control",
            f"  webhooks   {control}/hook",
            f"  pages      {places.page_url(place)} (the daemon, once it runs)",
            "Log in:           " + f"with the token in {path.parent / TOKEN_FILE}",
            "Watch it:         " + f"monitor run -c {path}",
            "Break something:  " + f"curl -X POST {control}/control/view-main/refuse",
            "Heal it:          " + f"curl -X DELETE {control}/control/view-main",
            "See the alerts:   " + f"curl {control}/hook",
        ]
    )


def _document(path: Path, host: str, place: Place) -> str:
    control = places.control_url(place)
    return json.dumps(
        {
            "ready": True,
            "configuration": str(path),
            "control": f"{control}/control",
            "sink": f"{control}/hook",
            "metrics": f"{places.page_url(place)}metrics",
            "pages": places.page_url(place),
            "token_file": str(path.parent / TOKEN_FILE),
            "endpoints": [
                {
                    "id": name,
                    "service": service.value,
                    "url": places.endpoint_url(host, name, place),
                }
                for name, service in places.ENDPOINTS.items()
            ],
            "holdernames": [guid for guid, _ in places.HOLDERNAMES],
            "registered_asset": REGISTERED_ASSET,
        }
    )
