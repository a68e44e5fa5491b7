"""What is probed: an endpoint's identity, its expectations and its cadence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

HYPERCARE = timedelta(days=14)
"""After connection PDP watches an endpoint's stability for two weeks (seed-003)."""


class Service(StrEnum):
    """The three kinds of endpoint that a connected organisation registers (seed-004)."""

    FIND = "find"
    VIEW = "view"
    PAT_REFRESH = "pat-refresh"


class Environment(StrEnum):
    """Only `live` endpoints are accounted; `test` endpoints are watched (accounting 1)."""

    LIVE = "live"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often an endpoint is probed and how many observations confirm (accounting 2).

    `gap_after`: a silence longer than this is a gap; the last result then holds for one `interval`.
    """

    interval: timedelta
    timeout: timedelta
    recheck_interval: timedelta
    confirm_down: int
    confirm_up: int
    gap_after: timedelta


@dataclass(frozen=True, slots=True)
class Expectation:
    """The request to send and the answers that count as up (domain.md section 3).

    `statuses` are HTTP status codes that read as up. `refusals` are texts, matched without regard to
    case in the first bytes of the body, by which a gateway refuses our certificate after a good
    handshake (nginx). `asset` is the asset id a View probe asks for; None: a fresh random one.
    """

    method: str
    statuses: frozenset[int]
    impaired_above: timedelta
    refusals: tuple[str, ...]
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    asset: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One registered endpoint. `id` is stable for ever; the URL may change under it.

    `trust` is `system`, `pack`, or the path of a PEM bundle against which the server is verified;
    None leaves it to the identity. For `hypercare` after its connection it is probed every
    `hypercare_interval` (None: as ever). `security_every` is how often it is asked what it must
    refuse; None: never.
    """

    id: str
    service: Service
    url: str
    environment: Environment
    identity: str
    group: str
    cadence: Cadence
    expectation: Expectation
    connected_from: date | None = None
    disconnected_on: date | None = None
    trust: str | None = None
    hypercare: timedelta = HYPERCARE
    hypercare_interval: timedelta | None = None
    security_every: timedelta | None = None

    @property
    def host(self) -> str:
        """Host name of the URL, lower case, without the port."""
        return urlsplit(self.url).hostname or ""

    @property
    def live(self) -> bool:
        return self.environment is Environment.LIVE
