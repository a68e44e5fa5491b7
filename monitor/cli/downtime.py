"""`downtime`: the life of a declaration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from monitor.cli.common import Common, F, author_option, common, finish, names_option
from monitor.cli.planning import FORMATS, calendar_text, format_of, imported_text, plan_text
from monitor.cli.reach import perform
from monitor.cli.render import declaration_text, declarations_text, declared_text

INSTANT = "ISO 8601, UK time without an offset"
KINDS = ("planned", "emergency", "maps")
CLASSES = ("minimal", "minor", "moderate", "significant")


def _scope(default: str) -> Callable[[F], F]:
    """The options that say what a declaration is about."""

    def decorate(function: F) -> F:
        function = names_option("--services", "find, view or pat-refresh", default=default)(
            function
        )
        function = names_option("--holdernames", "these GUIDs", default=default)(function)
        return names_option("--endpoints", "these ids", default=default)(function)

    return decorate


def _change(function: F) -> F:
    """The options that tie a declaration to a technical change, and override a freeze."""
    function = click.option(
        "--override-freeze",
        metavar="REASON",
        help="why the window may lie in a change freeze; it is recorded (default: refused there)",
    )(function)
    function = click.option(
        "--change-class",
        type=click.Choice(CLASSES),
        help="how much the technical change may affect; the evidence it needs is then listed",
    )(function)
    return click.option(
        "--technical-change",
        metavar="REFERENCE",
        help="MaPS' reference of the technical change that needs the downtime",
    )(function)


@click.group()
def downtime() -> None:
    """Declare downtime, and follow each declaration to its end."""


@downtime.command()
@click.option("--start", required=True, metavar="INSTANT", help=f"the window begins: {INSTANT}")
@click.option("--end", required=True, metavar="INSTANT", help=f"the window ends: {INSTANT}")
@_scope("all")
@common()
def plan(shared: Common, **given: Any) -> None:
    """Say whether a window of planned work would do, and which ones would; record nothing.

    Looks at notice (as if MaPS were told now, however it is counted), change windows, freezes,
    MaPS' own downtime, and the budget left with other declared windows reserved.
    Exits with 1 if the window would not do.
    """
    finish(shared, perform(shared, "downtime.plan", given), plan_text)


@downtime.command()
@click.option("--start", required=True, metavar="INSTANT", help=f"the window begins: {INSTANT}")
@click.option("--end", required=True, metavar="INSTANT", help=f"the window ends: {INSTANT}")
@_scope("all")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="our planned work, an emergency fix, or MaPS' own downtime (default: planned)",
)
@click.option("--reason", required=True, metavar="TEXT", help="why, in a sentence")
@click.option(
    "--notified-at",
    metavar="INSTANT",
    help=f"when MaPS was told: {INSTANT} (default: not yet, a draft without effect)",
)
@click.option("--ticket", metavar="REFERENCE", help="MaPS' reference of the notification")
@_change
@click.option("--id", metavar="ID", help="name it so (default: the next free D-1, D-2...)")
@author_option
@common()
def declare(shared: Common, author: str | None, **given: Any) -> None:
    """Record a window of downtime, with warnings on its notice and the budget.

    Several of --endpoints, --holdernames and --services narrow each other; none means all.
    Exits with 1 if the notice is too short; the declaration is recorded all the same.
    """
    finish(shared, perform(shared, "downtime.declare", given, author), declared_text)


@downtime.command()
@click.argument("id", metavar="ID")
@click.option("--at", metavar="INSTANT", help=f"when MaPS was told: {INSTANT} (default: now)")
@click.option("--ticket", required=True, metavar="REFERENCE", help="MaPS' reference")
@author_option
@common()
def notify(shared: Common, author: str | None, **given: Any) -> None:
    """Record that MaPS has been told of declaration ID: from then on it counts."""
    finish(shared, perform(shared, "downtime.notify", given, author), declared_text)


@downtime.command()
@click.argument("id", metavar="ID")
@click.option("--start", metavar="INSTANT", help=f"the window begins: {INSTANT}")
@click.option("--end", metavar="INSTANT", help=f"the window ends: {INSTANT}")
@_scope("as before")
@click.option("--kind", type=click.Choice(KINDS), help="what kind of downtime it is")
@click.option("--reason", metavar="TEXT", help="why, in a sentence")
@click.option(
    "--notified-at", metavar="INSTANT", help=f"when MaPS was told of this version: {INSTANT}"
)
@click.option("--ticket", metavar="REFERENCE", help="MaPS' reference of the notification")
@_change
@author_option
@common()
def amend(shared: Common, author: str | None, **given: Any) -> None:
    """Record a new version of declaration ID; what is not given stays as it was.

    Of --endpoints, --holdernames and --services an empty text takes the limit away.
    The version before it stays in force for the time before this one was recorded.
    """
    finish(shared, perform(shared, "downtime.amend", given, author), declared_text)


@downtime.command()
@click.argument("id", metavar="ID")
@click.option("--reason", metavar="TEXT", help="why, in a sentence")
@author_option
@common()
def cancel(shared: Common, author: str | None, **given: Any) -> None:
    """Withdraw declaration ID: from now on it covers nothing."""
    finish(shared, perform(shared, "downtime.cancel", given, author), declared_text)


@downtime.command()
@click.argument("id", metavar="ID")
@click.option("--actual-start", metavar="INSTANT", help=f"the work began: {INSTANT}")
@click.option("--actual-end", metavar="INSTANT", help=f"the work ended: {INSTANT}")
@author_option
@common()
def complete(shared: Common, author: str | None, **given: Any) -> None:
    """Record that the work of declaration ID is done, with its actual times."""
    finish(shared, perform(shared, "downtime.complete", given, author), declared_text)


@downtime.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    help="how FILE is written (default: by its name, which ends in .ics or .csv)",
)
@author_option
@common()
def import_(shared: Common, author: str | None, file: Path, format: str | None) -> None:
    """Take MaPS' own downtime from its calendar: iCalendar, or CSV with uid, start, end, summary.

    Each event becomes a declaration of kind maps, known again by its UID: importing again changes
    what changed, cancels what is marked cancelled, and doubles nothing.
    """
    given = {"format": format or format_of(file), "calendar": calendar_text(file)}
    finish(shared, perform(shared, "downtime.import", given, author), imported_text)


@downtime.command("list")
@click.option("--all", is_flag=True, help="also those that are over or cancelled")
@common()
def list_(shared: Common, **given: Any) -> None:
    """List the declarations in force and to come."""
    finish(shared, perform(shared, "downtime.list", given), declarations_text)


@downtime.command()
@click.argument("id", metavar="ID")
@common()
def show(shared: Common, **given: Any) -> None:
    """Show declaration ID with every version."""
    finish(shared, perform(shared, "downtime.show", given), declaration_text)
