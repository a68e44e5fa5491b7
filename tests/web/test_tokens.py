"""Bearer tokens: the file, its faults, its changes, and failures."""

import hashlib
import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from monitor.errors import ConfigError, UsageError
from monitor.web.tokens import (
    FAILURES,
    PEERS,
    WINDOW,
    Scope,
    Tokens,
    certificate_entry,
    create_token,
    load,
)

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Seconds:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, *entries: object) -> Path:
    with path.open("w") as file:
        YAML().dump(list(entries), file)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.yaml"


def test_a_made_token_is_known_again(path: Path) -> None:
    """The entry of a new token holds only its hash; the file is read back as it was meant."""
    secret, entry = create_token("grafana", "read")
    assert secret not in str(entry)
    assert entry["sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    (token,) = load(write(path, entry))
    assert (token.name, token.scope, token.sha256.hex()) == ("grafana", Scope.READ, entry["sha256"])
    assert create_token("grafana", "read")[0] != secret


@pytest.mark.parametrize(("name", "scope"), [("", "read"), ("a b", "read"), ("a", "write")])
def test_a_token_that_the_file_could_not_hold_is_not_made(name: str, scope: str) -> None:
    """A bad name or scope is refused with what to use instead."""
    with pytest.raises(UsageError, match="use"):
        create_token(name, scope)


def test_scopes_include_one_another() -> None:
    """`admin` allows what `declare` does, and that what `read` does; never the other way."""
    assert Scope.ADMIN.includes(Scope.DECLARE)
    assert Scope.DECLARE.includes(Scope.READ)
    assert Scope.READ.includes(Scope.READ)
    assert not Scope.READ.includes(Scope.DECLARE)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["holds no list"]),
        ("{}", ["holds no list"]),
        ("[]", ["holds no list"]),
        ("- [", ["is not YAML"]),
        ("\xff", ["is not YAML"]),
        ("- name: a\n  name: b\n", ["is not YAML"]),
        ("- text\n", ["[0]: is not an entry"]),
        (f"- {{name: a, scope: root, sha256: '{HASH}'}}\n", ["[0].scope"]),
        (f"- {{name: a, scope: read, sha256: '{HASH[1:]}'}}\n", ["[0].sha256"]),
        (f"- {{name: a, scope: read, sha256: '{HASH.upper()}'}}\n", ["[0].sha256"]),
        (f"- {{scope: read, sha256: '{HASH}'}}\n", ["[0].name"]),
        (f"- {{name: a, scope: read, sha256: '{HASH}', token: geheim}}\n", ["not known"]),
        (f"- {{name: a, scope: read, certificate_sha256: '{HASH}', sha256: '{HASH}'}}\n", ["both"]),
        ("- {name: a, scope: read, certificate_sha256: x}\n", ["[0].certificate_sha256"]),
        (
            f"- {{name: a, scope: read, sha256: '{HASH}'}}\n"
            f"- {{name: a, scope: [read], sha256: 12}}\n",
            ["[1].name: stands twice", "[1].scope", "[1].sha256"],
        ),
    ],
)
def test_every_fault_of_the_file_is_named_and_no_secret(
    path: Path, text: str, faults: list[str]
) -> None:
    """All faults come at once, with the file and without any value of it."""
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert len(raised.value.faults) == len(faults)
    for found, part in zip(raised.value.faults, faults, strict=True):
        assert part in str(found)
        assert str(path) in str(found)
        assert "geheim" not in str(found)
        assert HASH[1:10] not in str(found)


def test_a_file_that_is_missing_or_huge_is_refused(path: Path) -> None:
    """There is no guarding without a readable file of a sane size."""
    with pytest.raises(ConfigError, match="No such file"):
        Tokens(path)
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigError, match="larger"):
        load(path)


async def test_only_the_right_secret_has_a_holder(path: Path) -> None:
    """Near misses, the hash itself and overlong texts are nobody's."""
    secret, entry = create_token("ops", Scope.ADMIN)
    tokens = Tokens(write(path, create_token("other", "read")[1], entry))
    holder = await tokens.holder(secret)
    assert holder is not None
    assert (holder.name, holder.scope) == ("ops", Scope.ADMIN)
    for wrong in ("", secret[:-1], secret + "a", entry["sha256"], "\udcff", "x" * 100_000):
        assert await tokens.holder(wrong) is None


async def test_a_changed_file_is_taken_over_and_a_faulty_one_is_not(path: Path) -> None:
    """A change is seen at the next look; while the file has faults the old tokens stay."""
    clock = Seconds()
    old, old_entry = create_token("old", "read")
    new, new_entry = create_token("new", "read")
    tokens = Tokens(write(path, old_entry), clock=clock)
    write(path, new_entry)
    assert await tokens.holder(old) is not None
    clock.now += 2
    assert await tokens.holder(old) is None
    assert await tokens.holder(new) is not None
    write(path, "nonsense")
    clock.now += 2
    assert await tokens.holder(new) is not None
    os.unlink(path)
    clock.now += 2
    assert await tokens.holder(new) is not None
    write(path, old_entry)
    clock.now += 2
    assert await tokens.holder(new) is None


def test_failures_are_put_off_per_peer_and_forgotten(path: Path) -> None:
    """After some failures in a minute a peer has to wait; others have not, nor does it later."""
    clock = Seconds()
    tokens = Tokens(write(path, create_token("a", "read")[1]), clock=clock)
    for _ in range(FAILURES):
        assert tokens.failed("192.0.2.1") is None
    clock.now += 10
    assert tokens.failed("192.0.2.1") == WINDOW - 10
    assert tokens.failed("192.0.2.2") is None
    clock.now += WINDOW
    assert tokens.failed("192.0.2.1") is None


def test_memory_of_failures_is_bounded(path: Path) -> None:
    """However many peers fail, only the latest are remembered."""
    tokens = Tokens(write(path, create_token("a", "read")[1]), clock=Seconds())
    for _ in range(FAILURES + 1):
        tokens.failed("first")
    for number in range(PEERS):
        tokens.failed(f"peer {number}")
    assert tokens.failed("first") is None


async def test_an_entry_may_name_a_client_certificate(path: Path) -> None:
    """Its holder is known by the certificate alone, never by a token, not even an empty one."""
    entry = certificate_entry("deployment", "declare", b"certificate")
    secret, other = create_token("grafana", "read")
    tokens = Tokens(write(path, entry, other))
    holder = await tokens.holder_of(b"certificate")
    assert holder is not None
    assert (holder.name, holder.scope) == ("deployment", Scope.DECLARE)
    assert await tokens.holder_of(b"another") is None
    assert await tokens.holder_of(secret.encode()) is None
    for given in ("", "certificate", entry["certificate_sha256"]):
        assert await tokens.holder(given) is None
    with pytest.raises(UsageError):
        certificate_entry("a b", "read", b"")
