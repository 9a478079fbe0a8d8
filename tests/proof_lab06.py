"""Right and wrong answers to the exercises of lab 06."""

import math

import numpy as np
import torch
from proof import Proof

PROOF: dict[str, Proof] = {}


def _torch_cell(x, h, w_ih, w_hh, biases):
    cell = torch.nn.GRUCell(len(x), len(h)).double()
    names = dict(zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), (w_ih, w_hh, *biases), strict=True))
    cell.load_state_dict({name: torch.tensor(np.asarray(part, float)) for name, part in names.items()})
    with torch.no_grad():
        return cell(torch.tensor(x), torch.tensor(h)).numpy()


def _cell_by_loops(x, h, w_ih, w_hh, biases, sigmoid=lambda a: 1 / (1 + math.exp(-a)), order="rzn", keep=1, outer=0):
    (b_ih, b_hh), size, new = biases, len(h), []
    place = {gate: order.index(gate) * size for gate in "rzn"}
    for unit in range(size):
        click = {g: sum(w_ih[p + unit, k] * x[k] for k in range(len(x))) + b_ih[p + unit] for g, p in place.items()}
        past = {g: sum(w_hh[p + unit, k] * h[k] for k in range(size)) for g, p in place.items()}
        bias = {g: b_hh[p + unit] for g, p in place.items()}
        r, z = (sigmoid(click[g] + past[g] + bias[g]) for g in "rz")
        n = math.tanh(click["n"] + r * (past["n"] + (1 - outer) * bias["n"]) + outer * bias["n"])
        new.append((1 - z) * n + z * h[unit] if keep else z * n + (1 - z) * h[unit])
    return new


def _cell_reset_first(x, h, w_ih, w_hh, biases):
    (b_ih, b_hh), k = biases, len(h)
    gate = lambda i: 1 / (1 + np.exp(-(w_ih[i : i + k] @ x + b_ih[i : i + k] + w_hh[i : i + k] @ h + b_hh[i : i + k])))  # noqa: E731
    r, z = gate(0), gate(k)
    n = np.tanh(w_ih[2 * k :] @ x + b_ih[2 * k :] + w_hh[2 * k :] @ (r * h) + b_hh[2 * k :])
    return n + z * (h - n)


PROOF["gru_cell"] = Proof(
    right=[_torch_cell, _cell_by_loops],
    wrong=[
        (lambda *args: _cell_by_loops(*args, keep=0), "the wrong way round"),
        (lambda *args: _cell_by_loops(*args, order="zrn"), "z stands first"),
        (lambda *args: _cell_by_loops(*args, outer=1), "outside of r"),
        (_cell_reset_first, "before the product with U"),
        (lambda *args: _cell_by_loops(*args, sigmoid=math.tanh), "a gate is a sigmoid"),
        (lambda *args: _cell_by_loops(*args, sigmoid=lambda a: 1 / (1 + math.exp(a))), "exp(-a) belongs"),
        (lambda x, h, *weights: h, "cases come out right"),
        (lambda x, h, *weights: np.array([_torch_cell(x, h, *weights)]), "shape (1, 1)"),
        (lambda x, h, *weights: 0.5 * h, "cases come out right"),
    ],
)


def _plan(sessions, n_lanes, first=lambda t, step: t == 0, skip=2):
    """By places and pointers instead of by lists that shrink."""
    queue = iter([s for s in sessions if len(s) >= skip])
    seats, rows, step = [None] * n_lanes, [], 0
    while True:
        for lane in range(n_lanes):
            if seats[lane] is None or seats[lane][1] + 1 >= len(seats[lane][0]):
                session = next(queue, None)
                seats[lane] = None if session is None else [session, 0]
        if not any(seats):
            return rows
        for lane, seat in enumerate(seats):
            if seat and seat[1] + 1 < len(seat[0]):
                session, t = seat
                rows.append([step, lane, session[t], session[t + 1], first(t, step)])
                seat[1] += 1
        step += 1


