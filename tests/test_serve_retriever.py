"""The retriever: the same list as the batch path to the last item, filters, and what a broken model may not do."""

import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tiny_shop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_shop import LONGEST, N_BOOKS, N_READERS

from recsys_lab import models
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.serve import merging
from recsys_lab.serve.bundle import Bundle, BundleError
from recsys_lab.serve.calls import MOST_STUCK
from recsys_lab.serve.catalogue import Catalogue
from recsys_lab.serve.explaining import speaking_clicks
from recsys_lab.serve.retriever import Retriever

ALWAYS = 60_000  # ms: a busy machine is no reason for another list


def retriever(bundle=None, **options):
    """Over the small shop, with a bundle and a catalogue of its own."""
    bundle = bundle or tiny_shop.bundle()
    own = Bundle(
        dict(bundle.models), Catalogue(bundle.catalogue.table), bundle.history, bundle.segments, bundle.version
    )
    return Retriever(own, **{"budget_ms": ALWAYS, **options})


@pytest.fixture(scope="module")
def shop():
    opened = retriever()
    yield opened
    opened.close()


# ---- merging ------------------------------------------------------------------------------------------------------


def test_fusion_by_hand():
    rows = merging.fuse({"a": [1, 2, 3], "b": [3, 4]}, {"a": 1.0, "b": 2.0})
    assert [(item, name) for item, _, name in rows] == [(3, "b"), (4, "b"), (1, "a"), (2, "a")]
    assert [score for _, score, _ in rows] == pytest.approx([1 / 63 + 2 / 61, 2 / 62, 1 / 61, 1 / 62])


def test_fusion_ties_go_by_the_order_of_the_lists():
    assert [row[0] for row in merging.fuse({"a": [1, 2], "b": [3, 4]}, {})] == [1, 3, 2, 4]
    assert [row[2] for row in merging.fuse({"b": [7], "a": [7]}, {})] == ["b"]


def test_a_list_of_no_weight_takes_no_part():
    assert [row[0] for row in merging.fuse({"a": [1], "b": [2, 1]}, {"b": 0.0})] == [1]
    assert merging.fuse({}, {}) == merging.fuse({"a": []}, {"a": 1.0}) == []


@pytest.mark.parametrize(
    ("k", "most", "right"),
    [
        (3, 1, ["a1", "b1", "a2"]),
        (4, 2, ["a1", "a2", "b1", "a3"]),
        (2, 1, ["a1", "b1"]),
        (9, 1, ["a1", "b1", "a2", "a3"]),  # nothing is lost where others are not left
        (3, None, ["a1", "a2", "a3"]),
        (0, 1, []),
        (-1, 1, []),
    ],
)
def test_spread_by_hand(k, most, right):
    assert merging.spread(iter(["a1", "a2", "a3", "b1"]), k, lambda item: item[0], most) == right


def test_unknown_authors_are_no_group():
    assert merging.spread("abc", 3, lambda item: "", most=1) == ["a", "b", "c"]


# ---- vectors ------------------------------------------------------------------------------------------------------


def views(seed=1, n_sessions=60):
    log = tiny_shop.events(n_sessions, seed=seed)
    return Sessions.from_frame(log[log["event"] == "view"], validate=False)


def recoded(model, sessions):
    sessions = sessions.recode(model.vocabulary_)
    if model.user_vocabulary_ is None:
        return sessions
    users = model.user_vocabulary_.encode(sessions.user_vocabulary.ids)[sessions.users]
    return replace(sessions, users=users, user_vocabulary=model.user_vocabulary_)


@pytest.mark.parametrize("role", ["session", "user"])
def test_queries_times_item_vectors_is_the_score(role):
    model = tiny_shop.bundle().models[role]
    sessions = recoded(model, views())
    rows = np.arange(sessions.n_clicks)
    product = model.queries(sessions, rows) @ np.nan_to_num(model.item_vectors(), nan=0, neginf=0).T.astype(np.float64)
    scores = model.score(sessions, rows)
    known = np.isfinite(model.item_vectors()).all(axis=1)
    np.testing.assert_array_equal(np.isfinite(scores).all(axis=0), known)
    assert np.std(scores[:, known]) > 1e-3  # not all the same
    np.testing.assert_allclose(product[:, known], scores[:, known], rtol=1e-4, atol=1e-5)


