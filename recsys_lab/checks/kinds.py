"""What an answer may be: each kind reads whatever a learner's function returns into plain Python values.

A kind accepts all that means the same (a list, an array, a Series; an int where a float is due) and refuses the rest in
words (`Unreadable`). Only plain values are compared: an object with an `__eq__` of its own is never asked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from recsys_lab.checks.reading import LISTS, Strange, describe, plain, safe_repr, same, show


class Unreadable(Exception):
    """The answer is not of the kind that is asked for; the message says so to the learner."""


class Kind:
    """What an answer may be. A kind of your own needs `words`, `read` and, where `==` will not do, `agree`."""

    words = "something else"

    def read(self, result, args: tuple):
        """Return the result as plain values; raises `Unreadable`."""
        raise NotImplementedError

    def agree(self, got, expected) -> bool:
        """Whether two results of `read` mean the same."""
        return got == expected

    def show(self, value) -> str:
        """Return a value of `read` as a learner should see it."""
        return show(value)

    def refuse(self, result, why: str = "") -> Unreadable:
        """Return the error for a result of another kind."""
        return Unreadable(f"{describe(result)} came back; {self.words} is needed.{' ' + why if why else ''}")


class Number(Kind):
    """One number, of whatever type; `tolerance` is relative."""

    words = "one number"

    def __init__(self, tolerance: float = 1e-6):
        self.tolerance = tolerance

    def read(self, result, args=()) -> float:
        """Return the number as a float."""
        if isinstance(result, LISTS) and getattr(result, "ndim", 1) > 0:
            raise self.refuse(result)
        value = plain(result)
        if isinstance(value, (bool, int, float)):
            return float(value) if not abs(value) >= 1e300 else (math.inf if value > 0 else -math.inf)
        raise self.refuse(result)

    def agree(self, got, expected) -> bool:
        """Whether they are equal but for rounding; NaN equals nothing but NaN."""
        return math.isclose(got, expected, rel_tol=self.tolerance, abs_tol=1e-9) or (
            got != got and expected != expected
        )


class Verdict(Number):
    """True or False, of whatever type, such as the verdict of a test that the learner wrote."""

    words = "True or False"

    def read(self, result, args=()) -> bool:
        """Return the verdict as a bool."""
        if isinstance(result, LISTS) and getattr(result, "ndim", 1) > 0:
            raise self.refuse(result, "(a == b).all() and np.allclose(a, b) make one verdict of many.")
        if result is None:
            raise self.refuse(result, "A test here returns its verdict; `assert` alone returns None.")
        value = super().read(result)
        if value not in (0, 1):
            raise self.refuse(result)
        return bool(value)

    def show(self, value) -> str:
        """Return the word."""
        return str(value)


class Ranking(Kind):
    """Labels in an order."""

    words = "a list"

    def read(self, result, args=()) -> tuple:
        """Return the labels as a tuple."""
        if isinstance(result, (set, frozenset)):
            raise Unreadable("A set came back, which has no order; a list is needed.")
        return tuple(self.labels(result))

    def labels(self, result) -> list:
        """Return the elements of anything like a list, as plain values."""
        if isinstance(result, Iterator):
            raise self.refuse(result, "It can be read only once: put list(...) around it.")
        if not isinstance(result, (*LISTS, set, frozenset)):
            raise self.refuse(result)
        if getattr(result, "ndim", 1) != 1:
            raise Unreadable(f"An array of shape {result.shape} came back; {self.words} is needed: one dimension.")
        if len(result) > 100_000:
            raise Unreadable(f"{len(result):,} elements came back. The inputs are much smaller than that.")
        values = [plain(x) for x in result]
        for raw, value in zip(result, values, strict=True):
            if value is Strange:
                raise Unreadable(
                    f"An element that came back is {describe(raw, small=True)}; it should be a plain label."
                )
        return values


class Ids(Ranking):
    """Distinct labels in any order; `noun` is what they stand for."""

    def __init__(self, noun: str):
        self.noun, self.words = noun, f"a list or set of {noun}s"

    def read(self, result, args=()) -> frozenset:
        """Return the labels as a frozenset."""
        if isinstance(result, (np.ndarray, pd.Series)) and result.dtype == bool:
            raise Unreadable(f"True and False came back, a mask; the {self.noun}s where it is True are needed.")
        values = self.labels(result)
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            raise Unreadable(f"{self.noun.capitalize()} {twice[0]} came back more than once; each one is needed once.")
        return frozenset(values)

    def show(self, value) -> str:
        """Return the labels in order, as a set."""
        return "{" + ", ".join(map(repr, sorted(value, key=str))) + "}" if value else f"no {self.noun}s"


class Partition(Ranking):
    """A label for each row of the first argument, where only matters which rows share one (numbers from anywhere)."""

    words = "one session number for each row"

    def __init__(self, column: str):
        self.column = column

    def read(self, result, args) -> tuple[int, ...]:
        """Return the labels, numbered in the order in which they first occur."""
        frame = args[0]
        if isinstance(result, pd.DataFrame):
            if self.column not in result:
                raise self.refuse(result, f"A DataFrame is fine if it has a column {self.column!r}.")
            result = result[self.column]
        if isinstance(result, pd.Series) and len(result) == len(frame) and set(result.index) == set(frame.index):
            result = result.reindex(frame.index)  # a Series knows which row each number belongs to
        values = self.labels(result)
        if len(values) != len(frame):
            raise Unreadable(f"{len(values)} numbers came back for {len(frame)} rows; {self.words} is needed.")
        if any(v is None or v != v for v in values):
            raise Unreadable(f"Some numbers that came back are missing (NaN or None); {self.words} is needed.")
        first = {}
        return tuple(first.setdefault(v, len(first)) for v in values)

    def show(self, value) -> str:
        """Return the numbers, row by row."""
        return "session numbers, row by row: " + (" ".join(map(str, value)) or "none")


class Rows(Kind):
    """Some of the rows of the first argument, unchanged and in any order; `key` is the column that identifies them."""

    words = "a DataFrame with the rows that stay"

    def __init__(self, key: str):
        self.key = key

    def read(self, result, args) -> tuple:
        """Return the sorted keys of the rows."""
        if not isinstance(result, pd.DataFrame):
            mask = isinstance(result, (np.ndarray, pd.Series)) and result.dtype == bool
            raise self.refuse(result, "A mask says which rows; events[mask] takes them." if mask else "")
        if lacking := [str(c) for c in args[0].columns if c not in result.columns]:
            raise Unreadable(f"The DataFrame that came back lacks the column {lacking[0]!r}.")
        if not result.columns.is_unique:
            raise Unreadable("The DataFrame that came back has two columns of one name.")
        if len(result) > 100_000:
            raise Unreadable(f"{len(result):,} rows came back. The inputs are much smaller than that.")
        self._unchanged(result, args[0])
        return tuple(sorted(int(k) for k in result[self.key]))

    def _unchanged(self, result: pd.DataFrame, frame: pd.DataFrame) -> None:
        known = {plain(row[0]): row for row in self._rows(frame, frame)}
        for row in self._rows(result, frame):
            before = known.get(plain(row[0]))
            if before is None:
                raise Unreadable(f"A row with {self.key} {row[0]} came back, which was not in the input.")
            for name, old, new in zip([self.key, *frame.columns], before, row, strict=True):
                if not same(plain(old), plain(new)):
                    raise Unreadable(
                        f"In the row with {self.key} {row[0]}, column {name!r} came back changed "
                        f"({safe_repr(old)} was {safe_repr(new)} afterwards)."
                    )

    def _rows(self, result: pd.DataFrame, frame: pd.DataFrame) -> Iterator[tuple]:
        return result[[self.key, *frame.columns]].itertuples(index=False, name=None)

    def show(self, value) -> str:
        """Return the keys."""
        return f"rows with {self.key} " + ", ".join(map(str, value)) if value else "no rows"


class Several(Kind):
    """A fixed number of answers at once, such as ``return train, test``."""

    def __init__(self, **parts: Kind):
        self.parts, self.words = parts, f"{len(parts)} things ({', '.join(parts)})"

    def read(self, result, args) -> tuple:
        """Return what each part's kind reads."""
        if not isinstance(result, (tuple, list)):
            raise self.refuse(result)
        if len(result) != len(self.parts):
            raise Unreadable(f"{len(result)} things came back; {self.words} are needed.")
        values = []
        for (name, kind), part in zip(self.parts.items(), result, strict=True):
            try:
                values.append(kind.read(part, args))
            except Unreadable as error:
                raise Unreadable(f"The part {name!r}: {error}") from None
        return tuple(values)

    def agree(self, got, expected) -> bool:
        """Whether all parts agree."""
        return all(k.agree(g, e) for k, g, e in zip(self.parts.values(), got, expected, strict=True))

    def show(self, value) -> str:
        """Return all parts with their names."""
        shown = (f"{n}: {k.show(v)}" for (n, k), v in zip(self.parts.items(), value, strict=True))
        return "; ".join(shown)


