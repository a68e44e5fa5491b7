"""Who may ask: bearer tokens, kept as hashes in a file that is read again when it changes.

- name: grafana
  scope: read
  sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
- name: deployment
  scope: declare
  certificate_sha256: "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Any

import structlog
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from monitor.errors import ConfigError, Fault, UsageError

PREFIX = "monitor_"
"""How a token begins, so that scanners for leaked secrets can know one."""
LARGEST_FILE = 1 << 20
LONGEST_TOKEN = 512
CHECK_EVERY = 1.0
"""Seconds between two looks at the file; they are made when somebody asks."""
FAILURES = 10
"""Failures of one peer that are answered as such in a minute; further ones are put off."""
WINDOW = 60.0
PEERS = 1024
"""Peers whose failures are remembered; the one that failed longest ago is forgotten first."""

_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_KEYS = {"name", "scope", "sha256", "certificate_sha256"}

log = structlog.get_logger(__name__)


class Scope(StrEnum):
    """What a token allows; each includes the ones before it."""

    READ = "read"
    DECLARE = "declare"
    ADMIN = "admin"

    def includes(self, other: Scope) -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Token:
    """One entry: whose it is, what it allows, and the SHA-256 of the secret or of a client certificate.

    Exactly one of `sha256` and `certificate_sha256` is not empty.
    """

    name: str
    scope: Scope
    sha256: bytes
    certificate_sha256: bytes = b""


def create_token(name: str, scope: Scope | str) -> tuple[str, dict[str, str]]:
    """A new token: the secret, to be shown once, and the entry for the file.

    Raises UsageError for a name or scope that the file could not hold.
    """
    _check(name, scope)
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, {"name": name, "scope": str(scope), "sha256": _digest(secret).hex()}


def certificate_entry(name: str, scope: Scope | str, der: bytes) -> dict[str, str]:
    """The entry for whoever shows a client certificate, given as DER. Raises UsageError."""
    _check(name, scope)
    found = hashlib.sha256(der).hexdigest()
    return {"name": name, "scope": str(scope), "certificate_sha256": found}


def _check(name: str, scope: Scope | str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f'token name "{name}": use up to 64 letters, digits and . _ @ -')
    if scope not in list(Scope):
        raise UsageError(f'token scope "{scope}": use one of {", ".join(Scope)}')


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def load(path: Path) -> tuple[Token, ...]:
    """The tokens of a file. Raises ConfigError with every fault; no hash is ever shown."""
    return _parse(path, _read(path))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        why = error.strerror or "it cannot be read"
        cure = "correct http.tokens_file, or the owner and mode of the file"
        raise ConfigError([Fault(str(path), None, None, "", why, cure)]) from error
    if len(content) > LARGEST_FILE:
        what = f"is larger than {LARGEST_FILE} bytes"
        raise ConfigError([Fault(str(path), None, None, "", what, "name a file of tokens")])
    return content


def _parse(path: Path, content: bytes) -> tuple[Token, ...]:
    try:
        entries: Any = YAML(typ="rt", pure=True).load(content.decode("utf-8"))
    except (YAMLError, ValueError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line = None if mark is None else mark.line + 1
        fault = Fault(str(path), line, None, "", "is not YAML", "write a list of tokens")
        # The error itself quotes the file.
        raise ConfigError([fault]) from None
    if not isinstance(entries, CommentedSeq) or not entries:
        cure = "write a list of entries with name, scope and sha256"
        raise ConfigError([Fault(str(path), None, None, "", "holds no list of tokens", cure)])
    faults: list[Fault] = []
    tokens: list[Token] = []
    for number, entry in enumerate(entries):
        line = entries.lc.item(number)[0] + 1
        found = _entry_faults(entry, {token.name for token in tokens})
        faults.extend(
            Fault(str(path), line, None, f"[{number}]{at}", what, cure) for at, what, cure in found
        )
        if not found:
            tokens.append(_token(entry))
    if faults:
        raise ConfigError(faults)
    return tuple(tokens)


def _token(entry: Mapping[str, Any]) -> Token:
    secret, certificate = (
        bytes.fromhex(entry.get(key, "")) for key in ("sha256", "certificate_sha256")
    )
    return Token(str(entry["name"]), Scope(entry["scope"]), secret, certificate)


def _entry_faults(entry: Any, taken: set[str]) -> list[tuple[str, str, str]]:
    """(where, what, cure) of everything wrong with an entry."""
    if not isinstance(entry, dict):
        return [("", "is not an entry", "write name, scope and sha256")]
    found = []
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        found.append((".name", "is no name", "use up to 64 letters, digits and . _ @ -"))
    elif name in taken:
        found.append((".name", "stands twice", "give each token a name of its own"))
    if entry.get("scope") not in list(Scope):
        found.append((".scope", "is no scope", f"use one of {', '.join(Scope)}"))
    found += _hash_faults(entry)
    if entry.keys() - _KEYS:
        cure = "write name, scope, and sha256 or certificate_sha256 only"
        found.append(("", "has a key that is not known", cure))
    return found


def _hash_faults(entry: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What is wrong with what an entry knows its holder by."""
    if "sha256" in entry and "certificate_sha256" in entry:
        cure = "make an entry for each, with names of their own"
        return [("", "names both a token and a certificate", cure)]
    key = "certificate_sha256" if "certificate_sha256" in entry else "sha256"
    value = entry.get(key)
    if isinstance(value, str) and _HASH.fullmatch(value):
        return []
    what = "certificate" if key == "certificate_sha256" else "token"
    cure = f"write the SHA-256 of the {what} as 64 lower-case hex digits, in quotes"
    return [(f".{key}", "is no hash", cure)]


