"""docs/reference/exit-codes.md, from the program's codes and its tree of errors."""

from __future__ import annotations

import inspect

from monitor import errors
from monitor.cli import common
from scripts.reference.tables import WRITTEN, table

MEANINGS = {
    "GOOD": ("done and good", "nothing"),
    "NOT_GOOD": (
        "done and not good",
        "read what it says: a probe was not up, a check found faults, the notice is too short, a window"
        " would not do, a chain is broken; what was to be recorded is recorded all the same",
    ),
    "WRONG_USE": (
        "wrong use, or a configuration, identity or file that cannot be read",
        "say it differently, or correct what is named; nothing was changed",
    ),
    "NO_STORE": (
        "the store could not be used, or the daemon that holds it does not answer",
        "see whether the disk is full and who may read it; `monitor store check`",
    ),
    "INTERRUPTED": (
        "interrupted by Ctrl-C",
        "nothing; a write that was under way is whole or not there",
    ),
}
"""Constant of `monitor.cli.common` to what it means and what to do."""


def exits() -> str:
    """The page."""
    rows = [
        (f"`{getattr(common, name)}`", meaning, cure) for name, (meaning, cure) in MEANINGS.items()
    ]
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n")[1]
    return (
        f"# Exit codes\n\n{WRITTEN}\nOf every command. What is printed for people goes to standard error unless it is"
        " the answer itself; with `--json`\nstandard output holds one JSON document and nothing else.\n\n"
        + table(("code", "means", "what to do"), rows)
        + f"\nWhich error leads to which code:\n\n```text\n{tree}\n```\n"
    )
