"""The drawings of the labs' decks, where a picture has to explain and nothing is measured."""

from __future__ import annotations

from recsys_lab.slides_shapes import BLUE, GREEN, INK, LINE, MUTED, ORANGE, PAPER, SKY, SMALL, TEXT, YELLOW, Board


def books(*titles: str):
    """Return books of the shop by title."""
    from recsys_lab import slides_drawings  # that module knows the drawings of this one

    return slides_drawings.books(*titles)


def log() -> Board:
    """A raw log becomes sessions, clean ones, signals."""
    board = Board(
        "Four boxes in a row: raw log, sessions, clean sessions, signals; between them what is asked in each step."
    )
    steps = (
        ("raw log", "who, what, when", SKY, BLUE),
        ("sessions", "where does a\nvisit end?", SKY, BLUE),
        ("clean", "what did no\nperson do?", YELLOW, ORANGE),
        ("signals", "what is each\nevent worth?", "#e2f3ec", GREEN),
    )
    for place, (name, what, fill, edge) in enumerate(steps):
        x = place * 305
        board.box(x, 120, 245, 230, fill=fill, edge=edge).text(x + 122, 195, name, 32, bold=True, fill=edge)
        board.text(x + 122, 260, what, TEXT)
        if place:
            board.line((x - 57, 235), (x - 4, 235))
    return board


def doubles() -> Board:
    """A double fire and an honest return look alike to drop_duplicates."""
    board = Board(
        "Two pairs of equal events: one a fraction of a second apart, a double fire; one minutes apart, a return."
    )
    for row, (gap, name, what, colour) in enumerate(
        (
            ("less than a second", "double fire", "one click, logged twice: drop it", ORANGE),
            ("five minutes", "came back", "one of the best signals: keep it", GREEN),
        )
    ):
        y = 5 + row * 250
        board.book(60, y, books("Emma")[0], 120).book(250 + row * 230, y, books("Emma")[0], 120)
        board.line((60, y + 200), (390 + row * 230, y + 200), arrow=False, width=2)
        board.text(235 + row * 105, y + 105, "" if row == 0 else "...", 40)
        board.text(225 + row * 105, y + 228, gap, SMALL, fill=MUTED)
        board.text(680, y + 80, name, 32, anchor="start", bold=True, fill=colour)
        board.text(680, y + 125, what, TEXT, anchor="start")
    return board


def reveal() -> Board:
    """A session is revealed click by click."""
    board = Board(
        "One session, revealed in three steps: each row shows the covers seen so far, and the next one asked for."
    )
    visit = books("Dune", "Foundation", "Neuromancer", "Solaris")
    for row in range(3):
        y = 5 + row * 168
        board.text(0, y + 85, f"question {row + 1}", TEXT, anchor="start", bold=True)
        board.books(190, y, visit[: row + 1], 100, 30)
        board.box(190 + (row + 1) * 130, y, 100, 150, "?", 60, fill=PAPER, dash="8 6", ink=BLUE, bold=True, r=4)
        board.line((200 + (row + 2) * 130, y + 75), (780, y + 75))
        board.text(800, y + 65, "rank the whole catalogue,\nlook up the place of this one", SMALL, anchor="start")
    return board


def metrics() -> Board:
    """Recall, reciprocal rank and NDCG look at the place of the right book."""
    board = Board(
        "A list of six places with the right book in the third: what recall, reciprocal rank and NDCG make of it."
    )
    shelf = books("Cosmos", "Emma", "Solaris", "Maus", "Dracula", "The Hobbit")
    for place, book in enumerate(shelf):
        x = place * 196
        if place == 2:
            board.box(x - 4, 0, 168, 252, fill="#e2f3ec", edge=GREEN)
        board.book(x + 10, 10, book, 140).text(x + 80, 290, place + 1, 28, bold=place == 2)
    for place, (name, value) in enumerate(
        (("recall: in the list?", "1"), ("reciprocal rank", "1 / 3"), ("NDCG: 1 / log₂(place + 1)", "1 / 2"))
    ):
        board.box(place * 400, 350, 360, 130, fill=SKY).text(place * 400 + 180, 400, name, TEXT, bold=True, fill=BLUE)
        board.text(place * 400 + 180, 450, value, 32, bold=True)
    return board


