"""GRU4Rec: its parts against independent answers, and the fast version against the plain one, step by step."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from recsys_lab.interactions import Sessions
from recsys_lab.models import GRU4Rec, PlainGRU4Rec, gru4rec_cells, gru4rec_layout, gru4rec_optimiser, gru4rec_plain
from recsys_lab.models import gru4rec_losses as losses
from recsys_lab.models.gru4rec_batches import AliasSampler, Columns, Schedule, expected_counts, sampling_weights
from recsys_lab.models.gru4rec_optimiser import EPSILON
from recsys_lab.models.gru4rec_training import Trainer

BOTH_LOSSES = pytest.mark.parametrize("loss", ["cross-entropy", "bpr-max"])


def some_sessions(n=60, n_items=25, seed=0) -> Sessions:
    rng = np.random.default_rng(seed)
    return Sessions.from_lists([rng.zipf(1.6, rng.integers(1, 9)).clip(max=n_items).tolist() for _ in range(n)])


# what a step reads


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=25), st.integers(1, 7))
def test_schedule_is_that_of_the_plain_version(lengths, batch_size):
    counter = iter(range(1000))
    sessions = Sessions.from_lists([[next(counter) for _ in range(n)] for n in lengths])
    plain = list(gru4rec_plain.session_parallel(sessions, batch_size))
    if not plain:
        with pytest.raises(ValueError, match="no session has a second click"):
            Schedule(sessions, batch_size)
        return
    schedule = Schedule(sessions, batch_size)
    assert len(schedule) == len(plain)
    for t, (lane, clicked, target, first) in enumerate(plain):
        step = schedule[t]
        np.testing.assert_array_equal(step.lanes, lane)
        np.testing.assert_array_equal(step.clicked, clicked)
        np.testing.assert_array_equal(step.target, target)
        np.testing.assert_array_equal(step.first, lane[first])
        assert schedule.events_before(t) == sum(len(p[0]) for p in plain[:t])
    with pytest.raises(IndexError):
        schedule[len(schedule)]


def test_schedule_by_hand():
    schedule = Schedule(Sessions.from_lists([[0, 1, 2], [3, 4], [9], [5, 6, 7]]), 2)
    steps = [(s.lanes.tolist(), s.clicked.tolist(), s.target.tolist(), s.first.tolist()) for s in schedule]
    assert steps == [
        ([0, 1], [0, 3], [1, 4], [0, 1]),
        ([0, 1], [1, 5], [2, 6], [1]),
        ([1], [6], [7], []),
    ]


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_negatives_follow_popularity_to_the_power_of_alpha(alpha):
    popularity = np.array([0, 1, 2, 50, 7, 0, 400, 3])
    drawn = np.bincount(AliasSampler(sampling_weights(popularity, alpha)).draw(np.random.default_rng(0), 200_000))
    clicked = popularity > 0
    expected = np.where(clicked, popularity**alpha, 0)
    assert drawn[~clicked[: len(drawn)]].sum() == 0  # what nobody clicked is no negative, not even at alpha 0
    observed = np.pad(drawn, (0, 8 - len(drawn)))[clicked]
    assert stats.chisquare(observed, (expected / expected.sum() * 200_000)[clicked]).pvalue > 1e-3


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3))
def test_alias_tables_hold_the_distribution(weights):
    sampler, weights = AliasSampler(weights), np.array(weights)
    share = sampler._own.copy()
    np.add.at(share, sampler._alias, 1 - sampler._own)
    np.testing.assert_allclose(share / len(weights), weights / weights.sum(), atol=1e-9)
    assert weights[sampler.draw(np.random.default_rng(0), 500)].min() > 0


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [1, np.nan], [[1, 2]]])
def test_impossible_weights(weights):
    with pytest.raises(ValueError, match="weights must be"):
        AliasSampler(weights)


def test_columns_name_each_item_once():
    columns = Columns(12).of(np.array([3, 9, 9]), np.array([5, 3, 5]), np.array([5, 7, 7, 0]))
    assert columns.ids.tolist() == [0, 3, 5, 7, 9]  # 9 is clicked, not scored
    assert columns.counts.tolist() == [1, 1, 3, 2]
    assert columns.right.tolist() == [2, 1, 2]
    assert columns.clicked.tolist() == [1, 4, 4]


def test_expected_counts_are_those_of_many_steps():
    popularity = np.array([5, 20, 75, 0])
    rng, sampler = np.random.default_rng(0), AliasSampler(sampling_weights(popularity, 0.5))
    targets = rng.choice(4, (4000, 6), p=popularity / 100)
    seen = np.array([np.bincount([*t, *sampler.draw(rng, 10)], minlength=4) for t in targets]).mean(0)
    np.testing.assert_allclose(seen, expected_counts(popularity, 6, 10, 0.5), rtol=0.03)


# forward and gradient


def test_cell_is_torchs_cell():
    rng, n, m = np.random.default_rng(0), 5, 7
    flat = torch.from_numpy(gru4rec_layout.first_weights(rng, m, [n]))
    flat += 0.1 * torch.from_numpy(rng.normal(size=len(flat)).astype(np.float32))  # biases too
    gradients = torch.zeros_like(flat)
    (w_ih, w_hh), g = gru4rec_layout.views(flat, m, [n])[0], gru4rec_layout.views(gradients, m, [n])[0]
    ours, theirs = gru4rec_cells.Cell(w_ih, w_hh, *g), nn.GRUCell(m, n)
    to_ih, to_hh = np.r_[n : 3 * n, :n], np.arange(3 * n)  # ours lie n r z and r z n, theirs r z n
    with torch.no_grad():
        for weights, bias, flat_part, order in (
            (theirs.weight_ih, theirs.bias_ih, w_ih, to_ih),
            (theirs.weight_hh, theirs.bias_hh, w_hh, to_hh),
        ):
            weights.copy_(flat_part[:-1, order].T)
            bias.copy_(flat_part[-1, order])
    x, h, up = (torch.from_numpy(rng.normal(size=(4, k)).astype(np.float32)) for k in (m, n, n))
    x.requires_grad_()
    expected = theirs(x, h)
    (expected * up).sum().backward()
    one = torch.ones(4, 1)
    torch.testing.assert_close(ours.forward(torch.cat([x.detach(), one], 1), torch.cat([h, one], 1)), expected)
    torch.testing.assert_close(ours.backward(up), x.grad)
    torch.testing.assert_close(g[0][:-1, to_ih].T, theirs.weight_ih.grad)
    torch.testing.assert_close(g[1][:-1, to_hh].T, theirs.weight_hh.grad)
    torch.testing.assert_close(g[0][-1, to_ih], theirs.bias_ih.grad)
    torch.testing.assert_close(g[1][-1, to_hh], theirs.bias_hh.grad)


def test_losses_by_hand():
    """Two wrong items, one of them drawn twice; worked out with a pocket calculator's functions."""
    s, counts = np.array([1.0, 0.5, -0.2]), np.array([1, 2, 1])
    right = torch.tensor([0])
    e = np.exp(s)
    weights = torch.tensor(np.log(counts), dtype=torch.float32)
    value, _ = losses.cross_entropy(torch.tensor(s, dtype=torch.float32)[None] + weights, right, weights[:1])
    assert value.item() == pytest.approx(-np.log(e[0] / (e[0] + 2 * e[1] + e[2])), rel=1e-6)
    r = np.array([1.0, 0.5, 0.5 * (np.exp(-0.2) - 1)])
    p = np.array([2 * np.exp(r[1]), np.exp(r[2])]) / (2 * np.exp(r[1]) + np.exp(r[2]))
    sigmoid = 1 / (1 + np.exp(-(r[0] - r[1:])))
    expected = -np.log((p * sigmoid).sum()) + 0.7 * (p * r[1:] ** 2).sum()
    value, _ = losses.bpr_max(torch.tensor(s, dtype=torch.float32)[None], right, weights, 0.7, 0.5)
    assert value.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("elu_param", [0, 0.5, 1.0])
