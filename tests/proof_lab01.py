"""Right and wrong answers to the exercises of lab 01."""

import math
from collections import Counter

import numpy as np
import pandas as pd
from proof import Proof

PROOF: dict[str, Proof] = {}


def _sessionise_by_group(events, minutes):
    ordered = events.sort_values(["user_id", "timestamp"])
    pause = ordered.groupby("user_id")["timestamp"].diff().dt.total_seconds()
    return (pause.isna() | (pause > 60 * minutes)).cumsum().sort_index()


def _sessionise_by_loop(events, minutes):
    numbers, last, number = [None] * len(events), {}, {}
    rows = sorted(range(len(events)), key=lambda i: events["timestamp"].iloc[i])
    for i in rows:
        user, time = events["user_id"].iloc[i], events["timestamp"].iloc[i]
        if user not in last or (time - last[user]).total_seconds() > minutes * 60:
            number[user] = number.get(user, 0) + 1
        last[user], numbers[i] = time, f"{user}-{number[user]}"
    return numbers


def _sessionise_numpy(limit, unit=60, order=("timestamp", "user_id"), users=True):
    def answer(events, minutes):
        seconds = (events["timestamp"] - events["timestamp"].min()).dt.total_seconds().to_numpy()
        who = events["user_id"].to_numpy()
        columns = {"timestamp": seconds, "user_id": who}
        rows = np.lexsort([columns[c] for c in order])
        new = limit(np.diff(seconds[rows]), minutes * unit)
        new |= (np.diff(who[rows]) != 0) & users
        numbers = np.zeros(len(rows), int)
        numbers[rows] = np.concatenate([[0], new.cumsum()])
        return numbers

    return answer


def _sessionise_shuffled_back(events, minutes):
    return pd.Series(_sessionise_by_group(events, minutes).sort_values().tolist())


PROOF["sessionise"] = Proof(
    right=[_sessionise_by_group, _sessionise_by_loop, _sessionise_numpy(np.greater)],
    wrong=[
        (_sessionise_numpy(np.greater_equal), "exactly the limit"),
        (_sessionise_numpy(np.greater, users=False), "A new user must start"),
        (_sessionise_numpy(np.greater, order=("user_id", "timestamp"), users=False), "as if it were one visitor"),
        (_sessionise_numpy(np.greater, unit=1), "Wrong unit"),
        (_sessionise_shuffled_back, "in sorted order"),
        (lambda events, minutes: events["user_id"], "one"),
    ],
)


def _doubles_by_loop(events, limit=1.0, keep_first=True, columns=("session_id", "item_id", "event")):
    stay, before = [], None
    for row in events.sort_values(["session_id", "timestamp"]).to_dict("records"):
        same = before is not None and all(row[c] == before[c] for c in columns)
        if not (same and (row["timestamp"] - before["timestamp"]).total_seconds() <= limit):
            stay.append(row["event_id"])
        elif not keep_first:
            stay[-1] = row["event_id"]
        before = row
    return events[events["event_id"].isin(stay)].reset_index(drop=True)


def _doubles_by_group(events):
    """Number the runs of equal events, then measure within each run."""
    ordered = events.sort_values("timestamp")
    what = ordered["item_id"].astype(str) + ordered["event"]
    run = (what != what.groupby(ordered["session_id"]).shift()).groupby(ordered["session_id"]).cumsum()
    pause = ordered.groupby([ordered["session_id"], run])["timestamp"].diff()
    return ordered[pause.isna() | (pause > pd.Timedelta(seconds=1))]


PROOF["drop_double_fires"] = Proof(
    right=[_doubles_by_loop, _doubles_by_group],
    wrong=[
        (lambda e: e.drop_duplicates(["session_id", "item_id", "event"]), "every repeat"),
        (
            lambda e: e[
                ~(e.sort_values("timestamp").groupby(["session_id", "item_id", "event"])["timestamp"].diff() <= "1s")
            ],
            "even if others came between",
        ),
        (lambda e: _doubles_by_loop(e, limit=0.999), "includes exactly 1 second"),
        (lambda e: _doubles_by_loop(e, keep_first=False), "You keep the last"),
        (lambda e: _doubles_by_loop(e, columns=("session_id", "item_id")), "event type"),
        (lambda e: _doubles_by_loop(e, columns=("session_id", "event")), "do not look at the item"),
        (lambda e: e[~e["event_id"].isin(_doubles_by_loop(e)["event_id"])], "the double fires themselves"),
        (lambda e: e["event_id"].isin(_doubles_by_loop(e)["event_id"]), "A mask says which rows"),
        (lambda e: _doubles_by_loop(e).assign(item_id=0), "came back changed"),
        (lambda e: _doubles_by_loop(e).drop(columns="timestamp"), "lacks the column 'timestamp'"),
    ],
)


