"""Lists and ranks against a full stable sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_lab.ranking import target_ranks, top_k


def sorted_lists(scores: np.ndarray, k: int, above: float = -np.inf) -> np.ndarray:
    lists = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(scores, lists, 1) > above, lists, -1)


# from a few ties to nothing but ties; catalogues on both sides of the folding
@pytest.mark.parametrize("levels", [1, 2, 10, 10**6])
@pytest.mark.parametrize("n_items", [1, 5, 50, 700, 5000])
@pytest.mark.parametrize("k", [1, 3, 20, 100])
def test_top_k_is_a_stable_sort(levels, n_items, k):
    rng = np.random.default_rng(n_items * k + levels)
    scores = rng.integers(0, levels, (30, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    np.testing.assert_array_equal(top_k(scores, k), sorted_lists(scores, k))
    np.testing.assert_array_equal(top_k(scores, k, above=0), sorted_lists(scores, k, above=0))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=150), st.integers(1, 4))
def test_top_k_on_small_catalogues_with_ties(values, k):
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    assert top_k(values, k).tolist() == expected


def test_top_k_takes_integers_booleans_and_float64():
    assert top_k(np.array([3, 9, 9, 1], dtype=np.uint8), 2).tolist() == [1, 2]
    assert top_k([True, False, True], 2).tolist() == [0, 2]
    assert top_k(np.array([1.0, 1.0 + 1e-12]), 1).tolist() == [1]


def test_top_k_longer_than_the_catalogue():
    assert top_k([[1.0, 2.0, -np.inf]], 10).tolist() == [[1, 0, -1]]
    assert top_k(np.empty((0, 4)), 2).shape == (0, 2)
    assert top_k(np.empty((3, 0)), 2).shape == (3, 0)


@pytest.mark.parametrize("where", [0, 17, 4999])
def test_top_k_refuses_nan_wherever_it_stands(where):
    scores = np.random.default_rng(0).random(5000).astype(np.float32)
    scores[where] = np.nan
    with pytest.raises(ValueError, match=f"item {where} is NaN"):
        top_k(scores, 20)


def test_top_k_refuses_nonsense():
    with pytest.raises(ValueError, match="at least 1"):
        top_k([1.0], 0)
    with pytest.raises(ValueError, match="dimensions"):
        top_k(np.ones((2, 2, 2)), 1)
    with pytest.raises(ValueError, match="numbers"):
        top_k(["a"], 1)


@pytest.mark.parametrize("ties", ["optimistic", "middle", "pessimistic"])
def test_ranks_against_counting(ties):
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 5, (40, 60)).astype(np.float32)
    targets = rng.integers(0, 60, 40)
    for row, target, rank in zip(scores, targets, target_ranks(scores, targets, ties), strict=True):
        places = [1 + sum(o > row[target] for o in row), sum(o >= row[target] for o in row)]
        assert rank == {"optimistic": places[0], "middle": sum(places) / 2, "pessimistic": places[1]}[ties]


def test_middle_rank_is_the_mean_over_random_orders():
    scores, rng = np.array([[2.0, 1, 1, 1, 0]]), np.random.default_rng(0)
    ranks = []
    for _ in range(4000):
        order = rng.permutation(5)
        shuffled = np.argsort(-scores[0][order], kind="stable")
        ranks.append(1 + np.flatnonzero(order[shuffled] == 2)[0])
    assert np.mean(ranks) == pytest.approx(target_ranks(scores, [2])[0], abs=0.05)


def test_a_model_without_opinion_is_flattered_by_optimistic_ties_only():
    scores = np.zeros((1, 1000))
    assert target_ranks(scores, [500], "optimistic")[0] == 1
    assert target_ranks(scores, [500])[0] == 500.5
    assert target_ranks(scores, [500], "pessimistic")[0] == 1000


def test_unknown_and_excluded_targets_have_no_rank():
    assert target_ranks([[1.0, -np.inf], [1.0, 2.0]], [1, -1]).tolist() == [np.inf, np.inf]


def test_ranks_refuse_nonsense():
    with pytest.raises(ValueError, match="ties='best'"):
        target_ranks([[1.0]], [0], "best")
    with pytest.raises(ValueError, match="outside the catalogue"):
        target_ranks([[1.0]], [1])
    with pytest.raises(ValueError, match="as many targets"):
        target_ranks([[1.0]], [0, 0])
    with pytest.raises(ValueError, match="NaN"):
        target_ranks([[np.nan]], [0])
