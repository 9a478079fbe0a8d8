"""From the first step of GRU4Rec to the last: epochs, progress, checkpoints, and what may go wrong on the way."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import torch

from recsys_lab.interactions import Sessions
from recsys_lab.models.gru4rec_batches import Schedule
from recsys_lab.models.gru4rec_checkpoints import Checkpoints
from recsys_lab.models.gru4rec_gpu import GraphTrainer
from recsys_lab.models.gru4rec_training import Trainer
from recsys_lab.progress import bar

BLOCK = 50  # steps between two looks at the loss: looking waits for the device
PAUSE = 0.25  # seconds between two reports


class DivergedError(ValueError):
    """The loss became NaN or ran away."""


@dataclass
class Options:
    """How to train, as `GRU4Rec.fit` was told."""

    progress: bool | Callable = False
    validation: Sessions | None = None
    checkpoints: Checkpoints | str | None = None


@dataclass(frozen=True)
class Report:
    """How far a training is.

    Attributes
    ----------
    epoch, step : int
        Both from 1.
    n_epochs, n_steps : int
        Of the run, and of an epoch.
    loss : float
        Mean loss of the latest events.
    events_per_s, seconds_left : float
    validation : tuple of (recall@20, MRR@20), or None
        After an epoch, where there is something to validate on.
    """

    epoch: int
    step: int
    n_epochs: int
    n_steps: int
    loss: float
    events_per_s: float
    seconds_left: float
    validation: tuple[float, float] | None = None


@dataclass
class Position:
    """Where a run stands and what it has seen; goes into a checkpoint as it is."""

    epoch: int = 0
    step: int = 0
    total: float = 0.0  # loss of this epoch so far
    first: float | None = None  # mean loss of the first step of the run, before anything is learned
    loss: list[float] = field(default_factory=list)
    validation: list[tuple[float, float]] = field(default_factory=list)


def run(model, sessions: Sessions, options: Options) -> None:
    """Train a `GRU4Rec` and hand it what it learned; where memory is short, with smaller batches."""
    device = pick_device(model.device)
    if sessions.has_time:
        sessions = sessions.take(np.argsort(sessions.starts, kind="stable"))
    settings, at = SimpleNamespace(**model.get_params()), options.checkpoints
    at = at if at is None or isinstance(at, Checkpoints) else Checkpoints(at)
    while True:
        options = replace(options, checkpoints=at)
        try:
            Run(model, settings, sessions, options, device).train()
            return
        except torch.cuda.OutOfMemoryError:
            if settings.batch_size == 1:
                raise
            settings.batch_size //= 2  # another run, with checkpoints of its own
            at = None if at is None else Checkpoints(at.folder / f"batch-{settings.batch_size}", at.every, at.keep)
            warnings.warn(
                f"GRU4Rec: the {device} is out of memory; starting again with batch_size={settings.batch_size}.",
                stacklevel=4,
            )


def pick_device(name: str) -> str:
    """Return "cuda" or "cpu" for "auto"; raises ValueError for a device that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"GRU4Rec: device={name!r}, but torch sees no GPU here. Fix: device='auto'")
    if not name.startswith(("cuda", "cpu")):
        raise ValueError(f"GRU4Rec: device={name!r}: choose 'auto', 'cpu' or 'cuda'.")
    return name


