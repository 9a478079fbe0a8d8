"""Lab 03, "Popularity done properly": recency, a prior for rates, its posterior, lower bounds, chance, and trends."""

from __future__ import annotations

import numpy as np
from scipy import stats

from recsys_lab.checks.exercise import Lab
from recsys_lab.checks.kinds import Number, Ranking, Vector

lab = Lab("03", "Popularity done properly")
answers, progress, __getattr__ = lab.answers, lab.progress, lab.attribute


# 3.1 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "3.1",
    "A count that forgets",
    minutes=6,
    difficulty="easy",
    kind=Number(),
    hints=(
        "First drop the views that are older than the window. A view exactly as old as the window still counts.",
        "What does a view weigh? Halve 1 once for every half-life that has gone by: after two of them it is 1/4.",
        "The number of half-lives that have gone by is age / half_life, and 0.5 ** that number is the weight. "
        "Add the weights up.",
    ),
    explanation="The half-life is a knob with two ends: very long, and this is a plain count; very short, and only the "
    "last view of all is left. recsys_lab.models.RecentPopularity does it for the whole catalogue at once.",
)
def recent_count(ages, half_life, window):
    """Count the views of one book, an old one less than a new one.

    Parameters
    ----------
    ages : list of float
        How many days ago each view was, in any order; may be empty.
    half_life : float
        Days after which a view counts half.
    window : float
        A view that is more days ago than this counts nothing.

    Returns
    -------
    float
        ``recent_count([0, 7, 14, 40], half_life=7, window=30)`` is 1.75: 1 + 1/2 + 1/4, and 40 days are too long ago.
    """
    recent = [age for age in ages if age <= window]
    return sum(0.5 ** (age / half_life) for age in recent)


recent_count.case([0], 7, 30, expect=1.0, because="a view of this moment counts 1")
recent_count.case([7], 7, 30, expect=0.5, because="a view that is one half-life ago counts 1/2")
recent_count.case([0, 7, 14, 40], 7, 30, expect=1.75, because="1 + 1/2 + 1/4, and 40 days are outside the window")
recent_count.case([30, 10], 10, 30, expect=0.625, because="1/2, and 1/8 for 30 days: exactly the window still counts")
recent_count.case([9, 9], 3, 5, expect=0.0, because="both views are older than the window")
recent_count.case([], 7, 30, expect=0.0, because="no view, no count")
recent_count.case([3, 20], 1.5, 5, expect=0.25, because="3 days are two half-lives: 1/4; 20 days are too long ago")
recent_count.case([40, 7], 7, 30, expect=0.5, because="the ages come in any order: 40 days do not count, 7 days do")
recent_count.case(
    *([12.5, 30.4], 12.5, 30.5),
    expect=0.5 + 0.5 ** (30.4 / 12.5),
    because="12.5 days are just one half-life, and 30.4 days are inside the window",
)


@recent_count.random_cases
def _view_ages(rng):
    sizes = [8] * 9 + [40]
    return [
        (rng.uniform(0, 60, n).round(1).tolist(), rng.integers(4, 40) / 2, rng.integers(30, 100) / 2) for n in sizes
    ]


def _weighed(ages, window, weight) -> float:
    return float(sum(weight(age) for age in ages if age <= window))


@recent_count.mistake("You weigh by exp(-age / half_life): after one half-life that leaves 0.37, not a half.")
def _natural_decay(ages, half_life, window):
    return _weighed(ages, window, lambda age: np.exp(-age / half_life))


@recent_count.mistake("You ignore the window: a view that is older counts nothing.")
def _no_window(ages, half_life, window):
    return _weighed(ages, np.inf, lambda age: 0.5 ** (age / half_life))


@recent_count.mistake("You ignore the half-life: every view in your window counts 1.")
def _no_decay(ages, half_life, window):
    return _weighed(ages, window, lambda age: 1)


@recent_count.mistake("A view exactly as old as the window still counts.")
def _window_without_edge(ages, half_life, window):
    return float(sum(0.5 ** (age / half_life) for age in ages if age < window))


@recent_count.mistake("Your views gain weight with age: the exponent has the wrong sign.")
def _growing(ages, half_life, window):
    return _weighed(ages, window, lambda age: 2 ** (age / half_life))


@recent_count.mistake("You halve once a day; a view halves once in every half-life.")
def _halves_daily(ages, half_life, window):
    return _weighed(ages, window, lambda age: 0.5**age)


@recent_count.mistake("Brackets: 0.5 ** age / half_life halves once a day and then divides the result.")
def _without_brackets(ages, half_life, window):
    return _weighed(ages, window, lambda age: 0.5**age / half_life)


