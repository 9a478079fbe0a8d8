"""The drawings of the opening deck, and all drawings by name.

Those of the labs' decks are in `slides_lab_drawings` and `slides_serving_drawings`.
Nothing measured is drawn here: pictures of what was measured come from the labs. The books are the shop's.
"""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable
from functools import cache

from recsys_lab.environment import ROOT
from recsys_lab.slides_shapes import (
    BLUE,
    GREEN,
    INK,
    LARGE,
    LINE,
    MUTED,
    ORANGE,
    PAPER,
    SKY,
    SMALL,
    TEXT,
    YELLOW,
    Board,
)
from recsys_lab.slides_text import SlideError

VISIT = ("Dune", "Foundation", "Neuromancer")


def draw(name: str) -> Board:
    """Return a drawing by name; what follows the first word is for the drawing, such as "title crime"."""
    known = every()
    word, _, rest = name.partition(" ")
    if word not in known:
        raise SlideError(f"there is no drawing {word!r}; there are {', '.join(sorted(known))}")
    return known[word](rest) if rest else known[word]()


def every() -> dict[str, Callable[..., Board]]:
    """Return all drawings by name."""
    from recsys_lab import slides_lab_drawings, slides_serving_drawings

    return {**OPENING, **slides_lab_drawings.DRAWINGS, **slides_serving_drawings.DRAWINGS}


def address(board: Board) -> str:
    """Return a drawing as a data address."""
    return "data:image/svg+xml;base64," + base64.b64encode(board.svg().encode()).decode()


