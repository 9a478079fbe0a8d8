"""What lab 06 shows while it runs: curves that grow during training, and a visit in which the list follows each click.

`Curves` is handed to ``fit(progress=...)``. `click_through` asks a model after every click and says what has moved in
its list; what is seen is HTML made by `Visit`, with or without ipywidgets. Used is what ipywidgets 7.7 and 8 share.
Every text from a catalogue is escaped.
"""

from __future__ import annotations

import base64
import html
import os
import textwrap
from collections.abc import Sequence

import pandas as pd
from IPython.display import display

from recsys_lab import plots
from recsys_lab.widgets import cover

_ROW = "display:flex;flex-wrap:wrap;gap:8px;list-style:none;margin:4px 0 8px;padding:0"


# ---- curves -------------------------------------------------------------------------------------------------------


class Curves:
    """Mean loss and validation of each epoch of a training, drawn while it runs.

    Parameters
    ----------
    alt : str
        What the finished figure shows, in words.
    every : int
        Draw at every so many reports between two epochs, for the line that says how far the training is.

    Examples
    --------
    ``GRU4Rec().fit(train, validation=part, progress=Curves("Loss falls, validation rises and levels off."))``

    Notes
    -----
    Points come at the end of an epoch, so ``fit`` needs ``validation=`` too. The loss of a single report is that of a
    few steps; the last ones of an epoch have few lanes and long sessions, and a curve of them is a saw-tooth. With
    ``RECSYS_LAB_PROGRESS=0`` only the finished figure is shown.
    """

    def __init__(self, alt: str, every: int = 4):
        self.alt, self.every = alt, every
        self.losses: list[tuple[float, float]] = []
        self.validation: list[tuple[int, float, float]] = []
        self._live = os.environ.get("RECSYS_LAB_PROGRESS") != "0"
        self._handle, self._last, self._calls = None, None, 0

    def __call__(self, report) -> None:
        """Take a `gru4rec_run.Report`, and draw now and then."""
        self._last = report
        if report.validation is not None:
            self.validation.append((report.epoch, *report.validation))
            self.losses.append((report.epoch, report.loss))  # here, the mean of the epoch
        self._calls += 1
        at_an_end = report.validation is not None
        done = at_an_end and report.epoch == report.n_epochs
        if done or (self._live and (at_an_end or (self._calls - 1) % self.every == 0)):
            self._show()

    def status(self) -> str:
        """Say how far the training is, in one line."""
        r = self._last
        left = f", {r.seconds_left:.0f} s left" if r.seconds_left > 0.5 else ""
        return f"epoch {r.epoch} of {r.n_epochs}, step {r.step} of {r.n_steps}, loss {r.loss:.3f}{left}"

    def _bar(self) -> str:
        r = self._last
        done, total = (r.epoch - 1) * r.n_steps + r.step, r.n_epochs * r.n_steps
        return f'<progress aria-label="training" max="{total}" value="{done}"></progress>'

    def draw(self):
        """Return the figure: loss, and recall@20 and MRR@20 of the validation part."""
        figure, (left, *others) = plots.plt.subplots(1, 3, figsize=(8.5, 2.9))
        left.plot(*zip(*self.losses, strict=True) if self.losses else ([], []), marker="^")
        left.set(xlabel="epoch", title="Mean loss", xlim=(0, self._last.n_epochs + 0.5))
        for number, (axes, name) in enumerate(zip(others, ("recall@20", "MRR@20"), strict=True), 1):
            points = [(row[0], row[number]) for row in self.validation]
            if points:
                axes.plot(*zip(*points, strict=True), marker="os"[number - 1], color=plots.COLOURS[number])
            axes.set(xlabel="epoch", title=f"Validation {name}", xlim=(0, self._last.n_epochs + 0.5))
        for axes in (left, *others):
            axes.title.set_fontsize(12)
        return figure

    def _show(self) -> None:
        source = plots.png(self.draw())
        data = _picture(source, self.alt)
        if self._live:
            data["text/html"] += f"<p>{self._bar()} {html.escape(self.status())}</p>"
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _picture(image: bytes, alt: str) -> dict[str, str]:
    source = "data:image/png;base64," + base64.b64encode(image).decode()
    tag = f'<img style="max-width: 100%" alt="{html.escape(alt)}" src="{source}">'
    return {"text/html": tag, "text/plain": f"Figure: {alt}"}


