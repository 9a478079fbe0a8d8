"""Where candidates come from: one model each, asked for its best items after a session.

A source answers for many sessions in one go (`best`), so that the batch path and the service are the same code: what it
says of a session is the same to the last bit whoever else is asked for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys_lab.interactions import UNKNOWN, Sessions
from recsys_lab.models.base import Recommender
from recsys_lab.ranking import top_k
from recsys_lab.serve.index import make_index


class Source:
    """A model that scores every item.

    Parameters
    ----------
    model : Recommender
        Fitted.
    """

    def __init__(self, model: Recommender):
        self.model, self.ids = model, model.vocabulary_.ids

    def best(self, sessions: Sessions, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best items after clicks.

        Parameters
        ----------
        sessions : Sessions
            In the model's vocabulary, every item known.
        rows : ndarray of int64, shape (n_rows,)
        k : int

        Returns
        -------
        indices : ndarray of int64, shape (n_rows, <= k)
            Padded with -1.
        scores : ndarray of float32
        """
        scores = np.asarray(self.model.score(sessions, rows))
        if scores.shape != (len(rows), len(self.ids)):
            raise ValueError(f"scores have the shape {scores.shape}, not {(len(rows), len(self.ids))}.")
        listed = top_k(scores, k, above=self.model.floor)
        return listed, np.where(listed >= 0, np.take_along_axis(scores, np.maximum(listed, 0), 1), -np.inf)


class VectorSource(Source):
    """A model whose scores are inner products: an index finds the best without scoring everything.

    Parameters
    ----------
    model : Recommender
        With `item_vectors` and `queries`.
    kind : str
        Of the index, see `recsys_lab.serve.index`.
    """

    def __init__(self, model: Recommender, kind: str = "exact"):
        super().__init__(model)
        self.index = make_index(np.asarray(model.item_vectors(), np.float32), kind)

    def best(self, sessions: Sessions, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Source.best`."""
        return self.index.search(self.model.queries(sessions, rows).astype(np.float32), k)


class ReaderSource(VectorSource):
    """ALS over readers: a known reader's past counts, whatever this visit has seen; without one it says nothing."""

    def best(self, sessions: Sessions, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Source.best`, for readers that the model knows."""
        indices, scores = np.full((len(rows), k), UNKNOWN, np.int64), np.full((len(rows), k), -np.inf, np.float32)
        users = None if sessions.users is None else sessions.users[sessions.session_of_click[rows]]
        if users is not None and (users >= 0).any():
            known = np.flatnonzero(users >= 0)
            indices[known], scores[known] = super().best(sessions, rows[known], k)
        return indices, scores

    def before_the_first_click(self, user: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Best items for a reader, by index, who has not clicked yet; none of their past; (<= k,) each."""
        past = self.model.history_[user].indices
        query = self.model.reader_queries([user]).astype(np.float32)
        indices, scores = (part[0] for part in self.index.search(query, k + len(past)))
        new = ~np.isin(indices, past)
        return indices[new][:k], scores[new][:k]


def source(role: str, model: Recommender, kind: str = "exact") -> Source:
    """Return the source for a role: by index where the model has vectors."""
    if not hasattr(model, "item_vectors"):
        return Source(model)
    return ReaderSource(model, kind) if role == "user" else VectorSource(model, kind)


def bare(sessions: Sessions) -> Sessions:
    """Keep the order of the clicks only: in batch and service a list depends on what was looked at, not on when."""
    n = sessions.n_clicks
    return replace(sessions, times=np.arange(n), has_time=False, events=np.zeros(n, np.int8))


def known_clicks(model: Recommender, clicks, user_id=None) -> Sessions:
    """Make the clicks that a model knows into a session, for `Source.best`; it may be empty."""
    sessions = Sessions.from_lists([list(clicks)], model.vocabulary_)
    kept = sessions.items >= 0
    sessions = replace(
        sessions,
        items=sessions.items[kept],
        times=sessions.times[kept],
        events=sessions.events[kept],
        offsets=np.array([0, kept.sum()], np.int64),
    )
    if model.user_vocabulary_ is None:
        return sessions
    user = np.array([UNKNOWN]) if user_id is None else model.user_vocabulary_.encode([user_id])
    return replace(sessions, users=user.astype(np.int32), user_vocabulary=model.user_vocabulary_)
