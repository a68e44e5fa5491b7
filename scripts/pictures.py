"""Pictures of the pages for the documents, from a real sandbox, a real daemon and a real browser.

`python -m scripts.pictures [NAME...]` writes them to docs/pictures; it takes a quarter of an hour, as real
things must happen first. They are not compared by a test: no two runs look the same. It needs what the
tests need.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.docs.walk import Place, running
from tests.e2e.processes import send
from tests.tools import find
from tests.web.browser import FLAGS

QUIET = 11 * 60
"""Seconds after which a failure is an incident of its own."""
FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"


@dataclass(frozen=True, slots=True)
class Picture:
    """One page as it is to be shown: its path, and how wide; `height` 0 is all of it. In pixels."""

    path: str
    width: int = 1200
    height: int = 0


PICTURES: Mapping[str, Picture] = MappingProxyType(
    {
        "overview": Picture("/"),
        "incident": Picture("/incidents/I-2", height=880),
    }
)


def main(names: list[str]) -> None:
    """Let an outage pass and another begin, then take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        with running(place):
            _happen(place)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=find("chromium"), args=FLAGS)
                page = browser.new_page(timezone_id="Europe/London", locale="en-GB")
                _log_in(page, place)
                for name, picture in PICTURES.items():
                    if not names or name in names:
                        _take(page, place, name, picture)
                browser.close()


def _happen(place: Place) -> None:
    """Something to see: an outage that is over and reported, one that goes on, and a window to come."""
    control = f"http://127.0.0.1:{place.ports['control']}/control"
    time.sleep(60)
    send("POST", f"{control}/view-main/refuse")
    time.sleep(25)
    _say(place, "incident report I-1 --ticket PDP-1235")
    send("DELETE", f"{control}/view-main")
    time.sleep(40)
    _say(place, "incident update I-1 --cause 'listener crashed' --location own")
    _say(place, "incident attest I-1")
    _say(place, "incident close I-1")
    _say(
        place,
        "downtime declare --start 2027-02-16T00:00 --end 2027-02-16T03:00 --endpoints find-main"
        " --reason 'database upgrade' --notified-at $(date -u +%FT%TZ) --ticket PDP-1234",
    )
    time.sleep(QUIET)
    send("POST", f"{control}/find-main", {"mode": "status", "code": 503})
    time.sleep(45)
    _say(place, "incident acknowledge I-2")


def _say(place: Place, command: str) -> None:
    done = place.run(f"monitor {command} -c .sandbox/monitor.yaml", {})
    assert done.returncode == 0, done.stdout


def _log_in(page: Page, place: Place) -> None:
    page.goto(f"http://127.0.0.1:{place.listen}/login")
    token = (place.folder / ".sandbox" / "token").read_text().strip()
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url(f"http://127.0.0.1:{place.listen}/")


def _take(page: Page, place: Place, name: str, picture: Picture) -> None:
    page.set_viewport_size({"width": picture.width, "height": picture.height or 900})
    page.goto(f"http://127.0.0.1:{place.listen}{picture.path}")
    taken = page.screenshot(full_page=not picture.height)
    # Pages have few colours: 160 of them are a third of the bytes.
    few = Image.open(BytesIO(taken)).convert("RGB").quantize(160, dither=Image.Dither.NONE)
    few.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
