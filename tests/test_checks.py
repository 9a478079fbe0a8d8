"""The framework behind the exercises: running hostile code, reading answers, boxes, and what is kept."""

import _thread
import builtins
import json
import math
import os
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections import deque
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from recsys_lab.checks import kinds, outcome, progress, reading, sandbox
from recsys_lab.checks.exercise import Lab
from recsys_lab.checks.kinds import Ids, Number, Ranking, Unreadable
from recsys_lab.checks.outcome import CORRECT, NOT_ATTEMPTED, NOT_YET, RAISED, Code, Outcome, Text


@pytest.fixture
def kept(tmp_path, monkeypatch):
    path = tmp_path / "kept" / "progress.json"
    monkeypatch.setenv(progress.VARIABLE, str(path))
    return path


def make_lab() -> Lab:
    """A lab with one function, one value and everything that an author can declare."""
    lab = Lab("90", "A trial")
    words = {"hints": ("one", "two", "three"), "explanation": "Because.", "minutes": 1, "difficulty": "easy"}

    @lab.exercise("90.1", "Double", kind=Number(), **words)
    def double(x):
        """Twice x."""
        return 2 * x

    double.case(1, expect=2, because="twice one is two")
    double.case(3, expect=6, because="twice three is six")
    double.random_cases(lambda rng: [(int(x),) for x in rng.integers(10, 99, 5)])

    @double.mistake("You square.")
    def _square(x):
        return x * x

    @double.mistake("You add one.")
    def _add(x):
        return x + 1

    double.mistake("That is negative.", wrong=lambda x: -2 * x, when=lambda got, x: got < 0)
    good = kinds.Numbers(("a",), lambda values: values["a"] > 1, lambda values: f"a is {values['a']:g}")
    settings = lab.value("90.2", "Settings", name="settings", task="Find a.", reference={"a": 2.0}, kind=good, **words)
    settings.case(expect={"a": 2.0}, because="more than one")
    return lab


@pytest.fixture
def lab(kept):
    return make_lab()


# ---- the sandbox ------------------------------------------------------------------------------------------------


def test_work_that_ends_gives_its_value():
    run = sandbox.limited(lambda: 7, 5)
    assert (run.value, run.finished, run.stopped, run.left_behind) == (7, True, False, False)


def test_an_error_that_escapes_is_named():
    run = sandbox.limited(lambda: 1 / 0, 5)
    assert not run.finished and run.error == "ZeroDivisionError" and run.place is None


def test_an_endless_loop_is_stopped_and_its_thread_is_gone():
    def endless():
        while True:
            pass

    before = threading.active_count()
    run = sandbox.limited(endless, 0.1, endless.__code__)
    assert not run.finished and not run.left_behind
    assert run.place.line in (endless.__code__.co_firstlineno + 1, endless.__code__.co_firstlineno + 2)
    time.sleep(0.05)
    assert threading.active_count() == before


def test_a_loop_that_swallows_everything_is_stopped_too():
    def swallows():
        while True:
            try:  # noqa: SIM105
                [i for i in range(10)]
            except:  # noqa: E722
                pass

    assert not sandbox.limited(swallows, 0.1).left_behind


def test_a_blocking_call_is_left_behind():
    start = time.monotonic()
    run = sandbox.limited(lambda: time.sleep(3), 0.1)
    assert run.left_behind and not run.finished and time.monotonic() - start < 2.9


def test_the_stop_button_ends_the_wait():
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    run = sandbox.limited(lambda: [time.sleep(0.01) for _ in range(1000)], 30)
    assert run.stopped and not run.finished and not run.left_behind


def test_an_interruption_never_strikes_after_the_work():
    """Time is up at the very moment at which the work ends, hundreds of times."""
    failures = []
    hook, threading.excepthook = threading.excepthook, failures.append
    try:
        for i in range(300):
            sandbox.limited(lambda n=i: time.sleep(0.0005 * (n % 5)), 0.001)
    finally:
        threading.excepthook = hook
    assert failures == []


def test_without_threads_the_work_is_done_all_the_same(monkeypatch):
    def no_threads(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_threads)
    assert sandbox.limited(lambda: 7, 1).value == 7


def test_quiet_puts_everything_back():
    before = (sys.stdout, sys.stderr, builtins.input, os._exit, sys.breakpointhook)
    with sandbox.quiet() as printed:
        print("x" * 10_000)
        breakpoint()
        with pytest.raises(RuntimeError, match="waits for a person"):
            input("?")
        with pytest.raises(SystemExit):
            os._exit(1)
    assert before == (sys.stdout, sys.stderr, builtins.input, os._exit, sys.breakpointhook)
    assert printed.take() == "x" * sandbox.MOST_PRINTED and printed.take() == ""


