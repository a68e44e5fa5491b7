"""Worked examples as the product sees them: a Book filled from a vector's facts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from monitor.adapters.holidays import bank_holidays
from monitor.config import Settings, load
from monitor.core.book import Book
from monitor.core.fact import Fact, read_fact, read_observation
from monitor.core.verdict import Observation
from monitor.replay import replay

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "scenarios" / "vectors"


@dataclass(frozen=True, slots=True)
class Example:
    """What an example knows by its end, `until`."""

    book: Book
    settings: Settings
    observations: Sequence[Observation]
    until: datetime


def example(name: str) -> Example:
    """The example of that name, replayed through the product's own rules."""
    case: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "monitor.yaml"
        with path.open("w", encoding="utf-8") as stream:
            YAML(typ="safe").dump(case["config"], stream)
        settings = load(path, environ={}, bank_holidays=bank_holidays, accounting_only=True)
    book = Book(settings.rules, settings.endpoints, settings.holdernames)
    until = datetime.fromisoformat(case["until"])
    facts = [_read(line) for line in case["facts"]]
    replay(book, Path(name), enumerate(facts, 1), until)
    return Example(book, settings, [one for one in facts if isinstance(one, Observation)], until)


def _read(line: dict[str, Any]) -> Observation | Fact:
    return read_observation(line) if line["type"] == "observation" else read_fact(line)
