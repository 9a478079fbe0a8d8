"""Right and wrong answers to the exercises of lab 03."""

import time
from itertools import takewhile

import numpy as np
import pandas as pd
from proof import Proof
from scipy import special, stats

from recsys_lab import rates

PROOF: dict[str, Proof] = {}


def _recent_numpy(ages, half_life, window, keep=np.less_equal, base=2.0):
    ages = np.asarray(ages, dtype=float)
    return (base ** (-ages / half_life) * keep(ages, window)).sum()


def _recent_loop(ages, half_life, window):
    total = 0
    for age in ages:
        if age > window:
            continue
        total += np.exp(-np.log(2) * age / half_life)
    return total


PROOF["recent_count"] = Proof(
    right=[
        _recent_numpy,
        _recent_loop,
        lambda ages, h, w: pd.Series(ages, dtype=float).where(lambda age: age <= w).rdiv(-h).pow(-1).rpow(2).sum(),
    ],
    wrong=[
        (lambda ages, h, w: _recent_numpy(ages, h, w, base=np.e), "exp(-age / half_life)"),
        (lambda ages, h, w: _recent_numpy(ages, h, w, keep=np.less), "exactly as old"),
        (lambda ages, h, w: _recent_numpy(ages, h, np.inf), "ignore the window"),
        (lambda ages, h, w: sum(age <= w for age in ages), "ignore the half-life"),
        (lambda ages, h, w: _recent_numpy(ages, 1, w), "once a day"),
        (lambda ages, h, w: _recent_numpy(ages, -h, w), "wrong sign"),
        (lambda ages, h, w: sum(0.5**age / h for age in ages if age <= w), "Brackets"),
        (lambda ages, h, w: sum(0.5 ** int(age / h) for age in ages if age <= w), "in steps"),
        (lambda ages, h, w: [0.5 ** (age / h) for age in ages if age <= w], "one number is needed"),
        (lambda ages, h, w: np.mean([0.5 ** (age / h) for age in ages if age <= w] or [0]), "the mean of the weights"),
        (lambda ages, h, w: 1.75, "the same answer (1.75)"),
        (lambda ages, h, w: sum(0.5 ** (age / h) for age in takewhile(lambda age: age <= w, ages)), "the first view"),
        (lambda ages, h, w: sum(0.5 ** (age / h) for age in ages if age / h <= w), "the window is in days"),
        (lambda ages, h, w: round(_recent_numpy(ages, h, w), 2), "You round the count"),
        (lambda ages, h, w: round(_recent_numpy(ages, h, w), 5), "You round the count"),
        (lambda ages, h, w: _recent_numpy(ages, int(h), w), "20 days are too long ago"),
        (lambda ages, h, w: _recent_numpy(ages, h, int(w)), "30.4 days are inside"),
        (lambda ages, h, w: _recent_numpy(ages[:10], h, w), "1 of 10 others do not"),
        (lambda ages, h, w: _recent_numpy(list(set(ages)), h, w), "others do not"),
    ],
)


def _moments_solved(mean, variance):
    """Solve the two equations for a and b by eliminating b."""
    a = mean**2 * (1 - mean) / variance - mean
    return np.array([a, a / mean - a])


def _strength(mean, variance, shift=-1.0):
    strength = mean * (1 - mean) / variance + shift
    return [mean * strength, strength - mean * strength]


def _sum_of(mean, variance):
    return sum(_strength(mean, variance))


