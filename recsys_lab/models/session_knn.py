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
#: weighting(p, L) is a click's part, which stays, times a part that all clicks share and that grows with the session.
WEIGHTINGS: dict[str, tuple[Callable[[int], float], Callable[[int], float]]] = {
    "same": (lambda p: 1.0, lambda length: 1.0),
    "div": (lambda p: float(p), lambda length: 1 / length),
    "quadratic": (lambda p: float(p * p), lambda length: 1 / length**2),
}
#: Weight of a neighbour by the step from the end of the session (1: the last click) of the latest click it shares.
SCORE_WEIGHTINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "same": lambda step: np.ones(len(step)),
    "div": lambda step: 1 / step,
    "quadratic": lambda step: 1 / step**2,
}
FAR = 300.0  # exp of more than so much is not let near the largest number there is


class SessionKNN(Recommender):
    """Neighbours of the whole session; see the head of this module for the formulae.

    Parameters
    ----------
    variant : {"vsknn", "sknn", "stan"}
    k : int
        Neighbours that count.
    sample_size : int
        Latest sessions among which they are looked for.
    weighting, weighting_score : {"same", "div", "quadratic"}
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
        visit = _Visit(self)
        for out, start, row in zip(scores, starts, rows, strict=True):
            clicks = sessions.items[start : row + 1].tolist()
            neighbours, similarity, counts = visit.neighbours(clicks, goes_on=visit.started == start)
            visit.started = start
            total = self._sum(neighbours, similarity * counts, clicks)
            np.multiply(total, self.factor_, out=out, casting="same_kind")
        return scores

    def _similarity(self, total: np.ndarray, near: np.ndarray, length: int, squares: float, n: int) -> np.ndarray:
        """Similarity of sessions, from the sum of the parts of what they share; `squares` of all parts, `n` of them."""
        if self.variant == "vsknn":
            return total * (WEIGHTINGS[self.weighting][1](length) / n)
        cosine = total / np.sqrt(squares * (self.offsets_[near + 1] - self.offsets_[near]))
        return cosine * np.exp(-self.age_[near] / self.lambda_snh) if self.variant == "stan" else cosine

    def _sum(self, neighbours: np.ndarray, weights: np.ndarray, clicks: list[int]) -> np.ndarray:
        """Add up what the neighbours hold, shape (n_items,)."""
        starts = self.offsets_[neighbours]
        lengths = self.offsets_[neighbours + 1] - starts
        ends = lengths.cumsum()
        pairs = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
        items, weights = self.items_[pairs], np.repeat(weights, lengths)
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


class _Visit:
    """What the past has in common with a session that is read click by click: a click costs what it touches.

    Two numbers are kept for each past session, made once: the sum of the parts of the clicks that it shares, and the
    position of the latest of them. What is not 0 is cleaned when another session begins.
    """

    def __init__(self, model: SessionKNN):
        self.model, n = model, len(model.offsets_) - 1
        self.total, self.latest = np.zeros(n), np.zeros(n, np.int64)
        self.touched: list[np.ndarray] = []
        self.parts: dict[int, float] = {}
        self.read, self.base, self.started = 0, 0, -1

    def neighbours(self, clicks: list[int], goes_on: bool) -> tuple[np.ndarray, ...]:
        """Return the k most similar sessions, their similarity, and what each counts for the latest shared click."""
        model, length = self.model, len(clicks)
        if not goes_on or length < self.read or (length - self.base) / model.lambda_spw > FAR:
            self.clean(base=length)
        for position in range(self.read + 1, length + 1):
            self.add(clicks[position - 1], position)
        near = np.concatenate(self.touched)
        if len(near) > model.sample_size:  # a small number is a late session
            near = np.partition(near, model.sample_size)[: model.sample_size]
        squares = sum(part * part for part in self.parts.values())
        similarity = model._similarity(self.total[near], near, length, squares, len(self.parts))
        # single precision: what is equal but for the last bits of a sum is equal, and recency decides
        similarity = similarity.astype(np.float32)
        if len(near) > model.k:
            keep = _strongest(similarity, near, model.k)
            near, similarity = near[keep], similarity[keep]
        if model.variant != "vsknn":
            return near, similarity, np.ones(len(near))
        return near, similarity, SCORE_WEIGHTINGS[model.weighting_score](length - self.latest[near] + 1)

    def add(self, item: int, position: int) -> None:
        """Read one click: its item's part takes the place of that of an earlier click on it."""
        model, part = self.model, self.part(position)
        # of one item's sessions, only the latest `sample_size` can be among those of all items
        start, stop = model.postings_offsets_[item], model.postings_offsets_[item + 1]
        having = model.postings_[start : min(stop, start + model.sample_size)]
        so_far = self.total[having]
        self.touched.append(having[so_far == 0])
        self.total[having] = so_far + (part - self.parts.get(item, 0.0))
        self.latest[having] = position
        self.parts[item], self.read = part, position

    def part(self, position: int) -> float:
        """How much a click counts, but for what all clicks of the session share."""
        if self.model.variant == "stan":  # never 0, by which a session that was not touched yet is known
            return max(math.exp((position - self.base) / self.model.lambda_spw), 1e-300)
        return 1.0 if self.model.variant == "sknn" else WEIGHTINGS[self.model.weighting][0](position)

    def clean(self, base: int) -> None:
        """Forget the session; positions count from `base` in STAN's exponent, so that no number grows too large."""
        for sessions in self.touched:
            self.total[sessions] = 0
        self.touched, self.parts, self.read, self.base = [], {}, 0, base


def _offsets(sorted_or_not: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.bincount(sorted_or_not, minlength=n))]).astype(np.int64)


def _strongest(similarity: np.ndarray, sessions: np.ndarray, k: int) -> np.ndarray:
    """Where the k highest similarities are; of equal ones those of the latest sessions (the smallest numbers)."""
    bound = np.partition(similarity, len(similarity) - k)[len(similarity) - k]
    above, equal = np.flatnonzero(similarity > bound), np.flatnonzero(similarity == bound)
    latest = np.argsort(sessions[equal], kind="stable")[: k - len(above)]
    return np.concatenate([above, equal[latest]])
