"""Silences for declared windows: which should be there, and what is due for that."""

from __future__ import annotations

import re

from monitor.core.book import Book
from monitor.core.interval import Interval
from monitor.core.silence import Found, Matcher, Silence, due, matchers, wanted
from tests.core.builders import (
    GUID,
    HOUR,
    MINUTE,
    OTHER,
    SECOND,
    START,
    book,
    declaration,
    endpoint,
    fact,
    holdername,
    minutes,
)

WINDOW = minutes(60, 120)
TWO = (endpoint("find-1"), endpoint("view.1"))


def declared(*known: object, **body: object) -> Book:
    """A Book of two endpoints with D-1 as the body says."""
    found = book(*TWO, holdernames=(holdername(GUID, "find-1", "view.1"),))
    found.learn(declaration(START, WINDOW, reason="upgrade", **body))
    return found


def names(silence: Silence) -> list[str]:
    """The endpoints that a silence mutes, of the two."""
    (asked,) = (one for one in silence.matchers if one.name == "endpoint")
    if not asked.regex:
        return [asked.value]
    return [one.id for one in TWO if re.fullmatch(asked.value, one.id)]


def test_a_window_in_force_is_to_be_silenced_from_start_to_end() -> None:
    """As soon as it is in force, until it is over; without a scope every endpoint is in it."""
    known = declared()
    (one,) = wanted(known, START)
    assert one.window == WINDOW
    assert names(one) == ["find-1", "view.1"]
    assert one.comment == (
        "Declared downtime D-1, 2026-03-02T10:00:00Z to 2026-03-02T11:00:00Z: upgrade"
    )
    assert wanted(known, WINDOW.end - SECOND) == [one]
    assert wanted(known, WINDOW.end) == []


def test_incidents_and_findings_stay_heard() -> None:
    """What bears the label `incident` or `check` does not match, whatever endpoint it names."""
    assert matchers(["view"]) == {
        Matcher("endpoint", "view"),
        Matcher("incident", ""),
        Matcher("check", ""),
    }


def test_a_dot_in_a_name_is_a_dot() -> None:
    """Several endpoints are one expression that matches no other."""
    (asked,) = (one for one in matchers(["view.1", "find-1"]) if one.regex)
    assert asked.value == r"find-1|view\.1"
    assert re.fullmatch(asked.value, "viewx1") is None


def test_only_what_is_in_scope_is_silenced() -> None:
    """Endpoints named; of holdernames only if every one active there is named."""
    assert names(wanted(declared(endpoints=["view.1"]), START)[0]) == ["view.1"]
    assert names(wanted(declared(services=["view"]), START)[0]) == ["find-1", "view.1"]
    assert names(wanted(declared(holdernames=[GUID]), START)[0]) == ["find-1", "view.1"]
    assert wanted(declared(holdernames=[OTHER]), START) == []


def test_a_draft_a_cancelled_and_a_completed_window_are_not_silenced() -> None:
    """Only what is in force, and not done yet."""
    assert wanted(declared(notified_at=None), START) == []
    known = declared()
    known.learn(fact("cancellation", START + MINUTE, id="D-1", author="ops"))
    assert wanted(known, START + MINUTE) == []
    known = declared()
    known.learn(fact("completion", WINDOW.start + MINUTE, id="D-1", author="ops"))
    assert wanted(known, WINDOW.start + MINUTE) == []


def test_an_amended_window_is_another_silence() -> None:
    """The new one is made before the old one is ended."""
    known = declared()
    before = wanted(known, START)
    later = Interval(WINDOW.start, WINDOW.end + HOUR)
    known.learn(fact("amendment", START, id="D-1", notified_at=START, end=later.end, author="ops"))
    (now,) = wanted(known, START)
    assert now.window == later
    kept = Found("s1", before[0].matchers, before[0].comment, over=False)
    assert due([now], [kept]) == ([now], ["s1"])


def test_what_is_there_is_left_alone() -> None:
    """After a restart nothing is made twice; other comments of ours are ended, once."""
    one = wanted(declared(), START)[0]
    there = Found("s1", one.matchers, one.comment, over=False)
    gone = Found("s2", one.matchers, "Declared downtime D-0", over=True)
    assert due([one], [there, gone]) == ([], [])
    assert due([], [there, gone]) == ([], ["s1"])


def test_what_a_person_expired_stays_expired() -> None:
    """A silence ended by hand is not made again."""
    one = wanted(declared(), START)[0]
    assert due([one], [Found("s1", one.matchers, one.comment, over=True)]) == ([], [])
