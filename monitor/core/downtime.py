"""Declarations of downtime: chains of versions, and which instants they cover (accounting 4).

Nothing here is edited in place. A declaration is what its facts say, in the order we learned them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from monitor.core.endpoint import Service
from monitor.core.fact import BadFact, Body, Fact
from monitor.core.holdername import Register
from monitor.core.interval import FOREVER, MICROSECOND, Interval, IntervalSet
from monitor.core.month import show_instant
from monitor.core.notice import enough
from monitor.core.planning import ChangeClass
from monitor.core.rules import LateRecords, Rules


class Kind(StrEnum):
    """What sort of downtime is declared; `maps` is MaPS' own (accounting 4.4)."""

    PLANNED = "planned"
    EMERGENCY = "emergency"
    MAPS = "maps"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a declaration names. One not given (None) does not narrow (accounting 4.5)."""

    endpoints: frozenset[str] | None = None
    holdernames: frozenset[str] | None = None
    services: frozenset[Service] | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a declaration. Without `notified_at` it is a draft and has no effect.

    `technical_change` is MaPS' reference of the change that needs the downtime (CoCo 2.2.2).
    `freeze_override` is why the window may lie in a freeze.
    """

    recorded_at: datetime
    notified_at: datetime | None
    window: Interval
    scope: Scope
    kind: Kind
    ticket: str | None
    reason: str
    author: str
    technical_change: str | None = None
    change_class: ChangeClass | None = None
    freeze_override: str | None = None

    def effective_at(self, rules: Rules) -> datetime | None:
        """When it takes effect: the later of recorded and notified (accounting 4.1)."""
        if self.notified_at is None:
            return None
        if rules.late_records is LateRecords.ACCEPT and self.ticket:
            return self.notified_at
        return max(self.recorded_at, self.notified_at)


@dataclass(frozen=True, slots=True)
class Completion:
    """The comment that ends planned work, with actual start and end (seed-000)."""

    recorded_at: datetime
    actual_start: datetime | None
    actual_end: datetime | None
    author: str


@dataclass(frozen=True, slots=True)
class Declaration:
    """A chain of versions, in the order recorded."""

    id: str
    versions: tuple[Version, ...]
    cancelled_at: datetime | None = None
    completion: Completion | None = None

    @property
    def latest(self) -> Version:
        """The version recorded last, draft or not."""
        return self.versions[-1]

    def amended(self, version: Version) -> Declaration:
        return replace(self, versions=(*self.versions, version))

    def in_force(self, rules: Rules) -> Iterator[tuple[Interval, tuple[Version, ...]]]:
        """Stretches of time with the versions in effect through them; the last of them is in force."""
        effects = [version.effective_at(rules) for version in self.versions]
        end = self.cancelled_at if self.cancelled_at is not None else FOREVER
        starts = sorted({at for at in effects if at is not None and at < end})
        for start, until in pairwise([*starts, end]):
            chain = tuple(
                version
                for version, at in zip(self.versions, effects, strict=True)
                if at is not None and at <= start
            )
            yield Interval(start, until), chain

    def version_at(self, instant: datetime, rules: Rules) -> Version | None:
        """The version in force at an instant."""
        for stretch, chain in self.in_force(rules):
            if instant in stretch:
                return chain[-1]
        return None


@dataclass(frozen=True, slots=True)
class Series:
    """What an availability figure is about (accounting 1).

    An endpoint's own series, or that of a holdername GUID and a service: exactly one of `endpoint`
    and `holdername` is set.
    """

    service: Service
    endpoint: str | None = None
    holdername: str | None = None


class Cover(StrEnum):
    """How a covered instant counts (accounting 4.4)."""

    DECLARED = "declared"
    SHORT_NOTICE = "declared_short_notice"


@dataclass(frozen=True, slots=True)
class Covered:
    """A stretch of a series that a declaration covers, and what for.

    `late` marks what only a late record excused (`late_records: accept`).
    """

    interval: Interval
    cover: Cover
    declaration: str
    kind: Kind
    notified_at: datetime
    counted_to: datetime
    late: bool = False


