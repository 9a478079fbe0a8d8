"""Right and wrong answers to the exercises of lab 04."""

import math
from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pandas as pd
from proof import Proof
from scipy import sparse

PROOF: dict[str, Proof] = {}
REFUSED = ""  # wrong, but so rare that no diagnosis is asked for


# 4.1 -----------------------------------------------------------------------------------------------------------------


def _matrix(baskets):
    """Baskets by items, 1 where the item is."""
    X = np.zeros((len(baskets), 1 + max(max(basket) for basket in baskets)), int)
    for row, basket in enumerate(baskets):
        X[row, basket] = 1
    return X


def _with_by_matrix(baskets, item):
    X = _matrix(baskets)
    if item >= X.shape[1]:
        return {}
    row = X.T @ X[:, item]
    row[item] = 0
    return dict(enumerate(row))  # zeros and all


def _with_by_pandas(baskets, item):
    table = pd.DataFrame([(n, i) for n, basket in enumerate(baskets) for i in basket], columns=["basket", "item"])
    table = table.drop_duplicates()
    mine = table.loc[table["item"] == item, "basket"]
    return table[table["basket"].isin(mine) & (table["item"] != item)]["item"].value_counts()


def _with_by_pairs(baskets, item):
    pairs = Counter()
    for basket in baskets:
        pairs.update(combinations(sorted(set(basket)), 2))
    return {(a if b == item else b): n for (a, b), n in pairs.items() if item in (a, b)}


def _with_recursive(baskets, item):
    if not baskets:
        return {}
    counts = _with_recursive(baskets[:-1], item)
    for other in set(baskets[-1]) if item in baskets[-1] else ():
        if other != item:
            counts[other] = counts.get(other, 0) + 1
    return counts


def _with_removed(baskets, item, count=Counter):
    counts = Counter()
    for basket in baskets:
        if item in basket:
            basket = basket.copy()
            basket.remove(item)
            counts += count(basket)
    return counts


def _each_once(basket):
    return Counter(set(basket))


def _with_return_inside(baskets, item, also_without=False):
    counts = {}
    for basket in baskets:
        if item in basket:
            for other in set(basket) - {item}:
                counts[other] = counts.get(other, 0) + 1
            return counts
        if also_without:
            return counts


def _with_by_copies(baskets, item):
    counts = defaultdict(int)
    for basket in baskets:
        if item in basket:
            for other in basket:
                if other != item:
                    counts[other] += 1
    return counts


PROOF["bought_with"] = Proof(
    right=[_with_by_matrix, _with_by_pandas, _with_by_pairs],
    wrong=[
        (_with_by_copies, "You count copies"),
        (lambda baskets, item: Counter(i for b in baskets if item in b for i in set(b)), "The item itself"),
        (lambda baskets, item: _with_by_pandas(baskets, item) / sum(item in b for b in baskets), "You return shares"),
        (lambda baskets, item: {i: n for i, n in enumerate(_matrix(baskets).sum(0)) if i != item}, "all baskets"),
        (lambda baskets, item: dict.fromkeys(_with_by_pairs(baskets, item), 1), "only that two items met"),
        (lambda baskets, item: set(_with_by_pairs(baskets, item)), "a dict with a number for each item is needed"),
        (lambda baskets, item: Counter(_with_by_pairs(baskets, item)).most_common(), "dict(...) makes one of pairs"),
        (lambda baskets, item: {str(i): n for i, n in _with_by_pairs(baskets, item).items()}, "'2': 1"),
        (_with_recursive, "calls itself once for each basket"),
        (lambda baskets, item: Counter(x for b in baskets if item in b for x in set(b) - {item} if x), "Item 0"),
        (lambda baskets, item: dict(Counter(_with_by_pairs(baskets, item)).most_common(5)), "only some of the items"),
        (lambda baskets, item: {x: _with_by_pairs(baskets, item).get(x, 0) for x in range(10)}, REFUSED),
        (lambda baskets, item: _with_by_pandas(baskets, item).drop(9 if len(baskets) == 2 else []), "KeyError"),
        (
            lambda baskets, item: _with_by_pairs(baskets, item) if any(item in b for b in baskets) else None,
            "returns None",
        ),
        (_with_return_inside, "inside the loop"),
        (lambda baskets, item: _with_return_inside(baskets, item, True), "inside the loop"),
        (lambda baskets, item: _with_removed(baskets, item, _each_once), "takes away only one"),
        (_with_removed, "takes away only one"),
    ],
)


