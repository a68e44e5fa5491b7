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
from monitor.core.seal import Standing, Why, approved, restated, sealed, seals_at, standing
from monitor.core.verdict import CertificateFacts
from monitor.cycle import Cycle
from monitor.ports import Receipt
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
            due = [sealed(month, rows, configuration, now)]
        else:
            due = restated(month, known, rows, configuration, _why(cycle.book, month, known), now)
        for fact in due:
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


async def approve_restatement(
    cycle: Cycle,
    month: Month,
    *,
    author: str,
    approved_by: str,
    now: datetime,
    receipt: Receipt | None = None,
) -> Fact:
    """Let the restatement proposed for a month count, a second person having approved it.

    Raises UsageError if nothing waits, the figures changed meanwhile or nobody else approved, and
    StoreUnwritable.
    """
    async with cycle.sealing:
        known = standing(cycle.book.seals.get(str(month), ()))
        rows = [] if known is None else await _rows(cycle.book, month, now)
        fact = approved(month, known, rows, author=author, approved_by=approved_by, now=now)
        await cycle.learn([fact], [_sealed_event(fact, rows)], receipt)
    log.info("restatement_approved", month=str(month), approved_by=approved_by)
    return fact


def _why(book: Book, month: Month, known: Standing) -> Why:
    """What was learned since a month was sealed that may have changed its figures, and from whom."""
    late = {**_late_assertions(book, month, known), **_late_declarations(book, month, known)}
    if late:
        authors = sorted({name for names in late.values() for name in names if name})
        return Why(f"learned since it was sealed: {', '.join(sorted(late))}", tuple(authors))
    return Why("the configuration (rules, mapping or dates) was changed since it was sealed")


def _late_assertions(book: Book, month: Month, known: Standing) -> dict[str, set[str]]:
    """Assertions about a month that were changed since it was sealed, and who changed them."""
    late: dict[str, set[str]] = {}
    for one in book.assertions.values():
        if not any(
            version.start < month.interval.end
            and (version.end is None or version.end > month.interval.start)
            for version in one.versions
        ):
            continue
        names = {each.author for each in one.versions if each.recorded_at > known.sealed_at}
        if one.withdrawn_at is not None and one.withdrawn_at > known.sealed_at:
            names.add(one.withdrawn_by)
        if names:
            late[one.id] = names
    return late


def _late_declarations(book: Book, month: Month, known: Standing) -> dict[str, set[str]]:
    """Declarations about a month that were changed since it was sealed, and who changed them."""
    late: dict[str, set[str]] = {}
    for one in book.calendar.declarations.values():
        if any(each.window.clip(month.interval) is not None for each in one.versions):
            names = {each.author for each in one.versions if each.recorded_at > known.sealed_at}
            if names:
                late[one.id] = names
    return late


def _sealed_event(fact: Fact, rows: Iterable[Document]) -> Event:
    verdicts: dict[str, int] = {}
    for row in rows:
        verdicts[row["verdict"]] = verdicts.get(row["verdict"], 0) + 1
    month = fact.body["month"]
    data = {
        "month": month,
        "restatement": fact.body.get("number", 0),
        "proposed": fact.type == "restatement_proposed",
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
