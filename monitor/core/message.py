"""An event as a short text for people: what, since when, by when, and what to do next.

For chat, mail and pagers, to be understood at three in the morning. Programs get the event itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from monitor.core.alert import Event
from monitor.core.month import civil

LISTED = 10
"""Names that a text lists before it only counts."""


class Level(StrEnum):
    """How bad it is, in the words of most messengers."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Message:
    """Plain text; `body` has a line for each thing to know."""

    title: str
    body: str
    level: Level


def message(event: Event, zone: ZoneInfo, public_url: str | None = None) -> Message:
    """The text of an event, with times as the zone's clocks show them, and a link if there are pages."""
    tell = _Teller(event, zone)
    family = event.type.partition(".")[0]
    title, lines = _FAMILIES.get(family, _other)(tell)
    page = _PAGES.get(family)
    if public_url is not None and page is not None:
        lines = [*lines, f"{public_url}{page.format(key=event.key)}"]
    return Message(title, "\n".join(lines), _LEVELS.get(event.type, Level.WARNING))


_LEVELS = {
    "incident.opened": Level.FAILURE,
    "incident.reopened": Level.FAILURE,
    "incident.restoration_breached": Level.FAILURE,
    "incident.restored": Level.SUCCESS,
    "incident.closed": Level.SUCCESS,
    "incident.updated": Level.INFO,
    "downtime.upcoming": Level.INFO,
    "downtime.started": Level.INFO,
    "downtime.ended": Level.INFO,
    "slo.budget_exhausted": Level.FAILURE,
    "slo.month_sealed": Level.INFO,
    "ledger.head": Level.INFO,
    "test": Level.INFO,
}
_PAGES = {
    "incident": "/incidents/{key}",
    "downtime": "/downtime/{key}",
    "certificate": "/endpoints/{key}",
    "endpoint": "/endpoints/{key}",
    "security": "/endpoints/{key}",
}

Told = tuple[str, list[str]]


class _Teller:
    """An event's data, and how to say it."""

    def __init__(self, event: Event, zone: ZoneInfo) -> None:
        self.event = event
        self.step = event.type.partition(".")[2]
        self.data: Mapping[str, Any] = event.data
        self._zone = zone

    def time(self, name: str) -> str:
        """An instant of the data, such as `02:14 on Mon 2 March 2026, UK time`."""
        local = civil(datetime.fromisoformat(self.data[name]), self._zone)
        place = "UK time" if self._zone.key == "Europe/London" else self._zone.key
        return f"{local:%H:%M} on {local:%a} {local.day} {local:%B %Y}, {place}"

    def times(self, **names: str) -> Iterator[str]:
        """A line for each instant that there is: `Since: ...`."""
        for name, what in names.items():
            if self.data.get(name):
                yield f"{what}: {self.time(name)}"

    def names(self, name: str) -> str:
        """A list of the data, cut where it gets long."""
        every = list(self.data.get(name) or ())
        rest = len(every) - LISTED
        return ", ".join(every[:LISTED]) + (f" and {rest} more" if rest > 0 else "")

    def advice(self) -> Iterator[str]:
        if self.data.get("advice"):
            yield f"Next: {self.data['advice']}"


def _incident(tell: _Teller) -> Told:
    data, name = tell.data, tell.event.key
    what = tell.names("endpoints") or data["group"]
    reporting = f"report it to MaPS (monitor incident pack {name} --out DIR)"
    said = {
        "opened": (f"Incident {name}: {what} unavailable", f"restore service and {reporting}"),
        "reopened": (f"Incident {name} again: {what} unavailable", "restore service; tell MaPS"),
        "restored": (
            f"Incident {name} restored: {what}",
            f"what closing needs is on its page, and in: monitor incident show {name}",
        ),
        "closed": (f"Incident {name} closed", ""),
        "updated": (f"Incident {name} updated: {what}", ""),
        "restoration_at_risk": (
            f"Incident {name}: restoration in time is at risk",
            "escalate now",
        ),
        "restoration_breached": (
            f"Incident {name}: not restored in time",
            "restore service, and tell MaPS when that is to be",
        ),
        "report_due": (f"Incident {name}: not reported to MaPS", ""),
        "update_due": (f"Incident {name}: the update promised to MaPS is due", ""),
    }
    title, action = said.get(tell.step, (f"Incident {name}: {tell.step}", ""))
    lines = list(
        tell.times(
            started_at="Since", restored_at="Restored", deadline="Restore by", next_update_at="Due"
        )
    )
    if data.get("restored_at"):
        lines = [line for line in lines if not line.startswith("Restore by")]
    if data.get("holdernames"):
        lines.append(f"Holdernames: {len(data['holdernames'])}")
    if data.get("ticket"):
        lines.append(f"Ticket: {data['ticket']}")
    text = (data.get("step") or {}).get("text")
    if text:
        lines.append(f"Note: {text}")
    if action:
        if data.get("ticket"):
            action = action.replace(reporting, f"comment on ticket {data['ticket']}")
        lines.append(f"Next: {action}")
    return title, [*lines, *tell.advice()]


