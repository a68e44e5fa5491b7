"""Which module may import which, read from the source: importing nothing, missing nothing."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "monitor"

INNER = {"core", "ports", "errors"}
ALLOWED = {
    "__init__": set(),
    "errors": set(),
    "core": {"core", "errors"},
    "ports": {"core"},
    "cycle": INNER,
    "declare": INNER,
    "dispatch": INNER,
    "snapshot": INNER,
    "adapters": INNER | {"adapters"},
    # Pages write numbers as the report does; the API offers what the table of operations holds.
    "web": INNER | {"web", "snapshot", "declare", "operations", "report", "ribbons"},
    "config": {"config", "core", "errors"},
}
"""Part of the package (a module, or a folder with all in it) to the parts it may import.

A part not named here stands outside these: it may import any but `cli` and `daemon`, and of those
above none may import it.
"""
IMPORTERS = {"cli": {"cli", "__main__"}, "daemon": {"daemon", "cli", "__main__"}}
"""Part to the only parts that may import it."""

IMPURE = {
    "asyncio", "concurrent", "http", "io", "logging", "multiprocessing", "os", "pathlib", "select",
    "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "time", "urllib.request",
}  # fmt: skip
"""Standard library that the core, without I/O, clock or async, has no business with."""

HEAVY = {
    "aiohttp", "apprise", "apscheduler", "cryptography", "holidays", "icalendar",
    "jinja2", "prometheus_client", "pydantic",
    "ruamel.yaml", "sqlite_utils", "uvloop", "weasyprint", "xlsxwriter",
}  # fmt: skip
"""What a command may import once it runs, and `--help` never."""


def module_name(path: Path, root: Path) -> str:
    """Dotted name of a source file; a folder's own file keeps its `__init__`."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


def sources(root: Path) -> list[Path]:
    return sorted((root / PACKAGE).rglob("*.py"))


