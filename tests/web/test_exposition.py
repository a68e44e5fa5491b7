"""The text that Prometheus reads, and how it is packed."""

import asyncio
import doctest
import gzip
from time import perf_counter

import pytest

from monitor.web import exposition
from monitor.web.exposition import SLICE, Family, accepts_gzip, label, packed, unhurried


def test_the_examples_in_the_documentation_hold() -> None:
    """Every example in the module's docstrings gives what it says."""
    assert doctest.testmod(exposition).failed == 0


def test_a_label_value_is_escaped() -> None:
    """Quotes, backslashes and line ends cannot break out of a label."""
    assert label("n", 'a"b\\c\nd') == r'n="a\"b\\c\nd"'


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP; q=0.8", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("", False),
    ],
)
def test_gzip_is_used_only_where_it_is_accepted(header: str, accepted: bool) -> None:
    """An Accept-Encoding header is read with its weights."""
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize("texts", [[], ["a"], ["ä" * 50_000, "b", "c" * 200_000, "d"]])
def test_packing_loses_nothing(texts: list[str]) -> None:
    """The pieces, put together and unpacked, are the texts."""
    whole = "".join(texts)
    assert b"".join(packed(texts, gzip=False)).decode() == whole
    assert gzip.decompress(b"".join(packed(texts, gzip=True))).decode() == whole


def test_a_counter_is_named_as_each_format_wants_it() -> None:
    """OpenMetrics names a counter without `_total`, the older format with it."""
    family = Family("x_total", "counter", (), "Things.")
    assert family.header(openmetrics=False) == "# HELP x_total Things.\n# TYPE x_total counter\n"
    assert family.header(openmetrics=True) == "# HELP x Things.\n# TYPE x counter\n"


async def test_slow_work_lets_others_have_their_turn() -> None:
    """Between two items that together took longer than a slice, the event loop runs others."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    seen = []
    async for item in unhurried(range(3)):
        seen.append(item)
        until = perf_counter() + SLICE * 1.5
        while perf_counter() < until:
            pass
    task.cancel()
    assert seen == [0, 1, 2]
    assert turns >= 3
