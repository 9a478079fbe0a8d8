"""The proof for every exercise of every lab: an exercise that lacks a part of it fails here.

`proof_labNN.py` holds, by the exercise's name, correct solutions written differently from the reference, and wrong
answers that people really give, written differently from the lab's own known mistakes, with a piece of the diagnosis
that each one must get.
"""

import importlib.util
import inspect
import math
import pkgutil
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hostile import CALLABLE, RAISING, RETURNED
from proof import Proof
from scipy import sparse

import recsys_lab.checks
from recsys_lab import bookshop, cleaning, interactions, metrics, models, ranking, split
from recsys_lab.checks import kinds
from recsys_lab.checks.exercise import DIFFICULTIES, Exercise
from recsys_lab.checks.outcome import CORRECT, NOT_ATTEMPTED, NOT_YET, RAISED

LABS = {
    module.name: importlib.import_module(f"recsys_lab.checks.{module.name}")
    for module in pkgutil.iter_modules(recsys_lab.checks.__path__)
    if module.name.startswith("lab")
}
EXERCISES = {f"{name}.{e.name}": e for name, module in LABS.items() for e in module.lab.exercises.values()}
FUNCTIONS = {name: e for name, e in EXERCISES.items() if not e.is_value}


PROOF = {
    f"{name}.{exercise}": proof
    for name in LABS
    if importlib.util.find_spec(f"proof_{name}")
    for exercise, proof in importlib.import_module(f"proof_{name}").PROOF.items()
}


def each(exercises):
    return pytest.mark.parametrize("exercise", exercises.values(), ids=list(exercises))


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_LAB_PROGRESS_FILE", str(tmp_path / "progress.json"))


@pytest.fixture(autouse=True)
def forgotten():
    """No exercise remembers an earlier test."""
    for exercise in EXERCISES.values():
        exercise._is_right, exercise._hints_shown, exercise._failed = False, 0, None


def stub_of(exercise: Exercise):
    space = {}
    exec(exercise.stub, space)
    return space[exercise.name]


def answered_by_reference(exercise: Exercise) -> bool:
    answer = getattr(exercise.lab.answers, exercise.name)
    assert "the reference" in repr(answer)
    if exercise.is_value:
        return answer == exercise.reference
    case = exercise.all_cases()[0]
    return exercise.kind.agree(exercise.kind.read(answer(*case.args), case.args), case.expect)


# ---- what every exercise must have ------------------------------------------------------------------------------


@each(EXERCISES)
def test_an_exercise_is_complete(exercise):
    assert len(exercise.hints) >= 3 and len(exercise.mistakes) >= 3 and exercise.explanation
    assert exercise.difficulty in DIFFICULTIES and 0 < exercise.minutes <= 20
    assert exercise.all_cases()[0].because and (exercise.is_value or exercise._random)
    proof = PROOF[f"lab{exercise.lab.number}.{exercise.name}"]
    assert proof.right, "a second correct solution is missing"
    assert len({piece for _, piece in proof.wrong}) >= 3, "three wrong answers with a diagnosis each are missing"


def test_nothing_is_proved_that_does_not_exist():
    assert set(PROOF) == set(EXERCISES)


@pytest.mark.parametrize("name", LABS)
def test_a_lab_fits_into_its_time(name):
    exercises = list(LABS[name].lab.exercises.values())
    core = [e for e in exercises if not e.extra]
    assert 3 <= len(core) <= 5 and sum(e.minutes for e in core) <= 50
    assert [e.number for e in exercises] == [f"{int(name[3:])}.{i + 1}" for i in range(len(exercises))]
    assert exercises == core + [e for e in exercises if e.extra]


@each(EXERCISES)
def test_a_diagnosis_does_not_give_the_code_away(exercise):
    last = exercise.source.splitlines()[-1].strip()
    assert last.startswith("return ")
    for text in (*(m.message for m in exercise.mistakes), *exercise.hints[:2]):
        assert last.removeprefix("return ") not in text


# ---- the reference and the stub ---------------------------------------------------------------------------------


