"""Lab 04: its references against the package's models, and what its text says."""

import html
from collections import Counter

import ipywidgets
import jupytext
import numpy as np
import pytest
from scipy import sparse

from recsys_lab import bookshop, datasets, environment, plots
from recsys_lab.checks import lab04
from recsys_lab.cleaning import Cleaning
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import AssociationRules, FrequentlyBoughtTogether, ItemKNN, SequentialRules, SessionKNN


def cases_of(name):
    exercise = lab04.lab.exercises[name]
    return [(exercise.reference, case.args) for case in exercise.all_cases()]


def scores_of(model, session) -> dict:
    """Scores after the last click of a session, without zeros, by item id."""
    scores = model.score(Sessions.from_lists([session], model.vocabulary_))[-1]
    return {int(model.vocabulary_.ids[i]): scores[i] for i in np.flatnonzero(scores)}


# ---- references against models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [0, 0.1, 2])
def test_lift_of_the_exercises_is_that_of_the_model(a):
    with_it, lift = (lab04.lab.exercises[name].reference for name in ("bought_with", "shrunk_lift"))
    for _, (baskets, item) in cases_of("bought_with"):
        model = FrequentlyBoughtTogether(prior=a, min_support=1).fit(Sessions.from_lists(baskets))
        sold = Counter(i for basket in baskets for i in set(basket))
        if item not in sold:
            continue  # the model knows nothing of it, not even a row
        together = with_it(baskets, item).items()
        lifts = {other: lift(n, sold[item], sold[other], len(baskets), a) for other, n in together}
        expected = {other: np.log(value) for other, value in lifts.items() if value > 1}
        assert scores_of(model, [item]) == pytest.approx(expected, rel=1e-5)


def test_session_knn_of_the_exercise_is_that_of_the_model():
    compared = 0
    for knn, (current, past, k) in cases_of("session_knn"):
        if not set(current) <= {item for session in past for item in session}:
            continue  # the model leaves out what it never saw
        model = SessionKNN("sknn", k=k).fit(Sessions.from_lists(past[::-1]))  # later in the log is more recent
        assert scores_of(model, current) == pytest.approx(knn(current, past, k), rel=1e-5)
        compared += 1
    assert compared >= 8


def test_similarities_of_the_exercises_are_those_of_the_model():
    """With one past session, the score of each of its items is the similarity."""
    for name, model in (
        ("session_cosine", SessionKNN("sknn")),
        ("vsknn_similarity", SessionKNN("vsknn", weighting_score="same", idf_weighting=0)),
    ):
        for similarity, (current, past) in cases_of(name):
            vocabulary = Vocabulary(sorted({*current, *past}))
            model.fit(Sessions.from_lists([past], vocabulary))
            expected = similarity(current, past)
            assert scores_of(model, current) == pytest.approx(
                dict.fromkeys(past, expected) if expected else {}, rel=1e-5
            )


def test_followers_of_the_exercise_are_sequential_rules():
    for followers, (sessions, item) in cases_of("followers"):
        weights = followers(sessions, item)
        model = SequentialRules(window=99, n_rules=99).fit(Sessions.from_lists(sessions))
        expected = {other: weight / max(weights.values()) for other, weight in weights.items()}
        if any(item in session for session in sessions):
            assert scores_of(model, [item]) == pytest.approx(expected, rel=1e-5)


# ---- the shop -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log():
    return Cleaning(bookshop.load()["events"]).drop_double_fires().drop_bots().events


@pytest.fixture(scope="module")
def catalogue():
    return Vocabulary(bookshop.catalogue()["item_id"])


def baskets_of(events, catalogue) -> Sessions:
    return Sessions.from_frame(events[events["event"] == "purchase"], catalogue)


def found_complements(model) -> np.ndarray:
    """Whether each pair of a fitted model is a planted one, the strongest first."""
    planted = bookshop.truth().complements[["item_id", "with_item_id"]].apply(model.vocabulary_.encode)
    known = {frozenset(pair) for pair in planted.to_numpy().tolist()}
    pairs = sparse.triu(model.weights_, k=1).tocoo()
    order = np.argsort(-pairs.data, kind="stable")
    return np.array([frozenset(pair) in known for pair in zip(pairs.row[order], pairs.col[order], strict=True)])


def test_planted_complements_are_found(log, catalogue):
    found = found_complements(FrequentlyBoughtTogether(prior=0.1, min_support=2).fit(baskets_of(log, catalogue)))
    assert found[:40].mean() >= 0.95
    assert found[:50].mean() >= 0.9
    plain = found_complements(FrequentlyBoughtTogether(prior=0, min_support=1).fit(baskets_of(log, catalogue)))
    assert plain[:50].mean() < 0.3
    strong = found_complements(FrequentlyBoughtTogether(prior=5, min_support=2).fit(baskets_of(log, catalogue)))
    assert strong[:50].mean() < 0.75, "too much shrinkage favours best-sellers again"


def test_more_baskets_find_more_complements(log, catalogue):
    more = bookshop.simulate(bookshop.logging_policy(), n_sessions=20_000, seed=4).events
    lists = [catalogue.decode(b).tolist() for part in (log, more) for b in baskets_of(part, catalogue)]
    found = found_complements(
        FrequentlyBoughtTogether(prior=0.1, min_support=2).fit(Sessions.from_lists(lists, catalogue))
    )
    assert found[:50].mean() >= 0.95
    assert found[:53].mean() >= 0.9


