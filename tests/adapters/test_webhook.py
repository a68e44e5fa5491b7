"""Webhooks, sent to a real HTTP server and verified by the reference library."""

import asyncio
import base64
import json
import random
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import aiohttp
import pytest
import standardwebhooks
import trustme
from aiohttp import web
from structlog.testing import capture_logs

from monitor.adapters.clock import SystemClock
from monitor.adapters.store import SqliteStore
from monitor.adapters.webhook import (
    SecretFiles,
    WebhookNotifier,
    event_body,
    new_session,
    parse_retry_after,
    redacted,
)
from monitor.core.alert import Event
from monitor.core.delivery import Accepted, Outcome, Rejected, Retry
from monitor.dispatch import Dispatcher
from monitor.errors import ConfigError
from monitor.ports import Change, Delivery
from tests.tools import free_port

AT = datetime(2026, 3, 1, 12, 0, 0, 250000, tzinfo=UTC)
EVENT = Event(AT, "incident.opened", "I-1", {"note": "Größe ≤ £5", "b": [1, 2], "a": None})
DELIVERY = Delivery(1, "ops", "msg_27", EVENT, 0, AT, "pending", None)
OLD = "whsec_" + base64.b64encode(b"old" * 10).decode()
NEW = "whsec_" + base64.b64encode(b"new" * 10).decode()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sink:
    """A receiver: keeps what came, answers what it is told to."""

    def __init__(self, status: int = 204, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
        self.got: list[tuple[dict[str, str], bytes]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers=self.headers)


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A real server on loopback; gives the URL of its hook."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}/hook/s3cr3t?token=t0k3n"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sender(
    url: str, *secrets: Path, give_up: timedelta = timedelta(seconds=5)
) -> AsyncIterator[WebhookNotifier]:
    keys = SecretFiles(secrets) if secrets else None
    notifier = WebhookNotifier("ops", url, clock=SystemClock(), keys=keys, timeout=give_up)
    try:
        yield notifier
    finally:
        await notifier.close()


def secret_file(folder: Path, content: str | bytes, name: str = "hook.secret") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


async def outcome_of(handler: Handler, **options: timedelta) -> Outcome:
    async with serving(handler) as url, sender(url, **options) as notifier:
        return await notifier.send(DELIVERY)


@pytest.mark.parametrize("secret", [NEW, f"\n {NEW} \r\n", NEW.rstrip("=")])
async def test_the_reference_library_verifies_what_we_sign(tmp_path: Path, secret: str) -> None:
    """A signed request passes the Standard Webhooks library and carries the contract's body."""
    sink = Sink()
    async with serving(sink) as url, sender(url, secret_file(tmp_path, secret)) as notifier:
        assert await notifier.send(DELIVERY) == Accepted()
    headers, body = sink.got[0]
    assert standardwebhooks.Webhook(NEW).verify(body, headers) == {
        "type": "incident.opened",
        "timestamp": "2026-03-01T12:00:00.250000Z",
        "data": EVENT.data,
    }
    assert headers["webhook-id"] == "msg_27"
    assert headers["Content-Type"] == "application/json"
    assert abs(int(headers["webhook-timestamp"]) - SystemClock().now().timestamp()) < 60


async def test_a_plain_text_secret_signs_as_it_stands(tmp_path: Path) -> None:
    """A secret without the prefix is the key itself, white space around it dropped."""
    sink, file = Sink(), secret_file(tmp_path, "correct horse battery\n")
    async with serving(sink) as url, sender(url, file) as notifier:
        await notifier.send(DELIVERY)
    headers, body = sink.got[0]
    standardwebhooks.Webhook(b"correct horse battery").verify(body, headers)


@pytest.mark.parametrize("in_one_file", [True, False])
async def test_two_secrets_give_two_signatures(tmp_path: Path, in_one_file: bool) -> None:
    """While rotating, receivers with the old secret and those with the new both verify."""
    if in_one_file:
        files = [secret_file(tmp_path, f"{NEW}\n\n{OLD}\n")]
    else:
        files = [secret_file(tmp_path, NEW), secret_file(tmp_path, OLD, "previous")]
    sink = Sink()
    async with serving(sink) as url, sender(url, *files) as notifier:
        await notifier.send(DELIVERY)
    headers, body = sink.got[0]
    first, second = headers["webhook-signature"].split(" ")
    for secret, signature in ((NEW, first), (OLD, second)):
        alone = {**headers, "webhook-signature": signature}
        standardwebhooks.Webhook(secret).verify(body, alone)
        standardwebhooks.Webhook(secret).verify(body, headers)


async def test_a_changed_secret_is_used_without_a_restart(tmp_path: Path) -> None:
    """The next attempt after a change of the file signs with the new secret."""
    file, sink = secret_file(tmp_path, OLD), Sink()
    previous = tmp_path / "previous"
    async with serving(sink) as url, sender(url, file, previous) as notifier:
        await notifier.send(DELIVERY)
        previous.write_text(OLD)
        file.write_text(NEW)
        await notifier.send(DELIVERY)
        previous.unlink()
        await notifier.send(DELIVERY)
    signed = [headers["webhook-signature"].split(" ") for headers, _ in sink.got]
    assert [len(signatures) for signatures in signed] == [1, 2, 1]
    standardwebhooks.Webhook(OLD).verify(sink.got[0][1], sink.got[0][0])
    standardwebhooks.Webhook(NEW).verify(sink.got[2][1], sink.got[2][0])


@pytest.mark.parametrize("content", [b"", b"whsec_!!!", None])
async def test_a_bad_change_keeps_the_old_secret(tmp_path: Path, content: bytes | None) -> None:
    """A file that is emptied, spoilt or gone leaves the old secret in use, and the log says so."""
    file, sink = secret_file(tmp_path, OLD), Sink()
    async with serving(sink) as url, sender(url, file) as notifier:
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        with capture_logs() as logs:
            assert await notifier.send(DELIVERY) == Accepted()
    standardwebhooks.Webhook(OLD).verify(sink.got[0][1], sink.got[0][0])
    assert [entry["event"] for entry in logs] == ["webhook_secret_kept"]
    assert "!!!" not in str(logs)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "hook.secret: webhook secret: does not exist; write the secret there"),
        (b" \n ", "holds no secret"),
        (b"\nwhsec_abc!def\n", "hook.secret:2: webhook secret: what follows whsec_ is not base64"),
        (b"whsec_", "nothing follows whsec_"),
        (b"whsec_\xff", "is not UTF-8 text"),
        (b"one\ntwo\nthree", "3 secrets, and at most 2 can sign"),
        (b"x" * 5000, "is longer than 4096 bytes"),
    ],
)
def test_a_bad_secret_at_start_is_a_fault(tmp_path: Path, content: bytes | None, says: str) -> None:
    """The fault names the file and the cure, and never shows the secret."""
    if content is not None:
        secret_file(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        SecretFiles([tmp_path / "hook.secret"])
    assert says in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "abc!def" not in str(caught.value)


def test_a_secret_that_is_a_folder_is_a_fault(tmp_path: Path) -> None:
    """What cannot be read is told with the system's reason."""
    with pytest.raises(ConfigError, match="cannot be read"):
        SecretFiles([tmp_path])


async def test_without_a_secret_there_is_no_signature() -> None:
    """An unsigned webhook carries id and timestamp only."""
    sink = Sink()
    assert await outcome_of(sink) == Accepted()
    assert "webhook-signature" not in sink.got[0][0]
    assert sink.got[0][0]["webhook-id"] == "msg_27"


def test_the_body_is_the_same_bytes_at_every_attempt() -> None:
    """The order of keys in the event's data does not show."""
    data = dict(sorted(EVENT.data.items()))
    assert event_body(replace(EVENT, data=data)) == event_body(EVENT)
    body = event_body(EVENT).decode()
    assert body.startswith('{"type":"incident.opened","timestamp":"2026-03-01T12:00:00.250000Z"')
    assert "≤ £5" in body


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_accepts(status: int) -> None:
    """Success is any 2xx."""
    assert await outcome_of(Sink(status)) == Accepted()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
async def test_what_may_pass_is_retried(status: int) -> None:
    """Overload and faults of the receiver are retried, after what it asks for."""
    outcome = await outcome_of(Sink(status, {"Retry-After": "120"}))
    assert isinstance(outcome, Retry)
    assert outcome.after == timedelta(minutes=2)
    assert f"answered {status}" in outcome.error


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
async def test_other_4xx_are_rejected(status: int) -> None:
    """What the receiver says is our fault is not tried again."""
    outcome = await outcome_of(Sink(status))
    assert isinstance(outcome, Rejected)
    assert f"answered {status}" in outcome.error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_never_followed(status: int) -> None:
    """A redirect is rejected, and the place it names is not asked."""
    sink = Sink(status, {"Location": "/elsewhere"})
    outcome = await outcome_of(sink)
    assert isinstance(outcome, Rejected)
    assert "configure the final URL" in outcome.error
    assert len(sink.got) == 1


def no_secret(error: str) -> None:
    assert "127.0.0.1:" in error
    for part in ("hook", "s3cr3t", "t0k3n"):
        assert part not in error


async def test_a_silent_receiver_is_retried() -> None:
    """No answer within the time-out is a retry, told without the URL's path."""

    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    outcome = await outcome_of(hang, give_up=timedelta(milliseconds=100))
    assert isinstance(outcome, Retry)
    assert "no answer within 0.1 s" in outcome.error
    no_secret(outcome.error)


async def test_a_dropped_connection_is_retried() -> None:
    """A connection closed without an answer is a retry."""

    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    outcome = await outcome_of(drop)
    assert isinstance(outcome, Retry)
    no_secret(outcome.error)


async def test_a_refused_connection_is_retried() -> None:
    """Nobody listening is a retry that says so."""
    url = f"http://user:pass@127.0.0.1:{free_port()}/hook?token=t0k3n"
    async with sender(url) as notifier:
        outcome = await notifier.send(DELIVERY)
    assert isinstance(outcome, Retry)
    assert "could not connect" in outcome.error
    assert "pass" not in outcome.error
    no_secret(outcome.error)


async def test_an_untrusted_certificate_is_retried() -> None:
    """TLS is verified, and a certificate that cannot be trusted is named as the cause."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    sink = Sink()
    async with serving(sink, tls) as url, sender(url) as notifier:
        outcome = await notifier.send(DELIVERY)
    assert isinstance(outcome, Retry)
    assert "certificate was not accepted" in outcome.error
    assert sink.got == []
    no_secret(outcome.error)


async def test_an_endless_answer_is_not_read() -> None:
    """The status decides at once, whatever the body goes on with."""

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=200)
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 65536)

    assert await outcome_of(endless, give_up=timedelta(seconds=20)) == Accepted()


async def test_a_body_that_never_comes_does_not_undo_the_status() -> None:
    """An answer that stalls after its headers counts as what its status says."""

    async def stall(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=200)
        answer.content_length = 10
        await answer.prepare(request)
        await asyncio.sleep(60)
        return answer

    assert await outcome_of(stall, give_up=timedelta(milliseconds=100)) == Accepted()


async def test_the_session_is_made_by_the_factory_once() -> None:
    """All attempts share the one session that the factory made."""
    made: list[aiohttp.ClientSession] = []

    def make() -> aiohttp.ClientSession:
        made.append(new_session())
        return made[-1]

    async with serving(Sink()) as url:
        notifier = WebhookNotifier("ops", url, clock=SystemClock(), keys=None, sessions=make)
        assert made == []
        await notifier.send(DELIVERY)
        await notifier.send(DELIVERY)
        await notifier.close()
    assert len(made) == 1
    assert made[0].closed


def test_retry_after_is_read_as_seconds_or_date() -> None:
    """Both forms of RFC 9110 are understood; nonsense is no wait, a past date an empty one."""
    now = AT.replace(microsecond=0)
    later = format_datetime(now + timedelta(hours=2), usegmt=True)
    cases: Sequence[tuple[str | None, timedelta | None]] = [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        (" 30 ", timedelta(seconds=30)),
        ("9" * 400, timedelta(seconds=10**9)),
        (later, timedelta(hours=2)),
        (format_datetime(now - timedelta(hours=2), usegmt=True), timedelta(0)),
        ("Sun, 01 Mar 2026 12:00:10 -0000", timedelta(seconds=10)),
    ]
    for value, wait in cases:
        assert parse_retry_after(value, now) == wait, value


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example/T0/B1?x=1#y", "https://hooks.example/..."),
        ("https://u:p@hooks.example:8443", "https://hooks.example:8443/..."),
        ("http://[::1]:9000/a", "http://[::1]:9000/..."),
    ],
)
def test_a_url_is_shown_by_scheme_and_host(url: str, shown: str) -> None:
    """Path, query and userinfo of a webhook are secrets."""
    assert redacted(url) == shown


class Hurry(random.Random):
    """Draws waits of at most a few milliseconds."""

    def random(self) -> float:
        return super().random() / 200


async def test_a_thousand_events_reach_a_flaky_receiver_in_order(tmp_path: Path) -> None:
    """Over 50 keys everything arrives, verified, in order per key, however the receiver fails."""
    chance = random.Random(11)
    verifier = standardwebhooks.Webhook(NEW)
    accepted: defaultdict[str, list[int]] = defaultdict(list)
    ids: dict[tuple[str, int], set[str]] = defaultdict(set)

    async def flaky(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        data = verifier.verify(body, dict(request.headers))["data"]
        ids[data["key"], data["n"]].add(request.headers["webhook-id"])
        fate = chance.random()
        if fate < 0.1:
            return web.Response(status=503)
        if fate < 0.15:
            assert request.transport is not None
            request.transport.abort()
        elif fate < 0.2:
            return web.Response(status=429, headers={"Retry-After": "0"})
        else:
            accepted[data["key"]].append(data["n"])
        return web.Response(status=204)

    now = SystemClock().now()
    events = [
        Event(now, "incident.updated", f"I-{n % 50}", {"key": f"I-{n % 50}", "n": n // 50})
        for n in range(1000)
    ]
    with SqliteStore.open(tmp_path / "monitor.db") as store:
        async with serving(flaky) as url, sender(url, secret_file(tmp_path, NEW)) as notifier:
            dispatcher = Dispatcher(store, [notifier], SystemClock(), rng=Hurry(3))
            task = asyncio.create_task(dispatcher.run())
            for start in range(0, 1000, 100):
                change = Change(events=events[start : start + 100], receivers=["ops"])
                await store.commit(change)
                dispatcher.wake()
            async with asyncio.timeout(90):
                while await store.next_due("ops") is not None:  # noqa: ASYNC110 seen from outside
                    await asyncio.sleep(0.02)
            dispatcher.stop()
            await task
        assert await store.dead() == []
    assert accepted == {f"I-{key}": list(range(20)) for key in range(50)}
    assert {len(seen) for seen in ids.values()} == {1}


async def test_what_was_accepted_but_not_recorded_comes_again_with_its_id(tmp_path: Path) -> None:
    """Killed after the receiver took it, before that was stored: one repeat, the same id."""
    sink = Sink()
    arrived, hold = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        answer = await sink(request)
        arrived.set()
        await hold.wait()
        return answer

    path = tmp_path / "monitor.db"
    async with serving(slow) as url, sender(url) as notifier:
        with SqliteStore.open(path) as store:
            await store.commit(
                Change(events=[replace(EVENT, at=SystemClock().now())], receivers=["ops"])
            )
            task = asyncio.create_task(Dispatcher(store, [notifier], SystemClock()).run())
            await asyncio.wait_for(arrived.wait(), 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        hold.set()
        with SqliteStore.open(path) as store:
            dispatcher = Dispatcher(store, [notifier], SystemClock())
            task = asyncio.create_task(dispatcher.run())
            async with asyncio.timeout(20):
                while await store.next_due("ops") is not None:  # noqa: ASYNC110 seen from outside
                    await asyncio.sleep(0.01)
            dispatcher.stop()
            await task
    (first, body), (second, again) = sink.got
    assert first["webhook-id"] == second["webhook-id"]
    assert json.loads(body) == json.loads(again)
    assert body == again
