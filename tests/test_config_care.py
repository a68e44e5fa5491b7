"""`hypercare` and `security_probes`: what a configuration says of care beside availability."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from monitor.config import Settings, accounting_document, load
from monitor.errors import ConfigError
from monitor.recovery import configuration_fact
from tests.cli_place import CONFIG
from tests.core.builders import START


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "monitor.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ={}, bank_holidays=lambda _: frozenset())


def test_without_a_word_nothing_is_tighter_and_nothing_is_asked(tmp_path: Path) -> None:
    """Hypercare lasts fourteen days and only labels; security probes are off."""
    for endpoint in loaded(tmp_path, CONFIG).endpoints:
        assert endpoint.hypercare == timedelta(days=14)
        assert endpoint.hypercare_interval is None
        assert endpoint.security_every is None


def test_what_is_configured_reaches_the_endpoints_and_no_account(tmp_path: Path) -> None:
    """Neither changes what the accounting depends on; the URLs stand beside that."""
    asked = CONFIG.replace("    service: view\n", "    service: view\n    security_probes: {}\n", 1)
    text = asked + "hypercare: {days: 7, interval: 10s}\n"
    found, plain = loaded(tmp_path, text), loaded(tmp_path, CONFIG)
    assert {one.hypercare for one in found.endpoints} == {timedelta(days=7)}
    assert {one.hypercare_interval for one in found.endpoints} == {timedelta(seconds=10)}
    assert [one.security_every for one in found.endpoints] == [timedelta(days=1), None]
    assert accounting_document(found) == accounting_document(plain)
    assert configuration_fact(found, START).body["urls"] == {
        "view-main": "https://127.0.0.1:9/view",
        "find-main": "https://127.0.0.1:9/find",
    }


@pytest.mark.parametrize("every", ["59m", "1s"])
def test_security_probes_are_of_low_rate(tmp_path: Path, every: str) -> None:
    """Less than an hour apart is a fault, at its place."""
    probes = f"    service: view\n    security_probes: {{every: {every}}}\n"
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, CONFIG.replace("    service: view\n", probes, 1))
    (fault,) = caught.value.faults
    assert (fault.line, fault.path) == (7, "endpoints[0].security_probes.every")
    assert fault.what == "is more often than once an hour"
