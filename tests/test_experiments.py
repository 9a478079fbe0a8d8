"""Experiments: assignment, intervals, A/B and A/A tests, true value, attribution, and the planted rankers."""

from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recsys_lab import bookshop, datasets, split
from recsys_lab import experiments as ex
from recsys_lab.cleaning import Cleaning
from recsys_lab.evaluate import evaluate
from recsys_lab.experiments import effects
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import GRU4Rec, ItemKNN, Popularity, SequentialRules

N = 5000


@pytest.fixture(scope="module")
def log():
    return Cleaning(datasets.load("bookshop").events).drop_double_fires().drop_bots().events


@pytest.fixture(scope="module")
def cut(log):
    sessions = Sessions.from_frame(log).only("view").longer_than(1)
    train, test, _ = split.by_time(sessions, test="14D")
    return train, test


@pytest.fixture(scope="module")
def rules(cut):
    return SequentialRules().fit(cut[0])


@pytest.fixture(scope="module")
def worlds(rules, cut):
    policies = {
        "no list": ex.NoList(),
        "basket": ex.BasketList(),
        "viewed": ex.RecentlyViewed(),
        "popular": bookshop.MostPopular(),
        "rules": bookshop.model_policy(rules),
        "seen first": bookshop.model_policy(ex.SeenFirst(rules), exclude_viewed=False),
        "items": bookshop.model_policy(ItemKNN().fit(cut[0])),
    }
    return ex.simulate_worlds(policies, N, seed=41)


def visits_of(worlds, name):
    return worlds.visits.join(worlds.outcomes[name])


def clustered(rng, n_users, mean, within=0.5, visits=4):
    """Sums and visits of users whose visits are alike; `within` is the share of variance between users."""
    m = 1 + rng.poisson(visits - 1, n_users)
    level = mean + rng.normal(0, np.sqrt(within), n_users)
    return m * level + rng.normal(0, np.sqrt((1 - within) * m)), m


# ---- assignment


