"""GRU4Rec: a recurrent network that reads a session click by click.

Written from the papers: Hidasi, Karatzoglou, Baltrunas & Tikk, "Session-based recommendations with recurrent neural
networks" (ICLR 2016), and Hidasi & Karatzoglou, "Recurrent neural networks with top-k gains for session-based
recommendations" (CIKM 2018). Hidasi & Czapp, "The effect of third party implementations on reproducibility" (RecSys
2023), tell what goes wrong when features are left out; `tests/test_gru4rec_conformance.py` holds each of them.

`PlainGRU4Rec` is the same model with autograd and no tricks, to be read first. The parts here: `gru4rec_batches` is
what a step reads, `gru4rec_cells`, `gru4rec_losses` and `gru4rec_optimiser` what it does, `gru4rec_training` the step
(`gru4rec_gpu` that of a GPU), `gru4rec_run` the way from the first to the last, `gru4rec_checkpoints` their state on
disk, `gru4rec_inference` the answers, which need no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from recsys_lab.interactions import Sessions
from recsys_lab.models.base import Recommender

LOSSES = ("cross-entropy", "bpr-max")


class GRU4Rec(Recommender):
    """Session-based recommendation with gated recurrent units.

    Parameters
    ----------
    loss : {"cross-entropy", "bpr-max"}
        Over the targets of the batch and `n_sample` shared negatives; formulas in `gru4rec_losses`.
    layers : sequence of int
        Units of each recurrent layer; the last is also the width of the output embeddings.
    batch_size : int
        Sessions side by side.
    n_sample : int
        Additional negatives a step, shared by the batch.
    sample_alpha : float
        They are drawn in proportion to popularity ** sample_alpha: 0 is uniform, 1 by popularity.
    logq : float
        Strength of the logQ correction of the sampled softmax, 0 (none) to 1; cross-entropy only.
    dropout_p_embed, dropout_p_hidden : float
        Share of the numbers set to 0 in the embedding of the click, and in what a recurrent layer passes upwards. Its
        memory is never dropped.
    learning_rate, momentum : float
        Of Adagrad.
    n_epochs : int
    embedding : int
        Width of a separate embedding of the clicked items; 0 feeds them one-hot. Only where
        ``constrained_embedding=False``.
    constrained_embedding : bool
        One embedding for clicked and for scored items, ``layers[-1]`` wide.
    bpreg : float
        Weight of the score regularisation; BPR-max only.
    elu_param : float
        Below 0 scores become elu_param * (exp(score) - 1); 0 leaves them as they are; BPR-max only. Order is kept, so
        answers need no activation.
    device : str
        "auto" (a GPU where there is one), "cpu" or "cuda". One seed gives one model on the same kind of device.
    seed : int

    Attributes
    ----------
    item_embedding_ : ndarray of float32, shape (n_items, layers[-1])
    item_bias_ : ndarray of float32, shape (n_items,)
        ``-inf`` for items without a click in training: they are never listed.
    input_embedding_ : ndarray of float32, shape (n_items, width), or None
        Of clicked items, where it is not `item_embedding_`.
    gru_ : ndarray of float32, shape (n_weights,)
        Weights of the recurrent layers, as `gru4rec_layout.views` cuts them.
    loss_ : ndarray of float64, shape (n_epochs,)
        Mean loss of an event, epoch by epoch.
    validation_ : ndarray of float64, shape (n_epochs, 2)
        recall@20 and MRR@20 after each epoch, where `fit` was given sessions for it.

    Examples
    --------
    >>> sessions = Sessions.from_lists([["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]] * 20)
    >>> model = GRU4Rec(layers=(8,), batch_size=4, n_sample=8, learning_rate=0.2, n_epochs=5).fit(sessions)
    >>> model.recommend(["a"], k=1).tolist(), model.recommend(["a", "b"], k=1).tolist()
    (['b'], ['c'])
    """

    def __init__(
        self,
        loss: str = "cross-entropy",
        layers: Sequence[int] = (100,),
        batch_size: int = 128,
        n_sample: int = 512,
        sample_alpha: float = 0.75,
        logq: float = 1.0,
        dropout_p_embed: float = 0.1,
        dropout_p_hidden: float = 0.0,
        learning_rate: float = 0.1,
        momentum: float = 0.0,
        n_epochs: int = 3,
        embedding: int = 0,
        constrained_embedding: bool = True,
        bpreg: float = 1.0,
        elu_param: float = 0.5,
        device: str = "auto",
        seed: int = 0,
    ):
        self.loss, self.layers, self.batch_size, self.n_sample = loss, layers, batch_size, n_sample
        self.sample_alpha, self.logq, self.bpreg, self.elu_param = sample_alpha, logq, bpreg, elu_param
        self.dropout_p_embed, self.dropout_p_hidden = dropout_p_embed, dropout_p_hidden
        self.learning_rate, self.momentum, self.n_epochs = learning_rate, momentum, n_epochs
        self.embedding, self.constrained_embedding = embedding, constrained_embedding
        self.device, self.seed = device, seed

    def fit(
        self,
        sessions: Sessions,
        impressions=None,
        *,
        progress: bool | Callable = False,
        validation: Sessions | None = None,
        checkpoints=None,
    ):
        """Learn from sessions, in their order: sorted by time where the log has times.

        Parameters
        ----------
        sessions : Sessions
            At least one with two clicks.
        impressions : optional
            Not used.
        progress : bool or callable
            True draws a bar with loss, events a second and time left. A function is called every now and then with a
            `gru4rec_run.Report`: for live curves.
        validation : Sessions, optional
            Evaluated after each epoch: fills `validation_`. Never the test part.
        checkpoints : Checkpoints or path, optional
            Where to save the state of the training now and then. If a checkpoint of this very run is there, training
            goes on from it, with the same result as if it had never stopped.

        Returns
        -------
        self
            Ctrl-C stops the training with a warning and leaves the model as far as it has learned.

        Raises
        ------
        ValueError
            For settings that make no sense, and where no session has a second click.
        DivergedError
            If the loss becomes NaN or runs away.
        """
        from recsys_lab.models.gru4rec_run import Options

        check_settings(self)
        try:  # what was shown teaches this model nothing; how to train travels in its place
            return super().fit(sessions, Options(progress, validation, checkpoints))
        except BaseException:
            vars(self).pop("vocabulary_", None)  # a model that failed to learn has not learned
            raise

    def _fit(self, sessions: Sessions, options) -> None:
        from recsys_lab.models.gru4rec_run import run

        run(self, sessions, options)

    def learned(self, items: np.ndarray, inputs: np.ndarray | None, gru: np.ndarray) -> None:
        """Take over weights: output embeddings with their bias last, input embeddings, recurrent layers."""
        self.item_embedding_ = items[:, :-1].copy()
        self.item_bias_ = np.where(self.popularity_ > 0, items[:, -1], -np.inf).astype(np.float32)
        self.input_embedding_, self.gru_ = None if inputs is None else inputs.copy(), gru.copy()

    def reader(self):
        """Return the `gru4rec_inference.Reader` of the learned weights."""
        from recsys_lab.models.gru4rec_inference import Reader

        self._check_fitted()
        one_hot = not self.constrained_embedding and not self.embedding
        items = (self.item_embedding_, self.item_bias_)
        return Reader(*items, getattr(self, "input_embedding_", None), self.gru_, self.layers, one_hot)

    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        return self.reader().score(sessions, rows)

    def item_vectors(self) -> np.ndarray:
        """Vectors of the items, with their bias last: float32, shape (n_items, layers[-1] + 1)."""
        self._check_fitted()
        return np.column_stack([self.item_embedding_, self.item_bias_])

    def queries(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        """Vectors of sessions, whose product with `item_vectors` is `score`, up to rounding.

        Parameters
        ----------
        sessions : Sessions
            In the model's vocabulary, every item known.
        rows : ndarray of int64, shape (n_rows,)

        Returns
        -------
        ndarray of float32, shape (n_rows, layers[-1] + 1)
            After each asked click, whatever else is asked for.
        """
        states = self.reader().states(sessions, rows)
        return np.column_stack([states, np.ones(len(states), np.float32)])

    def get_params(self) -> dict:
        """Return the constructor's arguments, `layers` as a list."""
        return super().get_params() | {"layers": np.ravel(self.layers).tolist()}

    def start(self) -> np.ndarray:
        """State of a session without clicks, for `step`: float32, shape (sum of layers,)."""
        self._check_fitted()
        return np.zeros(sum(self.layers), np.float32)

    def step(self, state: np.ndarray, item) -> tuple[np.ndarray, np.ndarray]:
        """Read one more click of a session; what a service does, which keeps nothing but the state.

        Parameters
        ----------
        state : ndarray of float32, shape (sum of layers,)
            From `start` or from the last `step`; not changed.
        item : item id
            An item that the model has never seen leaves the state as it is.

        Returns
        -------
        state : ndarray of float32, shape (sum of layers,)
        scores : ndarray of float32, shape (n_items,)
            Those of `score` for the same clicks, up to rounding.
        """
        reader, (index,) = self.reader(), self.vocabulary_.encode([item])
        cuts = np.cumsum([0, *self.layers])
        hidden = [state[None, a:b] for a, b in pairwise(cuts)]
        if index >= 0:
            hidden = reader.read(np.array([index]), hidden)
        elif not state.any():
            return state, self._popular()
        return np.concatenate(hidden, 1)[0], reader.scores(hidden[-1])[0]


def check_settings(model: GRU4Rec) -> None:
    """Raise a ValueError that names the first setting that makes no sense."""
    at_least = {"batch_size": 1, "n_sample": 0, "n_epochs": 1, "embedding": 0, "momentum": 0, "bpreg": 0}
    at_least |= {"elu_param": 0, "sample_alpha": 0, "logq": 0, "dropout_p_embed": 0, "dropout_p_hidden": 0}
    for name, low in at_least.items():
        if not getattr(model, name) >= low:
            raise ValueError(f"GRU4Rec: {name} must be at least {low}, not {getattr(model, name)!r}.")
    for name in ("dropout_p_embed", "dropout_p_hidden", "momentum"):
        if not getattr(model, name) < 1:
            raise ValueError(f"GRU4Rec: {name} must be below 1, not {getattr(model, name)!r}.")
    if not model.learning_rate > 0:
        raise ValueError(f"GRU4Rec: learning_rate must be positive, not {model.learning_rate!r}.")
    if model.loss not in LOSSES:
        raise ValueError(f"GRU4Rec: loss={model.loss!r}: choose one of {LOSSES}.")
    if np.ndim(model.layers) != 1 or not len(model.layers) or min(model.layers) < 1:
        raise ValueError(f"GRU4Rec: layers is a list of numbers of units, not {model.layers!r}. Fix: layers=[100]")
    if model.constrained_embedding and model.embedding:
        raise ValueError("GRU4Rec: a shared embedding has the width layers[-1]. Fix: constrained_embedding=False")
