"""The files of a report: one content, sums that match, the same bytes each time."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.core.month import Month
from monitor.errors import UsageError
from monitor.report import html, words
from monitor.report.content import build
from monitor.report.files import Format, write
from monitor.report.tables import FIGURES
from monitor.sandbox.pki import prepare
from tests.cli_place import run
from tests.desks import ANNA
from tests.report.place import sealed_march
from tests.tools import need

Document = dict[str, Any]
CERTIFICATE = {
    "role": "client",
    "name": "live",
    "subject": "CN=+monitor",
    "issuer": "CN=issuer",
    "not_before": "2026-01-01T00:00:00Z",
    "not_after": "2027-01-01T00:00:00Z",
    "sha256": "ab" * 32,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a configuration and the store of a sealed March are."""
    found = tmp_path_factory.mktemp("march")
    place = asyncio.run(sealed_march(found))
    place.store.close()  # type: ignore[union-attr]
    return found


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Document]:
    place = asyncio.run(sealed_march(tmp_path_factory.mktemp("content")))
    month = Month.parse("2026-03", place.settings.rules.zone)
    certificates = [CERTIFICATE]
    now = place.clock.now()
    yield build(place.settings, place.book, place.store, month, now, certificates=certificates)
    place.store.close()  # type: ignore[union-attr]


def formats_here() -> list[Format]:
    """What this environment can write; the extra `reports` brings PDF and XLSX."""
    found = [Format.HTML, Format.CSV, Format.JSON]
    try:
        import weasyprint  # noqa: F401
        import xlsxwriter  # noqa: F401
    except (ImportError, OSError):
        return found
    return [*found, Format.PDF, Format.XLSX]


