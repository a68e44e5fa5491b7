"""Logs: their form, and what must never be in them."""

import io
import json
import logging
import ssl
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from yarl import URL

from monitor.adapters.logs import redact, redact_text, setup
from monitor.core.verdict import Reason
from monitor.errors import UsageError

SECRETS = ["s3cr3t", "hunter2", "t0k3n"]
Lines = Callable[[], list[dict[str, Any]]]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave logging as it was found."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    """What was logged as JSON since."""
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object(stream: io.StringIO, lines: Lines) -> None:
    """Event, fields, level, logger and UTC time stand in one line."""
    setup(stream=stream)
    since = datetime(2026, 3, 1, tzinfo=UTC)
    structlog.get_logger("monitor.cycle").info(
        "incident_opened", endpoint="view-main", since=since, after=timedelta(seconds=90), n=3
    )
    (line,) = lines()
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {
        "event": "incident_opened",
        "endpoint": "view-main",
        "since": "2026-03-01T00:00:00Z",
        "after": 90.0,
        "n": 3,
        "level": "info",
        "logger": "monitor.cycle",
    }


def test_records_of_other_libraries_take_the_same_form(stream: io.StringIO, lines: Lines) -> None:
    """A standard record becomes an event with its extra fields, redacted like ours."""
    setup(stream=stream)
    logging.getLogger("aiohttp.client").warning(
        "asked %s", "https://u:hunter2@host/x?k=s3cr3t", extra={"token": "t0k3n", "n": 1}
    )
    (line,) = lines()
    assert line["event"] == "asked https://host/x?[redacted]"
    assert (line["logger"], line["level"], line["n"]) == ("aiohttp.client", "warning", 1)
    assert line["token"] == "[redacted]"


@pytest.mark.parametrize("console", [True, False])
@pytest.mark.parametrize("foreign", [True, False])
def test_tracebacks_show_no_local_variables(
    stream: io.StringIO, console: bool, foreign: bool
) -> None:
    """An exception is logged with its traceback and cause, without values, its text redacted."""
    setup(stream=stream, console=console)
    try:
        passphrase = "hunter2"  # noqa: F841 the local that must not show
        try:
            raise ValueError("could not post to https://hooks.example/x?key=s3cr3t")
        except ValueError as cause:
            raise OSError("gave up") from cause
    except OSError:
        if foreign:
            logging.getLogger("lib").exception("failed")
        else:
            structlog.get_logger().exception("failed")
    text = stream.getvalue()
    assert "hunter2" not in text.replace('passphrase = "hunter2"', "")
    assert "s3cr3t" not in text
    assert "OSError" in text
    assert "gave up" in text
    assert "ValueError" in text
    assert "test_logs.py" in text


def test_an_exception_given_as_a_field_is_logged_whole(stream: io.StringIO, lines: Lines) -> None:
    """`exc_info` may be the exception itself, as from a callback."""
    setup(stream=stream)
    structlog.get_logger().error("job_trouble", exc_info=ZeroDivisionError("boom"))
    (line,) = lines()
    assert line["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert line["exception"][0]["exc_value"] == "boom"


def test_values_of_any_kind_are_redacted() -> None:
    """Secrets are found under telling names and inside values, at any depth and of any type."""
    event = {
        "event": "webhook_failed",
        "url": URL("https://u:hunter2@hooks.example/services/x?token=t0k3n#s3cr3t"),
        "error": OSError("POST https://hooks.example/?a=s3cr3t failed"),
        "headers": {"Authorization": "Basic aHVudGVyMg==", "Accept": "*/*"},
        "items": [("https://x:s3cr3t@h/", {"password": "hunter2"}), {"whsec_aHVudGVyMg=="}],
        "secret": b"hunter2",
        "api_key": "s3cr3t",
        "secret_file": Path("/etc/monitor/hook.secret"),
        "reason": Reason.TLS_REFUSED,
        "has_secret": True,
        "password": None,
    }
    plain = dict(redact(None, "info", event))
    text = json.dumps(plain)
    for secret in [*SECRETS, "aHVudGVyMg"]:
        assert secret not in text
    assert plain["url"] == "https://hooks.example/services/x?[redacted]"
    assert plain["headers"] == {"Authorization": "[redacted]", "Accept": "*/*"}
    assert plain["secret_file"] == "/etc/monitor/hook.secret"
    assert plain["reason"] == "tls_refused"
    assert (plain["has_secret"], plain["password"]) == (True, None)


def test_a_value_within_itself_is_no_trap() -> None:
    """Nesting without end is cut."""
    loop: list[object] = []
    loop.append(loop)
    assert "..." in json.dumps(dict(redact(None, "info", {"loop": loop})))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide", "nothing to hide"),
        ("https://h/x", "https://h/x"),
        ("see https://h/x?a=1, or https://u@h/y.", "see https://h/x?[redacted] or https://h/y."),
        ('"sqlite:///var/lib/m.db?mode=ro"', '"sqlite:///var/lib/m.db?[redacted]"'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("key whsec_QUJD/+= here", "key [redacted] here"),
        ("mail ops@example.org", "mail ops@example.org"),
        (
            "a -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- b",
            "a [redacted] b",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMHcut", "[redacted]"),
    ],
)
def test_texts_lose_only_their_secrets(text: str, shown: str) -> None:
    """What is not secret stays readable."""
    assert redact_text(text) == shown


def test_a_level_hides_what_is_below_it(stream: io.StringIO, lines: Lines) -> None:
    """The level may be changed while running, for ours and others' alike."""
    log, lib = structlog.get_logger("monitor"), logging.getLogger("lib")
    setup("warning", stream=stream)
    log.info("a")
    lib.info("b")
    setup("debug", stream=stream)
    log.debug("c")
    lib.debug("d")
    assert [line["event"] for line in lines()] == ["c", "d"]


