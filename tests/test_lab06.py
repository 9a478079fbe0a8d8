"""Lab 06: its references against the package's models, its bug museum, and what it shows."""

import builtins
import contextlib
import html
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pandas as pd
import pytest
import torch

from recsys_lab import bug_museum, session_view
from recsys_lab.checks import lab06
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import PlainGRU4Rec, Popularity, SequentialRules, gru4rec_plain
from recsys_lab.models.gru4rec_batches import Schedule

reference = {name: exercise.reference for name, exercise in lab06.lab.exercises.items()}


def sessions_of(n, n_items=9, longest=7, seed=0) -> Sessions:
    rng = np.random.default_rng(seed)
    lists = [rng.integers(0, n_items, rng.integers(1, longest)).tolist() for _ in range(n)]
    return Sessions.from_lists(lists, Vocabulary(range(n_items)))


# ---- references against the package -------------------------------------------------------------------------------


def test_reading_a_session_by_hand_gives_the_plain_model_s_scores():
    sessions = sessions_of(40)
    model = PlainGRU4Rec(layers=[6], batch_size=4, n_sample=8, n_epochs=1).fit(sessions)
    biases, scores = np.stack([model.bias_ih_, model.bias_hh_]), model.score(sessions)
    for session, start in zip(sessions, sessions.offsets, strict=False):
        h = np.zeros(6)
        for place, item in enumerate(session):
            h = reference["gru_cell"](model.item_embedding_[item], h, model.weight_ih_, model.weight_hh_, biases)
            by_hand = model.item_embedding_ @ h + model.item_bias_
            np.testing.assert_allclose(scores[start + place], by_hand, atol=1e-5)


@pytest.mark.parametrize("n_lanes", [1, 2, 5, 80])
def test_the_plan_of_the_exercise_is_that_of_both_models(n_lanes):
    sessions = sessions_of(50, seed=n_lanes)
    plan = reference["side_by_side"]([session.tolist() for session in sessions], n_lanes)
    plain = [
        (step, *row)
        for step, columns in enumerate(gru4rec_plain.session_parallel(sessions, n_lanes))
        for row in zip(*columns, strict=True)
    ]
    assert plan == plain
    schedule = Schedule(sessions, n_lanes)
    fast = [
        (t, lane, clicked, target, lane in schedule[t].first)
        for t in range(len(schedule))
        for lane, clicked, target in zip(schedule[t].lanes, schedule[t].clicked, schedule[t].target, strict=True)
    ]
    assert plan == fast


def test_losses_of_the_exercises_are_those_of_the_model():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, target, expected = rng.normal(size=9), int(rng.integers(9)), rng.uniform(0.2, 3, 9)
        negatives = [*rng.integers(0, 9, 7).tolist(), target, (target + 1) % 9]
        columns = torch.tensor([target, *negatives])
        row, is_wrong = torch.tensor(scores)[columns][None], (columns != target)[None]
        log_expected = torch.tensor(np.log(expected))[columns]
        ours = reference["sampled_loss"](scores, target, negatives, expected)
        assert ours == pytest.approx(gru4rec_plain.cross_entropy(row, is_wrong, log_expected).item())
        for bpreg in (0.0, 1.3):
            theirs = gru4rec_plain.bpr_max(row, is_wrong, bpreg, elu_param=0).item()
            assert reference["bpr_max"](scores, target, negatives, bpreg) == pytest.approx(theirs)


# ---- the museum ---------------------------------------------------------------------------------------------------

ASKED = [[3, 1], [2, 5, 4, 1], [6, 0, 2]]


@pytest.mark.parametrize("kind", bug_museum.ANSWERS)
def test_exhibits_that_answer_are_what_they_say(kind):
    assert reference["answers_are_sound"](kind(seed=3), ASKED) == kind.about.startswith("sound")


@pytest.mark.parametrize("kind", bug_museum.LOSSES)
def test_exhibits_that_are_losses_are_what_they_say(kind):
    assert reference["loss_is_sound"](kind(), np.linspace(-1, 1, 6)) == kind.about.startswith("sound")


