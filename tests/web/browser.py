"""A real browser for the pages: Chromium, driven by Playwright; and axe-core, which judges what it shows.

Tests that use it share one browser, and so one event loop: mark them with
`pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.tools import find, need

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
WIDE, NARROW = (1280, 900), (360, 740)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"color_scheme": "light", "width": NARROW[0], "height": NARROW[1]},
}
"""The ways in which every page is looked at, as options of `visit`."""
PATIENCE = 20_000
"""Milliseconds that anything in the browser may take on a busy machine."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the whole session."""
    need("chromium")
    path = find("chromium")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield started
        finally:
            await started.close()


@asynccontextmanager
async def visit(
    browser: Browser, *, width: int = WIDE[0], height: int = WIDE[1], **options: Any
) -> AsyncIterator[Page]:
    """A page in a fresh profile, in London. What it complains of at its end fails the test.

    Complaints are errors of scripts, refusals of the content security policy, and requests that went
    anywhere but to this machine.
    """
    context: BrowserContext = await browser.new_context(
        timezone_id="Europe/London",
        locale="en-GB",
        viewport={"width": width, "height": height},
        **options,
    )
    context.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page = await context.new_page()
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    page.on("console", lambda said: _complain(complaints, said.text))
    page.on("request", lambda request: _leaving(complaints, request.url))
    try:
        yield page
    finally:
        await context.close()
    assert complaints == []


def _complain(complaints: list[str], text: str) -> None:
    if "Content Security Policy" in text or "Refused to" in text:
        complaints.append(text)


def _leaving(complaints: list[str], url: str) -> None:
    if not url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:", "about:")):
        complaints.append(f"left this machine for {url}")


AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


async def axe(page: Page) -> list[str]:
    """What axe-core finds wrong with a page, by WCAG 2.2 AA: rule, element and cure of each."""
    await page.evaluate(AXE)
    found: dict[str, Any] = await page.evaluate(
        "(rules) => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})",
        RULES,
    )
    return [
        f"{one['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


async def overflows(page: Page) -> list[str]:
    """Elements that stick out of the page sideways, so that it would have to be scrolled to be read."""
    found: list[str] = await page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth + 1 ? [] :
            [...document.querySelectorAll("body *")]
                .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
                .map((one) => one.outerHTML.slice(0, 120))"""
    )
    return found


__all__ = ["LOOKS", "NARROW", "WIDE", "Browser", "Page", "axe", "browser", "overflows", "visit"]
