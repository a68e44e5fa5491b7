"""The dashboards as files: equal to their code, well formed, and about metrics that exist."""

import doctest
import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from ruamel.yaml import YAML

from grafana import pictures
from grafana.generate import BOARDS, FOLDER, main, text
from grafana.parts import PALETTE, models
from monitor.web.metrics import CATALOGUE
from tests.grafana.panels import Asked, asked, labelled, panels, queries, substituted

PROVISIONING = FOLDER.parent / "provisioning"
NAMES = list(BOARDS)
FIGURES = re.compile(r"monitor_slo_(?!burn_rate|objective)")
OF_LIBRARIES = {"process_cpu_seconds_total", "process_resident_memory_bytes", "up"}
"""Not ours: the client library's, and Prometheus' own."""


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return document


def walk(node: Any) -> Iterator[Any]:
    yield node
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from walk(child)


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_what_its_code_makes(name: str) -> None:
    """Each committed JSON equals what the generator writes; `make dashboards` mends it."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text(BOARDS[name])


def test_no_file_is_left_over() -> None:
    """There is no dashboard that no code makes."""
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(NAMES)


def test_generating_takes_away_what_is_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dashboard that left the code leaves the folder too."""
    monkeypatch.setattr("grafana.generate.FOLDER", tmp_path)
    (tmp_path / "old.json").write_text("{}")
    main()
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_reading_and_writing_loses_nothing(name: str) -> None:
    """Grafana's own model reads each file and writes the same again."""
    register_default_plugins()
    document = read(name)
    again = json.dumps(models.Dashboard.from_json(document), cls=JSONEncoder)
    assert json.loads(again) == document


# -- form ------------------------------------------------------------------------------------------


def test_every_dashboard_is_known_by_a_short_name_of_its_own() -> None:
    """Uids are distinct and at most 40 characters, as Grafana wants them."""
    uids = [read(name)["uid"] for name in NAMES]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[a-z-]{1,40}", uid) for uid in uids)


@pytest.mark.parametrize("name", NAMES)
def test_panels_lie_beside_each_other(name: str) -> None:
    """Panels have numbers of their own, stay within 24 columns and never overlap."""
    every = read(name)["panels"]
    numbers = [panel["id"] for panel in every]
    assert len(set(numbers)) == len(numbers)
    boxes = [(p["gridPos"]["x"], p["gridPos"]["y"], p["gridPos"]["w"], p["gridPos"]["h"])
             for p in every]  # fmt: skip
    assert all(x >= 0 and w > 0 and h > 0 and x + w <= 24 for x, y, w, h in boxes)
    for (x1, y1, w1, h1), (x2, y2, w2, h2) in combinations(boxes, 2):
        assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_it_shows(name: str) -> None:
    """Each panel has a title, a description, a unit, thresholds, and a word for no value."""
    for panel in panels(read(name)):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert len(panel["description"]) > 30
        assert defaults["unit"]
        assert defaults["noValue"]
        assert defaults["thresholds"]["steps"]


@pytest.mark.parametrize("name", NAMES)
def test_one_choice_moves_every_panel(name: str) -> None:
    """Every panel, query, variable and annotation asks the chosen data source."""
    sources = [node["datasource"] for node in walk(read(name))
               if isinstance(node, dict) and "datasource" in node]  # fmt: skip
    assert len(sources) > 10
    assert {json.dumps(source, sort_keys=True) for source in sources} == {
        '{"type": "prometheus", "uid": "${datasource}"}'
    }


@pytest.mark.parametrize("name", NAMES)
def test_endpoints_and_months_are_chosen(name: str) -> None:
    """All endpoints unless some are chosen; where a month is shown, the newest comes first."""
    document = read(name)
    known = {one["name"]: one for one in document["templating"]["list"]}
    assert known["datasource"]["query"] == "prometheus"
    endpoint = known["endpoint"]
    assert (endpoint["multi"], endpoint["includeAll"], endpoint["allValue"]) == (True, True, ".*")
    assert endpoint["current"]["value"] == "$__all"
    shown = any("$month" in query.expr for query in queries(document))
    assert shown == ("month" in known)
    if shown:
        month = known["month"]
        assert (month["sort"], month["refresh"]) == (2, 2)
        assert "current" not in month
    assert "month" in known or name != "slo-month"


