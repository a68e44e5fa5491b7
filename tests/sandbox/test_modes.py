"""Control requests, read and obeyed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from monitor.errors import UsageError
from monitor.sandbox.modes import MODES, OK, SINK_MODES, Setting, Switch, read_setting, table

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_options_have_defaults_and_are_read_as_text_too() -> None:
    """A query string says the same as a JSON body."""
    assert read_setting({"mode": "status"}, MODES, NOW)[0].options["code"] == 503
    setting, lasting = read_setting({"mode": "status", "code": "429", "seconds": "20"}, MODES, NOW)
    assert setting == Setting("status", {"code": 429, "retry_after": 30}, NOW + timedelta(0, 20))
    assert lasting == 20


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, '"mode" is None'),
        ({"mode": ["ok"]}, "must be one of ok, slow"),
        ({"mode": "explode"}, "must be one of ok, slow"),
        ({"mode": "status", "code": 99}, "an HTTP status code"),
        ({"mode": "status", "code": 404.5}, "an HTTP status code"),
        ({"mode": "status", "code": True}, "an HTTP status code"),
        ({"mode": "status", "code": None}, "an HTTP status code"),
        ({"mode": "slow", "delay": "nan"}, "seconds, 0 to 3600"),
        ({"mode": "slow", "delay": -1}, "seconds, 0 to 3600"),
        ({"mode": "slow", "colour": 1}, 'no option "colour"; it has seconds, delay'),
        ({"mode": "ok", "seconds": 0}, "above 0"),
        ({"mode": "ok", "seconds": 1e9}, "above 0"),
        ({"mode": "bad_certificate", "kind": "odd"}, "one of expired, wrong_name, untrusted"),
    ],
)
def test_what_cannot_be_understood_is_said(body: dict[str, object], said: str) -> None:
    """A wrong mode, option or value names the choices."""
    with pytest.raises(UsageError) as caught:
        read_setting(body, MODES, NOW)
    assert said in str(caught.value)


def test_the_sink_fails_in_http_alone() -> None:
    """Modes of connections and TLS are none of the sink's."""
    assert set(SINK_MODES) == {"ok", "slow", "hang", "status"}
    with pytest.raises(UsageError):
        read_setting({"mode": "refuse"}, SINK_MODES, NOW)


async def test_a_later_setting_outlives_the_timer_of_an_earlier() -> None:
    """The timer belongs to its own setting: a new one is not healed by it."""
    seen: list[str] = []
    switch = Switch(MODES, lambda setting: seen.append(setting.mode))
    switch.set({"mode": "hang", "seconds": 0.05})
    switch.set({"mode": "slow"})
    await asyncio.sleep(0.1)
    assert switch.setting.mode == "slow"
    switch.set({"mode": "hang", "seconds": 0.01})
    await asyncio.sleep(0.05)
    assert switch.setting is OK
    with pytest.raises(UsageError):
        switch.set({"mode": "nonsense"})
    assert seen == ["hang", "slow", "hang", "ok"]


def test_the_table_lists_every_mode_with_a_reason() -> None:
    """`GET /control` names for each mode what a probe will say."""
    listed = table(MODES)
    assert [each["mode"] for each in listed] == list(MODES)
    assert all(each["reasons"] for each in listed)
