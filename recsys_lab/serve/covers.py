"""Covers drawn as SVG: the same one for the same words, with a title that always fits.

Which font a reader's machine will use is not known, so widths are taken from a wide one (DejaVu Serif Bold): what fits
there fits in Georgia and Times too. A title gets the largest size at which no word is cut; only where even the
smallest is too large is a long word broken and the end left out.
"""

from __future__ import annotations

import html
import random
import unicodedata
import zlib
from functools import lru_cache

from recsys_lab.serve import cover_art
from recsys_lab.serve.cover_art import Palette, rect

NO_TITLE = "(no title)"
WIDTH, HEIGHT = 120, 180
SIZES = (21.0, 19.0, 17.0, 15.5, 14.0, 12.5, 11.5, 10.5, 9.5, 8.5, 7.6)
LINE = 1.16  # line height in units of the size
FONT = "Georgia,'Times New Roman',serif"
MOST = 400  # characters looked at; nothing longer fits

# Widths of characters in units of the font's size.
_GROUPS = {
    0.38: "'\" .,’‘:;ijl",
    0.47: "-ft!IJ()[]/",
    0.57: "rszvy",
    0.67: "?xceoa",
    0.74: "kbdgpqhnuL0123456789FYSZT“”*",
    0.8: "PEAVXC",
    0.88: "RBGwDKOQU",
    0.95: "&NH+=<>",
    1.12: "mMW…—@%",
}
_WIDTHS = {character: width for width, group in _GROUPS.items() for character in group}


def cover(title: str, author: str = "", genre: str = "") -> str:
    """Draw the cover of a book.

    Parameters
    ----------
    title, author, genre : str
        The genre chooses colours and motif; the other words choose the variant.

    Returns
    -------
    str
        An ``<svg>`` with an aria-label, 120 × 180 units, without ids, styles or links.

    Examples
    --------
    >>> "Emma" in cover("Emma", "Jane Austen", "classics")
    True
    """
    words = (" ".join(str(text)[:MOST].split()) for text in (title, author, genre))
    title, author, genre = ("".join(c for c in text if c.isprintable()) for text in words)
    return _drawn(title or NO_TITLE, author, genre)


@lru_cache(maxsize=4096)
def _drawn(title: str, author: str, genre: str) -> str:
    number = zlib.crc32(f"{title}\n{author}".encode("utf-8", "replace"))
    palette, motif = cover_art.choose(genre, number)
    layout = LAYOUTS[number // 101 % len(LAYOUTS)]
    inside = layout(palette, Art(palette, motif, number), title, author, genre)
    label = html.escape("Book: " + ", ".join(part for part in (title, author, genre) if part))
    spine = rect(0, 0, 4, HEIGHT, "#000", ' fill-opacity=".22"') + rect(4, 0, 1, HEIGHT, "#fff", ' fill-opacity=".16"')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}">{inside}{spine}</svg>'
    )


class Art:
    """The motif of one book, to be drawn into boxes.

    Parameters
    ----------
    palette : Palette
    motif : str
        A name of `cover_art.MOTIFS`.
    number : int
        Chooses the variant.
    """

    def __init__(self, palette: Palette, motif: str, number: int):
        self.palette, self.motif, self.number = palette, motif, number

    def box(self, x: float, y: float, w: float, h: float) -> str:
        """Return the motif in a box; what would stand out of it is cut."""
        inside = cover_art.MOTIFS[self.motif](self.palette, w, h, random.Random(self.number))
        return f'<svg x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" viewBox="0 0 {w:g} {h:g}">{inside}</svg>'


# ---- layouts ------------------------------------------------------------------------------------------------------


def poster(p: Palette, art: Art, title: str, author: str, genre: str) -> str:
    """Title above, picture below, everything to the left."""
    head, used = block(title, 12, 12, 98, 76, p.paper, bold=True)
    name, tall = block(author, 12, 18 + used, 98, 28, p.paper, most=10.5)
    top = 26 + used + tall
    tag = _tag(genre, 12, 170, p.paper)
    return rect(0, 0, WIDTH, HEIGHT, p.ground) + head + name + art.box(0, top, WIDTH, 156 - top) + tag


def label(p: Palette, art: Art, title: str, author: str, genre: str) -> str:
    """A paper label on a picture that fills the cover."""
    head, used = block(title, 60, 44, 84, 66, p.ground, bold=True, middle=True)
    name, tall = block(author, 60, 52 + used, 84, 26, p.ground, most=10.5, middle=True)
    height = 30 + used + tall
    paper = rect(12, 30, 96, height, p.paper) + rect(
        14.5, 32.5, 91, height - 5, "none", f' stroke="{p.ground}" stroke-width=".7"'
    )
    tag = rect(0, 158, WIDTH, 22, p.ground) + _tag(genre, 60, 172, p.paper, middle=True)
    return rect(0, 0, WIDTH, HEIGHT, p.ground) + art.box(0, 0, WIDTH, 158) + paper + head + name + tag


