"""Issued material: found, read, checked, every fault at once."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from monitor.adapters.identity import Identity, content_digest, load
from monitor.core.identity import IdentitySpec
from monitor.errors import IdentityError
from tests.servers import PASSWORD, Pki, explicit, private, reencode, write_pack, write_pkcs12
from tests.tools import need

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="module")
def leaf(pki: Pki) -> trustme.LeafCert:
    return pki.leaf("monitor.example", key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def pack(tmp_path: Path, pki: Pki, leaf: trustme.LeafCert) -> Path:
    return write_pack(tmp_path / "pack", leaf, pki.chain)


def of_pack(pack: Path, password_file: str | None = None) -> IdentitySpec:
    return IdentitySpec("live", pack=str(pack), password_file=password_file)


def faults(spec: IdentitySpec) -> list[str]:
    """The faults of an identity as text; each says where, what and how to mend it."""
    with pytest.raises(IdentityError) as caught:
        load(spec, now=NOW)
    for fault in caught.value.faults:
        assert fault.file
        assert fault.cure
        assert fault.path == f"identities.{spec.name}"
    return [str(fault) for fault in caught.value.faults]


def fault(spec: IdentitySpec) -> str:
    (only,) = faults(spec)
    return only


# --- What is accepted --------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["", ".pem", ".json", ".crt.txt"])
def test_a_pack_is_read_with_or_without_extensions(
    tmp_path: Path, pki: Pki, leaf: trustme.LeafCert, extension: str
) -> None:
    """The issued names count, whatever follows them."""
    identity = load(of_pack(write_pack(tmp_path / "p", leaf, pki.chain, extension)), now=NOW)
    assert identity.leaf.names == ("monitor.example",)
    assert len(identity.chain) == 2
    assert identity.key_type == "EC secp256r1"
    assert identity.warnings == ()
    assert identity.leaf.issuer == identity.chain[0].subject


def test_pem_inside_json_is_found(pack: Path) -> None:
    """A download that wraps each PEM text in JSON is read all the same."""
    for path in pack.iterdir():
        if path.name in ("certificate", "certificateChain", "certPrivateKey"):
            path.write_text(json.dumps({"name": path.name, "value": [path.read_text()]}))
    assert load(of_pack(pack), now=NOW).key_type == "EC secp256r1"


def test_a_pack_with_other_names_is_told_by_content(pack: Path) -> None:
    """Leaf, chain and key are recognised by what is in them."""
    (pack / "certificate").rename(pack / "site.crt")
    (pack / "certificateChain").rename(pack / "ca.crt")
    (pack / "certPrivateKey").rename(pack / "site.key")
    (pack / "README").write_text("no PEM here")
    (pack / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----")
    assert load(of_pack(pack), now=NOW).leaf.names == ("monitor.example",)


def test_the_jwt_keys_are_never_opened(pack: Path) -> None:
    """A key that probing does not need is not read, not even to look at it."""
    (pack / "certPrivateKey").unlink()
    (pack / "jwtPrivateKey").unlink()
    os.mkfifo(pack / "jwtPrivateKey")  # opening it would wait for ever
    (pack / "jwtKey.pem").write_text("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----")
    assert "has no certPrivateKey" in fault(of_pack(pack))


@pytest.mark.parametrize("kind", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("password", [None, PASSWORD])
def test_every_form_of_key_is_read(
    tmp_path: Path,
    pki: Pki,
    kind: trustme.KeyType,
    form: PrivateFormat,
    password: bytes | None,
) -> None:
    """EC and RSA, PKCS#8 and SEC1 or PKCS#1, in clear or encrypted."""
    leaf = pki.leaf("monitor.example", key_type=kind)
    spec = explicit(tmp_path, pki, leaf, reencode(leaf, form, password))
    if password is not None:
        spec = replace(spec, password_file=private(tmp_path / "pw", password + b"\n"))
    assert load(spec, now=NOW).key_type in ("EC secp256r1", "RSA 2048")