# 4.2 -----------------------------------------------------------------------------------------------------------------


def _lift_as_mean(n_both, n_i, n_j, n_baskets, a):
    """A weighted mean of the plain lift and 1."""
    expected = n_i * n_j / n_baskets
    if expected == 0:
        return 1.0
    weight = expected / (expected + a)
    return weight * n_both / expected + (1 - weight)


def _lift_by_shares(n_both, n_i, n_j, n_baskets, a):
    p_i, p_j = n_i / n_baskets, n_j / n_baskets
    return np.divide(n_both + a, n_baskets * p_i * p_j + a)


PROOF["shrunk_lift"] = Proof(
    right=[_lift_as_mean, _lift_by_shares, lambda b, i, j, n, a: n * (b + a) / (i * j + n * a)],
    wrong=[
        (lambda b, i, j, n, a: (b / n) / ((i / n) * (j / n)), "You ignore a"),
        (lambda b, i, j, n, a: b / (i * j / n + a), "below the line only"),
        (lambda b, i, j, n, a: (b + a) / (i * j / n), "above the line only"),
        (lambda b, i, j, n, a: a + b * n / (i * j), "You divide first"),
        (lambda b, i, j, n, a: (b / n + a) / ((i / n) * (j / n) + a), "shares of the baskets before you add a"),
        (lambda b, i, j, n, a: (b + a) / (i * j + a), "not divided by the number of baskets"),
        (lambda b, i, j, n, a: (b + a) / ((i / n) * (j / n) + a), "what you expect is a share"),
        (lambda b, i, j, n, a: 1 / _lift_as_mean(b, i, j, n, a), "Upside down"),
        (lambda b, i, j, n, a: n * (b + a) / ((i + a) * (j + a)), "to the sales of each item"),
        (lambda b, i, j, n, a: (b + a) / (int(i * j / n) + a), "which cuts off"),
        (lambda b, i, j, n, a: (b + a) / i * j / (n + a), REFUSED),
        (lambda b, i, j, n, a: b + a / (i * j / n) + a, "Brackets are missing: Python"),
        (lambda b, i, j, n, a: (b + a) / (i * j / n) + a, "below the line"),
        (lambda b, i, j, n, a: (b + a) * n / (i * j) + a if i else 0.0, "below the line"),
        (lambda b, i, j, n, a: b + a / (i * j / n + a), "above the line"),
        (lambda b, i, j, n, a: b - (i / n) * j, "You subtract"),
        (lambda b, i, j, n, a: np.log(_lift_as_mean(b, i, j, n, a)), "logarithm"),
        (lambda b, i, j, n, a: 0 if b == 0 else _lift_as_mean(b, i, j, n, a), "never met you return 0"),
        (lambda b, i, j, n, a: np.round(_lift_as_mean(b, i, j, n, a), 3), "You round"),
        (lambda b, i, j, n, a: float(f"{_lift_as_mean(b, i, j, n, a):.1f}"), "You round"),
    ],
)


# 4.3 -----------------------------------------------------------------------------------------------------------------


def _vector(session):
    vector = np.zeros(30)
    vector[session] = 1
    return vector


def _cosine_by_vectors(first, second):
    a, b = _vector(first), _vector(second)
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def _cosine_by_loop(first, second):
    shared = 0
    for item in dict.fromkeys(first):
        shared += item in second
    return shared / len(set(first)) ** 0.5 / len(set(second)) ** 0.5