def _downtime(tell: _Teller) -> Told:
    data, name = tell.data, tell.event.key
    said = {
        "upcoming": f"Downtime {name} begins soon",
        "started": f"Downtime {name} has begun",
        "ended": f"Downtime {name} is over",
        "overrun": f"Downtime {name} overran: {tell.names('endpoints')} still unavailable",
        "completion_due": f"Downtime {name}: the completion comment is due",
    }
    lines = list(tell.times(start="From", end="Until"))
    if data.get("reason"):
        lines.append(f"For: {data['reason']}")
    if data.get("ticket"):
        lines.append(f"Ticket: {data['ticket']}")
    return said.get(tell.step, f"Downtime {name}: {tell.step}"), [*lines, *tell.advice()]


def _slo(tell: _Teller) -> Told:
    data = tell.data
    if tell.step == "burn":
        hours = data["window_s"] // 3600
        return f"{data['endpoint']}: error budget burning {data['burn_rate']:.1f} times too fast", [
            f"Over the last {hours} h; restore service, or the month's objective is missed"
        ]
    if tell.step == "budget_exhausted":
        minutes = int(-data["remaining_s"] // 60)
        return f"{data['endpoint']}: the error budget of {data['month']} is spent", [
            f"Overspent by {minutes} min",
            f"Next: put off planned downtime; monitor slo --month {data['month']} says what spent it",
        ]
    return _other(tell)


def _expiring(tell: _Teller) -> Told:
    data = tell.data
    ours = tell.event.type == "identity.expiring"
    whose = "our" if ours else "its"
    left = data["days_left"]
    when = "has run out" if left < 0 else f"runs out in {left} days"
    action = "ask for new material now" if ours else "have it renewed"
    return f"{data['name']}: {whose} certificate {when}", [
        *tell.times(not_after="Valid until"),
        f"Next: {action}",
    ]


def _endpoint(tell: _Teller) -> Told:
    data = tell.data
    title = f"{data['endpoint']}: not up, and due to connect in {data['days_left']} days"
    last = f"Last probe: {data['result']} ({data['reason']})"
    return title, [f"Connects on: {data['connected_from']}", last, *tell.advice()]


def _monitor(tell: _Teller) -> Told:
    data = tell.data
    if tell.step == "gap":
        return "monitor was not running", [
            *tell.times(since="From", until="Until"),
            "Next: that time is unknown; see why it had stopped",
        ]
    if "step_s" in data:
        return f"monitor: the clock was stepped by {data['step_s']:+.0f} s", [
            "Next: see to the time synchronisation of its machine"
        ]
    if "lost" in data:
        return "monitor: its store can be written again", [
            *tell.times(since="Failing since"),
            f"Observations lost: {data['lost']}",
            "Next: see why it could not be written",
        ]
    return f"monitor: own fault {data['reason']}, endpoints cannot be judged", [
        *tell.times(since="Since"),
        f"First seen at: {data['endpoint']}",
        "Next: that time is unknown until it is mended; monitor probe shows what is wrong",
    ]


def _security(tell: _Teller) -> Told:
    data = tell.data
    return f"{data['endpoint']}: {data['finding']}", [
        *tell.times(observed_at="Seen"),
        "Next: look into it; monitor status lists what stands",
    ]


def _test(tell: _Teller) -> Told:
    return "A test of monitor", [f"Sent by {tell.data.get('author') or 'somebody'}: it arrived"]


def _other(tell: _Teller) -> Told:
    """Whatever has no text of its own: its name and its data, a line each."""
    return tell.event.type, [
        f"{name}: {value}" for name, value in tell.data.items() if value not in (None, "", [], {})
    ]


_FAMILIES: Mapping[str, Callable[[_Teller], Told]] = {
    "incident": _incident,
    "downtime": _downtime,
    "slo": _slo,
    "identity": _expiring,
    "certificate": _expiring,
    "endpoint": _endpoint,
    "monitor": _monitor,
    "security": _security,
    "test": _test,
}
