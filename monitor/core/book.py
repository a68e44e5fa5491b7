"""Everything known as of one instant: facts and observations in, judgements out.

The daemon, `replay` and every face ask the same Book. `branch` gives a Book on top of this one that may
be filled and asked without the lower one changing; `adopt` takes it over. So a change and what it
causes can be worked out, stored, and only then become visible.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

from monitor.core import assertion as assertions
from monitor.core import downtime, incident, security
from monitor.core.assertion import Assertion
from monitor.core.downtime import Calendar, Declaration, Series
from monitor.core.endpoint import Endpoint
from monitor.core.fact import BadFact, Body, Fact
from monitor.core.holdername import Holdername, Register
from monitor.core.incident import Incident, IncidentState, Need, Record
from monitor.core.interval import BEGINNING, MICROSECOND, Interval, IntervalSet
from monitor.core.month import Month, months_between, show_instant
from monitor.core.outage import Class, SeriesOutage, Source, cut, filled, overlay, worst
from monitor.core.rules import LateRecords, Rules
from monitor.core.slo import Account, Tally, added, burn_rate, tally
from monitor.core.timeline import (
    Outage,
    Settled,
    Span,
    State,
    Track,
    append,
    observe,
    tail,
)
from monitor.core.verdict import Observation
from monitor.errors import UnknownName


def _bounded(spans: list[Span], bounds: Interval) -> list[Span]:
    """The spans, in order, that reach into bounds; not clipped."""
    place = bisect_right(spans, bounds.start, key=lambda span: span.end)
    found = []
    for span in spans[place:]:
        if span.start >= bounds.end:
            break
        found.append(span)
    return found


class Book:
    """What is known, and what follows from it. Mutable; every judgement takes `now` or bounds."""

    def __init__(
        self, rules: Rules, endpoints: Iterable[Endpoint], holdernames: Iterable[Holdername]
    ) -> None:
        self.rules = rules
        self.register = Register(endpoints, holdernames, rules.zone)
        self.calendar = Calendar((), self.register, rules)
        self.assertions: dict[str, Assertion] = {}
        self.records: dict[str, Record] = {}
        self.seals: dict[str, tuple[Fact, ...]] = {}
        self.noticed: set[str] = set()
        self.security = security.Known()
        self._accounted: tuple[Series, ...] | None = None
        self._lower: Book | None = None
        self._tracks: dict[str, Track] = {}
        self._spans: dict[str, list[Span]] = {}
        self._outages: dict[str, dict[datetime, Outage]] = {}
        self._cuts: dict[tuple[str, datetime], SeriesOutage] = {}
        self._recut = False
        self.touched: set[str] = set()
        self.withheld: set[str] = set()
        self.settled_causes: set[str] = set()
        for endpoint in self.register.endpoints.values():
            self._tracks[endpoint.id] = Track(cadences=((BEGINNING, endpoint.cadence),))

    # -- branches ------------------------------------------------------------------------------

    def branch(self) -> Book:
        """A Book that knows all this one does and may learn more without changing it."""
        upper = Book.__new__(Book)
        upper.rules, upper.register, upper.calendar = self.rules, self.register, self.calendar
        upper.assertions, upper.records = self.assertions, self.records
        upper.seals, upper.noticed = self.seals, set()
        upper.security = self.security
        upper._accounted = self._accounted
        upper._lower = self
        upper._tracks, upper._spans, upper._outages = {}, {}, {}
        upper._cuts, upper._recut, upper.touched = {}, False, set()
        upper.withheld, upper.settled_causes = set(), set()
        return upper

    def adopt(self, upper: Book) -> None:
        """Take over what a branch of this Book has learned."""
        self.calendar = upper.calendar
        if upper._recut:
            self._forget_cuts()
        self._cuts.update(upper._cuts)
        self.assertions, self.records, self.seals = upper.assertions, upper.records, upper.seals
        self.noticed |= upper.noticed
        self.security = upper.security
        self._tracks.update(upper._tracks)
        for name, spans in upper._spans.items():
            append(self._spans.setdefault(name, []), spans)
        for name, outages in upper._outages.items():
            self._outages.setdefault(name, {}).update(outages)

    # -- learning ------------------------------------------------------------------------------

    def track(self, endpoint: str) -> Track:
        """What a configured endpoint's past leaves open. Raises UnknownName."""
        if endpoint not in self.register.endpoints:
            raise _no_endpoint(endpoint)
        return self._track(endpoint)

    def _track(self, endpoint: str) -> Track:
        """The same, also of one taken out of the configuration: it may come back."""
        found = self._tracks.get(endpoint)
        if found is None and self._lower is not None:
            return self._lower._track(endpoint)
        if found is None:
            raise _no_endpoint(endpoint)
        return found

    def observe(self, seen: Observation) -> Settled:
        """Take in an observation; answers with what it settled. Raises UnknownName."""
        track, settled = observe(self._track(seen.endpoint), seen)
        self._tracks[seen.endpoint] = track
        if settled.spans:
            append(self._spans.setdefault(seen.endpoint, []), settled.spans)
        if settled.outage is not None:
            self._outages.setdefault(seen.endpoint, {})[settled.outage.start] = settled.outage
            if seen.endpoint in self.register.endpoints:
                self.touched.add(self.register.endpoints[seen.endpoint].group)
        return settled

    def restore(
        self, endpoint: str, spans: Iterable[Span], outages: Iterable[Outage], track: Track
    ) -> None:
        """Take over what the store kept of an endpoint, configured or not."""
        self._spans[endpoint] = list(spans)
        self._outages[endpoint] = {outage.start: outage for outage in outages}
        self._tracks[endpoint] = track

    def recadence(self, endpoint: str, start: datetime) -> None:
        """Let the configured cadence hold for observations from `start` on."""
        cadence = self.register.endpoints[endpoint].cadence
        self._tracks[endpoint] = self._track(endpoint).with_cadence(start, cadence)

    def learn(self, fact: Fact) -> None:
        """Take in a fact; one of a type that decides nothing is left alone.

        Raises BadFact or UnknownName, and then has learned nothing.
        """
        if fact.type in security.TYPES:
            self.security = self.security.learned(fact)
        if fact.type.startswith("incident."):
            self._learn_incident(fact)
        elif fact.type in _LEARN:
            _LEARN[fact.type](self, fact)

    def _put(self, declaration: Declaration) -> None:
        self.calendar = self.calendar.replace(declaration)
        self._forget_cuts()
        if self.rules.late_records is LateRecords.ACCEPT:  # it may excuse what is past
            self.touched |= {endpoint.group for endpoint in self.register.endpoints.values()}
            self.touched |= set(self.assertions)

    def _forget_cuts(self) -> None:
        """Coverage changed: no outage is cut as before, nor as in the Books below."""
        self._cuts, self._recut = {}, True

    def _known_cut(self, key: tuple[str, datetime]) -> SeriesOutage | None:
        book: Book | None = self
        while book is not None:
            if key in book._cuts:
                return book._cuts[key]
            book = None if book._recut else book._lower
        return None

    def declaration(self, identifier: str) -> Declaration:
        """Raises UnknownName."""
        try:
            return self.calendar.declarations[identifier]
        except KeyError:
            raise UnknownName(
                f'there is no declaration "{identifier}"; `monitor downtime list` shows them'
            ) from None

    def _declared(self, fact: Fact) -> None:
        declaration = downtime.declare(fact)
        if declaration.id in self.calendar.declarations:
            raise UnknownName(
                f'declaration "{declaration.id}" exists already; amend it, or use another id'
            )
        self._put(declaration)

    def _amended(self, fact: Fact) -> None:
        self._put(downtime.amend(self.declaration(Body(fact).text("id")), fact))

    def _cancelled(self, fact: Fact) -> None:
        self._put(downtime.cancel(self.declaration(Body(fact).text("id")), fact))

    def _completed(self, fact: Fact) -> None:
        self._put(downtime.complete(self.declaration(Body(fact).text("id")), fact))

    def _asserted(self, fact: Fact) -> None:
        known = self.assertions.get(Body(fact).text("id"))
        self._put_assertion(assertions.assert_outage(known, fact))

    def _withdrawn(self, fact: Fact) -> None:
        self._put_assertion(assertions.withdraw(self.assertion(Body(fact).text("id")), fact))

    def _put_assertion(self, assertion: Assertion) -> None:
        self.assertions = {**self.assertions, assertion.id: assertion}
        self.touched.add(assertion.id)

    def assertion(self, identifier: str) -> Assertion:
        """Raises UnknownName."""
        try:
            return self.assertions[identifier]
        except KeyError:
            raise UnknownName(
                f'there is no assertion "{identifier}"; `monitor outage list` shows them'
            ) from None

    def record(self, identifier: str) -> Record:
        """Our record about an incident. Raises UnknownName."""
        try:
            return self.records[identifier]
        except KeyError:
            raise UnknownName(
                f'there is no incident "{identifier}"; `monitor incident list` shows them'
            ) from None

    def _learn_incident(self, fact: Fact) -> None:
        name = Body(fact).text("id")
        known = None if fact.type == "incident.opened" else self.record(name)
        step = fact.type.removeprefix("incident.")
        if known is not None and step in incident.HUMAN_STEPS:
            # Checked here too: what was allowed when it was asked may not be when its turn comes.
            incident.require(known, step)
        try:
            record = incident.opened(fact) if known is None else incident.advance(known, fact)
        except (KeyError, TypeError, ValueError) as trouble:
            raise BadFact(f"{fact.type}: cannot be read: {trouble}") from None
        self.records = {**self.records, record.id: record}

    def _sealed(self, fact: Fact) -> None:
        month = Body(fact).text("month")
        self.seals = {**self.seals, month: (*self.seals.get(month, ()), fact)}

    def _configured(self, fact: Fact) -> None:
        """The configured cadences hold from when they were put in force."""
        for name in self.register.endpoints:
            self.recadence(name, fact.at)

    def _noticed(self, fact: Fact) -> None:
        self.noticed.add(Body(fact).text("once"))

    def was_noticed(self, once: str) -> bool:
        """Whether a notice of this name was given before."""
        return any(once in book.noticed for book in self._layers())

    def inherit(self, older: Book, now: datetime) -> None:
        """Take over all that a Book of an older configuration knows; cadences change from now on."""
        self.assertions, self.records, self.seals = older.assertions, older.records, older.seals
        self.noticed = older.noticed
        self.security = older.security.with_urls(
            {endpoint.id: endpoint.url for endpoint in self.register.endpoints.values()}
        )
        self.calendar = Calendar(older.calendar.declarations.values(), self.register, self.rules)
        self._tracks |= older._tracks
        self._spans, self._outages = older._spans, older._outages
        for name in self.register.endpoints:
            self.recadence(name, now)

    # -- series --------------------------------------------------------------------------------

    def endpoint_series(self, endpoint: str) -> Series:
        """The series of an endpoint. Raises UnknownName."""
        known = self.register.endpoints.get(endpoint)
        if known is None:
            raise _no_endpoint(endpoint)
        return Series(known.service, endpoint=endpoint)

    def accounted_endpoints(self) -> list[Series]:
        """The series of every endpoint that is ever accounted, in order of configuration."""
        if self._accounted is None:
            self._accounted = tuple(
                Series(endpoint.service, endpoint=endpoint.id)
                for endpoint in self.register.endpoints.values()
                if endpoint.live
            )
        return list(self._accounted)

    def accounted_holdernames(self) -> list[Series]:
        """The series of every (holdername GUID, service), sorted."""
        return [
            Series(service, holdername=guid) for guid, service in self.register.holdername_series()
        ]

    def eligible(self, series: Series) -> IntervalSet:
        """The time of a series that counts, without end where none is known."""
        if series.endpoint is not None:
            counts = self.register.eligible(series.endpoint)
            return IntervalSet([] if counts is None else [counts])
        assert series.holdername is not None
        return IntervalSet(
            period.interval for period in self.register.serving(series.holdername, series.service)
        )

    def likeness(self, series: Series) -> Hashable:
        """Two series of the same likeness have the same states, outages but for the name, and account.

        Of a holdername it is everything its figures depend on: which endpoints serve it when, the
        assertions about it, and the declarations that list it.
        """
        if series.holdername is None:
            return series
        guid = series.holdername
        asserted = (
            one.id for one in self.assertions.values() if one.concerns(guid, series.service)
        )
        listed = (
            (one.id, place)
            for one in self.calendar.declarations.values()
            for place, version in enumerate(one.versions)
            if version.scope.holdernames is not None and guid in version.scope.holdernames
        )
        return (
            series.service,
            self.register.serving(guid, series.service),
            tuple(asserted),
            tuple(listed),
        )

    # -- states --------------------------------------------------------------------------------

    def endpoint_states(self, endpoint: str, bounds: Interval, now: datetime) -> list[Span]:
        """A partition of bounds, which end at `now` or before, into states of one endpoint."""
        spans: list[Span] = []
        for book in self._layers():
            spans.extend(_bounded(book._spans.get(endpoint, []), bounds))
        spans.extend(tail(self.track(endpoint), now))
        merged: list[Span] = []
        append(merged, filled(spans, bounds))
        return merged

    def settled(self, endpoint: str) -> Interval | None:
        """The time of an endpoint that can no longer be judged otherwise; None: none yet."""
        known = [spans for book in self._layers() if (spans := book._spans.get(endpoint))]
        return Interval(known[0][0].start, known[-1][-1].end) if known else None

    def _layers(self) -> Iterator[Book]:
        if self._lower is not None:
            yield from self._lower._layers()
        yield self

    def states(self, series: Series, bounds: Interval, now: datetime) -> list[Span]:
        """A partition of the eligible part of bounds, up to now, into states of a series."""
        known = Interval(BEGINNING, now)
        found: list[Span] = []
        if series.endpoint is not None:
            for counts in self.eligible(series).clip(bounds).clip(known):
                found.extend(self.endpoint_states(series.endpoint, counts, now))
            return found
        assert series.holdername is not None
        asserted = self._asserted_spans(series, now)
        for period in self.register.serving(series.holdername, series.service):
            part = period.interval.clip(bounds)
            part = part.clip(known) if part is not None else None
            if part is None:
                continue
            partitions = [self.endpoint_states(name, part, now) for name in sorted(period.names)]
            over = [Span(down.start, down.end, State.DOWN) for down in asserted.clip(part)]
            append(found, overlay(worst(partitions), over))
        return found

    def _asserted_spans(self, series: Series, now: datetime) -> IntervalSet:
        assert series.holdername is not None
        return IntervalSet(
            span
            for one in self.assertions.values()
            if one.concerns(series.holdername, series.service)
            and (span := one.span(now)) is not None
        )

    # -- outages -------------------------------------------------------------------------------

    def endpoint_outages(self, endpoint: str) -> list[Outage]:
        """All confirmed outages of an endpoint in order, counted or not."""
        found: dict[datetime, Outage] = {}
        for book in self._layers():
            found.update(book._outages.get(endpoint, {}))
        return [found[start] for start in sorted(found)]

    def outages(
        self, series: Series, now: datetime, bounds: Interval | None = None
    ) -> list[SeriesOutage]:
        """The outages of a series that reach into bounds, whole, in order of start."""
        start = BEGINNING if bounds is None else bounds.start
        end = now if bounds is None else min(bounds.end, now)
        if start >= end:
            return []
        known = Interval(start, end)
        if series.endpoint is not None:
            return [
                found
                for outage in self.endpoint_outages(series.endpoint)
                if (outage.end is None or outage.end > known.start)
                and outage.start < known.end
                and (found := self._endpoint_outage(series, outage, now)) is not None
                and found.interval.clip(known) is not None
            ]
        return self._holdername_outages(series, now, known)

    def _endpoint_outage(
        self, series: Series, outage: Outage, now: datetime
    ) -> SeriesOutage | None:
        """An endpoint's outage, clipped to eligible time, with its parts; None: none of it counts."""
        assert series.endpoint is not None
        key = (series.endpoint, outage.start)
        over = outage.end is not None and outage.end <= now
        if over and (known := self._known_cut(key)) is not None:
            return known
        counts = self.register.eligible(series.endpoint)
        interval = None if counts is None else _until(outage, now, counts)
        if counts is None or interval is None:
            return None
        states = self.endpoint_states(series.endpoint, interval, now)
        goes_on = outage.end is None and counts.end > now
        found = SeriesOutage(
            interval,
            goes_on,
            Source.PROBE,
            outage.confirmed_at,
            cut(states, self.calendar.covers(series)),
        )
        if over:
            self._cuts[key] = found
        return found

    def _contributions(
        self, series: Series, now: datetime
    ) -> Iterator[tuple[Interval, bool, Source, datetime]]:
        """(span, open, source, confirmed) of what makes a holdername series unavailable."""
        assert series.holdername is not None
        periods = self.register.serving(series.holdername, series.service)
        serving_now = next((p.names for p in periods if now in p.interval), frozenset())
        asserted = [
            (one, span)
            for one in self.assertions.values()
            if one.concerns(series.holdername, series.service)
            and (span := one.span(now)) is not None
        ]
        for period in periods:
            for name in sorted(period.names):
                for outage in self.endpoint_outages(name):
                    part = _until(outage, now, period.interval)
                    if part is not None:
                        goes_on = outage.end is None and part.end == now and name in serving_now
                        yield part, goes_on, Source.PROBE, outage.confirmed_at
            for one, span in asserted:
                part = span.clip(period.interval)
                if part is not None:
                    goes_on = one.is_open(now) and part.end == now and bool(serving_now)
                    yield part, goes_on, Source.ASSERTED, one.learned_at

    def _holdername_outages(
        self, series: Series, now: datetime, bounds: Interval
    ) -> list[SeriesOutage]:
        """Maximal spans of the endpoints' outages and assertions, merged (accounting 5).

        Those that reach into bounds, whole: the years before cost next to nothing.
        """
        given = list(self._contributions(series, now))
        found = []
        for whole in IntervalSet(part for part, *_ in given):
            if whole.clip(bounds) is None:
                continue
            inside = [item for item in given if item[0].clip(whole) is not None]
            sources = {source for _, _, source, _ in inside}
            found.append(
                SeriesOutage(
                    whole,
                    any(is_open for _, is_open, *_ in inside),
                    sources.pop() if len(sources) == 1 else Source.MIXED,
                    min(confirmed for *_, confirmed in inside),
                    cut(self.states(series, whole, now), self.calendar.covers(series)),
                )
            )
        return found

    # -- months --------------------------------------------------------------------------------

    def months(self, series: Series, now: datetime) -> list[Month]:
        """The months that eligible time touches, up to the running one; that one if there is none."""
        zone = self.rules.zone
        running = Month.of(now - MICROSECOND, zone)
        end = running.interval.end
        listed = {
            (month.year, month.number): month
            for part in self.eligible(series)
            for month in months_between(part.start, min(part.end, end), zone)
        }
        if not listed:
            return [running]
        return [listed[key] for key in sorted(listed)]

    def account(self, series: Series, month: Month, now: datetime) -> Account:
        """The figures of a series for a month, as known now."""
        return self.account_of(series, month.interval, now)

    def account_of(self, series: Series, bounds: Interval, now: datetime) -> Account:
        """The figures of a series for any period; `closed` once the period is over."""
        counts = self.eligible(series).clip(bounds)
        known = IntervalSet() if bounds.start >= now else counts.clip(Interval(bounds.start, now))
        total = Tally()
        outages = self.outages(series, now, bounds) if known else []
        for part in known:
            states = self.states(series, part, now)
            pieces = (piece for outage in outages for piece in outage.parts)
            total = added(total, tally(part, states, pieces))
        return Account(
            total, known.duration, counts.duration, self.rules.objective, bounds.end <= now
        )

    def burn_rate(self, series: Series, window: timedelta, now: datetime) -> Fraction:
        """How fast a series has spent its budget over the last `window` (accounting 6)."""
        bounds = Interval(now - window, now)
        lost = self.account_of(series, bounds, now).unavailable
        return burn_rate(lost, window, self.rules.objective)

    # -- incidents -----------------------------------------------------------------------------

    def needs(self, now: datetime, causes: set[str] | None = None) -> list[Need]:
        """The outages known now that need an incident (accounting 7.1), of the causes named or all.

        An outage stays in the group under which it was recorded, wherever its endpoint has moved.
        """
        recorded = self._recorded_groups()
        groups: dict[str, set[str]] = {}
        for member, group in recorded.items():
            groups.setdefault(member.rpartition("@")[0], set()).add(group)
        found: list[Need] = []
        for series in self.accounted_endpoints():
            assert series.endpoint is not None
            group = self.register.endpoints[series.endpoint].group
            if causes is not None and not causes & {group, *groups.get(series.endpoint, ())}:
                continue
            for need in self._probed_needs(series, now):
                cause = recorded.get(need.member, group)
                if causes is None or cause in causes:
                    found.append(replace(need, cause=cause))
        for one in self.assertions.values():
            if causes is None or one.id in causes:
                found.extend(self._asserted_needs(one, now))
        return found

    def _recorded_groups(self) -> dict[str, str]:
        """The group of each probed outage that a standing record has."""
        return {
            member: record.view.group
            for record in self.records.values()
            if record.standing and not record.view.asserted
            for member in record.members
        }

    def _probed_needs(self, series: Series, now: datetime) -> Iterator[Need]:
        assert series.endpoint is not None
        endpoint = self.register.endpoints[series.endpoint]
        for outage in self.endpoint_outages(series.endpoint):
            found = self._endpoint_outage(series, outage, now)
            part = _first_needing(found, found.interval) if found is not None else None
            if found is None or part is None:
                continue
            start, cls, declaration = part
            yield Need(
                member=f"{endpoint.id}@{show_instant(outage.start)}",
                cause=endpoint.group,
                asserted=False,
                start=start,
                end=None if found.open else found.interval.end,
                confirmed_at=outage.confirmed_at,
                cls=cls,
                declaration=declaration,
                endpoints=frozenset({endpoint.id}),
                holdernames=frozenset(),
            )

    def _asserted_needs(self, one: Assertion, now: datetime) -> Iterator[Need]:
        span = one.span(now)
        if span is None:
            return
        for guid, service in self.register.holdername_series():
            series = Series(service, holdername=guid)
            if not one.concerns(guid, service):
                continue
            for outage in self.outages(series, now, span):
                part = _first_needing(outage, span)
                if part is None:
                    continue
                start, cls, declaration = part
                end = min(span.end, outage.interval.end)
                yield Need(
                    member=one.id,
                    cause=one.id,
                    asserted=True,
                    start=start,
                    end=None if one.is_open(now) and outage.open else end,
                    confirmed_at=one.learned_at,
                    cls=cls,
                    declaration=declaration,
                    endpoints=frozenset(),
                    holdernames=frozenset({guid}),
                )

    def incidents(self, now: datetime, causes: set[str] | None = None) -> list[Incident]:
        """The incidents that the outages known now make up, in order of detection."""
        derived = incident.derive(self.needs(now, causes), self.rules.quiet_period)
        return [self._with_names(view, now) for view in derived]

    def _with_names(self, view: Incident, now: datetime) -> Incident:
        """Probed incidents concern every GUID active at their endpoints meanwhile.

        Those of an assertion concern every endpoint that serves what is asserted meanwhile.
        """
        during = Interval(view.started_at, now if view.restored_at is None else view.restored_at)
        if not view.asserted:
            return replace(view, holdernames=tuple(self.register.guids_at(view.endpoints, during)))
        one = self.assertions[view.group]
        serving = {
            name
            for guid, service in self.register.holdername_series()
            if one.concerns(guid, service)
            for period in self.register.serving(guid, service)
            if period.interval.clip(during) is not None
            for name in period.names
        }
        return replace(view, endpoints=tuple(sorted(serving)))

    def correlate(self, now: datetime, causes: set[str]) -> list[Fact]:
        """The facts that bring our incident records up to date for these causes; learns them too.

        What merely grows an incident waits a little, so that a storm is one message; its causes are
        then left in `withheld`, to be asked again.
        """
        self.withheld, self.settled_causes = set(), set(causes)
        if not causes:
            return []
        causes = causes | self._former_groups(causes)
        self.settled_causes = set(causes)
        departed = [
            record
            for record in self.records.values()
            if record.standing and not self._still_configured(record)
        ]
        derived = [_with_departed(view, departed) for view in self.incidents(now, causes)]
        seen = frozenset().union(*(view.members for view in derived))
        records = {
            record.id: record
            for record in self.records.values()
            if record.view.group in causes
            and (self._still_configured(record) or not seen.isdisjoint(record.members))
        }
        due = incident.reconcile(records, derived, now, self._next_incident_number())
        facts = []
        for fact in due:
            record = records.get(fact.body["id"])
            if fact.type == "incident.changed" and record is not None and record.told_lately(now):
                self.withheld.add(record.view.group)
            else:
                facts.append(fact)
                self.learn(fact)
        return facts

    def _former_groups(self, groups: set[str]) -> set[str]:
        """The groups under which outages are recorded of endpoints that now are in one of these."""
        here = {one.id for one in self.register.endpoints.values() if one.group in groups}
        return {
            group
            for member, group in self._recorded_groups().items()
            if member.rpartition("@")[0] in here
        }

    def _still_configured(self, record: Record) -> bool:
        """An endpoint taken out of the configuration takes nothing back."""
        return all(name in self.register.endpoints for name in record.view.endpoints)

    def _next_incident_number(self) -> int:
        return 1 + max((int(name.removeprefix("I-")) for name in self.records), default=0)

    def overdue(self, now: datetime) -> list[Fact]:
        """Restoration clocks that passed a mark; learns the facts too (accounting 7.3)."""
        facts: list[Fact] = []
        for record in self.records.values():
            if record.state is IncidentState.OPEN or record.breached_at is None:
                facts += incident.overdue(
                    record,
                    now,
                    target=self.rules.restoration_target,
                    at_risk_after=self.rules.at_risk_after,
                )
        for fact in facts:
            self.learn(fact)
        return facts

    def causes_open(self, now: datetime) -> set[str]:
        """The causes whose outages may change class or end by the passing of time alone."""
        groups = {
            endpoint.group
            for endpoint in self.register.endpoints.values()
            if self.track(endpoint.id).outage is not None
        }
        ended = timedelta(days=1)
        return groups | {
            one.id
            for one in self.assertions.values()
            if one.is_open(now - ended) or one.latest.recorded_at > now - ended
        }

    def boundaries(self) -> list[datetime]:
        """Instants at which a judgement may change by the passing of time alone, sorted."""
        marks = set(self.calendar.boundaries())
        for one in self.assertions.values():
            marks.add(one.latest.start)
            if one.latest.end is not None:
                marks.add(one.latest.end)
        for endpoint in self.register.endpoints:
            counts = self.register.eligible(endpoint)
            if counts is not None:
                marks |= {counts.start, counts.end}
        return sorted(marks)