@cache
def catalogue() -> dict[str, tuple[str, str, str]]:
    """Title to title, author and genre of every book of the shop."""
    with (ROOT / "data" / "books.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["title"]: (row["title"], row["author"], row["genre"]) for row in rows}


def books(*titles: str) -> list[tuple[str, str, str]]:
    """Return books of the shop by title."""
    return [catalogue()[title] for title in titles]


def title(genre: str = "") -> Board:
    """A row of covers, the last one a question; of one genre, or of all."""
    board = Board("Six covers of the shop side by side, then an empty one with a question mark.", 250)
    shelf = books("Dune", "Emma", "The Hobbit", "Cosmos", "Murder on the Orient Express", "Persepolis")
    if genre:
        shelf = [book for book in catalogue().values() if book[2] == genre][:6]
    board.books(0, 15, shelf, 140, 28)
    return board.box(1010, 17, 138, 206, "?", 90, fill=PAPER, dash="9 7", ink=BLUE, bold=True, r=4)


def poll() -> Board:
    """A phone with covers to pick, and where the code for it stands."""
    board = Board("A phone on which five books have been picked, beside a frame for the code that the room scans.", 430)
    board.box(130, 5, 230, 420, fill="#20303c", edge="#20303c", r=26).box(
        145, 40, 200, 340, fill=PAPER, edge=PAPER, r=4
    )
    board.text(245, 70, "Pick five books", SMALL, bold=True)
    picks = books("Dune", "Emma", "Maus", "Cosmos", "Dracula", "Jane Eyre")
    for place, book in enumerate(picks):
        x, y = 157 + place % 3 * 62, 90 + place // 3 * 108
        board.book(x, y, book, 54)
        if place != 4:
            board.raw(f'<circle cx="{x + 48}" cy="{y + 78}" r="12" fill="{GREEN}"/>')
            board.text(x + 48, y + 85, "✓", 18, fill=PAPER, bold=True)
    board.box(165, 318, 160, 44, "Send", SMALL, fill=BLUE, ink=PAPER, bold=True)
    board.box(520, 45, 300, 300, "the code\nstands in the\nsecond window", TEXT, fill=PAPER, dash="10 8")
    board.text(520, 395, "Started with:  recsys-lab poll", TEXT, anchor="start", bold=True)
    return board.line((500, 195), (385, 195))


def function() -> Board:
    """What a recommender is: who, in which situation, gives a list."""
    board = Board(
        "A person's past and the situation of this moment go into a function f; out comes a row of books, best first.",
    )
    board.box(0, 30, 300, 150, fill=SKY).text(150, 70, "user", LARGE, bold=True, fill=BLUE)
    board.text(150, 110, "what we know\nof this person", TEXT)
    board.box(0, 300, 300, 150, fill=YELLOW, edge=ORANGE).text(150, 340, "context", LARGE, bold=True, fill=ORANGE)
    board.text(150, 380, "this page, this visit,\nthis minute", TEXT)
    board.box(430, 165, 170, 150, "f", 80, fill=PAPER, edge=INK, bold=True)
    board.line((300, 105), (360, 105), (360, 215), (428, 215)).line((300, 375), (360, 375), (360, 265), (428, 265))
    board.line((600, 240), (668, 240))
    board.text(905, 70, "item", LARGE, bold=True, fill=GREEN).text(
        905, 105, "a list: what comes first is most likely", TEXT
    )
    board.books(680, 150, books("Dune Messiah", "Hyperion", "Solaris", "The Left Hand of Darkness"), 105, 18)
    for place in range(4):
        board.text(732 + place * 123, 345, place + 1, TEXT, bold=True)
    return board


def goals() -> Board:
    """What a visitor wants, what a shop wants, and what both do."""
    board = Board(
        "Two overlapping circles: what the visitor wants, what the shop wants, and between them what both want."
    )
    board.raw(f'<circle cx="440" cy="250" r="245" fill="{SKY}" stroke="{BLUE}" stroke-width="3"/>')
    board.raw(
        f'<circle cx="720" cy="250" r="245" fill="{YELLOW}" fill-opacity=".75" stroke="{ORANGE}" stroke-width="3"/>'
    )
    board.text(345, 120, "the visitor", 28, bold=True, fill=BLUE).text(820, 120, "the shop", 28, bold=True, fill=ORANGE)
    board.text(338, 200, "find it fast\ndiscover something\nnot be nagged\nnot be watched", TEXT)
    board.text(825, 200, "sell today\nempty the stock\nearn a margin\nkeep the customer", TEXT)
    return board.text(580, 215, "a book\nthat gets read,\nnot sent back", 22, bold=True)


def page(board: Board, x: int, y: int, w: int, h: int) -> None:
    """Draw an empty page of the shop, with its head."""
    board.box(x, y, w, h, fill="#fffdf7", edge=LINE, r=8)
    board.raw(f'<rect x="{x + 1}" y="{y + 1}" width="{w - 2}" height="38" rx="7" fill="#7a2331"/>')
    board.text(x + 16, y + 28, "The Bookshop", SMALL, anchor="start", fill="#fffaf0", bold=True)
    board.box(x + w - 230, y + 8, 210, 24, fill=PAPER, edge=PAPER, r=4)


def basket() -> Board:
    """A basket and what goes with it."""
    board = Board("A basket page: one book is in the basket, and under 'Goes with it' three books to add.")
    page(board, 130, 0, 900, 500)
    board.text(160, 85, "Your basket", 28, anchor="start", bold=True)
    board.book(160, 110, catalogue()["The Great Gatsby"], 80)
    board.text(265, 150, "The Great Gatsby", TEXT, anchor="start", bold=True)
    board.text(265, 185, "F. Scott Fitzgerald", SMALL, anchor="start", fill=MUTED)
    board.box(800, 140, 200, 50, "Pay", TEXT, fill="#7a2331", edge="#7a2331", ink="#fffaf0", bold=True)
    board.line((160, 255), (1000, 255), arrow=False, colour=LINE, width=2)
    board.text(160, 295, "Goes with it", 26, anchor="start", bold=True, fill=GREEN)
    for place, book in enumerate(books("A Room of One's Own", "Jane Eyre", "Emma")):
        board.book(160 + place * 285, 315, book, 105)
        board.box(278 + place * 285, 370, 130, 44, "+ add", SMALL, fill=PAPER, edge=GREEN, ink=GREEN, bold=True)
    return board


def feed() -> Board:
    """A feed: one thing after the other, without an end."""
    board = Board("A feed on a phone: one large cover after the other, chosen one by one, without an end.")
    board.box(380, -60, 400, 640, fill="#20303c", edge="#20303c", r=26).box(
        396, 0, 368, 520, fill="#fffdf7", edge=PAPER
    )
    for place, book in enumerate(books("Watchmen", "The Selfish Gene", "Gone Girl")):
        board.book(420, 20 + place * 210, book, 120)
        if place == 2:  # cut off by the edge: there is always a next one
            break
        board.text(560, 70 + place * 210, "Because you\nstopped here", SMALL, anchor="start", fill=MUTED)
        board.box(560, 130 + place * 210, 80, 46, "♥", 26, fill=PAPER, edge=LINE, ink=ORANGE)
        board.box(655, 130 + place * 210, 80, 46, "next", SMALL, fill=PAPER, edge=LINE)
    board.text(190, 130, "each look\nis an answer", 28, bold=True, fill=BLUE).line((300, 150), (370, 150))
    return board.text(970, 330, "the next one\nis chosen only\nwhen you get there", 28, bold=True, fill=GREEN)


def rows() -> Board:
    """A home page made of rows, each with its reason."""
    board = Board("A home page with three rows of covers: for you now, because you viewed Dune, and trending.")
    page(board, 60, 0, 1040, 500)
    shelves = {
        "For you now": ("Hyperion", "Solaris", "Foundation and Empire", "Cosmos", "The Left Hand of Darkness"),
        "Because you viewed Dune": ("Dune Messiah", "Foundation", "Neuromancer", "The Hobbit", "Frankenstein"),
        "Trending": ("Persepolis", "Gone Girl", "Salt, Fat, Acid, Heat", "Sapiens", "Maus"),
    }
    for row, (name, titles) in enumerate(shelves.items()):
        y = 55 + row * 148
        board.text(90, y + 60, name.replace(" you viewed", "\nyou viewed"), TEXT, anchor="start", bold=True, fill=GREEN)
        board.books(390, y, books(*titles), 88, 48)
    return board


def ladder() -> Board:
    """Signals as a ladder: many cheap ones below, few dear ones above."""
    board = Board(
        "Signals as bars: views are many and say little each; carts, purchases and returns are fewer and say more."
    )
    rungs = (
        ("shown", "it was there", 1100, "#e8edf1", LINE),
        ("view", "it looked interesting", 900, SKY, BLUE),
        ("dwell", "it was read, or lunch came", 700, SKY, BLUE),
        ("cart", "probably", 480, YELLOW, ORANGE),
        ("purchase", "wanted", 380, YELLOW, ORANGE),
        ("return", "no, after all", 300, "#fbe3e0", "#8c2f1c"),
    )
    for place, (name, meaning, width, fill, edge) in enumerate(rungs):
        y = 415 - place * 82
        board.box(0, y, width, 70, fill=fill, edge=edge, r=6)
        board.text(20, y + 44, name, 26, anchor="start", bold=True)
        board.text(170 if width > 350 else width + 20, y + 44, meaning, TEXT, anchor="start")
    board.line((1130, 480), (1130, 20)).text(1105, 40, "says more", TEXT, anchor="end", bold=True)
    return board.text(700, 122, "fewer of them", TEXT, anchor="start", fill=MUTED)


def session() -> Board:
    """A visit, click by click, and the question after each."""
    board = Board("Three covers viewed one after the other in one visit, then a question mark: what is viewed next?")
    board.line((10, 330), (1150, 330)).text(1140, 372, "time", TEXT, anchor="end", fill=MUTED)
    for place, book in enumerate(books(*VISIT)):
        board.book(40 + place * 250, 60, book, 150)
        board.raw(f'<circle cx="{115 + place * 250}" cy="330" r="10" fill="{BLUE}"/>')
    board.text(115, 375, "a minute ago", TEXT).text(365, 375, "half a minute ago", TEXT).text(
        615, 375, "now", TEXT, bold=True
    )
    board.box(790, 62, 148, 222, "?", 90, fill=PAPER, dash="10 8", ink=BLUE, bold=True, r=4)
    board.raw(f'<circle cx="865" cy="330" r="9" fill="{PAPER}" stroke="{BLUE}" stroke-width="3"/>')
    board.text(1050, 150, "asked after\nevery click,\nthousands\nof times", TEXT, bold=True, fill=BLUE)
    board.text(325, 450, "this visit: known", 26, bold=True)
    return board.text(865, 450, "the next view: to be guessed", 26, bold=True)


def retriever() -> Board:
    """From the whole catalogue to one page, in steps."""
    board = Board(
        "A funnel: the catalogue, a retriever that takes hundreds of candidates, filters, a ranker, the list on a page."
    )
    steps = (
        ("catalogue", "thousands\nto millions", 440, SKY, BLUE),
        ("retriever", "hundreds,\nin a moment", 330, SKY, BLUE),
        ("filters", "seen, sold out,\ntoo alike", 240, YELLOW, ORANGE),
        ("ranker", "in order,\nwith care", 170, YELLOW, ORANGE),
        ("page", "a handful", 110, "#e2f3ec", GREEN),
    )
    for place, (name, what, height, fill, edge) in enumerate(steps):
        x, y = place * 238, 250 - height / 2
        board.box(x, y, 188, height, fill=fill, edge=edge)
        board.text(x + 94, 245 if height > 120 else 240, name, 28, bold=True)
        board.text(x + 94, 285 if height > 160 else 272, what if height > 160 else what.split("\n")[0], SMALL)
        if place:
            board.line((x - 48, 250), (x - 4, 250))
    return board


def serving() -> Board:
    """The loop of serving: a click goes in, a new list comes out."""
    board = Board(
        "A loop: the page sends a click, session memory keeps it, the retriever asks models, a new list returns."
    )
    board.box(0, 150, 230, 200, fill=PAPER, edge=INK).text(115, 190, "page", 28, bold=True)
    board.books(22, 210, books("Dune", "Hyperion", "Emma"), 54, 12).text(115, 330, "in the browser", SMALL, fill=MUTED)
    board.box(350, 30, 300, 120, "session memory\nevery click, in order", TEXT, fill=SKY)
    board.box(350, 350, 300, 120, "retriever\nmerge, filter, mix", TEXT, fill=YELLOW, edge=ORANGE)
    models = ("session model", "neighbours", "user factors", "popularity")
    for place, name in enumerate(models):
        board.box(820, 60 + place * 100, 300, 74, name, TEXT, fill="#e2f3ec", edge=GREEN)
        board.line((650, 410), (735, 410), (735, 97 + place * 100), (816, 97 + place * 100))
    board.line((115, 150), (115, 90), (346, 90)).text(120, 75, "a click", TEXT, bold=True, anchor="start")
    board.line((500, 150), (500, 346)).text(515, 255, "the visit so far", TEXT, anchor="start")
    board.line((346, 410), (115, 410), (115, 354)).text(120, 445, "a new list", TEXT, bold=True, anchor="start")
    return board


def demo() -> Board:
    """What to watch in the demo."""
    board = Board("Three steps of the demo: open the shop, click three books, see the row 'For you now' follow.")
    steps = (("1", "open the shop", VISIT[:1]), ("2", "click three books", VISIT), ("3", "watch the row change", ()))
    for place, (number, words, clicked) in enumerate(steps):
        x = place * 400
        board.box(x, 60, 340, 330, fill="#fffdf7", edge=LINE)
        board.raw(f'<circle cx="{x + 34}" cy="60" r="30" fill="{BLUE}"/>').text(
            x + 34, 71, number, 32, fill=PAPER, bold=True
        )
        board.text(x + 170, 440, words, 28, bold=True)
        shown = books(*clicked) or books("Hyperion", "Dune Messiah", "Solaris")
        board.books(x + 170 - (len(shown) * 100 - 12) / 2, 160, shown, 88, 12)
        if place < 2:
            board.line((x + 345, 225), (x + 395, 225))
    board.text(970, 125, "For you now", TEXT, bold=True, fill=GREEN)
    return board


def labs() -> Board:
    """The map of the course."""
    board = Board(
        "The labs as a path: signals, evaluation, popularity, neighbours, factorisation, the session model, serving."
    )
    stations = (
        ("01", "Signals", "what a click says", SKY, BLUE),
        ("02", "Evaluation", "does it work?", SKY, BLUE),
        ("03", "Popularity", "counting well", YELLOW, ORANGE),
        ("04", "Neighbours", "who met whom", YELLOW, ORANGE),
        ("05", "Factors", "likes as vectors", YELLOW, ORANGE),
        ("06", "Session model", "a network that reads", YELLOW, ORANGE),
        ("07", "Serving", "a list in a moment", "#e2f3ec", GREEN),
    )
    places = ((0, 40), (300, 40), (0, 290), (300, 290), (600, 290), (900, 290), (900, 40))
    board.line((242, 120), (296, 120)).line((420, 200), (420, 245), (120, 245), (120, 286))
    board.line((242, 370), (296, 370)).line((542, 370), (596, 370)).line((842, 370), (896, 370)).line(
        (1020, 286), (1020, 204)
    )
    for (number, name, what, fill, edge), (x, y) in zip(stations, places, strict=True):
        board.box(x, y, 240, 160, fill=fill, edge=edge)
        board.text(x + 120, y + 45, number, 26, bold=True, fill=edge)
        board.text(x + 120, y + 88, name, 26, bold=True).text(x + 120, y + 125, what, SMALL)
    return board.text(720, 100, "the data,\nthe measure", TEXT, fill=MUTED).text(
        720, 240, "four kinds of model", TEXT, fill=MUTED
    )


def attribution() -> Board:
    """A sale that would have happened anyway is still counted."""
    board = Board(
        "The same visitor in two worlds: with a row of recommendations, and without. Both times the book is bought."
    )
    worlds = (
        ("with the row", "clicks in\n'For you'", "counted:\na sale made\nby the row", ORANGE, YELLOW),
        ("without it", "types it\ninto search", "not counted:\nthe very\nsame sale", GREEN, SKY),
    )
    for row, (name, way, counted, colour, fill) in enumerate(worlds):
        y = 20 + row * 250
        board.text(0, y + 105, name, 28, anchor="start", bold=True, fill=colour)
        board.box(210, y + 45, 210, 110, "wants\nDune Messiah", TEXT, fill=PAPER, edge=INK)
        board.box(490, y + 45, 200, 110, way, TEXT, fill=fill, edge=colour)
        board.line((420, y + 100), (486, y + 100)).line((690, y + 100), (756, y + 100))
        board.book(765, y, catalogue()["Dune Messiah"], 135)
        board.text(930, y + 75, counted, TEXT, anchor="start", bold=not row)
    return board


OPENING = {
    board.__name__: board
    for board in (
        title,
        poll,
        function,
        goals,
        basket,
        feed,
        rows,
        ladder,
        session,
        retriever,
        serving,
        demo,
        labs,
        attribution,
    )
}
