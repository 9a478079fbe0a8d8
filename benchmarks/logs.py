"""The logs that models are measured on, each cut into a training and a test part in the one way this course uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from recsys_lab import bookshop, datasets, split
from recsys_lab.cleaning import Cleaning
from recsys_lab.evaluate import evaluate
from recsys_lab.held_out import evaluate_held_out
from recsys_lab.histories import histories, hold_out
from recsys_lab.interactions import Sessions
from recsys_lab.result import Result


class Parts(NamedTuple):
    """A log, cut.

    Attributes
    ----------
    train, test : Sessions
    question : {"next click", "hidden items"}
        What is asked: after each click for the next one (`evaluate`), or of each user for what was hidden
        (`evaluate_held_out`).
    known : Sessions or None
        Where items were hidden, the other items of the users in `test`; None where those are all of `train`.
    impressions : DataFrame or None
        What was shown before the test part begins.
    last : bool
        Whether the hidden items are each user's last ones; otherwise they were drawn.
    """

    train: Sessions
    test: Sessions
    question: str = "next click"
    known: Sessions | None = None
    impressions: pd.DataFrame | None = None
    last: bool = False

    def evaluate(self, model, k: int = 20) -> Result:
        """Ask a fitted model."""
        if self.question == "next click":
            return evaluate(model, self.test, k)
        return evaluate_held_out(model, self.train if self.known is None else self.known, self.test, k)


def shop_views(events: pd.DataFrame) -> Sessions:
    """Views of people: defects out, sessions of two views and more."""
    cleaned = Cleaning(events).drop_double_fires().drop_bots()
    return Sessions.from_frame(cleaned.events, validate=False).only("view").longer_than(1)


def by_time(sessions: Sessions, test: float = 0.2) -> Parts:
    train, later, _ = split.by_time(sessions, test)
    return Parts(train, later)


def shop() -> Parts:
    log = datasets.load("bookshop")
    parts = by_time(shop_views(log.events))
    ended = pd.Timestamp(parts.test.starts.min(), unit="ns", tz="UTC")
    return parts._replace(impressions=log.impressions[log.impressions["timestamp"] < ended])


def simulated_shop(seed: int, n_sessions: int) -> Parts:
    log = bookshop.simulate(bookshop.logging_policy(), n_sessions=n_sessions, seed=seed)
    return by_time(shop_views(log.events))


def published(name: str) -> Parts:
    log = datasets.load(name)
    train = log.sessions("train")
    return Parts(train, log.sessions("test", vocabulary=train.vocabulary))


def retailrocket() -> Parts:
    events = datasets.load("retailrocket-behaviours").train
    return by_time(Sessions.from_frame(events, validate=False).only("view").longer_than(1))


def ratings(name: str, last: bool) -> Parts:
    """Items that a user rated 4 or 5: the last fifth of them hidden, or a fifth drawn at random."""
    people = histories(datasets.load(name).ratings, at_least=4)
    train, test, _ = hold_out(people, 0.2, last=last)
    return Parts(train, test, "hidden items", last=last)


def validation(parts: Parts, most: int = 1500, seed: int = 0) -> Parts:
    """Cut the training part once more in the same way, for choosing parameters; at most so many test sessions."""
    train = parts.train
    if parts.question == "hidden items":
        cut = Parts(*hold_out(train, 0.2, last=parts.last, seed=seed)[:2], parts.question)
    elif train.has_time:
        cut = by_time(train)._replace(impressions=parts.impressions)
    else:  # in the order of the log
        first = int(0.8 * len(train))
        cut = Parts(train.part(0, first), train.part(first, len(train)))
    if len(cut.test) <= most:
        return cut
    some = np.sort(np.random.default_rng(seed).choice(len(cut.test), most, replace=False))
    known = cut.train.take(some) if parts.question == "hidden items" else None
    return cut._replace(test=cut.test.take(some), known=known)


LOGS: dict[str, Callable[[], Parts]] = {
    "bookshop": shop,
    "rsc15-100k": lambda: published("rsc15-100k"),
    "diginetica": lambda: published("diginetica"),
    "retailrocket-behaviours": retailrocket,
    "goodbooks-10k": lambda: ratings("goodbooks-10k", last=True),
    "movielens-1m": lambda: ratings("movielens-1m", last=False),
}
