"""From several ranked lists to one: fusion, filters, not too much of one author.

Scores of different models cannot be compared, ranks can. Reciprocal rank fusion (Cormack, Clarke & Büttcher, SIGIR
2009) gives an item ``Σ weight / (60 + rank)`` over the lists that hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

K = 60


def fuse(lists: Mapping[str, list], weights: Mapping[str, float]) -> list[tuple]:
    """Merge ranked lists.

    Parameters
    ----------
    lists : mapping of str to list of item ids
        Best first.
    weights : mapping of str to float
        A list without one counts 1, a list with 0 not at all.

    Returns
    -------
    list of (item_id, score, name)
        Best first; equal ones in the order in which the lists, as given, name them. The name is that of the list that
        gave most to it.

    Examples
    --------
    >>> [item for item, _, _ in fuse({"a": [1, 2, 3], "b": [3, 4]}, {"a": 1.0, "b": 1.0})]
    [3, 1, 2, 4]
    """
    total: dict = {}
    strongest: dict = {}
    for name, items in lists.items():
        if not weights.get(name, 1.0):
            continue
        for rank, item in enumerate(items, start=1):
            part = weights.get(name, 1.0) / (K + rank)
            total[item] = total.get(item, 0.0) + part
            if part > strongest.get(item, (0.0, ""))[0]:
                strongest[item] = (part, name)
    order = sorted(total, key=total.get, reverse=True)  # stable
    return [(item, total[item], strongest[item][1]) for item in order]


def spread(items: Iterable, k: int, group: Callable, most: int | None) -> list:
    """Take the first k, but at most `most` of a group, as long as others are left; the rest come later.

    Examples
    --------
    >>> spread(["a1", "a2", "a3", "b1"], 3, lambda item: item[0], most=1)
    ['a1', 'b1', 'a2']
    """
    if k < 1:
        return []
    taken, later, counts = [], [], {}
    for item in items:
        key = group(item)
        if most is not None and key and counts.get(key, 0) >= most:
            later.append(item)
            continue
        counts[key] = counts.get(key, 0) + 1
        taken.append(item)
        if len(taken) == k:
            return taken
    return (taken + later)[:k]
