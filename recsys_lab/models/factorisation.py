"""Matrix factorisation with `implicit`: users and items as points whose inner product says who will like what.

Both models read the user-item matrix (rows: sessions or users, columns: items) and learn a vector x_u for each row
and y_i for each item; the score is x_u · y_i.

`ALS` (Hu, Koren & Volinsky, ICDM 2008) makes this small, over *all* cells of the matrix, the empty ones included::

    Σ_ui c_ui (p_ui - x_u · y_i)² + regularization (Σ_u |x_u|² + Σ_i |y_i|²)

where p_ui is 1 for what was clicked and 0 for the rest, and the confidence c_ui is `alpha` times the matrix, and 1 in
its empty cells. With the items held still, the best x_u solves a small linear system, so a session that came after the
training gets its vector in one step; `fold_in` does that for many sessions at once.

`BPR` (Rendle et al., UAI 2009) wants what was clicked (i) above what was not (j), and climbs Σ ln σ(x_u · (y_i - y_j)).

Learning is left to `implicit`. What is added here is the contract of this course: sessions in, scores after each click.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys_lab.histories import user_items
from recsys_lab.interactions import Sessions
from recsys_lab.models.base import Recommender
from recsys_lab.ranking import top_k

BATCH = 2**21  # numbers that `fold_in` gathers at a time: 16 MB


class Factorisation(Recommender):
    """Base of the models in this module.

    Attributes
    ----------
    item_factors_ : ndarray of float32, shape (n_items, factors)
    user_factors_ : ndarray of float32, shape (n_rows, factors)
        Of the rows of the matrix: sessions or users, by `by`.
    learned_ : ndarray of bool, shape (n_items,)
        Items with a click in the matrix. The others have no vector, so they are scored ``-inf``.
    history_ : csr_matrix of float32, shape (n_users, n_items)
        The matrix itself, kept where its rows are users.
    """

    def similar_items(self, item, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Return the items whose vectors point most nearly the same way.

        Parameters
        ----------
        item : item id
        k : int

        Returns
        -------
        ids : ndarray of item ids, shape (<= k,)
            Best first, without the item itself.
        similarities : ndarray of float32, shape (<= k,)
            Cosines.

        Raises
        ------
        ValueError
            If the model has no vector for the item.
        """
        self._check_fitted()
        index = self.vocabulary_.encode([item])[0]
        if index < 0 or not self.learned_[index]:
            raise ValueError(f"similar_items: {item!r} was not clicked in training, so it has no vector.")
        vectors = self._items64  # (n_items, factors)
        lengths = np.linalg.norm(vectors, axis=1)
        cosines = (vectors @ vectors[index] / np.where(lengths > 0, lengths * lengths[index], 1)).astype(np.float32)
        candidates = np.where(self.learned_, cosines, -np.inf)
        candidates[index] = -np.inf
        found = top_k(candidates, k)
        found = found[found >= 0]
        return self.vocabulary_.decode(found), cosines[found]

    def _library(self):
        """The model of `implicit` that learns."""
        raise NotImplementedError

    def _vectors(self, matrix: sparse.csr_matrix) -> np.ndarray:
        """Vectors for rows of a user-item matrix, float64, shape (n_rows, factors)."""
        raise NotImplementedError

    def _click_weights(self, sessions: Sessions) -> np.ndarray | None:
        return None

    def _matrix(self, sessions: Sessions) -> sparse.csr_matrix:
        matrix = user_items(sessions, self.by, self._click_weights(sessions))
        matrix.eliminate_zeros()  # implicit takes a stored 0 for a dislike
        if matrix.nnz == 0:
            raise ValueError(f"{self!r} has nothing to learn from: every cell of its matrix is 0.")
        return matrix

    def _fit(self, sessions: Sessions, impressions) -> None:
        matrix = self._matrix(sessions)
        with threadpool_limits(1, "blas"):  # many small products: threads of BLAS would only be in each other's way
            library = self._library()
            library.fit(matrix, show_progress=False)
        self.user_factors_, self.item_factors_ = library.user_factors, library.item_factors
        self.learned_ = np.bincount(matrix.indices, minlength=sessions.n_items) > 0
        vars(self).pop("history_", None)
        if self.by == "user":
            self.history_ = matrix

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        # float64, so that a row is the same to the last bit of float32 whatever else is in the batch
        scores = (self._vectors(self._seen(sessions, rows)) @ self._items64.T).astype(np.float32)
        scores[:, ~self.learned_] = -np.inf
        return scores

    def item_vectors(self) -> np.ndarray:
        """Vectors of the items, float32, shape (n_items, width); those never clicked in training are NaN."""
        self._check_fitted()
        return np.where(self.learned_[:, None], self.item_factors_, np.float32(np.nan))

    def queries(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        """Vectors of sessions (and users) after each asked click; their product with `item_vectors` is `score`.

        Parameters
        ----------
        sessions : Sessions
            In the model's vocabulary, every item known.
        rows : ndarray of int64, shape (n_rows,)

        Returns
        -------
        ndarray of float64, shape (n_rows, width)
        """
        return self._vectors(self._seen(sessions, rows))

    def reader_queries(self, rows) -> np.ndarray:
        """Learned vectors of users (or sessions) by index, for `item_vectors`: float32, shape (n_rows, width)."""
        self._check_fitted()
        return self.user_factors_[rows]

    @property
    def _items64(self) -> np.ndarray:
        """The item factors in double precision, made once: for one row at a time that would be most of the work."""
        made_from, doubled = getattr(self, "_doubled", (None, None))
        if made_from is not self.item_factors_:
            doubled = self.item_factors_.astype(np.float64)
            self._doubled = self.item_factors_, doubled  # in one step: another thread may ask in between
        return doubled

    def _seen(self, sessions: Sessions, rows: np.ndarray) -> sparse.csr_matrix:
        """Row by row what is known of the visitor: the session up to the click, and a known user's history."""
        owner, clicks = sessions.prefixes(rows)
        weights = self._click_weights(sessions)
        weights = np.ones(len(clicks), np.float32) if weights is None else weights[clicks]
        cells = (weights, (owner, sessions.items[clicks]))
        seen = sparse.csr_matrix(cells, shape=(len(rows), sessions.n_items))
        if self.by == "user" and sessions.users is not None:
            # the stronger of the two, not the sum: a session of the training part is in the history already
            history = self._histories(sessions, rows)
            seen = seen + (abs(history) > abs(seen)).multiply(history - seen).tocsr()
        seen.eliminate_zeros()
        return seen

    def _histories(self, sessions: Sessions, rows: np.ndarray) -> sparse.csr_matrix:
        users = sessions.users
        if sessions.user_vocabulary is not None and sessions.user_vocabulary != self.user_vocabulary_:
            # index -1, nobody, looks up the last entry, which is nobody again
            users = np.append(self.user_vocabulary_.encode(sessions.user_vocabulary.ids), -1)[users]
        users = users[sessions.session_of_click[rows]]
        history = self.history_[np.maximum(users, 0)]  # (n_rows, n_items)
        history.data[np.repeat(users < 0, np.diff(history.indptr))] = 0
        return history


class ALS(Factorisation):
    """Alternating least squares on implicit feedback.

    Parameters
    ----------
    factors, regularization, alpha, iterations, use_cg, random_state
        As in `implicit.cpu.als.AlternatingLeastSquares`. `use_cg` takes its quick, approximate solver.
    weights : mapping of str to float, optional
        What one event of each type adds to the matrix, such as ``{"view": 1, "cart": 3, "purchase": 5}``; by default
        every click counts 1. A negative sum is a dislike.
    by : {"session", "user"}
        What a row of the matrix is. With "user", anonymous sessions are left out of the training, and a known user's
        history counts in `score` together with the session; an item in both counts once, with the stronger weight.

    Attributes
    ----------
    gram_ : ndarray of float64, shape (factors, factors)
        ``Y'Y + regularization I``: what all sessions have in common when they are folded in.
    """

    def __init__(
        self,
        factors: int = 100,
        regularization: float = 0.01,
        alpha: float = 1.0,
        iterations: int = 15,
        use_cg: bool = True,
        random_state: int = 0,
        weights: Mapping[str, float] | None = None,
        by: str = "session",
    ):
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.use_cg = use_cg
        self.random_state = random_state
        self.weights = weights
        self.by = by

    def _library(self):
        from implicit.cpu.als import AlternatingLeastSquares

        return AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularization,
            alpha=self.alpha,
            iterations=self.iterations,
            use_cg=self.use_cg,
            random_state=self.random_state,
            num_threads=1,
        )

    def _fit(self, sessions: Sessions, impressions) -> None:
        super()._fit(sessions, impressions)
        items = self.item_factors_.astype(np.float64)
        self.gram_ = items.T @ items + self.regularization * np.eye(self.factors)

    def _click_weights(self, sessions: Sessions) -> np.ndarray | None:
        if self.weights is None:
            return None
        used = np.unique(sessions.events)
        if missing := [sessions.event_types[e] for e in used if sessions.event_types[e] not in self.weights]:
            raise ValueError(
                f"ALS: weights has no {missing[0]!r}, which these sessions hold. Fix: add it; 0 ignores it."
            )
        table = np.array([self.weights.get(name, 0) for name in sessions.event_types], np.float32)
        return table[sessions.events]

    def _vectors(self, matrix: sparse.csr_matrix) -> np.ndarray:
        return fold_in(self.alpha * matrix, self.item_factors_, self.gram_)


