"""How to declare an exercise, and what a learner can do with one.

The whole of an exercise, in a lab's module::

    lab = Lab("02", "How do we know that it works?")

    @lab.exercise("2.3", "Reciprocal rank", minutes=5, difficulty="easy", kind=Number(),
                  hints=("At which place ...?", "...", "..."), explanation="...")
    def reciprocal_rank(ranked, target):
        \"\"\"1 / position of `target` in `ranked` (1-based), 0.0 when it is absent.\"\"\"
        return 1 / (ranked.index(target) + 1) if target in ranked else 0.0

    reciprocal_rank.case([7, 3, 5], 3, expect=0.5, because="3 stands at the second place: 1/2")

    @reciprocal_rank.random_cases
    def _some_rankings(rng):
        return [(rng.permutation(6).tolist(), 2) for _ in range(8)]

    @reciprocal_rank.mistake("You count places from 0: the first place divides by zero.")
    def _zero_based(ranked, target):
        return 1 / ranked.index(target) if target in ranked else 0.0

The decorated function is the reference: its docstring is the task, its source the solution. Cases come smallest first.
A mistake is a wrong implementation, or `when=` a condition on what came back. `tests/test_exercises.py` refuses an
exercise without a second solution, three wrong answers and what else is asked of it there.
"""

from __future__ import annotations

import ast
import copy
import difflib
import functools
import inspect
import textwrap
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recsys_lab.checks import outcome, progress
from recsys_lab.checks.answers import Answer, AnswerDict, Answers, Progress
from recsys_lab.checks.calls import Result, call
from recsys_lab.checks.judge import judge
from recsys_lab.checks.kinds import Kind
from recsys_lab.checks.outcome import Code, Outcome, Text

DIFFICULTIES = ("easy", "medium", "hard")
LIMIT_S = 5.0
_MISSING = object()


