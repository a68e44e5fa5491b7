"""The API over a real desk: a year that began, an outage, an incident, declarations, an assertion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from ruamel.yaml import YAML

from monitor.adapters.store import SqliteStore
from monitor.core.verdict import Evidence, TlsFacts
from monitor.operations import perform
from monitor.web.api.openapi import openapi
from monitor.web.api.table import PREFIX, ROUTES
from monitor.web.app import Health, build_app
from monitor.web.metrics import Metrics
from monitor.web.telemetry import PrometheusTelemetry
from monitor.web.tokens import Scope, Tokens, create_token
from tests.desks import ANNA, BERT, CONFIGURATION, START, Place, read_settings
from tests.web.world import LEAF, Identities

MINUTE = timedelta(minutes=1)
CERTIFICATE = {
    "subject": "CN=a",
    "issuer": "CN=b",
    "serial": "01",
    "not_before": "2026-01-01T00:00:00Z",
    "not_after": "2027-01-01T00:00:00Z",
    "names": ["a.example"],
    "sha256": "00" * 32,
}
IDENTITY = {
    "name": "live",
    "key": "EC secp256r1",
    "trust": "system",
    "digest": "00" * 32,
    "certificate": CERTIFICATE,
    "chain": [CERTIFICATE],
    "warnings": [],
}

_REGISTRY: Registry[Any] = Registry().with_resource(
    "urn:api",
    Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema"} | openapi()),
)


def tokens_file(folder: Path) -> tuple[Path, dict[str, str]]:
    """A file with a token of each scope, and a second admin's; the secrets by scope and `second`."""
    made = {scope.value: create_token(f"{scope.value}er", scope) for scope in Scope}
    made["second"] = create_token("seconder", Scope.ADMIN)
    path = folder / "tokens.yaml"
    with path.open("w") as file:
        YAML().dump([entry for _, entry in made.values()], file)
    return path, {name: secret for name, (secret, _) in made.items()}


async def answered(endpoint: str) -> Evidence:
    """A probe that saw a good answer."""
    return Evidence(endpoint, START, 0.05, status=404, tls=TlsFacts("TLSv1.3", "AES", (LEAF,)))


def app_of(place: Place, tokens: Tokens | None) -> web.Application:
    """The web application over a desk."""
    from dataclasses import replace

    desk = replace(place.desk, probe=answered, identities=lambda: [IDENTITY])

    async def ask(operation: str, arguments: Mapping[str, Any], author: str, **more: Any) -> Any:
        return await perform(desk, operation, arguments, author=author, **more)

    metrics = Metrics(desk, PrometheusTelemetry(), Identities())
    return build_app(desk, metrics, Health(), tokens, ask)


async def lived(place: Place) -> None:
    """An outage and its incident, three declarations, two assertions, over an hour of a morning."""
    await place.see("find-main", "up", START + 5 * MINUTE)
    place.clock.time = START
    await place.see("view-main", "up", START + 5 * MINUTE)
    await place.see("view-main", "down", START + 25 * MINUTE)
    await place.see("view-main", "up", START + 40 * MINUTE)
    window = {"start": "2026-03-24T00:00", "end": "2026-03-24T01:00", "reason": "upgrade"}
    told: list[tuple[str, dict[str, Any]]] = [
        ("downtime.declare", {**window, "notified_at": "2026-03-10T09:00", "ticket": "T-1"}),
        ("downtime.declare", {**window, "endpoints": ["view-main"], "kind": "emergency"}),
        ("downtime.declare", {**window, "holdernames": [ANNA], "change_class": "minor"}),
        ("downtime.cancel", {"id": "D-3"}),
        ("outage.assert", {"holdernames": [ANNA], "start": "2026-03-10T09:00", "reason": "x"}),
        (
            "outage.assert",
            {"holdernames": [BERT], "services": ["view"], "start": "2026-03-10T09:00",
             "end": "2026-03-10T09:10", "reason": "y"},
        ),
        ("outage.withdraw", {"id": "A-2"}),
        ("incident.acknowledge", {"id": "I-1"}),
        ("incident.update", {"id": "I-1", "text": "t", "cause": "c", "location": "own"}),
    ]  # fmt: skip
    for name, arguments in told:
        place.clock.time += timedelta(seconds=1)
        await perform(place.desk, name, arguments, author="ann")


def place_at(folder: Path) -> Place:
    """A desk on a real store in a folder."""
    path = folder / "store.db"
    text = f"{CONFIGURATION}store: {{url: 'sqlite:///{path}'}}\n"
    return Place(read_settings(folder, text), SqliteStore.open(path))


def validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(_absolute(schema), registry=_REGISTRY)


def _absolute(value: Any) -> Any:
    """The schema with its references made those of the whole document."""
    if isinstance(value, Mapping):
        return {
            name: f"urn:api{one}" if name == "$ref" else _absolute(one)
            for name, one in value.items()
        }
    return [_absolute(one) for one in value] if isinstance(value, list) else value


def described(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The path of the OpenAPI document that a request is of, and what it says of the method."""
    parts = path.split("/")
    found = []
    for known in openapi()["paths"]:
        names = known.split("/")
        if len(names) == len(parts) and all(
            name == part or name.startswith("{") for name, part in zip(names, parts, strict=True)
        ):
            found.append((sum(name.startswith("{") for name in names), known))
    _, best = min(found)
    operation: dict[str, Any] = openapi()["paths"][best][method.lower()]
    return best, operation


@dataclass
class Answer:
    """An answer that is as the OpenAPI document says."""

    status: int
    headers: Mapping[str, str]
    document: Any
    body: bytes


@dataclass
class Api:
    """A client that holds every answer against the OpenAPI document."""

    client: TestClient[web.Request, web.Application]
    place: Place
    secrets: dict[str, str] = field(default_factory=dict)
    seen: set[tuple[str, str, int]] = field(default_factory=set)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "admin",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        sent = dict(headers or {})
        if token is not None and self.secrets:
            sent.setdefault("Authorization", f"Bearer {self.secrets.get(token, token)}")
        url = PREFIX + path
        answer = await self.client.request(method, url, headers=sent, **more)
        return await self._checked(method, url.partition("?")[0], answer)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, document: Any = None, **more: Any) -> Answer:
        return await self.ask("POST", path, json={} if document is None else document, **more)

    async def _checked(self, method: str, path: str, answer: ClientResponse) -> Answer:
        known, operation = described(method, path)
        self.seen.add((method, known, answer.status))
        said = operation["responses"].get(str(answer.status))
        assert said is not None, f"{method} {path}: {answer.status} is not in the document"
        body = await answer.read()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if answer.status == 304:
            assert body == b""
            return Answer(304, answer.headers, None, body)
        if "$ref" in said:
            said = openapi()["components"]["responses"][said["$ref"].rsplit("/", 1)[1]]
        content = said["content"]
        media = "*/*" if "*/*" in content else answer.content_type
        assert media in content, (answer.content_type, body[:200])
        if not content[media]["schema"]:
            return Answer(answer.status, answer.headers, None, body)
        document = json.loads(body)
        faults = [
            f"{list(fault.absolute_path)}: {fault.message[:300]}"
            for fault in validator(content[media]["schema"]).iter_errors(document)
        ]
        assert faults == [], f"{method} {path}: {faults[:5]}"
        return Answer(answer.status, answer.headers, document, body)


ROUTED = [(route.method, PREFIX + route.path) for route in ROUTES]
