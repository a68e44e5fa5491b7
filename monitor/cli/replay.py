"""`replay`: the account of a file of facts. Needs no network, store or identity."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from monitor.cli.common import Common, common, finish, read_settings
from monitor.cli.render import account_text

WORTH_A_BAR = 4 << 20
"""Files of so many bytes take long enough to show progress."""
STEP = 1 << 18


@click.command()
@click.argument("facts", type=click.Path(path_type=Path), metavar="FACTS")
@click.option(
    "--until",
    metavar="INSTANT",
    help="the account as of this instant, ISO 8601, UK time without an offset (default: now)",
)
@common()
def replay(shared: Common, facts: Path, until: str | None) -> None:
    """Apply the rules to FACTS, a file with one JSON object a line, on a simulated clock.

    Prints the account of all that was known by the instant given, through the same code that the
    daemon runs. Of the configuration it takes the rules, endpoints and holdernames.
    """
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
