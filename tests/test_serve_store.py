"""Session memory: one contract over SQLite and Redis, an oracle, and everything that can be out of order."""

import contextlib
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ports import free_port
from redis_server import RedisServer

from recsys_lab.events import validate_events
from recsys_lab.interactions import Sessions
from recsys_lab.serve import redis_store, sqlite_store
from recsys_lab.serve.event_fields import LOG_COLUMNS
from recsys_lab.serve.memory import DAY, SECOND, Event, Session, StoreError, open_store

NOW = 1_790_000_000 * SECOND + 123_456_789
FOREVER = 2**62  # everything is older than this
BACKENDS = ["sqlite", pytest.param("redis", marks=pytest.mark.needs("redis"))]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "yes", "--appendfsync", "always")
    yield running
    running.stop()


@pytest.fixture(params=BACKENDS)
def make(request):
    """Open stores of one backend; by default all the same, empty place. In memory where there is a place for it."""
    with contextlib.ExitStack() as stack:
        if request.param == "redis":
            server = request.getfixturevalue("server")
            server.client.flushall()
            place = server.url
        else:
            shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
            place = stack.enter_context(tempfile.TemporaryDirectory(dir=shm)) + "/shop.db"
        yield lambda **options: stack.enter_context(open_store(place, **options))


@pytest.fixture
def store(make):
    return make()


def views(*items, session="s", start=NOW, step=SECOND):
    return [Event(session, item, "view", start + n * step, f"{session}{n}") for n, item in enumerate(items)]


# ---- the contract, case by case


def test_a_session_by_hand(store):
    told = [
        Event("s", 7, "view", NOW - 9, "a"),
        Event("s", 7, "cart", NOW - 8, "b", user_id=4),
        Event("s", 5, "view", NOW - 7, "c"),
        Event("s", 5, "cart", NOW - 6, "d"),
        Event("s", 7, "view", NOW - 5, "e", user_id="kim"),
        Event("s", 9, "cart", NOW - 4, "f"),
        Event("s", 7, "remove", NOW - 3, "g"),
        Event("s", 9, "purchase", NOW - 2, "h"),
        Event("s", 7, "cart", NOW - 1, "i"),
        Event("other", 1, "view", NOW, "j", user_id=4),
    ]
    assert store.append(told, NOW) == ["stored"] * 10
    session = store.session("s")
    assert session.events == tuple(told[:9])
    assert session.clicks == (7, 5, 7)
    assert session.viewed == (7, 5)
    assert session.basket == (5, 7)
    assert session.user_id == "kim"
    assert store.user_events(4) == (told[1], told[9])
    assert store.user_events(4, limit=1) == (told[9],)
    assert store.user_events("4") == store.user_events(4, limit=0) == ()
    assert store.count() == 10


def test_an_unknown_session_is_empty(store):
    assert store.session("nobody") == Session("nobody", None, (), (), ())
    assert store.session("nobody").clicks == store.session("nobody").basket == ()
    assert store.user_events("nobody") == () and store.trending(0, 5) == [] and store.forget("nobody") == 0


def test_each_outcome(make):
    store = make(session_limit=4)
    first = Event("s", 1, "view", NOW, "a")
    assert store.append([first], NOW) == ["stored"]
    assert store.append([first], NOW) == ["duplicate"]
    others = (
        {"item_id": 2},
        {"item_id": "1"},
        {"event": "cart"},
        {"timestamp": NOW - 1},
        {"session_id": "t"},
        {"user_id": 1},
    )
    assert store.append([replace(first, **other) for other in others], NOW) == ["conflict"] * 6
    edges = [NOW - DAY, NOW - DAY - 1, NOW + 300 * SECOND, NOW + 300 * SECOND + 1]
    edges = [Event("s", 1, "view", t, f"edge{n}") for n, t in enumerate(edges)]
    assert store.append(edges, NOW) == ["stored", "late", "stored", "future"]
    assert store.append([Event("s", 1, "view", NOW, "b"), edges[1], edges[3]], NOW) == ["full", "duplicate", "future"]
    assert store.append([replace(edges[1], item_id=2)], NOW) == ["conflict"]
    assert [e.event_id for e in store.session("s").events] == ["edge0", "a", "edge2"]
    assert store.count() == 4
    # a clock that goes on changes what is refused, not what is here
    assert store.append([replace(edges[3], session_id="t")], NOW + 1) == ["stored"]
    assert store.append([first], NOW + 9 * DAY) == ["duplicate"]
    assert len(store.session("s").events) == 3