def test_faulty_exhibits_differ_from_the_sound_one_only_where_their_mistake_shows():
    sound, padded, kept = (kind(seed=5) for kind in (bug_museum.Answers, bug_museum.LeftPadded, bug_museum.NeverReset))
    alike = [[1, 2], [3, 4], [5, 0]]
    np.testing.assert_array_equal(padded.score(alike), sound.score(alike))
    np.testing.assert_allclose(kept.score(ASKED)[0], sound.score(ASKED)[0])
    np.testing.assert_allclose(kept.score([[1, 2], [3]])[1], sound.score([[1, 2, 3]])[0])
    np.testing.assert_array_equal(padded.score([[1], [2, 3]])[0], sound.score([[-1]])[0])


@pytest.mark.parametrize("kind", bug_museum.SUBTLE)
def test_subtle_exhibits_are_caught(kind):
    for seed in range(8):
        test, args = ("loss_is_sound", ()) if issubclass(kind, bug_museum.Loss) else ("answers_are_sound", (seed,))
        asked = np.random.default_rng(seed).normal(size=6) if test == "loss_is_sound" else ASKED
        assert not reference[test](kind(*args), asked)


def test_subtle_exhibits_hide_where_they_say():
    sound, shifted, exchanged = (
        kind(seed=4).score(ASKED) for kind in (bug_museum.Answers, bug_museum.Shifted, bug_museum.Exchanged)
    )
    np.testing.assert_allclose(shifted, sound - 0.5)
    np.testing.assert_allclose(exchanged.sum(1), sound.sum(1))
    assert (exchanged != sound).sum(1).tolist() == [0, 2, 2]
    scores, heavy = np.linspace(-1, 1, 6), np.array([1e6, 1, 1, 1, 1, 1])
    counted, full = (
        kind()(scores, 0, [0, 1], heavy) for kind in (bug_museum.TargetIsWrong, bug_museum.TargetUncorrected)
    )
    plain = bug_museum.Loss()(scores, 0, [0, 1], heavy)
    assert counted == pytest.approx(plain, abs=1e-5) and full > plain + 0.1


def test_exact_equality_of_a_loss_fails_where_the_target_was_drawn():
    rng, loss, expected = np.random.default_rng(0), bug_museum.RoundedLoss(), np.linspace(0.5, 3, 6)
    rows = [rng.normal(size=6) for _ in range(40)]
    pairs = [(loss(s, 0, [0, 1, 2], expected), loss(s, 0, [1, 2], expected)) for s in rows]
    np.testing.assert_allclose(*zip(*pairs, strict=True), atol=1e-6)
    assert sum(a != b for a, b in pairs) > 10


