"""Right and wrong answers to the exercises of lab 07."""

import heapq
import math
import queue
import statistics
import threading
import time

import numpy as np
import pandas as pd
from proof import Proof

PROOF: dict[str, Proof] = {}


# ---- 7.1 ------------------------------------------------------------------------------------------------------------


def _best_by_sorting(query, vectors, bias, seen, k, rank=None):
    scores = {i: sum(a * b for a, b in zip(query, row, strict=True)) + bias[i] for i, row in enumerate(vectors)}
    left = [i for i in scores if i not in set(seen)]
    return sorted(left, key=rank(scores) if rank else lambda i: (-round(scores[i], 9), i))[:k]


def _best_by_frame(query, vectors, bias, seen, k):
    table = pd.Series(vectors @ query + bias).drop(list(set(seen)))
    return table.sort_values(ascending=False, kind="stable").head(k).index


def _best_by_masking(query, vectors, bias, seen, k):
    scores = vectors @ query + bias
    scores[seen] = -np.inf
    order = np.argsort(-scores, kind="stable")[:k]
    return order[np.isfinite(scores[order])]


def _best_by_bias_column(query, vectors, bias, seen, k):
    scores = np.column_stack([vectors, bias]) @ np.append(query, 1.0)
    rows = heapq.nsmallest(k, ((-s, i) for i, s in enumerate(scores) if i not in seen))
    return [i for _, i in rows]


def _no_more_than_one(query, vectors, bias, seen, k):
    return _best_by_sorting(query, vectors, bias, seen, max(k - 1, 0))


def _normalised(query, vectors, bias, seen, k):
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
    return _best_by_frame(query / np.linalg.norm(query), vectors / lengths[:, None], bias, seen, k)


def _overwritten(query, vectors, bias, seen, k, value):
    scores = np.where(np.isin(np.arange(len(bias)), seen), value, vectors @ query + bias)
    return np.argsort(-scores, kind="stable")[:k]


PROOF["best_items"] = Proof(
    right=[_best_by_sorting, _best_by_frame, _best_by_masking, _best_by_bias_column],
    wrong=[
        (lambda q, x, b, seen, k: _best_by_sorting(q, x, 0 * b, seen, k), "bias is nowhere"),
        (_normalised, "cosine"),
        (lambda q, x, b, seen, k: sorted({*range(len(b))} - {*seen})[:k], "The order is lost"),
        (lambda *a: np.sort(_best_by_sorting(*a)), "by their numbers"),
        (lambda q, x, b, seen, k: [i for i in _best_by_sorting(q, x, b, [], k) if i not in seen], "cut to k first"),
        (lambda q, x, b, seen, k: _best_by_sorting(q, x, b, [], k), "has seen are in your list"),
        (lambda q, x, b, seen, k: _best_by_sorting(q, x, b, seen[-1:], k), "Only the last"),
        (lambda q, x, b, seen, k: _best_by_sorting(-q, x, -b, seen, k), "the wrong way round"),
        (
            lambda q, x, b, seen, k: _best_by_sorting(q, x, b, seen, k, rank=lambda s: lambda i: (-round(s[i], 9), -i)),
            "smaller number",
        ),
        (lambda *a: _overwritten(*a, 0), "score 0"),
        (lambda *a: _overwritten(*a, -9e9), "filled up"),
        (lambda q, x, b, seen, k: (x @ q + b)[_best_by_sorting(q, x, b, seen, k)], "come out right"),
        (_no_more_than_one, "come out right"),
        (lambda q, x, b, seen, k: [2, 3], "the same answer"),
    ],
)  # fmt: skip


# ---- 7.2 ------------------------------------------------------------------------------------------------------------


def _search_by_heap(query, vectors, members, centres, n_probe, k):
    cells = heapq.nsmallest(n_probe, range(len(centres)), key=lambda c: (-float(centres[c] @ query), c))
    rows = [(-round(float(vectors[i] @ query), 9), i) for c in cells for i in members[c]]
    return [i for _, i in heapq.nsmallest(k, rows)]


def _search_by_masking(query, vectors, members, centres, n_probe, k):
    chosen = pd.Series(centres @ query).sort_values(ascending=False, kind="stable").index[:n_probe]
    scores = np.full(len(vectors), -np.inf)
    for cell in chosen:
        scores[members[cell]] = vectors[members[cell]] @ query
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] > -np.inf][:k]


def _search_by_lists(query, vectors, members, centres, n_probe, k):
    """The best k of each cell, merged."""
    score = lambda i: (-round(float(vectors[i] @ query), 9), i)  # noqa: E731
    cells = sorted(range(len(centres)), key=lambda c: (-float(centres[c] @ query), c))[:n_probe]
    return list(heapq.merge(*(sorted(members[c], key=score)[:k] for c in cells), key=score))[:k]