@each(EXERCISES)
def test_stub_is_not_attempted(exercise):
    outcome = exercise(stub_of(exercise))
    assert outcome.kind == NOT_ATTEMPTED and answered_by_reference(exercise)
    assert inspect.getdoc(stub_of(exercise)) == inspect.cleandoc(exercise.task)


@each(FUNCTIONS)
@pytest.mark.parametrize("body", ["pass", "...", '"""Words."""', "return None"])
def test_an_empty_function_is_not_attempted(exercise, body):
    space = {}
    exec(f"def empty({', '.join(exercise.parameters)}):\n    {body}\n", space)
    assert exercise(space["empty"]).kind == NOT_ATTEMPTED


@each(EXERCISES)
def test_reference_is_correct_and_quick(exercise):
    exercise.all_cases()
    start = time.process_time()
    assert exercise(exercise.reference).kind == CORRECT
    assert time.process_time() - start < 1


@each(FUNCTIONS)
def test_reference_gives_what_was_worked_out_by_hand(exercise):
    assert len(exercise.by_hand) >= 1
    for case in exercise.by_hand:
        assert exercise.kind.agree(exercise._expect(case.args), case.expect), case.because


@each(FUNCTIONS)
def test_the_shown_solution_stands_alone(exercise):
    """What `.solution()` prints runs in a notebook that has the usual names."""
    space = {"np": np, "pd": pd, "math": math, "Counter": Counter}
    exec(exercise.source, space)
    assert exercise(space[exercise.name]).kind == CORRECT


@each(FUNCTIONS)
def test_known_mistakes_differ(exercise):
    """No mistake is right, and no two can be mistaken for one another."""
    right = [c.expect for c in exercise.all_cases()]
    outputs = {}
    for number, mistake in enumerate(exercise.mistakes):
        results = exercise.mistaken(number)
        assert not all(r.right(exercise.kind, e) for r, e in zip(results, right, strict=True)), mistake.message
        for other, theirs in outputs.items():
            same = all(a.same(b, exercise.kind) for a, b in zip(results, theirs, strict=True))
            assert not same, f"{mistake.message} / {other}"
        outputs[mistake.message] = results
    assert len(outputs) == len(exercise.mistakes), "two mistakes have the same message"


# ---- right and wrong answers ------------------------------------------------------------------------------------


def _answers(which: str):
    """(exercise, answer, ...) for every entry of PROOF; made at collection time, after PROOF is filled below."""
    for name, exercise in EXERCISES.items():
        for i, entry in enumerate(getattr(PROOF.get(name, Proof([], [])), which)):
            yield pytest.param(exercise, entry, id=f"{name}-{i}")


def pytest_generate_tests(metafunc):
    for which in ("right", "wrong"):
        if f"{which}_answer" in metafunc.fixturenames:
            metafunc.parametrize(("exercise", f"{which}_answer"), list(_answers(which)))
    if "known_mistake" in metafunc.fixturenames:
        pairs = [(n, e, i) for n, e in EXERCISES.items() for i in range(len(e.mistakes))]
        ids = [f"{n}-{i}" for n, _, i in pairs]
        metafunc.parametrize(("exercise", "known_mistake"), [(e, i) for _, e, i in pairs], ids=ids)


def test_another_right_answer_is_correct(exercise, right_answer):
    outcome = exercise(right_answer)
    assert outcome.kind == CORRECT, outcome
    answer = getattr(exercise.lab.answers, exercise.name)
    assert "yours, checked" in repr(answer)
    if not exercise.is_value:
        assert answer.function is right_answer


def test_a_wrong_answer_gets_its_diagnosis(exercise, wrong_answer):
    answer, piece = wrong_answer
    outcome = exercise(answer)
    assert outcome.kind in (NOT_YET, RAISED)
    assert piece in outcome.message, outcome
    assert answered_by_reference(exercise)


def test_a_known_mistake_is_told_from_the_others(exercise, known_mistake):
    space = {}
    message, code = exercise.wrong_answers[known_mistake]
    exec(code, space)
    outcome = exercise(space[exercise.name])
    assert outcome.kind in (NOT_YET, RAISED)
    assert message in outcome.message and f"Perhaps: {message}" not in outcome.message, outcome
    assert answered_by_reference(exercise)


