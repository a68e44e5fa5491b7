"""Asking an endpoint what it must refuse. Never an availability probe: nothing here is judged up or down.

Each check is a connection of its own, one after another: an ordinary one for comparison, one without
a client certificate, and a handshake that offers TLS 1.1 only (CoCo 1.1.1, 1.1.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from yarl import URL

from monitor.adapters.identity import Identity
from monitor.adapters.tls import Contexts, build_context
from monitor.core.endpoint import Endpoint, Service
from monitor.core.security import Check, Checked, Outcome
from monitor.core.verdict import refuses
from monitor.errors import IdentityError

_HEAD = 4096
"""Bytes of an answer that are read at most; they are thrown away."""

_LINGER = 1.0
"""Seconds to wait for the body, which a page that refuses has, once the head is there."""

_CANNOT = frozenset(
    {
        "NO_CIPHERS_AVAILABLE",
        "NO_CIPHER_MATCH",
        "NO_PROTOCOLS_AVAILABLE",
        "NO_SUITABLE_SIGNATURE_ALGORITHM",
        "UNSUPPORTED_SIGNATURE_TYPE",
        "INTERNAL_ERROR",
    }
)
"""Reasons with which our own OpenSSL declines TLS 1.1, before or whatever the server says."""

_TLS_1_1 = "ECDHE+AES:DHE+AES:AES:!aNULL:!eNULL:@SECLEVEL=0"
"""What servers of that age understand; at the usual level OpenSSL does not offer TLS 1.1 at all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one connection came to: a status, or the error that ended it and where.

    `shaken`: the handshake was done on our side. `sent_nothing`: nobody answered the request.
    """

    shaken: bool = False
    version: str | None = None
    status: int | None = None
    head: str = ""
    error: str | None = None
    refused: bool = False

    @property
    def evidence(self) -> dict[str, Any]:
        return {"version": self.version, "status": self.status, "error": self.error}


class SecurityProber:
    """Makes the checks of one endpoint; one connection at a time, no request but the safe one."""

    def __init__(self, contexts: Contexts, *, user_agent: str) -> None:
        self._contexts = contexts
        self._user_agent = user_agent

    async def check(self, endpoint: Endpoint) -> tuple[str | None, tuple[Checked, ...]]:
        """The TLS version that an ordinary handshake settles on, and what the checks showed.

        Without an ordinary answer to compare with nothing can be told: all is then `unknown`. A
        failing endpoint is never an exception.
        """
        held = self._contexts.find(endpoint.identity, endpoint.trust)
        if held is None:
            return None, _cannot_tell("the identity is not in use")
        identity, _ = held
        try:
            usual, bare, old = await asyncio.to_thread(_contexts, identity, endpoint.trust)
        except IdentityError as trouble:
            return None, _cannot_tell(str(trouble))
        ordinary = await self._ask(endpoint, usual)
        if ordinary.status is None:
            why = f"an ordinary request was not answered either: {ordinary.error}"
            return ordinary.version, _cannot_tell(why)
        without = await self._ask(endpoint, bare)
        low = await self._ask(endpoint, old, handshake_only=True)
        return ordinary.version, (
            _without_certificate(ordinary, without, endpoint),
            _with_tls_1_1(low),
        )

    async def _ask(
        self, endpoint: Endpoint, context: ssl.SSLContext, *, handshake_only: bool = False
    ) -> Asked:
        url = _url(endpoint)
        try:
            async with asyncio.timeout(endpoint.cadence.timeout.total_seconds()):
                return await self._connect(endpoint, url, context, handshake_only)
        except TimeoutError:
            return Asked(error="no answer in time")
        except ssl.SSLError as error:
            return Asked(error=_reason(error), refused=_by_them(error))
        except UnicodeError:
            return Asked(error="the host name cannot be resolved")
        except OSError as error:
            # asyncio makes a handshake that the other side cuts off a ConnectionError.
            cut = isinstance(error, ConnectionResetError | ConnectionAbortedError)
            return Asked(error=error.strerror or type(error).__name__, refused=cut)

    async def _connect(
        self, endpoint: Endpoint, url: URL, context: ssl.SSLContext, handshake_only: bool
    ) -> Asked:
        assert url.raw_host is not None
        reader, writer = await asyncio.open_connection(
            url.raw_host, url.port, ssl=context, server_hostname=url.raw_host, limit=_HEAD
        )
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        seen = partial(Asked, shaken=True, version=connection.version())
        try:
            if handshake_only:
                return seen()
            writer.write(_request(endpoint, url, self._user_agent))
            await writer.drain()
            return _answer(seen, await _first_bytes(reader))
        except ssl.SSLError as error:
            # In TLS 1.3 a refused certificate shows only now.
            return seen(error=_reason(error), refused=_by_them(error))
        except ConnectionError as error:
            return seen(error=error.strerror or type(error).__name__, refused=True)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _contexts(
    identity: Identity, trust: str | None
) -> tuple[ssl.SSLContext, ssl.SSLContext, ssl.SSLContext]:
    """Contexts for an ordinary request, one without a certificate, and TLS 1.1; reads files."""
    usual = build_context(identity, trust)
    bare = build_context(identity, trust, present=False)
    old = build_context(identity, trust)
    with warnings.catch_warnings():
        # To ask for a deprecated version is the point here.
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1_1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers(_TLS_1_1)
    for context in (usual, bare, old):
        context.sslobject_class = ssl.SSLObject
    return usual, bare, old


def _url(endpoint: Endpoint) -> URL:
    """The URL of the safe request: of View one asset, that is registered nowhere by default."""
    url = URL(endpoint.url)
    if endpoint.service is not Service.VIEW:
        return url
    return url.joinpath(endpoint.expectation.asset or str(uuid4())).with_query("scope=owner")


def _request(endpoint: Endpoint, url: URL, user_agent: str) -> bytes:
    """The safe request of the service, as the availability probe sends it."""
    wanted = endpoint.expectation
    body = wanted.body or b""
    headers: Mapping[str, str] = {
        "Host": url.raw_authority,
        "User-Agent": user_agent,
        "Accept": "*/*",
        "X-Request-ID": str(uuid4()),
        **dict(wanted.headers),
        "Connection": "close",
        "Content-Length": str(len(body)),
    }
    lines = [f"{wanted.method} {url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def _first_bytes(reader: asyncio.StreamReader) -> bytes:
    """The beginning of an answer: its head, and what soon follows of its body."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _HEAD:
        more = await reader.read(_HEAD - len(data))
        if not more:
            return data
        data += more
    # One who leaves the connection open has answered all the same.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            while len(data) < _HEAD and (more := await reader.read(_HEAD - len(data))):
                data += more
    return data


