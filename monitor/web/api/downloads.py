"""Files to download: packs, returns, reports, the ledger, a backup; and checks that take long."""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from aiohttp import hdrs, web

from monitor.core.returns import rendered
from monitor.errors import MonitorError
from monitor.operations import Argument, Sort
from monitor.report.packs import LONG_AGO, pack_files, zipped
from monitor.snapshot import Document
from monitor.web.api import bodies
from monitor.web.api.errands import ERRANDS
from monitor.web.api.faults import Refused, of_error, wrong
from monitor.web.api.fields import faults
from monitor.web.api.threads import in_thread
from monitor.web.guard import VISITOR
from monitor.web.keys import ASK
from monitor.web.tokens import Scope

EXTRAS = {"pdf": "weasyprint", "xlsx": "xlsxwriter"}
"""Formats that need a library of the extra `reports`."""
FORMATS = ("html", "pdf", "xlsx", "csv", "json")
_FILE = re.compile(r"report\.(html|pdf|xlsx|json)|manifest\.(json)|([a-z_]{1,40})\.csv")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_TYPES = {
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".csv": "text/csv",
    ".json": "application/json",
    ".zip": "application/zip",
    ".db": "application/vnd.sqlite3",
    ".ndjson": "application/x-ndjson",
}
_CHUNK = 262_144

Answering = Callable[[web.Request, Mapping[str, Any]], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Download:
    """One request that is answered with a file, or by a command that takes long.

    `operation` says what its arguments mean; `answer` names a schema where the answer is JSON.
    """

    method: str
    path: str
    summary: str
    tag: str
    scope: Scope
    media: str
    run: Answering
    operation: str = "returns"
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    answer: str | None = None

    @property
    def names(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)


async def handled(request: web.Request, download: Download) -> web.StreamResponse:
    """Answer one request. Raises Refused."""
    in_body = download.method == hdrs.METH_POST
    if in_body:
        given = await bodies.body(request)
    else:
        given = bodies.query(request, download.arguments, {})
    found = faults(download.operation, download.arguments, given)
    if found:
        raise wrong(found, in_body=in_body)
    return await download.run(request, given)


# -- packs and returns -----------------------------------------------------------------------------


async def _asked(request: web.Request, operation: str, arguments: Mapping[str, Any]) -> Document:
    visitor = request[VISITOR].author
    try:
        return await request.app[ASK](operation, arguments, visitor)
    except MonitorError as error:
        raise of_error(error, (), in_body=False) from error


def _pack(operation: str) -> Answering:
    async def answer(request: web.Request, given: Mapping[str, Any]) -> web.StreamResponse:
        name = request.match_info["id"]
        document = await _asked(request, operation, {**given, "id": name})
        files, missing = await in_thread(partial(pack_files, document))
        headers = {} if missing is None else {"Monitor-Missing": str(missing)}
        return await _zipped(files, f"pack-{_plain(name)}.zip", headers)

    return answer


async def _returns(request: web.Request, given: Mapping[str, Any]) -> web.StreamResponse:
    month = request.match_info["month"]
    document = await _asked(request, "returns", {**given, "month": month})

    def files() -> dict[str, bytes]:
        found = {name: rendered(body) for name, body in document["bodies"].items()}
        manifest = f"{json.dumps(document['manifest'], indent=2)}\n".encode()
        return found | {"manifest.json": manifest}

    return await _zipped(await in_thread(files), f"returns-{_plain(month)}.zip", {})


async def _zipped(
    files: Mapping[str, bytes], name: str, headers: Mapping[str, str]
) -> web.Response:
    body = await in_thread(partial(zipped, files, name.removesuffix(".zip")))
    sent = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"', **headers}
    return web.Response(body=body, headers=sent, content_type=_TYPES[".zip"])


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, LONG_AGO)  # the same report gives the same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:64]


# -- reports ---------------------------------------------------------------------------------------


