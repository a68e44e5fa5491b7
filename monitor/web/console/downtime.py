"""Downtime: the weeks to come, each declaration with its life, and a form that judges a window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from http import HTTPStatus
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.web_request import FileField
from multidict import MultiMapping

from monitor.core.downtime import Kind
from monitor.core.endpoint import Service
from monitor.core.month import civil
from monitor.core.planning import ChangeClass
from monitor.errors import UsageError
from monitor.snapshot import Document
from monitor.web.console.acting import Faults, done, filled, form_of, plainly, see, writer
from monitor.web.console.asking import asked
from monitor.web.guard import VISITOR
from monitor.web.keys import ASK
from monitor.web.pages import ZONE, fragment, frame_of, page

OVER = ("completed", "cancelled", "ended")
PER_PAGE = 25
SCOPE = ("endpoints", "holdernames", "services")
WINDOW = ("start", "end")
ABOUT = ("reason", "ticket", "notified_at", "technical_change", "change_class", "override_freeze")
FIELDS = ("kind", *WINDOW, *ABOUT)
"""Fields of the form that hold one text each; those of the scope hold several."""
MOST_BOXES = 400
"""Names offered as boxes to tick; of more, they are typed."""

STEPS: Mapping[str, tuple[str, ...]] = {
    "notify": ("ticket", "at"),
    "amend": (*WINDOW, "reason", "ticket", "notified_at", "override_freeze"),
    "complete": ("actual_start", "actual_end"),
    "cancel": ("reason",),
}
"""Step of a declaration to the fields of its form."""
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "notify": ("draft", "notified", "active"),
    "amend": ("draft", "notified", "active"),
    "complete": ("active", "completion_due"),
    "cancel": ("draft", "notified", "active"),
}
"""Step to the states in which it is offered; the operations have the last word."""

Form = dict[str, Any]
"""What a form says: field to text, or of the scope to names."""


# -- the weeks to come, and the list ---------------------------------------------------------------


async def show_downtime(request: web.Request) -> web.Response:
    """`/downtime`: the calendar, what is not over, and by pages what is."""
    return await _overview(request)


async def _overview(
    request: web.Request, *, wrong: Faults | None = None, taken: Document | None = None
) -> web.Response:
    calendar = await asked(request, "downtime.calendar")
    everything, now = calendar["declarations"], calendar["now"]
    over = [one for one in reversed(everything) if one["state"] in OVER]
    pages = max(1, -(-len(over) // PER_PAGE))
    text = request.query.get("page", "")
    number = min(int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1, pages)
    number = max(number, 1)
    current = [one for one in everything if one["state"] not in OVER]
    current.sort(key=lambda one: (one["window"]["start"], one["id"]))
    return page(
        request,
        "downtime.html.j2",
        {
            "now": now,
            "calendar": {**calendar, "weeks": list(_weeks(calendar))},
            "current": [{**one, "due": due(one, now)} for one in current],
            "over": over[(number - 1) * PER_PAGE : number * PER_PAGE],
            "number": number,
            "pages": pages,
            "wrong": wrong or {},
            "taken": taken,
        },
        status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK,
        address="/downtime",
        section="/downtime",
    )


def _weeks(calendar: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The days in weeks, each with its marks in words."""
    days = calendar["days"]
    for start in range(0, len(days), 7):
        yield [_day(one, calendar) for one in days[start : start + 7]]


def _day(one: Mapping[str, Any], calendar: Mapping[str, Any]) -> dict[str, Any]:
    at = date.fromisoformat(one["day"])
    past = one["day"] < calendar["today"]
    early = calendar["earliest"] is None or one["day"] < calendar["earliest"]
    return {
        **one,
        "number": at.day,
        "month": f"{at:%b}",
        "full": f"{at:%a} {at.day} {at:%b}",
        "today": one["day"] == calendar["today"],
        "past": past,
        "earliest": one["day"] == calendar["earliest"],
        "windows": [
            {
                "text": _hours(window, at),
                "plan": None if past or early or one["frozen"] else plan_address(window["start"]),
            }
            for window in one["change_windows"]
        ],
        "downtime": [{**each, "text": _hours(each, at)} for each in one["downtime"]],
        "empty": not (one["change_windows"] or one["downtime"] or one["frozen"])
        and not (one["bank_holiday"] or one["day"] == calendar["earliest"])
        and one["day"] != calendar["today"],
    }


