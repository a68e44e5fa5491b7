"""The frame of every page, in a real browser: what it says, and how it keeps true."""

from datetime import timedelta

import pytest

from monitor.web.tokens import Scope
from tests.desks import START
from tests.web.browser import LOOKS, Browser, axe, overflows, visit
from tests.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("look", LOOKS)
async def test_login_and_overview_are_accessible(browser: Browser, site: Site, look: str) -> None:
    """axe-core finds nothing at WCAG 2.2 AA, and nothing sticks out sideways."""
    await site.see("view-main", "down", START + timedelta(minutes=5))
    async with site.serving(), visit(browser, **LOOKS[look]) as page:
        await page.goto(f"{site.url}/login")
        assert await axe(page) == []
        assert await overflows(page) == []
        await site.log_in(page)
        assert await axe(page) == []
        await page.goto(f"{site.url}/nowhere")
        assert await page.title() == "Not Found - Example Administration Ltd"
        assert await axe(page) == []
        assert await overflows(page) == []


async def test_a_visitor_is_sent_to_log_in_and_back(browser: Browser, site: Site) -> None:
    """Asked for a page without a session, the browser logs in and lands where it wanted."""
    async with site.serving(), visit(browser) as page:
        await page.goto(f"{site.url}/?x=1")
        assert page.url == f"{site.url}/login?next=%2F%3Fx%3D1"
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Log in").click()
        assert await page.get_by_role("alert").locator("a").inner_text() == (
            "This token is not known here; make one with monitor token create."
        )
        await page.get_by_label("Token").fill(site.secrets[Scope.DECLARE])
        await page.get_by_label("Your name").fill("Jane Doe")
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(f"{site.url}/?x=1")
        assert "Logged in as ops (Jane Doe)" in await page.locator("footer").inner_text()
        await page.get_by_role("button", name="Log out").click()
        assert page.url == f"{site.url}/login"


async def test_the_bar_says_in_words_what_is_wrong(browser: Browser, site: Site) -> None:
    """Down endpoints, the open incident with its clock, and why the daemon is not ready."""
    async with site.serving(), visit(browser) as page:
        await site.see("find-main", "up", START + timedelta(minutes=5))
        await site.log_in(page)
        bar = page.get_by_role("region", name="How it stands now")
        assert "1 endpoint unknown: view-main" in await bar.inner_text()
        await site.see("view-main", "down", START + timedelta(minutes=10))
        site.reasons.append("the store cannot be written")
        await page.reload()
        said = await bar.inner_text()
        assert "Not ready: the store cannot be written" in said
        assert "1 endpoint down: view-main" in said
        assert "Incident I-1 open, to be restored: 1h 5" in said
        assert "10 Mar 2026, 09:10:00 GMT" in said
        assert await page.get_by_role("link", name="Incidents 1 open", exact=True).count() == 1
