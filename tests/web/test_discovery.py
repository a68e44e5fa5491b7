"""The public feed: what it says of the connection, to which versions, and what it keeps to itself."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.adapters.store import SqliteStore
from monitor.operations import perform
from monitor.web import discovery
from tests.desks import ANNA, CONFIGURATION, Place, read_settings
from tests.web.api.place import app_of

MINUTE = timedelta(minutes=1)
V1 = {"x-v": "1"}
INSTANT = {"type": "string", "format": "date-time"}
STATUS = {
    "type": "object",
    "required": ["data", "links", "meta"],
    "additionalProperties": False,
    "properties": {
        "data": {
            "type": "object",
            "required": ["status", "updateTime"],
            "additionalProperties": False,
            "properties": {
                "status": {"enum": ["OK", "PARTIAL_FAILURE", "UNAVAILABLE", "SCHEDULED_OUTAGE"]},
                "explanation": {"type": "string", "minLength": 1},
                "detectionTime": INSTANT,
                "expectedResolutionTime": INSTANT,
                "updateTime": INSTANT,
            },
        },
        "links": {"type": "object", "required": ["self"]},
        "meta": {"type": "object"},
    },
}
"""As the standards have it, written from their text."""


@pytest.fixture
async def asked(aiohttp_client: Any, tmp_path: Path) -> Any:
    """A place, and a client of it."""
    with SqliteStore.open(tmp_path / "store.db") as store:
        place = Place(read_settings(tmp_path), store)
        client = await aiohttp_client(app_of(place, None))

        async def ask(path: str, headers: dict[str, str] = V1) -> tuple[Any, Any]:
            answer = await client.get(f"/discovery/{path}", headers=headers)
            return answer, await answer.json()

        yield place, ask


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "KEPT_FOR", 0)


async def watched(place: Place, **results: str) -> None:
    """Both live endpoints seen for ten minutes from now."""
    begun = place.clock.time
    for name, result in results.items():
        place.clock.time = begun
        await place.see(name.replace("_", "-"), result, begun + 10 * MINUTE)


async def status(ask: Any) -> dict[str, Any]:
    answer, document = await ask("status")
    assert answer.status == 200
    jsonschema.validate(document, STATUS)
    data: dict[str, Any] = document["data"]
    assert ("explanation" in data) == (data["status"] != "OK")
    failing = data["status"] in ("PARTIAL_FAILURE", "UNAVAILABLE")
    assert ("detectionTime" in data) == failing
    return data


async def test_it_says_how_the_connection_stands(asked: Any) -> None:
    """Up is OK, some down is a partial failure, all down is unavailable; and again."""
    place, ask = asked
    await watched(place, find_main="up", view_main="up")
    assert (await status(ask))["status"] == "OK"
    await watched(place, find_main="up", view_main="down")
    found = await status(ask)
    assert found["status"] == "PARTIAL_FAILURE"
    assert found["detectionTime"] == "2026-03-10T09:11:00Z"
    await watched(place, find_main="down", view_main="down")
    assert (await status(ask))["status"] == "UNAVAILABLE"
    await watched(place, find_main="up", view_main="up")
    assert (await status(ask))["status"] == "OK"


async def test_an_endpoint_of_the_test_environment_does_not_count(asked: Any) -> None:
    """Only what dashboards use is told of."""
    place, ask = asked
    await watched(place, find_main="up", view_main="up", view_test="down")
    assert (await status(ask))["status"] == "OK"


async def test_not_knowing_is_never_ok(asked: Any) -> None:
    """Nothing seen yet, or not lately: 503, in the shape of the standards' errors."""
    place, ask = asked
    for _ in range(2):
        answer, document = await ask("status")
        assert answer.status == 503
        assert document["errors"][0]["code"].endswith("Service/Unavailable")
        await watched(place, find_main="up", view_main="up")
        assert (await status(ask))["status"] == "OK"
        place.clock.time += 10 * MINUTE


async def test_a_declared_window_is_a_scheduled_outage(asked: Any) -> None:
    """While it lasts, down or not, with its end; what is down beside it is a failure."""
    place, ask = asked
    window = {"start": "2026-03-10T09:05", "end": "2026-03-10T11:00", "reason": "secret reason"}
    told = {**window, "notified_at": "2026-03-10T09:00", "endpoints": ["view-main"]}
    await perform(place.desk, "downtime.declare", told, author="anna")
    await watched(place, find_main="up", view_main="up")
    found = await status(ask)
    assert found["status"] == "SCHEDULED_OUTAGE"
    assert found["expectedResolutionTime"] == "2026-03-10T11:00:00Z"
    await watched(place, find_main="up", view_main="down")
    assert (await status(ask))["status"] == "SCHEDULED_OUTAGE"
    await watched(place, find_main="down", view_main="down")
    assert (await status(ask))["status"] == "PARTIAL_FAILURE"


async def test_an_assertion_is_a_partial_failure(asked: Any) -> None:
    """What people say is unavailable is, until they say when it ended."""
    place, ask = asked
    await watched(place, find_main="up", view_main="up")
    said = {"holdernames": [ANNA], "start": "2026-03-10T09:05", "reason": "back end"}
    await perform(place.desk, "outage.assert", said, author="anna")
    assert (await status(ask))["status"] == "PARTIAL_FAILURE"
    await perform(place.desk, "outage.withdraw", {"id": "A-1"}, author="anna")
    assert (await status(ask))["status"] == "OK"


