"""The reference of all commands, from the program itself; `make docs` writes it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from monitor.cli.root import SETTINGS, cli

HEAD = """\
# Commands

Written by the program: `make docs`. Do not edit.
"""
WIDTH = 100


def reference() -> str:
    """Markdown with the help of every command, as a terminal of 100 columns shows it."""
    return "\n".join([HEAD, *_sections(cli, None, "monitor")])


def _sections(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    context = click.Context(
        command, parent=parent, info_name=name, terminal_width=WIDTH, **SETTINGS
    )
    level = "##" if parent is None or parent.parent is None else "###"
    yield f"{level} `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from _sections(found, context, each)


if __name__ == "__main__":
    click.echo(reference(), nl=False)
