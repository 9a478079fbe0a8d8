"""Where the weights of the recurrent layers lie: all in one vector, cut into matrices. For numpy and torch alike.

Vectors carry a last entry of 1, so that biases are a last row of the weights and need no operations of their own: the
input is (B, n_inputs + 1), the hidden state (B, n_units + 1). Gates lie side by side, in the order n r z for `w_ih` and
r z n for `w_hh`: the gradients of both are then overlapping windows of one row of four, n r z n.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def shapes(n_inputs: int, layers: Sequence[int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Shapes of (w_ih, w_hh) of each layer, biases included."""
    widths = [n_inputs, *layers]
    return [((i + 1, 3 * h), (h + 1, 3 * h)) for i, h in zip(widths, layers, strict=False)]


def views(flat, n_inputs: int, layers: Sequence[int]) -> list[tuple]:
    """(w_ih, w_hh) of each layer as views into one vector, of numpy or of torch."""
    found, start = [], 0
    for pair in shapes(n_inputs, layers):
        layer = []
        for rows, columns in pair:
            layer.append(flat[start : start + rows * columns].reshape(rows, columns))
            start += rows * columns
        found.append(tuple(layer))
    return found


def first_weights(rng: np.random.Generator, n_inputs: int, layers: Sequence[int]) -> np.ndarray:
    """Uniform in ±sqrt(6 / (rows + columns)) a gate (Glorot & Bengio, AISTATS 2010), biases 0; one float32 vector."""
    flat = np.zeros(sum(a * b for pair in shapes(n_inputs, layers) for a, b in pair), np.float32)
    for w_ih, w_hh in views(flat, n_inputs, layers):
        for weights, order in ((w_ih, (1, 2, 0)), (w_hh, (0, 1, 2))):  # drawn in the order r z n
            n_rows, n_units = len(weights) - 1, weights.shape[1] // 3
            for gate in order:
                columns = slice(gate * n_units, (gate + 1) * n_units)
                weights[:-1, columns] = uniform(rng, n_units, n_rows).T
    return flat


def uniform(rng: np.random.Generator, n_rows: int, n_columns: int) -> np.ndarray:
    """Weights drawn uniformly from ±sqrt(6 / (rows + columns))."""
    return rng.uniform(-1, 1, (n_rows, n_columns)) * np.sqrt(6 / max(1, n_rows + n_columns))
