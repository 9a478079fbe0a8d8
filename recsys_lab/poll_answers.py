"""The answers of a live poll, read from its file: who picked which books, and in which order.

``recsys-lab poll`` writes a SQLite file; ``recsys-lab poll --export`` writes the same answers as csv, and both read
the same. A person is a random number that says nothing, not even who came first; no time is kept. The tables::

    meta    key, value               question, is_open, simulated
    people  person, token            token: keyed hash of a phone's cookie, for changing and deleting one's answers
    picks   person, place, item_id   place 1 was picked first

Nothing here writes; `recsys_lab.serve.poll_store` does.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd

from recsys_lab.events import EventLogError, read_events, validate_events

#: What marks a SQLite file as one of ours (``PRAGMA application_id``), and the version of its tables.
APPLICATION_ID = int.from_bytes(b"rpol", "big")
VERSION = 1
COLUMNS = ("session_id", "item_id", "event", "order")
PICKS = "SELECT person, item_id, 'view', place FROM picks ORDER BY person, place"
SQLITE_HEAD = b"SQLite format 3\0"


class PollFileError(ValueError):
    """A file is not a poll with answers: says what it is and what to do."""


def read_poll(path: str | Path) -> pd.DataFrame:
    """Return the answers of a poll as an event log.

    Parameters
    ----------
    path : str or Path
        The poll's SQLite file, also while the poll runs, or a csv that ``recsys-lab poll --export`` wrote.

    Returns
    -------
    DataFrame
        `session_id` (a person), `item_id`, `event` (always "view", the word that all labs read) and `order` (1 was
        picked first), sorted by person and order. ``attrs["simulated"]`` is set where a class stands in for a room.

    Raises
    ------
    PollFileError
        If the file is missing, is no poll, or holds no answers yet; the message says what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise PollFileError(
            f"{path}: there is no such file. Fix: name the file that `recsys-lab poll` printed when it started, "
            "or take the class of 30 that comes with the course: poll:sample"
        )
    frame = _read_csv(path) if path.suffix == ".csv" else _read_sqlite(path)
    if frame.empty:
        raise PollFileError(f"{path}: nobody has answered yet. Fix: load it again when somebody has.")
    return validate_events(frame)


def sample_class() -> pd.DataFrame:
    """Return the SIMULATED class of 30 that stands in for a room, in the form of `read_poll`."""
    from recsys_lab.bookshop import data_folder

    frame = pd.read_parquet(data_folder() / "poll_class.parquet")
    frame.attrs["simulated"] = True
    return frame


def check_file(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `PollFileError` unless an open SQLite file is a poll of this version."""
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark != APPLICATION_ID:
        raise PollFileError(f"{path}: a SQLite file, but no poll. Fix: name the file that `recsys-lab poll` printed.")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise PollFileError(
            f"{path}: a poll of version {version}, this edition reads version {VERSION}. Fix: use the edition that "
            "wrote it, or its csv: recsys-lab poll --file FILE --export answers.csv"
        )


def check_head(path: Path) -> None:
    """Raise `PollFileError` if a file does not begin like a SQLite file; SQLite itself would say so much later."""
    with path.open("rb") as file:
        head = file.read(len(SQLITE_HEAD))
    if head != SQLITE_HEAD:
        what = "is empty (0 bytes)" if not head else "is no SQLite file"
        raise PollFileError(
            f"{path} {what}, so it is no poll. Fix: name the file that `recsys-lab poll` printed, or a .csv that "
            "`recsys-lab poll --export` wrote."
        )


def _read_sqlite(path: Path) -> pd.DataFrame:
    check_head(path)
    # not read-only: after a power cut SQLite has to mend the file first; mode=rw makes no new one
    address = f"{path.resolve().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
            check_file(connection, path)
            rows = connection.execute(PICKS).fetchall()
            (simulated,) = connection.execute("SELECT value FROM meta WHERE key = 'simulated'").fetchone()
    except sqlite3.DatabaseError as error:
        raise PollFileError(f"{path} cannot be read ({error}). Fix: copy it again, whole.") from error
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.attrs["simulated"] = simulated == "1"
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        frame = read_events(path)
    except EventLogError as error:
        raise PollFileError(f"{error}\nA poll's csv comes from: recsys-lab poll --file FILE --export {path}") from error
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise PollFileError(
            f"{path} has no column {missing[0]!r}: an event log, but no poll. Fix: recsys_lab.events reads it."
        )
    return frame[list(COLUMNS)].sort_values(["session_id", "order"], kind="stable", ignore_index=True)
