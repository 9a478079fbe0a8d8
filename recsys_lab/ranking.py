"""From scores to lists and ranks, with one rule for ties.

A list has to put one of two equally scored items first. Here it is always the item with the smaller index: an accident
of the catalogue, but the same accident every time. A *metric* must not depend on that accident, so ranks of targets
take a `ties=` argument:

- ``"optimistic"``: the target comes first among its equals. Flatters every model that scores many items alike: one that
  gives all items 0 would be always right.
- ``"pessimistic"``: the target comes last among its equals.
- ``"middle"`` (default): the mean of both, which is what a random order gives on average.

Items scored ``-inf`` are not candidates: they never enter a list, and a target among them has rank infinity.
"""

from __future__ import annotations

import numpy as np

TIES = ("middle", "optimistic", "pessimistic")


def top_k(scores, k: int, above: float = -np.inf) -> np.ndarray:
    """Return the indices of the k highest scores, best first; equal scores by smaller index.

    Parameters
    ----------
    scores : array-like of float, shape (n_items,) or (n_rows, n_items)
        ``-inf`` marks items that may not be listed.
    k : int
        Length of the lists, at least 1.
    above : float
        Only scores above this are listed. Models that count give 0 to what they know nothing about: `above=0` keeps
        such items out.

    Returns
    -------
    ndarray of int64, shape (min(k, n_items),) or (n_rows, min(k, n_items))
        Rows with fewer candidates are filled up with -1.

    Raises
    ------
    ValueError
        If k < 1 or a score is NaN.

    Notes
    -----
    Sorting a whole catalogue to read off twenty items is waste. The items are folded into a few hundred groups; the
    k-th largest of the groups' maxima is a bound that at least k items reach, and only those are sorted.

    Examples
    --------
    >>> top_k([0.1, 0.9, 0.9, 0.5], 3)
    array([1, 2, 3])
    """
    scores = np.asarray(scores)
    if scores.ndim not in (1, 2) or scores.dtype.kind not in "fiub":
        raise ValueError(
            f"top_k: scores must be one or two dimensions of numbers, not {scores.ndim} of {scores.dtype}."
        )
    if k < 1:
        raise ValueError(f"top_k: k must be at least 1, not {k}.")
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    if scores.ndim == 1:
        return top_k(scores[None], k, above)[0]
    if scores.size == 0:
        return np.full((len(scores), min(k, scores.shape[1])), -1, np.int64)
    return Leaders(scores, k).lists(above)


class Leaders:
    """The few items of each row that can be among its first k, for lists and for ranks.

    Parameters
    ----------
    scores : ndarray of float, shape (n_rows, n_items)
        ``-inf`` marks items that are no candidates. Not copied: leave it as it is.
    k : int

    Attributes
    ----------
    bounds : ndarray of float, shape (n_rows,)
        A score of each row that at least k items reach, and mostly few more.
    items : ndarray of int64, shape (n_rows, widest)
        The items that reach it, in the order of their indices.
    values : ndarray of float, shape (n_rows, widest)
        Their scores, filled up with ``-inf``.
    crowded : ndarray of int64
        Rows in which so many items reach it, mostly because they tie at it, that they are not listed here.

    Raises
    ------
    ValueError
        If a score is NaN.
    """

    def __init__(self, scores: np.ndarray, k: int):
        self.scores, (n_rows, n_items) = scores, scores.shape
        self.k = min(k, n_items)
        self.bounds = _bounds(scores, self.k)
        reached = scores >= self.bounds[:, None]
        counts = np.count_nonzero(reached, axis=1)
        self.crowded = np.flatnonzero(counts > 4 * self.k)
        reached[self.crowded], counts[self.crowded] = False, 0
        flat = reached.ravel().nonzero()[0]
        row = np.repeat(np.arange(n_rows), counts)
        place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.items = np.zeros((n_rows, counts.max(initial=0)), np.int64)
        self.values = np.full(self.items.shape, -np.inf, scores.dtype)
        self.items[row, place], self.values[row, place] = flat - row * n_items, scores.ravel()[flat]

    def lists(self, above: float = -np.inf) -> np.ndarray:
        """Return the top-k lists of `top_k`."""
        lists = np.full((len(self.scores), self.k), -1, np.int64)
        order = np.argsort(-self.values, axis=1, kind="stable")[:, : self.k]
        best = np.take_along_axis(self.values, order, axis=1) > above
        lists[:, : order.shape[1]] = np.where(best, np.take_along_axis(self.items, order, axis=1), -1)
        for i in self.crowded:
            row = self.scores[i]
            items = _exactly_k(row, self.k, self.bounds[i])
            items = items[(-row[items]).argsort(kind="stable")]
            lists[i] = np.where(row[items] > above, items, -1)
        return lists

    def ranks(self, rows, targets, ties: str = "middle") -> np.ndarray:
        """Return the ranks (from 1) of several targets in each row, as far as k.

        Parameters
        ----------
        rows, targets : array-like of int, shape (n_targets,)
            Row and item index of each target.
        ties : {"middle", "optimistic", "pessimistic"}
            As in `target_ranks`, which gives the same ranks, one target a row.

        Returns
        -------
        ndarray of float64, shape (n_targets,)
            Infinity beyond k, and for an item scored ``-inf``.

        Examples
        --------
        >>> Leaders(np.array([[0.9, 0.5, 0.5, 0.1]]), k=3).ranks([0, 0, 0], [0, 2, 3])
        array([1. , 2.5, inf])
        """
        _check_ties(ties)
        rows, targets = np.asarray(rows, dtype=np.int64), np.asarray(targets, dtype=np.int64)
        ranks, values = np.full(len(targets), np.inf), self.scores[rows, targets]
        _refuse_nan(values, targets)
        near = (values >= self.bounds[rows]) & (values > -np.inf)
        crowded = np.isin(rows, self.crowded) & near
        if crowded.any():
            ranks[crowded] = target_ranks(self.scores[rows[crowded]], targets[crowded], ties)
        near &= ~crowded
        rivals, mine = self.values[rows[near]], values[near, None]  # (n_near, widest): all that may be before a target
        equals = (rivals == mine).sum(axis=1) - 1
        behind = {"optimistic": 0, "middle": 0.5, "pessimistic": 1}[ties] * equals
        ranks[near] = 1 + (rivals > mine).sum(axis=1) + behind
        return np.where(ranks <= self.k, ranks, np.inf)


