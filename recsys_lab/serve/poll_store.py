"""Where the answers of a live poll lie: one SQLite file, and a small file of secrets beside it.

What is kept of a person is what deleting needs, and no more:

- A phone is known by a random cookie. The file holds a keyed hash of it (HMAC-SHA256, cut to 16 bytes), which finds the
  answers again when the phone wants to change or delete them. The key lies in ``FILE.key``. Whoever has the poll file
  alone cannot tell which answers came from a phone, even with that phone in hand; without ``FILE.key``, nobody can.
- A person is a random number, and rows are sorted by it: nothing tells who answered first. No time is kept.
- What is deleted or replaced is overwritten with zeros (``secure_delete``). A deletion also writes the file anew
  (``VACUUM``), because SQLite may have moved rows about inside a page. The rollback journal, the one other place where
  old pages lie, is removed with each transaction; a write-ahead log would keep them for as long as it likes.

An answer that was acknowledged is on disk (``synchronous = FULL``), so the poll goes on after a ``kill -9``.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import sqlite3
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from recsys_lab import poll_answers
from recsys_lab.serve import poll_file

MOST_PEOPLE = 5_000  # a room, not the world: nobody can fill the disk
FORGET_S = 600  # how long a deletion is remembered, in memory only, against answers that were still on their way


class PollClosedError(ValueError):
    """The poll takes no answers any more; what was there is kept."""


class PickError(ValueError):
    """Picks that cannot be taken: none, too many, one twice, or a book that is not in the catalogue."""


class GoneError(ValueError):
    """The answers of this phone were deleted a moment ago; what arrives late does not bring them back."""


class PollStore:
    """The answers of one poll.

    Parameters
    ----------
    path : str or Path
        The poll's file; made if it is not there. Only one process at a time may have it open as a store; reading it
        with `poll_answers.read_poll` is always possible.
    known : collection of item ids
        What can be picked.
    question : str, optional
        What is asked. By default the file's own question, or `QUESTION` for a new file.
    max_picks : int
    simulated : bool
        Marks a new file as a simulated class.

    Raises
    ------
    PollFileError
        If the file is no poll, or another poll has it open.

    Attributes
    ----------
    secrets : PollSecrets
    version : int
        Another one whenever answers have changed.
    lost_key : bool
        ``FILE.key`` was gone though there are answers: they count, but those who gave them can no longer change them.
    """

    def __init__(self, path: str | Path, known: Collection, question: str | None = None, *, max_picks: int = 5,
                 simulated: bool = False):  # fmt: skip
        self.path, self.max_picks = Path(path), max_picks
        self.version = 0
        self._known, self._mutex, self._deleted = frozenset(known), threading.Lock(), {}
        self._lock = poll_file.only_poll_on(self.path)
        try:
            self._connection = poll_file.open_file(self.path, simulated)
            self.secrets, fresh = poll_file.read_secrets(Path(f"{self.path}.key"))
            self.lost_key = fresh and self.count() > 0
            if question is not None:
                self._set("question", question)
        except BaseException:
            self._lock.release()
            raise

    # ---- what a phone does

    def submit(self, token: str, picks: Sequence) -> None:
        """Take a person's picks in the place of those given before; sending the same twice changes nothing.

        Parameters
        ----------
        token : str
            The phone's cookie.
        picks : sequence of item ids
            In the order of picking: 1 to `max_picks` different books of the catalogue.

        Raises
        ------
        PollClosedError, PickError, GoneError
        """
        picks = self._checked(picks)
        with self._mutex, self._connection as db:
            if not self._get("is_open") == "1":
                raise PollClosedError("The poll is closed. What you answered before still counts.")
            mark = self._mark(token)
            if self._was_deleted(mark):
                raise GoneError("These answers were deleted a moment ago. Open the page again to answer anew.")
            person = self._person(mark)
            if person is None:
                person = self._new_person(mark)
            elif self._picks(person) == picks:
                return
            db.execute("DELETE FROM picks WHERE person = ?", (person,))
            rows = [(person, place, item) for place, item in enumerate(picks, start=1)]
            db.executemany("INSERT INTO picks VALUES (?, ?, ?)", rows)
            self.version += 1

    def answers(self, token: str) -> tuple:
        """Return what this phone has picked, in its order; empty where it has not answered."""
        with self._mutex:
            person = self._person(self._mark(token))
            return () if person is None else self._picks(person)

    def delete(self, token: str) -> int:
        """Delete a person's picks, from the file too; returns how many there were. Works in a closed poll as well."""
        with self._mutex:
            mark = self._mark(token)
            person = self._person(mark)
            if person is None:
                return 0
            self._deleted[mark] = time.monotonic()
            n = len(self._picks(person))
            with self._connection as db:
                db.execute("DELETE FROM picks WHERE person = ?", (person,))
                db.execute("DELETE FROM people WHERE person = ?", (person,))
            self.version += 1
            self._tidy()
            return n

    # ---- what the presenter does

    def close_poll(self) -> None:
        """Take no more answers; rows are put in the order of their random numbers on disk, too."""
        self._set("is_open", "0")
        with self._mutex:
            self._tidy()

    def reopen_poll(self) -> None:
        """Take answers again."""
        self._set("is_open", "1")

    @property
    def is_open(self) -> bool:
        """Whether answers are taken."""
        with self._mutex:
            return self._get("is_open") == "1"

    @property
    def question(self) -> str:
        """What is asked."""
        with self._mutex:
            return self._get("question")

    @property
    def simulated(self) -> bool:
        """Whether the answers are those of a simulated class."""
        with self._mutex:
            return self._get("simulated") == "1"

    def count(self) -> int:
        """How many people have answered."""
        with self._mutex:
            return self._connection.execute("SELECT count(*) FROM people").fetchone()[0]

    def events(self) -> pd.DataFrame:
        """Return the answers as an event log (`poll_answers.read_poll`); without rows where nobody has answered."""
        with self._mutex:
            rows = self._connection.execute(poll_answers.PICKS).fetchall()
        return pd.DataFrame(rows, columns=list(poll_answers.COLUMNS))

    def add(self, events: pd.DataFrame) -> None:
        """Add people who have no phone: a simulated class, whose session ids become the persons' numbers."""
        with self._mutex, self._connection as db:
            people = [(int(person), secrets.token_bytes(16)) for person in events["session_id"].unique()]
            db.executemany("INSERT INTO people VALUES (?, ?)", people)
            rows = zip(events["session_id"], events["order"], events["item_id"], strict=True)
            db.executemany("INSERT INTO picks VALUES (?, ?, ?)", [tuple(map(int, row)) for row in rows])

    def shut(self) -> None:
        """Close the file and let others have it."""
        with self._mutex:
            self._tidy()
            self._connection.close()
        self._lock.release()

    # ---- inside; all of these are called with the mutex held

    def _checked(self, picks: Sequence) -> tuple:
        picks = tuple(picks)
        if not picks:
            raise PickError("Pick at least one book before you hand in.")
        if len(picks) > self.max_picks:
            raise PickError(f"These are {len(picks)} books; {self.max_picks} are the most. Take some out again.")
        if not self._known.issuperset(picks):
            raise PickError("One of these books is not in the catalogue. Pick books from the search.")
        if len(set(picks)) < len(picks):
            raise PickError("One book is there twice. Each counts once: take it out and pick another.")
        return picks

    def _mark(self, token: str) -> bytes:
        return hmac.new(bytes.fromhex(self.secrets.key), token.encode(), hashlib.sha256).digest()[:16]

    def _was_deleted(self, mark: bytes) -> bool:
        now = time.monotonic()
        self._deleted = {m: then for m, then in self._deleted.items() if now - then < FORGET_S}
        return mark in self._deleted

    def _person(self, mark: bytes) -> int | None:
        row = self._connection.execute("SELECT person FROM people WHERE token = ?", (mark,)).fetchone()
        return None if row is None else row[0]

    def _picks(self, person: int) -> tuple:
        rows = self._connection.execute("SELECT item_id FROM picks WHERE person = ? ORDER BY place", (person,))
        return tuple(item for (item,) in rows)

    def _new_person(self, mark: bytes) -> int:
        if self._connection.execute("SELECT count(*) FROM people").fetchone()[0] >= MOST_PEOPLE:
            raise PickError(f"{MOST_PEOPLE} people have answered; this poll takes no more.")
        while True:
            person = 1 + secrets.randbelow(10**9)
            if not self._connection.execute("SELECT 1 FROM people WHERE person = ?", (person,)).fetchone():
                self._connection.execute("INSERT INTO people VALUES (?, ?)", (person, mark))
                return person

    def _tidy(self) -> None:
        """Write the file anew, without what pages may still hold between their rows."""
        with contextlib.suppress(sqlite3.OperationalError):  # somebody reads just now; the next deletion does it
            self._connection.execute("VACUUM")

    def _get(self, key: str) -> str:
        return self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]

    def _set(self, key: str, value: str) -> None:
        with self._mutex, self._connection as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