def _hours(window: Mapping[str, str], day: date) -> str:
    """A window's hours on one day: `00:00 to 10:00`; what lies on other days is left out."""
    start, end = (civil(datetime.fromisoformat(window[key]), ZONE) for key in ("start", "end"))
    begins = f"{start:%H:%M}" if start.date() == day else "00:00"
    ends = f"{end:%H:%M}" if end.date() == day else "24:00"
    return f"{begins} to {ends}"


def plan_address(start: str, lasting: timedelta = timedelta(hours=2)) -> str:
    """The form for a window that starts at an instant."""
    begins = datetime.fromisoformat(start)
    query = {"start": typed(begins), "end": typed(begins + lasting)}
    return f"/declare?{urlencode(query)}"


def typed(instant: datetime) -> str:
    """An instant as a form takes it: UK time, with its offset where the clocks show it twice."""
    shown = civil(instant, ZONE).replace(second=0, microsecond=0)
    once = shown.replace(fold=0).utcoffset() == shown.replace(fold=1).utcoffset()
    return f"{shown:%Y-%m-%dT%H:%M}" if once else shown.isoformat(timespec="minutes")


def due(declaration: Mapping[str, Any], now: str) -> str:
    """What is to be done about a declaration next; empty if nothing is."""
    state, notice = declaration["state"], declaration["notice"]
    if state == "completion_due":
        return "Tell MaPS that it is complete, and record it"
    if state in ("notified", "active") and declaration["versions"][-1]["notified_at"] is None:
        return "Tell MaPS of the change: it has no effect yet"
    if state != "draft":
        return ""
    if declaration["kind"] == "planned" and notice["notify_before"] > now:
        return "Tell MaPS"
    return "Tell MaPS at once: the notice is too short already"


# -- one declaration -------------------------------------------------------------------------------


async def show_declaration(request: web.Request) -> web.Response:
    """`/downtime/ID`; `done` names the step that was just taken."""
    return await _declaration(request, taken=request.query.get("done", ""))


async def _declaration(
    request: web.Request,
    *,
    taken: str = "",
    step: str = "",
    form: Form | None = None,
    wrong: Faults | None = None,
) -> web.Response:
    name = request.match_info["id"]
    shown = await asked(request, "downtime.show", {"id": name})
    ours = shown["kind"] != Kind.MAPS
    pack = await asked(request, "downtime.pack", {"id": name}) if ours else None
    if pack is not None:
        pack["action"] = plainly(pack["action"])
    latest = shown["versions"][-1]
    now = frame_of(request)["now"]
    return page(
        request,
        "declaration.html.j2",
        {
            "now": now,
            "one": shown,
            "latest": latest,
            "due": due(shown, now),
            "pack": pack,
            "warnings": [plainly(one) for one in shown["warnings"]],
            "offered": _offered(shown),
            "start": typed(datetime.fromisoformat(latest["window"]["start"])),
            "end": typed(datetime.fromisoformat(latest["window"]["end"])),
            "taken": taken if taken in (*STEPS, "declare") else "",
            "step": step,
            "form": dict(form or {}),
            "wrong": wrong or {},
        },
        status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK,
        address=f"/downtime/{name}",
        section="/downtime",
    )


def _offered(declaration: Mapping[str, Any]) -> list[str]:
    """The steps that may be taken next; MaPS is told of a version once."""
    found = [step for step, states in ALLOWED.items() if declaration["state"] in states]
    told = declaration["versions"][-1]["notified_at"] is not None
    return [step for step in found if step != "notify" or not told]


