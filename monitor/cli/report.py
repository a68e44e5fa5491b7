"""`report`: the month as files for people, spreadsheets and programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli import show
from monitor.cli.common import Common, Document, common, finish, read_settings
from monitor.errors import IdentityError, UsageError

if TYPE_CHECKING:
    from monitor.config import Settings

FORMATS = ("html", "pdf", "xlsx", "csv", "json")


def _formats(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    wanted = [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        said = ", ".join(unknown) or "nothing"
        raise click.BadParameter(f"{said} is not one of {', '.join(FORMATS)}")
    return tuple(wanted)


@click.command()
@click.argument("month", metavar="YYYY-MM")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="write the files into this folder, which must be new or empty",
)
@click.option(
    "--format",
    "formats",
    default=",".join(FORMATS),
    metavar="NAME,...",
    callback=_formats,
    help=f"write these only, with commas (default: {','.join(FORMATS)})",
)
@click.option("--force", is_flag=True, help="write also into a folder that holds files already")
@common()
def report(shared: Common, month: str, out: Path, formats: tuple[str, ...], force: bool) -> None:
    """Write the evidence of a month: one content as HTML, PDF, XLSX, CSV and JSON.

    With a manifest of SHA-256 sums. It reads the store itself, beside the daemon or without it. Of a
    sealed month the same facts give the same bytes. PDF and XLSX need the extra `reports`.
    """
    from monitor.adapters.clock import SteadyClock
    from monitor.adapters.store import SqliteStore
    from monitor.core.month import Month
    from monitor.recovery import load_book
    from monitor.report.content import build
    from monitor.report.files import Format, write

    settings = read_settings(shared.config)
    chosen = Month.parse(month, settings.rules.zone)
    if not force and out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out}: holds files already; name a new folder, or give --force")
    clock = SteadyClock()
    with SqliteStore.open(settings.store.path, read_only=True) as store:
        for instant in store.frontiers().values():
            clock.not_before(instant)
        now = clock.now()
        if now <= chosen.interval.start:
            raise UsageError(f"{chosen}: has not begun; name this month or one before it")
        live = sum(1 for endpoint in settings.endpoints if endpoint.live)
        with _progress(2 * live) as step:
            book = load_book(settings, store).book
            content = build(
                settings,
                book,
                store,
                chosen,
                now,
                certificates=_certificates(settings, now),
                progress=lambda: step(1),
            )
            # The files are the other half of the work.
            share = max(1, live // len(formats))
            manifest = write(
                content, out, [Format(each) for each in formats], progress=lambda: step(share)
            )
    finish(shared, {"ok": True, "folder": str(out), **manifest}, _text)


def _certificates(settings: Settings, now: datetime) -> list[Mapping[str, Any]]:
    """The certificates of the identities configured; of one that cannot be read, none."""
    from monitor.adapters.identity import load

    found: list[Mapping[str, Any]] = []
    for spec in settings.identities.values():
        try:
            identity = load(spec, now=now)
        except IdentityError:
            click.echo(
                f"identities.{spec.name}: cannot be read here, so its certificates are not in the"
                " report; monitor identity check says why",
                err=True,
            )
            continue
        chain = [("client", identity.leaf), *(("client_ca", one) for one in identity.chain)]
        found += [
            {
                "role": role,
                "name": spec.name,
                "subject": facts.subject,
                "issuer": facts.issuer,
                "not_before": facts.not_before.isoformat(),
                "not_after": facts.not_after.isoformat(),
                "sha256": facts.sha256,
            }
            for role, facts in chain
        ]
    return found


@contextmanager
def _progress(length: int) -> Iterator[Callable[[int], None]]:
    """What to call with each bit of work done; a bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=length, label="reporting", file=sys.stderr) as bar:
        yield bar.update
        bar.update(length)


def _text(document: Document) -> str:
    lines = [f"{document['folder']}: report of {document['month']}"]
    if document["sealed_at"] is None:
        lines[0] += ", not sealed: the figures may still change"
    rows = [[each["name"], each["size_bytes"], each["sha256"]] for each in document["files"]]
    return "\n".join([*lines, show.table(["file", "bytes", "SHA-256"], rows, none="No files.")])
