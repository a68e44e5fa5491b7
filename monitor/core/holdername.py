"""Which holdername GUIDs an endpoint serves, by effective date (domain.md section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Serving:
    """One row of the mapping: these endpoints serve the holdername from a UK date on.

    It holds until `until` (that day excluded), or until a later row of the same holdername names an
    endpoint of the same service.
    """

    endpoints: tuple[str, ...]
    start: date
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Holdername:
    """One holdername GUID: the unit in which downtime is notified and reported (seed-000).

    `scheme_year_end` is (month, day); records are kept six years from it (SI 2022/1220 reg 28).
    """

    guid: str
    name: str
    serves: tuple[Serving, ...]
    scheme_year_end: tuple[int, int] = (12, 31)