def in_scope(series: Series, scope: Scope, window: Interval, register: Register) -> IntervalSet:
    """The instants of a window at which a series is in scope (accounting 4.5)."""
    if scope.services is not None and series.service not in scope.services:
        return IntervalSet()
    whole = IntervalSet([window])
    if series.endpoint is not None:
        if scope.endpoints is not None and series.endpoint not in scope.endpoints:
            return IntervalSet()
        if scope.holdernames is None:
            return whole
        listed = scope.holdernames
        return whole & IntervalSet(
            period.interval for period in register.active(series.endpoint) if period.names <= listed
        )
    assert series.holdername is not None
    if scope.holdernames is not None and series.holdername not in scope.holdernames:
        return IntervalSet()
    if scope.endpoints is None:
        return whole
    return whole & IntervalSet(
        period.interval
        for period in register.serving(series.holdername, series.service)
        if period.names & scope.endpoints
    )


def may_concern(declaration: Declaration, series: Series) -> bool:
    """Whether any version names the series, its service, or nothing narrower: a quick first look."""
    for version in declaration.versions:
        scope = version.scope
        named, name = scope.holdernames, series.holdername
        if series.endpoint is not None:
            named, name = scope.endpoints, series.endpoint
        if (named is None or name in named) and (
            scope.services is None or series.service in scope.services
        ):
            return True
    return False


def _told(chain: tuple[Version, ...], scoped: tuple[bool, ...]) -> dict[datetime, IntervalSet]:
    """For the last version's window: which instants count notice from which notification.

    It is the `notified_at` of the earliest version in the unbroken run, up to the one in force, of
    versions that include the instant (accounting 4.2). `scoped` says which versions have the series
    in scope.
    """
    found: dict[datetime, IntervalSet] = {}
    run = IntervalSet([chain[-1].window])
    for place in range(len(chain) - 1, -1, -1):
        earlier = IntervalSet()
        if place and scoped[place - 1]:
            earlier = run & IntervalSet([chain[place - 1].window])
        ends_here = run - earlier
        if ends_here:
            told = chain[place].notified_at
            assert told is not None
            found[told] = found.get(told, IntervalSet()) | ends_here
        run = earlier
    return found


def _scoped(
    chain: tuple[Version, ...], series: Series, register: Register
) -> Iterator[tuple[Interval, tuple[bool, ...]]]:
    """The last version's window in stretches over which the same versions have the series in scope."""
    window = chain[-1].window
    scopes = [in_scope(series, version.scope, window, register) for version in chain]
    edges = {window.start, window.end}
    for scope in scopes:
        for part in scope:
            edges |= {part.start, part.end}
    for start, end in pairwise(sorted(edges)):
        yield Interval(start, end), tuple(start in scope for scope in scopes)


def covered_by(
    declaration: Declaration, series: Series, register: Register, rules: Rules
) -> list[Covered]:
    """Every stretch of a series that one declaration covers, in order (accounting 4)."""
    found: list[Covered] = []
    for stretch, chain in declaration.in_force(rules):
        for segment, scoped in _scoped(chain, series, register):
            inside = segment.clip(stretch)
            if inside is None or not scoped[-1]:
                continue
            for told, instants in _told(chain, scoped).items():
                for part in instants:
                    piece = part.clip(inside)
                    if piece is not None:
                        found.extend(_graded(declaration.id, chain[-1], told, part, piece, rules))
    return sorted(found, key=lambda item: (item.interval.start, item.interval.end))


def _graded(
    name: str, version: Version, told: datetime, part: Interval, inside: Interval, rules: Rules
) -> Iterator[Covered]:
    if version.kind is Kind.MAPS:
        cover = Cover.DECLARED
    elif version.kind is Kind.EMERGENCY or not enough(told, part.start, rules):
        cover = Cover.SHORT_NOTICE
    else:
        cover = Cover.DECLARED
    known = version.recorded_at
    if inside.start < known < inside.end:
        before, after = Interval(inside.start, known), Interval(known, inside.end)
        yield Covered(before, cover, name, version.kind, told, part.start, late=True)
        yield Covered(after, cover, name, version.kind, told, part.start)
    else:
        late = inside.end <= known
        yield Covered(inside, cover, name, version.kind, told, part.start, late=late)


