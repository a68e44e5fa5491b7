"""The pages of downtime: calendar, declarations with their life, and the form that judges."""

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from monitor.snapshot import Document
from monitor.web.console.downtime import MOST_BOXES, PER_PAGE, typed
from monitor.web.tokens import Scope
from tests.desks import ANNA, CONFIGURATION, START
from tests.web.browser import LOOKS, Browser, axe, overflows, visit
from tests.web.site import HTML, Site, Visitor

SHARED = pytest.mark.asyncio(loop_scope="session")
"""Tests in the browser share its loop."""
GOOD = {"start": "2026-04-07T00:00", "end": "2026-04-07T02:00", "reason": "database upgrade"}
"""A window in a change window, with enough notice."""
CALENDAR = """\
uid,start,end,summary
m-1,2026-03-28T22:00,2026-03-29T03:00,MaPS maintenance
"""


async def declare(site: Site, **given: Any) -> Document:
    return await site.ask("downtime.declare", {**GOOD, **given}, "ops")


async def some_of_everything(site: Site) -> None:
    """A draft, one told in time, one of MaPS over the change of the clocks, an emergency, one over."""
    await site.see("view-main", "up", START + timedelta(minutes=5))
    await declare(site, endpoints=["view-main"])
    told = {"notified_at": "2026-03-10T09:00", "ticket": "T-1"}
    await declare(site, start="2026-03-19T00:00", end="2026-03-19T01:00", **told)
    maps = {"start": "2026-03-28T22:00", "end": "2026-03-29T03:00", "kind": "maps"}
    await declare(site, **maps)
    urgent = {"start": "2026-03-12T00:00", "end": "2026-03-12T01:00", "kind": "emergency"}
    await declare(site, services=["view"], holdernames=[ANNA], **urgent, **told)
    await declare(site)
    await site.ask("downtime.cancel", {"id": "D-5"}, "ops")


# -- in a browser ----------------------------------------------------------------------------------


@SHARED
@pytest.mark.parametrize("look", LOOKS)
async def test_pages_of_downtime_are_accessible(browser: Browser, site: Site, look: str) -> None:
    """Calendar, declarations of every sort, the form judged and wrong: axe finds nothing."""
    await some_of_everything(site)
    judged = f"/declare?{urlencode({**GOOD, 'endpoints': 'view-main'})}"
    wrong = "/declare?start=2026-03-29T01:30&end=2026-03-29T03:00"
    async with site.serving(), visit(browser, **LOOKS[look]) as page:
        await site.log_in(page)
        for path in ("/downtime", "/downtime/D-1", "/downtime/D-3", "/downtime/D-4", judged, wrong):
            await page.goto(f"{site.url}{path}")
            await page.evaluate(
                "document.querySelectorAll('details').forEach((one) => one.open = true)"
            )
            assert await axe(page) == []
            assert await overflows(page) == []


@SHARED
async def test_a_window_is_judged_as_it_is_typed(browser: Browser, site: Site) -> None:
    """The judgement follows the fields, is said aloud, and offers windows that would do."""
    async with site.serving(), visit(browser) as page:
        await site.log_in(page)
        await page.goto(f"{site.url}/declare")
        judgement = page.locator("#judgement")
        assert "Give start and end" in await judgement.inner_text()
        await page.get_by_label("Start").fill("2026-03-12T00:00")
        await page.get_by_label("End").fill("2026-03-12T01:00")
        await judgement.get_by_text("This window would not do.").wait_for()
        assert "Notice too short: 1 of 5 working days" in await judgement.inner_text()
        assert await page.locator("#told").text_content() != ""
        await page.get_by_label("view-main").check()
        await judgement.get_by_text("left to view-main").wait_for()
        await page.get_by_label("Start").fill("2026-03-29T01:30")
        await judgement.get_by_text("does not exist").wait_for()
        await page.get_by_label("Start").fill("2026-03-12T00:00")
        await judgement.get_by_role("link").first.click()
        await page.wait_for_url("**/declare?**")
        await page.get_by_text("This window would do.").wait_for()
        assert await page.get_by_label("view-main").is_checked()
        assert await page.get_by_label("Start").input_value() == "2026-04-07T00:00"


