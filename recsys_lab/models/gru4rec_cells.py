"""The gated recurrent unit with its gradient written out.

    r = sigmoid(W_r x + U_r h + ...)      z = sigmoid(W_z x + U_z h + ...)
    n = tanh(W_n x + b_n + r * (U_n h + c_n))      h' = (1 - z) * n + z * h

This is the form of `torch.nn.GRUCell` (Cho et al., EMNLP 2014, with the reset after the product). Weights lie as
`gru4rec_layout` says. Gradients of a session are not followed further back than one click, as in the papers.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Cell:
    """One layer over B lanes: `forward` keeps what `backward` needs.

    Parameters
    ----------
    w_ih, w_hh : Tensor, shape (n_inputs + 1, 3 n_units) and (n_units + 1, 3 n_units)
    g_ih, g_hh : Tensor of the same shapes
        Where the gradients go.
    """

    def __init__(self, w_ih: Tensor, w_hh: Tensor, g_ih: Tensor, g_hh: Tensor):
        self.w_ih, self.w_hh, self.g_ih, self.g_hh = w_ih, w_hh, g_ih, g_hh
        self.n_units = w_hh.shape[1] // 3

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Return the new hidden state, (B, n_units), from x (B, n_inputs + 1) and h (B, n_units + 1)."""
        return self._forward(x, torch.mm(x, self.w_ih), h)

    def forward_rows(self, rows: Tensor, h: Tensor) -> Tensor:
        """Return the new hidden state where the input is one-hot: rows, (B, 3 n_units), are W x already."""
        return self._forward(None, rows + self.w_ih[-1], h)

    def _forward(self, x: Tensor | None, i: Tensor, h: Tensor) -> Tensor:
        n = self.n_units
        self._x, self._h = x, h
        a = torch.mm(h, self.w_hh)  # (B, 3H): r z n
        rz = a[:, : 2 * n]
        rz += i[:, n:]
        rz.sigmoid_()
        self._r, self._z, self._u = a[:, :n], a[:, n : 2 * n], a[:, 2 * n :]
        self._n = tanh_(torch.addcmul(i[:, :n], self._r, self._u))
        return torch.lerp(self._n, h[:, :n], self._z)

    def backward(self, dh: Tensor) -> Tensor:
        """Write the gradients of the weights; return that of x, (B, n_inputs), or of the rows, (B, 3 n_units)."""
        n, d = self.n_units, dh.new_empty(len(dh), 4 * self.n_units)  # (B, 4H): n r z n
        dn, dr, dz, dun = d[:, :n], d[:, n : 2 * n], d[:, 2 * n : 3 * n], d[:, 3 * n :]
        torch.ops.aten.tanh_backward.grad_input(torch.addcmul(dh, dh, self._z, value=-1), self._n, grad_input=dn)
        torch.ops.aten.sigmoid_backward.grad_input(dn * self._u, self._r, grad_input=dr)
        torch.ops.aten.sigmoid_backward.grad_input((self._h[:, :n] - self._n).mul_(dh), self._z, grad_input=dz)
        torch.mul(dn, self._r, out=dun)
        torch.mm(self._h.t(), d[:, n:], out=self.g_hh)
        di = d[:, : 3 * n]
        if self._x is None:
            self.g_ih[-1] = di.sum(0)
            return di
        torch.mm(self._x.t(), di, out=self.g_ih)
        return torch.mm(di, self.w_ih[:-1].t())


def tanh_(x: Tensor) -> Tensor:
    """Tanh in place, as 2 sigmoid(2x) - 1: torch's sigmoid is several times faster than its tanh."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)
