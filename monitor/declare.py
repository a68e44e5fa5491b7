"""Take in what people say: declarations of downtime, assertions, steps on incidents.

Each function checks what was asked against the Book and answers with the fact to record, or raises
UsageError saying how to mend the request. Nothing is recorded here. `judged` says what notice a
declaration has, `advice` everything an operator should be warned of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from monitor.core import downtime, incident
from monitor.core.assertion import Assertion
from monitor.core.book import Book
from monitor.core.downtime import Cover, Covered, Declaration, Kind, Scope, Series, Version
from monitor.core.endpoint import Service
from monitor.core.fact import Fact
from monitor.core.incident import Location, Record
from monitor.core.interval import BEGINNING, FOREVER, MICROSECOND, Interval, IntervalSet
from monitor.core.month import Month, months_between, read_instant, show_instant
from monitor.core.notice import Notice, NoticeDay, day_by_day, latest_notification, notice
from monitor.core.planning import (
    ChangeClass,
    Count,
    Planning,
    agree,
    change_window,
    counts,
    frozen,
    must_be_told,
    windows_text,
)
from monitor.core.rules import NoticeMethod, Rules
from monitor.errors import BadInstant, IllegalStep, UnknownName, UsageError

AHEAD = timedelta(minutes=5)
"""How far our clock may be behind the one that a person read."""
LONG_AGO = timedelta(days=90)
"""A declaration that starts earlier is taken for a slip of the year."""
ASSERTED_LONG_AGO = timedelta(days=400)
"""Outages are asserted after the fact, but not after the year is told."""
FAR_OFF = timedelta(days=731)
"""What starts or ends later is taken for a slip of the year too."""
MOST_NAMED = 3
"""How many names a warning lists before it counts the rest."""

PLANNING = Planning()
"""The change windows and freezes of a configuration that names none."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_Choice = TypeVar("_Choice", bound=StrEnum)
_Found = TypeVar("_Found")


# -- reading a request -----------------------------------------------------------------------------


class Given:
    """The arguments of a request. What is absent or None was not given.

    Instants are texts; without an offset they are civil time of `zone`.
    """

    def __init__(self, arguments: Mapping[str, Any], zone: ZoneInfo) -> None:
        self._values = {key: value for key, value in arguments.items() if value is not None}
        self._zone = zone

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str) -> str | None:
        """Raises UsageError for one that is given but blank."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{key}: must be a text that is not empty")
        return value.strip()

    def needed(self, key: str) -> str:
        value = self.text(key)
        if value is None:
            raise UsageError(f"{key}: is missing; give it")
        return value

    def instant(self, key: str) -> datetime | None:
        """Raises BadInstant."""
        value = self.text(key)
        if value is None:
            return None
        try:
            return read_instant(value, self._zone)
        except BadInstant as trouble:
            raise BadInstant(f"{key}: {trouble}") from None
        except OverflowError:
            raise BadInstant(f'{key}: "{value}" is out of reach; check the year') from None

    def told(self, key: str, now: datetime) -> datetime | None:
        """An instant at which something was done: not one still to come. Raises BadInstant."""
        value = self.instant(key)
        if value is not None and value > now + AHEAD:
            raise BadInstant(
                f"{key}: {show_instant(value)} is still to come (it is {show_instant(now)});"
                " give the time at which it was done, or leave it out for now"
            )
        return value

    def names(self, key: str) -> list[str] | None:
        """A list of names; an empty one means that nothing narrows."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise UsageError(f"{key}: must be a list of names")
        return sorted({name.strip() for name in value})

    def choice(self, key: str, kind: type[_Choice]) -> _Choice | None:
        value = self.text(key)
        if value is None:
            return None
        try:
            return kind(value)
        except ValueError:
            allowed = ", ".join(item.value for item in kind)
            raise UsageError(f'{key}: "{value}" is not one of {allowed}') from None


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say after "there is no such name": the nearest one, or some that there are."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"there are: {_some(names, most=5)}" if names else "there are none"


def known_endpoint(book: Book, name: str) -> str:
    """The id, if there is such an endpoint. Raises UnknownName."""
    if name not in book.register.endpoints:
        hint = nearest(name, book.register.endpoints)
        raise UnknownName(f'endpoints: there is no endpoint "{name}" in the configuration; {hint}')
    return name


def known_holdername(book: Book, guid: str) -> str:
    """The GUID in lower case, if it is configured. Raises UnknownName."""
    lower = guid.lower()
    if lower not in book.register.holdernames:
        hint = nearest(lower, book.register.holdernames)
        raise UnknownName(
            f'holdernames: there is no holdername "{guid}" in the configuration; {hint}'
        )
    return lower


def known_service(name: str) -> str:
    """The service's name. Raises UsageError."""
    services = [service.value for service in Service]
    if name not in services:
        raise UsageError(
            f'services: there is no service "{name}"; {nearest(name, services)}'
            f" ({', '.join(services)})"
        )
    return name


