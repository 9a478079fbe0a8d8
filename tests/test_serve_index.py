"""Indices over item vectors: brute force in float64 is the oracle, and whole numbers where ties have to be exact."""

import sys

import numpy as np
import pytest

from recsys_lab.serve.index import KINDS, ExactIndex, FaissIndex, InvertedIndex, equal_length, kmeans, make_index

RNG = np.random.default_rng(0)


def whole_numbers(n, d, seed=0):
    """Vectors whose inner products are exact in float32, with many ties among them."""
    return np.random.default_rng(seed).integers(-2, 3, (n, d)).astype(np.float32)


def brute_force(vectors, queries, k):
    """Oracle: float64, full sort, ties by index, rows that are not finite left out."""
    finite = np.isfinite(vectors).all(axis=1)
    scores = queries.astype(np.float64) @ np.where(finite[:, None], vectors, 0).astype(np.float64).T
    scores[:, ~finite] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(scores, order, 1)
    return np.where(values > -np.inf, order, -1), values


def all_cells(kind, vectors):
    """An index of a kind that looks everywhere."""
    if kind == "exact":
        return make_index(vectors)
    if kind == "faiss":
        pytest.importorskip("faiss")
    index = KINDS[kind](vectors, n_cells=7)
    index.n_probe = 7
    return index


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 5, 20])
def test_all_cells_are_brute_force(kind, k):
    vectors, queries = RNG.normal(size=(200, 8)).astype(np.float32), RNG.normal(size=(9, 8)).astype(np.float32)
    found, scores = all_cells(kind, vectors).search(queries, k)
    right, values = brute_force(vectors, queries, k)
    assert found.dtype == np.int64 and scores.dtype == np.float32
    np.testing.assert_array_equal(found, right)
    np.testing.assert_allclose(scores, values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["exact", "inverted"])
@pytest.mark.parametrize("n", [1, 2, 37, 999])
def test_ties_go_by_index(kind, n):
    vectors, queries = whole_numbers(n, 3), whole_numbers(20, 3, seed=1)
    found, scores = all_cells(kind, vectors).search(queries, 10)
    right, values = brute_force(vectors, queries, 10)
    np.testing.assert_array_equal(found[:, : right.shape[1]], right)
    np.testing.assert_array_equal(scores[:, : right.shape[1]], values)


@pytest.mark.parametrize("kind", ["exact", "inverted"])
def test_the_same_vector_twice_scores_the_same(kind):
    one = RNG.normal(size=(1, 65)).astype(np.float32)
    found, scores = all_cells(kind, np.repeat(one, 101, axis=0)).search(RNG.normal(size=(3, 65)), 101)
    assert (found == np.arange(101)).all()
    assert (scores == scores[:, :1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_not_finite_are_never_found(kind):
    vectors = RNG.normal(size=(60, 4)).astype(np.float32)
    vectors[3, 3], vectors[10, 0], vectors[20, 1] = -np.inf, np.nan, np.inf
    found, scores = all_cells(kind, vectors).search(np.array([[0, 0, 0, -1], [1, 1, 1, 1], [0, 5, 0, 0]]), 60)
    assert not np.isin(found, [3, 10, 20]).any()
    assert (np.sort(found[:, :57], axis=1) == np.setdiff1d(np.arange(60), [3, 10, 20])).all()
    assert (found[:, 57:] == -1).all() and (scores[:, 57:] == -np.inf).all()
    np.testing.assert_array_equal(found[0], brute_force(vectors, np.array([[0, 0, 0, -1]]), 60)[0][0])


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_of_nothing_finds_nothing(kind):
    found, scores = make_index(np.full((5, 3), np.nan), kind).search(np.ones((2, 3)), 4)
    assert found.shape == (2, 4) and (found == -1).all() and (scores == -np.inf).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_alone_is_the_same_to_the_last_bit(kind):
    vectors, queries = RNG.normal(size=(501, 65)).astype(np.float32), RNG.normal(size=(33, 65)).astype(np.float32)
    index = all_cells(kind, vectors)
    together = index.search(queries, 30)
    backwards = index.search(queries[::-1], 30)
    for row in range(len(queries)):
        alone = index.search(queries[row : row + 1], 30)
        for part in (0, 1):
            np.testing.assert_array_equal(alone[part][0], together[part][row])
            np.testing.assert_array_equal(backwards[part][::-1][row], together[part][row])


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_there_is_is_filled_up(kind):
    found, scores = all_cells(kind, RNG.normal(size=(9, 2))).search(np.ones(2), 12)  # one query without its dimension
    assert found.shape == (1, 12) and sorted(found[0, :9]) == list(range(9))
    assert (found[0, 9:] == -1).all() and (scores[0, 9:] == -np.inf).all()


def test_vectors_of_whole_numbers_do_not_cut_the_query():
    assert make_index(np.array([[1, 0], [0, 1]])).search(np.array([[0.2, 0.9]]), 1)[0][0, 0] == 1
    assert make_index(np.array([[1, 0], [0, 1]])).search(np.array([[0.2, 0.9]]), 1)[1][0, 0] == pytest.approx(0.9)


def recall(index, queries, right):
    found, _ = index.search(queries, right.shape[1])
    return np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, right, strict=True)])


