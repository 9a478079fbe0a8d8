"""Lab 01, "Interaction signals": sessions, double fires, bots, what an event is worth, repeats, the long tail."""

from __future__ import annotations

import functools
import itertools
from collections import Counter

import numpy as np
import pandas as pd

from recsys_lab import bookshop
from recsys_lab.checks.exercise import Lab
from recsys_lab.checks.kinds import Ids, Number, Numbers, Partition, Rows
from recsys_lab.cleaning import Cleaning

lab = Lab("01", "Interaction signals")
answers, progress, __getattr__ = lab.answers, lab.progress, lab.attribute


_NINE = pd.Timestamp("2026-03-02 09:00", tz="UTC")


def _log(columns: str, *rows, unit: str = "s") -> pd.DataFrame:
    """An event log; `timestamp` is given as time since nine o'clock. Row labels are not 0, 1, 2 on purpose."""
    frame = pd.DataFrame(rows, columns=columns.split())
    frame["timestamp"] = _NINE + pd.to_timedelta((frame["timestamp"] * 1000).round() / 1000, unit=unit)
    frame.insert(0, "event_id", np.arange(1, len(frame) + 1))
    return frame.set_index(np.arange(len(frame)) * 10 + 5)


def _shuffled(rng, rows: list) -> list:
    return [rows[i] for i in rng.permutation(len(rows))]


# 1.1 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "1.1",
    "From events to sessions",
    minutes=10,
    difficulty="medium",
    kind=Partition("session_id"),
    hints=(
        "In time order, user by user, a session starts where a new user begins or after a long pause.",
        "Sort by user_id and timestamp. Then groupby('user_id')['timestamp'].diff() gives each user's pauses; a user's "
        "first row has none (NaT, which .isna() finds).",
        "Compare pauses with pd.Timedelta(minutes=minutes). True where a session starts, the mask becomes numbers by "
        ".cumsum().",
        "The numbers are in sorted order now. A Series keeps its row labels: .reindex(events.index) puts them back.",
    ),
    explanation="One sort, one mask, one running sum: no loop over users is needed. Thirty minutes is a habit "
    "of the web and not a law; look at the pauses of your own log first. recsys_lab.cleaning.sessionise is the same "
    "with clear errors.",
)
def sessionise(events, minutes):
    """Number the sessions: a pause of more than `minutes` minutes between a user's events starts a new one.

    Parameters
    ----------
    events : DataFrame
        Columns `event_id`, `user_id`, `timestamp`; rows in any order.
    minutes : float

    Returns
    -------
    Series
        A session number for each row of `events`. Which numbers they are does not matter, only that two rows have the
        same one if and only if they belong to the same session.
    """
    ordered = events.sort_values(["user_id", "timestamp"])
    pauses = ordered.groupby("user_id")["timestamp"].diff()
    starts = pauses.isna() | (pauses > pd.Timedelta(minutes=minutes))  # a user's first event has no pause before it
    return starts.cumsum().reindex(events.index)


def _visits(*rows) -> pd.DataFrame:
    return _log("user_id timestamp", *rows, unit="min")


sessionise.case(
    *(_visits((1, 0), (1, 10), (1, 60)), 30),
    expect=[0, 0, 1],
    because="10 minutes, then a pause of 50: rows 1 and 2 are one session, row 3 is another",
)
sessionise.case(
    *(_visits((1, 0), (1, 30), (1, 61)), 30),
    expect=[0, 0, 1],
    because="a pause of exactly 30 minutes is not longer than 30; one of 31 is",
)
sessionise.case(
    *(_visits((1, 0), (2, 5)), 30),
    expect=[0, 1],
    because="two users never share a session, however close their clicks are",
)
sessionise.case(
    *(_visits((1, 0), (1, 20), (1, 40)), 30),
    expect=[0, 0, 0],
    because="each pause is 20 minutes, so it is one session, although it lasts for 40",
)
sessionise.case(
    *(_visits((1, 60), (1, 0), (1, 65)), 30),
    expect=[0, 1, 0],
    because="in time order the clicks are at 0, 60 and 65: rows 1 and 3 belong together",
)
sessionise.case(
    *(_visits((1, 0), (1, 24 * 60 + 5)), 30),
    expect=[0, 1],
    because="the pause is a day and 5 minutes",
)


sessionise.case(
    *(_visits((1, 0), (2, 5), (2, 10)).astype({"user_id": "Int64"}), 30),
    expect=[0, 1, 1],
    because="user 1 has one session and user 2 another. (This log's user ids may be missing, so pandas keeps them as "
    "Int64, as the shop's log does)",
)


