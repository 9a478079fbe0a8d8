"""The proof for every exercise of every lab: an exercise that lacks a part of it fails here.

`PROOF` holds, by "labNN.name", correct solutions written differently from the reference, and wrong answers that people
really give, written differently from the lab's own known mistakes, with a piece of the diagnosis each one must get.
"""

import importlib
import inspect
import math
import pkgutil
import time
from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hostile import CALLABLE, RAISING, RETURNED

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


class Proof(NamedTuple):
    """Right answers, and wrong ones with a piece of their diagnosis."""

    right: list
    wrong: list[tuple[object, str]]


PROOF: dict[str, Proof] = {}


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
        return [list(result), tuple(part.sample(frac=1, random_state=0).reset_index(drop=True) for part in result)]
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
    assert "It is called with" in judged(exercise, lambda a, b, c, d, e, f: 1, capsys).message


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
            value[:] = np.arange(len(value)) + 0.5
        else:
            continue
        return


@each(FUNCTIONS)
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


# ---- lab 01: answers --------------------------------------------------------------------------------------------


def _sessionise_by_group(events, minutes):
    ordered = events.sort_values(["user_id", "timestamp"])
    pause = ordered.groupby("user_id")["timestamp"].diff().dt.total_seconds()
    return (pause.isna() | (pause > 60 * minutes)).cumsum().sort_index()


def _sessionise_by_loop(events, minutes):
    numbers, last, number = [None] * len(events), {}, {}
    rows = sorted(range(len(events)), key=lambda i: events["timestamp"].iloc[i])
    for i in rows:
        user, time = events["user_id"].iloc[i], events["timestamp"].iloc[i]
        if user not in last or (time - last[user]).total_seconds() > minutes * 60:
            number[user] = number.get(user, 0) + 1
        last[user], numbers[i] = time, f"{user}-{number[user]}"
    return numbers


def _sessionise_numpy(limit, unit=60, order=("timestamp", "user_id"), users=True):
    def answer(events, minutes):
        seconds = (events["timestamp"] - events["timestamp"].min()).dt.total_seconds().to_numpy()
        who = events["user_id"].to_numpy()
        columns = {"timestamp": seconds, "user_id": who}
        rows = np.lexsort([columns[c] for c in order])
        new = limit(np.diff(seconds[rows]), minutes * unit)
        new |= (np.diff(who[rows]) != 0) & users
        numbers = np.zeros(len(rows), int)
        numbers[rows] = np.concatenate([[0], new.cumsum()])
        return numbers

    return answer


def _sessionise_shuffled_back(events, minutes):
    return pd.Series(_sessionise_by_group(events, minutes).sort_values().tolist())


PROOF["lab01.sessionise"] = Proof(
    right=[_sessionise_by_group, _sessionise_by_loop, _sessionise_numpy(np.greater)],
    wrong=[
        (_sessionise_numpy(np.greater_equal), "exactly the limit"),
        (_sessionise_numpy(np.greater, users=False), "A new user must start"),
        (_sessionise_numpy(np.greater, order=("user_id", "timestamp"), users=False), "as if it were one visitor"),
        (_sessionise_numpy(np.greater, unit=1), "Wrong unit"),
        (_sessionise_shuffled_back, "in sorted order"),
        (lambda events, minutes: events["user_id"], "one"),
    ],
)


def _doubles_by_loop(events, limit=1.0, keep_first=True, columns=("session_id", "item_id", "event")):
    stay, before = [], None
    for row in events.sort_values(["session_id", "timestamp"]).to_dict("records"):
        same = before is not None and all(row[c] == before[c] for c in columns)
        if not (same and (row["timestamp"] - before["timestamp"]).total_seconds() <= limit):
            stay.append(row["event_id"])
        elif not keep_first:
            stay[-1] = row["event_id"]
        before = row
    return events[events["event_id"].isin(stay)].reset_index(drop=True)


def _doubles_by_group(events):
    """Number the runs of equal events, then measure within each run."""
    ordered = events.sort_values("timestamp")
    what = ordered["item_id"].astype(str) + ordered["event"]
    run = (what != what.groupby(ordered["session_id"]).shift()).groupby(ordered["session_id"]).cumsum()
    pause = ordered.groupby([ordered["session_id"], run])["timestamp"].diff()
    return ordered[pause.isna() | (pause > pd.Timedelta(seconds=1))]


PROOF["lab01.drop_double_fires"] = Proof(
    right=[_doubles_by_loop, _doubles_by_group],
    wrong=[
        (lambda e: e.drop_duplicates(["session_id", "item_id", "event"]), "every repeat"),
        (
            lambda e: e[
                ~(e.sort_values("timestamp").groupby(["session_id", "item_id", "event"])["timestamp"].diff() <= "1s")
            ],
            "even if others came between",
        ),
        (lambda e: _doubles_by_loop(e, limit=0.999), "includes exactly 1 second"),
        (lambda e: _doubles_by_loop(e, keep_first=False), "You keep the last"),
        (lambda e: _doubles_by_loop(e, columns=("session_id", "item_id")), "event type"),
        (lambda e: _doubles_by_loop(e, columns=("session_id", "event")), "do not look at the item"),
        (lambda e: e[~e["event_id"].isin(_doubles_by_loop(e)["event_id"])], "the double fires themselves"),
        (lambda e: e["event_id"].isin(_doubles_by_loop(e)["event_id"]), "A mask says which rows"),
        (lambda e: _doubles_by_loop(e).assign(item_id=0), "came back changed"),
        (lambda e: _doubles_by_loop(e).drop(columns="timestamp"), "lacks the column 'timestamp'"),
    ],
)


def _bots_by_loop(summary=np.median, least=0, strict=False):
    def answer(events, min_events, max_gap):
        found = set()
        for session, times in events.groupby("session_id")["timestamp"]:
            seconds = np.sort([(t - times.min()).total_seconds() for t in times])
            gap = summary(np.diff(seconds)) if len(seconds) > 1 else np.inf
            if len(seconds) >= min_events + least and (gap < max_gap if strict else gap <= max_gap):
                found.add(session)
        return found

    return answer


PROOF["lab01.find_bots"] = Proof(
    right=[_bots_by_loop(), lambda *args: sorted(_bots_by_loop()(*args), reverse=True)],
    wrong=[
        (_bots_by_loop(np.mean), "You take the mean"),
        (_bots_by_loop(np.min), "the shortest pause"),
        (_bots_by_loop(least=1), "more than min_events"),
        (_bots_by_loop(strict=True), "below max_gap"),
        (_bots_by_loop(least=-99), "speed only"),
        (lambda e, n, gap: e.loc[e["session_id"].isin(_bots_by_loop()(e, n, gap)), "session_id"], "more than once"),
        (lambda e, n, gap: e["session_id"].isin(_bots_by_loop()(e, n, gap)), "a mask"),
    ],
)

PROOF["lab01.weights"] = Proof(
    right=[
        {"view": 1, "cart": 3, "remove": 0, "purchase": 5, "return": 0},
        {"view": 0.1, "cart": 0.5, "remove": -0.2, "purchase": 1, "return": -1},
        pd.Series({"view": 1, "cart": 2, "remove": -1, "purchase": 5, "return": -2, "gift": 7}),
        lambda: {"view": 1, "cart": 10, "remove": -10, "purchase": 20, "return": -30},
    ],
    wrong=[
        ({"view": 3, "cart": 3, "remove": 3, "purchase": 3, "return": 3}, "plain counting"),
        ({"view": 10, "cart": 5, "remove": 0, "purchase": 1, "return": 0}, "A look is worth more"),
        ({"view": 0, "cart": 0, "remove": 0, "purchase": 7, "return": 0}, "Only purchases count"),
        ({"view": 1, "cart": 3, "remove": 0, "purchase": 5, "return": 5}, "in a book's favour"),
        ({"view": 1, "cart": 3, "purchase": 5, "return": 0}, "'remove' is missing"),
        ({"view": "1", "cart": 3, "remove": 0, "purchase": 5, "return": 0}, "a text"),
        ({"view": math.nan, "cart": 3, "remove": 0, "purchase": 5, "return": 0}, "not a number"),
        ([1, 3, 0, 5, -5], "a dict with a number for each"),
    ],
)


def _repeats_by_loop(items):
    seen, repeats = set(), 0
    for item in items:
        repeats += item in seen
        seen.add(item)
    return np.float64(repeats) / len(items)


PROOF["lab01.repeat_share"] = Proof(
    right=[_repeats_by_loop, lambda items: pd.Series(items).duplicated().mean()],
    wrong=[
        (lambda items: pd.Series(items).duplicated(keep=False).mean(), "all clicks on items that occur more than once"),
        (lambda items: float((np.diff(items) == 0).sum() / len(items)), "immediate repeats"),
        (lambda items: pd.Series(items).nunique() / len(items), "clicks that are new"),
        (lambda items: int(pd.Series(items).duplicated().sum()), "how many clicks repeat"),
        (lambda items: (pd.Series(items).value_counts() > 1).mean(), "share of items"),
        (lambda items: pd.Series(items).duplicated(), "one number is needed"),
    ],
)


def _head_by_pandas(items, top):
    counts = pd.Series(items).value_counts()
    return counts.head(round(len(counts) * top)).sum() / counts.sum()


PROOF["lab01.head_share"] = Proof(
    right=[
        _head_by_pandas,
        lambda items, top: sum(n for _, n in Counter(items).most_common(round(len(set(items)) * top))) / len(items),
    ],
    wrong=[
        (lambda items, top: _head_by_pandas(items, top) * 100, "percent"),
        (lambda items, top: pd.Series(items).value_counts().iloc[0] / len(items), "single most clicked"),
        (lambda items, top: 1 - _head_by_pandas(items, top), "the tail's share"),
        (
            lambda items, top: pd.Series(items).value_counts().tail(round(len(set(items)) * top)).sum() / len(items),
            "least clicked",
        ),
        (
            lambda items, top: pd.Series(items).value_counts().head(round(len(items) * top)).sum() / len(items),
            "a share of the clicks",
        ),
    ],
)


# ---- lab 02: answers --------------------------------------------------------------------------------------------


def _split_by_sets(events, moment):
    late = set(events.loc[events["timestamp"] >= moment, "session_id"])
    early = set(events.loc[events["timestamp"] < moment, "session_id"])
    ids = events["session_id"]
    return [events[ids.isin(early - late)].sort_values("timestamp"), events[ids.isin(late - early)]]


def _split_by_filter(events, moment):
    by_session = events.groupby("session_id")
    return (
        by_session.filter(lambda s: s["timestamp"].max() < moment),
        by_session.filter(lambda s: s["timestamp"].min() >= moment),
    )


def _parts(train, test):
    def answer(events, moment):
        groups = events.groupby("session_id")["timestamp"]
        facts = pd.DataFrame({"start": groups.min(), "end": groups.max()})
        ids = events["session_id"]
        return events[ids.isin(facts.index[train(facts, moment)])], events[ids.isin(facts.index[test(facts, moment)])]

    return answer


PROOF["lab02.split_by_time"] = Proof(
    right=[_split_by_sets, _split_by_filter, _parts(lambda f, m: f.end < m, lambda f, m: f.start >= m)],
    wrong=[
        (lambda e, m: (e.query("timestamp < @m"), e.query("timestamp >= @m")), "You split events"),
        (_parts(lambda f, m: f.start < m, lambda f, m: f.start >= m), "in your training part"),
        (_parts(lambda f, m: f.end < m, lambda f, m: f.end >= m), "in your test part"),
        (_parts(lambda f, m: f.end < m, lambda f, m: f.start > m), "starts exactly at the moment"),
        (lambda e, m: _split_by_sets(e, m)[::-1], "swapped"),
        (lambda e, m: _split_by_sets(e, m)[0], "2 things (train, test)"),
        (lambda e, m: tuple(part["session_id"] for part in _split_by_sets(e, m)), "The part 'train'"),
    ],
)


PROOF["lab02.recall_at_k"] = Proof(
    right=[
        lambda ranked, relevant, k: sum(item in relevant for item in ranked[:k]) / len(relevant),
        lambda ranked, relevant, k: np.isin(list(relevant), ranked[:k]).mean(),
    ],
    wrong=[
        (lambda ranked, relevant, k: sum(i in relevant for i in ranked[:k]) / k, "You divide by k"),
        (lambda ranked, relevant, k: np.isin(list(relevant), ranked).mean(), "You ignore k"),
        (lambda ranked, relevant, k: any(i in relevant for i in ranked[:k]), "hit rate"),
        (lambda ranked, relevant, k: np.isin(list(relevant), ranked[: k + 1]).mean(), "one place too many"),
        (lambda ranked, relevant, k: np.isin(list(relevant), ranked[:k]).sum(), "how many relevant items"),
        (lambda ranked, relevant, k: np.isin(list(relevant), ranked[:k]), "one number is needed"),
    ],
)


def _reciprocal_by_loop(ranked, target, start=1, absent=0.0):
    for place, item in enumerate(ranked, start=start):
        if item == target:
            return 1 / place
    return absent


def _reciprocal_numpy(ranked, target):
    found = np.flatnonzero(np.array(ranked) == target)
    return 1 / (found[0] + 1) if len(found) else 0


def _reciprocal_inf(ranked, target):
    with np.errstate(all="ignore"):
        found = np.flatnonzero(np.array(ranked) == target)
        return float(np.float64(1) / found[0]) if len(found) else 0.0


PROOF["lab02.reciprocal_rank"] = Proof(
    right=[_reciprocal_by_loop, _reciprocal_numpy],
    wrong=[
        (lambda ranked, target: _reciprocal_by_loop(ranked, target, start=0), "places from 0"),
        (_reciprocal_inf, "the first place gives inf"),
        (lambda ranked, target: _reciprocal_by_loop(ranked, target, start=2), "place + 1"),
        (lambda ranked, target: 1 / (np.array(ranked).tolist().index(target) + 1), "is no error"),
        (lambda ranked, target: [*ranked, target].index(target) + 1 if target in ranked else 0, "the place itself"),
        (lambda ranked, target: _reciprocal_by_loop(ranked, target, absent=None), "sometimes returns None"),
        (lambda ranked, target: _reciprocal_by_loop(ranked, target, absent=math.nan), "NaN came back"),
        (lambda ranked, target: [1 / p for p, i in enumerate(ranked, 1) if i == target], "one number is needed"),
        (lambda ranked, target: 0.5, "the same answer (0.5)"),
    ],
)


def _ndcg_numpy(ranked, relevant, k, log=np.log2, best=None, shift=2):
    gains = np.isin(ranked[:k], list(relevant)) / log(np.arange(len(ranked[:k])) + shift)
    n = min(k, len(relevant)) if best is None else best(relevant, k)
    return gains.sum() / (1 / np.log2(np.arange(n) + shift)).sum()


PROOF["lab02.ndcg_at_k"] = Proof(
    right=[
        _ndcg_numpy,
        lambda ranked, relevant, k: float(metrics.ndcg(ranked, relevant, k)),
        lambda ranked, relevant, k: (
            sum(1 / math.log10(p + 2) for p, i in enumerate(ranked[:k]) if i in relevant)
            / sum(1 / math.log10(p + 2) for p in range(min(k, len(relevant))))
        ),
    ],
    wrong=[
        (lambda r, rel, k: _ndcg_numpy(r, rel, k, log=np.log), "another logarithm"),
        (lambda r, rel, k: _ndcg_numpy(r, rel, k, shift=3), "log2(place + 2)"),
        (lambda r, rel, k: _ndcg_numpy(r, rel, k, best=lambda rel, k: len(rel)), "holds all relevant items"),
        (lambda r, rel, k: _ndcg_numpy(r, rel, k, best=lambda rel, k: k), "has k relevant items"),
        (lambda r, rel, k: sum(1 / math.log2(p + 2) for p, i in enumerate(r[:k]) if i in rel), "gain itself"),
        (lambda r, rel, k: sum(1 / math.log(p + 2) for p, i in enumerate(r[:k]) if i in rel), "natural logarithm"),
        (lambda r, rel, k: sum(1 / math.log10(p + 2) for p, i in enumerate(r[:k]) if i in rel), "log10"),
        (lambda r, rel, k: sum(1 / math.log2(p) for p, i in enumerate(r[:k], 1) if i in rel), "log2(place)"),
    ],
)