def _plan_frame(sessions, n_lanes):
    import pandas as pd

    return pd.DataFrame(_plan(sessions, n_lanes), columns=["step", "lane", "clicked", "target", "is_first"])


def _cut_short(sessions, n_lanes):
    rows = _plan(sessions, n_lanes)
    full = [step for step in {row[0] for row in rows} if sum(row[0] == step for row in rows) == n_lanes]
    return [row for row in rows if row[0] in full]


def _popping(sessions, n_lanes):
    rows = _plan([list(s) for s in sessions], n_lanes)
    sessions.clear()
    return rows


PROOF["side_by_side"] = Proof(
    right=[_plan, _plan_frame],
    wrong=[
        (lambda s, n: _plan(s, n, first=lambda t, step: step == 0), "at step 0 only"),
        (lambda s, n: _plan(s, n, first=lambda t, step: 0), "never True"),
        (lambda s, n: sorted(_plan(s, n), key=lambda row: row[1]), "sorted by lane"),
        (_cut_short, "You stop when the first lane"),
        (lambda s, n: [row[:4] for row in _plan(s, n)], "shape"),
        (_popping, "changes its input"),
        (lambda s, n: [[*row[:3], row[2], row[4]] for row in _plan(s, n)], "the item clicked itself"),
        (lambda s, n: _plan(s, n, first=lambda t, step: t == 1), "one step late"),
        (lambda s, n: _plan(s, n, first=lambda t, step: 1), "True in every row"),
        (lambda s, n: _plan(sorted(s, key=lambda x: -len(x)), n), "the longest sessions"),
        (lambda s, n: _plan(sorted(s, key=len), n), "the shortest sessions"),
        (lambda s, n: sorted([r[0], n - 1 - r[1], *r[2:]] for r in _plan(s, n)), "the highest first"),
        (lambda s, n: [[*r[:2], r[3], r[2], r[4]] for r in _plan(s, n)], "exchanged"),
        (lambda s, n: iter(_plan(s, n)), "a matrix, numbers in rows and columns, is needed"),
    ],
)


def _loss_torch(scores, target, negatives, expected, sign=-1, target_too=False, drop=True):
    kept = [j for j in negatives if not drop or j != target]
    logits = torch.tensor(np.asarray(scores, float)[[target, *kept]])
    correction = sign * torch.log(torch.tensor(np.asarray(expected, float)[[target, *kept]]))
    correction[0] *= target_too
    return torch.nn.functional.cross_entropy((logits + correction)[None], torch.tensor([0]))


def _loss_logsumexp(scores, target, negatives, expected):
    kept = np.array([j for j in negatives if j != target])
    return np.logaddexp.reduce(np.r_[scores[target], scores[kept] - np.log(expected[kept])]) - scores[target]


def _without_one(target, negatives):
    place = negatives.index(target) if target in negatives else len(negatives)
    return negatives[:place] + negatives[place + 1 :]


PROOF["sampled_loss"] = Proof(
    right=[_loss_torch, _loss_logsumexp],
    wrong=[
        (lambda *args: _loss_torch(*args, sign=1), "wrong sign"),
        (lambda *args: _loss_torch(*args, sign=0), "`expected` is nowhere"),
        (lambda *args: _loss_torch(*args, drop=False), "counts as a wrong item"),
        (lambda *args: _loss_torch(*args, target_too=True), "You correct the target too"),
        (lambda s, t, n, e: _loss_torch(s, t, list(dict.fromkeys(n)), e), "counts once"),
        (lambda *args: -_loss_logsumexp(*args), "The sign"),
        (lambda *args: math.exp(-_loss_logsumexp(*args)), "the target's share"),
        (lambda s, t, n, e: _loss_torch(s, t, _without_one(t, n), e, drop=False), "Only one copy"),
        (lambda *args: 1.0986, "the same answer"),
    ],
)


