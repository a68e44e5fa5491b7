"""SLO month: a calendar month against the objective, what spent its budget, and how fast."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana.overview import SPENT
from grafana.parts import (
    BLUE,
    CLASSES,
    ENDPOINT,
    GREEN,
    GREY,
    NOT_ROLLING,
    ORANGE,
    VERDICTS,
    VERMILION,
    Board,
    Panel,
    Query,
    chart,
    column,
    fixed,
    lines,
    listing,
    matrix,
    painted,
    single,
    words,
)

MONTH = f'month="$month",{ENDPOINT}'
EXACT = 7
"""Decimals of a percentage that show every digit the daemon tells (nine of the ratio)."""
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def _of(metric: str, more: str = "") -> str:
    """A figure of the chosen month, one for each endpoint, whoever tells it."""
    return f"max by (endpoint) ({metric}{{{MONTH}{more}}})"


def _ratio(basis: str) -> str:
    return _of("monitor_slo_availability_ratio", f',basis="{basis}"')


def _head() -> list[Panel]:
    verdicts = single(
        "Verdicts",
        "Endpoints by what can be said of the month: running, met (the worst case reaches the"
        " objective), missed (the best case does not), indeterminate (they straddle it), no data."
        + NOT_ROLLING,
        Query(
            "count by (verdict) (max by (endpoint, verdict)"
            f" (monitor_slo_verdict{{{MONTH}}}) == 1)",
            "{{verdict}}",
        ),
        unit="none",
        steps=((None, GREY),),
    )
    return [
        single(
            "Measured, worst endpoint",
            "The headline: 1 - unavailable / (eligible - unknown), of the endpoint with the lowest."
            " Every digit that the daemon tells, rounded down, never up." + NOT_ROLLING,
            Query(f"min({_ratio('measured')})"),
            unit="percentunit",
            decimals=EXACT,
            steps=((None, BLUE),),
            none="nothing measured",
        ),
        single(
            "Objective",
            "Availability that each month must reach: 99.5 % unless configured otherwise.",
            Query("max(monitor_slo_objective_ratio)"),
            unit="percentunit",
            decimals=2,
            steps=((None, BLUE),),
        ),
        painted(verdicts, VERDICTS),
        single(
            "Least budget left",
            "Share of the month's error budget that is left, of the endpoint with the least."
            " Negative: missed." + NOT_ROLLING,
            Query(
                f"min({_of('monitor_slo_error_budget_remaining_seconds')}"
                f" / {_of('monitor_slo_error_budget_seconds')})"
            ),
            unit="percentunit",
            decimals=2,
            steps=SPENT,
        ),
    ]


def _account() -> Panel:
    """The columns of `monitor slo`, in its order."""
    bases = (
        ("measured", "measured"),
        ("best", "best"),
        ("worst", "worst"),
        ("excluding_declared", "without declared"),
    )
    seconds = (
        ("monitor_slo_eligible_seconds", "eligible"),
        ("monitor_slo_unknown_seconds", "unknown"),
        ("monitor_slo_error_budget_seconds", "budget"),
        ("monitor_slo_error_budget_remaining_seconds", "left"),
    )
    lost = "sum by (endpoint) (max by (endpoint, class) (monitor_slo_unavailable_seconds{%s}))"
    panel = listing(
        "The month, as `monitor slo` prints it",
        "Per endpoint: measured (the headline), best (unknown and unconfirmed time taken as up),"
        " worst (taken as down), without declared downtime (for information, never the headline);"
        " then times in seconds. All unavailable time counts, declared or not. Absent: there is no"
        " such figure." + NOT_ROLLING,
        [
            *(Query(_ratio(basis), name=name) for basis, name in bases),
            Query(lost % MONTH, name="unavailable"),
            *(Query(_of(metric), name=name) for metric, name in seconds),
        ],
        labels=["endpoint"],
        width=24,
    )
    for _, name in bases:
        column(panel, name, unit="percentunit", decimals=EXACT)
    for name in ("unavailable", *(name for _, name in seconds[:-1])):
        column(panel, name, unit="none")
    return column(panel, "left", unit="none", steps=((None, VERMILION), (0, GREEN)))


def _figure() -> Panel:
    panel = lines(
        "Figure against the objective",
        "How the month's measured availability stood at each instant, and the objective (dashed)."
        " Choose the month as the time range: it starts with 'This month'." + NOT_ROLLING,
        [
            Query(_ratio("measured"), "{{endpoint}}"),
            Query("max(monitor_slo_objective_ratio)", "objective"),
        ],
        unit="percentunit",
        decimals=EXACT,
        floor=None,
    ).max(1)
    return panel.override_by_name("objective", [*DASHED, fixed(VERMILION)])


def _burn_down() -> Panel:
    left = _of("monitor_slo_error_budget_remaining_seconds")
    budget, eligible = (
        _of("monitor_slo_error_budget_seconds"),
        _of("monitor_slo_eligible_seconds"),
    )
    panel = lines(
        "Burn-down of the budget",
        "Seconds of error budget left at each instant. Dashed: the allowance, what would be left if"
        " the budget went evenly over the month's eligible time; below it, it goes too fast. Below"
        " zero the month is missed." + NOT_ROLLING,
        [
            Query(left, "{{endpoint}}"),
            Query(
                f"{budget} - (1 - scalar(max(monitor_slo_objective_ratio))) * {eligible}",
                "{{endpoint}} allowance",
            ),
        ],
        unit="s",
        steps=((None, GREY), (0, VERMILION)),
        floor=None,
    )
    return panel.override_by_regexp("/ allowance$/", [*DASHED, fixed(GREY)])


DASHED = [
    DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
    DynamicConfigValue("custom.lineWidth", 1),
]


def _classes() -> Panel:
    panel = chart(
        "Classes of lost time",
        "Unavailable seconds of the month by class: declared with enough notice, with too short a"
        " notice, overrun of a window, undeclared. The sum spends the budget." + NOT_ROLLING,
        [
            Query(_of("monitor_slo_unavailable_seconds", f',class="{cls}"'), name=word)
            for cls, (word, _) in CLASSES.items()
        ],
        key="endpoint",
        unit="s",
    )
    return painted(panel, dict(CLASSES.values()))


def _unjudged() -> Panel:
    return chart(
        "Time that could not be judged",
        "Unknown seconds of the month: gaps, and our own faults. They lie between the best and the"
        " worst case; too many make a month indeterminate." + NOT_ROLLING,
        [Query(_of("monitor_slo_unknown_seconds"), name="unknown")],
        key="endpoint",
        unit="s",
    )


def _months() -> Panel:
    return matrix(
        "The last thirteen months: measured",
        "Measured availability of this month and the twelve before it; sealed months show their"
        " sealed figure." + NOT_ROLLING,
        Query(
            "max by (endpoint, month)"
            f' (monitor_slo_availability_ratio{{basis="measured",{ENDPOINT}}})'
        ),
        row="month",
        column="endpoint",
        unit="percentunit",
        decimals=EXACT,
    )


def _burning() -> Panel:
    return lines(
        "Burn rates",
        "How fast the budget went over each window, of the endpoint that burned fastest; 1 spends"
        " exactly the budget if it lasts. A rolling window shows a trend and pages people; the"
        " month's figure it is not.",
        [Query(f"max({_burn_rate(window)})", window) for window in WINDOWS],
        unit="none",
        steps=((None, GREY), (1, ORANGE)),
    )


def _burning_now() -> Panel:
    return listing(
        "Burn rates now, by endpoint",
        "The burn rate of each endpoint over each window now. 14.4 over an hour would spend a"
        " thirty-day budget in two days.",
        [Query(f"max by (endpoint) ({_burn_rate(window)})", name=window) for window in WINDOWS],
        labels=["endpoint"],
        height=9,
    )


def _burn_rate(window: str) -> str:
    return f'monitor_slo_burn_rate{{window="{window}",{ENDPOINT}}}'


def _verdict_table() -> Panel:
    panel = listing(
        "Verdict of the month, by endpoint",
        "met, missed, indeterminate, running or no_data. A running month is missed as soon as it"
        " cannot be met any more." + NOT_ROLLING,
        [Query(f"max by (endpoint, verdict) (monitor_slo_verdict{{{MONTH}}}) == 1")],
        labels=["endpoint", "verdict"],
        height=9,
    )
    meaning = {name: (name.replace("_", " "), color) for name, color in VERDICTS.items()}
    return column(panel, "verdict", mapping=words(meaning))


BOARD = Board(
    uid="pensions-monitor-slo-month",
    title="Pensions dashboards monitor: SLO month",
    description="A calendar month against the objective: the figure, the budget and what spent it,"
    " and how fast it goes.",
    since=("now/M", "now/M"),
    step="5m",
    month=True,
    panels=[
        *_head(),
        _account(),
        _burn_down(),
        _figure(),
        _classes(),
        _unjudged(),
        "Burn rates: trends over rolling windows",
        _burning(),
        _burning_now(),
        "Verdicts and earlier months",
        _verdict_table(),
        _months(),
    ],
)