def test_items_without_a_click_have_no_vector():
    sessions = Sessions.from_lists([[1, 2, 3], [2, 3, 1]] * 20, Vocabulary([1, 2, 3, 4]))
    gru = models.GRU4Rec(layers=[4], batch_size=4, n_sample=4, n_epochs=1, device="cpu").fit(sessions)
    als = models.ALS(factors=2, iterations=1).fit(sessions)
    for model in (gru, als):
        assert np.isfinite(model.item_vectors()).all(axis=1).tolist() == [True, True, True, False]


@pytest.mark.parametrize("role", ["session", "user"])
def test_a_query_is_the_same_to_the_last_bit_whatever_else_is_asked(role):
    model = tiny_shop.bundle().models[role]
    sessions = recoded(model, views())
    rows = np.arange(sessions.n_clicks)
    together = model.queries(sessions, rows)
    np.testing.assert_array_equal(model.queries(sessions, rows[::-1])[::-1], together)
    for session in range(0, len(sessions), 7):
        alone = sessions.take([session])
        part = slice(sessions.offsets[session], sessions.offsets[session + 1])
        np.testing.assert_array_equal(model.queries(alone, np.arange(alone.n_clicks)), together[part])
        np.testing.assert_array_equal(model.queries(alone, np.array([alone.n_clicks - 1]))[0], together[part][-1])


# ---- the batch path and the service -------------------------------------------------------------------------------

items = st.one_of(st.integers(1, N_BOOKS), st.integers(1, 4), st.sampled_from([-7, 9_999, 10_000]))
visit = st.one_of(st.lists(items, min_size=1, max_size=12), st.lists(items, min_size=LONGEST, max_size=4 * LONGEST))
reader = st.one_of(st.none(), st.integers(1, N_READERS), st.just(99_999))


def many(visits, readers=None, spacing=10**9):
    """Visits as they lie in a log: with times, readers and a vocabulary of their own."""
    sessions = Sessions.from_lists(visits)
    sessions = replace(sessions, times=10**18 + spacing * np.arange(sessions.n_clicks), has_time=True)
    if readers is None:
        return sessions
    vocabulary = Vocabulary(sorted({r for r in readers if r is not None} | {0}))
    users = [-1 if r is None else int(vocabulary.encode([r])[0]) for r in readers]
    return replace(sessions, users=np.array(users, np.int32), user_vocabulary=vocabulary)


def check_parity(shop, visits, readers, k=7):
    sessions = many(visits, readers)
    lists = shop.batch(sessions, np.arange(sessions.n_clicks), k)
    prefixes = [(v[: n + 1], r) for v, r in zip(visits, readers, strict=True) for n in range(len(v))]
    for (clicks, user), right in zip(prefixes, lists, strict=True):
        answer = shop.recommend(clicks, k, user)
        assert list(answer.ids) == right, (clicks, user)
        assert not answer.degraded


@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(visit, reader), min_size=1, max_size=5))
def test_service_and_batch_give_the_same_list_after_every_click(shop, stream):
    check_parity(shop, [clicks for clicks, _ in stream], [user for _, user in stream])


@pytest.mark.parametrize(
    "options",
    [
        {"weights": {"session": 1.0, "user": 0.5, "neighbours": 0.25}, "max_per_author": None},
        {"weights": {"related": 1.0}, "n_candidates": 3},
        {"index": "inverted"},
    ],
)
def test_the_same_with_other_settings(options):
    other = retriever(**options)
    log = views(seed=5, n_sessions=12)
    visits = [log.vocabulary.decode(session).tolist() for session in log] + [[9_999], [9_999, 5], [5] * 30]
    check_parity(other, visits, [1, None, 3, 99_999] * 3 + [2, None, 4])
    other.close()