class Interval(Kind):
    """Two ends; `tolerance` is a share of the expected width, because every resampling draws differently."""

    words = "a pair (low, high)"

    def __init__(self, tolerance: float):
        self.tolerance = tolerance

    def read(self, result, args=()) -> tuple[float, float]:
        """Return the ends as floats."""
        if not isinstance(result, (tuple, list, np.ndarray, pd.Series)) or getattr(result, "ndim", 1) != 1:
            raise self.refuse(result)
        if hasattr(result, "_fields") and hasattr(result, "low"):  # as `metrics.bootstrap_interval` returns
            result = (result.low, result.high)
        if len(result) != 2:
            raise Unreadable(f"{len(result)} numbers came back; {self.words} is needed.")
        return tuple(Number().read(end) for end in result)

    def agree(self, got, expected) -> bool:
        """Whether both ends are near the expected ones."""
        near = self.tolerance * abs(expected[1] - expected[0]) + 1e-12
        return all(abs(g - e) <= near for g, e in zip(got, expected, strict=True))


class Numbers(Kind):
    """A number for each of some names, judged by a criterion instead of by equality.

    Parameters
    ----------
    names : sequence of str
    criterion : callable
        ``criterion(values) -> bool``: whether a dict of floats is good enough.
    report : callable
        ``report(values) -> str``: what the criterion measured.
    """

    def __init__(self, names: tuple[str, ...], criterion: Callable[[dict], bool], report: Callable[[dict], str]):
        self.names, self.criterion, self.report = names, criterion, report
        self.words = f"a dict with a number for each of {', '.join(names)}"

    def read(self, result, args=()) -> dict[str, float]:
        """Return the numbers as a dict of floats."""
        if not isinstance(result, (Mapping, pd.Series)):
            raise self.refuse(result)
        values = {name: plain(value) for name, value in dict(result).items() if isinstance(name, str)}
        for name in self.names:
            if name not in values:
                raise Unreadable(f"{name!r} is missing; {self.words} is needed.")
        for name, value in values.items():
            if not isinstance(value, (bool, int, float)) or not abs(value) < 1e12:
                raise Unreadable(
                    f"What stands for {name!r} is {describe(dict(result)[name], small=True)}, not a number."
                )
        return {name: float(value) for name, value in values.items()}

    def agree(self, got, expected) -> bool:
        """Whether the criterion holds; there is no one right answer to compare with."""
        return bool(self.criterion(got))

    def show(self, value) -> str:
        """Return what the criterion measured."""
        return self.report(value)


