"""Write the generated pages of docs/reference: `python -m scripts.reference`."""

from __future__ import annotations

from scripts.reference.pages import FOLDER, PAGES

for name, page in PAGES.items():
    (FOLDER / name).write_text(page(), encoding="utf-8")
