"""What an outcome says: which sentences and which pieces of code stand in the box, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from recsys_lab.checks import outcome, sandbox
from recsys_lab.checks.calls import Error, Result
from recsys_lab.checks.outcome import Code, Outcome, Text
from recsys_lab.checks.reading import safe_repr
from recsys_lab.checks.sandbox import Place

if TYPE_CHECKING:
    from recsys_lab.checks.exercise import Case, Exercise


def not_attempted(exercise: Exercise) -> Outcome:
    """Return the outcome of a stub."""
    what = "value" if exercise.is_value else "function"
    blocks = [
        Text(f"There is nothing in the {what} yet: replace the TODO, run its cell, then check again."),
        Text(f"A first hint: check.{exercise.name}.hint()"),
    ]
    return Outcome(outcome.NOT_ATTEMPTED, exercise.headline, blocks)


def not_finished(exercise: Exercise, case: Case, run: sandbox.Run, limit_s: float) -> Outcome:
    """Return the outcome of code that did not end; `case` is the one it was at."""
    if run.stopped:
        first = "The check was stopped before your code had finished."
    elif run.error:
        first = f"The check cannot judge what your function did ({run.error} came out of it)."
    else:
        first = f"Your code had not finished after {limit_s:g} s. A loop that never ends, or far more work than needed?"
    blocks = [Text(first, strong=True)]
    if run.place:
        blocks.append(_place_block("It was there", run.place))
    if run.left_behind:
        stuck = "It could not be stopped and may still be running: if the notebook is slow now, restart the kernel."
        blocks.append(Text(stuck))
    return Outcome(outcome.NOT_YET, exercise.headline, [*blocks, *input_blocks(exercise, case)])


def correct(exercise: Exercise, cases: list[Case], results: list[Result]) -> Outcome:
    """Return the outcome of a right answer."""
    if exercise.is_value:
        done = exercise.kind.show(results[0].value)
    else:
        done = f"Right in all {len(cases)} cases, some of them drawn at random."
    then = f"check.answers.{exercise.name} is yours from now on. check.{exercise.name}.solution() shows ours."
    return Outcome(outcome.CORRECT, exercise.headline, [Text(done, strong=True), Text(then)])


def failure(exercise: Exercise, cases: list[Case], results: list[Result], right: list[bool], diagnosis: str) -> Outcome:
    """Return the outcome of a wrong answer: the first failing case, under the diagnosis."""
    first = right.index(False)
    result, case = results[first], cases[first]
    blocks = []
    if result.error:
        blocks += error_blocks(result.error)
    if diagnosis:
        blocks.append(Text(diagnosis, strong=not result.error))
    elif result.refused:
        blocks.append(Text(result.refused, strong=True))
    blocks += input_blocks(exercise, case)
    blocks += _expected_and_got(exercise, case, result, bool(diagnosis))
    if result.printed and not result.is_none:
        blocks.append(Code("It printed:", result.printed[:300].rstrip()))
    if result.changed:
        blocks.append(Text(f"It also changes its input: {result.changed}."))
    if len(cases) > 1:
        blocks.append(Text(_count(exercise, cases, right)))
    return Outcome(outcome.RAISED if result.error else outcome.NOT_YET, exercise.headline, blocks)


def _count(exercise: Exercise, cases: list[Case], right: list[bool]) -> str:
    by_hand = [ok for ok, case in zip(right, cases, strict=True) if case.because]
    if all(by_hand):
        return f"The small examples come out right; {right.count(False)} of {len(cases) - len(by_hand)} others do not."
    return f"{sum(right)} of {len(cases)} cases come out right; this is the first that does not."


def error_blocks(error: Error) -> list[Text | Code]:
    """Return what an exception said, where in the learner's code, and what it means if that is not plain."""
    said = f"{error.name}: {error.text}" if error.text else error.name
    blocks: list[Text | Code] = [Text(said, strong=True)]
    if error.place:
        blocks.append(_place_block("In your code", error.place))
    if error.name == "SystemExit":
        blocks.append(Text("exit() ends Python. The check has held it up; a function goes back with `return`."))
    elif error.name == "RecursionError":
        blocks.append(Text("The function calls itself again and again: which case ends it?"))
    elif error.unfinished:
        blocks.append(Text("One branch of your code is not written yet."))
    return blocks


def _place_block(words: str, place: Place) -> Text | Code:
    return Code(f"{words}, {place}:", place.source) if place.source else Text(f"{words}, {place}.")


def input_blocks(exercise: Exercise, case: Case) -> list[Code]:
    """The call that failed; tables stand below it, as they look in a notebook."""
    if exercise.is_value:
        return []
    shown, tables = [], []
    for name, value in zip(exercise.parameters, case.args, strict=True):
        if isinstance(value, (pd.DataFrame, pd.Series)):
            shown.append(name)
            more = f"\n… {len(value)} rows in all" if len(value) > 12 else ""
            tables.append(Code(f"with {name}:", value.head(12).to_string() + more))
        else:
            shown.append(safe_repr(value))
    return [Code("The input:", f"{exercise.name}({', '.join(shown)})"), *tables]


def _expected_and_got(exercise: Exercise, case: Case, result: Result, diagnosed: bool) -> list[Text | Code]:
    wanted, got = exercise.kind.show(case.expect), ""
    if not result.error and not result.refused:
        got = exercise.kind.show(result.value)
        if got == wanted and not exercise.is_value:  # four digits hide the difference
            got, wanted = safe_repr(result.value), safe_repr(case.expect)
    because = case.because or wanted
    blocks: list[Text | Code] = [Text(f"Expected: {because}" + ("" if because.endswith(".") else "."))]
    if got:
        return [*blocks, Text(f"Came: {got}.")]
    return [*blocks, Text(f"Came: {result.refused}")] if result.refused and diagnosed else blocks
