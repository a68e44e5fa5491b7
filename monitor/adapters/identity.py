"""Issued client material: found, read and checked, every fault at once (domain.md section 4).

The JWT keys of a crypto pack are told by their names and never opened: probing does not need them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from monitor.core.identity import IdentitySpec
from monitor.core.verdict import CertificateFacts, certificate_document
from monitor.errors import Fault, IdentityError

_LARGEST = 1 << 20
"""No issued file comes near a mebibyte; a larger one is a wrong path."""

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9#. ]+)-----.+?-----END \1-----", re.DOTALL)
_CERTIFICATE_LABEL = b"CERTIFICATE"
_HARDWARE_LABEL = b"PKCS#11 PROVIDER URI"
_PACK_ROLES = {"certificate": "certificate", "certificatechain": "chain", "certprivatekey": "key"}
_PACK_NAMES = {"certificate": "certificate", "chain": "certificateChain", "key": "certPrivateKey"}
_NEVER_OPENED = ("jwt", "kid", "certpublickey", ".")
_SECRET_ROLES = frozenset({"key", "pkcs12", "password"})

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Material:
    """What OpenSSL is handed: PEM of leaf and chain, and of the key, unlocked. Never shown."""

    certificates: bytes = field(repr=False)
    issuers: bytes = field(repr=False)
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Checked client material.

    `key_type` reads like `EC secp256r1`, `RSA 2048` or `hardware`. `digest` is the SHA-256 of all
    files read, in hex: `content_digest` gives the same as long as none of them changed. `warnings`
    name what does not keep a daemon from starting: certificates out of date.
    """

    spec: IdentitySpec
    leaf: CertificateFacts
    chain: tuple[CertificateFacts, ...]
    key_type: str
    digest: str
    warnings: tuple[Fault, ...]
    material: Material = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.spec.name

    def in_date(self, now: datetime) -> bool:
        """Whether our own certificate is valid at `now`."""
        return self.leaf.not_before <= now <= self.leaf.not_after


def identity_document(identity: Identity) -> dict[str, object]:
    """What an identity presents, as plain data; nothing of the key but its type."""
    return {
        "name": identity.name,
        "key": identity.key_type,
        "trust": identity.spec.trust,
        "digest": identity.digest,
        "certificate": certificate_document(identity.leaf),
        "chain": [certificate_document(facts) for facts in identity.chain],
        "warnings": [str(warning) for warning in identity.warnings],
    }


def load(spec: IdentitySpec, *, now: datetime) -> Identity:
    """Read and check one identity.

    Never prompts for a password. Raises IdentityError with every fault found.
    """
    faults = _Faults(spec.name)
    files = _gather(spec, faults)
    parts = _parse(files, faults)
    if not faults.found and parts is not None:
        _check_pair(parts, faults)
        _check_chain(parts, faults)
    if faults.found or parts is None:
        raise IdentityError(faults.found)
    leaf, *chain = (certificate_facts(certificate) for certificate in parts.all)
    return Identity(
        spec=spec,
        leaf=leaf,
        chain=tuple(chain),
        key_type=parts.key_type,
        digest=_digest(files),
        warnings=_dates(spec.name, parts, now),
        material=Material(_pem(parts.all), _pem(parts.chain), parts.key_pem),
    )


def content_digest(spec: IdentitySpec) -> str:
    """SHA-256 over the contents of the identity's files, in hex: it changes when they do.

    A file that cannot be read counts as such, so there is always a digest.
    """
    return _digest(_gather(spec, _Faults(spec.name)))


def certificate_facts(certificate: x509.Certificate) -> CertificateFacts:
    """What a certificate says of itself. Raises ValueError when it cannot be decoded."""
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:02x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        names=_alternative_names(certificate),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        key_sha256=_key_digest(certificate),
    )


def _key_digest(certificate: x509.Certificate) -> str:
    """SHA-256 (hex) of the public key; empty for a kind of key that cannot be read here."""
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        return ""
    return hashlib.sha256(_public(key)).hexdigest()


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)
    )


# --- Faults ------------------------------------------------------------------------------------


class _Faults:
    """Collects the faults of one identity."""

    def __init__(self, name: str) -> None:
        self.found: list[Fault] = []
        self._path = f"identities.{name}"

    def add(self, file: str, what: str, cure: str) -> None:
        self.found.append(Fault(file, None, None, self._path, what, cure))


