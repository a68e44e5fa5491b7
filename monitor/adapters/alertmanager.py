"""One Alertmanager over its API v2: alerts as leases, and silences (`leases.Member`).

Source: the OpenAPI document of Alertmanager, `api/v2/openapi.yaml`.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from monitor.adapters.timeout import exactly
from monitor.adapters.webhook import describe, new_session
from monitor.core.delivery import Accepted, Outcome, Rejected, Retry
from monitor.core.silence import Found, Matcher, Silence
from monitor.core.standing import Lease
from monitor.errors import ConfigError, Fault

ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer at most; with many silences it is long."""
SAID = 300
"""Characters of a refusal that are told."""
SECRET_LIMIT = 4096
"""Bytes of a password or token file."""


class Login:
    """What we show a member of ourselves; read anew at each request, so that it can be rotated.

    `password_file` goes with `username`. Without any file nothing is shown.
    """

    def __init__(
        self,
        username: str | None = None,
        password_file: Path | None = None,
        bearer_token_file: Path | None = None,
    ) -> None:
        self._username = username
        self._password_file = password_file
        self._bearer_token_file = bearer_token_file

    def headers(self) -> dict[str, str]:
        """Raises ConfigError if a file cannot be read."""
        if self._username is not None and self._password_file is not None:
            shown = f"{self._username}:{_secret(self._password_file)}".encode()
            return {"Authorization": f"Basic {base64.b64encode(shown).decode()}"}
        if self._bearer_token_file is not None:
            return {"Authorization": f"Bearer {_secret(self._bearer_token_file)}"}
        return {}


