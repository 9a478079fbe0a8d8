"""Lab 04, "Neighbours": what is bought together, sessions that resemble each other, and what follows what."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from recsys_lab.checks.exercise import Lab
from recsys_lab.checks.kinds import Number, Scores

lab = Lab("04", "Neighbours")
answers, progress, __getattr__ = lab.answers, lab.progress, lab.attribute


ROUNDED = "You round. Give the number as it is: whoever sorts by it needs all of it."
ZERO = "Item 0 is missing from your answer: `if x` is False for 0. Ask for what you mean, such as `x != item`."


def _near(got, expected) -> bool:
    """Whether two numbers, or two dicts of numbers, are equal but for rounding errors."""
    if isinstance(expected, dict):
        expected = {i: score for i, score in expected.items() if score}
        return got.keys() == expected.keys() and all(_near(got[i], expected[i]) for i in got)
    return math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-9)


def _rounded(reference):
    """Condition: what came is the right answer, rounded."""

    def is_rounded(got, *args):
        right = reference(*args)
        if isinstance(right, dict):
            return any(_near(got, {i: round(score, d) for i, score in right.items()}) for d in range(1, 6))
        return any(_near(got, round(right, d)) for d in range(1, 6))

    return is_rounded


# 4.1 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "4.1",
    "What was bought with it",
    minutes=5,
    difficulty="easy",
    kind=Scores(),
    hints=(
        "Only the baskets with the item count. Go through them one by one.",
        "Two copies in one basket are still one basket: make each basket a set first, and leave the item itself out.",
        "A Counter adds up: counts.update(set(basket) - {item}) adds 1 for each other item of the basket.",
    ),
    explanation="One row of the co-occurrence matrix. With a matrix X of 0 and 1, one row a basket and one column an "
    "item, X.T @ X has the rows of all items at once, and on its diagonal how many baskets hold each of them.",
)
def bought_with(baskets, item):
    """In how many baskets with `item` each of the other items is.

    Parameters
    ----------
    baskets : list of list
        Items that were bought at once; an item may be there twice (two copies).
    item : int

    Returns
    -------
    dict
        Item to number of baskets. ``bought_with([[1, 2], [1, 2, 3], [2, 3]], 1)`` is ``{2: 2, 3: 1}``.
    """
    counts = Counter()
    for basket in baskets:
        if item in basket:
            counts.update(set(basket) - {item})
    return dict(counts)


bought_with.case([[1, 2]], 1, expect={2: 1}, because="2 is in the one basket with 1")
bought_with.case([[1, 2], [3, 4]], 3, expect={4: 1}, because="only the second basket has 3; 4 is with it")
bought_with.case([[1, 2], [1, 2, 3], [2, 3]], 1, expect={2: 2, 3: 1}, because="of the two baskets with 1, 2 is in both")
bought_with.case([[2, 1], [3, 1, 4]], 1, expect={2: 1, 3: 1, 4: 1}, because="the place in a basket means nothing")
bought_with.case(
    *([[1, 2, 2], [1, 1, 3]], 1),
    expect={2: 1, 3: 1},
    because="two copies in one basket are one basket: 2 is in one of them with 1, and so is 3",
)
bought_with.case([[5], [6, 7]], 5, expect={}, because="nothing was bought with 5")
bought_with.case(
    [[1, 2], [2, 3]], 9, expect={}, because="no basket has 9, so nothing was bought with it: an empty dict"
)
bought_with.case(
    [[1, 0], [412, 1, 0]], 1, expect={0: 2, 412: 1}, because="0 is in both baskets, 412 in one: ids may be any numbers"
)


@bought_with.random_cases
def _baskets(rng):
    small = [([rng.integers(1, 8, rng.integers(1, 5)).tolist() for _ in range(9)], 3) for _ in range(8)]
    many = [rng.integers(0, 60, rng.integers(1, 5)).tolist() for _ in range(4000)]  # as many as a shop has
    return [*small, (many[:40], many[0][0]), (many, 7)]


def _one_removed(baskets, item):
    """All that stands beside one copy of the item, copies and all."""
    counts = Counter(other for basket in _with(baskets, item) for other in basket)
    counts[item] -= len(_with(baskets, item))
    return dict(counts)


def _with(baskets, item):
    return [basket for basket in baskets if item in basket]


@bought_with.mistake("You count copies: two copies of an item in one basket are one basket.")
def _copies(baskets, item):
    return Counter(other for basket in _with(baskets, item) for other in basket if other != item)


@bought_with.mistake("A basket with two copies of the item itself counts twice in your answer.")
def _own_copies(baskets, item):
    counts = Counter()
    for basket in baskets:
        for one in basket:
            if one == item:
                counts.update(set(basket) - {item})
    return counts


@bought_with.mistake(
    "The item itself is in your answer; asked for are the others.", when=lambda got, baskets, item: item in got
)
def _itself(baskets, item):
    return Counter(other for basket in _with(baskets, item) for other in set(basket))


@bought_with.mistake(
    "The item itself is in your answer where a basket has two copies of it: list.remove takes away only one.",
    when=lambda got, baskets, item: _near(got, _one_removed(baskets, item)),
)
def _one_copy_removed(baskets, item):
    counts = Counter()
    for basket in _with(baskets, item):
        others = list(basket)
        others.remove(item)
        counts.update(set(others))
    return counts


@bought_with.mistake("You count all baskets: that is how popular each item is. Only baskets with the item count.")
def _all_baskets(baskets, item):
    return Counter(other for basket in baskets for other in set(basket) if other != item)


@bought_with.mistake("You say only that two items met, 1 for each; asked for is in how many baskets they did.")
def _met(baskets, item):
    return {other: 1 for basket in _with(baskets, item) for other in basket if other != item}


@bought_with.mistake("You return shares of the baskets with the item (confidence); asked for are numbers of baskets.")
def _shares(baskets, item):
    mine = _with(baskets, item)
    return {other: n / len(mine) for other, n in bought_with.reference(baskets, item).items()}


@bought_with.mistake("You look only at what stands behind the item; a basket has no order.")
def _behind(baskets, item):
    return Counter(o for b in _with(baskets, item) for o in set(b[b.index(item) + 1 :]) - {item})


def _is_of_first(got, baskets, item):
    """Whether what came tells of one basket only: the first one, or the first one with the item."""
    return any(_near(got, bought_with.reference(part[:1], item)) for part in (baskets, _with(baskets, item)))


@bought_with.mistake("You stop after the first basket: does the `return` stand inside the loop?", when=_is_of_first)
def _return_in_loop(baskets, item):
    for basket in _with(baskets, item):
        return dict.fromkeys(set(basket) - {item}, 1)
    return None


@bought_with.mistake(
    "Your function calls itself once for each basket. A shop has thousands, and Python allows about a thousand calls "
    "within each other: use a loop."
)
def _recursive(baskets, item):
    if not baskets:
        return Counter()
    rest = _recursive(baskets[1:], item)
    return rest + Counter(set(baskets[0]) - {item} if item in baskets[0] else ())


@bought_with.mistake(ZERO)
def _without_zero(baskets, item):
    return {other: n for other, n in bought_with.reference(baskets, item).items() if other}


@bought_with.mistake("You keep only some of the items, those that come first; asked for are all of them.")
def _only_five(baskets, item):
    return dict(Counter(bought_with.reference(baskets, item)).most_common(5))


# 4.2 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "4.2",
    "Lift, shrunk for rare items",
    minutes=4,
    difficulty="easy",
    kind=Number(),
    hints=(
        "Suppose the two items had nothing to do with each other. In what share of the baskets would both be?",
        "The share with i times the share with j. Times the number of baskets, that is how many one would expect.",
        "Lift is the observed number over the expected one. Now a is added to both of these two, and to nothing else.",
    ),
    explanation="It is as if the pair had been seen in a more baskets, where a were expected: with no data the answer "
    "is a / a = 1, nothing special, and data moves it. It is also what Bayes says: if true lifts have a gamma "
    "distribution with mean 1 and shape a, and counts a Poisson distribution, this is the mean of the true lift given "
    "the count (DuMouchel, The American Statistician 1999).",
)
def shrunk_lift(n_both, n_i, n_j, n_baskets, a):
    """How much more often than by chance two items are bought together, shrunk towards 1.

    The expected number of baskets with both is ``n_i * n_j / n_baskets``; the shrunk lift is
    (observed + a) over (expected + a).

    Parameters
    ----------
    n_both, n_i, n_j : int
        Baskets with both items, with the first, with the second.
    n_baskets : int
        All baskets.
    a : float
        Strength of the shrinkage, 0 or more; 0 gives the plain lift.

    Returns
    -------
    float
        ``shrunk_lift(10, 50, 20, 1000, a=0)`` is 10.0: one basket is expected, ten were seen.
    """
    expected = n_i * n_j / n_baskets
    return (n_both + a) / (expected + a)


shrunk_lift.case(10, 50, 20, 1000, 0, expect=10.0, because="chance gives 50 × 20 / 1000 = 1 basket; 10 / 1 = 10")
shrunk_lift.case(10, 50, 20, 1000, 1, expect=5.5, because="chance gives 1 basket; (10 + 1) / (1 + 1) = 5.5")
shrunk_lift.case(
    *(1, 1, 200, 4000, 0),
    expect=20.0,
    because="chance gives 1 × 200 / 4000 = 0.05 baskets; 1 / 0.05 = 20",
)
shrunk_lift.case(
    *(1, 1, 200, 4000, 0.5), expect=1.5 / 0.55, because="chance gives 0.05 baskets; 1.5 / 0.55 = 2.7272…, not rounded"
)
shrunk_lift.case(0, 10, 10, 100, 1, expect=0.5, because="chance gives 1 basket, none was seen; (0 + 1) / (1 + 1) = 0.5")
shrunk_lift.case(
    *(0, 0, 5, 100, 2), expect=1.0, because="an item that was never sold: (0 + 2) / (0 + 2) = 1, nothing is known of it"
)


@shrunk_lift.random_cases
def _pair_counts(rng):
    cases = []
    for _ in range(12):
        n_i, n_j = (int(x) for x in rng.integers(3, 60, 2))
        both = int(rng.integers(0, min(n_i, n_j)))
        cases.append((both, n_i, n_j, int(rng.integers(150, 900)), float(rng.choice([0.1, 0.5, 2, 3]))))
    return cases


@shrunk_lift.mistake("You ignore a: this is the plain lift, in which a single basket can look like a rule.")
def _plain_lift(n_both, n_i, n_j, n_baskets, a):
    return n_both / (n_i * n_j / n_baskets)


@shrunk_lift.mistake("You add a below the line only: a pair of which nothing is known would have lift 0, not 1.")
def _only_below(n_both, n_i, n_j, n_baskets, a):
    return n_both / (n_i * n_j / n_baskets + a)


@shrunk_lift.mistake("You add a above the line only: that raises rare pairs still higher.")
def _only_above(n_both, n_i, n_j, n_baskets, a):
    return (n_both + a) / (n_i * n_j / n_baskets)


@shrunk_lift.mistake("You divide first and then add a; add it to both numbers before you divide.")
def _a_afterwards(n_both, n_i, n_j, n_baskets, a):
    return n_both / (n_i * n_j / n_baskets) + a


@shrunk_lift.mistake("You add a to the sales of each item; it belongs to the observed and expected number of pairs.")
def _a_to_sales(n_both, n_i, n_j, n_baskets, a):
    return (n_both + a) / ((n_i + a) * (n_j + a) / n_baskets)


@shrunk_lift.mistake("What you expect is not divided by the number of baskets: n_i * n_j alone is far too many.")
def _expected_too_many(n_both, n_i, n_j, n_baskets, a):
    return (n_both + a) / (n_i * n_j + a)


@shrunk_lift.mistake("You mix a share with a number: divided twice by n_baskets, what you expect is a share.")
def _expected_share(n_both, n_i, n_j, n_baskets, a):
    return (n_both + a) / (n_i * n_j / n_baskets**2 + a)


@shrunk_lift.mistake(
    "You turn both numbers into shares of the baskets before you add a; then a weighs n_baskets times as much."
)
def _both_shares(n_both, n_i, n_j, n_baskets, a):
    return (n_both / n_baskets + a) / (n_i * n_j / n_baskets**2 + a)


@shrunk_lift.mistake("You divide with //, which cuts off what is behind the point: 0.05 expected baskets become 0.")
def _cut_off(n_both, n_i, n_j, n_baskets, a):
    return (n_both + a) / (n_i * n_j // n_baskets + a)


@shrunk_lift.mistake("Upside down: the expected number over the observed one.")
def _upside_down(n_both, n_i, n_j, n_baskets, a):
    return (n_i * n_j / n_baskets + a) / (n_both + a)


@shrunk_lift.mistake("This is the confidence, both over n_i: it asks nothing about how popular the second item is.")
def _confidence(n_both, n_i, n_j, n_baskets, a):
    return (n_both + a) / (n_i + a)


@shrunk_lift.mistake("Brackets are missing: Python divides before it adds, so a / b + c is (a / b) + c.")
def _no_brackets(n_both, n_i, n_j, n_baskets, a):
    return n_both + a / (n_i * n_j / n_baskets) + a


@shrunk_lift.mistake("Brackets are missing around what stands above the line: Python divides before it adds.")
def _no_brackets_above(n_both, n_i, n_j, n_baskets, a):
    return n_both + a / (n_i * n_j / n_baskets + a)


@shrunk_lift.mistake("Brackets are missing around what stands below the line: Python divides before it adds.")
def _no_brackets_below(n_both, n_i, n_j, n_baskets, a):
    return (n_both + a) / (n_i * n_j / n_baskets) + a


@shrunk_lift.mistake("You subtract what was expected; lift divides by it.")
def _difference(n_both, n_i, n_j, n_baskets, a):
    return n_both - n_i * n_j / n_baskets


@shrunk_lift.mistake("You take a logarithm; asked for is the lift itself.")
def _logarithm(n_both, n_i, n_j, n_baskets, a):
    lift = shrunk_lift.reference(n_both, n_i, n_j, n_baskets, a)
    return math.log(lift) if lift > 0 else -math.inf


@shrunk_lift.mistake("Where the two never met you return 0; a keeps the answer above that: (0 + a) / (expected + a).")
def _zero_if_never_met(n_both, n_i, n_j, n_baskets, a):
    return shrunk_lift.reference(n_both, n_i, n_j, n_baskets, a) if n_both else 0.0


@shrunk_lift.mistake(ROUNDED, when=_rounded(shrunk_lift.reference))
def _rounded_lift(n_both, n_i, n_j, n_baskets, a):
    return round(shrunk_lift.reference(n_both, n_i, n_j, n_baskets, a), 2)


# 4.3 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "4.3",
    "How alike are two sessions?",
    minutes=3,
    difficulty="easy",
    kind=Number(),
    hints=(
        "Which items do they share? set(first) & set(second).",
        "If one session has 4 different items and the other 9, divide by the square root of 4 × 9.",
        "Count different items everywhere: a session that looks three times at one book has one item there.",
    ),
    explanation="Write each session as a vector with 1 for each item it has and 0 elsewhere. The product of two such "
    "vectors counts the shared items, the length of each is the square root of its number of items, and the cosine of "
    "the angle between them is this. 1 means the same items, 0 none in common.",
)
def session_cosine(first, second):
    """Cosine of the item sets of two sessions: shared items over the square root of the product of their sizes.

    Parameters
    ----------
    first, second : list
        Items in the order of the clicks, at least one; an item may be there several times and counts once, also in
        the sizes.

    Returns
    -------
    float
        ``session_cosine([1, 2, 3, 4], [4])`` is 0.5: one shared item, over the square root of 4 × 1.
    """
    shared = set(first) & set(second)
    return len(shared) / math.sqrt(len(set(first)) * len(set(second)))


session_cosine.case([1, 2], [1, 2], expect=1.0, because="both have 1 and 2: 2 / √(2 × 2) = 1")
session_cosine.case([1, 2, 3, 4], [4], expect=0.5, because="they share 4: 1 / √(4 × 1) = 0.5")
session_cosine.case([1, 2], [3], expect=0.0, because="they share nothing: 0")
session_cosine.case([1, 2], [2, 1, 3, 4, 5, 6, 7, 8], expect=0.5, because="they share 1 and 2: 2 / √(2 × 8) = 0.5")
session_cosine.case(
    *([1, 1, 1, 2], [2, 2, 3]), expect=0.5, because="different items: 1, 2 and 2, 3; they share one: 1 / √(2 × 2) = 0.5"
)
session_cosine.case(
    *([2, 2, 3], [2, 1]), expect=0.5, because="different items: 2, 3 and 1, 2; they share one: 1 / √(2 × 2) = 0.5"
)
session_cosine.case([1, 2], [2, 3, 0], expect=1 / math.sqrt(6), because="they share 2: 1 / √(2 × 3) = 0.4082…")


@session_cosine.random_cases
def _two_sessions(rng):
    return [(rng.integers(0, 8, rng.integers(1, 7)).tolist(), rng.integers(0, 8, 5).tolist()) for _ in range(12)]


@session_cosine.mistake("You count repeated clicks in the lengths: count different items, len(set(...)).")
def _with_repeats(first, second):
    return len(set(first) & set(second)) / math.sqrt(len(first) * len(second))


@session_cosine.mistake("This is the cosine of the numbers of clicks; here an item counts once, however often clicked.")
def _of_counts(first, second):
    a, b = Counter(first), Counter(second)
    return sum(a[i] * b[i] for i in a) / math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))


@session_cosine.mistake("This is Jaccard, shared items over all items of both; the cosine divides by a square root.")
def _jaccard(first, second):
    return len(set(first) & set(second)) / len(set(first) | set(second))


@session_cosine.mistake("The square root is missing.")
def _no_root(first, second):
    return len(set(first) & set(second)) / (len(set(first)) * len(set(second)))


@session_cosine.mistake("You count the shared items and divide by nothing: long sessions would be alike to everything.")
def _only_shared(first, second):
    return len(set(first) & set(second))


@session_cosine.mistake("You divide by the items of the first session only; the other one's length counts as much.")
def _by_first(first, second):
    return len(set(first) & set(second)) / len(set(first))


@session_cosine.mistake("The root goes over everything in your answer; only what is below the line has one.")
def _root_of_all(first, second):
    return math.sqrt(_no_root(first, second))


@session_cosine.mistake("You compare place by place; it does not matter at which place a shared item stands.")
def _by_place(first, second):
    return sum(a == b for a, b in zip(first, second, strict=False)) / math.sqrt(len(set(first)) * len(set(second)))


@session_cosine.mistake("A shared item counts once for each click on it in your answer; it counts once.")
def _shared_clicks(first, second):
    return sum(item in second for item in first) / math.sqrt(len(set(first)) * len(set(second)))


def _one_set(first, second):
    return len(set(first) & set(second)) / math.sqrt(len(set(first)) * len(second))


session_cosine.mistake(
    "Of one session you count the different items, of the other one the clicks: both sizes are numbers of items.",
    _one_set,
    when=lambda got, first, second: _near(got, _one_set(second, first)),
)


@session_cosine.mistake("** comes before /, so x ** 1/2 is half of x. Write x ** (1/2), x ** 0.5 or math.sqrt(x).")
def _half_power(first, second):
    return len(set(first) & set(second)) / ((len(set(first)) * len(set(second))) / 2)


@session_cosine.mistake("You add the two sizes under the root; multiply them.")
def _root_of_sum(first, second):
    return len(set(first) & set(second)) / math.sqrt(len(set(first)) + len(set(second)))


@session_cosine.mistake(
    "Brackets are missing: a / b * c is (a / b) * c, and both sizes belong below the line.",
    when=lambda got, f, s: _near(got, len(set(f) & set(s)) / math.sqrt(len(set(f))) * len(set(s))),
)
def _second_above(first, second):
    return len(set(first) & set(second)) / math.sqrt(len(set(first))) * math.sqrt(len(set(second)))


@session_cosine.mistake("This is the distance, 1 − cosine: it is 0 for sessions that are the same.")
def _distance(first, second):
    return 1 - session_cosine.reference(first, second)


@session_cosine.mistake("You divide by the size of the smaller session; divide by the root of the product of both.")
def _by_smaller(first, second):
    return len(set(first) & set(second)) / min(len(set(first)), len(set(second)))


@session_cosine.mistake(
    "You cut off what is behind the point (//, int or math.isqrt): divide with / and take math.sqrt.",
    when=lambda got, f, s: _near(got, len(set(f) & set(s)) // math.sqrt(len(set(f)) * len(set(s)))),
)
def _whole_root(first, second):
    return len(set(first) & set(second)) / math.isqrt(len(set(first)) * len(set(second)))


@session_cosine.mistake(ROUNDED, when=_rounded(session_cosine.reference))
def _rounded_cosine(first, second):
    return round(session_cosine.reference(first, second), 2)


# 4.4 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "4.4",
    "Session-kNN",
    minutes=12,
    difficulty="medium",
    kind=Scores(),
    hints=(
        "Three steps: how like the current session is each past one, which k are the most alike, and what is in them?",
        "Keep the similarity of each past session that shares an item, sort by it, the highest first, and cut at k. "
        "sorted() keeps the order of equals, so the session that stands first in `past` stays first.",
        "For each of these k sessions: add its similarity to the score of each of its different items (set(session)). "
        "A Counter starts at 0 by itself.",
    ),
    explanation="This is SKNN (Jannach and Ludewig, RecSys 2017). Nothing is trained: the past sessions are the "
    "model, and one that ended a minute ago can be a neighbour of the next. Real code keeps an index from each item to "
    "its sessions, so that only sessions that share something are ever looked at: "
    'recsys_lab.models.SessionKNN(variant="sknn").',
)
def session_knn(current, past, k):
    """Score items by the k past sessions that are most like the current one.

    The similarity of two sessions is the cosine of their item sets. An item's score is the sum of the similarities of
    those neighbours that have it.

    Parameters
    ----------
    current : list
        Items clicked so far, at least one.
    past : list of list
        Earlier sessions. Those that share nothing with the current one are no neighbours; of two that are equally
        similar, the one that stands first in `past` goes first.
    k : int
        At most so many neighbours.

    Returns
    -------
    dict
        Item to score, also for items of the current session.
        ``session_knn([1], [[1, 2, 3, 4], [5, 6]], k=2)`` is ``{1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5}``.
    """
    here, similarity = set(current), {}
    for number, session in enumerate(past):
        shared = here & set(session)
        if shared:
            similarity[number] = len(shared) / math.sqrt(len(here) * len(set(session)))
    nearest = sorted(similarity, key=lambda number: -similarity[number])[:k]
    scores = Counter()
    for number in nearest:
        for item in set(past[number]):
            scores[item] += similarity[number]
    return dict(scores)


session_knn.case(
    *([1], [[1, 2, 3, 4], [5, 6]], 2),
    expect={1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5},
    because="the first session shares 1: similarity 1 / √(1 × 4) = 0.5, for each of its items",
)
session_knn.case(
    *([1], [[1, 2, 3, 4], [1], [9]], 5),
    expect={1: 1.5, 2: 0.5, 3: 0.5, 4: 0.5},
    because="similarities 0.5 and 1; 1 is in both neighbours: 0.5 + 1",
)
session_knn.case(
    *([1], [[1, 2, 3, 4], [1]], 1), expect={1: 1.0}, because="only one neighbour is asked for: the second, at 1"
)
session_knn.case(
    *([1, 2], [[1, 3], [1, 4], [2, 5]], 2),
    expect={1: 1.0, 3: 0.5, 4: 0.5},
    because="all three have 1 / √(2 × 2) = 0.5; the first two in `past` go first",
)
session_knn.case(
    *([1, 1, 2, 2], [[2, 2, 3, 3]], 3),
    expect={2: 0.5, 3: 0.5},
    because="different items: 1, 2 and 2, 3: 1 / √(2 × 2) = 0.5, once for 2 and once for 3",
)
session_knn.case(
    *([1], [[1], [2, 3], [1]], 2), expect={1: 2.0}, because="two past sessions are the same: each of them adds its 1"
)
session_knn.case([7], [[1, 2], [3]], 2, expect={}, because="no session shares 7, so there is no neighbour")
session_knn.case(
    *([0], [[0, 1], [0, 2]], 2),
    expect={0: math.sqrt(2), 1: math.sqrt(0.5), 2: math.sqrt(0.5)},
    because="ids may be 0; both similarities are 1 / √(1 × 2) = 0.7071…, and 0 is in both: 1.4142…",
)


def _clear_cut(current, past, k) -> bool:
    """Whether no rounding can decide who is the k-th: equals at the cut are equal in all that they are made of."""
    here = set(current)
    facts = [(len(here & set(s)), len(set(s))) for s in past if here & set(s)]
    ranked = sorted(facts, key=lambda fact: -fact[0] / math.sqrt(fact[1]))
    if len(ranked) <= k:
        return True
    shared, size = ranked[k - 1]
    equals = {fact for fact in ranked if fact[0] ** 2 * size == shared**2 * fact[1]}
    next_shared, next_size = ranked[k]
    return len(equals) == 1 or next_shared**2 * size != shared**2 * next_size


@session_knn.random_cases
def _pasts(rng):
    cases = []
    while len(cases) < 12:
        past = [rng.integers(0, 9, rng.integers(1, 6)).tolist() for _ in range(9)]
        case = (rng.integers(0, 9, rng.integers(1, 5)).tolist(), past, int(rng.integers(1, 5)))
        if _clear_cut(*case):
            cases.append(case)
    pairs = [rng.choice(30, 2, replace=False).tolist() for _ in range(400)]  # nearly all are equally similar
    longest = rng.permutation(25).tolist()  # as unlike as 0.2, and still a neighbour
    return [*cases, ([3], [longest, [2, 9]], 4), ([3, 4, 5, 6], pairs, 25), ([7, 8], pairs, 10)]


def _neighbours(current, past, k, similarity=None, order=1):
    """(similarity, session) of the k nearest; `order` -1 looks at the last of equals first."""
    similarity = similarity or session_cosine.reference
    found = [(similarity(current, session), session) for session in past][::order]
    return sorted(((s, session) for s, session in found if s > 0), key=lambda pair: -pair[0])[:k]


def _sum(neighbours, weight=lambda similarity: similarity):
    scores = Counter()
    for similarity, session in neighbours:
        scores.update(dict.fromkeys(session, weight(similarity)))
    return dict(scores)


@session_knn.mistake("Your neighbours all count alike, 1 each; a nearer one should add more: its similarity.")
def _votes(current, past, k):
    return _sum(_neighbours(current, past, k), lambda similarity: 1.0)


@session_knn.mistake("You ignore k: all sessions that share something are in your answer.")
def _all_neighbours(current, past, k):
    return _sum(_neighbours(current, past, len(past)))


@session_knn.mistake(
    "You take the first k sessions that share something, not the k most similar ones.",
    when=lambda got, current, past, k: _near(got, session_knn.reference(current, past[:k], k)),
)
def _first_k(current, past, k):
    return _sum([(session_cosine.reference(current, s), s) for s in past if set(s) & set(current)][:k])


@session_knn.mistake("You take the k least similar sessions: the highest similarity comes first.")
def _farthest(current, past, k):
    return _sum(sorted(_neighbours(current, past, len(past)), key=lambda pair: pair[0])[:k])


@session_knn.mistake("Of two equally similar sessions you take the later one in `past`; the first one goes first.")
def _last_of_equals(current, past, k):
    return _sum(_neighbours(current, past, k, order=-1))


@session_knn.mistake(
    "Of two equally similar sessions you take the one with the larger item ids: pairs of similarity and session are "
    "compared by both. Sort by the similarity alone."
)
def _sorted_pairs(current, past, k):
    found = [(session_cosine.reference(current, session), session) for session in past if set(session) & set(current)]
    return _sum(sorted(found, reverse=True)[:k])


@session_knn.mistake("Past sessions with the same items count once in your answer: are they keys of a dict?")
def _identical_once(current, past, k):
    return _sum(_neighbours(current, list(dict.fromkeys(map(tuple, past))), k))


@session_knn.mistake("An item that was clicked twice in a neighbour counts twice in your answer.")
def _counts_clicks(current, past, k):
    scores = Counter()
    for similarity, session in _neighbours(current, past, k):
        for item in session:
            scores[item] += similarity
    return dict(scores)


@session_knn.mistake("You leave out the items of the current session; people go back to them, so they are scored too.")
def _without_current(current, past, k):
    return {item: s for item, s in session_knn.reference(current, past, k).items() if item not in current}


@session_knn.mistake("An item's score is overwritten by the next neighbour that has it; the similarities add up.")
def _overwritten(current, past, k):
    return {item: s for s, session in _neighbours(current, past, k) for item in session}


@session_knn.mistake("You divide by the number of neighbours; asked for is the sum.")
def _mean(current, past, k):
    near = _neighbours(current, past, k)
    return {item: s / len(near) for item, s in _sum(near).items()}


@session_knn.mistake("You look at the last click only: neighbours share any item with the whole session.")
def _last_click(current, past, k):
    return _sum(_neighbours(current[-1:], past, k))


@session_knn.mistake("Your similarity is the number of shared items, not the cosine: long sessions come out too near.")
def _shared(current, past, k):
    return _sum(_neighbours(current, past, k, lambda a, b: len(set(a) & set(b))))


@session_knn.mistake("Your similarity is Jaccard's, not the cosine of exercise 4.3.")
def _by_jaccard(current, past, k):
    return _sum(_neighbours(current, past, k, _jaccard))


@session_knn.mistake("Your similarity counts repeated clicks in the lengths of the sessions; count different items.")
def _by_clicks(current, past, k):
    return _sum(_neighbours(current, past, k, _with_repeats))


def _other_equals(got, current, past, k):
    """Whether the neighbours are as similar as they should be, but not the first of their equals."""
    right = session_knn.reference(current, past, k)
    return math.isclose(sum(got.values()), sum(right.values()), rel_tol=1e-6)


@session_knn.mistake(
    "Of equally similar sessions you do not take the first ones in `past`. np.argsort and sort_values keep the order "
    'of equals only with kind="stable", and [::-1] turns it round: sort by −similarity instead.',
    when=_other_equals,
)
def _unstable(current, past, k):
    similarity = np.array([session_cosine.reference(current, session) for session in past])
    return _sum([(similarity[n], past[n]) for n in np.argsort(-similarity)[:k] if similarity[n] > 0])


@session_knn.mistake("You take one neighbour too few: [:k] takes k of them.")
def _one_too_few(current, past, k):
    return _sum(_neighbours(current, past, k - 1))


@session_knn.mistake("You take one neighbour too many: [:k] takes k of them.")
def _one_too_many(current, past, k):
    return _sum(_neighbours(current, past, k + 1))


@session_knn.mistake("You stop after the first neighbour: does the `return` stand inside the loop?")
def _first_neighbour(current, past, k):
    return _sum(_neighbours(current, past, 1))


@session_knn.mistake("You keep an item's highest similarity; the similarities of all neighbours that have it add up.")
def _highest(current, past, k):
    scores = {}
    for similarity, session in _neighbours(current, past, k):
        scores |= {item: max(similarity, scores.get(item, 0)) for item in session}
    return scores


@session_knn.mistake("You divide by the sum of the similarities; asked for is the plain sum.")
def _weighted_mean(current, past, k):
    near = _neighbours(current, past, k)
    return {item: score / sum(s for s, _ in near) for item, score in _sum(near).items()}


@session_knn.mistake("You divide by how many neighbours have the item; asked for is the sum.")
def _mean_of_owners(current, past, k):
    near = _neighbours(current, past, k)
    owners = _sum(near, lambda similarity: 1)
    return {item: score / owners[item] for item, score in _sum(near).items()}


@session_knn.mistake(ZERO)
def _knn_without_zero(current, past, k):
    return {item: score for item, score in session_knn.reference(current, past, k).items() if item}


@session_knn.mistake(ROUNDED, when=_rounded(session_knn.reference))
def _rounded_scores(current, past, k):
    return {item: round(score, 2) for item, score in session_knn.reference(current, past, k).items()}


# 4.5 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "4.5",
    "V-SKNN: the last clicks count most",
    minutes=8,
    difficulty="medium",
    kind=Number(),
    extra=True,
    hints=(
        "First the weight of each item of the current session: its place, from 1, over the number of clicks, squared.",
        "An item that was clicked twice has the weight of its last click: a dict that is filled in the order of the "
        "clicks keeps just that.",
        "Add up the weights of the items that the neighbour has too, and divide by the number of different items of "
        "the current session.",
    ),
    explanation="With one click it is 1 if the neighbour has the item. In a long session the last click has "
    "weight 1 and one from halfway 1/4: the session has moved on. Nothing is divided by the neighbour's length, so a "
    "long neighbour is not punished as it is by the cosine (Ludewig and Jannach, UMUAI 2018; quadratic weighting).",
)
def vsknn_similarity(current, neighbour):
    """How like the current session a past one is, if late clicks weigh more.

    The weight of an item is ``(place / n_clicks) ** 2``, places counted from 1; of an item clicked several times, the
    last place counts. The weights of shared items are added up and divided by the number of different items of the
    current session.

    Parameters
    ----------
    current : list
        Items in the order of the clicks, at least one.
    neighbour : list
        Items of a past session; their order does not matter.

    Returns
    -------
    float
        ``vsknn_similarity([1, 2], [2, 9])`` is 0.5: item 2 has weight (2 / 2)², over 2 different items.
    """
    weight = {item: (place / len(current)) ** 2 for place, item in enumerate(current, start=1)}
    shared = weight.keys() & set(neighbour)
    return sum(weight[item] for item in shared) / len(weight)


vsknn_similarity.case([1], [1, 2, 3], expect=1.0, because="item 1 has weight (1/1)²; 1 different item: 1 / 1")
vsknn_similarity.case([1, 2], [2, 9], expect=0.5, because="item 2 has weight (2/2)² = 1; 2 different items: 1 / 2")
vsknn_similarity.case([1, 2], [1, 9], expect=0.125, because="item 1 has weight (1/2)² = 1/4; 2 different items: 1/8")
vsknn_similarity.case(
    *([1, 2, 3, 4], [4, 2, 2]),
    expect=0.3125,
    because="weights (4/4)² = 1 for item 4 and (2/4)² = 1/4 for item 2; over 4 different items: 1.25 / 4",
)
vsknn_similarity.case(
    *([1, 2, 1, 2], [1]),
    expect=0.28125,
    because="item 1 was clicked last at place 3 of 4: (3/4)² = 0.5625; over 2 different items",
)
vsknn_similarity.case([1, 2], [3], expect=0.0, because="they share nothing: 0")


@vsknn_similarity.random_cases
def _current_and_past(rng):
    return [(rng.integers(0, 6, rng.integers(2, 8)).tolist(), rng.integers(0, 6, 4).tolist()) for _ in range(12)]


def _weighted(current, neighbour, weight, over=None):
    """Sum of weight(places, n_clicks) of the shared items over a number, by default of different items."""
    places = {}
    for place, item in enumerate(current, start=1):
        places.setdefault(item, []).append(place)
    total = sum(weight(places[item], len(current)) for item in set(neighbour) & set(current))
    over = len(set(current)) if over is None else over
    return total / over if over else 0.0


@vsknn_similarity.mistake("You count places from 0: the first click would have weight 0, and the last less than 1.")
def _places_from_zero(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: ((places[-1] - 1) / n) ** 2)


@vsknn_similarity.mistake("You do not square: the weight is (place / n_clicks) ** 2.")
def _linear(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: places[-1] / n)


@vsknn_similarity.mistake("Of an item clicked several times, you take the first place; the last one counts.")
def _first_place(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: (places[0] / n) ** 2)


@vsknn_similarity.mistake("An item clicked several times adds all its places in your answer; only the last one counts.")
def _every_place(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: sum((p / n) ** 2 for p in places))


@vsknn_similarity.mistake("The wrong way round: in your answer the first clicks weigh most.")
def _early_first(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: ((n + 1 - places[-1]) / n) ** 2)


@vsknn_similarity.mistake("You do not divide by the number of different items of the current session.")
def _undivided(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: (places[-1] / n) ** 2, over=1)


@vsknn_similarity.mistake("You divide by the number of clicks; divide by the number of different items.")
def _by_n_clicks(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: (places[-1] / n) ** 2, over=len(current))


@vsknn_similarity.mistake("You divide by the number of shared items; divide by those of the whole current session.")
def _by_shared(current, neighbour):
    shared = len(set(current) & set(neighbour))
    return _weighted(current, neighbour, lambda places, n: (places[-1] / n) ** 2, over=shared)


@vsknn_similarity.mistake("You divide places by the number of different items; it is (place / number of clicks) ** 2.")
def _place_over_distinct(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: (places[-1] / len(set(current))) ** 2)


@vsknn_similarity.mistake("An item that the neighbour clicked twice counts twice in your answer.")
def _neighbour_repeats(current, neighbour):
    weight = {item: (place / len(current)) ** 2 for place, item in enumerate(current, start=1)}
    return sum(weight.get(item, 0) for item in neighbour) / len(weight)


def _over(current, neighbour, size):
    """The right sum, over another size."""
    return vsknn_similarity.reference(current, neighbour) * len(set(current)) / size


@vsknn_similarity.mistake(
    "You take out repeated clicks before you count places; a place is that among all clicks of the session.",
    when=lambda got, c, n: _near(got, vsknn_similarity.reference(list(dict.fromkeys(c[::-1]))[::-1], n)),
)
def _places_of_distinct(current, neighbour):
    return vsknn_similarity.reference(list(dict.fromkeys(current)), neighbour)


@vsknn_similarity.mistake(
    "You divide by the size of the neighbour; divide by the number of different items of the current session.",
    when=lambda got, c, n: _near(got, _over(c, n, len(n))),
)
def _by_neighbour(current, neighbour):
    return _over(current, neighbour, len(set(neighbour)))


@vsknn_similarity.mistake("You divide as the cosine does; here the neighbour's size does not count.")
def _as_cosine(current, neighbour):
    return _over(current, neighbour, math.sqrt(len(set(current)) * len(set(neighbour))))


@vsknn_similarity.mistake("All items weigh 1 in your answer, whatever their place.")
def _all_alike(current, neighbour):
    return len(set(current) & set(neighbour)) / len(set(current))


@vsknn_similarity.mistake("You square the sum; square the weight of each item, then add up.")
def _square_of_sum(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: places[-1] / n, over=1) ** 2 / len(set(current))


@vsknn_similarity.mistake("You divide places with //, which cuts off what is behind the point: 1 // 2 is 0.")
def _cut_off_places(current, neighbour):
    return _weighted(current, neighbour, lambda places, n: (places[-1] // n) ** 2)


@vsknn_similarity.mistake(ROUNDED, when=_rounded(vsknn_similarity.reference))
def _rounded_similarity(current, neighbour):
    return round(vsknn_similarity.reference(current, neighbour), 2)


# 4.6 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "4.6",
    "Sequential rules",
    minutes=8,
    difficulty="medium",
    kind=Scores(),
    extra=True,
    hints=(
        "Go through each session by itself. Wherever the item was clicked, look at all that came later in the session.",
        "The click right behind has distance 1, the next one 2. Each adds 1 / distance ** 2 to its item's weight.",
        "Two loops inside a session: `for place, clicked in enumerate(session)`, and if that is the item, "
        "`for distance, later in enumerate(session[place + 1:], start=1)`.",
    ),
    explanation="The rows for all items are the model `SequentialRules` (Ludewig and Jannach, UMUAI 2018). Counting 1 "
    "for each pair, in both directions, gives association rules. Both look at the last click only, which makes them "
    "quick and easily explained.",
)
def followers(sessions, item):
    """What was clicked after an item, the sooner the heavier.

    Every click on `item` adds ``1 / distance ** 2`` to each later click of the same session, where the next click has
    distance 1.

    Parameters
    ----------
    sessions : list of list
        Items in the order of the clicks; an item may be there several times, also `item` itself.
    item : int

    Returns
    -------
    dict
        Item to weight. ``followers([[1, 2, 3], [3, 1]], 1)`` is ``{2: 1.0, 3: 0.25}``.
    """
    weights = Counter()
    for session in sessions:
        for place, clicked in enumerate(session):
            if clicked == item:
                for distance, later in enumerate(session[place + 1 :], start=1):
                    weights[later] += 1 / distance**2
    return dict(weights)


followers.case([[1, 2]], 1, expect={2: 1.0}, because="2 comes right after 1: 1 / 1²")
followers.case([[1, 2]], 2, expect={}, because="nothing comes after 2")
followers.case(
    *([[1, 2, 3], [3, 1]], 1),
    expect={2: 1.0, 3: 0.25},
    because="2 at distance 1, 3 at distance 2: 1 / 2². In the other session 3 comes before 1",
)
followers.case(
    *([[1, 2], [5, 1, 4, 2]], 1),
    expect={2: 1.25, 4: 1.0},
    because="2 follows at distance 1 and, in the other session, at distance 2: 1 + 1/4",
)
followers.case(
    *([[1, 2, 1, 3]], 1),
    expect={2: 1.0, 1: 0.25, 3: 1 / 9 + 1},
    because="from the first click on 1, items 2, 1 and 3 are at distances 1, 2 and 3; from the second one, 3 is at 1",
)


followers.case([[1, 0]], 1, expect={0: 1.0}, because="ids may be 0, and 0 comes right after 1: 1 / 1²")


@followers.random_cases
def _some_sessions(rng):
    short = [([rng.integers(0, 6, rng.integers(1, 7)).tolist() for _ in range(5)], 2) for _ in range(8)]
    return [*short, ([rng.permutation(30).tolist() for _ in range(3)], 4), ([rng.integers(0, 9, 60).tolist()], 2)]


def _follow(sessions, item, weight, places=lambda session, item: [p for p, i in enumerate(session) if i == item]):
    """Sum of weight(signed distance) over the other clicks of the sessions."""
    weights = Counter()
    for session in sessions:
        for place in places(session, item):
            for other, clicked in enumerate(session):
                if other != place:
                    weights[clicked] += weight(other - place)
    return dict(weights)


@followers.mistake("You divide by the distance itself: the weight is 1 / distance ** 2.")
def _one_over_distance(sessions, item):
    return _follow(sessions, item, lambda d: 1 / d if d > 0 else 0)


@followers.mistake("You count each later click as 1, whatever its distance.")
def _unweighted(sessions, item):
    return _follow(sessions, item, lambda d: d > 0)


@followers.mistake("The wrong way round: this is what came before the item.")
def _before(sessions, item):
    return _follow(sessions, item, lambda d: 1 / d**2 if d < 0 else 0)


@followers.mistake("You count what came before the item as well; only later clicks follow it.")
def _both_ways(sessions, item):
    return _follow(sessions, item, lambda d: 1 / d**2)


@followers.mistake(
    "Only the very next click has weight in your answer. Later ones count too; if you divide with //, 1 // 4 is 0."
)
def _next_only(sessions, item):
    return _follow(sessions, item, lambda d: d == 1)


@followers.mistake("Your distances begin at 2: the click right behind has distance 1.")
def _from_two(sessions, item):
    return _follow(sessions, item, lambda d: 1 / (d + 1) ** 2 if d > 0 else 0)


@followers.mistake("You divide by zero: the click right behind has distance 1, enumerate(..., start=1).")
def _from_zero(sessions, item):
    return _follow(sessions, item, lambda d: 1 / (d - 1) ** 2 if d > 0 else 0)


@followers.mistake("You look at the first click on the item only; each of its clicks counts.")
def _first_click(sessions, item):
    return _follow(sessions, item, lambda d: 1 / d**2 if d > 0 else 0, lambda s, i: [s.index(i)] if i in s else [])


@followers.mistake("You leave out later clicks on the item itself; they count like any other.")
def _not_itself(sessions, item):
    return {i: w for i, w in followers.reference(sessions, item).items() if i != item}


@followers.mistake("Your distances run on from one session into the next: sessions are separate visits.")
def _across_sessions(sessions, item):
    return followers.reference([[i for session in sessions for i in session]], item)


@followers.mistake("Your place of a later item is that of its first click: session.index finds only that one.")
def _by_index(sessions, item):
    weights = Counter()
    for session in sessions:
        for place, clicked in enumerate(session):
            for later in session[place + 1 :] if clicked == item else ():
                weights[later] += 1 / max(session.index(later) - place, 1) ** 2
    return dict(weights)


def _seen(sessions, item, most):
    return _follow(sessions, item, lambda d: 1 / d**2 if 0 < d <= most else 0)


followers.mistake(
    "You look only some clicks ahead; every later click of the session counts.",
    lambda sessions, item: _seen(sessions, item, 5),
    when=lambda got, sessions, item: any(_near(got, _seen(sessions, item, most)) for most in range(2, 40)),
)


@followers.mistake("You look at the last click on the item only; each of its clicks counts.")
def _last_click_on_it(sessions, item):
    last = lambda session, i: [len(session) - 1 - session[::-1].index(i)] if i in session else []  # noqa: E731
    return _follow(sessions, item, lambda d: 1 / d**2 if d > 0 else 0, last)


@followers.mistake("An item's weight is overwritten by the next one; the weights add up.")
def _overwritten_weight(sessions, item):
    weights = {}
    for session in sessions:
        for place, clicked in enumerate(session):
            for distance, later in enumerate(session[place + 1 :] if clicked == item else (), start=1):
                weights[later] = 1 / distance**2
    return weights


@followers.mistake("You stop at the next click on the item; what comes after that follows the earlier click as well.")
def _until_next(sessions, item):
    weights = Counter()
    for session in sessions:
        for place in [p for p, clicked in enumerate(session) if clicked == item]:
            for distance, later in enumerate(session[place + 1 :], start=1):
                weights[later] += 1 / distance**2
                if later == item:
                    break
    return dict(weights)


@followers.mistake(
    "Behind each click on the item, every later item counts once in your answer; each click on it counts."
)
def _each_later_once(sessions, item):
    weights = Counter()
    for session in sessions:
        for place in [p for p, clicked in enumerate(session) if clicked == item]:
            behind = session[place + 1 :]
            weights.update({later: 1 / (behind.index(later) + 1) ** 2 for later in set(behind)})
    return dict(weights)


@followers.mistake("You divide by the number of clicks on the item; asked for is the sum.")
def _mean_weight(sessions, item):
    n = sum(session.count(item) for session in sessions)
    return {later: weight / n for later, weight in followers.reference(sessions, item).items()}


@followers.mistake(ZERO)
def _followers_without_zero(sessions, item):
    return {later: weight for later, weight in followers.reference(sessions, item).items() if later}


@followers.mistake(ROUNDED, when=_rounded(followers.reference))
def _rounded_weights(sessions, item):
    return {later: round(weight, 2) for later, weight in followers.reference(sessions, item).items()}
