"""The files of a pack: what people attach and paste (domain.md 5 and 6), and all of them as a ZIP."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from monitor.adapters.sheets import NoSpreadsheets, csv_bytes, xlsx_bytes
from monitor.core.reporting import HEADINGS

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The date of every file in a ZIP, so that the same pack gives the same bytes."""


def guids_csv(guids: Iterable[Mapping[str, str]]) -> bytes:
    """The list of GUIDs as CSV."""
    return csv_bytes(HEADINGS, _rows(guids))


def guids_xlsx(guids: Iterable[Mapping[str, str]]) -> bytes:
    """The same as a workbook. Raises NoSpreadsheets."""
    return xlsx_bytes("GUIDs", HEADINGS, _rows(guids))


def _rows(guids: Iterable[Mapping[str, str]]) -> list[list[str]]:
    return [[row[heading] for heading in HEADINGS] for row in guids]


def pack_files(pack: Mapping[str, Any]) -> tuple[dict[str, bytes], NoSpreadsheets | None]:
    """The files of a pack's document by name; without the library for it, no XLSX, and why."""
    files = {name: text.encode() for name, text in pack["texts"].items()}
    files["guids.csv"] = guids_csv(pack["guids"])
    try:
        files["guids.xlsx"] = guids_xlsx(pack["guids"])
    except NoSpreadsheets as missing:
        return files, missing
    return files, None


def zipped(files: Mapping[str, bytes], folder: str) -> bytes:
    """Files in one folder of a ZIP archive, in order of name."""
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = ZipInfo(f"{folder}/{name}", LONG_AGO)
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return out.getvalue()
