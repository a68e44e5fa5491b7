"""The oracle against cases worked by hand, and the random cases against what they must contain."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.oracle import model, vectors
from tests.oracle.generate import random_case

SEEDS = 240
STEPS = (1, 30, 60, 60)
STATES = ("up", "unconfirmed", "unknown", "impaired", "down")


def seeded(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]], datetime, int]:
    rng = random.Random(seed)
    step = rng.choice(STEPS)
    return (*random_case(rng, step=step), step)


@pytest.fixture(scope="module")
def accounts() -> list[dict[str, Any]]:
    """The accounts of every seed."""
    found = []
    for seed in range(SEEDS):
        config, facts, until, step = seeded(seed)
        found.append(model.account(config, facts, until, step=step))
    return found


# --- worked cases ---


@pytest.mark.parametrize("path", vectors.PATHS, ids=lambda path: path.stem)
def test_vector(path: Path) -> None:
    """The oracle gives the figures worked out by hand."""
    case = vectors.load(path)
    until = datetime.fromisoformat(case["until"])
    document = model.account(case["config"], case["facts"], until, step=case["step"])
    assert vectors.differences(case["expected"], document) == []


@pytest.mark.parametrize("path", vectors.PATHS, ids=lambda path: path.stem)
def test_vector_is_a_facts_file(path: Path) -> None:
    """A worked case says why, and lists its facts in order of `at`."""
    case = vectors.load(path)
    assert case["why"]
    assert case["facts"] == sorted(case["facts"], key=lambda fact: str(fact["at"]))


def test_differences_are_seen() -> None:
    """A wrong value, a missing key and a list of another length are each told."""
    actual = {"a": [{"b": 1, "c": 2}], "d": "x"}
    assert vectors.differences({"a": [{"b": 1}]}, actual) == []
    assert vectors.differences({"a": [{"b": 2}]}, actual) == [".a[0].b: 2 expected, 1 found"]
    assert vectors.differences({"e": 1}, actual) == [".e: missing"]
    assert len(vectors.differences({"a": []}, actual)) == 1


# --- notice, from the worked examples of the domain ---


def class_of_a_window(day: str, notified: str, **slo: Any) -> str:
    """The class of an outage in a window that starts at 00:00 UK on `day`."""
    start = datetime.fromtimestamp(model.midnight(day), UTC)
    config = {
        "slo": slo,
        "defaults": {"interval": "1h", "confirm_down": 1},
        "endpoints": [
            {
                "id": "view",
                "service": "view",
                "url": "https://pensions.example/view",
                "environment": "live",
                "connected_from": day,
            }
        ],
    }
    declaration = {
        "type": "declaration",
        "at": notified,
        "id": "D-1",
        "kind": "planned",
        "notified_at": notified,
        "start": start.isoformat(),
        "end": (start + timedelta(hours=2)).isoformat(),
    }
    down = {"type": "observation", "at": start.isoformat(), "endpoint": "view", "result": "down"}
    facts = [declaration, down]
    document = model.account(config, facts, start + timedelta(hours=1), step=60)
    (outage,) = document["outages"]
    return str(outage["parts"][0]["class"])


@pytest.mark.parametrize(
    ("day", "last_in_time", "slo"),
    [
        ("2026-04-07", "2026-03-26T16:59:00+00:00", {}),
        ("2026-05-05", "2026-04-24T16:59:00+01:00", {}),
        ("2026-05-05", "2026-04-27T16:59:00+01:00", {"notice_method": "inclusive_start"}),
        ("2026-01-06", "2025-12-23T16:59:00+00:00", {}),
        ("2026-01-06", "2025-12-24T16:59:00+00:00", {"notice_calendar": "england-and-wales"}),
        ("2026-09-15", "2026-09-07T11:59:00+01:00", {"notice_cutoff": "12:00"}),
        ("2026-09-15", "2026-09-09T16:59:00+01:00", {"notice_days": 3}),
    ],
)
def test_last_moment_to_notify(day: str, last_in_time: str, slo: dict[str, Any]) -> None:
    """Notice is enough at the last moment the domain sheet names, and short a minute later."""
    too_late = (datetime.fromisoformat(last_in_time) + timedelta(minutes=1)).isoformat()
    assert class_of_a_window(day, last_in_time, **slo) == "declared"
    assert class_of_a_window(day, too_late, **slo) == "declared_short_notice"


def test_notice_given_at_a_weekend_counts_on_monday() -> None:
    """A notification on Saturday or Sunday is as good as one on Monday morning."""
    assert class_of_a_window("2026-09-15", "2026-09-06T20:00:00+01:00") == "declared"
    assert class_of_a_window("2026-09-14", "2026-09-06T08:00:00+01:00") == "declared_short_notice"


# --- what the oracle refuses, and how it prints ---


def test_facts_off_the_grid_are_refused() -> None:
    """An instant between two grid points would be counted wrongly, so it is refused."""
    config, _, until, _ = seeded(0)
    fact = {"type": "observation", "at": "2026-01-01T00:00:01Z", "endpoint": "x", "result": "up"}
    until = until.replace(second=0, minute=0) + timedelta(days=400)
    with pytest.raises(ValueError, match="not a multiple of 60"):
        model.account({**config, "endpoints": []}, [fact], until, step=60)


def test_facts_about_nothing_known_are_refused() -> None:
    """An amendment or a withdrawal needs something to amend or withdraw."""
    until = datetime(2026, 2, 1, tzinfo=UTC)
    for kind in ("amendment", "withdrawal"):
        fact = {"type": kind, "at": "2026-01-01T00:00:00Z", "id": "X-1"}
        with pytest.raises(ValueError, match="X-1"):
            model.account({}, [fact], until)


def test_ratios_are_rounded_down() -> None:
    """Nine places, never upwards, no trailing zeros."""
    assert model.ratio(Fraction(2, 3)) == "0.666666666"
    assert model.ratio(Fraction(199, 200)) == "0.995"
    assert model.ratio(Fraction(1)) == "1"
    assert model.ratio(Fraction(0)) == "0"
    assert model.ratio(None) is None


# --- random cases ---


def test_random_cases_are_repeatable_and_plain() -> None:
    """A seed gives one case, writable as JSON, its facts in order and on the grid."""
    for seed in range(20):
        config, facts, until, step = seeded(seed)
        again = seeded(seed)
        assert json.dumps([config, facts]) == json.dumps([again[0], again[1]])
        assert until == again[2]
        assert facts == sorted(facts, key=lambda fact: str(fact["at"]))
        assert all(model.instant(fact["at"]) % step == 0 for fact in facts)


def test_parts_make_the_whole(accounts: list[dict[str, Any]]) -> None:
    """States sum to the eligible time, classes to the unavailable, parts to their outage."""
    for document in accounts:
        for month in document["months"]:
            assert month["eligible_s"] == sum(month[f"{state}_s"] for state in STATES)
            assert month["unavailable_s"] == sum(month["by_class"].values())
        for outage in document["outages"]:
            parts = outage["parts"]
            assert (parts[0]["start"], parts[-1]["end"]) == (outage["start"], outage["end"])
            for one, following in pairwise(parts):
                assert one["end"] == following["start"]
                assert one["class"] != following["class"]


def test_a_finer_grid_changes_nothing() -> None:
    """The grid is only a way of counting."""
    for seed in range(12):
        config, facts, until = random_case(random.Random(seed), step=60)
        coarse = model.account(config, facts, until, step=60)
        assert model.account(config, facts, until, step=20) == coarse


def test_repeated_observations_change_nothing() -> None:
    """Of two observations of an endpoint at one instant the first counts."""
    for seed in range(12):
        config, facts, until, step = seeded(seed)
        repeats = [fact for fact in facts if fact["type"] == "observation"]
        once = model.account(config, facts, until, step=step)
        assert model.account(config, facts + repeats, until, step=step) == once


def shapes(document: dict[str, Any]) -> set[tuple[Any, ...]]:
    """What one account shows that random cases must show at times."""
    found: set[tuple[Any, ...]] = {("months", len({one["month"] for one in document["months"]}))}
    for month in document["months"]:
        found.add(("verdict", month["verdict"]))
        found.add(("measured", month["measured"] is not None, month["verdict"] == "no_data"))
        found |= {("state", state) for state in STATES if month[f"{state}_s"]}
        found |= {("by_class", name) for name, spent in month["by_class"].items() if spent}
    for outage in document["outages"]:
        names = [part["class"] for part in outage["parts"]]
        found.add(("source", outage["source"], outage["end"] is None))
        found |= {("follows", *pair) for pair in pairwise(names)}
        found |= {("class", name) for name in names}
    for incident in document["incidents"]:
        source = "assertion" if incident["group"].startswith("A-") else "probe"
        named = incident["declaration"] is not None
        found.add(("incident", source, incident["kind"], incident["state"]))
        found.add(("incident", source, incident["kind"], "named" if named else "unnamed"))
        found.add(("incident endpoints", source, min(len(incident["endpoints"]), 2)))
        found.add(("incident holdernames", source, min(len(incident["holdernames"]), 2)))
        found.add(("detected late", incident["detected_at"] > incident["started_at"]))
    return found


def expected_shapes() -> set[tuple[Any, ...]]:
    wanted: set[tuple[Any, ...]] = {("months", 1), ("months", 2), ("measured", False, False)}
    verdicts = ("met", "missed", "indeterminate", "running", "no_data")
    wanted |= {("verdict", verdict) for verdict in verdicts}
    wanted |= {("state", state) for state in STATES}
    wanted |= {("by_class", name) for name in model.CLASSES}
    wanted |= {("class", name) for name in (*model.CLASSES, "unknown")}
    for source in ("probe", "asserted", "mixed"):
        wanted |= {("source", source, True), ("source", source, False)}
    for source in ("probe", "assertion"):
        for kind in ("outage", "emergency_fix"):
            wanted |= {("incident", source, kind, state) for state in ("open", "restored")}
            wanted.add(("incident", source, kind, "named"))
        wanted.add(("incident", source, "outage", "unnamed"))
        wanted |= {("incident holdernames", source, number) for number in (1, 2)}
        wanted |= {("incident endpoints", source, number) for number in (1, 2)}
    wanted |= {
        ("follows", "undeclared", "declared"),
        ("follows", "undeclared", "declared_short_notice"),
        ("follows", "declared", "overrun"),
        ("follows", "declared_short_notice", "overrun"),
        ("follows", "overrun", "declared"),
        ("follows", "declared", "declared_short_notice"),
        ("follows", "declared_short_notice", "declared"),
        ("detected late", True),
        ("detected late", False),
    }
    return wanted


def test_random_cases_show_everything(accounts: list[dict[str, Any]]) -> None:
    """Every state, class, verdict and shape of incident occurs among the seeds, more than once."""
    seen = Counter(shape for document in accounts for shape in shapes(document))
    rare = {shape: seen[shape] for shape in expected_shapes() if seen[shape] < 2}
    assert rare == {}