@each(FUNCTIONS)
def test_knowing_the_examples_by_heart_is_not_enough(exercise):
    by_heart = {repr(c.args): exercise.reference(*c.args) for c in exercise.by_hand}
    last = exercise.all_cases()[-1].args

    def parrot(*args):
        return by_heart.get(repr(args)) if repr(args) in by_heart else exercise.reference(*last)

    outcome = exercise(parrot)
    assert outcome.kind == NOT_YET and "The small examples come out right" in outcome.message


def test_right_once_then_wrong_is_the_reference_again():
    check = LABS["lab02"]
    assert check.reciprocal_rank(check.reciprocal_rank.reference).correct
    assert "yours" in repr(check.answers.reciprocal_rank)
    assert not check.reciprocal_rank(lambda ranked, target: 0.0).correct
    assert "the reference" in repr(check.answers.reciprocal_rank)


# ---- right answers of other types -------------------------------------------------------------------------------


def others(kind, result, args) -> list:
    """The same answer in other types."""
    if isinstance(kind, kinds.Number):
        import decimal
        import fractions

        more = [np.float64(result), np.float32(result), np.array(result), decimal.Decimal(result)]
        whole = [int(result), np.int64(result)] if float(result).is_integer() else []
        return [*more, fractions.Fraction(result), *whole]
    if isinstance(kind, kinds.Interval):
        return [list(result), np.array(result), pd.Series(result), metrics.Interval(*result, 0.95)]
    if isinstance(kind, kinds.Several):
        shuffled = (
            p.sample(frac=1, random_state=0).reset_index(drop=True) if hasattr(p, "sample") else p for p in result
        )
        return [list(result), tuple(shuffled)]
    if isinstance(kind, kinds.Rows):
        shuffled = result.sample(frac=1, random_state=0)
        return [shuffled.reset_index(drop=True), result.assign(helper=1), result.set_index("event_id", drop=False)]
    if isinstance(kind, kinds.Partition):
        values = result.to_numpy()
        frame = args[0].assign(session_id=result)
        text = [f"s{v}" for v in values]
        return [values, values.tolist(), values * -7.0, text, result.sample(frac=1, random_state=1), frame]
    if isinstance(kind, kinds.Ids):
        return [set(result), tuple(result), np.array(result), pd.Series(result), pd.Index(result), frozenset(result)]
    if isinstance(kind, kinds.Scores):
        floats = {np.int64(i): np.float64(s) for i, s in result.items()}
        return [pd.Series(result, dtype=float), Counter(result), floats, {**result, -1: 0}]
    if isinstance(kind, kinds.Array):
        dense = result.toarray() if hasattr(result, "toarray") else np.array(result)
        more = [dense.astype(np.float32), dense.tolist(), tuple(dense)]
        return [*more, *([pd.DataFrame(dense), sparse.coo_array(dense)] if dense.ndim == 2 else [pd.Series(dense)])]
    if isinstance(kind, kinds.Vector):  # two of the numbers may be equal, so no keys of a dict
        return [list(result), tuple(result), np.array(result), pd.Series(list(result)), pd.Index(result)]
    return [tuple(result), np.array(result), pd.Series(result), pd.Index(result), dict.fromkeys(result).keys()]


@each(FUNCTIONS)
def test_a_right_answer_may_have_another_type(exercise):
    args = exercise.all_cases()[0].args
    for i in range(len(others(exercise.kind, exercise.reference(*args), args))):

        def other(*args, number=i):
            found = others(exercise.kind, exercise.reference(*args), args)
            return found[number] if number < len(found) else exercise.reference(*args)

        outcome = exercise(other)
        assert outcome.kind == CORRECT, (i, outcome)


# ---- answers that are no answers --------------------------------------------------------------------------------


def judged(exercise, answer, capsys, **options):
    """The outcome, having made sure that it can be shown and that nothing was printed on the way."""
    outcome = exercise(answer, **options)
    assert outcome.kind != CORRECT, outcome
    assert repr(outcome) and outcome._repr_html_().startswith("<div")
    assert len(outcome._repr_html_()) < 20_000
    assert answered_by_reference(exercise)
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""
    return outcome


