"""The sandbox's PKI and the crypto pack it issues."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from monitor.adapters import identity
from monitor.core.identity import IdentitySpec
from monitor.sandbox.pki import prepare

FILES = {
    "certificate",
    "certificateChain",
    "certPrivateKey",
    "certPublicKey",
    "jwtPrivateKey",
    "jwtPublicKey",
    "kid",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    prepare(folder, "127.0.0.1")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_pack_is_as_issued(made: Path) -> None:
    """Seven files without extensions: EC key as PKCS#8, RSA key for JWT, issuing CA then root."""
    pack = made / "pack"
    assert {path.name for path in pack.iterdir()} == FILES
    key_text = (pack / "certPrivateKey").read_bytes()
    assert key_text.startswith(b"-----BEGIN PRIVATE KEY-----")
    key = serialization.load_pem_private_key(key_text, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    leaf = x509.load_pem_x509_certificate((pack / "certificate").read_bytes())
    assert leaf.public_key() == key.public_key()
    issuing, root = x509.load_pem_x509_certificates((pack / "certificateChain").read_bytes())
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    jwt = serialization.load_pem_private_key((pack / "jwtPrivateKey").read_bytes(), None)
    assert isinstance(jwt, rsa.RSAPrivateKey)
    public = serialization.load_pem_public_key((pack / "jwtPublicKey").read_bytes())
    assert public == jwt.public_key()
    UUID((pack / "kid").read_text().strip())


def test_private_keys_are_their_owners_alone(made: Path) -> None:
    """No key can be read by others."""
    keys = [*made.glob("pki/*.key"), *made.glob("pack/*PrivateKey")]
    assert len(keys) == 7
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_the_product_accepts_the_pack(made: Path) -> None:
    """What the sandbox issues loads as an identity, without a fault or a warning."""
    spec = IdentitySpec("sandbox", pack=str(made / "pack"), trust=str(made / "server-ca.pem"))
    loaded = identity.load(spec, now=datetime.now(UTC))
    assert loaded.in_date(datetime.now(UTC))


def test_the_two_authorities_know_nothing_of_each_other(made: Path) -> None:
    """The server CA has signed neither the pack nor its chain."""
    server = x509.load_pem_x509_certificate((made / "server-ca.pem").read_bytes())
    chain = x509.load_pem_x509_certificates((made / "pack" / "certificateChain").read_bytes())
    assert server.subject not in {each.issuer for each in chain}


def test_a_second_start_keeps_everything(made: Path) -> None:
    """Nothing but the list of revoked certificates and the expired one is made anew."""
    before = contents(made)
    prepare(made, "127.0.0.1")
    after = contents(made)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"pki/revoked.pem", "pki/server-expired.pem"}


def test_what_nears_its_end_is_renewed_for_the_same_key(tmp_path: Path) -> None:
    """Well before a leaf ends it is issued anew, so key and certificate always match."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    prepare(tmp_path, "127.0.0.1", now)
    before = contents(tmp_path)
    prepare(tmp_path, "127.0.0.1", now + timedelta(days=300))
    assert contents(tmp_path)["pack/certificate"] == before["pack/certificate"]
    prepare(tmp_path, "127.0.0.1", now + timedelta(days=310))
    after = contents(tmp_path)
    assert after["pack/certificate"] != before["pack/certificate"]
    assert after["pki/server-good.pem"] != before["pki/server-good.pem"]
    kept = {"pack/certPrivateKey", "pack/certificateChain", "server-ca.pem", "pack/kid"}
    assert all(after[name] == before[name] for name in kept)


@pytest.mark.parametrize("damaged", ["pack/certPrivateKey", "pki/client-issuing.key", "pack/kid"])
def test_what_is_damaged_is_mended_with_all_that_hangs_on_it(tmp_path: Path, damaged: str) -> None:
    """A file cut short is replaced, and every certificate fits its key and issuer again."""
    prepare(tmp_path, "127.0.0.1")
    (tmp_path / damaged).write_bytes(b"-----BEGIN")
    prepare(tmp_path, "127.0.0.1")
    test_the_pack_is_as_issued(tmp_path)


def test_a_new_host_is_a_name_of_the_servers(tmp_path: Path) -> None:
    """The certificate is issued anew when the sandbox listens under another name."""
    prepare(tmp_path, "127.0.0.1")
    pki = prepare(tmp_path, "sandbox.test")
    leaf = x509.load_pem_x509_certificate(pki.server_chains["good"].read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "sandbox.test"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "::1",
    ]