@pytest.mark.parametrize("kind", ["inverted", "faiss"])
def test_looking_into_more_cells_finds_more(kind):
    if kind == "faiss":
        pytest.importorskip("faiss")
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(40, 16))[rng.integers(0, 40, 4000)] + 0.5 * rng.normal(size=(4000, 16))
    queries = rng.normal(size=(40, 16)).astype(np.float32)
    index, right = KINDS[kind](vectors.astype(np.float32), n_cells=60), brute_force(vectors, queries, 10)[0]
    found = []
    for index.n_probe in (1, 4, 16, 60):
        found.append(recall(index, queries, right))
    assert found == sorted(found) and found[0] < 0.8 and found[2] > 0.9 and found[-1] == 1


def long_and_short(n=3000, n_long=200, d=12, seed=3):
    """A few long vectors in no particular direction: what is popular scores high with most queries."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, d))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[rng.choice(n, n_long, replace=False)] *= 6
    return vectors.astype(np.float32), rng.normal(size=(100, d)).astype(np.float32)


def cells_by(prepared, vectors, near, n_cells=40):
    """Cells made in a wrong way: centres of `prepared` vectors, probed in the order of `near`."""
    centres, cell = kmeans(prepared, n_cells)

    class Cells:
        n_probe = 4

        def search(self, queries, k):
            found = np.full((len(queries), k), -1)
            for row, query in enumerate(queries):
                probed = np.argsort(near(centres, query))[: self.n_probe]
                items = np.flatnonzero(np.isin(cell, probed))
                best = items[np.argsort(-(vectors[items] @ query))][:k]
                found[row, : len(best)] = best
            return found, None

    return Cells()


def test_cells_by_direction_or_distance_miss_what_is_popular():
    vectors, queries = long_and_short()
    right = brute_force(vectors, queries, 10)[0]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    direction = cells_by(unit, vectors, lambda centres, q: -(centres @ q))
    distance = cells_by(vectors, vectors, lambda centres, q: ((centres - q / np.linalg.norm(q)) ** 2).sum(axis=1))
    ours = InvertedIndex(vectors, n_cells=40, n_probe=4)
    by_direction, by_distance, by_product = (recall(i, queries, right) for i in (direction, distance, ours))
    assert by_product > by_direction + 0.15 and by_product > by_distance + 0.4
    assert by_product > 0.6


def test_equal_length():
    vectors = RNG.normal(size=(50, 5)).astype(np.float32)
    longer = equal_length(vectors)
    assert longer.dtype == np.float32
    np.testing.assert_array_equal(longer[:, :5], vectors)
    lengths = np.linalg.norm(longer.astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(vectors, axis=1).max(), rtol=1e-5)


def test_kmeans_finds_planted_clusters_and_keeps_every_cell_filled():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(5), 40)
    points = (10 * np.eye(5)[truth] + 0.1 * rng.normal(size=(200, 5))).astype(np.float32)
    best = min(
        (kmeans(points, 5, seed) for seed in range(10)),
        key=lambda fit: ((points - fit[0][fit[1]]) ** 2).sum(),
    )
    assert sum(len(np.unique(truth[best[1] == c])) for c in range(5)) == 5
    centres, cell = kmeans(np.zeros((30, 2), np.float32), 4)
    assert centres.shape == (4, 2) and cell.shape == (30,)


def test_the_same_seed_makes_the_same_cells():
    vectors = RNG.normal(size=(512, 6)).astype(np.float32)
    one, two = InvertedIndex(vectors), InvertedIndex(vectors)
    np.testing.assert_array_equal(one.members, two.members)
    assert one.n_probe > 0 and one.build_seconds > 0 and one.nbytes > vectors.nbytes
    assert ExactIndex(vectors).nbytes == vectors.nbytes


@pytest.mark.parametrize("kind", KINDS)
def test_bad_questions(kind):
    index = all_cells(kind, RNG.normal(size=(20, 3)))
    with pytest.raises(ValueError, match=r"shape \(n, 3\), not \(1, 4\)"):
        index.search(np.ones((1, 4)), 5)
    with pytest.raises(ValueError, match="k must be at least 1"):
        index.search(np.ones((1, 3)), 0)
    with pytest.raises(ValueError, match="NaN"):
        index.search(np.array([[1, np.nan, 1]]), 5)


def test_bad_indices(monkeypatch):
    with pytest.raises(ValueError, match="shape"):
        ExactIndex(np.ones(5))
    with pytest.raises(ValueError, match="shape"):
        ExactIndex(np.ones((0, 5)))
    with pytest.raises(ValueError, match="choose one of exact, inverted, faiss"):
        make_index(np.ones((2, 2)), "hnsw")
    with pytest.raises(ValueError, match="n_cells"):
        InvertedIndex(np.ones((4, 2)), n_cells=-1)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'recsys-lab\[ann\]'"):
        FaissIndex(np.ones((4, 2)))
