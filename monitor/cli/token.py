"""`token`: who may use the HTTP API."""

from __future__ import annotations

import click

from monitor.cli.common import Common, Document, common, finish


@click.group()
def token() -> None:
    """Bearer tokens of the HTTP API."""


@token.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--scope",
    required=True,
    type=click.Choice(["read", "declare", "admin"]),
    help="what it allows; each includes the ones before it",
)
@common()
def create(shared: Common, name: str, scope: str) -> None:
    """Make a token for NAME: the secret, shown only now, and the entry for the tokens file.

    Nothing is written: put the entry into the file that http.tokens_file names, and hand the secret
    to whoever shall use it. It reads no configuration.
    """
    from monitor.web.tokens import create_token

    secret, entry = create_token(name, scope)
    finish(shared, {"token": secret, "entry": entry}, _text)


def _text(document: Document) -> str:
    entry = document["entry"]
    return "\n".join(
        [
            f"Token, shown only now: {document['token']}",
            "Add to the file that http.tokens_file names:",
            f"- name: {entry['name']}",
            f"  scope: {entry['scope']}",
            f'  sha256: "{entry["sha256"]}"',
        ]
    )
