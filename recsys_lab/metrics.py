"""What a list is worth: accuracy of one list, variety of all lists, and how sure we are.

Accuracy is written twice. `recall`, `precision`, `reciprocal_rank`, `ndcg` and `average_precision` take one list and
the set of relevant items, as the textbooks do (Järvelin & Kekäläinen, TOIS 2002, for NDCG). `of_ranks` is the special
case of one relevant item a list, which is all that next-item prediction needs: then only the item's rank counts.

Averages come with `bootstrap_interval` (Efron, 1979): sessions are drawn anew with replacement, because clicks of one
session are not independent of one another and resampling clicks would promise too much.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np


def recall(ranked: Sequence, relevant: Collection, k: int) -> float:
    """Share of the relevant items that the first k places hold.

    Examples
    --------
    >>> recall(["a", "b", "c"], {"b", "z"}, k=3)
    0.5
    """
    return len(set(ranked[:k]) & set(relevant)) / len(set(relevant))


def precision(ranked: Sequence, relevant: Collection, k: int) -> float:
    """Share of the first k places that hold relevant items; a list shorter than k is charged for its empty places."""
    return len(set(ranked[:k]) & set(relevant)) / k


def reciprocal_rank(ranked: Sequence, relevant: Collection, k: int) -> float:
    """1 / place (from 1) of the first relevant item among the first k, 0.0 when there is none."""
    relevant = set(relevant)
    return next((1 / place for place, item in enumerate(ranked[:k], start=1) if item in relevant), 0.0)


def ndcg(ranked: Sequence, relevant: Collection, k: int) -> float:
    """Discounted cumulative gain of the first k places over that of the best possible list.

    A relevant item at place r (from 1) gains 1 / log2(r + 1); the best list starts with min(k, n_relevant) of them.
    """
    relevant = set(relevant)
    gain = sum(1 / np.log2(place + 1) for place, item in enumerate(ranked[:k], start=1) if item in relevant)
    best = sum(1 / np.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
    return float(gain / best)


def average_precision(ranked: Sequence, relevant: Collection, k: int) -> float:
    """Mean over the relevant items of the precision at their places; a missed one counts 0 (trec_eval's MAP@k)."""
    relevant, hits, total = set(relevant), 0, 0.0
    for place, item in enumerate(ranked[:k], start=1):
        if item in relevant:
            hits += 1
            total += hits / place
    return total / len(relevant)


def of_ranks(ranks, metric: str, k: int) -> np.ndarray:
    """Value of a metric for lists with one relevant item each, from that item's rank.

    Parameters
    ----------
    ranks : array-like of float, shape (n,)
        From 1; infinity where the item is not in the list (`recsys_lab.ranking.target_ranks`).
    metric : {"recall", "precision", "mrr", "ndcg", "map"}
        With one relevant item, recall is the hit rate, precision is recall / k, and MAP equals MRR.
    k : int

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> of_ranks([1, 2, 30], "mrr", k=20)
    array([1. , 0.5, 0. ])
    """
    ranks = np.asarray(ranks, dtype=np.float64)
    if k < 1 or (ranks < 1).any() or np.isnan(ranks).any():
        raise ValueError("of_ranks: k and all ranks count from 1. Are these 0-based positions?")
    inside = ranks <= k
    if metric == "recall":
        return inside.astype(np.float64)
    if metric == "precision":
        return inside / k
    if metric in ("mrr", "map"):
        return np.where(inside, 1 / ranks, 0.0)
    if metric == "ndcg":
        return np.where(inside, 1 / np.log2(ranks + 1), 0.0)
    raise ValueError(f"metric {metric!r}: choose one of {RANK_METRICS}.")


RANK_METRICS = ("recall", "precision", "mrr", "ndcg", "map")


def coverage(exposure) -> float:
    """Share of the catalogue that stands in at least one list.

    Parameters
    ----------
    exposure : array-like of int, shape (n_items,)
        How often each item was listed: ``np.bincount(lists[lists >= 0], minlength=n_items)``.
    """
    exposure = np.asarray(exposure)
    return float((exposure > 0).mean())


def gini(exposure) -> float:
    """Inequality of exposure: 0 when all items are listed equally often, near 1 when one has it all.

    ``G = sum_i (2 i - n - 1) x_i / (n sum x)`` with x sorted upwards and i from 1 (Gini, 1912).
    """
    x = np.sort(np.asarray(exposure, dtype=np.float64))
    if x.sum() == 0:
        return 0.0
    n = len(x)
    return float(((2 * np.arange(1, n + 1) - n - 1) * x).sum() / (n * x.sum()))


def novelty(exposure, popularity) -> float:
    """Mean self-information of a listed item, in bits: -log2 of its share of the clicks (Vargas & Castells, 2011).

    Parameters
    ----------
    exposure, popularity : array-like, shape (n_items,)
        How often each item was listed, and clicked in training. An item never clicked counts as clicked once.
    """
    exposure = np.asarray(exposure, dtype=np.float64)
    popularity = np.maximum(np.asarray(popularity, dtype=np.float64), 1)
    bits = -np.log2(popularity / popularity.sum())
    return float(exposure @ bits / exposure.sum()) if exposure.sum() else float("nan")


def intra_list_diversity(lists, features) -> np.ndarray:
    """Mean cosine distance between the pairs of items of each list (Ziegler et al., WWW 2005).

    Parameters
    ----------
    lists : ndarray of int, shape (n_lists, k)
        Item indices; -1 for an empty place.
    features : ndarray of float, shape (n_items, n_features)
        Genres as 0/1 columns, or any embedding. An all-zero row is at distance 1 from everything.

    Returns
    -------
    ndarray of float64, shape (n_lists,)
        NaN for a list of fewer than two items.
    """
    lists, features = np.asarray(lists), np.asarray(features, dtype=np.float64)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = np.divide(features, length, out=np.zeros_like(features), where=length > 0)
    listed = (lists >= 0)[..., None] * unit[lists]  # (n_lists, k, n_features)
    n = (lists >= 0).sum(axis=1)
    # sum over pairs i < j of u_i . u_j = (|sum u|^2 - sum |u|^2) / 2
    similarity = ((listed.sum(axis=1) ** 2).sum(axis=1) - (listed**2).sum(axis=(1, 2))) / 2
    pairs = np.where(n > 1, n * (n - 1) / 2, np.nan)
    return 1 - similarity / pairs


class Interval(NamedTuple):
    """A bootstrap interval; `level` is its nominal coverage."""

    low: float
    high: float
    level: float


class Comparison(NamedTuple):
    """Paired difference of two models on the same predictions: mean of first minus second, with its interval."""

    difference: float
    low: float
    high: float
    level: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def bootstrap_interval(values, groups=None, level: float = 0.95, n_draws: int = 1000, seed: int = 0) -> Interval:
    """Percentile bootstrap interval of a mean, drawing whole groups with replacement.

    Parameters
    ----------
    values : array-like of float, shape (n,)
    groups : array-like of int, shape (n,), optional
        Which values stay together, such as the session of each prediction. By default each value is its own group.
    level : float
        Nominal coverage, between 0 and 1.
    n_draws : int
        Number of resamples.
    seed : int

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If there are fewer than two groups: nothing can be said about spread.
    """
    values = np.asarray(values, dtype=np.float64)
    groups = np.arange(len(values)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    n = int(groups.max()) + 1 if len(groups) else 0
    if n < 2:
        raise ValueError(f"an interval needs at least two groups (sessions) to resample, not {n}.")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}.")
    sums, sizes = np.bincount(groups, values, n), np.bincount(groups, minlength=n)
    rng, means = np.random.default_rng(seed), np.empty(n_draws)
    for i in range(n_draws):
        times_drawn = np.bincount(rng.integers(n, size=n), minlength=n)
        means[i] = (times_drawn @ sums) / (times_drawn @ sizes)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def compare(first, second, groups=None, level: float = 0.95, n_draws: int = 1000, seed: int = 0) -> Comparison:
    """Paired bootstrap comparison: the same sessions are drawn for both models.

    Two intervals that overlap do not show that two models are alike: what a hard session costs both cancels out here.

    Parameters
    ----------
    first, second : array-like of float, shape (n,)
        The metric of two models on the same predictions, in the same order.
    groups, level, n_draws, seed
        See `bootstrap_interval`.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"not the same predictions: {first.shape} against {second.shape}.")
    low, high, _ = bootstrap_interval(first - second, groups, level, n_draws, seed)
    return Comparison(float((first - second).mean()), low, high, level)
