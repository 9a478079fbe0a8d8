"""GRU4Rec on one screen: what `recsys_lab.models.GRU4Rec` does, with autograd and no tricks.

A session is read click by click. A gated recurrent unit keeps a hidden state h, and an item's score for the next click
is the product of h with the item's embedding, plus the item's bias::

    h = GRU(E[clicked], h)        scores = h E' + b

Hidasi et al., "Session-based recommendations with recurrent neural networks" (ICLR 2016): session-parallel batches, the
model. Hidasi & Karatzoglou, "Recurrent neural networks with top-k gains for session-based recommendations" (CIKM
2018): shared additional negatives, both losses, the shared ("constrained") embedding. Bengio & Senécal, "Adaptive
importance sampling" (IEEE Trans. Neural Networks, 2008): the logQ correction. Shapes: B lanes, N negatives, H units.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from recsys_lab.interactions import Sessions
from recsys_lab.models.base import Recommender

EPSILON = 1e-6
NEVER = -1e30  # finite, so that it never makes a NaN


def session_parallel(sessions: Sessions, batch_size: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield (lane, clicked, target, is_first): B sessions side by side, each lane taking the next when one ends."""
    waiting = iter([session for session in sessions if len(session) > 1])
    lanes = [[session, 0] for _, session in zip(range(batch_size), waiting, strict=False)]
    while any(lanes):
        active = np.array([b for b, lane in enumerate(lanes) if lane])
        clicked, target, first = zip(*((s[t], s[t + 1], t == 0) for s, t in (lanes[b] for b in active)), strict=True)
        yield active, np.array(clicked), np.array(target), np.array(first)
        for b in active:
            lanes[b][1] += 1
            if lanes[b][1] == len(lanes[b][0]) - 1:
                session = next(waiting, None)
                lanes[b] = None if session is None else [session, 0]


def cross_entropy(scores: Tensor, is_wrong: Tensor, log_expected: Tensor) -> Tensor:
    """-log softmax of the right item against the wrong ones, scores corrected by how often each is drawn; (B,)."""
    corrected = scores - log_expected  # (B, B + N)
    wrong = corrected.masked_fill(~is_wrong, NEVER)
    right = scores.diagonal()[:, None]  # (B, 1), always there: nothing to correct
    return -torch.log_softmax(torch.cat([right, wrong], 1), 1)[:, 0]


def bpr_max(scores: Tensor, is_wrong: Tensor, bpreg: float, elu_param: float) -> Tensor:
    """-log sum_j s_j sigmoid(r_i - r_j) + bpreg sum_j s_j r_j², s = softmax over the wrong items j; (B,)."""
    r = nn.functional.elu(scores, elu_param) if elu_param > 0 else scores  # (B, B + N)
    s = torch.softmax(r.masked_fill(~is_wrong, NEVER), 1)
    better = torch.sigmoid(r.diagonal()[:, None] - r)
    return -torch.log((s * better).sum(1) + 1e-24) + bpreg * (s * r**2).sum(1)


class Adagrad:
    """Adagrad (Duchi et al., JMLR 2011) with momentum; rows that a step does not touch stay as they are."""

    def __init__(self, weights: Tensor, learning_rate: float, momentum: float):
        self.weights, self.learning_rate, self.momentum = weights, learning_rate, momentum
        self.squares, self.velocity = torch.full_like(weights, EPSILON), torch.zeros_like(weights)

    @torch.no_grad()
    def step(self, rows=slice(None)) -> None:
        """Change the touched rows by their gradient."""
        gradient = self.weights.grad[rows]
        self.squares[rows] += gradient**2
        change = -self.learning_rate * gradient / torch.sqrt(self.squares[rows])
        self.velocity[rows] = self.momentum * self.velocity[rows] + change
        self.weights[rows] += self.velocity[rows]
        self.weights.grad = None


