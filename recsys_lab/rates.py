"""Rates from few trials: what two clicks of three views are worth, given what the catalogue is like.

An item was tried n times and s of them succeeded (views and purchases, impressions and clicks). Its raw rate s / n is
1 after a single lucky trial. The Beta-Bernoulli model puts a prior under all items of a catalogue::

    rate_i ~ Beta(a, b)                      what rates are like here: mean a / (a + b), strength a + b
    s_i    ~ Binomial(n_i, rate_i)           what was seen of item i
    rate_i | s_i, n_i  ~  Beta(a + s_i, b + n_i - s_i)

The prior counts like a + b trials made before the first one. It is fitted to the catalogue itself ("empirical Bayes"):
by moments (Kleinman, JASA 1973) or by maximum likelihood of the beta-binomial distribution. The hyperprior is that of
Gelman et al., "Bayesian Data Analysis", section 5.3, made proper.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

STRENGTHS = (1e-4, 1e8)  # the range in which a + b is looked for
INSTEAD = "Fix: fit_likelihood(..., hyperprior=True), which always gives a prior, or a pair (a, b) of your own."


class BetaPrior(NamedTuple):
    """A Beta distribution of rates.

    Examples
    --------
    >>> prior = BetaPrior(2.0, 18.0)
    >>> prior.mean, prior.strength
    (0.1, 20.0)
    """

    a: float
    b: float

    @property
    def mean(self) -> float:
        """Mean rate, a / (a + b)."""
        return self.a / (self.a + self.b)

    @property
    def strength(self) -> float:
        """How many trials the prior counts like, a + b."""
        return self.a + self.b


def fit_moments(successes, trials) -> BetaPrior:
    """Fit a prior by the mean and the spread of the items' rates.

    Raw rates spread for two reasons: the items differ, and chance. Of the variance of s_i / n_i about the mean m,
    chance takes ``m (1 - m) (1 - rho) / n_i`` and the items ``m (1 - m) rho``, with ``rho = 1 / (a + b + 1)``. Items
    are weighted by how much each one tells, ``n_i / (1 + rho (n_i - 1))``, in turns with rho until it stands still.

    Parameters
    ----------
    successes, trials : array-like of int, shape (n_items,)
        Items without trials are left out.

    Returns
    -------
    BetaPrior

    Raises
    ------
    ValueError
        If the counts are impossible, or the items do not spread more than chance alone makes them.
    """
    s, n = _tried(successes, trials)
    rate, rho = s / n, 0.0
    for _ in range(100):
        weight = n / (1 + rho * (n - 1))
        total = weight.sum()
        mean = (weight * rate).sum() / total
        unit = mean * (1 - mean)
        spread = (weight * (rate - mean) ** 2).sum()
        share = weight * (1 - weight / total)  # what is left of each item's variance once the mean is fitted
        by_chance, by_items = unit * (share / n).sum(), unit * (share * (1 - 1 / n)).sum()
        if by_items <= 0 or spread <= by_chance * (1 + 1e-9):
            raise ValueError(_no_spread("fit_moments", n))
        before, rho = rho, (spread - by_chance) / by_items
        if rho >= 1:
            raise ValueError(f"fit_moments: rates are all 0 or 1, and no Beta prior spreads so far. {INSTEAD}")
        if abs(rho - before) < 1e-10:
            break
    strength = 1 / rho - 1
    return BetaPrior(float(mean * strength), float((1 - mean) * strength))


def fit_likelihood(successes, trials, hyperprior: bool = False) -> BetaPrior:
    """Fit the prior under which the counts are most likely (beta-binomial likelihood).

    Parameters
    ----------
    successes, trials : array-like of int, shape (n_items,)
        Items without trials are left out.
    hyperprior : bool
        Take the mode under a weak hyperprior instead: every mean is as likely, and the strength a + b has the density
        ``(1 + a + b)^(-3/2) / 2``. With thousands of items it changes next to nothing; with a dozen it keeps the prior
        finite where the likelihood alone would say that all items are alike.

    Returns
    -------
    BetaPrior

    Raises
    ------
    ValueError
        If the counts are impossible or, without a hyperprior, the items do not spread more than chance alone makes
        them: then the likelihood grows for ever with a + b.
    """
    s, n = _tried(successes, trials)
    if not hyperprior:
        mean = s.sum() / n.sum()
        # the slope of the likelihood where a + b is infinite (Tarone, Biometrika 1979): not above 0, no maximum
        if ((s - n * mean) ** 2).sum() <= mean * (1 - mean) * n.sum() * (1 + 1e-9):
            raise ValueError(_no_spread("fit_likelihood", n))
    pairs, times = np.unique(np.column_stack([s, n]), axis=0, return_counts=True)
    start = np.array([special.logit((s.sum() + 0.5) / (n.sum() + 1)), np.log(10.0)])
    bounds = [(-30, 30), tuple(np.log(STRENGTHS))]
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000}
    scale = float(times.sum())  # a loss per item, so that the tolerances mean the same for every catalogue
    found = optimize.minimize(
        _loss, start, (*pairs.T, times / scale, hyperprior / scale), jac=True, bounds=bounds, options=options
    )
    mean, strength = special.expit(found.x[0]), np.exp(found.x[1])
    return BetaPrior(float(mean * strength), float((1 - mean) * strength))


def log_likelihood(successes, trials, prior) -> float:
    """Log-likelihood of the counts under a prior, summed over the items (`scipy.stats.betabinom`)."""
    s, n = counts(successes, trials)
    a, b = checked_prior(prior)
    ways = -np.log(n + 1) - special.betaln(s + 1, n - s + 1)  # log of n over s
    return float((ways + special.betaln(a + s, b + n - s) - special.betaln(a, b)).sum())


def posterior(successes, trials, prior) -> tuple[np.ndarray, np.ndarray]:
    """Return the two parameters of each item's posterior, ``a + s`` and ``b + n - s``, each of shape (n_items,).

    Examples
    --------
    >>> posterior([2, 0], [3, 0], (1, 9))
    (array([3., 1.]), array([10.,  9.]))
    """
    s, n = counts(successes, trials)
    a, b = checked_prior(prior)
    return a + s, b + n - s


def posterior_mean(successes, trials, prior) -> np.ndarray:
    """Return ``(a + s) / (a + b + n)`` of each item.

    It is the raw rate, pulled towards the prior's mean, and the more so the fewer the trials.

    Examples
    --------
    >>> posterior_mean([1, 30], [1, 100], (1, 9)).round(3)
    array([0.182, 0.282])
    """
    a, b = posterior(successes, trials, prior)
    return a / (a + b)


def credible_interval(successes, trials, prior, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of each item's equal-tailed interval: the rate lies in it with probability `level`.

    Examples
    --------
    >>> low, high = credible_interval([3], [3], (1, 1))
    >>> low.round(3), high.round(3)
    (array([0.398]), array([0.994]))
    """
    tail = (1 - _checked_level(level)) / 2
    a, b = posterior(successes, trials, prior)
    return stats.beta.ppf(tail, a, b), stats.beta.isf(tail, a, b)


