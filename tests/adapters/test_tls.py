"""Contexts: what they present, whom they trust, and how they change."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import PrivateFormat

from monitor.adapters import tls
from monitor.adapters.identity import load
from monitor.adapters.tls import PROBE, Contexts, Refreshed, Seen, build_context
from monitor.core.identity import IdentitySpec
from monitor.errors import IdentityError
from tests.servers import (
    HOST,
    PASSWORD,
    UNAUTHORISED,
    Pki,
    answering,
    explicit,
    pack_identity,
    private,
    reencode,
    server_context,
    write_pack,
    write_pkcs12,
)

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture
def spec(tmp_path: Path, pki: Pki) -> IdentitySpec:
    return pack_identity(tmp_path, pki, pki.trust_file(tmp_path))


@pytest.fixture(autouse=True)
def _fresh_chains() -> Iterator[None]:
    tls._chains.clear()
    yield
    tls._chains.clear()


def context_of(spec: IdentitySpec, trust: str | None = None) -> ssl.SSLContext:
    return build_context(load(spec, now=NOW), trust)


def listing(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


async def handshake(context: ssl.SSLContext, port: int) -> Seen:
    """Shake hands, say nothing, and give what the recorder saw."""
    seen = Seen()
    token = PROBE.set(seen)
    try:
        _, writer = await asyncio.open_connection(HOST, port, ssl=context)
        writer.transport.abort()
    except (OSError, ssl.SSLError) as error:
        seen.error = seen.error or str(error)
    finally:
        PROBE.reset(token)
    return seen


# --- What a context is -------------------------------------------------------------------------


def test_the_floor_is_tls_1_2_and_1_3_is_offered(spec: IdentitySpec) -> None:
    """CoCo 1.1.1: 1.2 always, 1.3 first."""
    context = context_of(spec)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_only_forward_secret_aead_suites_are_offered(spec: IdentitySpec) -> None:
    """No suite without forward secrecy or with a separate MAC is offered for TLS 1.2."""
    ciphers = context_of(spec).get_ciphers()
    assert any(cipher["protocol"] == "TLSv1.3" for cipher in ciphers)
    for cipher in ciphers:
        assert cipher["aead"]
        assert cipher["protocol"] == "TLSv1.3" or cipher["name"].startswith(("ECDHE-", "DHE-"))


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("partial", [True, False])
def test_verification_flags_come_from_configuration_only(
    spec: IdentitySpec, strict: bool, partial: bool
) -> None:
    """Python 3.13 verifies as 3.11 does unless the operator says otherwise."""
    flags = context_of(replace(spec, strict=strict, partial_chain=partial)).verify_flags
    assert bool(flags & ssl.VERIFY_X509_STRICT) is strict
    assert bool(flags & ssl.VERIFY_X509_PARTIAL_CHAIN) is partial


async def test_leaf_and_chain_are_presented(tmp_path: Path, pki: Pki, spec: IdentitySpec) -> None:
    """A server that trusts only the root accepts us, since the issuing CA is sent along."""
    accepts = server_context(pki.leaf(), pki.root)
    async with answering(accepts, UNAUTHORISED) as served:
        seen = await handshake(context_of(spec), served.port)
    assert seen.version == "TLSv1.3"
    assert seen.cipher is not None
    assert seen.error is None
    assert seen.tls_started is not None
    assert seen.tls_ended is not None
    assert seen.chain[0].names == (HOST, "localhost")


@pytest.mark.parametrize("form", ["encrypted", "pkcs12"])
async def test_unlocked_keys_never_touch_a_disk(
    tmp_path: Path, pki: Pki, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encrypted keys and PKCS#12 serve a handshake without a file being written or a prompt."""
    leaf = pki.leaf("monitor.example", key_type=trustme.KeyType.ECDSA)
    if form == "pkcs12":
        spec = write_pkcs12(tmp_path, pki, leaf, PASSWORD)
    else:
        key = reencode(leaf, PrivateFormat.TraditionalOpenSSL, PASSWORD)
        spec = explicit(tmp_path, pki, leaf, key)
        spec = replace(spec, password_file=private(tmp_path / "pw", PASSWORD))
    identity = load(replace(spec, trust="pack"), now=NOW)
    before = listing(tmp_path)
    context = build_context(identity)
    assert listing(tmp_path) == before
    async with answering(server_context(pki.leaf(), pki.root), UNAUTHORISED) as served:
        assert (await handshake(context, served.port)).error is None


# --- Trust -------------------------------------------------------------------------------------