@SHARED
@pytest.mark.parametrize("scripts", [True, False])
async def test_downtime_is_declared_told_amended_and_completed(
    browser: Browser, site: Site, scripts: bool
) -> None:
    """The whole life of a declaration on its page, with and without JavaScript."""
    async with site.serving(), visit(browser, java_script_enabled=scripts) as page:
        await site.log_in(page, Scope.DECLARE, "Jane Doe")
        await page.goto(f"{site.url}/downtime")
        await page.get_by_role("link", name="Declare downtime").click()
        await page.get_by_label("Start").fill(GOOD["start"])
        await page.get_by_label("End").fill(GOOD["end"])
        await page.get_by_label("view-main").check()
        await page.get_by_role("button", name="Judge").click()
        await page.get_by_text("This window would do.").wait_for()
        assert await page.get_by_label("view-main").is_checked()
        assert (await site.ask("downtime.list", {}, ""))["declarations"] == []
        await page.get_by_label("Reason", exact=True).fill("database upgrade")
        await page.get_by_role("button", name="Declare").click()
        await page.get_by_text("It is declared.").wait_for()
        await page.locator("#notify").get_by_label("Ticket reference").fill("PDP-7")
        await page.get_by_role("button", name="Record it").click()
        await page.get_by_text("It is recorded that MaPS was told.").wait_for()
        await page.locator("#amend > summary").click()
        await page.locator("#amend").get_by_label("End").fill("2026-04-07T01:30")
        await page.get_by_role("button", name="Record the amendment").click()
        await page.get_by_text("The amendment is recorded.").wait_for()
        assert "Tell MaPS of the change" in await page.locator("main").inner_text()
        await page.locator("#notify").get_by_label("Ticket reference").fill("PDP-7")
        await page.get_by_role("button", name="Record it").click()
        await page.get_by_text("It is recorded that MaPS was told.").wait_for()
        site.place.clock.time = datetime.fromisoformat("2026-04-07T02:00:00+00:00")
        await page.reload()
        await page.get_by_label("Actual start").fill("2026-04-07T00:05")
        await page.get_by_label("Actual end").fill("2026-04-07T01:20")
        await page.get_by_role("button", name="Record the completion").click()
        await page.get_by_text("Its completion is recorded.").wait_for()
    shown = await site.ask("downtime.show", {"id": "D-1"}, "")
    assert shown["state"] == "completed"
    assert shown["ticket"] == "PDP-7"
    assert shown["completion"]["actual_end"] == "2026-04-07T00:20:00Z"
    assert {one["author"] for one in shown["versions"]} == {"ops (Jane Doe)"}
    assert shown["window"]["end"] == "2026-04-07T00:30:00Z"


@SHARED
async def test_long_lists_of_names_are_narrowed_by_typing(browser: Browser, tmp_path: Any) -> None:
    """What is ticked stays in sight; with scripts off the whole list is there."""
    async with Site(tmp_path, many(30)).serving() as site, visit(browser) as page:
        await site.log_in(page)
        await page.goto(f"{site.url}/declare")
        boxes = page.locator("#endpoints-list .choice:visible")
        await page.get_by_label("find-main").check()
        await page.locator("#endpoints-narrow").fill("more-17")
        assert await boxes.count() == 2
        await page.locator("#endpoints-narrow").fill("")
        assert await boxes.count() == 33


def many(count: int) -> str:
    """The configuration with more endpoints."""
    more = "".join(
        f'  - {{id: more-{number}, service: view, url: "https://m{number}.example/view",'
        f" identity: live, connected_from: 2026-01-01}}\n"
        for number in range(count)
    )
    return CONFIGURATION.replace("holdernames:\n", f"{more}holdernames:\n", 1)


# -- the calendar ----------------------------------------------------------------------------------