# ---- a visit ------------------------------------------------------------------------------------------------------


def moves(before: Sequence, after: Sequence) -> list[str]:
    """How each item of a list stands against the list before: "new", "up 2", "down 1" or "as before".

    Examples
    --------
    >>> moves(["a", "b", "c"], ["b", "d", "c"])
    ['up 1', 'new', 'as before']
    >>> moves([], ["a"])
    ['']
    """
    if not len(before):
        return [""] * len(after)
    old = {item: place for place, item in enumerate(before)}
    words = []
    for place, item in enumerate(after):
        step = old[item] - place if item in old else None
        words.append(
            "new" if step is None else "as before" if step == 0 else f"{'up' if step > 0 else 'down'} {abs(step)}"
        )
    return words


SIGNS = {"new": "★", "up": "▲", "down": "▼", "as": "="}


class Visit:
    """A visit so far, and the model's list after each of its clicks.

    Parameters
    ----------
    model : Recommender
        Fitted.
    items : DataFrame
        Columns `item_id` and `title`; `author` and `genre` where there are any.
    clicks : sequence of item ids
        What was clicked so far.
    k : int
        Length of the list.
    """

    def __init__(self, model, items: pd.DataFrame, clicks: Sequence = (), k: int = 6):
        self.model, self.k, self.clicks = model, k, list(clicks)
        self._items = items.set_index("item_id")
        unknown = [item for item in self.clicks if item not in self._items.index]
        if unknown:
            raise ValueError(f"click_through: item {unknown[0]!r} is not in the table of items.")

    def listed(self, n_clicks: int | None = None) -> list:
        """Return the list after the first `n_clicks` clicks, after all of them by default."""
        clicks = self.clicks if n_clicks is None else self.clicks[:n_clicks]
        return self.model.recommend(clicks, k=self.k, exclude=clicks).tolist()

    def moved(self) -> list[str]:
        """Return for each item of the list how it stands against the list before the last click."""
        return moves(self.listed(len(self.clicks) - 1) if self.clicks else [], self.listed())

    def title(self, item) -> str:
        """Return the title of an item."""
        return " ".join(str(self._items.at[item, "title"]).split()) or "(no title)"

    def status(self) -> str:
        """Say in one sentence what the last click did."""
        if not self.clicks:
            return "Nothing clicked yet: the list is what is popular."
        n, new = len(self.clicks), self.moved().count("new")
        return f"After {n} click{'s' * (n > 1)}: {new} of {self.k} books are new in the list."

    def tile(self, item, note: str = "") -> str:
        """Return the cover of an item with a note below it."""
        row = self._items.loc[item]
        sign = SIGNS.get(note.split(" ")[0], "") if note else ""
        picture = cover(self.title(item), str(row.get("author", "") or ""), str(row.get("genre", "") or ""))
        below = f'<div style="font-size:12px;line-height:1.4">{sign} {html.escape(note)}</div>' if note else ""
        return f'<div style="width:96px">{picture}{below}</div>'

    def so_far(self) -> str:
        """Return the clicks as a row of covers."""
        tiles = "".join(f"<li>{self.tile(item)}</li>" for item in self.clicks[-10:])
        more = f" (the last 10 of {len(self.clicks)})" if len(self.clicks) > 10 else ""
        inside = f'<ul style="{_ROW}">{tiles}</ul>' if tiles else "<p>nothing yet</p>"
        return f'<div style="color:inherit"><strong>Clicked so far{more}</strong>{inside}</div>'

    def html(self) -> str:
        """Return the visit and the list as one piece."""
        tiles = "".join(f"<li>{self.tile(i, note)}</li>" for i, note in zip(self.listed(), self.moved(), strict=True))
        head = f"<p><strong>Shown next.</strong> {html.escape(self.status())}</p>"
        return f'{self.so_far()}{head}<ol style="{_ROW}">{tiles}</ol>'

    def find(self, text: str):
        """Return the first item whose title begins with a text or else has it in it; None if there is none."""
        wanted = text.strip().casefold()
        known = [item for item in self._items.index if item in self.model.vocabulary_]
        titles = [(self.title(item).casefold(), item) for item in known]
        for fits in (str.startswith, str.__contains__):
            found = [item for title, item in titles if fits(title, wanted)]
            if wanted and found:
                return found[0]
        return None


