"""The GPU's way of taking a step, run on the CPU without a graph: the same steps as the CPU's own way."""

import numpy as np
import pytest
import torch

from recsys_lab.interactions import Sessions
from recsys_lab.models import GRU4Rec
from recsys_lab.models import gru4rec_run as running
from recsys_lab.models.gru4rec_batches import Schedule
from recsys_lab.models.gru4rec_gpu import GraphTrainer
from recsys_lab.models.gru4rec_training import Trainer


def sessions_of(n=60, seed=0) -> Sessions:
    rng = np.random.default_rng(seed)
    return Sessions.from_lists([rng.zipf(1.6, rng.integers(2, 9)).clip(max=25).tolist() for _ in range(n)])


@pytest.mark.parametrize("loss", ["cross-entropy", "bpr-max"])
@pytest.mark.parametrize(
    "options",
    [
        {"layers": [6]},
        {"layers": [6, 5], "momentum": 0.4},
        {"layers": [6], "constrained_embedding": False, "embedding": 4, "momentum": 0.3},
        {"layers": [6], "constrained_embedding": False},
        {"layers": [6], "n_sample": 0},
    ],
    ids=str,
)
def test_steps_are_those_of_the_cpu(loss, options):
    sessions = sessions_of()
    model = GRU4Rec(loss, **({"batch_size": 5, "n_sample": 20, "dropout_p_embed": 0.0} | options))
    popularity, schedule = np.bincount(sessions.items, minlength=sessions.n_items), Schedule(sessions, 5)
    cpu, gpu = Trainer(model, popularity, 5), GraphTrainer(model, popularity, 5, "cpu")
    drawn = []
    gpu._negatives = lambda: torch.from_numpy(drawn[-1])
    for _epoch in range(2):
        cpu.reset(), gpu.reset()
        for t in range(len(schedule)):
            drawn.append(cpu.draw())
            expected = cpu.step(schedule[t], drawn[-1]).item()
            assert gpu.next(schedule, t).item() == pytest.approx(expected, rel=1e-4, abs=1e-7)
            for ours, theirs in zip(gpu.weights(), cpu.weights(), strict=True):
                if theirs is not None:
                    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_negatives_and_dropout_of_the_device_are_what_they_should_be():
    popularity = np.array([0, 3, 50, 900])
    trainer = GraphTrainer(GRU4Rec(layers=[4], n_sample=100_000, sample_alpha=0.5), popularity, 3, "cpu")
    drawn = np.bincount(trainer._negatives().numpy(), minlength=4) / 100_000
    np.testing.assert_allclose(drawn, popularity**0.5 / (popularity**0.5).sum(), atol=0.01)
    x = torch.ones(200, 200)
    mask = trainer._dropout(x, 0.25)
    assert torch.equal(x, mask)
    assert (mask == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert mask.max().item() == pytest.approx(4 / 3)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """`fit` takes the GPU's way, on the CPU."""
    monkeypatch.setattr(running, "Trainer", GraphTrainer)


def test_a_whole_fit_learns_resumes_and_lists_what_exists(as_on_a_gpu, tmp_path):
    sessions = Sessions.from_lists([["a", "x", "b"], ["c", "x", "d"]] * 100)
    options = {"layers": [16], "batch_size": 4, "n_sample": 4, "dropout_p_embed": 0.1, "seed": 2}
    whole = GRU4Rec(**options, n_epochs=6).fit(sessions)
    assert whole.recommend(["a", "x"], 1).tolist() == ["b"]
    assert whole.recommend(["c", "x"], 1).tolist() == ["d"]
    assert sorted(whole.recommend(["a"], 99)) == list("abcdx")
    assert whole.item_embedding_.shape == (5, 16)
    GRU4Rec(**options, n_epochs=2).fit(sessions, checkpoints=tmp_path)
    resumed = GRU4Rec(**options, n_epochs=6).fit(sessions, checkpoints=tmp_path)
    for name in ("item_embedding_", "item_bias_", "gru_", "loss_"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_recorded_graph_takes_the_same_steps():
    sessions = sessions_of(300)
    model = GRU4Rec(layers=[16], batch_size=8, n_sample=30, dropout_p_embed=0.2)
    popularity, schedule = np.bincount(sessions.items, minlength=sessions.n_items), Schedule(sessions, 8)
    recorded, plain = (GraphTrainer(model, popularity, 8, "cuda") for _ in range(2))
    plain._record = lambda: None
    a, b = ([trainer.next(schedule, t).item() for t in range(len(schedule))] for trainer in (recorded, plain))
    assert recorded._graph is not None
    np.testing.assert_allclose(a, b, rtol=1e-3)
