"""A real Prometheus scrapes the real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from ruamel.yaml import YAML

from monitor.core.verdict import Evidence
from monitor.snapshot import month_rows
from monitor.web.app import Health, WebServer, build_app
from monitor.web.tokens import Tokens, create_token
from tests.tools import need
from tests.web.prometheus import prometheus_on, result
from tests.web.world import World, evidence

PATIENCE = 30.0


def configuration(directory: Path, port: int, secret: str) -> Path:
    """A scrape every second, with a token read from a file."""
    (directory / "token").write_text(secret)
    path = directory / "prometheus.yml"
    path.write_text(
        json.dumps(
            {
                "scrape_configs": [
                    {
                        "job_name": "monitor",
                        "scrape_interval": "1s",
                        "authorization": {"credentials_file": str(directory / "token")},
                        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                    }
                ]
            }
        )
    )
    return path


def printed_best(world: World) -> str:
    """The best case of view-main's month, as every other face prints it."""
    row = month_rows(world.book, [world.book.endpoint_series("view-main")], world.clock.at)[-1]
    assert (row["month"], row["unavailable_s"]) == ("2026-11", 180)
    best: str = row["best"]
    return best


async def answered(session: aiohttp.ClientSession, url: str, query: str) -> dict[str, str]:
    """Values of an instant query by state, once there are any."""
    found = await result(session, url, query)
    return {one["metric"].get("state", ""): one["value"][1] for one in found}


@asynccontextmanager
async def scraped(
    world: World, folder: Path, configured: Callable[[Path, int, str], Path]
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session, and the address of a real Prometheus that scrapes the world with a token."""
    secret, entry = create_token("prometheus", "read")
    with (folder / "tokens.yaml").open("w") as file:
        YAML().dump([entry], file)
    tokens = Tokens(folder / "tokens.yaml")
    app = build_app(world, world.metrics(), Health(), tokens, world.ask)
    server = WebServer(app, "127.0.0.1", 0)
    await server.start()
    try:
        configuration = configured(folder, server.port, secret)
        async with (
            prometheus_on(configuration, folder / "data") as url,
            aiohttp.ClientSession() as session,
            asyncio.timeout(PATIENCE),
        ):
            yield session, url
    finally:
        await server.stop()


async def test_prometheus_scrapes_and_answers(world: World, tmp_path: Path) -> None:
    """After one scrape, with a token, Prometheus answers queries with the Book's figures."""
    need("prometheus")
    async with scraped(world, tmp_path, configuration) as (session, url):
        assert await answered(session, url, "monitor_incidents") == {
            "open": "1",
            "restored": "1",
            "closed": "0",
        }
        labels = 'endpoint="view-main",month="2026-11",basis="best"'
        ratio = f"monitor_slo_availability_ratio{{{labels}}}"
        (value,) = (await answered(session, url, ratio)).values()
        assert float(value) == float(printed_best(world))
        down = 'monitor_endpoint_state{endpoint="find-main"} == 1'
        assert await answered(session, url, down) == {"down": "1"}


EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "prometheus"


def shipped(directory: Path, port: int, secret: str) -> Path:
    """The configuration and rules that are shipped, with this address and token, without patience."""
    (directory / "token").write_text(secret)
    (directory / "monitor.rules.yaml").write_text((EXAMPLE / "monitor.rules.yaml").read_text())
    text = (EXAMPLE / "prometheus.yaml").read_text()
    for there, here in (
        ("/etc/prometheus/monitor.token", str(directory / "token")),
        ("127.0.0.1:9464", f"127.0.0.1:{port}"),
        ("_interval: 15s", "_interval: 1s"),
        ("scrape_interval: 1m", "scrape_interval: 1s"),
        ("scrape_timeout: 20s", "scrape_timeout: 1s"),
    ):
        assert there in text
        text = text.replace(there, here)
    settings = YAML(typ="safe").load(text)
    del settings["alerting"]
    path = directory / "prometheus.yml"
    path.write_text(json.dumps(settings))
    return path


async def series(session: aiohttp.ClientSession, url: str, query: str) -> list[dict[str, str]]:
    """The labels of an instant query's series, once there are any."""
    return [one["metric"] for one in await result(session, url, query)]


async def test_the_shipped_rules_work_on_what_is_told(world: World, tmp_path: Path) -> None:
    """The example scrapes metrics and probes; recordings have Sloth's labels, an outage is pending."""
    need("prometheus")

    async def probe(name: str) -> Evidence:
        return evidence(name)

    world.probe = probe
    async with scraped(world, tmp_path, shipped) as (session, url):
        (down,) = await series(session, url, 'ALERTS{alertname="MonitorEndpointDown"}')
        assert (down["endpoint"], down["class"]) == ("find-main", "undeclared")
        budgets = await series(session, url, "slo:period_error_budget_remaining:ratio")
        assert {(one["sloth_service"], one["sloth_id"]) for one in budgets} == {
            (name, f"{name}-availability") for name in ("find-main", "view-main", "pat-main")
        }
        labels = '{sloth_service="find-main",sloth_slo="availability"}'
        (rate,) = (await answered(session, url, f"slo:current_burn_rate:ratio{labels}")).values()
        assert float(rate) == pytest.approx(180 / 300 / 0.005)
        probed = await series(session, url, 'probe_success{job="monitor-probe"} == 1')
        assert {(one["instance"], one["endpoint"]) for one in probed} <= {
            (name, name) for name in ("find-main", "view-main", "pat-main")
        }