def test_a_late_event_is_in_the_log_only(store):
    late = Event("s", 1, "view", NOW - 2 * DAY, "late", user_id=3)
    assert store.append([late, Event("s", 2, "view", NOW, "now")], NOW) == ["late", "stored"]
    session = store.session("s")
    assert session.clicks == (2,) and session.user_id is None
    assert store.user_events(3) == () and store.trending(0, 9) == [(2, 1)]
    assert store.log().set_index("event_id")["late"].to_dict() == {"late": True, "now": False}


def test_ties_keep_the_order_of_arrival_and_others_are_sorted_by_time(store):
    times = [NOW, NOW - 1, NOW, NOW - 2, NOW]
    store.append([Event("s", n, "view", t) for n, t in enumerate(times)], NOW)
    assert store.session("s").clicks == (3, 1, 0, 2, 4)


def test_many_baskets_push_no_view_out_and_many_views_no_basket(make):
    store = make(max_events=3)
    carts = [Event("s", n, "cart", NOW + 10 + n, f"cart{n}") for n in range(5)]
    store.append([*views(1, 2, 3, 4, step=1), *carts, *views(*range(5), session="t")], NOW)
    session = store.session("s")
    assert session.clicks == (2, 3, 4) and session.basket == (0, 1, 2, 3, 4)
    assert session.events == tuple(carts[2:])
    store.append([Event("u", 1, "cart", NOW), *views(5, 6, 7, 8, 9, session="u")], NOW)
    assert store.session("u").basket == (1,) and store.session("u").clicks == (7, 8, 9)


def test_trending_counts_views_since_a_time_and_breaks_ties_by_item(store):
    store.append([*views(3, 2, 2, 10, 3, session="s"), *views(9, session="t", start=NOW - 5)], NOW)
    store.append([Event("s", 10, "cart", NOW, "cart"), Event("s", "a", "view", NOW, "text")], NOW)
    assert store.trending(NOW, 10) == [(2, 2), (3, 2), (10, 1), ("a", 1)]
    assert store.trending(NOW + SECOND, 10) == [(2, 2), (3, 1), (10, 1)]
    assert store.trending(NOW - 5, 3) == [(2, 2), (3, 2), (9, 1)]
    assert store.trending(-1, 1) == [(2, 2)] and store.trending(NOW, 0) == [] == store.trending(FOREVER, 3)


def test_two_sessions_and_awkward_names_do_not_meet(store):
    ids = ["a", "a:views", "a:late", "A", "a.b", "a_b", "a-b", "0", "x" * 64]
    store.append([Event(i, n, "view", NOW, f"{n}", user_id=i) for n, i in enumerate(ids)], NOW)
    assert [store.session(i).clicks for i in ids] == [(n,) for n in range(len(ids))]
    assert [store.user_events(i)[0].item_id for i in ids] == list(range(len(ids)))
    assert store.forget("a") == 1
    assert [len(store.session(i).events) for i in ids] == [0] + [1] * 8
    assert store.user_events("a") == () and len(store.trending(0, 99)) == 8


def test_forget_leaves_nothing(store):
    told = [
        Event("s", 1, "view", NOW, "a", 5),
        Event("s", 2, "cart", NOW, "b"),
        Event("s", 3, "view", NOW - 3 * DAY, "c"),
    ]
    store.append([*told, Event("t", 1, "view", NOW, "d", 5)], NOW)
    assert store.forget("s") == 3
    assert store.session("s") == Session("s", None, (), (), ())
    assert store.count() == 1 and store.log()["session_id"].tolist() == ["t"]
    assert store.trending(0, 9) == [(1, 1)] and [e.event_id for e in store.user_events(5)] == ["d"]
    assert store.forget("s") == 0
    assert store.append(told, NOW) == ["stored", "stored", "late"]


def test_purge_forgets_by_the_newest_event_of_a_session(store):
    old = [Event("old", 1, "view", NOW - 5, "a"), Event("old", 1, "view", NOW, "b")]
    new = [Event("new", 1, "view", NOW - 9, "c"), Event("new", 1, "view", NOW + 1, "d")]
    store.append([*old, *new, Event("late", 1, "view", NOW - 3 * DAY, "e")], NOW)
    assert store.purge(NOW - 3 * DAY) == 0
    assert store.purge(NOW) == 1 and store.count() == 4
    assert store.purge(NOW + 1) == 2 and store.session("new").events == tuple(new)
    assert store.purge(FOREVER) == 2 and store.count() == 0


