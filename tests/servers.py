"""Real servers that fail on purpose, and the certificates they and our probes show."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from monitor.core.endpoint import Cadence, Endpoint, Environment, Service
from monitor.core.identity import IdentitySpec
from monitor.core.verdict import DEFAULTS

HOST = "127.0.0.1"
PASSWORD = b"correct horse"
UNAUTHORISED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"


# --- Certificates ------------------------------------------------------------------------------


@dataclass
class Pki:
    """A root, an issuing CA, and what it issues."""

    root: trustme.CA = field(default_factory=trustme.CA)
    issuing: trustme.CA = field(init=False)

    def __post_init__(self) -> None:
        self.issuing = self.root.create_child_ca()

    def leaf(self, *names: str, **options: Any) -> trustme.LeafCert:
        return self.issuing.issue_cert(*(names or (HOST, "localhost")), **options)

    def expired(self, *names: str) -> trustme.LeafCert:
        now = datetime.now(UTC)
        return self.leaf(
            *names, not_before=now - timedelta(days=30), not_after=now - timedelta(days=1)
        )

    @property
    def chain(self) -> bytes:
        """Issuing CA, then root, as a pack has them."""
        return self.issuing.cert_pem.bytes() + self.root.cert_pem.bytes()

    def trust_file(self, folder: Path, name: str = "root.pem") -> str:
        path = folder / name
        path.write_bytes(self.root.cert_pem.bytes())
        return str(path)


def private(path: Path, content: bytes) -> str:
    """Write a secret file as it ought to be kept."""
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


def reencode(
    leaf: trustme.LeafCert,
    form: PrivateFormat = PrivateFormat.PKCS8,
    password: bytes | None = None,
) -> bytes:
    """The leaf's private key as PEM, in another form or encrypted."""
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    protection: KeySerializationEncryption = (
        NoEncryption() if password is None else BestAvailableEncryption(password)
    )
    return key.private_bytes(Encoding.PEM, form, protection)


def write_pack(folder: Path, leaf: trustme.LeafCert, chain: bytes, extension: str = "") -> Path:
    """A crypto pack as issued: the files probing needs, and those it must leave alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"certificate{extension}").write_bytes(leaf.cert_chain_pems[0].bytes())
    (folder / f"certificateChain{extension}").write_bytes(chain)
    private(folder / f"certPrivateKey{extension}", reencode(leaf))
    (folder / f"certPublicKey{extension}").write_bytes(b"not needed")
    (folder / f"jwtPrivateKey{extension}").write_bytes(b"never read")
    (folder / f"jwtPublicKey{extension}").write_bytes(b"not needed")
    (folder / f"kid{extension}").write_text("0b1c2d3e-0000-4000-8000-000000000000")
    return folder


def explicit(folder: Path, pki: Pki, leaf: trustme.LeafCert, key: bytes) -> IdentitySpec:
    """An identity from PEM files with this key file."""
    (folder / "c.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (folder / "ch.pem").write_bytes(pki.chain)
    return IdentitySpec(
        "live",
        certificate=str(folder / "c.pem"),
        chain=str(folder / "ch.pem"),
        private_key_file=private(folder / "k.pem", key),
    )


def write_pkcs12(
    folder: Path, pki: Pki, leaf: trustme.LeafCert, password: bytes | None
) -> IdentitySpec:
    chain = x509.load_pem_x509_certificates(pki.chain)
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    content = pkcs12.serialize_key_and_certificates(
        b"m",
        key,  # type: ignore[arg-type]
        x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()),
        chain[::-1],
        NoEncryption() if password is None else BestAvailableEncryption(password),
    )
    password_file = None if password is None else private(folder / "pw", password)
    path = private(folder / "m.p12", content)
    return IdentitySpec("live", pkcs12=path, password_file=password_file)


def pack_identity(folder: Path, pki: Pki, trust: str, *, name: str = "live") -> IdentitySpec:
    """An identity from a fresh pack of `pki` in `folder`."""
    pack = write_pack(folder / name, pki.leaf("monitor.example"), pki.chain)
    return IdentitySpec(name, pack=str(pack), trust=trust)


def an_endpoint(
    url: str,
    *,
    service: Service = Service.VIEW,
    timeout: float = 5.0,
    identity: str = "live",
    trust: str | None = None,
    **expectation: Any,
) -> Endpoint:
    """A live endpoint at `url` with the defaults of its service."""
    second = timedelta(seconds=1)
    return Endpoint(
        id=f"{service}-main",
        service=service,
        url=url,
        environment=Environment.LIVE,
        identity=identity,
        group="test",
        cadence=Cadence(30 * second, timeout * second, 5 * second, 3, 2, 90 * second),
        expectation=replace(DEFAULTS[service], **expectation),
        trust=trust,
    )


# --- Servers -----------------------------------------------------------------------------------


def server_context(leaf: trustme.LeafCert, clients: trustme.CA | None = None) -> ssl.SSLContext:
    """A server's context; with `clients` it demands a certificate that this CA issued."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        clients.configure_trust(context)
    return context


