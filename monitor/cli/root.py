"""The root command, and the program."""

from __future__ import annotations

import sys
from typing import Any

import click

from monitor import __version__
from monitor.cli.check import check, config, identity
from monitor.cli.common import Program
from monitor.cli.downtime import downtime
from monitor.cli.endpoint import endpoint
from monitor.cli.explain import explain
from monitor.cli.health import healthcheck
from monitor.cli.holdername import holdername
from monitor.cli.incident import incident, outage
from monitor.cli.look import alerts, slo, status
from monitor.cli.packs import returns
from monitor.cli.probe import probe
from monitor.cli.replay import replay
from monitor.cli.report import report
from monitor.cli.service import run, sandbox
from monitor.cli.store import ledger, store
from monitor.cli.token import token

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Program, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="monitor", message="%(prog)s %(version)s")
def cli() -> None:
    """Watch UK pensions dashboards endpoints over mutual TLS; keep their exact availability.

    Exit codes: 0 done and good, 1 done and not good, 2 wrong use or unreadable configuration, 3 the
    store could not be used. Instants are ISO 8601; without an offset they are UK time.
    """


for command in (
    run,
    sandbox,
    check,
    probe,
    status,
    healthcheck,
    downtime,
    outage,
    incident,
    endpoint,
    holdername,
    slo,
    returns,
    explain,
    replay,
    report,
    ledger,
    store,
    identity,
    config,
    alerts,
    token,
):
    cli.add_command(command)


def main() -> None:
    """The program: what `monitor` and `python -m monitor` run."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # never fail on a locale's poverty
    cli(prog_name="monitor")
