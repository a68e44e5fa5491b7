"""The store: facts appended to one SQLite file, with what they caused, in one transaction.

Schema: `migrations.py`. Writing: `writer.py`. Facts and observations are the truth; spans and
outages are derived from them and can be rebuilt (`replace_derived`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlite_utils import Database

from monitor.adapters import chain
from monitor.adapters.migrations import APPLICATION_ID, migrations
from monitor.adapters.writer import OnWrite, Writer, store_error
from monitor.core.alert import Event
from monitor.core.fact import Fact
from monitor.core.ledger import GENESIS, UPKEEP, canonical
from monitor.core.verdict import Observation, Reason, Result
from monitor.errors import StoreError
from monitor.ports import Change, Delivery, OutageRow, Receipt, Sample, SpanRow

T = TypeVar("T")
Row = tuple[Any, ...]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
RECEIPTS_KEPT = timedelta(hours=48)
"""How long a request that was done is known again; clients repeat within a day."""
TABLES = (
    "endpoints",
    "observations",
    "facts",
    "spans",
    "outages",
    "events",
    "deliveries",
    "receipts",
)

# What stands in the file for a name. Never change or reuse a number; add new ones at the end.
RESULT_CODES = {Result.UP: 0, Result.IMPAIRED: 1, Result.DOWN: 2, Result.LOCAL: 3}
REASON_CODES = {
    Reason.OK: 0,
    Reason.SLOW: 1,
    Reason.STATUS_UNEXPECTED: 2,
    Reason.STATUS_5XX: 3,
    Reason.REDIRECT: 4,
    Reason.RATE_LIMITED: 5,
    Reason.AUTHORISATION_MISSING: 6,
    Reason.TLS_VERSION: 7,
    Reason.TLS_CERTIFICATE: 8,
    Reason.TLS_REFUSED: 9,
    Reason.TLS_HANDSHAKE: 10,
    Reason.DNS: 11,
    Reason.CONNECT_REFUSED: 12,
    Reason.CONNECT_TIMEOUT: 13,
    Reason.CONNECT_RESET: 14,
    Reason.RESPONSE_TIMEOUT: 15,
    Reason.RESPONSE_INVALID: 16,
    Reason.NO_ROUTE: 17,
    Reason.LOCAL_IDENTITY: 18,
    Reason.LOCAL_DNS: 19,
    Reason.LOCAL_NETWORK: 20,
    Reason.LOCAL_CLOCK: 21,
    Reason.LOCAL_OVERLOAD: 22,
    Reason.LOCAL_STORE: 23,
}
STATE_CODES = {"up": 0, "unconfirmed": 1, "impaired": 2, "down": 3, "unknown": 4}

# Reason times eight (room for results to come) plus result: what is up and ok is 0, which SQLite
# stores in no byte at all.
VERDICT_CODES = {
    (result, reason): number * 8 + code
    for reason, number in REASON_CODES.items()
    for result, code in RESULT_CODES.items()
}
_VERDICTS = {code: verdict for verdict, code in VERDICT_CODES.items()}
_STATES = {code: state for state, code in STATE_CODES.items()}

# A stretch of observations that is read and put in order of time at once.
_SLICE_US = 300 * 1_000_000
_PAGE = 1000

_INSERT_OBSERVATIONS = (
    "INSERT INTO observations SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
    " json_extract(value, '$[2]'), json_extract(value, '$[3]'), json_extract(value, '$[4]')"
    " FROM json_each(?) WHERE true ON CONFLICT (endpoint, t) DO NOTHING"
)
_PUT_SPANS = (
    "INSERT INTO spans SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
    " json_extract(value, '$[2]'), json_extract(value, '$[3]') FROM json_each(?) WHERE true"
    ' ON CONFLICT (endpoint, start) DO UPDATE SET "end" = excluded."end"'
)
_SELECT_SAMPLE = "SELECT e.id, o.t, o.verdict, o.duration_us, o.status FROM observations o"
_SELECT_DELIVERY = (
    "SELECT d.id, d.receiver, e.webhook_id, e.at, e.type, e.key, e.body, d.attempts, d.first_at,"
    " d.state, d.last_error FROM deliveries d JOIN events e ON e.id = d.event"
)
# Per key only the oldest may go out; one that is dead blocks nothing.
_HEADS = (
    "SELECT min(d.event) FROM deliveries d JOIN events e ON e.id = d.event"
    " WHERE d.receiver = ?1 AND d.state = 'pending' GROUP BY e.key"
)


def to_us(instant: datetime) -> int:
    """Microseconds since the epoch. Raises ValueError for a naive instant."""
    if instant.tzinfo is None:
        raise ValueError(f"instant without a zone: {instant.isoformat()}")
    return (instant - EPOCH) // MICROSECOND


def from_us(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


class SqliteStore:
    """One SQLite file. Written by one process (`lock.StoreLock`), read by any.

    Construct with `open`. Reading methods may be called from any thread; each call has a read-only
    connection to itself. Every method raises StoreError if the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        busy_timeout: timedelta = timedelta(seconds=10),
        on_write: OnWrite | None = None,
    ) -> None:
        """`on_write` is told, in the writer's thread, the seconds and items of each commit."""
        self.path = path
        self._read_only = read_only
        self._busy_timeout = busy_timeout
        self._on_write = on_write
        self._writer: Writer | None = None
        self._keys: dict[str, int] = {}
        self._last_spans: dict[int, tuple[int, int, int]] = {}
        self._blocks = chain.Blocks()
        self._idle: list[sqlite3.Connection] = []
        self._gate = threading.Lock()
        self._closed = False
        # Of our own: hung name look-ups fill the loop's default executor.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="store-reader")

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        migrate: bool = False,
        read_only: bool = False,
        older: bool = False,
        busy_timeout: timedelta = timedelta(seconds=10),
        on_write: OnWrite | None = None,
    ) -> Self:
        """The store at `path`; made if there is no file, unless `read_only`.

        Raises StoreError if the file is not a store, is of a newer monitor, or needs a migration
        and `migrate` is not set. With `older`, one that needs it may be read, to be copied only.
        Whoever writes holds the lock first.
        """
        store = cls(path, read_only=read_only, busy_timeout=busy_timeout, on_write=on_write)
        try:
            if read_only:
                store._inspect(older=older)
            else:
                store._start(migrate=migrate)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def migrate(cls, path: Path) -> list[str]:
        """Bring the schema of the file up to date; the names of the steps taken."""
        if not path.exists():
            raise StoreError(f"{path}: there is no store to migrate; `monitor run` makes one")
        with cls(path, read_only=True) as before:
            pending = before._pending()
        cls.open(path, migrate=True).close()
        return pending

    # Opening and closing

    def _start(self, *, migrate: bool) -> None:
        _create(self.path)
        try:
            connection = self._connect_writer(migrate=migrate)
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error
        self._writer = Writer(connection, self.path, undone=self._forget, on_write=self._on_write)

    def _connect_writer(self, *, migrate: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout.total_seconds(),
            isolation_level=None,  # transactions are begun and ended by hand
            check_same_thread=False,  # opened here, then given to the writer's thread for good
        )
        try:
            database = Database(connection, strict=True, execute_plugins=False)
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("PRAGMA synchronous = FULL")
            pending = _pending(database, self.path)
            database.enable_wal()
            # A long read lets the log grow; give the room back afterwards.
            database.query("PRAGMA journal_size_limit = 67108864")
            # A file in which no step was ever taken is new: there is nothing to migrate.
            if pending and migrations.applied(database) and not migrate:
                raise _needs_migration(self.path, pending)
            migrations.apply(database)
        except BaseException:
            connection.close()
            raise
        return connection

    def _forget(self) -> None:
        """What was remembered of the database is void: something was rolled back."""
        self._keys.clear()
        self._last_spans.clear()
        self._blocks.forget()

    def _inspect(self, *, older: bool) -> None:
        if not self.path.exists():
            raise StoreError(f"{self.path}: there is no store; `monitor run` makes one")
        pending = self._pending()
        if pending and not older:
            raise _needs_migration(self.path, pending)

    def _pending(self) -> list[str]:
        with self._reader() as connection:
            return _pending(Database(connection, execute_plugins=False), self.path)

    def close(self, timeout: timedelta = timedelta(seconds=5)) -> None:
        """Write what waits, then close; blocks, at most for `timeout`.

        Raises StoreUnwritable if what waits could not be written in that time.
        """
        with self._gate:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._writer is not None:
            self._writer.close(timeout.total_seconds())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Writing

    async def commit(self, change: Change) -> None:
        """Store all of the change or nothing; returns once it is on disk.

        A repeated observation (endpoint and instant) is ignored: the first stands. Raises
        StoreUnwritable if it cannot be written now: keep the change and try again. An error in the
        change itself (ValueError, StoreError) is raised here alone.
        """
        await self._write(partial(self._apply, change=change))

    async def replace_derived(self, spans: Iterable[SpanRow], outages: Iterable[OutageRow]) -> None:
        """Put these, derived anew from facts, in place of all spans and outages, at once.

        What lies before an endpoint's horizon (`horizons`) stays: the observations it was derived
        from may be gone.
        """
        await self._write(
            partial(self._replace_derived, spans=tuple(spans), outages=tuple(outages))
        )

    async def prune_observations(self, before: datetime, *, chunk: int = 2000) -> int:
        """Delete observations older than `before`, `chunk` at a time; how many were.

        Other writes go on between chunks. Deletion stops at an observation inside a settled `up`
        span, where no run or outage is pending: from there on, spans can be derived again as they
        were. An endpoint without such a span keeps everything.
        """
        limit = to_us(before)
        removed = 0
        for key in await self._read(self._endpoint_keys):
            horizon = await self._read(partial(self._prune_horizon, key, limit))
            while horizon is not None:
                deleted = await self._write(
                    partial(_delete_before, key=key, horizon=horizon, chunk=chunk)
                )
                removed += deleted
                if deleted < chunk:
                    break
        return removed

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._writer is None:
            raise StoreError(f"{self.path}: the store was opened for reading only")
        return await self._writer.run(work)

    async def _execute(self, sql: str, parameters: Row) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(sql, parameters)

        await self._write(work)

    def _apply(self, connection: sqlite3.Connection, change: Change) -> None:
        if change.samples:
            rows = [self._sample_row(connection, sample) for sample in change.samples]
            connection.execute(_INSERT_OBSERVATIONS, (json.dumps(rows),))
            self._blocks.stored(connection, rows)
        for fact in change.facts:
            chain.append(connection, to_us(fact.at), fact.type, fact.body)
        self._put_spans(connection, change.spans)
        for outage in change.outages:
            self._put_outage(connection, outage)
        for event in change.events:
            _put_event(connection, event, change.takers(event))
        if change.receipt is not None:
            _put_receipt(connection, change.receipt)

    def _sample_row(self, connection: sqlite3.Connection, sample: Sample) -> Row:
        seen = sample.observation
        return (
            self._key(connection, seen.endpoint),
            to_us(seen.at),
            VERDICT_CODES[seen.result, seen.reason],
            sample.duration_us,
            sample.status,
        )

    def _key(self, connection: sqlite3.Connection, endpoint: str) -> int:
        """The endpoint's number, allotted on first sight. Only the writer's thread calls it."""
        key = self._keys.get(endpoint)
        if key is None:
            connection.execute(
                "INSERT INTO endpoints (id) VALUES (?) ON CONFLICT (id) DO NOTHING", (endpoint,)
            )
            found = connection.execute("SELECT key FROM endpoints WHERE id = ?", (endpoint,))
            key = self._keys[endpoint] = int(found.fetchall()[0][0])
        return key

    def _put_spans(self, connection: sqlite3.Connection, spans: Iterable[SpanRow]) -> None:
        """Add spans, or lengthen an endpoint's last one where one goes on in the same state.

        All in one statement: at each step SQLite lets go of the interpreter, and a busy event loop
        is slow to give it back.
        """
        rows: dict[tuple[int, int], Row] = {}
        for span in spans:
            key, start, end = (
                self._key(connection, span.endpoint),
                to_us(span.start),
                to_us(span.end),
            )
            state = STATE_CODES[span.state]
            last = self._last_span(connection, key)
            if last is not None and last[1] > start:
                raise ValueError(
                    f"span of {span.endpoint} from {span.start.isoformat()} overlaps the one before,"
                    f" which ends {from_us(last[1]).isoformat()}"
                )
            if last is not None and last[1:] == (start, state):
                start = last[0]
            self._last_spans[key] = (start, end, state)
            rows[key, start] = (key, start, end, state)
        if rows:
            connection.execute(_PUT_SPANS, (json.dumps(list(rows.values())),))

    def _last_span(self, connection: sqlite3.Connection, key: int) -> tuple[int, int, int] | None:
        """Start, end and state of an endpoint's last span, remembered once it was read."""
        known = self._last_spans.get(key)
        if known is None:
            found = connection.execute(
                'SELECT start, "end", state FROM spans WHERE endpoint = ?'
                " ORDER BY start DESC LIMIT 1",
                (key,),
            ).fetchall()
            known = found[0] if found else None
        return known

    def _put_outage(self, connection: sqlite3.Connection, outage: OutageRow) -> None:
        connection.execute(
            "INSERT INTO outages VALUES (?, ?, ?, ?) ON CONFLICT (endpoint, start)"
            ' DO UPDATE SET confirmed_at = excluded.confirmed_at, "end" = excluded."end"',
            (
                self._key(connection, outage.endpoint),
                to_us(outage.start),
                to_us(outage.confirmed_at),
                None if outage.end is None else to_us(outage.end),
            ),
        )

    def _replace_derived(
        self,
        connection: sqlite3.Connection,
        spans: Sequence[SpanRow],
        outages: Sequence[OutageRow],
    ) -> None:
        horizons = {
            endpoint: from_us(pruned)
            for endpoint, pruned in connection.execute(
                "SELECT id, pruned FROM endpoints WHERE pruned IS NOT NULL"
            ).fetchall()
        }
        _clear_derived(connection)
        self._last_spans.clear()
        kept = []
        for span in sorted(spans, key=lambda span: (span.endpoint, span.start)):
            start = max(span.start, horizons.get(span.endpoint, span.start))
            if start < span.end:
                kept.append(SpanRow(span.endpoint, start, span.end, span.state))
        self._put_spans(connection, kept)
        for outage in outages:
            if outage.start >= horizons.get(outage.endpoint, outage.start):
                self._put_outage(connection, outage)

    # Reading

    def facts(self, after: int = 0) -> Iterator[tuple[int, Fact]]:
        """Facts with their sequence numbers, those above `after`, in order.

        Those that the ledger writes about itself (`core.ledger.UPKEEP`) decide nothing and are
        left out, so numbers are missing; `frozen` and `chain.links` show them too.
        """
        while True:
            page = self._rows(
                "SELECT seq, at, type, body FROM facts WHERE seq > ? AND type NOT IN (?, ?)"
                " ORDER BY seq LIMIT ?",
                (after, *UPKEEP, _PAGE),
            )
            for seq, at, kind, body in page:
                yield seq, Fact(from_us(at), kind, json.loads(body))
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def head(self) -> tuple[int, str]:
        """Number and hash of the last fact of the chain; 0 and zeros if there is none."""
        found = self._rows("SELECT seq, hash FROM facts ORDER BY seq DESC LIMIT 1")
        return (found[0][0], found[0][1]) if found else (0, GENESIS)

    def links(self, after: int, limit: int) -> list[tuple[int, Fact, str]]:
        """Number, fact and hash of facts numbered above `after`, those of the ledger's own among them."""
        rows = self._rows(
            "SELECT seq, at, type, body, hash FROM facts WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        return [
            (seq, Fact(from_us(at), kind, json.loads(body)), hashed)
            for seq, at, kind, body, hashed in rows
        ]

    @contextlib.contextmanager
    def frozen(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection that sees the store as it is now, whatever is written meanwhile."""
        with self._reader() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    def observations(self, endpoint: str, start: datetime, end: datetime) -> list[Sample]:
        """Observations of an endpoint in [start, end), in order of time."""
        return _samples(
            self._rows(
                f"{_SELECT_SAMPLE} JOIN endpoints e ON e.key = o.endpoint"
                " WHERE e.id = ? AND o.t >= ? AND o.t < ? ORDER BY o.t",
                (endpoint, to_us(start), to_us(end)),
            )
        )

    def first_observations(
        self, endpoint: str, start: datetime, end: datetime, limit: int
    ) -> list[Sample]:
        """The first so many observations of an endpoint in [start, end), in order of time."""
        return _samples(
            self._rows(
                f"{_SELECT_SAMPLE} JOIN endpoints e ON e.key = o.endpoint"
                " WHERE e.id = ? AND o.t >= ? AND o.t < ? ORDER BY o.t LIMIT ?",
                (endpoint, to_us(start), to_us(end), limit),
            )
        )

    def observations_since(self, starts: Mapping[str, datetime]) -> list[Sample]:
        """Of each endpoint named, observations at and after its instant, by time and endpoint."""
        query = (
            f"{_SELECT_SAMPLE} JOIN endpoints e ON e.key = o.endpoint WHERE e.id = ? AND o.t >= ?"
        )
        rows: list[Row] = []
        with self._reader() as connection:
            for endpoint, start in starts.items():
                rows += connection.execute(query, (endpoint, to_us(start))).fetchall()
        rows.sort(key=lambda row: (row[1], row[0]))
        return _samples(rows)

    def iter_observations(
        self, start: datetime | None = None, end: datetime | None = None
    ) -> Iterator[Sample]:
        """All observations in [start, end), by time and endpoint, in flat memory.

        Read in slices of time, each of its own transaction: a slow consumer holds up nobody.
        """
        after = -(2**63) if start is None else to_us(start)
        stop = 2**63 - 1 if end is None else to_us(end)
        while (first := self._first_observation(after)) is not None and first < stop:
            after = min(first + _SLICE_US, stop)
            yield from _samples(
                self._rows(
                    f"{_SELECT_SAMPLE} JOIN endpoints e ON e.key = o.endpoint"
                    " WHERE o.endpoint IN (SELECT key FROM endpoints)"
                    " AND o.t >= ? AND o.t < ? ORDER BY o.t, e.id",
                    (first, after),
                )
            )

    def _first_observation(self, after: int) -> int | None:
        found: int | None = self._rows(
            "SELECT min((SELECT min(t) FROM observations WHERE endpoint = e.key AND t >= ?))"
            " FROM endpoints e",
            (after,),
        )[0][0]
        return found

    def spans(self, start: datetime | None = None) -> Iterator[SpanRow]:
        """Settled spans by endpoint and time; with `start`, those that end after it, uncut."""
        after = -(2**63) if start is None else to_us(start)
        for endpoint, key in self._rows("SELECT id, key FROM endpoints ORDER BY id"):
            found = self._rows(
                'SELECT start, "end", state FROM spans WHERE endpoint = ?1 AND "end" > ?2'
                " AND start >= coalesce((SELECT max(start) FROM spans"
                "  WHERE endpoint = ?1 AND start <= ?2), ?2) ORDER BY start",
                (key, after),
            )
            for begun, ended, state in found:
                yield SpanRow(endpoint, from_us(begun), from_us(ended), _STATES[state])

    def outages(self) -> Iterator[OutageRow]:
        """All outages, by endpoint and time."""
        for endpoint, start, confirmed, end in self._rows(
            'SELECT e.id, o.start, o.confirmed_at, o."end" FROM outages o'
            " JOIN endpoints e ON e.key = o.endpoint ORDER BY e.id, o.start"
        ):
            yield OutageRow(
                endpoint,
                from_us(start),
                from_us(confirmed),
                None if end is None else from_us(end),
            )

    def frontiers(self) -> dict[str, datetime]:
        """Per endpoint the instant up to which its time is settled: the end of its last span."""
        rows = self._rows(
            'SELECT id, (SELECT "end" FROM spans WHERE endpoint = e.key ORDER BY start DESC'
            " LIMIT 1) FROM endpoints e ORDER BY id"
        )
        return {endpoint: from_us(end) for endpoint, end in rows if end is not None}

    def horizons(self) -> dict[str, datetime]:
        """Per endpoint that was pruned, the instant before which observations may be gone."""
        rows = self._rows("SELECT id, pruned FROM endpoints WHERE pruned IS NOT NULL ORDER BY id")
        return {endpoint: from_us(pruned) for endpoint, pruned in rows}

    def counts(self) -> dict[str, int]:
        """Rows of each table."""
        return {
            table: self._rows(f"SELECT count(*) FROM {table}")[0][0]  # our own names
            for table in TABLES
        }

    def size_bytes(self) -> int:
        """Bytes on disk: the file, its log and the log's index."""
        total = 0
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(f"{self.path}{suffix}").st_size
        return total

    def _endpoint_keys(self) -> list[int]:
        return [key for (key,) in self._rows("SELECT key FROM endpoints ORDER BY key")]

    def _prune_horizon(self, key: int, limit: int) -> int | None:
        """The latest observation not after `limit` inside the last up span; None: keep all."""
        found: int | None = self._rows(
            'SELECT max(o.t) FROM (SELECT start, "end" FROM spans WHERE endpoint = ?1'
            " AND state = ?2 AND start <= ?3 ORDER BY start DESC LIMIT 1) s"
            ' JOIN observations o ON o.endpoint = ?1 AND o.t >= s.start AND o.t < s."end"'
            " AND o.t <= ?3",
            (key, STATE_CODES["up"], limit),
        )[0][0]
        older = self._rows(
            "SELECT 1 FROM observations WHERE endpoint = ? AND t < ? LIMIT 1", (key, found)
        )
        return found if older else None

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self._reader() as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection that is the caller's alone until it is given back."""
        with self._gate:
            if self._closed:
                raise StoreError(f"{self.path}: the store is closed")
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is None:
                connection = self._connect_reader()
            yield connection
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error
        finally:
            if connection is not None:
                self._give_back(connection)

    def _connect_reader(self) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=self._busy_timeout.total_seconds(),
            isolation_level=None,
            check_same_thread=False,  # one thread at a time: `_reader` sees to that
        )

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._gate:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    async def _read(self, call: Callable[[], T]) -> T:
        """The call, off the event loop."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, call)
        except RuntimeError as error:
            if not self._closed:
                raise
            raise StoreError(f"{self.path}: the store is closed") from error

    # The outbox (ports.Outbox)

    async def due(self, receiver: str, now: datetime, limit: int) -> list[Delivery]:
        """Pending deliveries whose time has come, oldest first, at most one per key."""
        query = (
            f"{_SELECT_DELIVERY} WHERE d.receiver = ?1 AND d.event IN ({_HEADS})"
            " AND d.next_at <= ?2 ORDER BY d.event LIMIT ?3"
        )
        return await self._read(
            lambda: _deliveries(self._rows(query, (receiver, to_us(now), limit)))
        )

    async def next_due(self, receiver: str) -> datetime | None:
        """When `due` will next have something for the receiver; None if nothing is pending."""
        query = f"SELECT min(next_at) FROM deliveries WHERE receiver = ?1 AND event IN ({_HEADS})"
        found = (await self._read(partial(self._rows, query, (receiver,))))[0][0]
        return None if found is None else from_us(found)

    async def delivered(self, delivery: Delivery, now: datetime) -> None:
        """Record that the receiver accepted it."""
        await self._execute(
            "UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, done_at = ?"
            " WHERE id = ? AND state <> 'delivered'",
            (to_us(now), delivery.id),
        )

    async def failed(
        self, delivery: Delivery, now: datetime, *, error: str, retry_at: datetime | None
    ) -> None:
        """Record a failed attempt; without `retry_at` the delivery is dead."""
        dead = retry_at is None
        values = (
            "dead" if dead else "pending",
            to_us(now if retry_at is None else retry_at),
            to_us(now) if dead else None,
            error,
            delivery.id,
        )
        await self._execute(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1, next_at = ?,"
            " done_at = ?, last_error = ? WHERE id = ? AND state = 'pending'",
            values,
        )

    async def dead(self) -> list[Delivery]:
        """All dead deliveries, oldest first."""
        query = f"{_SELECT_DELIVERY} WHERE d.state = 'dead' ORDER BY d.event, d.id"
        return await self._read(lambda: _deliveries(self._rows(query)))

    async def resend(
        self, ids: Sequence[int], now: datetime, receipt: Receipt | None = None
    ) -> int:
        """Make these dead deliveries pending again, as if new; how many were."""
        return await self._write(partial(_resend, ids=tuple(ids), now=to_us(now), receipt=receipt))

    # Receipts of requests

    def receipt(self, key: str) -> Receipt | None:
        """The receipt of a request that was done, by the hash of its key."""
        query = "SELECT fingerprint, at, facts, answer FROM receipts WHERE key = ?"
        for fingerprint, at, facts, answer in self._rows(query, (key,)):
            told = [Fact(from_us(when), kind, body) for when, kind, body in json.loads(facts)]
            said = None if answer is None else json.loads(answer)
            return Receipt(key, fingerprint, from_us(at), told, said)
        return None

    async def answered(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a request was answered with beside its receipt."""
        await self._execute(
            "UPDATE receipts SET answer = ? WHERE key = ?", (json.dumps(answer), key)
        )

    def queue_stats(self) -> dict[str, tuple[int, datetime | None, int]]:
        """Per receiver with undelivered events: pending, since when the oldest is, and dead."""
        rows = self._rows(
            "SELECT receiver, count(first_at), min(first_at), sum(dead) FROM ("
            " SELECT receiver, first_at, 0 AS dead FROM deliveries WHERE state = 'pending'"
            " UNION ALL SELECT receiver, NULL, 1 FROM deliveries WHERE state = 'dead')"
            " GROUP BY receiver ORDER BY receiver"
        )
        return {
            receiver: (pending, None if oldest is None else from_us(oldest), dead)
            for receiver, pending, oldest, dead in rows
        }

    # Care

    def check(self) -> list[str]:
        """Everything wrong with the file; empty if nothing is. Reads all of it.

        Of a store that needs a migration only what SQLite itself can tell.
        """
        try:
            found = self._rows("PRAGMA integrity_check")
        except StoreError as error:
            return [str(error)]
        faults = [f"{self.path}: {text}" for (text,) in found if text != "ok"]
        if faults:
            return faults  # what a damaged file says of itself means nothing
        for table, row, parent, _ in self._rows("PRAGMA foreign_key_check"):
            faults.append(f"{self.path}: {table}: row {row} refers to nothing in {parent}")
        for what, query in () if self._pending() else _CHECKS:
            for (where,) in self._rows(query):
                faults.append(f"{self.path}: {what}: {where}")
        return faults

    async def backup(self, path: Path) -> None:
        """Copy the store, while it is in use, to a file that must not exist yet.

        The copy is complete, checked and on disk, or there is none. Raises StoreError.
        """
        await self._read(partial(self._back_up, path))

    def _back_up(self, path: Path) -> None:
        part = path.with_name(f"{path.name}.part")
        if path.exists():
            raise StoreError(f"{path}: exists already; name a new file for the backup")
        try:
            # Made before SQLite does it, so that nobody else may read it for a moment.
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._rows("VACUUM INTO ?", (str(part),))
            _sync(part)
            _verify_backup(part)
            os.link(part, path)  # unlike a rename, this never overwrites
        except OSError as error:
            raise StoreError(
                f"{path}: the backup failed ({error.strerror}); choose another place"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink()
        _sync(path.parent)


_CHECKS = (
    (
        "spans overlap",
        "SELECT e.id || ' at ' || s.start FROM (SELECT endpoint, start,"
        ' max("end") OVER (PARTITION BY endpoint ORDER BY start'
        "  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM spans) s"
        " JOIN endpoints e ON e.key = s.endpoint WHERE s.start < s.before",
    ),
    (
        "outages overlap",
        "SELECT e.id || ' at ' || o.start FROM (SELECT endpoint, start,"
        ' max(coalesce("end", 1 << 62)) OVER (PARTITION BY endpoint ORDER BY start'
        "  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM outages) o"
        " JOIN endpoints e ON e.key = o.endpoint WHERE o.start < o.before",
    ),
    (
        "spans of an unknown state",
        "SELECT e.id || ' at ' || s.start FROM spans s JOIN endpoints e ON e.key = s.endpoint"
        f" WHERE s.state NOT IN ({', '.join(map(str, _STATES))})",
    ),
    (
        "observations of an unknown verdict",
        "SELECT e.id || ' at ' || o.t FROM observations o JOIN endpoints e ON e.key = o.endpoint"
        f" WHERE o.verdict NOT IN ({', '.join(map(str, _VERDICTS))})",
    ),
    ("facts that are not JSON", "SELECT seq FROM facts WHERE NOT json_valid(body)"),
    ("events that are not JSON", "SELECT id FROM events WHERE NOT json_valid(body)"),
)


def _create(path: Path) -> None:
    """Make the file, for its owner only, if there is none."""
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be made ({error.strerror});"
            " its directory must exist and be writable by this user"
        ) from error


