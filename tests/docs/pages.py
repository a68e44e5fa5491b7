"""Walks through a document in a browser: what its numbered lists say is done, sentence by sentence.

    Open <URL>.                     Follow **link**.          Press **button**.
    Fill **field** with `text`.     Unfold **summary**.       Tick **box**.
    Fill **field** with the text of `FILE`.                   Choose **option** in **field**.
    Download **link**.              See *words*.

A sentence may begin otherwise and say more; each of these is done wherever it stands in an item, in
order, and an item that says none of them is a mistake. Blocks of `sh` between the lists are run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.docs.walk import Place, blocks

PATIENCE = 60_000
"""Milliseconds that anything may take on a busy machine."""

_ACTION = re.compile(
    r"(?i:\b(open)) <(?P<url>[^>]+)>"
    r"|(?i:\b(?P<verb>follow|press|unfold|tick|download)) \*\*(?P<name>[^*]+)\*\*"
    r"|(?i:\bfill) \*\*(?P<field>[^*]+)\*\* with (?P<file>the text of )?`(?P<text>[^`]+)`"
    r"|(?i:\bchoose) \*\*(?P<option>[^*]+)\*\* in \*\*(?P<box>[^*]+)\*\*"
    r"|(?i:\bsee) \*(?P<words>[^*]+)\*(?: and \*(?P<more>[^*]+)\*)?"
)
_ITEM = re.compile(r"^\d+\. (.*(?:\n {2,}.*)*)", re.MULTILINE)

Action = re.Match[str]


def parts(text: str) -> Iterator[tuple[int, str | list[Action]]]:
    """What to do, in order of place: blocks of `sh` as text, items as actions."""
    found: list[tuple[int, str | list[Action]]] = [
        (block.start, block.text)
        for block in blocks(text)
        if block.words[:1] == ("sh",) and block.line != "make run"
    ]
    for item in _ITEM.finditer(text):
        actions = list(_ACTION.finditer(" ".join(item[1].split())))
        assert actions, f"nothing to do in: {item[0]}"
        found.append((item.start(), actions))
    return iter(sorted(found, key=lambda part: part[0]))


def walk(document: Path, place: Place, page: Page) -> None:
    """Do all that the document says. Raises AssertionError or a time-out where it cannot be done."""
    page.set_default_timeout(PATIENCE)
    for _, part in parts(document.read_text(encoding="utf-8")):
        if isinstance(part, str):
            done = place.run(part, {})
            assert done.returncode == 0, done.stdout
            continue
        for action in part:
            _do(page, place, action)


def _do(page: Page, place: Place, action: Action) -> None:
    said = action.groupdict()
    if said["url"]:
        page.goto(place.truly(said["url"]))
    elif said["field"]:
        text = said["text"]
        value = (place.folder / text).read_text().strip() if said["file"] else text
        _shown(page.get_by_label(said["field"], exact=True)).fill(value)
    elif said["option"]:
        page.get_by_label(said["box"], exact=True).select_option(label=said["option"])
    elif said["words"]:
        for words in filter(None, (said["words"], said["more"])):
            _shown(page.get_by_text(words)).wait_for()
    else:
        _VERBS[said["verb"].lower()](page, place, said["name"])


def _shown(found: Locator) -> Locator:
    return found.filter(visible=True).first


def _follow(page: Page, place: Place, name: str) -> None:
    _shown(page.get_by_role("link", name=name)).click()


def _press(page: Page, place: Place, name: str) -> None:
    _shown(page.get_by_role("button", name=name, exact=True)).click()


def _unfold(page: Page, place: Place, name: str) -> None:
    """Open what is folded; what is open already stays open."""
    details = page.locator("details", has=page.locator("summary", has_text=name)).first
    if details.get_attribute("open") is None:
        details.locator("summary").first.click()


def _tick(page: Page, place: Place, name: str) -> None:
    page.get_by_label(name, exact=True).check()


def _download(page: Page, place: Place, name: str) -> None:
    with page.expect_download() as awaited:
        _follow(page, place, name)
    awaited.value.save_as(place.folder / awaited.value.suggested_filename)


_VERBS = {
    "follow": _follow,
    "press": _press,
    "unfold": _unfold,
    "tick": _tick,
    "download": _download,
}
