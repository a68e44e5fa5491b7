"""What an operator wants at a glance: is anything down, since when, what is owed to whom by when.

All of it is asked of the Book and of `snapshot.py`; here it is put in order and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from monitor import declare, ribbons, snapshot
from monitor.core.book import Book
from monitor.core.downtime import Calendar, Declaration
from monitor.core.incident import IncidentState, Record
from monitor.core.interval import MICROSECOND, Interval
from monitor.core.month import Month, show_instant
from monitor.core.seal import waiting
from monitor.core.slo import Account, Verdict
from monitor.core.timeline import State
from monitor.ribbons import DayMemory
from monitor.snapshot import Document

LEAST = 5
"""Endpoints listed of which the least budget is left."""
ORDER = (State.DOWN, State.IMPAIRED, State.UNKNOWN, State.UNCONFIRMED, State.UP)
"""Of endpoints: the troubled ones first."""
_RANK = {state: place for place, state in enumerate(ORDER)}


# -- how each endpoint stands ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint's state now, and of its month's budget the share that is left (None: no budget)."""

    endpoint: str
    state: State
    left: Fraction | None
    verdict: str | None


def by_trouble(one: Standing) -> tuple[int, int, str]:
    """The troubled first; of alike ones first that with the least budget left."""
    return _RANK[one.state], _FINE if one.left is None else _fine(one.left), one.endpoint


_FINE = 10**12


def _fine(share: Fraction) -> int:
    """A share as a whole number that is fast to compare, and finer than any budget's microseconds."""
    return share.numerator * _FINE // share.denominator


@dataclass(slots=True)
class Memory:
    """What need not be worked out again: past days, and months in which nothing has changed."""

    days: DayMemory = field(default_factory=DayMemory)
    _past: tuple[tuple[int, int, str], Book, Calendar] | None = None
    _accounts: dict[str, tuple[int, datetime, Fraction | None, str]] = field(default_factory=dict)

    def standing(self, book: Book, endpoint: str, now: datetime) -> Standing:
        """How an endpoint stands."""
        state = book.endpoint_states(endpoint, Interval(now - MICROSECOND, now), now)[-1].state
        if not book.register.endpoints[endpoint].live:
            return Standing(endpoint, state, None, None)
        left, verdict = self._budget(book, endpoint, now)
        return Standing(endpoint, state, left, verdict)

    def _budget(self, book: Book, endpoint: str, now: datetime) -> tuple[Fraction | None, str]:
        """The share left and the verdict; the same as long as no outage is added or goes on."""
        month = Month.of(now - MICROSECOND, book.rules.zone)
        past = (id(book), id(book.calendar), str(month))
        if self._past is None or self._past[0] != past:
            self._past, self._accounts = (past, book, book.calendar), {}
        outages = book.endpoint_outages(endpoint)
        ends = outages[-1].end if outages else month.interval.start
        known = self._accounts.get(endpoint)
        if known is not None and ends is not None and known[:2] == (len(outages), ends):
            return known[2], known[3]
        account = book.account(book.endpoint_series(endpoint), month, now)
        left, verdict = share_left(account), account.verdict.value
        if ends is not None and left is not None:
            self._accounts[endpoint] = (len(outages), ends, left, verdict)
        return left, verdict


def share_left(account: Account) -> Fraction | None:
    """Of the budget of a whole period, what is left; negative if overspent, None if there is none."""
    return account.remaining / account.budget if account.budget else None


# -- what is owed ----------------------------------------------------------------------------------


def owed(book: Book, now: datetime) -> list[Document]:
    """What is to be done, by when, about what; what is due first comes first.

    `due` None: whenever it can be done. `what` is one of restore, report, update, close, complete,
    notify and approve.
    """
    found = [
        *(one for record in book.records.values() for one in _owed_of_incident(book, record, now)),
        *(
            one
            for declaration in book.calendar.declarations.values()
            for one in _owed_of_downtime(book, declaration, now)
        ),
        *_owed_of_months(book, now),
    ]
    return sorted(found, key=lambda one: (one["due"] is None, one["due"] or "", one["about"]))


def _owe(what: str, about: str, due: datetime | None, now: datetime, text: str) -> Document:
    return {
        "what": what,
        "about": about,
        "due": None if due is None else show_instant(due),
        "overdue": due is not None and due < now,
        "text": text,
    }


