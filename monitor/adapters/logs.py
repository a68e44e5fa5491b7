"""Logs: one event with fields per line on standard error, with nothing secret in it."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitor.errors import UsageError

LEVELS = ("debug", "info", "warning", "error")
REDACTED = "[redacted]"
DEEPEST = 12  # nesting kept apart; anything deeper is written as text

# Libraries whose own records say less than ours, or say it twice.
QUIETER = {
    "apprise": logging.CRITICAL,  # what it says may hold its URLs, which are secrets
    "aiohttp.access": logging.WARNING,
    "apscheduler": logging.WARNING,
    "apscheduler.executors": logging.CRITICAL,  # schedule.py reports a failed job itself
}

SECRET_NAME = re.compile(
    r"passw|passphrase|secret(?!_file)|credential|authori[sz]ation|cookie|api_?key|private_?key$"
    r"|(^|_)token$|^signature$|webhook-signature",
    re.IGNORECASE,
)
SECRET_TEXT = re.compile(r"whsec_[A-Za-z0-9+/=_-]+|(?<=Bearer )\S+|(?<=Basic )[A-Za-z0-9+/=]{8,}")
KEY_TEXT = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(-----END \1-----|$)", re.DOTALL)
URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^\s/?#\"'<>]*@)?", re.IGNORECASE)
QUERY = re.compile(r"(?P<url>[a-z][a-z0-9+.-]*://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)


def setup(
    level: str = "info", *, stream: TextIO | None = None, console: bool | None = None
) -> None:
    """Send all logs, ours and the libraries', to `stream` (default: standard error).

    JSON, one object a line; for people when `console`, which by default is whether the stream is a
    terminal. May be called again, to change the level. Raises UsageError for an unknown level.
    """
    if level not in LEVELS:
        raise UsageError(f'log level: "{level}" is not known; use one of {", ".join(LEVELS)}')
    stream = stream if stream is not None else sys.stderr
    console = stream.isatty() if console is None else console
    ours: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*ours, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(console, colours=stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in QUIETER.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *ours,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # so that a later call of this function takes effect
    )


def _renderers(console: bool, *, colours: bool) -> list[Processor]:
    """From an event with its exception to a line. Tracebacks never show local variables."""
    if console:
        # The exception is made text before the redactor sees it, not by the renderer after it.
        return [
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(
                colors=colours, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(transformer),
        redact,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take secrets out of an event: by the name of a field, and by the look of a text.

    URLs keep scheme, host and path; userinfo, query and fragment go. Values become plain data, so
    that nothing is turned into text after this.
    """
    return {name: _field(name, value, 0) for name, value in event.items()}


def redact_text(text: str) -> str:
    """A text without userinfo and queries of URLs, webhook secrets, bearer tokens, private keys.

    >>> redact_text("POST https://ops:pw@hooks.example/x?token=1 failed")
    'POST https://hooks.example/x?[redacted] failed'
    """
    if "://" in text:
        text = URL.sub(r"\g<scheme>", text)
        text = QUERY.sub(rf"\g<url>?{REDACTED}", text)
    text = KEY_TEXT.sub(REDACTED, text)
    return SECRET_TEXT.sub(REDACTED, text)


def _field(name: object, value: object, depth: int) -> object:
    if SECRET_NAME.search(str(name)) and value is not None and not isinstance(value, bool):
        return REDACTED
    return _plain(value, depth)


def _plain(value: object, depth: int) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact_text(str(value))
        case Enum():
            return _plain(value.value, depth)
        case datetime() | date():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case Mapping() if depth < DEEPEST:
            return {
                redact_text(str(name)): _field(name, item, depth + 1)
                for name, item in value.items()
            }
        case list() | tuple() | set() | frozenset() if depth < DEEPEST:
            return _items(value, depth)
        case _:
            return redact_text(str(value))


def _items(values: Iterable[object], depth: int) -> list[object]:
    return [_plain(item, depth + 1) for item in values]
