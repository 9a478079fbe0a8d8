"""Lab 02, "How do we know that it works?": splits, metrics of one list, ties, intervals, and a baseline."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pandas as pd

from recsys_lab import metrics
from recsys_lab.checks.exercise import Lab
from recsys_lab.checks.kinds import Interval, Number, Ranking, Rows, Several

lab = Lab("02", "How do we know that it works?")
answers, progress, __getattr__ = lab.answers, lab.progress, lab.attribute


# 2.1 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "2.1",
    "Split sessions by time",
    minutes=10,
    difficulty="medium",
    kind=Several(train=Rows("event_id"), test=Rows("event_id")),
    hints=(
        "A session stays whole: it is in train, or in test, or in neither. So first find out when each one starts "
        "and ends.",
        "groupby('session_id')['timestamp'] with transform('min') and transform('max') gives every row the start and "
        "the end of its session.",
        "Train: the end lies before the moment. Test: the start is the moment or later. A session that is under way at "
        "the moment meets neither condition.",
    ),
    explanation="A session that is under way at the moment is left out: its first clicks lie in the past of the test, "
    "its last ones in the future of the training. recsys_lab.split.by_time does the same with arrays, and reports how "
    "many sessions it left out.",
)
def split_by_time(events, moment):
    """Split an event log into sessions that ended before `moment` and sessions that started at it or later.

    Parameters
    ----------
    events : DataFrame
        Columns `event_id`, `session_id`, `timestamp`; rows in any order.
    moment : Timestamp

    Returns
    -------
    train, test : DataFrame
        Rows of whole sessions. A session that is under way at `moment` is in neither.
    """
    times = events.groupby("session_id")["timestamp"]
    ends, starts = times.transform("max"), times.transform("min")
    return events[ends < moment], events[starts >= moment]


_NOON = pd.Timestamp("2026-03-02 12:00", tz="UTC")


def _log(*rows) -> pd.DataFrame:
    """An event log from (session, minutes after noon); the row labels are not 0, 1, 2 on purpose."""
    frame = pd.DataFrame(rows, columns=["session_id", "minute"])
    times = _NOON + pd.to_timedelta(frame["minute"], unit="min")
    columns = {"event_id": np.arange(1, len(frame) + 1), "session_id": frame["session_id"], "timestamp": times}
    return pd.DataFrame(columns).set_index(np.arange(len(frame)) * 10 + 5)


_two = _log((1, -30), (1, -20), (2, 10), (2, 15))
split_by_time.case(
    *(_two, _NOON),
    expect=(_two.iloc[:2], _two.iloc[2:]),
    because="session 1 is over before noon: train. Session 2 starts after noon: test",
)
_edge = _log((1, -30), (1, 0), (2, 0), (2, 5), (3, -40))
split_by_time.case(
    *(_edge, _NOON),
    expect=(_edge.iloc[[4]], _edge.iloc[[2, 3]]),
    because="session 1 has a click exactly at noon, so it did not end before noon and did not start at it: neither. "
    "Session 2 starts exactly at noon: test. Session 3 is over: train",
)
_under_way = _log((2, 20), (1, -10), (1, 10), (3, -50), (2, 30), (3, -45))
split_by_time.case(
    *(_under_way, _NOON),
    expect=(_under_way.iloc[[3, 5]], _under_way.iloc[[0, 4]]),
    because="session 1 is under way at noon, so it is in neither part",
)


_unsorted = _log((1, 20), (1, -10), (2, -30), (2, -40), (3, 40))
split_by_time.case(
    *(_unsorted, _NOON),
    expect=(_unsorted.iloc[[2, 3]], _unsorted.iloc[[4]]),
    because="in time order session 1 begins before noon and ends after it: neither. The rows come in any order",
)


@split_by_time.random_cases
def _logs(rng):
    cases = []
    for _ in range(4):
        starts = rng.integers(-60, 60, 8)
        rows = [(s + 1, int(start + rng.integers(0, 40))) for s, start in enumerate(starts) for _ in range(3)]
        rng.shuffle(rows)
        cases.append((_log(*rows, (99, -90), (98, 0)), _NOON))
    return cases


@split_by_time.mistake("You trust the order of the rows for first and last; take the minimum and maximum of the times.")
def _by_row_order(events, moment):
    times = events.groupby("session_id")["timestamp"]
    return events[times.transform("last") < moment], events[times.transform("first") >= moment]


@split_by_time.mistake("You split events, not sessions: a session that is under way at the moment is cut in two.")
def _splits_events(events, moment):
    return events[events.timestamp < moment], events[events.timestamp >= moment]


@split_by_time.mistake(
    "A session that is under way at the moment is in your training part, with clicks from the time of the test."
)
def _by_start(events, moment):
    starts = events.groupby("session_id")["timestamp"].transform("min")
    return events[starts < moment], events[starts >= moment]


@split_by_time.mistake("A session that is under way at the moment is in your test part, with clicks from before it.")
def _by_end(events, moment):
    ends = events.groupby("session_id")["timestamp"].transform("max")
    return events[ends < moment], events[ends >= moment]


@split_by_time.mistake("A session that is under way at the moment is in both of your parts: that is a leak.")
def _in_both(events, moment):
    times = events.groupby("session_id")["timestamp"]
    return events[times.transform("min") < moment], events[times.transform("max") >= moment]


@split_by_time.mistake("A session that starts exactly at the moment belongs to test: 'at it or later' includes it.")
def _test_without_edge(events, moment):
    times = events.groupby("session_id")["timestamp"]
    return events[times.transform("max") < moment], events[times.transform("min") > moment]


@split_by_time.mistake("A session whose last click falls exactly on the moment did not end before it.")
def _train_with_edge(events, moment):
    times = events.groupby("session_id")["timestamp"]
    return events[times.transform("max") <= moment], events[times.transform("min") >= moment]


@split_by_time.mistake("Your two parts are swapped: train, the past, comes first.")
def _swapped(events, moment):
    return split_by_time.reference(events, moment)[::-1]


# 2.2 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "2.2",
    "Recall of one list",
    minutes=5,
    difficulty="easy",
    kind=Number(),
    hints=(
        "Only the first k places count: ranked[:k].",
        "How many of the relevant items stand there? Two sets and & tell.",
        "Recall asks what share of the relevant items was found. Divide by how many of those there are.",
    ),
    explanation="Dividing by k instead gives precision. With one relevant item a list, recall at k is the hit rate: 1 "
    "if the item is among the first k places, 0 otherwise.",
)
def recall_at_k(ranked, relevant, k):
    """Share of the relevant items that stand in the first k places.

    Parameters
    ----------
    ranked : list
        Items, best first, each one once.
    relevant : set
        At least one item.
    k : int

    Returns
    -------
    float
        ``recall_at_k([7, 3, 5, 9], {3, 8}, k=2)`` is 0.5: of 3 and 8, only 3 is there.
    """
    found = set(ranked[:k]) & set(relevant)
    return len(found) / len(relevant)


recall_at_k.case([7, 3, 5], {7}, 1, expect=1.0, because="the one relevant item, 7, is in the first place: 1 of 1")
recall_at_k.case([7, 3, 5], {3}, 1, expect=0.0, because="3 stands at place 2, and only 1 place counts: 0 of 1")
recall_at_k.case([7, 3, 5, 9], {3, 8}, 2, expect=0.5, because="of the relevant 3 and 8, only 3 is there: 1 of 2")
recall_at_k.case([1, 2, 3], {1, 2, 3, 4}, 2, expect=0.5, because="1 and 2 of the four relevant items are there: 2 of 4")
recall_at_k.case([4, 6], {6}, 10, expect=1.0, because="the list is shorter than k, and 6 is in it: 1 of 1")


@recall_at_k.random_cases
def _rankings(rng):
    """Rankings of ten items with one to four relevant ones, some of which are not in the list."""
    cases = []
    for _ in range(12):
        items = rng.permutation(14).tolist()
        relevant = set(rng.choice(14, rng.integers(1, 5), replace=False).tolist())
        cases.append((items[:10], relevant, int(rng.integers(1, 9))))
    return cases


@recall_at_k.mistake("You divide by k: that is precision, the share of the places that hold something relevant.")
def _precision(ranked, relevant, k):
    return len(set(ranked[:k]) & relevant) / k


@recall_at_k.mistake("You divide by the length of the shortened list, so you count places, not relevant items.")
def _of_places(ranked, relevant, k):
    return len(set(ranked[:k]) & relevant) / len(ranked[:k])


@recall_at_k.mistake(
    "You divide by min(k, n_relevant); recall divides by all relevant items, also those that cannot fit."
)
def _by_what_fits(ranked, relevant, k):
    return len(set(ranked[:k]) & relevant) / min(k, len(relevant))


@recall_at_k.mistake("You ignore k: the whole list counts in your answer.")
def _whole_list(ranked, relevant, k):
    return len(set(ranked) & relevant) / len(relevant)


@recall_at_k.mistake("You give 1 as soon as any relevant item is found: that is the hit rate. Recall counts how many.")
def _hit(ranked, relevant, k):
    return float(bool(set(ranked[:k]) & relevant))


@recall_at_k.mistake("You look at one place too many: ranked[:k] has k places, since slices leave out their end.")
def _one_more(ranked, relevant, k):
    return len(set(ranked[: k + 1]) & relevant) / len(relevant)


@recall_at_k.mistake("You look at one place too few: ranked[:k] has k places already.")
def _one_less(ranked, relevant, k):
    return len(set(ranked[: k - 1]) & relevant) / len(relevant)


@recall_at_k.mistake("You return how many relevant items were found; recall is their share.")
def _count(ranked, relevant, k):
    return len(set(ranked[:k]) & relevant)


# 2.3 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "2.3",
    "Reciprocal rank",
    minutes=5,
    difficulty="easy",
    kind=Number(),
    hints=(
        "At which place does the target stand? People count from 1, Python's lists from 0.",
        "ranked.index(target) gives the position from 0, and raises an error when the target is absent: ask first.",
        "If the target is in the list, return 1 divided by (its position + 1); if not, 0.0.",
    ),
    explanation="The first place is worth 1, the second 1/2, the third 1/3: what counts is the top of the list. "
    "Its mean over many lists is the MRR. Where the list is cut at k, it is 0 below.",
)
def reciprocal_rank(ranked, target):
    """1 / place of `target` in `ranked` (the first place is 1), 0.0 when it is absent.

    Parameters
    ----------
    ranked : list
        Items, best first, each one once.
    target : int

    Returns
    -------
    float
        ``reciprocal_rank([7, 3, 5], 3)`` is 0.5.
    """
    if target not in ranked:
        return 0.0
    return 1 / (ranked.index(target) + 1)


reciprocal_rank.case([7, 3, 5], 7, expect=1.0, because="7 stands at the first place: 1/1")
reciprocal_rank.case([7, 3, 5], 3, expect=1 / 2, because="3 stands at the second place: 1/2")
reciprocal_rank.case([7, 3, 5, 1], 1, expect=1 / 4, because="1 stands at the fourth place: 1/4")
reciprocal_rank.case([7, 3, 5], 9, expect=0.0, because="9 is not in the list: 0")
reciprocal_rank.case([], 9, expect=0.0, because="nothing is in an empty list: 0")


@reciprocal_rank.random_cases
def _permutations(rng):
    return [(rng.permutation(9).tolist()[:6], int(rng.integers(9))) for _ in range(12)]


@reciprocal_rank.mistake("This counts places from 0: the first place would be divided by zero.")
def _zero_based(ranked, target):
    return 1 / ranked.index(target) if target in ranked else 0.0


@reciprocal_rank.mistake("This counts places from 0: the first place gives inf.", when=lambda got, *_: got > 1e6)
def _zero_based_inf(ranked, target):
    if target not in ranked:
        return 0.0
    place = ranked.index(target)
    return 1 / place if place else math.inf


@reciprocal_rank.mistake(
    "You give up after the first place: return 0.0 only when the whole list has been looked through."
)
def _first_place_only(ranked, target):
    return 1.0 if len(ranked) and ranked[0] == target else 0.0


@reciprocal_rank.mistake("This is the place itself; asked for is 1 divided by it.")
def _place(ranked, target):
    return ranked.index(target) + 1 if target in ranked else 0.0


@reciprocal_rank.mistake("This is the position as Python counts it, from 0; asked for is 1 / place, from 1.")
def _position(ranked, target):
    return ranked.index(target) if target in ranked else 0.0


@reciprocal_rank.mistake("A target that is not in the list is no error: the list is worth 0 then.")
def _raises_when_absent(ranked, target):
    return 1 / (ranked.index(target) + 1)


@reciprocal_rank.mistake("An absent target still gets something: your answer treats it as if it stood below the list.")
def _absent_is_last(ranked, target):
    return 1 / (ranked.index(target) + 1) if target in ranked else 1 / (len(ranked) + 1)


@reciprocal_rank.mistake("You divide by place + 1: the second place gives 1/3 and the first 1/2.")
def _one_too_many(ranked, target):
    return 1 / (ranked.index(target) + 2) if target in ranked else 0.0


@reciprocal_rank.mistake("You give 1 whenever the target is there; the lower it stands, the less it should give.")
def _hit_only(ranked, target):
    return float(target in ranked)


# 2.4 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "2.4",
    "NDCG of one list",
    minutes=10,
    difficulty="medium",
    kind=Number(),
    hints=(
        "Two sums: what your list gains, and what the best possible one would. NDCG is the first over the second.",
        "A relevant item at place r (from 1) gains 1 / log2(r + 1): the first place gains 1, the third 1/2.",
        "The best list has relevant items at places 1, 2, 3 and so on, but no more of them than there are, and no more "
        "than k.",
        "enumerate(ranked[:k], start=1) gives place and item; the best list has places 1 to min(k, len(relevant)).",
    ),
    explanation="The logarithm's base cancels out between the two sums, so base 10 gives the same NDCG: only the DCG "
    "differs. What must be right is the place: 1 / log2(r + 1), from r = 1. The best list is as long as "
    "min(k, n_relevant); with all relevant items in it, no list could reach 1 when there are more of them than places.",
)
def ndcg_at_k(ranked, relevant, k):
    """Discounted gain of the first k places over that of the best possible list.

    Parameters
    ----------
    ranked : list
        Items, best first, each one once.
    relevant : set
        At least one item; all are equally good.
    k : int

    Returns
    -------
    float
        ``ndcg_at_k([5, 7, 3], {3}, k=3)`` is 0.5: 3 gains 1 / log2(3 + 1), the best list 1.
    """
    gain = sum(1 / math.log2(place + 1) for place, item in enumerate(ranked[:k], start=1) if item in relevant)
    best = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
    return gain / best


_AT_2 = 1 / math.log2(3)
ndcg_at_k.case([7, 3, 5], {7}, 3, expect=1.0, because="7 is at place 1, which gains 1, and no list can do better: 1/1")
ndcg_at_k.case([5, 7, 3], {3}, 3, expect=0.5, because="3 is at place 3, which gains 1 / log2(4) = 1/2; the best list 1")
ndcg_at_k.case([5, 7, 3], {3}, 2, expect=0.0, because="3 is at place 3 and only 2 places count: 0")
ndcg_at_k.case([5, 7], {5, 7, 9}, 1, expect=1.0, because="there is one place and it holds a relevant item: 1/1")
ndcg_at_k.case(
    *([5, 7, 3], {5, 3}, 3),
    expect=1.5 / (1 + _AT_2),
    because="places 1 and 3 gain 1 + 1/2; the best list has both on top and gains 1 + 1/log2(3): 1.5 / 1.631 = 0.9197",
)
ndcg_at_k.case(
    *([3], {3, 5}, 2),
    expect=1 / (1 + _AT_2),
    because="the list has one item and gains 1; the best list one could have made has 3 and 5: 1 / 1.631 = 0.6131",
)
ndcg_at_k.random_cases(_rankings)


def _ndcg(ranked, relevant, k, discount, n_best=None) -> float:
    gain = sum(discount(place) for place, item in enumerate(ranked[:k], start=1) if item in relevant)
    n_best = min(k, len(relevant)) if n_best is None else n_best
    return gain / sum(discount(place) for place in range(1, n_best + 1))


@ndcg_at_k.mistake("You return the gain itself (DCG); divided by the gain of the best list it becomes the NDCG.")
def _dcg(ranked, relevant, k):
    return sum(1 / math.log2(p + 1) for p, item in enumerate(ranked[:k], start=1) if item in relevant)


@ndcg_at_k.mistake(
    "You use another logarithm than log2, in one of the two sums only: inside the ratio it would cancel."
)
def _natural_gain(ranked, relevant, k):
    gain = sum(1 / math.log(p + 1) for p, item in enumerate(ranked[:k], start=1) if item in relevant)
    return gain / sum(1 / math.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


@ndcg_at_k.mistake("You return the gain with the natural logarithm, not divided by that of the best list.")
def _natural_dcg(ranked, relevant, k):
    return sum(1 / math.log(p + 1) for p, item in enumerate(ranked[:k], start=1) if item in relevant)


@ndcg_at_k.mistake("You return the gain with log10, not divided by that of the best list.")
def _log10_dcg(ranked, relevant, k):
    return sum(1 / math.log10(p + 1) for p, item in enumerate(ranked[:k], start=1) if item in relevant)


@ndcg_at_k.mistake("You discount by log2(place), not log2(place + 1): log2(1) is 0, and one cannot divide by it.")
def _discount_at_place(ranked, relevant, k):
    return _ndcg(ranked, relevant, k, lambda p: 1 / math.log2(p))


@ndcg_at_k.mistake("You discount by log2(place + 2), as if places were still counted from 0.")
def _discount_two(ranked, relevant, k):
    return _ndcg(ranked, relevant, k, lambda p: 1 / math.log2(p + 2))


@ndcg_at_k.mistake("Your best list holds all relevant items, more than fit into k places; so the top value is never 1.")
def _best_of_all(ranked, relevant, k):
    return _ndcg(ranked, relevant, k, lambda p: 1 / math.log2(p + 1), len(relevant))


@ndcg_at_k.mistake("Your best list has k relevant items, even where fewer exist.")
def _best_of_k(ranked, relevant, k):
    return _ndcg(ranked, relevant, k, lambda p: 1 / math.log2(p + 1), k)


@ndcg_at_k.mistake(
    "Your best list is only as long as the list that came; the best one could have made has min(k, n_relevant) places."
)
def _best_of_listed(ranked, relevant, k):
    return _ndcg(ranked, relevant, k, lambda p: 1 / math.log2(p + 1), min(k, len(relevant), len(ranked)))


@ndcg_at_k.mistake("You divide by what the relevant items that you found could gain on top; count the missed ones too.")
def _best_of_found(ranked, relevant, k):
    found = len(set(ranked[:k]) & relevant)
    return _ndcg(ranked, relevant, k, lambda p: 1 / math.log2(p + 1), found) if found else 0.0


@ndcg_at_k.mistake("You discount by 1 / place; NDCG takes 1 / log2(place + 1), which falls more slowly.")
def _reciprocal_discount(ranked, relevant, k):
    return _ndcg(ranked, relevant, k, lambda p: 1 / p)


@ndcg_at_k.mistake("You ignore k: the whole list counts in your answer.")
def _ndcg_whole(ranked, relevant, k):
    return _ndcg(ranked, relevant, len(ranked), lambda p: 1 / math.log2(p + 1))


# 2.5 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "2.5",
    "Rank with ties in the middle",
    minutes=8,
    difficulty="medium",
    kind=Number(),
    hints=(
        "Sorting hides the trouble: among equal scores it puts somebody first. Count instead.",
        "How many items have a higher score than the target? And how many others have the same?",
        "The target stands below all the higher ones and, on average, below half of its equals. Places count from 1.",
    ),
    explanation="In a random order of equals the target stands, on average, in their middle. Optimistic ranks flatter "
    "a model that gives everything the same score: it would be always right. recsys_lab.ranking.target_ranks does this "
    "for many rows at once.",
)
def middle_rank(scores, target):
    """Rank of one item by its score, in the middle of the items that have the same score.

    Parameters
    ----------
    scores : ndarray of float, shape (n_items,)
        Higher is better.
    target : int
        Index of the item.

    Returns
    -------
    float
        From 1. ``middle_rank(np.array([0.9, 0.5, 0.5, 0.1]), 2)`` is 2.5: one item is above, one other is equal.
    """
    score = scores[target]
    higher = (scores > score).sum()
    equal_others = (scores == score).sum() - 1
    return float(1 + higher + equal_others / 2)


middle_rank.case(np.array([0.2, 0.9, 0.5]), 1, expect=1.0, because="no score is higher and none is equal: place 1")
middle_rank.case(np.array([0.2, 0.9, 0.5]), 0, expect=3.0, because="two scores are higher, none is equal: place 3")
middle_rank.case(
    *(np.array([0.9, 0.5, 0.5, 0.1]), 2),
    expect=2.5,
    because="one score is higher; the target and one other share places 2 and 3: the middle is 2.5",
)
middle_rank.case(np.zeros(5), 0, expect=3.0, because="all five share places 1 to 5: the middle is 3")


@middle_rank.random_cases
def _tied_scores(rng):
    return [(rng.integers(0, 4, 9) / 4, int(rng.integers(9))) for _ in range(12)]


@middle_rank.mistake("This counts from 0: the best item has rank 1.")
def _rank_from_zero(scores, target):
    return (scores > scores[target]).sum() + ((scores == scores[target]).sum() - 1) / 2


@middle_rank.mistake("Optimistic: you put the target first among its equals. A model that scores all alike would win.")
def _optimistic(scores, target):
    return 1 + (scores > scores[target]).sum()


@middle_rank.mistake("Pessimistic: you put the target last among its equals.")
def _pessimistic(scores, target):
    return (scores >= scores[target]).sum()


@middle_rank.mistake("You count the target among its own equals: without any tie it would be off by a half.")
def _own_equal(scores, target):
    return 1 + (scores > scores[target]).sum() + (scores == scores[target]).sum() / 2


@middle_rank.mistake("You cut off halves (// or int): a target tied with one other item has rank 1.5, not 1.")
def _whole_ranks(scores, target):
    return float(int(middle_rank.reference(scores, target)))


@middle_rank.mistake("You rank upwards: the highest score should have rank 1.")
def _ascending(scores, target):
    return 1 + (scores < scores[target]).sum() + ((scores == scores[target]).sum() - 1) / 2


@middle_rank.mistake(
    "You sort, and equal scores then stand in the order of their indices: an accident of the catalogue."
)
def _by_sorting(scores, target):
    return np.argsort(-scores, kind="stable").tolist().index(target) + 1


@middle_rank.mistake("Equal scores share one rank in your answer (dense): the ranks below them move up.")
def _dense(scores, target):
    return 1 + len(set(scores[scores > scores[target]].tolist()))


# 2.6 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "2.6",
    "Bootstrap interval over sessions",
    minutes=15,
    difficulty="hard",
    extra=True,
    limit_s=20.0,
    kind=Interval(tolerance=0.15),
    hints=(
        "One draw: take as many sessions as there are, with replacement, and the mean over all clicks of those drawn. "
        "A session drawn twice counts twice.",
        "np.random.default_rng(seed) once, before the loop; rng.choice(ids, size=len(ids)) draws the sessions.",
        "For each session keep the sum of its values and their number: the mean of a draw is the sum of the sums over "
        "the sum of the numbers.",
        "After n_draws draws, np.quantile(means, [0.025, 0.975]) is the interval.",
    ),
    explanation="Clicks of one session resemble each other, so a thousand clicks of thirty people know as much as "
    "thirty people. Drawing single clicks promises an interval that is far too narrow. "
    "recsys_lab.metrics.bootstrap_interval does this for every metric of the course.",
)
def session_interval(values, sessions, n_draws, seed):
    """95 % bootstrap interval of the mean of `values`, drawing whole sessions with replacement.

    Parameters
    ----------
    values : ndarray of float, shape (n_clicks,)
        The metric of each click, such as its reciprocal rank.
    sessions : ndarray of int, shape (n_clicks,)
        The session of each click.
    n_draws : int
        How many times to draw.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    (low, high) : tuple of float
        The 2.5 % and 97.5 % quantiles of the means.
    """
    ids, number = np.unique(sessions, return_inverse=True)
    sums, sizes = np.bincount(number, values), np.bincount(number)
    rng, means = np.random.default_rng(seed), []
    for _ in range(n_draws):
        drawn = rng.integers(len(ids), size=len(ids))
        means.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _clicks(rng, n_sessions, longest):
    """Values that resemble each other within a session, and are higher in long sessions."""
    lengths = rng.integers(1, longest, n_sessions)
    sessions = np.repeat(rng.permutation(n_sessions * 3)[:n_sessions], lengths)
    values = np.repeat(rng.normal(0.5 + 0.04 * lengths, 0.25), lengths) + rng.normal(0, 0.05, lengths.sum())
    return values, sessions


_ten = np.repeat(np.arange(10) % 2, 20).astype(float), np.repeat(np.arange(10), 20)
session_interval.case(
    *(*_ten, 2000, 1),
    expect=(0.2, 0.8),
    because="ten sessions, five with only 1s and five with only 0s, so a draw is like ten coins and its mean leaves "
    "0.2 to 0.8 in 2 of 100 draws: about (0.2, 0.8)",
)


@session_interval.random_cases
def _click_tables(rng):
    return [(*_clicks(rng, n, longest), 400, int(rng.integers(100))) for n, longest in ((25, 20), (60, 12), (40, 30))]


@session_interval.rule("The same seed gave two different intervals: make one generator from `seed` and draw from it.")
def _same_seed(function):
    kind, args = session_interval.kind, session_interval.all_cases()[1].args
    return kind.read(function(*args), args) == kind.read(function(*args), args)


@session_interval.mistake(
    "You draw single clicks: those of one session resemble each other, so your interval is too narrow to be true.",
    when=lambda got, values, sessions, *_: _near(got, metrics.bootstrap_interval(values)),
)
def _draws_clicks(values, sessions, n_draws, seed):
    rng = np.random.default_rng(seed)
    return tuple(np.quantile([rng.choice(values, len(values)).mean() for _ in range(n_draws)], [0.025, 0.975]))


@session_interval.mistake("You average the sessions' means, so that a short session counts as much as a long one.")
def _mean_of_means(values, sessions, n_draws, seed):
    means, rng = pd.Series(values).groupby(sessions).mean().to_numpy(), np.random.default_rng(seed)
    return tuple(np.quantile([rng.choice(means, len(means)).mean() for _ in range(n_draws)], [0.025, 0.975]))


@session_interval.mistake("These are quantiles of the values themselves: they tell where a click lies, not the mean.")
def _of_values(values, sessions, n_draws, seed):
    return tuple(np.quantile(values, [0.025, 0.975]))


@session_interval.mistake("Your interval has no width: drawn without replacement, every draw is the whole log again.")
def _without_replacement(values, sessions, n_draws, seed):
    return values.mean(), values.mean()


@session_interval.mistake("You cut off 2.5 % on neither side but far more: this is mean ± one standard error.")
def _one_error(values, sessions, n_draws, seed):
    low, high = session_interval.reference(values, sessions, n_draws, seed)
    return values.mean() - (high - low) / 3.92, values.mean() + (high - low) / 3.92


@session_interval.mistake("The ends are swapped: (low, high).")
def _ends_swapped(values, sessions, n_draws, seed):
    return session_interval.reference(values, sessions, n_draws, seed)[::-1]


def _near(got, interval) -> bool:
    near = 0.2 * (interval.high - interval.low)
    return abs(got[0] - interval.low) <= near and abs(got[1] - interval.high) <= near


# 2.7 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "2.7",
    "Repeat what this session saw",
    minutes=8,
    difficulty="medium",
    extra=True,
    kind=Ranking(),
    hints=(
        "How often was each item clicked in this session? collections.Counter counts.",
        "sorted(items, key=...) can sort by two things at once: let the key be a pair.",
        "The pair is (clicks in this session, popularity), and the highest comes first: reverse=True, or minus signs.",
    ),
    explanation="This baseline learns nothing and takes one line, and many published models did not beat it: people go "
    "back to what they looked at. It cannot recommend anything new, so its list is as long as what the session saw. "
    "recsys_lab.models.SessionPopularity is the same on the course's contract.",
)
def repeat_session(clicked, popularity):
    """Items that this session clicked, the most often clicked first; ties by popularity, the most popular first.

    Parameters
    ----------
    clicked : list
        Items in the order of the clicks; an item may be there several times.
    popularity : dict
        Clicks of every item in the training part; no two are alike.

    Returns
    -------
    list
        Each item once. ``repeat_session([4, 9, 4, 2], {2: 50, 4: 10, 9: 30})`` is ``[4, 2, 9]``.
    """
    clicks = Counter(clicked)
    return sorted(clicks, key=lambda item: (clicks[item], popularity[item]), reverse=True)


repeat_session.case([4], {2: 50, 4: 10}, expect=[4], because="only 4 was clicked")
repeat_session.case([9, 4, 4], {4: 10, 9: 30}, expect=[4, 9], because="4 was clicked twice, 9 once")
repeat_session.case([9, 2], {2: 50, 9: 30}, expect=[2, 9], because="both were clicked once, and 2 is the more popular")
repeat_session.case(
    *([4, 9, 4, 2], {2: 50, 4: 10, 9: 30}),
    expect=[4, 2, 9],
    because="4 was clicked twice; 2 and 9 once each, and 2 is the more popular",
)


@repeat_session.random_cases
def _sessions(rng):
    popular = [dict(enumerate(rng.permutation(100)[:8].tolist())) for _ in range(10)]
    return [(rng.integers(0, 8, 10).tolist(), p) for p in popular]


@repeat_session.mistake("An item that was clicked twice is in your list twice: list each one once.")
def _with_repeats(clicked, popularity):
    return sorted(clicked, key=lambda i: (clicked.count(i), popularity[i]), reverse=True)


@repeat_session.mistake("You break ties by the order of the clicks; equally frequent items go by their popularity.")
def _ties_by_first(clicked, popularity):
    return [item for item, _ in Counter(clicked).most_common()]


@repeat_session.mistake("Among equally frequent items, your list puts the least popular first.")
def _ties_upwards(clicked, popularity):
    return sorted(set(clicked), key=lambda i: (-clicked.count(i), popularity[i]))


@repeat_session.mistake("You sort by popularity alone; how often this session clicked an item comes first.")
def _by_popularity(clicked, popularity):
    return sorted(set(clicked), key=lambda i: -popularity[i])


@repeat_session.mistake("The wrong way round: the least clicked item comes first in your list.")
def _upwards(clicked, popularity):
    return sorted(set(clicked), key=lambda i: (clicked.count(i), popularity[i]))


@repeat_session.mistake("Your list fills up with items that this session never saw.")
def _fills_up(clicked, popularity):
    return sorted(popularity, key=lambda i: (clicked.count(i), popularity[i]), reverse=True)


@repeat_session.mistake("You list the latest click first; asked for is the most frequent first.")
def _latest_first(clicked, popularity):
    return list(dict.fromkeys(reversed(clicked)))
