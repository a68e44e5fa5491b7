"""Which notices a change calls for: plain data, delivered by others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One notice. Stored in the transaction of the change that caused it.

    `key` orders: events of one key reach a receiver in the order they were stored (an incident's or a
    declaration's id). `data` holds JSON values only. `type` is one of the contract's event names.
    """

    at: datetime
    type: str
    key: str
    data: Mapping[str, Any]