@dataclass
class Served:
    """A running server and the request heads it has read."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"


@contextlib.asynccontextmanager
async def answering(
    context: ssl.SSLContext | None,
    answer: bytes | None,
    *,
    delay: float = 0.0,
    reset: bool = False,
    hold: bool = False,
) -> AsyncIterator[Served]:
    """A server that answers each request with these bytes and closes.

    `answer` None: it never answers. `reset`: it resets the connection instead of closing. `hold`:
    it leaves the connection open.
    """
    served = Served(0)
    held: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        served.connected.set()
        held.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            served.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()
                served.ended.set()
                return
            await asyncio.sleep(delay)
            writer.write(answer)
            await writer.drain()
            if reset:
                writer.transport.abort()
            elif not hold:
                writer.close()

    server = await asyncio.start_server(serve, HOST, 0, ssl=context)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        for writer in held:
            writer.transport.abort()
        server.close()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def speaking(speak: Callable[[socket.socket], None] | None) -> AsyncIterator[Served]:
    """A plain TCP server that does as told with each connection; None: it holds them, silent."""
    served = Served(0)
    held: list[socket.socket] = []
    listener = socket.create_server((HOST, 0))
    listener.setblocking(False)
    served.port = listener.getsockname()[1]

    async def accept() -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            served.connections += 1
            if speak is None:
                held.append(connection)
            else:
                connection.setblocking(True)
                await asyncio.to_thread(speak, connection)

    task = asyncio.create_task(accept())
    try:
        yield served
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for connection in held:
            connection.close()
        listener.close()


def reset_connection(connection: socket.socket) -> None:
    """Read something, then end the connection with a reset."""
    connection.recv(16)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def say(answer: bytes) -> Callable[[socket.socket], None]:
    """Read something, then answer with these bytes and close."""

    def speak(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)
        connection.close()

    return speak


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue is full: the kernel answers no further connection."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOST, 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def openssl_server(folder: Path, leaf: trustme.LeafCert, *options: str) -> Iterator[int]:
    """`openssl s_server`, which sends the alerts that Python's servers keep to themselves."""
    certificate, chain, key = (folder / f"server.{kind}" for kind in ("pem", "chain", "key"))
    certificate.write_bytes(leaf.cert_chain_pems[0].bytes())
    chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems[1:]))
    private(key, leaf.private_key_pem.bytes())
    command = ["openssl", "s_server", "-accept", f"{HOST}:0", "-www", "-cert", str(certificate)]
    command += ["-cert_chain", str(chain), "-key", str(key), *options]
    with (
        open(folder / "s_server.log", "wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield _accepting(process)
        finally:
            process.kill()


def _accepting(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ACCEPT"):
            return int(line.rsplit(":", 1)[1])
    raise RuntimeError("openssl s_server did not start; see s_server.log")