async def test_the_calendar_says_what_speaks_for_and_against_each_day(visitor: Visitor) -> None:
    """Change windows, bank holidays, what is declared, today, and the first day with enough notice."""
    await some_of_everything(visitor.site)
    await visitor.log_in(Scope.READ)
    text = (await visitor.get("/downtime"))[2]
    assert day(text, "2026-03-10").startswith("10 Tue 10 Mar today")
    assert day(text, "2026-03-17").endswith("Change window 00:00 to 10:00")
    assert day(text, "2026-03-18").endswith("Enough notice from here")
    assert day(text, "2026-03-28").endswith("MaPS D-3 22:00 to 24:00")
    assert day(text, "2026-03-29").endswith("MaPS D-3 00:00 to 03:00")
    assert day(text, "2026-04-03").endswith("Bank holiday")
    assert day(text, "2026-04-07").endswith(
        "Change window 00:00 to 10:00 D-1 00:00 to 02:00, draft"
    )
    assert 'href="/declare?start=2026-04-07T00%3A00' in text
    assert 'href="/declare?start=2026-03-17T00%3A00' not in text, "there is too little notice"
    assert "March 2026: least is left to" in text
    assert "1h 00m 00s of declared windows already taken off" in text


def day(text: str, which: str) -> str:
    """What the cell of a day says."""
    cell = text[text.index(f'<time datetime="{which}">') :].split("</td>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", cell).split()).replace(" ,", ",")


async def test_the_freeze_is_marked(visitor: Visitor) -> None:
    """At Christmas the days are frozen, in words, and no window is offered."""
    visitor.site.place.clock.time = datetime.fromisoformat("2026-12-14T09:00:00+00:00")
    await visitor.log_in()
    text = (await visitor.get("/downtime"))[2]
    assert day(text, "2026-12-24").endswith("Change freeze")
    assert day(text, "2027-01-02").endswith("Change freeze")
    assert not day(text, "2027-01-03").endswith("Change freeze")


# -- forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"start": ""}, "start", "is missing"),
        ({"end": "2026-04-07T00:00"}, "", "not after the start"),
        ({"start": "2026-03-29T01:30"}, "start", "does not exist as the clocks go forward"),
        (
            {"start": "2026-10-25T01:30", "end": "2026-10-25T03:00"},
            "start",
            "write 2026-10-25T01:30:00+01:00 (00:30Z) or 2026-10-25T01:30:00+00:00 (01:30Z)",
        ),
        ({"reason": " "}, "reason", "is missing"),
        ({"endpoints": "view-man"}, "endpoints", 'did you mean "view-main"?'),
        ({"kind": "sudden"}, "kind", "not one of planned"),
        ({"start": "2026-12-29T00:00", "end": "2026-12-29T01:00"}, "override_freeze", "freeze"),
        ({"notified_at": "2026-05-01T00:00"}, "notified_at", "still to come"),
    ],
)
async def test_a_wrong_declaration_shows_why_and_keeps_what_was_typed(
    visitor: Visitor, given: dict[str, str], field: str, says: str
) -> None:
    """Beside the field, with 422; the ledger is as it was."""
    csrf = await visitor.log_in()
    before = visitor.site.facts
    form = {**GOOD, **given}
    status, _, text = await visitor.post("/declare", {"csrf": csrf, **form})
    assert status == 422
    assert says.replace('"', "&#34;") in text
    if field:
        assert f'id="{field}-fault"' in text
    for key in ("start", "end", "reason"):
        if form[key].strip():
            assert f'value="{form[key]}"' in text
    assert visitor.site.facts == before


async def test_a_window_in_the_freeze_needs_a_reason(visitor: Visitor) -> None:
    """With one it is declared, and the reason recorded."""
    csrf = await visitor.log_in()
    form = {**GOOD, "start": "2026-12-29T00:00", "end": "2026-12-29T01:00"}
    agreed = {**form, "override_freeze": "MaPS agreed in T-9", "csrf": csrf}
    assert (await visitor.post("/declare", agreed))[:2] == (303, "/downtime/D-1?done=declare")
    assert "MaPS agreed in T-9" in (await visitor.get("/downtime/D-1"))[2]


