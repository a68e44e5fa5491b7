"""Which issued material a probe presents."""

from __future__ import annotations

from monitor.core.identity import IdentitySpec


def test_defaults() -> None:
    """An identity trusts the system's authorities and asks for no special strictness."""
    one = IdentitySpec("live", pack="/etc/monitor/live")
    assert (one.trust, one.strict, one.partial_chain) == ("system", False, False)
    assert one == IdentitySpec("live", pack="/etc/monitor/live")
