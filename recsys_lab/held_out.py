"""Does a model find what each user's history hides? For logs of ratings, where there is no next click.

`evaluate` asks for one next item after each click. Here a user's known items go in, all at once, and several hidden
ones should come out (`recsys_lab.histories` makes both parts). Known items are no candidates. As there, the whole
catalogue is ranked and nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recsys_lab.evaluate import CHUNK
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.progress import bar
from recsys_lab.ranking import set_ranks, top_k
from recsys_lab.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class HeldOut(Result):
    """Ranks of all hidden items, and every metric that follows from them, user by user.

    Attributes
    ----------
    model, k, ties, exposure
        See `recsys_lab.result.Result`.
    users : ndarray of int64, shape (n_users,)
        Position in the test part of each user who has a history and a hidden item.
    ranks : ndarray of float64, shape (n_hidden,)
        Rank of each hidden item among what is not in the history; infinity beyond k. User after user.
    offsets : ndarray of int64, shape (n_users + 1,)
        Where each user's ranks start.
    vocabulary : Vocabulary
        Item ids of the indices.
    """

    model: str
    k: int
    ties: str
    users: np.ndarray
    ranks: np.ndarray
    offsets: np.ndarray
    vocabulary: Vocabulary
    exposure: np.ndarray | None = None

    def values(self, metric: str) -> np.ndarray:
        """Value of one metric for every user, shape (n_users,).

        With ranks ``r_1 < r_2 < ...`` of the hidden items found among the first k, of n hidden: recall = found / n,
        precision = found / k, MRR = 1 / r_1, MAP = sum(j / r_j) / n, and NDCG = sum(1 / log2(r_j + 1)) over the same
        sum for ranks 1 to min(k, n).
        """
        n_hidden = np.diff(self.offsets)
        owner = np.repeat(np.arange(len(n_hidden)), n_hidden)
        order = np.lexsort((self.ranks, owner))
        ranks, place = self.ranks[order], np.arange(1, len(owner) + 1) - self.offsets[owner]  # place: j
        found = ranks <= self.k

        def total(value: np.ndarray) -> np.ndarray:
            return np.bincount(owner[found], value[found], len(n_hidden))

        if metric == "recall":
            return total(np.ones(len(ranks))) / n_hidden
        if metric == "precision":
            return total(np.ones(len(ranks))) / self.k
        if metric == "mrr":
            return total((place == 1) / ranks)
        if metric == "map":
            return total(place / ranks) / n_hidden
        if metric == "ndcg":
            ideal = np.cumsum(1 / np.log2(np.arange(2, self.k + 2)))
            return total(1 / np.log2(ranks + 1)) / ideal[np.minimum(n_hidden, self.k) - 1]
        raise ValueError(f"metric {metric!r}: choose one of recall, precision, mrr, map, ndcg.")

    def _questions(self) -> tuple[np.ndarray, ...]:
        return self.users, self.offsets

    def _counts(self) -> dict[str, int]:
        return {"n": len(self.ranks), "n_users": len(self.users)}

    def _size(self) -> str:
        return f"{len(self.users)} users"


def evaluate_held_out(
    model,
    train: Sessions,
    test: Sessions,
    k: int = 20,
    ties: str = "middle",
    *,
    lists: bool = True,
    progress: bool = False,
) -> HeldOut:
    """Rank everything a user does not have yet, and look where the hidden items stand.

    Parameters
    ----------
    model : Recommender
        Fitted. It is given each user's whole history as one session (and who the user is), and asked once.
    train, test : Sessions
        The histories and what was hidden of them: the same users in the same order, as `histories.hold_out` returns.
    k, ties, lists, progress
        See `recsys_lab.evaluate.evaluate`.

    Returns
    -------
    HeldOut
        Of users with at least one known item and one hidden one. A hidden item that the model has never seen is a
        miss. A hidden item that the user has in the history as well is left out.

    Raises
    ------
    ValueError
        If the parts do not belong together, or nobody has anything hidden.
    """
    if not np.array_equal(train.session_ids, test.session_ids):
        raise ValueError("train and test must have the same users in the same order, as histories.hold_out gives them.")
    train, test = train.recode(model.vocabulary_), test.recode(model.vocabulary_)
    users = np.flatnonzero((np.bincount(train.session_of_click, train.items >= 0, len(train)) > 0) & (test.lengths > 0))
    ranks: list[np.ndarray] = []
    exposure = np.zeros(train.n_items, np.int64) if lists else None
    with bar(len(users), "evaluate", progress, unit="user") as drawn:
        for user, scores in _scores(model, train, users):
            ranks.append(_ranks(scores, train[user], test[user], k, ties))
            if lists:
                listed = top_k(scores, k, above=getattr(model, "floor", -np.inf))
                exposure += np.bincount(listed[listed >= 0], minlength=train.n_items)
            drawn.update()
    some = np.array([len(r) > 0 for r in ranks], dtype=bool)
    if not some.any():
        raise ValueError("there is nothing to find: no user has both a known item and a hidden one that is new.")
    lengths = np.array([len(r) for r in ranks])[some]
    return HeldOut(
        model=repr(model),
        k=k,
        ties=ties,
        users=users[some],
        ranks=np.concatenate(ranks),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        vocabulary=train.vocabulary,
        exposure=exposure,
    )


def _scores(model, train: Sessions, users: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each user's scores after the last known item, those of the history set to -inf; memory is bounded."""
    size = max(1, CHUNK // max(1, train.n_items))
    for start in range(0, len(users), size):
        now = users[start : start + size]
        part = train.take(now)
        scores = np.array(model.score(part, part.offsets[1:] - 1))  # a copy: the next line writes
        known = part.items >= 0
        scores[part.session_of_click[known], part.items[known]] = -np.inf
        yield from zip(now, scores, strict=True)


def _ranks(scores: np.ndarray, history: np.ndarray, hidden: np.ndarray, k: int, ties: str) -> np.ndarray:
    """Ranks of the hidden items that are not in the history, infinity for unknown ones."""
    hidden = np.concatenate([np.unique(hidden[hidden >= 0]), hidden[hidden < 0]])
    hidden = hidden[~np.isin(hidden, history) | (hidden < 0)]
    ranks = np.full(len(hidden), np.inf)
    ranks[hidden >= 0] = set_ranks(scores, hidden[hidden >= 0], k, ties)
    return ranks
