"""The store: one contract for the file and its stand-in, then what only a file can do."""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from monitor.adapters.store import (
    REASON_CODES,
    RESULT_CODES,
    STATE_CODES,
    TABLES,
    VERDICT_CODES,
    SqliteStore,
    canonical,
    from_us,
    to_us,
)
from monitor.core.alert import Event
from monitor.core.fact import Fact
from monitor.core.verdict import Observation, Reason, Result
from monitor.errors import StoreError, StoreUnwritable
from monitor.ports import Change, Delivery, OutageRow, Outbox, Sample, SpanRow
from tests.fakes import MemoryStore

ROOT = Path(__file__).parents[2]
Store = SqliteStore | MemoryStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def sample(
    endpoint: str,
    seconds: float,
    result: Result = Result.UP,
    reason: Reason = Reason.OK,
    *,
    duration_us: int = 41_250,
    status: int | None = 401,
) -> Sample:
    return Sample(Observation(endpoint, at(seconds), result, reason), duration_us, status)


def span(endpoint: str, start: float, end: float, state: str = "up") -> SpanRow:
    return SpanRow(endpoint, at(start), at(end), state)


def event(key: str, number: int = 0) -> Event:
    return Event(at(number), "incident.opened", key, {"number": number})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.db"


@pytest.fixture
def sqlite(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.open(path) as store:
        yield store


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    found: SqliteStore = request.getfixturevalue("sqlite")
    return found


# The contract: observations


async def test_observations_come_back_as_they_went_in(store: Store) -> None:
    """Result, reason, instant, duration and status are kept exactly."""
    samples = [
        sample("a", 0.000001, status=None),
        sample("a", 30, Result.DOWN, Reason.STATUS_5XX, duration_us=0, status=503),
        sample("a", 60, Result.LOCAL, Reason.LOCAL_STORE, duration_us=15_000_000, status=None),
    ]
    await store.commit(Change(samples=samples))
    assert store.observations("a", T0, T0 + HOUR) == samples


async def test_observations_are_half_open_and_in_order(store: Store) -> None:
    """The start is in, the end is out, whatever the order of writing."""
    for seconds in (90, 0, 60, 30):
        await store.commit(Change(samples=[sample("a", seconds), sample("b", seconds)]))
    found = store.observations("a", at(30), at(90))
    assert found == [sample("a", 30), sample("a", 60)]
    assert store.observations("nobody", T0, T0 + HOUR) == []


async def test_repeated_observation_is_ignored(store: Store) -> None:
    """Of two observations of one endpoint at one instant the first stands."""
    await store.commit(Change(samples=[sample("a", 0), sample("a", 0, Result.DOWN, Reason.DNS)]))
    await store.commit(Change(samples=[sample("a", 0, Result.DOWN, Reason.DNS)]))
    assert store.observations("a", T0, T0 + HOUR) == [sample("a", 0)]


async def test_observations_since_each_endpoints_instant(store: Store) -> None:
    """Each endpoint is read from its own instant on, and all by time, then endpoint."""
    await store.commit(
        Change(samples=[sample(name, seconds) for name in "bac" for seconds in (0, 30, 60)])
    )
    found = store.observations_since({"b": at(30), "a": at(60), "nobody": at(0)})
    assert found == [sample("b", 30), sample("a", 60), sample("b", 60)]
    assert store.observations_since({}) == []


async def test_all_observations_by_time_and_endpoint(store: Store) -> None:
    """Export order is time, then endpoint id, across endpoints, slices and long silences."""
    seconds = [0, 299, 300, 301, 4_000_000, 4_000_300, 40_000_000]
    samples = [sample(name, second) for name in ("b", "a") for second in seconds]
    await store.commit(Change(samples=samples))
    by_time = sorted(samples, key=lambda s: (s.observation.at, s.observation.endpoint))
    assert list(store.iter_observations()) == by_time
    assert list(store.iter_observations(at(300), at(4_000_300))) == [
        sample(name, second) for second in (300, 301, 4_000_000) for name in ("a", "b")
    ]
    assert list(store.iter_observations(at(40_000_001))) == []


async def test_nothing_stored_reads_as_nothing(store: Store) -> None:
    """A new store answers every question with nothing."""
    await store.commit(Change())
    assert list(store.facts()) == []
    assert list(store.iter_observations()) == []
    assert list(store.spans()) == []
    assert list(store.outages()) == []
    assert store.frontiers() == {}
    assert store.queue_stats() == {}
    assert await store.dead() == []
    assert await store.due("ops", T0, 10) == []
    assert await store.next_due("ops") is None


# The contract: facts


async def test_facts_are_numbered_and_read_from_any(store: Store) -> None:
    """Facts keep their order and content, in any script, and reading goes on where it ended."""
    facts = [
        Fact(at(n), "declaration", {"id": f"D-{n}", "reason": "Prüfung ✓", "list": [1, None, 2.5]})
        for n in range(2500)
    ]
    await store.commit(Change(facts=facts[:1200]))
    await store.commit(Change(facts=facts[1200:]))
    assert list(store.facts()) == list(enumerate(facts, start=1))
    assert list(store.facts(after=2498)) == [(2499, facts[2498]), (2500, facts[2499])]


# The contract: spans and outages


async def test_adjacent_spans_of_one_state_are_one(store: Store) -> None:
    """A span that goes on where the last ended, in its state, lengthens it."""
    await store.commit(Change(spans=[span("a", 0, 30), span("a", 30, 60), span("b", 60, 90)]))
    await store.commit(Change(spans=[span("a", 60, 90)]))
    await store.commit(Change(spans=[span("a", 90, 120, "down"), span("a", 150, 180, "down")]))
    assert list(store.spans()) == [
        span("a", 0, 90),
        span("a", 90, 120, "down"),
        span("a", 150, 180, "down"),
        span("b", 60, 90),
    ]
    assert store.frontiers() == {"a": at(180), "b": at(90)}


async def test_spans_from_an_instant(store: Store) -> None:
    """Reading from an instant gives the spans that end after it, whole."""
    rows = [span("a", n * 10, n * 10 + 10, state) for n, state in enumerate(STATE_CODES)]
    await store.commit(Change(spans=[*rows, span("b", 0, 5), span("b", 60, 70)]))
    assert list(store.spans(at(15))) == [*rows[1:], span("b", 60, 70)]
    assert list(store.spans(at(20))) == [*rows[2:], span("b", 60, 70)]
    assert list(store.spans(at(55))) == [span("b", 60, 70)]
    assert list(store.spans(at(70))) == []


async def test_overlapping_span_is_refused(store: Store) -> None:
    """A span that overlaps what is settled is an error and changes nothing."""
    await store.commit(Change(spans=[span("a", 0, 30)]))
    with pytest.raises(ValueError, match="overlaps"):
        await store.commit(Change(samples=[sample("a", 0)], spans=[span("a", 29, 60)]))
    assert list(store.spans()) == [span("a", 0, 30)]
    assert store.observations("a", T0, T0 + HOUR) == []


async def test_outages_are_updated_by_key(store: Store) -> None:
    """An outage is stored open, then gets its end; others stay as they are."""
    first = OutageRow("b", at(0), at(60), None)
    other = OutageRow("a", at(10), at(70), at(100))
    await store.commit(Change(outages=[first, other]))
    assert list(store.outages()) == [other, first]
    ended = OutageRow("b", at(0), at(60), at(300))
    await store.commit(Change(outages=[ended]))
    assert list(store.outages()) == [other, ended]


async def test_derived_rows_are_replaced(store: Store) -> None:
    """Rebuilding puts the new spans and outages in place of all the old ones."""
    await store.commit(
        Change(spans=[span("a", 0, 30), span("b", 0, 30)], outages=[OutageRow("a", T0, T0, None)])
    )
    spans = [span("a", 30, 60, "down"), span("a", 0, 15), span("a", 15, 30)]
    await store.replace_derived(spans, [OutageRow("a", at(30), at(40), None)])
    assert list(store.spans()) == [span("a", 0, 30), span("a", 30, 60, "down")]
    assert list(store.outages()) == [OutageRow("a", at(30), at(40), None)]


# The contract: the outbox


async def numbers(store: Outbox, receiver: str, now: datetime, limit: int = 100) -> list[int]:
    return [due.event.data["number"] for due in await store.due(receiver, now, limit)]


async def head(store: Outbox, receiver: str, now: datetime = T0 + HOUR) -> Delivery:
    return (await store.due(receiver, now, 1))[0]


async def test_events_reach_each_receiver(store: Store) -> None:
    """Each receiver gets its own delivery, all of one event under one webhook id."""
    change = Change(events=[event("I-1", 1), event("I-2", 2)], receivers=["ops", "audit"])
    await store.commit(change)
    ops = await store.due("ops", at(10), 10)
    audit = await store.due("audit", at(10), 10)
    assert [due.event for due in ops] == [event("I-1", 1), event("I-2", 2)]
    assert [due.webhook_id for due in ops] == [due.webhook_id for due in audit]
    assert len({due.webhook_id for due in ops}) == 2
    assert all(re.fullmatch("msg_[0-9a-f]{32}", due.webhook_id) for due in ops)

    assert len({due.id for due in ops + audit}) == 4
    first = ops[0]
    assert (first.receiver, first.attempts, first.first_at) == ("ops", 0, at(1))
    assert (first.state, first.last_error) == ("pending", None)


async def test_a_receiver_gets_the_types_it_asked_for(store: Store) -> None:
    """An event is queued for those that want its type; a test for everyone, whatever they want."""
    wanted, told = event("I-1", 1), Event(at(2), "test", "test", {"number": 2})
    wants = {"ops": ["incident.*"], "audit": ["slo.*", "ledger.head"]}
    receivers = ["ops", "audit", "all"]
    await store.commit(Change(events=[wanted, told], receivers=receivers, wants=wants))
    later = wanted.at + timedelta(hours=1)
    queued = {
        name: [one.event.type for one in await store.due(name, later, 9)] for name in receivers
    }
    assert queued == {
        "ops": [wanted.type, "test"],
        "audit": ["test"],
        "all": [wanted.type, "test"],
    }
    assert await store.due("nobody", at(10), 10) == []


async def test_one_delivery_per_key_in_order(store: Store) -> None:
    """Of one incident only the oldest undelivered event is due; others do not wait for it."""
    events = [event("I-1", 1), event("I-1", 2), event("I-2", 3), event("I-1", 4)]
    await store.commit(Change(events=events, receivers=["ops"]))
    assert await numbers(store, "ops", at(10)) == [1, 3]
    assert await numbers(store, "ops", at(10), limit=1) == [1]
    await store.delivered(await head(store, "ops"), at(11))
    assert await numbers(store, "ops", at(12)) == [2, 3]


async def test_delivery_waits_until_it_is_due(store: Store) -> None:
    """A failed delivery comes again at its time, and holds back only its own key."""
    events = [event("I-1", 1), event("I-1", 2), event("I-2", 3)]
    await store.commit(Change(events=events, receivers=["ops"]))
    first = await head(store, "ops")
    await store.failed(first, at(10), error="503", retry_at=at(40))
    assert await numbers(store, "ops", at(39)) == [3]
    await store.delivered(await head(store, "ops", at(39)), at(39))
    assert await store.next_due("ops") == at(40)
    again = await head(store, "ops", at(40))
    assert (again.id, again.attempts, again.last_error) == (first.id, 1, "503")
    assert (again.webhook_id, again.first_at) == (first.webhook_id, first.first_at)


async def test_dead_delivery_no_longer_blocks_and_can_be_sent_again(store: Store) -> None:
    """A dead delivery is listed, lets the next one pass, and starts anew when sent again."""
    events = [event("I-1", 1), event("I-1", 2)]
    await store.commit(Change(events=events, receivers=["ops", "audit"]))
    await store.failed(await head(store, "ops"), at(10), error="410 Gone", retry_at=None)
    assert await numbers(store, "ops", at(10)) == [2]
    dead = await store.dead()
    assert [(d.receiver, d.state, d.attempts, d.last_error) for d in dead] == [
        ("ops", "dead", 1, "410 Gone")
    ]
    assert store.queue_stats() == {"audit": (2, at(1), 0), "ops": (1, at(2), 1)}
    pending = await head(store, "ops")
    assert await store.resend([dead[0].id, pending.id, 999], at(20)) == 1
    assert await store.dead() == []
    again = await head(store, "ops", at(20))
    assert (again.id, again.attempts, again.first_at) == (dead[0].id, 0, at(20))
    assert await numbers(store, "ops", at(20)) == [1]
    assert await store.resend([dead[0].id], at(30)) == 0


async def test_delivered_is_final(store: Store) -> None:
    """What was accepted is never due, dead or pending again."""
    await store.commit(Change(events=[event("I-1", 1)], receivers=["ops"]))
    delivery = await head(store, "ops")
    await store.delivered(delivery, at(2))
    await store.delivered(delivery, at(3))
    await store.failed(delivery, at(4), error="late", retry_at=None)
    assert await store.resend([delivery.id], at(5)) == 0
    assert await store.next_due("ops") is None
    assert await store.dead() == []
    assert store.queue_stats() == {}


# Codes


def test_codes_cover_every_name_once() -> None:
    """Every result and reason has a code of its own, and so has every pair of them."""
    assert set(RESULT_CODES) == set(Result)
    assert set(REASON_CODES) == set(Reason)
    assert len(set(VERDICT_CODES.values())) == len(Result) * len(Reason)


def test_codes_never_change() -> None:
    """The numbers in files already written keep their meaning: only additions pass here."""
    assert [r.value for r in RESULT_CODES] == ["up", "impaired", "down", "local"]
    assert list(RESULT_CODES.values()) == list(range(4))
    first = (
        "ok slow status_unexpected status_5xx redirect rate_limited authorisation_missing"
        " tls_version tls_certificate tls_refused tls_handshake dns connect_refused"
        " connect_timeout connect_reset response_timeout response_invalid no_route"
        " local_identity local_dns local_network local_clock local_overload local_store"
    )
    assert " ".join(REASON_CODES)[: len(first)] == first
    assert list(REASON_CODES.values()) == list(range(len(REASON_CODES)))
    assert STATE_CODES == {"up": 0, "unconfirmed": 1, "impaired": 2, "down": 3, "unknown": 4}
    assert VERDICT_CODES[Result.UP, Reason.OK] == 0
    assert VERDICT_CODES[Result.DOWN, Reason.DNS] == 90
    assert max(RESULT_CODES.values()) < 8


def test_instants_are_exact() -> None:
    """An instant comes back to the microsecond, from any zone, for centuries; naive ones do not."""
    for instant in (
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        datetime.max.replace(tzinfo=UTC),
    ):
        assert from_us(to_us(instant)) == instant
    summer = datetime(2026, 7, 1, 1, tzinfo=timezone(HOUR))
    assert from_us(to_us(summer)) == datetime(2026, 7, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="without a zone"):
        to_us(datetime(2026, 7, 1))  # noqa: DTZ001


def test_canonical_json_is_one_text_per_value() -> None:
    """Equal bodies are equal bytes, and what JSON cannot say is refused."""
    assert canonical({"b": [1, None], "a": "é"}) == '{"a":"é","b":[1,null]}'
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": float("nan")})


# Transactions


async def test_change_is_all_or_nothing(sqlite: SqliteStore) -> None:
    """A change with one bad part leaves nothing behind, not even a new endpoint's number."""
    change = Change(
        samples=[sample("new", 0)],
        facts=[Fact(T0, "x", {})],
        events=[event("I-1"), Event(T0, "bad", "I-1", {"x": object()})],
        receivers=["ops"],
    )
    with pytest.raises(TypeError):
        await sqlite.commit(change)
    assert set(sqlite.counts().values()) == {0}
    await sqlite.commit(Change(samples=[sample("other", 0), sample("new", 0)]))
    assert [s.observation.endpoint for s in sqlite.iter_observations()] == ["new", "other"]


async def test_bad_change_undoes_no_other(sqlite: SqliteStore) -> None:
    """Among many committed together, only the bad ones fail, each with its own error."""

    def change(n: int) -> Change:
        seconds = -1 if n % 10 == 3 else 10  # a negative duration is refused
        return Change(samples=[sample(f"e{n}", n, duration_us=seconds)])

    outcomes = await asyncio.gather(
        *(sqlite.commit(change(n)) for n in range(100)), return_exceptions=True
    )
    failed = [n for n, outcome in enumerate(outcomes) if outcome is not None]
    assert failed == list(range(3, 100, 10))
    assert {type(outcomes[n]) for n in failed} == {StoreError}
    assert sqlite.counts()["observations"] == sqlite.counts()["endpoints"] == 90
    assert sqlite.check() == []


async def test_many_commits_share_few_transactions(path: Path) -> None:
    """Five hundred tasks that commit at once are written in groups, and all are there."""
    groups: list[tuple[float, int]] = []
    store = SqliteStore.open(path, on_write=lambda seconds, items: groups.append((seconds, items)))
    with store:
        await asyncio.gather(
            *(
                store.commit(Change(samples=[sample(f"e{n}", 0)], facts=[Fact(T0, "x", {"n": n})]))
                for n in range(500)
            )
        )
        assert sorted(fact.body["n"] for _, fact in store.facts()) == list(range(500))
        assert store.counts()["observations"] == 500
    assert sum(items for _, items in groups) == 500
    assert len(groups) < 250
    assert all(seconds >= 0 for seconds, _ in groups)


async def test_commits_keep_their_order(sqlite: SqliteStore) -> None:
    """Changes of one task are numbered in the order they were handed in."""
    commits = [sqlite.commit(Change(facts=[Fact(T0, "x", {"n": n})])) for n in range(50)]
    await asyncio.gather(*commits)
    assert [fact.body["n"] for _, fact in sqlite.facts()] == list(range(50))


async def test_cancelled_wait_harms_nobody(sqlite: SqliteStore) -> None:
    """A task that stops waiting neither loses its change nor disturbs another's."""
    waiting = asyncio.create_task(sqlite.commit(Change(facts=[Fact(T0, "x", {"n": 1})])))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await sqlite.commit(Change(facts=[Fact(T0, "x", {"n": 2})]))
    assert [fact.body["n"] for _, fact in sqlite.facts()] == [1, 2]


async def test_endpoint_numbers_survive_reopening(path: Path) -> None:
    """An endpoint keeps its number, so its history, over restarts."""
    for seconds in (0, 30):
        with SqliteStore.open(path) as store:
            await store.commit(Change(samples=[sample("b", seconds), sample("a", seconds)]))
            assert store.counts()["endpoints"] == 2
            last = store.observations("a", T0, T0 + HOUR)[-1]
            assert last == sample("a", seconds)


# Trouble


def raw(store: SqliteStore) -> sqlite3.Connection:
    """The writer's own connection; only for settings, and only while nothing is written."""
    assert store._writer is not None
    return store._writer._connection


def test_writer_is_durable(sqlite: SqliteStore) -> None:
    """Commits are synced to disk before they return, and references are held."""
    for pragma, value in (("synchronous", 2), ("foreign_keys", 1), ("journal_mode", "wal")):
        assert raw(sqlite).execute(f"PRAGMA {pragma}").fetchone() == (value,)


async def test_full_disk_is_unwritable_then_recovers(sqlite: SqliteStore) -> None:
    """A full database refuses changes whole; once there is room the same change is stored."""
    await sqlite.commit(Change(samples=[sample("a", 0)]))
    pages = raw(sqlite).execute("PRAGMA page_count").fetchone()[0]
    raw(sqlite).execute(f"PRAGMA max_page_count = {pages + 2}")
    big = Change(samples=[sample("fresh", n) for n in range(5000)], facts=[Fact(T0, "x", {"n": 1})])
    small = Change(facts=[Fact(T0, "x", {"n": 2})])
    outcomes = await asyncio.gather(
        sqlite.commit(big), sqlite.commit(small), return_exceptions=True
    )
    assert isinstance(outcomes[0], StoreUnwritable)
    assert "disk is full" in str(outcomes[0])
    assert "fresh" not in {s.observation.endpoint for s in sqlite.iter_observations()}
    raw(sqlite).execute("PRAGMA max_page_count = 1000000")
    await sqlite.commit(big)
    assert sqlite.counts()["observations"] == 5001
    assert sqlite.check() == []


LIMITED = """
import asyncio, resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from monitor.adapters.store import SqliteStore
from monitor.core.fact import Fact
from monitor.errors import StoreUnwritable
from monitor.ports import Change

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    now, written = datetime(2026, 3, 1, tzinfo=UTC), 0
    change = Change(facts=[Fact(now, "x", {"text": "x" * 10000})])
    with SqliteStore.open(Path(sys.argv[1])) as store:
        limit(200_000)
        try:
            for _ in range(100):
                await store.commit(change)
                written += 1
        except StoreUnwritable:
            print("refused after some:", 0 < written < 100)
        try:
            await store.commit(change)
        except StoreUnwritable:
            print("refused again")
        print("nothing half written:", sum(1 for _ in store.facts()) == written)
        limit(resource.RLIM_INFINITY)
        await store.commit(change)
        print("recovered:", sum(1 for _ in store.facts()) == written + 1, store.check())

asyncio.run(main())
"""


def test_write_errors_of_the_system_are_survived(path: Path) -> None:
    """When the system refuses to let the files grow, changes are refused; then writing goes on."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.stdout.splitlines() == [
        "refused after some: True",
        "refused again",
        "nothing half written: True",
        "recovered: True []",
    ], done.stderr


async def test_read_only_database_is_unwritable_then_recovers(sqlite: SqliteStore) -> None:
    """While the database is read-only, changes are refused and reading goes on."""
    await sqlite.commit(Change(facts=[Fact(T0, "x", {})]))
    raw(sqlite).execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnwritable, match="read-only"):
        await sqlite.commit(Change(facts=[Fact(T0, "y", {})]))
    assert len(list(sqlite.facts())) == 1
    raw(sqlite).execute("PRAGMA query_only = OFF")
    await sqlite.commit(Change(facts=[Fact(T0, "y", {})]))
    assert len(list(sqlite.facts())) == 2


async def test_locked_database_is_unwritable_then_recovers(path: Path) -> None:
    """While another program holds the database, changes are refused; afterwards they are stored."""
    change = Change(facts=[Fact(T0, "x", {})])
    with (
        SqliteStore.open(path, busy_timeout=timedelta(milliseconds=20)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as intruder,
    ):
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnwritable, match="another program"):
            await store.commit(change)
        intruder.execute("ROLLBACK")
        await store.commit(change)
        assert len(list(store.facts())) == 1


async def test_moved_file_is_unwritable_until_it_is_back(sqlite: SqliteStore, path: Path) -> None:
    """Nothing is acknowledged into a file that was moved away; put back, it is written again."""
    change = Change(facts=[Fact(T0, "x", {})])
    away = path.with_name("away.db")
    os.rename(path, away)
    with pytest.raises(StoreUnwritable, match="moved or replaced"):
        await sqlite.commit(change)
    os.rename(away, path)
    await sqlite.commit(change)
    assert sqlite.counts()["facts"] == 1


def damage(path: Path) -> None:
    """Overwrite the file's middle."""
    content = bytearray(path.read_bytes())
    content[4096 * 20 : 4096 * 60] = b"\xff" * (4096 * 40)
    path.write_bytes(content)


async def test_damage_is_not_taken_for_passing_trouble(path: Path) -> None:
    """A damaged file is a StoreError that says to restore a backup, and `check` finds it."""
    with SqliteStore.open(path) as store:
        await store.commit(Change(facts=[Fact(T0, "x", {"n": "n" * 9000})] * 50))
    damage(path)
    with SqliteStore.open(path, read_only=True) as store:
        with pytest.raises(StoreError, match="damaged") as caught:
            list(store.facts())
        assert not isinstance(caught.value, StoreUnwritable)
        assert any("malformed" in fault for fault in store.check())


async def test_failing_hook_stops_the_writer_loudly(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the writer's thread dies, it says so and every later change fails: none waits for ever."""
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))

    def hook(seconds: float, items: int) -> None:
        raise ZeroDivisionError

    store = SqliteStore.open(path, on_write=hook)
    change = Change(facts=[Fact(T0, "x", {})])
    await store.commit(change)
    with pytest.raises(StoreError, match=r"stopped|closed"):
        await store.commit(change)
    store.close()
    assert seen == [ZeroDivisionError]