def _pending(database: Database, path: Path) -> list[str]:
    """The steps that the file lacks. Raises StoreError if it is not a store of ours, or newer."""
    applied = {step.name for step in migrations.applied(database)}
    pending = [step.name for step in migrations.pending(database)]
    with contextlib.closing(sqlite3.connect(":memory:")) as blank:
        # Every step is pending where none was taken: so we learn which we know.
        known = migrations.pending(Database(blank, execute_plugins=False))
    unknown = applied.difference(step.name for step in known)
    if unknown:
        raise StoreError(
            f"{path}: was written by a newer monitor (step {max(unknown)}); use that version,"
            " or restore a backup made before it"
        )
    foreign = database.execute("PRAGMA application_id").fetchall() != [(APPLICATION_ID,)]
    if foreign and (applied or database.table_names() not in ([], [migrations.migrations_table])):
        raise StoreError(f"{path}: is not a store of monitor; check store.url")
    return pending


def _needs_migration(path: Path, pending: list[str]) -> StoreError:
    return StoreError(
        f"{path}: was written by an older monitor (lacks {', '.join(pending)});"
        " back it up, then run `monitor store migrate`"
    )


def _clear_derived(connection: sqlite3.Connection) -> None:
    """Delete spans and outages, but for those before their endpoint's horizon."""
    horizon = "(SELECT coalesce(pruned, -(1 << 62)) FROM endpoints WHERE key = endpoint)"
    connection.execute(f"DELETE FROM spans WHERE start >= {horizon}")
    connection.execute(f'UPDATE spans SET "end" = {horizon} WHERE "end" > {horizon}')
    connection.execute(f"DELETE FROM outages WHERE start >= {horizon}")


