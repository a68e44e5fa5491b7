"""Which issued material a probe presents and whom it trusts: names of files, not their contents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdentitySpec:
    """One client identity as configured (domain.md section 4). Exactly one form is given.

    `pack` is a folder as issued (certificate, certificateChain, certPrivateKey, with or without
    extensions); or `certificate`, `chain` and `private_key_file` are PEM files; or `pkcs12` is one
    file. `password_file` unlocks an encrypted key. `trust` is `system`, `pack` (the issued chain) or
    the path of a PEM bundle. `strict` and `partial_chain` set OpenSSL's X509_STRICT and PARTIAL_CHAIN
    whatever the Python version.
    """

    name: str
    pack: str | None = None
    certificate: str | None = None
    chain: str | None = None
    private_key_file: str | None = None
    pkcs12: str | None = None
    password_file: str | None = None
    trust: str = "system"
    strict: bool = False
    partial_chain: bool = False