PROOF["beta_from_moments"] = Proof(
    right=[_moments_solved, lambda mean, variance: pd.Series({"a": 1, "b": 1}) * _moments_solved(mean, variance)],
    wrong=[
        (lambda m, v: _strength(m, v, 0), "forgot the - 1"),
        (lambda m, v: _strength(m, v, 1), "You added 1"),
        (lambda m, v: _strength(m, v)[::-1], "swapped"),
        (lambda m, v: (m, sum(_strength(m, v))), "mean and strength"),
        (lambda m, v: (_strength(m, v)[0], sum(_strength(m, v))), "whole strength"),
        (lambda m, v: _strength(m, np.sqrt(v)), "square root"),
        (lambda m, v: sum(_strength(m, v)), "a pair (a, b) is needed"),
        (lambda m, v: (*_strength(m, v), 0), "3 numbers came back"),
        (lambda m, v: {2.0, 3.0}, "no order"),
        (lambda m, v: [max(_sum_of(m, v), 1) * share for share in (m, 1 - m)], "a + b is 0.5"),
        (lambda m, v: [min(_sum_of(m, v), 1000) * share for share in (m, 1 - m)], "a + b is 5,000"),
        (lambda m, v: np.subtract(_strength(m, v, 0), 1), "1 from a and 1 from b"),
        (lambda m, v: [_sum_of(m, v) / 2] * 2, "share the strength equally"),
        (lambda m, v: np.round(_strength(m, v), 2), "You round a and b"),
        (lambda m, v: [int(x) for x in _strength(m, v)], "You round a and b"),
        (lambda m, v: stats.beta(*_strength(m, v)), "its two numbers"),
    ],
)


def _posterior_by_counting(carts, views, a, b):
    for number in range(views):
        a, b = (a + 1, b) if number < carts else (a, b + 1)
    return [a, b]