def test_an_arm_is_what_the_hash_says():
    ids = [7, 12, 99, 123456789, -4]
    for salt in ("", "lists", "b:1"):
        heads = [blake2b(f"{len(salt)}:{salt}{i}".encode(), digest_size=8).digest() for i in ids]
        assert ex.assign(ids, 3, salt).tolist() == [int.from_bytes(h, "big") * 3 // 2**64 for h in heads]


def test_arms_do_not_depend_on_company_order_type_or_repetition():
    ids = np.random.default_rng(0).permutation(2000)
    arms = ex.assign(ids, salt="x")
    again = ex.assign(pd.Series(ids[::-1]).astype("string"), salt="x")[::-1]
    assert (arms == again).all()
    assert ex.assign([5, 5, "5"], salt="x").tolist() == [ex.assign([5], salt="x")[0]] * 3
    assert (ex.assign(pd.Series(ids).astype("Int64"), salt="x") == arms).all()
    assert len(ex.assign([])) == 0


@pytest.mark.parametrize("salt", ["a", "b", "checkout button"])
def test_arms_are_uniform_and_follow_their_shares(salt):
    ids = np.arange(30_000)
    assert stats.chisquare(np.bincount(ex.assign(ids, 5, salt))).pvalue > 0.001
    shares = [0.05, 0.15, 0.8]
    counts = np.bincount(ex.assign(ids, 3, salt, shares))
    assert stats.chisquare(counts, np.array(shares) * len(ids)).pvalue > 0.001
    assert ex.sample_ratio(ex.assign(ids, 3, salt, shares), 3, shares) == pytest.approx(
        stats.chisquare(counts, np.array(shares) * len(ids)).pvalue
    )


def test_salts_are_independent_experiments_even_when_they_look_alike():
    ids = np.arange(20_000)
    arms = [ex.assign(ids, 2, salt) for salt in ("exp1", "exp2", "exp", "1")]
    for first, second in pairwise(arms):
        assert stats.chi2_contingency(pd.crosstab(first, second)).pvalue > 0.001
    # "exp" with id 11 and "exp1" with id 1 are written with the same letters, and still are drawn apart
    long = ex.assign([int(f"1{i}") for i in ids], 2, "exp")
    assert 0.48 < (long == ex.assign(ids, 2, "exp1")).mean() < 0.52


@pytest.mark.parametrize("bad", [[1.0, 2.0], [1, None], [True], pd.Series([1, pd.NA], dtype="Int64"), [[1, 2]]])
def test_no_arm_for_what_is_no_id(bad):
    with pytest.raises(ValueError, match="cookie"):
        ex.assign(bad)


@pytest.mark.parametrize(("n_arms", "shares"), [(1, None), (0, None), (2, [1.0]), (2, [1, 0]), (2, [1, np.nan])])
def test_impossible_shares_are_refused(n_arms, shares):
    with pytest.raises(ValueError, match="arms"):
        ex.assign([1, 2], n_arms, "", shares)


def test_sample_ratio_by_hand_and_with_a_planted_loss():
    assert ex.sample_ratio([0] * 60 + [1] * 40) == pytest.approx(stats.chi2.sf(4.0, 1))  # 10² / 50 twice
    assert ex.sample_ratio([0] * 10, 2, [0.5, 0.5]) == pytest.approx(stats.chi2.sf(10.0, 1))
    arms = ex.assign(np.arange(20_000), salt="loss")
    assert ex.sample_ratio(arms) > 0.001
    kept = (arms == 0) | (np.random.default_rng(0).random(len(arms)) > 0.06)  # the new page crashes for 6 %
    assert ex.sample_ratio(arms[kept]) < 0.001
    with pytest.raises(ValueError, match="arms 0"):
        ex.sample_ratio([0, 1, 2])
    with pytest.raises(ValueError, match="0 units"):
        ex.sample_ratio([])


# ---- effects


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_one_visit_a_unit_is_welchs_test(level):
    rng = np.random.default_rng(1)
    c, t = rng.exponential(1, 40), rng.exponential(1.5, 25)
    found, oracle = ex.effect(c, t, level=level), stats.ttest_ind(t, c, equal_var=False)
    low, high = oracle.confidence_interval(level)
    assert (found.p_value, found.low, found.high) == pytest.approx((oracle.pvalue, low, high))
    assert found.difference == pytest.approx(t.mean() - c.mean())
    assert found.lift == pytest.approx(t.mean() / c.mean() - 1)
    assert (found.n_control, found.n_treatment, found.level) == (40, 25, level)


def test_pairs_are_the_t_test_of_differences():
    rng = np.random.default_rng(2)
    c = rng.exponential(1, 60)
    t = c + rng.normal(0.1, 0.2, 60)
    found, oracle = ex.paired_effect(c, t), stats.ttest_rel(t, c)
    assert (found.p_value, found.low) == pytest.approx((oracle.pvalue, oracle.confidence_interval().low))
    assert found.standard_error < ex.effect(c, t).standard_error / 3


def test_a_lift_by_hand():
    # means 2 and 3; variances of the means 1/3 and 1/3: Var lift = (1/3) / 4 + 9 (1/3) / 16
    found = ex.effect([1, 2, 3], [2, 3, 4])
    reach = stats.t.ppf(0.975, 4) * np.sqrt((1 / 3) / 4 + 9 / 3 / 16)
    assert (found.lift, found.lift_low, found.lift_high) == pytest.approx((0.5, 0.5 - reach, 0.5 + reach))


def test_visits_as_weights_by_hand_and_against_a_bootstrap():
    rng = np.random.default_rng(3)
    y, m = clustered(rng, 400, 2.0)
    mean, low, high = effects.interval(effects.of_units(y, m).sum(axis=0))
    assert mean == pytest.approx(y.sum() / m.sum())
    draws = rng.integers(400, size=(2000, 400))
    spread = (y[draws].sum(axis=1) / m[draws].sum(axis=1)).std()
    assert (high - low) / 2 / stats.t.ppf(0.975, 399) == pytest.approx(spread, rel=0.06)
    # what each unit did, doubled by doubling its visits, changes nothing
    twice = ex.effect(2 * y, 2 * y + m, 2 * m, 2 * m)
    once = ex.effect(y, y + m / 2, m, m)
    assert (once.difference, once.p_value) == pytest.approx((0.5, twice.p_value))


@pytest.mark.parametrize("pairs", [False, True])
def test_intervals_cover_what_they_promise(pairs):
    rng, hits = np.random.default_rng(4), np.zeros(2)
    for _ in range(600):
        c, m = clustered(rng, 150, 2.0)
        if pairs:
            found = ex.paired_effect(c, 1.1 * c + rng.normal(0, 1, 150), m)
        else:
            t, n = clustered(rng, 120, 2.2)
            found = ex.effect(c, t, m, n)
        hits += [found.low < 0.2 < found.high, found.lift_low < 0.1 < found.lift_high]
    assert (hits / 600 > 0.925).all()
    assert (hits / 600 < 0.975).all()


def test_sample_size_and_detectable_difference_keep_their_promise():
    n = ex.sample_size(sd=1.0, difference=0.25, power=0.8)
    assert n == 252  # 2 (1.960 + 0.842)² / 0.0625 = 251.2
    rng = np.random.default_rng(5)
    found = [ex.effect(rng.normal(0, 1, n), rng.normal(0.25, 1, n)) for _ in range(600)]
    assert np.mean([f.clear for f in found]) == pytest.approx(0.8, abs=0.05)
    assert np.mean([f.detectable() for f in found]) == pytest.approx(0.25, rel=0.02)
    with pytest.raises(ValueError, match="not 0"):
        ex.sample_size(1.0, 0.0)
    with pytest.raises(ValueError, match="power"):
        ex.sample_size(1.0, 1.0, power=80)


def test_effects_of_nothing_and_bad_input():
    still = ex.effect([1, 1], [1, 1])
    assert still.difference == 0
    assert np.isnan([still.p_value, still.low]).all()
    assert not still.clear
    assert np.isnan(ex.effect([0, 0, 0], [0, 1, 0]).lift)
    with pytest.raises(ValueError, match="two units"):
        ex.effect([1], [1, 2])
    with pytest.raises(ValueError, match="same units"):
        ex.paired_effect([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="finite"):
        ex.effect([1, np.nan], [1, 2])
    with pytest.raises(ValueError, match="level"):
        ex.effect([1, 2], [1, 2], level=95)


# ---- worlds and A/B tests


def test_picking_from_worlds_is_what_a_shop_with_two_arms_would_see(worlds, rules):
    """One simulation whose policy looks up each visitor's arm gives the very same tables."""
    two = ex.Worlds(worlds.visits, {name: worlds.outcomes[name] for name in ("popular", "rules")})
    result = ex.ab_test(two, salt="mixed")
    arms = ex.assign(worlds.visits["user_id"], salt="mixed")
    popular, follows = bookshop.MostPopular(), bookshop.model_policy(rules)

    def both(context):
        treated = arms[context.session_ids - 1, None] == 1
        return np.where(treated, follows(context), popular(context))

    mixed = bookshop.simulate(both, N, seed=41)
    for metric in ("clicks", "views", "carts", "purchases", "revenue", "returned"):
        assert (mixed.sessions[metric].to_numpy() == result.visits[metric].to_numpy()).all()


def test_true_value_is_the_mean_difference_on_the_same_visits(worlds):
    table = ex.true_value(worlds, "revenue", control="popular")
    plain = worlds.outcomes["rules"]["revenue"] - worlds.outcomes["popular"]["revenue"]
    assert table.loc["rules", "difference"] == pytest.approx(plain.mean())
    assert table.loc["rules", "low"] < plain.mean() < table.loc["rules", "high"]
    assert table.loc["popular", ["difference", "low", "high"]].tolist() == [0, 0, 0]
    net = worlds.outcomes["rules"][["revenue", "returned", "net"]]
    assert (net["net"] == net["revenue"] - net["returned"]).all()


def test_true_value_holds_for_other_visitors(worlds, rules):
    policies = {"popular": bookshop.MostPopular(), "rules": bookshop.model_policy(rules)}
    fresh = ex.simulate_worlds(policies, 3000, seed=42)
    first, second = (w.effect("clicks", "rules", "popular") for w in (worlds, fresh))
    apart = np.hypot(first.standard_error, second.standard_error)
    assert abs(first.difference - second.difference) < 4 * apart


def test_pairs_are_far_tighter_than_the_ab_test(worlds):
    two = ex.Worlds(worlds.visits, {name: worlds.outcomes[name] for name in ("items", "rules")})
    seen, true = ex.ab_test(two), two.effect("purchases", "rules")
    assert seen.effect("purchases").standard_error > 2.5 * true.standard_error


def test_an_ab_test_finds_the_truth_as_often_as_it_promises(worlds):
    two = ex.Worlds(worlds.visits, {name: worlds.outcomes[name] for name in ("popular", "rules")})
    true = two.effect("clicks", "rules").difference
    found = [ex.ab_test(two, salt=str(i)).effect("clicks") for i in range(60)]
    assert np.mean([f.low < true < f.high for f in found]) > 0.88
    assert np.mean([f.difference for f in found]) == pytest.approx(true, abs=4 * found[0].standard_error / 60**0.5)


def test_the_result_says_what_it_saw(worlds):
    result = ex.ab_test(worlds, shares=[2, 1, 1, 1, 1, 1, 1])
    means = result.means("clicks")
    assert means["visits"].sum() == N
    assert means["units"].sum() == worlds.visits["user_id"].nunique()
    assert (means["low"] < means["mean"]).iloc[1:].all()  # nobody clicks where there is no list
    one = result.visits[result.visits["arm"] == "rules"]
    assert means.loc["rules", "mean"] == pytest.approx(one["clicks"].mean())
    assert result.effect("clicks", "rules").treatment == pytest.approx(one["clicks"].mean())
    table = result.effects(("clicks", "net"), "rules")
    assert table.loc["clicks", "difference"] == pytest.approx(result.effect("clicks", "rules").difference)
    assert result.valid
    assert "sample ratio" in repr(result)
    assert result.visits.groupby("user_id")["arm"].nunique().max() == 1
    void = replace(result, sample_ratio_p=1e-9)
    assert not void.valid
    assert "VOID" in repr(void)
    with pytest.raises(KeyError, match="no outcome"):
        result.effect("happiness")
    two = means.loc[["no list", "rules"], "visits"].sum()
    least = result.effect("clicks", "rules").detectable()
    assert result.needed("clicks", least, "rules") in (two, two + 1)
    assert result.needed("clicks", least / 3, "rules") == pytest.approx(9 * two, rel=1e-3)
    with pytest.raises(ValueError, match="difference of 0"):
        result.needed("clicks", 0.0)


def test_the_sample_ratio_counts_what_was_assigned(worlds):
    """Visits of one user come together, so a test on visits would ring without cause."""
    two = ex.Worlds(worlds.visits, {name: worlds.outcomes[name] for name in ("popular", "rules")})
    users = worlds.visits["user_id"].unique()
    rings = np.zeros(2)
    for number in range(80):
        result = ex.ab_test(two, salt=f"ratio {number}")
        assert result.sample_ratio_p == pytest.approx(ex.sample_ratio(ex.assign(users, salt=f"ratio {number}")))
        by_visit = ex.sample_ratio((result.visits["arm"] == "rules").to_numpy())
        rings += [result.sample_ratio_p < 0.05, by_visit < 0.05]
    assert rings[0] < 12
    assert rings[1] > 16


def test_units_of_assignment_and_analysis(worlds):
    by_session = ex.ab_test(worlds, assign_by="session")
    assert by_session.visits.groupby("user_id")["arm"].nunique().max() > 1
    narrow = ex.ab_test(worlds, analyse_by="session")
    assert not narrow.valid
    assert "too much" in repr(narrow)
    with pytest.raises(ValueError, match="both arms"):
        ex.ab_test(worlds, assign_by="session", analyse_by="user")
    with pytest.raises(ValueError, match="choose 'user'"):
        ex.ab_test(worlds, assign_by="page")
    with pytest.raises(ValueError, match="two policies"):
        ex.ab_test({"one": bookshop.MostPopular()}, 10)
    with pytest.raises(ValueError, match="mapping"):
        ex.simulate_worlds([bookshop.MostPopular()], 10)
    with pytest.raises(KeyError, match="no policy 'x'"):
        worlds.effect("clicks", "x")


# ---- A/A tests


def test_one_deal_of_an_aa_test_is_the_effect_of_its_arms(worlds):
    visits = visits_of(worlds, "rules")
    p = ex.aa_test(visits, "clicks", n_experiments=3, seed=7).p_values
    user = pd.factorize(visits["user_id"])[0]
    sums, sizes = np.bincount(user, visits["clicks"]), np.bincount(user)
    arms = np.random.default_rng(7).random((3, len(sums)), dtype=np.float32) < 0.5
    for value, arm in zip(p, arms, strict=True):
        found = ex.effect(sums[~arm], sums[arm], sizes[~arm], sizes[arm])
        assert value == pytest.approx(found.p_value)


@pytest.mark.parametrize("unit", ["user", "session"])
@pytest.mark.parametrize("metric", ["clicks", "revenue"])
def test_right_units_give_uniform_p_values(worlds, unit, metric):
    found = ex.aa_test(visits_of(worlds, "rules"), metric, 1000, seed=1, assign_by=unit)
    assert 0.03 < found.false_positives()["rate"] < 0.075
    assert found.uniform_p > 0.001


def test_visits_of_one_user_are_not_independent():
    """Popular books please some users in every visit and others in none; here users come often."""
    shop = bookshop.build(bookshop.catalogue(), bookshop.Settings(n_users=500))
    visits = bookshop.simulate(bookshop.MostPopular(), 5000, seed=6, truth=shop)
    right, wrong = (ex.aa_test(visits, "clicks", 2000, seed=1, analyse_by=unit) for unit in ("user", "session"))
    assert right.false_positives()["high"] < 0.075
    assert wrong.false_positives()["low"] > 0.12
    assert wrong.uniform_p < 0.001
    assert "analysed by session" in repr(wrong)


def test_false_positives_of_wrong_units_are_those_of_the_formula():
    """Four equal visits a user: the standard error is half of what it should be, z = 0.98 passes for 1.96."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(400), 4)
    visits = pd.DataFrame({"user_id": user, "session_id": np.arange(1600), "y": rng.normal(size=400)[user]})
    rate = ex.aa_test(visits, "y", 2000, analyse_by="session").false_positives()
    assert rate["low"] < 2 * stats.norm.sf(1.96 / 2) < rate["high"]


def test_looking_every_day_finds_what_is_not_there(worlds):
    table = ex.peeking(visits_of(worlds, "rules"), "purchases", every=7, n_experiments=600)
    assert table["day"].tolist() == [*range(7, 85, 7)]
    assert table["now"].iloc[-1] < 0.08
    assert table["ever"].iloc[-1] > 0.15
    assert table["ever"].is_monotonic_increasing
    assert table["guarded"].iloc[-1] < 0.05
    often = ex.peeking(visits_of(worlds, "rules"), "purchases", every=1, n_experiments=600)
    assert often["ever"].iloc[-1] > table["ever"].iloc[-1] + 0.05
    once = ex.peeking(visits_of(worlds, "rules"), "purchases", every=84, n_experiments=600)
    assert once["ever"].tolist() == once["now"].tolist() == once["guarded"].tolist()
    # everybody's p-value at the end is that of the whole test
    assert once["now"].iloc[0] == pytest.approx(table["now"].iloc[-1])


def test_power_by_simulation_agrees_with_the_formula(worlds):
    found = ex.power(worlds, "seen first", "clicks", "rules", n_experiments=800)
    true = worlds.effect("clicks", "seen first", "rules").difference
    z = abs(true) / found["standard_error"]
    assert found["right"] == pytest.approx(stats.norm.sf(1.96 - z), abs=0.08)
    assert found["wrong"] < 0.02
    assert ex.power(worlds, "rules", "clicks", "no list", n_experiments=100)["right"] == 1
    with pytest.raises(ValueError, match="experiments"):
        ex.power(worlds, "rules", n_experiments=0)
    with pytest.raises(ValueError, match="every=0"):
        ex.peeking(visits_of(worlds, "rules"), every=0)
    with pytest.raises(KeyError, match="no outcome 'x'"):
        ex.aa_test(visits_of(worlds, "rules"), "x")


# ---- attribution


def hand_made():
    """Visit 1 buys 10 (clicked in a list), 11 (shown only) and 12 (shown after it was bought); visit 2 buys 10."""
    at = pd.Timestamp("2026-01-05", tz="UTC") + pd.to_timedelta([0, 1, 2, 3, 4, 5], unit="min")
    events = pd.DataFrame(
        {
            "session_id": [1, 1, 1, 2, 2],
            "item_id": [10, 11, 12, 10, 10],
            "event": ["purchase", "purchase", "purchase", "view", "purchase"],
            "timestamp": at[[3, 3, 3, 0, 3]],
            "price": [5.0, 10.0, 15.0, np.nan, 20.0],
        }
    )
    lists = pd.DataFrame(
        {
            "session_id": [1, 1, 1, 2],
            "item_id": [10, 11, 12, 99],
            "clicked": [True, False, True, False],
            "timestamp": at[[1, 1, 4, 1]],
        }
    )
    return bookshop.Simulation(events, lists, pd.DataFrame({"session_id": [1, 2, 3]}))


def test_attribution_by_hand():
    sales = ex.attributed(hand_made())
    assert sales["shown"].tolist() == [True, True, False, False]
    assert sales["clicked"].tolist() == [True, False, False, False]
    assert sales["visit"].tolist() == [True, True, True, False]
    table = ex.attribution(hand_made())
    assert table["purchases"].tolist() == [0.5, 0.25, 0.75]
    assert table["revenue"].tolist() == pytest.approx([15 / 50, 5 / 50, 30 / 50])
    assert (table["low"] <= table["purchases"]).all()
    none = replace(hand_made(), events=hand_made().events.query("event == 'view'"))
    with pytest.raises(ValueError, match="bought"):
        ex.attribution(none)


def test_claims_agree_between_the_log_and_the_worlds(worlds):
    simulation = bookshop.simulate(ex.BasketList(), N, seed=41)
    outcome = worlds.outcomes["basket"]
    shares = outcome[list(ex.RULES)].sum() / outcome["purchases"].sum()
    table = ex.attribution(simulation)
    assert table["purchases"].tolist() == pytest.approx(shares.tolist())
    assert ((table["low"] < shares) | (shares == 1)).all()


def test_a_list_that_nobody_clicks_claims_nothing(worlds):
    outcome = worlds.outcomes["no list"]
    assert outcome["clicks"].mean() < 0.005
    assert outcome["visit"].sum() < 0.005 * outcome["purchases"].sum()


@pytest.mark.parametrize(("name", "gains"), [("basket", False), ("viewed", True)])
def test_a_null_recommender_claims_sales_that_it_did_not_make(worlds, name, gains):
    outcome = worlds.outcomes[name]
    claimed = outcome[["shown", "visit"]].sum() / outcome["purchases"].sum()
    made = worlds.incremental(name, "no list")
    assert claimed["shown"] > 0.99
    assert claimed["visit"] > 0.3
    assert made["high"] < 0.1
    assert (made["share"] > 0) == gains


def test_the_share_made_is_one_minus_the_ratio(worlds):
    made = worlds.incremental("rules", "no list", "revenue")
    means = [worlds.outcomes[name]["revenue"].mean() for name in ("no list", "rules")]
    assert made["share"] == pytest.approx(1 - means[0] / means[1])
    assert made["low"] < made["share"] < made["high"]
    assert made["low"] > 0.4


# ---- rankers


def test_seen_books_come_first_the_latest_in_front(rules):
    sessions = Sessions.from_lists([[10, 11, 10, 12, 99_999]], None)
    scores = ex.SeenFirst(rules).score(sessions)
    code = rules.vocabulary_.encode([10, 11, 12])
    for row, best in ((0, [0]), (1, [1, 0]), (2, [0, 1]), (3, [2, 0, 1]), (4, [2, 0, 1])):
        listed = np.argsort(-scores[row], kind="stable")[: len(best)]
        assert listed.tolist() == code[best].tolist()
    others = np.delete(np.arange(scores.shape[1]), code)
    assert (scores[3, others] == rules.score(sessions)[3, others]).all()


def test_recall_and_truth_disagree_about_seen_books(worlds, rules, cut):
    """A return to a page needs no list: what wins on the log costs clicks and sales in the shop."""
    plain, seen = (evaluate(model, cut[1], lists=False) for model in (rules, ex.SeenFirst(rules)))
    items = evaluate(ItemKNN().fit(cut[0]), cut[1], lists=False)
    assert seen.compare(plain, "recall").low > 0
    assert seen.recall > items.recall + 0.1
    assert worlds.effect("clicks", "seen first", "rules").high < 0
    assert worlds.effect("purchases", "seen first", "rules").high < 0
    assert worlds.effect("clicks", "seen first", "items").high < 0


def test_the_shops_rules_score_as_the_logging_policy_does(cut):
    model, shop = ex.ShopRules(), bookshop.truth()
    compared = []

    def spy(context):
        scores = bookshop.logging_policy()(context)
        begun = np.flatnonzero((context.lengths > 0) & (context.days > 40))
        mine = model.score(context.sessions, context.sessions.offsets[1:][begun] - 1)
        new = context.times[begun, None] - pd.DatetimeIndex(shop.items["stocked_since"]).as_unit("ns").asi8
        old = ~context.viewed[begun] & (new >= 14 * 86_400 * 10**9)
        compared.extend(np.abs(mine - scores[begun])[old])
        return scores

    bookshop.simulate(spy, 200, seed=1)
    assert len(compared) > 10_000
    assert max(compared) < 1e-5
    rules = evaluate(SequentialRules().fit(cut[0]), cut[1], lists=False)
    # the log flatters the policy that wrote it
    assert evaluate(model, cut[1], lists=False).compare(rules, "recall").low > 0


def test_value_moves_scores_by_logarithms(cut):
    model = Popularity().fit(cut[0])
    value = np.linspace(-1, 1, len(model.vocabulary_)).astype(np.float32)
    sessions = cut[1].part(0, 3)
    moved = ex.ByValue(model, value).score(sessions) - model.score(sessions)
    assert np.allclose(moved, value, atol=1e-3)
    assert np.allclose(ex.ByValue(model, value).popularity_, model.popularity_ * np.exp(value))
    for bad in (value[1:], np.full_like(value, -np.inf)):
        with pytest.raises(ValueError, match="finite number"):
            ex.ByValue(model, bad)


def test_cart_rates_order_items_and_shrink_the_rare(log):
    vocabulary = Vocabulary(np.unique(log["item_id"]))
    rates = ex.cart_rates(log, vocabulary)
    item = vocabulary.encode(log["item_id"])
    views, carts = (np.bincount(item[log["event"] == e], minlength=len(rates)) for e in ("view", "cart"))
    total = carts.sum() / views.sum()
    rare, often = views < 15, views > 150
    assert ((rates > 0) & (rates < 1)).all()
    raw = carts / np.maximum(views, 1)
    assert np.abs(rates[often] - raw[often]).max() < 0.04
    assert rates[rare].std() < raw[rare].std() / 1.5
    assert rates.mean() == pytest.approx(total, rel=0.35)


@pytest.fixture(scope="module")
def rankers(log, cut):
    settings = {"layers": [64], "n_sample": 256, "dropout_p_embed": 0.0, "dropout_p_hidden": 0.4, "n_epochs": 6}
    model = GRU4Rec(**settings).fit(cut[0])
    books = bookshop.truth().items.set_index("item_id")
    price = np.log(books["price"].reindex(model.vocabulary_.ids).to_numpy())
    before = pd.to_datetime(cut[0].times.max(), unit="ns", utc=True)
    rate = np.log(ex.cart_rates(log[log["timestamp"] <= before], model.vocabulary_))
    values = {"times price": price, "sales": 2 * rate, "revenue": 2 * rate + price}
    return {"clicks": model} | {name: ex.ByValue(model, value) for name, value in values.items()}


def test_clicks_and_sales_have_different_winners_and_dear_books_none(rankers):
    chosen = {name: bookshop.model_policy(rankers[name]) for name in ("clicks", "times price", "sales")}
    worlds = ex.simulate_worlds(chosen, 8000, seed=2002)
    assert worlds.effect("clicks", "sales").high < 0
    assert worlds.effect("purchases", "sales", "times price").low > 0
    assert worlds.effect("purchases", "times price").high < 0


@pytest.mark.full
def test_clicks_sales_and_revenue_have_three_winners(rankers):
    policies = {name: bookshop.model_policy(ranker) for name, ranker in rankers.items()}
    tables = [ex.simulate_worlds(policies, 20_000, seed) for seed in (2001, 2002, 2003)]
    for metric, best in (("clicks", "clicks"), ("purchases", "sales"), ("revenue", "revenue"), ("net", "revenue")):
        means = sum(ex.true_value(worlds, metric)["mean"] for worlds in tables)
        assert means.idxmax() == best
    for worlds in tables:
        assert worlds.effect("clicks", "sales").high < 0
        assert worlds.effect("purchases", "sales").low > 0
        assert worlds.effect("revenue", "times price").low < 0