class Case(NamedTuple):
    """One input: its arguments, what is expected (as the kind reads it), and why in words (by hand) or ""."""

    args: tuple
    expect: object
    because: str = ""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people really give, and what to tell them.

    Attributes
    ----------
    message : str
        Names the mistake, not the mend.
    wrong : callable or object
        The wrong answer itself: what a learner might have written.
    when : callable, optional
        ``when(got, *args) -> bool`` recognises the mistake by what came back, where other code than `wrong` may give
        other values for the same reason.
    """

    message: str
    wrong: object
    when: Callable | None = None


class Exercise:
    """A task with its check, hints and solution.

    ``check.NAME(answer)`` checks an answer, ``check.NAME.hint()`` gives the next hint, ``check.NAME.solution()`` the
    solution, ``check.NAME.input()`` the arguments of the case that failed last.

    Parameters
    ----------
    lab : Lab
    number, title : str
    reference : callable or object
        The solution: a function, or a value for an exercise that asks for one.
    minutes : int
    difficulty : {"easy", "medium", "hard"}
    kind : Kind
        What an answer may be.
    hints : sequence of str
        From gentle to nearly there; at least three.
    explanation : str
        Stands under the solution.
    extra : bool
        Not part of the core.
    limit_s : float
        Seconds that a check may take.
    name, task : str, optional
        For a value; of a function, its own name and docstring.
    """

    def __init__(
        self,
        *,
        lab: Lab,
        number: str,
        title: str,
        reference,
        minutes: int,
        difficulty: str,
        kind: Kind,
        hints: tuple[str, ...],
        explanation: str,
        extra: bool = False,
        limit_s: float = LIMIT_S,
        name: str = "",
        task: str = "",
    ):
        self.lab, self.number, self.title, self.reference = lab, number, title, reference
        self.minutes, self.difficulty, self.kind, self.extra = minutes, difficulty, kind, extra
        self.hints, self.explanation, self.limit_s = hints, explanation, limit_s
        self.is_value = not callable(reference)
        self.name = name or reference.__name__
        self.task = task or inspect.getdoc(reference)
        self.parameters = () if self.is_value else tuple(inspect.signature(reference).parameters)
        self.by_hand: list[Case] = []
        self.mistakes: list[Mistake] = []
        self.rules: list[tuple[str, Callable]] = []
        self._random: Callable | None = None
        self._mistaken: dict[int, list[Result]] = {}
        self._hints_shown, self._failed, self._answer, self._is_right = 0, None, None, False

    # What a learner does ---------------------------------------------------------------------------------------------

    def __call__(self, answer=_MISSING, limit_s: float | None = None) -> Outcome:
        """Check an answer.

        Parameters
        ----------
        answer : callable or object
            The learner's function itself, or their value.
        limit_s : float, optional
            Seconds after which pure Python code is stopped (`recsys_lab.checks.sandbox`).

        Returns
        -------
        Outcome
        """
        if answer is _MISSING:
            return self._about("Pass what you wrote:")
        answer = answer.function if isinstance(answer, Answer) else answer
        found, self._failed, value = judge(self, answer, self.limit_s if limit_s is None else limit_s)
        self._is_right, self._answer = found.correct, value if self.is_value else answer
        if found.kind == outcome.NOT_ATTEMPTED:
            return found
        problem = self._note(functools.partial(_tried, correct=found.correct))
        return Outcome(found.kind, found.title, [*found.blocks, *([Text(problem)] if problem else [])])

    def hint(self) -> Outcome:
        """Return the hints so far and the next one."""
        self._hints_shown = min(self._hints_shown + 1, len(self.hints))
        n, total = self._hints_shown, len(self.hints)
        self._note(lambda notes: notes.update(hints=max(n, notes.get("hints", 0))))
        blocks = [Text(f"{i}. {hint}", strong=i == n) for i, hint in enumerate(self.hints[:n], start=1)]
        if n == total:
            blocks.append(Text(f"That was the last one. check.{self.name}.solution() shows our solution."))
        return Outcome(outcome.HINT, f"{self.headline}, {n} of {total}", blocks)

    def solution(self) -> Outcome:
        """Return our solution and why it is so."""
        self._note(lambda notes: notes.update(solution=True))
        return Outcome(
            outcome.SOLUTION, self.headline, [Code("One way to do it:", self._shown_source), Text(self.explanation)]
        )

    def input(self) -> tuple:
        """Return the arguments of the case that failed last, to try them by hand: ``f(*check.NAME.input())``."""
        return copy.deepcopy((self._failed or self.all_cases()[0]).args)

    def __repr__(self) -> str:
        return repr(self._about("To check your answer:"))

    def _repr_html_(self) -> str:
        return self._about("To check your answer:")._repr_html_()

    def _about(self, first: str) -> Outcome:
        about = f"{self.minutes} minutes, {self.difficulty}, {'extra' if self.extra else 'core'}."
        return Outcome(
            outcome.ABOUT, self.headline, [Text(about), Text(self.task.splitlines()[0]), Code(first, self.usage)]
        )

    # What an author adds ---------------------------------------------------------------------------------------------

    def case(self, *args, expect, because: str) -> None:
        """Add a case worked by hand: what is expected, and why in words ("3 stands at the second place: 1/2")."""
        self.by_hand.append(Case(args, self.kind.read(expect, args), because))

    def random_cases(self, draw: Callable) -> Callable:
        """Decorate ``draw(rng)``, which returns a list of tuples of arguments; the reference says what is expected."""
        self._random = draw
        return draw

    def mistake(self, message: str, wrong=_MISSING, when: Callable | None = None):
        """Add a known mistake; without `wrong`, decorate the wrong implementation."""
        if wrong is _MISSING:
            return lambda function: (self.mistake(message, function, when), function)[1]
        self.mistakes.append(Mistake(message, wrong, when))
        return None

    def rule(self, message: str) -> Callable:
        """Decorate ``holds(function) -> bool``, tried once all cases are right; `message` says what is wrong if not."""
        return lambda holds: (self.rules.append((message, holds)), holds)[1]

    # What the framework reads ----------------------------------------------------------------------------------------

    @property
    def headline(self) -> str:
        """Number and title."""
        return f"{self.number} {self.title}"

    @property
    def usage(self) -> str:
        """The line that checks an answer."""
        return f"check.{self.name}({self.name})"

    @functools.cached_property
    def source(self) -> str:
        """Source of the reference, without its decorator."""
        if self.is_value:
            return f"def {self.name}():\n    return {self.reference!r}"
        lines = textwrap.dedent(inspect.getsource(self.reference)).splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("def "))
        return "\n".join(lines[start:])

    @property
    def _shown_source(self) -> str:
        """The source with the first line of its docstring: the rest stands in the learner's own cell."""
        lines, first = self.source.splitlines(), ast.parse(self.source).body[0].body[0]
        if not isinstance(getattr(first, "value", None), ast.Constant):
            return self.source
        short = f'    """{self.task.splitlines()[0]}"""'
        return "\n".join([*lines[: first.lineno - 1], short, *lines[first.end_lineno :]])

    @property
    def stub(self) -> str:
        """What a learner starts from."""
        doc = textwrap.indent(f'"""{self.task}{"" if chr(10) not in self.task else chr(10)}"""', "    ")
        body = f'    raise NotImplementedError("exercise {self.number}")'
        return f"def {self.name}({', '.join(self.parameters)}):\n{doc}\n{body}\n"

    @property
    def wrong_answers(self) -> list[tuple[str, str]]:
        """Message and code of every known mistake, to put in the place of the stub."""
        module = f"from recsys_lab.checks.lab{self.lab.number} import {self.name}"
        passed = "" if self.is_value else "(*args)"
        return [
            (
                mistake.message,
                f"def {self.name}(*args):\n    {module}\n\n    return {self.name}.mistakes[{i}].wrong{passed}\n",
            )
            for i, mistake in enumerate(self.mistakes)
        ]

    def all_cases(self) -> list[Case]:
        """Return the cases by hand and the random ones; always the same."""
        return self._cases

    @functools.cached_property
    def _cases(self) -> list[Case]:
        rng = np.random.default_rng(zlib.crc32(self.number.encode()))
        drawn = self._random(rng) if self._random else []
        return [*self.by_hand, *(Case(args, self._expect(args)) for args in drawn)]

    def _expect(self, args: tuple):
        return self.kind.read(self.reference(*copy.deepcopy(args)), args)

    def mistaken(self, number: int) -> list[Result] | None:
        """Return what a known mistake gives in each case; None for one that is known by its condition only."""
        wrong = self.mistakes[number].wrong
        if self.is_value or not callable(wrong):
            return None
        if number not in self._mistaken:
            self._mistaken[number] = [call(wrong, case, self.kind) for case in self.all_cases()]
        return self._mistaken[number]

    @property
    def answer(self):
        """The learner's answer once it is right, the reference until then."""
        current, owner = (self._answer, "yours") if self._is_right else (self.reference, "the reference")
        if not self.is_value:
            return Answer(self, current, owner)
        return AnswerDict(self, current, owner) if isinstance(current, Mapping) else copy.deepcopy(current)

    @property
    def is_yours(self) -> bool:
        """Whether `answer` is the learner's."""
        return self._is_right

    def _note(self, change: Callable[[dict], object]) -> str | None:
        return progress.update(self.lab.number, self.name, change)


