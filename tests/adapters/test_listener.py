"""TLS of our own listener: what it shows, whom it lets in, and how it is renewed without a restart."""

from __future__ import annotations

import asyncio
import os
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from monitor.adapters.listener import Listener, ListenerSpec, check
from monitor.errors import IdentityError
from tests.servers import Pki, private

NOW = datetime.now(UTC)
HOST = "localhost"


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="module")
def clients() -> Pki:
    return Pki()


def put(folder: Path, leaf: trustme.LeafCert) -> None:
    """A pair in the place of the one before, each file at once."""
    for name, content in (
        ("c.pem", b"".join(blob.bytes() for blob in leaf.cert_chain_pems)),
        ("k.pem", leaf.private_key_pem.bytes()),
    ):
        private(folder / f"{name}.new", content)
        os.replace(folder / f"{name}.new", folder / name)


@pytest.fixture
def spec(tmp_path: Path, pki: Pki) -> ListenerSpec:
    put(tmp_path, pki.leaf())
    return ListenerSpec(tmp_path / "c.pem", tmp_path / "k.pem")


@pytest.fixture
async def listener(spec: ListenerSpec) -> AsyncIterator[tuple[Listener, int]]:
    """A listener that serves, and its port."""
    opened = Listener(spec)
    async for port in serving(opened):
        yield opened, port


async def serving(listener: Listener) -> AsyncIterator[int]:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(b"nobody" if shown is None else b"somebody")
        writer.close()

    context = await listener.open(NOW)
    server = await asyncio.start_server(hello, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def meet(
    port: int, pki: Pki, *, name: str | None = HOST, client: trustme.LeafCert | None = None,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> tuple[str, bytes]:  # fmt: skip
    """Serial of what the server shows, verified, and what it says of us."""
    context = ssl.create_default_context(cadata=pki.root.cert_pem.bytes().decode())
    context.minimum_version = context.maximum_version = version
    if client is not None:
        client.configure_cert(context)
    if name is None:
        context.check_hostname = False
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name or ""
    )
    try:
        said = await reader.read()
        found = writer.get_extra_info("peercert")["serialNumber"]
    finally:
        writer.close()
    return found, said


async def refused(port: int, pki: Pki, **how: Any) -> bool:
    """Whether we are refused; in TLS 1.3 that shows only after the handshake."""
    try:
        return (await meet(port, pki, **how))[1] == b""
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_it_shows_its_certificate_in_tls_1_2_and_later(
    listener: tuple[Listener, int], pki: Pki, version: ssl.TLSVersion
) -> None:
    """A client that trusts the CA is served, by name, by address, or without naming anyone."""
    for name in (HOST, "127.0.0.1", None):
        assert (await meet(listener[1], pki, name=name, version=version))[1] == b"nobody"


async def test_tls_1_1_is_refused(listener: tuple[Listener, int], pki: Pki) -> None:
    """Older versions are not spoken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", listener[1], ssl=context)


@pytest.mark.parametrize("name", [HOST, "127.0.0.1", None])
async def test_a_renewed_pair_is_shown_without_a_restart(
    listener: tuple[Listener, int], pki: Pki, tmp_path: Path, name: str | None
) -> None:
    """From the next handshake on, also to clients that name no host."""
    opened, port = listener
    before, _ = await meet(port, pki, name=name)
    assert await opened.refresh(NOW) is False
    put(tmp_path, pki.leaf())
    assert (await meet(port, pki, name=name))[0] == before
    assert await opened.refresh(NOW) is True
    assert (await meet(port, pki, name=name))[0] != before


async def test_a_faulty_pair_leaves_the_old_one_in_force(
    listener: tuple[Listener, int], pki: Pki, tmp_path: Path
) -> None:
    """It is told once; a good pair after it is taken up."""
    opened, port = listener
    before, _ = await meet(port, pki)
    private(tmp_path / "k.pem", pki.leaf().private_key_pem.bytes())  # of another certificate
    with pytest.raises(IdentityError) as caught:
        await opened.refresh(NOW)
    assert caught.value.faults[0].path == "http.tls"
    assert await opened.refresh(NOW) is False
    assert (await meet(port, pki))[0] == before
    put(tmp_path, pki.leaf())
    assert await opened.refresh(NOW) is True
    assert (await meet(port, pki))[0] != before


async def test_client_certificates_are_verified(
    spec: ListenerSpec, pki: Pki, clients: Pki, tmp_path: Path
) -> None:
    """Optional: one of the CA or none; required: one of the CA. Others are refused in the handshake."""
    authority = Path(clients.trust_file(tmp_path, "clients.pem"))
    stranger = trustme.CA().issue_cert("client")
    friend = clients.leaf("client")
    for required in (False, True):
        async for port in serving(Listener(replace(spec, client_ca=authority, required=required))):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                said = await meet(port, pki, client=friend, version=version)
                assert said[1] == b"somebody"
                assert await refused(port, pki, client=stranger, version=version)
                assert await refused(port, pki, version=version) is required


async def test_a_ca_that_was_replaced_is_trusted_no_more(
    spec: ListenerSpec, pki: Pki, clients: Pki, tmp_path: Path
) -> None:
    """Clients of the old CA are refused once the new one is in force."""
    authority = Path(clients.trust_file(tmp_path, "clients.pem"))
    opened, others = Listener(replace(spec, client_ca=authority, required=True)), Pki()
    async for port in serving(opened):
        assert (await meet(port, pki, client=clients.leaf("a")))[1] == b"somebody"
        others.trust_file(tmp_path, "clients.pem")
        assert await opened.refresh(NOW) is True
        assert (await meet(port, pki, client=others.leaf("a")))[1] == b"somebody"
        assert await refused(port, pki, client=clients.leaf("a"))


def spoil(folder: Path, what: str, pki: Pki) -> None:
    if what == "key of another":
        private(folder / "k.pem", pki.leaf().private_key_pem.bytes())
    elif what == "key for all":
        (folder / "k.pem").chmod(0o644)
    elif what == "no certificate":
        (folder / "c.pem").unlink()
    elif what == "no CA":
        (folder / "clients.pem").write_text("none")


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("key of another", "does not"),
        ("key for all", "can be read by group or others"),
        ("no certificate", "cannot be read"),
        ("no CA", "holds no PEM certificate"),
    ],
)
def test_what_is_wrong_with_the_files_is_told(
    spec: ListenerSpec, pki: Pki, tmp_path: Path, what: str, text: str
) -> None:
    """Before anything is served, with the file and the cure."""
    full = replace(spec, client_ca=Path(pki.trust_file(tmp_path, "clients.pem")))
    assert check(full, NOW) == ()
    spoil(tmp_path, what, pki)
    with pytest.raises(IdentityError, match=text) as caught:
        check(full, NOW)
    assert all(fault.path.startswith("http.tls") and fault.cure for fault in caught.value.faults)


def test_a_certificate_out_of_date_is_a_warning(pki: Pki, tmp_path: Path) -> None:
    """The listener still serves: a page with a warning is better than none."""
    put(tmp_path, pki.expired())
    (warning,) = check(ListenerSpec(tmp_path / "c.pem", tmp_path / "k.pem"), NOW)
    assert warning.path == "http.tls"
