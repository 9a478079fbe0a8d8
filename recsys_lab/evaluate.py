"""Reveal a session click by click, ask the model, rank the next item among the whole catalogue.

For a session A B C D the model sees A and is asked for B, sees A B and is asked for C, sees A B C and is asked for D.
No negatives are sampled: metrics over a sample of the catalogue can put the wrong model first (Krichene & Rendle, KDD
2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys_lab import metrics
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.progress import bar
from recsys_lab.ranking import target_ranks, top_k
from recsys_lab.result import Result

CHUNK = 2**22  # scores held at a time: 16 MB of float32


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Result):
    """Ranks of all targets, and every metric that follows from them.

    Attributes
    ----------
    model, k, ties, exposure
        See `recsys_lab.result.Result`.
    ranks : ndarray of float64, shape (n_predictions,)
        Rank of each next item in the whole catalogue; infinity where the model cannot name it.
    targets : ndarray of int32, shape (n_predictions,)
        Item index; -1 for an item the model has never seen.
    sessions, positions : ndarray of int64, shape (n_predictions,)
        Number of the session, and how many of its clicks were revealed.
    vocabulary : Vocabulary
        Item ids of the indices.
    """

    model: str
    k: int
    ties: str
    ranks: np.ndarray
    targets: np.ndarray
    sessions: np.ndarray
    positions: np.ndarray
    vocabulary: Vocabulary
    exposure: np.ndarray | None = None

    @property
    def n_unknown(self) -> int:
        """Number of targets that the model has never seen; each counts as a miss."""
        return int((self.targets < 0).sum())

    def values(self, metric: str) -> np.ndarray:
        """Value of one metric for every prediction, shape (n_predictions,)."""
        return metrics.of_ranks(self.ranks, metric, self.k)

    def by_position(self, metric: str = "recall", last: int = 10) -> pd.DataFrame:
        """Return a metric by the number of clicks revealed; `last` gathers the longer prefixes."""
        return self._by(np.minimum(self.positions, last), "revealed", metric)

    def by_popularity(self, popularity, metric: str = "recall", n_bins: int = 5) -> pd.DataFrame:
        """Return a metric by popularity of the target: bins that hold equal shares of the training clicks.

        Parameters
        ----------
        popularity : array-like of int, shape (n_items,)
            Training clicks of each item, by item index.
        metric : str
        n_bins : int
            Bin 1 holds the few most popular items, bin n_bins the long tail; 0 holds targets never seen.
        """
        popularity = np.asarray(popularity, dtype=np.float64)
        order = np.argsort(-popularity, kind="stable")
        before = np.cumsum(popularity[order]) - popularity[order]
        bins = np.empty(len(popularity), np.int64)
        bins[order] = 1 + np.minimum(before * n_bins // popularity.sum(), n_bins - 1)
        return self._by(np.where(self.targets >= 0, bins[self.targets], 0), "popularity_bin", metric)

    def _questions(self) -> tuple[np.ndarray, ...]:
        return self.sessions, self.positions

    def _counts(self) -> dict[str, int]:
        return {"n": len(self.ranks), "n_unknown": self.n_unknown}

    def _size(self) -> str:
        return f"{len(self.ranks)} predictions"

    def _by(self, groups: np.ndarray, name: str, metric: str) -> pd.DataFrame:
        table = pd.DataFrame({name: groups, metric: self.values(metric)})
        return (
            table.groupby(name)[metric]
            .agg(["mean", "size"])
            .rename(columns={"mean": metric, "size": "n"})
            .reset_index()
        )


def evaluate(
    model,
    sessions: Sessions,
    k: int = 20,
    ties: str = "middle",
    *,
    unknown: str = "miss",
    lists: bool = True,
    progress: bool = False,
) -> Evaluation:
    """Evaluate next-item prediction with revealed sessions.

    Parameters
    ----------
    model : Recommender
        Fitted; has `score(sessions, rows)` and `vocabulary_`.
    sessions : Sessions
        Test sessions; those with fewer than two clicks ask for nothing.
    k : int
        Length of the lists.
    ties : {"middle", "optimistic", "pessimistic"}
        Where the target stands among items with the same score; see `recsys_lab.ranking` for why it matters.
    unknown : {"miss", "skip"}
        A target that the model never saw in training counts as a miss, which is what the visitor would say, or is
        left out, which is what most papers do.
    lists : bool
        Also make the top-k lists, for coverage, Gini and novelty. Without them evaluation is faster.
    progress : bool
        Draw a progress bar.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If no session has two clicks, or an option is unknown.

    Notes
    -----
    Scores are asked for in chunks of at most `CHUNK` numbers (at least one row), so memory does not grow with the log.
    """
    if unknown not in ("miss", "skip"):
        raise ValueError(f"unknown={unknown!r}: choose 'miss' or 'skip'.")
    sessions = sessions.recode(model.vocabulary_)
    rows = _rows_with_a_next(sessions)
    if unknown == "skip":
        rows = rows[sessions.items[rows + 1] >= 0]
    if len(rows) == 0:
        raise ValueError("there is nothing to predict: no session has a second click (on an item the model knows).")
    targets = sessions.items[rows + 1]
    ranks = np.empty(len(rows))
    exposure = np.zeros(sessions.n_items, np.int64) if lists else None
    with bar(len(rows), "evaluate", progress, unit="click") as drawn:
        for done, part, part_rows in _chunks(sessions, rows):
            scores = model.score(part, part_rows)
            now = slice(done, done + len(part_rows))
            ranks[now] = target_ranks(scores, targets[now], ties)
            if lists:
                listed = top_k(scores, k, above=getattr(model, "floor", -np.inf))
                exposure += np.bincount(listed[listed >= 0], minlength=sessions.n_items)
            drawn.update(len(part_rows))
    return Evaluation(
        model=repr(model),
        k=k,
        ties=ties,
        ranks=ranks,
        targets=targets,
        sessions=sessions.session_of_click[rows],
        positions=sessions.positions[rows] + 1,
        vocabulary=sessions.vocabulary,
        exposure=exposure,
    )


def _rows_with_a_next(sessions: Sessions) -> np.ndarray:
    has_next = np.ones(sessions.n_clicks, bool)
    ends = sessions.offsets[1:][sessions.lengths > 0] - 1
    has_next[ends] = False
    return np.flatnonzero(has_next)


def _chunks(sessions: Sessions, rows: np.ndarray) -> Iterator[tuple[int, Sessions, np.ndarray]]:
    """Cut the rows into runs of bounded size, each with just the sessions that it lies in."""
    size = max(1, CHUNK // max(1, sessions.n_items))
    session = sessions.session_of_click[rows]
    for done in range(0, len(rows), size):
        now = slice(done, done + size)
        first, last = session[now][0], session[now][-1]
        yield done, sessions.part(first, last + 1), rows[now] - sessions.offsets[first]
