"""From raw events to sessions worth learning from: every step says how many rows it took.

The steps of `Cleaning` remove what no person did on purpose: rows sent twice, double fires, bots. `sessionise` cuts a
visitor's history where it pauses. `signals` turns what is left into one number for each user and item.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recsys_lab.events import EventLogError


class Cleaning:
    """A chain of cleaning steps over an event log, with a report.

    Parameters
    ----------
    events : DataFrame
        An event log (`recsys_lab.events`). It is not changed.

    Attributes
    ----------
    events : DataFrame
        The log after the steps so far; the index keeps the row labels of the log that went in.
    removed : dict of str to DataFrame
        The rows that each step took.

    Examples
    --------
    >>> log = pd.DataFrame({"session_id": 1, "item_id": [7, 7, 8], "event": "view", "order": [0, 0, 1]})
    >>> Cleaning(log).drop_duplicates().report[["step", "rows_before", "rows_removed", "rows_after"]]
                  step  rows_before  rows_removed  rows_after
    0  drop_duplicates            3             1           2
    """

    def __init__(self, events: pd.DataFrame):
        self.events = events
        self.removed: dict[str, pd.DataFrame] = {}
        self._steps: list[tuple] = []

    @property
    def report(self) -> pd.DataFrame:
        """One row a step: `step, rows_before, rows_removed, rows_after, why`."""
        columns = ["step", "rows_before", "rows_removed", "rows_after", "why"]
        return pd.DataFrame(self._steps, columns=columns)

    def drop_duplicates(self) -> Cleaning:
        """Drop rows equal in every column, and rows whose event_id was used before; the first one stays."""
        again = self.events.duplicated()
        if "event_id" in self.events:
            again |= self.events["event_id"].notna() & self.events.duplicated("event_id")
        return self._drop("drop_duplicates", again, "equal in every column or with a used event_id")

    def drop_double_fires(self, within: str | pd.Timedelta = "1s") -> Cleaning:
        """Drop an event that repeats the session's previous one (same item, same type) at most `within` later.

        A nervous finger, or a script bound twice, sends the same event with another id. The first one stays.
        """
        events = self.events.reset_index(drop=True)
        rows = _in_time_order(events, "session_id", "drop_double_fires")
        ordered = events.loc[rows]
        same = pd.Series(True, index=rows)
        for column in ("session_id", "item_id", "event"):
            same &= (ordered[column] == ordered[column].shift()).to_numpy(dtype=bool, na_value=False)
        same &= (ordered["timestamp"].diff() <= pd.Timedelta(within)).to_numpy()
        why = f"same session, item and event within {pd.Timedelta(within).total_seconds():g} s"
        return self._drop("drop_double_fires", same.reindex(events.index).to_numpy(), why)

    def drop_bots(self, min_events: int = 50, max_median_gap: str | pd.Timedelta = "2s") -> Cleaning:
        """Drop sessions with at least `min_events` events whose median gap is at most `max_median_gap`.

        Nobody reads fifty pages at two seconds each. Length alone is no proof: some people do look at many books.
        """
        rows = _in_time_order(self.events.reset_index(drop=True), "session_id", "drop_bots")
        ordered = self.events.iloc[rows]
        gaps = ordered.groupby("session_id", sort=False)["timestamp"].diff()
        by_session = gaps.dt.total_seconds().groupby(ordered["session_id"], sort=False).agg(["size", "median"])
        limit = pd.Timedelta(max_median_gap).total_seconds()
        bots = by_session.index[(by_session["size"] >= min_events) & (by_session["median"] <= limit)]
        why = f"{len(bots)} sessions of at least {min_events} events with a median gap of at most {limit:g} s"
        return self._drop("drop_bots", self.events["session_id"].isin(bots), why)

    def drop_short_sessions(self, min_events: int = 2) -> Cleaning:
        """Drop sessions with fewer than `min_events` events: with one click there is nothing to predict from."""
        size = self.events.groupby("session_id")["item_id"].transform("size")
        return self._drop("drop_short_sessions", size < min_events, f"sessions of fewer than {min_events} events")

    def drop_rare_items(self, min_events: int = 5) -> Cleaning:
        """Drop events on items with fewer than `min_events` events. Look at what you lose: the long tail."""
        size = self.events.groupby("item_id")["item_id"].transform("size")
        return self._drop("drop_rare_items", size < min_events, f"items with fewer than {min_events} events")

    def _drop(self, step: str, bad, why: str) -> Cleaning:
        bad = np.asarray(bad, dtype=bool)
        before = len(self.events)
        self.removed[step] = self.events[bad]
        self.events = self.events[~bad]
        self._steps.append((step, before, int(bad.sum()), len(self.events), why))
        return self


def sessionise(events: pd.DataFrame, gap: str | pd.Timedelta = "30min", by: str = "user_id") -> pd.DataFrame:
    """Cut each user's history into sessions where nothing happens for longer than `gap`.

    Parameters
    ----------
    events : DataFrame
        Columns `by` and `timestamp`; any order of rows.
    gap : str or Timedelta
        A pause longer than this starts a new session. Thirty minutes is the web's old habit, not a law: plot the
        gaps of your log first.
    by : str
        Whose history is cut.

    Returns
    -------
    DataFrame
        A copy in the same row order with an int64 column `session_id`, numbered from 0 by user and time.

    Raises
    ------
    EventLogError
        If a column is missing, a user is missing, or the log has no times.
    """
    if by not in events:
        raise EventLogError(
            f"sessionise: column {by!r} is missing.\nFix: name the column that tells visitors apart, by=..."
        )
    if events[by].isna().any():
        raise EventLogError(
            f"sessionise: {int(events[by].isna().sum())} rows have no {by!r}: whose session would they be?"
            f"\nFix: keep their own session ids, or leave them out knowingly: events.dropna(subset=[{by!r}])."
        )
    rows = _in_time_order(events.reset_index(drop=True), by, "sessionise")
    ordered = events.iloc[rows]
    starts = (ordered[by] != ordered[by].shift()).to_numpy(dtype=bool, na_value=True)
    starts = starts | (ordered["timestamp"].diff() > pd.Timedelta(gap)).to_numpy()
    session_id = np.empty(len(events), np.int64)
    session_id[rows] = np.cumsum(starts) - 1
    return events.assign(session_id=session_id)


def signals(
    events: pd.DataFrame,
    weights: Mapping[str, float],
    by: str = "user_id",
    half_life: str | pd.Timedelta | None = None,
) -> pd.DataFrame:
    """Sum weighted events to one strength for each user and item.

    Parameters
    ----------
    events : DataFrame
        An event log.
    weights : mapping of str to float
        What one event of each type is worth; negative for a return. A type that the log has and the mapping lacks is
        an error, because a forgotten signal is a silent zero.
    by : str
        `user_id` or `session_id`. Rows without one are left out.
    half_life : str or Timedelta, optional
        An event this long before the log's last one counts half (exponential decay).

    Returns
    -------
    DataFrame
        Columns `by, item_id, strength`, sorted by the first two.

    Raises
    ------
    EventLogError
        If a weight is missing, or `half_life` is asked of a log without times.
    """
    missing = set(events["event"].unique()) - set(weights)
    if missing:
        raise EventLogError(
            f"signals: no weight for event type {sorted(missing)[0]!r}.\nFix: add it to weights; 0 leaves it out."
        )
    strength = events["event"].map(weights).astype("float64")
    if half_life is not None:
        _need_timestamp(events, "signals(half_life=...)")
        age = events["timestamp"].max() - events["timestamp"]
        strength = strength * 0.5 ** (age / pd.Timedelta(half_life))
    table = events[[by, "item_id"]].assign(strength=strength)
    return table.groupby([by, "item_id"], as_index=False, observed=True)["strength"].sum()


def _need_timestamp(events: pd.DataFrame, what: str) -> None:
    if "timestamp" not in events:
        raise EventLogError(
            f"{what}: this log has no times (column 'timestamp').\nFix: use a log with a clock; "
            "an order alone says what came first, not how long it took."
        )


def _in_time_order(events: pd.DataFrame, by: str, what: str) -> np.ndarray:
    """Row positions sorted by `by`, then time (and order, where there is one), stably."""
    _need_timestamp(events, what)
    keys = [by, "timestamp"] + (["order"] if "order" in events else [])
    return events[keys].sort_values(keys, kind="stable").index.to_numpy()
