"""Where the store of a configuration is, found without judging the rest: cheap, for it is asked often."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from monitor.config_yaml import Faults, Reader

DEFAULT_STORE = "sqlite:///var/lib/monitor/monitor.db"
NO_FILE = ("does not name an SQLite file", f"write it as {DEFAULT_STORE}")
"""What is wrong with a URL that `names_file` refuses, and the cure."""


def find_store(path: Path, *, environ: Mapping[str, str]) -> Path:
    """The store of a configuration; nothing else of it need be right, and nothing is included.

    For what must find a daemon that runs on after a faulty change. Raises ConfigError if the file
    cannot be read, or its `store.url` names no file.
    """
    faults = Faults()
    root = Reader(environ, faults).read(path)
    if root is None:
        faults.raise_any()
        raise AssertionError("a file that cannot be read has a fault")
    url = root.part("store", "url")
    if url.path != "store.url":
        return beside(path, store_path(DEFAULT_STORE) or "")
    if url.broken or not isinstance(url.value, str) or not names_file(url.value):
        faults.at(url, *NO_FILE)
        faults.raise_any()
    return beside(path, store_path(url.value) or "")


def beside(path: Path, name: str) -> Path:
    """A path as seen from the folder of the configuration file."""
    return Path(os.path.normpath(Path(os.path.abspath(path)).parent / name))


def names_file(url: str) -> bool:
    """Whether a store URL names a file."""
    path = store_path(url)
    return bool(path) and not str(path).endswith("/")


def store_path(url: str) -> str | None:
    """The path in a store URL: absolute after `sqlite:///`, else as seen from the configuration."""
    if url.startswith("sqlite:///"):
        return "/" + url.removeprefix("sqlite:///").lstrip("/")
    for prefix in ("sqlite://./", "sqlite:./"):
        if url.startswith(prefix):
            return url.removeprefix(prefix)
    if url.startswith("sqlite:") and not url.startswith("sqlite:/"):
        return url.removeprefix("sqlite:")
    return None
