"""TLS: one context per identity and trust, and a record of what every handshake showed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import ssl
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from types import MappingProxyType
from typing import Any

from cryptography import x509

from monitor.adapters.identity import Identity, certificate_facts, content_digest, load
from monitor.core.identity import IdentitySpec
from monitor.core.verdict import CertificateFacts
from monitor.errors import Fault, IdentityError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!PSK"
"""Forward-secret AEAD suites for TLS 1.2 (domain.md section 4); those of 1.3 all are."""

_ALERT = re.compile(r"(?:SSLV3_ALERT|TLSV1_ALERT|TLSV13_ALERT|TLSV1)_(?P<name>[A-Z_]+)")
"""How OpenSSL names, as the reason of an error, an alert that the other side sent."""


# --- What a handshake showed -------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Seen:
    """What one probe has seen so far; filled in while it runs. Times are of `perf_counter`."""

    started: float = 0.0
    dns_started: float | None = None
    dns_ended: float | None = None
    connect_started: float | None = None
    tls_started: float | None = None
    tls_ended: float | None = None
    version: str | None = None
    cipher: str | None = None
    chain: tuple[CertificateFacts, ...] = ()
    alert: str | None = None
    error: str | None = None
    received: bool = False
    address: str | None = None
    sockets: list[socket.socket] = field(default_factory=list)


PROBE: ContextVar[Seen] = ContextVar("probe")
"""Set in the task of each probe, so that one context serves them all at the same time."""


class Recorder(ssl.SSLObject):
    """Notes what its handshake settled or why it failed, and the alert that may follow it.

    In TLS 1.3 a refused client certificate shows only as an alert on the first read.
    """

    _seen: Seen | None = None

    def do_handshake(self) -> None:
        seen = self._seen
        if seen is None:
            seen = self._seen = PROBE.get()
            seen.tls_started, seen.tls_ended = perf_counter(), None
            seen.alert = seen.error = None
            seen.address = _peer(seen.sockets)
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            _note_error(seen, error)
            self._note_session(seen)
            raise
        seen.tls_ended = perf_counter()
        self._note_session(seen)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        try:
            data = super().read(len, buffer)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            raise
        except ssl.SSLError as error:
            if self._seen is not None:
                _note_error(self._seen, error)
            raise
        if data and self._seen is not None:
            self._seen.received = True
        return data

    def getpeercert(self, binary_form: bool = False) -> Any:
        """Nothing: event loops ask after each handshake, and decode what nobody reads."""
        return None

    def _note_session(self, seen: Seen) -> None:
        seen.version = self.version()
        cipher = self.cipher()
        seen.cipher = None if cipher is None else cipher[0]
        seen.chain = _chain_facts(_unverified_chain(self))


def _peer(sockets: Sequence[socket.socket]) -> str | None:
    """The address of the one socket that is connected; of several the others lost the race."""
    for one in reversed(sockets):
        try:
            return str(one.getpeername()[0])
        except OSError:
            continue
    return None


def _note_error(seen: Seen, error: ssl.SSLError) -> None:
    seen.error = error.reason
    match = _ALERT.fullmatch(error.reason or "")
    if match is not None:
        seen.alert = match["name"].lower()


def _unverified_chain(connection: ssl.SSLObject) -> Sequence[bytes]:
    """DER of what the server sent, leaf first, whether or not it was believed."""
    if sys.version_info >= (3, 13):
        return connection.get_unverified_chain()
    # Public only from 3.13.
    private: Any = connection
    chain = private._sslobj.get_unverified_chain() or ()
    return [certificate.public_bytes(_DER) for certificate in chain]


_DER = 2
"""`_ssl.ENCODING_DER`."""

_chains: dict[bytes, tuple[CertificateFacts, ...]] = {}
_CHAINS_KEPT = 20_000


def _chain_facts(chain: Sequence[bytes]) -> tuple[CertificateFacts, ...]:
    """The facts of a chain, decoded once for as long as the server sends the same one."""
    key = hashlib.sha256(b"".join(chain)).digest()
    facts = _chains.get(key)
    if facts is None:
        if len(_chains) >= _CHAINS_KEPT:
            _chains.clear()
        facts = _chains[key] = tuple(_decode(chain))
    return facts


def _decode(chain: Sequence[bytes]) -> Iterator[CertificateFacts]:
    for der in chain:
        # OpenSSL accepts oddities that do not decode here: such a certificate is left out.
        try:
            yield certificate_facts(x509.load_der_x509_certificate(der))
        except ValueError:
            continue


# --- Contexts ----------------------------------------------------------------------------------


def build_context(
    identity: Identity, trust: str | None = None, *, present: bool = True
) -> ssl.SSLContext:
    """A client context that presents the identity and verifies servers against `trust`.

    Without `present` it shows no certificate. `trust` is `system`, `pack` or the path of a PEM
    bundle; None takes the identity's own. It reads files and takes tens of milliseconds: call it in
    a thread. Raises IdentityError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.set_ciphers(CIPHERS)
    # Each probe is a full handshake: no tickets are asked for, and no session is ever offered.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.verify_flags = _verify_flags(identity.spec)
    context.sslobject_class = Recorder
    if present:
        show(context, identity)
    _trust(context, identity, trust or identity.spec.trust)
    return context