def test_retention_is_off_by_default_and_works_while_events_arrive(make):
    make().append(views(1, session="a"), NOW)
    assert make().append(views(1, session="b", start=NOW + 99 * DAY), NOW + 99 * DAY) == ["stored"]
    assert make().count() == 2
    store = make(retention_days=2)
    store.append(views(1, session="c", start=NOW + 100 * DAY), NOW + 100 * DAY)
    assert sorted(store.log()["session_id"]) == ["b", "c"]
    store.append(views(1, session="d", start=NOW + 101 * DAY + 1), NOW + 101 * DAY + 1)
    assert sorted(store.log()["session_id"]) == ["c", "d"]
    with pytest.raises(ValueError, match=r"retention_days=0\.5 is shorter than max_age_s"):
        make(retention_days=0.5)


def test_an_event_without_an_id_gets_one(store):
    twice = Event("s", 1, "view", NOW)
    assert store.append([twice, twice], NOW) == ["stored", "stored"]
    ids = store.log()["event_id"].tolist()
    assert len(set(ids)) == 2 and all(len(i) == 32 for i in ids)


def test_the_clock_of_this_machine_is_the_default(store):
    now = time.time_ns()
    told = [Event("s", 1, "view", now), Event("s", 1, "view", now - 2 * DAY), Event("s", 1, "view", now + DAY)]
    assert store.append(told) == ["stored", "late", "future"]


def test_numpy_numbers_are_numbers(store):
    store.append([Event("s", np.int64(7), "view", np.int64(NOW), "a", np.int32(3))], np.int64(NOW))
    assert store.append([Event("s", 7, "view", NOW, "a", 3)], NOW) == ["duplicate"]
    assert store.session("s").clicks == (7,) and type(store.session("s").clicks[0]) is int
    assert len(store.user_events(np.int64(3))) == 1


def test_extreme_values_come_back(store):
    told = [
        Event("s", 2**63 - 1, "view", NOW, "a", -(2**63)),
        Event("s", "a\"\\'é漢🎈 <b>", "cart", NOW, "b", "%_;--"),
        Event("s", -1, "return", 0, "c"),
        Event("s", "7", "view", NOW, "d", "null"),
        Event("s", "null", "view", NOW, "e", "7"),
    ]
    assert store.append(told, NOW) == ["stored", "stored", "late", "stored", "stored"]
    assert store.session("s").events == (told[0], told[1], told[3], told[4])
    assert store.append(told, NOW) == ["duplicate"] * 5
    assert all(store.user_events(e.user_id) == (e,) for e in told if e.user_id is not None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("session_id", v) for v in ("", "x" * 65, "a b", "a\n", "é", "a/b", "٣", 5, None, "a\x00")),
        *(("event_id", v) for v in ("x" * 65, "a b", None, 7, "\ud800")),
        *(("item_id", v) for v in ("", "x" * 65, "a\nb", "\ud800", None, 1.0, True, 2**63, -(2**63) - 1, b"a", [1])),
        *(("user_id", v) for v in ("", "a\tb", float("nan"), False, 10**400)),
        *(("timestamp", v) for v in (-1, 1.5, None, 2**63, "now", True)),
        *(("event", v) for v in ("click", "", None, "VIEW")),
    ],
)
def test_bad_fields_are_named_and_nothing_is_stored(field, value, bystander):
    good = Event("s", 1, "view", NOW, "good")
    with pytest.raises(ValueError, match=f"^event 1: {field}: "):
        bystander.append([good, replace(good, **{"event_id": "bad", field: value})], NOW)
    assert bystander.count() == 0


@pytest.fixture(scope="module")
def bystander():
    with open_store() as store:
        yield store


def test_reading_checks_ids_too(store):
    with pytest.raises(ValueError, match=r"^session_id: 'a b'"):
        store.session("a b")
    with pytest.raises(ValueError, match=r"^session_id: "):
        store.forget("")
    with pytest.raises(ValueError, match=r"^user_id: 1\.5 is no whole number"):
        store.user_events(1.5)


def test_one_kind_of_item_where_the_shop_says_so(make):
    store = make(item_type=int)
    with pytest.raises(ValueError, match=r"event 0: item_id: 'x' is no int; this shop's ids are"):
        store.append([Event("s", "x", "view", NOW)], NOW)
    assert store.append([Event("s", np.int64(1), "view", NOW)], NOW) == ["stored"]


def test_options_that_make_no_sense(make):
    with pytest.raises(ValueError, match="max_events=0"):
        make(max_events=0)


# ---- the log