# ---- reading answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one", [1, 1.0, True, np.int8(1), np.float32(1), np.bool_(True), np.array(1.0), Fraction(1), Decimal(1)], ids=repr
)
def test_a_number_of_any_type_is_read(one):
    assert Number().read(one) == 1.0


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (None, "None came back; one number is needed."),
        ("0.5", "A text ('0.5') came back"),
        ([0.5], "A list of 1 ([0.5]) came back"),
        (np.array([0.5]), "A ndarray of 1 came back"),
        (1j, "The number 1j came back"),
        (print, "A function or class (print) came back"),
        ((x for x in ()), "A generator came back"),
    ],
)
def test_what_is_no_number_is_refused_in_words(thing, words):
    with pytest.raises(Unreadable) as refused:
        Number().read(thing)
    assert str(refused.value).startswith(words)


def test_numbers_are_compared_with_a_tolerance():
    assert Number().agree(1 / 3, 0.33333334) and not Number().agree(1 / 3, 0.3334)
    assert Number().read(10**400) == math.inf and not Number().agree(math.nan, 1.0)
    assert Number().agree(math.nan, math.nan)


@pytest.mark.parametrize(
    "make", [list, tuple, deque, np.array, pd.Series, pd.Index, lambda x: pd.array(x), lambda x: np.array(x) * 1.0]
)
def test_a_list_of_any_type_is_read(make):
    assert Ranking().read(make([3, 1, 2])) == (3, 1, 2)


def test_labels_may_be_texts_and_times():
    times = pd.to_datetime(["2026-01-01", "2026-01-02"])
    assert Ranking().read(["a", np.str_("b")]) == ("a", "b")
    assert Ranking().read(times) == Ranking().read(times.to_numpy()) == Ranking().read(list(times))


def test_ids_are_needed_once():
    assert Ids("id").read([2, 1]) == Ids("id").read({1.0, 2.0}) == {1, 2}
    with pytest.raises(Unreadable, match="Id 2 came back more than once"):
        Ids("id").read([2, 1, 2])
    assert Ids("id").show(frozenset({2, 1})) == "{1, 2}" and Ids("id").show(frozenset()) == "no ids"


def test_descriptions_never_raise_and_are_short():
    class Evil:
        def __repr__(self):
            raise RuntimeError

    for thing in (Evil(), [Evil()] * 1000, "x" * 10**6, {i: Evil() for i in range(100)}, np.zeros(10**6)):
        assert len(reading.safe_repr(thing)) <= 300 and len(reading.describe(thing)) <= 400


# ---- boxes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [NOT_ATTEMPTED, CORRECT, NOT_YET, RAISED])
def test_a_box_has_a_word_and_a_sign_and_escapes(kind):
    box = Outcome(kind, "1 <b>Title</b>", [Text("a < b & c", strong=True), Code("The <input>:", "f('<script>')")])
    tree = ET.fromstring(box._repr_html_())  # well-formed
    sign, word, _ = outcome.LOOKS[kind]
    text = "".join(tree.itertext())
    assert sign in text and word in text and "f('<script>')" in text and "1 <b>Title</b>" in text
    assert tree.attrib["aria-label"] == f"{word}: 1 <b>Title</b>"
    assert "<script" not in box._repr_html_() and "class=" not in box._repr_html_()
    assert repr(box).startswith(f"[{sign}] {word.upper()}: 1 <b>Title</b>\n    a < b & c\n")
    assert len({s for s, _, _ in outcome.LOOKS.values()}) == len(outcome.LOOKS)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_edges_and_signs_can_be_told_from_light_and_dark():
    for kind, (_, _, colour) in outcome.LOOKS.items():
        assert contrast(colour, "#ffffff") >= 3 and contrast(colour, "#111111") >= 3, kind
        assert contrast(outcome._SHADES[kind], "#ffffff") >= 4.5, kind


# ---- an exercise ------------------------------------------------------------------------------------------------


def test_the_four_outcomes(lab):
    check = lab["double"]

    def todo(x):
        raise NotImplementedError("exercise 90.1")

    def broken(x):
        return x / (x - x)

    assert check(todo).kind == NOT_ATTEMPTED
    assert check(lambda x: x + x).correct
    assert check(lambda x: x**2).message.startswith("You square.\nExpected: twice one is two.\nCame: 1.")
    raised = check(broken)
    assert raised.kind == RAISED and "ZeroDivisionError: division by zero" in raised.message
    assert f"line {broken.__code__.co_firstlineno + 1}:" in repr(raised) and "return x / (x - x)" in repr(raised)