def known_declaration(book: Book, identifier: str) -> Declaration:
    """Raises UnknownName with the nearest id."""
    return _hinted(identifier, book.declaration, book.calendar.declarations)


def known_assertion(book: Book, identifier: str) -> Assertion:
    """Raises UnknownName with the nearest id."""
    return _hinted(identifier, book.assertion, book.assertions)


def known_record(book: Book, identifier: str) -> Record:
    """Raises UnknownName with the nearest id."""
    return _hinted(identifier, book.record, book.records)


def _hinted(identifier: str, find: Callable[[str], _Found], known: Iterable[str]) -> _Found:
    try:
        return find(identifier)
    except UnknownName as trouble:
        raise UnknownName(f"{trouble}; {nearest(identifier, known)}") from None


def scope_of(book: Book, given: Given) -> dict[str, list[str] | None]:
    """The scope's keys as far as they were given; an empty list is None: it does not narrow."""
    checks: dict[str, Callable[[str], str]] = {
        "endpoints": lambda name: known_endpoint(book, name),
        "holdernames": lambda name: known_holdername(book, name),
        "services": known_service,
    }
    found: dict[str, list[str] | None] = {}
    for key, check in checks.items():
        names = given.names(key)
        if names is not None:
            found[key] = sorted({check(name) for name in names}) or None
    return found


def _new_id(given: Given, taken: Iterable[str], letter: str) -> str:
    """The id asked for, or the next free number. Raises UsageError."""
    wanted = given.text("id")
    if wanted is None:
        numbers = [int(name[2:]) for name in taken if re.fullmatch(rf"{letter}-\d{{1,9}}", name)]
        return f"{letter}-{max(numbers, default=0) + 1}"
    if not _ID.fullmatch(wanted):
        raise UsageError(
            f'id: "{wanted}" will not do; use up to 64 letters, digits, dots, hyphens and'
            f" underscores, or leave it out for the next {letter}-number"
        )
    return wanted


def _near(given: Given, key: str, now: datetime, limit: timedelta) -> datetime | None:
    """An instant that is no slip of the year. Raises BadInstant."""
    at = given.instant(key)
    if at is not None and at < now - limit:
        raise BadInstant(
            f"{key}: {show_instant(at)} is {(now - at).days} days ago (more than {limit.days});"
            " check the year"
        )
    if at is not None and at > now + FAR_OFF:
        raise BadInstant(
            f"{key}: {show_instant(at)} is {(at - now).days} days ahead (more than"
            f" {FAR_OFF.days}); check the year"
        )
    return at


def _shown(at: datetime | None) -> str | None:
    return None if at is None else show_instant(at)


# -- declarations ----------------------------------------------------------------------------------


def declared(
    book: Book, given: Given, *, now: datetime, author: str, planning: Planning = PLANNING
) -> Fact:
    """A new declaration. Raises UsageError."""
    identifier = _new_id(given, book.calendar.declarations, "D")
    if identifier in book.calendar.declarations:
        raise UsageError(
            f"id: {identifier} exists already; amend it (monitor downtime amend {identifier}),"
            " or leave the id out for the next number"
        )
    given.needed("start")
    given.needed("end")
    start, end = (_near(given, key, now, LONG_AGO) for key in ("start", "end"))
    kind = given.choice("kind", Kind) or Kind.PLANNED
    told = given.told("notified_at", now)
    if kind is Kind.MAPS and told is None:
        told = now  # MaPS' own downtime needs no notice of ours
    body = {
        "id": identifier,
        "kind": kind.value,
        "notified_at": _shown(told),
        "start": _shown(start),
        "end": _shown(end),
        **scope_of(book, given),
        "reason": given.needed("reason"),
        "ticket": given.text("ticket"),
        **_change_of(given),
        "author": author,
    }
    version = downtime.declare(Fact(now, "declaration", body)).latest
    override = _override(given, version, None, planning, book.rules)
    if override is not None:
        body["freeze_override"] = override
    fact = Fact(now, "declaration", body)
    return _warned(fact, advice(book, downtime.declare(fact), now, planning=planning))


def _change_of(given: Given) -> dict[str, str]:
    """The keys of a technical change, as far as they were given. Raises UsageError."""
    found = {"technical_change": given.text("technical_change")}
    change = given.choice("change_class", ChangeClass)
    found["change_class"] = None if change is None else change.value
    return {key: value for key, value in found.items() if value is not None}