@sessionise.random_cases
def _histories(rng):
    pauses = np.array([0.5, 5, 20, 30, 31, 45, 300, 1450])
    cases = []
    for _ in range(8):
        rows = [(u, t) for u in (3, 1, 2) for t in np.cumsum(rng.choice(pauses, 5)).tolist()]
        cases.append((_visits(*_shuffled(rng, rows)), 30))
    return cases


@sessionise.mistake(
    "A pause of exactly the limit starts a new session in your answer; only a longer one should (> , not >=)."
)
def _or_equal(events, minutes):
    ordered = events.sort_values(["user_id", "timestamp"])
    pause = ordered.groupby("user_id")["timestamp"].diff()
    return (pause.isna() | (pause >= pd.Timedelta(minutes=minutes))).cumsum().reindex(events.index)


@sessionise.mistake(
    "A new user must start a new session, and does not in your answer. (A user's first pause is missing, NaT, and "
    "comparing with that is False.)"
)
def _over_the_border(events, minutes):
    ordered = events.sort_values(["user_id", "timestamp"])
    return (ordered["timestamp"].diff() > pd.Timedelta(minutes=minutes)).cumsum().reindex(events.index)


@sessionise.mistake(
    "You cut the whole log as if it were one visitor: users who are there at the same time get mixed up."
)
def _one_visitor(events, minutes):
    ordered = events.sort_values("timestamp")
    return (ordered["timestamp"].diff() > pd.Timedelta(minutes=minutes)).cumsum().reindex(events.index)


@sessionise.mistake(
    "The rows come in any order, and you take them as they come: sort by time before you measure pauses."
)
def _as_they_come(events, minutes):
    ordered = events.sort_values("user_id", kind="stable")
    pause = ordered.groupby("user_id")["timestamp"].diff()
    return (pause.isna() | (pause > pd.Timedelta(minutes=minutes))).cumsum().reindex(events.index)


@sessionise.mistake("Wrong unit: you compare seconds with minutes, so every longer moment starts a session.")
def _seconds(events, minutes):
    ordered = events.sort_values(["user_id", "timestamp"])
    pause = ordered.groupby("user_id")["timestamp"].diff()
    return (pause.isna() | (pause.dt.total_seconds() > minutes)).cumsum().reindex(events.index)


@sessionise.mistake(".dt.seconds leaves out whole days: a pause of a day and 5 minutes looks like one of 5 minutes.")
def _without_days(events, minutes):
    ordered = events.sort_values(["user_id", "timestamp"])
    pause = ordered.groupby("user_id")["timestamp"].diff()
    return (pause.isna() | (pause.dt.seconds > minutes * 60)).cumsum().reindex(events.index)


@sessionise.mistake(
    "The very first row has no number: comparing user ids of type Int64 with .shift() gives <NA> there. "
    "groupby('user_id')['timestamp'].diff().isna() finds each user's first row without that."
)
def _first_row_missing(events, minutes):
    ordered = events.sort_values(["user_id", "timestamp"])
    new_user = ordered["user_id"] != ordered["user_id"].shift()
    return (new_user | (ordered["timestamp"].diff() > pd.Timedelta(minutes=minutes))).cumsum().reindex(events.index)


@sessionise.mistake("Your numbers begin anew with every user, so that two users' first sessions have the same number.")
def _anew_each_user(events, minutes):
    ordered = events.sort_values(["user_id", "timestamp"])
    long_pause = ordered.groupby("user_id")["timestamp"].diff() > pd.Timedelta(minutes=minutes)
    return long_pause.groupby(ordered["user_id"]).cumsum().reindex(events.index)


@sessionise.mistake("Your numbers are in sorted order, not in the order of the rows that came in.")
def _in_sorted_order(events, minutes):
    return sessionise.reference(events, minutes).sort_values().to_numpy()


@sessionise.mistake(
    "You measure from the session's first event; a session goes on as long as each single pause is short."
)
def _from_the_start(events, minutes):
    number, start, numbers = 0, {}, {}
    for row in events.sort_values(["user_id", "timestamp"]).itertuples():
        if row.user_id not in start or row.timestamp - start[row.user_id] > pd.Timedelta(minutes=minutes):
            number, start[row.user_id] = number + 1, row.timestamp
        numbers[row.Index] = number
    return pd.Series(numbers)


@sessionise.mistake("You return where sessions start (True or False), not their numbers yet.")
def _starts(events, minutes):
    numbers = sessionise.reference(events, minutes).sort_values(kind="stable")
    ordered = events.assign(n=numbers).sort_values(["n", "timestamp"])
    return (ordered["n"] != ordered["n"].shift()).reindex(events.index)


