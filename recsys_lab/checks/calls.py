"""One call of a learner's function: what came back, what it raised, what it printed, what it did to its input."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recsys_lab.checks import sandbox
from recsys_lab.checks.kinds import Kind, Unreadable
from recsys_lab.checks.reading import safe_repr
from recsys_lab.checks.sandbox import Place, TimeUp

if TYPE_CHECKING:
    from recsys_lab.checks.exercise import Case


@dataclass(frozen=True)
class Error:
    """What an exception said, without keeping it and all its frames alive."""

    name: str
    text: str
    place: Place | None
    unfinished: bool  # the stub's NotImplementedError, raised by the learner's own code

    @classmethod
    def of(cls, error: BaseException, function) -> Error:
        """Read an exception that `function` raised."""
        code, steps = code_of(function), sandbox.traceback_lines(error)
        own = bool(steps) and sandbox.is_own(steps[-1][0], code)
        text = " ".join(_text_of(error).split())
        text = text if len(text) <= 300 else text[:299] + "…"
        place = sandbox.place_of(steps, code)
        return cls(type(error).__name__, text, place, own and isinstance(error, NotImplementedError))


def code_of(function) -> CodeType | None:
    """Return the code of a plain function or method; other callables are not asked, they might answer anything."""
    function = function.__func__ if isinstance(function, MethodType) else function
    return function.__code__ if isinstance(function, FunctionType) else None


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except TimeUp:
        raise
    except BaseException:
        return "(its message cannot be read)"


@dataclass(frozen=True)
class Result:
    """One call: exactly one of `value`, `refused` and `error` counts."""

    value: object = None
    refused: str = ""  # not of the kind that is asked for
    error: Error | None = None
    is_none: bool = False
    printed: str = ""
    changed: str = ""  # what happened to the input

    def right(self, kind: Kind, expected) -> bool:
        """Whether this is the expected value."""
        return not self.refused and self.error is None and kind.agree(self.value, expected)

    def same(self, other: Result, kind: Kind) -> bool:
        """Whether two functions did the same here."""
        if self.error or other.error:
            return bool(self.error and other.error and self.error.name == other.error.name)
        if self.refused or other.refused:
            return self.refused == other.refused
        return kind.agree(self.value, other.value)


def call(function: Callable, case: Case, kind: Kind, printed: sandbox.Printed | None = None) -> Result:
    """Call a function on a fresh copy of a case's arguments, and read what comes back."""
    args = copy.deepcopy(case.args)
    try:
        result = function(*args)
    except TimeUp:
        raise
    except BaseException as error:
        return Result(error=Error.of(error, function), printed=printed.take() if printed else "")
    text, changed = printed.take() if printed else "", _changed(case.args, args)
    try:
        return Result(kind.read(result, case.args), printed=text, changed=changed)
    except Unreadable as error:
        refused = str(error)
    except TimeUp:
        raise
    except BaseException as error:  # an object that raises when asked for its length, its elements, anything
        refused = f"What came back cannot be read: asked for its value, it raises {type(error).__name__}."
    finally:
        if inspect.iscoroutine(result):
            result.close()  # nobody will await it
    return Result(refused=refused, is_none=result is None, printed=text, changed=changed)


def _changed(before: tuple, after: tuple) -> str:
    for old, new in zip(before, after, strict=True):
        try:
            if not _equal(old, new):
                return describe_change(old, new)
        except TimeUp:
            raise
        except BaseException:
            return "its input is no longer what it was"
    return ""


def _equal(old, new) -> bool:
    if isinstance(old, (pd.DataFrame, pd.Series)):
        return old.equals(new) and all(a.equals(b) for a, b in zip(old.axes, new.axes, strict=True))
    if isinstance(old, np.ndarray):
        return old.shape == new.shape and old.dtype == new.dtype and bool((old == new).all())
    if isinstance(old, Mapping):
        return list(old.items()) == list(new.items())
    return type(old) is type(new) and old == new


def describe_change(old, new) -> str:
    """Say what happened to an argument."""
    if isinstance(old, pd.DataFrame):
        if extra := [str(c) for c in new.columns if c not in old.columns]:
            return f"the DataFrame passed in has a new column {extra[0]!r} afterwards"
        return "the DataFrame passed in has other rows, values or an other order afterwards"
    return f"{safe_repr(old, 60)} passed in is {safe_repr(new, 60)} afterwards"
