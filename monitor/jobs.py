"""Wall-clock jobs: seal months, warn of expiry, prune what may go. Each is idempotent.

They work from what is known, so it never matters when, or how often, they run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

import structlog

from monitor.core.alert import Event, Notice, expiry_notice
from monitor.core.book import Book
from monitor.core.fact import Fact
from monitor.core.month import Month
from monitor.core.seal import Standing, restated, sealed, seals_at, standing
from monitor.core.verdict import CertificateFacts
from monitor.cycle import Cycle
from monitor.snapshot import Document, all_series, month_document

log = structlog.get_logger(__name__)

RESTATED_MONTHS = 13
"""How many sealed months are compared with the facts: this year and the one before it."""


async def seal_months(cycle: Cycle, configuration: str, now: datetime) -> list[Fact]:
    """Seal every month that is due, and restate sealed ones whose figures have changed.

    `configuration` is the digest of the configuration in force. Returns the facts recorded.
    Raises StoreUnwritable; what was not recorded is still due then.
    """
    async with cycle.sealing:
        return await _seal_months(cycle, configuration, now)


async def _seal_months(cycle: Cycle, configuration: str, now: datetime) -> list[Fact]:
    recorded: list[Fact] = []
    for month in _closed_months(cycle.book, now):
        known = standing(cycle.book.seals.get(str(month), ()))
        if known is None and now < seals_at(month, cycle.book.rules):
            continue
        rows = await _rows(cycle.book, month, now)
        if known is None:
            fact: Fact | None = sealed(month, rows, configuration, now)
        else:
            reason = _why(cycle.book, known)
            fact = restated(month, known, rows, configuration, reason, now)
        if fact is not None:
            await cycle.learn([fact], [_sealed_event(fact, rows)])
            log.info("month_sealed", month=str(month), type=fact.type)
            recorded.append(fact)
    return recorded


def _closed_months(book: Book, now: datetime) -> list[Month]:
    """The months that are over, the last thirteen of them, oldest first."""
    starts = [part.start for series in all_series(book) for part in book.eligible(series)]
    if not starts:
        return []
    months: list[Month] = []
    month = Month.of(now, book.rules.zone).previous()
    while month.interval.end > min(starts) and len(months) < RESTATED_MONTHS:
        months.append(month)
        month = month.previous()
    return months[::-1]


async def _rows(book: Book, month: Month, now: datetime) -> list[Document]:
    """The month's figures of every series that was eligible in it; yields to the loop meanwhile."""
    rows = []
    for series in all_series(book):
        if book.eligible(series).clip(month.interval):
            rows.append(month_document(series, month, book.account(series, month, now)))
        await asyncio.sleep(0)
    return rows


def _why(book: Book, known: Standing) -> str:
    """What was learned since a month was sealed and may have changed its figures."""
    late = [
        one.id
        for one in book.assertions.values()
        if max(one.latest.recorded_at, one.withdrawn_at or one.learned_at) > known.sealed_at
    ]
    late += [
        declaration.id
        for declaration in book.calendar.declarations.values()
        if declaration.latest.recorded_at > known.sealed_at
    ]
    if late:
        return f"learned since it was sealed: {', '.join(sorted(late))}"
    return "the configuration (rules, mapping or dates) was changed since it was sealed"


def _sealed_event(fact: Fact, rows: Iterable[Document]) -> Event:
    verdicts: dict[str, int] = {}
    for row in rows:
        verdicts[row["verdict"]] = verdicts.get(row["verdict"], 0) + 1
    month = fact.body["month"]
    data = {
        "month": month,
        "restatement": fact.body.get("number", 0),
        "reason": fact.body.get("reason"),
        "verdicts": verdicts,
    }
    return Event(fact.at, "slo.month_sealed", f"month {month}", data)


def expiry_notices(
    ours: Mapping[str, Iterable[CertificateFacts]],
    servers: Mapping[str, CertificateFacts],
    now: datetime,
    *,
    identity_days: Iterable[int],
    certificate_days: Iterable[int],
) -> list[Notice]:
    """What is due about certificates that run out: ours by identity, servers' by endpoint."""
    identity_marks, server_marks = tuple(identity_days), tuple(certificate_days)
    found = [
        expiry_notice("identity.expiring", name, one.sha256, one.not_after, now, identity_marks)
        for name, chain in ours.items()
        for one in chain
    ]
    found += [
        expiry_notice("certificate.expiring", name, one.sha256, one.not_after, now, server_marks)
        for name, one in servers.items()
    ]
    return [notice for notice in found if notice is not None]
