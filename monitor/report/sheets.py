"""The report's tables as CSV files and as one workbook; cells that look like formulas stay text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from monitor.adapters.sheets import CREATED, NoSpreadsheets
from monitor.report.tables import Cell, Table

_LEADS_A_FORMULA = ("=", "+", "-", "@", "\t")
_WIDEST = 48


def csv_bytes(table: Table) -> bytes:
    """A table as CSV (RFC 4180) in UTF-8; text that reads as a formula is led by an apostrophe."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(table.headings)
    writer.writerows([_harmless(cell) for cell in row] for row in table.rows)
    return out.getvalue().encode()


def _harmless(cell: Cell) -> Cell:
    if isinstance(cell, str) and cell.startswith(_LEADS_A_FORMULA):
        return f"'{cell}"
    return cell


def xlsx_bytes(tables: Sequence[Table]) -> bytes:
    """All tables as one workbook, a sheet each: numbers as numbers, GUIDs and ratios as text.

    The same tables give the same bytes. Raises NoSpreadsheets.
    """
    try:
        import xlsxwriter
    except ImportError:
        raise NoSpreadsheets(
            "no XLSX was written: XlsxWriter is not installed; install the extra, pip install"
            " 'pensions-monitor[reports]', or leave out xlsx: the CSV files hold the same"
        ) from None
    out = io.BytesIO()
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, options) as workbook:
        workbook.set_properties({"created": CREATED})
        bold = workbook.add_format({"bold": True, "bottom": 1})
        text = workbook.add_format({"num_format": "@"})
        for table in tables:
            sheet = workbook.add_worksheet(table.name)
            sheet.freeze_panes(1, 0)
            for place, heading in enumerate(table.headings):
                longest = max([len(heading), *(len(str(row[place])) for row in table.rows[:200])])
                sheet.set_column(place, place, min(longest, _WIDEST) + 2)
                sheet.write_string(0, place, heading, bold)
            for number, row in enumerate(table.rows, 1):
                for place, cell in enumerate(row):
                    if isinstance(cell, str):
                        sheet.write_string(number, place, cell, text)
                    elif cell is not None:
                        sheet.write_number(number, place, cell)
    return out.getvalue()
