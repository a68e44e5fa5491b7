"""What the documents point to is there: files, headings, commands, options, metrics in queries."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import promql_parser
import pytest
from ruamel.yaml import YAML

from monitor.adapters.holidays import bank_holidays
from monitor.cli.root import SETTINGS, cli
from monitor.config import json_schema, load
from tests.docs.walk import ROOT, blocks

DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "grafana").rglob("*.md")),
    *sorted((ROOT / "config").rglob("*.md")),
]


def each(documents: list[Path]) -> Any:
    """Parameters: one document each, named by its place."""
    names = [path.relative_to(ROOT).as_posix() for path in documents]
    return pytest.mark.parametrize("document", documents, ids=names)


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


# -- links -----------------------------------------------------------------------------------------


def links(text: str) -> Iterator[str]:
    """Every target of a link or picture that is not on the web, code left out."""
    plain = re.sub(r"`[^`\n]*`", "", prose(text))
    found = re.findall(r"\]\(\s*([^)\s]+)[^)]*\)", plain)
    found += re.findall(r"""(?:href|src|srcset)=["']([^"']+)["']""", plain)
    return (target for target in found if not re.match(r"[a-z]+:", target))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", prose(text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


@each(DOCUMENTS)
def test_every_link_leads_somewhere(document: Path) -> None:
    """Each relative link is a file or folder that exists, and each anchor a heading there."""
    dead = []
    for target in links(document.read_text(encoding="utf-8")):
        place, _, anchor = target.partition("#")
        path = (document.parent / place).resolve() if place else document
        inside = path.exists() and path.is_relative_to(ROOT)
        if not inside or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            dead.append(target)
    assert dead == []


def test_every_document_is_in_the_index() -> None:
    """docs/README.md has a line for each document under docs/."""
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in links(index)}
    missing = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "docs").rglob("*.md"))
        if path not in listed and path != ROOT / "docs" / "README.md"
    ]
    assert missing == []


def test_anchors_are_those_of_github() -> None:
    """Letters, digits, underscores and hyphens stay, spaces become hyphens, doubles are numbered."""
    text = "# A b, `c.d`\n## A b, `c.d`\n```sh\n# no heading\n```\n### What [it](x.md) does\n"
    assert anchors(text) == {"a-b-cd", "a-b-cd-1", "what-it-does"}
    assert list(links("[a](b.md#c) ![d](e.png) `[f](g)` <img src='h.png'> [i](https://j)")) == [
        "b.md#c",
        "e.png",
        "h.png",
    ]


# -- commands --------------------------------------------------------------------------------------


def lines_of(text: str) -> Iterator[str]:
    """Every command line of `monitor` that a document shows, from its blocks and from its prose."""
    shells = [block.text for block in blocks(text) if block.words[:1] in (("sh",), ("shell",))]
    shells += re.findall(r"`((?:\.venv/bin/)?monitor [^`\n]+)`", prose(text))
    for shell in shells:
        whole = re.sub(r"\\\n\s*", " ", shell)
        # What a shell works out is one word; quotes may hold anything, even a semicolon.
        whole = re.sub(r'"?\$\((?:[^()]|\([^()]*\))*\)"?', lambda found: _inner(found[0]), whole)
        pattern = r"(?:^|[;|&(]) *(?:\.venv/bin/)?monitor +((?:\"[^\"]*\"|'[^']*'|[^\n;|&)>#])+)"
        yield from (found[1].strip() for found in re.finditer(pattern, whole, re.MULTILINE))


def _inner(text: str) -> str:
    """A substitution as one word, and after it what is run in it, as a line of its own if it is ours."""
    return "WORD" if "monitor " not in text else f"WORD\n{text.strip(chr(34))[2:-1]}\n"


def fault_of(line: str) -> str | None:
    """Why the program would not take a command line; None if it would. Values are not looked at."""
    words = shlex.split(line)
    command: click.Command = cli
    context = click.Context(cli, info_name="monitor", **SETTINGS)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            if command.invoke_without_command:
                break
            return f"there is no command {words[0]}"
        context = click.Context(found, parent=context, info_name=words.pop(0))
        command = found
    try:
        _, left, _ = command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return error.format_message()
    return f"too much: {left}" if left and not isinstance(command, click.Group) else None


@each(DOCUMENTS)
def test_every_command_shown_exists(document: Path) -> None:
    """Each line of `monitor` names a command that there is, with options that it takes."""
    shown = lines_of(document.read_text(encoding="utf-8"))
    faults = [(line, fault) for line in shown if (fault := fault_of(line)) is not None]
    assert faults == []


def test_command_lines_are_found_and_judged() -> None:
    """In blocks, in prose and within others; a wrong command, option or argument is a fault."""
    text = (
        "Say `monitor status --jsn` or `monitor frobnicate`.\n\n```sh\n"
        'monitor incident update I-1 --text "a; b" \\\n    --cause x; monitor slo\n'
        'monitor explain I-1 --at "$(monitor incident show I-1 | cut -d" " -f1)"\n```\n'
    )
    assert list(lines_of(text)) == [
        'incident update I-1 --text "a; b"  --cause x',
        "slo",
        "explain I-1 --at WORD",
        "incident show I-1",
        "status --jsn",
        "frobnicate",
    ]
    assert [fault_of(line) is None for line in lines_of(text)] == [True] * 4 + [False] * 2
    assert fault_of("incident show I-1 I-2") is not None


# -- configuration and queries ---------------------------------------------------------------------

BASE = {
    "organisation": {"name": "Example Administration Ltd", "connection": "federated"},
    "identities": {"live": {"pack": "/etc/monitor/live"}, "test": {"pack": "/etc/monitor/test"}},
    "endpoints": [
        {
            "id": f"{name}-main",
            "service": service,
            "url": f"https://pensions.example/{name}",
            "connected_from": "2026-09-01",
        }
        for name, service in (("find", "find"), ("view", "view"), ("pat", "pat-refresh"))
    ],
}
"""What a piece of configuration is put on, so that it is whole."""


def pieces() -> Iterator[tuple[str, str]]:
    """(document, text) of every YAML block that is configuration: all its keys are sections of it."""
    sections = set(json_schema()["properties"])
    for document in DOCUMENTS:
        for block in blocks(document.read_text(encoding="utf-8")):
            if block.words[:1] == ("yaml",):
                found = YAML(typ="safe").load(block.text)
                if isinstance(found, dict) and found.keys() <= sections:
                    yield document.relative_to(ROOT).as_posix(), block.text


@pytest.mark.parametrize(("document", "text"), list(pieces()))
def test_every_piece_of_configuration_loads(document: str, text: str, tmp_path: Path) -> None:
    """Each YAML block of configuration, put on a small whole one, is accepted."""
    given = YAML(typ="safe").load(text)
    path = tmp_path / "monitor.yaml"
    with path.open("w") as stream:
        YAML(typ="safe").dump({**BASE, **given}, stream)
    load(path, environ={}, bank_holidays=bank_holidays)


@each(DOCUMENTS)
def test_every_query_parses(document: Path) -> None:
    """Each block of PromQL is one expression, or one on each line."""
    for block in blocks(document.read_text(encoding="utf-8")):
        if block.words[:1] == ("promql",):
            plain = re.sub(r"^\s*#.*$", "", block.text, flags=re.MULTILINE).strip()
            for one in re.split(r"\n\s*\n", plain):
                promql_parser.parse(one.replace("$__rate_interval", "5m"))
