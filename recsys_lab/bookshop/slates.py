"""Lists with known probabilities: how a score becomes K books in K slots, and how likely each book was in each.

With probability `exploration` the whole list is a uniformly random choice of the stocked books, in random order.
Otherwise the books are ranked by score, and slot p draws among those ranked p, p + K, p + 2K, … by a softmax of
score / temperature. The groups share no book, so the draws are independent and no book is listed twice; and the
probability that book i stands in slot p is exactly

    exploration / n_stocked + (1 - exploration) * softmax of its group (0 in the other slots)

which sums to 1 over the books for every slot. At temperature 0 slot p shows the book ranked p. A Plackett-Luce draw
(softmax without replacement) would need a sum over all orders for the same number.
"""

from __future__ import annotations

import numpy as np


def rank(scores: np.ndarray, stocked: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the m best stocked books of each row, best first, ties by item index, and their scores.

    Parameters
    ----------
    scores : ndarray of float, shape (n_rows, n_items)
    stocked : ndarray of bool, shape (n_rows, n_items)
        At least m books of every row.
    m : int

    Returns
    -------
    items : ndarray of int64, shape (n_rows, m)
    best : ndarray of float, shape (n_rows, m)

    Raises
    ------
    ValueError
        If a stocked book's score is NaN.
    """
    scores = np.where(stocked, scores, -np.inf)
    if np.isnan(scores).any():
        raise ValueError("the policy gave NaN as a score. A model that diverged, or 0/0?")
    scores[stocked & (scores == -np.inf)] = -1e30  # still before what is not for sale
    bound = -np.partition(-scores, m - 1, axis=1)[:, m - 1 : m]
    chosen = scores > bound
    ties = scores == bound
    room = m - chosen.sum(axis=1, keepdims=True)
    loose = ties.sum(axis=1) > room[:, 0]
    ties[loose] &= np.cumsum(ties[loose], axis=1) <= room[loose]
    items = np.nonzero(chosen | ties)[1].reshape(len(scores), m)
    best = np.take_along_axis(scores, items, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    return np.take_along_axis(items, order, axis=1), np.take_along_axis(best, order, axis=1)


def group_softmax(best: np.ndarray, n_slots: int, temperature: float) -> np.ndarray:
    """Return each candidate's probability in its slot's group, shape (n_rows, depth, n_slots).

    Parameters
    ----------
    best : ndarray of float, shape (n_rows, depth * n_slots)
        Scores, best first; candidate r belongs to slot r % n_slots.
    n_slots : int
    temperature : float
        0 gives the best of each group probability 1.
    """
    best = best.reshape(len(best), -1, n_slots).astype(np.float64)
    if temperature == 0:
        return np.broadcast_to(np.arange(best.shape[1])[:, None] == 0, best.shape).astype(np.float64)
    weights = np.exp((best - best[:, :1]) / temperature)
    return weights / weights.sum(axis=1, keepdims=True)


def draw(scores, stocked, n_slots, exploration, temperature, depth, uniforms):
    """Draw one list for each row.

    Parameters
    ----------
    scores : ndarray of float, shape (n_rows, n_items)
    stocked : ndarray of bool, shape (n_rows, n_items)
    n_slots : int
    exploration : float
        Share of uniformly random lists.
    temperature : float
    depth : int
        Candidates for each slot.
    uniforms : ndarray of float, shape (n_rows, 1 + 2 * n_slots)
        Draws from [0, 1): explore or not, places of a random list, places in the groups.

    Returns
    -------
    items : ndarray of int64, shape (n_rows, n_slots)
    propensity : ndarray of float64, shape (n_rows, n_slots)
        Probability of that book in that slot over both kinds of list.
    explored : ndarray of bool, shape (n_rows,)
    """
    depth = 1 if temperature == 0 else depth
    explored = uniforms[:, 0] < exploration
    n_stocked = stocked.sum(axis=1)
    if exploration == 1:
        items = _random_lists(stocked, n_stocked, uniforms[:, 1 : n_slots + 1])
        return items, np.repeat(1 / n_stocked[:, None], n_slots, axis=1), explored
    ranked, best = rank(scores, stocked, depth * n_slots)
    probability = group_softmax(best, n_slots, temperature)  # (n_rows, depth, n_slots)
    place = (np.cumsum(probability, axis=1) < uniforms[:, None, n_slots + 1 :]).sum(axis=1)
    place = np.minimum(place, depth - 1)  # a sum of 1 - 1e-16 must not lead beyond the last
    items = np.take_along_axis(ranked.reshape(len(ranked), depth, n_slots), place[:, None], axis=1)[:, 0]
    items[explored] = _random_lists(stocked[explored], n_stocked[explored], uniforms[explored, 1 : n_slots + 1])
    in_slot = (ranked.reshape(len(ranked), depth, n_slots) == items[:, None]) * probability
    propensity = exploration / n_stocked[:, None] + (1 - exploration) * in_slot.sum(axis=1)
    return items, propensity, explored


def propensities(scores, stocked, n_slots, exploration, temperature, depth) -> np.ndarray:
    """Return the probability of every book in every slot, shape (n_rows, n_slots, n_items); arguments as in `draw`."""
    depth = 1 if temperature == 0 else depth
    table = np.repeat(exploration * stocked[:, None] / stocked.sum(axis=1)[:, None, None], n_slots, axis=1)
    ranked, best = rank(scores, stocked, depth * n_slots)
    probability = group_softmax(best, n_slots, temperature)
    row = np.arange(len(scores))[:, None, None]
    table[row, np.arange(n_slots), ranked.reshape(probability.shape)] += (1 - exploration) * probability
    return table


def _random_lists(stocked: np.ndarray, n_stocked: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Choose distinct stocked books, uniformly in every slot, shape (n_rows, n_slots)."""
    n_slots = uniforms.shape[1]
    place = (uniforms * (n_stocked[:, None] - np.arange(n_slots))).astype(np.int64)  # among those still free
    for slot in range(1, n_slots):
        taken = np.sort(place[:, :slot], axis=1)
        for t in range(slot):
            place[:, slot] += place[:, slot] >= taken[:, t]
    first = np.argsort(~stocked, axis=1, kind="stable") if len(stocked) else np.empty((0, 1), np.int64)
    return np.take_along_axis(first, place, axis=1) if len(stocked) else place
