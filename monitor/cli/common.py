"""What every command shares: its options, its exit codes, its way of printing."""

from __future__ import annotations

import functools
import getpass
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from monitor.errors import (
    ConfigError,
    DaemonUnreachable,
    FactError,
    FaultsError,
    IdentityError,
    MonitorError,
    StoreError,
    UsageError,
)

if TYPE_CHECKING:
    from monitor.config import Settings

Document = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

LEVELS = ("debug", "info", "warning", "error")
DEFAULT_CONFIG = "config/monitor.yaml"
GOOD, NOT_GOOD, WRONG_USE, NO_STORE, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every command takes."""

    config: Path
    as_json: bool


def common(*, prints: bool = True, level: str = "warning") -> Callable[[F], F]:
    """Give a command the common options, as its first argument; `prints` adds `--json`.

    `level` is the log level unless the user names one.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def command(
            *args: Any, config: Path, log_level: str | None, as_json: bool = False, **options: Any
        ) -> Any:
            from monitor.adapters import logs

            logs.setup(log_level or level)
            return function(Common(config, as_json), *args, **options)

        wrapped: Any = click.option(
            "--log-level",
            type=click.Choice(LEVELS),
            metavar="LEVEL",
            envvar="MONITOR_LOG_LEVEL",
            help=f"log from this level on: {', '.join(LEVELS)} (default: {level};"
            " env: MONITOR_LOG_LEVEL)",
        )(command)
        if prints:
            wrapped = click.option(
                "--json", "as_json", is_flag=True, help="print one JSON document and nothing else"
            )(wrapped)
        return cast(
            F,
            click.option(
                "-c",
                "--config",
                type=click.Path(path_type=Path),
                metavar="FILE",
                envvar="MONITOR_CONFIG",
                default=DEFAULT_CONFIG,
                help=f"read this configuration (default: {DEFAULT_CONFIG}; env: MONITOR_CONFIG)",
            )(wrapped),
        )

    return decorate


def author_option(function: F) -> F:
    """`--author`, for commands that write: every fact says who told it."""
    return click.option(
        "--author",
        metavar="NAME",
        envvar="MONITOR_AUTHOR",
        help="record this name with the fact (default: the login name; env: MONITOR_AUTHOR)",
    )(function)


def names_option(
    flag: str, what: str, *, required: bool = False, default: str = "all"
) -> Callable[[F], F]:
    """A list of names: the option repeated, or commas between them; an empty text: no names."""

    def split(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> Any:
        found = [name.strip() for value in values for name in value.split(",") if name.strip()]
        return found if values else None

    unless = "" if required else f" (default: {default})"
    return click.option(
        flag,
        multiple=True,
        required=required,
        callback=split,
        metavar="NAME,...",
        help=f"{what}, with commas, or repeat it{unless}",
    )


def author_of(given: str | None) -> str:
    """The author given, else who logged in, seen through sudo. Raises UsageError."""
    if given:
        return given
    if os.geteuid() == 0 and (before := os.environ.get("SUDO_USER")):
        return before
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("--author: this user has no name here; say who you are") from None


def read_settings(path: Path, *, accounting_only: bool = False) -> Settings:
    """The configuration, with the bank holidays of its calendar. Raises ConfigError.

    With `accounting_only` it may lack the identities.
    """
    from datetime import UTC, datetime

    from monitor.adapters.holidays import bank_holidays
    from monitor.config import load

    today = datetime.now(UTC).date()
    return load(
        path,
        environ=os.environ,
        bank_holidays=bank_holidays,
        today=today,
        accounting_only=accounting_only,
    )


# --- Errors to exit codes -----------------------------------------------------------------------


def exit_code(error: MonitorError) -> int:
    """What an error means to whoever called the program (contract, "Command line")."""
    if isinstance(error, StoreError | DaemonUnreachable):
        return NO_STORE
    if isinstance(error, UsageError | ConfigError | IdentityError | FactError):
        return WRONG_USE
    return NOT_GOOD


def say_error(error: MonitorError) -> None:
    """Each fault on a line of its own, on standard error."""
    if isinstance(error, FaultsError):
        for fault in error.faults:
            click.echo(plain(str(fault)), err=True)
    else:
        click.echo(f"Error: {plain(str(error))}", err=True)


class Program(click.Group):
    """The root command: an error raised on purpose becomes advice and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except MonitorError as error:
            say_error(error)
            ctx.exit(exit_code(error))
        except PermissionError as error:
            who = "use the user who runs the daemon"
            click.echo(f"Error: {error.filename}: {error.strerror}; {who}", err=True)
            ctx.exit(NO_STORE)


# --- Printing -----------------------------------------------------------------------------------


def plain(text: str) -> str:
    """A text without control characters but the line break: it may come from anywhere."""
    return "".join(c if c == "\n" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def print_json(document: object) -> None:
    """One document, in ASCII: no terminal or locale can spoil it."""
    click.echo(json.dumps(document, indent=2))


def finish(shared: Common, document: Document, render: Callable[[Document], str]) -> None:
    """Print an answer for a program or for people; one that says `"ok": false` exits with 1."""
    if shared.as_json:
        print_json(document)
    else:
        click.echo(render(document))
    if document.get("ok") is False:
        click.get_current_context().exit(NOT_GOOD)
