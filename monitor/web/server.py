"""The listener: one address, and an answer of ours also to what is no request at all."""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from monitor.errors import UsageError
from monitor.web.guard import LISTEN
from monitor.web.problem import problem

SHUTDOWN = 2.0
"""Seconds that requests under way get when the server stops."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer, browsers would send no Origin with our own forms either.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "monitor",
}
"""Sent with every answer; one that may be kept says so itself."""

log = structlog.get_logger(__name__)


class WebServer:
    """Serves an application on one address."""

    def __init__(
        self, app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> None:
        """`port` 0 takes any free one; `port` says which, once started. Without `tls`: plain HTTP."""
        self.host = host
        self._tls = tls
        self.port = port
        app[LISTEN] = host
        self._runner = _Runner(
            app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN
        )

    async def start(self) -> None:
        """Listen. Raises UsageError if the address cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port, ssl_context=self._tls).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(
                f"cannot listen on {self.host} port {self.port}: {error.strerror or error};"
                " end the program that holds it, or set http.listen to another address"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Take no more requests, give those under way a moment, then close."""
        await self._runner.cleanup()


# -- what is no request ----------------------------------------------------------------------------


class _Runner(web.AppRunner):
    """Makes servers whose connections answer as we do."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """Answers what it cannot read with a problem, and repeats nothing of it: it may hold a token."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is sent already: no other can follow")
        found, detail = _unread(status, exc)
        log.warning("request_unreadable", peer=request.remote, status=found.value, why=detail)
        answer = problem(found, detail, headers=HEADERS)
        answer.force_close()
        return answer


def _unread(status: int, error: BaseException | None) -> tuple[HTTPStatus, str]:
    """The status of a request that cannot be read, and why."""
    if isinstance(error, LineTooLong):
        if re.search(r"bytearray\(b['\"]/|status|URL", str(error)):
            return HTTPStatus.REQUEST_URI_TOO_LONG, "the address is too long; ask for less at once"
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a header is too long; send less"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here; the log says what"
    return HTTPStatus(status), "this is not a request of HTTP; nothing was changed"
