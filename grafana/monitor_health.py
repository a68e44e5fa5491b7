"""Monitor health: can what the other dashboards show be relied on."""

from __future__ import annotations

from grafana.overview import watching
from grafana.parts import (
    ENDPOINT,
    GREEN,
    NOT_ROLLING,
    ORANGE,
    RUNNING,
    VERMILION,
    YELLOW,
    Board,
    Panel,
    Query,
    column,
    lines,
    listing,
    painted,
    single,
    words,
)

RATE = "[$__rate_interval]"
WELL: tuple[tuple[float | None, str], ...] = ((None, GREEN), (1, VERMILION))
OUTCOMES = {"accepted": GREEN, "retry": YELLOW, "expired": ORANGE, "rejected": VERMILION}


def _quantiles(metric: str) -> list[Query]:
    """Where nothing happened there is no quantile, not even one that is not a number."""
    return [
        Query(
            f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket{RATE}))) >= 0",
            name,
        )
        for q, name in ((0.5, "half within"), (0.99, "99 % within"))
    ]


def _head() -> list[Panel]:
    return [
        watching(),
        single(
            "Scrapes answered",
            "Share of Prometheus' scrapes of the monitor that were answered in the time range.",
            Query(
                "min(avg_over_time(up[$__range])"
                " and on (job, instance) last_over_time(monitor_build_info[$__range]))"
            ),
            unit="percentunit",
            decimals=2,
            steps=((None, VERMILION), (0.95, ORANGE), (1, GREEN)),
        ),
        single(
            "Configuration",
            "Whether the configuration and identities last read were taken over; if not, the old"
            " ones are in force, and the log names every fault.",
            Query("min(monitor_config_last_reload_successful)"),
            unit="none",
            steps=((None, VERMILION), (1, GREEN)),
            mappings=[words({"0": ("refused", VERMILION), "1": ("in force", GREEN)})],
        ),
        single(
            "Store",
            "Whether the store can be written. While it cannot, observations wait in memory, and"
            " time without room for them becomes unknown.",
            Query("max(monitor_store_failing)"),
            unit="none",
            steps=WELL,
            mappings=[words({"0": ("writing", GREEN), "1": ("failing", VERMILION)})],
        ),
        single(
            "Observations waiting for the store",
            "Held in memory because the store cannot be written.",
            Query("max(monitor_store_spooled_observations)"),
            unit="none",
            steps=WELL,
        ),
        single(
            "Observations lost",
            "Lost for want of room since the store began to fail; their time is unknown.",
            Query("max(monitor_store_lost_observations)"),
            unit="none",
            steps=WELL,
        ),
        single(
            "Oldest alert not delivered",
            "How long the oldest alert has waited for its receiver; 0 if none waits.",
            Query("max(monitor_alert_oldest_seconds)"),
            unit="s",
            steps=((None, GREEN), (60, YELLOW), (300, VERMILION)),
        ),
        single(
            "Alerts given up",
            "Rejected or expired, and not sent again: `monitor alerts dead` lists them,"
            " `monitor alerts resend` sends them again.",
            Query("max(monitor_alert_dead_letters)"),
            unit="none",
            steps=WELL,
        ),
    ]


