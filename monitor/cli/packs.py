"""`downtime pack`, `incident pack` and `returns`: what people send to MaPS, written as files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from monitor.cli.common import Common, Document, F, common, finish, plain
from monitor.cli.downtime import downtime
from monitor.cli.incident import incident
from monitor.cli.reach import perform
from monitor.cli.show import table
from monitor.errors import UsageError

INSTANT = "ISO 8601, UK time without an offset"
PACK_FILES = re.compile(r"(form|comments|timeline)\.txt|guids\.(csv|xlsx)")
RETURN_FILES = re.compile(r"(find|view)-\d{3,}\.json|manifest\.json")


def _out_option(function: F) -> F:
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="write the files into this folder, made if it is missing; needed unless --json",
    )(function)


def _expected_option(function: F) -> F:
    return click.option(
        "--expected-resolution",
        metavar="INSTANT",
        help=f"say in the comments when service should be back: {INSTANT}",
    )(function)


@downtime.command("pack")
@click.argument("id", metavar="ID")
@_out_option
@_expected_option
@common()
def downtime_pack(shared: Common, out: Path | None, **given: Any) -> None:
    """Write what to submit to MaPS about declaration ID; nothing is submitted.

    Files: form.txt, guids.csv, guids.xlsx and, once MaPS was told, comments.txt. Exits with 1 if
    the spreadsheet could not be written.
    """
    _pack(shared, "downtime.pack", out, given)


@incident.command("pack")
@click.argument("id", metavar="ID")
@_out_option
@_expected_option
@common()
def incident_pack(shared: Common, out: Path | None, **given: Any) -> None:
    """Write what to submit to MaPS about incident ID; nothing is submitted.

    Files: form.txt, guids.csv, guids.xlsx, timeline.txt and, once MaPS was told, comments.txt. Exits
    with 1 if the spreadsheet could not be written.
    """
    _pack(shared, "incident.pack", out, given)


def _pack(shared: Common, operation: str, out: Path | None, given: Mapping[str, Any]) -> None:
    from monitor.report.packs import pack_files

    _check_out(out, shared)
    document = perform(shared, operation, given)
    if out is not None:
        files, missing = pack_files(document)
        if missing is not None:
            click.echo(f"Error: {missing}", err=True)
        document["files"] = _written(out, files, PACK_FILES)
        document["ok"] = missing is None
    finish(shared, document, _pack_text)


def _pack_text(document: Document) -> str:
    due = [comment["kind"] for comment in document["comments"] if comment["due"]]
    lines = [f"{document['id']}: {plain(document['action'])}"]
    if due:
        lines.append(f"Comments due: {', '.join(due)}")
    return "\n".join([*lines, *_files_text(document)])


def _files_text(document: Document) -> list[str]:
    return [f"Written: {plain(path)}" for path in document["files"]]


@click.command()
@click.argument("month", metavar="MONTH")
@_out_option
@click.option("--late", is_flag=True, help="say that the submission is late (default: on time)")
@common()
def returns(shared: Common, out: Path | None, **given: Any) -> None:
    """Write the returns of unavailability for MONTH (YYYY-MM), which must be over.

    One file for each body of the reporting API 2.1: find-001.json, view-001.json and so on, null
    submissions among them, and manifest.json with what to send where. A month restated after it was
    sealed is written as a correction. Nothing is submitted.
    """
    _check_out(out, shared)
    document = perform(shared, "returns", given)
    if out is not None:
        document["files"] = _written(out, _return_files(document), RETURN_FILES)
    finish(shared, document, _returns_text)


def _return_files(document: Document) -> dict[str, bytes]:
    import json

    from monitor.core.returns import rendered

    files = {name: rendered(body) for name, body in document["bodies"].items()}
    return files | {"manifest.json": f"{json.dumps(document['manifest'], indent=2)}\n".encode()}


def _returns_text(document: Document) -> str:
    keys = ("file", "request", "submission_reason", "submission_status", "guids", "rows", "bytes")
    rows = [[entry[key] for key in keys] for entry in document["manifest"]["bodies"]]
    headings = ["file", "request", "reason", "status", "GUIDs", "rows", "bytes"]
    warned = [f"Warning: {plain(text)}" for text in document["manifest"]["warnings"]]
    listed = table(headings, rows, none="nothing to send")
    return "\n".join([listed, *_files_text(document), *warned])


# --- Files --------------------------------------------------------------------------------------


def _check_out(out: Path | None, shared: Common) -> None:
    """Raise before anything is asked if there is nowhere to write to."""
    if out is None and not shared.as_json:
        raise click.UsageError("Give --out DIR, or --json.")
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out: {out} is a file, not a folder; name a folder")


def _written(out: Path, files: Mapping[str, bytes], ours: re.Pattern[str]) -> list[str]:
    """Write files, each whole or not at all; those of an earlier run that are no more go.

    Raises UsageError where the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            _replace(out / name, content)
        for old in out.iterdir():
            if ours.fullmatch(old.name) and old.name not in files:
                old.unlink()
    except OSError as error:
        raise UsageError(
            f"--out: {error.filename or out}: {error.strerror}; name a folder that you may write"
        ) from error
    return [str(out / name) for name in sorted(files)]


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
