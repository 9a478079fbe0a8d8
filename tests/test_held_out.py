"""`evaluate_held_out` against a loop by hand, trec_eval's definitions, and implicit's evaluation."""

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, P, R, nDCG

from recsys_lab.held_out import evaluate_held_out
from recsys_lab.histories import hold_out, user_items
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import ItemKNN, Popularity, SessionPopularity
from recsys_lab.models.base import Recommender
from recsys_lab.ranking import Leaders, target_ranks


class Factors(Recommender):
    """Random user and item factors; a user's number is the first click of the history."""

    def __init__(self, n_users: int, n_items: int, seed: int = 0):
        self.n_users, self.n_items, self.seed = n_users, n_items, seed
        rng = np.random.default_rng(seed)
        self.users, self.items = rng.normal(size=(n_users, 8)), rng.normal(size=(n_items, 8))
        self.vocabulary_ = Vocabulary(np.arange(n_items))

    def score(self, sessions, rows=None):
        owner = sessions.session_of_click[rows]
        return (self.users[sessions.session_ids[owner]] @ self.items.T).astype(np.float32)


def people(seed: int = 0, n: int = 40, n_items: int = 60) -> Sessions:
    rng = np.random.default_rng(seed)
    lists = [rng.permutation(n_items)[: rng.integers(2, 25)].tolist() for _ in range(n)]
    return Sessions.from_lists(lists, Vocabulary(np.arange(n_items)))


TRAIN, TEST, _ = hold_out(people(), 0.4)
MODEL = Factors(len(TRAIN), TRAIN.n_items)


@pytest.mark.parametrize("ties", ["middle", "optimistic", "pessimistic"])
@pytest.mark.parametrize("k", [1, 3, 20, 500])
def test_ranks_of_leaders_are_target_ranks_up_to_k(ties, k):
    rng = np.random.default_rng(k)
    for _ in range(100):
        n_rows, n_items = int(rng.integers(1, 9)), int(rng.integers(1, 900))
        scores = rng.integers(0, 1 + int(rng.integers(0, 300)), (n_rows, n_items)).astype(np.float32)
        scores[0] += rng.random(n_items)  # one row without ties
        scores[rng.random(scores.shape) < 0.1] = -np.inf
        rows, targets = rng.integers(n_rows, size=20), rng.integers(n_items, size=20)
        one_by_one = target_ranks(scores[rows], targets, ties)
        expected = np.where(one_by_one <= k, one_by_one, np.inf)
        np.testing.assert_array_equal(Leaders(scores, k).ranks(rows, targets, ties), expected)


def test_a_diverged_model_is_named():
    scores = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 2.0]])
    for row, item in ((1, 1), (1, 0)):
        with pytest.raises(ValueError, match="item 1 is NaN"):
            Leaders(scores, 2).ranks([row], [item])
    with pytest.raises(ValueError, match="choose one of"):
        Leaders(np.ones((1, 3)), 2).ranks([0], [0], "best")
    assert Leaders(np.ones((1, 3)), 2).ranks([], []).shape == (0,)


@pytest.mark.parametrize("k", [5, 20])
def test_metrics_are_those_of_trec_eval(k):
    result = evaluate_held_out(MODEL, TRAIN, TEST, k=k)
    run, qrels = {}, {}
    scores = MODEL.users @ MODEL.items.T
    for user, (known, hidden) in enumerate(zip(TRAIN, TEST, strict=True)):
        qrels[str(user)] = {str(i): 1 for i in hidden}
        run[str(user)] = {str(i): float(s) for i, s in enumerate(scores[user].astype(np.float32)) if i not in known}
    oracle = ir_measures.calc_aggregate([R @ k, P @ k, RR @ k, AP @ k, nDCG @ k], qrels, run)
    for measure, ours in zip((R, P, RR, AP, nDCG), ("recall", "precision", "mrr", "map", "ndcg"), strict=True):
        assert getattr(result, ours) == pytest.approx(oracle[measure @ k], abs=1e-6), ours