# Opening and closing


async def test_close_writes_what_waits(path: Path) -> None:
    """Closing drains the queue first; afterwards everything is refused."""
    store = SqliteStore.open(path)
    waiting = [
        asyncio.create_task(store.commit(Change(facts=[Fact(T0, "x", {"n": n})])))
        for n in range(100)
    ]
    await asyncio.sleep(0)
    store.close()
    store.close()
    await asyncio.gather(*waiting)
    for call in (
        store.commit(Change()),
        store.due("ops", T0, 1),
        store.backup(path.with_name("copy.db")),
    ):
        with pytest.raises(StoreError, match="closed"):
            await call
    with pytest.raises(StoreError, match="closed"):
        list(store.facts())
    assert not path.with_name("m.db-wal").exists()
    with SqliteStore.open(path, read_only=True) as again:
        assert len(list(again.facts())) == 100


async def test_close_is_bounded(path: Path) -> None:
    """A writer that cannot get on does not hold up the end for ever."""
    store = SqliteStore.open(path, busy_timeout=timedelta(seconds=1))
    with closing(sqlite3.connect(path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.commit(Change(facts=[Fact(T0, "x", {})])))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnwritable, match=r"within 0\.05 s"):
            store.close(timedelta(milliseconds=50))
        intruder.execute("ROLLBACK")
    await waiting
    store.close()


