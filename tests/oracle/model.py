"""The accounting rules read aloud, one instant at a time: an oracle for `monitor.core`.

Nothing here is clever. The time under account is laid out as a grid of instants, `step` seconds
apart; every instant a fact or a date names must lie on it. For every series and every instant the
state, the coverage and the class are decided by the rules as written, and seconds are counted.
There is no interval arithmetic, and nothing is shared with the product.

Instants are whole seconds since 1970 (UTC). References such as `accounting 4.2` name the section
and rule that a function reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import holidays

LONDON = ZoneInfo("Europe/London")
HOUR = 3600
UNITS = {"s": 1, "m": 60, "h": HOUR, "d": 24 * HOUR}
SERVICES = ("find", "view", "pat-refresh")
BEST_TO_WORST = ("up", "unconfirmed", "unknown", "impaired", "down")
FAILING = ("impaired", "down")
CLASSES = ("declared", "declared_short_notice", "overrun", "undeclared")
NEEDS_INCIDENT = ("declared_short_notice", "overrun", "undeclared")
SUBDIVISIONS = {
    "any-uk": ("ENG", "WLS", "SCT", "NIR"),
    "england-and-wales": ("ENG", "WLS"),
    "scotland": ("SCT",),
    "northern-ireland": ("NIR",),
}

Document = dict[str, Any]


def account(config: Document, facts: list[Document], until: datetime, *, step: int = 1) -> Document:
    """The document that `monitor replay FACTS --until T --json` prints.

    `config` is the parsed configuration (plain values; dates may be strings), `facts` the lines of
    a facts file, `step` the grid in seconds. Raises ValueError if an instant is off the grid or a
    fact speaks of a declaration or assertion that no earlier fact made.
    """
    return _Case(config, facts, until, step).document()


def comparable(document: Document) -> Document:
    """The document with series in one order, which the rules leave open."""

    def place(entry: Document) -> tuple[str, ...]:
        return (entry.get("month") or entry["start"], *sorted(entry["series"].values(), key=str))

    return {
        **document,
        "months": sorted(document["months"], key=place),
        "outages": sorted(document["outages"], key=place),
    }


# --- reading values ---------------------------------------------------------------------------


def seconds(duration: str) -> int:
    """A duration as the configuration writes it (`30s`, `5m`, `2h`, `10d`), in seconds."""
    return int(duration[:-1]) * UNITS[duration[-1]]


def instant(text: str | datetime) -> int:
    """An ISO 8601 instant with an offset, in seconds since 1970."""
    moment = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    if moment.tzinfo is None or moment.microsecond:
        raise ValueError(f"{text}: not a whole second with an offset")
    return int(moment.timestamp())


def written(t: int) -> str:
    """An instant as the contract writes it."""
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def midnight(day: str | date) -> int:
    """00:00 in the UK on that date."""
    value = day if isinstance(day, date) else date.fromisoformat(day)
    return int(datetime.combine(value, clock_time(0), LONDON).timestamp())


def uk_date(t: int) -> date:
    """The date in the UK at that instant."""
    return datetime.fromtimestamp(t, LONDON).date()


def number(value: Fraction) -> int | float:
    """Seconds as JSON writes them: whole where they are whole."""
    return int(value) if value.denominator == 1 else float(value)


def ratio(value: Fraction | None) -> str | None:
    """An exact ratio as a decimal string, rounded down to 9 places, without trailing zeros."""
    if value is None:
        return None
    billionths = value.numerator * 10**9 // value.denominator
    whole, rest = divmod(billionths, 10**9)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


# --- what the configuration and the facts say ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Endpoint:
    id: str
    service: str
    live: bool
    group: str
    connected: int | None
    disconnected: int | None
    interval: int
    gap_after: int
    confirm_down: int
    confirm_up: int

    def eligible(self, t: int) -> bool:
        """Accounting 6: live, from the connection date to disconnection."""
        if not self.live or self.connected is None or t < self.connected:
            return False
        return self.disconnected is None or t < self.disconnected


@dataclass(frozen=True, slots=True)
class _Serves:
    guid: str
    endpoints: tuple[str, ...]
    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class _Observation:
    at: int
    result: str


@dataclass(frozen=True, slots=True)
class _ProbedOutage:
    start: int
    end: int | None
    confirmed: int


@dataclass(frozen=True, slots=True)
class _Version:
    recorded: int
    notified: int | None
    start: int
    end: int
    kind: str
    ticket: str | None
    endpoints: tuple[str, ...] | None
    holdernames: tuple[str, ...] | None
    services: tuple[str, ...] | None

    def window_has(self, t: int) -> bool:
        return self.start <= t < self.end


@dataclass(frozen=True, slots=True)
class _Assertion:
    id: str
    first_known: int
    start: int
    end: int | None
    holdernames: tuple[str, ...]
    services: tuple[str, ...]

    def has(self, t: int) -> bool:
        return self.start <= t and (self.end is None or t < self.end)


@dataclass(frozen=True, slots=True, order=True)
class _Series:
    """Of an endpoint (`service` empty) or of a holdername and service."""

    of_holdername: bool
    name: str
    service: str = ""

    def written(self) -> Document:
        if self.of_holdername:
            return {"holdername": self.name, "service": self.service}
        return {"endpoint": self.name}


@dataclass(frozen=True, slots=True)
class _Outage:
    """A maximal run of grid instants of one series; `end` None while it is open."""

    instants: tuple[int, ...]
    end: int | None


@dataclass(frozen=True, slots=True)
class _Need:
    """One outage that needs an incident, from the first instant that does."""

    start: int
    end: int | None
    series: _Series
    kind: str
    declaration: str | None
    detected: int


def _read_endpoint(entry: Document, config: Document) -> _Endpoint:
    places = (entry, config.get("defaults") or {}, config.get("slo") or {})

    def setting(key: str, default: Any) -> Any:
        return next((place[key] for place in places if place.get(key) is not None), default)

    interval = seconds(setting("interval", "30s"))
    timeout = seconds(setting("timeout", "15s"))
    gap_after = setting("gap_after", None)
    connected, disconnected = entry.get("connected_from"), entry.get("disconnected_on")
    return _Endpoint(
        id=entry["id"],
        service=entry["service"],
        live=entry["environment"] == "live",
        group=entry.get("group") or urlsplit(entry["url"]).hostname or "",
        connected=None if connected is None else midnight(connected),
        disconnected=None if disconnected is None else midnight(disconnected),
        interval=interval,
        gap_after=2 * interval + timeout if gap_after is None else seconds(gap_after),
        confirm_down=setting("confirm_down", 3),
        confirm_up=setting("confirm_up", 2),
    )


def _read_serves(config: Document) -> list[_Serves]:
    found = []
    for holdername in config.get("holdernames") or []:
        for entry in holdername.get("serves") or []:
            end = entry.get("until")
            found.append(
                _Serves(
                    guid=holdername["guid"],
                    endpoints=tuple(entry["endpoints"]),
                    start=midnight(entry["from"]),
                    end=None if end is None else midnight(end),
                )
            )
    return found


def _read_chains(facts: list[Document]) -> tuple[dict[str, list[_Version]], dict[str, int]]:
    """Every declaration's versions in the order recorded, and when it was cancelled.

    Accounting 4.1: an amendment changes the fields it names and keeps the others; only
    `notified_at` is never kept. What is recorded after a cancellation has no effect.
    """
    chains: dict[str, list[_Version]] = {}
    fields: dict[str, Document] = {}
    cancelled: dict[str, int] = {}
    for fact in facts:
        kind, chain = fact["type"], fact.get("id", "")
        if kind == "declaration":
            if chain in chains:
                raise ValueError(f"{chain}: declared twice")
            chains[chain], fields[chain] = [], {}
        elif kind not in ("amendment", "cancellation", "completion"):
            continue
        if chain not in chains:
            raise ValueError(f"{chain}: not declared by any earlier fact")
        if chain in cancelled or kind == "completion":
            continue
        if kind == "cancellation":
            cancelled[chain] = instant(fact["at"])
            continue
        kept = {key: value for key, value in fields[chain].items() if key != "notified_at"}
        fields[chain] = {**kept, **fact}
        chains[chain].append(_version(fields[chain]))
    return chains, cancelled


def _version(fields: Document) -> _Version:
    def names(key: str) -> tuple[str, ...] | None:
        return None if fields.get(key) is None else tuple(fields[key])

    notified = fields.get("notified_at")
    return _Version(
        recorded=instant(fields["at"]),
        notified=None if notified is None else instant(notified),
        start=instant(fields["start"]),
        end=instant(fields["end"]),
        kind=fields["kind"],
        ticket=fields.get("ticket"),
        endpoints=names("endpoints"),
        holdernames=names("holdernames"),
        services=names("services"),
    )


def _read_assertions(facts: list[Document]) -> list[_Assertion]:
    """Accounting 3: the latest assertion of an id counts, unless it was withdrawn."""
    first_known: dict[str, int] = {}
    standing: dict[str, _Assertion] = {}
    for fact in facts:
        if fact["type"] == "assertion":
            at = first_known.setdefault(fact["id"], instant(fact["at"]))
            end = fact.get("end")
            standing[fact["id"]] = _Assertion(
                id=fact["id"],
                first_known=at,
                start=instant(fact["start"]),
                end=None if end is None else instant(end),
                holdernames=tuple(fact["holdernames"]),
                services=tuple(fact["services"]),
            )
        elif fact["type"] == "withdrawal":
            if fact["id"] not in first_known:
                raise ValueError(f"{fact['id']}: not asserted by any earlier fact")
            standing.pop(fact["id"], None)
    return list(standing.values())


def _read_observations(facts: list[Document]) -> dict[str, list[_Observation]]:
    """Observations by endpoint, in order; of two at one instant the first counts."""
    found: dict[str, list[_Observation]] = {}
    for fact in facts:
        if fact["type"] != "observation":
            continue
        seen = found.setdefault(fact["endpoint"], [])
        at = instant(fact["at"])
        if not seen or seen[-1].at != at:
            seen.append(_Observation(at, fact["result"]))
    return found


def _probed_outages(endpoint: _Endpoint, observations: list[_Observation]) -> list[_ProbedOutage]:
    """Accounting 2.3 and 2.4: confirmed runs of failures, to the first of the confirmed `up`s."""
    found: list[_ProbedOutage] = []
    failures: list[int] = []
    recoveries: list[int] = []
    in_outage = False
    for seen in observations:
        if seen.result == "local":
            continue
        if seen.result in FAILING:
            recoveries = []
            failures.append(seen.at)
            if not in_outage and len(failures) == endpoint.confirm_down:
                in_outage = True
                found.append(_ProbedOutage(failures[0], None, seen.at))
        elif in_outage:
            recoveries.append(seen.at)
            if len(recoveries) == endpoint.confirm_up:
                found[-1] = _ProbedOutage(found[-1].start, recoveries[0], found[-1].confirmed)
                in_outage, failures, recoveries = False, [], []
        else:
            failures = []
    return found


# --- one endpoint, instant by instant -----------------------------------------------------------


class _Watched:
    """What the observations of one endpoint say of every instant of the grid."""

    def __init__(self, endpoint: _Endpoint, seen: list[_Observation], grid: range) -> None:
        self.endpoint = endpoint
        self.grid = grid
        self.until = grid[-1]
        self.in_force = self._observations_in_force(seen)
        judged = [observation for observation in seen if observation.result != "local"]
        self.last_failing = self._last_failing(judged)
        self.suspect = self._suspect(judged)
        self.outages: dict[int, _ProbedOutage] = {}
        for outage in _probed_outages(endpoint, seen):
            end = self.until + grid.step if outage.end is None else outage.end
            for t in self._instants(outage.start, end):
                self.outages[t] = outage

    def _instants(self, start: int, end: int) -> Iterable[int]:
        """The instants of the grid from `start` up to, not including, `end`."""
        first = max(start, self.grid[0])
        return range(first, min(end, self.until + self.grid.step), self.grid.step)

    def _observations_in_force(self, seen: list[_Observation]) -> dict[int, str]:
        """Accounting 2.1: what holds at each instant; an instant without an entry is a gap."""
        found: dict[int, str] = {}
        for position, observation in enumerate(seen):
            following = seen[position + 1].at if position + 1 < len(seen) else self.until
            end = following
            if following - observation.at > self.endpoint.gap_after:
                end = min(observation.at + self.endpoint.interval, following)
            for t in self._instants(observation.at, end):
                found[t] = observation.result
        return found

    def _last_failing(self, judged: list[_Observation]) -> dict[int, str]:
        """Accounting 2.6: what the latest failing observation said, at each instant."""
        failing = [observation for observation in judged if observation.result in FAILING]
        found: dict[int, str] = {}
        for position, observation in enumerate(failing):
            last = position + 1 == len(failing)
            end = self.until + self.grid.step if last else failing[position + 1].at
            for t in self._instants(observation.at, end):
                found[t] = observation.result
        return found

    def _suspect(self, judged: list[_Observation]) -> set[int]:
        """Instants at which the latest judged observation failed."""
        found: set[int] = set()
        for position, observation in enumerate(judged):
            last = position + 1 == len(judged)
            end = self.until + self.grid.step if last else judged[position + 1].at
            if observation.result in FAILING:
                found.update(self._instants(observation.at, end))
        return found

    def state(self, t: int) -> str:
        """Accounting 2.8, `unknown` before anything else."""
        if self.in_force.get(t, "local") == "local":
            return "unknown"
        if t in self.outages:
            return self.last_failing[t]
        return "unconfirmed" if t in self.suspect else "up"


# --- the whole case -----------------------------------------------------------------------------


class _Case:
    def __init__(self, config: Document, facts: list[Document], until: datetime, step: int) -> None:
        self.step = step
        self.until = instant(until)
        self.slo: Document = config.get("slo") or {}
        zone = self.slo.get("slo_zone") or self.slo.get("zone") or "Europe/London"
        self.zone = ZoneInfo(zone)
        self.objective = Fraction(str(self.slo.get("objective", "0.995")))
        self.bank_holidays: dict[int, set[date]] = {}
        entries = [_read_endpoint(entry, config) for entry in config.get("endpoints") or []]
        self.endpoints = {endpoint.id: endpoint for endpoint in entries}
        self.serves = _read_serves(config)
        known = [fact for fact in facts if instant(fact["at"]) <= self.until]
        known.sort(key=lambda fact: instant(fact["at"]))
        self._check_grid(known)
        self.chains, self.cancelled = _read_chains(known)
        self.assertions = _read_assertions(known)
        self.grid = self._grid()
        seen = _read_observations(known)
        self.watched = {
            endpoint.id: _Watched(endpoint, seen.get(endpoint.id, []), self.grid)
            for endpoint in entries
            if endpoint.live
        }
        self.notice_memo: dict[Any, dict[int, tuple[int, bool]]] = {}
        self.serving_memo: dict[tuple[str, str, date], list[_Endpoint]] = {}
        self.states: dict[_Series, dict[int, str]] = {}
        self.classes: dict[_Series, dict[int, str]] = {}
        self.covering: dict[_Series, dict[int, list[str]]] = {}
        self.outages: dict[_Series, list[_Outage]] = {}
        for series in self.all_series():
            self._walk(series)

    def _check_grid(self, facts: list[Document]) -> None:
        for fact in facts:
            for key in ("at", "start", "end", "notified_at"):
                if fact.get(key) is not None and instant(fact[key]) % self.step:
                    raise ValueError(f"{key} {fact[key]} is not a multiple of {self.step} s")
        for endpoint in self.endpoints.values():
            if endpoint.interval % self.step:
                raise ValueError(f"interval of {endpoint.id} is not a multiple of {self.step} s")
        if self.until % self.step or HOUR % self.step:
            raise ValueError(f"until, or an hour, is not a multiple of {self.step} s")

    def _grid(self) -> range:
        """Every instant from the first eligible one to `until`, which itself lasts no time."""
        live = [endpoint for endpoint in self.endpoints.values() if endpoint.live]
        starts = [endpoint.connected for endpoint in live if endpoint.connected is not None]
        first = min([*starts, self.until])
        return range(first, self.until + self.step, self.step)

    def all_series(self) -> list[_Series]:
        """Accounting 1: live endpoints; holdernames by service that a live endpoint gives them."""
        live = [endpoint for endpoint in self.endpoints.values() if endpoint.live]
        found = {_Series(False, endpoint.id) for endpoint in live}
        for entry in self.serves:
            for endpoint in live:
                if endpoint.id in entry.endpoints:
                    found.add(_Series(True, entry.guid, endpoint.service))
        return sorted(found)

    # - the mapping

    def _services_of(self, entry: _Serves) -> set[str]:
        return {self.endpoints[name].service for name in entry.endpoints}

    def _entries(self, guid: str, service: str, t: int) -> list[_Serves]:
        """Entries in force: begun, not ended, and no later one begun for that service."""
        begun = [
            entry
            for entry in self.serves
            if entry.guid == guid and service in self._services_of(entry) and entry.start <= t
        ]
        return [
            entry
            for entry in begun
            if (entry.end is None or t < entry.end)
            and not any(other.start > entry.start for other in begun)
        ]

    def mapped(self, guid: str, service: str, t: int) -> list[_Endpoint]:
        """Endpoints of that service that the mapping gives the holdername at t."""
        key = (guid, service, uk_date(t))
        if key not in self.serving_memo:
            names = {name for entry in self._entries(guid, service, t) for name in entry.endpoints}
            self.serving_memo[key] = [
                endpoint
                for endpoint in self.endpoints.values()
                if endpoint.id in names and endpoint.service == service
            ]
        return self.serving_memo[key]

    def serving(self, series: _Series, t: int) -> list[_Endpoint]:
        """The eligible live endpoints that a series is about at t."""
        if series.of_holdername:
            candidates = self.mapped(series.name, series.service, t)
        else:
            candidates = [self.endpoints[series.name]]
        return [endpoint for endpoint in candidates if endpoint.eligible(t)]

    def active(self, endpoint: _Endpoint, t: int) -> set[str]:
        """The holdernames that the mapping puts at that endpoint at t, once it is connected."""
        if not endpoint.eligible(t):
            return set()
        guids = {entry.guid for entry in self.serves}
        return {guid for guid in guids if endpoint in self.mapped(guid, endpoint.service, t)}

    # - declarations

    def _takes_effect(self, version: _Version) -> int | None:
        """Accounting 4.1: when a version counts from; None for a draft."""
        if version.notified is None:
            return None
        if self.slo.get("late_records", "reject") == "accept" and version.ticket:
            return version.notified
        return max(version.recorded, version.notified)

    def _in_effect(self, chain: str, t: int) -> list[_Version]:
        """The versions that have taken effect by t, in chain order; the last is in force."""
        if chain in self.cancelled and self.cancelled[chain] <= t:
            return []
        found = []
        for version in self.chains[chain]:
            effect = self._takes_effect(version)
            if effect is not None and effect <= t:
                found.append(version)
        return found

    def _in_scope(self, version: _Version, series: _Series, t: int) -> bool:
        """Accounting 4.5."""
        serving = self.serving(series, t)
        service = series.service if series.of_holdername else self.endpoints[series.name].service
        if version.services is not None and service not in version.services:
            return False
        named = version.endpoints
        if named is not None and not any(endpoint.id in named for endpoint in serving):
            return False
        if version.holdernames is None:
            return True
        if series.of_holdername:
            return series.name in version.holdernames
        active = self.active(self.endpoints[series.name], t)
        return bool(active) and all(guid in version.holdernames for guid in active)

    def coverage(self, chain: str, series: _Series, t: int) -> str | None:
        """What a declaration makes of that instant: `declared`, `declared_short_notice` or None."""
        versions = self._in_effect(chain, t)
        if not versions:
            return None
        in_force = versions[-1]
        in_scope = [self._in_scope(version, series, t) for version in versions]
        if not (in_scope[-1] and in_force.window_has(t)):
            return None
        if in_force.kind == "maps":
            return "declared"
        if in_force.kind == "emergency":
            return "declared_short_notice"
        enough = self._notices(versions, in_scope, t)
        return "declared" if enough else "declared_short_notice"

    def _notices(self, versions: list[_Version], in_scope: list[bool], t: int) -> bool:
        """Accounting 4.2: whether instant t of the window in force had enough notice.

        The window is walked from its start, so that at each instant we know where the part that
        shares its notification began. Scope is judged at t, the window at each instant.
        """
        key = (tuple(versions), tuple(in_scope))
        if key not in self.notice_memo:
            judged: dict[int, tuple[int, bool]] = {}
            start, previous = versions[-1].start, None
            for x in range(versions[-1].start, versions[-1].end, self.step):
                notified = _notification(versions, in_scope, x)
                if notified == previous:
                    judged[x] = judged[x - self.step]
                else:
                    start, previous = x, notified
                    judged[x] = (start, self.enough_notice(notified, start))
            self.notice_memo[key] = judged
        return self.notice_memo[key][t][1]

    def working_day(self, day: date) -> bool:
        """Accounting 4.3: Monday to Friday, not a bank holiday of the calendar."""
        if day.year not in self.bank_holidays:
            days: set[date] = set()
            for subdivision in SUBDIVISIONS[self.slo.get("notice_calendar", "any-uk")]:
                days |= set(holidays.country_holidays("GB", subdiv=subdivision, years=day.year))
            self.bank_holidays[day.year] = days
        return day.weekday() < 5 and day not in self.bank_holidays[day.year]

    def enough_notice(self, notified: int, start: int) -> bool:
        """Accounting 4.3, counting working days one by one."""
        told = datetime.fromtimestamp(notified, LONDON)
        cutoff = clock_time.fromisoformat(self.slo.get("notice_cutoff", "17:00"))
        day = told.date()
        if told.time() >= cutoff or not self.working_day(day):
            day += timedelta(days=1)
            while not self.working_day(day):
                day += timedelta(days=1)
        last = uk_date(start)
        if self.slo.get("notice_method", "clear") == "clear":
            last -= timedelta(days=1)
        between = 0
        day += timedelta(days=1)
        while day <= last:
            between += self.working_day(day)
            day += timedelta(days=1)
        return between >= int(self.slo.get("notice_days", 5))

    # - one series, instant by instant

    def asserted(self, series: _Series, t: int) -> bool:
        return any(self._asserts(assertion, series, t) for assertion in self.assertions)

    def _asserts(self, assertion: _Assertion, series: _Series, t: int) -> bool:
        return (
            series.of_holdername
            and series.name in assertion.holdernames
            and series.service in assertion.services
            and assertion.has(t)
        )

    def state(self, series: _Series, t: int) -> str:
        """The worst state of the endpoints that serve the series; asserted time is `down`."""
        if self.asserted(series, t):
            return "down"
        states = [self.watched[endpoint.id].state(t) for endpoint in self.serving(series, t)]
        return max(states, key=BEST_TO_WORST.index)

    def probed_out(self, series: _Series, t: int) -> bool:
        serving = self.serving(series, t)
        return any(t in self.watched[endpoint.id].outages for endpoint in serving)

    def in_outage(self, series: _Series, t: int) -> bool:
        if not self.serving(series, t):
            return False
        return self.asserted(series, t) or self.probed_out(series, t)

    def _walk(self, series: _Series) -> None:
        """The state of every eligible instant; outages as runs of instants; their classes."""
        self.states[series] = {
            t: self.state(series, t) for t in self.grid[:-1] if self.serving(series, t)
        }
        self.outages[series] = self._runs(t for t in self.grid if self.in_outage(series, t))
        self.classes[series], self.covering[series] = {}, {}
        for outage in self.outages[series]:
            self._classify(series, outage)

    def _runs(self, instants: Iterable[int]) -> list[_Outage]:
        """Maximal runs of grid instants. A run that has `until` in it is open."""
        runs: list[list[int]] = []
        for t in instants:
            if runs and runs[-1][-1] == t - self.step:
                runs[-1].append(t)
            else:
                runs.append([t])
        found = []
        for run in runs:
            is_open = run[-1] == self.until
            lasting = tuple(t for t in run if t < self.until)
            if lasting:
                found.append(_Outage(lasting, None if is_open else lasting[-1] + self.step))
        return found

    def _classify(self, series: _Series, outage: _Outage) -> None:
        """Accounting 5, in order of precedence, `unknown` time apart."""
        covered_before = False
        for t in outage.instants:
            covers = {chain: self.coverage(chain, series, t) for chain in self.chains}
            covering = sorted(chain for chain, made in covers.items() if made is not None)
            if self.states[series][t] == "unknown":
                found = "unknown"
            elif "declared" in covers.values():
                found = "declared"
            elif covering:
                found = "declared_short_notice"
            else:
                found = "overrun" if covered_before else "undeclared"
            self.classes[series][t] = found
            self.covering[series][t] = covering
            covered_before = covered_before or bool(covering)

    # - the document

    def document(self) -> Document:
        return {
            "rules": 1,
            "until": written(self.until),
            "months": self._months(),
            "outages": self._outage_entries(),
            "incidents": self._incidents(),
        }

    def _outage_entries(self) -> list[Document]:
        found = []
        for series, outages in self.outages.items():
            for outage in outages:
                found.append((outage.instants[0], series, self._outage_entry(series, outage)))
        return [entry for _, _, entry in sorted(found, key=lambda item: item[:2])]

    def _outage_entry(self, series: _Series, outage: _Outage) -> Document:
        source = "probe"
        if any(self.asserted(series, t) for t in outage.instants):
            probed = any(self.probed_out(series, t) for t in outage.instants)
            source = "mixed" if probed else "asserted"
        parts: list[Document] = []
        for t in outage.instants:
            found = self.classes[series][t]
            if not parts or parts[-1]["class"] != found:
                if parts:
                    parts[-1]["end"] = written(t)
                parts.append({"class": found, "start": written(t), "end": None})
        end = None if outage.end is None else written(outage.end)
        parts[-1]["end"] = end
        return {
            "series": series.written(),
            "source": source,
            "start": written(outage.instants[0]),
            "end": end,
            "parts": parts,
        }

    # - months

    def _month_of(self, t: int) -> tuple[int, int]:
        local = datetime.fromtimestamp(t, self.zone)
        return local.year, local.month

    def _month_start(self, month: tuple[int, int]) -> int:
        return int(datetime(*month, 1, tzinfo=self.zone).timestamp())

    def _turns(self) -> list[int]:
        """Every instant at which anything may become eligible or cease to be."""
        found: set[int] = set()
        for endpoint in self.endpoints.values():
            found |= {t for t in (endpoint.connected, endpoint.disconnected) if t is not None}
        for entry in self.serves:
            found |= {t for t in (entry.start, entry.end) if t is not None}
        return sorted(found)

    def _listed_months(self, series: _Series) -> list[tuple[int, int]]:
        """Months with eligible time begun before `until`; if there is none yet, that of `until`."""
        turns = self._turns()
        begun = [t for t in turns if t < self.until and self.serving(series, t)]
        if not begun:
            return [self._month_of(self.until - 1)]
        found = []
        month = self._month_of(begun[0])
        while self._month_start(month) < self.until:
            start, end = self._month_start(month), self._month_start(_next(month))
            if any(self.serving(series, t) for t in [start, *turns] if start <= t < end):
                found.append(month)
            month = _next(month)
        return found

    def _months(self) -> list[Document]:
        listed = [
            (month, series) for series in self.outages for month in self._listed_months(series)
        ]
        return [self._month_entry(month, series) for month, series in sorted(listed)]

    def _month_entry(self, month: tuple[int, int], series: _Series) -> Document:
        start, end = self._month_start(month), self._month_start(_next(month))
        states, classes = self.states[series], self.classes[series]
        spent = dict.fromkeys(BEST_TO_WORST, 0)
        by_class = dict.fromkeys(CLASSES, 0)
        for t in states:
            if start <= t < end:
                spent[states[t]] += self.step
                if states[t] in FAILING:
                    by_class[classes[t]] += self.step
        # Eligibility turns at midnights only, so whole hours decide the length of the month.
        whole = HOUR * sum(bool(self.serving(series, hour)) for hour in range(start, end, HOUR))
        eligible = sum(spent.values())
        unavailable = spent["impaired"] + spent["down"]
        unknown, unconfirmed = spent["unknown"], spent["unconfirmed"]
        budget = (1 - self.objective) * whole
        best = _one_less(unavailable, eligible)
        worst = _one_less(unavailable + unconfirmed + unknown, eligible)
        declared = by_class["declared"]
        excluding = _one_less(unavailable - declared, eligible - unknown - declared)
        return {
            "month": f"{month[0]:04d}-{month[1]:02d}",
            "series": series.written(),
            "eligible_s": eligible,
            **{f"{state}_s": spent[state] for state in BEST_TO_WORST},
            "unavailable_s": unavailable,
            "by_class": by_class,
            "budget_s": number(budget),
            "remaining_s": number(budget - unavailable),
            "best": ratio(best),
            "worst": ratio(worst),
            "measured": ratio(_one_less(unavailable, eligible - unknown)),
            "excluding_declared": ratio(excluding),
            "verdict": self._verdict(end, best, worst, unavailable > budget),
        }

    def _verdict(
        self, month_end: int, best: Fraction | None, worst: Fraction | None, overspent: bool
    ) -> str:
        if best is None or worst is None:
            return "no_data"
        if month_end > self.until:
            return "missed" if overspent else "running"
        if worst >= self.objective:
            return "met"
        return "missed" if best < self.objective else "indeterminate"

    # - incidents

    def _incidents(self) -> list[Document]:
        needs: dict[tuple[str, str], list[_Need]] = {}
        for series, outages in self.outages.items():
            if not series.of_holdername:
                group = self.endpoints[series.name].group
                for outage in outages:
                    confirmed = self.watched[series.name].outages[outage.instants[0]].confirmed
                    self._need(needs, ("probe", group), series, outage, confirmed)
        for assertion in self.assertions:
            for series in self.outages:
                own = self._runs(
                    t
                    for t in self.grid
                    if self._asserts(assertion, series, t) and self.serving(series, t)
                )
                for outage in own:
                    key = ("assertion", assertion.id)
                    self._need(needs, key, series, outage, assertion.first_known)
        found = []
        for (source, group), list_of_needs in needs.items():
            # An assertion is a cause of its own: one incident, however its series come and go.
            one = [sorted(list_of_needs, key=_by_start)]
            for cluster in self._clusters(list_of_needs) if source == "probe" else one:
                found.append(self._incident(source, group, cluster))
        found.sort(key=lambda entry: (entry["detected_at"], entry["started_at"], entry["group"]))
        return [{"id": f"I-{place}", **entry} for place, entry in enumerate(found, start=1)]

    def _need(
        self,
        needs: dict[tuple[str, str], list[_Need]],
        key: tuple[str, str],
        series: _Series,
        outage: _Outage,
        known: int,
    ) -> None:
        """Accounting 7.1: note the outage, from its first instant that needs an incident."""
        classes, covering = self.classes[series], self.covering[series]
        needing = [t for t in outage.instants if classes[t] in NEEDS_INCIDENT]
        if not needing:
            return
        first = needing[0]
        names: list[str] = []
        if classes[first] == "declared_short_notice":
            names = covering[first]
        elif classes[first] == "overrun":
            t = first
            while not covering[t]:
                t -= self.step
            names = covering[t]
        short = classes[first] == "declared_short_notice"
        needs.setdefault(key, []).append(
            _Need(
                start=first,
                end=outage.end,
                series=series,
                kind="emergency_fix" if short else "outage",
                declaration=names[0] if names else None,
                detected=max(first, known),
            )
        )

    def _clusters(self, needs: list[_Need]) -> list[list[_Need]]:
        """Accounting 7.2: needs of one group that overlap, or lie within the quiet period."""
        quiet = seconds(self.slo.get("quiet_period", "10m"))
        clusters: list[list[_Need]] = []
        for need in sorted(needs, key=_by_start):
            reach = [other.end for other in clusters[-1]] if clusters else []
            if reach and any(end is None or need.start - end <= quiet for end in reach):
                clusters[-1].append(need)
            else:
                clusters.append([need])
        return clusters

    def _incident(self, source: str, group: str, cluster: list[_Need]) -> Document:
        started = cluster[0].start
        ends = [need.end for need in cluster if need.end is not None]
        restored = max(ends) if len(ends) == len(cluster) else None
        during = range(started, self.until if restored is None else restored, self.step)
        named = self._probe_names if source == "probe" else self._assertion_names
        endpoints, holdernames = named(group, cluster, during)
        return {
            "kind": cluster[0].kind,
            "state": "open" if restored is None else "restored",
            "group": group,
            "started_at": written(started),
            "detected_at": written(min(need.detected for need in cluster)),
            "restored_at": None if restored is None else written(restored),
            "endpoints": sorted(endpoints),
            "holdernames": sorted(holdernames),
            "declaration": cluster[0].declaration,
        }

    def _probe_names(
        self, _group: str, cluster: list[_Need], during: range
    ) -> tuple[set[str], set[str]]:
        endpoints = {need.series.name for need in cluster}
        holdernames: set[str] = set()
        for day_start in self._one_a_day(during):
            for name in endpoints:
                holdernames |= self.active(self.endpoints[name], day_start)
        return endpoints, holdernames

    def _assertion_names(
        self, group: str, cluster: list[_Need], during: range
    ) -> tuple[set[str], set[str]]:
        assertion = next(one for one in self.assertions if one.id == group)
        series = [
            one
            for one in self.outages
            if one.of_holdername
            and one.name in assertion.holdernames
            and one.service in assertion.services
        ]
        endpoints = {
            endpoint.id
            for t in self._one_a_day(during)
            for one in series
            for endpoint in self.serving(one, t)
        }
        return endpoints, {need.series.name for need in cluster}

    def _one_a_day(self, during: range) -> list[int]:
        """The first instant of each UK date: mapping and eligibility turn at midnight only."""
        first: dict[date, int] = {}
        for t in during:
            first.setdefault(uk_date(t), t)
        return list(first.values())


def _notification(versions: list[_Version], in_scope: list[bool], x: int) -> int:
    """Accounting 4.2: `notified_at` of the earliest of the unbroken run that includes x."""
    found = versions[-1]
    for version, scoped in zip(reversed(versions), reversed(in_scope), strict=True):
        if not (scoped and version.window_has(x)):
            break
        found = version
    if found.notified is None:
        raise ValueError("a draft is never in effect")
    return found.notified


def _by_start(need: _Need) -> tuple[int, _Series]:
    return need.start, need.series


def _next(month: tuple[int, int]) -> tuple[int, int]:
    year, number_of_month = month
    return (year + 1, 1) if number_of_month == 12 else (year, number_of_month + 1)


def _one_less(part: int, whole: int) -> Fraction | None:
    """1 - part / whole; None where there is no whole."""
    return 1 - Fraction(part, whole) if whole else None
