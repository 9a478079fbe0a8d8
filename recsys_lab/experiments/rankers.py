"""Rankers for the comparison of offline and online: two that the log flatters, and rankers by value.

The log is what visitors did under the shop's old lists. It holds returns to pages seen before, which need no list; and
it holds what the old lists led to. `SeenFirst` feeds on the first, `ShopRules` (the old lists themselves) on the
second. `ByValue` moves a model's list towards what earns more.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_lab import rates
from recsys_lab.bookshop import logging_policy, truth
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models.base import Recommender

FRONT = 1e5  # above every model's scores


class SeenFirst:
    """A fitted model's list behind the books seen in this session, the latest first.

    Parameters
    ----------
    model : Recommender
        Fitted.

    Notes
    -----
    Evaluate it as it is; online it needs ``model_policy(SeenFirst(model), exclude_viewed=False)``.
    """

    def __init__(self, model: Recommender):
        self.model, self.floor = model, model.floor
        self.vocabulary_, self.popularity_ = model.vocabulary_, model.popularity_

    def score(self, sessions: Sessions, rows=None) -> np.ndarray:
        """Return scores as `Recommender.score` does, float32, shape (n_rows, n_items)."""
        sessions = sessions.recode(self.vocabulary_)
        rows = np.arange(sessions.n_clicks) if rows is None else np.asarray(rows, dtype=np.int64)
        scores = np.array(self.model.score(sessions, rows), dtype=np.float32)
        first = sessions.offsets[sessions.session_of_click[rows]]
        for number, (start, row) in enumerate(zip(first, rows, strict=True)):
            seen = sessions.items[start : row + 1]
            known = np.flatnonzero(seen >= 0)
            scores[number, seen[known]] = FRONT + known  # of two views of a book the later one is written last
        return scores

    def __repr__(self) -> str:
        return f"SeenFirst({self.model!r})"


class ShopRules:
    """The rules that ran while the shipped log was written, as a model: an offline score for the logging policy.

    Seen books keep their score, as they do in the other models; `model_policy` puts them behind online.
    """

    floor = -np.inf

    def __init__(self):
        world = truth()
        self.vocabulary_, self._books, self._rules = world.vocabulary, world.items, logging_policy(world)

    def score(self, sessions: Sessions, rows=None) -> np.ndarray:
        """Return scores as `Recommender.score` does, float32, shape (n_rows, n_items)."""
        sessions = sessions.recode(self.vocabulary_)
        rows = np.arange(sessions.n_clicks) if rows is None else np.asarray(rows, dtype=np.int64)
        return self._rules.alike(self._books)[sessions.items[rows]]

    def __repr__(self) -> str:
        return "ShopRules()"


class ByValue:
    """A fitted model whose scores are log probabilities up to a constant, moved by what a book is worth.

    ``score = log p(next) + Σ power · log value``: with the cart rate the chance of a sale, times the price the expected
    revenue, each to a power of one's choice.

    Parameters
    ----------
    model : Recommender
        Fitted with a softmax loss: `GRU4Rec` with cross-entropy. Counts and cosines are no log probabilities.
    log_value : array-like of float, shape (n_items,)
        Sum of power · log value of each item of the model's vocabulary.
    """

    def __init__(self, model: Recommender, log_value):
        self.model, self.floor, self.vocabulary_ = model, -np.inf, model.vocabulary_
        self.log_value = np.asarray(log_value, dtype=np.float32)
        if self.log_value.shape != (len(model.vocabulary_),) or not np.isfinite(self.log_value).all():
            raise ValueError(f"ByValue: one finite number for each of {len(model.vocabulary_)} items is needed.")
        self.popularity_ = model.popularity_ * np.exp(self.log_value)

    def score(self, sessions: Sessions, rows=None) -> np.ndarray:
        """Return scores, float32, shape (n_rows, n_items)."""
        return np.asarray(self.model.score(sessions, rows)) + self.log_value

    def __repr__(self) -> str:
        return f"ByValue({self.model!r})"


def cart_rates(events: pd.DataFrame, vocabulary: Vocabulary) -> np.ndarray:
    """Return how likely a view puts each item into the cart: posterior means under a prior fitted to the catalogue.

    Parameters
    ----------
    events : DataFrame
        Event log with views and carts.
    vocabulary : Vocabulary

    Returns
    -------
    ndarray of float64, shape (n_items,)
    """
    item, kind = vocabulary.encode(events["item_id"]), events["event"].to_numpy()
    views, carts = (
        np.bincount(item[(kind == event) & (item >= 0)], minlength=len(vocabulary)) for event in ("view", "cart")
    )
    carts = np.minimum(carts, views)
    return rates.posterior_mean(carts, views, rates.fit_likelihood(carts, views))
