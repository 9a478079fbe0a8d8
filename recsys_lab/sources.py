"""The source of a lab, ``solutions/NN_topic.py``: where it is, what it may have in it, and reading it.

It is a jupytext percent script, plain Python that a linter can read. In its code cells, ``# BEGIN SOLUTION`` and
``# END SOLUTION`` stand around what the learner will write. Cells may have these tags:

- ``setup``: the one cell that the build fills with the set-up; the source has nothing but a comment in it.
- ``solution-only``: not in the learner's notebook.
- ``check-output``: its output has to come out the same again (nbval); other outputs are not compared.
- ``real-log``: works on a real log; never compared.
"""

from __future__ import annotations

import ast
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
TAGS = ("setup", "solution-only", "check-output", "real-log")
NEARLY_A_MARK = re.compile(r"#\W*(begin|end)\W*solution", re.IGNORECASE)
EXERCISE = re.compile(r"^#{2,6} Exercise (\d+)\.(\d+)\b", re.MULTILINE)
SOURCES = "[0-9][0-9]_*.py"


class BuildError(ValueError):
    """A lab cannot be built as it is; the message says where and what to do."""


@dataclass(frozen=True)
class Lab:
    """The files of one lab.

    Attributes
    ----------
    root : Path
        The checkout.
    name : str
        Such as "01_signals".
    """

    root: Path
    name: str

    number = property(lambda self: self.name[:2])
    source = property(lambda self: self.root / "solutions" / f"{self.name}.py")
    solution = property(lambda self: self.root / "solutions" / f"{self.name}.ipynb")
    notebook = property(lambda self: self.root / "labs" / f"{self.name}.ipynb")
    slides = property(lambda self: self.root / "slides" / f"{self.name}.md")

    def place(self, path: Path) -> str:
        """How a path inside the checkout is written, on every system."""
        return path.relative_to(self.root).as_posix()


def labs(root: Path, numbers: Iterable[str] = ()) -> list[Lab]:
    """Return the labs of a checkout, or those with the given numbers (names will do)."""
    found = [Lab(root, path.stem) for path in sorted((root / "solutions").glob(SOURCES))]
    wanted = [str(number)[:2] for number in numbers]
    unknown = [number for number in wanted if number not in [lab.number for lab in found]]
    if unknown:
        have = ", ".join(lab.name for lab in found) or "none yet"
        raise BuildError(f"there is no solutions/{unknown[0]}_*.py (labs: {have}); 'recsys-lab new' starts one")
    return [lab for lab in found if not wanted or lab.number in wanted]


def settings(root: Path) -> tuple[str, str]:
    """Return the repository and the edition that badges and the Colab install line name."""
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    chosen = table.get("tool", {}).get("recsys-lab", {})
    if not {"repository", "edition"} <= set(chosen):
        raise BuildError("pyproject.toml: [tool.recsys-lab] has to give repository and edition")
    return chosen["repository"], chosen["edition"]


def digest(*parts: str) -> str:
    """Return a short hash of some texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def read(lab: Lab) -> list[NotebookNode]:
    """Return the cells of the source, each with a lasting id; `BuildError` where the source breaks a rule."""
    import jupytext

    cells = jupytext.reads(lab.source.read_text(encoding="utf-8"), fmt="py:percent").cells
    seen: Counter[str] = Counter()
    for cell in cells:
        key = digest(cell.cell_type, cell.source)
        seen[key] += 1
        cell.id = digest(key, str(seen[key]))[:12]  # from what it says, so that moving a cell keeps its id
        cell.metadata.pop("lines_to_next_cell", None)
    for number, cell in enumerate(cells, 1):
        for wrong in wrongs(cell):
            raise BuildError(f"{lab.place(lab.source)}, cell {number}: {wrong}\n{indented(cell.source)}")
    wrong = wrong_order(cells, lab.number)
    if wrong:
        raise BuildError(f"{lab.place(lab.source)}: {wrong}")
    return cells


def wrongs(cell: NotebookNode) -> Iterable[str]:
    """What is wrong with one cell of a source."""
    tags = tags_of(cell)
    unknown = [tag for tag in tags if tag not in TAGS]
    if unknown:
        yield f"unknown tag {unknown[0]!r}; there are {', '.join(TAGS)}"
    if {"check-output", "real-log"} <= set(tags):
        yield "what comes from a real log is never compared: take one of the tags away"
    if cell.cell_type == "raw":
        yield "text stands outside of any cell, or a header that jupytext wrote: the source needs neither"
    if cell.cell_type != "code":
        return
    try:
        code = ast.parse(cell.source)
    except SyntaxError as error:
        yield f"this is not plain Python ({error.msg}); magics are for the build to add"
    else:
        if "setup" in tags and code.body:
            yield "the build fills this cell: leave nothing but a comment in it"
    for line in cell.source.splitlines():
        if NEARLY_A_MARK.search(line) and line.strip() not in (BEGIN, END):
            yield f"{line.strip()!r} is no mark; the marks are {BEGIN!r} and {END!r}, each on its own line"


def wrong_order(cells: list[NotebookNode], number: str) -> str | None:
    """What is wrong with the cells taken together, if anything."""
    if not (cells and cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")):
        return "the first cell has to be a [markdown] one that begins with the title: '# Lab ...'"
    if sum("setup" in tags_of(cell) for cell in cells) != 1:
        return 'there has to be one set-up cell: # %% tags=["setup"]'
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    given = [(int(lab), int(exercise)) for lab, exercise in EXERCISE.findall(text)]
    wanted = [(int(number), place) for place in range(1, len(given) + 1)]
    if given != wanted:
        return f"exercises are numbered {shown(given)}; they have to be {shown(wanted)}"
    return None


def shown(numbers: list[tuple[int, int]]) -> str:
    """Exercise numbers as a reader writes them."""
    return ", ".join(f"{lab}.{exercise}" for lab, exercise in numbers)


def indented(text: str) -> str:
    """Return a text with four blanks before each line."""
    return "\n".join("    " + line for line in text.splitlines())


def tags_of(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])