def test_a_message_is_exact_or_perhaps_or_the_case_alone(lab):
    check = lab["double"]
    assert "That is negative." in check(lambda x: -x).message
    almost = check(lambda x: x * x if x != 1 else 7)
    assert "Perhaps: You square." in almost.message
    assert check(lambda x: x + 0.1).message.startswith("Expected: twice one is two.\nCame: 1.1.")


def test_an_error_in_a_library_is_placed_in_the_learners_line(lab):
    def asks(x):
        frame = pd.DataFrame({"a": [x]})
        return frame["b"].sum()

    box = lab["double"](asks)
    assert box.kind == RAISED and "frame['b'].sum()".replace("'", '"') in repr(box) and "KeyError" in box.message


def test_not_implemented_in_a_library_is_an_error_not_a_stub(lab):
    box = lab["double"](lambda x: pd.api.extensions.ExtensionArray()._formatter())
    assert box.kind in (RAISED, NOT_YET)
    assert lab["double"](lambda x: pd.api.extensions.ExtensionArray().dtype).kind == RAISED


def test_the_failing_input_can_be_had(lab):
    lab["double"](lambda x: 2)
    assert lab["double"].input() == (3,)


def test_answers_follow_the_last_check(lab):
    mine = lambda x: x + x  # noqa: E731
    assert repr(lab.answers.double) == "<check.answers.double: the reference, until yours is right>"
    lab["double"](mine)
    assert lab.answers.double.function is mine and lab.answers.double(4) == 8
    assert repr(lab.answers.double) == "<check.answers.double: yours, checked>"
    lab["double"](lambda x: x)
    assert lab.answers.double.function is lab["double"].reference
    assert lab["double"](lab.answers.double).correct  # checking an answer is no loop
    assert lab.answers.double(4) == 8 and lab.answers.double.__doc__ == "Twice x."


def test_what_a_learners_own_function_raises_later_is_theirs(lab):
    lab["double"](lambda x: x + x if x < 1000 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lab.answers.double(1000)


def test_a_value_is_checked_and_kept(lab):
    check, mine = lab["settings"], {"a": 3}
    for blank in (None, ..., {"a": None}, {"a": ...}):
        assert check(blank).kind == NOT_ATTEMPTED
    assert lab.answers.settings == {"a": 2.0} and "the reference" in repr(lab.answers.settings)
    assert check(mine).correct
    mine["a"] = 0
    assert lab.answers.settings == {"a": 3.0} and "yours" in repr(lab.answers.settings)
    lab.answers.settings["a"] = 0
    assert lab.answers.settings == {"a": 3.0}
    assert check(lambda: {"a": 4}).correct and lab.answers.settings == {"a": 4.0}
    assert "a is 1" in check({"a": 1}).message and lab.answers.settings == {"a": 2.0}


def test_an_unknown_name_gets_the_nearest(lab):
    with pytest.raises(AttributeError, match=r"no exercise 'dubble'\. Did you mean double"):
        _ = lab.answers.dubble
    assert dir(lab.answers) == ["double", "settings"]
    assert "double: the reference" in repr(lab.answers)


def test_a_lab_module_knows_its_names():
    from recsys_lab.checks import lab02

    with pytest.raises(AttributeError, match="Did you mean reciprocal_rank"):
        _ = lab02.reciprocal_ranks


# ---- what is kept -----------------------------------------------------------------------------------------------


def test_progress_outlives_the_kernel(lab, kept):
    lab["double"](lambda x: x)
    lab["double"](lambda x: x + x)
    lab["double"](lambda x: x)
    lab["double"].hint()
    lab["settings"].solution()
    later = make_lab().progress()
    assert [row[3:6] for row in later.rows] == [
        ["✓ correct", "3", "1 of 3"],
        ["○ not attempted, solution seen", "0", "0 of 3"],
    ]
    assert later.rows[0][6] == "the reference; check yours again"  # the table is of all days, `answers` of this kernel
    assert "1 of 2 done. Kept on this machine only, in" in repr(later)
    table = ET.fromstring(f"<div>{later._repr_html_()}</div>")
    assert table.find("table/caption").text == "Lab 90: A trial"
    assert [th.attrib["scope"] for th in table.iter("th")] == ["col"] * 7 + ["row"] * 2
    assert set(json.loads(kept.read_text(encoding="utf-8"))["labs"]["90"]) == {"double", "settings"}


def test_a_stub_leaves_no_trace(lab, kept):
    lab["settings"](None)
    assert not kept.exists()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "7", '{"labs": 7}', '{"labs": {"90": []}}', '{"labs": {"90": {"double": {"tries": "x"}}}}', "\xff"],
)
def test_a_broken_file_is_set_aside(lab, kept, text):
    kept.parent.mkdir()
    kept.write_text(text, encoding="latin-1")
    assert "0 of 2 done" in repr(lab.progress())
    assert "Progress" not in lab["double"](lambda x: x + x).message
    assert "1 of 2 done" in repr(lab.progress())
    assert (kept.parent / "progress.json.unreadable").read_text(encoding="latin-1") == text


