"""One step of GRU4Rec after the other: forward, gradients, Adagrad with momentum, all on the rows that a step touches.

A step touches the items clicked, the targets and the negatives. Their rows are gathered, worked on as small dense
matrices and put back: no gradient as large as the catalogue, no sparse tensors.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recsys_lab.models import gru4rec_layout as layout
from recsys_lab.models import gru4rec_losses as losses
from recsys_lab.models.gru4rec_batches import AliasSampler, Columns, Schedule, Step, expected_counts, sampling_weights
from recsys_lab.models.gru4rec_cells import Cell
from recsys_lab.models.gru4rec_optimiser import Adagrad


class Trainer:
    """Weights, optimiser and hidden states of a run, and the step that changes them.

    Parameters
    ----------
    model : GRU4Rec, or anything with its settings as attributes
    popularity : ndarray of int64, shape (n_items,)
    n_lanes : int
    device : str

    Attributes
    ----------
    rng : numpy Generator
        On the CPU, for first weights, negatives and dropout.
    hidden : list of Tensor, shape (n_active, n_units + 1)
        Hidden state of each layer; the last column is 1.
    items : Adagrad over Tensor, shape (n_items, layers[-1] + 1)
        Item embeddings of the output, the bias last.
    inputs : Adagrad over Tensor, shape (n_items, width), or None
        Embeddings of clicked items where they are not those of `items`.
    dense : Adagrad over Tensor, shape (n_weights,)
        Weights of the recurrent layers, as `gru4rec_layout.views` cuts them.
    """

    def __init__(self, model, popularity: np.ndarray, n_lanes: int, device: str = "cpu"):
        self.model, self.device, self.n_lanes = model, torch.device(device), n_lanes
        self.rng = np.random.default_rng(model.seed)
        self._sampler = AliasSampler(sampling_weights(popularity, model.sample_alpha))
        expected = expected_counts(popularity, model.batch_size, model.n_sample, model.sample_alpha)
        self._log_expected = model.logq * np.log(np.maximum(expected, 1e-30))
        self._columns = Columns(len(popularity))
        self._first_weights(len(popularity))
        self.reset()

    def _first_weights(self, n_items: int) -> None:
        model, layers = self.model, list(self.model.layers)
        items = np.zeros((n_items, layers[-1] + 1), np.float32)
        items[:, :-1] = layout.uniform(self.rng, n_items, layers[-1])
        self.items, self.inputs = self._adagrad(items), None
        self._one_hot = not model.constrained_embedding and not model.embedding
        width = layers[-1]
        if self._one_hot:
            rows = [layout.uniform(self.rng, n_items, layers[0]) for _ in range(3)]
            self.inputs, width = self._adagrad(np.concatenate(rows, 1).astype(np.float32)), 0
        elif not model.constrained_embedding:
            width = model.embedding
            self.inputs = self._adagrad(layout.uniform(self.rng, n_items, width).astype(np.float32))
        self.n_inputs = width
        self.dense = self._adagrad(layout.first_weights(self.rng, width, layers))
        self._dense_gradient = torch.zeros_like(self.dense.weights)
        weights = layout.views(self.dense.weights, width, layers)
        gradients = layout.views(self._dense_gradient, width, layers)
        self._cells = [Cell(*w, *g) for w, g in zip(weights, gradients, strict=True)]

    def _adagrad(self, weights: np.ndarray) -> Adagrad:
        tensor = torch.from_numpy(weights).to(self.device)
        return Adagrad(tensor, self.model.learning_rate, self.model.momentum)

    def reset(self) -> None:
        """All lanes, with nothing remembered: the start of an epoch."""
        self.lanes = np.arange(self.n_lanes)
        self.hidden = [torch.zeros(self.n_lanes, n + 1, device=self.device) for n in self.model.layers]
        for h in self.hidden:
            h[:, -1] = 1.0

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """All that the next step depends on: plain values, and arrays by name."""
        arrays = {"lanes": self.lanes}
        for name, part in self._parts().items():
            arrays |= part.arrays(name)
        for number, h in enumerate(self.hidden):
            arrays[f"hidden.{number}"] = h.cpu().numpy()
        return {"rng": self.rng.bit_generator.state}, arrays

    def restore(self, state: dict, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `state` returned."""
        self.rng.bit_generator.state = state["rng"]
        self.lanes = arrays["lanes"]
        for name, part in self._parts().items():
            part.restore(name, arrays)
        self.hidden = [
            torch.from_numpy(arrays[f"hidden.{number}"]).to(self.device) for number in range(len(self.hidden))
        ]

    def _parts(self) -> dict[str, Adagrad]:
        parts = {"items": self.items, "inputs": self.inputs, "dense": self.dense}
        return {name: part for name, part in parts.items() if part is not None}

    def draw(self) -> np.ndarray:
        """Negatives of a step, shared by its lanes, int64, shape (n_sample,)."""
        return self._sampler.draw(self.rng, self.model.n_sample)

    def next(self, schedule: Schedule, t: int) -> Tensor:
        """Take step t of a schedule, with fresh negatives; return its loss."""
        return self.step(schedule[t], self.draw())

    def weights(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Output embeddings with their bias last, input embeddings, and recurrent layers, on the CPU."""
        inputs = None if self.inputs is None else self.inputs.weights.cpu().numpy()
        return self.items.weights.cpu().numpy(), inputs, self.dense.weights.cpu().numpy()

    @torch.inference_mode()
    def step(self, step: Step, negatives: np.ndarray) -> Tensor:
        """Learn from one click of each lane; return the loss, a tensor of one number that nobody has waited for."""
        self._seat(step)
        clicked_rows = step.clicked if self.inputs is None else step.clicked[:0]  # others have a table of their own
        columns = self._columns.of(clicked_rows, step.target, negatives)
        local = self.items.gather(columns.ids)  # (n_rows, H + 1)
        seen = self._forward(step.clicked, columns, local)  # (B, H + 1)
        if len(columns.counts) == 1:
            return local.new_zeros(())  # the right item alone: nothing is wrong, nothing to learn
        loss, gradient = self._loss(columns, seen, local)
        scale = 1.0 / self.model.batch_size
        scored = len(columns.counts)
        rows = torch.empty_like(local)
        gradient.mul_(scale)
        torch.mm(gradient.t(), seen[:, :-1], out=rows[:scored, :-1])
        torch.sum(gradient, 0, out=rows[:scored, -1])
        rows[scored:] = 0.0
        d_seen = torch.mm(gradient, local[:scored, :-1])  # (B, H)
        self._backward(columns, d_seen, rows)
        self.items.step_rows(rows, columns.ids, local)
        self.dense.step(self._dense_gradient)
        return loss.sum() * scale

    def _seat(self, step: Step) -> None:
        """Drop the lanes that ran out of sessions; forget the past of those that start one."""
        if len(step.lanes) < len(self.lanes):
            staying = self._tensor(np.flatnonzero(np.isin(self.lanes, step.lanes)))
            self.hidden, self.lanes = [h.index_select(0, staying) for h in self.hidden], step.lanes
        if len(step.first):
            first = self._tensor(step.first)
            for h in self.hidden:
                h[:, :-1].index_fill_(0, first, 0.0)

    def _forward(self, clicked: np.ndarray, columns: Columns, local: Tensor) -> Tensor:
        model = self.model
        if self.inputs is None:
            x = local.index_select(0, self._tensor(columns.clicked))  # (B, H + 1): the bias's place takes the 1
            self._mask = self._dropout(x[:, :-1], model.dropout_p_embed)
            x[:, -1] = 1.0
        else:
            self._input_rows, place = np.unique(clicked, return_inverse=True)
            self._input_local, self._input_place = self.inputs.gather(self._input_rows), self._tensor(place)
            x = self._input_local.index_select(0, self._input_place)
            self._mask = self._dropout(x, model.dropout_p_embed)
            if not self._one_hot:
                x = torch.cat([x, x.new_ones(len(x), 1)], 1)
        return self._upwards(x)

    def _upwards(self, x: Tensor) -> Tensor:
        """From the input of the lowest layer to what the scores see, (B, H + 1); the lanes remember what they read."""
        self._hidden_masks = []
        for number, cell in enumerate(self._cells):
            forward = cell.forward_rows if self._one_hot and number == 0 else cell.forward
            h = forward(x, self.hidden[number])
            x = torch.cat([h, h.new_ones(len(h), 1)], 1)
            self._remember(number, x)
            if self.model.dropout_p_hidden:  # the memory keeps all of it
                x = x.clone()
                self._hidden_masks.append(self._dropout(x[:, :-1], self.model.dropout_p_hidden))
        return x

    def _remember(self, number: int, state: Tensor) -> None:
        self.hidden[number] = state

    def _loss(self, columns: Columns, seen: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
        scored = len(columns.counts)
        log_weights = np.log(columns.counts)
        if self.model.loss == "cross-entropy":
            log_weights -= self._log_expected.take(columns.ids[:scored])
        weights = self._tensor(log_weights.astype(np.float32))
        right = self._tensor(columns.right + np.arange(len(columns.right)) * scored)
        matrix = local[:scored].t()
        if self.model.loss == "cross-entropy":
            own = self._tensor(log_weights.take(columns.right).astype(np.float32))
            return losses.cross_entropy(torch.addmm(weights, seen, matrix), right, own)
        scores = torch.mm(seen, matrix)
        return losses.bpr_max(scores, right, weights, self.model.bpreg, self.model.elu_param)

    def _backward(self, columns: Columns, d: Tensor, rows: Tensor) -> None:
        """Gradients of the recurrent layers, and of the clicked items' embeddings, from that of the top state."""
        d = self._downwards(d)
        if self.inputs is None:
            rows[:, :-1].index_add_(0, self._tensor(columns.clicked), d)
            return
        gradient = torch.zeros_like(self._input_local).index_add_(0, self._input_place, d)
        self.inputs.step_rows(gradient, self._input_rows, self._input_local)

    def _downwards(self, d: Tensor) -> Tensor:
        """Gradient of the clicked items' embeddings, (B, width); those of the recurrent layers go where they belong."""
        for number in reversed(range(len(self._cells))):
            if self._hidden_masks:
                d.mul_(self._hidden_masks[number])
            d = self._cells[number].backward(d)
        return d if self._mask is None else d * self._mask

    def _dropout(self, x: Tensor, p: float) -> Tensor | None:
        """Set a share p of the numbers to 0 and scale up the others, in place; return the factors."""
        if p == 0:
            return None
        factors = (self.rng.random(tuple(x.shape), dtype=np.float32) >= p) * np.float32(1 / (1 - p))
        mask = self._tensor(factors)
        x.mul_(mask)
        return mask

    def _tensor(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self.device.type == "cpu" else tensor.to(self.device, non_blocking=True)
