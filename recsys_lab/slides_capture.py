"""Runs inside a lab's kernel while slides are made: keeps every figure that is drawn as SVG.

The same code gives the same bytes. What would be a very large SVG, a cloud of thousands of dots, is kept as PNG.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os

import matplotlib as mpl

from recsys_lab import plots

#: Environment variable with the file that figures are collected in.
VARIABLE = "RECSYS_LAB_SLIDE_FIGURES"
#: Larger figures are drawn anew at this size (in), so that their letters are large enough from the back row.
WIDEST, TALLEST = 8.6, 4.8
LARGEST = 200_000
DPI = 220
#: Part of the key under which figures are kept: raise it when this module draws differently.
VERSION = 6


def begin() -> None:
    """From here on, keep for every PNG that `plots.png` makes the same figure as it should be on a slide."""
    png = plots.png

    def keep(figure) -> bytes:
        kind, data = drawn(figure)
        image = png(figure)
        line = {"png": hashlib.sha256(image).hexdigest(), "kind": kind, "data": base64.b64encode(data).decode()}
        with open(os.environ[VARIABLE], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return image

    plots.png = keep


def drawn(figure) -> tuple[str, bytes]:
    """Return a figure as ``("svg", bytes)``, or as PNG where that would be too large."""
    squeeze(figure)
    data = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "recsys-lab", "svg.fonttype": "path"}):
        figure.savefig(data, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    if len(data.getvalue()) <= LARGEST:
        return "svg", data.getvalue()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return "png", data.getvalue()


def squeeze(figure) -> None:
    """Draw a large figure less large, so that its letters grow on a slide; not where something would be cut off then."""
    width, height = figure.get_size_inches()
    smaller = min(width, WIDEST), min(height, TALLEST)
    if smaller == (width, height):
        return
    figure.set_size_inches(*smaller)
    figure.canvas.draw()
    inside = figure.get_tightbbox()
    if min(inside.x0, inside.y0) < -0.02 or inside.x1 > smaller[0] + 0.02 or inside.y1 > smaller[1] + 0.02:
        figure.set_size_inches(width, height)
