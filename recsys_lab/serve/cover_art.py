"""Shapes and colours of the drawn covers: a few motifs, a dozen palettes, and which genre uses which.

A motif draws into a box of given size with two accent colours and a paper colour; a number chooses its variant. No
motif uses ids, links or styles, so that many drawings can stand in one page under a strict content security policy.
"""

from __future__ import annotations

import math
import random
import zlib
from typing import NamedTuple


class Palette(NamedTuple):
    """Four colours; text is paper on ground or ground on paper, at least 7 : 1."""

    ground: str
    first: str
    second: str
    paper: str


PALETTES = {
    "sea": Palette("#1f3a4d", "#d9843b", "#8fb3b5", "#f4ead7"),
    "wine": Palette("#5b1f2a", "#e0a458", "#b5485a", "#f6e9dc"),
    "forest": Palette("#23402f", "#c9b458", "#6f9b6a", "#f3eedb"),
    "dusk": Palette("#2b2a4c", "#e8788a", "#7d7bc0", "#f2ecf5"),
    "umber": Palette("#3b2a1e", "#d8a25e", "#96643c", "#f5ebdd"),
    "teal": Palette("#0f4c4a", "#f0b67f", "#4fa39a", "#f3efe2"),
    "rust": Palette("#7a2e16", "#f2c14e", "#d96a3a", "#fbf0dc"),
    "night": Palette("#262626", "#d7463d", "#8f8f8f", "#f4f1ea"),
    "plum": Palette("#463a63", "#c8b6e2", "#e5989b", "#f6f0fa"),
    "sky": Palette("#14365f", "#f4d35e", "#4f86c6", "#f2f4f3"),
    "olive": Palette("#45451d", "#d0c35a", "#8d8f3e", "#f6f3dd"),
    "rose": Palette("#6b2149", "#f3a6b0", "#c04d86", "#fdeff2"),
}


def circle(x: float, y: float, r: float, fill: str, more: str = "") -> str:
    """Return one circle."""
    return f'<circle cx="{x:.3g}" cy="{y:.3g}" r="{r:.3g}" fill="{fill}"{more}/>'


def rect(x: float, y: float, w: float, h: float, fill: str, more: str = "") -> str:
    """Return one rectangle."""
    return f'<rect x="{x:.4g}" y="{y:.4g}" width="{w:.4g}" height="{h:.4g}" fill="{fill}"{more}/>'


def path(d: str, fill: str, more: str = "") -> str:
    """Return one path."""
    return f'<path d="{d}" fill="{fill}"{more}/>'


def hills(p: Palette, w: float, h: float, n: random.Random) -> str:
    """A sun over two hills."""
    x, r = n.uniform(0.25, 0.75) * w, 0.2 * min(w, h) + 8
    low, high = n.uniform(0.55, 0.7) * h, n.uniform(0.4, 0.55) * h
    first = f"M0 {low:.1f}Q{w * 0.3:.1f} {high:.1f} {w} {h * 0.8:.1f}V{h}H0z"
    second = f"M0 {h * 0.95:.1f}Q{w * 0.65:.1f} {low:.1f} {w} {h * 0.7:.1f}V{h}H0z"
    return circle(x, h * 0.36, r, p.first) + path(first, p.second) + path(second, p.ground, ' fill-opacity=".55"')


def waves(p: Palette, w: float, h: float, n: random.Random) -> str:
    """Rows of waves under a small moon."""
    parts, rows = [circle(n.uniform(0.2, 0.8) * w, h * 0.2, h * 0.1 + 3, p.first)], 5
    for row in range(rows):
        y, lift = h * (0.34 + 0.15 * row), h * n.uniform(0.06, 0.13)
        d = f"M0 {y:.1f}q{w / 8:.1f} {-lift:.1f} {w / 4:.1f} 0t{w / 4:.1f} 0t{w / 4:.1f} 0t{w / 4:.1f} 0V{h}H0z"
        parts.append(path(d, (p.second, p.ground)[row % 2], f' fill-opacity="{0.95 - 0.1 * row:.2f}"'))
    return "".join(parts)


