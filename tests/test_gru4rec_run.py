"""Trainings of GRU4Rec that are killed, interrupted, damaged or hopeless, and how they tell how far they are."""

import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch

from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions
from recsys_lab.models import GRU4Rec
from recsys_lab.models import gru4rec_run as running
from recsys_lab.models.gru4rec_checkpoints import Checkpoints, read
from recsys_lab.models.gru4rec_run import DivergedError
from recsys_lab.models.gru4rec_training import Trainer

LEARNED = ("item_embedding_", "item_bias_", "gru_", "loss_")
HARD = {"loss": "bpr-max", "momentum": 0.3, "dropout_p_embed": 0.3, "dropout_p_hidden": 0.2, "layers": [6, 5]}


def sessions_of(n=150, seed=0) -> Sessions:
    rng = np.random.default_rng(seed)
    return Sessions.from_lists([rng.zipf(1.6, rng.integers(2, 9)).clip(max=30).tolist() for _ in range(n)])


def model_of(**options) -> GRU4Rec:
    return GRU4Rec(**({"layers": [6], "batch_size": 5, "n_sample": 12, "n_epochs": 2} | options))


def assert_same(a: GRU4Rec, b: GRU4Rec):
    for name in (*LEARNED, "input_embedding_"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


class Killed(Exception):
    """Stands for a power cut: nothing may be done about it."""


def stop_at(monkeypatch, number: int, error: BaseException):
    """Let a training stop before its step `number`; returns what undoes it."""
    sound, count = Trainer.step, iter(range(10**9))

    def step(self, *args):
        if next(count) == number:
            raise error
        return sound(self, *args)

    monkeypatch.setattr(Trainer, "step", step)
    return lambda: monkeypatch.setattr(Trainer, "step", sound)


# checkpoints


@pytest.mark.parametrize("killed_at", [3, 10, 57, 120, 163])
@pytest.mark.parametrize(
    "options", [{}, HARD, {"constrained_embedding": False, "embedding": 4}], ids=["shared", "hard", "separate"]
)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(options, killed_at, tmp_path, monkeypatch):
    sessions, checkpoints = sessions_of(), Checkpoints(tmp_path / "run", every=10)
    whole = model_of(**options).fit(sessions)
    undo = stop_at(monkeypatch, killed_at, Killed())
    with pytest.raises(Killed):
        model_of(**options).fit(sessions, checkpoints=checkpoints)
    assert bool(checkpoints.files()) == (killed_at >= 10)
    undo()
    steps, sound = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, *args: (steps.append(1), sound(self, *args))[1])
    assert_same(model_of(**options).fit(sessions, checkpoints=checkpoints), whole)
    n_steps = len(running.Schedule(sessions, 5))
    done_before = max([t for t in range(0, killed_at + 1, 10)] + [n_steps * (killed_at >= n_steps)])
    assert len(steps) <= 2 * n_steps - done_before + 10  # it went on, it did not start again


