"""Few similar products and very little sale data: a popularity with a prior against matrix factorisation.

A small shop sells a dozen products to customers of a few taste groups. A sale is drawn so: a customer at random, then
a product with the probabilities of the customer's group, ``softmax(popularity + taste of the group)``. Two models see
the same sales and say how likely each product is next for each customer:

- `beta_scores`: one rate per product, the same for everybody (`recsys_lab.rates`), its prior under a weak hyperprior;
- `als_scores`: ALS of `implicit`, with a vector for every customer and every product.

Scores become probabilities by a softmax whose temperature is fitted on sales that neither model learned from
(`fit_temperature`); the settings of ALS are chosen on the same ones. `compare` plays it once, with held-out sales.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import optimize, sparse, special
from threadpoolctl import threadpool_limits

from recsys_lab import rates

#: What is tried for ALS: factors, regularization, alpha. From free to so regularised that hardly more than popularity
#: is left, which is what ALS does best with when there is little to learn from.
_WEIGHTS = ((1.0, 1.0), (10.0, 1.0), (10.0, 10.0), (30.0, 10.0), (100.0, 40.0))
SETTINGS = tuple((factors, *weights) for factors, weights in itertools.product((2, 4), _WEIGHTS))
TEMPERATURES = (1e-3, 1e3)


class Sales(NamedTuple):
    """Who bought what, one entry a sale: two int arrays of shape (n_sales,)."""

    customer: np.ndarray
    item: np.ndarray


class Shop(NamedTuple):
    """A simulated shop: three draws of sales from the same customers, and the true probabilities.

    Attributes
    ----------
    train, validation, test : Sales
    chances : ndarray of float64, shape (n_customers, n_items)
    """

    train: Sales
    validation: Sales
    test: Sales
    chances: np.ndarray


class Comparison(NamedTuple):
    """Held-out log-loss of one simulated shop, in nats a sale.

    Attributes
    ----------
    beta, als : float
        ALS with the settings that were best on the validation sales.
    als_hindsight : float
        ALS with the settings that turned out best on the test sales, which nobody could have chosen.
    truth : float
        Of the true probabilities: no model can do better, but for luck.
    """

    beta: float
    als: float
    als_hindsight: float
    truth: float


def simulate(
    n_sales: int,
    seed: int,
    *,
    n_customers: int = 200,
    n_items: int = 12,
    n_groups: int = 3,
    popularity_sd: float = 0.5,
    taste_sd: float = 0.7,
    n_validation: int = 100,
    n_test: int = 3000,
) -> Shop:
    """Simulate a shop with a few taste groups.

    Parameters
    ----------
    n_sales : int
        Sales to learn from.
    seed : int
    n_customers, n_items, n_groups : int
    popularity_sd, taste_sd : float
        How far products lie apart for everybody, and for the groups, as logits.
    n_validation, n_test : int
        Further sales of the same customers.

    Returns
    -------
    Shop
    """
    if min(n_sales, n_validation, n_test) < 1:
        raise ValueError("simulate: each part needs at least one sale (n_sales, n_validation, n_test).")
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, popularity_sd, n_items) + rng.normal(0, taste_sd, (n_groups, n_items))
    chances = special.softmax(logits, axis=1)[rng.integers(n_groups, size=n_customers)]
    train, validation, test = (_draw(chances, n, rng) for n in (n_sales, n_validation, n_test))
    return Shop(train, validation, test, chances)


def beta_scores(sales: Sales, n_customers: int, n_items: int) -> np.ndarray:
    """Log of each product's posterior mean rate, shape (n_customers, n_items): the same row for everybody.

    A trial is a sale, a success a sale of this product.
    """
    sold = np.bincount(sales.item, minlength=n_items)
    trials = np.full(n_items, len(sales.item))
    prior = rates.fit_likelihood(sold, trials, hyperprior=True)
    return np.tile(np.log(rates.posterior_mean(sold, trials, prior)), (n_customers, 1))


def als_scores(
    sales: Sales, n_customers: int, n_items: int, factors: int, regularization: float, alpha: float
) -> np.ndarray:
    """Return customer vectors times product vectors, shape (n_customers, n_items).

    Who has bought nothing yet gets the mean vector of those who have: with a vector of zeros ALS would say that all
    products are equally likely, and would look worse than it need.
    """
    ones = np.ones(len(sales.item), np.float32)
    bought = sparse.coo_matrix((ones, (sales.customer, sales.item)), shape=(n_customers, n_items)).tocsr()
    # solved exactly, not by conjugate gradients: with so few factors that is quicker as well
    model = AlternatingLeastSquares(factors, regularization, alpha, random_state=0, num_threads=1, use_cg=False)
    model.fit(bought, show_progress=False)
    customers = model.user_factors.astype(np.float64)
    idle = bought.getnnz(axis=1) == 0
    customers[idle] = customers[~idle].mean(axis=0)
    return customers @ model.item_factors.T.astype(np.float64)


def log_loss(scores: np.ndarray, sales: Sales, temperature: float) -> float:
    """Mean of ``-log softmax(scores / temperature)`` at what was bought, in nats."""
    logits = scores / temperature  # once for each customer, not once for each sale
    logits = logits - logits.max(axis=1, keepdims=True)
    norms = np.log(np.exp(logits).sum(axis=1))  # (n_customers,)
    return float((norms[sales.customer] - logits[sales.customer, sales.item]).mean())


def fit_temperature(scores: np.ndarray, sales: Sales) -> float:
    """Return the temperature with the least `log_loss` on these sales."""
    found = optimize.minimize_scalar(
        lambda x: log_loss(scores, sales, np.exp(x)), bounds=np.log(TEMPERATURES), method="bounded"
    )
    return float(np.exp(found.x))


def compare(n_sales: int, seed: int, **options) -> Comparison:
    """Simulate a shop (`simulate`, which takes the options), fit both models and measure them on held-out sales."""
    shop = simulate(n_sales, seed, **options)
    with threadpool_limits(1, "blas"):  # such small systems are slower on several threads, and implicit warns of them
        scores = [als_scores(shop.train, *shop.chances.shape, *setting) for setting in SETTINGS]
        tuned = [_held_out(s, shop) for s in scores]  # (validation loss, test loss) of every setting
        beta = _held_out(beta_scores(shop.train, *shop.chances.shape), shop)
    truth = float(-np.log(shop.chances[shop.test]).mean())
    return Comparison(beta[1], min(tuned)[1], min(test for _, test in tuned), truth)


def _held_out(scores: np.ndarray, shop: Shop) -> tuple[float, float]:
    temperature = fit_temperature(scores, shop.validation)
    return log_loss(scores, shop.validation, temperature), log_loss(scores, shop.test, temperature)


def _draw(chances: np.ndarray, n: int, rng: np.random.Generator) -> Sales:
    customer = rng.integers(len(chances), size=n)
    below = chances[customer].cumsum(axis=1)[:, :-1] < rng.random(n)[:, None]
    return Sales(customer, below.sum(axis=1))
