"""Readers in groups: k-means on the user factors of ALS, never the simulator's truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_lab.serve.catalogue import Catalogue
from recsys_lab.serve.index import kmeans

N_SEGMENTS = 8
N_GENRES = 3


class Segments:
    """Which segment each known reader belongs to.

    Parameters
    ----------
    table : DataFrame
        `user_id, segment` (from 1) and `genres`: what the segment reads more of than others, most distinctive first,
        joined by ``"; "``.
    """

    def __init__(self, table: pd.DataFrame):
        self.table = table
        genres = table["genres"].str.split("; ")
        self._of = dict(
            zip(table["user_id"].tolist(), zip(table["segment"].tolist(), genres, strict=True), strict=True)
        )

    @classmethod
    def fit(cls, model, catalogue: Catalogue, n_segments: int = N_SEGMENTS, seed: int = 0) -> Segments:
        """Group the users of a fitted ``ALS(by="user")`` by the direction of their factors."""
        factors = np.asarray(model.user_factors_, np.float32)
        lengths = np.linalg.norm(factors, axis=1, keepdims=True)
        known = np.flatnonzero(lengths[:, 0] > 0)
        _, cell = kmeans(factors[known] / lengths[known], min(n_segments, len(known)), seed)
        by_size = np.argsort(-np.bincount(cell), kind="stable")
        number = np.empty(len(by_size), np.int64)
        number[by_size] = np.arange(1, len(by_size) + 1)  # the largest segment is number 1
        genre = pd.Series([catalogue.get(i).genre if i in catalogue else "" for i in model.vocabulary_.ids.tolist()])
        read = (pd.get_dummies(genre).to_numpy(np.float64).T @ model.history_.T).T  # (n_users, n_genres)
        share = read.sum(axis=0) / read.sum()
        names, genres = sorted(genre.unique()), {}
        for s in range(len(by_size)):
            own = read[known[cell == s]].sum(axis=0)
            lift = np.divide(own / own.sum(), share, out=np.zeros_like(own), where=own > 0)
            best = np.argsort(-lift, kind="stable")[:N_GENRES]
            genres[s] = "; ".join(names[g] for g in best if lift[g] > 0 and names[g])
        table = {
            "user_id": model.user_vocabulary_.decode(known),
            "segment": number[cell],
            "genres": [genres[c] for c in cell],
        }
        return cls(pd.DataFrame(table))

    def of(self, user_id) -> tuple[int, list[str]] | None:
        """Segment number and its genres, None for a reader without one."""
        return self._of.get(user_id)
