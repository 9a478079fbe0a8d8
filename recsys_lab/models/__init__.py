"""Recommenders under one contract: `fit(sessions)`, `score(sessions)`, `recommend(session, k)`.

Names are looked up when they are first used, so that importing the package stays quick.
"""

from importlib import import_module

_HOME = {
    "Recommender": "base",
    "Popularity": "popularity",
    "SessionPopularity": "popularity",
    "RecentPopularity": "popularity",
    "BetaPopularity": "popularity",
    "AssociationRules": "item_to_item",
    "SequentialRules": "item_to_item",
    "ItemKNN": "item_to_item",
    "FrequentlyBoughtTogether": "item_to_item",
    "SessionKNN": "session_knn",
    "ALS": "factorisation",
    "BPR": "factorisation",
    "GRU4Rec": "gru4rec",
    "PlainGRU4Rec": "gru4rec_plain",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"recsys_lab.models.{_HOME[name]}"), name)
    raise AttributeError(f"recsys_lab.models has no {name!r}; it has {', '.join(_HOME)}.")


def __dir__() -> list[str]:
    return sorted(_HOME)
