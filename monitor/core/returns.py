"""Monthly returns of unavailability: the bodies of the reporting API 2.1 (domain.md section 8).

Find and view are returned apart, for each holdername GUID. A GUID without unavailability is named in
a null submission, which is a duty of its own. Bodies are drafted here and sent by people; the same
facts give the same bytes, ids included.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from monitor.core.book import Book
from monitor.core.downtime import Kind, Series
from monitor.core.endpoint import Service
from monitor.core.incident import Record
from monitor.core.interval import MICROSECOND, Interval
from monitor.core.month import Month, show_instant
from monitor.core.outage import Class, Part, SeriesOutage
from monitor.core.rules import RULES_VERSION
from monitor.core.seal import standing
from monitor.errors import BadInstant

SERVICES = (Service.FIND, Service.VIEW)
"""PAT refresh has no return."""
MOST_ROWS = 100
"""Rows of one GUID in a body at most."""
MOST_ITEMS = 667
"""Items of a body at most."""
MOST_BYTES = 1 << 20
"""A body must be shorter than this."""
LONGEST_REASON = 255
NO_CAUSE = "cause not yet established"
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_ .]+")

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One instance of unavailability, inside the period. `scheduled`: declared with enough notice."""

    interval: Interval
    scheduled: bool
    reason: str

    def document(self) -> Body:
        return {
            "start_date_ts": show_instant(self.interval.start),
            "end_date_ts": show_instant(self.interval.end),
            "unavail_scheduled": self.scheduled,
            "unavail_reason": self.reason,
        }


