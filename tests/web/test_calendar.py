"""Declared downtime as a calendar to subscribe to."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar

from monitor.adapters.calendars import Format, read_calendar
from monitor.adapters.store import SqliteStore
from monitor.operations import perform
from monitor.web.tokens import Tokens
from tests.desks import CONFIGURATION, Place, read_settings
from tests.web.api.place import app_of, tokens_file

WINDOW = {
    "start": "2026-03-24T00:00",
    "end": "2026-03-24T04:00",
    "reason": "upgrade; of, \\all\n" * 9,
}


@pytest.fixture
async def subscribed(aiohttp_client: Any, tmp_path: Path) -> Any:
    """A place, and its calendar as a program that knows only Basic gets it."""
    path, secrets = tokens_file(tmp_path)
    basic = b64encode(f"calendar:{secrets['read']}".encode()).decode()
    with SqliteStore.open(tmp_path / "store.db") as store:
        place = Place(read_settings(tmp_path, CONFIGURATION), store)
        client = await aiohttp_client(app_of(place, Tokens(path)))

        async def get(**headers: str) -> Any:
            known = {"Authorization": f"Basic {basic}", **headers}
            return await client.get("/calendar.ics", headers=known)

        yield place, get, client


async def events(get: Any) -> dict[str, Any]:
    """The events by the beginning of their title, after a look at the form of the whole."""
    answer = await get()
    assert (answer.status, answer.content_type) == (200, "text/calendar")
    body = await answer.read()
    assert all(len(line) <= 75 for line in body.split(b"\r\n"))
    assert b"\n" not in body.replace(b"\r\n", b"")
    calendar = Calendar.from_ical(body)
    assert calendar["x-wr-calname"] == "Downtime of Example Administration Ltd"
    assert calendar["refresh-interval"].dt == timedelta(minutes=15)
    assert calendar.errors == []
    found = {}
    for event in calendar.walk("VEVENT"):
        assert event.errors == []
        assert {"UID", "DTSTAMP", "DTSTART", "SUMMARY", "STATUS", "SEQUENCE"} <= set(event)
        found[str(event["summary"]).partition(":")[0]] = event
    return found


async def do(place: Place, name: str, **arguments: Any) -> dict[str, Any]:
    place.clock.time += timedelta(seconds=1)
    return await perform(place.desk, name, arguments, author="ann")


async def test_a_draft_is_tentative_and_its_notice_is_due(subscribed: Any) -> None:
    """MaPS must be told by an instant, which is an event of its own until it was."""
    place, get, _ = subscribed
    await do(place, "downtime.declare", **WINDOW, endpoints=["view-main"])
    found = await events(get)
    assert list(found) == ["Planned downtime", "Tell MaPS of D-1 before this"]
    event, due = found.values()
    assert event["status"] == "TENTATIVE"
    assert event["dtstart"].dt == datetime(2026, 3, 24, tzinfo=UTC)
    assert event["dtend"].dt == datetime(2026, 3, 24, 4, tzinfo=UTC)
    assert "upgrade; of, \\all" in event["summary"]
    assert "Scope: endpoints view-main" in event["description"]
    assert due["dtstart"].dt == datetime(2026, 3, 16, 17, tzinfo=UTC)
    assert "dtend" not in due
    told = await do(place, "downtime.notify", id="D-1", ticket="PDP-7")
    assert told["state"] == "notified"
    (event,) = (await events(get)).values()
    assert (event["status"], event["sequence"]) == ("CONFIRMED", 1)
    assert "PDP-7" in event["description"]


async def test_an_event_keeps_its_uid_through_all_versions(subscribed: Any) -> None:
    """Each version counts up; a cancelled one says so, and stays."""
    place, get, _ = subscribed
    await do(place, "downtime.declare", **WINDOW, notified_at="2026-03-10T09:00")
    seen = [(await events(get))["Planned downtime"]]
    await do(
        place, "downtime.amend", id="D-1", end="2026-03-24T03:00", notified_at="2026-03-10T09:00"
    )
    seen.append((await events(get))["Planned downtime"])
    await do(place, "downtime.cancel", id="D-1")
    seen.append((await events(get))["Planned downtime"])
    assert len({str(event["uid"]) for event in seen}) == 1
    assert [event["sequence"] for event in seen] == [0, 1, 2]
    assert [event["status"] for event in seen] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    assert seen[1]["dtend"].dt == datetime(2026, 3, 24, 3, tzinfo=UTC)
    stamps = [event["dtstamp"].dt for event in seen]
    assert stamps == sorted(stamps)


async def test_downtime_of_maps_is_marked(subscribed: Any) -> None:
    """So that one sees whose it is."""
    place, get, _ = subscribed
    await do(place, "downtime.declare", **WINDOW, kind="maps")
    await do(place, "downtime.declare", **WINDOW, kind="emergency")
    found = await events(get)
    assert set(found) == {"MaPS downtime", "Emergency downtime"}
    assert found["MaPS downtime"]["categories"].cats == ["MaPS"]


async def test_what_we_write_we_can_import(subscribed: Any) -> None:
    """The calendar is one that the other end of the product reads, event by event."""
    place, get, _ = subscribed
    await do(place, "downtime.declare", **WINDOW, notified_at="2026-03-10T09:00")
    await do(place, "downtime.declare", **{**WINDOW, "reason": "other"}, kind="maps")
    text = await (await get()).text()
    read = read_calendar(text, Format.ICS, place.book.rules.zone)
    assert [(one.window.start, one.window.end) for one in read] == [
        (datetime(2026, 3, 24, tzinfo=UTC), datetime(2026, 3, 24, 4, tzinfo=UTC))
    ] * 2


async def test_it_is_sent_once(subscribed: Any) -> None:
    """Programs ask often: an unchanged calendar is 304, however time goes by."""
    place, get, _ = subscribed
    await do(place, "downtime.declare", **WINDOW)
    tag = (await get()).headers["ETag"]
    place.clock.time += timedelta(hours=1)
    assert (await get(**{"If-None-Match": tag})).status == 304
    await do(place, "downtime.cancel", id="D-1")
    assert (await get(**{"If-None-Match": tag})).status == 200


async def test_it_is_no_public_calendar(subscribed: Any) -> None:
    """Without a token it is refused, with a challenge that calendar programs know."""
    _, _, client = subscribed
    answer = await client.get("/calendar.ics")
    assert answer.status == 401
    assert 'Basic realm="monitor"' in answer.headers["WWW-Authenticate"]


async def test_what_was_long_ago_is_left_out(subscribed: Any) -> None:
    """A calendar does not grow for ever."""
    place, get, _ = subscribed
    await do(place, "downtime.declare", **WINDOW)
    place.clock.time += timedelta(days=500)
    assert await events(get) == {}
