"""Decks of slides: ``slides/NN_topic.md`` to one HTML file each, which needs no node and no network.

A deck quotes numbers of the labs by name and takes figures from them (`slides_text`, `slides_figures`). The page keeps
two hashes: of all that it was made from, and of itself. So `check` can tell without node whether slide, lab and page
still agree. `slides_marp` turns Markdown into pages.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recsys_lab import building, records, slides_capture, slides_drawings, slides_figures, slides_marp, sources
from recsys_lab import slides_text as texts
from recsys_lab.slides_shapes import SMALL
from recsys_lab.slides_text import SlideError
from recsys_lab.sources import Lab, digest

DECKS = "[0-9][0-9]_*.md"
META = '<meta name="recsys-lab-{name}" content="{value}">'
MARK = re.compile(r'<meta name="recsys-lab-(source|page)" content="([0-9a-f]*)">')
DIRECTIVE = re.compile(r"\{\{\s*(figure|drawing|exercises|questions|answers)\s+(?:lab(\d\d)\s*)?(.*?)\s*\}\}")
OUTSIDE = re.compile(
    r"""(?:\b(?:src|srcset|data|poster)=["']?|url\(["']?|@import\s+["']|<link[^>]+href=["']?)https?:"""
)


@dataclass(frozen=True)
class Deck:
    """One deck.

    Attributes
    ----------
    root : Path
        The checkout.
    name : str
        Such as "02_evaluation": as the lab's, where it is about one.
    """

    root: Path
    name: str

    number = property(lambda self: self.name[:2])
    source = property(lambda self: self.root / "slides" / f"{self.name}.md")
    page = property(lambda self: self.root / "slides" / f"{self.name}.html")
    pdf = property(lambda self: self.root / "build" / "slides" / f"{self.name}.pdf")
    theme = property(lambda self: self.root / "slides" / "theme.css")

    @cached_property
    def text(self) -> str:
        """The source as it was written."""
        return texts.read(self.source)

    @cached_property
    def labs(self) -> dict[str, Lab]:
        """The labs that it quotes or shows figures of, by number."""
        named = {match[1] for match in map(records.NAME.fullmatch, records.quoted(self.text)) if match}
        named |= {match[2] for match in DIRECTIVE.finditer(self.text) if match[2]}
        known = {lab.number: lab for lab in sources.labs(self.root)}
        if missing := sorted(named - set(known)):
            raise SlideError(f"{self.name}: there is no lab {missing[0]} to quote from")
        return {number: known[number] for number in sorted(named)}

    @cached_property
    def values(self) -> dict[str, dict]:
        """What those labs have recorded."""
        return {name: entry for lab in self.labs.values() for name, entry in recorded(lab).items()}


def decks(root: Path, numbers: Iterable[str] = ()) -> list[Deck]:
    """Return the decks of a checkout, or those with the given numbers."""
    found = [Deck(root, path.stem) for path in sorted((root / "slides").glob(DECKS))]
    wanted = [str(number)[:2] for number in numbers]
    have = {deck.number for deck in found}
    if unknown := [number for number in wanted if number not in have]:
        raise SlideError(f"there is no slides/{unknown[0]}_*.md (decks: {', '.join(sorted(have)) or 'none yet'})")
    return [deck for deck in found if not wanted or deck.number in wanted]


def recorded(lab: Lab) -> dict[str, dict]:
    """Return the records of a built lab; an error if somebody changed one by hand."""
    from recsys_lab.authoring import records_hash

    facts = slides_figures.facts(lab)
    values = facts.get("records", {})
    if facts.get("records_hash") != records_hash(values):
        raise SlideError(f"{lab.place(lab.solution)}: the records are not those that the run gave; build the lab")
    return values


# ---- filling ------------------------------------------------------------------------------------------------------


def filled(deck: Deck, figure: Callable[[Lab, str], str]) -> str:
    """Return a deck's Markdown with everything that it quotes; `figure` gives what stands for one.

    Raises
    ------
    SlideError
        If the source breaks a rule, or quotes what is not there.
    """
    wrong = texts.wrongs(deck.text, "\n".join(texts.read(lab.source) for lab in allowed(deck)))
    if wrong:
        raise SlideError("\n    ".join([f"slides/{deck.name}.md:", *wrong]))

    def replace(match: re.Match) -> str:
        kind, number, rest = match[1], match[2], match[3]
        if kind == "drawing":
            return drawn(rest)
        if number is None:
            raise SlideError(f"slides/{deck.name}.md: {match[0]} has to name a lab, such as lab02")
        lab = deck.labs[number]
        return figure(lab, rest) if kind == "figure" else getattr(texts, kind)(prose(lab))

    try:
        return texts.plain(records.fill(DIRECTIVE.sub(replace, deck.text), deck.values))
    except records.RecordError as error:
        raise SlideError(f"slides/{deck.name}.md: {error}") from None


def allowed(deck: Deck) -> list[Lab]:
    """The labs whose sources a given number may come from: its own, or for the opening deck all that it names."""
    own = [lab for lab in sources.labs(deck.root) if lab.number == deck.number]
    return own or list(deck.labs.values())


def prose(lab: Lab) -> str:
    """Return the filled text of a built lab."""
    notebook = building.read_notebook(lab.solution)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def drawn(name: str) -> str:
    """Return one of the course's own drawings as an image."""
    board = slides_drawings.draw(name)
    return image(board.alt, slides_drawings.address(board), "drawing", SMALL)


def image(alt: str, address: str, kind: str, letters: float) -> str:
    """Return an image on a line of its own; how high its smallest letters are is kept for checks of its size."""
    return f'<p class="{kind}"><img alt="{html.escape(alt)}" data-letters="{letters:g}" src="{address}"></p>'


def shown_figure(lab: Lab, beginning: str) -> str:
    """Return a figure of a lab as an image."""
    found = slides_figures.find(slides_figures.figures(lab), beginning, lab)
    return image(found.alt, found.address, "figure", found.pixels)


def named_figure(lab: Lab, beginning: str) -> str:
    """Return what stands for a figure where nothing is executed: the code that made it, and its text."""
    code = slides_figures.facts(lab).get("code", "")
    return f"figure {lab.name} {code} {beginning}"


# ---- building -----------------------------------------------------------------------------------------------------


def source_hash(deck: Deck) -> str:
    """Return a hash of all that a page is made from, without executing anything."""
    how = (slides_marp.VERSION, slides_marp.OPTIONS, slides_capture.VERSION)
    return digest(filled(deck, named_figure), texts.read(deck.theme), *map(str, how))


def page_hash(page: str) -> str:
    """Return a hash of a page, its own marks aside."""
    return digest(MARK.sub("", page))


def build(root: Path, numbers: Iterable[str] = (), pdf: bool = False, again: bool = False) -> Iterator[str]:
    """Make the pages of some decks, all by default; give a line for each as it is done.

    Parameters
    ----------
    root : Path
        The checkout.
    numbers : iterable of str
        Which decks, such as "02".
    pdf : bool
        Make ``build/slides/NN_topic.pdf`` too, with the system's Chromium.
    again : bool
        Make also what is up to date.

    Raises
    ------
    SlideError
        If a source breaks a rule, node is missing, or a page would load something from the network.
    """
    for deck in decks(root, numbers):
        due = again or bool(stale(deck))
        text = filled(deck, shown_figure) if due or pdf else ""
        if due:
            page = marked(deck, slides_marp.page(root, deck.theme, text))
            deck.page.write_text(page, encoding="utf-8", newline="\n")
            yield f"{deck.name}: wrote slides/{deck.page.name}, {len(page) / 1e6:.2f} MB"
        else:
            yield f"{deck.name}: unchanged"
        if pdf:
            deck.pdf.parent.mkdir(parents=True, exist_ok=True)
            slides_marp.pdf(root, deck.theme, text, deck.pdf)
            yield f"{deck.name}: wrote {deck.pdf.relative_to(root).as_posix()}"


def marked(deck: Deck, page: str) -> str:
    """Return a page with its two hashes; an error if it would load something from elsewhere."""
    if found := OUTSIDE.search(page):
        there = page[found.start() : found.start() + 120]
        raise SlideError(f"slides/{deck.name}.md: the page would load something from the network: {there}")
    marks = META.format(name="source", value=source_hash(deck)) + META.format(name="page", value=page_hash(page))
    return page.replace("</head>", marks + "</head>", 1)


# ---- checking -----------------------------------------------------------------------------------------------------


def check(root: Path, numbers: Iterable[str] = ()) -> list[str]:
    """Return one line for everything that slides, labs and pages do not agree on; needs no node, executes nothing."""
    chosen = decks(root, numbers)
    lines = [line for deck in chosen if (line := stale(deck))]
    labs = {number for deck in chosen for number in known_labs(deck)}
    lines += building.check(root, sorted(labs)) if labs else []
    if not numbers:
        pages = {path.stem for path in (root / "slides").glob("[0-9][0-9]_*.html")}
        lines += [
            f"slides/{name}.html: there is no slides/{name}.md" for name in sorted(pages - {d.name for d in chosen})
        ]
    return lines


def known_labs(deck: Deck) -> list[str]:
    """Numbers of the labs that a deck quotes; none where that is the very thing that is wrong."""
    try:
        return list(deck.labs)
    except SlideError:
        return []


def stale(deck: Deck) -> str | None:
    """What is wrong with the page of a deck, if anything."""
    try:
        wanted = source_hash(deck)
    except (SlideError, sources.BuildError) as error:
        return str(error)
    if not deck.page.exists():
        return f"slides/{deck.page.name} is missing"
    page = texts.read(deck.page)
    kept = dict(MARK.findall(page))
    if kept.get("page") != page_hash(page):
        return f"slides/{deck.page.name} was changed by hand"
    if kept.get("source") != wanted:
        return f"slides/{deck.page.name} is stale: it is not what slides/{deck.source.name} and the labs make"
    return None
