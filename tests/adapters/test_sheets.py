"""Tables as CSV and XLSX."""

from __future__ import annotations

import csv
import io
import sys
import time

import openpyxl
import pytest

from monitor.adapters.sheets import NoSpreadsheets, csv_bytes, xlsx_bytes

HEADINGS = ("guid", "name")
GUIDS = ("816f82b5-8e4f-407b-8c54-afb179c4af5a", "00000000-0000-4000-8000-000000000001", "1e5")
NASTY = ("=1+1", "+44 20", "-5", "@SUM(A1)", "\tx", "http://pensions.example/x", 'Zoë, "& Söhne"')
ROWS = [(guid, name) for guid in GUIDS for name in NASTY]


def opened(content: bytes) -> list[list[openpyxl.cell.Cell]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [list(row) for row in book["GUIDs"].iter_rows()]


def test_a_workbook_holds_text_only() -> None:
    """A spreadsheet program finds every GUID and every would-be formula as the text it is."""
    cells = opened(xlsx_bytes("GUIDs", HEADINGS, ROWS))
    assert [tuple(cell.value for cell in row) for row in cells] == [HEADINGS, *ROWS]
    assert {cell.data_type for row in cells for cell in row} == {"s"}
    assert {cell.number_format for row in cells for cell in row} == {"@"}
    assert not any(cell.hyperlink for row in cells for cell in row)


def test_a_workbook_without_rows_has_its_headings() -> None:
    """A table that is empty is a sheet with headings."""
    assert [cell.value for cell in opened(xlsx_bytes("GUIDs", HEADINGS, []))[0]] == list(HEADINGS)


def test_the_same_rows_are_the_same_bytes() -> None:
    """Neither the time of day nor the run changes a byte."""
    before = xlsx_bytes("GUIDs", HEADINGS, ROWS)
    time.sleep(1.1)  # a second later the date inside would differ
    assert xlsx_bytes("GUIDs", HEADINGS, ROWS) == before
    assert csv_bytes(HEADINGS, ROWS) == csv_bytes(HEADINGS, ROWS)


def test_csv_has_no_formula() -> None:
    """Cells that would be formulas are led by an apostrophe; others are as they were."""
    read = list(csv.reader(io.StringIO(csv_bytes(HEADINGS, ROWS).decode(), newline="")))
    assert read[0] == list(HEADINGS)
    assert [name for _, name in read[1:8]] == [
        "'=1+1",
        "'+44 20",
        "'-5",
        "'@SUM(A1)",
        "'\tx",
        *NASTY[5:],
    ]
    assert [guid for guid, _ in read[1::7]] == list(GUIDS)


def test_without_the_library_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where XlsxWriter is missing the error names the extra."""
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(NoSpreadsheets, match=r"pip install 'pensions-monitor\[reports\]'"):
        xlsx_bytes("GUIDs", HEADINGS, ROWS)
