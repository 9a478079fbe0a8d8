"""Tune GRU4Rec on a validation cut of the training part, within a budget of CPU time, in as many calls as one likes.

A trial trains one setting and asks it after each epoch; its value is the best MRR@20 of that curve, and the number of
epochs is read off the curve instead of being searched: an epoch more is the same training going on. Settings come
from a tree-structured Parzen estimator (Bergstra et al., NIPS 2011); asynchronous successive halving (Li et al., MLSys
2020) lets the better half of them go on after one, two, four … epochs. That favours settings that learn early.

The test part is not loaded: the readers of a log find a single invented click in its place.
"""

from __future__ import annotations

import io
import pickle
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from benchmarks.logs import Parts, validation
from recsys_lab import logs
from recsys_lab.interactions import Sessions
from recsys_lab.models import GRU4Rec
from recsys_lab.models.gru4rec_run import DivergedError, Report
from recsys_lab.progress import bar
from recsys_lab.registry import obtain, registry

SPACE = {  # lowest, highest, on a log scale
    "width": (64, 256, True),
    "batch_size": (64, 512, True),
    "n_sample": (512, 4096, True),
    "sample_alpha": (0.0, 1.0, False),
    "dropout_p_embed": (0.0, 0.6, False),
    "dropout_p_hidden": (0.0, 0.6, False),
    "learning_rate": (0.02, 0.3, True),
}
SESSIONS = 3000  # of the validation cut: asking more of them costs more than it tells
NOTED = 5.0  # CPU seconds between two notes of what a trial has cost: what a kill can hide from the budget


def _table(*columns: str) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({column: [0] for column in columns}, dtype="int32").to_parquet(file)
    return file.getvalue()


# In place of the files that hold clicks of the test part, or lists made for it: one invented row, because the schema
# refuses an empty log. For both forms of each log.
_RSC15 = "data/rsc15/recommendations/recoms_rsc15_100k_"
STAND_INS = {
    "diginetica": {
        "sessions_test.parquet": _table("session_id", "position", "item_id"),
        "datasets/diginetica/test.txt": pickle.dumps(([[1]], [1])),
    },
    "rsc15-100k": {
        "events_test.parquet": _table("session_id", "item_id", "timestamp"),
        "reference_recommendations.parquet": _table("model", "session_id", "position", "rank", "item_id", "score"),
        "data/rsc15/prepared/yoochoose-clicks-100k_test.txt": b"SessionId\tItemId\tTime\n0\t0\t0\n",
        **{
            f"{_RSC15}{model}.csv": b"SessionId;Position;Items;Scores\n0;0;0,0;0,0\n"
            for model in ("sr", "ar", "vsknn", "gru4rec")
        },
    },
}


def training_part(name: str) -> Sessions:
    """The published training part of a log, without reading the test part."""
    paths, from_source = obtain(registry(name))
    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(sorted(STAND_INS[name].keys() & paths.keys())):
            stand_in = Path(folder, f"{number}{Path(file).suffix}")
            stand_in.write_bytes(STAND_INS[name][file])
            paths = paths | {file: stand_in}
        # tables go by the names of their files, and those are the keys
        contents = logs.read(name, paths, from_source)
    return Sessions.from_frame(contents.parts["train"], event_types=contents.event_types, validate=False)


