"""Random small cases: a configuration, facts and an `until`, all on one grid.

The eligible time of a case is short (a few hundred to a few thousand grid steps) and begins on a
connection date; declarations reach back weeks, so that notice matters. Outages are planned first,
per group, and everything else is laid around them: windows that start before, within and after
them, amendments in their midst, assertions over them, gaps and stray results inside them.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Document = dict[str, Any]
LONDON = ZoneInfo("Europe/London")
SERVICES = ("find", "view", "pat-refresh")
# Clock changes, month and year ends, days after bank holidays of one or every part of the UK.
# fmt: off
NOTABLE_DAYS = (
    "2025-12-31", "2026-01-01", "2026-01-06", "2026-02-28", "2026-03-18", "2026-03-28",
    "2026-03-29", "2026-03-31", "2026-04-07", "2026-04-30", "2026-05-05", "2026-05-26",
    "2026-07-14", "2026-07-31", "2026-08-04", "2026-09-01", "2026-10-24", "2026-10-25",
    "2026-10-31", "2026-12-01", "2026-12-29", "2026-12-31",
)
# fmt: on


def random_case(rng: random.Random, *, step: int) -> tuple[Document, list[Document], datetime]:
    """A configuration, the lines of a facts file in order of `at`, and when to account.

    `step` divides an hour; every instant of the facts, every interval and `until` is a multiple of
    it. The configuration holds plain values only (dates as strings), so it can be written as JSON.
    """
    case = _Generator(rng, step)
    return case.config, case.facts, _moment(case.until)


def _moment(t: int) -> datetime:
    return datetime.fromtimestamp(t, UTC)


def _written(t: int) -> str:
    return _moment(t).strftime("%Y-%m-%dT%H:%M:%SZ")


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=LONDON).timestamp())


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A span in which the endpoints of a group mostly fail."""

    start: int
    end: int


