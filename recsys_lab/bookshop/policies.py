"""Who decides what is shown: batch policies, from a context that a real shop would have to scores for all books.

A policy is any callable ``policy(context) -> scores`` with one row for each visitor who waits for a list and one column
for each book of the shop. The simulator turns scores into lists (`recsys_lab.bookshop.slates`). A policy may carry the
attributes `exploration` and `temperature`, which `simulate` uses unless it is told others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from recsys_lab.bookshop.files import truth as shipped
from recsys_lab.bookshop.hidden import NS_PER_DAY, Truth
from recsys_lab.events import EVENT_TYPES
from recsys_lab.interactions import Sessions, Vocabulary


@dataclass(frozen=True, eq=False)
class Context:
    """What the shop knows about the visitors who wait for a list, one row each.

    Attributes
    ----------
    items : ndarray of int32, shape (n_rows, max_views)
        Item indices viewed so far in the session, oldest first, filled up with -1.
    lengths : ndarray of int64, shape (n_rows,)
        How many there are; 0 on the home page.
    view_times : ndarray of int64, shape (n_rows, max_views)
        Nanoseconds since 1970 (UTC) of those views.
    times : ndarray of int64, shape (n_rows,)
        Now.
    days : ndarray of int64, shape (n_rows,)
        Day of the log.
    session_ids : ndarray of int64, shape (n_rows,)
    users : ndarray of int64, shape (n_rows,)
        Index into `user_vocabulary`; -1 for an anonymous visitor.
    stocked : ndarray of bool, shape (n_rows, n_items)
        What is for sale. A book that is not is never shown, whatever its score.
    in_cart : ndarray of bool, shape (n_rows, n_items)
    catalogue : DataFrame
        The shop's table of books; row numbers are item indices.
    vocabulary, user_vocabulary : Vocabulary
        Ids of the indices.
    """

    items: np.ndarray
    lengths: np.ndarray
    view_times: np.ndarray
    times: np.ndarray
    days: np.ndarray
    session_ids: np.ndarray
    users: np.ndarray
    stocked: np.ndarray
    in_cart: np.ndarray
    catalogue: pd.DataFrame
    vocabulary: Vocabulary
    user_vocabulary: Vocabulary
    _attraction: Callable | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def sessions(self) -> Sessions:
        """The views so far as `Sessions`; on the home page a session has no click yet."""
        there = np.arange(self.items.shape[1]) < self.lengths[:, None]
        return Sessions(
            items=self.items[there],
            offsets=np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64),
            vocabulary=self.vocabulary,
            session_ids=self.session_ids,
            times=self.view_times[there],
            has_time=True,
            events=np.zeros(self.lengths.sum(), np.int8),
            event_types=EVENT_TYPES,
            users=self.users.astype(np.int32),
            user_vocabulary=self.user_vocabulary,
        )

    @property
    def last(self) -> np.ndarray:
        """Index of the book viewed last, -1 on the home page, shape (n_rows,)."""
        last = self.items[np.arange(len(self)), np.maximum(self.lengths - 1, 0)]
        return np.where(self.lengths > 0, last, -1)

    @property
    def viewed(self) -> np.ndarray:
        """Whether each book was viewed in this session, bool, shape (n_rows, n_items)."""
        viewed = np.zeros(self.stocked.shape, bool)
        row, place = np.nonzero(np.arange(self.items.shape[1]) < self.lengths[:, None])
        viewed[row, self.items[row, place]] = True
        return viewed


class LoggingPolicy:
    """What the shop ran while the log was written: last season's sellers, and books like the one viewed last.

    Score of book i for somebody who viewed book j last: ``log(1 + sold_i)`` + 2.5 for the same genre + 2 for the same
    author + 0.8 for what was stocked in the last two weeks; 6 less if it was viewed already. It knows no users.
    """

    def __init__(self, exploration: float, temperature: float):
        self.exploration, self.temperature = exploration, temperature

    def __call__(self, context: Context) -> np.ndarray:
        """Return scores, float32, shape (n_rows, n_items)."""
        books = context.catalogue
        alike = self.alike(books)  # (n_items + 1, n_items); the last row is "no book yet"
        stocked_for = context.times[:, None] - books["stocked_since"].dt.as_unit("ns").astype(np.int64).to_numpy()
        scores = alike[context.last]
        scores += np.float32(0.8) * (stocked_for < 14 * NS_PER_DAY)
        scores[context.viewed] -= 6
        return scores

    def alike(self, books: pd.DataFrame) -> np.ndarray:
        """Return the part of the scores that never changes, (n_items + 1, n_items): a row a book viewed last."""
        if getattr(self, "_books", None) is not books:
            genre, author = (pd.factorize(books[c])[0] for c in ("genre", "author"))
            table = 2.5 * (genre[:, None] == genre) + 2.0 * (author[:, None] == author)
            table = np.vstack([table, np.zeros(len(books))]) + np.log1p(books["sold_last_season"].to_numpy())
            self._books, self._table = books, table.astype(np.float32)
        return self._table


class Uniform:
    """Every list is a uniformly random choice of what is stocked."""

    exploration = 1.0

    def __call__(self, context: Context) -> np.ndarray:
        """Return zeros: the exploration does the choosing."""
        return np.zeros(context.stocked.shape, np.float32)


class MostPopular:
    """Last season's best-sellers for everybody, without what was viewed in this session."""

    def __call__(self, context: Context) -> np.ndarray:
        """Return scores, float32, shape (n_rows, n_items)."""
        sold = context.catalogue["sold_last_season"].to_numpy().astype(np.float32)
        return np.where(context.viewed, np.float32(-1), sold)


