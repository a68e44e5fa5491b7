"""TLS of our own listener: its pair, whose client certificates are good, and their renewal."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from monitor.adapters.identity import Identity, content_digest, load
from monitor.adapters.tls import CIPHERS, show
from monitor.core.identity import IdentitySpec
from monitor.errors import Fault, IdentityError

PATH = "http.tls"
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """Files of PEM: the certificate with its chain, its key, and the CA of clients, if any.

    `required`: a client without a good certificate is refused in the handshake.
    """

    certificate: Path
    private_key_file: Path
    client_ca: Path | None = None
    required: bool = False

    @property
    def identity(self) -> IdentitySpec:
        return IdentitySpec(
            PATH,
            certificate=str(self.certificate),
            private_key_file=str(self.private_key_file),
        )


@dataclass(frozen=True, slots=True)
class _Loaded:
    identity: Identity
    context: ssl.SSLContext
    digest: str


class Listener:
    """The context that a server is given once; what it presents and trusts is renewed inside it."""

    def __init__(self, spec: ListenerSpec) -> None:
        self._spec = spec
        self._loaded: _Loaded | None = None
        self._refused = ""

    async def open(self, now: datetime) -> ssl.SSLContext:
        """Load the files. Raises IdentityError with every fault."""
        self._loaded = await asyncio.to_thread(_load, self._spec, now)
        front = _context(self._spec)
        show(front, self._loaded.identity)
        _trust(front, self._spec)
        front.sni_callback = self._renew
        return front

    def _renew(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """At the start of each handshake: use what was loaded last."""
        assert self._loaded is not None
        connection.context = self._loaded.context

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What does not keep us from serving: a certificate out of date."""
        assert self._loaded is not None
        return tuple(replace(one, path=PATH) for one in self._loaded.identity.warnings)

    async def refresh(self, now: datetime) -> bool:
        """Take up changed files, whole or not at all; whether there were any.

        Raises IdentityError, once for each change: the pair in force then stays.
        """
        assert self._loaded is not None
        digest = await asyncio.to_thread(_digest, self._spec)
        if digest in (self._loaded.digest, self._refused):
            return False
        try:
            self._loaded = await asyncio.to_thread(_load, self._spec, now)
        except IdentityError:
            self._refused = digest
            raise
        self._refused = ""
        return True


def check(spec: ListenerSpec, now: datetime) -> tuple[Fault, ...]:
    """The warnings about a listener's files. Raises IdentityError with every fault."""
    return tuple(replace(one, path=PATH) for one in _load(spec, now).identity.warnings)


def _load(spec: ListenerSpec, now: datetime) -> _Loaded:
    digest = _digest(spec)
    try:
        identity = load(spec.identity, now=now)
    except IdentityError as error:
        raise IdentityError([replace(fault, path=PATH) for fault in error.faults]) from None
    context = _context(spec)
    try:
        show(context, identity)
    except IdentityError as error:
        raise IdentityError([replace(fault, path=PATH) for fault in error.faults]) from None
    _trust(context, spec)
    return _Loaded(identity, context, digest)


def _context(spec: ListenerSpec) -> ssl.SSLContext:
    """A server context of TLS 1.2 or later that trusts nobody yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    # A resumed session would skip the look at the certificate that is now in force.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    if spec.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED if spec.required else ssl.CERT_OPTIONAL
    return context


def _trust(context: ssl.SSLContext, spec: ListenerSpec) -> None:
    """Trust the CA of clients, and no other."""
    if spec.client_ca is None:
        return
    try:
        context.load_verify_locations(cafile=str(spec.client_ca))
    except (ssl.SSLError, OSError) as error:
        garbled = isinstance(error, ssl.SSLError)
        why = "it holds no PEM certificate" if garbled else error.strerror
        fault = Fault(
            str(spec.client_ca),
            None,
            None,
            f"{PATH}.client_ca",
            f"cannot be used: {why}",
            "give a PEM bundle that the user who runs the monitor may read",
        )
        raise IdentityError([fault]) from error


def _digest(spec: ListenerSpec) -> str:
    """What the files hold, in short; of one that cannot be read, that it cannot."""
    digest = hashlib.sha256(content_digest(spec.identity).encode())
    if spec.client_ca is not None:
        try:
            with spec.client_ca.open("rb") as file:
                digest.update(file.read(_LARGEST))
        except OSError as error:
            digest.update(f"{error.errno}".encode())
    return digest.hexdigest()