class Scores(Kind):
    """A number for each of some items, as a dict or a Series; an item that is not there has 0.

    Parameters
    ----------
    tolerance : float
        Relative.
    """

    words = "a dict with a number for each item"

    def __init__(self, tolerance: float = 1e-6):
        self.number = Number(tolerance)

    def read(self, result, args=()) -> dict:
        """Return the scores that are not 0, by item."""
        if not isinstance(result, (Mapping, pd.Series)):
            pairs = isinstance(result, (list, tuple)) and len(result) and isinstance(result[0], tuple)
            raise self.refuse(result, "dict(...) makes one of pairs." if pairs else "")
        if len(result) > 100_000:
            raise Unreadable(f"{len(result):,} elements came back. The inputs are much smaller than that.")
        scores = {}
        for item, value in dict(result).items():
            label, number = plain(item), plain(value)
            if label is Strange:
                raise Unreadable(f"A key that came back is {describe(item, small=True)}; it should be a plain item.")
            if not isinstance(number, (bool, int, float)) or not abs(number) < 1e12:
                raise Unreadable(f"The score of item {label} is {describe(value, small=True)}; a number is needed.")
            scores[label] = float(number)
        return {item: score for item, score in scores.items() if score}

    def agree(self, got, expected) -> bool:
        """Whether the same items have the same scores, but for rounding."""
        return got.keys() == expected.keys() and all(self.number.agree(got[i], expected[i]) for i in got)

    def show(self, value) -> str:
        """Return the scores, the highest first."""
        first = sorted(value.items(), key=lambda pair: (-pair[1], str(pair[0])))
        return "{" + ", ".join(f"{item!r}: {score:.4g}" for item, score in first) + "}" if first else "no scores"