class PlainGRU4Rec(Recommender):
    """GRU4Rec with one layer and a shared embedding, to be read; `GRU4Rec` is the one to use.

    Parameters
    ----------
    loss : {"cross-entropy", "bpr-max"}
    layers : sequence of one int
        Units of the hidden state, and width of the embedding.
    batch_size, n_sample, sample_alpha, logq, dropout_p_embed, dropout_p_hidden, learning_rate, momentum, n_epochs, \
bpreg, elu_param, seed
        As in `recsys_lab.models.GRU4Rec`.
    """

    def __init__(self, loss="cross-entropy", layers=(100,), batch_size=128, n_sample=512, sample_alpha=0.75, logq=1.0,
                 dropout_p_embed=0.1, dropout_p_hidden=0.0, learning_rate=0.1, momentum=0.0, n_epochs=3, bpreg=1.0,
                 elu_param=0.5, seed=0):  # fmt: skip
        self.loss, self.layers, self.batch_size, self.n_sample = loss, layers, batch_size, n_sample
        self.sample_alpha, self.logq, self.bpreg, self.elu_param = sample_alpha, logq, bpreg, elu_param
        self.dropout_p_embed, self.dropout_p_hidden = dropout_p_embed, dropout_p_hidden
        self.learning_rate, self.momentum, self.n_epochs, self.seed = learning_rate, momentum, n_epochs, seed

    def _fit(self, sessions: Sessions, impressions) -> None:
        if sessions.has_time:
            sessions = sessions.take(np.argsort(sessions.starts, kind="stable"))
        self._prepare(self.popularity_)
        self.loss_, n_events = np.zeros(self.n_epochs), np.maximum(sessions.lengths - 1, 0).sum()
        for epoch in range(self.n_epochs):
            hidden = torch.zeros(self.batch_size, self.layers[0])
            for lane, clicked, target, first in session_parallel(sessions, self.batch_size):
                negatives = self._rng.choice(len(self._q), self.n_sample, p=self._q)
                hidden[lane[first]] = 0.0  # a new session knows nothing of the one before it
                hidden[lane], loss = self._step(hidden[lane], clicked, target, negatives)
                self.loss_[epoch] += loss * self.batch_size / n_events
        self._keep()

    def _prepare(self, popularity: np.ndarray) -> None:
        """Draw the first weights; work out how often each item is expected among the columns of a step."""
        self._rng, (n_units,) = np.random.default_rng(self.seed), self.layers
        draw = lambda *shape: self._rng.uniform(-1, 1, shape) * np.sqrt(6 / sum(shape))  # noqa: E731
        self._items = torch.tensor(draw(len(popularity), n_units), dtype=torch.float32, requires_grad=True)
        self._bias = torch.zeros(len(popularity), requires_grad=True)
        self._cell = nn.GRUCell(n_units, n_units)
        with torch.no_grad():
            for weights in self._cell.parameters():
                gates = [draw(*weights[:n_units].shape) if weights.ndim == 2 else np.zeros(n_units) for _ in range(3)]
                weights[:] = torch.tensor(np.concatenate(gates))
        powers = popularity**self.sample_alpha * (popularity > 0)
        self._q = powers / powers.sum()
        expected = self.batch_size * popularity / popularity.sum() + self.n_sample * self._q
        self._log_expected = self.logq * torch.tensor(np.log(np.maximum(expected, 1e-30)), dtype=torch.float32)
        parts = [self._items, self._bias, *self._cell.parameters()]
        self._optimisers = [Adagrad(part, self.learning_rate, self.momentum) for part in parts]

    def _step(self, hidden: Tensor, clicked, target, negatives) -> tuple[Tensor, float]:
        """Learn from one click of each lane; return the new hidden states, (B, H), and the loss."""
        columns = torch.tensor(np.concatenate([target, negatives]))  # (B + N,)
        hidden = self._cell(self._dropout(self._items[clicked], self.dropout_p_embed), hidden)  # (B, H)
        seen = self._dropout(hidden, self.dropout_p_hidden)
        scores = seen @ self._items[columns].T + self._bias[columns]  # (B, B + N)
        is_wrong = columns != columns[: len(target), None]  # the other lanes' targets and the negatives
        if self.loss == "cross-entropy":
            losses = cross_entropy(scores, is_wrong, self._log_expected[columns])
        else:
            losses = bpr_max(scores, is_wrong, self.bpreg, self.elu_param)
        loss = (losses * is_wrong.any(1)).sum() / self.batch_size  # nothing wrong beside it: nothing to learn
        loss.backward()
        touched = torch.tensor(np.union1d(clicked, columns))
        for number, optimiser in enumerate(self._optimisers):
            optimiser.step(touched if number < 2 else slice(None))
        return hidden.detach(), loss.item()

    def _dropout(self, x: Tensor, p: float) -> Tensor:
        if p == 0:
            return x
        keep = self._rng.random(tuple(x.shape), dtype=np.float32) >= p
        return x * torch.from_numpy(keep) / (1 - p)

    def _keep(self) -> None:
        self.item_embedding_, self.item_bias_ = self._items.detach().numpy(), self._bias.detach().numpy()
        self.item_bias_[self.popularity_ == 0] = -np.inf  # what nobody clicked is never listed
        for name, weights in self._cell.named_parameters():
            setattr(self, f"{name}_", weights.detach().numpy())
        for name in ("_rng", "_items", "_bias", "_cell", "_q", "_log_expected", "_optimisers"):
            delattr(self, name)

    @torch.no_grad()
    def _score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        cell = nn.GRUCell(self.layers[0], self.layers[0])
        cell.load_state_dict({name: torch.tensor(getattr(self, f"{name}_")) for name in cell.state_dict()})
        scores = np.empty((len(rows), sessions.n_items), np.float32)
        for start, stop in pairwise(sessions.offsets):
            hidden = torch.zeros(self.layers[0])
            for click in range(start, stop):
                hidden = cell(torch.tensor(self.item_embedding_[sessions.items[click]]), hidden)
                scores[rows == click] = self.item_embedding_ @ hidden.numpy() + self.item_bias_
        return scores
