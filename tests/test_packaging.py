"""What is released around the code: requirements, licence, unit file; nothing of one machine."""

import re
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tools import PACKAGES, find, free_port, need

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
UNIT = ROOT / "config" / "monitor.service"

# Bracketed letters, so that this file does not match itself.
LOCAL = re.compile(
    r"""
    py[p]i\.org | python[h]osted\.org | registry\.[n]pmjs | registry\.[y]arnpkg
    | (?:deb|security|snapshot)\.[d]ebian\.org | proxy\.golang\.[o]rg | files\.py[p]i
    | /roo[t]/ | /home/[a-z]\w*/ | /User[s]/\w+/ | /opt/py[p]i | /opt/whee[l]s
    | /[.]pyenv/versions/3\.\d+\.\d | /wor[k]/ | fil[e]:///(?!etc|var)
    """,
    re.VERBOSE,
)


def tracked() -> list[Path]:
    """Every file that git holds, as it stands now."""
    if find("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is released cannot be listed")
    # The checkout may belong to someone else, as in a container: that is no fault of its content.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_place_of_one_machine() -> None:
    """No tracked file names a package registry's host or a path of the machine it was made on."""
    faults = [
        f"{path.relative_to(ROOT)}:{number}: {found.group()}"
        for path in tracked()
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n"), 1)
        if (found := LOCAL.search(line))
    ]
    assert faults == []


def pins(name: str) -> Iterator[tuple[Requirement, str]]:
    """Each requirement of a file, with the text of its entry; comments left out."""
    lines = (REQUIREMENTS / name).read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    for entry in text.replace("\\\n", " ").splitlines():
        if entry.strip():
            yield Requirement(entry.split(" --hash=")[0].strip()), entry


def pinned(name: str) -> dict[str, str]:
    """Project name to the version a file pins."""
    return {
        canonicalize_name(requirement.name): next(iter(requirement.specifier)).version
        for requirement, _ in pins(name)
    }


FILES = [path.name for path in sorted(REQUIREMENTS.glob("*.txt"))]


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_one_version_with_hashes(name: str) -> None:
    """Each entry of a requirements file is `project==version` with at least one SHA-256."""
    loose = [
        entry
        for requirement, entry in pins(name)
        if [part.operator for part in requirement.specifier] != ["=="]
        or not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)
        or requirement.url
    ]
    assert loose == []


def test_pins_keep_the_extras_that_are_asked_for() -> None:
    """What one package asks of another as `name[extra]` is pinned so: else pip takes the newest."""
    kept = {canonicalize_name(one.name): one.extras for one, _ in pins("dev.txt") if one.extras}
    assert kept["coverage"] == {"toml"}
    assert kept["fonttools"] == {"woff"}


@pytest.mark.parametrize("name", FILES)
def test_requirements_name_no_source(name: str) -> None:
    """A requirements file leaves to the machine where packages come from."""
    text = (REQUIREMENTS / name).read_text(encoding="utf-8")
    options = re.findall(r"^-.*$|--(?:extra-)?index-url.*|--find-links.*|://.*", text, re.MULTILINE)
    assert options == []


def declared() -> dict[str, list[Requirement]]:
    """Requirements file to what pyproject.toml asks for in it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    runtime = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    dev = [entry for entry in groups["dev"] if isinstance(entry, str)]
    asked = {
        "runtime.txt": runtime,
        "reports.txt": [*runtime, *extras["reports"]],
        "full.txt": [*runtime, *extras["reports"], *extras["notify"]],
        "build.txt": groups["build"],
        "dev.txt": [
            *runtime,
            *groups["build"],
            *dev,
        ],
    }
    assert project["build-system"]["requires"][0] in groups["build"]
    return {name: [Requirement(text) for text in texts] for name, texts in asked.items()}


@pytest.mark.parametrize("name", FILES)
def test_pins_satisfy_what_the_project_asks_for(name: str) -> None:
    """Each dependency of pyproject.toml is pinned, at a version that it allows."""
    versions = pinned(name)
    unmet = [
        str(requirement)
        for requirement in declared()[name]
        if (version := versions.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(version)
    ]
    assert unmet == []


def test_what_is_tested_is_what_runs() -> None:
    """The tests run on the very versions that are installed for operators."""
    dev = pinned("dev.txt")
    others = {name: version for file in FILES for name, version in pinned(file).items()}
    assert {name: dev.get(name) for name in others} == others


def test_licence_is_the_apache_licence() -> None:
    """LICENSE is the full text of Apache-2.0, as pyproject.toml says."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"


