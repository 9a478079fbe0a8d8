"""Models that go from items to items: association rules, sequential rules, item neighbours, bought together.

All of them learn one sparse matrix, item by item, and score the next click by the row of the last one (or by the sum of
the rows of the last few). They differ in what they count:

==========================  =======================================================================  =========
model                       weight of the pair (i, j)                                                direction
==========================  =======================================================================  =========
`AssociationRules`          pairs of clicks in one session, any distance                             both
`SequentialRules`           sum of 1 / distance² over i before j (at most `window` apart)            i → j
`ItemKNN`                   sessions with both, over the geometric mean of their support             both
`FrequentlyBoughtTogether`  baskets with both, over what chance alone would have put together        both
==========================  =======================================================================  =========

Association and sequential rules follow Ludewig & Jannach (UMUAI 2018). Item neighbours with a regularised support are
the baseline of Hidasi et al. (ICLR 2016); summed over several items they are those of Sarwar et al. (WWW 2001). Pulling
an observed count towards the expected one is empirical Bayes (DuMouchel, The American Statistician 1999).
"""

from __future__ import annotations

import itertools
from abc import abstractmethod

import numpy as np
from scipy import sparse

from recsys_lab.histories import user_items
from recsys_lab.interactions import Sessions
from recsys_lab.models.base import Recommender

BLOCK = 2**20  # clicks whose pairs are gathered at a time, so that memory does not grow with the log


class ItemToItem(Recommender):
    """Base of the models in this module: `_weights` gives the matrix, the rest is the same.

    Attributes
    ----------
    weights_ : csr_matrix of float32, shape (n_items, n_items)
        Row i holds the scores of all items after a click on i.
    n_last : int or None
        Of how many last clicks the rows are added (each item once); None for all of them.
    """

    floor = 0.0
    n_last: int | None = 1

    @abstractmethod
    def _weights(self, sessions: Sessions) -> sparse.csr_matrix:
        """Weight of each pair of items."""

    def _fit(self, sessions: Sessions, impressions) -> None:
        self.weights_ = self._weights(sessions).astype(np.float32)

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        if self.n_last == 1:
            return self.weights_[sessions.items[rows]].toarray()
        return (_recent(sessions, rows, self.n_last) @ self.weights_).toarray()


class AssociationRules(ItemToItem):
    """Items clicked in one session, counted as pairs.

    Each pair of clicks counts once in both directions; a pair of clicks on one and the same item therefore counts
    twice. Per item the `n_rules` strongest are kept and divided by the strongest.

    Parameters
    ----------
    n_rules : int
    """

    def __init__(self, n_rules: int = 20):
        self.n_rules = n_rules

    def _weights(self, sessions: Sessions) -> sparse.csr_matrix:
        clicks = user_items(sessions)
        pairs = _square(clicks)  # n_i n_j in each session
        pairs.setdiag(pairs.diagonal() - self.popularity_)  # n (n - 1) for an item with itself
        return _strongest(pairs, self.n_rules)


class SequentialRules(ItemToItem):
    """What was clicked after an item, the sooner the heavier.

    For every click and each of the `window` clicks before it in the session, 1 / distance² is added to the pair
    (earlier item → this item). Per item the `n_rules` strongest are kept and divided by the strongest.

    Parameters
    ----------
    window : int
    n_rules : int
    """

    def __init__(self, window: int = 20, n_rules: int = 20):
        self.window = window
        self.n_rules = n_rules

    def _weights(self, sessions: Sessions) -> sparse.csr_matrix:
        return _strongest(_pairs(sessions, self.window, lambda distance: 1 / distance**2), self.n_rules)


class ItemKNN(ItemToItem):
    """Neighbours of the last items by the cosine of the sessions they occur in.

    ``score(j | i) = n_ij / sqrt((n_i + shrinkage) (n_j + shrinkage))``, where n counts sessions. The shrinkage keeps
    two items that met once by chance from being perfect neighbours.

    Parameters
    ----------
    shrinkage : float
        Sessions added to each item's support.
    n_neighbours : int, optional
        Keep so many neighbours per item; by default all.
    n_last : int, optional
        Add up the neighbours of so many last clicks (each item once), None for the whole session. 1, the default, is
        the usual choice inside a session; for the history of a user, where no click is the last in any sense, take
        None.
    """

    def __init__(self, shrinkage: float = 20.0, n_neighbours: int | None = None, n_last: int | None = 1):
        self.shrinkage = shrinkage
        self.n_neighbours = n_neighbours
        self.n_last = n_last

    def _weights(self, sessions: Sessions) -> sparse.csr_matrix:
        together, support = _together(sessions)
        support = support + self.shrinkage
        # an item that never occurs has no pairs; the 1 only spares it a division by zero
        scale = sparse.diags(1 / np.sqrt(np.where(support > 0, support, 1)))
        cosine = (scale @ together @ scale).tocsr()
        return cosine if self.n_neighbours is None else _keep_strongest(cosine, self.n_neighbours)


