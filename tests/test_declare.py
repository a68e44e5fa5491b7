"""What people say, checked before it becomes a fact, and what a declaration is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import declare
from monitor.core import seal
from monitor.core.book import Book
from monitor.core.fact import BadFact, Fact
from monitor.core.month import Month
from monitor.core.notice import enough, notice
from monitor.core.planning import ChangeClass, Freeze, Planning, Reading
from monitor.core.rules import LateRecords, NoticeCalendar
from monitor.core.verdict import Observation, Reason, Result
from monitor.declare import Given
from monitor.errors import BadInstant, IllegalStep, UnknownName, UsageError
from tests.desks import ANNA, BERT, CARL, START, book_of, read_settings

LONDON = ZoneInfo("Europe/London")
TOLD = "2026-03-10T08:59"
DRAFT = "is a draft: MaPS has not been told of it"
ADVICE = (
    "outside the recommended change windows (first and third Tuesday of the month, 00:00 to 10:00"
    " UK time); advice only"
)
DAY = timedelta(days=1)
Build = Callable[..., Fact]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return book_of(read_settings(tmp_path))


def say(book: Book, build: Build, now: datetime = START, **arguments: Any) -> Fact:
    """Build a fact and let the Book learn it."""
    fact = build(book, Given(arguments, LONDON), now=now, author="ann")
    assert fact.at == now
    assert fact.body["author"] == "ann"
    book.learn(fact)
    return fact


def window(start: str = "2026-04-07T00:00", end: str = "2026-04-07T02:00") -> dict[str, str]:
    """A window in a change window (a first Tuesday), with notice enough."""
    return {"start": start, "end": end, "reason": "upgrade"}


def warnings(fact: Fact) -> list[str]:
    found = fact.body["warnings"]
    assert isinstance(found, list)
    return found


# -- a new declaration -----------------------------------------------------------------------------


def test_a_declaration_has_the_shape_of_the_facts_file(book: Book) -> None:
    """Names are sorted, GUIDs in lower case, instants UTC; what was not given is null or absent."""
    fact = say(
        book, declare.declared, **window(), notified_at=TOLD, ticket="T-1",
        endpoints=["view-main", "find-main"], holdernames=[ANNA.upper()], services=["view"],
    )  # fmt: skip
    assert fact == Fact(
        START,
        "declaration",
        {
            "id": "D-1",
            "kind": "planned",
            "notified_at": "2026-03-10T08:59:00Z",
            "start": "2026-04-06T23:00:00Z",
            "end": "2026-04-07T01:00:00Z",
            "endpoints": ["find-main", "view-main"],
            "holdernames": [ANNA],
            "services": ["view"],
            "reason": "upgrade",
            "ticket": "T-1",
            "author": "ann",
            "warnings": [],
        },
    )


def test_ids_are_the_next_free_number_or_as_asked(book: Book) -> None:
    """A gap is not filled, and other names do not count."""
    say(book, declare.declared, **window(), id="D-7")
    say(book, declare.declared, **window(), id="spring")
    assert say(book, declare.declared, **window()).body["id"] == "D-8"


def test_an_empty_list_names_everything(book: Book) -> None:
    """A scope that names nothing does not narrow; it is never a scope of nothing."""
    fact = say(book, declare.declared, **window(), notified_at=TOLD, endpoints=[], services=[])
    assert (fact.body["endpoints"], fact.body["services"]) == (None, None)
    assert book.declaration("D-1").latest.scope.endpoints is None


def test_maps_own_downtime_needs_no_notification_of_ours(book: Book) -> None:
    """It is in force at once, without notice, and no change window or freeze concerns it."""
    fact = say(
        book, declare.declared, **window("2026-12-24T12:00", "2026-12-24T13:00"), kind="maps"
    )
    assert (fact.body["notified_at"], warnings(fact)) == ("2026-03-10T09:00:00Z", [])


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        (
            {"end": "2026-04-07T00:00"},
            BadFact,
            "the window ends at 2026-04-06T23:00:00Z, not after its start 2026-04-06T23:00:00Z;"
            " give an end that is later",
        ),
        (
            {"start": "2026-03-29T01:30"},
            BadInstant,
            'start: "2026-03-29T01:30" does not exist as the clocks go forward; write'
            " 2026-03-29T02:30:00+01:00 (01:30Z) or 2026-03-29T00:30:00+00:00 (00:30Z)",
        ),
        (
            {"end": "2026-10-25T01:30"},
            BadInstant,
            'end: "2026-10-25T01:30" occurs twice as the clocks go back; write'
            " 2026-10-25T01:30:00+01:00 (00:30Z) or 2026-10-25T01:30:00+00:00 (01:30Z)",
        ),
        (
            {"start": "2025-04-07T00:00"},
            BadInstant,
            "start: 2025-04-06T23:00:00Z is 337 days ago (more than 90); check the year",
        ),
        (
            {"end": "2206-04-07T02:00"},
            BadInstant,
            "end: 2206-04-07T01:00:00Z is 65770 days ahead (more than 731); check the year",
        ),
        (
            {"start": "0001-01-01T00:00+01:00"},
            BadInstant,
            'start: "0001-01-01T00:00+01:00" is out of reach; check the year',
        ),
        (
            {"notified_at": "2026-03-10T09:06"},
            BadInstant,
            "notified_at: 2026-03-10T09:06:00Z is still to come (it is 2026-03-10T09:00:00Z); give"
            " the time at which it was done, or leave it out for now",
        ),
        (
            {"endpoints": ["view-main", "veiw-main"]},
            UnknownName,
            'endpoints: there is no endpoint "veiw-main" in the configuration; did you mean'
            ' "view-main"?',
        ),
        (
            {"endpoints": ["nothing alike"]},
            UnknownName,
            'endpoints: there is no endpoint "nothing alike" in the configuration; there are:'
            " find-main, view-main, view-test",
        ),
        (
            {"holdernames": [ANNA.replace("8", "9", 1)]},
            UnknownName,
            f'holdernames: there is no holdername "{ANNA.replace("8", "9", 1)}" in the'
            f' configuration; did you mean "{ANNA}"?',
        ),
        (
            {"services": ["veiw"]},
            UsageError,
            'services: there is no service "veiw"; did you mean "view"? (find, view, pat-refresh)',
        ),
        (
            {"kind": "urgent"},
            UsageError,
            'kind: "urgent" is not one of planned, emergency, maps',
        ),
        ({"reason": "  "}, UsageError, "reason: must be a text that is not empty"),
        (
            {"id": "a b"},
            UsageError,
            'id: "a b" will not do; use up to 64 letters, digits, dots, hyphens and underscores,'
            " or leave it out for the next D-number",
        ),
        (
            {"id": "old"},
            UsageError,
            "id: old exists already; amend it (monitor downtime amend old), or leave the id out"
            " for the next number",
        ),
    ],
)
def test_a_bad_declaration_is_refused_with_its_cure(
    book: Book, changes: dict[str, Any], kind: type[Exception], text: str
) -> None:
    """The text says what is wrong and how to mend it."""
    say(book, declare.declared, **window(), id="old")
    with pytest.raises(UsageError) as caught:
        say(book, declare.declared, **{**window(), **changes})
    assert (type(caught.value), str(caught.value)) == (kind, text)


@pytest.mark.parametrize("key", ["start", "end", "reason"])
def test_what_a_declaration_needs_is_asked_for(book: Book, key: str) -> None:
    """A declaration has a window and a reason."""
    arguments = {name: value for name, value in window().items() if name != key}
    with pytest.raises(UsageError, match=f"^{key}: is missing; give it$"):
        say(book, declare.declared, **arguments)


def test_arguments_of_the_wrong_sort_are_refused() -> None:
    """A caller that skips the table of operations gets an answer too."""
    asked = Given({"endpoints": "view-main", "start": 3}, LONDON)
    with pytest.raises(UsageError, match=r"^endpoints: must be a list of names$"):
        asked.names("endpoints")
    with pytest.raises(UsageError, match=r"^start: must be a text that is not empty$"):
        asked.instant("start")


def test_five_minutes_of_another_clock_are_forgiven(book: Book) -> None:
    """MaPS' receipt may be stamped by a clock ahead of ours."""
    fact = say(book, declare.declared, **window(), notified_at="2026-03-10T09:05")
    assert fact.body["notified_at"] == "2026-03-10T09:05:00Z"


