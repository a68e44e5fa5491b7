"""The report's files and their manifest of SHA-256 sums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from monitor.errors import UsageError
from monitor.report.tables import tables

MANIFEST = "manifest.json"


class Format(StrEnum):
    """What a report can be written as."""

    HTML = "html"
    PDF = "pdf"
    XLSX = "xlsx"
    CSV = "csv"
    JSON = "json"


def write(
    content: Mapping[str, Any],
    folder: Path,
    formats: Sequence[Format],
    *,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Write the report into a folder and answer with its manifest, which is written last.

    `progress` is called once for each format. The same content gives the same bytes. Raises
    UsageError if the folder cannot be written, NoPdf or NoSpreadsheets.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        listed = []
        for name, data in _files(content, formats, progress):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            sum_ = hashlib.sha256(data).hexdigest()
            listed.append({"name": name, "size_bytes": len(data), "sha256": sum_})
        manifest = _manifest(content, listed)
        (folder / MANIFEST).write_bytes(_json(manifest))
    except OSError as trouble:
        raise UsageError(
            f"{folder}: cannot be written ({trouble.strerror}); choose another place"
        ) from trouble
    return manifest


def _files(
    content: Mapping[str, Any], formats: Sequence[Format], progress: Callable[[], None]
) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file, one format after another."""
    page = ""
    if Format.HTML in formats or Format.PDF in formats:
        from monitor.report import html

        page = html.render(content)
    if Format.HTML in formats:
        yield "report.html", page.encode()
        progress()
    if Format.PDF in formats:
        from monitor.report import pdf

        yield "report.pdf", pdf.render(page, datetime.fromisoformat(content["until"]))
        progress()
    if Format.XLSX in formats:
        from monitor.report.sheets import xlsx_bytes

        yield "report.xlsx", xlsx_bytes(tables(content))
        progress()
    if Format.CSV in formats:
        from monitor.report.sheets import csv_bytes

        for table in tables(content):
            yield f"csv/{table.name}.csv", csv_bytes(table)
        progress()
    if Format.JSON in formats:
        yield "report.json", _json(content)
        progress()


def _manifest(content: Mapping[str, Any], listed: list[dict[str, Any]]) -> dict[str, Any]:
    sealing = content["sealing"]
    return {
        "month": content["month"],
        "until": content["until"],
        "organisation": content["organisation"]["name"],
        "rules": content["rules"],
        "configuration": content["configuration"]["digest"],
        "sealed_at": None if sealing is None else sealing["sealed_at"],
        "restatements": 0 if sealing is None else len(sealing["restatements"]),
        "files": listed,
    }


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