def load_optuna():
    """Return the module `optuna`, or say how to get it."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError('tuning needs optuna. Fix: pip install "recsys-lab[tuning]"') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Enough(Exception):
    """A trial is over: its curve has turned, or its time or the budget is spent."""


class Watch:
    """Follows the training of one trial: notes what it costs and ends it when more is not worth it."""

    def __init__(self, tuning: Tuning, trial):
        self.tuning, self.trial, self.curve = tuning, trial, []
        self.before, self.noted, self.fit_seconds = spent(tuning.study), 0.0, 0.0
        self.best = max((t.value for t in tuning.study.get_trials(deepcopy=False) if t.value is not None), default=0.0)
        self.began = self.mark = time.process_time()

    @property
    def seconds(self) -> float:
        """CPU seconds of this trial so far."""
        return time.process_time() - self.began

    def note(self) -> None:
        """Store the cost in the study, where the next call finds it whatever happens to this one."""
        self.noted = self.seconds
        self.trial.set_user_attr("cpu_seconds", self.noted)

    def __call__(self, now: Report) -> None:
        """Take a report of `GRU4Rec.fit`."""
        if now.validation is not None:
            self._epoch(now.validation[1])
        elif now.step == now.n_steps:
            self.fit_seconds += time.process_time() - self.mark
        self.tuning.show(self)
        if self.seconds - self.noted > NOTED:
            self.note()
        if self.seconds > self.tuning.trial_seconds or self.before + self.seconds > self.tuning.budget:
            raise Enough

    def _epoch(self, mrr: float) -> None:
        self.mark = time.process_time()
        better = not self.curve or mrr > max(self.curve)
        self.curve.append(mrr)
        self.trial.report(mrr, len(self.curve))
        if not better:
            raise Enough
        self.trial.set_user_attr("n_epochs", len(self.curve))
        self.trial.set_user_attr("fit_seconds", self.fit_seconds)
        if self.trial.should_prune():
            raise self.tuning.optuna.TrialPruned


class Tuning:
    """One call: a study, what it trains and validates on, and its limits.

    Parameters
    ----------
    cut : Parts
        Of the training part.
    start : dict
        Arguments of `GRU4Rec` that the first trial takes; those outside `SPACE` hold for all trials.
    path : Path
        SQLite file of the study; made where it does not exist.
    minutes : float
        CPU minutes of training and validation, of all calls together.
    n_epochs : int
        At most, of a trial.
    trial_minutes : float
        CPU minutes, at most, of a trial: a setting that trains longer is not wanted.
    setup : dict
        What must be the same in all calls.
    """

    def __init__(self, cut: Parts, start: dict, path: Path, minutes: float, n_epochs: int, trial_minutes: float, setup):
        self.optuna, self.cut = load_optuna(), cut
        self.budget, self.n_epochs, self.trial_seconds = 60 * minutes, n_epochs, 60 * trial_minutes
        self.fixed = {name: value for name, value in start.items() if name not in {*SPACE, "layers"}}
        plain = GRU4Rec(**start).get_params()
        self.start = {name: plain["layers"][-1] if name == "width" else plain[name] for name in SPACE}
        self.study = self.open(path, setup)

    def open(self, path: Path, setup: dict):
        """Open or begin the study; settings whose trial was broken off wait for another."""
        optuna = self.optuna
        study = optuna.create_study(
            storage=f"sqlite:///{path.resolve()}",
            study_name="gru4rec",
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        )
        if study.user_attrs.get("setup", setup) != setup:
            before = study.user_attrs["setup"]
            raise ValueError(f"{path} holds a study of {before}, not of {setup}. Fix: another file for --study")
        study.set_user_attr("setup", setup)
        # a seed of its own for each call: one seed would draw the first call's settings again
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=5, seed=len(study.trials))
        if not study.trials:
            study.enqueue_trial(self.start)
        self._put_back(study)
        return study

    def _put_back(self, study) -> None:
        state = self.optuna.trial.TrialState
        for trial in study.get_trials(states=(state.RUNNING,)):  # killed
            study.tell(trial.number, state=state.FAIL)
        done = [asked(t) for t in study.get_trials(states=(state.COMPLETE, state.PRUNED, state.WAITING))]
        for trial in study.get_trials(states=(state.FAIL,)):
            if len(asked(trial)) == len(SPACE) and asked(trial) not in done:
                study.enqueue_trial(asked(trial))
                done.append(asked(trial))

    def run(self) -> None:
        """Try settings until the budget is spent."""
        with bar(self.budget, "tune", bar_format="{percentage:3.0f}%|{bar}| {desc}") as self.bar:
            if spent(self.study) < self.budget:
                self.study.optimize(self.value, catch=(Enough,), callbacks=[self._stop])

    def _stop(self, study, trial) -> None:
        if spent(study) >= self.budget:
            study.stop()

    def value(self, trial) -> float:
        """Train one setting; MRR@20 after its best epoch, also where the budget allows no further one."""
        settings, watch = self.fixed | suggest(trial), Watch(self, trial)
        model = GRU4Rec(**settings, n_epochs=self.n_epochs)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*stopped by Ctrl-C")
                model.fit(self.cut.train, progress=watch, validation=self.cut.test)
            # `fit` takes Ctrl-C as the wish for a model as far as it is; a trial is then broken off
            if len(watch.curve) < self.n_epochs:
                raise KeyboardInterrupt
        except DivergedError as error:
            raise self.optuna.TrialPruned(str(error)) from error
        except Enough:
            if not watch.curve and watch.seconds > self.trial_seconds:
                raise self.optuna.TrialPruned("an epoch takes longer than a trial may") from None
            if not watch.curve:  # the budget ended before anything was known of this setting
                raise
        finally:
            watch.note()
        return max(watch.curve)

    def show(self, watch: Watch) -> None:
        """Move the bar."""
        used = watch.before + watch.seconds
        self.bar.n = min(used, self.budget)
        best = max([watch.best, *watch.curve])
        where = f"trial {watch.trial.number}, {len(watch.curve)} epochs, best MRR@20 {best:.4f}"
        self.bar.set_description_str(f"{used / 60:.1f} of {self.budget / 60:g} CPU min, {where}")

    def text(self) -> str:
        """What was found, and what it took."""
        state = self.optuna.trial.TrialState
        n = {s: len(self.study.get_trials(states=(s,))) for s in (state.COMPLETE, state.PRUNED, state.FAIL)}
        took = (
            f"{spent(self.study) / 60:.1f} of {self.budget / 60:g} CPU minutes spent: {n[state.COMPLETE]} trials "
            f"finished, {n[state.PRUNED]} pruned, {n[state.FAIL]} broken off and not counted."
        )
        if not n[state.COMPLETE]:
            return f"No setting has been through an epoch yet. {took}"
        first, best = self.study.get_trials(states=(state.COMPLETE,))[0], self.study.best_trial
        return "\n".join([f"Best: {self._said(best)}", f"First: {self._said(first)}", took])

    def _said(self, trial) -> str:
        settings = self.fixed | arguments(trial.params) | {"n_epochs": trial.user_attrs["n_epochs"]}
        seconds = trial.user_attrs["fit_seconds"]
        return f"MRR@20 {trial.value:.4f} in validation, {seconds / 60:.1f} CPU min of training.\n{GRU4Rec(**settings)}"


def suggest(trial) -> dict:
    """Ask a trial for its setting."""
    for name, (low, high, log) in SPACE.items():
        (trial.suggest_int if isinstance(low, int) else trial.suggest_float)(name, low, high, log=log)
    return arguments(trial.params)


def arguments(params: dict) -> dict:
    """Arguments of `GRU4Rec`; three digits of a number are what one wants to write down."""
    settings = {name: float(f"{x:.3g}") if isinstance(x, float) else x for name, x in params.items()}
    return {"layers": [settings.pop("width")]} | settings


def asked(trial) -> dict:
    """The setting of a trial, also of one that has not begun."""
    return trial.system_attrs.get("fixed_params", {}) | trial.params


def spent(study) -> float:
    """CPU seconds of all trials, also of those that were broken off."""
    return sum(t.user_attrs.get("cpu_seconds", 0.0) for t in study.get_trials(deepcopy=False))


def tune(
    log: str, start: dict, path: Path, minutes: float = 40.0, n_epochs: int = 10, trial_minutes: float = 8.0
) -> str:
    """Begin a study or go on with it; returns what is known at its end, also after Ctrl-C.

    Raises
    ------
    ImportError
        Without optuna.
    ValueError
        If the file is no study, or one of something else, or in use.
    """
    path = Path(path)
    load_optuna()
    if not minutes > 0:
        raise ValueError(f"--minutes must be positive, not {minutes!r}.")
    if path.exists() and path.stat().st_size and not path.read_bytes()[:15] == b"SQLite format 3":
        raise ValueError(f"{path} is not a study (an SQLite file). Fix: another file for --study")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{path}.lock", timeout=0):
            train = training_part(log)
            cut = validation(Parts(train, train.part(0, 0)), SESSIONS)
            setup = {"log": log, "sessions": len(cut.train), "validation sessions": len(cut.test)}
            tuning = Tuning(cut, start, path, minutes, n_epochs, trial_minutes, setup)
            try:
                tuning.run()
            except KeyboardInterrupt:
                return f"Stopped by Ctrl-C; the same command goes on.\n{tuning.text()}"
            return tuning.text()
    except Timeout:
        raise ValueError(f"another call is working on {path}. Fix: wait for its end, or another file") from None
