"""Declarations: versions, what they cover, and with how much notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from monitor.core.downtime import (
    Calendar,
    Cover,
    Covered,
    Declaration,
    Kind,
    Scope,
    Series,
    amend,
    cancel,
    complete,
    covered_by,
    declare,
    in_scope,
)
from monitor.core.endpoint import Service
from monitor.core.fact import BadFact, Fact
from monitor.core.holdername import Holdername, Register
from monitor.core.interval import FOREVER, Interval
from monitor.core.planning import ChangeClass
from monitor.core.rules import LateRecords, Rules
from tests.core.builders import (
    GUID,
    HOUR,
    LONDON,
    OTHER,
    after,
    at,
    declaration,
    endpoint,
    fact,
    holdername,
    rules,
    series,
    series_of,
    span,
)

VIEW, FIND = Service.VIEW, Service.FIND
DECLARED, SHORT = Cover.DECLARED, Cover.SHORT_NOTICE
TOLD = at("2026-03-02T09:00")
WINDOW = span("2026-03-24T00:00", "2026-03-24T10:00")
"""A change window with three weeks' notice from TOLD."""


def register(*holdernames: Holdername) -> Register:
    return Register((endpoint(), endpoint("spare"), endpoint("find", FIND)), holdernames, LONDON)


def chain(first: Fact, *more: Fact) -> Declaration:
    steps = {"amendment": amend, "cancellation": cancel, "completion": complete}
    found = declare(first)
    for one in more:
        found = steps[one.type](found, one)
    return found


def amendment(instant: datetime, /, **body: Any) -> Fact:
    return fact("amendment", instant, **{"id": "D-1", "notified_at": instant, **body})


def covers(
    found: Declaration,
    about: Series = series(),  # noqa: B008
    known: Register = register(),  # noqa: B008
    choice: Rules = rules(),  # noqa: B008
) -> list[tuple[Interval, Cover]]:
    return [(one.interval, one.cover) for one in covered_by(found, about, known, choice)]


# --- versions ---


def test_declaration_is_read() -> None:
    """A declaration fact says everything of its first version (accounting 4)."""
    found = declare(
        declaration(TOLD, WINDOW, endpoints=["view"], holdernames=[GUID.upper()], reason="upgrade")
    )
    version = found.latest
    assert (found.id, version.kind, version.window) == ("D-1", Kind.PLANNED, WINDOW)
    assert version.scope == Scope(frozenset({"view"}), frozenset({GUID}), None)
    assert (version.ticket, version.reason, version.author) == ("T-1", "upgrade", "ops")
    assert (version.recorded_at, version.notified_at) == (TOLD, TOLD)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"start": None}, "start: is missing"),
        ({"end": WINDOW.start}, "the window ends at 2026-03-24T00:00:00Z, not after its start"),
        ({"kind": "secret"}, "kind: must be one of"),
        ({"services": ["post"]}, "services: must be among"),
        ({"id": ""}, "id: must be a text"),
    ],
)
def test_bad_declaration(change: dict[str, Any], text: str) -> None:
    """A fault names the key and the cure."""
    with pytest.raises(BadFact, match=text):
        declare(declaration(TOLD, WINDOW, **change))


def test_amendment_keeps_what_it_does_not_name() -> None:
    """An amendment changes the fields it names and keeps the others, but not when MaPS was told."""
    first = declaration(
        TOLD, WINDOW, endpoints=["view"], holdernames=[GUID], services=["view"], reason="upgrade"
    )
    later = WINDOW.end + HOUR
    kept = chain(first, fact("amendment", after(hours=1), id="D-1", end=later)).latest
    assert kept.window == Interval(WINDOW.start, later)
    assert kept.scope == declare(first).latest.scope
    assert (kept.ticket, kept.reason, kept.notified_at, kept.author) == ("T-1", "upgrade", None, "")
    changed = chain(
        first,
        amendment(
            after(hours=1),
            start=WINDOW.start - HOUR,
            endpoints=None,
            holdernames=[OTHER],
            services=None,
            ticket="T-2",
            kind="emergency",
            reason="fix",
        ),
    ).latest
    assert changed.scope == Scope(None, frozenset({OTHER}), None)
    assert (changed.kind, changed.ticket, changed.reason) == (Kind.EMERGENCY, "T-2", "fix")
    assert changed.window.start == WINDOW.start - HOUR


def test_amendment_that_ends_before_it_starts() -> None:
    """An amended window must still end after its start."""
    with pytest.raises(BadFact, match="give an end that is later"):
        chain(declaration(TOLD, WINDOW), amendment(after(hours=1), start=WINDOW.end))


