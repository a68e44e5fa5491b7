"""Bytes of a stored observation, and durable writes per second, of the product's own store.

python -m benchmarks.store
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from benchmarks.common import machine, print_table, say
from monitor.adapters.store import SqliteStore
from monitor.core.verdict import Observation, Reason, Result
from monitor.ports import Change, Sample, SpanRow

START = datetime(2026, 3, 1, tzinfo=UTC)
INTERVAL = timedelta(seconds=30)
GROUP = 100
"""Observations of one commit where they come in groups."""
WRITERS = 500


def samples(endpoints: int) -> Iterator[Sample]:
    """Observations as a daemon makes them, in order of time: uneven instants, odd durations."""
    chance = random.Random(1)
    slot = 0
    while True:
        for place in range(endpoints):
            late = timedelta(microseconds=chance.randrange(50_000))
            at = START + slot * INTERVAL + place * INTERVAL / endpoints + late
            up = chance.random() > 0.002
            seen = Observation(
                f"view-{place}",
                at,
                Result.UP if up else Result.DOWN,
                Reason.OK if up else Reason.STATUS_5XX,
            )
            yield Sample(seen, chance.randrange(4_000, 400_000), 401 if up else 503)
        slot += 1


def spans(group: Sequence[Sample]) -> list[SpanRow]:
    """What each observation settles while all is well: its endpoint was up until now."""
    return [
        SpanRow(one.observation.endpoint, one.observation.at - INTERVAL, one.observation.at, "up")
        for one in group
    ]


# --- Bytes -------------------------------------------------------------------------------------


async def fill(path: Path, endpoints: int, count: int) -> float:
    """Write so many observations in groups, in order of time; seconds it took."""
    store = SqliteStore.open(path)
    source = islice(samples(endpoints), count)
    groups = [list(islice(source, GROUP)) for _ in range(count // GROUP)]
    began = time.perf_counter()
    for group in groups:
        await store.commit(Change(samples=group))
    seconds = time.perf_counter() - began
    await asyncio.to_thread(store.close)
    return seconds


def sizes(path: Path) -> tuple[int, int | None]:
    """Bytes of the file, and of the pages of the observations; None without dbstat."""
    with closing(sqlite3.connect(path)) as store:
        pages = store.execute("PRAGMA page_count").fetchone()[0]
        size = store.execute("PRAGMA page_size").fetchone()[0]
        try:
            table = store.execute("SELECT sum(pgsize) FROM dbstat WHERE name = 'observations'")
            used = table.fetchone()[0]
        except sqlite3.OperationalError:
            used = None
    return pages * size, used


def bytes_table(folder: Path, count: int) -> None:
    rows = []
    for endpoints in (1, 100, 1000):
        path = folder / f"size-{endpoints}.db"
        seconds = asyncio.run(fill(path, endpoints, count))
        whole, table = sizes(path)
        say(f"{endpoints} endpoints: {whole / count:.1f} B")
        in_table = "no dbstat" if table is None else f"{table / count:.1f}"
        rows.append((endpoints, f"{whole / count:.1f}", in_table, f"{count / seconds:,.0f}"))
    print(f"{count:,} observations, written in order of time, {GROUP} a commit:\n")
    print_table(("endpoints", "B of file each", "B of table each", "durable/s"), rows)


# --- Writes ------------------------------------------------------------------------------------


async def alone(store: SqliteStore, source: Iterator[Sample], count: int) -> None:
    for sample in islice(source, count):
        await store.commit(Change(samples=[sample]))


async def together(store: SqliteStore, source: Iterator[Sample], count: int) -> None:
    async def writer() -> None:
        for sample in islice(source, count // WRITERS):
            await store.commit(Change(samples=[sample]))

    await asyncio.gather(*(writer() for _ in range(WRITERS)))


async def grouped(store: SqliteStore, source: Iterator[Sample], count: int) -> None:
    for _ in range(count // GROUP):
        await store.commit(Change(samples=list(islice(source, GROUP))))


async def with_spans(store: SqliteStore, source: Iterator[Sample], count: int) -> None:
    for _ in range(count // GROUP):
        group = list(islice(source, GROUP))
        first = START + INTERVAL
        settled = [one for one in group if one.observation.at >= first]
        await store.commit(Change(samples=group, spans=_following(store, settled)))


_ends: dict[str, datetime] = {}


def _following(store: SqliteStore, group: Sequence[Sample]) -> list[SpanRow]:
    """Spans from the end of the one before."""
    found = []
    for one in spans(group):
        start = _ends.get(one.endpoint, one.start)
        _ends[one.endpoint] = one.end
        found.append(SpanRow(one.endpoint, start, one.end, one.state))
    return found


WAYS = {
    "one at a time, awaited": (alone, 2_000),
    f"{WRITERS} writers, one observation each": (together, 50_000),
    f"{GROUP} a commit": (grouped, 50_000),
    f"{GROUP} a commit, each with its span": (with_spans, 50_000),
}


def writes_table(folder: Path) -> None:
    rows: list[tuple[object, ...]] = []
    for name, (way, count) in WAYS.items():
        seconds = asyncio.run(_timed(folder / f"write-{len(rows)}.db", way, count))
        say(f"{name}: {count / seconds:,.0f}/s")
        rows.append((name, f"{count / seconds:,.0f}", f"{1e6 * seconds / count:,.0f}"))
    print("Durable writes (synchronous=FULL), each awaited until it is on disk:\n")
    print_table(("how", "observations/s", "us each"), rows)


async def _timed(path: Path, way: object, count: int) -> float:
    store = SqliteStore.open(path)
    source = samples(250)
    assert callable(way)
    began = time.perf_counter()
    await way(store, source, count)
    seconds = time.perf_counter() - began
    await asyncio.to_thread(store.close)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.store", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--observations", type=int, default=300_000, help="(default: 300000)")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured (default: /tmp)")
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=arguments.folder) as name:
        folder = Path(name)
        bytes_table(folder, arguments.observations)
        writes_table(folder)


if __name__ == "__main__":
    main()