def _delete_before(connection: sqlite3.Connection, key: int, horizon: int, chunk: int) -> int:
    moved = connection.execute(
        "UPDATE endpoints SET pruned = ?1 WHERE key = ?2 AND coalesce(pruned < ?1, TRUE)"
        " RETURNING id",
        (horizon, key),
    ).fetchall()
    for (name,) in moved:
        chain.pruned(connection, key, name, horizon)
    return connection.execute(
        "DELETE FROM observations WHERE endpoint = ?1 AND t < coalesce((SELECT t FROM observations"
        " WHERE endpoint = ?1 AND t < ?2 ORDER BY t LIMIT 1 OFFSET ?3), ?2)",
        (key, horizon, chunk),
    ).rowcount


def _put_event(connection: sqlite3.Connection, event: Event, receivers: Sequence[str]) -> None:
    at = to_us(event.at)
    number = connection.execute(
        "INSERT INTO events (webhook_id, at, type, key, body) VALUES (?, ?, ?, ?, ?)",
        (f"msg_{uuid.uuid4().hex}", at, event.type, event.key, canonical(event.data)),
    ).lastrowid
    connection.executemany(
        "INSERT INTO deliveries (event, receiver, next_at, first_at) VALUES (?, ?, ?, ?)",
        [(number, receiver, at, at) for receiver in receivers],
    )


