"""docs/reference/facts.md: every type of fact, its fields, and who writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from scripts.reference.tables import WRITTEN, table


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of fact: who writes it, what it says, its fields with their meaning.

    `may` are fields that are not always there. Fields of every fact are left out.
    """

    writer: str
    says: str
    fields: Mapping[str, str]
    may: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.fields) | frozenset(self.may)


_AUTHOR = {"author": "who said so"}
_WARNINGS = {"warnings": "list of texts: what was shown when it was recorded"}
_WINDOW = {
    "kind": "`planned`, `emergency` or `maps`",
    "start": "instant: the window begins",
    "end": "instant: the window ends",
    "reason": "text",
    "ticket": "MaPS' reference, or null",
}
_SCOPE = {
    "endpoints": "list of ids; null or absent: not narrowed by it",
    "holdernames": "list of GUIDs, likewise",
    "services": "list of services, likewise",
}
_CHANGE = {
    "technical_change": "MaPS' reference of the technical change",
    "change_class": "`minimal`, `minor`, `moderate` or `significant`",
    "freeze_override": "why the window may lie in a freeze",
}
_NOTIFIED = {"notified_at": "instant: when MaPS was told; null: not yet, without effect"}
_DECLARATION = {"id": "the declaration, such as `D-1`"}
_ASSERTION = {"id": "the assertion, such as `A-1`"}
_INCIDENT = {"id": "the incident, such as `I-1`"}
_ENDPOINT = {"endpoint": "id of the endpoint"}
_MONTH = {
    "month": "`YYYY-MM`",
    "rules": "version of the accounting rules",
    "configuration": "SHA-256 of the configuration in force",
}
_RESTATEMENT = {
    **_MONTH,
    "reason": "which facts made the difference",
    "authors": "list of those who recorded them",
    "changes": "list of `{was, now}`: a row before (null: none) and after",
}
_VIEW = {
    **_INCIDENT,
    "kind": "`outage` or `emergency_fix`",
    "group": "its cause: the endpoints' group, or the assertion's id",
    "asserted": "whether its outages were asserted",
    "started_at": "instant: first unavailable instant that needed it",
    "detected_at": "instant: when we knew",
    "restored_at": "instant: end of its last outage; null while one lasts",
    "endpoints": "list of ids",
    "holdernames": "list of GUIDs",
    "declaration": "the declaration that it overran or that came too late, or null",
    "members": "list of its outages: endpoint and start, or the assertion's id",
}
_CHECK = {
    **_ENDPOINT,
    "check": "`url_change`, `certificate_change`, `client_certificate`, `tls_1_1` or `tls_fallback`",
    "evidence": "what was seen, as an object",
}

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "observation": Shape(
            "the daemon, each probe",
            "what a probe saw; `at` is when it started",
            {
                **_ENDPOINT,
                "result": "`up`, `impaired`, `down` or `local`",
                "reason": "one of the [reasons](reasons.md)",
            },
            {
                "duration_us": "microseconds that the probe took",
                "status": "HTTP status, or null if there was none",
            },
        ),
        "declaration": Shape(
            "`downtime declare`, `downtime import`",
            "downtime is declared: the first version",
            {**_DECLARATION, **_NOTIFIED, **_WINDOW, **_AUTHOR},
            {
                **_SCOPE,
                **_CHANGE,
                "uid": "of the event, if it came from MaPS' calendar",
                **_WARNINGS,
            },
        ),
        "amendment": Shape(
            "`downtime amend`, `downtime notify`, `downtime import`",
            "one more version: what is given is changed, the rest kept",
            {**_DECLARATION, **_NOTIFIED, **_AUTHOR},
            {**_WINDOW, **_SCOPE, **_CHANGE, **_WARNINGS},
        ),
        "cancellation": Shape(
            "`downtime cancel`, `downtime import`",
            "the declaration covers nothing from now on",
            {**_DECLARATION, **_AUTHOR},
            {"reason": "text", **_WARNINGS},
        ),
        "completion": Shape(
            "`downtime complete`",
            "the work is done",
            {
                **_DECLARATION,
                "actual_start": "instant, or null: nothing was down",
                "actual_end": "instant, or null",
                **_AUTHOR,
            },
            _WARNINGS,
        ),
        "assertion": Shape(
            "`outage assert`",
            "holdernames are unavailable, which no probe can see; the same id again replaces it",
            {
                **_ASSERTION,
                "start": "instant",
                "end": "instant, or null: it goes on",
                "holdernames": "list of GUIDs",
                "services": "list of services, or null: all",
                "reason": "text",
                **_AUTHOR,
            },
            _WARNINGS,
        ),
        "withdrawal": Shape(
            "`outage withdraw`",
            "the assertion counts no more",
            {**_ASSERTION, **_AUTHOR},
            {"reason": "text", **_WARNINGS},
        ),
        "incident.opened": Shape("the daemon", "unavailability needs an incident", _VIEW),
        "incident.changed": Shape("the daemon", "endpoints joined, or its times changed", _VIEW),
        "incident.restored": Shape("the daemon", "its last outage ended", _VIEW),
        "incident.reopened": Shape("the daemon", "it failed again in the quiet period", _VIEW),
        "incident.at_risk": Shape(
            "the daemon",
            "the restoration target is at risk",
            {**_INCIDENT, "after_s": "seconds since it started"},
        ),
        "incident.breached": Shape(
            "the daemon",
            "the restoration target has passed",
            {**_INCIDENT, "deadline": "instant that passed"},
        ),
        "incident.merged": Shape(
            "the daemon",
            "it was one with an older incident all along",
            {**_INCIDENT, "into": "the older incident"},
        ),
        "incident.voided": Shape(
            "the daemon",
            "the facts show no outage any more that needs it",
            {**_INCIDENT, "reason": "text"},
        ),
        "incident.acknowledged": Shape(
            "`incident acknowledge`", "somebody looks after it", {**_INCIDENT, **_AUTHOR}
        ),
        "incident.reported": Shape(
            "`incident report`",
            "MaPS was told",
            {
                **_INCIDENT,
                "ticket": "MaPS' reference",
                "reported_at": "instant: when MaPS was told",
                **_AUTHOR,
            },
        ),
        "incident.updated": Shape(
            "`incident update`",
            "a note, a promise, the cause, where it lay: any of them",
            {**_INCIDENT, **_AUTHOR},
            {
                "text": "text",
                "next_update_at": "instant promised to MaPS",
                "cause": "text",
                "location": "`own`, `federated` or `maps`",
            },
        ),
        "incident.attested": Shape(
            "`incident attest`", "no acknowledged data was lost", {**_INCIDENT, **_AUTHOR}
        ),
        "incident.closed": Shape(
            "`incident close`", "all that was owed is done", {**_INCIDENT, **_AUTHOR}
        ),
        "seal": Shape(
            "the daemon, `slo.seal_after` working days after the month",
            "the month's figures, fixed",
            {**_MONTH, "rows": "list of the rows that `slo --json` prints"},
        ),
        "restatement": Shape(
            "the daemon, or `slo approve`",
            "figures of a sealed month differ by later facts",
            {**_RESTATEMENT, "number": "1, 2... of that month"},
            {
                "proposed_at": "instant of the proposal that was approved",
                "approved_by": "the second person, where a figure got better",
                **_AUTHOR,
            },
        ),
        "restatement_proposed": Shape(
            "the daemon",
            "figures would get better; waits for a second person. Without changes: taken back",
            _RESTATEMENT,
        ),
        "configuration": Shape(
            "the daemon, at a start and a reload",
            "this configuration is in force from now on",
            {
                "digest": "SHA-256 of all but secrets",
                "accounting": "rules, endpoints and holdernames: all that figures depend on",
                "urls": "endpoint to URL",
            },
        ),
        "endpoint.changed": Shape(
            "the daemon",
            "the configured URL is another one",
            {
                **_ENDPOINT,
                "before": "URL",
                "after": "URL",
                "reference": "of the technical change in whose window it was, or null",
            },
        ),
        "certificate.seen": Shape(
            "the daemon",
            "a server certificate that was never seen of the endpoint",
            {
                **_ENDPOINT,
                "sha256": "fingerprint, hex",
                "issuer": "text",
                "subject": "text",
                "names": "list of the names it is for",
                "key_sha256": "fingerprint of the public key",
                "not_after": "instant",
                "change": "`first`, `renewal` or `identity`",
                "reference": "of the technical change in whose window it was, or null",
            },
        ),
        "change.acknowledged": Shape(
            "`endpoint acknowledge-change`",
            "a change found has a reference after all",
            {
                **_ENDPOINT,
                "reference": "MaPS' reference",
                "checks": "list of the findings cleared",
                **_AUTHOR,
            },
        ),
        "security.checked": Shape(
            "the daemon",
            "a check of what must be refused has another outcome than the last one",
            {**_CHECK, "outcome": "`good` or `unknown`", "text": "what was seen"},
        ),
        "security.finding": Shape(
            "the daemon", "something is unsafe", {**_CHECK, "finding": "what is wrong"}
        ),
        "clock_step": Shape(
            "the daemon",
            "the wall clock was stepped",
            {"seconds": "by how much; negative: backwards"},
        ),
        "notice": Shape(
            "the daemon",
            "a reminder was queued, so that it is not given twice",
            {"once": "its name for ever", "event": "type of the alert"},
        ),
        "observations": Shape(
            "the ledger, ten minutes after each UTC hour",
            "the observations of an hour, put into the chain",
            {
                "hour": "instant at which the hour begins",
                "blocks": "endpoint to `[rows, SHA-256]`",
            },
            {"until": "instant: every hour before it is in the chain"},
        ),
        "pruned": Shape(
            "the ledger",
            "observations older than `store.retain_observations` were taken away",
            {
                **_ENDPOINT,
                "before": "instant before which there are none",
                "kept": "`[rows, SHA-256]` of what is left of that hour",
            },
        ),
    }
)
"""Type of fact to its shape, in the order of the page."""