# -- what is warned of -----------------------------------------------------------------------------


def test_a_draft_says_that_it_has_no_effect(book: Book) -> None:
    """Until MaPS is told; its notice is counted as if that were now."""
    fact = say(book, declare.declared, **window("2026-03-17T00:00", "2026-03-17T01:00"))
    draft, short, differs = warnings(fact)
    assert draft == (
        "D-1 is a draft: MaPS has not been told of it, so it has no effect yet; once told: monitor"
        " downtime notify D-1 --ticket REF"
    )
    assert short.startswith("notice too short: 4 of 5 clear working days if MaPS is told now;")
    assert differs.endswith("enough by any-uk inclusive_start; too short by any-uk clear")
    found = declare.judged(book, book.declaration("D-1"), START)
    assert (found.too_short, found.enough) == (True, False)
    earlier = declare.judged(book, book.declaration("D-1"), START - DAY)
    assert earlier.enough is False  # a draft is never judged as told before it was recorded


def test_an_emergency_says_how_it_counts(book: Book) -> None:
    """It needs no notice, so none is too short; but it is never `declared`."""
    fact = say(
        book, declare.declared, **window("2026-03-11T12:00", "2026-03-11T12:30"),
        kind="emergency", notified_at=TOLD,
    )  # fmt: skip
    assert warnings(fact) == [
        "an emergency counts as declared_short_notice whatever its notice, and opens an incident"
        " of kind emergency_fix when it begins: report that to MaPS"
    ]
    found = declare.judged(book, book.declaration("D-1"), START)
    assert (found.too_short, found.enough) == (False, False)


