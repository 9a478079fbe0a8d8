"""``recsys-lab demo`` as real processes: killed, with two workers, with new models, told to end, open to a room."""

import contextlib
import http.client
import os
import re
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import tiny_shop
from ports import free_port
from redis_server import RedisServer
from starlette.testclient import TestClient
from tiny_shop import Demo

from recsys_lab import cli
from recsys_lab.serve.api import make_app
from recsys_lab.serve.memory import open_store

PASSWORD = "pass-of-nobody-77"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Makes folders with the small shop's bundle."""

    def make(name):
        folder = tmp_path_factory.mktemp(name) / "bundle"
        return folder, tiny_shop.bundle().save(folder)

    return make


@pytest.fixture(scope="module", params=["sqlite", pytest.param("redis", marks=pytest.mark.needs("redis"))])
def running(request, saved, tmp_path_factory):
    """The demo with two workers on one memory."""
    home = tmp_path_factory.mktemp(request.param)
    with contextlib.ExitStack() as stack:
        store = str(home / "sessions.db")
        if request.param == "redis":
            server = RedisServer(home, "--appendonly", "yes", "--appendfsync", "always")
            stack.callback(server.stop)
            store = server.url
        folder, bundle = saved(request.param)
        options = (folder, home / "log.txt", "--session-store", store, "--workers", "2")
        demo = stack.enter_context(Demo(*options))
        demo.store, demo.folder, demo.version, demo.options = store, folder, bundle.version, options
        wait_for(lambda: len(workers(demo)) == 2)
        yield demo


