"""`probe`: one probe now, by this process; nothing of it is recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from monitor.cli import show
from monitor.cli.check import certificate_text
from monitor.cli.common import NOT_GOOD, Common, Document, common, print_json, read_settings
from monitor.errors import UnknownName

if TYPE_CHECKING:
    from monitor.adapters.identity import Identity
    from monitor.config import Settings
    from monitor.core.endpoint import Endpoint
    from monitor.core.verdict import CertificateFacts, Evidence


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@common()
def probe(shared: Common, ids: tuple[str, ...]) -> None:
    """Probe the endpoints named, or all, once and now.

    Prints verdict, reason, the time of each phase, TLS version and cipher, the certificates seen
    and those shown. Exits with 1 if one is not up. It records nothing and needs no daemon.
    """
    import asyncio

    from monitor.adapters.identity import identity_document
    from monitor.snapshot import probe_document

    settings = read_settings(shared.config)
    wanted = _wanted(settings, ids)
    seen, shown = asyncio.run(_ask(settings, wanted))
    documents = [
        probe_document(endpoint, evidence, identity_document(shown[endpoint.identity]))
        for endpoint, evidence in zip(wanted, seen, strict=True)
    ]
    if shared.as_json:
        print_json(documents)
    else:
        texts = [
            _text(document, endpoint, evidence.tls.chain, shown[endpoint.identity])
            for document, endpoint, evidence in zip(documents, wanted, seen, strict=True)
        ]
        click.echo("\n\n".join(texts))
    if any(document["result"] != "up" for document in documents):
        click.get_current_context().exit(NOT_GOOD)


def _wanted(settings: Settings, ids: tuple[str, ...]) -> list[Endpoint]:
    """The endpoints named, once each, or all. Raises UnknownName."""
    known = {endpoint.id: endpoint for endpoint in settings.endpoints}
    for name in ids:
        if name not in known:
            raise UnknownName(
                f'there is no endpoint "{name}" in {settings.path}; it has: {show.names(known)}'
            )
    return [known[name] for name in dict.fromkeys(ids)] or list(known.values())


async def _ask(
    settings: Settings, wanted: list[Endpoint]
) -> tuple[list[Evidence], dict[str, Identity]]:
    """What each endpoint answered, and the identities shown to them. Raises IdentityError."""
    import asyncio

    from monitor import __version__
    from monitor.adapters.clock import SystemClock
    from monitor.adapters.probe import AiohttpProber, Limits
    from monitor.adapters.tls import Contexts

    used = {endpoint.identity for endpoint in wanted}
    specs = [spec for name, spec in settings.identities.items() if name in used]
    contexts = Contexts()
    uses = [(endpoint.identity, endpoint.trust) for endpoint in wanted]
    await contexts.replace(specs, uses, now=datetime.now(UTC))
    limits = settings.probing
    prober = AiohttpProber(
        contexts,
        SystemClock(),
        user_agent=limits.user_agent or f"pensions-monitor/{__version__}",
        limits=Limits(limits.max_concurrent, limits.per_host, limits.max_body),
    )
    await prober.start()
    try:
        seen = await asyncio.gather(*map(prober.probe, wanted))
    finally:
        await prober.close()
    return seen, {identity.name: identity for identity in contexts.identities}


def _text(
    document: Document, endpoint: Endpoint, seen: tuple[CertificateFacts, ...], identity: Identity
) -> str:
    tls = document["tls"]
    phases = [(name, show.milliseconds(value)) for name, value in document["phases"].items()]
    lines = show.fields(
        [
            ("endpoint", endpoint.id),
            ("url", endpoint.url),
            ("result", document["result"]),
            ("reason", document["reason"]),
            ("detail", document["detail"]),
            ("finding", document["finding"]),
            ("status", document["status"]),
            ("at", show.local(document["at"])),
            ("took", show.milliseconds(document["duration"])),
            *phases,
            ("tls", tls["version"]),
            ("cipher", tls["cipher"]),
            ("alert", tls["alert"]),
            ("request id", document["request_id"]),
            ("identity", identity.name),
        ]
    )
    texts = [lines]
    shown = (identity.leaf, *identity.chain)
    texts += [certificate_text(f"seen, {number}", facts) for number, facts in enumerate(seen, 1)]
    texts += [certificate_text(f"shown, {number}", facts) for number, facts in enumerate(shown, 1)]
    return "\n".join(texts)
