"""Histories, hidden items and the user-item matrix, on small tables whose answer is seen at a glance."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_lab.histories import histories, hold_out, user_items
from recsys_lab.interactions import Sessions

RATINGS = pd.DataFrame(
    {"user_id": [7, 7, 3, 7, 3, 5], "item_id": [10, 30, 10, 20, 40, 30], "rating": [5, 4, 2, 1, 4, 3]}
)


def test_one_session_a_user_in_the_order_of_the_rows():
    found = histories(RATINGS)
    assert found.session_ids.tolist() == [7, 3, 5]
    assert [found.vocabulary.decode(s).tolist() for s in found] == [[10, 30, 20], [10, 40], [30]]
    assert found.user_vocabulary.decode(found.users).tolist() == [7, 3, 5] and not found.has_time


def test_only_what_was_liked():
    found = histories(RATINGS, at_least=4)
    assert [found.vocabulary.decode(s).tolist() for s in found] == [[10, 30], [40]]


def test_times_and_orders_sort():
    shuffled = RATINGS.assign(order=[2, 1, 0, 0, 5, 9])
    found = histories(shuffled)
    assert [found.vocabulary.decode(s).tolist() for s in found] == [[20, 30, 10], [10, 40], [30]]
    times = pd.to_datetime([30, 20, 5, 10, 1, 2], unit="s", utc=True)
    found = histories(RATINGS.assign(timestamp=times))
    assert found.has_time and [found.vocabulary.decode(s).tolist() for s in found] == [[20, 30, 10], [40, 10], [30]]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (RATINGS.drop(columns="item_id"), {}, "lacks the column 'item_id'"),
        (RATINGS.drop(columns="rating"), {"at_least": 4}, "lacks the column 'rating'"),
        (RATINGS, {"at_least": 9}, "no row is left of 6"),
        (RATINGS.assign(user_id=[None, 1, 2, 3, 4, 5]), {}, "is missing"),
    ],
)
def test_tables_that_will_not_do(table, options, message):
    with pytest.raises(ValueError, match=message):
        histories(table, **options)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=20), st.floats(0.05, 0.95), st.booleans(), st.integers(0, 5))
def test_hold_out_loses_nothing(lengths, share, last, seed):
    rng = np.random.default_rng(seed)
    sessions = Sessions.from_lists([rng.permutation(30)[:n].tolist() for n in [*lengths, 2]])
    train, test, report = hold_out(sessions, share, last=last, seed=seed)
    assert len(train) == len(test) == len(sessions) and report["clicks"].sum() == sessions.n_clicks
    for whole, kept, hidden in zip(sessions, train, test, strict=True):
        assert sorted([*kept, *hidden]) == sorted(whole)
        assert [i for i in whole if i in set(kept)] == kept.tolist()  # the order stays
        if len(whole) > 1:
            assert len(kept) >= 1 and len(hidden) >= 1
            assert len(hidden) in (1, len(whole) - 1) or abs(len(hidden) - share * len(whole)) <= 0.5
        if last:
            assert whole.tolist() == [*kept, *hidden]


def test_hold_out_draws_evenly_and_by_seed():
    sessions = Sessions.from_lists([list(range(10))] * 2000)
    first, again = hold_out(sessions, 0.3, seed=1).test, hold_out(sessions, 0.3, seed=1).test
    np.testing.assert_array_equal(first.items, again.items)
    assert not np.array_equal(first.items, hold_out(sessions, 0.3, seed=2).test.items)
    counts = np.bincount(first.items)
    assert counts.sum() == 6000 and abs(counts - 600).max() < 5 * np.sqrt(600 * 0.7)


def test_nothing_to_hide():
    with pytest.raises(ValueError, match="nobody has two items"):
        hold_out(Sessions.from_lists([[1], [2]]))
    with pytest.raises(ValueError, match="between 0 and 1"):
        hold_out(Sessions.from_lists([[1, 2]]), 1.0)


def test_user_items_has_people_in_its_rows():
    sessions = histories(RATINGS)
    by_session = user_items(sessions).toarray()
    assert by_session.tolist() == [[1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 1, 0]]  # columns 10, 20, 30, 40
    by_user = user_items(sessions, by="user").toarray()
    assert by_user.tolist() == by_session[[1, 2, 0]].tolist()  # users 3, 5, 7
    assert user_items(sessions).dtype == np.float32


def test_user_items_adds_weights_and_leaves_out_the_unknown():
    sessions = Sessions.from_lists([["a", "b", "a"], ["z", "b"]]).recode(Sessions.from_lists([["a", "b"]]).vocabulary)
    assert user_items(sessions, weights=[1, 2, 4, 9, 0.5]).toarray().tolist() == [[5, 2], [0, 0.5]]
    with pytest.raises(ValueError, match="5 clicks need as many weights"):
        user_items(sessions, weights=[1, 2])
    with pytest.raises(ValueError, match="knows no users"):
        user_items(sessions, by="user")
    with pytest.raises(ValueError, match="choose 'session' or 'user'"):
        user_items(sessions, by="item")


def test_anonymous_sessions_are_no_users():
    frame = pd.DataFrame({"session_id": [1, 2, 3], "item_id": [4, 4, 5], "event": "view", "order": [0, 0, 0]})
    frame["user_id"] = pd.array([9, None, 9], dtype="Int64")
    sessions = Sessions.from_frame(frame)
    assert user_items(sessions, by="user").toarray().tolist() == [[1, 1]]
    assert user_items(sessions).toarray().tolist() == [[1, 0], [1, 0], [0, 1]]
