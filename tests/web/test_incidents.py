"""The pages of incidents: what they tell, the forms of their steps, and what is refused."""

import io
import re
import zipfile
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from monitor.core.reporting import HEADINGS
from monitor.errors import StoreUnwritable
from monitor.web.console.incidents import PER_PAGE
from monitor.web.tokens import Scope
from tests.desks import ANNA, START
from tests.web.browser import LOOKS, Browser, Page, axe, overflows, visit
from tests.web.site import HTML, Site, Visitor

SHARED = pytest.mark.asyncio(loop_scope="session")
"""Tests in the browser share its loop."""
MINUTE = timedelta(minutes=1)


async def fail(site: Site, minutes: int = 5) -> None:
    """view-main is up for a while and then fails: I-1 opens, 09:05."""
    await site.see("view-main", "up", START + 5 * MINUTE)
    await site.see("view-main", "down", START + (5 + minutes) * MINUTE)


async def restore(site: Site) -> None:
    await site.see("view-main", "up", site.place.clock.time + 5 * MINUTE)


# -- in a browser ----------------------------------------------------------------------------------


@SHARED
@pytest.mark.parametrize("look", LOOKS)
async def test_pages_of_incidents_are_accessible(browser: Browser, site: Site, look: str) -> None:
    """List, open incident with every fold open, wrong form and closed incident: axe finds nothing."""
    await fail(site)
    async with site.serving(), visit(browser, **LOOKS[look]) as page:
        await site.log_in(page)
        for path in ("/incidents", "/incidents/I-1"):
            await page.goto(f"{site.url}{path}")
            await page.evaluate(
                "document.querySelectorAll('details').forEach((one) => one.open = true)"
            )
            assert await axe(page) == []
            assert await overflows(page) == []
        await page.get_by_role("button", name="Attest").click()
        assert "Error: " in await page.title()
        assert await axe(page) == []
        await restore(site)
        await closed(site)
        await page.goto(f"{site.url}/incidents")
        assert await axe(page) == []
        assert await overflows(page) == []


async def closed(site: Site, name: str = "I-1") -> None:
    """Take every step that is missing."""
    await site.ask("incident.report", {"id": name, "ticket": "T-1"}, "ops")
    await site.ask("incident.update", {"id": name, "cause": "disk", "location": "own"}, "ops")
    await site.ask("incident.attest", {"id": name}, "ops")
    await site.ask("incident.close", {"id": name}, "ops")


async def story(page: Page, site: Site) -> None:
    """Acknowledge, report, update, attest and close I-1 on its page."""
    await page.goto(f"{site.url}/incidents/I-1")
    await page.get_by_role("button", name="Acknowledge").click()
    await page.get_by_text("You are known to look after it.").wait_for()
    await page.get_by_label("Ticket reference").fill("PDP-1235")
    await page.get_by_role("button", name="Record the report").click()
    await page.get_by_text("The report to MaPS is recorded.").wait_for()
    assert await page.locator("details#update").get_attribute("open") is not None
    await page.get_by_label("Cause").fill("listener crashed")
    await page.get_by_label("Note").fill("restarted")
    await page.get_by_label("Where it lay").select_option("own")
    await restore(site)
    await page.get_by_role("button", name="Record the update").click()
    await page.get_by_text("The note is recorded.").wait_for()
    await page.get_by_label("I attest this for I-1").check()
    await page.get_by_role("button", name="Attest").click()
    await page.get_by_text("The attestation is recorded.").wait_for()
    await page.get_by_role("button", name="Close I-1").click()
    await page.get_by_text("The incident is closed.").wait_for()


@SHARED
@pytest.mark.parametrize("scripts", [True, False])
async def test_an_incident_is_closed_on_its_page(
    browser: Browser, site: Site, scripts: bool
) -> None:
    """The whole life of an incident, with and without JavaScript; each step says who took it."""
    await fail(site)
    async with site.serving(), visit(browser, java_script_enabled=scripts) as page:
        await site.log_in(page, Scope.DECLARE, "Jane Doe")
        await story(page, site)
        assert "nothing is left to do" in await page.locator("main").inner_text()
        timeline = await page.get_by_role("list").filter(has_text="Opened").inner_text()
        assert timeline.count("ops (Jane Doe)") == 5
    kept = await site.ask("incident.show", {"id": "I-1"}, "")
    assert kept["state"] == "closed"
    assert kept["acknowledged"]["author"] == "ops (Jane Doe)"
    assert kept["reported"]["ticket"] == "PDP-1235"
    assert (kept["cause"], kept["location"]) == ("listener crashed", "own")