def test_the_log_keeps_the_schema(store):
    assert list(store.log().columns) == list(LOG_COLUMNS) and len(store.log()) == 0
    store.append([Event("s", 3, "view", NOW, "a", 1), Event("s", 2, "cart", NOW - 2 * DAY, "b")], NOW)
    log = validate_events(store.log())
    assert log["item_id"].dtype == "int64" and log["user_id"].dtype == "Int64"
    assert log["user_id"].isna().tolist() == [False, True]
    assert log["timestamp"].tolist() == [pd.Timestamp(NOW, tz="UTC"), pd.Timestamp(NOW - 2 * DAY, tz="UTC")]
    assert log["order"].is_monotonic_increasing
    store.append([Event("s", "x", "view", NOW, "c", "kim")], NOW)
    log = validate_events(store.log())
    assert log["item_id"].tolist() == ["3", "2", "x"] and log["user_id"].tolist()[::2] == ["1", "kim"]
    Sessions.from_frame(log)


def test_a_log_without_users_keeps_the_schema(store):
    store.append(views(1, 2), NOW)
    assert validate_events(store.log())["user_id"].isna().all()
    assert Sessions.from_frame(store.log()).n_clicks == 2


# ---- an oracle: the rules once more, as plainly as they can be written


class Oracle:
    def __init__(self, max_events, session_limit):
        self.max_events, self.session_limit, self.kept = max_events, session_limit, []  # (event, late) by arrival

    def append(self, event):
        for other, _ in self.kept:
            if other.event_id == event.event_id:
                return "duplicate" if other == event and type(other.item_id) is type(event.item_id) else "conflict"
        if event.timestamp - NOW > 300 * SECOND:
            return "future"
        if sum(other.session_id == event.session_id for other, _ in self.kept) == self.session_limit:
            return "full"
        late = NOW - event.timestamp > 86_400 * SECOND
        self.kept.append((event, late))
        return "late" if late else "stored"

    def live(self):
        return sorted((e for e, late in self.kept if not late), key=lambda e: e.timestamp)  # stable

    def session(self, session_id):
        events = [e for e in self.live() if e.session_id == session_id]
        users = [e.user_id for e in events if e.user_id is not None]
        seen = [e.item_id for e in events if e.event == "view"][-self.max_events :]
        basket = []
        for e in events:
            if e.event in ("cart", "remove", "purchase") and (e.event == "cart") != (e.item_id in basket):
                basket.append(e.item_id) if e.event == "cart" else basket.remove(e.item_id)
        viewed = [item for n, item in enumerate(seen[::-1]) if item not in seen[::-1][:n]]
        return events[-self.max_events :], users[-1] if users else None, seen, viewed, basket

    def trending(self, since, k):
        counts = Counter(e.item_id for e in self.live() if e.event == "view" and e.timestamp >= since)
        return sorted(counts.items(), key=lambda c: (-c[1], str(type(c[0])), c[0]))[:k]


SESSIONS, USERS = ("a", "b", "c"), (None, 5, "5")
OFFSETS = (-3 * DAY, -DAY - 1, -DAY, -2, -1, 0, 1, 300 * SECOND, 300 * SECOND + 1)
events = st.builds(
    Event,
    session_id=st.sampled_from(SESSIONS),
    item_id=st.sampled_from([1, 2, 3, "1"]),
    event=st.sampled_from(["view", "view", "view", "cart", "cart", "remove", "purchase", "return"]),
    timestamp=st.sampled_from([NOW + offset for offset in OFFSETS]),
    event_id=st.integers(0, 30).map(str),
    user_id=st.sampled_from(USERS),
)
streams = st.lists(events, max_size=40)
# events that all belong to their sessions, no two at one time and with one id
lasting = st.lists(events, max_size=20).map(
    lambda found: [replace(e, timestamp=NOW - 50 + n, event_id=str(n)) for n, e in enumerate(found)]
)
hypothesis = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def state(store):
    """All that a store answers, without the numbers of arrivals."""
    return (
        [(s, s.clicks, s.viewed, s.basket) for s in map(store.session, SESSIONS)],
        [store.user_events(u) for u in USERS[1:]],
        [store.trending(since, 3) for since in (0, NOW - 1, NOW + 1)],
        store.count(),
    )


