"""Splits into training and test parts, and what each of them lets through.

A recommender is used on clicks that come after those it learned from. A split that ignores this hands the model the
answers: tomorrow's best-seller, the second half of the very session it is asked about. `by_time` is the honest one;
`leakage` shows, in numbers of your own log, what the others let through.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from recsys_lab.interactions import UNKNOWN, Sessions


class Split(NamedTuple):
    """Two parts of a log with one vocabulary, and a table of what went where (`part, sessions, clicks`)."""

    train: Sessions
    test: Sessions
    report: pd.DataFrame


def by_time(sessions: Sessions, test: float | str | pd.Timedelta | pd.Timestamp = 0.2) -> Split:
    """Train on sessions that ended before a moment, test on those that started at it or later.

    Parameters
    ----------
    sessions : Sessions
        With times.
    test : float, timedelta or timestamp
        Share of the sessions (the latest ones), or length of the test period at the end of the log (``"1D"``), or
        the moment itself (with a timezone).

    Returns
    -------
    Split
        Sessions that are under way at that moment belong to neither part; the report counts them.

    Raises
    ------
    ValueError
        If the log has no times, or one part would be empty.
    """
    if not sessions.has_time:
        raise ValueError(
            "by_time: this log has an order but no times, so what was earlier in another session is not known. "
            "Use its published parts (dataset.train, dataset.test) or by_session."
        )
    moment = _moment(sessions, test)
    train, later = sessions.ends < moment, sessions.starts >= moment
    return _split(sessions, sessions.take(train), sessions.take(later), ~train & ~later)


def by_session(sessions: Sessions, test: float = 0.2, seed: int = 0) -> Split:
    """Draw whole sessions for testing at random: simple, common, and blind to time."""
    chosen = _draw(len(sessions), test, seed)
    return _split(sessions, sessions.take(~chosen), sessions.take(chosen))


def by_click(sessions: Sessions, test: float = 0.2, seed: int = 0) -> Split:
    """Draw single clicks for testing at random: the split of rating matrices, here as a warning."""
    chosen = _draw(sessions.n_clicks, test, seed)
    return _split(sessions, sessions.where(~chosen), sessions.where(chosen))


def by_user(sessions: Sessions, last: int = 1) -> Split:
    """Keep each user's last sessions for testing, and train on the earlier ones.

    Users with no more than `last` sessions, and anonymous sessions, are training only. Other users' later sessions
    are still in training: personal histories are honest, popularity is not.
    """
    if sessions.users is None:
        raise ValueError("by_user: this log knows no users. Use by_time.")
    order = np.lexsort((np.arange(len(sessions)), sessions.starts, sessions.users))
    users = sessions.users[order]
    size = np.bincount(users + 1)[users + 1]
    first = np.searchsorted(users, users)
    from_end = size - 1 - (np.arange(len(users)) - first)
    chosen = np.zeros(len(sessions), bool)
    chosen[order] = (users != UNKNOWN) & (from_end < last) & (size > last)
    return _split(sessions, sessions.take(~chosen), sessions.take(chosen))


def leakage(split: Split) -> pd.Series:
    """Measure what the training part of a split knows that it should not.

    Returns
    -------
    Series of float
        Shares between 0 and 1:

        - ``test_clicks_before_train_ends``: test clicks that happened before the last training click;
        - ``train_clicks_after_test_click``: for the middle test click, the share of training that lies in its future;
        - ``test_sessions_also_in_train``: test sessions of which training has other clicks;
        - ``next_items_seen_later``: test clicks on an item whose first training click is later still, so that
          training on the past alone could not know it.
    """
    train, test = split.train, split.test
    if not train.has_time:
        raise ValueError("leakage: this log has no times.")
    first_seen = np.full(train.n_items, np.iinfo(np.int64).max)
    np.minimum.at(first_seen, train.items, train.times)
    known = first_seen[test.items] < np.iinfo(np.int64).max
    return pd.Series(
        {
            "test_clicks_before_train_ends": np.mean(test.times < train.times.max()),
            "train_clicks_after_test_click": np.mean(train.times > np.median(test.times)),
            "test_sessions_also_in_train": np.mean(np.isin(test.session_ids, train.session_ids)),
            "next_items_seen_later": np.mean(known & (first_seen[test.items] > test.times)),
        }
    )


def leakage_report(sessions: Sessions, test: float = 0.2, seed: int = 0) -> pd.DataFrame:
    """Compare what three splits of one log let through: one column a split, rows as in `leakage`."""
    splits = {
        "by_time": by_time(sessions, test),
        "by_session": by_session(sessions, test, seed),
        "by_click": by_click(sessions, test, seed),
    }
    return pd.DataFrame({name: leakage(split) for name, split in splits.items()})


def _moment(sessions: Sessions, test) -> int:
    if isinstance(test, (int, float)) and not isinstance(test, bool):
        if not 0 < test < 1:
            raise ValueError(
                f"by_time: as a number, test is the share of sessions and lies between 0 and 1, not {test}."
            )
        return int(np.quantile(sessions.starts, 1 - test, method="higher"))
    if isinstance(test, pd.Timestamp):
        if test.tz is None:
            raise ValueError(f"by_time: {test} names no timezone. Fix: pd.Timestamp('{test}', tz='UTC').")
        return test.as_unit("ns").value
    return int(sessions.times.max() - pd.Timedelta(test).as_unit("ns").value)


def _draw(n: int, test: float, seed: int) -> np.ndarray:
    if not 0 < test < 1:
        raise ValueError(f"test is a share and lies between 0 and 1, not {test}.")
    chosen = np.zeros(n, bool)
    chosen[np.random.default_rng(seed).permutation(n)[: max(1, round(n * test))]] = True
    return chosen


def _split(sessions: Sessions, train: Sessions, test: Sessions, neither=()) -> Split:
    for name, part in (("train", train), ("test", test)):
        if len(part) == 0:
            raise ValueError(f"the {name} part would be empty. Choose another moment or share.")
    left = sessions.take(np.asarray(neither, dtype=bool)) if len(neither) else sessions.part(0, 0)
    rows = [(name, len(part), part.n_clicks) for name, part in (("train", train), ("test", test), ("neither", left))]
    return Split(train, test, pd.DataFrame(rows, columns=["part", "sessions", "clicks"]))
