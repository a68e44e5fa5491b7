"""Walks through a document: runs its `sh` blocks in order, and compares what they print.

    ```sh              run in the document's folder of the test, with `set -e`
    ```sh again        the same, but may be run again until it prints what is shown (a minute at most)
    ```sh fails        the same as the first, but its exit status must not be 0
    ```output          what the block before printed, errors included, to the letter
    ```output like     the same, but numbers (instants, durations, percentages) may differ

In what is shown `...` stands for anything on a line, and a line of `...` alone for any lines. `make run`
starts the sandbox and the daemon for the rest of the document. Ports and the days to come are those of
the documents in what is shown; in truth any free ports, and days that are still to come.

A document that is to be walked says so in a comment, `<!-- walked -->`; of others only the commands are
checked. After the walk every fact recorded must be as docs/reference/facts.md says.

`python -m tests.docs.walk FILE...` walks and writes what was printed into each block without a `...`,
so that what a document shows comes from a real run.
"""

from __future__ import annotations

import calendar
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from scripts.reference.facts import SHAPES
from tests.e2e.processes import end, get, wait_for
from tests.tools import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds for which a block of `sh again` is run again."""
KEPT = ("MONITOR_CONFIG", "PATH")
"""What a block may export for those after it."""
MARK = "<!-- walked -->"
NAMES = {"control": 18440, "find-main": 18443, "view-main": 18444, "pat-main": 18445}
LISTEN = 9464
TUESDAY = date(2027, 2, 16)
"""The day of the documents for work to come: the third Tuesday of a month, which no freeze touches."""
AHEAD = timedelta(days=30)

HEX = r"\b(?=[0-9a-f-]*[0-9])[0-9a-f]{4,}(?:-[0-9a-f]{4,})*\b"
"""Serial numbers, fingerprints and UUIDs."""
DAYS = "|".join([*calendar.day_name, *calendar.day_abbr])
MONTHS = "|".join([*calendar.month_name[1:], *calendar.month_abbr[1:]])
_FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: the words after the fence, the text, and where the text lies in the file."""

    words: tuple[str, ...]
    text: str
    start: int
    end: int

    @property
    def line(self) -> str:
        return self.text.strip().splitlines()[0] if self.text.strip() else ""


@dataclass(frozen=True, slots=True)
class Step:
    """A block to run, and the block that shows what it prints, if there is one."""

    run: Block
    shown: Block | None


def blocks(text: str) -> list[Block]:
    """Every fenced block of a document, in order."""
    return [
        Block(tuple(found[1].split()), found[2], found.start(2), found.end(2))
        for found in _FENCE.finditer(text)
    ]


def steps(text: str) -> Iterator[Step]:
    """The blocks to run, each with what it shows."""
    every = blocks(text)
    for place, block in enumerate(every):
        if block.words[:1] != ("sh",):
            continue
        follows = every[place + 1] if place + 1 < len(every) else None
        shown = follows if follows and follows.words[:1] == ("output",) else None
        yield Step(block, shown)


def agrees(shown: Block, printed: str) -> bool:
    """Whether what was printed is what is shown."""
    like = "like" in shown.words
    pattern = _pattern(shown.text, like=like)
    return re.fullmatch(pattern, f"{_plain(printed, like=like)}\n") is not None


def _plain(text: str, *, like: bool) -> str:
    """The text without spaces at ends of lines; if only alike, without numbers and widths."""
    text = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
    if not like:
        return text
    text = re.sub(HEX + r"|\d+([.,:]\d+)*", "0", text.replace("BST", "GMT"))
    text = re.sub(r"\b0[dhms]( 0[dhms])*\b", "0s", text)
    text = re.sub(rf"\b({DAYS}) 0 ({MONTHS})\b", "Monday 0 January", text)
    return re.sub(r"-{2,}", "--", re.sub(r" {2,}", "  ", text))


def _pattern(text: str, *, like: bool) -> str:
    """A regular expression for the text, with `...` for anything."""
    lines = [
        r"(?:[^\n]*\n)*?"
        if line.strip() == "..."
        else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in _plain(text, like=like).splitlines()
    ]
    return "".join(lines)


def tuesday(today: date) -> date:
    """The day that TUESDAY stands for: itself, or once it is too near another third Tuesday.

    >>> tuesday(date(2027, 2, 1))
    datetime.date(2027, 3, 16)
    """
    if today + AHEAD <= TUESDAY:
        return TUESDAY
    day = today + AHEAD
    while not (day.weekday() == 1 and 15 <= day.day <= 21):
        day += timedelta(days=1)
    return day


