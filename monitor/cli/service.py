"""`run` and `sandbox`: the two commands that stay."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import Common, common

if TYPE_CHECKING:
    import asyncio


@click.command()
@common(prints=False, level="info")
def run(shared: Common) -> None:
    """Run the daemon until SIGTERM or Ctrl-C.

    It probes, judges, records, correlates, opens incidents, alerts and serves HTTP. A second
    signal forces the end. SIGHUP, and any change of the configuration or an identity, is picked up
    without a restart.
    """
    import asyncio

    from monitor.daemon import run as run_daemon

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        code = runner.run(run_daemon(shared.config, environ=os.environ))
    click.get_current_context().exit(code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed (the extra `fast`)."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=".sandbox",
    help="keep certificates, configuration and store here (default: .sandbox)",
)
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    help="let the endpoints listen here, and name it in their certificate (default: 127.0.0.1)",
)
@click.option(
    "--control-host",
    metavar="ADDRESS",
    default="127.0.0.1",
    help="let control listen here; whoever reaches it can break the endpoints (default: 127.0.0.1)",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="control port, with the endpoints 3, 4 and 5 above it; 0 for any free ones"
    " (default: those of the last start, else 18440)",
)
@click.option(
    "--metrics-listen",
    metavar="HOST:PORT",
    default="127.0.0.1:9464",
    help="where the daemon of the written configuration shall listen (default: 127.0.0.1:9464)",
)
@click.option(
    "--store",
    metavar="URL",
    default="sqlite:monitor.db",
    help="where that daemon shall keep its store (default: sqlite:monitor.db, in DIR)",
)
@click.option(
    "--alertmanager",
    metavar="URL",
    help="let that daemon tell this Alertmanager, not the webhook receiver here (default: none)",
)
@common(level="warning")
def sandbox(
    shared: Common,
    directory: Path,
    host: str,
    control_host: str,
    port: int | None,
    metrics_listen: str,
    store: str,
    alertmanager: str | None,
) -> None:
    """Run a stand-in for the ecosystem, until SIGTERM or Ctrl-C.

    Its own PKI, an issued crypto pack, Find, View and PAT refresh endpoints over mutual TLS that
    fail on command, and a webhook sink. It writes the configuration that watches it to
    DIR/monitor.yaml, and says `ready`. It reads no configuration.
    """
    import asyncio

    from monitor.sandbox import serve
    from monitor.sandbox.place import Wiring

    asyncio.run(
        serve(
            directory,
            host=host,
            base_port=port,
            metrics_listen=metrics_listen,
            wiring=Wiring(control_host, store, alertmanager),
            announce=click.echo,
            as_json=shared.as_json,
        )
    )
