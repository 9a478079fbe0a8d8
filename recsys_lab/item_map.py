"""A map of what a model has learned of its items: `item_map` draws their vectors in two dimensions, to walk about in.

The picture is SVG made by `ItemMap`, with or without ipywidgets; the widgets only choose what is marked in it. Used is
what ipywidgets 7.7 and 8 share. Every text from a catalogue is escaped.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd

from recsys_lab.plots import COLOURS

SIZE, EDGE = 560, 24  # of the picture and of its empty rim
WALK = "by cosine (a button goes there):"
BADGE = 13  # radius of a number's disc: still to be read where the picture is as narrow as a telephone
ALL = "all genres"
# each group has a colour and a shape of its own: no meaning hangs on colour alone
SHAPES = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
    "M-3.6,-3.6h7.2v7.2h-7.2z",
    "M0,-4.6 4.4,3.4 -4.4,3.4z",
    "M0,-5 4.2,0 0,5 -4.2,0z",
)


def project(vectors) -> np.ndarray:
    """Return the two directions in which vectors of length 1 differ most (principal components).

    Parameters
    ----------
    vectors : array-like of float, shape (n_items, n_factors)

    Returns
    -------
    ndarray of float64, shape (n_items, 2)
        The same for the same vectors: of the two signs that a component may have, the one with the larger sum of cubes.
    """
    centred = _unit(vectors)
    centred = centred - centred.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    flat = np.zeros((len(centred), 2))
    found = centred @ directions[:2].T
    flat[:, : found.shape[1]] = found
    return flat * np.where((flat**3).sum(axis=0) < 0, -1, 1)


def _unit(vectors) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


class ItemMap:
    """The picture and the neighbours.

    Parameters
    ----------
    vectors : array-like of float, shape (n_items, n_factors)
        One row for each row of `items`.
    items : DataFrame
        Column `title`; `author` and `genre` where there are any.
    n_neighbours : int

    Raises
    ------
    ValueError
        If vectors and items do not belong together, or a number is not finite.
    """

    def __init__(self, vectors, items: pd.DataFrame, n_neighbours: int = 8):
        vectors = np.asarray(vectors, dtype=np.float64)
        if vectors.ndim != 2 or len(vectors) != len(items) or len(items) == 0:
            raise ValueError(f"item_map: {len(items)} items need as many rows of vectors, not shape {vectors.shape}.")
        if "title" not in items:
            raise ValueError(f"item_map: items needs a column 'title'; it has {', '.join(map(str, items))}.")
        if not np.isfinite(vectors).all():
            raise ValueError("item_map: some vector holds NaN or infinity. Leave out items without a vector.")
        self.unit, self.flat = _unit(vectors), project(vectors)
        self.titles, self.authors, self.genres = (_column(items, c) for c in ("title", "author", "genre"))
        self.labels = _labels(self.titles, self.authors)
        self.groups = sorted(set(self.genres) - {""})
        self.n_neighbours = min(n_neighbours, len(items) - 1)

    def neighbours(self, item: int) -> list[tuple[int, float]]:
        """Return (item, cosine) of the nearest ones, best first: in all dimensions, not in the picture's two."""
        cosines = self.unit @ self.unit[item]
        cosines[item] = -np.inf
        order = np.argsort(-cosines, kind="stable")[: self.n_neighbours]
        return [(int(i), float(cosines[i])) for i in order]

    def find(self, text: str) -> list[int]:
        """Return the items whose label has this text in it: those that are it first, then those that begin with it."""
        text = _plain(text)
        labels = [_plain(label) for label in self.labels]
        found = [i for i, label in enumerate(labels) if text and text in label]
        return sorted(found, key=lambda i: (labels[i] != text, not labels[i].startswith(text)))

    def html(self, item: int, genre: str = ALL, near: bool = False) -> str:
        """Return the picture as HTML.

        Parameters
        ----------
        item : int
            Which one is chosen: it is ringed, and its neighbours are numbered.
        genre : str
            The others are drawn faintly.
        near : bool
            Zoom in: show only the part with the chosen item and its neighbours.
        """
        neighbours = [i for i, _ in self.neighbours(item)]
        x, y = self._places([item, *neighbours] if near else range(len(self.titles)))
        marks = "".join(self._mark(i, x[i], y[i], genre, 1.6 if near else 1) for i in self._visible(x, y))
        lines = "".join(_line(x[item], y[item], x[i], y[i]) for i in neighbours)
        badges = _badges([(x[i], y[i]) for i in [item, *neighbours]])
        # once more, above the lines: what the numbers mean must not be hidden by them
        badges += "".join(self._mark(i, x[i], y[i], self.genres[i], 1.6, "#000") for i in [item, *neighbours])
        label = f"Map of {len(self.titles)} items. Chosen: {self.labels[item]}. Nearest: "
        label += "; ".join(f"{n}. {self.labels[i]}" for n, i in enumerate(neighbours, 1))
        frame = f'viewBox="0 0 {SIZE} {SIZE}" style="width:100%;max-width:{SIZE}px;display:block"'
        ground = f'<rect width="{SIZE}" height="{SIZE}" rx="6" fill="#fff"/>'
        svg = f'<svg role="img" aria-label="{_safe(label)}" {frame}>{ground}{marks}{lines}{badges}</svg>'
        return f'<div style="color:inherit;line-height:1.35">{self._head(item)}{svg}</div>'

    def text(self, item: int) -> str:
        """Return the chosen item and its neighbours in words, as HTML."""
        lines = "".join(f"<li>{_safe(self.labels[i])} ({cosine:.3f})</li>" for i, cosine in self.neighbours(item))
        return f"<p>Nearest to <strong>{_safe(self.labels[item])}</strong> (cosine):</p><ol>{lines}</ol>"

    def _head(self, item: int) -> str:
        facts = " · ".join(_safe(part) for part in (self.authors[item], self.genres[item]) if part)
        return f'<p style="margin:2px 0 6px"><strong>{_safe(self.titles[item])}</strong><br>{facts}</p>'

    def _places(self, shown: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of all items in the picture, such that those shown fill it."""
        part = self.flat[list(shown)]
        middle, span = (part.min(axis=0) + part.max(axis=0)) / 2, np.ptp(part, axis=0).max()
        scaled = (self.flat - middle) / (span if span > 0 else 1) * (SIZE - 2 * EDGE) + SIZE / 2
        return scaled[:, 0].round(1), (SIZE - scaled[:, 1]).round(1)

    @staticmethod
    def _visible(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.flatnonzero((x > 4) & (x < SIZE - 4) & (y > 4) & (y < SIZE - 4))

    def _mark(self, item: int, x: float, y: float, genre: str, scale: float, edge: str = "") -> str:
        bright = genre in (ALL, self.genres[item])
        look = f'fill="{self._colour(self.genres[item])}" opacity="{1 if edge else 0.8 if bright else 0.13}"'
        look += f' stroke="{edge}"' if edge else ""
        where = f'd="{self._shape(self.genres[item])}" transform="translate({x},{y}) scale({scale})"'
        return f"<path {where} {look}><title>{_safe(self.labels[item])}</title></path>"

    def _colour(self, genre: str) -> str:
        return COLOURS[self.groups.index(genre) % len(COLOURS)] if genre else "#777"

    def _shape(self, genre: str) -> str:
        return SHAPES[self.groups.index(genre) // len(COLOURS) % len(SHAPES)] if genre else SHAPES[0]

    def legend(self, genre: str = ALL) -> str:
        """Return the genres with their signs as HTML; `genre` is set in bold."""
        if not self.groups:
            return ""
        box = '<svg aria-hidden="true" viewBox="-7 -7 14 14" width="14" height="14" style="background:#fff">'
        signs = [f'{box}<path d="{self._shape(g)}" fill="{self._colour(g)}"/></svg>' for g in self.groups]
        words = [f"<strong>{_safe(g)}</strong>" if g == genre else _safe(g) for g in self.groups]
        style = "display:inline-flex;align-items:center;gap:3px;margin:0 10px 2px 0;white-space:nowrap"
        lines = (f'<span style="{style}">{s}{w}</span>' for s, w in zip(signs, words, strict=True))
        return f'<div style="max-width:940px;margin-top:6px;font-size:13px;line-height:1.5">{"".join(lines)}</div>'


def _column(items: pd.DataFrame, name: str) -> list[str]:
    found = items[name] if name in items else pd.Series("", index=items.index)
    return [" ".join(text.split()) for text in found.fillna("").astype(str)]


def _labels(titles: list[str], authors: list[str]) -> list[str]:
    """Title and author, told apart where two items share both."""
    labels, seen = [], {}
    for title, author in zip(titles, authors, strict=True):
        label = f"{title or '(no title)'}, {author}" if author else title or "(no title)"
        seen[label] = seen.get(label, 0) + 1
        labels.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return labels


def _plain(text) -> str:
    return " ".join(str(text).split()).casefold()


def _safe(text) -> str:
    return html.escape(str(text), quote=True)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1},{y1} {x2},{y2}" stroke="#000" stroke-opacity=".45" fill="none"/>'


def _badges(places: list[tuple[float, float]]) -> str:
    """A ring for the first place, and numbers for the others that cover neither each other nor a place."""
    (x0, y0), taken = places[0], []
    parts = [f'<circle cx="{x0}" cy="{y0}" r="11" fill="none" stroke="#000" stroke-width="3"/>']
    for number, (x, y) in enumerate(places[1:], 1):
        u, v = _free_place(x, y, places, taken)
        taken.append((u, v))
        parts.append(_line(x, y, round(u, 1), round(v, 1)))
        parts.append(f'<circle cx="{u:.1f}" cy="{v:.1f}" r="{BADGE}" fill="#fff" stroke="#000"/>')
        style = 'text-anchor="middle" style="font:bold 19px sans-serif" fill="#000"'
        parts.append(f'<text x="{u:.1f}" y="{v + 7:.1f}" {style}>{number}</text>')
    return "".join(parts)


def _free_place(x: float, y: float, places: list[tuple[float, float]], taken: list[tuple[float, float]]):
    """The nearest place for a number to (x, y) that is free; if there is none, the nearest inside the picture."""
    tries = [(x + r * np.cos(a), y + r * np.sin(a)) for r in range(22, 180, 10) for a in np.arange(0, 2 * np.pi, 0.4)]
    inside = [t for t in tries if all(BADGE < c < SIZE - BADGE for c in t)] or tries
    far = ((taken, 2 * BADGE + 1), (places, BADGE + 8))
    free = (t for t in inside if all(np.hypot(t[0] - u, t[1] - v) > d for them, d in far for u, v in them))
    return next(free, inside[0])


def item_map(vectors, items: pd.DataFrame, start: str | None = None, n_neighbours: int = 8):
    """Walk about in the items' vectors: search a title, go to a neighbour, light up a genre, zoom in.

    Parameters
    ----------
    vectors : array-like of float, shape (n_items, n_factors)
        One row for each row of `items`.
    items : DataFrame
        Column `title`; `author` and `genre` where there are any.
    start : str, optional
        Title, or part of it, of the item that is chosen first; by default the first row.
    n_neighbours : int

    Returns
    -------
    ipywidgets.VBox or Plain
        `Plain`, a picture with text, where ipywidgets is missing.
    """
    drawn = ItemMap(vectors, items, n_neighbours)
    found = [0] if start is None else drawn.find(start)
    if not found:
        raise ValueError(f"item_map: no title has {start!r} in it.")
    try:
        import ipywidgets
    except ImportError:
        return Plain(drawn, found[0])
    return _explorer(ipywidgets, drawn, found[0])


def _explorer(ipywidgets, drawn: ItemMap, first: int):
    layout = ipywidgets.Layout
    search = ipywidgets.Combobox(
        placeholder="part of a title, then Enter",
        options=drawn.labels,
        description="Search:",
        continuous_update=False,
        layout=layout(width="420px", max_width="98%"),
    )
    genre = ipywidgets.Dropdown(options=[ALL, *drawn.groups], value=ALL, description="Light up:")
    near = ipywidgets.ToggleButton(value=False, description="Zoom in")
    back = ipywidgets.Button(description="Back", disabled=True)
    picture, said, head, legend = (ipywidgets.HTML() for _ in range(4))
    go_to = [ipywidgets.Button(layout=layout(width="98%")) for _ in range(drawn.n_neighbours)]
    path = [first]

    def show(_=None, words=""):
        said.value = words and f"<p>{words}</p>"
        legend.value = drawn.legend(genre.value)
        near_to = f"Nearest to <strong>{_safe(drawn.titles[path[-1]])}</strong>, {WALK}"
        head.value = f"<p style='margin:2px 0 6px;line-height:1.3'>{near_to}</p>"
        picture.value = drawn.html(path[-1], genre.value, near.value)
        for number, (button, (i, cosine)) in enumerate(zip(go_to, drawn.neighbours(path[-1]), strict=True), 1):
            title = textwrap.shorten(drawn.titles[i], 40, placeholder=" …")
            button.description = f"{number} · {cosine:.3f} · {title}"
            button.target = i
        back.disabled = len(path) == 1

    def go(item: int, words=""):
        path.append(item)
        show(words=words)

    def searched(change):
        if not change["new"].strip():
            return
        text, found = f"<em>{_safe(change['new'].strip())}</em>", drawn.find(change["new"])
        search.value = ""
        if not found:
            show(words=f"No title or author has {text} in it.")
        elif len(found) == 1 or _plain(drawn.labels[found[0]]) == _plain(change["new"]):
            go(found[0])
        else:
            go(found[0], f"{text} stands in {len(found)} titles and authors; this is the first. Type more of it.")

    def return_(_):
        path.pop()
        show()

    search.observe(searched, "value")
    genre.observe(show, "value")
    near.observe(show, "value")
    back.on_click(return_)
    for button in go_to:
        button.on_click(lambda b: go(b.target))
    show()
    beside = ipywidgets.VBox([head, *go_to, back], layout=layout(width="315px", max_width="98%"))
    left = ipywidgets.VBox([picture], layout=layout(width="530px", max_width="98%"))
    row = layout(flex_flow="row wrap")
    body = ipywidgets.Box([left, beside], layout=layout(display="flex", flex_flow="row wrap"))
    return ipywidgets.VBox([ipywidgets.HBox([search, genre, near], layout=row), said, body, legend])


class Plain:
    """The same without widgets: the picture with one item chosen, and its neighbours in words."""

    def __init__(self, drawn: ItemMap, item: int):
        self.drawn, self.item = drawn, item

    def __repr__(self) -> str:
        lines = [
            f"  {n}. {self.drawn.labels[i]} ({c:.3f})" for n, (i, c) in enumerate(self.drawn.neighbours(self.item), 1)
        ]
        head = f"Nearest to {self.drawn.labels[self.item]} (install ipywidgets to walk on):"
        return "\n".join([head, *lines])

    def _repr_html_(self) -> str:
        return self.drawn.html(self.item) + self.drawn.text(self.item) + self.drawn.legend()
