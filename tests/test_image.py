"""The container image: its recipe, and the image itself, really built and run where that can be.

There is no container engine here. buildah builds on a Debian base that mmdebstrap makes; what an
engine would do to run it (a read-only root, a volume, no capabilities, no new privileges, a user
without a name) is done by hand, in a mount namespace.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from monitor import __version__
from monitor.web.tokens import create_token
from tests.e2e.processes import Sandbox, end, get, sandbox, wait_for
from tests.tools import free_port, need, need_root

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "Dockerfile"
USER = 10001
LARGEST = 420e6
"""Bytes that the image may have unpacked, on a base of 225e6."""
LONGEST = 540
"""Seconds that a step of the build may take on a slow network."""


# --- the recipe -----------------------------------------------------------------------------------


def test_the_recipe_keeps_to_the_rules() -> None:
    """hadolint finds nothing in the Dockerfile."""
    hadolint = Path(sys.executable).parent / "hadolint"
    command = [str(hadolint), "--failure-threshold", "style", str(RECIPE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_what_the_recipe_copies_is_sent_to_the_build() -> None:
    """.dockerignore leaves out everything but the sources of COPY and the pins of an image."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    kept = {line.removeprefix("!") for line in entries if line.startswith("!")}
    assert entries[0] == "*"
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", RECIPE.read_text("utf-8"), re.MULTILINE)
    sources = {source.rstrip("/") for copy in copies for source in copy.split()}
    pins = {f"requirements/{path.name}" for path in (ROOT / "requirements").glob("*.txt")}
    assert kept == (sources - {"requirements"}) | (pins - {"requirements/dev.txt"})
    assert all((ROOT / path).exists() for path in kept)


def test_the_labels_say_what_the_project_says() -> None:
    """Version, licence and description of the image are those of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = RECIPE.read_text(encoding="utf-8")
    assert f"ARG VERSION={__version__}\n" in text
    assert f'image.licenses="{project["license"]}"' in text
    assert f'image.description="{project["description"]}"' in text


# --- the image ------------------------------------------------------------------------------------


@dataclass
class Builder:
    """buildah with a storage of its own."""

    folder: Path
    driver: str = "overlay"

    @classmethod
    def make(cls, folder: Path) -> Builder:
        """One that copies nothing whole where the kernel lets it, else one that copies everything."""
        quick = cls(folder)
        return quick if quick.try_("info").returncode == 0 else cls(folder, "vfs")

    def try_(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        place = self.folder / self.driver
        where = ["--root", f"{place}/storage", "--runroot", f"{place}/run"]
        command = ["buildah", *where, "--storage-driver", self.driver, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)

    def __call__(self, *arguments: str) -> str:
        done = self.try_(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()


@pytest.fixture
def builder() -> Iterator[Builder]:
    """A builder whose storage is gone afterwards; not under pytest's folder, which keeps three."""
    need("buildah", "mmdebstrap", "setpriv", "unshare")
    need_root()
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    built = Builder.make(folder)
    try:
        yield built
    finally:
        built("umount", "--all")
        built("rm", "--all")
        shutil.rmtree(folder)


def make_base(build: Builder) -> str:
    """The name of a Debian base image with Python, and nothing of this project."""
    container = build("from", "scratch")
    root = build("mount", container)
    packages = "--include=python3,python3-venv,ca-certificates"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", root]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    build("commit", "--quiet", "--rm", container, "localhost/base")
    return "localhost/base"