async def take_step(request: web.Request) -> web.Response:
    """`/downtime/ID/STEP`, a form: the step, or the page again with what is wrong beside it."""
    writer(request)
    name, step = request.match_info["id"], request.match_info["step"]
    fields = STEPS.get(step)
    if fields is None:
        raise web.HTTPNotFound
    form = await form_of(request, fields)
    arguments = filled(form)
    if step == "amend":
        arguments = await _changed(request, name, arguments)
    _, wrong = await done(request, f"downtime.{step}", {"id": name, **arguments}, fields)
    if wrong:
        return await _declaration(request, step=step, form=form, wrong=wrong)
    return see(f"/downtime/{name}?{urlencode({'done': step})}")


async def _changed(request: web.Request, name: str, arguments: Mapping[str, str]) -> dict[str, str]:
    """The arguments of an amendment without those that change nothing: a window that is given counts
    as changed, and of a changed window MaPS must be told anew."""
    shown = await asked(request, "downtime.show", {"id": name})
    latest = shown["versions"][-1]
    kept = {
        **{key: typed(datetime.fromisoformat(latest["window"][key])) for key in WINDOW},
        "reason": latest["reason"],
    }
    return {key: value for key, value in arguments.items() if kept.get(key) != value.strip()}


# -- the form that judges --------------------------------------------------------------------------


async def show_form(request: web.Request) -> web.Response:
    """`/declare`: the form, filled with what the query says; judged if that gives a window."""
    form = _read(request.query)
    return await _form(request, form, judge=all(form[key] for key in WINDOW))


async def judge(request: web.Request) -> web.Response:
    """`/declare/judge`: the judgement alone, for the page to show as it is typed."""
    form = _read(request.query)
    return fragment("judgement.html.j2", await _judged(request, form))


async def judge_form(request: web.Request) -> web.Response:
    """`/declare/judge` by a form: the page again with the judgement; nothing is recorded."""
    return await _form(request, _read(await _posted(request)), judge=True)


async def declare(request: web.Request) -> web.Response:
    """`/declare` by a form: the declaration is recorded, or the form shown with what is wrong."""
    writer(request)
    form = _read(await _posted(request))
    arguments = {**filled({key: form[key] for key in FIELDS}), **_scope(form)}
    shown, wrong = await done(request, "downtime.declare", arguments, (*FIELDS, *SCOPE))
    if wrong:
        return await _form(request, form, judge=False, wrong=wrong)
    return see(f"/downtime/{shown['id']}?done=declare")


async def _posted(request: web.Request) -> MultiMapping[Any]:
    try:
        return await request.post()
    except ValueError as error:
        raise web.HTTPBadRequest(reason="the form cannot be read") from error


def _read(given: MultiMapping[Any]) -> Form:
    """What a form or a query says; names may be ticked one by one or typed, parted by space or comma."""
    form: Form = {}
    for key in FIELDS:
        value = given.get(key, "")
        form[key] = value.strip() if isinstance(value, str) else ""
    form["kind"] = form["kind"] or Kind.PLANNED.value
    for key in SCOPE:
        said = [value for value in given.getall(key, []) if isinstance(value, str)]
        form[key] = [name for value in said for name in value.replace(",", " ").split()]
    return form


def _scope(form: Form) -> dict[str, list[str]]:
    return {key: form[key] for key in SCOPE if form[key]}


async def _form(
    request: web.Request, form: Form, *, judge: bool, wrong: Faults | None = None
) -> web.Response:
    judgement = await _judged(request, form) if judge or wrong else _not_judged()
    faults = wrong or ({} if not judge else judgement["faults"])
    status = await asked(request, "holdername.list")
    known = await asked(request, "endpoint.list")
    return page(
        request,
        "declare.html.j2",
        {
            **judgement,
            "form": form,
            "wrong": faults,
            "endpoints": [(one["id"], _endpoint_words(one)) for one in known["endpoints"]],
            "holdernames": [(one["guid"], one["name"]) for one in status["holdernames"]],
            "services": [(one.value, one.value.replace("-", " ")) for one in Service],
            "kinds": _KINDS,
            "classes": [("", "none"), *((one.value, one.value) for one in ChangeClass)],
            "most": MOST_BOXES,
        },
        status=HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
        address=f"/declare?{_query(form)}",
        section="/downtime",
    )