@each(EXERCISES)
@pytest.mark.parametrize("thing", RETURNED)
def test_whatever_comes_back_is_survived(exercise, thing, capsys):
    outcome = judged(exercise, lambda *args: RETURNED[thing](), capsys)
    assert outcome.kind in (NOT_YET, NOT_ATTEMPTED)


@each(EXERCISES)
@pytest.mark.parametrize("thing", RAISING)
def test_whatever_is_raised_is_survived(exercise, thing, capsys):
    outcome = judged(exercise, lambda *args: RAISING[thing](), capsys)
    assert outcome.kind == RAISED


@each(EXERCISES)
@pytest.mark.parametrize("thing", CALLABLE)
def test_whatever_can_be_called_is_survived(exercise, thing, capsys):
    judged(exercise, CALLABLE[thing](), capsys)


@each(FUNCTIONS)
@pytest.mark.parametrize(
    "thing", [None, 3, "text", float("nan"), [], pd.DataFrame(), object()], ids=lambda x: type(x).__name__
)
def test_no_function_is_said_to_be_none(exercise, thing, capsys):
    assert "the function itself" in judged(exercise, thing, capsys).message


@each(FUNCTIONS)
def test_other_arguments_are_named(exercise, capsys):
    assert "It is called with" in judged(exercise, lambda: 1, capsys).message
    assert "It is called with" in judged(exercise, lambda a, b, c, d, e, f, g, h: 1, capsys).message


@each(EXERCISES)
def test_an_endless_loop_ends(exercise, capsys):
    def endless(*args):
        while True:
            pass

    start = time.monotonic()
    outcome = judged(exercise, endless, capsys, limit_s=0.1)
    assert "had not finished after 0.1 s" in outcome.message and time.monotonic() - start < 5


@each(FUNCTIONS)
def test_printing_is_told_from_returning(exercise, capsys):
    def prints(*args):
        print(exercise.reference(*args))

    assert "prints its answer and returns None" in judged(exercise, prints, capsys).message


@each(FUNCTIONS)
def test_printing_as_well_is_fine(exercise, capsys):
    def talks(*args):
        print("here I am")
        return exercise.reference(*args)

    assert exercise(talks).correct and capsys.readouterr().out == ""


@each(FUNCTIONS)
def test_a_forgotten_return_is_named(exercise, capsys):
    def forgets(*args):
        exercise.reference(*args)

    assert "returns None" in judged(exercise, forgets, capsys).message


def spoil(args) -> None:
    """Change the first argument that can be changed."""
    for value in args:
        if isinstance(value, pd.DataFrame):
            value["helper"] = 1
        elif isinstance(value, list) and value:
            value.reverse()
            value.append(value[0])
        elif isinstance(value, np.ndarray):
            value[:] = np.arange(value.size).reshape(value.shape) + 0.5
        else:
            continue
        return


def changeable(exercise) -> bool:
    """Whether `spoil` can change some argument in place; plain numbers and functions cannot be changed."""
    return any(isinstance(value, (pd.DataFrame, list, np.ndarray)) for value in exercise.all_cases()[0].args)


@each({name: exercise for name, exercise in FUNCTIONS.items() if changeable(exercise)})
def test_changing_the_input_is_named(exercise, capsys):
    def in_place(*args):
        result = exercise.reference(*args)
        result = result.copy() if hasattr(result, "copy") else result
        spoil(args)
        return result

    assert "changes its input" in judged(exercise, in_place, capsys).message


@each(FUNCTIONS)
def test_a_stub_in_one_branch_is_no_stub(exercise, capsys):
    first = repr(exercise.all_cases()[0].args)

    def half(*args):
        if repr(args) != first:
            raise NotImplementedError("later")
        return exercise.reference(*args)

    outcome = judged(exercise, half, capsys)
    assert outcome.kind == RAISED and "One branch" in outcome.message


