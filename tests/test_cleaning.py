"""Cleaning finds planted defects, takes nothing else, and accounts for every row."""

import numpy as np
import pandas as pd
import pytest

from recsys_lab.cleaning import Cleaning, sessionise, signals
from recsys_lab.events import EventLogError

START = pd.Timestamp("2026-03-01", tz="UTC")


def at(*seconds) -> pd.Series:
    return pd.Series([START + pd.Timedelta(seconds=s) for s in seconds])


def test_double_fires_need_same_session_item_event_and_moment():
    log = pd.DataFrame(
        {
            "session_id": [1, 1, 1, 1, 1, 2, 1],
            "item_id": [7, 7, 7, 8, 7, 7, 7],
            "event": ["view", "view", "cart", "view", "view", "view", "view"],
            "timestamp": at(0, 0.4, 0.5, 0.6, 0.7, 0.3, 9),
            "event_id": range(7),
        }
    )
    cleaned = Cleaning(log).drop_double_fires(within="1s")
    # 0.4 s repeats 0 s; at 0.7 s the previous event is another item, so it is no double fire
    assert cleaned.removed["drop_double_fires"]["event_id"].tolist() == [1]
    assert cleaned.events["event_id"].tolist() == [0, 2, 3, 4, 5, 6]


def test_row_order_does_not_matter_for_double_fires():
    log = pd.DataFrame(
        {"session_id": 1, "item_id": 7, "event": "view", "timestamp": at(5, 0.5, 0), "event_id": [0, 1, 2]}
    )
    log.index = [30, 10, 20]
    cleaned = Cleaning(log).drop_double_fires()
    assert cleaned.removed["drop_double_fires"].index.tolist() == [10]


def test_bots_are_fast_and_long_and_people_are_not():
    rng = np.random.default_rng(0)
    bot = pd.DataFrame({"session_id": 1, "timestamp": START + pd.to_timedelta(np.arange(80) * 0.8, unit="s")})
    reader = pd.DataFrame(
        {"session_id": 2, "timestamp": START + pd.to_timedelta(np.cumsum(rng.exponential(40, 80)), unit="s")}
    )
    hasty = pd.DataFrame({"session_id": 3, "timestamp": at(0, 1, 2, 3)})
    log = pd.concat([bot, reader, hasty], ignore_index=True).assign(item_id=1, event="view")
    cleaned = Cleaning(log.sample(frac=1, random_state=0)).drop_bots()
    assert set(cleaned.removed["drop_bots"]["session_id"]) == {1}
    assert sorted(cleaned.events["session_id"].unique()) == [2, 3]


def test_the_report_accounts_for_every_row():
    log = pd.DataFrame({"session_id": [1, 1, 1, 2, 3, 3], "item_id": [7, 7, 8, 7, 9, 7], "event": "view"})
    log["timestamp"] = at(0, 0, 5, 0, 0, 4)
    cleaned = Cleaning(log).drop_duplicates().drop_rare_items(2).drop_short_sessions(2)
    assert cleaned.report["rows_removed"].tolist() == [1, 2, 3]
    assert len(cleaned.events) + sum(map(len, cleaned.removed.values())) == len(log)
    assert (cleaned.report["rows_after"] == cleaned.report["rows_before"] - cleaned.report["rows_removed"]).all()
    assert len(log) == 6


def test_duplicated_event_ids_go_but_missing_ones_stay():
    log = pd.DataFrame({"session_id": 1, "item_id": [1, 2, 3, 4], "event": "view", "order": range(4)})
    log["event_id"] = pd.array([1, 1, None, None], dtype="Int64")
    assert Cleaning(log).drop_duplicates().events["item_id"].tolist() == [1, 3, 4]


def test_sessions_end_where_nothing_happens_for_longer_than_the_gap():
    log = pd.DataFrame({"user_id": [1, 2, 1, 1, 2], "timestamp": at(0, 10, 1800, 3601, 20)})
    # user 1: 0 and 1800 s are exactly 30 min apart (same session), 1801 s later a new one
    assert sessionise(log)["session_id"].tolist() == [0, 2, 0, 1, 2]
    assert sessionise(log, gap="20min")["session_id"].tolist() == [0, 3, 1, 2, 3]
    assert "session_id" not in log


@pytest.mark.parametrize("dtype", ["int32", "int64", "Int64", "float64", "str", "category"])
def test_sessionise_takes_users_of_any_type(dtype):
    log = pd.DataFrame({"user_id": [1, 2, 1, 2], "timestamp": at(0, 0, 10, 4000)}).astype({"user_id": dtype})
    assert sessionise(log)["session_id"].tolist() == [0, 1, 0, 2]


def test_sessionise_agrees_with_a_loop():
    rng = np.random.default_rng(1)
    log = pd.DataFrame({"user_id": rng.integers(0, 20, 500), "timestamp": at(*rng.integers(0, 200_000, 500))})
    found = sessionise(log)["session_id"]
    number, last, expected = -1, {}, {}
    for i, row in log.sort_values(["user_id", "timestamp"], kind="stable").iterrows():
        before = last.get(row.user_id)
        if before is None or row.timestamp - before > pd.Timedelta("30min"):
            number += 1
        expected[i], last[row.user_id] = number, row.timestamp
    assert found.to_dict() == expected


def test_sessionise_says_what_it_needs():
    log = pd.DataFrame({"user_id": [1.0, np.nan], "timestamp": at(0, 1)})
    with pytest.raises(EventLogError, match="1 rows have no 'user_id'"):
        sessionise(log)
    with pytest.raises(EventLogError, match="no times"):
        sessionise(log[["user_id"]].dropna())
    with pytest.raises(EventLogError, match="'visitor' is missing"):
        sessionise(log, by="visitor")


def test_signals_by_hand():
    log = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 2, None],
            "item_id": [7, 7, 8, 7, 7],
            "event": ["view", "purchase", "view", "return", "view"],
            "timestamp": at(0, 86_400, 86_400, 86_400, 86_400),
        }
    )
    weights = {"view": 1, "purchase": 5, "return": -3}
    table = signals(log, weights)
    assert table.to_numpy().tolist() == [[1, 7, 6], [1, 8, 1], [2, 7, -3]]
    decayed = signals(log, weights, half_life="1D")
    assert decayed["strength"].tolist() == [5.5, 1.0, -3.0]
    with pytest.raises(EventLogError, match="no weight for event type 'return'"):
        signals(log, {"view": 1, "purchase": 5})
    with pytest.raises(EventLogError, match="no times"):
        signals(log.drop(columns="timestamp"), weights, half_life="1D")
