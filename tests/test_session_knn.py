"""`SessionKNN` against the formulae written out as loops over sets, and against known figures on a public log."""

import math
from dataclasses import replace

import numpy as np
import pytest

from recsys_lab import datasets
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions
from recsys_lab.models import SessionKNN
from recsys_lab.models.session_knn import _Visit

DAY = 24 * 3600 * 10**9
POSITION = {
    "same": lambda p, n: 1,
    "div": lambda p, n: p / n,
    "quadratic": lambda p, n: (p / n) ** 2,
}
STEP = {
    "same": lambda s: 1,
    "div": lambda s: 1 / s,
    "quadratic": lambda s: 1 / s**2,
}


def some_sessions(seed: int, n: int = 80, n_items: int = 14) -> Sessions:
    """Short sessions over few items, with repeats, at times that do not follow the order of the log."""
    rng = np.random.default_rng(seed)
    log = Sessions.from_lists([(rng.zipf(1.4, rng.integers(1, 7)) % n_items).tolist() for _ in range(n)])
    starts = rng.permutation(n) * DAY // 7
    return replace(log, times=np.repeat(starts, log.lengths) + log.positions * 10**9, has_time=True)


def last(clicks) -> dict:
    return {item: position for position, item in enumerate(clicks, start=1)}


def by_loops(model: SessionKNN, train: Sessions, clicks: list) -> np.ndarray:
    """Scores of all items after `clicks`, session by session and item by item."""
    mine, n = last(clicks), len(clicks)
    ends = train.ends if train.has_time else np.arange(len(train))
    latest_first = sorted(range(len(train)), key=lambda s: (-ends[s], -s))
    sharing = [s for s in latest_first if set(train[s]) & set(mine)][: model.sample_size]
    found = []
    for place, number in enumerate(sharing):
        theirs = last(train[number].tolist())
        shared = set(mine) & set(theirs)
        if model.variant == "sknn":
            similarity = len(shared) / math.sqrt(len(mine) * len(theirs))
        elif model.variant == "vsknn":
            similarity = sum(POSITION[model.weighting](mine[i], n) for i in shared) / len(mine)
        else:
            weight = {i: math.exp((p - n) / model.lambda_spw) for i, p in mine.items()}
            norm = math.sqrt(sum(w * w for w in weight.values()) * len(theirs))
            age = (ends.max() - ends[number]) / DAY if train.has_time else 0
            similarity = sum(weight[i] for i in shared) / norm * math.exp(-age / model.lambda_snh)
        found.append((-np.float32(similarity), place, theirs, shared))
    scores = np.zeros(train.n_items)
    for negative, _, theirs, shared in sorted(found, key=lambda f: f[:2])[: model.k]:
        for item, position in theirs.items():
            value = -negative
            if model.variant == "vsknn":
                idf = max(math.log(len(train) / (train.items == item).sum()), 0)
                step = n - max(mine[i] for i in shared) + 1
                value *= STEP[model.weighting_score](step) * (1 + model.idf_weighting * idf)
            if model.variant == "stan":
                value *= math.exp(-abs(position - max(theirs[i] for i in shared)) / model.lambda_inh)
            scores[item] += value
    return scores


@pytest.mark.parametrize("size", [(500, 5000), (7, 5000), (500, 9), (3, 11)], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"variant": "sknn"},
        {"variant": "vsknn"},
        {"variant": "vsknn", "weighting": "same", "weighting_score": "same", "idf_weighting": 0},
        {"variant": "vsknn", "weighting": "div", "weighting_score": "quadratic", "idf_weighting": 1},
        {"variant": "vsknn", "weighting": "div", "weighting_score": "same", "idf_weighting": 9},
        {"variant": "stan"},
        {"variant": "stan", "lambda_spw": 3, "lambda_snh": 1, "lambda_inh": 0.7},
    ],
    ids=str,
)
def test_scores_are_the_formula(options, size):
    model = SessionKNN(**options, k=size[0], sample_size=size[1])
    for seed, has_time in ((0, True), (1, True), (2, False)):
        train = replace(some_sessions(seed), has_time=has_time)
        asked = some_sessions(seed + 10, n=25).recode(train.vocabulary)
        asked = asked.where(asked.items >= 0)
        scores = model.fit(train).score(asked)
        for row, (session, position) in enumerate(zip(asked.session_of_click, asked.positions, strict=True)):
            expected = by_loops(model, train, asked[session][: position + 1].tolist())
            np.testing.assert_allclose(scores[row], expected, rtol=1e-5, atol=1e-7)