def reason_text(text: str, *suffixes: str) -> str:
    """A reason in the strict character set: letters, digits, `_`, space and `.`, 1 to 255 of them.

    Accents are taken off, other characters become spaces; the suffixes are kept whole.

    >>> reason_text("Café: disk-failure (row 3)", "Continued.")
    'Cafe disk failure row 3. Continued.'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = " ".join(_NOT_ALLOWED.sub(" ", plain).split()) or "Unavailable"
    ending = "".join(f" {suffix}" for suffix in suffixes)
    room = LONGEST_REASON - len(ending) - 1
    return (words[:room].rstrip(" .") or "Unavailable") + "." * bool(ending) + ending


# -- rows ------------------------------------------------------------------------------------------


def check_month(book: Book, month: Month, now: datetime) -> None:
    """Raise BadInstant unless the month is over and some holdername was connected in it."""
    bounds = month.interval
    if bounds.end > now:
        raise BadInstant(
            f"month {month} is not over before {show_instant(bounds.end)}; returns are for a month"
            f" that is over, the last is {Month.of(now, month.zone).previous()}"
        )
    if not any(active(book, service, month) for service in SERVICES):
        raise BadInstant(
            f"in month {month} no holdername was served by a live find or view endpoint; name a"
            " month after the connection date"
        )


def active(book: Book, service: Service, month: Month) -> list[str]:
    """The holdername GUIDs connected for a service at some time of the month, sorted."""
    return [
        guid
        for guid, known in book.register.holdername_series()
        if known is service
        and any(
            period.interval.clip(month.interval) is not None
            for period in book.register.serving(guid, service)
        )
    ]


def rows(book: Book, guid: str, service: Service, month: Month, now: datetime) -> list[Row]:
    """The unavailability of a holdername GUID and service in a month, in order.

    Unavailable time as the accounting has it: what we could not tell is not returned. Outages are
    clipped at the ends of the month, and say so.
    """
    series = Series(service, holdername=guid)
    found: list[Row] = []
    for outage in book.outages(series, now, month.interval):
        records = _records(book, guid, outage)
        for part in outage.parts:
            row = _row(book, series, outage, part, month, records)
            if row is not None:
                _add(found, row)
    return at_most(found, MOST_ROWS)


def _row(
    book: Book,
    series: Series,
    outage: SeriesOutage,
    part: Part,
    month: Month,
    records: Sequence[Record],
) -> Row | None:
    inside = part.interval.clip(month.interval)
    if inside is None or part.cls is None:
        return None
    suffixes = []
    if outage.interval.start < month.interval.start == inside.start:
        suffixes.append("Continued from the period before")
    if outage.interval.end > month.interval.end == inside.end:
        suffixes.append("Continues in the next period")
    reason = reason_text(_why(book, series, part, records), *suffixes)
    return Row(inside, part.cls is Class.DECLARED, reason)


def _add(found: list[Row], row: Row) -> None:
    """Put a row after the others; one that only goes on with the last is joined to it."""
    last = found[-1] if found else None
    same = last is not None and (last.scheduled, last.reason) == (row.scheduled, row.reason)
    if last is not None and same and last.interval.end == row.interval.start:
        found[-1] = replace(last, interval=Interval(last.interval.start, row.interval.end))
    else:
        found.append(row)


def _records(book: Book, guid: str, outage: SeriesOutage) -> list[Record]:
    """Standing incidents of a holdername that touch an outage, oldest first."""
    found = []
    for record in book.records.values():
        view = record.view
        until = outage.interval.end if view.restored_at is None else view.restored_at
        if (
            record.standing
            and view.started_at < outage.interval.end
            and until > outage.interval.start
            and guid in view.holdernames
        ):
            found.append(record)
    return sorted(found, key=lambda record: (record.view.started_at, record.id))


def _why(book: Book, series: Series, part: Part, records: Sequence[Record]) -> str:
    """What caused a part: the declaration's reason, the incident's cause, what was asserted."""
    cause = _cause(book, series, part, records)
    if part.declaration is None:
        return f"Unplanned outage. {cause or NO_CAUSE}"
    declaration = book.declaration(part.declaration)
    version = declaration.version_at(part.interval.start, book.rules) or declaration.latest
    if part.cls is Class.OVERRUN:
        return f"Overrun of planned downtime. {cause or version.reason or NO_CAUSE}"
    if part.cls is Class.SHORT_NOTICE:
        return f"Emergency fix. {version.reason}"
    if version.kind is Kind.MAPS:
        return f"MaPS downtime. {version.reason}"
    return f"Planned downtime. {version.reason}"


def _cause(book: Book, series: Series, part: Part, records: Sequence[Record]) -> str | None:
    for record in records:
        view = record.view
        until = part.interval.end if view.restored_at is None else view.restored_at
        touches = view.started_at < part.interval.end and until > part.interval.start
        if record.cause and touches:
            return record.cause
    assert series.holdername is not None
    for one in book.assertions.values():
        span = one.span(part.interval.end)
        concerned = one.concerns(series.holdername, series.service)
        if concerned and span is not None and span.clip(part.interval) is not None:
            return one.latest.reason
    return None


def at_most(found: list[Row], most: int) -> list[Row]:
    """As many rows as are allowed: those nearest to each other are merged, and say so.

    Rows of one sort are merged first, and shorter gaps before longer ones. What holds any
    unscheduled time is unscheduled.
    """
    surplus = len(found) - most
    if surplus <= 0:
        return found

    def nearness(place: int) -> tuple[bool, timedelta, int]:
        before, after = found[place], found[place + 1]
        gap = after.interval.start - before.interval.end
        return before.scheduled is not after.scheduled, gap, place

    joined = set(sorted(range(len(found) - 1), key=nearness)[:surplus])
    runs: list[list[Row]] = []
    for place, row in enumerate(found):
        if place - 1 in joined:
            runs[-1].append(row)
        else:
            runs.append([row])
    return [_merged(run) for run in runs]


def _merged(run: Sequence[Row]) -> Row:
    if len(run) == 1:
        return run[0]
    reason = reason_text(run[0].reason, f"{len(run)} intervals merged into one")
    whole = Interval(run[0].interval.start, run[-1].interval.end)
    return Row(whole, all(row.scheduled for row in run), reason)


def warnings(
    book: Book, month: Month, given: Mapping[Service, Mapping[str, Sequence[Row]]]
) -> list[str]:
    """What whoever sends the returns should know: unsealed, waiting, differing or unknown figures."""
    known = standing(book.seals.get(str(month), ()))
    if known is None:
        return [f"{month} is not sealed yet: its figures may still change"]
    found = []
    if known.proposed is not None:
        found.append(
            f"a restatement of {month} waits for approval (monitor slo approve): these returns"
            " already say what it would"
        )
    returned = {service.value for service in given}
    differing: list[str] = []
    unknown: list[str] = []
    for row in known.rows:
        service, guid = row["series"].get("service"), row["series"].get("holdername")
        listed = given[Service(service)].get(guid) if service in returned else None
        if listed is None:
            continue
        if _lost(listed) != _exact(row["unavailable_s"]):
            differing.append(f"{guid} {service}")
        if row["unknown_s"]:
            unknown.append(f"{guid} {service}")
    if differing:
        found.append(f"other than the sealed figures, or merged: {_some(differing)}")
    if unknown:
        found.append(f"some time is unknown, and is not returned as unavailable: {_some(unknown)}")
    return found


def _lost(listed: Sequence[Row]) -> int:
    """The length of all rows in microseconds."""
    return sum((row.interval.duration for row in listed), timedelta()) // MICROSECOND


def _exact(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# -- bodies ----------------------------------------------------------------------------------------


def rendered(body: Mapping[str, Any]) -> bytes:
    """A body as the bytes to send."""
    return json.dumps(body, separators=(",", ":")).encode()


def stable_id(*parts: str) -> str:
    """A UUID in the shape of version 4 that the same parts always give.

    >>> stable_id("record", "find") == stable_id("record", "find") != stable_id("record", "view")
    True
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()[:16]
    return str(UUID(bytes=digest, version=4))