async def test_read_only_store_reads_beside_a_writer(sqlite: SqliteStore, path: Path) -> None:
    """Another opening for reading sees what was committed, and cannot write."""
    with SqliteStore.open(path, read_only=True) as reader:
        await sqlite.commit(Change(facts=[Fact(T0, "x", {})]))
        assert len(list(reader.facts())) == 1
        with pytest.raises(StoreError, match="reading only"):
            await reader.commit(Change())
        with pytest.raises(StoreError, match="reading only"):
            await reader.resend([1], T0)


async def test_readers_in_many_threads(sqlite: SqliteStore) -> None:
    """Threads read at once, an iterator may change threads, and connections are shared out."""
    await sqlite.commit(Change(facts=[Fact(T0, "x", {"n": n}) for n in range(3000)]))
    iterator = sqlite.facts()
    assert next(iterator)[0] == 1
    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(lambda _: sum(1 for _ in sqlite.facts()), range(32)))
        assert counts == [3000] * 32
        assert threads.submit(lambda: sum(1 for _ in iterator)).result() == 2999
    assert len(sqlite._idle) <= 9


async def test_slow_reader_sees_no_half_and_blocks_nobody(sqlite: SqliteStore) -> None:
    """An export under way takes no lock: writing goes on between its rows."""
    await sqlite.commit(Change(samples=[sample("a", n * 400) for n in range(10)]))
    export = sqlite.iter_observations()
    next(export)
    await sqlite.commit(Change(samples=[sample("b", n * 400) for n in range(10)]))
    assert raw(sqlite).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert len(list(export)) == 18


