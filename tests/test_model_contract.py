"""One contract for all recommenders. A new model joins by one line in MODELS."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

from recsys_lab import models
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions
from recsys_lab.models.base import NotFittedError, Recommender
from recsys_lab.ranking import top_k

MODELS = [
    models.Popularity(),
    models.SessionPopularity(),
    models.RecentPopularity(),
    models.RecentPopularity(half_life=None, window="10h"),
    models.BetaPopularity(),
    models.BetaPopularity(by="lower_bound", prior=(1.0, 19.0), level=0.9),
    models.BetaPopularity(by="thompson", seed=3),
    models.AssociationRules(n_rules=5),
    models.SequentialRules(window=3),
    models.ItemKNN(shrinkage=1),
    models.ItemKNN(n_neighbours=3),
    models.ItemKNN(shrinkage=1, n_last=None),
    models.FrequentlyBoughtTogether(prior=1, min_support=1),
    models.SessionKNN(k=20, sample_size=50),
    models.SessionKNN("sknn", k=20),
    models.SessionKNN("stan", k=20, weighting="div"),
    models.GRU4Rec(layers=[16], batch_size=20, n_sample=20, learning_rate=0.2, n_epochs=5),
    models.GRU4Rec("bpr-max", [12, 8], 20, 20, embedding=6, constrained_embedding=False, momentum=0.3, n_epochs=5),
    models.PlainGRU4Rec(layers=[16], batch_size=40, n_sample=20, learning_rate=0.3, n_epochs=4),
    models.ALS(factors=4, regularization=10),
    models.ALS(factors=2, alpha=10, use_cg=False, weights={"view": 2}),  # more clicks in a session than factors
    models.BPR(factors=4, learning_rate=0.1),
]
each_model = pytest.mark.parametrize("template", MODELS, ids=repr)


def make(template: Recommender) -> Recommender:
    return type(template)(**template.get_params())


def lists(*sessions) -> Sessions:
    """Sessions with a click a minute: some models learn from times."""
    log = Sessions.from_lists(sessions)
    return replace(log, times=log.times * 60_000_000_000, has_time=True)


def checkerboard() -> Sessions:
    """Even and odd items never meet: whoever has seen an even item will want an even one."""
    rng = np.random.default_rng(0)
    return lists(*((rng.choice(10, 4, replace=False) * 2 + session % 2).tolist() for session in range(400)))


TRAIN = checkerboard()


def test_every_exported_model_is_under_contract():
    exported = {name for name in models.__all__ if name != "Recommender"}
    assert exported == {type(model).__name__ for model in MODELS}
    with pytest.raises(AttributeError, match="it has Recommender, Popularity"):
        _ = models.Popularty


@each_model
def test_constructors_only_store(template):
    model = make(template)
    assert vars(model) == {name: getattr(template, name) for name in inspect.signature(type(template)).parameters}
    assert model.get_params() == template.get_params()


@each_model
def test_fit_learns_names_with_an_underscore_and_returns_self(template):
    model = make(template)
    before = set(vars(model))
    assert model.fit(TRAIN) is model
    learned = set(vars(model)) - before
    assert learned and all(name.endswith("_") and not name.startswith("_") for name in learned)


@each_model
def test_score_has_one_row_a_click(template):
    scores = make(template).fit(TRAIN).score(TRAIN.part(0, 5))
    assert scores.shape == (20, TRAIN.n_items)
    assert scores.dtype == np.float32
    assert not np.isnan(scores).any()


@each_model
def test_rows_pick_from_the_same_scores(template):
    model, some = make(template).fit(TRAIN), TRAIN.part(3, 9)
    rows = np.array([0, 7, 7, 23])
    np.testing.assert_array_equal(model.score(some, rows), model.score(some)[rows])
    assert model.score(some, []).shape == (0, TRAIN.n_items)


@each_model
def test_only_the_past_counts(template):
    """Scores after a click are the same whatever comes later, and whoever else is in the batch."""
    model = make(template).fit(TRAIN)
    items = TRAIN.vocabulary.decode(TRAIN[0]).tolist()
    whole = model.score(Sessions.from_lists([items, [1, 3], []], TRAIN.vocabulary))
    for length in range(1, len(items) + 1):
        alone = model.score(Sessions.from_lists([items[:length]], TRAIN.vocabulary))
        np.testing.assert_allclose(alone[-1], whole[length - 1], rtol=1e-6)


@each_model
def test_same_data_same_model(template):
    a, b = make(template).fit(TRAIN), make(template).fit(TRAIN)
    np.testing.assert_array_equal(a.score(TRAIN.part(0, 20)), b.score(TRAIN.part(0, 20)))


@each_model
def test_times_are_asked_for_or_make_no_difference(template):
    """A log without times is refused in words, or learned from as if it had them."""
    without = replace(TRAIN, has_time=False)
    if isinstance(template, models.RecentPopularity):
        with pytest.raises(ValueError, match=r"no times.*column 'timestamp'"):
            make(template).fit(without)
        return
    a, b = (make(template).fit(log).score(TRAIN.part(0, 20)) for log in (TRAIN, without))
    ages = getattr(template, "variant", "") == "stan"  # favours late sessions where it can tell
    assert not np.array_equal(a, b) if ages else np.array_equal(a, b)


@each_model
def test_fitting_again_forgets(template):
    model = make(template).fit(lists(["x", "y"], ["y", "z"])).fit(TRAIN)
    np.testing.assert_array_equal(model.score(TRAIN.part(0, 20)), make(template).fit(TRAIN).score(TRAIN.part(0, 20)))


@each_model
def test_fit_leaves_its_input_alone(template):
    before = TRAIN.items.copy()
    make(template).fit(TRAIN)
    np.testing.assert_array_equal(TRAIN.items, before)


@each_model
def test_recommend_lists_the_top_of_score(template):
    model = make(template).fit(TRAIN)
    for session in ([4], [4, 8, 4], [1, 3, 5, 7, 9]):
        scores = model.score(Sessions.from_lists([session], TRAIN.vocabulary))[-1]
        listed = top_k(scores, 6, above=model.floor)
        assert model.recommend(session, k=6).tolist() == TRAIN.vocabulary.decode(listed[listed >= 0]).tolist()


@each_model
def test_models_that_personalise_find_the_checkerboard(template):
    model = make(template).fit(TRAIN)
    share = np.mean([np.mean(model.recommend([2 * i], k=5) % 2 == 0) for i in range(10)])
    if isinstance(template, models.Popularity):
        assert share < 1  # popularity cannot know
    else:
        assert share == 1


def for_nobody(model: Recommender) -> np.ndarray:
    """Scores where no click is known: the training clicks. A list that is the same for everybody is so here too."""
    if type(model) is not models.Popularity and isinstance(model, models.Popularity):
        return model.score(TRAIN.part(0, 1))[0]
    return np.bincount(TRAIN.items)


@each_model
def test_unknown_items_are_as_if_never_clicked(template):
    model = make(template).fit(TRAIN)
    with_unknown, without = ["no such"], []
    np.testing.assert_array_equal(model.recommend(with_unknown), model.recommend(without))
    a = Sessions.from_lists([[4, 999, 8, 999], [999, 2]])
    b = Sessions.from_lists([[4, 8], [2]])
    scores, clean = model.score(a), model.score(b)
    np.testing.assert_array_equal(scores[[0, 1, 2, 3, 5]], clean[[0, 0, 1, 1, 2]])
    np.testing.assert_array_equal(scores[4], for_nobody(model))
    np.testing.assert_array_equal(model.recommend([4, 999, 8]), model.recommend([4, 8]))


@each_model
def test_an_empty_session_gets_the_popular_items(template):
    model = make(template).fit(TRAIN)
    expected = top_k(for_nobody(model), 5)
    assert model.recommend([], k=5).tolist() == TRAIN.vocabulary.decode(expected).tolist()


@each_model
def test_k_larger_than_the_catalogue(template):
    listed = make(template).fit(TRAIN).recommend([4, 8], k=1000)
    assert 0 < len(listed) <= TRAIN.n_items
    assert len(set(listed.tolist())) == len(listed)


@each_model
def test_excluded_items_are_never_listed(template):
    model = make(template).fit(TRAIN)
    first = model.recommend([4, 8], k=3)
    assert not set(model.recommend([4, 8], k=1000, exclude=first)) & set(first)
    model.recommend([4], exclude=["no such item"])
    np.testing.assert_array_equal(model.recommend([4, 8], k=3), first)  # and the exclusion is forgotten


@each_model
def test_unknown_users_are_nobody_in_particular(template):
    model = make(template).fit(TRAIN)
    np.testing.assert_array_equal(model.recommend([4], user_id="nobody"), model.recommend([4]))


@each_model
def test_ties_are_listed_by_item_index(template):
    same_time = replace(lists(["a", "b"], ["a", "c"], ["a", "d"]), times=np.zeros(6, np.int64))
    model = make(template).fit(same_time)
    scores = dict(zip("abcd", model.score(Sessions.from_lists([["a"]], model.vocabulary_))[0].tolist(), strict=True))
    draws = getattr(template, "by", "") == "thompson"  # chance breaks ties there, whoever comes first by it
    draws = draws or hasattr(template, "random_state") or hasattr(template, "layers")  # and first weights are random
    assert draws or scores["b"] == scores["c"] == scores["d"]
    tied = [item for item in model.recommend(["a"], k=10).tolist() if item in "bcd"]
    assert tied == sorted(tied, key=lambda item: (-scores[item], item))


@each_model
def test_saved_and_loaded_is_the_same_model(template, tmp_path):
    model = make(template).fit(TRAIN)
    model.save(tmp_path / "model.npz")
    again = type(template).load(tmp_path / "model.npz")
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again.score(TRAIN.part(0, 9)), model.score(TRAIN.part(0, 9)))
    assert again.recommend([4]).tolist() == model.recommend([4]).tolist()


@each_model
def test_text_ids_survive_saving(template, tmp_path):
    model = make(template).fit(lists(["é", "b"], ["b", "c"]))
    model.save(tmp_path / "m")
    again = type(template).load(tmp_path / "m")
    assert again.recommend(["é", "b"]).tolist() == model.recommend(["é", "b"]).tolist()


@each_model
def test_evaluation_agrees_with_recommend(template):
    model, test = make(template).fit(TRAIN), TRAIN.part(0, 30)
    result = evaluate(model, test, k=5, ties="pessimistic")
    hits = [
        test.vocabulary.ids[items[n]] in model.recommend(test.vocabulary.decode(items[:n]), k=5)
        for items in test
        for n in range(1, len(items))
    ]
    # pessimistic ranks count a target among equals as last, so they can only be more severe than a list
    assert result.recall <= np.mean(hits)
    assert evaluate(model, test, k=5, ties="optimistic").recall >= np.mean(hits)


def test_asking_before_learning():
    for ask in (lambda m: m.score(TRAIN), lambda m: m.recommend([1]), lambda m: m.save("never")):
        with pytest.raises(NotFittedError, match=r"model\.fit\(sessions\)"):
            ask(models.Popularity())


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match="no click on a known item"):
        models.Popularity().fit(TRAIN.part(0, 0))


def test_a_single_id_is_not_a_session():
    model = models.Popularity().fit(TRAIN)
    for wrong in ("42", 42):
        with pytest.raises(TypeError, match="session is a sequence"):
            model.recommend(wrong)


def test_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "model.npz"
    models.ItemKNN().fit(TRAIN).save(path)
    with pytest.raises(ValueError, match=r"Fix: ItemKNN\.load"):
        models.Popularity.load(path)
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"<html>", whole[:100] + b"\0\0\0\0" + whole[104:-200] + b"\0" * 200):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="damaged"):
            models.ItemKNN.load(path)
    with pytest.raises(FileNotFoundError):
        models.ItemKNN.load(tmp_path / "nowhere")


def test_a_failed_save_keeps_the_old_model(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    models.ItemKNN().fit(TRAIN).save(path)
    before = path.read_bytes()

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        models.ItemKNN().fit(TRAIN).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]