def test_a_file_that_cannot_be_written_is_one_line(lab, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "file" / "progress.json"))
    box = lab["double"](lambda x: x + x)
    assert box.correct and box.message.splitlines()[-1].startswith("Progress is not kept: ")
    assert "0 of 2 done" in repr(lab.progress())


def test_an_empty_variable_keeps_nothing(lab, monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, "")
    assert lab["double"](lambda x: x + x).message.endswith("Progress is not kept: RECSYS_LAB_PROGRESS_FILE is empty.")
    assert repr(lab.progress()).endswith("Progress is not kept: RECSYS_LAB_PROGRESS_FILE is empty.")


def test_by_default_it_lies_in_the_users_own_folder(monkeypatch):
    monkeypatch.delenv(progress.VARIABLE)
    assert progress.file().name == "progress.json" and "recsys-lab" in str(progress.file())
    monkeypatch.setenv(progress.VARIABLE, "~/some.json")
    assert "~/some.json" in progress.where()


@pytest.fixture(autouse=True)
def a_variable(monkeypatch, tmp_path):
    """No test touches the real file."""
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "other.json"))


WRITER = """
import sys
from recsys_lab.checks import progress
for i in range(40):
    problem = progress.update("90", sys.argv[1], lambda notes: notes.update(tries=notes.get("tries", 0) + 1))
    problem = problem or progress.update("90", "both", lambda notes: notes.update(tries=notes.get("tries", 0) + 1))
    if problem:
        sys.exit(problem)
"""


def test_two_kernels_at_once_lose_nothing(kept):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in ("one", "two", "three")]
    assert [w.wait() for w in writers] == [0, 0, 0]
    notes = progress.read()["90"]
    assert {name: n["tries"] for name, n in notes.items()} == {"one": 40, "two": 40, "three": 40, "both": 120}
    assert [p.name for p in kept.parent.iterdir()] == ["progress.json"]


def test_the_lock_of_a_dead_kernel_is_broken(lab, kept):
    kept.parent.mkdir()
    lock = kept.with_name("progress.json.lock")
    lock.write_text("")
    os.utime(lock, (time.time() - 60,) * 2)
    assert lab["double"](lambda x: x + x).message.count("\n") == 1
    assert kept.exists() and not lock.exists()


# ---- in a real kernel -------------------------------------------------------------------------------------------

CELLS = (
    "from recsys_lab.checks import lab02 as check",
    "def f(ranked, target):\n    exit()\n\ncheck.reciprocal_rank(f)",
    "def f(ranked, target):\n    import os\n    os._exit(1)\n\ncheck.reciprocal_rank(f)",
    "def f(ranked, target):\n    place = 0\n    return 1 / place\n\ncheck.reciprocal_rank(f)",
    "def f(ranked, target):\n    while True:\n        target += 1\n\ncheck.reciprocal_rank(f, limit_s=0.3)",
    "def f(ranked, target):\n    return input()\n\ncheck.reciprocal_rank(f)",
    "f([7, 3, 5], 7)",
    "print('alive')",
)


def test_in_a_notebook(kept):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    client = nbclient.NotebookClient(notebook, allow_errors=True, timeout=60, kernel_name="python3")
    client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    shown = [
        "".join(o.get("data", {}).get("text/plain", o.get("text", o.get("ename", ""))) for o in c.outputs)
        for c in notebook.cells
    ]
    assert "SystemExit" in shown[1] and "SystemExit" in shown[2]
    assert "line 3:\n        return 1 / place" in shown[3]
    assert "had not finished after 0.3 s" in shown[4]
    assert "waits for a person" in shown[5] and shown[6] == "StdinNotImplementedError"
    assert shown[7] == "alive\n"
    assert all("text/html" in notebook.cells[i].outputs[0]["data"] for i in range(1, 6))
