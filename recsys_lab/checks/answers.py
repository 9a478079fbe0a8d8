"""What a lab remembers for the learner: whose answers the cells further down use, and the table of progress."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from recsys_lab.checks import outcome, progress

if TYPE_CHECKING:
    from recsys_lab.checks.exercise import Exercise, Lab


class Answer:
    """A function that says whose it is; what it raises is the owner's affair and passes through."""

    def __init__(self, exercise: Exercise, function: Callable, owner: str):
        functools.update_wrapper(self, function, updated=())
        self.function, self._name, self._owner = function, exercise.name, owner

    def __call__(self, *args, **kwargs):
        """Call it."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<check.answers.{self._name}: {_whose(self._owner)}>"


class AnswerDict(dict):
    """A dict that says whose it is."""

    def __init__(self, exercise: Exercise, values: Mapping, owner: str):
        super().__init__(values)
        self._name, self._owner = exercise.name, owner

    def __repr__(self) -> str:
        return f"<check.answers.{self._name}: {dict(self)}, {_whose(self._owner)}>"


def _whose(owner: str) -> str:
    return "yours, checked" if owner == "yours" else "the reference, until yours is right"


class Answers:
    """``check.answers.NAME``: the learner's answer once it is right, the reference until then."""

    def __init__(self, lab: Lab):
        self._lab = lab

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._lab[name].answer

    def __dir__(self):
        return list(self._lab.exercises)

    def __repr__(self) -> str:
        return "\n".join(f"{e.name}: {_whose('yours' if e.is_yours else '')}" for e in self._lab.exercises.values())


class Progress:
    """How far a learner is in a lab, as a table."""

    head = ("exercise", "minutes", "part", "state", "tries", "hints", "check.answers has")

    def __init__(self, lab: Lab):
        notes = progress.read().get(lab.number, {})
        self.title = f"Lab {lab.number}: {lab.title}"
        self.rows = [_row(exercise, notes.get(name, {})) for name, exercise in lab.exercises.items()]
        done = sum(notes.get(name, {}).get("correct", False) is True for name in lab.exercises)
        self.foot = f"{done} of {len(self.rows)} done. {progress.where()}"

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (self.head, *self.rows)]
        return "\n".join([self.title, *lines, self.foot])

    def _repr_html_(self) -> str:
        return outcome.table(self.title, list(self.head), self.rows) + f"<p>{html.escape(self.foot)}</p>"


def _row(exercise: Exercise, notes: dict) -> list[str]:
    kind = outcome.CORRECT if notes.get("correct") else outcome.NOT_YET if notes.get("tries") else outcome.NOT_ATTEMPTED
    sign, word, _ = outcome.LOOKS[kind]
    tried, hints = str(notes.get("tries", 0)), f"{notes.get('hints', 0)} of {len(exercise.hints)}"
    return [
        exercise.headline,
        str(exercise.minutes),
        "extra" if exercise.extra else "core",
        f"{sign} {word.lower()}" + (", solution seen" if notes.get("solution") else ""),
        tried,
        hints,
        "yours" if exercise.is_yours else "the reference" + ("; check yours again" if notes.get("correct") else ""),
    ]
