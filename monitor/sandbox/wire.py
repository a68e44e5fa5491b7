"""TLS over a plain socket, by hand, so that a refusal is really heard.

asyncio's own TLS server drops the connection on a failed handshake without sending the alert, and a
socket closed while bytes wait unread answers with a reset that overtakes it. Here the alert is
written, the sending side is closed, and what still comes is read until the other side closes too.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

CHUNK = 65536
LINGER = 1.0
"""Seconds to wait for the other side to close, once we have."""


class TlsStream:
    """The server's side of one TLS connection over a non-blocking socket."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        """Shake hands; on ssl.SSLError the alert has been sent."""
        await self._drive(self._tls.do_handshake)

    async def read(self) -> bytes:
        """Some bytes, or none at the end of the stream."""
        try:
            return await self._drive(lambda: self._tls.read(CHUNK))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    async def write(self, data: bytes) -> None:
        await self._drive(lambda: self._tls.write(data))

    async def close(self) -> None:
        """Say that no more comes (close_notify); the answer is not waited for."""
        # It wants the other side's close_notify, or the session is broken already.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        await self._flush()

    @property
    def version(self) -> str | None:
        return self._tls.version()

    def client_name(self) -> str | None:
        """Common name of the certificate that the client showed."""
        certificate: Mapping[str, Any] = self._tls.getpeercert() or {}
        for part in certificate.get("subject", ()):
            for name, value in part:
                if name == "commonName":
                    return str(value)
        return None

    async def _drive(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except ssl.SSLError:
                await self._flush()
                raise
            else:
                await self._flush()
                return result

    async def _feed(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._sock, CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await asyncio.get_running_loop().sock_sendall(self._sock, data)


async def finish(sock: socket.socket) -> None:
    """Close our side, and read what still comes until the other side closes or LINGER is over."""
    try:
        sock.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(LINGER):
            while await asyncio.get_running_loop().sock_recv(sock, CHUNK):
                pass
    except (OSError, TimeoutError):
        pass  # it is gone, or does not want to go


def reset(sock: socket.socket) -> None:
    """End the connection with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def plain_alert(number: int) -> bytes:
    """A fatal TLS alert as a record of its own, not encrypted (RFC 8446, section 5.1)."""
    return bytes([21, 3, 3, 0, 2, 2, number])