def test_gradients_of_the_losses_are_autograds(elu_param):
    rng, n_columns = np.random.default_rng(1), 9
    ids = np.r_[rng.integers(0, 5, 4), rng.integers(0, 9, 30)]  # 4 targets, 30 negatives, many twice
    distinct, place, counts = np.unique(ids, return_inverse=True, return_counts=True)
    log_expected = torch.from_numpy(rng.normal(size=n_columns).astype(np.float32))
    is_wrong = torch.from_numpy(ids[None] != ids[:4, None])
    right = torch.from_numpy(place[:4] + np.arange(4) * len(distinct))
    for loss in ("cross-entropy", "bpr-max"):
        scores = torch.from_numpy(rng.normal(size=(4, len(distinct))).astype(np.float32)).requires_grad_()
        wide = scores[:, place]
        log_counts = torch.from_numpy(np.log(counts).astype(np.float32))
        if loss == "cross-entropy":
            expected = gru4rec_plain.cross_entropy(wide, is_wrong, log_expected[ids])
            weights = log_counts - log_expected[distinct]
            value, gradient = losses.cross_entropy(scores.detach() + weights, right, weights[place[:4]])
        else:
            expected = gru4rec_plain.bpr_max(wide, is_wrong, 1.3, elu_param)
            value, gradient = losses.bpr_max(scores.detach(), right, log_counts, 1.3, elu_param)
        expected.sum().backward()
        torch.testing.assert_close(value, expected.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient, scores.grad, rtol=1e-5, atol=1e-6)


