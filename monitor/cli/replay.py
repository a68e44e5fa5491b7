"""`replay`: the account of a file of facts. Needs no network, store or identity."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli import show
from monitor.cli.common import Common, Document, common, finish, read_settings
from monitor.cli.render import account_text

if TYPE_CHECKING:
    from monitor.core.book import Book

WORTH_A_BAR = 4 << 20
"""Files of so many bytes take long enough to show progress."""
WORTH_COUNTING = 50_000
"""So many observations too."""
STEP = 1 << 18


@click.command()
@click.argument("facts", type=click.Path(path_type=Path), metavar="[FACTS]", required=False)
@click.option("--from-store", is_flag=True, help="take the facts of the store instead of a file")
@click.option(
    "--config-new",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="compare with the account under this configuration",
)
@click.option("--month", metavar="YYYY-MM", help="compare only this month (default: all)")
@click.option(
    "--until",
    metavar="INSTANT",
    help="the account as of this instant, ISO 8601, UK time without an offset (default: now)",
)
@common()
def replay(
    shared: Common,
    facts: Path | None,
    from_store: bool,
    config_new: Path | None,
    month: str | None,
    until: str | None,
) -> None:
    """Apply the rules to FACTS, a file with one JSON object a line, on a simulated clock.

    Prints the account of all that was known by the instant given, through the same code that the
    daemon runs. Of the configuration it takes the rules, endpoints and holdernames. With
    --from-store it takes the facts of the store itself; with --config-new it puts the account under
    another configuration beside it, with the difference in seconds and in incidents.
    """
    if (facts is None) is not from_store:
        raise click.UsageError("Give either FACTS, a file, or --from-store.")
    if month is not None and config_new is None:
        raise click.UsageError("--month goes with --config-new.")
    if facts is not None and config_new is None:
        _replay_file(shared, facts, until)
    else:
        _what_if(shared, facts, config_new, month, until)


def _replay_file(shared: Common, facts: Path, until: str | None) -> None:
    from monitor.core.book import Book
    from monitor.core.month import read_instant
    from monitor.replay import read_facts
    from monitor.replay import replay as replay_into
    from monitor.snapshot import replay_document

    settings = read_settings(shared.config, accounting_only=True)
    zone = settings.rules.zone
    instant = datetime.now(UTC) if until is None else read_instant(until, zone)
    book = Book(settings.rules, settings.endpoints, settings.holdernames)
    with _progress(facts) as progress:
        replay_into(book, facts, read_facts(facts, progress=progress), instant)
    finish(shared, replay_document(book, instant), account_text)


def _what_if(
    shared: Common,
    facts: Path | None,
    config_new: Path | None,
    month: str | None,
    until: str | None,
) -> None:
    """The account of the store, or two accounts of the same facts."""
    from monitor.core.book import Book
    from monitor.core.month import Month, read_instant
    from monitor.snapshot import replay_document
    from monitor.whatif import compared

    paths = [path for path in (shared.config, config_new) if path is not None]
    settings = [read_settings(path, accounting_only=True) for path in paths]
    zone = settings[0].rules.zone
    instant = datetime.now(UTC) if until is None else read_instant(until, zone)
    chosen = None if month is None else Month.parse(month, zone)
    books = [Book(one.rules, one.endpoints, one.holdernames) for one in settings]
    warnings = _feed(books, facts, settings[0].store.path, instant)
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
    if config_new is None:
        finish(shared, {**replay_document(books[0], instant), "warnings": warnings}, account_text)
        return
    document = {
        "old_configuration": {"file": str(paths[0]), "digest": settings[0].digest},
        "new_configuration": {"file": str(paths[1]), "digest": settings[1].digest},
        **compared(books[0], books[1], instant, chosen),
        "warnings": warnings,
    }
    finish(shared, document, compared_text)


def _feed(books: Sequence[Book], facts: Path | None, store: Path, until: datetime) -> list[str]:
    """Let the books learn; what the reader should know of the facts."""
    from monitor.whatif import feed, of_file, of_store

    if facts is not None:
        with _progress(facts) as progress:
            feed(books, of_file(facts, progress), until, str(facts))
        return []
    from monitor.adapters.store import SqliteStore

    with SqliteStore.open(store, read_only=True) as opened:
        total = opened.counts()["observations"]
        with _bar(total, "replaying", total < WORTH_COUNTING) as progress:
            feed(books, of_store(opened), until, str(store), progress)
        pruned = opened.horizons()
    if not pruned:
        return []
    last = show.local(max(pruned.values()))
    return [f"observations before {last} were taken away by retention: that time reads as unknown"]


def compared_text(document: Document) -> str:
    """What differs, old and new side by side."""
    rows = [row for month in document["months"] for row in _differing(month)]
    headings = ("month", "series", "figure", "old", "new", "difference")
    lines = [show.table(headings, rows, none="No figure of any month differs.")]
    incidents = document["incidents"]
    lines.append(f"Incidents: {incidents['old']} under the old, {incidents['new']} under the new")
    for side, which in (("only_old", "only under the old"), ("only_new", "only under the new")):
        lines += [
            f"  {which}: {one['kind']} of {one['group']} from {show.local(one['started_at'])} to"
            f" {show.local(one['restored_at'], none='now')}"
            for one in incidents[side]
        ]
    return "\n".join(lines)


def _differing(month: Document) -> Iterator[tuple[object, ...]]:
    """The figures of one row that differ."""
    name = show.series(month["series"])
    old, new = month["old"], month["new"]
    if old is None or new is None:
        there = "only under the new" if old is None else "only under the old"
        yield month["month"], name, "accounted", there, "", ""
        return
    flat = [(key, old[key], new[key]) for key in old if key != "by_class"]
    flat += [(key, old["by_class"][key], new["by_class"][key]) for key in old["by_class"]]
    for key, before, after in flat:
        if before != after:
            lost = isinstance(before, int | float) and isinstance(after, int | float)
            change = f"{after - before:+.6f}".rstrip("0").rstrip(".") + " s" if lost else ""
            yield month["month"], name, key, str(before), str(after), change


@contextmanager
def _bar(length: int, label: str, quiet: bool) -> Iterator[Callable[[int], None]]:
    """What to call with each number of things done; a bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(
        length=length, label=label, file=sys.stderr, update_min_steps=5000
    ) as bar:
        yield bar.update


@contextmanager
def _progress(path: Path) -> Iterator[Callable[[int], None]]:
    """What to call with each number of bytes read; a bar on a terminal for a big file."""
    size = path.stat().st_size if path.is_file() else 0
    if size < WORTH_A_BAR or not sys.stderr.isatty():
        yield lambda _: None
        return
    waiting = 0
    with click.progressbar(length=size, label="reading", file=sys.stderr) as bar:

        def progress(read: int) -> None:
            nonlocal waiting
            waiting += read
            if waiting >= STEP:
                bar.update(waiting)
                waiting = 0

        yield progress
        bar.update(waiting)