@recent_count.mistake("You halve once at most: after two half-lives a view counts 1/4, after three 1/8.")
def _halves_once(ages, half_life, window):
    return _weighed(ages, window, lambda age: 1 if age < half_life else 0.5)


@recent_count.mistake("You round the number of half-lives down: a view loses weight every hour, not in steps.")
def _in_steps(ages, half_life, window):
    return _weighed(ages, window, lambda age: 0.5 ** (age // half_life))


@recent_count.mistake("Your weight falls along a straight line; halving again and again never reaches zero.")
def _linear(ages, half_life, window):
    return _weighed(ages, window, lambda age: max(0.0, 1 - 0.5 * age / half_life))


@recent_count.mistake("You take the mean of the weights: then a book with one new view beats one with a hundred.")
def _mean_weight(ages, half_life, window):
    weights = [0.5 ** (age / half_life) for age in ages if age <= window]
    return float(np.mean(weights)) if weights else 0.0


@recent_count.mistake("You stop at the first view that is too old; later in the list there may be newer ones.")
def _stops_at_an_old_one(ages, half_life, window):
    too_old = [i for i, age in enumerate(ages) if age > window]
    return recent_count.reference(ages[: too_old[0]] if too_old else ages, half_life, window)


@recent_count.mistake("You compare the number of half-lives with the window; the window is in days, as the ages are.")
def _window_of_half_lives(ages, half_life, window):
    return recent_count.reference(ages, half_life, window * half_life)


@recent_count.mistake(
    "You round the count: return it as it is, or small differences between books get lost.",
    when=lambda got, *args: any(got == round(recent_count.reference(*args), digits) for digits in range(6)),
)
def _rounded_count(ages, half_life, window):
    return round(recent_count.reference(ages, half_life, window), 3)


DISTRIBUTION = "A whole scipy distribution came back. Return its two numbers: a and b."

# 3.2 -----------------------------------------------------------------------------------------------------------------

PAIR = "a pair (a, b)"


@lab.exercise(
    "3.2",
    "A prior from mean and variance",
    minutes=8,
    difficulty="medium",
    kind=Vector(PAIR, length=2),
    hints=(
        "Call a + b the strength. The mean tells how a and b share it: a is mean times strength, b the rest.",
        "So only the strength is missing. In variance = mean (1 - mean) / (strength + 1), move it to one side.",
        "strength = mean * (1 - mean) / variance - 1. Then a = mean * strength and b = (1 - mean) * strength.",
    ),
    explanation="The narrower the rates lie, the larger a + b: the prior then counts like many views, and a book "
    "has to show much before it is believed. recsys_lab.rates.fit_moments does the same and takes out of the variance "
    "what chance has put in.",
)
def beta_from_moments(mean, variance):
    """Find the Beta distribution that has this mean and this variance.

    Parameters
    ----------
    mean : float
        Between 0 and 1; ``mean = a / (a + b)``.
    variance : float
        ``variance = mean (1 - mean) / (a + b + 1)``.

    Returns
    -------
    (a, b) : tuple of float
        ``beta_from_moments(0.5, 0.05)`` is ``(2.0, 2.0)``: 0.25 / 0.05 = 5, so a + b is 4.
    """
    strength = mean * (1 - mean) / variance - 1
    return mean * strength, (1 - mean) * strength


beta_from_moments.case(0.2, 0.016, expect=(1.8, 7.2), because="0.16 / 0.016 is 10, so a + b is 9: a is 1.8, b 7.2")
beta_from_moments.case(0.5, 0.05, expect=(2, 2), because="0.25 / 0.05 is 5, so a + b is 4, and half of it each: (2, 2)")
beta_from_moments.case(0.1, 0.0009, expect=(9.9, 89.1), because="0.09 / 0.0009 is 100: a + b is 99, a 9.9, b 89.1")
beta_from_moments.case(0.75, 0.0375, expect=(3, 1), because="0.1875 / 0.0375 is 5: a + b is 4, a 3, b 1")
beta_from_moments.case(
    *(0.5, 1 / 6),
    expect=(0.25, 0.25),
    because="0.25 / (1/6) is 1.5, so a + b is 0.5: where rates lie near 0 and 1, a prior counts less than one view",
)
beta_from_moments.case(
    *(0.2, 0.16 / 5001),
    expect=(1000, 4000),
    because="0.16 over the variance is 5,001, so a + b is 5,000: where rates are nearly alike, a prior counts much",
)


@beta_from_moments.random_cases
def _moments(rng):
    means = rng.uniform(0.03, 0.9, 10).round(3)
    return [(float(m), float(m * (1 - m) / rng.uniform(3, 80))) for m in means]


@beta_from_moments.mistake("You forgot the - 1: mean (1 - mean) / variance is a + b + 1.")
def _without_minus_one(mean, variance):
    strength = mean * (1 - mean) / variance
    return mean * strength, (1 - mean) * strength


@beta_from_moments.mistake("You added 1; mean (1 - mean) / variance is a + b + 1, so it has to go.")
def _plus_one(mean, variance):
    strength = mean * (1 - mean) / variance + 1
    return mean * strength, (1 - mean) * strength


@beta_from_moments.mistake("a and b are swapped: a counts what succeeded, so a rate of 0.1 has the smaller a.")
def _swapped(mean, variance):
    return beta_from_moments.reference(mean, variance)[::-1]


@beta_from_moments.mistake("Your b is the whole strength a + b; b is what a leaves of it.")
def _strength_as_b(mean, variance):
    a, b = beta_from_moments.reference(mean, variance)
    return a, a + b


@beta_from_moments.mistake("You return mean and strength; asked for are a and b.")
def _mean_and_strength(mean, variance):
    return mean, mean * (1 - mean) / variance - 1


@beta_from_moments.mistake("You divide by the square root of the variance; it is the variance itself.")
def _by_deviation(mean, variance):
    strength = mean * (1 - mean) / variance**0.5 - 1
    return mean * strength, (1 - mean) * strength


@beta_from_moments.mistake("You divide mean, not mean (1 - mean), by the variance.")
def _only_mean(mean, variance):
    strength = mean / variance - 1
    return mean * strength, (1 - mean) * strength


@beta_from_moments.mistake("You take 1 from a and 1 from b; the - 1 belongs to their sum.")
def _one_from_each(mean, variance):
    strength = mean * (1 - mean) / variance
    return mean * strength - 1, (1 - mean) * strength - 1


@beta_from_moments.mistake("You share the strength equally; a is mean times strength, b the rest.")
def _halves_of_strength(mean, variance):
    half = (mean * (1 - mean) / variance - 1) / 2
    return half, half


@beta_from_moments.mistake(
    "You round a and b: return them as they are. They need not be whole numbers.",
    when=lambda got, *args: any(_is_rounded(got, beta_from_moments.reference(*args), digits) for digits in range(6)),
)
def _rounded_pair(mean, variance):
    return tuple(round(number, 1) for number in beta_from_moments.reference(mean, variance))


@beta_from_moments.mistake(DISTRIBUTION)
def _as_distribution(mean, variance):
    return stats.beta(*beta_from_moments.reference(mean, variance))


def _is_rounded(got, exact, digits) -> bool:
    return any(all(g == f(e, digits) for g, e in zip(got, exact, strict=True)) for f in (round, _cut))


def _cut(number, digits) -> float:
    return int(number * 10**digits) / 10**digits


# 3.3 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "3.3",
    "Find the mistake, and mend it",
    minutes=7,
    difficulty="medium",
    kind=Vector(PAIR, length=2),
    hints=(
        "Try a book that every visitor bought: 1,000 views, 1,000 carts. What should its rate be, and what does "
        "rate_of say?",
        "a counts what succeeded. What does b have to count, so that a / (a + b) comes out near carts / views?",
        "Each view ended in the cart or it did not. The first kind goes to a; the other kind, views - carts, to b.",
    ),
    explanation="With views in the place of views - carts, a rate r comes out as r / (1 + r). At 2 % that is 1.96 %: "
    "nobody notices; at 50 % it is 33 %, and at 100 % it is 50 %. The order of books with many views stays as it was, "
    "so rankings look right as well. What gives it away is a case whose answer is known beforehand, and an interval "
    "that should hold the truth in 95 of 100 cases and does not.",
)
def posterior(carts, views, a, b):
    """Return what is known of a book's cart rate after some views: a Beta distribution.

    Parameters
    ----------
    carts : int
        Views after which the book was put into the cart.
    views : int
        All views.
    a, b : float
        The prior, a Beta(a, b).

    Returns
    -------
    (a, b) : tuple of float
        The two parameters of the posterior. ``posterior(0, 0, 2, 8)`` is ``(2, 8)``: without a view, the prior.
    """
    return a + carts, b + views - carts


posterior.case(0, 0, 2, 8, expect=(2, 8), because="without a view the posterior is the prior: (2, 8)")
posterior.case(1, 1, 2, 8, expect=(3, 8), because="one view, and it ended in the cart: a grows by 1, b by nothing")
posterior.case(0, 1, 2, 8, expect=(2, 9), because="one view that did not end in the cart: b grows by 1")
posterior.case(3, 10, 1, 1, expect=(4, 8), because="3 views ended in the cart and 7 did not: (1 + 3, 1 + 7)")
posterior.case(1000, 1000, 1, 1, expect=(1001, 1), because="all 1,000 views ended in the cart: a rate near 1")


@posterior.random_cases
def _counts(rng):
    views = rng.integers(1, 400, 10)
    priors = rng.uniform(0.5, 30, (10, 2)).round(1)
    return [(int(rng.integers(0, v + 1)), int(v), *map(float, p)) for v, p in zip(views, priors, strict=True)]


@posterior.mistake("That is still the shop's version. Ask it for a book whose views all ended in the cart: its rate?")
def _bug(carts, views, a, b):
    return a + carts, b + views


@posterior.mistake("You found what belongs to b, but lost the prior: without a view you return (0, 0).")
def _no_prior(carts, views, a, b):
    return carts, views - carts


@posterior.mistake("Your prior is always (1, 1): take the a and b that are passed in.")
def _flat_prior(carts, views, a, b):
    return 1 + carts, 1 + views - carts


@posterior.mistake("The two are swapped: a counts the views that ended in the cart, b the others.")
def _other_way(carts, views, a, b):
    return a + views - carts, b + carts


@posterior.mistake("You return b before a: the one that counts the carts comes first.")
def _b_before_a(carts, views, a, b):
    return b + views - carts, a + carts


@posterior.mistake("You take the carts away from the prior as well: b only grows, by the views that did not succeed.")
def _minus_twice(carts, views, a, b):
    return a + carts, b + views - 2 * carts


@posterior.mistake("You add the prior twice: once for a and once for b is enough.")
def _prior_twice(carts, views, a, b):
    return a + carts, a + b + views - carts


@posterior.mistake("Your b does not grow: what happens to it when a view does not end in the cart?")
def _b_stands_still(carts, views, a, b):
    return a + carts, b


@posterior.mistake("Your b starts from a + b: it starts from the b of the prior alone.")
def _total_as_b(carts, views, a, b):
    return a + carts, a + b + views


@posterior.mistake("You cut a and b of the prior to whole numbers; a prior may count like half a view.")
def _whole_prior(carts, views, a, b):
    return int(a) + carts, int(b) + views - carts


@posterior.mistake(DISTRIBUTION)
def _frozen(carts, views, a, b):
    return stats.beta(a + carts, b + views - carts)


@posterior.mistake("You return the mean and not the two parameters.", when=lambda got, *_: max(got) <= 1)
def _mean_twice(carts, views, a, b):
    mean = (a + carts) / (a + b + views)
    return mean, 1 - mean


# 3.4 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "3.4",
    "Rank by what is certain",
    minutes=8,
    difficulty="medium",
    kind=Ranking(),
    hints=(
        "The posterior of a book is Beta(a + carts, b + views - carts); with arrays, all books at once.",
        "The rate exceeds its 5 % quantile with a probability of 95 %. scipy.stats.beta.ppf(q, a, b) gives quantiles.",
        "np.argsort sorts upwards; turn the signs to have the highest first. Return the indices, not the bounds.",
    ),
    explanation="A book with one lucky view has a posterior that is wide, and so a low bound: it has to prove itself "
    "first. The price is that a new book, however good, starts at the bottom and is never shown. That is what Thompson "
    "sampling is for.",
)
def rank_by_lower_bound(carts, views, a, b):
    """Rank books by the cart rate that they exceed with a probability of 95 %.

    Parameters
    ----------
    carts, views : ndarray of int, shape (n_books,)
    a, b : float
        The prior, a Beta(a, b).

    Returns
    -------
    list or ndarray of int, shape (n_books,)
        Indices of the books, the highest bound first.
        ``rank_by_lower_bound(np.array([1, 60]), np.array([1, 100]), 1, 1)`` is ``[1, 0]``: 60 of 100 is almost certain
        to be more than 0.5, 1 of 1 may well be 0.3.
    """
    from scipy.stats import beta

    bounds = beta.ppf(0.05, a + carts, b + views - carts)
    return np.argsort(-bounds, kind="stable")


