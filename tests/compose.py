"""compose.yaml as an engine would read it, for one environment; and paths inside it, here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "compose.yaml"
OWN = {"MONITOR_CONFIG_DIR": "config", "MONITOR_TOKEN_DIR": "config"}
"""The environment of those who bring a configuration; without it, that of the demo."""

_VARIABLE = re.compile(r"\$\{(\w+)(:[-+])([^}]*)\}")


def services(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Each service, with merge keys resolved and variables replaced."""
    return dict(load(environ)["services"])


def load(environ: Mapping[str, str]) -> Any:
    """The whole file."""
    text = FILE.read_text(encoding="utf-8")
    return YAML(typ="safe").load(_VARIABLE.sub(lambda found: _value(found, environ), text))


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    """`${NAME:-default}` and `${NAME:+replacement}`."""
    given = environ.get(found[1], "")
    if found[2] == ":+":
        return found[3] if given else ""
    return given or found[3]


@dataclass(frozen=True)
class Mount:
    """One volume of a service; `bound`: it is a path of the machine, not a named volume."""

    source: str
    target: str
    read_only: bool

    @property
    def bound(self) -> bool:
        return "/" in self.source or self.source in OWN.values()


def mounts(service: Mapping[str, Any]) -> list[Mount]:
    """The volumes of a service."""
    found = []
    for text in service.get("volumes", []):
        source, target, *options = text.split(":")
        found.append(Mount(source, target, "ro" in options))
    return found


def translated(text: str, service: Mapping[str, Any], volumes: Path) -> str:
    """A text with the paths inside a container replaced by those here; volumes are folders."""
    here = {
        mount.target: str((ROOT if mount.bound else volumes) / mount.source)
        for mount in mounts(service)
    }
    longest_first = sorted(map(re.escape, here), key=len, reverse=True)
    return re.sub("|".join(longest_first), lambda found: here[found[0]], text)
