"""Probing: every reason provoked by a real server, and nothing sent that should not be."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest

from monitor.adapters import probe as probe_module
from monitor.adapters.clock import SystemClock
from monitor.adapters.probe import AiohttpProber, Limits, _classify
from monitor.adapters.tls import Contexts, Seen
from monitor.core.endpoint import Endpoint, Service
from monitor.core.identity import IdentitySpec
from monitor.core.verdict import Evidence, Reason, Result, Verdict, judge
from tests.servers import (
    HOST,
    UNAUTHORISED,
    Pki,
    Served,
    an_endpoint,
    answering,
    full_listener,
    openssl_server,
    pack_identity,
    private,
    reencode,
    reset_connection,
    say,
    server_context,
    speaking,
    write_pack,
)
from tests.tools import free_port, need

AGENT = "pensions-monitor/test (+ops@example.org)"
NGINX_REFUSAL = b"<center>No required SSL certificate was sent</center>"


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture
def spec(tmp_path: Path, pki: Pki) -> IdentitySpec:
    return pack_identity(tmp_path, pki, pki.trust_file(tmp_path))


@pytest.fixture
async def contexts(spec: IdentitySpec) -> Contexts:
    contexts = Contexts()
    await contexts.replace([spec], [], now=datetime.now(UTC))
    return contexts


@pytest.fixture
async def prober(contexts: Contexts) -> AsyncIterator[AiohttpProber]:
    async with started(contexts) as prober:
        yield prober


class started:
    """A prober between start and close."""

    def __init__(self, contexts: Contexts, limits: Limits | None = None) -> None:
        self.prober = AiohttpProber(contexts, SystemClock(), user_agent=AGENT, limits=limits)

    async def __aenter__(self) -> AiohttpProber:
        await self.prober.start()
        return self.prober

    async def __aexit__(self, *_: object) -> None:
        await self.prober.close()


def verdict_of(evidence: Evidence, endpoint: Endpoint) -> Verdict:
    return judge(evidence, endpoint.expectation)


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def fields(request: bytes) -> dict[str, str]:
    """Header fields of a request head, names in lower case."""
    lines = request.decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (x.partition(": ") for x in lines if x)}


# --- What is sent ------------------------------------------------------------------------------


async def test_view_asks_for_an_asset_nobody_registered(pki: Pki, prober: AiohttpProber) -> None:
    """GET with a fresh random asset and request id, an honest agent, and no token."""
    async with answering(server_context(pki.leaf(), pki.root), UNAUTHORISED) as served:
        endpoint = an_endpoint(f"{served.url}/view")
        first, second = await prober.probe(endpoint), await prober.probe(endpoint)
    assert verdict_of(first, endpoint) == Verdict(Result.UP, Reason.OK)
    assets = set()
    for evidence, request in zip((first, second), served.requests, strict=True):
        method, target, version = request.decode().split("\r\n")[0].split(" ")
        assert (method, version) == ("GET", "HTTP/1.1")
        path, _, query = target.partition("?")
        assert query == "scope=owner"
        assert path.startswith("/view/")
        assert UUID(path.removeprefix("/view/")).version == 4
        assets.add(path)
        sent = fields(request)
        assert sent["user-agent"] == AGENT
        assert sent["x-request-id"] == evidence.request_id
        assert UUID(evidence.request_id).version == 4
        assert sent["connection"] == "close"
        assert "authorization" not in sent
        assert "cookie" not in sent
    assert len(assets) == 2
    assert first.request_id != second.request_id
    assert served.connections == 2


@pytest.mark.parametrize("service", [Service.FIND, Service.PAT_REFRESH])
async def test_a_post_is_empty(pki: Pki, prober: AiohttpProber, service: Service) -> None:
    """Find and PAT refresh get a request that must be rejected before any work is done."""
    async with answering(server_context(pki.leaf()), UNAUTHORISED) as served:
        endpoint = an_endpoint(f"{served.url}/x", service=service)
        evidence = await prober.probe(endpoint)
    assert verdict_of(evidence, endpoint).result is Result.UP
    assert served.requests[0].startswith(b"POST /x HTTP/1.1\r\n")
    assert fields(served.requests[0])["content-length"] == "0"
    assert "content-type" not in fields(served.requests[0])


async def test_the_request_is_what_was_agreed(pki: Pki, prober: AiohttpProber) -> None:
    """An agreed asset, header and body are sent as configured."""
    async with answering(server_context(pki.leaf()), UNAUTHORISED) as served:
        view = an_endpoint(served.url, asset="agreed", headers=(("X-Team", "ops"),))
        find = an_endpoint(served.url, service=Service.FIND, body=b"{}")
        await prober.probe(view)
        await prober.probe(find)
    assert served.requests[0].startswith(b"GET /agreed?scope=owner ")
    assert fields(served.requests[0])["x-team"] == "ops"
    assert fields(served.requests[1])["content-length"] == "2"


async def test_cookies_are_not_kept(pki: Pki, prober: AiohttpProber) -> None:
    """Each probe comes as a stranger."""
    answer = http("401 Unauthorized", b"", "Set-Cookie: a=b")
    async with answering(server_context(pki.leaf()), answer) as served:
        for _ in range(2):
            await prober.probe(an_endpoint(served.url))
    assert "cookie" not in fields(served.requests[1])


async def test_a_dropped_get_is_not_sent_again(pki: Pki, prober: AiohttpProber) -> None:
    """One probe is one request, also where the library would try again."""
    async with answering(server_context(pki.leaf()), b"") as served:
        await prober.probe(an_endpoint(served.url))
    assert served.connections == 1


# --- What is seen ------------------------------------------------------------------------------


async def test_a_good_probe_shows_everything(pki: Pki, prober: AiohttpProber) -> None:
    """Times of all phases, TLS version, cipher and chain, by name as by address."""
    async with answering(server_context(pki.leaf()), UNAUTHORISED) as served:
        evidence = await prober.probe(an_endpoint(f"https://localhost:{served.port}"))
    phases = evidence.phases
    parts = (phases.dns, phases.connect, phases.tls, phases.ttfb, phases.transfer)
    known = [part for part in parts if part is not None]
    assert len(known) == 5
    assert all(part >= 0 for part in known)
    assert sum(known) <= evidence.duration
    assert evidence.tls.version == "TLSv1.3"
    assert evidence.tls.cipher is not None
    assert evidence.tls.cipher.startswith("TLS_")
    assert evidence.tls.chain[0].names == (HOST, "localhost")
    assert evidence.tls.alert is None
    assert evidence.at.tzinfo is UTC
    assert evidence.status == 401


async def test_an_address_needs_no_lookup(pki: Pki, prober: AiohttpProber) -> None:
    """A phase that was not reached is absent, not zero."""
    async with answering(server_context(pki.leaf()), UNAUTHORISED) as served:
        assert (await prober.probe(an_endpoint(served.url))).phases.dns is None


async def test_tls_1_2_is_enough(pki: Pki, prober: AiohttpProber) -> None:
    """The floor of CoCo 1.1.1 is accepted and shown."""
    context = server_context(pki.leaf())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with answering(context, UNAUTHORISED) as served:
        evidence = await prober.probe(an_endpoint(served.url))
    assert (evidence.failure, evidence.tls.version) == (None, "TLSv1.2")


async def test_a_body_is_read_up_to_a_limit(pki: Pki, contexts: Contexts) -> None:
    """An answer without end ends the probe; only the head of a possible refusal is kept."""
    limits = Limits(body=10_000)
    endless = b"HTTP/1.1 400 x\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 20_000
    async with (
        started(contexts, limits) as prober,
        holding(server_context(pki.leaf()), endless) as served,
    ):
        evidence = await prober.probe(an_endpoint(served.url))
    assert (evidence.failure, evidence.status) == (None, 400)
    assert evidence.head == "x" * 2048


async def test_the_head_of_other_answers_is_not_kept(pki: Pki, prober: AiohttpProber) -> None:
    """A body that decides nothing is thrown away."""
    async with answering(server_context(pki.leaf()), http("404 x", b"secret")) as served:
        evidence = await prober.probe(an_endpoint(served.url))
    assert evidence.head == ""


async def test_data_is_not_read(pki: Pki, prober: AiohttpProber) -> None:
    """Data that came without a token is left unread: the probe does not wait for it."""
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npersonal"
    async with holding(server_context(pki.leaf()), begun) as served:
        endpoint = an_endpoint(served.url)
        evidence = await prober.probe(endpoint)
    assert verdict_of(evidence, endpoint).reason is Reason.AUTHORISATION_MISSING
    assert evidence.head == ""


async def test_retry_after_is_kept(pki: Pki, prober: AiohttpProber) -> None:
    """What a provider says of its return is recorded, as text that can be stored."""
    answer = http("503 Down", b"", "Retry-After: 120 X").replace(b"X", b"\xff")
    async with answering(server_context(pki.leaf()), answer) as served:
        assert (await prober.probe(an_endpoint(served.url))).retry_after == "120 ?"


def holding(context: ssl.SSLContext, answer: bytes) -> AbstractAsyncContextManager[Served]:
    """A server that sends these bytes and keeps the connection open."""
    return answering(context, answer, hold=True)


# --- Reasons: the answer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "result", "reason"),
    [
        (http("401 Unauthorized"), Result.UP, Reason.OK),
        (http("418 Teapot"), Result.IMPAIRED, Reason.STATUS_UNEXPECTED),
        (http("503 Down"), Result.DOWN, Reason.STATUS_5XX),
        (b"HTTP/1.1 500 x\r\nContent-Length: 9\r\n\r\ncut", Result.DOWN, Reason.STATUS_5XX),
        (http("302 x", b"", "Location: /elsewhere"), Result.DOWN, Reason.REDIRECT),
        (http("429 x", b"", "Retry-After: 1"), Result.IMPAIRED, Reason.RATE_LIMITED),
        (http("200 OK", b"{}"), Result.UP, Reason.AUTHORISATION_MISSING),
        (http("400 x", NGINX_REFUSAL), Result.DOWN, Reason.TLS_REFUSED),
        (http("496 x"), Result.DOWN, Reason.TLS_REFUSED),
        (b"garbage\r\n\r\n", Result.DOWN, Reason.RESPONSE_INVALID),
        (http("999 x"), Result.DOWN, Reason.RESPONSE_INVALID),
        (http("401 x", b"", "Content-Length: -1"), Result.DOWN, Reason.RESPONSE_INVALID),
        (b"HTTP/1.1 40", Result.DOWN, Reason.RESPONSE_INVALID),
        (b"HTTP/1.1 401 x\r\nContent-Length: 9\r\n\r\ncut", Result.DOWN, Reason.RESPONSE_INVALID),
        (b"HTTP/1.1 401 x\r\nA: " + b"a" * 9000, Result.DOWN, Reason.RESPONSE_INVALID),
        (b"", Result.DOWN, Reason.CONNECT_RESET),
    ],
)
async def test_an_answer_has_one_reason(
    pki: Pki, prober: AiohttpProber, answer: bytes, result: Result, reason: Reason
) -> None:
    """Each kind of answer over a good connection reads as its own reason, asked for once."""
    async with answering(server_context(pki.leaf()), answer) as served:
        endpoint = an_endpoint(served.url)
        evidence = await prober.probe(endpoint)
    verdict = verdict_of(evidence, endpoint)
    assert (verdict.result, verdict.reason) == (result, reason)
    assert len(served.requests) == 1
    assert evidence.tls.version == "TLSv1.3"
    if evidence.failure is not None:
        assert HOST in evidence.detail


async def test_a_reset_after_the_handshake_is_connect_reset(
    pki: Pki, prober: AiohttpProber
) -> None:
    """A server that resets instead of answering sent no alert: it is no refusal."""
    async with answering(server_context(pki.leaf()), b"", reset=True) as served:
        evidence = await prober.probe(an_endpoint(served.url))
    assert evidence.failure is Reason.CONNECT_RESET
    assert evidence.phases.ttfb is not None


async def test_slow(pki: Pki, prober: AiohttpProber) -> None:
    """A right answer above the limit is impaired."""
    async with answering(server_context(pki.leaf()), UNAUTHORISED, delay=0.1) as served:
        endpoint = an_endpoint(served.url, impaired_above=timedelta(milliseconds=50))
        evidence = await prober.probe(endpoint)
    assert verdict_of(evidence, endpoint) == Verdict(Result.IMPAIRED, Reason.SLOW)


async def test_response_timeout(pki: Pki, prober: AiohttpProber) -> None:
    """Silence after the handshake; what was seen until then is kept."""
    async with answering(server_context(pki.leaf()), None) as served:
        evidence = await prober.probe(an_endpoint(served.url, timeout=0.2))
    assert evidence.failure is Reason.RESPONSE_TIMEOUT
    assert evidence.duration >= 0.2
    assert evidence.phases.tls is not None
    assert evidence.phases.ttfb is not None
    assert evidence.phases.transfer is None
    assert evidence.tls.chain


async def test_a_silent_server_is_hung_up_on(pki: Pki, prober: AiohttpProber) -> None:
    """A connection does not outlive its probe, though the server never says goodbye."""
    async with answering(server_context(pki.leaf()), None, hold=True) as served:
        await prober.probe(an_endpoint(served.url, timeout=0.2))
        await asyncio.wait_for(served.ended.wait(), 5)


async def test_a_body_that_stalls_is_a_response_timeout(pki: Pki, prober: AiohttpProber) -> None:
    """The time-out covers the body too."""
    begun = b"HTTP/1.1 401 x\r\nContent-Length: 100\r\n\r\nbegun"
    async with holding(server_context(pki.leaf()), begun) as served:
        evidence = await prober.probe(an_endpoint(served.url, timeout=0.2))
    assert evidence.failure is Reason.RESPONSE_TIMEOUT
    assert evidence.phases.transfer is not None


async def test_timeouts_are_exact(prober: AiohttpProber) -> None:
    """aiohttp must not round a time-out above five seconds."""
    assert prober._timeout(timedelta(seconds=6)).ceil_threshold == float("inf")
    assert prober._timeout(timedelta(seconds=6)).total == 6.0


# --- Reasons: the connection -------------------------------------------------------------------


async def test_connect_refused(prober: AiohttpProber) -> None:
    """Nobody listens, whether asked by address or by name."""
    port = free_port()
    for host in (HOST, "localhost"):
        evidence = await prober.probe(an_endpoint(f"https://{host}:{port}"))
        assert evidence.failure is Reason.CONNECT_REFUSED
        assert evidence.phases.connect is not None
        assert evidence.phases.tls is None
        assert evidence.detail == f"connecting to {host} failed: Connection refused"


async def test_connect_timeout(prober: AiohttpProber) -> None:
    """The kernel answers nothing."""
    with full_listener() as port:
        evidence = await prober.probe(an_endpoint(f"https://{HOST}:{port}", timeout=0.2))
    assert evidence.failure is Reason.CONNECT_TIMEOUT
    assert evidence.phases.connect is not None
    assert evidence.phases.connect >= 0.15
    assert evidence.phases.tls is None


@pytest.mark.parametrize("speak", [reset_connection, say(b"")])
async def test_connect_reset_in_the_handshake(
    prober: AiohttpProber, speak: Callable[[socket.socket], None]
) -> None:
    """A connection ended inside the handshake, by reset or by end of stream."""
    async with speaking(speak) as served:
        evidence = await prober.probe(an_endpoint(served.url))
    assert evidence.failure is Reason.CONNECT_RESET
    assert "handshake" in evidence.detail


async def test_no_route(prober: AiohttpProber) -> None:
    """Linux refuses to connect to the broadcast address at once, and sends nothing."""
    evidence = await prober.probe(an_endpoint("https://255.255.255.255"))
    assert evidence.failure is Reason.NO_ROUTE
    assert "Network is unreachable" in evidence.detail


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "127.1"])
async def test_dns(prober: AiohttpProber, host: str) -> None:
    """A name that cannot resolve; neither of these asks a server."""
    evidence = await prober.probe(an_endpoint(f"https://{host}"))
    assert evidence.failure is Reason.DNS
    assert host in evidence.detail
    assert evidence.phases.connect is None


async def test_a_name_that_the_resolver_does_not_know(prober: AiohttpProber) -> None:
    """The system's resolver says no, in its own words."""
    evidence = await prober.probe(an_endpoint("https://no-such-host.invalid", timeout=10))
    assert evidence.failure is Reason.DNS
    assert evidence.phases.dns is not None