@hypothesis
@given(streams, st.integers(1, 4), st.integers(1, 12))
def test_any_stream_is_kept_as_the_oracle_keeps_it(make, stream, max_events, session_limit):
    store, oracle = make(), Oracle(max_events, session_limit)
    store.max_events, store.session_limit = max_events, session_limit
    store.purge(FOREVER)
    expected = [oracle.append(e) for e in stream]
    half = len(stream) // 2
    assert store.append(stream[:half], NOW) + store.append(stream[half:], NOW) == expected
    for session_id in SESSIONS:
        session, (newest, user, clicks, viewed, basket) = store.session(session_id), oracle.session(session_id)
        assert list(session.events) == newest and session.user_id == user
        assert [list(found) for found in (session.clicks, session.viewed, session.basket)] == [clicks, viewed, basket]
    for user in USERS[1:]:
        assert list(store.user_events(user, 4)) == [e for e in oracle.live() if e.user_id == user][-4:]
    for since in (0, NOW, NOW + 1):
        assert store.trending(since, 2) == oracle.trending(since, 2)
    log = store.log()
    assert list(zip(log["event_id"], log["late"], strict=True)) == [(e.event_id, late) for e, late in oracle.kept]


@hypothesis
@given(streams)
def test_a_batch_is_the_same_as_one_at_a_time(make, stream):
    store = make(max_events=3, session_limit=9)
    store.purge(FOREVER)
    batch, after_batch = store.append(stream, NOW), state(store)
    store.purge(FOREVER)
    assert [store.append([e], NOW)[0] for e in stream] == batch
    assert state(store) == after_batch


@hypothesis
@given(lasting, st.randoms(use_true_random=False))
def test_nothing_depends_on_the_order_of_arrival(make, stream, chance):
    store = make(max_events=3)
    store.purge(FOREVER)
    store.append(stream, NOW)
    in_order = state(store)
    store.purge(FOREVER)
    shuffled = chance.sample(stream, len(stream))
    for start in range(0, len(shuffled), 7):  # and everything is sent once more now and then
        store.append(shuffled[start : start + 7] + shuffled[: start + 3 : 2], NOW)
    assert state(store) == in_order


@hypothesis
@given(streams, st.integers(1, 5))
def test_clicks_are_what_the_batch_path_reads(make, stream, max_events):
    store = make()
    store.max_events = max_events
    store.purge(FOREVER)
    store.append([replace(e, item_id=int(e.item_id)) for e in stream], NOW)
    log = store.log()
    kept, read = log[~log["late"]], {}
    if len(kept):
        batch = Sessions.from_frame(kept.sample(frac=1, random_state=0)).only("view")  # rows in any order
        read = {s: tuple(batch.vocabulary.decode(batch[n]))[-max_events:] for n, s in enumerate(batch.session_ids)}
    assert {s: store.session(s).clicks for s in SESSIONS} == {s: read.get(s, ()) for s in SESSIONS}


# ---- at once


def test_threads_that_send_the_same_events_store_each_once(store):
    told = [Event(f"s{n % 3}", n, "view", NOW - n, str(n)) for n in range(60)]
    outcomes, problems = Counter(), []

    def send(seed):
        chance = random.Random(seed)
        try:
            for e in chance.sample(told, len(told)):
                outcomes[e.event_id, store.append([e], NOW)[0]] += 1
                clicks = store.session(e.session_id).clicks
                assert e.item_id in clicks and list(clicks) == sorted(clicks, reverse=True)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=send, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert outcomes == {(str(n), o): k for n in range(60) for o, k in (("stored", 1), ("duplicate", 5))}
    assert store.count() == 60


