"""Facts appended to the chain, and observations put into it by the hour, inside a transaction.

What the hashes are made of: `core/ledger.py`. Everything here is called by the writer's thread, or by
a migration, on the only connection that writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.core import ledger
from monitor.core.month import show_instant

SETTLED = 600_000_000
"""Microseconds after its end at which an hour is put into the chain: nothing comes so late."""
AT_ONCE = 25
"""Blocks in one transaction, so that no write waits for long at the turn of an hour."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS = "SELECT t, verdict, duration_us, status FROM observations"


def fact_document(at: int, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A stored fact as a line of a facts file. Raises OverflowError for an instant that cannot be."""
    return {"type": kind, "at": show_instant(_EPOCH + timedelta(microseconds=at)), **body}


def append(connection: sqlite3.Connection, at: int, kind: str, body: Mapping[str, Any]) -> None:
    """Put one fact at the end of the chain."""
    found = connection.execute("SELECT seq, hash FROM facts ORDER BY seq DESC LIMIT 1").fetchone()
    last, previous = (0, ledger.GENESIS) if found is None else found
    hashed = ledger.link(previous, last + 1, fact_document(at, kind, body))
    connection.execute(
        "INSERT INTO facts (seq, at, type, body, hash) VALUES (?, ?, ?, ?, ?)",
        (last + 1, at, kind, ledger.canonical(body), hashed),
    )


def block(connection: sqlite3.Connection, key: int, start: int, end: int) -> tuple[int, str]:
    """Number and digest of the observations of an endpoint in [start, end)."""
    return ledger.digest(
        connection.execute(
            f"{_ROWS} WHERE endpoint = ? AND t >= ? AND t < ? ORDER BY t", (key, start, end)
        )
    )


def pruned(connection: sqlite3.Connection, key: int, name: str, before: int) -> None:
    """Record that the observations of an endpoint before an instant are taken away."""
    end = ledger.hour_of(before) + ledger.HOUR
    kept = block(connection, key, before, end)
    newest = connection.execute(
        "SELECT max(t) FROM observations WHERE endpoint = ?", (key,)
    ).fetchone()[0]
    at = before if newest is None else max(before, newest)
    append(connection, at, ledger.PRUNED, ledger.pruned_body(name, before, kept))


class Blocks:
    """Puts hours of observations into the chain as they settle, a few blocks at a time.

    It remembers how far it came; `forget` when something was rolled back, and it reads that again.
    """

    def __init__(self) -> None:
        self._until: int | None = None
        self._hour = 0
        self._left: list[tuple[int, str]] = []

    def forget(self) -> None:
        self._until, self._left = None, []

    def stored(self, connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        """To be told of each batch of observations, once it is in the table: (key, t, ...) each."""
        if self._until is None:
            self._until = _chained_until(connection)
        rows = list(rows)
        newest = max(row[1] for row in rows)
        done = self._hour + ledger.HOUR if self._left else self._until
        late = {(ledger.hour_of(row[1]), row[0]) for row in rows if row[1] < done}
        for hour, key in sorted(late):
            self._put(connection, newest, hour, [(key, _name(connection, key))], None)
        self._advance(connection, newest)

    def _advance(self, connection: sqlite3.Connection, newest: int) -> None:
        """Chain some blocks of the first hour that is settled and not yet chained."""
        limit = ledger.hour_of(newest - SETTLED)
        assert self._until is not None
        if self._until >= limit:
            return
        if not self._left:
            first = _first_since(connection, self._until)
            if first is None or first >= limit:
                self._until = limit
                return
            self._hour = ledger.hour_of(first)
            self._left = connection.execute("SELECT key, id FROM endpoints ORDER BY key").fetchall()
        some, self._left = self._left[:AT_ONCE], self._left[AT_ONCE:]
        if not self._left:
            self._until = self._hour + ledger.HOUR
        self._put(connection, newest, self._hour, some, None if self._left else self._until)

    def _put(
        self,
        connection: sqlite3.Connection,
        at: int,
        hour: int,
        endpoints: Iterable[tuple[int, str]],
        until: int | None,
    ) -> None:
        blocks = {
            name: found
            for key, name in endpoints
            if (found := block(connection, key, hour, hour + ledger.HOUR))[0]
        }
        if blocks or until is not None:
            body = ledger.blocks_body(hour, blocks, until)
            append(connection, at, ledger.OBSERVATIONS, body)

    def everything(self, connection: sqlite3.Connection) -> None:
        """Chain every hour that is settled by now; for a store that has no chain yet."""
        newest = connection.execute("SELECT max(t) FROM observations").fetchone()[0]
        if newest is None:
            return
        self._until = _chained_until(connection)
        while self._until < ledger.hour_of(newest - SETTLED):
            self._advance(connection, newest)


def _chained_until(connection: sqlite3.Connection) -> int:
    """The instant before which every hour of observations stands in the chain."""
    found = connection.execute(
        "SELECT json_extract(body, '$.until') FROM facts WHERE type = ?"
        " AND json_extract(body, '$.until') IS NOT NULL ORDER BY seq DESC LIMIT 1",
        (ledger.OBSERVATIONS,),
    ).fetchone()
    if found is None:
        return -(2**62)
    return int((datetime.fromisoformat(found[0]) - _EPOCH) / timedelta(microseconds=1))


def _first_since(connection: sqlite3.Connection, start: int) -> int | None:
    found: int | None = connection.execute(
        "SELECT min((SELECT min(t) FROM observations WHERE endpoint = e.key AND t >= ?))"
        " FROM endpoints e",
        (start,),
    ).fetchone()[0]
    return found


def _name(connection: sqlite3.Connection, key: int) -> str:
    return str(connection.execute("SELECT id FROM endpoints WHERE key = ?", (key,)).fetchone()[0])


# --- Reading back -------------------------------------------------------------------------------


def links(connection: sqlite3.Connection) -> Iterator[tuple[int, int, str, str, str]]:
    """(seq, at, type, body, hash) of every fact as it is stored, in order."""
    yield from connection.execute("SELECT seq, at, type, body, hash FROM facts ORDER BY seq")


def digests(
    connection: sqlite3.Connection, pruned: Mapping[str, int]
) -> Iterator[tuple[str, int, int, str]]:
    """(endpoint, hour, rows, digest) of all observations, but for those pruned away."""
    for key, name in connection.execute("SELECT key, id FROM endpoints ORDER BY id").fetchall():
        start = pruned.get(name, -(2**62))
        hour: int | None = None
        rows: list[ledger.Row] = []
        query = f"{_ROWS} WHERE endpoint = ? AND t >= ? ORDER BY t"
        for row in connection.execute(query, (key, start)):
            if hour is not None and row[0] - hour >= ledger.HOUR:
                yield name, hour, *ledger.digest(rows)
                rows, hour = [], None
            if hour is None:
                hour = ledger.hour_of(row[0])
            rows.append(row)
        if hour is not None:
            yield name, hour, *ledger.digest(rows)
