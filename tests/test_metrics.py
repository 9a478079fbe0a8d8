"""Metrics by hand, against trec_eval through ir-measures, and intervals that hold what they promise."""

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, P, R, nDCG

from recsys_lab import metrics


def test_one_list_by_hand():
    ranked, relevant = ["a", "b", "c", "d"], {"b", "d", "z"}
    assert metrics.recall(ranked, relevant, 4) == pytest.approx(2 / 3)
    assert metrics.precision(ranked, relevant, 4) == 0.5
    assert metrics.reciprocal_rank(ranked, relevant, 4) == 0.5
    assert metrics.average_precision(ranked, relevant, 4) == pytest.approx((1 / 2 + 2 / 4) / 3)
    gain, best = 1 / np.log2(3) + 1 / np.log2(5), 1 + 1 / np.log2(3) + 0.5
    assert metrics.ndcg(ranked, relevant, 4) == pytest.approx(gain / best)


def test_the_cut_off_counts():
    ranked = ["a", "b", "c"]
    assert metrics.reciprocal_rank(ranked, {"c"}, 2) == 0
    assert metrics.recall(ranked, {"c"}, 2) == metrics.ndcg(ranked, {"c"}, 2) == 0
    assert metrics.precision(ranked, {"a"}, 10) == 0.1  # empty places are charged


@pytest.mark.parametrize("k", [1, 5, 20])
def test_against_trec_eval(k):
    rng = np.random.default_rng(k)
    qrels, run, ours = {}, {}, []
    for query in range(50):
        items = [f"i{i}" for i in rng.permutation(40)[: rng.integers(1, 31)]]
        relevant = {f"i{i}" for i in rng.choice(40, rng.integers(1, 12), replace=False)}
        qrels[str(query)] = dict.fromkeys(relevant, 1)
        run[str(query)] = {item: float(100 - place) for place, item in enumerate(items)}
        f = (metrics.recall, metrics.precision, metrics.reciprocal_rank, metrics.ndcg, metrics.average_precision)
        ours.append([metric(items, relevant, k) for metric in f])
    measures = [R @ k, P @ k, RR @ k, nDCG @ k, AP @ k]
    theirs = ir_measures.calc_aggregate(measures, qrels, run)
    np.testing.assert_allclose(np.mean(ours, axis=0), [theirs[m] for m in measures], atol=1e-9)


def test_metrics_of_ranks_equal_metrics_of_lists():
    rng, k = np.random.default_rng(0), 10
    for _ in range(200):
        ranked, target = rng.permutation(30).tolist(), int(rng.integers(30))
        rank = [ranked.index(target) + 1]
        for name, metric in (
            ("recall", metrics.recall),
            ("precision", metrics.precision),
            ("mrr", metrics.reciprocal_rank),
            ("ndcg", metrics.ndcg),
            ("map", metrics.average_precision),
        ):
            assert metrics.of_ranks(rank, name, k)[0] == pytest.approx(metric(ranked, {target}, k)), name


def test_ranks_count_from_one():
    with pytest.raises(ValueError, match="0-based"):
        metrics.of_ranks([0, 1], "mrr", 20)
    with pytest.raises(ValueError, match="choose one of"):
        metrics.of_ranks([1], "auc", 20)
    assert metrics.of_ranks([np.inf], "mrr", 20).tolist() == [0.0]


def test_variety_by_hand():
    assert metrics.coverage([3, 0, 1, 0]) == 0.5
    assert metrics.gini([5, 5, 5, 5]) == 0
    assert metrics.gini([0, 0, 0, 8]) == pytest.approx(0.75)  # 1 - 1/n
    # shares 1/2, 1/4, 1/4 are 1, 2, 2 bits; listed once, once, never
    assert metrics.novelty([1, 1, 0], [2, 1, 1]) == pytest.approx(1.5)


def test_gini_is_half_the_relative_mean_difference():
    x = np.random.default_rng(0).integers(0, 50, 200)
    mean_difference = np.abs(x[:, None] - x[None]).mean()
    assert metrics.gini(x) == pytest.approx(mean_difference / (2 * x.mean()))


def test_diversity_by_hand_and_by_loop():
    features = np.array([[1, 0], [2, 0], [0, 1], [0, 0]])
    found = metrics.intra_list_diversity([[0, 1, -1], [0, 2, -1], [0, 1, 2], [0, -1, -1], [0, 3, -1]], features)
    np.testing.assert_allclose(found, [0, 1, 2 / 3, np.nan, 1])
    rng = np.random.default_rng(0)
    features, ranked = rng.normal(size=(30, 4)), rng.permutation(30)[:6]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    loop = np.mean([1 - unit[a] @ unit[b] for i, a in enumerate(ranked) for b in ranked[:i]])
    assert metrics.intra_list_diversity([ranked], features)[0] == pytest.approx(loop)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng, hits = np.random.default_rng(0), 0
    for trial in range(300):
        low, high, _ = metrics.bootstrap_interval(rng.random(150) < 0.3, n_draws=300, seed=trial)
        hits += low <= 0.3 <= high
    assert 0.91 <= hits / 300 <= 0.98


def test_clicks_of_one_session_are_not_independent():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 20)
    values = (rng.random(100) < 0.5).astype(float)[groups]  # a session hits always or never
    by_session = metrics.bootstrap_interval(values, groups)
    by_click = metrics.bootstrap_interval(values)
    # twenty equal clicks say as much as one: the honest interval is sqrt(20) = 4.5 times as wide
    assert (by_session.high - by_session.low) / (by_click.high - by_click.low) == pytest.approx(20**0.5, rel=0.2)


def test_interval_weighs_sessions_by_their_clicks():
    values, groups = np.array([1.0] * 30 + [0.0] * 10), np.array([0] * 30 + list(range(1, 11)))
    low, high, _ = metrics.bootstrap_interval(values, groups)
    assert low < values.mean() < high


def test_paired_comparison_sees_what_two_intervals_cannot():
    rng = np.random.default_rng(0)
    difficulty = rng.random(400)
    first, second = (difficulty < 0.52).astype(float), (difficulty < 0.48).astype(float)
    a, b = metrics.bootstrap_interval(first), metrics.bootstrap_interval(second)
    assert a.low < b.high  # the intervals overlap
    comparison = metrics.compare(first, second)
    assert comparison.clear and comparison.low > 0
    assert not metrics.compare(first, first).clear


def test_intervals_refuse_what_cannot_be_resampled():
    with pytest.raises(ValueError, match="at least two groups"):
        metrics.bootstrap_interval([1.0, 0.0], groups=[7, 7])
    with pytest.raises(ValueError, match="level"):
        metrics.bootstrap_interval([1.0, 0.0], level=95)
    with pytest.raises(ValueError, match="not the same predictions"):
        metrics.compare([1.0], [1.0, 2.0])
