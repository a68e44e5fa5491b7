"""One probe, told in the metric names of the Prometheus blackbox exporter.

So dashboards and rules made for `http` modules of that exporter work on `/probe?endpoint=ID`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder

from monitor.core.verdict import CertificateFacts, Evidence, Reason, Result, TlsFacts, Verdict

_TLS_VERSION = re.compile(r"TLSv(\d)(\.\d)?")


def tls_version(name: str) -> str:
    """OpenSSL's name of a TLS version as the exporter writes it.

    >>> tls_version("TLSv1.3"), tls_version("TLSv1")
    ('TLS 1.3', 'TLS 1.0')
    """
    match = _TLS_VERSION.fullmatch(name)
    return name if match is None else f"TLS {match[1]}{match[2] or '.0'}"


def address_hash(address: str) -> int:
    """The exporter's hash of an IP address, FNV-1a of its bytes: another number, another address.

    >>> address_hash("127.0.0.1")
    3668918509
    """
    value = 0x811C9DC5
    for byte in ipaddress.ip_address(address.partition("%")[0]).packed:
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def exposition(evidence: Evidence, verdict: Verdict, accept: str) -> tuple[bytes, str]:
    """What the probe saw as text, and its content type. Only `up` is success: impaired fails."""
    registry = CollectorRegistry()
    for name, (help_, value) in _figures(evidence, verdict).items():
        Gauge(name, help_, registry=registry).set(value)
    _phases(registry, evidence)
    verified = evidence.failure is not Reason.TLS_CERTIFICATE
    _tls(registry, evidence.tls, verified=verified)
    result = {"result": verdict.result.value, "reason": verdict.reason.value}
    help_ = "Always 1; the labels say how the probe was judged, and why"
    _info(registry, "monitor_probe_result_info", help_, result)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _figures(evidence: Evidence, verdict: Verdict) -> Mapping[str, tuple[str, float]]:
    """What is one figure. Like the exporter, what there was none of is 0, an unknown length -1."""
    http, answered = evidence.http, evidence.status is not None
    length = -1 if http.length is None else http.length
    address = evidence.address
    version = 0 if address is None else ipaddress.ip_address(address.partition("%")[0]).version
    refused = answered and verdict.reason is Reason.TLS_REFUSED
    return {
        "probe_success": ("Whether the probe was a success", verdict.result is Result.UP),
        "probe_duration_seconds": ("How long the probe took in seconds", evidence.duration),
        "probe_dns_lookup_time_seconds": ("Time of the DNS lookup", evidence.phases.dns or 0.0),
        "probe_ip_protocol": ("4 or 6, by the address connected to", version),
        "probe_ip_addr_hash": (
            "Changes when the address connected to does",
            0 if address is None else address_hash(address),
        ),
        "probe_http_status_code": ("Status code of the answer, 0 if none", evidence.status or 0),
        "probe_http_version": ("HTTP version of the answer", float(http.version or 0)),
        "probe_http_content_length": ("Length of the answer", length if answered else 0),
        "probe_http_uncompressed_body_length": ("What was read of its body, in bytes", http.read),
        "probe_http_redirects": (
            "Redirects met: none is followed",
            answered and 300 <= (evidence.status or 0) < 400,
        ),
        "probe_http_ssl": (
            "Whether TLS was used for the answer",
            answered and evidence.tls.version is not None,
        ),
        "probe_failed_due_to_regex": (
            "Whether the answer's text said that our certificate is refused",
            refused,
        ),
    }


def _phases(registry: CollectorRegistry, evidence: Evidence) -> None:
    """Like the exporter, a phase that was not reached is 0."""
    phases = evidence.phases
    duration = Gauge(
        "probe_http_duration_seconds",
        "Duration of the request by phase",
        ("phase",),
        registry=registry,
    )
    for name, seconds in (
        ("resolve", phases.dns),
        ("connect", phases.connect),
        ("tls", phases.tls),
        ("processing", phases.ttfb),
        ("transfer", phases.transfer),
    ):
        duration.labels(name).set(seconds or 0.0)


def _tls(registry: CollectorRegistry, tls: TlsFacts, *, verified: bool) -> None:
    if tls.chain:
        first = min(shown.not_after for shown in tls.chain).timestamp()
        earliest = "Earliest expiry of the certificates shown, in unix time"
        Gauge("probe_ssl_earliest_cert_expiry", earliest, registry=registry).set(first)
        if verified:
            last = "The same, if they could be verified; without the anchor, which is not shown"
            name = "probe_ssl_last_chain_expiry_timestamp_seconds"
            Gauge(name, last, registry=registry).set(first)
            help_ = "Always 1; the labels are of the server's own certificate"
            _info(registry, "probe_ssl_last_chain_info", help_, _certificate(tls.chain[0]))
    if tls.version is not None:
        version = {"version": tls_version(tls.version)}
        _info(registry, "probe_tls_version_info", "The TLS version used", version)
    if tls.cipher is not None:
        _info(registry, "probe_tls_cipher_info", "The cipher used", {"cipher": tls.cipher})


def _certificate(leaf: CertificateFacts) -> dict[str, str]:
    return {
        "fingerprint_sha256": leaf.sha256,
        "issuer": leaf.issuer,
        "subject": leaf.subject,
        "subjectalternative": ",".join(name for name in leaf.names if not _is_address(name)),
    }


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _info(registry: CollectorRegistry, name: str, help_: str, labels: Mapping[str, str]) -> None:
    Gauge(name, help_, tuple(labels), registry=registry).labels(*labels.values()).set(1)