def posterior() -> Board:
    """A prior and what was counted make a posterior."""
    board = Board("Made-up trials of the prior and counted trials of the book are put together: that is the posterior.")
    groups = (("the prior: trials before the first", 3, 16, 0), ("this book: two carts of three views", 2, 1, 640))
    for name, hits, misses, x in groups:
        board.text(x, 40, name, TEXT, anchor="start", bold=True)
        for place in range(hits + misses):
            colour, edge = (GREEN, GREEN) if place < hits else (PAPER, MUTED)
            cx, cy = x + 25 + place % 10 * 52, 95 + place // 10 * 56
            board.raw(f'<circle cx="{cx}" cy="{cy}" r="20" fill="{colour}" stroke="{edge}" stroke-width="3"/>')
    board.text(580, 118, "+", 60, bold=True).line((580, 200), (580, 255))
    board.box(60, 270, 1040, 200, fill=SKY)
    for place in range(22):
        colour, edge = (GREEN, GREEN) if place < 5 else (PAPER, MUTED)
        board.raw(f'<circle cx="{105 + place * 45}" cy="335" r="18" fill="{colour}" stroke="{edge}" stroke-width="3"/>')
    return board.text(580, 425, "the posterior: count them all; few views hardly move it, many do", TEXT, bold=True)


def forgetting() -> Board:
    """A click loses weight with its age."""
    board = Board("Bars that halve: a click of today counts whole, after one half-life a half, after two a quarter.")
    for place in range(6):
        height = 360 / 2**place
        board.box(90 + place * 180, 400 - height, 110, height, fill=SKY, r=4)
        board.text(
            145 + place * 180, 440, "today" if not place else f"{place} half-li{'fe' if place == 1 else 'ves'}", SMALL
        )
        board.text(145 + place * 180, 390 - height, ("1", "1/2", "1/4", "1/8", "1/16", "1/32")[place], TEXT, bold=True)
    return board.text(580, 485, "age of the click", TEXT, fill=MUTED)


def two_lists() -> Board:
    """More like this, goes with this."""
    board = Board("Under one book two lists: more like this, books in its place; goes with this, books on top of it.")
    board.book(0, 130, books("The Great Gatsby")[0], 160)
    rows = (
        ("More like this", "in its place; from views", ("Jane Eyre", "Wuthering Heights", "Emma", "Persuasion"), BLUE),
        (
            "Goes with this",
            "on top of it; from baskets",
            ("A Room of One's Own", "Sapiens", "Cosmos", "Influence"),
            GREEN,
        ),
    )
    for row, (name, what, titles, colour) in enumerate(rows):
        y = 10 + row * 255
        board.line((175, 250), (215, 250), (215, y + 110), (255, y + 110))
        board.text(270, y + 95, name, 30, anchor="start", bold=True, fill=colour)
        board.text(270, y + 135, what, TEXT, anchor="start").books(606, y + 10, books(*titles), 120, 20)
    return board


def neighbours() -> Board:
    """Sessions like mine, and what was in them."""
    board = Board(
        "My session of three books; three past sessions share one or two of them; what else they hold is recommended."
    )
    board.text(0, 45, "my session", 28, anchor="start", bold=True, fill=BLUE)
    board.books(0, 65, books("Dune", "Foundation", "Neuromancer"), 86, 14)
    past = (
        (("Dune", "Foundation", "Solaris"), "shares two"),
        (("Neuromancer", "Hyperion", "Emma"), "shares one"),
        (("Foundation", "Dune", "Solaris", "Hyperion"), "shares two"),
    )
    for row, (titles, what) in enumerate(past):
        y = 3 + row * 166
        for place, title in enumerate(titles):
            mine = title in ("Dune", "Foundation", "Neuromancer")
            board.book(420 + place * 106, y, books(title)[0], 90)
            if mine:
                board.box(417 + place * 106, y - 3, 96, 141, fill="none", edge=BLUE, r=4)
        board.text(430 + len(titles) * 106, y + 78, what, SMALL, anchor="start", fill=MUTED)
    board.line((310, 130), (405, 130)).line((880, 200), (940, 200))
    board.text(1050, 90, "add up", 28, bold=True, fill=GREEN)
    return board.books(950, 120, books("Solaris", "Hyperion"), 96, 14).text(1055, 310, "recommended", TEXT, bold=True)


