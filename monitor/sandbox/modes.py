"""How an endpoint or the sink can be made to fail, and which reason a probe gives for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.core.verdict import Reason
from monitor.errors import UsageError

CERTIFICATES = ("expired", "wrong_name", "untrusted")
REFUSED_ALERTS = ("certificate_revoked", "unknown_ca")
PLAIN_ALERTS = {
    "handshake_failure": 40,
    "access_denied": 49,
    "internal_error": 80,
    "unrecognized_name": 112,
}
"""Alerts sent in place of the server's hello, with their numbers (RFC 8446, section 6)."""
REFUSAL_TEXTS = ("No required SSL certificate was sent", "The SSL certificate error")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a mode: its default and what it may be, in words and as a check."""

    default: object
    accepts: str
    read: Callable[[object], object]


def _number(low: float, high: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError
        return number

    return read


def _whole(low: int, high: int) -> Callable[[object], int]:
    check = _number(low, high)

    def read(value: object) -> int:
        number = check(value)
        if number != int(number):
            raise ValueError
        return int(number)

    return read


def _one_of(choices: Iterable[str]) -> Option:
    known = tuple(choices)

    def read(value: object) -> str:
        if value not in known:
            raise ValueError
        return str(value)

    return Option(known[0], "one of " + ", ".join(known), read)


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to behave. `examples` pair options with the reason a probe then gives."""

    name: str
    does: str
    options: Mapping[str, Option] = field(default_factory=dict)
    examples: tuple[tuple[Mapping[str, object], Reason], ...] = ()
    sink: bool = False


_DELAY = Option(1.5, "seconds, 0 to 3600", _number(0, 3600))
_CODE = Option(503, "an HTTP status code, 200 to 599", _whole(200, 599))
_RETRY_AFTER = Option(30, "seconds, 0 to 86400", _whole(0, 86400))
_PROTOCOL = _one_of(("1.3", "1.2"))

MODES: Mapping[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("ok", "answers as it should", {}, (({}, Reason.OK),), sink=True),
        Mode(
            "slow",
            "answers as it should, but late",
            {"delay": _DELAY},
            (({"delay": 1.5}, Reason.SLOW),),
            sink=True,
        ),
        Mode("hang", "takes the request and never answers", {}, (({}, Reason.RESPONSE_TIMEOUT),),
             sink=True),
        Mode(
            "status",
            "answers with a status; 429 and 503 carry Retry-After, 3xx a Location, 2xx data",
            {"code": _CODE, "retry_after": _RETRY_AFTER},
            (
                ({"code": 503}, Reason.STATUS_5XX),
                ({"code": 500}, Reason.STATUS_5XX),
                ({"code": 429}, Reason.RATE_LIMITED),
                ({"code": 302}, Reason.REDIRECT),
                ({"code": 410}, Reason.STATUS_UNEXPECTED),
                ({"code": 200}, Reason.AUTHORISATION_MISSING),
            ),
            sink=True,
        ),
        Mode("refuse", "listens no more: connections are refused", {},
             (({}, Reason.CONNECT_REFUSED),)),
        Mode("blackhole", "lets connections hang before they are made", {},
             (({}, Reason.CONNECT_TIMEOUT),)),
        Mode(
            "reset",
            "resets the connection, after the request or as soon as it is made",
            {"at": _one_of(("request", "accept"))},
            (({"at": "request"}, Reason.CONNECT_RESET), ({"at": "accept"}, Reason.CONNECT_RESET)),
        ),
        Mode(
            "bad_certificate",
            "shows a server certificate that must not be trusted",
            {"kind": _one_of(CERTIFICATES)},
            tuple(({"kind": kind}, Reason.TLS_CERTIFICATE) for kind in CERTIFICATES),
        ),
        Mode(
            "wrong_client_ca",
            "does not know the CA of our certificate: alert unknown_ca"
            " (after the handshake in TLS 1.3, within it in TLS 1.2)",
            {"tls": _PROTOCOL},
            (({"tls": "1.3"}, Reason.TLS_REFUSED), ({"tls": "1.2"}, Reason.TLS_REFUSED)),
        ),
        Mode(
            "tls_alert",
            "sends a TLS alert: certificate_revoked and unknown_ca about our certificate, after"
            " the handshake; the others in place of the server's hello",
            {"alert": _one_of((*REFUSED_ALERTS, *PLAIN_ALERTS))},
            (
                *(({"alert": alert}, Reason.TLS_REFUSED) for alert in REFUSED_ALERTS),
                ({"alert": "access_denied"}, Reason.TLS_REFUSED),
                ({"alert": "handshake_failure"}, Reason.TLS_HANDSHAKE),
                ({"alert": "internal_error"}, Reason.TLS_HANDSHAKE),
                ({"alert": "unrecognized_name"}, Reason.TLS_HANDSHAKE),
            ),
        ),
        Mode("stall", "takes connections and never shakes hands", {},
             (({}, Reason.TLS_HANDSHAKE),)),
        Mode("close", "shakes hands, takes the request and hangs up", {},
             (({}, Reason.CONNECT_RESET),)),
        Mode("truncate", "hangs up in the middle of its answer", {},
             (({}, Reason.RESPONSE_INVALID),)),
        Mode("plaintext", "speaks HTTP without TLS", {}, (({}, Reason.TLS_HANDSHAKE),)),
        Mode("tls_old", "offers TLS 1.1 at most", {}, (({}, Reason.TLS_VERSION),)),
        Mode("garbage", "answers with what is not HTTP", {}, (({}, Reason.RESPONSE_INVALID),)),
        Mode(
            "nginx_refusal",
            "answers with nginx's page for a missing or a bad client certificate, status 400",
            {"text": _one_of(REFUSAL_TEXTS)},
            tuple(({"text": text}, Reason.TLS_REFUSED) for text in REFUSAL_TEXTS),
        ),
    )
}  # fmt: skip

