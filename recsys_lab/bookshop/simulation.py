"""Run a policy in the shop and see what it is truly worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys_lab.bookshop.engine import MS, Block
from recsys_lab.bookshop.files import truth as shipped
from recsys_lab.bookshop.hidden import Truth
from recsys_lab.bookshop.settings import INTENTS, SEGMENTS
from recsys_lab.bookshop.visitors import Streams, visitors
from recsys_lab.events import validate_events, validate_impressions

BLOCK = 1024  # visits in lockstep; part of what a seed means, as every block has its own random streams


@dataclass(frozen=True, eq=False)
class Simulation:
    """What happened, and what nobody could have seen.

    Attributes
    ----------
    events : DataFrame
        Event log in time order (`recsys_lab.events`); `user_id` is missing where the visitor had not signed in.
    impressions : DataFrame
        What was shown, with exact propensities; also `timestamp` and `explored` (a uniformly random list).
    sessions : DataFrame
        The truth of each visit, one row each: `session_id, start, user_id, signed_in, segment, intent` and its
        outcome `clicks` (on lists), `views, carts, purchases, revenue` (price of what was bought) and `returned`
        (price of what came back).
    """

    events: pd.DataFrame
    impressions: pd.DataFrame
    sessions: pd.DataFrame

    @property
    def value(self) -> pd.Series:
        """Mean clicks, views, carts, purchases, revenue and returned revenue of a visit."""
        return self.sessions[OUTCOMES].mean()

    def __repr__(self) -> str:
        return (
            f"Simulation(simulated bookshop: {len(self.sessions)} sessions, {len(self.events)} events, "
            f"{len(self.impressions)} impressions)"
        )


OUTCOMES = ["clicks", "views", "carts", "purchases", "revenue", "returned"]


def simulate(
    policy: Callable,
    n_sessions: int,
    seed: int,
    *,
    exploration: float | None = None,
    temperature: float | None = None,
    truth: Truth | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Simulation:
    """Let visitors meet a policy.

    Parameters
    ----------
    policy : callable
        ``policy(context) -> scores`` of shape (n_rows, n_items), see `recsys_lab.bookshop.policies`.
    n_sessions : int
        Number of visits, spread over the whole log period.
    seed : int
        Same seed, same visitors, whatever the policy; same seed and policy, same tables.
    exploration, temperature : float, optional
        Share of uniformly random lists, and temperature of the softmax in the slots (0: the list is the policy's
        top K in order). By default the policy's own attributes, else 0.
    truth : Truth, optional
        Another shop than the shipped one.
    progress : callable, optional
        Called with (visits done, visits in all).

    Returns
    -------
    Simulation

    Raises
    ------
    ValueError
        For a share outside [0, 1], a negative temperature, no session, or scores of a wrong shape or NaN.
    """
    truth = truth or shipped()
    exploration = getattr(policy, "exploration", 0.0) if exploration is None else exploration
    temperature = getattr(policy, "temperature", 0.0) if temperature is None else temperature
    if n_sessions < 1 or not 0 <= exploration <= 1 or temperature < 0:
        raise ValueError("simulate: n_sessions >= 1, exploration in [0, 1] and temperature >= 0 are needed.")
    people = visitors(truth, n_sessions, Streams(seed, 0))
    parts = []
    for number, start in enumerate(range(0, n_sessions, BLOCK), start=1):
        some = people.take(slice(start, start + BLOCK))
        block = Block(truth, some, Streams(seed, number), start + 1, exploration, temperature).run(policy)
        parts.append((_lists(block), _log(block)))
        if progress:
            progress(min(start + BLOCK, n_sessions), n_sessions)
    impressions = _impressions(truth, [lists for lists, _ in parts])
    events = _events(truth, people, pd.concat([log for _, log in parts], ignore_index=True))
    return Simulation(events, impressions, _sessions(truth, people, events, impressions))


def _lists(block: Block) -> pd.DataFrame:
    """Impressions of a block in the order of session, page, slot."""
    rows, time, shown, propensity, explored, clicked = (np.concatenate(p) for p in zip(*block.lists, strict=True))
    order = np.argsort(rows, kind="stable")  # lists were appended page by page
    k = shown.shape[1]
    return pd.DataFrame(
        {
            "session_id": np.repeat(block.session_ids[rows[order]], k),
            "item": shown[order].ravel(),
            "position": np.tile(np.arange(1, k + 1), len(order)),
            "propensity": propensity[order].ravel(),
            "clicked": clicked[order].ravel(),
            "explored": np.repeat(explored[order], k),
            "time": np.repeat(time[order], k),
        }
    )


def _impressions(truth: Truth, parts: list[pd.DataFrame]) -> pd.DataFrame:
    lists = pd.concat(parts, ignore_index=True)
    lists.insert(0, "request_id", np.arange(len(lists)) // truth.settings.n_slots + 1)
    lists.insert(2, "item_id", truth.vocabulary.decode(lists.pop("item").to_numpy()))
    lists["timestamp"] = _timestamp(lists.pop("time"))
    return validate_impressions(lists)


def _log(block: Block) -> pd.DataFrame:
    """Events of a block as rows, items, types and times (ms)."""
    rows, items, time, dwell = (np.concatenate(parts) for parts in zip(*block.views, strict=True))
    parts = [_part(block, rows, items, "view", time, dwell_s=np.round(dwell, 1))]
    rows, items, time, removed, bought, returned, *ends = block.checkout()
    parts.append(_part(block, rows, items, "cart", time))
    for event, which, end in zip(("remove", "purchase", "return"), (removed, bought, returned), ends, strict=True):
        parts.append(_part(block, rows[which], items[which], event, end[which]))
    return pd.concat(parts, ignore_index=True)


def _part(block: Block, rows, items, event: str, time, dwell_s=np.nan) -> pd.DataFrame:
    price = np.nan if event == "view" else block.price[items]
    columns = {"session_id": block.session_ids[rows], "item": items, "event": event, "time": time}
    return pd.DataFrame(columns | {"dwell_s": dwell_s, "price": price})


def _events(truth: Truth, people, log: pd.DataFrame) -> pd.DataFrame:
    """Turn the log into the course's schema; what is sent back after the log's end is not in it."""
    end = pd.Timestamp(truth.settings.first_day, tz="UTC") + pd.Timedelta(days=truth.settings.n_days)
    too_late = (log["event"] == "return") & (log["time"] >= end.value // MS)
    log = log[~too_late].sort_values(["time", "session_id"], kind="stable")
    row = log["session_id"].to_numpy() - 1
    user = pd.Series(truth.user_vocabulary.decode(people.user[row]), dtype="Int64").mask(~people.signed_in[row])
    events = pd.DataFrame(
        {
            "event_id": np.arange(1, len(log) + 1),
            "session_id": log["session_id"].to_numpy(),
            "user_id": user,
            "item_id": truth.vocabulary.decode(log["item"].to_numpy()),
            "event": log["event"].to_numpy(),
            "timestamp": _timestamp(log["time"]),
            "dwell_s": log["dwell_s"].to_numpy(),
            "price": log["price"].to_numpy(),
        }
    )
    return validate_events(events)


def _timestamp(ms) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.asarray(ms).astype("datetime64[ms]"), tz="UTC")


def _sessions(truth: Truth, people, events: pd.DataFrame, impressions: pd.DataFrame) -> pd.DataFrame:
    n = len(people)
    names = np.array(list(SEGMENTS), dtype=object)
    table = pd.DataFrame(
        {
            "session_id": np.arange(1, n + 1),
            "start": _timestamp(people.start // MS),
            "user_id": truth.user_vocabulary.decode(people.user),
            "signed_in": people.signed_in,
            "segment": names[truth.segments[people.user]],
            "intent": np.array(INTENTS, dtype=object)[people.intent],
        }
    )
    clicked = impressions["session_id"].to_numpy()[impressions["clicked"].to_numpy()]
    table["clicks"] = np.bincount(clicked, minlength=n + 1)[1:]
    kind, row = events["event"].to_numpy(), events["session_id"].to_numpy()
    for column, event in (("views", "view"), ("carts", "cart"), ("purchases", "purchase")):
        table[column] = np.bincount(row[kind == event], minlength=n + 1)[1:]
    for column, event in (("revenue", "purchase"), ("returned", "return")):
        price = events["price"].to_numpy()[kind == event]
        table[column] = np.bincount(row[kind == event], weights=price, minlength=n + 1)[1:].round(2)
    return table
