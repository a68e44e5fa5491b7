"""Calendars of MaPS' downtime: what is read, and what each mistake is told."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from monitor.adapters.calendars import Format, read_calendar
from monitor.core.interval import Interval
from monitor.core.maps import Event
from monitor.errors import UsageError

LONDON = ZoneInfo("Europe/London")
NOTHING = "the calendar cannot be used, nothing was taken:\n"


def ics(*events: str) -> str:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//MaPS//EN"]
    for event in events:
        lines += ["BEGIN:VEVENT", *event.split("|"), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def span(start: str, end: str) -> Interval:
    return Interval(
        *(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "start", "end"),
    [
        ("DTSTART:20260407T000000Z|DTEND:20260407T020000Z", "2026-04-07T00", "2026-04-07T02"),
        (
            "DTSTART;TZID=Europe/London:20260407T000000|DTEND;TZID=Europe/London:20260407T020000",
            "2026-04-06T23",
            "2026-04-07T01",
        ),
        (
            "DTSTART;TZID=GMT Standard Time:20260407T000000|DURATION:PT2H",
            "2026-04-06T23",
            "2026-04-07T01",
        ),
        ("DTSTART;VALUE=DATE:20260407", "2026-04-06T23", "2026-04-07T23"),
        ("DTSTART;VALUE=DATE:20260407|DURATION:P2D", "2026-04-06T23", "2026-04-08T23"),
        (
            "DTSTART;VALUE=DATE:20260328|DTEND;VALUE=DATE:20260330",
            "2026-03-28T00",
            "2026-03-29T23",
        ),
    ],
)
def test_times_of_icalendar(event: str, start: str, end: str) -> None:
    """UTC, named zones (Outlook's too), durations, and whole days of UK time."""
    [found] = read_calendar(ics(f"UID:a|SUMMARY:Release|{event}"), Format.ICS, LONDON)
    assert found == Event("a", span(start, end), "Release")


def test_words_of_icalendar() -> None:
    """Escapes are undone, lines joined, no words are some; a cancelled event says so."""
    usual = "DTSTART:20260407T000000Z|DTEND:20260407T020000Z"
    text = ics(
        rf"UID:a|SUMMARY:Release\, with\n  a pause|{usual}", f"UID:b|STATUS:CANCELLED|{usual}"
    )
    found = read_calendar(text, Format.ICS, LONDON)
    assert [(event.summary, event.cancelled) for event in found] == [
        ("Release, with a pause", False),
        ("downtime of MaPS", True),
    ]
    assert read_calendar(ics(), Format.ICS, LONDON) == []


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("DTSTART:20260407T000000Z", "has no UID, by which it would be known again"),
        ("UID:a|DTEND:20260407T000000Z", "has no DTSTART"),
        ("UID:a|DTSTART:20260407T000000Z", "has neither DTEND nor DURATION"),
        (
            "UID:a|DTSTART:20260407T000000|DURATION:PT1H",
            "DTSTART: has no time zone; write UTC (with a Z) or a TZID",
        ),
        (
            "UID:a|DTSTART;TZID=Mars/Olympus:20260407T000000|DURATION:PT1H",
            'DTSTART: the time zone "Mars/Olympus" is not known; use UTC (with a Z)',
        ),
        (
            "UID:a|DTSTART:20260407T000000Z|DTEND:20260407T000000Z",
            "does not end after its start; give an end that is later",
        ),
        (
            "UID:a|DTSTART:20260407T000000Z|DTSTART:20260407T010000Z|DURATION:PT1H",
            "has DTSTART more than once",
        ),
        (
            "UID:a|DTSTART:20260407T000000Z|DURATION:PT1H|RRULE:FREQ=DAILY",
            "repeats (RRULE); export single events",
        ),
    ],
)
def test_events_that_cannot_be_used(event: str, text: str) -> None:
    """Each is named by its place, with what is wrong."""
    good = "UID:good|DTSTART:20260407T000000Z|DURATION:PT1H"
    with pytest.raises(UsageError) as caught:
        read_calendar(ics(good, event), Format.ICS, LONDON)
    assert str(caught.value) == f"{NOTHING}event 2: {text}"


def test_every_fault_is_told_at_once() -> None:
    """And nothing is taken, also of what is good; a UID names one event."""
    usual = "DTSTART:20260407T000000Z|DURATION:PT1H"
    with pytest.raises(UsageError) as caught:
        read_calendar(
            ics(f"UID:a|{usual}", f"UID:a|{usual}", usual, "UID:c|DTSTART:2026040T000000Z"),
            Format.ICS,
            LONDON,
        )
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("event 3: has no UID")
    assert lines[2].startswith("event 4: DTSTART: ")
    assert lines[3] == 'UID "a" stands 2 times; a UID names one event'


@pytest.mark.parametrize("text", ["", "hello", "BEGIN:VCALENDAR\nBEGIN:VEVENT\n"])
def test_what_is_no_icalendar_is_refused(text: str) -> None:
    """Half a file too."""
    with pytest.raises(UsageError, match="the calendar is no iCalendar file"):
        read_calendar(text, Format.ICS, LONDON)


def test_csv_is_read_by_its_headings() -> None:
    """In any order; times without an offset are UK time; empty lines and other columns are passed."""
    text = (
        "\ufeffSummary,UID,Start,End,Status,Room\r\n"
        '"Release, 7",a,2026-04-07T00:00,2026-04-07T02:00,,1\r\n'
        "\r\n"
        ",b,2026-04-07T00:00Z,2026-04-07T02:00Z,cancelled,2\r\n"
    )
    assert read_calendar(text, Format.CSV, LONDON) == [
        Event("a", span("2026-04-06T23", "2026-04-07T01"), "Release, 7"),
        Event("b", span("2026-04-07T00", "2026-04-07T02"), "downtime of MaPS", cancelled=True),
    ]


def test_faults_of_csv_name_the_line() -> None:
    """Missing columns, empty cells, and times that cannot be."""
    with pytest.raises(UsageError, match="the calendar has no column uid, end; its first line"):
        read_calendar("start,summary\n", Format.CSV, LONDON)
    with pytest.raises(UsageError, match="the calendar has no column uid, start, end, summary"):
        read_calendar("", Format.CSV, LONDON)
    text = (
        "uid,start,end,summary\n"
        ",2026-04-07T00:00,,x\n"
        "b,2026-03-29T01:30,2026-03-29T04:00,x\n"
        "c,2026-04-07\n"
        "d,2026-04-07T02:00,2026-04-07T01:00,x\n"
    )
    with pytest.raises(UsageError) as caught:
        read_calendar(text, Format.CSV, LONDON)
    lines = str(caught.value).splitlines()[1:]
    assert lines[0] == "line 2: uid, end: is empty"
    assert lines[1].startswith('line 3: "2026-03-29T01:30" does not exist')
    assert lines[2] == "line 4: end: is empty"
    assert lines[3].startswith("line 5: does not end after its start")
