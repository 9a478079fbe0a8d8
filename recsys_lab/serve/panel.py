"""The bookshop as a panel for notebooks: the same `Shop`, the same lists as the pages, drawn with ipywidgets.

It needs no server and no JavaScript of its own, and uses only what ipywidgets 7.7 (Colab) and 8 share. Every tile is
made once and filled anew after a click, so a long visit leaves no widgets behind.
"""

from __future__ import annotations

import html
import secrets

from recsys_lab.serve.actions import Actions
from recsys_lab.serve.covers import cover
from recsys_lab.serve.views import Card, Shelf, Views, Visit

N_FOUND, N_FOR_YOU, N_RECENT = 6, 6, 6  # a row each, in the width of a notebook
TILE = 118  # pixels


def shop_panel(shop, session_id: str | None = None):
    """Show the shop in a notebook: search, look at books, and watch what is recommended move.

    Parameters
    ----------
    shop : Shop
    session_id : str, optional
        The visit; by default a new one.

    Returns
    -------
    ipywidgets.VBox

    Raises
    ------
    ImportError
        Where ipywidgets is missing; ``pip install ipywidgets`` mends it.
    """
    import ipywidgets

    return _Panel(ipywidgets, shop, session_id or f"panel-{secrets.token_hex(8)}").box


class _Tile:
    """One book: its cover, and a button that looks at it."""

    def __init__(self, w, clicked):
        self.card: Card | None = None
        self.picture = w.HTML()
        self.button = w.Button(layout=w.Layout(width=f"{TILE}px", margin="2px 0"))
        self.note = w.HTML()
        layout = w.Layout(width=f"{TILE + 8}px", margin="0 8px 8px 0", overflow="hidden")
        self.box = w.VBox([self.picture, self.button, self.note], layout=layout)
        self.button.on_click(lambda _: clicked(self.card))

    def show(self, card: Card | None) -> None:
        """Fill the tile, or hide it where there is no book for it."""
        self.card = card
        self.box.layout.display = "none" if card is None else ""
        if card is None:
            return
        book = card.item
        picture = cover(book.title, book.author, book.genre)
        style = f"width:{TILE}px;height:auto;display:block"
        self.picture.value = picture.replace("<svg ", f'<svg style="{style}" ', 1)
        self.button.description = "Look"
        self.button.tooltip = f"Look at {book.title}"
        why = "".join(f"<p>{html.escape(line)}</p>" for line in card.reason)
        fold = f"<details><summary>Why this?</summary>{why}</details>" if why else ""
        words = f"<strong>{html.escape(book.title)}</strong><br>{html.escape(book.author)}"
        self.note.value = f'<div style="{_NOTE}">{words}{fold}</div>'


class _Row:
    """A heading and tiles below it."""

    def __init__(self, w, number: int, clicked):
        self.head = w.HTML()
        self.tiles = [_Tile(w, clicked) for _ in range(number)]
        tiles = w.Box([tile.box for tile in self.tiles], layout=w.Layout(flex_flow="row wrap"))
        self.box = w.VBox([self.head, tiles])

    def show(self, shelf: Shelf | None) -> None:
        """Fill the row; None hides it."""
        self.box.layout.display = "none" if shelf is None else ""
        if shelf is None:
            return
        says = shelf.says if shelf.cards else shelf.empty
        mark = " <em>(a model did not answer)</em>" if shelf.degraded else ""
        self.head.value = (
            f'<h3 style="margin:10px 0 2px">{html.escape(shelf.title)}{mark}</h3>'
            f'<p style="margin:0 0 6px">{html.escape(says)}</p>'
        )
        cards = [*shelf.cards, *[None] * len(self.tiles)]
        for tile, card in zip(self.tiles, cards, strict=False):
            tile.show(card)


