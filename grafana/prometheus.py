"""A real Prometheus on this machine, and what it answers. For tests and pictures of the dashboards."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

PATIENCE = 30.0
"""Seconds that a start may take on a busy machine."""
AT_ONCE = "14s"
"""How long a sample stands for its series. A real scrape marks what is gone as stale at once; a
file cannot, so no sample may outlive the 15 s to the next."""


@dataclass(frozen=True, slots=True)
class Series:
    """One answer: labels, and (seconds since 1970, value as Prometheus wrote it), in order."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, str]]

    @property
    def value(self) -> float:
        """The last value."""
        return float(self.points[-1][1])

    @property
    def finite(self) -> bool:
        """Whether every value is a number that can be drawn."""
        return all(math.isfinite(float(value)) for _, value in self.points)


class Refused(Exception):
    """Prometheus would not answer; its words."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs, and where."""

    url: str

    def at(self, expr: str, instant: datetime) -> list[Series]:
        """The answer for one instant. Raises Refused."""
        found = self._ask("query", query=expr, time=f"{instant.timestamp():.3f}")
        if found["resultType"] == "scalar":
            at, value = found["result"]
            return [Series({}, [(at, value)])]
        return [Series(one["metric"], [tuple(one["value"])]) for one in found["result"]]

    def over(self, expr: str, start: datetime, end: datetime, step: timedelta) -> list[Series]:
        """The answer for a range. Raises Refused."""
        found = self._ask(
            "query_range",
            query=expr,
            start=f"{start.timestamp():.3f}",
            end=f"{end.timestamp():.3f}",
            step=f"{step.total_seconds():g}",
        )
        return [
            Series(one["metric"], [tuple(point) for point in one["values"]])
            for one in found["result"]
        ]

    def _ask(self, path: str, **arguments: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise Refused(f"{arguments['query']}: {error.read().decode()}") from error


def filled(file: Path, folder: Path) -> None:
    """Make the storage of a Prometheus from samples with instants, in the text of OpenMetrics."""
    promtool = shutil.which("promtool")
    if promtool is None:
        raise FileNotFoundError("promtool is not installed; on Debian it comes with prometheus")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(file), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Refused(done.stderr)


@contextmanager
def prometheus(
    folder: Path, port: int, *, configuration: str = "{}", lookback: str = AT_ONCE
) -> Iterator[Prometheus]:
    """A Prometheus over `folder`, once it is ready; ended on the way out."""
    program = shutil.which("prometheus")
    if program is None:
        raise FileNotFoundError("prometheus is not installed; on Debian: apt install prometheus")
    folder.mkdir(exist_ok=True)
    (folder / "prometheus.yml").write_text(configuration, encoding="utf-8")
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder}",
                "--storage.tsdb.retention.time=100y",
                f"--query.lookback-delta={lookback}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, folder / "prometheus.log")
            yield Prometheus(url)
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise Refused(f"Prometheus did not start: {log.read_text(encoding='utf-8')[-2000:]}")