@each(EXERCISES)
def test_boxes_for_hint_solution_and_the_exercise(exercise):
    hints = [exercise.hint() for _ in range(len(exercise.hints) + 1)]
    assert exercise.hints[0] in hints[0].message and exercise.hints[1] not in hints[0].message
    assert repr(hints[-1]) == repr(hints[-2]) and ".solution()" in hints[-1].message
    assert f"def {exercise.name}(" in repr(exercise.solution())
    assert "@" not in exercise.source.split("def ")[0] and exercise.title in repr(exercise)
    assert f"check.{exercise.name}({exercise.name})" in repr(exercise())


# ---- the references against the package -------------------------------------------------------------------------


def cases_of(name):
    return [(EXERCISES[name].reference, case.args) for case in EXERCISES[name].all_cases()]


def test_metrics_of_lab_02_are_those_of_the_package():
    for f, (ranked, relevant, k) in cases_of("lab02.recall_at_k"):
        assert f(ranked, relevant, k) == metrics.recall(ranked, relevant, k)
    for f, (ranked, relevant, k) in cases_of("lab02.ndcg_at_k"):
        assert f(ranked, relevant, k) == pytest.approx(metrics.ndcg(ranked, relevant, k))
    for f, (ranked, target) in cases_of("lab02.reciprocal_rank"):
        assert f(ranked, target) == metrics.reciprocal_rank(ranked, {target}, k=99)
    for f, (scores, target) in cases_of("lab02.middle_rank"):
        assert f(scores, target) == ranking.target_ranks([scores], [target])[0]


def test_interval_of_lab_02_is_that_of_the_package():
    kind = EXERCISES["lab02.session_interval"].kind
    for f, (values, sessions, _, seed) in cases_of("lab02.session_interval"):
        assert kind.agree(f(values, sessions, 1000, seed), metrics.bootstrap_interval(values, sessions)[:2])


def test_split_of_lab_02_is_that_of_the_package():
    for f, (events, moment) in cases_of("lab02.split_by_time")[2:]:
        log = interactions.Sessions.from_frame(events.assign(item_id=1, event="view"))
        theirs = split.by_time(log, moment)
        for part, sessions in zip(f(events, moment), (theirs.train, theirs.test), strict=True):
            assert set(part["session_id"]) == set(sessions.session_ids)


def test_baseline_of_lab_02_is_that_of_the_package():
    for f, (clicked, popularity) in cases_of("lab02.repeat_session"):
        train = interactions.Sessions.from_lists([[item] * n for item, n in popularity.items() if n])
        model = models.SessionPopularity().fit(train)
        items = [i for i in clicked if popularity[i]]
        found = f(items, popularity)
        assert found == model.recommend(items, k=len(found)).tolist()


def test_cleaning_of_lab_01_is_that_of_the_package():
    for f, (events, minutes) in cases_of("lab01.sessionise"):
        theirs = cleaning.sessionise(events, gap=f"{minutes}min")["session_id"]
        kind = EXERCISES["lab01.sessionise"].kind
        assert kind.read(f(events, minutes), (events,)) == kind.read(theirs, (events,))
    for f, (events,) in cases_of("lab01.drop_double_fires"):
        theirs = cleaning.Cleaning(events).drop_double_fires().events
        assert set(f(events)["event_id"]) == set(theirs["event_id"])
    for f, (events, n, gap) in cases_of("lab01.find_bots"):
        cleaned = cleaning.Cleaning(events).drop_bots(n, f"{gap}s")
        assert set(f(events, n, gap)) == set(cleaned.removed["drop_bots"]["session_id"])


def test_auc_of_lab_01_is_the_probability_of_the_right_order():
    check = LABS["lab01"]
    weights = {"view": 1, "cart": 3, "remove": -1, "purchase": 5, "return": -5}
    whole = check.pairs()
    strength = whole[list(check.SIGNALS)] @ pd.Series(weights)
    liked, other = (strength[whole["liked"] == value].to_numpy() for value in (True, False))
    above = (liked[:, None] > other).mean() + (liked[:, None] == other).mean() / 2
    assert check.auc(weights) == pytest.approx(above)
    assert check.auc(dict.fromkeys(check.SIGNALS, 0)) == 0.5


def test_weights_found_in_the_lab_make_signals():
    events = bookshop.load()["events"]
    strengths = cleaning.signals(events, LABS["lab01"].answers.weights)
    assert strengths["strength"].notna().all()
