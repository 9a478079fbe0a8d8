"""What a field of an event may hold, and the event log that a session memory hands out.

Everything that comes from outside passes here once, before anything is stored: ids are short and plain, numbers are
whole and fit 64 bits, and a numpy number becomes Python's own (a database would keep the other one as bytes).
"""

from __future__ import annotations

import operator
import re
import uuid
from collections.abc import Iterable, Sequence

import pandas as pd

from recsys_lab.events import EVENT_TYPES, INT64_MAX

LOG_COLUMNS = ("session_id", "item_id", "event", "timestamp", "order", "user_id", "event_id", "late")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


def clean_fields(event, item_type: type | None = None) -> dict:
    """Return the fields of an event as plain Python values, with an id of its own if it has none.

    Parameters
    ----------
    event : Event
    item_type : type, optional
        ``int`` or ``str``: the only kind of item id to accept.

    Raises
    ------
    ValueError
        If a field cannot be stored; starts with the field's name.
    """
    item = check_key(event.item_id, "item_id")
    if item_type is not None and type(item) is not item_type:
        raise ValueError(f"item_id: {shown(item)} is no {item_type.__name__}; this shop's ids are.")
    if not isinstance(event.event, str) or event.event not in EVENT_TYPES:
        raise ValueError(f"event: {shown(event.event)} is none of {EVENT_TYPES}.")
    timestamp = _integer(event.timestamp, "timestamp")
    if timestamp < 0:
        raise ValueError(f"timestamp: {timestamp} lies before 1970. Give nanoseconds since 1970 (UTC).")
    return {
        "session_id": check_id(event.session_id),
        "item_id": item,
        "event": str(event.event),
        "timestamp": timestamp,
        "event_id": uuid.uuid4().hex if event.event_id == "" else check_id(event.event_id, "event_id"),
        "user_id": None if event.user_id is None else check_key(event.user_id, "user_id"),
    }


def check_id(value, field: str = "session_id") -> str:
    """Return a session or event id if it is well formed; raises ValueError naming the field."""
    if not isinstance(value, str):
        raise ValueError(f"{field}: {shown(value)} is no text. Give 1 to 64 characters out of A-Z a-z 0-9 _ . : -")
    if not _ID.fullmatch(value):
        raise ValueError(f"{field}: {shown(value)} has to be 1 to 64 characters out of A-Z a-z 0-9 _ . : -")
    return str(value)


def check_key(value, field: str) -> int | str:
    """Return an item or user id as int or str if it can be stored; raises ValueError naming the field."""
    if isinstance(value, str):
        if not 1 <= len(value) <= 64 or not value.isprintable():
            raise ValueError(f"{field}: {shown(value)} has to be 1 to 64 printable characters, or a whole number.")
        return str(value)
    return _integer(value, field)


def _integer(value, field: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # accepts numpy's integers, refuses floats
    except TypeError:
        raise ValueError(f"{field}: {shown(value)} is no whole number.") from None
    if not -INT64_MAX - 1 <= number <= INT64_MAX:
        raise ValueError(f"{field}: {str(number)[:24]}... does not fit 64 bits.")
    return number


def shown(value) -> str:
    """A short printable form of a value from outside, for messages."""
    text = ascii(value)
    return text if len(text) <= 48 else f"{text[:45]}..."


def item_order(item) -> tuple:
    """Sort key of ids: numbers first, then text."""
    return (isinstance(item, str), item)


def log_frame(rows: Iterable[tuple]) -> pd.DataFrame:
    """Make the event log from rows in the order of `LOG_COLUMNS`, timestamps in nanoseconds."""
    columns = list(zip(*rows, strict=True)) or [()] * len(LOG_COLUMNS)
    values = dict(zip(LOG_COLUMNS, columns, strict=True))
    frame = pd.DataFrame({name: pd.Series(values[name], dtype=object) for name in ("session_id", "event", "event_id")})
    frame["timestamp"] = pd.to_datetime(pd.Series(values["timestamp"], dtype="int64"), unit="ns", utc=True)
    frame["order"] = pd.Series(values["order"], dtype="int64")
    frame["item_id"], frame["user_id"] = _key_column(values["item_id"]), _key_column(values["user_id"])
    frame["late"] = pd.Series(values["late"], dtype=bool)
    return frame[list(LOG_COLUMNS)]


def _key_column(ids: Sequence) -> pd.Series:
    """Ids as int64, Int64 (some missing) or text; a mixture becomes text."""
    kinds = set(map(type, ids))
    if kinds == {int}:
        return pd.Series(ids, dtype="int64")
    if kinds == {int, type(None)}:
        return pd.Series(pd.array(ids, dtype="Int64"))
    if int in kinds:
        ids = [None if i is None else str(i) for i in ids]
    return pd.Series(ids, dtype=object)
