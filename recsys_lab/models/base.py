"""The contract that every recommender of this course keeps: f(user, context) ≈ item.

A model learns from sessions (`fit`), gives every item of the catalogue a score after each click (`score`) and turns
scores into a list (`recommend`). The base class does what is the same for all of them: it translates ids, leaves out
items the model has never seen, answers an empty session with what is popular, saves and loads. A model writes two
functions: `_fit` and `_score`.
"""

from __future__ import annotations

import inspect
import json
import os
import tempfile
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import sparse

from recsys_lab.interactions import UNKNOWN, Sessions, Vocabulary
from recsys_lab.ranking import top_k


class NotFittedError(ValueError):
    """The model was asked before it learned."""


class Recommender:
    """Base of all models; see the head of this module.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        Items of the training sessions.
    user_vocabulary_ : Vocabulary or None
    popularity_ : ndarray of int64, shape (n_items,)
        Training clicks of each item.
    floor : float
        Items scored at or below it are never listed: a model that counts knows nothing of an item it scores 0.
    """

    floor = -np.inf

    def fit(self, sessions: Sessions, impressions=None):
        """Learn from sessions.

        Parameters
        ----------
        sessions : Sessions
            At least one click. Clicks on items outside the vocabulary are left out.
        impressions : DataFrame, optional
            What was shown; for models that learn from it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no click to learn from.
        """
        known = sessions.items >= 0
        if not known.any():
            raise ValueError(f"{type(self).__name__}.fit: the sessions hold no click on a known item.")
        sessions = sessions if known.all() else sessions.where(known)
        self.vocabulary_, self.user_vocabulary_ = sessions.vocabulary, sessions.user_vocabulary
        self.popularity_ = np.bincount(sessions.items, minlength=sessions.n_items)
        self._fit(sessions, impressions)
        return self

    def score(self, sessions: Sessions, rows=None) -> np.ndarray:
        """Score all items after each click, having seen the session up to and including it.

        Parameters
        ----------
        sessions : Sessions
            With any vocabulary. Items that the model never saw are left out, as if they had not been clicked.
        rows : array-like of int, shape (n_rows,), optional
            For which clicks (indices into ``sessions.items``); by default for all.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_items)
            A higher score means more likely next; ``-inf`` means never.

        Raises
        ------
        NotFittedError
        """
        self._check_fitted()
        sessions = sessions.recode(self.vocabulary_)
        rows = np.arange(sessions.n_clicks) if rows is None else np.asarray(rows, dtype=np.int64)
        if (sessions.items >= 0).all():
            return self._score(sessions, rows)
        return self._score_known(sessions, rows)

    def recommend(self, session: Sequence, k: int = 20, user_id=None, exclude: Collection = ()) -> np.ndarray:
        """Recommend items to somebody who has just clicked through a session.

        Parameters
        ----------
        session : sequence of item ids
            In the order of the clicks; may be empty, which gives the most popular items.
        k : int
        user_id : optional
            Who it is, for models that know users. An unknown one is nobody in particular.
        exclude : collection of item ids
            Never listed, such as what is out of stock or in the basket.

        Returns
        -------
        ndarray of item ids, shape (<= k,)
            Best first, ties by item index; fewer than k where the model has nothing more to say.
        """
        self._check_fitted()
        if isinstance(session, (str, bytes)) or not np.iterable(session):
            raise TypeError(f"recommend: session is a sequence of item ids, not {session!r}. Fix: [{session!r}]")
        clicks = replace(Sessions.from_lists([list(session)], self.vocabulary_), users=self._user(user_id))
        known = np.flatnonzero(clicks.items >= 0)
        scores = self._popular() if len(known) == 0 else self.score(clicks, known[-1:])[0]
        scores = scores.copy()
        excluded = self.vocabulary_.encode(list(exclude)) if len(exclude) else np.empty(0, np.int32)
        scores[excluded[excluded >= 0]] = -np.inf
        listed = top_k(scores, k, above=self.floor)
        return self.vocabulary_.decode(listed[listed >= 0])

    def save(self, path: str | Path) -> None:
        """Write the model to one file (numpy's npz, no pickle); an existing file is replaced in one step."""
        self._check_fitted()
        arrays: dict[str, np.ndarray] = {}
        for name, value in vars(self).items():
            if name.endswith("_"):
                arrays |= _pack(name, value)
        arrays["__model__"] = np.array(json.dumps({"class": type(self).__name__, "params": self.get_params()}))
        path = Path(path)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | Path):
        """Read a model that `save` wrote.

        Raises
        ------
        FileNotFoundError
        ValueError
            If the file is damaged or holds another kind of model.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            head = json.loads(str(arrays.pop("__model__")))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is damaged or is no saved model ({error}). Save it again.") from error
        if head["class"] != cls.__name__:
            raise ValueError(f"{path} holds a {head['class']}. Fix: {head['class']}.load(...)")
        model = cls(**head["params"])
        vars(model).update(_unpack(arrays))
        return model

    def get_params(self) -> dict:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        params = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({params})"

    def _fit(self, sessions: Sessions, impressions) -> None:
        raise NotImplementedError

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        """Scores for clicks of sessions in which every item is known, shape (n_rows, n_items)."""
        raise NotImplementedError

    def _popular(self) -> np.ndarray:
        return self.popularity_.astype(np.float32)

    def _score_known(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        """Score rows of sessions with unknown items: each row by its session's known clicks so far."""
        known = sessions.items >= 0
        first = np.cumsum(known)[sessions.offsets[:-1] - 1] * (sessions.offsets[:-1] > 0)
        last_known = np.cumsum(known)[rows] - 1
        has_known = last_known >= first[sessions.session_of_click[rows]]
        scores = np.empty((len(rows), sessions.n_items), np.float32)
        scores[~has_known] = self._popular()
        if has_known.any():
            scores[has_known] = self._score(sessions.where(known), last_known[has_known])
        return scores

    def _user(self, user_id) -> np.ndarray | None:
        if self.user_vocabulary_ is None:
            return None
        return np.array([UNKNOWN]) if user_id is None else self.user_vocabulary_.encode([user_id])

    def _check_fitted(self) -> None:
        if not hasattr(self, "vocabulary_"):
            raise NotFittedError(f"this {type(self).__name__} has not learned yet. Fix: model.fit(sessions)")


def _pack(name: str, value) -> dict[str, np.ndarray]:
    if isinstance(value, Vocabulary):
        ids = value.ids if value.ids.dtype != object else value.ids.astype(str)
        return {f"{name}:vocabulary": ids}
    if sparse.issparse(value):
        value = value.tocsr()
        parts = {"data": value.data, "indices": value.indices, "indptr": value.indptr, "shape": value.shape}
        return {f"{name}:csr.{key}": np.asarray(part) for key, part in parts.items()}
    return {} if value is None else {f"{name}:array": np.asarray(value)}


def _unpack(arrays: dict[str, np.ndarray]) -> dict:
    state: dict = {"user_vocabulary_": None}
    matrices: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        name, kind = key.split(":")
        if kind == "vocabulary":
            state[name] = Vocabulary(array)
        elif kind.startswith("csr."):
            matrices.setdefault(name, {})[kind[4:]] = array
        else:
            state[name] = array
    for name, m in matrices.items():
        state[name] = sparse.csr_matrix((m["data"], m["indices"], m["indptr"]), shape=tuple(m["shape"]))
    return state