def _bots_by_loop(summary=np.median, least=0, strict=False):
    def answer(events, min_events, max_gap):
        found = set()
        for session, times in events.groupby("session_id")["timestamp"]:
            seconds = np.sort([(t - times.min()).total_seconds() for t in times])
            gap = summary(np.diff(seconds)) if len(seconds) > 1 else np.inf
            if len(seconds) >= min_events + least and (gap < max_gap if strict else gap <= max_gap):
                found.add(session)
        return found

    return answer


PROOF["find_bots"] = Proof(
    right=[_bots_by_loop(), lambda *args: sorted(_bots_by_loop()(*args), reverse=True)],
    wrong=[
        (_bots_by_loop(np.mean), "You take the mean"),
        (_bots_by_loop(np.min), "the shortest pause"),
        (_bots_by_loop(least=1), "more than min_events"),
        (_bots_by_loop(strict=True), "below max_gap"),
        (_bots_by_loop(least=-99), "speed only"),
        (lambda e, n, gap: e.loc[e["session_id"].isin(_bots_by_loop()(e, n, gap)), "session_id"], "more than once"),
        (lambda e, n, gap: e["session_id"].isin(_bots_by_loop()(e, n, gap)), "a mask"),
    ],
)

PROOF["weights"] = Proof(
    right=[
        {"view": 1, "cart": 3, "remove": 0, "purchase": 5, "return": 0},
        {"view": 0.1, "cart": 0.5, "remove": -0.2, "purchase": 1, "return": -1},
        pd.Series({"view": 1, "cart": 2, "remove": -1, "purchase": 5, "return": -2, "gift": 7}),
        lambda: {"view": 1, "cart": 10, "remove": -10, "purchase": 20, "return": -30},
    ],
    wrong=[
        ({"view": 3, "cart": 3, "remove": 3, "purchase": 3, "return": 3}, "plain counting"),
        ({"view": 10, "cart": 5, "remove": 0, "purchase": 1, "return": 0}, "A look is worth more"),
        ({"view": 0, "cart": 0, "remove": 0, "purchase": 7, "return": 0}, "Only purchases count"),
        ({"view": 1, "cart": 3, "remove": 0, "purchase": 5, "return": 5}, "in a book's favour"),
        ({"view": 1, "cart": 3, "purchase": 5, "return": 0}, "'remove' is missing"),
        ({"view": "1", "cart": 3, "remove": 0, "purchase": 5, "return": 0}, "a text"),
        ({"view": math.nan, "cart": 3, "remove": 0, "purchase": 5, "return": 0}, "not a number"),
        ([1, 3, 0, 5, -5], "a dict with a number for each"),
    ],
)


def _repeats_by_loop(items):
    seen, repeats = set(), 0
    for item in items:
        repeats += item in seen
        seen.add(item)
    return np.float64(repeats) / len(items)


PROOF["repeat_share"] = Proof(
    right=[_repeats_by_loop, lambda items: pd.Series(items).duplicated().mean()],
    wrong=[
        (lambda items: pd.Series(items).duplicated(keep=False).mean(), "all clicks on items that occur more than once"),
        (lambda items: float((np.diff(items) == 0).sum() / len(items)), "immediate repeats"),
        (lambda items: pd.Series(items).nunique() / len(items), "clicks that are new"),
        (lambda items: int(pd.Series(items).duplicated().sum()), "how many clicks repeat"),
        (lambda items: (pd.Series(items).value_counts() > 1).mean(), "share of items"),
        (lambda items: pd.Series(items).duplicated(), "one number is needed"),
    ],
)


def _head_by_pandas(items, top):
    counts = pd.Series(items).value_counts()
    return counts.head(round(len(counts) * top)).sum() / counts.sum()


PROOF["head_share"] = Proof(
    right=[
        _head_by_pandas,
        lambda items, top: sum(n for _, n in Counter(items).most_common(round(len(set(items)) * top))) / len(items),
    ],
    wrong=[
        (lambda items, top: _head_by_pandas(items, top) * 100, "percent"),
        (lambda items, top: pd.Series(items).value_counts().iloc[0] / len(items), "single most clicked"),
        (lambda items, top: 1 - _head_by_pandas(items, top), "the tail's share"),
        (
            lambda items, top: pd.Series(items).value_counts().tail(round(len(set(items)) * top)).sum() / len(items),
            "least clicked",
        ),
        (
            lambda items, top: pd.Series(items).value_counts().head(round(len(items) * top)).sum() / len(items),
            "a share of the clicks",
        ),
    ],
)