def index_of_this_machine(build: Builder) -> list[str]:
    """Options that lend the build this machine's own way to its package index, and leave no trace."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = dict(re.findall(r"^[^.\n]+\.([\w-]+)='(.*)'$", listed, re.MULTILINE))
    lines = ["[global]", *(f"{key} = {value}" for key, value in found.items())]
    secret = build.folder / "pip.conf"
    secret.write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = " ".join(found.values()).split()
    # An index on disk names files beside itself.
    indices = {
        Path(text.removeprefix("file://")).parent for text in texts if text.startswith("file:")
    }
    places = indices | {Path(text) for text in texts if text.startswith("/")}
    mounts = [f"--volume={place}:{place}:ro" for place in sorted(places) if place.exists()]
    return [f"--secret=id=pip.conf,src={secret}", *mounts]


def make_image(build: Builder) -> str:
    """The name of the image, built from the working tree."""
    base = make_base(build)
    build(
        *("build", "--isolation", "chroot", "--pull-never", "--format", "docker"),
        *("--build-arg", f"BASE_IMAGE={base}", *index_of_this_machine(build)),
        *("--tag", "localhost/monitor", str(ROOT)),
    )
    return "localhost/monitor"


@dataclass
class Container:
    """What an engine would make of the image: its root, its volume, the configuration it mounts."""

    root: Path
    state: Path
    etc: Path
    environment: Sequence[str]

    MOUNTS = """
        set -eu
        root=$1 state=$2 etc=$3
        shift 3
        mount --make-rprivate /
        mount --bind "$root" "$root"
        mount --bind "$state" "$root/var/lib/monitor"
        mount --bind "$etc" "$root/etc/monitor"
        mount -o remount,bind,ro "$root/etc/monitor"
        mount -t proc proc "$root/proc"
        mount --bind /dev "$root/dev"
        mount -o remount,bind,ro "$root/dev"
        mount -o remount,bind,ro "$root"
        exec chroot "$root" /usr/bin/env -i "$@"
    """

    def command(self, *command: str) -> list[str]:
        """The command inside: unprivileged for good, on a read-only root."""
        drop = ["--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--no-new-privs"]
        return [
            *("unshare", "--mount", "sh", "-c", self.MOUNTS, "container"),
            *(str(self.root), str(self.state), str(self.etc), *self.environment),
            *("setpriv", *drop, "--bounding-set=-all", "--inh-caps=-all", "--", *command),
        ]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*command), capture_output=True, text=True, timeout=60, check=False
        )


def configure(etc: Path, place: Sandbox) -> str:
    """What an operator mounts: configuration and secrets, the user's own; the daemon's address."""
    settings = place.settings()
    listen = f"127.0.0.1:{free_port()}"
    settings["store"]["url"] = "sqlite:///var/lib/monitor/monitor.db"
    settings["http"] = {"listen": listen, "tokens_file": "tokens.yaml"}
    shutil.copytree(place.folder / "pack", etc / "pack")
    for name in ("server-ca.pem", "hook.secret"):
        shutil.copy(place.folder / name, etc)
    with (etc / "monitor.yaml").open("w") as stream:
        YAML(typ="safe").dump(settings, stream)
    with (etc / "tokens.yaml").open("w") as stream:
        YAML(typ="safe").dump([create_token("prometheus", "read")[1]], stream)
    for path in (etc, *etc.rglob("*")):
        os.chown(path, USER, USER)
    return listen


@contextmanager
def container_of(build: Builder, image: str, config: dict[str, Any]) -> Iterator[Container]:
    """The image unpacked, with the folders that an engine mounts into it."""
    name = build("from", "--pull-never", image)
    root = Path(build("mount", name))
    (root / "etc" / "monitor").mkdir()
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    state, etc = build.folder / "state", build.folder / "etc"
    for folder in (state, etc):
        folder.mkdir(mode=0o700)
        os.chown(folder, USER, USER)
    build.folder.chmod(0o755)
    yield Container(root, state, etc, config["Env"])


def test_the_image_is_built_and_runs_as_promised(builder: Builder, tmp_path: Path) -> None:
    """Built from this tree, it checks, becomes ready, is healthy and stops: read-only, unprivileged."""
    faulthandler.dump_traceback_later(LONGEST, exit=True)  # instead of the suite's two minutes
    image = make_image(builder)
    config = json.loads(builder("inspect", "--type", "image", image))["Docker"]["config"]
    assert_declared(config)
    with container_of(builder, image, config) as container, sandbox(tmp_path) as place:
        assert_nothing_is_left_behind(container)
        assert_only_the_volume_is_written_to(container)
        assert (
            container.run("python", "-c", "import tempfile; tempfile.TemporaryFile()").returncode
            == 0
        )
        listen = configure(container.etc, place)
        said = container.run("monitor", "--version")
        assert said.stdout == f"monitor {__version__}\n", said.stderr
        checked = container.run(*config["Entrypoint"], "check")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        healthy = config["Healthcheck"]["Test"][1:]
        assert container.run(*healthy).returncode == 1  # nobody runs yet
        with (tmp_path / "daemon.log").open("w") as log:
            command = container.command(*config["Entrypoint"], *config["Cmd"])
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for("the daemon", lambda: get(f"http://{listen}/healthz")[0] == 200)
            wait_for("ready", lambda: container.run(*healthy, "--ready").returncode == 0)
            assert get(f"http://{listen}/metrics")[0] == 401  # yet healthy without a token
            wait_for("a good probe", lambda: probed_up(container))
            assert "NoNewPrivs:\t1" in Path(f"/proc/{process.pid}/status").read_text()
        finally:
            began = time.monotonic()
            status = end(process)
        assert status == 0, (tmp_path / "daemon.log").read_text()
        assert time.monotonic() - began < 10
        assert (container.state / "monitor.db").stat().st_uid == USER


def assert_declared(config: dict[str, Any]) -> None:
    """What an engine reads: no root, a health check, a volume, the signal to stop, labels."""
    assert config["User"] == f"{USER}:{USER}"
    assert config["Healthcheck"]["Test"] == ["CMD", "monitor", "healthcheck"]
    assert config["Entrypoint"] == ["monitor"]
    assert config["Cmd"] == ["run"]
    assert list(config["Volumes"]) == ["/var/lib/monitor"]
    assert config["StopSignal"] == "SIGTERM"
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"
    assert labels["title"] == "monitor"
    assert "PIP" not in " ".join(config["Env"])


def assert_nothing_is_left_behind(container: Container) -> None:
    """Of the build nothing remains: no sources, no build tools, no way to a package index."""
    for name in ("src", "opt/build", "opt/wheel", "etc/pip.conf", "root/.cache"):
        assert not (container.root / name).exists(), name
    size = sum(path.lstat().st_size for path in container.root.rglob("*") if not path.is_symlink())
    print(f"the image has {size / 1e6:.0f} MB")
    assert size < LARGEST


def assert_only_the_volume_is_written_to(container: Container) -> None:
    """Anywhere else there is nothing this user could write, even if it tried."""
    find = "find / -path /proc -prune -o -path /dev -prune -o -type d -print"
    tries = f'{find} | while read -r d; do ( : >"$d/written" ) 2>/dev/null && echo "$d"; done'
    tried = container.run("sh", "-c", f"{tries}; true")
    assert tried.stdout.split() == ["/var/lib/monitor"], tried.stderr[-1000:]
    (container.state / "written").unlink()


def probed_up(container: Container) -> bool:
    """Whether every endpoint has answered well, as a user without a name may ask."""
    done = container.run("monitor", "status", "--json")
    assert done.returncode == 0, done.stderr
    return all(
        one["last"] and one["last"]["result"] == "up"
        for one in json.loads(done.stdout)["endpoints"]
    )