def _resend(
    connection: sqlite3.Connection, ids: Sequence[int], now: int, receipt: Receipt | None
) -> int:
    resent = connection.executemany(
        "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = ?1, first_at = ?1,"
        " done_at = NULL WHERE id = ?2 AND state = 'dead'",
        [(now, number) for number in ids],
    ).rowcount
    if receipt is not None:
        told = Fact(from_us(now), "resent", {"resent": resent})  # no fact of the ledger's
        _put_receipt(connection, replace(receipt, facts=(told,)))
    return resent


def _put_receipt(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Keep a receipt, and forget those that nobody will show any more."""
    at = to_us(receipt.at)
    connection.execute("DELETE FROM receipts WHERE at < ?", (at - RECEIPTS_KEPT // MICROSECOND,))
    told = [(to_us(fact.at), fact.type, dict(fact.body)) for fact in receipt.facts]
    answer = None if receipt.answer is None else json.dumps(receipt.answer)
    connection.execute(
        "INSERT INTO receipts (key, fingerprint, at, facts, answer) VALUES (?, ?, ?, ?, ?)",
        (receipt.key, receipt.fingerprint, at, json.dumps(told), answer),
    )


def _samples(rows: Iterable[Row]) -> list[Sample]:
    return [
        Sample(Observation(endpoint, from_us(t), *_VERDICTS[verdict]), duration_us, status)
        for endpoint, t, verdict, duration_us, status in rows
    ]


def _deliveries(rows: Iterable[Row]) -> list[Delivery]:
    return [
        Delivery(
            id=number,
            receiver=receiver,
            webhook_id=webhook_id,
            event=Event(from_us(at), kind, key, json.loads(body)),
            attempts=attempts,
            first_at=from_us(first_at),
            state=state,
            last_error=last_error,
        )
        for (
            number,
            receiver,
            webhook_id,
            at,
            kind,
            key,
            body,
            attempts,
            first_at,
            state,
            last_error,
        ) in rows
    ]


def _verify_backup(path: Path) -> None:
    """Open the copy as a store and check it; leaves nothing beside it."""
    with contextlib.closing(SqliteStore.open(path, read_only=True, older=True)) as copy:
        faults = copy.check()
    if faults:
        raise StoreError(f"{path}: the copy is faulty ({faults[0]}); run `monitor store check`")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
