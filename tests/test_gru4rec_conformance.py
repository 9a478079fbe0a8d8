"""What makes a GRU4Rec a GRU4Rec, and the proof that each of these tests can fail.

Public versions of this model lost up to most of its accuracy to flaws that no test of theirs saw (Hidasi & Czapp, "The
effect of third party implementations on reproducibility", RecSys 2023). Every check below asks for behaviour only:
sessions in, losses and scores out. It runs on the fast and on the plain version, and on a version with a planted
defect, where it has to fail.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import GRU4Rec, PlainGRU4Rec
from recsys_lab.models import gru4rec_inference as inference
from recsys_lab.models import gru4rec_losses as losses
from recsys_lab.models import gru4rec_run as running
from recsys_lab.models import gru4rec_training as training
from recsys_lab.models.gru4rec_batches import Schedule

FROZEN = 1e-30  # a learning rate that changes no weight: the loss is that of the first weights


def sessions_of(n: int, n_items: int = 12, longest: int = 7, seed: int = 0) -> Sessions:
    rng = np.random.default_rng(seed)
    lists = [rng.integers(0, n_items, rng.integers(2, longest)).tolist() for _ in range(n)]
    return Sessions.from_lists(lists, Vocabulary(range(n_items)))


# the checks


def side_by_side(sessions: Sessions, batch_size: int):
    """Rows of the clicks of each step: whoever ends makes room for the next in line."""
    line = [list(range(a, b)) for a, b in zip(sessions.offsets, sessions.offsets[1:], strict=False)]
    lanes = [line.pop(0) for _ in range(min(batch_size, len(line)))]
    while any(len(lane) > 1 for lane in lanes):
        yield np.array([lane[0] for lane in lanes if len(lane) > 1])
        lanes = [lane[1:] for lane in lanes]
        lanes = [line.pop(0) if len(lane) == 1 and line else lane for lane in lanes]


def loss_of(kind: str, scores: np.ndarray, targets: np.ndarray, bpreg: float, elu_param: float) -> float:
    """Summed loss of a step without additional negatives, from the papers' formulas, lane by lane."""
    total = 0.0
    for row, right in zip(scores.astype(float), targets, strict=True):
        wrong = targets[targets != right]
        if kind == "cross-entropy":
            total += np.log(np.exp(row[right]) + np.exp(row[wrong]).sum()) - row[right]
        else:
            r = np.where(row > 0, row, elu_param * (np.exp(row) - 1))
            p = np.exp(r[wrong]) / np.exp(r[wrong]).sum()
            better = (p / (1 + np.exp(r[wrong] - r[right]))).sum()
            total += -np.log(better) + bpreg * (p * r[wrong] ** 2).sum()
    return total


def training_reads_what_answering_reads(made, kind: str = "cross-entropy") -> None:
    """The loss of an epoch is that of the scores which the model would answer with, at every click."""
    sessions = sessions_of(40)
    settings = {"layers": [16], "batch_size": 6, "n_sample": 0, "logq": 0.0, "learning_rate": FROZEN}
    settings["dropout_p_embed"] = 0.0
    model = made(kind, **settings, n_epochs=1, bpreg=0.8, elu_param=0.5).fit(sessions)
    scores, total, n_events = model.score(sessions), 0.0, 0
    for rows in side_by_side(sessions, 6):
        if len(np.unique(sessions.items[rows + 1])) > 1:  # alone, the right item has nothing to be better than
            total += loss_of(kind, scores[rows], sessions.items[rows + 1], 0.8, 0.5)
        n_events += len(rows)
    np.testing.assert_allclose(model.loss_, total / n_events, rtol=2e-6)


def so_it_does_with_bpr_max(made) -> None:
    training_reads_what_answering_reads(made, "bpr-max")


def small(made, **options):
    defaults = {"layers": [10], "batch_size": 8, "n_sample": 10, "n_epochs": 1, "learning_rate": 0.3}
    return made(**(defaults | options)).fit(sessions_of(120, seed=3))