# 1.2 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "1.2",
    "Double fires",
    minutes=10,
    difficulty="medium",
    kind=Rows("event_id"),
    hints=(
        "In time order within a session, compare every event with the one before it.",
        "After sorting by session_id and timestamp, .shift() gives the row before. Are session, item, event alike?",
        "And is the time since then at most pd.Timedelta('1s')? All four together make a double fire.",
        "Keep the rows where that is not so: events[~double.reindex(events.index)].",
    ),
    explanation="In a burst of three, the second and the third go, since each repeats the event before it. Somebody "
    "who comes back to a book after a minute does so on purpose: that is a signal, and plain drop_duplicates would "
    "delete it. recsys_lab.cleaning.Cleaning.drop_double_fires reports how many rows it took.",
)
def drop_double_fires(events):
    """Drop events that repeat the session's previous one (same item, same event) at most 1 second later.

    Parameters
    ----------
    events : DataFrame
        Columns `event_id`, `session_id`, `item_id`, `event`, `timestamp`; rows in any order.

    Returns
    -------
    DataFrame
        The rows that stay, unchanged. Of a double fire, the first event stays.
    """
    ordered = events.sort_values(["session_id", "timestamp"])
    before = ordered.shift()
    double = ordered["timestamp"] - before["timestamp"] <= pd.Timedelta("1s")
    for column in ("session_id", "item_id", "event"):
        double &= ordered[column] == before[column]
    return events[~double.reindex(events.index)]


def _clicks(*rows) -> pd.DataFrame:
    return _log("session_id item_id event timestamp", *rows)


def _doubles_case(rows: list, stay: list[int], because: str) -> None:
    events = _clicks(*rows)
    drop_double_fires.case(events, expect=events[events["event_id"].isin(stay)], because=because)


_doubles_case(
    [(1, 7, "view", 0), (1, 7, "view", 0.4), (1, 8, "view", 5)],
    stay=[1, 3],
    because="event 2 repeats event 1 after 0.4 seconds, so it goes",
)
_doubles_case(
    [(1, 7, "view", 0), (1, 7, "view", 60)],
    stay=[1, 2],
    because="a minute later is a return on purpose: both stay",
)
_doubles_case(
    [(1, 7, "view", 0), (1, 7, "view", 1), (1, 7, "view", 2.9)],
    stay=[1, 3],
    because="event 2 comes exactly 1 second later, which is still a double fire; event 3 comes 1.9 seconds after that",
)
_doubles_case(
    [(1, 7, "view", 0), (1, 7, "cart", 0.4)],
    stay=[1, 2],
    because="a view and a cart are two different events",
)
_doubles_case(
    [(1, 7, "view", 0), (1, 8, "view", 0.4)],
    stay=[1, 2],
    because="these are two different items",
)
_doubles_case(
    [(1, 7, "view", 0), (2, 7, "view", 0.4)],
    stay=[1, 2],
    because="two sessions looked at item 7 at the same moment",
)
_doubles_case(
    [(1, 7, "view", 0.4), (1, 7, "view", 30), (1, 7, "view", 0)],
    stay=[2, 3],
    because="in time order event 3 comes first, and event 1 repeats it 0.4 seconds later",
)
_doubles_case(
    [(1, 7, "view", 0), (1, 7, "view", 0.8), (1, 7, "view", 1.6)],
    stay=[1],
    because="a burst: event 2 repeats event 1, and event 3 repeats event 2",
)


_doubles_case(
    [(1, 7, "view", 0), (1, 8, "view", 0.3), (1, 7, "view", 0.6)],
    stay=[1, 2, 3],
    because="event 3 repeats event 1 and not event 2, the one directly before it",
)


@drop_double_fires.random_cases
def _nervous_fingers(rng):
    return [(_clicks(*_shuffled(rng, [r for s in (1, 2, 3) for r in _nervous(rng, s)])),) for _ in range(8)]


def _nervous(rng, session: int) -> list:
    """A session in which no event stands between two equal ones within a second: that has a case of its own."""
    rows, time, item, event = [], 0.0, 1, "view"
    for _ in range(7):
        rows.append((session, item, event, time))
        if rng.random() < 0.5:
            time += rng.choice([0.4, 1.0, 1.5, 40.0])
        elif rng.random() < 0.5:
            item, time = 1 + item % 3, time + 40
        else:
            event, time = "cart" if event == "view" else "view", time + 0.5
            rows.append((session, item, event, time))
            time += 40
    return rows


