"""Cases worked by hand, in `tests/scenarios/vectors/`, one JSON file each.

A file holds `why` (what it shows and how its figures come about), `config` (as parsed from YAML),
`step` (the coarsest grid all its instants lie on, in seconds), `until`, `facts` (the lines of a
facts file) and `expected`: an excerpt of what `monitor replay FACTS --until T --json` prints. Each
list of the excerpt is complete and in order; each object names only the keys worth checking.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "scenarios" / "vectors"
PATHS = sorted(FOLDER.glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    """One case, as its file says it."""
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return case


def differences(expected: Any, actual: Any, where: str = "") -> list[str]:
    """Where a document differs from an excerpt of it, one line each; empty if it agrees."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = []
        for key, value in expected.items():
            place = f"{where}.{key}"
            if key in actual:
                found += differences(value, actual[key], place)
            else:
                found.append(f"{place}: missing")
        return found
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return [f"{where}: {len(expected)} expected, {len(actual)} found: {actual}"]
        pairs = enumerate(zip(expected, actual, strict=True))
        return [line for n, (a, b) in pairs for line in differences(a, b, f"{where}[{n}]")]
    return [] if expected == actual else [f"{where}: {expected!r} expected, {actual!r} found"]