async def test_the_doubtful_hour_is_declared_by_its_offset(visitor: Visitor) -> None:
    """The reading that was offered is taken; where it is shown again, it keeps its offset."""
    csrf = await visitor.log_in()
    hour = {"start": "2026-10-25T01:30:00+01:00", "end": "2026-10-25T01:30:00+00:00"}
    assert (await visitor.post("/declare", {**GOOD, **hour, "csrf": csrf}))[0] == 303
    shown = await visitor.site.ask("downtime.show", {"id": "D-1"}, "")
    assert shown["window"]["start"] == "2026-10-25T00:30:00Z"
    assert shown["window"]["end"] == "2026-10-25T01:30:00Z"
    assert 'value="2026-10-25T01:30+01:00"' in (await visitor.get("/downtime/D-1"))[2]
    assert typed(datetime.fromisoformat("2026-06-01T10:00:00+00:00")) == "2026-06-01T11:00"


async def test_a_wrong_step_shows_why(visitor: Visitor) -> None:
    """Notify without a ticket, amend to nothing, complete in the future: 422, nothing changed."""
    site = visitor.site
    await declare(site)
    csrf = await visitor.log_in()
    before = site.facts
    for step, form, says in (
        ("notify", {}, "is missing"),
        ("amend", {"end": "2026-04-06T00:00"}, "not after its start"),
        ("amend", {"start": GOOD["start"], "end": GOOD["end"]}, "nothing to amend"),
        ("complete", {"actual_end": "2026-09-01T00:00"}, "D-1"),
    ):
        status, _, text = await visitor.post(f"/downtime/D-1/{step}", {"csrf": csrf, **form})
        assert status == 422, step
        assert says in text.replace("Nothing", "nothing")
        assert "monitor downtime" not in text
    for path in ("/downtime/D-9/cancel", "/downtime/D-1/explode"):
        assert (await visitor.post(path, {"csrf": csrf}))[0] == 404
    assert site.facts == before


async def test_an_amendment_of_words_keeps_the_notification(visitor: Visitor) -> None:
    """The form sends the window along; it counts as changed only if it is another."""
    await declare(visitor.site, notified_at="2026-03-10T09:00", ticket="T-1")
    csrf = await visitor.log_in()
    form = {"csrf": csrf, **GOOD, "reason": "database upgrade, and indexes"}
    assert (await visitor.post("/downtime/D-1/amend", form))[0] == 303
    shown = await visitor.site.ask("downtime.show", {"id": "D-1"}, "")
    assert shown["versions"][1]["notified_at"] == "2026-03-10T09:00:00Z"


async def test_who_may_not_declare_may_still_judge(visitor: Visitor) -> None:
    """A reader has the form to judge by, and no way to write; nor has who is not logged in."""
    before = visitor.site.facts
    assert (await visitor.get("/declare"))[0] == 303
    csrf = await visitor.log_in(Scope.READ)
    text = (await visitor.get(f"/declare?{urlencode(GOOD)}"))[2]
    assert "This window would do." in text
    assert 'action="/declare" method="post"' not in text
    for path in ("/declare", "/declare/judge", "/declare/import", "/downtime/D-1/cancel"):
        assert (await visitor.post(path, {**GOOD, "csrf": csrf}))[0] == 403
    bearer = {"Authorization": f"Bearer {visitor.site.secrets[Scope.ADMIN]}"}
    assert (await visitor.post("/declare", GOOD, **bearer))[0] == 403
    assert visitor.site.facts == before


async def test_without_tokens_windows_are_judged_too(site: Site) -> None:
    """On loopback everybody may ask, and nobody write."""
    async with site.serving(tokens=False), aiohttp.ClientSession() as http:
        visitor = Visitor(http, site)
        assert "would do" in (await visitor.get(f"/declare?{urlencode(GOOD)}"))[2]
        assert "Writing is off" in (await visitor.get("/declare"))[2]
        assert (await visitor.post("/declare", GOOD))[0] == 403