def click_through(model, items: pd.DataFrame, clicks: Sequence = (), k: int = 6):
    """Click through a shop and watch the list follow: click a listed book, search any other, go back, start again.

    Parameters
    ----------
    model, items, clicks, k
        As in `Visit`.

    Returns
    -------
    ipywidgets.VBox or Plain
        `Plain`, covers and words, where ipywidgets is missing.

    Raises
    ------
    ValueError
        For a click on an item that is not in the table.
    """
    visit = Visit(model, items, clicks, k)
    try:
        import ipywidgets
    except ImportError:
        return Plain(visit)
    return _explorer(ipywidgets, visit)


def _explorer(ipywidgets, visit: Visit):
    layout, first = ipywidgets.Layout, list(visit.clicks)
    so_far, said = ipywidgets.HTML(), ipywidgets.HTML()
    search = ipywidgets.Combobox(
        placeholder="part of a title, then Enter",
        options=sorted({visit.title(item) for item in visit._items.index}),
        description="Open:",
        continuous_update=False,
        layout=layout(width="340px", max_width="98%"),
    )
    back, again = ipywidgets.Button(description="Back"), ipywidgets.Button(description="Start again")
    pictures = [ipywidgets.HTML() for _ in range(visit.k)]
    buttons = [ipywidgets.Button(layout=layout(width="120px", margin="2px 0")) for _ in range(visit.k)]
    column = layout(width="124px", align_items="center", margin="0 0 10px 0")  # two side by side on a phone
    tiles = [ipywidgets.VBox(pair, layout=column) for pair in zip(pictures, buttons, strict=True)]

    def show():
        so_far.value = visit.so_far()
        said.value = f'<p role="status"><strong>Shown next.</strong> {html.escape(visit.status())}</p>'
        listed = visit.listed()
        for tile, button in zip(tiles[len(listed) :], buttons[len(listed) :], strict=True):
            tile.layout.display, button.description = "none", ""
        rows = enumerate(zip(pictures, buttons, listed, visit.moved(), strict=False), 1)
        for place, (picture, button, item, note) in rows:
            picture.value = visit.tile(item, note)
            button.description = f"{place} · {textwrap.shorten(visit.title(item), 40, placeholder=' …')}"
            button.tooltip = f"Click {visit.title(item)}"
            button.target = item
            tiles[place - 1].layout.display = "flex"
        back.disabled = not visit.clicks

    def click(item):
        visit.clicks.append(item)
        show()

    def searched(change):
        if not change["new"].strip():
            return
        found, search.value = visit.find(change["new"]), ""
        if found is None:
            said.value = f'<p role="status">No title has <em>{html.escape(change["new"])}</em> in it.</p>'
        else:
            click(found)

    def return_(_):
        visit.clicks.pop()
        show()

    def restart(_):
        visit.clicks[:] = first
        show()

    search.observe(searched, "value")
    back.on_click(return_)
    again.on_click(restart)
    for button in buttons:
        button.on_click(lambda b: click(b.target))
    show()
    row = layout(display="flex", flex_flow="row wrap")
    head = ipywidgets.Box([search, back, again], layout=row)
    return ipywidgets.VBox([head, so_far, said, ipywidgets.Box(tiles, layout=row)])


class Plain:
    """The same without widgets: the visit so far and the list after it."""

    def __init__(self, visit: Visit):
        self.visit = visit

    def __repr__(self) -> str:
        visit = self.visit
        pairs = zip(visit.listed(), visit.moved(), strict=True)
        lines = [f"  {n}. {visit.title(i)}{f' ({note})' if note else ''}" for n, (i, note) in enumerate(pairs, 1)]
        clicked = "; ".join(visit.title(item) for item in visit.clicks) or "nothing"
        return "\n".join([f"Clicked: {clicked}. Shown next (install ipywidgets to click on):", *lines])

    def _repr_html_(self) -> str:
        return self.visit.html()