def prefixes_score_as_the_whole(made) -> None:
    """Scores after a click are those of the session that ends there."""
    model, sessions = small(made), sessions_of(12, seed=4)
    whole = model.score(sessions)
    lists = [session[: n + 1].tolist() for session in sessions for n in range(len(session))]
    prefixes = Sessions.from_lists(lists, sessions.vocabulary)
    np.testing.assert_allclose(model.score(prefixes, prefixes.offsets[1:] - 1), whole, atol=1e-5)


def alone_is_as_in_company(made) -> None:
    """A session scores the same beside any others: none, a few, more than fit side by side."""
    model, sessions = small(made), sessions_of(70, seed=5)
    alone = np.concatenate([model.score(sessions.part(n, n + 1)) for n in range(70)])
    for n in (1, 2, 31, 32, 33, 64, 70):
        np.testing.assert_allclose(model.score(sessions.part(0, n)), alone[: sessions.offsets[n]], atol=1e-5)


def memory_is_used(made) -> None:
    """What comes after x depends on what came before it."""
    sessions = Sessions.from_lists([["a", "x", "b"], ["c", "x", "d"]] * 100)
    model = made(layers=[16], batch_size=4, n_sample=4, n_epochs=6).fit(sessions)
    assert model.recommend(["a", "x"], 1).tolist() == ["b"]
    assert model.recommend(["c", "x"], 1).tolist() == ["d"]


def popularity_is_learned(made) -> None:
    """Where the next item is drawn from p whatever came before, softmax(scores) is p, from whatever negatives."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(12, 0.7))
    sessions = Sessions.from_lists([rng.choice(12, 11, p=p).tolist() for _ in range(450)], Vocabulary(range(12)))
    share = np.bincount(sessions.items, minlength=12) / sessions.n_clicks
    for alpha in (0.0, 1.0):
        settings = {"layers": [2], "batch_size": 10, "n_sample": 20, "sample_alpha": alpha, "learning_rate": 0.1}
        scores = made(**settings, logq=1.0, n_epochs=2).fit(sessions).score(sessions.part(0, 30)).astype(float)
        learned = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        distance = abs(learned.mean(0) - share).sum() / 2
        assert distance < 0.05, f"alpha {alpha}: {distance:.3f} of the probability is in the wrong place"


def the_right_item_is_never_wrong(made) -> None:
    """Of three lanes two have the target t: neither loses to the other's t, and for the third t counts twice."""
    sessions = Sessions.from_lists([["a", "t"], ["b", "t"], ["c", "u"]])
    settings = {"layers": [5], "batch_size": 3, "n_sample": 0, "logq": 0.0, "learning_rate": FROZEN, "n_epochs": 1}
    settings["dropout_p_embed"] = 0.0
    model = made(**settings).fit(sessions)
    t, u = model.vocabulary_.encode(["t", "u"])
    lead = [row[t] - row[u] for row in model.score(sessions, [0, 2, 4]).astype(float)]
    expected = np.log1p(np.exp(-lead[0])) + np.log1p(np.exp(-lead[1])) + np.log1p(2 * np.exp(lead[2]))
    np.testing.assert_allclose(model.loss_, expected / 3, rtol=2e-6)


def only_what_was_clicked_is_listed(made) -> None:
    """Ids of the vocabulary that nobody clicked, such as one for padding, are never recommended."""
    clicked = ["a", "b", "c", "d"]
    sessions = Sessions.from_lists([clicked, clicked[::-1]] * 20, Vocabulary(["<padding>", *clicked, "unseen"]))
    for loss in ("cross-entropy", "bpr-max"):
        model = made(loss, layers=[6], batch_size=4, n_sample=6, n_epochs=1).fit(sessions)
        assert model.score(sessions).shape == (sessions.n_clicks, 6)
        for session in (["a"], ["b", "c"]):
            assert set(model.recommend(session, k=99)) <= set(clicked)
        assert len(model.recommend(["a"], k=99)) == 4


