"""The overview as a page: the answer in words, the list, and figures to the last digit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.web import pictures
from monitor.web.console.overview import answer
from tests.web.history import Past, app_of, eventful


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One for all, since pages only read."""
    made = asyncio.run(eventful(tmp_path_factory.mktemp("past"), more=60, test=30))
    yield made
    made.place.store.close()


@pytest.fixture
async def client(aiohttp_client: Any, past: Past) -> Any:
    return await aiohttp_client(app_of(past))


async def text_of(client: Any, address: str) -> str:
    answer = await client.get(address)
    assert answer.status == 200
    text: str = await answer.text()
    return text


def plain(text: str) -> str:
    """What is read, without the markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


async def test_the_answer_stands_first(client: Any) -> None:
    """What is down and since when, the clock of the first incident, and what is owed about it."""
    text = plain(await text_of(client, "/"))
    assert (
        "Of 64 live endpoints, 1 is down, 1 impaired, 1 unknown; unavailable since 08:12." in text
    )
    assert "Incident I-6 : 42 min left to restore service by 10:12; report it to MaPS" in text
    assert "Least is left to find-main : overspent by 26m of 3h 36m" in text


async def test_the_list_is_paged_with_test_endpoints_apart(client: Any) -> None:
    """Fifty live endpoints a page, linked to the next, and some test endpoints beneath."""
    first = await text_of(client, "/")
    assert "1 to 50 of 64" in first
    assert '<a rel="next" href="/?page=2#endpoints">' in first
    assert "20 of 30" in plain(first)
    second = await text_of(client, "/?page=2")
    assert "51 to 64 of 64" in second
    assert 'rel="prev"' in second
    assert 'rel="next"' not in second
    assert "There is no page 9" in await text_of(client, "/?page=9")
    for strange in ("0", "-1", "x", "99999999", "²"):
        assert "1 to 50 of 64" in await text_of(client, f"/?page={strange}")


async def test_filters_are_kept_from_page_to_page(client: Any) -> None:
    """What was asked stands in the form and in the links; strange texts are only text."""
    found = await text_of(client, "/?text=view&service=view&page=1")
    assert 'value="view"' in found
    assert 'href="/?text=view&amp;service=view&amp;page=2#endpoints"' in found
    assert "No endpoint is like this" in await text_of(client, "/?text=%3Cscript%3E")
    assert "&lt;script&gt;" in await text_of(client, "/?text=%3Cscript%3E")
    assert "Test endpoints, troubled first" in await text_of(client, "/?environment=test")


async def test_a_filter_that_does_not_exist_is_refused(client: Any) -> None:
    """With the status of a wrong request, not as an error of ours."""
    for query in ("service=x", "state=x", "environment=x"):
        answer = await client.get(f"/?{query}")
        assert answer.status == 400


async def test_figures_are_exact_behind_the_words(client: Any, past: Past) -> None:
    """The page carries each remaining budget as `slo` prints it, to the last digit."""
    text = await text_of(client, "/?text=main")
    rows = {row["series"]["endpoint"]: row for row in (await past.ask("slo"))["months"]}
    for name in ("view-main", "find-main", "pat-main"):
        exact = rows[name]["remaining_s"]
        cell = text[text.index(f'href="/endpoints/{name}"') :]
        assert f'data-exact="{exact}"' in cell[: cell.index("</tr>")] or name == "find-main"
    assert f'data-exact="{rows["find-main"]["remaining_s"]}"' in text


def a_count(**states: int) -> dict[str, Any]:
    known = {"down": 0, "impaired": 0, "unknown": 0, "unconfirmed": 0, "up": 0, **states}
    live = {"all": sum(known.values()), **known}
    now = "2026-11-26T09:30:00Z"
    return {"counts": {"live": live}, "unavailable_since": None, "now": now}


@pytest.mark.parametrize(
    ("states", "tone", "text"),
    [
        ({}, "unknown", "No live endpoint is configured."),
        ({"up": 1}, "up", "All 1 live endpoint is up."),
        ({"up": 1200}, "up", "All 1,200 live endpoints are up."),
        ({"up": 3, "down": 2}, "down", "Of 5 live endpoints, 2 are down."),
        ({"up": 1, "unconfirmed": 1}, "unconfirmed", "Of 2 live endpoints, 1 is failing, not"),
        ({"impaired": 1, "unknown": 2}, "impaired", "1 is impaired, 2 unknown."),
    ],
)
def test_the_answer_has_the_tone_of_the_worst(states: dict[str, int], tone: str, text: str) -> None:
    """Nothing but up reads as all up; what waits for confirmation does not."""
    found = answer(a_count(**states))
    assert found["tone"] == tone
    assert text in found["text"]


def test_since_when_has_its_day_unless_today() -> None:
    """A time of another day, or year, says so."""
    found = {**a_count(down=1), "unavailable_since": "2026-11-24T23:30:00Z"}
    assert answer(found)["text"].endswith("unavailable since 24 Nov, 23:30.")
    found["unavailable_since"] = "2025-07-01T23:30:00Z"
    assert answer(found)["text"].endswith("unavailable since 2 Jul 2025, 00:30.")


def test_what_is_short_is_never_too_narrow_to_be_seen() -> None:
    """A failure of seconds in a day is two pixels wide, inside the picture, over what was up."""
    runs = [["up", 86_390], ["undeclared", 10]]
    drawn = pictures.ribbon("Day", {"runs": runs, "sums": {"undeclared": 10}}, 192)
    assert 'd="M190 0h2v20h-2z"' in drawn
    assert drawn.index("k-up") < drawn.index("k-undeclared")
    assert "<title>Day: undeclared 10s</title>" in drawn


def test_a_picture_says_what_it_shows() -> None:
    """A budget overspent many times over stays inside its picture, and says by how much."""
    burn = {
        "start": "2026-11-01T00:00:00Z",
        "end": "2026-12-01T00:00:00Z",
        "budget_s": 12_960,
        "remaining_s": -129_600,
        "points": [
            {"at": "2026-11-01T00:00:00Z", "remaining_s": 12_960},
            {"at": "2026-11-02T00:00:00Z", "remaining_s": -129_600},
        ],
    }
    drawn = pictures.small_budget("a<b", burn)
    assert "a&lt;b: overspent by 36h of 3h 36m, 39h 36m spent" in drawn
    heights = [float(place) for place in re.findall(r"[ML]?[\d.]+ (-?[\d.]+)(?=[LzM\"])", drawn)]
    assert 0 <= min(heights) <= max(heights) <= pictures.SMALL[1]
    assert "overspent by 36h" in pictures.large_budget("a", burn)


def test_every_kind_has_a_word_and_a_filling() -> None:
    """Kinds are told apart by word, letter and hatching, and the style knows each."""
    style = Path(pictures.__file__).parent.joinpath("static/pictures.css").read_text()
    for kind in pictures.WORDS:
        assert pictures.WORDS[kind] in pictures.legend()
        hatched = kind in pictures.HATCHED
        assert (f'id="k-{kind}"' in pictures.defs()) is hatched
        assert (f".m-{kind}-ground" if hatched else f".k-{kind}") in style
