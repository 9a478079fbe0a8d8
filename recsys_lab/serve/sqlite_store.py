"""Session memory in one SQLite file: nothing to install, nothing to start.

**What survives.** The file is in WAL mode with ``synchronous = FULL``: a commit writes to the log beside the file and
waits until the disk has it (fsync), and only then is the event acknowledged. Acknowledged events survive a ``kill -9``
of the process, a crash of the system, and a loss of power as far as the disk keeps its promise to have written.
``synchronous = NORMAL`` would be quicker and would survive the kill too, but a loss of power could take back the last
acknowledged events.

**Who may use it at once.** Threads and processes of one machine. Readers never wait. Writers take turns and wait up to
`timeout_s` for theirs. The file belongs on a local disk: WAL needs memory that all its users share.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import weakref
from pathlib import Path

import pandas as pd

from recsys_lab.serve.event_fields import check_id, check_key, log_frame
from recsys_lab.serve.memory import Event, Session, SessionStore, StoreError

APPLICATION_ID = 0x72636C73  # marks the file as a session memory
VERSION = 1
LEAST_FREE = 16 * 2**20  # bytes; below it `ready` says no

# Columns without a type keep what they are given: 7 stays a number, "7" stays text. `arrival` is the row id, so each
# index ends in it, and (session_id, late, timestamp) also sorts ties by arrival. Each query below has its own index.
SCHEMA = f"""
CREATE TABLE events (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL,
    item_id NOT NULL,
    event TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    user_id,
    late INTEGER NOT NULL
);
CREATE INDEX of_session ON events (session_id, late, timestamp);
CREATE INDEX of_basket ON events (session_id, timestamp) WHERE late = 0 AND event <> 'view';
CREATE INDEX of_visitor ON events (session_id, timestamp) WHERE late = 0 AND user_id IS NOT NULL;
CREATE INDEX of_user ON events (user_id, timestamp) WHERE late = 0 AND user_id IS NOT NULL;
CREATE INDEX of_views ON events (timestamp, item_id) WHERE late = 0 AND event = 'view';
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""
EVENT = "session_id, item_id, event, timestamp, event_id, user_id"
CONTENT = "session_id, item_id, event, timestamp, user_id"
NEWEST_FIRST = "ORDER BY timestamp DESC, arrival DESC"
NEWEST = f"SELECT arrival, {EVENT} FROM events WHERE session_id = ? AND late = 0 {NEWEST_FIRST} LIMIT ?"
VIEWS = (
    f"SELECT arrival, {EVENT} FROM events WHERE session_id = ? AND late = 0 AND event = 'view' {NEWEST_FIRST} LIMIT ?"
)
CHANGES = (
    f"SELECT arrival, {EVENT} FROM events INDEXED BY of_basket WHERE session_id = ? AND late = 0 "
    f"AND event <> 'view' {NEWEST_FIRST}"
)
VISITOR = (
    f"SELECT user_id FROM events INDEXED BY of_visitor WHERE session_id = ? AND late = 0 AND user_id IS NOT NULL "
    f"{NEWEST_FIRST} LIMIT 1"
)
OF_USER = f"SELECT arrival, {EVENT} FROM events WHERE user_id = ? AND late = 0 {NEWEST_FIRST} LIMIT ?"
TRENDING = (
    "SELECT item_id, count(*) AS views FROM events WHERE timestamp >= ? AND late = 0 AND event = 'view' "
    "GROUP BY item_id ORDER BY views DESC, item_id LIMIT ?"
)
LOG = "SELECT session_id, item_id, event, timestamp, arrival, user_id, event_id, late FROM events ORDER BY arrival"
INSERT = (
    "INSERT INTO events (session_id, item_id, event, timestamp, event_id, user_id, late) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
OUTDATED = "SELECT session_id FROM events GROUP BY session_id HAVING max(timestamp) < ?"


class SqliteStore(SessionStore):
    """Session memory in a SQLite file; see the head of this module.

    Parameters
    ----------
    path : str or Path, optional
        The file; made if it is not there, its folder is not. None: a temporary file that `close` deletes.
    timeout_s : float
        How long to wait for other writers.
    **options
        Of `SessionStore`.

    Raises
    ------
    StoreError
        If the file cannot be opened or is no session memory.
    """

    def __init__(self, path: str | Path | None = None, *, timeout_s: float = 10, **options):
        super().__init__(**options)
        self._folder = None
        if path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="recsys-lab-", ignore_cleanup_errors=True)
            path = Path(self._folder.name, "sessions.db")
        self.path, self.timeout_s = Path(path).absolute(), timeout_s
        self._idle: list[sqlite3.Connection] = []  # a connection serves one thread at a time
        self._all: weakref.WeakSet = weakref.WeakSet()
        self._pid, self._closed, self._writing = os.getpid(), False, threading.Lock()
        with self._reporting():
            self._create()
        self._inode = self.path.stat().st_ino

    # ---- what is asked of every store

    def _append(self, events: list[Event], now: int, oldest: int, newest: int) -> list[str]:
        with self._transaction() as db:
            return [self._append_one(db, event, oldest, newest) for event in events]

    def _append_one(self, db: sqlite3.Connection, event: Event, oldest: int, newest: int) -> str:
        content = (event.session_id, event.item_id, event.event, event.timestamp, event.user_id)
        known = db.execute(f"SELECT {CONTENT} FROM events WHERE event_id = ?", (event.event_id,)).fetchone()
        if known is not None:
            return "duplicate" if known == content else "conflict"
        if event.timestamp > newest:
            return "future"
        held = db.execute("SELECT count(*) FROM events WHERE session_id = ?", (event.session_id,)).fetchone()[0]
        if held >= self.session_limit:
            return "full"
        late = event.timestamp < oldest
        db.execute(INSERT, (*content[:4], event.event_id, event.user_id, late))
        return "late" if late else "stored"

    def session(self, session_id: str) -> Session:  # noqa: D102
        key = check_id(session_id)
        with self._snapshot() as db:
            events = _events(db.execute(NEWEST, (key, self.max_events)))
            views = _events(db.execute(VIEWS, (key, self.max_events)))
            changes = _events(db.execute(CHANGES, (key,)))
            user = db.execute(VISITOR, (key,)).fetchone()
        return Session(key, None if user is None else user[0], events, views, changes)

    def user_events(self, user_id: int | str, limit: int = 200) -> tuple[Event, ...]:  # noqa: D102
        user = check_key(user_id, "user_id")
        with self._snapshot() as db:
            return _events(db.execute(OF_USER, (user, max(0, limit))))

    def trending(self, since: int, k: int) -> list[tuple]:  # noqa: D102
        with self._snapshot() as db:
            return db.execute(TRENDING, (int(since), max(0, k))).fetchall()

    def log(self) -> pd.DataFrame:  # noqa: D102
        with self._snapshot() as db:
            return log_frame(db.execute(LOG))

    def forget(self, session_id: str) -> int:  # noqa: D102
        key = check_id(session_id)
        with self._transaction() as db:
            return db.execute("DELETE FROM events WHERE session_id = ?", (key,)).rowcount

    def _purge(self, older_than: int) -> int:
        with self._transaction() as db:
            return db.execute(f"DELETE FROM events WHERE session_id IN ({OUTDATED})", (older_than,)).rowcount

    def count(self) -> int:  # noqa: D102
        with self._snapshot() as db:
            return db.execute("SELECT count(*) FROM events").fetchone()[0]

    def ready(self) -> None:  # noqa: D102
        with self._transaction() as db:  # takes the writers' lock
            db.execute("SELECT max(arrival) FROM events").fetchone()
        if not self.path.exists() or self.path.stat().st_ino != self._inode:
            raise StoreError(
                f"{self.path} was deleted or replaced while it was in use: new events would be lost. "
                "Fix: restart the service, and put the file back before that if there is a copy."
            )
        free = shutil.disk_usage(self.path.parent).free
        if free < LEAST_FREE:
            raise StoreError(f"{self.path.parent} has {free / 2**20:.0f} MiB left. Fix: free some space on that disk.")

    def close(self) -> None:  # noqa: D102
        self._closed = True
        if self._pid == os.getpid():
            for connection in list(self._all):
                connection.close()
        self._idle.clear()
        if self._folder is not None:
            self._folder.cleanup()

    # ---- connections and transactions

    @contextlib.contextmanager
    def _transaction(self):
        """One write transaction: all of it is on disk at the end, or nothing of it happened."""
        with self._writing, self._reporting(), self._connection() as db:  # threads queue here, processes in SQLite
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _snapshot(self):
        """One read transaction: its queries all see the same moment."""
        with self._reporting(), self._connection() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    @contextlib.contextmanager
    def _connection(self):
        if self._closed:
            raise StoreError(f"{self.path} was closed. Fix: open_store(...) again.")
        if self._pid != os.getpid():
            raise StoreError("this store was opened before the process forked. Fix: open_store(...) in each process.")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()  # whatever state it is in, nobody gets it again
            raise
        self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self.timeout_s, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        self._all.add(connection)
        try:
            connection.execute("PRAGMA synchronous = EXTRA")  # FULL, and as safe where there is no WAL
            connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> None:
        with self._connection() as db:
            self._check_owner(db)
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":  # some network drives: slower, and readers wait, but nothing is lost
                self.warning = f"{self.path} is on a drive that has no WAL: readers wait. Fix: use a local disk."
            db.execute("BEGIN IMMEDIATE")  # of several processes that start at once, one makes the tables
            if not self._check_owner(db):
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
            db.execute("COMMIT")

    def _check_owner(self, db: sqlite3.Connection) -> bool:
        """Whether the tables are there; raises if the file belongs to something else."""
        owner = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if owner == APPLICATION_ID and version == VERSION:
            return True
        if owner == APPLICATION_ID:
            raise StoreError(f"{self.path} has format {version}; this version reads {VERSION}. Fix: update recsys-lab.")
        if owner or version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError(f"{self.path} is a database of something else. Fix: name another file.")
        return False

    @contextlib.contextmanager
    def _reporting(self):
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(_explain(self.path, error)) from error