def test_ndcg_and_precision_are_those_of_implicit():
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.evaluation import ranking_metrics_at_k
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        peer = AlternatingLeastSquares(factors=8, num_threads=1)
    peer.user_factors, peer.item_factors = MODEL.users.astype(np.float32), MODEL.items.astype(np.float32)
    with threadpool_limits(1):
        theirs = ranking_metrics_at_k(
            peer, user_items(TRAIN), user_items(TEST), K=10, show_progress=False, num_threads=1
        )
    result = evaluate_held_out(MODEL, TRAIN, TEST, k=10)
    assert result.ndcg == pytest.approx(theirs["ndcg"], abs=1e-5)
    n_hidden = TEST.lengths
    hits = (result.values("recall") * n_hidden).sum()
    assert hits / np.minimum(n_hidden, 10).sum() == pytest.approx(theirs["precision"], abs=1e-6)  # as implicit has it
    smaller = np.minimum(n_hidden, 10)
    assert (result.values("map") * n_hidden / smaller).mean() == pytest.approx(theirs["map"], abs=1e-5)


def test_history_is_no_candidate_and_exposure_counts_lists():
    train = Sessions.from_lists([[0, 0, 1], [2]], Vocabulary(np.arange(4)))
    test = Sessions.from_lists([[2], [1]], train.vocabulary)
    model = Popularity().fit(train)  # clicks: 2, 1, 1, 0
    result = evaluate_held_out(model, train, test, k=2)
    assert result.ranks.tolist() == [1, 2]  # user 0 has 0 and 1: 2 is first; user 1 has 2: 0 and then 1
    assert result.exposure.tolist() == [1, 1, 1, 1] and result.coverage == 1
    assert result.recall == 1 and result.mrr == 0.75 and result.precision == 0.5
    assert "2 users" in repr(result) and result.summary()["n_users"] == 2


def test_unknown_and_repeated_items():
    model = Popularity().fit(Sessions.from_lists([["a", "b", "c"], ["a", "c"]]))
    train = Sessions.from_lists([["a"], ["a", "zz"], ["zz"], ["b"]])
    test = Sessions.from_lists([["b", "b", "never"], ["a"], ["b"], []], train.vocabulary)
    result = evaluate_held_out(model, train.recode(model.vocabulary_), test, k=2)
    # user 1's hidden item is in the history, user 2 has no known item, user 3 nothing hidden
    assert result.users.tolist() == [0]
    assert result.ranks.tolist() == [2, np.inf] and result.recall == 0.5


def test_nothing_to_find():
    train = Sessions.from_lists([["a", "b"]])
    model = Popularity().fit(train)
    for hidden in ([], ["b", "a"]):  # nothing hidden, or nothing that is not known already
        with pytest.raises(ValueError, match="nothing to find"):
            evaluate_held_out(model, train, Sessions.from_lists([hidden], train.vocabulary))
    with pytest.raises(ValueError, match="same users in the same order"):
        evaluate_held_out(Popularity().fit(TRAIN), TRAIN, TEST.take(np.arange(len(TEST))[::-1]))


@pytest.mark.parametrize("model", [Popularity(), ItemKNN(shrinkage=1), SessionPopularity()], ids=repr)
def test_chunks_change_nothing(model, monkeypatch):
    model.fit(TRAIN)
    whole = evaluate_held_out(model, TRAIN, TEST)
    monkeypatch.setattr("recsys_lab.held_out.CHUNK", 7 * TRAIN.n_items)
    parts = evaluate_held_out(model, TRAIN, TEST)
    np.testing.assert_array_equal(whole.ranks, parts.ranks)
    np.testing.assert_array_equal(whole.exposure, parts.exposure)


def test_intervals_and_pairs():
    result, other = (evaluate_held_out(m.fit(TRAIN), TRAIN, TEST) for m in (Popularity(), ItemKNN(shrinkage=1)))
    low, high, _ = result.interval("ndcg")
    assert low < result.ndcg < high
    assert result.compare(other, "recall").difference == pytest.approx(result.recall - other.recall)
    with pytest.raises(ValueError, match="same sessions"):
        result.compare(evaluate_held_out(Popularity().fit(TRAIN), TRAIN, TEST, k=5))
