"""Send events to a webhook as Standard Webhooks describes (contract, "Alerts").

Source: the Standard Webhooks specification; RFC 9110 10.2.3 for Retry-After.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import structlog

from monitor.adapters.timeout import exactly
from monitor.core.alert import Event
from monitor.core.delivery import Accepted, Outcome, Rejected, Retry
from monitor.errors import ConfigError, Fault
from monitor.ports import Clock, Delivery

PREFIX = "whsec_"
MOST_SECRETS = 2  # the present one, and the one before it while receivers change over
SECRET_LIMIT = 4096  # bytes of a secret file
ANSWER_LIMIT = (
    16 * 1024
)  # bytes of an answer's body, read only to be able to use the connection again

log = structlog.get_logger(__name__)


class Keys(Protocol):
    """Where the signing keys come from."""

    def current(self) -> Sequence[bytes]:
        """The keys to sign with now, the present one first; never empty."""
        ...


class SecretFiles:
    """Signing keys from files, picked up again when their content changes, without a restart.

    One secret a line: `whsec_` and base64, or any other text as it stands; white space around it is
    dropped. The first is the present one. A second, on another line or in another file, is the one
    before it: both sign while receivers change over. Files after the first may be absent.

    Raises ConfigError from the start; later, a fault leaves the keys as they were and is logged.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self._contents = self._read()
        self._keys = self._parse(self._contents)

    def current(self) -> Sequence[bytes]:
        """The keys to sign with now. Reads the files: they are small and local."""
        try:
            contents = self._read()
            if contents != self._contents:
                self._keys = self._parse(contents)
                self._contents = contents
                log.info("webhook_secret_changed", files=list(map(str, self._files)))
        except ConfigError as error:
            log.error("webhook_secret_kept", error=str(error))
        return self._keys

    def _read(self) -> tuple[bytes, ...]:
        contents = []
        for place, file in enumerate(self._files):
            try:
                with file.open("rb") as stream:
                    content = stream.read(SECRET_LIMIT + 1)
            except FileNotFoundError:
                if place == 0:
                    raise _fault(file, None, "does not exist", "write the secret there") from None
                content = b""
            except OSError as error:
                cure = "let the monitor's user read it"
                raise _fault(file, None, f"cannot be read ({error.strerror})", cure) from None
            if len(content) > SECRET_LIMIT:
                cure = "write one secret a line and nothing else"
                raise _fault(file, None, f"is longer than {SECRET_LIMIT} bytes", cure)
            contents.append(content)
        return tuple(contents)

    def _parse(self, contents: Sequence[bytes]) -> tuple[bytes, ...]:
        keys: list[bytes] = []
        for file, content in zip(self._files, contents, strict=True):
            lines = enumerate(content.splitlines(), start=1)
            found = [_key(file, line, text.strip()) for line, text in lines if text.strip()]
            if not found and not keys:
                raise _fault(file, None, "holds no secret", "write the secret there")
            keys += found
        if len(keys) > MOST_SECRETS:
            what = f"{len(keys)} secrets, and at most {MOST_SECRETS} can sign"
            raise _fault(self._files[0], None, what, "keep the present one and the one before it")
        return tuple(keys)