def factors() -> Board:
    """A matrix as a product of two narrow ones."""
    board = Board(
        "A tall matrix of users and books, mostly empty, is about a narrow one of users times a flat one of books."
    )
    board.box(40, 60, 420, 380, fill=PAPER, edge=INK, r=2)
    filled = ((1, 2), (3, 7), (0, 5), (5, 1), (7, 4), (2, 9), (6, 6), (4, 3), (8, 8), (1, 8), (5, 9), (7, 0), (3, 2))
    for row, column in filled:
        board.raw(f'<rect x="{42 + column * 42}" y="{62 + row * 42}" width="38" height="38" fill="{BLUE}"/>')
    board.text(250, 45, "books", TEXT, bold=True).text(250, 475, "almost all of it is empty", TEXT, fill=MUTED)
    board.text(540, 265, "≈", 60, bold=True)
    board.box(610, 60, 120, 380, "x", 40, fill=YELLOW, edge=ORANGE, r=2, bold=True).text(
        670, 475, "a vector a user", TEXT
    )
    board.text(770, 140, "·", 60, bold=True)
    board.box(810, 60, 340, 120, "y", 40, fill="#e2f3ec", edge=GREEN, r=2, bold=True)
    board.text(980, 215, "a vector a book", TEXT)
    return board.text(950, 320, "the score of a book\nfor a user: x · y,\ntheir inner product", TEXT, bold=True)


def on_its_side() -> Board:
    """The same matrix the right way round and on its side."""
    board = Board(
        "Two matrices: users in rows is what the library expects; books in rows trains as well, and means nothing."
    )
    board.box(150, 60, 210, 320, fill=SKY, r=2).text(255, 45, "books", TEXT, bold=True)
    board.text(130, 225, "users", TEXT, bold=True, anchor="end").text(255, 425, "right", 32, bold=True, fill=GREEN)
    board.box(700, 110, 320, 210, fill="#fbe3e0", edge="#8c2f1c", r=2).text(860, 95, "users", TEXT, bold=True)
    board.text(680, 225, "books", TEXT, bold=True, anchor="end").text(
        860, 425, "on its side", 32, bold=True, fill="#8c2f1c"
    )
    board.line((420, 220), (560, 220)).text(490, 195, "turned", TEXT)
    return board.text(255, 465, "fit() runs", TEXT).text(860, 465, "fit() runs too, and says nothing", TEXT)


def unrolled() -> Board:
    """A recurrent network reads a visit."""
    board = Board(
        "A recurrent network: a state goes from click to click, each click changes it, the last state scores all books."
    )
    for place, book in enumerate(books("Dune", "Foundation", "Neuromancer")):
        x = 150 + place * 270
        board.book(x + 15, 310, book, 110).line((x + 70, 305), (x + 70, 254))
        board.box(x, 150, 140, 100, "f", 48, fill=YELLOW, edge=ORANGE, bold=True)
        board.line((x - 128 if place else 62, 200), (x - 4, 200))
    board.text(30, 208, "0", 32, bold=True).line((830, 200), (906, 200))
    board.text(355, 130, "state h", TEXT, bold=True).text(625, 130, "state h", TEXT, bold=True)
    board.box(910, 130, 240, 140, "score of every\nbook: h · book", TEXT, fill="#e2f3ec", edge=GREEN, bold=True)
    return board.text(560, 60, "the same f, click after click; what it keeps is learned", 28, bold=True)


