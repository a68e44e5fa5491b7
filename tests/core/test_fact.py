"""Facts and observations read and written."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.downtime import Kind
from monitor.core.endpoint import Service
from monitor.core.fact import (
    BadFact,
    Body,
    Fact,
    fact_document,
    observation_document,
    parse_instant,
    read_fact,
    read_observation,
)
from monitor.core.verdict import Observation, Reason, Result
from tests.core.builders import START, at

LINE = {"type": "observation", "at": "2026-03-02T09:00:00Z", "endpoint": "view", "result": "up"}


def body(**keys: Any) -> Body:
    return Body(Fact(START, "declaration", keys))


def test_observation_is_read_and_written() -> None:
    """An observation line comes back as it was (contract, "Facts file")."""
    line = {**LINE, "reason": "ok"}
    found = read_observation(line)
    assert found == Observation("view", START, Result.UP, Reason.OK)
    assert observation_document(found) == line


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"endpoint": ""}, "observation: endpoint: must be the id"),
        ({"endpoint": 7}, "observation: endpoint: must be the id"),
        ({"result": "sideways"}, "observation: result: must be one of up, impaired, down, local"),
        ({"reason": "because"}, "observation: reason: is not in the list"),
        ({"at": None}, "observation: at: must be an instant with an offset"),
        ({"at": "2026-03-02T09:00:00"}, "observation: at: must be an instant with an offset"),
    ],
)
def test_bad_observation(change: dict[str, Any], text: str) -> None:
    """A fault of an observation names the key and what it should be."""
    with pytest.raises(BadFact, match=text):
        read_observation({**LINE, "reason": "ok", **change})


def test_fact_is_read_and_written() -> None:
    """A fact line comes back as it was; at and type stand outside its body."""
    line = {"type": "withdrawal", "at": "2026-03-02T09:00:00Z", "id": "A-1", "author": "ops"}
    found = read_fact(line)
    assert found == Fact(START, "withdrawal", {"id": "A-1", "author": "ops"})
    assert fact_document(found) == line


@pytest.mark.parametrize("kind", [None, "", 3])
def test_fact_without_a_type(kind: object) -> None:
    """Every fact says its type."""
    with pytest.raises(BadFact, match="type: is missing"):
        read_fact({"type": kind, "at": "2026-03-02T09:00:00Z"})


@pytest.mark.parametrize("value", [None, 5, "soon", "2026-03-02", "2026-03-02T09:00:00"])
def test_instant_needs_an_offset(value: object) -> None:
    """An instant of a fact has an offset; another cannot be read."""
    with pytest.raises(BadFact, match="here: must be an instant with an offset"):
        parse_instant(value, "here")
    assert parse_instant("2026-07-01T10:00:00+01:00", "here") == at("2026-07-01T09:00")


def test_texts() -> None:
    """A text without a default must be there and not empty."""
    assert body(id="D-1").text("id") == "D-1"
    assert body().text("reason", "") == ""
    for given in ({}, {"id": ""}, {"id": 5}):
        with pytest.raises(BadFact, match="declaration: id: must be a text that is not empty"):
            body(**given).text("id")
    assert [body(**given).optional_text("t") for given in ({}, {"t": ""}, {"t": "x"})] == [
        None,
        None,
        "x",
    ]
    with pytest.raises(BadFact, match="t: must be a text or null"):
        body(t=5).optional_text("t")


def test_instants() -> None:
    """An instant may be left out only where it is optional."""
    assert body(start="2026-03-02T09:00:00Z").instant("start") == START
    assert body().optional_instant("start") is None
    with pytest.raises(BadFact, match="start: is missing; give an instant"):
        body().instant("start")


def test_names() -> None:
    """Names are a list of texts, or null for all."""
    assert body().optional_names("endpoints") is None
    assert body(endpoints=["a", "b", "a"]).optional_names("endpoints") == {"a", "b"}
    for value in ("a", ["a", 5], {"a": 1}):
        with pytest.raises(BadFact, match="must be a list of names"):
            body(endpoints=value).optional_names("endpoints")
    assert body(x=None).names("x")
    assert not body().names("x")


def test_choices() -> None:
    """A choice is one of the list, which the fault tells."""
    assert body().choice("kind", Kind, "planned") is Kind.PLANNED
    with pytest.raises(BadFact, match="kind: must be one of planned, emergency, maps"):
        body(kind="odd").choice("kind", Kind)
    assert body().services() is None
    assert body(services=["find"]).services() == {Service.FIND}
    with pytest.raises(BadFact, match="services: must be among find, view, pat-refresh"):
        body(services=["post"]).services()