def lower_bound(successes, trials, prior, level: float = 0.95) -> np.ndarray:
    """Return what each item's rate exceeds with probability `level`; ranking by it asks for evidence first."""
    return stats.beta.ppf(1 - _checked_level(level), *posterior(successes, trials, prior))


def thompson(successes, trials, prior, rng: np.random.Generator) -> np.ndarray:
    """Draw a rate for each item from its posterior, shape (n_items,) (Thompson, Biometrika 1933).

    Ranked by such a draw, each item comes first as often as it is probably the best one: what is hardly known gets its
    chance, what is known to be bad does not.

    Parameters
    ----------
    successes, trials : array-like of int, shape (n_items,)
    prior : BetaPrior or pair
    rng : numpy.random.Generator
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"thompson: rng is {type(rng).__name__}. Fix: numpy.random.default_rng(seed), made once")
    return rng.beta(*posterior(successes, trials, prior))


def counts(successes, trials) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float arrays of one shape; ValueError where the counts are impossible."""
    s, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if s.shape != n.shape:
        raise ValueError(f"successes have shape {s.shape}, trials {n.shape}: one of each for every item is needed.")
    for name, values in (("successes", s), ("trials", n)):
        wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
        if len(wrong):
            raise ValueError(f"{name} of item {wrong[0]} are {values.flat[wrong[0]]}; counts from 0 up are needed.")
    wrong = np.flatnonzero(s > n)
    if len(wrong):
        i = wrong[0]
        raise ValueError(
            f"item {i} has {s.flat[i]:g} successes in {n.flat[i]:g} trials. Fix: are the two swapped, or do trials "
            "count something else than what can succeed?"
        )
    return s, n


def checked_prior(prior) -> BetaPrior:
    """Return a pair as a `BetaPrior`; ValueError if it is none."""
    try:
        a, b = (float(x) for x in prior)
    except (TypeError, ValueError):
        raise ValueError(f"the prior is {prior!r}; a pair (a, b) of positive numbers is needed.") from None
    if not (0 < a < np.inf and 0 < b < np.inf):
        raise ValueError(f"the prior is ({a:g}, {b:g}); a pair (a, b) of positive numbers is needed.")
    return BetaPrior(a, b)


def _tried(successes, trials) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the items with trials, flat."""
    s, n = counts(successes, trials)
    s, n = s[n > 0], n[n > 0]
    if len(n) == 0:
        raise ValueError("no item has a trial, so there is nothing to fit a prior to. Fix: a pair (a, b) of your own.")
    return s, n


def _no_spread(name: str, n: np.ndarray) -> str:
    why = "every item has been tried once" if n.max() == 1 else "rates spread no more than chance alone makes them"
    return f"{name}: {why} ({len(n)} items), so how much they differ cannot be told. {INSTEAD}"


def _loss(x, s, n, times, hyperprior) -> tuple[float, np.ndarray]:
    """Minus log posterior of (logit of the mean, log of the strength), and its gradient."""
    mean, strength = special.expit(x[0]), np.exp(x[1])
    a, b = mean * strength, (1 - mean) * strength
    value = times @ (special.betaln(a + s, b + n - s) - special.betaln(a, b))
    common = special.digamma(a + b) - special.digamma(a + b + n)
    by_a = times @ (special.digamma(a + s) - special.digamma(a) + common)
    by_b = times @ (special.digamma(b + n - s) - special.digamma(b) + common)
    slope = np.array([(by_a - by_b) * strength * mean * (1 - mean), by_a * a + by_b * b])
    # densities on this scale: m (1 - m) for a uniform mean, strength (1 + strength)^(-3/2) for the strength
    value += hyperprior * (np.log(mean) + np.log1p(-mean) + x[1] - 1.5 * np.log1p(strength))
    slope += hyperprior * np.array([1 - 2 * mean, 1 - 1.5 * strength / (1 + strength)])
    return -value, -slope


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}: a probability between 0 and 1 is needed, such as 0.95.")
    return level
