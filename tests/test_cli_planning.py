"""`downtime plan`, `downtime import` and the options that planning adds to declarations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.cli_place import Place

LONDON = ZoneInfo("Europe/London")
TODAY = datetime.now(UTC).astimezone(LONDON).date()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def day(ahead: int) -> str:
    return (TODAY + timedelta(days=ahead)).isoformat()


def calendar(place: Place, *rows: str, name: str = "maps.csv") -> str:
    path = place.folder / name
    path.write_text("\n".join(["uid,start,end,summary,status", *rows, ""]), encoding="utf-8")
    return str(path)


def test_a_plan_says_what_is_against_a_window_and_what_would_do(place: Place) -> None:
    """It exits with 1, records nothing, and offers windows that then are found good."""
    calendar(place)
    place.ask("downtime", "import", str(place.folder / "maps.csv"))  # makes the store
    asked = ("--start", f"{day(1)}T12:00", "--end", f"{day(1)}T13:00")
    found = place.ask("downtime", "plan", *asked, code=1)
    assert found["ok"] is False
    assert found["objections"][0].startswith("notice too short: 0 of 5 working days")
    assert place.ask("downtime", "list")["declarations"] == []
    better = found["alternatives"][0]["window"]
    good = place.ask("downtime", "plan", "--start", better["start"], "--end", better["end"])
    assert (good["ok"], good["objections"]) == (True, [])
    shown = place.run("downtime", "plan", *asked)
    assert shown.exit_code == 1
    for text in (
        "this window would not do.",
        "Against: notice too short",
        "tell MaPS before",
        "Windows that would do, best first:\n1. ",
        "left after",
    ):
        assert text in shown.stdout
    assert "this window would do." in place.run(
        "downtime", "plan", "--start", better["start"], "--end", better["end"]
    ).stdout  # fmt: skip


def test_a_plan_for_too_long_a_time_offers_nothing(place: Place) -> None:
    """Longer than a change window and than any budget: it says so, and why."""
    place.ask("downtime", "import", calendar(place, f"a,{day(40)}T00:00,{day(41)}T00:00,Release,"))
    shown = place.run(
        "downtime", "plan", "--start", f"{day(40)}T01:00", "--end", f"{day(40)}T13:00"
    )
    assert shown.exit_code == 1
    assert "No change window of the next half year would do for so long a time." in shown.stdout
    assert "it is too short for this work" in shown.stdout
    assert "MaPS' own downtime M-" in shown.stdout


def test_a_calendar_is_taken_again_and_again(place: Place) -> None:
    """Nothing doubles; what changed is amended, what is cancelled is cancelled."""
    row = f"a,{day(40)}T00:00,{day(40)}T06:00,Release"
    path = calendar(place, f"{row},", f"b,{day(-40)}T00:00,{day(-40)}T06:00,Old,")
    first, old = place.ask("downtime", "import", path)["events"]
    assert (first["outcome"], old["outcome"]) == ("declared", "skipped")
    assert place.ask("downtime", "import", path)["events"][0]["outcome"] == "unchanged"
    longer = row.replace("06:00", "07:00")
    again = place.ask("downtime", "import", calendar(place, f"{longer},"))["events"]
    assert [one["outcome"] for one in again] == ["amended"]
    [known] = place.ask("downtime", "list")["declarations"]
    assert (known["id"], known["kind"], known["warnings"]) == (first["id"], "maps", [])
    gone = place.run("downtime", "import", calendar(place, f"{longer},cancelled"))
    assert (gone.exit_code, "cancelled" in gone.stdout) == (0, True)
    assert place.ask("downtime", "list")["declarations"] == []


def test_a_calendar_may_be_icalendar(place: Place) -> None:
    """Known by its ending, or by --format; one without events says so."""
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//MaPS//EN\r\nBEGIN:VEVENT\r\nUID:a\r\n"
        f"DTSTART;VALUE=DATE:{day(40).replace('-', '')}\r\nSUMMARY:Release\r\nEND:VEVENT\r\n"
        "END:VCALENDAR\r\n"
    )
    path = place.folder / "maps.ics"
    path.write_text(text, encoding="utf-8")
    [event] = place.ask("downtime", "import", str(path))["events"]
    assert (event["outcome"], event["reason"]) == ("declared", "Release")
    path.rename(place.folder / "maps.txt")
    [event] = place.ask(
        "downtime", "import", str(place.folder / "maps.txt"), "--format", "ics"
    )["events"]  # fmt: skip
    assert event["outcome"] == "unchanged"
    shown = place.run("downtime", "import", calendar(place))
    assert shown.stdout == "The calendar has no events.\n"


def test_a_calendar_that_cannot_be_used_is_refused(place: Place) -> None:
    """With what is wrong, and nothing taken."""
    assert "No such file" in place.run("downtime", "import", "missing.csv").stderr
    odd = place.folder / "maps.txt"
    odd.write_bytes(b"\xff\xfe")
    assert "ends in neither .ics nor .csv" in place.run("downtime", "import", str(odd)).stderr
    unread = place.run("downtime", "import", str(odd), "--format", "csv")
    assert (unread.exit_code, "is not UTF-8" in unread.stderr) == (2, True)
    path = calendar(place, f"a,{day(40)}T00:00,{day(40)}T06:00,Good,", "b,,,Bad,")
    refused = place.run("downtime", "import", path)
    assert (refused.exit_code, "line 3: start, end: is empty" in refused.stderr) == (2, True)
    assert place.ask("downtime", "import", calendar(place))["events"] == []
    assert place.ask("downtime", "list")["declarations"] == []


def test_a_freeze_is_overridden_with_a_reason(place: Place) -> None:
    """Refused without one; with one it is recorded and shown."""
    year = TODAY.year + (TODAY.month == 12 and TODAY.day > 20)
    window = ("--start", f"{year}-12-27T00:00", "--end", f"{year}-12-27T01:00", "--reason", "x")
    refused = place.run("downtime", "declare", *window)
    assert (refused.exit_code, "--override-freeze REASON" in refused.stderr) == (2, True)
    found = place.run("downtime", "declare", *window, "--override-freeze", "MaPS agreed")
    assert "overridden: MaPS agreed" in found.stdout
    assert place.ask("downtime", "show", "D-1")["freeze_override"] == "MaPS agreed"
    assert "freeze overridden" in place.run("downtime", "show", "D-1").stdout


def test_a_technical_change_lists_its_evidence(place: Place) -> None:
    """Given on a declaration or with an amendment."""
    year = TODAY.year + (TODAY.month > 5)
    place.run(
        "downtime", "declare", "--start", f"{year}-06-10T00:00", "--end", f"{year}-06-10T01:00",
        "--reason", "x", "--change-class", "minor",
    )  # fmt: skip
    place.run("downtime", "amend", "D-1", "--technical-change", "TC-7", "--change-class",
              "significant")  # fmt: skip
    found = place.ask("downtime", "show", "D-1")
    assert (found["technical_change"], found["change_class"]) == ("TC-7", "significant")
    assert "IT health check" in found["evidence"]
    assert found["versions"][0]["change_class"] == "minor"
    assert "IT health check" in place.run("downtime", "show", "D-1").stdout
