"""`ledger verify`: whether what is kept is what was kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli import show
from monitor.cli.common import Common, Document, common, finish, plain, read_settings

if TYPE_CHECKING:
    from datetime import date

    from monitor.core.rules import NoticeCalendar


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="[FILE]", required=False)
@click.option(
    "--head",
    metavar="HASH",
    help="a hash kept elsewhere, as in the alert ledger.head, that the chain must hold",
)
@common()
def verify(shared: Common, file: Path | None, head: str | None) -> None:
    """Check the hash chain of the store, or of FILE, an export of it.

    Names the first broken link: a fact by number, type and instant, or the observations of an
    endpoint by the hour. Works every sealed figure out again from the facts. It needs no daemon;
    for FILE neither store nor configuration. Exits with 1 if there is a finding.
    """
    from monitor import audit
    from monitor.adapters.holidays import bank_holidays
    from monitor.adapters.store import SqliteStore

    if file is not None:
        with _bar(file.stat().st_size if file.is_file() else 0, "reading") as read:
            source = audit.of_export(file, read)
        with _bar(source.rows, "verifying") as told:
            document = audit.verify(source, bank_holidays, head=head, progress=told)
    else:
        settings = read_settings(shared.config)

        def days(calendar: NoticeCalendar) -> frozenset[date]:
            same = calendar is settings.rules.notice_calendar
            return settings.rules.bank_holidays if same else bank_holidays(calendar)

        with (
            SqliteStore.open(settings.store.path, read_only=True) as opened,
            audit.of_store(opened) as kept,
            _bar(kept.rows, "verifying") as told,
        ):
            document = audit.verify(kept, days, head=head, progress=told)
    finish(shared, document, verified_text)


@contextmanager
def _bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """What to call with each number of things done; a bar on a terminal."""
    if not length or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(
        length=length, label=label, file=sys.stderr, update_min_steps=max(1, length // 200)
    ) as bar:
        yield bar.update


def verified_text(document: Document) -> str:
    """What was checked; or every finding, the first broken link first."""
    lines = [plain(each["text"]) for each in document["findings"]]
    if document["found"] > len(lines):
        lines.append(f"and {document['found'] - len(lines)} more")
    lines += [
        f"Not checked: {each['type']} of {each['month']}: {each['why']}"
        for each in document["seals"]
        if not each["checked"]
    ]
    sealed = sum(1 for each in document["seals"] if each["checked"])
    until = show.local(document["chained_until"], none="no hour yet")
    counts = (
        f"{document['facts']:,} facts, {document['observations']:,} observations"
        f" (chained until {until}), {sealed} sealings worked out again"
    )
    said = "all good" if document["ok"] else f"{document['found']} findings"
    lines.append(f"{document['source']}: {said}: {counts}")
    lines.append(f"head: {document['head']['seq']} {document['head']['hash']}")
    return "\n".join(lines)
