"""What became of one attempt to deliver an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Accepted:
    """The receiver has it; it is never sent again."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not taken now, but it may be later. `after` is the shortest wait the receiver asked for."""

    error: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The receiver will never take it as it is: trying again cannot help."""

    error: str


Outcome: TypeAlias = Accepted | Retry | Rejected


def counted(outcome: Outcome) -> tuple[str, str]:
    """An outcome as metrics count it (accepted, retry, rejected), and its trouble; empty: none.

    >>> counted(Accepted()), counted(Rejected("answered 404"))
    (('accepted', ''), ('rejected', 'answered 404'))
    """
    if isinstance(outcome, Accepted):
        return "accepted", ""
    return "rejected" if isinstance(outcome, Rejected) else "retry", outcome.error