def test_what_is_past_is_never_excused(book: Book) -> None:
    """A window partly or wholly past says how much of it counts for nothing."""
    part = say(
        book, declare.declared, **window("2026-03-10T08:00", "2026-03-10T09:30"), notified_at=TOLD
    )
    assert "not excused: 1 h of the window, past when this took effect (2026-03-10T09:00:00Z)" in (
        warnings(part)
    )
    whole = say(
        book, declare.declared, **window("2026-03-10T07:00", "2026-03-10T08:00"), notified_at=TOLD
    )
    assert (
        "the window ended at 2026-03-10T08:00:00Z, before this took effect (2026-03-10T09:00:00Z):"
        " it excuses nothing"
    ) in warnings(whole)


def test_an_amendment_keeps_what_an_earlier_version_excused(book: Book) -> None:
    """Extending a running window loses nothing of what was covered before."""
    say(
        book, declare.declared, START - 9 * DAY, **window("2026-03-10T08:00", "2026-03-10T09:30"),
        notified_at="2026-03-01T09:00",
    )  # fmt: skip
    fact = say(book, declare.amended, id="D-1", end="2026-03-10T10:00", notified_at=TOLD)
    assert not any("past" in text for text in warnings(fact))
    assert warnings(fact)[0].startswith("notice too short: 0 of 5")


def test_late_records_excuse_the_past_where_that_is_allowed(tmp_path: Path) -> None:
    """With `late_records: accept` a ticket reference makes a late version count as notified."""
    settings = read_settings(tmp_path)
    rules = replace(settings.rules, late_records=LateRecords.ACCEPT)
    book = Book(rules, settings.endpoints, settings.holdernames)
    fact = say(
        book, declare.declared, **window("2026-03-10T08:00", "2026-03-10T09:30"),
        notified_at="2026-03-01T09:00", ticket="T-1",
    )  # fmt: skip
    assert warnings(fact) == [ADVICE]


def test_the_budget_of_the_month_is_looked_at(book: Book) -> None:
    """Planned time, with all else declared, against what is left of the tightest endpoint."""
    say(
        book, declare.declared, **window("2026-04-21T00:00", "2026-04-21T02:00"), notified_at=TOLD,
        endpoints=["view-main"],
    )  # fmt: skip
    fact = say(book, declare.declared, **window(end="2026-04-07T03:00"), notified_at=TOLD)
    assert warnings(fact) == [
        "3 h of this window fall in 2026-04, with 2 h declared elsewhere, but only 3 h 36 min are"
        " left of the budget of view-main: declared downtime counts against the objective"
    ]
    alone = say(
        book, declare.declared, **window("2026-03-17T00:00", "2026-03-17T03:43"),
        notified_at="2026-03-08T09:00",
    )  # fmt: skip
    assert warnings(alone) == [
        "3 h 43 min of this window fall in 2026-03, but only 3 h 42 min 54 s are left of the budget"
        " of find-main and of 1 more: declared downtime counts against the objective"
    ]


def test_the_budget_already_spent_is_not_left(book: Book) -> None:
    """An outage of the month takes its share, and a spent budget is nothing, not less."""
    for step in range(480):
        at = START + timedelta(seconds=30 * step)
        book.observe(Observation("view-main", at, Result.DOWN, Reason.STATUS_5XX))
    now = START + timedelta(hours=4)
    fact = say(
        book, declare.declared, now, **window("2026-03-17T00:00", "2026-03-17T00:10"),
        notified_at="2026-03-08T09:00", services=["view"],
    )  # fmt: skip
    assert warnings(fact) == [
        "10 min of this window fall in 2026-03, but only 0 s are left of the budget of view-main:"
        " declared downtime counts against the objective"
    ]


def test_a_window_over_a_month_s_end_spends_both_budgets(book: Book) -> None:
    """Each month is looked at for its own part of the window."""
    fact = say(
        book, declare.declared, **window("2026-04-30T20:00", "2026-05-01T04:30"), notified_at=TOLD,
        services=["find"],
    )  # fmt: skip
    assert [text.split(", but")[0] for text in warnings(fact)[1:]] == [
        "4 h of this window fall in 2026-04",
        "4 h 30 min of this window fall in 2026-05",
    ]


def test_listed_holdernames_are_judged_by_their_own_figures(book: Book) -> None:
    """Where not every holdername of an endpoint is listed, the endpoint itself is not in scope."""
    fact = say(
        book, declare.declared, **window(end="2026-04-07T04:00"), notified_at=TOLD,
        holdernames=[BERT],
    )  # fmt: skip
    assert warnings(fact) == [
        "4 h of this window fall in 2026-04, but only 3 h 36 min are left of the budget of"
        f" holdername {BERT} (view): declared downtime counts against the objective"
    ]


