"""ALS and BPR against a dense twin, against `implicit` itself, and against answers worked by hand."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking

from recsys_lab.histories import user_items
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import ALS, BPR
from recsys_lab.models.factorisation import fold_in


def some_sessions(n=60, n_items=15, seed=0) -> Sessions:
    """Sessions of 1 to 9 clicks with repeats, two kinds of visitors."""
    rng = np.random.default_rng(seed)
    halves = [np.arange(n_items) < 9, np.arange(n_items) >= 6]
    lists = [rng.choice(np.flatnonzero(halves[i % 2]), rng.integers(1, 10), replace=True).tolist() for i in range(n)]
    return Sessions.from_lists(lists, Vocabulary(np.arange(n_items)))


def with_users(sessions: Sessions, users, names) -> Sessions:
    return replace(sessions, users=np.array(users, np.int32), user_vocabulary=Vocabulary(names))


SESSIONS = some_sessions()
# more factors than a short session has items, and fewer than a long one has: both forms of the fold-in
EXACT = ALS(factors=4, regularization=0.5, alpha=3, use_cg=False, iterations=5)


# ---- ALS ------------------------------------------------------------------------------------------------------------


def half_step(confidence, others, regularization):
    """The best vector of each row of a dense matrix, by the normal equations and nothing else."""
    factors, found = others.shape[1], []
    for c in confidence:
        weight = np.where(c > 0, c, 1)  # an empty cell has preference 0 with confidence 1
        left = (others * weight[:, None]).T @ others + regularization * np.eye(factors)
        found.append(np.linalg.solve(left, others.T @ (weight * (c > 0))))
    return np.array(found)


def test_als_learns_what_a_dense_als_learns():
    confidence = 3.0 * user_items(SESSIONS).toarray()
    # no iteration: the random start of implicit itself
    start = AlternatingLeastSquares(factors=4, random_state=0, iterations=0, num_threads=1)
    start.fit(user_items(SESSIONS), show_progress=False)
    users, items = start.user_factors.astype(float), start.item_factors.astype(float)
    for _ in range(5):
        users = half_step(confidence, items, 0.5)
        items = half_step(confidence.T, users, 0.5)
    model = ALS(**EXACT.get_params()).fit(SESSIONS)
    np.testing.assert_allclose(model.item_factors_, items, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(model.user_factors_, users, rtol=1e-3, atol=1e-4)


def test_folding_in_a_training_row_gives_its_vector_again():
    model = ALS(**{**EXACT.get_params(), "iterations": 300}).fit(SESSIONS)
    found = fold_in(3.0 * user_items(SESSIONS), model.item_factors_, model.gram_)
    np.testing.assert_allclose(found, model.user_factors_, atol=1e-4)
    assert np.abs(model.user_factors_).max() > 0.1
    last = SESSIONS.offsets[1:] - 1
    np.testing.assert_allclose(model.score(SESSIONS, last), model.user_factors_ @ model.item_factors_.T, atol=1e-3)


@pytest.mark.parametrize("factors", [2, 4, 30])
def test_fold_in_is_that_of_implicit(factors):
    model = ALS(factors=factors, regularization=0.5, alpha=3).fit(SESSIONS)
    library = AlternatingLeastSquares(factors=factors, regularization=0.5, alpha=3, num_threads=1)
    library.item_factors = model.item_factors_
    new = user_items(some_sessions(seed=9))
    theirs = library.recalculate_user(np.arange(new.shape[0]), new)
    np.testing.assert_allclose(fold_in(3.0 * new, model.item_factors_, model.gram_), theirs, rtol=1e-3, atol=1e-4)


def test_scores_after_a_click_are_those_of_the_session_up_to_it():
    model = ALS(**EXACT.get_params()).fit(SESSIONS)
    new = some_sessions(seed=3)
    scores = model.score(new)
    for row in (0, 5, 17, 40, new.n_clicks - 1):
        session = new.session_of_click[row]
        clicks = np.bincount(new.items[new.offsets[session] : row + 1], minlength=new.n_items)
        expected = half_step([3.0 * clicks], model.item_factors_.astype(float), 0.5)[0] @ model.item_factors_.T
        np.testing.assert_allclose(scores[row], expected, rtol=1e-4, atol=1e-5)


def test_many_rows_at_once_are_cut_into_batches(monkeypatch):
    model, new = ALS(**EXACT.get_params()).fit(SESSIONS), some_sessions(n=200, seed=4)
    whole = model.score(new)
    monkeypatch.setattr("recsys_lab.models.factorisation.BATCH", 50)
    np.testing.assert_array_equal(model.score(new), whole)


def test_a_row_without_clicks_has_the_vector_zero():
    model = ALS(**EXACT.get_params()).fit(SESSIONS)
    empty = user_items(SESSIONS)[:2].copy()
    empty.data[:] = 0
    empty.eliminate_zeros()
    assert not fold_in(empty, model.item_factors_, model.gram_).any()


def test_weights_are_confidences():
    carts = replace(SESSIONS, events=(np.arange(SESSIONS.n_clicks) % 3 == 0).astype(np.int8))
    model = ALS(**{**EXACT.get_params(), "weights": {"view": 1, "cart": 4}}).fit(carts)
    by_hand = user_items(carts, weights=np.where(carts.events == 1, 4, 1))
    library = AlternatingLeastSquares(4, 0.5, 3, use_cg=False, iterations=5, num_threads=1, random_state=0)
    library.fit(by_hand, show_progress=False)
    np.testing.assert_array_equal(model.item_factors_, library.item_factors)
    vectors = library.recalculate_user(np.arange(len(carts)), by_hand)
    scores = model.score(carts, carts.offsets[1:] - 1)
    np.testing.assert_allclose(scores, vectors @ library.item_factors.T, rtol=1e-3, atol=1e-4)


def test_a_forgotten_weight_is_an_error():
    carts = replace(SESSIONS, events=np.full(SESSIONS.n_clicks, 1, np.int8))
    with pytest.raises(ValueError, match="no 'cart'"):
        ALS(weights={"view": 1}).fit(carts)
    with pytest.raises(ValueError, match="nothing to learn"):
        ALS(weights={"cart": 0}).fit(carts)


def test_an_event_without_weight_is_as_if_it_had_not_happened():
    events = np.zeros(SESSIONS.n_clicks, np.int8)
    events[::4] = 3
    mixed = replace(SESSIONS, events=events)
    without = ALS(**EXACT.get_params()).fit(mixed.only("view"))
    model = ALS(**{**EXACT.get_params(), "weights": {"view": 1, "purchase": 0}}).fit(mixed)
    assert model.learned_.tolist() == without.learned_.tolist()
    session = [3, 3, 7]
    np.testing.assert_allclose(
        model.score(Sessions.from_lists([session], SESSIONS.vocabulary)),
        without.score(Sessions.from_lists([session], SESSIONS.vocabulary)),
        rtol=2e-2,  # rows that are empty now start elsewhere
        atol=2e-2,
    )


def test_what_was_sent_back_pulls_the_other_way():
    events = np.zeros(3, np.int8)
    model = ALS(**{**EXACT.get_params(), "weights": {"view": 1, "return": -3}}).fit(SESSIONS)
    clicks = Sessions.from_lists([[0, 12, 1]], SESSIONS.vocabulary)
    liked, returned = (replace(clicks, events=e) for e in (events, np.array([0, 4, 0], np.int8)))
    assert model.score(returned)[-1, 12] < model.score(liked)[-1, 12] - 0.1


def test_items_without_a_click_are_never_listed():
    train = Sessions.from_lists([["a", "b"], ["b", "c"]], Vocabulary(["a", "b", "c", "d"]))
    for model in (ALS(factors=2), BPR(factors=2)):
        model.fit(train)
        assert model.score(train)[:, 3].tolist() == [-np.inf] * 4
        assert "d" not in model.recommend(["a"]) and "d" not in model.similar_items("a")[0]


# ---- users ----------------------------------------------------------------------------------------------------------


def two_users() -> Sessions:
    """User "x" has sessions 0, 2, 4 …, "y" sessions 1, 3, 5 …; every tenth session is anonymous."""
    users = [-1 if i % 10 == 9 else i % 2 for i in range(len(SESSIONS))]
    return with_users(SESSIONS, users, ["x", "y"])


BY_USER = {**EXACT.get_params(), "by": "user"}


def test_rows_may_be_users():
    log = two_users()
    model = ALS(**BY_USER).fit(log)
    assert model.user_factors_.shape == (2, 4)
    history = user_items(log, by="user")
    assert (model.history_ != history).nnz == 0 and history.sum() < log.n_clicks
    library = AlternatingLeastSquares(4, 0.5, 3, use_cg=False, iterations=5, num_threads=1, random_state=0)
    library.fit(history, show_progress=False)
    np.testing.assert_array_equal(model.item_factors_, library.item_factors)


@pytest.mark.parametrize("kind", [ALS, BPR])
def test_a_known_users_history_counts_with_the_session(kind):
    log = two_users()
    model = kind(**BY_USER).fit(log) if kind is ALS else BPR(factors=4, by="user").fit(log)
    new = Sessions.from_lists([[14, 14], [14, 14], [14, 14]], log.vocabulary)
    scores = model.score(with_users(new, [1, -1, 0], ["x", "stranger"]))[1::2]  # the stranger, nobody, "x"
    alone = model.score(new)[1]
    np.testing.assert_array_equal(scores[0], alone)
    np.testing.assert_array_equal(scores[1], alone)
    together = model.history_[0].toarray()[0]
    assert together[14] == 0
    together[14] = 2
    known = Sessions.from_lists([np.repeat(np.arange(15), together.astype(int)).tolist()], log.vocabulary)
    np.testing.assert_allclose(scores[2], model.score(known)[-1], rtol=1e-5)
    best = np.argsort(-scores[2], kind="stable")[:5]
    assert model.recommend([14, 14], k=5, user_id="x").tolist() == best.tolist()
    assert model.recommend([14, 14], k=5).tolist() == np.argsort(-alone, kind="stable")[:5].tolist()


def test_a_session_of_the_training_part_counts_once():
    histories = with_users(SESSIONS, np.arange(len(SESSIONS)), [f"u{i:02}" for i in range(len(SESSIONS))])
    by_user, by_session = ALS(**BY_USER).fit(histories), ALS(**EXACT.get_params()).fit(histories)
    last = histories.offsets[1:] - 1
    np.testing.assert_array_equal(by_user.score(histories, last), by_session.score(histories, last))


def test_a_dislike_in_the_session_is_not_lost_beside_a_history():
    model = ALS(**{**BY_USER, "weights": {"view": 1, "return": -30}}).fit(two_users())
    clicks = Sessions.from_lists([[0]], SESSIONS.vocabulary)
    seen = [model.score(with_users(replace(clicks, events=np.array([e], np.int8)), [0], ["x"]))[0, 0] for e in (0, 4)]
    assert seen[1] < seen[0] - 0.1


def test_rows_that_no_log_has_are_refused():
    with pytest.raises(ValueError, match="knows no users"):
        ALS(by="user").fit(SESSIONS)
    with pytest.raises(ValueError, match="choose 'session' or 'user'"):
        BPR(by="visitor").fit(SESSIONS)


def test_histories_survive_saving(tmp_path):
    log = two_users()
    model = ALS(**{**BY_USER, "weights": {"view": 2}}).fit(log)
    model.save(tmp_path / "m")
    again = ALS.load(tmp_path / "m")
    assert again.weights == {"view": 2}
    assert again.recommend([14], user_id="x").tolist() == model.recommend([14], user_id="x").tolist()
    np.testing.assert_array_equal(again.score(log), model.score(log))
    assert not hasattr(model.fit(log).__class__(factors=2).fit(log), "history_")


def test_fitting_by_session_forgets_an_earlier_history():
    model = ALS(**BY_USER).fit(two_users())
    model.by = "session"
    assert not hasattr(model.fit(two_users()), "history_")


# ---- vectors, for an index ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [EXACT, ALS(factors=4, regularization=1, by="user"), BPR(factors=4, iterations=30)])
def test_queries_times_item_vectors_is_the_score(kind):
    sessions = with_users(SESSIONS, np.arange(len(SESSIONS)) % 20 - 1, np.arange(19))
    catalogue = Vocabulary(np.arange(17))  # two items that nobody clicked
    model = type(kind)(**kind.get_params()).fit(sessions.recode(catalogue))
    rows = np.arange(SESSIONS.n_clicks)
    scores, vectors = model.score(sessions.recode(catalogue), rows), model.item_vectors()
    assert vectors.dtype == np.float32 and np.isfinite(vectors).all(axis=1).tolist() == [True] * 15 + [False] * 2
    queries = model.queries(sessions.recode(catalogue), rows)
    np.testing.assert_allclose(queries @ vectors[:15].T, scores[:, :15], rtol=1e-5, atol=1e-6)
    assert np.isneginf(scores[:, 15:]).all()
    of_rows = model.user_factors_ @ model.item_factors_[:15].T + getattr(model, "item_biases_", np.zeros(17))[:15]
    readers = model.reader_queries(np.arange(len(model.user_factors_)))
    np.testing.assert_allclose(readers @ vectors[:15].T, of_rows, rtol=1e-4, atol=1e-5)
    for row in (0, 7, 100):  # whatever else is asked
        np.testing.assert_array_equal(model.queries(sessions.recode(catalogue), rows[[row]])[0], queries[row])


def test_item_factors_are_doubled_once_and_anew_after_fitting():
    model = ALS(**EXACT.get_params()).fit(SESSIONS)
    once = model._items64
    assert model._items64 is once and once.dtype == np.float64
    model.fit(some_sessions(seed=1))
    np.testing.assert_array_equal(model._items64, model.item_factors_)
    assert not np.array_equal(model._items64, once)


def test_many_threads_may_ask_for_the_first_score_at_once():
    model, rows = ALS(**EXACT.get_params()).fit(SESSIONS), np.arange(SESSIONS.n_clicks)
    right = model.score(SESSIONS, rows)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(30):
                vars(model).pop("_doubled")
                for scores in pool.map(lambda _: model.score(SESSIONS, rows), range(8)):
                    np.testing.assert_array_equal(scores, right)
    finally:
        sys.setswitchinterval(before)


# ---- BPR ------------------------------------------------------------------------------------------------------------


def test_bpr_learns_what_implicit_learns():
    model = BPR(factors=3, learning_rate=0.05, iterations=20, random_state=5).fit(SESSIONS)
    library = BayesianPersonalizedRanking(3, 0.05, 0.01, iterations=20, num_threads=1, random_state=5)
    library.fit(user_items(SESSIONS), show_progress=False)
    ours = model.user_factors_ @ model.item_factors_.T + model.item_biases_
    np.testing.assert_allclose(ours, library.user_factors @ library.item_factors.T, atol=1e-5)


def test_a_session_of_bpr_has_the_mean_vector_of_its_items():
    model = BPR(factors=3, learning_rate=0.1).fit(SESSIONS)
    scores = model.score(Sessions.from_lists([[2, 7, 2]], SESSIONS.vocabulary))
    for row, items in enumerate(([2], [2, 7], [2, 7])):
        expected = model.item_factors_[items].mean(axis=0) @ model.item_factors_.T + model.item_biases_
        np.testing.assert_allclose(scores[row], expected, rtol=1e-5)


def test_bpr_puts_what_was_clicked_above_what_was_not():
    model = BPR(factors=4, learning_rate=0.1).fit(SESSIONS)
    scores, clicked = model.score(SESSIONS, SESSIONS.offsets[1:] - 1), user_items(SESSIONS).toarray() > 0
    above = [(row[mine][:, None] > row[~mine]).mean() for row, mine in zip(scores, clicked, strict=True)]
    assert np.mean(above) > 0.85  # 0.5 is chance


# ---- similar items --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [ALS(factors=4), BPR(factors=4)], ids=repr)
def test_similar_items_by_cosine(model):
    model.fit(SESSIONS)
    vectors = model.item_factors_.astype(float)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit[3]
    cosines[3] = -np.inf
    ids, similarities = model.similar_items(3, k=4)
    assert ids.tolist() == np.argsort(-cosines, kind="stable")[:4].tolist()
    np.testing.assert_allclose(similarities, cosines[ids], rtol=1e-5)
    assert len(model.similar_items(3, k=99)[0]) == 14


def test_similar_to_nothing():
    with pytest.raises(ValueError, match="'no such' was not clicked"):
        ALS(factors=2).fit(SESSIONS).similar_items("no such")