class BPR(Factorisation):
    """Bayesian personalised ranking.

    The vector of a session is the mean of the vectors of its items, each counted once. BPR has no closed form; with the
    items held still, the first step of its gradient ascent from 0 leads from the mean of what was drawn as not clicked
    towards the mean of what was clicked, and only the latter is of the session itself.

    Parameters
    ----------
    factors, learning_rate, regularization, iterations, verify_negative_samples, random_state
        As in `implicit.cpu.bpr.BayesianPersonalizedRanking`.
    by : {"session", "user"}
        What a row of the matrix is. With "user", anonymous sessions are left out of the training, and a known user's
        history counts in `score` together with the session.

    Attributes
    ----------
    item_biases_ : ndarray of float32, shape (n_items,)
        Added to the score of each item, whoever asks: ``user_factors_ @ item_factors_.T + item_biases_``.

    Notes
    -----
    How often something was clicked plays no part, as in `implicit`, which reads the matrix as clicked or not.
    """

    def __init__(
        self,
        factors: int = 100,
        learning_rate: float = 0.01,
        regularization: float = 0.01,
        iterations: int = 100,
        verify_negative_samples: bool = True,
        random_state: int = 0,
        by: str = "session",
    ):
        self.factors = factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.iterations = iterations
        self.verify_negative_samples = verify_negative_samples
        self.random_state = random_state
        self.by = by

    def _library(self):
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        return BayesianPersonalizedRanking(
            factors=self.factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.iterations,
            verify_negative_samples=self.verify_negative_samples,
            random_state=self.random_state,
            num_threads=1,
        )

    def _fit(self, sessions: Sessions, impressions) -> None:
        super()._fit(sessions, impressions)
        # implicit keeps the items' biases as a last column, with a 1 for every user
        self.item_biases_ = self.item_factors_[:, self.factors].copy()
        self.item_factors_ = np.ascontiguousarray(self.item_factors_[:, : self.factors])
        self.user_factors_ = np.ascontiguousarray(self.user_factors_[:, : self.factors])

    def _vectors(self, matrix: sparse.csr_matrix) -> np.ndarray:
        clicked = sparse.csr_matrix((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
        n_items = np.diff(matrix.indptr)
        return (clicked @ self.item_factors_.astype(np.float64)) / np.maximum(n_items, 1)[:, None]

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        return super()._score(sessions, rows) + self.item_biases_

    def item_vectors(self) -> np.ndarray:
        """Vectors of the items with their bias last, float32; those never clicked in training are NaN."""
        return np.column_stack([super().item_vectors(), self.item_biases_])

    def queries(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        """As `Factorisation.queries`, with a 1 last for the bias."""
        return _with_one(super().queries(sessions, rows))

    def reader_queries(self, rows) -> np.ndarray:
        """As `Factorisation.reader_queries`, with a 1 last for the bias."""
        return _with_one(super().reader_queries(rows))


def _with_one(vectors: np.ndarray) -> np.ndarray:
    return np.pad(vectors, ((0, 0), (0, 1)), constant_values=1)


def fold_in(confidences: sparse.csr_matrix, item_factors: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Solve for the vectors of rows that ALS did not train on, with the items held still.

    Parameters
    ----------
    confidences : csr_matrix, shape (n_rows, n_items)
        c of each clicked item, without stored zeros; negative for a dislike.
    item_factors : ndarray, shape (n_items, factors)
    gram : ndarray of float64, shape (factors, factors)
        ``Y'Y + regularization I``

    Returns
    -------
    ndarray of float64, shape (n_rows, factors)
        ``x = (gram + Σ (|c_i| - 1) y_i y_i')⁻¹ Σ max(c_i, 0) y_i`` over the items of the row.

    Notes
    -----
    With P = gram⁻¹, the matrix U of the row's m items and D = diag(|c| - 1), Woodbury's identity turns the system of
    size factors into one of size m: ``x = P U' (I + D U P U')⁻¹ max(c, 0)``. Sessions are short, so this is quicker by
    far; rows with more items than factors take the first form.
    """
    inverse, identity = np.linalg.inv(gram), np.eye(len(gram))
    vectors = np.zeros((confidences.shape[0], len(gram)))
    for rows, m in _rows_of_equal_length(confidences, max(1, BATCH // len(gram))):
        cells = confidences.indptr[rows][:, None] + np.arange(m)  # (B, m)
        c = confidences.data[cells].astype(np.float64)[:, :, None]  # (B, m, 1)
        u = item_factors[confidences.indices[cells]].astype(np.float64)  # (B, m, factors)
        d, wanted, turned = np.abs(c) - 1, np.maximum(c, 0), u.swapaxes(1, 2)  # turned: (B, factors, m)
        if m <= len(gram):
            small = identity[:m, :m] + d * (u @ (inverse @ turned))  # (B, m, m)
            vectors[rows] = (inverse @ (turned @ np.linalg.solve(small, wanted)))[:, :, 0]
        else:
            large = gram + turned @ (d * u)  # (B, factors, factors)
            vectors[rows] = np.linalg.solve(large, turned @ wanted)[:, :, 0]
    return vectors


def _rows_of_equal_length(matrix: sparse.csr_matrix, most_cells: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (rows, number of cells in each of them), at most so many cells at a time; empty rows are left out."""
    lengths = np.diff(matrix.indptr)
    for m in np.unique(lengths[lengths > 0]):
        rows, size = np.flatnonzero(lengths == m), max(1, most_cells // int(m))
        for start in range(0, len(rows), size):
            yield rows[start : start + size], int(m)
