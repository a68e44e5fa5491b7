"""Writes the dashboards as Grafana reads them: `python -m grafana.generate`, or `make dashboards`."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import monitor_health, overview, probe_detail, slo_month
from grafana.parts import Board, build

FOLDER = Path(__file__).resolve().parent / "dashboards"
BOARDS: dict[str, Board] = {
    "overview": overview.BOARD,
    "slo-month": slo_month.BOARD,
    "probe-detail": probe_detail.BOARD,
    "monitor-health": monitor_health.BOARD,
}
"""File name without its ending to what is in it."""


def text(board: Board) -> str:
    """A dashboard as JSON, the same each time."""
    return json.dumps(build(board), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write every dashboard, and take away those there are no more."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        if path.stem not in BOARDS:
            path.unlink()
    for name, board in BOARDS.items():
        (FOLDER / f"{name}.json").write_text(text(board), encoding="utf-8")


if __name__ == "__main__":
    main()
