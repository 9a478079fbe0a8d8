"""`Sessions`: an event log in the compact form that models and evaluation read.

A frame of events is pleasant to look at and slow to loop over. `Sessions` keeps the same clicks as flat arrays, one
session after the other::

    items    [ 3  1  1 | 0  2 | 4 ...]     int32, indices into a vocabulary
    offsets  [ 0         3      5 ...]     int64, session s is items[offsets[s]:offsets[s + 1]]

Item indices count from 0 in the order of the sorted ids; -1 stands for an item that the vocabulary does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from recsys_lab.events import EVENT_TYPES, validate_events

UNKNOWN = -1


class Vocabulary:
    """Two-way map between ids and the indices 0 .. n-1.

    Parameters
    ----------
    ids : array-like, shape (n,)
        Distinct ids, all integers or all strings; their order gives the indices.

    Examples
    --------
    >>> v = Vocabulary([10, 20, 30])
    >>> v.encode([30, 99]), v.decode([0, 2])
    (array([ 2, -1], dtype=int32), array([10, 30]))
    """

    def __init__(self, ids):
        self.ids = _plain(ids)
        self._index = pd.Index(self.ids)
        if not self._index.is_unique:
            raise ValueError(f"vocabulary: id {self._index[self._index.duplicated()][0]} is there twice.")
        if len(self.ids) > np.iinfo(np.int32).max:
            raise ValueError("vocabulary: more than 2**31 - 1 ids do not fit int32 indices.")

    def encode(self, ids) -> np.ndarray:
        """Return the int32 index of each id, -1 where it is unknown."""
        return self._index.get_indexer(_plain(ids)).astype(np.int32)

    def decode(self, indices) -> np.ndarray:
        """Return the id of each index; raises IndexError for -1 and beyond the end."""
        indices = np.asarray(indices)
        if indices.size and indices.min() < 0:
            raise IndexError("index -1 (unknown) stands for no id.")
        return self.ids[indices]

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item) -> bool:
        return item in self._index

    def __eq__(self, other) -> bool:
        return self is other or (isinstance(other, Vocabulary) and np.array_equal(self.ids, other.ids))

    __hash__ = None

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} ids)"


def _plain(ids) -> np.ndarray:
    """Ids as int64, or as an object array of str: one of two representations, whatever pandas calls the dtype."""
    array = ids.to_numpy() if hasattr(ids, "to_numpy") else np.asarray(ids)
    if array.dtype.kind in "iu" or (array.size == 0 and array.dtype.kind == "f"):
        return array.astype(np.int64)
    if array.dtype.kind == "O" and array.size and all(isinstance(x, (int, np.integer)) for x in array):
        return array.astype(np.int64)
    return array.astype(object)


@dataclass(frozen=True, eq=False)
class Sessions:
    """Clicks of many sessions as flat arrays.

    Attributes
    ----------
    items : ndarray of int32, shape (n_clicks,)
        Item index of each click, session after session, in time order; -1 for an item outside the vocabulary.
    offsets : ndarray of int64, shape (n_sessions + 1,)
        Where each session starts in `items`; the last entry is the number of clicks.
    vocabulary : Vocabulary
        Item ids of the indices.
    session_ids : ndarray, shape (n_sessions,)
        The log's own session ids, in the order of their first row.
    times : ndarray of int64, shape (n_clicks,)
        Nanoseconds since 1970 (UTC) where `has_time`, otherwise the log's `order`.
    has_time : bool
        Whether `times` are times.
    events : ndarray of int8, shape (n_clicks,)
        Index into `event_types`.
    event_types : tuple of str
    users : ndarray of int32, shape (n_sessions,), or None
        User index of each session; -1 for an anonymous one. None where the log knows no users.
    user_vocabulary : Vocabulary or None

    Examples
    --------
    >>> s = Sessions.from_lists([["a", "b"], ["b", "c", "b"]])
    >>> s
    Sessions(2 sessions, 5 clicks, 3 items, no times)
    >>> s[1], s.vocabulary.decode(s[1])
    (array([1, 2, 1], dtype=int32), array(['b', 'c', 'b'], dtype=object))
    """

    items: np.ndarray
    offsets: np.ndarray
    vocabulary: Vocabulary
    session_ids: np.ndarray
    times: np.ndarray
    has_time: bool
    events: np.ndarray
    event_types: tuple[str, ...] = EVENT_TYPES
    users: np.ndarray | None = field(default=None, repr=False)
    user_vocabulary: Vocabulary | None = field(default=None, repr=False)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        vocabulary: Vocabulary | None = None,
        *,
        user_vocabulary: Vocabulary | None = None,
        event_types: Sequence[str] = EVENT_TYPES,
        validate: bool = True,
    ) -> Sessions:
        """Build from an event log.

        Parameters
        ----------
        frame : DataFrame
            An event log (`recsys_lab.events`); rows in any order. Within a session, clicks are sorted by time and
            order, stably: rows that tie keep the frame's order.
        vocabulary, user_vocabulary : Vocabulary, optional
            Encode with these (a model's, a train part's) instead of the ids found here. Unknown ids become -1.
        event_types : sequence of str
            The words that column `event` may hold.
        validate : bool
            Skip the checks for a frame that has passed them.

        Returns
        -------
        Sessions

        Raises
        ------
        EventLogError
            If the frame breaks the schema.
        """
        if validate:
            validate_events(frame, event_types)
        session, session_ids = _factorize(frame["session_id"])
        times, has_time = _times_of(frame)
        rows = _session_order(session, times, frame["order"].to_numpy() if has_time and "order" in frame else None)
        item, vocabulary = _encode(frame["item_id"], vocabulary)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(session, minlength=len(session_ids)))]).astype(np.int64)
        users = None
        if "user_id" in frame:
            user, user_vocabulary = _encode(frame["user_id"], user_vocabulary)
            users = user[rows][offsets[:-1]]
        return cls(
            items=item[rows],
            offsets=offsets,
            vocabulary=vocabulary,
            session_ids=session_ids,
            times=times[rows],
            has_time=has_time,
            events=pd.Categorical(frame["event"], categories=list(event_types)).codes[rows].astype(np.int8),
            event_types=tuple(event_types),
            users=users,
            user_vocabulary=user_vocabulary,
        )

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence], vocabulary: Vocabulary | None = None) -> Sessions:
        """Build from lists of item ids, one a session, in time order; every event is a view."""
        lengths = np.array([len(s) for s in lists], dtype=np.int64)
        flat = [item for session in lists for item in session]
        if vocabulary is None:
            vocabulary = Vocabulary(sorted(set(flat)))
        return cls(
            items=vocabulary.encode(flat) if flat else np.empty(0, np.int32),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            vocabulary=vocabulary,
            session_ids=np.arange(len(lists)),
            times=np.arange(len(flat), dtype=np.int64),
            has_time=False,
            events=np.zeros(len(flat), np.int8),
        )

    @property
    def n_items(self) -> int:
        """Number of items in the vocabulary."""
        return len(self.vocabulary)

    @property
    def n_clicks(self) -> int:
        """Number of clicks in all sessions."""
        return len(self.items)

    @property
    def lengths(self) -> np.ndarray:
        """Clicks of each session, int64, shape (n_sessions,)."""
        return np.diff(self.offsets)

    @property
    def session_of_click(self) -> np.ndarray:
        """Session number of each click, int64, shape (n_clicks,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def positions(self) -> np.ndarray:
        """Position of each click in its session, from 0, int64, shape (n_clicks,)."""
        return np.arange(self.n_clicks) - np.repeat(self.offsets[:-1], self.lengths)

    @property
    def starts(self) -> np.ndarray:
        """Time of each session's first click, shape (n_sessions,); a session without clicks starts at 0."""
        return self._times_at(self.offsets[:-1])

    @property
    def ends(self) -> np.ndarray:
        """Time of each session's last click, shape (n_sessions,); a session without clicks ends at 0."""
        return self._times_at(self.offsets[1:] - 1)

    def _times_at(self, clicks: np.ndarray) -> np.ndarray:
        times = np.zeros(len(self), np.int64)
        full = self.lengths > 0
        times[full] = self.times[clicks[full]]
        return times

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, session: int) -> np.ndarray:
        """Item indices of one session, int32; negative numbers count from the end."""
        if not -len(self) <= session < len(self):
            raise IndexError(f"session {session}: there are {len(self)}.")
        session %= len(self)
        return self.items[self.offsets[session] : self.offsets[session + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        clock = "with times" if self.has_time else "no times"
        return f"Sessions({len(self)} sessions, {self.n_clicks} clicks, {self.n_items} items, {clock})"

    def take(self, which) -> Sessions:
        """Return the sessions at these positions or where a boolean mask is true, in the order asked for."""
        which = np.asarray(which)
        which = np.flatnonzero(which) if which.dtype == bool else which.astype(np.int64)
        lengths = self.lengths[which]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        clicks = np.repeat(self.offsets[which] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return self._with_clicks(clicks, offsets, which)

    def part(self, start: int, stop: int) -> Sessions:
        """Return sessions start .. stop-1 as views into the same arrays: nothing is copied."""
        clicks = slice(self.offsets[start], self.offsets[stop])
        return self._with_clicks(clicks, self.offsets[start : stop + 1] - self.offsets[start], slice(start, stop))

    def where(self, clicks) -> Sessions:
        """Keep the clicks where a boolean mask is true; sessions left without clicks go."""
        keep = np.asarray(clicks, dtype=bool)
        if keep.shape != self.items.shape:
            raise ValueError(f"the mask has shape {keep.shape}, the sessions have {self.n_clicks} clicks.")
        lengths = np.bincount(self.session_of_click[keep], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(lengths[lengths > 0])]).astype(np.int64)
        return self._with_clicks(keep, offsets, lengths > 0)

    def only(self, *event_types: str) -> Sessions:
        """Keep the clicks of these event types; sessions left without clicks go."""
        unknown = set(event_types) - set(self.event_types)
        if unknown:
            raise ValueError(f"event type {unknown.pop()!r} is not in this log; it has {self.event_types}.")
        return self.where(np.isin(self.events, [self.event_types.index(e) for e in event_types]))

    def longer_than(self, length: int) -> Sessions:
        """Keep the sessions that have more than `length` clicks."""
        return self.take(self.lengths > length)

    def prefixes(self, rows, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Find what was clicked up to some clicks: those of their sessions so far, themselves included.

        Parameters
        ----------
        rows : array-like of int, shape (n_rows,)
            The asked clicks, as indices into ``items``; in any order, also more than once.
        n : int, optional
            Only the last so many of each; by default all.

        Returns
        -------
        owner : ndarray of int64, shape (n_found,)
            Which of the asked ones, as an index into `rows`, ascending.
        clicks : ndarray of int64, shape (n_found,)
            Indices into ``items``, oldest first.

        Raises
        ------
        ValueError
            If n < 1.
        IndexError
            If there is no such click.

        Examples
        --------
        >>> s = Sessions.from_lists([["a", "b"], ["b", "c", "b"]])
        >>> s.prefixes([1, 4])
        (array([0, 0, 1, 1, 1]), array([0, 1, 2, 3, 4]))
        >>> s.prefixes([1, 4], n=1)
        (array([0, 1]), array([1, 4]))
        """
        if n is not None and n < 1:
            raise ValueError(f"prefixes: n must be at least 1, not {n}. Fix: n=None for all clicks.")
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.n_clicks:
            raise IndexError(
                f"prefixes: asked for rows {rows.min()} to {rows.max()}, there are {self.n_clicks} clicks."
            )
        # the session of a click is the last one that starts at or before it; empty ones start there too, and end there
        first = self.offsets[np.searchsorted(self.offsets, rows, side="right") - 1]
        lengths = rows - first + 1 if n is None else np.minimum(rows - first + 1, n)
        owner = np.repeat(np.arange(len(rows)), lengths)
        begins = rows + 1 - np.cumsum(lengths)  # of each run, less the place where it stands in the result
        return owner, np.arange(len(owner)) + np.repeat(begins, lengths)

    def recode(self, vocabulary: Vocabulary) -> Sessions:
        """Return the same clicks with another item vocabulary; items it does not know become -1."""
        if vocabulary == self.vocabulary:
            return replace(self, vocabulary=vocabulary)
        known = self.items >= 0
        items = np.full(self.n_clicks, UNKNOWN, np.int32)
        items[known] = vocabulary.encode(self.vocabulary.ids)[self.items[known]]
        return replace(self, items=items, vocabulary=vocabulary)

    def to_frame(self) -> pd.DataFrame:
        """Return an event log; raises ValueError if an item is unknown, because its id is not kept."""
        if (self.items < 0).any():
            raise ValueError("some items are outside the vocabulary: keep the known ones with where(items >= 0).")
        frame = pd.DataFrame(
            {
                "session_id": np.repeat(self.session_ids, self.lengths),
                "item_id": self.vocabulary.decode(self.items),
                "event": np.array(self.event_types, dtype=object)[self.events],
            }
        )
        if self.has_time:
            frame["timestamp"] = pd.to_datetime(self.times, unit="ns", utc=True)
        else:
            frame["order"] = self.times
        if self.users is not None:
            users = np.append(self.user_vocabulary.ids.astype(object), [None])[self.users]
            frame["user_id"] = pd.Series(np.repeat(users, self.lengths)).convert_dtypes()
        return frame

    def _with_clicks(self, clicks, offsets, sessions) -> Sessions:
        return replace(
            self,
            items=self.items[clicks],
            times=self.times[clicks],
            events=self.events[clicks],
            offsets=offsets,
            session_ids=self.session_ids[sessions],
            users=None if self.users is None else self.users[sessions],
        )


def _factorize(ids: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    codes, distinct = pd.factorize(_plain(ids))
    return codes, distinct


def _encode(ids: pd.Series, vocabulary: Vocabulary | None) -> tuple[np.ndarray, Vocabulary]:
    """Index of each id in the vocabulary (-1 for missing and unknown ids), made from the sorted ids if not given."""
    present = ids.notna().to_numpy()
    codes, distinct = _factorize(ids[present] if not present.all() else ids)
    if pd.api.types.is_float_dtype(ids) and len(distinct):  # integers beside missing values
        distinct = distinct.astype(np.int64)
    if vocabulary is None:
        vocabulary = Vocabulary(np.sort(distinct))
    index = np.full(len(ids), UNKNOWN, np.int32)
    index[present] = vocabulary.encode(distinct)[codes]
    return index, vocabulary


def _times_of(frame: pd.DataFrame) -> tuple[np.ndarray, bool]:
    if "timestamp" not in frame:
        return frame["order"].to_numpy().astype(np.int64), False
    return frame["timestamp"].dt.tz_convert("UTC").dt.as_unit("ns").astype(np.int64).to_numpy(), True


def _session_order(session: np.ndarray, times: np.ndarray, order: np.ndarray | None) -> np.ndarray | slice:
    """Rows sorted by session, time and order; a plain slice where the log is sorted already."""
    step, tick = np.diff(session), np.diff(times)
    if order is None and not ((step < 0) | ((step == 0) & (tick < 0))).any():
        return slice(None)
    keys = (times, session) if order is None else (order, times, session)
    return np.lexsort(keys)