def _no_endpoint(name: str) -> UnknownName:
    return UnknownName(f'there is no endpoint "{name}" in the configuration')


def _until(outage: Outage, now: datetime, bounds: Interval) -> Interval | None:
    """The part of an outage inside bounds, up to now."""
    end = now if outage.end is None else min(outage.end, now)
    return Interval(outage.start, end).clip(bounds) if outage.start < end else None


def _with_departed(view: Incident, departed: Iterable[Record]) -> Incident:
    """A derived incident with what its record had of endpoints no longer configured."""
    for record in departed:
        if not view.members.isdisjoint(record.members):
            past = record.view
            view = replace(
                view,
                started_at=min(view.started_at, past.started_at),
                detected_at=min(view.detected_at, past.detected_at),
                endpoints=tuple(sorted({*view.endpoints, *past.endpoints})),
                holdernames=tuple(sorted({*view.holdernames, *past.holdernames})),
                members=view.members | past.members,
            )
    return view


def _first_needing(
    outage: SeriesOutage, bounds: Interval
) -> tuple[datetime, Class, str | None] | None:
    """The first instant of an outage inside bounds that needs an incident, its class and declaration."""
    for part in outage.parts:
        inside = part.interval.clip(bounds)
        if inside is not None and part.cls is not None and part.cls.needs_incident:
            return inside.start, part.cls, part.declaration
    return None


_LEARN: Mapping[str, Callable[[Book, Fact], None]] = {
    "declaration": Book._declared,
    "amendment": Book._amended,
    "cancellation": Book._cancelled,
    "completion": Book._completed,
    "assertion": Book._asserted,
    "withdrawal": Book._withdrawn,
    "configuration": Book._configured,
    "seal": Book._sealed,
    "restatement": Book._sealed,
    "restatement_proposed": Book._sealed,
    "notice": Book._noticed,
}