def gates() -> Board:
    """What the gates of a GRU decide."""
    board = Board(
        "Two gates: z mixes the old state with the new idea; r says how much of the old goes into the new idea.", 330
    )
    board.box(20, 20, 240, 90, "old state h", 28, fill=SKY, bold=True)
    board.box(20, 225, 240, 90, "click x", 28, fill=SKY, bold=True)
    board.box(460, 225, 260, 90, "new idea n", 28, fill=YELLOW, edge=ORANGE, bold=True)
    board.box(900, 115, 240, 100, "new state h′", 28, fill="#e2f3ec", edge=GREEN, bold=True)
    board.line((264, 270), (456, 270)).line((264, 90), (350, 90), (490, 221)).line((264, 50), (860, 50), (990, 111))
    board.line((724, 270), (860, 270), (990, 219))
    board.text(470, 130, "r: how much of the old\ngoes into the idea", TEXT, anchor="start", fill=ORANGE, bold=True)
    return board.text(560, 30, "z: how much of the old is kept", TEXT, fill=GREEN, bold=True)


def three_scores() -> Board:
    """Three scores put three kinds of book first."""
    board = Board(
        "What stands first beside The Great Gatsby: by number a best-seller, by plain lift a book that was sold once, "
        "by shrunk lift the book that goes with it.",
        250,
    )
    board.book(0, 0, books("The Great Gatsby")[0], 110).text(180, 95, "first\nbeside it:", TEXT, bold=True)
    firsts = (
        ("by number", "a best-seller", books("Jane Eyre")[0], ORANGE),
        ("by plain lift", "sold once", None, ORANGE),
        ("by shrunk lift", "goes with it", books("A Room of One's Own")[0], GREEN),
    )
    for place, (score, what, book, colour) in enumerate(firsts):
        x = 340 + place * 280
        if book:
            board.book(x + 55, 0, book, 110)
        else:
            board.box(x + 55, 2, 110, 161, "?", 60, fill=PAPER, edge=MUTED, r=4)
        board.text(x + 110, 200, score, TEXT, bold=True, fill=colour).text(x + 110, 235, what, TEXT)
    return board


def alternate() -> Board:
    """One side still, solve for the other, in turns."""
    board = Board("Two boxes in turns: hold the books still and solve for the users, then the other way round.", 170)
    board.box(40, 20, 430, 120, "books still:\nsolve for every user", 26, fill=YELLOW, edge=ORANGE, bold=True)
    board.box(690, 20, 430, 120, "users still:\nsolve for every book", 26, fill="#e2f3ec", edge=GREEN, bold=True)
    return board.line((480, 55), (680, 55)).line((680, 110), (480, 110))


def padding() -> Board:
    """Left padding with a packed GRU reads blanks."""
    board = Board(
        "A row of two blanks and two clicks: told that the length is two, the network reads the two blanks only."
    )
    board.text(0, 60, "a session of two clicks, filled up on the left to four places", TEXT, anchor="start", bold=True)
    for place, words in enumerate(("blank", "blank", "", "")):
        board.box(
            60 + place * 210, 110, 150, 220, words, TEXT, fill=PAPER if place < 2 else SKY, edge=LINE, ink=MUTED, r=4
        )
    board.books(698, 132, books("Dune")[:1], 114).books(488, 132, books("Emma")[:1], 114)
    board.line((60, 375), (415, 375), arrow=False, colour=ORANGE, width=6)
    board.text(238, 420, "read: 'length two', from the left", TEXT, bold=True, fill=ORANGE)
    board.line((480, 375), (840, 375), arrow=False, colour=LINE, width=6).text(660, 420, "never read", TEXT, bold=True)
    return board.text(945, 215, "the loss\nfalls all\nthe same", 28, anchor="start", bold=True)


DRAWINGS = {
    board.__name__: board
    for board in (
        log,
        doubles,
        reveal,
        metrics,
        posterior,
        forgetting,
        two_lists,
        neighbours,
        factors,
        on_its_side,
        unrolled,
        gates,
        three_scores,
        alternate,
        padding,
    )
}
