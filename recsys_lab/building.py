"""Build the notebooks of the labs, and check without executing anything that they are up to date.

A lab is executed when its code has changed; a change of prose, of the edition or of a record's place in the text is
not. Nothing is written before everything has worked, and what is written comes out the same the next time: outputs are
freed of what changes by itself.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from recsys_lab import authoring, notebook_checks, plots, records, sources
from recsys_lab.notebook_run import Run, execute
from recsys_lab.progress import bar
from recsys_lab.sources import BuildError, Lab

WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_TEXT = "An interactive part: run this cell in JupyterLab or Colab to use it."
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
STYLER = re.compile(r"\bT_[0-9a-f]{5}(?![0-9A-Za-z])")  # pandas gives each styled table a random name
LAB_NAME = re.compile(r"\d\d_[a-z0-9_]+")
FIGURES = Path("recsys_lab", "figures")


def build(root: Path, numbers: Iterable[str] = (), force: bool = False, timeout: float = 600.0) -> list[str]:
    """Make the notebooks of some labs, all by default; return a line for each.

    Parameters
    ----------
    root : Path
        The checkout.
    numbers : iterable of str
        Which labs, such as "02".
    force : bool
        Execute also what has not changed.
    timeout : float
        Seconds for all cells of a lab.

    Raises
    ------
    BuildError
        If a source breaks a rule, a cell fails or what came out has a defect. That lab's files stay as they were.
    """
    chosen = [(lab, sources.read(lab)) for lab in sources.labs(root, numbers)]  # all can be read: then begin
    todo = [(lab, cells, reusable(lab, cells) and not force) for lab, cells in chosen]
    total = sum(is_code(cell) for _, cells, reuse in todo for cell in cells if not reuse)
    lines = []
    with bar(total, "labs", show=total > 0, unit="cell") as drawn:
        for lab, cells, reuse in todo:
            lines.append(build_lab(lab, cells, reuse, timeout, drawn.update))
    return lines


def build_lab(lab: Lab, cells: list[NotebookNode], reuse: bool, timeout: float, done) -> str:
    """Make the two notebooks of one lab; return a line that says what was done."""
    with tempfile.TemporaryDirectory() as scratch:
        if reuse:
            outputs, values = stored_outputs(lab)
        else:
            outputs, values = fresh_outputs(lab, cells, Path(scratch), timeout, done)
        solution, learner = named(lab, cells, values)
        for cell, (count, shown) in zip(filter(is_code, solution.cells), outputs, strict=True):
            cell.execution_count, cell.outputs = count, shown
        written = {lab.solution: text_of(solution), lab.notebook: text_of(learner)}
        wrong = notebook_checks.solution_defects(solution) + notebook_checks.learner_defects(learner)
        if wrong:
            raise BuildError("\n    ".join([f"{lab.name} was not built:", *wrong]))
        changed = [path for path, text in written.items() if not path.exists() or read_text(path) != text]
        for path in changed:
            write(path, written[path])
        for picture in sorted(Path(scratch).glob("*.png")):
            (lab.root / FIGURES).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, lab.root / FIGURES / picture.name)
    how = "nothing executed" if reuse else "executed"
    return f"{lab.name}: {how}, " + (f"wrote {' and '.join(map(lab.place, changed))}" if changed else "unchanged")


def named(lab: Lab, cells: list[NotebookNode], values: dict) -> tuple[NotebookNode, NotebookNode]:
    """Return the two notebooks; an error about a record has the name of the lab."""
    try:
        return authoring.notebooks(cells, lab, values)
    except records.RecordError as error:
        raise BuildError(f"{lab.name}: {error}") from None


# ---- outputs ----------------------------------------------------------------------------------------------


def reusable(lab: Lab, cells: list[NotebookNode]) -> bool:
    """Whether the stored outputs and records are those of this code."""
    stored = read_notebook(lab.solution)
    if stored is None:
        return False
    facts = stored.metadata.get("recsys_lab", {})
    whole = all(cell.execution_count for cell in stored.cells if is_code(cell) and cell.source.strip())
    same_code = facts.get("code") == authoring.code_hash(cells)
    same_records = facts.get("records_hash") == authoring.records_hash(facts.get("records", {}))
    return whole and same_code and same_records


def stored_outputs(lab: Lab) -> tuple[list[tuple], dict]:
    """Return execution count and outputs of each code cell, and the records, as they were built last."""
    stored = read_notebook(lab.solution)
    outputs = [(cell.execution_count, cell.outputs) for cell in stored.cells if is_code(cell)]
    return outputs, dict(stored.metadata.recsys_lab.records)


def fresh_outputs(lab: Lab, cells: list[NotebookNode], scratch: Path, timeout: float, done) -> tuple[list[tuple], dict]:
    """Execute the solution; return what `stored_outputs` does."""
    notebook = authoring.notebook(authoring.solution_cells(cells, lab), {})
    kept = scratch / "records.jsonl"
    progress = scratch / "recsys-lab" / "progress.json"
    env = {records.VARIABLE: str(kept), plots.VARIABLE: str(scratch), "RECSYS_LAB_PROGRESS_FILE": str(progress)}
    run = execute(notebook, lab.solution.parent, env=env, timeout=timeout, done=done)
    if run.errors:
        raise BuildError(failure(lab, run))
    try:
        values = records.collect(kept, lab.number)
    except records.RecordError as error:
        raise BuildError(f"{lab.name}: {error}") from None
    normalise(notebook, scratch)
    return [(cell.execution_count, cell.outputs) for cell in notebook.cells if is_code(cell)], values


def failure(lab: Lab, run: Run) -> str:
    """Return what to tell about a cell that failed."""
    wrong = run.errors[0]
    source = sources.indented(run.notebook.cells[wrong.number - 1].source)
    return f"{lab.name}: cell {wrong.number} failed; nothing was written.\n{source}\n\n{wrong.error}"


def normalise(notebook: NotebookNode, scratch: Path) -> None:
    """Free outputs of what differs from one run to the next: addresses, random names, widgets, our own folder."""
    names: dict[str, str] = {}

    def clean(text):
        if not isinstance(text, str):
            return text
        text = ADDRESS.sub("0x...", text.replace(str(scratch), "~"))
        return STYLER.sub(lambda match: names.setdefault(match[0], f"T_{len(names):05d}"), text)

    for cell in filter(is_code, notebook.cells):
        if "solution-only" in cell.metadata.get("tags", []):  # what `record` returns is nothing to look at
            cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
        for output in cell.outputs:
            if "text" in output:
                output.text = clean(output.text)
            if WIDGET in output.get("data", {}):
                output.data = NotebookNode({"text/plain": WIDGET_TEXT})
            for kind, text in output.get("data", {}).items():
                output.data[kind] = text if kind.startswith("image/") else clean(text)


# ---- checking ---------------------------------------------------------------------------------------------


def check(root: Path, numbers: Iterable[str] = ()) -> list[str]:
    """Return one line for every notebook that is not what its source makes; nothing is executed."""
    stale = [line for lab in sources.labs(root, numbers) for line in stale_files(lab)]
    return stale if numbers else stale + orphans(root)


def stale_files(lab: Lab) -> list[str]:
    """Return a line for each stale file of one lab."""
    stored = read_notebook(lab.solution)
    if stored is None:
        return [f"{lab.place(lab.solution)} is missing or no notebook"]
    facts = stored.metadata.get("recsys_lab", {})
    values = facts.get("records", {})
    if facts.get("records_hash") != authoring.records_hash(values):
        return [f"{lab.place(lab.solution)}: the records are not those that the run gave"]
    try:
        solution, learner = named(lab, sources.read(lab), values)
    except BuildError as error:
        return [f"{lab.place(lab.solution)} is stale: {error}"]
    lines = []
    if difference := first_difference(solution, stored):
        lines.append(f"{lab.place(lab.solution)} is stale: {difference}")
    if not lab.notebook.exists() or read_text(lab.notebook) != text_of(learner):
        lines.append(f"{lab.place(lab.notebook)} is stale: it is not what {lab.place(lab.source)} makes")
    return lines


def first_difference(wanted: NotebookNode, stored: NotebookNode) -> str | None:
    """Return where a stored notebook first differs from the wanted one, outputs aside."""
    for number, (new, old) in enumerate(zip(wanted.cells, stored.cells, strict=False), 1):
        for key in ("id", "cell_type", "source", "metadata"):
            if new[key] != old.get(key):
                return f"cell {number} has another {key.replace('_', ' ')}"
    if len(wanted.cells) != len(stored.cells):
        return f"{len(stored.cells)} cells, not {len(wanted.cells)}"
    return None if wanted.metadata == stored.metadata else "its metadata or the hash of its source"


def orphans(root: Path) -> list[str]:
    """Return a line for each notebook and each stored picture that no source stands behind."""
    known = {path for lab in sources.labs(root) for path in (lab.solution, lab.notebook)}
    found = [*(root / "solutions").glob("*.ipynb"), *(root / "labs").glob("*.ipynb")]
    lines = [f"{path.relative_to(root).as_posix()} has no source in solutions/" for path in found if path not in known]
    text = "".join(read_text(lab.source) for lab in sources.labs(root))
    for path in sorted((root / FIGURES).glob("*.png")):
        if f'"{path.stem}"' not in text:
            lines.append(f"{path.relative_to(root).as_posix()} is used by no lab")
    return lines


# ---- a new lab, and files ---------------------------------------------------------------------------------


def new(root: Path, name: str) -> Path:
    """Start the source of a lab from the template; return its path."""
    if not LAB_NAME.fullmatch(name):
        raise BuildError(f"{name!r}: a lab's name is two digits and a topic, such as 03_popularity")
    taken = [lab for lab in sources.labs(root) if lab.number == name[:2]] if (root / "solutions").is_dir() else []
    if taken:
        raise BuildError(f"there is a lab {name[:2]} already: {taken[0].place(taken[0].source)}")
    text = files("recsys_lab").joinpath("lab_template.txt").read_text(encoding="utf-8")
    title = name[3:].replace("_", " ").capitalize()
    for blank, filled in (("NN", name[:2]), ("Exercise N.", f"Exercise {int(name[:2])}."), ("TITLE", title)):
        text = text.replace(blank, filled)
    path = Lab(root, name).source
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def is_code(cell: NotebookNode) -> bool:
    """Whether a cell is code."""
    return cell.cell_type == "code"


def read_notebook(path: Path) -> NotebookNode | None:
    """Return a notebook, None if it is missing or none."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError):  # nbformat: NotJSONError and ValidationError are ValueErrors
        return None


def read_text(path: Path) -> str:
    """Return the text of a file, lines ending alike on every system."""
    return path.read_text(encoding="utf-8")


def text_of(notebook: NotebookNode) -> str:
    """Return a notebook as its file has it."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def write(path: Path, text: str) -> None:
    """Write a file in one move, so that there is never half of one."""
    path.parent.mkdir(exist_ok=True)
    half = path.with_name(f".{path.name}.new")
    half.write_text(text, encoding="utf-8", newline="\n")
    os.replace(half, path)