@SHARED
async def test_the_keyboard_alone_is_enough(browser: Browser, site: Site) -> None:
    """From the first key to an acknowledged incident, without a pointer; focus is always seen."""
    await fail(site)
    async with site.serving(), visit(browser) as page:
        await site.log_in(page)
        await page.goto(f"{site.url}/incidents")
        await page.keyboard.press("Tab")
        assert await page.locator(":focus").inner_text() == "Skip to the content"
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert await page.locator(":focus").inner_text() == "I-1"
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{site.url}/incidents/I-1")
        for _ in range(40):
            await page.keyboard.press("Tab")
            focused = page.locator(":focus")
            outline = await focused.evaluate("(one) => getComputedStyle(one).outlineStyle")
            assert outline == "solid"
            if await focused.inner_text() == "Acknowledge":
                break
        await page.keyboard.press("Enter")
        await page.get_by_text("You are known to look after it.").wait_for()


@SHARED
async def test_a_page_is_taken_over_as_it_changes(browser: Browser, site: Site) -> None:
    """Restored while somebody types: the page says so, aloud too, and what was typed stays."""
    await fail(site)
    async with site.serving(), visit(browser) as page:
        await page.clock.install()
        await site.log_in(page)
        await page.goto(f"{site.url}/incidents/I-1")
        await page.locator("#update > summary").click()
        await page.get_by_label("Note").fill("half a sentence")
        await page.locator("#guids > summary").click()
        await restore(site)
        await page.clock.run_for(11_000)
        await page.get_by_text("Restored after 5m 00s, within the target").wait_for()
        assert "restored, to be closed: I-1" in await page.locator("#told").inner_text()
        assert await page.get_by_label("Note").input_value() == "half a sentence"
        assert await page.locator("#guids").get_attribute("open") is not None
        assert await page.locator("details#update").get_attribute("open") is not None


@SHARED
async def test_a_page_that_is_not_true_any_more_says_so(browser: Browser, site: Site) -> None:
    """When the daemon does not answer the page says since when; when it does again, no more."""
    await fail(site)
    async with visit(browser) as page:
        async with site.serving():
            await page.clock.install()
            await site.log_in(page)
            await page.goto(f"{site.url}/incidents")
        await page.clock.run_for(32_000)
        alert = page.get_by_role("alert")
        await alert.wait_for()
        assert (await alert.inner_text()).startswith("Not updated since ")


@SHARED
async def test_a_page_whose_session_is_over_says_so(browser: Browser, site: Site) -> None:
    """The token is taken away: the open page tells it, with the way to log in."""
    async with site.serving(), visit(browser) as page:
        await page.clock.install()
        await site.log_in(page)
        site.write_tokens(Scope.READ)
        site.clock += 2
        await page.clock.run_for(11_000)
        alert = page.get_by_role("alert")
        await alert.get_by_role("link", name="Log in").wait_for()
        assert "no longer logged in" in await alert.inner_text()


@SHARED
async def test_an_incident_is_printed_without_its_forms(browser: Browser, site: Site) -> None:
    """On paper: what happened and the pack, with its folds open; no navigation and no buttons."""
    await fail(site)
    async with site.serving(), visit(browser) as page:
        await site.log_in(page)
        await page.goto(f"{site.url}/incidents/I-1")
        await page.emulate_media(media="print")
        assert not await page.get_by_role(
            "navigation", name="Pages", include_hidden=True
        ).is_visible()
        assert not await page.locator("form").first.is_visible()
        assert not await page.locator("#acknowledge > summary").is_visible()
        assert await page.locator("button:visible").count() == 0
        assert await page.get_by_role("term").filter(has_text="Estimated start").is_visible()
        assert (await page.pdf()).startswith(b"%PDF")


# -- forms -----------------------------------------------------------------------------------------