# Imports once, forks three writers that start at the same moment; each prints its outcomes.
WRITERS = """
import os, sys
from recsys_lab.serve.memory import Event, open_store
place, now = sys.argv[1], int(sys.argv[2])
wait, go = os.pipe()
for own in "xyz":
    if os.fork() == 0:
        os.close(go)
        os.read(wait, 1)  # until the other end is closed
        with open_store(place, timeout_s=30) as store:
            for n in range(60):
                both = [Event("all", n, "view", now + n, f"all{n}"), Event(own, n, "view", now + n, f"{own}{n}")]
                os.write(1, (" ".join(store.append(both, now)) + "\\n").encode())
        os._exit(0)
os.close(go)
sys.exit(any(os.wait()[1] for _ in "xyz"))
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_processes_share_a_store_that_none_of_them_finds_there(backend, tmp_path, request):
    place = str(tmp_path / "shop.db")
    if backend == "redis":
        place = request.getfixturevalue("server").url
        request.getfixturevalue("server").client.flushall()
    command = [sys.executable, "-c", WRITERS, place, str(NOW)]
    writers = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert writers.returncode == 0, writers.stderr
    shared, own = zip(*(line.split() for line in writers.stdout.splitlines()), strict=True)
    assert Counter(shared) == {"stored": 60, "duplicate": 120}
    assert Counter(own) == {"stored": 180}
    with open_store(place) as store:
        assert store.count() == 240
        assert all(store.session(s).clicks == tuple(range(60)) for s in ("all", "x", "y", "z"))


# ---- SQLite: the file


def test_where_the_url_leads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url, path in [(f"sqlite:///{tmp_path}/a.db", "a.db"), ("sqlite:///b.db", "b.db"), (tmp_path / "c.db", "c.db")]:
        with open_store(url) as store:
            store.append(views(1), NOW)
        assert (tmp_path / path).is_file()
        with open_store(str(tmp_path / path)) as store:
            assert store.session("s").clicks == (1,)
    for wrong in ("mysql://localhost/x", "sqlite://x.db", "http://[::1"):
        with pytest.raises(ValueError, match=r"session store: .* is no known kind. Fix: sqlite:///FILE"):
            open_store(wrong)
    with pytest.raises(ValueError, match="no file is named"):
        open_store("sqlite:///")


def test_a_store_without_a_url_goes_with_its_folder():
    store = open_store()
    folder = store.path.parent
    store.append(views(1), NOW)
    store.close()
    store.close()
    assert not folder.exists()
    with pytest.raises(StoreError, match=r"was closed. Fix: open_store"):
        store.count()


def test_a_commit_waits_for_the_disk(tmp_path):
    with open_store(tmp_path / "a.db") as store, store._connection() as db:
        assert store.warning is None
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone()[0] >= 2  # FULL


def test_every_question_has_its_index(tmp_path):
    questions = {
        "NEWEST": ("s", 9), "VIEWS": ("s", 9), "CHANGES": ("s",),
        "VISITOR": ("s",), "OF_USER": (1, 9), "TRENDING": (1, 9),
    }  # fmt: skip
    with open_store(tmp_path / "a.db") as store, store._connection() as db:
        for name, values in questions.items():
            plan = " ".join(r[3] for r in db.execute("EXPLAIN QUERY PLAN " + getattr(sqlite_store, name), values))
            assert "SEARCH events USING" in plan and "SCAN" not in plan, (name, plan)
            assert ("TEMP B-TREE FOR ORDER BY" in plan) == (name == "TRENDING"), (name, plan)


def broken(path):
    with pytest.raises(StoreError) as caught, open_store(path) as store:
        store.log()
    assert "Fix: " in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("The shopping list of Tuesday. " * 200)
    assert "is not a database" in broken(path)
    assert path.read_text() == "The shopping list of Tuesday. " * 200


@pytest.mark.parametrize("made_by", ["CREATE TABLE events (x)", "PRAGMA application_id = 5", "PRAGMA user_version = 1"])
def test_a_database_of_something_else_is_left_alone(tmp_path, made_by):
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(made_by)
        db.commit()
    before = path.read_bytes()
    assert "is a database of something else" in broken(path)
    assert path.read_bytes() == before


def test_a_call_that_breaks_in_the_middle_stores_nothing(tmp_path, monkeypatch):
    with open_store(tmp_path / "a.db") as store:
        one = store._append_one
        with monkeypatch.context() as patch:
            patch.setattr(
                store, "_append_one", lambda db, event, *limits: one(db, event, *limits) and 1 / event.item_id
            )
            with pytest.raises(ZeroDivisionError):
                store.append(views(1, 2, 0), NOW)
        assert store.count() == 0 and store.append(views(1, 2, 0), NOW) == ["stored"] * 3


def test_a_file_of_a_later_version(tmp_path):
    path = tmp_path / "a.db"
    open_store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    assert "has format 99; this version reads 1" in broken(path)


def test_a_damaged_file(tmp_path):
    path = tmp_path / "a.db"
    with open_store(path) as store:
        store.append([Event("s", n, "view", NOW, user_id=n) for n in range(3000)], NOW)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + os.urandom(len(whole) - 8192))
    assert "is damaged" in broken(path)
    path.write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in broken(path)


def test_places_where_no_file_can_be(tmp_path):
    assert "cannot be opened or made. Fix: check that" in broken(tmp_path / "nowhere" / "a.db")
    (tmp_path / "file").write_text("x")
    assert "cannot be opened" in broken(tmp_path / "file" / "a.db")
    assert "cannot be opened" in broken(tmp_path)


@pytest.fixture
def locked_folder():
    """A folder in which this user may not write, also where the tests run as root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_store(folder / "there.db") as store:
            store.append(views(1), NOW)
        os.chmod(folder / "there.db", 0o444)
        os.chmod(folder, 0o555)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            yield folder
        finally:
            if root:
                os.seteuid(0)
            os.chmod(folder, 0o755)


def test_a_folder_that_cannot_be_written(locked_folder):
    assert "cannot be opened or made" in broken(locked_folder / "new.db")
    assert "write" in broken(locked_folder / "there.db")


