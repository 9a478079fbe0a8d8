"""An A/B test in the simulated shop, read as a real one would have to be.

Users come back. What is drawn is the user's arm, so users are what the interval has to be over: visits of one user are
alike, and counting them as independent promises too much (`analyse_by="session"` shows how much).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys_lab.experiments import effects
from recsys_lab.experiments.assignment import assign, sample_ratio
from recsys_lab.experiments.effects import Effect
from recsys_lab.experiments.worlds import OUTCOMES, UNITS, Worlds, column, simulate_worlds

SUSPICIOUS = 0.001  # sample ratio p-value below which an experiment is void


@dataclass(frozen=True, eq=False)
class ABResult:
    """What an A/B test saw; the first arm is the control.

    Attributes
    ----------
    visits : DataFrame
        One row a visit: `session_id, user_id, start`, `arm` (a name) and the outcomes in that arm.
    names : list of str
    assign_by, analyse_by : {"user", "session"}
    sample_ratio_p : float
        See `recsys_lab.experiments.sample_ratio`.
    level : float
    """

    visits: pd.DataFrame
    names: list[str]
    assign_by: str
    analyse_by: str
    sample_ratio_p: float
    level: float

    @property
    def valid(self) -> bool:
        """Whether the arms' sizes are what was meant, and the units of analysis are those of assignment."""
        return self.sample_ratio_p >= SUSPICIOUS and self.analyse_by == self.assign_by

    def effect(self, metric: str = "purchases", treatment: str | None = None) -> Effect:
        """Return treatment (by default the second arm) against control.

        Raises
        ------
        KeyError
            For an outcome or an arm that is not there.
        """
        treatment = self.names[1] if treatment is None else treatment
        control, other = (self._moments(metric, name) for name in (self.names[0], treatment))
        return effects.from_moments(control, other, self.level)

    def effects(self, metrics: Sequence[str] = OUTCOMES, treatment: str | None = None) -> pd.DataFrame:
        """Return `effect` of several outcomes, one row each."""
        found = {metric: self.effect(metric, treatment)._asdict() for metric in metrics}
        return pd.DataFrame.from_dict(found, orient="index").drop(columns="level")

    def means(self, metric: str = "purchases") -> pd.DataFrame:
        """Return `units, visits, mean, low, high` of each arm."""
        rows = {}
        for name in self.names:
            moments = self._moments(metric, name)
            rows[name] = (int(moments[0]), int(moments[2]), *effects.interval(moments, self.level))
        return pd.DataFrame.from_dict(rows, orient="index", columns=["units", "visits", "mean", "low", "high"])

    def needed(self, metric: str, difference: float, treatment: str | None = None, power: float = 0.8) -> int:
        """Return how many visits both arms together need to find a difference, from how much this test's visits vary.

        Parameters
        ----------
        metric : str
        difference : float
            Per visit, not 0.
        treatment : str, optional
        power : float
            Probability of finding it.

        Notes
        -----
        As many visits a user as here: the standard error falls with the root of the number of units.
        """
        if difference == 0:
            raise ValueError("needed: a difference of 0 is never found, however many visits there are.")
        found = self.effect(metric, treatment)
        names = [self.names[0], self.names[1] if treatment is None else treatment]
        visits = self.visits["arm"].isin(names).sum()
        return int(np.ceil(visits * (found.detectable(power) / difference) ** 2))

    def _moments(self, metric: str, arm: str) -> np.ndarray:
        if arm not in self.names or metric not in self.visits:
            raise KeyError(f"no outcome {metric!r} of arm {arm!r}; the arms are {', '.join(self.names)}.")
        part = self.visits[self.visits["arm"] == arm]
        if part[UNITS[self.analyse_by]].nunique() < 2:
            raise ValueError(f"arm {arm!r} has fewer than two {self.analyse_by}s. Take more visits.")
        return effects.of_units(*sums(part[metric], part[UNITS[self.analyse_by]])).sum(axis=0)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {(self.visits['arm'] == name).sum()} visits" for name in self.names)
        text = f"ABResult({sizes}; assigned by {self.assign_by}, sample ratio p = {self.sample_ratio_p:.3f}"
        if self.sample_ratio_p < SUSPICIOUS:
            text += "; VOID: these sizes are no accident, visitors got lost"
        if self.analyse_by != self.assign_by:
            text += f"; analysed by {self.analyse_by}: the intervals promise too much"
        return text + ")"


def sums(values, units) -> tuple[np.ndarray, np.ndarray]:
    """Return each unit's sum, and how many values it has; float64, shape (n_units,) each."""
    unit = pd.factorize(units)[0]
    return np.bincount(unit, np.asarray(values, dtype=np.float64)), np.bincount(unit).astype(np.float64)


def ab_test(
    policies: Mapping[str, Callable] | Worlds,
    n_sessions: int = 20_000,
    seed: int = 0,
    *,
    assign_by: str = "user",
    analyse_by: str | None = None,
    salt: str = "",
    shares: Sequence[float] | None = None,
    level: float = 0.95,
) -> ABResult:
    """Run an A/B test: each visitor meets one of the policies.

    Parameters
    ----------
    policies : mapping of str to policy, or Worlds
        The first is the control. `simulate_worlds` once and many tests cost no more than one.
    n_sessions, seed
        Of the simulation, where policies are given.
    assign_by : {"user", "session"}
        What is put into an arm. By session one person meets both arms on different visits.
    analyse_by : {"user", "session"}, optional
        Units of the intervals; by default those of assignment.
    salt, shares
        See `recsys_lab.experiments.assign`.
    level : float

    Returns
    -------
    ABResult

    Raises
    ------
    ValueError
        For fewer than two policies, or users as units of what was assigned by session.
    """
    analyse_by = assign_by if analyse_by is None else analyse_by
    check_units(assign_by, analyse_by)
    if len(policies.names if isinstance(policies, Worlds) else policies) < 2:
        raise ValueError("ab_test: two policies are needed, the control first. For one and the same twice: aa_test.")
    worlds = policies if isinstance(policies, Worlds) else simulate_worlds(policies, n_sessions, seed)
    units = worlds.visits[UNITS[assign_by]]
    arms = assign(units, len(worlds.names), salt, shares)
    ratio = sample_ratio(arms[~units.duplicated().to_numpy()], len(worlds.names), shares)
    return ABResult(_seen(worlds, arms), worlds.names, assign_by, analyse_by, ratio, level)


def _seen(worlds: Worlds, arms: np.ndarray) -> pd.DataFrame:
    """Each visit with its outcomes in its own arm: all that a real shop would get to see."""
    seen = worlds.visits[["session_id", "user_id", "start"]].copy()
    seen["arm"] = np.array(worlds.names, dtype=object)[arms]
    for metric in OUTCOMES:
        every = np.stack([column(worlds.outcomes, name, metric) for name in worlds.names])
        seen[metric] = every[arms, np.arange(len(arms))]
    return seen


def check_units(assign_by: str, analyse_by: str) -> None:
    """Raise a ValueError for units that make no sense."""
    if assign_by not in UNITS or analyse_by not in UNITS:
        raise ValueError(f"assign_by={assign_by!r}, analyse_by={analyse_by!r}: choose 'user' or 'session'.")
    if (assign_by, analyse_by) == ("session", "user"):
        raise ValueError("a user whose visits lie in both arms belongs to neither. Fix: assign_by='user'.")
