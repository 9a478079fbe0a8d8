"""The shop without HTTP: what it records, which lists it gives, and what it does when memory or bundle fail."""

import json
import threading
from dataclasses import replace

import pytest
import tiny_shop
from tiny_shop import N_BOOKS, NOW, open_shop

from recsys_lab.serve.memory import DAY, SECOND, Event, Session, StoreError, open_store
from recsys_lab.serve.network import masked
from recsys_lab.serve.shop import Shop


@pytest.fixture
def shop():
    shop = open_shop()
    yield shop
    shop.close()


def views(*items, session="s", timestamp=NOW, **more):
    return [Event(session, item, timestamp=timestamp + n, **more) for n, item in enumerate(items)]


def test_an_unknown_item_is_in_the_log_and_no_model_sees_it(shop):
    assert shop.record(views(7, 5_000, "made up")) == ["stored", "unknown_item", "unknown_item"]
    assert shop.store.count() == 3 and shop.session("s").clicks == (7, 5_000, "made up")
    answer = shop.recommend("s")
    assert answer.source == "session" and not answer.degraded
    shop.record(views(7, session="t"))
    assert answer.items == shop.recommend("t").items
    assert shop.because("s").items and not shop.because("s").degraded
    assert shop.bought_together([7, "made up", 5_000]).ids == shop.bought_together([7]).ids


def test_now_is_the_clock_of_the_shop():
    ticks = iter(range(NOW, NOW + 100 * SECOND, SECOND))
    shop = open_shop(clock=lambda: next(ticks))
    event = Event("s", 7, timestamp=None, event_id="e1")
    assert shop.record([event]) == ["stored"]
    assert shop.session("s").events[0].timestamp == NOW
    # sent again a second later it is still the same event, unless something else in it differs
    changed = [replace(event, item_id=8), replace(event, event="cart"), replace(event, user_id=3)]
    changed += [replace(event, session_id="t"), replace(event, timestamp=NOW + 1)]
    assert shop.record([event, *changed]) == ["duplicate"] + ["conflict"] * 5
    assert shop.record([event]) == ["duplicate"]
    assert shop.store.count() == 1
    shop.close()


def test_wrong_fields_store_nothing(shop):
    with pytest.raises(ValueError, match="event 1: item_id"):
        shop.record([*views(7), Event("s", 1.5)])
    assert shop.store.count() == 0


def test_the_reader_of_the_visit_or_the_one_asked_for(shop):
    shop.record([Event("s", 7, "cart", NOW, user_id=3)])
    asked = shop.recommend("nobody", user_id=3)
    own = shop.recommend("s")
    assert asked.source == own.source == "user"
    assert 7 not in own.ids and own.ids == shop.retriever.recommend([], 10, 3, exclude=[7]).ids
    assert shop.recommend("s", user_id=77_777).source == "popular"  # whom the caller names counts


def test_trending_is_what_was_looked_at_here_in_the_last_day(shop):
    empty = shop.trending(5)
    assert empty.source == "popular" and len(empty.ids) == 5 and "Nobody" in empty.why
    old = open_shop(shop.store, clock=lambda: NOW - DAY - 60 * SECOND)
    old.record(views(50, 50, 50, session="old", timestamp=NOW - DAY - 60 * SECOND))
    shop.record(views(9, 9, 9, 8, 8, 5_000, 5_000, 5_000, 5_000) + views(9, session="t"))
    shop.record([Event("s", 60, "cart", NOW)])
    answer = shop.trending(5)
    assert answer.ids[:2] == (9, 8) and answer.items[0].score == 4 and answer.source == "trending"
    assert len(set(answer.ids)) == 5 and 5_000 not in answer.ids
    assert {row.source for row in answer.items[2:]} == {"popular"}
    shop.catalogue.set_available(9, False)
    try:
        assert 9 not in shop.trending(5).ids and 9 not in shop.recommend("t").ids
    finally:
        shop.catalogue.set_available(9, True)
    old.retriever.close()


def test_because_leaves_out_what_was_seen(shop):
    assert shop.because("s").items == ()
    related = shop.related(7, 20).ids
    shop.record(views(related[0], related[1], 7))
    answer = shop.because("s", 6)
    assert len(answer.ids) == 6 and not {related[0], related[1], 7} & set(answer.ids)
    assert set(answer.ids) <= set(related)


def test_a_reader_has_the_past_and_what_they_did_here(shop):
    before = shop.user(3)
    assert before.segment and before.history and shop.user(77_777) is None
    shop.record(views(7, 8, user_id=3))
    after = shop.user(3)
    assert [row[0] for row in after.history[:2]] == [8, 7] and after.history[2:] == before.history
    assert after.segment == before.segment


def test_a_visit_can_be_forgotten(shop):
    shop.record(views(7, 8) + views(9, session="t"))
    assert shop.forget("s") == 2 and shop.session("s") == Session("s", None, (), (), ())
    assert shop.recommend("s").source == "popular" and shop.session("t").clicks == (9,)