def test_changelog_has_room_for_what_is_not_released() -> None:
    """CHANGELOG.md opens with an Unreleased section in the agreed headings."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    assert headings[0] == "Unreleased"
    releases = {heading for heading in headings if re.match(r"Unreleased$|\d+\.\d+", heading)}
    assert set(headings) - releases <= {"Added", "Changed", "Fixed", "Removed"}


def test_scripts_can_be_run() -> None:
    """What people and CI start directly is executable and names its interpreter."""
    scripts = [ROOT / ".ci" / "run", *sorted((ROOT / "scripts").glob("*.sh"))]
    wrong = [
        path.name
        for path in scripts
        if not path.stat().st_mode & 0o111 or not path.read_bytes().startswith(b"#!")
    ]
    assert wrong == []


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit file with a program that exists here in the place of the installed one."""
    need("systemd-analyze")
    text = UNIT.read_text(encoding="utf-8")
    changed, count = re.subn(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
    assert count == 1
    path = tmp_path / UNIT.name
    path.write_text(changed, encoding="utf-8")
    return path


def analyze(*arguments: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_accepts_the_unit_file(unit: Path) -> None:
    """systemd finds no fault in the unit file."""
    analyze("verify", "--man=no", str(unit))


def test_the_service_is_hardened(unit: Path) -> None:
    """systemd rates the service's exposure 2.0 or better."""
    analyze("security", "--no-pager", "--offline=true", "--threshold=20", str(unit))


def test_credentials_of_the_unit_are_examples_only() -> None:
    """The unit file starts without any secret in place, and shows how to hand one in."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("#LoadCredential=") for line in lines)
    assert not any(line.startswith("LoadCredential=") for line in lines)


def test_what_takes_long_may_give_way_to_the_probes() -> None:
    """The one call of a refused set that the daemon makes is let through, after the refusal."""
    filters = re.findall(r"^SystemCallFilter=(.+)$", UNIT.read_text("utf-8"), re.MULTILINE)
    assert filters == ["@system-service", "~@privileged @resources", "setpriority"]


def test_no_secret_can_reach_a_disk() -> None:
    """Neither a core dump nor swap may hold private keys; and memory is bounded."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    assert {"LimitCORE=0", "MemorySwapMax=0", "MemoryMax=2G"} <= set(lines)


def test_a_missing_tool_skips_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a program its test is skipped, and told what to install."""
    monkeypatch.delenv("MONITOR_REQUIRE_TOOLS", raising=False)
    monkeypatch.setitem(PACKAGES, "no-such-program", "some-package")
    need("sh")
    with pytest.raises(pytest.skip.Exception, match=r"install-tools\.sh.* some-package$"):
        need("sh", "no-such-program")


def test_a_missing_tool_fails_where_tools_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MONITOR_REQUIRE_TOOLS=1 a missing program fails the test that needs it."""
    monkeypatch.setenv("MONITOR_REQUIRE_TOOLS", "1")
    with pytest.raises(pytest.fail.Exception, match="not installed: no-such-program"):
        need("no-such-program")


def test_a_free_port_can_be_listened_on() -> None:
    """A free port is free."""
    with socket.create_server(("127.0.0.1", free_port())):
        pass