def test_a_full_disk_loses_nothing_and_can_be_mended(tmp_path):
    with open_store(tmp_path / "a.db") as store:
        store.append(views(*range(20), session="before"), NOW)
        with store._connection() as db:  # the connection that the next call takes
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages + 3}")
        with pytest.raises(
            StoreError, match=r"disk of .* is full; nothing of this call was stored. Fix: free some space"
        ):
            store.append(views(*range(2000), session="during"), NOW)
        assert store.session("during").events == () and store.count() == 20
        assert store.append(views(*range(2000), session="after", step=1), NOW) == ["stored"] * 2000


def test_ready_looks_at_the_space_that_is_left(tmp_path, monkeypatch):
    with open_store(tmp_path / "a.db") as store:
        store.ready()
        monkeypatch.setattr(sqlite_store, "LEAST_FREE", 2**62)
        with pytest.raises(StoreError, match=r"MiB left. Fix: free some space"):
            store.ready()


def test_a_writer_that_does_not_let_go(tmp_path):
    with open_store(tmp_path / "a.db", timeout_s=0.05) as store:
        store.append(views(1), NOW)
        with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked by another process for too long; nothing of this call"):
                store.append(views(1, session="t"), NOW)
            with pytest.raises(StoreError, match="locked"):
                store.ready()
            assert store.session("s").clicks == (1,)  # readers do not wait
        assert store.append(views(1, session="t"), NOW) == ["stored"]


