"""The page as a tagged PDF (PDF/UA-1) by WeasyPrint, which may fetch nothing."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from importlib import import_module

from monitor.errors import MonitorError


class NoPdf(MonitorError):
    """A PDF cannot be made here: an optional library is missing."""


def render(page: str, until: datetime) -> bytes:
    """The page as PDF; the same page gives the same bytes. Raises NoPdf.

    `until` stands as its date of creation.
    """
    try:
        weasyprint = import_module("weasyprint")
        urls = import_module("weasyprint.urls")
    except (ImportError, OSError) as trouble:
        raise NoPdf(
            f"no PDF was written: WeasyPrint cannot be used here ({trouble}); install the extra,"
            " pip install 'pensions-monitor[reports]', and from Debian libpango-1.0-0,"
            " libpangoft2-1.0-0, libharfbuzz-subset0 and fonts-dejavu-core, or leave out pdf"
        ) from None
    nothing = type("Nothing", (urls.URLFetcher,), {"fetch": _refuse})
    identifier = hashlib.sha256(page.encode()).digest()[:16]
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = str(int(until.timestamp()))
    try:
        document = weasyprint.HTML(string=page, url_fetcher=nothing(), media_type="print")
        made: bytes = document.write_pdf(pdf_variant="pdf/ua-1", pdf_identifier=identifier)
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before
    return made


def _refuse(_: object, url: str, headers: object = None) -> object:
    """The page is whole as it is: whatever asks for more is wrong."""
    raise ValueError(f"a report fetches nothing, not {url}")