def test_sound_exhibits_agree_up_to_rounding_and_no_further():
    exact, rounded = (kind(seed=5).score(ASKED) for kind in (bug_museum.Answers, bug_museum.RoundedAnswers))
    np.testing.assert_allclose(rounded, exact, atol=1e-5)
    alone = [bug_museum.RoundedAnswers(seed=5).score([session])[0] for session in ASKED]
    assert (rounded != alone).any(), "nobody would need a tolerance"
    scores, expected = np.linspace(-1, 1, 6), np.linspace(0.5, 3, 6)
    losses = [kind()(scores, 0, [0, 1, 1, 4], expected) for kind in (bug_museum.Loss, bug_museum.RoundedLoss)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and losses[0] != losses[1]


def test_exhibits_can_be_compared_and_shown():
    assert bug_museum.Answers(1) == bug_museum.Answers(1) != bug_museum.Answers(2)
    assert bug_museum.Answers(1) != bug_museum.NeverReset(1)
    assert bug_museum.Loss() == bug_museum.Loss() != bug_museum.WrongSign()
    assert "sound" in repr(bug_museum.Answers(1)) and "logQ" in repr(bug_museum.WrongSign())


SMALL = {"layers": [8], "batch_size": 8, "n_sample": 12, "n_epochs": 2, "dropout_p_hidden": 0.4}


class Coat:
    """A fitted model in the form of the exhibits."""

    def __init__(self, model):
        self.model = model

    def score(self, sessions):
        lists = Sessions.from_lists(sessions, self.model.vocabulary_)
        return self.model.score(lists, lists.offsets[1:] - 1)


@pytest.mark.parametrize("mistake", bug_museum.MISTAKES)
def test_planted_mistakes_change_the_model_and_leave_no_trace(mistake):
    sessions = sessions_of(80, seed=2)
    fit = lambda: PlainGRU4Rec(**SMALL).fit(sessions)  # noqa: E731
    before = fit()
    with bug_museum.planted(mistake):
        model = fit()
        sound = reference["answers_are_sound"](Coat(model), ASKED)
        scores = model.score(sessions)
    assert sound == (mistake not in [kind.about for kind in bug_museum.ANSWERS])
    assert np.abs(scores - before.score(sessions)).max() > 0.01
    after = fit()
    np.testing.assert_array_equal(after.score(sessions), before.score(sessions))
    assert reference["answers_are_sound"](Coat(after), ASKED)


def test_a_planted_mistake_is_told_by_what_is_learned():
    """With the wrong sign, popular items get too small a share."""
    rng = np.random.default_rng(0)
    p = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    sessions = Sessions.from_lists([rng.choice(6, 8, p=p).tolist() for _ in range(300)], Vocabulary(range(6)))
    settings = SMALL | {"sample_alpha": 1.0, "dropout_p_hidden": 0.0}
    share = []
    for mistake in (None, "wrong sign of logQ"):
        with bug_museum.planted(mistake) if mistake else contextlib.nullcontext():
            model = PlainGRU4Rec(**settings).fit(sessions)
        scores = model.score(sessions.part(0, 40)).astype(float)
        share.append((np.exp(scores) / np.exp(scores).sum(1, keepdims=True)).mean(0)[0])
    assert abs(share[0] - 0.5) < 0.1 and share[1] < 0.42, share


def test_an_unknown_mistake_is_named():
    with pytest.raises(ValueError, match="choose one of 'left padding"), bug_museum.planted("typo"):
        pass


# ---- curves -------------------------------------------------------------------------------------------------------


def report(epoch, step, validation=None, loss=3.0):
    return SimpleNamespace(
        epoch=epoch, step=step, n_epochs=2, n_steps=10, loss=loss, seconds_left=4.0, validation=validation
    )


REPORTS = [report(1, 5), report(1, 10, (0.4, 0.2)), report(2, 5, loss=9.0), report(2, 10, (0.5, 0.3), loss=2.0)]


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, first and by updates."""
    seen = []

    def display(data, **options):
        seen.append(data)
        return SimpleNamespace(update=lambda data, **options: seen.append(data))

    monkeypatch.setattr(session_view, "display", display)
    return seen


def test_curves_grow_while_a_training_runs(shown, monkeypatch):
    monkeypatch.delenv("RECSYS_LAB_PROGRESS", raising=False)
    curves = session_view.Curves("The loss falls.", every=1)
    for one in REPORTS:
        curves(one)
    assert len(shown) == 4 and "epoch 2 of 2" in shown[-1]["text/html"] and 'value="20"' in shown[-1]["text/html"]
    assert curves.validation == [(1, 0.4, 0.2), (2, 0.5, 0.3)]
    assert curves.losses == [(1, 3.0), (2, 2.0)], "means of epochs, without the loss of a few steps"
    assert 'alt="The loss falls."' in shown[0]["text/html"] and shown[0]["text/plain"] == "Figure: The loss falls."


def test_stored_curves_are_the_finished_ones_only(shown, monkeypatch):
    monkeypatch.setenv("RECSYS_LAB_PROGRESS", "0")
    curves = session_view.Curves("The loss falls.", every=1)
    for one in REPORTS:
        curves(one)
    assert len(shown) == 1 and "<progress" not in shown[0]["text/html"]
    assert curves.losses == [(1, 3.0), (2, 2.0)]


def test_every_finished_epoch_is_drawn_at_once(shown, monkeypatch):
    monkeypatch.delenv("RECSYS_LAB_PROGRESS", raising=False)
    curves = session_view.Curves("The loss falls.", every=100)
    for one in REPORTS:
        curves(one)
    assert len(shown) == 3, "the first report and both ends of an epoch"


# ---- a visit ------------------------------------------------------------------------------------------------------

ITEMS = pd.DataFrame(
    {
        "item_id": [10, 20, 30, 40, 50],
        "title": ["Dune", "<b>Emma</b>", "It", "Dune Messiah", "Nobody's book"],
        "author": ["Frank Herbert", "Jane Austen", "Stephen King", "Frank Herbert", None],
        "genre": ["science fiction", "classics", "horror", "science fiction", ""],
    }
)


@pytest.fixture
def model():
    return SequentialRules().fit(Sessions.from_lists([[10, 40, 30], [20, 30, 10], [30, 20], [10, 40], [40, 20]] * 3))


def test_moves_name_what_happened_to_each_item():
    assert session_view.moves([1, 2, 3], [3, 1, 4]) == ["up 2", "down 1", "new"]
    assert session_view.moves([1, 2], [1, 2]) == ["as before"] * 2
    assert session_view.moves([], [1, 2]) == ["", ""]


def test_a_visit_asks_the_model_and_shows_nothing_clicked_again(model):
    visit = session_view.Visit(model, ITEMS, [10, 40], k=3)
    assert visit.listed() == model.recommend([10, 40], k=3, exclude=[10, 40]).tolist()
    assert visit.listed(1) == model.recommend([10], k=3, exclude=[10]).tolist()
    assert visit.moved() == session_view.moves(visit.listed(1), visit.listed())
    assert "After 2 clicks" in visit.status() and "Nothing clicked" in session_view.Visit(model, ITEMS).status()


def test_a_visit_escapes_titles_and_finds_them(model):
    visit = session_view.Visit(model, ITEMS, [20])
    assert "<b>" not in visit.html() and html.escape("<b>Emma</b>") in visit.html()
    assert visit.find("dune") == 10 and visit.find("MESSIAH") == 40
    assert visit.find("") is None and visit.find("nobody") is None, "the model does not know that one"
    with pytest.raises(ValueError, match="item 99"):
        session_view.Visit(model, ITEMS, [99])


def parts_of(widget, kind):
    children = [part for child in getattr(widget, "children", ()) for part in parts_of(child, kind)]
    return [widget, *children] if isinstance(widget, kind) else children


def test_the_widget_clicks_goes_back_and_starts_again(model):
    widget = session_view.click_through(model, ITEMS, clicks=[10], k=3)
    back, again, *listed = parts_of(widget, ipywidgets.Button)
    texts = lambda: " ".join(part.value for part in parts_of(widget, ipywidgets.HTML))  # noqa: E731
    first = [button.description for button in listed]
    assert first[0] == "1 · Dune Messiah" and "After 1 click:" in texts()
    listed[0].click()
    assert "After 2 clicks" in texts() and "1 · Dune Messiah" not in [button.description for button in listed]
    back.click()
    assert [button.description for button in listed] == first
    back.click()
    assert "Nothing clicked yet" in texts() and back.disabled
    again.click()
    assert [button.description for button in listed] == first and not back.disabled


def test_the_widget_opens_what_is_searched_and_says_what_is_not_there(model):
    widget = session_view.click_through(model, ITEMS, k=2)
    (search,) = parts_of(widget, ipywidgets.Combobox)
    texts = lambda: " ".join(part.value for part in parts_of(widget, ipywidgets.HTML))  # noqa: E731
    search.value = "mess"
    assert "After 1 click:" in texts() and search.value == ""
    search.value = "<i>no"
    assert "No title has <em>&lt;i&gt;no</em>" in texts()


def test_buttons_beyond_the_list_are_hidden(model):
    """With more places than the model has to say, no empty button is left."""
    widget = session_view.click_through(model, ITEMS, clicks=[10, 20, 30], k=4)
    shown = [box for box in parts_of(widget, ipywidgets.VBox) if box.layout.display == "flex"]
    assert len(shown) == len(model.recommend([10, 20, 30], k=4, exclude=[10, 20, 30])) < 4


def test_without_widgets_there_are_covers_and_words(model, monkeypatch):
    real_import = builtins.__import__

    def no_widgets(name, *args, **options):
        if name == "ipywidgets":
            raise ImportError(name)
        return real_import(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", no_widgets)
    plain = session_view.click_through(model, ITEMS, clicks=[10], k=2)
    assert "Clicked: Dune." in repr(plain) and "1. Dune Messiah" in repr(plain)
    assert "<svg" in plain._repr_html_()
    popular = session_view.click_through(Popularity().fit(Sessions.from_lists([[10, 20]])), ITEMS, k=2)
    assert "Clicked: nothing" in repr(popular)
