"""The sandbox's token: made once, kept, and made anew when it is lost."""

import stat
from pathlib import Path

from monitor.sandbox.access import token_files
from monitor.web.tokens import Scope, Tokens, create_token


async def test_the_token_opens_the_pages_and_stays(tmp_path: Path) -> None:
    """The secret is that of an admin; a second start keeps it; nobody else may read it."""
    token_files(tmp_path)
    secret = (tmp_path / "token").read_text().strip()
    holder = await Tokens(tmp_path / "tokens.yaml").holder(secret)
    assert holder is not None
    assert (holder.name, holder.scope) == ("sandbox", Scope.ADMIN)
    (tmp_path / "token").chmod(0o644)
    token_files(tmp_path)
    assert (tmp_path / "token").read_text().strip() == secret
    for name in ("token", "tokens.yaml"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


async def test_a_lost_token_is_replaced_and_others_stay(tmp_path: Path) -> None:
    """Without the secret, or with another, a new one is made; entries of others are kept."""
    token_files(tmp_path)
    first = (tmp_path / "token").read_text().strip()
    other, entry = create_token("grafana", "read")
    with (tmp_path / "tokens.yaml").open("a") as file:
        file.write(f'- name: grafana\n  scope: read\n  sha256: "{entry["sha256"]}"\n')
    (tmp_path / "token").unlink()
    token_files(tmp_path)
    tokens = Tokens(tmp_path / "tokens.yaml")
    second = (tmp_path / "token").read_text().strip()
    assert await tokens.holder(first) is None
    assert await tokens.holder(second) is not None
    assert await tokens.holder(other) is not None
    (tmp_path / "tokens.yaml").write_text("damaged: yes")
    token_files(tmp_path)
    third = (tmp_path / "token").read_text().strip()
    assert await Tokens(tmp_path / "tokens.yaml").holder(third) is not None
