"""Incidents: what is open and owed, one incident with every step, and the forms of the steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from monitor.snapshot import Document
from monitor.web.console.acting import Faults, done, filled, form_of, plainly, see, writer
from monitor.web.console.asking import asked
from monitor.web.pages import frame_of, page

PER_PAGE = 25
LONGEST_TEXT = 100
"""Characters of a filter; more finds nothing anyway."""
ATTESTATION = "No data that had been acknowledged was lost."
"""What is attested (accounting 7.4), word for word as MaPS is told it."""
OVER = ("closed", "merged", "void")

STEPS: Mapping[str, tuple[str, ...]] = {
    "acknowledge": (),
    "report": ("ticket", "at"),
    "update": ("text", "next_update_at", "cause", "location"),
    "attest": ("confirm",),
    "close": (),
}
"""Step to the fields of its form."""


# -- the list --------------------------------------------------------------------------------------


async def show_incidents(request: web.Request) -> web.Response:
    """`/incidents`: those not closed, and a page of those that are; `state`, `text` and `page`."""
    found = await asked(request, "incident.list", {"all": True})
    rows = found["incidents"]
    current = [one for one in rows if standing(one) not in OVER]
    current.sort(key=lambda one: (one["state"] != "open", one["deadline"], one["id"]))
    state = request.query.get("state", "")
    text = request.query.get("text", "").strip()[:LONGEST_TEXT]
    over = [one for one in reversed(rows) if standing(one) in OVER and _fits(one, state, text)]
    number = _number(request.query.get("page", ""), len(over))
    shown = over[(number - 1) * PER_PAGE : number * PER_PAGE]
    return page(
        request,
        "incidents.html.j2",
        {
            "now": found["until"],
            "current": [{**one, "owed": list(owed(one, found["until"]))} for one in current],
            "over": [{**one, "standing": standing(one)} for one in shown],
            "all_over": len(over),
            "asked": {"state": state if state in OVER else "", "text": text},
            "number": number,
            "pages": _pages(len(over)),
            "at": lambda number: _address(state, text, number),
        },
    )


def standing(incident: Mapping[str, Any]) -> str:
    """Its state, or why it no longer stands as one of its own."""
    if incident["merged_into"] is not None:
        return "merged"
    return "void" if incident["voided"] is not None else str(incident["state"])


def _fits(incident: Mapping[str, Any], state: str, text: str) -> bool:
    if state in OVER and standing(incident) != state:
        return False
    reported = incident["reported"] or {}
    said = [
        incident["id"],
        incident["group"],
        incident["cause"] or "",
        reported.get("ticket", ""),
        *incident["endpoints"],
        *incident["holdernames"],
    ]
    return text.lower() in "\n".join(said).lower()


def _pages(count: int) -> int:
    return max(1, -(-count // PER_PAGE))


def _number(text: str, count: int) -> int:
    """A page's number; anything that is none is the first, and the last stands for those beyond."""
    good = text.isascii() and text.isdigit() and len(text) < 6
    return min(max(1, int(text)) if good else 1, _pages(count))


def _address(state: str, text: str, number: int) -> str:
    query = {"state": state, "text": text, "page": str(number) if number > 1 else ""}
    return f"/incidents?{urlencode({key: value for key, value in query.items() if value})}#closed"


# -- what is owed ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Owed:
    """One thing to do about an incident. `due`: by when; None with `now` set: as soon as may be."""

    step: str
    text: str
    done: bool = False
    now: bool = False
    due: str | None = None


def owed(incident: Mapping[str, Any], now: str) -> Iterator[Owed]:
    """Everything that an incident needs until it is closed, in the order in which it falls due."""
    acknowledged, reported = incident["acknowledged"], incident["reported"]
    restored = incident["restored_at"] is not None
    is_open = incident["state"] == "open"
    yield Owed("acknowledge", "Look after it", acknowledged is not None, is_open)
    ticket = None if reported is None else reported["ticket"]
    told = "Tell MaPS of it" if ticket is None else f"Tell MaPS of it: ticket {ticket}"
    yield Owed("report", told, reported is not None, now=True)
    yield Owed("", "Restore the service", restored, due=incident["deadline"])
    yield from _comments(incident, now, restored=restored)
    yield Owed("update", "Find the cause", incident["cause"] is not None)
    yield Owed("attest", "Attest that no acknowledged data was lost", bool(incident["attested"]))
    yield Owed("close", "Close it", incident["closed_at"] is not None)


def _comments(incident: Mapping[str, Any], now: str, *, restored: bool) -> Iterator[Owed]:
    """What MaPS is still to be told on the ticket."""
    if incident["closed_at"] is not None or incident["reported"] is None:
        return
    if not restored:
        promised = next_update(incident)
        if promised is not None:
            yield Owed("update", "Tell MaPS more, as promised", due=promised, now=promised <= now)
    elif not _told_since_restored(incident):
        yield Owed("update", "Tell MaPS on the ticket that service is restored", now=True)