def _searched(query, vectors, members, centres, n_probe, k, cells=None, rank=None):
    cells = cells(query, centres) if cells else np.argsort(-(centres @ query), kind="stable")
    items = sorted(i for c in cells[:n_probe] for i in members[c])
    rank = rank or (lambda i: -round(float(vectors[i] @ query), 9))
    return sorted(items, key=rank)[:k]


def _promising(query, centres, n_probe):
    return np.argsort(-(centres @ query), kind="stable")[:n_probe]


def _near(query, vectors, members, centres, n_probe, k):
    far = ((centres - query) ** 2).sum(1)
    return _searched(query, vectors, members, centres, n_probe, k, cells=lambda q, c: np.argsort(far, kind="stable"))


def _near_items(query, vectors, members, centres, n_probe, k):
    return _searched(query, vectors, members, centres, n_probe, k, rank=lambda i: ((vectors[i] - query) ** 2).sum())


def _place_among_candidates(query, vectors, members, centres, n_probe, k):
    items = np.sort(np.concatenate([members[c] for c in _promising(query, centres, n_probe)]))
    return np.argsort(-(vectors[items] @ query), kind="stable")[:k]


def _cell_by_cell(query, vectors, members, centres, n_probe, k):
    found = []
    for c in _promising(query, centres, n_probe):
        found += _searched(query, vectors, [members[c]], centres[[c]], 1, k)
    return found[:k]


def _larger_first(query, vectors, members, centres, n_probe, k):
    return _searched(
        query, vectors, members, centres, n_probe, k, rank=lambda i: (-round(float(vectors[i] @ query), 9), -i)
    )


PROOF["search_cells"] = Proof(
    right=[_search_by_heap, _search_by_masking, _search_by_lists],
    wrong=[
        (_near, "the distance of"),
        (lambda *a: _searched(*a, cells=lambda q, c: np.argsort(c @ q, kind="stable")), "least promising"),
        (lambda q, x, m, c, n, k: _searched(q, x, m, c, len(c), k), "the exact search"),
        (lambda q, x, m, c, n, k: _searched(q, x, m, c, 1, k), "Only one cell"),
        (_near_items, "by distance"),
        (_place_among_candidates, "places in the list"),
        (_cell_by_cell, "one after the other"),
        (_larger_first, "smaller number"),
        (lambda q, x, m, c, n, k: _promising(q, c, n), "come out right"),
        (lambda *a: [4, 0], "the same answer"),
    ],
)


# ---- 7.3 ------------------------------------------------------------------------------------------------------------

BY_HAND = [
    *[("a", 1, 10, 1), ("b", 2, 11, 2), ("a", 3, 12, 3), ("b", 9, 5, 4), ("a", 1, 13, 5), ("a", 1, 13, 5)],
    *[("b", 4, 11, 6), ("b", 2, 11, 7), ("a", 5, 14, 8), ("a", 6, 15, 9), ("a", 7, 16, 10), ("a", 8, 1, 11)],
    *[("a", 7, 16, 10), ("b", 1, 11, 12), ("b", 6, 20, 13), ("b", 5, 19, 14)],
]


def _stream_by_hand(make_store, events, batch):
    memory = make_store()
    for n in range(len(BY_HAND)):
        memory.append(BY_HAND[n])
        for name in ("a", "b"):
            if tuple(memory.clicks(name)) != tuple(batch(BY_HAND[: n + 1], name)):
                return 0
    return 1


