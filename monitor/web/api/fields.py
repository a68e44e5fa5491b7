"""The arguments of operations as members of a request: what they mean, and what they may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.operations import OPERATIONS, Argument, Sort

LONGEST_TEXT = 4_000
MOST_NAMES = 10_000
LONGEST_NAME = 256
LARGEST_COUNT = (1 << 53) - 1
"""The largest whole number that every JSON reader keeps exactly."""
INSTANT = "2026-03-17T00:00:00Z"

SERVICES = ("find", "view", "pat-refresh")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a member is for; `choices` are all that it may be, `longest` is in characters."""

    text: str
    example: Any = None
    choices: tuple[str, ...] = ()
    longest: int = LONGEST_TEXT
    pattern: str | None = None


_WHEN = "ISO 8601; without an offset it is UK time"
_MONTH = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

MEANINGS: Mapping[str, Meaning] = {
    "id": Meaning("name it so; left out: the next free number", "D-7", longest=64),
    "at": Meaning(f"when it was done ({_WHEN}); left out: now", INSTANT, longest=64),
    "start": Meaning(f"the beginning ({_WHEN})", INSTANT, longest=64),
    "end": Meaning(f"the end, itself excluded ({_WHEN})", "2026-03-17T04:00:00Z", longest=64),
    "endpoints": Meaning("ids of endpoints; none, or left out: all", ["view-main"]),
    "holdernames": Meaning(
        "holdername GUIDs; none, or left out: all", ["816f82b5-8e4f-407b-8c54-afb179c4af5a"]
    ),
    "services": Meaning("services; none, or left out: all", ["view"], SERVICES),
    "service": Meaning("which service of a holdername", "view", SERVICES),
    "reason": Meaning("why, in a sentence", "database upgrade"),
    "ticket": Meaning("MaPS' reference", "PDP-1234"),
    "kind": Meaning("what kind of downtime it is", "planned", ("planned", "emergency", "maps")),
    "notified_at": Meaning(
        f"when MaPS was told ({_WHEN}); left out: not yet, a draft", INSTANT, longest=64
    ),
    "technical_change": Meaning("MaPS' reference of the technical change", "TC-12"),
    "change_class": Meaning(
        "how much the technical change may affect",
        "minor",
        ("minimal", "minor", "moderate", "significant"),
    ),
    "override_freeze": Meaning("why the window may lie in a change freeze; it is recorded"),
    "actual_start": Meaning(f"when the work began ({_WHEN})", INSTANT, longest=64),
    "actual_end": Meaning(f"when the work ended ({_WHEN})", "2026-03-17T03:10:00Z", longest=64),
    "calendar": Meaning("the text of MaPS' calendar", longest=1 << 20),
    "format": Meaning("how the calendar is written", "ics", ("ics", "csv")),
    "mapping": Meaning(
        "CSV with guid, name, endpoints (ids, parted by ;), from, until", longest=1 << 20
    ),
    "register": Meaning(
        "the register's export: CSV with guid, name, service, endpoint_url", longest=1 << 20
    ),
    "month": Meaning("a calendar month", "2026-03", longest=7, pattern=_MONTH),
    "by": Meaning(
        "figures per endpoint, or per holdername", "endpoint", ("endpoint", "holdername")
    ),
    "endpoint": Meaning("the id of an endpoint", "view-main", longest=LONGEST_NAME),
    "state": Meaning("only those in this state", "open", ("open", "restored", "closed")),
    "all": Meaning("also those that are over", True),
    "text": Meaning("what is known now", "restarting the listener"),
    "next_update_at": Meaning(f"when MaPS will hear more ({_WHEN})", INSTANT, longest=64),
    "cause": Meaning("what caused it", "the listener crashed"),
    "location": Meaning("where the cause lay", "own", ("own", "federated", "maps")),
    "expected_resolution": Meaning(
        f"when service should be back, for the comments ({_WHEN})", INSTANT, longest=64
    ),
    "late": Meaning("say that the submission is late", False),
    "receiver": Meaning("only this receiver; left out: all", "ops", longest=LONGEST_NAME),
    "ids": Meaning("numbers of dead alerts", [3]),
    "reference": Meaning("the reference of the technical change that explains it", "TC-12"),
    "limit": Meaning("how many rows at most", 100),
    "weeks": Meaning("how many weeks, from the Monday of this one", 8),
    "offset": Meaning("how many rows to pass over", 0),
    "environment": Meaning("only endpoints of this environment", "live", ("live", "test")),
    "after": Meaning("only facts numbered above this", 0),
    "head": Meaning(
        "a hash kept elsewhere that the chain must hold", longest=64, pattern="^[0-9a-f]{64}$"
    ),
}