# --- Files: which, and what is in them ---------------------------------------------------------


class _File(NamedTuple):
    """One file of an identity as it was read; `content` is None when it could not be."""

    role: str
    path: str
    content: bytes | None


def _digest(files: Iterable[_File]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: (file.role, file.path)):
        body = b"" if file.content is None else hashlib.sha256(file.content).digest()
        digest.update(f"{file.role}\0{file.path}\0".encode(errors="surrogateescape") + body)
    return digest.hexdigest()


def _gather(spec: IdentitySpec, faults: _Faults) -> list[_File]:
    """Find and read every file of the identity."""
    if spec.pack is not None:
        files = _gather_pack(Path(spec.pack), faults)
    else:
        named = (
            ("certificate", spec.certificate),
            ("chain", spec.chain),
            ("key", spec.private_key_file),
            ("pkcs12", spec.pkcs12),
        )
        files = [_read(role, path, faults) for role, path in named if path is not None]
        if spec.pkcs12 is None and not {"certificate", "key"} <= {file.role for file in files}:
            cure = "give pack, or certificate and private_key_file, or pkcs12"
            faults.add("configuration", "names no certificate with its private key", cure)
    if spec.password_file is not None:
        files.append(_read("password", spec.password_file, faults))
    return files


def _gather_pack(folder: Path, faults: _Faults) -> list[_File]:
    """The three files of a pack: by name without extension, else by what is in them."""
    try:
        entries = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        cure = "give the folder as issued, readable by the user who runs the monitor"
        faults.add(str(folder), f"cannot list the crypto pack: {error.strerror}", cure)
        return []
    candidates: dict[str, list[Path]] = {role: [] for role in _PACK_NAMES}
    others: list[Path] = []
    for path in entries:
        role = _PACK_ROLES.get(path.name.split(".", 1)[0].lower())
        if role is not None:
            candidates[role].append(path)
        elif not path.name.lower().startswith(_NEVER_OPENED):
            others.append(path)
    missing = {role for role, paths in candidates.items() if not paths}
    for path in others if missing else ():
        role = _role_by_content(path)
        if role in missing:
            candidates[role].append(path)
    return _one_of_each(folder, candidates, faults)


def _role_by_content(path: Path) -> str:
    """What a file of unknown name holds: `key`, `certificate` (a leaf), `chain`, or nothing."""
    content = _read("", str(path), _Faults("")).content or b""
    blocks = _blocks(content)
    if any(_is_key(label) for label, _ in blocks):
        return "key"
    certificates = [block for label, block in blocks if label == _CERTIFICATE_LABEL]
    try:
        authority = bool(certificates) and _is_authority(
            x509.load_pem_x509_certificate(certificates[0])
        )
    except ValueError:
        return ""
    if not certificates:
        return ""
    return "chain" if authority else "certificate"


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _one_of_each(folder: Path, candidates: dict[str, list[Path]], faults: _Faults) -> list[_File]:
    files = []
    for role, paths in candidates.items():
        name = _PACK_NAMES[role]
        if not paths:
            cure = "put the file in the folder as it was issued, with or without an extension"
            faults.add(str(folder), f"the crypto pack has no {name}", cure)
        elif len(paths) > 1:
            several = ", ".join(path.name for path in paths)
            cure = "leave one, or name the files with certificate, chain and private_key_file"
            faults.add(str(folder), f"several files could be the {name}: {several}", cure)
        else:
            files.append(_read(role, str(paths[0]), faults))
    return files


