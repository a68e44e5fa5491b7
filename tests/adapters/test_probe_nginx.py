"""Probing a real nginx that demands client certificates, with a pack made by openssl alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.adapters.clock import SystemClock
from monitor.adapters.probe import AiohttpProber
from monitor.adapters.tls import Contexts
from monitor.core.identity import IdentitySpec
from monitor.core.verdict import Evidence, Reason, Result, Verdict, judge
from tests.nginx import Nginx, nginx_server
from tests.servers import HOST, an_endpoint
from tests.tools import free_port


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx_server(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
async def prober(nginx: Nginx) -> AsyncIterator[AiohttpProber]:
    root = str(nginx.folder / "root.pem")
    contexts = Contexts()
    specs = [
        IdentitySpec(name, pack=str(nginx.folder / name), trust=root)
        for name in ("live", "foreign-pack")
    ]
    await contexts.replace(specs, [], now=datetime.now(UTC))
    prober = AiohttpProber(contexts, SystemClock(), user_agent="pensions-monitor/test")
    await prober.start()
    yield prober
    await prober.close()


async def ask(prober: AiohttpProber, url: str, **more: Any) -> tuple[Evidence, Verdict]:
    endpoint = an_endpoint(url, **more)
    evidence = await prober.probe(endpoint)
    return evidence, judge(evidence, endpoint.expectation)


@pytest.mark.parametrize(
    ("path", "result", "reason"),
    [
        ("/view", Result.UP, Reason.OK),
        ("/lost", Result.UP, Reason.OK),
        ("/broken", Result.DOWN, Reason.STATUS_5XX),
        ("/moved", Result.DOWN, Reason.REDIRECT),
        ("/open", Result.UP, Reason.AUTHORISATION_MISSING),
        ("/busy", Result.IMPAIRED, Reason.RATE_LIMITED),
    ],
)
async def test_answers_are_told_apart(
    nginx: Nginx, prober: AiohttpProber, path: str, result: Result, reason: Reason
) -> None:
    """With the pack accepted, each answer of nginx has its reason."""
    evidence, verdict = await ask(prober, nginx.url(path))
    assert (verdict.result, verdict.reason) == (result, reason), evidence
    assert evidence.tls.version == "TLSv1.3"
    assert evidence.tls.chain[0].subject == "CN=good"


async def test_slow(nginx: Nginx, prober: AiohttpProber) -> None:
    """An upstream that takes long makes the endpoint impaired."""
    limit = timedelta(milliseconds=100)
    _, verdict = await ask(prober, nginx.url("/slow"), impaired_above=limit)
    assert (verdict.result, verdict.reason) == (Result.IMPAIRED, Reason.SLOW)


async def test_response_timeout(nginx: Nginx, prober: AiohttpProber) -> None:
    """An upstream that never answers."""
    evidence, verdict = await ask(prober, nginx.url("/silent"), timeout=0.2)
    assert (verdict.result, verdict.reason) == (Result.DOWN, Reason.RESPONSE_TIMEOUT)
    assert evidence.phases.tls is not None


async def test_connect_refused(prober: AiohttpProber) -> None:
    """nginx is not there."""
    _, verdict = await ask(prober, f"https://{HOST}:{free_port()}/view")
    assert (verdict.result, verdict.reason) == (Result.DOWN, Reason.CONNECT_REFUSED)


async def test_a_refused_pack_is_never_up(nginx: Nginx, prober: AiohttpProber) -> None:
    """nginx refuses a certificate of another CA with status 400 after a good handshake."""
    evidence, verdict = await ask(prober, nginx.url("/view"), identity="foreign-pack")
    assert (verdict.result, verdict.reason) == (Result.DOWN, Reason.TLS_REFUSED)
    assert evidence.status == 400
    assert "The SSL certificate error" in evidence.head


@pytest.mark.parametrize(
    ("server", "gist"),
    [
        ("expired", "certificate has expired"),
        ("wrong", "IP address mismatch"),
        ("untrusted", "unable to get local issuer certificate"),
    ],
)
async def test_a_bad_server_certificate(
    nginx: Nginx, prober: AiohttpProber, server: str, gist: str
) -> None:
    """Expired, wrong name and untrusted are all tls_certificate, and say which."""
    evidence, verdict = await ask(prober, nginx.url("/view", server))
    assert (verdict.result, verdict.reason) == (Result.DOWN, Reason.TLS_CERTIFICATE)
    assert gist in evidence.detail
    assert evidence.tls.chain[0].subject == f"CN={server}"
