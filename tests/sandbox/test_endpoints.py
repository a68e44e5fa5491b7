"""The stand-ins over real mutual TLS, asked by clients that are not the product's prober."""

import asyncio
import re
import socket
import ssl
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from monitor.sandbox.answers import REGISTERED_ASSET
from tests.tools import need


async def s_client(sandbox: Any, name: str, *extra: str) -> str:
    """What `openssl s_client` prints of a request to an endpoint."""
    files = [str(file) for file in sandbox.client_files()]
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{sandbox.port(name)}"]
    command += ["-servername", "localhost", "-CAfile", str(sandbox.directory / "server-ca.pem")]
    if "-no_certificate" not in extra:
        command += ["-cert", files[0], "-cert_chain", files[0], "-key", files[1]]
    command += [each for each in extra if each != "-no_certificate"]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    request = f"GET /view/{uuid4()} HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {uuid4()}\r\n\r\n"
    process.stdin.write(request.encode())
    async with asyncio.timeout(10):
        output = await process.stdout.read()
        process.stdin.close()
        await process.wait()
    return output.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("setting", "extra", "alert"),
    [
        ({"mode": "wrong_client_ca"}, ("-tls1_3",), "alert unknown ca"),
        ({"mode": "wrong_client_ca"}, ("-tls1_2",), "alert unknown ca"),
        ({"mode": "wrong_client_ca", "tls": "1.2"}, (), "alert unknown ca"),
        ({"mode": "tls_alert"}, ("-tls1_3",), "alert certificate revoked"),
        ({"mode": "tls_alert", "alert": "handshake_failure"}, (), "alert handshake failure"),
        ({"mode": "ok"}, ("-tls1_3", "-no_certificate"), "alert certificate required"),
    ],
)
async def test_openssl_hears_the_alert(
    sandbox: Any, setting: dict[str, str], extra: tuple[str, ...], alert: str
) -> None:
    """A refusal reaches the client as a TLS alert, also after a TLS 1.3 handshake."""
    need("openssl")
    await sandbox.set("view-main", **setting)
    output = await s_client(sandbox, "view-main", *extra)
    assert alert in output
    if "-tls1_3" in extra:
        # The handshake had succeeded for the client.
        assert "Cipher is TLS_" in output


async def test_tls_1_1_is_all_that_is_offered(sandbox: Any) -> None:
    """An old server answers in TLS 1.1, which a client of today refuses."""
    need("openssl")
    await sandbox.set("view-main", mode="tls_old")
    assert "unsupported protocol" in await s_client(sandbox, "view-main", "-tls1_2")
    lax = ("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")
    assert "Protocol  : TLSv1.1" in await s_client(sandbox, "view-main", *lax)


async def test_openssl_gets_an_answer_when_all_is_well(sandbox: Any) -> None:
    """With the pack, and the server CA trusted, the connection verifies and is answered."""
    need("openssl")
    output = await s_client(sandbox, "view-main", "-verify_return_error")
    assert "Verify return code: 0 (ok)" in output
    assert "HTTP/1.1 404 Not Found" in output


async def test_a_client_that_sends_no_chain_is_refused(sandbox: Any) -> None:
    """The servers trust the root alone, as real ones may: the issuing CA must be sent."""
    context = sandbox.context(pack=False)
    pack = sandbox.directory / "pack"
    context.load_cert_chain(pack / "certificate", pack / "certPrivateKey", password="")
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await sandbox.session.get(f"{sandbox.url('view-main')}/{uuid4()}", ssl=context)


async def test_find_and_pat_refresh_want_a_token(sandbox: Any) -> None:
    """A tokenless POST gets 401, and so does one whose token cannot be valid."""
    for name in ("find-main", "pat-main"):
        status, headers, _ = await sandbox.ask("POST", sandbox.url(name))
        assert status == 401
        assert headers["www-authenticate"] == 'Bearer realm="PensionDashboard"'
        sent = {"X-Request-ID": str(uuid4()), "Authorization": "Bearer x"}
        status, headers, _ = await sandbox.ask("POST", sandbox.url(name), sent)
        assert (status, headers["x-request-id"]) == (401, sent["X-Request-ID"])


