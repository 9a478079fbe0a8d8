"""Adagrad with momentum that touches only the rows of a step, and how rows are gathered and put back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

EPSILON = 1e-6


class Adagrad:
    """Weights with their sums of squares and velocity, one row an item (Duchi et al., JMLR 2011).

        squares += g²;    velocity = momentum * velocity - learning_rate * g / sqrt(squares);    weights += velocity

    `squares` start from EPSILON instead of 0. A row that a step does not touch stays as it is, its velocity included.
    """

    def __init__(self, weights: Tensor, learning_rate: float, momentum: float):
        self.weights, self.learning_rate, self.momentum = weights, learning_rate, momentum
        self.squares = torch.full_like(weights, EPSILON)
        self.velocity = torch.zeros_like(weights) if momentum else None

    def gather(self, rows: np.ndarray) -> Tensor:
        """Copy of some rows of the weights."""
        return gather(self.weights, rows)

    def step(self, gradient: Tensor) -> None:
        """Change all weights."""
        self._change(self.weights, self.squares, self.velocity, gradient)

    def step_touched(self, gradient: Tensor, touched: Tensor) -> None:
        """Change the rows where `touched`, (n_rows, 1), is 1, given a gradient that is 0 elsewhere; without a copy."""
        if self.velocity is None:
            self.step(gradient)
            return
        scale = self.squares.addcmul_(gradient, gradient).rsqrt()
        self.velocity.mul_(1 - (1 - self.momentum) * touched)
        self.velocity.addcmul_(gradient, scale, value=-self.learning_rate)
        self.weights.addcmul_(self.velocity, touched)

    def step_rows(self, gradient: Tensor, rows: np.ndarray, local: Tensor) -> None:
        """Change some rows of the weights, of which `local` is the copy that `gather` made."""
        squares = gather(self.squares, rows)
        velocity = None if self.velocity is None else gather(self.velocity, rows)
        self._change(local, squares, velocity, gradient)
        scatter(self.weights, rows, local)
        scatter(self.squares, rows, squares)
        if velocity is not None:
            scatter(self.velocity, rows, velocity)

    def _change(self, weights: Tensor, squares: Tensor, velocity: Tensor | None, gradient: Tensor) -> None:
        scale = squares.addcmul_(gradient, gradient).rsqrt()
        if velocity is None:
            weights.addcmul_(gradient, scale, value=-self.learning_rate)
        else:
            weights.add_(velocity.mul_(self.momentum).addcmul_(gradient, scale, value=-self.learning_rate))

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Weights and state by name, for a checkpoint."""
        parts = {"weights": self.weights, "squares": self.squares, "velocity": self.velocity}
        return {f"{name}.{key}": part.cpu().numpy() for key, part in parts.items() if part is not None}

    def restore(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `arrays` returned."""
        for key in ("weights", "squares", "velocity"):
            if getattr(self, key) is not None:
                getattr(self, key).copy_(torch.from_numpy(arrays[f"{name}.{key}"]))


def on_host(table: Tensor) -> bool:
    """Whether numpy can work on the same memory."""
    return table.device.type == "cpu"


def gather(table: Tensor, rows: np.ndarray) -> Tensor:
    """Copy of some rows; on the CPU numpy's copy, which costs half of torch's."""
    if on_host(table):
        return torch.from_numpy(table.numpy().take(rows, 0))
    return table.index_select(0, torch.from_numpy(rows).to(table.device, non_blocking=True))


def as_items(table: Tensor) -> np.ndarray:
    """Rows as single items of many bytes: numpy moves those faster than rows of numbers."""
    return table.numpy().view(np.dtype((np.void, 4 * table.shape[1])))[:, 0]


def scatter(table: Tensor, rows: np.ndarray, values: Tensor) -> None:
    """Put rows back where `gather` found them; each row once."""
    if on_host(table):
        as_items(table)[rows] = as_items(values)
    else:
        table.index_copy_(0, torch.from_numpy(rows).to(table.device, non_blocking=True), values)
