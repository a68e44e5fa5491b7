"""Apprise delivers for real to a receiver on this machine; no URL is ever told."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.apprise import AppriseNotifier, AppriseUrl, with_options
from monitor.core.alert import Event
from monitor.core.delivery import Accepted, Retry
from monitor.errors import ConfigError
from monitor.ports import Delivery
from tests.alertmanagers import Sink, sink
from tests.core.builders import LONDON
from tests.tools import free_port

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATA = {
    "id": "I-1",
    "group": "west",
    "endpoints": ["view-main"],
    "started_at": "2026-03-01T12:00:00Z",
    "deadline": "2026-03-01T14:00:00Z",
}
SECRET = "s3cr3t"


@pytest.fixture
def hook() -> Iterator[Sink]:
    with sink() as seen:
        yield seen


def delivery(kind: str = "incident.opened", **more: Any) -> Delivery:
    return Delivery(1, "chat", "msg_1", Event(AT, kind, "I-1", DATA | more), 0, AT, "pending", None)


def notifier(url: str | AppriseUrl, **options: Any) -> AppriseNotifier:
    given = AppriseUrl(url) if isinstance(url, str) else url
    return AppriseNotifier("chat", given, zone=LONDON, **options)


def json_url(hook: Sink) -> str:
    return f"{hook.url.replace('http', 'json')}/{SECRET}"


async def test_an_incident_arrives_as_text(hook: Sink) -> None:
    """Title, lines and level reach the receiver through Apprise's own plugin."""
    sender = notifier(json_url(hook), public_url="https://m.example")
    assert await sender.send(delivery()) == Accepted()
    (body,) = hook.got
    assert body["title"] == "Incident I-1: view-main unavailable"
    assert body["type"] == "failure"
    assert body["message"].splitlines()[0] == "Since: 12:00 on Sun 1 March 2026, UK time"
    assert body["message"].endswith("https://m.example/incidents/I-1")
    assert hook.paths == [f"/{SECRET}"]


async def test_nothing_in_a_text_is_expanded(hook: Sink) -> None:
    """A note with braces or escapes arrives as it was written."""
    note = r"{{ title }} \n *bold* <b>"
    assert (
        await notifier(json_url(hook)).send(delivery("incident.updated", step={"text": note}))
        == Accepted()
    )
    assert f"Note: {note}" in hook.got[0]["message"]


async def test_what_is_not_taken_is_tried_again(hook: Sink) -> None:
    """Apprise says no more than no: a refusal, an error and an absent receiver are tried again."""
    sender = notifier(json_url(hook))
    for status in (500, 404):
        hook.status = status
        outcome = await sender.send(delivery())
        assert outcome == Retry("chat: not taken, says Apprise")
    absent = notifier(f"json://127.0.0.1:{free_port()}/{SECRET}", timeout=timedelta(seconds=2))
    assert isinstance(await absent.send(delivery()), Retry)


async def test_a_receiver_that_hangs_is_given_up_in_time() -> None:
    """Apprise's own time-outs come from ours."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"json://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"
        begun = datetime.now(UTC)
        outcome = await notifier(url, timeout=timedelta(seconds=1)).send(delivery())
        assert isinstance(outcome, Retry)
        assert datetime.now(UTC) - begun < timedelta(seconds=5)


async def test_no_log_holds_the_url(hook: Sink, caplog: pytest.LogCaptureFixture) -> None:
    """What Apprise logs of a failed message stays out of our log."""
    from monitor.adapters.logs import QUIETER

    assert QUIETER["apprise"] == logging.CRITICAL
    hook.status = 500
    caplog.set_level(QUIETER["apprise"], "apprise")
    outcome = await notifier(json_url(hook)).send(delivery())
    assert SECRET not in str(outcome) + caplog.text


async def test_the_url_is_read_anew_from_its_file(tmp_path: Path, hook: Sink) -> None:
    """A rotated URL is used from the next message on; one that is no good is tried again later."""
    file = tmp_path / "chat.url"
    file.write_text(f"# chat\n\n{json_url(hook)}\n")
    sender = notifier(AppriseUrl(file=file))
    assert await sender.send(delivery()) == Accepted()
    file.write_text(json_url(hook) + "2")
    assert await sender.send(delivery()) == Accepted()
    assert hook.paths == [f"/{SECRET}", f"/{SECRET}2"]
    file.write_text(f"nonsense://{SECRET}")
    outcome = await sender.send(delivery())
    assert isinstance(outcome, Retry)
    assert "is not a URL that Apprise can use" in outcome.error
    assert SECRET not in outcome.error
    file.unlink()
    outcome = await sender.send(delivery())
    assert isinstance(outcome, Retry)
    assert "cannot be read" in outcome.error


@pytest.mark.parametrize(
    "content", [b"", b"json://a\njson://b\n", b"\xff", b"json://" + b"x" * 9000]
)
def test_a_bad_url_file_is_a_fault(tmp_path: Path, content: bytes) -> None:
    """One URL, as text; the fault names the file and none of its content."""
    file = tmp_path / "chat.url"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"chat\.url: alerts\.apprise") as caught:
        notifier(AppriseUrl(file=file))
    assert "json" not in str(caught.value)


def test_a_url_that_apprise_does_not_know_is_a_fault() -> None:
    """It is told at the start, without the URL."""
    with pytest.raises(ConfigError, match="is not a URL that Apprise can use") as caught:
        notifier(f"nonsense://{SECRET}")
    assert SECRET not in str(caught.value)


def test_a_missing_extra_is_a_fault_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Apprise the configuration that names it is refused, with what to install."""
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "apprise":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'pensions-monitor\[notify\]'"):
        notifier("json://127.0.0.1")


def test_a_pager_takes_an_incident_for_one() -> None:
    """PagerDuty gets the incident's id as its key, and resolves it by the level of its end."""
    import apprise

    url = with_options("pagerduty://integration@" + "a" * 20, "I-1", 10.0)
    pager = apprise.Apprise.instantiate(url)
    assert pager is not None
    assert (pager.dedup, pager.action) == ("I-1", "map")
    assert (pager.socket_connect_timeout, pager.socket_read_timeout) == (10.0, 10.0)
    kept = with_options("pagerduty://i@a?dedup=mine&cto=1", "I-1", 10.0)
    assert kept == "pagerduty://i@a?dedup=mine&cto=1&rto=10&action=map"
