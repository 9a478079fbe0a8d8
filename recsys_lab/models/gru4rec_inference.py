"""GRU4Rec answering: numpy alone, no dropout, each session from its start.

Sums of floating-point numbers depend on their order, and libraries choose the order by the shape of a matrix. Sessions
are therefore read `LANES` at a time and scored `LANES` rows at a time, however few there are: what a session scores is
the same to the last bit whoever else is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from recsys_lab.interactions import Sessions
from recsys_lab.models import gru4rec_layout as layout

LANES = 32


class Reader:
    """Learned weights, ready to read sessions.

    Parameters
    ----------
    embedding : ndarray of float32, shape (n_items, n_units)
        Of scored items.
    bias : ndarray of float32, shape (n_items,)
    inputs : ndarray of float32, shape (n_items, width), or None
        Of clicked items; None where it is `embedding`.
    gru : ndarray of float32, shape (n_weights,)
        As `gru4rec_layout.views` cuts it.
    layers : sequence of int
    one_hot : bool
        Whether `inputs` are products with one-hot vectors already.
    """

    def __init__(self, embedding, bias, inputs, gru, layers: Sequence[int], one_hot: bool):
        self._embedding, self._bias = embedding, bias
        self._inputs = self._embedding if inputs is None else inputs
        self.layers, self._one_hot = list(layers), one_hot
        width = 0 if one_hot else self._inputs.shape[1]
        self._cells = layout.views(gru, width, self.layers)

    def start(self, n: int = 1) -> list[np.ndarray]:
        """Hidden states of sessions without a click, one (n, n_units) a layer."""
        return [np.zeros((n, units), np.float32) for units in self.layers]

    def read(self, clicked: np.ndarray, hidden: list[np.ndarray]) -> list[np.ndarray]:
        """Hidden states after one more click each, from item indices, (n,)."""
        x, states = self._inputs[clicked], []
        for number, ((w_ih, w_hh), h) in enumerate(zip(self._cells, hidden, strict=True)):
            one_hot = self._one_hot and number == 0
            i = x + w_ih[-1] if one_hot else x @ w_ih[:-1] + w_ih[-1]  # n r z
            x = _gru(i, h @ w_hh[:-1] + w_hh[-1], h)
            states.append(x)
        return states

    def scores(self, hidden: np.ndarray) -> np.ndarray:
        """Scores of all items, (n, n_items), from top hidden states, (n, n_units)."""
        return hidden @ self._embedding.T + self._bias

    def score(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        """Scores after the asked clicks, (n_rows, n_items)."""
        top = self.states(sessions, rows)
        scores = np.empty((len(rows), len(self._embedding)), np.float32)
        block = np.zeros((LANES, self.layers[-1]), np.float32)
        for start in range(0, len(rows), LANES):
            now = top[start : start + LANES]
            block[: len(now)] = now
            scores[start : start + len(now)] = self.scores(block)[: len(now)]
        return scores

    def states(self, sessions: Sessions, rows: np.ndarray) -> np.ndarray:
        """Top hidden states after the asked clicks, (n_rows, n_units)."""
        top = np.zeros((sessions.n_clicks, self.layers[-1]), np.float32)
        for clicks, hidden in self._replay(sessions):
            top[clicks] = hidden
        return top[rows]

    def _replay(self, sessions: Sessions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield clicks and the top hidden states after them, `LANES` sessions of similar length at a time."""
        by_length = np.argsort(-sessions.lengths, kind="stable")
        for start in range(0, len(by_length), LANES):
            lanes = by_length[start : start + LANES]
            begins, lengths = sessions.offsets[lanes], sessions.lengths[lanes]
            hidden, clicked = self.start(LANES), np.zeros(LANES, np.int64)
            for position in range(int(lengths.max(initial=0))):
                clicks = begins[lengths > position] + position  # the longest sessions come first
                clicked[: len(clicks)] = sessions.items[clicks]
                hidden = self.read(clicked, hidden)
                yield clicks, hidden[-1][: len(clicks)]


def _gru(i: np.ndarray, u: np.ndarray, h: np.ndarray) -> np.ndarray:
    """New hidden state from i = W x + b (n r z), u = U h + c (r z n) and h, (B, n_units)."""
    units = h.shape[1]
    gates = i[:, units:] + u[:, : 2 * units]
    gates = 0.5 * np.tanh(0.5 * gates) + 0.5  # the sigmoid, without overflow
    r, z = gates[:, :units], gates[:, units:]
    n = np.tanh(i[:, :units] + r * u[:, 2 * units :])
    return n + z * (h - n)
