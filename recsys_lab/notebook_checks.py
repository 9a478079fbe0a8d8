"""What has to be true of the notebooks that are committed: each check returns one line for each defect.

`solution_defects` and `learner_defects` look at one notebook by itself, and no notebook is built that has one.
`defects` looks at all files of a checkout: links and sizes too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from markdown_it import MarkdownIt
from nbformat import NotebookNode

MAX_BYTES = 1_500_000
WIDGETS = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
PLACE = re.compile(r"(?<![\w.])(?:/home/|/root/|/Users/|/tmp/|[A-Z]:\\Users\\)[^\s\"'<]*")
DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]*")


# ---- reading text -----------------------------------------------------------------------------------------


@dataclass
class Page:
    """What a text has in it: headings as (level, text), alternative texts (None: there is none), links, anchors."""

    headings: list[tuple[int, str]] = field(default_factory=list)
    alternatives: list[str | None] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def add_markdown(self, text: str) -> Page:
        """Take in a piece of Markdown."""
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        for token, following in zip(tokens, [*tokens[1:], None], strict=True):
            if token.type == "heading_open":
                words = "".join(child.content for child in following.children)
                self.headings.append((int(token.tag[1]), words))
                self.anchors |= {words.replace(" ", "-"), github_anchor(words)}
            elif token.type == "html_block":
                self.add_html(token.content)
            for child in token.children or ():
                self.add_inline(child)
        return self

    def add_inline(self, token) -> None:
        """Take in a link, a picture or a bit of HTML within a line of Markdown."""
        if token.type == "link_open":
            self.links.append(str(token.attrs["href"]))
        elif token.type == "image":
            self.alternatives.append(token.content)
            self.links.append(str(token.attrs["src"]))
        elif token.type == "html_inline":
            self.add_html(token.content)

    def silent_pictures(self) -> int:
        """Return how many pictures have no alternative text, or an empty one."""
        return sum(not (text or "").strip() for text in self.alternatives)

    def add_html(self, text: str) -> Page:
        """Take in a piece of HTML."""
        reader = Html(self)
        reader.feed(text)
        reader.close()
        return self


class Html(HTMLParser):
    """Puts what a piece of HTML has in it into a `Page`."""

    def __init__(self, page: Page):
        super().__init__()
        self.page = page

    def handle_starttag(self, tag, attrs):
        """Look at one tag."""
        given = dict(attrs)
        hidden = given.get("aria-hidden") == "true" or given.get("role") in ("presentation", "none")
        if tag in ("img", "svg") and not hidden:
            self.page.alternatives.append(given.get("alt" if tag == "img" else "aria-label"))
        self.page.links += [given[key] for key in ("href", "src") if given.get(key)]
        self.page.anchors |= {given[key] for key in ("id", "name") if given.get(key)}


def github_anchor(words: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


def page_of(notebook: NotebookNode) -> Page:
    """Return what the prose of a notebook has in it."""
    page = Page()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            page.add_markdown(cell.source)
    return page


# ---- one notebook by itself -------------------------------------------------------------------------------


def solution_defects(notebook: NotebookNode) -> list[str]:
    """Return the defects of a solution's notebook."""
    return [*prose_defects(notebook), *order_defects(notebook), *output_defects(notebook)]


def learner_defects(notebook: NotebookNode) -> list[str]:
    """Return the defects of a learner's notebook."""
    lines = prose_defects(notebook)
    for number, cell in code_cells(notebook):
        if cell.outputs or cell.execution_count is not None:
            lines.append(f"cell {number}: has outputs or an execution count")
        if "SOLUTION" in cell.source:
            lines.append(f"cell {number}: a mark of a solution is left")
    return lines + ["holds the state of widgets"] * ("widgets" in notebook.metadata)


