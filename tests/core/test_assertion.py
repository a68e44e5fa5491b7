"""Outages that are asserted."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.assertion import Assertion, assert_outage, withdraw
from monitor.core.endpoint import Service
from monitor.core.fact import BadFact
from tests.core.builders import GUID, MINUTE, OTHER, START, after, assertion, fact, minutes

VIEW, FIND = Service.VIEW, Service.FIND


def asserted(start: float = 0, end: float | None = None, **body: Any) -> Assertion:
    last = None if end is None else after(minutes=end)
    return assert_outage(None, assertion(START, after(minutes=start), last, **body))


def test_open_assertion_lasts_until_now() -> None:
    """An assertion without an end goes on (accounting 3)."""
    one = asserted(5)
    assert one.span(after(minutes=5)) is None
    assert one.span(after(minutes=9)) == minutes(5, 9)
    assert one.is_open(after(minutes=9))


def test_ended_assertion() -> None:
    """An end is not part of the span, and before it the span runs up to now."""
    one = asserted(0, 10)
    assert one.span(after(minutes=4)) == minutes(0, 4)
    assert one.span(after(minutes=40)) == minutes(0, 10)
    assert one.is_open(after(minutes=9))
    assert not one.is_open(after(minutes=10))


def test_later_assertion_replaces() -> None:
    """A later one with the same id replaces it; the first says when we learned (accounting 3)."""
    first = asserted(0)
    fact_ = assertion(after(minutes=20), START, after(minutes=10), services=["find"])
    second = assert_outage(first, fact_)
    assert second.span(after(hours=1)) == minutes(0, 10)
    assert (second.learned_at, second.latest.recorded_at) == (START, after(minutes=20))
    assert second.concerns(GUID, FIND)
    assert not second.concerns(GUID, VIEW)


def test_withdrawal_counts_no_more_until_asserted_again() -> None:
    """A withdrawn assertion has no span; asserting it again revives it (accounting 3)."""
    gone = withdraw(asserted(0), fact("withdrawal", after(minutes=5), id="A-1", author="bob"))
    assert (gone.withdrawn_at, gone.withdrawn_by) == (START + 5 * MINUTE, "bob")
    assert gone.span(after(minutes=9)) is None
    assert not gone.is_open(after(minutes=9))
    assert assert_outage(gone, assertion(after(minutes=6), START, None)).is_open(after(minutes=9))


def test_whom_it_concerns() -> None:
    """It concerns the GUIDs named, in any letter case, and every service unless some are named."""
    one = asserted(holdernames=[GUID.upper()])
    assert all(one.concerns(GUID, service) for service in Service)
    assert not one.concerns(OTHER, VIEW)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"end": START}, "end: 2026-03-02T09:00:00Z is not after the start"),
        ({"holdernames": []}, "name at least one holdername GUID"),
        ({"holdernames": None}, "name at least one holdername GUID"),
        ({"id": ""}, "id: must be a text"),
        ({"start": None}, "start: is missing"),
    ],
)
def test_bad_assertion(change: dict[str, Any], text: str) -> None:
    """A fault names the key and the cure."""
    body = {"id": "A-1", "start": START, "end": None, "holdernames": [GUID]}
    with pytest.raises(BadFact, match=text):
        assert_outage(None, fact("assertion", START, **{**body, **change}))
