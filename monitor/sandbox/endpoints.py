"""A stand-in for one registered endpoint: mutual TLS, right answers, and failures on command."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from monitor.core.endpoint import Service
from monitor.sandbox import answers
from monitor.sandbox.modes import MODES, PLAIN_ALERTS, Setting, Switch
from monitor.sandbox.pki import Pki
from monitor.sandbox.wire import TlsStream, finish, plain_alert, reset

HEAD_LIMIT = 32 * 1024
BODY_LIMIT = 1024 * 1024
PATIENCE = 30.0
"""Seconds a client has for its handshake and its request."""
BACKLOG = 128
FILLERS = 4
"""Connections of our own that fill an accept queue of length 0, so that the next one hangs."""
REBIND = 0.2


class Listening(Enum):
    """What the port does with a new connection."""

    OPEN = "open"
    CLOSED = "closed"
    FULL = "full"


def contexts(pki: Pki) -> dict[str, ssl.SSLContext]:
    """A server context for each way of shaking hands, by name. Reads files: call in a thread."""
    good, root = "good", str(pki.client_root)
    made = {kind: _context(pki, kind, root) for kind in pki.server_chains}
    for name, ca in (("unknown_ca", pki.other_root), ("certificate_revoked", pki.revoked)):
        made[name] = _context(pki, good, str(ca))
    made["certificate_revoked"].verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    made["unknown_ca_1.2"] = _context(pki, good, str(pki.other_root))
    made["unknown_ca_1.2"].maximum_version = ssl.TLSVersion.TLSv1_2
    made["old"] = _context(pki, good, root)
    with warnings.catch_warnings():
        # That TLS 1.1 is deprecated is the point of it here.
        warnings.simplefilter("ignore", DeprecationWarning)
        made["old"].minimum_version = ssl.TLSVersion.TLSv1_1
        made["old"].maximum_version = ssl.TLSVersion.TLSv1_1
    # OpenSSL 3 allows TLS 1.1 at security level 0 only.
    made["old"].set_ciphers("DEFAULT:@SECLEVEL=0")
    return made


def _context(pki: Pki, kind: str, client_ca: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki.server_chains[kind], pki.server_key, password=_no_password)
    context.load_verify_locations(cafile=client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    """Given always, or an encrypted key would prompt and wait."""
    return ""


def context_name(setting: Setting) -> str:
    """Which of `contexts` a setting shakes hands with."""
    options = setting.options
    match setting.mode:
        case "bad_certificate":
            return str(options["kind"])
        case "wrong_client_ca":
            return "unknown_ca_1.2" if options["tls"] == "1.2" else "unknown_ca"
        case "tls_alert":
            return str(options["alert"])
        case "tls_old":
            return "old"
        case _:
            return "good"


class EndpointServer:
    """One endpoint on its own port. `start` binds; from then on everything runs on the loop.

    `name` is the endpoint's id in the configuration. Each connection carries one request.
    """

    def __init__(
        self, name: str, service: Service, made: Mapping[str, ssl.SSLContext], sock: socket.socket
    ) -> None:
        self.name = name
        self.service = service
        self.switch = Switch(MODES, self._change)
        self._contexts = made
        self._listener: socket.socket | None = sock
        self._address: tuple[str, int] = sock.getsockname()[:2]
        self._family = sock.family
        self._state = Listening.OPEN
        self._fillers: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._counts = {"connections": 0, "handshakes_failed": 0, "requests": 0}
        self._last: dict[str, object] | None = None

    @property
    def port(self) -> int:
        return self._address[1]

    def start(self) -> None:
        """Take connections on the socket, which is bound and listens."""
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    async def stop(self) -> None:
        """Close the port and drop every connection."""
        self.switch.heal()
        self._close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def document(self) -> dict[str, object]:
        """Setting, counts and the last request, as the control URL shows them."""
        return {
            **self.switch.setting.document(),
            "service": self.service.value,
            "port": self.port,
            **self._counts,
            "last_request": self._last,
        }

    def _change(self, setting: Setting) -> None:
        states = {"refuse": Listening.CLOSED, "blackhole": Listening.FULL}
        wanted = states.get(setting.mode, Listening.OPEN)
        if wanted is self._state:
            return
        self._close()
        self._state = wanted
        if wanted is not Listening.CLOSED:
            self._open()

    def _close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _open(self) -> None:
        """Listen on our port again, trying until whoever took it meanwhile has gone."""
        try:
            full = self._state is Listening.FULL
            self._listener = listen(self._family, self._address, 0 if full else BACKLOG)
        except OSError:
            self._retry = asyncio.get_running_loop().call_later(REBIND, self._open)
            return
        if full:
            self._fill()
        else:
            self.start()

    def _fill(self) -> None:
        for _ in range(FILLERS):
            filler = socket.socket(self._family)
            filler.setblocking(False)
            filler.connect_ex(self._address)
            self._fillers.append(filler)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # it went away again before we came to it
        sock.setblocking(False)
        self._counts["connections"] += 1
        task = asyncio.get_running_loop().create_task(self._converse(sock, self.switch.setting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, sock: socket.socket, setting: Setting) -> None:
        """Carry one connection to its end, under the setting it began with."""
        try:
            if setting.mode == "reset" and setting.options["at"] == "accept":
                return reset(sock)
            loop = asyncio.get_running_loop()
            if setting.mode == "stall":
                while await loop.sock_recv(sock, HEAD_LIMIT):
                    pass
            elif words := _without_tls(setting):
                await loop.sock_recv(sock, HEAD_LIMIT)
                await loop.sock_sendall(sock, words)
            else:
                await self._talk(sock, setting)
            if sock.fileno() != -1:
                await finish(sock)
        except (OSError, TimeoutError):
            pass  # they hung up, or took too long
        finally:
            sock.close()

    async def _talk(self, sock: socket.socket, setting: Setting) -> None:
        stream = TlsStream(sock, self._contexts[context_name(setting)])
        try:
            async with asyncio.timeout(PATIENCE):
                await stream.handshake()
        except ssl.SSLError:
            self._counts["handshakes_failed"] += 1
            return
        try:
            async with asyncio.timeout(PATIENCE):
                request = await self._request(stream)
        except answers.BadRequest as error:
            await stream.write(answers.problem(400, str(error)).wire())
            return await stream.close()
        if request is None:
            return
        await self._reply(sock, stream, request, setting)

    async def _request(self, stream: TlsStream) -> answers.Request | None:
        """The head of the request, its body read and thrown away; None if they hung up."""
        received = b""
        while b"\r\n\r\n" not in received:
            if len(received) > HEAD_LIMIT:
                raise answers.BadRequest("the headers are too long")
            if not (more := await stream.read()):
                return None
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        request = answers.parse_head(head)
        missing = min(request.body_length, BODY_LIMIT) - len(body)
        while missing > 0 and (more := await stream.read()):
            missing -= len(more)
        self._count(stream, request)
        return request

    def _count(self, stream: TlsStream, request: answers.Request) -> None:
        self._counts["requests"] += 1
        self._last = {
            "at": datetime.now(UTC).isoformat(),
            "method": request.method,
            "target": request.target,
            "request_id": request.headers.get("x-request-id"),
            "user_agent": request.headers.get("user-agent"),
            "client": stream.client_name(),
            "tls": stream.version,
        }

    async def _reply(
        self, sock: socket.socket, stream: TlsStream, request: answers.Request, setting: Setting
    ) -> None:
        match setting.mode:
            case "reset":
                return reset(sock)
            case "hang":
                while await stream.read():
                    pass
                return None
            case "slow":
                await asyncio.sleep(setting.options["delay"])
        words = self._words(request, setting)
        if setting.mode == "truncate":
            words = words[:-10]
        if setting.mode != "close":
            await stream.write(words)
        await stream.close()

    def _words(self, request: answers.Request, setting: Setting) -> bytes:
        options: Mapping[str, Any] = setting.options
        match setting.mode:
            case "garbage":
                return b"\x00\xff this is not HTTP \xfe\r\n\r\n"
            case "status":
                code, retry_after = options["code"], options["retry_after"]
                return answers.with_status(self.service, code, retry_after).wire()
            case "nginx_refusal":
                return answers.nginx_page(options["text"]).wire()
            case _:
                return answers.answer(self.service, request).wire()


def _without_tls(setting: Setting) -> bytes | None:
    """What is said in place of a server's hello, if anything."""
    if setting.mode == "plaintext":
        return answers.problem(400, "there is no TLS on this port").wire()
    if setting.mode == "tls_alert" and setting.options["alert"] in PLAIN_ALERTS:
        return plain_alert(PLAIN_ALERTS[setting.options["alert"]])
    return None


def listen(
    family: socket.AddressFamily, address: tuple[str, int], backlog: int = BACKLOG
) -> socket.socket:
    """A listening, non-blocking socket; OSError if the address is taken."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock
