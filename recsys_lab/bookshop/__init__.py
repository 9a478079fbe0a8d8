"""A simulated online bookshop: real books, invented prices, visitors whose true preferences are known.

Everything that comes out of here is SIMULATED. Real logs do not say what people would have liked, why they came, or
what would have happened under another recommender; this shop does, and so estimates can be held against the truth.

    >>> from recsys_lab import bookshop
    >>> sorted(bookshop.load())                     # the shipped log, as a shop would have it
    ['events', 'impressions', 'items', 'users']
    >>> truth = bookshop.truth()                    # what nobody knows in a real shop
    >>> truth.preference([1, 2]).shape == (2, truth.n_items)
    True
    >>> result = bookshop.simulate(bookshop.MostPopular(), n_sessions=50, seed=0)
    >>> list(result.value.index)
    ['clicks', 'views', 'carts', 'purchases', 'revenue', 'returned']

The modules, in the order in which to read them: `settings` (all numbers), `hidden` and `world` (tastes, books,
complements), `visitors` (who comes and why), `slates` (lists with exact propensities), `policies`, `engine` (what
visitors do), `simulation`, `defects`, `files`, `making`. ``python -m recsys_lab.bookshop`` makes the shipped files
again.
"""

from recsys_lab.bookshop.files import catalogue, data_folder, load, truth
from recsys_lab.bookshop.hidden import Truth
from recsys_lab.bookshop.policies import (
    Context,
    LoggingPolicy,
    MostPopular,
    Oracle,
    Uniform,
    logging_policy,
    model_policy,
)
from recsys_lab.bookshop.settings import INTENTS, SEGMENTS, Settings
from recsys_lab.bookshop.simulation import Simulation, simulate
from recsys_lab.bookshop.world import build

__all__ = [
    "INTENTS",
    "SEGMENTS",
    "Context",
    "LoggingPolicy",
    "MostPopular",
    "Oracle",
    "Settings",
    "Simulation",
    "Truth",
    "Uniform",
    "build",
    "catalogue",
    "data_folder",
    "load",
    "logging_policy",
    "model_policy",
    "simulate",
    "truth",
]