def answers_drop_nothing(made) -> None:
    """Dropout is for training: answers are the same each time, and those of the same weights without dropout."""
    settings = {"dropout_p_embed": 0.5, "dropout_p_hidden": 0.5}
    model, sessions = small(made, **settings), sessions_of(20, seed=6)
    scores = model.score(sessions)
    np.testing.assert_array_equal(model.score(sessions), scores)
    without = made(**(model.get_params() | {"dropout_p_embed": 0.0, "dropout_p_hidden": 0.0}))
    vars(without).update({name: value for name, value in vars(model).items() if name.endswith("_")})
    np.testing.assert_array_equal(without.score(sessions), scores)


def dropout_is_active_in_training(made) -> None:
    """Each of the two changes what is learned."""
    sessions, plain = sessions_of(20, seed=6), small(made)
    for place in ("dropout_p_embed", "dropout_p_hidden"):
        assert abs(small(made, **{place: 0.5}).score(sessions) - plain.score(sessions)).max() > 0.05


CHECKS = [
    training_reads_what_answering_reads,
    so_it_does_with_bpr_max,
    prefixes_score_as_the_whole,
    alone_is_as_in_company,
    memory_is_used,
    popularity_is_learned,
    the_right_item_is_never_wrong,
    only_what_was_clicked_is_listed,
    answers_drop_nothing,
    dropout_is_active_in_training,
]


@pytest.mark.parametrize("made", [GRU4Rec, PlainGRU4Rec])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(check, made):
    check(made)


# the defects: each plants itself by `patch(object, name, defective version)`


def left_padding_with_a_packed_gru(patch):
    """Sessions are padded on the left, and a packed sequence then reads the first `length` entries: the padding."""

    def replay(self, sessions):
        for start in range(0, len(sessions), inference.LANES):
            lanes = np.arange(start, min(start + inference.LANES, len(sessions)))
            lengths = sessions.lengths[lanes]
            padded = np.zeros((len(lanes), lengths.max()), np.int64)
            for row, session in zip(padded, lanes, strict=True):
                row[len(row) - len(sessions[session]) :] = sessions[session]
            hidden = self.start(len(lanes))
            for position in range(padded.shape[1]):
                hidden = self.read(padded[:, position], hidden)
                here = lengths > position
                yield sessions.offsets[lanes][here] + position, hidden[-1][here]

    patch(inference.Reader, "_replay", replay)


def seats_with(patch, change):
    sound = training.Trainer._seat
    patch(training.Trainer, "_seat", lambda self, step: sound(self, replace(step, first=change(self, step))))


def no_reset_at_session_starts(patch):
    seats_with(patch, lambda trainer, step: step.first[:0])


def reset_of_the_wrong_lane(patch):
    seats_with(patch, lambda trainer, step: (step.first + 1) % trainer.n_lanes if len(step.first) else step.first)


def reset_of_all_lanes(patch):
    seats_with(patch, lambda trainer, step: step.lanes if len(step.first) else step.first)


def memory_lost_between_clicks(patch):
    seats_with(patch, lambda trainer, step: np.arange(len(step.lanes)))


def answers_from_the_last_click_alone(patch):
    sound = inference.Reader.read
    patch(inference.Reader, "read", lambda self, clicked, hidden: sound(self, clicked, [0 * h for h in hidden]))


def sessions_run_into_each_other(patch):
    def merged(sessions, batch_size):
        return Schedule(replace(sessions, offsets=sessions.offsets[::2]), batch_size)

    patch(running, "Schedule", merged)


def corrected_with(patch, factor):
    sound = training.Trainer.__init__

    def init(self, *args, **options):
        sound(self, *args, **options)
        self._log_expected = factor * self._log_expected

    patch(training.Trainer, "__init__", init)


def wrong_sign_of_logq(patch):
    corrected_with(patch, -1)


def logq_forgotten(patch):
    corrected_with(patch, 0)


def the_target_is_corrected_as_if_drawn(patch):
    sound, cross_entropy = training.Trainer._loss, losses.cross_entropy

    def loss(self, columns, seen, local):
        drawn = torch.from_numpy(self._log_expected[columns.ids[columns.right]].astype(np.float32))
        patch(losses, "cross_entropy", lambda scores, right, own: cross_entropy(scores, right, own + drawn))
        return sound(self, columns, seen, local)

    patch(training.Trainer, "_loss", loss)


