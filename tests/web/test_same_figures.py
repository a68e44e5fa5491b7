"""One figure, everywhere: page, API, command line, `/metrics`, Prometheus, Grafana's query, report."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from monitor.adapters.socket import ControlServer, socket_path
from monitor.core.month import Month
from monitor.operations import perform
from monitor.report.content import build
from monitor.web.app import WebServer
from tests.desks import Place
from tests.grafana.panels import queries, substituted
from tests.report.place import sealed_march
from tests.tools import need
from tests.web.api.place import app_of
from tests.web.prometheus import prometheus_on, result

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 30.0
FIELDS = (
    "measured",
    "best",
    "worst",
    "excluding_declared",
    "eligible_s",
    "budget_s",
    "remaining_s",
)
BASES = ("measured", "best", "worst", "excluding_declared")
METRICS = {
    "eligible_s": "monitor_slo_eligible_seconds",
    "budget_s": "monitor_slo_error_budget_seconds",
    "remaining_s": "monitor_slo_error_budget_remaining_seconds",
}
Figures = dict[str, dict[str, str]]
"""Endpoint to field to the figure as text."""


@dataclass
class Faces:
    """A desk whose clock stands, with every face of it open."""

    place: Place
    folder: Path
    url: str
    prometheus: str
    session: aiohttp.ClientSession

    async def get(self, path: str) -> str:
        async with self.session.get(self.url + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()

    async def command(self, *arguments: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "monitor", *arguments, "--json"),
            *("-c", str(self.folder / "monitor.yaml")),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(out)

    async def query(self, expr: str) -> list[Any]:
        """The result of an instant query of the real Prometheus, once it has scraped."""
        async with asyncio.timeout(PATIENCE):
            return await result(self.session, self.prometheus, expr)


def scraping(port: int, folder: Path) -> Path:
    """The configuration of a Prometheus that scrapes a port every second."""
    configuration = folder / "prometheus.yaml"
    configuration.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: monitor, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    )
    return configuration


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Faces]:
    place = await sealed_march(folder)
    # Some days later a little of April has been seen: a running month with figures of its own.
    await place.see("view-main", "up", place.clock.time + timedelta(minutes=20))
    await place.see("view-main", "down", place.clock.time + timedelta(minutes=7))
    await place.see("view-main", "up", place.clock.time + timedelta(minutes=5))

    async def control(operation: str, arguments: Mapping[str, Any], author: str) -> Any:
        return await perform(place.desk, operation, arguments, author=author)

    web = WebServer(app_of(place, None), "127.0.0.1", 0)
    served = ControlServer(socket_path(place.settings.store.path), control)
    await web.start()
    await served.start()
    url = f"http://127.0.0.1:{web.port}"
    try:
        async with (
            prometheus_on(scraping(web.port, folder), folder / "data") as prometheus,
            aiohttp.ClientSession() as session,
        ):
            yield Faces(place, folder, url, prometheus, session)
    finally:
        await served.close()
        await web.stop()


# -- what each face says ---------------------------------------------------------------------------


def of_rows(rows: list[Any]) -> Figures:
    """From rows as `slo --json` prints them."""
    return {
        row["series"]["endpoint"]: {name: str(row[name]) for name in FIELDS}
        for row in rows
        if "endpoint" in row["series"]
    }


def number(value: float) -> str:
    """A sample as the shortest text that is that number."""
    return str(int(value)) if value == int(value) else repr(value)


def of_metrics(text: str, month: str) -> Figures:
    found: Figures = {}
    names = {metric: field for field, metric in METRICS.items()}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("month") != month:
                continue
            field = names.get(sample.name)
            if sample.name == "monitor_slo_availability_ratio":
                field = sample.labels["basis"]
            if field is not None:
                found.setdefault(sample.labels["endpoint"], {})[field] = number(sample.value)
    return found


def grafana_queries() -> Iterator[tuple[str, str]]:
    """(field, query) of the table that shows the month as `monitor slo` prints it."""
    document = json.loads((ROOT / "grafana" / "dashboards" / "slo-month.json").read_text())
    wanted = {f'basis="{basis}"': basis for basis in BASES}
    wanted |= {metric + "{": field for field, metric in METRICS.items()}
    for asked in queries(document):
        if "monitor slo" in asked.panel:
            for mark, field in wanted.items():
                if mark in asked.expr:
                    yield field, asked.expr


async def of_grafana(faces: Faces, month: str) -> Figures:
    found: Figures = {}
    for field, expr in grafana_queries():
        for one in await faces.query(substituted(expr, month=month)):
            value = number(float(one["value"][1]))
            found.setdefault(one["metric"]["endpoint"], {})[field] = value
    return found


SHOWN = ("measured", "best", "worst", "excluding_declared", *(None,) * 7, "budget_s", "remaining_s")
"""What the cells of a row of the month's page say, in order; None: what is not compared here."""


def of_page(text: str) -> Figures:
    """From the table of figures of a month's page: each cell carries its exact value."""
    table = text.partition('aria-labelledby="figures" data-live')[2].partition("</section>")[0]
    found = {}
    for row in re.findall(r"<tr><th scope=.row.>(.*?)</tr>", table, re.DOTALL):
        name = re.search(r"<a [^>]*>([^<]+)</a>", row)
        assert name is not None
        exact = re.findall(r'data-exact="([^"]*)"', row.partition("</th>")[2])
        cells = zip(SHOWN, exact, strict=True)
        found[name[1]] = {field: value for field, value in cells if field is not None}
    return found


async def of_report(faces: Faces, month: str) -> Figures:
    """The report's JSON: written by the command for a sealed month, else as of the same instant."""
    if month == "2026-03":
        out = faces.folder / "report"
        await faces.command("report", month, "--out", str(out), "--format", "json,html")
        content = json.loads((out / "report.json").read_text())
    else:
        place = faces.place
        zone = place.book.rules.zone
        content = build(
            place.settings,
            place.book,
            place.store,  # type: ignore[arg-type]
            Month.parse(month, zone),
            place.clock.now(),
        )
    return of_rows(content["months"])


async def test_every_face_shows_the_same_figures_to_the_last_digit(tmp_path: Path) -> None:
    """At one instant, of a sealed and of the running month: no face differs in any digit."""
    need("prometheus")
    async with opened(tmp_path) as faces:
        for month in ("2026-03", "2026-04"):
            known = of_rows((await faces.command("slo", "--month", month))["months"])
            assert set(known) == {"view-main", "find-main"}
            assert len({figures["measured"] for figures in known.values()}) == 2
            api = json.loads(await faces.get(f"/api/v1/months/{month}"))
            assert of_rows(api["months"]) == known
            assert of_metrics(await faces.get("/metrics"), month) == known
            assert await of_grafana(faces, month) == known
            assert await of_report(faces, month) == known
            page = of_page(await faces.get(f"/months/{month}"))
            assert page == {
                name: {field: figures[field] for field in SHOWN if field is not None}
                for name, figures in known.items()
            }