def _tried(notes: dict, correct: bool) -> None:
    """Count a check; what was right once stays done."""
    notes["tries"] = notes.get("tries", 0) + 1
    if correct:
        notes["correct"] = True


class Lab:
    """The exercises of one lab.

    Parameters
    ----------
    number, title : str

    Attributes
    ----------
    exercises : dict of str to Exercise
        By name, in the order in which they were declared.
    answers : Answers
    """

    def __init__(self, number: str, title: str):
        self.number, self.title = number, title
        self.exercises: dict[str, Exercise] = {}
        self.answers = Answers(self)

    def exercise(self, number: str, title: str, **options) -> Callable[[Callable], Exercise]:
        """Decorate the reference of an exercise; for `options` see `Exercise`."""
        return lambda reference: self._add(number=number, title=title, reference=reference, **options)

    def value(self, number: str, title: str, **options) -> Exercise:
        """Add an exercise that asks for a value; `options` with `name`, `task` and `reference`, see `Exercise`."""
        return self._add(number=number, title=title, **options)

    def _add(self, **options) -> Exercise:
        exercise = Exercise(lab=self, **options)
        self.exercises[exercise.name] = exercise
        return exercise

    def __getitem__(self, name: str) -> Exercise:
        """Return an exercise; AttributeError with the nearest names for an unknown one."""
        if name in self.exercises:
            return self.exercises[name]
        near = difflib.get_close_matches(name, self.exercises, n=1) or list(self.exercises)
        raise AttributeError(f"lab {self.number} has no exercise {name!r}. Did you mean {', '.join(near)}?")

    def attribute(self, name: str) -> Exercise:
        """What a lab's module answers for a name that it does not have itself (its ``__getattr__``): an exercise."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def progress(self) -> Progress:
        """Return a table of this lab's exercises and how far you are; it outlives the kernel."""
        return Progress(self)