@drop_double_fires.mistake(
    "You drop every repeat, even a minute later: coming back to a book is a signal, not a defect.",
    when=lambda got, events: len(got) == len(events.drop_duplicates(["session_id", "item_id", "event"])),
)
def _all_repeats(events):
    return events.sort_values("timestamp").drop_duplicates(["session_id", "item_id", "event"])


@drop_double_fires.mistake(
    "You compare with the last event of the same item and type, even if others came between; only the one directly "
    "before counts."
)
def _with_others_between(events):
    ordered = events.sort_values(["session_id", "timestamp"])
    pause = ordered.groupby(["session_id", "item_id", "event"])["timestamp"].diff()
    return events[~(pause <= pd.Timedelta("1s")).reindex(events.index)]


@drop_double_fires.mistake("At most 1 second includes exactly 1 second (<=, not <).")
def _less_than(events):
    return _without(events, lambda pause: pause < pd.Timedelta("1s"))


@drop_double_fires.mistake("You do not look at the event type: a cart right after a view is no double fire.")
def _any_event(events):
    return _without(events, columns=("session_id", "item_id"))


@drop_double_fires.mistake("You do not look at the item: two quick clicks on different items are no double fire.")
def _any_item(events):
    return _without(events, columns=("session_id", "event"))


@drop_double_fires.mistake(
    "You do not look at the session: two visitors may well do the same thing at the same moment."
)
def _any_session(events):
    return _without(events, columns=("item_id", "event"), order=["item_id", "event", "timestamp"])


@drop_double_fires.mistake("You keep the last event of a double fire; the first one should stay.")
def _keeps_the_last(events):
    ordered = events.sort_values(["session_id", "timestamp"])
    after = ordered.shift(-1)
    same = (after["timestamp"] - ordered["timestamp"]) <= pd.Timedelta("1s")
    for column in ("session_id", "item_id", "event"):
        same &= ordered[column] == after[column]
    return ordered[~same]


@drop_double_fires.mistake("You return the double fires themselves; the rows that stay are asked for.")
def _only_the_doubles(events):
    return events.drop(drop_double_fires.reference(events).index)


@drop_double_fires.mistake("You drop both events of a double fire; the first of them was meant.")
def _drops_both(events):
    kept = _keeps_the_last(events).index
    return drop_double_fires.reference(events).loc[lambda frame: frame.index.isin(kept)]


@drop_double_fires.mistake("The rows come in any order, and you take them as they come: sort by time first.")
def _unsorted(events):
    return _without(events, order=["session_id"])


@drop_double_fires.mistake(".dt.seconds cuts off the fraction: 1.9 seconds look like 1. Compare whole Timedeltas.")
def _cut_off(events):
    return _without(events, lambda pause: pause.dt.seconds <= 1)


@drop_double_fires.mistake("In a burst you compare with the last event that stayed; compare with the one just before.")
def _with_the_last_kept(events):
    last, stay = {}, []
    for row in events.sort_values("timestamp").itertuples():
        key = (row.session_id, row.item_id, row.event)
        if key not in last or row.timestamp - last[key] > pd.Timedelta("1s"):
            last[key] = row.timestamp
            stay.append(row.Index)
    return events.loc[stay]


def _without(events, soon=None, columns=("session_id", "item_id", "event"), order=("session_id", "timestamp")):
    """The reference with one thing other."""
    ordered = events.sort_values(list(order), kind="stable")
    before = ordered.shift()
    pause = ordered["timestamp"] - before["timestamp"]
    double = soon(pause) if soon else pause <= pd.Timedelta("1s")
    for column in columns:
        double &= ordered[column] == before[column]
    return events[~double.reindex(events.index)]


# 1.3 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "1.3",
    "Find the bots",
    minutes=8,
    difficulty="medium",
    kind=Ids("session id"),
    hints=(
        "Two facts about each session are needed: how many events it has, and the median of its pauses.",
        "After sorting by time, events.groupby('session_id')['timestamp'].diff() gives pauses that cross no border.",
        "Pauses as numbers: .dt.total_seconds(). Group them by session again: .agg(['size', 'median']).",
        "Take the index where size >= min_events and median <= max_gap.",
    ),
    explanation="The median asks what a session is usually like: one long break does not hide a bot, as it would in a "
    "mean. Length alone is no proof, since some people do look at many books, and neither is speed alone: a double "
    "fire is fast, too.",
)
def find_bots(events, min_events, max_gap):
    """Ids of the sessions with at least `min_events` events whose median pause is at most `max_gap` seconds.

    Parameters
    ----------
    events : DataFrame
        Columns `event_id`, `session_id`, `timestamp`; rows in any order.
    min_events : int
        At least 2.
    max_gap : float
        In seconds.

    Returns
    -------
    list or set
        Session ids, each one once.
    """
    ordered = events.sort_values("timestamp")
    pauses = ordered.groupby("session_id")["timestamp"].diff().dt.total_seconds()
    facts = pauses.groupby(ordered["session_id"]).agg(["size", "median"])
    return facts.index[(facts["size"] >= min_events) & (facts["median"] <= max_gap)].tolist()


