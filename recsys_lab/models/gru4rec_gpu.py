"""GRU4Rec's step for a GPU: fixed shapes, nothing to and from the host, recorded once and replayed.

At these sizes a GPU waits for its orders: launching a hundred small operations takes longer than running them. A CUDA
graph launches all of them at once, but only if nothing in a step depends on the host: the schedule lies on the device,
a counter there says which step it is, negatives and dropout are drawn there. Shapes must not change either: columns are
not made distinct here (which the losses do not notice), idle lanes read an item that does not exist (the row after the
last, which no answer ever sees), and gradients are as large as the catalogue.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from recsys_lab.models import gru4rec_losses as losses
from recsys_lab.models.gru4rec_batches import Schedule
from recsys_lab.models.gru4rec_optimiser import Adagrad
from recsys_lab.models.gru4rec_training import Trainer

WARM_UP = 3  # steps taken one operation at a time, so that libraries are ready before a graph is recorded


class GraphTrainer(Trainer):
    """A `Trainer` whose steps a GPU takes on its own; the parameters are the same.

    On the CPU it runs the same operations without a graph, for tests.
    """

    def __init__(self, model, popularity: np.ndarray, n_lanes: int, device: str = "cuda"):
        super().__init__(model, popularity, n_lanes, device)
        self.n_items = len(popularity)
        self.items = self._with_nothing(self.items)
        self.inputs = None if self.inputs is None else self._with_nothing(self.inputs)
        self._gradients = {id(t): torch.zeros_like(t.weights) for t in (self.items, self.inputs) if t is not None}
        self._touched = torch.zeros(self.n_items + 1, 1, device=self.device)
        nothing = np.append(self._log_expected, np.inf)  # corrected by infinity: never wrong
        self._log_drawn = torch.from_numpy(nothing.astype(np.float32)).to(self.device)
        self._own = torch.from_numpy(self._sampler._own).to(self.device)
        self._alias = torch.from_numpy(self._sampler._alias).to(self.device)
        self._generator = torch.Generator(self.device).manual_seed(model.seed)
        self._right = torch.arange(n_lanes, device=self.device) * (n_lanes + model.n_sample + 1)
        self._t = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._loss_value = torch.zeros((), device=self.device)
        self._schedule = self._graph = None
        self._taken = 0

    def _with_nothing(self, table: Adagrad) -> Adagrad:
        nothing = table.weights.new_zeros(1, table.weights.shape[1])
        return Adagrad(torch.cat([table.weights, nothing]), table.learning_rate, table.momentum)

    def weights(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Weights of the items that exist."""
        items, inputs, dense = super().weights()
        return items[: self.n_items], None if inputs is None else inputs[: self.n_items], dense

    def reset(self) -> None:
        """All lanes, with nothing remembered; in place, because a graph knows its tensors by their address."""
        if not hasattr(self, "hidden"):
            super().reset()
        for h in self.hidden:
            h[:, :-1] = 0.0

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """As for the CPU, with the device's generator."""
        state, arrays = super().state()
        return state, arrays | {"generator": self._generator.get_state().numpy()}

    def restore(self, state: dict, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `state` returned, in place."""
        kept = self.hidden
        super().restore(state, arrays)
        for h, values in zip(kept, self.hidden, strict=True):
            h.copy_(values)
        self.hidden = kept
        self._generator.set_state(torch.from_numpy(arrays["generator"]))

    @torch.no_grad()
    def next(self, schedule: Schedule, t: int) -> Tensor:
        """Take step t of a schedule; return its loss, which nobody has waited for."""
        if self._schedule is None:
            self._load(schedule)
        if t == 0 or self._taken == 0:
            self._t.fill_(t)
        if self.device.type == "cuda" and self._taken == WARM_UP:
            self._record()
        if self._graph is not None:
            self._graph.replay()
        else:
            self._take()
        self._taken += 1
        return self._loss_value.clone()

    def _load(self, schedule: Schedule) -> None:
        clicked, target, first = schedule.padded()
        nothing = [np.where(part < 0, self.n_items, part) for part in (clicked, target)]
        parts = [*nothing, 1.0 - first.astype(np.float32)]
        self._schedule = [torch.from_numpy(part).to(self.device) for part in parts]

    def _record(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            graph.register_generator_state(self._generator)
            with torch.cuda.graph(graph):
                self._take()
            self._graph = graph
        except torch.cuda.OutOfMemoryError:
            raise
        except (RuntimeError, AttributeError) as error:  # a driver or a torch that cannot
            self._taken += 1  # once is enough
            warnings.warn(f"GRU4Rec: no CUDA graph here, training goes on without one ({error}).", stacklevel=6)

    def _take(self) -> None:
        """One step, of operations on fixed tensors only."""
        clicked, target, kept = (part.index_select(0, self._t)[0] for part in self._schedule)
        for h in self.hidden:
            h[:, :-1].mul_(kept[:, None])
        ids = torch.cat([target, self._negatives()])  # (B + N,)
        columns = self.items.weights.index_select(0, ids)  # (B + N, H + 1)
        seen = self._read(clicked)  # (B, H + 1)
        loss, gradient = self._wide_loss(seen, columns, ids, target)
        is_wrong = (ids != target[:, None]) & (ids < self.n_items)
        scale = ((target < self.n_items) & is_wrong.any(1)).float() / self.model.batch_size
        gradient.mul_(scale[:, None])
        self._loss_value.copy_((loss * scale).sum())
        for table in self._gradients.values():
            table.zero_()
        self._gradients[id(self.items)].index_add_(0, ids, torch.mm(gradient.t(), seen))
        d = self._downwards(torch.mm(gradient, columns[:, :-1]))
        self._change(ids, clicked, d)
        for h, state in zip(self.hidden, self._read_states, strict=True):
            h.copy_(state)
        self._t.add_(1)

    def _read(self, clicked: Tensor) -> Tensor:
        table = self.items if self.inputs is None else self.inputs
        x = table.weights.index_select(0, clicked)
        self._mask = self._dropout(x[:, :-1] if self.inputs is None else x, self.model.dropout_p_embed)
        if self.inputs is None:
            x[:, -1] = 1.0
        elif not self._one_hot:
            x = torch.cat([x, x.new_ones(len(x), 1)], 1)
        self._read_states = []
        return self._upwards(x)

    def _wide_loss(self, seen: Tensor, columns: Tensor, ids: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and gradient over columns that may hold an item several times."""
        is_right = ids == target[:, None]
        if self.model.loss == "cross-entropy":
            scores = torch.addmm(-self._log_drawn.index_select(0, ids), seen, columns.t())
            scores.masked_fill_(is_right, losses.NEVER)
            right = (seen * columns[: len(target)]).sum(1)
            scores.view(-1).index_copy_(0, self._right, right)
            return losses.cross_entropy(scores, self._right, torch.zeros_like(right))
        weights = ((is_right | (ids == self.n_items)).float()).mul_(losses.NEVER)
        scores = torch.mm(seen, columns.t())
        return losses.bpr_max(scores, self._right, weights, self.model.bpreg, self.model.elu_param)

    def _change(self, ids: Tensor, clicked: Tensor, d: Tensor) -> None:
        self._touched.zero_().index_fill_(0, ids, 1.0)
        items = self._gradients[id(self.items)]
        if self.inputs is None:
            items[:, :-1].index_add_(0, clicked, d)
            self._touched.index_fill_(0, clicked, 1.0)
        self.items.step_touched(items, self._touched)
        if self.inputs is not None:
            inputs = self._gradients[id(self.inputs)].index_add_(0, clicked, d)
            self.inputs.step_touched(inputs, self._touched.zero_().index_fill_(0, clicked, 1.0))
        self.dense.step(self._dense_gradient)

    def _negatives(self) -> Tensor:
        n = self.model.n_sample
        place = torch.rand(n, generator=self._generator, device=self.device, dtype=torch.float64) * self.n_items
        column = place.long().clamp_(max=self.n_items - 1)
        own = place - column < self._own.index_select(0, column)
        return torch.where(own, column, self._alias.index_select(0, column))

    def _remember(self, number: int, state: Tensor) -> None:
        self._read_states.append(state)  # taken over at the end: the gradient still needs the old ones

    def _dropout(self, x: Tensor, p: float) -> Tensor | None:
        if p == 0:
            return None
        mask = (torch.rand(x.shape, generator=self._generator, device=self.device) >= p).float().div_(1 - p)
        x.mul_(mask)
        return mask