_KINDS = [
    (Kind.PLANNED.value, "Planned: MaPS is told five clear working days before"),
    (Kind.EMERGENCY.value, "Emergency: it cannot wait; an incident opens when it begins"),
    (Kind.MAPS.value, "MaPS' own downtime"),
]


def _endpoint_words(one: Mapping[str, Any]) -> str:
    environment = "" if one["environment"] == "live" else f", {one['environment']}"
    return f"{one['service']}, {one['group']}{environment}"


async def _judged(request: web.Request, form: Form) -> dict[str, Any]:
    """What speaks for and against the window of a form: the context of `judgement.html.j2`."""
    if not all(form[key] for key in WINDOW):
        return _not_judged()
    arguments = {key: form[key] for key in WINDOW} | _scope(form)
    try:
        plan = await request.app[ASK]("downtime.plan", arguments, request[VISITOR].name)
    except UsageError as trouble:
        field, _, what = str(trouble).partition(": ")
        named = field in (*WINDOW, *SCOPE)
        faults = {field: plainly(what)} if named else {"": plainly(str(trouble))}
        return {**_not_judged(), "faults": faults}
    return {
        "faults": {},
        "plan": {
            **plan,
            "objections": [plainly(one) for one in plan["objections"]],
            "warnings": [plainly(one) for one in plan["warnings"]],
            "least": _least(plan["budget"]),
            "alternatives": [
                {**one, "address": _moved(form, one["window"])} for one in plan["alternatives"]
            ],
        },
    }


def _not_judged() -> dict[str, Any]:
    return {"faults": {}, "plan": None}


def _least(budget: Sequence[Document]) -> list[dict[str, Any]]:
    """Per month the series to which least would be left, and how many more are affected."""
    found = []
    for _, rows in groupby(budget, key=lambda row: str(row["month"])):
        listed = list(rows)
        least = min(listed, key=lambda row: float(row["after_s"]))
        found.append({**least, "name": _series(least["series"]), "more": len(listed) - 1})
    return found


def _series(series: Mapping[str, str]) -> str:
    if "endpoint" in series:
        return series["endpoint"]
    return f"holdername {series['holdername']} ({series['service']})"


def _moved(form: Form, window: Mapping[str, str]) -> str:
    """The form with another window."""
    times = {key: typed(datetime.fromisoformat(window[key])) for key in WINDOW}
    return f"/declare?{_query({**form, **times})}"


def _query(form: Form) -> str:
    pairs: Iterable[tuple[str, str]] = (
        (key, value)
        for key, said in form.items()
        for value in ([said] if isinstance(said, str) else said)
        if value
    )
    return urlencode(list(pairs))


# -- MaPS' own calendar ----------------------------------------------------------------------------

LARGEST_CALENDAR = 1 << 19


async def take_calendar(request: web.Request) -> web.Response:
    """`/declare/import`: MaPS' own downtime from a file of its calendar, and what became of it."""
    writer(request)
    given = (await _posted(request)).get("calendar")
    if not isinstance(given, FileField) or not given.filename:
        return await _overview(request, wrong={"calendar": "choose the file of MaPS' calendar"})
    content = given.file.read(LARGEST_CALENDAR + 1)
    if len(content) > LARGEST_CALENDAR:
        fault = f"this is larger than {LARGEST_CALENDAR // 1024} KiB; choose the calendar itself"
        return await _overview(request, wrong={"calendar": fault})
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return await _overview(request, wrong={"calendar": "this is not text in UTF-8"})
    form = "csv" if given.filename.lower().endswith(".csv") else "ics"
    arguments = {"calendar": text, "format": form}
    taken, wrong = await done(request, "downtime.import", arguments, ("calendar",))
    if wrong:
        return await _overview(request, wrong={"calendar": " ".join(wrong.values())})
    return await _overview(request, taken=taken)