PROOF["posterior"] = Proof(
    right=[
        _posterior_by_counting,
        lambda carts, views, a, b: np.concatenate(rates.posterior([carts], [views], (a, b))),
        lambda carts, views, a, b: pd.Series([a, b]).add([carts, views - carts]),
    ],
    wrong=[
        (lambda c, v, a, b: (c + a, v + b), "still the shop's version"),
        (lambda c, v, a, b: (c, v - c), "lost the prior"),
        (lambda c, v, a, b: (c + 1, v - c + 1), "always (1, 1)"),
        (lambda c, v, a, b: (b + v - c, a + c), "b before a"),
        (lambda c, v, a, b: (a + v - c, b + c), "swapped"),
        (lambda c, v, a, b: (a + c, b + v - c - c), "take the carts away"),
        (lambda c, v, a, b: (a + c) / (a + b + v), "a pair (a, b) is needed"),
        (lambda c, v, a, b: ((a + c) / (a + b + v), (b + v - c) / (a + b + v)), "not the two parameters"),
        (lambda c, v, a, b: (c + a, b), "Your b does not grow"),
        (lambda c, v, a, b: (c + a, a + b + v), "starts from a + b"),
        (lambda c, v, a, b: (c + a // 1, v - c + b // 1), "whole numbers"),
        (lambda c, v, a, b: stats.beta(a=a + c, b=b + v - c), "its two numbers"),
        (lambda c, v, a, b: (a + c, b + v - c) if c else (a, b), "one view that did not end"),
    ],
)


def _bound_by_sorting(carts, views, a, b, level=0.95, miss=None):
    fails = views - carts if miss is None else miss
    bound = special.betaincinv(a + carts, b + fails, 1 - level)
    return sorted(range(len(carts)), key=lambda i: -bound[i])


def _bounds_of(carts, views, a, b):
    return special.betaincinv(a + carts, b + views - carts, 0.05)


def _bound_of_a_normal(carts, views, a, b):
    mean, n = (a + carts) / (a + b + views), a + b + views
    return np.argsort(1.645 * np.sqrt(mean * (1 - mean) / (n + 1)) - mean)


PROOF["rank_by_lower_bound"] = Proof(
    right=[
        _bound_by_sorting,
        lambda carts, views, a, b: (
            pd.Series(rates.lower_bound(carts, views, (a, b))).sort_values(ascending=False).index
        ),
        lambda carts, views, a, b: np.argsort(
            [stats.beta(a + c, b + v - c).isf(0.95) for c, v in zip(carts, views, strict=True)]
        )[::-1],
    ],
    wrong=[
        (lambda c, v, a, b: _bound_by_sorting(c, v, a, b, level=0.05), "the upper bound"),
        (lambda c, v, a, b: _bound_by_sorting(c, v, a, b, level=0.975), "2.5 % quantile"),
        (lambda c, v, a, b: _bound_by_sorting(c, v, a, b)[::-1], "sorts upwards"),
        (_bound_of_a_normal, "as if the posterior were symmetric"),
        (lambda c, v, a, b: _bound_by_sorting(c, v, a, b, miss=v), "mistake of exercise 3.3"),
        (lambda c, v, a, b: np.argsort(-(c + a) / (v + a + b), kind="stable"), "the mean of the posterior"),
        (lambda c, v, a, b: np.argsort(-c / np.maximum(v, 1), kind="stable"), "raw rate"),
        (lambda c, v, a, b: np.argsort(-c, kind="stable"), "number of carts"),
        (lambda c, v, a, b: special.betaincinv(a + c, b + v - c, 0.05), "You return the bounds"),
        (lambda c, v, a, b: set(_bound_by_sorting(c, v, a, b)), "no order"),
        (lambda c, v, a, b: np.arange(len(c)), "that of 1 in 1 is 0.22"),
        (lambda c, v, a, b: _bound_by_sorting(c, v, a, b)[:20], "Some books are missing"),
        (lambda c, v, a, b: _bound_by_sorting(c, v, a, b)[:10], "Some books are missing"),
        (lambda c, v, a, b: sorted(_bounds_of(c, v, a, b), reverse=True), "the bounds, sorted"),
        (lambda c, v, a, b: pd.Series(_bounds_of(c, v, a, b)).sort_values(ascending=False), "in its .index"),
        (lambda c, v, a, b: [i + 1 for i in _bound_by_sorting(c, v, a, b)], "count books from 1"),
        (lambda c, v, a, b: _bound_by_sorting(c, v, b, a), "two of the prior are swapped"),
        (lambda c, v, a, b: _bound_by_sorting(v - c, v, b, a), "two of the posterior are swapped"),
        (lambda c, v, a, b: _bound_by_sorting(c, v, 1, 1), "always Beta(1, 1)"),
    ],
)


def _shares_by_loop(a, b, n_draws, seed):
    rng, first = np.random.default_rng(seed + 1), [0] * len(a)
    for _ in range(n_draws):
        draws = [rng.beta(*pair) for pair in zip(a, b, strict=True)]
        first[draws.index(max(draws))] += 1
    return [n / n_draws for n in first]


def _shares_by_scipy(a, b, n_draws, seed):
    draws = stats.beta.rvs(a, b, size=(n_draws, len(a)), random_state=seed)
    return (draws == draws.max(axis=1, keepdims=True)).mean(axis=0)


def _shares_of_rates(a, b, n_draws, seed):
    rng = np.random.default_rng(seed)
    first = pd.Series([rates.thompson(a - 0.1, a + b - 0.2, (0.1, 0.1), rng).argmax() for _ in range(n_draws)])
    return first.value_counts(normalize=True).reindex(range(len(a)), fill_value=0)


def _shares_by_gammas(a, b, n_draws, seed):
    """A Beta is a share of two gammas."""
    rng = np.random.RandomState(seed)
    up, down = rng.gamma(a[:, None], size=(len(a), n_draws)), rng.gamma(b[:, None], size=(len(a), n_draws))
    return pd.Series(np.bincount((up / (up + down)).argmax(axis=0), minlength=len(a))) / n_draws


def _winners(a, b, n_draws, seed):
    return stats.beta.rvs(a, b, size=(n_draws, len(a)), random_state=seed).argmax(axis=1)


def _shares_with_one_generator_each(a, b, n_draws, seed):
    drawn = [stats.beta.rvs(x, y, size=n_draws, random_state=seed) for x, y in zip(a, b, strict=True)]
    return np.bincount(np.argmax(drawn, axis=0), minlength=len(a)) / n_draws


def _shares_of_normals(a, b, n_draws, seed):
    drawn = np.random.RandomState(seed).normal(stats.beta.mean(a, b), stats.beta.std(a, b), (n_draws, len(a)))
    return np.bincount(drawn.argmax(axis=1), minlength=len(a)) / n_draws


def _shares_anew(a, b, n_draws, seed):
    best = [np.random.default_rng(seed).beta(a, b).argmax() for _ in range(n_draws // 20)]
    return np.bincount(best, minlength=len(a)) / len(best)


PROOF["first_place_shares"] = Proof(
    right=[_shares_by_loop, _shares_by_scipy, _shares_of_rates, _shares_by_gammas],
    wrong=[
        (lambda a, b, n, s: np.eye(len(a))[(a / (a + b)).argmax()], "highest mean"),
        (lambda a, b, n, s: a / (a + b) / (a / (a + b)).sum(), "means of the posteriors"),
        (
            lambda a, b, n, s: stats.beta.rvs(a, b, size=(n, len(a)), random_state=s).mean(axis=0),
            "You average the draws",
        ),
        (lambda a, b, n, s: _shares_by_scipy(a, b, n, s) * n, "You count rounds"),
        (lambda a, b, n, s: _shares_by_scipy(a, b, n, time.time_ns() % 10**6), "The same seed"),
        (lambda a, b, n, s: _shares_by_scipy(a, b, n, s).argmax(), "a share for each book is needed"),
        (lambda a, b, n, s: np.full(len(a), 1 / len(a)), "it comes first in every round"),
        (lambda a, b, n, s: np.bincount(_winners(a, b, n, s)) / n, "never come first are missing"),
        (
            lambda a, b, n, s: pd.Series(_winners(a, b, n, s)).value_counts(normalize=True).sort_index(),
            "never come first are missing",
        ),
        (lambda a, b, n, s: pd.Series(_winners(a, b, n, s)).value_counts(normalize=True), "as value_counts sorts"),
        (lambda a, b, n, s: np.histogram(_winners(a, b, n, s), bins=len(a))[0] / n, "the third never comes first"),
        (lambda a, b, n, s: 100 * _shares_by_scipy(a, b, n, s), "in percent"),
        (lambda a, b, n, s: _shares_by_scipy(b, a, n, s), "a and b are swapped"),
        (_shares_anew, "one generator, before the loop"),
        (_shares_with_one_generator_each, "Your books draw together"),
        (_shares_of_normals, "not symmetric"),
        (lambda a, b, n, s: _shares_by_scipy(a // 1 + 1e-9, b // 1 + 1e-9, n, s), "0.30 of the rounds"),
        (lambda a, b, n, s: _shares_by_scipy(a, b, n, 0), "Five seeds"),
        (lambda a, b, n, s: _shares_by_scipy(a, b, n // 4, s), "play all n_draws rounds"),
        (lambda a, b, n, s: _shares_by_scipy(a, b, n - 1, s) * (n - 1) / n, "play all n_draws rounds"),
        (lambda a, b, n, s: np.round(_shares_by_scipy(a, b, n, s), 1), "others do not"),
    ],
)


PROOF["rise"] = Proof(
    right=[
        lambda r, b, dr, db, k: (r + k) / np.float64(b / db * dr + k),
        lambda r, b, dr, db, k: np.divide(db * (r + k), b * dr + k * db),
    ],
    wrong=[
        (lambda r, b, dr, db, k: (r + k) / (b + k), "a few days with many"),
        (lambda r, b, dr, db, k: r / (b / db * dr + k), "only below"),
        (lambda r, b, dr, db, k: (r + k) / ((b + k) / db * dr), "then scale it too"),
        (lambda r, b, dr, db, k: r - b / db * dr, "difference"),
        (lambda r, b, dr, db, k: (b / db * dr + k) / (r + k), "Upside down"),
        (lambda r, b, dr, db, k: (r / dr + k) / (b / db + k), "views a day"),
        (lambda r, b, dr, db, k: r / (b / db * dr), "You left k out"),
        (lambda r, b, dr, db, k: r + k / (b / db * dr + k), "the k above belongs"),
        (lambda r, b, dr, db, k: (k + r) / (b / db * dr) + k, "the k below belongs"),
        (lambda r, b, dr, db, k: r + k / (b / db * dr) + k, "both k"),
        (lambda r, b, dr, db, k: (r + k) / (b / db * dr), "only above"),
        (lambda r, b, dr, db, k: (r + k) / ((r + b) / (db + dr) * dr + k), "compared with itself"),
        (lambda r, b, dr, db, k: (r + k) / (b / (db + dr) * dr + k), "does not hold the recent days"),
        (lambda r, b, dr, db, k: (k + r) / (dr * b // db + k), "whole numbers (//)"),
    ],
)
