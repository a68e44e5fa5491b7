"""JSON Schemas of every document that the API answers with: closed, and every member required.

They are written by hand from `snapshot.py` and the modules beside it; the tests hold every answer
against them.
"""

from __future__ import annotations

from typing import Any

from monitor.core.downtime import Kind
from monitor.core.endpoint import Environment, Service
from monitor.core.incident import IncidentKind, IncidentState, Location
from monitor.core.lifecycle import Lifecycle
from monitor.core.maps import Outcome
from monitor.core.outage import Class, Source
from monitor.core.planning import ChangeClass
from monitor.core.rules import NoticeCalendar, NoticeMethod
from monitor.core.security import Check
from monitor.core.slo import Verdict
from monitor.core.timeline import Phase, State
from monitor.core.verdict import Reason, Result
from monitor.ribbons import KINDS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANYTHING: Schema = {"type": "object"}
INSTANT: Schema = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z$",
    "description": "ISO 8601 in UTC",
    "examples": ["2026-03-17T00:00:00Z"],
}
DAY: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
MONTH: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$", "examples": ["2026-03"]}
RATIO: Schema = {
    "type": "string",
    "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?$",
    "description": "a ratio as exact decimal text, rounded down to nine places",
    "examples": ["0.995"],
}
SECONDS: Schema = {"type": "number", "description": "seconds, at most microseconds"}
HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
TEXTS: Schema = {"type": "array", "items": TEXT}
NEXT: Schema = {
    "type": ["string", "null"],
    "description": "the cursor of the next page; null: this is the last one",
}


def maybe(schema: Schema) -> Schema:
    """The schema, or null."""
    if "$ref" in schema:
        return {"oneOf": [schema, {"type": "null"}]}
    kind = schema["type"]
    found = {**schema, "type": [*(kind if isinstance(kind, list) else [kind]), "null"]}
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    return found


def one_of(*values: Any) -> Schema:
    """One of some texts, given as such or as enums."""
    return {"type": "string", "enum": [getattr(value, "value", value) for value in values]}


