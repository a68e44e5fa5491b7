"""Probe detail: why an endpoint is judged as it is, phase by phase, and when certificates end."""

from __future__ import annotations

from grafana.overview import states
from grafana.parts import (
    ENDPOINT,
    GREEN,
    ORANGE,
    RESULTS,
    VERMILION,
    YELLOW,
    Board,
    Panel,
    Query,
    column,
    lines,
    listing,
    painted,
    words,
)

DAY = 86400
PHASES = {
    "dns": "name",
    "connect": "connect",
    "tls": "TLS",
    "ttfb": "first byte",
    "transfer": "the rest",
}
"""Phase of a probe to its word, in their order."""


def _phases() -> Panel:
    return lines(
        "Phases of a probe",
        "Seconds that name resolution, connecting, the TLS handshake, waiting for the first byte"
        " and the rest took in the last probe before each scrape; the mean over the chosen"
        " endpoints, so choose one to see it alone. A phase that was not reached is not drawn.",
        [
            Query(f'avg(monitor_probe_phase_seconds{{phase="{phase}",{ENDPOINT}}})', word)
            for phase, word in PHASES.items()
        ],
        unit="s",
        stacked=True,
    )


def _results() -> Panel:
    panel = lines(
        "Probes a minute, by result and reason",
        "How often probes of the chosen endpoints ended how. `local` is our own fault and counts as"
        " unknown. The first probe with a reason new since the daemon's start is not in the rate.",
        [
            Query(
                "60 * sum by (result, reason)"
                f" (rate(monitor_probe_results_total{{{ENDPOINT}}}[$__rate_interval]))",
                "{{result}}: {{reason}}",
            )
        ],
        unit="none",
        stacked=True,
    )
    return painted(panel, {f"/^{result}:/": color for result, color in RESULTS.items()})


def _reasons() -> Panel:
    labels = ["endpoint", "result", "reason"]
    panel = listing(
        "Probes by reason, since the daemon started",
        "Exact counts of probes by result and reason since the daemon started. What each reason"
        " means stands in the reference.",
        [
            Query(
                f"sum by ({', '.join(labels)}) (monitor_probe_results_total{{{ENDPOINT}}})",
                name="probes",
            )
        ],
        labels=labels,
        height=9,
        sort=("probes", True),
    )
    meaning = {name: (name, color) for name, color in RESULTS.items()}
    return column(panel, "result", mapping=words(meaning))


def _durations() -> Panel:
    return lines(
        "Time of a whole probe, by service",
        "The time that half, and 95 and 99 of 100, probes of a service stayed within; estimated"
        " from a histogram, so as fine as its buckets. Slower than the limit of an endpoint"
        " (10 s for view, unless configured) is impaired.",
        [
            Query(
                f"histogram_quantile({q}, sum by (service, le)"
                " (rate(monitor_probe_duration_seconds_bucket[$__rate_interval]))) >= 0",
                "{{service}} " + name,
            )
            for q, name in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))
        ],
        unit="s",
    )


def _tls() -> Panel:
    labels = ["endpoint", "version", "cipher"]
    panel = listing(
        "TLS agreed on",
        "Version and cipher of the last TLS handshake with each endpoint. 1.2 is the least that is"
        " allowed; 1.3 is to be used where both ends can (CoCo 1.1.1).",
        [Query(f"max by ({', '.join(labels)}) (monitor_tls_info{{{ENDPOINT}}})")],
        labels=labels,
    )
    versions = {"TLSv1.3": ("TLS 1.3", GREEN), "TLSv1.2": ("TLS 1.2", ORANGE)}
    return column(panel, "version", mapping=words(versions))


def _certificates() -> Panel:
    expiry = "min by (name, role) (monitor_certificate_expiry_timestamp_seconds)"
    panel = listing(
        "Certificates: which runs out first",
        "When certificates run out: `client` and `client_ca` are ours, by identity; `server` are"
        " those that endpoints showed last, by endpoint. The forty that run out first.",
        [
            Query(f"bottomk(40, {expiry} - time())", name="time left"),
        ],
        labels=["name", "role"],
        sort=("time left", False),
    )
    steps = ((None, VERMILION), (7 * DAY, ORANGE), (30 * DAY, YELLOW), (60 * DAY, GREEN))
    return column(panel, "time left", unit="dtdurations", decimals=1, steps=steps)


def _lifecycle() -> Panel:
    return listing(
        "Where each endpoint stands",
        "test, ready, live_pending, hypercare (the first two weeks live), live or disconnected."
        " Only what is live counts towards a month.",
        [Query(f"max by (endpoint, lifecycle) (monitor_endpoint_lifecycle{{{ENDPOINT}}})")],
        labels=["endpoint", "lifecycle"],
    )


def _findings() -> Panel:
    panel = listing(
        "Security findings",
        "Checks that found something (1) or nothing (0): a changed URL or certificate identity, a"
        " missing demand for our certificate, TLS 1.1 accepted, TLS 1.3 lost. Not listed: no check"
        " was made. Findings never count towards a figure.",
        [
            Query(
                f"max by (endpoint, check) (monitor_security_finding{{{ENDPOINT}}})",
                name="found",
            )
        ],
        labels=["endpoint", "check"],
        none="no check was made, or none could tell",
    )
    return column(
        panel, "found", mapping=words({"0": ("nothing", GREEN), "1": ("finding", VERMILION)})
    )


BOARD = Board(
    uid="pensions-monitor-probe-detail",
    title="Pensions dashboards monitor: probe detail",
    description="Why an endpoint is judged as it is: phases, reasons, TLS, certificates.",
    since=("now-3h", "now"),
    step="1m",
    panels=[
        states(6),
        _phases(),
        _results(),
        _durations(),
        _reasons(),
        _tls(),
        _certificates(),
        _lifecycle(),
        _findings(),
    ],
)
