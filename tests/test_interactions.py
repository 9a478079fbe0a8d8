"""`Sessions` holds what the frame holds: compared with plain pandas on random logs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_lab.events import EventLogError
from recsys_lab.interactions import Sessions, Vocabulary


def random_log(seed: int, n: int = 300, text_ids: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    session = rng.integers(0, 60, n)
    frame = pd.DataFrame(
        {
            "session_id": session + 1000,
            "item_id": rng.integers(0, 25, n) * 7,
            "event": rng.choice(["view", "cart", "purchase"], n),
            "timestamp": pd.to_datetime(rng.integers(0, 500, n), unit="s", utc=True),
            "user_id": pd.array(session % 9, dtype="Int64"),
            "event_id": np.arange(n),
        }
    )
    frame.loc[frame.session_id % 5 == 0, "user_id"] = pd.NA
    if text_ids:
        frame["item_id"] = "b" + frame["item_id"].astype(str)
        frame["user_id"] = "u" + frame["user_id"].astype("string")
    return frame


@pytest.mark.parametrize("text_ids", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_same_clicks_as_pandas(seed, text_ids):
    frame = random_log(seed, text_ids=text_ids)
    sessions = Sessions.from_frame(frame)
    expected = {key: group.sort_values("timestamp", kind="stable") for key, group in frame.groupby("session_id")}
    assert list(sessions.session_ids) == list(frame["session_id"].drop_duplicates())
    for number, session_id in enumerate(sessions.session_ids):
        rows = expected[session_id]
        assert list(sessions.vocabulary.decode(sessions[number])) == list(rows["item_id"])
        clicks = slice(sessions.offsets[number], sessions.offsets[number + 1])
        assert [sessions.event_types[e] for e in sessions.events[clicks]] == list(rows["event"])
        assert list(sessions.times[clicks]) == list(rows["timestamp"].dt.as_unit("ns").astype("int64"))
        user = rows["user_id"].iloc[0]
        known = sessions.users[number]
        assert (known == -1) if pd.isna(user) else (sessions.user_vocabulary.ids[known] == user)
    assert sessions.items.dtype == np.int32 and sessions.offsets.dtype == np.int64


def test_item_indices_follow_the_sorted_ids():
    sessions = Sessions.from_frame(random_log(0))
    assert list(sessions.vocabulary.ids) == sorted(set(random_log(0)["item_id"]))


def test_the_order_of_rows_does_not_matter_when_times_differ():
    frame = random_log(1).drop_duplicates(["session_id", "timestamp"])
    shuffled = frame.sample(frac=1, random_state=0)
    a, b = Sessions.from_frame(frame), Sessions.from_frame(shuffled)
    assert {k: list(v) for k, v in zip(a.session_ids, a, strict=True)} == {
        k: list(v) for k, v in zip(b.session_ids, b, strict=True)
    }


def test_order_breaks_equal_times():
    frame = pd.DataFrame({"session_id": 1, "item_id": [1, 2, 3], "event": "view", "order": [2, 0, 1]})
    frame["timestamp"] = pd.Timestamp("2026-01-01", tz="UTC")
    assert Sessions.from_frame(frame).items.tolist() == [1, 2, 0]


def test_times_in_another_zone_and_unit_are_the_same_moments():
    frame = random_log(2)
    tokyo = frame.assign(timestamp=frame["timestamp"].dt.tz_convert("Asia/Tokyo").dt.as_unit("us"))
    assert (Sessions.from_frame(frame).times == Sessions.from_frame(tokyo).times).all()


def test_a_test_part_is_encoded_with_the_training_vocabulary():
    train = Sessions.from_lists([[10, 20], [20, 30]])
    test = Sessions.from_lists([[30, 99, 10]], train.vocabulary)
    assert test.items.tolist() == [2, -1, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=8), st.data())
def test_take_part_and_where_agree_with_lists(lists, data):
    sessions = Sessions.from_lists(lists, Vocabulary(range(10)))
    which = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=6))
    assert [list(s) for s in sessions.take(which)] == [lists[i] for i in which]
    start = data.draw(st.integers(0, len(lists)))
    stop = data.draw(st.integers(start, len(lists)))
    assert [list(s) for s in sessions.part(start, stop)] == lists[start:stop]
    mask = data.draw(st.lists(st.booleans(), min_size=sessions.n_clicks, max_size=sessions.n_clicks))
    flags = iter(mask)
    kept = [[item for item in session if next(flags)] for session in lists]
    assert [list(s) for s in sessions.where(mask)] == [s for s in kept if s]
    assert sessions.positions.tolist() == [p for s in lists for p in range(len(s))]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=8), st.none() | st.integers(1, 7), st.data())
def test_prefixes_agree_with_lists(lists, n, data):
    sessions = Sessions.from_lists(lists, Vocabulary(range(10)))
    rows = data.draw(st.lists(st.integers(0, sessions.n_clicks - 1), max_size=12)) if sessions.n_clicks else []
    owner, clicks = sessions.prefixes(rows, n)
    assert owner.dtype == clicks.dtype == np.int64
    found = [sessions.items[clicks[owner == number]].tolist() for number in range(len(rows))]
    so_far = [session[: place + 1] for session in lists for place in range(len(session))]
    assert found == [so_far[row] if n is None else so_far[row][-n:] for row in rows]
    assert (np.diff(owner) >= 0).all() and len(owner) == sum(map(len, found))


def test_prefixes_of_clicks_that_are_not_there():
    sessions = Sessions.from_lists([["a", "b"], []])
    for rows in ([2], [-1], [0, 5]):
        with pytest.raises(IndexError, match="there are 2 clicks"):
            sessions.prefixes(rows)
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"at least 1, not {n}"):
            sessions.prefixes([0], n)


def test_round_trip_through_a_frame():
    sessions = Sessions.from_frame(random_log(3))
    again = Sessions.from_frame(sessions.to_frame())
    for name in ("items", "offsets", "times", "events", "session_ids", "users"):
        np.testing.assert_array_equal(getattr(again, name), getattr(sessions, name), err_msg=name)


def test_recode_to_another_catalogue():
    sessions = Sessions.from_lists([["a", "b", "c"]])
    other = sessions.recode(Vocabulary(["c", "x", "a"]))
    assert other.items.tolist() == [2, -1, 0]
    with pytest.raises(ValueError, match="outside the vocabulary"):
        other.to_frame()


def test_only_keeps_the_asked_event_types():
    frame = random_log(4)
    sessions = Sessions.from_frame(frame).only("purchase", "cart")
    assert sessions.n_clicks == frame["event"].isin(["purchase", "cart"]).sum()
    with pytest.raises(ValueError, match="'klick' is not in this log"):
        sessions.only("klick")


def test_starts_and_ends_of_sessions_with_and_without_clicks():
    sessions = Sessions.from_lists([["a", "b"], [], ["c"]])
    assert sessions.starts.tolist() == [0, 0, 2]
    assert sessions.ends.tolist() == [1, 0, 2]
    assert len(sessions.longer_than(0)) == 2


def test_vocabulary_refuses_doubles_and_unknown_indices():
    with pytest.raises(ValueError, match="id 3 is there twice"):
        Vocabulary([3, 1, 3])
    with pytest.raises(IndexError, match="stands for no id"):
        Vocabulary([3, 1]).decode([-1])


def test_broken_logs_do_not_get_in():
    with pytest.raises(EventLogError, match="'event' is missing"):
        Sessions.from_frame(random_log(0).drop(columns="event"))


def test_sessions_out_of_range():
    sessions = Sessions.from_lists([["a"], ["b", "c"]])
    assert sessions[-1].tolist() == [1, 2]
    with pytest.raises(IndexError, match="there are 2"):
        sessions[2]