def test_a_file_that_is_taken_away(tmp_path):
    with open_store(tmp_path / "a.db") as store:
        store.append(views(1), NOW)
        (tmp_path / "a.db").unlink()
        with pytest.raises(StoreError, match="deleted or replaced while it was in use"):
            store.ready()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_to_open_its_own(tmp_path):
    with open_store(tmp_path / "a.db") as store:
        store.append(views(1), NOW)
        child = os.fork()
        if child == 0:
            try:
                store.count()
                os._exit(1)
            except StoreError as error:
                os._exit(0 if "open_store(...) in each process" in str(error) else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.count() == 1


def test_connections_do_not_pile_up(tmp_path):
    with open_store(tmp_path / "a.db") as store:
        for _ in range(30):
            thread = threading.Thread(target=store.session, args=("s",))
            thread.start()
            thread.join()
        assert len(store._all) == 1


# ---- Redis: the server


def test_redis_that_is_not_there():
    with pytest.raises(StoreError, match=r"cannot be reached, or went away. Fix: start it \(redis-server\)"):
        open_store(f"redis://127.0.0.1:{free_port()}/0")


@pytest.mark.needs("redis")
def test_redis_that_goes_away_and_comes_back(tmp_path):
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    try:
        with open_store(server.url) as store:
            store.append(views(1, 2), NOW)
            server.kill()
            for ask in (
                store.ready,
                store.count,
                store.log,
                lambda: store.session("s"),
                lambda: store.append(views(1), NOW),
            ):
                with pytest.raises(StoreError, match="cannot be reached, or went away"):
                    ask()
            server.start()
            store.ready()
            assert store.append(views(1, 2, 3), NOW) == ["duplicate", "duplicate", "stored"]
            assert store.session("s").clicks == (1, 2, 3)
    finally:
        server.stop()


@pytest.mark.needs("redis")
def test_forgotten_sessions_leave_no_key_behind(server):
    server.client.flushall()
    with open_store(server.url) as store:
        told = [Event("s", 1, kind, NOW, user_id=5) for kind in ("view", "cart", "return")]
        store.append([*told, Event("s", 1, "view", NOW - 2 * DAY, user_id=6)], NOW)
        assert store.forget("s") == 4
    assert sorted(server.client.keys()) == ["recsys-lab:arrivals", "recsys-lab:format"]


@pytest.mark.needs("redis")
def test_redis_reads_long_answers_in_pages(server, monkeypatch):
    server.client.flushall()
    monkeypatch.setattr(redis_store, "PAGE", 3)
    with open_store(server.url) as store:
        store.append([Event("s", n % 4, "view", NOW - n // 5, str(n)) for n in range(20)], NOW)
        assert store.trending(NOW - 2, 9) == [(0, 4), (1, 4), (2, 4), (3, 3)]


@pytest.mark.needs("redis")
def test_the_log_of_redis_has_no_gap_while_events_arrive(server, monkeypatch):
    server.client.flushall()
    with open_store(server.url) as store, open_store(server.url) as other:
        store.append(views(*range(600), start=NOW - 900 * SECOND), NOW)
        scan, arrivals = store._client.hscan, iter(range(10**6))

        def scan_while_others_write(*arguments, **options):
            n = next(arrivals)
            other.append([Event("t", n, "view", NOW, f"{n}.{part}") for part in range(9)], NOW)
            return scan(*arguments, **options)

        monkeypatch.setattr(store._client, "hscan", scan_while_others_write)
        monkeypatch.setattr(redis_store, "PAGE", 50)
        assert store.log()["order"].tolist() == list(range(1, 601))


@pytest.mark.needs("redis")
def test_redis_says_what_its_settings_may_lose(server):
    keep = server.client.config_get("appendfsync", "appendonly", "maxmemory", "maxmemory-policy")
    with open_store(server.url) as store:
        assert store.warning is None
        for settings_, says in [
            ({"appendfsync": "everysec"}, "has appendfsync everysec: .* Fix: appendfsync always"),
            ({"appendonly": "no"}, "keeps no append-only file: .* Fix: appendonly yes and appendfsync always"),
            ({"maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"}, "throws events away .* Fix: maxmemory-policy"),
        ]:
            try:
                for name, value in settings_.items():
                    server.client.config_set(name, value)
                store.ready()
                assert re.search(says, store.warning)
            finally:
                for name, value in keep.items():
                    server.client.config_set(name, value)
        store.ready()
        assert store.warning is None


@pytest.mark.needs("redis")
@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (("maxmemory", "1"), "has no memory left; nothing was stored. Fix: raise maxmemory"),
        (("replicaof", "127.0.0.1 1"), "is a read-only replica. Fix: name the primary"),
    ],
)
def test_redis_that_refuses_to_write(server, setting, says):
    server.client.flushall()
    with open_store(server.url) as store:
        store.append(views(1), NOW)
        try:
            server.client.replicaof("127.0.0.1", 1) if setting[0] == "replicaof" else server.client.config_set(*setting)
            for ask in (store.ready, lambda: store.append(views(1, 2, session="t"), NOW)):
                with pytest.raises(StoreError, match=says):
                    ask()
            assert store.session("s").clicks == (1,)
        finally:
            server.client.replicaof("NO", "ONE")
            server.client.config_set("maxmemory", 0)
        assert store.session("t").events == ()
        assert store.append(views(1, 2, session="t"), NOW) == ["stored", "stored"]


@pytest.mark.needs("redis")
def test_redis_that_hangs(server):
    server.client.flushall()
    with open_store(server.url, timeout_s=0.1) as store:
        store.append(views(1), NOW)
        server.client.client_pause(400)
        try:
            with pytest.raises(StoreError, match=r"did not answer in time; .* send them again with the same event ids"):
                store.append(views(1, 2), NOW)
        finally:
            server.client.client_unpause()
        store.append(views(1, 2), NOW)
        assert store.session("s").clicks == (1, 2)


@pytest.mark.needs("redis")
def test_a_password_is_used_and_never_shown(server):
    server.client.config_set("requirepass", "hunter2-secret")
    try:
        place = f"127.0.0.1:{server.port}/0"
        with open_store(f"redis://:hunter2-secret@{place}") as store:
            assert "hunter2" not in store.url and "hunter2" not in repr(vars(store).get("warning"))
        for wrong in (server.url, f"redis://:wrong-secret@{place}"):
            with pytest.raises(StoreError, match="refuses the password") as caught:
                open_store(wrong)
            assert "secret" not in str(caught.value)
    finally:
        server.client.auth("hunter2-secret")
        server.client.config_set("requirepass", "")


@pytest.mark.needs("redis")
def test_other_data_in_the_same_redis(server):
    server.client.flushall()
    server.client.set("recsys-lab:events", "something else")
    with open_store(server.url, prefix="shop:") as store, open_store(server.url, prefix="club:") as other:
        store.append(views(1), NOW)
        assert other.count() == 0 and other.session("s").events == ()
    says = r"has other data under recsys-lab:\*. Fix: another prefix="
    with open_store(server.url) as store, pytest.raises(StoreError, match=says):
        store.append(views(1), NOW)
    server.client.flushall()
    server.client.set("recsys-lab:format", "7")
    with pytest.raises(StoreError, match="have format '7'"):
        open_store(server.url)


def test_without_the_redis_client(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StoreError, match=r"Fix: pip install 'recsys-lab\[redis\]'"):
        open_store("redis://localhost/0")


def test_the_notebook_needs_no_redis_and_no_web_framework():
    script = "import sys; from recsys_lab.serve.memory import open_store; open_store().close(); "
    script += "print({'redis', 'fastapi', 'torch', 'uvicorn', 'rapidfuzz'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "set()\n"
