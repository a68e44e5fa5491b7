"""The mapping of holdername GUIDs: read from a table, and compared with a register export.

A table comes as text with a header line; every fault is found, each with its line. No network, no
file: whoever calls has read it. Source: domain.md sections 10 and 11.15.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from enum import StrEnum
from uuid import UUID

from monitor.core.endpoint import Endpoint, Service
from monitor.core.holdername import Holdername, Register, Serving
from monitor.errors import ConfigError, Fault

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INACTIVE = frozenset({"closed", "deregistered", "disconnected", "inactive", "retired"})
_PENDING = frozenset({"pending", "registered"})


@dataclass(slots=True)
class _Row:
    """One line of a table; values without the space around them, by the names of the columns."""

    file: str
    line: int
    values: Mapping[str, str]
    faults: list[Fault] = field(repr=False)

    def fault(self, column: str, what: str, cure: str) -> None:
        self.faults.append(Fault(self.file, self.line, None, column, what, cure))

    def needed(self, column: str) -> str | None:
        value = self.values.get(column, "")
        if not value:
            self.fault(column, "is empty", "fill it in")
        return value or None

    def guid(self) -> str | None:
        value = self.needed("guid")
        if value is None:
            return None
        if not _GUID.fullmatch(value.lower()) or UUID(value).int == 0:
            self.fault("guid", f'"{value}" is not a GUID', "copy it from the register")
            return None
        return value.lower()

    def day(self, column: str) -> date | None:
        value = self.values.get(column, "")
        try:
            return date.fromisoformat(value) if value else None
        except ValueError:
            self.fault(column, f'"{value}" is not a date', "write it as YYYY-MM-DD")
            return None


_ALIASES = {
    "holdername_guid": "guid",
    "scheme_name": "name",
    "endpoint": "endpoint_url",
    "url": "endpoint_url",
}
"""Other names of columns, as spreadsheets for MaPS have them."""


def _rows(text: str, file: str, needed: Iterable[str], known: Iterable[str]) -> list[_Row]:
    """The lines of a table that hold anything. Raises ConfigError if its columns are wrong."""
    faults: list[Fault] = []
    reader = csv.reader(text.removeprefix("\ufeff").splitlines(), strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        what = f"is not CSV: {error}"
        cure = "save it as CSV, with commas"
        raise ConfigError([Fault(file, reader.line_num, None, "", what, cure)]) from None
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        cure = f"begin it with the line {','.join(known)}"
        raise ConfigError([Fault(file, None, None, "", "is empty", cure)])
    number, header = lines[0]
    names = [_ALIASES.get(name.lower(), name.lower()) for name in header]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.append(Fault(file, number, None, name, "is there twice", "keep one column"))
    for name in names:
        if name not in known:
            cure = f"known are {', '.join(known)}"
            faults.append(Fault(file, number, None, name, "is not a known column", cure))
    for name in needed:
        if name not in names:
            faults.append(Fault(file, number, None, name, "is a missing column", "add it"))
    if faults:
        raise ConfigError(faults)
    found = []
    for number, cells in lines[1:]:
        row = _Row(file, number, dict(zip(names, cells, strict=False)), faults)
        if len(cells) > len(names):
            row.fault("", f"has {len(cells)} cells for {len(names)} columns", "put texts in quotes")
        found.append(row)
    return found


def _raise_any(rows: Iterable[_Row]) -> None:
    for row in rows:
        if row.faults:
            raise ConfigError(sorted(row.faults, key=lambda fault: fault.line or 0))


# -- the mapping as a table ------------------------------------------------------------------------

_MAPPING = ("guid", "name", "endpoints", "from", "until")


def read_mapping(
    text: str, file: str, endpoints: Mapping[str, Endpoint], taken: Iterable[str] = ()
) -> tuple[Holdername, ...]:
    """The holdernames of a table with the columns guid, name, endpoints, from and until.

    Ids of endpoints are parted by `;` or spaces; a holdername may have several lines. `taken` are the
    GUIDs that are configured already. Raises ConfigError with every fault.
    """
    rows = _rows(text, file, ("guid", "name", "endpoints", "from"), _MAPPING)
    taken = set(taken)
    names: dict[str, tuple[str, int]] = {}
    serves: dict[str, list[Serving]] = {}
    for row in rows:
        guid, name = row.guid(), row.needed("name")
        serving = _serving(row, endpoints)
        if guid is None or name is None:
            continue
        if guid in taken:
            row.fault("guid", f"{guid} is configured already", "remove one of the two")
        first = names.setdefault(guid, (name, row.line))
        if first[0] != name:
            what = f'{guid} is "{first[0]}" in line {first[1]} and "{name}" here'
            row.fault("name", what, "give it one name")
        if serving is None:
            continue
        if any(_clash(serving, other) for other in serves.get(guid, ())):
            what = f"{guid} has another line for these endpoints from {serving.start}"
            row.fault("endpoints", what, "remove one of them")
        serves.setdefault(guid, []).append(serving)
    _raise_any(rows)
    return tuple(Holdername(guid, name, tuple(serves[guid])) for guid, (name, _) in names.items())


def _serving(row: _Row, endpoints: Mapping[str, Endpoint]) -> Serving | None:
    """What one line says of who serves; None if it cannot be read."""
    before = len(row.faults)
    ids = tuple(dict.fromkeys(re.split(r"[;\s]+", row.values.get("endpoints", "").strip("; "))))
    if ids == ("",):
        row.fault("endpoints", "is empty", "name at least one endpoint by its id")
    for name in filter(None, ids):
        if name not in endpoints:
            row.fault("endpoints", f'there is no endpoint "{name}"', _nearest(name, endpoints))
        elif not endpoints[name].live:
            row.fault("endpoints", f"{name} is a test endpoint", "name live endpoints")
    start = row.day("from")
    if start is None and not row.values.get("from"):
        row.fault("from", "is empty", "give the first UK date, as YYYY-MM-DD")
    until = row.day("until")
    if start is not None and until is not None and until <= start:
        row.fault("until", f"{until} is not after {start}", "correct one of the two")
    if len(row.faults) > before or start is None:
        return None
    return Serving(ids, start, until)


def _clash(one: Serving, other: Serving) -> bool:
    """Two rows of one day for one endpoint: which of them holds nobody could tell."""
    return one.start == other.start and not set(one.endpoints).isdisjoint(other.endpoints)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else "name one of the configuration"


def mapping_yaml(holdernames: Iterable[Holdername]) -> str:
    """The mapping as a file for `include:`. Texts are quoted as JSON, which YAML reads alike."""
    lines = ["holdernames:"]
    for one in holdernames:
        lines.append(f"  - guid: {one.guid}")
        lines.append(f"    name: {json.dumps(one.name)}")
        lines.append("    serves:")
        for row in one.serves:
            until = "" if row.until is None else f", until: {row.until}"
            listed = ", ".join(row.endpoints)
            lines.append(f"      - {{endpoints: [{listed}], from: {row.start}{until}}}")
    return "\n".join(lines) + "\n"


# -- the register ----------------------------------------------------------------------------------

_EXPORT = ("guid", "name", "service", "endpoint_url", "status")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the register says: which URL (or id of an endpoint) a holdername has for a service.

    `active` None: it is to connect yet.
    """

    guid: str
    name: str
    service: Service
    endpoint: str
    active: bool | None


