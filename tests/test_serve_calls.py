"""Asking models within a budget: stuck, failing and closed ones, and what becomes of their threads."""

import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest

from recsys_lab.serve.calls import MOST_STUCK, THREADS, Calls

LONG = 60  # s: a busy machine is no reason to fail


@pytest.fixture
def go():
    """What stuck calls wait for; they always come back at the end of a test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def calls():
    made = Calls(["a", "b"])
    yield made
    made.close()


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


def fails(error):
    def task():
        raise error

    return task


def named(name):
    return [thread for thread in threading.enumerate() if thread.name == f"model-{name}"]


def test_answers_of_all(calls):
    answers, timings, failed = calls.ask({"a": lambda: 1, "b": lambda: None}, LONG)
    assert answers == {"a": 1, "b": None} and failed == []
    assert set(timings) == {"a", "b"} and all(0 <= ms < 1000 * LONG for ms in timings.values())
    assert calls.ask({}, LONG) == ({}, {}, [])


def test_models_work_side_by_side(calls):
    """Each waits for the other: one after the other they would never end."""
    meet = threading.Barrier(2)
    answers, _, failed = calls.ask({name: lambda: meet.wait(LONG) for name in "ab"}, LONG)
    assert sorted(answers.values()) == [0, 1] and failed == []


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), MemoryError(), StopIteration()])
def test_one_that_raises_is_logged_and_hurts_nobody(calls, error, caplog):
    for _ in range(2 * THREADS):  # no thread dies of it
        answers, timings, failed = calls.ask({"a": fails(error), "b": lambda: 2}, LONG)
        assert (answers, set(timings), failed) == ({"b": 2}, {"b"}, ["a"])
    assert f"model a failed: {type(error).__name__}" in caplog.text
    assert calls.ask({"a": lambda: 1}, LONG)[0] == {"a": 1}
    assert calls.stuck == {"a": 0, "b": 0}


def test_one_that_is_stuck_is_left_alone_and_may_come_back(calls, go, caplog):
    asked = []

    def stuck():
        asked.append(1)
        go.wait(LONG)

    for n in range(1, MOST_STUCK + 1):
        before = time.monotonic()
        answers, _, failed = calls.ask({"a": stuck, "b": lambda: 2}, 0.2)
        assert 0.2 <= time.monotonic() - before < 0.2 + LONG / 2
        assert (answers, failed, calls.stuck["a"]) == ({"b": 2}, ["a"], n)
    assert "model a did not answer within 200 ms" in caplog.text
    for _ in range(3):  # at once
        answers, _, failed = calls.ask({"a": stuck, "b": lambda: 2}, LONG)
        assert (answers, failed) == ({"b": 2}, ["a"])
    assert len(asked) == MOST_STUCK
    go.set()
    until(lambda: calls.stuck["a"] == 0)
    assert calls.ask({"a": lambda: 1}, LONG)[0] == {"a": 1}


def test_one_that_has_not_begun_is_taken_away(go):
    """All threads of a model are busy: what waits behind them is not counted as stuck, and is never done."""
    calls, done, busy = Calls(["a"]), [], threading.Semaphore(0)

    def work():
        busy.release()
        go.wait(LONG)

    others = [threading.Thread(target=calls.ask, args=({"a": work}, LONG)) for _ in range(THREADS)]
    for thread in others:
        thread.start()
    for _ in range(THREADS):
        assert busy.acquire(timeout=LONG)
    assert calls.ask({"a": lambda: done.append(1)}, 0.05)[2] == ["a"]
    assert calls.stuck["a"] == 0
    go.set()
    for thread in others:
        thread.join()
    assert calls.ask({"a": lambda: 1}, LONG)[0] == {"a": 1} and done == []
    calls.close()


def test_no_time_left(calls, go):
    assert calls.ask({"a": go.wait}, -1)[2] == ["a"]


def test_after_closing_nobody_answers(go):
    calls = Calls(["closed"])
    busy = threading.Event()

    def work():
        busy.set()
        go.wait(LONG)

    threading.Thread(target=calls.ask, args=({"closed": work}, LONG), daemon=True).start()
    assert busy.wait(LONG)
    calls.close()
    calls.close()
    before = time.monotonic()
    assert calls.ask({"closed": lambda: 1}, LONG) == ({}, {}, ["closed"])
    assert time.monotonic() - before < LONG / 2
    go.set()
    until(lambda: not named("closed"))


def test_threads_end_with_what_they_worked_for():
    calls = Calls(["dropped"])
    assert not named("dropped")  # begun when they are needed
    for _ in range(2 * THREADS):
        calls.ask({"dropped": lambda: 1}, LONG)
    assert 1 <= len(named("dropped")) <= THREADS
    del calls
    gc.collect()
    until(lambda: not named("dropped"))


def test_what_was_asked_is_not_kept(calls):
    class Large:
        pass

    large = Large()
    gone = weakref.ref(large)
    calls.ask({"a": lambda kept=large: id(kept)}, LONG)
    del large
    until(lambda: gc.collect() is not None and gone() is None)


def test_a_stuck_model_does_not_keep_the_process_from_ending():
    code = "import time; from recsys_lab.serve.calls import Calls; calls = Calls(['a'])\n"
    code += "print(calls.ask({'a': lambda: time.sleep(300)}, 0.1)[2])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "['a']\n"