# Retention


async def test_prune_keeps_what_is_not_settled(sqlite: SqliteStore) -> None:
    """Old observations go, in chunks, up to a settled up span; what is unsettled stays."""
    samples = [sample("a", n * 30) for n in range(100)]
    failing = [sample("b", n * 30, Result.DOWN, Reason.DNS) for n in range(100)]
    await sqlite.commit(
        Change(
            samples=samples + failing,
            spans=[span("a", 0, 1500), span("b", 0, 1500, "down")],
        )
    )
    assert await sqlite.prune_observations(at(1000), chunk=7) == 33
    assert sqlite.observations("a", T0, T0 + HOUR)[0] == sample("a", 990)
    assert len(sqlite.observations("b", T0, T0 + HOUR)) == 100
    assert sqlite.horizons() == {"a": at(990)}
    assert await sqlite.prune_observations(at(100_000)) == 16
    assert sqlite.horizons() == {"a": at(1470)}
    assert await sqlite.prune_observations(at(100_000)) == 0
    assert sqlite.check() == []


async def test_prune_lets_other_writes_pass(path: Path) -> None:
    """A commit handed in during pruning does not wait for its end."""
    order: list[str] = []
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wrote(seconds: float, items: int) -> None:
        loop.call_soon_threadsafe(begun.set)

    with SqliteStore.open(path, on_write=wrote) as store:
        await store.commit(
            Change(samples=[sample("a", n) for n in range(3000)], spans=[span("a", 0, 3000)])
        )
        begun.clear()

        async def prune() -> None:
            await store.prune_observations(at(3000), chunk=10)
            order.append("pruned")

        async def write() -> None:
            await begun.wait()
            await store.commit(Change(facts=[Fact(T0, "x", {})]))
            order.append("written")

        await asyncio.gather(prune(), write())
    assert order == ["written", "pruned"]


