"""Whatever the command line can do, a request can; where none does, it is said why."""

from __future__ import annotations

from collections.abc import Iterator

import click

from monitor.cli.root import cli
from monitor.web.api.commands import NONE, REQUESTS
from monitor.web.api.openapi import openapi
from monitor.web.api.table import PREFIX


def commands(group: click.Group, before: str = "") -> Iterator[str]:
    """Every command that does something, by its words."""
    for name, command in group.commands.items():
        words = f"{before} {name}".strip()
        if not isinstance(command, click.Group):
            yield words
        else:
            if command.invoke_without_command:
                yield words
            yield from commands(command, words)


def test_every_command_has_a_request_or_a_reason() -> None:
    """No command is forgotten, and none is named that there is not."""
    assert set(commands(cli)) == REQUESTS.keys() | NONE.keys()
    assert not REQUESTS.keys() & NONE.keys()
    assert all(NONE.values())


def test_every_request_of_a_command_is_described() -> None:
    """The requests that stand for commands are those of the API."""
    paths = openapi()["paths"]
    for command, request in REQUESTS.items():
        method, path = request.split()
        assert method.lower() in paths[PREFIX + path], command