class Array(Kind):
    """Numbers in one dimension (a vector) or two (a matrix, which may be sparse), in whatever holds them."""

    def __init__(self, ndim: int, tolerance: float = 1e-4):
        self.ndim, self.tolerance = ndim, tolerance
        self.words = "a vector, numbers in one dimension," if ndim == 1 else "a matrix, numbers in rows and columns,"

    def read(self, result, args=()) -> tuple:
        """Return the numbers as a tuple, of tuples if there are rows."""
        if sparse.issparse(result) and math.prod(result.shape) <= 100_000:
            result = result.toarray()
        if isinstance(result, pd.DataFrame):
            result = result.to_numpy()
        if isinstance(result, np.matrix):
            result = np.asarray(result)
        if getattr(result, "ndim", self.ndim) != self.ndim:
            raise Unreadable(f"An array of shape {result.shape} came back; {self.words} is needed.")
        values = self._numbers(result, self.ndim)
        if self.ndim == 2 and len({len(row) for row in values}) > 1:
            raise self.refuse(result, "Its rows have different lengths.")
        return values

    def _numbers(self, part, ndim: int):
        if ndim == 0:
            number = plain(part)
            if not isinstance(number, (bool, int, float)) or not abs(number) < 1e12:
                raise Unreadable(f"{describe(part, small=True)} is among what came back; numbers are needed.")
            return float(number)
        if not isinstance(part, LISTS):
            raise self.refuse(part)
        if getattr(part, "size", len(part)) > 100_000:
            raise Unreadable("More than 100,000 numbers came back. The inputs are much smaller than that.")
        return tuple(self._numbers(x, ndim - 1) for x in part)

    def agree(self, got, expected) -> bool:
        """Whether the shapes are equal and the numbers too, but for rounding."""
        a, b = np.array(got), np.array(expected)
        return a.shape == b.shape and np.allclose(a, b, rtol=self.tolerance, atol=1e-7)

    def show(self, value) -> str:
        """Return shape and numbers."""
        array = np.array(value)
        text = np.array2string(array, precision=4, suppress_small=True, threshold=60, separator=", ")
        return f"shape {array.shape}: {' '.join(text.split())}"


class Vector(Ranking):
    """Numbers in an order, such as one for each item or a pair of parameters.

    Parameters
    ----------
    words : str
        What they are, such as "a pair (a, b)".
    length : int, optional
        How many there have to be; by default as many as expected.
    tolerance, absolute : float
        How far a number may be off: relative to the expected one, and in all.
    """

    def __init__(self, words: str, length: int | None = None, tolerance: float = 1e-6, absolute: float = 1e-9):
        self.words, self.length, self.tolerance, self.absolute = words, length, tolerance, absolute

    def read(self, result, args=()) -> tuple[float, ...]:
        """Return the numbers as a tuple of floats."""
        if isinstance(result, (set, frozenset)):
            raise Unreadable(f"A set came back, which has no order; {self.words} is needed.")
        values = self.labels(result)
        if self.length is not None and len(values) != self.length:
            raise Unreadable(f"{len(values)} numbers came back; {self.words} is needed.")
        for raw, value in zip(result, values, strict=True):
            if not isinstance(value, (bool, int, float)):
                raise Unreadable(f"An element that came back is {describe(raw, small=True)}; it should be a number.")
        return tuple(float(value) for value in values)

    def agree(self, got, expected) -> bool:
        """Whether there are as many numbers and each is near the expected one; NaN equals nothing."""
        return len(got) == len(expected) and all(
            math.isclose(g, e, rel_tol=self.tolerance, abs_tol=self.absolute)
            for g, e in zip(got, expected, strict=True)
        )

    def show(self, value) -> str:
        """Return the numbers with four digits."""
        return "(" + ", ".join(f"{number:.4g}" for number in value) + ")"
