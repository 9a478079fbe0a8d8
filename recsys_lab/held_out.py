"""Does a model find what each user's history hides? For logs of ratings, where there is no next click.

`evaluate` asks for one next item after each click. Here a user's known items go in, all at once, and several hidden
ones should come out (`recsys_lab.histories` makes both parts). Known items are no candidates. As there, the whole
catalogue is ranked and nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recsys_lab.histories import user_items
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.progress import bar
from recsys_lab.ranking import Leaders
from recsys_lab.result import Result

CHUNK = 2**20  # scores held at a time: 4 MB of float32, which stay in the processor's cache


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
    users, rows, hidden = _questions(train, test)
    if len(users) == 0:
        raise ValueError("there is nothing to find: no user has both a known item and a hidden one that is new.")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(users)))]).astype(np.int64)
    ranks = np.full(len(hidden), np.inf)
    exposure = np.zeros(train.n_items, np.int64) if lists else None
    with bar(len(users), "evaluate", progress, unit="user") as drawn:
        for first, scores in _scores(model, train, users):
            now = slice(offsets[first], offsets[first + len(scores)])
            known = hidden[now] >= 0
            leaders = Leaders(scores, k)
            ranks[now][known] = leaders.ranks(rows[now][known] - first, hidden[now][known], ties)
            if lists:
                listed = leaders.lists(above=getattr(model, "floor", -np.inf))
                exposure += np.bincount(listed[listed >= 0], minlength=train.n_items)
            drawn.update(len(scores))
    return HeldOut(
        model=repr(model),
        k=k,
        ties=ties,
        users=users,
        ranks=ranks,
        offsets=offsets,
        vocabulary=train.vocabulary,
        exposure=exposure,
    )


def _questions(train: Sessions, test: Sessions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the users who are asked, and each hidden item with the row of its user among them.

    A hidden item counts once, and not at all if it is in the history; unknown ones (-1) stay, as misses.
    """
    known, unknown = user_items(train), test.items < 0
    hidden = user_items(test)
    hidden.data[:] = known.data[:] = 1
    hidden = (hidden - hidden.multiply(known)).tocoo()
    fresh = hidden.data > 0
    owner = np.concatenate([hidden.row[fresh], test.session_of_click[unknown]])
    item = np.concatenate([hidden.col[fresh], test.items[unknown]])
    order = np.argsort(owner, kind="stable")
    order = order[np.diff(known.indptr)[owner[order]] > 0]
    asked = np.bincount(owner[order], minlength=len(test)) > 0
    return np.flatnonzero(asked), (np.cumsum(asked) - 1)[owner[order]], item[order]


def _scores(model, train: Sessions, users: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Scores after the last known item of so many users at a time, those of the history set to -inf."""
    size = max(1, CHUNK // max(1, train.n_items))
    for first in range(0, len(users), size):
        part = train.take(users[first : first + size])
        scores = np.array(model.score(part, part.offsets[1:] - 1))  # a copy: the next lines write
        known = part.items >= 0
        scores[part.session_of_click[known], part.items[known]] = -np.inf
        yield first, scores
