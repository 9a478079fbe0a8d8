"""Who comes, when, and what for; and one stream of random numbers for each purpose.

Visitors are drawn before the first list is shown, and every random number belongs to a purpose, a visitor and a page.
So two policies simulated with the same seed meet the same people at the same times, with the same luck: differences
between policies show with far fewer sessions (common random numbers).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recsys_lab.bookshop.hidden import NS_PER_DAY, Truth, unit
from recsys_lab.bookshop.settings import INTENTS, SEGMENTS, STUDY_GENRES, Settings

PURPOSES = ("visits", "intents", "slates", "clicks", "moves", "searches", "dwell", "carts", "checkout", "returns")


class Streams:
    """Independent random generators by purpose (see `PURPOSES`) for one block of visitors."""

    def __init__(self, seed: int, block: int):
        self._seed, self._block = seed, block

    def __getitem__(self, purpose: str) -> np.random.Generator:
        """Return the generator of a purpose; asking again continues it."""
        if purpose not in self.__dict__:
            key = (PURPOSES.index(purpose), self._block)
            self.__dict__[purpose] = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=key))
        return self.__dict__[purpose]


@dataclass(frozen=True, eq=False)
class Visitors:
    """Visits, one row each, sorted by start.

    Attributes
    ----------
    start : ndarray of int64, shape (n,)
        Nanoseconds since 1970 (UTC).
    day : ndarray of int64, shape (n,)
        Day of the log.
    user : ndarray of int64, shape (n,)
        Index of the true user.
    signed_in : ndarray of bool, shape (n,)
    intent : ndarray of int64, shape (n,)
        Index into `INTENTS`.
    need : ndarray of float64, shape (n, n_factors)
        What the visit is for, norm 1.
    leave : ndarray of float64, shape (n,)
        Probability to leave where no list tempts.
    """

    start: np.ndarray
    day: np.ndarray
    user: np.ndarray
    signed_in: np.ndarray
    intent: np.ndarray
    need: np.ndarray
    leave: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows) -> Visitors:
        """Return some of the visits."""
        return replace(self, **{name: values[rows] for name, values in vars(self).items()})


def visitors(truth: Truth, n: int, streams: Streams) -> Visitors:
    """Draw n visits over the whole log."""
    s, rng = truth.settings, streams["visits"]
    user = rng.choice(len(truth.activity), size=n, p=truth.activity / truth.activity.sum())
    day = rng.choice(s.n_days, size=n, p=_daily_visits(s))
    peak = np.array([hour for _, _, hour in SEGMENTS.values()])[truth.segments[user]]
    hour = np.where(rng.random(n) < 0.7, rng.normal(peak, 1.8), rng.uniform(7, 24, n)) % 24
    second_of_day = np.floor(hour * 3600 * 1000) / 1000
    midnight = pd.Timestamp(s.first_day, tz="UTC").value + day * NS_PER_DAY
    intent = _intents(day, s, streams["intents"])
    people = Visitors(
        start=midnight + (second_of_day * 1000).astype(np.int64) * 10**6,
        day=day,
        user=user,
        signed_in=rng.random(n) < s.signed_in,
        intent=intent,
        need=_needs(truth, user, intent, streams["intents"]),
        leave=rng.beta(*s.leave_shape, size=n),
    )
    return people.take(np.argsort(people.start, kind="stable"))


def _daily_visits(s: Settings) -> np.ndarray:
    """Share of the visits on each day: weekends busier, rising towards Christmas, quiet on the days of it."""
    days = pd.date_range(s.first_day, periods=s.n_days, freq="D")
    weekday = np.array([1.0, 0.95, 0.95, 1.0, 1.0, 1.2, 1.35])[days.day_of_week]
    ahead = (pd.Timestamp(days[0].year, 12, 18) - days).days.to_numpy()
    rise = 1 + (s.christmas_visits - 1) * np.exp(-np.maximum(ahead, 0) / 18)
    holiday = np.where((days.month == 12) & np.isin(days.day, (24, 25, 26)), 0.35, 1.0)
    share = weekday * rise * holiday
    return share / share.sum()


def _intents(day: np.ndarray, s: Settings, rng) -> np.ndarray:
    shares = np.tile(s.intents, (s.n_days, 1))
    ahead = (pd.Timestamp(pd.Timestamp(s.first_day).year, 12, 20) - pd.Timestamp(s.first_day)).days
    more = s.gift_rise * np.clip(1 - (ahead - np.arange(s.n_days)) / 35, 0, 1) * (np.arange(s.n_days) <= ahead + 4)
    shares[:, 0] -= more
    shares[:, 1] += more
    return (np.cumsum(shares, axis=1)[day] < rng.random((len(day), 1))).sum(axis=1).clip(max=len(INTENTS) - 1)


def _needs(truth: Truth, user: np.ndarray, intent: np.ndarray, rng) -> np.ndarray:
    """Direction of each visit: one's own taste, somebody else's (gift), a genre (study), one liked book (more)."""
    s, n = truth.settings, len(user)
    taste = truth.user_vectors[user]
    other = truth.user_vectors[rng.integers(len(truth.user_vectors), size=n)]
    genre = _genre_centres(truth)[rng.integers(len(STUDY_GENRES), size=n)]
    liked = _liked_books(truth, user, rng.random(n))
    choices = np.stack([taste, 0.2 * taste + other, 0.2 * taste + 1.2 * genre, 0.5 * taste + truth.item_vectors[liked]])
    noise = unit(rng.normal(size=taste.shape))
    return unit(unit(choices[intent, np.arange(n)]) + s.need_noise * noise)


def _genre_centres(truth: Truth) -> np.ndarray:
    genres = truth.items["genre"].to_numpy()
    return unit(np.stack([truth.item_vectors[genres == g].mean(axis=0) for g in STUDY_GENRES]))


def _liked_books(truth: Truth, user: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Draw one book for each visit with probability by true preference, in blocks of bounded memory."""
    liked = np.empty(len(user), np.int64)
    for rows in np.array_split(np.arange(len(user)), max(1, len(user) // 4096)):
        logits = truth.settings.taste_scale * truth.user_vectors[user[rows]] @ truth.item_vectors.T + truth.quality
        liked[rows] = softmax_draw(logits, uniforms[rows])
    return liked


def softmax_draw(logits: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Draw one column of each row with probability softmax(logits), by inverting the cumulative sum."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.cumsum(weights, axis=1, out=weights)
    return (weights < uniforms[:, None] * weights[:, -1:]).sum(axis=1)