def test_by_hand():
    """Two past sessions, two clicks: everything is a small fraction."""
    train = Sessions.from_lists([["a", "b", "c"], ["b", "d"], ["e"]])
    model = SessionKNN(idf_weighting=0).fit(train)
    scores = dict(zip("abcde", model.score(Sessions.from_lists([["a", "b"]], train.vocabulary))[-1], strict=True))
    # positions: a 1/2, b 2/2; squared 1/4 and 1; first session (1/4 + 1)/2, second 1/2; both share the last click
    assert scores == pytest.approx({"a": 0.625, "b": 1.125, "c": 0.625, "d": 0.5, "e": 0})
    sknn = SessionKNN("sknn").fit(train)
    scores = sknn.score(Sessions.from_lists([["a", "b"]], train.vocabulary))[-1]
    assert scores[2] == pytest.approx(2 / math.sqrt(6)) and scores[3] == pytest.approx(1 / 2)


def test_a_long_history_counts_each_neighbour_once():
    """A click so far back that STAN's weight for it is nearly 0 finds its sessions all the same, once."""
    train = Sessions.from_lists([[0, 1, 2, 3000]] + [[i] for i in range(2000)])
    scores = SessionKNN("stan", lambda_spw=0.5).fit(train).score(train.take([0]).recode(train.vocabulary))
    history = Sessions.from_lists([list(range(2000))], train.vocabulary)
    model = SessionKNN("stan", lambda_spw=0.5).fit(train)
    neighbours, _, _ = _Visit(model).neighbours(history.items.tolist(), goes_on=False)
    assert len(neighbours) == len(set(neighbours.tolist())) and scores.shape == (4, 2001)


@pytest.mark.parametrize("variant", ["sknn", "vsknn", "stan"])
def test_reading_on_is_reading_anew(variant):
    """A long session with repeats, click by click in one go and each prefix alone; STAN's exponent starts again."""
    train = some_sessions(5)
    model = SessionKNN(variant, lambda_spw=0.05, k=9).fit(train)
    clicks = np.random.default_rng(0).integers(0, train.n_items, 60)
    long = Sessions.from_lists([train.vocabulary.decode(clicks).tolist()], train.vocabulary)
    whole = model.score(long)
    for row in range(60):
        alone = model.score(long.part(0, 1), [row])[0]
        np.testing.assert_allclose(whole[row] / whole[row].max(), alone / alone.max(), rtol=1e-5, atol=1e-7)


def test_of_equal_neighbours_the_latest_count():
    train = Sessions.from_lists([["a", "old"], ["a", "new"]])
    assert SessionKNN(k=1, idf_weighting=0).fit(train).recommend(["a"]).tolist() == ["a", "new"]
    swapped = replace(train, times=np.array([9, 9, 1, 1]) * DAY, has_time=True)
    assert SessionKNN(k=1, idf_weighting=0).fit(swapped).recommend(["a"]).tolist() == ["a", "old"]
    assert SessionKNN(k=5, sample_size=1, idf_weighting=0).fit(swapped).recommend(["a"]).tolist() == ["a", "old"]


def test_nothing_is_left_over_from_the_row_before():
    train = some_sessions(3)
    model = SessionKNN().fit(train)
    whole = model.score(train.part(0, 30))
    rows = np.random.default_rng(0).permutation(len(whole))
    np.testing.assert_array_equal(model.score(train.part(0, 30), rows), whole[rows])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "knn"}, "variant='knn'; choose one of vsknn, sknn, stan"),
        ({"weighting": "linear"}, "weighting='linear'"),
        ({"weighting_score": "linear"}, "weighting_score='linear'"),
        ({"k": 0}, "k must be above 0"),
        ({"lambda_snh": 0}, "lambda_snh must be above 0"),
    ],
)
def test_parameters_that_will_not_do(options, message):
    with pytest.raises(ValueError, match=message):
        SessionKNN(**options).fit(some_sessions(0))


def test_accuracy_on_a_public_log(real_logs):
    """The public benchmark framework's V-SKNN with these parameters, on the same split."""
    log = datasets.load("rsc15-100k")
    train = log.sessions("train")
    test = log.sessions("test", vocabulary=train.vocabulary)
    model = SessionKNN("vsknn", k=500, sample_size=5000, weighting="quadratic", idf_weighting=5).fit(train)
    pessimistic, optimistic = (evaluate(model, test, ties=ties, lists=False) for ties in ("pessimistic", "optimistic"))
    assert pessimistic.recall == pytest.approx(0.688, abs=0.003)
    assert optimistic.recall == pytest.approx(0.703, abs=0.003)
    assert pessimistic.mrr == pytest.approx(0.367, abs=0.003)