class Alertmanager:
    """One member. `public_url` is where the status page is, for links to it."""

    def __init__(
        self,
        url: str,
        *,
        resend_every: timedelta = timedelta(seconds=30),
        timeout: timedelta = timedelta(seconds=10),
        silences: bool = False,
        created_by: str = "monitor",
        login: Login | None = None,
        ca_file: Path | None = None,
        public_url: str | None = None,
        sessions: Callable[[], aiohttp.ClientSession] = new_session,
    ) -> None:
        """Raises ConfigError if `ca_file` cannot be used."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._name = f"alertmanager:{parts.hostname}:{port}{parts.path}"
        self._url = url
        self._resend_every = resend_every
        self._silences = silences
        self._created_by = created_by
        self._login = login or Login()
        self._ssl = True if ca_file is None else trusting(ca_file)
        self._public_url = public_url
        self._sessions = sessions
        self._session: aiohttp.ClientSession | None = None
        self._timeout = exactly(timeout)

    @property
    def name(self) -> str:
        """Host and port, and the path if there is one: how metrics name it."""
        return self._name

    @property
    def resend_every(self) -> timedelta:
        """Time between tellings."""
        return self._resend_every

    @property
    def silences(self) -> bool:
        """Whether silences are made there."""
        return self._silences

    async def tell(self, leases: Sequence[Lease]) -> Outcome:
        """Tell it these; none at all shows that it is there."""
        body = [alert_document(lease, self._public_url) for lease in leases]
        outcome, _ = await self._ask("POST", "/api/v2/alerts", body)
        return outcome

    async def found(self) -> tuple[Outcome, list[Found]]:
        """Our silences there, those that are over included as long as it remembers them."""
        outcome, answer = await self._ask("GET", "/api/v2/silences")
        if not isinstance(outcome, Accepted):
            return outcome, []
        try:
            return outcome, [
                found_silence(one) for one in answer if one["createdBy"] == self._created_by
            ]
        except (KeyError, TypeError):
            return Rejected(
                f"{self._name}: answered with something that is no list of silences"
            ), []

    async def silence(self, silence: Silence) -> Outcome:
        """Make one; of a window under way it begins now."""
        body = silence_document(silence, self._created_by)
        outcome, _ = await self._ask("POST", "/api/v2/silences", body)
        return outcome

    async def expire(self, identifier: str) -> Outcome:
        """End one now; that it is gone already is as good."""
        outcome, _ = await self._ask("DELETE", f"/api/v2/silence/{identifier}", gone=True)
        return outcome

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, method: str, path: str, body: Any = None, *, gone: bool = False
    ) -> tuple[Outcome, Any]:
        """One request and what was answered, as JSON. Trouble is an outcome, never an exception."""
        try:
            headers = self._login.headers()
        except ConfigError as trouble:
            return Retry(str(trouble)), None
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        if self._session is None:
            self._session = self._sessions()
        try:
            async with self._session.request(
                method,
                self._url + path,
                data=data,
                headers={**headers, "Accept-Encoding": "identity"},
                allow_redirects=False,
                timeout=self._timeout,
                ssl=self._ssl,
            ) as answer:
                text = await _text(answer)
                # Alertmanager 0.25 answers 500 for a silence that it does not know.
                if gone and (answer.status == 404 or "not found" in text):
                    return Accepted(), None
                return self._judge(answer.status, text)
        except TimeoutError:
            return Retry(f"{self._name}: no answer within {self._timeout.total:g} s"), None
        except (aiohttp.ClientError, OSError) as error:
            return Retry(f"{self._name}: {describe(error)}"), None

    def _judge(self, status: int, text: str) -> tuple[Outcome, Any]:
        if 200 <= status < 300:
            try:
                return Accepted(), json.loads(text) if text.strip() else None
            except ValueError:
                return Rejected(f"{self._name}: answered {status} without JSON"), None
        said = f"{self._name}: answered {status}"
        if status >= 500 or status in (408, 429):
            return Retry(said), None
        if 300 <= status < 400:
            return Rejected(f"{said}: redirects are not followed; configure the final URL"), None
        cure = {
            401: "; check username and password_file, or bearer_token_file",
            403: "; check username and password_file, or bearer_token_file",
            404: "; check the URL: it is the base, before /api/v2",
        }
        return Rejected(said + cure.get(status, f": {text.strip()[:SAID]}")), None


# -- documents -------------------------------------------------------------------------------------


def alert_document(lease: Lease, public_url: str | None) -> dict[str, Any]:
    """An alert as `postableAlert` has it."""
    alert = lease.alert
    document: dict[str, Any] = {
        "labels": dict(alert.labels),
        "annotations": {"summary": alert.summary, "description": alert.description},
        "startsAt": _instant(lease.start),
        "endsAt": _instant(lease.end),
    }
    if public_url is not None:
        document["generatorURL"] = public_url + alert.page
    return document


def silence_document(silence: Silence, created_by: str) -> dict[str, Any]:
    """A silence as `postableSilence` has it."""
    return {
        "matchers": [
            {
                "name": one.name,
                "value": one.value,
                "isRegex": one.regex,
                "isEqual": one.equal,
            }
            for one in sorted(silence.matchers)
        ],
        "startsAt": _instant(silence.window.start),
        "endsAt": _instant(silence.window.end),
        "createdBy": created_by,
        "comment": silence.comment,
    }


def found_silence(document: Mapping[str, Any]) -> Found:
    """A `gettableSilence`. Raises KeyError or TypeError."""
    matchers = frozenset(
        Matcher(one["name"], one["value"], one["isRegex"], one.get("isEqual", True))
        for one in document["matchers"]
    )
    over = document["status"]["state"] == "expired"
    return Found(document["id"], matchers, document["comment"], over)


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def _text(answer: aiohttp.ClientResponse) -> str:
    body = b""
    async for chunk in answer.content.iter_chunked(65536):
        body += chunk
        if len(body) > ANSWER_LIMIT:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return body.decode("utf-8", "replace")


# -- files -----------------------------------------------------------------------------------------


def _secret(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(SECRET_LIMIT + 1)
        text = content.decode().strip()
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise _fault(file, what, "let the monitor's user read it") from None
    except UnicodeDecodeError:
        raise _fault(file, "is not text", "write the secret alone into it") from None
    if len(content) > SECRET_LIMIT or not text.isprintable() or not text:
        raise _fault(file, "holds no secret on one line", "write the secret alone into it")
    return text


def trusting(ca_file: Path) -> ssl.SSLContext:
    """A context that trusts those in a PEM file alone. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        what = f"cannot be used as PEM certificates ({error.strerror or type(error).__name__})"
        raise _fault(ca_file, what, "name a PEM file of the issuing certificates") from None


def _fault(file: Path, what: str, cure: str) -> ConfigError:
    return ConfigError([Fault(str(file), None, None, "alerts.alertmanager", what, cure)])
