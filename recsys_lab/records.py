"""Numbers by name: code records them, prose quotes them, and nobody types a measured number.

A solution says ``record("lab02.pop.recall20", recall, "{:.3f}")``; text in the same lab, and later the slides, quote it
as ``{{ lab02.pop.recall20 }}``. The build fills the text in and keeps the values in the metadata of the solution's
notebook, where `load` finds them.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path

#: Environment variable with the file that the build collects records in; without it, `record` keeps nothing.
VARIABLE = "RECSYS_LAB_RECORDS"
NAME = re.compile(r"lab(\d\d)(\.[a-z0-9_]+)+")
QUOTE = re.compile(r"\{\{\s*(.*?)\s*\}\}")


class RecordError(ValueError):
    """A name is unknown, unused, recorded twice or belongs to another lab; the message has the name."""


def record(name: str, value, form: str = "{}"):
    """Give a value a name that prose can quote, and return the value.

    Parameters
    ----------
    name : str
        ``labNN.`` and further words: lower-case letters, digits and underscores, with dots between them.
    value : int, float or str
        What was measured; a NumPy scalar will do.
    form : str
        How it reads in prose, in the language of `str.format`.

    Returns
    -------
    int, float or str
        `value`, unchanged.

    Raises
    ------
    RecordError
        If the name is not of that form, or the value is no number and no string.

    Examples
    --------
    >>> record("lab02.pop.recall20", 0.1234, "{:.3f}")
    0.1234
    >>> record("recall", 0.1234)
    Traceback (most recent call last):
    ...
    recsys_lab.records.RecordError: record('recall'): a name looks like 'lab02.pop.recall20'
    """
    if not NAME.fullmatch(name):
        raise RecordError(f"record({name!r}): a name looks like 'lab02.pop.recall20'")
    kept = {"name": name, "value": plain(name, value), "text": form.format(value)}
    if path := os.environ.get(VARIABLE):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(kept) + "\n")
    return value


def claim(holds, about="") -> None:
    """Stop a build where what the prose says does not hold; elsewhere do nothing.

    For what may come out a little differently on another processor, such as what a network has learned: there the
    stored text is still true of the stored run, and an instructor's check need not fail.

    Parameters
    ----------
    holds : bool
    about : object, optional
        Stands in the error.

    Raises
    ------
    RecordError
        Under a build, if it does not hold.
    """
    if not holds and os.environ.get(VARIABLE):
        raise RecordError(f"the text says something that does not hold: {about}")


def plain(name: str, value) -> int | float | str:
    """Return a value as JSON keeps it: six digits, since the rest differs from one processor to the next."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.6g}")
    if isinstance(value, int | str):
        return value
    raise RecordError(f"record({name!r}): a finite number or a string is needed, not {value!r}")


def collect(path: Path, number: str) -> dict[str, dict]:
    """Return what a run of lab `number` has recorded: name to ``{"value": ..., "text": ...}``."""
    kept: dict[str, dict] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        entry = json.loads(line)
        name = entry.pop("name")
        if NAME.fullmatch(name)[1] != number:
            raise RecordError(f"{name!r} is recorded in lab {number}: its name must begin with 'lab{number}.'")
        if kept.setdefault(name, entry) != entry:
            raise RecordError(f"{name!r} is recorded twice: {kept[name]['text']}, then {entry['text']}")
    return dict(sorted(kept.items()))


def load(number: str, folder: Path | str | None = None) -> dict[str, dict]:
    """Return the records of a lab that has been built.

    Parameters
    ----------
    number : str
        The lab, such as "02".
    folder : path, optional
        Where the solutions' notebooks are; those of this checkout by default.

    Returns
    -------
    dict of str to dict
        Name to ``{"value": 0.1234, "text": "0.123"}``; empty where the lab has not been built.
    """
    from recsys_lab.environment import ROOT

    folder = ROOT / "solutions" if folder is None else Path(folder)
    for path in sorted(folder.glob(f"{number}_*.ipynb")):
        metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
        return metadata.get("recsys_lab", {}).get("records", {})
    return {}


def quoted(text: str) -> set[str]:
    """Return the names that a text quotes."""
    return set(QUOTE.findall(text))


def fill(text: str, values: dict[str, dict]) -> str:
    """Return `text` with every quoted name replaced by what was recorded.

    Examples
    --------
    >>> fill("recall is {{ lab02.recall }}", {"lab02.recall": {"value": 0.1234, "text": "0.123"}})
    'recall is 0.123'
    """
    unknown = sorted(quoted(text) - set(values))
    if unknown:
        raise RecordError(
            f"nothing is recorded as {', '.join(map(repr, unknown))}. "
            "If a cell on a real log records it: build where that log is (RECSYS_LAB_DATA)."
        )
    return QUOTE.sub(lambda match: values[match[1]]["text"], text)