def _exactly_k(row: np.ndarray, k: int, bound) -> np.ndarray:
    """Items of the k highest scores in the order of their indices, given a bound that at least k reach."""
    above = (row > bound).nonzero()[0]
    if len(above) >= k:
        values = row[above]
        bound = np.partition(values, len(values) - k)[len(values) - k]
        above = above[values > bound]
    equal, looked_at = np.empty(0, np.int64), 4 * k
    while len(equal) < k - len(above):  # those with small indices are wanted: no need to look at them all
        equal = (row[:looked_at] == bound).nonzero()[0]
        looked_at *= 4
    return np.sort(np.concatenate([above, equal[: k - len(above)]]))


def _bounds(scores: np.ndarray, k: int) -> np.ndarray:
    """For each row a value that at least k scores reach, and as few more as is cheap to find out."""
    n_rows, n_items = scores.shape
    n_groups, tail = 16 * k, n_items % (16 * k)
    if n_items < 2 * n_groups:
        maxima = scores.copy()
    else:
        maxima = scores[:, : n_items - tail].reshape(n_rows, -1, n_groups).max(axis=1)
        np.maximum(maxima[:, :tail], scores[:, n_items - tail :], out=maxima[:, :tail])
    maxima.partition(maxima.shape[1] - k, axis=1)
    highest = maxima[:, maxima.shape[1] - k :].max(axis=1)
    if (highest != highest).any():  # NaN survives maximum and sorts last
        where = int(np.flatnonzero(np.isnan(scores).any(axis=0))[0])
        raise ValueError(f"the score of item {where} is NaN. A model that diverged, or 0/0 in its scores?")
    return maxima[:, maxima.shape[1] - k]


def target_ranks(scores, targets, ties: str = "middle") -> np.ndarray:
    """Return the rank (from 1) of one target item in each row of scores.

    Parameters
    ----------
    scores : ndarray of float, shape (n_rows, n_items)
    targets : array-like of int, shape (n_rows,)
        Item indices; -1 for an item that the model does not know.
    ties : {"middle", "optimistic", "pessimistic"}
        Where the target stands among its equals. This matters more than it looks: models that count co-occurrences
        give most of the catalogue the same score, and on one public log recall@20 of one model is .688 or .703
        depending on this alone.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        1 + (items scored higher) + 0, half or all of the other items scored the same; infinity for an unknown target
        and for one scored ``-inf``.

    Raises
    ------
    ValueError
        For an unknown `ties`, a target outside the catalogue, or a NaN score of a target.

    Examples
    --------
    >>> scores = [[0.9, 0.5, 0.5, 0.1]]
    >>> [float(target_ranks(scores, [2], ties)[0]) for ties in ("optimistic", "middle", "pessimistic")]
    [2.0, 2.5, 3.0]
    """
    _check_ties(ties)
    scores, targets = np.asarray(scores), np.asarray(targets, dtype=np.int64)
    n_rows, n_items = scores.shape
    if targets.shape != (n_rows,):
        raise ValueError(f"{n_rows} rows of scores need as many targets, not shape {targets.shape}.")
    if n_rows and targets.max() >= n_items:
        raise ValueError(f"target {targets.max()} is outside the catalogue of {n_items} items.")
    ranks = np.full(n_rows, np.inf)
    hit = np.empty(n_items, bool)  # one row of comparisons at a time stays in the processor's cache
    for i in np.flatnonzero(targets >= 0):
        row, score = scores[i], scores[i, targets[i]]
        if score == -np.inf:
            continue
        if score != score:
            raise ValueError(f"the score of target item {targets[i]} is NaN. A model that diverged?")
        rank = 1.0 + np.count_nonzero(np.greater(row, score, out=hit))
        if ties != "optimistic":
            equals = np.count_nonzero(np.equal(row, score, out=hit)) - 1
            rank += equals / 2 if ties == "middle" else equals
        ranks[i] = rank
    return ranks


def _check_ties(ties: str) -> None:
    if ties not in TIES:
        raise ValueError(f"ties={ties!r}: choose one of {TIES}.")


def _refuse_nan(values: np.ndarray, targets: np.ndarray) -> None:
    if (values != values).any():
        raise ValueError(f"the score of target item {targets[values != values][0]} is NaN. A model that diverged?")