class FrequentlyBoughtTogether(ItemToItem):
    """What goes with a basket: pairs that meet more often than chance would have it.

    With N baskets, n_i of them with i and n_ij with both, chance alone gives ``E_ij = n_i n_j / N``. The plain lift
    n_ij / E_ij is highest where E is smallest: for things sold once. The shrunk lift
    ``(n_ij + prior) / (E_ij + prior)`` pulls such pairs towards 1, as if every pair had been seen `prior` times more,
    exactly as often as expected. A basket's score is the sum of its items' log lifts; what the basket holds, and pairs
    that meet no more often than by chance, score 0.

    Parameters
    ----------
    prior : float
        Expected pairs added to each pair. How many are right depends on the shop: choose it on baskets that were held
        out (lab 04 shows how).
    min_support : int
        Baskets in which a pair has to occur.
    n_last : int, optional
        Look at so many last items of the basket only, instead of all (None).
    """

    def __init__(self, prior: float = 0.5, min_support: int = 2, n_last: int | None = None):
        self.prior = prior
        self.min_support = min_support
        self.n_last = n_last

    def _weights(self, sessions: Sessions) -> sparse.csr_matrix:
        together, support = _together(sessions)
        pairs = together.tocoo()
        expected = support[pairs.row] * support[pairs.col] / len(sessions)
        lift = np.log((pairs.data + self.prior) / (expected + self.prior))
        keep = (pairs.data >= self.min_support) & (lift > 0)
        return sparse.csr_matrix((lift[keep], (pairs.row[keep], pairs.col[keep])), shape=pairs.shape)

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        scores = super()._score(sessions, rows)
        scores[_recent(sessions, rows, None).nonzero()] = 0
        return scores


def _together(sessions: Sessions) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Sessions in which two different items both occur (sparse), and those in which each item does."""
    occurs = user_items(sessions)
    occurs.data[:] = 1  # an item clicked twice in a session occurs once
    together = _square(occurs)
    support = together.diagonal()
    together.setdiag(0)
    together.eliminate_zeros()
    return together, support


def _square(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """``M' M``, in float64 because counts are added up."""
    matrix = matrix.astype(np.float64)
    return (matrix.T @ matrix).tocsr()  # by columns to by rows, which sorts the columns of a row on the way


def _recent(sessions: Sessions, rows: np.ndarray, n: int | None) -> sparse.csr_matrix:
    """1 for the items of the last n clicks up to each asked click, shape (n_rows, n_items)."""
    owner, clicks = sessions.prefixes(rows, n)
    cells = (np.ones(len(clicks), np.float32), (owner, sessions.items[clicks]))
    recent = sparse.csr_matrix(cells, shape=(len(rows), sessions.n_items))
    recent.data[:] = 1  # an item clicked twice is added once
    return recent


def _pairs(sessions: Sessions, max_distance: int, weight) -> sparse.csr_matrix:
    """Sum of weight(distance) over pairs of clicks (earlier item, later item) of one session."""
    total = sparse.csr_matrix((sessions.n_items, sessions.n_items))
    starts = np.searchsorted(sessions.offsets, np.arange(0, max(sessions.n_clicks, 1), BLOCK), "right") - 1
    for start, stop in itertools.pairwise([*np.unique(starts), len(sessions)]):
        block = sessions.part(start, stop)
        positions, found = block.positions, []
        for distance in range(1, max_distance + 1):
            later = np.flatnonzero(positions >= distance)
            if len(later) == 0:
                break
            values = np.full(len(later), weight(distance))
            found.append((values, block.items[later - distance], block.items[later]))
        if found:
            values, earlier, later = (np.concatenate(part) for part in zip(*found, strict=True))
            total = total + sparse.csr_matrix((values, (earlier, later)), shape=total.shape)
    return total


def _strongest(weights: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Keep each row's n largest weights and divide them by the row's largest."""
    kept = _keep_strongest(weights, n)
    filled = np.flatnonzero(np.diff(kept.indptr))
    largest = np.ones(kept.shape[0])
    if len(filled):
        largest[filled] = np.maximum.reduceat(kept.data, kept.indptr[filled])
    kept.data = kept.data / np.repeat(largest, np.diff(kept.indptr))
    return kept


def _keep_strongest(weights: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Keep each row's n largest positive weights, compared in single precision; equal ones by smaller column."""
    weights.sort_indices()
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    strength = weights.data.astype(np.float32)
    # one number that sorts by row and then by falling weight: the bits of a positive float grow with it. A stable sort
    # is the quick one here, because the rows are in order already
    keys = np.sort((row << 32) + (2**32 - 1 - strength.view(np.uint32).astype(np.int64)), kind="stable")
    lengths = np.diff(weights.indptr)
    last = np.where(lengths > n, weights.indptr[:-1] + n - 1, weights.indptr[1:] - 1)
    weakest = np.zeros(len(lengths), np.float32)  # of those that stay, row by row
    weakest[lengths > 0] = (2**32 - 1 - (keys[last[lengths > 0]] & (2**32 - 1))).astype(np.uint32).view(np.float32)
    above, equal = strength > weakest[row], strength == weakest[row]
    room = n - np.bincount(row[above], minlength=len(lengths))
    before = np.cumsum(equal) - equal  # equal ones of smaller columns, counted from the first row
    first = np.append(before, 0)[weights.indptr[:-1]]
    keep = (above | (equal & (before - first[row] < room[row]))) & (strength > 0)
    kept_rows = np.bincount(row[keep], minlength=len(lengths))
    indptr = np.concatenate([[0], np.cumsum(kept_rows)])
    return sparse.csr_matrix((weights.data[keep], weights.indices[keep], indptr), shape=weights.shape)