class Place:
    """A fresh folder in which the documents' commands mean what they say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in NAMES}
        self.listen = free_port()
        program = folder / ".venv" / "bin" / "monitor"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m monitor "$@"\n')
        program.chmod(0o755)
        for name in ("config", "scripts", "docs", "tests/scenarios/vectors"):
            if (ROOT / name).exists():
                shutil.copytree(ROOT / name, folder / name)
        self._settle()

    def _settle(self) -> None:
        """Let the sandbox find the ports that it shall take, as if it had run here before."""
        yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
        (self.folder / ".sandbox").mkdir(mode=0o700)
        (self.folder / ".sandbox" / "sandbox.json").write_text(
            json.dumps(
                {
                    "ports": self.ports,
                    "metrics_asked": f"127.0.0.1:{LISTEN}",
                    "metrics_listen": f"127.0.0.1:{self.listen}",
                    "connected_from": yesterday.isoformat(),
                }
            )
        )

    def truly(self, text: str) -> str:
        """The text with the ports of this place for those of the documents."""
        for name, port in NAMES.items():
            text = text.replace(f":{port}", f":{self.ports[name]}")
        day = tuesday(datetime.now(UTC).date()).isoformat()
        return text.replace(f":{LISTEN}", f":{self.listen}").replace(TUESDAY.isoformat(), day)

    def shown(self, text: str) -> str:
        """The text with the ports of the documents for those of this place, and no folder of it."""
        for name, port in NAMES.items():
            text = text.replace(f":{self.ports[name]}", f":{port}")
        return text.replace(f":{self.listen}", f":{LISTEN}").replace(f"{self.folder}/", "")

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(self.folder / ".venv" / "bin"), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "MONITOR_AUTHOR": "ops",
            "COLUMNS": "110",
        }

    def run(self, text: str, known: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """One block in a shell that keeps what earlier blocks exported (`known`)."""
        return subprocess.run(
            ["sh", "-euc", self.truly(text) + "\nenv -0 >.walk-environment"],
            cwd=self.folder,
            env={**self.environment(), **known},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def exported(self) -> dict[str, str]:
        """What the last block left in its environment."""
        kept = self.folder / ".walk-environment"
        pairs = kept.read_text().split("\0") if kept.exists() else []
        known = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return {name: text for name, text in known.items() if name in KEPT}

    def facts(self) -> list[dict[str, Any]]:
        """What the daemon recorded, as exported."""
        asked = [".venv/bin/monitor", "ledger", "export", "-", "-c", ".sandbox/monitor.yaml"]
        done = subprocess.run(
            asked,
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


def faults_of(facts: Iterable[Mapping[str, Any]]) -> list[str]:
    """What of these facts is not as docs/reference/facts.md says."""
    return [
        f"{fact['type']}: {sorted(fact)}"
        for fact in facts
        if fact["type"] not in SHAPES
        or not set(SHAPES[fact["type"]].fields) <= fact.keys()
        or not fact.keys() <= SHAPES[fact["type"]].names | AROUND
    ]


AROUND = {"type", "at", "seq", "hash"}
"""Fields of every exported fact."""


@contextmanager
def running(place: Place) -> Iterator[Path]:
    """`make run`, as the Makefile does it, once three endpoints are up; what it printed, as a file."""
    said = place.folder / "run.log"
    with said.open("w") as stream:
        process = subprocess.Popen(
            ["scripts/run-sandbox.sh", ".venv/bin/monitor", ".sandbox"],
            cwd=place.folder,
            env=place.environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for("three endpoints up", lambda: _all_up(place))
        yield said
    finally:
        assert end(process) == 0, said.read_text()[-3000:]


def _all_up(place: Place) -> bool:
    token = place.folder / ".sandbox" / "token"
    secret = token.read_text().strip() if token.exists() else None
    status, text = get(f"http://127.0.0.1:{place.listen}/api/v1/status", secret)
    return status == 200 and all(one["state"] == "up" for one in json.loads(text)["endpoints"])


def walk(document: Path, folder: Path) -> list[tuple[Step, str]]:
    """Run a document; each step with what it printed. Raises AssertionError where it is not as shown."""
    place = Place(folder)
    every = list(steps(document.read_text(encoding="utf-8")))
    assert every, f"{document.name} has nothing to run"
    starts = [number for number, step in enumerate(every) if step.run.line == "make run"]
    if not starts:
        return _walked(document, place, every)
    first = starts[0]
    done = _walked(document, place, every[:first])
    with running(place):
        done += _walked(document, place, every[first + 1 :])
    faults = faults_of(place.facts())
    assert not faults, "not as docs/reference/facts.md says: " + "; ".join(faults)
    return done


def _walked(document: Path, place: Place, some: list[Step]) -> list[tuple[Step, str]]:
    done, known = [], place.exported()
    for step in some:
        printed = _printed(document, place, step, known)
        known = {**known, **place.exported()}
        done.append((step, printed))
    return done


def _printed(document: Path, place: Place, step: Step, known: Mapping[str, str]) -> str:
    """What a step prints, once it is what is shown."""
    patience = (15.0 if WRITING else PATIENCE) if "again" in step.run.words else 0.0
    deadline = time.monotonic() + patience
    fails = "fails" in step.run.words
    while True:
        done = place.run(step.run.text, known)
        printed = place.shown(done.stdout)
        late = time.monotonic() >= deadline
        right = (done.returncode != 0) == fails
        good = right and (step.shown is None or agrees(step.shown, printed))
        if good or (WRITING and late and right):
            return printed
        if late:
            raise AssertionError(
                f"{document.name}: {step.run.text}exit {done.returncode}, not as shown:\n{printed}"
            )
        time.sleep(1)


WRITING = False
"""Whether differences are to be written rather than reported."""


def written(text: str, done: list[tuple[Step, str]]) -> str:
    """The document with what was printed in each block that leaves nothing out."""
    for step, printed in reversed(done):
        shown = step.shown
        if shown is not None and "..." not in shown.text:
            lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
            text = text[: shown.start] + "\n".join(lines) + "\n" + text[shown.end :]
    return text


def main(names: list[str]) -> None:
    """Walk through the documents named and write what they print into them."""
    global WRITING
    WRITING = True
    for name in names:
        document = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            done = walk(document, Path(folder))
        document.write_text(written(document.read_text(encoding="utf-8"), done), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