def negatives_uniform_whatever_alpha(patch):
    patch(training, "sampling_weights", lambda popularity, alpha: np.ones(len(popularity)))


def the_target_among_negatives_is_wrong(patch):
    def cross_entropy(scores, right, log_weights):
        p = torch.softmax(scores, 1)
        picked = p.view(-1)[right]
        p.view(-1)[right] -= 1
        return log_weights - picked.log(), p

    patch(losses, "cross_entropy", cross_entropy)


def the_target_competes_in_bpr_max(patch):
    patch(losses, "NEVER", 0.0)


def answers_by_cosine_after_training_by_dot_product(patch):
    def scores(self, hidden):
        length = np.linalg.norm(hidden, axis=1, keepdims=True) * np.linalg.norm(self._embedding, axis=1)
        return hidden @ self._embedding.T / np.maximum(length, 1e-9) + self._bias

    patch(inference.Reader, "scores", scores)


def answers_without_bias(patch):
    patch(inference.Reader, "scores", lambda self, hidden: hidden @ self._embedding.T)


def padding_is_recommendable(patch):
    sound = GRU4Rec.learned

    def learned(self, items, inputs, gru):
        sound(self, items, inputs, gru)
        self.item_bias_ = items[:, -1].copy()

    patch(GRU4Rec, "learned", learned)


def dropout_active_in_answers(patch):
    sound, rng = inference.Reader.read, np.random.default_rng(0)

    def read(self, clicked, hidden):
        return [h * (rng.random(h.shape) > 0.1).astype(np.float32) for h in sound(self, clicked, hidden)]

    patch(inference.Reader, "read", read)


def dropout_off_in_training(patch):
    patch(training.Trainer, "_dropout", lambda self, x, p: None)


def evaluation_batch_larger_than_the_sessions_left(patch):
    sound = inference.Reader._replay

    def replay(self, sessions):
        yield from sound(self, sessions.part(0, len(sessions) // inference.LANES * inference.LANES))

    patch(inference.Reader, "_replay", replay)


DEFECTS = [
    (left_padding_with_a_packed_gru, alone_is_as_in_company),
    (left_padding_with_a_packed_gru, training_reads_what_answering_reads),
    (no_reset_at_session_starts, training_reads_what_answering_reads),
    (no_reset_at_session_starts, so_it_does_with_bpr_max),
    (reset_of_the_wrong_lane, training_reads_what_answering_reads),
    (reset_of_all_lanes, training_reads_what_answering_reads),
    (memory_lost_between_clicks, training_reads_what_answering_reads),
    (answers_from_the_last_click_alone, memory_is_used),
    (sessions_run_into_each_other, training_reads_what_answering_reads),
    (wrong_sign_of_logq, popularity_is_learned),
    (logq_forgotten, popularity_is_learned),
    (the_target_is_corrected_as_if_drawn, popularity_is_learned),
    (negatives_uniform_whatever_alpha, popularity_is_learned),
    (the_target_among_negatives_is_wrong, the_right_item_is_never_wrong),
    (the_target_among_negatives_is_wrong, training_reads_what_answering_reads),
    (the_target_competes_in_bpr_max, so_it_does_with_bpr_max),
    (answers_by_cosine_after_training_by_dot_product, training_reads_what_answering_reads),
    (answers_without_bias, popularity_is_learned),
    (padding_is_recommendable, only_what_was_clicked_is_listed),
    (dropout_active_in_answers, answers_drop_nothing),
    (dropout_active_in_answers, prefixes_score_as_the_whole),
    (dropout_off_in_training, dropout_is_active_in_training),
    (evaluation_batch_larger_than_the_sessions_left, alone_is_as_in_company),
]


@pytest.mark.parametrize(("defect", "check"), DEFECTS, ids=lambda function: function.__name__)
def test_a_defect_is_caught(defect, check, monkeypatch):
    defect(monkeypatch.setattr)
    with pytest.raises(AssertionError):
        check(GRU4Rec)


def test_every_check_can_fail():
    assert {check for _, check in DEFECTS} == set(CHECKS)