def _override(
    given: Given, version: Version, before: Version | None, planning: Planning, rules: Rules
) -> str | None:
    """Why a version may lie in a freeze; None if it lies in none.

    It is refused without a reason, unless the version before lay in the same freeze.
    Raises UsageError.
    """
    days = _frozen(version, planning, rules)
    reason = given.text("override_freeze")
    if days is None:
        if reason is not None:
            raise UsageError("override_freeze: the window touches no change freeze; leave it out")
        return None
    if reason is not None:
        return reason
    if before is not None and _frozen(before, planning, rules) == days:
        return before.freeze_override
    first, last = (day.isoformat() for day in days)
    raise UsageError(
        f"override_freeze: the window touches the change freeze of {first} to {last}: choose another"
        " time (monitor downtime plan shows some), or give the reason why it must be then"
        " (--override-freeze REASON), which is recorded"
    )


def _frozen(version: Version, planning: Planning, rules: Rules) -> tuple[date, date] | None:
    """The freeze that downtime of ours touches; MaPS' own is no concern of a freeze."""
    if version.kind is Kind.MAPS:
        return None
    return frozen(version.window, planning, rules.zone)


def notified(
    book: Book, given: Given, *, now: datetime, author: str, planning: Planning = PLANNING
) -> Fact:
    """MaPS was told of a draft. Raises UsageError."""
    declaration = _changeable(book, given, "told of")
    last = declaration.latest
    if last.notified_at is not None:
        ticket = f", ticket {last.ticket}" if last.ticket else ""
        raise IllegalStep(
            f"{declaration.id}: MaPS was told of its latest version at"
            f" {show_instant(last.notified_at)}{ticket} already; to change what it says:"
            f" monitor downtime amend {declaration.id}"
        )
    body = {
        "id": declaration.id,
        "notified_at": show_instant(given.told("at", now) or now),
        "ticket": given.needed("ticket"),
        "author": author,
    }
    fact = Fact(now, "amendment", body)
    return _warned(fact, advice(book, downtime.amend(declaration, fact), now, planning=planning))


_MATERIAL = ("start", "end", "kind", "endpoints", "holdernames", "services")


def amended(
    book: Book, given: Given, *, now: datetime, author: str, planning: Planning = PLANNING
) -> Fact:
    """One more version of a declaration: what is given is changed, the rest kept.

    MaPS must be told of a change of window, scope or kind; a change of words keeps the notification
    it had. Raises UsageError.
    """
    declaration = _changeable(book, given, "amended")
    last = declaration.latest
    changes: dict[str, Any] = {}
    for key in ("start", "end"):
        if key in given:
            changes[key] = _shown(_near(given, key, now, LONG_AGO))
    kind = given.choice("kind", Kind)
    if kind is not None:
        changes["kind"] = kind.value
    changes.update(scope_of(book, given))
    changes.update({key: given.text(key) for key in ("ticket", "reason") if key in given})
    changes.update(_change_of(given))
    told = given.told("notified_at", now)
    if not changes and told is None and "override_freeze" not in given:
        raise UsageError(
            f"{declaration.id}: nothing to amend; give what changes (start, end, endpoints,"
            " holdernames, services, kind, ticket, reason, notified_at, technical_change,"
            " change_class)"
        )
    if told is None:
        told = _kept_notification(last, changes, now)
    body = {"id": declaration.id, "notified_at": _shown(told), **changes, "author": author}
    version = downtime.amend(declaration, Fact(now, "amendment", body)).latest
    override = _override(given, version, last, planning, book.rules)
    if override != last.freeze_override:
        body["freeze_override"] = override
    fact = Fact(now, "amendment", body)
    after = downtime.amend(declaration, fact)
    found = advice(book, after, now, planning=planning)
    return _warned(fact, [*_new_date(last, after.latest), *found])


def _kept_notification(last: Version, changes: Mapping[str, Any], now: datetime) -> datetime | None:
    """When MaPS knew what an amendment says, if nobody says so."""
    if changes.get("kind", last.kind.value) == Kind.MAPS.value:
        return now
    return None if any(key in changes for key in _MATERIAL) else last.notified_at


def _new_date(last: Version, now: Version) -> Iterator[str]:
    if last.window.clip(now.window) is None:
        yield (
            "the new window shares no time with the old one: MaPS asks for a new notification of a"
            " new date, and its notice starts anew; consider cancelling and declaring again"
        )


