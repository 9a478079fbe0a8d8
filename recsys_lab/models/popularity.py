"""Popularity in all its forms: what everybody clicks, what this session clicked, what is clicked of late, and rates.

`Popularity` and `SessionPopularity` are the two baselines that nobody may skip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recsys_lab import rates
from recsys_lab.histories import user_items
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models.base import Recommender


class Popularity(Recommender):
    """The most clicked items, the same list for everybody.

    ``score(i) = number of training clicks on i``
    """

    def _fit(self, sessions: Sessions, impressions) -> None:
        pass  # popularity_ is all there is to know

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        return np.tile(self._popular(), (len(rows), 1))


class SessionPopularity(Recommender):
    """What this session saw, most frequent first; equally frequent items by their popularity in training.

    ``score(i | session) = clicks on i in the session so far + popularity(i) / (highest popularity + 1)``

    Items that the session has not seen are never listed, so lists are short. People return to what they looked at: on
    logs of shops this beats popularity by far, and now and then a neural network.
    """

    def _fit(self, sessions: Sessions, impressions) -> None:
        self.tie_break_ = (self.popularity_ / (self.popularity_.max() + 1)).astype(np.float32)

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        row, clicks = sessions.prefixes(rows)
        items = sessions.items[clicks]
        scores = np.full((len(rows), sessions.n_items), -np.inf, np.float32)
        scores[row, items] = self.tie_break_[items]
        np.add.at(scores, (row, items), np.float32(1))
        return scores


class RecentPopularity(Popularity):
    """What has been clicked most of late; an old click counts less, or not at all.

    ``score(i) = sum over training clicks on i within the window of 0.5^(age / half_life)``, where the age of a click
    is counted back from the last click of the training. Without a half-life every click in the window counts 1.

    Parameters
    ----------
    half_life : str or None
        After which time a click counts half, such as "7D" or "36h"; None for no decay.
    window : str or None
        Older clicks count nothing; None for no limit. Items without a click in the window are never listed.

    Attributes
    ----------
    recent_ : ndarray of float32, shape (n_items,)
        The scores. `popularity_` still holds all clicks.
    """

    floor = 0.0

    def __init__(self, half_life: str | None = "7D", window: str | None = None):
        self.half_life = half_life
        self.window = window

    def _fit(self, sessions: Sessions, impressions) -> None:
        half_life, window = _span("half_life", self.half_life), _span("window", self.window)
        if half_life is None and window is None:
            raise ValueError("RecentPopularity needs half_life='7D' or window='30D' (or both). Without: Popularity().")
        if not sessions.has_time:
            raise ValueError(
                "RecentPopularity.fit: this log has no times, so nothing in it is recent. Fix: build the sessions from "
                "a frame with a column 'timestamp'; where the log has none, take Popularity()."
            )
        age = (sessions.times.max() - sessions.times).astype(np.float64)
        weight = np.ones(sessions.n_clicks) if half_life is None else 0.5 ** (age / half_life)
        if window is not None:
            weight[age > window] = 0
        self.recent_ = np.bincount(sessions.items, weight, sessions.n_items).astype(np.float32)

    def _popular(self) -> np.ndarray:
        return self.recent_


class BetaPopularity(Popularity):
    """Items by a rate that is not fooled by few trials (`recsys_lab.rates`).

    With impressions a trial is an item shown and a success an item clicked. They have to be those of the training
    time. Without them a trial is a session and a success a session in which the item occurs; then all items have as
    many trials, and mean and lower bound rank them as the number of their sessions does.

    Parameters
    ----------
    by : {"mean", "lower_bound", "thompson"}
        What is ranked: the posterior mean; the rate that is exceeded with probability `level`; or one draw from every
        posterior, which is the list of one round: fit with another seed for the next one.
    prior : {"likelihood", "moments"} or pair of float
        How the prior is fitted to the catalogue, or its (a, b). The likelihood has a weak hyperprior, so it gives a
        prior for any catalogue; moments refuse one whose rates spread no more than chance makes them.
    level : float
        For the lower bound.
    seed : int
        For the draw.

    Attributes
    ----------
    successes_, trials_ : ndarray of int64, shape (n_items,)
    prior_ : ndarray of float64, shape (2,)
        a and b.
    rate_ : ndarray of float32, shape (n_items,)
        The scores.

    Notes
    -----
    What stands on top of a list is clicked more, whatever it is. Rates from impressions take no account of places, so
    they are fair where places were mixed, not where an item always stood first.
    """

    def __init__(self, by: str = "mean", prior="likelihood", level: float = 0.95, seed: int = 0):
        self.by = by
        self.prior = prior
        self.level = level
        self.seed = seed

    def _fit(self, sessions: Sessions, impressions) -> None:
        if self.by not in ("mean", "lower_bound", "thompson"):
            raise ValueError(f"by={self.by!r}: choose 'mean', 'lower_bound' or 'thompson'.")
        seen = _by_session(sessions) if impressions is None else _by_impression(impressions, sessions.vocabulary)
        self.successes_, self.trials_ = seen
        prior = self._fit_prior()
        self.prior_ = np.array(prior)
        if self.by == "mean":
            rate = rates.posterior_mean(*seen, prior)
        elif self.by == "lower_bound":
            rate = rates.lower_bound(*seen, prior, self.level)
        else:
            rate = rates.thompson(*seen, prior, np.random.default_rng(self.seed))
        self.rate_ = rate.astype(np.float32)

    @classmethod
    def load(cls, path: str | Path):
        """Read a model that `save` wrote (see `Recommender.load`)."""
        model = super().load(path)
        if isinstance(model.prior, list):
            model.prior = tuple(model.prior)  # JSON knows no tuples
        return model

    def _fit_prior(self) -> rates.BetaPrior:
        if not isinstance(self.prior, str):
            return rates.checked_prior(self.prior)
        if self.prior == "likelihood":
            return rates.fit_likelihood(self.successes_, self.trials_, hyperprior=True)
        if self.prior == "moments":
            return rates.fit_moments(self.successes_, self.trials_)
        raise ValueError(f"prior={self.prior!r}: choose 'likelihood', 'moments' or a pair (a, b).")

    def _popular(self) -> np.ndarray:
        return self.rate_


def _span(name: str, text: str | None) -> float | None:
    """Nanoseconds of a time span."""
    if text is None:
        return None
    try:
        if not isinstance(text, str):
            raise ValueError("not a text")
        span = pd.Timedelta(text)
        if not span > pd.Timedelta(0):
            raise ValueError("not a positive time")
    except ValueError as error:
        fix = "Fix: a text such as '7D' or '36h', or None."
        raise ValueError(f"{name}={text!r} is no time span ({error}). {fix}") from None
    return float(span.as_unit("ns").value)


def _by_session(sessions: Sessions) -> tuple[np.ndarray, np.ndarray]:
    """In how many sessions each item occurs, and how many there are."""
    successes = np.bincount(user_items(sessions).indices, minlength=sessions.n_items)
    return successes, np.full(sessions.n_items, (sessions.lengths > 0).sum(), np.int64)


def _by_impression(impressions: pd.DataFrame, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """How often each item was clicked where it was shown, and how often it was shown."""
    if not isinstance(impressions, pd.DataFrame):
        raise TypeError(f"impressions are {type(impressions).__name__}, not a DataFrame with item_id and clicked.")
    for column in ("item_id", "clicked"):
        if column not in impressions:
            raise ValueError(
                f"impressions have no column {column!r}. Fix: one row an item shown, with item_id, clicked."
            )
        missing = int(impressions[column].isna().sum())
        if missing:
            raise ValueError(f"impressions: column {column!r} is missing in {missing} rows. Fix: drop or fill them.")
    clicked = impressions["clicked"].to_numpy()
    if not np.isin(clicked, (0, 1)).all():
        wrong = clicked[~np.isin(clicked, (0, 1))][0]
        raise ValueError(f"impressions: 'clicked' has {wrong!r}; True or False (or 1 and 0) is needed in every row.")
    item = vocabulary.encode(impressions["item_id"])
    known = item >= 0
    if not known.any():
        raise ValueError("impressions show no item that occurs in the sessions. Fix: are the ids of the same kind?")
    shown = np.bincount(item[known], minlength=len(vocabulary))
    clicks = np.bincount(item[known], clicked[known].astype(np.float64), len(vocabulary))
    return clicks.astype(np.int64), shown
