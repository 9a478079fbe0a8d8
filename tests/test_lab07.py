"""Lab 07: its references against the package, its store museum, and what its checks can and cannot be talked into."""

import time

import numpy as np
import pandas as pd
import pytest

from recsys_lab import experiments, store_museum
from recsys_lab.checks import lab07
from recsys_lab.interactions import Sessions
from recsys_lab.models import GRU4Rec
from recsys_lab.serve.index import ExactIndex, InvertedIndex
from recsys_lab.serve.memory import SECOND, Event, open_store

reference = {name: exercise.reference for name, exercise in lab07.lab.exercises.items()}


# ---- references against the package -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_best_items_are_those_of_the_exact_index(seed):
    rng = np.random.default_rng(seed)
    vectors, bias = rng.normal(size=(80, 6)).astype(np.float32), rng.normal(size=80).astype(np.float32)
    index, queries = ExactIndex(np.column_stack([vectors, bias])), rng.normal(size=(20, 6)).astype(np.float32)
    found, _ = index.search(np.column_stack([queries, np.ones(20, np.float32)]), 12)
    for query, row in zip(queries, found, strict=True):
        assert reference["best_items"](query, vectors, bias, [], 12) == row.tolist()


def test_the_best_items_are_what_the_model_recommends():
    rng = np.random.default_rng(0)
    train = Sessions.from_lists([rng.integers(100, 115, rng.integers(2, 7)).tolist() for _ in range(60)])
    model = GRU4Rec(layers=[8], batch_size=8, n_sample=8, n_epochs=1, device="cpu").fit(train)
    for session in train.part(0, 20):
        ids = train.vocabulary.ids[session]
        state = model.start()
        for item in ids:
            state, _ = model.step(state, item)
        ours = reference["best_items"](state, model.item_embedding_, model.item_bias_, session.tolist(), 5)
        assert train.vocabulary.ids[ours].tolist() == model.recommend(ids, 5, exclude=ids).tolist()


@pytest.mark.parametrize("n_probe", [1, 3, 8, 20])
def test_the_search_in_cells_is_that_of_the_inverted_index(n_probe):
    rng = np.random.default_rng(n_probe)
    vectors = (rng.normal(size=(600, 5)) * rng.uniform(0.2, 2, (600, 1))).astype(np.float32)
    index = InvertedIndex(vectors, n_cells=20, n_probe=n_probe)
    members = [part.tolist() for part in np.split(index.members, index.offsets[1:-1])]
    queries = rng.normal(size=(30, 5)).astype(np.float32)
    found, _ = index.search(queries, 10)
    for query, row in zip(queries, found, strict=True):
        ours = reference["search_cells"](query, vectors, members, index.centres, n_probe, 10)
        assert ours == row[row >= 0].tolist()


def test_all_cells_are_the_exact_search():
    for case in lab07.search_cells.all_cases():
        query, vectors, members, centres, _, k = case.args
        if sorted(item for cell in members for item in cell) != list(range(len(vectors))):
            continue  # the cells of this case do not hold all items
        exact = reference["best_items"](query, vectors, np.zeros(len(vectors)), [], k)
        assert reference["search_cells"](query, vectors, members, centres, len(centres), k) == exact


@pytest.mark.parametrize("seed", range(4))
def test_lifts_are_those_of_the_package_but_for_student_s_t(seed):
    rng = np.random.default_rng(seed)
    arms = [
        {f"{name}{i}": rng.poisson(rate, rng.integers(1, 5)).tolist() for i in range(4000)}
        for name, rate in (("c", 0.5), ("t", 0.6))
    ]
    lift, low, high = reference["lift_interval"](*arms)
    theirs = experiments.effect(*([sum(v) for v in arm.values()] for arm in arms))
    assert (lift, low, high) == pytest.approx((theirs.lift, theirs.lift_low, theirs.lift_high), abs=2e-4)


def test_the_lift_s_interval_holds_the_truth_as_often_as_it_says():
    rng, held = np.random.default_rng(5), []
    for _ in range(400):
        arms = [dict(enumerate(rng.poisson(rate, (300, 1)).tolist())) for rate in (1.0, 1.1)]
        _, low, high = reference["lift_interval"](*arms)
        held.append(low < 0.1 < high)
    assert 0.92 < np.mean(held) < 0.98


def test_what_a_list_made_is_the_package_s_incremental_share():
    rng = np.random.default_rng(0)
    visits = pd.DataFrame({"session_id": range(400), "user_id": rng.integers(0, 90, 400)})
    worlds = experiments.Worlds(
        visits, {name: pd.DataFrame({"purchases": rng.poisson(r, 400)}) for name, r in (("list", 0.6), ("none", 0.4))}
    )
    shown = worlds.outcomes["list"].assign(clicked=rng.random(400) < 0.5)
    _, made = reference["claimed_and_made"](shown, worlds.outcomes["none"])
    assert made == pytest.approx(worlds.incremental("list", "none")["share"])


# ---- the museum ---------------------------------------------------------------------------------------------------


def stream(seed, n=60, sessions=3):
    rng = np.random.default_rng(seed)
    events = [(f"s{rng.integers(sessions)}", int(rng.integers(1, 6)), int(rng.integers(20)), i) for i in range(n)]
    return [events[i] for i in rng.integers(0, n, 2 * n)]  # in any order, some sent again, at once or much later