def test_sums_match_and_the_same_facts_give_the_same_bytes(
    content: Document, tmp_path: Path
) -> None:
    """The manifest names every file but itself; a second report is equal byte for byte."""
    manifests = [write(content, tmp_path / name, formats_here()) for name in ("one", "two")]
    assert manifests[0] == manifests[1]
    listed = {each["name"] for each in manifests[0]["files"]}
    here = tmp_path / "one"
    found = {str(p.relative_to(here)) for p in here.rglob("*") if p.is_file()}
    assert found == listed | {"manifest.json"}
    assert json.loads((here / "manifest.json").read_text("utf-8")) == manifests[0]
    for each in manifests[0]["files"]:
        data = (here / each["name"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (each["sha256"], each["size_bytes"])


def test_json_is_the_content(content: Document, tmp_path: Path) -> None:
    """Read back, nothing is lost."""
    write(content, tmp_path, [Format.JSON])
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == content


def test_csv_has_every_figure_and_no_formula(content: Document, tmp_path: Path) -> None:
    """Figures as printed by slo; a reason that reads as a formula is led by an apostrophe."""
    write(content, tmp_path, [Format.CSV])
    with (tmp_path / "csv" / "endpoints.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row, known in zip(rows, content["months"], strict=False):
        assert row["measured"] == known["measured"]
        assert float(row["unavailable_s"]) == known["unavailable_s"]
        assert float(row["remaining_s"]) == known["remaining_s"]
        assert float(row["overrun_s"]) == known["by_class"]["overrun"]
    assert set(FIGURES) <= set(rows[0])
    assert "'=HYPERLINK(upgrade)" in (tmp_path / "csv" / "declarations.csv").read_text("utf-8")


def test_the_workbook_opens_with_guids_as_text(content: Document, tmp_path: Path) -> None:
    """Every table is a sheet; numbers are numbers; what reads as a formula stays text."""
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("xlsxwriter")
    write(content, tmp_path, [Format.XLSX])
    book = openpyxl.load_workbook(tmp_path / "report.xlsx")
    assert {"endpoints", "holdernames", "outages", "incidents"} <= set(book.sheetnames)
    rows = list(book["holdernames"].iter_rows(values_only=True))
    guids = {row[0]: row for row in rows[1:]}
    assert ANNA in guids
    place = rows[0].index("unavailable_s")
    known = {
        (row["series"].get("holdername"), row["series"].get("service")): row["unavailable_s"]
        for row in content["months"]
    }
    assert {(row[0], row[2]): row[place] for row in rows[1:]}.items() <= known.items()
    cells = [cell for row in book["declarations"].iter_rows() for cell in row]
    (formula,) = [cell for cell in cells if cell.value == "=HYPERLINK(upgrade)"]
    assert formula.data_type == "s"


def test_the_page_is_whole_and_asks_for_nothing(content: Document) -> None:
    """No script, no address to fetch, texts escaped, every link has its place."""
    page = html.render(content)
    assert not re.search(r"<script|<link|<img|@import|src=|url\((?!#)", page)
    assert "emergency &lt;fix&gt; &amp; more" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_holdernames_with_the_same_figures_stand_together(content: Document) -> None:
    """One row of figures for both, and each of them named under it."""
    row = next(row for row in content["months"] if row["series"].get("holdername") == ANNA)
    twin = {**row, "series": {**row["series"], "holdername": "twin"}}
    more = {
        **content,
        "months": [*content["months"], twin],
        "holdernames": {**content["holdernames"], "twin": "A Twin"},
    }
    page = html.render(more)
    assert page.count('<tr class="sum">') == html.render(content).count('<tr class="sum">')
    assert re.search(rf"{ANNA}</code>; A Twin <code>twin</code>", page)


def test_pictures_are_good_svg_and_tell_without_colour(content: Document) -> None:
    """Each has a label, and the strip says in letters what its hatchings show."""
    pictures = re.findall(r"<svg.*?</svg>", html.render(content), re.DOTALL)
    assert len(pictures) == 5
    for picture in pictures:
        assert ET.fromstring(picture).get("aria-label")
    strip = next(one for one in pictures if "view-main: every minute" in one)
    texts = ["".join(one.itertext()) for one in ET.fromstring(strip).iter()]
    assert "D 3h 00m 00s  O 30m 20s" in texts
    assert 'href="#outage-' in strip


def test_the_pdf_says_the_figures(content: Document, tmp_path: Path) -> None:
    """Tagged, and its text holds the headline figures of every endpoint and holdername."""
    need("pdftotext", "pdfinfo")
    pytest.importorskip("weasyprint")
    write(content, tmp_path, [Format.PDF])
    path = str(tmp_path / "report.pdf")
    text = _output("pdftotext", "-layout", path, "-")
    for row in content["months"]:
        assert words.percent(row["measured"]) in text
        assert words.duration(row["unavailable_s"]) in text
    info = _output("pdfinfo", path)
    assert re.search(r"Tagged:\s+yes", info)
    assert re.search(r"Title:\s+Availability 2026-03", info)


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_a_folder_that_cannot_be_written_is_said(content: Document, tmp_path: Path) -> None:
    """Such as one below a file."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        write(content, tmp_path / "file" / "below", [Format.JSON])


def test_the_command_writes_and_prints_the_manifest(folder: Path, tmp_path: Path) -> None:
    """Without a daemon, on the store; the figures are those of the slo command."""
    environ = {"MONITOR_CONFIG": str(folder / "monitor.yaml")}
    out = tmp_path / "out"
    command = ("report", "2026-03", "--out", str(out), "--format", "html,json", "--json")
    done = run(*command, environ=environ)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert [each["name"] for each in said["files"]] == ["report.html", "report.json"]
    assert (said["ok"], said["restatements"]) == (True, 1)
    slo = json.loads(run("slo", "--month", "2026-03", "--json", environ=environ).stdout)
    written = json.loads((out / "report.json").read_text("utf-8"))
    assert written["months"][:2] == slo["months"]
    again = run(*command, environ=environ)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "holds files already" in again.stderr
    forced = run(*command, "--force", environ=environ)
    assert json.loads(forced.stdout) == said


def test_certificates_of_the_identities_are_listed(folder: Path, tmp_path: Path) -> None:
    """Ours and those above it; an identity that cannot be read is said, and left out."""
    command = ("report", "2026-03", "--format", "json", "--out")
    environ = {"MONITOR_CONFIG": str(folder / "monitor.yaml")}
    done = run(*command, str(tmp_path / "one"), environ=environ)
    assert "identities.live: cannot be read here" in done.stderr
    made = prepare(tmp_path / "pki", "localhost")
    (folder / "live").symlink_to(made.pack)
    try:
        assert run(*command, str(tmp_path / "two"), environ=environ).exit_code == 0
    finally:
        (folder / "live").unlink()
    listed = [
        json.loads((tmp_path / name / "report.json").read_text("utf-8"))["certificates"]
        for name in ("one", "two")
    ]
    shown = ["server", "server"]
    assert [one["role"] for one in listed[0]] == shown
    assert [one["role"] for one in listed[1]] == ["client", "client_ca", "client_ca", *shown]
    assert all(len(one["sha256"]) == 64 for one in listed[1])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("2026-03", "--format", "doc"), "doc is not one of html"),
        (("2031-01",), "has not begun"),
        (("March",), "cannot be read"),
    ],
)
def test_wrong_use_is_said(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    """Exit code 2, and nothing is written."""
    environ = {"MONITOR_CONFIG": str(folder / "monitor.yaml")}
    done = run("report", *arguments, "--out", str(tmp_path / "out"), environ=environ)
    assert done.exit_code == 2
    assert text in done.stderr
    assert not (tmp_path / "out").exists()
