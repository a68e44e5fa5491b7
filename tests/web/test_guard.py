"""Who may do what: scopes, and writing while there are no tokens."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from ruamel.yaml import YAML
from structlog.testing import capture_logs

from monitor.web.guard import TOKENS, VISITOR, WAYS, by_basic, by_bearer, guard, needs
from monitor.web.problem import problems
from monitor.web.tokens import Scope, Tokens, create_token

Client = TestClient[web.Request, web.Application]
Open = Callable[..., Awaitable[Client]]


async def unmarked(request: web.Request) -> web.Response:
    visitor = request[VISITOR]
    return web.json_response([visitor.name, visitor.scope.value, visitor.by.value])


@needs(Scope.ADMIN)
async def for_admins(request: web.Request) -> web.Response:
    return web.json_response("done")


@needs(None)
async def for_all(request: web.Request) -> web.Response:
    return web.json_response("seen")


@pytest.fixture
def secrets(tmp_path: Path) -> tuple[Tokens, dict[str, str]]:
    """A token of each scope, by the scope's name."""
    made = {scope.value: create_token(f"{scope.value}er", scope) for scope in Scope}
    path = tmp_path / "tokens.yaml"
    with path.open("w") as file:
        YAML().dump([entry for _, entry in made.values()], file)
    return Tokens(path), {name: secret for name, (secret, _) in made.items()}


@pytest.fixture
def opened(aiohttp_client: Any) -> Open:
    async def start(tokens: Tokens | None) -> Client:
        app = web.Application(middlewares=[problems, guard])
        app[TOKENS], app[WAYS] = tokens, [by_basic, by_bearer]
        app.router.add_route("*", "/unmarked", unmarked)
        app.router.add_post("/admin", for_admins)
        app.router.add_get("/open", for_all)
        client: Client = await aiohttp_client(app)
        return client

    return start


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_a_token_reads_and_writes_as_its_scope_allows(
    opened: Open, secrets: tuple[Tokens, dict[str, str]]
) -> None:
    """Reading needs `read`, a method that may change something `declare`, an admin's page `admin`."""
    tokens, known = secrets
    client = await opened(tokens)
    seen = {}
    for scope, secret in known.items():
        headers = bearer(secret)
        seen[scope] = [
            (await client.get("/unmarked", headers=headers)).status,
            (await client.post("/unmarked", headers=headers)).status,
            (await client.delete("/unmarked", headers=headers)).status,
            (await client.post("/admin", headers=headers)).status,
        ]
    assert seen == {
        "read": [200, 403, 403, 403],
        "declare": [200, 200, 200, 403],
        "admin": [200, 200, 200, 200],
    }
    answer = await client.get("/unmarked", headers=bearer(known["declare"]))
    assert await answer.json() == ["declareer", "declare", "token"]


async def test_a_refusal_names_what_is_needed_and_is_logged(
    opened: Open, secrets: tuple[Tokens, dict[str, str]]
) -> None:
    """Too small a scope is 403, and the log says who wanted what."""
    tokens, known = secrets
    client = await opened(tokens)
    with capture_logs() as logs:
        answer = await client.post("/admin", headers=bearer(known["read"]))
    assert answer.status == 403
    document = await answer.json(content_type=None)
    assert "has the scope read, and this needs admin" in document["detail"]
    (entry,) = [one for one in logs if one["event"] == "visitor_forbidden"]
    assert (entry["visitor"], entry["needed"], entry["path"]) == ("reader", "admin", "/admin")


async def test_without_tokens_reading_is_open_and_writing_off(opened: Open) -> None:
    """On loopback without tokens everybody may read; a write says how to turn writing on."""
    client = await opened(None)
    answer = await client.get("/unmarked")
    assert await answer.json() == ["", "read", "loopback"]
    refused = await client.post("/unmarked")
    assert refused.status == 403
    assert "monitor token create" in (await refused.json(content_type=None))["detail"]
    assert (await client.post("/admin", headers=bearer("x"))).status == 403


async def test_what_is_open_to_all_asks_for_nothing(
    opened: Open, secrets: tuple[Tokens, dict[str, str]]
) -> None:
    """A handler marked open answers without a token, and with a wrong one."""
    client = await opened(secrets[0])
    assert (await client.get("/open")).status == 200
    assert (await client.get("/open", headers=bearer("wrong"))).status == 200
    assert (await client.get("/unmarked", headers=bearer("wrong"))).status == 401
    assert (await client.get("/unmarked")).status == 401


# -- other ways in, and astray -------------------------------------------------------------------


def basic(secret: str, user: str = "anybody") -> dict[str, str]:
    coded = b64encode(f"{user}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {coded}"}


async def test_a_token_may_come_as_a_password(
    opened: Open, secrets: tuple[Tokens, dict[str, str]]
) -> None:
    """Calendar programs and scrapers know only names and passwords: any name, the token."""
    tokens, known = secrets
    client = await opened(tokens)
    for user in ("anybody", "", "ünicode"):
        answer = await client.get("/unmarked", headers=basic(known["read"], user))
        assert await answer.json() == ["reader", "read", "token"]
    refused = await client.post("/unmarked", headers=basic(known["read"]))
    assert refused.status == 403
    for header in ("Basic", "Basic !", "Basic ====", basic("wrong")["Authorization"], "Basic eA=="):
        refused = await client.get("/unmarked", headers={"Authorization": header})
        assert refused.status == 401
        assert 'Basic realm="monitor"' in refused.headers["WWW-Authenticate"]
    page = await client.get("/unmarked", headers={"Accept": "text/html,*/*"})
    assert "Basic" not in page.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9464", "localhost:1", "[::1]:9464", "127.8.8.8", "LOCALHOST"]
)
async def test_without_tokens_loopback_names_are_answered(opened: Open, host: str) -> None:
    """Whoever asks this machine by a name of its own is answered."""
    client = await opened(None)
    assert (await client.get("/unmarked", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "", "a@b"],
)
async def test_without_tokens_another_name_is_misdirected(opened: Open, host: str) -> None:
    """A web page that made its own name lead here reads nothing, and the log says so."""
    client = await opened(None)
    with capture_logs() as logs:
        answer = await client.get("/open", headers={"Host": host})
    assert answer.status == 421
    assert (await answer.json(content_type=None))["type"] == "/problems/misdirected"
    assert [one["event"] for one in logs] == ["request_astray"]


async def test_with_tokens_any_name_will_do(
    opened: Open, secrets: tuple[Tokens, dict[str, str]]
) -> None:
    """Behind a proxy the name is another; the token says who asks."""
    client = await opened(secrets[0])
    headers = bearer(secrets[1]["read"]) | {"Host": "monitor.example"}
    assert (await client.get("/unmarked", headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_a_page_of_another_site_writes_nothing(
    opened: Open, secrets: tuple[Tokens, dict[str, str]], headers: dict[str, str]
) -> None:
    """What a browser sends for another site's page is refused, even with a good token."""
    client = await opened(secrets[0])
    sent = {**bearer(secrets[1]["admin"]), **headers}
    answer = await client.post("/unmarked", headers=sent)
    assert answer.status == 403
    assert (await answer.json(content_type=None))["type"] == "/problems/cross-site"
    assert (await client.get("/unmarked", headers=sent)).status == 200
    own = {"Origin": f"http://{client.host}:{client.port}", "Sec-Fetch-Site": "same-origin"}
    answer = await client.post("/unmarked", headers=bearer(secrets[1]["admin"]) | own)
    assert answer.status == 200
