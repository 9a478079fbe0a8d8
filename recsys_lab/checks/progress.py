"""What a learner has done so far, in one small file on their own machine; nothing is ever sent anywhere.

The file is ``progress.json`` in the user's data folder (on Linux ``~/.local/share/recsys-lab``), so that it survives
kernels, new copies of the labs and newer editions. The environment variable RECSYS_LAB_PROGRESS_FILE names another
one; set and empty, it means that nothing is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

VARIABLE = "RECSYS_LAB_PROGRESS_FILE"
STALE_S = 2.0  # writing takes milliseconds: a lock this old belongs to a kernel that died
WAIT_S = 4.0
NOT_KEPT = "Progress is not kept: {reason}."

_BROKEN = (ValueError, KeyError, TypeError, AttributeError, RecursionError)  # what `_parse` meets in a broken file

Notes = dict[str, dict[str, dict]]  # lab -> exercise -> what is known of it


def file() -> Path | None:
    """Return where the progress is kept, None where it is not to be kept."""
    named = os.environ.get(VARIABLE)
    if named is None:
        return Path(platformdirs.user_data_dir("recsys-lab", appauthor=False)) / "progress.json"
    return Path(named).expanduser() if named else None


def read() -> Notes:
    """Return what is kept; nothing where there is no file or no readable one."""
    path = file()
    try:
        return _parse(path.read_bytes()) if path else {}
    except (OSError, *_BROKEN):
        return {}


def update(lab: str, exercise: str, change: Callable[[dict], None]) -> str | None:
    """Change what is kept of one exercise; other kernels may write at the same time.

    Parameters
    ----------
    lab, exercise : str
    change : callable
        Takes the exercise's dict and changes it in place.

    Returns
    -------
    str or None
        Why it could not be kept, in one sentence; None if all went well.
    """
    path = file()
    if path is None:
        return NOT_KEPT.format(reason=f"{VARIABLE} is empty")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            notes = _read_or_set_aside(path)
            change(notes.setdefault(lab, {}).setdefault(exercise, {}))
            _write(path, notes)
    except OSError as error:
        return NOT_KEPT.format(reason=f"{_short(path)} cannot be written ({error.strerror or type(error).__name__})")
    return None


def where() -> str:
    """Say where the progress is kept, in one sentence."""
    path = file()
    return f"Kept on this machine only, in {_short(path)}." if path else NOT_KEPT.format(reason=f"{VARIABLE} is empty")


def _short(path: Path) -> str:
    """The path without the user's name, as the table may end up in a stored notebook."""
    with contextlib.suppress(ValueError, RuntimeError):
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    return str(path)


def _parse(data: bytes) -> Notes:
    """The notes in a file; ValueError where they are not what `_write` wrote."""
    labs = json.loads(data.decode("utf-8"))["labs"] if data.strip() else {}
    for lab in labs.values():
        for notes in lab.values():
            if not all(isinstance(value, int) for value in notes.values()):
                raise ValueError("something else wrote this file")
    return labs


def _read_or_set_aside(path: Path) -> Notes:
    try:
        return _parse(path.read_bytes())
    except FileNotFoundError:
        return {}
    except _BROKEN:
        os.replace(path, path.with_name(f"{path.name}.unreadable"))
        return {}


def _write(path: Path, notes: Notes) -> None:
    """Write beside the file and move into place: whoever reads sees the old notes or the new ones, never half."""
    text = json.dumps({"labs": notes}, indent=1, sort_keys=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text + "\n")
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that works on every system and file system: a file that only one can create."""
    lock, until = path.with_name(f"{path.name}.lock"), time.monotonic() + WAIT_S
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except (FileExistsError, PermissionError):  # Windows says "permission" while a deleted lock lingers
            if not os.access(path.parent, os.W_OK) or time.monotonic() > until:
                raise
            with contextlib.suppress(OSError):
                if time.time() - lock.stat().st_mtime > STALE_S:
                    lock.unlink()
            time.sleep(0.01)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