@pytest.mark.parametrize("name", NAMES)
def test_colours_are_told_apart_by_everybody(name: str) -> None:
    """Every colour is of the palette that Okabe and Ito made for all kinds of colour vision."""
    found = set()
    for node in walk(read(name)):
        if isinstance(node, dict):
            found |= {
                value
                for key in ("color", "fixedColor", "iconColor")
                if isinstance(value := node.get(key), str)
            }
    assert found
    assert found <= set(PALETTE)


@pytest.mark.parametrize("name", NAMES)
def test_marks_are_asked_alike_by_every_grafana(name: str) -> None:
    """Incidents and windows are marked; what newer and older Grafanas read of them is the same."""
    every = read(name)["annotations"]["list"]
    assert len(every) == 3
    for one in every:
        assert (one["target"]["expr"], one["target"]["interval"]) == (one["expr"], one["step"])
        assert one["enable"]
        assert one["titleFormat"]


def test_words_stand_beside_the_colours_of_states() -> None:
    """A state timeline says up, unknown, impaired and down in words too."""
    for panel in (one for name in NAMES for one in panels(read(name))):
        if panel["type"] != "state-timeline":
            continue
        (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
        said = {number: result["text"] for number, result in mapping["options"].items()}
        assert said == {"0": "up", "1": "unknown", "2": "impaired", "3": "down"}


# -- queries ---------------------------------------------------------------------------------------


EVERY_QUERY = [query for name in NAMES for query in asked(name, read(name))]


@pytest.mark.parametrize("query", EVERY_QUERY, ids=str)
def test_every_query_is_promql(query: Asked) -> None:
    """Each query of panels and annotations parses once Grafana has put values for variables."""
    promql_parser.parse(substituted(query.expr, month="2026-06"))


@pytest.mark.parametrize("query", EVERY_QUERY, ids=str)
def test_every_metric_exists(query: Asked) -> None:
    """Each metric is one that the monitor tells, and each label of ours is one that it has."""
    known = labelled(CATALOGUE)
    found = set(re.findall(r"\b(?:monitor|process)_\w+|\bup\b(?=[\[{)]|$)", query.expr))
    found -= set(re.findall(r'"(\w+)"', query.expr))
    assert found
    assert found <= known.keys() | OF_LIBRARIES
    for metric, label in re.findall(r"(monitor_\w+)\{([^}]*)\}", query.expr):
        names: set[str] = set(re.findall(r"(\w+)=?[=!~]", label))
        assert names <= known[metric], query


def test_months_never_come_from_a_rolling_window() -> None:
    """No query looks back over days: the daemon's gauges are the figures of a month."""
    assert not [query for query in EVERY_QUERY if re.search(r"\[\d+[dwy]", query.expr)]
    about = [
        panel["description"]
        for name in NAMES
        for panel in panels(read(name))
        if any(FIGURES.search(one.expr) for one in queries({"panels": [panel]}))
    ]
    assert len(about) > 10
    assert all("rolling window in Prometheus, such as 30 days" in text for text in about)


def test_examples_of_the_drawing_hold() -> None:
    """The examples in the docstrings of the pictures' code are true."""
    found = doctest.testmod(pictures)
    assert (found.failed, found.attempted) == (0, 1)


# -- provisioning ----------------------------------------------------------------------------------


def provisioned(name: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = YAML(typ="safe").load((PROVISIONING / name).read_text())
    return document


def test_provisioning_names_the_source_and_the_folder() -> None:
    """Mounted at /etc/grafana/provisioning these files bring a data source and the dashboards."""
    source = provisioned("datasources/prometheus.yaml")
    assert source["apiVersion"] == 1
    (prometheus,) = source["datasources"]
    assert (prometheus["uid"], prometheus["type"]) == ("prometheus", "prometheus")
    assert prometheus["url"] == "http://prometheus:9090"
    assert prometheus["isDefault"] is True
    folder = provisioned("dashboards/monitor.yaml")
    assert folder["apiVersion"] == 1
    (provider,) = folder["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