async def test_a_wrong_step_shows_why_and_keeps_what_was_typed(visitor: Visitor) -> None:
    """Beside the field, with 422; the ledger is as it was."""
    site = visitor.site
    await fail(site)
    csrf = await visitor.log_in()
    before = site.facts
    for step, form, field, says in (
        ("report", {"ticket": "", "at": "2026-03-10T09:06"}, "report-ticket", "is missing"),
        ("report", {"ticket": "T-1", "at": "yesterday"}, "report-at", "is not a time"),
        ("report", {"ticket": "T-1", "at": "2026-03-10T08:00"}, "report-at", "before the incident"),
        ("report", {"ticket": "T-1", "at": "2026-03-29T01:30"}, "report-at", "does not exist"),
        ("report", {"ticket": "T-1", "at": "2026-10-25T01:30"}, "report-at", "+01:00 (00:30Z) or "),
        ("update", {"next_update_at": "2026-03-10T09:00"}, "update-next_update_at", "is past"),
        ("update", {"location": "moon"}, "update-location", "not one of own"),
        ("update", {}, "update-", "nothing to update"),
        ("attest", {}, "attest-confirm", "tick the box"),
        ("close", {}, "close-", "still missing: service restored; report to MaPS; cause;"),
    ):
        status, _, text = await visitor.post(f"/incidents/I-1/{step}", {"csrf": csrf, **form})
        assert status == 422, (step, form)
        assert says.lower() in text.lower()
        assert "monitor incident" not in text, "advice about the command line"
        if not field.endswith("-"):
            assert f'<a href="#{field}">' in text
            assert f'id="{field}-fault"' in text
        for value in form.values():
            assert f'value="{value}"' in text or value == "moon"
    assert site.facts == before


async def test_a_step_at_a_doubtful_hour_is_typed_with_its_offset(visitor: Visitor) -> None:
    """The reading that was offered is taken."""
    site = visitor.site
    await fail(site)
    csrf = await visitor.log_in()
    form = {"csrf": csrf, "next_update_at": "2026-10-25T01:30:00+00:00", "text": "more then"}
    assert (await visitor.post("/incidents/I-1/update", form))[0] == 303
    shown = await site.ask("incident.show", {"id": "I-1"}, "")
    assert shown["updates"][0]["next_update_at"] == "2026-10-25T01:30:00Z"


async def test_who_may_not_write_writes_nothing(visitor: Visitor) -> None:
    """No session, an ended one, a scope too small, a bearer token, a foreign page: all refused."""
    site = visitor.site
    await fail(site)
    path, before = "/incidents/I-1/acknowledge", site.facts
    with capture_logs() as logs:
        assert (await visitor.post(path, {}))[0] == 401
        csrf = await visitor.log_in(Scope.READ)
        assert (await visitor.post(path, {"csrf": csrf}))[0] == 403
        bearer = {"Authorization": f"Bearer {site.secrets[Scope.ADMIN]}"}
        assert (await visitor.post(path, {"csrf": csrf}, **bearer))[0] == 403
        csrf = await visitor.log_in(Scope.DECLARE)
        assert (await visitor.post(path, {"csrf": csrf[:-1]}))[0] == 403
        assert (await visitor.post(path, {"csrf": csrf}, Origin="https://evil.example"))[0] == 403
        assert (await visitor.get(f"{path}?csrf={csrf}"))[0] == 405
        site.write_tokens(Scope.READ)
        site.clock += 2
        assert (await visitor.post(path, {"csrf": csrf}))[0] == 401
    assert site.facts == before
    refused = [one["event"] for one in logs if one["log_level"] == "warning"]
    assert refused == [
        "token_refused",
        "visitor_forbidden",
        "request_forged",
        "request_astray",
        "token_refused",
    ]


async def test_what_is_not_there_is_not_found(visitor: Visitor) -> None:
    """Unknown incidents and steps, and tricks with the path: 404 and nothing changed."""
    await fail(visitor.site)
    csrf = await visitor.log_in()
    before = visitor.site.facts
    for path in ("/incidents/I-9", "/incidents/..%2f..%2fetc", "/incidents/I-1/pack/passwd"):
        assert (await visitor.get(path))[0] == 404
    for path in ("/incidents/I-9/close", "/incidents/I-1/open", "/incidents/<b>/report"):
        form = {"csrf": csrf, "ticket": "T"}
        assert (await visitor.post(path, form))[0] == 404
    assert visitor.site.facts == before