def test_a_scope_that_misses_is_told(book: Book) -> None:
    """Test endpoints are never counted; a retired holdername is served by nobody."""
    tests = say(book, declare.declared, **window(), notified_at=TOLD, endpoints=["view-test"])
    assert warnings(tests) == [
        "view-test: watched in the test environment, never counted",
        "the scope holds nothing that is accounted: this declaration excuses nothing",
    ]
    retired = say(book, declare.declared, **window(), notified_at=TOLD, holdernames=[CARL, ANNA])
    assert warnings(retired) == [
        f"{CARL}: served by none of the endpoints and services of this declaration during its"
        " window"
    ]
    missed = say(
        book, declare.declared, **window(), notified_at=TOLD, holdernames=[BERT],
        endpoints=["find-main"],
    )  # fmt: skip
    assert len(warnings(missed)) == 2


def test_downtime_in_a_freeze_needs_a_reason(book: Book) -> None:
    """It is refused without one, whichever side of the New Year; the reason is kept and shown."""
    frozen = window("2027-01-02T23:00", "2027-01-03T01:00")
    with pytest.raises(UsageError) as caught:
        say(book, declare.declared, **frozen, notified_at=TOLD)
    assert str(caught.value) == (
        "override_freeze: the window touches the change freeze of 2026-12-24 to 2027-01-02:"
        " choose another time (monitor downtime plan shows some), or give the reason why it must be then"
        " (--override-freeze REASON), which is recorded"
    )
    fact = say(
        book, declare.declared, **frozen, notified_at=TOLD, override_freeze="MaPS agreed"
    )  # fmt: skip
    assert fact.body["freeze_override"] == "MaPS agreed"
    assert warnings(fact) == [
        "the window lies in the change freeze of 2026-12-24 to 2027-01-02, overridden: MaPS agreed",
        ADVICE,
    ]
    assert book.declaration("D-1").latest.freeze_override == "MaPS agreed"


def test_an_override_without_a_freeze_is_refused(book: Book) -> None:
    """A reason that overrides nothing would be a false record; MaPS' own downtime needs none."""
    for more in ({}, {"kind": "maps", "start": "2026-12-24T00:00", "end": "2026-12-24T01:00"}):
        with pytest.raises(UsageError, match="touches no change freeze"):
            say(book, declare.declared, **{**window(), **more}, override_freeze="why not")


def test_amending_into_a_freeze_needs_a_reason(book: Book) -> None:
    """Once per freeze: a change within it keeps the reason, leaving it drops the reason."""
    say(book, declare.declared, **window())
    into = {"id": "D-1", "start": "2026-12-24T00:00", "end": "2026-12-24T02:00"}
    with pytest.raises(UsageError, match="touches the change freeze of 2026-12-24"):
        say(book, declare.amended, **into)
    say(book, declare.amended, **into, override_freeze="MaPS agreed")
    within = say(book, declare.amended, id="D-1", end="2026-12-24T01:00")
    assert "freeze_override" not in within.body
    assert book.declaration("D-1").latest.freeze_override == "MaPS agreed"
    next_year = {"id": "D-1", "start": "2027-12-28T00:00", "end": "2027-12-28T02:00"}
    with pytest.raises(UsageError, match="touches the change freeze of 2027-12-24"):
        say(book, declare.amended, **next_year)
    told = say(book, declare.amended, id="D-1", override_freeze="in writing")
    assert told.body["freeze_override"] == "in writing"
    out = say(book, declare.amended, id="D-1", start="2026-12-01T00:00", end="2026-12-01T01:00")
    assert out.body["freeze_override"] is None
    assert book.declaration("D-1").latest.freeze_override is None


def test_change_windows_and_freezes_are_those_of_the_configuration(book: Book) -> None:
    """Another reading and another freeze change what is advised and what is refused."""
    planning = Planning(Reading.FIRST_FULL_WEEK, freezes=(Freeze((9, 1), (9, 2)),))
    build = partial(declare.declared, planning=planning)
    fact = say(book, build, **window("2026-09-08T00:00", "2026-09-08T02:00"), notified_at=TOLD)
    assert warnings(fact) == []
    say(book, build, **window("2026-12-25T00:00", "2026-12-25T02:00"))
    with pytest.raises(UsageError, match="freeze of 2026-09-01 to 2026-09-02"):
        say(book, build, **window("2026-09-01T00:00", "2026-09-01T02:00"))


def test_maps_downtime_is_to_be_stayed_out_of(book: Book) -> None:
    """A window that overlaps it is warned of; it takes nothing of our budget."""
    say(
        book, declare.declared, **window("2026-04-07T01:00", "2026-04-07T09:00"), kind="maps"
    )  # fmt: skip
    fact = say(book, declare.declared, **window(), notified_at=TOLD)
    assert warnings(fact) == [
        "overlaps MaPS' own downtime D-1, 2026-04-07T00:00:00Z to 2026-04-07T08:00:00Z: stay out of"
        " its way, choose another time"
    ]