# the two versions


SETTINGS = {
    "cross-entropy": {"learning_rate": 0.1, "dropout_p_embed": 0.2, "logq": 0.9, "dropout_p_hidden": 0.3},
    "bpr-max": {"learning_rate": 0.05, "momentum": 0.4, "dropout_p_embed": 0.3, "bpreg": 1.5, "sample_alpha": 0.4},
}


@BOTH_LOSSES
def test_twins_agree_step_by_step(loss):
    """Same batches and negatives in: same loss, gradients (Adagrad keeps their squares) and weights out."""
    sessions = some_sessions()
    plain = PlainGRU4Rec(loss, layers=(6,), batch_size=5, n_sample=30, **SETTINGS[loss], seed=3)
    popularity = np.bincount(sessions.items, minlength=sessions.n_items)
    plain._prepare(popularity)
    fast = Trainer(GRU4Rec(**plain.get_params()), popularity, n_lanes=5)
    fast.rng = np.random.default_rng(8)
    plain._rng = np.random.default_rng(8)
    chosen, hidden = np.random.default_rng(9), torch.zeros(5, 6)
    schedule = Schedule(sessions, 5)
    for t, (lane, clicked, target, first) in enumerate(gru4rec_plain.session_parallel(sessions, 5)):
        negatives = chosen.integers(0, sessions.n_items, 30)
        hidden[lane[first]] = 0.0
        hidden[lane], expected = plain._step(hidden[lane], clicked, target, negatives)
        assert fast.step(schedule[t], negatives).item() == pytest.approx(expected, rel=1e-5)
        close = {"rtol": 2e-4, "atol": 2e-5}
        torch.testing.assert_close(fast.hidden[0][:, :-1], hidden[lane], **close)
        torch.testing.assert_close(fast.items.weights[:, :-1], plain._items.detach(), **close)
        torch.testing.assert_close(fast.items.weights[:, -1], plain._bias.detach(), **close)
        squares = [optimiser.squares for optimiser in plain._optimisers]
        torch.testing.assert_close(fast.items.squares[:, :-1], squares[0], **close)
        torch.testing.assert_close(fast.items.squares[:, -1], squares[1], **close)
        (w_ih, w_hh), (s_ih, s_hh) = (
            gru4rec_layout.views(flat, 6, [6])[0] for flat in (fast.dense.weights, fast.dense.squares)
        )
        order = np.r_[6:18, :6]
        for ours, s, theirs, number, columns in (
            (w_ih, s_ih, plain._cell.weight_ih, 2, order),
            (w_hh, s_hh, plain._cell.weight_hh, 3, slice(None)),
        ):
            torch.testing.assert_close(ours[:-1, columns].T, theirs.detach(), **close)
            torch.testing.assert_close(s[:-1, columns].T, squares[number], **close)
            torch.testing.assert_close(s[-1, columns], squares[number + 2], **close)
    assert t > 30