def each(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def document(*optional: str, **members: Schema) -> Schema:
    """A closed object; every member is required, but for those named as optional."""
    return {
        "type": "object",
        "properties": members,
        "required": [name for name in members if name not in optional],
        "additionalProperties": False,
    }


def _and(first: Schema, **more: Schema) -> Schema:
    """A closed object with more members."""
    return {
        **first,
        "properties": {**first["properties"], **more},
        "required": [*first["required"], *more],
    }


def _listed(**rows: Schema) -> Schema:
    """A list as of one instant, with the cursor of what follows."""
    return document(rules=WHOLE, until=INSTANT, **rows, next=NEXT)


WINDOW = document(start=INSTANT, end=INSTANT)
SCOPE = document(
    endpoints=maybe(TEXTS), holdernames=maybe(TEXTS), services=maybe(each(one_of(*Service)))
)
SERIES: Schema = {
    "oneOf": [document(endpoint=TEXT), document(holdername=TEXT, service=one_of(*Service))]
}
CERTIFICATE = document(
    subject=TEXT,
    issuer=TEXT,
    serial=TEXT,
    not_before=INSTANT,
    not_after=INSTANT,
    names=TEXTS,
    sha256=HASH,
)
FINDING = document(
    endpoint=TEXT, check=one_of(*Check), since=INSTANT, finding=TEXT, evidence=ANYTHING
)

# -- figures ---------------------------------------------------------------------------------------

BY_CLASS = document(**{one.value: SECONDS for one in Class})
FIGURES = document(
    eligible_s=SECONDS,
    up_s=SECONDS,
    impaired_s=SECONDS,
    down_s=SECONDS,
    unconfirmed_s=SECONDS,
    unknown_s=SECONDS,
    unavailable_s=SECONDS,
    by_class=BY_CLASS,
    budget_s=SECONDS,
    remaining_s=SECONDS,
    best=maybe(RATIO),
    worst=maybe(RATIO),
    measured=maybe(RATIO),
    excluding_declared=maybe(RATIO),
    verdict=one_of(*Verdict),
)
_SEALING = {"sealed": FLAG, "restatement": COUNT}
MONTH_ROW: Schema = {
    "type": "object",
    "properties": {
        "month": MONTH,
        "series": ref("Series"),
        **FIGURES["properties"],
        **_SEALING,
        "recomputed": ref("Figures"),
        "proposed": ref("Figures"),
    },
    "required": ["month", "series", *FIGURES["required"], "sealed"],
    "additionalProperties": False,
}
SEALING = document(
    month=MONTH,
    start=INSTANT,
    end=INSTANT,
    state=one_of("running", "closed", "sealed"),
    seals_at=INSTANT,
    sealed_at=maybe(INSTANT),
    settled_at=maybe(INSTANT),
    restatements=COUNT,
    proposed=maybe(document(at=INSTANT, reason=TEXT, authors=TEXTS, series=COUNT)),
)

# -- endpoints -------------------------------------------------------------------------------------

ENDPOINT = document(
    id=TEXT,
    service=one_of(*Service),
    environment=one_of(*Environment),
    lifecycle=one_of(*Lifecycle),
    group=TEXT,
    state=one_of(*State),
    phase=one_of(*Phase),
    since=maybe(INSTANT),
    outage_since=maybe(INSTANT),
    last=maybe(document(at=INSTANT, result=one_of(*Result), reason=one_of(*Reason))),
    month=maybe(
        document(
            month=MONTH,
            measured=maybe(RATIO),
            worst=maybe(RATIO),
            budget_s=SECONDS,
            remaining_s=SECONDS,
            verdict=one_of(*Verdict),
        )
    ),
    findings=each(ref("Finding")),
)
CONFIGURED = {
    "url": TEXT,
    "identity": TEXT,
    "connected_from": maybe(DAY),
    "disconnected_on": maybe(DAY),
    "cadence": document(
        interval_s=SECONDS,
        timeout_s=SECONDS,
        recheck_interval_s=SECONDS,
        gap_after_s=SECONDS,
        confirm_down=COUNT,
        confirm_up=COUNT,
    ),
    "expect": document(method=TEXT, status=each(WHOLE), impaired_above_s=SECONDS),
    "holdernames": TEXTS,
}
OBSERVATION = document(
    at=INSTANT,
    result=one_of(*Result),
    reason=one_of(*Reason),
    status=maybe(WHOLE),
    duration_s=SECONDS,
)
PROBE = document(
    endpoint=TEXT,
    at=INSTANT,
    result=one_of(*Result),
    reason=one_of(*Reason),
    finding=maybe(TEXT),
    detail=maybe(TEXT),
    status=maybe(WHOLE),
    retry_after=maybe(TEXT),
    request_id=maybe(TEXT),
    duration=SECONDS,
    phases=document(
        **{name: maybe(SECONDS) for name in ("dns", "connect", "tls", "ttfb", "transfer")}
    ),
    tls=document(
        version=maybe(TEXT), cipher=maybe(TEXT), alert=maybe(TEXT), chain=each(ref("Certificate"))
    ),
    shown=document(identity=TEXT, chain=each(ref("Certificate"))),
)

# -- at a glance -----------------------------------------------------------------------------------

KIND = one_of(*KINDS)
SUMS: Schema = {
    "type": "object",
    "description": "seconds of each kind of time there is, the worst first",
    "propertyNames": KIND,
    "additionalProperties": SECONDS,
}
_RUNS: Schema = {
    "type": "array",
    "description": "[kind, seconds], one after the other",
    "items": {"type": "array", "prefixItems": [KIND, NUMBER], "minItems": 2, "maxItems": 2},
}
RIBBON = document(start=INSTANT, end=INSTANT, runs=_RUNS, sums=SUMS)
DAYS = document(
    first=DAY,
    last=DAY,
    runs={**_RUNS, "description": "[kind, days], each day named after the worst of it"},
    days=each(document(day=DAY, kind=KIND, sums=SUMS)),
    sums=SUMS,
)
BURN = document(
    start=INSTANT,
    end=INSTANT,
    budget_s=SECONDS,
    remaining_s=SECONDS,
    points=each(document(at=INSTANT, remaining_s=SECONDS)),
)
STRETCH = document(
    start=INSTANT,
    end=INSTANT,
    seconds=SECONDS,
    state=one_of(*State, "outside"),
    **{"class": maybe(one_of(*Class))},
    declaration=maybe(TEXT),
)
STANDING = _and(
    ENDPOINT,
    url=TEXT,
    ribbons=document(hour=ref("Ribbon"), day=ref("Ribbon"), days=ref("Days")),
    burn=maybe(ref("Burn")),
)
_COUNTS = document(all=COUNT, **{state.value: COUNT for state in State})
LEAST: Schema = {
    **FIGURES,
    "properties": {
        "month": MONTH,
        "series": ref("Series"),
        **FIGURES["properties"],
        "left": maybe(RATIO),
        "burn": ref("Burn"),
    },
    "required": ["month", "series", *FIGURES["required"], "left", "burn"],
}
GLANCE = {
    "counts": document(live=_COUNTS, test=_COUNTS),
    "unavailable_since": maybe(INSTANT),
    "owed": each(
        document(
            what=one_of("restore", "report", "update", "close", "complete", "notify", "approve"),
            about=TEXT,
            due=maybe(INSTANT),
            overdue=FLAG,
            text=TEXT,
        )
    ),
    "month": document(
        month=MONTH,
        start=INSTANT,
        end=INSTANT,
        objective=RATIO,
        verdicts=document(**{verdict.value: COUNT for verdict in Verdict}),
        spending=COUNT,
        least=each(LEAST),
    ),
    "matched": COUNT,
    "offset": COUNT,
    "limit": COUNT,
    "endpoints": each(ref("Standing")),
}

# -- outages and incidents -------------------------------------------------------------------------

_CLASSES = one_of(*Class, "unknown")
OUTAGE = document(
    series=ref("Series"),
    source=one_of(*Source),
    start=INSTANT,
    end=maybe(INSTANT),
    parts=each(document(**{"class": _CLASSES}, start=INSTANT, end=maybe(INSTANT))),
)
ASSERTION = document(
    id=TEXT,
    state=one_of("pending", "open", "ended", "withdrawn"),
    start=INSTANT,
    end=maybe(INSTANT),
    holdernames=TEXTS,
    services=maybe(each(one_of(*Service))),
    reason=TEXT,
    author=TEXT,
    recorded_at=INSTANT,
    withdrawn_at=maybe(INSTANT),
    versions=COUNT,
)
_STEP = document(at=INSTANT, author=TEXT)
INCIDENT = document(
    id=TEXT,
    kind=one_of(*IncidentKind),
    state=one_of(*IncidentState),
    group=TEXT,
    started_at=INSTANT,
    detected_at=INSTANT,
    restored_at=maybe(INSTANT),
    endpoints=TEXTS,
    holdernames=TEXTS,
    declaration=maybe(TEXT),
    opened_at=INSTANT,
    deadline=INSTANT,
    elapsed_s=SECONDS,
    at_risk=each(WHOLE),
    breached_at=maybe(INSTANT),
    acknowledged=maybe(_STEP),
    reported=maybe(document(at=INSTANT, ticket=TEXT, author=TEXT)),
    updates=each(
        document(at=INSTANT, author=TEXT, text=maybe(TEXT), next_update_at=maybe(INSTANT))
    ),
    cause=maybe(TEXT),
    location=maybe(one_of(*Location)),
    attested=maybe(_STEP),
    closed_at=maybe(INSTANT),
    missing=TEXTS,
    merged_into=maybe(TEXT),
    voided=maybe(TEXT),
    suggested_action=TEXT,
)
STEP: Schema = {
    "type": "object",
    "description": "a step of an incident, with what it said",
    "properties": {"at": INSTANT, "type": TEXT, "author": TEXT},
    "required": ["at", "type"],
}
INCIDENT_SHOWN = _and(INCIDENT, timeline=each(ref("Step")))

# -- declarations ----------------------------------------------------------------------------------

_CHANGE = {
    "technical_change": maybe(TEXT),
    "change_class": maybe(one_of(*ChangeClass)),
    "evidence": TEXTS,
    "freeze_override": maybe(TEXT),
}
VERSION = document(
    recorded_at=INSTANT,
    notified_at=maybe(INSTANT),
    effective_at=maybe(INSTANT),
    window=ref("Window"),
    scope=ref("Scope"),
    kind=one_of(*Kind),
    ticket=maybe(TEXT),
    reason=TEXT,
    author=TEXT,
    **_CHANGE,
)
_NOTICE = {"days": WHOLE, "needed": WHOLE, "enough": FLAG, "notify_before": INSTANT}
NOTICE = document(**_NOTICE)
DECLARATION_STATE = one_of(
    "draft", "notified", "active", "completion_due", "completed", "cancelled", "ended"
)
DECLARATION_BARE = document(
    id=TEXT,
    state=DECLARATION_STATE,
    kind=one_of(*Kind),
    window=ref("Window"),
    scope=ref("Scope"),
    notified_at=maybe(INSTANT),
    ticket=maybe(TEXT),
    reason=TEXT,
    **_CHANGE,
    cancelled_at=maybe(INSTANT),
    completion=maybe(
        document(
            recorded_at=INSTANT,
            actual_start=maybe(INSTANT),
            actual_end=maybe(INSTANT),
            author=TEXT,
        )
    ),
    versions=each(ref("Version")),
    notice=ref("Notice"),
)
DECLARATION = _and(DECLARATION_BARE, warnings=TEXTS)
_SPENDING = {
    "remaining_s": SECONDS,
    "planned_s": SECONDS,
    "reserved_s": SECONDS,
    "after_s": SECONDS,
    "forecast_s": SECONDS,
}
DECLARATION_SHOWN = _and(DECLARATION, notice_days=each(document(day=DAY, counts=FLAG, why=TEXT)))
CALENDAR = document(
    now=INSTANT,
    today=DAY,
    earliest=maybe(DAY),
    rule=TEXT,
    days=each(
        document(
            day=DAY,
            working=FLAG,
            bank_holiday=FLAG,
            frozen=FLAG,
            change_windows=each(ref("Window")),
            downtime=each(
                document(
                    id=TEXT,
                    kind=one_of(*Kind),
                    state=DECLARATION_STATE,
                    start=INSTANT,
                    end=INSTANT,
                )
            ),
        )
    ),
    budget=each(document(month=MONTH, series=ref("Series"), **_SPENDING)),
    declarations=each(ref("DeclarationBare")),
)
PLAN = document(
    ok=FLAG,
    now=INSTANT,
    window=ref("Window"),
    scope=ref("Scope"),
    notice=ref("Notice"),
    counts=each(
        document(calendar=one_of(*NoticeCalendar), method=one_of(*NoticeMethod), **_NOTICE)
    ),
    counts_agree=FLAG,
    change_window=document(inside=FLAG, window=maybe(ref("Window")), rule=TEXT),
    freeze=maybe(document(**{"from": DAY, "to": DAY})),
    maps_downtime=each(document(id=TEXT, reason=TEXT, start=INSTANT, end=INSTANT)),
    budget=each(document(month=MONTH, series=ref("Series"), **_SPENDING)),
    objections=TEXTS,
    warnings=TEXTS,
    alternatives=each(
        document(
            window=ref("Window"),
            change_window=ref("Window"),
            notice=ref("Notice"),
            after_s=maybe(SECONDS),
            why=TEXTS,
        )
    ),
    passed_over=each(document(change_window=ref("Window"), why=TEXTS)),
)
TAKEN = document(
    uid=TEXT,
    id=TEXT,
    outcome=one_of(*Outcome),
    why=maybe(TEXT),
    window=ref("Window"),
    reason=TEXT,
)

# -- packs and returns -----------------------------------------------------------------------------

PACK = document(
    id=TEXT,
    action=TEXT,
    ticket=maybe(TEXT),
    form=each(document(field=TEXT, value=TEXT)),
    guids=each({"type": "object", "additionalProperties": TEXT}),
    comments=each(document(kind=TEXT, due=FLAG, ticket=maybe(TEXT), text=TEXT)),
    timeline=each(document(at=INSTANT, text=TEXT)),
    next_update_at=maybe(INSTANT),
    texts={"type": "object", "additionalProperties": TEXT},
)
RETURNS = document(
    manifest=ANYTHING, bodies={"type": "object", "additionalProperties": {"type": "object"}}
)

# -- explanations ----------------------------------------------------------------------------------

_SPAN = {"start": INSTANT, "end": INSTANT}
EXPLAINED_ENDPOINT = document(
    id=TEXT,
    cadence=document(interval_s=SECONDS, gap_after_s=SECONDS, confirm_down=COUNT, confirm_up=COUNT),
    observations=each(
        document(
            at=INSTANT,
            result=one_of(*Result),
            reason=one_of(*Reason),
            phase=one_of(*Phase),
            count=COUNT,
            effect=TEXT,
        )
    ),
    holding=maybe(
        document(
            observed_at=INSTANT,
            result=one_of(*Result),
            reason=one_of(*Reason),
            next_at=maybe(INSTANT),
            holds_until=INSTANT,
            holds=FLAG,
            gap=FLAG,
            why=TEXT,
        )
    ),
    phase=maybe(one_of(*Phase)),
)
COVER = document(
    **{"class": _CLASSES},
    **_SPAN,
    late=FLAG,
    notice=document(
        notified_at=INSTANT,
        counted_to=INSTANT,
        method=one_of(*NoticeMethod),
        days=WHOLE,
        needed=WHOLE,
        enough=FLAG,
        day_by_day=each(document(day=DAY, counts=FLAG, why=TEXT)),
    ),
)
EXPLANATION = document(
    series=ref("Series"),
    at=INSTANT,
    endpoints=each(EXPLAINED_ENDPOINT),
    state=maybe(
        document(
            state=one_of(*State),
            start=INSTANT,
            end=maybe(INSTANT),
            why=TEXT,
            cut_at=each(one_of("start", "end")),
        )
    ),
    assertions=each(document(id=TEXT, counts=FLAG, why=TEXT)),
    declarations=each(
        document(
            id=TEXT,
            version_recorded_at=INSTANT,
            notified_at=maybe(INSTANT),
            effective_at=maybe(INSTANT),
            kind=one_of(*Kind),
            window=ref("Window"),
            counts=FLAG,
            why=TEXTS,
            cover=maybe(COVER),
        )
    ),
    outage=maybe(
        document(
            source=one_of(*Source),
            start=INSTANT,
            end=maybe(INSTANT),
            confirmed_at=INSTANT,
            parts=each(document(**{"class": _CLASSES}, **_SPAN, declaration=maybe(TEXT))),
        )
    ),
    **{
        "class": maybe(
            document(
                **{"class": _CLASSES},
                declaration=maybe(TEXT),
                why=TEXT,
                precedence=each(one_of(*Class)),
                covering=each(document(id=TEXT, **{"class": _CLASSES})),
                **_SPAN,
            )
        )
    },
    incidents=each(
        document(
            id=TEXT,
            kind=one_of(*IncidentKind),
            state=one_of(*IncidentState),
            group=TEXT,
            started_at=INSTANT,
            restored_at=maybe(INSTANT),
        )
    ),
    budget=maybe(
        document(
            month=MONTH,
            budget_s=SECONDS,
            unavailable_s=SECONDS,
            remaining_s=SECONDS,
            this_outage_s=SECONDS,
            remaining_without_it_s=SECONDS,
            verdict=one_of(*Verdict),
        )
    ),
)

# -- the rest --------------------------------------------------------------------------------------

FAULT = document(file=TEXT, line=maybe(WHOLE), column=maybe(WHOLE), path=TEXT, what=TEXT, cure=TEXT)
CHECKED = {"faults": each(ref("Fault")), "warnings": TEXTS}
RECEIVER = document(receiver=TEXT, pending=COUNT, oldest_at=maybe(INSTANT), dead=COUNT)
HOLDERNAME = document(
    guid=TEXT,
    name=TEXT,
    lifecycle=one_of(*Lifecycle),
    endpoints={
        "type": "object",
        "properties": {service.value: TEXTS for service in Service},
        "additionalProperties": False,
    },
)

_QUANTILES = {
    "probes": COUNT,
    "failed": COUNT,
    "median_s": SECONDS,
    "p95_s": SECONDS,
    "max_s": SECONDS,
}
LAST_PROBE = {
    **PROBE,
    "properties": {name: one for name, one in PROBE["properties"].items() if name != "shown"},
    "required": [name for name in PROBE["required"] if name != "shown"],
}
PART = document(
    **{"class": _CLASSES}, declaration=maybe(TEXT), start=INSTANT, end=INSTANT, seconds=SECONDS
)
WATCHED = {
    "organisation": document(name=TEXT, connection=maybe(TEXT)),
    "now": INSTANT,
    "live": FLAG,
    "since": INSTANT,
    "incidents": each(ref("Incident")),
    "downtime": document(
        active=each(ref("DeclarationBare")),
        upcoming=each(ref("DeclarationBare")),
        completion_due=each(ref("DeclarationBare")),
    ),
}

COMPONENTS: dict[str, Schema] = {
    "Window": WINDOW,
    "Scope": SCOPE,
    "Series": SERIES,
    "Certificate": CERTIFICATE,
    "Finding": FINDING,
    "Figures": FIGURES,
    "MonthRow": MONTH_ROW,
    "Sealing": SEALING,
    "Endpoint": ENDPOINT,
    "Standing": STANDING,
    "Ribbon": RIBBON,
    "Days": DAYS,
    "Burn": BURN,
    "Observation": OBSERVATION,
    "Probe": PROBE,
    "Outage": OUTAGE,
    "Assertion": ASSERTION,
    "Incident": INCIDENT,
    "IncidentShown": INCIDENT_SHOWN,
    "Step": STEP,
    "Version": VERSION,
    "Notice": NOTICE,
    "DeclarationBare": DECLARATION_BARE,
    "Declaration": DECLARATION,
    "DeclarationShown": DECLARATION_SHOWN,
    "Calendar": CALENDAR,
    "Plan": PLAN,
    "Taken": TAKEN,
    "Pack": PACK,
    "Returns": RETURNS,
    "Explanation": EXPLANATION,
    "Fault": FAULT,
    "Receiver": RECEIVER,
    "Holdername": HOLDERNAME,
    "Fact": document(seq=COUNT, hash=HASH, at=INSTANT, type=TEXT, data=ANYTHING),
    "Identity": document(
        name=TEXT,
        key=TEXT,
        trust=TEXT,
        digest=HASH,
        certificate=ref("Certificate"),
        chain=each(ref("Certificate")),
        warnings=TEXTS,
    ),
    "Delivery": document(
        id=WHOLE,
        receiver=TEXT,
        webhook_id=TEXT,
        type=TEXT,
        key=TEXT,
        at=INSTANT,
        attempts=COUNT,
        state=one_of("pending", "delivered", "dead"),
        last_error=maybe(TEXT),
    ),
    # -- whole documents
    "Status": document(
        **WATCHED,
        endpoints=each(ref("Endpoint")),
        alerts=each(ref("Receiver")),
        warnings=TEXTS,
    ),
    "Overview": document(rules=WHOLE, **WATCHED, **GLANCE),
    "Detail": document(
        endpoint=TEXT,
        now=INSTANT,
        standing=ref("Standing"),
        last=maybe(LAST_PROBE),
        timings=document(
            start=INSTANT,
            end=INSTANT,
            bucket_s=SECONDS,
            all=maybe(document(**_QUANTILES)),
            buckets=each(document(at=INSTANT, **_QUANTILES)),
            reasons={"type": "object", "additionalProperties": COUNT},
        ),
        outages=each(
            document(
                start=INSTANT,
                end=maybe(INSTANT),
                seconds=SECONDS,
                incident=maybe(TEXT),
                parts=each(PART),
            )
        ),
        outages_left_out=COUNT,
        account=maybe(LEAST),
    ),
    "MonthDetail": _and(
        SEALING,
        now=INSTANT,
        length_s=SECONDS,
        objective=RATIO,
        days=each(document(day=DAY, start=INSTANT, end=INSTANT, minutes=COUNT)),
        sealing=maybe(ANYTHING),
        incidents=each(
            _and(INCIDENT_SHOWN, target_s=SECONDS, target_met={"type": ["boolean", "null"]})
        ),
        outages=each(
            document(
                series=ref("Series"),
                source=one_of(*Source),
                start=INSTANT,
                end=maybe(INSTANT),
                parts=each(PART),
                in_month_s=SECONDS,
                confirmed_at=INSTANT,
                number=COUNT,
            )
        ),
        endpoint=maybe(
            document(
                id=TEXT,
                row=ref("MonthRow"),
                waterfall=each(document(step=TEXT, seconds=SECONDS, left_s=SECONDS)),
                eligible=each(ref("Window")),
                strip=each(STRETCH),
                burn=ref("Burn"),
            )
        ),
    ),
    "Strip": document(endpoint=TEXT, start=INSTANT, end=INSTANT, strip=each(STRETCH)),
    "Endpoints": _listed(endpoints=each(ref("Endpoint"))),
    "EndpointShown": {
        **ENDPOINT,
        "properties": {"rules": WHOLE, "until": INSTANT, **ENDPOINT["properties"], **CONFIGURED},
        "required": ["rules", "until", *ENDPOINT["required"], *CONFIGURED],
    },
    "Observations": document(
        endpoint=TEXT,
        start=INSTANT,
        end=INSTANT,
        truncated=FLAG,
        observations=each(ref("Observation")),
        next=NEXT,
    ),
    "Spans": document(
        endpoint=TEXT,
        start=INSTANT,
        end=INSTANT,
        spans=each(document(state=one_of(*State), start=INSTANT, end=INSTANT)),
    ),
    "ChangeAcknowledged": document(
        ok=FLAG,
        at=INSTANT,
        endpoint=TEXT,
        reference=TEXT,
        author=TEXT,
        checks=each(one_of(*Check)),
    ),
    "Findings": _listed(findings=each(ref("Finding"))),
    "Outages": _listed(outages=each(ref("Outage")), assertions=each(ref("Assertion"))),
    "Assertions": _listed(assertions=each(ref("Assertion"))),
    "Asserted": {
        **ASSERTION,
        "properties": {
            "ok": FLAG,
            **ASSERTION["properties"],
            "incidents": TEXTS,
            "warnings": TEXTS,
        },
        "required": ["ok", *ASSERTION["required"], "incidents", "warnings"],
    },
    "Incidents": _listed(incidents=each(ref("IncidentShown"))),
    "IncidentStepped": _and(INCIDENT_SHOWN, ok=FLAG),
    "Declarations": _listed(declarations=each(ref("Declaration"))),
    "Declared": _and(DECLARATION, ok=FLAG),
    "Imported": document(ok=FLAG, events=each(ref("Taken"))),
    "Months": _listed(months=each(ref("Sealing"))),
    "Account": _listed(months=each(ref("MonthRow"))),
    "Approved": {
        "type": "object",
        "description": "the restatement that counts from now on",
        "properties": {"ok": FLAG, "at": INSTANT, "month": MONTH, "number": COUNT},
        "required": ["ok", "at", "month", "number", "changes", "author", "approved_by"],
    },
    "Explained": document(
        rules=WHOLE,
        until=INSTANT,
        id=TEXT,
        kind=one_of("endpoint", "holdername", "incident", "assertion", "declaration"),
        at=INSTANT,
        explanations=each(ref("Explanation")),
        left_out=COUNT,
    ),
    "DeadAlerts": _listed(dead=each(ref("Delivery"))),
    "AlertsQueued": document(ok=FLAG, queued=TEXTS, warnings=TEXTS),
    "AlertsResent": document(ok=FLAG, resent=COUNT, warnings=TEXTS),
    "Holdernames": document(at=DAY, holdernames=each(ref("Holdername")), next=NEXT),
    "MappingRead": document(ok=FLAG, holdernames=COUNT, yaml=TEXT),
    "Reconciled": document(
        ok=FLAG,
        at=DAY,
        compared=COUNT,
        differences=each(
            document(
                kind=TEXT,
                guid=TEXT,
                name=TEXT,
                service=one_of(*Service),
                configured=TEXTS,
                registered=TEXTS,
            )
        ),
    ),
    "Identities": document(identities=each(ref("Identity"))),
    "IdentitiesChecked": document(ok=FLAG, identities=TEXTS, **CHECKED),
    "ConfigurationChecked": document(ok=FLAG, configuration=TEXT, **CHECKED),
    "JsonSchema": ANYTHING,
    "Service": document(
        now=INSTANT,
        version=TEXT,
        live=FLAG,
        since=INSTANT,
        alerts=each(ref("Receiver")),
        configuration=document(
            digest=HASH,
            rules_digest=HASH,
            taken_over_at=maybe(INSTANT),
            refused=each(document(what=TEXT, since=INSTANT)),
        ),
        store=document(path=TEXT, retain_observations_s=SECONDS),
        ledger=document(seq=COUNT, hash=HASH),
        warnings=TEXTS,
    ),
    "LedgerHead": document(seq=COUNT, hash=HASH),
    "Facts": document(facts=each(ref("Fact")), next=NEXT),
    "LedgerVerified": document(
        ok=FLAG,
        source=TEXT,
        facts=COUNT,
        blocks=COUNT,
        observations=COUNT,
        head=document(seq=COUNT, hash=HASH),
        chained_until=maybe(INSTANT),
        first_broken=maybe(ANYTHING),
        findings=each(ANYTHING),
        found=COUNT,
        seals=each(ANYTHING),
    ),
    "StoreChecked": document(
        ok=FLAG,
        store=TEXT,
        faults=TEXTS,
        rows={"type": "object", "additionalProperties": COUNT},
        size_bytes=COUNT,
    ),
    "Problem": {
        "type": "object",
        "description": "RFC 9457; every type has a page at its address",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": TEXT,
            "status": WHOLE,
            "detail": TEXT,
            "instance": TEXT,
            "errors": each(
                document(
                    "pointer",
                    "parameter",
                    pointer={"type": "string", "description": "JSON Pointer into the body"},
                    parameter={"type": "string", "description": "a parameter of the query"},
                    detail=TEXT,
                )
            ),
            "faults": each(ref("Fault")),
        },
        "required": ["type", "title", "status", "detail"],
    },
}