def test_notice_that_depends_on_the_count_is_said(book: Book) -> None:
    """One calendar or method may find enough what another finds too short."""
    planning = Planning(
        holidays={
            NoticeCalendar.ANY_UK: book.rules.bank_holidays,
            NoticeCalendar.ENGLAND_AND_WALES: frozenset(),
        }
    )
    build = partial(declare.declared, planning=planning)
    fact = say(
        book, build, **window(), notified_at="2026-03-27T09:00", now=datetime(2026, 3, 27, 9, tzinfo=UTC)
    )  # fmt: skip
    assert warnings(fact)[1] == (
        "whether the notice is enough depends on how it is counted: enough by any-uk"
        " inclusive_start, england-and-wales clear, england-and-wales inclusive_start; too short by"
        " any-uk clear"
    )


def test_an_outage_that_goes_on_may_take_the_budget(book: Book) -> None:
    """What is left is told twice: as it stands, and if the present outage lasts."""
    for place in range(30):
        moment = START + timedelta(seconds=30 * place)
        book.observe(Observation("view-main", moment, Result.DOWN, Reason.STATUS_5XX))
    fact = say(
        book, declare.declared, now=START + timedelta(minutes=15), notified_at=TOLD,
        endpoints=["view-main"], **window("2026-03-17T00:00", "2026-03-17T01:00"),
    )  # fmt: skip
    assert warnings(fact)[-1] == (
        "if the present outage of view-main goes on until the window starts, the budget of 2026-03"
        " will not hold it"
    )


def test_a_technical_change_goes_with_a_declaration(book: Book) -> None:
    """Reference and class are kept until amended, without another notification to MaPS."""
    fact = say(book, declare.declared, **window(), notified_at=TOLD, change_class="moderate")
    assert warnings(fact) == [
        "a moderate technical change must be submitted to MaPS (CoCo 2.2.2): record its reference"
        " (--technical-change REF)"
    ]
    fact = say(book, declare.amended, id="D-1", technical_change="TC-7")
    assert (warnings(fact), fact.body["notified_at"]) == ([], "2026-03-10T08:59:00Z")
    latest = book.declaration("D-1").latest
    assert (latest.technical_change, latest.change_class) == ("TC-7", ChangeClass.MODERATE)
    bare = say(book, declare.declared, **window(), notified_at=TOLD, technical_change="TC-8")
    assert warnings(bare)[0].startswith("technical change TC-8 has no class: give one")
    with pytest.raises(UsageError, match="is not one of minimal, minor, moderate, significant"):
        say(book, declare.amended, id="D-1", change_class="huge")


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LONDON).astimezone(UTC)


@given(
    told=st.integers(0, 60 * 24 * 40),
    ahead=st.integers(1, 60 * 24 * 40),
    lasting=st.integers(1, 600),
    longer=st.integers(1, 600),
)
def test_the_notice_shown_is_the_notice_that_counts(
    tmp_path_factory: pytest.TempPathFactory, told: int, ahead: int, lasting: int, longer: int
) -> None:
    """The least notice of any part of the window, and MaPS told in time is enough."""
    book = book_of(read_settings(tmp_path_factory.getbasetemp()))
    now = START - 60 * DAY + timedelta(minutes=told)
    start = now + timedelta(minutes=ahead)
    end = start + timedelta(minutes=lasting)
    say(
        book, declare.declared, now, start=start.isoformat(), end=end.isoformat(), reason="x",
        notified_at=now.isoformat(),
    )  # fmt: skip
    found = declare.judged(book, book.declaration("D-1"), now)
    assert found.notice == notice(now, start, book.rules)
    assert found.enough == enough(now, start, book.rules) == (now < found.notify_before)
    later = end + timedelta(minutes=longer)
    say(book, declare.amended, now, id="D-1", end=later.isoformat(), notified_at=now.isoformat())
    again = declare.judged(book, book.declaration("D-1"), now)
    assert again.notice.days <= notice(now, end, book.rules).days
    assert again.enough == found.enough


# -- the life of a declaration ---------------------------------------------------------------------


def test_being_told_makes_a_draft_count(book: Book) -> None:
    """It is an amendment that names only when MaPS was told, and the ticket."""
    say(book, declare.declared, **window())
    fact = say(book, declare.notified, START + DAY, id="D-1", ticket="T-1")
    assert (fact.type, dict(fact.body)) == (
        "amendment",
        {
            "id": "D-1",
            "notified_at": "2026-03-11T09:00:00Z",
            "ticket": "T-1",
            "author": "ann",
            "warnings": [],
        },
    )
    with pytest.raises(IllegalStep) as caught:
        say(book, declare.notified, START + DAY, id="D-1", ticket="T-2")
    assert str(caught.value) == (
        "D-1: MaPS was told of its latest version at 2026-03-11T09:00:00Z, ticket T-1 already; to"
        " change what it says: monitor downtime amend D-1"
    )