@BOTH_LOSSES
def test_twins_agree_after_a_whole_fit(loss, monkeypatch):
    sessions = some_sessions()
    monkeypatch.setattr(AliasSampler, "draw", lambda self, rng, size: rng.choice(self.n, size, p=self.p))
    made = AliasSampler.__init__
    monkeypatch.setattr(AliasSampler, "__init__", lambda self, w: (made(self, w), setattr(self, "p", np.asarray(w)))[0])
    settings = {"layers": [6], "batch_size": 5, "n_sample": 12, "n_epochs": 2, "seed": 1}
    plain, fast = (made(loss, **settings, **SETTINGS[loss]).fit(sessions) for made in (PlainGRU4Rec, GRU4Rec))
    np.testing.assert_allclose(fast.score(sessions), plain.score(sessions), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fast.loss_, plain.loss_, rtol=1e-4)


def autograd_step(trainer, before, step, negatives, masks, hidden):
    """A step for any settings, out of torch's own parts: loss, and all weights afterwards."""
    m = trainer.model
    weights = {name: w.clone().requires_grad_() for name, w in before.items()}
    items, x = weights["items"], weights["inputs" if "inputs" in weights else "items"][step.clicked]
    x = (x[:, :-1] if "inputs" not in weights else x) * masks[0]
    one_hot, one = not m.constrained_embedding and not m.embedding, torch.ones(len(x), 1)
    layers = gru4rec_layout.views(weights["dense"], trainer.n_inputs, list(m.layers))
    for number, (w_ih, w_hh) in enumerate(layers):
        n, h = m.layers[number], hidden[number][:, :-1]
        i = x + w_ih[-1] if one_hot and number == 0 else torch.cat([x, one], 1) @ w_ih
        u = torch.cat([h, one], 1) @ w_hh
        r, z = torch.sigmoid(i[:, n : 2 * n] + u[:, :n]), torch.sigmoid(i[:, 2 * n :] + u[:, n : 2 * n])
        new = torch.tanh(i[:, :n] + r * u[:, 2 * n :])
        x = ((1 - z) * new + z * h) * masks[1 + number]
    ids = np.r_[step.target, negatives]
    scores = x @ items[ids, :-1].T + items[ids, -1]
    is_wrong = torch.from_numpy(ids[None] != step.target[:, None])
    loss = gru4rec_plain.bpr_max(scores, is_wrong, m.bpreg, m.elu_param).sum() / m.batch_size
    loss.backward()
    touched = {"items": np.union1d(step.clicked if "inputs" not in weights else [], ids).astype(int)}
    touched |= {"inputs": np.unique(step.clicked), "dense": slice(None)}
    after = {}
    for name, w in weights.items():
        after[name], rows, g = before[name].clone(), touched[name], w.grad[touched[name]]
        after[name][rows] -= m.learning_rate * g / torch.sqrt(EPSILON + g**2)
    return loss.item(), after


