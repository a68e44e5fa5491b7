"""One world that has seen a little of everything."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from monitor.core.endpoint import Environment, Service
from monitor.core.verdict import Reason
from tests.web.browser import browser
from tests.web.site import Site, Visitor
from tests.web.world import START, World, endpoint, evidence, make_world

__all__ = ["browser"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The pages over a real desk, not served yet."""
    return Site(tmp_path)


@pytest.fixture
async def visitor(site: Site) -> AsyncIterator[Visitor]:
    jar = aiohttp.CookieJar(unsafe=True)  # an address is no name, and keeps cookies all the same
    async with site.serving(), aiohttp.ClientSession(cookie_jar=jar) as http:
        yield Visitor(http, site)


@pytest.fixture
def world() -> World:
    """Three live endpoints and a test one; view-main was down for a while, find-main is down."""
    made = make_world(
        [
            endpoint("view-main"),
            endpoint("find-main", Service.FIND),
            endpoint("pat-main", Service.PAT_REFRESH),
            endpoint("view-test", environment=Environment.TEST, connected_from=None),
        ]
    )
    made.observe("view-main", "uuuuuddddiiuuuuu", START)
    made.observe("find-main", "uuuuuuuuuudddddd", START)
    made.observe("pat-main", "uuuuuuuuuuuuuudd", START)
    made.observe("view-test", "dddddddddddddddd", START)
    made.correlate()
    for name in ("view-main", "find-main"):
        made.probed(name, evidence(name))
    made.probed("pat-main", evidence("pat-main", failure=Reason.CONNECT_REFUSED))
    made.store.stats = {"ops": (3, made.clock.at - timedelta(seconds=90), 1)}
    return made
