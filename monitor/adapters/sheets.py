"""Tables as CSV and XLSX: what opens in a spreadsheet program, harmlessly, the same bytes each time.

Every cell is text. In CSV a cell that a spreadsheet program would take for a formula is led by an
apostrophe; XLSX keeps it as it is, as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from types import ModuleType

from monitor.errors import MonitorError

_LEADS_A_FORMULA = ("=", "+", "-", "@", "\t")
CREATED = datetime(2000, 1, 1)  # noqa: DTZ001  the file format knows no zone
"""Written into every workbook as its date, so that the same rows give the same bytes."""
_WIDEST = 60


class NoSpreadsheets(MonitorError):
    """XLSX cannot be written here: an optional library is missing."""


def csv_bytes(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A table as CSV (RFC 4180) in UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for row in [headings, *rows]:
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue().encode()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_LEADS_A_FORMULA) else cell


def xlsx_bytes(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A table as a workbook of one sheet, `title` its name (31 characters at most).

    Raises NoSpreadsheets.
    """
    xlsxwriter = _library()
    table = [list(row) for row in rows]
    out = io.BytesIO()
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, options) as workbook:
        workbook.set_properties({"created": CREATED})
        text = workbook.add_format({"num_format": "@"})
        bold = workbook.add_format({"num_format": "@", "bold": True})
        sheet = workbook.add_worksheet(title)
        sheet.freeze_panes(1, 0)
        for place, heading in enumerate(headings):
            widest = max([len(heading), *(len(row[place]) for row in table)])
            sheet.set_column(place, place, min(widest, _WIDEST) + 1, text)
        for number, row in enumerate([list(headings), *table]):
            for place, cell in enumerate(row):
                sheet.write_string(number, place, cell, text if number else bold)
    return out.getvalue()


def _library() -> ModuleType:
    try:
        import xlsxwriter
    except ImportError:
        raise NoSpreadsheets(
            "XlsxWriter is not installed, so no XLSX was written (the CSV holds the same); install"
            " the extra: pip install 'pensions-monitor[reports]'"
        ) from None
    module: ModuleType = xlsxwriter
    return module
