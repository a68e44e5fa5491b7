"""The webhook sink, against signatures made by the reference library."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from monitor.sandbox.sink import KEPT, Sink, key_of, secret_file

SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = json.dumps({"type": "test", "data": {}}).encode()


def signed(
    ident: str = "msg_1", body: bytes = BODY, at: datetime = NOW, secret: str = SECRET
) -> dict[str, str]:
    signature = Webhook(secret).sign(ident, at, body.decode())
    stamp = str(int(at.timestamp()))
    return {"webhook-id": ident, "webhook-timestamp": stamp, "webhook-signature": signature}


def test_a_good_signature_is_verified() -> None:
    """What the reference library signs is believed, and kept with its type and body."""
    sink = Sink(SECRET)
    message = sink.receive(signed(), BODY, NOW)
    assert message.problem is None
    assert sink.messages() == [
        {
            "id": "msg_1",
            "type": "test",
            "verified": True,
            "problem": None,
            "received_at": "2026-03-01T12:00:00+00:00",
            "last_received_at": "2026-03-01T12:00:00+00:00",
            "count": 1,
            "body": {"type": "test", "data": {}},
        }
    ]


def test_one_good_signature_of_two_suffices() -> None:
    """While secrets rotate there are two signatures, separated by a space."""
    headers = signed(secret="whsec_" + base64.b64encode(b"t" * 24).decode())
    headers["webhook-signature"] += " " + signed()["webhook-signature"]
    assert Sink(SECRET).receive(headers, BODY, NOW).problem is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"webhook-signature": "v1,AAAA"}, "no signature matches"),
        ({"webhook-signature": "v1,é"}, "no signature matches"),
        ({"webhook-signature": "v2," + signed()["webhook-signature"][3:]}, "no signature matches"),
        ({"webhook-id": "msg_2"}, "no signature matches"),
        ({"webhook-timestamp": "soon"}, "not a whole number"),
        ({"webhook-id": ""}, "is missing"),
        ({"webhook-signature": ""}, "is missing"),
    ],
)
def test_a_bad_signature_is_not_believed(change: dict[str, str], said: str) -> None:
    """A message is kept as not verified, with the reason."""
    sink = Sink(SECRET)
    message = sink.receive({**signed(), **change}, BODY, NOW)
    assert message.problem is not None
    assert said in message.problem
    assert sink.messages()[0]["verified"] is False


def test_another_body_or_another_secret_is_not_believed() -> None:
    """The signature covers the bytes sent and hangs on the secret."""
    other = "whsec_" + base64.b64encode(b"o" * 24).decode()
    assert Sink(SECRET).receive(signed(), BODY + b" ", NOW).problem == "no signature matches"
    assert Sink(other).receive(signed(), BODY, NOW).problem == "no signature matches"


@pytest.mark.parametrize(("away", "good"), [(-300, True), (300, True), (-301, False), (301, False)])
def test_a_message_must_be_fresh(away: int, good: bool) -> None:
    """Five minutes either way are tolerated, no more."""
    message = Sink(SECRET).receive(signed(at=NOW + timedelta(seconds=away)), BODY, NOW)
    assert (message.problem is None) is good


def test_a_retry_counts_and_is_not_kept_twice() -> None:
    """The same webhook-id is one message; a forged one does not hide it."""
    sink = Sink(SECRET)
    sink.receive(signed(), BODY, NOW)
    later = NOW + timedelta(seconds=9)
    sink.receive(signed(at=later), BODY, later)
    sink.receive({**signed(), "webhook-signature": "v1,AAAA"}, b'{"type":"forged"}', later)
    good, forged = sink.messages()
    assert (good["count"], good["verified"], good["type"]) == (2, True, "test")
    assert good["last_received_at"] == later.isoformat()
    assert (forged["count"], forged["verified"]) == (1, False)
    assert [each["id"] for each in sink.messages("test")] == ["msg_1"]


def test_the_oldest_make_room() -> None:
    """At most a thousand messages are kept."""
    sink = Sink(SECRET)
    for number in range(KEPT + 5):
        sink.receive({"webhook-id": str(number)}, b"\xff not JSON", NOW)
    kept = sink.messages()
    assert (len(kept), kept[0]["id"], kept[0]["body"]) == (KEPT, "5", "\ufffd not JSON")


def test_the_secret_is_made_once_and_mended(tmp_path: Path) -> None:
    """The file is its owner's alone, is reused, and is replaced when it holds no secret."""
    path = tmp_path / "hook.secret"
    secret = secret_file(path)
    assert len(key_of(secret)) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret_file(path) == secret
    path.write_text("whsec_***")
    assert secret_file(path) != secret


@pytest.mark.parametrize("secret", ["", "abc", "whsec_a", "whsec_***"])
def test_a_secret_of_another_shape_is_refused_without_being_told(secret: str) -> None:
    """The error says the shape and not the secret."""
    with pytest.raises(ValueError, match="a webhook secret") as caught:
        key_of(secret)
    assert "***" not in str(caught.value)