def test_a_sec1_key_with_its_parameters_is_read(tmp_path: Path, pki: Pki) -> None:
    """`openssl ecparam -genkey` writes the curve before the key."""
    leaf = pki.leaf("monitor.example", key_type=trustme.KeyType.ECDSA)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    key = parameters + reencode(leaf, PrivateFormat.TraditionalOpenSSL)
    assert load(explicit(tmp_path, pki, leaf, key), now=NOW).key_type == "EC secp256r1"


def test_a_password_that_is_not_needed_does_no_harm(tmp_path: Path, pack: Path) -> None:
    """An issued key in clear is used though a password is configured."""
    spec = of_pack(pack, password_file=private(tmp_path / "pw", PASSWORD))
    assert load(spec, now=NOW).key_type == "EC secp256r1"


def test_a_full_chain_file_is_sent_once(tmp_path: Path, pki: Pki, leaf: trustme.LeafCert) -> None:
    """A certificate file that goes on with the chain does not double it."""
    spec = explicit(tmp_path, pki, leaf, reencode(leaf))
    (tmp_path / "c.pem").write_bytes(leaf.cert_chain_pems[0].bytes() + pki.chain)
    identity = load(spec, now=NOW)
    assert len(identity.chain) == 2
    assert identity.material.certificates.count(b"BEGIN CERTIFICATE") == 3
    assert len(load(replace(spec, chain=None), now=NOW).chain) == 2


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_pkcs12_is_read_in_any_order(
    tmp_path: Path, pki: Pki, leaf: trustme.LeafCert, password: bytes | None
) -> None:
    """PKCS#12 keeps no order; the chain is put in order by issuer."""
    spec = write_pkcs12(tmp_path, pki, leaf, password)
    identity = load(spec, now=NOW)
    assert identity.chain[0].subject == identity.leaf.issuer
    assert identity.chain[1].subject == identity.chain[1].issuer
    assert identity.key_type == "EC secp256r1"


def test_plain_openssl_makes_a_pack(tmp_path: Path) -> None:
    """Material made with the openssl program alone is accepted."""
    need("openssl")
    run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    run += ["-nodes", "-keyout", "certPrivateKey", "-out", "certificate", "-subj", "/CN=monitor"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "certificateChain").write_bytes((tmp_path / "certificate").read_bytes())
    (tmp_path / "certPrivateKey").chmod(0o600)
    identity = load(of_pack(tmp_path), now=datetime.now(UTC))
    assert identity.leaf.subject == "CN=monitor"
    assert identity.chain == ()


def test_a_hardware_key_is_left_to_openssl(tmp_path: Path, pki: Pki) -> None:
    """A PKCS#11 URI in PEM stands for a key that cannot be compared here."""
    leaf = pki.leaf("monitor.example")
    uri = b"-----BEGIN PKCS#11 PROVIDER URI-----\nAAAA\n-----END PKCS#11 PROVIDER URI-----\n"
    assert load(explicit(tmp_path, pki, leaf, uri), now=NOW).key_type == "hardware"


def test_secrets_do_not_show(pack: Path) -> None:
    """Printing an identity, as a log does, shows no key."""
    text = repr(load(of_pack(pack), now=NOW))
    assert "PRIVATE KEY" not in text
    assert "material" not in text


# --- Dates -------------------------------------------------------------------------------------


def test_an_expired_certificate_is_a_warning(tmp_path: Path, pki: Pki) -> None:
    """A daemon with expired material starts, warns, and knows that it is out of date."""
    pack = write_pack(tmp_path / "p", pki.expired("monitor.example"), pki.chain)
    identity = load(of_pack(pack), now=NOW)
    (warning,) = identity.warnings
    assert "expired at" in str(warning)
    assert str(pack / "certificate") in str(warning)
    assert not identity.in_date(NOW)
    assert identity.in_date(NOW - timedelta(days=3))


