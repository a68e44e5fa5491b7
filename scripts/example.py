#!/usr/bin/env python3
"""Lay out a worked example as files that `monitor replay` reads: NAME.yaml and NAME.jsonl, here.

Usage: scripts/example.py NAME. The examples are tests/scenarios/vectors; without a name they are listed.
"""

import json
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "scenarios" / "vectors"


def main(names: list[str]) -> None:
    if len(names) != 1 or not (VECTORS / f"{names[0]}.json").is_file():
        known = "\n  ".join(path.stem for path in sorted(VECTORS.glob("*.json")))
        sys.exit(f"usage: scripts/example.py NAME, one of:\n  {known}")
    case = json.loads((VECTORS / f"{names[0]}.json").read_text(encoding="utf-8"))
    lines = "".join(json.dumps(fact) + "\n" for fact in case["facts"])
    Path(f"{names[0]}.jsonl").write_text(lines, encoding="utf-8")
    Path(f"{names[0]}.yaml").write_text(json.dumps(case["config"], indent=1), encoding="utf-8")


main(sys.argv[1:])
