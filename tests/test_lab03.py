"""Lab 03: its references are those of the package, and its figures tell what the text says."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from recsys_lab import rates
from recsys_lab.checks import lab03
from recsys_lab.interactions import Sessions
from recsys_lab.models import BetaPopularity, RecentPopularity
from recsys_lab.ranking import top_k


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Progress goes elsewhere, and every answer is the reference, before and after."""
    monkeypatch.setenv("RECSYS_LAB_PROGRESS_FILE", str(tmp_path / "progress.json"))
    yield
    for exercise in lab03.lab.exercises.values():
        exercise._is_right = False


def cases_of(name):
    exercise = lab03.lab[name]
    return [(exercise.reference, case.args) for case in exercise.all_cases()]


def test_the_count_that_forgets_is_that_of_the_package():
    """One book with these views; a second one is viewed at the very end, from where ages are counted."""
    end = pd.Timestamp("2026-03-31", tz="UTC")
    for f, (ages, half_life, window) in cases_of("recent_count"):
        frame = pd.DataFrame({"item_id": ["a"] * len(ages) + ["end"], "age": [*ages, 0.0]})
        frame = frame.assign(
            session_id=range(len(frame)), event="view", timestamp=end - frame["age"] * pd.Timedelta("1D")
        )
        model = RecentPopularity(f"{half_life}D", f"{window}D").fit(Sessions.from_frame(frame, validate=False))
        expected = model.recent_[model.vocabulary_.encode(["a"])[0]] if ages else 0
        assert f(ages, half_life, window) == pytest.approx(expected, rel=1e-5)


def test_the_prior_from_moments_has_those_moments():
    for f, (mean, variance) in cases_of("beta_from_moments"):
        found = stats.beta(*f(mean, variance))
        assert found.mean() == pytest.approx(mean) and found.var() == pytest.approx(variance)


def test_moments_by_hand_are_those_of_the_package_where_trials_abound():
    rng = np.random.default_rng(0)
    trials = np.full(3000, 5000)
    successes = rng.binomial(trials, rng.beta(2, 9, 3000))
    by_hand = lab03.answers.beta_from_moments((successes / trials).mean(), (successes / trials).var())
    assert by_hand == pytest.approx(rates.fit_moments(successes, trials), rel=0.02)


def test_the_posterior_is_that_of_the_package():
    for f, (carts, views, a, b) in cases_of("posterior"):
        assert f(carts, views, a, b) == tuple(float(x[0]) for x in rates.posterior([carts], [views], (a, b)))


def test_the_posterior_is_prior_times_likelihood():
    """Without any formula for it: integrate the product."""
    for f, (carts, views, a, b) in cases_of("posterior")[:4]:

        def product(rate, carts=carts, views=views, a=a, b=b):
            return stats.beta.pdf(rate, a, b) * stats.binom.pmf(carts, views, rate)

        whole = integrate.quad(product, 0, 1)[0]
        mean = integrate.quad(lambda rate, product=product: rate * product(rate), 0, 1)[0] / whole
        assert stats.beta(*f(carts, views, a, b)).mean() == pytest.approx(mean)


def test_the_lower_bound_is_that_of_the_package():
    for f, (carts, views, a, b) in cases_of("rank_by_lower_bound"):
        bound = rates.lower_bound(carts, views, (a, b), level=0.95)
        assert f(carts, views, a, b).tolist() == top_k(bound, len(bound)).tolist()


def test_the_lower_bound_of_the_model_is_that_of_the_lab():
    rng = np.random.default_rng(4)
    shown = pd.DataFrame({"item_id": rng.integers(0, 30, 900)})
    shown["clicked"] = rng.random(900) < (shown["item_id"] + 1) / 60
    model = BetaPopularity("lower_bound", (2.0, 6.0)).fit(Sessions.from_lists([[i] for i in range(30)]), shown)
    order = lab03.answers.rank_by_lower_bound(model.successes_, model.trials_, 2.0, 6.0)
    assert model.recommend([], k=30).tolist() == list(order)


def test_shares_are_the_probability_to_be_best():
    """Of two books exactly: the integral of P(first = x) P(second < x)."""
    for a, b in (([3.0, 2.0], [9.0, 4.0]), ([30.0, 2.0], [90.0, 8.0])):
        first, second = stats.beta(a[0], b[0]), stats.beta(a[1], b[1])
        exact = integrate.quad(lambda x, f=first, s=second: f.pdf(x) * s.cdf(x), 0, 1)[0]
        shares = lab03.answers.first_place_shares(np.array(a), np.array(b), 40_000, 0)
        assert shares[0] == pytest.approx(exact, abs=0.01) and sum(shares) == pytest.approx(1)


def test_a_right_answer_with_another_generator_is_not_refused():
    """Twenty seeds: the tolerance for chance is wide enough."""
    check = lab03.lab["first_place_shares"]
    for seed in range(20):

        def other(a, b, n_draws, s, seed=seed):
            return check.reference(a, b, n_draws, 1000 * s + seed)

        assert check(other).correct, seed


def test_the_rise_is_one_where_nothing_changes():
    for k in (0.1, 5, 50):
        assert lab03.answers.rise(14, 56, 7, 28, k) == 1
    for f, (recent, before, days_recent, days_before, k) in cases_of("rise"):
        raw = f(recent, before, days_recent, days_before, 1e-9) if before else np.inf
        shrunk = f(recent, before, days_recent, days_before, k)
        assert min(raw, 1) - 1e-9 <= shrunk <= max(raw, 1) + 1e-9


def test_the_shop_s_version_bends_away_and_does_not_cover():
    bug = lab03.lab["posterior"].mistakes[0].wrong
    a, b = bug(10_000, 10_000, 1, 1)
    assert a / (a + b) == pytest.approx(0.5, abs=1e-3)
    a, b = bug(20, 1000, 1, 1)
    assert a / (a + b) == pytest.approx(0.02, abs=0.001)  # at 2 % nobody notices
    rng = np.random.default_rng(0)
    rate, views = rng.beta(2.4, 14, 4000), rng.integers(5, 400, 4000)
    carts = rng.binomial(views, rate)
    covers = []
    for function in (bug, lab03.answers.posterior):
        a, b = function(carts, views, 2.4, 14)
        covers.append(np.mean((stats.beta.ppf(0.025, a, b) <= rate) & (rate <= stats.beta.ppf(0.975, a, b))))
    assert covers[0] < 0.9 and 0.93 <= covers[1] <= 0.97


def test_what_differs_in_late_digits_is_shown_with_all_of_them():
    """Two numbers that look alike in four digits, in a case without words of its own."""
    check = lab03.lab["recent_count"]
    by_hand = [case.args for case in check.by_hand]

    def nearly(*args):
        return check.reference(*args) * (1 if args in by_hand else 1 + 1e-5)

    lines = dict(line.split(": ", 1) for line in check(nearly).message.splitlines() if ": " in line)
    expected, came = float(lines["Expected"].rstrip(".")), float(lines["Came"].rstrip("."))
    assert expected != came == pytest.approx(expected, rel=1e-4)
