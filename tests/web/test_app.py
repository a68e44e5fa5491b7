"""The HTTP face, asked over real sockets."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from ruamel.yaml import YAML
from structlog.testing import capture_logs

from monitor import __version__
from monitor.core.verdict import Evidence, Reason
from monitor.errors import UnknownName, UsageError
from monitor.web.app import HEADERS, PROBES, Desk, Health, WebServer, build_app
from monitor.web.tokens import FAILURES, Tokens, create_token
from tests.web.samples import Samples, families
from tests.web.world import World, endpoint, evidence, make_world

Client = TestClient[web.Request, web.Application]
Open = Callable[..., Awaitable[Client]]


@pytest.fixture
def opened(aiohttp_client: Any, world: World) -> Open:
    """Opens a client of an application over the world."""

    async def start(health: Health | None = None, tokens: Tokens | None = None) -> Client:
        app = build_app(world, world.metrics(), health or Health(), tokens, world.ask)
        client: Client = await aiohttp_client(app)
        return client

    return start


async def problem_of(answer: aiohttp.ClientResponse, status: int) -> dict[str, Any]:
    """The problem document of an answer, after a look at its form."""
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    document: dict[str, Any] = await answer.json(content_type=None)
    assert document["status"] == status
    assert document["type"] == "about:blank"
    assert document["title"]
    assert document["detail"]
    return document


def test_a_desk_is_what_the_pages_ask_for(world: World) -> None:
    """The daemon's own desk, and the one of these tests, have all that the pages need."""
    desk: Desk = world
    assert desk.probe is None


# -- pages ---------------------------------------------------------------------------------------


async def test_every_answer_carries_the_security_headers(opened: Open) -> None:
    """Pages, metrics and errors alike: strict policy, no sniffing, no framing, no versions."""
    client = await opened()
    for path in ("/", "/metrics", "/healthz", "/readyz", "/probe", "/nowhere"):
        answer = await client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value


async def test_metrics_are_served_as_asked_for(opened: Open) -> None:
    """Plain by default; gzip and OpenMetrics where the request accepts them."""
    client = await opened()
    plain = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert plain.status == 200
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "Content-Encoding" not in plain.headers
    seen = Samples(families(await plain.text()))
    assert seen("monitor_incidents", state="open") == 1
    zipped = await client.get(
        "/metrics",
        headers={"Accept-Encoding": "gzip", "Accept": "application/openmetrics-text;version=1.0.0"},
    )
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert (await zipped.text()).endswith("# EOF\n")
    head = await client.head("/metrics")
    assert (head.status, await head.read()) == (200, b"")


async def test_the_status_page_shows_every_endpoint_escaped(
    aiohttp_client: Any, world: World
) -> None:
    """Version, and each endpoint with its state; names are text, never markup."""
    world = make_world([endpoint("<b>a</b>")])
    world.observe("<b>a</b>", "uuu")
    client = await aiohttp_client(build_app(world, world.metrics(), Health(), None, world.ask))
    answer = await client.get("/")
    text = await answer.text()
    assert answer.content_type == "text/html"
    assert f"monitor {__version__}" in text
    assert '<a href="/endpoints/%3Cb%3Ea%3C/b%3E">&lt;b&gt;a&lt;/b&gt;</a>' in text
    assert '<span class="state up">up</span>' in text
    assert "<b>a" not in text


async def test_alive_and_ready_are_two_things(opened: Open) -> None:
    """A daemon that cannot store is alive and not ready, and says why."""
    reasons: list[str] = []
    health = Health(lambda: reasons)
    client = await opened(health)
    answer = await client.get("/readyz")
    assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": []})
    reasons.append("the store cannot be written")
    document = await problem_of(await client.get("/readyz"), 503)
    assert document["ready"] is False
    assert document["reasons"] == ["the store cannot be written"]
    assert (await client.get("/healthz")).status == 200
    health.ready = False
    document = await problem_of(await client.get("/readyz"), 503)
    assert document["reasons"] == ["not started yet", "the store cannot be written"]


# -- probes on demand ----------------------------------------------------------------------------


async def test_a_probe_is_made_and_told(opened: Open, world: World) -> None:
    """The endpoint named is probed once, and the answer tells of that probe."""
    asked = []

    async def probe(name: str) -> Evidence:
        asked.append(name)
        return evidence(name, status=503)

    world.probe = probe
    client = await opened()
    answer = await client.get("/probe", params={"endpoint": "view-main", "debug": "true"})
    seen = Samples(families(await answer.text()))
    assert asked == ["view-main"]
    assert seen("probe_success") == 0
    assert seen("probe_http_status_code") == 503


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 400, "/probe?endpoint=ID"),
        ("?target=https://example.org&module=http_2xx", 400, "only configured endpoints"),
        ("?endpoint=nobody", 404, '"nobody"'),
        ("?endpoint=https://example.org/", 404, "no endpoint"),
        ("?endpoint=", 404, "no endpoint"),
        ("?endpoint=view-main", 503, "no daemon"),
    ],
)
async def test_a_probe_that_cannot_be_made_is_refused(
    opened: Open, query: str, status: int, says: str
) -> None:
    """Only configured endpoints are probed; whatever else is named gets a problem."""
    client = await opened()
    document = await problem_of(await client.get(f"/probe{query}"), status)
    assert says in document["detail"]


async def test_an_endpoint_that_goes_during_the_request_is_unknown(
    opened: Open, world: World
) -> None:
    """Taken out of the configuration between the look and the probe: not found."""

    async def probe(name: str) -> Evidence:
        raise UnknownName("it is gone")

    world.probe = probe
    client = await opened()
    await problem_of(await client.get("/probe?endpoint=view-main"), 404)


