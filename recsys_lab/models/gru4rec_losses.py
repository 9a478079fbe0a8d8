"""Both losses of GRU4Rec over distinct items with weights, with their gradients written out.

Row b has one right item i; every other column j is wrong, and counts as often as it was drawn (m_j). What is right for
a lane is never wrong for it, however often it was drawn.

Cross-entropy over the sampled softmax, logQ-corrected (Bengio & Senécal 2008)::

    L = -log( exp s_i / (exp s_i + sum_j w_j exp s_j) ),    w_j = m_j / E[m_j]^logq

so that with logq = 1 the sum estimates the one over the whole catalogue without bias: an item drawn often weighs less.
The right item is there in any case, and nothing of it is to be corrected.

BPR-max with score regularisation (Hidasi & Karatzoglou, CIKM 2018), r = elu(scores)::

    L = -log sum_j p_j sigmoid(r_i - r_j) + bpreg sum_j p_j r_j²,    p_j = m_j exp r_j / sum_k m_k exp r_k
"""

from __future__ import annotations

import torch
from torch import Tensor

NEVER = -1e30  # finite, so that it never makes a NaN


def cross_entropy(scores: Tensor, right: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of each lane and its gradient.

    Parameters
    ----------
    scores : Tensor, shape (B, n_columns)
        With ``log_weights`` already added. Overwritten: the gradient lies here afterwards.
    right : Tensor of int64, shape (B,)
        Flat index of each lane's right item, row * n_columns + column.
    log_weights : Tensor, shape (B,)
        What was added to the right items' scores, and is taken off again.

    Returns
    -------
    losses : Tensor, shape (B,)
    gradient : Tensor, shape (B, n_columns)
    """
    flat = scores.view(-1)
    flat.index_add_(0, right, log_weights, alpha=-1)
    torch.softmax(scores, 1, out=scores)
    picked = flat.index_select(0, right)
    flat.index_copy_(0, right, picked - 1)
    return picked.clamp_min_(1e-37).log_().neg_(), scores


def bpr_max(scores: Tensor, right: Tensor, log_counts: Tensor, bpreg: float, elu_param: float) -> tuple[Tensor, Tensor]:
    """Loss of each lane and its gradient.

    Parameters
    ----------
    scores : Tensor, shape (B, n_columns), n_columns > 1
    right : Tensor of int64, shape (B,)
        Flat index of each lane's right item, row * n_columns + column.
    log_counts : Tensor, shape (n_columns,)
        log m_j.
    bpreg, elu_param : float

    Returns
    -------
    losses : Tensor, shape (B,)
    gradient : Tensor, shape (B, n_columns)

    Notes
    -----
    With a = sum p_j σ_j and q = sum p_j r_j², where σ_j = sigmoid(r_i - r_j)::

        dL/dr_j = p_j (1 - σ_j² / a) + bpreg p_j (r_j² - q + 2 r_j)        dL/dr_i = -sum_j p_j (1 - σ_j² / a)
    """
    r = torch.nn.functional.elu(scores, elu_param) if elu_param > 0 else scores
    r_right = r.view(-1).index_select(0, right)
    p = r + log_counts
    p.view(-1).index_fill_(0, right, NEVER)
    torch.softmax(p, 1, out=p)
    better = torch.sub(r_right[:, None], r).sigmoid_()
    a = torch.linalg.vecdot(p, better).clamp_min_(1e-24)
    better.square_()
    share = torch.linalg.vecdot(p, better).div_(a)  # sum_j p_j σ_j² / a
    square = r * r
    q = torch.linalg.vecdot(p, square)
    losses = bpreg * q - a.log()
    gradient = better.mul_((-1 / a)[:, None]).add_((1 - bpreg * q)[:, None])
    gradient.add_(square.add_(r, alpha=2), alpha=bpreg).mul_(p)
    gradient.view(-1).index_copy_(0, right, share - 1)
    if elu_param > 0:
        gradient = torch.ops.aten.elu_backward(gradient, elu_param, 1, 1, True, r)
    return losses, gradient
