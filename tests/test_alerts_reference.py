"""The reference of alerts names what stands; tests/docs holds that it names what is told."""

import re
from pathlib import Path

from monitor.core import standing

ROOT = Path(__file__).resolve().parent.parent


def test_every_alert_that_may_stand_is_in_the_reference() -> None:
    """The second table has each alert that the core makes, with its severity and labels."""
    table = (ROOT / "docs" / "reference" / "alerts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(Monitor\w+)` \| (\w+) \| (.+?) \|", table, re.MULTILINE)
    source = Path(standing.__file__).read_text(encoding="utf-8")
    calls = re.findall(r"_labels\((.+?)\),\n", source, re.DOTALL)
    made: dict[str, tuple[str, set[str]]] = {}
    for call in calls:
        names = re.findall(r'"(Monitor\w+)"', call)
        severities = re.findall(r'"(critical|warning)"', call)
        labels = set(re.findall(r"(\w+)=", call)) | (
            {"incident", "group"} if "**" in call else set()
        )
        made |= {name: (severities[place], labels) for place, name in enumerate(names)}
    documented = {
        name: (severity, set(re.findall(r"`(\w+)`", labels))) for name, severity, labels in rows
    }
    assert len(documented) == len(rows) == 16
    assert documented == made
