"""`store` and `ledger`: care of the file, and what it knows written out."""

from __future__ import annotations

import heapq
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from monitor.cli import show
from monitor.cli.common import Common, Document, common, finish, plain, read_settings
from monitor.cli.ledger import verify
from monitor.errors import StoreError, UsageError

if TYPE_CHECKING:
    from monitor.adapters.store import SqliteStore


@click.group()
def store() -> None:
    """Take care of the store."""


def _open(shared: Common, *, older: bool = False) -> SqliteStore:
    """The store, to read; also while the daemon runs; one that needs a migration only if `older`.

    Raises StoreError.
    """
    from monitor.adapters.store import SqliteStore

    path = read_settings(shared.config).store.path
    return SqliteStore.open(path, read_only=True, older=older)


@store.command("check")
@common()
def store_check(shared: Common) -> None:
    """Check the integrity of the store, while the daemon runs or not.

    It reads all of the file. Exits with 1 if there is a fault.
    """
    with _open(shared) as opened:
        faults = opened.check()
        document = {
            "ok": not faults,
            "store": str(opened.path),
            "faults": faults,
            "rows": {} if faults else opened.counts(),
            "size_bytes": opened.size_bytes(),
        }
    finish(shared, document, _checked_text)


def _checked_text(document: Document) -> str:
    lines = [plain(fault) for fault in document["faults"]]
    size = f"{document['size_bytes']:,} bytes"
    if lines:
        lines.append(f"{document['store']}: {len(lines)} faults; restore a backup, {size}")
    else:
        rows = ", ".join(f"{number:,} {table}" for table, number in document["rows"].items())
        lines.append(f"{document['store']}: all good, {size}: {rows}")
    return "\n".join(lines)


@store.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@common()
def backup(shared: Common, file: Path) -> None:
    """Copy the store to FILE, which must not exist, while the daemon runs or not.

    The copy is complete, checked and on disk, or there is none. A store of an older monitor, which
    is yet to be migrated, is copied as it is.
    """
    import asyncio

    if file.exists():
        raise UsageError(f"{file}: exists already; name a new file for the backup")
    with _open(shared, older=True) as opened:
        asyncio.run(opened.backup(file))
    document = {"ok": True, "backup": str(file), "size_bytes": file.stat().st_size}
    finish(shared, document, lambda said: f"{file}: {said['size_bytes']:,} bytes")


@store.command()
@click.option(
    "--rebuild",
    is_flag=True,
    help="also work spans and outages out again from the observations that are kept",
)
@common()
def migrate(shared: Common, rebuild: bool) -> None:
    """Bring the store's schema up to date; stop the daemon and back up first."""
    import asyncio

    from monitor.adapters.lock import StoreLock
    from monitor.adapters.store import SqliteStore

    settings = read_settings(shared.config)
    path = settings.store.path
    if not path.exists():
        raise StoreError(f"{path}: there is no store to migrate; monitor run makes one")
    with StoreLock(path):
        steps = SqliteStore.migrate(path)
        if rebuild:
            from monitor.recovery import derived

            with SqliteStore.open(path) as opened:
                spans, outages = derived(settings, opened)
                asyncio.run(opened.replace_derived(spans, outages))
    document = {"ok": True, "store": str(path), "steps": steps, "rebuilt": rebuild}
    finish(shared, document, _migrated_text)


def _migrated_text(document: Document) -> str:
    done = show.names(document["steps"], none="the schema was up to date")
    return f"{document['store']}: {done}" + ("; rebuilt" if document["rebuilt"] else "")


# --- ledger -------------------------------------------------------------------------------------


@click.group()
def ledger() -> None:
    """The facts themselves."""


ledger.add_command(verify)


@ledger.command()
@click.argument("file", type=click.Path(allow_dash=True), metavar="FILE")
@common(prints=False)
def export(shared: Common, file: str) -> None:
    """Write all facts to FILE, which must not exist, or to standard output for `-`.

    One JSON object a line, observations among the other facts in order of time: what
    `monitor replay` and `monitor ledger verify` read. The daemon may run.
    """
    with _open(shared) as opened:
        total = opened.counts()
        with _output(file) as out:
            _write(out, _lines(opened), total["observations"] + total["facts"], file)


@contextmanager
def _output(file: str) -> Iterator[TextIO]:
    """Standard output, or a file that is there under its name only once it is whole."""
    if file == "-":
        yield sys.stdout
        return
    path = Path(file)
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        raise UsageError(f"{path}: exists already; name a new file")
    try:
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(handle, "w", encoding="utf-8") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            os.link(part, path)
        finally:
            part.unlink()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}); choose another place"
        ) from error


def _write(out: TextIO, lines: Iterable[str], total: int, file: str) -> None:
    if file != "-" and sys.stderr.isatty():
        with click.progressbar(
            lines, length=total, label="exporting", file=sys.stderr, update_min_steps=5000
        ) as bar:
            for line in bar:
                out.write(line)
    else:
        out.writelines(lines)
    out.flush()


def _lines(opened: SqliteStore) -> Iterator[str]:
    """Every fact and observation as a line, by `at`; of one instant, facts first as recorded."""
    from monitor.adapters.chain import fact_document, links
    from monitor.adapters.store import from_us
    from monitor.core.fact import observation_document

    with opened.frozen() as connection:
        kept = sorted(links(connection), key=lambda row: (row[1], row[0]))
    told: Iterator[tuple[datetime, Any]] = (
        (
            from_us(at),
            {**fact_document(at, kind, json.loads(body)), "seq": seq, "hash": hashed},
        )
        for seq, at, kind, body, hashed in kept
    )
    gone = opened.horizons()
    seen: Iterator[tuple[datetime, Any]] = (
        (
            one.observation.at,
            {
                **observation_document(one.observation),
                "duration_us": one.duration_us,
                "status": one.status,
            },
        )
        for one in opened.iter_observations()
        if one.observation.at >= gone.get(one.observation.endpoint, one.observation.at)
    )
    for _, document in heapq.merge(told, seen, key=lambda item: item[0]):
        yield json.dumps(document, separators=(",", ":")) + "\n"
