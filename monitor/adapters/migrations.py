"""The store's schema, step by step. A step that was released is never edited: add one after it.

Instants are whole microseconds since the Unix epoch, UTC. Every step and the record that it was
applied are one transaction (`sqlite_utils.Migrations`).
"""

from __future__ import annotations

import json

from sqlite_utils import Database, Migrations

from monitor.adapters import chain

migrations = Migrations("monitor")

# "pdpm" in ASCII, in the header of every store file: `file` and `sqlite3` can tell what it is.
APPLICATION_ID = 0x7064706D


@migrations(name="0001_identify")
def identify(db: Database) -> None:
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@migrations(name="0002_observations")
def observations(db: Database) -> None:
    """Endpoints by number, and what was seen of them.

    `pruned` is the instant before which observations of the endpoint may be gone (retention).
    Without a rowid and with integers only, an observation is 26 to 30 bytes on disk.
    """
    db.execute(
        """
        CREATE TABLE endpoints (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            pruned INTEGER
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE observations (
            endpoint INTEGER NOT NULL REFERENCES endpoints(key),
            t INTEGER NOT NULL,
            verdict INTEGER NOT NULL CHECK (verdict >= 0),
            duration_us INTEGER NOT NULL CHECK (duration_us >= 0),
            status INTEGER,
            PRIMARY KEY (endpoint, t)
        ) WITHOUT ROWID, STRICT
        """
    )


@migrations(name="0003_facts")
def facts(db: Database) -> None:
    """Facts are appended; the database itself refuses to change or delete one."""
    db.execute(
        """
        CREATE TABLE facts (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            type TEXT NOT NULL,
            body TEXT NOT NULL
        ) STRICT
        """
    )
    for operation in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER facts_no_{operation.lower()} BEFORE {operation} ON facts"
            " BEGIN SELECT RAISE(ABORT, 'facts are appended, never changed'); END"
        )


@migrations(name="0004_derived")
def derived(db: Database) -> None:
    """What was concluded from observations; it can be rebuilt from them."""
    db.execute(
        """
        CREATE TABLE spans (
            endpoint INTEGER NOT NULL REFERENCES endpoints(key),
            start INTEGER NOT NULL,
            "end" INTEGER NOT NULL,
            state INTEGER NOT NULL CHECK (state >= 0),
            PRIMARY KEY (endpoint, start),
            CHECK (start < "end")
        ) WITHOUT ROWID, STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE outages (
            endpoint INTEGER NOT NULL REFERENCES endpoints(key),
            start INTEGER NOT NULL,
            confirmed_at INTEGER NOT NULL,
            "end" INTEGER,
            PRIMARY KEY (endpoint, start),
            CHECK ("end" IS NULL OR start < "end")
        ) WITHOUT ROWID, STRICT
        """
    )


@migrations(name="0005_outbox")
def outbox(db: Database) -> None:
    """Events, and what has become of them at each receiver."""
    db.execute(
        """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            webhook_id TEXT NOT NULL UNIQUE,
            at INTEGER NOT NULL,
            type TEXT NOT NULL,
            key TEXT NOT NULL,
            body TEXT NOT NULL
        ) STRICT
        """
    )
    # A number of its own, so that one dead delivery can be named and sent again.
    db.execute(
        """
        CREATE TABLE deliveries (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            event INTEGER NOT NULL REFERENCES events(id),
            receiver TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'pending'
                CHECK (state IN ('pending', 'delivered', 'dead')),
            attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
            next_at INTEGER NOT NULL,
            first_at INTEGER NOT NULL,
            done_at INTEGER,
            last_error TEXT,
            UNIQUE (event, receiver)
        ) STRICT
        """
    )
    # Delivered rows are most of the table and never looked for.
    for state in ("pending", "dead"):
        db.execute(
            f"CREATE INDEX deliveries_{state} ON deliveries (receiver, event)"
            f" WHERE state = '{state}'"
        )


@migrations(name="0006_chain")
def chained(db: Database) -> None:
    """Each fact carries a hash over the one before it and itself; settled hours are chained too.

    SQLite cannot add a column that is never null and computed, so the table is made anew.
    """
    db.execute("ALTER TABLE facts RENAME TO facts_before")
    db.execute(
        """
        CREATE TABLE facts (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            type TEXT NOT NULL,
            body TEXT NOT NULL,
            hash TEXT NOT NULL CHECK (length(hash) = 64)
        ) STRICT
        """
    )
    told = db.execute("SELECT at, type, body FROM facts_before ORDER BY seq")
    for at, kind, body in told.fetchall():
        chain.append(db.conn, at, kind, json.loads(body))
    db.execute("DROP TABLE facts_before")
    for operation in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER facts_no_{operation.lower()} BEFORE {operation} ON facts"
            " BEGIN SELECT RAISE(ABORT, 'facts are appended, never changed'); END"
        )
    gone = db.execute("SELECT key, id, pruned FROM endpoints WHERE pruned IS NOT NULL")
    for key, name, before in gone.fetchall():
        chain.pruned(db.conn, key, name, before)
    chain.Blocks().everything(db.conn)


@migrations(name="0007_receipts")
def receipts(db: Database) -> None:
    """Requests that were done, by a hash of their key, so that none is done twice."""
    db.execute(
        """
        CREATE TABLE receipts (
            key TEXT PRIMARY KEY,
            fingerprint TEXT NOT NULL,
            at INTEGER NOT NULL,
            facts TEXT NOT NULL,
            answer TEXT
        ) WITHOUT ROWID, STRICT
        """
    )
    db.execute("CREATE INDEX receipts_at ON receipts (at)")
