"""The rules for Prometheus: accepted, tested to fire and not to, and about metrics that exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import promql_parser
import pytest
from ruamel.yaml import YAML

from monitor.cli.root import cli
from monitor.web.exposition import Family
from monitor.web.metrics import CATALOGUE
from tests.tools import find, need

FOLDER = Path(__file__).resolve().parent.parent / "config" / "prometheus"
RULES = FOLDER / "monitor.rules.yaml"
TESTS = sorted((FOLDER / "tests").glob("*.test.yaml"))
HOW_TO = FOLDER.parent.parent / "docs" / "how-to" / "prometheus.md"
FAMILIES = {family.name: family for family in CATALOGUE}
OURS = {"instance", "job"}
"""Labels that Prometheus adds to what it scrapes."""


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def rules(kind: str) -> dict[str, Any]:
    """Rules by name; `kind` is record or alert."""
    return {
        rule[kind]: rule
        for group in read(RULES)["groups"]
        for rule in group["rules"]
        if kind in rule
    }


ALERTS, RECORDS = rules("alert"), rules("record")


def promtool(*arguments: str | Path) -> None:
    need("promtool")
    command = [str(find("promtool")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules() -> None:
    """Every rule is well formed."""
    promtool("check", "rules", RULES)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_the_rules_do_what_their_tests_say(path: Path) -> None:
    """promtool runs every case."""
    promtool("test", "rules", path)


def test_promtool_accepts_the_scrape_example(tmp_path: Path) -> None:
    """With the token in its place nothing is wrong with the example."""
    (tmp_path / "token").write_text("x")
    (tmp_path / RULES.name).write_text(RULES.read_text())
    text = (FOLDER / "prometheus.yaml").read_text()
    assert text.count("/etc/prometheus/monitor.token") == 2
    example = tmp_path / "prometheus.yaml"
    example.write_text(text.replace("/etc/prometheus/monitor.token", str(tmp_path / "token")))
    promtool("check", "config", example)


def cases() -> Iterator[tuple[str, bool]]:
    """(alert, whether it fires) of each case."""
    for path in TESTS:
        for one in read(path)["tests"]:
            for case in one.get("alert_rule_test", ()):
                yield case["alertname"], bool(case["exp_alerts"])


def test_every_alert_is_tested_to_fire_and_not_to() -> None:
    """No alert of the file is without either case, and no case is about another."""
    every = set(cases())
    assert {name for name, fires in every if fires} == set(ALERTS)
    assert {name for name, fires in every if not fires} == set(ALERTS)


def test_every_recording_is_tested() -> None:
    """Each recorded series is asked for by some case, and has a value there."""
    asked = {
        re.split(r"[{\s]", case["expr"])[0]
        for path in TESTS
        for one in read(path)["tests"]
        for case in one.get("promql_expr_test", ())
        if case["exp_samples"]
    }
    assert asked == set(RECORDS)


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector of an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for name in ("expr", "lhs", "rhs", "args", "vector_selector", "param"):
        part = getattr(node, name, None)
        for each in part if isinstance(part, list) else [part]:
            if each is not None and not isinstance(each, str | int | float):
                yield from selectors(each)


def family_of(name: str) -> Family | None:
    return FAMILIES.get(name) or FAMILIES.get(re.sub(r"_(bucket|sum|count)$", "", name))


def labels_of(name: str) -> set[str]:
    """The labels that a series of this name may have; fails if nobody tells it."""
    if name == "up":
        return OURS
    if name in RECORDS:
        sloth = {"sloth_id", "sloth_service", "sloth_slo", "sloth_window"}
        return OURS | {"endpoint", "window"} | sloth
    family = family_of(name)
    assert family is not None, f"no metric is named {name}"
    # What is named like a label of the target comes as exported_*.
    told = {f"exported_{label}" if label in OURS else label for label in family.labels}
    return OURS | told | ({"le"} if family.kind == "histogram" else set())


@pytest.mark.parametrize("name", [*RECORDS, *ALERTS])
def test_expressions_are_about_metrics_that_exist(name: str) -> None:
    """Another parser reads each expression; each series and label in it is one that is told."""
    rule = RECORDS.get(name) or ALERTS[name]
    parsed = promql_parser.parse(rule["expr"])
    found = list(selectors(parsed))
    assert found
    for one in found:
        matched = {matcher.name for matcher in one.matchers.matchers}
        assert matched <= labels_of(one.name)
    text = " ".join(rule.get("annotations", {}).values())
    used = set(re.findall(r"\$labels\.(\w+)", text))
    assert used <= set().union(*(labels_of(one.name) for one in found))


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_bad_what_and_what_to_do(name: str) -> None:
    """A severity, how long it must last, a summary, and a description that ends as a sentence."""
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["for"]
    assert set(rule["annotations"]) == {"summary", "description"}
    assert len(rule["annotations"]["description"]) > 60
    assert rule["annotations"]["description"].endswith(".")


def command(words: list[str]) -> click.Command:
    """The command that words begin with; arguments after it are not looked at."""
    found: click.Command = cli
    while isinstance(found, click.Group) and words and not words[0].startswith("--"):
        inner = found.commands.get(words[0])
        assert inner is not None, f"there is no command {words[0]}"
        found, words = inner, words[1:]
    assert not isinstance(found, click.Group) or found.invoke_without_command
    options = {name for option in found.params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= options
    return found


def test_commands_that_descriptions_name_exist() -> None:
    """What a person is told to type at three in the morning works."""
    text = " ".join(rule["annotations"]["description"] for rule in ALERTS.values())
    named = re.findall(r"`monitor ([^`]+)`", text)
    assert len(named) > 10
    for line in named:
        command(re.sub(r"\{\{[^}]*\}\}", "X", line).split())


def test_the_guide_lists_every_alert() -> None:
    """The table of docs/how-to/prometheus.md has each alert with its severity, and no other."""
    rows = re.findall(r"^\| `(Monitor\w+)` \| (\w+) \|", HOW_TO.read_text(), re.MULTILINE)
    assert dict(rows) == {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}
    assert len(rows) == len(ALERTS)
