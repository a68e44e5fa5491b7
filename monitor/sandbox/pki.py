"""The sandbox's own PKI: what the PDP PKI and the public CAs are in the real ecosystem.

Two authorities that know nothing of each other: a client root with an issuing CA, which issues the
crypto pack (domain.md section 4), and a server CA, which stands for the public ones. A third signs
what the failures need. Keys are kept from start to start; a certificate is made anew when it is
missing, near its end, or does not belong to its key or issuer.
"""

from __future__ import annotations

import ipaddress
import os
import tempfile
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=397)
# Longer than any warning of a certificate's end: a sandbox starts without one.
MARGIN = timedelta(days=90)
BACKDATED = timedelta(days=1)

PRIVATE = 0o600
PUBLIC = 0o644


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs others, and its key. `path` is the PEM file of the certificate."""

    path: Path
    certificate: x509.Certificate
    key: Key


@dataclass(frozen=True, slots=True)
class Pki:
    """Files for the servers (PEM) and the folders and files for the monitor.

    `server_chains` are certificate files by kind: `good`, `expired`, `wrong_name`, `untrusted`; all
    belong to `server_key`. `client_root` verifies the pack, `other_root` does not, `revoked` is the
    root, the issuing CA and its list of revoked certificates, which holds the pack's.
    """

    pack: Path
    trust: Path
    server_key: Path
    server_chains: dict[str, Path]
    client_root: Path
    other_root: Path
    revoked: Path


def write(path: Path, content: bytes, mode: int = PUBLIC) -> None:
    """Write a file whole or not at all; it never has wider permissions than `mode`."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def prepare(directory: Path, host: str, now: datetime | None = None) -> Pki:
    """Make or reuse everything under `directory`; `host` is a further name of the servers.

    Writes `pack/`, `server-ca.pem` and, for the sandbox alone, `pki/`. `now` is an aware instant.
    """
    now = now or datetime.now(UTC)
    store = directory / "pki"
    for folder in (directory, store, directory / "pack"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = _authority(store, "client-root", "Sandbox Root CA", None, now)
    issuing = _authority(store, "client-issuing", "Sandbox Issuing CA", root, now)
    server_ca = _authority(store, "server-ca", "Sandbox Server CA", None, now)
    other = _authority(store, "other-ca", "Sandbox Unknown CA", None, now)
    client = _pack(directory / "pack", root, issuing, now)
    trust = directory / "server-ca.pem"
    _write_if_changed(trust, _pem(server_ca.certificate))
    revoked = store / "revoked.pem"
    crl = _revocations(issuing, client, now).public_bytes(serialization.Encoding.PEM)
    write(revoked, _pem(root.certificate, issuing.certificate) + crl)
    key_path = store / "server.key"
    return Pki(
        pack=directory / "pack",
        trust=trust,
        server_key=key_path,
        server_chains=_server_chains(store, _key(key_path), server_ca, other, host, now),
        client_root=root.path,
        other_root=other.path,
        revoked=revoked,
    )


def _pack(folder: Path, root: Authority, issuing: Authority, now: datetime) -> x509.Certificate:
    """The crypto pack as issued: the seven files of domain.md section 4, none with an extension."""
    key = _key(folder / "certPrivateKey")
    jwt = _key(folder / "jwtPrivateKey", rsa_bits=2048)
    certificate = _certificate(
        folder / "certificate", key.public_key(), _client_profile(), issuing, now
    )
    _write_if_changed(folder / "certificateChain", _pem(issuing.certificate, root.certificate))
    _write_if_changed(folder / "certPublicKey", _public(key))
    _write_if_changed(folder / "jwtPublicKey", _public(jwt))
    _kid(folder / "kid")
    return certificate


def _kid(path: Path) -> None:
    try:
        uuid.UUID(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        write(path, f"{uuid.uuid4()}\n".encode())


def _server_chains(
    store: Path, key: Key, server_ca: Authority, other: Authority, host: str, now: datetime
) -> dict[str, Path]:
    names = list(dict.fromkeys(["localhost", "127.0.0.1", "::1", host]))
    public = key.public_key()
    path = {kind: store / f"server-{kind}.pem" for kind in _SERVER_KINDS}
    good = _server_profile("localhost", names)
    _certificate(path["good"], public, good, server_ca, now)
    _certificate(path["untrusted"], public, good, other, now)
    wrong = _server_profile("elsewhere.invalid", ["elsewhere.invalid"])
    _certificate(path["wrong_name"], public, wrong, server_ca, now)
    past = now - timedelta(days=30)
    expired = _sign(public, good, server_ca, past, past + timedelta(days=29))
    write(path["expired"], _pem(expired))
    return path


_SERVER_KINDS = ("good", "expired", "wrong_name", "untrusted")


@dataclass(frozen=True, slots=True)
class _Profile:
    """What a certificate is for. `names` are host names and addresses of a server."""

    subject: x509.Name
    ca: bool
    path_length: int | None = None
    usage: x509.ObjectIdentifier | None = None
    names: tuple[str, ...] = ()


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "GB"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sandbox Administration Ltd"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _client_profile() -> _Profile:
    return _Profile(_name("sandbox-monitor"), ca=False, usage=ExtendedKeyUsageOID.CLIENT_AUTH)


def _server_profile(common: str, names: list[str]) -> _Profile:
    usage = ExtendedKeyUsageOID.SERVER_AUTH
    return _Profile(_name(common), ca=False, usage=usage, names=tuple(names))


def _authority(
    store: Path, stem: str, common: str, parent: Authority | None, now: datetime
) -> Authority:
    key = _key(store / f"{stem}.key")
    path = store / f"{stem}.pem"
    profile = _Profile(_name(common), ca=True, path_length=1 if parent is None else 0)
    certificate = _certificate(path, key.public_key(), profile, parent, now, own=key)
    return Authority(path, certificate, key)


def _key(path: Path, rsa_bits: int | None = None) -> Key:
    """The PKCS#8 key of a file, made if there is none that can be read."""
    kind = ec.EllipticCurvePrivateKey if rsa_bits is None else rsa.RSAPrivateKey
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(key, kind):
            path.chmod(PRIVATE)
            return key
    except (OSError, ValueError, TypeError):
        pass  # missing, cut short or encrypted by somebody: a new one replaces it
    fresh: Key
    if rsa_bits is None:
        fresh = ec.generate_private_key(ec.SECP256R1())
    else:
        fresh = rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
    pem = fresh.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write(path, pem, PRIVATE)
    return fresh


def _certificate(
    path: Path,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    profile: _Profile,
    issuer: Authority | None,
    now: datetime,
    own: Key | None = None,
) -> x509.Certificate:
    """The certificate of a file if it still serves, else a new one, written there."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        if _serves(found, public, profile, issuer, now):
            return found
    except (OSError, ValueError):
        pass  # missing or damaged
    life = CA_LIFE if profile.ca else LEAF_LIFE
    made = _sign(public, profile, issuer, now - BACKDATED, now + life, own)
    write(path, _pem(made))
    return made


def _serves(
    found: x509.Certificate,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    profile: _Profile,
    issuer: Authority | None,
    now: datetime,
) -> bool:
    if found.public_key() != public or found.subject != profile.subject:
        return False
    if not found.not_valid_before_utc <= now < found.not_valid_after_utc - MARGIN:
        return False
    if profile.names:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if list(names) != _alternative_names(profile.names):
            return False
    try:
        found.verify_directly_issued_by(found if issuer is None else issuer.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _sign(
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    profile: _Profile,
    issuer: Authority | None,
    start: datetime,
    end: datetime,
    own: Key | None = None,
) -> x509.Certificate:
    """Sign a certificate, by its `own` key without an issuer; OpenSSL's X509_STRICT accepts it."""
    key = issuer.key if issuer else own
    if key is None:
        raise ValueError("neither an issuer nor its own key signs the certificate")
    constraints = x509.BasicConstraints(ca=profile.ca, path_length=profile.path_length)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(profile.subject)
        .issuer_name(issuer.certificate.subject if issuer else profile.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(constraints, critical=True)
        .add_extension(_key_usage(profile.ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(authority, critical=False)
    )
    if profile.usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([profile.usage]), critical=False)
    if profile.names:
        names = x509.SubjectAlternativeName(_alternative_names(profile.names))
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256())


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(names: tuple[str, ...]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _revocations(
    issuing: Authority, client: x509.Certificate, now: datetime
) -> x509.CertificateRevocationList:
    entry = x509.RevokedCertificateBuilder(client.serial_number, now - BACKDATED).build()
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(now + CA_LIFE)
        .add_revoked_certificate(entry)
        .sign(issuing.key, hashes.SHA256())
    )


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def _public(key: Key) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _write_if_changed(path: Path, content: bytes) -> None:
    """Leave an equal file alone: a new modification time would look like a rotation."""
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        pass  # missing
    write(path, content)