@dataclass(frozen=True, slots=True)
class Considered:
    """One version of a declaration held against one instant of a series.

    `against` says why it does not count, in order; empty if it does. `covers` is how it counts.
    """

    version: Version
    effective_at: datetime | None
    against: tuple[str, ...]
    covers: Covered | None


def considered(
    declaration: Declaration, series: Series, instant: datetime, register: Register, rules: Rules
) -> list[Considered]:
    """Each version of a declaration, and why it does or does not cover an instant of a series."""
    covers = [
        cover
        for cover in covered_by(declaration, series, register, rules)
        if instant in cover.interval
    ]
    current = declaration.version_at(instant, rules)
    found = []
    for version in declaration.versions:
        against = tuple(_against(declaration, version, current, series, instant, register, rules))
        found.append(
            Considered(
                version,
                version.effective_at(rules),
                against,
                covers[0] if covers and version is current else None,
            )
        )
    return found


def _against(
    declaration: Declaration,
    version: Version,
    current: Version | None,
    series: Series,
    instant: datetime,
    register: Register,
    rules: Rules,
) -> Iterator[str]:
    """Why a version does not count at an instant; what decides is asked, not repeated."""
    effective = version.effective_at(rules)
    if effective is None:
        yield "MaPS was not told of it: a draft has no effect"
    elif effective > instant:
        late = "told to MaPS" if effective == version.notified_at else "recorded"
        yield f"not in effect yet: {late} only at {show_instant(effective)}"
    elif declaration.cancelled_at is not None and declaration.cancelled_at <= instant:
        yield f"cancelled at {show_instant(declaration.cancelled_at)}"
    elif version is not current:
        yield "superseded by a later version in force"
    if instant not in version.window:
        edge = "begins only at" if instant < version.window.start else "was over at"
        mark = version.window.start if instant < version.window.start else version.window.end
        yield f"its window {edge} {show_instant(mark)}"
    yield from _out_of_scope(version.scope, series, instant, register)


def _out_of_scope(
    scope: Scope, series: Series, instant: datetime, register: Register
) -> Iterator[str]:
    """Which narrowing leaves the series out at an instant: each is asked alone (accounting 4.5)."""
    moment = Interval.lasting(instant, MICROSECOND)
    alone = (
        (Scope(services=scope.services), "services: this service is not among those named"),
        (Scope(endpoints=scope.endpoints), "endpoints: none named serves this series then"),
        (
            Scope(holdernames=scope.holdernames),
            "holdernames: not every one active then is named"
            if series.endpoint is not None
            else "holdernames: this one is not among those named",
        ),
    )
    for narrowing, what in alone:
        if not in_scope(series, narrowing, moment, register):
            yield f"out of scope by {what}"


class Calendar:
    """All declarations. Answers what covers a series; remembers answers until something changes."""

    def __init__(
        self, declarations: Iterable[Declaration], register: Register, rules: Rules
    ) -> None:
        self.declarations = {declaration.id: declaration for declaration in declarations}
        self._register = register
        self._rules = rules
        self._covers: dict[Series, tuple[Covered, ...]] = {}

    def replace(self, declaration: Declaration) -> Calendar:
        """A calendar with this declaration put in; what others are covered by is remembered."""
        kept = {**self.declarations, declaration.id: declaration}
        fresh = Calendar(kept.values(), self._register, self._rules)
        changed = [declaration, *filter(None, [self.declarations.get(declaration.id)])]
        fresh._covers = {
            series: covers
            for series, covers in self._covers.items()
            if not any(may_concern(one, series) for one in changed)
        }
        return fresh

    def covers(self, series: Series) -> tuple[Covered, ...]:
        """Every covered stretch of a series, in order of start; stretches may overlap."""
        known = self._covers.get(series)
        if known is None:
            found: list[Covered] = []
            for declaration in self.declarations.values():
                if may_concern(declaration, series):
                    found.extend(covered_by(declaration, series, self._register, self._rules))
            known = tuple(sorted(found, key=lambda c: (c.interval.start, c.declaration)))
            self._covers[series] = known
        return known

    def boundaries(self) -> list[datetime]:
        """Instants at which some class may change: starts, ends, effects and cancellations, sorted."""
        marks: set[datetime] = set()
        for declaration in self.declarations.values():
            for stretch, chain in declaration.in_force(self._rules):
                marks |= {stretch.start, stretch.end}
                marks |= {chain[-1].window.start, chain[-1].window.end}
        marks.discard(FOREVER)
        return sorted(marks)


