"""What is refused: with the right status, logged, and nothing changed."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from monitor.adapters.store import SqliteStore
from monitor.web.api.table import PREFIX, ROUTES
from tests.web.api.place import Api
from tests.web.api.served import Served, served

WINDOW = {"start": "2026-04-21T00:00", "end": "2026-04-21T01:00", "reason": "upgrade"}


def told(api: Api) -> tuple[int, str]:
    assert isinstance(api.place.store, SqliteStore)
    return api.place.store.head()


def path_of(path: str) -> str:
    """A path of the table with names that there are."""
    names = {"endpoint": "view-main", "month": "2026-02"}
    name = {"/inc": "I-1", "/ass": "A-1", "/dec": "D-1"}.get(path[:4], "")
    for key, value in {**names, "id": name}.items():
        path = path.replace(f"{{{key}}}", value)
    return path


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_route_is_closed_to_who_may_not(api: Api, route: Any) -> None:
    """Without a token 401, with too small a scope 403; logged, and nothing is changed."""
    kept, path = told(api), path_of(route.path)
    small = {"read": None, "declare": "read", "admin": "declare"}[route.scope]
    body = {} if route.method == "GET" else {"json": {}}
    for token, status in ((None, 401), ("monitor_wrong", 401), (small, 403)):
        if token is None and status == 403:
            continue
        with capture_logs() as logs:
            answer = await api.ask(route.method, path, token=token, **body)
        assert answer.status == status
        assert logs[0]["event"] == ("token_refused" if status == 401 else "visitor_forbidden")
        assert "monitor_wrong" not in json.dumps(logs) + answer.body.decode()
    assert told(api) == kept


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if one.writes], ids=lambda route: route.path
)
async def test_without_tokens_nothing_is_written(loopback: Api, route: Any) -> None:
    """On loopback without tokens every write is refused, and says how to turn writing on."""
    kept = told(loopback)
    answer = await loopback.post(path_of(route.path))
    assert (answer.status, told(loopback)) == (403, kept)
    assert "monitor token create" in answer.document["detail"]


async def test_a_page_of_another_site_changes_nothing(api: Api) -> None:
    """Whatever token its browser may hold."""
    kept = told(api)
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await api.post("/declarations", WINDOW, headers=headers)
        assert (answer.status, answer.document["type"]) == (403, "/problems/cross-site")
    assert told(api) == kept


BODIES: tuple[tuple[str, bytes, str, int], ...] = (
    ("no JSON", b"{", "application/json", 400),
    ("no object", b"[]", "application/json", 400),
    ("NaN", b'{"reason": NaN}', "application/json", 400),
    ("Infinity", b'{"reason": -Infinity}', "application/json", 400),
    ("a name twice", b'{"reason": "a", "reason": "b"}', "application/json", 400),
    ("not UTF-8", b'{"reason": "\xff"}', "application/json", 400),
    ("a byte order mark", b'\xef\xbb\xbf{"reason": "a"}', "application/json", 400),
    ("half a pair", b'{"reason": "\\ud800"}', "application/json", 400),
    ("half a pair in a name", b'{"\\udfff": 1}', "application/json", 400),
    ("very deep", b'{"reason":' + b"[" * 100_000, "application/json", 400),
    ("deep", b'{"reason":' + b"[" * 50 + b"]" * 50 + b"}", "application/json", 400),
    ("a huge number", b'{"reason": ' + b"9" * 5000 + b"}", "application/json", 400),
    ("too much", b'{"reason": "' + b"a" * (1 << 20) + b'"}', "application/json", 413),
    ("a form", b"reason=a", "application/x-www-form-urlencoded", 415),
    ("text", b'{"reason": "a"}', "text/plain", 415),
    ("another charset", b'{"reason": "a"}', "application/json; charset=utf-16", 415),
    ("no type", b'{"reason": "a"}', "", 415),
    ("a number", b'{"reason": 1}', "application/json", 422),
    ("an unknown name", b'{"reasons": "a"}', "application/json", 422),
    ("too long a text", b'{"reason": "' + b"a" * 4001 + b'"}', "application/json", 422),
    ("an empty text", b'{"reason": ""}', "application/json", 422),
    ("a blank text", b'{"reason": "  "}', "application/json", 422),
)


@pytest.mark.parametrize(
    ("body", "kind", "status"), [one[1:] for one in BODIES], ids=[one[0] for one in BODIES]
)
async def test_a_body_that_will_not_do_changes_nothing(
    api: Api, body: bytes, kind: str, status: int
) -> None:
    """Malformed, huge, of another type or with the wrong members: refused as what it is."""
    kept = told(api)
    for path in ("/declarations/D-1/cancel", "/declarations/D-1/amend"):
        answer = await api.ask("POST", path, data=io.BytesIO(body), headers={"Content-Type": kind})
        assert answer.status == status, answer.document
    assert told(api) == kept


async def test_all_that_is_wrong_is_said_at_once(api: Api) -> None:
    """Each member at fault has a pointer, and the log says what was refused."""
    with capture_logs() as logs:
        answer = await api.post("/declarations", {"start": 1, "kind": "nap", "a/b~": None})
    assert {one["pointer"] for one in answer.document["errors"]} == {
        "#/start",
        "#/kind",
        "#/end",
        "#/reason",
        "#/a~1b~0",
    }
    assert logs[-1]["event"] == "request_refused"
    assert logs[-1]["author"] == "adminer"


@pytest.mark.parametrize(
    ("body", "status", "kind", "pointer"),
    [
        ({**WINDOW, "start": "2026-03-29T01:30"}, 422, "bad-instant", "#/start"),
        ({**WINDOW, "start": "2099-01-01"}, 422, "bad-instant", "#/start"),
        ({**WINDOW, "endpoints": ["view-mian"]}, 422, "unknown-name", "#/endpoints"),
        ({**WINDOW, "id": "D-1"}, 422, "invalid-argument", "#/id"),
    ],
)
async def test_what_an_operation_refuses_points_to_the_member(
    api: Api, body: dict[str, Any], status: int, kind: str, pointer: str
) -> None:
    """The member that is at fault is named; nothing is changed."""
    kept = told(api)
    answer = await api.post("/declarations", body)
    assert (answer.status, answer.document["type"]) == (status, f"/problems/{kind}")
    assert [one["pointer"] for one in answer.document["errors"]] == [pointer]
    assert told(api) == kept
    page = await api.client.get(answer.document["type"])
    assert (page.status, page.content_type) == (200, "text/plain")


@pytest.mark.parametrize(
    "path",
    [
        "/status?x=1",
        "/incidents?all=yes",
        "/incidents?all=true&all=true",
        "/incidents?state=ajar",
        "/incidents?limit=0",
        "/incidents?limit=5001",
        "/incidents?limit=-1",
        "/incidents?limit=%C2%B2",
        "/explain?id=view-main",
        "/explain?id=&at=2026-03-10",
        "/outages?month=2026-13",
        "/outages?month=%FF",
        "/holdernames?at=tomorrow",
    ],
)
async def test_a_query_that_will_not_do_is_refused(api: Api, path: str) -> None:
    """Unknown, doubled, missing or badly written parameters are 400, each named."""
    answer = await api.get(path)
    assert (answer.status, answer.document["type"]) == (400, "/problems/invalid-request")
    assert all(one["parameter"] for one in answer.document["errors"])


async def test_a_write_takes_no_query(api: Api) -> None:
    """What belongs into the body is not passed over in silence."""
    kept = told(api)
    answer = await api.post("/declarations?reason=x", WINDOW)
    assert (answer.status, told(api)) == (400, kept)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/endpoints/view-mian", 404),
        ("/endpoints/view-main%2F..%2F..%2Fstatus", 404),
        ("/endpoints/..%2f..%2fetc%2fpasswd", 404),
        ("/endpoints/%00", 404),
        ("/incidents/I-99", 404),
        ("/incidents/%E2%98%83", 404),
        ("/declarations/D-99/pack", 404),
        ("/months/2026-3", 422),
        ("/months/9999-12", 422),
        ("/months/..%2f2026-03", 422),
    ],
)
async def test_a_path_with_a_name_that_nobody_knows(api: Api, path: str, status: int) -> None:
    """Names in paths are names, whatever they try; the problem says which come near."""
    answer = await api.client.get(
        PREFIX + path, headers={"Authorization": f"Bearer {api.secrets['read']}"}
    )
    assert answer.status == status
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("path", ["/nowhere", "/status/", "//status", "/status/../ledger/head"])
async def test_what_is_not_there_and_what_is_not_allowed(api: Api, path: str) -> None:
    """Other paths are 404, other methods 405 with those that are; nothing is changed."""
    kept = told(api)
    known = {"Authorization": f"Bearer {api.secrets['admin']}"}
    url = f"http://{api.client.host}:{api.client.port}{PREFIX}{path}"
    found, _ = await asyncio.to_thread(
        raw, url, f"GET {PREFIX}{path} HTTP/1.1\r\nAuthorization: {known['Authorization']}".encode()
    )
    assert found == 404, url
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        answer = await api.client.request(method, f"{PREFIX}/declarations/D-1", headers=known)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")
    assert told(api) == kept


def raw(url: str, request: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem of what is sent as it stands."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), 10) as connection:
        connection.sendall(request + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"X-Content-Type-Options: nosniff" in head
    return int(head.split()[1]), json.loads(body)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1", 414),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 9000, 431),
        (b"GET / HTTP/1.1\r\nAuthorization: Bearer secret" + b"a" * 9000, 431),
        (b"GET / HTTP/1.1\r\n" + b"a" * 9000 + b": 1", 431),
        (b"GET / HTTP/1.1\r\n" + b"\r\n".join(b"X-%d: 1" % one for one in range(500)), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 6", 400),
    ],
)
def test_what_is_no_request_is_a_problem_too(place: Served, request_: bytes, status: int) -> None:
    """Too long or broken: said as such, logged without repeating what may be a secret."""
    with capture_logs() as logs:
        found, document = raw(place.url, request_)
    assert (found, document["status"]) == (status, status)
    assert [one["event"] for one in logs] == ["request_unreadable"]
    assert "secret" not in json.dumps(logs) + json.dumps(document)


async def test_a_store_that_cannot_be_written_says_when_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After; nothing was kept."""
    from monitor.errors import StoreUnwritable

    async def full(*_: Any) -> None:
        raise StoreUnwritable("the disk is full; free some space")

    kept = told(api)
    monkeypatch.setattr(SqliteStore, "commit", full)
    answer = await api.post("/declarations", WINDOW)
    assert (answer.status, answer.document["type"]) == (503, "/problems/store-unwritable")
    assert (answer.headers["Retry-After"], told(api)) == ("5", kept)


async def test_an_unexpected_error_shows_nothing_of_itself(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours is 500 with an instance that the log knows."""

    def broken(self: SqliteStore) -> tuple[int, str]:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(SqliteStore, "head", broken)
    answer = await api.get("/ledger/head")
    assert answer.status == 500
    assert "secret" not in answer.body.decode()


async def test_no_other_origin_is_let_in(api: Api) -> None:
    """CORS is off: no answer says that a page of another site may read it."""
    answer = await api.get("/status", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