def _first_behind_longest(model, sessions):
    """Each session behind the longest one."""
    longest = max(sessions, key=len)
    rows = [model.score([longest, session])[1] for session in sessions]
    return np.abs(np.array(rows) - [model.score([s])[0] for s in sessions]).max() < 1e-4


def _own_sessions(model, sessions):
    short, long = [1], [2, 3, 4, 5, 0]
    return np.allclose(model.score([long, short])[1], model.score([short])[0], rtol=1e-3, atol=1e-4)


def _loop(model, sessions):
    together = model.score(sessions)
    for row, session in zip(together, sessions, strict=True):
        if not np.allclose(row, model.score([session]), atol=1e-4):
            return False
    return True


def _turned_round(model, sessions):
    return np.allclose(model.score(sessions[::-1])[::-1], model.score(sessions), atol=1e-5)


def _raises(model, sessions):
    assert np.allclose(model.score(sessions), [model.score([s])[0] for s in sessions], atol=1e-5)


PROOF["answers_are_sound"] = Proof(
    right=[_first_behind_longest, _own_sessions, _loop],
    wrong=[
        (lambda model, sessions: bool(np.isfinite(model.score(sessions)).all()), "can never fail"),
        (lambda model, sessions: 0, "always fails"),
        (lambda model, sessions: not _loop(model, sessions), "wrong way round"),
        (
            lambda model, sessions: np.abs(model.score(sessions) - model.score(sessions)).max() < 1e-6,
            "You ask the same question twice",
        ),
        (
            lambda model, sessions: np.array_equal(model.score(sessions), [model.score([s])[0] for s in sessions]),
            "equality to the last digit",
        ),
        (
            lambda model, sessions: np.allclose(model.score(sessions[:1]), model.score(sessions)[:1]),
            "first session only",
        ),
        (_turned_round, "the same longest session"),
        (
            lambda m, s: bool(np.isclose(m.score(s), [m.score([x])[0] for x in s]).any()),
            "One equal score is enough",
        ),
        (lambda m, s: np.allclose(m.score(s[:2]), [m.score([x])[0] for x in s[:2]], atol=1e-4), "first two sessions"),
        (
            lambda m, s: np.allclose(m.score(s[:: len(s) - 1]), [m.score([x])[0] for x in s[:: len(s) - 1]], atol=1e-4),
            "small examples come out right",
        ),
        (lambda m, s: (m.score(s) - [m.score([x])[0] for x in s]).max() < 1e-4, "*lower* in company pass"),
        (lambda m, s: np.allclose(m.score(s)[:, 2], [m.score([x])[0][2] for x in s], atol=1e-4), "or a single item"),
        (lambda m, s: np.allclose([m.score([x])[0][0] for x in s], m.score(s).T[0], atol=1e-4), "first item only"),
        (lambda m, s: abs(m.score(s).mean() - np.mean([m.score([x]) for x in s])) < 1e-5, "a sum, a mean"),
        (
            lambda m, s: (np.argsort(-m.score(s)) == [np.argsort(-m.score([x])[0]) for x in s]).all(),
            "order of the items",
        ),
        (_raises, "`assert` alone returns None"),
        (lambda model, sessions: model.score(sessions) == model.score(sessions), "one verdict of many"),
        (lambda model, sessions: "sound", "True or False is needed"),
    ],
)

_E = np.array([0.3, 0.8, 2.0, 1.4, 0.6, 1.0])


def _by_oracle(loss, scores, tolerance=1e-4, drawn=(2, 1, 1, 4), expected=_E):
    return abs(loss(scores, 2, list(drawn), expected) - _loss_logsumexp(scores, 2, list(drawn), expected)) <= tolerance


def _monotone(loss, scores):
    rises = loss(scores, 1, [0], 3 * _E) - loss(scores, 1, [0], _E)
    return rises < 0 and abs(loss(scores, 1, [1, 0], _E) - loss(scores, 1, [0], _E)) < 1e-4