SPECIAL: Mapping[tuple[str, str], Meaning] = {
    ("report", "format"): Meaning(
        "formats to make; left out: all that can be made here",
        ["html"],
        ("html", "pdf", "xlsx", "csv", "json"),
    ),
    ("overview", "service"): Meaning("only endpoints of this service", "view", SERVICES),
    ("overview", "state"): Meaning(
        "only endpoints in this state; trouble: any but up",
        "trouble",
        ("trouble", "up", "unconfirmed", "impaired", "down", "unknown"),
    ),
    ("overview", "text"): Meaning(
        "only endpoints whose id, address, group and service hold all of these words", "west"
    ),
    ("explain", "id"): Meaning(
        "an endpoint, a holdername GUID, an incident, an assertion or a declaration", "view-main"
    ),
    ("explain", "at"): Meaning(f"the instant to explain ({_WHEN})", INSTANT, longest=64),
    ("outage.assert", "id"): Meaning(
        "name it so, or correct the one of that name; left out: the next free one",
        "A-2",
        longest=64,
    ),
    ("holdername.list", "at"): Meaning(
        "as of the start of this UK date; left out: now", "2026-03-17", longest=10, pattern=_DAY
    ),
    ("holdername.reconcile", "at"): Meaning(
        "as of the start of this UK date; left out: now", "2026-03-17", longest=10, pattern=_DAY
    ),
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with one member of a request."""

    name: str
    what: str


def meaning(operation: str, name: str) -> Meaning:
    """What an argument of an operation means."""
    return SPECIAL.get((operation, name)) or MEANINGS[name]


def arguments_of(operation: str, *without: str) -> dict[str, Argument]:
    """The arguments that an operation takes, but for those that are given otherwise."""
    known = OPERATIONS[operation].arguments
    return {name: argument for name, argument in known.items() if name not in without}


def schema_of(operation: str, name: str, argument: Argument) -> dict[str, Any]:
    """The JSON Schema of an argument."""
    said = meaning(operation, name)
    schema = bare(said, argument.sort)
    if not argument.required:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    schema["description"] = said.text
    if said.example is not None:
        schema["examples"] = [said.example]
    return schema


def bare(said: Meaning, sort: Sort) -> dict[str, Any]:
    """The JSON Schema of a member that must be there, without a description."""
    if sort is Sort.FLAG:
        return {"type": "boolean"}
    if sort is Sort.COUNT:
        return {"type": "integer", "minimum": 0, "maximum": LARGEST_COUNT}
    if sort is Sort.NUMBERS:
        items = {"type": "integer", "minimum": 0, "maximum": LARGEST_COUNT}
        return {"type": "array", "maxItems": MOST_NAMES, "items": items}
    if sort is Sort.NAMES:
        one = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
        if said.choices:
            one = {"type": "string", "enum": list(said.choices)}
        return {"type": "array", "maxItems": MOST_NAMES, "items": one}
    if said.choices:
        return {"type": "string", "enum": list(said.choices)}
    found: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": said.longest}
    if said.pattern is not None:
        found["pattern"] = said.pattern
    return found


# -- checking --------------------------------------------------------------------------------------


def faults(
    operation: str, arguments: Mapping[str, Argument], given: Mapping[str, Any]
) -> list[Wrong]:
    """Everything wrong with the members of a request, as their schemas have it."""
    found = [
        Wrong(name, "is not known here; leave it out") for name in given if name not in arguments
    ]
    for name, argument in arguments.items():
        value = given.get(name)
        if value is None:
            if argument.required:
                found.append(Wrong(name, "is missing; give it"))
            continue
        what = _fault(meaning(operation, name), argument.sort, value)
        if what is not None:
            found.append(Wrong(name, what))
    return found


def _fault(said: Meaning, sort: Sort, value: Any) -> str | None:
    if sort is Sort.FLAG:
        return None if isinstance(value, bool) else "must be true or false"
    if sort is Sort.COUNT:
        return None if _is_count(value) else "must be a whole number, 0 or more"
    if not isinstance(value, list):
        if sort is Sort.TEXT and isinstance(value, str):
            return _text_fault(said, value)
        return f"must be a {sort.value}"
    if sort is Sort.TEXT:
        return "must be a text"
    if len(value) > MOST_NAMES:
        return f"has more than {MOST_NAMES:,} members; give fewer"
    if sort is Sort.NUMBERS:
        return None if all(map(_is_count, value)) else "must be a list of whole numbers, 0 or more"
    return _names_fault(said, value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def _text_fault(said: Meaning, value: str) -> str | None:
    if said.choices:
        return None if value in said.choices else f"must be one of {', '.join(said.choices)}"
    if not value:
        return "must not be empty; give it, or leave it out"
    if len(value) > said.longest:
        return f"is longer than {said.longest:,} characters; shorten it"
    if said.pattern is not None and not re.fullmatch(said.pattern.strip("^$"), value):
        example = "" if said.example is None else f", such as {said.example}"
        return f"is not written as {said.pattern.strip('^$')}{example}"
    return None


def _names_fault(said: Meaning, value: list[Any]) -> str | None:
    for one in value:
        if not isinstance(one, str):
            return "must be a list of texts"
        if said.choices and one not in said.choices:
            return f"may name only {', '.join(said.choices)}"
        if not 1 <= len(one) <= LONGEST_NAME:
            return f"names must have 1 to {LONGEST_NAME} characters"
    return None