def declare(fact: Fact) -> Declaration:
    """The declaration that a `declaration` fact begins. Raises BadFact."""
    body = Body(fact)
    version = Version(
        recorded_at=fact.at,
        notified_at=body.optional_instant("notified_at"),
        window=_window(body, None),
        scope=Scope(
            body.optional_names("endpoints"),
            _guids(body.optional_names("holdernames")),
            body.services(),
        ),
        kind=body.choice("kind", Kind, Kind.PLANNED.value),
        ticket=body.optional_text("ticket"),
        reason=body.text("reason", ""),
        author=body.text("author", ""),
        technical_change=body.optional_text("technical_change"),
        change_class=_change_class(body),
        freeze_override=body.optional_text("freeze_override"),
    )
    return Declaration(body.text("id"), (version,))


def amend(declaration: Declaration, fact: Fact) -> Declaration:
    """The declaration with one more version: fields named are changed, the others kept.

    `notified_at` says when MaPS was told of *this* version, so it is never kept from the one before:
    an amendment of which MaPS was not told is a draft (accounting 4.1). Raises BadFact.
    """
    body, last = Body(fact), declaration.latest
    scope = Scope(
        body.optional_names("endpoints") if body.names("endpoints") else last.scope.endpoints,
        _guids(body.optional_names("holdernames"))
        if body.names("holdernames")
        else last.scope.holdernames,
        body.services() if body.names("services") else last.scope.services,
    )
    version = Version(
        recorded_at=fact.at,
        notified_at=body.optional_instant("notified_at"),
        window=_window(body, last.window),
        scope=scope,
        kind=body.choice("kind", Kind, last.kind.value),
        ticket=body.optional_text("ticket") if body.names("ticket") else last.ticket,
        reason=body.text("reason", last.reason),
        author=body.text("author", ""),
        technical_change=body.optional_text("technical_change")
        if body.names("technical_change")
        else last.technical_change,
        change_class=_change_class(body) if body.names("change_class") else last.change_class,
        freeze_override=body.optional_text("freeze_override")
        if body.names("freeze_override")
        else last.freeze_override,
    )
    return declaration.amended(version)


def cancel(declaration: Declaration, fact: Fact) -> Declaration:
    """The declaration with no effect from now on; the first cancellation counts."""
    if declaration.cancelled_at is not None:
        return declaration
    return replace(declaration, cancelled_at=fact.at)


def complete(declaration: Declaration, fact: Fact) -> Declaration:
    """The declaration with what really happened; coverage does not change."""
    body = Body(fact)
    completion = Completion(
        fact.at,
        body.optional_instant("actual_start"),
        body.optional_instant("actual_end"),
        body.text("author", ""),
    )
    return replace(declaration, completion=completion)


def _change_class(body: Body) -> ChangeClass | None:
    if body.optional_text("change_class") is None:
        return None
    return body.choice("change_class", ChangeClass)


def _guids(names: frozenset[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(name.lower() for name in names)


def _window(body: Body, last: Interval | None) -> Interval:
    start = body.instant("start") if last is None or body.names("start") else last.start
    end = body.instant("end") if last is None or body.names("end") else last.end
    if start >= end:
        raise BadFact(
            f"the window ends at {show_instant(end)}, not after its start {show_instant(start)};"
            " give an end that is later"
        )
    return Interval(start, end)
