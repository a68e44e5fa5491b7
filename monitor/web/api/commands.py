"""Which request does what a command does; and why some commands have none."""

from __future__ import annotations

from collections.abc import Mapping

REQUESTS: Mapping[str, str] = {
    "status": "GET /status",
    "probe": "POST /endpoints/{endpoint}/probe",
    "check": "POST /configuration/check",
    "slo": "GET /months/{month}",
    "slo approve": "POST /months/{month}/approve",
    "returns": "GET /months/{month}/returns.zip",
    "report": "GET /months/{month}/report.zip",
    "explain": "GET /explain",
    "downtime plan": "POST /declarations/plan",
    "downtime declare": "POST /declarations",
    "downtime notify": "POST /declarations/{id}/notify",
    "downtime amend": "POST /declarations/{id}/amend",
    "downtime cancel": "POST /declarations/{id}/cancel",
    "downtime complete": "POST /declarations/{id}/complete",
    "downtime import": "POST /declarations/import",
    "downtime list": "GET /declarations",
    "downtime show": "GET /declarations/{id}",
    "downtime pack": "GET /declarations/{id}/pack.zip",
    "outage list": "GET /outages",
    "outage assert": "POST /assertions",
    "outage withdraw": "POST /assertions/{id}/withdraw",
    "incident list": "GET /incidents",
    "incident show": "GET /incidents/{id}",
    "incident acknowledge": "POST /incidents/{id}/acknowledge",
    "incident report": "POST /incidents/{id}/report",
    "incident update": "POST /incidents/{id}/update",
    "incident attest": "POST /incidents/{id}/attest",
    "incident close": "POST /incidents/{id}/close",
    "incident pack": "GET /incidents/{id}/pack.zip",
    "endpoint acknowledge-change": "POST /endpoints/{endpoint}/acknowledge-change",
    "holdername list": "GET /holdernames",
    "holdername import": "POST /holdernames/import",
    "holdername reconcile": "POST /holdernames/reconcile",
    "identity show": "GET /identities",
    "identity check": "POST /identities/check",
    "config schema": "GET /configuration/schema",
    "alerts test": "POST /alerts/test",
    "alerts dead": "GET /alerts/dead",
    "alerts resend": "POST /alerts/resend",
    "ledger verify": "POST /ledger/verify",
    "ledger export": "GET /ledger/export",
    "store check": "POST /store/check",
    "store backup": "GET /store/backup",
}
"""Command to method and path below `/api/v1`."""

NONE: Mapping[str, str] = {
    "run": "it is what answers requests",
    "sandbox": "it is a process of its own, on the machine of whoever tries the monitor",
    "healthcheck": "/healthz and /readyz say the same",
    "replay": "it works on files beside it, and on configurations that are not in force",
    "store migrate": "the daemon that answers must not run",
    "token create": "whoever makes tokens edits the tokens file, on the machine",
}
"""Command to why no request does it."""
