"""Observations per second of `monitor replay`, the whole command: start, read, judge, print.

python -m benchmarks.replay
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.common import machine, print_table, say

START = datetime(2026, 3, 1, tzinfo=UTC)
INTERVAL = timedelta(seconds=30)
FAILURES = ("connect_refused", "response_timeout", "status_5xx", "tls_handshake")


def observations(endpoints: int, count: int) -> Iterator[dict[str, Any]]:
    """A file's worth in order of time: mostly up, with blips, outages and some time unseen."""
    chance = random.Random(1)
    failing = [0] * endpoints
    for number in range(count):
        slot, place = divmod(number, endpoints)
        if failing[place] == 0 and chance.random() < 0.002:
            failing[place] = chance.choice((1, 2, 8, 40))
        result, reason = "up", "ok"
        if failing[place]:
            failing[place] -= 1
            result, reason = "down", chance.choice(FAILURES)
        elif chance.random() < 0.002:
            result, reason = chance.choice((("impaired", "slow"), ("local", "local_network")))
        at = START + slot * INTERVAL + place * INTERVAL / endpoints
        yield {
            "type": "observation",
            "at": _text(at),
            "endpoint": f"view-{place}",
            "result": result,
            "reason": reason,
        }


def declaration(number: int, endpoints: int) -> dict[str, Any]:
    """A planned window of two hours, told in time."""
    start = START + timedelta(hours=7 * number)
    told = _text(START - timedelta(days=14, minutes=-number))
    return {
        "type": "declaration",
        "at": told,
        "id": f"D-{number}",
        "kind": "planned",
        "notified_at": told,
        "start": _text(start),
        "end": _text(start + timedelta(hours=2)),
        "endpoints": [f"view-{number % endpoints}"],
        "reason": "upgrade",
        "author": "benchmark",
    }


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def write_facts(path: Path, endpoints: int, count: int) -> None:
    with path.open("w") as file:
        for number in range(20):
            file.write(json.dumps(declaration(number, endpoints)) + "\n")
        for line in observations(endpoints, count):
            file.write(json.dumps(line) + "\n")


def write_configuration(folder: Path, endpoints: int) -> Path:
    lines = ["endpoints:"]
    for number in range(endpoints):
        lines.append(
            f"  - {{id: view-{number}, service: view, url: 'https://host-{number}.example/view',"
            f" identity: live, connected_from: {START:%Y-%m-%d}, group: dc-{number % 5}}}"
        )
    lines.append("identities: {live: {pack: unused, trust: system}}")
    path = folder / "monitor.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def replay(configuration: Path, facts: Path) -> tuple[float, float, dict[str, Any]]:
    """Wall seconds, CPU seconds and the account."""
    until = _text(START + timedelta(days=31))
    command = [sys.executable, "-m", "monitor", "replay", str(facts), "-c", str(configuration)]
    began, before = time.monotonic(), os.times()
    done = subprocess.run([*command, "--until", until, "--json"], stdout=subprocess.PIPE)
    wall, after = time.monotonic() - began, os.times()
    if done.returncode != 0:
        sys.exit(f"monitor replay ended with {done.returncode}")
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return wall, cpu, json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.replay", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--observations", type=int, default=100_000, help="(default: 100000)")
    parser.add_argument("--endpoints", type=int, nargs="+", default=[1, 20, 200])
    parser.add_argument("--rounds", type=int, default=3, help="the best counts (default: 3)")
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    rows = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        for endpoints in arguments.endpoints:
            facts = folder / "facts.jsonl"
            write_facts(facts, endpoints, arguments.observations)
            configuration = write_configuration(folder, endpoints)
            runs = [replay(configuration, facts) for _ in range(arguments.rounds)]
            wall, cpu = min(run[0] for run in runs), min(run[1] for run in runs)
            outages = len(runs[0][2]["outages"])
            say(f"{endpoints} endpoints: {wall:.2f} s, {outages} outages")
            rate = arguments.observations / wall
            rows.append((endpoints, outages, f"{wall:.2f}", f"{cpu:.2f}", f"{rate:,.0f}"))
    print(f"`monitor replay`, {arguments.observations:,} observations and 20 declarations:\n")
    print_table(("endpoints", "outages", "s", "CPU s", "observations/s"), rows)


if __name__ == "__main__":
    main()
