"""docs/how-to/upgrade.md, step by step: on a store that an older monitor left, and back again."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from monitor.adapters.migrations import migrations
from tests.cli_place import Place
from tests.servers import Pki, write_pack

STEP = "0007_receipts"
WINDOW = ["--start", "2027-06-01T00:00", "--end", "2027-06-01T01:00", "--reason", "upgrade"]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A configuration that is in order, and a store from before a step."""
    pki = Pki()
    write_pack(tmp_path / "pack", pki.leaf("monitor.example"), pki.chain)
    pki.trust_file(tmp_path)
    made = Place.make(tmp_path)
    with closing(sqlite3.connect(made.store)) as connection:
        migrations.apply(Database(connection, execute_plugins=False), stop_before=STEP)
    return made


def test_an_upgrade_and_the_way_back(place: Place) -> None:
    """Refused until migrated, backed up before; and the backup is what the older one can use."""
    for command, code in (("check", 1), ("run", 3), ("store check", 3)):
        done = place.run(*command.split())
        assert done.exit_code == code
        assert "was written by an older monitor" in done.output
    copy = place.folder / "before-upgrade.db"
    assert place.run("store", "backup", str(copy)).exit_code == 0
    assert place.ask("store", "migrate")["steps"] == [STEP]
    for command in ("check", "store check", "ledger verify"):
        assert place.run(*command.split()).exit_code == 0
    assert place.run("downtime", "declare", *WINDOW).exit_code in (0, 1)
    place.store.unlink()
    shutil.copy(copy, place.store)
    with closing(sqlite3.connect(place.store)) as connection:
        steps = [name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")]
    assert steps
    assert STEP not in steps


def test_a_newer_store_is_left_alone(place: Place) -> None:
    """An older program refuses it, whatever is asked, and does not touch it."""
    place.run("store", "migrate")
    with closing(sqlite3.connect(place.store)) as connection, connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('monitor', '9999_later', '2030-01-01')"
        )
    before = place.store.read_bytes()
    copy = str(place.folder / "copy.db")
    for command in (["run"], ["store", "backup", copy], ["store", "migrate"], ["status"]):
        done = place.run(*command)
        assert done.exit_code == 3
        assert "was written by a newer monitor (step 9999_later)" in done.stderr
    assert place.store.read_bytes() == before