class _Generator:
    def __init__(self, rng: random.Random, step: int) -> None:
        self.rng = rng
        self.step = step
        self.day = self._first_day()
        self.start = _midnight(self.day)
        month_end = _midnight(_next_month(self.day))
        to_the_end = self.start + 3600 * step > month_end and self.chance(0.7)
        few, many = rng.randint(300, 1500), rng.randint(1450, 3600)
        self.until = self.start + step * (many if to_the_end else rng.choice((few, many)))
        if self.start < month_end < self.until and rng.random() < 0.3:
            self.until = month_end
        self.config = self._config()
        self.trouble = {group: self._troubles() for group in sorted(self._groups())}
        if self.chance(0.3):
            self.until = self._amid_trouble()
        self.serial = 0
        facts: list[Document] = []
        for endpoint in self.config["endpoints"]:
            facts += [] if self.chance(0.04) else self._observations(endpoint)
        for _ in range(rng.choice((0, 1, 2, 3, 4, 5))):
            facts += self._declaration()
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            facts += self._assertion()
        self.facts = sorted(facts, key=lambda fact: str(fact["at"]))

    # - small helpers

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def grid(self, t: float) -> int:
        return int(t) // self.step * self.step

    def between(self, low: int, high: int) -> int:
        return self.grid(self.rng.randint(low, max(low, high)))

    def some(self, names: list[str]) -> list[str]:
        return self.rng.sample(names, self.rng.randint(1, len(names)))

    def a_day(self, *offsets: int) -> str:
        return (self.day + timedelta(days=self.rng.choice(offsets))).isoformat()

    def _first_day(self) -> date:
        if self.chance(0.7):
            return date.fromisoformat(self.rng.choice(NOTABLE_DAYS))
        return date(2026, 1, 1) + timedelta(days=self.rng.randrange(365))

    # - configuration

    def _config(self) -> Document:
        rng = self.rng
        slo: Document = {"objective": rng.choice((0.995, 0.995, 0.99, 0.9, 0.8))}
        slo["zone"] = "Europe/London"
        choices: dict[str, tuple[Any, ...]] = {
            "notice_days": (5, 3, 1),
            "notice_method": ("clear", "inclusive_start"),
            "notice_cutoff": ("17:00", "12:00"),
            "notice_calendar": ("any-uk", "england-and-wales"),
            "late_records": ("accept", "reject"),
            "quiet_period": ("10m", "1m", "30m"),
        }
        for key, values in choices.items():
            if self.chance(0.3):
                slo[key] = rng.choice(values)
        endpoints = [self._endpoint(number, "live") for number in range(rng.randint(1, 4))]
        if self.chance(0.3):
            endpoints.append(self._endpoint(len(endpoints), "test"))
        return {
            "organisation": {"name": "Example Administration Ltd", "connection": "federated"},
            "slo": slo,
            "identities": {
                "live": {"pack": "live-pack", "trust": "system"},
                "test": {"pack": "test-pack", "trust": "system"},
            },
            "defaults": self._cadence(),
            "endpoints": endpoints,
            "holdernames": self._holdernames(endpoints),
        }

    def _cadence(self) -> Document:
        """Intervals on the grid; time-outs need not be."""
        interval = self.step * self.rng.choice((1, 1, 2, 3, 5))
        while interval < 20:
            interval += self.step
        return {
            "interval": f"{interval}s",
            "timeout": self.rng.choice(("15s", "12s", "20s")),
            "confirm_down": self.rng.choice((3, 3, 2, 1, 4)),
            "confirm_up": self.rng.choice((2, 2, 1, 3)),
        }

    def _endpoint(self, number: int, environment: str) -> Document:
        rng = self.rng
        service = rng.choice(SERVICES)
        host = rng.choice(("a.pensions.example", "b.pensions.example"))
        entry: Document = {
            "id": f"{service}-{number}",
            "service": service,
            "url": f"https://{host}/{service}/{number}",
            "environment": environment,
            "identity": environment,
            "connected_from": self.day.isoformat(),
        }
        if number and self.chance(0.25):
            entry["connected_from"] = self.a_day(1, 1, 40)
        elif self.chance(0.15):
            entry["disconnected_on"] = self.a_day(1, 2)
        if self.chance(0.4):
            entry["group"] = rng.choice(("dc-east", "dc-west"))
        if self.chance(0.3):
            entry.update(self._cadence())
        return entry

    def _holdernames(self, endpoints: list[Document]) -> list[Document]:
        live = [one["id"] for one in endpoints if one["environment"] == "live"]
        return [
            {
                "guid": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
                "name": f"Example Pension Scheme {number}",
                "serves": self._serves(live),
            }
            for number in range(self.rng.randint(0, 3))
        ]

    def _serves(self, names: list[str]) -> list[Document]:
        entries: list[Document] = [{"endpoints": self.some(names), "from": self.a_day(-30, 0, 0)}]
        if self.chance(0.3):
            entries[0]["until"] = self.a_day(1, 2)
        if self.chance(0.4):
            entries.append({"endpoints": self.some(names), "from": self.a_day(1, 1, 2)})
        return entries

    def _groups(self) -> set[str]:
        return {_group(endpoint) for endpoint in self.config["endpoints"]}

    # - observations

    def _troubles(self) -> list[_Trouble]:
        """Spans of failure, short and long, some near each other, some still going on."""
        found = []
        if self.chance(0.3):
            turn = _midnight(self.day + timedelta(days=1))
            around = self.step * self.rng.randint(1, 40)
            found.append(_Trouble(turn - around, turn + around))
        t = self.start + self.step * self.rng.randint(-60, 400)
        while t < self.until:
            length = self.step * self.rng.choice((1, 2, 4, 8, 15, 30, 60, 120))
            found.append(_Trouble(t, t + length))
            t += length + self.step * self.rng.choice((2, 5, 9, 20, 200, 500, 900))
            if self.chance(0.3):
                break
        return found

    def _amid_trouble(self) -> int:
        """An `until` in a trouble or shortly after it, where there is one in time."""
        troubles = [one for group in sorted(self.trouble) for one in self.trouble[group]]
        amid = [
            self.between(one.start + self.step, one.end + 6 * self.step)
            for one in troubles
            if self.start + 100 * self.step < one.start < self.until
        ]
        return min(self.until, self.rng.choice(amid)) if amid else self.until

    def _observations(self, endpoint: Document) -> list[Document]:
        rng = self.rng
        cadence = {**self.config["defaults"], **endpoint}
        interval = int(cadence["interval"][:-1])
        untidy = rng.choice((0.0, 0.0, 0.002, 0.01))
        spared = self.chance(0.3)
        t = self.start - self.grid(interval * rng.randint(0, 5)) + self.step * rng.randint(0, 3)
        found: list[Document] = []
        while t < self.until + 5 * interval:
            found.append(self._observation(endpoint, t, untidy, spared))
            if self.chance(untidy):
                found.append(self._observation(endpoint, t, untidy, spared))
            failing = found[-1]["result"] in ("down", "impaired")
            t += self.step if failing and self.chance(0.5) else interval
            if self.chance(untidy):
                t += self.step * rng.choice((1, 1, 2, 3, 10, 40))
        return found

    def _observation(self, endpoint: Document, t: int, untidy: float, spared: bool) -> Document:
        result = "up"
        troubled = any(one.start <= t < one.end for one in self.trouble[_group(endpoint)])
        if troubled and not spared:
            weights = (70, 14, 10, 6)
            result = self.rng.choices(("down", "impaired", "up", "local"), weights)[0]
        elif self.chance(untidy):
            result = self.rng.choice(("down", "impaired", "local"))
        reasons = {"up": "ok", "impaired": "slow", "down": "status_5xx", "local": "local_network"}
        return {
            "type": "observation",
            "at": _written(t),
            "endpoint": endpoint["id"],
            "result": result,
            "reason": reasons[result],
        }

    # - declarations

    def _a_span(self) -> _Trouble:
        """A span to lay something over: a trouble of some group, or any time at all."""
        every = [one for group in sorted(self.trouble) for one in self.trouble[group]]
        known = [one for one in every if self.start < one.end and one.start < self.until]
        if known and self.chance(0.95):
            return self.rng.choices(known, [one.end - one.start for one in known])[0]
        start = self.between(self.start, self.until)
        return _Trouble(start, start + 60 * self.step)

    def _window(self) -> tuple[int, int]:
        """Before, through, past, within or around the span; at times from the day before."""
        span = self._a_span()
        length = span.end - span.start
        start = self.grid(span.start + length * self.rng.choice((-1.5, -0.5, -0.1, 0, 0, 0.3)))
        end = self.grid(span.end + length * self.rng.choice((-0.4, -0.2, 0, 0.1, 0.5, 3)))
        if self.chance(0.2):
            day = datetime.fromtimestamp(start, LONDON).date()
            start = _midnight(day) + self.grid(60 * self.rng.choice((-300, -30, 0, 30)))
        return start, max(end, start + self.step)

    def _told(self, start: int, end: int) -> tuple[int, int | None]:
        """When a window was recorded, and when MaPS was told (None: not yet)."""
        rng = self.rng
        shape = rng.choice(("ample",) * 4 + ("close",) * 5 + ("late", "during", "ahead", "draft"))
        if shape == "close":
            told = self._near_the_limit(start)
        elif shape == "late":
            told = self.grid(start - rng.randint(1, 3 * 86400))
        elif shape == "during":
            told = self.between(start, end + 20 * self.step)
        else:
            told = self.grid(start - rng.randint(12, 25) * 86400 + rng.randint(0, 86400))
        if shape == "draft":
            return told, None
        if shape == "ahead":
            return told - 86400, told
        if self.chance(0.2):
            return max(told, self.between(start - 30 * self.step, end + 30 * self.step)), told
        return told, told

    def _near_the_limit(self, start: int) -> int:
        """About five working days before, near five o'clock."""
        day = datetime.fromtimestamp(start, LONDON).date()
        days = int(self.config["slo"].get("notice_days", 5))
        day -= timedelta(days=days + self.rng.choice((1, 2, 3, 3, 3, 4, 5, 6, 7)))
        minutes = 60 * self.rng.choice((9, 12, 17, 17)) + self.rng.choice((-1, 0, 0, 1))
        return self.grid(_midnight(day) + 60 * minutes)

    def _scope(self) -> Document:
        """Mostly everything or one narrowing; sometimes several at once."""
        names: dict[str, list[str]] = {
            "endpoints": [endpoint["id"] for endpoint in self.config["endpoints"]],
            "holdernames": [holdername["guid"] for holdername in self.config["holdernames"]],
            "services": list(SERVICES),
        }
        wanted = {"endpoints": 0.35, "holdernames": 0.25, "services": 0.2}
        return {
            key: self.some(names[key])
            for key, probability in wanted.items()
            if names[key] and self.chance(probability)
        }

    def _declaration(self) -> list[Document]:
        rng = self.rng
        self.serial += 1
        start, end = self._window()
        recorded, notified = self._told(start, end)
        first: Document = {
            "type": "declaration",
            "at": _written(recorded),
            "id": f"D-{self.serial}",
            "kind": rng.choice(("planned",) * 6 + ("emergency", "maps")),
            "start": _written(start),
            "end": _written(end),
            **self._scope(),
            "reason": "upgrade",
            "author": "ops",
        }
        if notified is not None:
            first["notified_at"] = _written(notified)
        if self.chance(0.6):
            first["ticket"] = f"T-{self.serial}"
        chain, windows = [first], [(start, end)]
        for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 4))):
            recorded = self._later(recorded, *windows[-1])
            chain.append(self._amendment(recorded, windows))
            if self.chance(0.1):
                chain.append(self._closing("cancellation", recorded + self.step))
        start, end = windows[-1]
        if self.chance(0.2):
            actual = {"actual_start": _written(start), "actual_end": _written(end)}
            chain.append(self._closing("completion", max(recorded, end)) | actual)
        return chain

    def _closing(self, kind: str, at: int) -> Document:
        return {"type": kind, "at": _written(at), "id": f"D-{self.serial}", "author": "ops"}

    def _later(self, after: int, start: int, end: int) -> int:
        """Not before `after`: soon, or in or near the window."""
        if self.chance(0.5):
            return self.grid(after + self.rng.randint(0, 4 * 86400))
        return max(after, self.between(start - 20 * self.step, end + 20 * self.step))

    def _amendment(self, at: int, windows: list[tuple[int, int]]) -> Document:
        """A change of the window, the scope or the kind; notes a changed window in `windows`."""
        rng = self.rng
        amendment = self._closing("amendment", at)
        change = rng.choice(("start", "end", "end", "move", "back", "scope", "scope", "kind"))
        if change == "scope":
            amendment |= self._scope()
            if self.chance(0.5):
                amendment[rng.choice(("endpoints", "holdernames", "services"))] = None
        elif change == "kind":
            amendment |= {"kind": rng.choice(("planned", "emergency")), "ticket": "T-9"}
        else:
            old = windows[-1]
            windows.append(self._changed(change, windows))
            if windows[-1][0] != old[0]:
                amendment["start"] = _written(windows[-1][0])
            if windows[-1][1] != old[1]:
                amendment["end"] = _written(windows[-1][1])
        if self.chance(0.85):
            shift = rng.choice((0, 0, 0, -1, 1)) * rng.choice((10 * self.step, 86400))
            amendment["notified_at"] = _written(self.grid(at + shift))
        return amendment

    def _changed(self, change: str, windows: list[tuple[int, int]]) -> tuple[int, int]:
        """The latest window with another start or end, a new one, or an earlier one again."""
        start, end = windows[-1]
        length = max(end - start, 4 * self.step)
        if change == "start":
            share = self.rng.choice((-0.5, 0.25))
            return min(self.grid(start + length * share), end - self.step), end
        if change == "end":
            share = self.rng.choice((-0.5, 0.5, 1))
            return start, max(self.grid(end + length * share), start + self.step)
        return self._window() if change == "move" else self.rng.choice(windows)

    # - assertions

    def _assertion(self) -> list[Document]:
        guids = [holdername["guid"] for holdername in self.config["holdernames"]]
        if not guids:
            return []
        self.serial += 1
        at, facts = 0, []
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            start, end = self._window()
            is_open = self.chance(0.25)
            at = max(at, self.between(start - 5 * self.step, end + 60 * self.step))
            facts.append(
                {
                    "type": "assertion",
                    "at": _written(at),
                    "id": f"A-{self.serial}",
                    "start": _written(start),
                    "end": None if is_open else _written(end),
                    "holdernames": self.some(guids),
                    "services": self.some(list(SERVICES)),
                    "reason": "back end down",
                    "author": "ops",
                }
            )
        if self.chance(0.15):
            closing = self._closing("withdrawal", at + self.step)
            facts.append(closing | {"id": f"A-{self.serial}"})
        return facts


def _group(endpoint: Document) -> str:
    return str(endpoint.get("group") or endpoint["url"].split("/")[2])


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