def _verify_flags(spec: IdentitySpec) -> ssl.VerifyFlags:
    """From the configuration only: the defaults differ between Python versions."""
    flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
    if spec.strict:
        flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    if spec.partial_chain:
        flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return flags


def show(context: ssl.SSLContext, identity: Identity) -> None:
    """Let a context show the identity's certificate and chain. Raises IdentityError."""
    material = identity.material
    with _in_memory(material.certificates) as certificates, _in_memory(material.key) as key:
        try:
            # Without a password OpenSSL would prompt for one on the terminal.
            context.load_cert_chain(certificates, key, password="")
        except (ssl.SSLError, OSError) as error:
            what = f"OpenSSL refuses the material: {_why(error)}"
            cure = "check it with `monitor identity check`; a hardware key needs its provider"
            raise _error(identity.spec, identity.name, what, cure) from error


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path that OpenSSL can open though the content never touches a disk."""
    handle = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with os.fdopen(handle, "wb", closefd=False) as stream:
            stream.write(content)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _trust(context: ssl.SSLContext, identity: Identity, trust: str) -> None:
    if trust == "system":
        context.load_default_certs()
        return
    try:
        if trust == "pack":
            context.load_verify_locations(cadata=identity.material.issuers.decode("ascii"))
        else:
            context.load_verify_locations(cafile=trust)
    except (ssl.SSLError, OSError, ValueError) as error:
        what = f"cannot be used as trust: {_why(error)}"
        if trust == "pack":
            raise _error(
                identity.spec, identity.name, what, "add the chain, or trust a bundle"
            ) from error
        cure = "name a readable file of PEM certificates, `system` or `pack`"
        raise _error(identity.spec, trust, what, cure) from error


def _why(error: Exception) -> str:
    """The gist of an error, without paths in memory."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no reason given").replace("_", " ").lower()
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return str(error)


def _error(spec: IdentitySpec, file: str, what: str, cure: str) -> IdentityError:
    return IdentityError([Fault(file, None, None, f"identities.{spec.name}", what, cure)])


# --- Keeping them ------------------------------------------------------------------------------

Use = tuple[str, str | None]
"""Name of an identity, and the trust that an endpoint sets instead of the identity's own."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a look at the files brought: identities changed, and faults that kept an old one."""

    changed: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class _Held:
    """An identity with the contexts built from it: together, or not at all."""

    identity: Identity
    stamp: str
    contexts: Mapping[str | None, ssl.SSLContext] = field(repr=False)


