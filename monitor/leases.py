"""Tell every Alertmanager what stands, again and again, and have declared windows silenced there.

An alert is a lease: it is told to stand until a few tellings from now, so that it runs out when we
die. What is over is told once more, as of its end. Each member has a task of its own on the loop's
clock: a dead one delays no other, and a broken schedule of jobs none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

import structlog

from monitor.core.delivery import Outcome, counted
from monitor.core.silence import Found, Silence, due
from monitor.core.standing import Lease, Standing
from monitor.ports import Clock

KEPT = 4
"""A lease holds for so many tellings."""
PAUSE = 1.0
"""Seconds between two tellings at least, however much changes."""
SILENCES_EVERY = timedelta(minutes=5)
"""How often silences are compared though nothing changed here: somebody may have changed them there."""

Labels: TypeAlias = tuple[tuple[str, str], ...]

log = structlog.get_logger(__name__)


class Member(Protocol):
    """One Alertmanager. Each call takes a bounded time; trouble is an outcome, never an exception."""

    @property
    def name(self) -> str:
        """How it is named in metrics and logs."""
        ...

    @property
    def resend_every(self) -> timedelta:
        """Time between tellings."""
        ...

    @property
    def silences(self) -> bool:
        """Whether silences are made there."""
        ...

    async def tell(self, leases: Sequence[Lease]) -> Outcome:
        """Tell it these; none at all shows that it is there."""
        ...

    async def found(self) -> tuple[Outcome, list[Found]]:
        """Our silences there."""
        ...

    async def silence(self, silence: Silence) -> Outcome:
        """Make one."""
        ...

    async def expire(self, identifier: str) -> Outcome:
        """End one now."""
        ...


class Leases:
    """Keeps every member up to date until stopped.

    `standing` and `silences` answer what is so now. `wall` is the machine's clock, by which an
    Alertmanager judges too. `on_outcome` is told (member, "accepted" | "retry" | "rejected").
    """

    def __init__(
        self,
        members: Sequence[Member],
        standing: Callable[[], Awaitable[list[Standing]]],
        silences: Callable[[], list[Silence]],
        wall: Clock,
        *,
        on_outcome: Callable[[str, str], None] = lambda member, outcome: None,
    ) -> None:
        self._stopping = asyncio.Event()
        self._lanes = [_Lane(member, standing, silences, wall, on_outcome) for member in members]

    def wake(self) -> None:
        """Something changed: tell it soon."""
        for lane in self._lanes:
            lane.woken.set()

    def stop(self) -> None:
        """Tell nothing more; what stands runs out."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop` or cancellation."""
        tasks = [
            asyncio.create_task(lane.serve(), name=f"leases:{lane.name}") for lane in self._lanes
        ]
        try:
            await self._stopping.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Told:
    """An alert on its way: since when it stands; with an end if it is over."""

    alert: Standing
    start: datetime


class _Lane:
    """What one member was told."""

    def __init__(
        self,
        member: Member,
        standing: Callable[[], Awaitable[list[Standing]]],
        silences: Callable[[], list[Silence]],
        wall: Clock,
        on_outcome: Callable[[str, str], None],
    ) -> None:
        self.woken = asyncio.Event()
        self._member = member
        self._standing = standing
        self._silences = silences
        self._wall = wall
        self._on_outcome = on_outcome
        self._told: dict[Labels, _Told] = {}
        self._over: dict[Labels, datetime | None] = {}
        self._silenced: tuple[list[Silence], float] | None = None
        self._trouble: dict[str, str] = {}
        self._log = log.bind(member=member.name)

    @property
    def name(self) -> str:
        return self._member.name

    async def serve(self) -> None:
        """Tell, rest, tell again. Whatever goes wrong in one telling, the next is made."""
        while True:
            self.woken.clear()
            try:
                await self._tell()
                if self._member.silences:
                    await self._silence()
            except Exception as error:
                self._log.exception("leases_failed", error=type(error).__name__)
            await asyncio.sleep(min(PAUSE, self._member.resend_every.total_seconds()))
            await self._rest()

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._member.resend_every.total_seconds()):
                await self.woken.wait()

    async def _tell(self) -> None:
        now = self._wall.now()
        self._take_in({alert.labels: alert for alert in await self._standing()}, now)
        until = now + self._lasting
        leases = [
            Lease(told.alert, min(told.start, now), min(told.alert.ended_at or until, until))
            for told in self._told.values()
        ]
        if self._note("alerts", await self._member.tell(leases)):
            over = {labels: one for labels, one in self._told.items() if one.alert.ended_at}
            self._over |= {labels: one.alert.ended_at for labels, one in over.items()}
            self._told = {labels: one for labels, one in self._told.items() if labels not in over}

    def _take_in(self, alerts: Mapping[Labels, Standing], now: datetime) -> None:
        """What is to be told: all that stands, and what is over until that was accepted once."""
        self._over = {labels: end for labels, end in self._over.items() if labels in alerts}
        for labels, alert in alerts.items():
            if alert.ended_at is None or self._over.get(labels) != alert.ended_at:
                known = self._told.get(labels)
                start = alert.since or (now if known is None else known.start)
                self._told[labels] = _Told(alert, start)
        for labels in [labels for labels in self._told if labels not in alerts]:
            told = self._told[labels]
            if told.alert.ended_at is None:  # over, and nothing says since when
                self._told[labels] = _Told(replace(told.alert, ended_at=now), told.start)
            elif now - told.alert.ended_at > self._lasting:  # it has run out there by itself
                del self._told[labels]

    @property
    def _lasting(self) -> timedelta:
        return KEPT * self._member.resend_every

    async def _silence(self) -> None:
        wanted, now = self._silences(), asyncio.get_running_loop().time()
        if self._silenced is not None:
            known, at = self._silenced
            if known == wanted and now - at < SILENCES_EVERY.total_seconds():
                return
        outcome, found = await self._member.found()
        if not self._note("silences", outcome):
            return
        make, expire = due(wanted, found)
        good = True
        for silence in make:
            if self._note("silences", await self._member.silence(silence)):
                self._log.info("silence_made", comment=silence.comment)
            else:
                good = False
        for identifier in expire:
            if self._note("silences", await self._member.expire(identifier)):
                self._log.info("silence_expired", silence=identifier)
            else:
                good = False
        self._silenced = (wanted, now) if good else None

    def _note(self, what: str, outcome: Outcome) -> bool:
        """Count an outcome, and log it if it is another than before; whether it was good."""
        word, trouble = counted(outcome)
        self._on_outcome(self._member.name, word)
        if trouble != self._trouble.get(what, ""):
            self._trouble[what] = trouble
            if trouble:
                self._log.error("alertmanager_not_told", what=what, why=trouble)
            else:
                self._log.info("alertmanager_told_again", what=what)
        return not trouble