rank_by_lower_bound.case(
    *(np.array([1, 60]), np.array([1, 100]), 1, 1),
    expect=[1, 0],
    because="the bound of 60 in 100 is 0.52, that of 1 in 1 is 0.22",
)
rank_by_lower_bound.case(
    *(np.array([5, 50, 0]), np.array([10, 100, 0]), 1, 1),
    expect=[1, 0, 2],
    because="50 in 100 is surer to be high than 5 in 10, and nothing is known of the third",
)
rank_by_lower_bound.case(
    *(np.array([0, 0, 0]), np.array([2, 0, 9]), 1, 4),
    expect=[1, 0, 2],
    because="none was ever put into the cart: the more often it was tried, the lower the bound",
)
_TRIED = np.arange(30) * 7 % 30  # 30 books, viewed 0 to 29 times, in no order
rank_by_lower_bound.case(
    *(np.zeros(30, dtype=int), _TRIED, 1, 4),
    expect=np.argsort(_TRIED),
    because="none of the 30 was ever put into the cart: the least viewed first, and all 30 are in the list",
)


@rank_by_lower_bound.random_cases
def _tables(rng):
    cases = []
    for _ in range(8):
        views = rng.integers(1, 200, 40)
        views[::2] = rng.integers(0, 9, 20)
        pairs = np.unique(np.column_stack([rng.binomial(views, rng.beta(2, 6, 40)), views]), axis=0)  # no two alike
        carts, views = rng.permutation(pairs)[:12].T.copy()
        cases.append((carts, views, 2.0, 6.0))
    return cases


