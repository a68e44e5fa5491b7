"""Schemathesis against a live server: what is described is true, and what is not is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.web import tokens
from tests.web.api.served import served

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)
SETTINGS = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 414, 415, 422, 431]
"""


def test_the_description_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of requests made from the description, good and bad, find nothing wrong with it."""
    monkeypatch.setattr(tokens, "FAILURES", 1 << 30)  # it tries without a token all the time
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    with served(tmp_path) as place:
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("st")),
                f"--config-file={settings}",
                "run",
                f"{place.url}/api/v1/openapi.json",
                f"--header=Authorization: Bearer {place.secrets['admin']}",
                "--seed=1",
                "--max-examples=3",
                "--phases=examples,coverage,fuzzing",
                f"--checks={','.join(CHECKS)}",
                # What runs a command beside the daemon has tests of its own, and takes a second each.
                "--exclude-path-regex=/(report|export|backup|check|verify)",
                "--no-color",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "generated" in done.stdout