async def test_rebuilding_keeps_what_was_pruned(sqlite: SqliteStore) -> None:
    """Derived rows older than the kept observations survive a rebuild, joined to the new ones."""
    old = [span("a", 0, 300), span("a", 300, 600, "down"), span("a", 600, 1500)]
    outages = [OutageRow("a", at(300), at(360), at(600)), OutageRow("b", at(0), at(60), None)]
    await sqlite.commit(
        Change(samples=[sample("a", n * 30) for n in range(50)], spans=old, outages=outages)
    )
    await sqlite.prune_observations(at(900))
    derived = [span("a", 0, 900, "unknown"), span("a", 900, 1490), span("a", 1490, 1500, "down")]
    await sqlite.replace_derived(derived, [OutageRow("a", at(1490), at(1495), None)])
    assert list(sqlite.spans()) == [*old[:2], span("a", 600, 1490), span("a", 1490, 1500, "down")]
    assert list(sqlite.outages()) == [outages[0], OutageRow("a", at(1490), at(1495), None)]


# Care


async def fill(store: SqliteStore) -> None:
    await store.commit(
        Change(
            samples=[sample("a", n) for n in range(1000)],
            facts=[Fact(T0, "x", {})],
            spans=[span("a", 0, 30)],
            events=[event("I-1")],
            receivers=["ops"],
        )
    )


