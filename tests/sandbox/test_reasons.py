"""Every failure the sandbox offers, as the product's own prober sees and judges it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.adapters.clock import SystemClock
from monitor.adapters.probe import AiohttpProber
from monitor.adapters.tls import Contexts
from monitor.core.endpoint import Cadence, Endpoint, Environment, Service
from monitor.core.identity import IdentitySpec
from monitor.core.verdict import DEFAULTS, Reason, judge
from monitor.sandbox.modes import MODES, NOT_BY_A_SERVER

SLOW = timedelta(seconds=0.3)
TIMEOUT = timedelta(seconds=1.2)
CASES = [
    pytest.param(
        mode.name, options, reason, id="-".join([mode.name, *map(str, dict(options).values())])
    )
    for mode in MODES.values()
    for options, reason in mode.examples
]


@pytest.fixture
async def prober(sandbox: Any) -> AsyncIterator[AiohttpProber]:
    contexts = Contexts()
    spec = IdentitySpec(
        "sandbox",
        pack=str(sandbox.directory / "pack"),
        trust=str(sandbox.directory / "server-ca.pem"),
        strict=True,
    )
    await contexts.replace([spec], [], now=datetime.now(UTC))
    prober = AiohttpProber(contexts, SystemClock(), user_agent="sandbox-test")
    await prober.start()
    yield prober
    await prober.close()


def endpoint(sandbox: Any, name: str, service: Service) -> Endpoint:
    second = timedelta(seconds=1)
    return Endpoint(
        id=name,
        service=service,
        url=sandbox.url(name),
        environment=Environment.LIVE,
        identity="sandbox",
        group="sandbox",
        cadence=Cadence(3 * second, TIMEOUT, second, 3, 2, 9 * second),
        expectation=replace(DEFAULTS[service], impaired_above=SLOW),
    )


@pytest.mark.parametrize(("mode", "options", "reason"), CASES)
async def test_each_mode_gives_the_reason_it_promises(
    sandbox: Any, prober: AiohttpProber, mode: str, options: dict[str, object], reason: Reason
) -> None:
    """A probe of an endpoint set to a mode is judged as the table of the control URL says."""
    if mode == "slow":
        options = {"delay": 0.5}
    await sandbox.set("view-main", mode=mode, **options)
    view = endpoint(sandbox, "view-main", Service.VIEW)
    evidence = await prober.probe(view)
    assert judge(evidence, view.expectation).reason is reason, evidence
    await sandbox.heal()
    evidence = await prober.probe(view)
    assert judge(evidence, view.expectation).reason is Reason.OK, evidence


@pytest.mark.parametrize(
    ("name", "service", "status"),
    [
        ("find-main", Service.FIND, 401),
        ("view-main", Service.VIEW, 404),
        ("pat-main", Service.PAT_REFRESH, 401),
    ],
)
async def test_a_healthy_endpoint_reads_as_up(
    sandbox: Any, prober: AiohttpProber, name: str, service: Service, status: int
) -> None:
    """The safe default request of each service gets the answer that proves it serves."""
    asked = endpoint(sandbox, name, service)
    evidence = await prober.probe(asked)
    assert (evidence.status, evidence.tls.version) == (status, "TLSv1.3")
    assert judge(evidence, asked.expectation).reason is Reason.OK


def test_every_reason_is_provoked_or_said_to_be_out_of_reach() -> None:
    """The table covers the contract's closed list, but for what no server can provoke."""
    provoked = {reason for mode in MODES.values() for _, reason in mode.examples}
    assert provoked | set(NOT_BY_A_SERVER) == set(Reason)
    assert not provoked & set(NOT_BY_A_SERVER)
