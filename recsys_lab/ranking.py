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
    lists = np.full((len(scores), min(k, scores.shape[1])), -1, np.int64)
    if lists.size:
        for row, out in zip(scores, lists, strict=True):
            best = _top_k(row, len(out), above)
            out[: len(best)] = best
    return lists


def _top_k(row: np.ndarray, k: int, above: float) -> np.ndarray:
    bound = _bound(row, k)
    reached = row >= bound
    if np.count_nonzero(reached) <= 4 * k:
        items = reached.nonzero()[0]
    else:  # the bound was loose, mostly because many items tie at it
        items = _exactly_k(row, k, bound)
    best = items[(-row[items]).argsort(kind="stable")[:k]]
    return best if bound > above else best[row[best] > above]


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


def _bound(row: np.ndarray, k: int):
    """A value that at least k scores reach, and as few more as is cheap to find out."""
    n_groups = 16 * k
    tail = len(row) % n_groups
    if len(row) < 2 * n_groups:
        maxima = row.copy()
    else:
        maxima = np.maximum.reduce(row[: len(row) - tail].reshape(-1, n_groups))
        np.maximum(maxima[:tail], row[len(row) - tail :], out=maxima[:tail])
    maxima.partition(len(maxima) - k)
    highest = np.maximum.reduce(maxima[len(maxima) - k :])
    if highest != highest:  # NaN survives maximum and sorts last
        where = int(np.flatnonzero(np.isnan(row))[0])
        raise ValueError(f"the score of item {where} is NaN. A model that diverged, or 0/0 in its scores?")
    return maxima[len(maxima) - k]


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
    if ties not in TIES:
        raise ValueError(f"ties={ties!r}: choose one of {TIES}.")
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


def set_ranks(row, targets, k: int, ties: str = "middle") -> np.ndarray:
    """Return the ranks (from 1) of several target items in one row of scores.

    Parameters
    ----------
    row : ndarray of float, shape (n_items,)
    targets : array-like of int, shape (n_targets,)
        Item indices, each one once.
    k : int
        Only ranks up to k are wanted: what surely lies beyond is not counted out.
    ties : {"middle", "optimistic", "pessimistic"}
        As in `target_ranks`, which gives the same ranks for one target at a time.

    Returns
    -------
    ndarray of float64, shape (n_targets,)
        Infinity beyond k, and for an item scored ``-inf``.

    Examples
    --------
    >>> set_ranks(np.array([0.9, 0.5, 0.5, 0.1]), [0, 2, 3], k=3)
    array([1. , 2.5, inf])
    """
    if ties not in TIES:
        raise ValueError(f"ties={ties!r}: choose one of {TIES}.")
    values = row[np.asarray(targets, dtype=np.int64)]
    if np.isnan(values).any():
        raise ValueError("the score of a target item is NaN. A model that diverged?")
    bound = _bound(row, min(k, len(row)))
    reached = row[row >= bound]  # whatever is above a target among the first k, or ties with it, is in here
    reached.sort()
    higher = len(reached) - reached.searchsorted(values, "right")
    equals = len(reached) - higher - reached.searchsorted(values, "left") - 1
    ranks = 1.0 + higher + {"optimistic": 0, "middle": 0.5, "pessimistic": 1}[ties] * equals
    return np.where((values >= bound) & (values > -np.inf) & (ranks <= k), ranks, np.inf)