def test_a_certificate_of_the_future_is_a_warning(pack: Path) -> None:
    """Material not yet valid points at the clock."""
    identity = load(of_pack(pack), now=datetime(1999, 1, 1, tzinfo=UTC))
    assert len(identity.warnings) == 3
    assert "clock" in str(identity.warnings[0])
    assert not identity.in_date(datetime(1999, 1, 1, tzinfo=UTC))


# --- Faults ------------------------------------------------------------------------------------


def test_a_missing_folder_is_a_fault(tmp_path: Path) -> None:
    """A pack that is not there is named."""
    assert "cannot list the crypto pack" in fault(of_pack(tmp_path / "nowhere"))


def test_all_faults_come_at_once(tmp_path: Path, pack: Path) -> None:
    """Every file is looked at before anything is reported."""
    (pack / "certificate").write_text("nothing")
    (pack / "certificateChain").unlink()
    (pack / "certPrivateKey").write_text("nothing")
    (pack / "certPrivateKey").chmod(0o644)
    spec = of_pack(pack, password_file=str(tmp_path / "nowhere"))
    text = "\n".join(faults(spec))
    for what in (
        "has no certificateChain",
        "holds no PEM certificate",
        "holds no PEM private key",
        "mode 0644",
        "cannot be read: No such file",
    ):
        assert what in text


def test_two_candidates_are_a_fault(pack: Path) -> None:
    """Which of two files is meant is not guessed."""
    (pack / "certificate.old").write_bytes((pack / "certificate").read_bytes())
    text = fault(of_pack(pack))
    assert "several files could be the certificate: certificate, certificate.old" in text


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_may_read_is_refused(pack: Path, mode: int) -> None:
    """A private key is for its owner only, and the cure says how."""
    (pack / "certPrivateKey").chmod(mode)
    assert f"chmod 600 {pack / 'certPrivateKey'}" in fault(of_pack(pack))


