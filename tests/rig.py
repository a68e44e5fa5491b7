"""A cycle with everything around it: a store, a clock that is stepped by hand, probes as told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from monitor.adapters.store import SqliteStore
from monitor.config import (
    AlertSettings,
    HttpSettings,
    Organisation,
    ProbingSettings,
    Settings,
    StoreSettings,
)
from monitor.core.alert import Event
from monitor.core.book import Book
from monitor.core.endpoint import Endpoint
from monitor.core.fact import Fact
from monitor.core.holdername import Holdername
from monitor.core.planning import Planning
from monitor.core.rules import Rules
from monitor.core.verdict import Evidence, Reason
from monitor.cycle import Cycle, Policy
from monitor.recovery import configuration_fact, load_book
from monitor.snapshot import Document, replay_document
from tests.core.builders import endpoint, rules
from tests.fakes import START, FakeClock, MemoryStore, NullTelemetry

TAKES = timedelta(milliseconds=200)
"""How long a probe takes."""
STEP = timedelta(seconds=30)
ANSWERS: Mapping[str, int | Reason] = {
    "u": 400,
    "i": 429,
    "d": Reason.CONNECT_REFUSED,
    "l": Reason.LOCAL_OVERLOAD,
    "n": Reason.DNS,
    "c": Reason.TLS_REFUSED,
    "a": 200,
}
"""A letter for what a probe may see; `a` is answered with data though it had no token."""


def settings_of(
    endpoints: Iterable[Endpoint] = (),
    holdernames: Iterable[Holdername] = (),
    rules: Rules = rules(),  # noqa: B008
) -> Settings:
    """A configuration of these, with nothing to alert and nowhere to listen."""
    return Settings(
        path=Path("monitor.yaml"),
        digest="0" * 64,
        rules_digest="0" * 64,
        organisation=Organisation("", None),
        rules=rules,
        identities={},
        endpoints=tuple(endpoints) or (endpoint(),),
        holdernames=tuple(holdernames),
        store=StoreSettings(Path("monitor.db"), timedelta(days=400)),
        http=HttpSettings("127.0.0.1", 0, None),
        alerts=AlertSettings((), (), None, (30, 7), (14,), timedelta(hours=24)),
        planning=Planning(),
        probing=ProbingSettings(100, 10, None, 65536),
        witness=(),
        warnings=(),
    )


class Rig:
    """One daemon's middle. `restart` makes another over the same store."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: MemoryStore | SqliteStore | None = None,
        clock: FakeClock | None = None,
        witnesses: Collection[str] = (),
    ) -> None:
        self.settings = settings or settings_of()
        self.store = store if store is not None else MemoryStore()
        self.clock = clock or FakeClock()
        self.telemetry = NullTelemetry()
        self.hurried: list[str] = []
        self.changes = 0
        self._witnesses = witnesses
        self._recorded = load_book(self.settings, self.store)
        self.cycle = Cycle(
            self._recorded.book,
            self.store,
            self.clock,
            self.telemetry,
            Policy(receivers=("ops",)),
            on_change=self._changed,
            hurry=self.hurried.append,
            witnesses=witnesses,
        )

    def _changed(self) -> None:
        self.changes += 1

    @property
    def book(self) -> Book:
        return self.cycle.book

    @property
    def memory(self) -> MemoryStore:
        assert isinstance(self.store, MemoryStore)
        return self.store

    async def start(self) -> Rig:
        """Record the configuration if it is another, as the daemon does."""
        fact = configuration_fact(self.settings, self.clock.now())
        if self._recorded.configuration != fact.body:
            await self.cycle.learn([fact])
        return self

    async def restart(self, settings: Settings | None = None) -> Rig:
        """Nothing but the store survives."""
        again = Rig(
            settings or self.settings,
            store=self.store,
            clock=self.clock,
            witnesses=self._witnesses,
        )
        return await again.start()

    async def reconfigure(self, settings: Settings) -> None:
        """As the daemon does when the file has changed."""
        book = Book(settings.rules, settings.endpoints, settings.holdernames)
        fact = configuration_fact(settings, self.clock.now())
        await self.cycle.replace_book(book, [fact], self._witnesses)
        self.settings = settings

    # -- what happens --------------------------------------------------------------------------

    async def see(self, **letters: str) -> None:
        """One probe of each endpoint named, all begun now."""
        await self.show({name: ANSWERS[letter] for name, letter in letters.items()})

    async def show(self, answers: Mapping[str, int | Reason]) -> None:
        at = self.clock.now()
        self.clock.forward(TAKES)
        seen = []
        for name, answer in answers.items():
            known = next(one for one in self.settings.endpoints if one.id == name)
            evidence = Evidence(name, at, TAKES.total_seconds())
            if isinstance(answer, Reason):
                seen.append((known, replace(evidence, failure=answer)))
            else:
                seen.append((known, replace(evidence, status=answer)))
        await self.cycle.take(seen)

    async def watch(self, step: timedelta = STEP, **runs: str) -> None:
        """A run of probes of each endpoint, a letter a step; a space is a slot without one."""
        for place in range(max(len(run) for run in runs.values())):
            begun = self.clock.now()
            letters = {
                name: run[place]
                for name, run in runs.items()
                if place < len(run) and run[place] != " "
            }
            await self.see(**letters)
            await self.cycle.sweep()
            self.clock.forward(begun + step - self.clock.now())

    async def idle(self, duration: timedelta, every: timedelta = timedelta(seconds=30)) -> None:
        """Let time pass, sweeping, without any probe."""
        end = self.clock.now() + duration
        while self.clock.now() < end:
            self.clock.forward(min(every, end - self.clock.now()))
            await self.cycle.sweep()

    async def learn(self, *facts: Fact) -> list[Fact]:
        return await self.cycle.learn(facts)

    # -- what came of it -----------------------------------------------------------------------

    def events(self, kind: str = "") -> list[Event]:
        """The events of a kind stored so far, or of a family such as `incident.`."""
        found = [event for change in self.memory.changes for event in change.events]
        return [event for event in found if event.type.startswith(kind)]

    def told(self, kind: str = "") -> list[str]:
        return [event.type for event in self.events(kind)]

    def steps(self) -> list[str]:
        """The events of incidents but for reminders."""
        return [kind for kind in self.told("incident.") if kind != "incident.report_due"]

    def facts(self, kind: str = "") -> list[Fact]:
        return [fact for _, fact in self.store.facts() if fact.type.startswith(kind)]

    def document(self, until: datetime | None = None) -> Document:
        return replay_document(self.book, until or self.clock.now())

    def outages(self) -> list[Document]:
        found: list[Document] = self.document()["outages"]
        return found

    def incidents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document()["incidents"]
        return found


__all__ = ["ANSWERS", "START", "STEP", "Rig", "settings_of"]
