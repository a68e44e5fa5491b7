"""What a probe saw, and what that means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Result(StrEnum):
    """The result of one observation (accounting 2). `local` means we could not tell."""

    UP = "up"
    IMPAIRED = "impaired"
    DOWN = "down"
    LOCAL = "local"

    @property
    def failing(self) -> bool:
        """Impaired and down both fail: impaired time is unavailable (CoCo 2.2.1)."""
        return self is Result.IMPAIRED or self is Result.DOWN


class Reason(StrEnum):
    """Why: a closed, label-safe list (contract, "Reasons of an observation")."""

    OK = "ok"
    SLOW = "slow"
    STATUS_UNEXPECTED = "status_unexpected"
    STATUS_5XX = "status_5xx"
    REDIRECT = "redirect"
    RATE_LIMITED = "rate_limited"
    AUTHORISATION_MISSING = "authorisation_missing"
    TLS_VERSION = "tls_version"
    TLS_CERTIFICATE = "tls_certificate"
    TLS_REFUSED = "tls_refused"
    TLS_HANDSHAKE = "tls_handshake"
    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_RESET = "connect_reset"
    RESPONSE_TIMEOUT = "response_timeout"
    RESPONSE_INVALID = "response_invalid"
    NO_ROUTE = "no_route"
    LOCAL_IDENTITY = "local_identity"
    LOCAL_DNS = "local_dns"
    LOCAL_NETWORK = "local_network"
    LOCAL_CLOCK = "local_clock"
    LOCAL_OVERLOAD = "local_overload"
    LOCAL_STORE = "local_store"


@dataclass(frozen=True, slots=True)
class Observation:
    """One probe of one endpoint: `at` is when the probe started (accounting 2)."""

    endpoint: str
    at: datetime
    result: Result
    reason: Reason


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds spent in each phase of a probe; None: the phase was not reached."""

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    ttfb: float | None = None
    transfer: float | None = None


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says of itself. `sha256` is the fingerprint in lower-case hex."""

    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the handshake settled, also when it failed. `chain` is what the server sent, leaf first.

    `alert` is the TLS alert the server sent, if any, such as `certificate_required`.
    """

    version: str | None = None
    cipher: str | None = None
    chain: tuple[CertificateFacts, ...] = ()
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one probe saw, before it is judged.

    `at` is the start, `duration` the whole in seconds. `failure` is the reason why there was no HTTP
    answer, else None and `status` is set. `head` is the first bytes of the body as text, only kept
    when the status is one with which gateways refuse certificates. `request_id` is the X-Request-ID.
    """

    endpoint: str
    at: datetime
    duration: float
    failure: Reason | None = None
    detail: str = ""
    status: int | None = None
    head: str = ""
    retry_after: str | None = None
    request_id: str = ""
    phases: Phases = Phases()
    tls: TlsFacts = TlsFacts()
