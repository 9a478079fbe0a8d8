"""From the source of a lab to its two notebooks, without executing anything (see sources.py and building.py).

The solution's notebook has every cell and the tags that nbval knows; the learner's has a task in place of each
solution, and no cell that is tagged ``solution-only``. Both get the set-up, the badge for Colab and the recorded
numbers in their prose.
"""

from __future__ import annotations

import copy

from nbformat import NotebookNode, v4

from recsys_lab import records, workspace
from recsys_lab.sources import BEGIN, END, EXERCISE, BuildError, Lab, digest, indented, settings, tags_of

#: What the labs need and Colab lacks. All the rest is there and has to stay as it is: hence ``--no-deps``.
COLAB_LACKS = ("implicit", "rapidfuzz")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},  # no version: it would change with every other Python
}
SETUP = """\
# Set-up: on Colab this installs the course, which takes about a minute; elsewhere it only looks whether it is there.
import sys

if "google.colab" in sys.modules:
    %pip install -q --no-deps {packages}
try:
    from recsys_lab import __version__
except ImportError:
    __version__ = "0.0.0"
assert [int(n) for n in __version__.split(".")[:3]] >= {numbers}, (
    f"This lab needs recsys-lab {version} or newer; found {{__version__}} (0.0.0: none). On Colab: look at the lines "
    "above, choose Runtime > Restart session, then run this cell again. Elsewhere: python -m recsys_lab lab"
)"""


def solution_cells(cells: list[NotebookNode], lab: Lab) -> list[NotebookNode]:
    """Return the cells of the solution, set-up and badge filled in, numbers in prose not yet."""
    cells = completed(cells, lab, f"solutions/{lab.name}.ipynb")
    for cell in cells:
        if cell.cell_type == "code":
            compared = "check-output" in tags_of(cell)
            others = [tag for tag in tags_of(cell) if tag != "check-output"]
            # said in every cell, so that plain `pytest --nbval` compares no more than the lax mode
            cell.metadata["tags"] = [*others, "nbval-check-output" if compared else "nbval-ignore-output"]
    return cells


def learner_cells(cells: list[NotebookNode], lab: Lab) -> list[NotebookNode]:
    """Return the cells of the learner's notebook: what is in a solution region becomes a task."""
    kept, exercise = [], None
    for cell in completed(cells, lab, f"labs/{lab.name}.ipynb"):
        if cell.cell_type == "markdown":
            exercise = next((f"{int(a)}.{int(b)}" for a, b in EXERCISE.findall(cell.source)[-1:]), exercise)
        if "solution-only" in cell.metadata.pop("tags", []):
            continue
        if cell.cell_type == "code":
            try:
                cell.source = without_solution(cell.source, exercise)
            except BuildError as error:
                raise BuildError(f"{lab.place(lab.source)}: {error}\n{indented(cell.source)}") from None
        kept.append(cell)
    return kept


def completed(cells: list[NotebookNode], lab: Lab, path: str) -> list[NotebookNode]:
    """Return a copy of the cells with the badge below the title and the set-up in its cell."""
    repository, edition = settings(lab.root)
    cells = copy.deepcopy(cells)
    title, _, rest = cells[0].source.partition("\n")
    cells[0].source = f"{title}\n\n{badge(repository, edition, path)}\n{rest}".rstrip("\n")
    for cell in cells:
        if "setup" in tags_of(cell):
            cell.source = setup_code(repository, edition)
    return cells


def badge(repository: str, edition: str, path: str) -> str:
    """Return the button that opens a notebook on Colab."""
    address = f"https://colab.research.google.com/github/{repository}/blob/{edition}/{path}"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})"


def setup_code(repository: str, edition: str) -> str:
    """Return the code of the set-up cell. It ends in an assertion, since a failing install line goes unnoticed."""
    version = edition.removeprefix("v")
    address = f'"recsys-lab @ git+https://github.com/{repository}@{edition}"'
    numbers = [int(number) for number in version.split(".")]
    return SETUP.format(packages=" ".join([*COLAB_LACKS, address]), version=version, numbers=numbers)