async def test_a_hung_lookup_is_dns(prober: AiohttpProber, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that does not answer is told from a host that does not."""
    release = threading.Event()

    def hang(*_: object) -> list[tuple[int, str]]:
        release.wait(10)
        return []

    monkeypatch.setattr(probe_module, "_look_up", hang)
    evidence = await prober.probe(an_endpoint("https://slow.invalid", timeout=0.1))
    release.set()
    assert evidence.failure is Reason.DNS
    assert evidence.detail == "the name slow.invalid was not resolved in time"


# --- Reasons: TLS ------------------------------------------------------------------------------


async def test_tls_certificate(pki: Pki, prober: AiohttpProber) -> None:
    """Expired, for another name, or from a CA that is not trusted; shown all the same."""
    details = []
    for leaf in (pki.expired(), pki.leaf("other.example"), Pki().leaf()):
        async with answering(server_context(leaf), UNAUTHORISED) as served:
            evidence = await prober.probe(an_endpoint(served.url))
        assert evidence.failure is Reason.TLS_CERTIFICATE
        assert len(evidence.tls.chain) == 2
        assert evidence.phases.tls is not None
        assert evidence.phases.ttfb is None
        details.append(evidence.detail.partition("verify: ")[2])
    assert details[0] == "certificate has expired"
    assert details[1].startswith("IP address mismatch")
    assert details[2] == "unable to get local issuer certificate"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_tls_refused(tmp_path: Path, pki: Pki, prober: AiohttpProber, version: str) -> None:
    """An alert about our certificate: in the handshake of 1.2, on the first read in 1.3."""
    need("openssl")
    stranger = Pki().trust_file(tmp_path, "stranger.pem")
    demand = ("-Verify", "5", "-verify_return_error", "-CAfile", stranger)
    with openssl_server(tmp_path, pki.leaf(), version, *demand) as port:
        endpoint = an_endpoint(f"https://{HOST}:{port}")
        evidence = await prober.probe(endpoint)
    assert verdict_of(evidence, endpoint) == Verdict(Result.DOWN, Reason.TLS_REFUSED)
    assert evidence.tls.alert == "unknown_ca"
    assert len(evidence.tls.chain) == 2
    assert (evidence.phases.ttfb is not None) == (version == "-tls1_3")


async def test_tls_version(tmp_path: Path, pki: Pki, prober: AiohttpProber) -> None:
    """A server that offers no more than TLS 1.1."""
    need("openssl")
    options = ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    with openssl_server(tmp_path, pki.leaf(), *options) as port:
        evidence = await prober.probe(an_endpoint(f"https://{HOST}:{port}"))
    assert evidence.failure is Reason.TLS_VERSION


async def test_tls_handshake_without_a_common_suite(
    tmp_path: Path, pki: Pki, prober: AiohttpProber
) -> None:
    """A server with nothing but suites that are not forward-secret."""
    need("openssl")
    with openssl_server(tmp_path, pki.leaf(), "-tls1_2", "-cipher", "AES128-SHA") as port:
        evidence = await prober.probe(an_endpoint(f"https://{HOST}:{port}"))
    assert evidence.failure is Reason.TLS_HANDSHAKE
    assert evidence.tls.alert == "handshake_failure"


async def test_tls_handshake_with_something_else(prober: AiohttpProber) -> None:
    """A server that does not speak TLS at all."""
    async with speaking(say(http("400 x"))) as served:
        evidence = await prober.probe(an_endpoint(served.url))
    assert evidence.failure is Reason.TLS_HANDSHAKE
    assert "wrong version number" in evidence.detail


async def test_tls_handshake_that_stalls(prober: AiohttpProber) -> None:
    """A connection that is accepted and left alone."""
    async with speaking(None) as served:
        evidence = await prober.probe(an_endpoint(served.url, timeout=0.2))
    assert evidence.failure is Reason.TLS_HANDSHAKE
    assert evidence.phases.connect is not None
    assert evidence.phases.tls is not None
    assert evidence.phases.ttfb is None


def test_uvloop_sees_the_same(tmp_path: Path, pki: Pki, spec: IdentitySpec) -> None:
    """The faster loop runs other TLS code: phases, chain and the late alert are seen there too."""
    uvloop = pytest.importorskip("uvloop")
    need("openssl")
    stranger = Pki().trust_file(tmp_path, "stranger.pem")

    async def probe_both() -> tuple[Evidence, Evidence]:
        contexts = Contexts()
        await contexts.replace([spec], [], now=datetime.now(UTC))
        demand = ("-tls1_3", "-Verify", "5", "-verify_return_error", "-CAfile", stranger)
        async with (
            started(contexts) as prober,
            answering(server_context(pki.leaf()), UNAUTHORISED) as served,
        ):
            good = await prober.probe(an_endpoint(f"https://localhost:{served.port}"))
            with openssl_server(tmp_path, pki.leaf(), *demand) as port:
                return good, await prober.probe(an_endpoint(f"https://{HOST}:{port}"))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        good, refused = runner.run(probe_both())
    assert good.failure is None
    assert None not in (good.phases.dns, good.phases.connect, good.phases.tls, good.phases.ttfb)
    assert len(good.tls.chain) == 2
    assert (refused.failure, refused.tls.alert) == (Reason.TLS_REFUSED, "unknown_ca")


# --- Reasons: ours -----------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", ["alert", "page"])
async def test_local_identity(tmp_path: Path, pki: Pki, refusal: str) -> None:
    """Refused with a certificate that is out of date by our own clock: our fault, not theirs."""
    need("openssl")
    evidence = await probe_expired(tmp_path, pki, refusal)
    assert evidence.failure is Reason.LOCAL_IDENTITY
    assert "our certificate is out of date" in evidence.detail


async def test_an_expired_identity_that_is_accepted_is_no_fault(tmp_path: Path, pki: Pki) -> None:
    """What a server does not mind does not make the endpoint unknown."""
    assert (await probe_expired(tmp_path, pki, "accepted")).failure is None


async def test_another_failure_is_not_blamed_on_the_identity(tmp_path: Path, pki: Pki) -> None:
    """With an expired certificate a failure of another kind keeps its reason."""
    assert (await probe_expired(tmp_path, pki, "silent")).failure is Reason.CONNECT_RESET


async def probe_expired(folder: Path, pki: Pki, server: str) -> Evidence:
    pack = write_pack(folder / "expired", pki.expired("monitor.example"), pki.chain)
    root = pki.trust_file(folder)
    contexts = Contexts()
    spec = IdentitySpec("live", pack=str(pack), trust=root)
    await contexts.replace([spec], [], now=datetime.now(UTC))
    async with started(contexts) as prober:
        if server == "alert":
            demand = ("-Verify", "5", "-verify_return_error", "-CAfile", root)
            with openssl_server(folder, pki.leaf(), *demand) as port:
                return await prober.probe(an_endpoint(f"https://{HOST}:{port}"))
        answers = {"page": http("400 x", NGINX_REFUSAL), "accepted": UNAUTHORISED, "silent": b""}
        async with answering(server_context(pki.leaf()), answers[server]) as served:
            return await prober.probe(an_endpoint(served.url))


async def test_an_identity_that_is_not_loaded_is_ours(prober: AiohttpProber) -> None:
    """Without material nothing is sent, and nobody is blamed."""
    endpoint = an_endpoint("https://pensions.example", identity="absent")
    evidence = await prober.probe(endpoint)
    assert evidence.failure is Reason.LOCAL_IDENTITY
    assert verdict_of(evidence, endpoint).result is Result.LOCAL


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EMFILE, "Too many open files"), Reason.LOCAL_OVERLOAD),
        (OSError(errno.EADDRNOTAVAIL, "no port left"), Reason.LOCAL_OVERLOAD),
        (OSError(errno.EPERM, "a firewall of ours"), Reason.LOCAL_NETWORK),
        (OSError(errno.ETIMEDOUT, "timed out"), Reason.CONNECT_TIMEOUT),
        (OSError("[Errno 101] no route, [Errno 111] refused"), Reason.CONNECT_REFUSED),
        (OSError("something else"), Reason.CONNECT_RESET),
        (ConnectionAbortedError("handshake is taking longer"), Reason.TLS_HANDSHAKE),
    ],
)
def test_what_the_kernel_says_has_a_reason(error: OSError, reason: Reason) -> None:
    """Errors that no server on this machine can provoke at will."""
    key = aiohttp.client_reqrep.ConnectionKey(HOST, 443, True, True, None, None, None)
    found, detail = _classify(aiohttp.ClientConnectorError(key, error), Seen(), HOST)
    assert found is reason
    assert HOST in detail


# --- Many probes -------------------------------------------------------------------------------


async def test_waiting_for_a_turn_is_not_probing(pki: Pki, contexts: Contexts) -> None:
    """With one turn per host the second probe starts, and is timed, after the first."""
    async with (
        started(contexts, Limits(per_host=1)) as prober,
        answering(server_context(pki.leaf()), None) as served,
    ):
        endpoint = an_endpoint(served.url, timeout=0.2)
        first, second = await asyncio.gather(prober.probe(endpoint), prober.probe(endpoint))
    assert served.connections == 2
    assert second.at - first.at >= timedelta(seconds=0.19)
    assert second.failure is Reason.RESPONSE_TIMEOUT


async def test_a_busy_host_holds_up_no_other(pki: Pki, contexts: Contexts) -> None:
    """Probes that queue for one host leave the turns of all others free."""
    async with (
        started(contexts, Limits(concurrent=2, per_host=1)) as prober,
        answering(server_context(pki.leaf()), None) as hung,
        answering(server_context(pki.leaf()), UNAUTHORISED) as good,
    ):
        slow = [
            asyncio.create_task(prober.probe(an_endpoint(hung.url, timeout=0.3))) for _ in range(3)
        ]
        await asyncio.sleep(0)
        quick = await prober.probe(an_endpoint(f"https://localhost:{good.port}"))
        assert quick.failure is None
        assert not any(task.done() for task in slow)
        await asyncio.gather(*slow)


async def test_probes_side_by_side_keep_their_sights_apart(pki: Pki, prober: AiohttpProber) -> None:
    """One context serves probes of different servers at the same time."""
    async with (
        answering(server_context(pki.leaf(HOST, "one.example")), UNAUTHORISED) as one,
        answering(server_context(pki.leaf(HOST, "two.example")), UNAUTHORISED) as two,
    ):
        urls = [one.url, two.url] * 5
        found = await asyncio.gather(*(prober.probe(an_endpoint(url)) for url in urls))
    names = [evidence.tls.chain[0].names[1] for evidence in found]
    assert names == ["one.example", "two.example"] * 5


async def test_a_probe_in_flight_survives_a_rotation(
    pki: Pki, spec: IdentitySpec, contexts: Contexts, prober: AiohttpProber
) -> None:
    """Material replaced during a probe serves the next one; this one ends as it began."""
    assert spec.pack is not None
    async with answering(server_context(pki.leaf(), pki.root), UNAUTHORISED, delay=0.2) as served:
        flying = asyncio.create_task(prober.probe(an_endpoint(served.url)))
        await served.connected.wait()
        fresh = pki.leaf("renewed.example")
        pack = Path(spec.pack)
        private(pack / "certificate", fresh.cert_chain_pems[0].bytes())
        private(pack / "certPrivateKey", reencode(fresh))
        assert (await contexts.refresh(datetime.now(UTC))).changed == ("live",)
        assert not flying.done()
        assert (await flying).failure is None
        assert (await prober.probe(an_endpoint(served.url))).failure is None


async def test_a_prober_must_be_started(contexts: Contexts) -> None:
    """Probing before the start, or after the end, is a mistake of ours and says so."""
    prober = AiohttpProber(contexts, SystemClock(), user_agent=AGENT)
    await prober.close()
    with pytest.raises(RuntimeError, match="not started"):
        await prober.probe(an_endpoint(f"https://{HOST}:1"))