class Run:
    """One training: a schedule, a trainer and a position in it."""

    def __init__(self, model, settings, sessions: Sessions, options: Options, device: str):
        self.model, self.settings, self.options = model, settings, options
        self.schedule = Schedule(sessions, settings.batch_size)
        made = GraphTrainer if device.startswith("cuda") else Trainer
        self.trainer = made(settings, model.popularity_, self.schedule.n_lanes, device)
        self.position, self._recent = Position(), []
        self.checkpoints = options.checkpoints
        self.name = fingerprint(settings, sessions, device)
        self._resume()

    def train(self) -> None:
        """Run to the end, or to Ctrl-C."""
        p, n_epochs = self.position, self.settings.n_epochs
        total = self.schedule.n_events * n_epochs
        drawn = self.options.progress is True
        with one_thread(), bar(total, "GRU4Rec", drawn, unit="event", unit_scale=True) as self._bar:
            self._bar.update(self.schedule.n_events * p.epoch + self.schedule.events_before(p.step))
            self._started, self._done, self._last = time.perf_counter(), 0, 0.0
            try:
                while p.epoch < n_epochs:
                    self._epoch()
            except KeyboardInterrupt:
                where = f"epoch {p.epoch + 1}, step {p.step} of {len(self.schedule)}"
                warnings.warn(f"GRU4Rec: stopped by Ctrl-C in {where}; the model is as it was there.", stacklevel=6)
        self._hand_over()

    def _epoch(self) -> None:
        p = self.position
        if p.step == 0:
            self.trainer.reset()
        while p.step < len(self.schedule):
            self._recent.append(self.trainer.next(self.schedule, p.step))
            p.step += 1
            if p.step % BLOCK == 0 or p.step == len(self.schedule):
                self._look()
            if self.checkpoints and p.step % self.checkpoints.every == 0 and p.step < len(self.schedule):
                self._look()
                self._save()
        p.loss.append(p.total * self.settings.batch_size / self.schedule.n_events)
        p.epoch, p.step, p.total = p.epoch + 1, 0, 0.0
        self._validate()
        if self.checkpoints:
            self._save()

    def _look(self) -> None:
        """Add up the losses of the latest steps; stop where they make no sense; report."""
        if not self._recent:
            return
        losses, p = torch.stack(self._recent).tolist(), self.position
        events = self.schedule.events_before(p.step) - self.schedule.events_before(p.step - len(losses))
        for loss in losses:  # one by one: the same sum wherever a run was cut
            p.total += loss
        loss = sum(losses) * self.settings.batch_size / events
        p.first = losses[0] * self.settings.batch_size / self.schedule.n_lanes if p.first is None else p.first
        if not loss <= 3 * (p.first + 1):
            s = self.settings
            raise DivergedError(
                f"GRU4Rec: the loss is {loss:.3g} in epoch {p.epoch + 1}, step {p.step}; it began at {p.first:.3g}. "
                f"Fix: a lower learning_rate (now {s.learning_rate}) or momentum (now {s.momentum})"
                + (f", or bpreg (now {s.bpreg})." if s.loss == "bpr-max" else ".")
            )
        self._recent = []
        self._done += events
        self._bar.update(events)
        self._bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self._report(loss)

    def _report(self, loss: float, validation=None) -> None:
        now = time.perf_counter()
        p, n, at_an_end = self.position, self.settings.n_epochs, self.position.step in (0, len(self.schedule))
        if not callable(self.options.progress) or (now - self._last < PAUSE and not at_an_end):
            return
        self._last = now
        rate = self._done / max(now - self._started, 1e-9)
        ahead = self.schedule.n_events * (n - p.epoch) - self.schedule.events_before(p.step)
        epoch, step = (p.epoch + 1, p.step) if validation is None else (p.epoch, len(self.schedule))
        left = ahead / max(rate, 1e-9)
        self.options.progress(Report(epoch, step, n, len(self.schedule), loss, rate, left, validation))

    def _validate(self) -> None:
        if self.options.validation is None:
            return
        from recsys_lab.evaluate import evaluate

        self._hand_over()
        result = evaluate(self.model, self.options.validation, lists=False)
        self.position.validation.append((float(result.recall), float(result.mrr)))
        self._report(self.position.loss[-1], self.position.validation[-1])

    def _hand_over(self) -> None:
        t, p = self.trainer, self.position
        self.model.learned(*t.weights())
        self.model.loss_ = np.array(p.loss)
        self.model.validation_ = np.array(p.validation).reshape(-1, 2)
        self.model.batch_size_ = np.int64(self.settings.batch_size)

    def _save(self) -> None:
        number = self.position.epoch * len(self.schedule) + self.position.step
        state, arrays = self.trainer.state()
        meta = {"run": self.name, "position": vars(self.position), "trainer": state}
        self.checkpoints.save(number, meta, arrays)

    def _resume(self) -> None:
        found = self.checkpoints.latest(self.name) if self.checkpoints else None
        if found is not None:
            meta, arrays = found
            self.position = Position(**meta["position"])
            self.trainer.restore(meta["trainer"], arrays)


def fingerprint(settings, sessions: Sessions, device: str) -> str:
    """A digest of all that decides a run, except its length."""
    params = {name: value for name, value in vars(settings).items() if name != "n_epochs"}
    params["device"] = device.split(":")[0]
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    for array in (sessions.items, sessions.offsets):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@contextmanager
def one_thread():
    """Keep torch to one thread: a step's matrices are small, and two threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
