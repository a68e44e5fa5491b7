"""What the dashboards are made of: colours, words, queries, panels, variables, annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import barchart as bars
from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

# Okabe and Ito's palette: told apart by every kind of colour vision; no panel relies on it alone.
GREEN = "#009E73"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
GREY = "#999999"
BLUE = "#0072B2"
SKY = "#56B4E9"
YELLOW = "#F0E442"
PURPLE = "#CC79A7"
PALETTE = (GREEN, ORANGE, VERMILION, GREY, BLUE, SKY, YELLOW, PURPLE)

STATES = (("up", GREEN), ("unknown", GREY), ("impaired", ORANGE), ("down", VERMILION))
"""States in the order of their numbers in a state timeline, from 0."""
CLASSES = {
    "declared": ("declared", SKY),
    "declared_short_notice": ("short notice", ORANGE),
    "overrun": ("overrun", PURPLE),
    "undeclared": ("undeclared", VERMILION),
}
"""Class of unavailable time to its word and colour."""
VERDICTS = {
    "met": GREEN,
    "running": SKY,
    "indeterminate": GREY,
    "no_data": GREY,
    "missed": VERMILION,
}
RESULTS = {"up": GREEN, "impaired": ORANGE, "down": VERMILION, "local": GREY}

SOURCE = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")
ENDPOINT = 'endpoint=~"$endpoint"'
RUNNING = "and on (month) (monitor_month_end_timestamp_seconds > time())"
"""Narrows figures of months to the running one."""
NOT_ROLLING = (
    " The daemon reckons the calendar month to the microsecond and tells the result; a rolling"
    " window in Prometheus, such as 30 days, is another figure and is used nowhere here."
)
TAG = "pensions-monitor"

Step = tuple[float | None, str]
Panel = Any
"""A panel builder of the SDK; each kind is a class of its own."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question in PromQL; `legend` names its series, `name` its column in a table."""

    expr: str
    legend: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: its panels in the order they are read, a text beginning a row of its own."""

    uid: str
    title: str
    description: str
    since: tuple[str, str]
    """First and last instant shown, such as ("now-24h", "now")."""
    step: str
    """Of annotations; nothing shorter than it is missed."""
    panels: Sequence[str | Panel]
    month: bool = False
    """Whether a month is chosen."""


# -- colours and words -----------------------------------------------------------------------------


def thresholds(*steps: Step) -> dashboard.ThresholdsConfig:
    """Colour from each value on; the first has no value (None): what is below the others."""
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


def words(meaning: Mapping[str, tuple[str, str]]) -> models.ValueMap:
    """A value's word and colour."""
    return models.ValueMap(
        {
            value: models.ValueMappingResult(text=text, color=color, index=place)
            for place, (value, (text, color)) in enumerate(meaning.items())
        }
    )


STATE_WORDS = words({str(n): state for n, state in enumerate(STATES)})
"""For the numbers of a state timeline."""


def fixed(color: str) -> models.DynamicConfigValue:
    """A property that paints a series in one colour."""
    return models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})


def painted(panel: Panel, colors: Mapping[str, str]) -> Panel:
    """The panel with its series, named or matched by a /regular expression/, in these colours."""
    for name, color in colors.items():
        if name.startswith("/"):
            panel.override_by_regexp(name, [fixed(color)])
        else:
            panel.override_by_name(name, [fixed(color)])
    return panel


# -- panels ----------------------------------------------------------------------------------------


def _begun(
    panel: Panel, title: str, about: str, queries: Sequence[Query], size: tuple[int, int]
) -> Panel:
    width, height = size
    panel.title(title).description(about).datasource(SOURCE).span(width).height(height)
    for place, query in enumerate(queries):
        panel.with_target(_target(panel, query, chr(ord("A") + place)))
    return panel


def _target(panel: Panel, query: Query, name: str) -> prometheus.Dataquery:
    """Tables and single values ask for one instant, lines for the whole range."""
    target = prometheus.Dataquery().expr(query.expr).ref_id(name).datasource(SOURCE)
    if query.legend:
        target.legend_format(query.legend)
    if isinstance(panel, table.Panel | bars.Panel):
        return target.instant().format(PromQueryFormat.TABLE)
    if isinstance(panel, stat.Panel | bargauge.Panel):
        return target.instant()
    return target.range()


