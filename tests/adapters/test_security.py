"""What an endpoint must refuse, asked of real servers."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.adapters.security import SecurityProber
from monitor.adapters.tls import Contexts
from monitor.core.endpoint import Endpoint, Service
from monitor.core.security import Check, Checked, Outcome
from tests.servers import (
    HOST,
    UNAUTHORISED,
    Pki,
    an_endpoint,
    answering,
    openssl_server,
    pack_identity,
    server_context,
)
from tests.tools import free_port, need

REFUSAL = b"No required SSL certificate was sent"


class Setting:
    """A prober with an identity, and the PKI of both sides."""

    def __init__(self, folder: Path, pki: Pki, contexts: Contexts) -> None:
        self.folder, self.pki = folder, pki
        self._prober = SecurityProber(contexts, user_agent="test/1")

    async def check(self, endpoint: Endpoint) -> tuple[str | None, dict[Check, Checked]]:
        version, results = await self._prober.check(endpoint)
        return version, {result.check: result for result in results}

    async def outcomes(self, endpoint: Endpoint) -> tuple[str, str]:
        _, found = await self.check(endpoint)
        return found[Check.CLIENT_CERTIFICATE].outcome.value, found[Check.TLS_1_1].outcome.value


@pytest.fixture
async def setting(tmp_path: Path) -> Setting:
    pki, contexts = Pki(), Contexts()
    spec = pack_identity(tmp_path, pki, pki.trust_file(tmp_path))
    await contexts.replace([spec], [("live", None)], now=datetime.now(UTC))
    return Setting(tmp_path, pki, contexts)


@pytest.mark.parametrize("service", list(Service))
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_demands_certificates_is_found_good(
    setting: Setting, service: Service, newest: ssl.TLSVersion
) -> None:
    """It refuses with an alert: in the handshake, or in TLS 1.3 on the first read."""
    context = server_context(setting.pki.leaf(), setting.pki.root)
    context.maximum_version = newest
    async with answering(context, UNAUTHORISED) as served:
        version, found = await setting.check(an_endpoint(f"{served.url}/x", service=service))
    assert version == newest.name.replace("v1_", "v1.")
    assert {result.outcome for result in found.values()} == {Outcome.GOOD}
    # Only the request with the certificate was ever read.
    (request,) = served.requests
    method = b"GET /x/" if service is Service.VIEW else b"POST /x HTTP/1.1\r\n"
    assert request.startswith(method)
    assert f"Host: {HOST}:{served.port}\r\n".encode() in request
    assert b"X-Request-ID: " in request
    assert b"User-Agent: test/1\r\n" in request


async def test_a_server_that_answers_without_a_certificate_is_a_finding(setting: Setting) -> None:
    """The same answer as with one shows that nobody asked for it."""
    async with answering(server_context(setting.pki.leaf()), UNAUTHORISED) as served:
        _, found = await setting.check(an_endpoint(f"{served.url}/x"))
    result = found[Check.CLIENT_CERTIFICATE]
    assert result.outcome is Outcome.FOUND
    assert "status 401 (CoCo 1.1.2)" in result.text
    assert result.evidence == {
        "version": "TLSv1.3",
        "status": 401,
        "error": None,
        "status_with_certificate": 401,
    }


async def test_a_page_that_refuses_is_good(setting: Setting) -> None:
    """A gateway's text after a good handshake is a refusal, whatever the status."""
    page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(REFUSAL), REFUSAL)
    async with answering(server_context(setting.pki.leaf()), page) as served:
        assert (await setting.outcomes(an_endpoint(f"{served.url}/x")))[0] == "good"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 503 Busy\r\n\r\n", "unknown"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "found"),
    ],
)
async def test_other_answers(setting: Setting, answer: bytes, outcome: str) -> None:
    """A server in trouble tells nothing; one that gives data refuses nothing."""
    async with answering(server_context(setting.pki.leaf()), answer) as served:
        assert (await setting.outcomes(an_endpoint(f"{served.url}/x")))[0] == outcome


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n"])
async def test_without_an_ordinary_answer_nothing_can_be_told(
    setting: Setting, answer: bytes
) -> None:
    """A server that does not answer with a certificate either refuses nobody in particular."""
    async with answering(server_context(setting.pki.leaf()), answer) as served:
        version, found = await setting.check(an_endpoint(f"{served.url}/x"))
    assert version == "TLSv1.3"
    assert {result.outcome for result in found.values()} == {Outcome.UNKNOWN}
    assert all("an ordinary request" in result.text for result in found.values())


async def test_nobody_there_and_nobody_answering_tell_nothing(setting: Setting) -> None:
    """A port that is closed, a server that is silent, a certificate that is not trusted."""
    nobody = an_endpoint(f"https://{HOST}:{free_port()}/x")
    assert await setting.outcomes(nobody) == ("unknown", "unknown")
    async with answering(server_context(setting.pki.leaf()), None) as served:
        silent = an_endpoint(f"{served.url}/x", timeout=0.3)
        assert await setting.outcomes(silent) == ("unknown", "unknown")
    async with answering(server_context(Pki().leaf()), UNAUTHORISED) as served:
        assert await setting.outcomes(an_endpoint(f"{served.url}/x")) == ("unknown", "unknown")


async def test_an_identity_or_a_trust_that_is_gone_tells_nothing(setting: Setting) -> None:
    """A reload took the identity away; a bundle was removed meanwhile."""
    gone = an_endpoint(f"https://{HOST}:1/x", identity="gone")
    assert await setting.outcomes(gone) == ("unknown", "unknown")
    (setting.folder / "root.pem").unlink()
    assert await setting.outcomes(an_endpoint(f"https://{HOST}:1/x")) == ("unknown", "unknown")


async def test_a_server_that_accepts_tls_1_1_is_a_finding(setting: Setting) -> None:
    """One that does 1.1 beside 1.2; the certificate it asks for is shown."""
    need("openssl")
    both = ("-no_tls1_3", "-cipher", "ALL:@SECLEVEL=0")
    with openssl_server(setting.folder, setting.pki.leaf(), *both) as port:
        version, found = await setting.check(an_endpoint(f"https://{HOST}:{port}/x"))
    assert version == "TLSv1.2"
    result = found[Check.TLS_1_1]
    if result.text == "this OpenSSL cannot offer TLS 1.1":
        assert result.outcome is Outcome.UNKNOWN
    else:
        assert result.outcome is Outcome.FOUND
        assert result.evidence["version"] == "TLSv1.1"


async def test_a_server_that_refuses_tls_1_1_with_an_alert_is_good(setting: Setting) -> None:
    """`openssl s_server` sends `protocol_version`, and asks nobody for a certificate."""
    need("openssl")
    with openssl_server(setting.folder, setting.pki.leaf(), "-tls1_2") as port:
        found = await setting.outcomes(an_endpoint(f"https://{HOST}:{port}/x"))
    assert found[1] == "good"


async def test_an_answer_that_stays_open_is_an_answer(setting: Setting) -> None:
    """A server that ignores `Connection: close` has answered once its head is there."""
    async with answering(server_context(setting.pki.leaf()), UNAUTHORISED, hold=True) as served:
        assert (await setting.outcomes(an_endpoint(f"{served.url}/x")))[0] == "found"


async def test_a_name_that_cannot_be_looked_up_tells_nothing(setting: Setting) -> None:
    """However impossible it is."""
    strange = an_endpoint(f"https://{'a' * 64}.example/x")
    assert await setting.outcomes(strange) == ("unknown", "unknown")
