"""Plain values and plain words for whatever a learner's function returns, without ever trusting it."""

from __future__ import annotations

import math
import numbers
import reprlib
from collections import deque
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pandas as pd

from recsys_lab.checks.sandbox import TimeUp

LISTS = (list, tuple, deque, range, np.ndarray, pd.Series, pd.Index, pd.api.extensions.ExtensionArray, type({}.keys()))


class Strange:
    """What `plain` returns for a value that is no label: a list, an object, a function."""


def plain(value):
    """Return a scalar as bool, int, float, str, None or (nanoseconds of) a time; `Strange` for everything else."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (np.ndarray, np.generic)) and value.ndim == 0 and not isinstance(value, np.datetime64):
        value = value.item()
    if isinstance(value, (bool, str)):
        return bool(value) if isinstance(value, bool) else str.__str__(value)
    if isinstance(value, (pd.Timestamp, np.datetime64)):
        return pd.Timestamp(value).as_unit("ns").value
    if type(value).__module__.startswith("torch") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, (numbers.Real, Decimal)):
        return _number(value)
    return Strange


def _number(value) -> int | float:
    """A whole number as int, any other as float, so that 3.0 from a float column is the item 3."""
    try:
        number = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    return int(value) if math.isfinite(number) and number == int(number) else number


def same(a, b) -> bool:
    """Whether two plain values are equal, or both NaN."""
    return a == b or (a != a and b != b)


def describe(value, small: bool = False) -> str:
    """Say in words what something is: "None", "a text ('0.5')", "a DataFrame of 3 rows"."""
    name = type(value).__name__
    if value is None:
        words = "None"
    elif isinstance(value, str):
        words = f"a text ({safe_repr(value, 30)})"
    elif isinstance(value, pd.DataFrame):
        words = f"a DataFrame of {len(value)} rows"
    elif isinstance(value, Iterator) or hasattr(value, "cr_frame"):
        words = f"a {name}"
    elif isinstance(value, LISTS) and getattr(value, "ndim", 1) == 0:
        words = f"an array with nothing but {safe_repr(value, 30)}"
    elif isinstance(value, (*LISTS, set, frozenset, dict)):
        words = f"a {name} of {len(value)}" + (f" ({safe_repr(value, 40)})" if type(value) in (list, tuple) else "")
    elif isinstance(value, numbers.Number):
        words = f"the number {safe_repr(value, 30)}"
    elif callable(value):
        words = f"a function or class ({getattr(value, '__name__', name)})"
    else:
        words = f"something of type {name}"
    return words if small else words[0].upper() + words[1:]


_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdict = _SHORT.maxdeque = 24
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200


def safe_repr(value, most: int = 300) -> str:
    """`repr` that never raises and is never long."""
    try:
        if isinstance(value, (np.generic, pd.Timestamp)):
            value = str(value) if isinstance(value, (pd.Timestamp, np.datetime64)) else value.item()
        text = repr(value) if isinstance(value, (pd.DataFrame, pd.Series, np.ndarray)) else _SHORT.repr(value)
    except TimeUp:
        raise
    except BaseException:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else text[: most - 1] + "…"


def show(value) -> str:
    """Return plain values with floats rounded to four digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return (
            f"({', '.join(map(show, value))})" if any(isinstance(v, float) for v in value) else safe_repr(list(value))
        )
    return safe_repr(value)
