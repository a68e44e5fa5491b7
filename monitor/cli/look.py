"""`status`, `slo` and `alerts`: what is known now, what is left of the month, who was told."""

from __future__ import annotations

from typing import Any

import click

from monitor.cli.common import Common, author_option, common, finish
from monitor.cli.reach import perform
from monitor.cli.render import (
    approved_text,
    dead_text,
    queued_text,
    resent_text,
    slo_text,
    status_text,
)


@click.command()
@common()
def status(shared: Common) -> None:
    """Show endpoints, open incidents, downtime in force and this month's budget."""
    finish(shared, perform(shared, "status", {}), status_text)


@click.group(invoke_without_command=True)
@click.option("--month", metavar="YYYY-MM", help="the month of the account (default: this one)")
@click.option(
    "--by",
    type=click.Choice(["endpoint", "holdername"]),
    help="per endpoint, or per holdername and service (default: endpoint)",
)
@click.option("--endpoint", metavar="ID", help="only this endpoint (default: all)")
@common()
def slo(shared: Common, **given: Any) -> None:
    """Show a month's account against the objective; percentages are rounded down."""
    if click.get_current_context().invoked_subcommand is None:
        finish(shared, perform(shared, "slo", given), slo_text)


@slo.command()
@click.argument("month", metavar="YYYY-MM")
@click.option(
    "--approved-by",
    required=True,
    metavar="NAME",
    help="record that this person approves; it must not be one whose facts changed the figures",
)
@author_option
@common()
def approve(shared: Common, author: str | None, **given: Any) -> None:
    """Let a restatement count that betters figures of a sealed month.

    monitor slo shows what waits for approval. What worsens a figure is restated without asking.
    """
    finish(shared, perform(shared, "slo.approve", given, author), approved_text)


@click.group()
def alerts() -> None:
    """Alerts: try them, and see what was not delivered."""


@alerts.command()
@click.option("--receiver", metavar="NAME", help="only this receiver (default: all)")
@author_option
@common()
def test(shared: Common, author: str | None, **given: Any) -> None:
    """Send a test event to the receivers of alerts."""
    finish(shared, perform(shared, "alerts.test", given, author), queued_text)


@alerts.command()
@common()
def dead(shared: Common) -> None:
    """List the alerts that nobody accepted in time."""
    finish(shared, perform(shared, "alerts.dead", {}), dead_text)


@alerts.command()
@click.argument("ids", nargs=-1, type=click.IntRange(1), metavar="[ID]...")
@click.option("--all", is_flag=True, help="all that are dead")
@author_option
@common()
def resend(shared: Common, author: str | None, ids: tuple[int, ...], **given: Any) -> None:
    """Send dead alerts again: those named, or all."""
    if bool(ids) == given["all"]:
        raise click.UsageError("Give the IDs of dead alerts, or --all.")
    finish(shared, perform(shared, "alerts.resend", {"ids": ids, **given}, author), resent_text)