def _beats(**sessions) -> pd.DataFrame:
    """An event log from the seconds of each session's events: ``_beats(s1=[0, 1, 2])``."""
    return _log("session_id timestamp", *((int(name[1:]), t) for name, times in sessions.items() for t in times))


find_bots.case(
    *(_beats(s1=[0, 1, 2, 3], s2=[0, 20, 70, 90]), 4, 2),
    expect=[1],
    because="both sessions have 4 events; session 1 pauses for 1 second, session 2 for 20",
)
find_bots.case(
    *(_beats(s1=[0, 1, 2], s2=[0, 1, 2, 3]), 4, 2),
    expect=[2],
    because="both are fast, but session 1 has only 3 events",
)
find_bots.case(
    *(_beats(s1=[0, 1, 2, 900]), 4, 2),
    expect=[1],
    because="the pauses are 1, 1 and 898 seconds: their median is 1, although their mean is 300",
)
find_bots.case(
    *(_beats(s1=[0, 2, 4, 6]), 4, 2),
    expect=[1],
    because="4 events are at least 4, and a median of exactly 2 seconds is at most 2",
)
find_bots.case(
    *(_beats(s1=[6, 0, 4, 2], s2=[100, 0, 300, 200]), 4, 2),
    expect=[1],
    because="in time order session 1 pauses for 2 seconds each, session 2 for 100",
)
find_bots.case(
    *(_beats(s1=[0, 2.6, 5.2, 7.8], s2=[0, 1, 2, 3]), 4, 2),
    expect=[2],
    because="the median pause of session 1 is 2.6 seconds, which is more than 2",
)
find_bots.case(_beats(s1=[0, 50, 90, 200]), 4, 2, expect=[], because="nobody is that fast: an empty list")


@find_bots.random_cases
def _some_bots(rng):
    cases = []
    for _ in range(8):
        rows = []
        for session in range(1, 8):
            pauses = rng.choice([[1, 1, 2, 400], [2, 2, 3, 60], [1, 3, 1, 1]][session % 3], rng.integers(2, 7))
            rows += [(session, float(t)) for t in np.cumsum(pauses) + 3 * session]
        cases.append((_log("session_id timestamp", *_shuffled(rng, rows)), 4, 2))
    return cases


def _facts(events, summary="median", order=("timestamp",)) -> pd.DataFrame:
    ordered = events.sort_values(list(order), kind="stable") if order else events
    pauses = ordered.groupby("session_id")["timestamp"].diff().dt.total_seconds()
    by_session = pauses.groupby(ordered["session_id"])
    return pd.DataFrame({"n": by_session.size(), "gap": by_session.agg(summary)})


@find_bots.mistake("You ask for more than min_events events (or count pauses, of which there is one less): >= will do.")
def _more_than(events, min_events, max_gap):
    return set(_facts(events).query("n > @min_events and gap <= @max_gap").index)


@find_bots.mistake(".dt.seconds cuts off fractions, so 2.6 seconds become 2; .dt.total_seconds() keeps them.")
def _whole_seconds(events, min_events, max_gap):
    ordered = events.sort_values("timestamp")
    pauses = ordered.groupby("session_id")["timestamp"].diff().dt.seconds
    facts = pauses.groupby(ordered["session_id"]).agg(["size", "median"])
    return set(facts.index[(facts["size"] >= min_events) & (facts["median"] <= max_gap)])


@find_bots.mistake("You ask for a median below max_gap; exactly as much will do (<=).")
def _below(events, min_events, max_gap):
    return set(_facts(events).query("n >= @min_events and gap < @max_gap").index)


@find_bots.mistake("You take the mean of the pauses: one long break hides a bot. The median is asked for.")
def _mean(events, min_events, max_gap):
    return set(_facts(events, "mean").query("n >= @min_events and gap <= @max_gap").index)


@find_bots.mistake("You take the shortest pause: a single quick double click makes somebody a bot.")
def _shortest(events, min_events, max_gap):
    return set(_facts(events, "min").query("n >= @min_events and gap <= @max_gap").index)


@find_bots.mistake("You look at the length only; a long session may be a patient reader.")
def _long_ones(events, min_events, max_gap):
    return set(_facts(events).query("n >= @min_events").index)


