"""What a learner's function may return or raise, at its worst; for the tests of the checks."""

import functools
import os
import sys
from unittest import mock

import numpy as np
import pandas as pd


class Yes:
    """Equal to everything."""

    def __eq__(self, other):
        return True

    __hash__ = object.__hash__


def _raises(*names):
    def fail(self, *args):
        raise RuntimeError("no")

    return type("Evil", (), {name: fail for name in names})


def _evil_list(*names):
    def fail(self, *args):
        raise RuntimeError("no")

    return type("EvilList", (list,), {name: fail for name in names})


def _ends(*names):
    def leave(self, *args):
        raise SystemExit

    return type("Leaving", (list,), {name: leave for name in names})


class EvilText(Exception):
    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __str__


class OwnEnd(BaseException):
    def __str__(self):
        raise SystemExit


class EvilCall:
    """A callable that answers no other question."""

    def __call__(self, *args):
        return 17.25

    def __getattr__(self, name):
        raise RuntimeError(name)


def _generator():
    yield 1


async def _coroutine():
    return 1


RETURNED = {
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "minus": lambda: -17.25,
    "huge number": lambda: 10**400,
    "complex": lambda: 1j,
    "text": lambda: "0.5",
    "bytes": lambda: b"0.5",
    "object": object,
    "class": lambda: dict,
    "function": lambda: len,
    "ellipsis": lambda: ...,
    "NA": lambda: pd.NA,
    "NaT": lambda: pd.NaT,
    "time": lambda: pd.Timestamp("2026-01-01"),
    "empty list": list,
    "list of None": lambda: [None, None],
    "list of nan": lambda: [np.nan] * 3,
    "nested list": lambda: [[1, 2], [3]],
    "list of objects": lambda: [object(), object()],
    "list of yes": lambda: [Yes()] * 3,
    "pair of nothing": lambda: (None, None),
    "dict": lambda: {"a": 1},
    "set of yes": lambda: {Yes()},
    "array": lambda: np.zeros((2, 3)),
    "empty array": lambda: np.array([]),
    "array of objects": lambda: np.array([object()]),
    "0-d array of text": lambda: np.array("x"),
    "0-d array of an object": lambda: np.array(object()),
    "masked array": lambda: np.ma.masked_all(3),
    "series": lambda: pd.Series([1.0, np.nan]),
    "series of nothing": lambda: pd.Series(dtype=float),
    "frame": lambda: pd.DataFrame({"a": [1]}),
    "empty frame": pd.DataFrame,
    "frame with doubled columns": lambda: pd.DataFrame([[1, 2]], columns=["event_id", "event_id"]),
    "frame of nonsense": lambda: pd.DataFrame({c: [object()] for c in ("event_id", "session_id", "timestamp")}),
    "generator": _generator,
    "coroutine": _coroutine,
    "endless iterator": lambda: iter(int, 1),
    "huge list": lambda: [0] * 5_000_000,
    "huge array": lambda: np.zeros(5_000_000),
    "huge text": lambda: "x" * 10_000_000,
    "range": lambda: range(10**15),
    "yes": Yes,
    "any": lambda: mock.ANY,
    "mock": mock.MagicMock,
    "no repr": lambda: _raises("__repr__", "__str__")(),
    "no eq": lambda: _raises("__eq__", "__hash__")(),
    "no float": lambda: _raises("__float__", "__len__", "__iter__", "__getattr__", "__bool__")(),
    "list without len": lambda: _evil_list("__len__")([1]),
    "list without iter": lambda: _evil_list("__iter__", "__getitem__")([1]),
    "list without repr": lambda: _evil_list("__repr__", "__eq__")([1]),
    "list that exits": lambda: _ends("__len__", "__iter__", "__repr__")([1]),
    "text that exits": lambda: [_ends("__repr__", "__float__", "__str__")()],
    "pair of evil": lambda: (_raises("__repr__")(), _evil_list("__len__", "__repr__")([1])),
}


def _raise(error):
    raise error


def _recurse():
    return _recurse()


RAISING = {
    "value error": lambda: _raise(ValueError("a\nmessage\tof lines " * 100)),
    "exit": lambda: exit(),
    "sys.exit": lambda: sys.exit(3),
    "os._exit": lambda: os._exit(3),
    "keyboard": lambda: _raise(KeyboardInterrupt()),
    "generator exit": lambda: _raise(GeneratorExit()),
    "own end": lambda: _raise(OwnEnd("end")),
    "no text": lambda: _raise(EvilText()),
    "group": lambda: _raise(ExceptionGroup("some", [ValueError(1)])),
    "recursion": _recurse,
    "stop iteration": lambda: next(iter([])),
    "memory": lambda: _raise(MemoryError()),
    "input": lambda: input("number?"),
    "pandas": lambda: pd.DataFrame({"a": [1]})["b"],
}

CALLABLE = {
    "mock": mock.MagicMock,
    "evil": EvilCall,
    "class": lambda: str,
    "builtin": lambda: print,
    "partial": lambda: functools.partial(max, 1),
    "method": lambda: [].append,
}
