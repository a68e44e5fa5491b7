"""What every page has: static files by the digest of their content."""

import re
from datetime import timedelta
from typing import Any

from aiohttp.test_utils import make_mocked_request

from monitor.web.app import Health, build_app
from monitor.web.pages import FOR_GOOD, frame_of, static_address
from tests.web.world import World


async def test_static_files_are_kept_for_good_under_their_digest(
    aiohttp_client: Any, world: World
) -> None:
    """A page names its style by digest; the file may be kept, says its type and is never sniffed."""
    client = await aiohttp_client(build_app(world, world.metrics(), Health(), None, world.ask))
    text = await (await client.get("/")).text()
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert static_address("monitor.css") in addresses
    for address in addresses:
        answer = await client.get(address)
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == FOR_GOOD
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.content_type in ("text/css", "text/javascript", "image/svg+xml")


async def test_nothing_but_static_files_is_served(aiohttp_client: Any, world: World) -> None:
    """Tricks with the path find nothing."""
    client = await aiohttp_client(build_app(world, world.metrics(), Health(), None, world.ask))
    for name in (
        "none.css",
        "..%2fpages.py",
        "%2e%2e/pages.py",
        "__init__.py",
        ".",
        "monitor.css/",
    ):
        assert (await client.get(f"/static/{name}")).status == 404, name


async def test_the_frame_is_worked_out_once_a_request(world: World) -> None:
    """However often a handler and its page ask for it: it goes over every endpoint."""
    app = build_app(world, world.metrics(), Health(), None, world.ask)
    request = make_mocked_request("GET", "/", app=app)
    first = frame_of(request)
    world.clock.at += timedelta(hours=1)
    assert frame_of(request) is first
    assert frame_of(make_mocked_request("GET", "/", app=app))["now"] != first["now"]
