"""The store's lock: one process at a time, and the other is told whom to ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.adapters.lock import StoreLock
from monitor.errors import StoreError, StoreLocked

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from monitor.adapters.lock import StoreLock
StoreLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_lock_is_held_and_let_go(tmp_path: Path) -> None:
    """Inside the block the lock file holds our process id; after it, another may lock."""
    store = tmp_path / "m.db"
    with StoreLock(store) as lock:
        assert lock.held
        assert lock.path == tmp_path / "m.db.lock"
        assert lock.path.read_text() == f"{os.getpid()}\n"
        assert lock.path.stat().st_mode & 0o777 == 0o600
    assert not lock.held
    assert lock.path.read_text() == ""
    with StoreLock(store):
        pass


def test_second_lock_is_refused(tmp_path: Path) -> None:
    """A second lock on the same store fails at once, and naming it again changes nothing."""
    store = tmp_path / "m.db"
    with StoreLock(store) as first:
        with pytest.raises(StoreLocked, match=f"process {os.getpid()} holds"):
            StoreLock(store).acquire()
        with pytest.raises(StoreLocked, match="already"):
            first.acquire()
        assert first.path.read_text() == f"{os.getpid()}\n"


def test_other_process_is_named_and_death_frees(tmp_path: Path) -> None:
    """The error names the process that holds the lock; a killed process holds nothing."""
    store = tmp_path / "m.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, store],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=f"process {holder.pid} holds"):
            StoreLock(store).acquire()
        holder.kill()
        holder.wait()
    with StoreLock(store):
        pass


def test_release_without_lock_does_nothing(tmp_path: Path) -> None:
    """Releasing twice is harmless."""
    lock = StoreLock(tmp_path / "m.db")
    lock.release()
    lock.acquire()
    lock.release()
    lock.release()


def test_missing_directory_is_explained(tmp_path: Path) -> None:
    """A store whose directory is missing gives an error that says so."""
    with pytest.raises(StoreError, match="directory must exist"):
        StoreLock(tmp_path / "none" / "m.db").acquire()
