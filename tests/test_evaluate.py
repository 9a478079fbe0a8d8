"""`evaluate` against a loop that does the same by hand, one prediction at a time."""

import numpy as np
import pytest

from recsys_lab import evaluate as evaluate_module
from recsys_lab import metrics
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions
from recsys_lab.models import Popularity, SequentialRules, SessionPopularity


def random_sessions(seed: int, n: int = 60, n_items: int = 25, vocabulary=None) -> Sessions:
    rng = np.random.default_rng(seed)
    lists = [(rng.zipf(1.5, rng.integers(1, 8)) % n_items).tolist() for _ in range(n)]
    return Sessions.from_lists(lists, vocabulary)


TRAIN = random_sessions(0)
TEST = random_sessions(1, vocabulary=TRAIN.vocabulary)


def by_hand(model, sessions, k, ties):
    """(session, revealed, rank, listed items) of every prediction, from single-session calls."""
    rows = []
    for number, items in enumerate(sessions):
        for revealed in range(1, len(items)):
            prefix = Sessions.from_lists([sessions.vocabulary.decode(items[:revealed])], sessions.vocabulary)
            scores, target = model.score(prefix)[-1], items[revealed]
            higher, equal = (scores > scores[target]).sum(), (scores == scores[target]).sum() - 1
            rank = 1 + higher + {"optimistic": 0, "middle": equal / 2, "pessimistic": equal}[ties]
            rank = np.inf if scores[target] == -np.inf else rank
            order = sorted(range(len(scores)), key=lambda i, s=scores: (-s[i], i))[:k]
            rows.append((number, revealed, rank, [i for i in order if scores[i] > model.floor]))
    return rows


@pytest.mark.parametrize("ties", ["middle", "optimistic", "pessimistic"])
@pytest.mark.parametrize("model", [Popularity(), SessionPopularity(), SequentialRules()], ids=repr)
def test_against_the_loop(model, ties, monkeypatch):
    monkeypatch.setattr(evaluate_module, "CHUNK", 7 * TRAIN.n_items)  # so that chunks cut sessions
    known = TEST.where(TEST.items >= 0)
    model.fit(TRAIN)
    expected = by_hand(model, known, 5, ties)
    result = evaluate(model, known, k=5, ties=ties)
    assert result.sessions.tolist() == [row[0] for row in expected]
    assert result.positions.tolist() == [row[1] for row in expected]
    np.testing.assert_array_equal(result.ranks, [row[2] for row in expected])
    listed = np.bincount([i for row in expected for i in row[3]], minlength=TRAIN.n_items)
    np.testing.assert_array_equal(result.exposure, listed)
    hits = np.array([row[2] <= 5 for row in expected])
    assert result.recall == pytest.approx(hits.mean())
    assert result.precision == pytest.approx(hits.mean() / 5)
    assert result.mrr == result.map == pytest.approx(np.mean([1 / row[2] if row[2] <= 5 else 0 for row in expected]))
    assert result.coverage == pytest.approx(np.mean(listed > 0))


@pytest.mark.parametrize("chunk", [1, 10, 100, 10**6])
def test_chunks_change_nothing(chunk, monkeypatch):
    model = SequentialRules().fit(TRAIN)
    whole = evaluate(model, TEST)
    monkeypatch.setattr(evaluate_module, "CHUNK", chunk)
    parts = evaluate(model, TEST)
    np.testing.assert_array_equal(whole.ranks, parts.ranks)
    np.testing.assert_array_equal(whole.exposure, parts.exposure)


def test_scores_are_asked_for_in_bounded_chunks(monkeypatch):
    monkeypatch.setattr(evaluate_module, "CHUNK", 4 * TRAIN.n_items)
    asked = []

    class Watched(Popularity):
        def _score(self, sessions, rows):
            asked.append((len(rows), sessions.n_clicks))
            return super()._score(sessions, rows)

    long = Sessions.from_lists([TRAIN.vocabulary.ids.tolist() * 5] + [[1, 2]] * 50, TRAIN.vocabulary)
    evaluate(Watched().fit(TRAIN), long)
    assert max(rows for rows, _ in asked) <= 4


def test_targets_never_seen_are_misses_or_skipped():
    train = Sessions.from_lists([["a", "b"], ["a", "c"]])
    test = Sessions.from_lists([["a", "new"], ["a", "b"]])
    model = Popularity().fit(train)
    missed, skipped = evaluate(model, test), evaluate(model, test, unknown="skip")
    assert (missed.recall, missed.n_unknown, len(missed.ranks)) == (0.5, 1, 2)
    assert (skipped.recall, skipped.n_unknown, len(skipped.ranks)) == (1.0, 0, 1)


def test_perfect_and_hopeless_models():
    class Oracle(Popularity):
        wrong = False

        def _score(self, sessions, rows):
            scores = np.zeros((len(rows), sessions.n_items), np.float32)
            scores[np.arange(len(rows)), sessions.items[rows + 1]] = -1 if self.wrong else 1
            return scores

    known = TEST.where(TEST.items >= 0)
    assert evaluate(Oracle().fit(TRAIN), known).mrr == 1
    worst = Oracle().fit(TRAIN)
    worst.wrong = True
    assert evaluate(worst, known, k=1).recall == 0


def test_by_position_and_by_popularity_add_up():
    result = evaluate(SequentialRules().fit(TRAIN), TEST)
    for table in (result.by_position("mrr", last=3), result.by_popularity(np.bincount(TRAIN.items), "mrr", 3)):
        assert (table["mrr"] * table["n"]).sum() / table["n"].sum() == pytest.approx(result.mrr)
    assert result.by_position("mrr", last=3)["revealed"].tolist() == [1, 2, 3]


def test_popularity_bins_hold_equal_shares_of_the_clicks():
    counts = np.array([50, 1, 25, 1, 22, 1])
    test = Sessions.from_lists([[0, i] for i in range(6)])
    model = Popularity().fit(test)
    table = evaluate(model, test).by_popularity(counts, n_bins=2)
    assert table["n"].tolist() == [1, 5]  # the best-seller alone is half of all clicks


def test_intervals_and_comparisons():
    good, poor = SequentialRules().fit(TEST.where(TEST.items >= 0)), Popularity().fit(TRAIN)
    a, b = evaluate(good, TEST), evaluate(poor, TEST)
    low, high, level = a.interval("recall")
    assert low < a.recall < high and level == 0.95
    expected = metrics.compare(a.values("mrr"), b.values("mrr"), a.sessions)
    assert a.compare(b) == expected and expected.clear
    with pytest.raises(ValueError, match="same sessions"):
        a.compare(evaluate(poor, TRAIN))


def test_what_evaluate_refuses():
    model = Popularity().fit(TRAIN)
    with pytest.raises(ValueError, match="no session has a second click"):
        evaluate(model, Sessions.from_lists([[1], [2]], TRAIN.vocabulary))
    with pytest.raises(ValueError, match="unknown='drop'"):
        evaluate(model, TEST, unknown="drop")
    with pytest.raises(ValueError, match="no lists were made"):
        _ = evaluate(model, TEST, lists=False).coverage
    assert evaluate(model, TEST, lists=False).recall == evaluate(model, TEST).recall