def test_draft_has_no_effect() -> None:
    """Without `notified_at` a version is a draft; told later, it counts from then (4.1)."""
    draft = declaration(TOLD, WINDOW, notified_at=None)
    assert covers(chain(draft)) == []
    told = chain(draft, amendment(WINDOW.start + HOUR))
    assert covers(told) == [(Interval(WINDOW.start + HOUR, WINDOW.end), SHORT)]


def test_completion_changes_no_coverage() -> None:
    """What really happened is kept beside the declaration."""
    done = fact("completion", after(days=30), id="D-1", actual_start=WINDOW.start, author="ops")
    found = chain(declaration(TOLD, WINDOW), done)
    assert found.completion is not None
    assert (found.completion.actual_start, found.completion.actual_end) == (WINDOW.start, None)
    assert covers(found) == [(WINDOW, DECLARED)]


def test_cancellation_takes_effect_when_recorded() -> None:
    """A cancelled declaration covers what was past; a second cancellation changes nothing (4.1)."""
    middle = WINDOW.start + 3 * HOUR
    stop = fact("cancellation", middle, id="D-1")
    later = fact("cancellation", middle + HOUR, id="D-1")
    found = chain(declaration(TOLD, WINDOW), stop, later)
    assert covers(found) == [(Interval(WINDOW.start, middle), DECLARED)]
    assert found.version_at(middle, rules()) is None
    assert covers(chain(declaration(TOLD, WINDOW), fact("cancellation", TOLD, id="D-1"))) == []


def test_version_in_force() -> None:
    """In force is the latest version that has taken effect (4.1)."""
    found = chain(declaration(TOLD, WINDOW), amendment(after(days=2), reason="more"))
    choice = rules()
    assert found.version_at(TOLD - HOUR, choice) is None
    assert found.version_at(TOLD, choice) == found.versions[0]
    assert found.version_at(after(days=2), choice) == found.versions[1]


# --- notice ---


def test_enough_notice_is_declared() -> None:
    """Five clear working days make it declared, fewer short notice (4.4)."""
    assert covers(chain(declaration(TOLD, WINDOW))) == [(WINDOW, DECLARED)]
    late = at("2026-03-13T17:00")
    assert covers(chain(declaration(late, WINDOW))) == [(WINDOW, SHORT)]
    in_time = at("2026-03-13T16:59")
    assert covers(chain(declaration(in_time, WINDOW, services=["view"]))) == [(WINDOW, DECLARED)]


def test_kinds() -> None:
    """An emergency is always short notice; MaPS' own downtime is declared without notice (4.4)."""
    assert covers(chain(declaration(TOLD, WINDOW, kind="emergency"))) == [(WINDOW, SHORT)]
    now = WINDOW.start - HOUR
    assert covers(chain(declaration(now, WINDOW, kind="maps"))) == [(WINDOW, DECLARED)]


def test_shrinking_keeps_the_notice() -> None:
    """A window made shorter keeps the notice of what remains (4.2)."""
    smaller = Interval(WINDOW.start + HOUR, WINDOW.end - HOUR)
    near = at("2026-03-23T12:00")
    found = chain(declaration(TOLD, WINDOW), amendment(near, start=smaller.start, end=smaller.end))
    (only,) = covered_by(found, series(), register(), rules())
    assert (only.interval, only.cover) == (smaller, DECLARED)
    assert (only.notified_at, only.counted_to) == (TOLD, smaller.start)


def test_extending_gives_the_added_part_its_own_notice() -> None:
    """An added part has the notice of the extension, counted to its own start (4.2)."""
    near = at("2026-03-23T12:00")
    longer = WINDOW.end + 2 * HOUR
    found = chain(declaration(TOLD, WINDOW), amendment(near, end=longer))
    assert covers(found) == [(WINDOW, DECLARED), (Interval(WINDOW.end, longer), SHORT)]
    both = chain(declaration(TOLD, WINDOW), amendment(near, start=WINDOW.start - HOUR, end=longer))
    assert covers(both) == [
        (Interval(WINDOW.start - HOUR, WINDOW.start), SHORT),
        (WINDOW, DECLARED),
        (Interval(WINDOW.end, longer), SHORT),
    ]