def _owed_of_incident(book: Book, record: Record, now: datetime) -> Iterator[Document]:
    if not record.standing or record.closed_at is not None:
        return
    view = record.view
    if record.state is IncidentState.OPEN:
        target = record.deadline(book.rules.restoration_target)
        yield _owe("restore", record.id, target, now, "restore service")
    if record.reported is None:
        yield _owe("report", record.id, view.detected_at, now, "report it to MaPS, at once")
    if record.next_update_at is not None:
        yield _owe("update", record.id, record.next_update_at, now, "update MaPS on the ticket")
    if record.state is IncidentState.RESTORED:
        missing = [one.partition(" (")[0] for one in record.missing() if "to MaPS" not in one]
        text = f"close it, once there are: {'; '.join(missing)}" if missing else "close it"
        yield _owe("close", record.id, None, now, text)


def _owed_of_downtime(book: Book, declaration: Declaration, now: datetime) -> Iterator[Document]:
    state = snapshot.declaration_state(declaration, book.rules, now)
    if state == "completion_due":
        version = declaration.version_at(now, book.rules) or declaration.latest
        text = "comment the actual start and end on the ticket, and complete it"
        yield _owe("complete", declaration.id, version.window.end, now, text)
    elif state == "draft":
        judged = declare.judged(book, declaration, now)
        text = f"tell MaPS of the window ({judged.notice.needed} working days' notice)"
        yield _owe("notify", declaration.id, judged.notify_before, now, text)


def _owed_of_months(book: Book, now: datetime) -> Iterator[Document]:
    for month, facts in book.seals.items():
        if waiting(facts) is not None:
            text = "approve the restatement that betters it, as a second person"
            yield _owe("approve", month, None, now, text)


# -- the overview ----------------------------------------------------------------------------------


def counts(standings: Iterable[Standing]) -> Document:
    """How many stand how, in all and by state."""
    found = Counter(one.state for one in standings)
    return {"all": found.total(), **{state.value: found[state] for state in ORDER}}


def troubled_since(book: Book, standings: Iterable[Standing], now: datetime) -> datetime | None:
    """Since when anything has been unavailable without a break; None: nothing is."""
    begun = [
        outage.start
        for one in standings
        if one.state.unavailable and (outage := book.track(one.endpoint).outage) is not None
    ]
    return min(begun, default=None)


def month_document(book: Book, standings: Iterable[Standing], now: datetime) -> Document:
    """The running month of live endpoints: verdicts, and those with the least budget left."""
    month = Month.of(now - MICROSECOND, book.rules.zone)
    live = [one for one in standings if one.verdict is not None]
    verdicts = Counter(one.verdict for one in live)
    spent = [one for one in live if one.left is not None and one.left < 1]
    least = sorted(spent, key=lambda one: by_trouble(one)[1:])[:LEAST]
    return {
        "month": str(month),
        "start": show_instant(month.interval.start),
        "end": show_instant(month.interval.end),
        "objective": snapshot.ratio(book.rules.objective),
        "verdicts": {verdict.value: verdicts[verdict.value] for verdict in Verdict},
        "spending": len(spent),
        "least": [least_document(book, one.endpoint, month, now) for one in least],
    }


def least_document(book: Book, endpoint: str, month: Month, now: datetime) -> Document:
    """An endpoint's figures of a month, what is left of its budget, and how it was spent."""
    series = book.endpoint_series(endpoint)
    account = book.account(series, month, now)
    return {
        **snapshot.month_document(series, month, account),
        "left": snapshot.ratio(share_left(account)),
        "burn": ribbons.burn_down(book, endpoint, month, now, account),
    }


def row_document(book: Book, memory: Memory, endpoint: str, now: datetime) -> Document:
    """An endpoint as the overview lists it: how it stands and stood, and its budget."""
    known = book.register.endpoints[endpoint]
    month = Month.of(now - MICROSECOND, book.rules.zone)
    account = book.account(book.endpoint_series(endpoint), month, now) if known.live else None
    day = ribbons.stretches(book, endpoint, Interval(now - ribbons.DAY, now), now)
    return {
        # At the very first instant of a month the one before is still shown.
        **snapshot.endpoint_document(
            book, endpoint, now, account if month == Month.of(now, book.rules.zone) else None
        ),
        "url": known.url,
        "ribbons": {
            "hour": ribbons.ribbon(day, ribbons.HOUR, now),
            "day": ribbons.ribbon(day, ribbons.DAY, now),
            "days": ribbons.days_document(memory.days.of(book, endpoint, now)),
        },
        "burn": ribbons.burn_down(book, endpoint, month, now, account) if known.live else None,
    }


def matches(book: Book, endpoint: str, wanted: Mapping[str, Any]) -> bool:
    """Whether an endpoint is of the service and environment wanted, and its texts hold the text."""
    known = book.register.endpoints[endpoint]
    if wanted.get("service") not in (None, known.service.value):
        return False
    if wanted.get("environment") not in (None, known.environment.value):
        return False
    text = str(wanted.get("text") or "").strip().lower()
    said = f"{known.id} {known.url} {known.group} {known.service.value}".lower()
    return all(word in said for word in text.split())
