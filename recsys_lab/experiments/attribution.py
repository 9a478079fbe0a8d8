"""Which sales a recommender may claim, by the rules in use, and which it made.

Three rules attribute a sale to the lists: the book had been shown in one in this visit before it was bought
(``"shown"``), it had been clicked in one (``"clicked"``), or anything had been (``"visit"``). None of them asks what
would have happened without the list. `recsys_lab.experiments.worlds` does: the share of sales that a policy made is

    incremental = 1 - sales without a list / sales with it

Field experiments find the first far above the second: Sharma, Hofman and Watts, "Estimating the causal impact of
recommendation systems from observational data" (EC 2015).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_lab.bookshop import Simulation
from recsys_lab.experiments import effects

RULES = ("shown", "clicked", "visit")


def attributed(simulation: Simulation) -> pd.DataFrame:
    """Say for each purchase which rules attribute it to the lists.

    Parameters
    ----------
    simulation : Simulation
        Only its `events` and `impressions` are read, which every shop has.

    Returns
    -------
    DataFrame
        One row a purchase: `session_id, item_id, price`, and a bool for each of `RULES`.
    """
    events, lists = simulation.events, simulation.impressions
    sales = events.loc[events["event"] == "purchase", ["session_id", "item_id", "timestamp", "price"]]
    sales = sales.reset_index(drop=True)
    clicks = lists[lists["clicked"]]
    pair = ["session_id", "item_id"]
    for rule, rows, key in (("shown", lists, pair), ("clicked", clicks, pair), ("visit", clicks, ["session_id"])):
        first = rows[[*key, "timestamp"]].drop_duplicates(key)  # lists stand in time order within a visit
        found = sales[[*key]].merge(first, on=key, how="left")["timestamp"]
        sales[rule] = (found <= sales["timestamp"]).to_numpy(dtype=bool)
    return sales.drop(columns="timestamp")


def attribution(simulation: Simulation, level: float = 0.95) -> pd.DataFrame:
    """Return the shares of the sales that each rule attributes to the lists.

    Parameters
    ----------
    simulation : Simulation
    level : float

    Returns
    -------
    DataFrame, one row for each of `RULES`
        `purchases`: share of the books sold, with its interval `low, high` (visits are the units); `revenue`: share of
        the money.

    Raises
    ------
    ValueError
        If nothing was sold.
    """
    sales = attributed(simulation)
    if sales["session_id"].nunique() < 2:
        raise ValueError("attribution: fewer than two visits bought something. Simulate more of them.")
    sums = sales.groupby("session_id")[list(RULES)].sum()
    sizes = sales.groupby("session_id").size()
    table = {}
    for rule in RULES:
        share = effects.interval(effects.of_units(sums[rule], sizes).sum(axis=0), level)
        table[rule] = (*share, np.average(sales[rule], weights=sales["price"]))
    return pd.DataFrame.from_dict(table, orient="index", columns=["purchases", "low", "high", "revenue"])


def by_visit(simulation: Simulation) -> pd.DataFrame:
    """Return the attributed purchases of each visit, int64, columns `RULES`, index `session_id` of all visits."""
    sums = attributed(simulation).groupby("session_id")[list(RULES)].sum()
    return sums.reindex(simulation.sessions["session_id"], fill_value=0).astype(np.int64)
