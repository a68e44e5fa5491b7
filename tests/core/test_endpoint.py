"""What is probed."""

from __future__ import annotations

from monitor.core.endpoint import Environment
from tests.core.builders import endpoint


def test_host() -> None:
    """The host is the URL's, in lower case and without the port."""
    assert endpoint(url="https://Pensions.Example:8443/View").host == "pensions.example"
    assert endpoint(url="nonsense").host == ""


def test_only_live_endpoints_are_live() -> None:
    """A test endpoint is watched, never counted (accounting 1)."""
    assert endpoint().live
    assert not endpoint(environment=Environment.TEST).live