class Clock(models.ItemKNN):
    """Answers by the time of the click: a service that does not pass one on would list something else."""

    def _score(self, sessions, rows):
        return np.roll(super()._score(sessions, rows), int(sessions.times[rows[0]] // 10**9) % 50, axis=1)


def test_time_of_the_clicks_is_nothing_a_list_depends_on():
    small = tiny_shop.bundle()
    model = Clock().fit(views(seed=0, n_sessions=200))
    other = retriever(Bundle({**small.models, "neighbours": model}, small.catalogue, small.history))
    sessions = many([[5, 6, 8]])
    later = replace(sessions, times=sessions.times + 17 * 10**9)
    assert other.batch(sessions, [2], 7) == other.batch(later, [2], 7) == [list(other.recommend([5, 6, 8], 7).ids)]
    other.close()


def test_no_filter_of_the_test_itself_hides_a_difference(shop):
    """The parity check can fail: another session, another list."""
    assert shop.batch(many([[5, 6, 7]]), [2], 7)[0] != list(shop.recommend([60, 61, 62], 7).ids)
    assert shop.batch(many([[5, 6, 7]]), [1], 7)[0] != shop.batch(many([[5, 6, 7]]), [2], 7)[0]


# ---- filters ------------------------------------------------------------------------------------------------------


def test_what_was_seen_is_left_out(shop):
    clicks = [3, 4, 5, 4, 9_999]
    answer = shop.recommend(clicks, N_BOOKS)
    assert not {3, 4, 5} & set(answer.ids)
    assert len(answer.ids) == len(set(answer.ids))
    assert (answer.source, answer.degraded, answer.items[0].source) in {
        ("session", False, "session"), ("session", False, "neighbours")}  # fmt: skip


def test_what_is_excluded_is_left_out(shop):
    first = shop.recommend([3], 5).ids
    rest = shop.recommend([3], 5, exclude=first[:2]).ids
    assert not set(first[:2]) & set(rest) and set(first[2:]) <= set(rest)


def test_what_cannot_be_had_is_never_listed():
    shop = retriever(max_per_author=None)
    gone = [*shop.recommend([3], 3).ids, *shop.popular(3).ids, *shop.related(3, 3).ids]
    assert len(shop.bought_together([106]).ids) > 1
    gone += shop.bought_together([106], 1).ids
    for item in gone:
        shop.catalogue.set_available(item, False)
    answers = [shop.recommend([3], N_BOOKS), shop.recommend([], N_BOOKS), shop.popular(N_BOOKS)]
    answers += [shop.related(3, N_BOOKS), shop.bought_together([106], N_BOOKS)]
    assert all(answer.ids for answer in answers)
    assert not any(set(gone) & set(answer.ids) for answer in answers)
    shop.close()


@pytest.mark.parametrize("most", [1, 2, None])
def test_no_more_than_so_many_of_an_author(most):
    shop = retriever(max_per_author=most)
    for answer in (shop.recommend([3, 33], 20), shop.popular(20), shop.recommend([], 20, user_id=3)):
        authors = [shop.catalogue.get(item).author for item in answer.ids]
        assert len(authors) == 20
        if most:
            assert max(authors.count(a) for a in authors) <= most
    shop.close()


def test_one_author_more_often_where_no_other_is_left():
    shop = retriever(max_per_author=1)
    assert len(shop.recommend([3], 50).ids) == 50  # the shop has 30 authors
    shop.close()


def test_a_list_longer_than_the_catalogue(shop):
    answer = shop.recommend([3], 10 * N_BOOKS)
    assert len(answer.ids) == len(set(answer.ids)) <= N_BOOKS - 1
    known = set(shop.bundle.models["popular"].vocabulary_.ids.tolist())
    assert set(answer.ids) == known - {3}
    assert shop.recommend([3], 0).ids == shop.popular(0).ids == ()


def test_a_visit_of_unknown_items_or_none_gets_what_is_popular(shop):
    for clicks, user in (([], None), ([9_999], None), ([], 99_999), ([9_999], 99_999)):
        answer = shop.recommend(clicks, 5, user)
        assert (answer.source, answer.degraded, answer.ids) == ("popular", False, shop.popular(5).ids)
        assert all(row.source == "popular" for row in answer.items)
    assert "99999" in shop.recommend([], 5, 99_999).why


def test_a_known_reader_without_a_click(shop):
    answer = shop.recommend([], 5, 3)
    assert (answer.source, answer.degraded) == ("user", False) and answer.ids != shop.popular(5).ids
    als = shop.bundle.models["user"]
    (number,) = als.user_vocabulary_.encode([3])
    right = als.vocabulary_.decode(np.argsort(-(als.item_factors_ @ als.user_factors_[number]), kind="stable"))
    past = {i for i, _, _ in shop.user(3).history}
    assert past
    free = merging.spread([i for i in right.tolist() if i not in past], 5, lambda i: shop.catalogue.get(i).author, 2)
    assert list(answer.ids) == free
    assert shop.recommend([9_999], 5, 3).ids == answer.ids
    assert shop.recommend([8], 5, 3).ids == shop.recommend([8], 5).ids  # a visit that has begun speaks for itself


def test_readers_of_another_factorisation():
    """BPR ranks with biases, which an index must not lose."""
    small = tiny_shop.bundle()
    bpr = models.BPR(factors=4, learning_rate=0.1, iterations=40, by="user")
    log = Sessions.from_frame(tiny_shop.events(), validate=False).only("view")
    other = retriever(
        Bundle({**small.models, "user": bpr.fit(log)}, small.catalogue, small.history), max_per_author=None
    )
    (number,) = bpr.user_vocabulary_.encode([3])
    scores = bpr.item_factors_ @ bpr.user_factors_[number] + bpr.item_biases_
    scores[bpr.history_[number].indices] = -np.inf  # what a reader had already
    right = bpr.vocabulary_.decode(np.argsort(-scores, kind="stable")[:5])
    answer = other.recommend([], 5, 3)
    assert (answer.source, answer.degraded, list(answer.ids)) == ("user", False, right.tolist())
    other.close()


def test_answers_say_how_they_came_about(shop):
    answer = shop.recommend([3, 4], 5)
    assert set(answer.timings) == {"session", "neighbours"} and all(ms >= 0 for ms in answer.timings.values())
    assert answer.milliseconds >= max(answer.timings.values()) and answer.version == shop.bundle.version
    assert "2 books" in answer.why
    scores = [row.score for row in shop.recommend([3, 4], 5).items]
    assert all(0 < s <= 2 / 61 for s in scores)


def test_popular_is_the_models_order(shop):
    model = shop.bundle.models["popular"]
    right = model.recommend([], N_BOOKS).tolist()
    limited = merging.spread(right, 8, lambda i: shop.catalogue.get(i).author, 2)
    assert list(shop.popular(8).ids) == limited
    assert limited[0] not in shop.popular(8, exclude=limited[:1]).ids


# ---- models that fail ---------------------------------------------------------------------------------------------


class Bad:
    """In place of a source: does what a broken model does."""

    def __init__(self, src, how):
        self.src, self.how, self.go, self.calls = src, how, threading.Event(), 0
        self.model, self.ids = src.model, src.ids

    def best(self, sessions, rows, k):
        self.calls += 1
        if self.how == "raises":
            raise RuntimeError("broken")
        if self.how == "hangs":
            self.go.wait(30)
        if self.how == "nonsense":
            return np.full((1, k), 10**6), np.zeros((1, k))
        if self.how == "none":
            return None
        return self.src.best(sessions, rows, k)


@pytest.mark.parametrize("how", ["raises", "hangs", "nonsense", "none", "missing"])
@pytest.mark.parametrize(
    ("who", "source"),
    [(("session",), "neighbours"), (("neighbours",), "session"), (("session", "neighbours"), "popular")],
)
def test_a_model_that_fails(how, who, source):
    shop = retriever(budget_ms=300 if how == "hangs" else ALWAYS)
    shop.recommend([3], 5)  # what is made at the first call is there
    bad = {}
    for role in who:
        if how == "missing":
            del shop.bundle.models[role]
        else:
            bad[role] = shop.sources[role] = Bad(shop.sources[role], how)
    start = time.monotonic()
    answer = shop.recommend([3, 4], 5)
    spent = time.monotonic() - start
    assert answer.degraded and len(answer.ids) == 5 and not {3, 4} & set(answer.ids)
    assert answer.source == source
    assert not set(answer.timings) & set(who)
    if how == "hangs":
        assert spent < 3
    if source == "popular":
        assert {row.source for row in answer.items} == {"popular"}
        assert "did not answer" in answer.why
    for src in bad.values():
        src.go.set()
    shop.close()


class Scores(models.ItemKNN):
    """Scores that are none."""

    def score(self, sessions, rows=None):
        return self.said


@pytest.mark.parametrize(
    "said",
    [None, np.full((1, N_BOOKS), np.nan), np.zeros((1, 3), np.float32), np.zeros((1, 9 * N_BOOKS), np.float32),
     np.array([["a"] * N_BOOKS]), np.zeros((0, N_BOOKS))],
)  # fmt: skip
@pytest.mark.parametrize("role", ["neighbours", "related"])
def test_scores_that_are_none(said, role):
    small = tiny_shop.bundle()
    model = Scores()
    vars(model).update({n: v for n, v in vars(small.models["related"]).items() if n.endswith("_")})
    model.said = said
    shop = retriever(Bundle({**small.models, role: model}, small.catalogue, small.history))
    if role == "neighbours":
        answer = shop.recommend([3], 5)
        assert (answer.source, answer.degraded, len(answer.ids)) == ("session", True, 5)
    else:
        answer = shop.related(3, 5)
        assert (answer.source, answer.degraded, len(answer.ids)) == ("popular", True, 5)
    shop.close()


def test_an_explanation_that_is_broken_breaks_no_list():
    small = tiny_shop.bundle()
    model = models.ItemKNN()
    vars(model).update({n: v for n, v in vars(small.models["related"]).items() if n.endswith("_")})
    model.weights_ = "nonsense"
    shop = retriever(Bundle({**small.models, "related": model}, small.catalogue, small.history))
    assert {row.because for row in shop.recommend([3], 5).items} == {None}
    shop.close()


@pytest.mark.parametrize("role", ["related", "together"])
def test_without_an_item_model_there_are_popular_items(role):
    shop = retriever()
    del shop.bundle.models[role]
    answer = shop.related(3, 5) if role == "related" else shop.bought_together([3], 5)
    assert (answer.source, answer.degraded, len(answer.ids)) == ("popular", True, 5) and 3 not in answer.ids
    assert shop.recommend([3], 5).degraded is False
    shop.close()


def test_a_reader_without_the_model_of_readers():
    shop = retriever()
    del shop.bundle.models["user"]
    answer = shop.recommend([], 5, 3)
    assert (answer.source, answer.degraded, len(answer.ids)) == ("popular", True, 5)
    assert not shop.recommend([3], 5, 3).degraded  # nobody would have asked it
    shop.close()


def test_a_stuck_model_is_skipped_at_once_and_comes_back():
    shop = retriever(budget_ms=150)
    shop.recommend([3], 5)
    stuck = shop.sources["session"] = Bad(shop.sources["session"], "hangs")
    for _ in range(MOST_STUCK):
        assert shop.recommend([3], 5).degraded
    calls, start = stuck.calls, time.monotonic()
    answers = [shop.recommend([3], 5) for _ in range(20)]
    assert time.monotonic() - start < 20 * 0.15 / 2  # nobody waits for it
    assert stuck.calls == calls and all(a.degraded and a.source == "neighbours" for a in answers)
    stuck.go.set()
    deadline = time.monotonic() + 10
    shop.budget_ms = ALWAYS
    while shop.recommend([3], 5).degraded:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert shop.recommend([3], 5).source == "session"
    shop.close()


def test_a_stuck_model_takes_no_thread_from_the_others():
    """Forty visitors at once meet a model that hangs: the other model still answers every one of them."""
    shop = retriever(budget_ms=2_000)
    shop.recommend([3], 5)
    stuck = shop.sources["session"] = Bad(shop.sources["session"], "hangs")
    answers, lock = [], threading.Lock()

    def ask():
        answer = shop.recommend([3], 5)
        with lock:
            answers.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stuck.go.set()
    assert time.monotonic() - start < 8
    assert [a.source for a in answers] == ["neighbours"] * 40
    shop.close()


def test_a_retriever_that_was_closed_still_answers(shop):
    gone = retriever()
    gone.close()
    answer = gone.recommend([3], 5)
    assert (answer.source, answer.degraded, answer.ids) == ("popular", True, shop.popular(5, exclude=[3]).ids)


def test_a_shop_needs_popular_items():
    small = tiny_shop.bundle()
    with pytest.raises(ValueError, match="'popular'"):
        Retriever(Bundle({"related": small.models["related"]}, small.catalogue, small.history))


# ---- other lists --------------------------------------------------------------------------------------------------


def by_weight(model, item, gone=()):
    """Oracle: items by their weight for one click, ties by index."""
    (index,) = model.vocabulary_.encode([item])
    weights = model.weights_[index].toarray()[0]
    weights[index] = 0
    order = np.argsort(-weights, kind="stable")
    return [i for i in model.vocabulary_.decode(order[weights[order] > 0]).tolist() if i not in gone]


def test_related(shop):
    right = by_weight(shop.bundle.models["related"], 50)
    answer = shop.related(50, 6)
    assert list(answer.ids) == right[:6]
    assert {row.source for row in answer.items} == {"related"} and {row.because for row in answer.items} == {50}
    assert shop.related(9_999, 6).ids == ()


def test_bought_together(shop):
    together = shop.bundle.models["together"]
    basket = [int(n) for n in together.vocabulary_.decode(np.argsort(-np.diff(together.weights_.indptr))[:2])]
    for item in basket:
        one = shop.bought_together([item], 6)
        assert one.ids and list(one.ids) == by_weight(together, item)[:6]
        assert {row.source for row in one.items} == {"together"} and {row.because for row in one.items} == {item}
    both = shop.bought_together(basket, 20)
    assert set(both.ids) == {i for item in basket for i in by_weight(together, item)} - set(basket)
    assert shop.bought_together([], 6).ids == shop.bought_together([9_999], 6).ids == ()


def test_because_by_hand():
    """Item 3 goes with 1 in three visits and with 2 in one: click 1 speaks for it, wherever it was clicked."""
    sessions = Sessions.from_lists([[1, 3]] * 3 + [[2, 3]] + [[2, 4]] * 4 + [[1, 5], [2, 5]] * 2)
    related = models.ItemKNN().fit(sessions)
    table = pd.DataFrame({"item_id": [1, 2, 3, 4, 5], "title": list("abcde")})
    history = pd.DataFrame({"user_id": [], "item_id": [], "event": [], "timestamp": []})
    roles = {"popular": models.Popularity().fit(sessions), "related": related}
    shop = Retriever(Bundle(roles, Catalogue(table), history), weights={"related": 1.0}, budget_ms=ALWAYS)
    for clicks in ([1, 2], [2, 1], [1, 2, 2, 2]):
        because = {row.item_id: row.because for row in shop.recommend(clicks, 5).items}
        assert because[3] == 1 and because[4] == 2
    w = related.weights_.toarray()
    strongest = 1 if w[0, 4] > w[1, 4] else 2
    assert {row.item_id: row.because for row in shop.recommend([1, 2], 5).items}[5] == strongest
    assert {row.because for row in shop.recommend([], 5).items} == {None}
    assert shop.user(1) is None
    shop.close()


def test_of_equal_clicks_the_latest_speaks():
    model = models.ItemKNN().fit(Sessions.from_lists([[1, 3], [2, 3], [1], [4, 5]], Vocabulary([1, 2, 3, 4, 5])))
    model.weights_[1, 2] = model.weights_[0, 2]
    assert speaking_clicks(model, [3], [1, 2]) == [2] and speaking_clicks(model, [3], [2, 1]) == [1]
    assert speaking_clicks(model, [3, 99, 5], [2, 1, 2, 99]) == [2, None, None]
    assert speaking_clicks(model, [3, 5], [99]) == speaking_clicks(None, [3, 5], [1]) == [None, None]
    assert speaking_clicks(model, [], [1]) == []


# ---- readers ------------------------------------------------------------------------------------------------------


def test_what_is_known_of_a_reader(shop):
    card = shop.user(3)
    log = tiny_shop.events()
    own = log[log["user_id"] == 3].sort_values("timestamp", kind="stable")
    assert [(i, e) for i, e, _ in card.history] == list(zip(own["item_id"][::-1], own["event"][::-1], strict=True))
    assert [t for _, _, t in card.history] == sorted((t for _, _, t in card.history), reverse=True)
    assert card.segment in range(1, 9) and 1 <= len(card.genres) <= 3
    assert shop.user(99_999) is None and shop.user(None) is None


def test_segments_group_readers_who_read_alike():
    """Two kinds of readers: the first reads crime only, the second poetry only."""
    rng, visits = np.random.default_rng(0), []
    for user in range(40):
        visits.append((rng.choice(20, 8, replace=False) + (1 if user < 25 else 21)).tolist())
    sessions = Sessions.from_lists(visits)
    sessions = replace(sessions, users=np.arange(40, dtype=np.int32), user_vocabulary=Vocabulary(np.arange(100, 140)))
    als = models.ALS(factors=4, by="user", iterations=10).fit(sessions)
    table = pd.DataFrame({"item_id": range(1, 41), "genre": ["crime"] * 20 + ["poetry"] * 20})
    from recsys_lab.serve.segments import Segments

    segments = Segments.fit(als, Catalogue(table), n_segments=2)
    assert {segments.of(u)[0] for u in range(100, 125)} == {1}  # the larger one is number 1
    assert {segments.of(u)[0] for u in range(125, 140)} == {2}
    assert segments.of(100)[1] == ["crime"] and segments.of(139)[1] == ["poetry"]
    assert segments.of(99) is None


class OnlyWhatAShopHas:
    """A dataset that lets nobody look at the simulator's truth."""

    events, items = tiny_shop.events(120), tiny_shop.books()

    def __getattr__(self, name):
        raise AssertionError(f"a shop looked at {name}")


def test_segments_are_learned_from_the_log_alone():
    roles = {"popular": models.Popularity(), "user": models.ALS(factors=4, by="user", iterations=2)}
    bundle = Bundle.train(OnlyWhatAShopHas(), roles=roles)
    assert set(bundle.segments.table["user_id"]) == set(OnlyWhatAShopHas.events["user_id"])
    sizes = bundle.segments.table["segment"].value_counts().sort_index()
    assert sizes.index.tolist() == list(range(1, 9)) and sizes.is_monotonic_decreasing


@pytest.mark.parametrize("name", ["", "../../etc", "a/b", ".", "no such", "\x00"])
def test_a_pointer_that_leads_elsewhere_leads_nowhere(tmp_path, name):
    tiny_shop.bundle().save(tmp_path)
    (tmp_path / "CURRENT").write_text(name)
    with pytest.raises(BundleError):
        Bundle.load(tmp_path)
