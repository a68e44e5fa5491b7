"""Write the drawings: `python -m scripts.drawings`."""

from __future__ import annotations

from scripts.drawings.all import DRAWINGS, FOLDER

FOLDER.mkdir(exist_ok=True)
for name, drawing in DRAWINGS.items():
    (FOLDER / name).write_text(drawing(), encoding="utf-8")
