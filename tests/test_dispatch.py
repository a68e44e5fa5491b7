"""Delivery of queued alerts, over the fake store and the real one."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.adapters.store import SqliteStore
from monitor.core.alert import Event
from monitor.core.delivery import Accepted, Outcome, Rejected, Retry
from monitor.dispatch import CAP, LONGEST, Dispatcher, Notifier, backoff
from monitor.errors import StoreError, StoreUnwritable
from monitor.ports import Change, Clock, Delivery
from tests.fakes import MemoryStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Store = MemoryStore | SqliteStore


class SetClock:
    """A clock that goes where it is put."""

    def __init__(self, now: datetime = NOW) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0


class Hurry(random.Random):
    """Draws no wait at all, so that a retry comes at once."""

    def random(self) -> float:
        return 0.0


class Patience(random.Random):
    """Draws the longest wait."""

    def random(self) -> float:
        return 1.0


class Receiver:
    """Answers as told: `answer` is asked for each delivery, after `gate` opens."""

    def __init__(
        self, name: str = "ops", answer: Callable[[Delivery], Outcome] = lambda _: Accepted()
    ) -> None:
        self.name = name
        self.answer = answer
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[Delivery] = []
        self.accepted: list[tuple[str, int]] = []
        self.at_once = 0
        self.most_at_once = 0

    async def send(self, delivery: Delivery) -> Outcome:
        self.asked.append(delivery)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        outcome = self.answer(delivery)
        if outcome == Accepted():
            self.accepted.append((delivery.event.key, delivery.event.data["n"]))
        return outcome


class Failing(MemoryStore):
    """A store whose methods named in `down` raise; counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.down: set[str] = set()
        self.refused: list[str] = []

    def _check(self, method: str) -> None:
        if method in self.down:
            self.refused.append(method)
            raise StoreError("the disk is away")

    async def due(self, receiver: str, now: datetime, limit: int) -> list[Delivery]:
        self._check("due")
        return await super().due(receiver, now, limit)

    async def delivered(self, delivery: Delivery, now: datetime) -> None:
        if "delivered" in self.down:
            self.refused.append("delivered")
            raise StoreUnwritable("the disk is full")
        await super().delivered(delivery, now)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The fake and the real outbox: delivery may not tell them apart."""
    if request.param == "memory":
        yield MemoryStore()
        return
    with SqliteStore.open(tmp_path / "monitor.db") as real:
        yield real


def event(n: int, key: str = "I-1", at: datetime = NOW) -> Event:
    return Event(at=at, type="incident.updated", key=key, data={"n": n})


async def queue(store: Store, events: Iterable[Event], receivers: Sequence[str] = ("ops",)) -> None:
    await store.commit(Change(events=tuple(events), receivers=tuple(receivers)))


async def until(true: Callable[[], bool]) -> None:
    """Return once it is true; fail if it never is."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 what is waited for is seen from outside
            await asyncio.sleep(0.002)


async def until_due(store: Store, right: Callable[[datetime | None], bool]) -> None:
    """Return once the time of the next delivery to `ops` is right; fail if it never is."""
    async with asyncio.timeout(20):
        while not right(await store.next_due("ops")):  # noqa: ASYNC110 seen from outside
            await asyncio.sleep(0.005)


async def empty(store: Store) -> None:
    """Return once nothing is pending for `ops`."""
    await until_due(store, lambda due: due is None)


@asynccontextmanager
async def running(
    store: Store,
    *receivers: Notifier,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    expire_after: dict[str, timedelta] | None = None,
    on_outcome: Callable[[str, str], None] | None = None,
    drain: timedelta = timedelta(seconds=5),
) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(
        store,
        receivers,
        clock or SetClock(),
        rng=rng or Hurry(),
        expire_after=expire_after,
        on_outcome=on_outcome,
        drain=drain,
    )
    task = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        async with asyncio.timeout(20):
            await task


