"""Send events to chat, mail and pagers through Apprise (`dispatch.Notifier`); the extra `notify`.

An Apprise URL is a secret as a whole: no message or log ever has any of it.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

from monitor.core.delivery import Accepted, Outcome, Retry
from monitor.core.message import message
from monitor.errors import ConfigError, Fault
from monitor.ports import Delivery

if TYPE_CHECKING:
    import apprise

URL_LIMIT = 8192
"""Bytes of a URL file."""
CONNECT = 10.0
"""Seconds to connect at most."""
GRACE = 2.0
"""Seconds more than Apprise is given, after which it is not waited for."""
BY_SCHEME = {
    "pagerduty": ("dedup={key}", "action=map"),
    "opsgenie": ("alias={key}", "action=map"),
}
"""What makes a pager take all events of one key for one incident, and close it when it is restored."""


class AppriseUrl:
    """The URL, from a file that is read anew at each use, or as given."""

    def __init__(self, url: str | None = None, file: Path | None = None) -> None:
        self._url = url
        self._file = file

    def current(self) -> str:
        """Raises ConfigError."""
        if self._file is None:
            return (self._url or "").strip()
        try:
            with self._file.open("rb") as stream:
                content = stream.read(URL_LIMIT + 1)
            lines = [line.strip() for line in content.decode().splitlines()]
        except OSError as error:
            cure = "let the monitor's user read it"
            raise self._fault(f"cannot be read ({error.strerror})", cure) from None
        except UnicodeDecodeError:
            raise self._fault("is not text", "write the Apprise URL into it") from None
        urls = [line for line in lines if line and not line.startswith("#")]
        if len(urls) != 1 or len(content) > URL_LIMIT:
            cure = "write one Apprise URL into it; another receiver needs another entry"
            raise self._fault("does not hold one URL", cure)
        return urls[0]

    def _fault(self, what: str, cure: str) -> ConfigError:
        return ConfigError([Fault(str(self._file), None, None, "alerts.apprise", what, cure)])


class AppriseNotifier:
    """One receiver. `zone` is that of the times in messages; `public_url` that of links."""

    def __init__(
        self,
        name: str,
        url: AppriseUrl,
        *,
        zone: ZoneInfo,
        timeout: timedelta = timedelta(seconds=10),
        public_url: str | None = None,
    ) -> None:
        """Raises ConfigError if the extra is not installed or the URL is none that Apprise knows."""
        self._name = name
        self._url = url
        self._zone = zone
        self._timeout = timeout.total_seconds()
        self._public_url = public_url
        self._made = _library(name)
        self._service(url.current(), "check")

    @property
    def name(self) -> str:
        """The receiver's name in the configuration."""
        return self._name

    async def send(self, delivery: Delivery) -> Outcome:
        """Send the event's text once. Apprise says only whether it was taken, so all else is tried again."""
        event = delivery.event
        told = message(event, self._zone, self._public_url)
        try:
            service = self._service(self._url.current(), event.key)
        except ConfigError as trouble:
            return Retry(str(trouble))
        try:
            async with asyncio.timeout(self._timeout + GRACE):
                taken = await service.async_notify(
                    body=told.body,
                    title=told.title,
                    notify_type=told.level.value,
                    body_format="text",
                    timeout=self._timeout,
                )
        except TimeoutError:
            return Retry(f"{self._name}: not taken within {self._timeout:g} s")
        return Accepted() if taken else Retry(f"{self._name}: not taken, says Apprise")

    async def close(self) -> None:
        """Nothing stays open between messages."""

    def _service(self, url: str, key: str) -> apprise.Apprise:
        """Apprise with this one URL, given our time-outs, and the event's key where a pager takes one."""
        service = self._made()
        if not service.add(with_options(url, key, self._timeout)):
            what = "is not a URL that Apprise can use"
            cure = "correct it: https://github.com/caronc/apprise/wiki lists them"
            raise ConfigError(
                [Fault(f"alerts.apprise {self._name}", None, None, "url", what, cure)]
            )
        return service


def with_options(url: str, key: str, timeout: float) -> str:
    """The URL with what it does not say itself: time-outs, and one key for all of an incident.

    >>> with_options("pagerduty://i@a", "I-1", 20.0)
    'pagerduty://i@a?cto=10&rto=20&dedup=I-1&action=map'
    >>> with_options("json://h/?rto=1", "I-1", 4.0)
    'json://h/?rto=1&cto=4'
    """
    scheme = url.partition("://")[0].lower()
    options = [f"cto={min(timeout, CONNECT):g}", f"rto={timeout:g}"]
    options += [each.format(key=quote(key, safe="")) for each in BY_SCHEME.get(scheme, ())]
    base, _, query = url.partition("?")
    given = {part.partition("=")[0].lower() for part in query.split("&")}
    missing = [each for each in options if each.partition("=")[0] not in given]
    return f"{base}?{'&'.join([*filter(None, [query]), *missing])}"


def prepare() -> None:
    """Load the library and all its services, which takes a second: to be done off the event loop.

    Raises ImportError if it is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of modules that its plugins import
        import apprise

        apprise.Apprise.instantiate("json://localhost")


def _library(name: str) -> Callable[[], apprise.Apprise]:
    """Makes an Apprise that keeps nothing on disk and expands no templates."""
    try:
        prepare()
    except ImportError:
        what = "needs Apprise, which is not installed"
        cure = "install the extra: pip install 'pensions-monitor[notify]' (requirements/full.txt)"
        raise ConfigError(
            [Fault(f"alerts.apprise {name}", None, None, "apprise", what, cure)]
        ) from None

    import apprise

    asset = apprise.AppriseAsset(
        app_id="monitor",
        app_desc="Availability of pensions dashboards endpoints",
        app_url="",
        async_mode=True,
        storage_mode="memory",
        allow_templates=False,
        secure_logging=True,
        image_url_mask="",
        image_url_logo="",
    )
    return lambda: apprise.Apprise(asset=asset)