PROOF["session_cosine"] = Proof(
    right=[_cosine_by_vectors, _cosine_by_loop],
    wrong=[
        (lambda a, b: sum(i in b for i in set(a)) / (len(a) ** 0.5 * len(b) ** 0.5), "repeated clicks"),
        (
            lambda a, b: (
                np.bincount(a, minlength=9)
                @ np.bincount(b, minlength=9)
                / np.linalg.norm(np.bincount(a))
                / np.linalg.norm(np.bincount(b))
            ),
            "the numbers of clicks",
        ),
        (lambda a, b: np.minimum(_vector(a), _vector(b)).sum() / np.maximum(_vector(a), _vector(b)).sum(), "Jaccard"),
        (lambda a, b: _vector(a) @ _vector(b) / (_vector(a).sum() * _vector(b).sum()), "square root is missing"),
        (lambda a, b: _vector(a) @ _vector(b), "divide by nothing"),
        (lambda a, b: len(set(a).intersection(b)) / len({*a}), "first session only"),
        (lambda a, b: set(a) & set(b), "one number is needed"),
        (lambda a, b: sum(i in b for i in a) / math.sqrt(len(set(a)) * len(set(b))), "once for each click on it"),
        (lambda a, b: len(set(a) & set(b)) / math.sqrt(len(set(a))) * len(set(b)), "Brackets are missing"),
        (lambda a, b: len(set(a) & set(b)) / len(set(a)) ** 0.5 * len(set(b)) ** 0.5, "Brackets are missing"),
        (lambda a, b: len(set(a) & set(b)) / (len(a) * len(set(b))) ** 0.5, "of the other one the clicks"),
        (lambda a, b: len(set(a) & set(b)) / (len(set(a)) * len(b)) ** 0.5, "of the other one the clicks"),
        (lambda a, b: len(set(a) & set(b)) / ((len(set(a)) * len(set(b))) ** 1 / 2), "** comes before /"),
        (lambda a, b: len(set(a) & set(b)) / (len(set(a)) + len(set(b))) ** 0.5, "multiply them"),
        (lambda a, b: 1 - _cosine_by_vectors(a, b), "the distance"),
        (lambda a, b: np.minimum(_vector(a), _vector(b)).sum() / min(len({*a}), len({*b})), "the smaller session"),
        (lambda a, b: len(set(a) & set(b)) / int((len(set(a)) * len(set(b))) ** 0.5), "You cut off"),
        (lambda a, b: len(set(a) & set(b)) // (len(set(a)) * len(set(b))) ** 0.5, "You cut off"),
        (lambda a, b: round(float(_cosine_by_vectors(a, b)), 3), "You round"),
        (lambda a, b: 2 * len(set(a) & set(b)) / (len(set(a)) + len(set(b))), REFUSED),
    ],
)


# 4.4 -----------------------------------------------------------------------------------------------------------------


def _knn_by_matrix(current, past, k):
    occurs = sparse.csr_matrix(np.array([_vector(s) for s in past]))
    query = _vector(current)
    similarity = (occurs @ query) / np.sqrt(np.asarray(occurs.sum(axis=1)).ravel() * query.sum())
    nearest = np.argsort(-similarity, kind="stable")[:k]
    return pd.Series(occurs[nearest].T @ similarity[nearest])


def _knn_by_tuples(current, past, k):
    ranked = sorted((-_cosine_by_loop(current, s), n) for n, s in enumerate(past))
    scores = defaultdict(float)
    for minus, n in ranked[:k]:
        for item in np.unique(past[n]).tolist():
            scores[item] -= minus
    return scores


def _knn_variant(current, past, k, similarity=_cosine_by_loop, reverse=False, each=set, add=lambda s: s):
    found = [(similarity(current, s), s) for s in past if set(s) & set(current)]
    ranked = sorted(found[::-1] if reverse else found, key=lambda pair: pair[0], reverse=True)
    scores = defaultdict(float)
    for s, session in ranked[:k]:
        for item in each(session):
            scores[item] += add(s)
    return dict(scores)


def _knn_sorted_pairs(current, past, k):
    scores = Counter()
    for similarity, session in sorted([(_cosine_by_loop(current, s), s) for s in past])[::-1][:k]:
        for item in set(session):
            scores[item] += similarity
    return scores


def _knn_last_of_equals(current, past, k):
    return _knn_variant(current, past, k, reverse=True)


def _knn_without_current(current, past, k):
    return {item: score for item, score in _knn_by_tuples(current, past, k).items() if item not in current}


def _knn_unstable(current, past, k, turned=False):
    similarity = np.array([_cosine_by_vectors(current, session) for session in past])
    top = np.argsort(similarity)[::-1][:k] if turned else np.argsort(-similarity)[:k]
    scores = defaultdict(float)
    for n in top:
        for item in set(past[n]):
            scores[item] += similarity[n]
    return {item: score for item, score in scores.items() if score > 0}


def _knn_by_series(current, past, k):
    top = pd.Series([_cosine_by_loop(current, session) for session in past]).sort_values(ascending=False).head(k)
    scores = Counter()
    for n, similarity in top.items():
        scores.update(dict.fromkeys(past[n], similarity))
    return scores


def _knn_over(current, past, k, divisor):
    return {item: score / divisor(current, past, item) for item, score in _knn_by_tuples(current, past, k).items()}


def _knn_highest(current, past, k):
    scores = {}
    for similarity, n in sorted(((_cosine_by_loop(current, s), -n) for n, s in enumerate(past)), reverse=True)[:k]:
        for item in past[-n]:
            scores.setdefault(item, similarity)
    return scores


PROOF["session_knn"] = Proof(
    right=[_knn_by_matrix, _knn_by_tuples, _knn_variant],
    wrong=[
        (lambda c, p, k: _knn_variant(c, p, k, add=lambda s: 1), "1 each"),
        (lambda c, p, k: _knn_variant(c, p, None), "You ignore k"),
        (_knn_last_of_equals, "the later one in `past`"),
        (
            lambda c, p, k: _knn_variant(c, [list(s) for s in {tuple(s): 1 for s in p}], k),
            "are they keys of a dict?",
        ),
        (_knn_sorted_pairs, "the larger item ids"),
        (lambda c, p, k: _knn_variant(c, p, k, each=list), "clicked twice in a neighbour"),
        (_knn_without_current, "leave out the items of the current session"),
        (lambda c, p, k: _knn_by_matrix(c, p, k) / min(k, sum(bool(set(s) & set(c)) for s in p)), REFUSED),
        (lambda c, p, k: _knn_variant(c, p, k, lambda a, b: len(set(a) & set(b))), "number of shared items"),
        (
            lambda c, p, k: _knn_variant(c, p, k, lambda a, b: len(set(a) & set(b)) / len(set(a) | set(b))),
            "Jaccard",
        ),
        (lambda c, p, k: _knn_variant([c[-1]], p, k), "the last click only"),
        (lambda c, p, k: _knn_variant(c, sorted(p, key=lambda s: -_cosine_by_loop(c, s))[k:], k), REFUSED),
        (lambda c, p, k: _knn_variant(c, p[:k], k), "the first k sessions"),
        (lambda c, p, k: _knn_variant(c, [s for s in p if _cosine_by_loop(c, s) > 0.3], k), REFUSED),
        (_knn_unstable, 'only with kind="stable"'),
        (lambda c, p, k: _knn_unstable(c, p, k, turned=True), 'only with kind="stable"'),
        (_knn_by_series, 'only with kind="stable"'),
        (lambda c, p, k: {i: s for i, s in _knn_variant(c, p, k).items() if i}, "Item 0 is missing"),
        (lambda c, p, k: _knn_by_tuples(c, p, k - 1), "one neighbour too few"),
        (lambda c, p, k: _knn_by_tuples(c, p, 1), "after the first neighbour"),
        (_knn_highest, "highest similarity"),
        (
            lambda c, p, k: _knn_over(
                c, p, k, lambda c, p, i: sum(sorted((_cosine_by_loop(c, s) for s in p), reverse=True)[:k])
            ),
            "the sum of the similarities",
        ),
        (
            lambda c, p, k: {
                i: s / _knn_variant(c, p, k, add=lambda s: 1)[i] for i, s in _knn_variant(c, p, k).items()
            },
            "how many neighbours have the item",
        ),
        (lambda c, p, k: pd.Series(_knn_variant(c, p, k), dtype=float).round(3), "You round"),
        (lambda c, p, k: sorted(_knn_by_tuples(c, p, k)), "a dict with a number for each item is needed"),
        (lambda c, p, k: _knn_variant(c, p, k + 1), "one neighbour too many"),
        (lambda c, p, k: {}, "the same answer"),
    ],
)


# 4.5 -----------------------------------------------------------------------------------------------------------------


def _vsknn_by_index(current, neighbour):
    n = len(current)
    total = 0.0
    for item in set(current):
        if item in neighbour:
            place = n - current[::-1].index(item)
            total += (place / n) ** 2
    return total / len(set(current))


def _vsknn_by_pandas(current, neighbour):
    weights = pd.Series(np.arange(1, len(current) + 1) / len(current), index=current) ** 2
    weights = weights[~weights.index.duplicated(keep="last")]
    return weights[weights.index.isin(neighbour)].sum() / len(weights)


def _vsknn_of_clicks(current, neighbour):
    shared = [(place / len(current)) ** 2 for place, item in enumerate(current, 1) if item in neighbour]
    return sum(shared) / len(set(current))


PROOF["vsknn_similarity"] = Proof(
    right=[_vsknn_by_index, _vsknn_by_pandas],
    wrong=[
        (_vsknn_of_clicks, "adds all its places"),
        (
            lambda c, p: sum(((c.index(i) + 1) / len(c)) ** 2 for i in set(c) & set(p)) / len(set(c)),
            "you take the first place",
        ),
        (
            lambda c, p: sum(({i: n for n, i in enumerate(c)}[i] / len(c)) ** 2 for i in set(c) & set(p)) / len(set(c)),
            "places from 0",
        ),
        (
            lambda c, p: sum({i: n for n, i in enumerate(c, 1)}[i] / len(c) for i in set(c) & set(p)) / len(set(c)),
            "You do not square",
        ),
        (lambda c, p: _vsknn_by_index(c, p) * len(set(c)), "You do not divide"),
        (lambda c, p: _vsknn_by_index(c, p) * len(set(c)) / len(c), "by the number of clicks"),
        (lambda c, p: _vsknn_by_index(c, p) * len(set(c)) / max(len(set(c) & set(p)), 1), "of shared items"),
        (lambda c, p: _vsknn_by_index(list(dict.fromkeys(c[::-1]))[::-1], p), "take out repeated clicks"),
        (lambda c, p: _vsknn_by_pandas(pd.unique(pd.Series(c)).tolist(), p), "take out repeated clicks"),
        (lambda c, p: _vsknn_by_index(c, p) * len(set(c)) / len(p), "the size of the neighbour"),
        (lambda c, p: _vsknn_by_index(c, p) * len(set(c)) / len({*p}), "the size of the neighbour"),
        (lambda c, p: _vsknn_by_index(c, p) * (len({*c}) / len({*p})) ** 0.5, "as the cosine does"),
        (lambda c, p: sum(i in p for i in set(c)) / len(set(c)), "All items weigh 1"),
        (
            lambda c, p: sum({i: n / len(c) for n, i in enumerate(c, 1)}[i] for i in {*c} & {*p}) ** 2 / len({*c}),
            "sum;",
        ),
        (lambda c, p: float(c[-1] in p) / len(set(c)), "with //"),
        (lambda c, p: round(_vsknn_by_index(c, p), 3), "You round"),
        (lambda c, p: _vsknn_by_index(p, c), REFUSED),
        (lambda c, p: len(set(c) & set(p)) / math.sqrt(len(set(c)) * len(set(p))), REFUSED),
    ],
)


# 4.6 -----------------------------------------------------------------------------------------------------------------


def _followers_by_pairs(sessions, item, weight=lambda d: 1 / d**2):
    weights = defaultdict(float)
    for session in sessions:
        for (i, first), (j, second) in combinations(enumerate(session), 2):
            if first == item:
                weights[second] += weight(j - i)
    return weights


def _followers_by_pandas(sessions, item):
    rows = [(n, p, i) for n, session in enumerate(sessions) for p, i in enumerate(session)]
    table = pd.DataFrame(rows, columns=["session", "place", "item"])
    pairs = table[table["item"] == item].merge(table, on="session")
    pairs = pairs[pairs["place_y"] > pairs["place_x"]]
    return (1 / (pairs["place_y"] - pairs["place_x"]) ** 2).groupby(pairs["item_y"]).sum()


def _followers_by_slices(sessions, item, keep=lambda behind: behind, places=lambda found: found, put=None):
    weights = defaultdict(float)
    for session in sessions:
        for place in places([p for p in range(len(session)) if session[p] == item]):
            for d, later in keep(list(enumerate(session[place + 1 :], 1))):
                weights[later] = (0 if put else weights[later]) + 1 / d**2
    return dict(weights)


def _once(behind):
    """Of (distance, item) pairs the first of each item."""
    return [(d, i) for n, (d, i) in enumerate(behind) if i not in [other for _, other in behind[:n]]]


PROOF["followers"] = Proof(
    right=[_followers_by_pairs, _followers_by_pandas, _followers_by_slices],
    wrong=[
        (lambda s, item: _followers_by_pairs(s, item, lambda d: 1 / d), "by the distance itself"),
        (lambda s, item: _followers_by_pairs(s, item, lambda d: 1), "whatever its distance"),
        (lambda s, item: _followers_by_pairs(s, item, lambda d: d == 1), "Only the very next click"),
        (lambda s, item: _followers_by_pairs(s, item, lambda d: 1 / (d + 1) ** 2), "begin at 2"),
        (lambda s, item: _followers_by_pairs([x[::-1] for x in s], item), "what came before the item"),
        (lambda s, item: _followers_by_pairs([[i for x in s for i in x]], item), "from one session into the next"),
        (
            lambda s, item: {i: w for i, w in _followers_by_pandas(s, item).items() if i != item},
            "later clicks on the item itself",
        ),
        (
            lambda s, item: _followers_by_pairs([x[x.index(item) :] for x in s if item in x], item, lambda d: 2**-d),
            REFUSED,
        ),
        (
            lambda s, item: _followers_by_pairs(
                [[item, *(i for i in x[x.index(item) + 1 :])] for x in s if item in x], item, lambda d: 1 / d**3
            ),
            REFUSED,
        ),
        (lambda s, item: list(_followers_by_pandas(s, item).items()), "a dict with a number for each item is needed"),
        (lambda s, item: _followers_by_slices(s, item, lambda behind: behind[:5]), "only some clicks ahead"),
        (lambda s, item: _followers_by_slices(s, item, lambda behind: behind[:10]), "only some clicks ahead"),
        (lambda s, item: _followers_by_pairs(s, item, lambda d: 1 // d**2), "with //"),
        (lambda s, item: _followers_by_slices(s, item, places=lambda found: found[-1:]), "the last click on the item"),
        (lambda s, item: _followers_by_slices(s, item, put=True), "overwritten"),
        (lambda s, item: _followers_by_slices(s, item, _once), "every later item counts once"),
        (
            lambda s, item: _followers_by_slices(
                s, item, lambda behind: behind[: [i for _, i in [*behind, (0, item)]].index(item) + 1]
            ),
            "stop at the next click on the item",
        ),
        (
            lambda s, item: _followers_by_pandas(s, item) / sum(x.count(item) for x in s),
            "divide by the number of clicks on the item",
        ),
        (lambda s, item: {i: w for i, w in _followers_by_slices(s, item).items() if i}, "Item 0 is missing"),
        (lambda s, item: _followers_by_pandas(s, item).round(2), "You round"),
    ],
)