def rings(p: Palette, w: float, h: float, n: random.Random) -> str:
    """Rings around a point."""
    x, y, step = n.uniform(0.2, 0.8) * w, n.uniform(0.3, 0.8) * h, max(w, h) / 9
    colours = (p.second, p.ground, p.first, p.ground)
    return "".join(circle(x, y, step * (7 - i), colours[i % 4], ' fill-opacity=".9"') for i in range(7))


def stripes(p: Palette, w: float, h: float, n: random.Random) -> str:
    """Slanted stripes of several widths."""
    parts, x, slope = [], -h, n.choice((0.5, 1.0)) * h
    while x < w + h:
        wide = n.uniform(5, 16)
        d = f"M{x:.1f} {h}L{x + slope:.1f} 0h{wide:.1f}L{x + wide:.1f} {h}z"
        parts.append(path(d, n.choice((p.first, p.second, p.second))))
        x += wide + n.uniform(5, 14)
    return "".join(parts)


def dots(p: Palette, w: float, h: float, n: random.Random) -> str:
    """A grid of dots, one of which is another."""
    columns = n.choice((5, 6, 7))
    step = w / columns
    rows = max(1, int(h // step))
    top, odd = (h - rows * step) / 2 + step / 2, n.randrange(columns * rows)
    lines = "".join(f"M{step / 2:.1f} {top + step * row:.1f}h{w - step + 0.1:.1f}" for row in range(rows))
    dash = f' stroke="{p.second}" stroke-width="{step * 0.52:.1f}" stroke-linecap="round" stroke-dasharray="0 {step:g}"'
    x, y = step * (odd % columns + 0.5), top + step * (odd // columns)
    return path(lines, "none", dash) + circle(round(x, 1), round(y, 1), round(step * 0.42, 1), p.first)


def tiles(p: Palette, w: float, h: float, n: random.Random) -> str:
    """Quarter circles, each turned by chance."""
    columns = 4
    step, parts = w / columns, []
    for i in range(columns * math.ceil(h / step)):
        x, y, turn = step * (i % columns), step * (i // columns), n.randrange(4)
        corner = f"M{x:g} {y:g}h{step:g}a{step:g} {step:g} 0 0 1 {-step:g} {step:g}z"
        spin = f' transform="rotate({90 * turn} {x + step / 2:g} {y + step / 2:g})"'
        parts.append(path(corner, n.choice((p.first, p.second, p.second, p.paper)), spin))
    return "".join(parts)


def peaks(p: Palette, w: float, h: float, n: random.Random) -> str:
    """Mountains with snow."""
    parts = [circle(n.uniform(0.2, 0.8) * w, h * 0.22, h * 0.09 + 3, p.first)]
    for x, top, fill in ((0.7, n.uniform(0.2, 0.4), p.second), (0.3, n.uniform(0.35, 0.5), p.first)):
        a, y = x * w, top * h
        parts.append(path(f"M{a - h * 0.75:.1f} {h}L{a:.1f} {y:.1f}L{a + h * 0.75:.1f} {h}z", fill))
        snow = f"M{a - h * 0.14:.1f} {y + h * 0.19:.1f}L{a:.1f} {y:.1f}l{h * 0.14:.1f} {h * 0.19:.1f}z"
        parts.append(path(snow, p.paper))
    return "".join(parts)


def night(p: Palette, w: float, h: float, n: random.Random) -> str:
    """A crescent and stars."""
    x, y, r = n.uniform(0.35, 0.65) * w, 0.5 * h, 0.3 * min(w, h)
    stars = "".join(circle(n.uniform(0, w), n.uniform(0, h), n.uniform(0.8, 1.9), p.paper) for _ in range(26))
    return stars + circle(x, y, r, p.first) + circle(x + r * 0.42, y - r * 0.18, r * 0.86, p.ground)


def leaves(p: Palette, w: float, h: float, n: random.Random) -> str:
    """A stem with leaves."""
    x, parts, size = w / 2, [rect(w / 2 - 0.8, h * 0.06, 1.6, h, p.second)], h / 5.2
    for i in range(5):
        y = h * (0.98 - 0.19 * i)
        for side in (-1, 1):
            reach = side * size * n.uniform(1.1, 1.9)
            out = f"q{reach * 0.3:.1f} {-size:.1f} {reach:.1f} {-size:.1f}"
            d = f"M{x:g} {y:.1f}{out}q{-reach * 0.2:.1f} {size:.1f} {-reach:.1f} {size:.1f}z"
            parts.append(path(d, p.first if (i + side) % 3 == 0 else p.second))
    return "".join(parts)


def windows(p: Palette, w: float, h: float, n: random.Random) -> str:
    """Houses at night, a few windows lit."""
    houses, dark, lit, x = "", "", "", 0
    while x < w:
        wide, top = n.choice((22, 28, 34)), round(n.uniform(0.08, 0.55) * h)
        houses += f"M{x} {top}h{wide - 2}V{h:g}h{2 - wide}z"
        for y in range(top + 6, int(h), 11):
            for column in range(x + 4, x + wide - 8, 7):
                pane = f"M{column} {y}h4v6h-4z"
                dark, lit = (dark, lit + pane) if n.random() < 0.3 else (dark + pane, lit)
        x += wide
    return path(houses, p.second, ' fill-opacity=".55"') + path(dark, p.ground) + path(lit, p.first)


def steps(p: Palette, w: float, h: float, n: random.Random) -> str:
    """Bars that rise."""
    count = n.choice((5, 6, 8))
    wide, bars = w / count, sorted(n.uniform(0.12, 0.9) for _ in range(count))
    odd = n.randrange(count)
    return "".join(
        rect(i * wide, h * (1 - bar), wide - 2.5, h * bar, p.first if i == odd else p.second)
        for i, bar in enumerate(bars)
    )


def pair(p: Palette, w: float, h: float, n: random.Random) -> str:
    """Two discs that overlap."""
    r, lean = 0.36 * min(w, h), n.uniform(-0.12, 0.12) * h
    left = circle(w / 2 - r * 0.55, h / 2 + lean, r, p.first)
    return left + circle(w / 2 + r * 0.55, h / 2 - lean, r, p.second, ' fill-opacity=".8"')


_ALL = (hills, waves, rings, stripes, dots, tiles, peaks, night, leaves, windows, steps, pair)
MOTIFS = {motif.__name__: motif for motif in _ALL}

#: Palettes and motifs of the genres; any other genre takes some by a hash of its name.
GENRES = {
    "fantasy": ("forest plum teal", "peaks night rings"),
    "science fiction": ("dusk night sky", "rings dots night"),
    "horror": ("night wine", "night windows stripes"),
    "young adult": ("rose sky plum", "pair hills tiles"),
    "children's": ("sky teal rust", "hills dots waves"),
    "crime": ("night sea wine", "windows stripes rings"),
    "thriller": ("night rust sea", "stripes rings steps"),
    "historical fiction": ("umber wine olive", "hills tiles waves"),
    "romance": ("rose wine plum", "pair leaves waves"),
    "classics": ("sea wine forest umber", "tiles leaves rings"),
    "world literature": ("rust teal olive", "waves hills tiles"),
    "poetry and drama": ("plum forest sea", "leaves pair waves"),
    "graphic novels": ("sky night rust", "dots windows stripes"),
    "literary fiction": ("sea olive dusk teal", "pair tiles hills"),
    "history": ("umber wine olive", "tiles steps peaks"),
    "science": ("sky teal dusk", "rings dots pair"),
    "ideas": ("olive dusk rust", "pair steps tiles"),
    "business": ("sea sky umber", "steps stripes dots"),
    "food and travel": ("forest rust teal", "leaves peaks waves"),
    "humour": ("rust rose sky", "dots pair stripes"),
    "biography": ("umber sea plum", "rings leaves windows"),
}


def choose(genre: str, number: int) -> tuple[Palette, str]:
    """Return the palette and the name of the motif for a book of this genre; `number` is the book's own."""
    if genre in GENRES:
        palettes, motifs = (names.split() for names in GENRES[genre])
    else:
        palettes, motifs = list(PALETTES), list(MOTIFS)
        number = zlib.crc32(genre.encode()) + number % 3 * 5
    return PALETTES[palettes[number % len(palettes)]], motifs[number // 7 % len(motifs)]