def workers(demo):
    """Process ids of the workers."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == demo.process.pid and b"spawn_main" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def spread(demo, number=16):
    """Connections that are open at once: all workers have some."""
    connections = [demo.connect() for _ in range(number)]
    for connection in connections:
        connection.connect()
    return connections


# ---- two workers --------------------------------------------------------------------------------------------------


def numbers(demo):
    status, text = demo.ask("GET", "/metrics")
    assert status == 200
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_two_workers_answer_as_one(running):
    stored = 'shop_events_total{outcome="stored"}'
    before = float(numbers(running).get(stored, 0))
    connections = spread(running)
    for n, connection in enumerate(connections):  # each click over another connection
        event = {"session_id": "one", "item_id": 1 + 3 * n, "event_id": f"one.{n}"}
        assert running.ask("POST", "/events", event, connection=connection)[1] == {"outcomes": ["stored"]}
        again = running.ask("POST", "/events", event, connection=connections[n - 1])[1]
        assert again == {"outcomes": ["duplicate"]}
    answers = [
        running.ask("GET", "/recommendations?session_id=one&k=20", connection=connection)[1]
        for connection in connections
    ]
    assert all(answer["source"] == "session" for answer in answers)
    assert len({tuple(row["item_id"] for row in answer["items"]) for answer in answers}) == 1
    with open_store(running.store) as store:
        assert store.session("one").clicks == tuple(1 + 3 * n for n in range(16))
    for connection in connections:
        connection.close()
    # whichever worker is asked, it has the numbers of all
    assert {float(numbers(running)[stored]) - before for _ in range(6)} == {16.0}


def test_a_new_bundle_is_taken_over_and_nobody_notices(running):
    failures, versions, stop = [], [], threading.Event()

    def ask(name):
        n = 0
        while not stop.is_set():
            n += 1
            try:
                event = {"session_id": name, "item_id": 1 + n % 100}
                posted, answer = running.ask("POST", "/events", event)
                status, got = running.ask("GET", f"/recommendations?session_id={name}")
                versions.append(got["version"])
                if (posted, status) != (200, 200) or got["degraded"] or len(got["items"]) != 10:
                    failures.append((posted, answer, status, got))
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=ask, args=(f"reload.{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    fresh = tiny_shop.bundle(seed=1).save(running.folder)
    start = time.monotonic()
    try:
        wait_for(lambda: versions[-30:] == [fresh.version] * 30, 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert set(versions) == {running.version, fresh.version}
    assert time.monotonic() - start < 15
    assert fresh.version in running.said()


def test_a_damaged_bundle_is_not_taken_over(running):
    version = running.ask("GET", "/healthz")[1]["version"]
    (running.folder / "CURRENT").write_text("nothing")
    wait_for(lambda: "the new bundle is not taken" in running.said())
    try:
        assert running.ask("GET", "/healthz") == (200, {"status": "ok", "version": version})
        assert running.ask("GET", "/readyz")[0] == 200
    finally:
        (running.folder / "CURRENT").write_text(version)


def test_a_worker_that_dies_is_replaced(running):
    first, second = workers(running)
    os.kill(first, signal.SIGKILL)
    assert sum(running.ask("GET", "/healthz")[0] == 200 for _ in range(5)) == 5
    wait_for(lambda: len(workers(running)) == 2 and first not in workers(running))
    assert second in workers(running)


def send(demo, name, acknowledged):
    """Send batches of three until nobody answers."""
    n = 0
    while True:
        n += 1
        ids = [f"{name}.{n}.{part}" for part in range(3)]
        events = [{"session_id": f"{name}.{n % 5}", "item_id": 1 + n % 120, "event_id": i} for i in ids]
        try:
            status, answer = demo.ask("POST", "/events", events)
        except (OSError, http.client.HTTPException):
            return
        assert status == 200 and answer["outcomes"] == ["stored"] * 3
        acknowledged.extend(ids)


def test_killed_under_load_it_has_every_acknowledged_event_once(running):
    acknowledged: list[str] = []
    threads = [threading.Thread(target=send, args=(running, f"load.{n}", acknowledged)) for n in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(acknowledged) > 60)
    running.kill()
    for thread in threads:
        thread.join()
    with Demo(*running.options[:-2]) as demo:  # one worker this time
        with open_store(running.store) as store:
            kept = Counter(i for i in store.log()["event_id"] if i.startswith("load."))
        assert set(acknowledged) <= set(kept)
        assert set(kept.values()) == {1}
        assert set(Counter(i.rpartition(".")[0] for i in kept).values()) == {3}  # no batch is there in part
        again = [{"session_id": "x", "item_id": 5, "event_id": acknowledged[0]}]
        assert demo.ask("POST", "/events", again)[1] == {"outcomes": ["conflict"]}
        assert demo.ask("GET", "/recommendations?session_id=load.0.1")[1]["source"] == "session"
        assert demo.stop(signal.SIGTERM) == 0


# ---- start and end ------------------------------------------------------------------------------------------------


def test_a_taken_port_and_the_end(saved, tmp_path, capsys):
    folder, _ = saved("port")
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # whoever has it, it is taken
            other.bind(("127.0.0.1", 8000))
            other.listen()
        with Demo(folder, tmp_path / "log.txt", port=None) as demo:
            assert demo.port != 8000
            assert "port 8000 is taken" in demo.said()
            status, page = demo.ask("GET", "/", headers={"Accept": "text/html"})
            assert status == 200 and "Book" in page
            assert cli.main(["demo", "--bundle", str(folder), "--port", str(demo.port)]) == 2
            assert f"--port {demo.port + 1}" in capsys.readouterr().err
            assert demo.post(7) == ["stored"]
            assert demo.stop(signal.SIGINT) == 0
            said = demo.said()
    assert said.count("The shop is closed.") == 1 and "Traceback" not in said
    assert not any(line.startswith(("WARNING", "ERROR")) for line in said.splitlines()), said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workers", "0"), "--workers 0"),
        (("--session-store", "mysql://x"), "mysql"),
        (("--session-store", "/no/such/folder/x.db"), "/no/such/folder"),
        (("--session-store", f"redis://:{PASSWORD}@127.0.0.1:1/0"), "redis-server"),
        (("--bundle", "/no/such/bundle"), "/no/such/bundle"),
        (("--host", "192.0.2.1"), "192.0.2.1"),
        (("--port", "70000"), "--port 70000"),
    ],
)
def test_a_wrong_option_is_said_in_words(saved, capsys, monkeypatch, options, words):
    monkeypatch.setenv("RECSYS_LAB_DEMO", "")
    folder = [] if "--bundle" in options else ["--bundle", str(saved("wrong")[0])]
    port = [] if "--port" in options else ["--port", str(free_port())]
    assert cli.main(["demo", "--no-browser", *folder, *port, *options]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.out == "" and "Traceback" not in said.err and PASSWORD not in said.err


def own_lines(said, secret):
    """Lines that hold a secret."""
    return [line for line in said.splitlines() if secret in line]


@pytest.mark.needs("redis")
def test_open_to_a_room_with_secrets_that_stay_secret(saved, tmp_path):
    folder, _ = saved("lan")
    server = RedisServer(tmp_path)
    server.client.config_set("requirepass", PASSWORD)
    url = f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"
    try:
        with Demo(folder, tmp_path / "log.txt", "--lan", "--session-store", url) as demo:
            said = demo.said()
            code = re.search(r"room code +([A-Z2-9]{6})\b", said)[1]
            assert "Everybody in this network" in said and "encrypted" in said and "append-only" in said
            assert demo.ask("GET", "/items?q=book")[0] == 403
            assert demo.ask("GET", "/items?q=book", headers={"X-Room-Code": "AAAAAA"})[0] == 403
            head = {"X-Room-Code": code}
            assert demo.ask("GET", "/items?q=book", headers={**head, "Host": "my.laptop.local"})[0] == 200
            assert demo.ask("POST", "/events", {"session_id": "s", "item_id": 7}, head)[0] == 200
            assert demo.ask("GET", f"/?room={code}")[0] == 303
            server.kill()
            assert demo.ask("POST", "/events", {"session_id": "s", "item_id": 7}, head)[0] == 503
            status, answer = demo.ask("GET", "/recommendations?session_id=s", headers=head)
            assert status == 200 and answer["degraded"] and answer["source"] == "popular"
            status, answer = demo.ask("GET", "/readyz", headers=head)
            assert status == 503 and PASSWORD not in str(answer)
            assert demo.stop() == 0
            said = demo.said()
        assert "session memory" in said  # the log tells what is wrong
        assert own_lines(said, PASSWORD) == []
        assert len(own_lines(said, code)) == 1
    finally:
        server.stop()


@pytest.mark.needs("redis")
def test_a_wrong_password_is_not_repeated(saved, tmp_path, capsys):
    folder, _ = saved("password")
    server = RedisServer(tmp_path)
    server.client.config_set("requirepass", "another one")
    try:
        url = f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"
        assert cli.main(["demo", "--bundle", str(folder), "--port", "0", "--session-store", url]) == 2
        said = capsys.readouterr().err
        assert "password" in said and PASSWORD not in said and "Traceback" not in said
    finally:
        server.stop()


def test_a_locked_memory_is_not_acknowledged(saved, tmp_path):
    """Another program holds the file: 503 after a while, and nothing is stored."""
    shop = tiny_shop.open_shop(open_store(tmp_path / "s.db", timeout_s=0.2))
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        client = TestClient(make_app(shop), base_url="http://localhost")
        assert client.post("/events", json={"session_id": "s", "item_id": 7}).status_code == 503
        assert client.get("/recommendations", params={"session_id": "s"}).json()["source"] == "popular"
        other.execute("ROLLBACK")
        assert client.post("/events", json={"session_id": "s", "item_id": 7}).json() == {"outcomes": ["stored"]}
    finally:
        other.close()
        shop.close()
