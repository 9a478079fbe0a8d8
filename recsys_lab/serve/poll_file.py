"""Opening the file of a live poll: a lock, the tables, and the secrets that lie beside it."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path

from recsys_lab import poll_answers
from recsys_lab.poll_answers import APPLICATION_ID, VERSION, PollFileError

QUESTION = "About you: which five books do you love?"
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE people (person INTEGER PRIMARY KEY, token BLOB NOT NULL UNIQUE);
CREATE TABLE picks (person INTEGER NOT NULL REFERENCES people (person) ON DELETE CASCADE, place INTEGER NOT NULL,
                    item_id NOT NULL, PRIMARY KEY (person, place), UNIQUE (person, item_id)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class PollSecrets:
    """What lies in ``FILE.key``, readable by its owner only.

    Attributes
    ----------
    key : str
        Of the keyed hash of cookies, hexadecimal.
    presenter : str
        Opens the presenter's page.
    room_code : str
        What phones show to enter, so that they need no new code after a restart.
    """

    key: str
    presenter: str
    room_code: str

    @classmethod
    def new(cls) -> PollSecrets:
        """Draw new secrets. The code has no letters that are mistaken for digits, and no vowels that make words."""
        code = "".join(secrets.choice("BCDFGHJKMNPQRTVWXYZ2346789") for _ in range(6))
        return cls(secrets.token_hex(32), secrets.token_urlsafe(24), code)


def only_poll_on(path: Path):
    """Lock the poll file for this process; the system lets go of it when the process ends, however it ends."""
    from filelock import FileLock, Timeout

    if not path.parent.is_dir():
        raise PollFileError(f"{path}: the folder {path.parent} is not there. Fix: make it, or name another file.")
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PollFileError(f"{path}: another poll is running on this file. Fix: end it, or --file OTHER") from None
    return lock


def open_file(path: Path, simulated: bool) -> sqlite3.Connection:
    """Open the poll's file, a new one with its tables, so that what is deleted is gone and what is taken is on disk."""
    new = not path.exists() or path.stat().st_size == 0  # 0 bytes: killed before the first table was there
    if new:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    else:
        poll_answers.check_head(path)
    connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
    try:
        for setting in ("secure_delete = ON", "journal_mode = DELETE", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {setting}").fetchall()
        connection.execute("PRAGMA temp_store = MEMORY")  # VACUUM's second copy never lies on disk
        if new:
            meta = (
                f"INSERT INTO meta VALUES ('question', '{QUESTION}'), ('is_open', '1'), ('simulated', '{simulated:d}');"
            )
            marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
            connection.executescript(f"BEGIN; {TABLES} {meta} {marks} COMMIT;")  # a kill leaves all of it or nothing
        poll_answers.check_file(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise PollFileError(f"{path} cannot be read ({error}). Fix: name another file, or a whole copy.") from error
    except BaseException:
        connection.close()
        raise
    return connection


def read_secrets(path: Path) -> tuple[PollSecrets, bool]:
    """Return the secrets and whether they are new."""
    if path.exists():
        try:
            return PollSecrets(**json.loads(path.read_text(encoding="utf-8"))), False
        except (ValueError, TypeError) as error:
            raise PollFileError(
                f"{path} is damaged ({error}). Fix: remove it; answers given so far then stay."
            ) from None
    fresh = PollSecrets.new()
    part = path.with_name(f"{path.name}.part")  # written aside: a kill leaves the whole file or none
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(fresh), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    return fresh, True