PROOF["loss_is_sound"] = Proof(
    right=[_by_oracle, _monotone],
    wrong=[
        (lambda loss, scores: loss(scores, 0, [1, 2], _E) > 0, "can never fail"),
        (lambda loss, scores: False, "always fails"),
        (lambda loss, scores: not _by_oracle(loss, scores), "wrong way round"),
        (lambda loss, scores: _by_oracle(loss, scores, drawn=(0, 1, 4)), "never among your negatives"),
        (lambda loss, scores: _by_oracle(loss, scores, expected=np.ones(6)), "Everything is expected once"),
        (lambda loss, scores: _by_oracle(loss, scores, tolerance=1e-13), "equality to the last digit"),
        (
            lambda loss, scores: _by_oracle(loss, scores, expected=np.where(np.arange(6) == 2, 1e6, _E)),
            "too small to be",
        ),
        (
            lambda loss, scores: loss(scores, 1, [0], 3 * _E) > loss(scores, 1, [0], _E) and _monotone(loss, scores),
            "always fails",
        ),
        (
            lambda loss, scores: (
                loss(scores, 1, [0, 1], 3 * _E) > loss(scores, 1, [0, 1], _E)
                and abs(loss(scores, 1, [1, 0], _E) - loss(scores, 1, [0], _E)) < 1e-4
            ),
            "inequality is the wrong way round",
        ),
        (
            lambda loss, scores: (
                loss(scores, 1, [1, 0, 3], _E) == loss(scores, 1, [0, 3], _E)
                and loss(scores, 1, [0], 2 * _E) < loss(scores, 1, [0], _E)
            ),
            "equality to the last digit",
        ),
        (
            lambda loss, scores: (
                loss(scores, 1, [1, 0], _E) == loss(scores, 1, [0], _E)
                and loss(scores, 1, [0], 2 * _E) < loss(scores, 1, [0], _E)
            ),
            "equality to the last digit",
        ),
        (lambda loss, scores: loss(scores, 0, [1, 2], _E), "True or False is needed"),
    ],
)


def _bpr_torch(scores, target, negatives, bpreg, drop=True, dim=True):
    r = torch.tensor(np.asarray(scores, float))
    j = torch.tensor([n for n in negatives if not drop or n != target])
    s = torch.softmax(r[j], 0) if dim else torch.full((len(j),), 1 / len(j), dtype=torch.float64)
    return -torch.log(s @ torch.sigmoid(r[target] - r[j])) + bpreg * (s @ r[j] ** 2)


def _bpr_loop(scores, target, negatives, bpreg, weight=math.exp, inside=False, regular=True):
    wrong = [float(scores[j]) for j in negatives if j != target]
    total = sum(weight(r) for r in wrong)
    shares = [weight(r) / total for r in wrong]
    better = [1 / (1 + math.exp(r - scores[target])) for r in wrong]
    mean = sum(s * b for s, b in zip(shares, better, strict=True))
    first = -sum(s * math.log(b) for s, b in zip(shares, better, strict=True)) if inside else -math.log(mean)
    return first + bpreg * regular * sum(s * r * r for s, r in zip(shares, wrong, strict=True))


PROOF["bpr_max"] = Proof(
    right=[_bpr_torch, _bpr_loop],
    wrong=[
        (lambda *args: _bpr_torch(*args, drop=False), "counts as a wrong item"),
        (lambda *args: _bpr_torch(*args, dim=False), "that is BPR"),
        (lambda *args: _bpr_loop(*args, inside=True), "inside of your sum"),
        (lambda *args: _bpr_loop(*args, regular=False), "bpreg is nowhere"),
        (lambda scores, target, n, b: _bpr_loop(scores, target, n, b, weight=lambda r: math.exp(-r)), "come out right"),
        (lambda *args: 0.6931, "the same answer"),
    ],
)
