"""A webhook receiver that believes nothing: it checks Standard Webhooks signatures itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from monitor.sandbox.modes import SINK_MODES, Switch
from monitor.sandbox.pki import PRIVATE, write

TOLERANCE = timedelta(minutes=5)
KEPT = 1000
PREFIX = "whsec_"


def secret_file(path: Path) -> str:
    """The secret that a file holds, made if it holds none; the file is its owner's alone."""
    try:
        found = path.read_text(encoding="ascii").strip()
        key_of(found)
        path.chmod(PRIVATE)
        return found
    except (OSError, ValueError):
        pass  # missing or damaged
    made = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    write(path, f"{made}\n".encode(), PRIVATE)
    return made


def key_of(secret: str) -> bytes:
    """The key that a `whsec_` secret stands for; ValueError without saying the secret."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a webhook secret begins with {PREFIX}")
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"a webhook secret is base64 after {PREFIX}") from None


def fault(headers: Mapping[str, str], body: bytes, key: bytes, now: datetime) -> str | None:
    """Why a message must not be believed, or None if its signature is good.

    Header names are lower case. One good signature of several suffices: secrets are rotated.
    """
    ident, stamp = headers.get("webhook-id"), headers.get("webhook-timestamp")
    signatures = headers.get("webhook-signature")
    if not ident or not stamp or not signatures:
        return "webhook-id, webhook-timestamp or webhook-signature is missing"
    if not (stamp.isascii() and stamp.isdigit()):
        return "webhook-timestamp is not a whole number of seconds"
    if abs(now.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
        return "webhook-timestamp is more than 5 minutes away from now"
    signed = b".".join((ident.encode(), stamp.encode(), body))
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    for signature in signatures.split(" "):
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value.encode(), expected):
            return None
    return "no signature matches"


@dataclass(slots=True)
class Message:
    """One message, however often it came: `count` receipts, the first and the last dated."""

    id: str
    type: str | None
    problem: str | None
    received_at: datetime
    last_received_at: datetime
    count: int
    body: object

    def document(self) -> dict[str, object]:
        return {
            "id": self.id,
            "type": self.type,
            "verified": self.problem is None,
            "problem": self.problem,
            "received_at": self.received_at.isoformat(),
            "last_received_at": self.last_received_at.isoformat(),
            "count": self.count,
            "body": self.body,
        }


class Sink:
    """The messages of the last while: at most KEPT, each once, the oldest first.

    A message that is not verified never hides a verified one of the same id.
    """

    def __init__(self, secret: str) -> None:
        self.switch = Switch(SINK_MODES, lambda setting: None)
        self.failed = 0
        self._key = key_of(secret)
        self._messages: OrderedDict[tuple[str, bool], Message] = OrderedDict()

    def receive(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Message:
        """Check and keep one delivery; `now` is an aware instant."""
        problem = fault(headers, body, self._key, now)
        ident = headers.get("webhook-id", "")
        key = (ident, problem is None)
        if known := self._messages.get(key):
            known.count += 1
            known.last_received_at = now
            return known
        content = _content(body)
        kind = content.get("type") if isinstance(content, dict) else None
        kind = kind if isinstance(kind, str) else None
        message = Message(ident, kind, problem, now, now, 1, content)
        self._messages[key] = message
        while len(self._messages) > KEPT:
            self._messages.popitem(last=False)
        return message

    def messages(self, kind: str | None = None) -> list[dict[str, object]]:
        """What was received, of one event type if given, oldest first."""
        return [
            message.document()
            for message in self._messages.values()
            if kind is None or message.type == kind
        ]

    def clear(self) -> None:
        self._messages.clear()

    def document(self) -> dict[str, object]:
        """Setting and counts, as the control URL shows them."""
        verified = sum(good for _, good in self._messages)
        return {
            **self.switch.setting.document(),
            "verified": verified,
            "refused": len(self._messages) - verified,
            "failed": self.failed,
        }


def _content(body: bytes) -> object:
    """The body as JSON, else as text."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
