"""Few products, few sales: the simulation is what it says, both models are treated alike, and the claims hold."""

import numpy as np
import pytest
from scipy import stats

from recsys_lab import few_sales, rates
from recsys_lab.few_sales import Sales


@pytest.fixture(scope="module")
def shop():
    return few_sales.simulate(2000, seed=3)


def test_a_shop_is_the_same_for_the_same_seed(shop):
    again, other = few_sales.simulate(2000, seed=3), few_sales.simulate(2000, seed=4)
    np.testing.assert_array_equal(again.train.item, shop.train.item)
    np.testing.assert_array_equal(again.chances, shop.chances)
    assert (other.train.item != shop.train.item).any()


def test_customers_belong_to_groups_and_chances_are_chances(shop):
    assert shop.chances.shape == (200, 12) and len(np.unique(shop.chances, axis=0)) == 3
    np.testing.assert_allclose(shop.chances.sum(axis=1), 1)
    assert [len(part.item) for part in shop[:3]] == [2000, 100, 3000]
    for part in shop[:3]:
        assert part.customer.min() >= 0 and part.customer.max() < 200
        assert part.item.min() >= 0 and part.item.max() < 12


def test_sales_are_drawn_with_those_chances():
    shop = few_sales.simulate(1, seed=0, n_test=60_000)
    expected = shop.chances[shop.test.customer].sum(axis=0)
    assert stats.chisquare(np.bincount(shop.test.item, minlength=12), expected).pvalue > 1e-3
    assert stats.chisquare(np.bincount(shop.test.customer, minlength=200)).pvalue > 1e-3


def test_log_loss_is_that_of_a_loop(shop):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=shop.chances.shape)
    expected = []
    for customer, item in zip(*shop.validation, strict=True):
        weights = np.exp(scores[customer] / 0.7)
        expected.append(-np.log(weights[item] / weights.sum()))
    assert few_sales.log_loss(scores, shop.validation, 0.7) == pytest.approx(np.mean(expected))
    assert few_sales.log_loss(np.zeros((200, 12)), shop.validation, 1) == pytest.approx(np.log(12))
    assert few_sales.log_loss(1e6 * scores, shop.validation, 0.7) < np.inf, "large scores do not overflow"


@pytest.mark.parametrize("temperature", [0.1, 1.0, 20.0])
def test_the_temperature_is_recovered(shop, temperature):
    """Scores that are the log of the truth, stretched, need just that temperature; so scale cannot decide who wins."""
    found = few_sales.fit_temperature(np.log(shop.chances) * temperature, shop.test)
    assert found == pytest.approx(temperature, rel=0.1)
    grid = temperature * np.exp(np.linspace(-1, 1, 41))
    losses = [few_sales.log_loss(np.log(shop.chances) * temperature, shop.test, t) for t in grid]
    assert few_sales.log_loss(np.log(shop.chances) * temperature, shop.test, found) <= min(losses) + 1e-9


def test_beta_scores_are_the_posterior_means(shop):
    scores = few_sales.beta_scores(shop.train, 200, 12)
    sold = np.bincount(shop.train.item, minlength=12)
    prior = rates.fit_likelihood(sold, [2000] * 12, hyperprior=True)
    np.testing.assert_allclose(np.exp(scores[0]), (prior.a + sold) / (sum(prior) + 2000))
    assert (scores == scores[0]).all()


def test_als_learns_groups_and_spares_those_who_bought_nothing():
    customers = np.repeat(np.arange(40), 3)
    items = np.where(customers % 2, 0, 6) + np.tile([0, 1, 2], 40)
    scores = few_sales.als_scores(Sales(customers, items), 42, 12, 2, 0.1, 10.0)
    assert (scores[1:40:2, :3].min(axis=1) > scores[1:40:2, 3:].max(axis=1)).all()
    assert (scores[0:40:2, 6:9].min(axis=1) > scores[0:40:2, :6].max(axis=1)).all()
    np.testing.assert_allclose(scores[40], scores[:40].mean(axis=0), atol=1e-5)
    np.testing.assert_array_equal(scores[40], scores[41])


def test_a_comparison_is_fair_and_repeatable():
    one = few_sales.compare(300, seed=7)
    assert one == few_sales.compare(300, seed=7)
    assert one.truth < one.beta and one.truth < one.als_hindsight <= one.als
    shop = few_sales.simulate(300, seed=7)
    tuned = []
    for setting in few_sales.SETTINGS:
        scores = few_sales.als_scores(shop.train, 200, 12, *setting)
        temperature = few_sales.fit_temperature(scores, shop.validation)
        tuned.append([few_sales.log_loss(scores, part, temperature) for part in (shop.validation, shop.test)])
    validation, test = np.array(tuned).T
    assert one.als == pytest.approx(test[validation.argmin()], abs=1e-4)
    assert one.als_hindsight == pytest.approx(test.min(), abs=1e-4)


def test_counting_wins_with_few_sales_and_vectors_with_many():
    few = np.array([few_sales.compare(300, seed) for seed in range(10)])
    assert np.mean(few[:, 0] < few[:, 1]) >= 0.7
    many = np.array([few_sales.compare(3000, seed, taste_sd=1.2) for seed in range(4)])
    assert (many[:, 1] < many[:, 0] - 0.05).all()


def test_a_shop_without_sales_is_refused():
    with pytest.raises(ValueError, match="at least one sale"):
        few_sales.simulate(0, seed=0)
