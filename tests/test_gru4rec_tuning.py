"""Tuning of GRU4Rec: goes on where it stopped, keeps to its budget, never opens the test part."""

import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import gru4rec
from benchmarks import gru4rec_tuning as tuning
from benchmarks.logs import Parts
from recsys_lab.interactions import Sessions
from recsys_lab.models import GRU4Rec
from recsys_lab.models.gru4rec_run import DivergedError

START = {
    "layers": [64], "batch_size": 64, "n_sample": 512, "sample_alpha": 0.5, "learning_rate": 0.1, "logq": 1.0,
    "dropout_p_embed": 0.4, "dropout_p_hidden": 0.2,
}  # fmt: skip
BROKEN = b"these are the answers"
SLACK = 20  # seconds of the clock below: a report looks at it a few times before it ends a trial


def clicks(n: int = 200) -> pd.DataFrame:
    """Sessions that walk round a circle of 30 items."""
    first = np.repeat(np.random.default_rng(0).integers(0, 30, n), 4)
    position = np.tile(np.arange(4), n)
    columns = {"session_id": np.repeat(np.arange(n), 4), "position": position, "item_id": (first + position) % 30 + 1}
    return pd.DataFrame(columns).astype("int32")


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A tiny log in the place of diginetica; its test file cannot be read."""
    train, test = tmp_path / "sessions_train.parquet", tmp_path / "sessions_test.parquet"
    clicks().to_parquet(train)
    test.write_bytes(BROKEN)
    paths = {train.name: train, test.name: test}
    monkeypatch.setattr(tuning, "obtain", lambda entry: (paths, False))
    monkeypatch.setenv("RECSYS_LAB_PROGRESS", "0")


@pytest.fixture
def optuna():
    reason = 'optuna is not installed: pip install "recsys-lab[tuning]"'
    return pytest.importorskip("optuna", reason=reason)


@pytest.fixture
def clock(monkeypatch):
    """A processor that takes two seconds for each look at its clock: budgets without waiting."""
    now = iter(range(0, 10**9, 2))
    monkeypatch.setattr(tuning, "time", SimpleNamespace(process_time=lambda: float(next(now))))


def tune(path, minutes, n_epochs=2, **options) -> str:
    return tuning.tune("diginetica", START, path, minutes, n_epochs, **options)


def study(optuna, path):
    return optuna.load_study(study_name="gru4rec", storage=f"sqlite:///{path}")


def counted(optuna, path) -> list:
    return [t for t in study(optuna, path).trials if t.state.name in ("COMPLETE", "PRUNED")]


@pytest.mark.parametrize("form", ["tables", "public files"])
def test_the_training_part_is_read_without_the_test_part(tmp_path, monkeypatch, form):
    train, test = tmp_path / "train.parquet", tmp_path / "test.parquet"
    frame = clicks()
    if form == "tables":
        names = "sessions_train.parquet", "sessions_test.parquet"
        frame.to_parquet(train)
    else:
        names = "datasets/diginetica/all_train_seq.txt", "datasets/diginetica/test.txt"
        train.write_bytes(pickle.dumps(frame.groupby("session_id")["item_id"].apply(list).tolist()))
    test.write_bytes(BROKEN)
    monkeypatch.setattr(
        tuning, "obtain", lambda entry: (dict(zip(names, (train, test), strict=True)), form == "public files")
    )
    found = tuning.training_part("diginetica")
    assert found.vocabulary.decode(found.items).tolist() == frame["item_id"].tolist()
    assert found.lengths.tolist() == [4] * 200


@pytest.mark.parametrize("form", ["tables", "public files"])
def test_neither_of_rsc15(tmp_path, monkeypatch, form):
    frame = clicks().rename(columns={"position": "timestamp"})[["session_id", "item_id", "timestamp"]]
    entry, paths = tuning.registry("rsc15-100k"), {}
    for number, name in enumerate(entry.source_files if form == "public files" else entry.files):
        paths[name] = tmp_path / f"{number}.parquet"
        if "train" not in name:
            paths[name].write_bytes(BROKEN)
        elif form == "tables":
            frame.astype({"timestamp": float}).to_parquet(paths[name])
        else:
            frame.set_axis(["SessionId", "ItemId", "Time"], axis=1).to_csv(paths[name], sep="\t", index=False)
    monkeypatch.setattr(tuning, "obtain", lambda entry: (paths, form == "public files"))
    found = tuning.training_part("rsc15-100k")
    assert found.vocabulary.decode(found.items).tolist() == frame["item_id"].tolist()
    assert found.has_time


def test_a_missing_optuna_names_the_fix(tmp_path, monkeypatch, log):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'pip install "recsys-lab\[tuning\]"'):
        tune(tmp_path / "s.db", 1)


def test_the_command_says_it_without_a_traceback(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr(sys, "argv", ["gru4rec", "tune", "--study", str(tmp_path / "s.db")])
    with pytest.raises(SystemExit, match=r"^tune: tuning needs optuna\. Fix: pip install"):
        gru4rec.main()


def test_the_first_trial_is_the_known_setting(tmp_path, optuna, log, clock):
    text = tune(tmp_path / "s.db", 1)
    first = study(optuna, tmp_path / "s.db").trials[0].params
    assert first == {name: value for name, value in START.items() if name not in ("layers", "logq")} | {"width": 64}
    expected = GRU4Rec(**START, n_epochs=study(optuna, tmp_path / "s.db").trials[0].user_attrs["n_epochs"])
    assert repr(expected) in text


def test_a_second_call_goes_on_with_the_same_study(tmp_path, optuna, log, clock):
    tune(tmp_path / "s.db", 1)
    before = counted(optuna, tmp_path / "s.db")
    tune(tmp_path / "s.db", 3)
    after = counted(optuna, tmp_path / "s.db")
    assert before and len(after) > len(before)
    assert [(t.number, t.params, t.value) for t in after[: len(before)]] == [
        (t.number, t.params, t.value) for t in before
    ]
    drawn = [tuple(t.params.values()) for t in after]
    assert len(set(drawn)) == len(drawn), "a later call draws the settings of the first one again"


def test_the_budget_holds_for_all_calls_together(tmp_path, optuna, log, clock, monkeypatch):
    epoch = tuning.Watch._epoch
    # ever rising, so that only the budget can end a trial
    monkeypatch.setattr(tuning.Watch, "_epoch", lambda watch, mrr: epoch(watch, len(watch.curve) + watch.trial.number))
    for minutes in (1, 2):
        tune(tmp_path / "s.db", minutes, n_epochs=100)
        assert 60 * minutes <= tuning.spent(study(optuna, tmp_path / "s.db")) <= 60 * minutes + SLACK
    before = len(study(optuna, tmp_path / "s.db").trials)
    tune(tmp_path / "s.db", 2)
    assert len(study(optuna, tmp_path / "s.db").trials) == before


def test_a_trial_has_a_limit_of_its_own(tmp_path, optuna, log, clock):
    tune(tmp_path / "s.db", 2, n_epochs=50, trial_minutes=0.5)
    spent = [t.user_attrs["cpu_seconds"] for t in study(optuna, tmp_path / "s.db").trials]
    assert max(spent) <= 30 + SLACK and len(spent) > 1


def test_ctrl_c_leaves_the_study_usable(tmp_path, optuna, log, clock, monkeypatch):
    epoch = tuning.Watch._epoch

    def stopped(watch, mrr):
        epoch(watch, mrr)
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(tuning.Watch, "_epoch", stopped)
        assert "1 broken off and not counted" in tune(tmp_path / "s.db", 1)
    (broken,) = study(optuna, tmp_path / "s.db").trials
    assert broken.state.name == "FAIL" and broken.user_attrs["cpu_seconds"] > 0
    tune(tmp_path / "s.db", 2)
    assert counted(optuna, tmp_path / "s.db")[0].params == broken.params


def test_a_killed_trial_is_not_counted_and_tried_again(tmp_path, optuna, log, clock):
    tune(tmp_path / "s.db", 1)
    killed = study(optuna, tmp_path / "s.db").ask()
    tuning.suggest(killed)
    killed.set_user_attr("cpu_seconds", 30.0)
    tune(tmp_path / "s.db", 3)
    trials = study(optuna, tmp_path / "s.db").trials
    assert trials[killed.number].state.name == "FAIL"
    again = [t for t in trials[killed.number + 1 :] if t.params == killed.params]
    assert [t.state.name for t in again] in (["PRUNED"], ["COMPLETE"])
    assert sum(t.user_attrs["cpu_seconds"] for t in trials if t is not trials[killed.number]) <= 150 + SLACK


def test_a_curve_that_turns_ends_its_trial_and_gives_the_epochs(tmp_path, optuna, log, clock, monkeypatch):
    curve = iter([0.2, 0.5, 0.3] + [0.1] * 1000)
    epoch = tuning.Watch._epoch
    monkeypatch.setattr(tuning.Watch, "_epoch", lambda watch, mrr: epoch(watch, next(curve)))
    tune(tmp_path / "s.db", 1, n_epochs=9)
    first = study(optuna, tmp_path / "s.db").trials[0]
    assert (first.value, first.user_attrs["n_epochs"], len(first.intermediate_values)) == (0.5, 2, 3)


def test_worse_settings_are_pruned(tmp_path, optuna, log, clock, monkeypatch):
    epoch = tuning.Watch._epoch
    # the later a trial, the worse
    monkeypatch.setattr(
        tuning.Watch, "_epoch", lambda watch, mrr: epoch(watch, (1 + len(watch.curve)) / (2 + watch.trial.number))
    )
    tune(tmp_path / "s.db", 3, n_epochs=3)
    first, *others = counted(optuna, tmp_path / "s.db")
    assert first.state.name == "COMPLETE" and {t.state.name for t in others[:-1]} == {"PRUNED"}
    assert {len(t.intermediate_values) for t in others[:-1]} == {1}


def test_a_diverging_setting_does_not_end_the_study(tmp_path, optuna, log, clock, monkeypatch):
    fit = GRU4Rec.fit
    calls = []

    def diverging(model, *args, **options):
        calls.append(model)
        if len(calls) == 1:
            options["progress"](SimpleNamespace(validation=None, step=1, n_steps=2))
            raise DivergedError("the loss is nan")
        return fit(model, *args, **options)

    monkeypatch.setattr(GRU4Rec, "fit", diverging)
    tune(tmp_path / "s.db", 1)
    trials = study(optuna, tmp_path / "s.db").trials
    assert trials[0].state.name == "PRUNED" and len(trials) > 1


def test_a_study_of_something_else_is_refused(tmp_path, optuna, log, clock, monkeypatch):
    tune(tmp_path / "s.db", 0.2)
    other = Sessions.from_lists([["a", "b"]] * 10)
    monkeypatch.setattr(tuning, "validation", lambda parts, most: Parts(other, other))
    with pytest.raises(ValueError, match="another file for --study"):
        tune(tmp_path / "s.db", 1)


def test_bad_input(tmp_path, optuna, log):
    with pytest.raises(ValueError, match="--minutes must be positive"):
        tune(tmp_path / "s.db", 0)
    (tmp_path / "notes.txt").write_text("not a study")
    with pytest.raises(ValueError, match="not a study"):
        tune(tmp_path / "notes.txt", 1)
    with tuning.FileLock(str(tmp_path / "s.db.lock")), pytest.raises(ValueError, match="another call"):
        tune(tmp_path / "s.db", 1)
