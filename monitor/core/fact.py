"""Facts: what happened and when we learned it. Appended, never changed.

A stored fact is plain data: `type` names its shape, `body` carries it. The shapes of the facts file
(contract, "Facts file") and those that only the daemon writes share this one form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Fact:
    """`at` is when we learned of it; `body` holds JSON values only, `at` and `type` excluded."""

    at: datetime
    type: str
    body: Mapping[str, Any]
