"""Events of MaPS' calendar: what becomes of each, again and again."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.book import Book
from monitor.core.downtime import Kind
from monitor.core.maps import Event, Outcome, Taken, identifier, take
from tests.core.builders import DAY, START, at, book, span

EVENT = Event("release-7@maps", span("2026-03-17T00:00", "2026-03-17T06:00"), "Release 7")
NAME = identifier(EVENT.uid)


def taken(known: Book, event: Event = EVENT, now: str | None = None) -> Taken:
    """What becomes of an event; the Book learns it."""
    moment = START if now is None else at(now)
    found = take(event, known.calendar.declarations, now=moment, author="ann")
    if found.fact is not None:
        assert found.fact.at == moment
        known.learn(found.fact)
    return found


def test_an_event_becomes_a_declaration_of_maps_downtime() -> None:
    """It covers everything, counts at once, and keeps the UID."""
    known = book()
    found = taken(known)
    assert (found.outcome, found.id, found.why) == (Outcome.DECLARED, NAME, None)
    assert found.fact is not None
    assert (found.fact.type, found.fact.body["uid"]) == ("declaration", EVENT.uid)
    latest = known.declaration(NAME).latest
    assert (latest.kind, latest.window, latest.reason) == (Kind.MAPS, EVENT.window, "Release 7")
    assert (latest.notified_at, latest.scope.endpoints, latest.author) == (START, None, "ann")


def test_the_same_event_again_changes_nothing() -> None:
    """Nothing is recorded."""
    known = book()
    taken(known)
    again = taken(known)
    assert (again.outcome, again.fact) == (Outcome.UNCHANGED, None)


def test_a_changed_event_is_an_amendment() -> None:
    """Another window, or other words, make one more version of the same declaration."""
    known = book()
    taken(known)
    moved = replace(EVENT, window=span("2026-03-18T00:00", "2026-03-18T06:00"))
    assert taken(known, moved).outcome is Outcome.AMENDED
    assert taken(known, replace(moved, summary="Release 8")).outcome is Outcome.AMENDED
    declaration = known.declaration(NAME)
    assert [version.window.start for version in declaration.versions] == [
        EVENT.window.start,
        EVENT.window.start + DAY,
        EVENT.window.start + DAY,
    ]
    assert declaration.latest.reason == "Release 8"


def test_a_cancelled_event_cancels_for_good() -> None:
    """Once; an event that comes back under the same UID is left to people."""
    known = book()
    taken(known)
    assert taken(known, replace(EVENT, cancelled=True)).outcome is Outcome.CANCELLED
    assert known.declaration(NAME).cancelled_at == START
    assert taken(known, replace(EVENT, cancelled=True)).outcome is Outcome.UNCHANGED
    back = taken(known)
    assert (back.outcome, back.fact) == (Outcome.SKIPPED, None)
    assert back.why == "was cancelled here; declare it by hand if it is on again"


def test_what_is_over_or_never_was_is_skipped() -> None:
    """A window recorded after its end would excuse nothing."""
    known = book()
    never = taken(known, replace(EVENT, cancelled=True))
    assert never.why == "is cancelled, and was never known here"
    late = taken(known, now="2026-03-17T06:00")
    assert late.why == "is over: recorded now it would excuse nothing"
    assert known.calendar.declarations == {}
    taken(known, now="2026-03-17T05:59")
    changed = taken(known, replace(EVENT, summary="Release 8"), now="2026-03-17T06:00")
    assert changed.why == "is over: it can be changed no more"