def _ordered(bounds) -> np.ndarray:
    return np.argsort(-bounds, kind="stable")


@rank_by_lower_bound.mistake(
    "Some books are missing in your list: all of them are to be ranked.",
    when=lambda got, carts, *_: len(got) < len(carts) and got == tuple(_whole_list(carts, *_)[: len(got)]),
)
def _only_twenty(carts, views, a, b):
    return rank_by_lower_bound.reference(carts, views, a, b)[:20]


def _whole_list(carts, views, a, b) -> list[int]:
    return rank_by_lower_bound.reference(carts, views, a, b).tolist()


@rank_by_lower_bound.mistake("You rank by the mean of the posterior; a lower bound also asks how sure it is.")
def _by_mean(carts, views, a, b):
    return _ordered((a + carts) / (a + b + views))


@rank_by_lower_bound.mistake("You rank by the raw rate: one lucky view puts a book on top.")
def _by_raw_rate(carts, views, a, b):
    return _ordered(carts / np.maximum(views, 1))


@rank_by_lower_bound.mistake("This is the upper bound: quantile 0.95. What is hardly known comes first by it.")
def _by_upper_bound(carts, views, a, b):
    return _ordered(stats.beta.ppf(0.95, a + carts, b + views - carts))


@rank_by_lower_bound.mistake("You take the 2.5 % quantile: the rate exceeds that with 97.5 %; asked for is 95 %.")
def _two_sided(carts, views, a, b):
    return _ordered(stats.beta.ppf(0.025, a + carts, b + views - carts))


