"""The dead man's ping against a real receiver."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from monitor.adapters.dead_man import DeadMan
from monitor.core.delivery import Accepted, Outcome, Rejected, Retry
from tests.adapters.test_webhook import Handler, serving
from tests.tools import free_port

SECRET = "s3cr3t"


async def pinged(handler: Handler) -> Outcome:
    async with serving(handler) as url:
        dead_man = DeadMan(url, timeout=timedelta(seconds=1))
        try:
            return await dead_man.ping()
        finally:
            await dead_man.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, Accepted), (503, Retry), (429, Retry), (404, Rejected), (302, Rejected)],
)
async def test_only_a_good_answer_counts(status: int, kind: type[Outcome]) -> None:
    """A redirect, such as to a login page, is no ping; no message has the URL's path."""

    async def answer(request: web.Request) -> web.Response:
        assert request.method == "GET"
        return web.Response(status=status, headers={"Location": "/"})

    outcome = await pinged(answer)
    assert type(outcome) is kind
    assert SECRET not in str(outcome)


async def test_silence_and_absence_are_bounded() -> None:
    """A receiver that hangs, or is not there, costs no more than the time-out."""

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(3)
        return web.Response()

    outcome = await pinged(hang)
    assert isinstance(outcome, Retry)
    assert "no answer within 1 s" in outcome.error
    absent = DeadMan(f"http://127.0.0.1:{free_port()}/{SECRET}")
    outcome = await absent.ping()
    await absent.close()
    assert isinstance(outcome, Retry)
    assert SECRET not in outcome.error


async def test_the_url_may_be_a_secret_in_a_file(tmp_path: Path) -> None:
    """It is read at each ping; what cannot be used is told by the file's name alone."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response()

    file = tmp_path / "ping.url"
    async with serving(answer) as url:
        file.write_text(url + "\n")
        dead_man = DeadMan(None, file)
        assert await dead_man.ping() == Accepted()
        assert seen == ["/hook/s3cr3t"]
        for content in (
            b"",
            b"ftp://h/s3cr3t",
            b"https://h/s3cr3t two",
            b"\xff",
            b"http://[s3cr3t",
        ):
            file.write_bytes(content)
            outcome = await dead_man.ping()
            assert isinstance(outcome, Rejected)
            assert str(file) in outcome.error
            assert SECRET not in outcome.error
        file.unlink()
        assert isinstance(await dead_man.ping(), Rejected)
        await dead_man.close()
