"""The text that Prometheus reads, written by hand where there is much of it.

The library makes an object of every line, and takes seconds for 10,000 endpoints; joining texts
takes a tenth of that. What is small still comes from the library's registry; `metrics.py` joins the
two.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")

SLICE = 0.004
"""Seconds of work on the event loop before others get their turn."""
CHUNK = 1 << 16
"""Characters that are encoded, compressed or sent at once, about."""
LEVEL = 3
"""Of gzip: nearly as small as the default, in a third of the time."""

EOF = "# EOF\n"
_GZIP = 31
_ESCAPED = {"\\": r"\\", '"': r"\"", "\n": r"\n"}
_REFUSED = re.compile(r"q=0(\.0*)?")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name as samples carry it, what kind it is, its labels, what it says."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    def header(self, *, openmetrics: bool) -> str:
        """The lines above its samples. OpenMetrics names a counter without `_total`."""
        name = self.name
        if openmetrics and self.kind == "counter":
            name = name.removesuffix("_total")
        return f"# HELP {name} {self.help}\n# TYPE {name} {self.kind}\n"


def label(name: str, value: str) -> str:
    """One label, its value escaped.

    >>> label("endpoint", 'a"b')
    'endpoint="a\\\\"b"'
    """
    if any(mark in value for mark in _ESCAPED):
        value = "".join(_ESCAPED.get(character, character) for character in value)
    return f'{name}="{value}"'


async def unhurried(items: Iterable[T]) -> AsyncIterator[T]:
    """The items one by one; after each few milliseconds the event loop gets a turn."""
    began = perf_counter()
    for item in items:
        yield item
        if perf_counter() - began > SLICE:
            await asyncio.sleep(0)
            began = perf_counter()


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip.

    >>> accepts_gzip("deflate, gzip;q=0.5"), accepts_gzip("gzip;q=0"), accepts_gzip("")
    (True, False, False)
    """
    for offer in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in offer.split(";"))
        if coding in ("gzip", "*"):
            return not any(_REFUSED.fullmatch(parameter) for parameter in parameters)
    return False


def packed(texts: Iterable[str], *, gzip: bool) -> tuple[bytes, ...]:
    """The texts encoded, and compressed if asked, in pieces fit to be sent one by one."""
    pieces = _gathered(texts)
    return tuple(_compressed(pieces) if gzip else pieces)


def _gathered(texts: Iterable[str]) -> Iterator[bytes]:
    """Many small texts as fewer, larger pieces."""
    held: list[str] = []
    length = 0
    for text in texts:
        held.append(text)
        length += len(text)
        if length >= CHUNK:
            yield "".join(held).encode()
            held, length = [], 0
    if held:
        yield "".join(held).encode()


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(LEVEL, wbits=_GZIP)
    for piece in pieces:
        if out := packer.compress(piece):
            yield out
    yield packer.flush()