def test_a_run_killed_for_real_goes_on(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(__file__.rsplit("/", 1)[0])!r})
from test_gru4rec_run import *
model_of(n_epochs=2000, **HARD).fit(sessions_of(), checkpoints=Checkpoints({str(tmp_path)!r}, every=7))
"""
    child = subprocess.Popen([sys.executable, "-c", code])
    checkpoints, deadline = Checkpoints(tmp_path), time.monotonic() + 90
    while len(checkpoints.files()) < 2 and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=30)
    epoch = read(checkpoints.files()[0])[0]["position"]["epoch"]
    n_epochs = epoch + 2
    resumed = model_of(n_epochs=n_epochs, **HARD).fit(sessions_of(), checkpoints=checkpoints)
    assert_same(resumed, model_of(n_epochs=n_epochs, **HARD).fit(sessions_of()))


def test_a_finished_run_may_be_made_longer(tmp_path):
    sessions = sessions_of()
    model_of(n_epochs=1).fit(sessions, checkpoints=tmp_path)
    assert_same(model_of(n_epochs=3).fit(sessions, checkpoints=tmp_path), model_of(n_epochs=3).fit(sessions))


def cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def flipped(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flipped, lambda whole: b"", lambda whole: b"<html>"])
def test_a_damaged_checkpoint_is_passed_over(damage, tmp_path, monkeypatch):
    sessions, checkpoints = sessions_of(), Checkpoints(tmp_path, every=10)
    undo = stop_at(monkeypatch, 45, Killed())
    with pytest.raises(Killed):
        model_of().fit(sessions, checkpoints=checkpoints)
    undo()
    newest, before = checkpoints.files()
    newest.write_bytes(damage(newest.read_bytes()))
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged.*The one before it is used"):
        resumed = model_of().fit(sessions, checkpoints=checkpoints)
    assert_same(resumed, model_of().fit(sessions))
    assert before.exists() or checkpoints.files()


def test_every_flipped_bit_is_noticed(tmp_path):
    path = Checkpoints(tmp_path).save(1, {"run": "x"}, {"a": np.arange(40.0), "b": np.zeros((3, 2), np.float32)})
    whole, meta = path.read_bytes(), read(path)[0]
    assert meta == {"run": "x"}
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 200):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.integers(8))]) + whole[at + 1 :])
        try:
            meta, arrays = read(path)
        except ValueError:
            continue
        # a bit that nothing depends on, such as one of a date in the archive
        assert meta == {"run": "x"}
        np.testing.assert_array_equal(arrays["a"], np.arange(40.0))


def test_a_folder_holds_one_run(tmp_path):
    sessions = sessions_of()
    model_of().fit(sessions, checkpoints=tmp_path)
    for other, log in ((model_of(seed=1), sessions), (model_of(), sessions_of(seed=1))):
        with pytest.raises(ValueError, match="another run: settings or sessions differ"):
            other.fit(log, checkpoints=tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"run": "x"}, {"a": np.arange(3)})

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(2, {"run": "x"}, {"a": np.arange(3)})
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-000000000001.npz"]
    assert checkpoints.latest("x")[1]["a"].tolist() == [0, 1, 2]


def test_checkpoints_hold_no_pickle_and_do_not_pile_up(tmp_path):
    model_of(n_epochs=4).fit(sessions_of(), checkpoints=Checkpoints(tmp_path, every=5, keep=3))
    files = Checkpoints(tmp_path).files()
    assert len(files) == 3
    with np.load(files[0], allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    with pytest.raises(ValueError, match="keep=1 at least 2"):
        Checkpoints(tmp_path, keep=1)


# what may go wrong


@pytest.mark.parametrize("loss", ["cross-entropy", "bpr-max"])
def test_a_diverging_run_stops_and_says_what_to_change(loss):
    model = model_of(loss=loss, learning_rate=1e4, momentum=0.9, n_epochs=30)
    with pytest.raises(DivergedError, match=r"the loss is .* in epoch .* it began at .*learning_rate \(now 10000"):
        model.fit(sessions_of())
    with pytest.raises(ValueError, match="has not learned yet"):
        model.recommend([1])


def test_a_nan_stops_at_the_next_look(monkeypatch):
    sound, steps = Trainer.step, []

    def step(self, *args):
        steps.append(1)
        return sound(self, *args) * (np.nan if len(steps) > 60 else 1)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(DivergedError, match="the loss is nan"):
        model_of().fit(sessions_of(400))
    assert len(steps) == 100


def test_ordinary_runs_are_not_called_diverging():
    for options in ({}, HARD, {"learning_rate": 0.5}, {"momentum": 0.8}, {"bpreg": 5.0, "loss": "bpr-max"}):
        model_of(**options).fit(sessions_of())


def test_ctrl_c_leaves_a_usable_model(monkeypatch, tmp_path):
    stop_at(monkeypatch, 130, KeyboardInterrupt())
    model = model_of(n_epochs=5)
    with pytest.warns(UserWarning, match=r"stopped by Ctrl-C in epoch \d, step \d+ of"):
        assert model.fit(sessions_of()) is model
    assert len(model.recommend([1, 2], 5)) == 5
    assert np.isfinite(model.score(sessions_of(5))).all()
    assert len(model.loss_) == 130 // len(running.Schedule(sessions_of(), 5))
    model.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(GRU4Rec.load(tmp_path / "m.npz").gru_, model.gru_)


def test_out_of_memory_falls_back_to_a_smaller_batch_and_says_so(monkeypatch, tmp_path):
    sound = Trainer.step

    def step(self, step, negatives):
        if len(step.lanes) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return sound(self, step, negatives)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.warns(UserWarning, match="out of memory; starting again with batch_size=") as said:
        model = model_of(batch_size=16).fit(sessions_of())
    assert [int(str(w.message).split("=")[1][:-1]) for w in said] == [8, 4]
    assert model.batch_size_ == 4
    assert model.batch_size == 16  # what was asked for stays what was asked for
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model_of(batch_size=16, n_epochs=1).fit(sessions_of(), checkpoints=tmp_path)
        resumed = model_of(batch_size=16).fit(sessions_of(), checkpoints=tmp_path)
    assert_same(resumed, model)
    monkeypatch.setattr(Trainer, "step", sound)
    np.testing.assert_array_equal(model.gru_, model_of(batch_size=4).fit(sessions_of()).gru_)
    monkeypatch.setattr(Trainer, "step", lambda *_: (_ for _ in ()).throw(torch.cuda.OutOfMemoryError("out")))
    with pytest.warns(UserWarning, match="batch_size=1"), pytest.raises(torch.cuda.OutOfMemoryError):
        model_of(batch_size=2).fit(sessions_of())


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"torch sees no GPU here\. Fix: device='auto'"):
        model_of(device="cuda").fit(sessions_of(9))


def test_threads_are_as_before():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        model_of(n_epochs=1).fit(sessions_of(9))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# how far it is


def test_reports_tell_how_far_it_is(monkeypatch):
    monkeypatch.setattr(running, "PAUSE", 0)
    reports, sessions, held_out = [], sessions_of(), sessions_of(40, seed=1)
    model = model_of(n_epochs=3).fit(sessions, progress=reports.append, validation=held_out)
    at = [(r.epoch, r.step) for r in reports]
    assert at == sorted(at)
    assert {r.n_steps for r in reports} == {len(running.Schedule(sessions, 5))}
    assert reports[-1].seconds_left == 0
    assert all(r.events_per_s > 0 and r.seconds_left >= 0 and r.n_epochs == 3 for r in reports)
    ends = [r for r in reports if r.validation is not None]
    assert [r.epoch for r in ends] == [1, 2, 3]
    np.testing.assert_array_equal(model.validation_, [r.validation for r in ends])
    result = evaluate(model, held_out)
    assert model.validation_[-1].tolist() == [result.recall, result.mrr]
    assert model.loss_.tolist() == [r.loss for r in ends]


def test_reports_are_not_too_many():
    reports = []
    model_of(n_epochs=20, layers=[2], n_sample=2).fit(sessions_of(), progress=reports.append)
    assert 1 <= len(reports) < 100


def test_validation_changes_nothing():
    assert_same(model_of().fit(sessions_of(), validation=sessions_of(9, seed=2)), model_of().fit(sessions_of()))


def test_a_bar_is_drawn_only_where_asked_for(capfd, monkeypatch):
    monkeypatch.delenv("RECSYS_LAB_PROGRESS", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm.auto looks for a notebook
        model_of().fit(sessions_of())
        assert capfd.readouterr() == ("", "")
        model_of().fit(sessions_of(), progress=True)
    out, drawn = capfd.readouterr()
    assert out == ""
    assert "GRU4Rec: 100%" in drawn and "loss=" in drawn and "event/s" in drawn
