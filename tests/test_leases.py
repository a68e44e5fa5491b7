"""Leases: told again and again, ended once, to every member, whatever one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog

from monitor.core.delivery import Accepted, Outcome, Rejected, Retry
from monitor.core.interval import Interval
from monitor.core.silence import Found, Silence, matchers
from monitor.core.standing import Lease, Standing
from monitor.leases import KEPT, Leases

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
EVERY = timedelta(milliseconds=20)


class Wall:
    """A clock that goes where it is put."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0


class Member:
    """Remembers what it was told, and answers as it is set to."""

    def __init__(self, name: str = "am", *, silences: bool = False) -> None:
        self.name = name
        self.resend_every = EVERY
        self.silences = silences
        self.answer: Callable[[], Outcome] = Accepted
        self.silence_answer: Callable[[], Outcome] = Accepted
        self.told: list[list[Lease]] = []
        self.held: list[Found] = []
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def tell(self, leases: Sequence[Lease]) -> Outcome:
        await self.gate.wait()
        self.told.append(list(leases))
        return self.answer()

    async def found(self) -> tuple[Outcome, list[Found]]:
        self.asked += 1
        return self.silence_answer(), list(self.held)

    async def silence(self, silence: Silence) -> Outcome:
        self.held.append(Found(f"s{len(self.held)}", silence.matchers, silence.comment, over=False))
        return self.silence_answer()

    async def expire(self, identifier: str) -> Outcome:
        self.held = [one for one in self.held if one.id != identifier]
        return self.silence_answer()


def alert(name: str, since: datetime | None = NOW, **more: datetime) -> Standing:
    return Standing((("alertname", name),), f"{name} stands", "see to it", since, **more)


class Place:
    """Members with what stands for them to be told."""

    def __init__(self, *members: Member) -> None:
        self.wall = Wall()
        self.now: list[Standing] = []
        self.windows: list[Silence] = []
        self.outcomes: list[tuple[str, str]] = []
        self.fails = False
        self.leases = Leases(
            members,
            self._standing,
            lambda: self.windows,
            self.wall,
            on_outcome=lambda *outcome: self.outcomes.append(outcome),
        )

    async def _standing(self) -> list[Standing]:
        if self.fails:
            raise RuntimeError("a fault of ours")
        return self.now


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Place]:
    task = asyncio.create_task(place.leases.run())
    try:
        yield place
    finally:
        place.leases.stop()
        await asyncio.wait_for(task, 5)


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def rounds(member: Member, number: int = 2) -> None:
    """Wait until it was told so many more times."""
    seen = len(member.told)
    await until(lambda: len(member.told) >= seen + number)


async def test_what_stands_is_told_again_as_a_lease() -> None:
    """Each telling says from when, and until a few tellings from now."""
    member = Member()
    place = Place(member)
    place.now = [alert("A", NOW - timedelta(hours=1))]
    async with running(place):
        await rounds(member)
        first = member.told[-1][0]
        assert (first.start, first.end) == (NOW - timedelta(hours=1), NOW + KEPT * EVERY)
        place.wall.time = NOW + timedelta(minutes=1)
        await rounds(member)
        assert member.told[-1][0].end == place.wall.time + KEPT * EVERY
    assert set(place.outcomes) == {("am", "accepted")}


async def test_without_anything_to_tell_the_member_is_still_asked() -> None:
    """So that one that does not answer is known before it is needed."""
    member = Member()
    async with running(Place(member)):
        await rounds(member)
    assert member.told[-1] == []


async def test_a_change_is_told_at_once() -> None:
    """A wake does not wait for the next telling."""
    member = Member()
    member.resend_every = timedelta(hours=1)
    place = Place(member)
    async with running(place):
        await rounds(member, 1)
        place.now = [alert("A")]
        place.leases.wake()
        await until(lambda: member.told[-1])  # after the shortest pause, a second
    assert member.told[-1][0].alert.labels == (("alertname", "A"),)


async def test_what_is_over_is_told_once_as_of_its_end() -> None:
    """As of when it is known to have ended, or as of when it was missed first."""
    member = Member()
    place = Place(member)
    place.now = [alert("A"), alert("B")]
    async with running(place):
        await rounds(member)
        place.wall.time = NOW + timedelta(minutes=5)
        ended = NOW + timedelta(minutes=4)
        place.now = [alert("A", ended_at=ended)]
        seen = len(member.told)
        await rounds(member, 4)
        ends = {one.alert.labels[0][1]: one.end for told in member.told[seen:] for one in told}
        last = [told for told in member.told[seen:] if told and told[0].end <= place.wall.time]
        assert len(last) == 1
        assert {name: end for name, end in ends.items() if end <= place.wall.time} == {
            "A": ended,
            "B": place.wall.time,
        }
        place.now = [alert("A")]  # it begins again, and ends again
        await rounds(member)
        assert member.told[-1][0].end > place.wall.time
        place.now = [alert("A", ended_at=place.wall.time)]
        await until(lambda: member.told[-1] and member.told[-1][0].end == place.wall.time)


