"""`explain`: why an instant is what it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from monitor.cli import show
from monitor.cli.common import Common, Document, common, finish
from monitor.cli.reach import perform


@click.command()
@click.argument("id", metavar="ID")
@click.option("--at", required=True, metavar="INSTANT", help="ISO 8601, UK time without an offset")
@click.option(
    "--service",
    type=click.Choice(["find", "view", "pat-refresh"]),
    help="which service of a holdername",
)
@common()
def explain(shared: Common, **given: Any) -> None:
    """Say why the state and class of ID at an instant are what they are.

    ID is an endpoint, a holdername GUID (with --service), an incident, an assertion or a
    declaration. Shown are the observations around the instant with what each did to the counts, the
    span and its reason, each version of each declaration with why it did or did not count, the
    notice day by day, the class, the incident, and the effect on the month's budget.
    """
    finish(shared, perform(shared, "explain", given), explained_text)


def explained_text(document: Document) -> str:
    """One section for each series."""
    parts = ["\n".join(_section(each)) for each in document["explanations"]] or [
        f"{document['kind']} {document['id']} concerns nothing that is watched then"
    ]
    if document["left_out"]:
        parts.append(f"and {document['left_out']} more series")
    return "\n\n".join(parts)


def _section(found: Document) -> Iterator[str]:
    yield f"{show.series(found['series'])} at {show.local(found['at'])}"
    yield from _state(found["state"])
    for endpoint in found["endpoints"]:
        yield from _endpoint(endpoint)
    yield from _assertions(found["assertions"])
    yield from _declarations(found["declarations"])
    yield from _outage(found)
    yield from _budget(found["budget"])


def _state(state: Document | None) -> Iterator[str]:
    if state is None:
        yield "State: none: this time is not accounted (before connection, after disconnection)"
        return
    start = show.local(state["start"])
    start = f"before {start}" if "start" in state["cut_at"] else start
    yield f"State: {state['state']}, from {start} to {show.local(state['end'], none='now')}"
    yield f"  because: {state['why']}"


def _endpoint(endpoint: Document) -> Iterator[str]:
    cadence = endpoint["cadence"]
    yield (
        f"Observations of {endpoint['id']}: {cadence['confirm_down']} failing in a row confirm an"
        f" outage, {cadence['confirm_up']} up end it; silence over {cadence['gap_after_s']:g} s is"
        " a gap"
    )
    rows = [
        (show.local(row["at"]), row["result"], row["reason"], row["effect"])
        for row in endpoint["observations"]
    ]
    yield show.table(("at", "result", "reason", "effect"), rows, none="  none near this instant")
    holding = endpoint["holding"]
    if holding is not None:
        said = "holds" if holding["holds"] else "no longer holds"
        yield (
            f"In force: the {holding['result']} of {show.local(holding['observed_at'])} {said} at"
            f" the instant: it holds until {show.local(holding['holds_until'])} ({holding['why']})"
        )


def _assertions(assertions: list[Document]) -> Iterator[str]:
    for one in assertions:
        yield f"Assertion {one['id']}: {'counts' if one['counts'] else 'does not count'}: {one['why']}"


def _declarations(declarations: list[Document]) -> Iterator[str]:
    if not declarations:
        yield "Declarations: there is none"
    for one in declarations:
        said = "counts" if one["counts"] else "does not count"
        yield (
            f"Declaration {one['id']}, version of {show.local(one['version_recorded_at'])}:"
            f" {said}: {'; '.join(one['why'])}"
        )
        if one["cover"] is not None:
            yield from _notice(one["cover"])


def _notice(cover: Document) -> Iterator[str]:
    notice = cover["notice"]
    verdict = "enough" if notice["enough"] else "too little"
    late = ", excused by a late record" if cover["late"] else ""
    yield (
        f"  as {cover['class']}{late}: {notice['days']} working days of notice of"
        f" {notice['needed']} ({notice['method']}): {verdict}; told"
        f" {show.local(notice['notified_at'])}, counted to {show.local(notice['counted_to'])}"
    )
    for day in notice["day_by_day"]:
        yield f"    {day['day']}  {'counts' if day['counts'] else '-     '}  {day['why']}"


def _outage(found: Document) -> Iterator[str]:
    outage = found["outage"]
    if outage is None:
        yield "Class: none: no outage at this instant"
        return
    cls = found["class"]
    yield f"Class: {cls['class']}: {cls['why']}"
    yield (
        f"Outage ({outage['source']}) from {show.local(outage['start'])} to"
        f" {show.local(outage['end'], none='now')}, confirmed {show.local(outage['confirmed_at'])}"
    )
    for part in outage["parts"]:
        named = f", {part['declaration']}" if part["declaration"] else ""
        yield f"  {show.local(part['start'])} to {show.local(part['end'])}: {part['class']}{named}"
    for one in found["incidents"]:
        yield (
            f"Incident {one['id']}: {one['kind']}, {one['state']}, started"
            f" {show.local(one['started_at'])}"
        )
    if not found["incidents"]:
        yield "Incident: none: nothing of the outage needs one, or none is recorded"


def _budget(budget: Document | None) -> Iterator[str]:
    if budget is None:
        yield "Budget: nothing of the month is accounted"
        return
    yield (
        f"Budget of {budget['month']}: {show.duration(budget['budget_s'])}, spent"
        f" {show.duration(budget['unavailable_s'])}, left {show.duration(budget['remaining_s'])};"
        f" of it this outage took {show.duration(budget['this_outage_s'])} (without it"
        f" {show.duration(budget['remaining_without_it_s'])} would be left)"
    )
