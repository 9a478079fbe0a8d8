"""Popularity of late and popularity as a rate: by hand, against plain pandas, and errors in words."""

import numpy as np
import pandas as pd
import pytest

from recsys_lab import rates
from recsys_lab.interactions import Sessions
from recsys_lab.models import BetaPopularity, Popularity, RecentPopularity

DAY = pd.Timedelta("1D")
END = pd.Timestamp("2026-03-31 12:00", tz="UTC")


def log(*rows) -> Sessions:
    """Sessions from (session, item, days before the end)."""
    frame = pd.DataFrame(rows, columns=["session_id", "item_id", "age"])
    frame["timestamp"], frame["event"] = END - frame.pop("age") * DAY, "view"
    frame["event_id"] = range(len(frame))
    return Sessions.from_frame(frame)


SMALL = log((1, "a", 14), (1, "a", 14), (1, "b", 7), (2, "a", 7), (3, "c", 0))


def scores(model) -> dict:
    row = model.score(Sessions.from_lists([["b"]], model.vocabulary_))[-1]
    return dict(zip(model.vocabulary_.ids, row.tolist(), strict=True))


def test_decay_by_hand():
    """14 days are two half-lives: 1/4 each; 7 days one: 1/2."""
    model = RecentPopularity(half_life="7D").fit(SMALL)
    assert scores(model) == {"a": 1.0, "b": 0.5, "c": 1.0}
    assert model.popularity_.tolist() == [3, 1, 1]  # all clicks, as with every model


def test_window_by_hand():
    """A click just as old as the window is in it."""
    assert scores(RecentPopularity(None, "7D").fit(SMALL)) == {"a": 1, "b": 1, "c": 1}
    assert scores(RecentPopularity(None, "6D").fit(SMALL)) == {"a": 0, "b": 0, "c": 1}
    assert scores(RecentPopularity("7D", "10D").fit(SMALL)) == {"a": 0.5, "b": 0.5, "c": 1}
    assert RecentPopularity(None, "6D").fit(SMALL).recommend(["a"]).tolist() == ["c"]
    assert RecentPopularity(None, "6D").fit(SMALL).recommend([]).tolist() == ["c"]


def test_a_long_half_life_or_window_is_plain_popularity():
    plain = scores(Popularity().fit(SMALL))
    assert scores(RecentPopularity(None, "365D").fit(SMALL)) == plain
    assert scores(RecentPopularity("100000D").fit(SMALL)) == pytest.approx(plain, rel=1e-3)


def test_decay_against_pandas():
    rng = np.random.default_rng(0)
    rows = [(s, int(rng.integers(9)), float(rng.uniform(0, 40))) for s in range(60) for _ in range(3)]
    sessions = log(*rows)
    table = pd.DataFrame(rows, columns=["session", "item", "age"])
    age = table["age"] - table["age"].min()
    expected = (0.5 ** (age / 5) * (age <= 20)).groupby(table["item"]).sum()
    model = RecentPopularity("5D", "20D").fit(sessions)
    np.testing.assert_allclose(model.recent_, expected[model.vocabulary_.ids], rtol=1e-5)


def test_a_log_without_times_is_told_what_to_do():
    with pytest.raises(ValueError, match=r"no times.*'timestamp'.*Popularity\(\)"):
        RecentPopularity().fit(Sessions.from_lists([["a", "b"]]))


@pytest.mark.parametrize("wrong", ["soon", "-3D", "0D", 7, "", pd.Timedelta("7D"), "NaT"])
@pytest.mark.parametrize("name", ["half_life", "window"])
def test_what_is_no_time_span(name, wrong):
    with pytest.raises(ValueError, match=f"{name}=.*'7D'"):
        RecentPopularity(**{name: wrong}).fit(SMALL)


def test_neither_decay_nor_window():
    with pytest.raises(ValueError, match=r"Without: Popularity\(\)"):
        RecentPopularity(None).fit(SMALL)


# ---- rates ------------------------------------------------------------------------------------------------------

SHOWN = pd.DataFrame(
    {"item_id": ["a"] * 40 + ["b"] + ["c"] * 10 + ["z"] * 5, "clicked": [1] * 20 + [0] * 20 + [1] + [0] * 10 + [1] * 5}
)


def test_impressions_are_trials_and_clicks_successes():
    model = BetaPopularity(prior=(1, 4)).fit(SMALL, SHOWN)
    assert model.trials_.tolist() == [40, 1, 10] and model.successes_.tolist() == [20, 1, 0]
    assert scores(model) == pytest.approx({"a": 21 / 45, "b": 2 / 6, "c": 1 / 15})
    assert model.popularity_.tolist() == [3, 1, 1]


def test_one_lucky_trial_is_first_by_its_raw_rate_only():
    lists = {by: BetaPopularity(by, (1, 4)).fit(SMALL, SHOWN).recommend([]).tolist() for by in ("mean", "lower_bound")}
    assert lists == {"mean": ["a", "b", "c"], "lower_bound": ["a", "b", "c"]}
    assert BetaPopularity("mean", (0.01, 0.01)).fit(SMALL, SHOWN).recommend([])[0] == "b"


def test_an_item_that_was_never_shown_has_the_mean_of_the_prior():
    model = BetaPopularity(prior=(1, 4)).fit(SMALL, SHOWN[SHOWN.item_id != "c"])
    assert scores(model)["c"] == pytest.approx(0.2)