def _probing() -> list[Panel]:
    slots = lines(
        "Probe slots a minute",
        "Slots of the probing schedule: started, or missed because the last probe still ran."
        " Missed slots become unknown time.",
        [
            Query(
                f"60 * sum by (outcome) (rate(monitor_probe_slots_total{RATE}))",
                "{{outcome}}",
            )
        ],
        unit="none",
    )
    return [
        lines(
            "Probes start late by",
            "How late after its slot a probe started, estimated from a histogram. Beyond the"
            " timeout of a probe, what it sees is our own fault.",
            _quantiles("monitor_probe_lateness_seconds"),
            unit="s",
        ),
        painted(slots, {"started": GREEN, "missed": VERMILION}),
        lines(
            "Event loop wakes late by",
            "How late the daemon's event loop woke, estimated from a histogram; a busy machine"
            " shows here first.",
            _quantiles("monitor_event_loop_lag_seconds"),
            unit="s",
        ),
        lines(
            "Unknown time of this month, by endpoint",
            "Seconds of this month in which an endpoint could not be judged. It grows while the"
            " monitor has gaps or faults of its own; a steady line is good news." + NOT_ROLLING,
            [
                Query(
                    f"max by (endpoint) (monitor_slo_unknown_seconds{{{ENDPOINT}}} {RUNNING})",
                    "{{endpoint}}",
                )
            ],
            unit="s",
        ),
    ]


def _keeping() -> list[Panel]:
    delivered = lines(
        "Alert deliveries, since the daemon started",
        "Attempts to deliver an alert by outcome: accepted, to be tried again (retry), rejected or"
        " expired.",
        [
            Query(
                "sum by (receiver, outcome) (monitor_alert_deliveries_total)",
                "{{receiver}}: {{outcome}}",
            )
        ],
        unit="none",
        none="none since the daemon started",
    )
    return [
        lines(
            "A commit to the store takes",
            "Time of a durable commit to the store, estimated from a histogram.",
            _quantiles("monitor_store_write_seconds"),
            unit="s",
        ),
        lines(
            "Changes stored a second",
            "Changes committed to the store a second; many share one commit.",
            [Query(f"sum(rate(monitor_store_changes_total{RATE}))", "changes")],
            unit="none",
        ),
        painted(delivered, {f"/: {name}$/": color for name, color in OUTCOMES.items()}),
        lines(
            "Alerts waiting",
            "Alerts not yet delivered, over all receivers.",
            [Query("max(monitor_alert_queue_length)", "waiting")],
            unit="none",
        ),
    ]


def _machine() -> list[Panel]:
    troubles = listing(
        "Trouble with wall-clock jobs",
        "Jobs such as the month's close that failed (error), were missed, or ran into their next"
        " run (overrun), since the daemon started. Prometheus keeps `job` for itself and calls ours"
        " `exported_job`.",
        [Query("sum by (exported_job, what) (monitor_job_troubles_total)", name="times")],
        labels=["exported_job", "what"],
        height=6,
        none="none since the daemon started",
    )
    builds = listing(
        "What runs",
        "Version of the monitor and of Python.",
        [Query("max by (instance, version, python) (monitor_build_info)")],
        labels=["instance", "version", "python"],
        height=6,
    )
    return [
        lines(
            "Processor",
            "Cores that the daemon kept busy. Absent where /proc is hidden from the service.",
            [Query(f"sum by (instance) (rate(process_cpu_seconds_total{RATE}))", "{{instance}}")],
            unit="none",
            width=8,
        ),
        lines(
            "Memory",
            "Resident memory of the daemon. It should level off within a day.",
            [Query("max by (instance) (process_resident_memory_bytes)", "{{instance}}")],
            unit="bytes",
            width=8,
        ),
        lines(
            "Clock stepped by, in all",
            "Seconds by which the wall clock was stepped since the daemon started, forwards or"
            " backwards. Each step makes time unknown.",
            [Query("max by (instance) (monitor_clock_step_seconds_total)", "{{instance}}")],
            unit="s",
            width=8,
        ),
        column(troubles, "times", steps=WELL),
        builds,
    ]


BOARD = Board(
    uid="pensions-monitor-health",
    title="Pensions dashboards monitor: monitor health",
    description="Whether what the other dashboards show can be relied on: is the monitor watching,"
    " on time, storing and telling.",
    since=("now-6h", "now"),
    step="1m",
    panels=[
        *_head(),
        "Probing",
        *_probing(),
        "Storing and telling",
        *_keeping(),
        "Machine and jobs",
        *_machine(),
    ],
)