async def test_an_end_is_told_until_it_is_accepted() -> None:
    """A member that did not take it is told again, of the same end; unless it ran out there anyway."""
    member = Member()
    place = Place(member)
    place.now = [alert("A", None)]
    async with running(place):
        await rounds(member)
        member.answer = lambda: Retry("down")
        place.now = []
        await rounds(member, 3)
        assert [one.end for one in member.told[-1]] == [NOW]
        assert member.told[-1][0].start == NOW
        member.answer = Accepted
        await rounds(member, 3)
        assert member.told[-1] == []
        place.now = [alert("A")]
        await rounds(member)
        member.answer = lambda: Retry("down")
        place.now = []
        await rounds(member)
        place.wall.time += KEPT * EVERY + timedelta(seconds=1)
        await rounds(member)
        assert member.told[-1] == []


async def test_an_alert_of_unknown_beginning_stands_since_it_was_first_told() -> None:
    """Its start does not move with each telling."""
    member = Member()
    place = Place(member)
    place.now = [alert("A", None)]
    async with running(place):
        await rounds(member)
        place.wall.time = NOW + timedelta(minutes=1)
        await rounds(member)
    assert member.told[-1][0].start == NOW


async def test_a_dead_member_delays_no_other() -> None:
    """One that never answers is waited for alone."""
    dead, alive = Member("dead"), Member("alive")
    dead.gate.clear()
    place = Place(dead, alive)
    async with running(place):
        await rounds(alive, 3)
    assert dead.told == []


async def test_trouble_is_logged_once_and_counted_always() -> None:
    """A refusal is loud at first; recovery is told as well."""
    member = Member()
    member.answer = lambda: Rejected("am: answered 400: bad label")
    place = Place(member)
    with structlog.testing.capture_logs() as logs:
        async with running(place):
            await rounds(member, 3)
            member.answer = Accepted
            await rounds(member)
    assert [(one["event"], one["log_level"]) for one in logs] == [
        ("alertmanager_not_told", "error"),
        ("alertmanager_told_again", "info"),
    ]
    assert logs[0]["why"] == "am: answered 400: bad label"
    assert place.outcomes.count(("am", "rejected")) == 3


async def test_a_fault_of_ours_costs_one_telling() -> None:
    """Whatever goes wrong here is logged, and the next telling is made."""
    member = Member()
    place = Place(member)
    place.fails = True
    with structlog.testing.capture_logs() as logs:
        async with running(place):
            await asyncio.sleep(3 * EVERY.total_seconds())
            assert member.told == []
            place.fails = False
            await rounds(member)
    assert logs[0]["event"] == "leases_failed"


WINDOW = Silence(Interval(NOW, NOW + timedelta(hours=1)), matchers(["view"]), "Declared D-1")
MOVED = Silence(Interval(NOW, NOW + timedelta(hours=2)), matchers(["view"]), "Declared D-1, moved")


async def test_silences_follow_the_windows() -> None:
    """Made, moved and withdrawn; where nothing changed they are not asked for again."""
    member = Member(silences=True)
    place = Place(member)
    place.windows = [WINDOW]
    async with running(place):
        await until(lambda: [one.comment for one in member.held] == ["Declared D-1"])
        await rounds(member, 3)
        assert member.asked == 1
        place.windows = [MOVED]
        await until(lambda: [one.comment for one in member.held] == ["Declared D-1, moved"])
        place.windows = []
        await until(lambda: member.held == [])


async def test_silences_are_opt_in() -> None:
    """A member without them is not asked for any."""
    member = Member()
    place = Place(member)
    place.windows = [WINDOW]
    async with running(place):
        await rounds(member, 3)
    assert (member.asked, member.held) == (0, [])


async def test_a_silence_that_could_not_be_made_is_tried_again() -> None:
    """Each trouble with silences is logged once, though alerts are told well meanwhile."""
    member = Member(silences=True)
    member.silence_answer = lambda: Retry("am: answered 500")
    place = Place(member)
    place.windows = [WINDOW]
    with structlog.testing.capture_logs() as logs:
        async with running(place):
            await until(lambda: member.asked >= 3)
            assert member.held == []
            member.silence_answer = Accepted
            await until(lambda: member.held)
    told = [one for one in logs if one["event"].startswith("alertmanager")]
    assert [(one["event"], one["what"]) for one in told] == [
        ("alertmanager_not_told", "silences"),
        ("alertmanager_told_again", "silences"),
    ]
