"""Each broken table gets an error that names the column, shows the rows and says how to mend it."""

import gzip

import numpy as np
import pandas as pd
import pytest

from recsys_lab.events import EventLogError, read_events, validate_events, validate_impressions


def log(**changes) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "session_id": [1, 1, 2],
            "item_id": [10, 20, 10],
            "event": ["view", "cart", "view"],
            "timestamp": pd.to_datetime(["2026-03-01 09:00", "2026-03-01 09:01", "2026-03-02 08:00"], utc=True),
            "user_id": [5, 5, 6],
            "event_id": ["a", "b", "c"],
            "dwell_s": [3.0, np.nan, 1.5],
        }
    )
    for column, values in changes.items():
        frame[column] = values
    return frame


def test_a_good_log_passes_untouched():
    frame = log()
    before = frame.copy(deep=True)
    assert validate_events(frame) is frame
    pd.testing.assert_frame_equal(frame, before)


NAIVE = pd.to_datetime(["2026-03-01 09:00", "2026-03-01 09:01", "2026-03-02 08:00"])
BROKEN = {
    "missing id": (log(item_id=pd.array([10, None, 30], dtype="Int64")), "'item_id' has missing ids", "dropna"),
    "float id": (log(item_id=[10.0, 20.0, 10.0]), "'item_id' holds ids as floats", "astype('int64')"),
    "float id with NaN": (log(session_id=[1.0, np.nan, 2.0]), "'session_id' has missing ids", "dropna"),
    "float id that lost digits": (log(user_id=[2.0**60, 1, 1]), "'user_id' holds ids as floats, and some", "Int64"),
    "fractional user": (log(user_id=[1.5, 1, 1]), "'user_id' holds ids with a fraction", "measurement"),
    "boolean id": (log(item_id=[True, False, True]), "'item_id' holds booleans", "column names"),
    "unsigned overflow": (
        log(item_id=np.array([1, 2**63 + 5, 3], dtype=np.uint64)),
        "'item_id' has ids that do not fit",
        "astype(str)",
    ),
    "python overflow": (log(item_id=[1, 2**70, 3]), "'item_id' has ids that do not fit", "astype(str)"),
    "mixed ids": (log(item_id=["a", 20, "c"]), "'item_id' mixes types", "astype(str)"),
    "naive time": (log(timestamp=NAIVE), "'timestamp' is naive", "tz_localize"),
    "numeric time": (log(timestamp=[1, 2, 3]), "'timestamp' holds numbers", "unit='s'"),
    "mixed zones": (
        log(timestamp=[NAIVE[0].tz_localize("UTC"), NAIVE[1].tz_localize("Asia/Tokyo"), NAIVE[2]]),
        "'timestamp' has dtype object",
        "utc=True",
    ),
    "missing time": (log(timestamp=pd.to_datetime([NAIVE[0], None, NAIVE[2]], utc=True)), "missing times", "dropna"),
    "unknown event": (log(event=["view", "klick", "view"]), "unknown event types: 'klick'", "event_types="),
    "missing event": (log(event=["view", None, "view"]), "'event' has unknown event types", "rename"),
    "negative dwell": (log(dwell_s=[1.0, -2.0, 0.0]), "'dwell_s' must be finite and at least 0", "source"),
    "infinite price": (log(price=[1.0, np.inf, 0.0]), "'price' must be finite", "source"),
    "text price": (log(price=["1", "2", "x"]), "'price' has dtype", "to_numeric"),
    "used event id": (log(event_id=["a", "b", "a"]), "'event_id' has ids that occur more than once", "drop_duplicates"),
    "order with gaps": (log(order=[0, None, 2]), "'order' has missing values", "number all rows"),
    "fractional order": (log(order=[0.5, 1.0, 2.0]), "'order' has dtype float64", "rank"),
    "no rows": (log().iloc[:0], "no rows", "filter"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_logs_are_refused_with_column_and_fix(name):
    frame, problem, fix = BROKEN[name]
    with pytest.raises(EventLogError) as error:
        validate_events(frame)
    message = str(error.value)
    assert problem in message
    assert fix in message.split("Fix:")[1]


def test_the_offending_rows_are_shown_and_counted():
    with pytest.raises(EventLogError, match=r"First offending rows \(2 in all\)") as error:
        validate_events(log(event=["view", "klick", "klack"]))
    assert "klick" in str(error.value) and "klack" in str(error.value)


@pytest.mark.parametrize("column", ["session_id", "item_id", "event"])
def test_a_missing_column_is_named(column):
    with pytest.raises(EventLogError, match=f"column '{column}' is missing"):
        validate_events(log().drop(columns=column))


def test_time_or_order_is_needed_and_either_is_enough():
    without = log().drop(columns="timestamp")
    with pytest.raises(EventLogError, match="neither column 'timestamp' nor 'order'"):
        validate_events(without)
    validate_events(without.assign(order=[0, 1, 2]))


def test_equal_rows_are_refused_where_no_event_id_tells_them_apart():
    doubled = pd.concat([log(), log().iloc[[1]]])
    with pytest.raises(EventLogError, match="twice, equal in every column"):
        validate_events(doubled.drop(columns="event_id"))


def test_anonymous_visitors_are_allowed():
    validate_events(log(user_id=pd.array([5, None, 6], dtype="Int64")))
    validate_events(log(user_id=[5.0, np.nan, 6.0]))


def test_a_log_may_bring_its_own_words():
    frame = log(event=["zoom", "cart", "zoom"])
    assert validate_events(frame, event_types=("zoom", "cart")) is frame


def test_a_column_that_is_there_twice():
    frame = log()
    with pytest.raises(EventLogError, match="'item_id' is there twice"):
        validate_events(pd.concat([frame, frame[["item_id"]]], axis=1))


def test_something_else_than_a_frame():
    with pytest.raises(EventLogError, match="expected a pandas DataFrame, got list"):
        validate_events([1, 2])


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.parquet"])
def test_files_come_back_as_they_were(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        log().to_parquet(path)
    else:
        log().to_csv(path, index=False)
    back = read_events(path)
    assert (back["timestamp"] == log()["timestamp"]).all()
    assert back["item_id"].tolist() == [10, 20, 10]


def test_files_that_are_no_log(tmp_path):
    def refuses(name: str, content: bytes, match: str):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(EventLogError, match=match):
            read_events(path)

    refuses("empty.csv", b"", "empty.csv is empty")
    refuses("latin.csv", "session_id,item_id\n1,caf\xe9\n".encode("latin-1"), "not UTF-8: byte 0xe9")
    refuses("header.csv", b"session_id,item_id,event,order\n", "no rows")
    refuses("torn.csv", b'session_id,item_id\n1,"abc\n', "not a well-formed csv")
    refuses("torn.csv.gz", gzip.compress(b"session_id,item_id\n" * 1000)[:40], "not a well-formed csv")
    refuses("log.xlsx", b"PK", "cannot tell the format")
    refuses("html.parquet", b"<html>sign in</html>", "not a whole Parquet file")
    log().to_parquet(tmp_path / "whole.parquet")
    refuses("torn.parquet", (tmp_path / "whole.parquet").read_bytes()[:-100], "not a whole Parquet file")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_events(tmp_path / "nowhere.csv")


def test_csv_times_without_offset_are_refused(tmp_path):
    path = tmp_path / "naive.csv"
    path.write_text(
        "session_id,item_id,event,timestamp\n1,2,view,2026-03-01T09:00:00+00:00\n1,3,view,2026-03-01T09:01:00\n"
    )
    with pytest.raises(EventLogError, match="times without a timezone"):
        read_events(path)
    path.write_text("session_id,item_id,event,timestamp\n1,2,view,2026-13-01T09:00:00Z\n")
    with pytest.raises(EventLogError, match="no ISO 8601 time"):
        read_events(path)


def shown(**changes) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "request_id": [1, 1, 2],
            "session_id": [1, 1, 2],
            "item_id": [10, 20, 10],
            "position": [1, 2, 1],
            "propensity": [0.5, 0.1, 1.0],
            "clicked": [True, False, False],
        }
    )
    return frame.assign(**changes)


def test_good_impressions_pass():
    frame = shown()
    assert validate_impressions(frame) is frame
    validate_impressions(shown(clicked=[1, 0, 0]))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"propensity": [0.5, 0.0, 1.0]}, "'propensity' must be a probability"),
        ({"propensity": [0.5, 1.2, 1.0]}, "'propensity' must be a probability"),
        ({"propensity": [0.5, np.nan, 1.0]}, "'propensity' must be finite"),
        ({"position": [0, 1, 1]}, "'position' must be finite and at least 1"),
        ({"position": [1, 1, 1]}, "two items stand at one position"),
        ({"clicked": [True, None, False]}, "'clicked' must be True or False"),
        ({"clicked": [2, 0, 0]}, "'clicked' must be True or False"),
    ],
)
def test_broken_impressions_are_refused(changes, problem):
    with pytest.raises(EventLogError, match=problem):
        validate_impressions(shown(**changes))
