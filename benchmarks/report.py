"""Write a measured section into a Markdown file, between two markers, so that no number is typed by hand."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from pathlib import Path

import pandas as pd

README = Path(__file__).parent / "README.md"


def markdown(table: pd.DataFrame, digits: int = 3) -> str:
    """Return a table as Markdown; floats with so many digits, numbers to the right."""

    def cell(value) -> str:
        return f"{value:.{digits}f}" if isinstance(value, float) else str(value)

    aligned = [":--" if not pd.api.types.is_numeric_dtype(table[c]) else "--:" for c in table]
    rows = [list(table.columns), aligned, *([cell(v) for v in row] for row in table.itertuples(index=False))]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write_section(name: str, text: str, path: Path = README) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- end of name -->``; append both if they are missing."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    block = f"{begin}\n{text.strip()}\n{end}"
    if begin in old:
        head, rest = old.split(begin, 1)
        if end not in rest:
            raise ValueError(f"{path}: marker {end!r} is missing after {begin!r}. Put it back, then run this again.")
        new = head + block + rest.split(end, 1)[1]
    else:
        new = f"{old.rstrip()}\n\n{block}\n".lstrip()
    path.write_text(new, encoding="utf-8")


def made_by(command: str) -> str:
    """One line that says how, when and on what a section was measured."""
    import numpy
    import scipy

    versions = f"Python {platform.python_version()}, numpy {numpy.__version__}, pandas {pd.__version__}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    today = datetime.date.today().isoformat()
    return f"`{command}`, {today}; {versions}, scipy {scipy.__version__}; {machine}."


def command_line(module: str) -> str:
    """The command as it was typed."""
    return " ".join(["python -m", module, *sys.argv[1:]])
