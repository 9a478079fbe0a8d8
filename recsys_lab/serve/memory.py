"""Session memory: what a visitor did so far, kept so that an acknowledged event is never lost.

A `SessionStore` takes events and gives sessions back. There are two: SQLite in one file (`sqlite_store`), and Redis
(`redis_store`) for several machines. Both keep the same rules:

- What `append` acknowledged is on disk (in Redis: as safely as its settings say; see `SessionStore.warning`). The
  events of one call are stored together, or none is.
- An event counts once, however often it is sent: its `event_id` decides.
- A session is sorted by the time of its events; ties keep the order of arrival. Nothing else depends on arrival.
- A late event is kept in the log and marked, and is no part of its session: no list may change because of what
  somebody did the day before yesterday. An event from the future is refused: the sender's clock is wrong.

**What the models read.** `Session.clicks` are the newest `max_events` *views*: putting a book into the basket never
pushes a view out. It equals what the batch path makes of the same log::

    log = store.log()
    views = Sessions.from_frame(log[~log["late"]]).only("view")   # then the last max_events clicks of the session

The basket comes from *all* cart, remove and purchase events of a session, however many events followed.
"""

from __future__ import annotations

import abc
import operator
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from recsys_lab.serve.event_fields import clean_fields

SECOND = 1_000_000_000  # nanoseconds
DAY = 86_400 * SECOND
OUTCOMES = ("stored", "duplicate", "conflict", "late", "future", "full")
_PURGE_EVERY = 3_600 * SECOND


class StoreError(RuntimeError):
    """The session memory cannot answer; says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a visitor did.

    Attributes
    ----------
    session_id : str
        1 to 64 characters out of ``A-Z a-z 0-9 _ . : -``.
    item_id : int or str
        64-bit integer, or 1 to 64 printable characters.
    event : str
        One of `recsys_lab.events.EVENT_TYPES`.
    timestamp : int
        When it happened, nanoseconds since 1970 (UTC).
    event_id : str
        Unique among all events, in the form of a session id; ``""`` asks the store for a new one.
    user_id : int, str or None
        Who it was, in the form of an item id.
    """

    session_id: str
    item_id: int | str
    event: str = "view"
    timestamp: int = 0
    event_id: str = ""
    user_id: int | str | None = None


@dataclass(frozen=True)
class Session:
    """What the memory holds of one visit.

    Attributes
    ----------
    session_id : str
    user_id : int, str or None
        The one of the newest event that names one.
    events : tuple of Event
        The newest `max_events`, oldest first.
    views : tuple of Event, optional
        The newest `max_events` views, oldest first; taken from `events` where not given.
    changes : tuple of Event, optional
        All events that changed the basket, oldest first; taken from `events` where not given.

    Examples
    --------
    >>> s = Session("s", None, (Event("s", 7), Event("s", 7, "cart"), Event("s", 5), Event("s", 7)))
    >>> s.clicks, s.viewed, s.basket
    ((7, 5, 7), (7, 5), (7,))
    """

    session_id: str
    user_id: int | str | None = None
    events: tuple[Event, ...] = ()
    views: tuple[Event, ...] | None = None
    changes: tuple[Event, ...] | None = None

    @property
    def clicks(self) -> tuple:
        """Item ids of the views, oldest first, repeated clicks kept: what every session model reads."""
        views = self.events if self.views is None else self.views
        return tuple(e.item_id for e in views if e.event == "view")

    @property
    def viewed(self) -> tuple:
        """Distinct viewed items, newest first."""
        return tuple(dict.fromkeys(reversed(self.clicks)))

    @property
    def basket(self) -> tuple:
        """Items in the basket now, in the order in which they were put there."""
        basket = {}
        for event in self.events if self.changes is None else self.changes:
            if event.event == "cart":
                basket.setdefault(event.item_id)
            elif event.event in ("remove", "purchase"):
                basket.pop(event.item_id, None)
        return tuple(basket)

    @property
    def bought(self) -> frozenset:
        """Items bought in this visit."""
        changes = self.events if self.changes is None else self.changes
        return frozenset(event.item_id for event in changes if event.event == "purchase")


