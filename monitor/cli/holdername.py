"""`holdername`: the mapping of GUIDs to endpoints, from a table and against the register."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli import show
from monitor.cli.common import Common, Document, common, finish, read_settings
from monitor.errors import UsageError

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.core.holdername import Register

MOST = 64 * 1024 * 1024
"""Bytes of a table that are read at most; no register comes near."""


@click.group()
def holdername() -> None:
    """Which holdername GUIDs the endpoints serve."""


def _read(file: Path) -> str:
    """The text of a table. Raises UsageError."""
    try:
        if file.stat().st_size > MOST:
            raise UsageError(f"{file}: is larger than {MOST >> 20} MiB; name a CSV file")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is not UTF-8 text; save it as CSV UTF-8") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror}); check the path") from None


def _register(settings: Settings) -> Register:
    from monitor.core.holdername import Register

    return Register(settings.endpoints, settings.holdernames, settings.rules.zone)


def _at(day: str | None, settings: Settings) -> tuple[str, datetime]:
    """A UK date and its first instant; today's date and this instant if none is given."""
    from datetime import UTC

    from monitor.core.month import civil, midnight

    zone = settings.rules.zone
    if day is None:
        now = datetime.now(UTC)
        return civil(now, zone).date().isoformat(), now
    try:
        return day, midnight(date.fromisoformat(day), zone)
    except ValueError:
        raise UsageError(f'--at: "{day}" is not a date; write it as YYYY-MM-DD') from None


at_option = click.option(
    "--at", metavar="YYYY-MM-DD", help="as of the start of this UK date (default: now)"
)


@holdername.command("list")
@at_option
@common()
def list_(shared: Common, at: str | None) -> None:
    """List the holdernames of the configuration, and where each stands."""
    from monitor.snapshot import holdername_document

    settings = read_settings(shared.config, accounting_only=True)
    register = _register(settings)
    day, instant = _at(at, settings)
    rows = [holdername_document(one, register, instant) for one in settings.holdernames]
    finish(shared, {"at": day, "holdernames": rows}, _listed_text)


def _listed_text(document: Document) -> str:
    return show.table(
        ["holdername", "lifecycle", "name"],
        [[row["guid"], row["lifecycle"], row["name"]] for row in document["holdernames"]],
        none="No holdernames.",
    )


@holdername.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.csv")
@common()
def import_(shared: Common, file: Path) -> None:
    """Print the mapping in FILE.csv as YAML, for a file under include.

    The columns are guid, name, endpoints (ids, parted by ;), from and until (UK dates). Nothing is
    changed; every fault of the table is listed with its line.
    """
    from monitor.core.reconcile import mapping_yaml, read_mapping

    settings = read_settings(shared.config, accounting_only=True)
    register = _register(settings)
    text = _read(file)
    found = read_mapping(text, str(file), register.endpoints, register.holdernames)
    document = {"ok": True, "holdernames": len(found), "yaml": mapping_yaml(found)}
    finish(shared, document, lambda said: str(said["yaml"]).rstrip("\n"))


@holdername.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="REGISTER.csv")
@at_option
@common()
def reconcile(shared: Common, file: Path, at: str | None) -> None:
    """Compare the configured mapping with a register export; exits with 1 if they differ.

    The columns are guid, name, service, endpoint_url and, if it has one, status (Inactive: retired;
    Pending: to connect yet).
    """
    from monitor.core.reconcile import read_register
    from monitor.core.reconcile import reconcile as compared
    from monitor.snapshot import reconciled_document

    settings = read_settings(shared.config, accounting_only=True)
    entries = read_register(_read(file), str(file))
    day, instant = _at(at, settings)
    found = compared(_register(settings), entries, instant)
    document = reconciled_document(day, len(entries), found)
    finish(shared, document, _reconciled_text)


def _reconciled_text(document: Document) -> str:
    return show.table(
        ["difference", "holdername", "service", "configured", "registered", "name"],
        [
            [
                row["kind"],
                row["guid"],
                row["service"],
                show.names(row["configured"]),
                show.names(row["registered"]),
                row["name"],
            ]
            for row in document["differences"]
        ],
        none=f"No differences in {document['compared']} lines, as of {document['at']}.",
    )
