"""A ping to a service that raises the alarm when pings stop coming."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from monitor.adapters.timeout import exactly
from monitor.adapters.webhook import describe, new_session, redacted
from monitor.core.delivery import Accepted, Outcome, Rejected, Retry

URL_LIMIT = 4096
"""Bytes of a URL file."""


class DeadMan:
    """Pings one URL, which may be a secret: no message has more of it than scheme and host.

    With `url_file` it is read anew at each ping.
    """

    def __init__(
        self,
        url: str | None,
        url_file: Path | None = None,
        *,
        timeout: timedelta = timedelta(seconds=10),
        sessions: Callable[[], aiohttp.ClientSession] = new_session,
    ) -> None:
        self._url = url
        self._url_file = url_file
        self._sessions = sessions
        self._session: aiohttp.ClientSession | None = None
        self._timeout = exactly(timeout)

    async def ping(self) -> Outcome:
        """Ping once. Redirects are not followed: the answer must come from the URL itself."""
        url = self._read() if self._url_file is not None else self._url or ""
        if isinstance(url, Rejected):
            return url
        if self._session is None:
            self._session = self._sessions()
        shown = redacted(url)
        try:
            async with self._session.get(
                url, allow_redirects=False, timeout=self._timeout
            ) as answer:
                status = answer.status
        except TimeoutError:
            return Retry(f"{shown}: no answer within {self._timeout.total:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Retry(f"{shown}: {describe(error)}")
        if 200 <= status < 300:
            return Accepted()
        said = f"{shown}: answered {status}"
        return Retry(said) if status >= 500 or status == 429 else Rejected(f"{said}; check the URL")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _read(self) -> str | Rejected:
        assert self._url_file is not None
        try:
            with self._url_file.open("rb") as stream:
                url = stream.read(URL_LIMIT).decode().strip()
            parts = urlsplit(url)
        except OSError as error:
            return Rejected(f"{self._url_file}: cannot be read ({error.strerror})")
        except ValueError:
            return Rejected(f"{self._url_file}: does not hold a URL")
        if parts.scheme not in ("http", "https") or not parts.hostname or len(url.split()) != 1:
            return Rejected(f"{self._url_file}: does not hold one http or https URL")
        return url