def cancelled(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """A declaration has no effect any more. Raises UsageError."""
    declaration = _changeable(book, given, "cancelled")
    warnings = []
    window = declaration.latest.window
    if window.start <= now:
        warnings.append(
            f"the window began at {show_instant(window.start)}: what it covered until now stays"
            " covered, the rest does not"
        )
    body = {"id": declaration.id, "reason": given.text("reason") or "", "author": author}
    return _warned(Fact(now, "cancellation", body), warnings)


def completed(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """The work is done; with its actual start and end, both None if nothing was seen down.

    Raises UsageError.
    """
    declaration = known_declaration(book, given.needed("id"))
    if declaration.cancelled_at is not None:
        raise IllegalStep(_was_cancelled(declaration, "completed"))
    version = declaration.version_at(now, book.rules) or declaration.latest
    if now < version.window.start:
        raise IllegalStep(
            f"{declaration.id} cannot be completed before it starts, at"
            f" {show_instant(version.window.start)}; to give it up:"
            f" monitor downtime cancel {declaration.id}"
        )
    start, end = given.told("actual_start", now), given.told("actual_end", now)
    if start is not None and end is not None and end < start:
        raise BadInstant(
            f"actual_end: {show_instant(end)} is before the actual start {show_instant(start)};"
            " give an end that is not earlier"
        )
    body = {
        "id": declaration.id,
        "actual_start": _shown(start),
        "actual_end": _shown(end),
        "author": author,
    }
    return _warned(Fact(now, "completion", body), _completion_warnings(declaration, body))


def _completion_warnings(declaration: Declaration, body: Mapping[str, Any]) -> Iterator[str]:
    if declaration.completion is not None:
        at = show_instant(declaration.completion.recorded_at)
        yield f"replaces the completion recorded at {at}"
    if declaration.latest.notified_at is None:
        yield f"MaPS was never told of the latest version of {declaration.id}: it has no effect"
    if body["actual_start"] is None or body["actual_end"] is None:
        yield (
            "the completion comment to MaPS must contain the actual start and end; without them it"
            " says that no downtime was observed"
        )


def _changeable(book: Book, given: Given, step: str) -> Declaration:
    """A declaration that is neither cancelled nor completed. Raises UsageError."""
    declaration = known_declaration(book, given.needed("id"))
    if declaration.cancelled_at is not None:
        raise IllegalStep(_was_cancelled(declaration, step))
    if declaration.completion is not None:
        raise IllegalStep(
            f"{declaration.id} was completed at"
            f" {show_instant(declaration.completion.recorded_at)} and cannot be {step};"
            " declare new downtime instead (monitor downtime declare)"
        )
    return declaration


def _was_cancelled(declaration: Declaration, step: str) -> str:
    assert declaration.cancelled_at is not None
    return (
        f"{declaration.id} was cancelled at {show_instant(declaration.cancelled_at)} and cannot be"
        f" {step}; declare new downtime instead (monitor downtime declare)"
    )


def _warned(fact: Fact, warnings: Iterable[str]) -> Fact:
    """The fact with the warnings that were shown, so that it is known later that they were."""
    return replace(fact, body={**fact.body, "warnings": list(warnings)})


# -- what a declaration is worth -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judgement:
    """The notice of a declaration's latest version.

    `notice` is that of the part of the window that has least; `enough` whether all that is covered
    counts as `declared`; MaPS had to be told before `notify_before`. `too_short` is set if enough
    notice was needed and is missing: an emergency needs none. A draft is judged as if MaPS were
    told now.
    """

    notice: Notice
    enough: bool
    notify_before: datetime
    too_short: bool


def judged(book: Book, declaration: Declaration, now: datetime) -> Judgement:
    """Judge a declaration, in the Book or not yet, as of now (accounting 4.2 to 4.4)."""
    supposed = as_if_told(declaration, now)
    return _judged(book, supposed.latest, _covers(book, supposed))


def _judged(book: Book, version: Version, covers: Collection[Covered]) -> Judgement:
    told, counted_to = _least_notice(covers, version, book.rules)
    found = notice(told, counted_to, book.rules)
    if covers:
        enough = all(cover.cover is Cover.DECLARED for cover in covers)
    else:
        enough = version.kind is Kind.MAPS or (version.kind is Kind.PLANNED and found.enough)
    last = latest_notification(counted_to, book.rules)
    return Judgement(found, enough, last, version.kind is Kind.PLANNED and not enough)


def noticed(book: Book, declaration: Declaration, now: datetime) -> list[NoticeDay]:
    """How the notice of a declaration is counted, day by day; none of MaPS' own downtime."""
    supposed = as_if_told(declaration, now)
    if supposed.latest.kind is Kind.MAPS:
        return []
    told, counted_to = _least_notice(_covers(book, supposed), supposed.latest, book.rules)
    return day_by_day(told, counted_to, book.rules)


def advice(
    book: Book,
    declaration: Declaration,
    now: datetime,
    budgets: Budgets | None = None,
    planning: Planning = PLANNING,
) -> list[str]:
    """What to warn of about a declaration, in the Book or not yet (accounting 4.6).

    `budgets` of the same Book and instant spare work when many declarations are looked at.
    """
    supposed = as_if_told(declaration, now)
    version = supposed.latest
    covers = _covers(book, supposed)
    found = [
        *_notice_warnings(declaration, _judged(book, version, covers), book.rules),
        *_past_warnings(version, covers, book.rules),
        *scope_warnings(book, version),
    ]
    if version.kind is not Kind.MAPS:
        found += _counting_warnings(
            version, _least_notice(covers, version, book.rules), book, planning
        )
        found += _calendar_warnings(version, book.rules, planning)
        found += _maps_warnings(book, version.window, now)
        found += _change_warnings(version)
        found += _budget_warnings(supposed, budgets or Budgets(book, now))
    return found


def as_if_told(declaration: Declaration, now: datetime) -> Declaration:
    """The declaration, a draft taken as if MaPS were told now."""
    last = declaration.latest
    if last.notified_at is not None:
        return declaration
    told = replace(last, notified_at=max(now, last.recorded_at))
    return replace(declaration, versions=(*declaration.versions[:-1], told))


def _series(book: Book, scope: Scope) -> Iterator[Series]:
    """The accounted series by which a scope can be judged.

    Holdernames that are not listed fare as their endpoints do, which are named first.
    """
    named = scope.endpoints
    yield from (
        each for each in book.accounted_endpoints() if named is None or each.endpoint in named
    )
    listed = scope.holdernames
    if listed is not None:
        yield from (each for each in book.accounted_holdernames() if each.holdername in listed)


def _covers(book: Book, declaration: Declaration) -> list[Covered]:
    """What the latest version covers within its window.

    If every version names the same scope, all series in it fare alike, and one tells for all.
    """
    version = declaration.latest
    alike = len({each.scope for each in declaration.versions}) == 1
    found: dict[Covered, None] = {}
    for series in _series(book, version.scope):
        for cover in downtime.covered_by(declaration, series, book.register, book.rules):
            if cover.interval.clip(version.window) is not None:
                found[cover] = None
        if found and alike:
            break
    return list(found)


def _least_notice(
    covers: Iterable[Covered], version: Version, rules: Rules
) -> tuple[datetime, datetime]:
    """(told, counted to) of the part of the window with least notice."""
    assert version.notified_at is not None
    pairs = {(cover.notified_at, cover.counted_to) for cover in covers}
    return min(
        sorted(pairs) or [(version.notified_at, version.window.start)],
        key=lambda pair: notice(pair[0], pair[1], rules).days,
    )


def _notice_warnings(declaration: Declaration, found: Judgement, rules: Rules) -> Iterator[str]:
    version = declaration.latest
    draft = version.notified_at is None
    if draft:
        which = "its latest version" if len(declaration.versions) > 1 else "it"
        yield (
            f"{declaration.id} is a draft: MaPS has not been told of {which}, so it has no effect"
            f" yet; once told: monitor downtime notify {declaration.id} --ticket REF"
        )
    if version.kind is Kind.EMERGENCY:
        yield (
            "an emergency counts as declared_short_notice whatever its notice, and opens an"
            " incident of kind emergency_fix when it begins: report that to MaPS"
        )
    elif found.too_short:
        clear = rules.notice_method is NoticeMethod.CLEAR
        days = "clear working days" if clear else "working days"
        yield (
            f"notice too short: {found.notice.days} of {found.notice.needed} {days}"
            f"{' if MaPS is told now' if draft else ''}; MaPS had to be told before"
            f" {show_instant(found.notify_before)}; the time counts as declared_short_notice:"
            " choose a later window, or take the emergency route (an incident of kind"
            " emergency_fix opens when it begins: report that to MaPS)"
        )


def _counting_warnings(
    version: Version, pair: tuple[datetime, datetime], book: Book, planning: Planning
) -> Iterator[str]:
    """MaPS defines neither the calendar nor the method: say so where they matter."""
    found = counts(*pair, book.rules, planning)
    if version.kind is Kind.PLANNED and not agree(found):
        yield counting_text(found)


def counting_text(found: Iterable[Count]) -> str:
    """Which ways to count notice find it enough, and which too short."""
    ways: dict[bool, list[str]] = {True: [], False: []}
    for count in found:
        ways[count.notice.enough].append(f"{count.calendar.value} {count.method.value}")
    return (
        "whether the notice is enough depends on how it is counted: enough by"
        f" {_some(ways[True], most=4)}; too short by {_some(ways[False], most=4)}"
    )


def _past_warnings(version: Version, covers: Iterable[Covered], rules: Rules) -> Iterator[str]:
    """Time already past when a version takes effect is never excused (accounting 4.1)."""
    effect = version.effective_at(rules)
    assert effect is not None
    past = version.window.clip(Interval(BEGINNING, effect))
    if past is None:
        return
    missed = IntervalSet([past]) - IntervalSet(cover.interval for cover in covers)
    if missed and past == version.window:
        yield (
            f"the window ended at {show_instant(past.end)}, before this took effect"
            f" ({show_instant(effect)}): it excuses nothing"
        )
    elif missed:
        yield (
            f"not excused: {lasting(missed.duration)} of the window, past when this took effect"
            f" ({show_instant(effect)})"
        )


def scope_warnings(book: Book, version: Version) -> Iterator[str]:
    """Names of a scope that make no difference."""
    scope, register = version.scope, book.register
    named = scope.endpoints or frozenset()
    tests = sorted(
        name for name in named if name in register.endpoints and not register.endpoints[name].live
    )
    if tests:
        yield f"{_some(tests)}: watched in the test environment, never counted"
    idle = [guid for guid in sorted(scope.holdernames or ()) if not _served(book, guid, version)]
    if idle:
        yield (
            f"{_some(idle)}: served by none of the endpoints and services of this declaration"
            " during its window"
        )
    if not any(
        downtime.in_scope(series, scope, version.window, register)
        for series in _series(book, scope)
    ):
        yield "the scope holds nothing that is accounted: this declaration excuses nothing"


def _served(book: Book, guid: str, version: Version) -> bool:
    scope = version.scope
    return any(
        period.interval.clip(version.window) is not None
        and (scope.endpoints is None or period.names & scope.endpoints)
        for service in scope.services or Service
        for period in book.register.serving(guid, service)
    )


def _calendar_warnings(version: Version, rules: Rules, planning: Planning) -> Iterator[str]:
    days = frozen(version.window, planning, rules.zone)
    if days is not None:
        first, last = (day.isoformat() for day in days)
        why = version.freeze_override
        rest = f", overridden: {why}" if why else ": choose another time unless MaPS agreed"
        yield f"the window lies in the change freeze of {first} to {last}{rest}"
    if version.kind is Kind.PLANNED and not change_window(version.window, planning, rules.zone):
        yield f"outside the recommended change windows ({windows_text(planning)}); advice only"


def maps_downtime(book: Book, now: datetime) -> list[tuple[Declaration, Interval]]:
    """MaPS' own downtime that is declared and not over, in order of start."""
    found = [
        (one, version.window)
        for one in book.calendar.declarations.values()
        if (version := _to_come(one, book.rules, now)) is not None and version.kind is Kind.MAPS
    ]
    return sorted(found, key=lambda item: (item[1], item[0].id))


def _maps_warnings(book: Book, window: Interval, now: datetime) -> Iterator[str]:
    for one, away in maps_downtime(book, now):
        if away.clip(window) is not None:
            yield (
                f"overlaps MaPS' own downtime {one.id}, {show_instant(away.start)} to"
                f" {show_instant(away.end)}: stay out of its way, choose another time"
            )


def _change_warnings(version: Version) -> Iterator[str]:
    change, reference = version.change_class, version.technical_change
    if change is not None and must_be_told(change) and reference is None:
        yield (
            f"a {change.value} technical change must be submitted to MaPS (CoCo 2.2.2): record its"
            " reference (--technical-change REF)"
        )
    if change is None and reference is not None:
        yield (
            f"technical change {reference} has no class: give one (--change-class"
            f" {'|'.join(ChangeClass)}) to have the evidence it needs listed"
        )


@dataclass(frozen=True, slots=True)
class Spending:
    """What declared downtime takes from a month of one series; `remaining` in microseconds.

    `planned` is what the window takes, `reserved` what other windows take beside it. `going_on` is
    what the outage of now would take if it went on until the window starts.
    """

    series: Series
    planned: timedelta
    reserved: timedelta
    going_on: timedelta
    remaining: Fraction

    @property
    def after(self) -> Fraction:
        """What would be left of the budget, in microseconds; may be negative."""
        return self.remaining - (self.planned + self.reserved) // MICROSECOND

    @property
    def forecast(self) -> Fraction:
        """What would be left if the outage of now went on until the window starts."""
        return self.after - self.going_on // MICROSECOND

    def __str__(self) -> str:
        one = self.series
        return one.endpoint or f"holdername {one.holdername} ({one.service.value})"


class Budgets:
    """What is left of budgets as of one instant, and what other declarations will take of it."""

    def __init__(self, book: Book, now: datetime) -> None:
        self.book = book
        self.ahead = Interval(now, FOREVER)
        self._now = now
        self._remaining: dict[tuple[Series, Month], Fraction] = {}
        self._declared: dict[Series, list[tuple[str, Interval]]] = {}
        self._in_outage: dict[Series, bool] = {}
        self._versions = {
            one.id: version
            for one in book.calendar.declarations.values()
            if (version := _to_come(one, book.rules, now)) is not None
            and version.kind is not Kind.MAPS  # which takes nothing from us
        }

    def spending(self, declaration: Declaration, series: Series, month: Month) -> Spending | None:
        """What a declaration takes of a month still to come; None if nothing."""
        ahead = month.interval.clip(self.ahead)
        if ahead is None:
            return None
        counts = self.book.eligible(series).clip(ahead)
        planned = counts & self._scoped(series, declaration.latest)
        if not planned:
            return None
        others = IntervalSet(
            inside
            for name, part in self._taken(series)
            if name != declaration.id and (inside := part.clip(ahead)) is not None
        )
        reserved = (counts & others) - planned
        going_on = (counts & self._going_on(series, declaration.latest.window)) - others
        left = self._left(series, month)
        return Spending(series, planned.duration, reserved.duration, going_on.duration, left)

    def outlook(self, series: Series, month: Month) -> Spending | None:
        """What all that is declared takes of a month; None of one that is over, or never counts."""
        ahead = month.interval.clip(self.ahead)
        counts = IntervalSet() if ahead is None else self.book.eligible(series).clip(ahead)
        if not counts:
            return None
        reserved = counts & IntervalSet(part for _, part in self._taken(series))
        nothing = timedelta()
        return Spending(series, nothing, reserved.duration, nothing, self._left(series, month))

    def _going_on(self, series: Series, window: Interval) -> IntervalSet:
        """The outage of now, if there is one, from now until a window starts."""
        if series not in self._in_outage:
            outages = self.book.outages(series, self._now)
            self._in_outage[series] = bool(outages) and outages[-1].open
        if not self._in_outage[series] or window.start <= self._now:
            return IntervalSet()
        return IntervalSet([Interval(self._now, window.start)])

    def _taken(self, series: Series) -> list[tuple[str, Interval]]:
        """(declaration, time) of all that is declared of a series and not over."""
        if series not in self._declared:
            self._declared[series] = [
                (name, part)
                for name, version in self._versions.items()
                for part in self._scoped(series, version)
            ]
        return self._declared[series]

    def _scoped(self, series: Series, version: Version) -> IntervalSet:
        return downtime.in_scope(series, version.scope, version.window, self.book.register)

    def _left(self, series: Series, month: Month) -> Fraction:
        key = (series, month)
        if key not in self._remaining:
            self._remaining[key] = self.book.account(series, month, self._now).remaining
        return self._remaining[key]


def _to_come(declaration: Declaration, rules: Rules, now: datetime) -> Version | None:
    """The version in effect whose window is not over; None of one that is taken back or done."""
    if declaration.cancelled_at is not None or declaration.completion is not None:
        return None
    version = declaration.version_at(now, rules)
    return version if version is not None and version.window.end > now else None


def spendings(declaration: Declaration, budgets: Budgets) -> Iterator[tuple[Month, list[Spending]]]:
    """What the latest version takes of the months to come, of each series in its scope."""
    book, version = budgets.book, declaration.latest
    ahead = version.window.clip(budgets.ahead)
    if ahead is None:
        return
    affected = _affected(book, version)
    for month in months_between(ahead.start, ahead.end, book.rules.zone):
        found = (budgets.spending(declaration, series, month) for series in affected)
        yield month, [spending for spending in found if spending is not None]


def _budget_warnings(declaration: Declaration, budgets: Budgets) -> Iterator[str]:
    """Months whose budget the window would exhaust, with all else declared (CoCo 2.1.5)."""
    for month, found in spendings(declaration, budgets):
        yield from overspent_warnings(month, found)
        yield from risk_warnings(month, found)


def overspent_warnings(month: Month, found: Iterable[Spending]) -> Iterator[str]:
    """That a month's budget does not hold what is planned, if so."""
    spent = [spending for spending in found if spending.after < 0]
    if spent:
        yield _overspent(month, min(spent, key=lambda item: item.after), len(spent) - 1)


def risk_warnings(month: Month, found: Iterable[Spending]) -> Iterator[str]:
    """That it does not hold it if an outage of now goes on until the window starts, if so."""
    risky = [spending for spending in found if spending.forecast < 0 <= spending.after]
    if risky:
        also = f" and of {len(risky) - 1} more" if len(risky) > 1 else ""
        worst = min(risky, key=lambda item: item.forecast)
        yield (
            f"if the present outage of {worst}{also} goes on until the window starts, the budget"
            f" of {month} will not hold it"
        )


def _overspent(month: Month, worst: Spending, more: int) -> str:
    also = f" and of {more} more" if more else ""
    others = f", with {lasting(worst.reserved)} declared elsewhere" if worst.reserved else ""
    left = timedelta(microseconds=int(max(worst.remaining, Fraction(0))))
    return (
        f"{lasting(worst.planned)} of this window fall in {month}{others}, but only"
        f" {lasting(left)} are left of the budget of {worst}{also}: declared downtime counts"
        " against the objective"
    )


def _affected(book: Book, version: Version) -> list[Series]:
    """The endpoints in scope; the holdernames listed, where no endpoint is wholly in scope."""
    scope = version.scope
    inside = [
        series
        for series in book.accounted_endpoints()
        if downtime.in_scope(series, scope, version.window, book.register)
    ]
    if inside or scope.holdernames is None:
        return inside
    return [series for series in _series(book, scope) if series.holdername is not None]


def lasting(duration: timedelta) -> str:
    """A duration for people, whole seconds, rounded down: `3 h 42 min 54 s`."""
    rest = int(duration.total_seconds())
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(hours, "h"), (minutes, "min"), (left, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def _some(names: Iterable[str], most: int = MOST_NAMED) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


# -- asserted outages ------------------------------------------------------------------------------


def asserted(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """An outage that no probe can see; the same id again replaces what it said before.

    Raises UsageError.
    """
    scope = scope_of(book, given)
    guids, services = scope.get("holdernames"), scope.get("services")
    if not guids:
        raise UsageError("holdernames: name at least one holdername GUID")
    given.needed("start")
    start, end = (_near(given, key, now, ASSERTED_LONG_AGO) for key in ("start", "end"))
    assert start is not None
    if end is not None and end <= start:
        raise BadInstant(
            f"end: {show_instant(end)} is not after the start {show_instant(start)}; give an end"
            " that is later, or leave it out while the outage lasts"
        )
    body = {
        "id": _new_id(given, book.assertions, "A"),
        "start": _shown(start),
        "end": _shown(end),
        "holdernames": guids,
        "services": services,
        "reason": given.needed("reason"),
        "author": author,
    }
    until = now if end is None else min(end, now)
    warnings = [
        *_assertion_warnings(book, body),
        *_sealed_warnings(book, start, until),
    ]
    if start > now:
        at = show_instant(start)
        warnings.append(f"it starts at {at}: nothing is unavailable by it until then")
    return _warned(Fact(now, "assertion", body), warnings)


def _assertion_warnings(book: Book, body: Mapping[str, Any]) -> Iterator[str]:
    known = book.assertions.get(body["id"])
    if known is not None:
        at = show_instant(known.latest.recorded_at)
        yield f"replaces what {known.id} said since {at}"
    series = book.register.holdername_series()
    services = body["services"] or [service.value for service in Service]
    idle = [
        guid
        for guid in body["holdernames"]
        if not any(name == guid and service.value in services for name, service in series)
    ]
    if idle:
        yield f"{_some(idle)}: no live endpoint serves this holdername and service; not accounted"


def _sealed_warnings(book: Book, start: datetime, end: datetime) -> Iterator[str]:
    if start >= end:
        return
    months = (str(month) for month in months_between(start, end, book.rules.zone))
    sealed = [month for month in months if month in book.seals]
    if sealed:
        yield f"{_some(sealed)}: sealed; the figures change by a numbered restatement"


def withdrawn(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """An assertion counts no more. Raises UsageError."""
    known = known_assertion(book, given.needed("id"))
    identifier = known.id
    if known.withdrawn_at is not None:
        raise IllegalStep(
            f"{identifier} was withdrawn at {show_instant(known.withdrawn_at)} already; to assert"
            f" it again: monitor outage assert --id {identifier}"
        )
    body = {"id": identifier, "reason": given.text("reason") or "", "author": author}
    span = known.span(now)
    warnings = [] if span is None else _sealed_warnings(book, span.start, span.end)
    return _warned(Fact(now, "withdrawal", body), warnings)


# -- steps on incidents ----------------------------------------------------------------------------


def _stepped(book: Book, given: Given, step: str, now: datetime, author: str, **more: Any) -> Fact:
    """The fact of a human step on an incident. Raises UsageError."""
    record = known_record(book, given.needed("id"))
    incident.require(record, step)
    return Fact(now, f"incident.{step}", {"id": record.id, **more, "author": author})


def acknowledged(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """Somebody looks after it."""
    return _stepped(book, given, "acknowledged", now, author)


def reported(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """MaPS was told; `ticket` is MaPS' reference."""
    told = given.told("at", now) or now
    fact = _stepped(
        book,
        given,
        "reported",
        now,
        author,
        ticket=given.needed("ticket"),
        reported_at=show_instant(told),
    )
    began = book.record(fact.body["id"]).view.started_at
    if told < began:
        raise BadInstant(
            f"at: {show_instant(told)} is before the incident started, at {show_instant(began)};"
            " give the time at which MaPS was told"
        )
    return fact


def updated(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """A note, the time of the next one, the cause, where it lay: any of them."""
    due = given.instant("next_update_at")
    location = given.choice("location", Location)
    said = {
        "text": given.text("text"),
        "next_update_at": _shown(due),
        "cause": given.text("cause"),
        "location": None if location is None else location.value,
    }
    said = {key: value for key, value in said.items() if value is not None}
    if not said:
        raise UsageError(
            "nothing to update; give at least one of text, next_update_at, cause, location"
        )
    if due is not None and due <= now:
        raise BadInstant(
            f"next_update_at: {show_instant(due)} is past (it is {show_instant(now)});"
            " give the time of the next update"
        )
    return _stepped(book, given, "updated", now, author, **said)


def attested(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """No acknowledged data was lost (accounting 7.4)."""
    return _stepped(book, given, "attested", now, author)


def closed(book: Book, given: Given, *, now: datetime, author: str) -> Fact:
    """All that was owed is done; refused with what is missing."""
    return _stepped(book, given, "closed", now, author)