def test_an_amendment_names_only_what_changes(book: Book) -> None:
    """A changed window is a draft until MaPS is told; changed words keep the notification."""
    say(book, declare.declared, **window(), notified_at=TOLD, endpoints=["view-main"])
    words = say(book, declare.amended, id="D-1", ticket="T-1", reason="patch")
    assert dict(words.body) == {
        "id": "D-1",
        "notified_at": "2026-03-10T08:59:00Z",
        "ticket": "T-1",
        "reason": "patch",
        "author": "ann",
        "warnings": [],
    }
    wider = say(book, declare.amended, id="D-1", endpoints=[], services=["view"])
    assert (wider.body["endpoints"], wider.body["services"]) == (None, ["view"])
    assert wider.body["notified_at"] is None
    assert warnings(wider)[0].startswith("D-1 is a draft: MaPS has not been told of its latest")
    latest = book.declaration("D-1").latest
    assert (latest.scope.endpoints, latest.ticket, latest.reason) == (None, "T-1", "patch")
    maps = say(book, declare.amended, id="D-1", kind="maps")
    assert maps.body["notified_at"] == "2026-03-10T09:00:00Z"


def test_extending_has_the_notice_of_the_extension(book: Book) -> None:
    """The least notice of the window is shown, and it is too short."""
    say(book, declare.declared, **window(), notified_at=TOLD)
    now = START + 25 * DAY
    fact = say(
        book, declare.amended, now, id="D-1", end="2026-04-07T03:00", notified_at=now.isoformat()
    )
    assert warnings(fact)[0].startswith("notice too short: 0 of 5 clear working days; MaPS had")
    shorter = say(
        book, declare.amended, now, id="D-1", end="2026-04-07T01:00", notified_at=now.isoformat()
    )
    assert warnings(shorter) == []


def test_a_holdername_added_late_has_little_notice(book: Book) -> None:
    """Where the scope changed, every series in it is looked at, not one for all."""
    say(book, declare.declared, **window(), notified_at=TOLD, holdernames=[BERT])
    now = START + 25 * DAY
    fact = say(
        book, declare.amended, now, id="D-1", holdernames=[BERT, ANNA],
        notified_at=now.isoformat(),
    )  # fmt: skip
    assert warnings(fact)[0].startswith("notice too short: 0 of 5")


def test_a_new_date_is_better_declared_anew(book: Book) -> None:
    """MaPS asks for a new notification; the amendment is taken, and says so."""
    say(book, declare.declared, **window(), notified_at=TOLD)
    fact = say(
        book, declare.amended, id="D-1", start="2026-04-21T00:00", end="2026-04-21T01:00",
        notified_at=TOLD,
    )  # fmt: skip
    assert warnings(fact) == [
        "the new window shares no time with the old one: MaPS asks for a new notification of a new"
        " date, and its notice starts anew; consider cancelling and declaring again"
    ]


def test_an_amendment_of_nothing_is_refused(book: Book) -> None:
    """It says what may be given."""
    say(book, declare.declared, **window())
    with pytest.raises(UsageError) as caught:
        say(book, declare.amended, id="D-1")
    assert str(caught.value) == (
        "D-1: nothing to amend; give what changes (start, end, endpoints, holdernames, services,"
        " kind, ticket, reason, notified_at, technical_change, change_class)"
    )


def test_a_cancelled_declaration_takes_no_step(book: Book) -> None:
    """Every later step is refused with what to do instead."""
    say(book, declare.declared, **window(), notified_at=TOLD)
    fact = say(book, declare.cancelled, id="D-1", reason="put off")
    assert dict(fact.body) == {"id": "D-1", "reason": "put off", "author": "ann", "warnings": []}
    steps: list[tuple[Build, dict[str, str], str]] = [
        (declare.amended, {"ticket": "T-1"}, "amended"),
        (declare.notified, {"ticket": "T-1"}, "told of"),
        (declare.cancelled, {}, "cancelled"),
        (declare.completed, {}, "completed"),
    ]
    for build, arguments, step in steps:
        with pytest.raises(IllegalStep) as caught:
            say(book, build, START + DAY, id="D-1", **arguments)
        assert str(caught.value) == (
            f"D-1 was cancelled at 2026-03-10T09:00:00Z and cannot be {step}; declare new downtime"
            " instead (monitor downtime declare)"
        )


def test_cancelling_a_running_window_keeps_what_it_covered(book: Book) -> None:
    """The warning says what stays."""
    say(book, declare.declared, **window("2026-03-10T08:00", "2026-03-10T12:00"), notified_at=TOLD)
    fact = say(book, declare.cancelled, START + timedelta(hours=1), id="D-1")
    assert warnings(fact) == [
        "the window began at 2026-03-10T08:00:00Z: what it covered until now stays covered, the"
        " rest does not"
    ]


