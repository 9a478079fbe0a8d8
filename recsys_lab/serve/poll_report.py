"""What a room reads, and whether its answers can tell which model is better.

Each person's last pick is hidden; each model sees the picks before it and ranks the rest of the whole catalogue. Models
that learn from the room learn from everybody else (leave one out), never from the person who is asked. A hit is a last
pick among the first k (intervals and what they allow to say: `poll_verdict`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import ItemKNN, Popularity
from recsys_lab.ranking import target_ranks
from recsys_lab.serve.poll_verdict import verdict, wilson

K = 20


@dataclass(frozen=True)
class Together:
    """Of `of` people who picked `item_id`, `both` also picked `with_item_id`."""

    item_id: int
    with_item_id: int
    both: int
    of: int


@dataclass(frozen=True)
class Hits:
    """How often one model had the hidden pick among its first k.

    Attributes
    ----------
    name : str
    knows : str
        What it learned from.
    hits : ndarray of bool, shape (n_asked,)
    low, high : float
        Wilson's interval of the hit rate.
    """

    name: str
    knows: str
    hits: np.ndarray
    low: float
    high: float

    @property
    def n(self) -> int:
        """Number of people who were asked."""
        return len(self.hits)

    @property
    def rate(self) -> float:
        """Share of hits."""
        return float(self.hits.mean())


@dataclass(frozen=True)
class RoomReport:
    """What a room reads.

    Attributes
    ----------
    n_people, n_picks, n_books : int
    n_asked : int
        People with at least two picks, whose last one can be hidden.
    top : tuple of (item_id, count)
        Most picked first; ties by item id.
    together : tuple of Together
        Pairs that at least two people picked.
    models : tuple of Hits
        Best first; empty where nobody can be asked.
    chance : float
        Hit rate of a list drawn at random.
    k : int
    simulated : bool
    """

    n_people: int
    n_picks: int
    n_books: int
    n_asked: int
    top: tuple[tuple[int, int], ...]
    together: tuple[Together, ...]
    models: tuple[Hits, ...]
    chance: float
    k: int
    simulated: bool

    @property
    def caution(self) -> str:
        """What else to bear in mind, or ""."""
        if not self.simulated:
            return ""
        same = "This class is simulated, from the same tastes as the shop's log:"
        return f"{same} that the shop's model does well is built in."

    @property
    def verdict(self) -> str:
        """One or two sentences on whether this room can rank the models."""
        return verdict(self.models)


def room_report(events: pd.DataFrame, item_ids: Sequence, gru=None, k: int = K, n_top: int = 10) -> RoomReport:
    """Look at the answers of a room.

    Parameters
    ----------
    events : DataFrame
        As `poll_answers.read_poll` gives them.
    item_ids : sequence
        The whole catalogue: what is ranked.
    gru : Recommender, optional
        A fitted session model that never saw the room, such as the shop's.
    k : int
        Length of the lists.
    n_top : int
        How many books, and how many pairs, are listed.

    Returns
    -------
    RoomReport

    Raises
    ------
    ValueError
        If nobody has answered.
    """
    if len(events) == 0:
        raise ValueError("nobody has answered yet, so there is nothing to report.")
    rooms = Sessions.from_frame(events, Vocabulary(np.sort(np.asarray(item_ids))))
    rooms = rooms.where(rooms.items >= 0)
    counts = np.bincount(rooms.items, minlength=rooms.n_items)
    asked = rooms.longer_than(1)
    models = tuple(sorted(_models(rooms, asked, gru, k), key=lambda m: -m.rate)) if len(asked) else ()
    first = np.lexsort((np.arange(len(counts)), -counts))[: min(n_top, (counts > 0).sum())]
    return RoomReport(
        n_people=len(rooms),
        n_picks=rooms.n_clicks,
        n_books=int((counts > 0).sum()),
        n_asked=len(asked),
        top=tuple((_plain(rooms.vocabulary.ids[i]), int(counts[i])) for i in first),
        together=_together(rooms, counts, n_top),
        models=models,
        chance=float(np.mean(k / (rooms.n_items - asked.lengths + 1))) if len(asked) else 0.0,
        k=k,
        simulated=bool(events.attrs.get("simulated", False)),
    )


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _together(rooms: Sessions, counts: np.ndarray, n_top: int) -> tuple[Together, ...]:
    """Pairs with at least two people, by how many, then by cosine."""
    pairs: dict[tuple[int, int], int] = {}
    for picks in rooms:
        for i in picks:
            for j in picks:
                if i != j:
                    pairs[int(i), int(j)] = pairs.get((int(i), int(j)), 0) + 1
    # each pair once, told from the side of the book that fewer picked: there it says most
    kept = [(i, j, n) for (i, j), n in pairs.items() if n > 1 and (counts[i], i) < (counts[j], j)]
    kept.sort(key=lambda pair: (-pair[2], int(counts[pair[0]] * counts[pair[1]]), pair[:2]))
    ids = rooms.vocabulary.ids
    return tuple(Together(_plain(ids[i]), _plain(ids[j]), n, int(counts[i])) for i, j, n in kept[:n_top])


def _models(rooms: Sessions, asked: Sessions, gru, k: int) -> list[Hits]:
    """Ask every model for the last pick of everybody who has two."""
    prefixes = asked.where(asked.positions < (asked.lengths - 1)[asked.session_of_click])
    targets = asked.items[asked.offsets[1:] - 1]
    # a neighbour's support is small in a room: no shrinkage, but all picks of a person count
    makers = {"popularity": Popularity, "item neighbours": lambda: ItemKNN(shrinkage=1.0, n_last=None)}
    person = {session: number for number, session in enumerate(rooms.session_ids.tolist())}
    found = []
    for name, make in makers.items():
        scores = np.zeros((len(asked), rooms.n_items), np.float32)
        for row, session in enumerate(asked.session_ids.tolist()):
            others = np.arange(len(rooms)) != person[session]
            if others.any():
                scores[row] = _last_scores(make().fit(rooms.take(others)), prefixes.part(row, row + 1))[0]
        found.append(_hits(name, "the rest of the room", scores, prefixes, targets, k))
    if gru is not None:
        known = gru.vocabulary_.encode(rooms.vocabulary.ids)
        scores = np.full((len(asked), rooms.n_items), -np.inf, np.float32)
        scores[:, known >= 0] = _last_scores(gru, prefixes)[:, known[known >= 0]]
        found.append(_hits("GRU", "the shop", scores, prefixes, targets, k))
    return found


def _last_scores(model, prefixes: Sessions) -> np.ndarray:
    """Scores after each session's last click, shape (n_sessions, n_items of the model)."""
    return model.score(prefixes, prefixes.offsets[1:] - 1)


def _hits(name: str, knows: str, scores: np.ndarray, prefixes: Sessions, targets: np.ndarray, k: int) -> Hits:
    scores = scores.copy()
    scores[prefixes.session_of_click, prefixes.items] = -np.inf  # nobody picks a book twice
    hits = target_ranks(scores, targets, "middle") <= k
    return Hits(name, knows, hits, *wilson(int(hits.sum()), len(hits)))
