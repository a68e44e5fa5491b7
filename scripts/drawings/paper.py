"""SVG by hand: a sheet with text, bars and marks. Same input, same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

WIDTH = 760
INK, PALE, PAPER = "#1b1f24", "#6b7280", "#ffffff"
COLOURS = {
    "up": "#8fd3b6",
    "unconfirmed": "#9fd0f0",
    "impaired": "#f5c451",
    "down": "#e07a4f",
    "unknown": "#d5d8dd",
    "declared": "#4a90c8",
    "declared_short_notice": "#c98bb9",
    "overrun": "#e3a008",
    "undeclared": "#d1495b",
    "window": "#cfe3f5",
    "incident": "#5b4b8a",
    "left": "#e8ecef",
}
"""Told apart by lightness too, and never by colour alone: every bar carries its word, or the legend does."""


@dataclass(slots=True)
class Paper:
    """A sheet that is `WIDTH` wide; `height` grows with what is drawn."""

    title: str
    description: str
    height: float = 0
    parts: list[str] = field(default_factory=list)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        size: int = 12,
        fill: str = INK,
        weight: str = "normal",
    ) -> None:
        """Words whose baseline is at `y`."""
        self._reach(y + 6)
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{fill}"'
            f' font-weight="{weight}">{escape(words)}</text>'
        )

    def bar(
        self, x: float, y: float, width: float, height: float, kind: str, word: str = ""
    ) -> None:
        """A rectangle of the colour of its kind; the word is left out where there is no room."""
        self._reach(y + height)
        edge = f' stroke="{PAPER}" stroke-width="1"'
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}"'
            f' fill="{COLOURS[kind]}"{edge}/>'
        )
        if word and width >= 6.2 * len(word) + 6:
            self.text(x + width / 2, y + height / 2 + 4, word, anchor="middle", size=11)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, fill: str = PALE, wide: float = 1
    ) -> None:
        self._reach(max(y1, y2))
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{fill}"'
            f' stroke-width="{wide:g}"/>'
        )

    def mark(self, x: float, y: float, result: str) -> None:
        """A probe: a ring is up, a cross is down, a triangle is impaired, a dot could not tell."""
        shape = {
            "up": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{PAPER}" stroke="{INK}"/>',
            "down": f'<path d="M{x - 3.2:.1f} {y - 3.2:.1f}l6.4 6.4m0-6.4l-6.4 6.4" stroke="{INK}"'
            ' stroke-width="1.8" fill="none"/>',
            "impaired": f'<path d="M{x:.1f} {y - 3.8:.1f}l4 7h-8z" fill="{INK}"/>',
            "local": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.6" fill="{PALE}"/>',
        }
        self._reach(y + 4)
        self.parts.append(shape[result])

    def _reach(self, y: float) -> None:
        self.height = max(self.height, y)

    def svg(self) -> str:
        """The sheet as a file, with its title and description for those who cannot see it."""
        height = self.height + 12
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
            f' height="{height:.0f}" role="img" aria-labelledby="t d" font-family="system-ui, sans-serif">\n'
            f'<title id="t">{escape(self.title)}</title>\n<desc id="d">{escape(self.description)}</desc>\n'
            f'<rect width="100%" height="100%" fill="{PAPER}"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )
