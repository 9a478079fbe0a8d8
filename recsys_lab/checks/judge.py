"""From a learner's answer to one of four outcomes, and to the likely mistake.

The answer is called on every case. If all results are right, the input is unchanged and the rules hold, it is
correct. Otherwise the first failing case is shown (authors put the smallest first) under a diagnosis, which is the
first of these that fits:

1. a known mistake, written as a wrong implementation, that gives what the learner's gives in every case;
2. a known mistake, written as a condition, that holds in every failing case;
3. something that is wrong with any function: it prints and does not return, it always gives the same, …;
4. a wrong implementation that gives the same in most failing cases: "perhaps".
"""

from __future__ import annotations

import copy
import dis
import functools
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from recsys_lab.checks import outcome, report, sandbox
from recsys_lab.checks.calls import Error, Result, call, code_of
from recsys_lab.checks.kinds import Kind
from recsys_lab.checks.outcome import Outcome, Text
from recsys_lab.checks.sandbox import TimeUp

if TYPE_CHECKING:
    from recsys_lab.checks.exercise import Case, Exercise, Mistake


@dataclass
class Trial:
    """All that was seen of an answer, filled while it runs, so that it can be told where time ran out."""

    results: list[Result] = field(default_factory=list)
    broken: str = ""  # the message of a rule that does not hold
    error: Error | None = None  # raised while a rule was tried


class Judgement(NamedTuple):
    """The outcome for an answer, the case that failed, and what an answer that is a value was read as."""

    outcome: Outcome
    failed: Case | None = None
    value: object = None


def judge(exercise: Exercise, answer, limit_s: float) -> Judgement:
    """Run an answer and judge it; never raises, whatever the answer does."""
    if early := _before_running(exercise, answer):
        return Judgement(early)
    cases, trial = exercise.all_cases(), Trial()  # the reference runs here, before the clock starts
    function = answer if callable(answer) else lambda: answer
    with sandbox.quiet() as printed:
        work = functools.partial(_try, exercise, function, cases, trial, printed)
        run = sandbox.limited(work, limit_s, code_of(function))
    if not run.finished:
        case = cases[min(len(trial.results), len(cases) - 1)]
        return Judgement(report.not_finished(exercise, case, run, limit_s), case)
    return _verdict(exercise, cases, trial)


def _try(exercise: Exercise, function, cases: list[Case], trial: Trial, printed: sandbox.Printed) -> None:
    for case in cases:
        trial.results.append(call(function, case, exercise.kind, printed))
    if not all(r.right(exercise.kind, c.expect) for r, c in zip(trial.results, cases, strict=True)):
        return
    for message, holds in exercise.rules:
        try:
            trial.broken = "" if holds(lambda *args: function(*copy.deepcopy(args))) else message
        except TimeUp:
            raise
        except BaseException as error:
            trial.broken, trial.error = message, Error.of(error, function)
        if trial.broken:
            return


def _before_running(exercise: Exercise, answer) -> Outcome | None:
    """The outcomes that need no run: nothing there, not a function, other arguments."""
    if exercise.is_value and not callable(answer):
        return report.not_attempted(exercise) if _is_placeholder(answer) else None
    if not callable(answer):
        came = "None" if answer is None else f"something of type {type(answer).__name__}"
        why = f"The check needs the function itself, without brackets after it: {exercise.usage}. {came} came."
        return Outcome(outcome.NOT_YET, exercise.headline, [Text(why, strong=True)])
    if _is_empty(answer):
        return report.not_attempted(exercise)
    wrong = _signature_problem(exercise, answer)
    return Outcome(outcome.NOT_YET, exercise.headline, [Text(wrong, strong=True)]) if wrong else None


def _is_placeholder(value) -> bool:
    blanks = (None, ..., NotImplemented)
    if isinstance(value, dict) and value:
        return any(any(v is blank for blank in blanks) for v in value.values())
    return any(value is blank for blank in blanks)


def _is_empty(function) -> bool:
    """Whether a function is only `pass`, `...` or a docstring."""
    code = code_of(function)
    if code is None or inspect.iscoroutinefunction(function):
        return False
    steps = [i for i in dis.get_instructions(code) if i.opname not in ("RESUME", "NOP")]
    return (
        all(i.opname in ("LOAD_CONST", "RETURN_VALUE", "RETURN_CONST") for i in steps)
        and steps[0].argval is None
        and not inspect.isgeneratorfunction(function)
    )


def _signature_problem(exercise: Exercise, answer) -> str:
    args = exercise.all_cases()[0].args
    try:
        signature = inspect.signature(answer)
    except Exception:
        return ""  # some builtins have none; calling them will tell
    try:
        signature.bind(*args)
    except TypeError:
        takes = ", ".join(signature.parameters) or "nothing"
        call_it = f"{exercise.name}({', '.join(exercise.parameters)})"
        n = len(args)
        return f"Your function takes ({takes}). It is called with {n} argument{'s' * (n != 1)}: {call_it}."
    return ""


def _verdict(exercise: Exercise, cases: list[Case], trial: Trial) -> Judgement:
    results = trial.results
    if all(r.error and r.error.unfinished for r in results):
        return Judgement(report.not_attempted(exercise))
    right = [r.right(exercise.kind, c.expect) for r, c in zip(results, cases, strict=True)]
    if not all(right):
        first, diagnosis = right.index(False), diagnose(exercise, cases, results, right)
        return Judgement(report.failure(exercise, cases, results, right, diagnosis), cases[first])
    if trial.broken:
        blocks = [Text(trial.broken, strong=True), *(report.error_blocks(trial.error) if trial.error else [])]
        return Judgement(Outcome(outcome.NOT_YET, exercise.headline, blocks), cases[0])
    changed = next((i for i, r in enumerate(results) if r.changed), None)
    if changed is not None:
        why = f"The answers are right, but your function changes its input in place: {results[changed].changed}."
        mend = "Whoever calls it still needs what they passed in. Work on a copy, or build something new."
        blocks = [Text(why, strong=True), Text(mend), *report.input_blocks(exercise, cases[changed])]
        return Judgement(Outcome(outcome.NOT_YET, exercise.headline, blocks), cases[changed])
    return Judgement(report.correct(exercise, cases, results), value=results[0].value)


def diagnose(exercise: Exercise, cases: list[Case], results: list[Result], right: list[bool]) -> str:
    """Return the likely mistake in words, "" where none is known."""
    failing = [i for i, ok in enumerate(right) if not ok]
    exact, perhaps = _by_agreement(exercise, results, right, failing)
    if exact:
        return exact.message
    for mistake in exercise.mistakes:
        if mistake.when and all(_holds(mistake, cases[i], results[i]) for i in failing):
            return mistake.message
    general = _general(exercise.kind, results, right, failing)
    return general or (f"Perhaps: {perhaps.message}" if perhaps else "")


def _by_agreement(exercise, results, right, failing) -> tuple[Mistake | None, Mistake | None]:
    shares = {}
    for number, mistake in enumerate(exercise.mistakes):
        theirs = exercise.mistaken(number)
        if theirs is None:
            continue
        agrees = [mine.same(other, exercise.kind) for mine, other in zip(results, theirs, strict=True)]
        if all(agrees):
            return mistake, None
        shares[number] = sum(agrees[i] for i in failing) / len(failing)
    best = sorted(shares, key=shares.get, reverse=True)[:2]
    clear = len(failing) > 1 and best and shares[best[0]] >= 0.6
    if clear and (len(best) < 2 or shares[best[0]] > shares[best[1]]):
        return None, exercise.mistakes[best[0]]
    return None, None


def _holds(mistake: Mistake, case: Case, result: Result) -> bool:
    if result.error or result.refused:
        return False
    try:
        return bool(mistake.when(result.value, *case.args))
    except Exception:  # a condition that was not written for such a value does not hold for it
        return False


def _general(kind: Kind, results: list[Result], right: list[bool], failing: list[int]) -> str:
    """What may be wrong with any function."""
    first = results[failing[0]]
    if first.is_none and first.printed:
        return "Your function prints its answer and returns None. Write `return` where it says `print`."
    if first.is_none and all(results[i].is_none for i in failing):
        some = "sometimes " if len(failing) < len(right) else ""
        return f"Your function {some}returns None. Is there a way through it that misses the `return`?"
    values = [r.value for r in results if not r.error and not r.refused]
    if isinstance(first.value, float) and first.value != first.value:
        return "NaN came back: a division of zero by zero, or a mean of nothing?"
    if len(values) == len(results) > 2 and all(kind.agree(v, values[0]) and v == v for v in values):
        return f"Your function gives the same answer ({kind.show(values[0])}) whatever it is asked."
    return ""
