"""The sandbox as a process, and several of them."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from ruamel.yaml import YAML

from monitor.errors import StoreLocked

PROGRAM = """
import asyncio, sys
from pathlib import Path
from monitor.sandbox import serve
asyncio.run(serve(Path(sys.argv[1]), base_port=0, metrics_listen="127.0.0.1:0",
                  announce=lambda text: print(text, flush=True), as_json=sys.argv[2] == "json"))
"""


async def spawn(directory: Path, form: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        PROGRAM,
        str(directory),
        form,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_ready_and_ends_when_told(
    directory: Path, number: signal.Signals
) -> None:
    """A summary, then `ready`, once the configuration is written; a signal ends it in 2 seconds."""
    (directory / "monitor.yaml").unlink(missing_ok=True)
    process = await spawn(directory, "text")
    try:
        assert process.stdout is not None
        lines: list[str] = []
        async with asyncio.timeout(30):
            while "ready" not in lines:
                line = await process.stdout.readline()
                assert line, "it ended before it was ready"
                lines.append(line.decode().rstrip("\n"))
        assert (directory / "monitor.yaml").is_file()
        assert sum("curl " in line for line in lines) == 3
        process.send_signal(number)
        _, errors = await asyncio.wait_for(process.communicate(), 2)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, errors) == (0, b"")


async def test_the_process_announces_one_json_document(directory: Path) -> None:
    """With --json standard output is one document, which names what the configuration names."""
    process = await spawn(directory, "json")
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        said = json.loads(line)
        assert said["configuration"] == str(directory / "monitor.yaml")
        written = YAML(typ="safe").load((directory / "monitor.yaml").read_text())
        assert {each["id"]: each["url"] for each in said["endpoints"]} == {
            each["id"]: each["url"] for each in written["endpoints"]
        }
        assert said["ready"] is True
        process.terminate()
        rest, _ = await asyncio.wait_for(process.communicate(), 2)
        assert rest == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_two_run_side_by_side_and_one_to_a_folder(
    directory: Path, start: Any, tmp_path: Path
) -> None:
    """Another folder has other ports and another PKI; the same folder is refused."""
    async with start(directory) as one, start(tmp_path / "deep" / "er", base_port=None) as two:
        assert one.port("view-main") != two.port("view-main")
        for each in (one, two):
            status, _, _ = await each.ask("GET", f"{each.url('view-main')}/{uuid4()}")
            assert status == 404
        assert (one.directory / "server-ca.pem").read_bytes() != (
            two.directory / "server-ca.pem"
        ).read_bytes()
        with pytest.raises(StoreLocked):
            async with start(directory):
                pass


async def test_a_restart_keeps_ports_and_identities(start: Any, directory: Path) -> None:
    """The same configuration, byte for byte, watches it again."""
    async with start(directory):
        written = (directory / "monitor.yaml").read_bytes()
        leaf = (directory / "pack" / "certificate").read_bytes()
    async with start(directory, base_port=None):
        assert (directory / "monitor.yaml").read_bytes() == written
        assert (directory / "pack" / "certificate").read_bytes() == leaf