def bands(p: Palette, art: Art, title: str, author: str, genre: str) -> str:
    """Three bands, the words on the paper one in the middle."""
    head, used = block(title, 60, 56, 100, 66, p.ground, bold=True, middle=True)
    name, tall = block(author, 60, 62 + used, 100, 26, p.ground, most=10.5, middle=True)
    end = max(118.0, 72 + used + tall)
    ground = rect(0, 0, WIDTH, HEIGHT, p.ground) + rect(0, 46, WIDTH, end - 46, p.paper)
    tag = _tag(genre, 60, 27, p.paper, middle=True) + rect(44, 33, 32, 0.8, p.first)
    return ground + art.box(0, end, WIDTH, HEIGHT - end) + tag + head + name


def foot(p: Palette, art: Art, title: str, author: str, genre: str) -> str:
    """Picture above, words on a block at the foot."""
    _, used = block(title, 12, 0, 98, 70, p.ground, bold=True)
    _, tall = block(author, 12, 0, 98, 26, p.ground, most=10.5)
    top = HEIGHT - used - tall - 42
    words = block(title, 12, top + 12, 98, 70, p.ground, bold=True)[0]
    words += block(author, 12, top + 18 + used, 98, 26, p.ground, most=10.5)[0] + _tag(genre, 12, 171, p.ground)
    ground = rect(0, 0, WIDTH, HEIGHT, p.ground) + art.box(0, 0, WIDTH, top)
    return ground + rect(0, top, WIDTH, HEIGHT - top, p.paper) + rect(0, top, WIDTH, 2.4, p.first) + words


LAYOUTS = (poster, label, bands, foot)


def _tag(genre: str, x: float, y: float, fill: str, middle: bool = False) -> str:
    """The genre in small letters, on one line."""
    lines, size = fit(genre, 98, 9, False, (8.2, 7.4, 6.6, 6.2))
    anchor = ' text-anchor="middle"' if middle else ""
    return _text(lines, x, y - size, size, fill, False, anchor)


# ---- text that fits -----------------------------------------------------------------------------------------------


def block(
    text: str, x: float, y: float, w: float, h: float, fill: str, bold=False, most=SIZES[0], middle=False
) -> tuple[str, float]:
    """Set text into a box and return its SVG with the height it takes; `y` is the box's upper edge."""
    lines, size = fit(text, w, h, bold, [s for s in SIZES if s <= most])
    anchor = ' text-anchor="middle"' if middle else ""
    return _text(lines, x, y, size, fill, bold, anchor), len(lines) * size * LINE


def fit(text: str, width: float, height: float, bold: bool, sizes) -> tuple[list[str], float]:
    """Return the lines and the size, the largest of `sizes` at which the text fits whole.

    Where none does, the smallest is taken, long words are broken and the end becomes an ellipsis.
    """
    if not text:
        return [], sizes[-1]
    for size in sizes:
        lines = wrap(text, width / size, bold, break_words=False)
        if lines and len(lines) * size * LINE <= height:
            return lines, size
    lines = wrap(text, width / size, bold, break_words=True)
    room = max(1, int(height / (size * LINE)))
    if len(lines) > room:
        last = lines[room - 1]
        while last and measure(last + " …", bold) > width / size:
            last = last[:-1]
        lines = [*lines[: room - 1], last.rstrip() + " …"]
    return lines, size


def wrap(text: str, width: float, bold: bool, break_words: bool) -> list[str]:
    """Break text into lines of at most `width` (in units of the size); no lines if a word is too long to do so."""
    lines, line = [], ""
    for word in _pieces(text):
        if measure((line + word).strip(), bold) <= width:
            line += word
            continue
        lines, line = lines + [line.strip()] * bool(line.strip()), word.lstrip()
        if measure(line.strip(), bold) > width:
            if not break_words:
                return []
            while measure(line, bold) > width:
                cut = next(i for i in range(1, len(line) + 1) if measure(line[: i + 1], bold) > width)
                lines, line = [*lines, line[:cut]], line[cut:]
    return lines + [line.strip()] * bool(line.strip())


def _pieces(text: str) -> list[str]:
    """Words with the blank before them; after a hyphen and beside a wide character a line may break too."""
    pieces, piece = [], ""
    for character in text:
        wide = unicodedata.east_asian_width(character) in "WF"
        if character == " " or wide:
            pieces, piece = [*pieces, piece], ""
        piece += character
        if (character == "-" and len(piece) > 1) or wide:
            pieces, piece = [*pieces, piece], ""
    return [p for p in [*pieces, piece] if p]


def measure(text: str, bold: bool = True) -> float:
    """Width of a text in units of its size; a little too much rather than too little."""
    return sum(map(_width, text)) * (1.0 if bold else 0.92)


@lru_cache(maxsize=4096)
def _width(character: str) -> float:
    base = unicodedata.normalize("NFD", character)[0]
    if base in _WIDTHS:
        return _WIDTHS[base]
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    return 1.05 if character.isupper() or not character.isalpha() else 0.8


def _text(lines: list[str], x: float, y: float, size: float, fill: str, bold: bool, more: str = "") -> str:
    if not lines:
        return ""
    spans = "".join(
        f'<tspan x="{x:g}" y="{y + size * (0.84 + i * LINE):.1f}">{html.escape(line)}</tspan>'
        for i, line in enumerate(lines)
    )
    style = f'font-family="{FONT}" font-size="{size:g}"' + ' font-weight="bold"' * bold
    return f'<text {style} fill="{fill}"{more} aria-hidden="true">{spans}</text>'
