"""Recommenders that recommend nothing: what a claim about sales has to be held against.

`NoList` fills the list with what this visitor wants least, by the truth: nobody clicks, so it is as if there were no
list, and sales without a recommender can be had. The others show what the visitor has found already (in front of such
a filling): nobody discovers anything by them, yet rules of attribution give them sales.
"""

from __future__ import annotations

import numpy as np

from recsys_lab.bookshop import Context, Oracle

FRONT = 1e6  # above every logit


class NoList:
    """A list of the books that this visitor is least likely to click, by the truth."""

    needs_truth = True

    def __call__(self, context: Context) -> np.ndarray:
        """Return scores, float64, shape (n_rows, n_items)."""
        return -Oracle()(context)


class RecentlyViewed(NoList):
    """What was viewed in this visit, the latest first; then nothing (see `NoList`)."""

    def __call__(self, context: Context) -> np.ndarray:
        """Return scores, float64, shape (n_rows, n_items)."""
        scores = super().__call__(context)
        for place in range(context.items.shape[1]):  # oldest first: a later view overwrites an earlier one
            there = np.flatnonzero(context.lengths > place)
            scores[there, context.items[there, place]] = FRONT + place
        return scores


class BasketList(NoList):
    """What lies in the basket; then nothing (see `NoList`)."""

    def __call__(self, context: Context) -> np.ndarray:
        """Return scores, float64, shape (n_rows, n_items)."""
        scores = super().__call__(context)
        scores[context.in_cart] += FRONT
        return scores