def test_backoff_doubles_from_a_second_to_five_minutes() -> None:
    """The longest wait doubles with each attempt up to the cap."""
    waits = [backoff(n, rng=Patience()) for n in (1, 2, 3, 9, 10, 5000)]
    seconds = [1, 2, 4, 256, 300, 300]
    assert waits == [timedelta(seconds=n) for n in seconds]


def test_backoff_is_spread_over_the_whole_wait() -> None:
    """Full jitter draws from nothing to the ceiling."""
    rng = random.Random(7)
    waits = [backoff(20, rng=rng) / CAP for _ in range(2000)]
    assert 0 <= min(waits) < 0.01
    assert 0.99 < max(waits) <= 1
    assert 0.45 < sum(waits) / len(waits) < 0.55


def test_backoff_honours_what_the_receiver_asks_for() -> None:
    """Retry-After is the least wait, within reason."""
    asked = timedelta(minutes=20)
    assert backoff(1, rng=Hurry(), retry_after=asked) == asked
    assert backoff(12, rng=Patience(), retry_after=timedelta(seconds=1)) == CAP
    assert backoff(1, rng=Hurry(), retry_after=timedelta(days=400)) == LONGEST


async def test_what_waits_at_start_is_delivered(store: Store) -> None:
    """Events queued before the start go out, in order, and are not sent again."""
    await queue(store, [event(n) for n in range(5)])
    ops = Receiver()
    async with running(store, ops):
        await empty(store)
    assert ops.accepted == [("I-1", n) for n in range(5)]
    assert len(ops.asked) == 5


async def test_wake_brings_a_new_event_out_at_once(store: Store) -> None:
    """An idle dispatcher delivers as soon as it is woken."""
    ops = Receiver()
    async with running(store, ops) as dispatcher:
        await asyncio.sleep(0.02)
        await queue(store, [event(1)])
        dispatcher.wake()
        await until(lambda: ops.accepted == [("I-1", 1)])


async def test_a_failing_key_keeps_its_order_and_holds_up_no_other(store: Store) -> None:
    """While the head of one key fails, other keys go out; then that key follows in order."""
    healed = False

    def answer(delivery: Delivery) -> Outcome:
        stuck = delivery.event.key == "bad" and not healed
        return Retry("503") if stuck else Accepted()

    ops = Receiver(answer=answer)
    keys = ["bad", "a", "b"]
    await queue(store, [event(n, key) for n in range(4) for key in keys])
    async with running(store, ops):
        await until(lambda: len(ops.accepted) == 8)
        assert {key for key, _ in ops.accepted} == {"a", "b"}
        healed = True
        await empty(store)
    for key in keys:
        assert [n for k, n in ops.accepted if k == key] == [0, 1, 2, 3]


async def test_a_dead_receiver_delays_no_other(store: Store) -> None:
    """One receiver hanging on every request leaves the other its deliveries."""
    hung, ops = Receiver("hung"), Receiver("ops")
    hung.gate.clear()
    await queue(store, [event(n, f"I-{n}") for n in range(30)], ["hung", "ops"])
    async with running(store, hung, ops, drain=timedelta(0)):
        await until(lambda: len(ops.accepted) == 30)
        await until(lambda: hung.at_once == 8)
    assert hung.most_at_once == 8
    assert hung.accepted == []


async def test_a_retry_keeps_the_webhook_id_and_counts_attempts(store: Store) -> None:
    """Every attempt at one delivery carries the same id, so that a receiver can tell repeats."""
    ops = Receiver(answer=lambda d: Retry("500") if d.attempts < 3 else Accepted())
    await queue(store, [event(1)])
    outcomes: list[tuple[str, str]] = []
    async with running(store, ops, on_outcome=lambda *told: outcomes.append(told)):
        await empty(store)
    assert [d.attempts for d in ops.asked] == [0, 1, 2, 3]
    assert len({d.webhook_id for d in ops.asked}) == 1
    assert outcomes == [("ops", "retry")] * 3 + [("ops", "accepted")]