def imported(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything a source file imports, at any depth.

    `from x import y` is the module x.y where the tree has one, else x.
    """
    here = module_name(path, root).split(".")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                below = root.joinpath(*base.split("."), alias.name)
                is_module = below.with_suffix(".py").is_file() or below.is_dir()
                yield node.lineno, f"{base}.{alias.name}" if is_module else base


def part_of(module: str) -> str:
    """The part of the package that a module belongs to: `monitor.core.slo` is of `core`.

    `config` lies in several files: `config.py` and each `config_*.py`.
    """
    names = module.split(".")
    if len(names) == 1:
        return "__init__"
    return "config" if names[1].startswith("config_") else names[1]


def objection(importer: str, name: str) -> str | None:
    """Why a part may not import a module, or None if it may."""
    if name.split(".")[0] != PACKAGE:
        if importer != "core":
            return None
        if name.split(".")[0] not in sys.stdlib_module_names:
            return "the core imports the standard library only"
        if any(f"{name}.".startswith(f"{module}.") for module in IMPURE):
            return "the core knows no I/O, no clock and no async"
        return None
    part = part_of(name)
    if part == "__init__":
        return None  # the package itself, for its version
    if part in IMPORTERS and importer not in IMPORTERS[part]:
        return f"only {', '.join(sorted(IMPORTERS[part]))} may import {part}"
    if importer in ALLOWED and part not in ALLOWED[importer]:
        return f"{importer} may import {', '.join(sorted(ALLOWED[importer])) or 'nothing'}"
    return None


def wrong_imports(root: Path) -> list[str]:
    """Each import against the direction: file:line, what, and the rule."""
    faults = []
    for path in sources(root):
        importer = part_of(module_name(path, root))
        for line, name in sorted(set(imported(path, root))):
            if why := objection(importer, name):
                faults.append(f"{path.relative_to(root)}:{line}: imports {name}; {why}")
    return faults


def test_imports_fall_from_the_edges_to_the_core() -> None:
    """Every module imports only what its part of the package may."""
    assert wrong_imports(ROOT) == []


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("core/slo.py", "import aiohttp"),
        ("core/slo.py", "import time"),
        ("core/slo.py", "from os.path import exists"),
        ("core/slo.py", "from monitor.ports import Clock"),
        ("core/slo.py", "from .. import ports"),
        ("core/slo.py", "def late():\n    from monitor import config"),
        ("ports.py", "from monitor.errors import MonitorError"),
        ("errors.py", "import monitor.core.slo"),
        ("cycle.py", "from monitor.adapters.store import Store"),
        ("cycle.py", "from monitor.snapshot import Snapshot"),
        ("adapters/probe.py", "from monitor.config import Settings"),
        ("adapters/probe.py", "from ..web import app"),
        ("web/api.py", "from monitor.adapters import store"),
        ("config.py", "from monitor.adapters import tls"),
        ("config_yaml.py", "from monitor.ports import Clock"),
        ("adapters/probe.py", "from monitor.config_yaml import Reader"),
        ("snapshot.py", "if TYPE_CHECKING:\n    from monitor.config import Settings"),
        ("replay.py", "from monitor.cli import main"),
        ("web/app.py", "import monitor.daemon"),
        ("declare.py", "from monitor.replay import replay"),
    ],
)
def test_an_import_against_the_direction_is_found(tmp_path: Path, file: str, text: str) -> None:
    """A planted import against the direction is named with its file and line."""
    modules = "adapters/store adapters/tls config config_yaml errors ports snapshot web/app"
    outer = "cli daemon replay"
    plant(tmp_path, {f"{name}.py": "" for name in f"{modules} {outer}".split()})
    plant(tmp_path, {file: text})
    (fault,) = wrong_imports(tmp_path)
    assert fault.startswith(f"monitor/{file}:{len(text.splitlines())}: imports ")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("core/slo.py", "from urllib.parse import urlsplit\nfrom monitor.core import interval"),
        ("core/slo.py", "from .interval import Interval\nfrom ..errors import MonitorError"),
        ("adapters/probe.py", "import aiohttp\nfrom monitor import __version__\nfrom . import tls"),
        ("web/api.py", "from monitor import snapshot\nfrom monitor.web import pages"),
        ("cli.py", "from monitor import daemon, config\nfrom monitor.adapters import store"),
        ("config.py", "from monitor.config_yaml import Reader"),
        ("__main__.py", "from monitor.cli import main"),
        ("replay.py", "from monitor.cycle import Cycle\nfrom monitor.config import Settings"),
    ],
)
def test_an_import_along_the_direction_is_let_through(tmp_path: Path, file: str, text: str) -> None:
    """Imports that fall as they should are not objected to."""
    modules = (
        "adapters/tls adapters/store core/interval config config_yaml daemon snapshot web/pages"
    )
    plant(tmp_path, {f"{name}.py": "" for name in modules.split()})
    plant(tmp_path, {file: text})
    assert wrong_imports(tmp_path) == []


def run_python(code: str, *arguments: str) -> str:
    """Standard output of a new interpreter that ran the code in the project's folder."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WATCHED_IMPORT = """
import importlib, json, os, sys
WATCHED = {"socket.bind", "socket.connect", "sqlite3.connect", "subprocess.Popen", "os.fork",
           "os.system", "os.mkdir", "os.remove", "_thread.start_new_thread"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
seen, module = [], None
def watch(event, arguments):
    if event in WATCHED or (event == "open" and (arguments[2] or 0) & WRITING):
        seen.append(f"{module}: {event} {arguments!r}")
sys.addaudithook(watch)
for module in sys.argv[1:]:
    importlib.import_module(module)
print(json.dumps(seen))
"""


def test_importing_a_module_opens_nothing() -> None:
    """No module, as it is imported, writes a file, opens a socket or store, or starts anything."""
    modules = [module_name(path, ROOT).removesuffix(".__init__") for path in sources(ROOT)]
    assert json.loads(run_python(WATCHED_IMPORT, *modules)) == []


HELP = """
import json, sys
from monitor.cli import main
sys.argv = ["monitor", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print()
print(json.dumps(sorted(sys.modules)))
"""


def test_help_imports_nothing_heavy() -> None:
    """`monitor --help` answers without the libraries that only a command needs."""
    loaded = set(json.loads(run_python(HELP).splitlines()[-1]))
    assert loaded & HEAVY == set()
