"""The pages over a real desk: real operations, a real store, tokens of every scope, and a clock to set."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer
from playwright.async_api import Page
from ruamel.yaml import YAML
from yarl import URL

from monitor.operations import perform
from monitor.snapshot import Document
from monitor.web.app import Health, build_app
from monitor.web.metrics import Metrics
from monitor.web.telemetry import PrometheusTelemetry
from monitor.web.tokens import Scope, Tokens, create_token
from tests.desks import CONFIGURATION, Place, read_settings
from tests.fakes import MemoryStore
from tests.web.world import Identities

HTML = {"Accept": "text/html"}


class Site:
    """A running web server over a `Place`. `secrets` holds the token of each scope; `url` its address.

    The tokens are named `reader`, `ops` and `boss`, after their scopes read, declare and admin.
    """

    NAMES: Mapping[Scope, str] = {
        Scope.READ: "reader",
        Scope.DECLARE: "ops",
        Scope.ADMIN: "boss",
    }

    def __init__(self, folder: Path, configuration: str = CONFIGURATION) -> None:
        self.place = Place(read_settings(folder, configuration), MemoryStore())
        self.tokens_path = folder / "tokens.yaml"
        self.secrets: dict[Scope, str] = {}
        self.entries: dict[Scope, dict[str, str]] = {}
        for scope, name in self.NAMES.items():
            self.secrets[scope], self.entries[scope] = create_token(name, scope)
        self.write_tokens(*Scope)
        self.clock = 0.0
        self.tokens = Tokens(self.tokens_path, clock=lambda: self.clock)
        self.reasons: list[str] = []
        self.identities: list[Document] = []
        self.url = ""

    def write_tokens(self, *scopes: Scope) -> None:
        """Leave only these in the file; it is read again once `clock` has moved on by a second."""
        with self.tokens_path.open("w") as file:
            YAML().dump([self.entries[scope] for scope in scopes], file)

    async def ask(self, operation: str, arguments: Mapping[str, Any], author: str) -> Document:
        desk = replace(self.place.desk, identities=lambda: self.identities)
        return await perform(desk, operation, arguments, author=author)

    @property
    def facts(self) -> int:
        """How many facts the ledger holds: what a refused request must not change."""
        return len(list(self.place.store.facts()))

    async def see(self, endpoint: str, result: str, until: datetime) -> None:
        await self.place.see(endpoint, result, until)

    @asynccontextmanager
    async def serving(self, *, tokens: bool = True) -> AsyncIterator[Site]:
        metrics = Metrics(self.place.desk, PrometheusTelemetry(), Identities())
        app = build_app(
            self.place.desk,
            metrics,
            Health(lambda: self.reasons),
            self.tokens if tokens else None,
            self.ask,
        )
        async with TestServer(app, host="127.0.0.1") as server:
            self.url = str(server.make_url("")).rstrip("/")
            yield self

    async def log_in(self, page: Page, scope: Scope = Scope.ADMIN, person: str = "") -> None:
        """Log in as a person would, and end on the overview."""
        await page.goto(f"{self.url}/login")
        await page.get_by_label("Token").fill(self.secrets[scope])
        await page.get_by_label("Your name").fill(person)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(f"{self.url}/")


@dataclass
class Visitor:
    """A client that asks for pages and keeps cookies, as a browser without scripts does."""

    http: aiohttp.ClientSession
    site: Site

    async def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        """Status, where it sends to, and text."""
        answer = await self.http.get(
            f"{self.site.url}{path}", headers={**HTML, **headers}, allow_redirects=False
        )
        return answer.status, answer.headers.get("Location", ""), await answer.text()

    async def post(self, path: str, form: dict[str, str], **headers: str) -> tuple[int, str, str]:
        answer = await self.http.post(
            f"{self.site.url}{path}",
            data=form,
            headers={**HTML, **{name.replace("_", "-"): value for name, value in headers.items()}},
            allow_redirects=False,
        )
        return answer.status, answer.headers.get("Location", ""), await answer.text()

    async def log_in(self, scope: Scope = Scope.ADMIN, person: str = "") -> str:
        """Log in; the token of the session's forms."""
        form = {"token": self.site.secrets[scope], "person": person}
        assert (await self.post("/login", form))[0] == 303
        return await self.csrf()

    async def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.get("/"))[2])
        assert found is not None
        return found[1]

    def plant(self, cookie: str) -> None:
        self.http.cookie_jar.update_cookies({"monitor": cookie}, URL(self.site.url))

    @property
    def cookie(self) -> str:
        (found,) = [one.value for one in self.http.cookie_jar]
        return found
