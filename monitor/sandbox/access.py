"""The token with which the sandbox's pages may be read and written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from monitor.errors import ConfigError
from monitor.sandbox.pki import write
from monitor.web.tokens import Scope, Token, create_token, load

NAME = "sandbox"
TOKEN_FILE, TOKENS_FILE = "token", "tokens.yaml"
PRIVATE = 0o600


def token_files(directory: Path) -> None:
    """Keep the token of the last start, or make one: the secret in `token`, its hash in `tokens.yaml`.

    Other entries that somebody put into `tokens.yaml` stay. Both files are their owner's alone.
    """
    if _fits(directory):
        for name in (TOKEN_FILE, TOKENS_FILE):
            (directory / name).chmod(PRIVATE)
        return
    secret, entry = create_token(NAME, Scope.ADMIN)
    entries = [entry]
    for one in _known(directory):
        if one.name != NAME:
            entries.append({"name": one.name, "scope": one.scope, "sha256": one.sha256.hex()})
    listed = "".join(
        f'- name: {one["name"]}\n  scope: {one["scope"]}\n  sha256: "{one["sha256"]}"\n'
        for one in entries
    )
    write(directory / TOKEN_FILE, f"{secret}\n".encode(), PRIVATE)
    write(directory / TOKENS_FILE, listed.encode(), PRIVATE)


def _fits(directory: Path) -> bool:
    """Whether the secret there is that of an entry that may do everything."""
    try:
        secret = (directory / TOKEN_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return False
    digest = hashlib.sha256(secret.encode()).digest()
    return any(one.sha256 == digest and one.scope is Scope.ADMIN for one in _known(directory))


def _known(directory: Path) -> tuple[Token, ...]:
    try:
        return load(directory / TOKENS_FILE)
    except ConfigError:
        return ()  # missing or damaged