@find_bots.mistake("You look at the speed only; a short session may be one double click.")
def _fast_ones(events, min_events, max_gap):
    return set(_facts(events).query("gap <= @max_gap").index)


@find_bots.mistake("The rows come in any order, and you take them as they come: sort by time first.")
def _takes_as_they_come(events, min_events, max_gap):
    return set(_facts(events, order=None).query("n >= @min_events and gap <= @max_gap").index)


@find_bots.mistake("Your pauses run over the border from one session to another: group by session before .diff().")
def _pauses_of_the_log(events, min_events, max_gap):
    ordered = events.sort_values("timestamp")
    pauses = ordered["timestamp"].diff().dt.total_seconds()
    facts = pauses.groupby(ordered["session_id"]).agg(["size", "median"])
    return set(facts.index[(facts["size"] >= min_events) & (facts["median"] <= max_gap)])


@find_bots.mistake("These are the sessions that are no bots.")
def _the_others(events, min_events, max_gap):
    return set(events["session_id"]) - set(find_bots.reference(events, min_events, max_gap))


# 1.4 -----------------------------------------------------------------------------------------------------------------

SIGNALS = ("view", "cart", "remove", "purchase", "return")
LIFT = 0.01  # how much better than plain counting a weighting has to be


@functools.cache
def pairs() -> pd.DataFrame:
    """Return pairs of a known visitor and a book from the cleaned bookshop, and what only a simulation knows.

    Pairs with a single event are left out, since there is nothing to weigh; of the others, those in the middle third
    of the true preference, which are neither clearly liked nor clearly not.

    Returns
    -------
    DataFrame
        `user_id, item_id`, how often each of `SIGNALS` happened, and `liked`: whether the visitor's true preference
        for the book is in the upper third, not the lower.
    """
    events = bookshop.load()["events"]
    events = Cleaning(events).drop_duplicates().drop_double_fires().drop_bots().events
    events = events[events["user_id"].notna()]
    counts = events.groupby(["user_id", "item_id", "event"]).size().unstack(fill_value=0)[list(SIGNALS)]
    table = counts[counts.sum(axis=1) > 1].reset_index().astype({"user_id": "int64"}).rename_axis(columns=None)
    preference = bookshop.truth().preference(table["user_id"], table["item_id"])
    low, high = np.quantile(preference, [1 / 3, 2 / 3])
    return table.assign(liked=preference > high)[(preference > high) | (preference <= low)]


def auc(weights) -> float:
    """Return how well weighted events find what visitors like.

    Parameters
    ----------
    weights : mapping of str to float
        What one event of each of `SIGNALS` is worth.

    Returns
    -------
    float
        Probability that of two `pairs`, one liked and one not, the liked one has the higher strength (the area under
        the ROC curve); an equal strength counts half. Guessing gives 0.5.

    Raises
    ------
    ValueError
        If a weight is missing.
    """
    missing = [name for name in SIGNALS if name not in weights]
    if missing:
        raise ValueError(
            f"a weight is missing for {', '.join(missing)}. All of {', '.join(SIGNALS)} need one; 0 will do."
        )
    counts, liked, other = _counted()
    strength = counts @ np.array([float(weights[name]) for name in SIGNALS])
    order = np.argsort(strength, kind="stable")
    new = np.concatenate([[True], np.diff(strength[order]) > 1e-12])
    level = np.cumsum(new) - 1
    up, down = np.bincount(level, liked[order]), np.bincount(level, other[order])
    below = np.cumsum(down) - down
    return float((up * (below + down / 2)).sum() / (up.sum() * down.sum()))


