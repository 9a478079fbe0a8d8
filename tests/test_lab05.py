"""The exercises of lab 05 against the package, and what the lab says of the simulated shop."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from implicit.cpu.als import AlternatingLeastSquares

from recsys_lab import bookshop, datasets, split
from recsys_lab.checks import lab05
from recsys_lab.cleaning import Cleaning
from recsys_lab.evaluate import evaluate
from recsys_lab.held_out import evaluate_held_out
from recsys_lab.histories import histories, hold_out, user_items
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import ALS, BPR, Popularity, SequentialRules, SessionKNN
from recsys_lab.models.factorisation import fold_in
from recsys_lab.ranking import top_k

WEIGHTS = {"view": 1, "cart": 4, "remove": -4, "purchase": 3, "return": -6}
MOMENT = pd.Timestamp("2025-12-14 20:30", tz="UTC")


def cases(exercise):
    return [case.args for case in exercise.all_cases()]


def in_position(vectors, kind=ALS, **attributes):
    """A model that has learned these item vectors."""
    model = kind(factors=vectors.shape[1], by="session", **attributes)
    n = len(vectors)
    model.vocabulary_, model.user_vocabulary_ = Vocabulary(np.arange(n)), None
    model.popularity_, model.learned_ = np.ones(n, np.int64), np.ones(n, bool)
    model.item_factors_ = vectors
    model.gram_ = vectors.T @ vectors + model.regularization * np.eye(vectors.shape[1])
    return model


# ---- the references against the package -----------------------------------------------------------------------------


def test_the_matrix_is_that_of_the_package():
    for strengths, users, items in cases(lab05.user_item_matrix):
        lines = strengths.sort_values("user_id", kind="stable").assign(event="view", order=range(len(strengths)))
        log = lines.assign(session_id=lines["user_id"])
        sessions = Sessions.from_frame(log, Vocabulary(items), user_vocabulary=Vocabulary(users))
        theirs = user_items(sessions, by="user", weights=lines["strength"].to_numpy())  # both in the order of `lines`
        ours = lab05.user_item_matrix.reference(strengths, users, items)
        np.testing.assert_allclose(ours.toarray(), theirs.toarray(), rtol=1e-6)  # theirs is float32


def test_the_half_step_is_that_of_the_package_and_of_implicit():
    for confidence, vectors, regularization in cases(lab05.user_vector):
        ours = lab05.user_vector.reference(confidence, vectors, regularization)
        row = user_items(
            Sessions.from_lists([np.flatnonzero(confidence).tolist()], Vocabulary(np.arange(len(vectors))))
        )
        row.data[:] = confidence[row.indices]
        gram = vectors.T @ vectors + regularization * np.eye(vectors.shape[1])
        np.testing.assert_allclose(fold_in(row, vectors, gram)[0], ours, atol=1e-9)
        library = AlternatingLeastSquares(vectors.shape[1], regularization, num_threads=1)
        library.item_factors = vectors.astype(np.float32)
        np.testing.assert_allclose(library.recalculate_user(0, row), ours, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [ALS, BPR])
def test_similar_items_are_those_of_the_package(kind):
    for item, vectors, k in cases(lab05.similar_items):
        ours = lab05.similar_items.reference(item, vectors, k)
        assert in_position(vectors, kind).similar_items(item, k)[0].tolist() == ours


def test_folding_in_is_that_of_the_package():
    for clicked, vectors, regularization, alpha, k in cases(lab05.recommend_to_session):
        model = in_position(vectors, regularization=regularization, alpha=alpha)
        ours = lab05.recommend_to_session.reference(clicked, vectors, regularization, alpha, k)
        assert model.recommend(clicked, k, exclude=clicked).tolist() == ours


def test_no_two_scores_of_a_case_are_so_near_that_rounding_decides():
    for clicked, vectors, regularization, alpha, _ in cases(lab05.recommend_to_session):
        scores = vectors @ lab05.user_vector.reference(
            alpha * np.bincount(clicked, minlength=len(vectors)), vectors, regularization
        )
        assert np.diff(np.sort(np.delete(scores, clicked))).min() > 1e-5
    for item, vectors, _ in cases(lab05.similar_items):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        assert np.diff(np.sort(np.delete(unit @ unit[item], item))).min(initial=1) > 1e-5


# ---- what the lab says ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def events():
    return Cleaning(datasets.load("bookshop").events).drop_double_fires().drop_bots().events


@pytest.fixture(scope="module")
def pasts(events):
    signed_in = events.dropna(subset=["user_id"]).astype({"user_id": "int64"})
    past = signed_in[signed_in["timestamp"] < MOMENT]
    return Sessions.from_frame(past.assign(session_id=past["user_id"]), Vocabulary(bookshop.catalogue()["item_id"]))


def ten_new_books(model) -> np.ndarray:
    scores = model.user_factors_ @ model.item_factors_.T
    scores[model.history_.toarray() != 0] = -np.inf
    return top_k(scores, 10)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_users_with_nothing_in_common_get_lists_of_their_own(pasts, seed):
    """Median over 200 pairs of users with disjoint histories: less than 20 % of their ten books are the same."""
    model = ALS(8, 100, alpha=5, iterations=10, weights=WEIGHTS, by="user", random_state=seed).fit(pasts)
    lists, had = ten_new_books(model), model.history_.toarray() != 0
    rng, shared = np.random.default_rng(seed), []
    users = np.flatnonzero(had.sum(axis=1) >= 10)
    while len(shared) < 200:
        one, other = rng.choice(users, 2, replace=False)
        if not (had[one] & had[other]).any():
            shared.append(len(set(lists[one]) & set(lists[other])) / 10)
    assert np.median(shared) < 0.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lists_follow_the_true_taste_unless_the_matrix_lies_on_its_side(pasts, seed):
    truth = bookshop.truth()
    matrix = user_items(pasts)[:1000]
    taste = truth.preference(pasts.session_ids[:1000]) - truth.quality
    percentile = 100 * taste.argsort(axis=1).argsort(axis=1) / (truth.n_items - 1)
    found = {}
    for name, m in (("right", matrix), ("wrong", matrix.T.tocsr())):
        library = AlternatingLeastSquares(8, 100, alpha=5, iterations=10, num_threads=1, random_state=seed)
        library.fit(m, show_progress=False)
        lists = top_k(library.user_factors[:1000] @ library.item_factors.T, 10)
        found[name] = np.take_along_axis(percentile, lists, axis=1).mean()
    assert found["right"] > 60
    assert 45 < found["wrong"] < 55


@pytest.mark.parametrize("seed", [0, 1])
def test_within_a_visit_rules_and_neighbours_are_ahead(events, seed):
    views = Sessions.from_frame(
        events[events["event"] == "view"], Vocabulary(bookshop.catalogue()["item_id"])
    ).longer_than(1)
    train, test, _ = split.by_time(views, MOMENT)
    als = evaluate(ALS(16, 10, alpha=10, iterations=10, random_state=seed).fit(train), test, lists=False)
    for model in (SequentialRules(), SessionKNN()):
        assert evaluate(model.fit(train), test, lists=False).compare(als, "ndcg").low > 0


@pytest.mark.needs("real-logs")
def test_on_real_histories_factorisation_leads_and_rules_are_last():
    """What the lab says below its picture of movielens-1m, on a third of the people."""
    everybody = histories(datasets.load("movielens-1m").tables["ratings"], at_least=4)
    known, hidden, _ = hold_out(everybody.part(0, 2000))
    ordered = [ALS(64, 10, alpha=5, iterations=10), SessionKNN("sknn"), Popularity(), SequentialRules()]
    results = [evaluate_held_out(model.fit(known), known, hidden, lists=False) for model in ordered]
    for better, worse in pairwise(results):
        assert better.compare(worse, "ndcg").low > 0, worse.model
