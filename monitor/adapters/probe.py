"""One probe: a fresh connection, a full mutual-TLS handshake, one request, and what was seen.

Phases come from the socket factory, the resolver and the TLS recorder, which cost less than
aiohttp's tracing and know the handshake apart from the connection.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import NamedTuple
from uuid import uuid4

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from monitor.adapters.identity import Identity
from monitor.adapters.timeout import exactly
from monitor.adapters.tls import PROBE, Contexts, Seen
from monitor.core.endpoint import Endpoint, Service
from monitor.core.verdict import (
    REFUSAL_STATUSES,
    Evidence,
    HttpFacts,
    Phases,
    Reason,
    TlsFacts,
    refuses,
)
from monitor.ports import Clock

_HEAD = 2048
"""Bytes of a body that are looked at for the refusal of our certificate."""

_LOOKUPS = 32
"""Threads for name resolution: hung lookups fill only these, never the loop's own executor."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a prober. A probe that waits for its turn has not started: no time-out runs yet.

    `concurrent` probes at once in all and `per_host` to one host name, both None where the caller
    sees to that; `body` is the most that is read of an answer, in bytes.
    """

    concurrent: int | None = 512
    per_host: int | None = 64
    body: int = 64 * 1024


class _Target(NamedTuple):
    """What is worth working out once for a URL."""

    host: str
    url: URL
    turns: AbstractAsyncContextManager[None]


@dataclass(slots=True, eq=False)
class _Answer:
    """The HTTP half of what a probe saw. `head_at` is when the status and headers were there."""

    head_at: float | None = None
    status: int | None = None
    head: str = ""
    retry_after: str | None = None
    version: str | None = None
    length: int | None = None
    read: int = 0


class AiohttpProber:
    """Implements `Prober` with aiohttp. Use between `start` and `close`, on one event loop."""

    def __init__(
        self, contexts: Contexts, clock: Clock, *, user_agent: str, limits: Limits | None = None
    ) -> None:
        self._contexts = contexts
        self._clock = clock
        self._user_agent = user_agent
        self._limits = limits or Limits()
        self._turns = _turns(self._limits.concurrent)
        self._host_turns: dict[str, AbstractAsyncContextManager[None]] = {}
        self._targets: dict[str, _Target] = {}
        self._timeouts: dict[timedelta, aiohttp.ClientTimeout] = {}
        self._session: aiohttp.ClientSession | None = None
        self._resolver: _Resolver | None = None

    async def start(self) -> None:
        """Make the session that all probes share."""
        self._resolver = _Resolver()
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            force_close=True,
            limit=0,
            socket_factory=_open_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            skip_auto_headers=("Content-Type",),
            auto_decompress=False,
        )
        # aiohttp sends a GET again, unasked, when the server drops the first: two requests in one
        # probe, and a reset that nobody sees. There is no public switch.
        self._session._retry_connection = False

    async def close(self) -> None:
        """Close the session; probes under way fail."""
        if self._session is not None:
            await self._session.close()
        if self._resolver is not None:
            await self._resolver.close()
        self._session = self._resolver = None

    async def probe(self, endpoint: Endpoint) -> Evidence:
        """What the endpoint answered. A failing endpoint is evidence, never an exception."""
        target = self._target(endpoint.url)
        async with target.turns, self._turns:
            credentials = self._contexts.find(endpoint.identity, endpoint.trust)
            if credentials is None:
                detail = f"the identity {endpoint.identity} is not loaded"
                failure = Reason.LOCAL_IDENTITY
                return Evidence(endpoint.id, self._clock.now(), 0.0, failure, detail)
            return await self._ask(endpoint, target, *credentials)

    async def _ask(
        self, endpoint: Endpoint, target: _Target, identity: Identity, context: ssl.SSLContext
    ) -> Evidence:
        at, request_id = self._clock.now(), str(uuid4())
        seen, answer = Seen(started=perf_counter()), _Answer()
        token = PROBE.set(seen)
        failure: Reason | None = None
        detail = ""
        try:
            await self._exchange(endpoint, target, context, request_id, answer)
        except (aiohttp.ClientError, OSError) as error:
            failure, detail = _classify(error, seen, target.host)
        finally:
            ended = perf_counter()
            PROBE.reset(token)
            _hang_up(seen)
        if _own_fault(failure, answer, endpoint, identity, at):
            failure = Reason.LOCAL_IDENTITY
            detail = f"our certificate is out of date and was refused by {target.host}"
        return Evidence(
            endpoint=endpoint.id,
            at=at,
            duration=ended - seen.started,
            failure=failure,
            detail=detail,
            status=answer.status,
            head=answer.head,
            retry_after=answer.retry_after,
            request_id=request_id,
            phases=_phases(seen, answer, ended),
            tls=TlsFacts(seen.version, seen.cipher, seen.chain, seen.alert),
            http=HttpFacts(answer.version, answer.length, answer.read),
            address=seen.address,
        )

    async def _exchange(
        self,
        endpoint: Endpoint,
        target: _Target,
        context: ssl.SSLContext,
        request_id: str,
        answer: _Answer,
    ) -> None:
        if self._session is None:
            raise RuntimeError("the prober is not started")
        expectation = endpoint.expectation
        async with self._session.request(
            expectation.method,
            _request_url(endpoint, target),
            headers=[*expectation.headers, ("X-Request-ID", request_id)],
            data=expectation.body,
            ssl=context,
            timeout=self._timeout(endpoint.cadence.timeout),
            allow_redirects=False,
        ) as response:
            answer.head_at = perf_counter()
            answer.status = response.status
            answer.length = response.content_length
            if response.version is not None:
                answer.version = f"{response.version.major}.{response.version.minor}"
            retry_after = response.headers.get("Retry-After")
            if retry_after is not None:
                # Bytes that are no text come as lone surrogates, which nothing can write down.
                answer.retry_after = retry_after[:64].encode("ascii", "replace").decode()
            # Data given to a request without a token is nobody's to read (domain.md section 3).
            if not 200 <= response.status < 300:
                await self._drain(response, answer)

    async def _drain(self, response: aiohttp.ClientResponse, answer: _Answer) -> None:
        """Read the body up to the limit; keep its head only where a refusal may stand in it."""
        head = bytearray()
        left = self._limits.body
        try:
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
                answer.read += len(chunk)
                if len(head) < _HEAD and response.status in REFUSAL_STATUSES:
                    head += chunk[: _HEAD - len(head)]
        except (aiohttp.ClientError, OSError):
            # A status that already says down says more than the body that broke off.
            if response.status < 500 and not 300 <= response.status < 400:
                raise
        answer.head = head.decode("utf-8", "replace")

    def _target(self, text: str) -> _Target:
        target = self._targets.get(text)
        if target is None:
            url = URL(text)
            host = url.host or ""
            turns = self._host_turns.setdefault(host, _turns(self._limits.per_host))
            target = self._targets[text] = _Target(host, url, turns)
        return target

    def _timeout(self, total: timedelta) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(total)
        if timeout is None:
            timeout = self._timeouts[total] = exactly(total)
        return timeout


def _turns(most: int | None) -> AbstractAsyncContextManager[None]:
    """At most so many inside at once; with None any number."""
    return nullcontext() if most is None else asyncio.Semaphore(most)


def _request_url(endpoint: Endpoint, target: _Target) -> URL:
    """View is asked for one asset, by default one that is registered nowhere."""
    if endpoint.service is not Service.VIEW:
        return target.url
    asset = endpoint.expectation.asset or str(uuid4())
    return URL(f"{target.url}/{asset}?scope=owner", encoded=True)


def _own_fault(
    failure: Reason | None,
    answer: _Answer,
    endpoint: Endpoint,
    identity: Identity,
    at: datetime,
) -> bool:
    """Refused with a certificate that is out of date by our own clock: nobody's fault but ours."""
    if identity.in_date(at):
        return False
    if failure is not None or answer.status is None:
        return failure is Reason.TLS_REFUSED
    return refuses(answer.status, answer.head, endpoint.expectation)


