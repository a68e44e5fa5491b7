"""What the tests need from outside Python: programs from Debian, and free ports."""

import os
import shutil
import socket

import pytest

PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "buildah": "buildah",
    "chromium": "chromium",
    "faketime": "faketime",
    "mmdebstrap": "mmdebstrap",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "pdfinfo": "poppler-utils",
    "pdftotext": "poppler-utils",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "promtool": "prometheus",
    "setpriv": "util-linux",
    "systemd-analyze": "systemd",
    "unshare": "util-linux",
}
"""Program to the Debian package that brings it, where the tests use one."""


def find(program: str) -> str | None:
    """Path of a program, looked for where servers are installed too, or None."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    return shutil.which(program, path=places)


def need(*programs: str) -> None:
    """Skip the running test unless every program is installed.

    With MONITOR_REQUIRE_TOOLS=1 (set by CI) a missing program fails the test instead, so that
    nothing goes untested unseen.
    """
    missing = [program for program in programs if find(program) is None]
    if not missing:
        return
    packages = sorted({PACKAGES.get(program, program) for program in missing})
    message = (
        f"not installed: {', '.join(missing)}; run scripts/install-tools.sh as root, "
        f"or: apt-get install {' '.join(packages)}"
    )
    if os.environ.get("MONITOR_REQUIRE_TOOLS") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def need_root() -> None:
    """Skip the running test unless it may mount; fail it where tools are required, as by CI."""
    if os.geteuid() == 0:
        return
    message = "mounts file systems: run the tests as root, in a machine that may be thrown away"
    if os.environ.get("MONITOR_REQUIRE_TOOLS") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
