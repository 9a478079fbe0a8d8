"""Runs inside a lab's kernel while slides are made: keeps every figure that is drawn as SVG.

The same code gives the same bytes. What would be a very large SVG, a cloud of thousands of dots, is kept as PNG.
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import os

import matplotlib as mpl
from matplotlib.text import Text

from recsys_lab import plots

#: Environment variable with the file that figures are collected in.
VARIABLE = "RECSYS_LAB_SLIDE_FIGURES"
#: Width and height (in) beyond which a figure is drawn smaller, so that its letters grow on a slide, and the size (pt)
#: below which letters are enlarged. The first that cuts nothing off and puts no words over others is taken.
WAYS = ((8.6, 4.4, 12), (8.6, 4.4, 11), (8.6, 4.8, 11), (8.6, 9.0, 0), (99.0, 99.0, 0))
LARGEST = 200_000
DPI = 220
#: Part of the key under which figures are kept: raise it when this module draws differently.
VERSION = 8


def begin() -> None:
    """From here on, keep for every PNG that `plots.png` makes the same figure as it should be on a slide."""
    png = plots.png

    def keep(figure) -> bytes:
        kind, data, letters = drawn(figure)
        image = png(figure)
        line = {"png": hashlib.sha256(image).hexdigest(), "kind": kind, "letters": letters}
        line["data"] = base64.b64encode(data).decode()
        with open(os.environ[VARIABLE], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return image

    plots.png = keep


def drawn(figure) -> tuple[str, bytes, float]:
    """Return a figure as ``("svg", bytes, smallest letters in pt)``, or as PNG where that would be too large."""
    letters = enlarge(figure)
    data = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "recsys-lab", "svg.fonttype": "path"}):
        figure.savefig(
            data, format="svg", **crop(figure), metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    if len(data.getvalue()) <= LARGEST:
        return "svg", data.getvalue(), letters
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, **crop(figure), metadata={"Software": None})
    return "png", data.getvalue(), letters


def words(figure) -> list[Text]:
    """Return the texts of a figure that are to be seen."""
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def enlarge(figure) -> float:
    """Draw a figure in the first of `WAYS` that keeps it whole; return the size of its smallest letters (pt)."""
    size, fonts = figure.get_size_inches().copy(), {text: text.get_fontsize() for text in words(figure)}
    figure.canvas.draw()
    before = collisions(figure)
    for width, height, smallest in WAYS:
        figure.set_size_inches(min(size[0], width), min(size[1], height))
        for text, points in fonts.items():
            text.set_fontsize(max(points, smallest))
        figure.canvas.draw()
        if is_whole(figure) and collisions(figure) <= before:
            break
    return min(text.get_fontsize() for text in words(figure))


def is_whole(figure) -> bool:
    """Whether nothing of a figure is cut off at its edges."""
    inside, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return min(inside.x0, inside.y0) > -0.02 and inside.x1 < width + 0.02 and inside.y1 < height + 0.02


def crop(figure) -> dict:
    """Return how to save a figure: with room for what would be cut off, if there is such a thing."""
    return {} if is_whole(figure) else {"bbox_inches": "tight"}


def collisions(figure) -> int:
    """How many pairs of words lie over each other."""
    boxes = [text.get_window_extent() for text in words(figure)]
    return sum(
        min(one.x1, other.x1) - max(one.x0, other.x0) > 1 and min(one.y1, other.y1) - max(one.y0, other.y0) > 3
        for one, other in itertools.combinations(boxes, 2)
    )