async def test_a_body_too_large_is_refused(visitor: Visitor) -> None:
    """More than a mebibyte of a form: 413, and nothing changed."""
    await fail(visitor.site)
    csrf = await visitor.log_in()
    before = visitor.site.facts
    body = io.BytesIO(f"csrf={csrf}&text={'x' * (1 << 20)}".encode())
    answer = await visitor.http.post(
        f"{visitor.site.url}/incidents/I-1/update",
        data=body,
        headers={**HTML, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status == 413
    assert visitor.site.facts == before


async def test_a_store_that_cannot_be_written_is_told(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 as a page: nothing was kept."""
    await fail(visitor.site)
    csrf = await visitor.log_in()

    async def full(*_: object, **__: object) -> None:
        raise StoreUnwritable("the disk is full")

    monkeypatch.setattr(visitor.site.place.cycle, "learn", full)
    status, _, text = await visitor.post("/incidents/I-1/acknowledge", {"csrf": csrf})
    assert status == 503
    assert "The disk is full; nothing was kept." in text


async def test_names_are_text_and_never_markup(visitor: Visitor) -> None:
    """Notes, tickets and causes are shown as they were written."""
    await fail(visitor.site)
    csrf = await visitor.log_in()
    evil = '"><script>alert(1)</script>'
    form = {"csrf": csrf, "text": evil, "cause": evil}
    assert (await visitor.post("/incidents/I-1/update", form))[0] == 303
    for path in ("/incidents/I-1", f"/incidents?text={evil}&state={evil}&page={evil}"):
        text = (await visitor.get(path))[2]
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text


# -- the list and the pack -------------------------------------------------------------------------


async def test_incidents_that_are_over_are_paged_and_filtered(visitor: Visitor) -> None:
    """Newest first, some to a page, by state and by text; a page beyond the last is the last."""
    site = visitor.site
    for number in range(1, PER_PAGE + 3):
        form = {"holdernames": [ANNA], "start": "2026-03-10T08:00", "reason": f"case {number}"}
        await site.ask("outage.assert", {**form, "end": "2026-03-10T08:30"}, "ops")
        await closed(site, f"I-{number}")
    await visitor.log_in()
    first = (await visitor.get("/incidents"))[2]
    last = (await visitor.get("/incidents?page=99"))[2]
    assert f'href="/incidents/I-{PER_PAGE + 2}"' in first
    assert 'href="/incidents/I-2"' not in first
    assert 'href="/incidents?page=2#closed" rel="next"' in first
    assert "Page 2 of 2" in last
    assert 'href="/incidents/I-2"' in last
    some = (await visitor.get("/incidents?text=i-27&state=closed"))[2]
    assert 'href="/incidents/I-27"' in some
    assert 'href="/incidents/I-26"' not in some
    assert "Nothing that is over fits." in (await visitor.get("/incidents?state=void"))[2]


async def test_what_is_owed_follows_what_was_done(visitor: Visitor) -> None:
    """Reported with a promise: an update is due by then; restored: MaPS is to be told so."""
    site = visitor.site
    await fail(site)
    await visitor.log_in()
    assert "<strong>now</strong>" in (await visitor.get("/incidents/I-1"))[2]
    await site.ask("incident.report", {"id": "I-1", "ticket": "T-7"}, "ops")
    promise = {"id": "I-1", "text": "looking", "next_update_at": "2026-03-10T09:30"}
    await site.ask("incident.update", promise, "ops")
    text = (await visitor.get("/incidents/I-1"))[2]
    assert "Tell MaPS of it: ticket T-7" in text
    assert 'data-deadline="2026-03-10T09:30:00Z"' in text
    await restore(site)
    assert "on the ticket that service is restored" in (await visitor.get("/incidents/I-1"))[2]
    await site.ask("incident.update", {"id": "I-1", "text": "restored"}, "ops")
    assert "on the ticket that service is" not in (await visitor.get("/incidents/I-1"))[2]


async def test_the_pack_is_downloaded(visitor: Visitor) -> None:
    """The archive of all of it, and the GUIDs alone, by the links of the page and its session."""
    await fail(visitor.site)
    await visitor.log_in()
    url = f"{visitor.site.url}/incidents/I-1"
    text = (await visitor.get("/incidents/I-1"))[2]
    for link in re.findall(r'href="([^"]+)" download', text):
        answer = await visitor.http.get(f"{visitor.site.url}{link}")
        assert answer.status == 200
        assert answer.headers["Content-Disposition"].startswith("attachment")
    archive = await visitor.http.get(f"{visitor.site.url}/api/v1/incidents/I-1/pack.zip")
    with zipfile.ZipFile(io.BytesIO(await archive.read())) as files:
        assert len(files.namelist()) == 4
    csv = await (await visitor.http.get(f"{url}/pack/guids.csv")).text()
    assert csv.splitlines()[0] == ",".join(HEADINGS)
    assert ANNA in csv
    sheet = await (await visitor.http.get(f"{url}/pack/guids.xlsx")).read()
    assert sheet.startswith(b"PK")
