"""What would have happened: the same visitors under every policy.

Outside a simulation each visitor is seen in one arm only, and everything about the others has to be inferred. In the
simulated shop the same visits can be had again under another policy, with the same luck (common random numbers,
`recsys_lab.bookshop.visitors`): Rubin's potential outcomes, laid open. An A/B test then is a way of looking at them
with one eye (`recsys_lab.experiments.ab`), and what it estimates can be computed (`true_value`).

One visit does not touch another here: nothing sells out, no policy learns on the way, visitors do not talk. So a
visit's outcome depends on its own arm alone, and picking it from that arm's world gives the very tables of a shop that
runs all arms at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys_lab.bookshop import Simulation, Truth, simulate
from recsys_lab.experiments import effects
from recsys_lab.experiments.attribution import RULES, by_visit
from recsys_lab.experiments.effects import Effect

#: What a visit is worth; `net` is revenue minus what came back.
OUTCOMES = ("clicks", "views", "carts", "purchases", "revenue", "returned", "net")
UNITS = {"user": "user_id", "session": "session_id"}


@dataclass(frozen=True, eq=False)
class Worlds:
    """Outcomes of the same visits under several policies.

    Attributes
    ----------
    visits : DataFrame
        One row a visit: `session_id, start, user_id, signed_in, segment, intent`. The user is the true one, as a
        cookie would know it, signed in or not.
    outcomes : dict of str to DataFrame
        For each policy one row a visit, in the same order: `OUTCOMES`, and the purchases that each rule of attribution
        would give to the lists.
    """

    visits: pd.DataFrame
    outcomes: dict[str, pd.DataFrame]

    @property
    def names(self) -> list[str]:
        """Policies, in the order given; the first is the control."""
        return list(self.outcomes)

    def effect(self, metric: str, treatment: str, control: str | None = None, level: float = 0.95) -> Effect:
        """Return the true difference on these visits, per visit, with the interval for more visits of their kind.

        Parameters
        ----------
        metric : str
            One of `OUTCOMES`.
        treatment, control : str
            Policies; control is the first by default.
        level : float
        """
        control = self.names[0] if control is None else control
        visits, y0, y1 = self.by_user(metric, control, treatment)
        return effects.paired_effect(y0, y1, visits, level)

    def incremental(self, policy: str, without: str, metric: str = "purchases", level: float = 0.95) -> pd.Series:
        """Return the share of a policy's sales that would not be there without it.

        Returns
        -------
        Series
            `share, low, high`. Below 0: the policy costs sales.
        """
        found = self.effect(metric, treatment=without, control=policy, level=level)  # 1 - without / with = - lift
        return pd.Series({"share": -found.lift, "low": -found.lift_high, "high": -found.lift_low})

    def by_user(self, metric: str, *policies: str) -> list[np.ndarray]:
        """Return visits of each user, and the sum of the metric under each policy; float64, shape (n_users,) each."""
        user = pd.factorize(self.visits["user_id"])[0]
        values = (column(self.outcomes, policy, metric) for policy in policies)
        return [np.bincount(user).astype(np.float64), *(np.bincount(user, v) for v in values)]

    def __repr__(self) -> str:
        return f"Worlds(simulated bookshop: {len(self.visits)} visits, each under {', '.join(self.names)})"


def column(outcomes: Mapping[str, pd.DataFrame], policy: str, metric: str) -> np.ndarray:
    """Return a metric of each visit under a policy, float64; a KeyError says what there is."""
    if policy not in outcomes:
        raise KeyError(f"no policy {policy!r}; there are {', '.join(outcomes)}.")
    if metric not in outcomes[policy]:
        raise KeyError(f"no outcome {metric!r}; there are {', '.join(outcomes[policy])}.")
    return outcomes[policy][metric].to_numpy(dtype=np.float64)


def simulate_worlds(
    policies: Mapping[str, Callable],
    n_sessions: int = 20_000,
    seed: int = 0,
    *,
    truth: Truth | None = None,
    progress: Callable[[str], None] | None = None,
) -> Worlds:
    """Let the same visitors meet each policy.

    Parameters
    ----------
    policies : mapping of str to policy
        See `recsys_lab.bookshop.policies`; the first is the control.
    n_sessions, seed, truth
        See `recsys_lab.bookshop.simulate`. 20,000 visits take 2 to 4 seconds for each policy.
    progress : callable, optional
        Called with the name of each policy before it runs.

    Returns
    -------
    Worlds
    """
    if not isinstance(policies, Mapping) or not policies:
        raise ValueError("simulate_worlds: policies is a mapping such as {'popular': MostPopular(), 'gru': ...}.")
    outcomes, visits = {}, None
    for name, policy in policies.items():
        if progress:
            progress(name)
        simulation = simulate(policy, n_sessions, seed, truth=truth)
        visits = simulation.sessions if visits is None else visits
        outcomes[name] = visit_outcomes(simulation)
    return Worlds(visits[["session_id", "start", "user_id", "signed_in", "segment", "intent"]].copy(), outcomes)


def visit_outcomes(simulation: Simulation) -> pd.DataFrame:
    """Return `OUTCOMES` and attributed purchases (`RULES`) of each visit."""
    table = simulation.sessions[[name for name in OUTCOMES if name != "net"]].copy()
    table["net"] = table["revenue"] - table["returned"]
    claimed = by_visit(simulation)
    for rule in RULES:
        table[rule] = claimed[rule].to_numpy()
    return table


def true_value(worlds: Worlds, metric: str = "purchases", control: str | None = None, level: float = 0.95):
    """Return what each policy is worth, and by how much it truly differs from the control.

    Parameters
    ----------
    worlds : Worlds
    metric : str
        One of `OUTCOMES`.
    control : str, optional
        By default the first policy.
    level : float

    Returns
    -------
    DataFrame, one row a policy
        `mean`; `difference, low, high` of the paired comparison with the control; `lift, lift_low, lift_high`.
    """
    control = worlds.names[0] if control is None else control
    rows = {}
    for name in worlds.names:
        mean = float(column(worlds.outcomes, name, metric).mean())
        if name == control:
            rows[name] = {"mean": mean, "difference": 0.0, "low": 0.0, "high": 0.0}
            rows[name] |= {"lift": 0.0, "lift_low": 0.0, "lift_high": 0.0}
        else:
            found = worlds.effect(metric, name, control, level)._asdict()
            kept = ("difference", "low", "high", "lift", "lift_low", "lift_high")
            rows[name] = {"mean": mean} | {key: found[key] for key in kept}
    return pd.DataFrame.from_dict(rows, orient="index")
