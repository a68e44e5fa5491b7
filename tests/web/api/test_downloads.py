"""Files to download, made beside the daemon: the same as the command line writes."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from monitor.web.api import downloads
from monitor.web.api.downloads import DOWNLOADS
from monitor.web.api.errands import ERRANDS, PREFIX, Errands, Where
from monitor.web.api.faults import Refused
from tests.web.api.place import Api


def config(api: Api) -> str:
    return str(api.place.settings.path)


def folder(api: Api) -> Path:
    path: Path = api.place.settings.store.path
    return path.parent


def left(api: Api) -> list[Path]:
    """Folders of errands that were not removed."""
    return errands_in(folder(api))


async def nothing_left(api: Api) -> None:
    """A folder goes just after the last byte was sent."""
    for _ in range(100):
        if not left(api):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(left(api))


def errands_in(place: Path) -> list[Path]:
    return list(place.glob(f"{PREFIX}*"))


def command(api: Api, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments, "-c", config(api)],
        capture_output=True,
        timeout=60,
        check=False,
    )


def unzipped(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as zipped:
        assert zipped.testzip() is None
        return {name.partition("/")[2]: zipped.read(name) for name in zipped.namelist()}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (
            "/incidents/I-1/pack.zip?expected_resolution=2026-03-10T12:00",
            {"form.txt", "guids.csv", "guids.xlsx", "timeline.txt"},
        ),
        ("/declarations/D-1/pack.zip", {"form.txt", "guids.csv", "guids.xlsx"}),
        ("/months/2026-02/returns.zip", {"find-001.json", "view-001.json", "manifest.json"}),
    ],
)
async def test_packs_and_returns_are_archives(api: Api, path: str, names: set[str]) -> None:
    """The files that the command line writes, in an archive that is the same each time."""
    answer = await api.get(path, token="read")
    assert set(unzipped(answer.body)) == names
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="')
    assert (await api.get(path)).body == answer.body


async def test_a_pack_is_what_the_command_line_writes(api: Api, tmp_path: Path) -> None:
    """Byte for byte, the same facts given."""
    answer = await api.get("/declarations/D-2/pack.zip")
    out = tmp_path / "pack"
    await asyncio.to_thread(command, api, "downtime", "pack", "D-2", "--out", str(out))
    written = {file.name: file.read_bytes() for file in out.iterdir()}
    assert unzipped(answer.body) == written


async def test_without_its_library_a_pack_says_what_is_missing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CSV is there; the header says what to install for the spreadsheet."""
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    answer = await api.get("/incidents/I-1/pack.zip")
    assert "guids.xlsx" not in unzipped(answer.body)
    assert "pensions-monitor[reports]" in answer.headers["Monitor-Missing"]


async def test_a_report_is_made_beside_the_daemon(api: Api) -> None:
    """Its files, sums and all, come in one archive or one by one; nothing is left behind."""
    path = "/months/2026-02/report.zip?format=html&format=csv&format=json"
    answer = await api.get(path)
    files = unzipped(answer.body)
    manifest = json.loads(files["manifest.json"])
    for entry in manifest["files"]:
        assert hashlib.sha256(files[entry["name"]]).hexdigest() == entry["sha256"]
    name = next(name for name in files if name.startswith("csv/"))
    for path, wanted in (("report.html", "text/html"), (name.removeprefix("csv/"), "text/csv")):
        one = await api.get(f"/months/2026-02/report/{path}")
        assert one.headers["Content-Type"] == wanted
        assert one.headers["Content-Length"] == str(len(one.body))
    assert one.body == files[name]
    await nothing_left(api)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/months/2026-02/report/passwd", 404),
        ("/months/2026-02/report/..%2Fmonitor.yaml", 404),
        ("/months/2026-02/report/nothing.csv", 404),
        ("/months/2099-01/report/report.json", 422),
        ("/months/--help/report/report.json", 422),
        ("/months/2026-02/report.zip?format=exe", 400),
        ("/incidents/I-9/pack.zip", 404),
        ("/declarations/D-1/pack.zip?expected_resolution=soon", 422),
        ("/months/2099-01/returns.zip", 422),
    ],
)
async def test_a_file_that_there_is_not_is_refused(api: Api, path: str, status: int) -> None:
    """Other names, months to come, what is no month: refused, and nothing is left behind."""
    answer = await api.client.get(
        f"/api/v1{path}", headers={"Authorization": f"Bearer {api.secrets['read']}"}
    )
    assert answer.status == status, await answer.text()
    assert answer.content_type == "application/problem+json"
    await nothing_left(api)