async def test_view_offers_a_ticket_for_the_registered_asset_only(sandbox: Any) -> None:
    """The registered asset gets 401 with realm, as_uri and a fresh ticket; any other gets 404."""
    url = f"{sandbox.url('view-main')}/{REGISTERED_ASSET}?scope=owner"
    tickets = set()
    for _ in range(2):
        status, headers, _ = await sandbox.ask("GET", url)
        assert status == 401
        found = re.fullmatch(
            r'realm="PensionDashboard", as_uri="https://[^"]+", ticket="([^"]+)"',
            headers["www-authenticate"],
        )
        assert found
        tickets.add(found[1])
    assert len(tickets) == 2
    status, headers, _ = await sandbox.ask("GET", f"{sandbox.url('view-main')}/{uuid4()}")
    assert status == 404
    assert "www-authenticate" not in headers


async def test_a_failure_is_seen_by_one_endpoint_alone_and_ends_by_itself(sandbox: Any) -> None:
    """A mode with `seconds` touches no other endpoint, and is over when they are."""
    state = await sandbox.set("view-main", mode="refuse", seconds=0.3)
    assert state["until"]
    with pytest.raises(aiohttp.ClientConnectorError):
        await sandbox.ask("GET", sandbox.url("view-main"))
    assert (await sandbox.ask("POST", sandbox.url("find-main")))[0] == 401
    await sandbox.until(lambda state: state["endpoints"]["view-main"]["mode"] == "ok")
    assert (await sandbox.ask("GET", f"{sandbox.url('view-main')}/{uuid4()}"))[0] == 404


async def test_a_taken_port_is_listened_on_again_once_it_is_free(sandbox: Any) -> None:
    """Healing after `refuse` waits for whoever took the port meanwhile."""
    await sandbox.set("view-main", mode="refuse")
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", sandbox.port("view-main")))
        thief.listen()
        await sandbox.heal()
    async with asyncio.timeout(5):
        while True:
            try:
                status, _, _ = await sandbox.ask("GET", f"{sandbox.url('view-main')}/{uuid4()}")
                break
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
    assert status == 404


async def test_statuses_carry_their_headers(sandbox: Any) -> None:
    """429 and 503 say Retry-After, a redirect its Location, and 204 has no body."""
    url = f"{sandbox.url('view-main')}/{uuid4()}"
    for code, name, value in [
        (429, "retry-after", "7"),
        (503, "retry-after", "7"),
        (302, "location", "/elsewhere"),
    ]:
        await sandbox.set("view-main", mode="status", code=code, retry_after=7)
        status, headers, _ = await sandbox.ask("GET", url)
        assert (status, headers[name]) == (code, value)
    await sandbox.set("view-main", mode="status", code=204)
    assert (await sandbox.ask("GET", url))[::2] == (204, b"")


async def test_what_was_asked_is_shown(sandbox: Any) -> None:
    """The control URL counts requests and shows the last one, with the client's name."""
    request_id = str(uuid4())
    await sandbox.ask("POST", sandbox.url("find-main"), {"X-Request-ID": request_id})
    state = (await sandbox.state())["endpoints"]["find-main"]
    assert state["requests"] == 1
    last = state["last_request"]
    assert (last["method"], last["target"], last["request_id"]) == ("POST", "/find", request_id)
    assert (last["client"], last["tls"]) == ("sandbox-monitor", "TLSv1.3")


async def raw(sandbox: Any, *pieces: bytes) -> bytes:
    """What the Find endpoint answers to bytes sent as they are."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        sandbox.port("find-main"),
        ssl=sandbox.context(),
        server_hostname="localhost",
    )
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


async def test_what_is_not_http_is_answered_with_400(sandbox: Any) -> None:
    """Nonsense and headers without end get 400, not silence."""
    assert (await raw(sandbox, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert (await raw(sandbox, b"GET / HTTP/1.1\r\nno colon\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    endless = b"GET / HTTP/1.1\r\nx: " + b"x" * 40_000
    assert (await raw(sandbox, endless)).startswith(b"HTTP/1.1 400 ")


async def test_a_body_is_read_and_thrown_away(sandbox: Any) -> None:
    """A body that comes after its headers does not cut the answer short."""
    head = f"POST /find HTTP/1.1\r\nX-Request-ID: {uuid4()}\r\nContent-Length: 200000\r\n\r\n"
    answered = await raw(sandbox, head.encode(), b"x" * 100_000, b"x" * 100_000)
    assert answered.startswith(b"HTTP/1.1 401 ")
