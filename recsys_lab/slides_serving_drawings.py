"""The drawings of the deck about serving and about experiments; nothing measured is drawn here."""

from __future__ import annotations

from recsys_lab.slides_lab_drawings import books
from recsys_lab.slides_shapes import BLUE, GREEN, INK, LINE, MUTED, ORANGE, PAPER, SKY, SMALL, TEXT, YELLOW, Board

RED, PINK, MINT = "#8c2f1c", "#fbe3e0", "#e2f3ec"


def fallback() -> Board:
    """What is shown when a model does not answer."""
    board = Board(
        "A click asks a model; if that is late, missing or broken, popular books are shown, and the page says so."
    )
    board.box(0, 190, 220, 120, "a click", 28, fill=SKY, bold=True)
    board.box(330, 60, 330, 120, "model answers\nin time", TEXT, fill=MINT, edge=GREEN)
    board.box(330, 320, 330, 120, "late, missing\nor broken", TEXT, fill=PINK, edge=RED)
    board.line((220, 230), (275, 230), (275, 120), (326, 120)).line((220, 270), (275, 270), (275, 380), (326, 380))
    board.box(800, 60, 350, 120, "its list", 28, fill=PAPER, edge=GREEN, bold=True).line((660, 120), (796, 120))
    board.box(800, 320, 350, 120, "popular books,\nand the page says so", TEXT, fill=PAPER, edge=ORANGE, bold=True)
    return board.line((660, 380), (796, 380))


def nearest() -> Board:
    """Exact search looks at all, approximate search at a part."""
    board = Board(
        "Points in a plane in four cells: exact search measures every point, approximate search only the cells nearby."
    )
    points = [((37 * i) % 400, (91 * i + 13 * (i % 7)) % 380) for i in range(1, 60)]
    for side, (name, part) in enumerate((("exact: every item", False), ("approximate: the cells nearby", True))):
        x = 10 + side * 690
        board.box(x, 60, 440, 420, fill=PAPER, edge=LINE, r=4).text(x + 220, 40, name, 28, bold=True)
        if part:
            board.box(x, 60, 220, 210, fill=YELLOW, edge=ORANGE, r=4)
            board.line((x + 220, 60), (x + 220, 480), arrow=False, colour=LINE)
            board.line((x, 270), (x + 440, 270), arrow=False, colour=LINE)
        for px, py in points:
            near = not part or (px < 200 and py < 190)
            board.raw(f'<circle cx="{x + 20 + px}" cy="{80 + py}" r="7" fill="{BLUE if near else "#c9d3da"}"/>')
        board.raw(f'<path d="M{x + 120} 150l8 16 18 3-13 12 3 18-16-9-16 9 3-18-13-12 18-3z" fill="{ORANGE}"/>')
    return board.text(570, 250, "★ the visit", TEXT, fill=ORANGE, bold=True)


def memory() -> Board:
    """What arrives at session memory, and what it makes of it."""
    board = Board("Events on their way to session memory: in order, sent twice, overtaken on the way, and a day late.")
    cases = (
        ("in order", "kept", GREEN, ("Dune", "Foundation")),
        ("the same one twice", "counts once: it has an id", ORANGE, ("Dune", "Dune")),
        ("overtaken on the way", "sorted by its time", ORANGE, ("Foundation", "Dune")),
        ("a day late", "kept, no part of the visit", RED, ()),
    )
    for place, (name, what, colour, titles) in enumerate(cases):
        y = place * 125
        board.text(0, y + 68, name, 28, anchor="start", bold=True)
        board.books(400, y + 3, books(*titles), 72, 16)
        if not titles:
            board.box(400, y + 5, 70, 104, "?", 40, fill=PAPER, dash="7 5", ink=MUTED, r=4)
        board.line((590, y + 58), (690, y + 58)).text(715, y + 67, what, TEXT, anchor="start", fill=colour, bold=True)
    return board


def parity() -> Board:
    """The same events by two ways, the same input."""
    board = Board(
        "One stream of events goes through the batch path and through the service; both have to ask the model the same."
    )
    board.box(0, 185, 210, 130, "the same\nevents", 28, fill=SKY, bold=True)
    board.line((210, 220), (265, 220), (265, 105), (316, 105)).line((210, 280), (265, 280), (265, 395), (316, 395))
    board.box(320, 40, 380, 130, "batch: clean, cut, fit\nlast night", TEXT, fill=YELLOW, edge=ORANGE)
    board.box(320, 330, 380, 130, "service: one click\nafter the other", TEXT, fill=MINT, edge=GREEN)
    board.line((700, 105), (816, 105)).line((700, 395), (816, 395))
    board.books(830, 30, books("Dune", "Foundation", "Neuromancer"), 96, 12)
    board.books(830, 320, books("Dune", "Foundation", "Neuromancer"), 96, 12)
    return board.text(985, 265, "=", 60, bold=True)


def experiment() -> Board:
    """Visitors are split by a hash, each arm has its model, the difference has an interval."""
    board = Board(
        "Visitors are split in two by a hash of their id; each arm has its own model; the difference has an interval."
    )
    board.box(0, 170, 220, 160, "visitors", 28, fill=SKY, bold=True)
    board.text(250, 235, "hash of\nthe id", SMALL, anchor="start")
    board.line((220, 210), (345, 210), (345, 95), (416, 95)).line((220, 290), (345, 290), (345, 405), (416, 405))
    board.box(420, 35, 300, 120, "A: as before", 28, fill=YELLOW, edge=ORANGE, bold=True)
    board.box(420, 345, 300, 120, "B: new model", 28, fill=MINT, edge=GREEN, bold=True)
    board.line((720, 95), (790, 95), (790, 220), (846, 220)).line((720, 405), (790, 405), (790, 280), (846, 280))
    board.box(850, 150, 300, 200, fill=PAPER, edge=INK).text(1000, 200, "difference", 28, bold=True)
    board.line((900, 260), (1110, 260), arrow=False, colour=BLUE, width=6)
    board.raw(f'<circle cx="1005" cy="260" r="11" fill="{BLUE}"/>')
    board.line((930, 230), (930, 295), arrow=False, dash="8 6")
    return board.text(1000, 330, "with its interval", TEXT)


DRAWINGS = {board.__name__: board for board in (fallback, nearest, memory, parity, experiment)}