def _many_streams(make_store, events, batch):
    """Short random streams."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 25))
        stream = [(int(s), int(i), int(t), j) for j, (s, i, t) in enumerate(rng.integers(0, 4, (n, 3)))]
        stream = [stream[j] for j in rng.integers(0, n, 2 * n)]
        memory = make_store()
        for many, event in enumerate(stream, 1):
            memory.append(event)
            for session in range(4):
                if not np.array_equal(memory.clicks(session), batch(stream[:many], session)):
                    return np.False_
    return np.True_


def _one_after_the_other(make_store, stream, batch, same, names, each=True):
    memory, verdict = make_store(), True
    for n, event in enumerate(stream, 1):
        memory.append(event)
        if each or n == len(stream):
            verdict &= all(same(list(memory.clicks(s)), batch(stream[:n], s)) for s in names)
    return verdict


def _ordinary(make_store, events, batch):
    return _one_after_the_other(make_store, events, batch, lambda a, b: a == b, sorted({e[0] for e in events}))


def _by_hand_with(same=lambda a, b: a == b, change=lambda stream: stream, names="ab", each=True):
    return lambda make_store, events, batch: _one_after_the_other(make_store, change(BY_HAND), batch, same, names, each)


def _unique(stream):
    return [event for n, event in enumerate(stream) if event not in stream[:n]]


def _without(make_store, events, batch):
    """The check raises instead of returning its verdict."""
    assert _stream_by_hand(make_store, events, batch)


def _type_of_answer(make_store, events, batch):
    store = make_store()
    for n, event in enumerate(BY_HAND, 1):
        store.append(event)
        if store.clicks("a") != batch(BY_HAND[:n], "a") or store.clicks("b") != batch(BY_HAND[:n], "b"):
            return False
    return True


PROOF["store_is_sound"] = Proof(
    right=[_stream_by_hand, _many_streams],
    wrong=[
        (_ordinary, "they hold no trouble"),
        (lambda make, e, b: not _stream_by_hand(make, e, b), "The wrong way round"),
        (lambda make, e, b: len(e) > 0, "can never fail"),
        (_by_hand_with(change=_unique), "sent twice"),
        (_by_hand_with(change=lambda s: sorted(s, key=lambda e: e[2])), "comes late"),
        (_by_hand_with(change=lambda s: [(e[0], 99 - e[3], *e[2:]) for e in s]), "second time"),
        (_by_hand_with(change=lambda s: s[:8]), "more than five"),
        (_by_hand_with(names="a", change=lambda s: [("a", *e[1:]) for e in s]), "only one session"),
        (_by_hand_with(lambda a, b: set(a) == set(b)), "False"),
        (_by_hand_with(lambda a, b: len(a) == len(b)), "come out right"),
        (_by_hand_with(lambda a, b: not any(x != y for x, y in zip(a, b, strict=False))), "zip stops"),
        (_by_hand_with(lambda a, b: a[-5:] == b), "five yourself"),
        (_by_hand_with(each=False), "filled up with goes unseen"),
        (_type_of_answer, "answers with a tuple"),
        (_without, "False"),
    ],
)


# ---- 7.4 ------------------------------------------------------------------------------------------------------------


def _by_thread(model, popular, session, k, budget, errors=Exception, wait=False, shown=None):
    box = queue.Queue()

    def ask():
        try:
            box.put(model(session, k))
        except errors:
            box.put(None)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        found = box.get(timeout=budget)
    except queue.Empty:
        found = None
    if wait:
        thread.join()
    rows, used = [], set(session)
    for source, books in (("model", found or ()), ("popular", popular)):
        for book in books:
            if book not in used and len(rows) < k:
                used.add(book)
                rows.append([book, source])
    return rows if shown is None else shown(rows)


def _by_frame(model, popular, session, k, budget):
    found = _by_thread(model, [], session, k, budget)
    table = pd.DataFrame([*found, *([book, "popular"] for book in popular)], columns=["book", "source"])
    table = table[~table["book"].isin(session)].drop_duplicates("book").head(k)
    return list(table.itertuples(index=False, name=None))


def _joined(model, popular, session, k, budget):
    """join() with a timeout, in the place of a queue."""
    found = []

    def ask():
        try:
            found.extend(model(session, k) or [])
        except Exception:
            found.clear()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(budget)
    rows = [(b, "model") for b in list(found)] + [(b, "popular") for b in popular]
    rows = {b: s for b, s in reversed(rows) if b not in session}
    firsts = sorted(rows, key=lambda b: [*found, *popular].index(b))
    return [(b, rows[b]) for b in firsts[:k]]


def _looks_at_the_clock(model, popular, session, k, budget):
    start = time.monotonic()
    try:
        found = model(session, k)
    except Exception:
        found = None
    late = time.monotonic() - start > budget
    return _by_thread(lambda *args: [] if late else found, popular, session, k, 9)


PROOF["recommend_safely"] = Proof(
    right=[_by_thread, _by_frame, _joined],
    wrong=[
        (lambda *a: _by_thread(*a, wait=True), "still waits for the slow model"),
        (_looks_at_the_clock, "too late"),
        (lambda m, p, s, k, b: _by_thread(m, p, [], k, b), "Books of this visit"),
        (lambda m, p, s, k, b: _by_thread(m, [], s, k, b) or _by_thread(None, p, s, k, b), "fill it up"),
        (lambda *a: _by_thread(*a, shown=lambda rows: [book for book, _ in rows]), "pair (book, source)"),
        (lambda *a: _by_thread(*a, shown=lambda rows: [(s, b) for b, s in rows]), "come out right"),
        (lambda *a: _by_thread(*a, shown=lambda rows: [(b, "model") for b, _ in rows]), 'carry the source "model"'),
        (lambda m, p, s, k, b: _by_thread(m, p, s, 99, b), "longer than k"),
        (lambda m, p, s, k, b: _by_thread(lambda *a: None, p, s, k, b), "never asked"),
        (lambda *a: _by_thread(*a, shown=lambda rows: dict(map(tuple, rows))), "list(answer.items())"),
        (lambda *a: _by_thread(*a, shown=lambda rows: ([b for b, _ in rows], "model")), "its own source"),
    ],
)


# ---- 7.5 ------------------------------------------------------------------------------------------------------------


def _lift_by_statistics(control, treatment, ddof=1, reach=1.96, sums=sum, arms=lambda c, t: (c, t)):
    control, treatment = arms(control, treatment)
    a, b = ([sums(visits) for visits in arm.values()] for arm in (control, treatment))
    variance = statistics.variance if ddof else statistics.pvariance
    c, t = statistics.fmean(a), statistics.fmean(b)
    relative = variance(b) / len(b) / t**2 + variance(a) / len(a) / c**2 if t else math.nan
    half = reach * (t / c) * math.sqrt(relative)
    return [t / c - 1, t / c - 1 - half, t / c - 1 + half]


def _lift_by_frame(control, treatment):
    from recsys_lab.experiments import effect

    sums = [np.array([sum(v) for v in arm.values()]) for arm in (control, treatment)]
    found = effect(*sums)
    c, t = found.control, found.treatment
    v_c, v_t = (s.var(ddof=1) / len(s) for s in sums)
    error = np.hypot(np.sqrt(v_t) / c, t * np.sqrt(v_c) / c**2)
    return pd.Series([found.lift, found.lift - 1.959964 * error, found.lift + 1.959964 * error])


def _split_by_visit(control, treatment):
    return [{(u, i): [v] for u, vs in arm.items() for i, v in enumerate(vs)} for arm in (control, treatment)]


def _reach_of_the_difference(control, treatment):
    lift, *_ = _lift_by_statistics(control, treatment)
    a, b = ([sum(visits) for visits in arm.values()] for arm in (control, treatment))
    half = 1.96 * math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))
    return lift, lift - half, lift + half


PROOF["lift_interval"] = Proof(
    right=[_lift_by_statistics, _lift_by_frame],
    wrong=[
        (lambda c, t: _lift_by_statistics(c, t, ddof=0), "ddof=1"),
        (_reach_of_the_difference, "in books"),
        (lambda c, t: _lift_by_statistics(c, t, reach=1.645), "1.96"),
        (lambda c, t: _lift_by_statistics(c, t, arms=_split_by_visit), "visits as the units"),
        (lambda c, t: _lift_by_statistics(c, t, sums=np.mean), "mean of a user's visits"),
        (lambda c, t: _lift_by_statistics(t, c), "exchanged"),
        (lambda c, t: 100 * np.array(_lift_by_statistics(c, t)), "per cent"),
        (lambda c, t: np.array(_lift_by_statistics(c, t)) + 1, "the ratio t / c"),
        (lambda c, t: _lift_by_statistics(c, t)[0], "three numbers"),
        (lambda c, t: _lift_by_statistics(c, t)[:2], "three numbers"),
        (lambda c, t: [0.5, 0.0, 1.0], "the same answer"),
    ],
)


# ---- 7.6 ------------------------------------------------------------------------------------------------------------


def _claims_by_loops(with_list, without, of_all=True, size=len):
    rows = list(zip(with_list["clicked"], with_list["purchases"], strict=True))
    m = sum(n for _, n in rows) / size(rows)
    w = sum(without["purchases"]) / size(list(without["purchases"]))
    return [sum(n for c, n in rows if c) / sum(n for _, n in rows), (m - w) / m]


def _claims_by_groups(with_list, without):
    sums = with_list.groupby("clicked")["purchases"].sum().reindex([True, False], fill_value=0)
    return np.array([sums[True] / sums.sum(), 1 - without["purchases"].mean() / with_list["purchases"].mean()])


PROOF["claimed_and_made"] = Proof(
    right=[_claims_by_loops, _claims_by_groups],
    wrong=[
        (lambda a, b: _claims_by_loops(a, b, size=lambda rows: 1), "You compare sums"),
        (lambda a, b: (a["clicked"].mean(), _claims_by_loops(a, b)[1]), "the share of visits"),
        (lambda a, b: (_claims_by_loops(a, b)[0], 1 / (1 - _claims_by_loops(a, b)[1]) - 1), "the lift m / w - 1"),
        (lambda a, b: _claims_by_loops(a, b)[::-1], "exchanged"),
        (lambda a, b: [100 * x for x in _claims_by_loops(a, b)], "per cent"),
        (lambda a, b: _claims_by_loops(a, b)[0], "a pair"),
        (lambda a, b: (0.625, 0.25), "the same answer"),
    ],
)
