"""`check`, `identity` and `config`: what is wrong before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, astuple
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from monitor.cli import show
from monitor.cli.common import Common, common, finish, plain, print_json, read_settings
from monitor.errors import (
    ConfigError,
    Fault,
    FaultsError,
    IdentityError,
    MonitorError,
    UnknownName,
)

if TYPE_CHECKING:
    from monitor.adapters.identity import Identity
    from monitor.config import Settings
    from monitor.core.verdict import CertificateFacts


@click.command()
@common()
def check(shared: Common) -> None:
    """Find everything wrong with configuration, identities, secrets and store.

    All faults at once, each with its place and cure, and warnings. Exits with 1 if there is a
    fault. It reads the whole store; nothing is changed, nothing is asked of the network.
    """
    faults: list[Fault] = []
    warnings: list[str] = []
    try:
        settings = read_settings(shared.config)
    except ConfigError as error:
        faults.extend(error.faults)
    else:
        _check_settings(settings, faults, warnings)
    document = {
        "ok": not faults,
        "configuration": str(shared.config),
        "faults": [asdict(fault) for fault in faults],
        "warnings": warnings,
    }
    finish(shared, document, lambda _: _verdict(shared, faults, warnings))


def _check_settings(settings: Settings, faults: list[Fault], warnings: list[str]) -> None:
    from monitor.adapters.holidays import horizon

    warnings.extend(settings.warnings)
    now = datetime.now(UTC)
    soon = horizon(now.date())
    if soon is not None:
        warnings.append(soon)
    _check_identities(settings, settings.identities, now, faults, warnings)
    _check_secrets(settings, faults)
    _check_listener(settings, now, faults, warnings)
    faults.extend(_store_faults(settings))


def _check_identities(
    settings: Settings,
    names: Iterable[str],
    now: datetime,
    faults: list[Fault],
    warnings: list[str],
) -> None:
    """Load the identities, with a TLS context for each trust they are used with."""
    import asyncio

    from monitor.adapters.tls import Contexts

    wanted = set(names)
    specs = [spec for name, spec in settings.identities.items() if name in wanted]
    uses = [(e.identity, e.trust) for e in settings.endpoints if e.identity in wanted]
    contexts = Contexts()
    try:
        asyncio.run(contexts.replace(specs, uses, now=now))
    except IdentityError as error:
        faults.extend(error.faults)
        return
    days = max(settings.alerts.identity_expiry_days, default=0)
    for identity in contexts.identities:
        warnings.extend(str(fault) for fault in identity.warnings)
        warnings.extend(_expiring(identity, now, days))


def _expiring(identity: Identity, now: datetime, days: int) -> list[str]:
    """What runs out within so many days; what has run out already is warned of elsewhere."""
    return [
        f"identities.{identity.name}: {facts.subject} expires in {(facts.not_after - now).days}"
        f" days, at {show.local(facts.not_after)}; ask for new material now"
        for facts in (identity.leaf, *identity.chain)
        if now <= facts.not_after <= now + timedelta(days=days)
    ]


def _check_secrets(settings: Settings, faults: list[Fault]) -> None:
    from monitor.adapters.alertmanager import Login, trusting
    from monitor.adapters.apprise import AppriseNotifier, AppriseUrl
    from monitor.adapters.webhook import SecretFiles
    from monitor.web.tokens import Tokens

    for hook in settings.alerts.webhooks:
        files = [file for file in (hook.secret_file, hook.previous_secret_file) if file]
        try:
            if files:
                SecretFiles(files)
        except FaultsError as error:
            faults.extend(error.faults)
    for one in settings.alerts.apprise:
        try:
            url = AppriseUrl(one.url, one.url_file)
            AppriseNotifier(one.name, url, zone=settings.rules.zone)
        except FaultsError as error:
            faults.extend(error.faults)
    for member in settings.alerts.alertmanager:
        try:
            Login(member.username, member.password_file, member.bearer_token_file).headers()
            if member.ca_file is not None:
                trusting(member.ca_file)
        except FaultsError as error:
            faults.extend(error.faults)
    try:
        if settings.http.tokens_file is not None:
            Tokens(settings.http.tokens_file)
    except FaultsError as error:
        faults.extend(error.faults)


def _check_listener(
    settings: Settings, now: datetime, faults: list[Fault], warnings: list[str]
) -> None:
    """The certificate of our own listener, its key, and the CA of clients."""
    from monitor.adapters.listener import ListenerSpec
    from monitor.adapters.listener import check as check_files

    if settings.http.tls is None:
        return
    try:
        found = check_files(ListenerSpec(*astuple(settings.http.tls)), now)
    except FaultsError as error:
        faults.extend(error.faults)
    else:
        warnings.extend(str(fault) for fault in found)


def _store_faults(settings: Settings) -> list[Fault]:
    """What is wrong with the store; that there is none yet is no fault."""
    from monitor.adapters.store import SqliteStore

    path = settings.store.path
    if not path.exists():
        if path.parent.is_dir():
            return []
        cure = f"make it, for the user who runs the daemon: mkdir -p {path.parent}"
        what = "the folder of the store does not exist"
        return [Fault(str(path.parent), None, None, "store.url", what, cure)]
    try:
        with SqliteStore.open(path, read_only=True) as store:
            found = store.check()
    except MonitorError as error:
        found = [str(error)]
    return [_store_fault(str(path), text) for text in found]


def _store_fault(path: str, text: str) -> Fault:
    return Fault(path, None, None, "store.url", text.removeprefix(f"{path}: "), "")


def _verdict(shared: Common, faults: list[Fault], warnings: list[str]) -> str:
    lines = [plain(str(fault)) for fault in faults]
    lines += [plain(f"Warning: {warning}") for warning in warnings]
    number = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}"
    lines.append(f"{shared.config}: {number if faults else 'all good'}")
    return "\n".join(lines)


# --- identity -----------------------------------------------------------------------------------


@click.group()
def identity() -> None:
    """Look at the issued client material."""


def _wanted(settings: Settings, names: tuple[str, ...]) -> list[str]:
    """The identities named, or all. Raises UnknownName."""
    for name in names:
        if name not in settings.identities:
            known = ", ".join(settings.identities) or "none"
            raise UnknownName(f'there is no identity "{name}"; the configuration has: {known}')
    return list(names or settings.identities)


@identity.command("show")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@common()
def identity_show(shared: Common, names: tuple[str, ...]) -> None:
    """Show what each identity presents: subjects, issuers, dates, key, fingerprints."""
    from monitor.adapters.identity import identity_document, load

    settings = read_settings(shared.config)
    now = datetime.now(UTC)
    faults: list[Fault] = []
    found: list[Identity] = []
    for name in _wanted(settings, names):
        try:
            found.append(load(settings.identities[name], now=now))
        except IdentityError as error:
            faults.extend(error.faults)
    if faults:
        raise IdentityError(faults)
    if shared.as_json:
        print_json([identity_document(each) for each in found])
    else:
        click.echo("\n\n".join(map(_identity_text, found)) or "No identity is configured.")


def _identity_text(found: Identity) -> str:
    head = show.fields(
        [("identity", found.name), ("key", found.key_type), ("trusts", found.spec.trust)]
    )
    parts = [head, certificate_text("certificate", found.leaf)]
    parts += [certificate_text("issued by", facts) for facts in found.chain]
    parts += [plain(f"Warning: {warning}") for warning in found.warnings]
    return "\n".join(parts)


def certificate_text(role: str, facts: CertificateFacts) -> str:
    """A certificate on some lines, under what it is there for."""
    lines = show.fields(
        [
            ("subject", facts.subject),
            ("issuer", facts.issuer),
            ("serial", facts.serial),
            ("valid from", show.local(facts.not_before)),
            ("valid until", show.local(facts.not_after)),
            ("names", show.names(facts.names)),
            ("sha256", facts.sha256),
        ]
    )
    return f"{role}\n" + "\n".join(f"  {line}" for line in lines.splitlines())


@identity.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@common()
def identity_check(shared: Common, names: tuple[str, ...]) -> None:
    """Check each identity: files, permissions, key match, chain order, trust, dates.

    Exits with 1 if there is a fault; a certificate that runs out soon is a warning.
    """
    settings = read_settings(shared.config)
    faults: list[Fault] = []
    warnings: list[str] = []
    wanted = _wanted(settings, names)
    for name in wanted:
        _check_identities(settings, [name], datetime.now(UTC), faults, warnings)
    document = {
        "ok": not faults,
        "identities": wanted,
        "faults": [asdict(fault) for fault in faults],
        "warnings": warnings,
    }
    finish(shared, document, lambda _: _verdict(shared, faults, warnings))


# --- config -------------------------------------------------------------------------------------


@click.group()
def config() -> None:
    """About the configuration itself."""


@config.command()
@common()
def schema(shared: Common) -> None:
    """Print the JSON Schema of the configuration, for editors; it reads no configuration."""
    from monitor.config import json_schema

    print_json(json_schema())
