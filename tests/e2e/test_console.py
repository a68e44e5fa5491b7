"""The story on the pages, with real processes and a real browser: break, see, tell, heal, close."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.e2e.processes import daemon, sandbox, wait_for
from tests.tools import find, need
from tests.web.browser import FLAGS, PATIENCE


def test_an_incident_is_seen_and_closed_on_the_pages(tmp_path: Path) -> None:
    """Without JavaScript, by somebody who has the sandbox's token and nothing else."""
    need("chromium")
    with (
        sandbox(tmp_path) as place,
        daemon(place.config) as running,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find("chromium"), args=FLAGS)
        context = browser.new_context(java_script_enabled=False, timezone_id="Europe/London")
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(f"{running.url}/incidents")
        page.get_by_label("Token").fill(place.token)
        page.get_by_label("Your name").fill("Jane Doe")
        page.get_by_role("button", name="Log in").click()
        assert page.url == f"{running.url}/incidents"

        place.fail("view-main", "refuse")
        wait_for("the incident", lambda: running.ask("incident", "list")["incidents"])
        page.reload()
        page.get_by_role("link", name="Incidents 1 open").click()
        page.get_by_role("main").get_by_role("link", name="I-1").click()
        page.get_by_role("button", name="Acknowledge").click()
        page.get_by_label("Ticket reference").fill("PDP-1235")
        page.get_by_role("button", name="Record the report").click()

        place.heal("view-main")
        wait_for("the end", lambda: place.messages("incident.restored"))
        page.reload()
        page.get_by_label("Note").fill("restored")
        page.get_by_label("Cause").fill("listener crashed")
        page.get_by_role("button", name="Record the update").click()
        page.get_by_label("I attest this for I-1").check()
        page.get_by_role("button", name="Attest").click()
        page.get_by_role("button", name="Close I-1").click()
        assert "The incident is closed." in page.locator("main").inner_text()
        browser.close()
        (kept,) = running.ask("incident", "list", "--all")["incidents"]
        assert (kept["state"], kept["reported"]["ticket"]) == ("closed", "PDP-1235")
        assert kept["attested"]["author"] == "sandbox (Jane Doe)"
        assert place.messages("incident.closed")