def next_update(incident: Mapping[str, Any]) -> str | None:
    """When MaPS was promised to hear more; None once a later note has told more."""
    for update in reversed(incident["updates"]):
        if update["next_update_at"] is not None or update["text"]:
            promised: str | None = update["next_update_at"]
            return promised
    return None


def _told_since_restored(incident: Mapping[str, Any]) -> bool:
    steps = incident["timeline"]
    kinds = [step["type"] for step in steps]
    since = len(kinds) - kinds[::-1].index("incident.restored")
    return any(step["type"] == "incident.updated" and step.get("text") for step in steps[since:])


# -- one incident ----------------------------------------------------------------------------------


async def show_incident(request: web.Request) -> web.Response:
    """`/incidents/ID`; `done` names the step that was just taken."""
    return await _incident(request, taken=request.query.get("done", ""))


async def _incident(
    request: web.Request,
    *,
    taken: str = "",
    step: str = "",
    form: Mapping[str, str] | None = None,
    wrong: Faults | None = None,
) -> web.Response:
    """The page of an incident; `wrong` is what is wrong with the `form` of a `step`."""
    name = request.match_info["id"]
    incident = await asked(request, "incident.show", {"id": name})
    pack = await asked(request, "incident.pack", {"id": name})
    now = frame_of(request)["now"]
    owing = list(owed(incident, now))
    return page(
        request,
        "incident.html.j2",
        {
            "now": now,
            "incident": incident,
            "standing": standing(incident),
            "steps": list(_timeline(incident["timeline"])),
            "owed": owing,
            "next_step": step or _next_step(owing, incident),
            "pack": {**pack, "action": plainly(pack["action"])},
            "missing": [plainly(one) for one in incident["missing"]],
            "attestation": ATTESTATION,
            "taken": taken if taken in STEPS else "",
            "step": step,
            "form": dict(form or {}),
            "wrong": wrong or {},
        },
        status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK,
        address=f"/incidents/{name}",
    )


def _next_step(owing: Sequence[Owed], incident: Mapping[str, Any]) -> str:
    """The form that is most wanted: of what is due now, else of what is missing."""
    if incident["closed_at"] is not None:
        return ""
    waiting = [one for one in owing if not one.done and one.step]
    due = [one for one in waiting if one.now]
    return (due or waiting)[0].step if waiting else ""


async def take_step(request: web.Request) -> web.Response:
    """`/incidents/ID/STEP`, a form: the step, or the page again with what is wrong beside it."""
    writer(request)
    name, step = request.match_info["id"], request.match_info["step"]
    fields = STEPS.get(step)
    if fields is None:
        raise web.HTTPNotFound
    form = await form_of(request, fields)
    wrong = await _taken(request, name, step, form)
    if wrong:
        return await _incident(request, step=step, form=form, wrong=wrong)
    return see(f"/incidents/{name}?{urlencode({'done': step})}")


async def _taken(request: web.Request, name: str, step: str, form: Mapping[str, str]) -> Faults:
    """Take a step; what is wrong, if it was not."""
    if step == "attest" and form["confirm"] != "yes":
        return {"confirm": "tick the box to attest it, or find out first whether it is so"}
    arguments = {key: value for key, value in filled(form).items() if key != "confirm"}
    _, wrong = await done(request, f"incident.{step}", {"id": name, **arguments}, STEPS[step])
    return wrong


# -- the timeline ----------------------------------------------------------------------------------

_SAID = {
    "opened": "Opened",
    "changed": "Changed",
    "restored": "Service restored",
    "reopened": "Failed again: re-opened",
    "acknowledged": "Acknowledged",
    "reported": "Reported to MaPS",
    "updated": "Noted",
    "attested": "Attested that no acknowledged data was lost",
    "closed": "Closed",
    "at_risk": "Restoration at risk",
    "breached": "Restoration target missed",
    "merged": "Merged",
    "voided": "Void",
}
_DETAILS = (
    ("text", "Note"),
    ("cause", "Cause"),
    ("location", "Where it lay"),
    ("ticket", "Ticket"),
    ("reported_at", "Told at"),
    ("next_update_at", "Next update at"),
    ("started_at", "Unavailable since"),
    ("restored_at", "Restored at"),
    ("endpoints", "Endpoints"),
    ("deadline", "To be restored by"),
    ("declaration", "Declaration"),
    ("into", "Into"),
    ("reason", "Because"),
)


def _timeline(steps: Sequence[Document]) -> Iterator[dict[str, Any]]:
    """Each fact: when, what, by whom, and what it said; `instant` marks details that are instants."""
    for fact in steps:
        kind = fact["type"].removeprefix("incident.")
        details = [
            {
                "label": label,
                "instant": key.endswith("_at") or key == "deadline",
                "value": ", ".join(fact[key]) if key == "endpoints" else fact[key],
            }
            for key, label in _DETAILS
            if fact.get(key)
        ]
        yield {
            "at": fact["at"],
            "kind": kind,
            "said": _SAID.get(kind, kind),
            "author": fact.get("author"),
            "details": details,
        }
