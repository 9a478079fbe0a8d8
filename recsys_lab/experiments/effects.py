"""What a treatment changes, with an interval: means of two arms, their difference, their ratio.

An arm's mean is a ratio of sums over its units u (users, or visits), ``R = Σ y_u / Σ m_u``, with m_u visits each. Its
variance by the delta method (Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018)::

    Var R = n / (Σ m_u)²  ·  1 / (n - 1)  ·  Σ (y_u - R m_u)²        m_u = 1 for all:  s² / n

The difference of two arms is Welch's t-test (Biometrika 1947): variances add, degrees of freedom after Satterthwaite.
The lift ``T / C - 1`` has the variance ``Var T / C² + T² Var C / C⁴``, the delta method again. It is good while the
control's mean lies many standard errors away from 0.

Where both worlds are known for the same units (`paired_effect`), what one unit is like cancels out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats


class Effect(NamedTuple):
    """Treatment against control, per visit.

    Attributes
    ----------
    control, treatment : float
        Means.
    difference, low, high : float
        Treatment minus control, and its interval.
    lift, lift_low, lift_high : float
        The same as a share of the control's mean; NaN where that is 0.
    p_value : float
        Two-sided, for no difference; NaN where nothing varies.
    standard_error : float
        Of the difference.
    n_control, n_treatment : int
        Units.
    level : float
    """

    control: float
    treatment: float
    difference: float
    low: float
    high: float
    lift: float
    lift_low: float
    lift_high: float
    p_value: float
    standard_error: float
    n_control: int
    n_treatment: int
    level: float

    @property
    def clear(self) -> bool:
        """Whether the interval of the difference leaves out zero."""
        return self.low > 0 or self.high < 0

    def detectable(self, power: float = 0.8) -> float:
        """Return the difference that a test of this size finds with this probability: (z_level + z_power) · SE."""
        return (_z(self.level) + stats.norm.ppf(_probability("power", power))) * self.standard_error


def effect(control, treatment, control_visits=None, treatment_visits=None, level: float = 0.95) -> Effect:
    """Compare two arms of different units.

    Parameters
    ----------
    control, treatment : array-like of float, shape (n_units,) each
        What each unit did, in all its visits together.
    control_visits, treatment_visits : array-like of int, shape (n_units,), optional
        How many visits that were; by default one each, which is Welch's t-test.
    level : float

    Returns
    -------
    Effect

    Raises
    ------
    ValueError
        If an arm has fewer than two units.

    Examples
    --------
    >>> found = effect([1, 2, 3, 4], [3, 4, 5, 8])
    >>> found.difference, round(found.p_value, 3)
    (2.5, 0.105)
    """
    arms = [of_units(control, control_visits), of_units(treatment, treatment_visits)]
    if min(len(arm) for arm in arms) < 2:
        raise ValueError("effect: each arm needs at least two units; with one, nobody knows how much units differ.")
    return from_moments(arms[0].sum(axis=0), arms[1].sum(axis=0), level)


def paired_effect(control, treatment, visits=None, level: float = 0.95) -> Effect:
    """Compare two worlds on the same units: a t-test of the differences; see `effect` for the arguments."""
    y0, y1 = (np.asarray(y, dtype=np.float64) for y in (control, treatment))
    m = np.ones(len(y0)) if visits is None else np.asarray(visits, dtype=np.float64)
    if not y0.shape == y1.shape == m.shape or len(y0) < 2:
        raise ValueError(f"paired_effect: not the same units, or fewer than two: {y0.shape}, {y1.shape}, {m.shape}.")
    n, total = len(m), m.sum()
    c, t = y0.sum() / total, y1.sum() / total
    error = _spread(y1 - y0 - (t - c) * m) / total
    lift, lift_error = (t / c - 1, _spread(y1 - t / c * y0) / y0.sum()) if c else (np.nan, np.nan)
    return _effect(c, t, error, lift, lift_error, n - 1, (n, n), level)


def _spread(residuals: np.ndarray) -> float:
    """Standard error of a sum of units whose residuals these are."""
    n = len(residuals)
    return float(np.sqrt(n / (n - 1) * (residuals**2).sum()))


def of_units(values, visits=None) -> np.ndarray:
    """Return what `from_moments` sums up: 1, y, m, y², m², ym of each unit; float64, shape (n_units, 6)."""
    y = np.asarray(values, dtype=np.float64)
    m = np.ones(len(y)) if visits is None else np.asarray(visits, dtype=np.float64)
    if y.shape != m.shape or not np.isfinite(y).all() or (m <= 0).any():
        raise ValueError(f"values of shape {y.shape} for visits of shape {m.shape}: one finite value a unit is needed.")
    return np.column_stack([np.ones(len(y)), y, m, y * y, m * m, y * m])


def mean_and_variance(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean R and Var R of arms from their summed moments, shape (..., 6); formula at the head of this module."""
    n, y, m, yy, mm, ym = np.moveaxis(np.asarray(moments), -1, 0)
    ratio = y / m
    squares = np.maximum(yy - 2 * ratio * ym + ratio**2 * mm, 0)
    return ratio, squares / (n - 1) * n / m**2


