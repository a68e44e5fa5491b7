"""Which pages there are, and what makes each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from monitor.cli.docs import reference as commands
from scripts.reference.configuration import configuration
from scripts.reference.exits import exits
from scripts.reference.facts import facts
from scripts.reference.http import http
from scripts.reference.reasons import reasons

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"

PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "commands.md": commands,
        "configuration.md": configuration,
        "exit-codes.md": exits,
        "facts.md": facts,
        "http.md": http,
        "reasons.md": reasons,
    }
)
"""File to what makes its text."""