@rank_by_lower_bound.mistake(
    "You go down 1.645 deviations from the mean, as if the posterior were symmetric: with few views it is not."
)
def _normal(carts, views, a, b):
    known = stats.beta(a + carts, b + views - carts)
    return _ordered(known.mean() - 1.645 * known.std())


@rank_by_lower_bound.mistake("The lowest bound comes first in your list: argsort sorts upwards.")
def _lowest_first(carts, views, a, b):
    return np.argsort(stats.beta.ppf(0.05, a + carts, b + views - carts), kind="stable")


@rank_by_lower_bound.mistake(
    "These are the places of the books; asked for is the list: which book comes first, second …"
)
def _places(carts, views, a, b):
    return np.argsort(rank_by_lower_bound.reference(carts, views, a, b), kind="stable")


@rank_by_lower_bound.mistake("You return the bounds; asked for are the indices of the books in their order.")
def _bounds(carts, views, a, b):
    return stats.beta.ppf(0.05, a + carts, b + views - carts)


@rank_by_lower_bound.mistake(
    "You return the bounds, sorted; asked for are the indices of the books (sorted by its values, a Series still has "
    "them in its .index)."
)
def _sorted_bounds(carts, views, a, b):
    return np.sort(_bounds(carts, views, a, b))[::-1]


@rank_by_lower_bound.mistake("You count books from 1: the first one has the index 0.")
def _from_one(carts, views, a, b):
    return rank_by_lower_bound.reference(carts, views, a, b) + 1


@rank_by_lower_bound.mistake("The two of the prior are swapped: a goes with the carts, b with the other views.")
def _prior_swapped(carts, views, a, b):
    return _ordered(stats.beta.ppf(0.05, b + carts, a + views - carts))


@rank_by_lower_bound.mistake("The two of the posterior are swapped: the one that counts the carts comes first.")
def _posterior_swapped(carts, views, a, b):
    return _ordered(stats.beta.ppf(0.05, b + views - carts, a + carts))


@rank_by_lower_bound.mistake("Your prior is always Beta(1, 1): take the a and b that are passed in.")
def _flat_bound(carts, views, a, b):
    return _ordered(stats.beta.ppf(0.05, 1 + carts, 1 + views - carts))


@rank_by_lower_bound.mistake("Your b grows by all views: that is the mistake of exercise 3.3.")
def _bound_with_bug(carts, views, a, b):
    return _ordered(stats.beta.ppf(0.05, a + carts, b + views))