async def test_a_retry_waits_for_its_time(store: Store) -> None:
    """Nothing is tried again before the back-off is over, woken or not."""
    clock = SetClock()
    ops = Receiver(answer=lambda d: Retry("429", after=timedelta(minutes=2)))
    await queue(store, [event(1)])
    async with running(store, ops, clock=clock) as dispatcher:
        await until(lambda: len(ops.asked) == 1)
        await asyncio.sleep(0.05)
        dispatcher.wake()
        await asyncio.sleep(0.05)
        assert len(ops.asked) == 1
        assert await store.next_due("ops") == NOW + timedelta(minutes=2)
        clock.time += timedelta(minutes=2)
        dispatcher.wake()
        await until(lambda: len(ops.asked) == 2)


async def test_a_rejected_delivery_is_dead_and_blocks_nothing(store: Store) -> None:
    """What the receiver will never take is listed as dead, with why; the next in line goes out."""
    ops = Receiver(
        answer=lambda d: Rejected("answered 410") if not d.event.data["n"] else Accepted()
    )
    await queue(store, [event(0), event(1)])
    async with running(store, ops):
        await empty(store)
    assert ops.accepted == [("I-1", 1)]
    (dead,) = await store.dead()
    assert (dead.event.data["n"], dead.attempts, dead.last_error) == (0, 1, "answered 410")


async def test_a_dead_delivery_sent_again_arrives(store: Store) -> None:
    """Re-sending a dead delivery delivers it under its old id."""
    ops = Receiver(answer=lambda d: Rejected("404") if len(ops.asked) == 1 else Accepted())
    await queue(store, [event(7)])
    async with running(store, ops) as dispatcher:
        await empty(store)
        assert await store.resend([d.id for d in await store.dead()], NOW) == 1
        dispatcher.wake()
        await until(lambda: ops.accepted == [("I-1", 7)])
    assert ops.asked[0].webhook_id == ops.asked[1].webhook_id


async def test_a_delivery_expires_after_a_last_attempt(store: Store) -> None:
    """The last attempt is made when the time is up, and then the delivery is dead."""
    clock = SetClock()
    outcomes: list[tuple[str, str]] = []
    ops = Receiver(answer=lambda d: Retry("500", after=timedelta(hours=1)))
    await queue(store, [event(1)])
    async with running(
        store,
        ops,
        clock=clock,
        expire_after={"ops": timedelta(minutes=10)},
        on_outcome=lambda *told: outcomes.append(told),
    ) as dispatcher:
        await until(lambda: len(ops.asked) == 1)
        await until_due(store, lambda due: due == NOW + timedelta(minutes=10))
        clock.time += timedelta(minutes=10)
        dispatcher.wake()
        await empty(store)
    assert outcomes == [("ops", "retry"), ("ops", "expired")]
    assert [d.last_error for d in await store.dead()] == ["500"]


async def test_a_clock_set_back_does_not_hold_alerts(store: Store) -> None:
    """A retry that a wrong clock put years ahead is made once the clock is right again."""
    clock = SetClock(NOW + timedelta(days=3650))
    ops = Receiver(answer=lambda d: Accepted() if d.attempts else Retry("500"))
    await queue(store, [event(1, at=clock.time)])
    async with running(store, ops, clock=clock, rng=Patience()) as dispatcher:
        await until(lambda: len(ops.asked) == 1)
        await until_due(store, lambda due: due is not None and due > clock.time)
        clock.time = NOW
        dispatcher.wake()
        await until(lambda: ops.accepted == [("I-1", 1)])


