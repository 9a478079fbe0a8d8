"""What nobody knows in a real shop: tastes, true preferences, complements, seasons."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recsys_lab.bookshop.settings import CHRISTMAS, HALLOWEEN, SEGMENTS, Settings
from recsys_lab.interactions import Vocabulary

NS_PER_DAY = 86_400 * 10**9


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors along the last axis to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Truth:
    """The simulated shop's hidden side, and the tables of what is for sale and who comes.

    Attributes
    ----------
    settings : Settings
    items : DataFrame
        One row for each book, as the shop knows it; the row number is the item index used everywhere in here.
    users : DataFrame
        One row for each account, as the shop knows it.
    item_vectors : ndarray of float64, shape (n_items, n_factors)
        Norm 1.
    quality : ndarray of float64, shape (n_items,)
        Logits that a book attracts beyond anybody's taste.
    user_vectors : ndarray of float64, shape (n_users, n_factors)
        Taste, norm 1.
    segments : ndarray of int, shape (n_users,)
        Index into the names of `SEGMENTS`.
    price_sensitivity : ndarray of float64, shape (n_users,)
        Logits that 10 more on the price take away.
    activity : ndarray of float64, shape (n_users,)
        Share of all visits; sums to 1.
    stock_day : ndarray of int, shape (n_items,)
        Day of the log from which a book is stocked; 0 or less for the older ones.
    complements : DataFrame
        Planted pairs: `item_id` in the basket makes `with_item_id` wanted; `kind`; `directed` (an undirected pair
        works both ways and stands here once).
    trends : DataFrame
        Planted bursts: `item_id, day`.
    sessions : DataFrame or None
        The truth of each visit of the shipped log: user (known or not), segment, intent, outcome.
    defects : DataFrame or None
        Planted defects of the shipped log: `event_id, defect`.
    """

    settings: Settings
    items: pd.DataFrame
    users: pd.DataFrame
    item_vectors: np.ndarray
    quality: np.ndarray
    user_vectors: np.ndarray
    segments: np.ndarray
    price_sensitivity: np.ndarray
    activity: np.ndarray
    stock_day: np.ndarray
    complements: pd.DataFrame
    trends: pd.DataFrame
    sessions: pd.DataFrame | None = None
    defects: pd.DataFrame | None = None
    vocabulary: Vocabulary = field(init=False, repr=False)
    user_vocabulary: Vocabulary = field(init=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "vocabulary", Vocabulary(self.items["item_id"].to_numpy()))
        object.__setattr__(self, "user_vocabulary", Vocabulary(self.users["user_id"].to_numpy()))

    def __repr__(self) -> str:
        return f"Truth(simulated bookshop: {self.n_items} books, {len(self.users)} users)"

    @property
    def n_items(self) -> int:
        """Number of books."""
        return len(self.items)

    @property
    def examination(self) -> np.ndarray:
        """Probability that a visitor looks at each position of a list, shape (n_slots,)."""
        return np.array(self.settings.examination)

    @property
    def segment(self) -> pd.Series:
        """Name of each user's segment, by user id."""
        names = np.array(list(SEGMENTS), dtype=object)[self.segments]
        return pd.Series(names, index=self.users["user_id"].to_numpy(), name="segment")

    def preference(self, user_ids, item_ids=None) -> np.ndarray:
        """Return how much users like books, in logits: ``taste_scale * cos(user, book) + quality``.

        Price, season and what a visit is for are not in it.

        Parameters
        ----------
        user_ids : array-like of int, shape (n,)
        item_ids : array-like of int, shape (n,), optional
            One book for each user; by default all books for each.

        Returns
        -------
        ndarray of float64, shape (n, n_items) or (n,)

        Raises
        ------
        KeyError
            For an id that the shop does not have.
        """
        users = _known(self.user_vocabulary, user_ids, "user")
        taste = self.settings.taste_scale * self.user_vectors[users]  # (n, n_factors)
        if item_ids is None:
            return taste @ self.item_vectors.T + self.quality
        items = _known(self.vocabulary, item_ids, "item")
        return np.einsum("nf,nf->n", taste, self.item_vectors[items]) + self.quality[items]

    def complement_of(self) -> np.ndarray:
        """Index of the book that each book makes wanted, -1 for none, int64, shape (n_items,)."""
        of = np.full(self.n_items, -1)
        first = self.vocabulary.encode(self.complements["item_id"].to_numpy())
        second = self.vocabulary.encode(self.complements["with_item_id"].to_numpy())
        both = ~self.complements["directed"].to_numpy()
        of[second[both]] = first[both]
        of[first] = second
        return of

    def attraction(self) -> np.ndarray:
        """Logits that are the same for everybody on each day: quality, seasons, trends, novelty.

        Returns
        -------
        ndarray of float64, shape (n_days, n_items)
        """
        day = np.arange(self.settings.n_days)[:, None]
        logits = self.quality + seasons(self.items["genre"], self.settings)
        start = self.trends["day"].to_numpy()
        since = day - start  # (n_days, n_trends)
        burst = np.where(since >= 0, np.exp(-since / self.settings.trend_days), 0)
        np.add.at(
            logits.T,
            self.vocabulary.encode(self.trends["item_id"].to_numpy()),
            self.settings.trend_height * burst.T,
        )
        age = day - self.stock_day
        new = (self.stock_day > 0) & (age >= 0)
        return logits + np.where(new, self.settings.arrival_rise * np.exp(-age / 7), 0)

    def stocked(self) -> np.ndarray:
        """Whether each book is for sale on each day, bool, shape (n_days, n_items)."""
        return np.arange(self.settings.n_days)[:, None] >= self.stock_day


def seasons(genres: pd.Series, settings: Settings) -> np.ndarray:
    """Logits that Christmas and Halloween add to each book on each day, shape (n_days, n_items)."""
    days = pd.date_range(settings.first_day, periods=settings.n_days, freq="D")
    year = days[0].year
    to_christmas = (pd.Timestamp(year, 12, 20) - days).days.to_numpy()
    christmas = np.clip(1 - to_christmas / 35, 0, 1) * (days <= pd.Timestamp(year, 12, 24))
    to_halloween = (pd.Timestamp(year, 10, 31) - days).days.to_numpy()
    halloween = np.clip(1 - to_halloween / 14, 0, 1) * (to_halloween >= 0)
    return np.outer(christmas, genres.map(CHRISTMAS).fillna(0)) + np.outer(halloween, genres.map(HALLOWEEN).fillna(0))


def _known(vocabulary: Vocabulary, ids, what: str) -> np.ndarray:
    ids = np.atleast_1d(np.asarray(ids, dtype=np.int64))
    index = vocabulary.encode(ids)
    if (index < 0).any():
        raise KeyError(f"the shop has no {what} with id {ids[index < 0][0]}.")
    return index