@pytest.mark.parametrize(
    "options",
    [
        {"layers": [6]},
        {"layers": [7, 4, 5]},
        {"layers": [6, 5], "dropout_p_hidden": 0.4, "dropout_p_embed": 0.3},
        {"layers": [6], "constrained_embedding": False, "embedding": 4, "dropout_p_embed": 0.3},
        {"layers": [6], "constrained_embedding": False},
        {"layers": [5, 6], "constrained_embedding": False, "dropout_p_embed": 0.3, "dropout_p_hidden": 0.2},
    ],
    ids=str,
)
def test_all_settings_against_autograd(options):
    sessions = some_sessions()
    model = GRU4Rec("bpr-max", batch_size=5, n_sample=20, bpreg=1.2, elu_param=0.6, **options)
    trainer = Trainer(model, np.bincount(sessions.items, minlength=sessions.n_items), 5)
    schedule = Schedule(sessions, 5)
    for t in range(4):
        trainer.step(schedule[t], trainer.draw())
    masks, drop = [], Trainer._dropout

    def remember(x, p):
        mask = drop(trainer, x, p)
        masks.append(torch.ones(()) if mask is None else mask)
        return mask

    trainer._dropout = remember
    before = {name: part.weights.clone() for name, part in trainer._parts().items()}
    for part in trainer._parts().values():
        part.squares.fill_(EPSILON)
    hidden = [h.clone() for h in trainer.hidden]
    step, negatives = schedule[4], trainer.draw()
    for h in hidden:
        h[step.first, :-1] = 0.0
    value = trainer.step(step, negatives).item()
    masks, hidden = [mask.clone() for mask in masks], [h.clone() for h in hidden]  # out of inference mode
    masks += [torch.ones(())] * (1 + len(model.layers) - len(masks))
    expected, after = autograd_step(trainer, before, step, negatives, masks, hidden)
    assert value == pytest.approx(expected, rel=1e-5)
    for name, part in trainer._parts().items():
        torch.testing.assert_close(part.weights, after[name], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("embedding", [{}, {"constrained_embedding": False, "embedding": 5}], ids=str)
def test_rows_are_moved_alike_by_numpy_and_by_torch(embedding, monkeypatch):
    """A GPU has no numpy; its way of gathering and putting back rows, run here on the CPU, changes nothing."""
    settings = {"layers": [6], "batch_size": 5, "n_sample": 12, "momentum": 0.2, "n_epochs": 1} | embedding
    here = GRU4Rec(**settings).fit(some_sessions())
    monkeypatch.setattr(gru4rec_optimiser, "on_host", lambda table: False)
    there = GRU4Rec(**settings).fit(some_sessions())
    np.testing.assert_array_equal(here.score(some_sessions(9)), there.score(some_sessions(9)))


def test_dropout_leaves_the_memory_whole():
    model = GRU4Rec(layers=[6], batch_size=3, n_sample=4, dropout_p_hidden=0.9)
    trainer = Trainer(model, np.ones(9, int), 3)
    trainer.step(Schedule(Sessions.from_lists([[0, 1], [2, 3], [4, 5]]), 3)[0], np.array([6, 7, 8, 1]))
    assert (trainer.hidden[0][:, :-1] != 0).all()


def test_dropout_drops_its_share_and_keeps_the_mean():
    trainer = Trainer(GRU4Rec(layers=[6]), np.ones(9, int), 3)
    x = torch.ones(300, 300)
    factors = trainer._dropout(x, 0.25)
    assert x is not factors and torch.equal(x, factors)
    assert factors.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (factors == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert trainer._dropout(x, 0) is None


# answers


@pytest.fixture(scope="module")
def model() -> GRU4Rec:
    settings = {"layers": [12, 7], "batch_size": 8, "n_sample": 30, "dropout_p_embed": 0.2, "dropout_p_hidden": 0.2}
    return GRU4Rec(**settings, n_epochs=2).fit(some_sessions(300))


def test_clicks_one_at_a_time_score_as_in_a_batch(model):
    sessions = some_sessions(90, seed=5)
    batch, row = model.score(sessions), 0
    for session in sessions:
        state = model.start()
        for item in sessions.vocabulary.decode(session):
            kept = state.copy()
            new, scores = model.step(state, item)
            assert np.array_equal(state, kept)  # the old state is not changed: a service may keep it
            np.testing.assert_allclose(scores, batch[row], atol=1e-5)
            assert new.dtype == scores.dtype == np.float32
            state, row = new, row + 1
    assert row == sessions.n_clicks


def test_unknown_items_leave_the_state_as_it_is(model):
    state, scores = model.step(model.start(), "no such item")
    np.testing.assert_array_equal(scores, model.popularity_)
    assert not state.any()
    once, first = model.step(state, 1)
    twice, second = model.step(once, -7)
    np.testing.assert_array_equal(once, twice)
    np.testing.assert_array_equal(first, second)


def test_reading_is_torchs_recurrent_network(model):
    """Two layers of `torch.nn.GRU` with the learned weights, over whole sessions."""
    gru, items = nn.GRU(12 if False else 7, 12), torch.from_numpy(model.item_embedding_)
    second = nn.GRU(12, 7)
    with torch.no_grad():
        for layer, (w_ih, w_hh) in zip((gru, second), gru4rec_layout.views(model.gru_, 7, [12, 7]), strict=True):
            n = w_hh.shape[1] // 3
            order = np.r_[n : 3 * n, :n]
            layer.weight_ih_l0.copy_(torch.from_numpy(w_ih[:-1, order].T.copy()))
            layer.bias_ih_l0.copy_(torch.from_numpy(w_ih[-1, order].copy()))
            layer.weight_hh_l0.copy_(torch.from_numpy(w_hh[:-1].T.copy()))
            layer.bias_hh_l0.copy_(torch.from_numpy(w_hh[-1].copy()))
        sessions = some_sessions(40, seed=2).recode(model.vocabulary_)
        expected = []
        for session in sessions:
            top, _ = second(gru(items[session])[0])
            expected.append((top @ items.T).numpy() + model.item_bias_)
    np.testing.assert_allclose(model.score(sessions), np.concatenate(expected), atol=1e-5)


def test_answering_needs_no_torch(model, tmp_path):
    model.save(tmp_path / "model.npz")
    code = (
        "import sys; from recsys_lab.models import GRU4Rec; import recsys_lab.models;"
        f"m = GRU4Rec.load({str(tmp_path / 'model.npz')!r}); print(m.recommend([1, 2]), m.step(m.start(), 1)[1].shape);"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert str(model.recommend([1, 2])) in done.stdout


def test_layers_may_be_any_sequence(tmp_path):
    for layers in ((6,), [6], np.array([6])):
        model = GRU4Rec(layers=layers, n_sample=5, n_epochs=1).fit(some_sessions(20))
        model.save(tmp_path / "m.npz")
        again = GRU4Rec.load(tmp_path / "m.npz")
        assert repr(again) == repr(model)
        np.testing.assert_array_equal(again.score(some_sessions(5)), model.score(some_sessions(5)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "top1"}, r"loss='top1': choose one of"),
        ({"layers": 100}, r"Fix: layers=\[100\]"),
        ({"layers": []}, "layers is a list"),
        ({"layers": [10, 0]}, "layers is a list"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"n_sample": -1}, "n_sample must be at least 0"),
        ({"learning_rate": 0}, "learning_rate must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"dropout_p_embed": 1.0}, "dropout_p_embed must be below 1"),
        ({"momentum": 1.5}, "momentum must be below 1"),
        ({"embedding": 50}, "Fix: constrained_embedding=False"),
        ({"device": "tpu"}, "choose 'auto', 'cpu' or 'cuda'"),
    ],
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        GRU4Rec(**options).fit(some_sessions(5))


def test_a_failed_fit_leaves_no_half_model():
    model = GRU4Rec(layers=[4], n_sample=3, n_epochs=1).fit(some_sessions(9))
    with pytest.raises(ValueError, match="no session has a second click"):
        model.fit(Sessions.from_lists([["a"], ["b"]]))
    with pytest.raises(ValueError, match="has not learned yet"):
        model.recommend([1])


def test_one_item_alone_teaches_nothing():
    for loss in ("cross-entropy", "bpr-max"):
        model = GRU4Rec(loss, layers=[4], n_sample=3, n_epochs=1).fit(Sessions.from_lists([["a", "a"]]))
        assert model.loss_.tolist() == [0.0]
        assert np.isfinite(model.score(Sessions.from_lists([["a"]]))).all()


def test_sessions_are_learned_from_in_the_order_of_time():
    sessions = some_sessions(30)
    timed = SimpleNamespace(later=sessions.take(np.arange(29, -1, -1)), settings={"layers": [4], "n_sample": 3})
    from dataclasses import replace

    log, backwards = (replace(s, has_time=True) for s in (sessions, timed.later))
    for made in (GRU4Rec, PlainGRU4Rec):
        a, b = (made(**timed.settings).fit(s).score(log) for s in (log, backwards))
        np.testing.assert_array_equal(a, b)
