"""What the documents say of the pages can be done on them, in a real browser."""

from __future__ import annotations

import zipfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.docs.pages import parts, walk
from tests.docs.walk import ROOT, Place, faults_of, running
from tests.tools import find, need
from tests.web.browser import FLAGS

TUTORIAL = ROOT / "docs" / "tutorial-page.md"


def test_an_incident_is_closed_on_the_pages_as_the_tutorial_says(tmp_path: Path) -> None:
    """Each step of the tutorial can be done; the incident is closed, its pack whole, its author known."""
    need("chromium")
    place = Place(tmp_path)
    with running(place), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find("chromium"), args=FLAGS)
        try:
            page = browser.new_page(timezone_id="Europe/London", locale="en-GB")
            walk(TUTORIAL, place, page)
        finally:
            browser.close()
    (archive,) = tmp_path.glob("*.zip")
    with zipfile.ZipFile(archive) as pack:
        names = {Path(name).name for name in pack.namelist()}
    assert {"form.txt", "guids.csv", "guids.xlsx", "timeline.txt"} <= names
    facts = place.facts()
    assert faults_of(facts) == []
    (closed,) = (fact for fact in facts if fact["type"] == "incident.closed")
    assert closed["author"] == "sandbox (Jane Doe)"


def test_sentences_are_read_as_what_to_do() -> None:
    """Verbs with their names are found in order, in lists only; blocks keep their place among them."""
    text = (
        "Press **nothing**.\n\n1. Open <http://a/>. Then follow\n   **B**; see *c* and *d*.\n\n"
        "```sh\ne\n```\n\n2. Fill **F** with the text of `g`, choose **h** in **I**, press **J k**.\n"
    )
    found = [part if isinstance(part, str) else [one[0] for one in part] for _, part in parts(text)]
    assert found == [
        ["Open <http://a/>", "follow **B**", "see *c* and *d*"],
        "e\n",
        ["Fill **F** with the text of `g`", "choose **h** in **I**", "press **J k**"],
    ]
