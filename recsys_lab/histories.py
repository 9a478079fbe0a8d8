"""Who liked what, where a log has no visits: one "session" a user, with everything the user rated.

Logs of ratings (goodbooks, MovieLens) say what somebody liked in the course of years, not what they looked at in one
evening. `histories` puts such a table into the form that all models read, `hold_out` hides a part of every user's
items, and `recsys_lab.held_out` asks whether a model finds them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.split import Split


def histories(ratings: pd.DataFrame, at_least: float | None = None, vocabulary: Vocabulary | None = None) -> Sessions:
    """Make one session of each user's items.

    Parameters
    ----------
    ratings : DataFrame
        Columns `user_id` and `item_id`; `rating` where `at_least` is given; `timestamp` or `order` where they are
        known, otherwise a user's items keep the order of the rows.
    at_least : float, optional
        Keep ratings that are as high as this, such as 4: what the user liked.
    vocabulary : Vocabulary, optional
        Encode items with this one.

    Returns
    -------
    Sessions
        In the order in which users first occur; `session_ids` are the user ids, and `users` knows them too. Users
        without an item left are not there.

    Raises
    ------
    ValueError
        If a column is missing, an id is missing, or nothing is left.
    """
    needed = ["user_id", "item_id", *(["rating"] if at_least is not None else [])]
    if lacking := [name for name in needed if name not in ratings]:
        raise ValueError(f"histories: the table lacks the column {lacking[0]!r}; it has {', '.join(ratings)}.")
    kept = ratings if at_least is None else ratings[ratings["rating"] >= at_least]
    if len(kept) == 0:
        raise ValueError(f"histories: no row is left of {len(ratings)} (at_least={at_least}).")
    if kept[["user_id", "item_id"]].isna().any(axis=None):
        raise ValueError("histories: some user_id or item_id is missing. Fix: ratings.dropna(subset=[...])")
    clock = "timestamp" if "timestamp" in kept else "order" if "order" in kept else None
    frame = pd.DataFrame({"session_id": kept["user_id"], "user_id": kept["user_id"], "item_id": kept["item_id"]})
    frame["event"] = "view"
    frame[clock or "order"] = kept[clock] if clock else np.arange(len(kept))
    return Sessions.from_frame(frame, vocabulary, validate=False)


def hold_out(sessions: Sessions, share: float = 0.2, *, last: bool = False, seed: int = 0) -> Split:
    """Hide a share of every user's items.

    Parameters
    ----------
    sessions : Sessions
        One a user, as `histories` makes them.
    share : float
        Between 0 and 1; rounded for each user, at least one item, and never all of them. A user with one item keeps
        it.
    last : bool
        Hide each user's last items instead of items drawn at random. Only where the order means something.
    seed : int
        For the draw.

    Returns
    -------
    Split
        Both parts have the same users in the same order; a user without a hidden item has an empty test session.
    """
    if not 0 < share < 1:
        raise ValueError(f"hold_out: share lies between 0 and 1, not {share}.")
    lengths, owner = sessions.lengths, sessions.session_of_click
    key = sessions.positions if last else np.random.default_rng(seed).random(sessions.n_clicks)
    order = np.lexsort((key, owner))  # user by user, those to be hidden at the end
    n_hidden = np.where(lengths > 1, np.clip(np.rint(lengths * share), 1, np.maximum(lengths - 1, 1)), 0)
    hidden = np.zeros(sessions.n_clicks, bool)
    hidden[order] = sessions.positions >= (lengths - n_hidden)[owner]
    if not hidden.any():
        raise ValueError("hold_out: nobody has two items, so there is nothing to hide.")
    parts = {"train": _keep(sessions, ~hidden), "test": _keep(sessions, hidden)}
    rows = [(name, int((part.lengths > 0).sum()), part.n_clicks) for name, part in parts.items()]
    return Split(**parts, report=pd.DataFrame(rows, columns=["part", "sessions", "clicks"]))


def user_items(sessions: Sessions, by: str = "session", weights=None) -> sparse.csr_matrix:
    """Return the user-item matrix: who (rows) had how much to do with what (columns).

    Parameters
    ----------
    sessions : Sessions
    by : {"session", "user"}
        What a row is. With "user", clicks of anonymous sessions are left out.
    weights : array-like of float, shape (n_clicks,), optional
        How much each click counts; 1 by default.

    Returns
    -------
    csr_matrix of float32, shape (n_sessions or n_users, n_items)
        Weights of the same cell are added. Items outside the vocabulary are left out.

    Raises
    ------
    ValueError
        If `by` is unknown, the weights do not fit, or the log knows no users.
    """
    if by not in ("session", "user"):
        raise ValueError(f"user_items: by={by!r}; choose 'session' or 'user'.")
    if by == "user" and sessions.users is None:
        raise ValueError("user_items: this log knows no users. Fix: by='session'")
    owner = sessions.session_of_click if by == "session" else np.repeat(sessions.users, sessions.lengths)
    weights = np.ones(sessions.n_clicks, np.float32) if weights is None else np.asarray(weights, np.float32)
    if weights.shape != (sessions.n_clicks,):
        raise ValueError(f"user_items: {sessions.n_clicks} clicks need as many weights, not shape {weights.shape}.")
    shape = (len(sessions) if by == "session" else len(sessions.user_vocabulary), sessions.n_items)
    known = (sessions.items >= 0) & (owner >= 0)
    if by == "session" and known.all():  # the clicks lie row by row already
        matrix = sparse.csr_matrix((weights.copy(), sessions.items.copy(), sessions.offsets), shape=shape)
        matrix.sum_duplicates()
        return matrix
    return sparse.csr_matrix((weights[known], (owner[known], sessions.items[known])), shape=shape)  # adds them too


def _keep(sessions: Sessions, clicks: np.ndarray) -> Sessions:
    """Keep some clicks and all sessions, empty ones too, so that the parts stay aligned."""
    lengths = np.bincount(sessions.session_of_click[clicks], minlength=len(sessions))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return sessions._with_clicks(clicks, offsets, slice(None))