def test_extending_into_the_past_excuses_nothing() -> None:
    """What an amendment adds before the moment it takes effect is not covered (4.1)."""
    late = WINDOW.start + 2 * HOUR
    found = chain(declaration(TOLD, WINDOW), amendment(late, start=WINDOW.start - HOUR))
    assert covers(found) == [
        (Interval(WINDOW.start, late), DECLARED),
        (Interval(late, WINDOW.end), DECLARED),
    ]


def test_leaving_out_and_taking_back() -> None:
    """Time dropped and taken back has the notice of the version that took it back (4.2)."""
    near, nearer = at("2026-03-20T12:00"), at("2026-03-23T12:00")
    middle = WINDOW.start + 5 * HOUR
    found = chain(
        declaration(TOLD, WINDOW), amendment(near, end=middle), amendment(nearer, end=WINDOW.end)
    )
    assert covers(found) == [
        (Interval(WINDOW.start, middle), DECLARED),
        (Interval(middle, WINDOW.end), SHORT),
    ]


def test_a_scope_taken_in_later_has_the_later_notice() -> None:
    """A version that leaves the series out breaks the run (4.2)."""
    near = at("2026-03-23T12:00")
    found = chain(declaration(TOLD, WINDOW, endpoints=["spare"]), amendment(near, endpoints=None))
    assert covers(found) == [(WINDOW, SHORT)]
    assert covers(found, series("spare")) == [(WINDOW, DECLARED)]


def test_amended_during_the_window() -> None:
    """Each instant is judged by the version in force at it (4.1)."""
    middle = WINDOW.start + 4 * HOUR
    moved = amendment(middle, start=WINDOW.end + HOUR, end=WINDOW.end + 2 * HOUR)
    found = chain(declaration(TOLD, WINDOW), moved)
    assert covers(found) == [
        (Interval(WINDOW.start, middle), DECLARED),
        (Interval(WINDOW.end + HOUR, WINDOW.end + 2 * HOUR), SHORT),
    ]


# --- late records ---


def test_late_record_excuses_nothing_past() -> None:
    """Recorded during the window, only what follows is covered (4.1, `late_records: reject`)."""
    middle = WINDOW.start + 4 * HOUR
    found = chain(declaration(middle, WINDOW, notified_at=TOLD))
    assert covers(found) == [(Interval(middle, WINDOW.end), DECLARED)]
    after_it = chain(declaration(WINDOW.end, WINDOW, notified_at=TOLD))
    assert covers(after_it) == []


def late(found: Declaration) -> list[Covered]:
    choice = rules(late_records=LateRecords.ACCEPT)
    return covered_by(found, series(), register(), choice)


def test_late_record_accepted_with_a_ticket() -> None:
    """`accept` lets it take effect when MaPS was told, and marks what it excused (4.1)."""
    middle = WINDOW.start + 4 * HOUR
    found = late(chain(declaration(middle, WINDOW, notified_at=TOLD)))
    assert [(one.interval, one.cover, one.late) for one in found] == [
        (Interval(WINDOW.start, middle), DECLARED, True),
        (Interval(middle, WINDOW.end), DECLARED, False),
    ]
    (only,) = late(chain(declaration(WINDOW.end, WINDOW, notified_at=TOLD)))
    assert (only.interval, only.late) == (WINDOW, True)
    (never_late,) = late(chain(declaration(TOLD, WINDOW)))
    assert not never_late.late


def test_late_record_without_a_ticket_is_not_accepted() -> None:
    """`accept` needs a ticket reference (4.1)."""
    middle = WINDOW.start + 4 * HOUR
    (only,) = late(chain(declaration(middle, WINDOW, notified_at=TOLD, ticket=None)))
    assert only.interval == Interval(middle, WINDOW.end)


# --- scope ---


def inside(about: Series, scope: Scope, *holdernames: Holdername) -> Sequence[Interval]:
    return list(in_scope(about, scope, WINDOW, register(*holdernames)))


def names(*given: str) -> frozenset[str]:
    return frozenset(given)


def test_empty_scope_is_everything() -> None:
    """What is not given does not narrow (4.5)."""
    assert inside(series(), Scope()) == [WINDOW]
    assert inside(series_of(), Scope(), holdername(GUID, "view")) == [WINDOW]


def test_services_narrow() -> None:
    """A View outage under a Find-only declaration is not covered (4.5)."""
    only_find = Scope(services=frozenset({FIND}))
    assert inside(series(), only_find) == []
    assert inside(series("find", FIND), only_find) == [WINDOW]
    assert inside(series_of(), only_find, holdername(GUID, "view", "find")) == []


