"""The margins of a click log: how long sessions are, how clicks spread over items, repeats, pauses.

They say in what kind of shop a log was written, and whether a simulated one resembles real ones. They say nothing about
which model would do well.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_lab.events import EventLogError
from recsys_lab.interactions import Sessions

NS = 10**9


def length_shares(sessions: Sessions) -> pd.Series:
    """Return the share of sessions of each length.

    Returns
    -------
    Series, shape (longest,)
        Index: clicks, from 1; sums to 1 over the sessions that have any.

    Examples
    --------
    >>> length_shares(Sessions.from_lists([["a"], ["a", "b"], ["b", "c"], ["c", "c"]])).tolist()
    [0.25, 0.75]
    """
    counts = np.bincount(sessions.lengths)[1:]
    return pd.Series(counts / counts.sum(), index=pd.RangeIndex(1, len(counts) + 1, name="clicks"), name="share")


def popularity_curve(sessions: Sessions) -> pd.Series:
    """Return which share of all clicks the most clicked items hold together.

    Returns
    -------
    Series, shape (n_clicked_items,)
        Index: share of the items that were clicked at all, most clicked first; it ends at 1, 1. This is a Lorenz
        curve counted from the top.

    Examples
    --------
    >>> popularity_curve(Sessions.from_lists([["a", "a", "a", "b"]])).to_dict()
    {0.5: 0.75, 1.0: 1.0}
    """
    counts = np.bincount(sessions.items[sessions.items >= 0])
    counts = np.sort(counts[counts > 0])[::-1]
    share = pd.Index(np.arange(1, len(counts) + 1) / len(counts), name="share of items")
    return pd.Series(np.cumsum(counts) / counts.sum(), index=share, name="share of clicks")


def top_share(sessions: Sessions, share: float) -> float:
    """Return the share of clicks that this share of the items holds, at least one item."""
    curve = popularity_curve(sessions).to_numpy()
    return float(curve[max(1, round(share * len(curve))) - 1])


def repeats(sessions: Sessions) -> np.ndarray:
    """Return whether each click is on an item that its session has clicked before, bool, shape (n_clicks,).

    Examples
    --------
    >>> repeats(Sessions.from_lists([["a", "b", "a"], ["a"]])).tolist()
    [False, False, True, False]
    """
    clicks = pd.DataFrame({"session": sessions.session_of_click, "item": sessions.items})
    return (clicks.duplicated() & (clicks["item"] >= 0)).to_numpy()


def gaps(sessions: Sessions) -> np.ndarray:
    """Return the seconds from each click to the next of its session.

    Returns
    -------
    ndarray of float64, shape (n_clicks - n_sessions with clicks,)

    Raises
    ------
    EventLogError
        If the log has an order but no times.
    """
    if not sessions.has_time:
        raise EventLogError("gaps: this log says what came first, not when.\nFix: use a log with a column 'timestamp'.")
    session = sessions.session_of_click
    return (np.diff(sessions.times) / NS)[session[1:] == session[:-1]]


def summary(sessions: Sessions) -> pd.Series:
    """Return the margins as a few numbers; those of the gaps are missing where there are no times.

    Notes
    -----
    Published logs have often lost their sessions of one click. Compare like with like: give
    ``sessions.longer_than(1)``.
    """
    lengths = sessions.lengths[sessions.lengths > 0]
    quantiles = np.quantile(gaps(sessions), [0.25, 0.5, 0.75, 0.9]) if sessions.has_time else [np.nan] * 4
    return pd.Series(
        {
            "sessions": len(lengths),
            "clicks": sessions.n_clicks,
            "items": len(popularity_curve(sessions)),
            "mean length": lengths.mean(),
            "share of length 2": np.mean(lengths == 2),
            "length, 90 %": np.quantile(lengths, 0.9),
            "length, 99 %": np.quantile(lengths, 0.99),
            "clicks on top 1 % of items": top_share(sessions, 0.01),
            "clicks on top 10 % of items": top_share(sessions, 0.1),
            "repeat share": repeats(sessions).mean(),
            "gap, 25 % (s)": quantiles[0],
            "gap, median (s)": quantiles[1],
            "gap, 75 % (s)": quantiles[2],
            "gap, 90 % (s)": quantiles[3],
        },
        dtype=float,
    )