class Contexts:
    """The identities in use and their contexts.

    A change swaps one reference, so a probe sees either the old pair or the new one; a probe in
    flight keeps what it started with.
    """

    def __init__(self) -> None:
        self._held: Mapping[str, _Held] = MappingProxyType({})

    async def replace(
        self, specs: Iterable[IdentitySpec], uses: Iterable[Use], *, now: datetime
    ) -> None:
        """Use these identities, with a context for each use; what did not change is kept.

        Raises IdentityError with the faults of all identities; then nothing has changed.
        """
        wanted = tuple(specs)
        trusts: dict[str, set[str | None]] = {spec.name: {None} for spec in wanted}
        for name, trust in uses:
            trusts[name].add(trust)
        self._held = await asyncio.to_thread(_build_all, self._held, wanted, trusts, now)

    async def refresh(self, now: datetime) -> Refreshed:
        """Look whether files have changed, and load those identities anew.

        An identity with faults, such as a key whose certificate has not been replaced yet, stays as
        it was and is tried again by the next call.
        """
        held = self._held
        fresh, faults = await asyncio.to_thread(_build_changed, held, now)
        if fresh and self._held is held:
            self._held = MappingProxyType({**held, **fresh})
            return Refreshed(tuple(fresh), faults)
        return Refreshed((), faults)

    def identity(self, name: str) -> Identity:
        """The identity of that name. Raises KeyError when there is none."""
        return self._held[name].identity

    @property
    def identities(self) -> tuple[Identity, ...]:
        """All identities in use, in the order of the configuration."""
        return tuple(held.identity for held in self._held.values())

    def find(self, name: str, trust: str | None) -> tuple[Identity, ssl.SSLContext] | None:
        """Identity and context that belong together; None when they are not in use."""
        held = self._held.get(name)
        context = None if held is None else held.contexts.get(trust)
        return None if held is None or context is None else (held.identity, context)


def _build_all(
    held: Mapping[str, _Held],
    specs: Sequence[IdentitySpec],
    trusts: Mapping[str, set[str | None]],
    now: datetime,
) -> Mapping[str, _Held]:
    built: dict[str, _Held] = {}
    faults: list[Fault] = []
    for spec in specs:
        old = held.get(spec.name)
        if old is not None and _same(old, spec, trusts[spec.name]):
            built[spec.name] = old
            continue
        try:
            built[spec.name] = _build(spec, trusts[spec.name], now)
        except IdentityError as error:
            faults.extend(error.faults)
    if faults:
        raise IdentityError(faults)
    return MappingProxyType(built)


def _same(old: _Held, spec: IdentitySpec, trusts: set[str | None]) -> bool:
    return (
        old.identity.spec == spec
        and old.contexts.keys() == trusts
        and old.stamp == _stamp(spec, trusts, content_digest(spec))
    )


def _build_changed(
    held: Mapping[str, _Held], now: datetime
) -> tuple[dict[str, _Held], tuple[Fault, ...]]:
    fresh: dict[str, _Held] = {}
    faults: list[Fault] = []
    for name, old in held.items():
        spec, trusts = old.identity.spec, set(old.contexts)
        if _same(old, spec, trusts):
            continue
        try:
            fresh[name] = _build(spec, trusts, now)
        except IdentityError as error:
            faults.extend(error.faults)
    return fresh, tuple(faults)


def _build(spec: IdentitySpec, trusts: set[str | None], now: datetime) -> _Held:
    identity = load(spec, now=now)
    # Stamped before the trust is read: a bundle that changes meanwhile is then seen as changed.
    stamp = _stamp(spec, trusts, identity.digest)
    faults: list[Fault] = []
    contexts: dict[str | None, ssl.SSLContext] = {}
    for trust in sorted(trusts, key=lambda trust: trust or ""):
        try:
            contexts[trust] = build_context(identity, trust)
        except IdentityError as error:
            faults.extend(error.faults)
    if faults:
        raise IdentityError(faults)
    return _Held(identity, stamp, MappingProxyType(contexts))


def _stamp(spec: IdentitySpec, trusts: Iterable[str | None], digest: str) -> str:
    """Changes when the identity's files or anything it trusts change."""
    paths = {trust or spec.trust for trust in trusts} - {"pack"}
    return "\n".join([digest, *(f"{path} {_trust_stamp(path)}" for path in sorted(paths))])


def _trust_stamp(trust: str) -> str:
    """Content of a bundle; for the system's large one its age and size do."""
    try:
        if trust == "system":
            paths = ssl.get_default_verify_paths()
            found = os.stat(paths.cafile or paths.openssl_capath)
            return f"{found.st_mtime_ns} {found.st_size}"
        with open(trust, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "unreadable"
