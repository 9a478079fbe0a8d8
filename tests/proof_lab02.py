"""Right and wrong answers to the exercises of lab 02."""

import math
import time
from collections import Counter

import numpy as np
import pandas as pd
from proof import Proof

from recsys_lab import metrics

PROOF: dict[str, Proof] = {}


def _split_by_sets(events, moment):
    late = set(events.loc[events["timestamp"] >= moment, "session_id"])
    early = set(events.loc[events["timestamp"] < moment, "session_id"])
    ids = events["session_id"]
    return [events[ids.isin(early - late)].sort_values("timestamp"), events[ids.isin(late - early)]]


def _split_by_filter(events, moment):
    by_session = events.groupby("session_id")
    return (
        by_session.filter(lambda s: s["timestamp"].max() < moment),
        by_session.filter(lambda s: s["timestamp"].min() >= moment),
    )


def _parts(train, test):
    def answer(events, moment):
        groups = events.groupby("session_id")["timestamp"]
        facts = pd.DataFrame({"start": groups.min(), "end": groups.max()})
        ids = events["session_id"]
        return events[ids.isin(facts.index[train(facts, moment)])], events[ids.isin(facts.index[test(facts, moment)])]

    return answer


PROOF["split_by_time"] = Proof(
    right=[_split_by_sets, _split_by_filter, _parts(lambda f, m: f.end < m, lambda f, m: f.start >= m)],
    wrong=[
        (lambda e, m: (e.query("timestamp < @m"), e.query("timestamp >= @m")), "You split events"),
        (_parts(lambda f, m: f.start < m, lambda f, m: f.start >= m), "in your training part"),
        (_parts(lambda f, m: f.end < m, lambda f, m: f.end >= m), "in your test part"),
        (_parts(lambda f, m: f.end < m, lambda f, m: f.start > m), "starts exactly at the moment"),
        (lambda e, m: _split_by_sets(e, m)[::-1], "swapped"),
        (lambda e, m: _split_by_sets(e, m)[0], "2 things (train, test)"),
        (lambda e, m: tuple(part["session_id"] for part in _split_by_sets(e, m)), "The part 'train'"),
    ],
)


PROOF["recall_at_k"] = Proof(
    right=[
        lambda ranked, relevant, k: sum(item in relevant for item in ranked[:k]) / len(relevant),
        lambda ranked, relevant, k: np.isin(list(relevant), ranked[:k]).mean(),
    ],
    wrong=[
        (lambda ranked, relevant, k: sum(i in relevant for i in ranked[:k]) / k, "You divide by k"),
        (lambda ranked, relevant, k: np.isin(list(relevant), ranked).mean(), "You ignore k"),
        (lambda ranked, relevant, k: any(i in relevant for i in ranked[:k]), "hit rate"),
        (lambda ranked, relevant, k: np.isin(list(relevant), ranked[: k + 1]).mean(), "one place too many"),
        (lambda ranked, relevant, k: np.isin(list(relevant), ranked[:k]).sum(), "how many relevant items"),
        (lambda ranked, relevant, k: np.isin(list(relevant), ranked[:k]), "one number is needed"),
    ],
)


def _reciprocal_by_loop(ranked, target, start=1, absent=0.0):
    for place, item in enumerate(ranked, start=start):
        if item == target:
            return 1 / place
    return absent


def _reciprocal_numpy(ranked, target):
    found = np.flatnonzero(np.array(ranked) == target)
    return 1 / (found[0] + 1) if len(found) else 0


def _reciprocal_inf(ranked, target):
    with np.errstate(all="ignore"):
        found = np.flatnonzero(np.array(ranked) == target)
        return float(np.float64(1) / found[0]) if len(found) else 0.0


PROOF["reciprocal_rank"] = Proof(
    right=[_reciprocal_by_loop, _reciprocal_numpy],
    wrong=[
        (lambda ranked, target: _reciprocal_by_loop(ranked, target, start=0), "places from 0"),
        (_reciprocal_inf, "the first place gives inf"),
        (lambda ranked, target: _reciprocal_by_loop(ranked, target, start=2), "place + 1"),
        (lambda ranked, target: 1 / (np.array(ranked).tolist().index(target) + 1), "is no error"),
        (lambda ranked, target: [*ranked, target].index(target) + 1 if target in ranked else 0, "the place itself"),
        (lambda ranked, target: _reciprocal_by_loop(ranked, target, absent=None), "sometimes returns None"),
        (lambda ranked, target: _reciprocal_by_loop(ranked, target, absent=math.nan), "NaN came back"),
        (lambda ranked, target: [1 / p for p, i in enumerate(ranked, 1) if i == target], "one number is needed"),
        (lambda ranked, target: 0.5, "the same answer (0.5)"),
    ],
)


def _ndcg_numpy(ranked, relevant, k, log=np.log2, best=None, shift=2):
    gains = np.isin(ranked[:k], list(relevant)) / log(np.arange(len(ranked[:k])) + shift)
    n = min(k, len(relevant)) if best is None else best(relevant, k)
    return gains.sum() / (1 / np.log2(np.arange(n) + shift)).sum()