def without_solution(code: str, exercise: str | None) -> str:
    """Return code with every solution region replaced by a task.

    Examples
    --------
    >>> code = '''def double(x):
    ...     # BEGIN SOLUTION
    ...     return 2 * x
    ...     # END SOLUTION'''
    >>> print(without_solution(code, "1.2"))
    def double(x):
        # TODO: your code
        raise NotImplementedError("exercise 1.2")
    """
    lines: list[str] = []
    inside = False
    for line in code.splitlines():
        mark = line.strip()
        if mark in (BEGIN, END) and inside == (mark == BEGIN):
            raise BuildError(f"{mark!r} stands where the other mark should")
        if mark == BEGIN:
            lines += task(line[: line.index("#")], exercise)
        inside = mark == BEGIN or (inside and mark != END)
        if not inside and mark != END:
            lines.append(line)
    if inside:
        raise BuildError(f"{END!r} is missing")
    return "\n".join(lines)


def task(indent: str, exercise: str | None) -> list[str]:
    """Return the lines that stand in place of a solution."""
    if not indent:
        raise BuildError("a solution stands outside of any function: an untouched lab has to run to its end")
    if exercise is None:
        raise BuildError("a solution without a heading '### Exercise N.M ...' above it")
    return [f"{indent}# TODO: your code", f'{indent}raise NotImplementedError("exercise {exercise}")']


# ---- numbers in prose, and the notebooks as they are written ----------------------------------------------


def notebooks(cells: list[NotebookNode], lab: Lab, values: dict[str, dict]) -> tuple[NotebookNode, NotebookNode]:
    """Return (solution, learner's notebook), both without outputs, with the recorded `values` in their prose."""
    check_names(cells, lab, values)
    known = {**values_of_other_labs(cells, lab), **values}
    own, theirs = solution_cells(cells, lab), learner_cells(cells, lab)
    content = content_hash(cells, theirs)
    for cell in [*own, *theirs]:
        if cell.cell_type == "markdown":
            cell.source = records.fill(cell.source, known)
    facts = {"source": digest(lab.source.read_text(encoding="utf-8")), "code": code_hash(cells)}
    kept = {"records": values, "records_hash": records_hash(values)}
    learner = {"content": content, "edition": settings(lab.root)[1], "cells": workspace.fingerprint(theirs)}
    return notebook(own, {**facts, **kept}), notebook(theirs, learner)


def notebook(cells: list[NotebookNode], facts: dict) -> NotebookNode:
    """Return a notebook with our own facts in its metadata, where JupyterLab leaves them alone."""
    return v4.new_notebook(cells=cells, metadata={**METADATA, "recsys_lab": facts})


def content_hash(cells: list[NotebookNode], theirs: list[NotebookNode]) -> str:
    """Return a hash of what the learner's notebook says, without badge, set-up and measured numbers."""
    filled = [cells[0], *(cell for cell in cells if "setup" in tags_of(cell))]
    before = {cell.id: cell.source for cell in filled}
    return digest(*(cell.cell_type + before.get(cell.id, cell.source) for cell in theirs))


def code_hash(cells: list[NotebookNode]) -> str:
    """Return a hash of all that decides about outputs; neither prose nor the edition does."""
    return digest(*(cell.source for cell in cells if cell.cell_type == "code"))


def records_hash(values: dict[str, dict]) -> str:
    """Return a hash of the records: tells whether somebody changed one by hand."""
    return digest(*(f"{name} {entry['value']!r} {entry['text']}" for name, entry in sorted(values.items())))


def quoted(cells: list[NotebookNode]) -> set[str]:
    """Return the names that the prose of a lab quotes."""
    return set().union(*(records.quoted(cell.source) for cell in cells if cell.cell_type == "markdown"))


def check_names(cells: list[NotebookNode], lab: Lab, values: dict[str, dict]) -> None:
    """Raise `BuildError` for a record that neither the lab nor its slides quote."""
    slides = lab.slides.read_text(encoding="utf-8") if lab.slides.exists() else ""
    unused = sorted(set(values) - quoted(cells) - records.quoted(slides))
    if unused:
        raise BuildError(f"{lab.name}: nothing quotes {', '.join(map(repr, unused))}; quote it or drop the record")


def values_of_other_labs(cells: list[NotebookNode], lab: Lab) -> dict[str, dict]:
    """Return the records of the other labs that this one quotes, as they were built last."""
    names = [records.NAME.fullmatch(name) for name in quoted(cells)]
    numbers = {match[1] for match in names if match} - {lab.number}
    loaded = [records.load(number, lab.root / "solutions") for number in sorted(numbers)]
    return {name: entry for values in loaded for name, entry in values.items()}
