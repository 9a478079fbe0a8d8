"""Offline against online: experiments in the simulated shop, where what they should have found is known.

Read in this order: `assignment` (who is in which arm), `effects` (differences and lifts with intervals), `worlds` (the
same visitors under every policy: true value), `ab` (a test that sees each visitor once), `aa` (what tests say when
nothing differs), `attribution` (what a recommender may claim), `nulls` (recommenders that recommend nothing), `rankers`
(rankers that offline numbers flatter, and rankers by value).
"""

from recsys_lab.experiments.aa import AAResult, aa_test, peeking, power
from recsys_lab.experiments.ab import ABResult, ab_test
from recsys_lab.experiments.assignment import assign, sample_ratio
from recsys_lab.experiments.attribution import RULES, attributed, attribution
from recsys_lab.experiments.effects import Effect, effect, paired_effect, sample_size
from recsys_lab.experiments.nulls import BasketList, NoList, RecentlyViewed
from recsys_lab.experiments.rankers import ByValue, SeenFirst, ShopRules, cart_rates
from recsys_lab.experiments.worlds import OUTCOMES, Worlds, simulate_worlds, true_value, visit_outcomes

__all__ = [
    "OUTCOMES",
    "RULES",
    "AAResult",
    "ABResult",
    "BasketList",
    "ByValue",
    "Effect",
    "NoList",
    "RecentlyViewed",
    "SeenFirst",
    "ShopRules",
    "Worlds",
    "aa_test",
    "ab_test",
    "assign",
    "attributed",
    "attribution",
    "cart_rates",
    "effect",
    "paired_effect",
    "peeking",
    "power",
    "sample_ratio",
    "sample_size",
    "simulate_worlds",
    "true_value",
    "visit_outcomes",
]