@rank_by_lower_bound.mistake("You left the prior out: a book without a cart has no bound then.")
def _without_prior(carts, views, a, b):
    with np.errstate(all="ignore"):
        return _ordered(np.nan_to_num(stats.beta.ppf(0.05, carts, views - carts)))


@rank_by_lower_bound.mistake("You rank by the number of carts: that is plain popularity.")
def _by_carts(carts, views, a, b):
    return _ordered(carts)


# 3.5 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "3.5",
    "Chances to come first",
    minutes=10,
    difficulty="hard",
    extra=True,
    limit_s=20.0,
    kind=Vector("a share for each book", absolute=0.035, tolerance=0.0),
    hints=(
        "One round: draw one rate for every book from its posterior. The book with the highest draw comes first.",
        "rng = np.random.default_rng(seed) once; rng.beta(a, b) draws a rate for every book. With "
        "size=(n_draws, len(a)) it draws all rounds at once, one row a round.",
        "argmax(axis=1) says which book came first in each round, np.bincount(..., minlength=len(a)) counts them; "
        "divide by n_draws.",
    ),
    explanation="This is what Thompson sampling does, one draw for each visitor: a book is shown as often as it is "
    "probably the best. Nobody has to say how much to explore; the more is known, the less is left to chance.",
)
def first_place_shares(a, b, n_draws, seed):
    """Share of Thompson rounds in which each book comes first.

    Parameters
    ----------
    a, b : ndarray of float, shape (n_books,)
        The posterior of each book is a Beta(a, b).
    n_draws : int
        How many rounds: in each one, a rate is drawn for every book from its posterior.
    seed : int
        The same seed gives the same shares.

    Returns
    -------
    list or ndarray of float, shape (n_books,)
        They add up to 1. Two books with the same posterior have about 0.5 each.
    """
    drawn = np.random.default_rng(seed).beta(a, b, size=(n_draws, len(a)))
    return np.bincount(drawn.argmax(axis=1), minlength=len(a)) / n_draws


_DRAWS = 10_000
first_place_shares.case(
    *(np.array([1.0, 901.0]), np.array([1001.0, 101.0]), _DRAWS, 1),
    expect=[0, 1],
    because="the second is surely better: it comes first in every round",
)
first_place_shares.case(
    *(np.array([3.0, 3.0]), np.array([9.0, 9.0]), _DRAWS, 2),
    expect=[0.5, 0.5],
    because="the same is known of both: each comes first in half of the rounds, about",
)
first_place_shares.case(
    *(np.array([501.0, 1.0]), np.array([501.0, 1.0]), _DRAWS, 3),
    expect=[0.5, 0.5],
    because="the first has a rate of 0.5; the second may have any, so half of its draws are higher",
)
first_place_shares.case(
    *(np.array([30.0, 30.0, 1.0]), np.array([70.0, 70.0, 400.0]), _DRAWS, 4),
    expect=[0.5, 0.5, 0],
    because="the first two share the rounds, about half and half; the third never comes first and has a 0",
)
first_place_shares.case(
    *(np.array([1.0, 20.0, 20.0, 20.0, 1.0]), np.array([500.0, 80.0, 80.0, 80.0, 500.0]), _DRAWS, 5),
    expect=[0, 1 / 3, 1 / 3, 1 / 3, 0],
    because="the three in the middle share the rounds, about a third each; the first and the last have a 0",
)
first_place_shares.case(
    *(np.array([0.3, 30.0]), np.array([3.0, 300.0]), _DRAWS, 6),
    expect=[0.304, 0.696],
    because="both have a mean of 1/11, but the first mostly draws less, seldom much more: first in 0.30 of the rounds",
)


@first_place_shares.random_cases
def _rounds(rng):
    cases = []
    for _ in range(4):
        views = np.array([200, 60, 20, 5, 0]) + rng.integers(0, 5, 5)
        carts = rng.binomial(views, 0.2)
        cases.append((2.4 + carts, 8.7 + views - carts, _DRAWS, int(rng.integers(1000))))
    cases.append((rng.uniform(0.3, 1.9, 4).round(1), rng.uniform(1, 4, 4).round(1), _DRAWS, int(rng.integers(1000))))
    return cases


_ALIKE = np.full(4, 2.5), np.full(4, 7.5)


@first_place_shares.rule("The same seed gave different shares: make one generator from `seed` and draw from it.")
def _same_seed(function):
    return _read(function, *_ALIKE, 101, 7) == _read(function, *_ALIKE, 101, 7)