@functools.cache
def _counted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct rows of counts, and how many liked and other pairs have each: a few hundred instead of thousands."""
    table = pairs().groupby([*SIGNALS, "liked"]).size().unstack(fill_value=0)
    return np.array(table.index.tolist(), dtype=float), table[True].to_numpy(), table[False].to_numpy()


COUNTING = dict.fromkeys(SIGNALS, 1.0)


def _good_enough(weights: dict[str, float]) -> bool:
    return auc(weights) >= auc(COUNTING) + LIFT and max(weights["return"], weights["remove"]) <= 0


def _report(weights: dict[str, float]) -> str:
    return f"AUC {auc(weights):.3f}; plain counting has {auc(COUNTING):.3f}"


weights = lab.value(
    "1.4",
    "What is a view worth?",
    name="weights",
    task="Weights of the five events that find what visitors like better than counting events does.\n\n"
    "Returns\n-------\ndict\n    A number for each of view, cart, remove (out of the cart), purchase and return.",
    reference={"view": 1.0, "cart": 4.0, "remove": -4.0, "purchase": 3.0, "return": -6.0},
    minutes=8,
    difficulty="easy",
    kind=Numbers(SIGNALS, _good_enough, _report),
    hints=(
        "Which of the five cost a visitor something, in money or in effort? They should say more than a look.",
        "Who takes a book out of the cart, or sends it back, liked it less than it seemed. What sign is that?",
        "Only the ratios matter. Start with 1 for a view and several for a cart, and look at check.auc(...) of it.",
        "A book that was bought was also viewed and put into the cart: the purchase's weight comes on top of theirs.",
    ),
    explanation="There is no one right answer. What matters: a cart and a purchase are worth several views, and what "
    "was taken back loses what it had gained. Do not expect wonders of weights: people mostly click on what they like, "
    "so among clicked books little is left to tell apart. In a real shop nobody knows the true preference; there one "
    "asks which weights make the better recommendations. recsys_lab.cleaning.signals turns events into strengths.",
)
weights.case(
    expect=weights.reference,
    because=f"an AUC at least {LIFT} above that of plain counting, and nothing above 0 for remove and return",
)
weights.mistake(
    "Every event counts the same: this is plain counting, which is to be beaten.",
    dict.fromkeys(SIGNALS, 2),
    when=lambda got: len({got[name] for name in SIGNALS}) == 1,
)
weights.mistake(
    "Only purchases count for you: most pairs never got that far, so they all tie at zero.",
    {"view": 0, "cart": 0, "remove": 0, "purchase": 1, "return": -1},
    when=lambda got: got["view"] == got["cart"] == 0,
)
weights.mistake(
    "You hold carts or purchases against the book: their weights are negative.",
    {"view": 1, "cart": -3, "remove": 0, "purchase": -5, "return": 0},
    when=lambda got: min(got["cart"], got["purchase"]) < 0,
)
weights.mistake(
    "A look is worth more to you than putting a book into the cart or buying it, which cost more.",
    {"view": 5, "cart": 3, "remove": 0, "purchase": 1, "return": 0},
    when=lambda got: got["view"] > min(got["cart"], got["purchase"]),
)
weights.mistake(
    "You count it in a book's favour when it is taken out of the cart or sent back.",
    {"view": 1, "cart": 3, "remove": 1, "purchase": 5, "return": 2},
    when=lambda got: max(got["remove"], got["return"]) > 0,
)
weights.mistake(
    "A view counts nothing in your weights; somebody who looks again and again is interested.",
    {"view": 0, "cart": 1, "remove": -1, "purchase": 1, "return": -1},
    when=lambda got: got["view"] == 0,
)
weights.mistake(
    "A cart says no more than a look in your weights; but it is how a book is chosen, and most choices end there.",
    {"view": 1, "cart": 1, "remove": -1, "purchase": 5, "return": -5},
    when=lambda got: got["cart"] <= got["view"],
)


# 1.5 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "1.5",
    "How much of a session repeats?",
    minutes=5,
    difficulty="easy",
    extra=True,
    kind=Number(),
    hints=(
        "Go through the clicks in order: which of them are on something seen before?",
        "The first click on each item is new, all others are repeats. How many first clicks are there?",
        "The number of repeats is len(items) - len(set(items)).",
    ),
    explanation="Every item has exactly one first click, so the repeats are the clicks less the distinct items. People "
    "do return to what they looked at, and a model that hides what was seen cannot predict it.",
)
def repeat_share(items):
    """Share of a session's clicks that are on an item clicked earlier in the session.

    Parameters
    ----------
    items : list
        Clicked items in time order, at least one.

    Returns
    -------
    float
        ``repeat_share([4, 9, 4, 4])`` is 0.5: the third and the fourth click repeat.
    """
    return (len(items) - len(set(items))) / len(items)


repeat_share.case([4], expect=0.0, because="the only click is a first one: 0 of 1")
repeat_share.case([4, 4], expect=0.5, because="the second click repeats: 1 of 2")
repeat_share.case([4, 9, 4, 4], expect=0.5, because="the third and the fourth click repeat: 2 of 4")
repeat_share.case([1, 2, 3, 1], expect=0.25, because="the last click repeats the first: 1 of 4")


@repeat_share.random_cases
def _short_sessions(rng):
    return [(rng.integers(0, 6, rng.integers(3, 12)).tolist(),) for _ in range(12)]


@repeat_share.mistake("You count only immediate repeats; going back to an earlier item counts as well.")
def _immediate(items):
    return sum(a == b for a, b in itertools.pairwise(items)) / len(items)


@repeat_share.mistake("You count all clicks on items that occur more than once; the first of them is no repeat.")
def _with_the_first(items):
    return sum(items.count(i) > 1 for i in items) / len(items)


@repeat_share.mistake("You give the share of items that were repeated; asked for is the share of clicks.")
def _of_items(items):
    return sum(items.count(i) > 1 for i in set(items)) / len(set(items))


@repeat_share.mistake("You divide by the number of distinct items; divide by the number of clicks.")
def _by_distinct(items):
    return (len(items) - len(set(items))) / len(set(items))


@repeat_share.mistake("You give the share of clicks that are new: the rest are the repeats.")
def _new_share(items):
    return len(set(items)) / len(items)


@repeat_share.mistake("You return how many clicks repeat, not their share.")
def _how_many(items):
    return len(items) - len(set(items))


@repeat_share.mistake("You leave the first click out of the total; it is a click as well.")
def _without_first(items):
    return (len(items) - len(set(items))) / max(len(items) - 1, 1)


# 1.6 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "1.6",
    "The head and the long tail",
    minutes=5,
    difficulty="easy",
    extra=True,
    kind=Number(),
    hints=(
        "First count: how many clicks has each item? Then sort the counts downwards.",
        "How many items are the top tenth? Of the distinct items, not of the clicks.",
        "Add up the counts of those, and divide by the number of all clicks.",
    ),
    explanation="If all items were alike, the top tenth would have a tenth of the clicks. On real logs it has "
    "far more: that is why popularity is hard to beat, and why the average hides the tail.",
)
def head_share(items, top):
    """Share of the clicks that fall on the most clicked items.

    Parameters
    ----------
    items : list
        One item for each click.
    top : float
        Which share of the distinct items makes the head, such as 0.1; the number of items is rounded.

    Returns
    -------
    float
        With ten distinct items and ``top=0.1``, the clicks on the most clicked one over all clicks.
    """
    counts = sorted(Counter(items).values(), reverse=True)
    n_head = round(top * len(counts))
    return sum(counts[:n_head]) / len(items)


head_share.case([5, 5, 5, 8], 0.5, expect=0.75, because="the head is one item of two, 5, with 3 of the 4 clicks")
head_share.case(
    *([3, 9, 9, 9, 9, 1, 1, 1, 2], 0.5),
    expect=7 / 9,
    because="the head is two items of four: 9 with 4 clicks and 1 with 3, together 7 of 9",
)
head_share.case(
    *([*range(10), 4, 4, 4, 4, 4, 4, 4, 4, 4, 4], 0.1),
    expect=11 / 20,
    because="the head is one item of ten: 4, with 11 of the 20 clicks",
)


@head_share.random_cases
def _long_tails(rng):
    """Ten, twenty or forty items without a tie at the head's edge; as many that the rounding is never in doubt."""
    cases = []
    for n in (10, 20, 40, 20, 10, 40):
        counts = rng.permutation(np.round(40 / np.arange(1, n + 1) ** 0.8).astype(int) + np.arange(n, 0, -1) // 5 + 1)
        cases.append((rng.permutation(np.repeat(rng.permutation(3 * n)[:n], counts)).tolist(), 0.1))
    return cases


@head_share.mistake("You take the least clicked items: the tail, not the head.")
def _tail(items, top):
    counts = sorted(Counter(items).values())
    return sum(counts[: round(top * len(counts))]) / len(items)


@head_share.mistake("You take the first items by their number, not the most clicked ones.")
def _first_ids(items, top):
    counts = [count for _, count in sorted(Counter(items).items())]
    return sum(counts[: round(top * len(counts))]) / len(items)


@head_share.mistake("You take the items that were clicked first, not those that were clicked most.")
def _first_seen(items, top):
    counts = list(Counter(items).values())
    return sum(counts[: round(top * len(counts))]) / len(items)


@head_share.mistake("Your head is a share of the clicks; it should be a share of the distinct items.")
def _share_of_clicks(items, top):
    counts = sorted(Counter(items).values(), reverse=True)
    return sum(counts[: round(top * len(items))]) / len(items)


@head_share.mistake("Only the single most clicked item counts for you, however many belong to the head.")
def _best_only(items, top):
    return max(Counter(items).values()) / len(items)


@head_share.mistake("You return the number of clicks on the head, not their share.")
def _head_clicks(items, top):
    return head_share.reference(items, top) * len(items)


@head_share.mistake("You return percent; a share lies between 0 and 1.")
def _percent(items, top):
    return head_share.reference(items, top) * 100


@head_share.mistake("You give the tail's share: what is left is the head's.")
def _rest(items, top):
    return 1 - head_share.reference(items, top)
