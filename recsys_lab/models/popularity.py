"""The two baselines that nobody may skip: what everybody clicks, and what this session clicked already."""

from __future__ import annotations

import numpy as np

from recsys_lab.interactions import Sessions
from recsys_lab.models.base import Recommender


class Popularity(Recommender):
    """The most clicked items, the same list for everybody.

    ``score(i) = number of training clicks on i``
    """

    def _fit(self, sessions: Sessions, impressions) -> None:
        pass  # popularity_ is all there is to know

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        return np.tile(self._popular(), (len(rows), 1))


class SessionPopularity(Recommender):
    """What this session saw, most frequent first; equally frequent items by their popularity in training.

    ``score(i | session) = clicks on i in the session so far + popularity(i) / (highest popularity + 1)``

    Items that the session has not seen are never listed, so lists are short. People return to what they looked at: on
    logs of shops this beats popularity by far, and now and then a neural network.
    """

    def _fit(self, sessions: Sessions, impressions) -> None:
        self.tie_break_ = (self.popularity_ / (self.popularity_.max() + 1)).astype(np.float32)

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        n_seen = sessions.positions[rows] + 1
        row = np.repeat(np.arange(len(rows)), n_seen)
        ends = np.cumsum(n_seen)
        clicks = np.repeat(rows + 1 - ends, n_seen) + np.arange(ends[-1] if len(rows) else 0)
        items = sessions.items[clicks]
        scores = np.full((len(rows), sessions.n_items), -np.inf, np.float32)
        scores[row, items] = self.tie_break_[items]
        np.add.at(scores, (row, items), np.float32(1))
        return scores
