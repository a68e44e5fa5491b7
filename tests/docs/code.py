"""What the source of the product says, read as text: nothing is run."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def calls() -> dict[str, list[tuple[str, list[ast.expr]]]]:
    """Name of a function or class to (file, arguments) of each of its calls in the product."""
    found: dict[str, list[tuple[str, list[ast.expr]]]] = {}
    for path in sorted((ROOT / "monitor").rglob("*.py")):
        file = path.relative_to(ROOT / "monitor").as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found.setdefault(_name(node.func), []).append((file, node.args))
    return found


def arguments(callee: str, place: int) -> Iterator[tuple[str, ast.expr]]:
    """(file, argument) of every call of a function or class of that name in the product."""
    for file, given in calls().get(callee, ()):
        if len(given) > place:
            yield file, given[place]


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def texts(callee: str, place: int) -> tuple[set[str], set[tuple[str, str]]]:
    """The constant texts among these arguments, and (file, expression) of all others."""
    constant: set[str] = set()
    others: set[tuple[str, str]] = set()
    for file, argument in arguments(callee, place):
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            constant.add(argument.value)
        else:
            others.add((file, ast.unparse(argument)))
    return constant, others
