"""Alerts and silences over the API of a real Alertmanager, and what a bad one does."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from monitor.adapters.alertmanager import Alertmanager, Login
from monitor.core.delivery import Accepted, Outcome, Rejected, Retry
from monitor.core.interval import Interval
from monitor.core.silence import Found, Silence, matchers
from monitor.core.standing import Lease, Standing
from monitor.errors import ConfigError
from tests.adapters.test_webhook import Handler, serving
from tests.alertmanagers import EXAMPLE, Running, Sink, alertmanager, sink, wait_until
from tests.tools import find, free_port, need

LABELS = (("alertname", "MonitorIncident"), ("incident", "I-1"), ("severity", "critical"))
STANDS = Standing(LABELS, "Incident I-1: Größe", "see to it", page="/incidents/I-1")


@pytest.fixture(scope="module")
def hook() -> Iterator[Sink]:
    with sink() as seen:
        yield seen


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, hook: Sink) -> Iterator[Running]:
    with alertmanager(tmp_path_factory.mktemp("am"), hook.url) as running:
        yield running


def lease(**lasting: float) -> Lease:
    """One that began a minute ago and ends so long from now."""
    now = datetime.now(UTC)
    return Lease(STANDS, now - timedelta(minutes=1), now + timedelta(**lasting))


async def outcome_of(handler: Handler, login: Login | None = None) -> tuple[Outcome, str]:
    """What becomes of one telling, and the member's name."""
    async with serving(handler) as url:
        base = url.removesuffix("/hook/s3cr3t?token=t0k3n")
        member = Alertmanager(base, login=login, timeout=timedelta(seconds=1))
        try:
            return await member.tell([]), member.name
        finally:
            await member.close()