@first_place_shares.rule("Five seeds gave the same shares to the last digit: make the generator from `seed`.")
def _other_seeds(function):
    return len({_read(function, *_ALIKE, 1001, seed) for seed in range(5)}) > 1


@first_place_shares.rule(
    "In 101 rounds a share is a whole number of 101sts, and together they are 1: play all n_draws rounds, and divide "
    "by n_draws."
)
def _all_rounds(function):
    shares = np.array(_read(function, *_ALIKE, 101, 3)) * 101
    return np.allclose(shares, shares.round(), atol=1e-6) and shares.round().sum() == 101


def _read(function, *args) -> tuple[float, ...]:
    return first_place_shares.kind.read(function(*args), args)


@first_place_shares.mistake("You give all to the book with the highest mean: nothing is drawn, nothing explored.")
def _greedy(a, b, n_draws, seed):
    return np.eye(len(a))[np.argmax(a / (a + b))]


@first_place_shares.mistake("You share by the means of the posteriors; count who comes first in each round of draws.")
def _by_share_of_means(a, b, n_draws, seed):
    return a / (a + b) / (a / (a + b)).sum()


@first_place_shares.mistake(
    "You play the same draw in all rounds, so one book has all of them. Make one generator, before the loop."
)
def _one_draw(a, b, n_draws, seed):
    return np.eye(len(a))[np.random.default_rng(seed).beta(a, b).argmax()]


@first_place_shares.mistake(
    "Your books draw together, each from a new generator with the same seed. Make one generator, before the loop."
)
def _in_step(a, b, n_draws, seed):
    drawn = [np.random.default_rng(seed).beta(*pair, n_draws) for pair in zip(a, b, strict=True)]
    return np.bincount(np.argmax(drawn, axis=0), minlength=len(a)) / n_draws


@first_place_shares.mistake("You average the draws; count in how many rounds each book has the highest one.")
def _mean_of_draws(a, b, n_draws, seed):
    return np.random.default_rng(seed).beta(a, b, size=(n_draws, len(a))).mean(axis=0)


@first_place_shares.mistake(
    "You count rounds; asked for are shares, which add up to 1.", when=lambda got, *_: sum(got) > 1000
)
def _rounds_counted(a, b, n_draws, seed):
    return first_place_shares.reference(a, b, n_draws, seed) * n_draws


@first_place_shares.mistake(
    "These are shares in percent: they add up to 100, and should add up to 1.", when=lambda got, *_: 99 < sum(got) < 101
)
def _in_percent(a, b, n_draws, seed):
    return first_place_shares.reference(a, b, n_draws, seed) * 100


@first_place_shares.mistake(
    "You count who comes last, or a and b are swapped: the highest draw wins, and a stands for the carts."
)
def _last_place(a, b, n_draws, seed):
    drawn = np.random.default_rng(seed).beta(a, b, size=(n_draws, len(a)))
    return np.bincount(drawn.argmin(axis=1), minlength=len(a)) / n_draws


@first_place_shares.mistake(
    "You draw from normal distributions with the same mean and spread; these posteriors are not symmetric."
)
def _normal_draws(a, b, n_draws, seed):
    spread = stats.beta.std(a, b)
    drawn = np.random.default_rng(seed).normal(a / (a + b), spread, (n_draws, len(a)))
    return np.bincount(drawn.argmax(axis=1), minlength=len(a)) / n_draws


@first_place_shares.mistake(
    "Books that never come first are missing: they belong in the answer, with a share of 0.",
    when=lambda got, a, *_: len(got) < len(a),
)
def _never_first_left_out(a, b, n_draws, seed):
    return np.unique(_first_places(a, b, n_draws, seed), return_counts=True)[1] / n_draws


@first_place_shares.mistake(
    "Your shares are sorted, as value_counts sorts them, and books that never come first may be missing. Asked for is "
    "a share for each book, in the order of the books.",
    when=lambda got, *_: list(got) == sorted(got, reverse=True),
)
def _by_frequency(a, b, n_draws, seed):
    return -np.sort(-_never_first_left_out(a, b, n_draws, seed))


def _first_places(a, b, n_draws, seed) -> np.ndarray:
    return np.random.default_rng(seed).beta(a, b, size=(n_draws, len(a))).argmax(axis=1)


