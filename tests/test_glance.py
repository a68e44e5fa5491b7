"""The overview: what is down, what is owed by when, and what is left of the budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import UsageError
from tests.web.history import DAY, HOUR, NOW, Past, at, eventful


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One for all that only read."""
    made = asyncio.run(eventful(tmp_path_factory.mktemp("past"), more=3, test=2))
    yield made
    made.place.store.close()


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Past]:
    """One to go on with."""
    made = await eventful(tmp_path, more=3, test=2)
    yield made
    made.place.store.close()


def names(found: Mapping[str, Any]) -> list[str]:
    return [one["id"] for one in found["endpoints"]]


async def test_the_troubled_stand_first(past: Past) -> None:
    """Down, impaired, unknown, then those that are up, of these first what has the least budget."""
    found = await past.ask("overview", environment="live")
    assert names(found) == [
        *("view-main", "view-west", "pat-main", "find-main"),
        *("view-000", "view-001", "view-002"),
    ]
    assert found["counts"]["live"] == {
        **{"all": 7, "down": 1, "impaired": 1, "unknown": 1, "unconfirmed": 0, "up": 4}
    }
    assert found["counts"]["test"]["down"] == 1
    assert found["unavailable_since"] == "2026-11-26T08:12:00Z"


async def test_figures_are_those_of_slo(past: Past) -> None:
    """Row by row and for the least, the month's figures are those of the command line."""
    found = await past.ask("overview")
    rows = {row["series"]["endpoint"]: row for row in (await past.ask("slo"))["months"]}
    for one in found["endpoints"]:
        if one["environment"] == "live":
            assert one["burn"]["remaining_s"] == rows[one["id"]]["remaining_s"]
            assert one["month"]["remaining_s"] == rows[one["id"]]["remaining_s"]
        else:
            assert (one["burn"], one["month"]) == (None, None)
    least = found["month"]["least"]
    assert [one["series"]["endpoint"] for one in least] == ["find-main", "view-main", "view-west"]
    for one in least:
        assert one["by_class"] == rows[one["series"]["endpoint"]]["by_class"]
    assert {key: some for key, some in found["month"]["verdicts"].items() if some} == {
        "running": 6,
        "missed": 1,
    }
    assert found["month"]["spending"] == 3


async def test_a_list_can_be_narrowed_and_paged(past: Past) -> None:
    """By service, environment, state and words; and a page at a time, each endpoint once."""
    for asked, expected in (
        ({"service": "find"}, ["find-main"]),
        ({"environment": "test"}, ["view-test", "test-1"]),
        ({"state": "trouble", "environment": "live"}, ["view-main", "view-west", "pat-main"]),
        ({"state": "unknown"}, ["pat-main"]),
        ({"text": "WEST"}, ["view-west"]),
        ({"text": "one.example main"}, ["view-main", "pat-main", "find-main"]),
        ({"text": "nowhere"}, []),
    ):
        found = await past.ask("overview", **asked)
        assert (names(found), found["matched"]) == (expected, len(expected))
    whole = names(await past.ask("overview"))
    pages = [names(await past.ask("overview", offset=at, limit=4)) for at in (0, 4, 8, 12)]
    assert [len(page) for page in pages] == [4, 4, 1, 0]
    assert [name for page in pages for name in page] == whole


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"service": "fnid"}, "service"),
        ({"environment": "x"}, "environment"),
        ({"state": "bad"}, "state"),
        ({"offset": -1}, "offset: must be 0 or more"),
        ({"limit": 0}, "limit: must be from 1 to 200"),
        ({"limit": 201}, "limit: must be from 1 to 200"),
    ],
)
async def test_what_cannot_be_listed_is_refused(
    past: Past, asked: dict[str, Any], said: str
) -> None:
    """A filter that does not exist is named."""
    with pytest.raises(UsageError, match=said):
        await past.ask("overview", **asked)


async def test_what_is_owed_stands_in_order_of_its_time(past: Past) -> None:
    """Clocks of restoration, reports, updates, completions, notices and closings, each once."""
    found = await past.ask("overview")
    assert [(one["what"], one["about"], one["overdue"]) for one in found["owed"]] == [
        ("report", "I-3", True),
        ("report", "I-4", True),
        ("complete", "D-3", True),
        ("report", "I-6", True),
        ("report", "I-7", True),
        ("restore", "I-6", False),
        ("restore", "I-7", False),
        ("notify", "D-4", False),
        ("approve", "2026-10", False),
        ("close", "I-3", False),
        ("close", "I-4", False),
    ]
    by_what = {(one["what"], one["about"]): one for one in found["owed"]}
    assert by_what["restore", "I-6"]["due"] == "2026-11-26T10:12:00Z"
    notice = (await past.ask("downtime.show", id="D-4"))["notice"]["notify_before"]
    assert by_what["notify", "D-4"]["due"] == notice
    assert "cause" in by_what["close", "I-3"]["text"]


async def test_what_is_done_is_owed_no_more(own: Past) -> None:
    """Reporting, completing and closing take their rows away; a promised update adds one."""
    await own.ask("incident.report", id="I-3", ticket="M-3")
    await own.ask("incident.update", id="I-3", cause="disk", location="own")
    await own.ask("incident.attest", id="I-3")
    owed = (await own.ask("overview"))["owed"]
    assert [(one["what"], one["text"]) for one in owed if one["about"] == "I-3"] == [
        ("close", "close it")
    ]
    await own.ask("incident.close", id="I-3")
    await own.ask("downtime.complete", id="D-3")
    await own.ask("incident.update", id="I-6", text="x", next_update_at="2026-11-26T09:45Z")
    owed = (await own.ask("overview"))["owed"]
    assert {one["about"] for one in owed} == {"I-4", "I-6", "I-7", "D-4", "2026-10"}
    assert ("update", "2026-11-26T09:45:00Z") in [(one["what"], one["due"]) for one in owed]


async def test_budgets_remembered_are_budgets_worked_out_anew(own: Past) -> None:
    """While an outage goes on, after it ended, and in the next month, the order stays true."""
    place = own.place
    for instant in (NOW, NOW + HOUR, at("2026-11-30T23:30"), at("2026-12-01T00:30"), NOW + 9 * DAY):
        place.clock.time = instant
        remembered = await own.ask("overview")
        fresh, place.cycle.book = place.cycle.book, place.cycle.book.branch()
        assert (await own.ask("overview"))["month"] == remembered["month"]
        place.cycle.book = fresh


async def test_nothing_configured_and_nothing_wrong_is_said_plainly(tmp_path: Path) -> None:
    """Where all is well nothing is owed, nothing spent, and since when is not said."""
    calm = await eventful(tmp_path, events=(), deeds=False)
    found = await calm.ask("overview")
    assert (found["owed"], found["month"]["least"], found["unavailable_since"]) == ([], [], None)
    assert found["counts"]["live"]["up"] == 4
    calm.place.store.close()