def _read(role: str, path: str, faults: _Faults) -> _File:
    """Read one file, checking on the open file that secrets are only ours to read."""
    try:
        with open(path, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        cure = "check the path, and that the user who runs the monitor may read it"
        faults.add(path, f"cannot be read: {error.strerror}", cure)
        return _File(role, path, None)
    if len(content) > _LARGEST:
        faults.add(path, "is larger than 1 MiB", "check the path: issued files are small")
        return _File(role, path, None)
    if role in _SECRET_ROLES and mode & _forbidden(path):
        what = f"can be read by group or others (mode {stat.S_IMODE(mode):04o})"
        faults.add(path, what, f"run: chmod 600 {path}")
    return _File(role, path, content)


def _forbidden(path: str) -> int:
    """The permission bits that a secret must not have.

    systemd gives a service its credentials through an ACL, whose mask shows as group bits.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and Path(path).resolve().is_relative_to(Path(credentials).resolve()):
        return stat.S_IRWXO
    return stat.S_IRWXG | stat.S_IRWXO


def _blocks(content: bytes) -> list[tuple[bytes, bytes]]:
    """The PEM blocks in a file as (label, block), also from PEM that was wrapped in JSON."""
    if b"-----BEGIN" in content and content.lstrip()[:1] in (b"{", b"[", b'"'):
        try:
            content = "\n".join(_texts(json.loads(content))).encode()
        except (ValueError, RecursionError):
            return []
    return [(match[1], match[0]) for match in _BLOCK.finditer(content)]


def _texts(value: object) -> list[str]:
    """Every string inside a JSON value, in order."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _is_key(label: bytes) -> bool:
    return label.endswith(b"PRIVATE KEY") or label == _HARDWARE_LABEL


# --- Contents: certificates and key ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parts:
    """The decoded material and the files it came from. `public` is None for a hardware key."""

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key_pem: bytes = field(repr=False)
    key_type: str
    public: bytes | None
    leaf_file: str
    chain_file: str
    key_file: str

    @property
    def all(self) -> tuple[x509.Certificate, ...]:
        return (self.leaf, *self.chain)


def _parse(files: list[_File], faults: _Faults) -> _Parts | None:
    by_role = {file.role: file for file in files}
    password = _password(by_role.get("password"))
    bundle = by_role.get("pkcs12")
    if bundle is not None:
        return _parse_pkcs12(bundle, password, faults)
    leaf_file, chain_file = by_role.get("certificate"), by_role.get("chain")
    certificates = _certificates(leaf_file, faults)
    issuers = _certificates(chain_file, faults)
    key_file = by_role.get("key")
    key = _key(key_file, password, faults)
    if not certificates or key is None or leaf_file is None or key_file is None:
        return None
    leaf, *rest = certificates
    # A file that repeats the leaf before the chain is common; each certificate is sent once.
    chain = tuple(c for c in dict.fromkeys([*rest, *issuers]) if c != leaf)
    return _Parts(
        leaf,
        chain,
        *key,
        leaf_file=leaf_file.path,
        chain_file=chain_file.path if chain_file is not None else leaf_file.path,
        key_file=key_file.path,
    )


def _password(file: _File | None) -> bytes | None:
    return None if file is None or file.content is None else file.content.rstrip(b"\r\n")


def _certificates(file: _File | None, faults: _Faults) -> list[x509.Certificate]:
    if file is None or file.content is None:
        return []
    blocks = [block for label, block in _blocks(file.content) if label == _CERTIFICATE_LABEL]
    if not blocks:
        faults.add(file.path, "holds no PEM certificate", _PEM_CURE)
    certificates = []
    for number, block in enumerate(blocks, start=1):
        try:
            certificate = x509.load_pem_x509_certificate(block)
            certificate_facts(certificate)
        except ValueError:
            faults.add(file.path, f"certificate {number} cannot be decoded", _PEM_CURE)
        else:
            certificates.append(certificate)
    return certificates


_PEM_CURE = "use the file as issued: text with BEGIN and END lines"


def _key(
    file: _File | None, password: bytes | None, faults: _Faults
) -> tuple[bytes, str, bytes | None] | None:
    """PEM for OpenSSL, type, and public key (None for hardware) of the private key."""
    if file is None or file.content is None:
        return None
    blocks = [(label, block) for label, block in _blocks(file.content) if _is_key(label)]
    if len(blocks) != 1:
        count = "more than one" if blocks else "no"
        faults.add(file.path, f"holds {count} PEM private key", _PEM_CURE)
        return None
    label, block = blocks[0]
    if label == _HARDWARE_LABEL:
        return block, "hardware", None
    encrypted = b"ENCRYPTED" in block
    if encrypted and not password:
        cure = "name the file that holds its password in password_file"
        faults.add(file.path, "the private key is encrypted and there is no password", cure)
        return None
    try:
        key = load_pem_private_key(block, password if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if encrypted:
            cure = "check the file named in password_file"
            faults.add(file.path, "the password does not unlock the private key", cure)
        else:
            faults.add(file.path, "the private key cannot be decoded", _PEM_CURE)
        return None
    return _usable(key, file.path, faults)


def _usable(key: object, path: str, faults: _Faults) -> tuple[bytes, str, bytes] | None:
    if not isinstance(key, _Key):
        what = f"a private key of type {type(key).__name__} cannot be used"
        faults.add(path, what, "use an EC or an RSA key")
        return None
    kind = (
        f"EC {key.curve.name}"
        if isinstance(key, ec.EllipticCurvePrivateKey)
        else f"RSA {key.key_size}"
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, kind, _public(key.public_key())


def _public(key: object) -> bytes:
    """The public key in a form that compares."""
    # Any public key that a certificate can carry has this method; the union type is long.
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


def _parse_pkcs12(file: _File, password: bytes | None, faults: _Faults) -> _Parts | None:
    if file.content is None:
        return None
    try:
        store = pkcs12.load_pkcs12(file.content, password)
        for held in (store.cert, *store.additional_certs):
            if held is not None:
                certificate_facts(held.certificate)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        cure = "check the file and the one named in password_file"
        faults.add(file.path, "is no PKCS#12 file that the password unlocks", cure)
        return None
    if store.cert is None or store.key is None:
        missing = "certificate" if store.cert is None else "private key"
        faults.add(file.path, f"holds no {missing}", "export certificate and key together")
        return None
    key = _usable(store.key, file.path, faults)
    if key is None:
        return None
    leaf = store.cert.certificate
    # PKCS#12 keeps no order, so there is none to be wrong.
    chain = _sorted_chain(leaf, [extra.certificate for extra in store.additional_certs])
    return _Parts(leaf, chain, *key, leaf_file=file.path, chain_file=file.path, key_file=file.path)


# --- Checks ------------------------------------------------------------------------------------


def _check_pair(parts: _Parts, faults: _Faults) -> None:
    if parts.public is not None and _public(parts.leaf.public_key()) != parts.public:
        cure = "use key and certificate that were issued together; replace both when rotating"
        what = f"the private key does not belong to the certificate in {parts.leaf_file}"
        faults.add(parts.key_file, what, cure)


def _check_chain(parts: _Parts, faults: _Faults) -> None:
    """Each certificate must be issued by the next one: the server receives them in this order."""
    for child, issuer in zip(parts.all, parts.chain, strict=False):
        if _issued(child, issuer):
            continue
        if len(_sorted_chain(parts.leaf, parts.chain)) == len(parts.chain):
            cure = "put the issuing CA first and the root last"
            faults.add(parts.chain_file, "the chain is out of order", cure)
        else:
            what = (
                f"the chain does not fit: {child.subject.rfc4514_string()} was issued by "
                f"{child.issuer.rfc4514_string()}, but {issuer.subject.rfc4514_string()} follows"
            )
            cure = "use the chain that was issued with the certificate"
            faults.add(parts.chain_file, what, cure)
        return


def _issued(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _sorted_chain(
    leaf: x509.Certificate, pool: Iterable[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """The certificates of the pool that lead up from the leaf, issuing CA first."""
    chain: list[x509.Certificate] = []
    left = list(pool)
    child = leaf
    while issuer := next((c for c in left if _issued(child, c)), None):
        chain.append(issuer)
        left.remove(issuer)
        child = issuer
    return tuple(chain)


def _dates(name: str, parts: _Parts, now: datetime) -> tuple[Fault, ...]:
    warnings = _Faults(name)
    for certificate in parts.all:
        file = parts.leaf_file if certificate is parts.leaf else parts.chain_file
        subject = certificate.subject.rfc4514_string()
        if now > certificate.not_valid_after_utc:
            end = certificate.not_valid_after_utc.isoformat()
            warnings.add(file, f"{subject} expired at {end}", "install newly issued material")
        elif now < certificate.not_valid_before_utc:
            start = certificate.not_valid_before_utc.isoformat()
            what = f"{subject} is not valid before {start}"
            warnings.add(file, what, "check this machine's clock, or wait")
    return tuple(warnings.found)


def _pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
