"""What a probe saw, and what that means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from monitor.core.endpoint import Expectation, Service


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

    @property
    def local(self) -> bool:
        """Our own fault: the probe could not tell (accounting 8)."""
        return self.value.startswith("local_")


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
    """What a certificate says of itself. `sha256` is the fingerprint in lower-case hex.

    `key_sha256` is that of its public key (SubjectPublicKeyInfo); empty if it is not known.
    """

    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    sha256: str
    key_sha256: str = ""


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
class HttpFacts:
    """What the answer was like, as far as one came. `read` is what was read of its body, in bytes.

    `version` is such as `1.1`; `length` is what Content-Length says.
    """

    version: str | None = None
    length: int | None = None
    read: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one probe saw, before it is judged.

    `at` is the start, `duration` the whole in seconds. `failure` is the reason why there was no
    HTTP answer, else None and `status` is set. `head` is the first bytes of the body as text, only
    kept when the status is one with which gateways refuse certificates. `request_id` is the
    X-Request-ID, `address` the IP address that was connected to.
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
    http: HttpFacts = HttpFacts()
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an observation says. `finding` is a security finding to report beside it, if any."""

    result: Result
    reason: Reason
    finding: str | None = None


REFUSAL_STATUSES = frozenset({400, 401, 403, 495, 496})
"""Statuses whose body may say that our certificate is refused: its head is to be kept."""

CERTIFICATE_STATUSES = frozenset({495, 496})
"""nginx's own codes for a bad and for a missing client certificate: no text is needed."""

REFUSALS = (
    "No required SSL certificate was sent",
    "The SSL certificate error",
    "client certificate required",
    "client certificate is required",
    "client certificate revoked",
    "client certificate is untrusted or invalid",
    "client certificate has expired",
    "invalid client certificate",
    "no client certificate",
)
"""Texts by which gateways refuse a client certificate; the first two are nginx's."""

IMPAIRED_ABOVE = timedelta(seconds=10)
"""The only published threshold: the reporting API's for a view response (domain.md section 2)."""

_REJECTED = frozenset({400, 401, 403, 405, 415, 422})

DEFAULTS: Mapping[Service, Expectation] = MappingProxyType(
    {
        Service.FIND: Expectation("POST", _REJECTED, IMPAIRED_ABOVE, REFUSALS),
        Service.VIEW: Expectation("GET", frozenset({400, 401, 403, 404}), IMPAIRED_ABOVE, REFUSALS),
        Service.PAT_REFRESH: Expectation("POST", _REJECTED, IMPAIRED_ABOVE, REFUSALS),
    }
)
"""The safe request of each service and the answers that read as up (domain.md section 3)."""


def judge(evidence: Evidence, expectation: Expectation) -> Verdict:
    """What the evidence means under the expectation (domain.md section 3).

    Evidence without a status must carry the failure that explains it.
    """
    if evidence.failure is not None:
        return Verdict(Result.LOCAL if evidence.failure.local else Result.DOWN, evidence.failure)
    if evidence.status is None:
        raise ValueError("evidence has neither a status nor a failure")
    if refuses(evidence.status, evidence.head, expectation):
        return Verdict(Result.DOWN, Reason.TLS_REFUSED)
    return _judge_status(evidence.status, evidence.duration, expectation)


def refuses(status: int, head: str, expectation: Expectation) -> bool:
    """Whether an HTTP answer refuses our client certificate after a good handshake."""
    if status in CERTIFICATE_STATUSES:
        return True
    if status not in REFUSAL_STATUSES:
        return False
    text = head.casefold()
    return any(refusal.casefold() in text for refusal in expectation.refusals)


def _judge_status(status: int, duration: float, expectation: Expectation) -> Verdict:
    if not 100 <= status < 600:
        return Verdict(Result.DOWN, Reason.RESPONSE_INVALID)
    if 300 <= status < 400:
        return Verdict(Result.DOWN, Reason.REDIRECT)
    if status >= 500:
        return Verdict(Result.DOWN, Reason.STATUS_5XX)
    if status == 429:
        return Verdict(Result.IMPAIRED, Reason.RATE_LIMITED)
    reason, finding = Reason.OK, None
    if status not in expectation.statuses:
        if not 200 <= status < 300 or not _tokenless(expectation):
            return Verdict(Result.IMPAIRED, Reason.STATUS_UNEXPECTED)
        reason = Reason.AUTHORISATION_MISSING
        finding = f"a request without a token was answered with status {status}"
    if timedelta(seconds=duration) > expectation.impaired_above:
        return Verdict(Result.IMPAIRED, Reason.SLOW, finding)
    return Verdict(Result.UP, reason, finding)


def _tokenless(expectation: Expectation) -> bool:
    return all(name.lower() != "authorization" for name, _ in expectation.headers)


def evidence_document(evidence: Evidence, verdict: Verdict) -> dict[str, object]:
    """One probe as plain data, in the shape of `probe --json` (contract, "Facts file").

    Phases and `duration` are seconds, a phase not reached is null; instants are ISO 8601 in UTC.
    """
    phases, tls = evidence.phases, evidence.tls
    return {
        "endpoint": evidence.endpoint,
        "at": _instant(evidence.at),
        "result": verdict.result.value,
        "reason": verdict.reason.value,
        "finding": verdict.finding,
        "detail": evidence.detail,
        "status": evidence.status,
        "retry_after": evidence.retry_after,
        "request_id": evidence.request_id,
        "duration": round(evidence.duration, 6),
        "phases": {
            name: None if seconds is None else round(seconds, 6)
            for name, seconds in (
                ("dns", phases.dns),
                ("connect", phases.connect),
                ("tls", phases.tls),
                ("ttfb", phases.ttfb),
                ("transfer", phases.transfer),
            )
        },
        "tls": {
            "version": tls.version,
            "cipher": tls.cipher,
            "alert": tls.alert,
            "chain": [certificate_document(facts) for facts in tls.chain],
        },
    }


def certificate_document(facts: CertificateFacts) -> dict[str, object]:
    """What a certificate says of itself, as plain data."""
    return {
        "subject": facts.subject,
        "issuer": facts.issuer,
        "serial": facts.serial,
        "not_before": _instant(facts.not_before),
        "not_after": _instant(facts.not_after),
        "names": list(facts.names),
        "sha256": facts.sha256,
    }


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