SINK_MODES: Mapping[str, Mode] = {name: mode for name, mode in MODES.items() if mode.sink}

NOT_BY_A_SERVER = (Reason.DNS, Reason.NO_ROUTE, *(each for each in Reason if each.local))
"""Reasons that no server can provoke: they lie in names, routes, or with ourselves."""

LONGEST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Setting:
    """A mode with all its options, and when it ends (None: when healed)."""

    mode: str
    options: Mapping[str, Any]
    until: datetime | None = None

    def document(self) -> dict[str, object]:
        until = self.until.isoformat() if self.until else None
        return {"mode": self.mode, "options": dict(self.options), "until": until}


OK = Setting("ok", {})


def read_setting(
    body: Mapping[str, object], known: Mapping[str, Mode], now: datetime
) -> tuple[Setting, float | None]:
    """A control request as a setting and the seconds it is to last (None: until healed).

    Raises UsageError, naming the choices, for a mode, option or value nobody knows.
    """
    name = body.get("mode")
    mode = known.get(name) if isinstance(name, str) else None
    if mode is None:
        raise UsageError(f'"mode" is {name!r}; it must be one of {", ".join(known)}')
    rest = {key: value for key, value in body.items() if key not in ("mode", "seconds")}
    options = {key: option.default for key, option in mode.options.items()}
    for key, value in rest.items():
        if key not in mode.options:
            choices = ", ".join(["seconds", *mode.options])
            raise UsageError(f'mode {mode.name} has no option "{key}"; it has {choices}')
        options[key] = _value(key, value, mode.options[key])
    seconds = body.get("seconds")
    if seconds is None:
        return Setting(mode.name, options), None
    limit = LONGEST.total_seconds()
    span = Option(None, f"a number, above 0 and up to {limit:.0f}", _number(0.001, limit))
    lasting = float(str(_value("seconds", seconds, span)))
    return Setting(mode.name, options, now + timedelta(seconds=lasting)), lasting


def _value(key: str, value: object, option: Option) -> object:
    try:
        return option.read(value)
    except ValueError:
        raise UsageError(f'"{key}" is {value!r}; it must be {option.accepts}') from None


class Switch:
    """The present setting of one endpoint or of the sink, and its way back to `ok`.

    `changed` is called with each new setting, on the event loop.
    """

    def __init__(self, known: Mapping[str, Mode], changed: Callable[[Setting], None]) -> None:
        self._known = known
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None
        self.setting = OK

    def set(self, body: Mapping[str, object]) -> Setting:
        """Obey a control request; UsageError, and nothing changed, if it cannot be understood."""
        setting, lasting = read_setting(body, self._known, datetime.now(UTC))
        self._apply(setting)
        if lasting is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(lasting, self._apply, OK)
        return setting

    def heal(self) -> None:
        """Behave again, at once."""
        self._apply(OK)

    def _apply(self, setting: Setting) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._changed(setting)
        self.setting = setting


def table(known: Mapping[str, Mode]) -> list[dict[str, object]]:
    """The modes with their options and reasons, as `GET /control` lists them."""
    return [
        {
            "mode": mode.name,
            "does": mode.does,
            "options": {
                name: {"default": option.default, "accepts": option.accepts}
                for name, option in mode.options.items()
            },
            "reasons": [
                {"options": dict(options), "reason": reason.value}
                for options, reason in mode.examples
            ],
        }
        for mode in known.values()
    ]
