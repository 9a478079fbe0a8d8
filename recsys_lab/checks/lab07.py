"""Lab 07, "Serving": exact and approximate lists, a test for a session memory, a fallback, lifts and claims."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping

import numpy as np
import pandas as pd

from recsys_lab import store_museum as museum
from recsys_lab.checks.exercise import Lab
from recsys_lab.checks.kinds import Ranking, Unreadable, Vector, Verdict
from recsys_lab.checks.reading import LISTS, Strange, describe, plain

lab = Lab("07", "Serving: from a trained model to a list in milliseconds")
answers, progress, __getattr__ = lab.answers, lab.progress, lab.attribute


# 7.1 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "7.1",
    "The best items",
    minutes=7,
    difficulty="easy",
    kind=Ranking(),
    hints=(
        "All scores at once: a matrix times a vector, `vectors @ query`, plus the bias.",
        "Order first, leave out afterwards, cut last: cut first, and the list gets shorter by what was seen.",
        "np.argsort(-scores, kind='stable') puts the highest first and, of equal scores, the smaller number.",
    ),
    explanation="Nothing but one product and one sort, and both are what the next part makes cheaper. The order of the "
    "last two steps matters: whoever cuts first and leaves out afterwards shows short lists to just those visitors who "
    "have looked at many books.",
)
def best_items(query, vectors, bias, seen, k):
    """The k items with the highest scores, without those that were seen.

    Parameters
    ----------
    query : ndarray of float, shape (d,)
        What is known of the visit: the state.
    vectors : ndarray of float, shape (n_items, d)
        A vector for each item.
    bias : ndarray of float, shape (n_items,)
        Added to the inner product of query and vector.
    seen : list of int
        Items of this visit, perhaps one several times; none of them is in the list.
    k : int

    Returns
    -------
    list of int
        Best first; of equal scores, the smaller item number first. k items, or all that are left if there are fewer.
        ``best_items(np.array([2, 1]), np.array([[1, 0], [0, 1], [3, 0]]), np.zeros(3), [2], 2)`` is ``[0, 1]``: the
        scores are 2, 1 and 6, and item 2 was seen.
    """
    scores = vectors @ query + bias
    order = np.argsort(-scores, kind="stable")
    return [int(item) for item in order if item not in seen][:k]


_four = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 0.0], [1.0, 1.0]])
best_items.case(
    *(np.array([2.0, 1.0]), _four, np.zeros(4), [], 2),
    expect=[2, 3],
    because="the inner products are 2, 1, 6 and 3, and nothing was seen",
)
best_items.case(
    *(np.array([2.0, 1.0]), _four, np.array([0.0, 3.0, -5.0, 0.0]), [], 2),
    expect=[1, 3],
    because="with the bias the scores are 2, 1 + 3 = 4, 6 - 5 = 1 and 3",
)
best_items.case(
    *(np.array([2.0, 1.0]), _four, np.zeros(4), [2, 3, 2], 2),
    expect=[0, 1],
    because="the scores are 2, 1, 6 and 3. Items 2 and 3 were seen, 0 and 1 are left, and two were asked for",
)
best_items.case(
    *(np.array([1.0, 1.0]), _four, np.zeros(4), [], 3),
    expect=[2, 3, 0],
    because="the scores are 1, 1, 3 and 2. Items 0 and 1 are level: the smaller number comes first",
)
best_items.case(
    *(np.array([2.0, 1.0]), _four, np.zeros(4), [2, 0], 3),
    expect=[3, 1],
    because="only two items were not seen: the list has two",
)


@best_items.random_cases
def _catalogues(rng):
    cases = []
    for n, k in ((12, 4), (12, 4), (40, 6), (60, 10), (60, 10)):  # whole numbers, so that ties are exact
        query, vectors = rng.integers(-3, 4, 3), rng.integers(-2, 3, (n, 3))
        bias = rng.integers(-3, 4, n)
        best = np.argsort(-(vectors @ query + bias), kind="stable")
        seen = [*best[rng.permutation(6)[:3]].tolist(), int(rng.integers(n))]
        cases.append((query.astype(float), vectors.astype(float), bias.astype(float), seen, k))
    for _ in range(3):
        query, vectors, bias = rng.normal(size=8), rng.normal(size=(30, 8)), 3 * rng.normal(size=30)
        cases.append((query, vectors, bias, np.argsort(-(vectors @ query))[:2].tolist(), 5))
    query, vectors = rng.normal(size=4), rng.normal(size=(7, 4))
    return [*cases, (query, vectors, np.zeros(7), [5, 1, 1, 3], 10)]


def _ordered(scores, seen, k):
    order = np.argsort(-np.asarray(scores), kind="stable").tolist()
    return [item for item in order if item not in seen][:k]


@best_items.mistake("The bias is nowhere in your scores.")
def _no_bias(query, vectors, bias, seen, k):
    return _ordered(vectors @ query, seen, k)


@best_items.mistake(
    "You divide by the lengths of the vectors: that is the cosine. The model was trained with the inner product, in "
    "which a long vector counts for more."
)
def _cosine(query, vectors, bias, seen, k):
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return _ordered(vectors @ query / np.maximum(lengths, 1e-12) + bias, seen, k)


@best_items.mistake("You take the distance between query and vector, not their inner product.")
def _by_distance(query, vectors, bias, seen, k):
    return _ordered(-np.linalg.norm(vectors - query, axis=1) + bias, seen, k)


@best_items.mistake("You cut to k first and leave out afterwards: the list is shorter by what was seen.")
def _cut_first(query, vectors, bias, seen, k):
    order = np.argsort(-(vectors @ query + bias), kind="stable")[:k].tolist()
    return [item for item in order if item not in seen]


@best_items.mistake(
    "The order is lost: np.setdiff1d and sets return items by number. Leave out what was seen without sorting anew."
)
def _set_difference(query, vectors, bias, seen, k):
    return np.setdiff1d(np.argsort(-(vectors @ query + bias)), seen)[:k].tolist()


@best_items.mistake("The right items, but by their numbers: the best one comes first.")
def _by_number(query, vectors, bias, seen, k):
    return sorted(_ordered(vectors @ query + bias, seen, k))


@best_items.mistake("Items that this visit has seen are in your list.")
def _seen_too(query, vectors, bias, seen, k):
    return _ordered(vectors @ query + bias, (), k)


@best_items.mistake("Only the last item seen is left out: leave out all of the visit's.")
def _last_only(query, vectors, bias, seen, k):
    return _ordered(vectors @ query + bias, seen[-1:], k)


@best_items.mistake("The order is the wrong way round: your list begins with the lowest score.")
def _lowest_first(query, vectors, bias, seen, k):
    return _ordered(-(vectors @ query + bias), seen, k)


@best_items.mistake(
    "Seen items get the score 0 in your answer. Scores may be negative: then what was seen still comes before them."
)
def _zeroed(query, vectors, bias, seen, k):
    scores = vectors @ query + bias
    scores[seen] = 0
    return _ordered(scores, (), k)


@best_items.mistake("Where fewer than k items are left, your list is filled up with items that were seen.")
def _minus_infinity(query, vectors, bias, seen, k):
    scores = vectors @ query + bias
    scores[seen] = -np.inf
    return _ordered(scores, (), k)


@best_items.mistake(
    "Of items with equal scores the smaller number has to come first.",
    when=lambda got, query, vectors, bias, seen, k: (
        not set(got) & set(seen)
        and np.allclose((vectors @ query + bias)[list(got)],
                        (vectors @ query + bias)[_ordered(vectors @ query + bias, seen, k)])
    ),
)  # fmt: skip
def _ties_reversed(query, vectors, bias, seen, k):
    order = np.argsort(vectors @ query + bias, kind="stable")[::-1].tolist()
    return [item for item in order if item not in seen][:k]


# 7.2 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "7.2",
    "A search in some of the cells",
    minutes=10,
    difficulty="medium",
    kind=Ranking(),
    hints=(
        "Two searches of the same kind. First among the centres, for the n_probe highest inner products with the "
        "query; then among the items of those cells.",
        "Collect the item numbers of the chosen cells in one list before you order anything: the best of all may lie "
        "in the second cell.",
        "vectors[items] @ query gives the scores of the collected items. What you sort are places in that list; the "
        "answer needs the item numbers that stand there. For the rule on ties, sort the item numbers first.",
    ),
    explanation="Some `len(centres)` products to choose the cells and one for each item in them, instead of one for "
    "each item of the catalogue. An item whose cell is not probed is not found, however good it is: that is the price, "
    "and n_probe says how much of it you pay.",
)
def search_cells(query, vectors, members, centres, n_probe, k):
    """The k best items in the most promising cells.

    Parameters
    ----------
    query : ndarray of float, shape (d,)
    vectors : ndarray of float, shape (n_items, d)
    members : list of list of int
        Item numbers in each cell.
    centres : ndarray of float, shape (n_cells, d)
        A centre for each cell.
    n_probe : int
        How many cells are looked into: those whose centres have the highest inner products with the query.
    k : int

    Returns
    -------
    list of int
        Item numbers by their inner product with the query, best first; of equal ones, the smaller number first (of
        cells too). Fewer than k if the cells hold fewer. With cells [[0, 3], [1, 2]] and n_probe=1, only items 0 and 3
        or only 1 and 2 can be in the list.
    """
    cells = np.argsort(-(centres @ query), kind="stable")[:n_probe]
    items = np.sort(np.concatenate([members[cell] for cell in cells])).astype(int)
    best = np.argsort(-(vectors[items] @ query), kind="stable")[:k]
    return items[best].tolist()


_six = np.array([[4.0, 0.0], [0.0, 3.0], [1.0, 2.0], [2.0, 0.0], [6.0, 3.0], [-4.0, 1.0]])
_cells, _centres = [[0, 3], [1, 2], [4], [5]], np.array([[3.0, 0.0], [0.5, 2.5], [6.0, 3.0], [-4.0, 1.0]])
search_cells.case(
    *(np.array([1.0, 0.0]), _six, _cells, _centres, 2, 2),
    expect=[4, 0],
    because="the centres' inner products are 3, 0.5, 6 and -4: cells 2 and 0. Their items 4, 0 and 3 have 6, 4 and 2",
)
search_cells.case(
    *(np.array([0.0, 1.0]), _six, _cells, _centres, 1, 3),
    expect=[4],
    because="the centres have 0, 2.5, 3 and 1: cell 2, and it holds one item only. Item 1 has 3 too, but its cell is "
    "not probed",
)
search_cells.case(
    *(np.array([0.0, 1.0]), _six, _cells, _centres, 2, 2),
    expect=[1, 4],
    because="cells 2 and 1. Items 1 and 4 both have 3, the smaller number first; item 2 has 2",
)
search_cells.case(
    *(np.array([-1.0, 0.0]), _six, _cells, _centres, 2, 2),
    expect=[5, 1],
    because="the centres have -3, -0.5, -6 and 4: cells 3 and 1. Their items 5, 1 and 2 have 4, 0 and -1",
)
search_cells.case(
    *(np.array([1.0, 0.0]), _six, [[1], [0], [3]], np.array([[2.0, 0.0], [2.0, 1.0], [2.0, 5.0]]), 2, 3),
    expect=[0, 1],
    because="the centres all have 2, so cells 0 and 1 are looked into: their items 0 and 1 have 4 and 0",
)


@search_cells.random_cases
def _clustered(rng):
    cases = []
    for n, n_cells, n_probe, k in ((12, 4, 2, 3), (20, 5, 3, 4), (20, 5, 2, 30), (40, 6, 3, 5), (40, 6, 1, 4)):
        vectors = rng.integers(-4, 5, (n, 3)).astype(float)
        cell = rng.permutation(np.arange(n) % n_cells)
        members = [np.flatnonzero(cell == c).tolist() for c in range(n_cells)]
        centres = np.array([vectors[m].mean(0) for m in members]) + rng.normal(0, 0.1, (n_cells, 3))
        cases.append((rng.integers(-3, 4, 3).astype(float), vectors, members, centres, n_probe, k))
    for n_probe in (2, 4):
        lengths = rng.uniform(0.2, 3, (48, 1))
        vectors = lengths * rng.normal(size=(48, 6))
        members = np.sort(rng.permutation(48).reshape(8, 6)).tolist()
        cases.append(
            (rng.normal(size=6), vectors, members, np.array([vectors[m].mean(0) for m in members]), n_probe, 6)
        )
    return cases


def _probe(query, centres, n_probe):
    return np.argsort(-(centres @ query), kind="stable")[:n_probe].tolist()


def _among(query, vectors, items, k):
    items = np.sort(np.array(items, int))
    return items[np.argsort(-(vectors[items] @ query), kind="stable")[:k]].tolist()


@search_cells.mistake(
    "You choose the cells by the distance of their centres. The list goes by inner products, and so must the cells."
)
def _near_cells(query, vectors, members, centres, n_probe, k):
    cells = np.argsort(np.linalg.norm(centres - query, axis=1), kind="stable")[:n_probe]
    return _among(query, vectors, [i for c in cells for i in members[c]], k)


@search_cells.mistake("You choose the cells by the cosine. The list goes by inner products, and so must the cells.")
def _cosine_cells(query, vectors, members, centres, n_probe, k):
    lengths = np.maximum(np.linalg.norm(centres, axis=1), 1e-12)
    return _among(
        query, vectors, [i for c in _probe(query, centres / lengths[:, None], n_probe) for i in members[c]], k
    )


@search_cells.mistake(
    "What you return are places in the list of candidates, not the numbers of the items that stand there."
)
def _places(query, vectors, members, centres, n_probe, k):
    items = np.sort([i for c in _probe(query, centres, n_probe) for i in members[c]])
    return np.argsort(-(vectors[items] @ query), kind="stable")[:k].tolist()


@search_cells.mistake("What you return are places within each cell, not item numbers.")
def _places_in_cell(query, vectors, members, centres, n_probe, k):
    rows = [(-(vectors[i] @ query), i, place) for c in _probe(query, centres, n_probe)
            for place, i in enumerate(members[c])]  # fmt: skip
    return [place for _, _, place in sorted(rows)[:k]]


@search_cells.mistake("The lists of the cells stand one after the other: they have to be merged by score.")
def _not_merged(query, vectors, members, centres, n_probe, k):
    return [i for c in _probe(query, centres, n_probe) for i in _among(query, vectors, members[c], k)][:k]


@search_cells.mistake("You return k items of each cell: merge them and cut to k.")
def _k_of_each(query, vectors, members, centres, n_probe, k):
    found = [i for c in _probe(query, centres, n_probe) for i in _among(query, vectors, members[c], k)]
    return _among(query, vectors, found, len(found))


@search_cells.mistake("Only one cell is looked into, whatever n_probe says.")
def _one_cell(query, vectors, members, centres, n_probe, k):
    return _among(query, vectors, members[_probe(query, centres, 1)[0]], k)


@search_cells.mistake("All cells are looked into: that is the exact search, with all its work.")
def _all_cells(query, vectors, members, centres, n_probe, k):
    return _among(query, vectors, [i for cell in members for i in cell], k)


@search_cells.mistake("You look into the least promising cells: the highest inner products are wanted.")
def _worst_cells(query, vectors, members, centres, n_probe, k):
    return _among(query, vectors, [i for c in _probe(query, -centres, n_probe) for i in members[c]], k)


@search_cells.mistake("Within the cells you go by distance; the list is asked for by inner product.")
def _near_items(query, vectors, members, centres, n_probe, k):
    items = np.sort([i for c in _probe(query, centres, n_probe) for i in members[c]])
    return items[np.argsort(np.linalg.norm(vectors[items] - query, axis=1), kind="stable")[:k]].tolist()


@search_cells.mistake("The order is the wrong way round: your list begins with the lowest inner product.")
def _low_items(query, vectors, members, centres, n_probe, k):
    return _among(-query, vectors, [i for c in _probe(query, centres, n_probe) for i in members[c]], k)


@search_cells.mistake(
    "Of items with equal inner products the smaller number has to come first, whichever cell they lie in.",
    when=lambda got, query, vectors, members, centres, n_probe, k: np.allclose(
        vectors[list(got)] @ query,
        vectors[search_cells.reference(query, vectors, members, centres, n_probe, k)] @ query,
    ),
)
def _cell_order(query, vectors, members, centres, n_probe, k):
    items = np.array([i for c in _probe(query, centres, n_probe) for i in members[c]], int)
    return items[np.argsort(-(vectors[items] @ query), kind="stable")[:k]].tolist()


# 7.3 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "7.3",
    "A test for a session memory",
    minutes=13,
    difficulty="medium",
    kind=Verdict(),
    hints=(
        "The right answer is known at any moment: batch(events so far, session). Ask the store for the same, and "
        "compare.",
        "The events that are passed in hold no trouble: in them no click comes late, none is sent twice, none is "
        "repeated, and no session is long. Make a stream that has all of that, by hand or at random.",
        "At random: 40 events of three sessions, with few items and few different times, some of them sent again, at "
        "once or much later. Give them to a new store one by one, and after each one compare all three sessions. "
        "list(store.clicks(s)) makes a list of whatever comes back.",
    ),
    explanation="One property, that the service reads what the training read, checked after every event of a stream "
    "with all the trouble that you can think of. Mistakes hide in combinations (a late click in a long session), and "
    "a random stream finds those that nobody thought of. Comparing after every event matters: once every session is "
    "long, nobody sees the padding.",
)
def store_is_sound(make_store, events, batch):
    """Whether a session memory gives a model the same clicks as the training did.

    Parameters
    ----------
    make_store : callable
        ``store = make_store()`` is a new, empty memory. ``store.append(event)`` gives it an event;
        ``store.clicks(session)`` is a list or tuple with the items of that session, oldest first (an unknown session
        has none).
    events : list of tuple
        Some events ``(session, item, time, event_id)`` in the order in which they arrive, for your use. Real streams
        have more trouble: late events (a smaller time than one before), events that are sent twice (with the same
        event_id), second looks at an item (with another event_id), equal times, sessions with more than five clicks.
    batch : callable
        ``batch(events, session)`` is the list of clicks that the training makes of these events: by time (equal times
        in the order of arrival), each event_id once, the newest five.

    Returns
    -------
    bool
        True for a memory that always agrees with `batch`; False if it ever does not.
    """
    rng = np.random.default_rng(0)
    stream = [("abc"[rng.integers(3)], int(rng.integers(1, 6)), int(rng.integers(30)), n) for n in range(40)]
    stream = [stream[n] for n in rng.integers(0, 40, 70)]  # in any order, some of them again, sooner or later
    store, agree = make_store(), True
    for n, event in enumerate(stream, start=1):
        store.append(event)
        agree = agree and all(list(store.clicks(s)) == batch(stream[:n], s) for s in "abc")
    return agree


_calm = [("ann", 7, 100, "e1"), ("ann", 3, 140, "e2"), ("ann", 5, 190, "e3"), ("bob", 4, 200, "e4")]
_BATCH = museum.Batch()
_BECAUSE = {
    museum.Store: "True: this store is sound",
    museum.ByArrival: "False: this store leaves clicks in the order of arrival. A late one stands in the wrong place",
    museum.NewestFirst: "False: this store gives the newest click first",
    museum.OldestKept: "False: of a long session this store keeps the oldest five clicks",
    museum.Padded: "False: this store fills short sessions up to five places with item 0",
    museum.CountsTwice: "False: an event that is sent twice counts twice in this store",
    museum.ItemsOnce: "False: a second look at an item is lost in this store, though it is an event of its own",
    museum.Mixed: "False: this store puts two events that arrive together into one session",
    museum.InTuples: "True: this store is sound. It answers with tuples",
}
for _kind, _why in _BECAUSE.items():
    store_is_sound.case(museum.Maker(_kind), _calm, _BATCH, expect=_kind.sound, because=_why)


@store_is_sound.random_cases
def _stores(rng):
    cases = []
    for kind in (*museum.SUBTLE, *museum.SOUND, *museum.SLY, *museum.SUBTLE, *museum.BROKEN, museum.Tidy):
        sessions = [name for name in ("x1", "x2") for _ in range(rng.integers(2, 4))]
        times = np.sort(rng.choice(900, len(sessions), replace=False)).tolist()
        items = (rng.permutation(9)[: len(sessions)] + 1).tolist()
        ids = [f"e{n}" for n in range(len(sessions))]
        cases.append((museum.Maker(kind), list(zip(sessions, items, times, ids, strict=True)), _BATCH))
    return cases


def _trouble(n=60, seed=1, sessions="pqr", late=True, twice=True, again=True, ties=True, most=99, far=True):
    """A stream with all kinds of trouble, or all but some."""
    rng, stream, counts = np.random.default_rng(seed), [], dict.fromkeys(sessions, 0)
    for number in range(n):
        session = sessions[rng.integers(len(sessions))]
        if counts[session] == most:
            continue
        counts[session] += 1
        item = int(rng.integers(1, 6)) if again else n - number
        time = int(rng.integers(8 if ties else 10**6)) if late else (number // 3 if ties else number)
        stream.append((session, item, time, number))
    copies = [place for place in range(len(stream)) if twice and rng.random() < 0.5]
    for place in reversed(copies):  # from behind, so that places before stay what they are
        stream.insert(place + 1 + (int(rng.integers(12)) if far else 0), stream[place])
    return stream


def _replayed(make_store, stream, batch, same=lambda a, b: list(a) == b, every=True, sessions=None):
    store, fine = make_store(), []
    for n, event in enumerate(stream, start=1):
        store.append(event)
        if every or n == len(stream):
            asked = sessions or sorted({e[0] for e in stream})
            fine += [same(store.clicks(s), batch(stream[:n], s)) for s in asked]
    return all(fine)


@store_is_sound.mistake("Your test can never fail: it calls every store sound.")
def _never_fails(make_store, events, batch):
    return True


@store_is_sound.mistake("Your test always fails: it calls every store faulty.")
def _always_fails(make_store, events, batch):
    return False


@store_is_sound.mistake("The wrong way round: True means that the store is sound.")
def _swapped(make_store, events, batch):
    return not store_is_sound.reference(make_store, events, batch)


@store_is_sound.mistake(
    "You replay the events that are passed in, and they hold no trouble. Only with trouble does a mistake show: make a "
    "stream that has late events, events sent twice, second looks and long sessions."
)
def _as_given(make_store, events, batch):
    return _replayed(make_store, events, batch)


@store_is_sound.mistake(
    "You ask with `==` whether what came back is the list that you expect. A sound store that answers with a tuple "
    "fails your test.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.InTuples,
)
def _list_or_nothing(make_store, events, batch):
    return _replayed(make_store, _trouble(), batch, same=lambda a, b: a == b)


@store_is_sound.mistake("You compare regardless of the order, and with it a late click in the wrong place goes unseen.")
def _as_sets(make_store, events, batch):
    return _replayed(make_store, _trouble(), batch, same=lambda a, b: sorted(a) == sorted(b))


@store_is_sound.mistake(
    "zip stops where the shorter one ends: a store that gives too little passes. Compare the lists as a whole.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.TooLittle and got,
)
def _zipped(make_store, events, batch):
    same = lambda a, b: all(x == y for x, y in zip(a, b, strict=False))  # noqa: E731
    return _replayed(make_store, _trouble(), batch, same=same)


@store_is_sound.mistake(
    "You cut to five yourself what comes back, so that a store that never cuts passes. It is the store that has to.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.NeverCut and got,
)
def _cut_for_it(make_store, events, batch):
    return _replayed(make_store, _trouble(), batch, same=lambda a, b: list(a)[-5:] == b)


@store_is_sound.mistake(
    "You ask for each session only once, at the end. What a store says when it is asked again goes unseen.",
    when=lambda got, make_store, events, batch: make_store.kind in (museum.FirstAnswer, museum.ReadOnce) and got,
)
def _asked_once(make_store, events, batch):
    streams = [_trouble(most=most, seed=seed) for most, seed in ((99, 1), (3, 2), (1, 3))]
    return all(_replayed(make_store, stream, batch, every=False) for stream in streams)


@store_is_sound.mistake(
    "An event that is sent twice comes at once after its first copy in your stream; it may come much later.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.KnowsTheLastOnly and got,
)
def _at_once(make_store, events, batch):
    return _replayed(make_store, _trouble(far=False), batch)


@store_is_sound.mistake("You compare only how many clicks there are; compare the clicks.")
def _lengths(make_store, events, batch):
    return _replayed(make_store, _trouble(), batch, same=lambda a, b: len(a) == len(b))


@store_is_sound.mistake("You compare only the last click of a session; compare all of them.")
def _last_click(make_store, events, batch):
    return _replayed(make_store, _trouble(), batch, same=lambda a, b: list(a)[-1:] == b[-1:])


@store_is_sound.mistake(
    "There is only one session in your stream, so that nothing can be mixed up.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.Mixed and got,
)
def _one_session(make_store, events, batch):
    return _replayed(make_store, _trouble(sessions="p"), batch)


@store_is_sound.mistake(
    "No event comes late in your stream: each has a larger time than the one before. Then arrival and time are the "
    "same order.",
    when=lambda got, make_store, events, batch: make_store.kind in (museum.ByArrival, museum.CutBeforeSorted,
                                                                    museum.TiesByItem, *museum.SLY) and got,
)  # fmt: skip
def _never_late(make_store, events, batch):
    return _replayed(make_store, _trouble(late=False, ties=False), batch)


@store_is_sound.mistake(
    "No event is sent twice in your stream, with the same event_id.",
    when=lambda got, make_store, events, batch: make_store.kind in (museum.CountsTwice, museum.CutBeforeOnce) and got,
)
def _never_twice(make_store, events, batch):
    return _replayed(make_store, _trouble(twice=False), batch)


@store_is_sound.mistake(
    "Nobody looks at an item a second time in your stream, so that a store that drops second looks goes unseen.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.ItemsOnce and got,
)
def _never_again(make_store, events, batch):
    return _replayed(make_store, _trouble(again=False), batch)


@store_is_sound.mistake(
    "None of your sessions has more than five clicks, so that nobody sees which five are kept.",
    when=lambda got, make_store, events, batch: make_store.kind in (museum.OldestKept, museum.FourKept,
                                                                    museum.CutBeforeSorted, museum.CutBeforeOnce,
                                                                    *museum.SLY) and got,
)  # fmt: skip
def _never_long(make_store, events, batch):
    return _replayed(make_store, _trouble(most=4), batch)


@store_is_sound.mistake(
    "All of your sessions have five clicks or more when you compare: what a short one is filled up with goes unseen. "
    "Compare earlier too.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.Padded and got,
)
def _at_the_end(make_store, events, batch):
    return _replayed(make_store, _trouble(), batch, every=False)


@store_is_sound.mistake(
    "Equal times keep the order of arrival. In your stream no two clicks of a session have the same time, or those "
    "that do happen to arrive in the order of their items.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.TiesByItem and got,
)
def _never_level(make_store, events, batch):
    return _replayed(make_store, _trouble(ties=False), batch)


@store_is_sound.mistake(
    "Late events come only in short sessions in your stream. In a long one, a late click may push out a newer one.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.CutBeforeSorted and got,
)
def _late_when_short(make_store, events, batch):
    calm = [(s, i, t + 100, f"c{n}") for s, i, t, n in _trouble(sessions="uv", late=False)]
    return _replayed(make_store, _trouble(most=4) + calm, batch)


@store_is_sound.mistake(
    "Events are sent twice only in short sessions in your stream. In a long one, the second copy may take a place.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.CutBeforeOnce and got,
)
def _twice_when_short(make_store, events, batch):
    single = [(s, i, t, f"c{n}") for s, i, t, n in _trouble(sessions="uv", twice=False)]
    return _replayed(make_store, _trouble(most=2) + single, batch)


@store_is_sound.mistake(
    "Of a long session you do not see whether it has five clicks or four.",
    when=lambda got, make_store, events, batch: make_store.kind is museum.FourKept and got,
)
def _four_will_do(make_store, events, batch):
    return _replayed(make_store, _trouble(), batch, same=lambda a, b: list(a)[-4:] == b[-4:] and len(a) <= 5)


# 7.4 -----------------------------------------------------------------------------------------------------------------

SLOW_S = 0.6  # a slow model comes back after this long, if nobody says before that it is no longer needed


class Model:
    """A model to be asked: ``model(session, k)`` returns books, best first.

    Parameters
    ----------
    books : object
        What comes back; an exception is raised instead.
    slow : bool
        Comes back after `SLOW_S` seconds.
    takes : float
        Seconds, which are in the budget.
    """

    def __init__(self, books, slow: bool = False, takes: float = 0):
        self.books, self.slow, self.takes, self.late, self._gates = books, slow, takes, False, []

    def __call__(self, session, k):
        """Return the books."""
        if self.slow:
            gate = threading.Event()
            self._gates.append(gate)
            self.late |= not gate.wait(SLOW_S)  # nobody gave it up: somebody still waits for it
        elif self.takes:
            threading.Event().wait(self.takes)
        if isinstance(self.books, BaseException):
            raise type(self.books)(*self.books.args)
        return list(self.books) if isinstance(self.books, list) else self.books

    def given_up(self) -> bool:
        """Say that an answer is there, so that nothing needs to go on; returns whether it had waited for this model."""
        late, self.late = self.late, False
        while self._gates:
            self._gates.pop().set()
        return late

    def __deepcopy__(self, memo):
        return self  # the check has to see what happened to it

    def __repr__(self) -> str:
        if self.slow or self.takes:
            return "<model: slow>" if self.slow else f"<model: {self.books!r} after {self.takes} s>"
        return f"<model: {'raises ' if isinstance(self.books, BaseException) else ''}{self.books!r}>"


class Sourced(Ranking):
    """Pairs (book, source) in an order, and whether they came in time."""

    words = "a list of pairs (book, source)"

    def read(self, result, args) -> tuple:
        """Return (late, pairs)."""
        late = args[0].given_up() if isinstance(args[0], Model) else False
        if isinstance(result, Mapping):
            raise self.refuse(result, "list(answer.items()) makes one of a dict.")
        if (
            isinstance(result, tuple)
            and len(result) == 2
            and isinstance(result[1], str)
            and isinstance(result[0], list)
        ):
            raise self.refuse(result, "Each book needs its own source.")
        if not isinstance(result, LISTS) or getattr(result, "ndim", 1) > 2 or len(result) > 1000:
            raise self.refuse(result)
        return late, tuple(self._pair(pair) for pair in result)

    def _pair(self, pair) -> tuple:
        if not isinstance(pair, LISTS) or getattr(pair, "ndim", 1) != 1 or len(pair) != 2:
            raise Unreadable(f"{describe(pair)} is among what came back; each element has to be a pair (book, source).")
        values = tuple(plain(value) for value in pair)
        if Strange in values:
            raise Unreadable("A pair that came back holds something other than a book and a source.")
        return values

    def show(self, value) -> str:
        """Return the pairs, and whether they came too late."""
        late, pairs = value
        text = "[" + ", ".join(f"({book!r}, {source!r})" for book, source in pairs) + "]"
        return text + (", too late" if late else "")


@lab.exercise(
    "7.4",
    "A list in any case",
    minutes=10,
    difficulty="medium",
    kind=Sourced(),
    hints=(
        "Ask the model in a thread: pool.submit(model, session, k), and result(timeout=budget). Both, an error of the "
        "model and time that has run out, arrive there as exceptions: `except Exception` catches them.",
        "Do not put the pool into a `with` block: at its end it waits for the slow model. pool.shutdown(wait=False) "
        "does not.",
        'Then build the list in one go, from the model\'s books with source "model" and all popular ones with source '
        '"popular" behind them: pass over what was seen or is in the list already, stop at k. An answer None is like '
        "no books.",
    ),
    explanation="Popular books fill up every gap: a model that fails, that is slow, that is not there, or that has "
    "too little to say. And every book says where it comes from, so that somebody who looks at the figures on Monday "
    "sees that on Sunday there were popular books only. `except Exception` and no bare `except:`, which would also "
    "swallow the stop button.",
)
def recommend_safely(model, popular, session, k, budget):
    """A list of k books, whatever the model does.

    Parameters
    ----------
    model : callable or None
        ``model(session, k)`` should return a list of books, best first. It may raise an error, take too long, return
        None, too few books, one twice, or books of this session; None instead of a model means that there is none.
    popular : list of str
        Popular books, best first.
    session : list of str
        Books of this visit; none of them is recommended.
    k : int
    budget : float
        Seconds after which you no longer wait for the model.

    Returns
    -------
    list of tuple
        Pairs (book, source) without repeats: the model's books with source "model", and behind them, as far as places
        are left, popular ones with source "popular". At most k; fewer only where the popular ones run out.
        ``recommend_safely(None, ["Emma", "Ulysses"], ["Emma"], 1, 0.1)`` is ``[("Ulysses", "popular")]``.
    """
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    try:
        found = pool.submit(model, session, k).result(timeout=budget) or []
    except Exception:
        found = []
    pool.shutdown(wait=False)
    answer = {}
    for source, books in (("model", found), ("popular", popular)):
        for book in books:
            if book not in session and len(answer) < k:
                answer.setdefault(book, source)
    return list(answer.items())


_popular = ["Emma", "Dracula", "Ulysses", "Walden", "Faust", "Candide"]
_asked = ["Emma", "Middlemarch"]
_three = [("Dracula", "popular"), ("Ulysses", "popular"), ("Walden", "popular")]
recommend_safely.case(
    *(Model(["Persuasion", "Evelina", "Villette"]), _popular, _asked, 3, 5.0),
    expect=[("Persuasion", "model"), ("Evelina", "model"), ("Villette", "model")],
    because="the model answers in time, and with enough",
)
recommend_safely.case(
    *(Model(RuntimeError("out of order")), _popular, _asked, 3, 5.0),
    expect=_three,
    because="the model raises an error. Popular books instead, without Emma, who was looked at in this visit",
)
recommend_safely.case(
    *(Model(["Persuasion", "Evelina", "Villette"], slow=True), _popular, _asked, 3, 0.05),
    expect=_three,
    because="the model takes 0.6 s, and the budget is 0.05: popular books, without waiting",
)
recommend_safely.case(
    *(Model(["Middlemarch", "Ulysses", "Persuasion"]), _popular, _asked, 4, 5.0),
    expect=[("Ulysses", "model"), ("Persuasion", "model"), ("Dracula", "popular"), ("Walden", "popular")],
    because="Middlemarch was looked at; two of the model's books are left, and popular ones fill up, each book once",
)
recommend_safely.case(
    *(Model(["Persuasion", "Evelina"], takes=0.3), _popular, _asked, 2, 4.0),
    expect=[("Persuasion", "model"), ("Evelina", "model")],
    because="the model takes 0.3 s, and the budget is 4 s: it is worth waiting for",
)
recommend_safely.case(
    *(Model(["Evelina", "Evelina", "Persuasion", "Villette"]), _popular, _asked, 2, 5.0),
    expect=[("Evelina", "model"), ("Persuasion", "model")],
    because="the model names Evelina twice, and more books than are asked for",
)
recommend_safely.case(
    *(Model(None), _popular, [], 2, 5.0),
    expect=[("Emma", "popular"), ("Dracula", "popular")],
    because="None is what the model returns: it has nothing to say",
)
recommend_safely.case(
    *(None, _popular, ["Faust"], 2, 5.0),
    expect=[("Emma", "popular"), ("Dracula", "popular")],
    because="there is no model",
)


@recommend_safely.random_cases
def _visits(rng):
    books = [f"book {n}" for n in range(20)]
    cases = []
    errors = (KeyError("user"), ValueError("shape"), ZeroDivisionError("by zero"), MemoryError("full"))
    for n, error in enumerate((*errors, None, None, None, None)):
        some = [books[i] for i in rng.permutation(20)]
        found = [*some[:4], some[1], some[4]][: rng.integers(3, 7)]
        session = [some[2], some[8], some[9], some[2]]
        popular = [some[i] for i in (8, 0, 2, 10, 11, 9, 12, 13)]
        cases.append((Model(error if error else found), popular, session, 3 + n % 3, 5.0))
    cases.append((Model([]), books[:5], books[3:5], 2, 5.0))
    cases.append((Model(books[:4]), books[2:6], books[1:3], 9, 5.0))  # fewer than k are left
    return [*cases, (Model(books[:4], slow=True), books[6:], books[6:8], 3, 0.03)]


def _told(found, popular, session, k, seen=True, once=True):
    pairs = [(book, "model") for book in found] + [(book, "popular") for book in popular]
    if seen:
        pairs = [pair for pair in pairs if pair[0] not in session]
    return [p for i, p in enumerate(pairs) if not once or p[0] not in [q[0] for q in pairs[:i]]][:k]


def _within(model, session, k, budget, errors=Exception):
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(model, session, k).result(timeout=budget) or []
    except errors:
        return []
    finally:
        pool.shutdown(wait=False)


@recommend_safely.mistake(
    "You wait for a slow model, and only then look at the clock or at what it said. Errors are caught, time is not."
)
def _no_clock(model, popular, session, k, budget):
    try:
        found = model(session, k) or []
    except Exception:
        found = []
    return _told(found, popular, session, k)


@recommend_safely.mistake(
    "The popular books come too late: something in your function still waits for the slow model. A `with` block around "
    "a pool waits at its end, and so do join() and shutdown() without wait=False."
)
def _waits_at_the_end(model, popular, session, k, budget):
    from concurrent.futures import ThreadPoolExecutor

    found = []
    with ThreadPoolExecutor(1) as pool, contextlib.suppress(Exception):
        found = pool.submit(model, session, k).result(timeout=budget) or []
    return _told(found, popular, session, k)


@recommend_safely.mistake("Only time that has run out is caught: an error of the model breaks the page.")
def _only_time(model, popular, session, k, budget):
    return _told(_within(model, session, k, budget, TimeoutError), popular, session, k)


@recommend_safely.mistake("Books of this visit are in your list.")
def _seen_books(model, popular, session, k, budget):
    return _told(_within(model, session, k, budget), popular, session, k, seen=False)


@recommend_safely.mistake("Popular books that this visit has looked at are in your list: leave them out of both parts.")
def _seen_popular(model, popular, session, k, budget):
    found = [book for book in _within(model, session, k, budget) if book not in session]
    return _told(found, popular, session, k, seen=False)


@recommend_safely.mistake("The model's books of this very visit are in your list: leave them out of both parts.")
def _seen_of_model(model, popular, session, k, budget):
    popular = [book for book in popular if book not in session]
    return _told(_within(model, session, k, budget), popular, session, k, seen=False)


@recommend_safely.mistake("Where the model has too few books your list is short: fill it up with popular ones.")
def _short(model, popular, session, k, budget):
    found = [book for book in _within(model, session, k, budget) if book not in session]
    return _told(found, [], session, k) if found else _told([], popular, session, k)


@recommend_safely.mistake(
    "You cut to k first and leave out what was seen afterwards: the list gets shorter than it need be."
)
def _cut_books_first(model, popular, session, k, budget):
    pairs = _told(_within(model, session, k, budget), popular, session, k, seen=False)
    return [pair for pair in pairs if pair[0] not in session]


@recommend_safely.mistake("A book is in your list twice.")
def _books_twice(model, popular, session, k, budget):
    return _told(_within(model, session, k, budget), popular, session, k, once=False)


@recommend_safely.mistake("Your list is longer than k.")
def _too_long(model, popular, session, k, budget):
    return _told(_within(model, session, k, budget), popular, session, 99)


@recommend_safely.mistake('Popular books carry the source "model": nobody will see that the model was out of order.')
def _says_model(model, popular, session, k, budget):
    return [(book, "model") for book, _ in _told(_within(model, session, k, budget), popular, session, k)]


@recommend_safely.mistake("The model is never asked, or its books are thrown away: yours are popular ones always.")
def _always_popular(model, popular, session, k, budget):
    return _told([], popular, session, k)


@recommend_safely.mistake("A model that returns None breaks your function: there is nothing to go through.")
def _no_none(model, popular, session, k, budget):
    found = _within(lambda *args: (model(*args),), session, k, budget)
    return _told(list(found[0]) if found else [], popular, session, k)


# 7.5 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "7.5",
    "Lift with its interval",
    minutes=10,
    difficulty="medium",
    kind=Vector("three numbers (lift, low, high)", length=3, tolerance=1e-3, absolute=2e-4),
    hints=(
        "First one number a user: the sum of their visits. From here on you need nothing else.",
        "For each arm the mean, and the variance of that mean: np.var(sums, ddof=1) / number of users. It shrinks as "
        "users come; the standard deviation of the users does not.",
        "The lift is t / c - 1. Its standard error is the root of V_t / c**2 + t**2 * V_c / c**4, and the interval "
        "reaches 1.96 of them to either side of the lift.",
    ),
    explanation="Both means are uncertain, and a ratio inherits from both: hence two terms. Users are the units, since "
    "users were put into arms: ten visits of one person say less than visits of ten people.",
)
def lift_interval(control, treatment):
    """Lift of the mean of a user, with its 95 % interval.

    Parameters
    ----------
    control, treatment : dict of str to list of float
        For each user of that arm, what was bought in each of their visits.

    Returns
    -------
    tuple of float
        (lift, low, high), as shares: 0.1 means 10 % more. With c and t the means per user and V_c and V_t the variances
        of those means (the users' variance, with n - 1, over the number of users), the lift is t / c - 1 and its
        standard error the root of V_t / c² + t² V_c / c⁴. The interval reaches 1.96 standard errors to either side.
    """
    (c, v_c), (t, v_t) = (
        (np.mean(sums), np.var(sums, ddof=1) / len(sums))
        for sums in ([sum(visits) for visits in arm.values()] for arm in (control, treatment))
    )
    lift, error = t / c - 1, np.sqrt(v_t / c**2 + t**2 * v_c / c**4)
    return float(lift), float(lift - 1.96 * error), float(lift + 1.96 * error)


_reach = 1.96 * np.sqrt(1 / 4 + 9 / 16)
lift_interval.case(
    *({"a": [1, 0], "b": [2, 1]}, {"c": [2], "d": [1, 1, 2]}),
    expect=(0.5, 0.5 - _reach, 0.5 + _reach),
    because="control: users with 1 and 3, c = 2, their variance is 2, V_c = 2/2 = 1. Treatment: 2 and 4, t = 3, "
    "V_t = 1. The lift is 3/2 - 1, its standard error the root of 1/4 + 9 · 1/16",
)
lift_interval.case(
    *({"a": [2], "b": [2], "c": [2]}, {"d": [0], "e": [1, 2], "f": [1, 1, 1]}),
    expect=(0.0, -0.98, 0.98),
    because="control: all users have 2, so V_c = 0. Treatment: 0, 3 and 3, t = 2, variance 3, V_t = 1: the standard "
    "error is 1/2",
)


@lift_interval.random_cases
def _arms(rng):
    cases = []
    for n, m, more in ((8, 11, 1.5), (30, 25, 0.7), (60, 200, 1.2), (120, 90, 1.0)):
        arms = []
        for name, size, rate in (("c", n, 1.0), ("t", m, more)):
            visits = rng.integers(1, 6, size)
            bought = [rng.poisson(rate * rng.gamma(2, 0.5), v).tolist() for v in visits]
            bought[0][0] += 1
            arms.append({f"{name}{i}": values for i, values in enumerate(bought)})
        cases.append(tuple(arms))
    return cases


def _moments(arm):
    sums = np.array([sum(visits) for visits in arm.values()], float)
    return sums.mean(), sums.var(ddof=1) / len(sums), sums


def _lift(control, treatment, error=None, reach=1.96, lift=lambda c, t: t / c - 1):
    (c, v_c, a), (t, v_t, b) = _moments(control), _moments(treatment)
    spread = np.sqrt(v_t / c**2 + t**2 * v_c / c**4) if error is None else error(c, v_c, a, t, v_t, b)
    centre = lift(c, t)
    return centre, centre - reach * spread, centre + reach * spread


@lift_interval.mistake(
    "You count visits as the units. Users were put into arms, and visits of one user are alike: add up each user's "
    "first."
)
def _visits_as_units(control, treatment):
    arms = ({(u, i): [v] for u, vs in arm.items() for i, v in enumerate(vs)} for arm in (control, treatment))
    return _lift(*arms)


@lift_interval.mistake("You take the mean of a user's visits; what a user bought in all is their sum.")
def _mean_of_visits(control, treatment):
    return _lift(*({u: [np.mean(vs)] for u, vs in arm.items()} for arm in (control, treatment)))


@lift_interval.mistake(
    "Your interval is made of standard deviations. They say how much users differ; how well a mean is known also "
    "depends on how many users there are."
)
def _deviation(control, treatment):
    return _lift(control, treatment, lambda c, v_c, a, t, v_t, b: np.sqrt(
        b.var(ddof=1) / c**2 + t**2 * a.var(ddof=1) / c**4))  # fmt: skip


@lift_interval.mistake("V_c and V_t are variances of the means; you put in their roots.")
def _roots(control, treatment):
    return _lift(
        control, treatment, lambda c, v_c, a, t, v_t, b: np.sqrt(np.sqrt(v_t) / c**2 + t**2 * np.sqrt(v_c) / c**4)
    )


@lift_interval.mistake("The interval reaches one variance to either side; take the root of it, the standard error.")
def _variance(control, treatment):
    return _lift(control, treatment, lambda c, v_c, a, t, v_t, b: v_t / c**2 + t**2 * v_c / c**4)


@lift_interval.mistake(
    "Your interval is one-sided: 1.64 standard errors leave out 5 % on each side. Two sides need 1.96."
)
def _one_sided(control, treatment):
    return _lift(control, treatment, reach=1.645)


@lift_interval.mistake("That is the difference t - c with its interval; the lift is relative to the control's mean.")
def _absolute(control, treatment):
    return _lift(control, treatment, lambda c, v_c, a, t, v_t, b: np.sqrt(v_c + v_t), lift=lambda c, t: t - c)


@lift_interval.mistake(
    "You take the control's mean for exactly known: an interval of the difference, divided by c. Its own uncertainty "
    "counts times t²/c²."
)
def _c_is_known(control, treatment):
    return _lift(control, treatment, lambda c, v_c, a, t, v_t, b: np.sqrt(v_c + v_t) / c)


@lift_interval.mistake(
    "The reach of your interval is that of the difference t - c, in books. The lift is a ratio, with a standard error "
    "of its own."
)
def _reach_in_books(control, treatment):
    return _lift(control, treatment, lambda c, v_c, a, t, v_t, b: np.sqrt(v_c + v_t))


@lift_interval.mistake("Only the treatment's variance is in your interval; the control is uncertain too.")
def _one_variance(control, treatment):
    return _lift(control, treatment, lambda c, v_c, a, t, v_t, b: np.sqrt(v_t) / c)


@lift_interval.mistake(
    "You throw both arms together for one variance. The arms have their own, and a difference between them would count "
    "as noise."
)
def _pooled(control, treatment):
    def error(c, v_c, a, t, v_t, b):
        both = np.var([*a, *b], ddof=1)
        return np.sqrt(both / len(b) / c**2 + t**2 * both / len(a) / c**4)

    return _lift(control, treatment, error)


@lift_interval.mistake(
    "np.var divides by n; the variance of users of whom you have a sample divides by n - 1 (ddof=1)."
)
def _by_n(control, treatment):
    return _lift(control, treatment, lambda c, v_c, a, t, v_t, b: np.sqrt(
        b.var() / len(b) / c**2 + t**2 * a.var() / len(a) / c**4))  # fmt: skip


@lift_interval.mistake("The arms are exchanged: the lift is relative to the control.")
def _exchanged(control, treatment):
    return _lift(treatment, control)


@lift_interval.mistake("That is the ratio t / c; the lift is what it has more than 1.")
def _ratio(control, treatment):
    return _lift(control, treatment, lift=lambda c, t: t / c)


@lift_interval.mistake("You return per cent; shares are asked for, 0.1 for 10 %.")
def _per_cent(control, treatment):
    return tuple(100 * x for x in _lift(control, treatment))


# 7.6 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "7.6",
    "Claimed and made",
    minutes=6,
    difficulty="easy",
    extra=True,
    kind=Vector("a pair (claimed, made)", length=2),
    hints=(
        "Claimed: of all purchases, those in visits with a click on the list. with_list.loc[with_list['clicked'], "
        "'purchases'] has them.",
        "Made: a visit with the list buys m on average, one without it w. How much of m would not be there without it?",
        "The share is (m - w) / m. The arms need not be of one size: means, not sums.",
    ),
    explanation="The first number can be had without an experiment, which is why it is the one that is quoted. Only "
    "the second one asks what would have happened otherwise, and for that somebody has to go without.",
)
def claimed_and_made(with_list, without):
    """The share of purchases that a list claims, and the share that it made.

    Parameters
    ----------
    with_list : DataFrame
        One row for each visit in which the list was shown: `clicked` (bool), whether anything in the list was clicked,
        and `purchases`, the number of books bought in the visit.
    without : DataFrame
        One row for each visit, of other users drawn at random, without a list: `purchases`.

    Returns
    -------
    tuple of float
        (claimed, made). Claimed: of all purchases in `with_list`, the share in visits with a click. Made: of the
        purchases of a mean visit in `with_list`, the share that is missing in a mean visit in `without` (negative if
        nothing is). If visits with the list buy 2 on average and visits without it 1.5, it made 0.25.
    """
    total = with_list["purchases"].sum()
    claimed = with_list.loc[with_list["clicked"], "purchases"].sum() / total
    made = 1 - without["purchases"].mean() / with_list["purchases"].mean()
    return float(claimed), float(made)


def _shown(clicked, purchases):
    return pd.DataFrame({"clicked": np.array(clicked, bool), "purchases": purchases})


claimed_and_made.case(
    *(_shown([1, 1, 0, 0], [4, 1, 3, 0]), pd.DataFrame({"purchases": [1, 2]})),
    expect=(5 / 8, 0.25),
    because="5 of 8 purchases lie in visits with a click. 2 a visit with the list, 1.5 without: (2 - 1.5) / 2",
)
claimed_and_made.case(
    *(_shown([1, 0, 1], [1, 0, 2]), pd.DataFrame({"purchases": [1, 2, 0, 2, 1]})),
    expect=(1.0, -0.2),
    because="all purchases lie in visits with a click. 1 a visit with the list, 1.2 without: (1 - 1.2) / 1",
)


@claimed_and_made.random_cases
def _some_visits(rng):
    cases = []
    for n, m in ((12, 5), (30, 40), (25, 9), (40, 80)):
        clicked = rng.random(n) < 0.5
        shown = _shown(clicked, rng.poisson(0.6 + 0.8 * clicked))
        shown.loc[0, ["clicked", "purchases"]] = True, 2
        cases.append((shown.astype({"clicked": bool}), pd.DataFrame({"purchases": rng.poisson(0.7, m)})))
    return cases


def _claims(with_list, without, claimed=None, made=None):
    m, w = with_list["purchases"].mean(), without["purchases"].mean()
    share = with_list.loc[with_list["clicked"], "purchases"].sum() / with_list["purchases"].sum()
    return share if claimed is None else claimed(with_list), 1 - w / m if made is None else made(with_list, without)


@claimed_and_made.mistake("Claimed is a share of purchases; yours is the share of visits with a click.")
def _of_visits(with_list, without):
    return _claims(with_list, without, claimed=lambda table: table["clicked"].mean())


@claimed_and_made.mistake("Claimed is a share of purchases; yours is a share of the visits that bought something.")
def _of_buying_visits(with_list, without):
    return _claims(with_list, without, claimed=lambda table: table.loc[table["purchases"] > 0, "clicked"].mean())


@claimed_and_made.mistake("You divide the claimed purchases by the number of visits, not by all purchases.")
def _per_visit(with_list, without):
    return _claims(with_list, without, claimed=lambda t: (t["clicked"] * t["purchases"]).mean())


@claimed_and_made.mistake("Claimed are the purchases in visits with a click; yours are those without.")
def _not_clicked(with_list, without):
    return 1 - _claims(with_list, without)[0], _claims(with_list, without)[1]


@claimed_and_made.mistake("You compare sums. The two groups have different sizes: compare means of a visit.")
def _sums(with_list, without):
    return _claims(with_list, without, made=lambda a, b: 1 - b["purchases"].sum() / a["purchases"].sum())


@claimed_and_made.mistake("That is the lift m / w - 1, relative to visits without a list; asked is the share of m.")
def _the_lift(with_list, without):
    return _claims(with_list, without, made=lambda a, b: a["purchases"].mean() / b["purchases"].mean() - 1)


@claimed_and_made.mistake("That is the difference m - w in books; asked is which share of m it is.")
def _in_books(with_list, without):
    return _claims(with_list, without, made=lambda a, b: a["purchases"].mean() - b["purchases"].mean())


@claimed_and_made.mistake("That is the share w / m that would be there without the list; asked is what would not.")
def _would_be_there(with_list, without):
    return _claims(with_list, without, made=lambda a, b: b["purchases"].mean() / a["purchases"].mean())


@claimed_and_made.mistake("The two numbers are exchanged: claimed comes first.")
def _made_first(with_list, without):
    return _claims(with_list, without)[::-1]


@claimed_and_made.mistake("You return per cent; shares are asked for, 0.1 for 10 %.")
def _claims_in_per_cent(with_list, without):
    return tuple(100 * x for x in _claims(with_list, without))
