"""The schema's steps: what they make, what is refused, and how an old file is brought on."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from monitor.adapters import store as store_module
from monitor.adapters.migrations import APPLICATION_ID, migrations
from monitor.adapters.store import TABLES, SqliteStore
from monitor.errors import StoreError

STEPS = [
    "0001_identify",
    "0002_observations",
    "0003_facts",
    "0004_derived",
    "0005_outbox",
    "0006_chain",
    "0007_receipts",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.db"


@pytest.fixture
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """A new store, closed, and a plain connection to it."""
    SqliteStore.open(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def old(path: Path, *, lacking: str) -> None:
    """A store as a monitor left it that did not yet know the step."""
    with closing(sqlite3.connect(path)) as connection:
        migrations.apply(Database(connection, execute_plugins=False), stop_before=lacking)


def test_released_steps_stay(raw: sqlite3.Connection) -> None:
    """Every released step is still there, in order, and was taken."""
    taken = raw.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall()
    assert [name for (name,) in taken][: len(STEPS)] == STEPS


def test_every_table_is_strict(raw: sqlite3.Connection) -> None:
    """All tables of ours are STRICT, and we name them all."""
    tables = {
        name: strict
        for _, name, kind, _, _, strict in raw.execute("PRAGMA table_list").fetchall()
        if kind == "table" and not name.startswith(("sqlite_", "_sqlite_"))
    }
    assert set(tables) == set(TABLES)
    assert all(tables.values())


def test_file_says_what_it_is(raw: sqlite3.Connection, path: Path) -> None:
    """The header carries our application id, the journal is a WAL, and only the owner may read."""
    assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE facts SET type = 'other'",
        "DELETE FROM facts",
        "REPLACE INTO facts VALUES (1, 0, 'other', '{}', hex(zeroblob(32)))",
    ],
)
def test_facts_cannot_be_changed(raw: sqlite3.Connection, statement: str) -> None:
    """The database itself refuses to change or delete a fact."""
    raw.execute("PRAGMA recursive_triggers = ON")
    raw.execute("INSERT INTO facts VALUES (1, 0, 'declaration', '{}', hex(zeroblob(32)))")
    with pytest.raises(sqlite3.IntegrityError, match="appended, never changed"):
        raw.execute(statement)
    kept = raw.execute("SELECT seq, at, type, body FROM facts").fetchall()
    assert kept == [(1, 0, "declaration", "{}")]


def test_older_store_is_refused_until_migrated(path: Path) -> None:
    """A store that lacks a step is opened only after `migrate`, which says what it did."""
    old(path, lacking="0005_outbox")
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"lacks 0005_outbox.*store migrate"):
            SqliteStore.open(path, read_only=read_only)
    assert SqliteStore.migrate(path) == ["0005_outbox", "0006_chain", "0007_receipts"]
    assert SqliteStore.migrate(path) == []
    with SqliteStore.open(path) as store:
        assert store.check() == []


async def test_an_older_store_can_be_backed_up_before_it_is_migrated(
    path: Path, tmp_path: Path
) -> None:
    """The advice to back up first can be followed; the copy is as old as what it copies."""
    old(path, lacking="0005_outbox")
    with SqliteStore.open(path, read_only=True, older=True) as store:
        await store.backup(tmp_path / "copy.db")
    assert SqliteStore.migrate(tmp_path / "copy.db")[0] == "0005_outbox"
    assert SqliteStore.migrate(path)[0] == "0005_outbox"


def test_open_may_migrate(path: Path) -> None:
    """Opening with `migrate` takes the missing steps."""
    old(path, lacking="0003_facts")
    with SqliteStore.open(path, migrate=True) as store:
        assert list(store.facts()) == []


def test_failed_step_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails undoes itself, is not recorded, and the old store still opens."""
    SqliteStore.open(path).close()
    longer = Migrations("monitor")
    longer._migrations = list(migrations._migrations)

    @longer(name="9999_fails")
    def fails(db: Database) -> None:
        db.execute("CREATE TABLE half (x INTEGER) STRICT")
        db.execute("INSERT INTO nowhere VALUES (1)")

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "migrations", longer)
        with pytest.raises(StoreError, match="nowhere"):
            SqliteStore.migrate(path)
    with SqliteStore.open(path) as store:
        assert store.check() == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name='half'").fetchall() == []


def test_newer_store_is_refused(raw: sqlite3.Connection, path: Path) -> None:
    """A store with a step we do not know is refused, with what to do, even to migrate."""
    raw.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('monitor', '9000_later', '2030-01-01')"
    )
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"newer monitor \(step 9000_later\); use that"):
            SqliteStore.open(path, read_only=read_only)
    with pytest.raises(StoreError, match="newer monitor"):
        SqliteStore.migrate(path)


def test_foreign_database_is_left_alone(path: Path) -> None:
    """Another program's database is refused and not a byte of it changes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="not a store of monitor"):
            SqliteStore.open(path, migrate=True, read_only=read_only)
    assert path.read_bytes() == before


def test_text_file_is_left_alone(path: Path) -> None:
    """A file that is no database at all is refused and kept."""
    path.write_text("not a database, but long enough to be taken for one" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="damaged or not a store"):
        SqliteStore.open(path)
    assert path.read_bytes() == before


def test_missing_file_is_not_migrated(path: Path) -> None:
    """Migrating or reading what is not there is an error and makes nothing."""
    with pytest.raises(StoreError, match="no store to migrate"):
        SqliteStore.migrate(path)
    with pytest.raises(StoreError, match="there is no store"):
        SqliteStore.open(path, read_only=True)
    assert not path.exists()


def test_missing_directory_is_explained(tmp_path: Path) -> None:
    """A store in a directory that does not exist gives an error that says so."""
    with pytest.raises(StoreError, match="directory must exist"):
        SqliteStore.open(tmp_path / "none" / "m.db")


def test_interrupted_creation_is_finished(path: Path) -> None:
    """A file made but never filled, as after a crash, is taken for new."""
    path.touch()
    SqliteStore.open(path).close()
    path2 = path.with_name("n.db")
    with closing(sqlite3.connect(path2)) as connection:
        migrations.ensure_migrations_table(Database(connection, execute_plugins=False))
    SqliteStore.open(path2).close()
