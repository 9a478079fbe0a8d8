"""The event log: one table, one schema, and errors that say what to do.

Every behavioural log in this course is a pandas frame with one row for each thing a visitor did:

=============  ==========================  ===============================================================
column         type                        meaning
=============  ==========================  ===============================================================
session_id     integer or string           one visit; required
item_id        integer or string           what was acted on; required
event          string                      one of `EVENT_TYPES` unless the log has its own words; required
timestamp      datetime64 with a timezone  when it happened; this or `order` is required
order          integer                     position in time where a public log has no clock
user_id        integer or string           who, across sessions; missing for anonymous visitors
event_id       integer or string           unique for each event
dwell_s        number >= 0                 seconds spent on the item
price          number >= 0                 price of one piece
quantity       integer                     number of pieces
=============  ==========================  ===============================================================

What was *shown* is another table, because most of it is never clicked: impressions, with `request_id, session_id,
item_id, position` (1-based), `propensity` (the probability, above 0, with which the shop chose this item for this
position) and `clicked`.

`validate_events` and `validate_impressions` stand at the border. They change no value and drop no row: what they
cannot accept they refuse, naming the column, the first offending rows and the mend.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

EVENT_TYPES = ("view", "cart", "remove", "purchase", "return")
EVENT_COLUMNS = (
    *("session_id", "item_id", "event", "timestamp", "order"),
    *("user_id", "event_id", "dwell_s", "price", "quantity"),
)
IMPRESSION_COLUMNS = ("request_id", "session_id", "item_id", "position", "propensity", "clicked")
INT64_MAX = np.iinfo(np.int64).max


class EventLogError(ValueError):
    """A table breaks the schema: names the column, the first offending rows and the mend."""


def _refuse(problem: str, fix: str, rows: pd.DataFrame | None = None) -> None:
    shown = "" if rows is None else f"\nFirst offending rows ({len(rows)} in all):\n{rows.head(3).to_string()}"
    raise EventLogError(f"{problem}{shown}\nFix: {fix}")


def _refuse_rows(frame: pd.DataFrame, bad, problem: str, fix: str) -> None:
    bad = np.asarray(bad, dtype=bool)
    if bad.any():
        _refuse(problem, fix, frame.loc[bad])


def read_events(path: str | Path, event_types=EVENT_TYPES) -> pd.DataFrame:
    """Read a csv or Parquet file with an event log and validate it.

    Parameters
    ----------
    path : str or Path
        A file that ends in ``.csv``, ``.csv.gz`` or ``.parquet``. Timestamps of a csv are read as ISO 8601 with an
        offset (``2026-03-01T09:30:00+00:00``).
    event_types : sequence of str
        The words that column `event` may hold.

    Returns
    -------
    DataFrame
        The validated log, rows in the file's order.

    Raises
    ------
    EventLogError
        For an empty, truncated or wrongly encoded file, and whatever `validate_events` refuses.
    FileNotFoundError
        If there is no such file.
    """
    return validate_events(read_table(path), event_types)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a csv or Parquet file, with errors that say what is wrong with the file (see `read_events`)."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file.")
    if path.stat().st_size == 0:
        _refuse(f"{path.name} is empty (0 bytes).", "export or download it again.")
    if path.suffix == ".parquet":
        return _read_parquet(path)
    if not path.name.endswith((".csv", ".csv.gz")):
        _refuse(f"{path.name}: cannot tell the format.", "name it .csv, .csv.gz or .parquet.")
    return _read_csv(path)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow

    try:
        return pd.read_parquet(path)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowIOError, OSError) as error:
        _refuse(
            f"{path.name} is not a whole Parquet file ({str(error).splitlines()[0]}).",
            "it was cut off or is something else under this name: copy or download it again.",
        )


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, encoding="utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        _refuse(
            f"{path.name} is not UTF-8: byte 0x{byte:02x} at offset {error.start} of the block being read.",
            f"save it as UTF-8, or read it yourself: pd.read_csv('{path.name}', encoding='latin-1').",
        )
    except pd.errors.EmptyDataError:
        _refuse(f"{path.name} has no columns.", "export it again, with a header line.")
    except (pd.errors.ParserError, EOFError) as error:
        _refuse(
            f"{path.name} is not a well-formed csv ({error}).",
            "look at the line named above: a stray quote or separator, or a file cut off.",
        )
    if "timestamp" in frame and isinstance(frame["timestamp"].iloc[:1].squeeze(), str):
        frame["timestamp"] = _parse_timestamps(frame)
    return frame


def _parse_timestamps(frame: pd.DataFrame) -> pd.Series:
    text = frame["timestamp"].astype(str)
    has_offset = text.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$", regex=True)
    _refuse_rows(
        frame,
        ~has_offset & frame["timestamp"].notna(),
        "column 'timestamp' has times without a timezone (no offset at their end).",
        "read the csv yourself and say which zone it is: "
        "frame.timestamp = pd.to_datetime(frame.timestamp).dt.tz_localize('UTC').",
    )
    parsed = pd.to_datetime(frame["timestamp"], utc=True, errors="coerce", format="ISO8601")
    _refuse_rows(
        frame,
        parsed.isna() & frame["timestamp"].notna(),
        "column 'timestamp' has text that is no ISO 8601 time.",
        "write times as 2026-03-01T09:30:00+00:00.",
    )
    return parsed


def validate_events(frame: pd.DataFrame, event_types=EVENT_TYPES) -> pd.DataFrame:
    """Check an event log against the schema.

    Parameters
    ----------
    frame : DataFrame
        See the table at the head of this module. Further columns are left alone.
    event_types : sequence of str
        The words that column `event` may hold.

    Returns
    -------
    DataFrame
        The same frame (the very object: nothing is copied or changed).

    Raises
    ------
    EventLogError
        Missing column, empty table, NaN id, ids that are floats or do not fit 64 bits, naive, mixed or missing
        timestamps, unknown event type, negative price or dwell time, duplicated rows or event ids.

    Examples
    --------
    >>> validate_events(pd.DataFrame({"session_id": [1], "item_id": [7], "event": ["click"], "order": [0]}))
    Traceback (most recent call last):
    recsys_lab.events.EventLogError: column 'event' has unknown event types: 'click'.
    First offending rows (1 in all):
       session_id  item_id  event  order
    0           1        7  click      0
    Fix: rename them to one of ('view', 'cart', 'remove', 'purchase', 'return'), ...
    """
    _check_columns(frame, ("session_id", "item_id", "event"))
    if "timestamp" not in frame and "order" not in frame:
        _refuse(
            "neither column 'timestamp' nor 'order' is there: nothing says what came first.",
            "add tz-aware times as 'timestamp', or frame['order'] = range(len(frame)) if rows are in time order.",
        )
    for column in ("session_id", "item_id"):
        _check_id(frame, column)
    for column in ("user_id", "event_id"):
        if column in frame:
            _check_id(frame, column, optional=True)
    if "timestamp" in frame:
        _check_timestamp(frame)
    if "order" in frame:
        _check_order(frame)
    _check_event_types(frame, event_types)
    for column in ("dwell_s", "price"):
        _check_number(frame, column, minimum=0)
    _check_number(frame, "quantity")
    _check_duplicates(frame)
    return frame


def validate_impressions(frame: pd.DataFrame, *, propensity_logged: bool = True) -> pd.DataFrame:
    """Check a table of what was shown against the schema.

    Parameters
    ----------
    frame : DataFrame
        Columns `request_id, session_id, item_id, position, propensity, clicked`.
    propensity_logged : bool
        False for a log whose shop did not keep its propensities: the column may be absent.

    Returns
    -------
    DataFrame
        The same frame.

    Raises
    ------
    EventLogError
        Missing column, NaN id, position below 1, propensity outside (0, 1], `clicked` that is not boolean or 0/1,
        two items at one position of one request.
    """
    with_propensity = propensity_logged or "propensity" in frame
    _check_columns(frame, [c for c in IMPRESSION_COLUMNS if c != "propensity" or with_propensity])
    for column in ("request_id", "session_id", "item_id"):
        _check_id(frame, column)
    _check_number(frame, "position", minimum=1)
    if with_propensity:
        _check_number(frame, "propensity", minimum=0, required=True)
        _refuse_rows(
            frame,
            (frame["propensity"] <= 0) | (frame["propensity"] > 1),
            "column 'propensity' must be a probability in (0, 1].",
            "log the probability with which the policy chose the item; 0 means it could not have been shown.",
        )
    _refuse_rows(
        frame,
        ~frame["clicked"].isin([0, 1]),
        "column 'clicked' must be True or False (or 1 and 0).",
        "fill missing values with False only if a missing click truly means that there was none.",
    )
    _refuse_rows(
        frame,
        frame.duplicated(["request_id", "position"], keep=False),
        "two items stand at one position of one request.",
        "make request_id unique for each list that was shown.",
    )
    return frame


def _check_columns(frame: pd.DataFrame, required) -> None:
    if not isinstance(frame, pd.DataFrame):
        _refuse(f"expected a pandas DataFrame, got {type(frame).__name__}.", "wrap it: pd.DataFrame(...).")
    missing = [column for column in required if column not in frame]
    if missing:
        _refuse(
            f"column {missing[0]!r} is missing; the table has {list(frame.columns)}.",
            f"frame = frame.rename(columns={{'<your name>': {missing[0]!r}}}).",
        )
    doubled = [c for c in dict.fromkeys(frame.columns) if (frame.columns == c).sum() > 1]
    if doubled:
        _refuse(f"column {doubled[0]!r} is there twice.", "keep one: frame.loc[:, ~frame.columns.duplicated()].")
    if len(frame) == 0:
        _refuse("the table has no rows.", "check the filter or the file that it comes from.")


def _check_id(frame: pd.DataFrame, column: str, optional: bool = False) -> None:
    ids = frame[column]
    if not optional:
        _refuse_rows(
            frame,
            ids.isna(),
            f"column {column!r} has missing ids.",
            f"find out why they are missing; if they can go: frame = frame.dropna(subset=[{column!r}]).",
        )
    present = ids.dropna()
    if pd.api.types.is_bool_dtype(ids):
        _refuse(f"column {column!r} holds booleans.", "that is no id; check the column names.")
    if pd.api.types.is_float_dtype(ids):
        _check_float_id(frame, column, optional)
    elif pd.api.types.is_unsigned_integer_dtype(ids):
        _refuse_rows(frame, (ids > INT64_MAX).fillna(False), *_overflow(column))
    elif pd.api.types.is_object_dtype(ids):
        kind = pd.api.types.infer_dtype(present, skipna=False)
        if kind == "integer":  # Python's integers have no limit
            _refuse_rows(frame.loc[present.index], (present > INT64_MAX) | (present < -INT64_MAX), *_overflow(column))
        elif kind not in ("string", "empty"):
            text = present.map(lambda x: isinstance(x, str))
            odd = present.index[~text] if text.mean() >= 0.5 else present.index[text]
            _refuse(
                f"column {column!r} mixes types.",
                f"frame[{column!r}] = frame[{column!r}].astype(str).",
                frame.loc[odd] if len(odd) else frame,
            )


def _check_float_id(frame: pd.DataFrame, column: str, optional: bool) -> None:
    ids = frame[column]
    _refuse_rows(
        frame,
        (ids.abs() > 2**53).fillna(False),
        f"column {column!r} holds ids as floats, and some are above 2**53: they have lost digits already.",
        f"read the file again with dtype={{{column!r}: 'Int64'}} or as str.",
    )
    if not optional:  # a missing user turns a whole integer column into floats; that is pandas, not an error
        _refuse(
            f"column {column!r} holds ids as floats.",
            f"frame[{column!r}] = frame[{column!r}].astype('int64').",
        )
    _refuse_rows(
        frame,
        (ids.notna() & (ids % 1 != 0)).fillna(False),
        f"column {column!r} holds ids with a fraction.",
        "check the column names: this looks like a measurement.",
    )


def _overflow(column: str) -> tuple[str, str]:
    return (
        f"column {column!r} has ids that do not fit a signed 64-bit integer.",
        f"use text: frame[{column!r}] = frame[{column!r}].astype(str).",
    )


def _check_timestamp(frame: pd.DataFrame) -> None:
    times = frame["timestamp"]
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        _refuse_rows(
            frame,
            times.isna(),
            "column 'timestamp' has missing times.",
            "give them a time, or drop the rows knowingly: frame.dropna(subset=['timestamp']).",
        )
        return
    if pd.api.types.is_datetime64_any_dtype(times):
        _refuse(
            "column 'timestamp' is naive: its times name no timezone.",
            "say which it is: frame.timestamp = frame.timestamp.dt.tz_localize('UTC').",
        )
    if pd.api.types.is_numeric_dtype(times):
        _refuse(
            "column 'timestamp' holds numbers.",
            "frame.timestamp = pd.to_datetime(frame.timestamp, unit='s', utc=True)   # or unit='ms'",
        )
    _refuse(
        f"column 'timestamp' has dtype {times.dtype}: text, or several timezones (or aware and naive times) mixed.",
        "bring all to one zone: frame.timestamp = pd.to_datetime(frame.timestamp, utc=True). "
        "Naive times among them would be read as UTC: localise those first.",
        frame,
    )


def _check_order(frame: pd.DataFrame) -> None:
    _refuse_rows(
        frame,
        frame["order"].isna(),
        "column 'order' has missing values.",
        "number all rows, or leave the column out and give 'timestamp'.",
    )
    if not pd.api.types.is_integer_dtype(frame["order"]):
        _refuse(
            f"column 'order' has dtype {frame['order'].dtype}, not integer.",
            "frame['order'] = frame['order'].rank(method='first').astype('int64').",
        )


def _check_event_types(frame: pd.DataFrame, event_types) -> None:
    unknown = ~frame["event"].isin(list(event_types))
    if unknown.any():
        words = ", ".join(repr(w) for w in frame.loc[unknown, "event"].drop_duplicates().head(5))
        _refuse_rows(
            frame,
            unknown,
            f"column 'event' has unknown event types: {words}.",
            f"rename them to one of {tuple(event_types)}, or pass your own words as event_types=.",
        )


def _check_number(frame: pd.DataFrame, column: str, minimum: float | None = None, required: bool = False) -> None:
    if column not in frame:
        return
    values = frame[column]
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        _refuse(
            f"column {column!r} has dtype {values.dtype}, not a number.",
            f"frame[{column!r}] = pd.to_numeric(frame[{column!r}]).",
        )
    bad = np.isinf(values.astype("float64")) | (values.isna() if required else False)
    if minimum is not None:
        bad = bad | (values < minimum).fillna(False)
    least = "" if minimum is None else f" and at least {minimum}"
    _refuse_rows(frame, bad, f"column {column!r} must be finite{least}.", "correct these rows at their source.")


def _check_duplicates(frame: pd.DataFrame) -> None:
    fix = "if they are one event sent twice: recsys_lab.cleaning.Cleaning(frame).drop_duplicates().events"
    if "event_id" in frame:
        doubled = frame["event_id"].notna() & frame.duplicated("event_id", keep=False)
        _refuse_rows(frame, doubled, "column 'event_id' has ids that occur more than once.", fix)
    _refuse_rows(frame, frame.duplicated(keep=False), "some rows are there twice, equal in every column.", fix)
