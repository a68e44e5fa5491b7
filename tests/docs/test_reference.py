"""The reference is what the code says: every page generated, every type listed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from monitor import config
from monitor.cli import common
from monitor.core import alert, ledger
from monitor.core.incident import HUMAN_STEPS
from monitor.core.verdict import Reason, Result
from scripts.drawings.all import DRAWINGS
from scripts.drawings.all import FOLDER as PICTURES
from scripts.reference.configuration import options
from scripts.reference.exits import MEANINGS as EXITS
from scripts.reference.facts import SHAPES
from scripts.reference.pages import FOLDER, PAGES
from scripts.reference.reasons import MEANINGS as REASONS
from tests.docs.code import texts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_program_says(name: str) -> None:
    """Each generated page of docs/reference equals what the code makes of it."""
    assert PAGES[name]() == (FOLDER / name).read_text(encoding="utf-8"), "run: make docs"


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_what_the_rules_say(name: str) -> None:
    """Each drawing equals what a replay of its example makes of it, and is well-formed."""
    drawn = DRAWINGS[name]()
    assert drawn == (PICTURES / name).read_text(encoding="utf-8"), "run: make docs"
    assert ElementTree.fromstring(drawn).tag.endswith("svg")


def test_every_reason_is_explained() -> None:
    """Each reason has a meaning; those of our own come with the result `local`, and no others do."""
    assert set(REASONS) == set(Reason)
    for reason, (results, *_) in REASONS.items():
        assert reason.local == (Result.LOCAL in results)


def test_every_exit_code_is_explained() -> None:
    """The codes are those of the command line, each once."""
    codes = [getattr(common, name) for name in EXITS]
    assert codes == [
        common.GOOD,
        common.NOT_GOOD,
        common.WRONG_USE,
        common.NO_STORE,
        common.INTERRUPTED,
    ]


def test_every_type_of_fact_that_is_written_is_listed() -> None:
    """The types are those that the source writes, and no others."""
    written, others = texts("Fact", 1)
    assert others == {
        ("adapters/store.py", "kind"),  # read back
        ("core/fact.py", "kind"),  # read from a file
        ("declare.py", "f'incident.{step}'"),
    }
    appended, more = texts("append", 2)
    assert appended == set()
    assert more == {
        ("adapters/chain.py", "ledger.OBSERVATIONS"),
        ("adapters/chain.py", "ledger.PRUNED"),
        ("adapters/migrations.py", "kind"),  # facts of a store from before the chain
        ("adapters/store.py", "fact.type"),
    }
    steps = {f"incident.{step}" for step in HUMAN_STEPS}
    written -= {"resent"}  # kept with an idempotent request, never in the ledger
    assert written | steps | set(ledger.UPKEEP) | {"observation"} == set(SHAPES)


def test_every_alert_that_is_told_is_listed() -> None:
    """The table of alerts names the types that the source tells, each once, and no others."""
    table = (FOLDER / "alerts.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE)
    assert len(named) == len(set(named))
    told = {name for name in texts("Event", 1)[0] if re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", name)}
    told |= texts("notice", 0)[0] | texts("expiry_notice", 0)[0]
    told |= set(alert._INCIDENT_EVENTS.values())
    assert told == set(named) == set(alert.EVENT_TYPES)


def test_what_needs_a_restart_is_said() -> None:
    """The page of the configuration names each option that a reload does not take over."""
    source = inspect.getsource(config.differences)
    named = re.findall(r'"([a-z.]+)": \(?old', source)
    page = (FOLDER / "configuration.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"Only (`[^*]+?)\s+need a restart", " ".join(page.split()))
    assert set(re.findall(r"`([^`]+)`", said)) == {*named, "probing"}


def test_the_explained_configuration_has_every_option() -> None:
    """Each option of the schema stands in config/monitor.yaml, under the name of its last part."""
    text = (ROOT / "config" / "monitor.yaml").read_text(encoding="utf-8")
    missing = [
        path
        for path in options()
        if not re.search(rf"\b{re.escape(path.rpartition('.')[2].removesuffix('[]'))}\b", text)
    ]
    assert missing == []