def _answer(seen: partial[Asked], data: bytes) -> Asked:
    if not data:
        return seen(error="closed without an answer", refused=True)
    first, _, _ = data.partition(b"\r\n")
    parts = first.split(b" ", 2)
    if not (parts[0].startswith(b"HTTP/1.") and len(parts) > 1 and parts[1].isdigit()):
        return seen(error="the answer is not HTTP")
    return seen(status=int(parts[1]), head=data.partition(b"\r\n\r\n")[2].decode("latin-1"))


def _reason(error: ssl.SSLError) -> str:
    return error.reason or type(error).__name__


def _by_them(error: ssl.SSLError) -> bool:
    """Whether the other side ended it, with an alert or by closing; not what we refuse ourselves."""
    return "ALERT" in _reason(error) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)


def _cannot_tell(why: str) -> tuple[Checked, ...]:
    return (
        Checked(Check.CLIENT_CERTIFICATE, Outcome.UNKNOWN, why),
        Checked(Check.TLS_1_1, Outcome.UNKNOWN, why),
    )


def _without_certificate(ordinary: Asked, without: Asked, endpoint: Endpoint) -> Checked:
    """Refused is a TLS alert, a closed connection, or a page of 4xx that is not the usual answer."""
    evidence = {**without.evidence, "status_with_certificate": ordinary.status}
    say = partial(Checked, Check.CLIENT_CERTIFICATE, evidence=evidence)
    status = without.status
    if status is None:
        if without.refused:
            return say(Outcome.GOOD, "without a client certificate the connection was refused")
        return say(Outcome.UNKNOWN, f"without a client certificate: {without.error}")
    if refuses(status, without.head, endpoint.expectation):
        return say(Outcome.GOOD, "without a client certificate the request was refused")
    if status >= 500:
        return say(Outcome.UNKNOWN, f"without a client certificate the answer was {status}")
    if 400 <= status < 500 and status != ordinary.status:
        return say(Outcome.GOOD, f"without a client certificate the answer was {status}")
    return say(
        Outcome.FOUND,
        f"a request without a client certificate was answered with status {status} (CoCo 1.1.2)",
    )


def _with_tls_1_1(low: Asked) -> Checked:
    say = partial(Checked, Check.TLS_1_1, evidence=low.evidence)
    # A certificate that does not convince us there still means that the server took the version.
    if low.shaken or low.error == "CERTIFICATE_VERIFY_FAILED":
        return say(Outcome.FOUND, "the server accepts TLS 1.1 (CoCo 1.1.1)")
    if low.error in _CANNOT:
        return say(Outcome.UNKNOWN, "this OpenSSL cannot offer TLS 1.1")
    if low.refused or low.error == "UNSUPPORTED_PROTOCOL":
        return say(Outcome.GOOD, "TLS 1.1 was refused")
    return say(Outcome.UNKNOWN, f"TLS 1.1: {low.error}")