def test_a_book_sold_once_never_tops_a_list(log, catalogue):
    baskets = baskets_of(log, catalogue)
    sold = np.bincount(baskets.items, minlength=len(catalogue))
    model = FrequentlyBoughtTogether(prior=0.1, min_support=2).fit(baskets)
    tops = [model.recommend([item], k=1) for item in catalogue.ids]
    tops = [catalogue.encode(top)[0] for top in tops if len(top)]
    assert len(tops) > 200
    assert sold[tops].min() > 1


# ---- the real logs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rsc15():
    """Test sessions of rsc15-100k, and all neighbours fitted."""
    real = datasets.load("rsc15-100k", download=False)
    learn = real.sessions("train")
    models = {
        "ItemKNN": ItemKNN(),
        "AssociationRules": AssociationRules(),
        "SequentialRules": SequentialRules(),
        "SKNN": SessionKNN("sknn"),
        "STAN": SessionKNN("stan"),
        "V-SKNN": SessionKNN("vsknn"),
    }
    return real.sessions("test", learn.vocabulary), {name: model.fit(learn) for name, model in models.items()}


@pytest.mark.needs("real-logs")
def test_who_is_ahead_on_the_real_log(rsc15):
    later, models = rsc15
    found = {name: evaluate(model, later, lists=False) for name, model in models.items()}
    for metric in ("recall", "mrr"):
        for name in ("ItemKNN", "AssociationRules", "SequentialRules", "SKNN"):
            assert found["V-SKNN"].compare(found[name], metric).low > 0, (name, metric)
        stan = found["V-SKNN"].compare(found["STAN"], metric)
        assert stan.low < 0 < stan.high
    asked = zip(found["STAN"].sessions, found["STAN"].positions, found["STAN"].targets, strict=True)
    new = np.array([target not in later[session][:seen] for session, seen, target in asked])
    recall = {name: result.values("recall")[new].mean() for name, result in found.items()}
    assert recall["SequentialRules"] < recall["AssociationRules"] < recall["ItemKNN"] < recall["V-SKNN"]


@pytest.mark.needs("real-logs")
def test_optimistic_ties_put_the_rules_first_on_the_real_log(rsc15):
    later, models = rsc15
    models = {name: models[name] for name in ("SequentialRules", "V-SKNN")}
    recall = {name: evaluate(m, later, ties="optimistic", lists=False).recall for name, m in models.items()}
    assert recall["SequentialRules"] > recall["V-SKNN"]


@pytest.mark.needs("real-logs")
def test_pairs_of_a_real_shop_are_seen_again():
    """Of 500 pairs: those of the plain lift are gone later, those of the shrunk lift hold, far above chance."""
    events = datasets.load("online-retail", download=False).events
    log = Sessions.from_frame(events[events["event"] == "purchase"])
    order = np.argsort(log.starts, kind="stable")
    first, second = log.take(order[: len(log) // 2]), log.take(order[len(log) // 2 :])
    baskets = [set(basket.tolist()) for basket in second]
    sold = np.zeros(log.n_items)
    for basket in baskets:
        sold[list(basket)] += 1
    held, lift = {}, {}
    for prior in (0, 1):
        pairs = sparse.triu(FrequentlyBoughtTogether(prior=prior, min_support=1).fit(first).weights_, k=1).tocoo()
        top = np.argsort(-pairs.data, kind="stable")[:500]
        i, j = pairs.row[top].tolist(), pairs.col[top].tolist()
        again = np.array([sum(a in basket and b in basket for basket in baskets) for a, b in zip(i, j, strict=True)])
        chance = sold[i] * sold[j] / len(baskets)
        held[prior], lift[prior] = ((again > 1) & (again >= 2 * chance)).mean(), again.sum() / chance.sum()
    assert held[0] < 0.15
    assert held[1] > 0.8
    assert 20 < lift[1] < 40


# ---- the widget ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explorer():
    """What the lab's cell with the explorer shows, all cells before it having run."""
    cells = jupytext.read(environment.ROOT / "solutions" / "04_neighbours.py", fmt="py:percent").cells
    space = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "show", lambda figure, alt: plots.plt.close(figure))
        patch.setenv("RECSYS_LAB_PROGRESS_FILE", "")
        for cell in cells:
            if cell.cell_type == "code" and "solution-only" not in cell.metadata.get("tags", []):
                exec(cell.source, space)
                if "def explorer(" in cell.source:
                    return space["explorer"]()
    raise AssertionError("the lab has no explorer")


def test_the_explorer_follows_the_chosen_book(explorer):
    chooser, page = explorer.children
    assert isinstance(chooser, ipywidgets.Dropdown)
    assert len(chooser.options) >= 10
    seen = set()
    for title, item in chooser.options:
        chooser.value = item
        assert "More like it" in page.value and "Goes with it" in page.value
        assert html.escape(title, quote=True) not in page.value, "a book is no answer to itself"
        seen.add(page.value)
    assert len(seen) == len(chooser.options)
