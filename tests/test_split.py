"""Splits keep their promise, and the leakage report sees what is broken on purpose."""

import numpy as np
import pandas as pd
import pytest

from recsys_lab import split
from recsys_lab.interactions import Sessions

DAY = 86_400 * 10**9


def timed(seed: int = 0, n: int = 400, users: int = 30) -> Sessions:
    """Sessions of 1 to 6 clicks over 20 days; item d*10 .. d*10+9 exists from day d on."""
    rng = np.random.default_rng(seed)
    rows = []
    for session in range(n):
        start = rng.uniform(0, 20)
        for click in range(rng.integers(1, 7)):
            item = int(rng.integers(0, 10 * (int(start) + 1)))
            rows.append((session, item, start + click * 0.01, session % users))
    frame = pd.DataFrame(rows, columns=["session_id", "item_id", "day", "user_id"])
    frame["timestamp"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(frame.pop("day"), unit="D")
    return Sessions.from_frame(frame.assign(event="view"))


SESSIONS = timed()


@pytest.mark.parametrize("test", [0.25, "5D", pd.Timedelta("5D"), pd.Timestamp("2026-01-16", tz="UTC")])
def test_by_time_trains_on_the_past_only(test):
    train, later, report = split.by_time(SESSIONS, test)
    assert train.times.max() < later.starts.min()
    assert report["clicks"].sum() == SESSIONS.n_clicks
    assert report["sessions"].sum() == len(SESSIONS)
    assert train.vocabulary is later.vocabulary
    assert not set(train.session_ids) & set(later.session_ids)
    assert len(later) == pytest.approx(100, abs=25)


def test_sessions_under_way_belong_to_neither_part():
    moment = pd.Timestamp(int(SESSIONS.times[SESSIONS.offsets[5] + 1]), tz="UTC")
    _, _, report = split.by_time(SESSIONS, moment)
    assert report.set_index("part").loc["neither", "sessions"] >= 1


def test_by_time_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="order but no times"):
        split.by_time(Sessions.from_lists([["a", "b"], ["c"]]))
    with pytest.raises(ValueError, match="between 0 and 1"):
        split.by_time(SESSIONS, 7)
    with pytest.raises(ValueError, match="names no timezone"):
        split.by_time(SESSIONS, pd.Timestamp("2026-01-16"))
    with pytest.raises(ValueError, match="train part would be empty"):
        split.by_time(SESSIONS, "400D")
    with pytest.raises(ValueError, match="test part would be empty"):
        split.by_time(SESSIONS, pd.Timestamp("2027-01-16", tz="UTC"))


def test_by_user_keeps_the_last_session_of_each():
    train, test, _ = split.by_user(SESSIONS)
    assert len(test) == 30 and len(set(test.users)) == 30
    for user in range(30):
        assert train.starts[train.users == user].max() <= test.starts[test.users == user].min()


def test_by_user_leaves_newcomers_and_nobody_in_training():
    frame = pd.DataFrame({"session_id": [1, 2, 3, 4, 5], "item_id": 7, "event": "view", "order": range(5)})
    frame["user_id"] = pd.array([1, 1, 2, None, None], dtype="Int64")
    train, test, _ = split.by_user(Sessions.from_frame(frame))
    assert test.session_ids.tolist() == [2]
    assert sorted(train.session_ids) == [1, 3, 4, 5]
    with pytest.raises(ValueError, match="no users"):
        split.by_user(Sessions.from_lists([["a"]]))


@pytest.mark.parametrize("how", [split.by_session, split.by_click])
def test_random_splits_lose_nothing_and_repeat(how):
    train, test, _ = how(SESSIONS, 0.3, seed=1)
    assert train.n_clicks + test.n_clicks == SESSIONS.n_clicks
    np.testing.assert_array_equal(how(SESSIONS, 0.3, seed=1).test.items, test.items)
    assert not np.array_equal(how(SESSIONS, 0.3, seed=2).test.items, test.items)


def test_the_report_shows_what_each_split_lets_through():
    report = split.leakage_report(SESSIONS, 0.25)
    assert (report["by_time"] == 0).all()
    assert report.loc["test_clicks_before_train_ends", "by_session"] > 0.95
    assert report.loc["train_clicks_after_test_click", "by_session"] == pytest.approx(0.5, abs=0.1)
    assert report.loc["test_sessions_also_in_train", "by_session"] == 0
    assert report.loc["test_sessions_also_in_train", "by_click"] > 0.5
    assert report.loc["next_items_seen_later", "by_click"] > 0


def test_leakage_by_hand():
    frame = pd.DataFrame({"session_id": [1, 1, 2, 2], "item_id": [1, 2, 3, 2], "event": "view"})
    frame["timestamp"] = pd.to_datetime([1, 2, 3, 4], unit="D", utc=True)
    sessions = Sessions.from_frame(frame)
    # training: days 3 and 4; test: days 1 and 2, where item 2 is seen by training two days later
    swapped = split.Split(sessions.take([1]), sessions.take([0]), pd.DataFrame())
    found = split.leakage(swapped)
    assert found["test_clicks_before_train_ends"] == 1
    assert found["train_clicks_after_test_click"] == 1
    assert found["next_items_seen_later"] == 0.5