class WebhookNotifier:
    """One webhook (`dispatch.Notifier`).

    Without `keys` requests are unsigned. `sessions` makes the HTTP session, on first use. `timeout`
    covers an attempt from name resolution to the answer's headers and body.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        clock: Clock,
        keys: Keys | None,
        timeout: timedelta = timedelta(seconds=10),
        sessions: Callable[[], aiohttp.ClientSession] | None = None,
    ) -> None:
        self._name = name
        self._url = url
        self._shown = redacted(url)
        self._clock = clock
        self._keys = keys
        self._sessions = sessions or new_session
        self._session: aiohttp.ClientSession | None = None
        self._timeout = exactly(timeout)

    @property
    def name(self) -> str:
        """The receiver's name in the configuration."""
        return self._name

    async def send(self, delivery: Delivery) -> Outcome:
        """Post the event once. Redirects are not followed: the answer must come from `url`."""
        body = event_body(delivery.event)
        headers = self._headers(delivery.webhook_id, body)
        try:
            async with self._open().post(
                self._url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=self._timeout,
            ) as answer:
                # The status decides, whatever becomes of the body.
                with suppress(aiohttp.ClientError, TimeoutError):
                    await answer.content.read(ANSWER_LIMIT)
                retry_after = answer.headers.get("Retry-After")
                return self._judge(answer.status, retry_after)
        except TimeoutError:
            return Retry(f"{self._shown}: no answer within {self._timeout.total:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Retry(f"{self._shown}: {describe(error)}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._sessions()
        return self._session

    def _headers(self, webhook_id: str, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock.now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": timestamp,
        }
        if self._keys is not None:
            headers["webhook-signature"] = " ".join(
                sign(key, webhook_id, timestamp, body) for key in self._keys.current()
            )
        return headers

    def _judge(self, status: int, retry_after: str | None) -> Outcome:
        said = f"{self._shown}: answered {status}"
        if 200 <= status < 300:
            return Accepted()
        if status >= 500 or status in (408, 429):
            return Retry(said, after=parse_retry_after(retry_after, self._clock.now()))
        if 300 <= status < 400:
            return Rejected(f"{said}: redirects are not followed; configure the final URL")
        cure = {
            401: "; check that both sides hold the same secret",
            403: "; check that both sides hold the same secret",
            404: "; check the URL",
            410: "; the receiver is gone for good: remove it or correct the URL",
        }
        return Rejected(said + cure.get(status, ""))


def new_session() -> aiohttp.ClientSession:
    """A session for webhooks: no cookies, no environment proxies, bodies left compressed."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": "pensions-monitor"},
    )


def event_body(event: Event) -> bytes:
    """The request body, UTF-8 JSON: the same bytes for the same event at every attempt."""
    timestamp = event.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    parts = [
        f'"{name}":'
        + json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
        for name, value in (
            ("type", event.type),
            ("timestamp", timestamp),
            ("data", dict(event.data)),
        )
    ]
    return ("{" + ",".join(parts) + "}").encode()


def sign(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """One signature of the header: `v1,` and the base64 of an HMAC-SHA256."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After header (seconds, or an HTTP date) asks for; None if it cannot be read."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return timedelta(seconds=min(int(value[:12]), 10**9))
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:  # "-0000": UTC of unknown origin
        until = until.replace(tzinfo=UTC)
    return max(until - now, timedelta(0))


def redacted(url: str) -> str:
    """Scheme and host of a URL: the rest of a webhook's address is as good as its password.

    >>> redacted("https://user:pass@hooks.example:8443/services/T0/B1?token=x")
    'https://hooks.example:8443/...'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/..."


def describe(error: Exception) -> str:
    """What went wrong, in words that hold no URL: the texts of some of these errors do."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"could not connect ({error.os_error.strerror or type(error.os_error).__name__})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _certificate(error: Exception) -> str:
    why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
    return f"its certificate was not accepted ({why or type(error).__name__})"


def _key(file: Path, line: int, secret: bytes) -> bytes:
    """The HMAC key that one line stands for."""
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        cure = "write whsec_ and base64, or plain text"
        raise _fault(file, line, "the secret is not UTF-8 text", cure) from None
    if not text.startswith(PREFIX):
        return secret
    encoded = text.removeprefix(PREFIX).rstrip("=")
    padding = "=" * (-len(encoded) % 4)
    try:
        key = base64.b64decode(encoded + padding, validate=True)
    except (binascii.Error, ValueError):
        cure = "copy the secret again, whole"
        raise _fault(file, line, "what follows whsec_ is not base64", cure) from None
    if not key:
        raise _fault(file, line, "nothing follows whsec_", "copy the secret again, whole")
    return key


def _fault(file: Path, line: int | None, what: str, cure: str) -> ConfigError:
    return ConfigError([Fault(str(file), line, None, "webhook secret", what, cure)])