def agrees(store, events) -> bool:
    """Whether a store agrees with the batch path after every event."""
    batch, fine = store_museum.Batch(), True
    for n, event in enumerate(events, start=1):
        store.append(event)
        fine &= all(list(store.clicks(s)) == batch(events[:n], s) for s in ("s0", "s1", "s2", "nobody"))
    return fine


@pytest.mark.parametrize("kind", store_museum.SOUND, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", range(6))
def test_sound_stores_agree_with_the_batch_path(kind, seed):
    assert agrees(kind(), stream(seed))


@pytest.mark.parametrize("kind", store_museum.SOUND, ids=lambda kind: kind.__name__)
def test_event_ids_need_be_unique_within_a_session_only(kind):
    """Somebody who numbers the events of each session from 1 has not written a wrong test."""
    counts, events = dict.fromkeys(("s0", "s1", "s2"), 0), []
    for session, item, when, _ in stream(0):
        counts[session] += 1
        events.append((session, item, when, counts[session]))
    assert agrees(kind(), events)


FAULTY = [*store_museum.BROKEN, *store_museum.SUBTLE, *store_museum.SLY]


@pytest.mark.parametrize("kind", FAULTY, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", range(6))
def test_broken_stores_do_not(kind, seed):
    assert not kind.sound and not agrees(kind(), stream(seed))


@pytest.mark.parametrize("kind", FAULTY, ids=lambda kind: kind.__name__)
def test_broken_stores_look_sound_where_there_is_no_trouble(kind):
    """Otherwise no thought would be needed to catch them."""
    events = [("s0", item, 10 * item, item) for item in range(1, 5)]
    store, batch = kind(), store_museum.Batch()
    for event in events:
        store.append(event)
    obvious = (store_museum.NewestFirst, store_museum.Padded, store_museum.TooLittle)
    assert (list(store.clicks("s0")) == batch(events, "s0")) == (kind not in obvious)


def test_the_batch_path_of_the_exercise_is_that_of_the_package():
    """The same events through the package's event log and `Sessions`."""
    for seed in range(5):
        events = stream(seed)
        log = pd.DataFrame(store_museum.once(events), columns=["session_id", "item_id", "time", "event_id"])
        log["timestamp"] = pd.to_datetime(log["time"], unit="s", utc=True).astype("datetime64[ns, UTC]")
        sessions = Sessions.from_frame(log.assign(event="view").drop(columns="time"))
        for session_id, clicks in zip(sessions.session_ids, sessions, strict=True):
            ids = sessions.vocabulary.ids[clicks].tolist()[-store_museum.LIMIT :]
            assert store_museum.Batch()(events, session_id) == ids


def test_the_shop_s_memory_passes_the_reference_s_test():
    class Real:
        def __init__(self):
            self.store = open_store(max_events=store_museum.LIMIT, max_age_s=1e9)
            made.append(self.store)

        def append(self, event):
            session, item, moment, event_id = event
            when = 10**18 + moment * SECOND
            self.store.append([Event(session, item, "view", when, f"e{event_id}")], now=10**18 + 60 * SECOND)

        def clicks(self, session):
            return self.store.session(session).clicks

    made = []
    assert reference["store_is_sound"](Real, [], store_museum.Batch())
    for store in made:
        store.close()


@pytest.mark.parametrize("case", lab07.store_is_sound.all_cases(), ids=lambda case: repr(case.args[0]))
def test_events_passed_in_hold_no_trouble(case):
    """As the exercise says: whoever only replays them learns next to nothing."""
    _, events, _ = case.args
    times = [event[2] for event in events]
    assert times == sorted(set(times)) and len({event[3] for event in events}) == len(events)
    assert len({event[1] for event in events}) == len(events)
    assert max(pd.Series([event[0] for event in events]).value_counts()) < store_museum.LIMIT


# ---- the fallback's check -----------------------------------------------------------------------------------------


def test_the_check_of_the_fallback_is_quick_for_whoever_does_not_wait():
    lab07.recommend_safely.all_cases()
    start = time.monotonic()
    assert lab07.recommend_safely(reference["recommend_safely"]).correct
    assert time.monotonic() - start < 1


def test_a_model_that_is_given_up_ends_at_once():
    model = lab07.Model(["Emma"], slow=True)
    kind = lab07.recommend_safely.kind
    answer = reference["recommend_safely"](model, ["Faust"], [], 1, 0.05)
    assert kind.read(answer, (model,)) == (False, (("Faust", "popular"),))
    assert model._gates == [] and not model.late


def test_whoever_waits_is_late_once_and_not_for_ever():
    model = lab07.Model(["Emma"], slow=True)
    kind = lab07.recommend_safely.kind
    assert kind.read([(model([], 1)[0], "model")], (model,)) == (True, (("Emma", "model"),))
    assert kind.read([("Faust", "popular")], (model,)) == (False, (("Faust", "popular"),))


def test_a_fallback_may_use_one_pool_for_all_calls():
    """As the shop does. A pool of one thread would be blocked by the slow model, which is a mistake of its own."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(8)

    def with_one_pool(model, popular, session, k, budget):
        try:
            found = pool.submit(model, session, k).result(timeout=budget) or []
        except Exception:
            found = []
        rows = dict.fromkeys(book for book in [*found, *popular] if book not in session)
        return [(book, "model" if book in found else "popular") for book in list(rows)[:k]]

    assert lab07.recommend_safely(with_one_pool).correct
    pool.shutdown(wait=False)