async def test_windows_to_come_are_listed(asked: Any) -> None:
    """Those MaPS was told of, ours alone, in order; drafts, cancelled ones and those over are not."""
    place, ask = asked
    for start, end, more in (
        ("2026-03-24T00:00", "2026-03-24T04:00", {"notified_at": "2026-03-10T09:00"}),
        (
            "2026-03-20T00:00",
            "2026-03-21T01:30",
            {"notified_at": "2026-03-10T09:00", "endpoints": ["view-main"], "kind": "emergency"},
        ),
        ("2026-03-25T00:00", "2026-03-25T04:00", {}),
        ("2026-03-26T00:00", "2026-03-26T04:00", {"kind": "maps"}),
        ("2026-03-27T00:00", "2026-03-27T04:00", {"notified_at": "2026-03-10T09:00"}),
        ("2026-03-01T00:00", "2026-03-01T04:00", {"notified_at": "2026-03-10T09:00"}),
    ):
        given = {"start": start, "end": end, "reason": "secret reason", **more}
        await perform(place.desk, "downtime.declare", given, author="anna")
    await perform(place.desk, "downtime.cancel", {"id": "D-5"}, author="anna")
    answer, document = await ask("outages")
    assert document["data"]["outages"] == [
        {
            "outageTime": "2026-03-20T00:00:00Z",
            "duration": "P1DT1H30M",
            "isPartial": True,
            "explanation": "Emergency maintenance.",
        },
        {
            "outageTime": "2026-03-24T00:00:00Z",
            "duration": "PT4H",
            "isPartial": False,
            "explanation": "Planned maintenance.",
        },
    ]
    assert answer.headers["x-v"] == "1"


async def test_nothing_is_named(asked: Any) -> None:
    """No endpoint, address, group, GUID, ticket, reason or person is in the feed."""
    place, ask = asked
    given = {"start": "2026-03-10T09:05", "end": "2026-03-10T11:00", "reason": "secret reason"}
    told = {**given, "notified_at": "2026-03-10T09:00", "ticket": "PDP-1", "holdernames": [ANNA]}
    await perform(place.desk, "downtime.declare", told, author="anna")
    await watched(place, find_main="down", view_main="up")
    for path in ("status", "outages"):
        _, document = await ask(path)
        document.pop("links")
        text = json.dumps(document)
        for secret in ("main", "example", ANNA, "pdp", "secret", "anna", "d-1"):
            assert secret not in text.lower().replace("maintenance", "")


@pytest.mark.parametrize(
    ("headers", "status_", "code"),
    [
        ({}, 400, "Header/Missing"),
        ({"x-v": "foo"}, 400, "Header/InvalidVersion"),
        ({"x-v": "0"}, 400, "Header/InvalidVersion"),
        ({"x-v": "1.0"}, 400, "Header/InvalidVersion"),
        ({"x-v": "1", "x-min-v": "x"}, 400, "Header/InvalidVersion"),
        ({"x-v": "2"}, 406, "Header/UnsupportedVersion"),
        ({"x-v": "5", "x-min-v": "2"}, 406, "Header/UnsupportedVersion"),
        ({"x-v": "3", "x-min-v": "3"}, 406, "Header/UnsupportedVersion"),
    ],
)
async def test_other_versions_are_refused_as_the_standards_say(
    asked: Any, headers: dict[str, str], status_: int, code: str
) -> None:
    """400 and 406 with the standards' codes."""
    _, ask = asked
    for path in ("status", "outages"):
        answer, document = await ask(path, headers)
        assert answer.status == status_
        assert document["errors"][0]["code"] == f"urn:au-cds:error:cds-all:{code}"


@pytest.mark.parametrize("headers", [{"x-v": "1", "x-min-v": "1"}, {"x-v": "4", "x-min-v": "1"}])
async def test_the_highest_version_of_a_span_is_spoken(asked: Any, headers: dict[str, str]) -> None:
    """x-min-v widens what will do; where it is no less than x-v, it is as if absent."""
    _, ask = asked
    answer, _ = await ask("outages", headers)
    assert (answer.status, answer.headers["x-v"]) == (200, "1")


async def test_it_is_worked_out_once_in_a_while(
    asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is asked; caches may keep it as long."""
    place, ask = asked
    monkeypatch.setattr(discovery, "KEPT_FOR", 60)
    await watched(place, find_main="up", view_main="up")
    first = await status(ask)
    await watched(place, find_main="down", view_main="down")
    answer, document = await ask("status")
    assert document["data"] == first
    assert answer.headers["Cache-Control"] == "public, max-age=60"


async def test_it_may_be_off_and_needs_no_token(aiohttp_client: Any, tmp_path: Path) -> None:
    """Open while it is there; not there when it is off."""
    from monitor.web.tokens import Tokens
    from tests.web.api.place import tokens_file

    path, _ = tokens_file(tmp_path)
    for more, wanted in (("", 503), ("http: {discovery: 'off'}\n", 404)):
        with SqliteStore.open(tmp_path / "store.db") as store:
            place = Place(read_settings(tmp_path, CONFIGURATION + more), store)
            client = await aiohttp_client(app_of(place, Tokens(path)))
            assert (await client.get("/discovery/status", headers=V1)).status == wanted
