"""What the documents show is what happens: their commands are run, against real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.walk import MARK, ROOT, Block, agrees, blocks, steps, walk

DOCUMENTS = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if MARK in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_shows_what_happens(document: Path, tmp_path: Path) -> None:
    """Each command of the document, run in order, prints what the document shows."""
    walk(document, tmp_path)


def test_readme_and_tutorial_are_walked() -> None:
    """What a new user reads first is among the documents that are run."""
    names = {path.relative_to(ROOT).as_posix() for path in DOCUMENTS}
    assert {"README.md", "docs/tutorial.md"} <= names


def test_what_is_not_walked_shows_no_output() -> None:
    """A document that nothing runs claims no output: it would rot."""
    others = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "docs").rglob("*.md"))
        if path not in DOCUMENTS
        and any(block.words[:1] == ("output",) for block in blocks(path.read_text()))
    ]
    assert others == []


def shown(text: str, *words: str) -> Block:
    return Block(("output", *words), text, 0, 0)


def test_what_is_shown_is_compared() -> None:
    """To the letter, or with other numbers; `...` stands for anything, a line of it for any lines."""
    assert agrees(shown("a\nb\n"), "a\nb\n")
    assert not agrees(shown("a\nb\n"), "a\nc\n")
    assert agrees(shown("a\n...\nd\n"), "a\nb\nc\nd\n")
    assert agrees(shown("...\nd\n"), "d\n")
    assert agrees(shown("a\n...\n"), "a\n")
    assert agrees(shown("a ... d\n"), "a b c d\n")
    assert not agrees(shown("at 10:15:00, 99.5 %\n"), "at 10:15:01, 99.4 %\n")
    assert agrees(shown("at 10:15:00 BST,  99.5 %\n", "like"), "at 9:15:01 GMT,   99.4 %\n")
    assert agrees(shown("lasted 15s\n", "like"), "lasted 1m 2s\n")
    assert not agrees(shown("view-main up\n", "like"), "view-main down\n")


def test_blocks_are_found_with_what_they_show() -> None:
    """A block of `sh` is a step; an `output` right after it is what it prints; others are neither."""
    text = "```sh again\na\n```\n\n```output like\nb\n```\n\n```sh\nc\n```\n\n```shell\nd\n```\n"
    found = [
        (step.run.text, step.run.words, step.shown and step.shown.text) for step in steps(text)
    ]
    assert found == [("a\n", ("sh", "again"), "b\n"), ("c\n", ("sh",), None)]
