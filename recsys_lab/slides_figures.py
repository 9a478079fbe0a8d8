"""The figures of an executed lab, for slides: the solution is executed once more, and each figure kept as SVG.

What is stored in the solution's notebook is PNG at the size of a page, too coarse for a projector. The run has to
record the very values that the notebook holds; otherwise figures and numbers would be of different runs. Figures are
kept in the cache until the code of the lab changes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from recsys_lab import building, capabilities, plots, records, slides_capture
from recsys_lab.download import cache_folder
from recsys_lab.notebook_run import execute
from recsys_lab.slides_text import SlideError
from recsys_lab.sources import Lab, digest

IMAGE = re.compile(r'<img [^>]*alt="([^"]*)" src="data:image/png;base64,([^"]*)"')
#: Size (pt) of the smallest letters in a stored picture, as far as one can say, as if it had the dots of ours.
STORED_LETTERS = 10.0 * plots.DPI / slides_capture.DPI
BEGIN = "from recsys_lab import slides_capture as _capture; _capture.begin()\n"


@dataclass(frozen=True)
class Figure:
    """One figure: what it says in words, ``svg`` or ``png``, its smallest letters (pt), and the bytes in base64."""

    alt: str
    kind: str
    letters: float
    data: str

    @property
    def pixels(self) -> float:
        """Height of its smallest letters in pixels where it is shown at its own size."""
        dots = {"svg": 96, "png": slides_capture.DPI}[self.kind]
        return round(self.letters * dots / 72, 1)

    @property
    def address(self) -> str:
        """It as a data address."""
        return f"data:image/{'svg+xml' if self.kind == 'svg' else 'png'};base64,{self.data}"


def facts(lab: Lab) -> dict:
    """Return what the build has kept in the metadata of a lab's solution."""
    notebook = building.read_notebook(lab.solution)
    if notebook is None:
        raise SlideError(f"{lab.name} is not built: run 'recsys-lab build {lab.number}'")
    return notebook.metadata.get("recsys_lab", {})


def figures(lab: Lab, timeout: float = 600.0) -> list[Figure]:
    """Return the figures of a lab, in order; the lab is executed if they are not in the cache.

    Raises
    ------
    SlideError
        If a cell fails, or the run records other values than those that the notebook holds.
    """
    import matplotlib

    stored = facts(lab)
    drawn_by = (matplotlib.__version__, slides_capture.VERSION, bool(capabilities.find_real_logs()))
    kept = cache_folder() / "slides" / f"{lab.name}-{digest(stored.get('code', ''), *map(str, drawn_by))}.jsonl"
    if not kept.exists():
        text = fresh(lab, stored.get("records", {}), timeout)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text, encoding="utf-8")
    return [Figure(**json.loads(line)) for line in kept.read_text(encoding="utf-8").splitlines()]


def fresh(lab: Lab, stored: dict[str, dict], timeout: float) -> str:
    """Execute a lab and return its figures, a line of JSON each."""
    notebook: NotebookNode = building.read_notebook(lab.solution)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = BEGIN + first.source
    with tempfile.TemporaryDirectory() as scratch:
        shown, values = Path(scratch, "figures.jsonl"), Path(scratch, "records.jsonl")
        env = {slides_capture.VARIABLE: str(shown), records.VARIABLE: str(values)}
        run = execute(notebook, lab.solution.parent, env=env, timeout=timeout)
        if run.errors:
            raise SlideError(f"{lab.name}: cell {run.errors[0].number} failed.\n{run.errors[0].error}")
        same_run(lab, stored, records.collect(values, lab.number))
        lines = shown.read_text(encoding="utf-8").splitlines() if shown.exists() else []
        return "".join(json.dumps(line) + "\n" for line in in_order(run.notebook, map(json.loads, lines)))


def in_order(notebook: NotebookNode, kept: Iterable[dict]) -> Iterable[dict]:
    """Return the figures that a notebook shows, each with its text; what was stored as PNG stays so."""
    vectors = {line["png"]: line for line in kept}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for alt, data in IMAGE.findall(output.get("data", {}).get("text/html", "")):
                stored = {"kind": "png", "letters": STORED_LETTERS, "data": data}
                line = vectors.get(hashlib.sha256(base64.b64decode(data)).hexdigest(), stored)
                yield {"alt": html.unescape(alt), **{name: line[name] for name in stored}}


def same_run(lab: Lab, stored: dict[str, dict], now: dict[str, dict]) -> None:
    """Raise where a run says something else than the notebook; what needs a log that is not here may be missing."""
    other = [name for name in stored if name in now and stored[name]["text"] != now[name]["text"]]
    if other or set(now) - set(stored):
        name = (other or sorted(set(now) - set(stored)))[0]
        was, is_now = (entries.get(name, {}).get("text", "nothing") for entries in (stored, now))
        raise SlideError(
            f"{lab.name}: on this machine {name!r} comes out as {is_now}, the notebook has {was}. "
            f"Run 'recsys-lab build {lab.number} --force' first."
        )


def find(found: list[Figure], beginning: str, lab: Lab) -> Figure:
    """Return the one figure whose text begins so."""
    wanted = [figure for figure in found if figure.alt.startswith(beginning)]
    if len(wanted) != 1:
        have = "\n    ".join(figure.alt for figure in found)
        many = "no figure's text begins" if not wanted else "the texts of several figures begin"
        raise SlideError(f"{lab.name}: {many} with {beginning!r}. It has:\n    {have}")
    return wanted[0]