async def _report_zip(request: web.Request, given: Mapping[str, Any]) -> web.StreamResponse:
    month = request.match_info["month"]
    wanted = given.get("format")
    formats = tuple(wanted) if wanted else tuple(name for name in FORMATS if _there(name))
    async with _report(request, month, formats) as folder:
        path = folder.with_name(f"report-{month}.zip")
        await in_thread(partial(_archive_folder, folder, path))
        return await _sent(request, path, path.name)


async def _report_file(request: web.Request, given: Mapping[str, Any]) -> web.StreamResponse:
    month, name = request.match_info["month"], request.match_info["file"]
    match = _FILE.fullmatch(name)
    if match is None:
        raise _no_file(name)
    form = "csv" if match[3] else match[1] or "json"
    async with _report(request, month, (form,)) as folder:
        path = folder / "csv" / name if form == "csv" else folder / name
        if not path.is_file():
            raise _no_file(name)
        return await _sent(request, path, f"{_plain(month)}-{name}")


def _no_file(name: str) -> Refused:
    detail = (
        f'a report has no file "{name[:64]}"; there are report.html, report.pdf, report.xlsx,'
        " report.json, manifest.json, and the CSV files that the manifest of report.zip names"
    )
    return Refused("unknown-name", HTTPStatus.NOT_FOUND, detail)


