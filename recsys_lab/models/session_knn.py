"""Session neighbours: find past sessions that are like this one, and recommend what was in them.

Three published models are one idea with more and more time in it:

- ``"sknn"`` (Jannach & Ludewig, RecSys 2017): sessions are sets. The similarity of the session A and a past session B
  is the cosine ``|A ∩ B| / sqrt(|A| |B|)``, and an item's score the sum over the neighbours that hold it.
- ``"vsknn"`` (Ludewig & Jannach, UMUAI 2018): what was clicked lately counts more. With p the last position (from 1) of
  an item in A and L the number of clicks, ``sim = Σ weighting(p, L) / |A|`` over the shared items. A neighbour counts
  ``sim · weighting_score(L - p* + 1)`` where p* belongs to the latest shared item, and an item's sum is multiplied by
  ``1 + idf_weighting · idf``.
- ``"stan"`` (Garg et al., SIGIR 2019): three exponential decays. ``sim = Σ w(p) / sqrt(Σ w² |B|)`` with
  ``w(p) = exp((p - L) / lambda_spw)``; times ``exp(-age of B / lambda_snh)``; and each item of B times
  ``exp(-|position - position of the latest shared item in B| / lambda_inh)``.

Only the `sample_size` latest sessions that share an item are looked at, and the `k` most similar of them count; equal
ones by recency. No score is stored: what is learned is the log itself, turned round.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from recsys_lab.interactions import Sessions
from recsys_lab.models.base import Recommender

DAY_NS = 24 * 3600 * 10**9
VARIANTS = ("vsknn", "sknn", "stan")
#: Weight of the click at position p of L, and of a neighbour by the step from the end (1: the last) of what it shares.
WEIGHTINGS: dict[str, Callable[[int, int], float]] = {
    "same": lambda p, length: 1.0,
    "div": lambda p, length: p / length,
    "log": lambda p, length: 1 / math.log10(length - p + 1.7),
    "quadratic": lambda p, length: (p / length) ** 2,
}
SCORE_WEIGHTINGS: dict[str, Callable[[int], float]] = {
    "same": lambda step: 1.0,
    "div": lambda step: 1 / step,
    "log": lambda step: 1 / math.log10(step + 1.7),
    "quadratic": lambda step: 1 / step**2,
}


class SessionKNN(Recommender):
    """Neighbours of the whole session; see the head of this module for the formulae.

    Parameters
    ----------
    variant : {"vsknn", "sknn", "stan"}
    k : int
        Neighbours that count.
    sample_size : int
        Latest sessions among which they are looked for.
    weighting, weighting_score : {"same", "div", "log", "quadratic"}
        Of V-SKNN: how much a click counts by its position, and a neighbour by the latest click that it shares.
    idf_weighting : float
        Of V-SKNN: how much rare items are favoured; 0 turns it off. ``idf = log(sessions / clicks on the item)``.
    lambda_spw, lambda_inh : float
        Of STAN, in clicks: how far back the session, and how far from the shared item the neighbour, still counts.
    lambda_snh : float
        Of STAN, in days: how old a neighbour may be. Without effect in a log that has no times.

    Attributes
    ----------
    items_, positions_ : ndarray of int64, shape (n_pairs,)
        Distinct items of each training session, latest session first, and the last position (from 1) of each.
    offsets_ : ndarray of int64, shape (n_sessions + 1,)
        Where each session's items start. In a log without times, later in the log stands for more recent.
    postings_ : ndarray of int64, shape (n_pairs,)
        The sessions of each item, latest first.
    postings_offsets_ : ndarray of int64, shape (n_items + 1,)
    age_ : ndarray of float64, shape (n_sessions,)
        Days from the end of each session to the end of training. Of STAN's decay by age only differences between
        neighbours matter for the order, so the age at the end of training does as well as the age at the time of the
        question.
    factor_ : ndarray of float64, shape (n_items,)
        What an item's sum is multiplied by.
    """

    floor = 0.0

    def __init__(
        self,
        variant: str = "vsknn",
        k: int = 500,
        sample_size: int = 5000,
        weighting: str = "quadratic",
        weighting_score: str = "div",
        idf_weighting: float = 5.0,
        lambda_spw: float = 1.02,
        lambda_snh: float = 5.0,
        lambda_inh: float = 2.05,
    ):
        self.variant, self.k, self.sample_size = variant, k, sample_size
        self.weighting, self.weighting_score, self.idf_weighting = weighting, weighting_score, idf_weighting
        self.lambda_spw, self.lambda_snh, self.lambda_inh = lambda_spw, lambda_snh, lambda_inh

    def _fit(self, sessions: Sessions, impressions) -> None:
        self._check_parameters()
        ends = sessions.ends if sessions.has_time else np.arange(len(sessions))
        sessions = sessions.take(np.lexsort((np.arange(len(sessions)), ends))[::-1])
        session, position = sessions.session_of_click, sessions.positions
        order = np.lexsort((position, sessions.items, session))
        pair = session[order] * sessions.n_items + sessions.items[order]
        last = order[np.append(pair[1:] != pair[:-1], True)]  # an item's last click in the session
        # int64, because numpy would turn anything else into it at every look-up
        self.items_, self.positions_ = sessions.items[last].astype(np.int64), position[last] + 1
        self.offsets_ = _offsets(session[last], len(sessions))
        by_item = np.argsort(self.items_, kind="stable")
        self.postings_ = session[last][by_item]
        self.postings_offsets_ = _offsets(self.items_, sessions.n_items)
        ages = (sessions.ends.max() - sessions.ends) / DAY_NS if sessions.has_time else np.zeros(len(sessions))
        self.age_ = ages.astype(np.float64)
        idf = np.log(len(sessions) / np.maximum(self.popularity_, 1))
        favoured = self.variant == "vsknn"
        self.factor_ = 1 + self.idf_weighting * np.maximum(idf, 0) * favoured

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(rows), sessions.n_items), np.float32)
        starts = sessions.offsets[sessions.session_of_click[rows]]
        # a number for each training session, made once and cleaned after each row: a row costs what it touches
        notes = np.zeros(len(self.offsets_) - 1)
        for out, start, row in zip(scores, starts, rows, strict=True):
            clicks = sessions.items[start : row + 1].tolist()
            np.multiply(self._sum(*self._neighbours(clicks, notes), clicks), self.factor_, out=out, casting="same_kind")
        return scores

    def _neighbours(self, clicks: list[int], total: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the k most similar sessions, their similarity, and what each counts for the latest shared click."""
        last = _last_positions(clicks)
        weights = [self._weight(position, len(clicks)) for position in last.values()]
        found = []
        for item, weight in zip(last, weights, strict=True):  # the latest click first
            # of one item's sessions, only the latest `sample_size` can be among those of all items
            start, stop = self.postings_offsets_[item], self.postings_offsets_[item + 1]
            having = self.postings_[start : min(stop, start + self.sample_size)]
            so_far = total[having]
            found.append(having[so_far == 0])
            total[having] = so_far + weight
        near = touched = np.concatenate(found)
        counts = np.repeat([self._count(len(clicks) - p + 1) for p in last.values()], [len(f) for f in found])
        if len(near) > self.sample_size:  # a small number is a late session
            recent = np.argpartition(near, self.sample_size)[: self.sample_size]
            near, counts = near[recent], counts[recent]
        # single precision: what is equal but for the last bits of a sum is equal, and recency decides
        similarity = self._similarity(total[near], near, weights).astype(np.float32)
        total[touched] = 0
        if len(near) > self.k:
            keep = _strongest(similarity, near, self.k)
            near, similarity, counts = near[keep], similarity[keep], counts[keep]
        return near, similarity, counts

    def _weight(self, position: int, length: int) -> float:
        """How much an item of the session counts, by its last position."""
        if self.variant == "stan":  # never 0, by which a session that was not seen yet is known
            return max(math.exp((position - length) / self.lambda_spw), 1e-300)
        return 1.0 if self.variant == "sknn" else WEIGHTINGS[self.weighting](position, length)

    def _count(self, step: int) -> float:
        return SCORE_WEIGHTINGS[self.weighting_score](step) if self.variant == "vsknn" else 1.0

    def _similarity(self, total: np.ndarray, near: np.ndarray, weights: list[float]) -> np.ndarray:
        if self.variant == "vsknn":
            return total / len(weights)
        lengths = self.offsets_[near + 1] - self.offsets_[near]
        cosine = total / np.sqrt(sum(w * w for w in weights) * lengths)
        return cosine * np.exp(-self.age_[near] / self.lambda_snh) if self.variant == "stan" else cosine

    def _sum(self, neighbours, similarity, counts, clicks) -> np.ndarray:
        """Add up what the neighbours hold, shape (n_items,)."""
        starts = self.offsets_[neighbours]
        lengths = self.offsets_[neighbours + 1] - starts
        ends = lengths.cumsum()
        pairs = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
        items, weights = self.items_[pairs], np.repeat(similarity * counts, lengths)
        if self.variant == "stan":
            weights = weights * self._near_shared(items, self.positions_[pairs], lengths, clicks)
        return np.bincount(items, weights, len(self.vocabulary_))

    def _near_shared(self, items, positions, lengths, clicks) -> np.ndarray:
        """STAN's last decay: how far each item of a neighbour stands from the latest item that it shares."""
        shared = np.where(np.isin(items, clicks), positions, 0)
        latest = np.maximum.reduceat(shared, np.cumsum(lengths) - lengths)
        return np.exp(-np.abs(positions - np.repeat(latest, lengths)) / self.lambda_inh)

    def _check_parameters(self) -> None:
        for name, given, known in (
            ("variant", self.variant, VARIANTS),
            ("weighting", self.weighting, WEIGHTINGS),
            ("weighting_score", self.weighting_score, SCORE_WEIGHTINGS),
        ):
            if given not in known:
                raise ValueError(f"SessionKNN: {name}={given!r}; choose one of {', '.join(known)}.")
        for name in ("k", "sample_size", "lambda_spw", "lambda_snh", "lambda_inh"):
            if not getattr(self, name) > 0:
                raise ValueError(f"SessionKNN: {name} must be above 0, not {getattr(self, name)}.")


def _last_positions(clicks: list[int]) -> dict[int, int]:
    """Map each distinct item to the position (from 1) of its last click, the latest click first."""
    last: dict[int, int] = {}
    for position in range(len(clicks), 0, -1):
        last.setdefault(clicks[position - 1], position)
    return last


def _offsets(sorted_or_not: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.bincount(sorted_or_not, minlength=n))]).astype(np.int64)


def _strongest(similarity: np.ndarray, sessions: np.ndarray, k: int) -> np.ndarray:
    """Where the k highest similarities are; of equal ones those of the latest sessions (the smallest numbers)."""
    bound = np.partition(similarity, len(similarity) - k)[len(similarity) - k]
    above, equal = np.flatnonzero(similarity > bound), np.flatnonzero(similarity == bound)
    latest = np.argsort(sessions[equal], kind="stable")[: k - len(above)]
    return np.concatenate([above, equal[latest]])
