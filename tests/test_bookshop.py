"""The simulated shop: its tables, its probabilities, and whether what was planted can be found."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recsys_lab import bookshop, datasets, margins
from recsys_lab.bookshop import files, making, slates
from recsys_lab.bookshop.__main__ import main
from recsys_lab.cleaning import Cleaning, signals
from recsys_lab.events import EventLogError, validate_events, validate_impressions
from recsys_lab.interactions import Sessions
from recsys_lab.models import ItemKNN, Popularity
from recsys_lab.ranking import top_k


@pytest.fixture(scope="module")
def truth():
    return bookshop.truth()


@pytest.fixture(scope="module")
def shop():
    return bookshop.load()


@pytest.fixture(scope="module")
def uniform():
    """8,000 visits that see only random lists."""
    return bookshop.simulate(bookshop.Uniform(), 8_000, seed=3)


@pytest.fixture(scope="module")
def logged(truth):
    """6,000 clean visits under the logging policy."""
    return bookshop.simulate(bookshop.logging_policy(truth), 6_000, seed=4)


def auc(scores, labels):
    """Probability that a positive is scored above a negative, ties half (Mann-Whitney)."""
    ranks, labels = stats.rankdata(scores), np.asarray(labels, dtype=bool)
    n = labels.sum()
    return (ranks[labels].sum() - n * (n + 1) / 2) / (n * (len(labels) - n))


# ---- the shipped files


def test_shipped_files_are_those_of_the_checksums_and_small():
    folder = bookshop.data_folder()
    assert making.hashes(folder) == making.recorded(folder)
    assert sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) < 6e6


def test_made_again_the_shop_is_the_shipped_one(capsys):
    assert main(["--check"]) == 0
    assert "is the shipped one" in capsys.readouterr().out


def test_check_names_a_changed_file(tmp_path, monkeypatch, capsys):
    for file in bookshop.data_folder().glob("[bS]*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "books.csv").write_text("item_id,title\n", encoding="utf-8")
    monkeypatch.setattr(files, "data_folder", lambda: tmp_path)
    assert main(["--check"]) == 1
    assert "books.csv: differs from SHA256SUMS" in capsys.readouterr().err


def test_shipped_log_keeps_the_schema(shop):
    validate_events(shop["events"])
    validate_impressions(shop["impressions"])
    assert str(shop["events"]["user_id"].dtype) == "Int64"
    assert 0.2 < shop["events"]["user_id"].isna().mean() < 0.5
    assert shop["events"]["item_id"].isin(shop["items"]["item_id"]).all()
    assert shop["events"]["user_id"].dropna().isin(shop["users"]["user_id"]).all()
    assert set(shop["events"]["event"]) == {"view", "cart", "remove", "purchase", "return"}
    assert shop["events"]["dwell_s"].notna().equals(shop["events"]["event"] == "view")


def test_catalogue_is_the_hand_edited_file(shop):
    books = bookshop.catalogue()
    for column in books:
        assert shop["items"][column].tolist() == books[column].tolist()


def test_tables_agree_with_each_other(shop, truth):
    shown, events = shop["impressions"], shop["events"]
    slots = shown.groupby("request_id")["position"].agg(["size", "max"])
    assert (slots == len(truth.examination)).all(axis=None)
    assert not shown.duplicated(["request_id", "item_id"]).any()
    assert shown["session_id"].isin(truth.sessions["session_id"]).all()
    clicked = shown.loc[shown["clicked"], ["session_id", "item_id"]].drop_duplicates()
    viewed = events.loc[events["event"] == "view", ["session_id", "item_id"]].drop_duplicates()
    assert len(clicked.merge(viewed)) == len(clicked)
    bought = events[events["event"] == "purchase"].merge(
        events[events["event"] == "cart"], on=["session_id", "item_id"]
    )
    assert bought["timestamp_x"].gt(bought["timestamp_y"]).all()
    people = truth.sessions[truth.sessions["intent"] != "bot"]
    assert people["purchases"].sum() == (events["event"] == "purchase").sum()


def test_truth_of_the_file_is_the_world_that_was_drawn(truth):
    world = bookshop.build(bookshop.catalogue(), truth.settings, making.WORLD_SEED)
    np.testing.assert_allclose(truth.item_vectors, world.item_vectors, atol=1e-7)
    np.testing.assert_allclose(truth.preference([5, 9]), world.preference([5, 9]), atol=1e-5)
    assert truth.segment.equals(world.segment)
    pd.testing.assert_frame_equal(truth.complements, world.complements, check_dtype=False)


# ---- randomness is an argument


def test_same_seed_same_tables(truth):
    policy = bookshop.logging_policy(truth)
    first, second, other = (bookshop.simulate(policy, 300, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.events, second.events)
    pd.testing.assert_frame_equal(first.impressions, second.impressions)
    assert not first.events["item_id"].head(50).equals(other.events["item_id"].head(50))


def test_visitors_do_not_depend_on_the_policy(truth):
    known = ["session_id", "start", "user_id", "signed_in", "segment", "intent"]
    one = bookshop.simulate(bookshop.MostPopular(), 1_500, seed=1).sessions  # more than one block
    two = bookshop.simulate(bookshop.Oracle(), 1_500, seed=1).sessions
    pd.testing.assert_frame_equal(one[known], two[known])
    assert one["views"].sum() != two["views"].sum()


def test_common_random_numbers_make_policies_easier_to_tell_apart():
    one = bookshop.simulate(bookshop.MostPopular(), 3_000, seed=1).sessions["views"]
    two = bookshop.simulate(bookshop.Oracle(), 3_000, seed=1).sessions["views"]
    assert np.var(two - one) < 0.8 * (np.var(one) + np.var(two))


# ---- lists and their propensities


@pytest.mark.parametrize(("exploration", "temperature"), [(0.1, 0.5), (0.0, 0.7), (0.3, 0.0), (1.0, 0.0)])
def test_propensities_sum_to_one_and_are_what_happens(exploration, temperature):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=14).round(1)
    stocked = np.ones(14, bool)
    stocked[[2, 9]] = False
    n, k, depth = 60_000, 3, 3
    rows = np.broadcast_to(scores, (n, 14)), np.broadcast_to(stocked, (n, 14))
    table = slates.propensities(rows[0][:1], rows[1][:1], k, exploration, temperature, depth)[0]
    np.testing.assert_allclose(table.sum(axis=1), 1)
    assert (table[:, ~stocked] == 0).all()
    items, propensity, explored = slates.draw(*rows, k, exploration, temperature, depth, rng.random((n, 1 + 2 * k)))
    assert (np.sort(items, axis=1)[:, 1:] != np.sort(items, axis=1)[:, :-1]).all()
    np.testing.assert_allclose(propensity, table[np.arange(k), items])
    assert abs(explored.mean() - exploration) < 0.01
    for slot in range(k):
        share = np.bincount(items[:, slot], minlength=14) / n
        np.testing.assert_allclose(share, table[slot], atol=4 * 0.5 / np.sqrt(n))


def test_temperature_zero_is_the_top_k_with_certainty():
    scores = np.random.default_rng(0).normal(size=(20, 50)).round(0)  # many ties
    stocked = np.ones((20, 50), bool)
    items, propensity, _ = slates.draw(scores, stocked, 6, 0.0, 0.0, 15, np.random.default_rng(1).random((20, 13)))
    np.testing.assert_array_equal(items, top_k(scores, 6))
    assert (propensity == 1).all()


def test_ranking_of_candidates_keeps_the_tie_rule():
    rng = np.random.default_rng(0)
    scores, stocked = rng.integers(0, 5, size=(40, 60)).astype(float), rng.random((40, 60)) < 0.8
    scores[stocked & (rng.random((40, 60)) < 0.1)] = -np.inf  # a policy may despise a book; the shop still sells it
    items, _ = slates.rank(scores, stocked, 30)
    order = np.where(stocked, np.where(scores == -np.inf, -1e30, scores), -np.inf)
    np.testing.assert_array_equal(items, top_k(order, 30))


def test_logged_propensities_are_those_of_the_policy(truth):
    policy, seen = bookshop.logging_policy(truth), []

    def spy(context):
        scores = policy(context)
        table = slates.propensities(scores, context.stocked, 6, 0.1, 0.5, truth.settings.depth)
        seen.extend(zip(context.session_ids, context.times, table, strict=True))
        return scores

    shown = bookshop.simulate(spy, 120, seed=0, exploration=0.1, temperature=0.5).impressions
    tables = {(int(s), int(t)): table for s, t, table in seen}
    times = shown["timestamp"].dt.as_unit("ns").astype(np.int64)
    columns = truth.vocabulary.encode(shown["item_id"])
    expected = [
        tables[s, t][p - 1, c]
        for s, t, p, c in zip(shown["session_id"], times, shown["position"], columns, strict=True)
    ]
    np.testing.assert_allclose(shown["propensity"], expected)


def test_at_least_five_percent_uniform_exploration(shop, truth):
    shown = shop["impressions"]
    lists = shown[shown["position"] == 1]
    share = lists["explored"].mean()
    assert share > 0.05
    assert abs(share - truth.settings.exploration) < 4 * np.sqrt(0.1 * 0.9 / len(lists))
    assert shown["propensity"].min() >= 0.05 / len(shop["items"])
    random = shown.loc[shown["explored"], "item_id"].value_counts().reindex(shop["items"]["item_id"], fill_value=0)
    old = (shop["items"]["stocked_since"] < pd.Timestamp(truth.settings.first_day, tz="UTC")).to_numpy()
    assert stats.chisquare(random.to_numpy()[old]).pvalue > 1e-3


def test_importance_weights_average_one(shop):
    """Sum over slots of [item shown] / propensity counts every stocked item once, whatever the policy."""
    shown = shop["impressions"]
    per_list = (1 / shown["propensity"]).groupby(shown["request_id"]).sum().mean() / 6
    assert abs(per_list / len(shop["items"]) - 1) < 0.05


# ---- what visitors do


def test_examination_curve_is_recovered_from_uniform_lists(uniform, truth):
    shown = uniform.impressions
    clicks = shown.groupby("position")["clicked"].sum().to_numpy()
    expected = truth.examination / truth.examination.sum() * clicks.sum()
    assert clicks.sum() > 1_000
    assert stats.chisquare(clicks, expected).pvalue > 1e-3
    flat = np.full(len(clicks), clicks.mean())
    assert stats.chisquare(clicks, flat).pvalue < 1e-6


def test_fatigue_shows(truth):
    def third_against_first(settings):
        world = replace(truth, settings=settings)
        shown = bookshop.simulate(bookshop.MostPopular(), 4_000, seed=0, truth=world).impressions
        shown["time"] = shown.groupby(["session_id", "item_id"]).cumcount()
        rate = shown[shown["position"] <= 2].groupby("time")["clicked"].mean()
        return rate[2] / rate[0]

    tired = third_against_first(truth.settings)
    fresh = third_against_first(replace(truth.settings, fatigue=0.0))
    assert tired < 0.6 * fresh


def test_taste_recovers_purchases(shop, truth):
    bought = shop["events"].query("event == 'purchase'").dropna(subset=["user_id"])
    users = bought["user_id"].to_numpy(dtype=np.int64)
    any_book = np.random.default_rng(0).permutation(bought["item_id"].to_numpy())  # same books, other people
    preference = np.concatenate([truth.preference(users, bought["item_id"]), truth.preference(users, any_book)])
    assert auc(preference, np.repeat([True, False], len(users))) > 0.7


def test_weighted_signals_follow_preference_better_than_views(shop, truth):
    clean = Cleaning(shop["events"]).drop_double_fires().drop_bots().events.dropna(subset=["user_id"])
    clean = clean.assign(user_id=clean["user_id"].astype(np.int64))
    clean = clean.assign(event=clean["event"].mask((clean["event"] == "view") & (clean["dwell_s"] > 30), "long view"))
    plain = dict.fromkeys(clean["event"].unique(), 0.0) | {"view": 1.0, "long view": 1.0}
    weights = {"view": 1.0, "long view": 1.5, "cart": 3.0, "purchase": 4.0, "remove": -2.0, "return": -5.0}
    views, weighted = signals(clean, plain), signals(clean, weights)
    liked = truth.preference(views["user_id"], views["item_id"])
    liked = liked > np.median(liked)
    assert auc(weighted["strength"], liked) > auc(views["strength"], liked) + 0.02


def test_long_looks_follow_preference(shop, truth):
    views = shop["events"].query("event == 'view'").dropna(subset=["user_id"])
    users = views["user_id"].to_numpy(dtype=np.int64)
    assert stats.spearmanr(truth.preference(users, views["item_id"]), views["dwell_s"]).statistic > 0.08


def test_gifts_and_study_leave_the_own_taste(logged, truth):
    views = logged.events[logged.events["event"] == "view"].merge(logged.sessions, on="session_id")
    views["preference"] = truth.preference(views["user_id_y"], views["item_id"])
    by_intent = views.groupby("intent")["preference"].mean()
    assert by_intent["own taste"] > by_intent["gift"] + 1
    assert by_intent["own taste"] > by_intent["study"] + 1
    first = pd.to_datetime(truth.settings.first_day, utc=True)
    gift, week = logged.sessions["intent"] == "gift", (logged.sessions["start"] - first).dt.days // 7
    assert gift[week == 10].mean() > gift[week < 4].mean() + 0.1


def test_prices_deter(logged, truth):
    free = replace(truth, price_sensitivity=np.zeros_like(truth.price_sensitivity))
    same = bookshop.simulate(bookshop.logging_policy(truth), 6_000, seed=4, truth=free)

    def mean_price(simulation):
        return simulation.events.loc[simulation.events["event"] == "cart", "price"].mean()

    assert mean_price(same) > mean_price(logged) + 0.5


# ---- what was planted


def test_complements_are_there_to_be_found(shop, truth):
    bought = shop["events"].query("event == 'purchase'")[["session_id", "item_id"]].drop_duplicates()
    baskets = bought.groupby("session_id")["item_id"].apply(lambda ids: sorted(set(ids)))
    together = pd.Series([pair for basket in baskets for pair in combinations(basket, 2)]).value_counts()
    sold = bought["item_id"].value_counts()
    expected = np.array([sold[a] * sold[b] for a, b in together.index]) / len(baskets)
    lift = (together / (expected + 0.1))[together >= 2].sort_values(ascending=False, kind="stable")
    pairs = truth.complements[["item_id", "with_item_id"]].to_numpy()
    planted = {tuple(sorted(pair)) for pair in pairs.tolist()}
    found = [pair in planted for pair in lift.index[:30]]
    assert len(planted) == 60
    assert np.mean(found) >= 0.9
    together = together.reindex(pd.MultiIndex.from_tuples(sorted(planted)).to_flat_index(), fill_value=0)
    chance = sum(sold.get(a, 0) * sold.get(b, 0) for a, b in planted) / len(baskets)
    assert together.sum() > 20 * chance


def test_a_directed_complement_works_one_way(truth):
    of = truth.complement_of()
    for first, second, directed in truth.complements[["item_id", "with_item_id", "directed"]].itertuples(index=False):
        a, b = truth.vocabulary.encode([first, second])
        assert of[a] == b
        assert of[b] == (-1 if directed else a)
    assert len(np.unique(truth.complements[["item_id", "with_item_id"]])) == 2 * len(truth.complements)


def test_next_volumes_are_by_one_author(truth):
    author = truth.items.set_index("item_id")["author"]
    series = truth.complements[truth.complements["kind"] == "next volume"]
    assert author[series["item_id"]].tolist() == author[series["with_item_id"]].tolist()


def test_bots_are_found_and_nobody_else(shop, truth):
    step = Cleaning(shop["events"]).drop_bots()
    bots = truth.defects.loc[truth.defects["defect"] == "bot", "event_id"]
    assert set(step.removed["drop_bots"]["event_id"]) >= set(bots)
    assert len(step.removed["drop_bots"]) <= 1.02 * len(bots)
    assert truth.sessions["intent"].eq("bot").sum() >= 3


def test_double_fires_are_found(shop, truth):
    removed = set(Cleaning(shop["events"]).drop_double_fires().removed["drop_double_fires"]["event_id"])
    planted = set(truth.defects.loc[truth.defects["defect"] == "double_fire", "event_id"])
    assert len(removed & planted) >= 0.95 * len(planted)
    assert len(removed & planted) >= 0.95 * len(removed)


def test_late_rows_are_the_ones_out_of_order(shop, truth):
    times = shop["events"]["timestamp"]
    late = set(shop["events"].loc[times < times.cummax(), "event_id"])
    planted = set(truth.defects.loc[truth.defects["defect"] == "late", "event_id"])
    assert late <= planted
    assert len(late) >= 0.9 * len(planted)


def test_returns_come_days_later(shop, truth):
    events = shop["events"]
    returns = events[events["event"] == "return"]
    assert set(returns["event_id"]) == set(truth.defects.loc[truth.defects["defect"] == "return", "event_id"])
    both = returns.merge(events[events["event"] == "purchase"], on=["session_id", "item_id"])
    assert len(both) == len(returns)
    assert (both["timestamp_x"] - both["timestamp_y"]).dt.days.between(*truth.settings.return_days).all()
    users = both["user_id_x"].notna()
    back = truth.preference(both.loc[users, "user_id_x"].astype(np.int64), both.loc[users, "item_id"])
    kept = events.query("event == 'purchase'").dropna(subset=["user_id"])
    assert back.mean() < truth.preference(kept["user_id"].astype(np.int64), kept["item_id"]).mean()


def test_season_shows(shop, truth):
    views = shop["events"].query("event == 'view'").merge(shop["items"], on="item_id")
    week = (views["timestamp"] - pd.Timestamp(truth.settings.first_day, tz="UTC")).dt.days // 7
    share = pd.crosstab(week, views["genre"], normalize="index")
    assert share.loc[10, "children's"] > 1.3 * share.loc[:3, "children's"].mean()
    assert share.loc[3, "horror"] > 1.3 * share.loc[5:7, "horror"].mean()
    visits = truth.sessions["start"].dt.floor("D").value_counts().sort_index()
    assert visits.iloc[63:77].mean() > 1.3 * visits.iloc[:28].mean()


def test_trends_show(shop, truth):
    views = shop["events"].query("event == 'view'")
    day = (views["timestamp"] - pd.Timestamp(truth.settings.first_day, tz="UTC")).dt.days
    during = before = 0
    for item, start in truth.trends.itertuples(index=False):
        mine = day[views["item_id"] == item]
        during += mine.between(start, start + 6).sum() / 7
        before += (mine < start).sum() / start
    assert during > 3 * before


def test_new_arrivals_arrive(shop, truth):
    since = shop["items"].set_index("item_id")["stocked_since"]
    first = pd.Timestamp(truth.settings.first_day, tz="UTC")
    new = since[since > first]
    assert len(new) == truth.settings.n_arrivals
    assert (new.dt.day_of_week == 0).all()
    shown, viewed = shop["impressions"], shop["events"].query("event == 'view'")
    for table in (shown, viewed):
        # a visit that begins before midnight does not see the new books; one that begins after does
        assert (table["timestamp"] >= table["item_id"].map(since)).all()
        assert table["item_id"].isin(new.index).any()


# ---- policies


def test_oracle_beats_popular_beats_uniform():
    for seed in range(3):
        values = [
            bookshop.simulate(policy, 2_000, seed).value
            for policy in (bookshop.Oracle(), bookshop.MostPopular(), bookshop.Uniform())
        ]
        for outcome in ("clicks", "views", "purchases", "revenue"):
            best, middle, least = (value[outcome] for value in values)
            assert best > middle > least


def test_value_is_what_the_tables_say(logged):
    events, n = logged.events, len(logged.sessions)
    bought = events[events["event"] == "purchase"]
    assert logged.value["purchases"] == pytest.approx(len(bought) / n)
    assert logged.value["revenue"] == pytest.approx(bought["price"].sum() / n)
    assert logged.value["clicks"] == pytest.approx(logged.impressions["clicked"].sum() / n)
    assert logged.value["returned"] < 0.15 * logged.value["revenue"]


def test_policies_see_what_a_shop_knows(truth):
    def curious(context):
        sessions = context.sessions
        assert len(sessions) == len(context)
        np.testing.assert_array_equal(sessions.lengths, context.lengths)
        last = [s[-1] if len(s) else -1 for s in sessions]
        np.testing.assert_array_equal(context.last, last)
        assert (context.viewed.sum(axis=1) == [len(set(s)) for s in sessions]).all()
        assert (np.diff(sessions.times)[np.diff(sessions.session_of_click) == 0] > 0).all()
        assert (sessions.ends <= context.times).all()
        with pytest.raises(TypeError):
            context._attraction()
        return np.zeros(context.stocked.shape)

    bookshop.simulate(curious, 60, seed=0)


class Neighbour:
    """A model that has nothing but `score`: the next item of the catalogue."""

    def score(self, sessions, rows):
        scores = np.zeros((len(rows), sessions.n_items))
        scores[np.arange(len(rows)), (sessions.items[rows] + 1) % sessions.n_items] = 1
        return scores


def test_any_model_with_score_is_a_policy(truth):
    result = bookshop.simulate(bookshop.model_policy(Neighbour()), 100, seed=0)
    first = result.impressions.query("position == 1")
    views = result.events.query("event == 'view'").sort_values("timestamp", kind="stable")
    last = pd.merge_asof(
        first.sort_values("timestamp"), views[["session_id", "item_id", "timestamp"]], on="timestamp", by="session_id"
    ).dropna(subset=["item_id_y"])
    following = last["item_id_y"] % truth.n_items + 1
    stocked = truth.stock_day[following.astype(int).to_numpy() - 1] <= 0
    assert (last["item_id_x"] == following)[stocked].mean() > 0.8  # the others had seen that one already
    assert result.impressions["propensity"].eq(1).all()


def test_fitted_models_beat_random_lists(shop):
    clean = Cleaning(shop["events"]).drop_double_fires().drop_bots().events
    sessions = Sessions.from_frame(clean.query("event == 'view'"))
    value = {
        type(model).__name__: bookshop.simulate(bookshop.model_policy(model.fit(sessions)), 1_500, seed=0).value
        for model in (Popularity(), ItemKNN())
    }
    random = bookshop.simulate(bookshop.Uniform(), 1_500, seed=0).value
    assert value["ItemKNN"]["clicks"] > value["Popularity"]["clicks"] > random["clicks"]


@pytest.mark.parametrize("keywords", [{"n_sessions": 0}, {"exploration": 1.2}, {"temperature": -1}])
def test_simulate_refuses_nonsense(keywords):
    with pytest.raises(ValueError, match="simulate: n_sessions"):
        bookshop.simulate(bookshop.MostPopular(), **({"n_sessions": 5, "seed": 0} | keywords))


def test_a_policy_with_bad_scores_is_told():
    with pytest.raises(ValueError, match=r"scores of shape \(\d+, 3\)"):
        bookshop.simulate(lambda context: np.zeros((len(context), 3)), 5, seed=0)
    with pytest.raises(ValueError, match="NaN"):
        bookshop.simulate(lambda context: np.full(context.stocked.shape, np.nan), 5, seed=0)


def test_preference_by_pair_is_the_diagonal(truth):
    users, items = [3, 1, 2], [10, 700, 10]
    table = truth.preference(users)
    np.testing.assert_allclose(truth.preference(users, items), [table[0, 9], table[1, 699], table[2, 9]])
    with pytest.raises(KeyError, match="no user with id 999999"):
        truth.preference([999_999])


def test_everything_that_shows_the_shop_says_simulated(logged, truth):
    assert "simulated" in repr(truth)
    assert "simulated" in repr(logged)


# ---- margins, and how the shop's compare with real ones


def test_margins_of_a_log_small_enough_to_count():
    log = pd.DataFrame({"session_id": [1, 1, 1, 2], "item_id": [7, 8, 7, 7], "event": "view"})
    log["timestamp"] = pd.to_datetime([0, 10, 40, 99], unit="s", utc=True)
    sessions = Sessions.from_frame(log)
    assert margins.length_shares(sessions).to_dict() == {1: 0.5, 2: 0.0, 3: 0.5}
    assert margins.popularity_curve(sessions).to_dict() == {0.5: 0.75, 1.0: 1.0}
    assert margins.top_share(sessions, 0.01) == 0.75
    assert margins.repeats(sessions).tolist() == [False, False, True, False]
    assert margins.gaps(sessions).tolist() == [10, 30]
    numbers = margins.summary(sessions)
    assert numbers["mean length"] == 2
    assert numbers["repeat share"] == 0.25
    assert numbers["gap, median (s)"] == 20


def test_margins_without_times_say_so():
    sessions = Sessions.from_lists([["a", "b"]])
    with pytest.raises(EventLogError, match="not when"):
        margins.gaps(sessions)
    assert np.isnan(margins.summary(sessions)["gap, median (s)"])


@pytest.mark.needs("real-logs")
def test_margins_lie_among_those_of_real_logs(shop, real_logs):
    people = Cleaning(shop["events"]).drop_double_fires().drop_bots().events.query("event == 'view'")
    ours = margins.summary(Sessions.from_frame(people).longer_than(1))
    rsc15, diginetica, trivago = (
        margins.summary(sessions.longer_than(1))
        for sessions in (
            datasets.load("rsc15-100k").sessions("train"),
            datasets.load("diginetica").sessions("train"),
            datasets.load("trivago-100k").sessions(events=["clickout_item"]),
        )
    )
    for names, real in (
        (ours.index[ours.index.str.contains("length|clicks on|repeat")], [rsc15, diginetica]),
        (ours.index[ours.index.str.startswith("gap")], [rsc15, trivago]),
    ):
        low, high = np.minimum(*(r[names] for r in real)), np.maximum(*(r[names] for r in real))
        assert (ours[names] >= 0.9 * low).all()
        assert (ours[names] <= 1.1 * high).all()
