"""The control URL and the sink over HTTP."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from monitor.sandbox.modes import MODES, NOT_BY_A_SERVER


async def send(sandbox: Any, ident: str, body: str = '{"type":"test"}', **change: str) -> int:
    """Deliver a message signed with the sandbox's secret; the status of the answer."""
    now = datetime.now(UTC)
    secret = (sandbox.directory / "hook.secret").read_text().strip()
    headers = {
        "webhook-id": ident,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(ident, now, body),
        **change,
    }
    async with sandbox.session.post(
        sandbox.hook, data=body.encode(), headers=headers, timeout=aiohttp.ClientTimeout(total=0.5)
    ) as response:
        return int(response.status)


async def messages(sandbox: Any, query: str = "") -> list[dict[str, Any]]:
    async with sandbox.session.get(sandbox.hook + query) as response:
        found: list[dict[str, Any]] = (await response.json())["messages"]
        return found


async def test_modes_and_states_are_listed(sandbox: Any) -> None:
    """`GET /control` says what can be set, what is set, and which reasons are out of reach."""
    state = await sandbox.state()
    assert set(state["endpoints"]) == {"find-main", "view-main", "pat-main"}
    assert {each["mode"] for each in state["endpoints"].values()} == {"ok"}
    assert [each["mode"] for each in state["modes"]] == list(MODES)
    assert state["not_by_a_server"] == [reason.value for reason in NOT_BY_A_SERVER]
    assert state["sink"]["mode"] == "ok"


async def test_a_mode_can_be_set_by_path_and_query(sandbox: Any) -> None:
    """`curl -X POST .../control/all/status?code=500` needs no body."""
    control = sandbox.said["control"]
    async with sandbox.session.post(f"{control}/all/status?code=500&seconds=60") as response:
        assert response.status == 200
        document = await response.json()
    assert {each["options"]["code"] for each in document.values()} == {500}
    async with sandbox.session.delete(f"{control}/view-main") as response:
        assert (await response.json())["mode"] == "ok"
    async with sandbox.session.get(f"{control}/find-main") as response:
        assert (await response.json())["mode"] == "status"
    await sandbox.heal()
    modes = {each["mode"] for each in (await sandbox.state())["endpoints"].values()}
    assert modes == {"ok"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/view-main", "", 400, "JSON object"),
        ("POST", "/view-main", "[]", 400, "JSON object"),
        ("POST", "/view-main", '{"mode":"odd"}', 400, "must be one of ok"),
        ("POST", "/nowhere/refuse", "", 404, "there are find-main, view-main, pat-main, sink, all"),
        ("GET", "/nowhere", "", 404, "there are find-main"),
        ("PUT", "/view-main", "", 405, "Method Not Allowed"),
        ("POST", "/sink/refuse", "", 400, "must be one of ok, slow, hang, status"),
    ],
)
async def test_a_wrong_request_is_explained(
    sandbox: Any, method: str, path: str, body: str, status: int, said: str
) -> None:
    """Faults come as problem documents that name the choices, and change nothing."""
    url = sandbox.said["control"] + path
    async with sandbox.session.request(method, url, data=body) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert said in (await response.json())["detail"]
    modes = {each["mode"] for each in (await sandbox.state())["endpoints"].values()}
    assert modes == {"ok"}


async def test_the_root_says_what_to_do(sandbox: Any) -> None:
    """`/` is a page of plain text with examples to copy."""
    root = sandbox.said["control"].removesuffix("/control")
    async with sandbox.session.get(root + "/") as response:
        assert f"curl -X POST {root}/control/view-main/refuse" in await response.text()


async def test_the_sink_verifies_lists_and_forgets(sandbox: Any) -> None:
    """Good signatures are accepted, bad ones refused with 401; both are listed until cleared."""
    assert await send(sandbox, "msg_1") == 204
    assert await send(sandbox, "msg_1") == 204
    assert await send(sandbox, "msg_2", '{"type":"incident.opened"}') == 204
    assert await send(sandbox, "msg_3", **{"webhook-signature": "v1,AAAA"}) == 401
    found = [(each["id"], each["verified"], each["count"]) for each in await messages(sandbox)]
    assert found == [("msg_1", True, 2), ("msg_2", True, 1), ("msg_3", False, 1)]
    opened = await messages(sandbox, "?type=incident.opened")
    assert [each["id"] for each in opened] == ["msg_2"]
    sink = (await sandbox.state())["sink"]
    assert (sink["verified"], sink["refused"]) == (2, 1)
    async with sandbox.session.delete(sandbox.hook) as response:
        assert response.status == 204
    assert await messages(sandbox) == []


async def test_the_sink_fails_on_command(sandbox: Any) -> None:
    """While it fails nothing is kept; healed, it takes the same message."""
    for code in (500, 410, 429):
        await sandbox.set("sink", mode="status", code=code)
        assert await send(sandbox, "msg_1") == code
    await sandbox.set("sink", mode="hang")
    with pytest.raises(TimeoutError):
        await send(sandbox, "msg_1")
    sink = (await sandbox.state())["sink"]
    assert (sink["failed"], sink["verified"]) == (4, 0)
    await sandbox.set("sink", mode="slow", delay=0.05)
    assert await send(sandbox, "msg_1") == 204
    assert [each["count"] for each in await messages(sandbox)] == [1]


async def test_a_hanging_delivery_does_not_delay_the_end(directory: Any, start: Any) -> None:
    """The sandbox stops in time while deliveries and probes hang in it."""
    async with start(directory) as sandbox, asyncio.TaskGroup() as group:
        await sandbox.set("sink", mode="hang")
        await sandbox.set("view-main", mode="hang")

        async def hang(url: str, **options: Any) -> None:
            with pytest.raises(aiohttp.ClientError):
                await sandbox.session.post(url, **options)

        group.create_task(hang(sandbox.hook, data=b"{}"))
        group.create_task(hang(sandbox.url("view-main"), ssl=sandbox.context()))
        await sandbox.until(
            lambda state: state["endpoints"]["view-main"]["requests"] and state["sink"]["failed"]
        )
        await sandbox.stop()
