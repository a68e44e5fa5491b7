"""The listener over TLS: who is known by a client certificate, and who is not."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from ruamel.yaml import YAML

from monitor.adapters.listener import Listener, ListenerSpec
from monitor.web.app import WebServer
from monitor.web.tokens import Tokens, certificate_entry
from tests.servers import Pki, private
from tests.web.api.place import app_of, lived, place_at, tokens_file

WINDOW = {"start": "2026-04-21T00:00", "end": "2026-04-21T01:00", "reason": "upgrade"}


@dataclass
class Site:
    """A served API, who signs its certificate and its clients', and tokens by scope."""

    url: str
    pki: Pki
    secrets: dict[str, str]
    known: trustme.LeafCert

    async def ask(
        self,
        method: str,
        path: str,
        *,
        shown: trustme.LeafCert | None = None,
        token: str | None = None,
        **more: Any,
    ) -> tuple[int, Any]:
        context = ssl.create_default_context(cadata=self.pki.root.cert_pem.bytes().decode())
        if shown is not None:
            shown.configure_cert(context)
        headers = {} if token is None else {"Authorization": f"Bearer {self.secrets[token]}"}
        headers |= more.pop("headers", {})
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, self.url + path, ssl=context, **more) as answer,
        ):
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    pki = Pki()
    leaf, known = pki.leaf(), pki.leaf("deploy")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    private(tmp_path / "c.pem", chain)
    private(tmp_path / "k.pem", leaf.private_key_pem.bytes())
    authority = Path(pki.trust_file(tmp_path, "ca.pem"))
    path, secrets = tokens_file(tmp_path)
    der = ssl.PEM_cert_to_DER_cert(known.cert_chain_pems[0].bytes().decode())
    entries = [
        *YAML(typ="safe").load(path.read_text()),
        certificate_entry("deploy", "declare", der),
    ]
    YAML().dump(entries, path)
    place = place_at(tmp_path)
    await lived(place)
    spec = ListenerSpec(tmp_path / "c.pem", tmp_path / "k.pem", authority)
    context = await Listener(spec).open(datetime.now(UTC))
    server = WebServer(app_of(place, Tokens(path)), "127.0.0.1", 0, context)
    await server.start()
    yield Site(f"https://127.0.0.1:{server.port}", pki, secrets, known)
    await server.stop()
    place.store.close()


async def test_a_certificate_that_an_entry_names_is_a_way_in(site: Site) -> None:
    """It allows what its scope does, and its name is the author."""
    status, _ = await site.ask("GET", "/api/v1/status", shown=site.known)
    assert status == 200
    status, made = await site.ask("POST", "/api/v1/declarations", shown=site.known, json=WINDOW)
    assert (status, made["versions"][0]["author"]) == (201, "deploy")
    status, said = await site.ask("POST", "/api/v1/alerts/test", shown=site.known, json={})
    assert (status, "deploy has the scope declare" in said["detail"]) == (403, True)


async def test_another_certificate_says_nothing(site: Site) -> None:
    """Verified but named by no entry: a token is needed, and does."""
    other = site.pki.leaf("other")
    assert (await site.ask("GET", "/api/v1/status", shown=other))[0] == 401
    assert (await site.ask("GET", "/api/v1/status", shown=other, token="read"))[0] == 200
    assert (await site.ask("GET", "/api/v1/status"))[0] == 401
    assert (await site.ask("GET", "/api/v1/status", token="read"))[0] == 200


async def test_a_token_that_is_shown_comes_first(site: Site) -> None:
    """Whoever shows a token means it: its scope counts, and a wrong one is refused."""
    for scope, wanted in (("read", 403), ("declare", 201)):
        status, _ = await site.ask(
            "POST", "/api/v1/declarations", shown=site.known, token=scope, json=WINDOW
        )
        assert status == wanted
    wrong = {"Authorization": "Bearer wrong"}
    assert (await site.ask("GET", "/api/v1/status", shown=site.known, headers=wrong))[0] == 401


async def test_a_page_of_another_site_does_not_borrow_a_certificate(site: Site) -> None:
    """A browser shows it to every page's requests: what comes from another site changes nothing."""
    evil = {"Origin": "https://evil.example"}
    status, said = await site.ask(
        "POST", "/api/v1/declarations", shown=site.known, json=WINDOW, headers=evil
    )
    assert (status, said["type"]) == (403, "/problems/cross-site")


async def test_plain_http_is_not_answered(site: Site) -> None:
    """Where there is TLS there is nothing else."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(site.url.replace("https", "http"))
