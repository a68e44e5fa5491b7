"""`endpoint`: what people say about an endpoint."""

from __future__ import annotations

from typing import Any

import click

from monitor.cli.common import Common, Document, author_option, common, finish
from monitor.cli.reach import perform


@click.group()
def endpoint() -> None:
    """What people say about an endpoint."""


@endpoint.command("acknowledge-change")
@click.argument("id", metavar="ID")
@click.option(
    "--reference", required=True, metavar="REF", help="MaPS' reference of the technical change"
)
@author_option
@common()
def acknowledge_change(shared: Common, author: str | None, **given: Any) -> None:
    """Explain a change of endpoint ID that was found (CoCo 2.2.2); the finding is then cleared.

    For a change to come, declare its window with --technical-change: then nothing is found.
    """
    finish(shared, perform(shared, "endpoint.acknowledge_change", given, author), _text)


def _text(document: Document) -> str:
    checks = ", ".join(document["checks"])
    return f"{document['endpoint']}: {checks} explained by {document['reference']}"
