"""HTTP as the stand-ins for Find, View and PAT refresh speak it (domain.md section 3)."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from monitor.core.endpoint import Service

NAMESPACE = uuid.UUID("6f1c1f0a-5d1b-4b8e-9a57-7c1f5a1d9e42")
REGISTERED_ASSET = str(uuid.uuid5(NAMESPACE, "registered asset"))
"""The one asset id that the View endpoint knows."""
AS_URI = "https://consent.invalid/am"
"""Where a real 401 sends a dashboard for a token; a name that never resolves (RFC 6761)."""
PATHS: Mapping[Service, str] = {
    Service.FIND: "/find",
    Service.VIEW: "/view",
    Service.PAT_REFRESH: "/pat-refresh",
}
PROBLEM = "application/problem+json"


class BadRequest(ValueError):
    """What came is not an HTTP/1.x request."""


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request; header names are lower case. The body is never kept."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def body_length(self) -> int:
        """Bytes announced; 0 without Content-Length, and for one that cannot be read."""
        announced = self.headers.get("content-length", "0")
        return int(announced) if announced.isascii() and announced.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; Content-Length and Connection are added when it is written."""

    status: int
    body: bytes = b""
    content_type: str = PROBLEM
    headers: tuple[tuple[str, str], ...] = field(default=())

    def wire(self) -> bytes:
        """The bytes of the answer, after which the connection ends."""
        lines = [f"HTTP/1.1 {self.status} {phrase(self.status)}", "Server: monitor-sandbox"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += ["Cache-Control: no-store", "Connection: close"]
        bodiless = self.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        body = b"" if bodiless else self.body
        if not bodiless:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def parse_head(head: bytes) -> Request:
    """Read a request line and headers, without the empty line that ends them."""
    first, *rest = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest("the request line is not METHOD TARGET HTTP/1.x")
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest("a header is not NAME: VALUE")
        headers[name.lower()] = value.strip()
    return Request(parts[0], parts[1], headers)


def problem(status: int, detail: str, *headers: tuple[str, str]) -> Response:
    """A problem document (RFC 9457)."""
    body = {"type": "about:blank", "title": phrase(status), "status": status, "detail": detail}
    return Response(status, json.dumps(body).encode(), headers=headers)


def answer(service: Service, request: Request) -> Response:
    """The right answer to a request, which is never one of success.

    A token cannot be verified here, so one is refused as invalid. A View request for an asset that
    is not registered gets 404 with or without a token, for no ticket can be minted for it.
    """
    request_id = request.headers.get("x-request-id")
    if not _is_uuid(request_id):
        return problem(400, "X-Request-ID is missing or not a UUID")
    echo = ("X-Request-ID", str(request_id))
    path = urlsplit(request.target).path
    base = PATHS[service]
    if service is Service.VIEW:
        asset = path.removeprefix(base + "/")
        if asset == path or "/" in asset:
            return problem(404, f"there is {base}/ASSET only", echo)
        return _view(asset, request, echo)
    if path != base:
        return problem(404, f"there is {base} only", echo)
    if request.method != "POST":
        return problem(405, "only POST is allowed", echo, ("Allow", "POST"))
    return _unauthorised(request, echo, 'Bearer realm="PensionDashboard"')


def _view(asset: str, request: Request, echo: tuple[str, str]) -> Response:
    if request.method != "GET":
        return problem(405, "only GET is allowed", echo, ("Allow", "GET"))
    if not _is_uuid(asset):
        return problem(400, "the asset id is not a UUID", echo)
    if asset.lower() != REGISTERED_ASSET:
        return problem(404, "the asset is not registered", echo)
    ticket = secrets.token_urlsafe(24)
    # Without the scheme word UMA, as the real ones answer (domain.md section 3, note 3).
    challenge = f'realm="PensionDashboard", as_uri="{AS_URI}", ticket="{ticket}"'
    return _unauthorised(request, echo, challenge)


def _unauthorised(request: Request, echo: tuple[str, str], challenge: str) -> Response:
    detail = "the token is not valid" if "authorization" in request.headers else "a token is needed"
    return problem(401, detail, echo, ("WWW-Authenticate", challenge))


def _is_uuid(text: str | None) -> bool:
    try:
        return text is not None and str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def with_status(service: Service, code: int, retry_after: int) -> Response:
    """An answer of a given status, with the headers and body that belong to it."""
    if 200 <= code < 300:
        view = service is Service.VIEW
        data = {"view_data_token": "sandbox"} if view else {"message": "ACCEPTED"}
        return Response(code, json.dumps(data).encode(), "application/json")
    if code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return problem(code, "made to fail by the sandbox", ("Retry-After", str(retry_after)))
    if 300 <= code < 400:
        return problem(code, "made to fail by the sandbox", ("Location", "/elsewhere"))
    return problem(code, "made to fail by the sandbox")


def nginx_page(text: str) -> Response:
    """The page by which nginx refuses a client certificate after a good handshake."""
    title = "400 No required SSL certificate was sent"
    if text != "No required SSL certificate was sent":
        title = "400 The SSL certificate error"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        "<center><h1>400 Bad Request</h1></center>\r\n"
        f"<center>{text}</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Response(400, page.encode(), "text/html")