async def test_trust_is_system_pack_or_a_bundle(
    tmp_path: Path, pki: Pki, spec: IdentitySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint's trust wins over the identity's; the system does not know our root."""
    other = Pki()
    foreign = other.trust_file(tmp_path, "foreign.pem")
    verdicts = {}
    async with answering(server_context(pki.leaf()), UNAUTHORISED) as served:
        for trust in (None, "pack", "system", foreign):
            seen = await handshake(context_of(spec, trust), served.port)
            verdicts[trust] = seen.error
    assert verdicts[None] is None
    assert verdicts["pack"] is None
    assert verdicts["system"] == "CERTIFICATE_VERIFY_FAILED"
    assert verdicts[foreign] == "CERTIFICATE_VERIFY_FAILED"


async def test_the_system_store_is_used(
    tmp_path: Path, pki: Pki, spec: IdentitySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system trusts, `system` trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", spec.trust)
    async with answering(server_context(pki.leaf()), UNAUTHORISED) as served:
        assert (await handshake(context_of(spec, "system"), served.port)).error is None


async def test_an_intermediate_is_an_anchor_only_when_configured(
    tmp_path: Path, pki: Pki, spec: IdentitySpec
) -> None:
    """`partial_chain` lets a bundle of an issuing CA alone anchor a chain."""
    bundle = tmp_path / "issuing.pem"
    bundle.write_bytes(pki.issuing.cert_pem.bytes())
    async with answering(server_context(pki.leaf()), UNAUTHORISED) as served:
        strict = await handshake(context_of(spec, str(bundle)), served.port)
        partial = context_of(replace(spec, partial_chain=True), str(bundle))
        assert strict.error == "CERTIFICATE_VERIFY_FAILED"
        assert (await handshake(partial, served.port)).error is None


@pytest.mark.parametrize("content", [None, "", "no PEM"])
def test_a_bundle_that_cannot_be_used_is_a_fault(
    tmp_path: Path, spec: IdentitySpec, content: str | None
) -> None:
    """A missing, empty or foreign file as trust is named."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(IdentityError, match=r"bundle\.pem: identities\.live: cannot be used"):
        context_of(spec, str(bundle))


def test_trusting_a_pack_without_chain_is_a_fault(
    tmp_path: Path, pki: Pki, spec: IdentitySpec
) -> None:
    """There is no chain to trust in."""
    assert spec.pack is not None
    bare = IdentitySpec(
        "live",
        certificate=f"{spec.pack}/certificate",
        private_key_file=f"{spec.pack}/certPrivateKey",
        trust="pack",
    )
    with pytest.raises(IdentityError, match="add the chain"):
        context_of(bare)


def test_material_that_openssl_refuses_is_a_fault(tmp_path: Path, pki: Pki) -> None:
    """A hardware key without its provider is refused with a cure, not with a traceback."""
    uri = b"-----BEGIN PKCS#11 PROVIDER URI-----\nAAAA\n-----END PKCS#11 PROVIDER URI-----\n"
    with pytest.raises(IdentityError, match="OpenSSL refuses the material"):
        context_of(explicit(tmp_path, pki, pki.leaf("monitor.example"), uri))


# --- What the recorder sees --------------------------------------------------------------------


async def test_a_chain_that_fails_is_recorded(pki: Pki, spec: IdentitySpec) -> None:
    """The certificates of a server are known above all when they do not verify."""
    async with answering(server_context(pki.expired()), UNAUTHORISED) as served:
        seen = await handshake(context_of(spec), served.port)
    assert seen.error == "CERTIFICATE_VERIFY_FAILED"
    assert seen.chain[0].not_after < NOW
    assert seen.tls_ended is None


async def test_a_chain_is_decoded_once(
    pki: Pki, spec: IdentitySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A healthy endpoint's chain costs nothing to decode again."""
    monkeypatch.setattr(tls, "_CHAINS_KEPT", 1)
    context = context_of(spec)
    async with (
        answering(server_context(pki.leaf()), UNAUTHORISED) as one,
        answering(server_context(pki.leaf()), UNAUTHORISED) as two,
    ):
        first = await handshake(context, one.port)
        assert (await handshake(context, one.port)).chain is first.chain
        assert (await handshake(context, two.port)).chain != first.chain
    assert len(tls._chains) == 1


def test_an_odd_certificate_is_left_out() -> None:
    """What does not decode does not keep the rest from being shown."""
    assert tls._chain_facts([b"no certificate"]) == ()


async def test_no_session_is_resumed(pki: Pki, spec: IdentitySpec) -> None:
    """Every handshake is a full one, whatever the server would allow."""
    accepts, context = server_context(pki.leaf()), context_of(spec)
    async with answering(accepts, UNAUTHORISED) as served:
        for _ in range(3):
            await handshake(context, served.port)
    assert accepts.session_stats()["hits"] == 0


# --- Contexts ----------------------------------------------------------------------------------


async def test_a_context_is_shared_by_its_uses(tmp_path: Path, spec: IdentitySpec) -> None:
    """One context per identity and trust, kept as long as nothing changed."""
    contexts = Contexts()
    await contexts.replace([spec], [("live", None), ("live", "pack")], now=NOW)
    own, pack = contexts.find("live", None), contexts.find("live", "pack")
    assert own is not None
    assert pack is not None
    assert own[1] is not pack[1]
    assert contexts.identity("live") is own[0]
    assert contexts.identities == (own[0],)
    assert contexts.find("live", "system") is None
    assert contexts.find("nobody", None) is None
    await contexts.replace([spec], [("live", "pack")], now=NOW)
    assert contexts.find("live", None) == own
    await contexts.replace([spec], [], now=NOW)
    assert contexts.find("live", "pack") is None


async def test_replacing_is_whole_or_not_at_all(
    tmp_path: Path, pki: Pki, spec: IdentitySpec
) -> None:
    """One faulty identity keeps the others from changing, and all faults are told."""
    contexts = Contexts()
    await contexts.replace([spec], [], now=NOW)
    kept = contexts.find("live", None)
    good = pack_identity(tmp_path, pki, spec.trust, name="good")
    bad = [IdentitySpec(name, pack=str(tmp_path / name)) for name in ("a", "b")]
    with pytest.raises(IdentityError) as caught:
        await contexts.replace([good, *bad], [], now=NOW)
    assert {fault.path for fault in caught.value.faults} == {"identities.a", "identities.b"}
    assert contexts.find("live", None) == kept
    assert contexts.find("good", None) is None


async def test_every_bad_bundle_is_told(tmp_path: Path, spec: IdentitySpec) -> None:
    """Faults of several trusts of one identity come together."""
    uses = [("live", str(tmp_path / "x.pem")), ("live", str(tmp_path / "y.pem"))]
    with pytest.raises(IdentityError) as caught:
        await Contexts().replace([spec], uses, now=NOW)
    assert len(caught.value.faults) == 2


async def test_nothing_changed_is_nothing_done(spec: IdentitySpec) -> None:
    """A poll of unchanged files keeps the same contexts."""
    contexts = Contexts()
    await contexts.replace([spec], [("live", "system")], now=NOW)
    kept = contexts.find("live", None)
    assert await contexts.refresh(NOW) == Refreshed()
    assert contexts.find("live", None) == kept


async def test_a_rotation_is_taken_up_as_a_matching_pair(pki: Pki, spec: IdentitySpec) -> None:
    """While only half of the new pair is there the old one serves; then both change."""
    assert spec.pack is not None
    pack, contexts = Path(spec.pack), Contexts()
    await contexts.replace([spec], [], now=NOW)
    old = contexts.find("live", None)
    fresh = pki.leaf("monitor.example", "renewed.example")

    (pack / "certificate").write_bytes(fresh.cert_chain_pems[0].bytes())
    half = await contexts.refresh(NOW)
    assert half.changed == ()
    assert "does not belong" in str(half.faults[0])
    assert contexts.find("live", None) == old

    private(pack / "certPrivateKey", reencode(fresh))
    assert await contexts.refresh(NOW) == Refreshed(("live",), ())
    assert contexts.identity("live").leaf.names == ("monitor.example", "renewed.example")
    assert contexts.find("live", None) != old


async def test_a_changed_bundle_is_taken_up(tmp_path: Path, pki: Pki, spec: IdentitySpec) -> None:
    """Another root in the bundle is trusted without a restart; a vanished one changes nothing."""
    other, contexts = Pki(), Contexts()
    await contexts.replace([spec], [], now=NOW)
    assert other.trust_file(tmp_path) == spec.trust
    assert (await contexts.refresh(NOW)).changed == ("live",)
    found = contexts.find("live", None)
    assert found is not None
    async with answering(server_context(other.leaf()), UNAUTHORISED) as served:
        assert (await handshake(found[1], served.port)).error is None
    os.unlink(spec.trust)
    assert len((await contexts.refresh(NOW)).faults) == 1
    assert contexts.find("live", None) == found


async def test_one_faulty_identity_does_not_hold_back_another(
    tmp_path: Path, pki: Pki, spec: IdentitySpec
) -> None:
    """Files of one identity vanish while another is rotated: that one is taken up."""
    other = pack_identity(tmp_path, pki, spec.trust, name="test")
    contexts = Contexts()
    await contexts.replace([spec, other], [], now=NOW)
    assert spec.pack is not None
    shutil.rmtree(spec.pack)
    write_pack(tmp_path / "test", pki.leaf("renewed.example"), pki.chain)
    found = await contexts.refresh(NOW + timedelta(days=1))
    assert found.changed == ("test",)
    assert len(found.faults) == 1


async def test_a_refresh_gives_way_to_a_replacement(pki: Pki, spec: IdentitySpec) -> None:
    """Configuration that changes while files are looked at wins; the next look catches up."""
    contexts = Contexts()
    await contexts.replace([spec], [], now=NOW)
    assert spec.pack is not None
    write_pack(Path(spec.pack), pki.leaf("renewed.example"), pki.chain)
    looking = asyncio.create_task(contexts.refresh(NOW))
    await asyncio.sleep(0)
    contexts._held = dict(contexts._held)
    assert (await looking).changed == ()
    assert (await contexts.refresh(NOW)).changed == ("live",)