class NoMemory:
    """A store that fails."""

    def __getattr__(self, name):
        def fail(*args, **kwargs):
            raise StoreError("the disk is full. Fix: free some space.")

        return fail


def test_without_memory_there_are_lists_and_nothing_is_acknowledged():
    shop = Shop(tiny_shop.bundle(), NoMemory(), lambda: NOW, budget_ms=5_000)
    for answer in (shop.recommend("s"), shop.trending(5)):
        assert answer.degraded and answer.source == "popular" and len(answer.items) >= 5
    assert shop.session("s") == Session("s") and shop.because("s").items == ()
    assert shop.user(3).history
    for call in (lambda: shop.record(views(7)), lambda: shop.forget("s"), shop.ready):
        with pytest.raises(StoreError, match="full"):
            call()
    shop.retriever.close()


def test_ready_says_when_a_model_fails(shop):
    shop.ready()
    shop.retriever._calls.stuck["session"] = 99
    with pytest.raises(RuntimeError, match="model"):
        shop.ready()


# ---- a new bundle -------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    """A shop whose bundle lies in a folder."""
    saved = tiny_shop.bundle().save(tmp_path / "bundle")
    shop = Shop(saved, open_store(None), lambda: NOW, folder=tmp_path / "bundle", budget_ms=5_000)
    yield shop
    shop.close()


def test_a_new_bundle_is_taken_once(kept):
    assert kept.reload_if_new() is False
    kept.catalogue.set_available(9, False)
    kept.record(views(7))
    old, before = kept.retriever, kept.recommend("s")
    fresh = tiny_shop.bundle(seed=1).save(kept.folder)
    assert kept.version == before.version != fresh.version
    assert kept.reload_if_new() is True and kept.version == fresh.version
    assert kept.reload_if_new() is False
    after = kept.recommend("s")
    assert after.version == fresh.version and not after.degraded
    assert not kept.catalogue.available(9) and 9 not in kept.recommend("s", k=100).ids  # still out of stock
    assert not old.recommend([7]).degraded  # who still holds the old one gets an answer


def test_two_threads_do_not_load_twice(kept, monkeypatch):
    tiny_shop.bundle(seed=1).save(kept.folder)
    loads, results, real = [], [], type(kept.retriever.bundle).load

    def load(folder):
        loads.append(folder)
        return real(folder)

    monkeypatch.setattr("recsys_lab.serve.shop.Bundle.load", load)
    threads = [threading.Thread(target=lambda: results.append(kept.reload_if_new())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1 and sorted(results) == [False] * 5 + [True]


def test_a_damaged_bundle_is_left_alone(kept, caplog):
    version = kept.version
    fresh = tiny_shop.bundle(seed=1).save(kept.folder)
    (kept.folder / fresh.version / "session.npz").write_bytes(b"half")
    assert kept.reload_if_new() is False and kept.version == version
    assert "not taken" in caplog.text
    kept.ready()


# ---- the command's words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:secret@host:6379/0", "redis://me:***@host:6379/0"),
        ("redis://:secret@host/0", "redis://:***@host/0"),
        ("redis://host/0", "redis://host/0"),
        ("redis://host/0?password=secret", "redis://host/0?password=***"),
        ("redis://:red%40is@redis:6379/0", "redis://:***@redis:6379/0"),
        ("redis://r:r@r/0", "redis://r:***@r/0"),
        ("redis://:se:cret@host/0", "redis://:***@host/0"),
        ("/tmp/a:b@c.db", "/tmp/a:b@c.db"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
    ],
)
def test_a_password_is_masked(url, shown):
    assert masked(url) == shown


def test_the_small_shop_is_one():
    assert len(tiny_shop.books()) == N_BOOKS
    assert json.loads(json.dumps(sorted(tiny_shop.bundle().models))) == sorted(tiny_shop.roles())


@pytest.mark.parametrize(("seconds", "counted"), [(0.0, 3), (0.06, 1)])
def test_where_counting_what_is_trending_is_slow_it_is_done_seldom(shop, monkeypatch, seconds, counted):
    asked = []

    def slow(since, k):
        asked.append(k)
        threading.Event().wait(seconds)
        return [(9, 4)]

    monkeypatch.setattr(shop.store, "trending", slow)
    assert [shop.trending(5).ids[0] for _ in range(3)] == [9, 9, 9]
    assert len(asked) == counted


def test_what_was_bought_in_this_visit_is_not_recommended_again(shop):
    shop.record(views(7, 8, 9))
    bought = shop.recommend("s", k=3).ids[0]
    about = shop.because("s", 3).ids[0]
    for number, item in enumerate((bought, about)):
        for event in ("cart", "purchase"):
            shop.record([Event("s", item, event, NOW + 10 + number)])
    assert shop.session("s").basket == () and shop.session("s").bought == {bought, about}
    assert {bought, about}.isdisjoint(shop.recommend("s", k=N_BOOKS).ids)
    assert {bought, about}.isdisjoint(shop.because("s", N_BOOKS).ids)
