"""`token`: who may use the HTTP API."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.common import Common, Document, common, finish
from monitor.errors import UsageError


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
@click.option(
    "--certificate",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="an entry for whoever shows this client certificate (PEM), instead of a secret",
)
@common()
def create(shared: Common, name: str, scope: str, certificate: Path | None) -> None:
    """Make a token for NAME: the secret, shown only now, and the entry for the tokens file.

    Nothing is written: put the entry into the file that http.tokens_file names, and hand the secret
    to whoever shall use it. With --certificate there is no secret: the listener's http.tls.client_ca
    verifies the certificate. It reads no configuration.
    """
    from monitor.web.tokens import certificate_entry, create_token

    if certificate is not None:
        entry = certificate_entry(name, scope, _der(certificate))
        finish(shared, {"token": None, "entry": entry}, _text)
        return
    secret, entry = create_token(name, scope)
    finish(shared, {"token": secret, "entry": entry}, _text)


def _der(file: Path) -> bytes:
    """The first certificate of a PEM file. Raises UsageError."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror}); check the path") from None
    except ValueError:
        raise UsageError(
            f"{file}: holds no PEM certificate; name the client's certificate"
        ) from None


def _text(document: Document) -> str:
    entry = document["entry"]
    key = "sha256" if "sha256" in entry else "certificate_sha256"
    lines = [] if document["token"] is None else [f"Token, shown only now: {document['token']}"]
    return "\n".join(
        [
            *lines,
            "Add to the file that http.tokens_file names:",
            f"- name: {entry['name']}",
            f"  scope: {entry['scope']}",
            f'  {key}: "{entry[key]}"',
        ]
    )
