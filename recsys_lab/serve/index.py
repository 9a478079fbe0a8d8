"""Finding the items with the largest inner product: exactly, or in a part of the catalogue only.

A session is a vector q, an item a vector x, and the score is q·x. `ExactIndex` looks at every item. `InvertedIndex`
(Sivic & Zisserman, "Video Google", ICCV 2003; Jégou, Douze & Schmid, "Product quantization for nearest neighbor
search", PAMI 2011) sorts the items into cells around centres and looks into the `n_probe` most promising cells only.
`FaissIndex` does that with the library faiss (extra ``ann``), for catalogues of hundreds of thousands.

**An inner product is no distance.** A popular item has a long vector and scores high with everybody: clustered by
direction (cosine), or by distance to the query, it is missed. Bachrach et al. (RecSys 2014) add one more number,
``sqrt(M² - |x|²)`` with M the largest length: then all vectors have the same length, and the nearest by distance is the
largest by inner product. Cells are made of those vectors; a query has 0 there.

A row with an entry that is not finite is an item that is never found.
"""

from __future__ import annotations

import time

import numpy as np

from recsys_lab.ranking import top_k

SAMPLE = 40  # vectors a cell from which the centres are learned
BLOCK = 16_384
ROWS = 16  # whole blocks of so many vectors, see `in_blocks`