async def test_probes_on_demand_are_bounded(opened: Open, world: World) -> None:
    """Beyond so many at once a request is sent away, and may come again later."""
    gate, full = asyncio.Event(), asyncio.Event()
    under_way: list[str] = []

    async def probe(name: str) -> Evidence:
        under_way.append(name)
        if len(under_way) == PROBES:
            full.set()
        await gate.wait()
        return evidence(name)

    world.probe = probe
    client = await opened()
    waiting = [
        asyncio.create_task(client.get("/probe?endpoint=view-main").__aenter__())
        for _ in range(PROBES)
    ]
    await full.wait()
    refused = await client.get("/probe?endpoint=find-main")
    await problem_of(refused, 503)
    assert refused.headers["Retry-After"] == "5"
    gate.set()
    assert {(await task).status for task in waiting} == {200}
    assert (await client.get("/probe?endpoint=find-main")).status == 200


# -- errors --------------------------------------------------------------------------------------


async def test_wrong_pages_and_methods_are_problems(opened: Open) -> None:
    """404 and 405 are problem documents; 405 says what is allowed."""
    client = await opened()
    await problem_of(await client.get("/nowhere"), 404)
    await problem_of(await client.get("/metrics/../../etc/passwd"), 404)
    answer = await client.post("/metrics", data="x")
    await problem_of(answer, 405)
    assert answer.headers["Allow"] == "GET,HEAD"


async def test_an_unexpected_error_shows_an_id_and_nothing_else(opened: Open, world: World) -> None:
    """What went wrong stands in the log under an id; the answer holds only that id."""

    async def probe(name: str) -> Evidence:
        raise RuntimeError("password=geheim")

    world.probe = probe
    client = await opened()
    with capture_logs() as logged:
        answer = await client.get("/probe?endpoint=view-main")
    document = await problem_of(answer, 500)
    assert "geheim" not in str(document)
    assert "RuntimeError" not in str(document)
    assert [one["id"] for one in logged] == [document["instance"].removeprefix("urn:uuid:")]


# -- tokens --------------------------------------------------------------------------------------


@pytest.fixture
def secrets(tmp_path: Path) -> tuple[Tokens, dict[str, str]]:
    """A file of one token of each scope; the tokens in force, and the secrets by scope."""
    made = {scope: create_token(scope, scope) for scope in ("read", "declare", "admin")}
    path = tmp_path / "tokens.yaml"
    with path.open("w") as file:
        YAML().dump([entry for _, entry in made.values()], file)
    return Tokens(path), {scope: secret for scope, (secret, _) in made.items()}


async def test_every_page_but_the_sign_of_life_needs_a_token(
    opened: Open, secrets: tuple[Tokens, dict[str, str]]
) -> None:
    """Without a token all is refused, also what does not exist; with any scope it is read."""
    tokens, known = secrets
    client = await opened(tokens=tokens)
    assert (await client.get("/healthz")).status == 200
    for path in ("/", "/metrics", "/readyz", "/probe", "/nowhere", "/healthz/"):
        answer = await client.get(path)
        await problem_of(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="monitor"')
    for secret in known.values():
        answer = await client.get("/metrics", headers={"Authorization": f"bearer {secret}"})
        assert answer.status == 200


@pytest.mark.parametrize(
    "header",
    ["Bearer nonsense", "Bearer ", "Basic YWRtaW46YWRtaW4=", "Bearer", "", "Bearer ünicode"],
)
async def test_a_wrong_token_is_refused(
    opened: Open, secrets: tuple[Tokens, dict[str, str]], header: str
) -> None:
    """Whatever else stands in the header, the answer is 401 and a challenge."""
    client = await opened(tokens=secrets[0])
    answer = await client.get("/metrics", headers={"Authorization": header})
    document = await problem_of(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "nonsense" not in str(document)


async def test_failures_are_put_off_and_a_good_token_passes(
    opened: Open, secrets: tuple[Tokens, dict[str, str]]
) -> None:
    """A peer that fails too often is told to wait; a good token from the same peer still passes."""
    tokens, known = secrets
    client = await opened(tokens=tokens)
    wrong = {"Authorization": "Bearer wrong"}
    statuses = [(await client.get("/", headers=wrong)).status for _ in range(FAILURES + 1)]
    assert statuses == [401] * FAILURES + [429]
    answer = await client.get("/", headers=wrong)
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    good = {"Authorization": f"Bearer {known['read']}"}
    assert (await client.get("/", headers=good)).status == 200


# -- the server ----------------------------------------------------------------------------------


async def test_the_server_listens_and_stops(world: World) -> None:
    """On port 0 it takes a free port and says which; stopped, nothing listens there."""
    server = WebServer(build_app(world, world.metrics(), Health(), None, world.ask), "127.0.0.1", 0)
    await server.start()
    url = f"http://127.0.0.1:{server.port}/healthz"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert await answer.text() == "alive\n"
        await server.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)


async def test_a_taken_port_is_told_with_the_cure(world: World) -> None:
    """Another program on the port: the error names address and setting."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server = WebServer(
            build_app(world, world.metrics(), Health(), None, world.ask), "127.0.0.1", port
        )
        with pytest.raises(UsageError, match=rf"port {port}.*http\.listen"):
            await server.start()


async def test_reasons_of_a_failed_probe_reach_the_page(opened: Open, world: World) -> None:
    """A refused connection is told with its reason."""

    async def probe(name: str) -> Evidence:
        return evidence(name, failure=Reason.CONNECT_REFUSED)

    world.probe = probe
    client = await opened()
    answer = await client.get("/probe?endpoint=pat-main")
    assert 'result="down"' in (text := await answer.text())
    assert 'reason="connect_refused"' in text