class Oracle:
    """The books that this visitor is most likely to click now, by the truth. The only policy that may see it."""

    needs_truth = True

    def __call__(self, context: Context) -> np.ndarray:
        """Return true logits of a click on an examined book, float64, shape (n_rows, n_items)."""
        return context._attraction()


def logging_policy(truth: Truth | None = None) -> LoggingPolicy:
    """Return the policy that wrote a shop's log, the shipped one's by default, with its exploration and temperature."""
    truth = truth or shipped()
    return LoggingPolicy(truth.settings.exploration, truth.settings.temperature)


def model_policy(model, exclude_viewed: bool = True) -> Callable[[Context], np.ndarray]:
    """Make a policy of a fitted model.

    Parameters
    ----------
    model : object
        With ``score(sessions, rows)``, which returns one row of item scores for each click number in `rows`, in the
        order of ``model.vocabulary_`` (of the shop's own catalogue if there is none).
    exclude_viewed : bool
        Rank what was viewed in this session behind everything else.

    Returns
    -------
    callable
        A batch policy. Books of which the model knows nothing (scored at or below ``model.floor``, or not in its
        vocabulary) come behind the others in the order of popularity, which is also the list of somebody who has not
        clicked yet. Popular is what the model counted most often (``model.popularity_``), or sold best last season.
    """

    def policy(context: Context) -> np.ndarray:
        shop = context.vocabulary
        column = shop.encode(getattr(model, "vocabulary_", shop).ids)  # where each of the model's items stands
        known = column >= 0
        scores = np.repeat(_popular(model, context, column, known)[None] - BEHIND, len(context), axis=0)
        begun = np.flatnonzero(context.lengths > 0)
        if len(begun):
            rows = context.sessions.offsets[1:][begun] - 1
            given = np.asarray(model.score(context.sessions, rows))[:, known]
            says = given > getattr(model, "floor", -np.inf)
            at = np.ix_(begun, column[known])
            scores[at] = np.where(says, given, scores[at])
        if exclude_viewed:
            scores[context.viewed] = -np.inf
        return scores

    policy.__name__ = f"model_policy({type(model).__name__})"
    return policy


BEHIND = np.float32(1e6)  # below every score; popularity ranks stay exact this far from 0


def _popular(model, context: Context, column, known) -> np.ndarray:
    """Rank of each book by popularity, the most popular highest, ties by item index; float32, shape (n_items,)."""
    counts = np.zeros(len(context.vocabulary))
    if hasattr(model, "popularity_"):
        counts[column[known]] = np.asarray(model.popularity_)[known]
    else:
        counts[:] = context.catalogue["sold_last_season"]
    ranks = np.empty(len(counts), np.float32)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts), 0, -1)
    return ranks
