"""What was acknowledged is there after a kill at any moment, and the file is sound."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from monitor.adapters.chain import digests, fact_document, links
from monitor.adapters.store import SqliteStore
from monitor.core.ledger import Chain

ROOT = Path(__file__).parents[2]
KILLS = 25

# Commits under load from many tasks, and prints each number only once its commit has returned.
# Each item is an observation, a fact, a span and an event: all must be there, or none.
WRITER = """
import asyncio, itertools, os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from monitor.adapters.store import SqliteStore
from monitor.core.alert import Event
from monitor.core.fact import Fact
from monitor.core.verdict import Observation, Reason, Result
from monitor.ports import Change, Sample, SpanRow

T0 = datetime(2026, 3, 1, tzinfo=UTC)
numbers = itertools.count(int(sys.argv[2]))

def change(n):
    at = T0 + timedelta(seconds=n)
    end = at + timedelta(seconds=1)
    name = f"e{n % 40}"
    return Change(
        samples=[Sample(Observation(name, at, Result.UP, Reason.OK), n, 401)],
        facts=[Fact(at, "item", {"n": n, "text": "x" * (n % 997)})],
        spans=[SpanRow(name, at, end, "down" if n % 3 else "up")],
        events=[Event(at, "test", name, {"n": n})],
        receivers=["ops"],
    )

async def work(store):
    while True:
        n = next(numbers)
        await store.commit(change(n))
        os.write(1, b"%d\\n" % n)

async def main():
    with SqliteStore.open(Path(sys.argv[1])) as store:
        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(work(store))
            os.write(1, b"ready\\n")

asyncio.run(main())
"""


@dataclass
class Run:
    acknowledged: set[int]
    errors: str


def run_and_kill(path: Path, first: int, seconds: float) -> Run:
    """Let a writer work, from its first commit on, for so long, then SIGKILL it."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path, str(first)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=ROOT,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        output = b""
        while b"\n" not in output:
            assert select.select([writer.stdout], [], [], 30)[0], "the writer did not start"
            chunk = os.read(writer.stdout.fileno(), 65536)
            assert chunk, writer.stderr.read().decode()
            output += chunk
        # Read on all the while, or a full pipe would stop the writer between commits.
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([writer.stdout], [], [], left)[0]:
                output += os.read(writer.stdout.fileno(), 65536)
        writer.send_signal(signal.SIGKILL)
        output += writer.stdout.read()
        errors = writer.stderr.read().decode()
    # A kill may cut the last line short; what was not printed whole was not acknowledged.
    lines = output[: output.rfind(b"\n") + 1].split()
    return Run({int(line) for line in lines if line != b"ready"}, errors)


def stored(path: Path) -> set[int]:
    """The items in the store, each found whole: read without writing, as after any crash."""
    with SqliteStore.open(path, read_only=True) as store:
        assert store.check() == []
        facts = {fact.body["n"] for _, fact in store.facts()}
        assert {sample.duration_us for sample in store.iter_observations()} == facts
        assert sum((s.end - s.start).total_seconds() for s in store.spans()) == len(facts)
        counts = store.counts()
        assert counts["events"] == counts["deliveries"] == len(facts)
        with store.frozen() as connection:
            chain = Chain()
            for seq, at, kind, body, hashed in links(connection):
                chain.take(seq, fact_document(at, kind, json.loads(body)), hashed)
            chain.compare(digests(connection, chain.pruned))
        assert chain.findings == []
    return facts


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """Killed again and again at random moments, the store keeps every acknowledged item whole."""
    path = tmp_path / "m.db"
    moments = random.Random(20260301)
    acknowledged: set[int] = set()
    found: set[int] = set()
    for _ in range(KILLS):
        first = max(found, default=0) + 1
        run = run_and_kill(path, first, moments.uniform(0, 0.15))
        assert run.errors == ""
        acknowledged |= run.acknowledged
        found = stored(path)
        assert acknowledged <= found
    assert len(acknowledged) > KILLS * 10