def code_cells(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    """Yield the code cells with their numbers among all cells, from 1."""
    return ((number, cell) for number, cell in enumerate(notebook.cells, 1) if cell.cell_type == "code")


def prose_defects(notebook: NotebookNode) -> list[str]:
    """Headings, pictures without a text, and quoted names that were not filled in."""
    page = page_of(notebook)
    lines = heading_defects(page.headings)
    lines += ["a picture in the prose has no alternative text"] * page.silent_pictures()
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "markdown" and "{{" in cell.source:
            lines.append(f"cell {number}: '{{{{' is left in the prose")
    return lines


def heading_defects(headings: list[tuple[int, str]]) -> list[str]:
    """One title, and no level left out on the way down."""
    titles = [words for level, words in headings if level == 1]
    lines = [] if len(titles) == 1 else [f"{len(titles)} first-level headings, not one: {', '.join(titles)}"]
    if headings and headings[0][0] != 1:
        lines.append(f"the first heading, {headings[0][1]!r}, is not the title")
    for (above, _), (level, words) in pairwise(headings):
        if level > above + 1:
            lines.append(f"heading {words!r}: level {level} after level {above}")
    return lines


def order_defects(notebook: NotebookNode) -> list[str]:
    """Every code cell has been executed, from the top to the end."""
    counts = [cell.execution_count for _, cell in code_cells(notebook) if cell.source.strip()]
    if counts == list(range(1, len(counts) + 1)):
        return []
    return [f"its code cells were not executed in order: {counts}"]


def output_defects(notebook: NotebookNode) -> list[str]:
    """What no stored output may have in it."""
    lines = ["holds the state of widgets"] * ("widgets" in notebook.metadata)
    for number, cell in code_cells(notebook):
        for output in cell.outputs:
            lines += [f"cell {number}: {defect}" for defect in defects_of_output(output)]
    return lines


def defects_of_output(output: NotebookNode) -> Iterator[str]:
    """Errors, warnings, widgets, pictures without a text, and traces of the machine."""
    if output.output_type == "error":
        yield f"an error is stored: {output.ename}"
        return
    if output.get("name") == "stderr":
        yield f"it writes to stderr: {output.text.strip()[:80]!r}"
    data = output.get("data", {})
    if any(kind in data for kind in WIDGETS):
        yield "a widget is stored"
    if any(kind.startswith("image/") for kind in data):
        yield "a figure has no alternative text: show it with recsys_lab.plots.show(figure, alt=...)"
    markup = data.get("text/html", "")
    if Page().add_html(markup).silent_pictures():
        yield "a picture has no alternative text (an <svg> needs an aria-label; what is decoration, aria-hidden)"
    text = DATA_URI.sub("", "\n".join([output.get("text", ""), markup, data.get("text/plain", "")]))
    for name, pattern in (("a place on this machine", PLACE), ("a memory address", ADDRESS)):
        if found := pattern.search(text):
            yield f"{name} is stored: {found[0]}"


# ---- all files of a checkout ------------------------------------------------------------------------------


def defects(root: Path) -> list[str]:
    """Return the defects of all notebooks in ``solutions/`` and ``labs/``, each line with its file."""
    lines = []
    for folder, check in (("solutions", solution_defects), ("labs", learner_defects)):
        for path in sorted((root / folder).glob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            found = [*check(notebook), *size_defects(path), *link_defects(notebook, path, root)]
            lines += [f"{folder}/{path.name}: {line}" for line in found]
    return lines


def size_defects(path: Path) -> list[str]:
    """A notebook has to open quickly, and GitHub shows no large ones."""
    size = path.stat().st_size
    return [f"{size:,} bytes; at most {MAX_BYTES:,} are allowed"] if size > MAX_BYTES else []


def link_defects(notebook: NotebookNode, path: Path, root: Path) -> list[str]:
    """Links to nowhere, as far as they stay inside the repository."""
    page = page_of(notebook)
    lines = []
    for link in page.links:
        parts = urlsplit(link)
        if link.startswith("#"):
            wrong = None if unquote(parts.fragment) in page.anchors else "there is no such anchor here"
        elif parts.scheme:
            wrong = wrong_address(link, root)
        else:
            wrong = wrong_path(path.parent / unquote(parts.path), unquote(parts.fragment), root)
        lines += [f"link {link}: {wrong}"] if wrong else []
    return lines


def wrong_path(target: Path, anchor: str, root: Path) -> str | None:
    """What is wrong with a link to another file of the repository, if anything."""
    if not target.resolve().is_relative_to(root.resolve()):
        return "leads out of the repository"
    if not target.exists():
        return "there is no such file"
    if not anchor or target.suffix not in (".md", ".ipynb"):
        return None
    if target.suffix == ".md":
        page = Page().add_markdown(target.read_text(encoding="utf-8"))
    else:
        page = page_of(nbformat.read(target, as_version=4))
    return None if anchor in page.anchors else "there is no such anchor there"


def wrong_address(link: str, root: Path) -> str | None:
    """What is wrong with a link to this repository on GitHub or Colab, if anything."""
    from recsys_lab.sources import settings

    repository, edition = settings(root)
    match = re.search(rf"/{re.escape(repository)}/(?:blob|tree|raw)/([^/]+)/(.+)$", urlsplit(link).path)
    if not match:
        return None
    if match[1] != edition:
        return f"leads to {match[1]}; the edition is {edition}"
    return None if (root / unquote(match[2])).exists() else "there is no such file"