def test_endpoints_narrow() -> None:
    """An endpoint is in scope if listed; a holdername if an endpoint serving it is (4.5)."""
    scope = Scope(endpoints=names("view"))
    assert inside(series(), scope) == [WINDOW]
    assert inside(series("spare"), scope) == []
    assert inside(series_of(), scope, holdername(GUID, "view", "spare")) == [WINDOW]
    assert inside(series_of(), scope, holdername(GUID, "spare")) == []
    middle = holdername(GUID, "view", until="2026-03-24")
    assert inside(series_of(), scope, middle) == []


def test_listed_holdernames() -> None:
    """A holdername is in scope if listed; an endpoint if everyone active there is (4.5)."""
    both = (holdername(GUID, "view"), holdername(OTHER, "view"))
    one, all_ = Scope(holdernames=names(GUID)), Scope(holdernames=names(GUID, OTHER))
    assert inside(series_of(), one, *both) == [WINDOW]
    assert inside(series_of(OTHER), one, *both) == []
    assert inside(series(), one, *both) == []
    assert inside(series(), all_, *both) == [WINDOW]
    assert inside(series(), one) == []


def test_scope_may_change_with_the_mapping() -> None:
    """An endpoint is in scope only while everyone active there is listed (4.5)."""
    window = span("2026-03-23T12:00", "2026-03-24T12:00")
    known = register(holdername(GUID, "view"), holdername(OTHER, "view", start="2026-03-24"))
    found = chain(declaration(TOLD, window, holdernames=[GUID]))
    midnight = at("2026-03-24")
    assert covers(found, known=known) == [(Interval(window.start, midnight), DECLARED)]


def test_notice_is_counted_to_the_start_of_the_window_part() -> None:
    """A scope that comes in within the window adds no notice: the part's start counts (4.2)."""
    told = at("2026-03-16T09:00")
    window = span("2026-03-24T12:00", "2026-03-25T12:00")
    known = register(holdername(GUID, "view", start="2026-03-25"))
    found = chain(declaration(told, window, holdernames=[GUID]))
    assert covers(found, known=known) == [(span("2026-03-25", "2026-03-25T12:00"), SHORT)]


# --- technical changes and freezes ---


def test_a_technical_change_stays_until_amended() -> None:
    """So does the reason that overrides a freeze; null takes either away."""
    given = {"technical_change": "TC-7", "change_class": "minor", "freeze_override": "agreed"}
    found = chain(
        declaration(TOLD, WINDOW, **given),
        amendment(after(hours=1), reason="more"),
        amendment(after(hours=2), technical_change="TC-8", change_class="significant"),
        amendment(after(hours=3), technical_change=None, change_class=None, freeze_override=None),
    )
    assert [
        (one.technical_change, one.change_class, one.freeze_override) for one in found.versions
    ] == [
        ("TC-7", ChangeClass.MINOR, "agreed"),
        ("TC-7", ChangeClass.MINOR, "agreed"),
        ("TC-8", ChangeClass.SIGNIFICANT, "agreed"),
        (None, None, None),
    ]
    with pytest.raises(BadFact, match="change_class: must be one of minimal, minor"):
        chain(declaration(TOLD, WINDOW, change_class="huge"))


# --- the calendar ---


def test_calendar_puts_declarations_together() -> None:
    """All that covers a series, in order of start, is asked once and remembered."""
    known = register()
    early = chain(declaration(TOLD, span("2026-03-20", "2026-03-21"), id="D-2"))
    calendar = Calendar([chain(declaration(TOLD, WINDOW)), early], known, rules())
    found = calendar.covers(series())
    assert [one.declaration for one in found] == ["D-2", "D-1"]
    assert calendar.covers(series()) is found
    cancelled = cancel(early, fact("cancellation", after(hours=1), id="D-2"))
    assert [one.declaration for one in calendar.replace(cancelled).covers(series())] == ["D-1"]
    assert len(calendar.covers(series())) == 2


def test_boundaries() -> None:
    """Windows, effects and cancellations are instants at which a class may change."""
    stop = WINDOW.start + HOUR
    cancelled = chain(declaration(TOLD, WINDOW), fact("cancellation", stop, id="D-1"))
    marks = Calendar([cancelled], register(), rules()).boundaries()
    assert marks == [TOLD, WINDOW.start, stop, WINDOW.end]
    lasting = Calendar([chain(declaration(TOLD, WINDOW))], register(), rules())
    assert FOREVER not in lasting.boundaries()
    assert lasting.declarations["D-1"] == replace(cancelled, cancelled_at=None)
