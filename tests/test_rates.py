"""Rates from few trials: priors recovered, intervals that cover, scipy as the oracle, and errors in words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from recsys_lab import rates

PRIORS = [(2.0, 30.0), (1.5, 60.0), (5.0, 20.0)]
counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12)
positive = st.floats(0.05, 200)


def catalogue(prior, n_items, seed):
    """Items with views as uneven as in a shop: their true rates, successes and trials."""
    rng = np.random.default_rng(seed)
    trials = 1 + rng.lognormal(np.log(400), 1.2, n_items).astype(int)
    rate = rng.beta(*prior, n_items)
    return rate, rng.binomial(trials, rate), trials


def split(pairs):
    return np.array([s for s, _ in pairs]), np.array([s + f for s, f in pairs])


@pytest.mark.parametrize("fit", [rates.fit_moments, rates.fit_likelihood])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("seed", range(4))
def test_a_prior_is_recovered_within_ten_percent(fit, prior, seed):
    _, successes, trials = catalogue(prior, 2000, seed)
    assert fit(successes, trials) == pytest.approx(prior, rel=0.1)


@pytest.mark.parametrize("prior", PRIORS)
def test_moments_that_forget_chance_would_be_caught(prior):
    """Without its correction for chance the test above would fail: few views, and the textbook formula."""
    _, successes, trials = catalogue(prior, 2000, 0)
    trials = np.minimum(trials, 30)
    successes = np.random.default_rng(0).binomial(trials, np.random.default_rng(1).beta(*prior, 2000))
    raw = successes / trials
    naive = raw.mean() * (1 - raw.mean()) / raw.var() - 1
    assert naive < 0.7 * sum(prior)
    for fit in (rates.fit_moments, rates.fit_likelihood):
        assert fit(successes, trials).strength == pytest.approx(sum(prior), rel=0.25)


def test_moments_by_hand():
    """Equal trials: m = 0.5, mean square 0.125; chance has m(1-m)(1-rho)/4 of it (the mean's own share is 1/4)."""
    prior = rates.fit_moments([0, 2, 2, 4], [4, 4, 4, 4])
    # 4 items: S = w * 0.5, w = 1; expected S = 3 w m(1-m) (rho + (1 - rho)/4) -> 0.5 = 0.75 (0.25 + 0.75 rho)
    rho = (0.5 / 0.75 - 0.25) / 0.75
    assert prior.strength == pytest.approx(1 / rho - 1)
    assert prior.mean == pytest.approx(0.5)


def test_the_likelihood_is_that_of_scipy():
    _, successes, trials = catalogue((2, 30), 50, 0)
    for a, b in [(2, 30), (0.3, 1.7), (400, 3)]:
        expected = stats.betabinom.logpmf(successes, trials, a, b).sum()
        assert rates.log_likelihood(successes, trials, (a, b)) == pytest.approx(expected)


@pytest.mark.parametrize("hyperprior", [False, True])
def test_the_fit_is_where_a_plain_search_ends(hyperprior):
    _, successes, trials = catalogue((2, 30), 60, 1)

    def loss(x):
        a, b = np.exp(x)
        mean, strength = a / (a + b), a + b
        weak = np.log(mean * (1 - mean) * strength) - 1.5 * np.log(1 + strength)
        return -stats.betabinom.logpmf(successes, trials, a, b).sum() - hyperprior * weak

    found = optimize.minimize(loss, [0, 0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10})
    assert rates.fit_likelihood(successes, trials, hyperprior) == pytest.approx(np.exp(found.x), rel=1e-4)


def test_the_hyperprior_is_weak_with_many_items_and_finite_with_none_that_differ():
    _, successes, trials = catalogue((2, 30), 2000, 2)
    plain, weak = (rates.fit_likelihood(successes, trials, h) for h in (False, True))
    assert weak == pytest.approx(plain, rel=0.005)
    for alike in ([25] * 12, [0] * 12, [300] * 12):
        prior = rates.fit_likelihood(alike, [300] * 12, hyperprior=True)
        assert np.isfinite(prior).all() and 0 < prior.mean < 1
    assert rates.fit_likelihood([25] * 12, [300] * 12, hyperprior=True).strength > 300


def test_the_hyperprior_is_a_density():
    mass, _ = integrate.quad(lambda strength: (1 + strength) ** -1.5 / 2, 0, np.inf)
    assert mass == pytest.approx(1)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("seed", range(3))
def test_intervals_cover(prior, seed):
    rate, successes, trials = catalogue(prior, 2000, 10 + seed)
    fitted = rates.fit_likelihood(successes, trials)
    low, high = rates.credible_interval(successes, trials, fitted)
    assert 0.93 <= np.mean((low <= rate) & (rate <= high)) <= 0.97
    assert 0.93 <= np.mean(rates.lower_bound(successes, trials, fitted) <= rate) <= 0.97


def test_the_famous_slip_does_not_cover():
    """With v + 1 in place of v - c + 1 the interval of a popular item lies beside its rate."""
    rate, successes, trials = catalogue((20, 20), 2000, 0)
    low, high = (stats.beta.ppf(q, successes + 1, trials + 1) for q in (0.025, 0.975))
    assert np.mean((low <= rate) & (rate <= high)) < 0.1
    low, high = rates.credible_interval(successes, trials, (1, 1))
    assert np.mean((low <= rate) & (rate <= high)) > 0.93


def test_posteriors_by_hand():
    assert [x.tolist() for x in rates.posterior([0, 1, 5], [0, 1, 9], (1, 4))] == [[1, 2, 6], [4, 4, 8]]
    np.testing.assert_allclose(rates.posterior_mean([0, 1, 5], [0, 1, 9], (1, 4)), [1 / 5, 2 / 6, 6 / 14])
    low, high = rates.credible_interval([0], [0], (1, 1), level=0.9)  # no trial, flat prior
    assert (low[0], high[0]) == (pytest.approx(0.05), pytest.approx(0.95))
    assert rates.lower_bound([2], [2], (1, 1), level=0.9)[0] == pytest.approx(0.1 ** (1 / 3))  # P(rate < x) = x^3


@settings(max_examples=60, deadline=None)
@given(counts, positive, positive)
def test_properties_of_posteriors(pairs, a, b):
    s, n = split(pairs)
    mean = rates.posterior_mean(s, n, (a, b))
    prior = a / (a + b)
    raw = np.divide(s, n, where=n > 0, out=np.full(len(n), prior))
    assert np.all((np.minimum(raw, prior) - 1e-12 <= mean) & (mean <= np.maximum(raw, prior) + 1e-12))
    low, high = rates.credible_interval(s, n, (a, b))
    wide_low, wide_high = rates.credible_interval(s, n, (a, b), level=0.99)
    assert np.all((wide_low <= low) & (low <= high) & (high <= wide_high))
    np.testing.assert_allclose(rates.lower_bound(s, n, (a, b), 0.975), low)


@settings(max_examples=40, deadline=None)
@given(counts)
def test_a_prior_under_the_hyperprior_always_exists(pairs):
    s, n = split(pairs)
    n[0] += 1
    prior = rates.fit_likelihood(s, n, hyperprior=True)
    assert prior.a > 0 and prior.b > 0 and np.isfinite(prior).all()
    mirrored = rates.fit_likelihood(n - s, n, hyperprior=True)
    assert mirrored.mean == pytest.approx(1 - prior.mean, abs=1e-3)


def test_thompson_draws_from_the_posterior():
    draws = np.array([rates.thompson([3, 0], [10, 2], (1, 4), np.random.default_rng(i)) for i in range(2000)])
    for item, (a, b) in enumerate([(4, 11), (1, 6)]):
        assert stats.kstest(draws[:, item], "beta", args=(a, b)).pvalue > 1e-3
    again = [rates.thompson([3], [10], (1, 4), np.random.default_rng(7)) for _ in range(2)]
    assert again[0] == again[1]
    with pytest.raises(TypeError, match=r"rng is int.*default_rng"):
        rates.thompson([3], [10], (1, 4), 7)


@pytest.mark.parametrize(
    ("successes", "trials", "message"),
    [
        ([1, 5], [3, 4], "item 1 has 5 successes in 4 trials"),
        ([1], [3, 4], r"shape \(1,\)"),
        ([-1], [3], "successes of item 0 are -1"),
        ([1, 1], [3, np.nan], "trials of item 1 are nan"),
        ([0, 0], [0, 0], r"no item has a trial.*a pair \(a, b\)"),
    ],
)
@pytest.mark.parametrize("fit", [rates.fit_moments, rates.fit_likelihood])
def test_impossible_counts_are_named(fit, successes, trials, message):
    with pytest.raises(ValueError, match=message):
        fit(successes, trials)


@pytest.mark.parametrize("fit", [rates.fit_moments, rates.fit_likelihood])
def test_no_spread_is_said_and_what_to_do(fit):
    for alike, trials, why in ([[5, 5, 5], [9, 9, 9], "no more than chance"], [[0, 1, 1], [1, 1, 1], "tried once"]):
        with pytest.raises(ValueError, match=f"{why}.*hyperprior=True"):
            fit(alike, trials)
    for whole in ([0, 0], [7, 8]):
        with pytest.raises(ValueError, match="no more than chance"):
            fit(whole, [7, 8])


def test_moments_refuse_rates_that_are_all_or_nothing():
    with pytest.raises(ValueError, match="all 0 or 1"):
        rates.fit_moments([0, 50, 0, 50], [50, 50, 50, 50])


@pytest.mark.parametrize("prior", [(0, 1), (1, -2), (1, np.inf), (1, 2, 3), 5, "ab"])
def test_a_prior_that_is_none(prior):
    with pytest.raises(ValueError, match=r"a pair \(a, b\)"):
        rates.posterior_mean([1], [2], prior)


@pytest.mark.parametrize("level", [0, 1, 95, -0.5])
def test_a_level_that_is_none(level):
    for function in (rates.credible_interval, rates.lower_bound):
        with pytest.raises(ValueError, match=r"such as 0\.95"):
            function([1], [2], (1, 1), level)
