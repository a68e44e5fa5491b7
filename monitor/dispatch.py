"""Deliver queued alerts until accepted or expired (contract, "Alerts").

At least once: a delivery is recorded as delivered only after the receiver accepted it, so that a
stop between the two sends it again, under the same `webhook_id`. In order per key: the next event
of an incident waits for the one before it, and nothing else does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog

from monitor.core.delivery import Accepted, Outcome, Rejected, Retry
from monitor.errors import StoreError
from monitor.ports import Clock, Delivery, Outbox

__all__ = [
    "EXPIRE_AFTER",
    "Accepted",
    "Dispatcher",
    "Notifier",
    "Outcome",
    "Rejected",
    "Retry",
    "backoff",
]

BASE = timedelta(seconds=1)
CAP = timedelta(minutes=5)
LONGEST = timedelta(
    hours=1
)  # a receiver may ask for more patience than CAP, but not for more than this
EXPIRE_AFTER = timedelta(days=7)
POLL = timedelta(seconds=1)  # how soon to look again when what is due cannot be started yet
IDLE = timedelta(seconds=30)  # how soon to look again at the latest, whatever the store said

log = structlog.get_logger(__name__)


class Notifier(Protocol):
    """Brings one delivery to one receiver, within a bounded time."""

    @property
    def name(self) -> str:
        """The receiver's name in the configuration; a delivery's `receiver`."""
        ...

    async def send(self, delivery: Delivery) -> Outcome:
        """Try once. A failing receiver is an outcome, never an exception."""
        ...


def backoff(
    attempts: int, *, rng: random.Random, retry_after: timedelta | None = None
) -> timedelta:
    """How long to wait after `attempts` (1 or more) failed: full jitter, a doubling ceiling.

    The ceiling is 1 s after the first attempt and never more than 5 minutes. A receiver's own
    `retry_after` is the least wait, up to one hour.

    >>> backoff(3, rng=random.Random(0)) <= timedelta(seconds=4)
    True
    >>> backoff(1, rng=random.Random(0), retry_after=timedelta(minutes=9))
    datetime.timedelta(seconds=540)
    """
    ceiling = min(CAP, BASE * float(2 ** min(attempts - 1, 16)))
    wait = ceiling * rng.random()
    return wait if retry_after is None else max(wait, min(retry_after, LONGEST))


class Dispatcher:
    """Delivers what the outbox holds to every notifier, one task each: a dead one delays no other.

    `expire_after` is per receiver, 7 days where it says nothing. `on_outcome` is told
    (receiver, "accepted" | "retry" | "rejected" | "expired") after each attempt. At most
    `concurrency` keys of one receiver are under way at once. On `stop` attempts under way get
    `drain` to end.
    """

    def __init__(
        self,
        outbox: Outbox,
        notifiers: Sequence[Notifier],
        clock: Clock,
        *,
        expire_after: Mapping[str, timedelta] | None = None,
        on_outcome: Callable[[str, str], None] | None = None,
        concurrency: int = 8,
        drain: timedelta = timedelta(seconds=5),
        rng: random.Random | None = None,
    ) -> None:
        self._stopping = asyncio.Event()
        limits = expire_after or {}
        self._lanes = {
            notifier.name: _Lane(
                notifier,
                outbox,
                clock,
                expire_after=limits.get(notifier.name, EXPIRE_AFTER),
                on_outcome=on_outcome,
                concurrency=concurrency,
                drain=drain,
                rng=rng or random.Random(),
            )
            for notifier in notifiers
        }
        if len(self._lanes) != len(notifiers):
            raise ValueError("two notifiers share a name; each receiver needs its own")

    def wake(self) -> None:
        """Look at the outbox now: something was committed to it."""
        for lane in self._lanes.values():
            lane.wake()

    def stop(self) -> None:
        """Take up nothing more; `run` returns when what is under way ended, or `drain` did."""
        self._stopping.set()
        for lane in self._lanes.values():
            lane.stop()

    async def run(self) -> None:
        """Deliver until `stop` or cancellation. Trouble of receivers and store is survived.

        Anything else that goes wrong is a fault of ours and comes out as an ExceptionGroup.
        """
        async with asyncio.TaskGroup() as lanes:
            for name, lane in self._lanes.items():
                lanes.create_task(lane.serve(), name=f"deliver:{name}")
            await self._stopping.wait()


class _Lane:
    """The deliveries of one receiver."""

    def __init__(
        self,
        notifier: Notifier,
        outbox: Outbox,
        clock: Clock,
        *,
        expire_after: timedelta,
        on_outcome: Callable[[str, str], None] | None,
        concurrency: int,
        drain: timedelta,
        rng: random.Random,
    ) -> None:
        self._notifier = notifier
        self._outbox = outbox
        self._clock = clock
        self._expire_after = expire_after
        self._on_outcome = on_outcome
        self._concurrency = concurrency
        self._drain_for = drain
        self._rng = rng
        self._active: dict[str, asyncio.Task[None]] = {}  # by key: one delivery each
        self._ended: set[str] = set()  # keys whose attempt ended since the outbox was last asked
        self._woken = asyncio.Event()
        self._stopping = False
        self._log = log.bind(receiver=notifier.name)

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()

    async def serve(self) -> None:
        failures = 0
        async with asyncio.TaskGroup() as attempts:
            while not self._stopping:
                self._woken.clear()
                try:
                    pause = await self._start_due(attempts)
                    failures = 0
                except StoreError as error:
                    failures += 1
                    pause = backoff(failures, rng=self._rng)
                    self._log.warning("outbox_unreadable", error=str(error), again_in=pause)
                await self._rest(pause)
            await self._drain()

    async def _start_due(self, attempts: asyncio.TaskGroup) -> timedelta:
        """Start what is due as far as there is room; how long to sleep unless woken."""
        now = self._clock.now()
        self._start(attempts, await self._due(now))
        if len(self._active) >= self._concurrency:
            return IDLE  # the end of an attempt wakes us
        next_due = await self._outbox.next_due(self._notifier.name)
        if next_due is None:
            return IDLE
        if next_due - now > LONGEST:
            # No back-off is that long: the wall clock was stepped back since. Waiting the step out
            # could hold an alert for years.
            self._log.warning("alert_overslept", due_at=next_due)
            self._start(attempts, await self._due(next_due))
            return POLL
        # What is under way counts as due already, and hides the next in line.
        return min(next_due - now, IDLE) if next_due > now else POLL

    async def _due(self, now: datetime) -> list[Delivery]:
        self._ended.clear()
        # Up to `concurrency` of them may be those under way.
        return await self._outbox.due(self._notifier.name, now, 2 * self._concurrency)

    def _start(self, attempts: asyncio.TaskGroup, due: Sequence[Delivery]) -> None:
        for delivery in due:
            key = delivery.event.key
            if self._stopping or len(self._active) >= self._concurrency:
                return
            # Of a key that ended meanwhile the outbox may have told what was so before that: the
            # same delivery once more. The end woke us, so the next answer follows at once.
            if key not in self._active and key not in self._ended:
                self._active[key] = attempts.create_task(
                    self._attempt(delivery), name=f"deliver:{delivery.receiver}:{delivery.id}"
                )

    async def _rest(self, pause: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self._woken.wait()

    async def _drain(self) -> None:
        if not self._active:
            return
        _, late = await asyncio.wait(self._active.values(), timeout=self._drain_for.total_seconds())
        for task in late:
            self._log.warning("alert_given_up_at_stop", task=task.get_name())
            task.cancel()  # still pending in the store: sent again after the next start

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            await self._record(delivery, await self._send(delivery))
        finally:
            del self._active[delivery.event.key]
            self._ended.add(delivery.event.key)
            self._woken.set()

    async def _send(self, delivery: Delivery) -> Outcome:
        try:
            return await self._notifier.send(delivery)
        except Exception as error:
            # A fault in a notifier must not take the alerts of every other receiver with it.
            self._log.exception("notifier_failed", notice=delivery.event.type, delivery=delivery.id)
            return Retry(f"the notifier failed: {type(error).__name__}")

    async def _record(self, delivery: Delivery, outcome: Outcome) -> None:
        now = self._clock.now()
        tell = self._log.bind(
            notice=delivery.event.type,
            key=delivery.event.key,
            webhook_id=delivery.webhook_id,
            attempt=delivery.attempts + 1,
        )
        match outcome:
            case Accepted():
                self._count("accepted")
                tell.info("alert_delivered")
                await self._insist(partial(self._outbox.delivered, delivery, now))
            case Rejected(error):
                self._count("rejected")
                tell.error("alert_rejected", error=error)
                await self._fail(delivery, now, error, None)
            case Retry(error, after):
                retry_at = self._retry_at(delivery, now, after)
                self._count("expired" if retry_at is None else "retry")
                tell.warning("alert_not_delivered", error=error, retry_at=retry_at)
                await self._fail(delivery, now, error, retry_at)

    def _retry_at(
        self, delivery: Delivery, now: datetime, after: timedelta | None
    ) -> datetime | None:
        """When to try again; None once expired. The last attempt is made at the very end."""
        expires = delivery.first_at + self._expire_after
        if now >= expires:
            return None
        wait = backoff(delivery.attempts + 1, rng=self._rng, retry_after=after)
        return min(now + wait, expires)

    async def _fail(
        self, delivery: Delivery, now: datetime, error: str, retry_at: datetime | None
    ) -> None:
        await self._insist(
            partial(self._outbox.failed, delivery, now, error=error, retry_at=retry_at)
        )

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write until it is written: asking the receiver again instead would only send it twice."""
        failures = 0
        while True:
            try:
                return await write()
            except StoreError as error:
                failures += 1
                pause = backoff(failures, rng=self._rng)
                self._log.warning("outbox_unwritable", error=str(error), again_in=pause)
            await asyncio.sleep(pause.total_seconds())

    def _count(self, outcome: str) -> None:
        if self._on_outcome is not None:
            self._on_outcome(self._notifier.name, outcome)