HEAD = f"""\
# Facts

{WRITTEN}
What is kept for good. A facts file has one JSON object a line, in order of `at`; `monitor ledger export` writes one,
`monitor replay` reads one, and needs of these only `observation`, `declaration` to `withdrawal`. Every fact has:

| field | meaning |
| --- | --- |
| `type` | one of those below |
| `at` | instant at which we learned of it, of an observation: at which the probe started |
| `seq`, `hash` | of an exported fact: its place in the ledger, and SHA-256 over the hash before it and its line |

Instants are ISO 8601 in UTC. Fields in *italics* are not always there. A fact is never changed: a correction is a new
one. How the chain is made and checked: [how-to/audit.md](../how-to/audit.md).

"""


def facts() -> str:
    """The page: all types at a glance, then the fields of each."""
    rows = [
        (f"[`{kind}`](#{_anchor(kind)})", shape.says, shape.writer)
        for kind, shape in SHAPES.items()
    ]
    return HEAD + table(("type", "says", "written by"), rows) + "".join(_sections())


def _anchor(kind: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return kind.replace(".", "")


def _sections() -> Iterator[str]:
    for kind, shape in SHAPES.items():
        rows = [(f"`{name}`", text) for name, text in shape.fields.items()]
        rows += [(f"*`{name}`*", text) for name, text in shape.may.items()]
        yield f"\n## `{kind}`\n\n{table(('field', 'meaning'), rows)}"