async def test_killed_between_acceptance_and_record_it_is_sent_again(store: Store) -> None:
    """A stop before the acceptance is recorded repeats the delivery, with the same id."""
    ops = Receiver()
    ops.gate.clear()
    await queue(store, [event(1)])
    task = asyncio.create_task(Dispatcher(store, [ops], SetClock()).run())
    await until(lambda: ops.at_once == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.next_due("ops") is not None

    ops.gate.set()
    async with running(store, ops):
        await empty(store)
    assert len(ops.asked) == 2
    assert ops.asked[0].webhook_id == ops.asked[1].webhook_id


async def test_a_stale_answer_of_the_outbox_repeats_nothing() -> None:
    """What the outbox told before an attempt was recorded does not start it a second time."""

    class Stale(MemoryStore):
        async def due(self, receiver: str, now: datetime, limit: int) -> list[Delivery]:
            found = await super().due(receiver, now, limit)
            await asyncio.sleep(0.02)  # meanwhile the attempts under way end
            return found

    store, ops = Stale(), Receiver()
    await queue(store, [event(n, f"I-{n}") for n in range(20)])
    async with running(store, ops) as dispatcher:
        async with asyncio.timeout(20):
            while len(ops.accepted) < 20:
                dispatcher.wake()
                await asyncio.sleep(0.003)
    assert len(ops.asked) == 20


async def test_stop_lets_what_is_under_way_end(store: Store) -> None:
    """A polite stop waits for the answer and records it, and takes up nothing new."""
    ops = Receiver()
    ops.gate.clear()
    await queue(store, [event(1), event(2)])
    dispatcher = Dispatcher(store, [ops], SetClock())
    task = asyncio.create_task(dispatcher.run())
    await until(lambda: ops.at_once == 1)
    dispatcher.stop()
    await asyncio.sleep(0.01)
    assert not task.done()
    ops.gate.set()
    await asyncio.wait_for(task, 5)
    (left,) = await store.due("ops", NOW, 10)
    assert left.event.data["n"] == 2


async def test_stop_does_not_wait_for_a_hung_receiver(store: Store) -> None:
    """After the drain time what still hangs is given up and stays pending."""
    ops = Receiver()
    ops.gate.clear()
    await queue(store, [event(1)])
    async with running(store, ops, drain=timedelta(milliseconds=20)):
        await until(lambda: ops.at_once == 1)
    assert await store.next_due("ops") == NOW


async def test_a_fault_in_a_notifier_is_a_retry(store: Store) -> None:
    """An exception in a notifier costs one attempt, not the dispatcher."""

    def answer(delivery: Delivery) -> Outcome:
        if delivery.attempts == 0:
            raise ZeroDivisionError
        return Accepted()

    ops = Receiver(answer=answer)
    await queue(store, [event(1)])
    async with running(store, ops):
        await empty(store)
    assert ops.accepted == [("I-1", 1)]


async def test_an_unreadable_store_is_survived() -> None:
    """Deliveries resume by themselves once the outbox can be read again."""
    store, ops = Failing(), Receiver()
    await queue(store, [event(1)])
    store.down = {"due"}
    async with running(store, ops):
        await until(lambda: len(store.refused) > 2)
        store.down = set()
        await until(lambda: ops.accepted == [("I-1", 1)])


async def test_an_acceptance_that_cannot_be_recorded_is_not_sent_twice() -> None:
    """While the store is unwritable the record is tried again, not the receiver."""
    store, ops = Failing(), Receiver()
    await queue(store, [event(1)])
    store.down = {"delivered"}
    async with running(store, ops):
        await until(lambda: len(store.refused) > 2)
        store.down = set()
        await empty(store)
    assert len(ops.asked) == 1


async def test_a_fault_of_ours_comes_out() -> None:
    """Anything but trouble of store or receiver ends the dispatcher loudly."""
    store = MemoryStore()

    def broken(*_: str) -> None:
        raise ZeroDivisionError

    await queue(store, [event(1)])
    with pytest.raises(ExceptionGroup) as caught:
        await Dispatcher(store, [Receiver()], SetClock(), on_outcome=broken).run()
    assert caught.value.subgroup(ZeroDivisionError) is not None


async def test_without_receivers_it_runs_until_stopped() -> None:
    """No receiver configured is no reason to end."""
    async with running(MemoryStore()) as dispatcher:
        dispatcher.wake()
        await asyncio.sleep(0.01)


async def test_two_receivers_of_one_name_are_refused() -> None:
    """A name stands for one receiver: two would each get half."""
    with pytest.raises(ValueError, match="share a name"):
        Dispatcher(MemoryStore(), [Receiver(), Receiver()], SetClock())