def single(
    title: str,
    about: str,
    query: Query,
    *,
    unit: str,
    steps: Sequence[Step],
    none: str = "no data",
    decimals: int | None = None,
    mappings: Sequence[Any] = (),
    width: int = 6,
) -> Panel:
    """One value in large type; `none` is shown where the query finds nothing."""
    panel = _begun(stat.Panel(), title, about, [query], (width, 4))
    panel.unit(unit).no_value(none).thresholds(thresholds(*steps)).mappings(list(mappings))
    panel.graph_mode(shapes.BigValueGraphMode.NONE).color_mode(shapes.BigValueColorMode.VALUE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if query.legend:
        panel.text_mode(shapes.BigValueTextMode.VALUE_AND_NAME)
    return panel if decimals is None else panel.decimals(decimals)


def ribbon(title: str, about: str, queries: Sequence[Query], height: int = 8) -> Panel:
    """A state timeline over the whole width, of numbers that STATES has words for."""
    panel = _begun(statetimeline.Panel(), title, about, queries, (24, height))
    panel.mappings([STATE_WORDS]).unit("none").thresholds(thresholds((None, GREY)))
    panel.show_value(shapes.VisibilityMode.AUTO).merge_values(True).row_height(0.8)
    panel.no_value("no data: nothing was scraped").per_page(25).legend(_legend())
    return panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))


def lines(
    title: str,
    about: str,
    queries: Sequence[Query],
    *,
    unit: str,
    width: int = 12,
    height: int = 9,
    stacked: bool = False,
    steps: Sequence[Step] = ((None, GREY),),
    decimals: int | None = None,
    none: str = "no data",
    floor: float | None = 0,
) -> Panel:
    """Values over time; stacked ones are areas. Thresholds beyond the first are drawn as lines.

    The axis begins at `floor`; None leaves it to the values.
    """
    panel = _begun(timeseries.Panel(), title, about, queries, (width, height))
    panel.unit(unit).thresholds(thresholds(*steps)).no_value(none).legend(_legend())
    panel.tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI))
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    panel.line_width(2).fill_opacity(60 if stacked else 0)
    panel.show_points(shapes.VisibilityMode.NEVER).span_nulls(False)
    if stacked:
        panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL))
    if len(steps) > 1:
        style = common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
        panel.thresholds_style(style)
    if floor is not None:
        panel.min(floor)
    return panel if decimals is None else panel.decimals(decimals)


def gauges(
    title: str, about: str, query: Query, *, unit: str, steps: Sequence[Step], height: int = 8
) -> Panel:
    """A bar for each series, by name."""
    panel = _begun(bargauge.Panel(), title, about, [query], (12, height))
    panel.unit(unit).min(0).max(1).thresholds(thresholds(*steps)).no_value("no data")
    panel.orientation(shapes.VizOrientation.HORIZONTAL)
    panel.display_mode(shapes.BarGaugeDisplayMode.BASIC)
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def chart(
    title: str, about: str, queries: Sequence[Query], *, key: str, unit: str, height: int = 9
) -> Panel:
    """Stacked bars, one for each value of the label `key`; each query is one part of the bar."""
    panel = _begun(bars.Panel(), title, about, queries, (12, height))
    panel.unit(unit).x_field(key).stacking(shapes.StackingMode.NORMAL).no_value("no data")
    panel.orientation(shapes.VizOrientation.HORIZONTAL).legend(_legend())
    panel.thresholds(thresholds((None, GREY))).fill_opacity(80)
    panel.show_value(shapes.VisibilityMode.NEVER)
    return _joined(panel, key, queries, [key])


def listing(
    title: str,
    about: str,
    queries: Sequence[Query],
    *,
    labels: Sequence[str],
    width: int = 12,
    height: int = 8,
    none: str = "no data",
    sort: tuple[str, bool] | None = None,
) -> Panel:
    """A table: a row for each value of the first label, the other labels, a column a query.

    The value of a query without a name is not shown. `sort` is a column, and whether it falls.
    """
    panel = _begun(table.Panel(), title, about, queries, (width, height))
    if sort is not None:
        name, falling = sort
        panel.sort_by([common.TableSortByFieldState().display_name(name).desc(falling)])
    panel.no_value(none).filterable(True).unit("none").thresholds(thresholds((None, GREY)))
    return _joined(panel, labels[0], queries, labels)


def matrix(
    title: str,
    about: str,
    query: Query,
    *,
    row: str,
    column: str,
    unit: str,
    decimals: int | None = None,
    height: int = 9,
) -> Panel:
    """A table of one query: a row for each value of one label, a column for each of another."""
    panel = _begun(table.Panel(), title, about, [query], (12, height))
    panel.no_value("no data").unit(unit).thresholds(thresholds((None, GREY)))
    _transformed(panel, "groupingToMatrix", rowField=row, columnField=column, valueField="Value")
    return panel if decimals is None else panel.decimals(decimals)