class _Connection(sqlite3.Connection):
    """A connection that weak references may point to."""


def _events(rows) -> tuple[Event, ...]:
    """Events from rows that come newest first, oldest first."""
    return tuple(Event(*row[1:]) for row in reversed(rows.fetchall()))


def _explain(path: Path, error: sqlite3.Error) -> str:
    """What is wrong with the file, and what to do."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    folder = path.parent
    reasons = {
        sqlite3.SQLITE_NOTADB: f"{path} is not a database. Fix: name another file, or move this one away.",
        sqlite3.SQLITE_CORRUPT: f"{path} is damaged. Fix: stop the service, move the file and its -wal and -shm away "
        f"and start again; sqlite3 {path.name} .recover gets out of it what can be read.",
        sqlite3.SQLITE_FULL: f"the disk of {folder} is full; nothing of this call was stored. Fix: free some space.",
        sqlite3.SQLITE_READONLY: f"{path} cannot be written. Fix: give this user write access to the file and to "
        f"{folder}, or name a file elsewhere.",
        sqlite3.SQLITE_CANTOPEN: f"{path} cannot be opened or made. Fix: check that {folder} is there and that this "
        "user may write in it.",
        sqlite3.SQLITE_BUSY: f"{path} has been locked by another process for too long; nothing of this call was "
        "stored. Fix: send it again; if it stays locked, close the program that has the file open.",
        sqlite3.SQLITE_IOERR: f"the disk of {folder} reports an error; nothing of this call was acknowledged. "
        "Fix: check the disk (full? unplugged? a quota?), then restart.",
    }
    reason = reasons.get(code & 0xFF, f"{path}: {error}. Fix: restart the service; if it stays, name another file.")
    return f"session memory: {reason} [{getattr(error, 'sqlite_errorname', type(error).__name__)}]"