class Difference(StrEnum):
    """How configuration and register differ about a holdername and a service.

    `missing`: registered, not served by the configuration. `extra`: served, not registered.
    `retired`: served, but no longer active in the register. `wrong_endpoint`: by another one.
    """

    MISSING = "missing"
    EXTRA = "extra"
    RETIRED = "retired"
    WRONG_ENDPOINT = "wrong_endpoint"


@dataclass(frozen=True, slots=True)
class Found:
    """One difference; `configured` are URLs, `registered` is what the register has."""

    kind: Difference
    guid: str
    name: str
    service: Service
    configured: tuple[str, ...]
    registered: tuple[str, ...]


def read_register(text: str, file: str) -> tuple[Entry, ...]:
    """The lines of a register export: guid, name, service, endpoint_url, and status if it has one.

    Columns may also be called holdername_guid, scheme_name and url. A status such as Inactive says
    that the holdername is retired, Pending that it is to connect; any other, or none, that it is
    active. Raises ConfigError with every fault.
    """
    rows = _rows(text, file, ("guid", "service", "endpoint_url"), _EXPORT)
    found: dict[tuple[str, Service, str], Entry] = {}
    for row in rows:
        guid, url, service = row.guid(), row.needed("endpoint_url"), _service(row)
        if guid is None or url is None or service is None:
            continue
        if (guid, service, url) in found:
            row.fault("guid", f"{guid} has this {service} endpoint twice", "remove one")
        status = row.values.get("status", "").lower()
        active = None if status in _PENDING else status not in _INACTIVE
        name = row.values.get("name", "")
        found[guid, service, url] = Entry(guid, name, service, url, active)
    _raise_any(rows)
    return tuple(found.values())


def _service(row: _Row) -> Service | None:
    value = row.needed("service")
    if value is None:
        return None
    try:
        return Service(re.sub(r"[\s_]+", "-", value.lower()))
    except ValueError:
        row.fault("service", f'"{value}" is no service', "write find, view or pat-refresh")
        return None


def reconcile(register: Register, entries: Iterable[Entry], now: datetime) -> list[Found]:
    """Where the mapping in force at an instant differs from the register, sorted.

    Services that the export does not speak of at all are left out of it.
    """
    listed: dict[tuple[str, Service], list[Entry]] = {}
    for entry in entries:
        listed.setdefault((entry.guid, entry.service), []).append(entry)
    services = {service for _, service in listed}
    served = dict(_served(register, now, services))
    found = []
    for guid, service in sorted(listed.keys() | served.keys()):
        ids = served.get((guid, service), frozenset())
        difference = _compared(register, listed.get((guid, service), []), ids)
        if difference is not None:
            names = [entry.name for entry in listed.get((guid, service), ()) if entry.name]
            known = register.holdernames.get(guid)
            name = known.name if known is not None else next(iter(names), "")
            found.append(Found(difference[0], guid, name, service, *difference[1:]))
    return found


def _served(
    register: Register, now: datetime, services: set[Service]
) -> Iterator[tuple[tuple[str, Service], frozenset[str]]]:
    for guid, service in register.holdername_series():
        for period in register.serving(guid, service):
            if service in services and now in period.interval:
                yield (guid, service), period.names


def _compared(
    register: Register, entries: list[Entry], ids: frozenset[str]
) -> tuple[Difference, tuple[str, ...], tuple[str, ...]] | None:
    """How the endpoints that serve differ from the entries of the register, if they do."""
    active = [entry for entry in entries if entry.active]
    urls = tuple(sorted(register.endpoints[name].url for name in ids))
    registered = tuple(sorted(entry.endpoint for entry in active or entries))
    if not ids:
        return (Difference.MISSING, (), registered) if active else None
    if not entries:
        return Difference.EXTRA, urls, ()
    if not active:
        # One that is to connect and is served already is no difference yet.
        retired = all(entry.active is False for entry in entries)
        return (Difference.RETIRED, urls, registered) if retired else None
    by_id = {name: register.endpoints[name].url for name in ids}
    if {by_id.get(each, each) for each in registered} != set(urls):
        return Difference.WRONG_ENDPOINT, urls, registered
    return None