def test_completion_comes_after_the_start(book: Book) -> None:
    """It is refused before, and wants the actual times in order and past."""
    say(book, declare.declared, **window(), notified_at=TOLD)
    with pytest.raises(IllegalStep) as caught:
        say(book, declare.completed, id="D-1")
    assert str(caught.value) == (
        "D-1 cannot be completed before it starts, at 2026-04-06T23:00:00Z; to give it up: monitor"
        " downtime cancel D-1"
    )
    now = datetime(2026, 4, 7, 2, tzinfo=UTC)
    with pytest.raises(BadInstant) as swapped:
        say(
            book, declare.completed, now, id="D-1",
            actual_start="2026-04-07T02:00", actual_end="2026-04-07T01:00",
        )  # fmt: skip
    assert str(swapped.value) == (
        "actual_end: 2026-04-07T00:00:00Z is before the actual start 2026-04-07T01:00:00Z; give an"
        " end that is not earlier"
    )
    with pytest.raises(BadInstant, match=r"^actual_end: 2026-04-07T03:00:00Z is still to come"):
        say(book, declare.completed, now, id="D-1", actual_end="2026-04-07T04:00")
    nothing = say(book, declare.completed, now, id="D-1")
    assert warnings(nothing) == [
        "the completion comment to MaPS must contain the actual start and end; without them it"
        " says that no downtime was observed"
    ]
    again = say(
        book, declare.completed, now, id="D-1",
        actual_start="2026-04-07T00:00", actual_end="2026-04-07T01:00",
    )  # fmt: skip
    assert warnings(again) == ["replaces the completion recorded at 2026-04-07T02:00:00Z"]
    with pytest.raises(IllegalStep) as late:
        say(book, declare.amended, now, id="D-1", ticket="T-1")
    assert str(late.value) == (
        "D-1 was completed at 2026-04-07T02:00:00Z and cannot be amended; declare new downtime"
        " instead (monitor downtime declare)"
    )


def test_completing_a_draft_says_that_it_never_counted(book: Book) -> None:
    """MaPS was never told."""
    say(book, declare.declared, **window())
    fact = say(book, declare.completed, START + 60 * DAY, id="D-1")
    assert warnings(fact)[0] == (
        "MaPS was never told of the latest version of D-1: it has no effect"
    )


# -- asserted outages ------------------------------------------------------------------------------


def test_an_assertion_has_the_shape_of_the_facts_file(book: Book) -> None:
    """Open while it lasts; all services where none is named."""
    fact = say(
        book, declare.asserted, holdernames=[BERT, ANNA], start="2026-03-10T08:00", reason="x"
    )
    assert (fact.type, dict(fact.body)) == (
        "assertion",
        {
            "id": "A-1",
            "start": "2026-03-10T08:00:00Z",
            "end": None,
            "holdernames": sorted([ANNA, BERT]),
            "services": None,
            "reason": "x",
            "author": "ann",
            "warnings": [],
        },
    )
    assert say(
        book, declare.asserted, holdernames=[ANNA], start="2026-03-10T08:00", reason="x"
    ).body["id"] == "A-2"  # fmt: skip


def test_an_odd_assertion_is_taken_with_a_warning(book: Book) -> None:
    """Not begun, replacing, concerning nothing accounted, or touching a sealed month."""
    month = Month(2026, 2, LONDON)
    book.learn(seal.sealed(month, [], "digest", START))
    first = say(
        book, declare.asserted, holdernames=[BERT], services=["find"], start="2026-02-27T08:00",
        end="2026-03-01T08:00", reason="x",
    )  # fmt: skip
    assert warnings(first) == [
        f"{BERT}: no live endpoint serves this holdername and service; not accounted",
        "2026-02: sealed; the figures change by a numbered restatement",
    ]
    second = say(
        book, declare.asserted, id="A-1", holdernames=[BERT], start="2026-03-12T08:00", reason="x"
    )
    assert warnings(second) == [
        "replaces what A-1 said since 2026-03-10T09:00:00Z",
        "it starts at 2026-03-12T08:00:00Z: nothing is unavailable by it until then",
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"holdernames": []}, "holdernames: name at least one holdername GUID"),
        (
            {"holdernames": ["x"]},
            'holdernames: there is no holdername "x" in the configuration; there are: '
            + ", ".join(sorted([ANNA, BERT, CARL])),
        ),
        (
            {"end": "2026-03-10T08:00"},
            "end: 2026-03-10T08:00:00Z is not after the start 2026-03-10T08:00:00Z; give an end"
            " that is later, or leave it out while the outage lasts",
        ),
        (
            {"start": "2025-01-10T08:00"},
            "start: 2025-01-10T08:00:00Z is 424 days ago (more than 400); check the year",
        ),
        ({"services": ["all"]}, None),
    ],
)
def test_a_bad_assertion_is_refused_with_its_cure(
    book: Book, changes: dict[str, Any], text: str | None
) -> None:
    """The text says what is wrong and how to mend it."""
    good = {"holdernames": [ANNA], "start": "2026-03-10T08:00", "reason": "x"}
    with pytest.raises(UsageError) as caught:
        say(book, declare.asserted, **{**good, **changes})
    assert text is None or str(caught.value) == text