def corrected(book: Book, service: Service, month: Month) -> bool:
    """Whether the month was restated after it was sealed, for holdernames of this service."""
    return any(
        change["now"]["series"].get("service") == service.value
        for fact in book.seals.get(str(month), ())
        if fact.type == "restatement"
        for change in fact.body["changes"]
    )


def bodies(
    month: Month,
    service: Service,
    given: Mapping[str, Sequence[Row]],
    *,
    correction: bool = False,
    late: bool = False,
) -> dict[str, Body]:
    """The bodies for one service, by file name: first unavailability, then null submissions.

    `given` has the rows of every active GUID, also those without any. A correction replaces what
    was sent before.
    """
    status = "correction" if correction else "late" if late else "on time"
    reason = "resubmission" if correction else "initial submission"
    failed = [{guid: [row.document() for row in some]} for guid, some in given.items() if some]
    idle = [guid for guid, some in given.items() if not some]
    content = rendered({"failed": failed, "idle": idle}).decode()
    key = (service.value, show_instant(month.interval.start), reason, status)
    drafts = [
        *((reason, stable_id("submission", *key, content), some) for some in _batches(failed)),
        *(("null submission", None, some) for some in _batches(idle)),
    ]
    return {
        f"{service.value}-{number:03d}.json": {
            "record_id": stable_id("record", *key, why, rendered({"items": items}).decode()),
            "submission_id": submission,
            "submission_reason": why,
            "submission_status": status,
            "reporting_period_start": show_instant(month.interval.start),
            "items": list(items),
        }
        for number, (why, submission, items) in enumerate(drafts, 1)
    }


_ENVELOPE = 1_024
"""Room for all of a body but its items."""


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Items in order, as many to a batch as a body may hold."""
    batch: list[Any] = []
    size = 0
    for item in items:
        length = len(rendered({"": item}))
        if batch and (len(batch) == MOST_ITEMS or size + length > MOST_BYTES - _ENVELOPE):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch


def manifest(month: Month, drafted: Mapping[str, Body], warnings: Sequence[str] = ()) -> Body:
    """What there is to send, and where: each body with its sums; and what to know before."""
    bounds = month.interval
    return {
        "month": str(month),
        "period": {"start": show_instant(bounds.start), "end": show_instant(bounds.end)},
        "rules": RULES_VERSION,
        "bodies": [_entry(name, body) for name, body in drafted.items()],
        "warnings": list(warnings),
    }


def _entry(name: str, body: Body) -> Body:
    service = name.partition("-")[0]
    sent = rendered(body)
    items = body["items"]
    return {
        "file": name,
        "request": f"POST /service-availability/{service}",
        **{
            key: body[key]
            for key in ("submission_reason", "submission_status", "record_id", "submission_id")
        },
        "guids": len(items),
        "rows": sum(
            len(some) for item in items if isinstance(item, dict) for some in item.values()
        ),
        "bytes": len(sent),
        "sha256": hashlib.sha256(sent).hexdigest(),
    }