async def test_counts_and_size(sqlite: SqliteStore) -> None:
    """Every table is counted, and the size on disk includes the log."""
    await fill(sqlite)
    assert sqlite.counts() == dict(zip(TABLES, (1, 1000, 1, 1, 0, 1, 1, 0), strict=True))
    files = [f"{sqlite.path}{suffix}" for suffix in ("", "-wal", "-shm")]
    assert sqlite.size_bytes() == sum(os.stat(file).st_size for file in files)


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["INSERT INTO spans VALUES (1, -5000000, 1772323205000000, 0)"], "spans overlap: a at"),
        (
            [
                "INSERT INTO outages VALUES (1, 5, 6, NULL)",
                "INSERT INTO outages VALUES (1, 7, 8, 9)",
            ],
            "outages overlap: a at 7",
        ),
        (["UPDATE spans SET state = 99"], "spans of an unknown state: a at"),
        (["UPDATE observations SET verdict = 9999 WHERE t % 7 = 0"], "unknown verdict: a at"),
        (
            ["INSERT INTO facts VALUES (9, 0, 'x', '{', hex(zeroblob(32)))"],
            "facts that are not JSON: 9",
        ),
        (["UPDATE events SET body = 'no'"], "events that are not JSON: 1"),
        (["UPDATE deliveries SET event = 77"], "deliveries: row 1 refers to nothing in events"),
    ],
)
async def test_check_finds_what_is_wrong(
    sqlite: SqliteStore, path: Path, statements: Sequence[str], fault: str
) -> None:
    """A sound store has no faults; each kind of fault is found and placed."""
    await fill(sqlite)
    assert sqlite.check() == []
    sqlite.close()
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    with SqliteStore.open(path, read_only=True) as damaged:
        assert any(fault in text for text in damaged.check())