# 3.6 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "3.6",
    "What is on the rise",
    minutes=8,
    difficulty="medium",
    extra=True,
    kind=Number(),
    hints=(
        "How many views would the book have had of late, had it gone on as before? Scale what it had to the same days.",
        "expected = before * days_recent / days_before.",
        "Divide recent by expected, with k added to both: k views that nobody made, half-way to 'as before'.",
    ),
    explanation="Without k, a book that had no view before and two of late has risen without end. k is a prior once "
    "more: it counts like k views as expected, so that a rise needs evidence.",
)
def rise(recent, before, days_recent, days_before, k):
    """How many times more views a book has had of late than one would expect from the time before.

    Parameters
    ----------
    recent : int
        Views in the last `days_recent` days.
    before : int
        Views in the `days_before` days before those.
    days_recent, days_before : int
    k : float
        Added to the recent views and to the expected ones; draws books with few views towards 1.

    Returns
    -------
    float
        ``rise(30, 40, 7, 28, k=10)`` is 2.0: 10 views in 7 days were to be expected, and (30 + 10) / (10 + 10) is 2.
    """
    expected = before * days_recent / days_before
    return (recent + k) / (expected + k)


rise.case(10, 40, 7, 28, 5, expect=1.0, because="40 in 28 days are 10 in 7 days: it goes on as before")
rise.case(30, 40, 7, 28, 10, expect=2.0, because="10 were to be expected: (30 + 10) / (10 + 10)")
rise.case(2, 0, 7, 28, 5, expect=1.4, because="none was to be expected: (2 + 5) / (0 + 5)")
rise.case(0, 0, 7, 28, 5, expect=1.0, because="nothing is known: k over k")
rise.case(6, 7, 14, 7, 1, expect=7 / 15, because="7 in 7 days are 14 in 14 days: (6 + 1) / (14 + 1)")


@rise.random_cases
def _histories(rng):
    return [
        (int(rng.integers(0, 60)), int(rng.integers(0, 200)), int(rng.integers(1, 9)), int(rng.integers(10, 60)), k)
        for k in (0.5, 1, 2, 5, 10, 20, 3, 4)
    ]


@rise.mistake("You compare a few days with many: scale the views of the time before to the recent days first.")
def _unscaled(recent, before, days_recent, days_before, k):
    return (recent + k) / (before + k)


@rise.mistake("Your k is only below: a book of which nothing is known would seem to fall.")
def _k_below(recent, before, days_recent, days_before, k):
    return recent / (before * days_recent / days_before + k)


@rise.mistake("You add k to the views of the time before and then scale it too; add it to the expected views.")
def _k_before(recent, before, days_recent, days_before, k):
    return (recent + k) / ((before + k) * days_recent / days_before)


@rise.mistake("You take a difference; asked for is how many times more.")
def _difference(recent, before, days_recent, days_before, k):
    return recent - before * days_recent / days_before


@rise.mistake("You left k out: a book without a view before has risen without end, or cannot be divided at all.")
def _without_k(recent, before, days_recent, days_before, k):
    return recent / (before * days_recent / days_before)


@rise.mistake("Upside down: what was expected stands below the line.")
def _upside_down(recent, before, days_recent, days_before, k):
    return 1 / rise.reference(recent, before, days_recent, days_before, k)


@rise.mistake(
    "You scale the wrong way round: the expected views are those before, times the recent days, over the others."
)
def _scaled_wrongly(recent, before, days_recent, days_before, k):
    return (recent + k) / (before * days_before / days_recent + k)


@rise.mistake("You compare views a day and add k to those; k are views, to be added before.")
def _k_per_day(recent, before, days_recent, days_before, k):
    return (recent / days_recent + k) / (before / days_before + k)


@rise.mistake("Brackets: the k above belongs to the recent views, so their sum is what is divided.")
def _brackets_above(recent, before, days_recent, days_before, k):
    return recent + k / (before * days_recent / days_before + k)


@rise.mistake("Brackets: the k below belongs to the expected views, so it is their sum that divides.")
def _brackets_below(recent, before, days_recent, days_before, k):
    return (recent + k) / (before * days_recent / days_before) + k


@rise.mistake("Brackets: both k have to be added before anything is divided.")
def _brackets_nowhere(recent, before, days_recent, days_before, k):
    return recent + k / (before * days_recent / days_before) + k


@rise.mistake("Your k is only above: a book without a view before cannot be divided, and the others seem to rise.")
def _k_above(recent, before, days_recent, days_before, k):
    return (recent + k) / (before * days_recent / days_before)


@rise.mistake("Your expectation comes from all days, the recent ones too: then a rise is compared with itself.")
def _from_all_days(recent, before, days_recent, days_before, k):
    return (recent + k) / ((before + recent) * days_recent / (days_before + days_recent) + k)


@rise.mistake("`before` does not hold the recent days: it is over days_before alone.")
def _over_all_days(recent, before, days_recent, days_before, k):
    return (recent + k) / (before * days_recent / (days_before + days_recent) + k)


@rise.mistake("You divide in whole numbers (//): 3.5 expected views are 3.5.")
def _whole_expected(recent, before, days_recent, days_before, k):
    return (recent + k) / (before * days_recent // days_before + k)