class _Resolver(AbstractResolver):
    """The system's resolver, on threads of its own, timed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        seen = PROBE.get()
        seen.dns_started = perf_counter()
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, _look_up, host, port, family
        )
        seen.dns_ended = perf_counter()
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, address in found
        ]

    async def close(self) -> None:
        # A hung lookup cannot be stopped, so it is not waited for.
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: int) -> list[tuple[int, str]]:
    try:
        found = socket.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "it is not a valid host name") from error
    return [(kind, str(address[0])) for kind, _, _, _, address in found]


def _open_socket(
    info: tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]],
) -> socket.socket:
    """A socket for one address; opening the first one is where the connect phase begins."""
    seen = PROBE.get()
    if seen.connect_started is None:
        seen.connect_started = perf_counter()
    opened = socket.socket(info[0], info[1], info[2])
    seen.sockets.append(opened)
    return opened


def _hang_up(seen: Seen) -> None:
    """End the connections now.

    The transport has said goodbye, but would wait half a minute for a silent server to say it too.
    """
    for opened in seen.sockets:
        with suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)


def _phases(seen: Seen, answer: _Answer, ended: float) -> Phases:
    """Seconds in each phase. The phase in which a probe failed ends with the probe."""

    def lasted(start: float | None, end: float | None) -> float | None:
        return None if start is None else (ended if end is None else end) - start

    return Phases(
        dns=lasted(seen.dns_started, seen.dns_ended),
        connect=lasted(seen.connect_started, seen.tls_started),
        tls=lasted(seen.tls_started, seen.tls_ended),
        ttfb=lasted(seen.tls_ended, answer.head_at),
        transfer=lasted(answer.head_at, ended),
    )


# --- From exceptions to reasons ----------------------------------------------------------------

_CERTIFICATE_ALERTS = frozenset(
    {
        "access_denied",
        "bad_certificate",
        "certificate_expired",
        "certificate_required",
        "certificate_revoked",
        "certificate_unknown",
        "unknown_ca",
        "unsupported_certificate",
    }
)
"""From a server these can only be about our certificate."""

_VERSION_ERRORS = frozenset(
    {
        "NO_PROTOCOLS_AVAILABLE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "UNSUPPORTED_SSL_VERSION",
        "VERSION_TOO_LOW",
    }
)

# In order of what tells most when several addresses failed differently.
_ERRNOS = {
    errno.EMFILE: Reason.LOCAL_OVERLOAD,
    errno.ENFILE: Reason.LOCAL_OVERLOAD,
    errno.ENOBUFS: Reason.LOCAL_OVERLOAD,
    errno.ENOMEM: Reason.LOCAL_OVERLOAD,
    errno.EADDRNOTAVAIL: Reason.LOCAL_OVERLOAD,
    errno.ECONNREFUSED: Reason.CONNECT_REFUSED,
    errno.ECONNRESET: Reason.CONNECT_RESET,
    errno.ECONNABORTED: Reason.CONNECT_RESET,
    errno.EPIPE: Reason.CONNECT_RESET,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
    errno.EHOSTUNREACH: Reason.NO_ROUTE,
    errno.ENETUNREACH: Reason.NO_ROUTE,
    errno.EHOSTDOWN: Reason.NO_ROUTE,
    errno.ENETDOWN: Reason.LOCAL_NETWORK,
    errno.EACCES: Reason.LOCAL_NETWORK,
    errno.EPERM: Reason.LOCAL_NETWORK,
}

_ERRNO_IN_TEXT = re.compile(r"\[Errno (\d+)\]")


def _classify(error: Exception, seen: Seen, host: str) -> tuple[Reason, str]:
    """Why there was no answer, and one plain sentence about it."""
    if seen.alert in _CERTIFICATE_ALERTS:
        return Reason.TLS_REFUSED, f"{host} refused our certificate: alert {seen.alert}"
    if isinstance(error, TimeoutError):
        return _classify_timeout(seen, host)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        why = getattr(cause, "verify_message", "") or str(cause)
        return Reason.TLS_CERTIFICATE, f"the certificate of {host} does not verify: {why}"
    if isinstance(error, aiohttp.ClientSSLError) or seen.alert is not None:
        return _classify_tls(seen, host)
    if isinstance(error, aiohttp.InvalidURL):
        return Reason.DNS, f"{host} is not a usable host name"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _classify_connection(error.os_error, seen, host)
    return _classify_response(error, seen, host)


def _classify_timeout(seen: Seen, host: str) -> tuple[Reason, str]:
    if seen.tls_ended is not None:
        return Reason.RESPONSE_TIMEOUT, f"{host} did not answer in time"
    if seen.tls_started is not None:
        return Reason.TLS_HANDSHAKE, f"the TLS handshake with {host} did not end in time"
    if seen.connect_started is None and seen.dns_started is not None:
        return Reason.DNS, f"the name {host} was not resolved in time"
    return Reason.CONNECT_TIMEOUT, f"{host} did not accept a connection in time"


def _classify_tls(seen: Seen, host: str) -> tuple[Reason, str]:
    said = (seen.error or "no reason given").replace("_", " ").lower()
    if seen.error in _VERSION_ERRORS:
        return Reason.TLS_VERSION, f"{host} offers no TLS version from 1.2 up: {said}"
    if seen.alert is not None:
        said = f"alert {seen.alert}"
    return Reason.TLS_HANDSHAKE, f"the TLS handshake with {host} failed: {said}"


def _classify_connection(error: OSError, seen: Seen, host: str) -> tuple[Reason, str]:
    if isinstance(error, socket.gaierror):
        return Reason.DNS, f"the name {host} does not resolve: {error.strerror or error}"
    if isinstance(error, ConnectionAbortedError) and error.errno is None:
        # asyncio's own bound on handshakes.
        return Reason.TLS_HANDSHAKE, f"the TLS handshake with {host} took too long"
    if isinstance(error, ConnectionError) and error.errno is None:
        return Reason.CONNECT_RESET, f"{host} closed the connection during the TLS handshake"
    numbers = {error.errno, *map(int, _ERRNO_IN_TEXT.findall(str(error)))}
    for number, reason in _ERRNOS.items():
        if number in numbers:
            phase = "connecting to" if seen.tls_started is None else "the TLS handshake with"
            return reason, f"{phase} {host} failed: {os.strerror(number)}"
    return Reason.CONNECT_RESET, f"connecting to {host} failed: {error.strerror or 'unknown error'}"


def _classify_response(error: Exception, seen: Seen, host: str) -> tuple[Reason, str]:
    """After the handshake. A server that goes away unheard reset the connection."""
    if isinstance(error, aiohttp.ClientResponseError):
        why = _first_line(error.message)
        return Reason.RESPONSE_INVALID, f"{host} did not answer in HTTP: {why}"
    if seen.received:
        return Reason.RESPONSE_INVALID, f"{host} closed the connection in the middle of its answer"
    return Reason.CONNECT_RESET, f"{host} closed the connection without an answer"


def _first_line(text: str) -> str:
    """The gist of a parser's message, which goes on to quote what the server sent."""
    return text.strip().split("\n", 1)[0].rstrip(":")[:100]
