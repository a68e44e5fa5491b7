"""docs/reference/reasons.md: what each reason of an observation means, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from monitor.core.attribution import POINTING
from monitor.core.endpoint import Service
from monitor.core.verdict import (
    CERTIFICATE_STATUSES,
    DEFAULTS,
    REFUSAL_STATUSES,
    REFUSALS,
    Reason,
    Result,
)
from scripts.reference.tables import WRITTEN, table

UP, IMPAIRED, DOWN, LOCAL = Result.UP, Result.IMPAIRED, Result.DOWN, Result.LOCAL

MEANINGS: Mapping[Reason, tuple[tuple[Result, ...], str, str]] = MappingProxyType(
    {
        Reason.OK: ((UP,), "an accepted status, in time", "nothing"),
        Reason.SLOW: (
            (IMPAIRED,),
            "an accepted status, later than `impaired_above`",
            "look at the phases (`monitor probe ID`): `ttfb` is their work, `dns`, `connect` and `tls` the way there",
        ),
        Reason.STATUS_UNEXPECTED: (
            (IMPAIRED,),
            "a status below 500 that is not accepted, such as 404 from Find",
            "a lost route at a gateway is the usual cause; if it is right, add it to `expect.status`",
        ),
        Reason.STATUS_5XX: (
            (DOWN,),
            "a status from 500 up",
            "theirs: their log, by the `X-Request-ID` that `monitor probe` shows",
        ),
        Reason.REDIRECT: (
            (DOWN,),
            "a status 3xx; redirects are never followed",
            "correct the URL in the configuration, or the gateway",
        ),
        Reason.RATE_LIMITED: (
            (IMPAIRED,),
            "a status 429",
            "agree on an exemption of the monitor, or probe more seldom; see `Retry-After`",
        ),
        Reason.AUTHORISATION_MISSING: (
            (UP,),
            "a request without a token was answered as if it had one; it is up, and a security finding",
            "take it to whoever answers for security at once: data may be given to anybody",
        ),
        Reason.TLS_VERSION: (
            (DOWN,),
            "no TLS version from 1.2 up in common (CoCo 1.1.1)",
            "theirs: the TLS settings of the gateway",
        ),
        Reason.TLS_CERTIFICATE: (
            (DOWN,),
            "their certificate is expired, has another name, or is vouched for by nobody we trust",
            "theirs, unless `trust` of the identity is wrong: endpoints have certificates of public CAs",
        ),
        Reason.TLS_REFUSED: (
            (DOWN,),
            "they refuse our certificate: by a TLS alert, or with a page after a good handshake",
            "compare with other endpoints: refused everywhere it becomes `local_identity`;"
            " `monitor identity show`, then ask which CAs the gateway trusts",
        ),
        Reason.TLS_HANDSHAKE: (
            (DOWN,),
            "the handshake failed otherwise, or did not end in time",
            "theirs: the detail in `monitor probe ID` says at which step",
        ),
        Reason.DNS: (
            (DOWN,),
            "the name does not resolve, or not in time",
            "look it up from elsewhere; if nothing resolves here it becomes `local_dns`",
        ),
        Reason.CONNECT_REFUSED: (
            (DOWN,),
            "nobody listens at the port",
            "theirs: is the gateway up?",
        ),
        Reason.CONNECT_TIMEOUT: (
            (DOWN,),
            "no answer to the connection within the timeout",
            "a firewall or a dead host; try from elsewhere",
        ),
        Reason.CONNECT_RESET: (
            (DOWN,),
            "the connection was closed or reset before an answer",
            "theirs: a crashed worker, or a load balancer without members",
        ),
        Reason.RESPONSE_TIMEOUT: (
            (DOWN,),
            "connected, but no whole answer within `timeout`",
            "theirs: a hung back end",
        ),
        Reason.RESPONSE_INVALID: (
            (DOWN,),
            "what came back is not HTTP, or breaks off",
            "theirs; see that the port speaks HTTPS",
        ),
        Reason.NO_ROUTE: (
            (DOWN,),
            "the network says that there is no way there",
            "theirs if others are reachable, else it becomes `local_network`",
        ),
        Reason.LOCAL_IDENTITY: (
            (LOCAL,),
            "our certificate is expired, unreadable, or refused by every endpoint alike",
            "`monitor identity check`; rotate the material (docs/how-to/rotate.md)",
        ),
        Reason.LOCAL_DNS: (
            (LOCAL,),
            "no endpoint's name resolves",
            "the resolver of this machine",
        ),
        Reason.LOCAL_NETWORK: (
            (LOCAL,),
            "no endpoint can be reached, or this machine has no network",
            "the route and the firewall of this machine",
        ),
        Reason.LOCAL_CLOCK: (
            (LOCAL,),
            "the clock was stepped while the probe ran",
            "time synchronisation; see `monitor_clock_step_seconds_total`",
        ),
        Reason.LOCAL_OVERLOAD: (
            (LOCAL,),
            "too late by our own doing: the event loop lagged, or there were no sockets left",
            "CPU, `ulimit -n`, `probing.max_concurrent`; see `monitor_event_loop_lag_seconds`",
        ),
        Reason.LOCAL_STORE: (
            (LOCAL,),
            "the store could not be written",
            "the disk; what was seen waits in memory and is written later",
        ),
    }
)
"""Reason to the results it comes with, what it means and what to do."""

HEAD = f"""\
# Reasons

{WRITTEN}
Why an observation says what it says: one word of a closed list, in `monitor probe`, `explain`, in
`monitor_probe_results_total` and in the facts. The result decides: `impaired` and `down` both fail, and failing
time is unavailable once confirmed; `local` means that we could not tell, its time is `unknown`.

"""

ACCEPTED = """
## Accepted answers

What reads as up unless `expect.status` says otherwise. The requests are safe: no token, no personal data, for View a
random asset that nobody registered.

"""


def reasons() -> str:
    """The page."""
    rows = [
        (f"`{reason}`", ", ".join(f"`{one}`" for one in results), meaning, cure)
        for reason, (results, meaning, cure) in MEANINGS.items()
    ]
    pointing = ", ".join(f"`{theirs}` (then `{ours}`)" for theirs, ours in POINTING.items())
    return (
        HEAD
        + table(("reason", "result", "means", "what to do"), rows)
        + f"\nThese point at us if all endpoints of one identity fail alike: {pointing}.\nWith endpoints on one host"
        " only, a configured `witness` settles it.\n"
        + ACCEPTED
        + table(("service", "request", "statuses", "impaired above"), _accepted())
        + "\n## Refusals of our certificate\n\nA gateway may refuse a client certificate with a page after a good"
        f" handshake. A status of {_statuses(REFUSAL_STATUSES - CERTIFICATE_STATUSES)}\nwith one of these texts is"
        f" `tls_refused`, and {_statuses(CERTIFICATE_STATUSES)} always is (`expect.refusals`):\n\n"
        + "".join(f"* {text}\n" for text in REFUSALS)
    )


def _accepted() -> list[tuple[str, ...]]:
    found = []
    for service in Service:
        default = DEFAULTS[service]
        limit = f"{default.impaired_above.total_seconds():.0f}s"
        found.append((f"`{service}`", f"`{default.method}`", _statuses(default.statuses), limit))
    return found


def _statuses(some: frozenset[int]) -> str:
    return ", ".join(str(one) for one in sorted(some))
