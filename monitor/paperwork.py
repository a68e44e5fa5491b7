"""What people send to MaPS, as plain documents: packs and monthly returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from monitor import declare
from monitor.core import reporting, returns
from monitor.core.book import Book
from monitor.core.downtime import Declaration
from monitor.core.endpoint import Service
from monitor.core.incident import Record
from monitor.core.month import Month, show_instant
from monitor.core.reporting import HEADINGS, Pack
from monitor.core.returns import Row

Document = dict[str, Any]


def downtime_pack(
    book: Book,
    declaration: Declaration,
    organisation: str,
    now: datetime,
    expected: datetime | None = None,
) -> Document:
    """What to submit about a declaration. Raises IllegalStep for MaPS' own downtime."""
    too_short = declare.judged(book, declaration, now).too_short
    pack = reporting.downtime_pack(
        book, declaration, organisation, now, too_short=too_short, expected=expected
    )
    return _pack_document(pack, book)


def incident_pack(
    book: Book,
    record: Record,
    organisation: str,
    now: datetime,
    expected: datetime | None = None,
) -> Document:
    """What to submit about an incident."""
    pack = reporting.incident_pack(book, record, organisation, now, expected=expected)
    return _pack_document(pack, book)


def _pack_document(pack: Pack, book: Book) -> Document:
    """A pack; `texts` are its files that are text, by name."""
    return {
        "id": pack.id,
        "action": pack.action,
        "ticket": pack.ticket,
        "form": [{"field": name, "value": value} for name, value in pack.form],
        "guids": [{key: getattr(row, key) for key in HEADINGS} for row in pack.guids],
        "comments": [
            {"kind": one.kind, "due": one.due, "ticket": one.ticket, "text": one.text}
            for one in pack.comments
        ],
        "timeline": [{"at": show_instant(at), "text": text} for at, text in pack.timeline],
        "next_update_at": None
        if pack.next_update_at is None
        else show_instant(pack.next_update_at),
        "texts": reporting.texts(pack, book),
    }


def returns_document(
    book: Book,
    month: Month,
    given: Mapping[Service, Mapping[str, Sequence[Row]]],
    *,
    late: bool = False,
) -> Document:
    """The bodies to send for a month, by file name, and the manifest of them."""
    drafted: dict[str, Document] = {}
    for service, found in given.items():
        correction = returns.corrected(book, service, month)
        drafted |= returns.bodies(month, service, found, correction=correction, late=late)
    warnings = returns.warnings(book, month, given)
    return {"manifest": returns.manifest(month, drafted, warnings), "bodies": drafted}
