"""One probe, told in the metric names of the Prometheus blackbox exporter.

So dashboards and rules made for `http` modules of that exporter work on `/probe?endpoint=ID`.
"""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder

from monitor.core.verdict import Evidence, Result, Verdict

_TLS_VERSION = re.compile(r"TLSv(\d)(\.\d)?")


def tls_version(name: str) -> str:
    """OpenSSL's name of a TLS version as the exporter writes it.

    >>> tls_version("TLSv1.3"), tls_version("TLSv1")
    ('TLS 1.3', 'TLS 1.0')
    """
    match = _TLS_VERSION.fullmatch(name)
    return name if match is None else f"TLS {match[1]}{match[2] or '.0'}"


def exposition(evidence: Evidence, verdict: Verdict, accept: str) -> tuple[bytes, str]:
    """What the probe saw as text, and its content type. Only `up` is success: impaired fails."""
    registry = CollectorRegistry()

    def gauge(name: str, help_: str, value: float) -> None:
        Gauge(name, help_, registry=registry).set(value)

    gauge("probe_success", "Whether the probe was a success", verdict.result is Result.UP)
    gauge("probe_duration_seconds", "How long the probe took in seconds", evidence.duration)
    gauge("probe_http_status_code", "Status code of the answer, 0 if none", evidence.status or 0)
    gauge("probe_dns_lookup_time_seconds", "Time of the DNS lookup", evidence.phases.dns or 0.0)
    _phases(registry, evidence)
    _tls(registry, evidence)
    result = Gauge(
        "monitor_probe_result_info",
        "Always 1; the labels say how the probe was judged, and why",
        ("result", "reason"),
        registry=registry,
    )
    result.labels(verdict.result.value, verdict.reason.value).set(1)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


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


def _tls(registry: CollectorRegistry, evidence: Evidence) -> None:
    tls = evidence.tls
    Gauge("probe_http_ssl", "Whether TLS was used for the answer", registry=registry).set(
        evidence.status is not None and tls.version is not None
    )
    if tls.chain:
        Gauge(
            "probe_ssl_earliest_cert_expiry",
            "Earliest expiry of the certificates shown, in unix time",
            registry=registry,
        ).set(min(shown.not_after for shown in tls.chain).timestamp())
    if tls.version is not None:
        Gauge(
            "probe_tls_version_info", "The TLS version used", ("version",), registry=registry
        ).labels(tls_version(tls.version)).set(1)