def welch(control: np.ndarray, treatment: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference, standard error and degrees of freedom of many pairs of arms, from moments of shape (..., 6)."""
    (c, var_c), (t, var_t) = mean_and_variance(control), mean_and_variance(treatment)
    total = var_c + var_t
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = total**2 / (var_c**2 / (control[..., 0] - 1) + var_t**2 / (treatment[..., 0] - 1))
    return t - c, np.sqrt(total), freedom


def p_values(difference, error, freedom) -> np.ndarray:
    """Two-sided p-values of `welch`'s answer; NaN where nothing varies."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * stats.t.sf(np.abs(difference) / error, freedom)


def from_moments(control: np.ndarray, treatment: np.ndarray, level: float = 0.95) -> Effect:
    """Return the effect from two arms' summed moments, shape (6,) each (`of_units`)."""
    (c, var_c), (t, var_t) = mean_and_variance(control), mean_and_variance(treatment)
    _, error, freedom = welch(control, treatment)
    lift, lift_error = (t / c - 1, np.sqrt(var_t / c**2 + t**2 * var_c / c**4)) if c else (np.nan, np.nan)
    return _effect(c, t, error, lift, lift_error, freedom, (control[0], treatment[0]), level)


def _effect(c, t, error, lift, lift_error, freedom, n, level) -> Effect:
    reach = stats.t.ppf((1 + _probability("level", level)) / 2, freedom) if error > 0 else np.nan
    numbers = (c, t, t - c, t - c - reach * error, t - c + reach * error)
    numbers += (lift, lift - reach * lift_error, lift + reach * lift_error, p_values(t - c, error, freedom), error)
    return Effect(*map(float, numbers), *map(int, n), float(level))


def interval(moments: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of one arm with its t interval, from summed moments of shape (6,)."""
    mean, variance = mean_and_variance(moments)
    reach = stats.t.ppf((1 + level) / 2, moments[0] - 1) * np.sqrt(variance)
    return float(mean), float(mean - reach), float(mean + reach)


def sample_size(sd: float, difference: float, power: float = 0.8, level: float = 0.95) -> int:
    """Return how many units each of two arms needs: ``2 (z_level + z_power)² sd² / difference²``.

    Parameters
    ----------
    sd : float
        Standard deviation between units.
    difference : float
        What one would not like to miss; not 0.
    power : float
        Probability of finding it.
    level : float
        1 minus the rate of false alarms.

    Examples
    --------
    >>> sample_size(sd=1.0, difference=0.1)     # "16 sd² / difference²", the rule of thumb
    1570
    """
    if difference == 0 or sd <= 0:
        raise ValueError(f"sample_size: sd={sd} has to be positive and difference={difference} not 0.")
    z = _z(level) + stats.norm.ppf(_probability("power", power))
    return int(np.ceil(2 * (z * sd / difference) ** 2))


def _z(level: float) -> float:
    return float(stats.norm.ppf((1 + _probability("level", level)) / 2))


def _probability(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"{name}={value!r}: a probability between 0 and 1 is needed, such as 0.95.")
    return value
