"""Models that go from the last item to the next: association rules, sequential rules, item neighbours.

All three learn one sparse matrix, item by item, and score the next click by the row of the last one. They differ in
what they count:

===================  ==============================================================  ===================
model                weight of the pair (i, j)                                       direction
===================  ==============================================================  ===================
`AssociationRules`   pairs of clicks in one session, any distance                    both
`SequentialRules`    sum of 1 / distance² over i before j (at most `window` apart)   i → j
`ItemKNN`            sessions with both, over the geometric mean of their support    both
===================  ==============================================================  ===================

Association and sequential rules follow Ludewig & Jannach (UMUAI 2018); item neighbours with a regularised support are
the baseline of Hidasi et al. (ICLR 2016).
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from scipy import sparse

from recsys_lab.interactions import Sessions
from recsys_lab.models.base import Recommender


class ItemToItem(Recommender):
    """Base of the models in this module: `_weights` gives the matrix, the rest is the same.

    Attributes
    ----------
    weights_ : csr_matrix of float32, shape (n_items, n_items)
        Row i holds the scores of all items after a click on i.
    """

    floor = 0.0

    @abstractmethod
    def _weights(self, sessions: Sessions) -> sparse.csr_matrix:
        """Weight of each pair of items."""

    def _fit(self, sessions: Sessions, impressions) -> None:
        self.weights_ = self._weights(sessions).astype(np.float32)

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        return self.weights_[sessions.items[rows]].toarray()


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
        longest = int(sessions.lengths.max())
        pairs = _pairs(sessions, longest - 1, lambda distance: 1.0)
        return _strongest((pairs + pairs.T).tocsr(), self.n_rules)


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
    """Neighbours of the last item by the cosine of the sessions they occur in.

    ``score(j | i) = n_ij / sqrt((n_i + shrinkage) (n_j + shrinkage))``, where n counts sessions. The shrinkage keeps
    two items that met once by chance from being perfect neighbours.

    Parameters
    ----------
    shrinkage : float
        Sessions added to each item's support.
    n_neighbours : int, optional
        Keep so many neighbours per item; by default all.
    """

    def __init__(self, shrinkage: float = 20.0, n_neighbours: int | None = None):
        self.shrinkage = shrinkage
        self.n_neighbours = n_neighbours

    def _weights(self, sessions: Sessions) -> sparse.csr_matrix:
        ones = np.ones(sessions.n_clicks)
        shape = (len(sessions), sessions.n_items)
        occurs = sparse.csr_matrix((ones, (sessions.session_of_click, sessions.items)), shape=shape)
        occurs.data[:] = 1  # an item clicked twice in a session occurs once
        together = (occurs.T @ occurs).tocsr()
        support = together.diagonal() + self.shrinkage
        together.setdiag(0)
        together.eliminate_zeros()
        # an item that never occurs has no pairs; the 1 only spares it a division by zero
        scale = sparse.diags(1 / np.sqrt(np.where(support > 0, support, 1)))
        cosine = (scale @ together @ scale).tocsr()
        return cosine if self.n_neighbours is None else _keep_strongest(cosine, self.n_neighbours)


def _pairs(sessions: Sessions, max_distance: int, weight) -> sparse.csr_matrix:
    """Sum of weight(distance) over pairs of clicks (earlier item, later item) of one session."""
    n = sessions.n_items
    positions, total = sessions.positions, sparse.csr_matrix((n, n))
    for distance in range(1, max_distance + 1):
        later = np.flatnonzero(positions >= distance)
        if len(later) == 0:
            break
        values = np.full(len(later), weight(distance))
        pairs = (sessions.items[later - distance], sessions.items[later])
        total = total + sparse.csr_matrix((values, pairs), shape=(n, n))
    return total


def _strongest(weights: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Keep each row's n largest weights and divide them by the row's largest."""
    kept = _keep_strongest(weights, n)
    largest = kept.max(axis=1).toarray().ravel()
    return (sparse.diags(1 / np.where(largest > 0, largest, 1)) @ kept).tocsr()


def _keep_strongest(weights: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Keep each row's n largest weights; equal ones by smaller column."""
    weights.sort_indices()
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    order = np.lexsort((weights.indices, -weights.data, row))
    place = np.arange(len(order)) - weights.indptr[row[order]]
    keep = order[place < n]
    return sparse.csr_matrix((weights.data[keep], (row[keep], weights.indices[keep])), shape=weights.shape)
