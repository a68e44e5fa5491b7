"""The chain of facts and the blocks of observations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from monitor.core.ledger import (
    GENESIS,
    HOUR,
    Chain,
    Finding,
    Row,
    blocks_body,
    digest,
    head_notice,
    hour_of,
    link,
    pruned_body,
)
from tests.core.builders import at

TEN = at("2026-03-02T10:00")
START = (TEN - at("1970-01-01T00:00")) // timedelta(microseconds=1)
ROWS: list[Row] = [(START + 1, 0, 41_250, 401), (START + 30_000_000, 26, 9, None)]
Line = dict[str, Any]


def line(kind: str, body: Line) -> Line:
    return {"type": kind, "at": "2026-03-02T11:20:00Z", **body}


def chained(lines: Iterable[Line]) -> list[tuple[int, Line, str]]:
    """The lines with their numbers and hashes."""
    found: list[tuple[int, Line, str]] = []
    previous = GENESIS
    for seq, one in enumerate(lines, 1):
        previous = link(previous, seq, one)
        found.append((seq, one, previous))
    return found


def checked(facts: Iterable[tuple[int, Line, object]]) -> Chain:
    chain = Chain()
    for fact in facts:
        chain.take(*fact)
    return chain


def three() -> list[tuple[int, Line, Any]]:
    return list(chained(line("note", {"n": n}) for n in range(3)))


def blocks(*more: Line, until: int | None = START + HOUR) -> Chain:
    """A chain with one block of ROWS, and more facts."""
    first = line("observations", blocks_body(START, {"view": digest(ROWS)}, until))
    return checked(chained([first, *more]))


def test_the_hash_is_made_as_described() -> None:
    """SHA-256 over the hash before, a line feed and the line in canonical JSON with its number."""
    text = GENESIS + '\n{"at":"x","name":"Prüfung","seq":1,"type":"note"}'
    found = link(GENESIS, 1, {"type": "note", "name": "Prüfung", "at": "x"})
    assert found == sha256(text.encode()).hexdigest()


def test_the_digest_is_made_as_described() -> None:
    """A line for each row, in order; nothing where there was no status."""
    text = f"{START + 1},0,41250,401\n{START + 30_000_000},26,9,"
    assert digest(ROWS) == (2, sha256(text.encode()).hexdigest())
    assert digest([]) == (0, sha256(b"").hexdigest())


def test_an_hour_is_utc() -> None:
    """Every instant of an hour has its start, also before 1970."""
    assert hour_of(START + HOUR - 1) == START
    assert hour_of(START) == START
    assert hour_of(-1) == -HOUR


def test_a_whole_chain_is_good() -> None:
    """Nothing is found, and the head is the last hash."""
    chain = checked(three())
    assert (chain.findings, chain.seq, chain.head) == ([], 3, three()[-1][2])


@pytest.mark.parametrize("place", range(3))
def test_a_changed_fact_is_named_and_only_it(place: int) -> None:
    """A change of any key breaks the link of that fact alone."""
    for key, value in (("n", 99), ("at", "2026-03-02T11:20:01Z"), ("type", "notes"), ("more", 1)):
        facts = three()
        seq, one, hashed = facts[place]
        facts[place] = (seq, {**one, key: value}, hashed)
        (finding,) = checked(facts).findings
        assert finding.seq == place + 1
        assert "the chain gives" in finding.what
        assert str(finding).startswith(f"fact {place + 1} (note")


def test_a_changed_hash_is_named_first() -> None:
    """The link itself is broken, and the one after it."""
    facts = three()
    facts[0] = (*facts[0][:2], "f" * 64)
    assert [finding.seq for finding in checked(facts).findings] == [1, 2]


def test_a_missing_hash_is_named() -> None:
    """What has no hash is named, and the chain goes on with what it should be."""
    facts = three()
    facts[1] = (*facts[1][:2], None)
    (finding,) = checked(facts).findings
    assert (finding.seq, finding.what) == (2, "has no hash")


def test_a_missing_or_doubled_fact_is_named() -> None:
    """Taking one away, from the middle or the start, or telling one twice, is found after it."""
    one, two, three_ = three()
    assert [finding.seq for finding in checked([one, three_]).findings] == [3, 3]
    assert "missing or doubled" in str(checked([two, three_]).findings[0])
    assert [finding.seq for finding in checked([one, one, two]).findings] == [1, 1]


def test_a_head_held_elsewhere_is_looked_for() -> None:
    """Cutting off the end leaves a good chain, in which that head is missing."""
    facts = three()
    head = facts[-1][2]
    for kept, found in ((facts, {head}), (facts[:2], set())):
        chain = Chain(wanted=frozenset({head}))
        for fact in kept:
            chain.take(*fact)
        assert (chain.hashes, chain.findings) == (found, [])


def test_observations_as_chained_are_good() -> None:
    """What was chained agrees; what is later than the chained hours may stand there too."""
    chain = blocks()
    chain.compare([("view", START, *digest(ROWS)), ("view", START + HOUR, 1, "x")])
    assert chain.findings == []


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([ROWS[0], (ROWS[1][0], 26, 8, None)], "was changed"),
        (ROWS[:1], "has 1 rows of 2"),
        ([*ROWS, (START + 99, 0, 0, 200)], "has 3 rows of 2"),
    ],
)
def test_changed_observations_are_named(rows: list[Row], what: str) -> None:
    """Endpoint and hour are named."""
    chain = blocks()
    chain.compare([("view", START, *digest(rows))])
    (finding,) = chain.findings
    said = str(finding)
    assert said.startswith("observations of view in the hour from 2026-03-02T10:00:00Z: ")
    assert what in said


def test_observations_gone_or_never_told_are_named() -> None:
    """A block without rows, and rows of a chained hour without a block."""
    chain = blocks()
    chain.compare([("other", START, 1, "x")])
    assert [finding.endpoint for finding in chain.findings] == ["other", "view"]
    assert "no fact of the chain" in chain.findings[0].what
    assert "all 2 rows are missing" in chain.findings[1].what
    unsettled = blocks(until=None)
    unsettled.compare([("view", START, *digest(ROWS)), ("other", START, 1, "x")])
    assert unsettled.findings == []


def test_a_later_block_of_an_hour_counts() -> None:
    """What came late was chained again; an hour may also have nothing left to miss."""
    late = digest([*ROWS, (START + 50_000_000, 0, 1, 200)])
    chain = blocks(line("observations", blocks_body(START, {"view": late})))
    chain.compare([("view", START, *late)])
    assert chain.findings == []
    empty = blocks(line("observations", blocks_body(START, {"view": (0, "x")})))
    empty.compare([])
    assert empty.findings == []


def test_what_retention_took_is_not_missed() -> None:
    """Hours before it are not asked for; of the hour in which it ended, what was kept."""
    kept = digest(ROWS[1:])
    chain = blocks(line("pruned", pruned_body("view", ROWS[1][0], kept)))
    assert chain.pruned == {"view": ROWS[1][0]}
    chain.compare([("view", START, *kept)])
    assert chain.findings == []
    chain.compare([("view", START, *digest(ROWS))])
    assert len(chain.findings) == 1
    later = blocks(line("pruned", pruned_body("view", START + HOUR, (0, "x"))))
    later.compare([])
    assert later.findings == []


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "observations"},
        {"type": "observations", "hour": "now", "blocks": {}},
        {"type": "observations", "hour": "2026-03-02T10:00:00Z", "blocks": []},
        {"type": "observations", "hour": "2026-03-02T10:00:00Z", "blocks": {"view": 3}},
        {"type": "pruned", "endpoint": "view"},
        {"type": "pruned", "endpoint": "view", "before": 3, "kept": [0, "x"]},
    ],
)
def test_upkeep_that_cannot_be_read_is_named(bad: Line) -> None:
    """A fact of the ledger itself that makes no sense is a finding, never an exception."""
    (finding,) = checked(chained([{"at": "2026-03-02T11:20:00Z", **bad}])).findings
    assert finding.what == "cannot be read"


def test_a_finding_without_a_place() -> None:
    """It is its text."""
    assert str(Finding("all is lost")) == "all is lost"


def test_the_head_is_told_once_a_day() -> None:
    """One notice a day, with number and hash; none while there is no fact."""
    assert head_notice(0, GENESIS, TEN) is None
    told = [head_notice(7, "a" * 64, TEN + timedelta(hours=hours)) for hours in (0, 3, 24)]
    assert len({notice.once for notice in told if notice is not None}) == 2
    assert told[0] is not None
    event = told[0].event
    assert (event.type, event.key, event.data["seq"]) == ("ledger.head", "ledger", 7)
    assert event.data["hash"] == "a" * 64
