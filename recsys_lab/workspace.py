"""The learner's copies of the labs, in ``work/``: git ignores them, and nothing here overwrites what a person wrote.

A lab carries a fingerprint of its own cells in its metadata. A copy that still has those cells, and no outputs, is
untouched and follows a newer edition; any other is kept. Standard library only: ``python -m recsys_lab`` uses this.
"""

import hashlib
import json
import os
from pathlib import Path

FOLDER = "work"


def fingerprint(cells) -> str:
    """Return a hash of type, text and presence of outputs of cells: what a learner can change."""
    seen = [[cell["cell_type"], "".join(cell["source"]), bool(cell.get("outputs"))] for cell in cells]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def prepare(root: Path) -> tuple[list[Path], list[str]]:
    """Bring ``work/`` up to date with ``labs/``.

    Returns
    -------
    list of Path
        The copies, in the order of the labs; empty while there are no labs.
    list of str
        What a person should know: one line for each lab that was added, brought up to date, or kept.
    """
    copies, lines = [], []
    for lab in sorted((root / "labs").glob("*.ipynb")):
        copy = root / FOLDER / lab.name
        copies.append(copy)
        state = compare(lab, copy)
        if state in ("missing", "outdated"):
            put(lab, copy)
        if state != "current":
            lines.append(told(state, copy))
    return copies, lines


def compare(lab: Path, copy: Path) -> str:
    """Return the state of a copy: "missing", "current", "outdated" (and untouched), "touched" (and outdated)."""
    if not copy.exists():
        return "missing"
    new, old = facts(lab), facts(copy)
    if untouched(copy):
        return "current" if old == new else "outdated"
    return "current" if old.get("content") == new.get("content") and old else "touched"


def told(state: str, copy: Path) -> str:
    """Return what to tell about a copy."""
    place, number = f"{FOLDER}/{copy.name}", copy.name[:2]
    script = Path(".venv", *(("Scripts", "recsys-lab") if os.name == "nt" else ("bin", "recsys-lab")))
    return {
        "missing": f"{place}: a fresh copy",
        "outdated": f"{place}: brought up to date, you had not changed it",
        "touched": f"{place}: kept as you left it. A newer one is out: '{script} reset {number}' puts it here "
        "and keeps yours under another name.",
    }[state]


def reset(root: Path, number: str) -> list[str]:
    """Start a lab again and keep the old copy under another name; return what to tell.

    Raises
    ------
    ValueError
        If there is no lab with that number.
    """
    found = [path for path in sorted((root / "labs").glob("*.ipynb")) if path.name.startswith(f"{number[:2]}_")]
    if not found:
        have = ", ".join(path.stem for path in sorted((root / "labs").glob("*.ipynb"))) or "none here"
        raise ValueError(f"there is no lab {number} (labs: {have})")
    copy, lines = root / FOLDER / found[0].name, []
    if copy.exists() and not untouched(copy):
        kept = free_name(copy)
        copy.rename(kept)
        lines = [f"Your old copy is now {FOLDER}/{kept.name}"]
    put(found[0], copy)
    return [*lines, f"{FOLDER}/{copy.name} starts again. If it is open in JupyterLab: File > Reload Notebook from Disk"]


def free_name(copy: Path) -> Path:
    """Return the first name of the kind ``01_topic.kept-1.ipynb`` that is not taken."""
    number = 1
    while (kept := copy.with_name(f"{copy.stem}.kept-{number}{copy.suffix}")).exists():
        number += 1
    return kept


def put(lab: Path, copy: Path) -> None:
    """Write a copy in one move, so that there is never half of one."""
    copy.parent.mkdir(exist_ok=True)
    half = copy.with_name(f".{copy.name}.new")
    half.write_bytes(lab.read_bytes())
    os.replace(half, copy)


def untouched(copy: Path) -> bool:
    """Whether a copy has the cells that it was handed out with; False for what is no notebook any more."""
    handed_out = facts(copy).get("cells")
    return handed_out is not None and handed_out == fingerprint(read(copy)["cells"])


def facts(path: Path) -> dict:
    """Return what the build noted in a notebook, {} where there is nothing to be read."""
    return read(path).get("metadata", {}).get("recsys_lab", {})


def read(path: Path) -> dict:
    """Return a notebook, {} if the file is none."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        return notebook if isinstance(notebook.get("cells"), list) else {}
    except (OSError, ValueError, AttributeError):
        return {}