PROOF["ndcg_at_k"] = Proof(
    right=[
        _ndcg_numpy,
        lambda ranked, relevant, k: float(metrics.ndcg(ranked, relevant, k)),
        lambda ranked, relevant, k: (
            sum(1 / math.log10(p + 2) for p, i in enumerate(ranked[:k]) if i in relevant)
            / sum(1 / math.log10(p + 2) for p in range(min(k, len(relevant))))
        ),
    ],
    wrong=[
        (lambda r, rel, k: _ndcg_numpy(r, rel, k, log=np.log), "another logarithm"),
        (lambda r, rel, k: _ndcg_numpy(r, rel, k, shift=3), "log2(place + 2)"),
        (lambda r, rel, k: _ndcg_numpy(r, rel, k, best=lambda rel, k: len(rel)), "holds all relevant items"),
        (lambda r, rel, k: _ndcg_numpy(r, rel, k, best=lambda rel, k: k), "has k relevant items"),
        (lambda r, rel, k: sum(1 / math.log2(p + 2) for p, i in enumerate(r[:k]) if i in rel), "gain itself"),
        (lambda r, rel, k: sum(1 / math.log(p + 2) for p, i in enumerate(r[:k]) if i in rel), "natural logarithm"),
        (lambda r, rel, k: sum(1 / math.log10(p + 2) for p, i in enumerate(r[:k]) if i in rel), "log10"),
        (lambda r, rel, k: sum(1 / math.log2(p) for p, i in enumerate(r[:k], 1) if i in rel), "log2(place)"),
    ],
)


PROOF["middle_rank"] = Proof(
    right=[
        lambda scores, target: pd.Series(-scores).rank(method="average")[target],
        lambda scores, target: (1 + (scores > scores[target]).sum() + (scores >= scores[target]).sum()) / 2,
    ],
    wrong=[
        (lambda scores, target: pd.Series(-scores).rank(method="min")[target], "Optimistic"),
        (lambda scores, target: pd.Series(-scores).rank(method="max")[target], "Pessimistic"),
        (lambda scores, target: pd.Series(scores).rank()[target], "You rank upwards"),
        (lambda scores, target: pd.Series(-scores).rank(method="first")[target], "an accident of the catalogue"),
        (lambda scores, target: pd.Series(-scores).rank()[target] - 1, "counts from 0"),
        (lambda scores, target: pd.Series(-scores).rank(method="dense")[target], "dense"),
    ],
)


def _interval_by_pandas(values, sessions, n_draws, seed, level=0.95):
    table = pd.DataFrame({"v": values, "s": sessions}).groupby("s")["v"].agg(["sum", "size"])
    means = []
    for i in range(n_draws):
        drawn = table.sample(frac=1, replace=True, random_state=seed * 7919 + i)
        means.append(drawn["sum"].sum() / drawn["size"].sum())
    return np.percentile(means, [50 - level * 50, 50 + level * 50])


def _interval_by_lists(values, sessions, n_draws, seed):
    rng = np.random.default_rng(seed)
    by_session = [values[sessions == s] for s in np.unique(sessions)]
    means = []
    for _ in range(n_draws):
        drawn = [by_session[i] for i in rng.choice(len(by_session), len(by_session))]
        means.append(np.concatenate(drawn).mean())
    return {"low": np.quantile(means, 0.025), "high": np.quantile(means, 0.975)}.values()


def _interval_of_clicks(values, sessions, n_draws, seed):
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(n_draws, len(values)))].mean(axis=1)
    return np.quantile(means, 0.025), np.quantile(means, 0.975)


PROOF["session_interval"] = Proof(
    right=[_interval_by_pandas, lambda *args: tuple(_interval_by_lists(*args))],
    wrong=[
        (_interval_of_clicks, "You draw single clicks"),
        (
            lambda v, s, n, seed: _interval_of_clicks(pd.Series(v).groupby(s).mean().to_numpy(), s, n, seed),
            "short session",
        ),
        (lambda v, s, n, seed: np.quantile(v, [0.025, 0.975]), "where a click lies"),
        (lambda v, s, n, seed: (np.mean(v), np.mean(v)), "no width"),
        (lambda v, s, n, seed: _interval_by_pandas(v, s, n, seed)[::-1], "swapped"),
        (lambda v, s, n, seed: _interval_by_pandas(v, s, n, int(time.time_ns() % 10**4)), "The same seed"),
        (lambda v, s, n, seed: _interval_by_pandas(v, s, n, seed).mean(), "a pair (low, high)"),
        (_interval_by_lists, "a pair (low, high)"),
    ],
)


def _repeat_by_pandas(clicked, popularity):
    table = pd.Series(clicked).value_counts().rename("clicks").to_frame()
    table["popularity"] = table.index.map(popularity)
    return table.sort_values(["clicks", "popularity"], ascending=False).index


PROOF["repeat_session"] = Proof(
    right=[
        _repeat_by_pandas,
        lambda clicked, pop: sorted(set(clicked), key=lambda i: (-clicked.count(i), -pop[i])),
        lambda clicked, pop: sorted(sorted(set(clicked), key=pop.get), key=clicked.count)[::-1],
    ],
    wrong=[
        (lambda clicked, pop: [i for i, _ in Counter(clicked).most_common()], "ties by the order of the clicks"),
        (lambda clicked, pop: Counter(clicked).most_common(), "a tuple"),
        (lambda clicked, pop: sorted(set(clicked), key=pop.get, reverse=True), "popularity alone"),
        (lambda clicked, pop: list(_repeat_by_pandas(clicked, pop))[::-1], "wrong way round"),
        (lambda clicked, pop: [i for i in _repeat_by_pandas(clicked, pop) for _ in range(clicked.count(i))], "twice"),
        (lambda clicked, pop: list(dict.fromkeys(clicked[::-1])), "latest click first"),
        (lambda clicked, pop: set(clicked), "no order"),
        (lambda clicked, pop: iter(_repeat_by_pandas(clicked, pop)), "only once"),
    ],
)
