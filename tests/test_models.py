"""Each model against answers worked by hand, a brute-force twin, and published lists."""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from recsys_lab import datasets
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions
from recsys_lab.models import (
    AssociationRules,
    FrequentlyBoughtTogether,
    ItemKNN,
    Popularity,
    SequentialRules,
    SessionPopularity,
)
from recsys_lab.ranking import top_k

SMALL = Sessions.from_lists([["a", "b", "c"], ["a", "b", "a"], ["c", "b"]])


def scores(model, session) -> dict:
    row = model.score(Sessions.from_lists([session], model.vocabulary_))[-1]
    return dict(zip(model.vocabulary_.ids, row.tolist(), strict=True))


def test_popularity_by_hand():
    assert scores(Popularity().fit(SMALL), ["c"]) == {"a": 3, "b": 3, "c": 2}


def test_session_popularity_by_hand():
    model = SessionPopularity().fit(SMALL)
    found = scores(model, ["c", "a", "c"])
    assert found == {"a": pytest.approx(1.75), "b": -np.inf, "c": pytest.approx(2.5)}
    assert model.recommend(["c", "a", "c"]).tolist() == ["c", "a"]
    assert model.recommend(["c", "a"]).tolist() == ["a", "c"]  # equally often: the more popular first


def test_association_rules_by_hand():
    # pairs of a: (a,b) once in session 1 and twice in session 2; (a,c) once; (a,a) once, counted in both directions
    found = scores(AssociationRules().fit(SMALL), ["a"])
    assert found == {"a": pytest.approx(2 / 3), "b": 1, "c": pytest.approx(1 / 3)}


def test_sequential_rules_by_hand():
    # after a: b at distance 1 twice, c and a at distance 2 once each
    found = scores(SequentialRules().fit(SMALL), ["c", "a"])
    assert found == {"a": pytest.approx(0.25 / 2), "b": 1, "c": pytest.approx(0.25 / 2)}
    # b is followed by c once, a once; c by b once; nothing follows beyond the window
    assert scores(SequentialRules(window=1).fit(SMALL), ["a"]) == {"a": 0, "b": 1, "c": 0}


def test_item_knn_by_hand():
    # sessions with a: 1, 2; with b: all; with c: 1, 3
    found = scores(ItemKNN(shrinkage=1).fit(SMALL), ["b", "a"])
    assert found == {"a": 0, "b": pytest.approx(2 / (3 * 4) ** 0.5), "c": pytest.approx(1 / 3)}


def brute_force_rules(sessions, window, directed, n_rules):
    weights = defaultdict(lambda: defaultdict(float))
    for items in sessions:
        for later in range(len(items)):
            for earlier in range(later):
                if directed and later - earlier <= window:
                    weights[items[earlier]][items[later]] += 1 / (later - earlier) ** 2
                elif not directed:
                    weights[items[earlier]][items[later]] += 1
                    weights[items[later]][items[earlier]] += 1
    dense = np.zeros((sessions.n_items, sessions.n_items))
    for item, row in weights.items():
        for other, weight in sorted(row.items(), key=lambda pair: (-pair[1], pair[0]))[:n_rules]:
            dense[item, other] = weight / max(row.values())
    return dense


@pytest.mark.parametrize(("model", "directed"), [(AssociationRules(3), False), (SequentialRules(2, 3), True)])
def test_rules_against_a_loop(model, directed):
    rng = np.random.default_rng(0)
    sessions = Sessions.from_lists([rng.integers(0, 9, rng.integers(1, 8)).tolist() for _ in range(50)])
    expected = brute_force_rules(sessions, 2, directed, 3)
    np.testing.assert_allclose(model.fit(sessions).weights_.toarray(), expected, rtol=1e-6)


def test_item_knn_against_dense_numpy():
    rng = np.random.default_rng(0)
    sessions = Sessions.from_lists([rng.integers(0, 9, rng.integers(1, 8)).tolist() for _ in range(50)])
    occurs = np.zeros((50, sessions.n_items))
    for number, items in enumerate(sessions):
        occurs[number, items] = 1
    support = occurs.sum(axis=0) + 4
    expected = occurs.T @ occurs / np.sqrt(np.outer(support, support))
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ItemKNN(4).fit(sessions).weights_.toarray(), expected, rtol=1e-6)
    nearest = ItemKNN(4, n_neighbours=2).fit(sessions).weights_.toarray()
    kept = top_k(expected, 2)
    assert all(set(np.flatnonzero(row)) == set(best) for row, best in zip(nearest, kept, strict=True))


@pytest.mark.parametrize("n_last", [1, 2, 3, None])
def test_item_knn_adds_up_the_last_clicks(n_last):
    rng = np.random.default_rng(1)
    sessions = Sessions.from_lists([rng.integers(0, 9, rng.integers(1, 8)).tolist() for _ in range(50)])
    model = ItemKNN(4, n_last=n_last).fit(sessions)
    rows = model.weights_.toarray()
    for row, (session, position) in enumerate(zip(sessions.session_of_click, sessions.positions, strict=True)):
        seen = sessions[session][: position + 1]
        distinct = set(seen if n_last is None else seen[-n_last:])
        np.testing.assert_allclose(model.score(sessions, [row])[0], rows[list(distinct)].sum(axis=0), rtol=1e-5)


