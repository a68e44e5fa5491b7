"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

WRITTEN = "Written by the program: `make docs`. Do not edit.\n"


def cell(text: str) -> str:
    """Text that may stand between the bars of a table."""
    return " ".join(text.split()).replace("|", r"\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, a line for each row."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell(one) for one in line) + " |\n" for line in lines)
