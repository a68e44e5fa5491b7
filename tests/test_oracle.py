"""The product against the oracle: random cases, and cases worked by hand.

`MONITOR_ORACLE_SEEDS` sets how many random cases are tried (default 300).
"""

from __future__ import annotations

import json
import os
import random
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.holidays import bank_holidays
from monitor.config import load
from monitor.core.book import Book
from monitor.replay import read_facts, replay
from monitor.snapshot import replay_document
from tests.oracle import model, vectors
from tests.oracle.generate import random_case

SEEDS = int(os.environ.get("MONITOR_ORACLE_SEEDS", "300"))
CHUNK = 20
STEPS = (1, 30, 60, 60)

Document = dict[str, Any]
holidays_of = cache(bank_holidays)


def replayed(folder: Path, config: Document, facts: list[Document], until: datetime) -> Document:
    """What `monitor replay` prints for a configuration and facts written to files."""
    written, listed = folder / "monitor.yaml", folder / "facts.jsonl"
    written.write_text(json.dumps(config), encoding="utf-8")
    listed.write_text("".join(json.dumps(fact) + "\n" for fact in facts), encoding="utf-8")
    settings = load(written, environ={}, bank_holidays=holidays_of)
    book = Book(settings.rules, settings.endpoints, settings.holdernames)
    replay(book, listed, read_facts(listed), until)
    document: Document = json.loads(json.dumps(replay_document(book, until)))
    return document


def in_one_order(document: Document) -> Document:
    """The same document with its months and outages in an order that both sides share."""
    months = sorted(document["months"], key=lambda row: (row["month"], str(row["series"])))
    outages = sorted(document["outages"], key=lambda row: (str(row["series"]), row["start"]))
    return {**document, "months": months, "outages": outages}


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_random_cases(first: int, tmp_path: Path) -> None:
    """Replay agrees to the last digit with the oracle on random configurations and facts."""
    for seed in range(first, min(first + CHUNK, SEEDS)):
        rng = random.Random(seed)
        step = rng.choice(STEPS)
        config, facts, until = random_case(rng, step=step)
        expected = json.loads(json.dumps(model.account(config, facts, until, step=step)))
        found = in_one_order(replayed(tmp_path, config, facts, until))
        differences = vectors.differences(in_one_order(expected), found)
        assert differences == [], f"seed {seed}"


@pytest.mark.parametrize("path", vectors.PATHS, ids=lambda path: path.stem)
def test_vector(path: Path, tmp_path: Path) -> None:
    """Replay gives the figures worked out by hand."""
    case = vectors.load(path)
    until = datetime.fromisoformat(case["until"])
    document = replayed(tmp_path, case["config"], case["facts"], until)
    assert vectors.differences(case["expected"], document) == []