def test_bought_together_by_hand():
    # 8 baskets; bread and butter together in 3, each in 4: by chance 2. bread and once meet once, by chance 4/8
    baskets = [["bread", "butter"]] * 3 + [["bread", "once"], ["butter", "tea"], ["tea"], ["tea"], ["jam"]]
    model = FrequentlyBoughtTogether(prior=1, min_support=1).fit(Sessions.from_lists(baskets))
    found = scores(model, ["bread"])
    assert found["butter"] == pytest.approx(np.log((3 + 1) / (2 + 1)))
    assert found["once"] == pytest.approx(np.log((1 + 1) / (0.5 + 1)))
    assert found["bread"] == found["tea"] == found["jam"] == 0
    both = scores(model, ["tea", "bread", "bread"])  # what is in the basket is not offered; log lifts are added
    assert both["tea"] == both["bread"] == 0
    assert both["butter"] == pytest.approx(np.log(4 / 3))  # tea and butter meet less often than by chance
    assert scores(FrequentlyBoughtTogether(prior=1).fit(Sessions.from_lists(baskets)), ["bread"])["once"] == 0


def test_sold_once_with_a_best_seller_is_no_complement():
    rng = np.random.default_rng(0)
    baskets = [["best", f"other{i}"] if rng.random() < 0.3 else [f"other{i}", f"other{i + 1}"] for i in range(40)] * 5
    sessions = Sessions.from_lists([*baskets, ["best", "once"], *([["best", "partner"]] * 6)])
    plain = FrequentlyBoughtTogether(prior=0, min_support=1).fit(sessions)
    assert plain.recommend(["best"], k=1) == ["once"]  # the plain lift falls for it
    shrunk = FrequentlyBoughtTogether(prior=5, min_support=1).fit(sessions)
    assert shrunk.recommend(["best"], k=1) == ["partner"]
    assert "once" not in FrequentlyBoughtTogether().fit(sessions).recommend(["best"], k=99)


def test_shrinkage_keeps_chance_meetings_down():
    often = [["a", "b"]] * 30 + [["a"]] * 10 + [["b"]] * 10
    sessions = Sessions.from_lists([*often, ["a", "once"]])
    assert ItemKNN(shrinkage=20).fit(sessions).recommend(["a"]).tolist() == ["b", "once"]
    row = scores(ItemKNN(shrinkage=0).fit(sessions), ["once"])
    assert row["a"] < 1


@pytest.fixture(scope="module")
def rsc15():
    return datasets.load("rsc15-100k")


@pytest.mark.needs("real-logs")
@pytest.mark.parametrize(
    ("name", "model", "n_lists"), [("ar", AssociationRules(), 387), ("sr", SequentialRules(), 383)]
)
def test_rules_reproduce_the_published_lists(rsc15, name, model, n_lists):
    """Every positive score to 1e-6; every item too, unless its score ties with the weakest that was kept."""
    train = rsc15.sessions("train")
    test = rsc15.sessions("test", vocabulary=train.vocabulary)
    model.fit(train)
    number = {session_id: i for i, session_id in enumerate(test.session_ids.tolist())}
    reference = rsc15.tables["reference_recommendations"].query("model == @name and score > 0")
    compared = 0
    for (session_id, position), published in reference.groupby(["session_id", "position"]):
        row = model.score(test, [test.offsets[number[session_id]] + position])[0]
        listed = top_k(row, 50, above=0)
        listed = listed[listed >= 0]
        published = published.sort_values("rank")
        np.testing.assert_allclose(row[listed], published["score"], atol=1e-6)
        weakest = published["score"].min() + 1e-6
        ours = {
            (i, s) for i, s in zip(test.vocabulary.decode(listed).tolist(), row[listed], strict=True) if s > weakest
        }
        theirs = published.loc[published["score"] > weakest, "item_id"]
        assert {item for item, _ in ours} == set(theirs)
        compared += 1
    assert compared == n_lists


@pytest.mark.needs("real-logs")
@pytest.mark.parametrize(
    ("model", "recall", "mrr"),
    [(Popularity(), 0.93, 0.21), (SessionPopularity(), 20.51, 13.61), (ItemKNN(), 37.27, 11.99)],
    ids=["POP", "S-POP", "Item-KNN"],
)
def test_baselines_land_on_the_known_values_of_diginetica(model, recall, mrr):
    """The published lists broke ties in some order, so their values lie between ours for the worst and best order."""
    log = datasets.load("diginetica")
    train = log.sessions("train")
    model.fit(train)
    test = log.sessions("test", vocabulary=train.vocabulary)
    worst, middle, best = (evaluate(model, test, ties=t, lists=False) for t in ("pessimistic", "middle", "optimistic"))
    assert len(middle.ranks) == 60_858
    assert 100 * middle.recall == pytest.approx(recall, abs=0.06)
    assert 100 * middle.mrr == pytest.approx(mrr, abs=0.06)
    assert 100 * worst.recall - 0.005 <= recall <= 100 * best.recall + 0.005
    assert 100 * worst.mrr - 0.005 <= mrr <= 100 * best.mrr + 0.005


@pytest.mark.needs("real-logs")
def test_ties_alone_move_a_real_number(rsc15):
    train = rsc15.sessions("train")
    test = rsc15.sessions("test", vocabulary=train.vocabulary)
    model = SequentialRules().fit(train)
    low, high = (evaluate(model, test, ties=ties, lists=False).recall for ties in ("pessimistic", "optimistic"))
    assert len(evaluate(model, test, lists=False).ranks) == 10_152
    assert high - low > 0.05


def test_scores_of_pandas_ids_decode_to_the_same_ids():
    frame = pd.DataFrame(
        {"session_id": [1, 1, 2, 2], "item_id": ["x", "y", "x", "y"], "event": "view", "order": range(4)}
    )
    assert ItemKNN().fit(Sessions.from_frame(frame)).recommend(["x"]).tolist() == ["y"]