@asynccontextmanager
async def _report(
    request: web.Request, month: str, formats: tuple[str, ...]
) -> AsyncIterator[Path]:
    """The folder of a report, made beside the daemon. Raises Refused."""
    missing = [name for name in formats if not _there(name)]
    if missing:
        raise Refused(
            "not-installed",
            HTTPStatus.NOT_IMPLEMENTED,
            f"{' and '.join(missing)} cannot be made here: install the extra, pip install"
            " 'pensions-monitor[reports]', or ask for html, csv or json",
        )
    if not _MONTH.fullmatch(month):
        detail = f'month "{month[:64]}" cannot be read; write it as YYYY-MM, such as 2026-03'
        raise Refused("bad-instant", HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    errands = request.app[ERRANDS]
    async with errands.folder() as place:
        out = place / "report"
        command = ("report", month, "--out", str(out), "--format", ",".join(formats), "--json")
        await errands.run(*command)
        yield out


def _there(form: str) -> bool:
    """Whether the library that a format needs is installed."""
    library = EXTRAS.get(form)
    return library is None or importlib.util.find_spec(library) is not None


def _archive_folder(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                with (
                    file.open("rb") as source,
                    zipped.open(
                        _entry(f"{path.stem}/{file.relative_to(folder).as_posix()}"), "w"
                    ) as out,
                ):
                    while chunk := source.read(_CHUNK):
                        out.write(chunk)


async def _sent(request: web.Request, path: Path, name: str) -> web.StreamResponse:
    """A file, chunk by chunk: the whole of it is never in memory."""
    size = (await in_thread(path.stat)).st_size
    answer = web.StreamResponse(
        headers={
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
            hdrs.CONTENT_TYPE: _TYPES[path.suffix],
            hdrs.CONTENT_LENGTH: str(size),
        }
    )
    await answer.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return answer
    file = await in_thread(lambda: path.open("rb"))
    try:
        while chunk := await in_thread(partial(_read, file)):
            await answer.write(chunk)
    finally:
        file.close()
    await answer.write_eof()
    return answer


def _read(file: IO[bytes]) -> bytes:
    return file.read(_CHUNK)


# -- the whole store -------------------------------------------------------------------------------


async def _export(request: web.Request, given: Mapping[str, Any]) -> web.StreamResponse:
    errands = request.app[ERRANDS]
    async with errands.folder(), errands.started("ledger", "export", "-") as child:
        first = await child.read()
        if not first:
            await child.process.wait()
            child.errors = await child.saying
            child.check()
        answer = web.StreamResponse(
            headers={
                hdrs.CONTENT_DISPOSITION: 'attachment; filename="ledger.ndjson"',
                hdrs.CONTENT_TYPE: _TYPES[".ndjson"],
            }
        )
        await answer.prepare(request)
        await answer.write(first)
        async for chunk in child.chunks():
            await answer.write(chunk)
        if await child.process.wait():
            raise ConnectionError("the export broke off: an end would say that it is whole")
        await answer.write_eof()
        return answer


async def _backup(request: web.Request, given: Mapping[str, Any]) -> web.StreamResponse:
    errands = request.app[ERRANDS]
    async with errands.folder() as place:
        path = place / "backup.db"
        await errands.run("store", "backup", str(path))
        return await _sent(request, path, "monitor-backup.db")


def _document(*command: str) -> Answering:
    async def answer(request: web.Request, given: Mapping[str, Any]) -> web.StreamResponse:
        head = ("--head", given["head"]) if given.get("head") else ()
        found = await request.app[ERRANDS].document(*command, *head)
        return web.json_response(found)

    return answer


# -- the table -------------------------------------------------------------------------------------

_TEXT, _FLAG, _NAMES = Argument(Sort.TEXT), Argument(Sort.FLAG), Argument(Sort.NAMES)
_RESOLUTION = {"expected_resolution": _TEXT}
READ, ADMIN = Scope.READ, Scope.ADMIN
ZIP, ANY, JSON = _TYPES[".zip"], "*/*", "application/json"

DOWNLOADS: tuple[Download, ...] = (
    Download(
        "GET",
        "/incidents/{id}/pack.zip",
        "What to submit to MaPS about an incident, as files",
        "Incidents",
        READ,
        ZIP,
        _pack("incident.pack"),
        "incident.pack",
        _RESOLUTION,
    ),
    Download(
        "GET",
        "/declarations/{id}/pack.zip",
        "What to submit to MaPS about a declaration, as files",
        "Downtime",
        READ,
        ZIP,
        _pack("downtime.pack"),
        "downtime.pack",
        _RESOLUTION,
    ),
    Download(
        "GET",
        "/months/{month}/returns.zip",
        "The bodies of the reporting API for a month, as files",
        "Months",
        READ,
        ZIP,
        _returns,
        "returns",
        {"late": _FLAG},
    ),
    Download(
        "GET",
        "/months/{month}/report.zip",
        "The evidence of a month, in every format that can be made here or those named",
        "Months",
        READ,
        ZIP,
        _report_zip,
        "report",
        {"format": _NAMES},
    ),
    Download(
        "GET",
        "/months/{month}/report/{file}",
        "One file of the evidence of a month",
        "Months",
        READ,
        ANY,
        _report_file,
        "report",
    ),
    Download(
        "GET",
        "/ledger/export",
        "Every fact and observation, one JSON object a line",
        "Care",
        ADMIN,
        _TYPES[".ndjson"],
        _export,
    ),
    Download(
        "POST",
        "/ledger/verify",
        "Check the chain of facts and work every sealed figure out again",
        "Care",
        ADMIN,
        JSON,
        _document("ledger", "verify"),
        "ledger.verify",
        {"head": _TEXT},
        "LedgerVerified",
    ),
    Download("GET", "/store/backup", "A copy of the store", "Care", ADMIN, _TYPES[".db"], _backup),
    Download(
        "POST",
        "/store/check",
        "Check the integrity of the store",
        "Care",
        ADMIN,
        JSON,
        _document("store", "check"),
        answer="StoreChecked",
    ),
    Download(
        "POST",
        "/configuration/check",
        "Find everything wrong with configuration, identities, secrets and store",
        "Care",
        ADMIN,
        JSON,
        _document("check"),
        answer="ConfigurationChecked",
    ),
    Download(
        "POST",
        "/identities/check",
        "Check the issued material: files, permissions, key match, chain, dates",
        "Care",
        ADMIN,
        JSON,
        _document("identity", "check"),
        answer="IdentitiesChecked",
    ),
)