def names(directory: Path, containing: str) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if containing in path.name)


async def test_backup_is_a_whole_store(sqlite: SqliteStore, tmp_path: Path) -> None:
    """A backup made in use opens as a store with the same content, for its owner only."""
    await fill(sqlite)
    copy = tmp_path / "it's a copy.db"
    await asyncio.gather(sqlite.backup(copy), sqlite.commit(Change(samples=[sample("z", 0)])))
    assert copy.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path, "copy") == [copy.name]
    with SqliteStore.open(copy) as restored:
        assert restored.check() == []
        assert list(restored.facts()) == list(sqlite.facts())
        assert restored.observations("a", T0, T0 + HOUR) == sqlite.observations("a", T0, T0 + HOUR)
        await restored.commit(Change(samples=[sample("b", 0)]))


async def test_backup_never_overwrites(sqlite: SqliteStore, tmp_path: Path) -> None:
    """An existing file is refused and kept, a bad place is explained, and nothing is left over."""
    copy = tmp_path / "copy.db"
    copy.write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        await sqlite.backup(copy)
    assert copy.read_text() == "precious"
    with pytest.raises(StoreError, match="choose another place"):
        await sqlite.backup(tmp_path / "none" / "copy.db")
    assert names(tmp_path, ".part") == []


def test_month_of_observations_is_compact(path: Path, make_month: Callable[[Path], int]) -> None:
    """Written in order of time over 100 endpoints, an observation takes at most 40 bytes."""
    rows = make_month(path)
    assert path.stat().st_size / rows <= 40


@pytest.fixture
def make_month() -> Callable[[Path], int]:
    """Writes 200,000 observations in rounds, each endpoint at its own phase, some failing."""

    def fill_month(path: Path) -> int:
        async def write(store: SqliteStore) -> None:
            for turn in range(0, 2000, 10):
                await store.commit(
                    Change(
                        samples=[
                            sample(
                                f"e{n}",
                                (turn + step) * 30 + n * 0.3,
                                Result.DOWN if n % 10 == 0 else Result.UP,
                                Reason.CONNECT_TIMEOUT if n % 10 == 0 else Reason.OK,
                                duration_us=15_000_000 if n % 10 == 0 else 60_000 + n,
                                status=None if n % 10 == 0 else 401,
                            )
                            for step in range(10)
                            for n in range(100)
                        ]
                    )
                )

        with SqliteStore.open(path) as store:
            asyncio.run(write(store))
        return 200_000

    return fill_month