def test_a_withdrawal_counts_once(book: Book) -> None:
    """A second one is refused, and so is that of an unknown id; asserting again revives it."""
    again = {"id": "A-1", "holdernames": [ANNA], "start": "2026-03-10T08:00", "reason": "x"}
    say(book, declare.asserted, **again)
    fact = say(book, declare.withdrawn, id="A-1", reason="a mistake")
    assert dict(fact.body) == {
        "id": "A-1",
        "reason": "a mistake",
        "author": "ann",
        "warnings": [],
    }
    with pytest.raises(IllegalStep) as caught:
        say(book, declare.withdrawn, id="A-1")
    assert str(caught.value) == (
        "A-1 was withdrawn at 2026-03-10T09:00:00Z already; to assert it again: monitor outage"
        " assert --id A-1"
    )
    with pytest.raises(UnknownName) as unknown:
        say(book, declare.withdrawn, id="A1")
    assert str(unknown.value) == (
        'there is no assertion "A1"; `monitor outage list` shows them; did you mean "A-1"?'
    )
    say(book, declare.asserted, **again)
    assert book.assertion("A-1").withdrawn_at is None


# -- steps on incidents ----------------------------------------------------------------------------


@pytest.fixture
def failing(book: Book) -> Book:
    """view-main fails since 09:00; it is 09:30, and I-1 is open."""
    for step in range(60):
        at = START + timedelta(seconds=30 * step)
        book.observe(Observation("view-main", at, Result.DOWN, Reason.STATUS_5XX))
    book.correlate(START + timedelta(minutes=30), {"one"})
    assert list(book.records) == ["I-1"]
    return book


HALF_PAST = START + timedelta(minutes=30)


def test_steps_become_the_facts_that_the_record_reads(failing: Book) -> None:
    """Each with its author; only what was said is in an update."""
    facts = [
        say(failing, declare.acknowledged, HALF_PAST, id="I-1"),
        say(failing, declare.reported, HALF_PAST, id="I-1", ticket="M-1"),
        say(failing, declare.updated, HALF_PAST, id="I-1", cause="disk"),
        say(failing, declare.attested, HALF_PAST, id="I-1"),
    ]
    assert [(fact.type, dict(fact.body)) for fact in facts] == [
        ("incident.acknowledged", {"id": "I-1", "author": "ann"}),
        (
            "incident.reported",
            {
                "id": "I-1",
                "ticket": "M-1",
                "reported_at": "2026-03-10T09:30:00Z",
                "author": "ann",
            },
        ),
        ("incident.updated", {"id": "I-1", "cause": "disk", "author": "ann"}),
        ("incident.attested", {"id": "I-1", "author": "ann"}),
    ]
    assert failing.record("I-1").missing() == ["service restored"]


@pytest.mark.parametrize(
    ("build", "arguments", "text"),
    [
        (declare.reported, {}, "ticket: is missing; give it"),
        (
            declare.reported,
            {"ticket": "M-1", "at": "2026-03-10T08:59"},
            "at: 2026-03-10T08:59:00Z is before the incident started, at 2026-03-10T09:00:00Z;"
            " give the time at which MaPS was told",
        ),
        (
            declare.reported,
            {"ticket": "M-1", "at": "2026-03-10T09:36"},
            "at: 2026-03-10T09:36:00Z is still to come (it is 2026-03-10T09:30:00Z); give the time"
            " at which it was done, or leave it out for now",
        ),
        (
            declare.updated,
            {},
            "nothing to update; give at least one of text, next_update_at, cause, location",
        ),
        (
            declare.updated,
            {"next_update_at": "2026-03-10T09:30"},
            "next_update_at: 2026-03-10T09:30:00Z is past (it is 2026-03-10T09:30:00Z); give the"
            " time of the next update",
        ),
        (
            declare.updated,
            {"location": "theirs"},
            'location: "theirs" is not one of own, federated, maps',
        ),
        (
            declare.closed,
            {},
            "I-1 cannot be closed yet; still missing: service restored; report to MaPS (monitor"
            " incident report); cause (monitor incident update --cause); attestation that no"
            " acknowledged data was lost (monitor incident attest)",
        ),
        (
            declare.acknowledged,
            {"id": "I-11"},
            'there is no incident "I-11"; `monitor incident list` shows them; did you mean "I-1"?',
        ),
    ],
)
def test_a_wrong_step_is_refused_with_its_cure(
    failing: Book, build: Build, arguments: dict[str, str], text: str
) -> None:
    """Nothing changes, and the text says what to do."""
    before = failing.record("I-1")
    with pytest.raises(UsageError) as caught:
        say(failing, build, HALF_PAST, **{"id": "I-1", **arguments})
    assert str(caught.value) == text
    assert failing.record("I-1") is before
