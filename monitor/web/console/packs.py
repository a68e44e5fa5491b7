"""The list of GUIDs to download, as people attach it in the portal of MaPS; the API has whole packs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from aiohttp import hdrs, web

from monitor.errors import MonitorError
from monitor.report.packs import guids_csv, guids_xlsx
from monitor.web.console.asking import asked
from monitor.web.problem import Handler

_FILES: Mapping[str, tuple[Callable[[Any], bytes], str]] = {
    "guids.csv": (guids_csv, "text/csv"),
    "guids.xlsx": (
        guids_xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
}
_WRITER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="packs")
"""Workbooks of thousands of holdernames take a moment, in which probes must get their turn."""


def pack_file_of(operation: str) -> Handler:
    """`.../ID/pack/NAME`: the list of GUIDs, as CSV or as a workbook."""

    async def pack_file(request: web.Request) -> web.Response:
        found = _FILES.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        make, kind = found
        document = await asked(request, operation, {"id": request.match_info["id"]})
        try:
            content = await _written(partial(make, document["guids"]))
        except MonitorError as missing:  # the library for it is not installed
            raise web.HTTPServiceUnavailable(reason=str(missing)) from None
        name = f"{request.match_info['id']}-{request.match_info['name']}"
        return _download(content, kind, name)

    return pack_file


async def _written(make: Callable[[], bytes]) -> bytes:
    return await asyncio.get_running_loop().run_in_executor(_WRITER, make)


def _download(content: bytes, kind: str, name: str) -> web.Response:
    # The name is that of something that exists: letters, digits, dots and hyphens (declare.py).
    headers = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'}
    return web.Response(body=content, content_type=kind, headers=headers)
