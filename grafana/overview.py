"""Overview: is anything down, since when, what is owed by when, how much of the month is left."""

from __future__ import annotations

from grafana.parts import (
    BLUE,
    CLASSES,
    ENDPOINT,
    GREEN,
    NOT_ROLLING,
    ORANGE,
    RUNNING,
    STATES,
    VERMILION,
    YELLOW,
    Board,
    Panel,
    Query,
    chart,
    column,
    gauges,
    listing,
    painted,
    ribbon,
    single,
    words,
)

OUT_OF_SIGHT = 60
"""Seconds without a sign of life after which the monitor counts as absent."""
LIFE = f"count(time() - monitor_heartbeat_timestamp_seconds < {OUT_OF_SIGHT}) or vector(0)"
START = "max by (incident, group) (monitor_incident_start_timestamp_seconds)"
DEADLINE = "max by (incident) (monitor_incident_restoration_deadline_timestamp_seconds)"
CLOCK: tuple[tuple[float | None, str], ...] = (
    (None, VERMILION),
    (0, ORANGE),
    (1800, YELLOW),
    (3600, BLUE),
)
"""Colours of the restoration clock: breached, then at risk from 90 and from 60 of 120 minutes."""
SPENT: tuple[tuple[float | None, str], ...] = ((None, VERMILION), (0, ORANGE), (0.25, GREEN))
"""Colours of the share of a budget that is left: overspent, below a quarter, more."""


def state_of(selector: str) -> str:
    """The state of each endpoint as a number that STATES has a word for."""
    numbers = [
        f'{number} * max by (endpoint) (monitor_endpoint_state{{state="{state}",{selector}}})'
        for number, (state, _) in enumerate(STATES)
        if number
    ]
    return " + ".join(numbers)


def watching() -> Panel:
    """Whether anybody looks at all; the first thing to know of every other panel."""
    return single(
        "Monitor",
        "Whether a monitor shows a sign of life; without one, nothing below is news. Counts the"
        f" daemons whose last rounds are less than {OUT_OF_SIGHT} s ago.",
        Query(LIFE),
        unit="none",
        steps=((None, VERMILION), (1, GREEN)),
        mappings=[words({"0": ("not watching", VERMILION), "1": ("watching", GREEN)})],
    )


def states(height: int = 8) -> Panel:
    """The state timeline."""
    return ribbon(
        "State of each endpoint",
        "up, impaired, down or unknown over time. Failures that wait for confirmation, gaps and our"
        " own faults are unknown, never up; where nothing is drawn, nothing was scraped. Marked:"
        " open incidents and declared windows.",
        [Query(state_of(ENDPOINT), "{{endpoint}}")],
        height,
    )


def _glance() -> list[Panel]:
    return [
        watching(),
        single(
            "Live endpoints not up",
            "Live endpoints that are down, impaired or unknown now. Endpoints of the environment"
            " test are not counted.",
            Query(
                "sum(max by (endpoint, state) (monitor_endpoint_state"
                f'{{environment="live",state!="up",{ENDPOINT}}}))'
            ),
            unit="none",
            steps=((None, GREEN), (1, VERMILION)),
        ),
        single(
            "Open incidents",
            "Outages that need an incident and last. An outage wholly inside a declared window"
            " opens none.",
            Query('max(monitor_incidents{state="open"})'),
            unit="none",
            steps=((None, GREEN), (1, VERMILION)),
        ),
        single(
            "Restoration clock",
            "Time left until service is to be restored, two hours from the first failed probe (CoCo"
            " 2.1.4), of the open incident that is due first. Yellow and orange: at risk. Written"
            " with 'ago': breached.",
            Query("min(monitor_incident_restoration_deadline_timestamp_seconds) - time()"),
            unit="dtdurations",
            decimals=1,
            steps=CLOCK,
            none="no open incident",
        ),
        single(
            "Least budget left",
            "Share of this month's error budget that is left, of the endpoint with the least."
            " Declared downtime spends it too. Negative: the month is missed." + NOT_ROLLING,
            Query(f"min({_share()})"),
            unit="percentunit",
            decimals=2,
            steps=SPENT,
        ),
        single(
            "Restored, not closed",
            "Incidents whose outage is over and that wait for people: report to MaPS, cause,"
            " attestation that no acknowledged data was lost.",
            Query('max(monitor_incidents{state="restored"})'),
            unit="none",
            steps=((None, GREEN), (1, ORANGE)),
        ),
        single(
            "Declared window in force ends in",
            "Time left in the declared window that ends first. If the outage outlasts it, an"
            " incident opens at its end.",
            Query("min(monitor_downtime_end_timestamp_seconds) - time()"),
            unit="dtdurations",
            decimals=1,
            steps=((None, BLUE),),
            none="none in force",
        ),
        single(
            "Next declared window",
            "When the next window of declared downtime starts.",
            Query("min(monitor_downtime_next_start_timestamp_seconds) * 1000"),
            unit="dateTimeFromNow",
            steps=((None, BLUE),),
            none="none declared",
        ),
    ]