class Index:
    """Base of the indices: checks and pads; `_build` and `_search` are theirs.

    Parameters
    ----------
    vectors : ndarray, shape (n_items, d)

    Attributes
    ----------
    n_items, width : int
    build_seconds : float
    nbytes : int
        Of what a search reads.
    """

    def __init__(self, vectors: np.ndarray):
        vectors = np.asarray(vectors)
        if vectors.dtype not in (np.float32, np.float64):
            vectors = vectors.astype(np.float32)
        if vectors.ndim != 2 or not len(vectors):
            raise ValueError(f"index: vectors have the shape (n_items, d), not {vectors.shape}.")
        start = time.perf_counter()
        self.n_items, self.width = vectors.shape
        finite = np.isfinite(vectors).all(axis=1)
        self._rows = None if finite.all() else np.flatnonzero(finite)
        vectors = vectors if self._rows is None else vectors[self._rows]
        self.nbytes = 0
        self._n = len(vectors)
        if self._n:
            self._build(np.ascontiguousarray(vectors))
        self.build_seconds = time.perf_counter() - start

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the best items of each query.

        Parameters
        ----------
        queries : ndarray, shape (n, d)
        k : int

        Returns
        -------
        indices : ndarray of int64, shape (n, k)
            Best first, ties by index; filled up with -1.
        scores : ndarray of float32, shape (n, k)
            Inner products; filled up with ``-inf``.

        Raises
        ------
        ValueError
            If the queries have another width, or hold NaN.
        """
        queries = np.atleast_2d(queries)
        if queries.ndim != 2 or queries.shape[1] != self.width:
            raise ValueError(f"search: queries have the shape (n, {self.width}), not {queries.shape}.")
        if k < 1:
            raise ValueError(f"search: k must be at least 1, not {k}.")
        if not np.isfinite(queries).all():
            raise ValueError("search: a query holds NaN or infinity.")
        indices, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        for row, query in enumerate(queries if self._n else ()):
            found, values = self._search(query, min(k, self._n))
            indices[row, : len(found)] = found if self._rows is None else self._rows[found]
            scores[row, : len(found)] = values
        return indices, scores

    def _build(self, vectors: np.ndarray) -> None:
        raise NotImplementedError

    def _search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """At most k items, best first, and their scores."""
        raise NotImplementedError


class ExactIndex(Index):
    """Every item is looked at. One query at a time: a row is the same to the last bit, whatever else is asked."""

    def _build(self, vectors: np.ndarray) -> None:
        laid_out, _ = in_blocks(vectors, np.array([self._n]))
        # an item a column: the product then reads memory in one go, which takes about half the time
        self._columns, self.nbytes = np.ascontiguousarray(laid_out.T), laid_out.nbytes

    def _search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = (query.astype(self._columns.dtype) @ self._columns).astype(np.float32, copy=False)[: self._n]
        found = top_k(scores, k)
        return found, scores[found]


class InvertedIndex(Index):
    """Items in cells, of which the `n_probe` most promising are looked into.

    Parameters
    ----------
    vectors : ndarray, shape (n_items, d)
    n_cells : int, optional
        By default about twice the square root of the number of items.
    n_probe : int
        May be changed after building: more is slower and finds more. The default finds 95 % and more of the best
        twenty in the catalogues of `benchmarks/retrieval.py`.
    seed : int
    """

    def __init__(self, vectors: np.ndarray, n_cells: int | None = None, n_probe: int = 32, seed: int = 0):
        _check_cells(n_cells)
        self.n_cells, self.n_probe, self.seed = n_cells, n_probe, seed
        super().__init__(vectors)

    def _build(self, vectors: np.ndarray) -> None:
        vectors = vectors.astype(np.float32, copy=False)
        self.n_cells = n_cells = min(self.n_cells or max(1, round(2 * self._n**0.5)), self._n)
        centres, cell = kmeans(equal_length(vectors), n_cells, self.seed)
        self.centres = centres[:, :-1]  # a query has 0 in the additional place
        self.members = np.argsort(cell, kind="stable")  # by cell, in a cell by index
        sizes = np.bincount(cell, minlength=n_cells)
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])
        self._vectors, self._starts = in_blocks(vectors[self.members], sizes)  # a cell's vectors lie side by side
        self.nbytes = self._vectors.nbytes + self.members.nbytes + self.centres.nbytes

    def _search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        query = query.astype(np.float32)
        cells = top_k(self.centres @ query, min(self.n_probe, len(self.centres)))
        items = np.concatenate([self.members[self.offsets[c] : self.offsets[c + 1]] for c in cells])
        scores = np.concatenate([self._of_cell(c, query) for c in cells])
        if len(items) > k:  # sort only what reaches the k-th score: ties at it are all there
            near = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
            items, scores = items[near], scores[near]
        order = np.lexsort((items, -scores))[:k]
        return items[order], scores[order]

    def _of_cell(self, c: int, query: np.ndarray) -> np.ndarray:
        scores = self._vectors[self._starts[c] : self._starts[c + 1]] @ query
        return scores[: self.offsets[c + 1] - self.offsets[c]]


class FaissIndex(Index):
    """Items in cells, by faiss, on one thread.

    Parameters
    ----------
    vectors : ndarray, shape (n_items, d)
    n_cells : int, optional
        By default four times the square root of the number of items.
    n_probe : int

    Raises
    ------
    ModuleNotFoundError
        Where faiss is not installed.
    """

    def __init__(self, vectors: np.ndarray, n_cells: int | None = None, n_probe: int = 64):
        _check_cells(n_cells)
        self.n_cells, self.n_probe = n_cells, n_probe
        super().__init__(vectors)

    def _build(self, vectors: np.ndarray) -> None:
        try:
            import faiss
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("this index needs faiss. Fix: pip install 'recsys-lab[ann]'") from error
        faiss.omp_set_num_threads(1)
        vectors = equal_length(vectors.astype(np.float32, copy=False))
        self.n_cells = n_cells = min(self.n_cells or max(1, round(4 * self._n**0.5)), self._n)
        self._centres = faiss.IndexFlatIP(vectors.shape[1])
        self._index = faiss.IndexIVFFlat(self._centres, vectors.shape[1], n_cells, faiss.METRIC_INNER_PRODUCT)
        self._index.cp.max_points_per_centroid, self._index.cp.min_points_per_centroid = SAMPLE, 1
        self._index.train(vectors)
        self._index.add(vectors)
        self.nbytes = vectors.nbytes + 8 * self._n + self._centres.ntotal * vectors.shape[1] * 4

    def _search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        self._index.nprobe = self.n_probe
        query = np.append(query, 0).astype(np.float32)[None]
        scores, found = (part[0] for part in self._index.search(query, k))
        scores, found = scores[found >= 0], found[found >= 0]
        order = np.lexsort((found, -scores))
        return found[order], scores[order]


KINDS = {"exact": ExactIndex, "inverted": InvertedIndex, "faiss": FaissIndex}


def make_index(vectors: np.ndarray, kind: str = "exact") -> Index:
    """Return an index by name: "exact", "inverted" or "faiss".

    Raises
    ------
    ValueError
        For another name.
    """
    if kind not in KINDS:
        raise ValueError(f"index={kind!r}: choose one of {', '.join(KINDS)}.")
    return KINDS[kind](vectors)


def in_blocks(vectors: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lay out groups of vectors so that each fills whole blocks of `ROWS`, with zeros in between.

    A library multiplies rows four or eight at a time and sums those that are left over in another order. In whole
    blocks equal vectors have equal scores, to the last bit, wherever they lie.

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
        Group after group.
    sizes : ndarray of int, shape (n_groups,)

    Returns
    -------
    laid_out : ndarray, shape (n_rows, d)
    starts : ndarray of int64, shape (n_groups + 1,)
        Where each group begins in it.
    """
    starts = np.concatenate([[0], np.cumsum(-(-sizes // ROWS) * ROWS)])
    if starts[-1] == len(vectors):
        return vectors, starts
    laid_out = np.zeros((starts[-1], vectors.shape[1]), vectors.dtype)
    place = np.arange(len(vectors)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    laid_out[np.repeat(starts[:-1], sizes) + place] = vectors
    return laid_out, starts


def equal_length(vectors: np.ndarray) -> np.ndarray:
    """Add a number to each vector so that all have the same length, float32, shape (n, d + 1)."""
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    rest = np.sqrt(np.maximum(squares.max(initial=0) - squares, 0))
    return np.column_stack([vectors, rest.astype(np.float32)])


def kmeans(vectors: np.ndarray, n_cells: int, seed: int = 0, n_rounds: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm: centres, and the cell of each vector.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
    n_cells : int
    seed : int
    n_rounds : int

    Returns
    -------
    centres : ndarray of float32, shape (n_cells, d)
        Learned from at most 40 vectors a cell.
    cell : ndarray of int64, shape (n,)
    """
    rng = np.random.default_rng(seed)
    sample = vectors[np.sort(rng.permutation(len(vectors))[: SAMPLE * n_cells])]
    centres = sample[rng.choice(len(sample), n_cells, replace=False)].copy()
    for _ in range(n_rounds):
        cell = nearest(sample, centres)
        counts = np.bincount(cell, minlength=n_cells)
        order = np.argsort(cell, kind="stable")
        filled = np.flatnonzero(counts)
        starts = (np.cumsum(counts) - counts)[filled]
        centres[filled] = np.add.reduceat(sample[order], starts) / counts[filled, None]
        if len(filled) < n_cells:  # an empty cell starts again somewhere else
            centres[counts == 0] = sample[rng.choice(len(sample), n_cells - len(filled))]
    return centres, nearest(vectors, centres)


def nearest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Number of the nearest centre of each vector, int64, shape (n,)."""
    half = np.einsum("ij,ij->i", centres, centres) / 2
    cell = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        cell[start : start + BLOCK] = np.argmax(block @ centres.T - half, axis=1)
    return cell


def _check_cells(n_cells: int | None) -> None:
    if n_cells is not None and n_cells < 1:
        raise ValueError(f"index: n_cells must be at least 1, not {n_cells}.")
