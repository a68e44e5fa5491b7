"""The pages of endpoints and months, with their pictures: in a browser, and figure by figure."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from monitor.web import pictures
from tests.web.browser import LOOKS, Browser, axe, overflows, visit
from tests.web.history import Past, app_of, eventful

SHARED = pytest.mark.asyncio(loop_scope="session")
"""Tests in the browser share its loop."""
PAGES = (
    "/",
    "/endpoints/view-main",
    "/endpoints/view-test?day=2026-11-25",
    "/endpoints/view-main/explain?at=2026-11-19T00:50:00Z",
    "/months",
    "/months/2026-10?endpoint=view-main",
    "/months/2026-11",
)
UNFOLD = "document.querySelectorAll('details').forEach((one) => one.open = true)"


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One for all, since pages only read."""
    made = asyncio.run(eventful(tmp_path_factory.mktemp("past")))
    yield made
    made.place.store.close()


@pytest.fixture
async def client(aiohttp_client: Any, past: Past) -> Any:
    return await aiohttp_client(app_of(past))


async def text_of(client: Any, address: str, status: int = 200) -> str:
    answer = await client.get(address)
    assert answer.status == status
    text: str = await answer.text()
    return text


def plain(text: str) -> str:
    """What is read, without the markup."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))


# -- in a browser ----------------------------------------------------------------------------------


@SHARED
@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_is_accessible(browser: Browser, past: Past, look: str) -> None:
    """With every fold open axe finds nothing, nothing sticks out, and no policy is broken."""
    async with (
        TestServer(app_of(past), host="127.0.0.1") as server,
        visit(browser, **LOOKS[look]) as page,
    ):
        for path in PAGES:
            answer = await page.goto(str(server.make_url(path)))
            assert answer is not None
            assert answer.status == 200
            await page.evaluate(UNFOLD)
            assert await axe(page) == [], path
            assert await overflows(page) == [], path


@SHARED
async def test_pages_work_without_scripts(browser: Browser, past: Past) -> None:
    """From what is down to why, to the month that paid for it, by links and forms alone."""
    async with (
        TestServer(app_of(past), host="127.0.0.1") as server,
        visit(browser, java_script_enabled=False) as page,
    ):
        await page.goto(str(server.make_url("/")))
        await page.get_by_label("State").select_option("trouble")
        await page.get_by_role("button", name="Show").click()
        assert await page.locator("table.ribbons").first.locator("tbody tr").count() == 3
        await page.get_by_role("link", name="view-main").last.click()
        assert await page.get_by_role("heading", level=1).inner_text() == "view-main is down"
        await page.get_by_label("Another day").fill("2026-11-19")
        await page.get_by_role("button", name="Show the day").click()
        await page.get_by_role("link", name="Explain 2026-11-19T00:45:00Z").click()
        assert "overrun" in await page.get_by_role("heading", level=1).inner_text()
        await page.get_by_role("link", name="The month").click()
        assert await page.get_by_role("heading", level=1).inner_text() == "Availability in 2026-11"


@SHARED
async def test_colours_follow_the_scheme(browser: Browser, past: Past) -> None:
    """Pictures, those of the report too, are drawn in other colours in the dark; hatchings show."""
    found = {}
    for scheme in ("light", "dark"):
        async with (
            TestServer(app_of(past), host="127.0.0.1") as server,
            visit(browser, color_scheme=scheme) as page,
        ):
            await page.goto(str(server.make_url("/months/2026-11?endpoint=view-main")))
            paint = "(one) => getComputedStyle(one).fill"
            found[scheme] = [
                await page.locator(selector).first.evaluate(paint)
                for selector in (".m-text", "rect.m-ground", "rect.m-undeclared", "rect.m-declared")
            ]
    assert all(a != b for a, b in zip(found["light"][:3], found["dark"][:3], strict=True))
    assert found["light"][3] == found["dark"][3] == 'url("#w-declared")'


# -- links -----------------------------------------------------------------------------------------


async def test_links_lead_somewhere(client: Any) -> None:
    """Every link of every page to a page is good, and so is its fragment on the page itself."""
    wanted: set[str] = set()
    for path in PAGES:
        text = await text_of(client, path)
        ids = set(re.findall(r' id="([^"]+)"', text))
        for link in re.findall(r'href="([^"]+)"', text):
            address, _, fragment = html.unescape(link).partition("#")
            assert address or fragment in ids, (path, link)
            if re.match(r"/(endpoints|months|incidents)?([/?]|$)", address) and "at=" not in link:
                wanted.add(address)
    for address in sorted(wanted):
        await text_of(client, address)
    assert len(wanted) > 15


async def test_every_cell_of_a_day_can_be_asked_why(client: Any) -> None:
    """Each five minutes that are past link to their explanation; those to come to none."""
    text = await text_of(client, "/endpoints/view-main")
    cells = re.findall(r'<a href="([^"]+)" tabindex="-1" aria-hidden="true">', text)
    assert len(cells) == (9 * 60 + 30) // pictures.CELL
    last = plain(await text_of(client, html.unescape(cells[-1])))
    assert "view-main was down, undeclared" in last
    assert "(this one decides the instant)" in last


async def test_the_day_on_which_clocks_change_has_its_hours(client: Any) -> None:
    """Of 25 October there are 25 lines, two of them called 01:00."""
    text = await text_of(client, "/endpoints/view-main?day=2026-10-25")
    drawn = text[text.index('aria-label="view-main on Sunday') :]
    hours = re.findall(r'text-anchor="end">(\d\d:00)<', drawn[: drawn.index("</svg>")])
    assert (len(hours), hours.count("01:00")) == (25, 2)
    assert drawn[: drawn.index("</svg>")].count('class="cell"') == 25 * 60 // pictures.CELL


# -- figures ---------------------------------------------------------------------------------------


def exact(text: str) -> list[str]:
    return re.findall(r'data-exact="([^"]*)"', text)


async def test_a_month_shows_every_figure_to_the_last_digit(client: Any, past: Past) -> None:
    """Behind each percentage and time stands what `slo` prints, row by row."""
    for month in ("2026-10", "2026-11"):
        text = await text_of(client, f"/months/{month}")
        for by, heading in (("endpoint", "figures"), ("holdername", "holdernames")):
            section = text[text.index(f'<h2 id="{heading}"') :]
            section = section[: section.index("</section>")]
            rows = (await past.ask("slo", month=month, by=by))["months"]
            shown = [exact(row) for row in section.split("<tr>")[1:]]
            for row in rows:
                wanted = [
                    *(row[key] or "" for key in ("measured", "best", "worst")),
                    row["excluding_declared"] or "",
                    row["unavailable_s"],
                    *row["by_class"].values(),
                    *(row[key] for key in ("unconfirmed_s", "unknown_s", "budget_s")),
                    row["remaining_s"],
                ]
                assert [str(value) for value in wanted] in shown


async def test_an_endpoint_shows_its_figures_and_what_was_seen(client: Any, past: Past) -> None:
    """Budget, outages by class with incident, phases and certificates, durations, configuration."""
    text = await text_of(client, "/endpoints/view-main")
    (row,) = (await past.ask("slo", endpoint="view-main"))["months"]
    assert [str(row["remaining_s"]), row["measured"], row["worst"]] == exact(text)[:3]
    said = plain(text)
    for part in (
        "33m of 3h 36m left",
        "undeclared 5m 00s declared ( D-3 ) 45m 00s overrun ( D-3 ) 25m 00s I-4",
        "Tls handshake 20 ms",
        "TLSv1.3, TLS_AES_256_GCM_SHA384",
        "https://one.example/view/view-main",
        "GET, HTTP 400, 401, 403, 404",
        "5 holdernames served now",
        "tls refused",
    ):
        assert part in said
    calm = plain(await text_of(client, "/endpoints/view-west"))
    assert "None since the daemon started." in calm


async def test_a_sealed_month_tells_its_restatements(client: Any) -> None:
    """What changed by how much, and what waits for a second person."""
    said = plain(await text_of(client, "/months/2026-10"))
    assert "1 restatement since" in said
    assert "Better figures wait for a second person's approval" in said
    assert "Restatement 1" in said
    assert "0s 1h 30m 00s 100.0000 % 99.7986 %" in said
    assert "It will be sealed 8 Dec 2026" in plain(await text_of(client, "/months/2026-11"))
    assert "The month is not sealed yet." in plain(await text_of(client, "/months/2026-11"))


# -- what is asked wrongly -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/endpoints/none", 404),
        ("/endpoints/%3Cscript%3E", 404),
        ("/endpoints/..%2f..%2fetc", 404),
        ("/endpoints/none/explain?at=2026-11-19T00:50Z", 404),
        ("/endpoints/view-main/explain", 400),
        ("/endpoints/view-main/explain?at=yesterday", 400),
        ("/endpoints/view-main/explain?at=2999-01-01T00:00Z", 400),
        ("/endpoints/view-main/explain?at=2026-10-25T01:30", 400),
        ("/months/2026-13", 400),
        ("/months/now", 400),
        ("/months/2026-11?endpoint=none", 404),
        ("/months/2026-11?endpoint=view-test", 400),
    ],
)
async def test_what_is_not_there_is_refused(client: Any, path: str, status: int) -> None:
    """With the status of a wrong address or question; nothing fails on our side."""
    await text_of(client, path, status)


@pytest.mark.parametrize("day", ["x", "2026-02-30", "1066-01-01", "9999-12-31", "2026-11-27"])
async def test_a_day_that_cannot_be_shown_is_today(client: Any, day: str) -> None:
    """One that does not exist, has not begun, or is before all clocks."""
    text = await text_of(client, f"/endpoints/view-main?day={day}")
    assert "Thursday, 26 November 2026" in text


async def test_a_month_before_anybody_was_connected_says_so(client: Any) -> None:
    """Nothing is drawn of it, and no figure stands for it."""
    said = plain(await text_of(client, "/months/2026-08"))
    assert "Nothing of this month counts for it." in said


# -- pictures --------------------------------------------------------------------------------------


def test_lines_of_durations_break_where_nothing_was_probed() -> None:
    """Two quarters beside one another are joined, one far off stands alone."""
    bucket = {"probes": 1, "failed": 0, "median_s": 0.1, "p95_s": 0.2, "max_s": 0.3}
    document = {
        "start": "2026-11-25T09:00:00Z",
        "end": "2026-11-26T09:00:00Z",
        "bucket_s": 900,
        "all": bucket,
        "buckets": [{"at": f"2026-11-25T{at}:00Z", **bucket} for at in ("10:00", "10:15", "20:00")],
    }
    drawn = pictures.times(document)
    assert drawn.count('class="median"') == 2
    assert 'class="fail"' not in drawn
    assert "longest 300 ms" in drawn
    empty = pictures.times({**document, "all": None, "buckets": []})
    assert "there was none" in empty