def _joined(panel: Panel, key: str, queries: Sequence[Query], labels: Sequence[str]) -> Panel:
    """Columns named as the queries are. One query needs no joining: its column is `Value`."""
    named = [query.name for query in queries if query.name]
    if len(queries) > 1:
        _transformed(panel, "joinByField", byField=key, mode="outer")
        values = [f"Value #{chr(ord('A') + place)}" for place in range(len(queries))]
    else:
        values = ["Value"] if named else []
    shown = [*labels, *values]
    _transformed(panel, "filterFieldsByName", include={"names": shown})
    return _transformed(
        panel,
        "organize",
        indexByName={name: place for place, name in enumerate(shown)},
        renameByName=dict(zip(values, named, strict=True)),
        excludeByName={},
    )


def _transformed(panel: Panel, name: str, **options: Any) -> Panel:
    """The panel with one more step between its answers and what is shown."""
    return panel.with_transformation(models.DataTransformerConfig(name, options=options))


def column(
    panel: Panel,
    name: str,
    *,
    unit: str = "",
    decimals: int | None = None,
    steps: Sequence[Step] = (),
    mapping: models.ValueMap | None = None,
) -> Panel:
    """How one column of a table is shown: its unit, its colours, its words."""
    properties = []
    if unit:
        properties.append(models.DynamicConfigValue("unit", unit))
    if decimals is not None:
        properties.append(models.DynamicConfigValue("decimals", decimals))
    if steps:
        properties.append(models.DynamicConfigValue("thresholds", thresholds(*steps).build()))
    if mapping is not None:
        properties.append(models.DynamicConfigValue("mappings", [mapping]))
    if steps or mapping is not None:
        cell = {"type": "color-text"}
        properties.append(models.DynamicConfigValue("custom.cellOptions", cell))
    return panel.override_by_name(name, properties)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(True)
    return legend.display_mode(shapes.LegendDisplayMode.LIST).placement(
        shapes.LegendPlacement.BOTTOM
    )


# -- the whole dashboard ---------------------------------------------------------------------------


def build(board: Board) -> models.Dashboard:
    """A dashboard with its panels laid out from left to right, numbered in that order."""
    whole = dashboard.Dashboard(board.title).uid(board.uid).description(board.description)
    whole.tags([TAG]).readonly().timezone("Europe/London").refresh("30s")
    whole.time(*board.since).tooltip(models.DashboardCursorSync.CROSSHAIR)
    whole.variables(list(_variables(month=board.month)))
    whole.annotations(list(_annotations(board.step))).links([_links()])
    for number, panel in enumerate(board.panels, 1):
        if isinstance(panel, str):
            whole.with_row(dashboard.Row(panel).id(number))
        else:
            whole.with_panel(panel.id(number))
    return whole.build()


def _variables(*, month: bool) -> Iterable[Any]:
    yield (
        dashboard.DatasourceVariable("datasource")
        .label("Prometheus")
        .description("The Prometheus that scrapes the monitor.")
        .type("prometheus")
    )
    yield (
        dashboard.QueryVariable("endpoint")
        .label("Endpoint")
        .description("Endpoints by their id in the configuration.")
        .datasource(SOURCE)
        .query("label_values(monitor_endpoint_state, endpoint)")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )
    if month:
        yield (
            dashboard.QueryVariable("month")
            .label("Month")
            .description("A calendar month in the SLO's zone; the first listed is the running one.")
            .datasource(SOURCE)
            .query("label_values(monitor_month_end_timestamp_seconds, month)")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_DESC)
        )


def _annotations(step: str) -> Iterable[dashboard.AnnotationQuery]:
    """Regions from the instants at which a series was there; `step` apart is one region."""
    for name, color, metric, title, text in (
        (
            "Open incidents",
            VERMILION,
            "monitor_incident_restoration_deadline_timestamp_seconds",
            "Incident {{incident}} open",
            "{{group}}",
        ),
        (
            "Declared windows",
            SKY,
            "monitor_downtime_active",
            "Declared downtime {{declaration}}",
            "{{kind}}",
        ),
    ):
        mark = _mark(name, color, f"max_over_time({metric}[{step}]) > bool 0", step)
        yield mark.title_format(title).text_format(text).use_value_for_time(False)
    starts = _mark(
        "Incident starts", PURPLE, "monitor_incident_start_timestamp_seconds * 1000", step
    )
    yield (
        starts.title_format("Unavailable since here: {{incident}}")
        .text_format("{{group}}; dated from the first failed probe")
        .use_value_for_time(True)
    )


def _mark(name: str, color: str, expr: str, step: str) -> dashboard.AnnotationQuery:
    """The query stands twice: newer Grafanas read the target, older ones what stands beside it."""
    target = prometheus.Dataquery().expr(expr).ref_id("Anno").datasource(SOURCE)
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(color)
        .target(target.interval(step).range())
        .expr(expr)
        .step(step)
    )


def _links() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Pensions dashboards monitor")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(False)
        .icon("external link")
        .tooltip("The other dashboards of the monitor")
    )
