"""`outage` and `incident`: what happened, and what we did about it."""

from __future__ import annotations

from typing import Any

import click

from monitor.cli.common import Common, author_option, common, finish, names_option
from monitor.cli.reach import perform
from monitor.cli.render import (
    asserted_text,
    incident_text,
    incidents_text,
    outages_text,
    stepped_text,
)

INSTANT = "ISO 8601, UK time without an offset"


@click.group()
def outage() -> None:
    """Outages, and those that an edge probe cannot see."""


@outage.command("list")
@click.option("--month", metavar="YYYY-MM", help="those that touch this month (default: all)")
@click.option("--endpoint", metavar="ID", help="those of this endpoint (default: all)")
@click.option(
    "--by",
    type=click.Choice(["endpoint", "holdername"]),
    help="of endpoints, or of holdernames and services (default: endpoints, and what is asserted)",
)
@common()
def outage_list(shared: Common, **given: Any) -> None:
    """List outages, each cut by class: declared, short notice, overrun, undeclared."""
    finish(shared, perform(shared, "outage.list", given), outages_text)


@outage.command("assert")
@names_option("--holdernames", "unavailable for these GUIDs", required=True)
@names_option("--services", "find, view or pat-refresh")
@click.option("--start", required=True, metavar="INSTANT", help=f"since when: {INSTANT}")
@click.option("--end", metavar="INSTANT", help=f"until when: {INSTANT} (default: it goes on)")
@click.option("--reason", required=True, metavar="TEXT", help="what is known, in a sentence")
@click.option(
    "--id", metavar="ID", help="name it so, or correct the one of that name (default: next free)"
)
@author_option
@common()
def outage_assert(shared: Common, author: str | None, **given: Any) -> None:
    """Record an outage that no probe sees, such as of a federated back end.

    The same --id again, with --end, ends or corrects it.
    """
    finish(shared, perform(shared, "outage.assert", given, author), asserted_text)


@outage.command("withdraw")
@click.argument("id", metavar="ID")
@click.option("--reason", metavar="TEXT", help="why, in a sentence")
@author_option
@common()
def outage_withdraw(shared: Common, author: str | None, **given: Any) -> None:
    """Take back assertion ID: it counts no more."""
    finish(shared, perform(shared, "outage.withdraw", given, author), asserted_text)


@click.group()
def incident() -> None:
    """The life of an incident."""


@incident.command("list")
@click.option(
    "--state",
    type=click.Choice(["open", "restored", "closed"]),
    help="those in this state (default: open and restored)",
)
@click.option("--all", is_flag=True, help="also those closed, merged or void")
@common()
def incident_list(shared: Common, **given: Any) -> None:
    """List incidents: those not closed, those of a state, or all."""
    finish(shared, perform(shared, "incident.list", given), incidents_text)


@incident.command("show")
@click.argument("id", metavar="ID")
@common()
def incident_show(shared: Common, **given: Any) -> None:
    """Show incident ID with every step."""
    finish(shared, perform(shared, "incident.show", given), incident_text)


@incident.command()
@click.argument("id", metavar="ID")
@author_option
@common()
def acknowledge(shared: Common, author: str | None, **given: Any) -> None:
    """Record that somebody has taken on incident ID."""
    finish(shared, perform(shared, "incident.acknowledge", given, author), stepped_text)


@incident.command()
@click.argument("id", metavar="ID")
@click.option("--ticket", required=True, metavar="REFERENCE", help="MaPS' reference of the report")
@click.option("--at", metavar="INSTANT", help=f"when it was reported: {INSTANT} (default: now)")
@author_option
@common()
def report(shared: Common, author: str | None, **given: Any) -> None:
    """Record that incident ID has been reported to MaPS."""
    finish(shared, perform(shared, "incident.report", given, author), stepped_text)


@incident.command()
@click.argument("id", metavar="ID")
@click.option("--text", metavar="TEXT", help="what is known now")
@click.option("--next-update-at", metavar="INSTANT", help=f"when MaPS will hear more: {INSTANT}")
@click.option("--cause", metavar="TEXT", help="what caused it")
@click.option(
    "--location", type=click.Choice(["own", "federated", "maps"]), help="where the cause lay"
)
@author_option
@common()
def update(shared: Common, author: str | None, **given: Any) -> None:
    """Add to the timeline of incident ID; at least one option is needed."""
    if not any(given[name] for name in ("text", "next_update_at", "cause", "location")):
        raise click.UsageError("Give --text, --next-update-at, --cause or --location.")
    finish(shared, perform(shared, "incident.update", given, author), stepped_text)


@incident.command()
@click.argument("id", metavar="ID")
@author_option
@common()
def attest(shared: Common, author: str | None, **given: Any) -> None:
    """Attest that no acknowledged data was lost in incident ID (CoCo 2.1.4)."""
    finish(shared, perform(shared, "incident.attest", given, author), stepped_text)


@incident.command()
@click.argument("id", metavar="ID")
@author_option
@common()
def close(shared: Common, author: str | None, **given: Any) -> None:
    """Close incident ID, once it is restored and nothing is missing."""
    finish(shared, perform(shared, "incident.close", given, author), stepped_text)