def test_sessions_are_trials_without_impressions():
    """a occurs in 2 of 3 sessions, whatever number of times."""
    model = BetaPopularity(prior=(1, 1)).fit(SMALL)
    assert model.successes_.tolist() == [2, 1, 1] and model.trials_.tolist() == [3, 3, 3]
    assert scores(model) == pytest.approx({"a": 3 / 5, "b": 2 / 5, "c": 2 / 5})


def test_sessions_against_pandas():
    rng = np.random.default_rng(1)
    rows = [(int(rng.integers(40)), int(rng.integers(9)), float(rng.uniform(0, 40))) for _ in range(150)]
    table = pd.DataFrame(rows, columns=["session", "item", "age"]).drop_duplicates(["session", "item"])
    model = BetaPopularity().fit(log(*rows))
    assert model.successes_.tolist() == table.groupby("item").size().tolist()
    assert set(model.trials_) == {table["session"].nunique()}


@pytest.fixture(scope="module")
def shown():
    """A catalogue of 300 items whose rates come from Beta(2, 18), and a log that clicks each of them once."""
    rng = np.random.default_rng(5)
    times = rng.integers(20, 400, 300)
    item = np.repeat(np.arange(300), times)
    clicked = rng.random(len(item)) < np.repeat(rng.beta(2, 18, 300), times)
    return Sessions.from_lists([[i] for i in range(300)]), pd.DataFrame({"item_id": item, "clicked": clicked})


def test_the_prior_is_fitted_to_the_catalogue(shown):
    trials = shown[1].groupby("item_id")["clicked"].agg(["sum", "size"])
    moments = BetaPopularity(prior="moments").fit(*shown)
    assert moments.prior_ == pytest.approx(rates.fit_moments(trials["sum"], trials["size"]))
    likelihood = BetaPopularity(prior="likelihood").fit(*shown)
    assert likelihood.prior_ == pytest.approx(rates.fit_likelihood(trials["sum"], trials["size"], hyperprior=True))
    assert likelihood.prior_ == pytest.approx((2, 18), rel=0.25) and moments.prior_ == pytest.approx((2, 18), rel=0.25)


def test_lower_bounds_and_draws_are_those_of_rates(shown):
    lower = BetaPopularity("lower_bound", (2, 18), level=0.9).fit(*shown)
    expected = rates.lower_bound(lower.successes_, lower.trials_, (2, 18), 0.9)
    np.testing.assert_allclose(lower.rate_, expected, rtol=1e-6)
    draws = [BetaPopularity("thompson", (2, 18), seed=seed).fit(*shown).rate_ for seed in (3, 3, 4)]
    expected = rates.thompson(lower.successes_, lower.trials_, (2, 18), np.random.default_rng(3))
    np.testing.assert_allclose(draws[0], expected, rtol=1e-6)
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()


def test_moments_that_fail_say_what_to_do():
    with pytest.raises(ValueError, match=r"no more than chance.*pair \(a, b\)"):
        BetaPopularity(prior="moments").fit(log((1, "a", 1), (2, "b", 1)))
    assert np.isfinite(BetaPopularity().fit(log((1, "a", 1), (2, "b", 1))).prior_).all()


def test_the_pair_is_a_pair_again_after_loading(tmp_path):
    BetaPopularity(prior=(1, 4)).fit(SMALL).save(tmp_path / "m")
    assert BetaPopularity.load(tmp_path / "m").prior == (1, 4)


@pytest.mark.parametrize(
    ("impressions", "message"),
    [
        (SHOWN.drop(columns="clicked"), "no column 'clicked'"),
        (SHOWN.drop(columns="item_id"), "no column 'item_id'"),
        (SHOWN.assign(clicked=2), "'clicked' has"),
        (SHOWN.assign(clicked="yes"), "'clicked' has"),
        (SHOWN.assign(clicked=[None] + [1] * 55), "'clicked' is missing in 1 row"),
        (SHOWN.assign(item_id=[None] + ["a"] * 55), "'item_id' is missing in 1 row"),
        (SHOWN.assign(item_id=7), "no item that occurs in the sessions"),
        (SHOWN[:0], "no item that occurs in the sessions"),
    ],
)
def test_impressions_that_will_not_do(impressions, message):
    with pytest.raises(ValueError, match=message):
        BetaPopularity().fit(SMALL, impressions)


def test_impressions_of_another_kind():
    with pytest.raises(TypeError, match="are dict, not a DataFrame"):
        BetaPopularity().fit(SMALL, {"item_id": ["a"], "clicked": [1]})


def test_clicked_may_be_of_any_type_that_says_yes_or_no():
    expected = BetaPopularity(prior=(1, 4)).fit(SMALL, SHOWN).rate_
    for kind in (bool, float, "int8", object, "boolean", "Int64"):
        again = BetaPopularity(prior=(1, 4)).fit(SMALL, SHOWN.astype({"clicked": kind})).rate_
        np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "median"}, "choose 'mean', 'lower_bound' or 'thompson'"),
        ({"prior": "flat"}, "choose 'likelihood', 'moments' or a pair"),
        ({"prior": (1, 0)}, "a pair of positive|positive numbers"),
        ({"by": "lower_bound", "level": 95}, "such as 0"),
    ],
)
def test_options_that_do_not_exist(options, message):
    with pytest.raises(ValueError, match=message):
        BetaPopularity(**options).fit(SMALL)
