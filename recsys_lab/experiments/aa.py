"""What an experiment says when nothing differs: A/A tests, and what looking every day does to them.

The two arms of an A/A test get the same policy, so a visit's outcome is the same whichever arm it is in, and a log
that was simulated (or observed) once can be dealt out anew as often as one likes: every deal is an A/A test that could
have been (Fisher's randomisation test). That holds because one visit does not touch another; it would not hold for an
A/B test, whose outcomes depend on the deal.

A right procedure gives uniform p-values, so 5 % of them below 0.05. A procedure that takes visits for independent when
users were assigned gives more; so does one that stops at the first significant day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from recsys_lab.bookshop import Simulation
from recsys_lab.experiments import effects
from recsys_lab.experiments.ab import check_units
from recsys_lab.experiments.worlds import UNITS, Worlds, column

FLOATS = 2**22  # size of the table of arms that is held at a time


@dataclass(frozen=True, eq=False)
class AAResult:
    """p-values of many A/A tests.

    Attributes
    ----------
    p_values : ndarray of float64, shape (n_experiments,)
    assign_by, analyse_by : {"user", "session"}
    """

    p_values: np.ndarray
    assign_by: str
    analyse_by: str

    def false_positives(self, alpha: float = 0.05, level: float = 0.95) -> pd.Series:
        """Return the share of p-values below alpha with its exact binomial interval: `rate, low, high`."""
        found = stats.binomtest(int((self.p_values < alpha).sum()), len(self.p_values))
        low, high = found.proportion_ci(level)
        return pd.Series({"rate": found.statistic, "low": low, "high": high})

    @property
    def uniform_p(self) -> float:
        """Kolmogorov-Smirnov test of the p-values against the uniform distribution; small: something is wrong."""
        return float(stats.kstest(self.p_values, "uniform").pvalue)

    def __repr__(self) -> str:
        rate, low, high = self.false_positives()
        units = f"assigned by {self.assign_by}, analysed by {self.analyse_by}"
        return f"AAResult({len(self.p_values)} A/A tests {units}: {rate:.3f} [{low:.3f}, {high:.3f}] below 0.05)"


def aa_test(
    visits: Simulation | pd.DataFrame,
    metric: str = "purchases",
    n_experiments: int = 2000,
    seed: int = 0,
    *,
    assign_by: str = "user",
    analyse_by: str | None = None,
) -> AAResult:
    """Deal the visits of one policy out into two arms, many times, and test each time.

    Parameters
    ----------
    visits : Simulation or DataFrame
        One row a visit: `user_id, session_id` and the metric.
    metric : str
        A column of the visits, such as ``"clicks"``.
    n_experiments : int
    seed : int
    assign_by, analyse_by : {"user", "session"}
        See `recsys_lab.experiments.ab_test`.

    Returns
    -------
    AAResult
    """
    analyse_by = assign_by if analyse_by is None else analyse_by
    check_units(assign_by, analyse_by)
    visits = _table(visits, metric)
    moments = _moments_by_unit(visits, metric, assign_by, analyse_by)
    p = np.concatenate(
        [effects.p_values(*effects.welch(*arms)) for arms in _deals(moments, moments, n_experiments, seed)]
    )
    return AAResult(p, assign_by, analyse_by)


def power(
    worlds: Worlds,
    treatment: str,
    metric: str = "purchases",
    control: str | None = None,
    n_experiments: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.Series:
    """Return what A/B tests of this size would conclude, users assigned anew each time.

    Parameters
    ----------
    worlds : Worlds
    treatment, control : str
        Control is the first policy by default.
    metric, n_experiments, seed, level
        See `aa_test`.

    Returns
    -------
    Series
        Shares of experiments in which the truly better policy was `right` (clearly ahead), `wrong` (clearly behind),
        `ahead` at all (clear or not); and the mean `standard_error`.
    """
    control = worlds.names[0] if control is None else control
    tables = []
    for name in (control, treatment):
        visits = worlds.visits.assign(**{metric: column(worlds.outcomes, name, metric)})
        tables.append(_moments_by_unit(visits, metric, "user", "user"))
    true = np.sign(worlds.effect(metric, treatment, control).difference)
    found = [effects.welch(*arms) for arms in _deals(*tables, n_experiments, seed)]
    difference, error, freedom = (np.concatenate(parts) for parts in zip(*found, strict=True))
    clear = effects.p_values(difference, error, freedom) < 1 - level
    signs = np.sign(difference) * true
    shares = {"right": clear & (signs > 0), "wrong": clear & (signs < 0), "ahead": signs > 0, "standard_error": error}
    return pd.Series({name: float(values.mean()) for name, values in shares.items()})


def peeking(
    visits: Simulation | pd.DataFrame,
    metric: str = "purchases",
    every: int = 1,
    n_experiments: int = 1000,
    seed: int = 0,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Return how often an A/A test has been called significant by somebody who looks every few days.

    Parameters
    ----------
    visits : Simulation or DataFrame
        One row a visit: `user_id, start` and the metric.
    metric : str
    every : int
        Days between looks, counted from the first day; a last look is at the end.
    n_experiments, seed
        See `aa_test`; users are assigned, and are the units of analysis.
    alpha : float

    Returns
    -------
    DataFrame, one row a look
        `day`; `now`, the share of experiments with p < alpha at this look; `ever`, that at this or an earlier one;
        `guarded`, the same as `ever` with alpha divided by the number of looks (Bonferroni), which is safe and timid.
    """
    if every < 1:
        raise ValueError(f"peeking: every={every} days; 1 or more are needed.")
    visits = _table(visits, metric)
    day = (visits["start"].dt.floor("D") - visits["start"].min().floor("D")).dt.days.to_numpy()
    looks = np.unique(np.append(np.arange(every, day.max() + 1, every), day.max() + 1))
    user, values = pd.factorize(visits["user_id"])[0], visits[metric].to_numpy(dtype=np.float64)
    arms = _arms(user.max() + 1, n_experiments, np.random.default_rng(seed))
    p = np.stack([_look(arms, user[day < end], values[day < end]) for end in looks])  # (n_looks, n_experiments)
    p[np.isnan(p)] = 1  # nobody has bought anything yet
    low = np.minimum.accumulate(p, axis=0)
    shares = [(table < bound).mean(axis=1) for table, bound in ((p, alpha), (low, alpha), (low, alpha / len(looks)))]
    return pd.DataFrame(dict(zip(("day", "now", "ever", "guarded"), (looks, *shares), strict=True)))