class Tokens:
    """The tokens in force. A file with faults leaves the old ones in force."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = monotonic) -> None:
        """Reads the file. Raises ConfigError with every fault."""
        self._path = path
        self._clock = clock
        content = _read(path)
        self._tokens = _parse(path, content)
        self._seen = hashlib.sha256(content).digest()
        self._looked = clock()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def current(self) -> tuple[Token, ...]:
        """The tokens in force, after a look at the file if the last one is a while ago."""
        now = self._clock()
        if now - self._looked >= CHECK_EVERY:
            self._looked = now
            # A disk that hangs keeps nobody waiting: then the old tokens go on.
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY):
                    await asyncio.to_thread(self._reload)
        return self._tokens

    def _reload(self) -> None:
        try:
            content = _read(self._path)
            seen = hashlib.sha256(content).digest()
            if seen == self._seen:
                return
            self._seen = seen
            self._tokens = _parse(self._path, content)
        except ConfigError as trouble:
            log.error("tokens_refused", why=str(trouble), kept="the tokens in force")
            return
        log.info("tokens_reloaded", tokens=len(self._tokens))

    async def holder(self, secret: str) -> Token | None:
        """Whose token this is; None: nobody's. Takes as long whichever it is."""
        if len(secret) > LONGEST_TOKEN:
            return None
        given = _digest(secret)
        found = None
        for token in await self.current():
            if hmac.compare_digest(token.sha256, given):
                found = token
        return found

    async def holder_of(self, der: bytes) -> Token | None:
        """Whose client certificate this is, given as DER and verified; None: nobody's."""
        given = hashlib.sha256(der).digest()
        found = None
        for token in await self.current():
            if hmac.compare_digest(token.certificate_sha256, given):
                found = token
        return found

    def failed(self, peer: str) -> float | None:
        """Count a failure of a peer; seconds to wait if it has failed too often of late, else None.

        Only failures are put off: a good token passes, for peers behind one proxy look the same.
        """
        now = self._clock()
        since, count = self._failures.pop(peer, (now, 0))
        if now - since >= WINDOW:
            since, count = now, 0
        self._failures[peer] = (since, count + 1)
        while len(self._failures) > PEERS:
            self._failures.popitem(last=False)
        return None if count < FAILURES else WINDOW - (now - since)