def _share() -> str:
    return (
        f"monitor_slo_error_budget_remaining_seconds{{{ENDPOINT}}}"
        f" / monitor_slo_error_budget_seconds{{{ENDPOINT}}} {RUNNING}"
    )


def _incidents() -> Panel:
    panel = listing(
        "Open incidents: since when, restored by when",
        "Each open incident, the group of endpoints it is about (by default their host), since when"
        " service is unavailable, by when it is to be restored, and the time left. The history is"
        " in `monitor incident show`.",
        [
            Query(f"{START} * 1000", name="since"),
            Query(f"{DEADLINE} * 1000", name="restore by"),
            Query(f"{DEADLINE} - time()", name="time left"),
        ],
        labels=["incident", "group"],
        none="no open incident",
        sort=("restore by", False),
    )
    column(panel, "since", unit="dateTimeAsIso")
    column(panel, "restore by", unit="dateTimeAsIso")
    return column(panel, "time left", unit="dtdurations", decimals=1, steps=CLOCK)


def _not_up() -> Panel:
    labels = ["endpoint", "service", "environment", "state"]
    panel = listing(
        "Not up now",
        "Every endpoint that is not up now, and how it stands.",
        [
            Query(
                f"max by ({', '.join(labels)})"
                f' (monitor_endpoint_state{{state!="up",{ENDPOINT}}}) == 1'
            )
        ],
        labels=labels,
        none="every endpoint is up",
    )
    return column(panel, "state", mapping=words({name: (name, color) for name, color in STATES}))


def _budgets() -> Panel:
    return gauges(
        "Budget left this month, by endpoint",
        "Share of this month's error budget not yet spent; the twenty endpoints with the least."
        " Half spent in the first days of a month is too fast." + NOT_ROLLING,
        Query(f"bottomk(20, max by (endpoint) ({_share()}))", "{{endpoint}}"),
        unit="percentunit",
        steps=SPENT,
    )


def _lost() -> Panel:
    panel = chart(
        "What spent it, this month",
        "Unavailable time of this month by class, in seconds; the twenty endpoints that lost most."
        " All of it counts, declared or not." + NOT_ROLLING,
        [
            Query(
                f'topk(20, max by (endpoint) (monitor_slo_unavailable_seconds{{class="{cls}",'
                f"{ENDPOINT}}} {RUNNING}))",
                name=word,
            )
            for cls, (word, _) in CLASSES.items()
        ],
        key="endpoint",
        unit="s",
        height=8,
    )
    return painted(panel, dict(CLASSES.values()))


BOARD = Board(
    uid="pensions-monitor-overview",
    title="Pensions dashboards monitor: overview",
    description="Is anything down, since when, what is owed by when, and how much of the month's"
    " error budget is left.",
    since=("now-24h", "now"),
    step="1m",
    panels=[
        *_glance(),
        states(),
        _not_up(),
        _incidents(),
        _budgets(),
        _lost(),
    ],
)