class SessionStore(abc.ABC):
    """Memory of sessions; see the head of this module. Threads and processes may share one.

    Parameters
    ----------
    max_events : int
        How many events and how many views a `Session` shows.
    max_age_s : float
        An event older than this on arrival is late.
    max_ahead_s : float
        An event further ahead of the clock than this is refused.
    session_limit : int
        Events that a session may hold, late ones included.
    retention_days : float, optional
        Forget sessions whose newest event is older; looked at once an hour, while events arrive. By default nothing
        is forgotten.
    item_type : type, optional
        ``int`` or ``str``: refuse items of the other kind. The shop's catalogue has one kind, and a log that mixes
        them has to turn all into text.

    Attributes
    ----------
    warning : str or None
        What an operator should know about durability; None where acknowledged events survive a loss of power.
    """

    warning: str | None = None

    def __init__(self, *, max_events: int = 200, max_age_s: float = 86_400, max_ahead_s: float = 300,
                 session_limit: int = 10_000, retention_days: float | None = None,
                 item_type: type | None = None):  # fmt: skip
        if max_events < 1 or session_limit < 1:
            raise ValueError(f"max_events={max_events}, session_limit={session_limit}: both have to be at least 1.")
        if retention_days is not None and retention_days * 86_400 < max_age_s:
            raise ValueError(
                f"retention_days={retention_days} is shorter than max_age_s={max_age_s}: sessions would be forgotten "
                "while they go on. Fix: keep at least the age at which events count as late."
            )
        self.max_events, self.session_limit = max_events, session_limit
        self.max_age_s, self.max_ahead_s = max_age_s, max_ahead_s
        self.retention_days, self.item_type = retention_days, item_type
        self._purged_at, self._purge_lock = 0, threading.Lock()

    def append(self, events: Sequence[Event], now: int | None = None) -> list[str]:
        """Store events; returns when they are on disk.

        Parameters
        ----------
        events : sequence of Event
        now : int, optional
            Nanoseconds since 1970; by default this machine's clock.

        Returns
        -------
        list of str
            One outcome an event, decided in this order:

            - ``duplicate``: this event is here already; nothing changes.
            - ``conflict``: its `event_id` belongs to an event with other content; not stored.
            - ``future``: more than `max_ahead_s` after `now`; not stored.
            - ``full``: the session has `session_limit` events; not stored.
            - ``late``: more than `max_age_s` before `now`; in the log only.
            - ``stored``: part of its session, in the place that its timestamp gives it.

        Raises
        ------
        ValueError
            If a field of any event cannot be stored; names it. Nothing is stored then.
        StoreError
            If the store is out of order. No event is acknowledged; sending them again with the same ids is safe.
        """
        now = time.time_ns() if now is None else operator.index(now)
        events = [self._checked(event, position) for position, event in enumerate(events)]
        if not events:
            return []
        outcomes = self._append(events, now, now - int(self.max_age_s * SECOND), now + int(self.max_ahead_s * SECOND))
        self._purge_if_due(now)
        return outcomes

    @abc.abstractmethod
    def _append(self, events: list[Event], now: int, oldest: int, newest: int) -> list[str]:
        """Store checked events in one transaction; late before `oldest`, refused after `newest`."""

    @abc.abstractmethod
    def session(self, session_id: str) -> Session:
        """Return a session; one that is not known has no events."""

    @abc.abstractmethod
    def user_events(self, user_id: int | str, limit: int = 200) -> tuple[Event, ...]:
        """Return a user's newest events over all sessions, late ones left out, newest last."""

    @abc.abstractmethod
    def trending(self, since: int, k: int) -> list[tuple]:
        """Return the `k` most viewed items at or after a time (ns) with their views; ties by item id."""

    @abc.abstractmethod
    def log(self) -> pd.DataFrame:
        """Return all events as an event log (`recsys_lab.events`) in order of arrival.

        Returns
        -------
        DataFrame
            Columns `event_fields.LOG_COLUMNS`; ``order`` numbers arrivals, ``late`` marks what is no part of its
            session. Ids of mixed kinds become text: a column of the log holds one kind.
        """

    @abc.abstractmethod
    def forget(self, session_id: str) -> int:
        """Delete all that is known of a session, late events too; returns how many events there were.

        Its event ids are forgotten as well: an event that is sent again after this is stored again.
        """

    @abc.abstractmethod
    def count(self) -> int:
        """Return how many events are kept, late ones included."""

    @abc.abstractmethod
    def ready(self) -> None:
        """Return if events can be stored now; sets `warning`. Raises StoreError, which says what to do."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give connections back; the store cannot be used after this. Closing twice does no harm."""

    def purge(self, older_than: int) -> int:
        """Forget the sessions whose newest event happened before a time (ns); returns how many events went."""
        return self._purge(operator.index(older_than))

    @abc.abstractmethod
    def _purge(self, older_than: int) -> int: ...

    def _purge_if_due(self, now: int) -> None:
        if self.retention_days is None or now - self._purged_at < _PURGE_EVERY:
            return
        if self._purge_lock.acquire(blocking=False):  # one thread is enough
            try:
                self._purged_at = now
                self._purge(now - int(self.retention_days * DAY))
            except StoreError:
                pass  # the events are stored, which is what was asked for; the next hour tries again
            finally:
                self._purge_lock.release()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _checked(self, event: Event, position: int) -> Event:
        try:
            return Event(**clean_fields(event, self.item_type))
        except ValueError as error:
            raise ValueError(f"event {position}: {error}") from None


def open_store(url: str | Path | None = None, **options) -> SessionStore:
    """Open a session memory.

    Parameters
    ----------
    url : str or Path, optional
        ``sqlite:///shop.db`` or a plain path: one file; made if it is not there. ``redis://host:port/0`` (also
        ``rediss://`` and ``unix://``): a Redis server. None: a temporary file that `close` deletes.
    **options
        Of `SessionStore`, and of `SqliteStore` or `RedisStore`.

    Returns
    -------
    SessionStore

    Raises
    ------
    StoreError
        If it cannot be opened; says what to do.
    ValueError
        If the URL is of no known kind.
    """
    text = "" if url is None else str(url)
    if text.startswith(("redis://", "rediss://", "unix://")):
        from recsys_lab.serve.redis_store import RedisStore

        return RedisStore(text, **options)
    if "://" in text and not text.startswith("sqlite:///"):
        raise ValueError(
            f"session store: {text.split('://')[0]!r} is no known kind. Fix: sqlite:///FILE, a path, or redis://HOST:PORT/0"
        )
    from recsys_lab.serve.sqlite_store import SqliteStore

    if url is not None and not text.removeprefix("sqlite:///"):
        raise ValueError("session store: no file is named. Fix: sqlite:///shop.db")
    return SqliteStore(None if url is None else text.removeprefix("sqlite:///"), **options)
