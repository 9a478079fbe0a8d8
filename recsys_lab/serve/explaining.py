"""Why an item is in a list: the click that goes with it best.

The weights are those of an item-to-item model: plain, the same for every list, and they can be looked up. They say
which click goes with the item, not what a network computed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

log = logging.getLogger(__name__)


def speaking_clicks(model, items: Sequence, session: Sequence) -> list:
    """Find the click that speaks most for each item.

    Parameters
    ----------
    model : ItemToItem or None
        Row i of its `weights_` holds how much a click on i speaks for each item.
    items : sequence of item ids
        Those listed.
    session : sequence of item ids
        The clicks, oldest first.

    Returns
    -------
    list of item id or None
        For each item the click with the largest weight, the latest of equal ones; None where no click has any, and for
        all items where there is no model or it is broken: no list fails for want of an explanation.

    Examples
    --------
    >>> from recsys_lab.interactions import Sessions
    >>> from recsys_lab.models import ItemKNN
    >>> model = ItemKNN().fit(Sessions.from_lists([["a", "c"], ["a", "c"], ["b", "c"], ["b", "d"]]))
    >>> speaking_clicks(model, ["c", "d", "x"], ["a", "b", "a"])
    ['a', 'b', None]
    """
    if not items or not session or getattr(model, "weights_", None) is None:
        return [None] * len(items)
    try:
        return _strongest(model, items, list(dict.fromkeys(reversed(session))))
    except Exception as error:
        log.warning("%s cannot explain: %s: %s", type(model).__name__, type(error).__name__, error)
        return [None] * len(items)


def _strongest(model, items: Sequence, clicks: list) -> list:
    rows, columns = model.vocabulary_.encode(clicks), model.vocabulary_.encode(items)
    known, place = np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0)
    if len(known) == 0:
        return [None] * len(items)
    weights = np.zeros((len(known), len(items)), np.float32)
    weights[:, place] = model.weights_[rows[known]][:, columns[place]].toarray()
    best = weights.argmax(axis=0)  # the first of equal ones: the latest click
    strong = weights[best, np.arange(len(items))] > 0
    return [clicks[known[b]] if s else None for b, s in zip(best, strong, strict=True)]