def test_an_unknown_level_is_refused() -> None:
    """The message says which levels there are."""
    with pytest.raises(UsageError, match='"loud" is not known; use one of debug, info'):
        setup("loud")


def test_chatter_of_libraries_is_kept_out(stream: io.StringIO, lines: Lines) -> None:
    """A scheduler's every run and a server's every request are not news."""
    setup("info", stream=stream)
    for name in ("apscheduler.executors.default", "apscheduler.scheduler", "aiohttp.access"):
        logging.getLogger(name).info("Running job")
    assert lines() == []


def test_warnings_are_logged(stream: io.StringIO, lines: Lines) -> None:
    """A library's warning does not break into the lines of JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        setup(stream=stream)
        warnings.warn("going away", DeprecationWarning, stacklevel=1)
        (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert "going away" in line["event"]


def test_a_terminal_gets_lines_for_people() -> None:
    """On a terminal the form is for reading, and nothing more is shown than in JSON."""
    stream = Terminal()
    setup(stream=stream)
    structlog.get_logger().warning("webhook_failed", url="https://u:hunter2@h/?q=s3cr3t")
    text = stream.getvalue()
    assert not text.startswith("{")
    assert "webhook_failed" in text
    assert not any(secret in text for secret in SECRETS)


def test_bound_context_is_in_every_line(stream: io.StringIO, lines: Lines) -> None:
    """Context variables are fields, of other libraries' records too."""
    setup(stream=stream)
    with structlog.contextvars.bound_contextvars(endpoint="find-main"):
        structlog.get_logger().info("a")
        logging.getLogger("lib").info("b")
    assert [line["endpoint"] for line in lines()] == ["find-main", "find-main"]


def test_a_tls_error_is_told_in_words(stream: io.StringIO, lines: Lines) -> None:
    """Objects without a plain form are written as their text."""
    setup(stream=stream)
    structlog.get_logger().info("probe", error=ssl.SSLError(1, "alert unknown ca"))
    assert "alert unknown ca" in lines()[0]["error"]
