"""What the course's own drawings are made of: text, boxes, arrows and covers, as SVG on a board of 1160 × 500.

On a slide a board is shown about as large as it is, so that a font size here is one in pixels there. Which font a
machine has is not known; boxes leave room for wide ones.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from recsys_lab.serve.covers import cover

WIDTH, HEIGHT = 1160, 500
INK, MUTED, PAPER, LINE = "#1b2a36", "#4d5b66", "#ffffff", "#9aa8b3"
BLUE, ORANGE, GREEN, SKY, YELLOW = "#0072B2", "#A84300", "#00694c", "#e3f1fa", "#fdf1d6"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif"
SMALL, TEXT, LARGE = 20, 24, 32


@dataclass
class Board:
    """A drawing that grows by its methods; each returns the board.

    Attributes
    ----------
    alt : str
        What it shows, in words.
    height : int
        Boards for slides with much text are lower.
    """

    alt: str
    height: int = HEIGHT
    width: int = WIDTH
    parts: list[str] = field(default_factory=list)

    def svg(self) -> str:
        """Return the drawing."""
        arrow = (
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="{INK}"/></marker></defs>'
        )
        parts = "".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 -3 {self.width + 6} {self.height + 6}" '
            f'width="{self.width}" height="{self.height}" font-family="{FONT}" fill="{INK}">{arrow}{parts}</svg>'
        )

    def text(self, x, y, words, size=TEXT, *, fill=INK, anchor="middle", bold=False, italic=False) -> Board:
        """Write lines, the first one's base at y; a line break starts another."""
        style = (' font-weight="700"' if bold else "") + (' font-style="italic"' if italic else "")
        lines = "".join(
            f'<tspan x="{x}" dy="{0 if number == 0 else round(1.25 * size, 1)}">{html.escape(line)}</tspan>'
            for number, line in enumerate(str(words).split("\n"))
        )
        self.parts.append(
            f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{style}>{lines}</text>'
        )
        return self

    def box(self, x, y, w, h, words="", size=TEXT, *, fill=SKY, edge=BLUE, ink=INK, bold=False, dash="", r=10) -> Board:
        """Draw a box with text in its middle."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{r}" fill="{fill}" stroke="{edge}" '
            f'stroke-width="2.5"{dashes}/>'
        )
        if not words:
            return self
        count = str(words).count("\n")
        base = y + h / 2 + 0.36 * size - count * 0.625 * size
        return self.text(round(x + w / 2, 1), round(base, 1), words, size, fill=ink, bold=bold)

    def line(self, *points, arrow=True, colour=INK, width=3, dash="") -> Board:
        """Draw a line through points, with a tip at its end."""
        path = " ".join(f"{x},{y}" for x, y in points)
        tip = ' marker-end="url(#tip)"' if arrow else ""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{tip}{dashes}/>'
        )
        return self

    def book(self, x, y, book, width=100) -> Board:
        """Draw the cover of a book, a tuple of title, author and genre."""
        drawn = cover(*book).replace("<svg ", f'<svg x="{x}" y="{y}" ', 1)
        drawn = re.sub(r' width="120" height="180"', f' width="{width}" height="{1.5 * width:g}"', drawn, count=1)
        self.parts.append(re.sub(r' role="img" aria-label="[^"]*"', ' aria-hidden="true"', drawn, count=1))
        return self

    def books(self, x, y, books, width=100, gap=20) -> Board:
        """Draw covers side by side."""
        for place, book in enumerate(books):
            self.book(round(x + place * (width + gap), 1), y, book, width)
        return self

    def raw(self, svg: str) -> Board:
        """Add a piece of SVG."""
        self.parts.append(svg)
        return self