async def test_of_very_many_names_some_are_typed(tmp_path: Any) -> None:
    """More endpoints than boxes can be ticked of: one to a line, and they are known."""
    site = Site(tmp_path, many(MOST_BOXES))
    jar = aiohttp.CookieJar(unsafe=True)
    async with site.serving(), aiohttp.ClientSession(cookie_jar=jar) as http:
        visitor = Visitor(http, site)
        csrf = await visitor.log_in()
        assert 'id="endpoints-typed"' in (await visitor.get("/declare"))[2]
        form = {**GOOD, "endpoints": "more-1\r\nmore-2, view-main", "csrf": csrf}
        assert (await visitor.post("/declare", form))[0] == 303
        shown = await site.ask("downtime.show", {"id": "D-1"}, "")
        assert shown["scope"]["endpoints"] == ["more-1", "more-2", "view-main"]


async def test_names_are_text_and_never_markup(visitor: Visitor) -> None:
    """Reasons and what a query says are shown as they were written."""
    evil = '"><script>alert(1)</script>'
    await declare(visitor.site, reason=evil)
    await visitor.log_in()
    said = urlencode({**GOOD, "start": evil, "endpoints": evil, "reason": evil})
    for path in ("/downtime", "/downtime/D-1", f"/declare?{said}", f"/declare/judge?{said}"):
        text = (await visitor.get(path))[2]
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text


async def test_declarations_that_are_over_are_paged(visitor: Visitor) -> None:
    """The newest first, some to a page."""
    for number in range(1, PER_PAGE + 2):
        await declare(visitor.site)
        await visitor.site.ask("downtime.cancel", {"id": f"D-{number}"}, "ops")
    await visitor.log_in()
    assert 'href="/downtime/D-1"' not in (await visitor.get("/downtime"))[2]
    assert 'href="/downtime/D-1"' in (await visitor.get("/downtime?page=2"))[2]
    assert "Page 2 of 2" in (await visitor.get("/downtime?page=99"))[2]


# -- MaPS' own calendar ----------------------------------------------------------------------------


async def send_calendar(visitor: Visitor, csrf: str, content: bytes, name: str) -> tuple[int, str]:
    form = aiohttp.FormData()
    form.add_field("csrf", csrf)
    form.add_field("calendar", content, filename=name, content_type="text/csv")
    answer = await visitor.http.post(
        f"{visitor.site.url}/declare/import", data=form, headers=HTML, allow_redirects=False
    )
    return answer.status, await answer.text()


async def test_the_calendar_of_maps_is_taken_from_a_file(visitor: Visitor) -> None:
    """Once and again: nothing doubles, and what became of each event is said."""
    csrf = await visitor.log_in()
    for outcome in ("declared", "unchanged"):
        status, text = await send_calendar(visitor, csrf, CALENDAR.encode(), "maps.csv")
        assert status == 200
        assert outcome in text
    found = await visitor.site.ask("downtime.list", {}, "")
    assert [one["kind"] for one in found["declarations"]] == ["maps"]


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "", "choose the file"),
        (b"nonsense", "maps.ics", "no iCalendar file"),
        (b"\xff\xfe", "maps.csv", "not text in UTF-8"),
        (b"x" * (1 << 19) + b"x", "maps.csv", "larger than 512 KiB"),
        (b"uid,start,end,summary\nm,2026-03-29T01:30,2026-03-29T03:00,x\n", "m.csv", "not exist"),
    ],
)
async def test_a_file_that_is_no_calendar_is_refused(
    visitor: Visitor, content: bytes, name: str, says: str
) -> None:
    """422 beside the field, and nothing is taken."""
    csrf = await visitor.log_in()
    before = visitor.site.facts
    status, text = await send_calendar(visitor, csrf, content, name)
    assert status == 422
    assert says in text.replace("Choose", "choose")
    assert 'id="calendar-fault"' in text
    assert visitor.site.facts == before
