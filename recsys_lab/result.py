"""What every evaluation can say, whatever was asked: metrics, intervals, comparisons in pairs, coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_lab import metrics


class Result:
    """What all evaluations can say, given `values(metric)` of each prediction and the top-k lists' `exposure`.

    Attributes
    ----------
    model : str
        The model's repr.
    k : int
        Length of the lists.
    ties : str
        How equal scores were ranked (`recsys_lab.ranking`).
    exposure : ndarray of int64, shape (n_items,), or None
        How often each item stood in a top-k list; None if evaluated with ``lists=False``.
    """

    model: str
    k: int
    ties: str
    exposure: np.ndarray | None

    @property
    def recall(self) -> float:
        """Share of right items among the first k (with one right item, the hit rate)."""
        return self._mean("recall")

    @property
    def precision(self) -> float:
        """Share of the k places that hold right items."""
        return self._mean("precision")

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank of the first right item, 0 beyond place k."""
        return self._mean("mrr")

    @property
    def ndcg(self) -> float:
        """Mean of the discounted gain over that of the best list; with one right item, 1 / log2(rank + 1)."""
        return self._mean("ndcg")

    @property
    def map(self) -> float:
        """Mean average precision; with one right item, `mrr`."""
        return self._mean("map")

    @property
    def coverage(self) -> float:
        """Share of the catalogue that stands in at least one list."""
        return metrics.coverage(self._lists())

    @property
    def gini(self) -> float:
        """Inequality of exposure over the catalogue (0 equal, 1 all on one item)."""
        return metrics.gini(self._lists())

    def novelty(self, popularity) -> float:
        """Mean self-information of listed items in bits, given training counts, shape (n_items,)."""
        return metrics.novelty(self._lists(), popularity)

    def values(self, metric: str) -> np.ndarray:
        """Value of one metric for every prediction, shape (n_predictions,)."""
        raise NotImplementedError

    def interval(self, metric: str, level: float = 0.95, n_draws: int = 1000, seed: int = 0) -> metrics.Interval:
        """Bootstrap interval of a metric over sessions or users (`recsys_lab.metrics.bootstrap_interval`)."""
        return metrics.bootstrap_interval(self.values(metric), self._questions()[0], level, n_draws, seed)

    def compare(self, other: Result, metric: str = "mrr", **options) -> metrics.Comparison:
        """Paired comparison with another model on the same predictions: positive where this one is better."""
        mine, theirs = self._questions(), other._questions()
        same = len(mine) == len(theirs) and all(map(np.array_equal, mine, theirs))
        if not same or self.k != other.k:
            raise ValueError("compare needs two evaluations of the same sessions with the same k.")
        return metrics.compare(self.values(metric), other.values(metric), mine[0], **options)

    def summary(self) -> pd.Series:
        """Return all metrics by name."""
        row = {name: getattr(self, name) for name in ("recall", "mrr", "ndcg", "precision")}
        if self.exposure is not None:
            row |= {"coverage": self.coverage, "gini": self.gini}
        return pd.Series(row | self._counts(), name=self.model)

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}@{self.k} {getattr(self, name):.4f}" for name in ("recall", "mrr"))
        return f"{type(self).__name__}({self.model}: {numbers}, {self._size()}, ties={self.ties!r})"

    def _mean(self, metric: str) -> float:
        return float(self.values(metric).mean())

    def _lists(self) -> np.ndarray:
        if self.exposure is None:
            raise ValueError("no lists were made: evaluate(..., lists=True).")
        return self.exposure

    def _questions(self) -> tuple[np.ndarray, ...]:
        """What was asked, first the session or user of each prediction: two results are comparable if it is equal."""
        raise NotImplementedError

    def _counts(self) -> dict[str, int]:
        raise NotImplementedError

    def _size(self) -> str:
        raise NotImplementedError
