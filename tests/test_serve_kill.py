"""An acknowledged event is never lost: processes killed with SIGKILL at a random moment, then counted."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from redis_server import RedisServer

from recsys_lab.serve.memory import SECOND, Event, StoreError, open_store

NOW = 1_790_000_000 * SECOND
ROUNDS = 5

# A process that imports once and forks a service for each round. Its two threads send batches of three; acknowledged
# ids are printed after append has returned, in one write. A "-" tells that the service is dead.
NURSERY = """
import itertools, os, sys, threading
from recsys_lab.serve.memory import Event, open_store

def send(store, name, now):
    for n in itertools.count():
        ids = [f"{name}.{n}.{part}" for part in range(3)]
        events = [Event(f"s{n % 7}", n, ("view", "cart")[n % 2], now + n, i, user_id=n % 3) for i in ids]
        assert store.append(events, now) == ["stored"] * 3
        os.write(1, (" ".join(ids) + "\\n").encode())

for line in sys.stdin:
    place, name, now = line.split()
    child = os.fork()
    if child == 0:
        os.write(1, f"{os.getpid()}\\n".encode())
        store = open_store(place)
        for thread in "ab":
            threading.Thread(target=send, args=(store, f"{name}.{thread}", int(now))).start()
        threading.Event().wait()
    os.waitpid(child, 0)
    os.write(1, b"-\\n")
"""


@pytest.fixture(scope="module")
def nursery():
    command = [sys.executable, "-c", NURSERY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        yield process
        process.stdin.close()


def killed_while_sending(nursery, place, name, wait):
    """Ids that a service acknowledged before it was killed, `wait` seconds after its first."""
    nursery.stdin.write(f"{place} {name} {NOW}\n")
    service = int(nursery.stdout.readline())
    acknowledged = nursery.stdout.readline().split()
    assert acknowledged != ["-"], "it ended by itself"
    timer = threading.Timer(wait, os.kill, (service, signal.SIGKILL))
    timer.start()
    while (line := nursery.stdout.readline()) != "-\n":
        acknowledged += line.split()
    assert not timer.is_alive(), "it ended by itself"
    return acknowledged


def check(store, acknowledged):
    """Every acknowledged event is there once, no batch is there in part, and all ways of asking agree."""
    log = store.log()
    kept = Counter(log["event_id"])
    assert set(kept.values()) == {1}
    assert set(acknowledged) <= set(kept)
    assert set(Counter(i.rpartition(".")[0] for i in kept).values()) == {3}
    assert store.count() == len(log)
    by_session = {s: len(store.session(s).events) for s in log["session_id"].unique()}
    assert by_session == log["session_id"].value_counts().to_dict()
    assert sum(n for _, n in store.trending(0, 10**6)) == (log["event"] == "view").sum()
    assert sum(len(store.user_events(u, 10**6)) for u in range(3)) == len(log)


def kill_and_count(nursery, place, seed):
    """Kill a service again and again; each time open the store anew, count, and go on with it."""
    chance, acknowledged = random.Random(seed), []
    for n in range(ROUNDS):
        acknowledged += killed_while_sending(nursery, place, f"round{n}", chance.uniform(0, 0.25))
        with open_store(place, max_events=10**6) as store:
            check(store, acknowledged)
            after = [Event("after", n, "view", NOW, f"after{n}.{part}", user_id=1) for part in range(3)]
            assert store.append(after, NOW) == ["stored"] * 3
            acknowledged += [event.event_id for event in after]


def test_a_killed_service_loses_no_acknowledged_event_in_sqlite(nursery, tmp_path):
    path = tmp_path / "shop.db"
    kill_and_count(nursery, str(path), seed=1)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.needs("redis")
def test_a_killed_service_loses_no_acknowledged_event_in_redis(nursery, tmp_path):
    server = RedisServer(tmp_path)
    try:
        kill_and_count(nursery, server.url, seed=2)
    finally:
        server.stop()


@pytest.mark.needs("redis")
def test_a_killed_redis_loses_no_acknowledged_event(tmp_path):
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    chance, acknowledged, sent = random.Random(3), [], []

    def send(store, name):
        for n in range(10**6):
            batch = [Event(f"s{n % 7}", n, "view", NOW + n, f"{name}.{n}.{part}", user_id=n % 3) for part in range(3)]
            sent.append(batch)
            try:
                assert store.append(batch, NOW) == ["stored"] * 3
            except StoreError:
                return
            acknowledged.extend(event.event_id for event in batch)

    try:
        with open_store(server.url, max_events=10**6, session_limit=10**6) as store:
            assert store.warning is None
            for n in range(ROUNDS):
                senders = [threading.Thread(target=send, args=(store, f"round{n}.{t}"), daemon=True) for t in "ab"]
                before = len(acknowledged)
                for sender in senders:
                    sender.start()
                time.sleep(chance.uniform(0.05, 0.25))
                server.kill()
                for sender in senders:
                    sender.join(timeout=20)
                    assert not sender.is_alive()
                server.start()
                assert len(acknowledged) > before
                check(store, acknowledged)
            # what was not acknowledged is sent again, with everything else: it counts once
            outcomes = Counter(o for batch in sent for o in store.append(batch, NOW))
            assert set(outcomes) <= {"stored", "duplicate"} and outcomes["duplicate"] >= len(acknowledged)
            check(store, [event.event_id for batch in sent for event in batch])
            assert store.count() == sum(map(len, sent))
    finally:
        server.stop()