def test_the_example_is_a_good_configuration() -> None:
    """amtool finds no fault in config/alertmanager.yaml."""
    need("amtool")
    done = subprocess.run(
        [str(find("amtool")), "check-config", str(EXAMPLE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_an_alert_fires_and_is_resolved(real: Running, hook: Sink) -> None:
    """A lease is an active alert with our texts and link; a past end resolves it."""
    member = Alertmanager(real.url, public_url="https://monitor.example")
    try:
        assert await member.tell([lease(minutes=2)]) == Accepted()
        (seen,) = await asyncio.to_thread(real.alerts)
        assert seen["labels"] == dict(LABELS)
        assert seen["annotations"]["summary"] == "Incident I-1: Größe"
        assert seen["generatorURL"] == "https://monitor.example/incidents/I-1"
        assert seen["status"]["state"] == "active"
        fired = [("MonitorIncident", "firing")]
        await asyncio.to_thread(wait_until, lambda: hook.alerts() == fired)
        assert await member.tell([lease(seconds=-1)]) == Accepted()
        await asyncio.to_thread(
            wait_until, lambda: hook.alerts() == [*fired, ("MonitorIncident", "resolved")]
        )
    finally:
        await member.close()


async def test_silences_are_made_found_and_expired(real: Running) -> None:
    """What is made is found again, as it was asked for; those of others are not ours."""
    now = datetime.now(UTC)
    window = Interval(now + timedelta(hours=1), now + timedelta(hours=2))
    silence = Silence(window, matchers(["find.1", "view-1"]), "Declared downtime D-1: Größe")
    member, other = (Alertmanager(real.url, created_by=name) for name in ("a", "b"))
    try:
        assert await member.silence(silence) == Accepted()
        outcome, (there,) = await member.found()
        assert outcome == Accepted()
        assert there == Found(there.id, silence.matchers, silence.comment, over=False)
        assert await other.found() == (Accepted(), [])
        assert await member.expire(there.id) == Accepted()
        assert [one.over for one in (await member.found())[1]] == [True]
        assert await member.expire("00000000-0000-4000-8000-000000000000") == Accepted()
        started = Interval(now - timedelta(hours=1), now + timedelta(hours=1))
        assert await member.silence(Silence(started, matchers(["x"]), "D-2")) == Accepted()
    finally:
        await member.close()
        await other.close()


async def test_a_refusal_tells_what_the_alertmanager_said(real: Running) -> None:
    """A label that it does not take is a rejection with its own words."""
    bad = Standing((("alertname", "x"), ("not a name", "y")), "s", "d")
    now = datetime.now(UTC)
    member = Alertmanager(real.url)
    try:
        outcome = await member.tell([Lease(bad, now, now + timedelta(minutes=1))])
    finally:
        await member.close()
    assert isinstance(outcome, Rejected)
    assert "answered 400" in outcome.error
    assert "not a name" in outcome.error


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (500, Retry, "answered 500"),
        (503, Retry, "answered 503"),
        (429, Retry, "answered 429"),
        (404, Rejected, "answered 404; check the URL"),
        (401, Rejected, "answered 401; check username and password_file"),
        (302, Rejected, "answered 302: redirects are not followed"),
    ],
)
async def test_other_answers_are_told_apart(status: int, kind: type[Outcome], said: str) -> None:
    """5xx and 429 may pass, other refusals need somebody."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/x"})

    outcome, name = await outcome_of(answer)
    assert type(outcome) is kind
    assert isinstance(outcome, Retry | Rejected)
    assert said in outcome.error
    assert name in outcome.error


async def test_a_member_that_hangs_or_is_not_there_is_tried_again() -> None:
    """Each call takes a bounded time."""

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(3)
        return web.Response()

    outcome, _ = await outcome_of(hang)
    assert isinstance(outcome, Retry)
    assert "no answer within 1 s" in outcome.error
    member = Alertmanager(f"http://127.0.0.1:{free_port()}")
    outcome = await member.tell([])
    await member.close()
    assert isinstance(outcome, Retry)
    assert "could not connect" in outcome.error


@pytest.mark.parametrize("text", ["<html>", "{}", "[1]", '[{"createdBy": "monitor"}]'])
async def test_an_answer_that_is_no_list_of_silences_is_a_rejection(text: str) -> None:
    """Something else than an Alertmanager is never taken for one without silences."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text)

    async with serving(answer) as url:
        member = Alertmanager(url.removesuffix("/hook/s3cr3t?token=t0k3n"))
        outcome, found = await member.found()
        await member.close()
    if text == "{}":
        assert found == []
    else:
        assert isinstance(outcome, Rejected)


async def test_it_logs_in_with_what_its_files_hold_now(tmp_path: Path) -> None:
    """Password and token are read at each request, and never stand in a message."""
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=401)

    file = tmp_path / "secret"
    file.write_text("hunter2\n")
    basic, bearer = Login("me", file), Login(bearer_token_file=file)
    outcome, _ = await outcome_of(answer, basic)
    assert "hunter2" not in str(outcome)
    file.write_text("rotated")
    await outcome_of(answer, bearer)
    await outcome_of(answer)
    assert seen == [
        "Basic " + base64.b64encode(b"me:hunter2").decode(),
        "Bearer rotated",
        None,
    ]


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff", b"x" * 5000])
async def test_a_secret_that_cannot_be_read_is_no_crash(
    tmp_path: Path, content: bytes | None
) -> None:
    """It names the file and the cure, and is tried again: somebody may mend it."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"alerts\.alertmanager"):
        Login(bearer_token_file=file).headers()

    async def answer(request: web.Request) -> web.Response:
        raise AssertionError("asked without a login")

    outcome, _ = await outcome_of(answer, Login(bearer_token_file=file))
    assert isinstance(outcome, Retry)
    assert str(file) in outcome.error


async def test_a_member_is_trusted_by_its_ca_alone(tmp_path: Path) -> None:
    """With ca_file its certificate is accepted, without it refused; a bad file is a fault."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))

    async def answer(request: web.Request) -> web.Response:
        assert json.loads(await request.read()) == []
        return web.Response()

    async with serving(answer, context) as url:
        base = url.removesuffix("/hook/s3cr3t?token=t0k3n")
        trusting, plain = Alertmanager(base, ca_file=ca_file), Alertmanager(base)
        assert await trusting.tell([]) == Accepted()
        outcome = await plain.tell([])
        await trusting.close()
        await plain.close()
    assert isinstance(outcome, Retry)
    assert "certificate was not accepted" in outcome.error
    (tmp_path / "bad.pem").write_text("no certificate")
    for bad in ("bad.pem", "absent.pem"):
        with pytest.raises(ConfigError, match="name a PEM file"):
            Alertmanager(base, ca_file=tmp_path / bad)


def test_members_are_named_by_host_port_and_path() -> None:
    """Two members of one host are told apart in metrics."""
    names = [Alertmanager(url).name for url in ("http://am:9093", "https://am", "http://am/two")]
    assert names == ["alertmanager:am:9093", "alertmanager:am:443", "alertmanager:am:80/two"]