def _look(arms: np.ndarray, user: np.ndarray, values: np.ndarray) -> np.ndarray:
    """p-values of all experiments with the visits so far."""
    n, came = arms.shape[1], np.unique(user)
    moments = effects.of_units(np.bincount(user, values, n)[came], np.bincount(user, minlength=n)[came])
    treated = arms[:, came].astype(np.float64) @ moments
    with np.errstate(divide="ignore", invalid="ignore"):
        return effects.p_values(*effects.welch(moments.sum(axis=0) - treated, treated))


def _table(visits, metric: str) -> pd.DataFrame:
    visits = visits.sessions if isinstance(visits, Simulation) else visits
    if metric not in visits:
        raise KeyError(f"no outcome {metric!r}; there are {', '.join(map(str, visits.columns))}.")
    return visits


def _moments_by_unit(visits: pd.DataFrame, metric: str, assign_by: str, analyse_by: str) -> np.ndarray:
    """Moments of the units of analysis, summed over each unit of assignment, shape (n_assigned, 6)."""
    user, analysed = (pd.factorize(visits[UNITS[unit]])[0] for unit in (assign_by, analyse_by))
    values = np.bincount(analysed, visits[metric].to_numpy(dtype=np.float64))
    moments = effects.of_units(values, np.bincount(analysed))
    owner = np.empty(len(values), np.int64)
    owner[analysed] = user
    return np.column_stack([np.bincount(owner, column) for column in moments.T])


def _arms(n_units: int, n_experiments: int, rng) -> np.ndarray:
    return rng.random((n_experiments, n_units), dtype=np.float32) < 0.5


def _deals(control: np.ndarray, treatment: np.ndarray, n_experiments: int, seed: int):
    """Yield summed moments of both arms for runs of random deals; tables are of shape (n_units, 6)."""
    if n_experiments < 1 or len(control) < 4:
        raise ValueError(f"{n_experiments} experiments with {len(control)} units: one, and four, are the least.")
    rng, size = np.random.default_rng(seed), max(1, FLOATS // len(control))
    for start in range(0, n_experiments, size):
        arms = _arms(len(control), min(size, n_experiments - start), rng).astype(np.float64)
        yield control.sum(axis=0) - arms @ control, arms @ treatment
