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