PROOF["lab02.middle_rank"] = Proof(
    right=[
        lambda scores, target: pd.Series(-scores).rank(method="average")[target],
        lambda scores, target: (1 + (scores > scores[target]).sum() + (scores >= scores[target]).sum()) / 2,
    ],
    wrong=[
        (lambda scores, target: pd.Series(-scores).rank(method="min")[target], "Optimistic"),
        (lambda scores, target: pd.Series(-scores).rank(method="max")[target], "Pessimistic"),
        (lambda scores, target: pd.Series(scores).rank()[target], "You rank upwards"),
        (lambda scores, target: pd.Series(-scores).rank(method="first")[target], "an accident of the catalogue"),
        (lambda scores, target: pd.Series(-scores).rank()[target] - 1, "counts from 0"),
        (lambda scores, target: pd.Series(-scores).rank(method="dense")[target], "dense"),
    ],
)


def _interval_by_pandas(values, sessions, n_draws, seed, level=0.95):
    table = pd.DataFrame({"v": values, "s": sessions}).groupby("s")["v"].agg(["sum", "size"])
    means = []
    for i in range(n_draws):
        drawn = table.sample(frac=1, replace=True, random_state=seed * 7919 + i)
        means.append(drawn["sum"].sum() / drawn["size"].sum())
    return np.percentile(means, [50 - level * 50, 50 + level * 50])


def _interval_by_lists(values, sessions, n_draws, seed):
    rng = np.random.default_rng(seed)
    by_session = [values[sessions == s] for s in np.unique(sessions)]
    means = []
    for _ in range(n_draws):
        drawn = [by_session[i] for i in rng.choice(len(by_session), len(by_session))]
        means.append(np.concatenate(drawn).mean())
    return {"low": np.quantile(means, 0.025), "high": np.quantile(means, 0.975)}.values()


def _interval_of_clicks(values, sessions, n_draws, seed):
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(n_draws, len(values)))].mean(axis=1)
    return np.quantile(means, 0.025), np.quantile(means, 0.975)


PROOF["lab02.session_interval"] = Proof(
    right=[_interval_by_pandas, lambda *args: tuple(_interval_by_lists(*args))],
    wrong=[
        (_interval_of_clicks, "You draw single clicks"),
        (
            lambda v, s, n, seed: _interval_of_clicks(pd.Series(v).groupby(s).mean().to_numpy(), s, n, seed),
            "short session",
        ),
        (lambda v, s, n, seed: np.quantile(v, [0.025, 0.975]), "where a click lies"),
        (lambda v, s, n, seed: (np.mean(v), np.mean(v)), "no width"),
        (lambda v, s, n, seed: _interval_by_pandas(v, s, n, seed)[::-1], "swapped"),
        (lambda v, s, n, seed: _interval_by_pandas(v, s, n, int(time.time_ns() % 10**4)), "The same seed"),
        (lambda v, s, n, seed: _interval_by_pandas(v, s, n, seed).mean(), "a pair (low, high)"),
        (_interval_by_lists, "a pair (low, high)"),
    ],
)


def _repeat_by_pandas(clicked, popularity):
    table = pd.Series(clicked).value_counts().rename("clicks").to_frame()
    table["popularity"] = table.index.map(popularity)
    return table.sort_values(["clicks", "popularity"], ascending=False).index


PROOF["lab02.repeat_session"] = Proof(
    right=[
        _repeat_by_pandas,
        lambda clicked, pop: sorted(set(clicked), key=lambda i: (-clicked.count(i), -pop[i])),
        lambda clicked, pop: sorted(sorted(set(clicked), key=pop.get), key=clicked.count)[::-1],
    ],
    wrong=[
        (lambda clicked, pop: [i for i, _ in Counter(clicked).most_common()], "ties by the order of the clicks"),
        (lambda clicked, pop: Counter(clicked).most_common(), "a tuple"),
        (lambda clicked, pop: sorted(set(clicked), key=pop.get, reverse=True), "popularity alone"),
        (lambda clicked, pop: list(_repeat_by_pandas(clicked, pop))[::-1], "wrong way round"),
        (lambda clicked, pop: [i for i in _repeat_by_pandas(clicked, pop) for _ in range(clicked.count(i))], "twice"),
        (lambda clicked, pop: list(dict.fromkeys(clicked[::-1])), "latest click first"),
        (lambda clicked, pop: set(clicked), "no order"),
        (lambda clicked, pop: iter(_repeat_by_pandas(clicked, pop)), "only once"),
    ],
)
