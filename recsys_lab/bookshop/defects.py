"""What is wrong with real logs, planted on purpose and labelled: bots, double fires, late rows; and returns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_lab.bookshop.engine import MS
from recsys_lab.bookshop.hidden import Truth
from recsys_lab.bookshop.simulation import Simulation
from recsys_lab.events import validate_events

N_BOTS = 6
BOT_VIEWS = (120, 400)  # pages of one bot, least and most
DOUBLE_FIRES = 0.010  # share of views and carts that are sent twice
LATE = 0.007  # share of rows that reach the file late
LATE_MINUTES = (5, 720)


def plant(simulation: Simulation, truth: Truth, seed: int) -> tuple[Simulation, pd.DataFrame]:
    """Spoil a clean simulation the way real logs are spoilt.

    Parameters
    ----------
    simulation : Simulation
    truth : Truth
    seed : int

    Returns
    -------
    simulation : Simulation
        Sessions are numbered anew by their start, bots among them; events are numbered in time order, and the rows
        stand in the order in which they reached the file.
    defects : DataFrame
        `event_id, defect`: "bot", "double_fire" (the second of two), "late", "return". An event may have several.
    """
    bots, doubles, late = np.random.default_rng(seed).spawn(3)
    events, sessions = simulation.events.assign(defect=""), simulation.sessions
    events.loc[events["event"] == "return", "defect"] = "return"
    robots = _bots(truth, int(sessions["session_id"].max()), bots)
    events = pd.concat([events, _double_fires(events, doubles), robots], ignore_index=True)
    sessions = pd.concat([sessions, _bot_sessions(robots, sessions)], ignore_index=True)
    sessions, number = _renumber(sessions)
    events["session_id"] = number.reindex(events["session_id"]).to_numpy()
    events = events.sort_values(["timestamp", "session_id"], kind="stable", ignore_index=True)
    events["event_id"] = np.arange(1, len(events) + 1)
    events, is_late = _delay(events, late)
    labels = pd.concat([events[["event_id", "defect"]], is_late], ignore_index=True)
    defects = labels[labels["defect"] != ""].sort_values(["event_id", "defect"], ignore_index=True)
    shown = simulation.impressions
    shown = shown.assign(session_id=number.reindex(shown["session_id"]).to_numpy())
    return Simulation(validate_events(events.drop(columns="defect")), shown, sessions), defects


def _bots(truth: Truth, last_session: int, rng) -> pd.DataFrame:
    """Hundreds of pages at machine speed: every other bot walks the catalogue in order, the others jump."""
    parts = []
    first = pd.Timestamp(truth.settings.first_day, tz="UTC").value // MS
    for bot in range(N_BOTS):
        n, day = rng.integers(*BOT_VIEWS, endpoint=True), rng.integers(truth.settings.n_days)
        stocked = np.flatnonzero(truth.stock_day <= day)
        at = (rng.integers(len(stocked)) + np.arange(n)) if bot % 2 else rng.integers(len(stocked), size=n)
        gap = rng.integers(250, 1200, n)
        start = first + day * 86_400_000 + rng.integers(20 * 3_600_000)
        parts.append(
            pd.DataFrame(
                {
                    "session_id": last_session + 1 + bot,
                    "user_id": pd.array([pd.NA] * n, dtype="Int64"),
                    "item_id": truth.vocabulary.decode(stocked[at % len(stocked)]),
                    "event": "view",
                    "timestamp": pd.DatetimeIndex((start + np.cumsum(gap)).astype("datetime64[ms]"), tz="UTC"),
                    "dwell_s": np.round(gap / 1000, 1),
                    "defect": "bot",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _bot_sessions(robots: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    by_bot = robots.groupby("session_id", as_index=False).agg(start=("timestamp", "min"), views=("item_id", "size"))
    table = by_bot.assign(intent="bot", signed_in=False, user_id=0)
    for column in sessions.columns.difference(table.columns):
        table[column] = "bot" if column == "segment" else sessions[column].dtype.type(0)
    return table[sessions.columns].astype(sessions.dtypes.to_dict())


def _double_fires(events: pd.DataFrame, rng) -> pd.DataFrame:
    twice = events["event"].isin(["view", "cart"]).to_numpy() & (rng.random(len(events)) < DOUBLE_FIRES)
    again = events[twice].copy()
    delay = rng.integers(40, 900, len(again))
    again["timestamp"] = again["timestamp"] + pd.to_timedelta(delay, unit="ms").as_unit("ms")
    return again.assign(defect="double_fire")


def _renumber(sessions: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Number sessions by start; also return the new number of each old one."""
    sessions = sessions.sort_values("start", kind="stable", ignore_index=True)
    new = np.arange(1, len(sessions) + 1)
    number = pd.Series(new, index=sessions["session_id"].to_numpy())
    return sessions.assign(session_id=new), number


def _delay(events: pd.DataFrame, rng) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put some rows where they would stand had they arrived minutes or hours later."""
    late = rng.random(len(events)) < LATE
    least, most = np.log(LATE_MINUTES)
    minutes = np.where(late, np.exp(rng.uniform(least, most, len(events))), 0)
    arrival = events["timestamp"] + pd.to_timedelta((minutes * 60_000).astype(np.int64), unit="ms").as_unit("ms")
    order = np.argsort(arrival.to_numpy(), kind="stable")
    labels = events.loc[late, ["event_id"]].assign(defect="late")
    return events.iloc[order].reset_index(drop=True), labels