class _Panel:
    """The panel of one visit."""

    def __init__(self, w, shop, session_id: str):
        self.shop, self.views, self.actions = shop, Views(shop), Actions(shop)
        self.visit, self.book = Visit(session_id), None
        wide = w.Layout(width="340px")
        self.field = w.Text(placeholder="title or author", description="Search:", layout=wide)
        self.reader = w.Text(placeholder="a number", description="Reader:", layout=w.Layout(width="220px"))
        self.put = w.Button(layout=w.Layout(width="auto", max_width="100%"))
        self.forget = w.Button(description="Forget this visit")
        self.status = w.HTML()
        self.found = _Row(w, N_FOUND, self.look)
        self.for_you = _Row(w, N_FOR_YOU, self.look)
        self.recent = _Row(w, N_RECENT, self.look)
        self.machine = w.HTML()
        drawer = w.Accordion(children=[w.VBox([self.machine, self.forget])], selected_index=None)
        drawer.set_title(0, "What the machine saw")
        line = w.Box([self.field, self.reader, self.put], layout=w.Layout(flex_flow="row wrap"))
        rows = [self.found.box, self.for_you.box, self.recent.box]
        self.box = w.VBox([line, self.status, *rows, drawer])
        self.field.observe(lambda _: self.search(), "value")
        self.reader.observe(lambda _: self.sign_in(), "value")
        self.put.on_click(lambda _: self.put_in())
        self.forget.on_click(lambda _: self.start_again())
        self.search()
        self.draw("Look at a book, or search for one.")

    def look(self, card: Card | None) -> None:
        """Look at a book: every click in the panel is a view of its own."""
        if card is not None:
            self.book = card.item
            self.actions.view(self.visit, card.item.item_id, secrets.token_hex(8))
            self.draw(f"You looked at {card.item.title}.")

    def put_in(self) -> None:
        """Put the book looked at last into the basket."""
        if self.book is not None and self.actions.put(self.visit, self.book.item_id):
            self.draw(f"{self.book.title} is in your basket.")

    def search(self) -> None:
        """Show what the field asks for."""
        asked = self.field.value.strip()[:200]
        if not asked:
            self.found.show(None)
            return
        cards = self.views.cards("found", self.shop.search(asked, N_FOUND))
        self.found.show(Shelf("found", "Found", f"For “{asked[:60]}”.", cards, empty="Nothing resembles it."))

    def sign_in(self) -> None:
        """Go on as a reader; an empty field means nobody in particular."""
        self.visit = Visit(self.visit.session_id, self.shop.catalogue.parse_id(self.reader.value.strip()))
        self.draw("" if self.visit.reader is None else f"Now as reader {self.visit.reader}.")

    def start_again(self) -> None:
        """Delete the visit's events and begin anew."""
        self.shop.forget(self.visit.session_id)
        self.book = None
        self.draw("This visit is forgotten.")

    def draw(self, says: str) -> None:
        """Ask the models, and fill every row."""
        session = self.shop.session(self.visit.session_id)
        answer = self.shop.recommend(self.visit.session_id, self.visit.reader, N_FOR_YOU)
        number = len(session.basket)
        basket = f"Basket: {number} {'book' if number == 1 else 'books'}."
        self.status.value = f'<p role="status" style="margin:4px 0"><strong>{html.escape(says)}</strong> {basket}</p>'
        self.put.disabled = self.book is None or self.book.item_id in session.basket
        self.put.description = "Add to basket" + (f": {self.book.title}" if self.book else "")
        self.for_you.show(self.views.for_you(answer, session, self.visit.reader))
        self.recent.show(self.views.recent(session))
        self.machine.value = _machine(self.views.seen(self.visit, session, answer))


_NOTE = "width:118px;font-size:12px;line-height:1.35;white-space:normal;overflow-wrap:anywhere"


def _machine(seen: dict) -> str:
    """Draw the drawer's words."""
    events = "".join(
        f"<li><code>{e['clock']}</code> {html.escape(e['word'])} <em>{html.escape(e['title'])}</em></li>"
        for e in seen["events"]
    )
    times = "".join(
        f'<tr><td style="text-align:left">{html.escape(t["name"])}</td><td>{t["ms"]:.2f} ms</td></tr>'
        for t in seen["timings"]
    )
    state = "a model did not answer" if seen["degraded"] else "all models answered"
    facts = f"{html.escape(seen['source'])}; {state}; models {html.escape(str(seen['version']))}"
    visit = f"<ol>{events}</ol>" if events else "<p>Nothing yet.</p>"
    return (
        f'<div style="line-height:1.4"><strong>The visit so far</strong>{visit}<strong>The answer</strong>'
        f"<p>{html.escape(seen['why'])}<br>{facts}</p><table>{times}</table></div>"
    )