def test_a_systemd_credential_may_show_its_acl_mask(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd opens a credential to its service by ACL, which reads as a group bit."""
    (pack / "certPrivateKey").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(pack))
    assert load(of_pack(pack), now=NOW)
    (pack / "certPrivateKey").chmod(0o444)
    assert "mode 0444" in fault(of_pack(pack))


def test_a_key_of_another_certificate_is_a_fault(pack: Path, pki: Pki) -> None:
    """Half a rotation does not load."""
    private(pack / "certPrivateKey", reencode(pki.leaf("other")))
    assert "does not belong to the certificate" in fault(of_pack(pack))


def test_a_chain_out_of_order_is_a_fault(pack: Path, pki: Pki) -> None:
    """The chain goes from the issuing CA to the root."""
    swapped = pki.root.cert_pem.bytes() + pki.issuing.cert_pem.bytes()
    (pack / "certificateChain").write_bytes(swapped)
    assert "out of order; put the issuing CA first" in fault(of_pack(pack))


def test_a_foreign_chain_is_a_fault(pack: Path) -> None:
    """A chain that did not issue the certificate is named with both issuers."""
    (pack / "certificateChain").write_bytes(Pki().chain)
    assert "the chain does not fit" in fault(of_pack(pack))


def test_a_root_of_the_same_name_is_not_enough(pack: Path, pki: Pki) -> None:
    """Signatures are checked, not only names."""
    twin = Pki()
    issuing = x509.load_pem_x509_certificate(pki.issuing.cert_pem.bytes())
    key = load_pem_private_key(twin.root.private_key_pem.bytes(), None)
    fake = (
        x509.CertificateBuilder()
        .subject_name(issuing.subject)
        .issuer_name(issuing.subject)
        .public_key(key.public_key())  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, issuing.signature_hash_algorithm)  # type: ignore[arg-type]
    )
    (pack / "certificateChain").write_bytes(fake.public_bytes(Encoding.PEM))
    assert "the chain does not fit" in fault(of_pack(pack))


def test_an_encrypted_key_without_password_is_a_fault(
    tmp_path: Path, pki: Pki, leaf: trustme.LeafCert
) -> None:
    """Nobody is asked for a password."""
    key = reencode(leaf, password=PASSWORD)
    assert "encrypted and there is no password" in fault(explicit(tmp_path, pki, leaf, key))


def test_a_wrong_password_is_a_fault_that_keeps_it_secret(
    tmp_path: Path, pki: Pki, leaf: trustme.LeafCert
) -> None:
    """The message names the file, not the password."""
    spec = explicit(tmp_path, pki, leaf, reencode(leaf, password=PASSWORD))
    spec = replace(spec, password_file=private(tmp_path / "pw", b"hunter2"))
    text = fault(spec)
    assert "does not unlock" in text
    assert "hunter2" not in text


def test_a_wrong_password_of_pkcs12_is_a_fault(
    tmp_path: Path, pki: Pki, leaf: trustme.LeafCert
) -> None:
    """So it is for a PKCS#12 file."""
    spec = write_pkcs12(tmp_path, pki, leaf, PASSWORD)
    private(tmp_path / "pw", b"hunter2")
    assert "no PKCS#12 file that the password unlocks" in fault(spec)
    assert "cannot be read" in fault(replace(spec, pkcs12=str(tmp_path / "no.p12")))


def test_pkcs12_without_a_key_is_a_fault(tmp_path: Path, pki: Pki) -> None:
    """Certificates alone cannot be presented."""
    chain = x509.load_pem_x509_certificates(pki.chain)
    content = pkcs12.serialize_key_and_certificates(None, None, None, chain, NoEncryption())
    spec = IdentitySpec("live", pkcs12=private(tmp_path / "m.p12", content))
    assert "holds no certificate" in fault(spec)


def broken_key(_: trustme.LeafCert) -> bytes:
    return b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


def two_keys(leaf: trustme.LeafCert) -> bytes:
    return reencode(leaf) * 2


def edwards_key(_: trustme.LeafCert) -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (broken_key, "cannot be decoded"),
        (two_keys, "more than one PEM private key"),
        (edwards_key, "use an EC or an RSA key"),
    ],
)
def test_an_unusable_key_is_a_fault(
    tmp_path: Path,
    pki: Pki,
    leaf: trustme.LeafCert,
    make: Callable[[trustme.LeafCert], bytes],
    what: str,
) -> None:
    """Broken, doubled or of a kind that cannot be used: each is told."""
    assert what in fault(explicit(tmp_path, pki, leaf, make(leaf)))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate 1 cannot"),
        ('{"x": "-----BEGIN', "holds no PEM certificate"),
        ("x" * (1 << 20) + "x", "larger than 1 MiB"),
    ],
)
def test_an_unusable_certificate_is_a_fault(pack: Path, content: str, what: str) -> None:
    """Text that only looks like PEM is a fault, not a crash."""
    (pack / "certificate").write_text(content)
    assert what in fault(of_pack(pack))


def test_material_without_a_key_is_a_fault(tmp_path: Path) -> None:
    """An identity that names no key file says so."""
    text = "\n".join(faults(IdentitySpec("live", certificate=str(tmp_path / "c.pem"))))
    assert "names no certificate with its private key" in text


# --- Digest ------------------------------------------------------------------------------------


def test_the_digest_follows_content_only(pack: Path) -> None:
    """Touching files changes nothing; another byte in any of them does."""
    spec = of_pack(pack)
    identity: Identity = load(spec, now=NOW)
    os.utime(pack / "certificate", (0, 0))
    (pack / "kid").write_text("another")
    assert content_digest(spec) == identity.digest
    for name in ("certificate", "certificateChain", "certPrivateKey"):
        kept = (pack / name).read_bytes()
        (pack / name).write_bytes(kept + b"\n")
        assert content_digest(spec) != identity.digest
        (pack / name).write_bytes(kept)
    (pack / "certificate").unlink()
    assert content_digest(spec) != identity.digest
