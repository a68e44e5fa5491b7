"""The reference of alerts names what the program tells."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_alert_of_the_reference_is_told_somewhere() -> None:
    """Each type in the table is a text in the source, and each stands there once."""
    table = (ROOT / "docs" / "reference" / "alerts.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE)
    source = "".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "monitor").rglob("*.py"))
    )
    assert len(named) == len(set(named)) > 20
    assert [name for name in named if f'"{name}"' not in source] == []