async def test_a_format_that_cannot_be_made_here_says_what_to_install(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """501 for it alone; an archive of all formats leaves it out."""
    monkeypatch.setattr(downloads, "EXTRAS", {"pdf": "no_such_library", "xlsx": "none_either"})
    for path in ("report/report.pdf", "report/report.xlsx", "report.zip?format=pdf"):
        answer = await api.get(f"/months/2026-02/{path}")
        assert (answer.status, answer.document["type"]) == (501, "/problems/not-installed")
        assert "pensions-monitor[reports]" in answer.document["detail"]
    files = unzipped((await api.get("/months/2026-02/report.zip")).body)
    assert "report.html" in files
    assert "report.pdf" not in files


async def test_one_errand_at_a_time(api: Api) -> None:
    """Who comes meanwhile is told when to come again."""
    errands = api.client.app[ERRANDS]  # type: ignore[union-attr]
    async with errands.folder():
        answer = await api.get("/months/2026-02/report/report.json")
    assert (answer.status, answer.document["type"]) == (503, "/problems/busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await api.get("/months/2026-02/report/report.json")).status == 200


async def test_the_ledger_is_exported_and_checked(api: Api, tmp_path: Path) -> None:
    """The export is that of the command line, line for line; the check of it is good."""
    answer = await api.get("/ledger/export")
    written = await asyncio.to_thread(command, api, "ledger", "export", "-")
    assert answer.body == written.stdout
    assert len(answer.body.splitlines()) > 90
    checked = await api.post("/ledger/verify")
    assert checked.document["ok"] is True
    head = (await api.get("/ledger/head")).document
    assert checked.document["head"] == head
    other = await api.post("/ledger/verify", {"head": "0" * 64})
    assert (other.status, other.document["ok"]) == (200, False)
    assert (await api.post("/ledger/verify", {"head": "--help"})).status == 422


async def test_the_store_is_backed_up_and_checked(api: Api, tmp_path: Path) -> None:
    """The download is a whole store; the checks say what is wrong with it, or with the rest."""
    answer = await api.get("/store/backup")
    copy = tmp_path / "copy.db"
    copy.write_bytes(answer.body)
    connection = sqlite3.connect(copy)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert (await api.post("/store/check")).document["ok"] is True
    for path in ("/configuration/check", "/identities/check"):
        answer = await api.post(path)
        assert answer.document["ok"] is False  # there is no identity here
        assert answer.document["faults"]
    await nothing_left(api)


@pytest.mark.parametrize("download", DOWNLOADS, ids=lambda one: one.path)
async def test_a_download_is_closed_to_who_may_not(api: Api, download: Any) -> None:
    """Without a token 401, with too small a scope 403."""
    path = download.path
    for name, value in (("{id}", "I-1"), ("{month}", "2026-02"), ("{file}", "report.json")):
        path = path.replace(name, value)
    body = {} if download.method == "GET" else {"json": {}}
    assert (await api.ask(download.method, path, token=None, **body)).status == 401
    if download.scope == "admin":
        answer = await api.ask(download.method, path, token="declare", **body)
        assert answer.status == 403


# -- the children ----------------------------------------------------------------------------------


@pytest.fixture
def errands(tmp_path: Path) -> Errands:
    return Errands(lambda: Where(tmp_path / "none.yaml", tmp_path))


async def test_one_download_right_after_another_waits_a_moment(errands: Errands) -> None:
    """Whoever has been given all of the first may ask for the second at once."""

    async def tidy_up() -> None:
        async with errands.folder():
            begun.set()
            await asyncio.sleep(0.2)

    begun = asyncio.Event()
    first = asyncio.ensure_future(tidy_up())
    await begun.wait()
    async with errands.folder() as place:
        assert first.done()
        assert place.is_dir()


async def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """It is killed with all that it started, and its folder goes."""
    errands = Errands(lambda: Where(tmp_path / "none.yaml", tmp_path), longest=0.5)
    with pytest.raises(Refused, match="too long"):
        async with (
            errands.folder() as place,
            errands.started(
                "sandbox", "--dir", str(place), "--port", "0", "--metrics-listen", "127.0.0.1:1"
            ),
        ):
            pass
    assert errands_in(tmp_path) == []


async def test_a_child_runs_where_priorities_may_not_be_set(
    errands: Errands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service manager that refuses the call refuses no download."""

    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    said = await errands.run("token", "create", "jo", "--scope", "read", "--json")
    assert json.loads(said)["entry"]["name"] == "jo"


async def test_a_child_nobody_waits_for_is_ended(errands: Errands, tmp_path: Path) -> None:
    """The request is cancelled, as when the daemon stops: so is the child."""
    running: list[Any] = []
    begun = asyncio.Event()

    async def ask() -> None:
        async with (
            errands.folder() as place,
            errands.started("sandbox", "--dir", str(place), "--port", "0") as child,
        ):
            running.append(child.process)
            begun.set()
            await child.read_all()

    task = asyncio.ensure_future(ask())
    await begun.wait()
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running[0].returncode is not None
    assert errands_in(tmp_path) == []


async def test_a_child_that_fails_is_refused_as_what_it_is(errands: Errands) -> None:
    """Wrong use is the caller's, the rest is ours and in the log."""
    async with errands.folder():
        with pytest.raises(Refused) as caught:
            await errands.run("store", "check", "--json")
    assert caught.value.kind == "invalid-argument"  # there is no configuration
    async with errands.folder():
        with pytest.raises(Refused) as caught:
            await errands.run("no-such-command")
    assert caught.value.status == 422


async def test_what_a_killed_daemon_left_is_removed(errands: Errands, tmp_path: Path) -> None:
    """At the next start; other files stay."""
    (tmp_path / f"{PREFIX}abc").mkdir()
    (tmp_path / f"{PREFIX}abc" / "report.pdf").write_text("half")
    (tmp_path / "store.db").write_text("")
    await errands.clean()
    assert os.listdir(tmp_path) == ["store.db"]
