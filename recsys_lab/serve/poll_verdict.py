"""What thirty people can say about models, and what they cannot.

A share of hits s / n has Wilson's interval (Journal of the American Statistical Association 1927)::

    (s + z²/2) / (n + z²)  ±  z / (n + z²) * sqrt(s (n - s) / n + z²/4)

and two models, asked the same questions, are told apart by the people whom only one of them got right (McNemar's
test). With p the share of such people and d the difference of the hit rates, the number of people that shows a true
difference d with a given power is (Connor, Biometrics 1987)::

    n = (z_a sqrt(p) + z_b sqrt(p - d²))² / d²
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

LEVEL, POWER = 0.95, 0.80


def wilson(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's interval of a share; see the head of this module.

    Examples
    --------
    >>> [round(end, 3) for end in wilson(0, 30)], [round(end, 3) for end in wilson(15, 30)]
    ([0.0, 0.114], [0.332, 0.668])
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"wilson: {successes} successes in {trials} trials; 0 <= successes <= trials is needed.")
    low, high = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    return float(low), float(high)


def people_needed(first: np.ndarray, second: np.ndarray, power: float = POWER, level: float = LEVEL) -> int | None:
    """Return how many people tell the observed difference of two models; None where there is none.

    Parameters
    ----------
    first, second : ndarray of bool, shape (n_asked,)
        Hits on the same questions.
    power : float
        Probability to see the difference, if it truly is as large as it was here.
    level : float
        One minus the probability to see one where there is none.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    difference, apart = abs(first.mean() - second.mean()), (first != second).mean()
    if difference == 0:
        return None
    z_a, z_b = stats.norm.isf((1 - level) / 2), stats.norm.isf(1 - power)
    return math.ceil((z_a * math.sqrt(apart) + z_b * math.sqrt(apart - difference**2)) ** 2 / difference**2)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the p-value of McNemar's exact test: how often a fair coin splits those whom one model got right so."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second, 0.5).pvalue)


def verdict(models: Sequence) -> str:
    """Say honestly whether a room can rank the models.

    Parameters
    ----------
    models : sequence of Hits
        Best one first, all asked the same questions (`recsys_lab.serve.poll_report`).
    """
    if len(models) < 2:
        return "Nobody has picked two books yet, so there is nothing to predict."
    first, second = models[:2]
    n, needed = first.n, people_needed(first.hits, second.hits)
    room = f"{n} {'person is' if n == 1 else 'people are'}"
    if needed is None:
        return (
            f"{room} too few to rank these models: {first.name} and {second.name} hit equally often here. "
            "What would tell them apart cannot even be computed from this room."
        )
    gap = 100 * (first.rate - second.rate)
    words = f"{first.name} is {gap:.0f} points ahead of {second.name}"
    p = mcnemar(first.hits, second.hits)
    if p < 1 - LEVEL:
        return (
            f"In this room {words}, more than chance explains (McNemar's exact test, p = {p:.3f}). That holds for "
            f"rooms like this one; it takes about {needed:,} people to see such a difference in four rooms of five."
        )
    return (
        f"{room} too few to rank these models: {words}, which chance alone often does (McNemar's exact test, "
        f"p = {p:.2f}). If the difference were real, about {max(needed, n + 1):,} people would be needed to see it "
        f"with {100 * POWER:.0f} % power."
    )
